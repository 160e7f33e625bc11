/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/validate.c: what a controller checks before it writes configs of a topic, a group or a client
 * metrics subscription. Codes and texts are those that Kafka's clients see.
 */
#include "config/config_internal.h"

/* Every name known, every value good, none null. */
static enum err pairs_check(struct arena *arena, const struct config_table *table,
                            const struct config_set *set, const char *what, enum err unknown,
                            struct why *why)
{
    for (size_t i = 0; i < set->count; i++)
        if (slice_is_null(set->pairs[i].value))
            return why_set(why, ERR_INVALID_CONFIG, "Null value not supported for %s configs: %.*s",
                           what, SLICE_ARGS(set->pairs[i].key));
    for (size_t i = 0; i < set->count; i++) {
        if (config_table_find(table, set->pairs[i].key) >= 0)
            continue;
        return table->resource == CONFIG_RESOURCE_CLIENT_METRICS
                   ? why_set(why, unknown, "Unknown client metrics configuration: %.*s",
                             SLICE_ARGS(set->pairs[i].key))
                   : why_set(why, unknown, "Unknown %s config name: %.*s", what,
                             SLICE_ARGS(set->pairs[i].key));
    }
    for (size_t i = 0; i < set->count; i++) {
        int key = config_table_find(table, set->pairs[i].key);
        struct config_value value;
        enum err err =
            config_value_parse(arena, &table->keys[key], set->pairs[i].value, &value, why);

        if (err != OK)
            return err == ERR_CONFIG ? ERR_INVALID_CONFIG : err;
    }
    return OK;
}

/* ---- Topics ------------------------------------------------------------------------------------ */

struct retention {
    int64_t total;
    int64_t local;
    int64_t lag;
    const char *total_name;
    const char *local_name;
    const char *lag_name;
};

static enum err retention_check(const struct retention *r, struct why *why)
{
    int64_t effective = r->local == -2 ? r->total : r->local;

    if (r->total > -1 && r->local == -1)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Invalid value %lld for configuration %s: Value must not be -1 as %s value "
                       "is set as %lld.",
                       (long long)r->local, r->local_name, r->total_name, (long long)r->total);
    if (r->total > -1 && r->local > r->total)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Invalid value %lld for configuration %s: Value must not be more than %s "
                       "property value: %lld",
                       (long long)r->local, r->local_name, r->total_name, (long long)r->total);
    if (r->lag > 0 && effective >= 0 && r->lag > effective)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Invalid value %lld for configuration %s: Value must not exceed %s "
                       "(effective value: %lld)",
                       (long long)r->lag, r->lag_name, r->local_name, (long long)effective);
    return OK;
}

static enum err copy_disabled_check(const struct retention *r, struct why *why)
{
    if (r->local == -2 || r->local == r->total)
        return OK;
    return why_set(why, ERR_INVALID_CONFIG,
                   "When `remote.log.copy.disable` is set to true, the `%s` and `%s` must be set "
                   "to the identical value because there will be no more logs copied to the remote "
                   "storage.",
                   r->local_name, r->total_name);
}

/* A topic that is to be tiered. */
static enum err tiered_check(struct arena *arena, const struct config *config,
                             const struct config_set *set, struct why *why)
{
    struct config_value v[7];
    static const enum topic_key keys[7] = {
        TOPIC_RETENTION_BYTES,        TOPIC_LOCAL_RETENTION_BYTES, TOPIC_REMOTE_COPY_LAG_BYTES,
        TOPIC_RETENTION_MS,           TOPIC_LOCAL_RETENTION_MS,    TOPIC_REMOTE_COPY_LAG_MS,
        TOPIC_REMOTE_LOG_COPY_DISABLE};
    struct config_value policy;
    struct retention bytes;
    struct retention ms;

    if (!config_boolean(config, BROKER_REMOTE_LOG_STORAGE_SYSTEM_ENABLE))
        return why_set(why, ERR_INVALID_CONFIG,
                       "Tiered Storage functionality is disabled in the broker. Topic cannot be "
                       "configured with remote log storage.");
    TRY(config_topic_value(arena, config, set, TOPIC_CLEANUP_POLICY, &policy, NULL));
    if (policy.as.list.count > 0 &&
        !(policy.as.list.count == 1 && config_list_has(policy.as.list, SLICE("delete"))))
        return why_set(why, ERR_INVALID_CONFIG,
                       "Remote log storage only supports topics with cleanup.policy=delete or "
                       "cleanup.policy being an empty list.");
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        TRY(config_topic_value(arena, config, set, keys[i], &v[i], NULL));
    bytes = (struct retention){v[0].as.integer,   v[1].as.integer,         v[2].as.integer,
                               "retention.bytes", "local.retention.bytes", "remote.copy.lag.bytes"};
    ms = (struct retention){v[3].as.integer, v[4].as.integer,      v[5].as.integer,
                            "retention.ms",  "local.retention.ms", "remote.copy.lag.ms"};
    TRY(retention_check(&bytes, why));
    TRY(retention_check(&ms, why));
    if (!v[6].as.boolean)
        return OK;
    TRY(copy_disabled_check(&bytes, why));
    return copy_disabled_check(&ms, why);
}

