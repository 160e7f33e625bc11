/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets that transactions commit: who may, what is written how, and what others see of them.
 * transactions.md §8 of the reference.
 */
#include "consumer_support.h"

#define PRODUCER 77

static struct txn_offset_commit_response *txn_commit_answer(struct fixture *f, struct commit of)
{
    struct txn_offset_commit_request *request = txn_offset_commit_request_array(&f->arena, 1);
    struct txn_offset_commit_request_txn_offset_commit_request_topic *topic =
        txn_offset_commit_request_txn_offset_commit_request_topic_array(&f->arena, 1);
    struct txn_offset_commit_request_txn_offset_commit_request_partition *partition =
        txn_offset_commit_request_txn_offset_commit_request_partition_array(&f->arena, 1);

    request->transactional_id = text("x");
    request->producer_id = PRODUCER;
    request->producer_epoch = 3;
    request->group_id = text(of.group ? of.group : "g");
    request->member_id = text(of.member ? of.member : "");
    request->group_instance_id = text(of.instance);
    request->generation_id_or_member_epoch = of.member || of.generation != 0 ? of.generation : -1;
    request->topics = topic;
    request->topics_count = 1;
    topic->name = text(of.topic ? of.topic : "t2");
    topic->topic_id = of.topic_id;
    topic->partitions = partition;
    topic->partitions_count = 1;
    partition->partition_index = of.partition;
    partition->committed_offset = of.offset;
    partition->committed_metadata = text(of.metadata);
    return fixture_reply(
        f, fixture_send(f, API_TXN_OFFSET_COMMIT, of.version ? of.version : 6, request));
}

static int16_t txn_commit(struct fixture *f, struct commit of)
{
    struct txn_offset_commit_response *response = txn_commit_answer(f, of);

    return response ? response->topics[0].partitions[0].error_code : -2;
}

/* ---- who may commit ---- */

static void a_group_that_is_not_named_is_invalid(void **state)
{
    struct fixture *f = *state;

    assert_code(txn_commit(f, (struct commit){.group = ""}), ERR_INVALID_GROUP_ID);
    assert_int_equal(f->log_count, 0);
}

static void a_group_that_is_missing_is_made_unless_somebody_claims_to_be_its_member(void **state)
{
    struct fixture *f = *state;
    struct commit claim = {.group = "missing", .generation = 1, .member = "m"};

    assert_code(txn_commit(f, claim), ERR_GROUP_ID_NOT_FOUND);
    claim.version = 5;
    assert_code(txn_commit(f, claim), ERR_ILLEGAL_GENERATION);
    assert_string_equal(state_of_group(f, "missing"), "none");
    assert_code(txn_commit(f, (struct commit){.group = "new"}), OK);
    assert_string_equal(state_of_group(f, "new"), "Empty");
}

static void of_a_classic_group_a_member_is_judged_only_when_one_is_named(void **state)
{
    struct fixture *f = *state;
    const char *member = stable_one(f, "c");
    const struct {
        struct commit commit;
        enum err expected;
    } rows[] = {
        {{.group = "c"}, OK}, /* OffsetCommit would say UNKNOWN_MEMBER_ID */
        {{.group = "c", .version = 0}, OK},
        {{.group = "c", .member = "nobody", .generation = 1}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "c", .member = "nobody", .generation = 1, .version = 3}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "c", .instance = "i"}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "c", .member = member, .instance = "i", .generation = 1}, ERR_UNKNOWN_MEMBER_ID},
        {{.group = "c", .member = member, .generation = 2}, ERR_ILLEGAL_GENERATION},
        {{.group = "c", .member = member, .generation = -1}, ERR_ILLEGAL_GENERATION},
        {{.group = "c", .member = member, .generation = 1}, OK},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_code(txn_commit(f, rows[i].commit), rows[i].expected);
    assert_int_equal(leave(f, "c", member, NULL), 0);
    assert_code(txn_commit(f, (struct commit){.group = "c"}), OK);
}

static void an_instance_that_another_member_has_is_fenced(void **state)
{
    struct fixture *f = *state;
    const char *member;
    uint64_t join = send_join(f, (struct join){.group = "s", .instance = "i", .version = 7});

    fixture_advance(f, 3000);
    member = slice_equal_text(joined(f, join)->member_id, "") ? NULL : "other";
    assert_non_null(member);
    assert_code(
        txn_commit(
            f, (struct commit){.group = "s", .member = member, .instance = "i", .generation = 1}),
        ERR_FENCED_INSTANCE_ID);
}

static void a_rebalance_does_not_hold_a_transaction_up(void **state)
{
    struct fixture *f = *state;
    const char *member;
    uint64_t join = enter(f, (struct join){.group = "c"}, &member);

    fixture_advance(f, 3000);
    assert_int_equal(joined(f, join)->generation_id, 1);
    assert_string_equal(state_of_group(f, "c"), "CompletingRebalance");
    assert_code(txn_commit(f, (struct commit){.group = "c", .member = member, .generation = 1}),
                OK);
}

static void a_transactions_commit_is_no_sign_of_life(void **state)
{
    struct fixture *f = *state;
    const char *member = stable_one(f, "c");

    fixture_advance(f, 9000);
    assert_code(txn_commit(f, (struct commit){.group = "c", .member = member, .generation = 1}),
                OK);
    fixture_advance(f, 9000);
    assert_int_equal(heartbeat(f, "c", member, 1), err_wire_code(ERR_UNKNOWN_MEMBER_ID));
}

