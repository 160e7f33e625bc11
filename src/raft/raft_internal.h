/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/raft_internal.h: the state of the core and the functions its files share. Reading order:
 * role.c (states and moves), raft.c (the step), timeout.c (what time does), then one file per rule.
 *
 * Lack of memory is sticky: whoever meets it calls raft_fail and goes on with harmless values; the
 * step then returns ERR_NO_MEMORY and the core refuses every later event.
 */
#ifndef RAFT_RAFT_INTERNAL_H
#define RAFT_RAFT_INTERNAL_H

#include "raft/raft.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/random.h"

/* A follower answers at least this often: MaxWaitMs of its Fetch. */
#define RAFT_FETCH_WAIT_MS 500
/* DescribeQuorum forgets an observer after this long without a fetch. */
#define RAFT_OBSERVER_SESSION_MS 300000
/* Observers beyond are served, but not tracked. */
#define RAFT_OBSERVERS_MAX 1000
/* AddVoter wants a fetch within this time. */
#define RAFT_CAUGHT_UP_MS 3600000
/* An orderly stop waits this long for another leader. */
#define RAFT_STOP_MS 5000

/* Endpoints or a voter set in one allocation of the core's own. */
struct raft_block {
    size_t size_bytes;
    union {
        struct raft_endpoints endpoints;
        struct raft_voters voters;
    };
};

/* ---- the log as the core knows it (log.c, voters.c, snapshot.c) ---- */

struct raft_voters_entry {
    int64_t offset;
    struct raft_block *block;
};

struct raft_log {
    int64_t start_offset;
    int64_t end_offset;               /* of everything asked for */
    int64_t written_offset;           /* readable below */
    int64_t flushed_offset;           /* durable below; ≤ written ≤ end */
    uint64_t era;                     /* raised by truncation and installation */
    struct raft_offset_epoch *epochs; /* start of each epoch, both ascending */
    size_t epoch_count, epoch_capacity;
    struct raft_snapshot *snapshots; /* ascending */
    size_t snapshot_count, snapshot_capacity;
    struct raft_voters_entry *voters; /* ascending offsets */
    size_t voters_count, voters_capacity;
    struct raft_kraft_version_at *kraft_versions; /* ascending offsets */
    size_t kraft_version_count, kraft_version_capacity;
};

/* ---- requests under way (peers.c) ---- */

enum raft_peer_state { RAFT_PEER_WAITING, RAFT_PEER_BACKING_OFF };
struct raft_peer { /* a peer that is not listed is ready */
    int32_t id;
    enum raft_peer_state state;
    enum raft_api api;
    uint64_t number;
    int64_t until_ms;
};

/* ---- per role ---- */

enum raft_ballot_state { RAFT_BALLOT_OPEN, RAFT_BALLOT_GRANTED, RAFT_BALLOT_REFUSED };
struct raft_ballot {
    struct raft_replica_key voter;
    enum raft_ballot_state state;
};
struct raft_election { /* Prospective, Candidate (election.c) */
    struct raft_ballot *items;
    size_t count, capacity;
};

struct raft_download { /* Follower (snapshot.c) */
    bool active;
    bool storing;    /* a chunk is on its way to the part file */
    bool installing; /* complete; the shell checks it and cuts the log */
    struct raft_offset_epoch id;
    int64_t position;
    int64_t chunk_end; /* storing: position after it */
    int64_t size_bytes;
};

struct raft_replica { /* Leader (progress.c) */
    struct raft_replica_key key;
    bool is_voter;
    bool listed;                 /* while the entries are matched with a new voter set */
    bool counted;                /* has shown itself since the check-quorum timer was set */
    int64_t end_offset;          /* -1: unknown */
    int64_t fetched_ms;          /* -1: never */
    int64_t leader_end_at_fetch; /* our end when it fetched last; -1: never */
    int64_t caught_up_ms;        /* -1: never */
};

struct raft_parked { /* Leader: a Fetch that waits (fetch.c) */
    uint64_t token;
    struct raft_fetch_request request;
    struct raft_block *listener; /* one endpoint that carries the name */
    int64_t deadline_ms;
};

enum raft_change_kind {
    RAFT_CHANGE_NONE,
    RAFT_CHANGE_ADD_ASKING, /* waiting for the new voter's ApiVersions */
    RAFT_CHANGE_ADD,        /* waiting for the commit */
    RAFT_CHANGE_REMOVE,     /* same */
};
struct raft_change { /* Leader: the one change of the voter set (change.c) */
    enum raft_change_kind kind;
    uint64_t token; /* 0: answered already */
    bool ack_when_committed;
    struct raft_block *voter; /* ADD: a voter set of one */
    int64_t offset;           /* of the Voters record */
    int64_t deadline_ms;
};

