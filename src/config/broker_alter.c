/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/broker_alter.c: what a broker checks of a change to broker configs before it forwards it: the
 * outcome must be a configuration that this node could run with.
 */
#include "config/config_internal.h"

/* One kind of refusal with all the keys that meet it: "text: [a, b]". */
typedef bool (*refusal)(const struct config_key *key, bool prefixed, bool per_broker);

static bool refuse_read_only(const struct config_key *key, bool prefixed, bool per_broker)
{
    UNUSED(per_broker);
    return key->dynamic == CONFIG_READ_ONLY && !key->dynamic_only && !prefixed;
}

static bool refuse_without_listener(const struct config_key *key, bool prefixed, bool per_broker)
{
    UNUSED(per_broker);
    return config_key_needs_listener(key) && !prefixed;
}

static bool refuse_default_level(const struct config_key *key, bool prefixed, bool per_broker)
{
    return !per_broker && !config_key_cluster_wide(key, prefixed);
}

static enum err keys_refuse(struct arena *arena, const struct config_set *set, bool per_broker,
                            refusal refused, const char *text, struct why *why)
{
    struct slice *names = ARENA_ARRAY(arena, struct slice, set->count + 1);
    size_t count = 0;

    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < set->count; i++) {
        bool prefixed;
        int key = config_broker_find(set->pairs[i].key, &prefixed);

        if (key >= 0 && refused(&config_broker_keys[key], prefixed, per_broker))
            names[count++] = set->pairs[i].key;
    }
    if (count == 0)
        return OK;
    return why_set(why, ERR_INVALID_REQUEST, "%s: %.*s", text,
                   SLICE_ARGS(config_list_show(arena, (struct config_list){names, count})));
}

static enum err values_check(struct arena *arena, const struct config_set *set, struct why *why)
{
    for (size_t i = 0; i < set->count; i++) {
        bool prefixed;
        int at = config_broker_find(set->pairs[i].key, &prefixed);
        const struct config_key *key = at < 0 ? NULL : &config_broker_keys[at];
        struct config_value value;
        enum err err;

        if (!key)
            continue; /* a plugin's */
        err = config_value_parse(arena, key, set->pairs[i].value, &value, why);
        if (err != OK)
            return err == ERR_CONFIG ? ERR_INVALID_REQUEST : err;
        if (key->status == CONFIG_REFUSED &&
            !config_value_is_default(arena, key, set->pairs[i].value))
            return why_set(why, ERR_INVALID_REQUEST, "%.*s cannot be set: %s",
                           SLICE_ARGS(set->pairs[i].key), key->status_text);
    }
    return OK;
}

/* Kafka wraps what its reconfigurable parts refuse in a sentence of this odd shape. */
#define WRAPPED_BEFORE "Invalid value org.apache.kafka.common.config.ConfigException: "
#define WRAPPED_AFTER " for configuration Invalid dynamic configuration"

/* Without connections nobody could take it back. Asked of the listeners that a change changes, each with its own
 * values. */
static enum err connections_check(const struct config *before, const struct config *after,
                                  const struct node_config *node, struct why *why)
{
    static const enum broker_key keys[] = {BROKER_MAX_CONNECTIONS,
                                           BROKER_MAX_CONNECTION_CREATION_RATE};

    for (size_t i = 0; i < node->listener_count; i++) {
        struct slice name = node->listeners[i].name;
        bool is_changed = false;

        for (size_t k = 0; k < ARRAY_COUNT(keys); k++)
            is_changed |= config_listener_long(before, name, keys[k]) !=
                          config_listener_long(after, name, keys[k]);
        for (size_t k = 0; is_changed && !node->listeners[i].controller && k < ARRAY_COUNT(keys);
             k++)
            if (config_listener_long(after, name, keys[k]) <= 0)
                return why_set(why, ERR_INVALID_REQUEST,
                               WRAPPED_BEFORE "Invalid %s 0" WRAPPED_AFTER,
                               config_broker_keys[keys[k]].name);
    }
    return OK;
}

