/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fetch_share_test.c: several readers of one place, on one and on two shards.
 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "server/fetch_internal.h"

#define VALUE_BYTES 20000

static void produce(struct rig *rig, int records, size_t value_bytes)
{
    rig_produce(rig, 0, &(struct rig_batch){.count = records, .value_bytes = value_bytes});
}

static void start(struct rig *rig, size_t shards, int batches)
{
    rig_start(rig, shards, 1);
    for (int i = 0; i < batches; i++)
        produce(rig, 1, VALUE_BYTES);
}

/* reader: 0 or 1. */
static struct rig_request *begin(struct rig *rig, int home, int reader, int64_t offset,
                                 int32_t bytes_max)
{
    struct fetch_request *body = rig_fetch_body(rig, 1);

    body->topics->partitions->fetch_offset = offset;
    body->topics->partitions->partition_max_bytes = bytes_max;
    rig->is_other = reader == 1;
    return rig_begin(rig, home, API_FETCH, 12, body, handle_fetch);
}

/* How many batches came, all whole and right; -1: CORRUPT_MESSAGE. */
static int end(struct rig_request *request, int64_t offset, int records)
{
    struct fetch_response *response = rig_wait(request);
    struct fetch_response_partition_data *data = response->responses->partitions;
    struct slice rest = data->records, batch;
    int count = 0;

    if (data->error_code == 2) {
        assert_int_equal(rest.size_bytes, 0);
        rig_request_free(request);
        return -1;
    }
    assert_int_equal(data->error_code, 0);
    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;

        assert_true(batch_is_valid(batch));
        OKAY(batch_header_read(batch, &header));
        assert_int_equal(header.base_offset, offset);
        assert_int_equal(header.record_count, records);
        offset += records;
        count++;
    }
    rig_request_free(request);
    return count;
}

static int fetch(struct rig *rig, int home, int reader, int64_t offset)
{
    return end(begin(rig, home, reader, offset, 1 << 20), offset, 1);
}

static void what_was_read_before_the_disk_rotted_is_still_right(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        for (int home = 0; home < (int)shards; home++) {
            struct rig rig;

            start(&rig, shards, 5);
            assert_int_equal(fetch(&rig, home, 0, 0), 5);
            assert_int_equal(fetch(&rig, home, 1, 0), 5); /* there are two: kept */
            for (int64_t i = 0; i < 5; i++)
                OKAY(sim_disk_flip(rig.os, rig_log_path(&rig), 1000 + i * VALUE_BYTES, 0x10));
            assert_int_equal(fetch(&rig, home, 0, 0), 5);
            assert_int_equal(fetch(&rig, home, 1, 2), 3); /* from the midst of it */
            rig_pass(&rig, 12000);
            assert_int_equal(fetch(&rig, home, 0, 0), -1);
            rig_close(&rig);
        }
    }
}

static void one_reader_alone_holds_nothing(void **state)
{
    struct rig rig;

    UNUSED(state);
    start(&rig, 1, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fetch(&rig, 0, 0, i), 5 - i);
    assert_int_equal(rig.shards[0].fetches->held_bytes, 0);
    rig_close(&rig);
}

static void what_nobody_reads_any_more_is_given_back_in_some_seconds(void **state)
{
    struct rig rig;
    struct fetch_service *service;

    UNUSED(state);
    start(&rig, 1, 5);
    service = rig.shards[0].fetches;
    for (int i = 0; i < 4; i++)
        assert_int_equal(fetch(&rig, 0, i % 2, 0), 5);
    assert_int_equal(service->cache.count, 1);
    assert_int_equal(service->held_bytes, service->cache.bytes);
    rig_pass(&rig, 4000);
    assert_int_equal(service->cache.count, 1);
    rig_pass(&rig, 16000);
    assert_int_equal(service->held_bytes, 0);
    assert_int_equal(service->spare_bytes, 0);
    assert_null(service->cache.slots);
    rig_close(&rig);
}

static void requests_of_one_moment_read_once(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *requests[6];
        struct sim_counts before, after;

        start(&rig, shards, 5);
        assert_int_equal(fetch(&rig, 0, 0, 0), 5);
        assert_int_equal(fetch(&rig, 0, 1, 0), 5);
        sim_counts(rig.sim, &before);
        for (int i = 0; i < 6; i++)
            requests[i] = begin(&rig, 0, i % 2, 1, 2 * VALUE_BYTES + 1000); /* in the cache */
        for (int i = 0; i < 6; i++)
            assert_int_equal(end(requests[i], 1, 1), 2);
        sim_counts(rig.sim, &after);
        assert_int_equal(after.io_calls, before.io_calls);
        produce(&rig, 1, VALUE_BYTES);
        produce(&rig, 1, VALUE_BYTES);
        sim_counts(rig.sim, &before);
        for (int i = 0; i < 6; i++)
            requests[i] = begin(&rig, 0, i % 2, 5, 1 << 20);
        for (int i = 0; i < 6; i++)
            assert_int_equal(end(requests[i], 5, 1), 2);
        sim_counts(rig.sim, &after);
        assert_int_equal(after.io_calls, before.io_calls + 1);
        rig_close(&rig);
    }
}

