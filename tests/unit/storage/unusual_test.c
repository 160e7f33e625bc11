/* SPDX-License-Identifier: Apache-2.0 */
/* What clients, leaders and people seldom ask of a log, each in its smallest form. */
#include "compaction_support.h"

#include "compress/compress.h"
#include "records/crc32c.h"
#include "storage/cleaner.h"
#include "storage/storage_internal.h"

#include <stdio.h>

/* ---- appends of a leader that is not quite ours ---- */

static void number_put(uint8_t *at, size_t size, int64_t value)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)((uint64_t)value >> 8 * (size - 1 - i));
}

struct bytes {
    uint8_t data[1024];
    size_t size;
};

static void batch_add(struct bench *bench, struct bytes *bytes, int64_t offset,
                      const struct bench_batch *batch)
{
    struct writer writer;

    writer_init(&writer, &bench_heap, SIZE_MAX);
    bench_batch_build(bench, offset, 0, batch, &writer);
    assert_true(bytes->size + writer.size_bytes <= sizeof bytes->data);
    memcpy(bytes->data + bytes->size, writer.data, writer.size_bytes);
    bytes->size += writer.size_bytes;
    writer_release(&writer);
}

/* A message of format 1 as old leaders kept them: offset, size, CRC, magic, attributes, timestamp, key, value. */
static void old_message_add(struct bytes *bytes, int64_t offset, uint8_t magic, int64_t timestamp)
{
    uint8_t *at = bytes->data + bytes->size;
    size_t time_bytes = magic == 1 ? 8 : 0;
    size_t size = 4 + 1 + 1 + time_bytes + 4 + 4 + 5;

    number_put(at, 8, offset);
    number_put(at + 8, 4, (int64_t)size);
    number_put(at + 12, 4, 0);
    at[16] = magic;
    at[17] = 0;
    if (magic == 1)
        number_put(at + 18, 8, timestamp);
    number_put(at + 18 + time_bytes, 4, -1);
    number_put(at + 22 + time_bytes, 4, 5);
    memcpy(at + 26 + time_bytes, "value", 5);
    number_put(at + 12, 4, crc32_ieee(slice_of(at + 16, size - 4)));
    bytes->size += 12 + size;
}

static enum err follow(struct bench *bench, struct log *log, struct bytes *bytes)
{
    return bench_append_bytes(bench, log, bytes->data, bytes->size, APPEND_ORIGIN_REPLICATION);
}

static void offsets_that_go_down_or_too_far_inside_one_append_are_refused(void **state)
{
    static const struct {
        int64_t first, second;
        int32_t delta; /* of the second batch, when not 0 */
        enum err err;
    } cases[] = {
        {5, 9, 0, OK},
        {5, 4, 0, ERR_INVALID_RECORD},
        {5, 5, 0, ERR_INVALID_RECORD},
        {-1, 9, 0, ERR_INVALID_RECORD},
        {5, INT64_MAX, 0, ERR_INVALID_RECORD},
        {5, 9, -5, ERR_INVALID_RECORD},
        {5, INT64_C(5) + INT32_MAX, 0, OK},
        {5, INT64_C(6) + INT32_MAX, 0, ERR_INVALID_RECORD},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bytes bytes = {.size = 0};
        struct bench bench;
        struct log *log;
        size_t second;
        enum err err;

        bench_open(&bench, 1);
        log = bench_log(&bench, "topic", 0);
        batch_add(&bench, &bytes, cases[i].first, &(struct bench_batch){0});
        second = bytes.size;
        batch_add(&bench, &bytes, cases[i].second, &(struct bench_batch){0});
        if (cases[i].delta != 0)
            number_put(bytes.data + second + 23, 4, cases[i].delta);
        err = follow(&bench, log, &bytes);
        if (err != cases[i].err)
            fail_msg("case %zu: %s", i, err_name(err));
        if (err != OK)
            assert_int_equal(log_end_queued(log), 0);
        bench_close(&bench);
    }
}

static void messages_of_old_formats_are_kept_found_and_recovered(void **state)
{
    for (uint8_t magic = 0; magic < 2; magic++) {
        for (int crash = 0; crash < 2; crash++) {
            struct bench bench;
            struct log *log;
            struct log_lookup lookup;

            bench_open(&bench, 2);
            bench.config.index_interval_bytes = 20;
            bench.config.segment_bytes = 400;
            log = bench_log(&bench, "topic", 0);
            for (int64_t offset = 0; offset < 12; offset += 3) {
                struct bytes bytes = {.size = 0};

                for (int64_t i = 0; i < 3; i++)
                    old_message_add(&bytes, offset + i, magic, 1000 + offset + i);
                OKAY(follow(&bench, log, &bytes));
            }
            assert_int_equal(log_epoch_latest(log), -1);
            OKAY(bench_replicate(&bench, log, 4, 12, &(struct bench_batch){0}));
            assert_int_equal(log_epoch_latest(log), 4);
            OKAY(bench_flush(&bench, log, 13));
            if (crash) {
                bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
                bench_file_put(&bench, "/data/recovery-point-offset-checkpoint", SLICE(""));
                bench_start(&bench);
            } else {
                bench_restart(&bench);
            }
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(log_end_written(log), 13);
            for (int64_t offset = 0; offset < log_end_written(log); offset++) {
                struct bench_read read = {.op = {.offset = offset,
                                                 .bound_offset = log_end_written(log),
                                                 .bytes_max = 40,
                                                 .at_least_one = true,
                                                 .wants_aborted = offset % 2 == 0}};

                (void)!bench_read(&bench, log, &read);
                bench_read_release(&read);
            }
            (void)!bench_lookup(&bench, log, 1005, &lookup);
            (void)!bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup);
            bench_close(&bench);
        }
    }
}

