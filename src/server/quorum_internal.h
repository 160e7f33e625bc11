/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_internal.h: the parts of the quorum's seat and what its files say to each other:
 * quorum_*.c, controller_*.c and broker_*.c only. docs/design/quorum.md.
 *
 * Turns       Everything that comes in (a finished flush, a call, a timer) is noted and quorum_work
 *             runs once at the end of the turn: apply, publish, answer, compute, submit. So nothing
 *             here re-enters, and what comes in together goes to the log together.
 * Threads     shard 0's; a job works on what its struct holds and on nothing else.
 */
#ifndef SERVER_QUORUM_INTERNAL_H
#define SERVER_QUORUM_INTERNAL_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/fmt.h"
#include "base/list.h"
#include "base/random.h"
#include "base/writer.h"
#include "controller/controller.h"
#include "metadata/metadata.h"
#include "os/os.h"
#include "reactor/reactor.h"
#include "records/snapshot_stream.h"
#include "server/controller_gate.h"
#include "server/node.h"
#include "server/quorum.h"
#include "storage/storage.h"

#include <stdatomic.h>

#define METADATA_TOPIC "__cluster_metadata"
#define METADATA_LOG_NAME METADATA_TOPIC "-0"
#define QUORUM_PATH_BYTES 4096

struct voters_record;

/* ---- one batch of the log: from its making, or its reading at start, until written and applied ---- */

struct quorum_batch {
    struct list_node node; /* quorum->prepared, then quorum->tail by rising offsets */
    struct quorum *quorum;
    uint8_t *data;
    size_t size_bytes, capacity_bytes;
    int64_t base_offset, end_offset;
    int32_t record_count;
    uint64_t token; /* of RAFT_EVENT_SUBMIT; 0: a control batch */
    bool is_lent;   /* to the log */
    struct log_append append;
};
void quorum_batch_free(struct quorum_batch *batch);

/* ---- snapshots on disk ---- */

struct quorum_snapshot {
    struct snapshot_id id;
    int64_t size_bytes;
    int64_t contained_ms; /* of the last record in it; -1: not known */
};

/* ---- reading everything at start (quorum_load.c; a job) ---- */

struct quorum_loaded {
    struct os_op job;
    struct quorum *quorum;
    /* in */
    struct os *os;
    const char *path;
    bool was_clean; /* nothing of the log may be broken */
    bool wants_host_name;
    /* out; arrays and messages live in the arena */
    struct arena arena;
    struct why why;
    struct raft_quorum_state quorum_state;
    bool has_quorum_state;
    struct quorum_snapshot *snapshots; /* ascending */
    size_t snapshot_count;
    struct metadata_state *state; /* as of the latest snapshot */
    struct metadata_provenance provenance;
    bool has_data;
    const struct voters_record *voters; /* as of the latest snapshot; NULL: none */
    int16_t kraft_version;
    struct metadata_record_list bootstrap; /* of snapshot 0-0 or bootstrap.checkpoint */
    struct raft_offset_epoch *epochs;
    size_t epoch_count, epoch_capacity;
    struct raft_voters_at *voters_at;
    size_t voters_at_count, voters_at_capacity;
    struct raft_kraft_version_at *kraft_versions_at;
    size_t kraft_versions_at_count, kraft_versions_at_capacity;
    struct list_node tail; /* struct quorum_batch behind the latest snapshot */
    size_t tail_bytes;
    int64_t log_bytes_behind; /* of the log behind the latest snapshot */
    int64_t first_offset;     /* of the log's first batch; -1: it has none */
    int64_t end_offset;       /* of its whole batches; -1: it has none */
    char host_name[256];
};
void quorum_load_run(struct os_op *job);
/* quorum_load_snapshot.c */
MUST_USE enum err quorum_load_snapshots(struct quorum_loaded *loaded);
/* quorum_load_log.c */
MUST_USE enum err quorum_load_log(struct quorum_loaded *loaded);
int64_t quorum_loaded_snapshot_end(const struct quorum_loaded *loaded); /* 0: none */

