/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListGroups, DescribeGroups, DeleteGroups, and records that a log may hold. groups.md §2, §3.7 and
 * §8 of the reference.
 */
#include "support.h"

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    fixture_start(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

/* ---- ListGroups ---- */

static const char *listed(struct fixture *fixture, const char *states, const char *types)
{
    struct slice state = text(states), type = text(types);
    struct list_groups_request request = {
        .states_filter = &state,
        .states_filter_count = states ? 1 : 0,
        .types_filter = &type,
        .types_filter_count = types ? 1 : 0,
    };
    struct list_groups_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_LIST_GROUPS, 5, &request));
    const char *out = "";

    for (int32_t i = 0; i < response->groups_count; i++)
        out = arena_format(&fixture->arena, "%s%.*s/%.*s/%.*s/%.*s ", out,
                           SLICE_ARGS(response->groups[i].group_id),
                           SLICE_ARGS(response->groups[i].protocol_type),
                           SLICE_ARGS(response->groups[i].group_state),
                           SLICE_ARGS(response->groups[i].group_type));
    return out;
}

static void groups_are_listed_by_state_and_type(void **state) /* 27 */
{
    struct fixture *fixture = *state;

    stable_one(fixture, "a");
    commit(fixture, (struct commit){.group = "b"});
    assert_string_equal(listed(fixture, NULL, NULL), "a/consumer/Stable/classic b//Empty/classic ");
    assert_string_equal(listed(fixture, "stable", NULL), "a/consumer/Stable/classic ");
    assert_string_equal(listed(fixture, " EMPTY ", NULL), "b//Empty/classic ");
    assert_string_equal(listed(fixture, "Dead", NULL), "");
    assert_string_equal(listed(fixture, "nonsense", NULL), "");
    assert_string_equal(listed(fixture, "Stable", "Classic"), "a/consumer/Stable/classic ");
    assert_string_equal(listed(fixture, NULL, "consumer"), "");
    assert_string_equal(listed(fixture, NULL, "share"), "");
}

static void many_filters_are_not_held_against_each_of_many_groups(void **state)
{
    enum { GROUPS = 8000, FILTERS = 1000000 }; /* each with each: minutes */
    struct fixture *fixture = *state;
    struct list_groups_request request = {.states_filter_count = FILTERS};
    struct list_groups_response *response;

    for (int i = 0; i < GROUPS; i++)
        commit(fixture, (struct commit){.group = arena_format(&fixture->arena, "g%d", i)});
    request.states_filter = ARENA_ARRAY(&fixture->arena, struct slice, FILTERS);
    assert_non_null(request.states_filter);
    for (int i = 0; i < FILTERS; i++)
        request.states_filter[i] = text("      emptz      ");
    response = fixture_reply(fixture, fixture_send(fixture, API_LIST_GROUPS, 5, &request));
    assert_int_equal(response->groups_count, 0);
    request.states_filter[FILTERS - 1] = text("Empty");
    response = fixture_reply(fixture, fixture_send(fixture, API_LIST_GROUPS, 5, &request));
    assert_int_equal(response->groups_count, GROUPS);
}

/* ---- DescribeGroups ---- */

static struct describe_groups_response_described_group *describe(struct fixture *fixture,
                                                                 const char *group, int16_t version)
{
    struct slice name = text(group);
    struct describe_groups_request request = {.groups = &name, .groups_count = 1};
    struct describe_groups_response *response =
        fixture_reply(fixture, fixture_send(fixture, API_DESCRIBE_GROUPS, version, &request));

    assert_int_equal(response->groups_count, 1);
    return &response->groups[0];
}

static void a_missing_group_is_dead_and_from_version_6_an_error(void **state) /* 21 */
{
    struct fixture *fixture = *state;
    struct describe_groups_response_described_group *group = describe(fixture, "none", 5);

    assert_int_equal(group->error_code, 0);
    assert_true(slice_equal_text(group->group_state, "Dead"));
    group = describe(fixture, "none", 6);
    assert_code(group->error_code, ERR_GROUP_ID_NOT_FOUND);
    assert_true(slice_equal_text(group->error_message, "Group none not found."));
    assert_true(slice_equal_text(group->group_state, "Dead"));
}

