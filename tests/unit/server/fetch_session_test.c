/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fetch_session_test.c: the table of fetch sessions and the budget of a reply,
 * alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/fetch_session.h"

#define OKAY(expression) assert_int_equal((expression), OK)
#define MINUTES(n) ((n)*INT64_C(60000))

struct table {
    struct fetch_sessions sessions;
    struct random random;
};

static void open_table(struct table *table, size_t slots)
{
    fetch_sessions_init(&table->sessions, 0, 1, slots);
    random_init(&table->random, 42);
}

static struct fetch_session *make(struct table *table, bool follower, size_t partitions,
                                  int64_t now_ms)
{
    struct fetch_session *session =
        fetch_sessions_create(&table->sessions, follower, true, partitions, now_ms, &table->random);

    for (size_t i = 0; session && i < partitions; i++)
        OKAY(fetch_session_put(&table->sessions, session,
                               &(struct fetch_params){.topic_id = {{1}}, .index = (int32_t)i}));
    return session;
}

static void epoch_moves_when_a_request_is_accepted(void **state)
{
    struct table table;
    struct fetch_session *session;
    struct fetch_session *got = NULL;

    (void)state;
    open_table(&table, 10);
    session = make(&table, false, 1, 0);
    assert_int_equal(fetch_sessions_accept(&table.sessions, session->id, 2, true, 0, &got),
                     ERR_INVALID_FETCH_SESSION_EPOCH);
    OKAY(fetch_sessions_accept(&table.sessions, session->id, 1, true, 0, &got));
    assert_ptr_equal(got, session);
    assert_int_equal(fetch_sessions_accept(&table.sessions, session->id, 1, true, 0, &got),
                     ERR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch_sessions_accept(&table.sessions, session->id, 2, false, 0, &got),
                     ERR_FETCH_SESSION_TOPIC_ID_ERROR);
    assert_int_equal(fetch_sessions_accept(&table.sessions, session->id + 1, 2, true, 0, &got),
                     ERR_FETCH_SESSION_ID_NOT_FOUND);
    fetch_sessions_release(&table.sessions);
}

static void epoch_after_the_last_is_one(void **state)
{
    (void)state;
    assert_int_equal(fetch_epoch_next(0), 1);
    assert_int_equal(fetch_epoch_next(INT32_MAX), 1);
    assert_int_equal(fetch_epoch_next(-1), -1);
}

static void ids_name_their_shard(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 7; shards++) {
        for (int shard = 0; shard < shards; shard++) {
            struct fetch_sessions sessions;

            fetch_sessions_init(&sessions, shard, shards, 1);
            assert_true(sessions.id_min > 0);
            assert_int_equal(fetch_session_shard(sessions.id_min, shards), shard);
            assert_int_equal(fetch_session_shard(sessions.id_max, shards), shard);
            fetch_sessions_release(&sessions);
        }
    }
    assert_int_equal(fetch_session_shard(INT32_MAX, 7), 6);
    assert_int_equal(fetch_session_shard(-5, 7), 0);
}

static void full_table_refuses_an_equal_newcomer(void **state)
{
    struct table table;

    (void)state;
    open_table(&table, 2);
    assert_non_null(make(&table, false, 5, 0));
    assert_non_null(make(&table, false, 5, 0));
    assert_null(make(&table, false, 50, MINUTES(1))); /* all are young */
    fetch_sessions_release(&table.sessions);
}

static void session_idle_for_two_minutes_gives_way(void **state)
{
    struct table table;
    int32_t idle;

    (void)state;
    open_table(&table, 1);
    idle = make(&table, true, 100, 0)->id;
    assert_non_null(make(&table, false, 1, MINUTES(2) + 1));
    assert_null(fetch_sessions_find(&table.sessions, idle));
    assert_int_equal(table.sessions.evictions, 1);
    assert_int_equal(table.sessions.partition_count, 1);
    fetch_sessions_release(&table.sessions);
}

static void larger_consumer_takes_the_place_of_an_old_smaller_one(void **state)
{
    struct table table;
    struct fetch_session *session;
    struct fetch_session *got;

    (void)state;
    open_table(&table, 1);
    session = make(&table, false, 5, 0);
    OKAY(fetch_sessions_accept(&table.sessions, session->id, 1, true, MINUTES(2), &got));
    assert_null(make(&table, false, 5, MINUTES(3))); /* not strictly larger */
    assert_non_null(make(&table, false, 6, MINUTES(3)));
    fetch_sessions_release(&table.sessions);
}

static void follower_takes_the_place_of_a_young_consumer_but_not_of_a_follower(void **state)
{
    struct table table;

    (void)state;
    open_table(&table, 1);
    assert_non_null(make(&table, false, 500, 0));
    assert_non_null(make(&table, true, 1, 1));
    assert_null(make(&table, true, 500, 2));
    assert_null(make(&table, false, 500, MINUTES(3) - 100000));
    fetch_sessions_release(&table.sessions);
}

static void session_in_use_outlives_its_eviction(void **state)
{
    struct table table;
    struct fetch_session *session;

    (void)state;
    open_table(&table, 1);
    session = make(&table, false, 2, 0);
    fetch_session_use(session);
    fetch_sessions_remove(&table.sessions, session);
    assert_int_equal(fetch_session_size(session), 2);
    assert_int_equal(table.sessions.partition_count, 0);
    fetch_session_unuse(session); /* freed: the address sanitizer would tell of a second use */
    fetch_sessions_release(&table.sessions);
}

