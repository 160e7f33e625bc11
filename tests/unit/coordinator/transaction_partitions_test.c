/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions of transactions, added and verified: rules of transactions.md §6, §14 of the reference.
 */
#include "transaction_support.h"

static void what_is_not_the_producer_of_the_id_is_refused(void **state)
{
    static const struct {
        const char *rule;
        struct add add;
        enum err add_told, verify_told;
    } rows[] = {
        {"an empty id is no id",
         {.id = "", .producer = {1000, 0}},
         ERR_INVALID_REQUEST,
         ERR_INVALID_REQUEST},
        {"an unknown id maps to no producer",
         {.id = "y", .producer = {1000, 0}},
         ERR_INVALID_PRODUCER_ID_MAPPING,
         ERR_INVALID_PRODUCER_ID_MAPPING},
        {"another producer id is not the id's",
         {.producer = {1001, 0}},
         ERR_INVALID_PRODUCER_ID_MAPPING,
         ERR_INVALID_PRODUCER_ID_MAPPING},
        {"a lower epoch is fenced",
         {.producer = {1000, 0}},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED},
        {"a higher epoch is fenced, too",
         {.producer = {1000, 2}},
         ERR_PRODUCER_FENCED,
         ERR_PRODUCER_FENCED},
        {"another producer id comes before another epoch",
         {.producer = {1001, 7}},
         ERR_INVALID_PRODUCER_ID_MAPPING,
         ERR_INVALID_PRODUCER_ID_MAPPING},
        {"the producer may add; what it has not added is not verified",
         {.producer = {1000, 1}},
         OK,
         ERR_TRANSACTION_ABORTABLE},
    };
    struct fixture *fixture = *state;

    init_ok(fixture, NULL);
    init_ok(fixture, NULL); /* epoch 1 */
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct add row = rows[i].add;
        int16_t verified, added;

        row.verify = true;
        verified = add(fixture, row);
        row.verify = false;
        added = add(fixture, row);
        if (verified != err_wire_code(rows[i].verify_told) ||
            added != err_wire_code(rows[i].add_told))
            fail_msg("%s: %d, %d", rows[i].rule, verified, added);
    }
}

static void partitions_gather_in_one_transaction(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me, .partition = 3}), OK);
    fixture_advance(fixture, 5000);
    assert_code(add(fixture, (struct add){.producer = me, .topic = "u", .partition = 1}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1}), OK);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-1 t-3 u-1");
    /* It began with the first one. */
    assert_non_null(
        strstr(fixture_dump(fixture, fixture->coordinator, false), "start=1700000000000"));
}

static void partitions_that_are_there_need_no_write(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    size_t before;

    assert_code(add(fixture, (struct add){.producer = me}), OK);
    before = fixture->log_count;
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_int_equal(fixture->log_count, before);
}

static void a_partition_of_the_transaction_is_verified(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .verify = true}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1, .verify = true}),
                ERR_TRANSACTION_ABORTABLE);
}

static void only_committed_partitions_are_verified(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture->hold_commits = true;
    send_add(fixture, (struct add){.producer = me, .partition = 1});
    send_add(fixture, (struct add){.producer = me, .partition = 2});
    assert_code(add(fixture, (struct add){.producer = me, .verify = true}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1, .verify = true}),
                ERR_TRANSACTION_ABORTABLE);
    fixture_commit_one(fixture);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1, .verify = true}), OK);
    assert_code(add(fixture, (struct add){.producer = me, .partition = 2, .verify = true}),
                ERR_TRANSACTION_ABORTABLE);
}

static void verification_does_not_wait_for_what_is_on_its_way(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture->hold_commits = true;
    send_end(fixture, (struct end){.producer = me});
    assert_code(add(fixture, (struct add){.producer = me, .verify = true}), OK);
    fixture->mark_at_once = false;
    fixture_commit(fixture);
    assert_code(add(fixture, (struct add){.producer = me, .verify = true}),
                ERR_CONCURRENT_TRANSACTIONS);
}

static void partitions_are_added_while_others_are(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t first, second, same;

    fixture->hold_commits = true;
    first = send_add(fixture, (struct add){.producer = me});
    second = send_add(fixture, (struct add){.producer = me, .partition = 1});
    same = send_add(fixture, (struct add){.producer = me, .partition = 1});
    assert_int_equal(fixture->log_count, 3);
    assert_int_equal(add_code(fixture, first), -2);
    fixture_commit_one(fixture); /* the id */
    assert_code(add_code(fixture, first), OK);
    assert_int_equal(add_code(fixture, same), -2); /* told when the other's write is committed */
    fixture_commit(fixture);
    assert_code(add_code(fixture, second), OK);
    assert_code(add_code(fixture, same), OK);
}

