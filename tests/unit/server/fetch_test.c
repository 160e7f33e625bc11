/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fetch_test.c: Fetch on one and on two shards: limits, sessions, waiting.
 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "records/control_record.h"

typedef struct fetch_response_partition_data data;

static void produce_to(struct rig *rig, int32_t index, int count, size_t value_bytes)
{
    rig_produce(rig, index, &(struct rig_batch){.count = count, .value_bytes = value_bytes});
}

static struct rig_request *begin(struct rig *rig, struct fetch_request *body)
{
    return rig_begin(rig, 0, API_FETCH, 12, body, handle_fetch);
}

/* Of the first partitions; it waits so long for its records. */
static struct rig_request *park(struct rig *rig, int32_t partitions, int32_t max_wait_ms)
{
    struct fetch_request *body = rig_fetch_body(rig, partitions);

    body->max_wait_ms = max_wait_ms;
    return begin(rig, body);
}

/* The answer stays in the rig's arena. */
static struct fetch_response *end(struct rig_request *request)
{
    struct fetch_response *response = rig_wait(request);

    rig_request_free(request);
    assert_non_null(response);
    return response;
}

static struct fetch_response *fetch_on(struct rig *rig, int home, int16_t version,
                                       struct fetch_request *body)
{
    return end(rig_begin(rig, home, API_FETCH, version, body, handle_fetch));
}

static struct fetch_response *fetch(struct rig *rig, int16_t version, struct fetch_request *body)
{
    return fetch_on(rig, 0, version, body);
}

static data *part_of(struct fetch_response *response, int32_t index)
{
    for (int32_t i = 0; i < response->responses_count; i++)
        for (int32_t j = 0; j < response->responses[i].partitions_count; j++)
            if (response->responses[i].partitions[j].partition_index == index)
                return &response->responses[i].partitions[j];
    return NULL;
}

static int64_t first_offset(struct slice records)
{
    struct batch_header header;
    struct slice batch;

    OKAY(batch_next(&records, &batch));
    OKAY(batch_header_read(batch, &header));
    assert_true(batch_is_valid(batch));
    return header.base_offset;
}

static void what_was_written_is_read_in_every_version(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;

        rig_start(&rig, shards, 2);
        produce_to(&rig, 0, 5, 10);
        produce_to(&rig, 1, 7, 10);
        for (int16_t version = 4; version <= 18; version++) {
            struct fetch_response *response = fetch(&rig, version, rig_fetch_body(&rig, 2));

            assert_int_equal(part_of(response, 0)->high_watermark, 5);
            assert_int_equal(part_of(response, 1)->high_watermark, 7);
            assert_int_equal(part_of(response, 1)->last_stable_offset, 7);
            assert_int_equal(first_offset(part_of(response, 1)->records), 0);
            assert_int_equal(response->session_id, 0);
            assert_int_equal(part_of(response, 0)->aborted_transactions_count, -1);
        }
        rig_close(&rig);
    }
}

/* The image of when it came is gone by then, and its memory is used for something else. */
static void a_fetch_that_waits_for_its_log_names_the_topic_by_its_own_bytes(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;
        struct fetch_response *response;
        struct fetch_request *body;
        uint8_t *name;

        rig_open(&rig, shards, NULL);
        rig_topic(&rig, "t", 1, 1);
        rig_publish(&rig);
        assert_int_not_equal(rig_partition(&rig, 1, 0)->stage, PARTITION_OPEN);
        body = rig_fetch_body(&rig, 1);
        request = begin(&rig, body);
        assert_false(request->is_answered);
        name =
            (uint8_t *)(uintptr_t)metadata_image_topic(rig.shards[0].publication->image, SLICE("t"))
                ->name.data;
        *name = 'x';
        response = rig_wait(request);
        *name = 't';
        assert_int_equal(part_of(response, 0)->error_code, 0);
        assert_true(slice_equal(response->responses->topic, SLICE("t")));
        rig_request_free(request);
        rig_close(&rig);
    }
}

static void empty_records_are_never_null(void **state)
{
    struct rig rig;
    struct fetch_response *response;
    struct fetch_request *body;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    body = rig_fetch_body(&rig, 1);
    body->isolation_level = 1;
    response = fetch(&rig, 13, body);
    assert_false(slice_is_null(part_of(response, 0)->records));
    assert_int_equal(part_of(response, 0)->records.size_bytes, 0);
    assert_int_equal(part_of(response, 0)->aborted_transactions_count, 0);
    rig_close(&rig);
}

