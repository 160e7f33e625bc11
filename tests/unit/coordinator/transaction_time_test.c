/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Overdue transactions and expired ids: rules of transactions.md §11, §18 of the reference.
 */
#include "transaction_support.h"

#define MINUTE_MS INT64_C(60000)
#define SCAN_MS 10000
#define WEEK_MS INT64_C(604800000)
#define HOUR_MS INT64_C(3600000)

static struct identity open_one(struct fixture *fixture, int8_t version)
{
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me, .version = version}), OK);
    return me;
}

static void an_overdue_transaction_is_aborted_with_a_new_epoch(void **state)
{
    struct fixture *fixture = *state;

    open_one(fixture, 2);
    fixture_advance(fixture, MINUTE_MS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    fixture_advance(fixture, SCAN_MS);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
    assert_non_null(strstr(fixture->log_text,
                           "transaction_overdue transactional_id=x producer_id=1000 epoch=0 "
                           "age_ms=70000 timeout_ms=60000 partitions=1"));
}

/* Found by simulated clocks: with wall time alone the last stable offset stood still until it had come back. */
static void a_clock_that_was_set_back_keeps_no_transaction_open(void **state)
{
    struct fixture *fixture = *state;

    open_one(fixture, 2);
    fixture->moment.wall_ms -= HOUR_MS;
    fixture_advance(fixture, MINUTE_MS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    fixture_advance(fixture, 2 * SCAN_MS);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
}

static void the_clock_starts_at_the_first_partition(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    fixture_advance(fixture, 55000);
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture_advance(fixture, 55000);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1}), OK);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0 t-1");
    fixture_advance(fixture, 15000);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
}

static void a_client_of_protocol_2_learns_of_the_abort_and_goes_on(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = open_one(fixture, 2), got = {0};

    fixture_advance(fixture, MINUTE_MS + SCAN_MS);
    assert_code(
        end_transaction(fixture, (struct end){.producer = me, .commit = true, .version = 2}, NULL),
        ERR_INVALID_TXN_STATE);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .version = 2}, &got), OK);
    assert_identity(got, 1000, 1);
}

static void a_client_of_protocol_0_is_fenced_by_the_abort(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = open_one(fixture, 0);

    fixture_advance(fixture, MINUTE_MS + SCAN_MS);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL),
                ERR_PRODUCER_FENCED);
    assert_code(end_transaction(fixture, (struct end){.producer = me}, NULL), ERR_PRODUCER_FENCED);
}

static void in_an_old_cluster_the_abort_has_the_raised_epoch_and_protocol_0(void **state)
{
    struct fixture *fixture = *state;

    fixture_level(fixture, 1);
    open_one(fixture, 0);
    fixture->mark_at_once = false;
    fixture_advance(fixture, MINUTE_MS + SCAN_MS);
    assert_string_equal(fixture_markers_text(fixture),
                        "abort pid=1000 epoch=1 coordinator=1 version=0 t-0");
    fixture_mark_all(fixture, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
}

static void after_an_abort_of_an_old_cluster_the_epoch_before_is_not_known(void **state)
{
    struct fixture *fixture = *state;
    struct identity first, second;

    fixture_level(fixture, 1);
    first = init_ok(fixture, NULL);
    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, &second), OK);
    assert_code(add(fixture, (struct add){.producer = second}), OK);
    fixture_advance(fixture, MINUTE_MS + SCAN_MS);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/2");
    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, NULL),
                ERR_PRODUCER_FENCED);
}

