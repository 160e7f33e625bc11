/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_topics.h: the topics of a commit of offsets: those that metadata does not have are
 * answered here, the coordinator sees the others, and its answer is put behind. OffsetCommit and
 * TxnOffsetCommit.
 */
#ifndef SERVER_HANDLERS_OFFSET_TOPICS_H
#define SERVER_HANDLERS_OFFSET_TOPICS_H

#include "base/arena.h"
#include "coordinator/txn_offsets.h"
#include "metadata/metadata.h"

struct offset_topics {
    struct arena *arena;
    bool by_id;                /* topics are named by id */
    int32_t own_count;         /* of `told`: topics that were answered here, wholly or in part */
    offsets_asked_topic *kept; /* what the coordinator sees; names are in the arena */
    int32_t kept_count;
    offsets_told_topic *told;
    int32_t told_count;
};

/* `topics` has arena and by_id. The image is not needed any more afterwards. ERR_NO_MEMORY. */
MUST_USE enum err offset_topics_split(struct offset_topics *topics,
                                      const struct metadata_image *image,
                                      const offsets_asked_topic *asked, int32_t count);
/* What the coordinator told of the topics that it saw. */
MUST_USE enum err offset_topics_merge(struct offset_topics *topics, const offsets_told_topic *told,
                                      int32_t count);
/* The same error for every partition that the coordinator was to see. */
MUST_USE enum err offset_topics_fail(struct offset_topics *topics, enum err err);

#endif
