/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/produce_test.c: Produce and its neighbours on one and on two shards.
 */
#include "data_support.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "protocol/generated/describe_producers_request.h"
#include "protocol/generated/describe_producers_response.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/offset_for_leader_epoch_request.h"
#include "protocol/generated/offset_for_leader_epoch_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/crc32c.h"
#include "records/records_internal.h"
#include "server/partition_internal.h"

typedef struct produce_response_partition_produce_response answer;

static struct rig_request *begin(struct rig *rig, int16_t version, int16_t acks, int32_t timeout_ms,
                                 uint32_t id, const char *name, int32_t index, struct slice records)
{
    struct produce_request *body = rig_produce_body(rig, index, records);

    body->acks = acks;
    body->timeout_ms = timeout_ms;
    body->topic_data->topic_id = rig_id(id);
    body->topic_data->name = slice_from_text(name);
    return rig_begin(rig, 0, API_PRODUCE, version, body, handle_produce);
}

/* The answer stays in the rig's arena. */
static answer *end(struct rig_request *request)
{
    struct produce_response *response = rig_wait(request);

    rig_request_free(request);
    assert_non_null(response);
    return &response->responses[0].partition_responses[0];
}

static struct slice plain(struct rig *rig, int count)
{
    return rig_batch(rig, &(struct rig_batch){.count = count, .value_bytes = 10});
}

static answer *produce(struct rig *rig, int16_t version, struct slice records)
{
    return end(begin(rig, version, -1, 30000, 1, "t", 0, records));
}

static void start(struct rig *rig, size_t shards)
{
    rig_open(rig, shards, NULL);
    rig_topic(rig, "t", 1, 2);
    rig_publish(rig);
}

static void batches_get_the_next_offsets_with_every_kind_of_acks(void **state)
{
    static const int16_t acks[] = {-1, 1, -1, 1};

    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;

        start(&rig, shards);
        for (int i = 0; i < 4; i++) {
            answer *got = end(begin(&rig, 9, acks[i], 30000, 1, "t", 0, plain(&rig, 5)));

            assert_int_equal(got->error_code, 0);
            assert_int_equal(got->base_offset, i * 5);
            assert_int_equal(got->log_append_time_ms, -1);
            assert_int_equal(got->log_start_offset, 0);
        }
        rig_close(&rig);
    }
}

static void answer_to_acks_all_waits_for_the_flush(void **state)
{
    struct rig rig;
    struct partition *partition;

    UNUSED(state);
    start(&rig, 1);
    assert_int_equal(produce(&rig, 13, plain(&rig, 3))->base_offset, 0);
    partition = rig_partition_open(&rig, 1, 0);
    assert_int_equal(log_end_flushed(partition->log), 3);
    assert_int_equal(partition->replica.high_watermark, 3);
    rig_close(&rig);
}

static void acks_zero_gets_no_answer_and_an_error_closes(void **state)
{
    struct rig rig;
    struct rig_request *request;

    UNUSED(state);
    start(&rig, 1);
    request = begin(&rig, 9, 0, 1000, 1, "t", 0, plain(&rig, 1));
    assert_null(rig_wait(request));
    assert_true(request->is_nothing);
    rig_request_free(request);
    request = begin(&rig, 9, 0, 1000, 1, "missing", 0, plain(&rig, 1));
    assert_null(rig_wait(request));
    assert_true(request->is_closed);
    rig_request_free(request);
    rig_close(&rig);
}

