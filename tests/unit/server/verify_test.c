/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/verify_test.c: transactional batches while their transaction's coordinator is
 * asked: order, what the client is told, and what may happen meanwhile. The coordinator is the
 * test's own (data_support.h).
 */
#include "data_support.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/control_record.h"
#include "server/late_transactions.h"
#include "server/partition_internal.h"

typedef struct produce_response_partition_produce_response answer;

static struct rig rig;

static void start(size_t shards)
{
    rig = (struct rig){0};
    rig_start(&rig, shards, 2);
    rig.checks_held = true;
}

struct sent {
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence;
    bool plain; /* not of a transaction */
    int16_t version;
    int32_t timeout_ms;
};

static struct rig_request *send_batch(const struct sent *sent)
{
    struct rig_batch batch = {.count = 1,
                              .producer_id = sent->producer_id,
                              .producer_epoch = sent->epoch,
                              .sequence = sent->sequence,
                              .transactional = !sent->plain};
    struct produce_request *body = rig_produce_body(&rig, 0, rig_batch(&rig, &batch));
    int16_t version = sent->version ? sent->version : 12;

    body->transactional_id = SLICE("tx");
    if (sent->timeout_ms)
        body->timeout_ms = sent->timeout_ms;
    return rig_begin(&rig, 0, API_PRODUCE, version, body, handle_produce);
}
#define SEND(...) send_batch(&(struct sent){__VA_ARGS__})

static answer *end(struct rig_request *request)
{
    struct produce_response *response = rig_wait(request);

    rig_request_free(request);
    assert_non_null(response);
    return &response->responses[0].partition_responses[0];
}

static struct log *log_of_t(void)
{
    return rig_partition(&rig, 1, 0)->log;
}

static void later_batches_of_a_producer_wait_and_others_pass(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig_request *first, *second, *third, *other, *plain;

        start(shards);
        first = SEND(7, 0, 0);
        second = SEND(7, 0, 1);
        third = SEND(7, 0, 2);
        rig_pass(&rig, 100);
        assert_int_equal(rig.check_count, 1);
        other = SEND(8, 0, 0);
        rig_pass(&rig, 100);
        assert_int_equal(rig.check_count, 2);
        rig_check_answer(&rig, 1, OK);
        assert_int_equal(end(other)->base_offset, 0);
        plain = SEND(9, 0, 0, .plain = true);
        assert_int_equal(end(plain)->base_offset, 1);
        assert_false(first->is_answered || second->is_answered || third->is_answered);
        rig_check_answer(&rig, 0, OK);
        assert_int_equal(end(first)->base_offset, 2);
        assert_int_equal(end(second)->base_offset, 3);
        assert_int_equal(end(third)->base_offset, 4);
        assert_int_equal(rig.check_count, 2); /* its transaction is open now */
        rig_close(&rig);
    }
}

static void each_batch_is_asked_for_until_one_is_let_in(void **state)
{
    struct rig_request *first, *second;

    UNUSED(state);
    start(2);
    first = SEND(7, 0, 0);
    second = SEND(7, 0, 1);
    rig_pass(&rig, 100);
    rig_check_answer(&rig, 0, ERR_NOT_COORDINATOR);
    assert_int_equal(end(first)->error_code, 19);
    rig_pass(&rig, 100);
    assert_int_equal(rig.check_count, 2);
    rig_check_answer(&rig, 1, OK);
    /* The first one is still to come again. */
    assert_int_equal(end(second)->error_code, 45);
    first = SEND(7, 0, 0);
    rig_pass(&rig, 100);
    rig_check_answer(&rig, 2, OK);
    assert_int_equal(end(first)->base_offset, 0);
    rig_close(&rig);
}

