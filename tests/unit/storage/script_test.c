/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that a log can do, ended at every file call in turn by a power cut or by the death of the
 * process; and the same operations at random. What is held against the log afterwards: nothing that was
 * flushed is lost, offsets are in order, CRCs are right, and epochs, producers and aborted transactions
 * are those that the batches tell.
 */
#include "support.h"

#include <stdlib.h>

#define PLAIN 7         /* an idempotent producer */
#define TRANSACTIONAL 8 /* a transactional one */
#define BATCHES_MAX 512

struct play {
    struct bench bench;
    struct log *log;
    int64_t flushed;      /* not to be lost */
    int64_t queued;       /* no more than this may come back */
    int64_t start;        /* where the log was last told to begin */
    int64_t known_epochs; /* epochs below it may be forgotten */
    int32_t epoch;
    int64_t batch_ends[BATCHES_MAX]; /* where a truncation may cut */
    size_t batch_count;
    bool has_hole;    /* mode os: a power cut took a part, not what is behind it */
    int64_t hole_end; /* of the one that was seen last; 0: none */
};

/* ---- what the batches tell ---- */

struct told {
    int32_t plain_sequence; /* last one; -1: none seen */
    int64_t transaction;    /* first offset of the open one; -1 */
    struct aborted_transaction aborted[BATCHES_MAX];
    size_t aborted_count;
};

static void batch_hear(struct told *told, struct slice batch)
{
    struct producer_append append;
    struct batch_header header;

    OKAY(batch_header_read(batch, &header));
    if (!batch_has_producer(&header))
        return;
    OKAY(producer_append_read(batch, &append));
    if (append.producer_id == PLAIN) {
        told->plain_sequence = append.last_sequence;
    } else if (!append.control) {
        if (told->transaction < 0)
            told->transaction = append.first_offset;
    } else {
        if (append.is_abort && told->transaction >= 0)
            told->aborted[told->aborted_count++] =
                (struct aborted_transaction){append.producer_id, told->transaction};
        told->transaction = -1;
    }
}

static void hear(struct play *play, struct told *told)
{
    struct log *log = play->log;
    int64_t next = log_start_offset(log);

    *told = (struct told){.plain_sequence = -1, .transaction = -1};
    play->batch_count = 0;
    play->has_hole = false;
    while (next < log_end_written(log)) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = log_end_written(log),
                                         .bytes_max = 64 * 1024,
                                         .at_least_one = true}};
        struct slice rest, batch;
        struct batch_header header;

        OKAY(bench_read(&play->bench, log, &read));
        if (read.op.size_bytes == 0) {
            /* A segment that was rolled to is there, and what was to be before it is not: never flushed. */
            assert_int_equal(play->bench.config.flush_mode, FLUSH_MODE_OS);
            assert_true(next >= play->flushed || log_end_written(log) == play->hole_end);
            play->has_hole = true;
            play->hole_end = log_end_written(log);
            bench_read_release(&read);
            break;
        }
        rest = slice_of(read.bytes, read.op.read_bytes);
        for (OKAY(batch_next(&rest, &batch)); batch.size_bytes > 0;
             OKAY(batch_next(&rest, &batch))) {
            OKAY(batch_header_read(batch, &header));
            if (header.base_offset > next) { /* between segments, of what was never flushed */
                assert_int_equal(play->bench.config.flush_mode, FLUSH_MODE_OS);
                assert_true(next >= play->flushed || header.base_offset == play->hole_end);
                play->has_hole = true;
                play->hole_end = header.base_offset; /* it stays, whatever is flushed later */
            }
            batch_hear(told, batch);
            next = batch_next_offset(&header);
            /* The start moves back when its checkpoint lags; epochs below it are gone for good. */
            if (next > play->known_epochs)
                assert_int_equal(log_epoch_of(log, MAX(header.base_offset, play->known_epochs)),
                                 header.leader_epoch);
            assert_true(play->batch_count < BATCHES_MAX);
            play->batch_ends[play->batch_count++] = next;
        }
        bench_read_release(&read);
    }
}

static bool was_aborted(const struct told *told, const struct aborted_transaction *aborted)
{
    for (size_t i = 0; i < told->aborted_count; i++)
        if (told->aborted[i].first_offset == aborted->first_offset)
            return true;
    return false;
}

