/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets by timestamp, and the special values. */
#include "support.h"

/* Five segments of four batches of three records; record i has the timestamp 1000 + 10 * i. */
static struct log *filled(struct bench *bench)
{
    struct log *log = bench_log(bench, "topic", 0);

    for (int i = 0; i < 20; i++) {
        struct writer out;
        struct bench_batch batch = {.count = 3, .timestamp = 1000 + 30 * i, .value_bytes = 50};

        UNUSED(out);
        OKAY(bench_append_batch(bench, log, 4, &batch));
        if (i % 4 == 3)
            log_roll(log);
    }
    OKAY(bench_flush(bench, log, 60));
    return log;
}

static int64_t looked_up(struct bench *bench, struct log *log, int64_t timestamp)
{
    struct log_lookup lookup;

    OKAY(bench_lookup(bench, log, timestamp, &lookup));
    return lookup.offset;
}

static void a_timestamp_finds_the_first_record_that_is_not_older(void **state)
{
    for (int restarted = 0; restarted < 2; restarted++) {
        struct bench bench;
        struct log *log;
        struct log_lookup lookup;

        bench_open(&bench, 1);
        log = filled(&bench);
        if (restarted) {
            bench_restart(&bench);
            log = bench_log(&bench, "topic", 0);
        }
        assert_int_equal(looked_up(&bench, log, 0), 0);
        assert_int_equal(looked_up(&bench, log, 1000), 0);
        assert_int_equal(looked_up(&bench, log, 1001), 1); /* inside a batch */
        assert_int_equal(looked_up(&bench, log, 1002), 2);
        assert_int_equal(looked_up(&bench, log, 1003), 3);
        for (int i = 0; i < 20; i++) {
            OKAY(bench_lookup(&bench, log, 1000 + 30 * i, &lookup));
            assert_int_equal(lookup.offset, 3 * i);
            assert_int_equal(lookup.found_timestamp, 1000 + 30 * i);
            assert_int_equal(lookup.leader_epoch, 4);
        }
        assert_int_equal(looked_up(&bench, log, 1572), 59); /* the last record */
        bench_close(&bench);
    }
}

static void a_timestamp_beyond_all_records_finds_none(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 2);
    log = filled(&bench);
    OKAY(bench_lookup(&bench, log, 1573, &lookup));
    assert_int_equal(lookup.offset, -1);
    assert_int_equal(lookup.found_timestamp, -1);
    assert_int_equal(lookup.leader_epoch, -1);
    bench_close(&bench);
}

static void records_below_the_start_of_the_log_are_not_found(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 3);
    log = filled(&bench);
    log_set_high_watermark(log, 60);
    OKAY(log_set_start_offset(log, 7));
    assert_int_equal(looked_up(&bench, log, 0), 7);
    assert_int_equal(looked_up(&bench, log, 1030), 7);
    bench_close(&bench);
}

static void records_in_compressed_batches_are_found_one_by_one(void **state)
{
    for (enum compression codec = COMPRESSION_GZIP; codec <= COMPRESSION_ZSTD; codec++) {
        struct bench bench;
        struct log *log;

        bench_open(&bench, 4);
        log = bench_log(&bench, "topic", 0);
        OKAY(bench_append_batch(
            &bench, log, 0,
            &(struct bench_batch){
                .count = 50, .timestamp = 500, .codec = codec, .value_bytes = 100}));
        for (int i = 0; i < 50; i += 7)
            assert_int_equal(looked_up(&bench, log, 500 + i), i);
        assert_int_equal(bench_verify(&bench, log), 50);
        bench_close(&bench);
    }
}

static void timestamps_that_go_back_find_the_first_record_in_offset_order(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 5);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 900}));
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 300}));
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 950}));
    assert_int_equal(looked_up(&bench, log, 200), 0);
    assert_int_equal(looked_up(&bench, log, 300), 0);
    assert_int_equal(looked_up(&bench, log, 901), 2);
    bench_close(&bench);
}

static void latest_answers_with_the_offset_of_the_caller_and_the_latest_epoch(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 6);
    log = filled(&bench);
    OKAY(bench_append(&bench, log, 9, 1, 0));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_LATEST, &lookup));
    assert_int_equal(lookup.offset, 61);
    assert_int_equal(lookup.leader_epoch, 9);
    assert_int_equal(lookup.found_timestamp, -1);
    bench_close(&bench);
}

static void earliest_is_the_start_of_the_log_with_its_epoch(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 7);
    log = filled(&bench);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST, &lookup));
    assert_int_equal(lookup.offset, 0);
    assert_int_equal(lookup.leader_epoch, 4);
    log_set_high_watermark(log, 60);
    OKAY(log_set_start_offset(log, 13));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST, &lookup));
    assert_int_equal(lookup.offset, 13);
    assert_int_equal(lookup.leader_epoch, 4);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST_LOCAL, &lookup));
    assert_int_equal(lookup.offset, 13);
    bench_close(&bench);
}