static void incremental_reply_holds_what_changed(void **state)
{
    struct table table;
    struct fetch_session *session;
    struct fetch_session_partition *first;
    struct fetch_session_partition *second;
    struct fetch_reply_facts facts = {.high_watermark = 5};

    (void)state;
    open_table(&table, 1);
    session = make(&table, false, 2, 0);
    first = fetch_session_find(session, (struct uuid){{1}}, SLICE_NULL, 0);
    second = fetch_session_find(session, (struct uuid){{1}}, SLICE_NULL, 1);
    assert_true(fetch_session_answers(session, first, &facts, false)); /* never sent */
    assert_false(fetch_session_answers(session, first, &facts, false));
    facts.high_watermark = 6;
    assert_true(fetch_session_answers(session, first, &facts, false));
    facts.log_start_offset = 1;
    assert_true(fetch_session_answers(session, first, &facts, false));
    facts.has_diverging = true;
    assert_true(fetch_session_answers(session, first, &facts, false));
    facts.has_diverging = false;
    facts.error_code = 6;
    assert_true(fetch_session_answers(session, first, &facts, false));
    facts.error_code = 0; /* recovered: the same high watermark is sent again */
    assert_true(fetch_session_answers(session, first, &facts, false));
    assert_false(fetch_session_answers(session, first, &facts, false));
    assert_ptr_equal(list_first(&session->order), &first->order);
    facts.has_records = true;
    assert_true(fetch_session_answers(session, first, &facts, false));
    assert_ptr_equal(list_first(&session->order), &second->order); /* fairness */
    fetch_sessions_release(&table.sessions);
}

static void put_again_replaces_the_parameters_and_keeps_what_was_sent(void **state)
{
    struct table table;
    struct fetch_session *session;
    struct fetch_session_partition *partition;

    (void)state;
    open_table(&table, 1);
    session = make(&table, false, 1, 0);
    partition = fetch_session_find(session, (struct uuid){{1}}, SLICE_NULL, 0);
    partition->high_watermark = 9;
    OKAY(fetch_session_put(&table.sessions, session,
                           &(struct fetch_params){.topic_id = {{1}}, .offset = 77}));
    assert_int_equal(fetch_session_size(session), 1);
    assert_int_equal(partition->params.offset, 77);
    assert_int_equal(partition->high_watermark, 9);
    fetch_session_forget(&table.sessions, session, (struct uuid){{1}}, SLICE_NULL, 0);
    assert_int_equal(fetch_session_size(session), 0);
    assert_int_equal(table.sessions.partition_count, 0);
    fetch_sessions_release(&table.sessions);
}

static void first_partition_with_bytes_may_pass_the_limits(void **state)
{
    struct fetch_budget budget = {.left = 100};

    (void)state;
    assert_int_equal(fetch_budget_take(&budget, 50, 0, 0), 0);
    assert_int_equal(fetch_budget_take(&budget, 50, 500, 500), 500); /* the whole first batch */
    assert_int_equal(fetch_budget_take(&budget, 50, 10, 10), 0);
}

/* Its bytes count, not what its rotted size promises: the others would starve. */
static void batch_that_promises_more_than_is_there_leaves_room_for_others(void **state)
{
    struct fetch_budget budget = {.left = 100};

    (void)state;
    assert_int_equal(fetch_budget_take(&budget, 50, 30, 1000000), 30);
    assert_int_equal(fetch_budget_take(&budget, 50, 50, 20), 50);
}

static void oversized_batch_behind_the_first_gives_nothing(void **state)
{
    struct fetch_budget budget = {.left = 100};

    (void)state;
    assert_int_equal(fetch_budget_take(&budget, 60, 60, 20), 60);
    assert_int_equal(fetch_budget_take(&budget, 60, 60, 50), 0);
    assert_int_equal(fetch_budget_take(&budget, 60, 60, 30), 40); /* cut anywhere */
    assert_int_equal(fetch_budget_take(&budget, 60, 60, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoch_moves_when_a_request_is_accepted),
        cmocka_unit_test(epoch_after_the_last_is_one),
        cmocka_unit_test(ids_name_their_shard),
        cmocka_unit_test(full_table_refuses_an_equal_newcomer),
        cmocka_unit_test(session_idle_for_two_minutes_gives_way),
        cmocka_unit_test(larger_consumer_takes_the_place_of_an_old_smaller_one),
        cmocka_unit_test(follower_takes_the_place_of_a_young_consumer_but_not_of_a_follower),
        cmocka_unit_test(session_in_use_outlives_its_eviction),
        cmocka_unit_test(incremental_reply_holds_what_changed),
        cmocka_unit_test(put_again_replaces_the_parameters_and_keeps_what_was_sent),
        cmocka_unit_test(first_partition_with_bytes_may_pass_the_limits),
        cmocka_unit_test(batch_that_promises_more_than_is_there_leaves_room_for_others),
        cmocka_unit_test(oversized_batch_behind_the_first_gives_nothing),
    };

    return cmocka_run_group_tests_name("server/fetch_session", tests, NULL, NULL);
}
