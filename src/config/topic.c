/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/topic.c: a topic's configuration as plain values: its own set over the broker's.
 * Invariant   every field of a topic_config holds a checked value, whatever the set contains.
 */
#include "config/config_internal.h"

#include "base/parse.h"

/* What a topic without a value of its own gets from this broker; the key has a synonym. */
static struct config_value broker_value(const struct config *config, enum topic_key key)
{
    const struct config_key *topic_key = &config_topic_keys[key];
    struct config_value value = {0};

    switch (key) {
    case TOPIC_RETENTION_MS:
        value.as.integer = config_log_retention_ms(config);
        return value;
    case TOPIC_SEGMENT_MS:
        value.as.integer = config_log_roll_ms(config);
        return value;
    case TOPIC_SEGMENT_JITTER_MS:
        value.as.integer = config_log_roll_jitter_ms(config);
        return value;
    case TOPIC_FLUSH_MS:
        value.as.integer = config_log_flush_interval_ms(config);
        return value;
    default:
        break;
    }
    return config->slots[topic_key->synonyms[0].key].value;
}

enum err config_topic_value(struct arena *arena, const struct config *config,
                            const struct config_set *topic, enum topic_key key,
                            struct config_value *out, struct why *why)
{
    const struct config_key *topic_key = &config_topic_keys[key];
    struct slice text = config_set_get(topic, slice_from_text(topic_key->name));
    enum err err = OK;

    if (!slice_is_null(text)) {
        err = config_value_parse(arena, topic_key, text, out, why);
        if (err != ERR_CONFIG)
            return err;
    }
    if (topic_key->synonym_count > 0) {
        *out = broker_value(config, key);
    } else {
        enum err standard = config_value_parse(arena, topic_key,
                                               slice_from_text(topic_key->default_text), out, NULL);

        if (standard != OK)
            return standard;
    }
    return err;
}

/* Collects all fields; the first problem stays in `err`. */
struct topic_reader {
    struct arena *scratch;
    const struct config *config;
    const struct config_set *topic;
    struct why *why;
    enum err err;
};

static struct config_value read(struct topic_reader *reader, enum topic_key key)
{
    struct config_value value = {0};
    enum err err = config_topic_value(reader->scratch, reader->config, reader->topic, key, &value,
                                      reader->err == OK ? reader->why : NULL);

    if (reader->err == OK)
        reader->err = err;
    return value;
}

static int64_t read_long(struct topic_reader *reader, enum topic_key key)
{
    return read(reader, key).as.integer;
}

static int32_t read_int(struct topic_reader *reader, enum topic_key key)
{
    return (int32_t)read(reader, key).as.integer;
}

static bool read_boolean(struct topic_reader *reader, enum topic_key key)
{
    return read(reader, key).as.boolean;
}

/* The list as text in the topic's own set, as long as it passes its check. */
static struct slice read_throttled(struct topic_reader *reader, enum topic_key key)
{
    struct config_value value = read(reader, key);

    return value.text.size_bytes > 0 ? value.text : SLICE_EMPTY;
}

static void names_check(struct topic_reader *reader)
{
    const struct config_table *table = config_table_of(CONFIG_RESOURCE_TOPIC);

    for (size_t i = 0; reader->topic && i < reader->topic->count; i++)
        if (reader->err == OK && config_table_find(table, reader->topic->pairs[i].key) < 0)
            reader->err = why_set(reader->why, ERR_CONFIG, "Unknown topic config name: %.*s",
                                  SLICE_ARGS(reader->topic->pairs[i].key));
}

static void compression_read(struct topic_reader *reader, struct topic_config *out)
{
    struct slice type = read(reader, TOPIC_COMPRESSION_TYPE).as.string;

    out->compression_gzip_level = read_int(reader, TOPIC_COMPRESSION_GZIP_LEVEL);
    out->compression_lz4_level = read_int(reader, TOPIC_COMPRESSION_LZ4_LEVEL);
    out->compression_zstd_level = read_int(reader, TOPIC_COMPRESSION_ZSTD_LEVEL);
    out->compression = TOPIC_COMPRESSION_PRODUCER;
    if (slice_equal(type, SLICE("uncompressed"))) {
        out->compression = TOPIC_COMPRESSION_UNCOMPRESSED;
    } else if (slice_equal(type, SLICE("gzip"))) {
        out->compression = TOPIC_COMPRESSION_CODEC_GZIP;
        out->compression_level = out->compression_gzip_level;
    } else if (slice_equal(type, SLICE("snappy"))) {
        out->compression = TOPIC_COMPRESSION_CODEC_SNAPPY;
    } else if (slice_equal(type, SLICE("lz4"))) {
        out->compression = TOPIC_COMPRESSION_CODEC_LZ4;
        out->compression_level = out->compression_lz4_level;
    } else if (slice_equal(type, SLICE("zstd"))) {
        out->compression = TOPIC_COMPRESSION_CODEC_ZSTD;
        out->compression_level = out->compression_zstd_level;
    }
}

