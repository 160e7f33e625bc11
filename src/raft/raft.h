/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/raft.h: the KRaft core: one replica of the metadata log's quorum as a step function. Events go
 * in (messages, timeouts, finished I/O), effects come out (persist, append, send, answer). It knows no
 * socket, file, clock or thread; every allocation goes through the allocator given at creation.
 * docs/design/raft.md, KIP-595, 630, 853, 996.
 *
 * Order. The shell executes effects strictly in the order given. Log effects (append, truncate,
 * install) may be under way together as long as the log sees them in that order; each names the
 * log's `era`, which a truncation or installation raises, and WRITTEN/FLUSHED events give it back.
 * Every log effect but INSTALL is followed by FLUSHED with the log's end in that era, a truncation too:
 * news of an older era are dropped, and a follower fetches on only when all that it holds is flushed.
 * At most one PERSIST is under way. Whatever a step decides on the strength of a vote, epoch or
 * leader that is not durable yet (answers, messages, appends, role changes) is kept inside the core
 * and comes out of the step that handles RAFT_EVENT_PERSISTED: the shell needs no rule for it.
 *
 * Memory. What an effect points at stays valid until the next call of raft_step. What an event points
 * at is copied where it must last.
 *
 * Errors. raft_step fails with ERR_NO_MEMORY only when the core cannot go on (every later call fails
 * too: the node must stop). RAFT_EVENT_SUBMIT may be refused with other errors; then nothing changed.
 * Bytes of peers never fail a step.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/allocator.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "raft/quorum_state.h"

/* A batch of the log is at most this long, and so is what one Fetch or FetchSnapshot is given. */
#define RAFT_BATCH_BYTES_MAX (8 * MIB)

struct raft;

/* ---- values ---- */

struct raft_replica_key {
    int32_t id;
    struct uuid directory_id; /* zero: unknown */
};

struct raft_endpoint {
    struct slice listener; /* upper-case name */
    struct slice host;
    uint16_t port;
};

struct raft_endpoints {
    const struct raft_endpoint *items;
    size_t count;
};

struct raft_voter {
    struct raft_replica_key key;
    struct raft_endpoints endpoints;
    int16_t kraft_version_min, kraft_version_max;
};

/* Each id once. Going out: ascending ids; coming in: any order. */
struct raft_voters {
    const struct raft_voter *items;
    size_t count;
};

struct raft_offset_epoch {
    int64_t offset;
    int32_t epoch;
};

/* A voter set (or kraft.version) and the offset of the control record that set it. -1: from the
 * bootstrap snapshot; a snapshot's is its offset - 1. */
struct raft_voters_at {
    int64_t offset;
    struct raft_voters voters;
};
struct raft_kraft_version_at {
    int64_t offset;
    int16_t kraft_version;
};

struct raft_snapshot {
    struct raft_offset_epoch id;
    int64_t size_bytes;
};

enum raft_role {
    RAFT_UNATTACHED,  /* no leader known, or its endpoint is not */
    RAFT_PROSPECTIVE, /* asks whether an election would be won (pre-vote) */
    RAFT_CANDIDATE,
    RAFT_FOLLOWER,
    RAFT_LEADER,
    RAFT_RESIGNED, /* was leader of this epoch and will not be it again */
};
const char *raft_role_name(enum raft_role role);

/* ---- making ---- */

struct raft_options {
    struct raft_replica_key self;
    struct slice cluster_id;
    /* This node has the controller role: it may be a voter, so it counts as holding only what is
     * flushed. Brokers without it fetch as observers at their written end. */
    bool can_vote;
    struct raft_endpoints endpoints;  /* own; the first belongs to the default listener */
    struct slice default_listener;    /* first of controller.listener.names, upper-case */
    struct raft_voters static_voters; /* controller.quorum.voters; empty: none. One endpoint each */
    struct raft_endpoints bootstrap_servers;      /* listener is ignored */
    int16_t kraft_version_min, kraft_version_max; /* what this node supports: 0, 1 */
    int64_t election_timeout_ms;
    int64_t election_backoff_max_ms;
    int64_t fetch_timeout_ms;
    int64_t request_timeout_ms;
    int64_t retry_backoff_ms;
    int32_t fetch_bytes_max;
    int32_t fetch_snapshot_bytes_max;
    bool auto_join;
};
/* Kafka's defaults; identity, endpoints and voters are left empty. */
struct raft_options raft_options_default(void);

