/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node.c: makes a node out of a configuration, and takes it apart.
 * Order    configuration → what this build can do → directories → shards. Nothing listens and nothing is
 *          written before the directories are known to be this node's.
 * Threads  the starting thread. docs/design/server.md.
 */
#include "server/node_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"
#include "compress/compress.h"
#include "reactor/reactor.h"
#include "server/coordinator.h"
#include "server/descriptors.h"
#include "server/fetch.h"
#include "server/format.h"
#include "server/late_transactions.h"
#include "server/partition.h"
#include "server/quota.h"
#include "server/request_internal.h"

#define META_PROPERTIES_VERSION 1

/* ---- configuration ---- */

static void findings_log(struct node *node, const struct config_report *report)
{
    for (const struct config_finding *finding = report->first; finding; finding = finding->next) {
        switch (finding->kind) {
        case CONFIG_FINDING_ERROR:
            LOG_ERROR(node->logger, "config", "refused", "reason=\"%s\"", finding->text);
            break;
        case CONFIG_FINDING_WARNING:
        case CONFIG_FINDING_IGNORED: /* there are no dynamic layers yet */
            LOG_WARN(node->logger, "config", "warning", "reason=\"%s\"", finding->text);
            break;
        case CONFIG_FINDING_NO_EFFECT:
            LOG_INFO(node->logger, "config", "without_effect", "reason=\"%s\"", finding->text);
            break;
        case CONFIG_FINDING_LATER:
            if (!node->options.format_when_empty) /* of the built-in file nobody needs to know */
                LOG_WARN(node->logger, "config", "not_built_yet", "reason=\"%s\"", finding->text);
            break;
        }
    }
}

static enum err configuration_read(struct node *node, struct why *why)
{
    struct config_layers layers = {.file = node->options.file};
    struct config_report report;
    enum err err;

    config_report_init(&report, &node->arena);
    err = config_resolve(&node->arena, &layers, &report, &node->boot_config);
    if (err == OK)
        err = config_node(node->boot_config, &report, &node->config);
    findings_log(node, &report);
    for (const struct config_finding *finding = report.first; err != OK && finding;
         finding = finding->next)
        if (finding->kind == CONFIG_FINDING_ERROR)
            return why_set(why, err, "%s", finding->text);
    return err;
}

/* ---- directories ---- */

/* log.dirs, then the metadata log's when it is another one. */
static size_t directory_paths(struct node *node, const char ***paths_out)
{
    size_t count = node->config.log_dirs.count;
    const char **paths = ARENA_ARRAY(&node->arena, const char *, count + 1);
    bool has_metadata = false;

    for (size_t i = 0; i < count; i++) {
        paths[i] = arena_format(&node->arena, "%.*s", SLICE_ARGS(node->config.log_dirs.items[i]));
        has_metadata |= slice_equal(node->config.log_dirs.items[i], node->config.metadata_log_dir);
    }
    if (!has_metadata)
        paths[count++] =
            arena_format(&node->arena, "%.*s", SLICE_ARGS(node->config.metadata_log_dir));
    *paths_out = paths;
    return count;
}

/* Formats some of the directories for a cluster. */
static enum err some_format(struct node *node, struct slice cluster_id, const char *const *paths,
                            size_t count, const char *metadata_path, struct random *random,
                            struct why *why)
{
    CLEANUP(writer_release) struct writer report;
    struct format_options options = {
        .cluster_id = cluster_id,
        .node_id = node->config.node_id,
        .directories = paths,
        .directory_count = count,
        .metadata_directory = metadata_path,
        .is_controller = true,
        .ignore_formatted = true,
        .controller_listener = node->config.controller_listener_names.items[0],
        .is_dynamic = node->config.voter_count == 0,
    };
    struct format_voter self;

    writer_init(&report, &heap_allocator, SIZE_MAX);
    if (options.is_dynamic) {
        const struct listener_config *own = &node->config.advertised_controllers[0];

        self = (struct format_voter){
            .id = node->config.node_id,
            .host = slice_is_null(own->host) ? SLICE("localhost") : own->host,
            .port = (uint16_t)own->port,
            .directory_id = uuid_random(random),
        };
        options.voters = (struct format_voters){&self, 1};
    }
    TRY(storage_format(node->os, &options, &report, why));
    LOG_INFO(node->logger, "server", "formatted", "cluster_id=%.*s node_id=%d directories=%zu",
             SLICE_ARGS(cluster_id), node->config.node_id, count);
    return OK;
}

