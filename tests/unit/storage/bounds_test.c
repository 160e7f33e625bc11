/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds and ends of the storage engine: as many shards as there may be, openings while all closes, mail that nobody
 * reads any more, a log closed in rot, copies that take a name over, and starts on disks that fail at one call. */
#include "compaction_support.h"

#include "storage/shard.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST TOPIC_FOLDER "00000000000000000000"
#define LATE_MS 10

static void more_shards_than_there_is_room_for_are_refused(void **state)
{
    static struct log_store *stores[STORES_MAX + 1];
    struct bench bench;

    bench_open(&bench, 1);
    for (int i = 1; i < STORES_MAX; i++)
        OKAY(log_store_create(bench.directories, bench.reactor, bench.reactor, &bench.listener,
                              &stores[i]));
    assert_int_equal(log_store_create(bench.directories, bench.reactor, bench.reactor,
                                      &bench.listener, &stores[STORES_MAX]),
                     ERR_STATE);
    for (int i = 1; i < STORES_MAX; i++)
        log_store_release(&stores[i]);
    log_store_release(&stores[1]); /* nothing is left to release */
    assert_int_equal(bench_log(&bench, "topic", 0)->end_queued, 0);
    bench_close(&bench);
    UNUSED(state);
}

static void a_store_that_nobody_listens_to_fails_its_logs_all_the_same(void **state)
{
    struct log_store *deaf;
    struct bench bench;
    struct log *log;

    bench_open(&bench, 2);
    OKAY(log_store_create(bench.directories, bench.reactor, bench.reactor, NULL, &deaf));
    log = bench_log(&bench, "topic", 0);
    bench_directory_fail(&bench);
    bench_pass(&bench, 10);
    assert_true(log_is_failed(log));
    assert_int_equal(bench.directories_failed, 1);
    log_store_release(&deaf);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- the end of all ---- */

struct opening {
    struct log_open op;
    struct log_change_op change;
    bool is_done, closes, is_closed;
};

static void closed(struct log_change_op *op)
{
    CONTAINER_OF(op, struct opening, change)->is_closed = true;
}

static void opened(struct log_open *op)
{
    struct opening *opening = CONTAINER_OF(op, struct opening, op);

    opening->is_done = true;
    if (opening->closes && op->err == OK)
        log_close(op->log, &opening->change);
}

static void all_closed(struct log_store_close *op)
{
    *(bool *)op->context = true;
}

static void a_log_that_opens_while_all_closes_is_closed_once(void **state)
{
    for (int closes = 0; closes < 2; closes++) {
        struct opening opening = {.closes = closes, .change.done = closed};
        bool is_over = false;
        struct log_store_close closing = {.done = all_closed, .context = &is_over};
        struct bench bench;
        struct log *log;

        bench_prepare_late(&bench, 3, LATE_MS);
        bench_start(&bench);
        opening.op = (struct log_open){.topic = SLICE("topic"),
                                       .directory = log_directories_at(bench.directories, 0),
                                       .config = &bench.config,
                                       .create = true,
                                       .done = opened};
        log_store_open(bench.store, &opening.op);
        log_store_close_all(bench.store, &closing);
        bench_pass(&bench, LATE_MS / 2);
        assert_false(is_over || opening.is_done);
        bench_run_until(&bench, &is_over);
        OKAY(closing.err);
        assert_true(opening.is_done);
        OKAY(opening.op.err);
        assert_int_equal(opening.is_closed, closes);
        bench_halt(&bench);
        bench_start(&bench);
        assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
        log = bench_log(&bench, "topic", 0);
        assert_int_equal(log_end_written(log), 0);
        bench_close(&bench);
    }
    UNUSED(state);
}

static void an_opening_that_finds_no_descriptor_does_not_keep_the_process_from_its_end(void **state)
{
    struct opening opening = {.is_done = false};
    bool is_over = false;
    struct log_store_close closing = {.done = all_closed, .context = &is_over};
    struct bench bench;

    bench_open(&bench, 4);
    bench_calls_fail(&bench, 1u << SIM_CALL_OPEN, "/data/topic-0", ERR_TOO_MANY_FILES);
    opening.op = (struct log_open){.topic = SLICE("topic"),
                                   .directory = log_directories_at(bench.directories, 0),
                                   .config = &bench.config,
                                   .create = true,
                                   .done = opened};
    log_store_open(bench.store, &opening.op);
    bench_pass(&bench, 1000);
    log_store_close_all(bench.store, &closing);
    bench_pass(&bench, 5000);
    assert_false(is_over); /* it may end yet */
    bench_run_until(&bench, &is_over);
    assert_int_equal(opening.op.err, ERR_TOO_MANY_FILES);
    assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    bench_close(&bench);
    UNUSED(state);
}

static struct allocator_failing counting;

static void *counted_allocate(struct allocator *self, size_t size_bytes)
{
    UNUSED(self);
    return counting.base.allocate(&counting.base, size_bytes);
}

static void *counted_resize(struct allocator *self, void *pointer, size_t old_bytes,
                            size_t new_bytes)
{
    UNUSED(self);
    return counting.base.resize(&counting.base, pointer, old_bytes, new_bytes);
}

static void counted_release(struct allocator *self, void *pointer, size_t size_bytes)
{
    UNUSED(self);
    counting.base.release(&counting.base, pointer, size_bytes);
}

static void counting_begin(int64_t fail_at)
{
    allocator_failing_init(&counting, &bench_heap, fail_at, false);
    heap_allocator = (struct allocator){counted_allocate, counted_resize, counted_release};
}

/* Node shards go down one after the other: mail may lie in the box of one that reads no more. */
static void mail_that_nobody_reads_any_more_is_freed_with_what_it_holds(void **state)
{
    struct checkpoint_batch *batch;
    struct bench bench;

    counting_begin(-1);
    bench_open(&bench, 5);
    bench_directory_fail(&bench);
    batch = checkpoint_batch_new(bench.store, log_directories_at(bench.directories, 0));
    for (int32_t i = 0; i < 3; i++)
        checkpoint_batch_add(batch, CHECKPOINT_START, SLICE("topic"), i, 5);
    checkpoint_batch_send(batch);
    store_operation_end(bench.store); /* it waits for no answer */
    log_store_release(&bench.store);
    log_directories_close(&bench.directories, true, 5);
    log_directories_close(&bench.directories, true, 5); /* nothing is left to close */
    reactor_release(&bench.reactor);
    sim_release(&bench.sim);
    heap_allocator = bench_heap;
    assert_int_equal(counting.bytes_in_use, 0);
    UNUSED(state);
}

/* Found by this test: an entry whose place in the table could not be had was lost. */
static void a_checkpoint_entry_that_finds_no_memory_leaves_none_behind(void **state)
{
    for (int64_t at = 0;; at++) {
        struct offset_map map;
        enum err err;

        counting_begin(at);
        offset_map_init(&map);
        err = offset_map_put(&map, SLICE("topic"), 1, 5);
        offset_map_release(&map);
        heap_allocator = bench_heap;
        assert_int_equal(counting.bytes_in_use, 0);
        if (err == OK)
            break;
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_true(at < 10);
    }
    UNUSED(state);
}

/* ---- closing ---- */

/* Found by this test: the directory went offline, and all of its logs with it. */
static void a_log_that_rotted_where_it_grows_is_closed_and_harms_no_other(void **state)
{
    struct bench_read read = {.op = {.offset = 0, .bound_offset = 8, .bytes_max = 100000}};
    struct bench bench;
    struct log *log, *other;
    int64_t batch_bytes;

    bench_open(&bench, 6);
    bench.config.index_interval_bytes = 100;
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 8; i++)
        OKAY(bench_append(&bench, log, 0, 1, 300));
    batch_bytes = bench_file_size(&bench, FIRST ".log") / 8;
    bench_restart(&bench);
    log = bench_log(&bench, "topic", 0);
    other = bench_log(&bench, "other", 0);
    OKAY(sim_disk_flip(bench.os, FIRST ".log", 8, 0x80)); /* the size of the first batch */
    OKAY(os_unlink(bench.os, FIRST ".index"));            /* nothing leads past it */
    assert_int_equal(bench_read(&bench, log, &read), ERR_CORRUPT_MESSAGE);
    bench_read_release(&read);
    OKAY(bench_append(&bench, log, 0, 1, 300));
    OKAY(bench_close_log(&bench, &log));
    assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    OKAY(bench_append(&bench, other, 0, 1, 100));
    assert_int_equal(bench_verify(&bench, other), 1);
    assert_true(bench_file_size(&bench, FIRST ".log") > 8 * batch_bytes);
    bench_close(&bench);
    UNUSED(state);
}

