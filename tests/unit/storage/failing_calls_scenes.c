/* SPDX-License-Identifier: Apache-2.0 */
#include "compaction_support.h"
#include "failing_calls.h"

#include <stdio.h>

#define PLAIN 7         /* an idempotent producer */
#define TRANSACTIONAL 8 /* a transactional one */

/* ---- what may fail ---- */

static bool play_start(struct play *play)
{
    static const char *const paths[] = {"/data", "/data1"};
    struct bench *bench = &play->bench;
    struct logger *logger = bench->is_silent ? NULL : &bench->logger;
    struct random random;
    struct why why = {""};
    int64_t epoch;
    enum err err;

    sim_random_init(bench->sim, &random, "ids");
    bench->directories = NULL;
    bench->store = NULL;
    if (reactor_create(bench->os, 0, sim_seed(bench->sim), logger, &bench->reactor) != OK)
        return false;
    err = log_directories_open(bench->os, logger, &bench->options, paths, bench->directory_count,
                               &bench->directories, &why);
    if (err == OK)
        err = log_directories_check(bench->directories, SLICE(BENCH_CLUSTER), 1, &random, &why);
    if (err == OK)
        err = log_directories_begin(bench->directories, &epoch);
    if (err == OK)
        err = log_store_create(bench->directories, bench->reactor, bench->reactor, &bench->listener,
                               &bench->store);
    if (err == OK)
        return true;
    if (bench->directories)
        log_directories_close(&bench->directories, false, -1);
    reactor_release(&bench->reactor);
    return false;
}

static void play_open(struct play *play, size_t at, bool create)
{
    struct play_log *expected = &play->expected[at];
    struct log_open request = {.topic = slice_from_text(expected->topic),
                               .directory =
                                   log_directories_at(play->bench.directories, expected->directory),
                               .create = create,
                               .recover_all = expected->recovers_all};

    if (bench_log_open(&play->bench, &request, &play->logs[at]) != OK)
        play->logs[at] = NULL;
}

static void reads_try(struct bench *bench, struct log *log, bool committed)
{
    int64_t next = log_start_offset(log);
    enum err err = OK;

    for (int i = 0; i < 30 && err == OK && next < log_end_written(log); i++) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = log_end_written(log),
                                         .bytes_max = 2000,
                                         .at_least_one = true,
                                         .wants_aborted = committed}};

        err = bench_read(bench, log, &read);
        next = read.op.size_bytes > 0 ? next + 2 : INT64_MAX;
        bench_read_release(&read);
    }
}

static void lookups_try(struct bench *bench, struct log *log)
{
    int64_t now = os_wall_ms(bench->os);
    const int64_t wanted[] = {LOG_TIMESTAMP_MAX, 0,   now - 1000, now - 400,
                              now - 100,         now, now + HOUR};
    struct log_lookup lookup;

    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        (void)!bench_lookup(bench, log, wanted[i], &lookup);
}

/* Two batches and a marker each third time: transactions that reach over segments. */
static enum err fill_try(struct bench *bench, struct log *log, int from, int count)
{
    enum err err = OK;

    for (int i = from; i < from + count && err == OK; i++) {
        struct bench_batch plain = {.value_bytes = 400,
                                    .producer_id = PLAIN,
                                    .sequence = i,
                                    .codec = i % 2 ? COMPRESSION_LZ4 : COMPRESSION_NONE};
        struct bench_batch inside = {.value_bytes = 300,
                                     .producer_id = TRANSACTIONAL,
                                     .sequence = i / 3,
                                     .transactional = true};
        struct bench_batch marker = {
            .is_control = true, .is_abort = i % 2, .producer_id = TRANSACTIONAL};

        err = bench_append_batch(bench, log, i / 4, &plain);
        if (err == OK && i % 3 == 1)
            err = bench_append_batch(bench, log, i / 4, &inside);
        if (err == OK && i % 3 == 2)
            err = bench_append_batch(bench, log, i / 4, &marker);
        bench_pass(bench, 50);
    }
    return err;
}

/* ---- before and after ---- */

static struct play_log *expect(struct play *play, const char *topic, size_t directory)
{
    struct play_log *expected = &play->expected[play->log_count++];

    assert_true(play->log_count <= PLAY_LOGS);
    *expected = (struct play_log){.topic = topic, .directory = directory};
    return expected;
}