static void check(struct play *play)
{
    struct log *log = play->log;
    const struct producer_entry *entry;
    struct bench_read read = {.op = {.offset = log_start_offset(log),
                                     .bound_offset = log_end_written(log),
                                     .bytes_max = 1 << 24,
                                     .wants_aborted = true}};
    struct told told;

    assert_true(log_end_written(log) >= play->flushed);
    assert_true(log_end_written(log) <= play->queued);
    assert_true(log_start_offset(log) <= play->start);
    assert_true(log_high_watermark(log) <= log_end_written(log));
    assert_true(log_recovery_point(log) <= log_end_written(log));
    hear(play, &told);
    assert_true(log_epoch_latest(log) <= play->epoch);
    /* Below a start that moved up a batch may be half there: values are checked from the next. */
    if (play->batch_count > 0 && !play->has_hole)
        assert_int_equal(bench_verify_from(&play->bench, log, play->batch_ends[0]),
                         log_end_written(log));
    if (told.plain_sequence >= 0) {
        entry = producer_state_find(log_producers(log), PLAIN);
        assert_non_null(entry);
        assert_int_equal(producer_entry_last_sequence(entry), told.plain_sequence);
    }
    entry = producer_state_find(log_producers(log), TRANSACTIONAL);
    if (told.transaction >= 0) {
        assert_non_null(entry);
        assert_true(entry->transaction_first_offset >= 0);
        assert_true(entry->transaction_first_offset <= told.transaction);
    }
    OKAY(bench_read(&play->bench, log, &read));
    if (log_segment_count(log) == 1) { /* the read covers all of the log */
        assert_true(read.op.aborted_count >= told.aborted_count);
        if (log_start_offset(log) == 0)
            for (size_t i = 0; i < read.op.aborted_count; i++)
                assert_true(was_aborted(&told, &read.op.aborted[i]));
    }
    bench_read_release(&read);
}

/* ---- what a log can do ---- */

static enum err play_open(struct play *play)
{
    return bench_log_try(&play->bench, "topic", 0, &play->log);
}

static enum err add(struct play *play, const struct bench_batch *batch)
{
    int64_t end;

    play->queued = MAX(play->queued, log_end_queued(play->log) + MAX(batch->count, 1));
    end = log_end_queued(play->log);
    TRY(bench_append_batch(&play->bench, play->log, play->epoch, batch));
    /* A state that forgot deleted records starts producers anew, and remembers them after a crash
     * that brought those records back: then it sees a duplicate. */
    assert_true(play->batch_count < BATCHES_MAX);
    if (log_end_queued(play->log) > end)
        play->batch_ends[play->batch_count++] = log_end_queued(play->log);
    return OK;
}

static int32_t next_sequence(struct play *play, int64_t producer_id)
{
    const struct producer_entry *entry = producer_state_find(log_producers(play->log), producer_id);

    return entry ? producer_entry_last_sequence(entry) + 1 : 0;
}

static enum err add_plain(struct play *play, int count, size_t value_bytes)
{
    return add(play, &(struct bench_batch){.producer_id = PLAIN,
                                           .sequence = next_sequence(play, PLAIN),
                                           .count = count,
                                           .value_bytes = value_bytes});
}

static enum err add_transactional(struct play *play, int count)
{
    return add(play, &(struct bench_batch){.producer_id = TRANSACTIONAL,
                                           .sequence = next_sequence(play, TRANSACTIONAL),
                                           .count = count,
                                           .transactional = true});
}

static enum err end_transaction(struct play *play, bool is_abort)
{
    return add(play, &(struct bench_batch){
                         .producer_id = TRANSACTIONAL, .is_control = true, .is_abort = is_abort});
}

static enum err flush(struct play *play)
{
    int64_t end = log_end_written(play->log);

    TRY(bench_flush(&play->bench, play->log, end));
    play->flushed = end;
    return OK;
}

static enum err cut(struct play *play, int64_t offset)
{
    play->flushed = MIN(play->flushed, offset);
    play->start = MIN(play->start, offset);
    while (play->batch_count > 0 && play->batch_ends[play->batch_count - 1] > offset)
        play->batch_count--;
    TRY(bench_truncate(&play->bench, play->log, offset));
    play->known_epochs = MIN(play->known_epochs, offset);
    return OK;
}

static enum err retain(struct play *play, int64_t start)
{
    log_set_high_watermark(play->log,
                           MAX(log_high_watermark(play->log), log_end_flushed(play->log)));
    start = MIN(start, log_high_watermark(play->log));
    play->start = MAX(play->start, start);
    play->known_epochs = MAX(play->known_epochs, start);
    TRY(log_set_start_offset(play->log, start));
    log_retention_run(play->log);
    bench_pass(&play->bench, 70000);
    return OK;
}

static enum err close_and_open(struct play *play)
{
    int64_t end = log_end_written(play->log);

    TRY(bench_close_log(&play->bench, &play->log));
    play->flushed = end;
    return play_open(play);
}

/* ---- the script ---- */

