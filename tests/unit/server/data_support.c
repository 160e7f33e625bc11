/* SPDX-License-Identifier: Apache-2.0 */
#include "data_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/config_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/partition_change_record.h"
#include "protocol/generated/partition_record.h"
#include "protocol/generated/register_broker_record.h"
#include "protocol/generated/remove_topic_record.h"
#include "protocol/generated/topic_record.h"

#define HOUR_NS (INT64_C(3600) * 1000000000)

static const char *const directory_paths[RIG_DIRECTORIES] = {"/data", "/data1"};

static void print_assert(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
}

__attribute__((constructor)) static void hook(void)
{
    assert_hook_set(print_assert);
}

static void log_write(struct logger *self, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    struct rig *rig = CONTAINER_OF(self, struct rig, logger);

    if (rig->verbose)
        fprintf(stderr, "%lld %d %s %s %s\n", (long long)sim_now_ns(rig->sim) / 1000, (int)level,
                module, event, fields);
}

struct uuid rig_directory_id(int index)
{
    struct uuid id;

    memset(id.bytes, 7 + index, sizeof id.bytes);
    return id;
}

/* ---- running ---- */

static bool is_over(void *context)
{
    struct rig *rig = context;

    return rig->until(rig->until_context);
}

bool rig_run_until(struct rig *rig, bool (*until)(void *context), void *context)
{
    rig->until = until;
    rig->until_context = context;
    return sim_run_until(rig->sim, sim_now_ns(rig->sim) + HOUR_NS, is_over, rig);
}

void rig_pass(struct rig *rig, int64_t time_ms)
{
    sim_run_until(rig->sim, sim_now_ns(rig->sim) + time_ms * 1000000, NULL, NULL);
}

/* ---- the process ---- */

static void directory_failed(struct storage_listener *listener, struct log_directory *directory)
{
    struct rig *rig = CONTAINER_OF(listener, struct rig, listener);

    for (size_t i = 0; i < rig->shard_count; i++)
        partition_table_directory_failed(rig->shards[i].partitions, directory);
}

static void shards_start(struct rig *rig)
{
    struct node *node = &rig->node;

    for (size_t i = 0; i < rig->shard_count; i++) {
        struct shard *shard = &rig->shards[i];

        *shard = (struct shard){.node = node, .index = (int)i};
        OKAY(reactor_create(rig->os, (int)i, 42, &rig->logger, &shard->reactor));
    }
    for (size_t i = 0; i < rig->shard_count; i++) {
        struct shard *shard = &rig->shards[i];

        OKAY(log_store_create(node->directories, shard->reactor, rig->shards[0].reactor,
                              &rig->listener, &shard->store));
        OKAY(partition_table_create(shard, &shard->partitions));
        OKAY(fetch_service_create(shard, &shard->fetches));
        OKAY(compress_context_open(&shard->compress, &heap_allocator));
        shard->quotas = (struct quota_service *)(void *)rig;
        rig->kinds[i] = (struct session_kind){.shard = shard,
                                              .listener = &rig->listener_config,
                                              .principal = SLICE("User:ANONYMOUS")};
        rig->sessions[i] = (struct session){.kind = &rig->kinds[i]};
    }
}

static void process_start(struct rig *rig)
{
    struct storage_options options;
    struct random random;
    struct why why = {""};
    int64_t epoch;

    storage_options_init(&options);
    sim_random_init(rig->sim, &random, "ids");
    rig->node.os = rig->os;
    OKAY(log_directories_open(rig->os, &rig->logger, &options, directory_paths, RIG_DIRECTORIES,
                              &rig->node.directories, &why));
    OKAY(log_directories_check(rig->node.directories, SLICE(RIG_CLUSTER), RIG_NODE, &random, &why));
    OKAY(log_directories_begin(rig->node.directories, &epoch));
    shards_start(rig);
}

struct closing {
    struct log_store_close op;
    bool is_done;
};

static void close_done(struct log_store_close *op)
{
    CONTAINER_OF(op, struct closing, op)->is_done = true;
}

static bool closing_is_done(void *context)
{
    return ((struct closing *)context)->is_done;
}

