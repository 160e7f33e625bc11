/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/batch_builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PRODUCE_VERSION 9
#define FETCH_VERSION 11
#define FETCH_BYTES (32 * KIB)

static void fail(struct workload *work, const char *format, ...) PRINTF_LIKE(2, 3);
static void fail(struct workload *work, const char *format, ...)
{
    va_list arguments;

    if (work->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(work->failure, sizeof work->failure, format, arguments);
    va_end(arguments);
}

void workload_init(struct workload *work, struct sim *sim, struct os *client_machine,
                   const char *host, uint64_t stream)
{
    *work = (struct workload){
        .sim = sim, .machine = client_machine, .host = host, .topic = "t", .producer_id = -1};
    work->client = sim_client_new(sim, client_machine);
    random_init(&work->random, sim_seed(sim) * 1000003 + stream);
    work->with_compression = random_chance(&work->random, 1, 2);
}

void workload_release(struct workload *work)
{
    sim_client_free(&work->client);
}

/* ---- set up ---- */

static bool topic_make(struct workload *work, struct arena *arena, int64_t deadline_ns)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(arena, 1);
    struct create_topics_response *answer;
    void *response;

    create_topics_request_init(&body);
    topic->name = slice_from_text(work->topic);
    topic->num_partitions = WORKLOAD_PARTITIONS;
    topic->replication_factor = -1;
    body.topics = topic;
    body.topics_count = 1;
    if (sim_client_call(work->client, API_CREATE_TOPICS, 7, &body, arena, deadline_ns, &response) !=
        OK)
        return false;
    answer = response;
    if (answer->topics_count != 1)
        fail(work, "CreateTopics answered %d topics", answer->topics_count);
    else if (answer->topics[0].error_code == OK ||
             answer->topics[0].error_code == ERR_TOPIC_ALREADY_EXISTS)
        work->is_topic_made = true;
    else
        fail(work, "CreateTopics: %s", err_name(err_from_wire(answer->topics[0].error_code)));
    return work->is_topic_made;
}

