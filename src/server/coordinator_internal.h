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

/* What the runner does not know of the coordinator that it runs; `core` is the kind's own. The
 * functions are those of coordinator/group.h and transaction.h of the same names. */
struct coordinator_kind {
    struct slice topic;
    /* The core has to know the epoch of the leadership: it is loaded anew when that rises though the leader stays. Apache
     * does so for transactions, whose markers carry it, and goes on with the groups that it has. */
    bool reloads_on_epoch;
    /* settings */
    void (*options_read)(const struct config *config, struct coordinator_service *service);
    enum broker_key load_buffer_size;
    int32_t (*linger_ms)(const struct config *config); /* -1: to the end of the turn */
    enum compression (*codec)(const struct config *config);
    int32_t (*commit_timeout_ms)(const struct config *config);
    /* What this call's client is told of an error of the write path. */
    enum err (*error)(const struct coordinator_call *call, enum err err);
    void (*elected)(struct coordinator_service *service); /* a partition is led here; NULL */
    /* the core */
    enum err (*create)(struct coordinator_runner *runner, void **out);
    void (*release)(void *core);
    enum err (*set_options)(void *core, const struct coordinator_service *service);
    enum err (*replay)(void *core, const struct coordinator_record *record, int64_t offset,
                       int64_t producer_id, int16_t producer_epoch, struct why *why);
    enum err (*replay_marker)(void *core, int64_t producer_id, int16_t producer_epoch,
                              bool is_commit, int64_t offset); /* NULL: markers say nothing */
    enum err (*loaded)(void *core, const struct coordinator_moment *moment,
                       struct coordinator_effects *effects);
    void (*committed)(void *core, int64_t offset);
    enum err (*write_ended)(void *core, uint64_t write, enum err err,
                            const struct coordinator_moment *moment,
                            struct coordinator_effects *effects);
    enum err (*handle)(void *core, const struct coordinator_request *request,
                       const struct coordinator_moment *moment,
                       struct coordinator_effects *effects);
    void (*forget)(void *core, uint64_t token);
    int64_t (*deadline_ms)(const void *core);
    enum err (*tick)(void *core, const struct coordinator_moment *moment,
                     struct coordinator_effects *effects);
    enum err (*image_changed)(void *core, const struct metadata_image *before,
                              const struct coordinator_moment *moment,
                              struct coordinator_effects *effects); /* NULL: of no interest */
    enum err (*task_done)(void *core, struct coordinator_task **task,
                          const struct coordinator_moment *moment,
                          struct coordinator_effects *effects); /* NULL: has no tasks */
    enum err (*marked)(void *core, uint64_t ticket, size_t partition, enum err err,
                       const struct coordinator_moment *moment,
                       struct coordinator_effects *effects);   /* NULL: gives out no markers */
    enum err (*producer_id_take)(void *service, int64_t *out); /* NULL: takes none */
    void (*each)(const void *core, const struct coordinator_watcher *watcher);
};

/* The functions that every core has alike, named `core`_…, for a core of no type; and their part of the row. */
#define COORDINATOR_KIND_CORE(core)                                                  \
    static void core_release(void *it)                                               \
    {                                                                                \
        struct core *typed = it;                                                     \
                                                                                     \
        core##_release(&typed);                                                      \
    }                                                                                \
    static enum err core_loaded(void *it, const struct coordinator_moment *moment,   \
                                struct coordinator_effects *effects)                 \
    {                                                                                \
        return core##_loaded(it, moment, effects);                                   \
    }                                                                                \
    static void core_committed(void *it, int64_t offset)                             \
    {                                                                                \
        core##_committed(it, offset);                                                \
    }                                                                                \
    static enum err core_write_ended(void *it, uint64_t write, enum err err,         \
                                     const struct coordinator_moment *moment,        \
                                     struct coordinator_effects *effects)            \
    {                                                                                \
        return core##_write_ended(it, write, err, moment, effects);                  \
    }                                                                                \
    static enum err core_handle(void *it, const struct coordinator_request *request, \
                                const struct coordinator_moment *moment,             \
                                struct coordinator_effects *effects)                 \
    {                                                                                \
        return core##_handle(it, request, moment, effects);                          \
    }                                                                                \
    static void core_forget(void *it, uint64_t token)                                \
    {                                                                                \
        core##_forget(it, token);                                                    \
    }                                                                                \
    static int64_t core_deadline_ms(const void *it)                                  \
    {                                                                                \
        return core##_deadline_ms(it);                                               \
    }                                                                                \
    static enum err core_tick(void *it, const struct coordinator_moment *moment,     \
                              struct coordinator_effects *effects)                   \
    {                                                                                \
        return core##_tick(it, moment, effects);                                     \
    }
