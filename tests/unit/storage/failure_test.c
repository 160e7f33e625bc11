/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails, fills up or changes its bytes. */
#include "support.h"

#include <stdio.h>

#define FOLDER "/data/topic-0/"

static void
the_first_write_error_takes_the_directory_offline_and_nothing_is_acknowledged(void **state)
{
    struct bench bench;
    struct bench_append appends[5];
    struct log *log, *other;
    struct bench_read read = {.op = {.offset = 0, .bound_offset = 1, .bytes_max = 1000}};
    struct log_lookup lookup;

    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    other = bench_log(&bench, "other", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    OKAY(bench_append(&bench, other, 0, 1, 0));
    bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, FOLDER "00000000000000000000.log", ERR_IO);
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, log_end_queued(log),
                                &(struct bench_batch){0}, &appends[i]));
    for (size_t i = 0; i < ARRAY_COUNT(appends); i++)
        assert_int_equal(bench_append_end(&bench, &appends[i]), ERR_KAFKA_STORAGE_ERROR);
    assert_true(log_is_failed(log));
    assert_int_equal(log_end_written(log), 1);
    assert_true(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_pass(&bench, 100);
    assert_int_equal(bench.directories_failed, 1);
    /* The other log of the directory is gone with it. */
    assert_true(log_is_failed(other));
    assert_int_equal(bench_append(&bench, other, 0, 1, 0), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(bench_flush(&bench, other, 1), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(bench_read(&bench, other, &read), ERR_KAFKA_STORAGE_ERROR);
    bench_read_release(&read);
    assert_int_equal(bench_lookup(&bench, other, 0, &lookup), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(bench_truncate(&bench, other, 0), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(bench_log_try(&bench, "new", 0, &log), ERR_KAFKA_STORAGE_ERROR);
    bench_close(&bench);
}

static void sync_fails_once(struct bench *bench)
{
    sim_fault_add(bench->os, &(struct sim_fault){.calls = 1u << SIM_CALL_SYNC,
                                                 .path_part = ".log",
                                                 .effect = SIM_EFFECT_ERROR,
                                                 .err = ERR_IO});
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    for (int first = 0; first < 2;
         first++) { /* the job that syncs directories too, and the other */
        struct bench bench;
        struct log *log;

        bench_open(&bench, 2);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append(&bench, log, 0, 1, 0));
        if (!first)
            OKAY(bench_flush(&bench, log, 1));
        sync_fails_once(&bench);
        OKAY(bench_append(&bench, log, 0, 1, 0));
        assert_int_equal(bench_flush(&bench, log, 2), ERR_KAFKA_STORAGE_ERROR);
        assert_true(log_end_flushed(log) < 2);
        bench_pass(&bench, 100000);
        assert_true(log_end_flushed(log) < 2);
        assert_int_equal(bench_flush(&bench, log, 2), ERR_KAFKA_STORAGE_ERROR);
        assert_int_equal(bench.directories_failed, 1);
        bench_close(&bench);
    }
}

/* The kernel shows the bytes of the failed sync and takes them for written: nothing but writing them again
 * makes a later sync bring them to the disk. */
static void what_a_failed_sync_left_is_durable_once_a_restart_has_acknowledged_it(void **state)
{
    struct sim_crash_options drop_all = {.drop_weight = 1};
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    OKAY(bench_flush(&bench, log, 1));
    sync_fails_once(&bench);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    assert_int_equal(bench_flush(&bench, log, 2), ERR_KAFKA_STORAGE_ERROR);
    bench_stop(&bench, false); /* the process ends, the kernel lives on */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_flushed(log), 2); /* a duplicate would be acknowledged from here on */
    bench_crash(&bench, &drop_all);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 2);
    bench_close(&bench);
}

static void other_directories_go_on(void **state)
{
    struct bench bench;
    struct log_open request = {.topic = SLICE("other"), .create = true};
    struct log *log, *other;

    bench_prepare(&bench, 3, 2);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    request.directory = log_directories_at(bench.directories, 1);
    OKAY(bench_log_open(&bench, &request, &other));
    bench_calls_fail(&bench, SIM_CALLS_ALL, "/data/", ERR_IO);
    assert_int_equal(bench_append(&bench, log, 0, 1, 0), ERR_KAFKA_STORAGE_ERROR);
    OKAY(bench_append(&bench, other, 0, 1, 0));
    OKAY(bench_flush(&bench, other, 1));
    assert_ptr_equal(log_directories_emptiest(bench.directories), request.directory);
    sim_faults_clear(bench.os);
    bench_restart(&bench);
    assert_false(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 1)));
    bench_close(&bench);
}