static void swift(struct bench *bench)
{
    struct storage_options *options = &bench->options;

    options->initial_delay_ms = 1;
    options->retention_check_interval_ms = 40;
    options->checkpoint_offset_interval_ms = 60;
    options->checkpoint_start_interval_ms = 60;
    options->checkpoint_high_watermark_interval_ms = 60;
    options->producer_expiration_check_ms = 70;
    options->flush_scheduler_interval_ms = 30;
    options->file_delete_delay_ms = 10;
    options->reserve_bytes = 4096;
    options->low_space_bytes = 1000;
    options->recovery_bytes_max = 900; /* snapshots in the midst of a segment */
    options->index_bytes_max = 100;
    options->open_files_max = 2;
    bench->config.segment_bytes = 2000;
    bench->config.index_interval_bytes = 100;
    bench->config.file_delete_delay_ms = 5;
}

static void filled_log(struct play *play, const char *topic, size_t directory)
{
    struct play_log *expected = expect(play, topic, directory);
    size_t at = play->log_count - 1;

    play_open(play, at, true);
    assert_non_null(play->logs[at]);
    OKAY(fill_try(&play->bench, play->logs[at], 0, 8));
    expected->kept = log_end_queued(play->logs[at]);
    OKAY(bench_flush(&play->bench, play->logs[at], expected->kept));
}

static void filled(struct play *play)
{
    swift(&play->bench);
    bench_start(&play->bench);
    filled_log(play, "topic", 0);
    filled_log(play, "other", 1);
}

void play_restart(struct play *play)
{
    memset(play->logs, 0, sizeof play->logs);
    bench_start(&play->bench);
}

static void batches_check(struct bench *bench, struct log *log)
{
    for (int64_t next = log_start_offset(log); next < log_end_written(log);) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = log_end_written(log),
                                         .bytes_max = 64 * 1024,
                                         .at_least_one = true}};
        struct slice bytes, batch;

        OKAY(bench_read(bench, log, &read));
        bytes = slice_of(read.bytes, read.op.read_bytes);
        if (bytes.size_bytes == 0)
            next = log_end_written(log);
        for (OKAY(batch_next(&bytes, &batch)); batch.size_bytes > 0;
             OKAY(batch_next(&bytes, &batch))) {
            struct batch_header header;

            assert_true(batch_is_valid(batch));
            OKAY(batch_header_read(batch, &header));
            assert_true(batch_next_offset(&header) > next);
            next = batch_next_offset(&header);
        }
        bench_read_release(&read);
    }
}

void play_verify(struct play *play)
{
    for (size_t i = 0; i < play->log_count; i++) {
        struct play_log *expected = &play->expected[i];
        struct log *log;

        play_open(play, i, false);
        log = play->logs[i];
        if (!log && expected->is_gone)
            continue;
        assert_non_null(log);
        if (expected->is_damaged)
            continue;
        assert_true(log_end_written(log) >= expected->kept);
        batches_check(&play->bench, log);
    }
}

/* ---- scenes ---- */

static void nothing(struct play *play)
{
    swift(&play->bench);
    /* As an older version left it: the id of the directory is drawn. */
    bench_file_put(&play->bench, "/data1/meta.properties", SLICE("version=0\nbroker.id=1\n"));
    expect(play, "topic", 0)->is_gone = true;
    expect(play, "other", 1)->is_gone = true;
}

static void first_life(struct play *play)
{
    if (!play_start(play))
        return;
    for (size_t i = 0; i < play->log_count; i++) {
        struct log *log;

        play_open(play, i, true);
        log = play->logs[i];
        if (log && fill_try(&play->bench, log, 0, 3) == OK &&
            bench_flush(&play->bench, log, log_end_queued(log)) == OK)
            play->expected[i] = (struct play_log){
                .topic = play->expected[i].topic, .directory = i, .kept = log_end_flushed(log)};
    }
    bench_pass(&play->bench, 200);
    bench_stop(&play->bench, true);
}