static void another_producer_waits_while_partitions_are_added(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL), zombie = {1000, 7};
    uint64_t token;

    fixture->hold_commits = true;
    send_add(fixture, (struct add){.producer = me});
    token = send_add(fixture, (struct add){.producer = zombie, .partition = 1});
    assert_int_equal(add_code(fixture, token), -2);
    fixture_commit(fixture);
    assert_code(add_code(fixture, token), ERR_PRODUCER_FENCED);
}

static void the_end_waits_for_partitions_that_are_being_added(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t end, late;

    fixture->hold_commits = true;
    send_add(fixture, (struct add){.producer = me});
    end = send_end(fixture, (struct end){.producer = me, .commit = true});
    late = send_add(fixture, (struct add){.producer = me, .partition = 1});
    assert_int_equal(fixture->log_count, 2);
    fixture_commit(fixture);
    assert_code(end_code(fixture, end, NULL), OK);
    assert_code(add_code(fixture, late), OK); /* of the next transaction: it came later */
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-1");
}

static void a_refused_partition_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    uint64_t token;

    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = send_add(fixture, (struct add){.producer = me});
    assert_int_equal(fixture_failure(fixture, token), ERR_COORDINATOR_NOT_AVAILABLE);
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    assert_code(add(fixture, (struct add){.producer = me, .partition = 1}), OK);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 t-1");
}

static void an_id_that_was_never_written_takes_no_partitions(void **state)
{
    struct fixture *fixture = *state;

    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    send_init(fixture, (struct init){0});
    assert_code(add(fixture, (struct add){.producer = {1000, -1}}), ERR_UNKNOWN_SERVER_ERROR);
}

static void the_next_transaction_begins_without_the_partitions_of_the_last(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);

    assert_code(add(fixture, (struct add){.producer = me}), OK);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
    fixture_advance(fixture, 1000);
    assert_code(add(fixture, (struct add){.producer = me, .topic = "u"}), OK);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/0 u-0");
    assert_non_null(
        strstr(fixture_dump(fixture, fixture->coordinator, false), "start=1700000001000"));
}

/* The transaction before has its markers, and its Complete record is in the log, not committed. */
static struct identity completing(struct fixture *fixture)
{
    struct identity me = init_ok(fixture, NULL);
    uint64_t token;

    assert_code(add(fixture, (struct add){.producer = me, .version = 2}), OK);
    fixture->mark_at_once = false;
    token = send_end(fixture, (struct end){.producer = me, .commit = true, .version = 2});
    assert_code(end_code(fixture, token, &me), OK);
    fixture->hold_commits = true;
    return me;
}

static void partitions_are_added_as_soon_as_the_complete_record_is_in_the_log(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = completing(fixture);
    uint64_t first = send_add(fixture, (struct add){.producer = me, .partition = 1, .version = 2});
    uint64_t second = send_add(fixture, (struct add){.producer = me, .partition = 2, .version = 2});
    size_t count = fixture->log_count;
    uint64_t third;

    assert_int_equal(add_code(fixture, first), -2);
    fixture_mark_all(fixture, OK);
    assert_int_equal(fixture->log_count, count + 3); /* Complete, and both behind it */
    third = send_add(fixture, (struct add){.producer = me, .partition = 3, .version = 2});
    assert_int_equal(fixture->log_count, count + 4);
    fixture_commit_one(fixture); /* Complete */
    assert_int_equal(add_code(fixture, first), -2);
    fixture_commit(fixture);
    assert_code(add_code(fixture, first), OK);
    assert_code(add_code(fixture, second), OK);
    assert_code(add_code(fixture, third), OK);
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/1 t-1 t-2 t-3");
}

static void whoever_does_not_follow_the_producer_waits_for_the_commit_of_complete(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = completing(fixture);
    uint64_t zombie = send_add(fixture, (struct add){.producer = {me.id, 0}, .version = 2});
    uint64_t behind = send_add(fixture, (struct add){.producer = me, .partition = 1, .version = 2});
    size_t count = fixture->log_count;

    fixture_mark_all(fixture, OK);
    assert_int_equal(fixture->log_count, count + 1);
    fixture_commit(fixture);
    assert_code(add_code(fixture, zombie), ERR_PRODUCER_FENCED);
    assert_code(add_code(fixture, behind), OK); /* in order of arrival */
    assert_string_equal(describe(fixture, NULL), "Ongoing 1000/1 t-1");
}