static void process_stop(struct rig *rig, bool clean)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        fetch_service_stop(rig->shards[i].fetches);
        partition_table_stop(rig->shards[i].partitions);
    }
    rig_pass(rig, 100);
    for (size_t i = 0; i < rig->shard_count; i++) {
        struct closing closing = {.op = {.done = close_done}};

        log_store_close_all(rig->shards[i].store, &closing.op);
        assert_true(rig_run_until(rig, closing_is_done, &closing));
    }
    for (size_t i = 0; i < rig->shard_count; i++) {
        struct shard *shard = &rig->shards[i];

        partition_table_release(&shard->partitions);
        fetch_service_release(&shard->fetches);
        log_store_release(&shard->store);
        compress_context_release(&shard->compress);
    }
    for (size_t i = 0; i < rig->shard_count; i++)
        reactor_release(&rig->shards[i].reactor);
    log_directories_close(&rig->node.directories, clean, 5);
}

static void config_make(struct rig *rig)
{
    struct config_report report;
    struct config_layers layers = {0};
    static const char base[] = "node.id=1\nprocess.roles=broker,controller\n"
                               "controller.quorum.voters=1@localhost:9093\n"
                               "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                               "controller.listener.names=CONTROLLER\nlog.dirs=/data,/data1\n";
    char *text = arena_format(&rig->arena, "%s%s", base, rig->properties ? rig->properties : "");
    struct config_file *file = ARENA_NEW(&rig->arena, struct config_file);
    struct why why = {""};

    config_report_init(&report, &rig->arena);
    OKAY(config_file_parse(&rig->arena, SLICE("rig"), slice_from_text(text), file, &why));
    layers.file = file;
    OKAY(config_resolve(&rig->arena, &layers, &report, &rig->config));
    OKAY(config_node(rig->config, &report, &rig->node.config));
}

void rig_open(struct rig *rig, size_t shard_count, const char *properties)
{
    struct meta_properties meta = {.version = 1,
                                   .cluster_id = SLICE(RIG_CLUSTER),
                                   .node_id = RIG_NODE,
                                   .has_directory_id = true};
    struct register_broker_record *broker;
    struct feature_level_record *feature;
    void *message;

    memset(rig, 0, sizeof *rig);
    rig->logger = (struct logger){.write = log_write, .level = LOG_LEVEL_INFO};
    rig->verbose = getenv("BARNABAS_VERBOSE") != NULL;
    rig->listener.directory_failed = directory_failed;
    rig->properties = properties;
    rig->shard_count = shard_count;
    rig->quota_fetch_max = INT64_MAX;
    list_init(&rig->controller_calls);
    arena_init(&rig->arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_create(42, NULL, &rig->sim));
    OKAY(sim_machine_create(rig->sim, "node", &rig->os));
    for (int i = 0; i < RIG_DIRECTORIES; i++) {
        OKAY(os_make_directory(rig->os, directory_paths[i]));
        OKAY(os_sync_directory(rig->os, "/"));
        meta.directory_id = rig_directory_id(i);
        OKAY(meta_properties_write(rig->os, directory_paths[i], &meta));
    }
    rig->node.logger = &rig->logger;
    rig->node.shards = rig->shards;
    rig->node.shard_count = shard_count;
    config_make(rig);
    process_start(rig);
    OKAY(metadata_state_create(&heap_allocator, NULL, &rig->state));
    OKAY(metadata_record_add(&rig->records, &rig->arena, METADATA_RECORD_FEATURE_LEVEL, 0,
                             &message));
    feature = message;
    feature->name = SLICE("metadata.version");
    feature->feature_level = METADATA_VERSION_LATEST;
    OKAY(metadata_state_replay(rig->state, &rig->records.items[0], rig->offset++, NULL));
    OKAY(metadata_record_add(&rig->records, &rig->arena, METADATA_RECORD_REGISTER_BROKER, 3,
                             &message));
    broker = message;
    broker->broker_id = RIG_NODE;
    broker->broker_epoch = 5;
    broker->fenced = false;
    broker->log_dirs = ARENA_ARRAY(&rig->arena, struct uuid, RIG_DIRECTORIES);
    broker->log_dirs_count = RIG_DIRECTORIES;
    for (int i = 0; i < RIG_DIRECTORIES; i++)
        broker->log_dirs[i] = rig_directory_id(i);
    OKAY(metadata_state_replay(rig->state, &rig->records.items[1], rig->offset++, NULL));
    rig_publish(rig);
}