/* To the log of partition 0. */
static void append(struct rig *rig, struct slice bytes)
{
    struct partition *partition = rig_partition(rig, 1, 0);
    struct log_append *append = ARENA_NEW(&rig->arena, struct log_append);

    *append = (struct log_append){.data = (uint8_t *)(uintptr_t)bytes.data,
                                  .size_bytes = bytes.size_bytes,
                                  .origin = APPEND_ORIGIN_COORDINATOR,
                                  .leader_epoch = partition->replica.leader_epoch};
    OKAY(log_append(partition->log, append, NULL));
    rig_pass(rig, 10);
}

#define ABORTED 300

static void nobody_reads_records_without_the_list_of_aborted_transactions(void **state)
{
    int bare = 0, whole = 0;
    struct fetch_request *body;
    struct rig rig;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    for (int i = 0; i < ABORTED; i++) {
        CLEANUP(writer_release) struct writer writer;
        struct end_transaction_marker marker = {.is_abort = true};
        struct partition *partition = rig_partition(&rig, 1, 0);

        append(&rig, rig_batch(&rig, &(struct rig_batch){
                                         .count = 1, .producer_id = 7 + i, .transactional = true}));
        writer_init(&writer, &heap_allocator, SIZE_MAX);
        OKAY(end_transaction_batch_write(&marker, log_end_queued(partition->log),
                                         partition->replica.leader_epoch, 7 + i, 0, 1000, &writer));
        append(&rig, arena_copy(&rig.arena, writer_slice(&writer)));
    }
    body = rig_fetch_body(&rig, 1);
    body->isolation_level = 1;
    body->max_bytes = body->topics->partitions->partition_max_bytes = 8 << 20;
    for (rig.request_bytes_max = 4096; whole == 0; rig.request_bytes_max += 512) {
        struct rig_request *request = rig_begin(&rig, 0, API_FETCH, 13, body, handle_fetch);
        struct fetch_response *response = rig_wait(request);
        data *part = response ? part_of(response, 0) : NULL;

        if (part && part->error_code == 0 && part->records.size_bytes > 0) {
            assert_int_equal(part->aborted_transactions_count, ABORTED);
            whole++;
        }
        bare += part && part->error_code == 0 && part->records.size_bytes == 0;
        rig_request_free(request);
        assert_true(rig.request_bytes_max < 64 * MIB);
    }
    assert_true(bare > 0); /* there was room for all but the list */
    rig.request_bytes_max = 0;
    rig_close(&rig);
}

static void errors_are_kafkas(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    struct rig_request *request;
    data *got;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    produce_to(&rig, 0, 5, 10);
    body = rig_fetch_body(&rig, 1);
    body->topics->partitions->fetch_offset = 6;
    assert_int_equal(part_of(fetch(&rig, 12, body), 0)->error_code, 1);
    body->topics->partitions->fetch_offset = 0;
    body->topics->partitions->current_leader_epoch = 3;
    assert_int_equal(part_of(fetch(&rig, 12, body), 0)->error_code, 75);
    body->topics->partitions->current_leader_epoch = -1;
    body->topics->topic_id = rig_id(99);
    got = part_of(fetch(&rig, 13, body), 0);
    assert_int_equal(got->error_code, 100);
    assert_int_equal(got->high_watermark, -1);
    assert_int_equal(got->records.size_bytes, 0);
    assert_false(slice_is_null(got->records));
    body->topics->topic = SLICE("missing");
    assert_int_equal(part_of(fetch(&rig, 12, body), 0)->error_code, 3);
    body->isolation_level = 2;
    request = begin(&rig, body);
    assert_true(request->is_failed);
    assert_int_equal(request->failed_err, ERR_UNKNOWN_SERVER_ERROR);
    rig_request_free(request);
    rig_close(&rig);
}

/* What the log is told of partitions that nobody fetches rests on it. */
static void a_consumers_fetch_leaves_its_time_and_offset_in_the_partition(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    const struct partition *partition;
    int64_t led_ms;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    partition = rig_partition(&rig, 1, 0);
    led_ms = partition->fetched_ms;
    assert_int_equal(partition->fetched_offset, -1);
    produce_to(&rig, 0, 3, 10);
    rig_pass(&rig, 1000);
    assert_int_equal(partition->fetched_ms, led_ms); /* since it is led here */
    body = rig_fetch_body(&rig, 1);
    body->replica_id = 7;
    (void)fetch(&rig, 12, body);
    assert_int_equal(partition->fetched_offset, -1); /* a replica is no consumer */
    body = rig_fetch_body(&rig, 1);
    body->replica_id = -1;
    body->topics->partitions->fetch_offset = 2;
    (void)fetch(&rig, 12, body);
    assert_int_equal(partition->fetched_offset, 2);
    assert_true(partition->fetched_ms >= led_ms + 1000);
    rig_close(&rig);
}

