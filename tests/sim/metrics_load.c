/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/batch_builder.h"
#include "records/crc32c.h"

#define CALL_MS 120000
#define PRODUCE_VERSION 9
#define TRANSACTION_VERSION 11 /* its partitions are added by the client */
#define FETCH_VERSION 13

typedef struct produce_request_partition_produce_data produce_data;
typedef struct produce_response_partition_produce_response produce_told;

static int64_t soon_ns(const struct load *load)
{
    return sim_now_ns(load->lab.sim) + CALL_MS * MS;
}

void *load_ask(struct load *load, int16_t key, int16_t version, const void *body)
{
    load->sent[key]++;
    return lab_call(&load->lab, key, version, body);
}

/* ---- life ---- */

void load_open(struct load *load, const char *properties)
{
    memset(load, 0, sizeof *load);
    lab_open(&load->lab, properties, NULL);
}

void load_close(struct load *load)
{
    lab_close(&load->lab);
}

static struct uuid topic_make(struct load *load, const char *name, int32_t partitions,
                              const char *configs)
{
    struct create_topics_request body;
    const struct create_topics_response *answer;

    create_topics_request_init(&body);
    body.topics = create_topics_request_creatable_topic_array(&load->lab.arena, 1);
    body.topics_count = 1;
    body.topics->name = slice_from_text(name);
    body.topics->num_partitions = partitions;
    body.topics->replication_factor = 1;
    if (configs) {
        struct create_topics_request_creatable_topic_config *config =
            create_topics_request_creatable_topic_config_array(&load->lab.arena, 1);

        config->name = slice_of(configs, strcspn(configs, "="));
        config->value = slice_from_text(strchr(configs, '=') + 1);
        body.topics->configs = config;
        body.topics->configs_count = 1;
    }
    answer = load_ask(load, API_CREATE_TOPICS, 7, &body);
    assert_int_equal(answer->topics[0].error_code, 0);
    lab_pass(&load->lab, 500); /* every shard has heard of it */
    return answer->topics[0].topic_id;
}

void load_topic(struct load *load, const char *name, int32_t partitions, const char *configs)
{
    (void)topic_make(load, name, partitions, configs);
}

static void client_connect(struct load *load, struct sim_client *client)
{
    assert_int_equal(sim_client_connect(client, "node", 9092, soon_ns(load)), OK);
    load->connects++;
}

void load_connect(struct load *load)
{
    client_connect(load, load->lab.client);
    load->topic_id = topic_make(load, "t", LOAD_PARTITIONS, NULL);
}

/* ---- batches ---- */

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static struct slice batch_make(struct load *load, const struct load_batch *wanted)
{
    CLEANUP(writer_release) struct writer out;
    struct batch_options options;
    struct batch_builder builder;
    struct slice value = slice_of("and this is the value", wanted->value_bytes ? 0 : 20);
    uint8_t *bytes;
    struct slice batch;

    if (wanted->value_bytes > 0)
        value = slice_of(arena_zeroed(&load->lab.arena, 1, (size_t)wanted->value_bytes),
                         (size_t)wanted->value_bytes);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    batch_options_init(&options);
    options.transactional = wanted->is_transactional;
    if (wanted->producer_id > 0 || wanted->is_transactional) {
        options.producer_id = wanted->producer_id;
        options.producer_epoch = wanted->is_transactional ? load->producer_epoch : 0;
        options.base_sequence = MAX(wanted->sequence, 0);
    }
    batch_builder_begin(&builder, &options, NULL, NULL, &out);
    for (int32_t i = 0; i < wanted->records; i++) {
        struct batch_record record = {.timestamp =
                                          os_wall_ms(load->lab.node.machine) - wanted->age_ms,
                                      .key = i < wanted->keyless ? SLICE_NULL : SLICE("key"),
                                      .value = value};

        assert_int_equal(batch_builder_append(&builder, &record), OK);
    }
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    batch = arena_copy(&load->lab.arena, batch);
    bytes = (uint8_t *)(uintptr_t)batch.data;
    if (wanted->sequence < 0)
        put_u32(bytes + 53, (uint32_t)wanted->sequence);
    if (wanted->count_delta != 0)
        put_u32(bytes + 57, (uint32_t)(wanted->records + wanted->count_delta));
    put_u32(bytes + 17, crc32c(slice_sub(batch, 21, SIZE_MAX)));
    if (wanted->is_corrupt)
        bytes[batch.size_bytes - 1] ^= 1;
    return batch;
}

/* To these partitions of a topic; the caller fills in records. */
static produce_data *body_fill(struct load *load, struct produce_request *body, const char *topic,
                               int16_t acks, int32_t partitions)
{
    produce_request_init(body);
    body->acks = acks;
    body->timeout_ms = 10000;
    body->topic_data = produce_request_topic_produce_data_array(&load->lab.arena, 1);
    body->topic_data_count = 1;
    body->topic_data->name = slice_from_text(topic);
    body->topic_data->partition_data =
        produce_request_partition_produce_data_array(&load->lab.arena, (size_t)partitions);
    body->topic_data->partition_data_count = partitions;
    return body->topic_data->partition_data;
}

