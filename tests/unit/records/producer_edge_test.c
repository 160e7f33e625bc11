/* SPDX-License-Identifier: Apache-2.0 */
/* Producers: several batches in one append, markers among them, lists that are full, snapshots that cannot be
 * so, and lack of memory wherever some is asked for. */
#include "support.h"

#include "records/control_record.h"
#include "records/producer_state.h"

static struct producer_append data(int64_t producer_id, int16_t epoch, int32_t sequence,
                                   int64_t offset)
{
    return (struct producer_append){.producer_id = producer_id,
                                    .epoch = epoch,
                                    .first_sequence = sequence,
                                    .last_sequence = sequence,
                                    .first_offset = offset,
                                    .last_offset = offset,
                                    .timestamp = T0,
                                    .coordinator_epoch = -1};
}

static struct producer_append transactional(int64_t producer_id, int16_t epoch, int32_t sequence,
                                            int64_t offset)
{
    struct producer_append append = data(producer_id, epoch, sequence, offset);

    append.transactional = true;
    return append;
}

static struct producer_append marker(int64_t producer_id, int16_t epoch, int64_t offset)
{
    struct producer_append append = transactional(producer_id, epoch, -1, offset);

    append.control = append.has_marker = true;
    append.coordinator_epoch = 0;
    return append;
}

/* All of it in one append; the first error, or OK. */
static enum err appended(struct producer_state *state, enum append_origin origin,
                         const struct producer_append *appends, size_t count)
{
    struct producer_update update;
    enum err err = OK;

    producer_update_begin(&update, state, origin);
    for (size_t i = 0; err == OK && i < count; i++)
        err = producer_update_add(&update, &appends[i], NULL);
    if (err == OK)
        producer_update_apply(&update);
    producer_update_discard(&update);
    producer_update_discard(&update); /* legal at any time */
    return err;
}

static void batches_of_one_append_follow_each_other(void **state)
{
    struct producer_state producers;
    struct producer_append known = data(1, 5, 0, 0);
    struct producer_append good[] = {
        data(1, 5, 1, 1), data(1, 5, 2, 2), data(2, 0, 9, 3),
        data(2, 0, 44, 4)}; /* nothing is known of 2 until it is done */
    struct producer_append gap[] = {data(1, 5, 3, 5), data(1, 5, 5, 6)};

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &known, 1), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, good, ARRAY_COUNT(good)), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, gap, ARRAY_COUNT(gap)),
                     ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(producer_entry_last_sequence(producer_state_find(&producers, 1)), 2);
    producer_state_release(&producers);
}

static void marker_in_the_same_append_begins_the_sequence_anew(void **state)
{
    struct producer_state producers;
    struct producer_append known = transactional(1, 5, 7, 0);
    struct producer_append batches[] = {marker(1, 6, 1), data(1, 6, 0, 2)};

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &known, 1), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, batches, ARRAY_COUNT(batches)), OK);
    assert_int_equal(producer_entry_last_sequence(producer_state_find(&producers, 1)), 0);
    producer_state_release(&producers);
}

static void marker_may_not_go_back_behind_another_of_its_append(void **state)
{
    struct producer_state producers;
    struct producer_append known = transactional(1, 5, 7, 0);
    struct producer_append batches[] = {marker(1, 7, 1), marker(1, 6, 2)};

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &known, 1), OK);
    for (int16_t version = 0; version <= 2; version++) {
        struct producer_update update;

        producer_update_begin(&update, &producers, APPEND_ORIGIN_COORDINATOR);
        update.transaction_version = version;
        assert_int_equal(producer_update_add(&update, &batches[0], NULL), OK);
        assert_int_equal(producer_update_add(&update, &batches[1], NULL),
                         ERR_INVALID_PRODUCER_EPOCH);
        producer_update_discard(&update);
    }
    producer_state_release(&producers);
}

static void of_many_batches_in_one_append_the_last_five_are_remembered(void **state)
{
    struct producer_state producers;
    struct producer_append batches[8];
    const struct producer_entry *entry;

    (void)state;
    for (int i = 0; i < 8; i++)
        batches[i] = data(1, 0, i, i);
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, batches, 8), OK);
    entry = producer_state_find(&producers, 1);
    assert_int_equal(entry->batch_count, 5);
    assert_int_equal(entry->batches[0].last_sequence, 3);
    assert_int_equal(entry->batches[4].last_sequence, 7);
    producer_state_release(&producers);
}

static void place_of_a_producer_in_an_earlier_append_means_nothing_in_the_next(void **state)
{
    struct producer_state producers;
    struct producer_append first[] = {data(1, 0, 0, 0), data(2, 0, 0, 1)};
    struct producer_append second[] = {data(2, 0, 1, 2), data(1, 0, 1, 3)};

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, first, 2), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, second, 2), OK);
    for (int64_t id = 1; id <= 2; id++)
        assert_int_equal(producer_entry_last_sequence(producer_state_find(&producers, id)), 1);
    producer_state_release(&producers);
}

