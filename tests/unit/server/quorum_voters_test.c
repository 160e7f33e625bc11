/* SPDX-License-Identifier: Apache-2.0 */
/* Voter sets as the log holds them: what a broken leader or disk may have put there reaches no core. */
#include "server/quorum_internal.h"

#include "protocol/generated/voters_record.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_that_names_a_negative_id_or_one_twice_is_corrupt),
    };

    return cmocka_run_group_tests_name("server/quorum_voters", tests, NULL, NULL);
}