static void every_kind_of_call_may_fail_without_more_harm(void **state)
{
    /* The script runs with the n-th matching call failing, until none matches any more. */
    for (enum sim_call call = 0; call < SIM_CALL_COUNT; call++) {
        for (int64_t n = 0;; n++) {
            struct bench bench;
            struct log *log = NULL;
            int fault;
            int64_t hits;
            enum err err;

            bench_open(&bench, (uint64_t)n);
            bench.config.segment_bytes = 3000;
            bench.config.file_delete_delay_ms = 10;
            fault = sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << call,
                                                                .path_part = "/data",
                                                                .skip_count = n,
                                                                .effect = SIM_EFFECT_ERROR,
                                                                .err = ERR_IO});
            err = bench_log_try(&bench, "topic", 0, &log);
            for (int i = 0; i < 6 && err == OK; i++) {
                err = bench_append_batch(
                    &bench, log, i / 2,
                    &(struct bench_batch){.value_bytes = 1000, .producer_id = 7, .sequence = i});
                if (err == OK)
                    err = bench_flush(&bench, log, i + 1);
            }
            if (err == OK) {
                struct log_lookup lookup;

                log_set_high_watermark(log, 6);
                err = bench_lookup(&bench, log, 5, &lookup);
            }
            if (err == OK)
                err = bench_truncate(&bench, log, 5);
            if (err == OK)
                err = log_set_start_offset(log, 3);
            if (err == OK) {
                log_retention_run(log);
                bench_pass(&bench, 70000);
            }
            if (err == OK) {
                struct bench_read read = {
                    .op = {.offset = 3, .bound_offset = 5, .bytes_max = 100, .at_least_one = true}};

                err = bench_read(&bench, log, &read);
                bench_read_release(&read);
            }
            hits = sim_fault_hits(bench.os, fault);
            if (err != OK)
                assert_int_equal(err, ERR_KAFKA_STORAGE_ERROR);
            /* A look at the disk's space or at the reserve may fail quietly; all else must not. */
            if (err != OK)
                assert_true(hits == 1);
            bench_halt(&bench);
            sim_faults_clear(bench.os);
            bench_start(&bench);
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(bench_verify(&bench, log), log_end_written(log));
            bench_close(&bench);
            if (hits == 0)
                break;
        }
    }
}

static void space_fill(struct bench *bench, int64_t left_bytes)
{
    int64_t free_bytes, total_bytes;

    OKAY(os_disk_space(bench->os, "/data", &free_bytes, &total_bytes));
    sim_disk_set_capacity(bench->os, total_bytes - free_bytes + left_bytes);
}

