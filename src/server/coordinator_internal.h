/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_internal.h: what coordinator_*.c share. docs/design/coordinator_runner.md.
 *
 * Life of a runner (one leadership of one partition; a new one is made for the next)
 *
 *   OPENING ──log open, leader──▶ LOADING ──end reached──▶ ACTIVE
 *      │                             │                        │
 *      │ deposed, deleted            │ cannot be read         │ deposed · an append failed
 *      ▼                             ▼                        ▼
 *   CLOSED ◀─── next epoch ─────── FAILED                  CLOSED (and a new runner when still leader)
 *
 * Invariants  1. Effects are admitted, appended to the open batch and replayed before the next call of
 *                the core; nobody outside is told anything before the end of the turn.
 *             2. Offsets told to replay are those that the log gives, or the runner is closed before
 *                anybody was told.
 *             3. A closed runner is freed when nothing of it is under way (under_way == 0).
 */
#ifndef SERVER_COORDINATOR_INTERNAL_H
#define SERVER_COORDINATOR_INTERNAL_H

#include "records/batch_builder.h"
#include "server/coordinator.h"
#include "server/partition_internal.h"
#include "server/request.h"

#include <stdatomic.h>

#define COORDINATOR_LOADS_MAX 2 /* of one shard at a time: each holds a buffer */
#define COORDINATOR_LOAD_RECORDS_STEP 512
#define COORDINATOR_TICKS_TURN 64
#define COORDINATOR_BLOCKS_SPARE 16
#define COORDINATOR_BLOCK_SPARE_BYTES (16 * KIB)

extern const struct slice coordinator_topic; /* __consumer_offsets */

/* The effects of one call of the core and the arena that they live in. Shared by the runner, the
 * pending write and the calls that were answered; any shard may give the last reference back. */
struct effects_block {
    atomic_int references;
    struct coordinator_service *service; /* of the owner */
    struct coordinator_call *body_of;    /* its body may be pointed at; NULL: none */
    struct arena arena;
    struct coordinator_effects effects;
    struct list_node node; /* spare */
};

enum runner_state { RUNNER_OPENING, RUNNER_LOADING, RUNNER_ACTIVE, RUNNER_FAILED, RUNNER_CLOSED };

/* A write that is not committed yet, or (number 0) replies that wait for those before them. */
struct runner_write {
    struct list_node node;
    uint64_t number;
    int64_t end_offset;
    int64_t deadline_ms;
    struct effects_block *block; /* NULL: its time was out, and all were told so */
};

struct runner_append {
    struct log_append append;
    struct coordinator_runner *runner;
    struct writer bytes;
};

struct runner_task {
    struct os_op op;
    struct coordinator_runner *runner;
    struct coordinator_task *task;
};

struct runner_load {
    struct list_node node; /* of the service's queue */
    bool is_queued, is_counted;
    bool is_waiting; /* for what is queued to be written */
    bool is_planned;
    struct log_read read;
    uint8_t *buffer;
    size_t buffer_bytes;
    struct slice rest; /* of the buffer, batches not begun */
    bool in_batch;
    struct batch_header header;
    struct record_walk walk;
    struct writer inflated;
    int64_t start_offset, next_offset;
    int64_t records;
    int chunks;
    int64_t started_ms;
    struct mail step;
};

struct coordinator_runner {
    struct coordinator_service *service;
    struct shard *shard;
    struct list_node node; /* of service->closing when closed */
    int32_t index;
    struct uuid topic_id;
    int32_t leader_epoch; /* of metadata */
    enum runner_state state;
    int under_way; /* operations, appends, reads, steps and tasks that call back */
    struct partition_op open;
    struct partition *partition; /* while it may be looked at */
    struct partition_watch watch;
    struct group_coordinator *coordinator; /* from LOADING on */
    struct random random;
    struct hash_map calls; /* struct coordinator_call, by token */
    struct runner_load load;
    struct timer timer; /* the core's */
    /* the open batch */
    struct batch_builder builder;
    struct writer bytes;
    struct writer scratch;
    bool has_batch;
    int64_t batch_base;
    int64_t batch_end;
    struct deferred flush;
    struct timer linger;
    /* writes: of the open batch and of appended ones, by rising offsets */
    struct list_node writes;
    struct timer commit_timer;
};

