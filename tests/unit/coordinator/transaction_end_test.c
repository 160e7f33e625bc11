/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndTxn in both protocols: rules of transactions.md §9, §14, §18 of the reference, KIP-890.
 */
#include "transaction_support.h"

/* "x" in this state, with producer 7 at this epoch, as a log from elsewhere has it. */
static struct identity at(struct fixture *fixture, enum transaction_state state, int16_t epoch,
                          int64_t previous)
{
    struct transaction_log_value value = log_value(epoch);
    struct transaction_log_value_partitions_schema topic = {.topic = text("t")};
    int32_t partition = 2;

    topic.partition_ids = &partition;
    topic.partition_ids_count = 1;
    value.transaction_status = (int8_t)state;
    value.previous_producer_id = previous;
    value.client_transaction_version = 2;
    if (state != TRANSACTION_EMPTY) {
        value.transaction_start_timestamp_ms = fixture->moment.wall_ms;
        value.transaction_partitions_count = state == TRANSACTION_ONGOING;
        value.transaction_partitions = &topic;
    }
    fixture_log(fixture, "x", 1, &value);
    return (struct identity){7, epoch};
}

struct row {
    const char *rule;
    enum transaction_state state;
    int16_t epoch;
    int64_t previous;
    struct identity asks;
    enum err commit_told, abort_told;
    struct identity commit_gets, abort_gets; /* id 0: none */
};

static void rows_run(struct fixture *fixture, int8_t version, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        const struct row *row = &rows[i / 2];
        bool commits = i % 2 == 0;
        enum err told = commits ? row->commit_told : row->abort_told;
        struct identity wanted = commits ? row->commit_gets : row->abort_gets, got = {0, 0};
        int16_t code;

        fixture->log_count = 0;
        fixture->next_producer_id = 1000;
        at(fixture, row->state, row->epoch, row->previous);
        code = end_transaction(
            fixture, (struct end){.producer = row->asks, .commit = commits, .version = version},
            &got);
        if (code != err_wire_code(told) || got.id != wanted.id || got.epoch != wanted.epoch)
            fail_msg("%s, %s: %s, %lld/%d", row->rule, commits ? "commit" : "abort",
                     err_name(err_from_wire(code)), (long long)got.id, got.epoch);
        if (told != OK)
            assert_int_equal(fixture->log_count, 1);
    }
}

/* Whatever the protocol. */
static const struct row strangers[] = {
    {"another producer id",
     TRANSACTION_ONGOING,
     3,
     7,
     {8, 3},
     ERR_INVALID_PRODUCER_ID_MAPPING,
     ERR_INVALID_PRODUCER_ID_MAPPING,
     {0},
     {0}},
    {"a lower epoch",
     TRANSACTION_ONGOING,
     3,
     7,
     {7, 2},
     ERR_PRODUCER_FENCED,
     ERR_PRODUCER_FENCED,
     {0},
     {0}},
    {"a higher epoch",
     TRANSACTION_ONGOING,
     3,
     7,
     {7, 4},
     ERR_PRODUCER_FENCED,
     ERR_PRODUCER_FENCED,
     {0},
     {0}},
};

static void protocol_0_answers_by_state_and_epoch(void **state)
{
    static const struct row rows[] = {
        {"an open transaction ends", TRANSACTION_ONGOING, 3, 7, {7, 3}, OK, OK, {0}, {0}},
        {"asked again after a commit",
         TRANSACTION_COMPLETE_COMMIT,
         3,
         7,
         {7, 3},
         OK,
         ERR_INVALID_TXN_STATE,
         {0},
         {0}},
        {"asked again after an abort",
         TRANSACTION_COMPLETE_ABORT,
         3,
         7,
         {7, 3},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {0}},
        {"nothing to end",
         TRANSACTION_EMPTY,
         3,
         7,
         {7, 3},
         ERR_INVALID_TXN_STATE,
         ERR_INVALID_TXN_STATE,
         {0},
         {0}},
        {"an exhausted epoch ends as any other",
         TRANSACTION_ONGOING,
         32766,
         7,
         {7, 32766},
         OK,
         OK,
         {0},
         {0}},
        {"no retry by the epoch before",
         TRANSACTION_COMPLETE_COMMIT,
         3,
         7,
         {7, 2},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED,
         {0},
         {0}},
    };

    rows_run(*state, 0, strangers, ARRAY_COUNT(strangers));
    rows_run(*state, 0, rows, ARRAY_COUNT(rows));
}

