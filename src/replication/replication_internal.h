/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replication/replication_internal.h: what the files of replication share.
 */
#ifndef REPLICATION_REPLICATION_INTERNAL_H
#define REPLICATION_REPLICATION_INTERNAL_H

#include "replication/replication.h"

/* Fewer in sync than min.insync.replicas asks for; a partition with fewer replicas than that asks
 * for all of them. */
static inline bool replica_isr_is_small(const struct replica_state *state, int32_t min_isr)
{
    size_t wanted = min_isr > 0 ? (size_t)min_isr : 0;

    return state->isr_count < MIN(wanted, state->replica_count);
}

#endif
