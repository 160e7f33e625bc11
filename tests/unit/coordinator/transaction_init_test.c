/* SPDX-License-Identifier: Apache-2.0 */
/*
 * InitProducerId: rules of transactions.md §5, §14 of the reference, KIP-360, KIP-939. Each row of the
 * tables is a sentence.
 */
#include "transaction_support.h"

static void bad_requests_get_their_error_and_leave_no_trace(void **state)
{
    static const struct {
        const char *rule;
        struct init init;
        bool two_phase_on;
        enum err told;
    } rows[] = {
        {"an empty id is no id", {.id = ""}, false, ERR_INVALID_REQUEST},
        {"an id that is expected needs an epoch",
         {.expects = true, .expected = {5, -1}},
         false,
         ERR_INVALID_REQUEST},
        {"an epoch that is expected needs an id",
         {.expects = true, .expected = {-1, 5}},
         false,
         ERR_INVALID_REQUEST},
        {"two-phase commit that is switched off is not allowed",
         {.two_phase = true},
         false,
         ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {"prepared transactions cannot be kept", {.keeps = true}, false, ERR_UNSUPPORTED_VERSION},
        {"a timeout of 0 is none", {.timeout_ms = -1}, false, ERR_INVALID_TRANSACTION_TIMEOUT},
        {"a timeout above the limit is refused",
         {.timeout_ms = 900001},
         false,
         ERR_INVALID_TRANSACTION_TIMEOUT},
        {"a switched-off two-phase commit comes before what cannot be kept",
         {.two_phase = true, .keeps = true},
         false,
         ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {"what cannot be kept comes before a bad timeout",
         {.keeps = true, .timeout_ms = -1},
         true,
         ERR_UNSUPPORTED_VERSION},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct transaction_options options = fixture->options;

        options.two_phase_commit_on = rows[i].two_phase_on;
        transaction_coordinator_set_options(fixture->coordinator, &options);
        if (init(fixture, rows[i].init, NULL) != err_wire_code(rows[i].told))
            fail_msg("%s", rows[i].rule);
        assert_int_equal(fixture->log_count, 0);
        assert_string_equal(list(fixture, NULL, NULL), "");
    }
}

static void a_timeout_at_the_limit_is_accepted(void **state)
{
    assert_code(init(*state, (struct init){.timeout_ms = 900000}, NULL), OK);
}

static void two_phase_commit_takes_any_timeout_and_has_none(void **state)
{
    struct fixture *fixture = *state;
    struct transaction_options options = fixture->options;

    options.two_phase_commit_on = true;
    transaction_coordinator_set_options(fixture->coordinator, &options);
    assert_code(init(fixture, (struct init){.two_phase = true, .timeout_ms = -1}, NULL), OK);
    assert_non_null(
        strstr(fixture_dump(fixture, fixture->coordinator, false), "timeout=2147483647"));
}

static void a_new_id_gets_a_producer_id_and_epoch_0(void **state)
{
    struct identity got = init_ok(*state, NULL);

    assert_identity(got, 1000, 0);
    assert_string_equal(describe(*state, NULL), "Empty 1000/0");
}

static void an_id_that_comes_again_gets_the_next_epoch(void **state)
{
    init_ok(*state, NULL);
    assert_identity(init_ok(*state, NULL), 1000, 1);
    assert_identity(init_ok(*state, "other"), 1001, 0);
}

static void no_producer_id_at_hand_is_told(void **state)
{
    struct fixture *fixture = *state;

    fixture->producer_id_err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
    assert_code(init(fixture, (struct init){0}, NULL), ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_string_equal(describe(fixture, NULL), "TRANSACTIONAL_ID_NOT_FOUND");
}

static void a_first_write_that_is_refused_keeps_its_producer_id(void **state)
{
    struct fixture *fixture = *state;
    uint64_t token;

    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = send_init(fixture, (struct init){0});
    assert_int_equal(fixture_failure(fixture, token), ERR_COORDINATOR_NOT_AVAILABLE);
    assert_identity(init_ok(fixture, NULL), 1000, 0);
}

static void a_refused_write_changes_nothing(void **state)
{
    struct fixture *fixture = *state;

    init_ok(fixture, NULL);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    send_init(fixture, (struct init){0});
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    assert_identity(init_ok(fixture, NULL), 1000, 1);
}

static void a_write_that_comes_late_stays(void **state)
{
    struct fixture *fixture = *state;
    struct identity got = {0};
    uint64_t late, next;

    init_ok(fixture, NULL);
    fixture->hold_commits = true;
    late = send_init(fixture, (struct init){0});
    fixture_time_out(fixture);
    assert_int_equal(fixture_failure(fixture, late), ERR_COORDINATOR_NOT_AVAILABLE);
    next = send_init(fixture, (struct init){0});
    assert_int_equal(init_code(fixture, next, NULL), -2); /* the late one is still on its way */
    fixture_commit(fixture);
    assert_code(init_code(fixture, next, &got), OK);
    assert_identity(got, 1000, 2);
}

static void a_producer_that_goes_on_after_an_error_is_known_by_its_epoch(void **state)
{
    struct fixture *fixture = *state;
    struct identity first = init_ok(fixture, NULL), got = {0};

    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, &got), OK);
    assert_identity(got, 1000, 1);
    /* The answer was lost: asked again with the epoch before, it gets the same. */
    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, &got), OK);
    assert_identity(got, 1000, 1);
    assert_int_equal(fixture->log_count, 3);
}