static void members_show_metadata_in_stable_only_and_what_they_were_assigned_last(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");
    struct describe_groups_response_described_group *group = describe(fixture, "g", 6);

    assert_true(slice_equal_text(group->group_state, "Stable"));
    assert_true(slice_equal_text(group->protocol_data, "range"));
    assert_true(slice_equal_text(group->protocol_type, "consumer"));
    assert_int_equal(group->members_count, 1);
    assert_true(slice_equal_text(group->members[0].member_id, member));
    assert_true(slice_equal_text(group->members[0].client_id, "client"));
    assert_true(slice_equal_text(group->members[0].client_host, "/127.0.0.1"));
    assert_true(slice_equal_text(group->members[0].member_metadata, "metadata"));
    assert_true(slice_equal_text(group->members[0].member_assignment, "all"));
    enter(fixture, (struct join){0}, NULL);
    group = describe(fixture, "g", 6);
    assert_true(slice_equal_text(group->group_state, "PreparingRebalance"));
    assert_int_equal(group->protocol_data.size_bytes, 0);
    assert_int_equal(group->members_count, 2);
    assert_int_equal(group->members[0].member_metadata.size_bytes, 0);
    assert_true(slice_equal_text(group->members[0].member_assignment, "all"));
    assert_int_equal(group->members[1].member_assignment.size_bytes, 0);
    assert_false(slice_is_null(group->members[1].member_assignment));
}

/* ---- DeleteGroups ---- */

static void groups_are_deleted_when_empty_with_their_offsets(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 3});
    assert_code(delete_group(fixture, "none"), ERR_GROUP_ID_NOT_FOUND);
    assert_code(delete_group(fixture, "g"), ERR_NON_EMPTY_GROUP);
    leave(fixture, "g", member, NULL);
    assert_int_equal(fetch(fixture, "g", "t", 0), 3);
    assert_int_equal(delete_group(fixture, "g"), 0);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_string_equal(state_of_group(fixture, "g"), "none");
    assert_code(delete_group(fixture, "g"), ERR_GROUP_ID_NOT_FOUND);
    fixture_check_replay(fixture);
}

static void a_deletion_that_is_not_committed_hides_no_offset(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 3});
    fixture->hold_commits = true;
    assert_int_equal(delete_group(fixture, "g"), -2); /* no answer yet */
    assert_int_equal(fetch(fixture, "g", "t", 0), 3);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
}

