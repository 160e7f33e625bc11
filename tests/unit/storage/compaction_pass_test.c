/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of the cleaner: how far they go, what interrupts them, what fails, who works beside them. */
#include "compaction_support.h"

#include "base/fmt.h"
#include "records/crc32c.h"

#include <stdlib.h>
#include <string.h>

static struct history history;

static void the_first_dirty_offset_is_kept_in_kafkas_file(void **state)
{
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 18);
    char text[100];

    compaction_fill(&bench, log, &history, 2, 3);
    compaction_run(&bench, log);
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n1\ntopic 0 6\n");
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 6);
    assert_int_equal(log_clean_offset(log), 6);
    compaction_wait(&bench, log);
    log_store_cleaner_stats(bench.store, &stats);
    assert_int_equal(stats.passes, 0); /* nothing is dirty */
    OKAY(bench_delete(&bench, &log));
    bench_pass(&bench, 1000);
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n0\n");
    bench_close(&bench);
}

static void a_truncation_lowers_the_first_dirty_offset_before_a_byte_goes(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 19);
    char text[100];

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    compaction_fill(&bench, log, &history, 2, 2);
    compaction_run(&bench, log);
    assert_int_equal(log_clean_offset(log), 10);
    OKAY(bench_truncate(&bench, log, 8));
    history_cut(&history, 8);
    assert_int_equal(log_clean_offset(log), 0); /* the two segments are one by now */
    bench_file_get(&bench, "/data/cleaner-offset-checkpoint", text, sizeof text);
    assert_string_equal(text, "0\n1\ntopic 0 0\n");
    OKAY(put(&bench, log, &history, 0, 77));
    OKAY(bench_flush(&bench, log, log_end_written(log)));
    bench_crash(&bench, NULL);
    log = bench_log(&bench, "topic", 0);
    assert_true(log_clean_offset(log) <= 0);
    compaction_run(&bench, log);
    bench_close(&bench);
}

static void a_change_cancels_the_pass_and_leaves_nothing_behind(void **state)
{
    for (int change = 0; change < 4; change++) {
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 20);
        struct cleaner_options slow = bench.options.cleaner;

        compaction_fill(&bench, log, &history, 10, 10);
        log_roll(log);
        bench_pass(&bench, 100);
        slow.bytes_per_second = 10;
        log_directories_set_cleaner(bench.directories, &slow);
        log_set_high_watermark(log, 100);
        bench_pass(&bench, 5000); /* mapped; the copy waits for its rate */
        assert_int_equal(log_clean_offset(log), -1);
        switch (change) {
        case 0:
            OKAY(bench_truncate(&bench, log, 95));
            history_cut(&history, 95);
            break;
        case 1:
            OKAY(bench_close_log(&bench, &log));
            log = bench_log(&bench, "topic", 0);
            break;
        case 2:
            OKAY(bench_delete(&bench, &log));
            history.count = 0;
            log = bench_log(&bench, "topic", 0);
            break;
        default:
            bench.config.cleanup_compact = false;
            log_set_config(log, &bench.config);
            break;
        }
        bench_pass(&bench, 100);
        assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
        log_set_high_watermark(log, log_end_written(log));
        assert_int_equal(compaction_check(&bench, log, &history), history.count);
        bench_close(&bench);
    }
}

static void a_broken_batch_takes_the_partition_out_and_nothing_else(void **state)
{
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 23);
    struct log *other = bench_log(&bench, "topic", 1);

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    OKAY(put(&bench, other, NULL, 0, 1));
    OKAY(put(&bench, other, NULL, 0, 2));
    bench_pass(&bench, 500);
    OKAY(sim_disk_flip(bench.os, TOPIC_FOLDER "00000000000000000000.log", 100, 1));
    compaction_run(&bench, log);
    compaction_run(&bench, other);
    assert_true(log_is_uncleanable(log));
    assert_false(log_is_failed(log));
    assert_int_equal(log_clean_offset(log), -1);
    assert_int_equal(log_clean_offset(other), 2);
    log_store_cleaner_stats(bench.store, &stats);
    assert_int_equal(stats.uncleanable_partitions, 1);
    assert_int_equal(stats.uncleanable_bytes, log_size_bytes(log));
    assert_int_equal(bench_files_count(&bench, "/data/", ".cleaned"), 0);
    OKAY(put(&bench, log, &history, 0, 1));
    bench_close(&bench);
}

