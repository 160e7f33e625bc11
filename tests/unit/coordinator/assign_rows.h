/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of assignors as rows: what is asked (assign_text.h), what is answered. */
#ifndef TESTS_COORDINATOR_ASSIGN_ROWS_H
#define TESTS_COORDINATOR_ASSIGN_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "assign_text.h"

/* Topics. */
#define A "00000000000000000000000000000001"
#define B "00000000000000000000000000000002"
#define C "a0000000000000000000000000000003"

struct assign_row {
    const char *rule, *question, *answer;
};

static void assign_row_test(void **state)
{
    const struct assign_row *row = *state;
    struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_string_equal(assign_answer(&arena, row->question), row->answer);
    arena_release(&arena);
}

/* A test for each row, and one more (NULL: none). */
static int assign_rows_run(const char *name, const struct assign_row *rows, size_t count,
                           const struct CMUnitTest *more)
{
    struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);
    int failed;

    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].rule,
            .test_func = assign_row_test,
            .initial_state = (void *)(uintptr_t)&rows[i],
        };
    if (more)
        tests[count] = *more;
    failed = _cmocka_run_group_tests(name, tests, count + (more != NULL), NULL, NULL);
    free(tests);
    return failed;
}

#endif