static void an_index_that_was_found_wrong_just_before_a_close_is_made_anew_by_it(void **state)
{
    enum { SOUND, ROTTEN, UNREADABLE, KINDS };

    for (int kind = 0; kind < KINDS; kind++) {
        struct log_lookup lookup;
        struct bench bench;
        struct log *log;

        bench_open(&bench, 13);
        bench.config.index_interval_bytes = 100;
        log = bench_log(&bench, "topic", 0);
        for (int i = 0; i < 8; i++)
            OKAY(bench_append_batch(
                &bench, log, 0,
                &(struct bench_batch){.value_bytes = 300, .timestamp = 1000 + 1000 * i}));
        log_active(log)->offsets.items[2].position_bytes++;
        segment_index_distrust(log_active(log)); /* and nobody has read it since */
        if (kind == ROTTEN) /* the offset of the second batch: below the first */
            OKAY(sim_disk_flip(bench.os, FIRST ".log", bench_file_size(&bench, FIRST ".log") / 8,
                               0x80));
        if (kind == UNREADABLE)
            bench_calls_fail(&bench, 1u << SIM_CALL_READ, FIRST ".log", ERR_IO);
        assert_int_equal(bench_close_log(&bench, &log),
                         kind == UNREADABLE ? ERR_KAFKA_STORAGE_ERROR : OK);
        assert_int_equal(log_directory_is_offline(log_directories_at(bench.directories, 0)),
                         kind == UNREADABLE);
        if (kind == SOUND) {
            log = bench_log(&bench, "topic", 0);
            for (int64_t offset = 0; offset < 8; offset++) {
                assert_int_equal(bench_verify_from(&bench, log, offset), 8);
                OKAY(bench_lookup(&bench, log, 1000 + 1000 * offset, &lookup));
                assert_int_equal(lookup.offset, offset);
            }
        }
        bench_close(&bench);
    }
    UNUSED(state);
}

