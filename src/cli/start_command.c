/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/start_command.c: `barnabas start`: runs a node until it is told to stop.
 */
#include "base/assert.h"
#include "base/memory_reserve.h"
#include "base/parse.h"
#include "cli/command.h"
#include "config/config.h"
#include "os/os.h"
#include "server/log_sink.h"
#include "server/node.h"
#include "server/node_http.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (4 * MIB)
#define MEMORY_RESERVE_BYTES (8 * MIB) /* of addresses: nobody writes to them */

static const char usage[] =
    "usage: barnabas start [FILE] [--override KEY=VALUE]…\n"
    "\n"
    "FILE is a server.properties with Kafka's keys and ours (barnabas.*). Its directories must "
    "have\n"
    "been formatted with `barnabas storage format`.\n"
    "Without FILE: one node that is broker and controller on 127.0.0.1:9092, data in "
    "./barnabas-data,\n"
    "formatted at the first start, internal topics with one replica.\n"
    "\n"
    "  --override KEY=VALUE  as if this line stood in the file; may be repeated\n";

struct start {
    struct os *os;
    struct arena arena;
    const char *path; /* NULL: without a file */
    struct config_file file;
    struct log_sink *sink;
    struct node *node;
    struct node_http *http;
    enum err outcome; /* why the node stopped */
};

static int fail(const char *what, const struct why *why, enum err err)
{
    fprintf(stderr, "barnabas start: %s%s%s\n", what, what[0] ? ": " : "",
            why->text[0] ? why->text : err_text(err));
    return CLI_FAILED;
}

static enum err file_read(struct start *start, struct why *why)
{
    struct slice text = slice_from_text(config_properties_without_file);
    struct slice name = SLICE("built-in");

    if (start->path) {
        enum err err = os_read_stream(start->os, start->path, &start->arena, FILE_BYTES_MAX, &text);

        if (err != OK)
            return why_set(why, err, "%s: %s", start->path, err_text(err));
        name = slice_from_text(start->path);
    }
    return config_file_parse(&start->arena, name, text, &start->file, why);
}

/* argv: what follows the command's name. */
static int arguments_read(struct start *start, int argc, char **argv)
{
    struct why why = {{0}};
    enum err err;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--override") == 0) {
            if (++i == argc) {
                fprintf(stderr, "barnabas start: --override needs KEY=VALUE\n%s", usage);
                return CLI_USAGE;
            }
        } else if (argv[i][0] == '-' || start->path) {
            fprintf(stderr, "barnabas start: unexpected argument %s\n%s", argv[i], usage);
            return CLI_USAGE;
        } else {
            start->path = argv[i];
        }
    }
    err = file_read(start, &why);
    if (err != OK)
        return fail("", &why, err);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--override") != 0)
            continue;
        err = config_file_override(&start->arena, &start->file, slice_from_text(argv[++i]), &why);
        if (err == ERR_USAGE) {
            fprintf(stderr, "barnabas start: %s\n%s", why.text, usage);
            return CLI_USAGE;
        }
        if (err != OK)
            return fail(argv[i], &why, err);
    }
    return CLI_OK;
}

static enum log_level level_of(struct slice text)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
    char upper[8];

    for (size_t i = 0; i < text.size_bytes && i < sizeof upper; i++)
        upper[i] =
            (char)(text.data[i] >= 'a' && text.data[i] <= 'z' ? text.data[i] - 32 : text.data[i]);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (text.size_bytes == strlen(names[i]) && memcmp(upper, names[i], text.size_bytes) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO; /* what is misspelt is refused with the rest of the configuration */
}

static void levels_changed(void *context, const struct config_logger_levels *levels)
{
    struct start *start = context;

    log_sink_set_levels(start->sink, levels);
}

static void stopped(void *context, enum err err, const char *why)
{
    struct start *start = context;

    start->outcome = err;
    UNUSED(why); /* the node has logged it */
}

static void signalled(void *context, int signal)
{
    struct start *start = context;

    UNUSED(signal);
    node_stop(start->node);
}

/* Buffers of a fetch come and go by the megabyte. By default the C library gives such memory back to
 * the kernel at once and faults every page in anew: two thirds of what a fetch costs. */
static void heap_keep(void)
{
#ifdef M_TRIM_THRESHOLD
    mallopt(M_TRIM_THRESHOLD, 64 * MIB);
    mallopt(M_MMAP_THRESHOLD, 32 * MIB); /* the most it takes */
#endif
}

static int node_serve(struct start *start)
{
    struct why why = {{0}};
    struct node_options options = {
        .os = start->os,
        .logger = log_sink_logger(start->sink),
        .file = &start->file,
        .format_when_empty = start->path == NULL,
        .stopped = stopped,
        .log_levels_changed = levels_changed,
        .context = start,
    };
    enum err err;

    heap_keep();
    os_entropy(start->os, &options.seed, sizeof options.seed);
    err = node_create(&options, &start->node, &why);
    if (err == OK)
        err = node_start(start->node, &why);
    if (err == OK)
        err = os_on_signal(start->os, signalled, start); /* before a library starts threads */
    if (err == OK)
        err = node_http_start(start->node, &start->http, &why);
    if (err == OK)
        node_run(start->node);
    if (os_on_signal(start->os, NULL, NULL) !=
        OK) /* a late signal must not reach a node that is gone */
        return CLI_FAILED;
    node_http_stop(&start->http);
    node_release(&start->node);
    if (err != OK)
        return fail("", &why, err);
    return start->outcome == OK ? CLI_OK : CLI_FAILED;
}

/* The last word of a process whose own code is wrong, or that has no memory left for what it must know. No
 * memory is taken for it. */
static void assertion_tell(const char *condition, const char *file, int line, const char *function)
{
    char text[512];

    if (strcmp(condition, MEMORY_EXHAUSTED) == 0) {
        snprintf(
            text, sizeof text,
            "barnabas start: %s (%s:%d, %s); the node ends as a kill would end it, and what it "
            "acknowledged is there at the next start\n",
            condition, file, line, function);
        fputs(text, stderr);
        _Exit(CLI_FAILED);
    }
    snprintf(text, sizeof text, "barnabas start: assertion failed: %s (%s:%d, %s)\n", condition,
             file, line, function);
    fputs(text, stderr); /* unbuffered */
}

static int run(int argc, char **argv)
{
    struct start start = {0};
    struct os_real_options real = {0};
    struct why why = {{0}};
    struct slice format, level;
    int status;
    enum err err;

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return command_printed(CLI_OK);
    }
    assert_hook_set(assertion_tell);
    err = os_real_create(&real, &start.os);
    if (err != OK)
        return fail("the machine cannot be used", &why, err);
    (void)!memory_reserve_fill(MEMORY_RESERVE_BYTES); /* a start without it shows soon enough */
    arena_init(&start.arena, &heap_allocator, SIZE_MAX);
    status = arguments_read(&start, argc - 1, argv + 1);
    if (status == CLI_OK) {
        format = config_set_get(&start.file.set, SLICE("barnabas.log.format"));
        level = config_set_get(&start.file.set, SLICE("barnabas.log.level"));
        err = log_sink_create(start.os, slice_equal(format, SLICE("json")),
                              slice_is_null(level) ? LOG_LEVEL_INFO : level_of(level), &start.sink);
        status = err == OK ? node_serve(&start) : fail("log", &why, err);
        if (start.sink)
            log_sink_release(&start.sink);
    }
    arena_release(&start.arena);
    os_release(&start.os);
    return status;
}

const struct command start_command = {
    .name = "start",
    .summary = "run a node",
    .run = run,
};
