/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/timer.c: a hierarchical timer wheel of whole milliseconds.
 * Invariants  1. A slot in use begins after elapsed_ms.
 *             2. Bit n of used[level] is set exactly when slots[level][n] holds timers.
 *             3. A timer fires when now_ms ≥ deadline_ms: never early.
 * Cost        Set and cancel touch one list and one bit. A timer is moved at most once per level.
 */
#include "reactor/reactor_internal.h"

#include "base/fault_point.h"

/* A crowded slot is not searched for its earliest timer: one wake for its start is cheaper. */
#define SEARCH_MAX 32
#define LATE_MS 7 /* of the fault point */

static struct timer *timer_of(struct list_node *node)
{
    return LIST_ITEM(node, struct timer, node);
}

/* ---- wheel ---- */

void wheel_init(struct wheel *wheel, int64_t now_ms)
{
    wheel->elapsed_ms = (uint64_t)MAX(now_ms, (int64_t)0);
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
    list_init(&wheel->due);
}

void wheel_add(struct wheel *wheel, struct timer *timer)
{
    uint64_t deadline_ms = (uint64_t)MAX(timer->deadline_ms, (int64_t)0);
    int level;
    int slot;

    if (deadline_ms <= wheel->elapsed_ms) {
        list_push_back(&wheel->due, &timer->node);
        return;
    }
    level = (63 - __builtin_clzll(deadline_ms ^ wheel->elapsed_ms)) / WHEEL_BITS;
    slot = (int)(deadline_ms >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
    list_push_back(&wheel->slots[level][slot], &timer->node);
    wheel->used[level] |= (uint64_t)1 << slot;
}

void wheel_remove(struct wheel *wheel, struct timer *timer)
{
    struct list_node *head = timer->node.next;
    const struct list_node *first = &wheel->slots[0][0];

    list_remove(&timer->node);
    if (!list_is_empty(head))
        return;
    /* What is left alone is the head: of a slot, of `due` or of a batch that is being fired. */
    if (head >= first && head < first + WHEEL_LEVELS * WHEEL_SLOTS) {
        size_t position = (size_t)(head - first);

        wheel->used[position / WHEEL_SLOTS] &= ~((uint64_t)1 << (position % WHEEL_SLOTS));
    }
}

/* The first slot of the lowest level in use; false: there is none. */
static bool first_slot(const struct wheel *wheel, int *level_out, int *slot_out)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->used[level] != 0) {
            *level_out = level;
            *slot_out = __builtin_ctzll(wheel->used[level]);
            return true;
        }
    }
    return false;
}

static uint64_t slot_start_ms(const struct wheel *wheel, int level, int slot)
{
    int shift = level * WHEEL_BITS;
    uint64_t above = shift + WHEEL_BITS >= 64
                         ? 0
                         : wheel->elapsed_ms >> (shift + WHEEL_BITS) << (shift + WHEEL_BITS);
    uint64_t start_ms = above | (uint64_t)slot << shift;

    ASSERT_DEBUG(start_ms > wheel->elapsed_ms);
    return start_ms;
}

void wheel_advance(struct wheel *wheel, int64_t now_ms)
{
    uint64_t until_ms = (uint64_t)MAX(now_ms, (int64_t)0);
    int level;
    int slot;

    while (first_slot(wheel, &level, &slot)) {
        uint64_t start_ms = slot_start_ms(wheel, level, slot);
        struct list_node batch;
        struct list_node *node;

        if (start_ms > until_ms)
            break;
        wheel->elapsed_ms = start_ms;
        wheel->used[level] &= ~((uint64_t)1 << slot);
        list_init(&batch);
        list_splice_back(&batch, &wheel->slots[level][slot]);
        while ((node = list_pop_front(&batch)) != NULL)
            wheel_add(wheel, timer_of(node)); /* to a lower level, or due */
    }
    wheel->elapsed_ms = MAX(wheel->elapsed_ms, until_ms);
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    int64_t next_ms = INT64_MAX;
    int searched = 0;
    int level;
    int slot;

    if (!list_is_empty(&wheel->due))
        return (int64_t)wheel->elapsed_ms;
    if (!first_slot(wheel, &level, &slot))
        return INT64_MAX;
    LIST_EACH (node, &wheel->slots[level][slot]) {
        if (++searched > SEARCH_MAX)
            return (int64_t)slot_start_ms(wheel, level, slot);
        next_ms = MIN(next_ms, timer_of(node)->deadline_ms);
    }
    return next_ms;
}

/* ---- timers ---- */

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    ASSERT(fire != NULL);
    list_init(&timer->node);
    timer->deadline_ms = 0;
    timer->fire = fire;
}

bool timer_is_set(const struct timer *timer)
{
    return !list_is_empty(&timer->node);
}

void timer_set(struct reactor *reactor, struct timer *timer, int64_t deadline_ms)
{
    if (timer_is_set(timer))
        wheel_remove(&reactor->wheel, timer);
    timer->deadline_ms = deadline_ms;
    wheel_add(&reactor->wheel, timer);
    reactor_rearm(reactor);
}

void timer_cancel(struct reactor *reactor, struct timer *timer)
{
    if (timer_is_set(timer))
        wheel_remove(&reactor->wheel, timer);
}

/* A timer that is set to the past while we fire is the next turn's. */
size_t timers_run(struct reactor *reactor)
{
    struct list_node batch;
    struct list_node *node;
    size_t count = 0;

    wheel_advance(&reactor->wheel, reactor_now_ms(reactor));
    list_init(&batch);
    list_splice_back(&batch, &reactor->wheel.due);
    while ((node = list_pop_front(&batch)) != NULL) {
        struct timer *timer = timer_of(node);

        ASSERT(timer->deadline_ms <= reactor_now_ms(reactor));
        if (FAULT_POINT(timer_late)) {
            timer->deadline_ms = reactor_now_ms(reactor) + LATE_MS;
            wheel_add(&reactor->wheel, timer);
            continue;
        }
        count++;
        timer->fire(timer); /* may set it again, or free it */
    }
    return count;
}