static void early_errors_are_kafkas(void **state)
{
    struct rig rig;
    answer *got;

    UNUSED(state);
    start(&rig, 1);
    rig_topic(&rig, "__consumer_offsets", 2, 1);
    rig_publish(&rig);
    assert_int_equal(end(begin(&rig, 13, -1, 1, 77, "", 0, plain(&rig, 1)))->error_code, 100);
    assert_int_equal(end(begin(&rig, 12, -1, 1, 1, "no", 0, plain(&rig, 1)))->error_code, 3);
    assert_int_equal(end(begin(&rig, 12, -1, 1, 1, "t", 9, plain(&rig, 1)))->error_code, 3);
    assert_int_equal(end(begin(&rig, 12, 2, 1, 1, "t", 0, plain(&rig, 1)))->error_code, 21);
    assert_int_equal(
        end(begin(&rig, 12, 1, 1, 1, "__consumer_offsets", 0, plain(&rig, 1)))->error_code, 17);
    got = end(begin(&rig, 12, 1, 1, 1, "t", 0, SLICE_NULL));
    assert_int_equal(got->error_code, 87);
    assert_int_equal(got->base_offset, -1);
    assert_int_equal(got->log_start_offset, -1);
    got =
        end(begin(&rig, 6, 1, 1, 1, "t", 0,
                  rig_batch(&rig, &(struct rig_batch){
                                      .count = 3, .value_bytes = 100, .codec = COMPRESSION_ZSTD})));
    assert_int_equal(got->error_code, 76);
    rig_close(&rig);
}

static void broken_batch_is_refused_and_nothing_is_written(void **state)
{
    struct rig rig;
    struct slice records;

    UNUSED(state);
    start(&rig, 1);
    records = plain(&rig, 2);
    ((uint8_t *)(uintptr_t)records.data)[records.size_bytes - 1] ^= 1;
    assert_int_equal(produce(&rig, 9, records)->error_code, 2);
    assert_int_equal(produce(&rig, 9, plain(&rig, 1))->base_offset, 0);
    rig_close(&rig);
}

static void record_errors_name_the_records(void **state)
{
    struct rig rig;
    answer *got;

    UNUSED(state);
    start(&rig, 1);
    rig_topic_config(&rig, "t", "cleanup.policy", "compact");
    rig_publish(&rig);
    got = produce(&rig, 8, rig_batch(&rig, &(struct rig_batch){.count = 2, .null_keys = true}));
    assert_int_equal(got->error_code, 87);
    assert_int_equal(got->record_errors_count, 2);
    assert_int_equal(got->record_errors[1].batch_index, 1);
    assert_true(slice_equal_text(
        got->record_errors[1].batch_index_error_message,
        "Compacted topic cannot accept message without key in topic partition t-0"));
    assert_true(slice_equal_text(
        got->error_message,
        "One or more records have been rejected due to 2 record errors in total, and only showing "
        "the first three errors at most: [RecordError(batchIndex=0, message='Compacted topic "
        "cannot accept message without key in topic partition t-0'), RecordError(batchIndex=1, "
        "message='Compacted topic cannot accept message without key in topic partition t-0')]"));
    assert_int_equal(got->log_start_offset, 0);
    got = produce(&rig, 8,
                  rig_batch(&rig, &(struct rig_batch){.timestamp = os_wall_ms(rig.os) + 7200000}));
    assert_int_equal(got->error_code, 32);
    assert_true(slice_equal_text(
        got->error_message, "One or more records have been rejected due to invalid timestamp"));
    rig_close(&rig);
}

static void repeated_batch_gets_the_offsets_of_the_first(void **state)
{
    struct rig rig;
    struct rig_batch batch = {.count = 3, .producer_id = 7};
    answer *got;

    UNUSED(state);
    start(&rig, 1);
    assert_int_equal(produce(&rig, 9, rig_batch(&rig, &batch))->base_offset, 0);
    got = produce(&rig, 9, rig_batch(&rig, &batch));
    assert_int_equal(got->error_code, 0);
    assert_int_equal(got->base_offset, 0);
    batch.sequence = 9;
    assert_int_equal(produce(&rig, 9, rig_batch(&rig, &batch))->error_code, 45);
    batch.sequence = 3;
    assert_int_equal(produce(&rig, 9, rig_batch(&rig, &batch))->base_offset, 3);
    rig_close(&rig);
}

