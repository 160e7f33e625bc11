/* SPDX-License-Identifier: Apache-2.0 */
#include "config_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/generated/alter_client_quotas_request.h"
#include "protocol/generated/alter_client_quotas_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/describe_configs_request.h"
#include "protocol/generated/describe_configs_response.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/incremental_alter_configs_request.h"
#include "protocol/generated/incremental_alter_configs_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "records/batch_builder.h"

#define CALL_MS 120000

static void line_count(struct logger *logger, enum log_level level, const char *module,
                       const char *event, const char *fields)
{
    struct lab *lab = CONTAINER_OF(logger, struct lab, logger);

    if (getenv("SIM_LOG"))
        fprintf(stderr, "  %d %s %s %s\n", (int)level, module, event, fields);
    if (lab->wanted_event && strcmp(event, lab->wanted_event) == 0 &&
        (!lab->wanted_field || strstr(fields, lab->wanted_field)))
        lab->event_count++;
}

static void property_drop(struct config_file *file, const char *name)
{
    struct config_pair *pairs = (struct config_pair *)(uintptr_t)file->set.pairs;

    for (size_t i = 0; i < file->set.count; i++)
        if (slice_equal_text(pairs[i].key, name))
            pairs[i] = pairs[--file->set.count];
}

void lab_open(struct lab *lab, const char *properties, const char *topic_configs)
{
    const char *wanted_event = lab->wanted_event;
    const char *wanted_field = lab->wanted_field;
    const char *without = lab->without;

    *lab = (struct lab){
        .wanted_event = wanted_event, .wanted_field = wanted_field, .topic_configs = topic_configs};
    assert_int_equal(sim_create(7, NULL, &lab->sim), OK);
    sim_node_init(&lab->node, lab->sim, "node", properties);
    if (without)
        property_drop(&lab->node.file, without);
    lab->logger = (struct logger){.write = line_count, .level = LOG_LEVEL_INFO};
    lab->node.logger = &lab->logger;
    assert_int_equal(sim_machine_create(lab->sim, "client", &lab->client_machine), OK);
    arena_init(&lab->arena, &heap_allocator, SIZE_MAX);
    lab->client = sim_client_new(lab->sim, lab->client_machine);
    for (size_t i = 0; i < LAB_CLIENTS; i++)
        lab->others[i] = sim_client_new(lab->sim, lab->client_machine);
    lab->start_err = sim_node_start(&lab->node, 600000);
}

void lab_connect(struct lab *lab, uint16_t port)
{
    if (lab->start_err != OK)
        fail_msg("the node did not start: %s", lab->node.stop_why);
    assert_int_equal(
        sim_client_connect(lab->client, "node", port, sim_now_ns(lab->sim) + CALL_MS * MS), OK);
}

void lab_pass(struct lab *lab, int64_t ms)
{
    (void)sim_run_until(lab->sim, sim_now_ns(lab->sim) + ms * MS, NULL, NULL);
}

void lab_restart(struct lab *lab, bool is_power_cut)
{
    struct sim_crash_options all_lost = {.drop_weight = 1};

    assert_int_equal(lab->start_err, OK);
    sim_client_close(lab->client);
    if (is_power_cut)
        sim_node_crash(&lab->node, &all_lost);
    else
        sim_node_kill(&lab->node);
    lab->start_err = sim_node_start(&lab->node, 600000);
}

void lab_close(struct lab *lab)
{
    sim_client_free(&lab->client);
    for (size_t i = 0; i < LAB_CLIENTS; i++)
        sim_client_free(&lab->others[i]);
    if (lab->node.is_stopped)
        node_release(&lab->node.node); /* by itself */
    else if (lab->node.node)
        assert_true(sim_node_stop(&lab->node, 600000));
    arena_release(&lab->arena);
    sim_node_release(&lab->node);
    sim_release(&lab->sim);
}

