/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_pool.c: what is handed over together runs at the same time, and in the order in which it came.
 */
#include "os/real_internal.h"

#include "base/assert.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOGETHER = 6, ROUNDS = 200 };

struct together {
    struct pool_task task;
    pthread_barrier_t *all;
};

static void together_run(struct pool_task *task)
{
    pthread_barrier_wait(CONTAINER_OF(task, struct together, task)->all);
}

/* Each ends when all of them run: one for which nobody wakes would keep the round from ending. */
static void tasks_that_wait_for_one_another_all_find_a_thread(void **state)
{
    struct together tasks[TOGETHER];
    pthread_barrier_t all;
    struct pool pool;

    (void)state;
    assert_int_equal(pool_init(&pool, "together", TOGETHER), OK);
    assert_int_equal(pthread_barrier_init(&all, NULL, TOGETHER + 1), 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < TOGETHER; i++) {
            tasks[i] = (struct together){.task.run = together_run, .all = &all};
            assert_int_equal(pool_submit(&pool, &tasks[i].task), OK);
        }
        pthread_barrier_wait(&all);
    }
    pool_fini(&pool);
    pthread_barrier_destroy(&all);
}

struct ordered {
    struct pool_task task;
    sem_t *may_run; /* NULL: at once */
    int *next;
    int got;
};

static void ordered_run(struct pool_task *task)
{
    struct ordered *ordered = CONTAINER_OF(task, struct ordered, task);

    if (ordered->may_run)
        sem_wait(ordered->may_run);
    ordered->got = (*ordered->next)++; /* one thread: nobody else counts */
}

static void tasks_without_an_idle_thread_wait_their_turn_and_run_before_the_pool_ends(void **state)
{
    enum { COUNT = 50 };
    struct ordered tasks[COUNT];
    struct pool pool;
    sem_t first_may_run;
    int next = 0;

    (void)state;
    assert_int_equal(sem_init(&first_may_run, 0, 0), 0);
    assert_int_equal(pool_init(&pool, "ordered", 1), OK);
    for (int i = 0; i < COUNT; i++) {
        tasks[i] = (struct ordered){
            .task.run = ordered_run,
            .may_run = i == 0 ? &first_may_run : NULL,
            .next = &next,
        };
        assert_int_equal(pool_submit(&pool, &tasks[i].task), OK);
    }
    sem_post(&first_may_run);
    pool_fini(&pool);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(tasks[i].got, i);
    assert_int_equal(next, COUNT);
    sem_destroy(&first_may_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_wait_for_one_another_all_find_a_thread),
        cmocka_unit_test(tasks_without_an_idle_thread_wait_their_turn_and_run_before_the_pool_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