static void transactional_batches_need_an_id_and_a_coordinator(void **state)
{
    struct rig rig;
    struct rig_batch batch = {.count = 1, .producer_id = 7, .transactional = true};
    struct produce_request *body;

    UNUSED(state);
    start(&rig, 1);
    rig.check_err = ERR_COORDINATOR_NOT_AVAILABLE;
    assert_int_equal(produce(&rig, 9, rig_batch(&rig, &batch))->error_code, 53);
    body = rig_produce_body(&rig, 0, rig_batch(&rig, &batch));
    body->transactional_id = SLICE("tx");
    assert_int_equal(end(rig_begin(&rig, 0, API_PRODUCE, 9, body, handle_produce))->error_code, 19);
    rig_close(&rig);
}

/* Of a transaction is what says so: Kafka asks for the id whether a producer is named or not. */
static void a_transactional_batch_without_producer_needs_a_transactional_id_too(void **state)
{
    struct rig rig;
    struct slice bytes;
    uint8_t *at;

    UNUSED(state);
    start(&rig, 1);
    bytes = plain(&rig, 1);
    at = (uint8_t *)(uintptr_t)bytes.data;
    at[22] |= 0x10; /* the attributes say so, nothing else does */
    put_u32(at + 17, crc32c(slice_sub(bytes, 21, SIZE_MAX)));
    assert_int_equal(produce(&rig, 9, bytes)->error_code, 53);
    assert_int_equal(produce(&rig, 9, plain(&rig, 1))->base_offset, 0);
    rig_close(&rig);
}

/* A large compressed batch is checked by a job; a small one behind it must not overtake it. */
static void later_batches_queue_behind_one_that_a_job_checks(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_batch large = {
            .count = 400000, .value_bytes = 20, .codec = COMPRESSION_SNAPPY, .producer_id = 7};
        struct rig_batch small = {.count = 2, .producer_id = 7, .sequence = 400000};
        struct slice bytes;
        struct rig_request *first;
        struct rig_request *second;

        start(&rig, shards);
        rig_topic_config(&rig, "t", "max.message.bytes", "20000000");
        rig_publish(&rig);
        (void)rig_partition_open(&rig, 1, 0);
        bytes = rig_batch(&rig, &large);
        assert_true(bytes.size_bytes > 256 * KIB);
        first = begin(&rig, 9, -1, 30000, 1, "t", 0, bytes);
        assert_false(first->is_answered);
        assert_true(first->has_passed);
        second = begin(&rig, 9, -1, 30000, 1, "t", 0, rig_batch(&rig, &small));
        assert_int_equal(end(first)->base_offset, 0);
        assert_int_equal(end(second)->base_offset, 400000);
        rig_close(&rig);
    }
}

static void log_append_time_is_stamped_and_told(void **state)
{
    struct rig rig;
    answer *got;

    UNUSED(state);
    start(&rig, 1);
    rig_topic_config(&rig, "t", "message.timestamp.type", "LogAppendTime");
    rig_publish(&rig);
    got = produce(&rig, 9, plain(&rig, 1));
    assert_int_equal(got->error_code, 0);
    assert_true(got->log_append_time_ms > 0);
    rig_close(&rig);
}

static void not_leader_names_the_leader_and_its_endpoint(void **state)
{
    struct rig rig;
    struct rig_request *request;
    struct produce_response *response;

    UNUSED(state);
    start(&rig, 1);
    (void)rig_partition_open(&rig, 1, 0);
    rig_leader(&rig, 1, 0, -1);
    rig_publish(&rig);
    request = begin(&rig, 10, 1, 1000, 1, "t", 0, plain(&rig, 1));
    response = rig_wait(request);
    rig_request_free(request);
    assert_int_equal(response->responses[0].partition_responses[0].error_code, 6);
    assert_int_equal(response->responses[0].partition_responses[0].current_leader.leader_epoch, 1);
    rig_leader(&rig, 1, 0, RIG_NODE);
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 9, plain(&rig, 1))->error_code, 0);
    rig_close(&rig);
}