static enum err topic_check(struct arena *arena, const struct config *config,
                            const struct config_set *current, const struct config_set *wanted,
                            struct why *why)
{
    struct config_value low;
    struct config_value high;
    struct config_value tiered;
    struct config_value deleted;
    struct slice before = config_set_get(current, SLICE("remote.storage.enable"));

    TRY(pairs_check(arena, config_table_of(CONFIG_RESOURCE_TOPIC), wanted, "topic",
                    ERR_INVALID_CONFIG, why));
    TRY(config_topic_value(arena, config, wanted, TOPIC_MIN_COMPACTION_LAG_MS, &low, NULL));
    TRY(config_topic_value(arena, config, wanted, TOPIC_MAX_COMPACTION_LAG_MS, &high, NULL));
    if (low.as.integer > high.as.integer)
        return why_set(why, ERR_INVALID_CONFIG,
                       "conflict topic config setting min.compaction.lag.ms (%lld) > "
                       "max.compaction.lag.ms (%lld)",
                       (long long)low.as.integer, (long long)high.as.integer);
    TRY(config_topic_value(arena, config, wanted, TOPIC_REMOTE_STORAGE_ENABLE, &tiered, NULL));
    if (tiered.as.boolean)
        return tiered_check(arena, config, wanted, why);
    TRY(config_topic_value(arena, config, wanted, TOPIC_REMOTE_LOG_DELETE_ON_DISABLE, &deleted,
                           NULL));
    if (!slice_is_null(before) && config_equal_any_case(before, SLICE("true")) &&
        !deleted.as.boolean)
        return why_set(why, ERR_INVALID_CONFIG,
                       "It is invalid to disable remote storage without deleting remote data. If "
                       "you want to keep the remote data and turn to read only, please set "
                       "`remote.storage.enable=true,remote.log.copy.disable=true`. If you want to "
                       "disable remote storage and delete all remote data, please set "
                       "`remote.storage.enable=false,remote.log.delete.on.disable=true`.");
    return OK;
}

/* ---- Groups ------------------------------------------------------------------------------------ */

/* A group value stays between two values of the broker. */
struct group_bound {
    enum group_key key;
    int low; /* enum broker_key, -1: none */
    int high;
};
static const struct group_bound group_bounds[] = {
    {GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_CONSUMER_SESSION_TIMEOUT_MS, BROKER_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS},
    {GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_SHARE_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_SHARE_SESSION_TIMEOUT_MS, BROKER_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_SHARE_MAX_SESSION_TIMEOUT_MS},
    {GROUP_SHARE_RECORD_LOCK_DURATION_MS, BROKER_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
     BROKER_GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS},
    {GROUP_SHARE_DELIVERY_COUNT_LIMIT, BROKER_GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
     BROKER_GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT},
    {GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS, BROKER_GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
     BROKER_GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS},
    {GROUP_SHARE_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_STREAMS_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_STREAMS_SESSION_TIMEOUT_MS, BROKER_GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS},
    {GROUP_STREAMS_NUM_STANDBY_REPLICAS, -1, BROKER_GROUP_STREAMS_MAX_STANDBY_REPLICAS},
    {GROUP_STREAMS_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_STREAMS_TASK_OFFSET_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_TASK_OFFSET_INTERVAL_MS, -1},
    {GROUP_STREAMS_NUM_WARMUP_REPLICAS, -1, BROKER_GROUP_STREAMS_MAX_WARMUP_REPLICAS},
};

/* The set's own value; false when it has none. */
static bool group_get(struct arena *arena, const struct config_set *set, enum group_key key,
                      struct config_value *out)
{
    const struct config_key *group_key = &config_group_keys[key];
    struct slice text = config_set_get(set, slice_from_text(group_key->name));

    return !slice_is_null(text) && config_value_parse(arena, group_key, text, out, NULL) == OK;
}

static enum err group_bound_check(struct arena *arena, const struct config *config,
                                  const struct config_set *set, const struct group_bound *bound,
                                  struct why *why)
{
    const char *name = config_group_keys[bound->key].name;
    struct config_value value;
    int64_t low = bound->low < 0 ? INT64_MIN : config_long(config, (enum broker_key)bound->low);
    int64_t high = bound->high < 0 ? INT64_MAX : config_long(config, (enum broker_key)bound->high);

