/* SPDX-License-Identifier: Apache-2.0 */
/* What reads remember of batches that they saw on the way, and when it is no more. */
#include "storage/storage_internal.h"
#include "support.h"

enum { BATCHES = 200 };

/* Batches of two records each, in a store that has forgotten which ones were written last. */
static struct log *filled(struct bench *bench, size_t value_bytes, int count)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < count; i++)
        OKAY(bench_append(bench, log, 0, 2, value_bytes));
    bench_restart(bench);
    return bench_log(bench, "topic", 0);
}

static struct bench_read read_at(struct bench *bench, struct log *log, int64_t offset,
                                 size_t bytes_max)
{
    struct bench_read read = {.op = {.offset = offset,
                                     .bound_offset = INT64_MAX,
                                     .bytes_max = bytes_max,
                                     .at_least_one = true}};

    OKAY(bench_read(bench, log, &read));
    return read;
}

/* Of the first; where the values have one size, of each. */
static size_t batch_bytes(struct bench *bench, struct log *log)
{
    struct bench_read read = read_at(bench, log, 0, 1);
    size_t size_bytes = read.op.first_batch_bytes;

    bench_read_release(&read);
    return size_bytes;
}

/* From the beginning, batch by batch: each is what was written there. */
static void read_each(struct bench *bench, struct log *log, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        struct bench_read read = read_at(bench, log, 2 * i, 1);

        assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), 2 * i),
                         2 * i + 2);
        bench_read_release(&read);
    }
}

static void a_reader_of_one_batch_after_another_seldom_looks_into_the_file(void **state)
{
    struct bench bench;
    struct log *log;
    int reads;

    UNUSED(state);
    bench_open(&bench, 1);
    log = filled(&bench, 100, BATCHES);
    reads = bench_calls_count(&bench, 1u << SIM_CALL_READ, ".log");
    for (int64_t i = 0; i < BATCHES; i++) {
        struct bench_read read = read_at(&bench, log, 2 * i, 1);

        assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), 2 * i),
                         2 * i + 2);
        assert_int_equal(read.op.read_bytes, read.op.first_batch_bytes);
        bench_read_release(&read);
    }
    /* One for each batch, and a look for every seventeen. */
    assert_true(sim_fault_hits(bench.os, reads) >= BATCHES);
    assert_true(sim_fault_hits(bench.os, reads) <= BATCHES + BATCHES / 10);
    bench_close(&bench);
}

static void what_was_read_says_where_the_next_read_begins(void **state)
{
    struct bench bench;
    struct bench_read read;
    struct log *log;
    size_t one, whole;
    int reads;

    UNUSED(state);
    bench_open(&bench, 2);
    log = filled(&bench, 20000, 10);
    one = batch_bytes(&bench, log);
    read = read_at(&bench, log, 0, 3 * one + 100);
    whole = 3 * one; /* the values have one size, and so have the batches */
    log_read_seen(&read.op, slice_of(read.bytes + whole, read.op.read_bytes - whole),
                  read.op.position_bytes + (int64_t)whole, 6);
    bench_read_release(&read);
    reads = bench_calls_count(&bench, 1u << SIM_CALL_READ, ".log");
    read = read_at(&bench, log, 6, 1);
    assert_int_equal(sim_fault_hits(bench.os, reads), 1);
    assert_int_equal(read.op.position_bytes, whole);
    assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), 6), 8);
    bench_read_release(&read);
    bench_close(&bench);
}

