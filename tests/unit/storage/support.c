/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/assert.h"
#include "records/control_record.h"
#include "records/record.h"

#include <stdio.h>
#include <stdlib.h>

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define NODE_ID 1

/* ---- the machine ---- */

static void print_assert(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
}

struct allocator bench_heap;

__attribute__((constructor)) static void hook(void)
{
    bench_heap = heap_allocator;
    assert_hook_set(print_assert);
}

static void log_write(struct logger *self, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    struct bench *bench = CONTAINER_OF(self, struct bench, logger);

    if (bench->verbose)
        fprintf(stderr, "%lld %d %s %s %s\n", (long long)sim_now_ns(bench->sim), (int)level, module,
                event, fields);
}

static bool flag_is_set_or_dead(void *context)
{
    struct bench *bench = context;

    return *bench->waits_for || !sim_machine_is_up(bench->os);
}

void bench_run_until(struct bench *bench, const bool *flag)
{
    bench->waits_for = flag;
    sim_run_until(bench->sim, sim_now_ns(bench->sim) + HOUR_NS, flag_is_set_or_dead, bench);
    /* Nothing happens on a dead machine: its operations are told so by polling. */
    for (int i = 0; i < 1000 && !*flag && !sim_machine_is_up(bench->os); i++)
        reactor_turn(bench->reactor);
    assert_true(*flag);
}

void bench_pass(struct bench *bench, int64_t time_ms)
{
    sim_run_until(bench->sim, sim_now_ns(bench->sim) + time_ms * 1000000, NULL, NULL);
}

static const char *const directory_paths[BENCH_DIRECTORIES_MAX] = {BENCH_DIRECTORY, "/data1",
                                                                   "/data2"};

static void directory_failed(struct storage_listener *listener, struct log_directory *directory)
{
    UNUSED(directory);
    CONTAINER_OF(listener, struct bench, listener)->directories_failed++;
}

void bench_start(struct bench *bench)
{
    struct random random;
    struct why why = {""};
    int64_t epoch;
    struct logger *logger = bench->is_silent ? NULL : &bench->logger;
    enum err err;

    sim_random_init(bench->sim, &random, "ids");
    OKAY(reactor_create(bench->os, 0, sim_seed(bench->sim), logger, &bench->reactor));
    err = log_directories_open(bench->os, logger, &bench->options, directory_paths,
                               bench->directory_count, &bench->directories, &why);
    if (err != OK)
        fail_msg("open: %s %s", err_name(err), why.text);
    err = log_directories_check(bench->directories, SLICE(BENCH_CLUSTER), NODE_ID, &random, &why);
    if (err != OK)
        fail_msg("check: %s %s", err_name(err), why.text);
    OKAY(log_directories_begin(bench->directories, &epoch));
    OKAY(log_store_create(bench->directories, bench->reactor, bench->reactor, &bench->listener,
                          &bench->store));
}

void bench_prepare_sim(struct bench *bench, uint64_t seed, const struct sim_options *sim_options,
                       size_t directory_count)
{
    struct meta_properties properties = {.version = 1,
                                         .cluster_id = SLICE(BENCH_CLUSTER),
                                         .node_id = NODE_ID,
                                         .has_directory_id = true};

    assert_true(directory_count <= BENCH_DIRECTORIES_MAX);
    *bench = (struct bench){.logger = {.write = log_write, .level = LOG_LEVEL_INFO},
                            .listener = {directory_failed},
                            .directory_count = directory_count};
    bench->verbose = getenv("BARNABAS_VERBOSE") != NULL;
    OKAY(sim_create(seed, sim_options, &bench->sim));
    OKAY(sim_machine_create(bench->sim, "node", &bench->os));
    for (size_t i = 0; i < directory_count; i++) {
        OKAY(os_make_directory(bench->os, directory_paths[i]));
        OKAY(os_sync_directory(bench->os, "/"));
        memset(properties.directory_id.bytes, 7 + (int)i, sizeof(properties.directory_id.bytes));
        OKAY(meta_properties_write(bench->os, directory_paths[i], &properties));
    }
    storage_options_init(&bench->options);
    log_config_init(&bench->config);
}

void bench_prepare_late(struct bench *bench, uint64_t seed, int64_t job_ms)
{
    struct sim_options options;

    sim_options_default(&options);
    options.job_latency = (struct sim_latency){job_ms * 1000000, job_ms * 1000000, 0, 0};
    bench_prepare_sim(bench, seed, &options, 1);
}

void bench_prepare(struct bench *bench, uint64_t seed, size_t directory_count)
{
    bench_prepare_sim(bench, seed, NULL, directory_count);
}

void bench_open(struct bench *bench, uint64_t seed)
{
    bench_prepare(bench, seed, 1);
    bench_start(bench);
}

struct waiting_close {
    struct log_store_close op;
    bool is_done;
};

static void close_done(struct log_store_close *op)
{
    CONTAINER_OF(op, struct waiting_close, op)->is_done = true;
}