/* The first start without a file: what `barnabas storage format --standalone` would do. The metadata
 * directory comes first: then the cluster has its id, and what a crash kept from the others is
 * done at the next start. */
static enum err directories_format(struct node *node, const char *const *paths, size_t count,
                                   struct random *random, struct why *why)
{
    CLEANUP(arena_release) struct arena scratch;
    const char *metadata_path =
        arena_format(&node->arena, "%.*s", SLICE_ARGS(node->config.metadata_log_dir));
    const char **missing;
    size_t missing_count = 0;
    struct meta_properties properties;
    struct slice cluster_id;
    char drawn[UUID_TEXT_BYTES];

    arena_init(&scratch, &must_allocator, SIZE_MAX);
    TRY(meta_properties_read(node->os, metadata_path, &scratch, &properties, why));
    cluster_id = properties.cluster_id;
    if (properties.version < 0) {
        uuid_to_text(uuid_random(random), drawn);
        cluster_id = slice_from_text(drawn);
        TRY(some_format(node, cluster_id, &metadata_path, 1, metadata_path, random, why));
    }
    missing = ARENA_ARRAY(&scratch, const char *, count);
    for (size_t i = 0; i < count; i++) {
        /* One that cannot be read is not our business here: it will be offline. */
        if (strcmp(paths[i], metadata_path) != 0 &&
            meta_properties_read(node->os, paths[i], &scratch, &properties, NULL) == OK &&
            properties.version < 0)
            missing[missing_count++] = paths[i];
    }
    if (missing_count == 0 || slice_is_null(cluster_id) || cluster_id.size_bytes == 0)
        return OK;
    return some_format(node, cluster_id, missing, missing_count, metadata_path, random, why);
}

static size_t shard_count_choose(const struct node *node)
{
    int cores = os_core_count(node->os);

    if (node->config.shards > 0)
        return (size_t)node->config.shards;
    return (size_t)MAX(cores / 2, 1);
}

static enum err storage_options_fill(const struct node *node, struct storage_options *options,
                                     struct why *why)
{
    const struct config *config = node->boot_config;

    storage_options_init(options);
    TRY(descriptors_share(os_descriptors_max(node->os), shard_count_choose(node),
                          &options->open_files_max, why));
    options->checkpoint_offset_interval_ms =
        config_long(config, BROKER_LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS);
    options->checkpoint_start_interval_ms =
        config_long(config, BROKER_LOG_FLUSH_START_OFFSET_CHECKPOINT_INTERVAL_MS);
    options->checkpoint_high_watermark_interval_ms =
        config_long(config, BROKER_REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS);
    options->initial_delay_ms = config_long(config, BROKER_LOG_INITIAL_TASK_DELAY_MS);
    options->retention_check_interval_ms =
        config_long(config, BROKER_LOG_RETENTION_CHECK_INTERVAL_MS);
    options->flush_scheduler_interval_ms =
        config_long(config, BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS);
    options->producer_expiration_ms = config_long(config, BROKER_PRODUCER_ID_EXPIRATION_MS);
    options->producer_expiration_check_ms =
        config_long(config, BROKER_PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS);
    options->file_delete_delay_ms = config_long(config, BROKER_LOG_SEGMENT_DELETE_DELAY_MS);
    node_cleaner_options(config, &options->cleaner);
    options->low_space_bytes = config_long(config, BARNABAS_DISK_LOW_BYTES);
    options->reserve_bytes = config_long(config, BARNABAS_DISK_RESERVE_BYTES);
    return OK;
}

/* The cluster id of the metadata directory; it must be formatted. */
static enum err cluster_id_find(struct node *node, struct why *why)
{
    struct log_directory *directory =
        log_directories_find_path(node->directories, node->config.metadata_log_dir);
    const struct meta_properties *properties =
        directory ? log_directory_properties(directory) : NULL;

