/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_session.h: the table of fetch sessions of one shard (KIP-227). Pure: time and random
 * numbers come in. docs/design/fetch.md §2; requests.md §3.2 of the reference.
 *
 * Invariants  1. A session's id lies in the range of its shard.
 *             2. A session that is in use is never freed; one that left the table meanwhile is
 *             freed when    its last use ends.
 *             3. The epoch moves when a request is accepted, before anything is read.
 */
#ifndef SERVER_FETCH_SESSION_H
#define SERVER_FETCH_SESSION_H

#include "base/hash_map.h"
#include "base/heap.h"
#include "base/random.h"
#include "base/uuid.h"

#define FETCH_SESSION_ID_NONE 0
#define FETCH_EPOCH_INITIAL 0
#define FETCH_EPOCH_FINAL (-1)
#define FETCH_SESSION_EVICTION_MS 120000

/* What a fetch asks of one partition. */
struct fetch_params {
    struct uuid topic_id; /* zero with a name before v13 */
    struct slice topic;   /* the name as the request gave it; null from v13 on */
    int32_t index;
    int32_t current_leader_epoch;
    int64_t offset;
    int32_t last_fetched_epoch;
    int64_t log_start_offset;
    int32_t bytes_max;
};

struct fetch_session_partition {
    struct hash_map_node node;
    struct list_node order;     /* of the session: the next reply's order */
    struct fetch_params params; /* the name is owned */
    int64_t high_watermark;     /* last sent; -1 */
    int64_t log_start_sent;     /* last sent; -1 */
};

struct fetch_session {
    struct hash_map_node node;
    struct list_node used; /* least recently used first */
    int32_t id;
    int32_t epoch;      /* that the next request must have */
    bool is_privileged; /* a follower's */
    bool uses_ids;
    int64_t created_ms, used_ms;
    struct hash_map partitions;
    struct list_node order;
    int uses;
    bool has_left; /* the table */
    bool is_lent;  /* to another shard, for one fetch */
};

struct fetch_sessions {
    struct hash_map sessions;
    struct list_node used;
    int32_t id_min, id_max; /* of this shard, both included */
    size_t slots;
    size_t partition_count;
    uint64_t evictions;
};

/* Ranges of ids: `shards` equal parts of the positive 31-bit numbers. */
void fetch_sessions_init(struct fetch_sessions *sessions, int shard, int shards, size_t slots);
void fetch_sessions_release(struct fetch_sessions *sessions);
int fetch_session_shard(int32_t id, int shards);

struct fetch_session *fetch_sessions_find(struct fetch_sessions *sessions, int32_t id);
/* Room made by Kafka's rules of eviction; NULL: no session, the fetch goes on without. */
struct fetch_session *fetch_sessions_create(struct fetch_sessions *sessions, bool privileged,
                                            bool uses_ids, size_t partition_count, int64_t now_ms,
                                            struct random *random);
void fetch_sessions_remove(struct fetch_sessions *sessions, struct fetch_session *session);
/* ERR_FETCH_SESSION_ID_NOT_FOUND, ERR_INVALID_FETCH_SESSION_EPOCH,
 * ERR_FETCH_SESSION_TOPIC_ID_ERROR. OK: the epoch moved on, and the session counts as used just
 * now. */
MUST_USE enum err fetch_sessions_accept(struct fetch_sessions *sessions, int32_t id, int32_t epoch,
                                        bool uses_ids, int64_t now_ms, struct fetch_session **out);
void fetch_session_use(struct fetch_session *session);
void fetch_session_unuse(struct fetch_session *session);

int32_t fetch_epoch_next(int32_t epoch);
/* Adds or replaces; the sent values of a partition that was there stay. ERR_NO_MEMORY. */
MUST_USE enum err fetch_session_put(struct fetch_sessions *sessions, struct fetch_session *session,
                                    const struct fetch_params *params);
void fetch_session_forget(struct fetch_sessions *sessions, struct fetch_session *session,
                          struct uuid topic_id, struct slice topic, int32_t index);
struct fetch_session_partition *fetch_session_find(struct fetch_session *session,
                                                   struct uuid topic_id, struct slice topic,
                                                   int32_t index);
size_t fetch_session_size(const struct fetch_session *session);

/* What a reply would say of a partition. */
struct fetch_reply_facts {
    int16_t error_code;
    int64_t high_watermark;
    int64_t log_start_offset;
    bool has_records;
    bool has_preferred;
    bool has_diverging;
};
/* Does an incremental reply hold it? */
bool fetch_session_wants(const struct fetch_session_partition *partition,
                         const struct fetch_reply_facts *facts);
/* The same; remembers what was sent, and moves partitions with records to the end of the order.
 * full: every partition is held, what is sent is remembered all the same. */
bool fetch_session_answers(struct fetch_session *session, struct fetch_session_partition *partition,
                           const struct fetch_reply_facts *facts, bool full);

/* ---- limits of one reply ---- */
struct fetch_budget {
    int64_t left;   /* may go below zero by the first batch */
    bool has_first; /* some partition has bytes already */
};
/* How many bytes a partition gets of what was planned for it: `planned` ≤ its own limit unless it
 * is one oversized batch; `first_batch` of those, as the batch says itself. */
size_t fetch_budget_take(struct fetch_budget *budget, int32_t partition_bytes_max, size_t planned,
                         size_t first_batch);

#endif