struct raft_leadership {
    int64_t epoch_start_offset;
    int64_t high_watermark; /* -1: nothing of this epoch is committed yet */
    int64_t begin_deadline_ms;
    int64_t check_quorum_deadline_ms;
    bool resign_asked;
    bool wake_fetches;
    struct raft_replica *replicas;
    size_t replica_count, replica_capacity;
    struct raft_parked *parked;
    size_t parked_count, parked_capacity;
    struct raft_change change;
    struct raft_block *known_voters; /* kraft.version 0: what the voters told of themselves */
};

struct raft_resignation {
    struct raft_replica_key *preferred;
    size_t preferred_count, preferred_capacity;
    int32_t *acknowledged;
    size_t acknowledged_count, acknowledged_capacity;
};

/* ---- effects (effects.c) ---- */

struct raft_queued {
    uint64_t generation; /* comes out once this quorum-state is durable */
    struct raft_effect effect;
};
struct raft_queue {
    struct raft_queued *items;
    size_t count, capacity;
    struct raft_effect *out;
    size_t out_capacity;
    struct arena arena; /* what the queued effects point at */
    uint64_t wanted;    /* generation of the state in memory */
    uint64_t writing;   /* generation being persisted; 0: none */
    uint64_t durable;
    struct raft_effect lost; /* written to when there is no memory */
};

struct raft {
    uint32_t magic;
    struct allocator *allocator;
    struct logger *logger;
    struct arena options_arena;
    struct raft_options options;
    bool started, failed;

    int64_t now_ms;
    struct random random; /* seeded anew in each step */
    int64_t deadline_ms;
    bool moved; /* a state move asks for another round of the timers */

    enum raft_role role;
    int32_t epoch;
    int32_t leader_id;                   /* -1: unknown */
    struct raft_block *leader_endpoints; /* NULL: unknown */
    struct raft_replica_key voted;       /* id -1: not in this epoch */
    int64_t high_watermark;              /* highest ever told to the shell; -1: none */
    int64_t leader_high_watermark;       /* follower: what the leader said last; -1: nothing */

    int64_t election_deadline_ms; /* Unattached, Prospective, Candidate, Resigned */
    int64_t fetch_deadline_ms;    /* Follower */
    int64_t update_deadline_ms;   /* Follower: when to tell or join */
    bool fetched;                 /* Follower: this leader has answered a fetch */
    bool told_leader;             /* Follower, kraft.version 0: the leader knows our entry */
    struct raft_election election;
    struct raft_download download;
    struct raft_leadership leadership;
    struct raft_resignation resignation;

    struct raft_log log;
    struct raft_peer *peers;
    size_t peer_count, peer_capacity;
    uint64_t next_number;
    bool stopping, stopped;
    int64_t stop_deadline_ms;
    struct raft_queue queue;
};

/* ---- raft.c ---- */
void raft_fail(struct raft *raft);
/* Room for one more element of an array of the core; false: out of memory, raft_fail was called. */
bool raft_reserve(struct raft *raft, void *items, size_t *capacity, size_t count,
                  size_t item_bytes);
#define RAFT_RESERVE(raft, items, capacity, count) \
    raft_reserve((raft), &(items), &(capacity), (count), sizeof(*(items)))
void raft_free_array(struct raft *raft, void *items, size_t capacity, size_t item_bytes);
#define RAFT_FREE_ARRAY(raft, items, capacity) \
    (raft_free_array((raft), (items), (capacity), sizeof(*(items))), (items) = NULL, (capacity) = 0)
static inline int64_t raft_after(const struct raft *raft, int64_t delay_ms)
{
    return delay_ms > INT64_MAX - raft->now_ms ? INT64_MAX : raft->now_ms + delay_ms;
}
static inline void raft_wake_at(struct raft *raft, int64_t at_ms)
{
    raft->deadline_ms = MIN(raft->deadline_ms, at_ms);
}
static inline bool raft_due(const struct raft *raft, int64_t at_ms)
{
    return at_ms != INT64_MAX && raft->now_ms >= at_ms;
}
static inline int raft_offset_epoch_compare(struct raft_offset_epoch a, struct raft_offset_epoch b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return (a.offset > b.offset) - (a.offset < b.offset);
}