static void the_largest_timestamp_is_found_wherever_it_is(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 8);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, -1);
    OKAY(bench_append_batch(&bench, log, 2, &(struct bench_batch){.timestamp = 100}));
    OKAY(bench_append_batch(&bench, log, 2, &(struct bench_batch){.count = 3, .timestamp = 5000}));
    log_roll(log);
    OKAY(bench_append_batch(&bench, log, 3, &(struct bench_batch){.count = 2, .timestamp = 600}));
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 3);
    assert_int_equal(lookup.found_timestamp, 5002);
    assert_int_equal(lookup.leader_epoch, 2);
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, 3);
    bench_close(&bench);
}

struct begun_lookup {
    struct log_lookup op;
    bool is_done;
};

static void lookup_ended(struct log_lookup *lookup)
{
    CONTAINER_OF(lookup, struct begun_lookup, op)->is_done = true;
}

static void a_search_that_a_failing_disk_interrupts_does_not_say_that_nothing_is_there(void **state)
{
    struct bench bench;
    struct begun_lookup begun = {
        .op = {.timestamp = 500, .bytes_max = 1 << 20, .done = lookup_ended}};
    struct log *log;
    struct log *other;

    bench_open(&bench, 9);
    log = bench_log(&bench, "topic", 0);
    other = bench_log(&bench, "other", 0);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 900}));
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 300}));
    log_roll(log);
    OKAY(bench_append_batch(&bench, log, 0, &(struct bench_batch){.timestamp = 950}));
    log_set_high_watermark(log, 3);
    OKAY(log_set_start_offset(log, 1)); /* the first segment is searched in vain */
    assert_int_equal(looked_up(&bench, log, 500), 2);
    sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                .path_part = "topic-0/00000000000000000000.log",
                                                .effect = SIM_EFFECT_DELAY,
                                                .delay_ns = 500 * 1000000ll});
    log_lookup_offset(log, &begun.op);
    bench_pass(&bench, 10);
    bench_calls_fail(&bench, 1u << SIM_CALL_WRITE, "other-0/", ERR_IO);
    assert_int_equal(bench_append(&bench, other, 0, 1, 0), ERR_KAFKA_STORAGE_ERROR);
    assert_true(log_is_failed(log));
    assert_false(begun.is_done);
    bench_run_until(&bench, &begun.is_done);
    assert_int_equal(begun.op.err, ERR_KAFKA_STORAGE_ERROR);
    bench_close(&bench);
}

static void append_at(struct bench *bench, struct log *log, int64_t timestamp)
{
    OKAY(bench_append_batch(bench, log, 0,
                            &(struct bench_batch){.timestamp = timestamp, .value_bytes = 50}));
}

/* The third batch has an entry in the indexes, the fourth is the youngest and has none. */
static struct log *flushed_to_its_end(struct bench *bench, uint64_t seed)
{
    struct log *log;

    bench_open(bench, seed);
    bench->config.index_interval_bytes = 150;
    bench->config.flush_messages = 4;
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < 4; i++)
        append_at(bench, log, 1000 + 1000 * i);
    bench_pass(bench, 120000); /* checkpoints are written */
    return log;
}

static void
a_segment_sealed_where_a_flush_ended_keeps_its_largest_timestamp_over_a_crash(void **state)
{
    for (int is_flushed_again = 0; is_flushed_again < 2; is_flushed_again++)
        for (uint32_t is_all_kept = 0; is_all_kept < 2; is_all_kept++) {
            struct bench bench;
            struct log *log = flushed_to_its_end(&bench, 10);
            const struct sim_crash_options crash = {.keep_weight = is_all_kept,
                                                    .drop_weight = !is_all_kept};

            log_roll(log);
            append_at(&bench, log, 9000);
            OKAY(bench_flush(&bench, log, 5));
            for (int i = 0; is_flushed_again && i < 4; i++)
                append_at(&bench, log, 9000);
            bench_pass(&bench, 120000); /* checkpoints are written */
            bench_crash(&bench, &crash);
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(looked_up(&bench, log, 3500), 3);
            assert_int_equal(looked_up(&bench, log, 4001), 4);
            bench_crash(&bench, &crash); /* what the start mended is durable */
            log = bench_log(&bench, "topic", 0);
            assert_int_equal(looked_up(&bench, log, 3500), 3);
            bench_close(&bench);
        }
}