static void a_full_disk_takes_the_reserve_first_and_the_directory_offline_then(void **state)
{
    struct bench bench;
    struct log *log;
    enum err err = OK;
    int count = 0;

    bench_prepare(&bench, 5, 1);
    bench.options.low_space_bytes = 0;
    bench.options.reserve_bytes = 100000;
    bench_start(&bench);
    assert_int_equal(bench_files_count(&bench, "/data/.barnabas_reserve", ""), 1);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    OKAY(bench_flush(&bench, log, 1));
    bench_pass(&bench, 1000);
    space_fill(&bench, 10000);
    while (err == OK) {
        err = bench_append(&bench, log, 0, 1, 5000);
        count += err == OK;
        assert_true(count < 100);
    }
    assert_int_equal(err, ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(bench_files_count(&bench, "/data/.barnabas_reserve", ""), 0);
    assert_true(count > 10); /* into the room that the reserve gave */
    assert_true(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    sim_disk_set_capacity(bench.os, INT64_C(1) << 40);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_end_written(log) >= count);
    assert_int_equal(bench_verify(&bench, log), log_end_written(log));
    bench_close(&bench);
}

static void low_space_is_told_before_the_disk_is_full_and_taken_back(void **state)
{
    struct bench bench;
    struct log_directory *directory;
    struct log *log;

    bench_prepare(&bench, 6, 1);
    bench.options.low_space_bytes = 1000000;
    bench.options.reserve_bytes = 0;
    bench_start(&bench);
    directory = log_directories_at(bench.directories, 0);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 1000));
    bench_pass(&bench, 70000);
    assert_false(log_directory_is_low_on_space(directory));
    assert_true(log_directory_free_bytes(directory) > 1000000);
    space_fill(&bench, 500000);
    log_set_high_watermark(log, 1);
    bench_pass(&bench, 6000);
    assert_true(log_directory_is_low_on_space(directory));
    assert_in_range(log_directory_free_bytes(directory), 1, 500000);
    space_fill(&bench, 5000000);
    bench_pass(&bench, 6000); /* looked at by itself while it is low */
    assert_false(log_directory_is_low_on_space(directory));
    bench_close(&bench);
}

/* ---- changed bytes ---- */

static struct log *filled(struct bench *bench)
{
    struct log *log;

    bench->config.segment_bytes = 5000;
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < 20; i++)
        OKAY(bench_append(bench, log, 0, 1, 1000));
    OKAY(bench_flush(bench, log, 20));
    return log;
}

static void a_broken_batch_behind_the_recovery_point_ends_the_log_there(void **state)
{
    for (int64_t broken = 0; broken < 20; broken++) {
        struct bench bench;
        struct log *log;
        char path[100];
        int64_t base = broken / 4 * 4;
        int64_t batch_bytes;

        bench_open(&bench, (uint64_t)broken);
        log = filled(&bench);
        assert_int_equal(log_segment_count(log), 5);
        bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
        bench_file_put(&bench, "/data/recovery-point-offset-checkpoint", SLICE(""));
        snprintf(path, sizeof(path), FOLDER "%020d.log", (int)base);
        batch_bytes = bench_file_size(&bench, path) / 4;
        OKAY(sim_disk_flip(bench.os, path, (broken - base) * batch_bytes + 500, 0x10));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), broken);
        assert_int_equal(bench_verify(&bench, log), broken);
        OKAY(bench_append(&bench, log, 1, 2, 10));
        assert_int_equal(bench_verify(&bench, log), broken + 2);
        bench_close(&bench);
    }
}

static void a_batch_whose_base_offset_did_not_arrive_ends_the_log(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t position;

    bench_open(&bench, 31);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 3, 10));
    position = bench_file_size(&bench, FOLDER "00000000000000000000.log");
    OKAY(bench_append(&bench, log, 0, 5, 10));
    bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
    bench_file_put(&bench, "/data/recovery-point-offset-checkpoint", SLICE(""));
    OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000000.log", position + 7, 3)); /* 0 to 4 */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 3);
    assert_int_equal(bench_verify(&bench, log), 3);
    bench_close(&bench);
}

static void a_broken_batch_below_the_recovery_point_is_left_for_its_readers(void **state)
{
    for (int restart = 0; restart < 2; restart++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 8);
        log = filled(&bench);
        bench_pass(&bench, 70000); /* recovery point above the first segments */
        assert_true(log_recovery_point(log) >= 16);
        if (restart)
            bench_halt(&bench);
        else
            bench_cut(&bench, NULL);
        OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000004.log", 1500, 1));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        /* Kafka's way: the bytes are served and the reader's CRC check finds out. */
        assert_int_equal(log_end_written(log), 20);
        assert_int_equal(bench_verify_from(&bench, log, 6), 20);
        assert_false(log_is_failed(log));
        bench_close(&bench);
    }
}

