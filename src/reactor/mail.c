/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/mail.c: from one reactor to another: a lock-free stack with many pushers and one taker,
 * who takes it whole and turns it round. Pushes of one sender are in order, hence so is delivery.
 *
 * Wake  After the push, never before: the receiver looks at the stack between a poll that was told
 *       to wake up and the next one. Put off to the end of the sender's turn, when all is there.
 */
#include "reactor/reactor_internal.h"

#include "base/fault_point.h"

static void push(struct reactor *to, struct mail *mail)
{
    struct mail *newest = atomic_load_explicit(&to->mail, memory_order_relaxed);

    do
        mail->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&to->mail, &newest, mail, memory_order_release,
                                                  memory_order_relaxed));
}

void reactor_send(struct reactor *from, struct reactor *to, struct mail *mail)
{
    ASSERT(mail->deliver != NULL);
    push(to, mail);
    if (from == to && from->is_in_turn)
        return; /* the turn's end looks at its own mail */
    if (!from || !from->is_in_turn) {
        os_port_wake(to->port);
        return;
    }
    for (size_t i = 0; i < from->wake_count; i++) {
        if (from->wakes[i] == to)
            return;
    }
    if (from->wake_count == WAKES_MAX)
        os_port_wake(to->port);
    else
        from->wakes[from->wake_count++] = to;
}

void mail_flush_wakes(struct reactor *reactor)
{
    for (size_t i = 0; i < reactor->wake_count; i++)
        os_port_wake(reactor->wakes[i]->port);
    reactor->wake_count = 0;
}

bool mail_is_waiting(const struct reactor *reactor)
{
    return atomic_load_explicit(&reactor->mail, memory_order_relaxed) != NULL;
}

/* Everything there, oldest first, in two chains. */
static void take(struct reactor *reactor, struct mail **control_out, struct mail **data_out)
{
    struct mail *newest = NULL;

    *control_out = NULL;
    *data_out = NULL;
    if (mail_is_waiting(reactor))
        newest = atomic_exchange_explicit(&reactor->mail, NULL, memory_order_acquire);
    while (newest) {
        struct mail *next = newest->next;
        struct mail **chain = newest->control ? control_out : data_out;

        newest->next = *chain;
        *chain = newest;
        newest = next;
    }
}

static size_t deliver(struct reactor *reactor, struct mail *mail)
{
    size_t count = 0;

    while (mail) {
        struct mail *next = mail->next;

        count++;
        mail->deliver(mail, reactor); /* owns it now */
        mail = next;
    }
    return count;
}

/* Leaves one; what others send meanwhile comes behind the rest. */
static void rest_push_back(struct reactor *reactor, struct mail **control, struct mail **data)
{
    struct mail *chains[] = {*control, *data};
    struct mail *only = *control ? *control : *data;

    for (size_t i = 0; i < ARRAY_COUNT(chains); i++) {
        for (struct mail *mail = chains[i], *next; mail; mail = next) {
            next = mail->next;
            if (mail != only)
                push(reactor, mail);
        }
    }
    if (only)
        only->next = NULL;
    if (only == *control)
        *data = NULL;
}

size_t mail_run(struct reactor *reactor)
{
    struct mail *control;
    struct mail *data;
    size_t count;

    take(reactor, &control, &data);
    if (FAULT_POINT(mail_one_by_one))
        rest_push_back(reactor, &control, &data);
    count = deliver(reactor, control);
    return count + deliver(reactor, data);
}

static void drop(struct mail *mail)
{
    while (mail) {
        struct mail *next = mail->next;

        if (mail->drop)
            mail->drop(mail);
        mail = next;
    }
}

void mail_drop_all(struct reactor *reactor)
{
    while (mail_is_waiting(reactor)) { /* a drop may send */
        struct mail *control;
        struct mail *data;

        take(reactor, &control, &data);
        drop(control);
        drop(data);
    }
}
