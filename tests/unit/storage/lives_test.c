/* SPDX-License-Identifier: Apache-2.0 */
/* Many lives of one log directory: random work, ended by power cuts, deaths and orderly stops. */
#include "support.h"

#include <stdlib.h>

#define LOGS 3

struct model {
    struct log *log;
    int64_t flushed; /* acknowledged as durable and not truncated since */
    int64_t end;     /* what may be there at most */
    int32_t epoch;
    int64_t bases[1000]; /* of the batches: a cut inside one would leave a gap */
    size_t base_count;
};

static void bases_cut(struct model *model, int64_t end)
{
    while (model->base_count > 0 && model->bases[model->base_count - 1] >= end)
        model->base_count--;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

/* -1: the machine died over it. */
static int64_t verify(struct bench *bench, struct log *log)
{
    int64_t next = log_start_offset(log);

    while (next < log_end_written(log)) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = log_end_written(log),
                                         .bytes_max = 16 * 1024,
                                         .at_least_one = true}};
        enum err err = bench_read(bench, log, &read);

        if (err == OK) {
            next = bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), next);
        } else {
            assert_false(sim_machine_is_up(bench->os));
            next = -1;
        }
        bench_read_release(&read);
        if (err != OK)
            break;
    }
    return next;
}

static enum err open_all(struct bench *bench, struct model *models)
{
    for (int i = 0; i < LOGS; i++) {
        struct model *model = &models[i];
        enum err err = bench_log_try(bench, "topic", i, &model->log);

        if (err != OK) {
            assert_false(sim_machine_is_up(bench->os)); /* nothing else stops a log from opening */
            return err;
        }
        assert_true(log_end_written(model->log) >= model->flushed);
        assert_true(log_recovery_point(model->log) <= log_end_written(model->log));
        assert_true(log_end_written(model->log) <= model->end);
        model->end = log_end_written(model->log);
        if (verify(bench, model->log) != model->end) {
            assert_false(sim_machine_is_up(bench->os));
            return ERR_CRASHED;
        }
        bases_cut(model, model->end);
        model->flushed = model->end; /* recovery synced it, or says so now */
        err = bench_flush(bench, model->log, model->end);
        if (err != OK) {
            model->flushed = 0;
            return err;
        }
        assert_true(log_epoch_latest(model->log) <= model->epoch);
    }
    return OK;
}

static enum err append_some(struct bench *bench, struct random *random, struct model *model)
{
    int count = (int)random_between(random, 1, 6);

    model->end = MAX(model->end, log_end_queued(model->log) + count);
    assert_true(model->base_count < 1000);
    model->bases[model->base_count++] = log_end_queued(model->log);
    if (random_chance(random, 1, 10))
        model->epoch++;
    return bench_append(bench, model->log, model->epoch, count, (size_t)random_below(random, 1000));
}

static enum err step(struct bench *bench, struct random *random, struct model *model)
{
    enum err err;
    int64_t offset;

    switch (random_below(random, 12)) {
    case 0:
        log_roll(model->log);
        return OK;
    case 1:
        bench_pass(bench, (int64_t)random_below(random, 100000)); /* checkpoints, ticks */
        return OK;
    case 2:
        if (model->base_count == 0)
            return OK;
        /* One of the last five. */
        offset =
            model->bases[model->base_count - 1 - random_below(random, MIN(model->base_count, 5u))];
        model->flushed = MIN(model->flushed, offset);
        bases_cut(model, offset);
        return bench_truncate(bench, model->log, offset);
    case 3:
    case 4:
    case 5:
        err = bench_flush(bench, model->log, log_end_written(model->log));
        if (err == OK)
            model->flushed = log_end_flushed(model->log);
        return err;
    default:
        return append_some(bench, random, model);
    }
}

static void life(struct bench *bench, struct random *random, struct model *models)
{
    enum err err;

    if (random_chance(random, 2, 3)) {
        int64_t n = (int64_t)random_below(random, 400);

        if (random_chance(random, 1, 4))
            sim_machine_kill_at(bench->os, n);
        else
            sim_machine_crash_at(bench->os, n, NULL);
    }
    err = open_all(bench, models);
    for (int i = 0; i < 60 && err == OK; i++)
        err = step(bench, random, &models[random_below(random, LOGS)]);
    if (err != OK || !sim_machine_is_up(bench->os)) {
        assert_false(sim_machine_is_up(bench->os)); /* no other error is expected */
        bench_crash(bench, NULL);
        return;
    }
    sim_machine_crash_at(bench->os, -1, NULL);
    if (random_chance(random, 1, 2)) {
        for (int i = 0; i < LOGS; i++)
            models[i].flushed = log_end_written(models[i].log);
        bench_restart(bench);
        assert_true(log_directory_was_clean(log_directories_at(bench->directories, 0)));
    } else {
        bench_crash(bench, NULL);
    }
}

static uint64_t lives(uint64_t seed)
{
    struct bench bench;
    struct random random;
    struct model models[LOGS] = {0};
    uint64_t hash;

    bench_open(&bench, seed);
    bench.config.segment_bytes = 8000;
    bench.config.index_interval_bytes = 500;
    sim_random_init(bench.sim, &random, "lives");
    for (int i = 0; i < 8; i++)
        life(&bench, &random, models);
    OKAY(open_all(&bench, models));
    hash = sim_hash(bench.sim);
    bench_close(&bench);
    return hash;
}

static void what_was_flushed_survives_many_lives(void **state)
{
    uint64_t first = number_of("BARNABAS_SEED", 1);

    for (uint64_t seed = first; seed < first + number_of("BARNABAS_SEEDS", 10); seed++) {
        if (getenv("BARNABAS_SEEDS"))
            print_message("BARNABAS_SEED=%llu\n", (unsigned long long)seed);
        lives(seed);
    }
}

static void the_same_seed_gives_the_same_lives(void **state)
{
    uint64_t hash = lives(11);

    assert_true(hash == lives(11));
    assert_true(hash != lives(12));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_flushed_survives_many_lives),
        cmocka_unit_test(the_same_seed_gives_the_same_lives),
    };

    return cmocka_run_group_tests_name("storage/lives", tests, NULL, NULL);
}
