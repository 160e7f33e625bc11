/* SPDX-License-Identifier: Apache-2.0 */
/* Between classic and consumer groups, and both kinds of members in one; groups.md §5.9 of the reference. */
#include "consumer_support.h"

#include "coordinator/group/classic_internal.h"
#include "protocol/generated/messages.h"

static int teardown(void **state)
{
    fixture_check_replay(*state);
    return consumer_teardown(state);
}

static const char *const only_t2[] = {"t2", NULL};
static const char *const only_t4[] = {"t4", NULL};
static const char *const t1_and_t2[] = {"t1", "t2", NULL};

/* The embedded assignment: "t2:0,1". */
static struct slice assignment_bytes(struct fixture *f, const char *topic, int32_t count,
                                     const char *user_data)
{
    uint8_t *buffer = arena_allocate(&f->arena, 512);
    struct writer writer;

    writer_init_fixed(&writer, buffer, 512);
    writer_i16(&writer, 1);
    writer_i32(&writer, topic ? 1 : 0);
    if (topic) {
        writer_i16(&writer, (int16_t)strlen(topic));
        writer_bytes(&writer, topic, strlen(topic));
        writer_i32(&writer, count);
        for (int32_t i = 0; i < count; i++)
            writer_i32(&writer, i);
    }
    writer_i32(&writer, user_data ? (int32_t)strlen(user_data) : -1);
    if (user_data)
        writer_bytes(&writer, user_data, strlen(user_data));
    return writer_slice(&writer);
}

/* The group's only member has asked to join: what the leader says then. */
static void classic_divide(struct fixture *f, uint64_t token, struct slice assignment)
{
    struct sync_group_request *sync = sync_group_request_array(&f->arena, 1);
    struct join_group_response *response;

    fixture_advance(f, 3000);
    response = joined(f, token);
    assert_non_null(response);
    assert_code(response->error_code, OK);
    sync->group_id = text("g");
    sync->generation_id = response->generation_id;
    sync->member_id = response->member_id;
    sync->assignments = sync_group_request_sync_group_request_assignment_array(&f->arena, 1);
    sync->assignments_count = 1;
    sync->assignments[0].member_id = sync->member_id;
    sync->assignments[0].assignment = assignment;
    assert_code(synced(f, fixture_send(f, API_SYNC_GROUP, 5, sync))->error_code, OK);
}

/* A Stable classic group of one member that has all of t2. */
static const char *classic_start(struct fixture *f, struct join join, struct slice assignment)
{
    const char *member;

    classic_divide(f, enter(f, join, &member), assignment);
    return member;
}

/* What SyncGroup gives: "t2:0,1". */
static const char *sync_text(struct fixture *f, const char *member, int32_t generation)
{
    struct sync_group_response *response =
        synced(f, send_sync(f, (struct sync){.member = member, .generation = generation}));
    struct consumer_protocol_assignment assignment;
    struct cursor cursor;
    int16_t version;
    char *out = arena_allocate(&f->arena, 256);
    struct text text;

    assert_non_null(response);
    if (response->error_code != 0)
        return err_name(err_from_wire(response->error_code));
    cursor = cursor_of(response->assignment);
    assert_int_equal(cursor_i16(&cursor, &version), OK);
    message_init(&consumer_protocol_assignment_type, &assignment);
    assert_int_equal(message_decode(&consumer_protocol_assignment_type, version, &cursor, &f->arena,
                                    &assignment),
                     OK);
    text_init(&text, out, 256);
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++) {
        text_add(&text, "%.*s:", SLICE_ARGS(assignment.assigned_partitions[i].topic));
        for (int32_t j = 0; j < assignment.assigned_partitions[i].partitions_count; j++)
            text_add(&text, "%d", assignment.assigned_partitions[i].partitions[j]);
    }
    return out;
}

static struct join rejoin(const char *member, const char *const *topics)
{
    return (struct join){.member = member, .topics = topics};
}

/* ---- upgrade ---- */

