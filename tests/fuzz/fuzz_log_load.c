/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's directory made of any bytes, on a simulated disk: it is opened, read, searched,
 * appended to, cut and closed, and opened again. Whatever the files say, nothing but errors may come of
 * it, and what a log takes afterwards comes back. Input: one byte of settings, then files: kind, two
 * bytes of length, content.
 */
#include "base/assert.h"
#include "base/fmt.h"
#include "os/sim.h"
#include "reactor/reactor.h"
#include "records/batch_builder.h"
#include "storage/storage.h"

#include <stdlib.h>

#define LIMIT_NS (INT64_C(7200) * 1000000000)
#define FOLDER "/data/topic-0/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum setting {
    SETTING_CLEAN = 1,
    SETTING_OS_MODE = 2,
    SETTING_TRUE_CRC =
        4, /* CRCs of .log files are made right, so that more than their check is seen */
    SETTING_TRUNCATE = 8,
    SETTING_RETAIN = 16,
};

static const char *const file_names[] = {
    FOLDER "00000000000000000000.log",         FOLDER "00000000000000000000.index",
    FOLDER "00000000000000000000.timeindex",   FOLDER "00000000000000000000.txnindex",
    FOLDER "00000000000000000005.log",         FOLDER "00000000000000000005.index",
    FOLDER "00000000000000000005.timeindex",   FOLDER "00000000000000000005.txnindex",
    FOLDER "00000000000000000005.snapshot",    FOLDER "00000000000000000007.snapshot",
    FOLDER "leader-epoch-checkpoint",          FOLDER "partition.metadata",
    "/data/recovery-point-offset-checkpoint",  "/data/log-start-offset-checkpoint",
    "/data/replication-offset-checkpoint",     FOLDER "00000000000000000000.log.swap",
    FOLDER "00000000000000000005.log.cleaned", FOLDER "00000000000000000003.log.deleted",
};

struct node {
    struct sim *sim;
    struct os *os;
    struct reactor *reactor;
    struct log_directories *directories;
    struct log_store *store;
    struct log_config config;
    bool is_done;
};

static bool node_is_done(void *context)
{
    return ((struct node *)context)->is_done;
}

static void node_wait(struct node *node)
{
    sim_run_until(node->sim, sim_now_ns(node->sim) + LIMIT_NS, node_is_done, node);
    ASSERT(node->is_done);
    node->is_done = false;
}

static void file_put(struct os *os, const char *path, struct slice content)
{
    struct os_file *file;

    ASSERT(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file) == OK);
    if (content.size_bytes > 0)
        ASSERT(os_file_write(file, &content, 1, 0) == OK);
    os_file_close(&file);
}

static void crc_correct(uint8_t *bytes, size_t size)
{
    struct slice rest = slice_of(bytes, size);
    struct slice batch;

    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;
        uint8_t *at = bytes + (batch.data - bytes);

        if (batch_header_read(batch, &header) == OK && header.magic == BATCH_MAGIC)
            batch_header_write(&header, at, batch.size_bytes);
    }
}

static void files_make(struct os *os, const uint8_t *data, size_t size)
{
    uint8_t settings = data[0];
    size_t at = 1;

    while (size - at >= 3) {
        const char *path = file_names[data[at] % ARRAY_COUNT(file_names)];
        size_t length = (size_t)data[at + 1] << 8 | data[at + 2];
        uint8_t *copy;

        at += 3;
        length = MIN(length, size - at);
        copy = malloc(length + 1);
        ASSERT(copy);
        if (length > 0)
            memcpy(copy, data + at, length);
        if (settings & SETTING_TRUE_CRC)
            crc_correct(copy, length);
        file_put(os, path, slice_of(copy, length));
        free(copy);
        at += length;
    }
    if (settings & SETTING_CLEAN)
        file_put(os, "/data/.kafka_cleanshutdown", SLICE("{\"version\":0,\"brokerEpoch\":1}"));
}

static bool node_start(struct node *node)
{
    const char *paths[] = {"/data"};
    struct storage_options options;
    struct why why;
    int64_t epoch;

    storage_options_init(&options);
    if (log_directories_open(node->os, NULL, &options, paths, 1, &node->directories, &why) != OK)
        return false;
    ASSERT(log_directories_begin(node->directories, &epoch) == OK);
    ASSERT(reactor_create(node->os, 0, 1, NULL, &node->reactor) == OK);
    ASSERT(log_store_create(node->directories, node->reactor, node->reactor, NULL, &node->store) ==
           OK);
    return true;
}

static void store_closed(struct log_store_close *op)
{
    ((struct node *)op->context)->is_done = true;
}

static void node_stop(struct node *node)
{
    struct log_store_close op = {.done = store_closed, .context = node};

    log_store_close_all(node->store, &op);
    node_wait(node);
    while (reactor_turn(node->reactor))
        ;
    log_store_release(&node->store);
    log_directories_close(&node->directories, true, 1);
    while (reactor_turn(node->reactor))
        ;
    reactor_release(&node->reactor);
}

static void open_done(struct log_open *op)
{
    ((struct node *)op->context)->is_done = true;
}

static struct log *log_get(struct node *node)
{
    struct log_open op = {.directory = log_directories_at(node->directories, 0),
                          .topic = SLICE("topic"),
                          .config = &node->config,
                          .create = true,
                          .done = open_done,
                          .context = node};

    log_store_open(node->store, &op);
    node_wait(node);
    return op.err == OK ? op.log : NULL;
}

