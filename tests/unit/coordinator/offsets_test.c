/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committed offsets: who may commit, what is stored, what is read when, and when it goes. groups.md
 * §4 and §8 of the reference.
 */
#include "support.h"

#include "coordinator/group/offset_internal.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);

    fixture_start(fixture);
    fixture_topic_create(fixture, "t", 1);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_end(*state);
    free(*state);
    return 0;
}

/* ---- who may commit ---- */

static void who_may_commit(void **state) /* 22, 23 */
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");
    const struct {
        struct commit commit;
        enum err expected;
    } rows[] = {
        {{.group = "new"}, OK},
        {{.group = "missing", .generation = 1, .member = "m"}, ERR_GROUP_ID_NOT_FOUND},
        {{.group = "missing", .generation = 1, .member = "m", .version = 8},
         ERR_ILLEGAL_GENERATION},
        {{.group = "g"}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "g", .member = "nobody", .generation = 1}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "g", .member = member, .generation = 2}, ERR_ILLEGAL_GENERATION},
        {{.group = "g", .member = member, .generation = -1}, ERR_ILLEGAL_GENERATION},
        {{.group = "g", .member = member, .instance = "i", .generation = 1}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "g", .member = member, .generation = 1}, OK},
        {{.group = "g", .member = member, .generation = 1, .version = 2}, OK},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_code(commit(fixture, rows[i].commit), rows[i].expected);
    assert_int_equal(leave(fixture, "g", member, NULL), 0);
    assert_int_equal(commit(fixture, (struct commit){.group = "g"}), 0);
    assert_code(commit(fixture, (struct commit){.group = "g", .member = member, .generation = 2}),
                ERR_UNKNOWN_MEMBER_ID);
    fixture_check_replay(fixture);
}

static void a_commit_while_completing_is_too_early_and_keeps_no_session(void **state) /* 19 */
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join = enter(fixture, (struct join){0}, &member);

    fixture_advance(fixture, 3000);
    assert_int_equal(joined(fixture, join)->generation_id, 1);
    assert_code(commit(fixture, (struct commit){.member = member, .generation = 1}),
                ERR_REBALANCE_IN_PROGRESS);
    send_sync(fixture, (struct sync){.member = member, .generation = 1});
    fixture_advance(fixture, 9000);
    assert_int_equal(commit(fixture, (struct commit){.member = member, .generation = 1}), 0);
    fixture_advance(fixture, 9000); /* the commit has renewed the session */
    assert_int_equal(heartbeat(fixture, "g", member, 1), 0);
}

static void commits_are_taken_while_preparing(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");

    enter(fixture, (struct join){0}, NULL);
    assert_string_equal(state_of_group(fixture, "g"), "PreparingRebalance");
    assert_int_equal(
        commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 5}), 0);
    assert_int_equal(fetch(fixture, "g", "t", 0), 5);
}

/* ---- what is stored ---- */

static int16_t value_decode(struct fixture *fixture, const struct logged *logged,
                            struct offset_commit_value *value)
{
    struct cursor cursor = cursor_of(logged->record.value);
    int16_t version;

    assert_int_equal(cursor_i16(&cursor, &version), OK);
    assert_int_equal(
        message_decode(&offset_commit_value_type, version, &cursor, &fixture->arena, value), OK);
    return version;
}

static void a_commit_is_stored_with_the_topics_id(void **state)
{
    struct fixture *fixture = *state;
    struct offset_commit_value value;

    commit(fixture, (struct commit){.offset = 42, .metadata = "note"});
    assert_int_equal(value_decode(fixture, &fixture->log[0], &value), 4);
    assert_int_equal(value.offset, 42);
    assert_int_equal(value.commit_timestamp, fixture->moment.wall_ms);
    assert_true(slice_equal_text(value.metadata, "note"));
    assert_true(uuid_equal(value.topic_id, topic_id_of(1)));
}

static void a_retention_of_the_client_is_stored_in_the_only_version_that_has_it(void **state)
{
    struct fixture *fixture = *state;
    struct offset_commit_value value;

    commit(fixture, (struct commit){.version = 4, .retention_ms = 1000});
    assert_int_equal(value_decode(fixture, &fixture->log[0], &value), 1);
    assert_int_equal(value.expire_timestamp, fixture->moment.wall_ms + 1000);
    assert_int_equal(value.metadata.size_bytes, 0);
    assert_false(slice_is_null(value.metadata));
}