static void a_consumer_member_upgrades_a_classic_group_that_goes_on(void **state)
{
    struct fixture *f = *state;
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));

    BEAT("2 ", .member = "zz", .topics = "t2");
    assert_string_equal(records_text(f), "-2 5 3 7 6 8 5 3 7 7 6 8");
    assert_string_equal(
        group_text(f, "g"),
        arena_format(
            &f->arena,
            "Reconciling 2/2\n"
            "%s 1/1 STABLE 2:0,1 |  | %s\n"
            "zz 2/0 UNRELEASED  |  | %s\n",
            a,
            consumer_member_find(the_group(f, "g"), text(a))->target.is.topics[0].partitions[0] == 0
                ? "2:0"
                : "2:1",
            consumer_member_find(the_group(f, "g"), text(a))->target.is.topics[0].partitions[0] == 0
                ? "2:1"
                : "2:0"));
    assert_code(heartbeat(f, "g", a, 1), ERR_REBALANCE_IN_PROGRESS);
    assert_code(heartbeat(f, "g", a, 2), ERR_ILLEGAL_GENERATION);
    /* It rejoins without owning anything: eager. */
    assert_int_equal(joined(f, send_join(f, rejoin(a, only_t2)))->generation_id, 2);
    assert_true(strlen(sync_text(f, a, 2)) == strlen("t2:0"));
    assert_true(strlen(given(f, beat(f, (struct beat){.member = "zz", .epoch = 2, .owned = ""}))) ==
                strlen("2:0"));
    assert_code(heartbeat(f, "g", a, 2), OK);
    assert_string_equal(consumer_group_state(the_group(f, "g")), "Stable");
}

static void what_the_classic_leader_left_over_is_divided_at_the_upgrade(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", t1_and_t2);

    join.instance = "i";
    classic_divide(f, send_join(f, join), assignment_bytes(f, "t2", 2, NULL));
    /* It subscribes to what was subscribed: nothing but t1, which the leader had not seen, asks for an epoch. */
    BEAT("2 1:0;2:0,1", .member = "zz", .instance = "i", .topics = "t1,t2");
}

static void a_static_member_that_upgrades_a_whole_group_keeps_its_epoch(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t2);

    join.instance = "i";
    classic_divide(f, send_join(f, join), assignment_bytes(f, "t2", 2, NULL));
    BEAT("1 2:0,1", .member = "zz", .instance = "i", .topics = "t2");
}

static void upgrades_that_would_lose_something_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum group_migration policy;
        int32_t size;
        const char *type, *metadata, *user_data, *message;
    } rows[] = {
        {GROUP_MIGRATION_DISABLED, 100, "consumer", NULL, NULL, "online upgrade is disabled."},
        {GROUP_MIGRATION_DOWNGRADE, 100, "consumer", NULL, NULL, "online upgrade is disabled."},
        {GROUP_MIGRATION_BIDIRECTIONAL, 100, "connect", NULL, NULL,
         "the group does not use the consumer embedded protocol."},
        {GROUP_MIGRATION_BIDIRECTIONAL, 0, "consumer", NULL, NULL,
         "the group size exceeds the consumer group maximum size."},
        {GROUP_MIGRATION_UPGRADE, 100, "consumer", "x", NULL,
         "the embedded consumer protocol is malformed."},
        {GROUP_MIGRATION_UPGRADE, 100, "consumer", NULL, "sticky",
         "an unsupported custom assignor is in use. Please refer to the documentation or switch to "
         "a "
         "default assignor before re-attempting the upgrade."},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct join join = rejoin("", rows[i].metadata ? NULL : only_t2);
        struct consumer_group_heartbeat_response *response;
        const char *member;

        join.type = rows[i].type;
        join.metadata = rows[i].metadata;
        f->options.consumer_migration = rows[i].policy;
        f->options.consumer_max_size = rows[i].size;
        fixture_load(f);
        member = classic_start(f, join, assignment_bytes(f, "t2", 2, rows[i].user_data));
        response = beat(f, (struct beat){.member = "b", .topics = "t2"});
        assert_code(response->error_code, ERR_GROUP_ID_NOT_FOUND);
        assert_string_equal(
            arena_format(&f->arena, "%.*s", SLICE_ARGS(response->error_message)),
            arena_format(&f->arena, "Cannot upgrade classic group g to consumer group because %s",
                         rows[i].message));
        assert_int_equal(f->records_of_call, 0);
        assert_code(leave(f, "g", member, NULL), OK);
        assert_code(delete_group(f, "g"), OK);
    }
}