static void too_small_isr_refuses_acks_all_and_takes_acks_one(void **state)
{
    struct rig rig;

    UNUSED(state);
    start(&rig, 1);
    /* One replica, so that the effective minimum is one: nothing is refused. */
    rig_topic_config(&rig, "t", "min.insync.replicas", "2"); /* effect: min.insync.replicas */
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 9, plain(&rig, 1))->error_code, 0);
    rig_close(&rig);
}

/* The disk syncs, but slowly. */
static void timeout_answers_with_the_offset_and_the_write_goes_on(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct sim_fault slow = {.calls = 1u << SIM_CALL_SYNC,
                                 .is_sticky = true,
                                 .effect = SIM_EFFECT_DELAY,
                                 .delay_ns = 5000000000};
        int number;
        answer *got;

        start(&rig, shards);
        assert_int_equal(produce(&rig, 9, plain(&rig, 1))->error_code, 0);
        number = sim_fault_add(rig.os, &slow);
        got = end(begin(&rig, 9, -1, 100, 1, "t", 0, plain(&rig, 2)));
        assert_int_equal(got->error_code, 7);
        assert_int_equal(got->base_offset, 1);
        sim_fault_remove(rig.os, number);
        assert_int_equal(produce(&rig, 9, plain(&rig, 1))->base_offset, 3);
        rig_close(&rig);
    }
}

static void quota_throttles_after_the_answer(void **state)
{
    struct rig rig;
    struct rig_request *request;

    UNUSED(state);
    start(&rig, 1);
    rig.quota_throttle_ms = 250;
    request = begin(&rig, 9, -1, 1000, 1, "t", 0, plain(&rig, 1));
    (void)rig_wait(request);
    assert_int_equal(request->throttle_ms, 250);
    rig_request_free(request);
    rig_close(&rig);
}

static void many_partitions_in_one_request_are_all_answered(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct produce_request *body;
        struct produce_request_topic_produce_data *topic;
        struct rig_request *request;
        struct produce_response *response;

        rig_open(&rig, shards, NULL);
        rig_topic(&rig, "wide", 1, 100);
        rig_publish(&rig);
        body = rig_produce_body(&rig, 0, SLICE_NULL);
        topic = body->topic_data;
        topic->name = SLICE("wide");
        topic->partition_data = produce_request_partition_produce_data_array(&rig.arena, 100);
        topic->partition_data_count = 100;
        for (int32_t i = 0; i < 100; i++) {
            topic->partition_data[i].index = i;
            topic->partition_data[i].records = plain(&rig, 1 + i % 3);
        }
        request = rig_begin(&rig, 0, API_PRODUCE, 9, body, handle_produce);
        response = rig_wait(request);
        rig_request_free(request);
        for (int32_t i = 0; i < 100; i++) {
            assert_int_equal(response->responses[0].partition_responses[i].index, i);
            assert_int_equal(response->responses[0].partition_responses[i].error_code, 0);
        }
        rig_close(&rig);
    }
}

/* ---- neighbours ---- */

static struct list_offsets_response_list_offsets_partition_response *
list(struct rig *rig, int16_t version, int64_t timestamp)
{
    struct list_offsets_request *body = list_offsets_request_array(&rig->arena, 1);
    struct list_offsets_request_list_offsets_topic *topic =
        list_offsets_request_list_offsets_topic_array(&rig->arena, 1);
    struct rig_request *request;
    struct list_offsets_response *response;

    body->replica_id = -1;
    body->topics = topic;
    body->topics_count = 1;
    topic->name = SLICE("t");
    topic->partitions = list_offsets_request_list_offsets_partition_array(&rig->arena, 1);
    topic->partitions_count = 1;
    topic->partitions->timestamp = timestamp;
    request = rig_begin(rig, 0, API_LIST_OFFSETS, version, body, handle_list_offsets);
    response = rig_wait(request);
    rig_request_free(request);
    return &response->topics[0].partitions[0];
}