#define COORDINATOR_KIND_CORE_ROW                                                  \
    .release = core_release, .loaded = core_loaded, .committed = core_committed,   \
    .write_ended = core_write_ended, .handle = core_handle, .forget = core_forget, \
    .deadline_ms = core_deadline_ms, .tick = core_tick

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

/* A write that is not committed yet, or (number 0) replies that wait for those before them, or an
 * end marker. */
struct runner_write {
    struct list_node node;
    uint64_t number;
    int64_t end_offset;
    int64_t deadline_ms;
    /* Both NULL: its time was out, and all were told so. */
    struct effects_block *block;
    struct coordinator_marker *marker;
};

struct runner_append {
    struct log_append append;
    struct coordinator_runner *runner;
    struct writer bytes;
};

/* What the log wants to know of a transaction's batch or marker; as struct log_append has them. */
struct append_facts {
    uint64_t verification_guard;
    bool verification_required;
    int16_t transaction_version;
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
    void *core; /* the kind's; from LOADING on */
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
    int64_t newest_end; /* behind the newest write: also when nobody waits for it any more */
    struct timer commit_timer;
    /* struct marker_send: outcomes that the core was not told yet */
    struct list_node marked;
    struct deferred marked_turn;
};

struct coordinator_service {
    struct shard *shard;
    const struct coordinator_kind *kind;
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
    union {
        struct group_options group;
        struct transaction_options transaction;
    } options;
    bool has_options;
    /* unfetched.c */
    struct timer unfetched_timer;
    struct unfetched_pass *unfetched; /* under way; NULL: none */
    int visits; /* looks at partitions of this shard, for others: stopping waits for them */
    bool is_stopped;
    void (*stopped)(void *context);
    void *stopped_context;
    struct deferred stopped_turn;
};

static inline struct logger *runner_logger(const struct coordinator_runner *runner)
{
    return runner->shard->node->logger;
}
static inline const struct coordinator_kind *runner_kind(const struct coordinator_runner *runner)
{
    return runner->service->kind;
}
static inline const struct config *runner_config(const struct coordinator_runner *runner)
{
    return runner->shard->publication->config;
}
static inline struct coordinator_service *service_of(const struct coordinator_kind *kind,
                                                     const struct shard *shard)
{
    return kind == &coordinator_kind_group ? shard->coordinators : shard->transactions;
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
/* What is due by now, bounded. The caller has begun work when it looks at the runner afterwards. */
void runner_ticks(struct coordinator_runner *runner);
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
/* Who may write now; a batch that is open stays admitted. */
enum err runner_may_write(const struct coordinator_runner *runner);
/* What is open leaves. False: the runner was closed. */
bool runner_batch_close(struct coordinator_runner *runner);
/* The batch in runner->bytes, for batch_base. *is_appended_out: the caller's use of the partition went
 * over to the append; with an error: it lies elsewhere than it was said to. */
enum err runner_batch_append(struct coordinator_runner *runner, struct slice batch,
                             const struct append_facts *facts, bool *is_appended_out,
                             struct why *why);
void runner_flush(struct deferred *deferred);
void runner_linger_over(struct timer *timer);

/* coordinator_commit.c */
void runner_write_add(struct coordinator_runner *runner, struct runner_write *write,
                      int64_t end_offset);
void runner_committed(struct coordinator_runner *runner);
void runner_commit_timeout(struct timer *timer);
void runner_writes_drop(struct coordinator_runner *runner);

/* Something that stopping must wait for. */
void service_visit_begin(struct coordinator_service *service);
void service_visit_end(struct coordinator_service *service);

/* unfetched.c: a look at what is assigned and not fetched, soon. */
void service_unfetched_wish(struct coordinator_service *service);
void service_unfetched_turn(struct timer *timer);

/* coordinator_marker.c */
void runner_marker_end(struct runner_write *write, enum err err);

/* marker_send.c: markers that the core gave out */
void runner_markers_send(struct coordinator_runner *runner, struct effects_block *block);
void runner_marked_turn(struct deferred *deferred);

#endif
