/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that storage does, in scenes; in each scene every file call fails in turn (I/O error, no room, no descriptor),
 * once or from then on for ever, and every allocation. What must hold: whoever asked is answered, nothing hangs, and
 * when the fault is gone the next start opens every log, with all that was flushed before.
 *   storage_failing_calls_test [ONE_IN]   one of so many calls is tried (1: each)
 */
#include "failing_calls.h"

#include "../../sim/child_end.h"
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t one_in = 5;

static void faults_set(struct play *play, enum err err, int64_t at, bool for_ever)
{
    const unsigned growing = 1u << SIM_CALL_WRITE | 1u << SIM_CALL_OPEN | 1u << SIM_CALL_SYNC |
                             1u << SIM_CALL_MAKE_DIRECTORY | 1u << SIM_CALL_RENAME |
                             1u << SIM_CALL_RESERVE;
    const unsigned opening = 1u << SIM_CALL_OPEN | 1u << SIM_CALL_LIST;
    unsigned calls = err == ERR_DISK_FULL        ? growing
                     : err == ERR_TOO_MANY_FILES ? opening
                                                 : SIM_CALLS_ALL;

    play->fault = sim_fault_add(play->bench.os, &(struct sim_fault){.calls = calls,
                                                                    .path_part = "/data",
                                                                    .skip_count = at,
                                                                    .is_sticky = for_ever,
                                                                    .effect = SIM_EFFECT_ERROR,
                                                                    .err = err});
}

/* What is logged is neither here nor there: nothing, errors alone or all of it. */
static void log_level_set(struct play *play, int64_t at)
{
    static const enum log_level levels[] = {LOG_LEVEL_INFO, LOG_LEVEL_TRACE,
                                            (enum log_level)(LOG_LEVEL_ERROR + 1)};

    play->bench.logger.level = levels[at % 3];
    play->bench.is_silent = at % 4 == 3;
}

static void play_prepare(struct play *play, const struct scene *scene, int64_t at)
{
    *play = (struct play){0};
    bench_prepare(&play->bench, (uint64_t)at + 1, 2);
    log_level_set(play, at);
    scene->prepare(play);
}

/* The fault is gone: an orderly stop when something runs, and a life in which everything must succeed. */
static void play_finish(struct play *play)
{
    sim_faults_clear(play->bench.os);
    if (play->bench.store)
        bench_halt(&play->bench);
    play_restart(play);
    play_verify(play);
    bench_close(&play->bench);
}

/* ---- calls ---- */

static bool scene_holds(const struct scene *scene, enum err err, int64_t at, bool for_ever)
{
    struct play play;
    int64_t hits;

    play_prepare(&play, scene, at);
    faults_set(&play, err, at, for_ever);
    scene->act(&play);
    hits = sim_fault_hits(play.bench.os, play.fault);
    play_finish(&play);
    return hits > 0;
}

static void calls_fail(enum err err, bool for_ever)
{
    for (const struct scene *scene = scenes; scene->name; scene++) {
        int64_t at = 0;

        if (getenv("BARNABAS_SCENE") && strcmp(getenv("BARNABAS_SCENE"), scene->name) != 0)
            continue;
        if (getenv("BARNABAS_AT"))
            at = atoi(getenv("BARNABAS_AT"));
        if (getenv("BARNABAS_VERBOSE"))
            print_message("%s\n", scene->name);
        for (;; at += one_in) {
            if (getenv("BARNABAS_VERBOSE"))
                print_message("%s %s call %lld\n", scene->name, err_name(err), (long long)at);
            if (!scene_holds(scene, err, at, for_ever))
                break;
        }
        assert_true(at > 0 || err == ERR_TOO_MANY_FILES);
    }
}

static void a_call_that_fails_once_does_no_more_harm_than_it_must(void **state)
{
    calls_fail(ERR_IO, false);
}

static void a_disk_that_fails_for_ever_is_left_and_found_whole_when_it_is_back(void **state)
{
    calls_fail(ERR_IO, true);
}

static void a_disk_without_room_does_no_more_harm_than_one_that_fails(void **state)
{
    calls_fail(ERR_DISK_FULL, false);
}

static void a_call_without_a_descriptor_is_made_again(void **state)
{
    calls_fail(ERR_TOO_MANY_FILES, false);
}

/* ---- memory ---- */

static struct allocator_failing short_heap;
static bool is_apart;

static void *short_allocate(struct allocator *self, size_t size_bytes)
{
    UNUSED(self);
    return short_heap.base.allocate(&short_heap.base, size_bytes);
}

static void *short_resize(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    UNUSED(self);
    return short_heap.base.resize(&short_heap.base, pointer, old_bytes, new_bytes);
}

/* The report that ends the process is an orderly end; the machine and its disk would live on. */
static void assertion_failed(const char *condition, const char *file, int line,
                             const char *function)
{
    bool is_orderly = strcmp(condition, MEMORY_EXHAUSTED) == 0 || strstr(file, "os/sim") ||
                      strstr(condition, "memory");

    if (!is_apart)
        return;
    if (!is_orderly)
        fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, condition);
    child_end(is_orderly ? 0 : 2);
}

/* 0: it went on or ended in order; 1: no allocation is left to fail; else it failed. */
static int scene_short(const struct scene *scene, int64_t at)
{
    pid_t child;
    int status;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct play play;
        bool was_struck;

        is_apart = true;
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        alarm(60);
        play_prepare(&play, scene, at);
        allocator_failing_init(&short_heap, &bench_heap, at, false);
        heap_allocator.allocate = short_allocate;
        heap_allocator.resize = short_resize;
        scene->act(&play);
        was_struck = short_heap.calls > at;
        heap_allocator.allocate = bench_heap.allocate;
        heap_allocator.resize = bench_heap.resize;
        play_finish(&play);
        child_end(was_struck ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static void an_allocation_that_fails_ends_in_an_error_or_a_report(void **state)
{
    assert_hook_set(assertion_failed);
    for (const struct scene *scene = scenes; scene->name; scene++) {
        int result = 0;

        if (getenv("BARNABAS_SCENE") && strcmp(getenv("BARNABAS_SCENE"), scene->name) != 0)
            continue;
        for (int64_t at = 0; result == 0; at += one_in > 1 ? 3 * one_in : 1) { /* a process each */
            result = scene_short(scene, at);
            if (result > 1)
                fail_msg("scene %s, allocation %lld", scene->name, (long long)at);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_once_does_no_more_harm_than_it_must),
        cmocka_unit_test(a_disk_that_fails_for_ever_is_left_and_found_whole_when_it_is_back),
        cmocka_unit_test(a_disk_without_room_does_no_more_harm_than_one_that_fails),
        cmocka_unit_test(a_call_without_a_descriptor_is_made_again),
        cmocka_unit_test(an_allocation_that_fails_ends_in_an_error_or_a_report),
    };

    if (argc == 2)
        one_in = MAX(1, strtol(argv[1], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