void rig_close(struct rig *rig)
{
    process_stop(rig, true);
    for (size_t i = 0; i < rig->publication_count; i++) {
        metadata_image_release(&rig->publications[i]->image);
        SERVER_DELETE(rig->publications[i]);
    }
    metadata_state_release(&rig->state);
    sim_release(&rig->sim);
    arena_release(&rig->arena);
}

void rig_restart(struct rig *rig, bool clean)
{
    rig_restart_with(rig, clean, NULL);
}

void rig_restart_with(struct rig *rig, bool clean, void (*between)(struct rig *rig))
{
    process_stop(rig, clean);
    if (between)
        between(rig);
    process_start(rig);
    rig_publish(rig);
}

/* ---- metadata ---- */

struct uuid rig_id(uint32_t number)
{
    struct uuid id = {{0x10}};

    id.bytes[15] = (uint8_t)number;
    return id;
}

static void *record_add(struct rig *rig, int16_t key, int16_t version)
{
    void *message;

    OKAY(metadata_record_add(&rig->records, &rig->arena, key, version, &message));
    return message;
}

static void replay(struct rig *rig)
{
    struct why why = {""};
    enum err err = metadata_state_replay(rig->state, &rig->records.items[rig->records.count - 1],
                                         rig->offset++, &why);

    if (err != OK)
        fail_msg("replay: %s %s", err_name(err), why.text);
}

void rig_topic_in(struct rig *rig, const char *name, uint32_t id, int32_t partitions,
                  struct uuid directory)
{
    struct topic_record *topic = record_add(rig, METADATA_RECORD_TOPIC, 0);

    topic->name = slice_from_text(name);
    topic->topic_id = rig_id(id);
    replay(rig);
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_record *partition = record_add(rig, METADATA_RECORD_PARTITION, 2);

        partition->topic_id = rig_id(id);
        partition->partition_id = i;
        partition->replicas = ARENA_ARRAY(&rig->arena, int32_t, 1);
        partition->replicas[0] = RIG_NODE;
        partition->replicas_count = 1;
        partition->isr = partition->replicas;
        partition->isr_count = 1;
        partition->directories = ARENA_ARRAY(&rig->arena, struct uuid, 1);
        partition->directories[0] = directory;
        partition->directories_count = 1;
        partition->leader = RIG_NODE;
        partition->leader_epoch = 0;
        partition->partition_epoch = 0;
        replay(rig);
    }
}

void rig_topic(struct rig *rig, const char *name, uint32_t id, int32_t partitions)
{
    rig_topic_in(rig, name, id, partitions, rig_directory_id(0));
}

void rig_leader(struct rig *rig, uint32_t id, int32_t index, int32_t leader)
{
    struct partition_change_record *record = record_add(rig, METADATA_RECORD_PARTITION_CHANGE, 2);

    record->topic_id = rig_id(id);
    record->partition_id = index;
    record->leader = leader;
    replay(rig);
}

void rig_replicas(struct rig *rig, uint32_t id, int32_t index, int32_t leader, int32_t other)
{
    struct partition_change_record *record = record_add(rig, METADATA_RECORD_PARTITION_CHANGE, 2);
    int32_t count = other >= 0 ? 2 : 1;

    record->topic_id = rig_id(id);
    record->partition_id = index;
    record->leader = leader;
    record->replicas = ARENA_ARRAY(&rig->arena, int32_t, 2);
    record->replicas[0] = RIG_NODE;
    record->replicas[1] = other;
    record->replicas_count = count;
    record->isr = record->replicas;
    record->isr_count = count;
    record->directories = ARENA_ARRAY(&rig->arena, struct uuid, 2);
    record->directories[0] = record->directories[1] = rig_directory_id(0);
    record->directories_count = count;
    replay(rig);
}

void rig_topic_remove(struct rig *rig, uint32_t id)
{
    struct remove_topic_record *record = record_add(rig, METADATA_RECORD_REMOVE_TOPIC, 0);

    record->topic_id = rig_id(id);
    replay(rig);
}

void rig_topic_config(struct rig *rig, const char *topic, const char *key, const char *value)
{
    struct config_record *record = record_add(rig, METADATA_RECORD_CONFIG, 0);

    record->resource_type = METADATA_RESOURCE_TOPIC;
    record->resource_name = slice_from_text(topic);
    record->name = slice_from_text(key);
    record->value = slice_from_text(value);
    replay(rig);
}