static void clients_are_told_what_their_version_knows(void **state)
{
    static const struct {
        enum err err;
        int16_t version, told;
    } cases[] = {
        {ERR_COORDINATOR_LOAD_IN_PROGRESS, 12, 19},
        {ERR_COORDINATOR_NOT_AVAILABLE, 9, 19},
        {ERR_NOT_COORDINATOR, 11, 19},
        {ERR_NETWORK_EXCEPTION, 12, 19},
        {ERR_CONCURRENT_TRANSACTIONS, 11, 19},
        {ERR_CONCURRENT_TRANSACTIONS, 12, 51},
        {ERR_INVALID_TXN_STATE, 9, 48},
        {ERR_TRANSACTION_ABORTABLE, 11, 120},
        {ERR_INVALID_PRODUCER_EPOCH, 12, 47},
        {ERR_INVALID_PRODUCER_ID_MAPPING, 12, 49},
    };

    UNUSED(state);
    start(1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rig_request *request = SEND(7, 0, 0, .version = cases[i].version);
        answer *got;

        rig_pass(&rig, 10);
        rig_check_answer(&rig, i, cases[i].err);
        got = end(request);
        assert_int_equal(got->error_code, cases[i].told);
        assert_int_equal(got->base_offset, -1);
        assert_int_equal(got->log_start_offset, -1);
        if (cases[i].told == 19)
            assert_true(slice_starts_with(
                got->error_message, SLICE("Unable to verify the partition has been added to the "
                                          "transaction. Underlying error: ")));
    }
    assert_int_equal(log_end_queued(log_of_t()), 0);
    rig_close(&rig);
}

/* As when the coordinator aborts the transaction just now. */
static void append_marker(int64_t producer_id, int16_t epoch)
{
    static uint8_t bytes[END_TRANSACTION_BATCH_BYTES];
    static struct log_append append;
    CLEANUP(writer_release) struct writer writer;
    struct end_transaction_marker marker = {.is_abort = true};

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    OKAY(end_transaction_batch_write(&marker, log_end_queued(log_of_t()), 1, producer_id, epoch,
                                     1000, &writer));
    memcpy(bytes, writer_slice(&writer).data, sizeof bytes);
    append = (struct log_append){.data = bytes,
                                 .size_bytes = sizeof bytes,
                                 .origin = APPEND_ORIGIN_COORDINATOR,
                                 .leader_epoch = rig_partition(&rig, 1, 0)->replica.leader_epoch};
    OKAY(log_append(log_of_t(), &append, NULL));
    rig_pass(&rig, 10);
}

static void a_marker_between_question_and_append_stops_the_batch(void **state)
{
    struct rig_request *request;

    UNUSED(state);
    start(1);
    request = SEND(7, 0, 0, .version = 11);
    rig_pass(&rig, 10);
    append_marker(7, 0);
    rig_check_answer(&rig, 0, OK);
    assert_int_equal(end(request)->error_code, 48);
    assert_int_equal(log_last_stable_offset(log_of_t()), 1);
    rig_close(&rig);
}

static void a_stale_epoch_is_not_even_asked_for(void **state)
{
    struct rig_request *request;

    UNUSED(state);
    start(1);
    append_marker(7, 5);
    request = SEND(7, 4, 0);
    assert_int_equal(end(request)->error_code, 47);
    assert_int_equal(rig.check_count, 0);
    rig_close(&rig);
}

static void leadership_lost_while_asking_is_told(void **state)
{
    struct rig_request *first, *second;

    UNUSED(state);
    start(2);
    first = SEND(7, 0, 0);
    second = SEND(7, 0, 1);
    rig_pass(&rig, 10);
    rig_leader(&rig, 1, 0, 2);
    rig_publish(&rig);
    rig_pass(&rig, 10);
    rig_check_answer(&rig, 0, OK);
    assert_int_equal(end(first)->error_code, 6);
    assert_int_equal(end(second)->error_code, 6);
    rig_close(&rig);
}

