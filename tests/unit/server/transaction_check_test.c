/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/transaction_check_test.c: the question of a partition's leader to a transaction's
 * coordinator: what is asked, what the answer means to which client, how often it is asked. The
 * coordinator is the test's own.
 */
#include "data_support.h"

#include "server/coordinator_internal.h"
#include "server/transaction_check.h"

static struct rig rig;
static struct transaction_added answer;
static enum err answer_err, partition_err;
static int asked;
static struct transaction_add last;
static bool is_done;

/* ---- the coordinator ---- */

int32_t coordinator_key_index(const struct shard *shard, const struct coordinator_kind *kind,
                              struct slice key)
{
    UNUSED(shard);
    UNUSED(key);
    assert_ptr_equal(kind, &coordinator_kind_transaction);
    return 3;
}

static void answered(struct mail *mail, struct reactor *to)
{
    struct coordinator_call *call = CONTAINER_OF(mail, struct coordinator_call, mail);

    UNUSED(to);
    call->err = answer_err;
    call->response = answer_err == OK ? &answer : NULL;
    call->done(call);
}

void coordinator_call_submit(struct shard *home, struct coordinator_call *call)
{
    asked++;
    assert_int_equal(call->index, 3);
    last = *(const struct transaction_add *)call->body;
    call->home = home;
    call->mail = (struct mail){.deliver = answered};
    reactor_send(home->reactor, home->reactor, &call->mail);
}

void coordinator_call_end(struct coordinator_call *call)
{
    call->released(call);
}

/* ---- questions ---- */

static void check_done(struct transaction_check *check)
{
    UNUSED(check);
    assert_false(is_done);
    is_done = true;
}

static bool over(void *context)
{
    UNUSED(context);
    return is_done;
}

/* How long it took; *err_out: what it said. */
static int64_t ask(enum transaction_class of, bool retries, enum err *err_out)
{
    struct transaction_check check = {
        .transactional_id = SLICE("x"),
        .producer_id = 7,
        .producer_epoch = 2,
        .asked = of,
        .partition = {SLICE("t"), 1},
        .retries = retries,
        .done = check_done,
    };
    int64_t begun_ms = reactor_now_ms(rig.shards[0].reactor);

    asked = 0;
    is_done = false;
    transaction_check_submit(&rig.shards[0], &check);
    assert_false(is_done);
    assert_true(rig_run_until(&rig, over, NULL));
    *err_out = check.err;
    return reactor_now_ms(rig.shards[0].reactor) - begun_ms;
}

static void start(const char *properties)
{
    rig = (struct rig){0};
    rig_open(&rig, 1, properties);
    answer = (struct transaction_added){0};
    answer_err = partition_err = OK;
}

static void new_clients_add_and_old_ones_verify(void **state)
{
    enum err err;

    UNUSED(state);
    start(NULL);
    (void)ask(TRANSACTION_CLASS_ADD, true, &err);
    assert_int_equal(err, OK);
    assert_false(last.verify_only);
    assert_int_equal(last.transaction_version, 2);
    assert_int_equal(last.producer_id, 7);
    assert_int_equal(last.producer_epoch, 2);
    assert_int_equal(last.partition_count, 1);
    (void)ask(TRANSACTION_CLASS_GENERIC, true, &err);
    assert_true(last.verify_only);
    (void)ask(TRANSACTION_CLASS_DEFAULT, true, &err);
    assert_true(last.verify_only);
    assert_int_equal(transaction_class_of_produce(10), TRANSACTION_CLASS_DEFAULT);
    assert_int_equal(transaction_class_of_produce(11), TRANSACTION_CLASS_GENERIC);
    assert_int_equal(transaction_class_of_produce(12), TRANSACTION_CLASS_ADD);
    assert_int_equal(transaction_class_of_offset_commit(3), TRANSACTION_CLASS_DEFAULT);
    assert_int_equal(transaction_class_of_offset_commit(4), TRANSACTION_CLASS_GENERIC);
    assert_int_equal(transaction_class_of_offset_commit(5), TRANSACTION_CLASS_ADD);
    rig_close(&rig);
}