static void offsets_are_listed_by_time_and_special_values(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        int64_t time;

        start(&rig, shards);
        assert_int_equal(list(&rig, 11, -3)->offset, -1); /* empty */
        time = os_wall_ms(rig.os) - 10000;
        for (int i = 0; i < 5; i++)
            assert_int_equal(
                produce(
                    &rig, 9,
                    rig_batch(&rig, &(struct rig_batch){.count = 2, .timestamp = time + i * 1000}))
                    ->base_offset,
                i * 2);
        assert_int_equal(list(&rig, 11, -1)->offset, 10);
        assert_int_equal(list(&rig, 11, -1)->leader_epoch, 0);
        assert_int_equal(list(&rig, 11, -2)->offset, 0);
        assert_int_equal(list(&rig, 11, -3)->offset, 8);
        assert_int_equal(list(&rig, 11, -3)->timestamp, time + 4000);
        assert_int_equal(list(&rig, 11, -4)->offset, 0);
        assert_int_equal(list(&rig, 11, -5)->offset, -1);
        assert_int_equal(list(&rig, 11, time + 1500)->offset, 4);
        assert_int_equal(list(&rig, 11, time + 9000)->offset, -1);
        assert_int_equal(list(&rig, 6, -3)->error_code, 35);
        assert_int_equal(list(&rig, 11, -7)->error_code, 35);
        rig_close(&rig);
    }
}

static void a_partition_asked_twice_for_its_offset_is_answered_once_and_refused(void **state)
{
    struct list_offsets_request_list_offsets_partition partitions[3] = {
        {.partition_index = 0, .timestamp = -1},
        {.partition_index = 1, .timestamp = -1},
        {.partition_index = 0, .timestamp = -2}};
    struct list_offsets_request_list_offsets_topic topics[2] = {
        {.name = SLICE("t"), .partitions = partitions, .partitions_count = 3},
        {.name = SLICE("t"), .partitions = partitions, .partitions_count = 1}};
    struct list_offsets_request body = {.replica_id = -1, .topics = topics, .topics_count = 2};
    struct list_offsets_response *response;
    struct rig_request *request;
    struct rig rig;

    UNUSED(state);
    start(&rig, 1);
    request = rig_begin(&rig, 0, API_LIST_OFFSETS, 7, &body, handle_list_offsets);
    response = rig_wait(request);
    assert_int_equal(response->topics_count, 1);
    assert_int_equal(response->topics[0].partitions_count, 2);
    assert_int_equal(response->topics[0].partitions[0].error_code, 42);
    assert_int_equal(response->topics[0].partitions[1].partition_index, 1);
    assert_int_not_equal(response->topics[0].partitions[1].error_code, 42);
    rig_request_free(request);
    rig_close(&rig);
}

static void records_are_deleted_up_to_an_offset(void **state)
{
    struct rig rig;
    struct delete_records_request *body;
    struct delete_records_request_delete_records_topic *topic;
    struct rig_request *request;
    struct delete_records_response *response;

    UNUSED(state);
    start(&rig, 1);
    assert_int_equal(produce(&rig, 9, plain(&rig, 10))->error_code, 0);
    body = delete_records_request_array(&rig.arena, 1);
    topic = delete_records_request_delete_records_topic_array(&rig.arena, 1);
    body->topics = topic;
    body->topics_count = 1;
    topic->name = SLICE("t");
    topic->partitions = delete_records_request_delete_records_partition_array(&rig.arena, 2);
    topic->partitions_count = 2;
    topic->partitions[0].offset = 4;
    topic->partitions[1].partition_index = 1;
    topic->partitions[1].offset = 4;
    request = rig_begin(&rig, 0, API_DELETE_RECORDS, 2, body, handle_delete_records);
    response = rig_wait(request);
    assert_int_equal(response->topics[0].partitions[0].error_code, 0);
    assert_int_equal(response->topics[0].partitions[0].low_watermark, 4);
    assert_int_equal(response->topics[0].partitions[1].error_code, 1);
    assert_int_equal(response->topics[0].partitions[1].low_watermark, -1);
    rig_request_free(request);
    topic->partitions[0].offset = -1;
    topic->partitions_count = 1;
    request = rig_begin(&rig, 0, API_DELETE_RECORDS, 2, body, handle_delete_records);
    response = rig_wait(request);
    assert_int_equal(response->topics[0].partitions[0].low_watermark, 10);
    rig_request_free(request);
    assert_int_equal(list(&rig, 11, -2)->offset, 10);
    rig_close(&rig);
}