static void crashed(struct play *play)
{
    struct log *gone;

    filled(play);
    OKAY(bench_log_try(&play->bench, "gone", 0, &gone));
    OKAY(bench_append(&play->bench, gone, 0, 1, 100));
    play->bench.config.file_delete_delay_ms = HOUR;
    log_set_config(gone, &play->bench.config);
    OKAY(bench_delete(&play->bench, &gone));
    bench_cut(&play->bench, &(struct sim_crash_options){.keep_weight = 1});
    bench_file_put(&play->bench, "/data/topic-0/00000000000000000000.log.deleted", SLICE("x"));
    bench_file_put(&play->bench, "/data/topic-0/00000000000000000003.log.cleaned", SLICE("x"));
    bench_file_put(&play->bench, "/data/topic-0/00000000000000000099.log.swap", SLICE(""));
    bench_file_put(&play->bench, "/data/recovery-point-offset-checkpoint", SLICE(""));
}

/* What is below the recovery point is trusted, and the last entry of its index looked at. */
static void crashed_behind_its_point(struct play *play)
{
    filled(play);
    bench_pass(&play->bench, 200);
    OKAY(fill_try(&play->bench, play->logs[0], 8, 2));
    play->expected[1].recovers_all = true;
    bench_cut(&play->bench, &(struct sim_crash_options){.keep_weight = 1});
}

static void crashed_without_indexes(struct play *play)
{
    crashed(play);
    for (int offset = 0; offset < 30; offset++) {
        char path[100];

        for (size_t i = 0; i < 4; i++) {
            static const char *const suffixes[] = {".index", ".timeindex", ".txnindex",
                                                   ".snapshot"};

            snprintf(path, sizeof path, "/data/topic-0/%020d%s", offset, suffixes[i]);
            if (bench_file_size(&play->bench, path) >= 0)
                OKAY(os_unlink(play->bench.os, path));
        }
    }
    OKAY(os_unlink(play->bench.os, "/data/topic-0/leader-epoch-checkpoint"));
}

static void next_life(struct play *play)
{
    struct log_directory *directory;

    if (!play_start(play))
        return;
    directory = log_directories_at(play->bench.directories, 0);
    for (size_t i = 0; i < log_directory_found_count(directory); i++) {
        struct log_name name;
        const char *text = log_directory_found(directory, i, &name);

        if (name.kind == LOG_NAME_DELETE)
            log_store_purge(play->bench.store, directory, text);
    }
    for (size_t i = 0; i < play->log_count; i++) {
        play_open(play, i, false);
        if (!play->logs[i])
            continue;
        reads_try(&play->bench, play->logs[i], true);
        lookups_try(&play->bench, play->logs[i]);
        (void)!bench_append(&play->bench, play->logs[i], 5, 1, 100);
        (void)!bench_flush(&play->bench, play->logs[i], log_end_queued(play->logs[i]));
    }
    bench_pass(&play->bench, 200);
    bench_stop(&play->bench, true);
}

static void crashed_in_os_mode(struct play *play)
{
    play->bench.config.flush_mode = FLUSH_MODE_OS;
    crashed_without_indexes(play);
}

static void stopped(struct play *play)
{
    filled(play);
    for (size_t i = 0; i < play->log_count; i++)
        log_set_high_watermark(play->logs[i], log_end_written(play->logs[i]));
    OKAY(log_set_start_offset(play->logs[0], 5));
    bench_halt(&play->bench);
}

/* The path of the segment after `after`; -1: none. */
static int segment_next(struct play *play, int after, char out[100])
{
    for (int offset = after + 1; offset < 60; offset++) {
        snprintf(out, 100, "/data/topic-0/%020d.log", offset);
        if (bench_file_size(&play->bench, out) > 0)
            return offset;
    }
    return -1;
}

/* The log ends amid its second segment: later ones go. */
static void crashed_with_a_broken_batch(struct play *play)
{
    char path[100];

    crashed(play);
    assert_true(segment_next(play, segment_next(play, -1, path), path) > 0);
    OKAY(sim_disk_flip(play->bench.os, path, bench_file_size(&play->bench, path) / 2, 0x21));
    bench_file_put(&play->bench, "/data/topic-0/00000000000000000098.index", SLICE("x"));
    play->expected[0].kept = 0;
}

/* The second segment's name lies among the offsets of the first. */
static void crashed_with_an_overlap(struct play *play)
{
    struct arena arena;
    struct slice content;
    char path[100];

    crashed(play);
    assert_true(segment_next(play, -1, path) == 0);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_disk_peek(play->bench.os, path, &arena, &content));
    bench_file_put(&play->bench, "/data/topic-0/00000000000000000001.log", content);
    arena_release(&arena);
    play->expected[0].is_damaged = true;
}

