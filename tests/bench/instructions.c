/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/instructions.c: fixed requests against the unmodified node on the simulated machine, to be counted under
 * callgrind (instructions.py): one thread, no kernel, no clock, the same instructions in each run. Each trace is
 * prepared, run until it is warm, and then dumped under its name as "<name> <requests>".
 */
#include "../sim/sim_client.h"
#include "../sim/sim_node.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "protocol/generated/sync_group_request.h"
#include "records/batch_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#define MS ((int64_t)1000000)
#define TOPIC "bench"
#define PARTITIONS 64
#define SMALL_PARTITION 0 /* batches of one record */
#define LARGE_PARTITION 1 /* batches of 100 KB */
#define GROUP "group"
#define BATCH_RECORDS 100
#define BATCH_VALUE_BYTES 1000
#define DENSE_RECORDS 1000
#define DENSE_VALUE_BYTES 100
#define WIDE_FROM 30 /* of the 50 records that "produce 64 partitions" leaves in each */

struct lab {
    struct sim *sim;
    struct sim_node node;
    struct os *client_machine;
    struct sim_client *client;
    struct arena arena; /* of one call */
    struct uuid topic_id;
    struct slice one, many, dense; /* batches */
    uint8_t one_bytes[2 * KIB], many_bytes[256 * KIB], dense_bytes[256 * KIB];
    char member[64], classic_member[64];
    int32_t member_epoch, generation;
    int32_t session_id, session_epoch;
    int64_t next_offset;
    int32_t next_partition;
    int64_t offsets[PARTITIONS];
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "instructions: %s\n", what);
    exit(1);
}

static int64_t soon_ns(const struct lab *lab)
{
    return sim_now_ns(lab->sim) + 60000 * MS;
}

static const void *call(struct lab *lab, int16_t key, int16_t version, const void *body)
{
    void *response;

    must(sim_client_call(lab->client, key, version, body, &lab->arena, soon_ns(lab), &response) ==
             OK,
         api_key_name(key));
    return response;
}

/* ---- what is needed before ---- */

static void topic_make(struct lab *lab)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(&lab->arena, 1);
    const struct create_topics_response *answer;

    create_topics_request_init(&body);
    topic->name = SLICE(TOPIC);
    topic->num_partitions = PARTITIONS;
    topic->replication_factor = 1;
    body.topics = topic;
    body.topics_count = 1;
    answer = call(lab, API_CREATE_TOPICS, 7, &body);
    must(answer->topics_count == 1 && answer->topics[0].error_code == 0, "no topic");
    lab->topic_id = answer->topics[0].topic_id;
    sim_run_until(lab->sim, sim_now_ns(lab->sim) + 1000 * MS, NULL, NULL);
}

static struct slice batch_make(int32_t records, size_t value_bytes, uint8_t *buffer,
                               size_t capacity_bytes)
{
    uint8_t value[BATCH_VALUE_BYTES];
    struct batch_options options;
    struct batch_builder builder;
    struct writer out;
    struct slice batch;
    enum err err;

    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (uint8_t)(i * 7 + 13);
    writer_init_fixed(&out, buffer, capacity_bytes);
    batch_options_init(&options);
    batch_builder_begin(&builder, &options, NULL, NULL, &out);
    for (int32_t i = 0; i < records; i++) {
        struct batch_record record = {
            .timestamp = 1700000000000, .key = SLICE_NULL, .value = slice_of(value, value_bytes)};

        err = batch_builder_append(&builder, &record);
        must(err == OK, "no batch");
    }
    err = batch_builder_finish(&builder, &batch);
    must(err == OK, "no batch");
    return batch;
}

/* ---- produce ---- */

static const struct produce_request *produce_body(struct lab *lab, int16_t acks, int32_t first,
                                                  int32_t count, struct slice records)
{
    struct produce_request *body = produce_request_array(&lab->arena, 1);
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(&lab->arena, 1);
    struct produce_request_partition_produce_data *data =
        produce_request_partition_produce_data_array(&lab->arena, (size_t)count);

    body->acks = acks;
    body->timeout_ms = 30000;
    body->topic_data = topic;
    body->topic_data_count = 1;
    topic->topic_id = lab->topic_id;
    topic->name = SLICE(TOPIC);
    topic->partition_data = data;
    topic->partition_data_count = count;
    for (int32_t i = 0; i < count; i++) {
        data[i].index = first + i;
        data[i].records = records;
    }
    return body;
}