static void taken(struct load *load, const char *topic, int32_t partition, int32_t records,
                  struct slice batch)
{
    load->messages += records;
    load->bytes += (int64_t)batch.size_bytes;
    if (strcmp(topic, "t") == 0)
        load->ends[partition] += records;
}

static const produce_told *told(const struct produce_response *answer)
{
    assert_int_equal(answer->responses_count, 1);
    return &answer->responses[0].partition_responses[0];
}

int64_t load_produce(struct load *load, const struct load_batch *wanted, enum err expected)
{
    const char *topic = wanted->topic ? wanted->topic : "t";
    struct slice batch = batch_make(load, wanted);
    struct produce_request body;
    produce_data *data = body_fill(load, &body, topic, wanted->acks ? wanted->acks : -1, 1);
    int16_t version = wanted->is_transactional ? TRANSACTION_VERSION : PRODUCE_VERSION;

    data->index = wanted->partition;
    data->records = arena_copy(&load->lab.arena, batch);
    if (wanted->is_out_of_time)
        body.timeout_ms = 0;
    if (wanted->is_transactional)
        body.transactional_id = SLICE("x");
    assert_int_equal(told(load_ask(load, API_PRODUCE, version, &body))->error_code,
                     err_wire_code(expected));
    if (expected == OK || wanted->is_out_of_time)
        taken(load, topic, wanted->partition, wanted->records, batch);
    if (expected == OK && wanted->producer_id > 0)
        load->again = batch;
    return (int64_t)batch.size_bytes;
}

void load_produce_again(struct load *load)
{
    struct produce_request body;
    produce_data *data = body_fill(load, &body, "t", -1, 1);

    data->records = load->again;
    assert_int_equal(told(load_ask(load, API_PRODUCE, PRODUCE_VERSION, &body))->error_code, 0);
}

void load_produce_unanswered_failure(struct load *load)
{
    struct sim_client *client = load->lab.others[LAB_CLIENTS - 1];
    struct produce_request body;
    produce_data *data = body_fill(load, &body, "t", 0, 1);

    client_connect(load, client);
    data->index = 77;
    data->records = batch_make(load, &(struct load_batch){.records = 1});
    assert_int_equal(sim_client_send(client, API_PRODUCE, PRODUCE_VERSION, &body, soon_ns(load)),
                     OK);
    assert_true(sim_client_wait_closed(client, soon_ns(load)));
}

void load_unknown_version(struct load *load)
{
    static const uint8_t frame[] = {0, 0, 0, 10, 0, 0, 0, 99, 0, 0, 0, 1, 0xff, 0xff};
    struct sim_client *client = load->lab.others[LAB_CLIENTS - 2];

    client_connect(load, client);
    assert_int_equal(sim_client_send_bytes(client, slice_of(frame, sizeof frame), soon_ns(load)),
                     OK);
    assert_true(sim_client_wait_closed(client, soon_ns(load)));
}

/* ---- fetches ---- */

static void fetch_fill(struct load *load, struct fetch_request *body, int32_t partitions)
{
    fetch_request_init(body);
    body->max_wait_ms = 100;
    body->max_bytes = 50 << 20;
    body->session_epoch = -1;
    body->topics = fetch_request_fetch_topic_array(&load->lab.arena, 1);
    body->topics_count = 1;
    body->topics->topic_id = load->topic_id;
    body->topics->partitions =
        fetch_request_fetch_partition_array(&load->lab.arena, (size_t)partitions);
    body->topics->partitions_count = partitions;
    for (int32_t i = 0; i < partitions; i++) {
        body->topics->partitions[i].partition = i;
        body->topics->partitions[i].partition_max_bytes = 50 << 20;
    }
}

static void fetched(struct load *load, const struct fetch_response *answer)
{
    for (int32_t i = 0; i < answer->responses_count; i++)
        for (int32_t k = 0; k < answer->responses[i].partitions_count; k++)
            load->bytes_out += (int64_t)answer->responses[i].partitions[k].records.size_bytes;
}

void load_fetch(struct load *load, const struct load_read *read, enum err expected)
{
    struct fetch_request body;
    const struct fetch_response *answer;

    fetch_fill(load, &body, 1);
    body.min_bytes = read->min_bytes;
    body.topics->partitions->fetch_offset = read->offset;
    if (read->leader_epoch != 0)
        body.topics->partitions->current_leader_epoch = read->leader_epoch;
    if (read->is_unknown)
        body.topics->topic_id.bytes[3] ^= 1;
    answer = load_ask(load, API_FETCH, FETCH_VERSION, &body);
    assert_int_equal(answer->error_code, 0);
    assert_int_equal(answer->responses_count, 1);
    assert_int_equal(answer->responses[0].partitions[0].error_code, err_wire_code(expected));
    fetched(load, answer);
}