static void after_a_reload_the_epoch_before_is_not_known(void **state)
{
    struct fixture *fixture = *state;
    struct identity first = init_ok(fixture, NULL);

    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, NULL), OK);
    fixture_load(fixture);
    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, NULL),
                ERR_PRODUCER_FENCED);
}

static void a_producer_is_fenced_when_another_came_in_between(void **state)
{
    struct fixture *fixture = *state;
    struct identity first = init_ok(fixture, NULL);

    init_ok(fixture, NULL);
    assert_code(init(fixture, (struct init){.expects = true, .expected = first}, NULL),
                ERR_PRODUCER_FENCED);
    assert_code(init(fixture, (struct init){.expects = true, .expected = {77, 1}}, NULL),
                ERR_PRODUCER_FENCED);
}

static void an_id_that_is_gone_is_made_anew_for_whoever_expects_it(void **state)
{
    struct identity got;

    assert_code(init(*state, (struct init){.expects = true, .expected = {77, 5}}, &got), OK);
    assert_identity(got, 1000, 0);
}

/* "x" at this epoch, Empty. */
static struct identity at_epoch(struct fixture *fixture, int16_t epoch)
{
    struct transaction_log_value value = log_value(epoch);

    fixture_log(fixture, "x", 1, &value);
    return (struct identity){7, epoch};
}

static void an_exhausted_epoch_gives_a_new_producer_id(void **state)
{
    at_epoch(*state, 32765);
    assert_identity(init_ok(*state, NULL), 7, 32766); /* the last one that clients may use */
    assert_identity(init_ok(*state, NULL), 1000, 0);
}

static void a_new_producer_id_is_told_again_to_whoever_had_the_last_epoch(void **state)
{
    struct fixture *fixture = *state;
    struct identity last = at_epoch(fixture, 32766), got = {0};

    assert_code(init(fixture, (struct init){.expects = true, .expected = last}, &got), OK);
    assert_identity(got, 1000, 0);
    assert_code(init(fixture, (struct init){.expects = true, .expected = last}, &got), OK);
    assert_identity(got, 1000, 0);
}

static void another_epoch_than_the_exhausted_one_fails_as_the_reference_does(void **state)
{
    at_epoch(*state, 32766);
    assert_code(init(*state, (struct init){.expects = true, .expected = {7, 5}}, NULL),
                ERR_UNKNOWN_SERVER_ERROR);
}