static void produce(struct lab *lab, int16_t acks, int32_t first, int32_t count,
                    struct slice records)
{
    const struct produce_response *answer =
        call(lab, API_PRODUCE, 13, produce_body(lab, acks, first, count, records));

    must(answer->responses_count == 1 && answer->responses[0].partition_responses_count == count,
         "Produce: not the partitions");
    for (int32_t i = 0; i < count; i++)
        must(answer->responses[0].partition_responses[i].error_code == 0, "Produce failed");
}

static void produce_one(struct lab *lab)
{
    produce(lab, 1, SMALL_PARTITION, 1, lab->one);
}

static void produce_one_all(struct lab *lab)
{
    produce(lab, -1, SMALL_PARTITION, 1, lab->one);
}

static void produce_batch(struct lab *lab)
{
    produce(lab, -1, LARGE_PARTITION, 1, lab->many);
}

static void produce_dense(struct lab *lab)
{
    produce(lab, 1, LARGE_PARTITION, 1, lab->dense);
}

static void produce_wide(struct lab *lab)
{
    produce(lab, 1, 0, PARTITIONS, lab->one);
}

/* Five requests under way on one connection. */
static void produce_five(struct lab *lab)
{
    const struct produce_request *body = produce_body(lab, 1, SMALL_PARTITION, 1, lab->one);
    const struct produce_response *answer;
    void *response;

    for (int i = 0; i < 5; i++)
        must(sim_client_send(lab->client, API_PRODUCE, 13, body, soon_ns(lab)) == OK, "Produce");
    for (int i = 0; i < 5; i++) {
        must(sim_client_read(lab->client, API_PRODUCE, 13, &lab->arena, soon_ns(lab), &response) ==
                 OK,
             "Produce");
        answer = response;
        must(answer->responses[0].partition_responses[0].error_code == 0, "Produce failed");
    }
}

/* ---- fetch ---- */

static struct fetch_request *fetch_body(struct lab *lab, int32_t first, int32_t count,
                                        int64_t offset, int32_t bytes_max)
{
    struct fetch_request *body = fetch_request_array(&lab->arena, 1);
    struct fetch_request_fetch_topic *topic = fetch_request_fetch_topic_array(&lab->arena, 1);
    struct fetch_request_fetch_partition *partitions =
        fetch_request_fetch_partition_array(&lab->arena, (size_t)count);

    body->max_wait_ms = 500;
    body->min_bytes = 1;
    body->max_bytes = 50 * MIB;
    body->session_epoch = -1;
    body->topics = topic;
    body->topics_count = 1;
    topic->topic = SLICE(TOPIC);
    topic->topic_id = lab->topic_id;
    topic->partitions = partitions;
    topic->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        partitions[i].partition = first + i;
        partitions[i].fetch_offset = offset;
        partitions[i].partition_max_bytes = bytes_max;
    }
    return body;
}

static const struct fetch_response *fetch_call(struct lab *lab, const struct fetch_request *body)
{
    const struct fetch_response *answer = call(lab, API_FETCH, 16, body);

    must(answer->error_code == 0, "Fetch failed");
    return answer;
}

static int64_t fetched_bytes(const struct fetch_response *answer)
{
    int64_t sum = 0;

    for (int32_t i = 0; i < answer->responses_count; i++)
        for (int32_t j = 0; j < answer->responses[i].partitions_count; j++) {
            must(answer->responses[i].partitions[j].error_code == 0, "Fetch failed");
            sum += (int64_t)answer->responses[i].partitions[j].records.size_bytes;
        }
    return sum;
}

/* One record of one partition at a time, in a session of one partition. */
static void fetch_one_prepare(struct lab *lab)
{
    struct fetch_request *body = fetch_body(lab, SMALL_PARTITION, 1, 0, 1);

    body->session_epoch = 0;
    lab->session_id = fetch_call(lab, body)->session_id;
    lab->session_epoch = 1;
    lab->next_offset = 1;
}

static void fetch_one(struct lab *lab)
{
    struct fetch_request *body = fetch_body(lab, SMALL_PARTITION, 1, lab->next_offset++, 1);

    body->session_id = lab->session_id;
    body->session_epoch = lab->session_epoch++;
    must(fetched_bytes(fetch_call(lab, body)) == (int64_t)lab->one.size_bytes, "not one record");
}