/* Copies the options. `logger` may be NULL; one line per state move. */
MUST_USE enum err raft_create(struct allocator *allocator, const struct raft_options *options,
                              struct logger *logger, struct raft **out);
void raft_release(struct raft **raft); /* NULL-safe; sets *raft to NULL */

/* ---- requests and answers between replicas, and from administrators ---- */

enum raft_api {
    RAFT_API_VOTE,
    RAFT_API_BEGIN_QUORUM_EPOCH,
    RAFT_API_END_QUORUM_EPOCH,
    RAFT_API_FETCH,
    RAFT_API_FETCH_SNAPSHOT,
    RAFT_API_DESCRIBE_QUORUM,
    RAFT_API_ADD_VOTER,
    RAFT_API_REMOVE_VOTER,
    RAFT_API_UPDATE_VOTER,
    RAFT_API_API_VERSIONS, /* sent only: asks a new voter for its range of kraft.version */
};
const char *raft_api_name(enum raft_api api);

struct raft_vote_request {
    struct raft_replica_key voter; /* the receiver; id -1 and zero id: not named (v0) */
    struct raft_replica_key candidate;
    int32_t candidate_epoch;
    struct raft_offset_epoch log_end; /* epoch of the last record and end offset */
    bool pre_vote;
};
struct raft_begin_request {
    struct raft_replica_key voter; /* as above */
    int32_t leader_id;
    int32_t leader_epoch;
    struct raft_endpoints leader_endpoints;
};
struct raft_end_request {
    int32_t leader_id;
    int32_t leader_epoch;
    const struct raft_replica_key *preferred; /* v0: keys with zero directory ids */
    size_t preferred_count;
    struct raft_endpoints leader_endpoints;
};
struct raft_fetch_request {
    struct raft_replica_key replica; /* id < 0: not a replica, served but not tracked */
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int64_t fetch_offset;
    int64_t high_watermark; /* INT64_MAX: not given; -1: unknown */
    int32_t wait_ms_max;
    int32_t bytes_max;
};
struct raft_fetch_snapshot_request {
    struct raft_replica_key replica;
    int32_t current_leader_epoch;
    struct raft_offset_epoch snapshot_id;
    int64_t position;
    int32_t bytes_max;
};
struct raft_add_voter_request {
    struct raft_replica_key voter;
    struct raft_endpoints endpoints;
    bool ack_when_committed;
};
struct raft_remove_voter_request {
    struct raft_replica_key voter;
};
struct raft_update_voter_request {
    struct raft_replica_key voter;
    int32_t current_leader_epoch;
    struct raft_endpoints endpoints;
    int16_t kraft_version_min, kraft_version_max;
};

struct raft_request {
    enum raft_api api;
    struct slice cluster_id; /* null: not given */
    /* What the shell saw in the frame: exactly one topic and partition were named, and it was the
     * metadata partition. Always set both for requests without topics. */
    bool one_partition;
    bool metadata_partition;
    union {
        struct raft_vote_request vote;
        struct raft_begin_request begin;
        struct raft_end_request end;
        struct raft_fetch_request fetch;
        struct raft_fetch_snapshot_request fetch_snapshot;
        struct raft_add_voter_request add_voter;
        struct raft_remove_voter_request remove_voter;
        struct raft_update_voter_request update_voter;
    };
};

/* One fetched batch as the shell found it when it walked the (checked) records. */
struct raft_batch {
    int64_t base_offset;
    int64_t last_offset;
    int32_t epoch;
    /* Contents of a control batch; -1 and NULL when it has none of the kind. */
    int16_t kraft_version;
    const struct raft_voters *voters;
};