static void tiering_read(struct topic_reader *reader, struct topic_config *out)
{
    out->remote_storage_enable = read_boolean(reader, TOPIC_REMOTE_STORAGE_ENABLE);
    out->remote_log_copy_disable = read_boolean(reader, TOPIC_REMOTE_LOG_COPY_DISABLE);
    out->remote_log_delete_on_disable = read_boolean(reader, TOPIC_REMOTE_LOG_DELETE_ON_DISABLE);
    out->local_retention_ms = read_long(reader, TOPIC_LOCAL_RETENTION_MS);
    if (out->local_retention_ms == -2)
        out->local_retention_ms = out->retention_ms;
    out->local_retention_bytes = read_long(reader, TOPIC_LOCAL_RETENTION_BYTES);
    if (out->local_retention_bytes == -2)
        out->local_retention_bytes = out->retention_bytes;
    out->remote_copy_lag_ms = read_long(reader, TOPIC_REMOTE_COPY_LAG_MS);
    if (out->remote_copy_lag_ms == -1)
        out->remote_copy_lag_ms = out->local_retention_ms;
    out->remote_copy_lag_bytes = read_long(reader, TOPIC_REMOTE_COPY_LAG_BYTES);
    if (out->remote_copy_lag_bytes == -1)
        out->remote_copy_lag_bytes = out->local_retention_bytes;
}

static void segments_read(struct topic_reader *reader, struct topic_config *out)
{
    struct config_value internal = read(reader, TOPIC_INTERNAL_SEGMENT_BYTES);

    out->segment_bytes =
        internal.null ? read_int(reader, TOPIC_SEGMENT_BYTES) : (int32_t)internal.as.integer;
    out->segment_index_bytes = read_int(reader, TOPIC_SEGMENT_INDEX_BYTES);
    out->segment_jitter_ms = read_long(reader, TOPIC_SEGMENT_JITTER_MS);
    out->segment_ms = read_long(reader, TOPIC_SEGMENT_MS);
    out->index_interval_bytes = read_int(reader, TOPIC_INDEX_INTERVAL_BYTES);
    out->file_delete_delay_ms = read_long(reader, TOPIC_FILE_DELETE_DELAY_MS);
    out->preallocate = read_boolean(reader, TOPIC_PREALLOCATE);
    out->flush_messages = read_long(reader, TOPIC_FLUSH_MESSAGES);
    out->flush_ms = read_long(reader, TOPIC_FLUSH_MS);
}

enum err topic_config_resolve(struct arena *scratch, const struct config *config,
                              const struct config_set *topic, struct topic_config *out,
                              struct why *why)
{
    struct topic_reader reader = {scratch, config, topic, why, OK};
    struct config_list policy;

