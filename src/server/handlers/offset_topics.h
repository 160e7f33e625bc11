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

/* Topics that were answered here, by name: a request may name a million of them, and a topic again and again. */
struct told_topics {
    struct arena *arena;
    struct slice *names; /* an id is a name of 16 bytes */
    uint32_t *order;
    size_t *room; /* of the partitions of each */
    size_t count;
};

/* Room for `count` of them: the caller fills names and room, then puts them in order. ERR_NO_MEMORY. */
MUST_USE enum err told_topics_open(struct told_topics *told, struct arena *arena, size_t count);
MUST_USE enum err told_topics_order(struct told_topics *told);
/* The first of that name; false: none. */
bool told_topics_find(const struct told_topics *told, struct slice name, uint32_t *index_out);
/* The `old` partitions of a topic with `added` more behind: moved when they have to grow, so that many small
 * additions do not cost a copy each. NULL: no memory. */
void *told_topics_append(struct told_topics *told, uint32_t index, void *partitions, size_t old,
                         const void *more, size_t added, size_t partition_bytes);

struct offset_topics {
    struct arena *arena;
    bool by_id;                /* topics are named by id */
    int32_t own_count;         /* of `told`: topics that were answered here, wholly or in part */
    offsets_asked_topic *kept; /* what the coordinator sees; names are in the arena */
    int32_t kept_count;
    offsets_told_topic *told;
    int32_t told_count;
    struct told_topics own; /* the first own_count of `told` */
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
