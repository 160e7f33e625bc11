/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor/reactor.h: the loop of one shard: completions, timers, mail from other shards, and work put
 * off to the end of the turn. docs/design/reactor.md.
 *
 * A turn: completions and mail (control first, then data) → timers that are due → deferred work, until
 * none is left (bounded) → sleep. One reactor belongs to one thread; only reactor_send's target and
 * reactor_stop may be another's.
 */
#ifndef REACTOR_REACTOR_H
#define REACTOR_REACTOR_H

#include "base/allocator.h"
#include "base/list.h"
#include "base/log.h"
#include "base/random.h"
#include "os/os.h"

struct reactor;

/* seed: of the shard's random stream. index: the shard's number, 0… */
MUST_USE enum err reactor_create(struct os *os, int index, uint64_t seed, struct logger *logger,
                                 struct reactor **out);
/* Nothing may be under way. Undelivered mail is dropped through its `drop`. */
void reactor_release(struct reactor **reactor);

/* Turns until reactor_stop; real machine. In the simulator the machine calls the turns itself. */
void reactor_run(struct reactor *reactor);
void reactor_stop(struct reactor *reactor); /* any thread */
/* One turn without sleeping; true when something was done. */
bool reactor_turn(struct reactor *reactor);

int reactor_index(const struct reactor *reactor);
struct os *reactor_os(struct reactor *reactor);
struct os_port *reactor_port(struct reactor *reactor);
struct random *reactor_random(struct reactor *reactor);
struct logger *reactor_logger(struct reactor *reactor);
/* Taken once a turn. */
int64_t reactor_now_ns(const struct reactor *reactor);
int64_t reactor_now_ms(const struct reactor *reactor);
/* Wall clock, taken once a turn. */
int64_t reactor_wall_ms(const struct reactor *reactor);

static inline void reactor_submit(struct reactor *reactor, struct os_op *op)
{
    os_port_submit(reactor_port(reactor), op);
}

/* ---- timers: coarse milliseconds, hierarchical wheel; owner thread ---- */
struct timer {
    struct list_node node;
    int64_t deadline_ms; /* monotone; meaningful while set */
    void (*fire)(struct timer *timer);
};
/* Once, before first use. */
void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
/* Sets or moves. Fires in the first turn at or after the deadline, never before it; a timer fires
 * once and is then unset. */
void timer_set(struct reactor *reactor, struct timer *timer, int64_t deadline_ms);
void timer_cancel(struct reactor *reactor, struct timer *timer); /* fine when not set */
bool timer_is_set(const struct timer *timer);

/* ---- deferred: runs once at the end of the turn, however often it was asked for ---- */
struct deferred {
    struct list_node node;
    void (*run)(struct deferred *deferred);
};
void deferred_init(struct deferred *deferred, void (*run)(struct deferred *deferred));
void reactor_defer(struct reactor *reactor, struct deferred *deferred);
void reactor_defer_cancel(struct reactor *reactor, struct deferred *deferred);

/* ---- mail: FIFO from one reactor to another ---- */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail,
                    struct reactor *to); /* on the receiver's thread; owns it now */
    void (*drop)(struct mail *mail);     /* when the receiver goes down; NULL: nothing to free */
    bool control;                        /* delivered before data mail of the same turn */
};
/* `from` may be NULL (a foreign thread). Sending to oneself is delivered in a later turn. The wakes of
 * one turn are coalesced: a sleeping receiver is woken once, at the end of the sender's turn. */
void reactor_send(struct reactor *from, struct reactor *to, struct mail *mail);

#endif
