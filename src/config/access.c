/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/access.c: typed reads of a resolved configuration, and values made of several keys.
 */
#include "config/config_internal.h"

#include "base/parse.h"

static const struct config_value *value_of(const struct config *config, enum broker_key key)
{
    ASSERT((unsigned)key < BROKER_KEY_COUNT);
    return &config->slots[key].value;
}

static enum config_type type_of(enum broker_key key)
{
    return config_broker_keys[key].type;
}

bool config_is_null(const struct config *config, enum broker_key key)
{
    return value_of(config, key)->null;
}

bool config_is_set(const struct config *config, enum broker_key key)
{
    ASSERT((unsigned)key < BROKER_KEY_COUNT);
    return config->slots[key].source != CONFIG_SOURCE_DEFAULT;
}

bool config_boolean(const struct config *config, enum broker_key key)
{
    ASSERT(type_of(key) == CONFIG_TYPE_BOOLEAN);
    return value_of(config, key)->as.boolean;
}

int32_t config_int(const struct config *config, enum broker_key key)
{
    ASSERT(type_of(key) == CONFIG_TYPE_INT || type_of(key) == CONFIG_TYPE_SHORT);
    return (int32_t)value_of(config, key)->as.integer;
}

int64_t config_long(const struct config *config, enum broker_key key)
{
    ASSERT(type_of(key) == CONFIG_TYPE_INT || type_of(key) == CONFIG_TYPE_SHORT ||
           type_of(key) == CONFIG_TYPE_LONG);
    return value_of(config, key)->as.integer;
}

double config_double(const struct config *config, enum broker_key key)
{
    ASSERT(type_of(key) == CONFIG_TYPE_DOUBLE);
    return value_of(config, key)->as.real;
}

struct slice config_string(const struct config *config, enum broker_key key)
{
    const struct config_value *value = value_of(config, key);

    ASSERT(type_of(key) == CONFIG_TYPE_STRING || type_of(key) == CONFIG_TYPE_CLASS ||
           type_of(key) == CONFIG_TYPE_PASSWORD);
    return value->null ? SLICE_NULL : value->as.string;
}

struct config_list config_list(const struct config *config, enum broker_key key)
{
    const struct config_value *value = value_of(config, key);

    ASSERT(type_of(key) == CONFIG_TYPE_LIST);
    return value->null ? (struct config_list){NULL, 0} : value->as.list;
}

struct slice config_static(const struct config *config, struct slice name)
{
    return config_set_get(&config->file->set, name);
}

/* The text of listener.name.<listener>.<key>; null when nobody set it. */
static struct slice listener_text(const struct config *config, struct slice listener,
                                  enum broker_key key)
{
    char name[256];
    enum config_source source;
    struct text out;

    text_init(&out, name, sizeof name);
    text_add(&out, "listener.name.");
    for (size_t i = 0; i < listener.size_bytes; i++) {
        uint8_t byte = listener.data[i];

        text_add(&out, "%c", byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
    }
    text_add(&out, ".%s", config_broker_keys[key].name);
    return out.truncated ? SLICE_NULL
                         : config_layer_get(config, slice_of(name, out.size_bytes), &source);
}

int64_t config_listener_long(const struct config *config, struct slice listener,
                             enum broker_key key)
{
    struct slice text = listener_text(config, listener, key);
    int64_t number;

    if (!slice_is_null(text) && parse_i64(config_trim(text), &number) == OK)
        return number;
    return config_long(config, key);
}

bool config_listener_is_set(const struct config *config, struct slice listener, enum broker_key key)
{
    return config_is_set(config, key) || !slice_is_null(listener_text(config, listener, key));
}

int64_t config_log_retention_ms(const struct config *config)
{
    int64_t ms = config_long(config, BROKER_LOG_RETENTION_MS);

    if (config_is_null(config, BROKER_LOG_RETENTION_MS))
        ms = config_is_null(config, BROKER_LOG_RETENTION_MINUTES)
                 ? config_long(config, BROKER_LOG_RETENTION_HOURS) * 3600000
                 : config_long(config, BROKER_LOG_RETENTION_MINUTES) * 60000;
    return ms < 0 ? -1 : ms;
}

int64_t config_log_roll_ms(const struct config *config)
{
    return config_is_null(config, BROKER_LOG_ROLL_MS)
               ? config_long(config, BROKER_LOG_ROLL_HOURS) * 3600000
               : config_long(config, BROKER_LOG_ROLL_MS);
}

int64_t config_log_roll_jitter_ms(const struct config *config)
{
    return config_is_null(config, BROKER_LOG_ROLL_JITTER_MS)
               ? config_long(config, BROKER_LOG_ROLL_JITTER_HOURS) * 3600000
               : config_long(config, BROKER_LOG_ROLL_JITTER_MS);
}

int64_t config_log_flush_interval_ms(const struct config *config)
{
    return config_long(config, config_is_null(config, BROKER_LOG_FLUSH_INTERVAL_MS)
                                   ? BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS
                                   : BROKER_LOG_FLUSH_INTERVAL_MS);
}

struct config_list config_log_dirs(const struct config *config)
{
    return config_list(config,
                       config_is_null(config, BROKER_LOG_DIRS) ? BROKER_LOG_DIR : BROKER_LOG_DIRS);
}