void *lab_call(struct lab *lab, int16_t api_key, int16_t version, const void *body)
{
    void *response = NULL;
    enum err err;

    if (!sim_client_is_connected(lab->client))
        lab_connect(lab, 9092);
    err = sim_client_call(lab->client, api_key, version, body, &lab->arena,
                          sim_now_ns(lab->sim) + CALL_MS * MS, &response);
    if (err != OK)
        fail_msg("api %d: %s", api_key, err_name(err));
    return response;
}

/* ---- topics ---- */

static int32_t configs_fill(struct lab *lab, const char *text,
                            struct create_topics_request_creatable_topic_config *out, int32_t max)
{
    int32_t count = 0;

    while (text && *text && count < max) {
        size_t length = strcspn(text, ";");
        size_t name = strcspn(text, "=");

        out[count].name = arena_copy(&lab->arena, slice_of(text, name));
        out[count].value = arena_copy(&lab->arena, slice_of(text + name + 1, length - name - 1));
        count++;
        text += length + (text[length] == ';');
    }
    return count;
}

int16_t lab_create_topic(struct lab *lab, const char *name, int32_t partitions, int16_t replicas)
{
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic =
        create_topics_request_creatable_topic_array(&lab->arena, 1);
    struct create_topics_response *answer;

    create_topics_request_init(&body);
    topic->name = slice_from_text(name);
    topic->num_partitions = partitions;
    topic->replication_factor = replicas;
    topic->configs = create_topics_request_creatable_topic_config_array(&lab->arena, 8);
    topic->configs_count = configs_fill(lab, lab->topic_configs, topic->configs, 8);
    body.topics = topic;
    body.topics_count = 1;
    answer = lab_call(lab, API_CREATE_TOPICS, 7, &body);
    if (answer->topics[0].error_code == 0 && lab->topic_alteration && strcmp(name, "t") == 0) {
        const char *text = lab->topic_alteration;
        size_t key = strcspn(text, "=");

        assert_int_equal(lab_alter(lab, CONFIG_RESOURCE_TOPIC, "t",
                                   arena_format(&lab->arena, "%.*s", (int)key, text),
                                   text + key + 1),
                         0);
    }
    return answer->topics[0].error_code;
}

int64_t lab_partitions(struct lab *lab, const char *name, bool may_create)
{
    struct metadata_request body;
    struct metadata_request_metadata_request_topic *topic =
        metadata_request_metadata_request_topic_array(&lab->arena, 1);

    metadata_request_init(&body);
    topic->name = slice_from_text(name);
    body.topics = topic;
    body.topics_count = 1;
    body.allow_auto_topic_creation = may_create;
    for (int i = 0; i < 5; i++) {
        const struct metadata_response *answer = lab_call(lab, API_METADATA, 9, &body);

        if (answer->topics[0].error_code == 0)
            return answer->topics[0].partitions_count;
        lab_pass(lab, 200);
    }
    return -1;
}

int64_t lab_topic_number(struct lab *lab, const char *topic, const char *key)
{
    struct describe_configs_request body;
    struct describe_configs_request_describe_configs_resource *resource =
        describe_configs_request_describe_configs_resource_array(&lab->arena, 1);
    struct slice name = slice_from_text(key);
    const struct describe_configs_response *answer;
    int64_t number;

    describe_configs_request_init(&body);
    resource->resource_type = CONFIG_RESOURCE_TOPIC;
    resource->resource_name = slice_from_text(topic);
    resource->configuration_keys = &name;
    resource->configuration_keys_count = 1;
    body.resources = resource;
    body.resources_count = 1;
    answer = lab_call(lab, API_DESCRIBE_CONFIGS, 4, &body);
    assert_int_equal(answer->results[0].error_code, 0);
    number =
        strtoll(arena_format(&lab->arena, "%.*s", SLICE_ARGS(answer->results[0].configs[0].value)),
                NULL, 10);
    return number;
}