    if (directory && log_directory_is_offline(directory))
        return why_set(why, ERR_KAFKA_STORAGE_ERROR,
                       "Encountered I/O error in metadata log directory %.*s. Cannot continue.",
                       SLICE_ARGS(node->config.metadata_log_dir));
    if (!properties || properties->version < 0)
        return why_set(why, ERR_NOT_FOUND,
                       "No `meta.properties` found in %.*s (have you run `barnabas storage format` "
                       "to format the directory?)",
                       SLICE_ARGS(node->config.metadata_log_dir));
    if (properties->version < META_PROPERTIES_VERSION)
        return why_set(why, ERR_CONFIG,
                       "%.*s: meta.properties of version %d is of a ZooKeeper node",
                       SLICE_ARGS(node->config.metadata_log_dir), properties->version);
    node->cluster_id = properties->cluster_id;
    return OK;
}

static enum err directories_open(struct node *node, struct random *random, struct why *why)
{
    struct storage_options options;
    const char **paths;
    size_t count = directory_paths(node, &paths);

    if (node->options.format_when_empty)
        TRY(directories_format(node, paths, count, random, why));
    TRY(storage_options_fill(node, &options, why));
    TRY(log_directories_open(node->os, node->logger, &options, paths, count, &node->directories,
                             why));
    TRY(cluster_id_find(node, why));
    TRY(log_directories_check(node->directories, node->cluster_id, node->config.node_id, random,
                              why));
    return log_directories_begin(node->directories, &node->previous_broker_epoch);
}

/* ---- shards ---- */

static void directory_failed(struct storage_listener *listener, struct log_directory *directory)
{
    struct node_shard *own = CONTAINER_OF(listener, struct node_shard, storage_listener);
    struct node *node = own->shard->node;
    bool is_any_online = false;

    partition_table_directory_failed(own->shard->partitions, directory);
    if (own->shard->index != 0)
        return;
    for (size_t i = 0; i < log_directories_count(node->directories); i++)
        is_any_online |= !log_directory_is_offline(log_directories_at(node->directories, i));
    if (slice_equal_text(node->config.metadata_log_dir, log_directory_path(directory)))
        node_stop_begin(node, ERR_KAFKA_STORAGE_ERROR,
                        "the directory of the metadata log has failed");
    else if (!is_any_online)
        node_stop_begin(node, ERR_KAFKA_STORAGE_ERROR, "every log directory has failed");
    else if (node->quorum)
        quorum_broker_directory_failed(node->quorum, log_directory_id(directory));
}

static enum err shard_make(struct node *node, size_t index)
{
    struct shard *shard = &node->shards[index];
    struct node_shard *own = &node_private(node)->shards[index];
    struct network_options options;

    shard->node = node;
    shard->index = (int)index;
    own->shard = shard;
    own->storage_listener.directory_failed = directory_failed;
    TRY(reactor_create(node->os, shard->index, node->options.seed + index, node->logger,
                       &shard->reactor));
    TRY(log_store_create(node->directories, shard->reactor, node->shards[0].reactor,
                         &own->storage_listener, &shard->store));
    TRY(compress_context_open(&shard->compress, &heap_allocator));
    TRY(quota_service_create(shard, &shard->quotas));
    TRY(partition_table_create(shard, &shard->partitions));
    TRY(fetch_service_create(shard, &shard->fetches));
    TRY(coordinator_service_create(shard, &coordinator_kind_group, &shard->coordinators));
    TRY(coordinator_service_create(shard, &coordinator_kind_transaction, &shard->transactions));
    late_transactions_create(shard, &shard->late);
    TRY(request_service_create(shard, &shard->requests));
    node_network_options(node, node->boot_config, &options);
    return network_create(shard->reactor, node->logger, &options,
                          request_service_handler(shard->requests), &shard->network);
}

static enum err shards_make(struct node *node)
{
    struct network **networks;

    node->shard_count = shard_count_choose(node);
    node->shards = server_allocate(node->shard_count * sizeof *node->shards);
    node_private(node)->shards =
        server_allocate(node->shard_count * sizeof *node_private(node)->shards);
    for (size_t i = 0; i < node->shard_count; i++)
        TRY(shard_make(node, i));
    networks = ARENA_ARRAY(&node->arena, struct network *, node->shard_count);
    for (size_t i = 0; i < node->shard_count; i++)
        networks[i] = node->shards[i].network;
    return network_gate_create(node->shards[0].reactor, node->logger, networks, node->shard_count,
                               &node->gate);
}

