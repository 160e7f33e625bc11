/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a scenario fails once, at each place: the call tells so, and what is left is released whole. The
 * shell then loads again, which works. For the fixture of either support header, which comes before.
 */
#ifndef TESTS_COORDINATOR_MEMORY_FRAME_H
#define TESTS_COORDINATOR_MEMORY_FRAME_H

#include "base/allocator.h"

struct memory_frame {
    void (*scenario)(struct fixture *fixture);
    void (*coordinator_release)(struct fixture *fixture);
    void (*check)(
        struct fixture *fixture); /* at the end of a scenario that came to its end; NULL: nothing */
};

/* Whether the scenario came to its end; counts failures. */
static bool memory_frame_run(const struct memory_frame *frame, int64_t fail_at, int64_t *failures)
{
    struct allocator_failing failing;
    struct fixture *fixture = malloc(sizeof *fixture);
    struct arena effects;
    bool done;

    fixture_start(fixture);
    frame->coordinator_release(fixture);
    allocator_failing_init(&failing, &heap_allocator, fail_at, false);
    arena_init(&effects, &failing.base, SIZE_MAX);
    fixture->allocator = &failing.base;
    fixture->effects_arena = &effects;
    fixture->logger.level = LOG_LEVEL_ERROR;
    fixture_load(fixture);
    if (fixture->failure == OK)
        frame->scenario(fixture);
    done = failing.calls <= fail_at;
    if (done && frame->check)
        frame->check(fixture);
    if (fixture->failure != OK) {
        assert_int_equal(fixture->failure, ERR_NO_MEMORY);
        (*failures)++;
    }
    frame->coordinator_release(fixture);
    arena_release(&effects);
    assert_int_equal(failing.bytes_in_use, 0);
    failing.fail_at = -1;
    fixture->failure = OK;
    fixture->effects_arena = &fixture->arena;
    fixture_load(fixture); /* the log is whole */
    assert_int_equal(fixture->failure, OK);
    frame->coordinator_release(fixture);
    assert_int_equal(failing.bytes_in_use, 0);
    fixture_end(fixture);
    free(fixture);
    return done;
}

/* So many allocations failed. */
static int64_t memory_frame_run_all(const struct memory_frame *frame)
{
    int64_t failures = 0, fail_at = 0;

    while (!memory_frame_run(frame, fail_at, &failures))
        fail_at++;
    print_message("failed at %lld places\n", (long long)failures);
    return failures;
}

#endif