static void metadata_is_measured_in_characters_and_fails_its_partition_alone(void **state)
{
    struct fixture *fixture = *state;
    struct offset_commit_request_offset_commit_request_partition partitions[] = {
        {.partition_index = 0, .committed_offset = 1, .committed_metadata = SLICE("12345")},
        {.partition_index = 1, .committed_offset = 2, .committed_metadata = SLICE("123456")},
        {.partition_index = 2, .committed_offset = 3, .committed_metadata = SLICE("äöüßé")},
        {.partition_index = 3, .committed_offset = 4, .committed_metadata = SLICE("😀😀😀")},
    };
    struct offset_commit_request_offset_commit_request_topic topic = {
        .name = SLICE("t"), .partitions = partitions, .partitions_count = 4};
    struct offset_commit_request request = offset_commit_request_default;
    struct offset_commit_response *response;

    fixture->options.offset_metadata_bytes_max = 5;
    fixture_load(fixture);
    request.group_id = SLICE("g");
    request.topics = &topic;
    request.topics_count = 1;
    response = fixture_reply(fixture, fixture_send(fixture, API_OFFSET_COMMIT, 9, &request));
    assert_int_equal(response->topics[0].partitions[0].error_code, 0);
    assert_code(response->topics[0].partitions[1].error_code, ERR_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(response->topics[0].partitions[2].error_code, 0);
    assert_code(response->topics[0].partitions[3].error_code, ERR_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    assert_int_equal(fetch(fixture, "g", "t", 1), -1);
    assert_int_equal(fetch(fixture, "g", "t", 2), 3);
}

static void offsets_are_not_judged(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = INT64_MAX});
    assert_true(fetch(fixture, "g", "t", 0) == INT64_MAX);
}

/* ---- reading ---- */

static void what_is_not_committed_is_not_read_and_the_value_before_it_is(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first, second;

    commit(fixture, (struct commit){.offset = 1});
    fixture->hold_commits = true;
    first = send_commit(fixture, (struct commit){.offset = 2});
    second = send_commit(fixture, (struct commit){.offset = 3});
    assert_int_equal(commit_code(fixture, first), -2);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_commit(fixture);
    assert_int_equal(commit_code(fixture, first), 0);
    assert_int_equal(commit_code(fixture, second), 0);
    assert_int_equal(fetch(fixture, "g", "t", 0), 3);
}

static void a_stable_read_waits_for_what_was_written_before_it(void **state)
{
    struct fixture *fixture = *state;

    fixture->hold_commits = true;
    send_commit(fixture, (struct commit){.offset = 2});
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_int_equal(fetch_stable(fixture, "g", "t", 0), -3); /* no answer yet */
    fixture_commit(fixture);
    fixture->hold_commits = false;
    assert_int_equal(fetch_stable(fixture, "g", "t", 0), 2);
}

static void a_refused_commit_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint64_t token;

    commit(fixture, (struct commit){.offset = 1});
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = send_commit(fixture, (struct commit){.offset = 2});
    assert_int_equal(fixture_failure(fixture, token), ERR_NOT_ENOUGH_REPLICAS);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_check_replay(fixture);
}

static void a_commit_that_timed_out_stays(void **state) /* 3 */
{
    struct fixture *fixture = *state;

    fixture->hold_commits = true;
    send_commit(fixture, (struct commit){.offset = 2});
    fixture_time_out(fixture);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 2);
}

static void a_missing_group_has_no_offsets_and_no_error(void **state)
{
    struct fixture *fixture = *state;
    struct group_offset_fetch all = {
        .group_id = SLICE("missing"), .member_epoch = -1, .all_topics = true};
    struct offset_fetch_response_offset_fetch_response_group *response;

    assert_int_equal(fetch(fixture, "missing", "t", 0), -1);
    assert_int_equal(fetch_stable(fixture, "missing", "t", 0), -1);
    response = fetch_group(fixture, &all, 9);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->topics_count, 0);
}

static void all_topics_leave_out_what_has_no_id_where_ids_are_asked_for(void **state)
{
    struct fixture *fixture = *state;
    struct group_offset_fetch all = {
        .group_id = SLICE("g"), .member_epoch = -1, .all_topics = true};
    struct offset_fetch_response_offset_fetch_response_group *response;

    commit(fixture, (struct commit){.offset = 1, .partition = 3, .metadata = "note"});
    commit(fixture, (struct commit){.topic = "unknown", .offset = 2});
    response = fetch_group(fixture, &all, 9);
    assert_int_equal(response->topics_count, 2);
    response = fetch_group(fixture, &all, 10);
    assert_int_equal(response->topics_count, 1);
    assert_true(uuid_equal(response->topics[0].topic_id, topic_id_of(1)));
    assert_int_equal(response->topics[0].partitions[0].partition_index, 3);
    assert_true(slice_equal_text(response->topics[0].partitions[0].metadata, "note"));
}