    if (!group_get(arena, set, bound->key, &value) ||
        (value.as.integer >= low && value.as.integer <= high))
        return OK;
    if (bound->low < 0)
        return why_set(why, ERR_INVALID_CONFIG, "%s must be less than or equal to %lld", name,
                       (long long)high);
    if (bound->high < 0)
        return why_set(why, ERR_INVALID_CONFIG, "%s must be greater than or equal to %lld", name,
                       (long long)low);
    return why_set(why, ERR_INVALID_CONFIG, "%s must be in the range %lld to %lld inclusive.", name,
                   (long long)low, (long long)high);
}

static enum err group_session_check(struct arena *arena, const struct config *config,
                                    const struct config_set *set, enum group_key session_key,
                                    enum group_key heartbeat_key, struct why *why)
{
    const struct config_key *session_row = &config_group_keys[session_key];
    const struct config_key *heartbeat_row = &config_group_keys[heartbeat_key];
    struct config_value session = {0};
    struct config_value heartbeat = {0};
    bool has_session = group_get(arena, set, session_key, &session);
    bool has_heartbeat = group_get(arena, set, heartbeat_key, &heartbeat);

    if (!has_session && !has_heartbeat)
        return OK;
    if (!has_session)
        session.as.integer = config_long(config, (enum broker_key)session_row->synonyms[0].key);
    if (!has_heartbeat)
        heartbeat.as.integer = config_long(config, (enum broker_key)heartbeat_row->synonyms[0].key);
    if (session.as.integer > heartbeat.as.integer)
        return OK;
    return why_set(why, ERR_INVALID_CONFIG, "%s must be greater than %s", session_row->name,
                   heartbeat_row->name);
}

static enum err group_tags_check(struct arena *arena, const struct config_set *set, struct why *why)
{
    struct slice raw = config_set_get(set, SLICE("streams.rack.aware.assignment.tags"));
    struct config_list tags;

    if (slice_is_null(raw))
        return OK;
    TRY(config_split(arena, raw, &tags));
    for (size_t i = 0; i < tags.count; i++)
        if (config_list_has((struct config_list){tags.items, i}, tags.items[i]))
            return why_set(why, ERR_INVALID_CONFIG,
                           "streams.rack.aware.assignment.tags must not contain duplicate tag "
                           "keys.");
    return OK;
}

static enum err group_check(struct arena *arena, const struct config *config,
                            const struct config_set *wanted, struct why *why)
{
    struct config_value value;
    struct config_list assignors = config_list(config, BROKER_GROUP_STREAMS_ASSIGNORS);

    TRY(group_tags_check(arena, wanted, why));
    TRY(pairs_check(arena, config_table_of(CONFIG_RESOURCE_GROUP), wanted, "group",
                    ERR_INVALID_CONFIG, why));
    for (size_t i = 0; i < ARRAY_COUNT(group_bounds); i++)
        TRY(group_bound_check(arena, config, wanted, &group_bounds[i], why));
    if (group_get(arena, wanted, GROUP_STREAMS_ASSIGNOR_NAME, &value) &&
        !config_list_has(assignors, value.as.string))
        return why_set(why, ERR_INVALID_CONFIG,
                       "streams.assignor.name '%.*s' is not a registered task assignor. "
                       "Registered assignors are: %.*s.",
                       SLICE_ARGS(value.as.string), SLICE_ARGS(config_list_show(arena, assignors)));
    TRY(group_session_check(arena, config, wanted, GROUP_CONSUMER_SESSION_TIMEOUT_MS,
                            GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS, why));
    TRY(group_session_check(arena, config, wanted, GROUP_SHARE_SESSION_TIMEOUT_MS,
                            GROUP_SHARE_HEARTBEAT_INTERVAL_MS, why));
    TRY(group_session_check(arena, config, wanted, GROUP_STREAMS_SESSION_TIMEOUT_MS,
                            GROUP_STREAMS_HEARTBEAT_INTERVAL_MS, why));
    if (group_get(arena, wanted, GROUP_ERRORS_DEADLETTERQUEUE_TOPIC_NAME, &value) &&
        slice_starts_with(value.as.string, SLICE("__")))
        return why_set(why, ERR_INVALID_CONFIG,
                       "errors.deadletterqueue.topic.name: DLQ topic name must not start with "
                       "'__'");
    return OK;
}

/* ---- Client metrics ---------------------------------------------------------------------------- */

/* Brackets closed, nothing to repeat missing, no open escape: what a regular expression needs at
 * least. Whether the rest means something is seen when it is compiled. */