/* ---- what is committed becomes the state (quorum_loader.c) ---- */

struct quorum_loader {
    struct metadata_state *state;
    int64_t next_offset;    /* everything below is applied */
    int64_t settled_offset; /* …and published */
    struct metadata_provenance provenance;
    bool has_data;  /* some data record was seen */
    bool has_news;  /* records that an image shows were applied since the last publication */
    bool published; /* at least once */
    int64_t published_offset; /* last offset that the published image holds */
    /* As of next_offset. */
    int16_t kraft_version;
    struct voters_record *voters; /* NULL: none in the log */
    struct arena voters_arena;
    /* Reading from the log what is not in memory any more. */
    struct log_read read;
    uint8_t *buffer;
    size_t buffer_bytes;
    bool is_reading, has_planned;
    struct arena scratch;
    struct writer inflated;
    struct compress_context *compress;
};
void quorum_loader_init(struct quorum *quorum);
void quorum_loader_release(struct quorum *quorum);
/* Applies what is committed; true when there is more than one turn should do. */
bool quorum_loader_run(struct quorum *quorum);

/* ---- writing and cleaning snapshots (quorum_snapshot.c, quorum_clean.c) ---- */

struct quorum_snapshots {
    struct quorum_snapshot *items; /* ascending */
    size_t count, capacity;
    int64_t bytes_since; /* of batches applied since the last one */
    int64_t last_ms;     /* when the last one was made, or the start */
    int64_t retry_ms;    /* after a failure: not before */
    struct snapshot_write *writing;
    struct timer clean_timer;
    struct timer doomed_timer;
    struct snapshot_doomed *doomed; /* renamed, to be unlinked */
};
void quorum_snapshots_init(struct quorum *quorum);
void quorum_snapshots_add(struct quorum *quorum, const struct quorum_snapshot *snapshot);
void quorum_snapshots_start(struct quorum *quorum); /* timers */
void quorum_snapshots_stop(struct quorum *quorum);  /* cancels what is under way */
void quorum_snapshots_release(struct quorum *quorum);
/* After a publication of `image` (not counted): is it time? */
void quorum_snapshot_consider(struct quorum *quorum, struct metadata_image *image);
void quorum_clean_init(struct quorum *quorum);
void quorum_clean_stop(struct quorum *quorum);

/* ---- the active controller (controller_run.c) ---- */

/* controller_watch.c: how long events take */
struct controller_watch {
    struct quorum *quorum;
    int64_t threshold_ms, period_ms;
    struct timer period; /* while something was counted */
    int64_t count, total_ns, slowest_ns;
    const char *slowest;
};
void controller_watch_init(struct quorum *quorum, const struct config *config);
void controller_watch_event(struct quorum *quorum, const char *event, int64_t began_ns);
void controller_watch_stop(struct quorum *quorum);

struct controller_run {
    struct controller *controller; /* NULL: this node has not the role */
    bool is_active;
    int32_t epoch;               /* of the claim */
    const struct config *config; /* that it was told of */
    struct list_node waiting;    /* struct controller_call: not handled yet */
    struct list_node parked;     /* handled; rising commit_offset */
    struct timer tick_timer;
    struct timer wait_timer; /* the first deadline of the waiting */
    struct controller_watch watch;
    struct arena scratch;
};
void controller_run_init(struct quorum *quorum);
MUST_USE enum err controller_run_create(struct quorum *quorum,
                                        const struct metadata_record_list *bootstrap);
void controller_run_work(struct quorum *quorum);
void controller_run_voters_changed(struct quorum *quorum, const struct raft_effect *effect);
void controller_run_upgraded(struct quorum *quorum, uint64_t token, enum err err, const char *text);
/* Everything that waits is answered NOT_CONTROLLER; later calls too. */
void controller_run_stop(struct quorum *quorum);
void controller_run_release(struct quorum *quorum);
void controller_run_accept(struct quorum *quorum, struct controller_call *call);
/* controller_gate.c: sends the answer home. */
void controller_call_finish(struct controller_call *call);