static void an_offset_of_a_topic_of_the_same_name_is_not_read_by_id(void **state) /* 25 */
{
    struct fixture *fixture = *state;
    int32_t partition = 0;
    struct offset_fetch_request_offset_fetch_request_topics topic = {
        .name = SLICE("t"), .partition_indexes = &partition, .partition_indexes_count = 1};
    struct group_offset_fetch request = {
        .group_id = SLICE("g"), .member_epoch = -1, .topics = &topic, .topic_count = 1};

    commit(fixture, (struct commit){.offset = 7});
    topic.topic_id = topic_id_of(2);
    assert_int_equal(fetch_group(fixture, &request, 10)->topics[0].partitions[0].committed_offset,
                     -1);
    topic.topic_id = topic_id_of(1);
    assert_int_equal(fetch_group(fixture, &request, 10)->topics[0].partitions[0].committed_offset,
                     7);
    assert_int_equal(fetch(fixture, "g", "t", 0), 7); /* by name */
}

/* ---- transactions ---- */

static void append_offset_of(struct fixture *fixture, int64_t producer_id, int32_t partition,
                             int64_t offset, struct uuid topic_id)
{
    struct offset_commit_key key = {SLICE("g"), SLICE("t"), partition};
    struct offset_commit_value value = offset_commit_value_default;
    struct writer key_writer, value_writer;

    value.offset = offset;
    value.topic_id = topic_id;
    writer_init(&key_writer, &heap_allocator, SIZE_MAX);
    writer_init(&value_writer, &heap_allocator, SIZE_MAX);
    writer_i16(&key_writer, 1);
    writer_i16(&value_writer, 4);
    assert_int_equal(message_encode(&offset_commit_key_type, 0, &key, &key_writer), OK);
    assert_int_equal(message_encode(&offset_commit_value_type, 4, &value, &value_writer), OK);
    fixture_append(fixture, writer_slice(&key_writer), writer_slice(&value_writer), producer_id);
    fixture_commit(fixture);
    writer_release(&key_writer);
    writer_release(&value_writer);
}

static void append_offset(struct fixture *fixture, int64_t producer_id, int32_t partition,
                          int64_t offset)
{
    append_offset_of(fixture, producer_id, partition, offset, topic_id_of(1));
}

static void
a_pending_transactional_offset_is_unstable_for_its_partition_alone(void **state) /* 30 */
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.partition = 0, .offset = 1});
    commit(fixture, (struct commit){.partition = 1, .offset = 2});
    append_offset(fixture, 77, 0, 10);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    assert_int_equal(fetch_stable(fixture, "g", "t", 0), -1000 - 88);
    assert_int_equal(fetch_stable(fixture, "g", "t", 1), 2);
    fixture_marker(fixture, 77, true);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1); /* the marker is not committed */
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 10);
    assert_int_equal(fetch_stable(fixture, "g", "t", 0), 10);
    fixture_check_replay(fixture);
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;

    append_offset(fixture, 77, 0, 10);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_marker(fixture, 77, false);
    fixture_commit(fixture);
    assert_int_equal(fetch_stable(fixture, "g", "t", 0), -1);
    assert_int_equal(delete_group(fixture, "g"), 0);
}

static void the_later_commit_in_the_log_stands_not_the_later_marker(void **state)
{
    struct fixture *fixture = *state;

    append_offset(fixture, 77, 0, 10);
    append_offset(fixture, 78, 0, 11);
    commit(fixture, (struct commit){.offset = 5});
    fixture_marker(fixture, 77, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 5);
    append_offset(fixture, 78, 0, 12);
    fixture_marker(fixture, 78, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 12);
    fixture_check_replay(fixture);
}

