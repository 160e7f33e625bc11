/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replication/replication.h: the rules of a partition's replica: who leads, what counts as committed,
 * which requests are answered. Pure: ends of logs and requests come in, offsets and errors go out.
 * docs/design/replication.md; kraft.md §6 and requests.md §3 of the reference.
 *
 * Invariants  1. Within a leader epoch the high watermark never goes back.
 *             2. The high watermark is the least *flushed* end of the ISR (in os mode written counts as
 *                flushed), and moves only while the ISR has min(min.insync.replicas, replicas) members.
 *             3. A deposed or unborn leader answers no data request.
 */
#ifndef REPLICATION_REPLICATION_H
#define REPLICATION_REPLICATION_H

#include "base/err.h"
#include "base/uuid.h"
#include "metadata/metadata.h"

enum replica_role { REPLICA_NONE, REPLICA_LEADER, REPLICA_FOLLOWER };

/* What another replica has told by fetching (leader only). */
struct replica_progress {
    int32_t broker_id;
    int64_t end_offset; /* flushed there; -1: unknown */
    bool in_isr;
};

struct replica_state {
    enum replica_role role;
    int32_t self_id;
    int32_t leader_id;    /* -1: none */
    int32_t leader_epoch; /* -1: metadata has not told */
    int32_t partition_epoch;
    int64_t epoch_start_offset; /* leader: its end when it became leader; -1 */
    int64_t high_watermark;
    struct replica_progress *peers; /* of the replicas but self; the caller's memory */
    size_t peer_count;
    size_t replica_count; /* with self */
    size_t isr_count;
    bool self_in_isr;
};

enum replica_change {
    REPLICA_UNCHANGED,
    REPLICA_BECOMES_LEADER,   /* a new epoch of ours: assign the epoch at the log's queued end */
    REPLICA_BECOMES_FOLLOWER, /* of another leader, or of none */
    REPLICA_UPDATED,          /* same epoch: ISR or partition epoch moved */
};
/* Before the first one: self_id set, role REPLICA_NONE, the epochs and epoch_start_offset -1, no peers.
 * `peers` must have room for partition->replica_count entries, be other memory than state->peers (which is
 * read) and replaces it unless REPLICA_UNCHANGED is returned. The log's end and high watermark: as
 * they are now. Older epochs change nothing. A broker that is no replica (any more) is told
 * REPLICA_BECOMES_FOLLOWER once and has role REPLICA_NONE. */
enum replica_change replica_apply(struct replica_state *state,
                                  const struct metadata_partition *partition, int64_t end_queued,
                                  int64_t high_watermark, struct replica_progress *peers);

/* The high watermark that `flushed_end` of our own log and the peers allow; never below the present one.
 * min_isr: min.insync.replicas; below it the mark stands still (KIP-966), at every level of the feature
 * eligible.leader.replicas.version, as in Kafka 4.4. */
int64_t replica_high_watermark(const struct replica_state *state, int64_t flushed_end,
                               int32_t min_isr);

/* ---- what a request may do ---- */
/* current_leader_epoch -1: not given. ERR_FENCED_LEADER_EPOCH, ERR_UNKNOWN_LEADER_EPOCH,
 * ERR_NOT_LEADER_OR_FOLLOWER (when only a leader may answer and this is none). */
MUST_USE enum err replica_check_epoch(const struct replica_state *state,
                                      int32_t current_leader_epoch, bool needs_leader);
/* acks=-1 wants min(min_isr, replica count) replicas in sync: ERR_NOT_ENOUGH_REPLICAS. */
MUST_USE enum err replica_check_produce(const struct replica_state *state, int16_t acks,
                                        int32_t min_isr);
/* Of an acks=-1 request whose last offset is committed: ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND when the ISR
 * shrank below the limit meanwhile. */
MUST_USE enum err replica_check_committed(const struct replica_state *state, int32_t min_isr);
/* After an election the offsets that consumers may learn are known once the high watermark reached the
 * epoch's start. */
bool replica_offsets_known(const struct replica_state *state);

#endif