/* controller_submit.c: records → batches → raft → the controller's own state. */
MUST_USE enum err controller_submit(struct quorum *quorum, const struct controller_result *result,
                                    struct why *why);

/* controller_registration.c: RegisterController of this node. */
struct controller_announce {
    struct controller_call call;
    struct arena arena;
    struct timer timer;
    int64_t backoff_ms;
    bool in_flight;
    bool is_stopped;
};
void controller_announce_init(struct quorum *quorum);
void controller_announce_work(struct quorum *quorum);
void controller_announce_stop(struct quorum *quorum);
void controller_announce_release(struct quorum *quorum);

/* ---- the broker's life (broker_life.c, broker_heartbeat.c) ---- */

struct broker_life {
    enum broker_state state;
    bool is_started;
    bool may_unfence;
    bool is_registered;
    bool is_caught_up;
    bool is_stopped; /* no more words to the controller */
    bool in_flight;
    bool is_heartbeat; /* what is in flight */
    bool again;        /* asked to speak while in flight */
    int64_t epoch;
    int64_t previous_epoch;
    int64_t registration_deadline_ms;
    struct controller_call call;
    struct arena arena;
    struct timer timer;         /* the next word */
    struct timer stop_timer;    /* controlled shutdown takes too long */
    struct timer failure_timer; /* a failed directory that no heartbeat could tell of */
    struct uuid *offline;
    size_t offline_count, offline_capacity;
    size_t offline_told;
    size_t offline_sent;    /* in the heartbeat under way */
    uint64_t cordoned_hash; /* of the directories that were last told as cordoned */
    void (*running)(void *context);
    void *running_context;
    void (*stopped)(void *context);
    void *stopped_context;
};
void broker_life_init(struct quorum *quorum);
void broker_life_release(struct quorum *quorum);
void broker_life_halt(struct quorum *quorum);      /* the quorum stops: no more words */
void broker_life_published(struct quorum *quorum); /* a new image */
void broker_life_speak(struct quorum *quorum);
void broker_life_move(struct quorum *quorum, enum broker_state state, const char *reason);
void broker_life_stop_finish(struct quorum *quorum);
void broker_life_schedule(struct quorum *quorum, bool failed); /* the next word */
/* broker_registration.c: fills the call. */
void broker_registration_make(struct quorum *quorum);
void broker_registration_take(struct quorum *quorum);
/* broker_heartbeat.c */
void broker_heartbeat_make(struct quorum *quorum);
void broker_heartbeat_take(struct quorum *quorum);
bool broker_cordon_changed(struct quorum *quorum);

/* ---- requests of replicas (quorum_requests.c) ---- */

void quorum_requests_init(struct quorum *quorum);
void quorum_reply(struct quorum *quorum, uint64_t token, const struct raft_reply *reply);
void quorum_requests_stop(struct quorum *quorum);

/* ---- the seat ---- */

enum quorum_phase {
    QUORUM_CREATED,
    QUORUM_LOADING,
    QUORUM_RUNNING,
    QUORUM_STOPPING,
    QUORUM_STOPPED
};

struct quorum_pending_event;

struct quorum {
    struct node *node;
    struct shard *shard;
    struct reactor *reactor;
    struct logger *logger;
    struct quorum_listener *listener;
    enum quorum_phase phase;
    struct log_directory *directory;
    char path[QUORUM_PATH_BYTES]; /* of the metadata log */
    char host_name[256];          /* for wildcard addresses */
    struct arena arena;           /* lives as long as the quorum */
    struct deferred work;
    struct mail again; /* work goes on in a later turn */
    bool is_again_sent;
    int under_way; /* jobs, reads, opens: stop waits for them */
    /* start and stop */
    struct quorum_loaded *loaded;
    struct log_open open;
    struct log_change_op change;
    struct log_wait flush;
    bool is_flush_asked, is_flushed;
    void (*started)(void *context, enum err err, const struct why *why);
    void *started_context;
    void (*stopped)(void *context);
    void *stopped_context;
    bool is_shutdown_sent, is_raft_stopped;
    /* failure: told from quorum_work, once */
    enum err failure;
    struct why failure_why;
    bool is_failure_told;
    /* raft */
    struct raft *raft;
    bool is_stepping;
    struct list_node events; /* struct quorum_pending_event: came in during a step */
    struct timer raft_timer;
    uint64_t next_token;
    struct quorum_persist *persist;
    enum raft_role role;
    int32_t epoch;
    int32_t leader_id;
    int64_t epoch_start_offset;
    int64_t high_watermark;  /* -1: not known */
    int64_t remote_fetch_ms; /* when another node last fetched; -1: never */
    /* log */
    struct log *log;
    struct log_listener log_listener;
    uint64_t era;
    int64_t flushed_told, written_told;
    struct list_node prepared; /* submitted, not appended */
    struct list_node tail;     /* of the log, in memory */
    struct quorum_loader loader;
    struct quorum_snapshots snapshots;
    struct list_node requests; /* struct quorum_request */
    struct controller_run run;
    struct controller_announce announce;
    struct broker_life broker;
};