static void a_tombstone_drops_what_is_pending_too(void **state)
{
    struct fixture *fixture = *state;
    int16_t top;

    append_offset(fixture, 77, 0, 10);
    assert_int_equal(delete_offset(fixture, "g", "t", 0, &top), 0);
    assert_int_equal(top, 0);
    fixture_marker(fixture, 77, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
}

/* ---- OffsetDelete ---- */

static void a_group_without_a_name_has_no_offsets_to_delete(void **state)
{
    struct fixture *fixture = *state;
    struct offset_delete_request request = offset_delete_request_default;
    const struct offset_delete_response *response;

    commit(fixture, (struct commit){.group = ""}); /* but it may have offsets */
    request.group_id = SLICE("");
    response = fixture_reply(fixture, fixture_send(fixture, API_OFFSET_DELETE, 0, &request));
    assert_code(response->error_code, ERR_INVALID_GROUP_ID);
}

static const char *stable_subscribed(struct fixture *fixture, const char *type)
{
    static const char *const topics[] = {"t", NULL};
    const char *member;

    enter(fixture, (struct join){.type = type, .topics = topics}, &member);
    fixture_advance(fixture, 3000);
    send_sync(fixture, (struct sync){.member = member, .type = type, .generation = 1});
    assert_string_equal(state_of_group(fixture, "g"), "Stable");
    return member;
}

static void offsets_of_subscribed_topics_are_not_deleted(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_subscribed(fixture, "consumer");
    int16_t top;

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    commit(fixture,
           (struct commit){.member = member, .generation = 1, .topic = "other", .offset = 2});
    assert_code(delete_offset(fixture, "g", "t", 0, &top), ERR_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(top, 0);
    assert_int_equal(delete_offset(fixture, "g", "other", 0, &top), 0);
    assert_int_equal(delete_offset(fixture, "g", "other", 9, &top), 0); /* never there */
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    assert_int_equal(fetch(fixture, "g", "other", 0), -1);
}

static void a_subscription_that_cannot_be_read_counts_as_all_topics(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g"); /* its metadata is no subscription */
    int16_t top;

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    assert_code(delete_offset(fixture, "g", "t", 0, &top), ERR_GROUP_SUBSCRIBED_TO_TOPIC);
}

static void deleting_offsets_of_other_groups(void **state) /* 31 */
{
    struct fixture *fixture = *state;
    const char *member = stable_subscribed(fixture, "connect");
    int16_t top;

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    delete_offset(fixture, "missing", "t", 0, &top);
    assert_code(top, ERR_GROUP_ID_NOT_FOUND);
    delete_offset(fixture, "g", "t", 0, &top);
    assert_code(top, ERR_NON_EMPTY_GROUP);
    leave(fixture, "g", member, NULL);
    assert_int_equal(delete_offset(fixture, "g", "t", 0, &top), 0);
    assert_int_equal(top, 0);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    fixture_check_replay(fixture);
}

/* ---- expiry ---- */

static void
offsets_of_an_empty_group_go_after_the_retention_and_the_group_with_them(void **state) /* 32 */
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    leave(fixture, "g", member, NULL);
    fixture_advance(fixture, 7 * DAY_MS - 700000);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_advance(fixture, 1400000);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_string_equal(state_of_group(fixture, "g"), "none");
    assert_non_null(strstr(fixture->log_text, "group_expired group=g"));
    fixture_check_replay(fixture);
}

static void offsets_of_a_simple_group_go_by_their_commit_time(void **state) /* 27, 28 */
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 1});
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_advance(fixture, 4 * DAY_MS);
    commit(fixture, (struct commit){.offset = 2, .partition = 1});
    fixture_advance(fixture, 3 * DAY_MS + 600000);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_int_equal(fetch(fixture, "g", "t", 1), 2);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_advance(fixture, 4 * DAY_MS);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void offsets_of_a_living_group_go_only_for_topics_that_it_has_left(void **state)
{
    struct fixture *fixture = *state;
    const char *member = stable_subscribed(fixture, "consumer");

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    commit(fixture,
           (struct commit){.member = member, .generation = 1, .topic = "other", .offset = 2});
    for (int i = 0; i < 8 * 24 * 3600 / 9; i++) {
        fixture_advance(fixture, 9000);
        if (heartbeat(fixture, "g", member, 1) != 0)
            fail();
        fixture->outcome_count = 0; /* the test's own memory */
    }
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    assert_int_equal(fetch(fixture, "g", "other", 0), -1);
}

static void offsets_of_a_living_group_of_another_type_never_go(void **state) /* 29 */
{
    struct fixture *fixture = *state;
    const char *member = stable_subscribed(fixture, "connect");

    commit(fixture, (struct commit){.member = member, .generation = 1, .offset = 1});
    for (int i = 0; i < 8 * 24 * 3600 / 9; i++) {
        fixture_advance(fixture, 9000);
        heartbeat(fixture, "g", member, 1);
        fixture->outcome_count = 0;
    }
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
}

static void a_retention_of_the_client_is_kept(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 1, .version = 4, .retention_ms = 30 * DAY_MS});
    commit(fixture,
           (struct commit){.offset = 2, .partition = 1, .version = 4, .retention_ms = 1000});
    fixture_advance(fixture, 600000);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    assert_int_equal(fetch(fixture, "g", "t", 1), -1);
    fixture_advance(fixture, 29 * DAY_MS);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_advance(fixture, 2 * DAY_MS);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void a_pending_transaction_keeps_an_offset_and_its_group(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 1});
    append_offset(fixture, 77, 0, 10);
    fixture_advance(fixture, 8 * DAY_MS);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_marker(fixture, 77, false);
    fixture_commit(fixture);
    fixture_advance(fixture, 600000);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void a_group_of_which_only_a_transaction_knows_stays_while_it_is_open(void **state)
{
    struct fixture *fixture = *state;

    append_offset(fixture, 77, 0, 10);
    fixture_advance(fixture, 8 * DAY_MS);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_marker(fixture, 77, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 10);
}

