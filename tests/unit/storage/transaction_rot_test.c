/* SPDX-License-Identifier: Apache-2.0 */
/* Indexes of aborted transactions that rot, go, or were written by another program; batches that rotted and say
 * something of a producer all the same. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "/data/topic-0/"
#define INDEX FOLDER "00000000000000000000.txnindex"
#define LOG FOLDER "00000000000000000000.log"
#define DIGESTS FOLDER "barnabas-aborted-transactions"
#define END 24

struct aborted_bench {
    struct bench bench;
    int broken; /* indexes that were made anew */
};

static void heard(struct logger *logger, enum log_level level, const char *module,
                  const char *event, const char *fields)
{
    struct aborted_bench *aborted =
        CONTAINER_OF(CONTAINER_OF(logger, struct bench, logger), struct aborted_bench, bench);

    UNUSED(level);
    UNUSED(module);
    UNUSED(fields);
    aborted->broken += strcmp(event, "transaction_index_broken") == 0 ||
                       strcmp(event, "transaction_digests_broken") == 0;
}

static void transact(struct bench *bench, struct log *log, int64_t producer_id, int32_t sequence)
{
    OKAY(bench_append_batch(
        bench, log, 0,
        &(struct bench_batch){
            .producer_id = producer_id, .sequence = sequence, .count = 2, .transactional = true}));
}

static void decide(struct bench *bench, struct log *log, int64_t producer_id, bool is_abort)
{
    OKAY(bench_append_batch(bench, log, 0,
                            &(struct bench_batch){.producer_id = producer_id,
                                                  .is_control = true,
                                                  .is_abort = is_abort}));
}

/* Nine offsets: 0-1 open by 7, 2-3 by 8, 4 abort of 8, 5-6 by 9, 7 commit of 9, 8 abort of 7. */
static void nine(struct bench *bench, struct log *log, int32_t sequence)
{
    transact(bench, log, 7, sequence);
    transact(bench, log, 8, sequence);
    decide(bench, log, 8, true);
    transact(bench, log, 9, sequence);
    decide(bench, log, 9, false);
    decide(bench, log, 7, true);
}

static struct log *reopened(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    log_set_high_watermark(log, log_end_written(log));
    return log;
}

/* Two segments of nine and one of six plain records; what is below 18 is beyond all doubt. */
static struct log *begin(struct aborted_bench *aborted)
{
    struct bench *bench = &aborted->bench;
    struct log *log;

    aborted->broken = 0;
    bench_prepare(bench, 31, 1);
    bench->logger.write = heard;
    bench_start(bench);
    log = bench_log(bench, "topic", 0);
    nine(bench, log, 0);
    log_roll(log);
    nine(bench, log, 2);
    log_roll(log);
    OKAY(bench_append(bench, log, 0, 6, 0));
    OKAY(bench_flush(bench, log, END));
    bench_pass(bench, 70000);
    assert_true(log_recovery_point(log) >= 18);
    return log;
}

static void expect_aborts(struct bench *bench, struct log *log, int count)
{
    struct bench_read read = {.op = {.offset = 0,
                                     .bound_offset = log_end_written(log),
                                     .bytes_max = 1 << 20,
                                     .wants_aborted = true}};
    static const int64_t producers[] = {8, 7, 8, 7}, firsts[] = {2, 0, 11, 9};

    OKAY(bench_read(bench, log, &read));
    assert_int_equal(read.op.aborted_count, count <= 2 ? count : 2); /* of its own segment */
    for (size_t i = 0; i < read.op.aborted_count; i++) {
        assert_int_equal(read.op.aborted[i].producer_id, producers[i]);
        assert_int_equal(read.op.aborted[i].first_offset, firsts[i]);
    }
    bench_read_release(&read);
    if (count <= 2)
        return;
    read.op.offset = 9;
    OKAY(bench_read(bench, log, &read));
    assert_int_equal(read.op.aborted_count, count - 2);
    for (size_t i = 0; i < read.op.aborted_count; i++) {
        assert_int_equal(read.op.aborted[i].producer_id, producers[2 + i]);
        assert_int_equal(read.op.aborted[i].first_offset, firsts[2 + i]);
    }
    bench_read_release(&read);
}

static void down(struct aborted_bench *aborted, bool crash)
{
    if (crash)
        bench_cut(&aborted->bench, NULL);
    else
        bench_halt(&aborted->bench);
}

static void up(struct aborted_bench *aborted, int broken)
{
    struct bench *bench = &aborted->bench;
    struct log *log;

    aborted->broken = 0;
    bench_start(bench);
    log = reopened(bench);
    assert_int_equal(log_end_written(log), END);
    expect_aborts(bench, log, 4);
    assert_int_equal(aborted->broken, broken);
    /* What was made anew is found good by the next. */
    aborted->broken = 0;
    bench_restart(bench);
    log = reopened(bench);
    expect_aborts(bench, log, 4);
    assert_int_equal(aborted->broken, 0);
}