/* ---- batches that another program wrote, with a check that fits ---- */

static char complaint[512];

static void complaint_keep(struct logger *self, enum log_level level, const char *module,
                           const char *event, const char *fields)
{
    if (strcmp(event, "uncleanable") == 0)
        fmt(complaint, sizeof complaint, "%s", fields);
    UNUSED(self);
    UNUSED(level);
    UNUSED(module);
}

/* The second batch, of offset 1, gets one other byte. Returns where it begins. */
static size_t second_batch_change(struct bench *bench, size_t at, uint8_t value)
{
    static uint8_t file[4096];
    size_t size = bench_file_get(bench, TOPIC_FOLDER "00000000000000000000.log", file, sizeof file);
    size_t start = 12 + ((size_t)file[10] << 8 | file[11]);
    size_t bytes = 12 + ((size_t)file[start + 10] << 8 | file[start + 11]);
    uint32_t crc;

    file[start + at] = value;
    crc = crc32c(slice_of(file + start + 21, bytes - 21));
    for (size_t i = 0; i < 4; i++)
        file[start + 17 + i] = (uint8_t)(crc >> (24 - 8 * i));
    bench_file_put(bench, TOPIC_FOLDER "00000000000000000000.log", slice_of(file, size));
    return start;
}

static void what_is_wrong_with_a_foreign_batch_is_said_with_its_place(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *error, *reason;
    } rows[] = {
        {22, 5, "CORRUPT_MESSAGE", "no codec has the number 5"},
        {22, 7, "CORRUPT_MESSAGE", "no codec has the number 7"},
        {22, 1, "DECOMPRESS", "its records cannot be decompressed"},
        {60, 9, "INVALID_RECORD", "its records are malformed"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct cleaner_stats stats;
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 40 + i);
        char place[64], reason[96];
        size_t start;

        bench.logger.write = complaint_keep;
        complaint[0] = '\0';
        compaction_fill(&bench, log, &history, 2, 3);
        log_roll(log);
        bench_pass(&bench, 500);
        start = second_batch_change(&bench, rows[i].at, rows[i].value);
        compaction_run(&bench, log);
        assert_true(log_is_uncleanable(log));
        assert_false(log_is_failed(log));
        log_store_cleaner_stats(bench.store, &stats);
        assert_int_equal(stats.uncleanable_partitions, 1);
        fmt(place, sizeof place, "segment 0, batch at byte %zu, offset 1: ", start);
        fmt(reason, sizeof reason, "%s\"", rows[i].reason);
        if (!strstr(complaint, place) || !strstr(complaint, reason) ||
            !strstr(complaint, rows[i].error))
            fail_msg("row %zu: %s", i, complaint);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void a_read_that_fails_takes_the_partition_out(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 24);

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    bench_calls_fail(&bench, 1u << SIM_CALL_READ, "00000000000000000000.log", ERR_IO);
    compaction_run(&bench, log);
    assert_true(log_is_uncleanable(log));
    assert_false(log_is_failed(log));
    bench_close(&bench);
}

static void a_write_that_fails_takes_the_directory_offline(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 25);

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    bench_calls_fail(&bench, 1u << SIM_CALL_SYNC, ".cleaned", ERR_IO);
    compaction_run(&bench, log);
    assert_true(log_is_failed(log));
    bench_close(&bench);
}

static void a_full_disk_puts_the_pass_off(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 26);
    int fault;

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    fault = bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, ".cleaned", ERR_DISK_FULL);
    compaction_run(&bench, log);
    assert_false(log_is_failed(log));
    assert_false(log_is_uncleanable(log));
    assert_int_equal(bench_files_count(&bench, TOPIC_FOLDER, ".cleaned"), 0);
    sim_fault_remove(bench.os, fault);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 6);
    assert_int_equal(compaction_check(&bench, log, &history), 2);
    bench_close(&bench);
}