int16_t lab_alter(struct lab *lab, int8_t type, const char *resource, const char *key,
                  const char *value)
{
    struct incremental_alter_configs_request body;
    struct incremental_alter_configs_request_alter_configs_resource *one =
        incremental_alter_configs_request_alter_configs_resource_array(&lab->arena, 1);
    struct incremental_alter_configs_request_alterable_config *config =
        incremental_alter_configs_request_alterable_config_array(&lab->arena, 1);
    const struct incremental_alter_configs_response *answer;

    incremental_alter_configs_request_init(&body);
    one->resource_type = type;
    one->resource_name = slice_from_text(resource);
    one->configs = config;
    one->configs_count = 1;
    config->name = slice_from_text(key);
    config->value = slice_from_text(value);
    body.resources = one;
    body.resources_count = 1;
    answer = lab_call(lab, API_INCREMENTAL_ALTER_CONFIGS, 1, &body);
    return answer->responses[0].error_code;
}

void lab_quota(struct lab *lab, const char *key, double value)
{
    struct alter_client_quotas_request body;
    struct alter_client_quotas_request_entry_data *entry =
        alter_client_quotas_request_entry_data_array(&lab->arena, 1);
    const struct alter_client_quotas_response *answer;

    alter_client_quotas_request_init(&body);
    entry->entity = alter_client_quotas_request_entity_data_array(&lab->arena, 1);
    entry->entity_count = 1;
    entry->entity->entity_type = SLICE("client-id");
    entry->entity->entity_name = SLICE_NULL;
    entry->ops = alter_client_quotas_request_op_data_array(&lab->arena, 1);
    entry->ops_count = 1;
    entry->ops->key = slice_from_text(key);
    entry->ops->value = value;
    body.entries = entry;
    body.entries_count = 1;
    answer = lab_call(lab, API_ALTER_CLIENT_QUOTAS, 1, &body);
    assert_int_equal(answer->entries[0].error_code, 0);
}

/* ---- records ---- */

static struct slice batch_make(struct lab *lab, const struct lab_batch *wanted)
{
    struct batch_options options;
    struct batch_builder builder;
    struct compress_context *compress = NULL;
    struct writer scratch, out;
    struct slice batch;
    size_t value_bytes = wanted->value_bytes ? (size_t)wanted->value_bytes : 10;
    uint8_t *value = malloc(value_bytes);
    struct random random;

    assert_non_null(value);
    random_init(&random, 11);
    for (size_t i = 0; i < value_bytes; i++)
        value[i] = wanted->is_random ? (uint8_t)random_below(&random, 256)
                   : wanted->is_text ? (uint8_t)('a' + random_below(&random, 4))
                                     : (uint8_t)(i / 97);
    writer_init(&scratch, &heap_allocator, SIZE_MAX);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    assert_int_equal(compress_context_open(&compress, &heap_allocator), OK);
    batch_options_init(&options);
    options.codec = wanted->codec;
    options.level = compression_level_default(options.codec);
    options.transactional = wanted->is_transactional;
    if (wanted->producer_id > 0) {
        options.producer_id = wanted->producer_id;
        options.producer_epoch = 0;
        options.base_sequence = wanted->sequence;
    }
    batch_builder_begin(&builder, &options, compress, &scratch, &out);
    for (int32_t i = 0; i < MAX(wanted->records, 1); i++) {
        struct batch_record record = {.timestamp = os_wall_ms(lab->node.machine) - wanted->age_ms,
                                      .key = SLICE("key"),
                                      .value = slice_of(value, value_bytes)};

        assert_int_equal(batch_builder_append(&builder, &record), OK);
    }
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    batch = arena_copy(&lab->arena, batch);
    writer_release(&scratch);
    writer_release(&out);
    compress_context_release(&compress);
    free(value);
    return batch;
}

static void topic_ensure(struct lab *lab)
{
    if (lab_partitions(lab, "t", false) < 0)
        assert_int_equal(lab_create_topic(lab, "t", 1, 1), 0);
}