static void epochs_end_where_the_next_one_begins(void **state)
{
    struct rig rig;
    struct offset_for_leader_epoch_request *body;
    struct offset_for_leader_epoch_request_offset_for_leader_topic *topic;
    struct rig_request *request;
    struct offset_for_leader_epoch_response *response;

    UNUSED(state);
    start(&rig, 1);
    assert_int_equal(produce(&rig, 9, plain(&rig, 3))->error_code, 0);
    rig_leader(&rig, 1, 0, RIG_NODE); /* epoch 1 */
    rig_publish(&rig);
    assert_int_equal(produce(&rig, 9, plain(&rig, 3))->error_code, 0);
    body = offset_for_leader_epoch_request_array(&rig.arena, 1);
    topic = offset_for_leader_epoch_request_offset_for_leader_topic_array(&rig.arena, 1);
    body->topics = topic;
    body->topics_count = 1;
    topic->topic = SLICE("t");
    topic->partitions =
        offset_for_leader_epoch_request_offset_for_leader_partition_array(&rig.arena, 3);
    topic->partitions_count = 3;
    topic->partitions[1].leader_epoch = 1;
    topic->partitions[2].leader_epoch = 1;
    topic->partitions[2].current_leader_epoch = 0;
    request =
        rig_begin(&rig, 0, API_OFFSET_FOR_LEADER_EPOCH, 4, body, handle_offset_for_leader_epoch);
    response = rig_wait(request);
    assert_int_equal(response->topics[0].partitions[0].leader_epoch, 0);
    assert_int_equal(response->topics[0].partitions[0].end_offset, 3);
    assert_int_equal(response->topics[0].partitions[1].end_offset, 6);
    assert_int_equal(response->topics[0].partitions[2].error_code, 74);
    rig_request_free(request);
    rig_close(&rig);
}

static void producer_ids_are_unique_over_shards_and_blocks(void **state)
{
    static bool seen[8000];
    struct rig rig;

    UNUSED(state);
    memset(seen, 0, sizeof seen);
    start(&rig, 2);
    for (int i = 0; i < 2500; i++) {
        struct init_producer_id_request *body = init_producer_id_request_array(&rig.arena, 1);
        struct init_producer_id_response *response;
        struct rig_request *request;

        body->transactional_id = SLICE_NULL;
        request = rig_begin(&rig, i % 2, API_INIT_PRODUCER_ID, 4, body, handle_init_producer_id);
        response = rig_wait(request);
        assert_int_equal(response->error_code, 0);
        assert_in_range(response->producer_id, 0, 7999);
        assert_false(seen[response->producer_id]);
        seen[response->producer_id] = true;
        rig_request_free(request);
    }
    rig_close(&rig);
}

/* ---- without memory ---- */

static void *no_memory(struct allocator *self, size_t size_bytes)
{
    UNUSED(self);
    UNUSED(size_bytes);
    return NULL;
}

struct id_wait {
    struct producer_id_wait wait;
    enum err err;
    bool is_done;
};

static void id_came(struct producer_id_wait *wait, enum err err, int64_t producer_id)
{
    struct id_wait *own = CONTAINER_OF(wait, struct id_wait, wait);

    UNUSED(producer_id);
    own->err = err;
    own->is_done = true;
}

