/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_port.c: one shard's gate on Linux: an edge-triggered epoll set, a list of what is
 * complete, and a stack on which the pool threads put what they finished.
 *
 * Wake   `state` says whether the owner sleeps. Whoever wants it awake swaps in PORT_NOTIFIED and
 *        writes the eventfd only if it was PORT_ASLEEP: a busy port is woken without a system call.
 *        The eventfd is edge-triggered and never read. A late write wakes once for nothing.
 * Order  No `done` runs while events are taken from the set: a callback that closes a socket cannot
 *        meet that socket's own event later in the same batch.
 */
#include "os/real_internal.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64
/* A poll that has completions at hand leaves the kernel alone, but not more often than this in a row: a request is
 * a chain of operations that complete at once, and each would ask for events in between. */
#define UNLOOKED_MAX 3

static struct real_port *real_of(struct os_port *port)
{
    return CONTAINER_OF(port, struct real_port, base);
}

/* ---- birth and end ---- */

enum err real_port_create(struct os *os, struct os_port **out)
{
    struct real_port *port = ALLOCATOR_NEW(&heap_allocator, struct real_port);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

    UNUSED(os);
    if (!port)
        return ERR_NO_MEMORY;
    list_init(&port->completed);
    list_init(&port->again);
    list_init(&port->paused);
    list_init(&port->connects);
    port->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    port->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->epoll_fd < 0 || port->event_fd < 0 ||
        epoll_ctl(port->epoll_fd, EPOLL_CTL_ADD, port->event_fd, &event) < 0) {
        enum err err = real_err(errno);

        if (port->epoll_fd >= 0)
            close(port->epoll_fd);
        if (port->event_fd >= 0)
            close(port->event_fd);
        ALLOCATOR_DELETE(&heap_allocator, port);
        return err;
    }
    *out = &port->base;
    return OK;
}

static void take_arrived(struct real_port *port);
static size_t complete_all(struct real_port *port);

void real_port_release(struct os_port *base)
{
    struct real_port *port = real_of(base);

    connect_cancel_all(port);
    take_arrived(port); /* lookups that were answered meanwhile */
    complete_all(port);
    ASSERT(port->ops_under_way == 0);
    ASSERT(list_is_empty(&port->again) && list_is_empty(&port->paused));
    /* A pool thread may have handed its operation over and still be on its way out of the wake. */
    while (atomic_load_explicit(&port->deliverers, memory_order_acquire) != 0)
        sched_yield();
    close(port->epoll_fd);
    close(port->event_fd);
    ALLOCATOR_DELETE(&heap_allocator, port);
}

void real_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context)
{
    UNUSED(port);
    UNUSED(turn);
    UNUSED(context);
}

void real_port_set_deadline(struct os_port *port, int64_t deadline_ns)
{
    UNUSED(port);
    UNUSED(deadline_ns);
}

/* ---- completions ---- */

void port_complete(struct real_port *port, struct os_op *op, enum err err)
{
    op->err = err;
    list_push_back(&port->completed, &op->node);
}

void real_port_wake(struct os_port *base)
{
    struct real_port *port = real_of(base);
    uint64_t one = 1;
    ssize_t put;

    if (atomic_exchange_explicit(&port->state, PORT_NOTIFIED, memory_order_acq_rel) != PORT_ASLEEP)
        return;
    do
        put = write(port->event_fd, &one, sizeof(one));
    while (put < 0 && errno == EINTR);
    ASSERT(put == (ssize_t)sizeof(one)); /* full only after 2^64 - 1 wakes */
}

void port_arrive(struct real_port *port, struct os_op *op)
{
    struct list_node *newest;

    atomic_fetch_add_explicit(&port->deliverers, 1, memory_order_relaxed);
    newest = atomic_load_explicit(&port->arrived, memory_order_relaxed);
    do
        op->node.next = newest;
    while (!atomic_compare_exchange_weak_explicit(&port->arrived, &newest, &op->node,
                                                  memory_order_acq_rel, memory_order_relaxed));
    real_port_wake(&port->base); /* the operation is no longer ours */
    atomic_fetch_sub_explicit(&port->deliverers, 1, memory_order_release);
}

static void take_arrived(struct real_port *port)
{
    struct list_node *newest;
    struct list_node *oldest = NULL;

    if (!atomic_load_explicit(&port->arrived, memory_order_relaxed))
        return;
    newest = atomic_exchange_explicit(&port->arrived, NULL, memory_order_acquire);
    while (newest) {
        struct list_node *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct list_node *next = oldest->next;
        struct os_op *op = LIST_ITEM(oldest, struct os_op, node);

        if (connect_is_resolving(op))
            connect_on_resolved(op);
        else
            list_push_back(&port->completed, &op->node);
        oldest = next;
    }
}

/* What completes because of a `done` waits for the next poll. */
static size_t complete_all(struct real_port *port)
{
    struct list_node batch;
    struct list_node *node;
    size_t count = 0;

    list_init(&batch);
    list_splice_back(&batch, &port->completed);
    while ((node = list_pop_front(&batch)) != NULL) {
        struct os_op *op = LIST_ITEM(node, struct os_op, node);

        ASSERT(port->ops_under_way > 0);
        port->ops_under_way--;
        count++;
        op->done(op); /* may free it */
    }
    return count;
}

/* ---- poll ---- */

static int milliseconds_up(int64_t duration_ns)
{
    int64_t duration_ms = (duration_ns + 999999) / 1000000;

    return (int)MIN(duration_ms, (int64_t)INT32_MAX);
}