static void who_waited_for_a_read_that_failed_reads_by_itself(void **state)
{
    struct rig rig;
    struct rig_request *requests[4];

    UNUSED(state);
    start(&rig, 1, 5);
    assert_int_equal(fetch(&rig, 0, 0, 0), 5);
    assert_int_equal(fetch(&rig, 0, 1, 0), 5);
    produce(&rig, 1, VALUE_BYTES);
    OKAY(sim_disk_flip(rig.os, rig_log_path(&rig), 1000 + 5 * VALUE_BYTES, 0x10));
    for (int i = 0; i < 4; i++)
        requests[i] = begin(&rig, 0, i % 2, 5, 1 << 20);
    for (int i = 0; i < 4; i++)
        assert_int_equal(end(requests[i], 5, 1), -1);
    assert_int_equal(rig.shards[0].fetches->cache.count, 1);
    rig_close(&rig);
}

static bool is_done;
static void truncated(struct log_change_op *op)
{
    OKAY(op->err);
    is_done = true;
}
static bool truncation_is_over(void *context)
{
    UNUSED(context);
    return is_done;
}

static void records_that_replace_truncated_ones_are_read(void **state)
{
    UNUSED(state);
    for (int64_t kept = 0; kept <= 2; kept += 2) {
        struct rig rig;
        struct log_change_op op = {.done = truncated};
        struct partition *partition;

        start(&rig, 1, 5);
        partition = rig_partition(&rig, 1, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(fetch(&rig, 0, i % 2, kept), 5 - (int)kept);
        is_done = false;
        log_truncate(partition->log, kept, &op);
        assert_true(rig_run_until(&rig, truncation_is_over, NULL));
        partition->replica.high_watermark = kept; /* as if it had come as a follower */
        for (int i = 0; i < 3; i++)
            produce(&rig, 2, VALUE_BYTES / 2); /* where the others were */
        for (int i = 0; i < 4; i++)
            assert_int_equal(end(begin(&rig, 0, i % 2, kept, 1 << 20), kept, 2), 3);
        rig_close(&rig);
    }
}

static void a_topic_that_is_made_anew_has_its_own_records(void **state)
{
    struct rig rig;

    UNUSED(state);
    start(&rig, 1, 5);
    for (int i = 0; i < 4; i++)
        assert_int_equal(fetch(&rig, 0, i % 2, 0), 5);
    rig_topic_remove(&rig, 1);
    rig_publish(&rig);
    rig_pass(&rig, 1000);
    rig_topic(&rig, "t", 2, 1);
    rig_publish(&rig);
    (void)rig_partition_open(&rig, 2, 0);
    for (int i = 0; i < 3; i++)
        produce(&rig, 2, VALUE_BYTES / 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(end(begin(&rig, 0, i % 2, 0, 1 << 20), 0, 2), 3);
    rig_close(&rig);
}

/* What is kept for others gives way to what somebody waits for. */
static void the_cache_gives_way_when_the_shard_holds_all_it_may(void **state)
{
    struct rig rig;
    struct fetch_service *service;
    size_t missing_bytes;

    UNUSED(state);
    start(&rig, 1, 5);
    service = rig.shards[0].fetches;
    for (int i = 0; i < 4; i++)
        assert_int_equal(fetch(&rig, 0, i % 2, 0), 5);
    assert_int_equal(service->cache.count, 1);
    missing_bytes = FETCH_HELD_BYTES_MAX - service->held_bytes;
    service->held_bytes += missing_bytes; /* of clients that do not read */
    produce(&rig, 1, VALUE_BYTES);
    assert_int_equal(fetch(&rig, 0, 0, 5), 1);
    service->held_bytes -= missing_bytes;
    assert_true(service->held_bytes <= FETCH_SHARED_BYTES_MAX);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_before_the_disk_rotted_is_still_right),
        cmocka_unit_test(one_reader_alone_holds_nothing),
        cmocka_unit_test(what_nobody_reads_any_more_is_given_back_in_some_seconds),
        cmocka_unit_test(requests_of_one_moment_read_once),
        cmocka_unit_test(who_waited_for_a_read_that_failed_reads_by_itself),
        cmocka_unit_test(records_that_replace_truncated_ones_are_read),
        cmocka_unit_test(a_topic_that_is_made_anew_has_its_own_records),
        cmocka_unit_test(the_cache_gives_way_when_the_shard_holds_all_it_may),
    };

    return cmocka_run_group_tests_name("server/fetch_share", tests, NULL, NULL);
}