static void read_done(struct log_read *op)
{
    ((struct node *)op->context)->is_done = true;
}

/* One read; the offset behind the last whole batch, or -1. */
static int64_t log_step(struct node *node, struct log *log, int64_t offset)
{
    struct log_read read = {.offset = offset,
                            .bound_offset = log_end_written(log),
                            .bytes_max = 3000,
                            .at_least_one = true,
                            .wants_aborted = true,
                            .done = read_done,
                            .context = node};
    int64_t next = -1;

    if (!log_read_plan(log, &read))
        node_wait(node);
    if (read.err == OK && read.size_bytes > 0) {
        uint8_t *bytes = malloc(read.size_bytes);
        struct slice rest, batch;
        struct batch_header header;

        ASSERT(bytes);
        log_read_bytes(&read, bytes);
        node_wait(node);
        ASSERT(read.err == OK && read.read_bytes == read.size_bytes);
        rest = slice_of(bytes, read.read_bytes);
        while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0)
            if (batch_header_read(batch, &header) == OK)
                next = batch_next_offset(&header);
        free(bytes);
    }
    log_read_release(&read);
    return next;
}

static void lookup_done(struct log_lookup *op)
{
    ((struct node *)op->context)->is_done = true;
}

static void log_search(struct node *node, struct log *log, int64_t timestamp)
{
    struct log_lookup lookup = {.timestamp = timestamp,
                                .latest_offset = log_end_written(log),
                                .bytes_max = 100000,
                                .done = lookup_done,
                                .context = node};

    log_lookup_offset(log, &lookup);
    node_wait(node);
}

static void append_done(struct log_append *op)
{
    ((struct node *)op->context)->is_done = true;
}

static void log_add(struct node *node, struct log *log)
{
    struct log_append append = {.origin = APPEND_ORIGIN_CLIENT,
                                .leader_epoch = MAX(log_epoch_latest(log), 0),
                                .done = append_done,
                                .context = node};
    struct batch_record record = {.timestamp = 1000, .value = SLICE("value")};
    struct batch_options options;
    struct batch_builder builder;
    struct writer out;
    struct why why;

    batch_options_init(&options);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    batch_builder_begin(&builder, &options, NULL, NULL, &out);
    ASSERT(batch_builder_append(&builder, &record) == OK);
    ASSERT(batch_builder_finish(&builder, NULL) == OK);
    append.data = out.data;
    append.size_bytes = out.size_bytes;
    if (log_append(log, &append, &why) == OK) {
        node_wait(node);
        ASSERT(append.err == OK || log_is_failed(log));
    }
    writer_release(&out);
}

static void change_done(struct log_change_op *op)
{
    ((struct node *)op->context)->is_done = true;
}

static void log_use(struct node *node, struct log *log, uint8_t settings)
{
    int64_t next = log_start_offset(log);

    ASSERT(log_start_offset(log) <= log_end_flushed(log));
    ASSERT(log_end_flushed(log) <= log_end_written(log));
    ASSERT(log_high_watermark(log) >= log_start_offset(log));
    ASSERT(log_high_watermark(log) <= log_end_written(log));
    for (int i = 0; i < 50 && next >= 0 && next < log_end_written(log); i++)
        next = log_step(node, log, next);
    log_step(node, log, log_start_offset(log) + (log_end_written(log) - log_start_offset(log)) / 2);
    log_search(node, log, 0);
    log_search(node, log, 1000);
    log_search(node, log, LOG_TIMESTAMP_MAX);
    if (log_end_queued(log) < INT64_MAX - 10)
        log_add(node, log);
    if (!log_is_failed(log) && (settings & SETTING_TRUNCATE)) {
        struct log_change_op op = {.done = change_done, .context = node};

        log_truncate(log, log_start_offset(log) + (log_end_queued(log) - log_start_offset(log)) / 2,
                     &op);
        node_wait(node);
    }
    if (!log_is_failed(log) && (settings & SETTING_RETAIN)) {
        log_set_high_watermark(log, log_end_written(log));
        (void)!log_set_start_offset(log, log_end_written(log));
        log_retention_run(log);
        sim_run_until(node->sim, sim_now_ns(node->sim) + INT64_C(70000000000), NULL, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct node node = {0};

    if (size < 1)
        return 0;
    ASSERT(sim_create(1, NULL, &node.sim) == OK);
    ASSERT(sim_machine_create(node.sim, "node", &node.os) == OK);
    ASSERT(os_make_directory(node.os, "/data") == OK);
    ASSERT(os_make_directory(node.os, "/data/topic-0") == OK);
    files_make(node.os, data, size);
    log_config_init(&node.config);
    node.config.flush_mode = data[0] & SETTING_OS_MODE ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
    for (int life = 0; life < 2 && node_start(&node); life++) {
        struct log *log = log_get(&node);
        int64_t end = -1;

        if (log) {
            log_use(&node, log, data[0]);
            if (!log_is_failed(log))
                end = log_end_queued(log);
        }
        node_stop(&node);
        if (end >= 0 && node_start(&node)) { /* closed in order: it comes back as it was */
            log = log_get(&node);
            /* A cut inside a batch leaves an end that no batch reaches. */
            ASSERT(!log || log_end_queued(log) == end ||
                   ((data[0] & SETTING_TRUNCATE) && log_end_queued(log) < end));
            node_stop(&node);
        }
    }
    sim_release(&node.sim);
    return 0;
}