/* A value that got into the layers otherwise is brought within its bounds (resolve.c); set, it must be. */
static enum err intervals_check(struct arena *arena, const struct config *after,
                                const struct config_set *wanted, struct why *why)
{
    for (size_t i = 0; i < CONFIG_INTERVALS; i++) {
        const struct config_interval *row = &config_intervals[i];
        const struct config_key *key = &config_broker_keys[row->key];
        struct slice text = config_set_get(wanted, slice_from_text(key->name));
        struct config_value value;

        if (slice_is_null(text))
            continue;
        TRY(config_value_parse(arena, key, text, &value, NULL));
        if (value.as.integer < config_long(after, row->low))
            return why_set(why, ERR_INVALID_REQUEST, "%s must be greater than or equal to %s",
                           key->name, config_broker_keys[row->low].name);
        if (value.as.integer > config_long(after, row->high))
            return why_set(why, ERR_INVALID_REQUEST, "%s must be less than or equal to %s",
                           key->name, config_broker_keys[row->high].name);
    }
    return OK;
}

/* The follower pool has an old name, which counts as long as no layer has the new one. */
static int64_t pool_size(const struct config *config, enum broker_key key)
{
    enum config_source source;

    if (key == BROKER_REMOTE_LOG_MANAGER_FOLLOWER_THREAD_POOL_SIZE &&
        slice_is_null(
            config_layer_get(config, slice_from_text(config_broker_keys[key].name), &source)))
        key = BROKER_REMOTE_LOG_MANAGER_THREAD_POOL_SIZE;
    return config_long(config, key);
}

static enum err pool_check(const struct config *before, const struct config *after,
                           enum broker_key key, struct why *why)
{
    int64_t old = pool_size(before, key);
    int64_t new = pool_size(after, key);
    const char *name = config_broker_keys[key].name;

    if (new < old / 2)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Dynamic thread count update validation failed for %s=%lld, "
                                      "value should be at least half the current value "
                                      "%lld" WRAPPED_AFTER,
                       name, (long long)new, (long long)old);
    if (new > old * 2)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Dynamic thread count update validation failed for %s=%lld, "
                                      "value should not be greater than double the current value "
                                      "%lld" WRAPPED_AFTER,
                       name, (long long)new, (long long)old);
    return OK;
}

static enum err cleaner_check(const struct config *before, const struct config *after,
                              struct why *why)
{
    int64_t old = config_long(before, BROKER_LOG_CLEANER_THREADS);
    int64_t new = config_long(after, BROKER_LOG_CLEANER_THREADS);

    if (new == old) /* a node starts with none, too */
        return OK;
    if (new < 1)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Log cleaner threads should be at least 1" WRAPPED_AFTER);
    if (new < old / 2)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Log cleaner threads cannot be reduced to less than half "
                                      "the current value %lld" WRAPPED_AFTER,
                       (long long)old);
    if (new > old * 2)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Log cleaner threads cannot be increased to more than "
                                      "double the current value %lld" WRAPPED_AFTER,
                       (long long)old);
    return OK;
}

static enum err local_check(const char *local_name, int64_t local, const char *total_name,
                            int64_t total, struct why *why)
{
    if (total == -1 || local == -2 || (local != -1 && local <= total))
        return OK;
    if (local == -1)
        return why_set(why, ERR_INVALID_REQUEST,
                       WRAPPED_BEFORE "Invalid value -1 for configuration %s: Value must not be -1 "
                                      "as %s value is set as %lld." WRAPPED_AFTER,
                       local_name, total_name, (long long)total);
    return why_set(why, ERR_INVALID_REQUEST,
                   WRAPPED_BEFORE "Invalid value %lld for configuration %s: Value must not be more "
                                  "than %s property value: %lld" WRAPPED_AFTER,
                   (long long)local, local_name, total_name, (long long)total);
}

/* How long a log is kept, here and in all, and when it is copied. */
struct lag {
    int64_t lag, local, total; /* local -2: as total; total -1: for ever */
};

/* What is to be copied is not to be deleted before. Nobody asks at start: what the file says is no reason to refuse a
 * change of something else. */