static struct sim_client *parked(const struct load *load)
{
    return load->lab.others[LAB_CLIENTS - 3];
}

void load_fetch_parked(struct load *load)
{
    struct fetch_request body;

    client_connect(load, parked(load));
    fetch_fill(load, &body, 1);
    body.max_wait_ms = 60000;
    body.min_bytes = 1;
    body.topics->partitions->fetch_offset = load->ends[0];
    assert_int_equal(sim_client_send(parked(load), API_FETCH, FETCH_VERSION, &body, soon_ns(load)),
                     OK);
    lab_pass(&load->lab, 100);
}

void load_parked_leave(struct load *load)
{
    sim_client_close(parked(load));
    load->sent[API_FETCH]++; /* it was served, although nobody is there to hear */
    lab_pass(&load->lab, 1000);
}

void load_session(struct load *load)
{
    struct fetch_request body;
    const struct fetch_response *answer;

    fetch_fill(load, &body, LOAD_PARTITIONS);
    body.session_epoch = 0;
    answer = load_ask(load, API_FETCH, FETCH_VERSION, &body);
    assert_true(answer->session_id != 0);
    fetched(load, answer);
}

/* ---- many clients at once ---- */

enum { ROUNDS = 20, WRITERS = 6, SILENT = 2, READERS = 4, IN_FLIGHT = 4, ABSENT = 100 };

/* Every fifth goes to all partitions, and to a hundred that are not there unless nobody would tell. */
static void write_send(struct load *load, struct sim_client *client, int number, int16_t acks)
{
    bool is_wide = number % 5 == 0;
    int32_t absent = is_wide && acks != 0 ? ABSENT : 0;
    int32_t partitions = is_wide ? LOAD_PARTITIONS : 1;
    struct produce_request body;
    produce_data *data = body_fill(load, &body, "t", acks, partitions + absent);

    for (int32_t i = 0; i < partitions; i++) {
        int32_t at = absent > 0 ? i * (absent / LOAD_PARTITIONS + 1) : i; /* in several turns */
        struct load_batch wanted = {.records = 1 + (number * 7 + i) % 15};

        data[at].index = is_wide ? i : number % LOAD_PARTITIONS;
        data[at].records = batch_make(load, &wanted);
        taken(load, "t", data[at].index, wanted.records, data[at].records);
    }
    for (int32_t i = 0, next = 1000; i < partitions + absent; i++)
        if (data[i].records.size_bytes == 0)
            data[i].index = next++;
    assert_int_equal(sim_client_send(client, API_PRODUCE, PRODUCE_VERSION, &body, soon_ns(load)),
                     OK);
    load->sent[API_PRODUCE]++;
}

static void write_read(struct load *load, struct sim_client *client)
{
    const struct produce_response *answer;
    void *response;

    assert_int_equal(sim_client_read(client, API_PRODUCE, PRODUCE_VERSION, &load->lab.arena,
                                     soon_ns(load), &response),
                     OK);
    answer = response;
    for (int32_t i = 0; i < answer->responses[0].partition_responses_count; i++) {
        const produce_told *part = &answer->responses[0].partition_responses[i];

        assert_int_equal(part->error_code, part->index < LOAD_PARTITIONS
                                               ? 0
                                               : err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
    }
}

static void read_send(struct load *load, struct sim_client *client)
{
    struct fetch_request body;

    fetch_fill(load, &body, LOAD_PARTITIONS);
    assert_int_equal(sim_client_send(client, API_FETCH, FETCH_VERSION, &body, soon_ns(load)), OK);
    load->sent[API_FETCH]++;
}

static void read_read(struct load *load, struct sim_client *client)
{
    void *response;

    assert_int_equal(sim_client_read(client, API_FETCH, FETCH_VERSION, &load->lab.arena,
                                     soon_ns(load), &response),
                     OK);
    fetched(load, response);
}

void load_storm(struct load *load)
{
    struct sim_client **clients = load->lab.others;
    int number = 0;

    load_connect(load);
    for (int i = 0; i < WRITERS + SILENT + READERS; i++)
        client_connect(load, clients[i]);
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < IN_FLIGHT; k++)
            for (int i = 0; i < WRITERS + SILENT; i++, number++)
                write_send(load, clients[i], number,
                           i >= WRITERS ? 0 : (int16_t)(number % 2 ? 1 : -1));
        for (int i = 0; i < READERS; i++)
            read_send(load, clients[WRITERS + SILENT + i]);
        for (int k = 0; k < IN_FLIGHT; k++)
            for (int i = 0; i < WRITERS; i++)
                write_read(load, clients[i]);
        for (int i = 0; i < READERS; i++)
            read_read(load, clients[WRITERS + SILENT + i]);
    }
}