static void a_large_group_is_deleted_in_steps_and_answered_once(void **state)
{
    struct fixture *fixture = *state;
    struct slice name = SLICE("g");
    struct delete_groups_request request = {.groups_names = &name, .groups_names_count = 1};
    struct delete_groups_response *response;
    size_t before;
    uint64_t token;

    for (int32_t partition = 0; partition < 10000; partition++) {
        commit(fixture, (struct commit){.partition = partition});
        fixture->outcome_count = 0;
    }
    before = fixture->log_count;
    token = fixture_send(fixture, API_DELETE_GROUPS, 2, &request);
    assert_null(fixture_reply(fixture, token));
    assert_true(fixture->log_count - before < 4200);
    fixture_tick(fixture);
    response = fixture_reply(fixture, token);
    assert_non_null(response);
    assert_int_equal(response->results[0].error_code, 0);
    assert_int_equal(fixture->log_count - before, 10001);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void a_step_that_is_refused_ends_the_deletion_with_its_error(void **state)
{
    struct fixture *fixture = *state;
    struct slice name = SLICE("g");
    struct delete_groups_request request = {.groups_names = &name, .groups_names_count = 1};
    struct delete_groups_response *response;
    uint64_t token;

    for (int32_t partition = 0; partition < 5000; partition++) {
        commit(fixture, (struct commit){.partition = partition});
        fixture->outcome_count = 0;
    }
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = fixture_send(fixture, API_DELETE_GROUPS, 2, &request);
    response = fixture_reply(fixture, token);
    assert_non_null(response);
    assert_code(response->results[0].error_code, ERR_COORDINATOR_NOT_AVAILABLE);
    fixture_tick(fixture);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
}

/* ---- records ---- */

static void append(struct fixture *fixture, const struct message_type *key_type, const void *key,
                   const struct message_type *value_type, int16_t version, const void *value)
{
    struct writer key_writer, value_writer;

    writer_init(&key_writer, &heap_allocator, SIZE_MAX);
    writer_init(&value_writer, &heap_allocator, SIZE_MAX);
    writer_i16(&key_writer, key_type->key);
    writer_i16(&value_writer, version);
    assert_int_equal(message_encode(key_type, 0, key, &key_writer), OK);
    if (value)
        assert_int_equal(message_encode(value_type, version, value, &value_writer), OK);
    fixture_append(fixture, writer_slice(&key_writer),
                   value ? writer_slice(&value_writer) : SLICE_NULL, -1);
    writer_release(&key_writer);
    writer_release(&value_writer);
}

static struct group_coordinator *anew(struct fixture *fixture)
{
    group_coordinator_release(&fixture->coordinator);
    assert_int_equal(group_coordinator_create(&heap_allocator, &fixture->options, &fixture->logger,
                                              &fixture->coordinator),
                     OK);
    fixture->log_count = 0;
    return fixture->coordinator;
}

static void every_version_of_group_metadata_is_read(void **state)
{
    struct fixture *fixture = *state;

    for (int16_t version = 0; version <= 4; version++) {
        struct group_metadata_key key = {SLICE("g")};
        struct group_metadata_value_member_metadata member =
            group_metadata_value_member_metadata_default;
        struct group_metadata_value value = group_metadata_value_default;
        const struct classic_group *group;

        member.member_id = SLICE("m");
        member.client_id = SLICE("c");
        member.client_host = SLICE("/h");
        member.session_timeout = 7000;
        member.rebalance_timeout = version >= 1 ? 9000 : -1;
        member.subscription = SLICE("s");
        member.assignment = SLICE("a");
        value.protocol_type = SLICE("consumer");
        value.generation = 5;
        value.protocol = SLICE("range");
        value.leader = SLICE("m");
        value.members = &member;
        value.members_count = 1;
        anew(fixture);
        append(fixture, &group_metadata_key_type, &key, &group_metadata_value_type, version,
               &value);
        assert_int_equal(fixture->failure, OK);
        group = group_classic(group_find(fixture->coordinator, SLICE("g")));
        assert_int_equal(group->state, CLASSIC_STABLE);
        assert_int_equal(group->generation, 5);
        assert_int_equal(classic_member_find(group, SLICE("m"))->rebalance_timeout_ms,
                         version >= 1 ? 9000 : 7000);
        append(fixture, &group_metadata_key_type, &key, NULL, 0, NULL);
        assert_null(group_find(fixture->coordinator, SLICE("g")));
    }
}

static void every_version_of_an_offset_is_read(void **state)
{
    struct fixture *fixture = *state;

    for (int16_t version = 0; version <= 4; version++) {
        struct offset_commit_key key = {SLICE("g"), SLICE("t"), 1};
        struct offset_commit_value value = offset_commit_value_default;

        value.offset = 10 + version;
        anew(fixture);
        append(fixture, &offset_commit_key_type, &key, &offset_commit_value_type, version, &value);
        group_coordinator_committed(fixture->coordinator, 1);
        assert_int_equal(fixture->failure, OK);
        assert_int_equal(fixture->coordinator->groups.count, 1);
        assert_true(strstr(fixture_dump(fixture, fixture->coordinator),
                           version == 0 ? "offset g t 1 = 10" : "offset g t 1 = 1") != NULL);
    }
}

static void legacy_offsets_are_read(void **state)
{
    struct fixture *fixture = *state;
    struct legacy_offset_commit_key key = {SLICE("g"), SLICE("t"), 1};
    struct legacy_offset_commit_value value = {.offset = 77, .metadata = SLICE("")};

    anew(fixture);
    append(fixture, &legacy_offset_commit_key_type, &key, &legacy_offset_commit_value_type, 0,
           &value);
    group_coordinator_committed(fixture->coordinator, 1);
    assert_non_null(strstr(fixture_dump(fixture, fixture->coordinator), "offset g t 1 = 77"));
}

static enum err replay_bytes(struct fixture *fixture, struct slice key, struct slice value)
{
    struct coordinator_record record = {key, value};
    struct why why = {0};

    return group_coordinator_replay(fixture->coordinator, &record, 0, -1, 0, &why);
}

static void
records_that_cannot_be_read_fail_the_load_and_unknown_types_are_passed_over(void **state) /* 2 */
{
    struct fixture *fixture = *state;
    static const struct {
        struct slice key, value;
        enum err expected;
    } rows[] = {
        {{(const uint8_t *)"", 0}, {(const uint8_t *)"", 0}, ERR_CORRUPT},
        {{(const uint8_t *)"\0", 1}, {(const uint8_t *)"", 0}, ERR_CORRUPT},
        /* a type of later times, of share groups, of streams groups */
        {{(const uint8_t *)"\0\x63g", 3}, {(const uint8_t *)"\0\0", 2}, OK},
        {{(const uint8_t *)"\0\x0bg", 3}, {(const uint8_t *)"\0\0", 2}, OK},
        {{(const uint8_t *)"\0\x11g", 3}, {NULL, 0}, OK},
        /* group g: no version, a version of later times, cut off */
        {{(const uint8_t *)"\0\2\0\1g", 5}, {(const uint8_t *)"", 0}, ERR_CORRUPT},
        {{(const uint8_t *)"\0\2\0\1g", 5}, {(const uint8_t *)"\0\5", 2}, ERR_UNSUPPORTED_VERSION},
        {{(const uint8_t *)"\0\2\0\1g", 5}, {(const uint8_t *)"\0\3\0", 3}, ERR_CORRUPT},
        {{(const uint8_t *)"\0\2\0\7g", 5}, {(const uint8_t *)"\0\3", 2}, ERR_CORRUPT},
        /* offset of g, t, 1 */
        {{(const uint8_t *)"\0\1\0\1g\0\1t\0\0\0\1", 12},
         {(const uint8_t *)"\0\5", 2},
         ERR_UNSUPPORTED_VERSION},
        {{(const uint8_t *)"\0\1\0\1g\0\1t\0\0\0\1", 12},
         {(const uint8_t *)"\0\4\0", 3},
         ERR_CORRUPT},
        {{(const uint8_t *)"\0\1\0\1g\0\1t\0\0\0\1", 12}, {NULL, 0}, OK},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (replay_bytes(fixture, rows[i].key, rows[i].value) != rows[i].expected)
            fail_msg("row %zu: %s", i, err_name(replay_bytes(fixture, rows[i].key, rows[i].value)));
    assert_int_equal(fixture->coordinator->groups.count, 0);
}

static void a_record_with_a_member_twice_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    struct group_metadata_key key = {SLICE("g")};
    struct group_metadata_value_member_metadata members[2];
    struct group_metadata_value value = group_metadata_value_default;

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            members[i] = group_metadata_value_member_metadata_default;
            members[i].member_id = round == 0 || i == 0 ? SLICE("m") : SLICE("n");
            members[i].group_instance_id = round == 0 ? SLICE_NULL : SLICE("i");
        }
        value.members = members;
        value.members_count = 2;
        anew(fixture);
        append(fixture, &group_metadata_key_type, &key, &group_metadata_value_type, 3, &value);
        assert_int_equal(fixture->failure, ERR_CORRUPT);
        fixture->failure = OK;
        assert_int_equal(fixture->coordinator->groups.count, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(groups_are_listed_by_state_and_type),
        TEST(many_filters_are_not_held_against_each_of_many_groups),
        TEST(a_missing_group_is_dead_and_from_version_6_an_error),
        TEST(members_show_metadata_in_stable_only_and_what_they_were_assigned_last),
        TEST(groups_are_deleted_when_empty_with_their_offsets),
        TEST(a_deletion_that_is_not_committed_hides_no_offset),
        TEST(a_large_group_is_deleted_in_steps_and_answered_once),
        TEST(a_step_that_is_refused_ends_the_deletion_with_its_error),
        TEST(every_version_of_group_metadata_is_read),
        TEST(every_version_of_an_offset_is_read),
        TEST(legacy_offsets_are_read),
        TEST(records_that_cannot_be_read_fail_the_load_and_unknown_types_are_passed_over),
        TEST(a_record_with_a_member_twice_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