int16_t lab_produce(struct lab *lab, const struct lab_batch *batch, int32_t *throttle_ms_out)
{
    struct produce_request body;
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(&lab->arena, 1);
    struct produce_request_partition_produce_data *data =
        produce_request_partition_produce_data_array(&lab->arena, 1);
    const struct produce_response *answer;

    topic_ensure(lab);
    produce_request_init(&body);
    body.acks = batch->acks ? batch->acks : -1;
    body.timeout_ms = 10000;
    if (batch->is_transactional)
        body.transactional_id = SLICE("transaction");
    body.topic_data = topic;
    body.topic_data_count = 1;
    topic->name = SLICE("t");
    topic->partition_data = data;
    topic->partition_data_count = 1;
    data->records = batch_make(lab, batch);
    answer = lab_call(lab, API_PRODUCE, 9, &body);
    if (throttle_ms_out)
        *throttle_ms_out = answer->throttle_time_ms;
    return answer->responses[0].partition_responses[0].error_code;
}

int64_t lab_offset(struct lab *lab, int64_t timestamp)
{
    struct list_offsets_request body;
    struct list_offsets_request_list_offsets_topic *topic =
        list_offsets_request_list_offsets_topic_array(&lab->arena, 1);
    const struct list_offsets_response *answer;

    list_offsets_request_init(&body);
    body.replica_id = -1;
    topic->name = SLICE("t");
    topic->partitions = list_offsets_request_list_offsets_partition_array(&lab->arena, 1);
    topic->partitions_count = 1;
    topic->partitions->timestamp = timestamp;
    body.topics = topic;
    body.topics_count = 1;
    answer = lab_call(lab, API_LIST_OFFSETS, 7, &body);
    assert_int_equal(answer->topics[0].partitions[0].error_code, 0);
    return answer->topics[0].partitions[0].offset;
}

struct lab_fetched lab_fetch(struct lab *lab, int32_t bytes_max)
{
    struct fetch_request body;
    struct fetch_request_fetch_topic *topic = fetch_request_fetch_topic_array(&lab->arena, 1);
    const struct fetch_response *answer;
    struct lab_fetched fetched = {0};
    struct batch_header header;
    struct slice records;

    fetch_request_init(&body);
    body.replica_id = -1;
    body.max_wait_ms = 100;
    body.min_bytes = 1;
    body.max_bytes = bytes_max;
    body.session_epoch = 0;
    topic->topic = SLICE("t");
    topic->partitions = fetch_request_fetch_partition_array(&lab->arena, 1);
    topic->partitions_count = 1;
    topic->partitions->partition_max_bytes = bytes_max;
    body.topics = topic;
    body.topics_count = 1;
    answer = lab_call(lab, API_FETCH, 11, &body);
    assert_int_equal(answer->error_code, 0);
    assert_int_equal(answer->responses[0].partitions[0].error_code, 0);
    records = answer->responses[0].partitions[0].records;
    fetched.bytes = (int64_t)records.size_bytes;
    fetched.session_id = answer->session_id;
    assert_int_equal(batch_header_read_prefix(slice_sub(records, 0, 61), &header), OK);
    fetched.attributes = header.attributes;
    fetched.first_batch_bytes = (int64_t)batch_size_bytes(&header);
    return fetched;
}

/* ---- the disk ---- */

int64_t lab_files(struct lab *lab, const char *folder, const char *end, int64_t *bytes_out)
{
    struct os_names names;
    int64_t count = 0, bytes = 0;

    assert_int_equal(sim_disk_walk(lab->node.machine, &lab->arena, &names), OK);
    for (size_t i = 0; i < names.count; i++) {
        size_t length = strlen(names.names[i]);
        struct os_stat stat;

        if (!strstr(names.names[i], folder) || length < strlen(end) ||
            strcmp(names.names[i] + length - strlen(end), end) != 0)
            continue;
        assert_int_equal(os_stat(lab->node.machine, names.names[i], &stat), OK);
        count++;
        bytes += stat.size_bytes;
    }
    if (bytes_out)
        *bytes_out = bytes;
    return count;
}

bool lab_file_has(struct lab *lab, const char *path, const char *text)
{
    struct slice bytes;

    if (os_read_whole(lab->node.machine, path, &lab->arena, MIB, &bytes) != OK)
        return false;
    return strstr(arena_format(&lab->arena, "%.*s", SLICE_ARGS(bytes)), text) != NULL;
}
