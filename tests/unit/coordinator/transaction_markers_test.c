/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Markers and completion: rules of transactions.md §10, §18 of the reference.
 */
#include "transaction_support.h"

/* "x" in PrepareCommit with t-0, t-1, u-0; three markers are out. */
static struct identity ending(struct fixture *fixture)
{
    struct identity me = init_ok(fixture, NULL);

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me, .version = 2}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1, .version = 2}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .topic = "u", .version = 2}), OK);
    assert_code(
        end_transaction(fixture, (struct end){.producer = me, .commit = true, .version = 2}, NULL),
        OK);
    assert_int_equal(fixture_markers(fixture), 3);
    return me;
}

static void markers_of_all_partitions_go_out_together(void **state)
{
    ending(*state);
    assert_string_equal(fixture_markers_text(*state),
                        "commit pid=1000 epoch=1 coordinator=1 version=2 t-0 t-1 u-0");
}

static void markers_tell_the_protocol_of_the_client(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me}, NULL), OK);
    assert_string_equal(fixture_markers_text(fixture),
                        "abort pid=1000 epoch=0 coordinator=1 version=0 t-0");
}

static void the_transaction_is_complete_when_every_partition_is(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, OK);
    fixture_mark(fixture, "u", 0, OK);
    assert_string_equal(describe(fixture, NULL), "PrepareCommit 1000/1 t-1");
    fixture_mark(fixture, "t", 1, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void what_may_succeed_later_is_given_out_again(void **state)
{
    static const enum err errs[] = {
        ERR_UNKNOWN_TOPIC_OR_PARTITION,
        ERR_NOT_LEADER_OR_FOLLOWER,
        ERR_NOT_ENOUGH_REPLICAS,
        ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ERR_REQUEST_TIMED_OUT,
        ERR_KAFKA_STORAGE_ERROR,
        ERR_NETWORK_EXCEPTION,
        ERR_CORRUPT_MESSAGE,
        ERR_CLUSTER_AUTHORIZATION_FAILED,
    };
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, OK);
    for (size_t i = 0; i < ARRAY_COUNT(errs); i++) {
        fixture_mark(fixture, "u", 0, errs[i]);
        assert_int_equal(fixture_markers(fixture), 1);
        fixture_advance(fixture, TRANSACTION_MARKER_RETRY_MS - 1);
        assert_int_equal(fixture_markers(fixture), 1);
        fixture_advance(fixture, 1);
        assert_int_equal(fixture_markers(fixture), 2);
        assert_string_equal(fixture_markers_text(fixture),
                            "commit pid=1000 epoch=1 coordinator=1 version=2 u-0");
    }
    fixture_mark_all(fixture, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void what_cannot_have_been_written_is_done(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT);
    fixture_mark(fixture, "t", 1, ERR_UNSUPPORTED_VERSION);
    fixture_mark(fixture, "u", 0, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void a_fenced_coordinator_stops_and_the_next_one_goes_on(void **state)
{
    static const enum err errs[] = {ERR_TRANSACTION_COORDINATOR_FENCED, ERR_INVALID_PRODUCER_EPOCH};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(errs); i++) {
        fixture->mark_at_once = true;
        ending(fixture);
        fixture_mark(fixture, "t", 1, ERR_NOT_LEADER_OR_FOLLOWER);
        fixture_mark(fixture, "t", 0, errs[i]);
        fixture_mark_all(fixture, OK); /* passed over */
        fixture_advance(fixture, 5000);
        assert_int_equal(fixture_markers(fixture), 0);
        assert_non_null(strstr(describe(fixture, NULL), "PrepareCommit"));
        fixture_load(fixture);
        assert_int_equal(fixture_markers(fixture), 3);
        fixture_mark_all(fixture, OK);
        assert_non_null(strstr(describe(fixture, NULL), "CompleteCommit"));
    }
    assert_non_null(strstr(fixture->log_text, "transaction_coordinator_fenced transactional_id=x"));
}

static void partitions_that_are_gone_are_dropped(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, OK);
    fixture_mark(fixture, "t", 1, OK);
    fixture_mark(fixture, "u", 0, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    fixture_topic_delete(fixture, 2);
    fixture_advance(fixture, TRANSACTION_MARKER_RETRY_MS);
    assert_int_equal(fixture_markers(fixture), 0);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void a_topic_that_came_back_smaller_has_no_such_partition(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me, .topic = "u", .partition = 1}), OK);
    fixture_topic_delete(fixture, 2);
    fixture_topic_create(fixture, "u", 3, 1);
    fixture->mark_at_once = false;
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    assert_int_equal(fixture_markers(fixture), 0);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
}