static void producers_of_an_append_under_way_are_not_shown(void **state)
{
    struct producer_state producers;
    struct producer_append known = data(1, 0, 0, 0), batch = data(2, 0, 0, 1);
    struct producer_update update;

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &known, 1), OK);
    producer_update_begin(&update, &producers, APPEND_ORIGIN_CLIENT);
    known = data(1, 0, 1, 1);
    assert_int_equal(producer_update_add(&update, &known, NULL), OK);
    assert_int_equal(producer_update_add(&update, &batch, NULL), OK);
    assert_int_equal(producer_state_count(&producers), 1);
    assert_null(producer_state_next(&producers, producer_state_next(&producers, NULL)));
    producer_update_discard(&update);
    assert_null(producer_state_find(&producers, 2));
    producer_state_release(&producers);
}

static void verification_may_end_before_the_append_that_it_was_for(void **state)
{
    struct producer_state producers;
    struct producer_append known = transactional(1, 0, 0, 0), next = transactional(1, 0, 1, 2);
    struct producer_append end = marker(1, 0, 1);
    struct producer_update update;
    uint64_t guard;

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &known, 1), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_COORDINATOR, &end, 1), OK);
    assert_int_equal(producer_verification_begin(&producers, 1, 0, 1, false, T0 - 5000, &guard),
                     OK);
    producer_update_begin(&update, &producers, APPEND_ORIGIN_CLIENT);
    update.guard = guard;
    update.verification_required = true;
    assert_int_equal(producer_update_add(&update, &next, NULL), OK);
    producer_state_expire(&producers, T0, 1000);
    assert_int_equal(producer_verification_guard(&producers, 1), 0);
    producer_update_apply(&update);
    producer_update_discard(&update);
    assert_true(producer_state_has_open_transaction(&producers, 1, 0));
    producer_state_release(&producers);
}

static void open_transactions_end_in_any_order(void **state)
{
    struct producer_state producers;
    struct producer_append begin[] = {transactional(1, 0, 0, 0), transactional(2, 0, 0, 1),
                                      transactional(3, 0, 0, 2), transactional(4, 0, 0, 2)};
    struct producer_append end[] = {marker(4, 0, 3), marker(1, 0, 4)};
    struct producer_append last = marker(3, 0, 5);

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    /* The last two claim the same offset, as no leader lets them. */
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, begin, 4), OK);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, end, 2), OK);
    assert_int_equal(producer_state_first_undecided_offset(&producers), 1);
    /* One marker is below the high watermark, the other waits for it. */
    producer_state_set_high_watermark(&producers, 4);
    assert_int_equal(producers.unreplicated.count, 1);
    assert_int_equal(producer_state_first_unstable_offset(&producers), 0);
    producer_state_set_log_start(&producers, 5);
    assert_int_equal(producers.unreplicated.count, 0);
    assert_int_equal(producer_state_first_unstable_offset(&producers), 1);
    producer_state_set_log_start(&producers, 3); /* never back */
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, &last, 1), OK);
    assert_int_equal(producers.end_offset, 5);
    producer_state_release(&producers);
}

static void transaction_without_a_time_is_never_late(void **state)
{
    struct producer_state producers;
    struct producer_append begin = transactional(1, 0, 0, 0);

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    begin.timestamp = TIMESTAMP_NONE;
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &begin, 1), OK);
    assert_false(producer_state_has_late_transaction(&producers, INT64_MAX, 0));
    producer_state_release(&producers);
}

/* ---- batches that hold no marker ---- */

static void control_batch_is_read_only_when_it_can_be_a_marker(void **state)
{
    struct bench *bench = *state;
    struct end_transaction_marker abort_marker = {.is_abort = true, .coordinator_epoch = 9};
    struct producer_append append;
    uint8_t *batch;
    size_t size;

    writer_reset(&bench->out);
    assert_int_equal(end_transaction_batch_write(&abort_marker, 7, 3, 1000, 2, T0, &bench->out),
                     OK);
    batch = bench->out.data;
    size = bench->out.size_bytes;
    assert_int_equal(producer_append_read(slice_of(batch, 20), &append), ERR_CORRUPT_MESSAGE);
    batch_put(batch, 57, 4, -1); /* record count */
    assert_int_equal(producer_append_read(slice_of(batch, size), &append), ERR_INVALID_RECORD);
    batch_put(batch, 57, 4, 1);
    batch[61] = 0x7e; /* the record claims more bytes than there are */
    assert_int_equal(producer_append_read(slice_of(batch, size), &append), ERR_INVALID_RECORD);
    batch_put(batch, 21, 2, 0x31); /* a codec */
    assert_int_equal(producer_append_read(slice_of(batch, size), &append), ERR_INVALID_RECORD);
    batch_put(batch, 43, 8, -1); /* of the quorum, not of a producer: not looked into */
    assert_int_equal(producer_append_read(slice_of(batch, size), &append), OK);
    assert_false(append.has_marker);
    batch_put(batch, 21, 2, 0); /* plain data */
    assert_int_equal(producer_append_read(slice_of(batch, size), &append), OK);
    assert_false(append.control);
}

/* ---- snapshots ---- */

