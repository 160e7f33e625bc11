/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/assign.h: the server-side assignors of consumer groups, "uniform" and "range":
 * who shall have which partition, from who subscribes to what and who had what. Pure functions of
 * their input; groups.md §5.5 of the reference.
 *
 * Order. Where the result depends on an order, it is the one in which Apache Kafka walks its hash
 * tables of members, topics and partitions (assign_order), so that the same group gets the same
 * assignment from either. Within one bucket the order is that of the input.
 */
#ifndef COORDINATOR_GROUP_ASSIGN_H
#define COORDINATOR_GROUP_ASSIGN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/uuid.h"

/* Partitions of one topic, ascending. */
struct topic_partitions {
    struct uuid topic_id;
    const int32_t *partitions;
    /* Of a current assignment: the epoch in which each was given. Else NULL. */
    const int32_t *epochs;
    int32_t count; /* > 0 */
};
/* Topics with ascending ids (bytes). */
struct assignment {
    const struct topic_partitions *topics;
    int32_t count;
};
/* Same topics, same partitions; epochs only where both have them. */
bool assignment_equal(const struct assignment *a, const struct assignment *b);
/* Its partitions of that topic, or NULL. Logarithmic, as are the next two: what is asked for comes
 * from peers, who may ask for millions. */
const struct topic_partitions *assignment_topic(const struct assignment *assignment,
                                                struct uuid topic_id);
/* Where a partition stands in it; -1: nowhere. NULL has none. */
int32_t topic_partitions_place(const struct topic_partitions *topic, int32_t partition);
bool topic_partitions_have(const struct topic_partitions *topic, int32_t partition);

struct assign_topic {
    struct uuid id;
    int32_t partition_count;
};
struct assign_member {
    struct slice member_id;
    struct slice instance_id; /* null: dynamic */
    const int32_t *topics;    /* subscribed topics: places in the input's topics, ascending */
    int32_t topic_count;
    /* Names the member subscribes to, whether the topics exist or not: the size of Kafka's set. */
    int32_t subscription_size;
    struct assignment old; /* target of before */
};
struct assign_input {
    const struct assign_topic *topics; /* ascending ids (bytes), each once */
    int32_t topic_count;
    const struct assign_member *members; /* each id once */
    int32_t member_count;
    bool homogeneous; /* all members subscribe to the same topics */
};

/* targets_out: one per member, in order of the input; everything in the arena. ERR_NO_MEMORY, or
 * ERR_UNKNOWN_SERVER_ERROR when the rules leave partitions over (a broken old target). */
MUST_USE enum err assign_range(const struct assign_input *input, struct arena *arena,
                               struct assignment **targets_out);
MUST_USE enum err assign_uniform(const struct assign_input *input, struct arena *arena,
                                 struct assignment **targets_out);

/* ---- shared by the assignors ---- */

/* Who has each partition: owners[first[topic] + partition], an index of a member or -1. */
struct assign_owners {
    const struct assign_input *input;
    size_t *first; /* per topic, and the total behind the last */
    int32_t *owners;
};
MUST_USE enum err assign_owners_create(const struct assign_input *input, struct arena *arena,
                                       struct assign_owners *out);
static inline int32_t *assign_owner(const struct assign_owners *owners, int32_t topic,
                                    int32_t partition)
{
    return &owners->owners[owners->first[topic] + (size_t)partition];
}
/* Place of a topic in the input; -1: not subscribed by anybody. */
int32_t assign_topic_find(const struct assign_input *input, struct uuid id);
bool assign_member_subscribes(const struct assign_member *member, int32_t topic);
/* Turns owners into the members' assignments. */
MUST_USE enum err assign_owners_targets(const struct assign_owners *owners, struct arena *arena,
                                        struct assignment **targets_out);
MUST_USE enum err assign_uniform_mixed(const struct assign_input *input, struct arena *arena,
                                       struct assignment **targets_out);

/* The next character of broken or sound UTF-8, U+FFFD for what is none; its size in bytes. */
size_t assign_text_next(struct slice text, size_t at, uint32_t *out);
/* Java's hashes. */
uint32_t assign_hash_text(struct slice utf8);
uint32_t assign_hash_uuid(struct uuid id);
int assign_compare_uuid(struct uuid a, struct uuid b);   /* two signed halves */
int assign_compare_text(struct slice a, struct slice b); /* UTF-16 units */
/* Table size of a HashMap that grew to `count` entries, and of one made for `count`. */
uint32_t assign_table_grown(size_t count);
uint32_t assign_table_sized(size_t count);
/* Fills order_out with 0 … count-1 as a table of that size with these hashes walks them. */
MUST_USE enum err assign_order(const uint32_t *hashes, int32_t count, uint32_t table_size,
                               struct arena *arena, int32_t *order_out);

#endif