static bool producer_make(struct workload *work, struct arena *arena, int64_t deadline_ns)
{
    struct init_producer_id_request body;
    const struct init_producer_id_response *answer;
    void *response;

    init_producer_id_request_init(&body);
    body.transactional_id = SLICE_NULL;
    body.transaction_timeout_ms = 60000;
    if (sim_client_call(work->client, API_INIT_PRODUCER_ID, 4, &body, arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    if (answer->error_code != OK)
        return err_is_retriable(err_from_wire(answer->error_code));
    work->producer_id = answer->producer_id;
    work->producer_epoch = answer->producer_epoch;
    return true;
}

/* ---- produce ---- */

static struct slice batch_build(struct workload *work, const struct workload_partition *partition,
                                struct arena *arena)
{
    struct batch_options options;
    struct batch_builder builder;
    struct compress_context *compress = NULL;
    struct writer scratch, out;
    struct slice batch;
    enum err err;

    writer_init(&scratch, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    err = compress_context_open(&compress, &heap_allocator);
    ASSERT(err == OK);
    batch_options_init(&options);
    options.producer_id = work->producer_id;
    options.producer_epoch = work->producer_epoch;
    options.base_sequence = partition->next_sequence;
    if (work->with_compression)
        options.codec = (enum compression)(partition->next_value % COMPRESSION_COUNT);
    options.level = compression_level_default(options.codec);
    batch_builder_begin(&builder, &options, compress, &scratch, &out);
    for (int32_t i = 0; i < partition->pending; i++) {
        char value[64];
        int length = snprintf(value, sizeof value, "%lld", (long long)(partition->next_value + i));
        struct batch_record record = {.timestamp = partition->timestamp_ms,
                                      .key = SLICE_NULL,
                                      .value = slice_of(value, (size_t)length)};

        err = batch_builder_append(&builder, &record);
        ASSERT(err == OK);
    }
    err = batch_builder_finish(&builder, &batch);
    ASSERT(err == OK);
    batch = arena_copy(arena, batch);
    writer_release(&scratch);
    writer_release(&out);
    compress_context_release(&compress);
    return batch;
}

static void produce_answered(struct workload *work, struct workload_partition *partition,
                             const struct produce_response *answer)
{
    const struct produce_response_partition_produce_response *result;
    enum err err;

    if (answer->responses_count != 1 || answer->responses[0].partition_responses_count != 1) {
        fail(work, "Produce answered another number of partitions");
        return;
    }
    result = &answer->responses[0].partition_responses[0];
    err = err_from_wire(result->error_code);
    if (err != OK) {
        work->last_error = err;
        if (!err_is_retriable(err))
            fail(work, "Produce of value %lld: %s", (long long)partition->next_value,
                 err_name(err));
        return; /* the same batch is sent again */
    }
    /* Values and offsets run together, so an acknowledged offset says all. */
    if (result->base_offset != partition->next_value)
        fail(work, "value %lld was acknowledged at offset %lld", (long long)partition->next_value,
             (long long)result->base_offset);
    partition->next_value += partition->pending;
    partition->next_sequence += partition->pending;
    partition->acked = partition->next_value;
    partition->pending = 0;
    work->acked_batches++;
}

static bool produce(struct workload *work, int32_t index, struct arena *arena, int64_t deadline_ns)
{
    struct workload_partition *partition = &work->partitions[index];
    struct produce_request body;
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(arena, 1);
    struct produce_request_partition_produce_data *data =
        produce_request_partition_produce_data_array(arena, 1);
    void *response;

    if (partition->pending == 0) {
        partition->pending = (int32_t)random_between(&work->random, 1, 20);
        /* Of today: a producer whose batches are of long ago is forgotten, as with Kafka. */
        partition->timestamp_ms = os_wall_ms(work->machine);
    }
    produce_request_init(&body);
    body.acks = -1;
    body.timeout_ms = 10000;
    body.topic_data = topic;
    body.topic_data_count = 1;
    topic->name = slice_from_text(work->topic);
    topic->partition_data = data;
    topic->partition_data_count = 1;
    data->index = index;
    data->records = batch_build(work, partition, arena);
    if (sim_client_call(work->client, API_PRODUCE, PRODUCE_VERSION, &body, arena, deadline_ns,
                        &response) != OK)
        return false;
    produce_answered(work, partition, response);
    return true;
}

/* ---- fetch ---- */

static void record_seen(struct workload *work, int32_t index, const struct record *record)
{
    struct workload_partition *partition = &work->partitions[index];
    char text[32];
    int64_t value;

    snprintf(text, sizeof text, "%.*s", (int)MIN(record->value.size_bytes, sizeof text - 1),
             (const char *)record->value.data);
    value = strtoll(text, NULL, 10);
    if (value != record->offset)
        fail(work, "partition %d offset %lld holds value %s", index, (long long)record->offset,
             text);
    if (value >= partition->next_value + partition->pending)
        fail(work, "partition %d: value %lld was never sent", index, (long long)value);
}

/* Reads from `offset`; returns the offset behind what came. */
static int64_t records_read(struct workload *work, int32_t index, int64_t offset,
                            struct slice records)
{
    struct compress_context *compress = NULL;
    struct writer inflated;
    struct slice batch;
    enum err err = compress_context_open(&compress, &heap_allocator);

    ASSERT(err == OK);
    writer_init(&inflated, &heap_allocator, SIZE_MAX);
    while (records.size_bytes > 0 && batch_next(&records, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;
        struct record_walk walk;
        struct record record;
        bool more = true;

        if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK) {
            fail(work, "partition %d: a broken batch behind offset %lld", index, (long long)offset);
            break;
        }
        writer_reset(&inflated);
        err = record_inflate(compress, batch, SIZE_MAX, &inflated);
        if (err == OK)
            err = record_walk_begin(&walk, &header, writer_slice(&inflated));
        while (err == OK && (err = record_walk_next(&walk, &record, &more)) == OK && more) {
            if (record.offset < offset)
                continue; /* the batch begins before what was asked for */
            if (record.offset != offset)
                fail(work, "partition %d: offset %lld came after %lld", index,
                     (long long)record.offset, (long long)offset - 1);
            record_seen(work, index, &record);
            offset = record.offset + 1;
        }
        if (err != OK)
            fail(work, "partition %d: records behind %lld: %s", index, (long long)offset,
                 err_name(err));
    }
    writer_release(&inflated);
    compress_context_release(&compress);
    return offset;
}

/* -1: no answer; else the offset behind what came. */
static int64_t fetch(struct workload *work, int32_t index, int64_t offset, int32_t wait_ms,
                     struct arena *arena, int64_t deadline_ns)
{
    struct workload_partition *partition = &work->partitions[index];
    struct fetch_request body;
    struct fetch_request_fetch_topic *topic = fetch_request_fetch_topic_array(arena, 1);
    struct fetch_request_fetch_partition *part = fetch_request_fetch_partition_array(arena, 1);
    const struct fetch_response *answer;
    const struct fetch_response_partition_data *data;
    void *response;

    fetch_request_init(&body);
    body.max_wait_ms = wait_ms;
    body.min_bytes = 1;
    body.max_bytes = FETCH_BYTES;
    body.isolation_level = (int8_t)random_below(&work->random, 2);
    body.rack_id = SLICE_EMPTY;
    body.topics = topic;
    body.topics_count = 1;
    topic->topic = slice_from_text(work->topic);
    topic->partitions = part;
    topic->partitions_count = 1;
    part->partition = index;
    part->fetch_offset = offset;
    part->partition_max_bytes = FETCH_BYTES;
    if (sim_client_call(work->client, API_FETCH, FETCH_VERSION, &body, arena, deadline_ns,
                        &response) != OK)
        return -1;
    answer = response;
    if (answer->error_code != OK || answer->responses_count != 1 ||
        answer->responses[0].partitions_count != 1) {
        fail(work, "Fetch: %s", err_name(err_from_wire(answer->error_code)));
        return -1;
    }
    data = &answer->responses[0].partitions[0];
    if (data->error_code != OK) {
        work->last_error = err_from_wire(data->error_code);
        if (!err_is_retriable(err_from_wire(data->error_code)))
            fail(work, "Fetch of partition %d from %lld: %s", index, (long long)offset,
                 err_name(err_from_wire(data->error_code)));
        return offset;
    }
    if (slice_is_null(data->records))
        fail(work, "Fetch answered null records");
    if (data->high_watermark < partition->high_watermark)
        fail(work, "partition %d: the high watermark went back from %lld to %lld", index,
             (long long)partition->high_watermark, (long long)data->high_watermark);
    partition->high_watermark = MAX(partition->high_watermark, data->high_watermark);
    offset = records_read(work, index, offset, data->records);
    if (offset > data->high_watermark)
        fail(work, "partition %d: offset %lld was shown above the high watermark %lld", index,
             (long long)offset - 1, (long long)data->high_watermark);
    return offset;
}

/* ---- steps ---- */

static bool ready(struct workload *work, struct arena *arena, int64_t deadline_ns)
{
    if (!sim_client_is_connected(work->client) &&
        sim_client_connect(work->client, work->host, 9092, deadline_ns) != OK)
        return false;
    if (!work->is_topic_made && !topic_make(work, arena, deadline_ns))
        return false;
    return work->producer_id >= 0 || producer_make(work, arena, deadline_ns);
}

bool workload_step(struct workload *work, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    int32_t index = (int32_t)random_below(&work->random, WORKLOAD_PARTITIONS);
    struct workload_partition *partition = &work->partitions[index];
    bool is_done;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    is_done = ready(work, &arena, deadline_ns);
    if (is_done && work->producer_id >= 0) {
        if (random_chance(&work->random, 2, 3)) {
            is_done = produce(work, index, &arena, deadline_ns);
        } else {
            int64_t offset = fetch(work, index, partition->seen, 5, &arena, deadline_ns);

            is_done = offset >= 0;
            partition->seen = MAX(partition->seen, offset);
        }
    }
    if (!is_done)
        sim_client_close(work->client);
    return is_done;
}

bool workload_check(struct workload *work, int64_t deadline_ns)
{
    for (int32_t index = 0; index < WORKLOAD_PARTITIONS && !work->failure[0]; index++) {
        struct workload_partition *partition = &work->partitions[index];
        int64_t offset = 0, end;

        while (!work->failure[0] && sim_now_ns(work->sim) < deadline_ns) {
            CLEANUP(arena_release) struct arena arena;
            int64_t next = -1;

            arena_init(&arena, &heap_allocator, SIZE_MAX);
            if (!ready(work, &arena, deadline_ns) || work->producer_id < 0)
                continue;
            if (partition->pending > 0) {
                if (!produce(work, index, &arena, deadline_ns))
                    sim_client_close(work->client);
                continue;
            }
            next = fetch(work, index, offset, 20, &arena, deadline_ns);
            if (next < 0)
                sim_client_close(work->client);
            offset = MAX(offset, next);
            if (offset >= MAX(partition->acked, partition->seen))
                break;
        }
        end = MAX(partition->acked, partition->seen);
        if (offset < end)
            fail(
                work,
                "partition %d: read up to %lld, but %lld were acknowledged and %lld seen; the last "
                "refusal was %s",
                index, (long long)offset, (long long)partition->acked, (long long)partition->seen,
                err_name(work->last_error));
    }
    return !work->failure[0];
}
