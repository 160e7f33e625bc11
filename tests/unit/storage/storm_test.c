/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything at the same time: appends, reads, searches, flushes, rolls, retention, compaction, raised starts,
 * truncations, closes and faults, none of which waits for another, in an order that the seed chooses. What must hold:
 * each is answered once, nothing hangs, and after a restart every log opens with what was flushed.
 *   BARNABAS_SEED, BARNABAS_SEEDS in the environment: where to begin, how many
 */
#include "compaction_support.h"

#include <stdlib.h>

#define LOGS 3
#define OPS 48
#define STEPS 150

enum kind { KIND_FREE, KIND_APPEND, KIND_READ, KIND_LOOKUP, KIND_FLUSH, KIND_CHANGE, KIND_START };

struct op {
    enum kind kind;
    int log;
    bool is_done;
    bool reads_bytes;
    struct writer bytes;
    uint8_t *buffer;
    union {
        struct log_append append;
        struct log_read read;
        struct log_lookup lookup;
        struct log_wait wait;
        struct log_change_op change;
        struct log_start_op start;
    } as;
};

struct storm {
    struct bench bench;
    struct random random;
    struct log *logs[LOGS];
    int64_t flushed[LOGS];
    struct op ops[OPS];
};

static const char *const topics[LOGS] = {"topic", "other", "compacted"};

static void append_done(struct log_append *op)
{
    ((struct op *)op->context)->is_done = true;
}
static void read_done(struct log_read *op)
{
    ((struct op *)op->context)->is_done = true;
}
static void lookup_done(struct log_lookup *op)
{
    ((struct op *)op->context)->is_done = true;
}
static void wait_done(struct log_wait *op)
{
    ((struct op *)op->context)->is_done = true;
}
static void change_done(struct log_change_op *op)
{
    ((struct op *)op->context)->is_done = true;
}
static void start_done(struct log_start_op *op)
{
    ((struct op *)op->context)->is_done = true;
}

static int64_t below(struct storm *storm, int64_t bound)
{
    return bound > 0 ? (int64_t)random_below(&storm->random, (uint64_t)bound) : 0;
}

static bool chance(struct storm *storm, uint32_t one_in)
{
    return random_chance(&storm->random, 1, one_in);
}

static bool is_in_use(const struct storm *storm, int log, enum kind kind)
{
    for (size_t i = 0; i < OPS; i++)
        if (storm->ops[i].kind == kind && storm->ops[i].log == log)
            return true;
    return false;
}

/* Goes on with a read that is planned; frees what is over. */
static void op_harvest(struct storm *storm, struct op *op)
{
    if (op->kind == KIND_FREE || !op->is_done)
        return;
    if (op->kind == KIND_READ && !op->reads_bytes && op->as.read.err == OK &&
        op->as.read.size_bytes > 0) {
        op->reads_bytes = true;
        op->is_done = false;
        op->buffer = malloc(op->as.read.size_bytes);
        assert_non_null(op->buffer);
        log_read_bytes(&op->as.read, op->buffer);
        return;
    }
    if (op->kind == KIND_READ) {
        log_read_release(&op->as.read);
        free(op->buffer);
    }
    if (op->kind == KIND_APPEND)
        writer_release(&op->bytes);
    op->kind = KIND_FREE;
    UNUSED(storm);
}

static void harvest(struct storm *storm)
{
    for (size_t i = 0; i < OPS; i++)
        op_harvest(storm, &storm->ops[i]);
}

static struct op *op_new(struct storm *storm, int log, enum kind kind)
{
    for (size_t i = 0; i < OPS; i++) {
        if (storm->ops[i].kind != KIND_FREE)
            continue;
        storm->ops[i] = (struct op){.kind = kind, .log = log};
        return &storm->ops[i];
    }
    return NULL;
}

static void step_append(struct storm *storm, int at)
{
    struct log *log = storm->logs[at];
    struct op *op = op_new(storm, at, KIND_APPEND);
    struct bench_batch batch = {.count = (int)below(storm, 3) + 1,
                                .value_bytes = (size_t)below(storm, 500),
                                .codec = chance(storm, 2) ? COMPRESSION_LZ4 : COMPRESSION_NONE};
    struct why why;

    if (!op)
        return;
    writer_init(&op->bytes, &bench_heap, SIZE_MAX);
    bench_batch_build(&storm->bench, log_end_queued(log), 3, &batch, &op->bytes);
    op->as.append = (struct log_append){.data = op->bytes.data,
                                        .size_bytes = op->bytes.size_bytes,
                                        .origin = APPEND_ORIGIN_CLIENT,
                                        .leader_epoch = 3,
                                        .done = append_done,
                                        .context = op};
    if (log_append(log, &op->as.append, &why) != OK)
        op->is_done = true;
}