/* Foreign tools alone leave it: no batch is whole there, none has a frame, or one was cut. */
static void a_clean_log_is_cut_behind_its_last_whole_batch(void **state)
{
    static const uint8_t zeros[40], ones[40] = {0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 60};
    const struct slice tails[] = {slice_of(zeros, 5), slice_of(zeros, sizeof zeros),
                                  slice_of(ones, sizeof ones), SLICE_EMPTY};

    for (size_t i = 0; i < ARRAY_COUNT(tails); i++) {
        struct bench bench;
        struct os_file *file;
        struct log *log;
        int64_t size_bytes;
        bool is_cut = tails[i].size_bytes == 0;

        bench_open(&bench, 32);
        log = bench_log(&bench, "topic", 0);
        for (int k = 0; k < 8; k++)
            OKAY(bench_append(&bench, log, 0, 1, 100));
        bench_halt(&bench);
        size_bytes = bench_file_size(&bench, FOLDER "00000000000000000000.log");
        OKAY(os_file_open(bench.os, FOLDER "00000000000000000000.log", OS_OPEN_READ | OS_OPEN_WRITE,
                          &file));
        if (is_cut)
            OKAY(os_file_truncate(file, size_bytes - 3));
        else
            OKAY(os_file_write(file, &tails[i], 1, size_bytes));
        os_file_close(&file);
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), is_cut ? 7 : 8);
        assert_int_equal(bench_file_size(&bench, FOLDER "00000000000000000000.log"),
                         is_cut ? size_bytes / 8 * 7 : size_bytes);
        OKAY(bench_append(&bench, log, 0, 1, 100));
        assert_int_equal(bench_verify(&bench, log), is_cut ? 8 : 9);
        bench_close(&bench);
    }
    UNUSED(state);
}

/* Found by `./dev sim`, seed 22967: the other logs of the directory were taken offline too. */
static void a_first_batch_that_rotted_in_a_trusted_prefix_takes_no_directory_offline(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 31);
    bench.config.index_interval_bytes = 1;
    bench.config.flush_messages = 4;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 8; i++)
        OKAY(bench_append(&bench, log, 0, 1, 100));
    bench_pass(&bench, 2000);
    assert_true(log_recovery_point(log) >= 4); /* within the only segment */
    OKAY(bench_flush(&bench, log, 8));
    bench_cut(&bench, NULL);
    OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000000.log", 16, 0x40)); /* magic */
    bench.directories_failed = 0;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 8);
    assert_false(log_is_failed(log));
    assert_int_equal(bench.directories_failed, 0);
    bench_close(&bench);
    UNUSED(state);
}

static void
a_broken_header_below_the_recovery_point_is_a_corrupt_message_to_its_readers(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 6, .bound_offset = 20, .bytes_max = 1000}};
    int64_t batch_bytes;

    bench_open(&bench, 9);
    bench.config.index_interval_bytes = 1 << 20; /* no entry: the read has to pass the broken one */
    log = filled(&bench);
    bench_halt(&bench);
    batch_bytes = bench_file_size(&bench, FOLDER "00000000000000000004.log") / 4;
    OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000004.log", batch_bytes + 16,
                       0x40)); /* magic */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 20);
    for (int i = 0; i < 2; i++) {
        enum err err = bench_read(&bench, log, &read);

        assert_true(err == ERR_CORRUPT_MESSAGE || err == OK);
        bench_read_release(&read);
    }
    assert_false(log_is_failed(log));
    assert_int_equal(bench_verify_from(&bench, log, 8), 20);
    bench_close(&bench);
}

static void snapshots_remove(struct bench *bench)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(os_list(bench->os, FOLDER, &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        char path[200];

        if (!strstr(names.names[i], ".snapshot"))
            continue;
        snprintf(path, sizeof path, FOLDER "%s", names.names[i]);
        OKAY(os_unlink(bench->os, path));
    }
}