/* The process alone: what it wrote and cut short stays so. */
static void process_die(struct bench *bench)
{
    struct os *old = bench->os;

    if (sim_machine_is_up(old))
        sim_machine_kill(old);
    bench_stop(bench, false);
    OKAY(sim_machine_restart(old, &bench->os));
    os_release(&old);
    bench_start(bench);
}

/* A flush behind a recovery writes the indexes of the segment anew, from their first byte. */
static void
a_death_while_indexes_are_written_anew_leaves_the_entries_that_were_durable(void **state)
{
    uint64_t seed = 11; /* also tells how much of the last call is done: all are tried at several */
    int64_t at = 0;

    while (seed < 19) {
        const struct sim_crash_options keep = {.keep_weight = 1};
        struct bench bench;
        struct bench_append append;
        struct log *log;
        bool is_through;

        bench_open(&bench, seed);
        bench.config.index_interval_bytes = 150;
        bench.config.flush_messages = 5;
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 5; i++)
            append_at(&bench, log, i == 2 ? 9000 : 1000 + i); /* entries: third and fifth */
        bench_pass(&bench, 120000);                           /* checkpoints are written */
        bench_crash(&bench, &keep);
        log = bench_log(&bench, "topic", 0);
        for (int i = 5; i < 9; i++)
            append_at(&bench, log, 1000 + i);
        OKAY(bench_flush(&bench, log, 9));
        OKAY(bench_append_begin(&bench, log, APPEND_ORIGIN_CLIENT, 0, 9,
                                &(struct bench_batch){.timestamp = 1009, .value_bytes = 50},
                                &append));
        sim_machine_kill_at(bench.os, at);
        (void)bench_append_end(&bench, &append);
        bench_pass(&bench, 5000);
        is_through = sim_machine_is_up(bench.os);
        process_die(&bench);
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(looked_up(&bench, log, 8000), 2);
        bench_close(&bench);
        at = is_through ? 0 : at + 1;
        seed += is_through;
    }
}

static void the_match_behind_what_delete_records_passed_is_found(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 21);
    log = bench_log(&bench, "topic", 0);
    append_at(&bench, log, 900); /* the only match of its segment */
    append_at(&bench, log, 300);
    log_roll(log);
    append_at(&bench, log, 950);
    log_set_high_watermark(log, 3);
    OKAY(log_set_start_offset(log, 1));
    assert_int_equal(looked_up(&bench, log, 500), 2);
    bench_close(&bench);
    UNUSED(state);
}

static void a_segment_that_is_still_being_made_is_not_searched(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    bench_open(&bench, 22);
    log = bench_log(&bench, "topic", 0);
    append_at(&bench, log, 900);
    sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << SIM_CALL_OPEN,
                                                .path_part = "topic-0/00000000000000000001.log",
                                                .effect = SIM_EFFECT_DELAY,
                                                .delay_ns = 500 * 1000000ll});
    log_roll(log); /* its file comes later */
    OKAY(bench_lookup(&bench, log, 1000, &lookup));
    assert_int_equal(lookup.offset, -1);
    assert_false(log_is_failed(log));
    bench_close(&bench);
    UNUSED(state);
}

/* 12 batches with rising times 1000, 1010 … in the first segment, an entry for each; three in the second. */
static void indexed(struct bench *bench, uint64_t seed)
{
    struct log *log;

    bench_open(bench, seed);
    bench->config.index_interval_bytes = 1;
    log = bench_log(bench, "topic", 0);
    for (int i = 0; i < 12; i++)
        append_at(bench, log, 1000 + 10 * i);
    log_roll(log);
    for (int i = 12; i < 15; i++)
        append_at(bench, log, 1000 + 10 * i);
    log_set_high_watermark(log, 15);
    bench_halt(bench);
}

static void no_byte_of_a_time_index_that_rots_hides_a_record(void **state)
{
    static const char *const paths[] = {"/data/topic-0/00000000000000000000.timeindex",
                                        "/data/topic-0/00000000000000000012.timeindex"};
    static const uint8_t masks[] = {0x01, 0x08, 0x7f};

    for (size_t file = 0; file < ARRAY_COUNT(paths); file++) {
        struct bench bench;
        int64_t size_bytes;

        indexed(&bench, 23);
        size_bytes = bench_file_size(&bench, paths[file]);
        bench_start(&bench);
        bench_close(&bench);
        assert_true(size_bytes > 0);
        for (int64_t at = 0; at < size_bytes; at++) {
            for (size_t mask = 0; mask < ARRAY_COUNT(masks); mask++) {
                struct log *log;

                indexed(&bench, 23);
                OKAY(sim_disk_flip(bench.os, paths[file], at, masks[mask]));
                bench_start(&bench);
                log = bench_log(&bench, "topic", 0);
                for (int i = 0; i < 15; i++) {
                    int64_t found = looked_up(&bench, log, 995 + 10 * i);

                    if (found != i)
                        fail_msg("%s byte %lld mask %x: a search for %d found %lld, not %d",
                                 paths[file], (long long)at, masks[mask], 995 + 10 * i,
                                 (long long)found, i);
                }
                bench_close(&bench);
            }
        }
    }
    UNUSED(state);
}