/* ---- effects.c ---- */
/* A zeroed effect at the queue's end; fill it before the next call. Never NULL. */
struct raft_effect *raft_emit(struct raft *raft, enum raft_effect_kind kind);
/* The state in memory must become durable before anything emitted from now on comes out. */
void raft_persist(struct raft *raft);
void raft_persisted(struct raft *raft, uint64_t generation);
/* True while something decided waits for a quorum-state. */
bool raft_is_holding(const struct raft *raft);
void raft_queue_begin(struct raft *raft);
void raft_queue_finish(struct raft *raft, struct raft_effects *out);
void raft_queue_release(struct raft *raft);
/* Copies into the memory of the queued effects. */
void *raft_scratch(struct raft *raft, size_t size_bytes);
struct raft_endpoints raft_scratch_endpoints(struct raft *raft, struct raft_endpoints from);
struct raft_voters raft_scratch_voters(struct raft *raft, struct raft_voters from);
int32_t *raft_scratch_ids(struct raft *raft, struct raft_voters from);
/* A reply that names this node's view of leader and epoch; fill the rest. */
struct raft_reply *raft_emit_reply(struct raft *raft, uint64_t token, enum raft_api api,
                                   enum err error, struct slice listener);
struct raft_reply *raft_emit_reply_top(struct raft *raft, uint64_t token, enum raft_api api,
                                       enum err error_top);
void raft_emit_high_watermark(struct raft *raft, int64_t offset);
void raft_emit_voters(struct raft *raft);

/* ---- role.c ---- */
void raft_become_unattached(struct raft *raft, int32_t epoch, int32_t leader_id);
void raft_become_prospective(struct raft *raft);
void raft_become_candidate(struct raft *raft);
void raft_become_leader(struct raft *raft);
void raft_become_follower(struct raft *raft, int32_t epoch, int32_t leader_id,
                          struct raft_endpoints endpoints);
void raft_become_resigned(struct raft *raft, bool with_successors);
/* Unattached or Prospective, not voted yet: the vote is durable before the answer. */
void raft_add_vote(struct raft *raft, struct raft_replica_key candidate);
void raft_role_release(struct raft *raft);
int64_t raft_random_election_ms(struct raft *raft);

/* ---- start.c ---- */
void raft_start(struct raft *raft, const struct raft_start *start);

/* ---- timeout.c ---- */
void raft_poll(struct raft *raft);

/* ---- peers.c ---- */
void raft_peers_reset(struct raft *raft);
/* Sends unless the peer is busy or backing off; then asks for a wake-up. */
bool raft_send(struct raft *raft, int32_t peer_id, const struct raft_endpoint *endpoint,
               const struct raft_request *request);
/* To the leader's endpoint on the default listener; false also when there is none. */
bool raft_send_leader(struct raft *raft, const struct raft_request *request);
/* The voter's endpoint on the default listener, else its first; NULL: none. */
const struct raft_endpoint *raft_voter_endpoint(const struct raft *raft,
                                                const struct raft_voter *voter);
bool raft_peers_any_waiting(struct raft *raft);
/* Removes the request from the list; false: not expected (any more). */
bool raft_peer_answered(struct raft *raft, uint64_t number, struct raft_peer *peer_out);
void raft_peer_back_off(struct raft *raft, int32_t peer_id);
/* Leader or a bootstrap server, as Kafka chooses. */
void raft_send_fetch_best(struct raft *raft);
void raft_send_fetch_bootstrap(struct raft *raft);

/* ---- message.c ---- */
void raft_request(struct raft *raft, uint64_t token, struct slice listener,
                  const struct raft_request *request);
void raft_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply);
void raft_send_failed(struct raft *raft, uint64_t number, bool unsupported_version);
bool raft_cluster_id_valid(const struct raft *raft, const struct raft_request *request);
enum err raft_check_voter_request(const struct raft *raft, int32_t peer_id, int32_t epoch);
enum err raft_check_leader_request(const struct raft *raft, int32_t epoch);
bool raft_is_own_key(const struct raft *raft, struct raft_replica_key voter);
/* Adopts what a peer says of leader and epoch. false: it contradicts what is known. */
bool raft_adopt(struct raft *raft, int32_t leader_id, int32_t epoch,
                struct raft_endpoints endpoints);
enum raft_handled { RAFT_HANDLED_OK, RAFT_HANDLED_BAD, RAFT_HANDLED_NOT };
enum raft_handled raft_common_reply(struct raft *raft, const struct raft_reply *reply);