/* effect: log.cleaner.dedupe.buffer.size */
static void a_full_map_ends_a_pass_in_the_midst_and_the_next_goes_on(void **state)
{
    const int pairs[3][2] = {{30, 1}, {31, 2}, {32, 3}};
    struct cleaner_stats stats;
    struct bench bench;
    struct log *log;

    bench_prepare(&bench, 27, 1);
    history.count = 0;
    bench.options.cleaner.backoff_ms = 1000;
    bench.options.cleaner.dedupe_bytes = 24 * 10; /* nine keys */
    bench.config.cleanup_compact = true;
    bench.config.cleanup_delete = false;
    bench.config.min_cleanable_dirty_ratio = 0;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    compaction_fill(&bench, log, &history, 25, 2);
    OKAY(keyed_append(&bench, log, &history, &(struct keyed){.pairs = pairs, .count = 3}));
    compaction_run(&bench, log);
    bench_pass(&bench, 60000);
    log_store_cleaner_stats(bench.store, &stats);
    assert_true(stats.passes >= 5);
    assert_int_equal(log_clean_offset(log), 53);
    assert_int_equal(compaction_check(&bench, log, &history), 28);
    bench_close(&bench);
}

static void read_is_done(struct log_read *read)
{
    UNUSED(read);
}

static void a_reader_that_planned_before_the_swap_reads_the_old_bytes(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 28);
    struct log_read read = {
        .offset = 0, .bound_offset = 6, .bytes_max = 1 << 20, .done = read_is_done};
    uint8_t *bytes;

    compaction_fill(&bench, log, &history, 2, 3);
    log_roll(log);
    bench_pass(&bench, 500);
    assert_true(log_read_plan(log, &read) || read.size_bytes == 0);
    bench_pass(&bench, 100);
    assert_true(read.size_bytes > 0);
    log_set_high_watermark(log, 6);
    compaction_wait(&bench, log);
    assert_int_equal(log_clean_offset(log), 6);
    bench_pass(&bench, 120000); /* and the old files are gone */
    bytes = malloc(read.size_bytes);
    log_read_bytes(&read, bytes);
    bench_pass(&bench, 100);
    assert_int_equal(read.read_bytes, read.size_bytes);
    for (struct slice rest = slice_of(bytes, read.size_bytes), batch; rest.size_bytes > 0;) {
        OKAY(batch_next(&rest, &batch));
        assert_true(batch.size_bytes > 0 && batch_is_valid(batch));
    }
    log_read_release(&read);
    free(bytes);
    bench_close(&bench);
}

static void appends_and_reads_go_on_beside_passes_and_swaps(void **state)
{
    struct sim_options options;

    sim_options_default(&options);
    options.job_latency = (struct sim_latency){.min_ns = 1000, .max_ns = 20000000};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct bench bench;
        struct log *log;

        history.count = 0;
        bench_prepare_sim(&bench, seed, &options, 1);
        bench.options.cleaner.backoff_ms = 1;
        bench.config.cleanup_compact = true;
        bench.config.cleanup_delete = false;
        bench.config.min_cleanable_dirty_ratio = 0;
        bench.config.segment_bytes = 700;
        bench.config.flush_mode = seed % 2 ? FLUSH_MODE_OS : FLUSH_MODE_COMMIT;
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 300; i++) {
            OKAY(put(&bench, log, &history, i % 7, i)); /* none is refused */
            log_set_high_watermark(log, log_end_written(log));
            if (i % 10 == 0)
                compaction_check(&bench, log, &history);
        }
        bench_pass(&bench, 1000); /* a roll is refused while a swap is under way */
        compaction_run(&bench, log);
        assert_int_equal(compaction_check(&bench, log, &history), 7);
        bench_close(&bench);
    }
}

