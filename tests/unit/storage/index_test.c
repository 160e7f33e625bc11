/* SPDX-License-Identifier: Apache-2.0 */
/* Offset and time index: sparse, and no more than a cache. */
#include "support.h"

#include "base/cursor.h"
#include "storage/storage_internal.h"

#define FOLDER "/data/topic-0/"
#define FIRST_INDEX FOLDER "00000000000000000000.index"
#define FIRST_TIME_INDEX FOLDER "00000000000000000000.timeindex"

/* Two segments: one sealed with 40 batches of two records, one active with 20. */
static struct log *filled(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 60; i++) {
        OKAY(bench_append_batch(
            bench, log, 0,
            &(struct bench_batch){.count = 2, .value_bytes = 700, .timestamp = 1000 + 10 * i}));
        if (i == 39)
            log_roll(log);
    }
    OKAY(bench_flush(bench, log, 120));
    return log;
}

static void read_at_every_offset(struct bench *bench, struct log *log)
{
    for (int64_t offset = 0; offset < 120; offset++) {
        struct bench_read read = {
            .op = {.offset = offset, .bound_offset = 120, .bytes_max = 1 << 20}};

        OKAY(bench_read(bench, log, &read));
        assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.size_bytes), offset & ~1),
                         offset < 80 ? 80 : 120);
        bench_read_release(&read);
    }
    assert_int_equal(bench_verify(bench, log), 120);
}

static void look_up_every_timestamp(struct bench *bench, struct log *log)
{
    for (int i = 0; i < 60; i += 7) {
        struct log_lookup lookup;

        OKAY(bench_lookup(bench, log, 1000 + 10 * i, &lookup));
        assert_int_equal(lookup.offset, 2 * i);
    }
}

static void an_entry_names_the_batch_behind_every_4096_bytes(void **state)
{
    uint8_t bytes[4096];
    struct bench bench;
    struct log *log;
    struct cursor cursor;
    int64_t batch_bytes;
    int32_t relative, position, last_position = 0;
    size_t size_bytes;

    bench_open(&bench, 1);
    log = filled(&bench);
    batch_bytes = log_size_bytes(log) / 60;
    UNUSED(log);
    bench_pass(&bench, 2000);
    size_bytes = bench_file_get(&bench, FIRST_INDEX, bytes, sizeof(bytes));
    assert_int_equal(size_bytes % 8, 0);
    assert_in_range(size_bytes / 8, 10, 15);
    cursor = cursor_of(slice_of(bytes, size_bytes));
    while (cursor_left(&cursor) > 0) {
        OKAY(cursor_i32(&cursor, &relative));
        OKAY(cursor_i32(&cursor, &position));
        /* The batch that the entry names begins more than 4096 bytes behind the one before. */
        assert_true(position - last_position > 4096);
        assert_true(position - last_position <= 4096 + batch_bytes + 64);
        assert_int_equal(relative % 2, 1); /* the last offset of the batch */
        last_position = position;
    }
    bench_close(&bench);
}

static void a_missing_index_is_made_anew(void **state)
{
    for (int which = 0; which < 3; which++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 2);
        log = filled(&bench);
        bench_halt(&bench);
        if (which != 1)
            OKAY(os_unlink(bench.os, FIRST_INDEX));
        if (which != 0)
            OKAY(os_unlink(bench.os, FIRST_TIME_INDEX));
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 120);
        read_at_every_offset(&bench, log);
        look_up_every_timestamp(&bench, log);
        bench_restart(&bench);
        assert_true(bench_file_size(&bench, FIRST_INDEX) > 0);
        bench_close(&bench);
    }
}

static void the_missing_index_of_the_active_segment_is_made_anew(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    log = filled(&bench);
    bench_halt(&bench);
    OKAY(os_unlink(bench.os, FOLDER "00000000000000000080.index"));
    OKAY(os_unlink(bench.os, FOLDER "00000000000000000080.timeindex"));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 120);
    read_at_every_offset(&bench, log);
    look_up_every_timestamp(&bench, log);
    OKAY(bench_append(&bench, log, 0, 2, 700));
    assert_int_equal(bench_verify(&bench, log), 122);
    bench_close(&bench);
}