/* A session of many partitions, all with records near their ends; each answer holds one record of one. */
static void fetch_wide_prepare(struct lab *lab)
{
    struct fetch_request *body = fetch_body(lab, 2, PARTITIONS - 2, WIDE_FROM, 1);
    const struct fetch_response *answer;

    body->session_epoch = 0;
    body->max_bytes = 1;
    answer = fetch_call(lab, body);
    must(fetched_bytes(answer) == (int64_t)lab->one.size_bytes, "not one record");
    lab->session_id = answer->session_id;
    lab->session_epoch = 1;
    lab->next_partition = 2;
    for (size_t i = 0; i < PARTITIONS; i++)
        lab->offsets[i] = WIDE_FROM;
}

static void fetch_wide(struct lab *lab)
{
    struct fetch_request *body =
        fetch_body(lab, lab->next_partition, 1, ++lab->offsets[lab->next_partition], 1);
    const struct fetch_response *answer;

    body->session_id = lab->session_id;
    body->session_epoch = lab->session_epoch++;
    body->max_bytes = 1;
    answer = fetch_call(lab, body);
    must(fetched_bytes(answer) == (int64_t)lab->one.size_bytes, "not one record");
    for (int32_t i = 0; i < answer->responses[0].partitions_count; i++)
        if (answer->responses[0].partitions[i].records.size_bytes > 0)
            lab->next_partition = answer->responses[0].partitions[i].partition_index;
}

/* A session of partitions that are read to their ends: the Fetch waits its millisecond and answers nothing. */
static void fetch_parked_prepare(struct lab *lab)
{
    struct fetch_request *body = fetch_body(lab, 2, PARTITIONS - 2, 0, 1 * MIB);
    const struct fetch_response *answer;

    body->max_bytes = 1;
    answer = fetch_call(lab, body);
    must(answer->responses_count == 1, "not the partitions");
    lab->next_offset = answer->responses[0].partitions[0].high_watermark;
    body = fetch_body(lab, 2, PARTITIONS - 2, lab->next_offset, 1 * MIB);
    body->session_epoch = 0;
    body->max_wait_ms = 0;
    lab->session_id = fetch_call(lab, body)->session_id;
    lab->session_epoch = 1;
}

static void fetch_parked(struct lab *lab)
{
    struct fetch_request *body = fetch_body(lab, 2, 1, lab->next_offset, 1 * MIB);

    body->session_id = lab->session_id;
    body->session_epoch = lab->session_epoch++;
    body->max_wait_ms = 1;
    must(fetched_bytes(fetch_call(lab, body)) == 0, "news");
}

/* A megabyte, as a consumer that catches up asks for it. */
static void fetch_megabyte(struct lab *lab)
{
    int64_t bytes = fetched_bytes(fetch_call(lab, fetch_body(lab, LARGE_PARTITION, 1, 0, 1 * MIB)));

    must(bytes == 1 * MIB, "not a megabyte");
}

/* ---- groups ---- */

static void coordinator_find(struct lab *lab)
{
    struct find_coordinator_request body;
    struct slice key = SLICE(GROUP);

    find_coordinator_request_init(&body);
    body.coordinator_keys = &key;
    body.coordinator_keys_count = 1;
    call(lab, API_FIND_COORDINATOR, 4, &body);
    sim_run_until(lab->sim, sim_now_ns(lab->sim) + 2000 * MS, NULL, NULL);
}

static void beat_prepare(struct lab *lab)
{
    struct slice names[] = {SLICE(TOPIC)};
    struct consumer_group_heartbeat_request body;
    const struct consumer_group_heartbeat_response *answer = NULL;

    consumer_group_heartbeat_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.member_id = SLICE("member-of-the-consumer-group");
    body.rebalance_timeout_ms = 60000;
    body.subscribed_topic_names = names;
    body.subscribed_topic_names_count = 1;
    body.topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(&lab->arena, 1);
    body.topic_partitions_count = 0;
    for (int i = 0; i < 100; i++) {
        answer = call(lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body);
        if (answer->error_code == 0)
            break;
        sim_run_until(lab->sim, sim_now_ns(lab->sim) + 200 * MS, NULL, NULL);
    }
    must(answer && answer->error_code == 0 && answer->member_epoch > 0, "no consumer group");
    lab->member_epoch = answer->member_epoch;
    snprintf(lab->member, sizeof lab->member, "%.*s", SLICE_ARGS(body.member_id));
    must(answer->assignment && answer->assignment->topic_partitions_count == 1, "no assignment");
    /* All is owned as assigned. */
    consumer_group_heartbeat_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.member_id = slice_from_text(lab->member);
    body.member_epoch = lab->member_epoch;
    body.topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(&lab->arena, 1);
    body.topic_partitions_count = 1;
    body.topic_partitions[0].topic_id = answer->assignment->topic_partitions[0].topic_id;
    body.topic_partitions[0].partitions = answer->assignment->topic_partitions[0].partitions;
    body.topic_partitions[0].partitions_count =
        answer->assignment->topic_partitions[0].partitions_count;
    answer = call(lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body);
    must(answer->error_code == 0, "no owner");
    lab->member_epoch = answer->member_epoch;
}