static void a_group_that_somebody_is_about_to_join_stays(void **state)
{
    struct fixture *fixture = *state;
    const char *member;
    uint64_t join;

    fixture_advance(fixture, 590000);
    member = ask_member_id(fixture, (struct join){.session_ms = 100000});
    fixture_advance(fixture, 20000); /* a scan between */
    join = send_join(fixture, (struct join){.member = member});
    fixture_advance(fixture, 3000);
    assert_non_null(joined(fixture, join));
    assert_int_equal(joined(fixture, join)->error_code, 0);
}

static void what_is_deleted_leaves_nothing_in_memory(void **state)
{
    struct fixture *fixture = *state;
    const struct group_offsets *offsets = fixture->coordinator->offsets;

    for (int32_t partition = 0; partition < 10; partition++)
        commit(fixture, (struct commit){.partition = partition, .metadata = "note"});
    assert_int_equal(offsets->count, 10);
    assert_int_equal(delete_group(fixture, "g"), 0);
    assert_int_equal(offsets->count, 0);
    assert_int_equal(offsets->groups.count, 0);
    assert_int_equal(offsets->names.count, 0);
    assert_true(list_is_empty(&offsets->uncommitted));
}

static void a_group_that_goes_in_the_middle_of_a_scan_does_not_confuse_it(void **state)
{
    struct fixture *fixture = *state;
    struct coordinator_effects effects;

    for (int32_t partition = 0; partition < 4095; partition++) {
        commit(fixture, (struct commit){.partition = partition});
        fixture->outcome_count = 0;
    }
    commit(fixture, (struct commit){.topic = "u"});
    commit(fixture, (struct commit){.group = "h"});
    fixture->moment.now_ms += 600000;
    coordinator_effects_init(&effects, &fixture->arena);
    assert_int_equal(group_coordinator_tick(fixture->coordinator, &fixture->moment, &effects), OK);
    assert_ptr_equal(fixture->coordinator->scan, group_find(fixture->coordinator, SLICE("g")));
    assert_int_equal(fixture->coordinator->scan_topics, 1);
    assert_int_equal(delete_group(fixture, "g"), 0);
    assert_ptr_equal(fixture->coordinator->scan, group_find(fixture->coordinator, SLICE("h")));
    assert_int_equal(fixture->coordinator->scan_topics, 0);
    fixture_tick(fixture);
    assert_null(fixture->coordinator->scan);
}

static void an_empty_group_without_offsets_goes_at_the_next_scan(void **state) /* 32 */
{
    struct fixture *fixture = *state;
    const char *member = stable_one(fixture, "g");

    leave(fixture, "g", member, NULL);
    assert_string_equal(state_of_group(fixture, "g"), "Empty");
    fixture_advance(fixture, 600000);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

static void expiry_of_many_offsets_is_cut_into_steps(void **state)
{
    struct fixture *fixture = *state;
    size_t largest = 0, before;

    for (int32_t partition = 0; partition < 3000; partition++) {
        char topic[16];

        snprintf(topic, sizeof topic, "topic%d", partition % 100);
        commit(fixture, (struct commit){.topic = topic, .partition = partition});
        fixture->outcome_count = 0;
    }
    fixture->moment.now_ms += 8 * DAY_MS;
    fixture->moment.wall_ms += 8 * DAY_MS;
    for (int step = 0; step < 20; step++) {
        struct coordinator_effects effects;

        before = fixture->log_count;
        if (group_coordinator_deadline_ms(fixture->coordinator) > fixture->moment.now_ms)
            break;
        coordinator_effects_init(&effects, &fixture->arena);
        assert_int_equal(group_coordinator_tick(fixture->coordinator, &fixture->moment, &effects),
                         OK);
        assert_true(effects.record_count == 0 || effects.divisible);
        for (size_t i = 0; i < effects.record_count; i++)
            fixture_append(fixture, effects.records[i].key, effects.records[i].value, -1);
        largest = MAX(largest, fixture->log_count - before);
    }
    assert_true(largest < 4200);
    assert_string_equal(state_of_group(fixture, "g"), "none");
}

/* ---- deleted topics ---- */

static void offsets_of_a_deleted_topic_go_by_id_or_without_one(void **state) /* 26 */
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 1});
    commit(fixture, (struct commit){.group = "h", .offset = 2});
    commit(fixture,
           (struct commit){.group = "old", .offset = 3, .version = 4, .retention_ms = DAY_MS});
    commit(fixture, (struct commit){.group = "g", .topic = "u", .offset = 4});
    /* an offset of another topic of that name */
    commit(fixture,
           (struct commit){.group = "new", .offset = 5, .topic_id = topic_id_of(9), .version = 10});
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_int_equal(fetch(fixture, "h", "t", 0), -1);
    assert_int_equal(fetch(fixture, "old", "t", 0), -1);
    assert_int_equal(fetch(fixture, "g", "u", 0), 4);
    assert_int_equal(fetch(fixture, "new", "t", 0), 5);
    assert_true(group_coordinator_deadline_ms(fixture->coordinator) > fixture->moment.now_ms);
    fixture_check_replay(fixture);
}