static void divergence_is_told_with_the_end_of_the_epoch(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    data *got;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    produce_to(&rig, 0, 3, 10);
    rig_leader(&rig, 1, 0, RIG_NODE);
    rig_publish(&rig);
    produce_to(&rig, 0, 3, 10);
    body = rig_fetch_body(&rig, 1);
    body->topics->partitions->fetch_offset = 5;
    body->topics->partitions->last_fetched_epoch = 0;
    got = part_of(fetch(&rig, 12, body), 0);
    assert_int_equal(got->error_code, 0);
    assert_int_equal(got->diverging_epoch.epoch, 0);
    assert_int_equal(got->diverging_epoch.end_offset, 3);
    assert_int_equal(got->records.size_bytes, 0);
    body->topics->partitions->last_fetched_epoch = 1;
    got = part_of(fetch(&rig, 12, body), 0);
    assert_int_equal(got->diverging_epoch.epoch, -1);
    rig_close(&rig);
}

static void limits_let_the_first_batch_pass_whole(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct fetch_request *body;
        struct fetch_response *response;

        rig_start(&rig, shards, 3);
        for (int32_t i = 0; i < 3; i++)
            produce_to(&rig, i, 1, 5000);
        body = rig_fetch_body(&rig, 3);
        body->max_bytes = 100;
        response = fetch(&rig, 12, body);
        assert_true(part_of(response, 0)->records.size_bytes > 5000);
        assert_int_equal(first_offset(part_of(response, 0)->records), 0);
        assert_int_equal(part_of(response, 1)->records.size_bytes, 0);
        assert_int_equal(part_of(response, 2)->records.size_bytes, 0);
        body->max_bytes = 8000;
        response = fetch(&rig, 12, body);
        assert_true(part_of(response, 0)->records.size_bytes > 5000);
        assert_int_equal(part_of(response, 1)->records.size_bytes, 0);
        body->max_bytes = 1 << 20;
        body->topics->partitions[1].partition_max_bytes = 10;
        response = fetch(&rig, 12, body);
        assert_int_equal(part_of(response, 1)->records.size_bytes, 0);
        assert_true(part_of(response, 2)->records.size_bytes > 5000);
        rig_close(&rig);
    }
}

/* ---- waiting ---- */

static void fetch_at_the_end_waits_until_a_record_is_committed(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;
        struct fetch_response *response;

        rig_start(&rig, shards, 4);
        request = park(&rig, 4, 30000);
        rig_pass(&rig, 1000);
        assert_false(request->is_answered);
        produce_to(&rig, 3, 2, 10);
        response = end(request);
        assert_int_equal(part_of(response, 3)->high_watermark, 2);
        assert_int_equal(first_offset(part_of(response, 3)->records), 0);
        assert_true(sim_now_ns(rig.sim) < INT64_C(10) * 1000000000);
        rig_close(&rig);
    }
}

static void fetch_waits_for_its_least_bytes_over_all_partitions(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct fetch_request *body;
        struct rig_request *request;
        struct fetch_response *response;

        rig_start(&rig, shards, 2);
        produce_to(&rig, 0, 1, 1000); /* planned, and not enough */
        body = rig_fetch_body(&rig, 2);
        body->max_wait_ms = 600000;
        body->min_bytes = 4000;
        request = begin(&rig, body);
        rig_pass(&rig, 1000);
        produce_to(&rig, 1, 1, 1000);
        rig_pass(&rig, 1000);
        assert_false(request->is_answered);
        produce_to(&rig, 0, 1, 1000);
        rig_pass(&rig, 1000);
        assert_false(request->is_answered);
        produce_to(&rig, 1, 1, 1000);
        rig_pass(&rig, 1000);
        assert_true(request->is_answered);
        response = end(request);
        assert_true(part_of(response, 0)->records.size_bytes > 2000);
        assert_true(part_of(response, 1)->records.size_bytes > 2000);
        rig_close(&rig);
    }
}

static void time_out_answers_with_what_there_is(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct fetch_request *body;
        struct rig_request *request;
        struct fetch_response *response;

        rig_start(&rig, shards, 2);
        produce_to(&rig, 1, 1, 100);
        body = rig_fetch_body(&rig, 2);
        body->max_wait_ms = 500;
        body->min_bytes = 100000;
        request = begin(&rig, body);
        rig_pass(&rig, 400);
        assert_false(request->is_answered);
        rig_pass(&rig, 200);
        assert_true(request->is_answered);
        response = end(request);
        assert_int_equal(part_of(response, 1)->high_watermark, 1);
        assert_true(part_of(response, 1)->records.size_bytes > 100);
        rig_close(&rig);
    }
}