/* quorum.c */
void quorum_wake(struct quorum *quorum); /* quorum_work at the end of this turn */
void quorum_begin(struct quorum *quorum);
void quorum_end(struct quorum *quorum); /* one thing less is under way */
void quorum_fail(struct quorum *quorum, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
static inline bool quorum_is_failed(const struct quorum *quorum)
{
    return quorum->failure != OK;
}
static inline bool quorum_is_running(const struct quorum *quorum)
{
    return quorum->phase == QUORUM_RUNNING && quorum->failure == OK;
}

/* quorum_start.c */
void quorum_start_fail(struct quorum *quorum, enum err err, const struct why *why);

/* quorum_step.c: one event into the core and its effects out of it. Events that come in meanwhile
 * are copied and follow (what they point at must last: requests do). */
void quorum_feed(struct quorum *quorum, struct raft_event event);
/* RAFT_EVENT_SUBMIT; takes the batch over when OK. */
MUST_USE enum err quorum_feed_submit(struct quorum *quorum, struct quorum_batch *batch,
                                     int64_t *base_offset_out);
void quorum_step_release(struct quorum *quorum);
uint64_t quorum_token(struct quorum *quorum);

/* quorum_effects.c */
void quorum_execute(struct quorum *quorum, const struct raft_effect *effect);

/* quorum_log.c */
void quorum_log_config(const struct quorum *quorum, struct log_config *out);
void quorum_log_listen(struct quorum *quorum);
void quorum_log_append(struct quorum *quorum, struct quorum_batch *batch, uint64_t era,
                       int64_t base_offset, int32_t epoch);
void quorum_tail_trim(struct quorum *quorum); /* frees what is written and applied */

/* quorum_control.c: control batches and voter sets in the forms of raft and of the log. */
MUST_USE enum err quorum_control_batch(struct quorum *quorum, const struct raft_control *control,
                                       struct quorum_batch **out);
/* ERR_CORRUPT: a negative id, or one that is there twice. No request leads there: raft refuses it before it proposes. */
MUST_USE enum err quorum_voters_from_record(const struct voters_record *record, struct arena *arena,
                                            struct raft_voters *out);
MUST_USE enum err quorum_voters_to_record(struct raft_voters voters, struct arena *arena,
                                          struct voters_record *out);

/* quorum_options.c: what the configuration says. */
MUST_USE enum err quorum_raft_options(struct quorum *quorum, struct arena *arena,
                                      struct raft_options *out);
bool quorum_wants_host_name(const struct quorum *quorum);
/* Where others reach a listener of this node. */
void quorum_advertised(const struct quorum *quorum, const struct listener_config *listener,
                       struct slice *host_out, uint16_t *port_out);
/* The configuration in force: the publication's, else the file's. */
const struct config *quorum_config(const struct quorum *quorum);

/* quorum_peers.c: the way to other replicas. */
void quorum_peers_send(struct quorum *quorum, const struct raft_effect *effect);
void quorum_peers_effect(struct quorum *quorum, const struct raft_effect *effect);
void quorum_peers_stop(struct quorum *quorum);

#endif