/* ---- election.c ---- */
void raft_election_begin(struct raft *raft);
bool raft_election_won(const struct raft *raft);
bool raft_election_lost(const struct raft *raft);
/* false: (candidate) a different answer was given before. */
bool raft_election_record(struct raft *raft, int32_t voter_id, bool granted);
void raft_election_send(struct raft *raft);
void raft_election_advance(struct raft *raft);
void raft_prospective_lost(struct raft *raft);

/* ---- vote.c, begin_epoch.c, end_epoch.c ---- */
void raft_vote_request(struct raft *raft, uint64_t token, struct slice listener,
                       const struct raft_request *request);
bool raft_vote_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply);
void raft_begin_request(struct raft *raft, uint64_t token, struct slice listener,
                        const struct raft_request *request);
bool raft_begin_reply(struct raft *raft, const struct raft_reply *reply);
void raft_begin_send(struct raft *raft);
void raft_end_request(struct raft *raft, uint64_t token, struct slice listener,
                      const struct raft_request *request);
bool raft_end_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply);
void raft_end_send(struct raft *raft);

/* ---- fetch.c (leader), follow.c (follower) ---- */
void raft_fetch_request(struct raft *raft, uint64_t token, struct slice listener,
                        const struct raft_request *request);
void raft_fetches_wake(struct raft *raft);
void raft_fetches_refuse(struct raft *raft, enum err error);
void raft_fetch_gone(struct raft *raft, uint64_t token);
void raft_fetch_fill(struct raft *raft, struct raft_request *request_out);
bool raft_fetch_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply);
void raft_follow_send(struct raft *raft);
void raft_follow_high_watermark(struct raft *raft);
void raft_follow_refresh(struct raft *raft);

/* ---- snapshot.c ---- */
const struct raft_snapshot *raft_snapshot_latest(const struct raft *raft);
const struct raft_snapshot *raft_snapshot_earliest(const struct raft *raft);
const struct raft_snapshot *raft_snapshot_find(const struct raft *raft,
                                               struct raft_offset_epoch id);
void raft_snapshot_add(struct raft *raft, struct raft_snapshot snapshot);
void raft_snapshot_request(struct raft *raft, uint64_t token, struct slice listener,
                           const struct raft_request *request);
bool raft_snapshot_reply(struct raft *raft, uint64_t number, const struct raft_reply *reply);
void raft_download_begin(struct raft *raft, struct raft_offset_epoch id);
void raft_download_drop(struct raft *raft);
void raft_chunk_stored(struct raft *raft, struct raft_offset_epoch id, int64_t end_position);
void raft_installed(struct raft *raft, const struct raft_event *event);
void raft_install_failed(struct raft *raft);

/* ---- log.c ---- */
void raft_log_release(struct raft *raft);
int32_t raft_log_last_epoch(const struct raft *raft);
struct raft_offset_epoch raft_log_end(const struct raft *raft);
struct raft_offset_epoch raft_log_epoch_end(const struct raft *raft, int32_t epoch);
/* Moves the end over records of an epoch; the effect is the caller's. */
int64_t raft_log_extend(struct raft *raft, int32_t epoch, int64_t record_count);
/* false: it would cut below the high watermark or the log's start. */
bool raft_log_truncate(struct raft *raft, int64_t offset);
void raft_log_written(struct raft *raft, uint64_t era, int64_t end_offset, bool flushed);
void raft_log_cleaned(struct raft *raft, int64_t start_offset);
/* What a replica of this kind holds for sure: the offset that it fetches at. */
int64_t raft_log_held_offset(const struct raft *raft);

/* ---- voters.c ---- */
struct raft_block *raft_block_endpoints(struct raft *raft, struct raft_endpoints from);
struct raft_block *raft_block_voters(struct raft *raft, struct raft_voters from);
void raft_block_free(struct raft *raft, struct raft_block **block);
size_t raft_endpoints_bytes(struct raft_endpoints from);
struct raft_endpoints raft_endpoints_place(void *memory, struct raft_endpoints from);
size_t raft_voters_bytes(struct raft_voters from);
struct raft_voters raft_voters_place(void *memory, struct raft_voters from);
bool raft_endpoints_equal(struct raft_endpoints a, struct raft_endpoints b);
/* Of two entries of one id. */
bool raft_voter_equal(const struct raft_voter *a, const struct raft_voter *b);
/* Of a voter with the key's id: it has the same directory, or its own is unknown. */
bool raft_voter_matches(const struct raft_voter *voter, struct raft_replica_key key);
bool raft_voters_contain(struct raft_voters voters, struct raft_replica_key key);
/* Shallow copies in scratch memory. */
struct raft_voters raft_voters_with(struct raft *raft, struct raft_voters voters,
                                    const struct raft_voter *voter);