static void an_end_waits_for_the_commit_of_complete(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = completing(fixture);
    uint64_t token;
    size_t count;

    fixture_mark_all(fixture, OK);
    count = fixture->log_count;
    token = send_end(fixture, (struct end){.producer = me, .version = 2});
    assert_int_equal(fixture->log_count, count);
    fixture_commit(fixture);
    assert_code(end_code(fixture, token, &me), OK);
    assert_identity(me, 1000, 2);
    fixture->hold_commits = false;
}

static void a_refusal_behind_complete_leaves_complete_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = completing(fixture);
    uint64_t token;
    size_t count;

    fixture_mark_all(fixture, OK);
    count = fixture->log_count;
    fixture->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = send_add(fixture, (struct add){.producer = me, .partition = 1, .version = 2});
    assert_int_equal(fixture_failure(fixture, token), ERR_COORDINATOR_NOT_AVAILABLE);
    fixture_advance(fixture, 2 * TRANSACTION_MARKER_RETRY_MS);
    assert_int_equal(fixture->log_count, count);
    fixture_commit(fixture);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void what_is_added_behind_complete_is_lost_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = completing(fixture);
    size_t committed = fixture->log_count;

    fixture_mark_all(fixture, OK);
    send_add(fixture, (struct add){.producer = me, .partition = 1, .version = 2});
    fixture->log_count = committed; /* of both nothing was committed */
    fixture->hold_commits = false;
    fixture_load(fixture);
    assert_string_equal(fixture_markers_text(fixture),
                        "commit pid=1000 epoch=1 coordinator=2 version=2 t-0");
    fixture_mark_all(fixture, OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/1");
}

static void many_partitions_come_in_any_order_and_more_than_once(void **state)
{
    struct fixture *fixture = *state;
    struct identity me = init_ok(fixture, NULL);
    struct coordinator_partition partitions[300];
    struct transaction_add request = {.transactional_id = text("x"),
                                      .producer_id = me.id,
                                      .producer_epoch = me.epoch,
                                      .partitions = partitions,
                                      .partition_count = ARRAY_COUNT(partitions)};
    const struct transaction_partitions *set;

    for (size_t i = 0; i < ARRAY_COUNT(partitions); i++)
        partitions[i] =
            (struct coordinator_partition){text(random_below(&fixture->random, 2) ? "b" : "a"),
                                           (int32_t)random_below(&fixture->random, 50)};
    fixture_send(fixture, API_ADD_PARTITIONS_TO_TXN, 4, &request);
    set = transaction_find(fixture->coordinator, text("x"))->value.partitions;
    for (size_t i = 0; i < ARRAY_COUNT(partitions); i++)
        assert_true(transaction_partitions_have(set, &partitions[i]));
    for (size_t i = 1; i < set->count; i++) {
        int order = slice_compare(set->items[i - 1].topic, set->items[i].topic);

        assert_true(order < 0 || (order == 0 && set->items[i - 1].index < set->items[i].index));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(what_is_not_the_producer_of_the_id_is_refused),
        ROW(partitions_gather_in_one_transaction),
        ROW(partitions_that_are_there_need_no_write),
        ROW(a_partition_of_the_transaction_is_verified),
        ROW(only_committed_partitions_are_verified),
        ROW(verification_does_not_wait_for_what_is_on_its_way),
        ROW(partitions_are_added_while_others_are),
        ROW(another_producer_waits_while_partitions_are_added),
        ROW(the_end_waits_for_partitions_that_are_being_added),
        ROW(a_refused_partition_is_not_there),
        ROW(an_id_that_was_never_written_takes_no_partitions),
        ROW(the_next_transaction_begins_without_the_partitions_of_the_last),
        ROW(partitions_are_added_as_soon_as_the_complete_record_is_in_the_log),
        ROW(whoever_does_not_follow_the_producer_waits_for_the_commit_of_complete),
        ROW(an_end_waits_for_the_commit_of_complete),
        ROW(a_refusal_behind_complete_leaves_complete_as_it_is),
        ROW(what_is_added_behind_complete_is_lost_with_it),
        ROW(many_partitions_come_in_any_order_and_more_than_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