static void shard_unmake(struct shard *shard)
{
    network_release(&shard->network);
    request_service_release(&shard->requests);
    fetch_service_release(&shard->fetches);
    late_transactions_release(&shard->late);
    coordinator_service_release(&shard->transactions);
    coordinator_service_release(&shard->coordinators);
    partition_table_release(&shard->partitions);
    quota_service_release(&shard->quotas);
    compress_context_release(&shard->compress);
    log_store_release(&shard->store);
    for (size_t i = 0; i < METRICS_API_KEYS; i++)
        if (shard->metrics.apis[i])
            SERVER_DELETE(shard->metrics.apis[i]);
}

/* ---- log levels ---- */

static void log_levels_init(struct node *node)
{
    struct node_private *own = node_private(node);

    for (size_t i = 0; i < CONFIG_LOGGER_COUNT; i++)
        atomic_store(&own->log_levels[i], (int8_t)-1);
    atomic_store(&own->log_levels[CONFIG_LOGGER_ROOT],
                 (int8_t)(node->logger ? node->logger->level : LOG_LEVEL_INFO));
}

void node_set_log_levels(struct node *node, const struct config_logger_levels *levels)
{
    for (size_t i = 0; i < CONFIG_LOGGER_COUNT; i++)
        atomic_store(&node_private(node)->log_levels[i], levels->level[i]);
    if (node->options.log_levels_changed)
        node->options.log_levels_changed(node->options.context, levels);
}

void node_log_levels(const struct node *node, struct config_logger_levels *out)
{
    for (size_t i = 0; i < CONFIG_LOGGER_COUNT; i++)
        out->level[i] = atomic_load(&node_private(node)->log_levels[i]);
}

/* ---- the whole ---- */

static enum err node_build(struct node *node, struct why *why)
{
    struct random random;
    enum err err;

    random_init_named(&random, node->options.seed, "node");
    TRY(configuration_read(node, why));
    TRY(node_check(node, why));
    node_advise(node);
    node->incarnation_id = uuid_random(&random);
    TRY(directories_open(node, &random, why));
    err = shards_make(node);
    if (err != OK)
        return why_set(why, err, "the shards could not be made");
    TRY(publisher_create(node, &node->publisher));
    return node_listen(node, why);
}

enum err node_create(const struct node_options *options, struct node **out, struct why *why)
{
    struct node *node = SERVER_NEW(struct node);
    enum err err;

    node->os = options->os;
    node->logger = options->logger;
    node->options = *options;
    arena_init(&node->arena, &must_allocator, SIZE_MAX);
    node->private_state = SERVER_NEW(struct node_private);
    node_private(node)->node = node;
    node_private(node)->broker_epoch_at_stop = -1;
    log_levels_init(node);
    err = node_build(node, why);
    if (err != OK) {
        node_release(&node);
        return err;
    }
    *out = node;
    return OK;
}

void node_release(struct node **pointer)
{
    struct node *node = *pointer;
    struct node_private *own;

    if (!node)
        return;
    own = node_private(node);
    ASSERT(own->phase == NODE_CREATED || own->phase == NODE_STOPPED);
    network_gate_release(&node->gate);
    quorum_release(&node->quorum);
    if (node->publisher)
        publisher_release(&node->publisher);
    for (size_t i = 0; i < node->shard_count; i++)
        shard_unmake(&node->shards[i]);
    /* Reactors last, and after every part of every shard: they send each other their last mail. */
    for (size_t i = 0; i < node->shard_count; i++)
        reactor_release(&node->shards[i].reactor);
    if (node->directories)
        log_directories_close(&node->directories, own->closed_well, own->broker_epoch_at_stop);
    server_free(own->shards, node->shard_count * sizeof *own->shards);
    server_free(node->shards, node->shard_count * sizeof *node->shards);
    SERVER_DELETE(own);
    arena_release(&node->arena);
    SERVER_DELETE(node);
    *pointer = NULL;
}