static void no_byte_of_a_transaction_index_that_rots_shows_what_was_aborted(void **state)
{
    static const uint8_t masks[] = {0x01, 0x80, 0xff};

    for (int64_t at = 0; at < 68; at++) {
        struct aborted_bench aborted;

        (void)begin(&aborted);
        down(&aborted, at % 2);
        assert_int_equal(bench_file_size(&aborted.bench, INDEX), 68);
        OKAY(sim_disk_flip(aborted.bench.os, INDEX, at, masks[at % 3]));
        up(&aborted, 1);
        bench_close(&aborted.bench);
    }
}

static void what_is_told_of_an_index_may_rot_too(void **state)
{
    struct aborted_bench aborted;
    int64_t size_bytes = 1;

    for (int64_t at = 0; at < size_bytes; at++) {
        (void)begin(&aborted);
        down(&aborted, at % 2);
        size_bytes = bench_file_size(&aborted.bench, DIGESTS);
        OKAY(sim_disk_flip(aborted.bench.os, DIGESTS, at, 0x01));
        up(&aborted, 3); /* and both indexes */
        bench_close(&aborted.bench);
    }
    assert_true(size_bytes > 20);
}

static void an_index_that_is_gone_is_made_anew(void **state)
{
    for (int crash = 0; crash < 2; crash++) {
        struct aborted_bench aborted;

        (void)begin(&aborted);
        down(&aborted, crash);
        OKAY(os_unlink(aborted.bench.os, INDEX));
        up(&aborted, 1);
        bench_close(&aborted.bench);
    }
}

/* Its marks go on where ours end; it leaves ours alone. */
static void what_apache_wrote_since_is_believed_after_a_look_at_the_log(void **state)
{
    struct aborted_bench aborted;
    struct bench *bench = &aborted.bench;
    uint8_t before[400];
    struct log *log = begin(&aborted);
    size_t size_bytes;

    down(&aborted, false);
    size_bytes = bench_file_get(bench, DIGESTS, before, sizeof before);
    bench_start(bench);
    log = reopened(bench);
    nine(bench, log, 4);
    down(&aborted, false);
    bench_file_put(bench, DIGESTS, slice_of(before, size_bytes));
    bench_start(bench);
    log = reopened(bench);
    assert_int_equal(aborted.broken, 1);
    expect_aborts(bench, log, 4);
    struct bench_read read = {
        .op = {
            .offset = END, .bound_offset = END + 9, .bytes_max = 1 << 20, .wants_aborted = true}};
    OKAY(bench_read(bench, log, &read));
    assert_int_equal(read.op.aborted_count, 2);
    bench_read_release(&read);
    bench_close(bench);
}

static void a_log_that_apache_wrote_has_no_digests_and_gets_them(void **state)
{
    struct aborted_bench aborted;

    (void)begin(&aborted);
    down(&aborted, false);
    OKAY(os_unlink(aborted.bench.os, DIGESTS));
    up(&aborted, 0);
    assert_true(bench_file_size(&aborted.bench, DIGESTS) > 0);
    bench_close(&aborted.bench);
}

static void no_crash_at_any_call_leaves_digests_that_do_not_fit(void **state)
{
    for (int64_t call = 0;; call++) {
        struct aborted_bench aborted;
        struct bench *bench = &aborted.bench;
        struct log *log;
        bool has_died;

        bench_prepare(bench, 32 + (uint64_t)call, 1);
        bench->logger.write = heard;
        bench_start(bench);
        log = bench_log(bench, "topic", 0);
        nine(bench, log, 0);
        OKAY(bench_flush(bench, log, 9));
        sim_machine_crash_at(bench->os, call, NULL);
        log_roll(log);
        bench_pass(bench, 3000);
        has_died = !sim_machine_is_up(bench->os);
        aborted.broken = 0;
        bench_crash(bench, NULL);
        log = reopened(bench);
        assert_int_equal(log_end_written(log), 9);
        assert_int_equal(aborted.broken, 0);
        expect_aborts(bench, log, 2);
        bench_close(bench);
        if (!has_died)
            break;
    }
}

static void a_cut_end_takes_its_aborts_along(void **state)
{
    for (int crash = 0; crash < 2; crash++) {
        struct aborted_bench aborted;
        struct bench *bench = &aborted.bench;
        struct log *log = begin(&aborted);

        OKAY(bench_truncate(bench, log, 6));
        down(&aborted, crash);
        bench_start(bench);
        log = reopened(bench);
        assert_int_equal(aborted.broken, 0);
        expect_aborts(bench, log, 1);
        bench_close(bench);
    }
}

/* ---- readers that believe batches ---- */

static int32_t last_sequence(struct log *log, int64_t producer_id)
{
    const struct producer_entry *entry = producer_state_find(log_producers(log), producer_id);

    return entry && entry->batch_count > 0 ? entry->batches[entry->batch_count - 1].last_sequence
                                           : -1;
}

