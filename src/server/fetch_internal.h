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
#include "server/fetch_cache.h"
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
/* What a shard keeps of ranges that several readers want. */
#define FETCH_SHARED_BYTES_MAX (32 * MIB)

/* fetch_memory.c: memory that ranges are read to, with its uses: fetches under way, answers, the cache. */
struct fetch_block {
    struct request_loan loan; /* of an answer that uses no other */
    struct list_node node;    /* spare, or being filled */
    struct fetch_service *service;
    int uses;
    size_t capacity_bytes; /* behind the header */
    int class_index;       /* -1: not kept */
    struct fetch_range
        range; /* of a block that holds one range to be shared; its filler's until it is filled */
    struct list_node waiting; /* struct fetch_part: until it is filled */
    size_t filled_bytes;      /* that its filler wants */
    uint8_t bytes[];
};
struct fetch_service {
    struct shard *shard;
    struct fetch_sessions sessions;
    struct list_node parked;         /* struct fetch_state */
    struct list_node memory_waiting; /* struct fetch_state */
    size_t reading_bytes;
    struct list_node spare[FETCH_CLASSES]; /* struct fetch_block */
    size_t spare_bytes, block_count;
    size_t held_bytes; /* of blocks that are not spare */
    size_t
        freed_bytes;  /* of blocks, since the process last gave freed memory back to the machine */
    int64_t taken_ms; /* when a block was last taken */
    struct timer spare_timer;
    struct fetch_cache cache; /* of ranges in blocks */
    struct list_node filling; /* struct fetch_block: ranges to be shared that are being read */
    struct timer cache_timer;
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
    enum fetch_source {
        FETCH_READS,  /* into the reply's block */
        FETCH_FILLS,  /* into a block of its own, to be shared */
        FETCH_SHARES, /* has what was read before */
        FETCH_WAITS,  /* for one that fills */
    } source;
    struct fetch_block *block;     /* used; NULL: the reply's */
    struct list_node waiting_node; /* in a block's waiting */
    uint8_t *buffer;               /* where it is read to */
    const uint8_t *bytes;          /* where it lies */
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
    struct fetch_block *block; /* of ranges that are not shared, until it is lent */
    bool has_part_blocks;      /* some part may have one of its own */
    size_t wanted_bytes;       /* while it waits for memory */
    size_t reading_bytes;      /* of its ranges in the service's */
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

/* The part's range lies in its own block or in the reply's; at home, after fetch_share or for lack of it. */
void fetch_read_part(struct fetch_part *part);

/* fetch_memory.c */
void fetch_memory_init(struct fetch_service *service);
void fetch_memory_stop(struct fetch_service *service); /* keeps nothing from now on */
void fetch_memory_fini(struct fetch_service *service); /* every block is back */
/* One use of it is the caller's. NULL: no memory. */
MUST_USE struct fetch_block *fetch_block_take(struct fetch_service *service, size_t size_bytes);
size_t fetch_block_capacity(size_t size_bytes); /* what one for so many bytes holds */
void fetch_block_use(struct fetch_block *block);
void fetch_block_unuse(struct fetch_block *block);
/* Counts a range that is about to be read for this fetch. */
void fetch_memory_count(struct fetch_state *state, size_t size_bytes);
/* The answer may be sent from the blocks, which are the connection's from then on. Before it is made. */
void fetch_memory_lend(struct fetch_state *state);
/* The fetch is over: what was not lent goes, and fetches that wait for memory go on. */
void fetch_memory_free(struct fetch_state *state);

/* fetch_share.c */
void fetch_share_init(struct fetch_service *service);
void fetch_share_stop(struct fetch_service *service);
/* Says where the wanted part comes from: FETCH_SHARES: it is there. */
void fetch_share(struct fetch_part *part);
/* The part that filled a block is home: it and those that waited for it have their bytes, or read by themselves. */
void fetch_share_filled(struct fetch_part *part);

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
