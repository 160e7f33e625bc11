/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_pool.c: threads for calls that block. They start when work finds no idle one, sleep
 * without ever waking by themselves, and end with the pool.
 */
#include "os/real_internal.h"

#include "base/fmt.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>

#if HAS_HEAVY_SANITIZER
#define STACK_BYTES (8 * 256 * KIB) /* red zones widen every frame */
#else
/* Below the size of a huge page, so that none is spent on a stack. */
#define STACK_BYTES (256 * KIB)
#endif

/* What a new thread is given. It takes its name itself, with one call: for another one glibc opens and writes a file of
 * /proc. */
struct thread_start {
    void *(*run)(void *context);
    void *context;
    char name[16]; /* the kernel's bound */
};

static void *thread_begin(void *context)
{
    struct thread_start *given = context;
    struct thread_start start = *given;

    ALLOCATOR_DELETE(&heap_allocator, given);
    pthread_setname_np(pthread_self(), start.name);
    return start.run(start.context);
}

enum err thread_create(const char *name, void *(*run)(void *context), void *context, pthread_t *out)
{
    struct thread_start *start = ALLOCATOR_NEW(&heap_allocator, struct thread_start);
    pthread_attr_t attributes;
    sigset_t blocked;
    sigset_t before;
    int error_number;

    if (!start)
        return ERR_NO_MEMORY;
    start->run = run;
    start->context = context;
    fmt(start->name, sizeof(start->name), "%s", name);
    if (pthread_attr_init(&attributes) != 0) {
        ALLOCATOR_DELETE(&heap_allocator, start);
        return ERR_NO_MEMORY;
    }
    pthread_attr_setstacksize(&attributes, MAX(STACK_BYTES, (size_t)PTHREAD_STACK_MIN));
    /* The new thread inherits the mask. Signals of its own faults and of profilers still come. */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGABRT);
    sigdelset(&blocked, SIGPROF);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error_number = pthread_create(out, &attributes, thread_begin, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error_number != 0) {
        ALLOCATOR_DELETE(&heap_allocator, start);
        return ERR_NO_MEMORY;
    }
    return OK;
}

/* Woken by its own semaphore, with the task in its hand: one that had to take it from the queue would run into the mutex
 * of whoever hands over the next, and sleep again. */
struct pool_thread {
    struct pool *pool;
    pthread_t id;
    struct list_node node;  /* of pool->idle */
    struct pool_task *task; /* given when it is woken; NULL: the pool stops */
    sem_t wake;
};

/* With the mutex held: what waits, or NULL. */
static struct pool_task *queue_pop(struct pool *pool)
{
    struct list_node *node = list_pop_front(&pool->queue);

    return node ? LIST_ITEM(node, struct pool_task, node) : NULL;
}

static struct pool_task *wait_for_task(struct pool_thread *thread)
{
    while (sem_wait(&thread->wake) != 0)
        ASSERT(errno == EINTR);
    return thread->task;
}

static void *pool_run(void *context)
{
    struct pool_thread *thread = context;
    struct pool *pool = thread->pool;

    for (;;) {
        struct pool_task *task;
        bool stops = false;

        pthread_mutex_lock(&pool->mutex);
        task = queue_pop(pool);
        if (!task) {
            stops = pool->is_stopping;
            if (!stops)
                list_push_front(&pool->idle, &thread->node);
        }
        pthread_mutex_unlock(&pool->mutex);
        if (!task && !stops)
            task = wait_for_task(thread);
        if (!task)
            return NULL;
        task->run(task); /* the task is gone now */
    }
}

/* With the mutex held. */
static enum err start_thread(struct pool *pool)
{
    struct pool_thread *thread = &pool->threads[pool->thread_count];
    char name[16];
    enum err err;

    fmt(name, sizeof(name), "%s-%d", pool->name, pool->thread_count);
    thread->pool = pool;
    sem_init(&thread->wake, 0, 0); /* of one process, from 0: cannot fail */
    err = thread_create(name, pool_run, thread, &thread->id);
    if (err != OK) {
        sem_destroy(&thread->wake);
        return err;
    }
    pool->thread_count++;
    return OK;
}

enum err pool_init(struct pool *pool, const char *name, int thread_count_max)
{
    ASSERT(thread_count_max > 0);
    *pool = (struct pool){.name = name, .thread_count_max = thread_count_max};
    list_init(&pool->queue);
    list_init(&pool->idle);
    pool->threads =
        allocator_zeroed(&heap_allocator, (size_t)thread_count_max * sizeof(pool->threads[0]));
    if (!pool->threads)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&pool->mutex, NULL); /* default attributes: cannot fail on Linux */
    return OK;
}

/* With the mutex held: one that sleeps, no longer idle, or NULL. */
static struct pool_thread *idle_pop(struct pool *pool)
{
    struct list_node *node = list_pop_front(&pool->idle);

    return node ? LIST_ITEM(node, struct pool_thread, node) : NULL;
}

void pool_fini(struct pool *pool)
{
    struct pool_thread *thread;

    pthread_mutex_lock(&pool->mutex);
    pool->is_stopping = true;
    while ((thread = idle_pop(pool))) {
        thread->task = NULL;
        sem_post(&thread->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i].id, NULL);
        sem_destroy(&pool->threads[i].wake);
    }
    ASSERT(list_is_empty(&pool->queue));
    pthread_mutex_destroy(&pool->mutex);
    heap_allocator.release(&heap_allocator, pool->threads,
                           (size_t)pool->thread_count_max * sizeof(pool->threads[0]));
}

enum err pool_start(struct pool *pool)
{
    enum err err = OK;

    pthread_mutex_lock(&pool->mutex);
    if (pool->thread_count == 0)
        err = start_thread(pool);
    pthread_mutex_unlock(&pool->mutex);
    return err;
}

enum err pool_submit(struct pool *pool, struct pool_task *task)
{
    struct pool_thread *thread;
    enum err err = OK;

    pthread_mutex_lock(&pool->mutex);
    ASSERT(!pool->is_stopping);
    thread = idle_pop(pool);
    if (thread) {
        thread->task = task;
    } else {
        if (pool->thread_count < pool->thread_count_max)
            err = start_thread(pool);
        if (err == OK || pool->thread_count > 0) {
            err = OK; /* of those that run, the first one that ends takes it */
            list_push_back(&pool->queue, &task->node);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    if (thread)
        sem_post(&thread->wake);
    return err;
}
