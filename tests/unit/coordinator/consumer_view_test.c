/* SPDX-License-Identifier: Apache-2.0 */
/* What consumer groups are set to and what is told of them. */
#include "consumer_support.h"

#include "base/fmt.h"
#include "protocol/generated/messages.h"

/* ---- settings of a group ---- */

/* effect: consumer.heartbeat.interval.ms consumer.session.timeout.ms consumer.assignment.interval.ms */
static void group_settings_override_the_nodes_within_its_limits(void **state)
{
    struct fixture *f = *state;

    group_config(f, "g", "consumer.heartbeat.interval.ms", "7000");
    group_config(f, "g", "consumer.session.timeout.ms", "50000");
    assert_int_equal(beat(f, (struct beat){.member = "a", .topics = "t1"})->heartbeat_interval_ms,
                     7000);
    fixture_advance(f, 49999);
    assert_int_equal(the_group(f, "g")->member_count, 1);
    fixture_advance(f, 1);
    assert_int_equal(the_group(f, "g")->member_count, 0);
    group_config(f, "g", "consumer.assignment.interval.ms", "2000");
    BEAT("4 2:0,1", .member = "b", .topics = "t2");
    BEAT("4 ", .member = "c", .topics = "t2"); /* too soon for another assignment */
    fixture_advance(f, 2000);
    BEAT("5 2:0", .member = "b", .epoch = 4, .owned = "2:0");
    BEAT("-1 -", .member = "b", .epoch = -1);
    BEAT("-1 -", .member = "c", .epoch = -1);
    group_config(f, "g", "consumer.heartbeat.interval.ms", "1000000");
    assert_int_equal(beat(f, (struct beat){.member = "a", .topics = "t1"})->heartbeat_interval_ms,
                     15000);
}

/* ---- describe ---- */

static struct consumer_group_describe_response *describe(struct fixture *f, const char *group)
{
    struct consumer_group_describe_request request = {0};
    struct slice id = text(group);

    request.group_ids = &id;
    request.group_ids_count = 1;
    return fixture_reply(f, fixture_send(f, API_CONSUMER_GROUP_DESCRIBE, 1, &request));
}

static void describe_tells_members_with_what_they_have_and_shall_have(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_describe_response_described_group *group;
    struct consumer_group_describe_response_member *member;

    BEAT("2 2:0,1", .member = "a", .topics = "t2", .rack = "r1", .instance = "i");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .instance = "i", .epoch = 2, .owned = "2:0,1");
    group = describe(f, "g")->groups;
    assert_int_equal(group->error_code, 0);
    assert_true(slice_equal_text(group->group_state, "Reconciling"));
    assert_true(slice_equal_text(group->assignor_name, "uniform"));
    assert_int_equal(group->group_epoch, 3);
    assert_int_equal(group->assignment_epoch, 3);
    assert_int_equal(group->members_count, 2);
    member = &group->members[0];
    assert_true(slice_equal_text(member->member_id, "a"));
    assert_true(slice_equal_text(member->rack_id, "r1"));
    assert_true(slice_equal_text(member->instance_id, "i"));
    assert_true(slice_equal_text(member->client_host, "/127.0.0.1"));
    assert_true(slice_equal_text(member->subscribed_topic_names[0], "t2"));
    assert_int_equal(member->member_type, 1);
    assert_int_equal(member->assignment.topic_partitions[0].partitions_count, 2);
    assert_true(slice_equal_text(member->assignment.topic_partitions[0].topic_name, "t2"));
    assert_int_equal(member->target_assignment.topic_partitions[0].partitions_count, 1);
    fixture_topic_delete(f, 2);
    group = describe(f, "g")->groups;
    assert_int_equal(group->members[0].assignment.topic_partitions_count, 0);
}

static void describe_knows_consumer_groups_only(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_describe_response_described_group *group;

    group = describe(f, "nobody")->groups;
    assert_code(group->error_code, ERR_GROUP_ID_NOT_FOUND);
    assert_true(slice_equal_text(group->error_message, "Group nobody not found."));
    assert_code(describe(f, "")->groups->error_code, ERR_INVALID_GROUP_ID);
    (void)commit(f, (struct commit){.group = "simple", .topic = "t1", .offset = 1});
    group = describe(f, "simple")->groups;
    assert_code(group->error_code, ERR_GROUP_ID_NOT_FOUND);
    assert_true(slice_equal_text(group->error_message, "Group simple is not a consumer group."));
}