void bench_stop(struct bench *bench, bool clean)
{
    struct waiting_close closing = {.op.done = close_done};
    bool is_up = sim_machine_is_up(bench->os);

    log_store_close_all(bench->store, &closing.op);
    bench_run_until(bench, &closing.is_done);
    while (reactor_turn(bench->reactor))
        ;
    log_store_release(&bench->store);
    log_directories_close(&bench->directories, clean && is_up, 5);
    while (reactor_turn(bench->reactor))
        ;
    reactor_release(&bench->reactor);
}

void bench_close(struct bench *bench)
{
    struct sim_counts counts;

    if (bench->store)
        bench_stop(bench, true);
    sim_counts(bench->sim, &counts);
    assert_int_equal(counts.blocking_in_turn, 0);
    sim_release(&bench->sim);
}

static void machine_restart(struct bench *bench)
{
    struct os *old = bench->os;

    OKAY(sim_machine_restart(old, &bench->os));
    os_release(&old);
}

void bench_cut(struct bench *bench, const struct sim_crash_options *options)
{
    sim_machine_crash(bench->os, options);
    bench_stop(bench, false);
    machine_restart(bench);
}

void bench_halt(struct bench *bench)
{
    bench_stop(bench, true);
    sim_machine_kill(bench->os);
    machine_restart(bench);
}

void bench_crash(struct bench *bench, const struct sim_crash_options *options)
{
    bench_cut(bench, options);
    bench_start(bench);
}

void bench_restart(struct bench *bench)
{
    bench_halt(bench);
    bench_start(bench);
}

/* ---- logs ---- */

struct waiting_open {
    struct log_open op;
    bool is_done;
};

static void open_done(struct log_open *op)
{
    CONTAINER_OF(op, struct waiting_open, op)->is_done = true;
}

enum err bench_log_open(struct bench *bench, struct log_open *request, struct log **out)
{
    struct waiting_open waiting = {.op = *request};

    if (!waiting.op.directory)
        waiting.op.directory = log_directories_at(bench->directories, 0);
    waiting.op.config = &bench->config;
    waiting.op.done = open_done;
    log_store_open(bench->store, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    if (waiting.op.err != OK && bench->verbose)
        fprintf(stderr, "open: %s\n", waiting.op.why.text);
    *out = waiting.op.log;
    return waiting.op.err;
}

enum err bench_log_try(struct bench *bench, const char *topic, int32_t partition, struct log **out)
{
    struct log_open request = {
        .topic = slice_from_text(topic), .partition = partition, .create = true};

    return bench_log_open(bench, &request, out);
}

struct log *bench_log(struct bench *bench, const char *topic, int32_t partition)
{
    struct log *log;

    OKAY(bench_log_try(bench, topic, partition, &log));
    return log;
}

void bench_record_value(int64_t offset, size_t value_bytes, struct writer *out)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "v%lld", (long long)offset);

    writer_bytes(out, text, (size_t)size);
    while (out->size_bytes < value_bytes)
        writer_u8(out, (uint8_t)(offset + (int64_t)out->size_bytes));
}

void bench_batch_build(struct bench *bench, int64_t offset, int32_t leader_epoch,
                       const struct bench_batch *batch, struct writer *out)
{
    struct compress_context *context;
    struct batch_options options;
    struct batch_builder builder;
    struct writer scratch, value;
    int64_t timestamp = batch->timestamp ? batch->timestamp : os_wall_ms(bench->os);

    if (batch->is_control) {
        struct end_transaction_marker marker = {batch->is_abort, batch->coordinator_epoch};

        OKAY(end_transaction_batch_write(&marker, offset, leader_epoch, batch->producer_id,
                                         batch->producer_epoch, timestamp, out));
        return;
    }
    batch_options_init(&options);
    options.base_offset = offset;
    options.leader_epoch = leader_epoch;
    options.codec = batch->codec;
    options.level = compression_level_default(batch->codec);
    if (batch->producer_id != 0) {
        options.producer_id = batch->producer_id;
        options.producer_epoch = batch->producer_epoch;
        options.base_sequence = batch->sequence;
        options.transactional = batch->transactional;
    }
    OKAY(compress_context_open(&context, &bench_heap));
    writer_init(&value, &bench_heap, SIZE_MAX);
    writer_init(&scratch, &bench_heap, SIZE_MAX);
    batch_builder_begin(&builder, &options, context, &scratch, out);
    for (int i = 0; i < MAX(batch->count, 1); i++) {
        struct batch_record record = {.timestamp = timestamp + i};

        writer_reset(&value);
        bench_record_value(offset + i, batch->value_bytes, &value);
        record.key = SLICE("key");
        record.value = writer_slice(&value);
        OKAY(batch_builder_append(&builder, &record));
    }
    OKAY(batch_builder_finish(&builder, NULL));
    writer_release(&scratch);
    writer_release(&value);
    compress_context_release(&context);
}

