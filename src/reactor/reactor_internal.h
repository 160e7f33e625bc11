/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/reactor_internal.h: the parts of one reactor.
 */
#ifndef REACTOR_REACTOR_INTERNAL_H
#define REACTOR_REACTOR_INTERNAL_H

#include "reactor/reactor.h"

#include "base/assert.h"

#include <stdatomic.h>

/* ---- timers ---- */
#define WHEEL_BITS 6
#define WHEEL_SLOTS (1 << WHEEL_BITS)
#define WHEEL_LEVELS 11 /* 66 bits: every deadline has its slot, none wraps */

/* A timer lies at the level of the highest 6-bit digit in which its deadline differs from
 * elapsed_ms, in the slot that this digit of the deadline names. Hence every slot in use is ahead
 * of elapsed_ms, and the first one of the lowest level in use holds the earliest timer. */
struct wheel {
    uint64_t elapsed_ms;
    uint64_t used[WHEEL_LEVELS]; /* bit n: slot n is not empty */
    struct list_node slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list_node due; /* deadline ≤ elapsed_ms */
};

void wheel_init(struct wheel *wheel, int64_t now_ms);
void wheel_add(struct wheel *wheel, struct timer *timer);
void wheel_remove(struct wheel *wheel, struct timer *timer);
/* Moves what is due at now_ms to wheel->due. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);
/* When something must be looked at again: never later than the earliest deadline; that very
 * deadline unless the slot is crowded. INT64_MAX: no timer. */
int64_t wheel_next_ms(const struct wheel *wheel);

/* Reactors to be woken at the end of the turn; when full, the wake is not put off. */
#define WAKES_MAX 32

/* ---- the reactor ---- */
struct reactor_clock {
    int64_t now_ns, now_ms;
    int64_t wall_ms;
    bool is_taken, is_wall_taken; /* in this turn */
};

struct reactor {
    struct os *os;
    struct os_port *port;
    struct logger *logger;
    int index;
    bool is_in_turn;
    atomic_bool is_stopping;
    struct random random;
    /* Taken at its first use in a turn, for the turn begins with a sleep: hence behind a pointer,
     * so that those who only ask for the time need a const reactor. */
    struct reactor_clock *clock;
    struct wheel wheel;
    struct list_node deferred;
    struct reactor *wakes[WAKES_MAX];
    size_t wake_count;
    uint8_t apart[64];           /* what others write lies on another cache line */
    _Atomic(struct mail *) mail; /* newest first */
};

/* Out of a turn: makes the machine call one for what was just added. */
void reactor_rearm(struct reactor *reactor);

size_t timers_run(struct reactor *reactor);
size_t deferred_run(struct reactor *reactor);
size_t mail_run(struct reactor *reactor);
bool mail_is_waiting(const struct reactor *reactor);
void mail_flush_wakes(struct reactor *reactor);
void mail_drop_all(struct reactor *reactor);

#endif