/* Found by `./dev sim` (rotten log, producer snapshots skipped): the whole directory went offline for it. */
static void a_broken_header_that_the_producers_are_read_from_leaves_a_log_that_opens(void **state)
{
    for (int clean = 0; clean < 2; clean++) {
        struct bench bench;
        struct log *log;
        int64_t batch_bytes;

        bench_open(&bench, 10);
        log = filled(&bench);
        bench_pass(&bench, 70000); /* recovery point above the first segments */
        assert_true(log_recovery_point(log) >= 16);
        batch_bytes = bench_file_size(&bench, FOLDER "00000000000000000004.log") / 4;
        if (clean)
            bench_halt(&bench);
        else
            bench_cut(&bench, &(struct sim_crash_options){.keep_weight = 1});
        snapshots_remove(&bench);
        OKAY(sim_disk_flip(bench.os, FOLDER "00000000000000000004.log", batch_bytes + 16, 0x40));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 20);
        assert_false(log_is_failed(log));
        assert_int_equal(bench_verify_from(&bench, log, 8), 20);
        OKAY(bench_append(&bench, log, 1, 2, 10));
        bench_close(&bench);
    }
}

static void any_flipped_bit_anywhere_in_a_log_leaves_a_log_that_opens(void **state)
{
    for (int64_t position = 0; position < 4200; position += 53) {
        for (int clean = 0; clean < 2; clean++) {
            struct bench bench;
            struct log *log;
            const char *path = position % 2 ? FOLDER "00000000000000000016.log"
                                            : FOLDER "00000000000000000008.log";

            bench_open(&bench, (uint64_t)position);
            log = filled(&bench);
            bench_halt(&bench);
            if (!clean)
                OKAY(os_unlink(bench.os, "/data/.kafka_cleanshutdown"));
            if (!clean)
                OKAY(os_unlink(bench.os, "/data/recovery-point-offset-checkpoint"));
            OKAY(sim_disk_flip(bench.os, path, position, (uint8_t)(1 << position % 8)));
            bench_start(&bench);
            log = bench_log(&bench, "topic", 0);
            assert_true(log_end_written(log) >= (position % 2 ? 16 : 8) || clean);
            if (!clean)
                assert_int_equal(bench_verify(&bench, log), log_end_written(log));
            OKAY(bench_append(&bench, log, 3, 1, 10));
            OKAY(bench_flush(&bench, log, log_end_queued(log)));
            bench_close(&bench);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_first_write_error_takes_the_directory_offline_and_nothing_is_acknowledged),
        cmocka_unit_test(a_failed_sync_is_never_tried_again),
        cmocka_unit_test(what_a_failed_sync_left_is_durable_once_a_restart_has_acknowledged_it),
        cmocka_unit_test(other_directories_go_on),
        cmocka_unit_test(every_kind_of_call_may_fail_without_more_harm),
        cmocka_unit_test(a_full_disk_takes_the_reserve_first_and_the_directory_offline_then),
        cmocka_unit_test(low_space_is_told_before_the_disk_is_full_and_taken_back),
        cmocka_unit_test(a_broken_batch_behind_the_recovery_point_ends_the_log_there),
        cmocka_unit_test(a_batch_whose_base_offset_did_not_arrive_ends_the_log),
        cmocka_unit_test(a_broken_batch_below_the_recovery_point_is_left_for_its_readers),
        cmocka_unit_test(a_clean_log_is_cut_behind_its_last_whole_batch),
        cmocka_unit_test(a_first_batch_that_rotted_in_a_trusted_prefix_takes_no_directory_offline),
        cmocka_unit_test(
            a_broken_header_below_the_recovery_point_is_a_corrupt_message_to_its_readers),
        cmocka_unit_test(a_broken_header_that_the_producers_are_read_from_leaves_a_log_that_opens),
        cmocka_unit_test(any_flipped_bit_anywhere_in_a_log_leaves_a_log_that_opens),
    };

    return cmocka_run_group_tests_name("storage/failure", tests, NULL, NULL);
}