static void deletion_that_was_refused_is_tried_again(void **state)
{
    struct fixture *fixture = *state;

    commit(fixture, (struct commit){.offset = 1});
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
    fixture_advance(fixture, 500);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
}

static void pending_offsets_of_a_deleted_topic_go_too(void **state)
{
    struct fixture *fixture = *state;

    append_offset(fixture, 77, 0, 10);
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    fixture_marker(fixture, 77, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
}

/* A topic of the same name was made meanwhile (id 9): what is committed for that one stays. */
static void what_is_pending_of_a_deleted_topic_takes_no_offset_of_its_successor_along(void **state)
{
    struct fixture *fixture = *state;

    append_offset(fixture, 77, 0, 10);
    commit(fixture, (struct commit){.offset = 5, .topic_id = topic_id_of(9), .version = 10});
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 5);
    fixture_marker(fixture, 77, true); /* of an older commit */
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), 5);
    assert_true(list_is_empty(&fixture->coordinator->offsets->cleanups));
    fixture_check_replay(fixture);
}

static void an_offset_of_a_deleted_topic_takes_no_transaction_of_its_successor_along(void **state)
{
    static const struct {
        bool is_commit;
        int64_t told;
    } rows[] = {{true, 6}, {false, -1}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t number = (uint8_t)(i + 1);
        struct commit old = {.offset = 1, .topic_id = topic_id_of(number), .version = 10};

        if (i > 0)
            fixture_topic_create(fixture, "t", number);
        commit(fixture, old);
        old.partition = 1;
        commit(fixture, old);
        append_offset_of(fixture, 77, 0, 6, topic_id_of(9));
        fixture_topic_delete(fixture, number);
        fixture_tick(fixture);
        assert_int_equal(fetch(fixture, "g", "t", 1), -1); /* only who would take it along waits */
        fixture_advance(fixture, 5000);
        assert_false(list_is_empty(&fixture->coordinator->offsets->cleanups));
        fixture_marker(fixture, 77, rows[i].is_commit);
        fixture_commit(fixture);
        fixture_advance(fixture, 10000);
        assert_int_equal(fetch(fixture, "g", "t", 0), rows[i].told);
        assert_true(list_is_empty(&fixture->coordinator->offsets->cleanups));
        fixture_check_replay(fixture);
    }
}

static void a_topic_whose_cleaning_waits_holds_no_other_up(void **state)
{
    struct fixture *fixture = *state;

    fixture_topic_create(fixture, "u", 2);
    commit(fixture, (struct commit){.offset = 1});
    commit(fixture, (struct commit){.topic = "u", .offset = 2});
    append_offset_of(fixture, 77, 0, 6, topic_id_of(9));
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    fixture_topic_delete(fixture, 2);
    fixture_advance(fixture, 500);
    fixture_advance(fixture, 500);
    assert_int_equal(fetch(fixture, "g", "u", 0), -1);
    assert_int_equal(fetch(fixture, "g", "t", 0), 1);
}

/* Both are written, and the older one is in an open transaction. */
static void an_older_transaction_of_the_successor_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;

    append_offset_of(fixture, 77, 0, 6, topic_id_of(9));
    commit(fixture, (struct commit){.offset = 1, .topic_id = topic_id_of(1), .version = 10});
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    assert_true(list_is_empty(&fixture->coordinator->offsets->cleanups));
    fixture_marker(fixture, 77, true);
    fixture_commit(fixture);
    assert_int_equal(fetch(fixture, "g", "t", 0), -1);
    fixture_check_replay(fixture);
}

