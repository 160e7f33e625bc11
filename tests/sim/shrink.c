/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/shrink.c: leaves out one fault after the other, then shortens the run, as long as the seed still fails
 * somehow; fault points first, all of them or one by one. Faults are drawn whole before the run and each has a stream of its own, so the rest stays put.
 */
#include "runner.h"

#include "base/assert.h"
#include "points.h"

int runner_shrink(const struct runner_options *options)
{
    struct world_options world = options->world;
    int runs = 1;

    world.is_loud = false;
    if (!runner_fails(&world)) {
        printf("seed %llu does not fail\n", (unsigned long long)world.seed);
        return 2;
    }
    for (int i = -1; i < FAULT_POINT_COUNT; i++) {
        struct world_options less = world;

        less.points_without |= i < 0 ? UINT64_MAX : (uint64_t)1 << i;
        if (less.points_without == world.points_without)
            continue;
        runs++;
        if (runner_fails(&less))
            world = less;
    }
    for (bool is_smaller = true; is_smaller;) {
        is_smaller = false;
        for (int i = 0; i < WORLD_FAULTS_MAX; i++) {
            struct world_options less = world;

            less.faults_without |= 1u << i;
            if (less.faults_without == world.faults_without)
                continue;
            runs++;
            if (runner_fails(&less)) {
                world = less;
                is_smaller = true;
            }
        }
    }
    for (int64_t run_ms = 6000; run_ms >= 100; run_ms = run_ms * 3 / 4) {
        struct world_options less = world;

        less.run_ms = run_ms;
        runs++;
        if (runner_fails(&less))
            world = less;
    }
    printf("after %d runs:\n  ", runs);
    runner_command(&world, options->program, stdout);
    return 1;
}