static void an_index_of_other_bytes_is_made_anew(void **state)
{
    static const char *const files[] = {FIRST_INDEX, FIRST_TIME_INDEX,
                                        FOLDER "00000000000000000080.index",
                                        FOLDER "00000000000000000080.timeindex"};
    uint8_t rubbish[3][480];

    memset(rubbish[0], 0, sizeof(rubbish[0]));
    memset(rubbish[1], 0xff, sizeof(rubbish[1]));
    for (size_t i = 0; i < sizeof(rubbish[2]); i++)
        rubbish[2][i] = (uint8_t)(i * 37);
    for (size_t file = 0; file < ARRAY_COUNT(files); file++) {
        for (int kind = 0; kind < 4; kind++) {
            struct bench bench;
            struct log *log;

            bench_open(&bench, 4);
            log = filled(&bench);
            bench_halt(&bench);
            bench_file_put(&bench, files[file],
                           kind == 3 ? slice_of(rubbish[2], 13) /* no whole entry */
                                     : slice_of(rubbish[kind], sizeof(rubbish[kind])));
            bench_start(&bench);
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(log_end_written(log), 120);
            read_at_every_offset(&bench, log);
            assert_false(log_is_failed(log));
            bench_close(&bench);
        }
    }
}

static void an_index_whose_entries_name_no_batches_is_found_out_and_made_anew(void **state)
{
    uint8_t bytes[4096];
    struct bench bench;
    struct log *log;
    size_t size_bytes;

    bench_open(&bench, 5);
    log = filled(&bench);
    bench_halt(&bench);
    size_bytes = bench_file_get(&bench, FIRST_INDEX, bytes, sizeof(bytes));
    for (size_t i = 7; i + 8 < size_bytes; i += 8)
        bytes[i]++; /* all positions but the last are off by one */
    bench_file_put(&bench, FIRST_INDEX, slice_of(bytes, size_bytes));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    read_at_every_offset(&bench, log);
    assert_false(log_is_failed(log));
    bench_close(&bench);
}

static void an_entry_that_names_another_batch_is_not_believed(void **state)
{
    uint8_t bytes[4096];
    struct bench bench;
    struct log *log;
    size_t size_bytes;
    int64_t batch_bytes;

    bench_open(&bench, 6);
    log = filled(&bench);
    bench_halt(&bench);
    size_bytes = bench_file_get(&bench, FIRST_INDEX, bytes, sizeof(bytes));
    batch_bytes = bench_file_size(&bench, FOLDER "00000000000000000000.log") / 40;
    /* Each entry but the last names the batch behind its own: reads would begin too late. */
    for (size_t i = 4; i + 8 < size_bytes; i += 8) {
        struct cursor cursor = cursor_of(slice_of(bytes + i, 4));
        int32_t position;

        OKAY(cursor_i32(&cursor, &position));
        position += (int32_t)batch_bytes;
        for (size_t j = 0; j < 4; j++)
            bytes[i + j] = (uint8_t)(position >> (24 - 8 * j));
    }
    bench_file_put(&bench, FIRST_INDEX, slice_of(bytes, size_bytes));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    read_at_every_offset(&bench, log);
    assert_false(log_is_failed(log));
    bench_close(&bench);
}

/* Positions of all entries but the last move by `bytes`. */
static void positions_move(struct bench *bench, int32_t by_bytes)
{
    uint8_t bytes[4096];
    size_t size_bytes = bench_file_get(bench, FIRST_INDEX, bytes, sizeof(bytes));

    for (size_t i = 4; i + 8 < size_bytes; i += 8) {
        struct cursor cursor = cursor_of(slice_of(bytes + i, 4));
        int32_t position;

        OKAY(cursor_i32(&cursor, &position));
        position += by_bytes;
        for (size_t j = 0; j < 4; j++)
            bytes[i + j] = (uint8_t)(position >> (24 - 8 * j));
    }
    bench_file_put(bench, FIRST_INDEX, slice_of(bytes, size_bytes));
}