static void snapshot_of(struct producer_state *producers, struct writer *out)
{
    writer_init(out, &heap_allocator, SIZE_MAX);
    assert_int_equal(producer_snapshot_write(producers, out), OK);
}

static void snapshot_file_of_a_negative_count_or_another_version_is_refused(void **state)
{
    struct producer_state producers;
    CLEANUP(writer_release) struct writer file;

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    snapshot_of(&producers, &file);
    batch_put(file.data, 6, 4, -1);
    batch_put(file.data, 2, 4, crc32c_by_table(slice_of(file.data + 6, file.size_bytes - 6)));
    assert_int_equal(producer_snapshot_read(&producers, writer_slice(&file), 0, T0, 1000, NULL),
                     ERR_CORRUPT);
    producer_state_release(&producers);
}

static void producer_that_a_snapshot_names_twice_leaves_the_others_transactions_alone(void **state)
{
    struct producer_state producers;
    CLEANUP(writer_release) struct writer file;
    struct producer_append begin[] = {transactional(1, 0, 0, 0), transactional(2, 0, 0, 1),
                                      transactional(3, 0, 0, 2)};

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, begin, 3), OK);
    snapshot_of(&producers, &file);
    batch_put(file.data, 10 + 2 * 46, 8, 1); /* the third is the first again */
    batch_put(file.data, 2, 4, crc32c_by_table(slice_of(file.data + 6, file.size_bytes - 6)));
    assert_int_equal(producer_snapshot_read(&producers, writer_slice(&file), 0, T0, 1000, NULL),
                     OK);
    assert_int_equal(producer_state_count(&producers), 2);
    assert_int_equal(producers.ongoing.count, 2);
    assert_int_equal(producer_state_first_undecided_offset(&producers), 1);
    producer_state_release(&producers);
}

static void snapshot_that_finds_no_room_is_an_error(void **state)
{
    struct producer_state producers;
    struct producer_append batch = data(1, 0, 0, 0);
    uint8_t buffer[PRODUCER_SNAPSHOT_HEADER_BYTES];
    struct writer out;

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_CLIENT, &batch, 1), OK);
    writer_init_fixed(&out, buffer, sizeof buffer);
    assert_int_not_equal(producer_snapshot_write(&producers, &out), OK);
    producer_state_release(&producers);
}

/* ---- no memory ---- */

static void every_allocation_of_a_load_an_append_and_a_verification_may_fail(void **state)
{
    struct producer_state producers;
    CLEANUP(writer_release) struct writer file;
    struct producer_append begin[10];
    int64_t at;

    (void)state;
    producer_state_init(&producers, &heap_allocator);
    for (int i = 0; i < 10; i++)
        begin[i] = transactional(i, 0, 0, i);
    assert_int_equal(appended(&producers, APPEND_ORIGIN_REPLICATION, begin, 10), OK);
    snapshot_of(&producers, &file);
    producer_state_release(&producers);
    for (at = 0;; at++) {
        struct allocator_failing failing;
        struct producer_append more[] = {marker(1, 0, 20), transactional(77, 0, 0, 21),
                                         marker(2, 0, 22), marker(3, 0, 23)};
        uint64_t guard;
        enum err err;

        allocator_failing_init(&failing, &heap_allocator, at, false);
        producer_state_init(&producers, &failing.base);
        err = producer_snapshot_read(&producers, writer_slice(&file), 10, T0, 1000, NULL);
        assert_int_equal(producer_state_count(&producers), err == OK ? 10 : 0);
        if (err == OK)
            err = producer_verification_begin(&producers, 99, 0, 0, false, T0, &guard);
        if (err == OK)
            err = appended(&producers, APPEND_ORIGIN_REPLICATION, more, ARRAY_COUNT(more));
        assert_true(err == OK || err == ERR_NO_MEMORY);
        producer_state_release(&producers);
        assert_int_equal(failing.bytes_in_use, 0);
        if (err == OK)
            break;
    }
    assert_true(at > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_one_append_follow_each_other),
        cmocka_unit_test(marker_in_the_same_append_begins_the_sequence_anew),
        cmocka_unit_test(marker_may_not_go_back_behind_another_of_its_append),
        cmocka_unit_test(of_many_batches_in_one_append_the_last_five_are_remembered),
        cmocka_unit_test(place_of_a_producer_in_an_earlier_append_means_nothing_in_the_next),
        cmocka_unit_test(producers_of_an_append_under_way_are_not_shown),
        cmocka_unit_test(verification_may_end_before_the_append_that_it_was_for),
        cmocka_unit_test(open_transactions_end_in_any_order),
        cmocka_unit_test(transaction_without_a_time_is_never_late),
        cmocka_unit_test_setup_teardown(control_batch_is_read_only_when_it_can_be_a_marker,
                                        bench_setup, bench_teardown),
        cmocka_unit_test(snapshot_file_of_a_negative_count_or_another_version_is_refused),
        cmocka_unit_test(producer_that_a_snapshot_names_twice_leaves_the_others_transactions_alone),
        cmocka_unit_test(snapshot_that_finds_no_room_is_an_error),
        cmocka_unit_test(every_allocation_of_a_load_an_append_and_a_verification_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
