/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/log_sink.c: lines to standard output, each in one write. What cannot be written is dropped, and counted in
 * the next line that can: whoever does not read (a stopped terminal, a pipe's stalled end) never stops a node.
 */
#include "server/log_sink.h"

#include "base/fmt.h"
#include "os/os.h"

#include <stdatomic.h>

#define LINE_BYTES 4096 /* with its end: what a pipe takes whole */
/* How long who logs waits for room, of every second once: a slow reader loses lines and does not slow the node. */
#define STALL_MS 100
#define STALL_AGAIN_NS (1000 * 1000 * 1000ll)

struct log_sink {
    struct logger logger;
    struct os *os;
    bool json;
    _Atomic int8_t levels[CONFIG_LOGGER_COUNT];

    struct os_output output; /* its lock is that of what follows too */
    uint64_t dropped;        /* since the last line that was not */
    bool is_cut;             /* the last byte that went out ends no line */
    bool has_waited;
    int64_t waited_ns; /* when that ended */
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

static size_t line_make(struct log_sink *sink, char line[LINE_BYTES + 1], enum log_level level,
                        const char *module, const char *event, const char *fields)
{
    size_t size_bytes = (sink->json ? log_line_json : log_line_text)(
        line, LINE_BYTES, os_wall_ms(sink->os), level, module, event, fields);

    size_bytes = MIN(size_bytes, (size_t)LINE_BYTES - 1);
    line[size_bytes++] = '\n';
    return size_bytes;
}

static bool has_room(struct log_sink *sink)
{
    bool is_there = os_output_wait(&sink->output, 0);

    if (is_there || sink->dropped > 0 ||
        (sink->has_waited && os_now_ns(sink->os) - sink->waited_ns < STALL_AGAIN_NS))
        return is_there;
    is_there = os_output_wait(&sink->output, STALL_MS);
    sink->has_waited = true;
    sink->waited_ns = os_now_ns(sink->os);
    return is_there;
}

/* A terminal takes a line in parts, a full disk or a file that may grow no more the head of one. */
static bool line_put(struct log_sink *sink, const char *line, size_t size_bytes)
{
    size_t done = 0;

    while (done < size_bytes && has_room(sink)) {
        size_t put;

        if (sink->is_cut && done == 0) {
            if (os_output_put(&sink->output, "\n", 1) == 0)
                return false;
            sink->is_cut = false;
            continue;
        }
        put = os_output_put(&sink->output, line + done, size_bytes - done);
        if (put == 0)
            break;
        done += put;
        sink->is_cut = done < size_bytes;
    }
    return done == size_bytes;
}

static bool dropped_tell(struct log_sink *sink)
{
    char fields[64], line[LINE_BYTES + 1];

    if (!has_room(sink))
        return false;
    fmt(fields, sizeof fields, "lines=%llu", (unsigned long long)sink->dropped);
    return line_put(sink, line,
                    line_make(sink, line, LOG_LEVEL_WARN, "server", "log_lines_dropped", fields));
}

static void sink_write(struct logger *logger, enum log_level level, const char *module,
                       const char *event, const char *fields)
{
    struct log_sink *sink = CONTAINER_OF(logger, struct log_sink, logger);
    char line[LINE_BYTES + 1];
    size_t size_bytes;

    if ((int8_t)level < level_of(sink, module))
        return;
    size_bytes = line_make(sink, line, level, module, event, fields);
    os_output_lock(&sink->output);
    if (sink->dropped > 0 && dropped_tell(sink))
        sink->dropped = 0;
    if (sink->dropped > 0 || !line_put(sink, line, size_bytes))
        sink->dropped++;
    os_output_unlock(&sink->output);
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
    sink->output = os_output_open();
    sink->logger.write = sink_write;
    memset(levels.level, -1, sizeof levels.level);
    levels.level[CONFIG_LOGGER_ROOT] = (int8_t)level;
    log_sink_set_levels(sink, &levels);
    *out = sink;
    return OK;
}

void log_sink_release(struct log_sink **sink)
{
    if ((*sink)->dropped > 0)
        (void)dropped_tell(*sink);
    os_output_close(&(*sink)->output);
    heap_allocator.release(&heap_allocator, *sink, sizeof **sink);
    *sink = NULL;
}

struct logger *log_sink_logger(struct log_sink *sink)
{
    return &sink->logger;
}