struct raft_fetch_answer {
    int64_t high_watermark; /* -1: unknown */
    int64_t log_start_offset;
    struct raft_offset_epoch diverging;   /* epoch -1: none */
    struct raft_offset_epoch snapshot_id; /* epoch -1: none */
    /* Going out: the shell reads [read_offset, …) up to read_bytes_max, at least one batch; 0: none. */
    int64_t read_offset;
    int32_t read_bytes_max;
    /* Coming in. Broken batches are left out by the shell, with all behind them. */
    const struct raft_batch *batches;
    size_t batch_count;
};
struct raft_fetch_snapshot_answer {
    struct raft_offset_epoch snapshot_id;
    int64_t size_bytes;
    int64_t position;
    int32_t chunk_bytes; /* going out: how many to read from position; coming in: how many came */
};

struct raft_replica_state {
    struct raft_replica_key key;
    int64_t log_end_offset;    /* -1: unknown */
    int64_t last_fetch_ms;     /* monotone time; -1: never */
    int64_t last_caught_up_ms; /* monotone time; -1: never */
};
struct raft_describe_answer {
    int64_t high_watermark;
    const struct raft_replica_state *voters;
    size_t voter_count;
    const struct raft_replica_state *observers;
    size_t observer_count;
    struct raft_voters voter_set; /* for the nodes' endpoints */
};
struct raft_versions_answer {
    bool has_kraft_version;
    int16_t kraft_version_min, kraft_version_max;
};

struct raft_reply {
    enum raft_api api;
    enum err error_top; /* of the whole response */
    enum err error;     /* of the partition (or the one error of APIs without partitions) */
    int32_t leader_id;  /* -1: unknown */
    int32_t leader_epoch;
    /* The leader's, for the listener the request came in on (going out: at most one). */
    struct raft_endpoints leader_endpoints;
    const char *error_text; /* NULL: none; for AddVoter, RemoveVoter and UpdateVoter */
    union {
        bool vote_granted;
        struct raft_fetch_answer fetch;
        struct raft_fetch_snapshot_answer fetch_snapshot;
        struct raft_describe_answer describe;
        struct raft_versions_answer versions;
    };
};

/* ---- events ---- */

enum raft_event_kind {
    RAFT_EVENT_START,     /* first, exactly once */
    RAFT_EVENT_TIMEOUT,   /* raft_deadline_ms has come; harmless at any time */
    RAFT_EVENT_PERSISTED, /* the quorum-state of RAFT_EFFECT_PERSIST is durable */
    RAFT_EVENT_WRITTEN,   /* the log can be read up to an offset */
    RAFT_EVENT_FLUSHED,   /* …and survives a power cut (implies WRITTEN) */
    RAFT_EVENT_REQUEST,
    RAFT_EVENT_REPLY,          /* to a RAFT_EFFECT_SEND */
    RAFT_EVENT_SEND_FAILED,    /* no connection, or it broke: no reply will come */
    RAFT_EVENT_REQUEST_GONE,   /* the requester hung up: forget its parked request */
    RAFT_EVENT_SUBMIT,         /* append one prepared batch */
    RAFT_EVENT_RESIGN,         /* give up leadership of an epoch */
    RAFT_EVENT_KRAFT_UPGRADE,  /* kraft.version 0 → 1, asked by UpdateFeatures at the leader */
    RAFT_EVENT_SNAPSHOT_MADE,  /* this node has written a snapshot of its own */
    RAFT_EVENT_LOG_CLEANED,    /* log start moved up, older snapshots were removed */
    RAFT_EVENT_CHUNK_STORED,   /* the bytes of RAFT_EFFECT_SNAPSHOT_CHUNK are in the part file */
    RAFT_EVENT_INSTALLED,      /* a downloaded snapshot replaced the log */
    RAFT_EVENT_INSTALL_FAILED, /* it was broken; the part file is gone */
    RAFT_EVENT_SHUTDOWN,       /* stop orderly: RAFT_EFFECT_STOPPED follows */
};