/* Found by reading: a place from a header that was read amiss once led every later read astray. */
static void a_place_that_holds_no_batch_is_forgotten(void **state)
{
    for (int byte = 0; byte < 12; byte++) { /* of the base offset and the size */
        struct bench bench;
        struct bench_read read;
        struct log *log;
        size_t one;

        UNUSED(state);
        bench_open(&bench, 4);
        log = filled(&bench, 20000, 10);
        one = batch_bytes(&bench, log);
        read = read_at(&bench, log, 0, 4 * one);
        read.bytes[one + (size_t)byte] ^= 1; /* as one read of the disk had it */
        log_read_seen(&read.op, slice_of(read.bytes + one, read.op.read_bytes - one),
                      read.op.position_bytes + (int64_t)one, 2);
        bench_read_release(&read);
        for (int64_t offset = 2; offset < 8; offset += 2) {
            for (int again = 0; again < 2; again++) {
                struct batch_header header;
                bool is_sound;

                read = read_at(&bench, log, offset, one);
                is_sound =
                    read.op.read_bytes == one &&
                    batch_is_valid(slice_of(read.bytes, read.op.read_bytes)) &&
                    batch_header_read(slice_of(read.bytes, read.op.read_bytes), &header) == OK &&
                    header.base_offset == offset;
                if (!is_sound)
                    log_read_unsound(&read.op);
                bench_read_release(&read);
                assert_true(is_sound || !again);
            }
        }
        bench_close(&bench);
    }
}

/* More keys than there are places: some share that one. */
static void no_place_of_another_batch_is_forgotten(void **state)
{
    struct bench bench;
    struct bench_read read;
    struct log *log;

    UNUSED(state);
    bench_open(&bench, 5);
    log = filled(&bench, 100, 1);
    read = read_at(&bench, log, 0, 1);
    places_note(bench.store, 7, slice_of(read.bytes, read.op.read_bytes), 0, 0);
    bench_read_release(&read);
    for (int64_t i = 1; i < 8 * (int64_t)STORE_PLACES; i++) {
        place_forget(bench.store, 7, i);
        place_forget(bench.store, 7 + (uint64_t)i, 0);
    }
    assert_non_null(place_find(bench.store, 7, 0));
    place_forget(bench.store, 7, 0);
    assert_null(place_find(bench.store, 7, 0));
    bench_close(&bench);
}

static void too_few_bytes_for_a_header_say_nothing(void **state)
{
    struct bench bench;
    struct bench_read read;
    struct log *log;
    size_t one;

    UNUSED(state);
    bench_open(&bench, 3);
    log = filled(&bench, 20000, 4);
    one = batch_bytes(&bench, log);
    for (size_t rest = 0; rest < BATCH_HEADER_BYTES; rest++) {
        read = read_at(&bench, log, 0, one + rest);
        log_read_seen(&read.op, slice_of(read.bytes + one, rest),
                      read.op.position_bytes + (int64_t)one, 2);
        bench_read_release(&read);
    }
    read = read_at(&bench, log, 2, 1);
    assert_int_equal(bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), 2), 4);
    bench_read_release(&read);
    bench_close(&bench);
}

static void nothing_that_was_truncated_is_remembered(void **state)
{
    struct bench bench;
    struct log *log;

    UNUSED(state);
    bench_open(&bench, 4);
    log = filled(&bench, 100, 20);
    read_each(&bench, log, 20); /* now the places of all are known */
    OKAY(bench_truncate(&bench, log, 4));
    for (int i = 0; i < 18; i++)
        OKAY(bench_append(&bench, log, 1, 2, 333));
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    read_each(&bench, log, 20);
    bench_close(&bench);
}

/* The same without a restart: the store's memory goes on, the segment's bytes are others. */
static void a_truncated_segment_is_another_one(void **state)
{
    struct bench bench;
    struct log *log;

    UNUSED(state);
    bench_open(&bench, 5);
    log = filled(&bench, 100, 60);
    read_each(&bench, log, 60); /* now the places of all are known */
    OKAY(bench_truncate(&bench, log, 4));
    for (int i = 0; i < 58; i++) /* more than the log itself remembers (RECENT_BATCHES) */
        OKAY(bench_append(&bench, log, 1, 2, 333));
    read_each(&bench, log, 60);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_of_one_batch_after_another_seldom_looks_into_the_file),
        cmocka_unit_test(what_was_read_says_where_the_next_read_begins),
        cmocka_unit_test(a_place_that_holds_no_batch_is_forgotten),
        cmocka_unit_test(no_place_of_another_batch_is_forgotten),
        cmocka_unit_test(too_few_bytes_for_a_header_say_nothing),
        cmocka_unit_test(nothing_that_was_truncated_is_remembered),
        cmocka_unit_test(a_truncated_segment_is_another_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