static void protocol_2_answers_by_state_and_epoch(void **state)
{
    static const struct row rows[] = {
        {"an open transaction ends and raises the epoch",
         TRANSACTION_ONGOING,
         3,
         7,
         {7, 3},
         OK,
         OK,
         {7, 4},
         {7, 4}},
        {"asked again after a commit",
         TRANSACTION_COMPLETE_COMMIT,
         3,
         7,
         {7, 2},
         OK,
         ERR_INVALID_TXN_STATE,
         {7, 3},
         {0}},
        {"asked again after an abort",
         TRANSACTION_COMPLETE_ABORT,
         3,
         7,
         {7, 2},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {7, 3}},
        {"the next one, empty, after a commit",
         TRANSACTION_COMPLETE_COMMIT,
         3,
         7,
         {7, 3},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {7, 4}},
        {"the next one, empty, after an abort",
         TRANSACTION_COMPLETE_ABORT,
         3,
         7,
         {7, 3},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {7, 4}},
        {"two epochs behind",
         TRANSACTION_COMPLETE_COMMIT,
         3,
         7,
         {7, 1},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED,
         {0},
         {0}},
        {"nothing was added: an abort only",
         TRANSACTION_EMPTY,
         3,
         7,
         {7, 3},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {7, 4}},
        {"no retry of a new producer",
         TRANSACTION_EMPTY,
         3,
         7,
         {7, 2},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED,
         {0},
         {0}},
        {"the last but one epoch",
         TRANSACTION_ONGOING,
         32765,
         7,
         {7, 32765},
         OK,
         OK,
         {7, 32766},
         {7, 32766}},
        {"the last epoch gives the next producer id",
         TRANSACTION_ONGOING,
         32766,
         7,
         {7, 32766},
         OK,
         OK,
         {1000, 0},
         {1000, 0}},
        {"an empty abort at the last epoch",
         TRANSACTION_EMPTY,
         32766,
         7,
         {7, 32766},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {1000, 0}},
        {"asked again over the overflow, after a commit",
         TRANSACTION_COMPLETE_COMMIT,
         0,
         6,
         {6, 32766},
         OK,
         ERR_INVALID_TXN_STATE,
         {7, 0},
         {0}},
        {"asked again over the overflow, after an abort",
         TRANSACTION_COMPLETE_ABORT,
         0,
         6,
         {6, 32766},
         ERR_INVALID_TXN_STATE,
         OK,
         {0},
         {7, 0}},
        {"another id's overflow",
         TRANSACTION_COMPLETE_COMMIT,
         0,
         6,
         {5, 32766},
         ERR_INVALID_PRODUCER_ID_MAPPING,
         ERR_INVALID_PRODUCER_ID_MAPPING,
         {0},
         {0}},
        {"not the last epoch before the overflow",
         TRANSACTION_COMPLETE_COMMIT,
         0,
         6,
         {6, 32765},
         ERR_INVALID_PRODUCER_ID_MAPPING,
         ERR_INVALID_PRODUCER_ID_MAPPING,
         {0},
         {0}},
        {"the overflow is no retry when a new producer came",
         TRANSACTION_EMPTY,
         0,
         6,
         {6, 32766},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED,
         {0},
         {0}},
        {"beyond the last epoch only an abort passes",
         TRANSACTION_ONGOING,
         32767,
         7,
         {7, 32767},
         ERR_UNKNOWN_SERVER_ERROR,
         OK,
         {0},
         {1000, 0}},
    };

    rows_run(*state, 2, strangers, ARRAY_COUNT(strangers));
    rows_run(*state, 2, rows, ARRAY_COUNT(rows));
}

static void ids_that_are_none_are_refused(void **state)
{
    for (int8_t version = 0; version <= 2; version += 2) {
        assert_code(end_transaction(*state, (struct end){.id = "", .version = version}, NULL),
                    ERR_INVALID_REQUEST);
        assert_code(end_transaction(*state, (struct end){.id = "y", .version = version}, NULL),
                    ERR_INVALID_PRODUCER_ID_MAPPING);
    }
}