struct coordinator_service {
    struct shard *shard;
    struct uuid topic_id;                /* zero: the topic is not there */
    struct coordinator_runner **runners; /* by partition; NULL: not led here */
    size_t runner_count;
    struct list_node closing;
    struct list_node loads; /* struct runner_load that wait for their turn */
    int loading;
    struct list_node ended; /* struct coordinator_call */
    struct deferred ended_turn;
    struct list_node spare; /* struct effects_block */
    int spare_count;
    uint64_t next_token;
    struct arena options_arena;
    struct group_options options;
    bool has_options;
    bool is_stopped;
    void (*stopped)(void *context);
    void *stopped_context;
    struct deferred stopped_turn;
};

static inline struct logger *runner_logger(const struct coordinator_runner *runner)
{
    return runner->shard->node->logger;
}

/* coordinator_call.c */
struct effects_block *block_new(struct coordinator_service *service, struct coordinator_call *body);
struct effects_block *block_ref(struct effects_block *block);
void block_unref(struct shard *on, struct effects_block *block);
/* Answers at the end of the turn. `block` (NULL: none) holds the response. */
void call_answer(struct coordinator_runner *runner, struct coordinator_call *call, enum err err,
                 void *response, struct effects_block *block);
struct coordinator_call *runner_call_find(struct coordinator_runner *runner, uint64_t token);
void runner_calls_fail(struct coordinator_runner *runner, enum err err);
bool call_matches(const struct hash_map_node *node, const void *key);
void service_answers_turn(struct deferred *deferred);

/* coordinator_runner.c */
void runner_create(struct coordinator_service *service, int32_t index, int32_t leader_epoch,
                   bool is_failed);
/* Ends this leadership; what waits is told NOT_COORDINATOR. The runner may be gone after it. */
void runner_close(struct coordinator_runner *runner);
/* What it has cannot be relied on: closes it, and the partition is loaded anew (`again`) or stays
 * failed until the next leader epoch. */
void runner_fail(struct coordinator_runner *runner, enum err err, const char *why, bool again);
void runner_begin_work(struct coordinator_runner *runner);
void runner_end_work(struct coordinator_runner *runner); /* may free a closed runner */
struct coordinator_moment runner_moment(struct coordinator_runner *runner);
void runner_arm(struct coordinator_runner *runner);
/* Admits, appends, replays, starts tasks, answers. Takes over the caller's reference of the block. */
void runner_take(struct coordinator_runner *runner, struct effects_block *block);
/* The same for what a call of the core said; its failure makes the state useless. */
void runner_take_more(struct coordinator_runner *runner, struct effects_block *block, enum err err);
void runner_handle(struct coordinator_runner *runner, struct coordinator_call *call);
void runner_image_changed(struct coordinator_runner *runner, const struct metadata_image *before);

/* coordinator_load.c */
void runner_load_start(struct coordinator_runner *runner);
void runner_load_resume(struct coordinator_runner *runner); /* more was written */
/* The runner was closed: gives back what it can now, the rest when the read ends. */
void runner_load_cancel(struct coordinator_runner *runner);
void service_load_next(struct coordinator_service *service);

/* coordinator_write.c */
/* OK: in the open batch and replayed; the block's after_commit replies wait. Otherwise refused.
 * *failed_out: the runner was closed on the way. */
enum err runner_write(struct coordinator_runner *runner, struct effects_block *block,
                      bool *failed_out);
/* Replies after_commit of effects without records: false when nothing has to be waited for. */
bool runner_wait(struct coordinator_runner *runner, struct effects_block *block);
/* What this request's client is told of an error of the write path. */
enum err call_error(const struct coordinator_call *call, enum err err);
void runner_flush(struct deferred *deferred);
void runner_linger_over(struct timer *timer);
void runner_committed(struct coordinator_runner *runner);
void runner_commit_timeout(struct timer *timer);
void runner_writes_drop(struct coordinator_runner *runner);

#endif
