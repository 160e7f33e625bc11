/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_apply.c: what the node as a whole takes from its configuration: limits of connections and
 * frames, rates by address. Threads: node_network_options any; the rest shard 0.
 */
#include "server/node_internal.h"

#include "base/memory_reserve.h"

#include <math.h>

/* Answers that a slow reader leaves behind, of one connection. */
#define OUTPUT_BYTES_MAX (64 * MIB)
/* Where queued.max.request.bytes sets none: what frames of one shard may hold. */
#define FRAME_BYTES_DEFAULT (512 * (int64_t)MIB)

void node_network_options(const struct node *node, const struct config *config,
                          struct network_options *out)
{
    int64_t queued = config_long(config, BROKER_QUEUED_MAX_REQUEST_BYTES);
    int64_t shards = (int64_t)MAX(node->shard_count, (size_t)1);

    *out = (struct network_options){
        .frame_bytes_each_max = config_int(config, BROKER_SOCKET_REQUEST_MAX_BYTES),
        .frame_bytes_max = queued > 0 ? MAX(queued / shards, 1) : FRAME_BYTES_DEFAULT,
        .idle_ms_max = config_long(config, BROKER_CONNECTIONS_MAX_IDLE_MS),
        .output_bytes_max = OUTPUT_BYTES_MAX,
    };
}

void node_gate_limits(struct node *node, const struct config *config)
{
    CLEANUP(arena_release) struct arena scratch;
    struct network_limits limits = {
        .per_ip_max = config_int(config, BROKER_MAX_CONNECTIONS_PER_IP),
        .total_max = config_int(config, BROKER_MAX_CONNECTIONS),
        .rate_max = config_int(config, BROKER_MAX_CONNECTION_CREATION_RATE),
    };
    struct network_ip_limit *each;
    struct node_config checked;
    struct config_report report;

    arena_init(&scratch, &must_allocator, SIZE_MAX);
    config_report_init(&report, &scratch);
    if (config_node(config, &report, &checked) == OK && checked.ip_limit_count > 0) {
        each = ARENA_ARRAY(&scratch, struct network_ip_limit, checked.ip_limit_count);
        for (size_t i = 0; i < checked.ip_limit_count; i++) {
            each[i].address = checked.ip_limits[i].host;
            each[i].connections_max = checked.ip_limits[i].connections_max;
        }
        limits.per_ip = each;
        limits.per_ip_count = checked.ip_limit_count;
    }
    network_gate_set_limits(node->gate, &limits);
    for (size_t i = 0; i < node->config.listener_count; i++) {
        struct slice name = node->config.listeners[i].name;

        network_gate_set_listener_limits(
            node->gate, (int)i, (int32_t)config_listener_long(config, name, BROKER_MAX_CONNECTIONS),
            (int32_t)config_listener_long(config, name, BROKER_MAX_CONNECTION_CREATION_RATE));
    }
}

/* ---- connection_creation_rate of addresses ---- */

static void ip_rate_set(struct node *node, const struct metadata_quota *quota, bool is_gone)
{
    double rate = INFINITY;

    if (quota->part_count != 1 || !slice_equal_text(quota->parts[0].type, "ip"))
        return;
    for (size_t i = 0; !is_gone && i < quota->value_count; i++)
        if (slice_equal_text(quota->values[i].key, "connection_creation_rate"))
            rate = quota->values[i].value;
    network_gate_set_ip_rate(node->gate, quota->parts[0].name, rate);
}

static void object_changed(void *context, enum metadata_map map, const void *before,
                           const void *after)
{
    if (map == METADATA_QUOTAS)
        ip_rate_set(context, after ? after : before, !after);
}

void node_cleaner_options(const struct config *config, struct cleaner_options *out)
{
    *out = (struct cleaner_options){
        .enabled = config_boolean(config, BROKER_LOG_CLEANER_ENABLE),
        .threads = (int)config_long(config, BROKER_LOG_CLEANER_THREADS),
        .dedupe_bytes = config_long(config, BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE),
        .load_factor = config_double(config, BROKER_LOG_CLEANER_IO_BUFFER_LOAD_FACTOR),
        .io_buffer_bytes = config_long(config, BROKER_LOG_CLEANER_IO_BUFFER_SIZE),
        .bytes_per_second = config_double(config, BROKER_LOG_CLEANER_IO_MAX_BYTES_PER_SECOND),
        .backoff_ms = config_long(config, BROKER_LOG_CLEANER_BACKOFF_MS),
    };
}

void node_apply(struct node *node, const struct publication *before,
                const struct publication *after)
{
    struct metadata_diff diff = {.context = node, .object_changed = object_changed};

    if (!before || before->config != after->config) {
        node_gate_limits(node, after->config);
        struct cleaner_options cleaner;

        node_cleaner_options(after->config, &cleaner);
        log_directories_set_cleaner(node->directories, &cleaner);
        log_directories_set_producer_expiration(
            node->directories, config_long(after->config, BROKER_PRODUCER_ID_EXPIRATION_MS));
    }
    metadata_image_diff(before ? before->image : NULL, after->image, &diff);
}
