/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/deferred.c: work of the end of the turn: what many callers of a turn asked for is done
 * once.
 */
#include "reactor/reactor_internal.h"

#include "base/fault_point.h"

/* Deferred work may defer; a chain that is longer goes on in the next turn, after completions, mail
 * and timers had theirs. */
#define ROUNDS_MAX 8

void deferred_init(struct deferred *deferred, void (*run)(struct deferred *deferred))
{
    ASSERT(run != NULL);
    list_init(&deferred->node);
    deferred->run = run;
}

void reactor_defer(struct reactor *reactor, struct deferred *deferred)
{
    if (!list_is_empty(&deferred->node))
        return;
    list_push_back(&reactor->deferred, &deferred->node);
    reactor_rearm(reactor);
}

void reactor_defer_cancel(struct reactor *reactor, struct deferred *deferred)
{
    UNUSED(reactor);
    list_remove(&deferred->node);
}

/* Nobody may rely on the order. */
static void batch_reverse(struct list_node *batch)
{
    struct list_node forwards;
    struct list_node *node;

    list_init(&forwards);
    list_splice_back(&forwards, batch);
    while ((node = list_pop_front(&forwards)) != NULL)
        list_push_front(batch, node);
}

size_t deferred_run(struct reactor *reactor)
{
    size_t count = 0;

    for (int round = 0; round < ROUNDS_MAX && !list_is_empty(&reactor->deferred); round++) {
        struct list_node batch;
        struct list_node *node;

        list_init(&batch);
        list_splice_back(&batch, &reactor->deferred);
        if (FAULT_POINT(deferred_reversed))
            batch_reverse(&batch);
        while ((node = list_pop_front(&batch)) != NULL) {
            struct deferred *deferred = LIST_ITEM(node, struct deferred, node);

            count++;
            deferred->run(deferred); /* may free it */
        }
        if (FAULT_POINT(deferred_one_round))
            break;
    }
    return count;
}
