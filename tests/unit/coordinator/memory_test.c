/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation fails once, at each place: the call tells so, and what is left is released
 * whole. The shell then loads again, which works.
 */
#include "support.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_out_of_memory_is_told_and_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