static void the_rate_is_held(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t size;

    bench_prepare(&bench, 29, 1);
    history.count = 0;
    bench.options.cleaner.backoff_ms = 1;
    bench.options.cleaner.bytes_per_second = 100;
    bench.config.cleanup_compact = true;
    bench.config.cleanup_delete = false;
    bench.config.min_cleanable_dirty_ratio = 0;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    compaction_fill(&bench, log, &history, 10, 5);
    log_roll(log);
    bench_pass(&bench, 100);
    size = log_size_bytes(log);
    log_set_high_watermark(log, 50);
    bench_pass(&bench, size * 1000 / 100 - 1000); /* the map alone takes that long */
    assert_int_equal(log_clean_offset(log), -1);
    bench_pass(&bench, size * 3 * 1000 / 100);
    assert_int_equal(log_clean_offset(log), 50);
    bench_close(&bench);
}

/* effect: log.cleaner.io.buffer.size, half of which is for what is written */
static void output_is_written_in_pieces_of_half_the_buffer(void **state)
{
    for (int large = 0; large < 2; large++) {
        struct cleaner_options options;
        struct bench bench;
        struct log *log = compaction_log(&bench, &history, 35);
        int writes;

        options = bench.options.cleaner;
        options.io_buffer_bytes = large ? 1 << 20 : 64 << 10;
        log_directories_set_cleaner(bench.directories, &options);
        for (int key = 0; key < 2000; key++)
            OKAY(put(&bench, log, NULL, key, key));
        assert_in_range(log_size_bytes(log), 120000, 250000);
        writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, ".log.cleaned");
        compaction_run(&bench, log);
        assert_int_equal(log_clean_offset(log), 2000);
        assert_in_range(sim_fault_hits(bench.os, writes), large ? 1 : 4, large ? 1 : 9);
        bench_close(&bench);
    }
}

static void a_stale_cleaner_checkpoint_beyond_the_end_counts_for_nothing(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 33);

    compaction_fill(&bench, log, &history, 1, 4);
    log_roll(log);
    bench_pass(&bench, 100);
    bench_halt(&bench);
    bench_file_put(&bench, "/data/cleaner-offset-checkpoint", SLICE("0\n1\ntopic 0 900\n"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_clean_offset(log), -1);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

static void a_broken_cleaner_checkpoint_counts_for_nothing(void **state)
{
    struct bench bench;
    struct log *log = compaction_log(&bench, &history, 34);

    compaction_fill(&bench, log, &history, 1, 4);
    bench_halt(&bench);
    bench_file_put(&bench, "/data/cleaner-offset-checkpoint", SLICE("0\nrubbish\n"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    compaction_run(&bench, log);
    assert_int_equal(compaction_check(&bench, log, &history), 1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_dirty_offset_is_kept_in_kafkas_file),
        cmocka_unit_test(a_truncation_lowers_the_first_dirty_offset_before_a_byte_goes),
        cmocka_unit_test(a_change_cancels_the_pass_and_leaves_nothing_behind),
        cmocka_unit_test(a_broken_batch_takes_the_partition_out_and_nothing_else),
        cmocka_unit_test(what_is_wrong_with_a_foreign_batch_is_said_with_its_place),
        cmocka_unit_test(a_read_that_fails_takes_the_partition_out),
        cmocka_unit_test(a_write_that_fails_takes_the_directory_offline),
        cmocka_unit_test(a_full_disk_puts_the_pass_off),
        cmocka_unit_test(a_full_map_ends_a_pass_in_the_midst_and_the_next_goes_on),
        cmocka_unit_test(a_reader_that_planned_before_the_swap_reads_the_old_bytes),
        cmocka_unit_test(appends_and_reads_go_on_beside_passes_and_swaps),
        cmocka_unit_test(the_rate_is_held),
        cmocka_unit_test(output_is_written_in_pieces_of_half_the_buffer),
        cmocka_unit_test(a_stale_cleaner_checkpoint_beyond_the_end_counts_for_nothing),
        cmocka_unit_test(a_broken_cleaner_checkpoint_counts_for_nothing),
    };

    return cmocka_run_group_tests_name("storage/compaction_pass", tests, NULL, NULL);
}
