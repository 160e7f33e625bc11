/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/quorum_state.h: the text of the file `quorum-state` of the metadata log's directory: which
 * leader and vote of which epoch this node knows. Kafka's JSON, data_version 0 (static voters) and
 * 1 (voters in the log). The shell writes it so that a crash leaves the old or the new text.
 */
#ifndef RAFT_QUORUM_STATE_H
#define RAFT_QUORUM_STATE_H

#include "base/arena.h"
#include "base/uuid.h"
#include "base/writer.h"

struct raft_quorum_state {
    int32_t leader_id; /* -1: none known */
    int32_t leader_epoch;
    int32_t voted_id;               /* -1: no vote in this epoch */
    struct uuid voted_directory_id; /* zero: unknown */
    int16_t data_version;           /* 0 or 1 */
    const int32_t *voter_ids;       /* data_version 0: written for people, ignored when read */
    size_t voter_id_count;
};

/* What a node without the file knows: epoch 0, no leader, no vote. */
struct raft_quorum_state raft_quorum_state_none(void);
/* Appends the line that Kafka would write (no newline at its end). */
MUST_USE enum err raft_quorum_state_encode(const struct raft_quorum_state *state,
                                           struct writer *out);
/* Any JSON spelling of the fields is read; unknown fields are skipped. ERR_FORMAT for text that is
 * not such an object, misses a field or holds a value out of range; ERR_UNSUPPORTED_VERSION for
 * another data_version. The arena holds voter_ids. */
MUST_USE enum err raft_quorum_state_decode(struct slice text, struct arena *arena,
                                           struct raft_quorum_state *state_out, struct why *why);

#endif