static void beat(struct lab *lab)
{
    struct consumer_group_heartbeat_request body;
    const struct consumer_group_heartbeat_response *answer;

    consumer_group_heartbeat_request_init(&body);
    body.group_id = SLICE(GROUP);
    body.member_id = slice_from_text(lab->member);
    body.member_epoch = lab->member_epoch;
    answer = call(lab, API_CONSUMER_GROUP_HEARTBEAT, 1, &body);
    must(answer->error_code == 0, "heartbeat");
}

static void classic_prepare(struct lab *lab)
{
    struct join_group_request_join_group_request_protocol protocol;
    struct join_group_request join;
    struct sync_group_request sync;
    struct sync_group_request_sync_group_request_assignment assignment;
    const struct join_group_response *joined;

    join_group_request_init(&join);
    join_group_request_join_group_request_protocol_init(&protocol);
    join.group_id = SLICE("classic");
    join.session_timeout_ms = 45000;
    join.rebalance_timeout_ms = 300000;
    join.protocol_type = SLICE("consumer");
    protocol.name = SLICE("range");
    protocol.metadata = SLICE("not looked at");
    join.protocols = &protocol;
    join.protocols_count = 1;
    joined = call(lab, API_JOIN_GROUP, 9, &join);
    snprintf(lab->classic_member, sizeof lab->classic_member, "%.*s",
             SLICE_ARGS(joined->member_id));
    join.member_id = slice_from_text(lab->classic_member);
    joined = call(lab, API_JOIN_GROUP, 9, &join);
    must(joined->error_code == 0, "no classic group");
    lab->generation = joined->generation_id;
    sync_group_request_init(&sync);
    sync_group_request_sync_group_request_assignment_init(&assignment);
    sync.group_id = join.group_id;
    sync.generation_id = lab->generation;
    sync.member_id = join.member_id;
    sync.protocol_type = join.protocol_type;
    sync.protocol_name = protocol.name;
    assignment.member_id = join.member_id;
    assignment.assignment = SLICE("everything");
    sync.assignments = &assignment;
    sync.assignments_count = 1;
    call(lab, API_SYNC_GROUP, 5, &sync);
}

static void classic_beat(struct lab *lab)
{
    struct heartbeat_request body;
    const struct heartbeat_response *answer;

    heartbeat_request_init(&body);
    body.group_id = SLICE("classic");
    body.generation_id = lab->generation;
    body.member_id = slice_from_text(lab->classic_member);
    answer = call(lab, API_HEARTBEAT, 4, &body);
    must(answer->error_code == 0, "classic heartbeat");
}