static struct offset_cleanup *cleanup_of(struct fixture *fixture)
{
    struct list_node *first = list_first(&fixture->coordinator->offsets->cleanups);

    return first ? LIST_ITEM(first, struct offset_cleanup, node) : NULL;
}

static void what_waits_is_looked_at_every_ten_seconds_alone(void **state)
{
    struct fixture *fixture = *state;
    size_t looks = 0;

    commit(fixture, (struct commit){.offset = 1});
    append_offset_of(fixture, 77, 0, 6, topic_id_of(9));
    fixture_topic_delete(fixture, 1);
    fixture_tick(fixture);
    for (int tenth = 0; tenth < 600; tenth++) {
        int64_t due_ms = cleanup_of(fixture)->due_ms;

        assert_true(due_ms > fixture->moment.now_ms);
        assert_int_equal(group_coordinator_deadline_ms(fixture->coordinator), due_ms);
        if (tenth % 25 == 0) { /* others come and go */
            fixture_topic_create(fixture, "u", 2);
            if (tenth % 50 == 0)
                commit(fixture, (struct commit){.topic = "u", .offset = 2});
            fixture_topic_delete(fixture, 2);
        }
        fixture_advance(fixture, 100);
        assert_int_equal(fetch(fixture, "g", "u", 0), -1);
        fixture->outcome_count = 0;
        looks += cleanup_of(fixture)->due_ms != due_ms;
    }
    assert_int_equal(looks, 6);
}

#define MANY 120
#define MANY_PARTITIONS 100

/* Offset 1 for the topic of that id, 2 for its successor: of every `each`th partition and of the others. */
static void commit_many(struct fixture *fixture, int32_t each)
{
    for (int32_t i = 0; i < MANY * MANY_PARTITIONS; i++) {
        bool is_old = i % each == 0;
        char group[16];

        snprintf(group, sizeof group, "many%d", i % MANY);
        commit(fixture, (struct commit){.group = group,
                                        .partition = i / MANY,
                                        .offset = is_old ? 1 : 2,
                                        .topic_id = topic_id_of(is_old ? 1 : 9),
                                        .version = 10});
        fixture->outcome_count = 0;
    }
}

static void offset_count(void *context, const struct group_offset_view *offset)
{
    size_t *counts = context;

    counts[offset->offset]++;
}

static void looking_at_many_offsets_is_cut_into_steps(void **state)
{
    struct fixture *fixture = *state;

    commit_many(fixture, INT32_MAX);
    assert_int_equal(delete_group(fixture, "many0"), 0); /* with the only one that could go */
    commit(fixture, (struct commit){.offset = 1});
    append_offset_of(fixture, 77, 0, 6, topic_id_of(9));
    fixture_topic_delete(fixture, 1);
    for (int pass = 0; pass < 3; pass++) {
        size_t steps = 0, left = MANY; /* one less, and "g" */

        while (group_coordinator_deadline_ms(fixture->coordinator) <= fixture->moment.now_ms) {
            struct coordinator_effects effects;

            coordinator_effects_init(&effects, &fixture->arena);
            assert_int_equal(
                group_coordinator_tick(fixture->coordinator, &fixture->moment, &effects), OK);
            for (size_t i = 0; i < effects.record_count; i++)
                fixture_append(fixture, effects.records[i].key, effects.records[i].value, -1);
            assert_int_equal(effects.record_count, 0);
            assert_true((left - cleanup_of(fixture)->left) * MANY_PARTITIONS <=
                        GROUP_STEP_ITEMS + MANY_PARTITIONS);
            left = cleanup_of(fixture)->left;
            steps++;
        }
        assert_int_equal(left, 0);
        assert_int_equal(steps, 3);
        fixture->moment.now_ms += 10000;
        fixture->moment.wall_ms += 10000;
    }
}

/* Steps are refused, and the groups under the name are others from step to step. */
static void what_goes_in_steps_goes_all(void **state)
{
    struct fixture *fixture = *state;
    size_t counts[3] = {0}, writes = 0;

    commit_many(fixture, 2);
    fixture_topic_delete(fixture, 1);
    fixture->hold_commits = true;
    for (int step = 0; cleanup_of(fixture); step++) {
        char group[16];

        assert_true(step < 100);
        fixture->refuse = step % 3 == 1 ? ERR_NOT_ENOUGH_REPLICAS : OK;
        fixture_advance(fixture, 500);
        fixture->refuse = OK;
        writes += fixture->parked_count;
        snprintf(group, sizeof group, "new%d", step);
        send_commit(fixture, (struct commit){
                                 .group = group,
                                 .offset = 2,
                                 .topic_id = topic_id_of(9),
                                 .version = 10,
                             });
        fixture_commit(fixture);
    }
    assert_true(writes >= 3);
    fixture->hold_commits = false;
    group_coordinator_each_offset(fixture->coordinator, offset_count, counts);
    assert_int_equal(counts[1], 0);
    assert_true(counts[2] > MANY * MANY_PARTITIONS / 2);
    fixture_check_replay(fixture);
}