static enum err lag_check(struct lag before, struct lag after, const char *lag_name,
                          const char *local_name, struct why *why)
{
    int64_t effective = after.local == -2 ? after.total : after.local;
    bool is_same =
        before.lag == after.lag && before.local == after.local && before.total == after.total;

    if (is_same || after.lag <= 0 || effective < 0 || after.lag <= effective)
        return OK;
    return why_set(why, ERR_INVALID_REQUEST,
                   WRAPPED_BEFORE "Invalid value %lld for configuration %s: Value must not exceed "
                                  "%s (effective value: %lld)" WRAPPED_AFTER,
                   (long long)after.lag, lag_name, local_name, (long long)effective);
}

static struct lag lag_ms(const struct config *config)
{
    return (struct lag){config_long(config, BROKER_LOG_REMOTE_COPY_LAG_MS),
                        config_long(config, BROKER_LOG_LOCAL_RETENTION_MS),
                        config_log_retention_ms(config)};
}

static struct lag lag_bytes(const struct config *config)
{
    return (struct lag){config_long(config, BROKER_LOG_REMOTE_COPY_LAG_BYTES),
                        config_long(config, BROKER_LOG_LOCAL_RETENTION_BYTES),
                        config_long(config, BROKER_LOG_RETENTION_BYTES)};
}

/* Listeners are opened at start and stay. */
static enum err listeners_check(const struct config *before, const struct config *after,
                                struct why *why)
{
    static const enum broker_key keys[] = {BROKER_LISTENERS, BROKER_LISTENER_SECURITY_PROTOCOL_MAP};
    enum config_source source;

    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct slice name = slice_from_text(config_broker_keys[keys[i]].name);
        struct slice old = config_layer_get(before, name, &source);
        struct slice new = config_layer_get(after, name, &source);

        if (!slice_equal(old, new))
            return why_set(
                why, ERR_INVALID_REQUEST,
                "%.*s cannot be changed while this node runs: its listeners are opened at "
                "start",
                SLICE_ARGS(name));
    }
    return OK;
}

static enum err reconfigure_check(const struct config *before, const struct config *after,
                                  struct why *why)
{
    static const enum broker_key pools[] = {BROKER_NUM_IO_THREADS,
                                            BROKER_NUM_NETWORK_THREADS,
                                            BROKER_NUM_REPLICA_FETCHERS,
                                            BROKER_NUM_RECOVERY_THREADS_PER_DATA_DIR,
                                            BROKER_BACKGROUND_THREADS,
                                            BROKER_REMOTE_LOG_READER_THREADS,
                                            BROKER_REMOTE_LOG_MANAGER_COPIER_THREAD_POOL_SIZE,
                                            BROKER_REMOTE_LOG_MANAGER_EXPIRATION_THREAD_POOL_SIZE,
                                            BROKER_REMOTE_LOG_MANAGER_FOLLOWER_THREAD_POOL_SIZE};

    TRY(listeners_check(before, after, why));
    for (size_t i = 0; i < ARRAY_COUNT(pools); i++)
        TRY(pool_check(before, after, pools[i], why));
    TRY(cleaner_check(before, after, why));
    TRY(local_check("log.local.retention.ms", config_long(after, BROKER_LOG_LOCAL_RETENTION_MS),
                    "log.retention.ms", config_log_retention_ms(after), why));
    TRY(local_check("log.local.retention.bytes",
                    config_long(after, BROKER_LOG_LOCAL_RETENTION_BYTES), "log.retention.bytes",
                    config_long(after, BROKER_LOG_RETENTION_BYTES), why));
    TRY(lag_check(lag_ms(before), lag_ms(after), "log.remote.copy.lag.ms", "log.local.retention.ms",
                  why));
    return lag_check(lag_bytes(before), lag_bytes(after), "log.remote.copy.lag.bytes",
                     "log.local.retention.bytes", why);
}

