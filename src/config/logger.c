/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/logger.c: BROKER_LOGGER resources: one logger per module of this program, and the root.
 */
#include "config/config_internal.h"

#include "base/log.h"

const char *const config_logger_names[CONFIG_LOGGER_COUNT] = {
    "root",    "client",  "config", "controller", "coordinator", "http",   "metadata",
    "network", "reactor", "raft",   "records",    "replication", "server", "storage",
};

/* In the order that Kafka's message lists them. */
static const struct {
    const char *name;
    int8_t level;
} levels[] = {
    {"DEBUG", LOG_LEVEL_DEBUG}, {"ERROR", LOG_LEVEL_ERROR}, {"FATAL", LOG_LEVEL_ERROR},
    {"INFO", LOG_LEVEL_INFO},   {"TRACE", LOG_LEVEL_TRACE}, {"WARN", LOG_LEVEL_WARN},
};

static int logger_find(struct slice name)
{
    for (int i = 0; i < CONFIG_LOGGER_COUNT; i++)
        if (slice_equal_text(name, config_logger_names[i]))
            return i;
    return -1;
}

static int level_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (slice_equal_text(name, levels[i].name))
            return levels[i].level;
    return -1;
}

static const char *level_name(int8_t level)
{
    for (size_t i = 0; i < ARRAY_COUNT(levels); i++)
        if (levels[i].level == level && strcmp(levels[i].name, "FATAL") != 0)
            return levels[i].name;
    return "INFO";
}

static enum err logger_alter(struct config_logger_levels *out,
                             const struct config_operation *operation, struct why *why)
{
    int logger = logger_find(operation->key);
    int level = level_find(operation->value);

    switch (operation->kind) {
    case CONFIG_SET:
    case CONFIG_DELETE:
        break;
    case CONFIG_APPEND:
    case CONFIG_SUBTRACT:
        return why_set(why, ERR_INVALID_REQUEST,
                       "%s operation is not allowed for the BROKER_LOGGER resource",
                       operation->kind == CONFIG_APPEND ? "APPEND" : "SUBTRACT");
    default:
        return why_set(why, ERR_INVALID_REQUEST,
                       "Unknown operation type %d is not allowed for the BROKER_LOGGER resource",
                       (int)operation->kind);
    }
    if (logger < 0)
        return why_set(why, ERR_INVALID_CONFIG, "Logger %.*s does not exist!",
                       SLICE_ARGS(operation->key));
    if (operation->kind == CONFIG_DELETE && logger == CONFIG_LOGGER_ROOT)
        return why_set(why, ERR_INVALID_REQUEST,
                       "Removing the log level of the root logger is not allowed");
    if (operation->kind == CONFIG_SET && level < 0)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Cannot set the log level of %.*s to %.*s as it is not a supported log "
                       "level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
                       SLICE_ARGS(operation->key), SLICE_ARGS(operation->value));
    out->level[logger] = (int8_t)(operation->kind == CONFIG_SET ? level : -1);
    return OK;
}

enum err config_loggers_alter(const struct config_logger_levels *current,
                              const struct config_operation *operations, size_t count,
                              struct config_logger_levels *out, struct why *why)
{
    *out = *current;
    for (size_t i = 0; i < count; i++) {
        enum err err = logger_alter(out, &operations[i], why);

        if (err != OK) {
            *out = *current;
            return err;
        }
    }
    return OK;
}

enum err config_loggers_describe(struct arena *arena, const struct config_logger_levels *current,
                                 const struct config_describe_options *options,
                                 struct config_description *out)
{
    struct config_described *entries =
        ARENA_ARRAY(arena, struct config_described, CONFIG_LOGGER_COUNT);

    *out = (struct config_description){entries, 0};
    if (!entries)
        return ERR_NO_MEMORY;
    for (int i = 0; i < CONFIG_LOGGER_COUNT; i++) {
        struct slice name = slice_from_text(config_logger_names[i]);
        bool wanted = options->name_count == 0;
        int8_t level = current->level[i];

        for (size_t j = 0; j < options->name_count; j++)
            wanted = wanted || slice_equal(options->names[j], name);
        if (!wanted)
            continue;
        if (level < 0)
            level = current->level[CONFIG_LOGGER_ROOT];
        entries[out->count++] = (struct config_described){
            .name = name,
            .value = slice_from_text(level_name(level)),
            .text = SLICE_EMPTY, /* as Kafka has it: not null */
            .source = CONFIG_SOURCE_LOGGER,
        };
    }
    return OK;
}