static enum err script(struct play *play)
{
    TRY(play_open(play));
    for (int i = 0; i < 4; i++) {
        TRY(add_plain(play, 2, 900));
        TRY(flush(play));
    }
    TRY(add_transactional(play, 2));
    log_roll(play->log);
    TRY(add_plain(play, 1, 10));
    TRY(end_transaction(play, true));
    TRY(flush(play));
    bench_pass(&play->bench, 2000);
    play->epoch++;
    TRY(log_epoch_assign(play->log, play->epoch, log_end_queued(play->log)));
    TRY(add_transactional(play, 1));
    TRY(end_transaction(play, false));
    TRY(add_plain(play, 3, 1500));
    TRY(flush(play));
    TRY(cut(play, 13)); /* behind the epoch's first batches */
    TRY(add_plain(play, 2, 500));
    TRY(flush(play));
    TRY(cut(play, 6)); /* into the first segment */
    TRY(add_plain(play, 2, 2500));
    TRY(add_transactional(play, 1));
    TRY(flush(play));
    TRY(retain(play, 5));
    TRY(close_and_open(play));
    TRY(add_plain(play, 2, 2500));
    TRY(flush(play));
    TRY(retain(play, 9));
    return OK;
}

static void play_begin(struct play *play, uint64_t seed, enum flush_mode mode)
{
    *play = (struct play){0};
    bench_open(&play->bench, seed);
    play->bench.config.segment_bytes = 6000;
    play->bench.config.index_interval_bytes = 500;
    play->bench.config.file_delete_delay_ms = 1000;
    play->bench.config.flush_mode = mode;
}

enum ending { ENDING_POWER_CUT, ENDING_DEATH };
static void machine_end_at(struct play *play, enum ending ending, int64_t n,
                           const struct sim_crash_options *options)
{
    if (ending == ENDING_POWER_CUT)
        sim_machine_crash_at(play->bench.os, n, options);
    else
        sim_machine_kill_at(play->bench.os, n);
}

/* Takes the dead node apart, starts anew, checks. Of a death everything written is left. */
static void play_again(struct play *play, bool has_stopped)
{
    struct os *dead = play->bench.os;

    if (!has_stopped) {
        if (sim_machine_is_up(play->bench.os))
            sim_machine_kill(play->bench.os);
        bench_stop(&play->bench, false);
    }
    OKAY(sim_machine_restart(dead, &play->bench.os));
    os_release(&dead);
    bench_start(&play->bench);
    OKAY(play_open(play));
    check(play);
}

static bool script_ended_at(int64_t n, enum ending ending, enum flush_mode mode,
                            const struct sim_crash_options *options)
{
    struct play play;
    bool has_stopped = false;
    bool survived;
    enum err err;

    play_begin(&play, (uint64_t)n, mode);
    machine_end_at(&play, ending, n, options);
    err = script(&play);
    if (err == OK && sim_machine_is_up(play.bench.os)) {
        bench_stop(&play.bench, true); /* the orderly stop is part of it */
        has_stopped = true;
    }
    survived = sim_machine_is_up(play.bench.os);
    if (survived) {
        assert_int_equal(err, OK);
        sim_machine_kill(play.bench.os);
    }
    play_again(&play, has_stopped);
    if (survived)
        assert_true(log_directory_was_clean(log_directories_at(play.bench.directories, 0)));
    /* It goes on from there, and what is flushed now is safe too. */
    play.epoch++;
    OKAY(add_plain(&play, 2, 100));
    OKAY(flush(&play));
    bench_crash(&play.bench, &(struct sim_crash_options){.drop_weight = 1});
    OKAY(play_open(&play));
    check(&play);
    bench_close(&play.bench);
    return survived;
}

static void script_at_every_call(enum ending ending, enum flush_mode mode,
                                 const struct sim_crash_options *options)
{
    int64_t n = 0;

    while (!script_ended_at(n, ending, mode, options))
        n++;
    assert_true(n > 150);
}

static void a_power_cut_at_any_file_call_loses_nothing_that_was_flushed(void **state)
{
    script_at_every_call(ENDING_POWER_CUT, FLUSH_MODE_COMMIT, NULL);
}

static void a_power_cut_that_drops_all_unsynced_bytes_loses_nothing_that_was_flushed(void **state)
{
    script_at_every_call(ENDING_POWER_CUT, FLUSH_MODE_COMMIT,
                         &(struct sim_crash_options){.drop_weight = 1});
}

static void a_power_cut_that_tears_sectors_loses_nothing_that_was_flushed(void **state)
{
    script_at_every_call(ENDING_POWER_CUT, FLUSH_MODE_COMMIT,
                         &(struct sim_crash_options){.keep_weight = 1, .tear_weight = 1});
}