/* Would the node run with `wanted` as one of its dynamic layers? */
static enum err outcome_check(struct arena *arena, const struct config *config, bool per_broker,
                              const struct config_set *wanted, struct why *why)
{
    struct config_layers layers = {config->file, per_broker ? &config->cluster : wanted,
                                   per_broker ? wanted : &config->node};
    struct config_report report;
    const struct config *after;
    struct node_config node;
    enum err err;

    TRY(keys_refuse(arena, wanted, per_broker, refuse_read_only,
                    "Cannot update these configs dynamically", why));
    TRY(keys_refuse(arena, wanted, per_broker, refuse_without_listener,
                    "These security configs can be dynamically updated only per-listener using the "
                    "listener prefix",
                    why));
    TRY(values_check(arena, wanted, why));
    TRY(keys_refuse(arena, wanted, per_broker, refuse_default_level,
                    "Cannot update these configs at default cluster level, broker id must be "
                    "specified",
                    why));
    config_report_init(&report, arena);
    err = config_resolve(arena, &layers, &report, &after);
    if (err == OK)
        err = config_node(after, &report, &node);
    if (err == OK) {
        TRY(intervals_check(arena, after, wanted, why));
        TRY(connections_check(config, after, &node, why));
        return reconfigure_check(config, after, why);
    }
    if (err != ERR_CONFIG)
        return err;
    for (const struct config_finding *finding = report.first; finding; finding = finding->next)
        if (finding->kind == CONFIG_FINDING_ERROR)
            return why_set(why, ERR_INVALID_REQUEST, "%s%s",
                           finding->requirement ? "requirement failed: " : "", finding->detail);
    return why_set(why, ERR_INVALID_REQUEST, "invalid configuration");
}

/* The value after one operation, as the broker computes it: an unknown key can only be set. */
static enum err operation_apply(struct arena *arena, const struct config_operation *operation,
                                struct slice before, struct slice *out, struct why *why)
{
    const struct config_table *table = config_table_of(CONFIG_RESOURCE_BROKER);
    bool append = operation->kind == CONFIG_APPEND;
    int key;

    *out = operation->kind == CONFIG_DELETE ? SLICE_NULL : operation->value;
    if (operation->kind == CONFIG_SET || operation->kind == CONFIG_DELETE)
        return OK;
    key = config_table_find(table, operation->key);
    if (key < 0 || table->keys[key].dynamic_only)
        return why_set(why, ERR_INVALID_CONFIG, "Unknown config name: %.*s",
                       SLICE_ARGS(operation->key));
    if (table->keys[key].type != CONFIG_TYPE_LIST)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Config value %s is not allowed for config key: %.*s",
                       append ? "append" : "subtract", SLICE_ARGS(operation->key));
    if (slice_is_null(before))
        before = slice_from_text(table->keys[key].default_text);
    return config_list_change(arena, before, operation->value, append, out);
}

enum err config_broker_alter_check(struct arena *arena, const struct config *config,
                                   bool per_broker, const struct config_operation *operations,
                                   size_t count, struct why *why)
{
    const struct config_set *layer = per_broker ? &config->node : &config->cluster;
    struct config_pair *pairs = ARENA_ARRAY(arena, struct config_pair, layer->count + count + 1);
    struct config_keys layer_keys, asked;
    size_t kept = 0;

    if (!pairs)
        return ERR_NO_MEMORY;
    TRY(config_operations_check(arena, operations, count, &asked, why));
    TRY(config_keys_order(arena, layer, &layer_keys));
    for (size_t i = 0; i < layer->count; i++) {
        uint32_t at;

        if (!config_keys_find(&asked, layer->pairs[i].key, &at))
            pairs[kept++] = layer->pairs[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct slice value;

        TRY(operation_apply(arena, &operations[i],
                            config_keys_value(&layer_keys, operations[i].key), &value, why));
        if (!slice_is_null(value))
            pairs[kept++] = (struct config_pair){operations[i].key, value};
    }
    return outcome_check(arena, config, per_broker, &(struct config_set){pairs, kept}, why);
}

enum err config_broker_replace_check(struct arena *arena, const struct config *config,
                                     bool per_broker, const struct config_set *wanted,
                                     struct why *why)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (slice_is_null(wanted->pairs[i].value))
            return why_set(why, ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
                           SLICE_ARGS(wanted->pairs[i].key));
    return outcome_check(arena, config, per_broker, wanted, why);
}