struct raft_start {
    const struct raft_quorum_state *quorum_state; /* NULL: there is no file */
    int64_t log_start_offset;
    int64_t log_end_offset;                 /* all of it flushed */
    const struct raft_offset_epoch *epochs; /* start offset of each epoch of the log, ascending */
    size_t epoch_count;
    const struct raft_snapshot *snapshots; /* ascending, the bootstrap snapshot (0, 0) included */
    size_t snapshot_count;
    /* From the latest snapshot and the log behind it, ascending offsets. */
    const struct raft_voters_at *voters;
    size_t voters_count;
    const struct raft_kraft_version_at *kraft_versions;
    size_t kraft_version_count;
};

struct raft_event {
    enum raft_event_kind kind;
    int64_t now_ms;  /* monotone, never back */
    uint64_t random; /* one draw */
    union {
        struct raft_start start;
        struct {
            uint64_t generation;
        } persisted;
        struct {
            uint64_t era;
            int64_t end_offset;
        } log_end; /* WRITTEN, FLUSHED */
        struct {
            uint64_t token; /* names the request in RAFT_EFFECT_REPLY; never 0, never twice */
            struct slice listener; /* it came in on; upper-case */
            const struct raft_request *request;
        } request;
        struct {
            uint64_t token;
        } request_gone;
        struct {
            uint64_t number;
            const struct raft_reply *reply;
        } reply;
        struct {
            uint64_t number;
            bool unsupported_version; /* the peer speaks no common version of the API */
        } send_failed;
        struct {
            int32_t epoch; /* the caller believes to lead; ERR_NOT_CONTROLLER when it is not so */
            int32_t record_count;
            size_t size_bytes; /* ERR_TOO_LARGE above RAFT_BATCH_BYTES_MAX */
            uint64_t token;    /* comes back in RAFT_EFFECT_APPEND */
        } submit;
        struct {
            int32_t epoch;
        } resign;
        struct {
            uint64_t token; /* answered by RAFT_EFFECT_KRAFT_UPGRADED */
            int32_t epoch;
            int16_t kraft_version;
            bool validate_only;
        } kraft_upgrade;
        struct raft_snapshot snapshot_made;
        struct {
            int64_t log_start_offset;
        } log_cleaned;
        struct {
            struct raft_offset_epoch id;
            int64_t end_position;
        } chunk_stored;
        struct {
            uint64_t era;
            struct raft_snapshot snapshot;
            int16_t kraft_version;
            const struct raft_voters *voters; /* NULL: the snapshot has none */
        } installed;
    };
};

/* ---- effects ---- */

enum raft_effect_kind {
    RAFT_EFFECT_PERSIST,        /* write quorum-state durably, then RAFT_EVENT_PERSISTED */
    RAFT_EFFECT_APPEND,         /* append the batch that was submitted with `token` */
    RAFT_EFFECT_APPEND_CONTROL, /* append one control batch */
    RAFT_EFFECT_APPEND_FETCHED, /* append the first batches of the fetch reply just handed in */
    RAFT_EFFECT_TRUNCATE,
    RAFT_EFFECT_SEND,
    RAFT_EFFECT_REPLY,
    RAFT_EFFECT_HIGH_WATERMARK, /* committed up to here (exclusive); never goes back */
    RAFT_EFFECT_ROLE,           /* role, epoch or leader has changed */
    RAFT_EFFECT_VOTERS,         /* voter set or kraft.version in force has changed */
    RAFT_EFFECT_SNAPSHOT_CHUNK, /* store the chunk of the reply just handed in (position 0: new file) */
    RAFT_EFFECT_SNAPSHOT_INSTALL, /* complete: check and freeze it, cut the whole log to start there */
    RAFT_EFFECT_SNAPSHOT_DROP,    /* remove the part file */
    RAFT_EFFECT_KRAFT_UPGRADED, /* outcome of RAFT_EVENT_KRAFT_UPGRADE */
    RAFT_EFFECT_STOPPED,        /* shutdown is complete: release the core */
};