static void an_unknown_format_is_refused(void **state)
{
    struct bytes bytes = {.size = 0};
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    log = bench_log(&bench, "topic", 0);
    batch_add(&bench, &bytes, 0, &(struct bench_batch){0});
    bytes.data[16] = 3;
    assert_true(follow(&bench, log, &bytes) != OK);
    assert_int_equal(log_end_queued(log), 0);
    bench_close(&bench);
}

static void an_epoch_that_is_known_already_asks_for_no_flush(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 4);
    log = bench_log(&bench, "topic", 0);
    OKAY(log_epoch_assign(log, 3, 0));
    bench_pass(&bench, 1000);
    OKAY(log_epoch_assign(log, 3, 0));
    assert_int_equal(log_epoch_latest_start(log), 0);
    bench_close(&bench);
}

/* ---- changes ---- */

struct change {
    struct log_change_op op;
    bool is_done;
};

static void changed(struct log_change_op *op)
{
    CONTAINER_OF(op, struct change, op)->is_done = true;
}

static void what_is_asked_for_behind_a_close_finds_no_log(void **state)
{
    struct change closing = {.op.done = changed}, cutting = {.op.done = changed};
    struct bench_append append;
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 3, 100));
    log_close(log, &closing.op);
    log_truncate(log, 1, &cutting.op);
    assert_int_equal(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                        &(struct bench_batch){0}, &append),
                     ERR_KAFKA_STORAGE_ERROR);
    (void)!bench_append_end(&bench, &append);
    assert_int_equal(log_epoch_assign(log, 9, 3), ERR_KAFKA_STORAGE_ERROR);
    log_roll(log);
    log_retention_run(log);
    bench_run_until(&bench, &closing.is_done);
    assert_true(cutting.is_done);
    assert_int_equal(cutting.op.err, ERR_CLOSED);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 3);
    bench_close(&bench);
}

static void a_copy_that_an_earlier_run_left_goes_on_under_its_name(void **state)
{
    struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
    struct bench bench;
    struct log *other, *copy;

    bench_open(&bench, 6);
    OKAY(bench_log_open(&bench, &request, &copy));
    OKAY(bench_replicate(&bench, copy, 3, 0, &(struct bench_batch){.count = 4}));
    request.partition = 1;
    OKAY(bench_log_open(&bench, &request, &other));
    request.topic = SLICE("tepic");
    OKAY(bench_log_open(&bench, &request, &other));
    bench_log(&bench, "topic", 2);
    bench_restart(&bench);
    request = (struct log_open){.topic = SLICE("topic"), .future = true};
    OKAY(bench_log_open(&bench, &request, &copy));
    assert_int_equal(log_end_written(copy), 4);
    assert_int_equal(bench_files_count(&bench, "/data/topic-0.", "-future/"), 1);
    /* A second one is another: it has a name of its own. */
    request.create = true;
    request.partition = 7;
    OKAY(bench_log_open(&bench, &request, &other));
    assert_int_equal(log_end_written(other), 0);
    bench_close(&bench);
}

/* ---- openings ---- */

static void a_partition_whose_name_is_a_file_is_refused(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 7);
    bench_file_put(&bench, "/data/topic-0", SLICE("mine"));
    assert_true(bench_log_try(&bench, "topic", 0, &log) != OK);
    assert_null(log);
    bench_close(&bench);
}

static void two_names_for_one_offset_are_refused(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 8);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 3, 100));
    bench_halt(&bench);
    bench_file_put(&bench, TOPIC_FOLDER "000000000000000000000.log", SLICE(""));
    bench_file_put(&bench, TOPIC_FOLDER "0.log", SLICE(""));
    bench_start(&bench);
    assert_true(bench_log_try(&bench, "topic", 0, &log) != OK);
    bench_close(&bench);
}

static void names_that_only_look_like_leftovers_stay(void **state)
{
    static const char *const names[] = {"x.cleaned", "x.swap", "00000000000000000000.log.kept",
                                        "leader-epoch-checkpoint.checkpoint.deleted",
                                        "00000000000000000000.note"};
    struct bench bench;
    struct log *log;
    char path[100];

    bench_open(&bench, 9);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 3, 100));
    bench_halt(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(path, sizeof path, TOPIC_FOLDER "%s", names[i]);
        bench_file_put(&bench, path, SLICE("mine"));
    }
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 3);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(path, sizeof path, TOPIC_FOLDER "%s", names[i]);
        assert_int_equal(bench_file_size(&bench, path), 4);
    }
    bench_close(&bench);
}

