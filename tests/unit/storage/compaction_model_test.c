/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction against a model: random keys, tombstones and transactions, passes, truncations and power cuts at
 * every file call: a reader always has at least the newest value of each key, and never one that was deleted.
 * BARNABAS_SEED: the first seed; BARNABAS_SEEDS: how many.
 */
#include "compaction_support.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 12
#define PRODUCERS 3

struct writer_of {
    int64_t id;
    int32_t sequence;
    bool is_open;
};

static struct history history;

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void model_open(struct bench *bench, uint64_t seed)
{
    history.count = 0;
    bench_prepare(bench, seed, 1);
    bench->options.cleaner.backoff_ms = 200;
    bench->options.cleaner.dedupe_bytes = seed % 3 == 0 ? 24 * 8 : 100000;
    bench->config.cleanup_compact = true;
    bench->config.cleanup_delete = false;
    bench->config.min_cleanable_dirty_ratio = 0;
    bench->config.delete_retention_ms = seed % 2 ? 0 : 2000;
    bench->config.segment_bytes = 600 + (int32_t)(seed % 5) * 300;
    bench->config.flush_mode = FLUSH_MODE_COMMIT;
    bench_start(bench);
}

static void batch_write(struct bench *bench, struct log *log, struct random *random,
                        struct writer_of *writer)
{
    int pairs[4][2];
    struct keyed keyed = {.pairs = (const int(*)[2])pairs,
                          .count = 1 + (int)random_below(random, 4),
                          .codec = (enum compression)random_below(random, COMPRESSION_COUNT)};

    for (int i = 0; i < keyed.count; i++) {
        pairs[i][0] = (int)random_below(random, KEYS);
        pairs[i][1] = random_below(random, 3) == 0 ? -1 : history.count + i;
    }
    if (writer) {
        keyed.producer_id = writer->id;
        keyed.sequence = writer->sequence;
        keyed.transactional = true;
        writer->sequence += keyed.count;
        writer->is_open = true;
    }
    OKAY(keyed_append(bench, log, &history, &keyed));
}

static void step(struct bench *bench, struct log *log, struct random *random,
                 struct writer_of *writers)
{
    struct writer_of *writer = &writers[random_below(random, PRODUCERS)];

    switch (random_below(random, 8)) {
    case 0:
    case 1:
    case 2:
        batch_write(bench, log, random, NULL);
        break;
    case 3:
    case 4:
        batch_write(bench, log, random, writer);
        break;
    case 5:
    case 6:
        if (writer->is_open)
            OKAY(mark(bench, log, &history, writer->id, random_below(random, 2) == 0));
        writer->is_open = false;
        break;
    default:
        log_set_high_watermark(log, log_end_written(log));
        bench_pass(bench, (int64_t)random_below(random, 1500));
        break;
    }
}

static struct log *written(struct bench *bench, uint64_t seed, struct random *random,
                           struct writer_of *writers, int steps)
{
    struct log *log = bench_log(bench, "topic", 0);

    random_init(random, seed);
    for (int i = 0; i < PRODUCERS; i++)
        writers[i] = (struct writer_of){.id = 100 + i};
    for (int i = 0; i < steps; i++) {
        step(bench, log, random, writers);
        if (i % 16 == 0)
            compaction_check(bench, log, &history);
    }
    return log;
}

static void transactions_end(struct bench *bench, struct log *log, struct writer_of *writers)
{
    for (int i = 0; i < PRODUCERS; i++) {
        if (writers[i].is_open)
            OKAY(mark(bench, log, &history, writers[i].id, i % 2 == 0));
        writers[i].is_open = false;
    }
}

static void every_reader_sees_the_newest_values(void **state)
{
    uint64_t first = number_of("BARNABAS_SEED", 1);

    for (uint64_t seed = first; seed < first + number_of("BARNABAS_SEEDS", 60); seed++) {
        struct writer_of writers[PRODUCERS];
        struct random random;
        struct bench bench;
        struct log *log;

        print_message("BARNABAS_SEED=%llu\n", (unsigned long long)seed);
        model_open(&bench, seed);
        log = written(&bench, seed, &random, writers, 150);
        transactions_end(&bench, log, writers);
        for (int round = 0; round < 3; round++) {
            compaction_run(&bench, log);
            compaction_check(&bench, log, &history);
            OKAY(put(&bench, log, &history, KEYS, round));
        }
        compaction_run(&bench, log);
        /* Each key once, and no tombstone whose time is over. */
        assert_true(compaction_check(&bench, log, &history) <= KEYS + 1);
        if (seed % 4 == 0)
            bench_crash(&bench, NULL);
        else
            bench_restart(&bench);
        log = bench_log(&bench, "topic", 0);
        log_set_high_watermark(log, log_end_written(log));
        compaction_check(&bench, log, &history);
        bench_close(&bench);
    }
}