static void append_done(struct log_append *op)
{
    CONTAINER_OF(op, struct bench_append, op)->is_done = true;
}

enum err bench_append_begin(struct bench *bench, struct log *log, enum append_origin origin,
                            int32_t leader_epoch, int64_t offset, const struct bench_batch *batch,
                            struct bench_append *append)
{
    enum err err;

    *append = (struct bench_append){0};
    writer_init(&append->bytes, &bench_heap, SIZE_MAX);
    bench_batch_build(bench, offset, leader_epoch, batch, &append->bytes);
    append->op.data = append->bytes.data;
    append->op.size_bytes = append->bytes.size_bytes;
    append->op.origin = origin;
    append->op.leader_epoch = leader_epoch;
    append->op.done = append_done;
    append->op.err = ERR_STATE; /* until `done` says otherwise */
    err = log_append(log, &append->op, &append->why);
    if (err != OK) {
        append->op.err = err;
        append->is_done = true;
    }
    return err;
}

enum err bench_append_end(struct bench *bench, struct bench_append *append)
{
    if (!append->is_done)
        bench_run_until(bench, &append->is_done);
    writer_release(&append->bytes);
    return append->op.err;
}

enum err bench_append_batch(struct bench *bench, struct log *log, int32_t epoch,
                            const struct bench_batch *batch)
{
    struct bench_append append;

    (void)!bench_append_begin(bench, log,
                              batch->is_control ? APPEND_ORIGIN_COORDINATOR : APPEND_ORIGIN_CLIENT,
                              epoch, log_end_queued(log), batch, &append);
    return bench_append_end(bench, &append);
}

static void bytes_done(struct log_append *op)
{
    *(bool *)op->context = true;
}

enum err bench_append_bytes(struct bench *bench, struct log *log, uint8_t *data, size_t size_bytes,
                            enum append_origin origin)
{
    bool is_done = false;
    struct log_append append = {.data = data,
                                .size_bytes = size_bytes,
                                .origin = origin,
                                .done = bytes_done,
                                .context = &is_done};
    struct why why;
    enum err err = log_append(log, &append, &why);

    if (err != OK)
        return err;
    bench_run_until(bench, &is_done);
    return append.err;
}

enum err bench_append(struct bench *bench, struct log *log, int32_t epoch, int count,
                      size_t value_bytes)
{
    return bench_append_batch(bench, log, epoch,
                              &(struct bench_batch){.count = count, .value_bytes = value_bytes});
}

enum err bench_replicate(struct bench *bench, struct log *log, int32_t epoch, int64_t offset,
                         const struct bench_batch *batch)
{
    struct bench_append append;

    (void)!bench_append_begin(bench, log, APPEND_ORIGIN_REPLICATION, epoch, offset, batch, &append);
    return bench_append_end(bench, &append);
}

struct waiting_flush {
    struct log_wait op;
    bool is_done;
};

static void flush_done(struct log_wait *op)
{
    CONTAINER_OF(op, struct waiting_flush, op)->is_done = true;
}

enum err bench_flush(struct bench *bench, struct log *log, int64_t offset)
{
    struct waiting_flush waiting = {.op = {.offset = offset, .done = flush_done}};

    log_flush(log, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    return waiting.op.err;
}

struct waiting_raise {
    struct log_start_op op;
    bool is_done;
};

static void raise_done(struct log_start_op *op)
{
    CONTAINER_OF(op, struct waiting_raise, op)->is_done = true;
}

enum err bench_raise_start(struct bench *bench, struct log *log, int64_t offset)
{
    struct waiting_raise waiting = {.op.done = raise_done};

    log_raise_start(log, offset, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    return waiting.op.err;
}

struct waiting_change {
    struct log_change_op op;
    bool is_done;
};

static void change_done(struct log_change_op *op)
{
    CONTAINER_OF(op, struct waiting_change, op)->is_done = true;
}

enum err bench_change(struct bench *bench, struct log *log,
                      void (*change)(struct log *log, struct log_change_op *op))
{
    struct waiting_change waiting = {.op.done = change_done};

    change(log, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    return waiting.op.err;
}

enum err bench_truncate(struct bench *bench, struct log *log, int64_t offset)
{
    struct waiting_change waiting = {.op.done = change_done};

    log_truncate(log, offset, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    return waiting.op.err;
}

enum err bench_truncate_fully(struct bench *bench, struct log *log, int64_t offset)
{
    struct waiting_change waiting = {.op.done = change_done};

    log_truncate_fully(log, offset, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    return waiting.op.err;
}

enum err bench_close_log(struct bench *bench, struct log **log)
{
    return bench_change(bench, TAKE(*log), log_close);
}

enum err bench_delete(struct bench *bench, struct log **log)
{
    return bench_change(bench, TAKE(*log), log_delete);
}

enum err bench_make_stray(struct bench *bench, struct log **log)
{
    return bench_change(bench, TAKE(*log), log_make_stray);
}
