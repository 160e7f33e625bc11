/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails once, at each place: the call tells so, and what is left is released
 * whole. The shell then loads again, which works. And what a member costs.
 */
#include "support.h"

#include "protocol/generated/api_keys.h"

#include "memory_frame.h"

static void scenario(struct fixture *fixture)
{
    static const char *const topics[] = {"t", "u", NULL};
    struct join_group_response *response;
    char first[80], second[80];
    uint64_t one, two;
    struct offset_delete_request_offset_delete_request_partition partition = {0};
    struct offset_delete_request_offset_delete_request_topic topic = {
        .name = SLICE("v"), .partitions = &partition, .partitions_count = 1};
    struct offset_delete_request offset_delete = {
        .group_id = SLICE("g"), .topics = &topic, .topics_count = 1};

    one = send_join(fixture, (struct join){.topics = topics});
    response = fixture_reply(fixture, one);
    if (!response)
        return;
    snprintf(first, sizeof first, "%.*s", SLICE_ARGS(response->member_id));
    one = send_join(fixture, (struct join){.member = first, .topics = topics});
    two = send_join(fixture, (struct join){.instance = "i", .topics = topics});
    fixture_advance(fixture, 6000);
    response = fixture_reply(fixture, two);
    if (!response)
        return;
    snprintf(second, sizeof second, "%.*s", SLICE_ARGS(response->member_id));
    send_sync(fixture, (struct sync){.member = second, .generation = 1});
    send_sync(fixture, (struct sync){.member = first,
                                     .generation = 1,
                                     .count = 2,
                                     .members = {first, second},
                                     .assignments = {"1", "2"}});
    send_commit(fixture,
                (struct commit){.member = first, .generation = 1, .offset = 1, .metadata = "note"});
    send_commit(fixture,
                (struct commit){.member = first, .generation = 1, .topic = "v", .offset = 2});
    send_join(fixture, (struct join){.instance = "i", .topics = topics});
    if (fixture->failure != OK)
        return;
    fixture_send(fixture, API_OFFSET_DELETE, 0, &offset_delete);
    fixture_advance(fixture, 20000); /* sessions end: Empty */
    if (fixture->failure != OK)
        return;
    send_commit(fixture, (struct commit){.group = "h", .offset = 3});
    fixture_send(
        fixture, API_DELETE_GROUPS, 2,
        &(struct delete_groups_request){.groups_names = &(struct slice){(const uint8_t *)"h", 1},
                                        .groups_names_count = 1});
    fixture_advance(fixture, INT64_C(8) * 24 * 3600 * 1000);
}

static void release(struct fixture *fixture)
{
    group_coordinator_release(&fixture->coordinator);
}

static void running_out_of_memory_is_told_and_leaves_nothing_behind(void **state)
{
    UNUSED(state);
    assert_true(memory_frame_run_all(&(struct memory_frame){scenario, release, NULL}) > 80);
}

/* ---- what a member costs ---- */

#define FEW 8
#define MANY 40
/* Beside its own strings, each of which has a NUL: the member, its protocol, its places in the table of members
 * and among the timers. */
#define MEMBER_BYTES_MAX 320
#define ASSIGNMENT "an assignment"
#define METADATA "a subscription"

static void sync_all(struct fixture *fixture, const struct join_group_response *leader)
{
    struct sync_group_request *request = sync_group_request_array(&fixture->arena, 1);

    request->group_id = text("g");
    request->generation_id = leader->generation_id;
    request->member_id = leader->leader;
    request->assignments = sync_group_request_sync_group_request_assignment_array(
        &fixture->arena, (size_t)leader->members_count);
    request->assignments_count = leader->members_count;
    for (int32_t i = 0; i < leader->members_count; i++) {
        request->assignments[i].member_id = leader->members[i].member_id;
        request->assignments[i].assignment = text(ASSIGNMENT);
    }
    fixture_send(fixture, API_SYNC_GROUP, 1, request);
}

/* All that a coordinator has with one group of so many members, and what of it are the members' own strings. */
static int64_t group_bytes(int count, int64_t *strings_out)
{
    struct allocator_failing counting;
    struct fixture *fixture = malloc(sizeof *fixture);
    struct classic_group *group;
    uint64_t tokens[MANY];
    int64_t bytes;

    allocator_failing_init(&counting, &heap_allocator, -1, false);
    fixture_start(fixture);
    group_coordinator_release(&fixture->coordinator);
    fixture->allocator = &counting.base;
    fixture_load(fixture);
    for (int i = 0; i < count; i++)
        tokens[i] = send_join(fixture, (struct join){.version = 2, .metadata = METADATA});
    fixture_advance(fixture, 10000);
    sync_all(fixture, joined(fixture, tokens[0]));
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    group = group_classic(group_find(fixture->coordinator, text("g")));
    assert_int_equal(group->members.count, count);
    *strings_out = 0;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        assert_true(slice_equal_text(member->assignment, ASSIGNMENT));
        *strings_out += (int64_t)(member->id.size_bytes + 1 + member->client_id.size_bytes + 1 +
                                  member->client_host.size_bytes + 1 + sizeof ASSIGNMENT +
                                  sizeof METADATA + sizeof "range");
    }
    bytes = counting.bytes_in_use;
    group_coordinator_release(&fixture->coordinator);
    assert_int_equal(counting.bytes_in_use, 0);
    fixture->allocator = &heap_allocator;
    fixture_end(fixture);
    free(fixture);
    return bytes;
}

static void a_member_costs_little_beside_its_strings(void **state)
{
    int64_t few_strings, many_strings;
    int64_t few = group_bytes(FEW, &few_strings);
    int64_t many = group_bytes(MANY, &many_strings);
    int64_t each = (many - few - (many_strings - few_strings)) / (MANY - FEW);

    UNUSED(state);
    print_message("a classic member: %lld bytes beside its strings\n", (long long)each);
    assert_in_range(each, sizeof(struct classic_member), MEMBER_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_is_told_and_leaves_nothing_behind),
        cmocka_unit_test(a_member_costs_little_beside_its_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