/* deadline 0: does not wait. INT64_MAX: for ever. */
static int wait_events(struct real_port *port, struct epoll_event *events, int64_t deadline_ns)
{
    int64_t left_ns = 0;

    if (deadline_ns == INT64_MAX)
        return epoll_wait(port->epoll_fd, events, EVENTS_MAX, -1);
    if (deadline_ns > 0)
        left_ns = deadline_ns - real_now_ns(port->base.os);
    if (left_ns <= 0)
        return epoll_wait(port->epoll_fd, events, EVENTS_MAX, 0);
#ifdef SYS_epoll_pwait2
    if (!port->has_no_pwait2) {
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        int count =
            (int)syscall(SYS_epoll_pwait2, port->epoll_fd, events, EVENTS_MAX, &left, NULL, 0);

        /* EPERM: how some containers' filters say that they do not know the call. */
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        port->has_no_pwait2 = true;
    }
#endif
    return epoll_wait(port->epoll_fd, events, EVENTS_MAX, milliseconds_up(left_ns));
}

/* Listeners that may accept again. */
static void drive_paused(struct real_port *port)
{
    int64_t now_ns;

    if (list_is_empty(&port->paused))
        return;
    now_ns = real_now_ns(port->base.os);
    LIST_EACH_SAFE (node, &port->paused) {
        struct real_listener *listener = LIST_ITEM(node, struct real_listener, paused_node);

        if (listener->until_ns > now_ns)
            continue;
        list_remove(node);
        listener->socket.is_paused = false;
        socket_drive_reads(&listener->socket);
    }
}

static void drive_again(struct real_port *port)
{
    struct list_node due;
    struct list_node *node;

    drive_paused(port);
    list_init(&due);
    list_splice_back(&due, &port->again);
    while ((node = list_pop_front(&due)) != NULL)
        socket_drive_writes(CONTAINER_OF(progress_op(node)->socket, struct real_socket, base));
}

static int64_t again_deadline_ns(struct real_port *port)
{
    int64_t deadline_ns = list_is_empty(&port->again) ? INT64_MAX : 0;

    LIST_EACH (node, &port->paused)
        deadline_ns =
            MIN(deadline_ns, LIST_ITEM(node, struct real_listener, paused_node)->until_ns);
    return deadline_ns;
}

/* Waits as long as nothing is complete; true when somebody called real_port_wake. */
static bool wait_and_drive(struct real_port *port, int64_t deadline_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int awake = PORT_AWAKE;
    bool may_sleep = deadline_ns != 0 && list_is_empty(&port->completed);
    bool is_notified = false;
    int count;

    if (may_sleep) {
        deadline_ns = MIN(deadline_ns, again_deadline_ns(port));
        is_notified = !atomic_compare_exchange_strong_explicit(
            &port->state, &awake, PORT_ASLEEP, memory_order_acq_rel, memory_order_acquire);
    }
    count = wait_events(port, events, may_sleep && !is_notified ? deadline_ns : 0);
    ASSERT(count >= 0 || errno == EINTR);
    if (may_sleep)
        is_notified = atomic_exchange_explicit(&port->state, PORT_AWAKE, memory_order_acq_rel) ==
                      PORT_NOTIFIED;
    for (int i = 0; i < count; i++) {
        struct real_socket *socket = events[i].data.ptr;

        if (socket) /* NULL: the eventfd, which has said all by waking us */
            socket_on_events(socket, events[i].events);
    }
    return is_notified;
}

/* Is what there is to do enough, for now? */
static bool poll_is_unlooked(struct real_port *port)
{
    if (list_is_empty(&port->completed) || port->unlooked >= UNLOOKED_MAX) {
        port->unlooked = 0;
        return false;
    }
    port->unlooked++;
    return true;
}

size_t real_port_poll(struct os_port *base, int64_t deadline_ns)
{
    struct real_port *port = real_of(base);

    for (;;) {
        bool is_notified;

        take_arrived(port);
        drive_again(port);
        if (poll_is_unlooked(port))
            return complete_all(port);
        is_notified = wait_and_drive(port, deadline_ns);
        take_arrived(port);
        if (!list_is_empty(&port->completed))
            return complete_all(port);
        if (is_notified || deadline_ns == 0)
            return 0;
        if (deadline_ns != INT64_MAX && real_now_ns(base->os) >= deadline_ns)
            return 0;
    }
}

/* ---- submit ---- */

struct pool_work {
    struct pool_task task;
};
static_assert(sizeof(struct pool_work) <= sizeof(((struct os_op *)0)->private_words),
              "a task fits into the operation");

static void pool_work_run(struct pool_task *task)
{
    struct os_op *op =
        (struct os_op *)(void *)((char *)task - offsetof(struct os_op, private_words));
    struct real_port *port = real_of(op->port);

    os_op_run_blocking(port->base.os, op);
    port_arrive(port, op);
}

static void submit_to_pool(struct real_port *port, struct os_op *op)
{
    struct real_os *real = port_real_os(port);
    struct pool_work *work = (struct pool_work *)(void *)op->private_words;
    enum err err;

    work->task.run = pool_work_run;
    err = pool_submit(op->kind == OS_OP_JOB ? &real->job_pool : &real->file_pool, &work->task);
    ASSERT(err == OK); /* os_real_create started a thread of each */
}

void real_port_submit(struct os_port *base, struct os_op *op)
{
    struct real_port *port = real_of(base);

    port->ops_under_way++;
    switch (op->kind) {
    case OS_OP_READ:
    case OS_OP_WRITE:
        if (real_file_try_now(base->os, op))
            port_complete(port, op, op->err);
        else
            submit_to_pool(port, op);
        return;
    case OS_OP_ACCEPT:
    case OS_OP_RECEIVE:
    case OS_OP_SEND:
        socket_submit(port, op);
        return;
    case OS_OP_CONNECT:
        connect_submit(port, op);
        return;
    default:
        submit_to_pool(port, op);
        return;
    }
}