static void snapshots_remove(struct bench *bench)
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(os_list(bench->os, FOLDER, &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        char path[200];

        snprintf(path, sizeof path, FOLDER "%s", names.names[i]);
        if (strstr(path, ".snapshot"))
            OKAY(os_unlink(bench->os, path));
    }
}

/* Three batches of the producer, then a roll; each byte of the second one rots. */
static void a_batch_that_rotted_says_nothing_of_its_producer(void **state)
{
    int64_t batch_bytes = 1;

    for (int64_t at = 0; at < batch_bytes; at++) {
        struct aborted_bench aborted;
        struct bench *bench = &aborted.bench;
        struct log *log;

        bench_prepare(bench, 33, 1);
        bench->logger.write = heard;
        bench_start(bench);
        log = bench_log(bench, "topic", 0);
        for (int32_t i = 0; i < 3; i++)
            OKAY(bench_append_batch(
                bench, log, 0,
                &(struct bench_batch){.producer_id = 7, .sequence = 2 * i, .count = 2}));
        batch_bytes = bench_file_size(bench, LOG) / 3;
        log_roll(log);
        OKAY(bench_append(bench, log, 0, 1, 0));
        OKAY(bench_flush(bench, log, 7));
        bench_pass(bench, 70000);
        bench_cut(bench, NULL);
        snapshots_remove(bench);
        OKAY(sim_disk_flip(bench->os, LOG, batch_bytes + at, at % 2 ? 0x80 : 0x01));
        bench_start(bench);
        log = bench_log(bench, "topic", 0);
        assert_int_equal(log_end_written(log), 7);
        if ((at >= 8 && at < 12) || at == 16)
            assert_true(last_sequence(log, 7) == 1 || last_sequence(log, 7) == 5); /* framing */
        else
            assert_int_equal(last_sequence(log, 7), 5);
        OKAY(bench_append_batch(
            bench, log, 0,
            &(struct bench_batch){.producer_id = 7, .sequence = last_sequence(log, 7) + 1}));
        bench_close(bench);
    }
}

static void a_search_does_not_find_what_a_rotted_base_offset_says(void **state)
{
    for (int64_t at = 0; at < 8; at++) {
        struct aborted_bench aborted;
        struct bench *bench = &aborted.bench;
        struct log_lookup lookup;
        struct log *log;
        int64_t batch_bytes;

        bench_prepare(bench, 34, 1);
        bench->logger.write = heard;
        bench_start(bench);
        log = bench_log(bench, "topic", 0);
        for (int64_t i = 0; i < 3; i++)
            OKAY(bench_append_batch(
                bench, log, 0, &(struct bench_batch){.count = 2, .timestamp = 1000 * (i + 1)}));
        batch_bytes = bench_file_size(bench, LOG) / 3;
        log_roll(log);
        OKAY(bench_append(bench, log, 0, 1, 0));
        OKAY(bench_flush(bench, log, 7));
        bench_pass(bench, 70000);
        bench_halt(bench);
        OKAY(sim_disk_flip(bench->os, LOG, batch_bytes + at, 0x10));
        bench_start(bench);
        log = reopened(bench);
        assert_int_equal(bench_lookup(bench, log, 2000, &lookup), ERR_CORRUPT_MESSAGE);
        assert_false(log_is_failed(log));
        bench_close(bench);
    }
}

static void a_marker_that_rotted_takes_no_directory_offline(void **state)
{
    int64_t size_bytes = 1;

    for (int64_t at = 1; at <= 78 && at < size_bytes + 1; at++) { /* the last batch is one */
        struct aborted_bench aborted;
        struct bench *bench = &aborted.bench;
        struct log *log = begin(&aborted);

        UNUSED(log);
        size_bytes = bench_file_size(bench, LOG);
        bench_cut(bench, NULL);
        snapshots_remove(bench);
        OKAY(sim_disk_flip(bench->os, LOG, size_bytes - at, 0x21));
        bench_start(bench);
        log = bench_log(bench, "topic", 0);
        assert_int_equal(log_end_written(log), END);
        assert_false(log_directory_is_offline(log_directories_at(bench->directories, 0)));
        bench_close(bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_of_a_transaction_index_that_rots_shows_what_was_aborted),
        cmocka_unit_test(what_is_told_of_an_index_may_rot_too),
        cmocka_unit_test(an_index_that_is_gone_is_made_anew),
        cmocka_unit_test(what_apache_wrote_since_is_believed_after_a_look_at_the_log),
        cmocka_unit_test(a_log_that_apache_wrote_has_no_digests_and_gets_them),
        cmocka_unit_test(no_crash_at_any_call_leaves_digests_that_do_not_fit),
        cmocka_unit_test(a_cut_end_takes_its_aborts_along),
        cmocka_unit_test(a_batch_that_rotted_says_nothing_of_its_producer),
        cmocka_unit_test(a_search_does_not_find_what_a_rotted_base_offset_says),
        cmocka_unit_test(a_marker_that_rotted_takes_no_directory_offline),
    };

    return cmocka_run_group_tests_name("storage/transaction_rot", tests, NULL, NULL);
}
