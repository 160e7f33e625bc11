/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_offsets.c: who may commit and fetch offsets of a consumer group. A member that is
 * behind may still commit what it has had all the time since: each partition remembers the epoch it was given in.
 */
#include "coordinator/group/consumer_internal.h"

#define VERSION_MEMBER_EPOCH 9 /* of OffsetCommit */

/* The epoch in which a member got a partition; -1: it does not have it. */
static int32_t assigned_since(const struct assignment *assignment, struct uuid topic_id,
                              int32_t partition)
{
    const struct topic_partitions *topic = assignment_topic(assignment, topic_id);
    int32_t place = topic_partitions_place(topic, partition);

    return place >= 0 ? topic->epochs[place] : -1;
}

static bool may_commit(const struct consumer_member *member, struct uuid topic_id,
                       int32_t partition, int32_t epoch)
{
    int32_t since = assigned_since(&member->assigned.is, topic_id, partition);

    if (since < 0)
        since = assigned_since(&member->revoking.is, topic_id, partition);
    return since >= 0 && since <= epoch;
}

static enum err stale(const struct consumer_member *member)
{
    return member->metadata->is_classic ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
}

enum err consumer_group_check_commit(const struct consumer_group *group,
                                     const struct group_commit_identity *identity,
                                     struct group_commit_limit *limit_out)
{
    const struct consumer_member *member;

    *limit_out = (struct group_commit_limit){0};
    if (identity->generation < 0 && group->member_count == 0)
        return OK;
    if (identity->is_transactional && identity->generation == -1 &&
        identity->member_id.size_bytes == 0 && slice_is_null(identity->instance_id))
        return OK;
    member = consumer_member_find(group, identity->member_id);
    if (!member)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!identity->is_transactional && !member->metadata->is_classic &&
        identity->api_version < VERSION_MEMBER_EPOCH)
        return ERR_UNSUPPORTED_VERSION;
    if (identity->generation == member->epoch)
        return OK;
    if (identity->generation > member->epoch)
        return stale(member);
    *limit_out = (struct group_commit_limit){.member = member, .epoch = identity->generation};
    return OK;
}

enum err consumer_group_check_partition(const struct group_commit_limit *limit,
                                        struct uuid topic_id, int32_t partition)
{
    return !limit->member || may_commit(limit->member, topic_id, partition, limit->epoch)
               ? OK
               : stale(limit->member);
}

enum err consumer_group_check_fetch(const struct group_call *call, struct consumer_group *group,
                                    struct slice member_id, int32_t member_epoch)
{
    struct consumer_member *member;

    UNUSED(call);
    /* Apache looks for the id that is not given, and fails on it: clients see an unexpected error, not that of
     * a member which is none any more. */
    if (slice_is_null(member_id))
        return member_epoch < 0 ? OK : ERR_UNKNOWN_SERVER_ERROR;
    member = consumer_member_find(group, member_id);
    if (!member)
        return ERR_UNKNOWN_MEMBER_ID;
    return member->epoch == member_epoch ? OK : stale(member);
}

bool consumer_group_subscribes(const struct consumer_group *group, struct slice topic)
{
    return consumer_topic_find(group, topic) != NULL;
}

size_t consumer_group_member_count(const struct consumer_group *group)
{
    return (size_t)group->member_count;
}