static void an_exhausted_epoch_without_producer_ids_is_told(void **state)
{
    struct fixture *fixture = *state;

    at_epoch(fixture, 32766);
    fixture->producer_id_err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
    assert_code(init(fixture, (struct init){0}, NULL), ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_string_equal(describe(fixture, NULL), "Empty 7/32766");
}

/* ---- a transaction is under way ---- */

static void fencing_aborts_and_then_answers_with_the_epoch_after_both(void **state)
{
    static const struct {
        int16_t level, last_epoch;
    } rows[] = {{0, 2}, {1, 2}, {2, 2}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char id[] = {(char)('a' + i), 0};
        struct identity old, got;
        uint64_t token;

        fixture_level(fixture, rows[i].level);
        old = init_ok(fixture, id);
        assert_code(add(fixture, (struct add){.id = id, .producer = old, .version = 2}), OK);
        fixture->mark_at_once = false;
        token = send_init(fixture, (struct init){.id = id});
        assert_int_equal(init_code(fixture, token, NULL), -2);
        assert_non_null(strstr(fixture_markers_text(fixture), "abort"));
        assert_non_null(strstr(fixture_markers_text(fixture), "epoch=1 "));
        fixture_mark_all(fixture, OK);
        assert_code(init_code(fixture, token, &got), OK);
        assert_identity(got, old.id, rows[i].last_epoch);
        assert_code(add(fixture, (struct add){.id = id, .producer = old}), ERR_PRODUCER_FENCED);
        fixture->mark_at_once = true;
    }
    fixture_level(fixture, 2);
    fixture->log_count = 0; /* versions 0 lose what teardown compares */
    fixture_load(fixture);
}

static void fencing_that_takes_long_is_told_as_kafka_tells_it(void **state)
{
    struct fixture *fixture = *state;
    struct identity old = init_ok(fixture, NULL);
    uint64_t token;

    assert_code(add(fixture, (struct add){.producer = old, .version = 2}), OK);
    fixture->mark_at_once = false;
    token = send_init(fixture, (struct init){0});
    fixture_advance(fixture, TRANSACTION_PARK_MS_MAX);
    assert_code(init_code(fixture, token, NULL), ERR_CONCURRENT_TRANSACTIONS);
    fixture_mark_all(fixture, OK);
    assert_identity(init_ok(fixture, NULL), 1000, 2);
}

static void a_fence_that_is_refused_fails_the_request(void **state)
{
    struct fixture *fixture = *state;
    struct identity old = init_ok(fixture, NULL);
    uint64_t token;

    assert_code(add(fixture, (struct add){.producer = old, .version = 2}), OK);
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = send_init(fixture, (struct init){0});
    assert_code(init_code(fixture, token, NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    /* Protocol 2: nothing was changed, and the old producer goes on. */
    assert_code(
        end_transaction(fixture, (struct end){.producer = old, .commit = true, .version = 2}, NULL),
        OK);
}

static void a_refused_fence_of_old_protocol_stays_in_force_and_is_raised_once(void **state)
{
    struct fixture *fixture = *state;
    struct identity old, got;

    fixture_level(fixture, 1);
    old = init_ok(fixture, NULL);
    assert_code(add(fixture, (struct add){.producer = old}), OK);
    for (int i = 0; i < 3; i++) {
        fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
        send_init(fixture, (struct init){0});
        assert_code(end_transaction(fixture, (struct end){.producer = old, .commit = true}, NULL),
                    ERR_PRODUCER_FENCED);
        assert_string_equal(describe(fixture, NULL), "Ongoing 1000/1 t-0");
    }
    got = init_ok(fixture, NULL);
    assert_identity(got, 1000, 2); /* one for the fence, one for the init */
}

static void fencing_an_exhausted_epoch_takes_a_new_producer_id_before_the_record(void **state)
{
    struct fixture *fixture = *state;
    struct identity last = at_epoch(fixture, 32766), got = {0};
    uint64_t token;

    assert_code(add(fixture, (struct add){.producer = last, .version = 2}), OK);
    fixture->producer_id_err = ERR_COORDINATOR_LOAD_IN_PROGRESS;
    assert_code(init(fixture, (struct init){0}, NULL), ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_string_equal(describe(fixture, NULL), "Ongoing 7/32766 t-0");
    fixture->producer_id_err = OK;
    fixture->mark_at_once = false;
    token = send_init(fixture, (struct init){0});
    assert_string_equal(fixture_markers_text(fixture),
                        "abort pid=7 epoch=32767 coordinator=2 version=2 t-0");
    fixture_mark_all(fixture, OK);
    assert_code(init_code(fixture, token, &got), OK);
    assert_identity(got, 1000, 1);
}

static void after_the_last_fence_of_old_protocol_epochs_start_anew(void **state)
{
    struct fixture *fixture = *state;
    struct identity last = at_epoch(fixture, 32766), got = {0};
    uint64_t first, second;

    fixture_level(fixture, 1);
    assert_code(add(fixture, (struct add){.producer = last}), OK);
    fixture->mark_at_once = false;
    first = send_init(fixture, (struct init){0});
    second = send_init(fixture, (struct init){0});
    assert_string_equal(fixture_markers_text(fixture),
                        "abort pid=7 epoch=32767 coordinator=2 version=0 t-0");
    fixture_mark_all(fixture, OK);
    assert_code(init_code(fixture, first, &got), OK);
    assert_identity(got, 1000, 0);
    assert_code(init_code(fixture, second, &got), OK);
    assert_identity(got, 1000, 1);
}

static void two_that_fence_at_once_come_one_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    struct identity old = init_ok(fixture, NULL), got = {0};
    uint64_t first, second;

    assert_code(add(fixture, (struct add){.producer = old, .version = 2}), OK);
    fixture->mark_at_once = false;
    first = send_init(fixture, (struct init){0});
    second = send_init(fixture, (struct init){0});
    fixture_mark_all(fixture, OK);
    assert_code(init_code(fixture, first, &got), OK);
    assert_identity(got, 1000, 2);
    assert_code(init_code(fixture, second, &got), OK);
    assert_identity(got, 1000, 3);
}

static void fencing_is_told_to_people(void **state)
{
    struct fixture *fixture = *state;
    struct identity old = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = old, .version = 2}), OK);
    init_ok(fixture, NULL);
    assert_non_null(strstr(fixture->log_text,
                           "transaction_fenced transactional_id=x producer_id=1000 epoch=0 "
                           "partitions=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(bad_requests_get_their_error_and_leave_no_trace),
        ROW(a_timeout_at_the_limit_is_accepted),
        ROW(two_phase_commit_takes_any_timeout_and_has_none),
        ROW(a_new_id_gets_a_producer_id_and_epoch_0),
        ROW(an_id_that_comes_again_gets_the_next_epoch),
        ROW(no_producer_id_at_hand_is_told),
        ROW(a_first_write_that_is_refused_keeps_its_producer_id),
        ROW(a_refused_write_changes_nothing),
        ROW(a_write_that_comes_late_stays),
        ROW(a_producer_that_goes_on_after_an_error_is_known_by_its_epoch),
        ROW(after_a_reload_the_epoch_before_is_not_known),
        ROW(a_producer_is_fenced_when_another_came_in_between),
        ROW(an_id_that_is_gone_is_made_anew_for_whoever_expects_it),
        ROW(an_exhausted_epoch_gives_a_new_producer_id),
        ROW(a_new_producer_id_is_told_again_to_whoever_had_the_last_epoch),
        ROW(another_epoch_than_the_exhausted_one_fails_as_the_reference_does),
        ROW(an_exhausted_epoch_without_producer_ids_is_told),
        ROW(fencing_aborts_and_then_answers_with_the_epoch_after_both),
        ROW(fencing_that_takes_long_is_told_as_kafka_tells_it),
        ROW(a_fence_that_is_refused_fails_the_request),
        ROW(a_refused_fence_of_old_protocol_stays_in_force_and_is_raised_once),
        ROW(fencing_an_exhausted_epoch_takes_a_new_producer_id_before_the_record),
        ROW(after_the_last_fence_of_old_protocol_epochs_start_anew),
        ROW(two_that_fence_at_once_come_one_after_the_other),
        ROW(fencing_is_told_to_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
