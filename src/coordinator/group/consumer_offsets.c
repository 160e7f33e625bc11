/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_offsets.c: who may commit and fetch offsets of a consumer group. A member that is
 * behind may still commit what it has had all the time since: each partition remembers the epoch it was given in.
 */
#include "coordinator/group/consumer_internal.h"

/* The epoch in which a member got a partition; -1: it does not have it. */
static int32_t assigned_since(const struct assignment *assignment, struct uuid topic_id,
                              int32_t partition)
{
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct topic_partitions *topic = &assignment->topics[i];

        if (!uuid_equal(topic->topic_id, topic_id))
            continue;
        for (int32_t j = 0; j < topic->count; j++)
            if (topic->partitions[j] == partition)
                return topic->epochs[j];
    }
    return -1;
}

static bool may_commit(const struct consumer_member *member, struct uuid topic_id,
                       int32_t partition, int32_t epoch)
{
    int32_t since = assigned_since(&member->assigned.is, topic_id, partition);

    if (since < 0)
        since = assigned_since(&member->revoking.is, topic_id, partition);
    return since >= 0 && since <= epoch;
}

enum err consumer_group_check_commit(const struct group_call *call, struct consumer_group *group,
                                     const struct group_commit_identity *identity,
                                     const struct offset_commit_request *request)
{
    struct consumer_member *member;
    enum err stale;

    if (identity->generation < 0 && group->member_count == 0)
        return OK;
    member = consumer_member_find(group, identity->member_id);
    if (!member)
        return ERR_UNKNOWN_MEMBER_ID;
    if (!member->metadata->is_classic && identity->api_version < 9)
        return ERR_UNSUPPORTED_VERSION;
    if (identity->generation == member->epoch)
        return OK;
    stale = member->metadata->is_classic ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
    if (identity->generation > member->epoch)
        return stale;
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct offset_commit_request_offset_commit_request_topic *asked = &request->topics[i];
        const struct metadata_topic *topic =
            uuid_is_zero(asked->topic_id) ? metadata_image_topic(call->moment->image, asked->name)
                                          : NULL;
        struct uuid id = topic ? topic->id : asked->topic_id;

        for (int32_t j = 0; j < asked->partitions_count; j++)
            if (!may_commit(member, id, asked->partitions[j].partition_index, identity->generation))
                return stale;
    }
    return OK;
}

enum err consumer_group_check_fetch(const struct group_call *call, struct consumer_group *group,
                                    struct slice member_id, int32_t member_epoch)
{
    struct consumer_member *member;

    UNUSED(call);
    if (member_id.size_bytes == 0 && member_epoch < 0)
        return OK;
    member = consumer_member_find(group, member_id);
    if (!member)
        return ERR_UNKNOWN_MEMBER_ID;
    if (member->epoch == member_epoch)
        return OK;
    return member->metadata->is_classic ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
}

bool consumer_group_subscribes(const struct consumer_group *group, struct slice topic)
{
    return consumer_topic_find(group, topic) != NULL;
}

size_t consumer_group_member_count(const struct consumer_group *group)
{
    return (size_t)group->member_count;
}