/* One control batch: whatever is set, in this order, one record each. */
struct raft_control {
    bool leader_change;
    int32_t leader_id;
    const int32_t *voter_ids;
    size_t voter_id_count;
    const int32_t *granting_ids;
    size_t granting_id_count;
    int16_t kraft_version;            /* -1: no such record */
    const struct raft_voters *voters; /* NULL: no such record */
    int32_t record_count;
};

struct raft_effect {
    enum raft_effect_kind kind;
    union {
        struct {
            uint64_t generation;
            struct raft_quorum_state state;
        } persist;
        struct {
            uint64_t era;
            int64_t base_offset;
            int32_t epoch;
            uint64_t token;
        } append;
        struct {
            uint64_t era;
            int64_t base_offset;
            int32_t epoch;
            struct raft_control control;
        } append_control;
        struct {
            uint64_t era;
            uint64_t number; /* of the fetch */
            size_t batch_count;
            int64_t base_offset;
            int64_t end_offset;
        } append_fetched;
        struct {
            uint64_t era;
            int64_t end_offset;
        } truncate;
        struct {
            uint64_t number;
            int32_t peer_id; /* < -1: a bootstrap server */
            struct raft_endpoint endpoint;
            int64_t timeout_ms; /* the core gives up after it */
            struct raft_request request;
        } send;
        struct {
            uint64_t token;
            struct raft_reply reply;
        } reply;
        struct {
            int64_t offset;
        } high_watermark;
        struct {
            enum raft_role role;
            int32_t epoch;
            int32_t leader_id;
            int64_t
                epoch_start_offset; /* leader: of its first record; act once all before is applied */
        } role;
        struct {
            int64_t offset;
            int16_t kraft_version;
            struct raft_voters voters;
        } voters;
        struct {
            uint64_t number; /* of the FetchSnapshot */
            struct raft_offset_epoch id;
            int64_t position;
            int32_t size_bytes;
        } chunk;
        struct {
            uint64_t era;
            struct raft_offset_epoch id;
        } install; /* SNAPSHOT_INSTALL, SNAPSHOT_DROP (era 0) */
        struct {
            uint64_t token;
            enum err error;
            const char *error_text; /* NULL: none */
        } kraft_upgraded;
    };
};

struct raft_effects {
    const struct raft_effect *items;
    size_t count;
    int64_t submit_base_offset; /* RAFT_EVENT_SUBMIT: offset of the batch's first record */
};

/* Advances by one event. The effects are complete even when an error is returned. */
MUST_USE enum err raft_step(struct raft *raft, const struct raft_event *event,
                            struct raft_effects *out);
/* When the shell owes RAFT_EVENT_TIMEOUT; INT64_MAX: never. */
int64_t raft_deadline_ms(const struct raft *raft);

/* ---- looking in ---- */

struct raft_status {
    enum raft_role role;
    int32_t epoch;
    int32_t leader_id; /* -1: unknown */
    bool is_voter;
    int64_t high_watermark; /* -1: unknown */
    int64_t log_start_offset;
    int64_t log_end_offset; /* asked for, perhaps not written yet */
    int64_t flushed_end_offset;
    int64_t epoch_start_offset; /* leader: of its first record; else -1 */
    int16_t kraft_version;
    struct raft_voters voters;            /* valid until the next step */
    struct raft_snapshot latest_snapshot; /* id.epoch -1: none */
};
void raft_status(const struct raft *raft, struct raft_status *out);
/* The leader's endpoint on that listener; false when unknown. Valid until the next step. */
bool raft_leader_endpoint(const struct raft *raft, struct slice listener,
                          struct raft_endpoint *out);

/* ---- voter sets ---- */

const struct raft_voter *raft_voters_find(struct raft_voters voters, int32_t id);
/* The endpoint of that listener, NULL when there is none. */
const struct raft_endpoint *raft_endpoints_find(struct raft_endpoints endpoints,
                                                struct slice listener);

#endif