static void an_empty_classic_group_converts_whatever_the_policy(void **state)
{
    struct fixture *f = *state;
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));

    f->options.consumer_migration = GROUP_MIGRATION_DISABLED;
    fixture_load(f);
    assert_code(leave(f, "g", a, NULL), OK);
    BEAT("2 2:0,1", .member = "b", .topics = "t2");
    assert_string_equal(records_text(f), "-2 5 3 7 6 8");
    BEAT("-1 -", .member = "b", .epoch = -1);
    (void)enter(f, rejoin("", only_t2), NULL);
    assert_null(the_group(f, "g"));
}

static void parked_joins_are_told_to_come_again(void **state)
{
    struct fixture *f = *state;
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
    uint64_t token = enter(f, rejoin("", only_t2), NULL);

    (void)a;
    assert_null(joined(f, token));
    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    assert_code(joined(f, token)->error_code, ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(the_group(f, "g")->member_count, 3);
}

static void a_classic_member_keeps_its_own_session_timeout(void **state)
{
    struct fixture *f = *state;
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));

    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    fixture_advance(f, 9999);
    assert_non_null(consumer_member_find(the_group(f, "g"), text(a)));
    fixture_advance(f, 1);
    assert_null(consumer_member_find(the_group(f, "g"), text(a)));
}

/* ---- classic members of a consumer group ---- */

static void a_classic_member_joins_in_two_rounds_and_gets_no_leader(void **state)
{
    struct fixture *f = *state;
    struct join_group_response *response;
    const char *c;

    BEAT("2 4:0,1,2,3", .member = "b", .topics = "t4");
    c = ask_member_id(f, rejoin("", only_t4));
    assert_int_equal(strlen(c), 22);
    assert_int_equal(f->records_of_call, 0);
    response = joined(f, send_join(f, rejoin(c, only_t4)));
    assert_code(response->error_code, OK);
    assert_int_equal(response->generation_id, 3);
    assert_true(slice_equal_text(response->protocol_name, "range"));
    assert_true(slice_equal_text(response->protocol_type, "consumer"));
    assert_int_equal(response->leader.size_bytes, 0);
    assert_int_equal(response->members_count, 0);
    assert_string_equal(sync_text(f, c, 3), "");
    assert_code(heartbeat(f, "g", c, 3), OK); /* waits for b */
    BEAT("3 4:0,1", .member = "b", .epoch = 2, .owned = "4:0,1");
    assert_code(heartbeat(f, "g", c, 3), ERR_REBALANCE_IN_PROGRESS); /* free now */
    assert_int_equal(joined(f, send_join(f, rejoin(c, only_t4)))->generation_id, 3);
    assert_string_equal(sync_text(f, c, 3), "t4:23");
    assert_code(heartbeat(f, "g", c, 3), OK);
    assert_int_equal(the_group(f, "g")->classic_count, 1);
}