/* True: the pass ended before the call was reached. */
static bool life_with_crash_at(uint64_t seed, int64_t n)
{
    struct writer_of writers[PRODUCERS];
    struct random random;
    struct bench bench;
    struct log *log;
    bool survived;
    int64_t end;

    model_open(&bench, seed);
    bench.config.delete_retention_ms = 0;
    log = written(&bench, seed, &random, writers, 40);
    transactions_end(&bench, log, writers);
    log_roll(log);
    end = log_end_queued(log);
    OKAY(bench_flush(&bench, log, end));
    bench_pass(&bench, 3000); /* the recovery point is in its file: what is below is trusted */
    bench.config.segment_bytes = 4000; /* several segments become one */
    log_set_config(log, &bench.config);
    log_set_high_watermark(log, log_end_written(log));
    sim_machine_crash_at(bench.os, n, NULL);
    bench_pass(&bench, 6000);
    survived = sim_machine_is_up(bench.os);
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), end);
    log_set_high_watermark(log, log_end_written(log));
    compaction_check(&bench, log, &history);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".swap"), 0);
    compaction_run(&bench, log);
    assert_false(log_is_uncleanable(log)); /* no two segments hold the same offsets */
    compaction_check(&bench, log, &history);
    bench_close(&bench);
    return survived;
}

static void a_power_cut_at_every_file_call_of_a_pass_revives_nothing(void **state)
{
    uint64_t first = number_of("BARNABAS_SEED", 1);
    int64_t calls = 0;

    for (uint64_t seed = first; seed < first + number_of("BARNABAS_SEEDS", 4); seed++) {
        int64_t n = 0;

        do {
            print_message("BARNABAS_SEED=%llu n=%lld\n", (unsigned long long)seed, (long long)n);
        } while (!life_with_crash_at(seed, n++));
        calls += n;
    }
    assert_true(calls > 100);
}

/* A log whose swap was cut short, and then its completion at the opening too. */
static void a_power_cut_at_every_file_call_of_an_opening_revives_nothing(void **state)
{
    for (uint64_t seed = 1; seed < 25; seed++) {
        for (int64_t n = 0, up = 0; !up; n++) {
            struct writer_of writers[PRODUCERS];
            struct random random;
            struct bench bench;
            struct log *log;
            int64_t end;

            model_open(&bench, seed);
            bench.config.delete_retention_ms = 0;
            log = written(&bench, seed, &random, writers, 40);
            transactions_end(&bench, log, writers);
            log_roll(log);
            end = log_end_queued(log);
            OKAY(bench_flush(&bench, log, end));
            bench_pass(&bench, 3000);
            bench.config.segment_bytes = 4000;
            log_set_config(log, &bench.config);
            /* The first old name that a swap takes away ends the machine's life: .swap is there. */
            sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_RENAME,
                                                        .path_part = ".log.deleted",
                                                        .is_sticky = true,
                                                        .effect = SIM_EFFECT_ERROR,
                                                        .err = ERR_IO});
            log_set_high_watermark(log, log_end_written(log));
            bench_pass(&bench, 6000);
            sim_faults_clear(bench.os);
            bench_cut(&bench, NULL);
            up = 1;
            bench_start(&bench);
            sim_machine_crash_at(bench.os, n, NULL);
            if (bench_log_try(&bench, "topic", 0, &log) != OK || !sim_machine_is_up(bench.os)) {
                up = 0;
                bench_crash(&bench, NULL);
                log = bench_log(&bench, "topic", 0);
            } else {
                sim_machine_crash_at(bench.os, -1, NULL);
            }
            assert_int_equal(log_end_written(log), end);
            log_set_high_watermark(log, log_end_written(log));
            compaction_check(&bench, log, &history);
            compaction_run(&bench, log);
            assert_false(log_is_uncleanable(log));
            compaction_check(&bench, log, &history);
            bench_close(&bench);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reader_sees_the_newest_values),
        cmocka_unit_test(a_power_cut_at_every_file_call_of_a_pass_revives_nothing),
        cmocka_unit_test(a_power_cut_at_every_file_call_of_an_opening_revives_nothing),
    };

    return cmocka_run_group_tests_name("storage/compaction_model", tests, NULL, NULL);
}