static void the_answer_comes_when_prepare_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), got = {0};
    uint64_t token;

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture->hold_commits = true;
    token = send_end(fixture, (struct end){.producer = me, .commit = true, .version = 2});
    assert_int_equal(end_code(fixture, token, NULL), -2);
    assert_int_equal(fixture_markers(fixture), 0); /* nor are markers out */
    fixture_commit(fixture);
    assert_code(end_code(fixture, token, &got), OK);
    assert_identity(got, 1000, 1);
    assert_int_equal(fixture_markers(fixture), 1);
    assert_string_equal(describe(fixture, NULL), "PrepareCommit 1000/1 t-0");
}

static void a_refused_end_can_be_tried_again_either_way(void **state)
{
    struct fixture *fixture = *state;

    for (int8_t version = 0; version <= 2; version += 2) {
        struct identity me = init_ok(fixture, NULL);
        struct end end = {.producer = me, .commit = true, .version = version};
        uint64_t token;

        assert_code(add(fixture, (struct add){.producer = me, .version = version}), OK);
        fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
        token = send_end(fixture, end);
        assert_int_equal(fixture_failure(fixture, token), ERR_COORDINATOR_NOT_AVAILABLE);
        end.commit = false;
        assert_code(end_transaction(fixture, end, NULL), OK);
    }
}

static void a_late_end_goes_on_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), got = {0};
    struct end end = {.producer = me, .commit = true, .version = 2};
    uint64_t late, again;

    assert_code(add(fixture, (struct add){.producer = me, .version = 2}), OK);
    fixture->hold_commits = true;
    late = send_end(fixture, end);
    fixture_time_out(fixture);
    assert_int_equal(fixture_failure(fixture, late), ERR_COORDINATOR_NOT_AVAILABLE);
    again = send_end(fixture, end);
    fixture_commit(fixture);
    assert_code(end_code(fixture, again, &got), OK);
    assert_identity(got, 1000, 1);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void requests_wait_in_order_until_the_transaction_is_complete(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), got = {0};
    uint64_t same, other, next, new, newer;

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me, .version = 2}), OK);
    assert_code(
        end_transaction(fixture, (struct end){.producer = me, .commit = true, .version = 2}, NULL),
        OK);
    same = send_end(fixture, (struct end){.producer = me, .commit = true, .version = 2});
    other = send_end(fixture, (struct end){.producer = me, .version = 2});
    next = send_add(fixture, (struct add){.producer = {1000, 1}, .version = 2});
    new = send_init(fixture, (struct init){0});
    newer = send_init(fixture, (struct init){0});
    assert_int_equal(fixture->log_count, 3);
    assert_int_equal(end_code(fixture, same, NULL), -2);
    fixture_mark(fixture, "t", 0, OK);
    assert_code(end_code(fixture, same, &got), OK);
    assert_identity(got, 1000, 1);
    assert_code(end_code(fixture, other, NULL), ERR_INVALID_TXN_STATE);
    assert_code(add_code(fixture, next), OK);
    assert_int_equal(init_code(fixture, new, NULL), -2); /* it fences what `next` has begun */
    fixture_mark_all(fixture, OK);
    assert_code(init_code(fixture, new, &got), OK);
    assert_identity(got, 1000, 3);
    assert_code(init_code(fixture, newer, &got), OK);
    assert_identity(got, 1000, 4);
}

static void who_comes_when_the_id_is_free_does_not_pass_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t zombie, waits, comes;

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    zombie = send_add(fixture, (struct add){.producer = {1000, 7}});
    waits = send_add(fixture, (struct add){.producer = me});
    fixture->hold_ticks = true;
    fixture_mark_all(fixture, OK);
    assert_code(add_code(fixture, zombie), ERR_PRODUCER_FENCED);
    assert_int_equal(add_code(fixture, waits), -2);
    comes = send_init(fixture, (struct init){0});
    assert_int_equal(init_code(fixture, comes, NULL), -2);
    fixture->hold_ticks = false;
    fixture_tick(fixture);
    assert_code(add_code(fixture, waits), OK);
    fixture_mark_all(fixture, OK);
    assert_code(init_code(fixture, comes, NULL), OK);
}