static void blocks_ahead_of_a_log_that_is_flushed_whole_go_when_it_is_closed(void **state)
{
    struct os_stat stat = {0};
    struct bench bench;
    struct log *log;

    bench_open(&bench, 7);
    bench.config.flush_messages = 1; /* each append moves the recovery point */
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 30; i++) {
        OKAY(bench_append(&bench, log, 0, 1, 1000000));
        bench_pass(&bench, 1);
    }
    bench_pass(&bench, 3000);
    assert_int_equal(log_recovery_point(log), 30);
    OKAY(os_stat(bench.os, FIRST ".log", &stat));
    assert_true(stat.held_bytes - stat.size_bytes > 4 * (int64_t)MIB);
    OKAY(bench_close_log(&bench, &log));
    OKAY(os_stat(bench.os, FIRST ".log", &stat));
    assert_in_range(stat.held_bytes - stat.size_bytes, 0, 8192);
    bench_close(&bench);
    UNUSED(state);
}

/* A replica on its way, with four records. */
static struct log *copy_begun(struct bench *bench)
{
    struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
    struct log *copy;

    OKAY(bench_log_open(bench, &request, &copy));
    OKAY(bench_replicate(bench, copy, 3, 0, &(struct bench_batch){.count = 4}));
    return copy;
}

static void a_copy_that_took_the_name_of_a_log_is_what_opens_under_it(void **state)
{
    struct bench bench;
    struct log *log, *copy;

    bench_open(&bench, 8);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 2, 100));
    OKAY(bench_close_log(&bench, &log));
    OKAY(os_rename(bench.os, "/data/topic-0", "/elsewhere"));
    copy = copy_begun(&bench);
    OKAY(bench_change(&bench, copy, log_promote));
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(log_end_written(log), 4);
    assert_int_equal(log_recovery_point(log), 4);
    assert_int_equal(bench_verify(&bench, log), 4);
    bench_close(&bench);
    UNUSED(state);
}

static void a_copy_beside_one_that_is_open_gets_a_name_of_its_own(void **state)
{
    struct log_open request = {.topic = SLICE("topic"), .create = true, .future = true};
    struct bench bench;
    struct log *first, *second;

    bench_open(&bench, 9);
    (void)copy_begun(&bench);
    request.topic = SLICE("another"); /* listed before it, of the same number */
    OKAY(bench_log_open(&bench, &request, &second));
    bench_restart(&bench);
    request.topic = SLICE("topic");
    OKAY(bench_log_open(&bench, &request, &first));
    assert_int_equal(log_end_written(first), 4);
    OKAY(bench_log_open(&bench, &request, &second));
    assert_int_equal(log_end_written(second), 0);
    assert_int_equal(bench_files_count(&bench, "/data/topic-0.", "-future/"), 2);
    bench_close(&bench);
    UNUSED(state);
}