static bool is_expression(struct slice text)
{
    int depth = 0;
    bool in_class = false;
    bool atom = false;

    for (size_t i = 0; i < text.size_bytes; i++) {
        uint8_t byte = text.data[i];

        if (byte == '\\') {
            if (++i == text.size_bytes)
                return false;
            atom = true;
        } else if (in_class) {
            in_class = byte != ']';
        } else if (byte == '[') {
            in_class = true;
            atom = true;
        } else if (byte == '(') {
            depth++;
            atom = i + 1 < text.size_bytes && text.data[i + 1] == '?';
        } else if (byte == ')') {
            if (depth-- == 0)
                return false;
            atom = true;
        } else if (byte == '*' || byte == '+' || byte == '?') {
            if (!atom)
                return false;
        } else {
            atom = byte != '|' && byte != '^';
        }
    }
    return depth == 0 && !in_class;
}

static bool is_match_name(struct slice name)
{
    static const char *const names[] = {"client_instance_id",    "client_id",
                                        "client_software_name",  "client_software_version",
                                        "client_source_address", "client_source_port"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (slice_equal_text(name, names[i]))
            return true;
    return false;
}

static enum err match_check(struct slice pattern, struct why *why)
{
    const uint8_t *equal = memchr(pattern.data, '=', pattern.size_bytes);
    size_t at = equal ? (size_t)(equal - pattern.data) : pattern.size_bytes;
    struct slice expression = slice_sub(pattern, at + 1, SIZE_MAX);

    if (equal && expression.size_bytes > 0 &&
        !memchr(expression.data, '=', expression.size_bytes) &&
        is_match_name(config_trim(slice_sub(pattern, 0, at))) &&
        is_expression(config_trim(expression)))
        return OK;
    return why_set(why, ERR_INVALID_CONFIG, "Illegal client matching pattern: %.*s",
                   SLICE_ARGS(pattern));
}

static enum err client_metrics_check(struct arena *arena, const struct config_set *wanted,
                                     struct why *why)
{
    struct slice interval = config_set_get(wanted, SLICE("interval.ms"));
    struct slice match = config_set_get(wanted, SLICE("match"));
    struct config_value value;

    TRY(pairs_check(arena, config_table_of(CONFIG_RESOURCE_CLIENT_METRICS), wanted,
                    "client metrics", ERR_INVALID_REQUEST, why));
    if (!slice_is_null(interval)) {
        TRY(config_value_parse(arena, &config_client_metrics_keys[CLIENT_METRICS_INTERVAL_MS],
                               interval, &value, NULL));
        if (value.as.integer < 100 || value.as.integer > 3600000)
            return why_set(why, ERR_INVALID_REQUEST,
                           "Invalid value %lld for interval.ms, interval must be between 100 and "
                           "3600000 (1 hour)",
                           (long long)value.as.integer);
    }
    if (!slice_is_null(match)) {
        TRY(config_value_parse(arena, &config_client_metrics_keys[CLIENT_METRICS_MATCH], match,
                               &value, NULL));
        for (size_t i = 0; i < value.as.list.count; i++)
            TRY(match_check(value.as.list.items[i], why));
    }
    return OK;
}

/* ---- Brokers ----------------------------------------------------------------------------------- */

/* The broker has checked the rest. A key of ours in a record would make an Apache controller refuse
 * every later change, so it never gets there. */
static enum err broker_check(struct slice name, const struct config_set *wanted, struct why *why)
{
    for (size_t i = 0; i < name.size_bytes; i++) {
        if (i == 0 && name.data[0] == '-' && name.size_bytes > 1)
            return why_set(why, ERR_INVALID_REQUEST, "Invalid negative broker ID.");
        if (name.data[i] < '0' || name.data[i] > '9' || name.size_bytes > 10)
            return why_set(why, ERR_INVALID_REQUEST,
                           "Unable to parse broker name as a base 10 number.");
    }
    for (size_t i = 0; i < wanted->count; i++)
        if (slice_starts_with(wanted->pairs[i].key, SLICE("barnabas.")))
            return why_set(why, ERR_INVALID_REQUEST,
                           "Cannot update these configs dynamically: [%.*s]",
                           SLICE_ARGS(wanted->pairs[i].key));
    return OK;
}

enum err config_validate(struct arena *arena, const struct config *config,
                         enum config_resource resource, struct slice resource_name,
                         const struct config_set *current, const struct config_set *wanted,
                         struct why *why)
{
    if (!config)
        TRY(config_defaults(arena, &config));
    switch (resource) {
    case CONFIG_RESOURCE_TOPIC:
        if (resource_name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST, "Default topic resources are not allowed.");
        return topic_check(arena, config, current, wanted, why);
    case CONFIG_RESOURCE_BROKER:
        return broker_check(resource_name, wanted, why);
    case CONFIG_RESOURCE_CLIENT_METRICS:
        if (resource_name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST, "Subscription name can't be empty");
        return client_metrics_check(arena, wanted, why);
    case CONFIG_RESOURCE_GROUP:
        if (resource_name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST, "Default group resources are not allowed.");
        return group_check(arena, config, wanted, why);
    default:
        return why_set(why, ERR_INVALID_REQUEST, "Unknown resource type %d", (int)resource);
    }
}