static void classic_requests_are_checked_like_those_of_classic_groups(void **state)
{
    struct fixture *f = *state;
    const char *c;

    BEAT("2 4:0,1,2,3", .member = "b", .topics = "t4");
    c = ask_member_id(f, rejoin("", only_t4));
    assert_code(joined(f, send_join(f, rejoin(c, only_t4)))->error_code, OK);
    assert_string_equal(sync_text(f, "nobody", 3), "UNKNOWN_MEMBER_ID");
    assert_string_equal(sync_text(f, "b", 2), "UNKNOWN_MEMBER_ID"); /* not a classic member */
    assert_string_equal(sync_text(f, c, 2), "ILLEGAL_GENERATION");
    assert_code(synced(f, send_sync(f, (struct sync){.member = c, .generation = 3, .type = "x"}))
                    ->error_code,
                ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_code(
        synced(f, send_sync(f, (struct sync){.member = c, .generation = 3, .protocol = "other"}))
            ->error_code,
        ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_code(heartbeat(f, "g", "b", 2), ERR_UNKNOWN_MEMBER_ID);
    assert_code(heartbeat(f, "g", c, 4), ERR_ILLEGAL_GENERATION);
    assert_code(heartbeat_static(f, "g", c, "i", 3), ERR_UNKNOWN_MEMBER_ID);
    assert_code(
        joined(f, send_join(f, (struct join){.member = "d", .type = "connect"}))->error_code,
        ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_code(
        joined(f, send_join(
                      f, (struct join){.member = "d", .topics = only_t4, .protocol = "roundrobin"}))
            ->error_code,
        ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_code(joined(f, send_join(f, (struct join){.member = "d", .metadata = "x"}))->error_code,
                ERR_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(f->records_of_call, 0);
    assert_code(leave(f, "g", "nobody", NULL), ERR_UNKNOWN_MEMBER_ID);
    assert_code(leave(f, "g", c, NULL), OK);
    assert_int_equal(the_group(f, "g")->member_count, 1);
    f->options.consumer_migration = GROUP_MIGRATION_DISABLED;
    fixture_load(f);
    assert_code(joined(f, send_join(f, rejoin("d", only_t4)))->error_code,
                ERR_INCONSISTENT_GROUP_PROTOCOL);
}

static void a_classic_member_that_does_not_sync_or_rejoin_in_time_is_removed(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin(NULL, only_t4);
    const char *c;

    BEAT("2 4:0,1,2,3", .member = "b", .topics = "t4");
    join.session_ms = 60000;
    join.rebalance_ms = 20000;
    join.member = c = ask_member_id(f, join);
    (void)send_join(f, join);
    fixture_advance(f, 19999);
    assert_int_equal(the_group(f, "g")->member_count, 2);
    assert_string_equal(sync_text(f, c, 3), "");
    fixture_advance(f, 20000);
    assert_int_equal(the_group(f, "g")->member_count, 2);
    BEAT("3 4:0,1", .member = "b", .epoch = 2, .owned = "4:0,1");
    assert_code(heartbeat(f, "g", c, 3), ERR_REBALANCE_IN_PROGRESS);
    fixture_advance(f, 10000);
    assert_code(heartbeat(f, "g", c, 3), ERR_REBALANCE_IN_PROGRESS); /* the timer is not reset */
    fixture_advance(f, 9999);
    BEAT("3 -", .member = "b", .epoch = 3);
    assert_int_equal(the_group(f, "g")->member_count, 2);
    fixture_advance(f, 1);
    assert_int_equal(the_group(f, "g")->member_count, 1);
}

static void several_members_leave_in_one_epoch(void **state)
{
    struct fixture *f = *state;
    struct leave_group_request *request = leave_group_request_array(&f->arena, 1);
    struct leave_group_response *response;

    BEAT("2 4:0,1,2,3", .member = "a", .topics = "t4", .instance = "i");
    BEAT("3 ", .member = "b", .topics = "t4");
    BEAT("4 ", .member = "c", .topics = "t4", .instance = "j");
    request->group_id = text("g");
    request->members = leave_group_request_member_identity_array(&f->arena, 5);
    request->members_count = 5;
    request->members[0].member_id = text("");
    request->members[0].group_instance_id = text("i"); /* an administrator */
    request->members[1].member_id = text("b");
    request->members[2].member_id = text("b"); /* twice */
    request->members[3].member_id = text("x");
    request->members[3].group_instance_id = text("j");
    request->members[4].member_id = text("nobody");
    response = fixture_reply(f, fixture_send(f, API_LEAVE_GROUP, 5, request));
    assert_code(response->error_code, OK);
    assert_code(response->members[0].error_code, OK);
    assert_code(response->members[1].error_code, OK);
    assert_code(response->members[2].error_code, OK);
    assert_code(response->members[3].error_code, ERR_FENCED_INSTANCE_ID);
    assert_code(response->members[4].error_code, ERR_UNKNOWN_MEMBER_ID);
    assert_string_equal(records_text(f), "-8 -7 -5 -8 -7 -5 3");
    assert_int_equal(the_group(f, "g")->epoch, 5);
    assert_int_equal(the_group(f, "g")->member_count, 1);
}

static void commits_of_classic_members_speak_of_generations(void **state)
{
    struct fixture *f = *state;
    struct commit c = {.topic = "t2", .version = 8, .generation = 1, .offset = 5};
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));

    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    c.member = a;
    assert_code(commit(f, c), OK);
    c.generation = 2;
    assert_code(commit(f, c), ERR_ILLEGAL_GENERATION);
}

/* ---- downgrade ---- */

static void the_last_consumer_member_leaves_a_classic_group_that_rebalances(void **state)
{
    struct fixture *f = *state;
    const char *a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
    struct classic_group *group;

    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    BEAT("-1 -", .member = "b", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -8 -7 -7 -6 -5 -5 -4 -3 2");
    fixture_tick(f);
    group = group_classic(group_find(f->coordinator, text("g")));
    assert_non_null(group);
    assert_int_equal(group->generation, 2);
    assert_int_equal(group->members.count, 1);
    assert_string_equal(classic_state_name(group->state), "PreparingRebalance");
    assert_true(slice_equal_text(group->protocol, "range"));
    assert_code(heartbeat(f, "g", a, 2), ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(joined(f, send_join(f, rejoin(a, only_t2)))->generation_id, 3);
}

static void a_downgrade_needs_a_policy_of_its_direction_and_room_in_a_classic_group(void **state)
{
    static const struct {
        enum group_migration policy;
        int32_t max_size;
        bool is_classic;
    } rows[] = {
        {GROUP_MIGRATION_BIDIRECTIONAL, 100, true}, {GROUP_MIGRATION_DOWNGRADE, 100, true},
        {GROUP_MIGRATION_UPGRADE, 100, false},      {GROUP_MIGRATION_DISABLED, 100, false},
        {GROUP_MIGRATION_DOWNGRADE, 1, true},       {GROUP_MIGRATION_DOWNGRADE, 0, false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        void *own;
        struct fixture *f;

        assert_int_equal(consumer_setup(&own), 0);
        f = own;
        (void)classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
        (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
        f->options.consumer_migration = rows[i].policy;
        f->options.group_max_size = rows[i].max_size;
        fixture_load(f);
        BEAT("-1 -", .member = "b", .epoch = -1);
        fixture_tick(f);
        assert_int_equal(group_classic(group_find(f->coordinator, text("g"))) != NULL,
                         rows[i].is_classic);
        teardown(&own);
    }
    UNUSED(state);
}

static void the_last_member_of_all_leaves_an_empty_consumer_group(void **state)
{
    struct fixture *f = *state;

    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    BEAT("-1 -", .member = "b", .epoch = -1);
    fixture_tick(f);
    assert_null(group_classic(group_find(f->coordinator, text("g"))));
    assert_int_equal(the_group(f, "g")->member_count, 0);
}

/* Only who takes the place of the last consumer member makes a classic group of it. */
static void a_classic_member_that_takes_the_place_of_a_classic_one_changes_no_protocol(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t4);
    struct join_group_response *response;

    (void)beat(f, (struct beat){.member = "a", .instance = "i", .topics = "t4"});
    (void)beat(f, (struct beat){.member = "b", .topics = "t4"});
    join.instance = "i";
    for (int i = 0; i < 2; i++) {
        response = joined(f, send_join(f, join));
        assert_non_null(response);
        assert_code(response->error_code, OK);
        assert_null(group_classic(group_find(f->coordinator, text("g"))));
        assert_int_equal(the_group(f, "g")->classic_count, 1);
        assert_int_equal(the_group(f, "g")->member_count, 2);
    }
}

static void a_refused_downgrade_leaves_the_consumer_group(void **state)
{
    struct fixture *f = *state;
    uint64_t token;

    (void)classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = beat_send(f, (struct beat){.member = "b", .epoch = -1});
    assert_int_equal(fixture_failure(f, token), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(the_group(f, "g")->member_count, 2);
}

static void without_the_policy_the_group_stays_a_consumer_group(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_migration = GROUP_MIGRATION_UPGRADE;
    fixture_load(f);
    (void)classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    BEAT("-1 -", .member = "b", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -7 -5 3");
    assert_int_equal(the_group(f, "g")->member_count, 1);
}

static void classic_members_alone_in_a_consumer_group_are_told_to_divide_anew(void **state)
{
    struct fixture *f = *state;
    const char *a;

    f->options.consumer_migration = GROUP_MIGRATION_UPGRADE;
    fixture_load(f);
    a = classic_start(f, rejoin("", only_t2), assignment_bytes(f, "t2", 2, NULL));
    (void)beat(f, (struct beat){.member = "b", .topics = "t2"});
    assert_code(heartbeat(f, "g", a, 1), ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(joined(f, send_join(f, rejoin(a, only_t2)))->generation_id, 2);
    assert_code(heartbeat(f, "g", a, 2), OK); /* b sees to it */
    BEAT("-1 -", .member = "b", .epoch = -1);
    assert_code(heartbeat(f, "g", a, 2), ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(joined(f, send_join(f, rejoin(a, only_t2)))->generation_id, 3);
    assert_string_equal(sync_text(f, a, 3), "t2:01");
    assert_code(heartbeat(f, "g", a, 3), OK);
    topic_grow(f, 2, 2, 3);
    image_publish(f);
    assert_code(heartbeat(f, "g", a, 3), ERR_REBALANCE_IN_PROGRESS);
    assert_int_equal(joined(f, send_join(f, rejoin(a, only_t2)))->generation_id, 4);
    assert_string_equal(sync_text(f, a, 4), "t2:012");
    assert_code(heartbeat(f, "g", a, 4), OK);
}

static void
a_classic_static_member_replaces_the_last_consumer_member_without_a_rebalance(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t2);
    struct join_group_response *response;
    struct classic_group *group;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    join.instance = "i";
    response = joined(f, send_join(f, join));
    assert_code(response->error_code, OK);
    group = group_classic(group_find(f->coordinator, text("g")));
    assert_non_null(group);
    assert_int_equal(response->generation_id, group->generation);
    assert_string_equal(classic_state_name(group->state), "Stable");
    assert_int_equal(group->members.count, 1);
    assert_string_equal(sync_text(f,
                                  arena_format(&f->arena, "%.*s", SLICE_ARGS(response->member_id)),
                                  response->generation_id),
                        "t2:01");
}

static void a_static_member_may_change_its_protocol_in_a_mixed_group(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t4);
    struct join_group_response *response;

    BEAT("2 4:0,1,2,3", .member = "a", .instance = "i", .topics = "t4");
    BEAT("3 ", .member = "b", .topics = "t4");
    join.instance = "i";
    response = joined(f, send_join(f, join));
    assert_code(response->error_code, OK);
    assert_int_equal(the_group(f, "g")->classic_count, 1);
    assert_int_equal(the_group(f, "g")->member_count, 2);
    BEAT("FENCED_INSTANCE_ID", .member = "a", .instance = "i", .epoch = 2);
    /* And back: a classic member is replaced whether it left or not. */
    assert_int_equal(
        beat(f, (struct beat){.member = "a3", .instance = "i", .topics = "t4"})->error_code, 0);
    assert_int_equal(the_group(f, "g")->classic_count, 0);
    assert_null(consumer_member_find(
        the_group(f, "g"), slice_of(response->member_id.data, response->member_id.size_bytes)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, teardown)

static void a_downgrade_while_a_member_waits_for_partitions_rebalances(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t2);
    const char *c;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    c = ask_member_id(f, rejoin("", only_t2));
    assert_int_equal(joined(f, send_join(f, rejoin(c, only_t2)))->generation_id, 3);
    assert_string_equal(sync_text(f, c, 3), ""); /* a has not given up yet */
    join.instance = "i";
    (void)send_join(f, join);
    fixture_tick(f);
    assert_non_null(group_classic(group_find(f->coordinator, text("g"))));
    assert_code(heartbeat(f, "g", c, 3), ERR_REBALANCE_IN_PROGRESS);
}

/* No member asks again by itself: it would own nothing for ever. */
static void a_failover_amid_the_rebalance_of_a_downgrade_divides_behind_it(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t2);
    const char *c;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    c = ask_member_id(f, rejoin("", only_t2));
    assert_int_equal(joined(f, send_join(f, rejoin(c, only_t2)))->generation_id, 3);
    assert_string_equal(sync_text(f, c, 3), "");
    join.instance = "i";
    (void)send_join(f, join);
    fixture_tick(f);
    fixture_load(f);
    assert_non_null(group_classic(group_find(f->coordinator, text("g"))));
    assert_code(heartbeat(f, "g", c, 3), ERR_REBALANCE_IN_PROGRESS);
}

static void a_member_that_changed_to_the_classic_protocol_owes_nothing_of_the_other(void **state)
{
    struct fixture *f = *state;
    struct join join = rejoin("", only_t4);
    struct join_group_response *response;
    const char *member;

    BEAT("2 4:0,1,2,3", .member = "a", .instance = "i", .topics = "t4", .rebalance_ms = 10000);
    BEAT("3 ", .member = "b", .topics = "t4");
    BEAT("2 4:0,1", .member = "a", .instance = "i", .epoch = 2); /* it owes two of them */
    join.instance = "i";
    response = joined(f, send_join(f, join));
    assert_code(response->error_code, OK);
    member = arena_format(&f->arena, "%.*s", SLICE_ARGS(response->member_id));
    assert_string_equal(sync_text(f, member, response->generation_id), "t4:01");
    for (int i = 0; i < 4; i++) {
        fixture_advance(f, 5000);
        assert_code(heartbeat(f, "g", member, response->generation_id), OK);
        BEAT(i == 0 ? "3 4:2,3" : "3 -", .member = "b", .epoch = 3, .owned = "4:2,3");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_consumer_member_upgrades_a_classic_group_that_goes_on),
        TEST(what_the_classic_leader_left_over_is_divided_at_the_upgrade),
        TEST(a_static_member_that_upgrades_a_whole_group_keeps_its_epoch),
        TEST(upgrades_that_would_lose_something_are_refused),
        TEST(an_empty_classic_group_converts_whatever_the_policy),
        TEST(parked_joins_are_told_to_come_again),
        TEST(a_classic_member_keeps_its_own_session_timeout),
        TEST(a_classic_member_joins_in_two_rounds_and_gets_no_leader),
        TEST(classic_requests_are_checked_like_those_of_classic_groups),
        TEST(a_classic_member_that_does_not_sync_or_rejoin_in_time_is_removed),
        TEST(several_members_leave_in_one_epoch),
        TEST(commits_of_classic_members_speak_of_generations),
        TEST(the_last_consumer_member_leaves_a_classic_group_that_rebalances),
        cmocka_unit_test(a_downgrade_needs_a_policy_of_its_direction_and_room_in_a_classic_group),
        TEST(the_last_member_of_all_leaves_an_empty_consumer_group),
        TEST(a_classic_member_that_takes_the_place_of_a_classic_one_changes_no_protocol),
        TEST(a_refused_downgrade_leaves_the_consumer_group),
        TEST(without_the_policy_the_group_stays_a_consumer_group),
        TEST(classic_members_alone_in_a_consumer_group_are_told_to_divide_anew),
        TEST(a_classic_static_member_replaces_the_last_consumer_member_without_a_rebalance),
        TEST(a_static_member_may_change_its_protocol_in_a_mixed_group),
        TEST(a_downgrade_while_a_member_waits_for_partitions_rebalances),
        TEST(a_failover_amid_the_rebalance_of_a_downgrade_divides_behind_it),
        TEST(a_member_that_changed_to_the_classic_protocol_owes_nothing_of_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