static void a_client_does_not_wait_longer_than_it_said(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig_request *request;

        start(shards);
        request = SEND(7, 0, 0, .timeout_ms = 50);
        rig_pass(&rig, 200);
        assert_true(request->is_answered);
        assert_int_equal(((struct produce_response *)request->response)
                             ->responses[0]
                             .partition_responses[0]
                             .error_code,
                         7);
        rig_check_answer(&rig, 0, OK);
        rig_pass(&rig, 200);
        assert_int_equal(request->holds, 0);
        rig_request_free(request);
        assert_int_equal(end(SEND(7, 0, 1))->error_code, 0);
        rig_close(&rig);
    }
}

static void a_client_that_hangs_up_leaves_nothing_behind(void **state)
{
    struct rig_request *request;

    UNUSED(state);
    start(2);
    request = SEND(7, 0, 0);
    rig_pass(&rig, 10);
    rig_hang_up(request);
    rig_check_answer(&rig, 0, ERR_NOT_COORDINATOR);
    rig_pass(&rig, 100);
    assert_int_equal(request->holds, 0);
    rig_request_free(request);
    assert_true(list_is_empty(&hosted_of(rig_partition(&rig, 1, 0))->verifying));
    rig_close(&rig);
}

static void without_verification_only_additions_are_asked_for(void **state)
{
    struct rig_request *request;

    UNUSED(state);
    rig = (struct rig){0};
    rig_open(&rig, 1, "transaction.partition.verification.enable=false\n");
    rig_topic(&rig, "t", 1, 2);
    rig_publish(&rig);
    rig.checks_held = true;
    assert_int_equal(end(SEND(7, 0, 0, .version = 11))->error_code, 0);
    request = SEND(8, 0, 0, .version = 12);
    rig_pass(&rig, 100);
    assert_int_equal(rig.check_count, 1);
    rig_check_answer(&rig, 0, OK);
    assert_int_equal(end(request)->error_code, 0);
    rig_close(&rig);
}

/* effect: transaction.max.timeout.ms with five minutes on top is when a transaction counts as lost */
static void a_transaction_that_nobody_ends_is_told_once(void **state)
{
    struct hosted *hosted;
    struct held_back held;
    struct rig_request *request;

    UNUSED(state);
    rig = (struct rig){0};
    rig_open(&rig, 1, "transaction.max.timeout.ms=60000\n");
    rig_topic(&rig, "t", 1, 2);
    rig_publish(&rig);
    request = SEND(7, 3, 0);
    assert_int_equal(end(request)->error_code, 0);
    hosted = hosted_of(rig_partition(&rig, 1, 0));
    assert_true(partition_held_back(&hosted->partition, &held));
    assert_int_equal(held.producer_id, 7);
    assert_int_equal(held.producer_epoch, 3);
    assert_int_equal(held.first_offset, 0);
    late_transactions_create(&rig.shards[0], &rig.shards[0].late);
    late_transactions_apply(rig.shards[0].late);
    rig_pass(&rig, 5 * 60000);
    assert_int_equal(hosted->late_told, 0);
    rig_pass(&rig, 3 * 60000);
    assert_int_equal(hosted->late_told, 8);
    append_marker(7, 3);
    assert_false(partition_held_back(&hosted->partition, &held));
    rig_pass(&rig, 2 * 60000);
    assert_int_equal(hosted->late_told, 0);
    late_transactions_stop(rig.shards[0].late);
    late_transactions_release(&rig.shards[0].late);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_batches_of_a_producer_wait_and_others_pass),
        cmocka_unit_test(each_batch_is_asked_for_until_one_is_let_in),
        cmocka_unit_test(clients_are_told_what_their_version_knows),
        cmocka_unit_test(a_marker_between_question_and_append_stops_the_batch),
        cmocka_unit_test(a_stale_epoch_is_not_even_asked_for),
        cmocka_unit_test(leadership_lost_while_asking_is_told),
        cmocka_unit_test(a_client_does_not_wait_longer_than_it_said),
        cmocka_unit_test(a_client_that_hangs_up_leaves_nothing_behind),
        cmocka_unit_test(without_verification_only_additions_are_asked_for),
        cmocka_unit_test(a_transaction_that_nobody_ends_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