static void logs_that_were_closed_in_this_run_are_told_apart(void **state)
{
    struct bench bench;
    struct log *logs[6];

    bench_prepare(&bench, 10, 2);
    bench_start(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(logs); i++) {
        struct log_open request = {.topic = i % 2 ? SLICE("a") : SLICE("b"),
                                   .partition = (int32_t)(i / 2 % 2),
                                   .directory = log_directories_at(bench.directories, i / 4),
                                   .create = true};

        OKAY(bench_log_open(&bench, &request, &logs[i]));
        OKAY(bench_append(&bench, logs[i], 0, (int)i + 1, 10));
        OKAY(bench_close_log(&bench, &logs[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(logs); i++) {
        struct log_open request = {.topic = i % 2 ? SLICE("a") : SLICE("b"),
                                   .partition = (int32_t)(i / 2 % 2),
                                   .directory = log_directories_at(bench.directories, i / 4)};

        OKAY(bench_log_open(&bench, &request, &logs[i]));
        assert_int_equal(log_end_written(logs[i]), i + 1);
        OKAY(bench_close_log(&bench, &logs[i]));
        OKAY(bench_log_open(&bench, &request, &logs[i]));
    }
    bench_close(&bench);
}

static void few_indexes_stay_in_memory_however_many_segments_are_read(void **state)
{
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 11, 1);
    bench.options.index_bytes_max = 200;
    bench.config.segment_bytes = 1000;
    bench.config.index_interval_bytes = 50;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 30; i++)
        OKAY(bench_append(&bench, log, 0, 1, 200));
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    for (int round = 0; round < 2; round++)
        for (int64_t offset = 0; offset < 30; offset++)
            assert_int_equal(bench_verify_from(&bench, log, offset), 30);
    bench_close(&bench);
}

/* ---- the cleaner ---- */

static void a_cleaner_whose_numbers_are_nothing_goes_on_with_the_least(void **state)
{
    static struct history history;
    struct cleaner_options least = {.enabled = true};
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log;

    log = compaction_log(&bench, &history, 12);
    log_store_cleaner_stats(bench.store, &stats);
    least.backoff_ms = 100;
    log_directories_set_cleaner(bench.directories, &least);
    compaction_fill(&bench, log, &history, 5, 5);
    compaction_run(&bench, log);
    bench_pass(&bench, 10000);
    compaction_check(&bench, log, &history);
    log_store_cleaner_stats(bench.store, &stats);
    assert_true(stats.since_last_look_ms >= 0);
    bench_close(&bench);
}

static void a_tombstone_that_is_to_stay_for_ever_stays(void **state)
{
    static struct history history;
    struct bench bench;
    struct log *log;

    compaction_open(&bench, 13);
    history.count = 0;
    bench.config.delete_retention_ms = INT64_MAX;
    log = bench_log(&bench, "topic", 0);
    OKAY(put(&bench, log, &history, 1, 10));
    OKAY(put(&bench, log, &history, 1, -1));
    OKAY(put(&bench, log, &history, 2, 20));
    compaction_run(&bench, log);
    sim_wall_jump(bench.os, 400 * DAY);
    OKAY(put(&bench, log, &history, 2, 21));
    compaction_run(&bench, log);
    assert_true(compaction_check(&bench, log, &history) >= 2);
    bench_close(&bench);
}

static void stats_of_a_cleaner_that_never_looked_say_so(void **state)
{
    struct cleaner_stats stats;
    struct bench bench;

    bench_open(&bench, 14);
    log_store_cleaner_stats(bench.store, &stats);
    assert_int_equal(stats.since_last_look_ms, -1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_that_go_down_or_too_far_inside_one_append_are_refused),
        cmocka_unit_test(messages_of_old_formats_are_kept_found_and_recovered),
        cmocka_unit_test(an_unknown_format_is_refused),
        cmocka_unit_test(an_epoch_that_is_known_already_asks_for_no_flush),
        cmocka_unit_test(what_is_asked_for_behind_a_close_finds_no_log),
        cmocka_unit_test(a_copy_that_an_earlier_run_left_goes_on_under_its_name),
        cmocka_unit_test(a_partition_whose_name_is_a_file_is_refused),
        cmocka_unit_test(two_names_for_one_offset_are_refused),
        cmocka_unit_test(names_that_only_look_like_leftovers_stay),
        cmocka_unit_test(logs_that_were_closed_in_this_run_are_told_apart),
        cmocka_unit_test(few_indexes_stay_in_memory_however_many_segments_are_read),
        cmocka_unit_test(a_cleaner_whose_numbers_are_nothing_goes_on_with_the_least),
        cmocka_unit_test(a_tombstone_that_is_to_stay_for_ever_stays),
        cmocka_unit_test(stats_of_a_cleaner_that_never_looked_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
