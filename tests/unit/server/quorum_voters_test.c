/* SPDX-License-Identifier: Apache-2.0 */
/* Voter sets as the log holds them: what a broken leader or disk may have put there reaches no core. */
#include "server/quorum_internal.h"

#include "os/sim.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"
#include "records/crc32c.h"
#include "records/records_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

static enum err set_read(int32_t first, int32_t second, size_t *count_out)
{
    CLEANUP(arena_release) struct arena arena;
    struct voters_record_voter voters[2];
    struct voters_record record;
    struct raft_voters out = {0};
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    voters_record_init(&record);
    for (int i = 0; i < 2; i++) {
        voters[i] = (struct voters_record_voter){.voter_id = i == 0 ? first : second};
        voters[i].voter_directory_id.bytes[0] = (uint8_t)(i + 1);
    }
    record.voters = voters;
    record.voters_count = 2;
    err = quorum_voters_from_record(&record, &arena, &out);
    *count_out = out.count;
    return err;
}

static void a_set_that_names_a_negative_id_or_one_twice_is_corrupt(void **state)
{
    static const struct {
        int32_t first, second;
        enum err err;
    } rows[] = {
        {0, 1, OK},           {0, INT32_MAX, OK},          {1, 1, ERR_CORRUPT},
        {0, -1, ERR_CORRUPT}, {INT32_MIN, 2, ERR_CORRUPT},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t count;

        assert_int_equal(set_read(rows[i].first, rows[i].second, &count), rows[i].err);
        assert_int_equal(count, rows[i].err == OK ? 2 : 0);
    }
    UNUSED(state);
}

/* ---- a control batch whose second record is said to stand where the first does ---- */

#define OKAY(expression) assert_int_equal((expression), OK)
#define LOG_PATH "/data/" METADATA_LOG_NAME
#define FIRST_RECORD_BYTES 61 /* where it begins */

static size_t record_end(const uint8_t *bytes, size_t at)
{
    struct cursor cursor = cursor_of(slice_of(bytes + at, 10));
    int32_t size;

    OKAY(cursor_varint(&cursor, &size));
    return at + (10 - cursor_left(&cursor)) + (size_t)size;
}

static void batch_write(struct writer *out, struct arena *arena, bool same_offset)
{
    struct voters_record_voter voter = {.voter_id = 1};
    struct batch_options options;
    struct batch_builder builder;
    struct voters_record record;
    size_t at;

    voters_record_init(&record);
    record.voters = &voter;
    record.voters_count = 1;
    batch_options_init(&options);
    options.control = true;
    options.leader_epoch = 1;
    batch_builder_begin(&builder, &options, NULL, NULL, out);
    OKAY(control_append_voters(&builder, 0, &record, arena));
    OKAY(control_append_voters(&builder, 0, &record, arena));
    OKAY(batch_builder_finish(&builder, NULL));
    if (!same_offset)
        return;
    at = record_end(out->data, FIRST_RECORD_BYTES);
    while (out->data[at] >= 0x80) /* the length; then attributes, timestamp, offset: a byte each */
        at++;
    assert_int_equal(out->data[at + 3], 2);
    out->data[at + 3] = 0;
    put_u32(out->data + 17, crc32c(slice_sub(writer_slice(out), 21, SIZE_MAX)));
}

static enum err log_load(bool same_offset)
{
    CLEANUP(arena_release) struct arena arena;
    CLEANUP(writer_release) struct writer bytes;
    struct quorum_loaded loaded = {.path = LOG_PATH};
    struct os_file *file;
    struct slice batch;
    struct sim *sim;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&bytes, &heap_allocator, SIZE_MAX);
    batch_write(&bytes, &arena, same_offset);
    batch = writer_slice(&bytes);
    OKAY(sim_create(1, NULL, &sim));
    OKAY(sim_machine_create(sim, "node1", &loaded.os));
    OKAY(os_make_directory(loaded.os, "/data"));
    OKAY(os_make_directory(loaded.os, LOG_PATH));
    OKAY(os_file_open(loaded.os, LOG_PATH "/00000000000000000000.log",
                      OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    OKAY(os_file_write(file, &batch, 1, 0));
    os_file_close(&file);
    arena_init(&loaded.arena, &heap_allocator, SIZE_MAX);
    list_init(&loaded.tail);
    err = quorum_load_log(&loaded);
    if (err == OK)
        assert_int_equal(loaded.voters_at_count, 2);
    while (!list_is_empty(&loaded.tail))
        quorum_batch_free(LIST_ITEM(list_pop_front(&loaded.tail), struct quorum_batch, node));
    arena_release(&loaded.arena);
    sim_release(&sim);
    return err;
}

static void two_sets_at_one_offset_are_corrupt(void **state)
{
    assert_int_equal(log_load(false), OK);
    assert_int_equal(log_load(true), ERR_CORRUPT);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_names_a_negative_id_or_one_twice_is_corrupt),
        cmocka_unit_test(two_sets_at_one_offset_are_corrupt),
    };

    return cmocka_run_group_tests_name("server/quorum_voters", tests, NULL, NULL);
}
