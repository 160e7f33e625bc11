/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce_internal.h: one Produce request under way: the home's side (produce.c,
 * produce_answer.c) and the owner's (produce_append.c, produce_verify.c). docs/design/produce.md.
 */
#ifndef SERVER_HANDLERS_PRODUCE_INTERNAL_H
#define SERVER_HANDLERS_PRODUCE_INTERNAL_H

#include "server/partition_internal.h"
#include "server/request.h"

#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

/* Above it compressed batches are checked by a job. */
#define PRODUCE_INLINE_BYTES_MAX (256 * KIB)

/* What a failure has to say; from the heap, as the request's arena is the home's alone. */
struct produce_failure {
    struct why why;
    struct arena arena; /* of the record errors */
    struct record_error *record_errors;
    int32_t record_error_count;
    struct slice message; /* for the answer; null: none */
};

/* One partition of one request. The owner writes it between run and finish, the home before and
 * after. Once it is home and answered, the next partition gets its memory. */
struct produce_part {
    struct list_node node; /* of state->sent or state->spare */
    struct partition_op op;
    struct produce_state *state;
    struct produce_response_partition_produce_response *answer;
    uint8_t *data; /* in the frame */
    size_t size_bytes;
    int32_t pending_count; /* owner: append and commit that are still to come */
    bool is_sent;          /* an operation was submitted */
    bool is_done;          /* home: it came back */
    bool is_waiting;       /* owner: for the commit */
    bool is_expired;       /* owner: the home has answered already */
    bool is_finished;      /* owner: on its way home */
    int64_t told_offset;   /* of an undecided part, as of its expiry */
    enum err err;
    int64_t base_offset;
    int64_t log_append_time_ms;
    int64_t log_start_offset;
    int32_t leader_id;
    int32_t leader_epoch;
    struct produce_failure *failure; /* NULL: nothing to say */
    /* owner */
    struct partition *partition;
    struct log_append append;
    struct commit_wait wait;
    struct list_node
        queue_node; /* of hosted->produce_queue, or of what is said in produce_verify.c */
    struct produce_job *job;
    struct writer rebuilt; /* a recompressed batch, until it is written */
    bool has_rebuilt;
    /* its transaction: produce_verify.c */
    struct transaction_check *check; /* NULL: nothing is asked */
    struct list_node behind;         /* struct produce_part of the same producer, while it is */
    uint64_t guard;
    bool guard_required;
    bool is_verified;
    struct mail expire;
    bool expire_home;
};

/* So many are begun a turn. Those whose files take them at once are written and answered before the next ones are
 * looked at: what they touch stays in the processor's cache meanwhile, and other requests get their turn. */
#define PRODUCE_PARTS_A_TURN ((size_t)64)

struct produce_state {
    struct request *request;
    struct produce_response *response;
    int16_t acks;
    enum err err;           /* refuses all partitions */
    struct list_node sent;  /* struct produce_part: those that are not home */
    struct list_node spare; /* struct produce_part: memory for the next ones */
    size_t count;
    size_t begun;                   /* the first ones */
    int32_t topic_at, partition_at; /* of the request: the next one to be begun */
    size_t failed;
    size_t left;    /* operations that have not come home */
    size_t expires; /* expiry mails that have not come home */
    bool is_submitting;
    bool is_short; /* of memory: those that were not begun will not be, and nothing is answered */
    bool is_answered;
    bool is_counted_delayed;
    bool is_admin_client;
    struct deferred turn_end; /* until all are begun */
    struct timer timer;       /* until then of the next turn, later of the time-out */
};

/* produce_append.c: on the owner. */
void produce_run(struct partition_op *op, struct partition *partition);
/* The home has answered: stop waiting for the commit. On the owner. */
void produce_expire(struct produce_part *part);
/* Begins what is queued on the partition, as far as nothing holds it up. */
void produce_queue_run(struct hosted *hosted);
/* Failed before the log was looked at. */
void produce_part_refuse(struct produce_part *part, enum err err);
/* produce_verify.c, on the owner. True: the part waits (it comes back by the queue) or was refused. */
bool produce_verify(struct produce_part *part, const struct batch_header *header);
struct produce_failure *produce_failure_of(struct produce_part *part);
/* produce_repeats.c: of a partition that is named again the last one stays. `count`: partitions. False: no memory. */
MUST_USE bool produce_repeats_drop(struct produce_request *body, size_t count, struct arena *arena);
/* produce_answer.c */
void produce_answer(struct produce_state *state);
void produce_part_answer(struct produce_part *part); /* once */
void produce_failure_free(struct produce_part *part);

#endif
