/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_settings.c: what a topic's configuration means for its logs, its batches and its
 * replicas. docs/design/partitions.md §3.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"

bool topic_name_is_internal(struct slice name)
{
    return slice_equal_text(name, "__consumer_offsets") ||
           slice_equal_text(name, "__transaction_state") ||
           slice_equal_text(name, "__share_group_state");
}

static void log_config_from(const struct node_config *node, struct slice name,
                            const struct topic_config *topic, struct log_config *out)
{
    bool os_mode = node->flush_mode == CONFIG_FLUSH_OS ||
                   config_pattern_list_matches(node->flush_os_topics, name);

    log_config_init(out);
    out->segment_bytes = topic->segment_bytes;
    out->segment_ms = topic->segment_ms;
    out->segment_jitter_ms = topic->segment_jitter_ms;
    out->segment_index_bytes = topic->segment_index_bytes;
    out->index_interval_bytes = topic->index_interval_bytes;
    out->max_message_bytes = topic->max_message_bytes;
    out->retention_bytes = topic->retention_bytes;
    out->retention_ms = topic->retention_ms;
    out->file_delete_delay_ms = topic->file_delete_delay_ms;
    out->flush_messages = topic->flush_messages;
    out->flush_ms = topic->flush_ms;
    out->min_compaction_lag_ms = topic->min_compaction_lag_ms;
    out->max_compaction_lag_ms = topic->max_compaction_lag_ms;
    out->delete_retention_ms = topic->delete_retention_ms;
    out->min_cleanable_dirty_ratio = topic->min_cleanable_dirty_ratio;
    out->cleanup_delete = topic->delete_segments;
    out->cleanup_compact = topic->compact;
    out->preallocate = topic->preallocate;
    out->flush_mode = os_mode ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
}

static void validate_config_from(const struct topic_config *topic, struct validate_config *out)
{
    validate_config_init(out);
    out->compression_type = topic->compression == TOPIC_COMPRESSION_PRODUCER
                                ? VALIDATE_COMPRESSION_PRODUCER
                                : (int)topic->compression;
    out->compression_level[COMPRESSION_GZIP] = topic->compression_gzip_level;
    out->compression_level[COMPRESSION_LZ4] = topic->compression_lz4_level;
    out->compression_level[COMPRESSION_ZSTD] = topic->compression_zstd_level;
    out->compacted = topic->compact;
    out->log_append_time = topic->message_timestamp_log_append;
    out->timestamp_before_max_ms = topic->message_timestamp_before_max_ms;
    out->timestamp_after_max_ms = topic->message_timestamp_after_max_ms;
    out->message_bytes_max = topic->max_message_bytes;
    out->inflated_bytes_max = topic->max_decompressed_message_bytes;
}

static struct slice text_hold(struct slice text)
{
    uint8_t *copy;

    if (slice_is_null(text))
        return SLICE_NULL;
    copy = server_allocate(text.size_bytes + 1);
    memcpy(copy, text.data, text.size_bytes);
    return slice_of(copy, text.size_bytes);
}

static void text_free(struct slice text)
{
    if (!slice_is_null(text))
        server_free((void *)(uintptr_t)text.data, text.size_bytes + 1);
}

struct topic_settings *topic_settings_resolve(struct partition_table *table,
                                              const struct publication *publication,
                                              struct slice name)
{
    CLEANUP(arena_release) struct arena scratch;
    struct held_settings *held = SERVER_NEW(struct held_settings);
    struct topic_settings *settings = &held->settings;
    struct why why = {{0}};
    struct config_set set;

    arena_init(&scratch, &must_allocator, SIZE_MAX);
    set = publication_topic_configs(publication, name, &scratch);
    if (topic_config_resolve(&scratch, publication->config, &set, &settings->topic, &why) != OK)
        LOG_WARN(table_logger(table), "server", "topic_config_ignored", "topic=%.*s why=\"%s\"",
                 SLICE_ARGS(name), why.text);
    held->leader_throttled = text_hold(settings->topic.leader_throttled_replicas);
    held->follower_throttled = text_hold(settings->topic.follower_throttled_replicas);
    settings->topic.leader_throttled_replicas = held->leader_throttled;
    settings->topic.follower_throttled_replicas = held->follower_throttled;
    settings->references = 1;
    settings->is_internal = topic_name_is_internal(name);
    log_config_from(&table->shard->node->config, name, &settings->topic, &settings->log);
    validate_config_from(&settings->topic, &settings->validate);
    return settings;
}

struct topic_settings *topic_settings_ref(struct topic_settings *settings)
{
    settings->references++;
    return settings;
}

void topic_settings_release(struct topic_settings **pointer)
{
    struct topic_settings *settings = TAKE(*pointer);
    struct held_settings *held;

    if (!settings)
        return;
    ASSERT(settings->references > 0);
    if (--settings->references > 0)
        return;
    held = CONTAINER_OF(settings, struct held_settings, settings);
    text_free(held->leader_throttled);
    text_free(held->follower_throttled);
    SERVER_DELETE(held);
}

void topic_settings_changed(struct partition_table *table, struct hosted_topic *topic)
{
    topic_settings_release(&topic->settings);
    topic->settings = topic_settings_resolve(table, table->after, topic->name);
    LIST_EACH (node, &topic->partitions) {
        struct hosted *hosted = LIST_ITEM(node, struct hosted, topic_node);
        struct partition *partition = &hosted->partition;

        topic_settings_release(&partition->settings);
        partition->settings = topic_settings_ref(topic->settings);
        if (partition->log)
            log_set_config(partition->log, &partition->settings->log);
        if (partition->future_log)
            log_set_config(partition->future_log, &partition->settings->log);
        hosted_high_watermark_update(hosted); /* min.insync.replicas may have changed */
    }
}