static void parked_fetch_of_a_deleted_topic_is_answered_at_once(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;
        struct fetch_response *response;

        rig_start(&rig, shards, 2);
        request = park(&rig, 2, 600000);
        rig_pass(&rig, 100);
        rig_topic_remove(&rig, 1);
        rig_publish(&rig);
        rig_pass(&rig, 1000);
        assert_true(request->is_answered);
        response = end(request);
        assert_int_equal(part_of(response, 0)->error_code, 3);
        rig_close(&rig);
    }
}

static void parked_fetch_is_dropped_when_the_client_hangs_up(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;

        rig_start(&rig, shards, 2);
        request = park(&rig, 2, 600000);
        rig_pass(&rig, 100);
        assert_int_equal(rig.shards[0].metrics.fetch_delayed, 1);
        rig_hang_up(request);
        rig_pass(&rig, 100);
        assert_true(request->is_nothing);
        assert_int_equal(request->holds, 0);
        assert_int_equal(rig.shards[0].metrics.fetch_delayed, 0);
        rig_request_free(request);
        produce_to(&rig, 0, 1, 10); /* nobody is told any more */
        rig_close(&rig);
    }
}

/* ---- sessions ---- */

static void session_replies_hold_only_what_changed(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        for (int home = 0; home < (int)shards; home++) { /* also from a shard that lends it */
            struct rig rig;
            struct fetch_request *body;
            struct fetch_response *response;
            int32_t id;

            rig_start(&rig, shards, 3);
            produce_to(&rig, 1, 2, 10);
            body = rig_fetch_body(&rig, 3);
            body->session_epoch = 0;
            response = fetch(&rig, 13, body);
            id = response->session_id;
            assert_true(id > 0);
            assert_non_null(part_of(response, 0));
            assert_non_null(part_of(response, 1));
            body = rig_fetch_body(&rig, 0);
            body->topics_count = 0;
            body->session_id = id;
            body->session_epoch = 1;
            response = fetch_on(&rig, home, 13, body); /* the same offsets again */
            assert_int_equal(response->session_id, id);
            assert_null(part_of(response, 0));
            assert_non_null(part_of(response, 1));
            body = rig_fetch_body(&rig, 2);
            body->topics->partitions[1].fetch_offset = 2;
            body->session_id = id;
            body->session_epoch = 2;
            response = fetch_on(&rig, home, 13, body);
            assert_int_equal(response->responses_count, 0);
            produce_to(&rig, 2, 1, 10);
            body = rig_fetch_body(&rig, 0);
            body->topics_count = 0;
            body->session_id = id;
            body->session_epoch = 3;
            response = fetch_on(&rig, home, 13, body);
            assert_null(part_of(response, 1));
            assert_non_null(part_of(response, 2));
            body->session_epoch = 3;
            assert_int_equal(fetch_on(&rig, home, 13, body)->error_code, 71);
            body->session_id = id + 1;
            assert_int_equal(fetch_on(&rig, home, 13, body)->error_code, 70);
            rig_close(&rig);
        }
    }
}

static void session_without_partitions_ends(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    struct fetch_response *response;
    int32_t id;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    body = rig_fetch_body(&rig, 1);
    body->session_epoch = 0;
    id = fetch(&rig, 12, body)->session_id;
    body = rig_fetch_body(&rig, 0);
    body->topics_count = 0;
    body->session_id = id;
    body->session_epoch = 1;
    body->forgotten_topics_data = fetch_request_forgotten_topic_array(&rig.arena, 1);
    body->forgotten_topics_data_count = 1;
    body->forgotten_topics_data->topic = SLICE("t");
    body->forgotten_topics_data->partitions = ARENA_ARRAY(&rig.arena, int32_t, 1);
    body->forgotten_topics_data->partitions_count = 1;
    response = fetch(&rig, 12, body);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->session_id, 0);
    body->forgotten_topics_data_count = 0;
    body->session_epoch = 2;
    assert_int_equal(fetch(&rig, 12, body)->error_code, 70);
    rig_close(&rig);
}