void rig_publish(struct rig *rig)
{
    struct publication *publication = SERVER_NEW(struct publication);

    assert_true(rig->publication_count < ARRAY_COUNT(rig->publications));
    publication->number = rig->publication_count + 1;
    OKAY(metadata_state_publish(rig->state, &publication->image));
    publication->config = rig->config;
    publication->metadata_version = metadata_image_version(publication->image);
    rig->publications[rig->publication_count++] = publication;
    for (size_t i = 0; i < rig->shard_count; i++) {
        struct shard *shard = &rig->shards[i];
        const struct publication *before = shard->publication;

        shard->publication = publication;
        partition_table_apply(shard->partitions, before, publication);
        fetch_service_apply(shard->fetches, publication);
    }
}

struct partition *rig_partition(struct rig *rig, uint32_t id, int32_t index)
{
    int owner = shard_of_partition(&rig->node, rig_id(id), index);

    return partition_find(rig->shards[owner].partitions, rig_id(id), index);
}

static bool partition_is_open(void *context)
{
    return ((struct partition *)context)->stage == PARTITION_OPEN;
}

struct partition *rig_partition_open(struct rig *rig, uint32_t id, int32_t index)
{
    struct partition *partition = rig_partition(rig, id, index);

    assert_non_null(partition);
    assert_true(rig_run_until(rig, partition_is_open, partition));
    return partition;
}

/* ---- requests ---- */

struct rig_request *rig_begin(struct rig *rig, int home, int16_t key, int16_t version, void *body,
                              request_handler handler)
{
    struct rig_request *request = SERVER_NEW(struct rig_request);

    request->rig = rig;
    request->request.shard = &rig->shards[home];
    if (rig->is_other)
        rig->others[home] = rig->sessions[home];
    request->request.session = rig->is_other ? &rig->others[home] : &rig->sessions[home];
    request->request.api = api_find(key);
    request->request.header =
        (struct request_header){.api_key = key, .api_version = version, .client_id = SLICE("rig")};
    request->request.body = body;
    request->frame.data = request->frame_bytes;
    request->frame.size_bytes = sizeof request->frame_bytes;
    request->request.frame = &request->frame;
    arena_init(&request->request.arena, &heap_allocator,
               rig->request_bytes_max > 0 ? rig->request_bytes_max : SIZE_MAX);
    handler(&request->request);
    return request;
}

static bool request_is_over(void *context)
{
    struct rig_request *request = context;

    return request->is_answered && request->holds == 0;
}

void *rig_wait(struct rig_request *request)
{
    assert_true(rig_run_until(request->rig, request_is_over, request));
    return request->response;
}

void rig_hang_up(struct rig_request *request)
{
    request->request.session = NULL;
    if (request->request.cancelled)
        request->request.cancelled(&request->request);
}

void rig_request_free(struct rig_request *request)
{
    assert_true(request_is_over(request));
    rig_loan_end(&request->request);
    arena_release(&request->request.arena);
    SERVER_DELETE(request);
}

/* ---- batches ---- */

struct slice rig_batch(struct rig *rig, const struct rig_batch *batch)
{
    CLEANUP(writer_release) struct writer out;
    CLEANUP(writer_release) struct writer scratch;
    struct batch_builder builder;
    struct batch_options options;
    uint8_t *value = arena_zeroed(&rig->arena, 1, batch->value_bytes + 1);

    batch_options_init(&options);
    options.codec = batch->codec;
    options.level = compression_level_default(batch->codec);
    if (batch->producer_id > 0) {
        options.producer_id = batch->producer_id;
        options.producer_epoch = batch->producer_epoch;
        options.base_sequence = batch->sequence;
    }
    options.transactional = batch->transactional;
    writer_init(&out, &heap_allocator, SIZE_MAX);
    writer_init(&scratch, &heap_allocator, SIZE_MAX);
    batch_builder_begin(&builder, &options, rig->shards[0].compress, &scratch, &out);
    for (int i = 0; i < MAX(batch->count, 1); i++) {
        struct batch_record record = {
            .timestamp = batch->timestamp ? batch->timestamp : os_wall_ms(rig->os),
            .key = batch->null_keys ? SLICE_NULL : SLICE("key"),
            .value = slice_of(value, batch->value_bytes),
        };

        OKAY(batch_builder_append(&builder, &record));
    }
    OKAY(batch_builder_finish(&builder, NULL));
    return arena_copy(&rig->arena, writer_slice(&out));
}