/* What is there may look like a batch that is larger than what is left of the file, which is not its end. */
static void an_entry_that_points_into_a_batch_is_not_believed(void **state)
{
    for (int32_t by_bytes = 1; by_bytes < 1400; by_bytes += 9) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 7);
        log = filled(&bench);
        bench_halt(&bench);
        positions_move(&bench, by_bytes);
        bench_start(&bench);
        log = bench_log(&bench, "topic", 0);
        read_at_every_offset(&bench, log);
        assert_false(log_is_failed(log));
        bench_close(&bench);
    }
}

static void a_stale_index_of_an_unclean_stop_is_completed(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, seed);
        log = filled(&bench);
        bench_crash(&bench, NULL);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 120);
        read_at_every_offset(&bench, log);
        look_up_every_timestamp(&bench, log);
        bench_close(&bench);
    }
}

static void entries_are_found_by_offset_and_position(void **state)
{
    struct offset_index index = {0};
    struct offset_index_entry entry;

    assert_int_equal(offset_index_find(&index, 5, &entry), INDEX_BEFORE);
    for (int i = 1; i <= 10; i++)
        offset_index_add(&index, 10 * i, 1000 * i);
    assert_int_equal(offset_index_find(&index, 9, &entry), INDEX_BEFORE);
    assert_int_equal(offset_index_find(&index, 10, &entry), INDEX_FOUND);
    assert_int_equal(entry.position_bytes, 1000);
    assert_int_equal(offset_index_find(&index, 59, &entry), INDEX_FOUND);
    assert_int_equal(entry.relative, 50);
    assert_int_equal(offset_index_find(&index, INT64_MAX, &entry), INDEX_FOUND);
    assert_int_equal(entry.relative, 100);
    assert_int_equal(offset_index_find_position(&index, 1001, &entry), INDEX_FOUND);
    assert_int_equal(entry.relative, 20);
    assert_int_equal(offset_index_find_position(&index, 10001, &entry), INDEX_BEFORE);
    offset_index_cut(&index, 51);
    assert_int_equal(index.count, 5);
    offset_index_release(&index);
    /* Of a log at rest the last entry alone is in memory. */
    index = (struct offset_index){.first = 3, .count = 3};
    offset_index_add(&index, 40, 4000);
    assert_int_equal(offset_index_find(&index, 39, &entry), INDEX_NOT_LOADED);
    assert_int_equal(offset_index_find_position(&index, 3999, &entry), INDEX_NOT_LOADED);
    assert_int_equal(offset_index_find_position(&index, 4001, &entry), INDEX_BEFORE);
    offset_index_release(&index);
}

static void a_time_entry_is_added_only_above_the_last_one(void **state)
{
    struct time_index index = {0};
    struct time_index_entry entry;

    time_index_add(&index, 100, 1);
    time_index_add(&index, 100, 2);
    time_index_add(&index, 90, 3);
    time_index_add(&index, 101, 4);
    assert_int_equal(index.count, 2);
    assert_int_equal(time_index_find(&index, 99, &entry), INDEX_BEFORE);
    assert_int_equal(time_index_find(&index, 100, &entry), INDEX_FOUND);
    assert_int_equal(entry.relative, 1);
    time_index_cut(&index, 4);
    assert_int_equal(index.count, 1);
    time_index_release(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_names_the_batch_behind_every_4096_bytes),
        cmocka_unit_test(a_missing_index_is_made_anew),
        cmocka_unit_test(the_missing_index_of_the_active_segment_is_made_anew),
        cmocka_unit_test(an_index_of_other_bytes_is_made_anew),
        cmocka_unit_test(an_index_whose_entries_name_no_batches_is_found_out_and_made_anew),
        cmocka_unit_test(an_entry_that_names_another_batch_is_not_believed),
        cmocka_unit_test(an_entry_that_points_into_a_batch_is_not_believed),
        cmocka_unit_test(a_stale_index_of_an_unclean_stop_is_completed),
        cmocka_unit_test(entries_are_found_by_offset_and_position),
        cmocka_unit_test(a_time_entry_is_added_only_above_the_last_one),
    };

    return cmocka_run_group_tests_name("storage/index", tests, NULL, NULL);
}