    *out = (struct topic_config){0};
    names_check(&reader);
    policy = read(&reader, TOPIC_CLEANUP_POLICY).as.list;
    out->compact = config_list_has(policy, SLICE("compact"));
    out->delete_segments = config_list_has(policy, SLICE("delete"));
    compression_read(&reader, out);
    segments_read(&reader, out);
    out->retention_bytes = read_long(&reader, TOPIC_RETENTION_BYTES);
    out->retention_ms = read_long(&reader, TOPIC_RETENTION_MS);
    tiering_read(&reader, out);
    out->delete_retention_ms = read_long(&reader, TOPIC_DELETE_RETENTION_MS);
    out->min_compaction_lag_ms = read_long(&reader, TOPIC_MIN_COMPACTION_LAG_MS);
    out->max_compaction_lag_ms = read_long(&reader, TOPIC_MAX_COMPACTION_LAG_MS);
    out->min_cleanable_dirty_ratio = read(&reader, TOPIC_MIN_CLEANABLE_DIRTY_RATIO).as.real;
    out->errors_deadletterqueue_group_enable =
        read_boolean(&reader, TOPIC_ERRORS_DEADLETTERQUEUE_GROUP_ENABLE);
    out->follower_throttled_replicas =
        read_throttled(&reader, TOPIC_FOLLOWER_REPLICATION_THROTTLED_REPLICAS);
    out->leader_throttled_replicas =
        read_throttled(&reader, TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS);
    out->max_decompressed_message_bytes = read_int(&reader, TOPIC_MAX_DECOMPRESSED_MESSAGE_BYTES);
    out->max_message_bytes = read_int(&reader, TOPIC_MAX_MESSAGE_BYTES);
    out->message_timestamp_after_max_ms = read_long(&reader, TOPIC_MESSAGE_TIMESTAMP_AFTER_MAX_MS);
    out->message_timestamp_before_max_ms =
        read_long(&reader, TOPIC_MESSAGE_TIMESTAMP_BEFORE_MAX_MS);
    out->message_timestamp_log_append =
        slice_equal(read(&reader, TOPIC_MESSAGE_TIMESTAMP_TYPE).as.string, SLICE("LogAppendTime"));
    out->min_insync_replicas = read_int(&reader, TOPIC_MIN_INSYNC_REPLICAS);
    out->unclean_leader_election_enable =
        read_boolean(&reader, TOPIC_UNCLEAN_LEADER_ELECTION_ENABLE);
    return reader.err;
}

bool topic_config_throttles(struct slice list, int32_t partition, int32_t broker)
{
    size_t from = 0;

    if (slice_equal(config_trim(list), SLICE("*")))
        return true;
    for (size_t i = 0; i <= list.size_bytes; i++) {
        struct slice item;
        const uint8_t *colon;
        int32_t p;
        int32_t b;

        if (i < list.size_bytes && list.data[i] != ',')
            continue;
        item = config_trim(slice_sub(list, from, i - from));
        from = i + 1;
        colon = item.size_bytes > 0 ? memchr(item.data, ':', item.size_bytes) : NULL;
        if (!colon)
            continue;
        if (parse_i32(slice_sub(item, 0, (size_t)(colon - item.data)), &p) == OK &&
            parse_i32(slice_sub(item, (size_t)(colon - item.data) + 1, SIZE_MAX), &b) == OK &&
            p == partition && b == broker)
            return true;
    }
    return false;
}

/* ---- Effective text, for the controller -------------------------------------------------------- */

/* The broker text of a synonym in the topic's unit. */
static struct slice converted(struct arena *arena, struct slice text, int32_t factor)
{
    int64_t number;

    if (factor == 1 || parse_i64(config_trim(text), &number) != OK ||
        __builtin_mul_overflow(number, (int64_t)factor, &number))
        return text;
    return arena_format_slice(arena, "%lld", (long long)number);
}

static bool synonym_get(struct arena *arena, const struct config_key *key,
                        const struct config_set *set, struct slice *out)
{
    for (int i = 0; set && i < key->synonym_count; i++) {
        const char *name = config_broker_keys[key->synonyms[i].key].name;
        struct slice text = config_set_get(set, slice_from_text(name));

        if (slice_is_null(text))
            continue;
        *out = converted(arena, text, key->synonyms[i].factor);
        return true;
    }
    return false;
}

struct slice config_topic_effective(struct arena *arena, const struct config_layers *layers,
                                    const struct config_set *topic, enum topic_key key,
                                    enum config_source *source_out)
{
    const struct config_key *topic_key = config_topic_key(key);
    struct slice text = config_set_get(topic, slice_from_text(topic_key->name));

    *source_out = CONFIG_SOURCE_TOPIC;
    if (!slice_is_null(text))
        return text;
    *source_out = CONFIG_SOURCE_DYNAMIC_BROKER;
    if (synonym_get(arena, topic_key, layers->node, &text))
        return text;
    *source_out = CONFIG_SOURCE_DYNAMIC_DEFAULT;
    if (synonym_get(arena, topic_key, layers->cluster, &text))
        return text;
    *source_out = CONFIG_SOURCE_STATIC;
    if (layers->file && synonym_get(arena, topic_key, &layers->file->set, &text))
        return text;
    *source_out = CONFIG_SOURCE_DEFAULT;
    return slice_from_text(topic_key->default_text);
}
