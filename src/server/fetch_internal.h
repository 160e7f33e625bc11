/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_internal.h: one Fetch under way. docs/design/fetch.md.
 *
 *   session ─▶ plan on the owners ─▶ enough? ──yes──▶ read on the owners ─▶ answer
 *                 ▲                     │ no
 *                 └──── wake, timeout ──┴─▶ parked: a watch on each partition, one deadline at home
 *
 * Invariants  1. A part belongs to its owner from the moment that an operation or mail is sent
 *                until it comes home.
 *             2. A range that was planned is released on its owner; until then the partition is in
 *                use.
 *             3. The state lives until `left` and `mails` are 0 and the request was answered.
 */
#ifndef SERVER_FETCH_INTERNAL_H
#define SERVER_FETCH_INTERNAL_H

#include "server/fetch.h"
#include "server/fetch_session.h"
#include "server/partition_internal.h"
#include "server/request.h"

#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

/* Bytes of ranges being read that a shard holds for its fetches; one fetch is always admitted. */
#define FETCH_READING_BYTES_MAX (128 * MIB)
/* And of blocks in all, those that clients have not read yet with them. */
#define FETCH_HELD_BYTES_MAX (256 * MIB)
/* What a shard keeps of blocks that were sent, and in how many sizes. */
#define FETCH_SPARE_BYTES_MAX (8 * MIB)
#define FETCH_CLASSES 12

struct fetch_block;
struct fetch_service {
    struct shard *shard;
    struct fetch_sessions sessions;
    struct list_node parked;         /* struct fetch_state */
    struct list_node memory_waiting; /* struct fetch_state */
    size_t reading_bytes;
    struct list_node spare[FETCH_CLASSES]; /* struct fetch_block */
    size_t spare_bytes, block_count;
    size_t held_bytes; /* of blocks that are not spare */
    struct timer spare_timer;
    bool is_stopped;
};

struct fetch_part {
    struct partition_op op;
    struct fetch_state *state;
    struct fetch_params params;
    struct fetch_session_partition *cached;
    bool is_readable; /* passed the checks that need no log */
    enum err err;
    int64_t high_watermark, last_stable, log_start;
    int32_t diverging_epoch;
    int64_t diverging_end;
    bool is_diverging;
    int32_t leader_id, leader_epoch;
    /* owner */
    struct partition *partition;
    bool is_left_out;                    /* from home: the parts before it use the limits up */
    bool is_planned;                     /* the range must be released */
    int64_t base_segment, base_position; /* from where bytes are counted while parked */
    struct partition_watch watch;
    bool is_watching;
    struct mail mail;      /* read, release, unwatch: owner and back */
    struct mail news_mail; /* owner to home */
    void (*errand)(struct fetch_part *part);
    bool errand_home;
    /* owner to home */
    size_t planned_bytes, first_batch_bytes;
    struct fetch_measure {
        int64_t available;
        bool is_urgent;  /* must be looked at now: role, truncation */
    } at_watch, at_news; /* by the operation that set the watch; by the watch */
    /* home */
    int64_t available;
    size_t taken;
    uint8_t *buffer;
    size_t read_bytes;
    struct log_read
        read; /* owner; not zeroed with the rest: log_read_plan sets it, only is_planned makes it valid */
};

enum fetch_stage {
    FETCH_PLANNING,
    FETCH_PARKING,
    FETCH_PARKED,
    FETCH_UNPARKING,
    FETCH_READING,
    FETCH_ANSWERED
};

struct fetch_state {
    struct request *request;
    struct fetch_service *service;
    struct list_node node; /* parked, or waiting for memory */
    enum fetch_stage stage;
    int32_t replica_id;
    int64_t replica_epoch;
    bool is_committed; /* read_committed */
    int32_t max_wait_ms;
    int64_t min_bytes, max_bytes;
    struct fetch_part *parts;
    size_t count;
    size_t readable;
    size_t left;  /* operations and errands under way */
    size_t mails; /* of those, errands after which the state may end */
    bool is_submitting;
    /* While every part so far was planned at once: what the limits leave; see fetch_plan.c. */
    struct fetch_budget plan_budget;
    bool is_in_order;
    bool is_final; /* no more waiting */
    bool is_gone;  /* the client hung up */
    bool is_woken;
    int64_t available; /* sum over the parts while parked */
    struct timer timer;
    struct deferred wake;
    struct fetch_block *block; /* of the buffer, until it is lent */
    uint8_t *buffer;
    size_t buffer_bytes;
    /* session */
    bool is_full; /* every partition is answered */
    bool wants_session;
    struct fetch_session *session; /* in use */
    int32_t session_id;
    int32_t session_epoch_next;
    int session_shard;
    enum err session_err;
    struct mail session_mail;
    bool session_home;
    bool session_released;
};

/* handlers/fetch.c */
void fetch_begin(struct fetch_state *state); /* the session is known: build the parts and plan */

/* fetch_plan.c */
void fetch_plan(struct fetch_state *state);
void fetch_part_done(struct fetch_part *part); /* an operation or errand of this part is home */
int64_t fetch_visible_end(const struct fetch_part *part, struct partition *partition);
/* Runs on the owner and tells home; `errand` may end later with fetch_errand_end. */
void fetch_errand(struct fetch_part *part, void (*errand)(struct fetch_part *part));
void fetch_errand_end(struct fetch_part *part);

/* fetch_read.c */
void fetch_read(struct fetch_state *state);
void fetch_release_planned(struct fetch_state *state, bool all);

/* fetch_memory.c */
void fetch_memory_init(struct fetch_service *service);
void fetch_memory_stop(struct fetch_service *service); /* keeps nothing from now on */
void fetch_memory_fini(struct fetch_service *service); /* every block is back */
/* state->buffer of buffer_bytes; false: no memory. */
MUST_USE bool fetch_memory_take(struct fetch_state *state);
/* The answer may be sent from the buffer, which is the connection's from then on. Before it is made. */
void fetch_memory_lend(struct fetch_state *state);
/* The fetch is over: what was not lent goes, and fetches that wait for memory go on. */
void fetch_memory_free(struct fetch_state *state);

/* fetch_wait.c */
void fetch_park(struct fetch_state *state);
void fetch_parked_step(struct fetch_state *state); /* an operation of parking is home */
void fetch_unpark(struct fetch_state *state);
void fetch_unparked(struct fetch_state *state); /* every watch is gone: look again */

/* fetch_answer.c */
void fetch_answer(struct fetch_state *state);
void fetch_answer_session_error(struct fetch_state *state);
void fetch_end(struct fetch_state *state);

/* fetch_lend.c: the session's side of it */
void fetch_session_begin(struct fetch_state *state);
void fetch_session_give_back(struct fetch_state *state);

#endif