static void without_any_partition_left_the_transaction_is_complete_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me, .topic = "u"}), OK);
    fixture_topic_delete(fixture, 2);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
}

static void a_refused_completion_is_written_again(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, OK);
    fixture_mark(fixture, "t", 1, OK);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    fixture_mark(fixture, "u", 0, OK);
    assert_string_equal(describe(fixture, NULL), "PrepareCommit 1000/1");
    fixture_advance(fixture, TRANSACTION_MARKER_RETRY_MS);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
    assert_int_equal(fixture_markers(fixture), 0);
}

static void an_outcome_counts_once(void **state)
{
    struct fixture *fixture = *state;
    struct coordinator_effects effects;
    uint64_t ticket;

    ending(fixture);
    ticket = fixture->given[0].markers.ticket;
    for (int i = 0; i < 5; i++) {
        coordinator_effects_init(&effects, &fixture->arena);
        assert_int_equal(transaction_coordinator_marked(fixture->coordinator, ticket, 0, OK,
                                                        &fixture->moment, &effects),
                         OK);
        assert_int_equal(effects.write, 0);
    }
    coordinator_effects_init(&effects, &fixture->arena);
    assert_int_equal(transaction_coordinator_marked(fixture->coordinator, 4711, 0, OK,
                                                    &fixture->moment, &effects),
                     OK);
    assert_string_equal(describe(fixture, NULL), "PrepareCommit 1000/1 t-1 u-0");
}

static void after_a_reload_all_markers_go_out_with_the_new_epoch(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture_mark(fixture, "t", 0, OK);
    fixture_load(fixture);
    assert_string_equal(fixture_markers_text(fixture),
                        "commit pid=1000 epoch=1 coordinator=2 version=2 t-0 t-1 u-0");
}

static void a_loaded_prepare_that_is_not_committed_waits(void **state)
{
    struct fixture *fixture = *state;

    ending(fixture);
    fixture->hold_commits = true;
    fixture->committed_end = (int64_t)fixture->log_count - 1;
    fixture_load(fixture);
    assert_int_equal(fixture_markers(fixture), 0);
    fixture_commit(fixture);
    assert_int_equal(fixture_markers(fixture), 3);
}

static void slow_markers_are_told_once_a_minute(void **state)
{
    struct fixture *fixture = *state;
    size_t count = 0;

    ending(fixture);
    for (int i = 0; i < 1500; i++) {
        fixture_mark_all(fixture, ERR_NOT_LEADER_OR_FOLLOWER);
        fixture_advance(fixture, 100);
    }
    for (const char *at = fixture->log_text;
         (at = strstr(at, "transaction_markers_slow transactional_id=x")); at++)
        count++;
    assert_int_equal(count, 2);
    assert_non_null(strstr(fixture->log_text, "left=3 error=NOT_LEADER_OR_FOLLOWER"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(markers_of_all_partitions_go_out_together),
        ROW(markers_tell_the_protocol_of_the_client),
        ROW(the_transaction_is_complete_when_every_partition_is),
        ROW(what_may_succeed_later_is_given_out_again),
        ROW(what_cannot_have_been_written_is_done),
        ROW(a_fenced_coordinator_stops_and_the_next_one_goes_on),
        ROW(partitions_that_are_gone_are_dropped),
        ROW(a_topic_that_came_back_smaller_has_no_such_partition),
        ROW(without_any_partition_left_the_transaction_is_complete_at_once),
        ROW(a_refused_completion_is_written_again),
        ROW(an_outcome_counts_once),
        ROW(after_a_reload_all_markers_go_out_with_the_new_epoch),
        ROW(a_loaded_prepare_that_is_not_committed_waits),
        ROW(slow_markers_are_told_once_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