static void
whoever_waits_for_a_producer_id_that_no_memory_asks_for_is_told_to_come_again(void **state)
{
    struct id_wait first = {.wait.done = id_came}, second = {.wait.done = id_came};
    struct partition_table *table;
    struct allocator heap;
    struct rig rig;

    UNUSED(state);
    start(&rig, 1);
    rig_pass(&rig, 1000);
    table = rig.shards[0].partitions;
    table->producer_ids.next = table->producer_ids.end = 0; /* none is at hand */
    table->producer_ids.spare_next = table->producer_ids.spare_end = 0;
    arena_release(&table->producer_ids.arena);
    heap = heap_allocator;
    heap_allocator.allocate = no_memory;
    producer_id_next(table, &first.wait);
    heap_allocator = heap;
    assert_true(first.is_done);
    assert_int_equal(first.err, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    producer_id_next(table, &second.wait); /* asked for again */
    rig_pass(&rig, 1000);
    assert_true(second.is_done);
    assert_int_equal(second.err, OK);
    rig_close(&rig);
}

#define PRODUCERS 500
#define ASKED 5000

static void producers_ask(struct rig *rig, struct describe_producers_request *body)
{
    struct rig_request *request =
        rig_begin(rig, 0, API_DESCRIBE_PRODUCERS, 0, body, handle_describe_producers);
    struct describe_producers_response *response = rig_wait(request);
    int whole = 0, refused = 0;

    assert_non_null(response);
    assert_int_equal(response->topics->partitions_count, ASKED);
    for (int i = 0; i < ASKED; i++) {
        struct describe_producers_response_partition_response *part =
            &response->topics->partitions[i];

        if (part->error_code == 0)
            assert_int_equal(part->active_producers_count, PRODUCERS);
        else
            assert_int_equal(part->error_code, err_wire_code(ERR_NO_MEMORY));
        whole += part->error_code == 0;
        refused += part->error_code != 0;
    }
    assert_true(whole > 100 && refused > 100);
    rig_request_free(request);
}

/* A request may name a partition as often as it likes. */
static void producers_are_described_within_bounds_or_not_at_all(void **state)
{
    struct describe_producers_request *body;
    struct describe_producers_request_topic_request *topic;
    struct rig rig;

    UNUSED(state);
    start(&rig, 1);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(
            produce(&rig, 9, rig_batch(&rig, &(struct rig_batch){.count = 1, .producer_id = 7 + i}))
                ->error_code,
            0);
    body = describe_producers_request_array(&rig.arena, 1);
    topic = describe_producers_request_topic_request_array(&rig.arena, 1);
    body->topics = topic;
    body->topics_count = 1;
    topic->name = SLICE("t");
    topic->partition_indexes = ARENA_ARRAY(&rig.arena, int32_t, ASKED);
    topic->partition_indexes_count = ASKED;
    rig.request_bytes_max = 64 * MIB; /* no room for all of them in the answer */
    producers_ask(&rig, body);
    rig.request_bytes_max = 0; /* there would be: they are bounded before */
    producers_ask(&rig, body);
    rig_close(&rig);
}

/* The bound is for what was taken: a partition that does not fit leaves room for smaller ones. */
static void producers_that_were_refused_take_no_room_from_those_behind(void **state)
{
    enum { LAST = 1 };
    struct describe_producers_response *response;
    struct describe_producers_request *body;
    struct describe_producers_request_topic_request *topics;
    struct rig_request *request;
    struct rig rig;

    UNUSED(state);
    start(&rig, 1);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(
            produce(&rig, 9, rig_batch(&rig, &(struct rig_batch){.count = 1, .producer_id = 7 + i}))
                ->error_code,
            0);
    (void)rig_partition_open(&rig, 1, 1); /* of nobody: one row's room */
    body = describe_producers_request_array(&rig.arena, 1);
    topics = describe_producers_request_topic_request_array(&rig.arena, 2);
    body->topics = topics;
    body->topics_count = 2;
    topics[0].name = topics[1].name = SLICE("t");
    topics[0].partition_indexes = ARENA_ARRAY(&rig.arena, int32_t, ASKED);
    topics[0].partition_indexes_count = ASKED;
    topics[1].partition_indexes = ARENA_ARRAY(&rig.arena, int32_t, LAST);
    topics[1].partition_indexes_count = LAST;
    topics[1].partition_indexes[0] = 1;
    request = rig_begin(&rig, 0, API_DESCRIBE_PRODUCERS, 0, body, handle_describe_producers);
    response = rig_wait(request);
    assert_non_null(response);
    assert_int_equal(response->topics[0].partitions[ASKED - 1].error_code,
                     err_wire_code(ERR_NO_MEMORY));
    assert_int_equal(response->topics[1].partitions[0].error_code, 0);
    rig_request_free(request);
    rig_close(&rig);
}
static void active_producers_are_described(void **state)
{
    struct rig rig;
    struct describe_producers_request *body;
    struct describe_producers_request_topic_request *topic;
    struct rig_request *request;
    struct describe_producers_response *response;

    UNUSED(state);
    start(&rig, 1);
    assert_int_equal(
        produce(&rig, 9, rig_batch(&rig, &(struct rig_batch){.count = 3, .producer_id = 7}))
            ->error_code,
        0);
    body = describe_producers_request_array(&rig.arena, 1);
    topic = describe_producers_request_topic_request_array(&rig.arena, 2);
    body->topics = topic;
    body->topics_count = 2;
    topic->name = SLICE("t");
    topic->partition_indexes = ARENA_ARRAY(&rig.arena, int32_t, 1);
    topic->partition_indexes_count = 1;
    topic[1] = topic[0];
    topic[1].name = SLICE("unknown");
    request = rig_begin(&rig, 0, API_DESCRIBE_PRODUCERS, 0, body, handle_describe_producers);
    response = rig_wait(request);
    assert_int_equal(response->topics[0].partitions[0].active_producers_count, 1);
    assert_int_equal(response->topics[0].partitions[0].active_producers[0].producer_id, 7);
    assert_int_equal(response->topics[0].partitions[0].active_producers[0].last_sequence, 2);
    assert_int_equal(response->topics[1].partitions[0].error_code, 3);
    assert_true(slice_equal_text(response->topics[1].partitions[0].error_message,
                                 "This server does not host this topic-partition."));
    rig_request_free(request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_get_the_next_offsets_with_every_kind_of_acks),
        cmocka_unit_test(answer_to_acks_all_waits_for_the_flush),
        cmocka_unit_test(acks_zero_gets_no_answer_and_an_error_closes),
        cmocka_unit_test(early_errors_are_kafkas),
        cmocka_unit_test(broken_batch_is_refused_and_nothing_is_written),
        cmocka_unit_test(record_errors_name_the_records),
        cmocka_unit_test(repeated_batch_gets_the_offsets_of_the_first),
        cmocka_unit_test(transactional_batches_need_an_id_and_a_coordinator),
        cmocka_unit_test(a_transactional_batch_without_producer_needs_a_transactional_id_too),
        cmocka_unit_test(later_batches_queue_behind_one_that_a_job_checks),
        cmocka_unit_test(log_append_time_is_stamped_and_told),
        cmocka_unit_test(not_leader_names_the_leader_and_its_endpoint),
        cmocka_unit_test(too_small_isr_refuses_acks_all_and_takes_acks_one),
        cmocka_unit_test(timeout_answers_with_the_offset_and_the_write_goes_on),
        cmocka_unit_test(quota_throttles_after_the_answer),
        cmocka_unit_test(many_partitions_in_one_request_are_all_answered),
        cmocka_unit_test(offsets_are_listed_by_time_and_special_values),
        cmocka_unit_test(a_partition_asked_twice_for_its_offset_is_answered_once_and_refused),
        cmocka_unit_test(records_are_deleted_up_to_an_offset),
        cmocka_unit_test(epochs_end_where_the_next_one_begins),
        cmocka_unit_test(producer_ids_are_unique_over_shards_and_blocks),
        cmocka_unit_test(active_producers_are_described),
        cmocka_unit_test(producers_that_were_refused_take_no_room_from_those_behind),
        cmocka_unit_test(
            whoever_waits_for_a_producer_id_that_no_memory_asks_for_is_told_to_come_again),
        cmocka_unit_test(producers_are_described_within_bounds_or_not_at_all),
    };

    return cmocka_run_group_tests_name("server/produce", tests, NULL, NULL);
}