static void in_os_mode_too_an_explicit_flush_is_not_lost_by_a_power_cut(void **state)
{
    script_at_every_call(ENDING_POWER_CUT, FLUSH_MODE_OS, NULL);
}

static void the_death_of_the_process_at_any_file_call_loses_nothing(void **state)
{
    script_at_every_call(ENDING_DEATH, FLUSH_MODE_COMMIT, NULL);
    script_at_every_call(ENDING_DEATH, FLUSH_MODE_OS, NULL);
}

/* ---- at random ---- */

static int64_t some_batch_end(struct play *play, struct random *random)
{
    return play->batch_count > 0 ? play->batch_ends[random_below(random, play->batch_count)]
                                 : log_end_queued(play->log);
}

static enum err step(struct play *play, struct random *random)
{
    switch (random_below(random, 16)) {
    case 0:
        log_roll(play->log);
        return OK;
    case 1:
        bench_pass(&play->bench, (int64_t)random_below(random, 100000));
        return OK;
    case 2: {
        int64_t offset = some_batch_end(play, random);

        if (offset < log_start_offset(play->log))
            return OK;
        return cut(play, offset);
    }
    case 3:
        return retain(play, some_batch_end(play, random));
    case 4:
        return close_and_open(play);
    case 5:
        play->epoch++;
        return log_epoch_assign(play->log, play->epoch, log_end_queued(play->log));
    case 6:
    case 7:
        return add_transactional(play, (int)random_between(random, 1, 3));
    case 8: {
        const struct producer_entry *entry =
            producer_state_find(log_producers(play->log), TRANSACTIONAL);

        if (!entry || entry->transaction_first_offset < 0)
            return OK;
        return end_transaction(play, random_chance(random, 1, 2));
    }
    case 9:
    case 10:
    case 11:
        return flush(play);
    default:
        return add_plain(play, (int)random_between(random, 1, 5),
                         (size_t)random_below(random, 1000));
    }
}

static void random_life(struct play *play, struct random *random)
{
    /* In os mode a power cut may leave a hole behind what was flushed, as with Apache: pages are
     * written back in any order. */
    bool has_power_cuts = play->bench.config.flush_mode == FLUSH_MODE_COMMIT;
    enum ending ending =
        has_power_cuts && random_chance(random, 1, 2) ? ENDING_POWER_CUT : ENDING_DEATH;
    bool has_stopped = false;
    enum err err = OK;

    if (random_chance(random, 3, 4))
        machine_end_at(play, ending, (int64_t)random_below(random, 300), NULL);
    for (int i = 0; i < 40 && err == OK; i++)
        err = step(play, random);
    if (err != OK)
        assert_false(sim_machine_is_up(play->bench.os));
    if (sim_machine_is_up(play->bench.os) && random_chance(random, 1, 2)) {
        sim_machine_crash_at(play->bench.os, -1, NULL);
        play->flushed = log_end_written(play->log);
        bench_stop(&play->bench, true);
        has_stopped = true;
        sim_machine_kill(play->bench.os);
    } else if (sim_machine_is_up(play->bench.os) && has_power_cuts && random_chance(random, 1, 2)) {
        sim_machine_crash(play->bench.os, NULL);
    }
    play_again(play, has_stopped);
    play->queued = log_end_written(play->log);
    play->start = log_start_offset(play->log);
    OKAY(flush(play));
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_lives_hold_the_invariants(void **state)
{
    uint64_t first = number_of("BARNABAS_SEED", 1);

    for (uint64_t seed = first; seed < first + number_of("BARNABAS_SEEDS", 300); seed++) {
        struct play play;
        struct random random;

        if (getenv("BARNABAS_SEEDS"))
            print_message("BARNABAS_SEED=%llu\n", (unsigned long long)seed);
        play_begin(&play, seed, seed % 3 == 0 ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT);
        sim_random_init(play.bench.sim, &random, "lives");
        OKAY(play_open(&play));
        for (int i = 0; i < 4; i++)
            random_life(&play, &random);
        bench_close(&play.bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_at_any_file_call_loses_nothing_that_was_flushed),
        cmocka_unit_test(a_power_cut_that_drops_all_unsynced_bytes_loses_nothing_that_was_flushed),
        cmocka_unit_test(a_power_cut_that_tears_sectors_loses_nothing_that_was_flushed),
        cmocka_unit_test(in_os_mode_too_an_explicit_flush_is_not_lost_by_a_power_cut),
        cmocka_unit_test(the_death_of_the_process_at_any_file_call_loses_nothing),
        cmocka_unit_test(random_lives_hold_the_invariants),
    };

    return cmocka_run_group_tests_name("storage/script", tests, NULL, NULL);
}