static void commit(struct lab *lab)
{
    struct offset_commit_request body;
    struct offset_commit_request_offset_commit_request_topic topic;
    struct offset_commit_request_offset_commit_request_partition partition;
    const struct offset_commit_response *answer;

    offset_commit_request_init(&body);
    offset_commit_request_offset_commit_request_topic_init(&topic);
    offset_commit_request_offset_commit_request_partition_init(&partition);
    body.group_id = SLICE("classic");
    body.generation_id_or_member_epoch = lab->generation;
    body.member_id = slice_from_text(lab->classic_member);
    body.topics = &topic;
    body.topics_count = 1;
    topic.name = SLICE(TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    partition.committed_offset = lab->next_offset++;
    partition.committed_metadata = SLICE_EMPTY;
    answer = call(lab, API_OFFSET_COMMIT, 9, &body);
    must(answer->topics_count == 1 && answer->topics[0].partitions[0].error_code == 0,
         "offset commit");
}

static void metadata(struct lab *lab)
{
    struct metadata_request body;
    struct metadata_request_metadata_request_topic topic;

    metadata_request_init(&body);
    metadata_request_metadata_request_topic_init(&topic);
    topic.name = SLICE(TOPIC);
    body.topics = &topic;
    body.topics_count = 1;
    call(lab, API_METADATA, 12, &body);
}

/* ---- the traces ---- */

static const struct trace {
    const char *name;
    void (*prepare)(struct lab *lab); /* NULL: nothing */
    void (*step)(struct lab *lab);
    int warm_steps, steps, requests_each;
} traces[] = {
    {"produce 1 record, acks=1", NULL, produce_one, 200, 500, 1},
    {"produce 1 record, acks=all", NULL, produce_one_all, 100, 500, 1},
    {"produce 1 record, 5 in flight", NULL, produce_five, 20, 100, 5},
    {"produce 100 records of 1 KB, acks=all", NULL, produce_batch, 20, 50, 1},
    {"produce 64 partitions, 1 record each", NULL, produce_wide, 10, 40, 1},
    {"fetch 1 record", fetch_one_prepare, fetch_one, 100, 500, 1},
    {"fetch 1 MB", NULL, fetch_megabyte, 5, 20, 1},
    {"fetch 1 record, session of 62", fetch_wide_prepare, fetch_wide, 20, 100, 1},
    {"fetch nothing, session of 62, waits", fetch_parked_prepare, fetch_parked, 20, 100, 1},
    {"consumer group heartbeat", beat_prepare, beat, 50, 300, 1},
    {"classic group heartbeat", classic_prepare, classic_beat, 50, 300, 1},
    {"offset commit", NULL, commit, 50, 300, 1},
    {"metadata of 64 partitions", NULL, metadata, 10, 50, 1},
    /* Behind those that read what is in its partition. */
    {"produce 1,000 records of 100 B, acks=1", NULL, produce_dense, 20, 50, 1},
};

static void step(struct lab *lab, const struct trace *trace)
{
    trace->step(lab);
    arena_reset(&lab->arena);
}

static void trace_run(struct lab *lab, const struct trace *trace)
{
    char name[128];

    if (trace->prepare)
        trace->prepare(lab);
    arena_reset(&lab->arena);
    for (int i = 0; i < trace->warm_steps; i++)
        step(lab, trace);
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < trace->steps; i++)
        step(lab, trace);
    snprintf(name, sizeof name, "%s: %d", trace->name, trace->steps * trace->requests_each);
    CALLGRIND_DUMP_STATS_AT(name);
    puts(name);
}

int main(int argc, char **argv)
{
    struct lab *lab = allocator_zeroed(&heap_allocator, sizeof *lab);
    struct sim_options options;
    enum err err;

    must(lab != NULL, "no memory");
    sim_options_default(&options);
    err = sim_create(1, &options, &lab->sim);
    must(err == OK, "no simulation");
    sim_node_init(&lab->node, lab->sim, "node",
                  "barnabas.flush.mode=os\nauto.create.topics.enable=false\n"
                  "offsets.topic.num.partitions=4\n");
    err = sim_machine_create(lab->sim, "client", &lab->client_machine);
    must(err == OK, "no machine");
    must(sim_node_start(&lab->node, 120000) == OK, "the node does not start");
    lab->client = sim_client_new(lab->sim, lab->client_machine);
    must(sim_client_connect(lab->client, "node", 9092, soon_ns(lab)) == OK, "no connection");
    arena_init(&lab->arena, &heap_allocator, SIZE_MAX);
    topic_make(lab);
    lab->one = batch_make(1, BATCH_VALUE_BYTES, lab->one_bytes, sizeof lab->one_bytes);
    lab->many =
        batch_make(BATCH_RECORDS, BATCH_VALUE_BYTES, lab->many_bytes, sizeof lab->many_bytes);
    lab->dense =
        batch_make(DENSE_RECORDS, DENSE_VALUE_BYTES, lab->dense_bytes, sizeof lab->dense_bytes);
    coordinator_find(lab);
    arena_reset(&lab->arena);
    for (size_t i = 0; i < ARRAY_COUNT(traces); i++)
        if (argc < 2 || strstr(traces[i].name, argv[1]) != NULL)
            trace_run(lab, &traces[i]);
    must(sim_node_stop(&lab->node, 60000), "the node does not stop");
    return 0;
}