static void step_read(struct storm *storm, int at)
{
    struct log *log = storm->logs[at];
    struct op *op = op_new(storm, at, KIND_READ);
    int64_t start = log_start_offset(log);

    if (!op)
        return;
    op->as.read = (struct log_read){.offset = start + below(storm, log_end_written(log) - start),
                                    .bound_offset = log_end_written(log),
                                    .bytes_max = (size_t)below(storm, 3000),
                                    .at_least_one = chance(storm, 2),
                                    .wants_aborted = chance(storm, 2),
                                    .done = read_done,
                                    .context = op};
    if (log_read_plan(log, &op->as.read))
        op->is_done = true;
}

static void step_lookup(struct storm *storm, int at)
{
    struct op *op = op_new(storm, at, KIND_LOOKUP);

    if (!op)
        return;
    op->as.lookup = (struct log_lookup){
        .timestamp =
            chance(storm, 5) ? LOG_TIMESTAMP_MAX : os_wall_ms(storm->bench.os) - below(storm, 200),
        .latest_offset = log_end_written(storm->logs[at]),
        .bytes_max = 1 << 20,
        .done = lookup_done,
        .context = op};
    log_lookup_offset(storm->logs[at], &op->as.lookup);
}

/* A log that leaves is opened again when it has gone. */
static void step_change(struct storm *storm, int at)
{
    struct log *log = storm->logs[at];
    bool leaves = chance(storm, 3);
    struct op *op;

    if (leaves && (is_in_use(storm, at, KIND_READ) || is_in_use(storm, at, KIND_LOOKUP) ||
                   is_in_use(storm, at, KIND_START)))
        return;
    op = op_new(storm, at, KIND_CHANGE);
    if (!op)
        return;
    op->as.change = (struct log_change_op){.done = change_done, .context = op};
    if (!leaves) {
        int64_t start = log_start_offset(log);
        int64_t offset = start + below(storm, log_end_queued(log) - start + 1);

        storm->flushed[at] = MIN(storm->flushed[at], offset);
        if (chance(storm, 5))
            log_truncate_fully(log, offset, &op->as.change);
        else
            log_truncate(log, offset, &op->as.change);
        return;
    }
    storm->logs[at] = NULL;
    if (chance(storm, 3)) {
        storm->flushed[at] = 0;
        log_delete(log, &op->as.change);
    } else {
        log_close(log, &op->as.change);
    }
}

static void fault_add(struct storm *storm)
{
    static const enum err errs[] = {ERR_TOO_MANY_FILES, ERR_TOO_MANY_FILES, ERR_DISK_FULL, ERR_IO};
    enum err err = errs[below(storm, 4)];
    unsigned calls = err == ERR_TOO_MANY_FILES ? 1u << SIM_CALL_OPEN
                     : err == ERR_DISK_FULL    ? 1u << SIM_CALL_WRITE
                                               : SIM_CALLS_ALL;

    if (err == ERR_IO && !chance(storm, 4))
        return;
    sim_fault_add(storm->bench.os, &(struct sim_fault){.calls = calls,
                                                       .path_part = "/data",
                                                       .skip_count = below(storm, 10),
                                                       .effect = SIM_EFFECT_ERROR,
                                                       .err = err});
}

static void step(struct storm *storm)
{
    int at = (int)below(storm, LOGS);
    struct log *log = storm->logs[at];
    struct op *op;

    if (!log) {
        if (!is_in_use(storm, at, KIND_CHANGE))
            (void)!bench_log_try(&storm->bench, topics[at], 0, &storm->logs[at]);
        return;
    }
    switch (below(storm, 16)) {
    case 0:
        step_change(storm, at);
        break;
    case 1:
    case 2:
    case 3:
        step_read(storm, at);
        break;
    case 4:
        step_lookup(storm, at);
        break;
    case 5:
        op = op_new(storm, at, KIND_FLUSH);
        if (!op)
            break;
        op->as.wait =
            (struct log_wait){.offset = log_end_queued(log), .done = wait_done, .context = op};
        log_flush(log, &op->as.wait);
        break;
    case 6:
        log_roll(log);
        break;
    case 7:
        if (!log_is_failed(log) && !is_in_use(storm, at, KIND_CHANGE))
            log_set_high_watermark(log, log_end_written(log));
        log_retention_run(log);
        break;
    case 8:
        op = op_new(storm, at, KIND_START);
        if (!op)
            break;
        op->as.start = (struct log_start_op){.done = start_done, .context = op};
        log_raise_start(log, log_start_offset(log) + below(storm, 3), &op->as.start);
        break;
    case 9:
        fault_add(storm);
        break;
    default:
        step_append(storm, at);
        break;
    }
}