/* ---- starts ---- */

static void an_earliest_offset_below_the_first_epoch_has_none(void **state)
{
    struct log_lookup lookup;
    struct bench bench;
    struct log *log;

    bench_open(&bench, 13);
    log = bench_log(&bench, "topic", 0);
    OKAY(log_epoch_assign(log, 3, 5)); /* as behind messages of a format without epochs */
    OKAY(bench_lookup(&bench, log, LOG_TIMESTAMP_EARLIEST, &lookup));
    assert_int_equal(lookup.offset, 0);
    assert_int_equal(lookup.leader_epoch, -1);
    bench_close(&bench);
    UNUSED(state);
}

static enum err start_try(struct bench *bench)
{
    static const char *const paths[] = {"/data", "/data1"};
    struct log_directories *directories = NULL;
    struct why why = {""};
    int64_t epoch;
    enum err err =
        log_directories_open(bench->os, NULL, &bench->options, paths, 2, &directories, &why);

    if (err != OK)
        return err;
    err = log_directories_begin(directories, &epoch);
    if (err == OK)
        assert_false(log_directory_is_offline(log_directories_at(directories, 0)));
    log_directories_close(&directories, false, -1);
    return err;
}

static void a_start_without_a_descriptor_for_a_clean_marker_is_no_failure_of_a_disk(void **state)
{
    struct bench bench;

    bench_prepare(&bench, 10, 2);
    bench_calls_fail(&bench, 1u << SIM_CALL_UNLINK, "/data/.kafka_cleanshutdown",
                     ERR_TOO_MANY_FILES);
    bench_file_put(&bench, "/data/.kafka_cleanshutdown", SLICE("{\"version\":0}"));
    assert_int_equal(start_try(&bench), ERR_TOO_MANY_FILES);
    sim_faults_clear(bench.os);
    OKAY(start_try(&bench));
    bench_close(&bench);
    UNUSED(state);
}

static void a_directory_that_cannot_be_made_is_offline_and_the_others_go_on(void **state)
{
    struct bench bench;

    bench_prepare(&bench, 11, 1);
    bench_calls_fail(&bench, 1u << SIM_CALL_MAKE_DIRECTORY, "/data1", ERR_IO);
    OKAY(start_try(&bench));
    bench_close(&bench);
    UNUSED(state);
}

static void a_meta_file_of_version_0_without_a_node_is_completed(void **state)
{
    char text[400];
    struct bench bench;

    bench_prepare(&bench, 12, 1);
    bench_file_put(&bench, "/data/meta.properties",
                   SLICE("version=0\ncluster.id=" BENCH_CLUSTER "\n"));
    bench_start(&bench);
    bench_file_get(&bench, "/data/meta.properties", text, sizeof text);
    assert_non_null(strstr(text, "version=1\n"));
    assert_non_null(strstr(text, "node.id=1\n"));
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_shards_than_there_is_room_for_are_refused),
        cmocka_unit_test(a_store_that_nobody_listens_to_fails_its_logs_all_the_same),
        cmocka_unit_test(a_log_that_opens_while_all_closes_is_closed_once),
        cmocka_unit_test(
            an_opening_that_finds_no_descriptor_does_not_keep_the_process_from_its_end),
        cmocka_unit_test(mail_that_nobody_reads_any_more_is_freed_with_what_it_holds),
        cmocka_unit_test(a_checkpoint_entry_that_finds_no_memory_leaves_none_behind),
        cmocka_unit_test(a_log_that_rotted_where_it_grows_is_closed_and_harms_no_other),
        cmocka_unit_test(an_index_that_was_found_wrong_just_before_a_close_is_made_anew_by_it),
        cmocka_unit_test(blocks_ahead_of_a_log_that_is_flushed_whole_go_when_it_is_closed),
        cmocka_unit_test(a_copy_that_took_the_name_of_a_log_is_what_opens_under_it),
        cmocka_unit_test(a_copy_beside_one_that_is_open_gets_a_name_of_its_own),
        cmocka_unit_test(an_earliest_offset_below_the_first_epoch_has_none),
        cmocka_unit_test(a_start_without_a_descriptor_for_a_clean_marker_is_no_failure_of_a_disk),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_offline_and_the_others_go_on),
        cmocka_unit_test(a_meta_file_of_version_0_without_a_node_is_completed),
    };

    return cmocka_run_group_tests_name("storage/bounds", tests, NULL, NULL);
}