/* ---- what members have ---- */

/* The leader's, of one member: itself. */
static uint64_t send_sync_bytes(struct fixture *f, const char *group, const char *member,
                                struct slice assignment)
{
    struct sync_group_request *request = sync_group_request_array(&f->arena, 1);

    request->group_id = text(group);
    request->generation_id = 1;
    request->member_id = text(member);
    request->assignments = sync_group_request_sync_group_request_assignment_array(&f->arena, 1);
    request->assignments_count = 1;
    request->assignments->member_id = text(member);
    request->assignments->assignment = assignment;
    return fixture_send(f, API_SYNC_GROUP, 4, request);
}

struct assigned_text {
    char text[512];
    size_t used;
    int left; /* until it says that it has enough */
};

static bool assigned_told(void *context, const struct group_assigned_view *view)
{
    struct assigned_text *out = context;

    out->used +=
        fmt(out->text + out->used, sizeof out->text - out->used, "%.*s/%.*s %.*s-%d@%d ",
            SLICE_ARGS(view->group_id), SLICE_ARGS(view->member_id), SLICE_ARGS(view->topic),
            view->partition, (int)(view->since_ms - view->since_ms % 1000) / 1000);
    return --out->left > 0;
}

static const char *assigned_text(struct fixture *f, struct assigned_text *out, int left)
{
    *out = (struct assigned_text){.left = left};
    group_coordinator_each_assigned(f->coordinator, f->image, assigned_told, out);
    return out->text;
}

static void it_is_told_what_members_have_and_since_when(void **state)
{
    /* ConsumerProtocolAssignment v1: t1-0, and a topic that is not there. */
    static const char assignment[] = "\0\1\0\0\0\2\0\2t1\0\0\0\1\0\0\0\0\0\2zz\0\0\0\1\0\0\0\3";
    struct fixture *f = *state;
    struct assigned_text out;
    int64_t start_s = f->moment.now_ms / 1000;
    const char *member;
    uint64_t join;

    assert_string_equal(assigned_text(f, &out, 99), "");
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_string_equal(
        assigned_text(f, &out, 99),
        arena_format(&f->arena, "g/a t2-0@%d g/a t2-1@%d ", (int)start_s, (int)start_s));
    assert_string_equal(assigned_text(f, &out, 1),
                        arena_format(&f->arena, "g/a t2-0@%d ", (int)start_s));
    fixture_advance(f, 5000);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    assert_string_equal(assigned_text(f, &out, 99),
                        arena_format(&f->arena, "g/a t2-0@%d ", (int)start_s + 5));
    BEAT("-1 -", .member = "a", .epoch = -1);
    BEAT("-1 -", .member = "b", .epoch = -1);
    join = enter(f, (struct join){.group = "c"}, &member);
    fixture_advance(f, 3000);
    assert_int_equal(joined(f, join)->generation_id, 1);
    assert_string_equal(assigned_text(f, &out, 99), ""); /* not Stable */
    (void)send_sync_bytes(f, "c", member,
                          slice_of((const uint8_t *)assignment, sizeof assignment - 1));
    assert_string_equal(state_of_group(f, "c"), "Stable");
    assert_string_equal(assigned_text(f, &out, 99),
                        arena_format(&f->arena, "c/%s t1-0@%d c/%s zz-3@%d ", member,
                                     (int)start_s + 8, member, (int)start_s + 8));
}

/* ---- people ---- */

static void view_keep(void *context, const struct group_view *view)
{
    *(struct group_view *)context = *view;
}

static void the_view_names_who_holds_a_rebalance_up_and_why_it_began(void **state)
{
    struct fixture *f = *state;
    struct group_view view;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    fixture_advance(f, 3000);
    group_coordinator_each(f->coordinator, view_keep, &view);
    assert_true(slice_equal_text(view.waits_for_member, "a"));
    assert_true(slice_equal_text(view.last_rebalance_reason, "member b joined"));
    assert_string_equal(view.state, "Reconciling");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
    group_coordinator_each(f->coordinator, view_keep, &view);
    assert_true(slice_is_null(view.waits_for_member));
    assert_int_equal(view.last_rebalance_ms, 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(group_settings_override_the_nodes_within_its_limits),
        TEST(describe_tells_members_with_what_they_have_and_shall_have),
        TEST(describe_knows_consumer_groups_only),
        TEST(it_is_told_what_members_have_and_since_when),
        TEST(the_view_names_who_holds_a_rebalance_up_and_why_it_began),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
