/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/prober_requests.c: the requests of the prober and what their answers must be.
 */
#include "prober_internal.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/batch_builder.h"

#include <stdio.h>
#include <stdlib.h>

#define PRODUCE_VERSION 9
#define FETCH_VERSION 11
#define FETCH_BYTES (16 * KIB)

static bool topic_make(struct probe *probe, struct arena *arena, int64_t deadline_ns)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(arena, 1);
    struct create_topics_request_creatable_topic_config *configs =
        create_topics_request_creatable_topic_config_array(arena, 2);
    const struct create_topics_response *answer;
    enum err err;
    void *response;

    create_topics_request_init(&body);
    configs[0].name = SLICE("internal.segment.bytes");
    configs[0].value = arena_format_slice(arena, "%d", probe->segment_bytes);
    configs[1].name = SLICE("index.interval.bytes");
    configs[1].value = arena_format_slice(arena, "%d", probe->index_interval);
    topic->name = SLICE(PROBE_TOPIC);
    topic->num_partitions = PROBE_PARTITIONS;
    topic->replication_factor = -1;
    topic->configs = configs;
    topic->configs_count = 2;
    body.topics = topic;
    body.topics_count = 1;
    if (sim_client_call(probe->client, API_CREATE_TOPICS, 7, &body, arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    err = answer->topics_count == 1 ? err_from_wire(answer->topics[0].error_code) : ERR_FORMAT;
    probe->is_topic_made = err == OK || err == ERR_TOPIC_ALREADY_EXISTS;
    if (!probe->is_topic_made && !probe_may_err(probe, err))
        probe_fail(probe, "CreateTopics: %s", err_name(err));
    return probe->is_topic_made;
}

bool probe_producer_new(struct probe *probe, int64_t deadline_ns, int64_t *out)
{
    CLEANUP(arena_release) struct arena arena;
    struct init_producer_id_request body;
    const struct init_producer_id_response *answer;
    void *response;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    init_producer_id_request_init(&body);
    body.transactional_id = SLICE_NULL;
    body.transaction_timeout_ms = 60000;
    if (sim_client_call(probe->client, API_INIT_PRODUCER_ID, 4, &body, &arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    if (answer->error_code != OK)
        return false;
    for (size_t i = 0; i < probe->producer_id_count; i++)
        if (probe->producer_ids[i] == answer->producer_id)
            probe_fail(probe, "producer id %lld was given out before",
                       (long long)answer->producer_id);
    if (probe->producer_id_count < ARRAY_COUNT(probe->producer_ids))
        probe->producer_ids[probe->producer_id_count++] = answer->producer_id;
    *out = answer->producer_id;
    return true;
}

bool probe_ready(struct probe *probe, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    if (!sim_client_is_connected(probe->client) &&
        sim_client_connect(probe->client, "node", 9092, deadline_ns) != OK)
        return false;
    if (!sim_client_is_connected(probe->other) &&
        sim_client_connect(probe->other, "node", 9092, deadline_ns) != OK)
        return false;
    if (!probe->is_topic_made && !topic_make(probe, &arena, deadline_ns))
        return false;
    for (int32_t i = 0; i < PROBE_PARTITIONS; i++) {
        struct probe_partition *partition = &probe->partitions[i];

        if (partition->producer_id >= 0)
            continue;
        if (!probe_producer_new(probe, deadline_ns, &partition->producer_id))
            return false;
        /* A node that has not heard of a producer takes any first sequence, as Kafka does. */
        partition->next_sequence =
            probe->is_wrapping ? INT32_MAX - (int32_t)random_below(&probe->random, 40) : 0;
    }
    return true;
}

/* ---- produce ---- */

struct slice probe_batch_build(struct probe *probe, const struct probe_batch *batch,
                               struct arena *arena)
{
    struct batch_options options;
    struct batch_builder builder;
    struct compress_context *compress = NULL;
    struct writer scratch, out;
    struct slice built;
    enum err err;

    writer_init(&scratch, &probe->heap, SIZE_MAX);
    writer_init(&out, &probe->heap, SIZE_MAX);
    err = compress_context_open(&compress, &probe->heap);
    ASSERT(err == OK);
    batch_options_init(&options);
    options.producer_id = batch->producer_id;
    options.producer_epoch = batch->epoch;
    options.base_sequence = batch->sequence;
    batch_builder_begin(&builder, &options, compress, &scratch, &out);
    for (int32_t i = 0; i < batch->count; i++) {
        char value[4200];
        int length = snprintf(value, sizeof value, "%lld %*s", (long long)(batch->value + i),
                              batch->pad_bytes, "");
        struct batch_record record = {.timestamp = probe->base_ms + (batch->value + i) * 10,
                                      .key = SLICE_NULL,
                                      .value = slice_of(value, (size_t)length)};

        err = batch_builder_append(&builder, &record);
        ASSERT(err == OK);
    }
    err = batch_builder_finish(&builder, &built);
    ASSERT(err == OK);
    built = arena_copy(arena, built);
    writer_release(&scratch);
    writer_release(&out);
    compress_context_release(&compress);
    return built;
}

static void produce_body(struct probe *probe, int32_t index, const struct probe_batch *batch,
                         int16_t acks, struct arena *arena, struct produce_request *body)
{
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(arena, 1);
    struct produce_request_partition_produce_data *data =
        produce_request_partition_produce_data_array(arena, 1);

    produce_request_init(body);
    body->acks = acks;
    body->timeout_ms = 10000;
    body->topic_data = topic;
    body->topic_data_count = 1;
    topic->name = SLICE(PROBE_TOPIC);
    topic->partition_data = data;
    topic->partition_data_count = 1;
    data->index = index;
    data->records = probe_batch_build(probe, batch, arena);
}

static enum err produce_answer(struct probe *probe, int32_t index, const void *response,
                               enum err *error_out, int64_t *offset_out)
{
    const struct produce_response *answer = response;
    const struct produce_response_partition_produce_response *result;

    if (answer->responses_count != 1 || answer->responses[0].partition_responses_count != 1) {
        probe_fail(probe, "Produce answered another number of partitions");
        return ERR_FORMAT;
    }
    result = &answer->responses[0].partition_responses[0];
    if (result->index != index)
        probe_fail(probe, "Produce to partition %d was answered for %d", index, result->index);
    *error_out = err_from_wire(result->error_code);
    *offset_out = result->base_offset;
    return OK;
}

enum err probe_produce(struct probe *probe, int32_t index, const struct probe_batch *batch,
                       int16_t acks, int64_t deadline_ns, enum err *error_out, int64_t *offset_out)
{
    CLEANUP(arena_release) struct arena arena;
    struct produce_request body;
    void *response;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    produce_body(probe, index, batch, acks, &arena, &body);
    TRY(sim_client_call(probe->client, API_PRODUCE, PRODUCE_VERSION, &body, &arena, deadline_ns,
                        &response));
    return produce_answer(probe, index, response, error_out, offset_out);
}

enum err probe_send(struct probe *probe, int32_t index, const struct probe_batch *batch,
                    int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct produce_request body;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    produce_body(probe, index, batch, -1, &arena, &body);
    return sim_client_send(probe->client, API_PRODUCE, PRODUCE_VERSION, &body, deadline_ns);
}

enum err probe_receive(struct probe *probe, int32_t index, int64_t deadline_ns, enum err *error_out,
                       int64_t *offset_out)
{
    CLEANUP(arena_release) struct arena arena;
    enum err err;
    void *response;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    err = sim_client_read(probe->client, API_PRODUCE, PRODUCE_VERSION, &arena, deadline_ns,
                          &response);
    if (err != OK && err != ERR_IO && err != ERR_REQUEST_TIMED_OUT)
        probe_fail(probe, "the answer is not the one that is due: %s", err_name(err));
    TRY(err);
    return produce_answer(probe, index, response, error_out, offset_out);
}

/* ---- fetch ---- */

/* Holds every record against what it must be. Returns the offset behind them. */
static int64_t records_check(struct probe *probe, int32_t index, int64_t offset,
                             struct slice records)
{
    const struct probe_partition *partition = &probe->partitions[index];
    int64_t sent =
        partition->is_pending ? partition->last.value + partition->last.count : partition->next;
    struct slice batch;

    while (records.size_bytes > 0 && batch_next(&records, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;
        struct record_walk walk;
        struct record record;
        bool more = true;
        enum err err = OK;

        if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK) {
            probe_fail(probe, "partition %d: a broken batch behind offset %lld", index,
                       (long long)offset - 1);
            return offset;
        }
        err = record_walk_begin(&walk, &header, batch_records(batch));
        while (err == OK && (err = record_walk_next(&walk, &record, &more)) == OK && more) {
            char text[32];

            if (record.offset < offset)
                continue;
            snprintf(text, sizeof text, "%.*s", (int)MIN(record.value.size_bytes, sizeof text - 1),
                     (const char *)record.value.data);
            if (record.offset != offset)
                probe_fail(probe, "partition %d: offset %lld came after %lld", index,
                           (long long)record.offset, (long long)offset - 1);
            if (strtoll(text, NULL, 10) != record.offset)
                probe_fail(probe, "partition %d: offset %lld holds value %.20s", index,
                           (long long)record.offset, text);
            if (record.offset >= sent)
                probe_fail(probe, "partition %d: offset %lld was never sent", index,
                           (long long)record.offset);
            offset = record.offset + 1;
        }
        if (err != OK)
            probe_fail(probe, "partition %d: records behind %lld: %s", index, (long long)offset,
                       err_name(err));
    }
    return offset;
}

int64_t probe_fetch(struct probe *probe, struct sim_client *client, int32_t index, int64_t offset,
                    int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct probe_partition *partition = &probe->partitions[index];
    struct fetch_request body;
    struct fetch_request_fetch_topic *topic;
    struct fetch_request_fetch_partition *part;
    const struct fetch_response *answer;
    const struct fetch_response_partition_data *data;
    int64_t next;
    enum err err;
    void *response;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    topic = fetch_request_fetch_topic_array(&arena, 1);
    part = fetch_request_fetch_partition_array(&arena, 1);
    fetch_request_init(&body);
    body.max_wait_ms = 1;
    body.min_bytes = 1;
    body.max_bytes = FETCH_BYTES;
    body.isolation_level = (int8_t)random_below(&probe->random, 2);
    body.rack_id = SLICE_EMPTY;
    body.topics = topic;
    body.topics_count = 1;
    topic->topic = SLICE(PROBE_TOPIC);
    topic->partitions = part;
    topic->partitions_count = 1;
    part->partition = index;
    part->fetch_offset = offset;
    part->partition_max_bytes = (int32_t)random_between(&probe->random, 1, FETCH_BYTES);
    if (sim_client_call(client, API_FETCH, FETCH_VERSION, &body, &arena, deadline_ns, &response) !=
        OK)
        return -1;
    answer = response;
    if (answer->error_code != OK || answer->responses_count != 1 ||
        answer->responses[0].partitions_count != 1) {
        probe_fail(probe, "Fetch: %s", err_name(err_from_wire(answer->error_code)));
        return -1;
    }
    data = &answer->responses[0].partitions[0];
    err = err_from_wire(data->error_code);
    if (err != OK) {
        probe_say(probe, "%d: fetch from %lld: %s", index, (long long)offset, err_name(err));
        /* No log rots here. */
        if (!probe_may_err(probe, err) || err == ERR_CORRUPT_MESSAGE)
            probe_fail(probe, "Fetch of partition %d from %lld: %s", index, (long long)offset,
                       err_name(err));
        return offset;
    }
    if (data->high_watermark < partition->high_watermark)
        probe_fail(probe, "partition %d: the high watermark went back from %lld to %lld", index,
                   (long long)partition->high_watermark, (long long)data->high_watermark);
    partition->high_watermark = MAX(partition->high_watermark, data->high_watermark);
    if (data->log_start_offset < partition->told_start)
        probe_fail(probe, "partition %d: the log start went back from %lld to %lld", index,
                   (long long)partition->told_start, (long long)data->log_start_offset);
    next = records_check(probe, index, offset, data->records);
    probe_say(probe, "%d: fetch from %lld: to %lld, high watermark %lld", index, (long long)offset,
              (long long)next, (long long)data->high_watermark);
    if (next > offset && next > data->high_watermark)
        probe_fail(probe, "partition %d: offset %lld was shown above the high watermark %lld",
                   index, (long long)next - 1, (long long)data->high_watermark);
    return next;
}

/* ---- by time, and from the front ---- */

bool probe_search(struct probe *probe, int32_t index, int64_t value, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct list_offsets_request body;
    struct list_offsets_request_list_offsets_topic *topic;
    const struct list_offsets_response *answer;
    const struct list_offsets_response_list_offsets_partition_response *part;
    enum err err;
    void *response;

    arena_init(&arena, &probe->heap, SIZE_MAX);
    topic = list_offsets_request_list_offsets_topic_array(&arena, 1);
    list_offsets_request_init(&body);
    body.replica_id = -1;
    body.topics = topic;
    body.topics_count = 1;
    topic->name = SLICE(PROBE_TOPIC);
    topic->partitions = list_offsets_request_list_offsets_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions[0].partition_index = index;
    topic->partitions[0].timestamp = probe->base_ms + value * 10 - 5; /* between two records */
    if (sim_client_call(probe->client, API_LIST_OFFSETS, 7, &body, &arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    if (answer->topics_count != 1 || answer->topics[0].partitions_count != 1) {
        probe_fail(probe, "ListOffsets answered another number of partitions");
        return false;
    }
    part = &answer->topics[0].partitions[0];
    err = err_from_wire(part->error_code);
    if (err == OK && part->offset != value)
        probe_fail(probe, "partition %d: a search by time found %lld instead of %lld", index,
                   (long long)part->offset, (long long)value);
    if (err != OK && !probe_may_err(probe, err))
        probe_fail(probe, "ListOffsets of partition %d: %s", index, err_name(err));
    return true;
}

bool probe_delete(struct probe *probe, int32_t index, int64_t offset, int64_t deadline_ns)
{
    CLEANUP(arena_release) struct arena arena;
    struct delete_records_request body;
    struct delete_records_request_delete_records_topic *topic;
    struct delete_records_request_delete_records_partition *part;
    const struct delete_records_response *answer;
    enum err err;
    void *response;

    /* Answered or not, it may have happened. */
    probe->partitions[index].log_start = MAX(probe->partitions[index].log_start, offset);
    arena_init(&arena, &probe->heap, SIZE_MAX);
    topic = delete_records_request_delete_records_topic_array(&arena, 1);
    part = delete_records_request_delete_records_partition_array(&arena, 1);
    delete_records_request_init(&body);
    body.timeout_ms = 5000;
    body.topics = topic;
    body.topics_count = 1;
    topic->name = SLICE(PROBE_TOPIC);
    topic->partitions = part;
    topic->partitions_count = 1;
    part->partition_index = index;
    part->offset = offset;
    if (sim_client_call(probe->client, API_DELETE_RECORDS, 2, &body, &arena, deadline_ns,
                        &response) != OK)
        return false;
    answer = response;
    if (answer->topics_count != 1 || answer->topics[0].partitions_count != 1) {
        probe_fail(probe, "DeleteRecords answered another number of partitions");
        return false;
    }
    err = err_from_wire(answer->topics[0].partitions[0].error_code);
    probe_say(probe, "%d: delete to %lld: %s", index, (long long)offset, err_name(err));
    if (err == OK)
        probe->partitions[index].told_start = MAX(probe->partitions[index].told_start, offset);
    else if (!probe_may_err(probe, err))
        probe_fail(probe, "DeleteRecords of partition %d to %lld: %s", index, (long long)offset,
                   err_name(err));
    return true;
}