static void answers_are_told_in_the_words_of_the_class(void **state)
{
    static const struct {
        enum transaction_class of;
        enum err call, all, partition, told;
    } cases[] = {
        {TRANSACTION_CLASS_DEFAULT, OK, OK, ERR_TRANSACTION_ABORTABLE, ERR_INVALID_TXN_STATE},
        {TRANSACTION_CLASS_GENERIC, OK, OK, ERR_TRANSACTION_ABORTABLE, ERR_TRANSACTION_ABORTABLE},
        {TRANSACTION_CLASS_ADD, OK, ERR_PRODUCER_FENCED, OK, ERR_INVALID_PRODUCER_EPOCH},
        {TRANSACTION_CLASS_DEFAULT, OK, ERR_PRODUCER_FENCED, OK, ERR_INVALID_PRODUCER_EPOCH},
        {TRANSACTION_CLASS_ADD, OK, ERR_INVALID_PRODUCER_ID_MAPPING, OK,
         ERR_INVALID_PRODUCER_ID_MAPPING},
        {TRANSACTION_CLASS_ADD, ERR_NOT_COORDINATOR, OK, OK, ERR_NOT_COORDINATOR},
        {TRANSACTION_CLASS_DEFAULT, OK, OK, OK, OK},
    };

    UNUSED(state);
    start(NULL);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        enum err err;

        answer_err = cases[i].call;
        answer.err = cases[i].all;
        partition_err = cases[i].partition;
        answer.partition_errs = cases[i].of == TRANSACTION_CLASS_ADD ? NULL : &partition_err;
        (void)ask(cases[i].of, true, &err);
        assert_int_equal(err, cases[i].told);
        assert_int_equal(asked, 1);
    }
    rig_close(&rig);
}

/* effect: add.partitions.to.txn.retry.backoff.max.ms add.partitions.to.txn.retry.backoff.ms */
static void an_addition_waits_for_the_end_of_the_transaction_before(void **state)
{
    static const struct {
        const char *properties;
        int64_t least_ms, most_ms;
        int asked;
    } cases[] = {
        {NULL, 100, 119, 6},
        {"add.partitions.to.txn.retry.backoff.max.ms=300\n", 300, 319, 16},
        {"add.partitions.to.txn.retry.backoff.ms=50\n", 100, 149, 3},
        {"add.partitions.to.txn.retry.backoff.max.ms=0\n", 0, 0, 1},
        {"add.partitions.to.txn.retry.backoff.max.ms=90000\nrequest.timeout.ms=40\n", 40, 59, 3},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        enum err err;
        int64_t took_ms;

        start(cases[i].properties);
        answer.err = ERR_CONCURRENT_TRANSACTIONS;
        took_ms = ask(TRANSACTION_CLASS_ADD, true, &err);
        assert_int_equal(err, ERR_CONCURRENT_TRANSACTIONS);
        assert_in_range(took_ms, cases[i].least_ms, cases[i].most_ms);
        assert_int_equal(asked, cases[i].asked);
        (void)ask(TRANSACTION_CLASS_ADD, false, &err);
        assert_int_equal(asked, 1);
        (void)ask(TRANSACTION_CLASS_GENERIC, true, &err);
        assert_int_equal(asked, 1);
        rig_close(&rig);
    }
}

static void the_coordinator_gets_what_the_configuration_says(void **state)
{
    struct transaction_options options;

    UNUSED(state);
    /* effect: transaction.two.phase.commit.enable is the coordinator's; no served version asks for it */
    start("transaction.two.phase.commit.enable=true\ntransaction.max.timeout.ms=11\n"
          "transactional.id.expiration.ms=12\n"
          "transaction.abort.timed.out.transaction.cleanup.interval.ms=13\n"
          "transaction.remove.expired.transaction.cleanup.interval.ms=14\n");
    transaction_options_read(rig.shards[0].publication->config, &options);
    assert_true(options.two_phase_commit_on);
    assert_int_equal(options.timeout_max_ms, 11);
    assert_int_equal(options.id_expiration_ms, 12);
    assert_int_equal(options.abort_scan_interval_ms, 13);
    assert_int_equal(options.expire_scan_interval_ms, 14);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_clients_add_and_old_ones_verify),
        cmocka_unit_test(answers_are_told_in_the_words_of_the_class),
        cmocka_unit_test(an_addition_waits_for_the_end_of_the_transaction_before),
        cmocka_unit_test(the_coordinator_gets_what_the_configuration_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