static void groups_that_go_amid_a_pass_do_not_confuse_it(void **state)
{
    struct fixture *fixture = *state;
    size_t counts[3] = {0};

    for (int32_t kept = 1; kept >= 0; kept--) {
        if (kept == 0)
            fixture_topic_create(fixture, "t", 1);
        commit_many(fixture, 2);
        fixture_topic_delete(fixture, 1);
        fixture->hold_commits = true;
        fixture_tick(fixture);
        assert_int_equal(fixture->parked_count, 1);
        fixture->hold_commits = false;
        for (int32_t i = 0; i < MANY - kept; i++) {
            char group[16];

            snprintf(group, sizeof group, "many%d", i);
            assert_int_equal(delete_group(fixture, group), 0);
            fixture->outcome_count = 0;
        }
        fixture_tick(fixture);
        assert_null(cleanup_of(fixture));
    }
    group_coordinator_each_offset(fixture->coordinator, offset_count, counts);
    assert_int_equal(counts[1] + counts[2], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_may_commit),
        TEST(a_commit_while_completing_is_too_early_and_keeps_no_session),
        TEST(commits_are_taken_while_preparing),
        TEST(a_commit_is_stored_with_the_topics_id),
        TEST(a_retention_of_the_client_is_stored_in_the_only_version_that_has_it),
        TEST(metadata_is_measured_in_characters_and_fails_its_partition_alone),
        TEST(offsets_are_not_judged),
        TEST(what_is_not_committed_is_not_read_and_the_value_before_it_is),
        TEST(a_stable_read_waits_for_what_was_written_before_it),
        TEST(a_refused_commit_changes_nothing),
        TEST(a_commit_that_timed_out_stays),
        TEST(a_missing_group_has_no_offsets_and_no_error),
        TEST(all_topics_leave_out_what_has_no_id_where_ids_are_asked_for),
        TEST(an_offset_of_a_topic_of_the_same_name_is_not_read_by_id),
        TEST(a_pending_transactional_offset_is_unstable_for_its_partition_alone),
        TEST(an_aborted_transaction_leaves_nothing),
        TEST(the_later_commit_in_the_log_stands_not_the_later_marker),
        TEST(a_tombstone_drops_what_is_pending_too),
        TEST(a_group_without_a_name_has_no_offsets_to_delete),
        TEST(offsets_of_subscribed_topics_are_not_deleted),
        TEST(a_subscription_that_cannot_be_read_counts_as_all_topics),
        TEST(deleting_offsets_of_other_groups),
        TEST(offsets_of_an_empty_group_go_after_the_retention_and_the_group_with_them),
        TEST(offsets_of_a_simple_group_go_by_their_commit_time),
        TEST(offsets_of_a_living_group_go_only_for_topics_that_it_has_left),
        TEST(offsets_of_a_living_group_of_another_type_never_go),
        TEST(a_retention_of_the_client_is_kept),
        TEST(a_pending_transaction_keeps_an_offset_and_its_group),
        TEST(a_group_of_which_only_a_transaction_knows_stays_while_it_is_open),
        TEST(a_group_that_somebody_is_about_to_join_stays),
        TEST(what_is_deleted_leaves_nothing_in_memory),
        TEST(a_group_that_goes_in_the_middle_of_a_scan_does_not_confuse_it),
        TEST(an_empty_group_without_offsets_goes_at_the_next_scan),
        TEST(expiry_of_many_offsets_is_cut_into_steps),
        TEST(offsets_of_a_deleted_topic_go_by_id_or_without_one),
        TEST(deletion_that_was_refused_is_tried_again),
        TEST(pending_offsets_of_a_deleted_topic_go_too),
        TEST(what_is_pending_of_a_deleted_topic_takes_no_offset_of_its_successor_along),
        TEST(an_offset_of_a_deleted_topic_takes_no_transaction_of_its_successor_along),
        TEST(a_topic_whose_cleaning_waits_holds_no_other_up),
        TEST(an_older_transaction_of_the_successor_is_not_waited_for),
        TEST(what_waits_is_looked_at_every_ten_seconds_alone),
        TEST(looking_at_many_offsets_is_cut_into_steps),
        TEST(what_goes_in_steps_goes_all),
        TEST(groups_that_go_amid_a_pass_do_not_confuse_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
