/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeTransactions, ListTransactions and views: rules of transactions.md §13 of the reference.
 */
#include "transaction_support.h"

static void only_known_ids_are_described(void **state)
{
    assert_string_equal(describe(*state, ""), "INVALID_REQUEST");
    assert_string_equal(describe(*state, "nobody"), "TRANSACTIONAL_ID_NOT_FOUND");
}

static void a_description_tells_what_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    fixture->hold_commits = true;
    send_add(fixture, (struct add){.producer = me});
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    send_add(fixture, (struct add){.producer = me, .partition = 1});
    fixture_commit_one(fixture);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0");
    fixture_commit(fixture);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-0 t-1");
}

static void a_description_tells_timeout_and_start(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    const struct describe_transactions_response_transaction_state *told;
    struct slice id = text("x");

    told = fixture_reply(fixture, fixture_send(fixture, API_DESCRIBE_TRANSACTIONS, 0, &id));
    assert_int_equal(told->transaction_timeout_ms, 60000);
    assert_int_equal(told->transaction_start_time_ms, -1);
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    told = fixture_reply(fixture, fixture_send(fixture, API_DESCRIBE_TRANSACTIONS, 0, &id));
    assert_int_equal(told->transaction_start_time_ms, fixture->moment.wall_ms);
}

/* Memory grows with the partitions, not with their square when each is of another topic. */
static void a_description_of_many_topics_takes_what_it_tells(void **state)
{
    enum { TOPICS = 2000 };
    struct fixture *fixture = *state;
    struct transaction_log_value value = log_value(3);
    const struct describe_transactions_response_transaction_state *told;
    struct slice id = text("x");
    size_t before;
    int32_t indexes[2] = {0, 7};

    value.transaction_status = TRANSACTION_ONGOING;
    value.transaction_start_timestamp_ms = fixture->moment.wall_ms;
    value.transaction_partitions =
        transaction_log_value_partitions_schema_array(&fixture->arena, TOPICS);
    value.transaction_partitions_count = TOPICS;
    for (int32_t i = 0; i < TOPICS; i++) {
        value.transaction_partitions[i].topic = text(arena_format(&fixture->arena, "topic%04d", i));
        value.transaction_partitions[i].partition_ids = indexes;
        value.transaction_partitions[i].partition_ids_count = i == 1 ? 2 : 1;
    }
    fixture_log(fixture, "x", 1, &value);
    before = fixture->arena.used_bytes;
    told = fixture_reply(fixture, fixture_send(fixture, API_DESCRIBE_TRANSACTIONS, 0, &id));
    assert_int_equal(told->topics_count, TOPICS);
    for (int32_t i = 0; i < TOPICS; i++) {
        assert_int_equal(told->topics[i].partitions_count, i == 1 ? 2 : 1);
        assert_int_equal(told->topics[i].partitions[0], 0);
    }
    assert_int_equal(told->topics[1].partitions[1], 7);
    assert_true(fixture->arena.used_bytes - before < (size_t)TOPICS * 256);
    fixture->log_count = 0; /* more than teardown's text has room for */
    fixture_load(fixture);
}

/* "a" Ongoing for a minute, "b" CompleteCommit, "c" Empty. */
static void three(struct fixture *fixture)
{
    struct identity a = init_ok(fixture, "a"), b;

    assert_code(add(fixture, (struct add){.id = "a", .producer = a}), OK);
    fixture_advance(fixture, 59000);
    b = init_ok(fixture, "b");
    assert_code(add(fixture, (struct add){.id = "b", .producer = b}), OK);
    assert_code(
        end_transaction(fixture, (struct end){.id = "b", .producer = b, .commit = true}, NULL), OK);
    init_ok(fixture, "c");
    fixture_advance(fixture, 1000);
}

static bool is_not_a(void *context, struct slice id)
{
    UNUSED(context);
    return !slice_equal_text(id, "a");
}

static void a_list_keeps_what_every_filter_keeps(void **state)
{
    static const struct {
        const char *rule;
        const char *states[2];
        int64_t producers[2];
        int64_t duration_ms;
        bool matches;
        const char *told;
    } rows[] = {
        {"no filter keeps all",
         {0},
         {0},
         -1,
         false,
         "a Ongoing 1000, b CompleteCommit 1001, c Empty 1002"},
        {"one state", {"Ongoing"}, {0}, -1, false, "a Ongoing 1000"},
        {"two states", {"Ongoing", "Empty"}, {0}, -1, false, "a Ongoing 1000, c Empty 1002"},
        {"a state that is none", {"Sleeping"}, {0}, -1, false, ""},
        {"a state that is none beside one", {"Sleeping", "Empty"}, {0}, -1, false, "c Empty 1002"},
        {"Dead is never listed", {"Dead"}, {0}, -1, false, ""},
        {"producer ids", {0}, {1001, 1002}, -1, false, "b CompleteCommit 1001, c Empty 1002"},
        {"a producer id that is none", {0}, {7}, -1, false, ""},
        {"longer than", {0}, {0}, 59999, false, "a Ongoing 1000, c Empty 1002"},
        {"not as long as", {0}, {0}, 60000, false, "c Empty 1002"},
        {"a duration of 0 is a filter",
         {0},
         {0},
         0,
         false,
         "a Ongoing 1000, b CompleteCommit 1001, c Empty 1002"},
        {"longer than ever", {0}, {0}, INT64_MAX, false, ""},
        {"a pattern", {0}, {0}, -1, true, "b CompleteCommit 1001, c Empty 1002"},
        {"all together", {"Empty"}, {1002}, 5, true, "c Empty 1002"},
    };
    struct fixture *fixture = *state;

    three(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct list_transactions_request request;
        struct slice states[2];
        int64_t producers[2] = {rows[i].producers[0], rows[i].producers[1]};
        const char *told;

        list_transactions_request_init(&request);
        request.state_filters = states;
        request.producer_id_filters = producers;
        for (int k = 0; k < 2; k++) {
            if (rows[i].states[k])
                states[request.state_filters_count++] = text(rows[i].states[k]);
            if (rows[i].producers[k])
                request.producer_id_filters_count++;
        }
        request.duration_filter = rows[i].duration_ms;
        told = list(fixture, &request, rows[i].matches ? is_not_a : NULL);
        if (strcmp(told, rows[i].told) != 0)
            fail_msg("%s: %s", rows[i].rule, told);
    }
}

struct seen {
    size_t count, partitions, markers;
    char state[32];
};

static void view_take(void *context, const struct transaction_view *view)
{
    struct seen *seen = context;

    seen->count++;
    seen->partitions = view->partition_count;
    seen->markers = view->marker_count;
    snprintf(seen->state, sizeof seen->state, "%s", view->state);
}

static void views_tell_how_many_markers_are_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    struct seen seen = {0};

    fixture->mark_at_once = false;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me}, NULL), OK);
    fixture_mark(fixture, "t", 0, OK);
    transaction_coordinator_each(fixture->coordinator, view_take, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.partitions, 2);
    assert_int_equal(seen.markers, 1);
    assert_string_equal(seen.state, "PrepareAbort");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(only_known_ids_are_described),
        ROW(a_description_tells_what_is_committed),
        ROW(a_description_tells_timeout_and_start),
        ROW(a_description_of_many_topics_takes_what_it_tells),
        ROW(a_list_keeps_what_every_filter_keeps),
        ROW(views_tell_how_many_markers_are_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
