/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/log_sink.c: lines to standard output, each in one write. What cannot be written is dropped: logging
 * never stops a node.
 */
#include "server/log_sink.h"

#include "os/os.h"

#include <stdatomic.h>
#include <stdio.h>

#define LINE_BYTES 4096

struct log_sink {
    struct logger logger;
    struct os *os;
    bool json;
    _Atomic int8_t levels[CONFIG_LOGGER_COUNT];
};

static int8_t level_of(struct log_sink *sink, const char *module)
{
    for (size_t i = 0; i < CONFIG_LOGGER_COUNT; i++)
        if (i != CONFIG_LOGGER_ROOT && strcmp(config_logger_names[i], module) == 0) {
            int8_t level = atomic_load_explicit(&sink->levels[i], memory_order_relaxed);

            return level >= 0 ? level
                              : atomic_load_explicit(&sink->levels[CONFIG_LOGGER_ROOT],
                                                     memory_order_relaxed);
        }
    return atomic_load_explicit(&sink->levels[CONFIG_LOGGER_ROOT], memory_order_relaxed);
}

static void sink_write(struct logger *logger, enum log_level level, const char *module,
                       const char *event, const char *fields)
{
    struct log_sink *sink = CONTAINER_OF(logger, struct log_sink, logger);
    char line[LINE_BYTES + 1];
    size_t size_bytes;

    if ((int8_t)level < level_of(sink, module))
        return;
    size_bytes = (sink->json ? log_line_json : log_line_text)(
        line, LINE_BYTES, os_wall_ms(sink->os), level, module, event, fields);
    size_bytes = MIN(size_bytes, (size_t)LINE_BYTES - 1);
    line[size_bytes++] = '\n';
    fwrite(line, 1, size_bytes, stdout); /* whole under the stream's own lock */
    fflush(stdout);
}

void log_sink_set_levels(struct log_sink *sink, const struct config_logger_levels *levels)
{
    int8_t least = LOG_LEVEL_ERROR;

    for (size_t i = 0; i < CONFIG_LOGGER_COUNT; i++) {
        atomic_store_explicit(&sink->levels[i], levels->level[i], memory_order_relaxed);
        if (levels->level[i] >= 0)
            least = MIN(least, levels->level[i]);
    }
    __atomic_store_n(&sink->logger.level, (enum log_level)least, __ATOMIC_RELAXED);
}

enum err log_sink_create(struct os *os, bool json, enum log_level level, struct log_sink **out)
{
    struct log_sink *sink = allocator_zeroed(&heap_allocator, sizeof *sink);
    struct config_logger_levels levels;

    if (!sink)
        return ERR_NO_MEMORY;
    sink->os = os;
    sink->json = json;
    sink->logger.write = sink_write;
    memset(levels.level, -1, sizeof levels.level);
    levels.level[CONFIG_LOGGER_ROOT] = (int8_t)level;
    log_sink_set_levels(sink, &levels);
    *out = sink;
    return OK;
}

void log_sink_release(struct log_sink **sink)
{
    heap_allocator.release(&heap_allocator, *sink, sizeof **sink);
    *sink = NULL;
}

struct logger *log_sink_logger(struct log_sink *sink)
{
    return &sink->logger;
}