static void a_time_index_that_rots_does_not_let_retention_take_what_is_young(void **state)
{
    struct bench bench;
    struct log *log;
    int64_t now_ms, size_bytes;

    bench_open(&bench, 24);
    log = bench_log(&bench, "topic", 0);
    now_ms = os_wall_ms(bench.os);
    append_at(&bench, log, now_ms);
    log_roll(log);
    append_at(&bench, log, now_ms);
    log_set_high_watermark(log, 2);
    bench_halt(&bench);
    size_bytes = bench_file_size(&bench, "/data/topic-0/00000000000000000000.timeindex");
    /* The bit of the last entry that takes seventeen years from its timestamp. */
    OKAY(sim_disk_flip(bench.os, "/data/topic-0/00000000000000000000.timeindex",
                       size_bytes - 12 + 3, 0x80));
    bench.config.retention_ms = 86400000;
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    log_set_high_watermark(log, 2);
    log_retention_run(log);
    bench_pass(&bench, 1000);
    assert_int_equal(log_start_offset(log), 0);
    bench_close(&bench);
    UNUSED(state);
}

static void a_search_that_meets_broken_bytes_says_so(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    indexed(&bench, 25);
    OKAY(sim_disk_flip(bench.os, "/data/topic-0/00000000000000000000.log", 64, 0xff));
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_lookup(&bench, log, 1000, &lookup), ERR_CORRUPT_MESSAGE);
    assert_int_equal(looked_up(&bench, log, 1010), 1);
    bench_close(&bench);
    UNUSED(state);
}

static void a_segment_that_cannot_be_read_to_its_end_makes_a_search_fail_as_corrupt(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;

    indexed(&bench, 26);
    OKAY(os_unlink(bench.os, "/data/topic-0/00000000000000000000.timeindex"));
    OKAY(sim_disk_flip(bench.os, "/data/topic-0/00000000000000000000.log", 16, 0x40)); /* magic */
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_lookup(&bench, log, 1000, &lookup), ERR_CORRUPT_MESSAGE);
    assert_false(log_is_failed(log));
    bench_close(&bench);
    UNUSED(state);
}

static void nothing_is_tiered(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 9);
    log = filled(&bench);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_LATEST_TIERED), -1);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_EARLIEST_PENDING_UPLOAD), -1);
    bench_close(&bench);
}

static void an_empty_log_knows_its_ends_and_no_records(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 10);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(looked_up(&bench, log, 0), -1);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_EARLIEST), 0);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_LATEST), 0);
    assert_int_equal(looked_up(&bench, log, LOG_TIMESTAMP_MAX), -1);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_finds_the_first_record_that_is_not_older),
        cmocka_unit_test(a_timestamp_beyond_all_records_finds_none),
        cmocka_unit_test(records_below_the_start_of_the_log_are_not_found),
        cmocka_unit_test(records_in_compressed_batches_are_found_one_by_one),
        cmocka_unit_test(timestamps_that_go_back_find_the_first_record_in_offset_order),
        cmocka_unit_test(latest_answers_with_the_offset_of_the_caller_and_the_latest_epoch),
        cmocka_unit_test(earliest_is_the_start_of_the_log_with_its_epoch),
        cmocka_unit_test(the_largest_timestamp_is_found_wherever_it_is),
        cmocka_unit_test(
            a_search_that_a_failing_disk_interrupts_does_not_say_that_nothing_is_there),
        cmocka_unit_test(
            a_segment_sealed_where_a_flush_ended_keeps_its_largest_timestamp_over_a_crash),
        cmocka_unit_test(
            a_death_while_indexes_are_written_anew_leaves_the_entries_that_were_durable),
        cmocka_unit_test(the_match_behind_what_delete_records_passed_is_found),
        cmocka_unit_test(a_segment_that_is_still_being_made_is_not_searched),
        cmocka_unit_test(no_byte_of_a_time_index_that_rots_hides_a_record),
        cmocka_unit_test(a_time_index_that_rots_does_not_let_retention_take_what_is_young),
        cmocka_unit_test(a_search_that_meets_broken_bytes_says_so),
        cmocka_unit_test(a_segment_that_cannot_be_read_to_its_end_makes_a_search_fail_as_corrupt),
        cmocka_unit_test(nothing_is_tiered),
        cmocka_unit_test(an_empty_log_knows_its_ends_and_no_records),
    };

    return cmocka_run_group_tests_name("storage/lookup", tests, NULL, NULL);
}