static void who_waits_too_long_is_told_as_kafka_tells_it(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t tokens[3];

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    tokens[0] = send_end(fixture, (struct end){.producer = me, .commit = true});
    tokens[1] = send_add(fixture, (struct add){.producer = me});
    tokens[2] = send_init(fixture, (struct init){0});
    fixture_advance(fixture, TRANSACTION_PARK_MS_MAX - 1);
    assert_int_equal(end_code(fixture, tokens[0], NULL), -2);
    fixture_advance(fixture, 1);
    assert_code(end_code(fixture, tokens[0], NULL), ERR_CONCURRENT_TRANSACTIONS);
    assert_code(add_code(fixture, tokens[1]), ERR_CONCURRENT_TRANSACTIONS);
    assert_code(init_code(fixture, tokens[2], NULL), ERR_CONCURRENT_TRANSACTIONS);
}

static void who_hung_up_is_not_run(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t gone;

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    gone = send_add(fixture, (struct add){.producer = me});
    transaction_coordinator_forget(fixture->coordinator, gone);
    transaction_coordinator_forget(fixture->coordinator, 4711);
    fixture_mark_all(fixture, OK);
    assert_false(fixture_is_answered(fixture, gone));
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
}

static void protocol_0_fences_before_it_waits_and_protocol_2_after(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), zombie = {1000, 77};
    uint64_t token;

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = zombie}, NULL),
                ERR_PRODUCER_FENCED);
    token = send_end(fixture, (struct end){.producer = zombie, .version = 2});
    assert_int_equal(end_code(fixture, token, NULL), -2);
    fixture_mark_all(fixture, OK);
    assert_code(end_code(fixture, token, NULL), ERR_PRODUCER_FENCED);
}

static void no_next_producer_id_at_the_last_epoch_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct identity last = at(fixture, TRANSACTION_ONGOING, 32766, 7);

    fixture->producer_id_err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
    assert_code(end_transaction(fixture,
                                (struct end){.producer = last, .commit = true, .version = 2}, NULL),
                ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 7/32766 t-2");
}

static void the_overflow_survives_a_reload_between_its_stages(void **state)
{
    struct fixture *fixture = *state;
    struct identity last = at(fixture, TRANSACTION_ONGOING, 32766, 7), got = {0};

    fixture->mark_at_once = false;
    assert_code(end_transaction(fixture,
                                (struct end){.producer = last, .commit = true, .version = 2}, &got),
                OK);
    assert_identity(got, 1000, 0);
    fixture_load(fixture);
    assert_string_equal(fixture_markers_text(fixture),
                        "commit pid=7 epoch=32767 coordinator=3 version=2 t-2");
    fixture_mark_all(fixture, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
    assert_non_null(strstr(fixture_dump(fixture, fixture->coordinator, true), "next=-1"));
    assert_code(end_transaction(fixture,
                                (struct end){.producer = last, .commit = true, .version = 2}, &got),
                OK);
    assert_identity(got, 1000, 0);
}

static void the_epoch_before_is_no_retry_of_an_end_that_did_not_raise_it(void **state)
{
    struct fixture *fixture = *state;
    struct identity past = init_ok(fixture, NULL), present = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = present}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = present}, NULL), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = past, .version = 2}, NULL),
                ERR_PRODUCER_FENCED);
}

static void an_empty_abort_has_no_markers(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    fixture->mark_at_once = false;
    assert_code(end_transaction(fixture, (struct end){.producer = me, .version = 2}, NULL), OK);
    assert_int_equal(fixture_markers(fixture), 0);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
    assert_non_null(
        strstr(fixture_dump(fixture, fixture->coordinator, false), "start=1700000000000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(protocol_0_answers_by_state_and_epoch),
        ROW(protocol_2_answers_by_state_and_epoch),
        ROW(ids_that_are_none_are_refused),
        ROW(the_answer_comes_when_prepare_is_committed),
        ROW(a_refused_end_can_be_tried_again_either_way),
        ROW(a_late_end_goes_on_by_itself),
        ROW(requests_wait_in_order_until_the_transaction_is_complete),
        ROW(who_comes_when_the_id_is_free_does_not_pass_those_who_wait),
        ROW(who_waits_too_long_is_told_as_kafka_tells_it),
        ROW(who_hung_up_is_not_run),
        ROW(protocol_0_fences_before_it_waits_and_protocol_2_after),
        ROW(no_next_producer_id_at_the_last_epoch_is_told),
        ROW(the_overflow_survives_a_reload_between_its_stages),
        ROW(the_epoch_before_is_no_retry_of_an_end_that_did_not_raise_it),
        ROW(an_empty_abort_has_no_markers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