static void two_phase_commit_is_never_overdue(void **state)
{
    struct fixture *fixture = *state;
    struct identity me;

    fixture->options.two_phase_commit_on = true;
    transaction_coordinator_set_options(fixture->coordinator, &fixture->options);
    assert_code(init(fixture, (struct init){.two_phase = true}, &me), OK);
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture_advance(fixture, 1000 * HOUR_MS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
}

static void a_refused_abort_is_tried_at_the_next_scan(void **state)
{
    struct fixture *fixture = *state;

    open_one(fixture, 2);
    fixture_advance(fixture, MINUTE_MS);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    fixture_advance(fixture, SCAN_MS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    fixture_advance(fixture, SCAN_MS);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
}

static void many_overdue_transactions_are_aborted_in_one_scan(void **state)
{
    struct fixture *fixture = *state;
    struct list_transactions_request request;
    struct slice filter = text("Ongoing");

    list_transactions_request_init(&request);
    request.state_filters = &filter;
    request.state_filters_count = 1;
    fixture->logger.level = LOG_LEVEL_ERROR;
    for (int i = 0; i < 700; i++) {
        char *id = arena_format(&fixture->arena, "id%d", i);
        struct identity me = init_ok(fixture, id);

        assert_code(add(fixture, (struct add){.id = id, .producer = me}), OK);
    }
    fixture_advance(fixture, MINUTE_MS + SCAN_MS);
    assert_string_equal(list(fixture, &request, NULL), "");
}

static void an_unused_id_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    fixture_advance(fixture, WEEK_MS - HOUR_MS);
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    fixture_advance(fixture, HOUR_MS);
    assert_string_equal(describe(fixture, NULL), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_true(slice_is_null(fixture->log[fixture->log_count - 1].value));
    assert_code(add(fixture, (struct add){.producer = me}), ERR_INVALID_PRODUCER_ID_MAPPING);
    assert_identity(init_ok(fixture, NULL), 1001, 0);
}

static void an_open_transaction_keeps_its_id(void **state)
{
    struct fixture *fixture = *state;
    struct identity me;

    fixture->options.two_phase_commit_on = true;
    transaction_coordinator_set_options(fixture->coordinator, &fixture->options);
    assert_code(init(fixture, (struct init){.two_phase = true}, &me), OK);
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture_advance(fixture, 2 * WEEK_MS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    fixture_advance(fixture, WEEK_MS + HOUR_MS);
    assert_string_equal(describe(fixture, NULL), "TRANSACTIONAL_ID_NOT_FOUND");
}

static void a_refused_tombstone_leaves_the_id(void **state)
{
    struct fixture *fixture = *state;

    init_ok(fixture, NULL);
    fixture_advance(fixture, WEEK_MS - 1);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    fixture_advance(fixture, 1);
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    assert_identity(init_ok(fixture, NULL), 1000, 1);
}

static void requests_wait_for_a_tombstone_and_then_find_no_id(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), got = {0};
    uint64_t add, first, second;

    fixture_advance(fixture, WEEK_MS - 1);
    fixture->hold_commits = true;
    fixture_advance(fixture, 1);
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0"); /* not committed */
    add = send_add(fixture, (struct add){.producer = me});
    first = send_init(fixture, (struct init){0});
    second = send_init(fixture, (struct init){0});
    assert_false(fixture_is_answered(fixture, add));
    fixture_commit(fixture);
    assert_code(add_code(fixture, add), ERR_INVALID_PRODUCER_ID_MAPPING);
    assert_code(init_code(fixture, first, &got), OK);
    assert_identity(got, 1001, 0);
    assert_code(init_code(fixture, second, &got), OK);
    assert_identity(got, 1001, 1);
}

static void many_ids_expire_in_steps(void **state)
{
    struct fixture *fixture = *state;
    struct coordinator_effects effects;

    for (int i = 0; i < 1300; i++)
        init_ok(fixture, arena_format(&fixture->arena, "id%d", i));
    fixture->moment.now_ms += WEEK_MS;
    fixture->moment.wall_ms += WEEK_MS;
    fixture->hold_commits = true;
    coordinator_effects_init(&effects, &fixture->arena);
    assert_int_equal(transaction_coordinator_tick(fixture->coordinator, &fixture->moment, &effects),
                     OK);
    assert_in_range(effects.record_count, 1, 512);
    assert_true(effects.divisible);
    for (size_t i = 0; i < effects.record_count; i++)
        fixture_append(fixture, effects.records[i].key, effects.records[i].value);
    fixture_tick(fixture);
    fixture_commit(fixture);
    assert_string_equal(list(fixture, NULL, NULL), "");
}

static void intervals_can_be_changed(void **state)
{
    struct fixture *fixture = *state;

    open_one(fixture, 2);
    fixture->options.abort_scan_interval_ms = 1000;
    transaction_coordinator_set_options(fixture->coordinator, &fixture->options);
    fixture_advance(fixture, MINUTE_MS + 1001);
    assert_string_equal(describe(fixture, NULL), "CompleteAbort 1000/1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(an_overdue_transaction_is_aborted_with_a_new_epoch),
        ROW(a_clock_that_was_set_back_keeps_no_transaction_open),
        ROW(the_clock_starts_at_the_first_partition),
        ROW(a_client_of_protocol_2_learns_of_the_abort_and_goes_on),
        ROW(a_client_of_protocol_0_is_fenced_by_the_abort),
        ROW(in_an_old_cluster_the_abort_has_the_raised_epoch_and_protocol_0),
        ROW(after_an_abort_of_an_old_cluster_the_epoch_before_is_not_known),
        ROW(two_phase_commit_is_never_overdue),
        ROW(a_refused_abort_is_tried_at_the_next_scan),
        ROW(many_overdue_transactions_are_aborted_in_one_scan),
        ROW(an_unused_id_is_forgotten),
        ROW(an_open_transaction_keeps_its_id),
        ROW(a_refused_tombstone_leaves_the_id),
        ROW(requests_wait_for_a_tombstone_and_then_find_no_id),
        ROW(many_ids_expire_in_steps),
        ROW(intervals_can_be_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