/* Half a batch behind the end of a log that was closed in good order. */
static void stopped_with_a_tail(struct play *play)
{
    static uint8_t content[16384];
    char path[100], last[100];
    size_t size;

    stopped(play);
    for (int at = segment_next(play, -1, path); at >= 0; at = segment_next(play, at, path))
        snprintf(last, sizeof last, "%s", path);
    memset(content, 0, sizeof content);
    size = bench_file_get(&play->bench, last, content, sizeof content - 40);
    bench_file_put(&play->bench, last, slice_of(content, size + 40));
}

static void stopped_below_its_start(struct play *play)
{
    stopped(play);
    bench_file_put(&play->bench, "/data/log-start-offset-checkpoint", SLICE("0\n1\ntopic 0 100\n"));
    play->expected[0].kept = 0;
}

/* Indexes of other bytes, snapshots that cannot be read. */
static void stopped_and_damaged(struct play *play)
{
    stopped(play);
    for (int offset = 0; offset < 30; offset++) {
        static const char *const suffixes[] = {".index", ".timeindex", ".txnindex", ".snapshot"};

        for (size_t i = 0; i < 4; i++) {
            char path[100];
            int64_t size_bytes;

            snprintf(path, sizeof path, "/data/topic-0/%020d%s", offset, suffixes[i]);
            size_bytes = bench_file_size(&play->bench, path);
            for (int64_t at = 3; at < size_bytes; at += 7)
                OKAY(sim_disk_flip(play->bench.os, path, at, 0x21));
        }
    }
}

static void compacted(struct play *play)
{
    struct bench *bench = &play->bench;
    struct play_log *expected = expect(play, "topic", 0);
    struct log *log;

    swift(bench);
    bench->options.cleaner.backoff_ms = 30;
    bench->config.min_cleanable_dirty_ratio = 0;
    bench->config.cleanup_compact = true;
    bench->config.segment_bytes = 600;
    bench_start(bench);
    play_open(play, 0, true);
    log = play->logs[0];
    for (int i = 0; i < 10; i++) {
        const int pair[2][2] = {{i % 3, i}, {5, i}};

        OKAY(keyed_append(bench, log, NULL,
                          &(struct keyed){.pairs = pair,
                                          .count = 2,
                                          .codec = i % 2 ? COMPRESSION_ZSTD : COMPRESSION_NONE,
                                          .producer_id = i % 2 ? TRANSACTIONAL : 0,
                                          .sequence = i - 1,
                                          .transactional = i % 2}));
        if (i % 2)
            OKAY(mark(bench, log, NULL, TRANSACTIONAL, i % 4 == 1));
    }
    OKAY(bench_flush(bench, log, log_end_queued(log)));
    expected->kept = log_end_queued(log);
}

static void cleaning(struct play *play)
{
    struct log *log = play->logs[0];

    log_roll(log);
    bench_pass(&play->bench, 20);
    if (!log_is_failed(log))
        log_set_high_watermark(log, log_end_written(log));
    bench_pass(&play->bench, 400);
    reads_try(&play->bench, log, true);
    bench_stop(&play->bench, true);
}

static void compacted_and_stopped(struct play *play)
{
    compacted(play);
    log_set_high_watermark(play->logs[0], log_end_written(play->logs[0]));
    play->bench.options.cleaner.enabled = true;
    bench_halt(&play->bench);
}

static void cleaning_after_a_start(struct play *play)
{
    if (!play_start(play))
        return;
    play_open(play, 0, false);
    if (play->logs[0])
        cleaning(play);
    else
        bench_stop(&play->bench, true);
}

static void five_logs(struct play *play)
{
    filled(play);
    filled_log(play, "deleted", 0);
    filled_log(play, "stray", 0);
    filled_log(play, "emptied", 0);
    for (size_t i = 0; i < play->log_count; i++)
        play->expected[i].kept = 0;
    play->expected[2].is_gone = play->expected[3].is_gone = true;
}