static bool any_failed(const struct storm *storm)
{
    return log_directory_is_offline(log_directories_at(storm->bench.directories, 0));
}

static void all_end(struct storm *storm)
{
    for (int round = 0; round < 1000; round++) {
        bool any = false;

        harvest(storm);
        for (size_t i = 0; i < OPS; i++)
            any = any || storm->ops[i].kind != KIND_FREE;
        if (!any)
            return;
        bench_pass(&storm->bench, 100);
    }
    for (size_t i = 0; i < OPS; i++)
        if (storm->ops[i].kind != KIND_FREE)
            fail_msg("seed %llu: operation %zu of kind %d has no end",
                     (unsigned long long)sim_seed(storm->bench.sim), i, (int)storm->ops[i].kind);
}

static void storm_begin(struct storm *storm, uint64_t seed)
{
    struct storage_options *options = &storm->bench.options;
    struct log_config *config = &storm->bench.config;

    *storm = (struct storm){0};
    bench_prepare(&storm->bench, seed, 1);
    sim_random_init(storm->bench.sim, &storm->random, "storm");
    options->open_files_max = 2 + (int)(seed % 3);
    options->index_bytes_max = 200;
    options->recovery_bytes_max = 1500;
    options->retention_check_interval_ms = 30;
    options->initial_delay_ms = 1;
    options->checkpoint_start_interval_ms = 20;
    options->checkpoint_offset_interval_ms = 20;
    options->checkpoint_high_watermark_interval_ms = 20;
    options->reserve_bytes = 4096;
    options->cleaner.backoff_ms = 10;
    config->segment_bytes = 1500;
    config->index_interval_bytes = 100;
    config->retention_bytes = 6000;
    config->file_delete_delay_ms = seed % 2;
    config->min_cleanable_dirty_ratio = 0;
    config->cleanup_compact = seed % 3 == 0;
    config->flush_mode = seed % 5 == 4 ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
}

static void storm_run(uint64_t seed)
{
    static struct storm storm;

    storm_begin(&storm, seed);
    for (int life = 0; life < 3; life++) {
        bench_start(&storm.bench);
        for (int at = 0; at < LOGS; at++)
            if (bench_log_try(&storm.bench, topics[at], 0, &storm.logs[at]) != OK)
                storm.logs[at] = NULL;
        for (int i = 0; i < STEPS && !any_failed(&storm); i++) {
            step(&storm);
            if (chance(&storm, 2))
                sim_run_until(storm.bench.sim, sim_now_ns(storm.bench.sim) + below(&storm, 2000000),
                              NULL, NULL);
            harvest(&storm);
        }
        all_end(&storm);
        sim_faults_clear(storm.bench.os);
        bench_halt(&storm.bench);
    }
    bench_start(&storm.bench);
    for (int at = 0; at < LOGS; at++) {
        OKAY(bench_log_try(&storm.bench, topics[at], 0, &storm.logs[at]));
        assert_true(log_end_written(storm.logs[at]) >= log_start_offset(storm.logs[at]));
    }
    bench_close(&storm.bench);
}

static void whatever_comes_at_the_same_time_is_answered(void **state)
{
    const char *first = getenv("BARNABAS_SEED"), *count = getenv("BARNABAS_SEEDS");
    uint64_t from = first ? strtoull(first, NULL, 0) : 1;
    uint64_t seeds = count ? strtoull(count, NULL, 0) : 200;

    for (uint64_t seed = from; seed < from + seeds; seed++) {
        if (count)
            print_message("BARNABAS_SEED=%llu\n", (unsigned long long)seed);
        storm_run(seed);
    }
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_comes_at_the_same_time_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