static void of_a_consumer_group_the_epoch_counts_and_what_was_given_before_it(void **state)
{
    struct fixture *f = *state;
    struct commit c = {.member = "a", .topic = "t2", .generation = 2};

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_code(txn_commit(f, c), OK);
    c.version = 3; /* no version is too old */
    assert_code(txn_commit(f, c), OK);
    c.generation = 3;
    assert_code(txn_commit(f, c), ERR_ILLEGAL_GENERATION);
    c.version = 6;
    assert_code(txn_commit(f, c), ERR_STALE_MEMBER_EPOCH);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    c.generation = 2;
    assert_code(txn_commit(f, c), OK);
    c.partition = 1;
    assert_code(txn_commit(f, c), ERR_STALE_MEMBER_EPOCH);
    c.version = 5;
    assert_code(txn_commit(f, c), ERR_ILLEGAL_GENERATION);
    c.member = "nobody";
    assert_code(txn_commit(f, c), ERR_UNKNOWN_MEMBER_ID);
    assert_code(txn_commit(f, (struct commit){0}), OK); /* nobody in particular */
    assert_code(txn_commit(f, (struct commit){.instance = "i"}), ERR_UNKNOWN_MEMBER_ID);
}

/* ---- what is written ---- */

static void
metadata_that_is_too_long_fails_its_partition_before_its_epoch_is_looked_at(void **state)
{
    struct fixture *f = *state;
    struct commit c = {.member = "a", .topic = "t2", .generation = 2, .metadata = "123456"};

    f->options.offset_metadata_bytes_max = 5;
    fixture_load(f);
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_code(txn_commit(f, c), ERR_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(f->records_of_call, 0);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    c.partition = 1; /* another's now */
    assert_code(txn_commit(f, c), ERR_OFFSET_METADATA_TOO_LARGE);
    c.version = 9;
    assert_code(commit(f, c), ERR_OFFSET_METADATA_TOO_LARGE);
    c.metadata = "12345";
    assert_code(commit(f, c), ERR_STALE_MEMBER_EPOCH);
    c.version = 6;
    assert_code(txn_commit(f, c), ERR_STALE_MEMBER_EPOCH);
}

static void the_records_are_the_producers(void **state)
{
    struct fixture *f = *state;
    struct coordinator_effects effects;

    assert_code(txn_commit(f, (struct commit){.offset = 5}), OK);
    assert_int_equal(f->log_count, 1);
    assert_int_equal(f->log[0].producer_id, PRODUCER);
    assert_code(commit(f, (struct commit){.topic = "t1", .offset = 5}), OK);
    assert_int_equal(f->log[1].producer_id, -1);
    coordinator_effects_init(&effects, &f->arena);
    assert_int_equal(effects.producer_id, -1);
    assert_int_equal(effects.producer_epoch, -1);
}

static void a_commit_that_the_log_refuses_is_not_there(void **state)
{
    struct fixture *f = *state;

    f->refuse = ERR_INVALID_PRODUCER_EPOCH;
    assert_int_equal(txn_commit(f, (struct commit){.offset = 5}), -2);
    fixture_marker(f, PRODUCER, true);
    fixture_commit(f);
    assert_int_equal(fetch(f, "g", "t2", 0), -1);
    assert_string_equal(state_of_group(f, "g"), "none");
}

/* ---- what others see ---- */

static void the_last_commit_of_the_transaction_comes_with_its_marker(void **state)
{
    struct fixture *f = *state;

    assert_code(commit(f, (struct commit){.topic = "t2", .offset = 1}), OK);
    assert_code(txn_commit(f, (struct commit){.offset = 5}), OK);
    assert_code(txn_commit(f, (struct commit){.offset = 6}), OK);
    assert_int_equal(fetch(f, "g", "t2", 0), 1);
    assert_int_equal(fetch_stable(f, "g", "t2", 0), -1000 - 88); /* UNSTABLE_OFFSET_COMMIT */
    assert_int_equal(fetch_stable(f, "g", "t2", 1), -1);
    fixture_marker(f, PRODUCER, true);
    fixture_commit(f);
    assert_int_equal(fetch_stable(f, "g", "t2", 0), 6);
    fixture_check_replay(f);
}

static void an_abort_leaves_what_was_there_before(void **state)
{
    struct fixture *f = *state;

    assert_code(commit(f, (struct commit){.topic = "t2", .offset = 1}), OK);
    assert_code(txn_commit(f, (struct commit){.offset = 5}), OK);
    fixture_marker(f, PRODUCER, false);
    fixture_commit(f);
    assert_int_equal(fetch_stable(f, "g", "t2", 0), 1);
}

static void the_deletion_of_a_group_drops_what_transactions_hold_for_it(void **state)
{
    struct fixture *f = *state;

    assert_code(txn_commit(f, (struct commit){.offset = 5}), OK);
    assert_int_equal(delete_group(f, "g"), 0);
    fixture_marker(f, PRODUCER, true);
    fixture_commit(f);
    assert_int_equal(fetch(f, "g", "t2", 0), -1);
    assert_string_equal(state_of_group(f, "g"), "none");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_group_that_is_not_named_is_invalid),
        TEST(a_group_that_is_missing_is_made_unless_somebody_claims_to_be_its_member),
        TEST(of_a_classic_group_a_member_is_judged_only_when_one_is_named),
        TEST(an_instance_that_another_member_has_is_fenced),
        TEST(a_rebalance_does_not_hold_a_transaction_up),
        TEST(a_transactions_commit_is_no_sign_of_life),
        TEST(of_a_consumer_group_the_epoch_counts_and_what_was_given_before_it),
        TEST(metadata_that_is_too_long_fails_its_partition_before_its_epoch_is_looked_at),
        TEST(the_records_are_the_producers),
        TEST(a_commit_that_the_log_refuses_is_not_there),
        TEST(the_last_commit_of_the_transaction_comes_with_its_marker),
        TEST(an_abort_leaves_what_was_there_before),
        TEST(the_deletion_of_a_group_drops_what_transactions_hold_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