static void changes(struct play *play)
{
    struct bench *bench = &play->bench;
    struct log_open request = {.topic = SLICE("other"), .create = true, .future = true};
    struct log *copy = NULL;

    (void)!bench_truncate(bench, play->logs[0], 9);
    (void)!bench_append(bench, play->logs[0], 9, 1, 200);
    (void)!bench_truncate(bench, play->logs[0], 2);
    (void)!bench_truncate_fully(bench, play->logs[4], 100);
    (void)!bench_append(bench, play->logs[4], 9, 1, 200);
    (void)!bench_delete(bench, &play->logs[2]);
    (void)!bench_make_stray(bench, &play->logs[3]);
    request.directory = log_directories_at(bench->directories, 0);
    if (bench_log_open(bench, &request, &copy) == OK) {
        (void)!bench_replicate(bench, copy, 3, 0, &(struct bench_batch){0});
        play->expected[1].is_gone = true;
        if (bench_delete(bench, &play->logs[1]) == OK) {
            (void)!bench_change(bench, copy, log_promote);
        } else {
            (void)!bench_close_log(bench, &copy);
        }
    }
    (void)!bench_close_log(bench, &play->logs[0]);
    play_open(play, 0, false);
    bench_pass(bench, 200);
    bench_stop(bench, true);
}

static void filled_with_small_retention(struct play *play)
{
    play->bench.config.retention_bytes = 2500;
    filled(play);
}

static void retention(struct play *play)
{
    struct bench *bench = &play->bench;
    struct log *log = play->logs[0];

    log_set_high_watermark(log, log_end_written(log));
    (void)!bench_raise_start(bench, log, 4);
    log_set_high_watermark(play->logs[1], log_end_written(play->logs[1]));
    log_retention_run(log);
    bench_pass(bench, 150);
    if (!log_is_failed(log))
        (void)!log_set_start_offset(log, log_end_written(log) - 1);
    log_retention_run(log);
    bench_pass(bench, 150);
    bench_stop(bench, true);
}

static void preallocating(struct play *play)
{
    play->bench.config.preallocate = true;
    play->bench.config.flush_mode = FLUSH_MODE_OS;
    play->bench.config.flush_ms = 100;
    play->bench.config.flush_messages = 4;
    filled(play);
    play->bench.config.flush_mode = FLUSH_MODE_COMMIT;
}

/* An append whose end nobody wants to know. */
static void append_unheard(struct bench *bench, struct log *log)
{
    struct log_append append = {.origin = APPEND_ORIGIN_CLIENT, .leader_epoch = 7};
    struct writer bytes;
    struct why why;

    writer_init(&bytes, &bench_heap, SIZE_MAX);
    bench_batch_build(bench, log_end_queued(log), 7, &(struct bench_batch){.value_bytes = 50},
                      &bytes);
    append.data = bytes.data;
    append.size_bytes = bytes.size_bytes;
    (void)!log_append(log, &append, &why);
    bench_pass(bench, 500);
    writer_release(&bytes);
}

static void writing(struct play *play)
{
    struct bench *bench = &play->bench;

    for (size_t i = 0; i < play->log_count; i++) {
        struct log *log = play->logs[i];

        (void)!log_epoch_assign(log, 6, log_end_queued(log));
        (void)!bench_append(bench, log, 6, 3, 900);
        log_roll(log);
        (void)!bench_append(bench, log, 6, 1, 900);
        if (i == 0)
            log_set_config(log, &bench->config);
        (void)!bench_flush(bench, log, log_end_queued(log));
        (void)!bench_append(bench, log, 7, 1, 1900);
        append_unheard(bench, log);
        (void)!bench_append(bench, log, 7, 1, 100);
    }
    bench_stop(bench, true);
}

const struct scene scenes[] = {
    {"a first start", nothing, first_life},
    {"a start after a crash", crashed, next_life},
    {"a start after a crash behind the point", crashed_behind_its_point, next_life},
    {"a start after a crash without indexes", crashed_without_indexes, next_life},
    {"a start after a crash in os mode", crashed_in_os_mode, next_life},
    {"a start after a stop", stopped, next_life},
    {"a start with a broken batch", crashed_with_a_broken_batch, next_life},
    {"a start with an overlap", crashed_with_an_overlap, next_life},
    {"a start with half a batch", stopped_with_a_tail, next_life},
    {"a start below the start", stopped_below_its_start, next_life},
    {"a start with other bytes in the indexes", stopped_and_damaged, next_life},
    {"compaction", compacted, cleaning},
    {"compaction after a start", compacted_and_stopped, cleaning_after_a_start},
    {"changes", five_logs, changes},
    {"retention", filled_with_small_retention, retention},
    {"writing", preallocating, writing},
    {NULL, NULL, NULL},
};