struct raft_voters raft_voters_without(struct raft *raft, struct raft_voters voters, int32_t id);
/* In force: of the last Voters record, else the static ones. */
struct raft_voters raft_voters_now(const struct raft *raft);
/* Offset of the record in force; INT64_MIN: there is none. */
int64_t raft_voters_offset(const struct raft *raft);
int16_t raft_kraft_version_now(const struct raft *raft);
bool raft_is_voter(const struct raft *raft);
bool raft_is_only_voter(const struct raft *raft);
struct raft_voter raft_own_voter(const struct raft *raft);
bool raft_own_voter_outdated(const struct raft *raft);
void raft_voters_put(struct raft *raft, int64_t offset, struct raft_voters voters);
void raft_kraft_version_put(struct raft *raft, int64_t offset, int16_t kraft_version);
/* Forgets the entries from an offset on; true: there were some. */
bool raft_voters_cut(struct raft *raft, int64_t end_offset);
void raft_voters_forget_before(struct raft *raft, int64_t offset);

/* ---- leader.c ---- */
void raft_leader_append_start(struct raft *raft);
MUST_USE enum err raft_submit(struct raft *raft, const struct raft_event *event,
                              struct raft_effects *out);
/* Appends {KRaftVersion?, Voters}; gives the offset of the last record. -1: no kraft.version. */
int64_t raft_leader_append_voters(struct raft *raft, int16_t kraft_version,
                                  const struct raft_voters *voters);
void raft_resign(struct raft *raft, int32_t epoch);

/* ---- progress.c, high_watermark.c ---- */
void raft_progress_sync(struct raft *raft);
/* NULL: id < 0. Makes an observer of a replica not seen before. */
struct raft_replica *raft_progress_find(struct raft *raft, struct raft_replica_key key, bool make);
void raft_progress_fetched(struct raft *raft, struct raft_replica_key key, int64_t fetch_offset);
void raft_progress_seen(struct raft *raft, struct raft_replica_key key);
bool raft_progress_caught_up(struct raft *raft, struct raft_replica_key key);
void raft_progress_forget_observers(struct raft *raft);
size_t raft_progress_voter_count(const struct raft *raft);
/* Voters but this one, furthest first, unknown last, ties by id. */
void raft_progress_successors(struct raft *raft);
void raft_high_watermark_update(struct raft *raft);

/* ---- add_voter.c, remove_voter.c, update_voter.c, change.c, kraft_upgrade.c, describe.c ---- */
bool raft_change_pending(const struct raft *raft);
void raft_change_finish(struct raft *raft, enum err error, const char *text);
void raft_change_committed(struct raft *raft);
/* The checks that every change starts with; OK, or the reply has been given. */
bool raft_change_admitted(struct raft *raft, uint64_t token, const struct raft_request *request,
                          struct raft_replica_key voter, struct slice listener);
bool raft_change_ready(struct raft *raft, uint64_t token, enum raft_api api, const char *verb);
void raft_change_reply(struct raft *raft, uint64_t token, enum raft_api api, enum err error,
                       const char *text);
const char *raft_key_text(struct raft *raft, struct raft_replica_key key);
const char *raft_voters_text(struct raft *raft, struct raft_voters voters);
void raft_add_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                            const struct raft_request *request);
bool raft_versions_reply(struct raft *raft, int32_t peer_id, const struct raft_reply *reply);
void raft_remove_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                               const struct raft_request *request);
void raft_update_voter_request(struct raft *raft, uint64_t token, struct slice listener,
                               const struct raft_request *request);
bool raft_update_voter_reply(struct raft *raft, const struct raft_reply *reply);
/* A voter tells its entry, an observer joins; true: sent, or nothing to do now. */
void raft_update_send(struct raft *raft);
bool raft_join_send(struct raft *raft);
bool raft_join_reply(struct raft *raft, const struct raft_reply *reply, enum err done);
void raft_kraft_upgrade(struct raft *raft, const struct raft_event *event);
void raft_describe_request(struct raft *raft, uint64_t token, struct slice listener,
                           const struct raft_request *request);

#endif