static void throttled_fetch_is_empty_and_nothing_is_remembered(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    struct rig_request *request;
    struct fetch_response *response;
    int32_t id;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    produce_to(&rig, 0, 5, 10);
    rig.quota_fetch_max = 1000000;
    rig.quota_throttle_ms = 100;
    body = rig_fetch_body(&rig, 1);
    body->session_epoch = 0;
    request = begin(&rig, body);
    response = rig_wait(request);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->responses_count, 0);
    assert_int_equal(response->session_id, 0); /* no session for a full fetch */
    assert_int_equal(request->throttle_ms, 100);
    rig_request_free(request);
    rig.quota_throttle_ms = 0;
    body->topics->partitions->fetch_offset = 5;
    id = fetch(&rig, 12, body)->session_id;
    assert_true(id > 0);
    produce_to(&rig, 0, 5, 10);
    body->topics_count = 0;
    body->session_id = id;
    body->session_epoch = 1;
    rig.quota_throttle_ms = 100;
    response = fetch(&rig, 12, body);
    assert_int_equal(response->session_id, id);
    assert_int_equal(response->responses_count, 0);
    rig.quota_throttle_ms = 0;
    body->session_epoch = 2;
    response = fetch(&rig, 12, body);
    assert_int_equal(part_of(response, 0)->high_watermark, 10);
    rig_close(&rig);
}

static void stop_answers_parked_fetches(void **state)
{
    struct rig rig;
    struct rig_request *request;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    request = park(&rig, 1, 600000);
    rig_pass(&rig, 100);
    fetch_service_stop(rig.shards[0].fetches);
    rig_pass(&rig, 100);
    assert_true(request->is_answered);
    rig_request_free(request);
    rig_close(&rig);
}

/* The checksum does not cover the base offset: a batch that rotted into another place is not that which was asked
 * for, and whoever took it would ask for the same offset for ever. */
static void a_batch_whose_base_offset_rotted_is_not_served(void **state)
{
    struct rig rig;
    struct fetch_request *body;
    struct fetch_response *response;
    struct slice rest, batch;
    const char *path;

    UNUSED(state);
    rig_start(&rig, 1, 1);
    produce_to(&rig, 0, 10, 10);
    produce_to(&rig, 0, 2, 10);
    produce_to(&rig, 0, 10, 10);
    path = rig_log_path(&rig);
    OKAY(sim_disk_peek(rig.os, path, &rig.arena, &rest));
    OKAY(batch_next(&rest, &batch));
    OKAY(sim_disk_flip(rig.os, path, (int64_t)batch.size_bytes + 7, 0x08)); /* 10 becomes 2 */
    body = rig_fetch_body(&rig, 1);
    body->topics->partitions[0].fetch_offset = 10;
    response = fetch(&rig, 12, body);
    assert_int_equal(part_of(response, 0)->error_code, 2); /* CORRUPT_MESSAGE */
    assert_int_equal(part_of(response, 0)->records.size_bytes, 0);
    body = rig_fetch_body(&rig, 1);
    response = fetch(&rig, 12, body);
    assert_int_equal(part_of(response, 0)->error_code, 0); /* what lies before it */
    assert_int_equal(part_of(response, 0)->records.size_bytes, batch.size_bytes);
    OKAY(sim_disk_flip(rig.os, path, (int64_t)batch.size_bytes + 7, 0x08 ^ 0x03)); /* 9 */
    response = fetch(&rig, 12, rig_fetch_body(&rig, 1));
    assert_int_equal(part_of(response, 0)->records.size_bytes, batch.size_bytes); /* no overlap */
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_in_every_version),
        cmocka_unit_test(a_fetch_that_waits_for_its_log_names_the_topic_by_its_own_bytes),
        cmocka_unit_test(empty_records_are_never_null),
        cmocka_unit_test(nobody_reads_records_without_the_list_of_aborted_transactions),
        cmocka_unit_test(errors_are_kafkas),
        cmocka_unit_test(a_consumers_fetch_leaves_its_time_and_offset_in_the_partition),
        cmocka_unit_test(divergence_is_told_with_the_end_of_the_epoch),
        cmocka_unit_test(limits_let_the_first_batch_pass_whole),
        cmocka_unit_test(fetch_at_the_end_waits_until_a_record_is_committed),
        cmocka_unit_test(fetch_waits_for_its_least_bytes_over_all_partitions),
        cmocka_unit_test(time_out_answers_with_what_there_is),
        cmocka_unit_test(parked_fetch_of_a_deleted_topic_is_answered_at_once),
        cmocka_unit_test(parked_fetch_is_dropped_when_the_client_hangs_up),
        cmocka_unit_test(session_replies_hold_only_what_changed),
        cmocka_unit_test(session_without_partitions_ends),
        cmocka_unit_test(throttled_fetch_is_empty_and_nothing_is_remembered),
        cmocka_unit_test(stop_answers_parked_fetches),
        cmocka_unit_test(a_batch_whose_base_offset_rotted_is_not_served),
    };

    return cmocka_run_group_tests_name("server/fetch", tests, NULL, NULL);
}
