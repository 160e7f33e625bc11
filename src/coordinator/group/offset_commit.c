/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_commit.c: OffsetCommit v2–10. groups.md §4.1 of the reference; topics
 * that do not exist or may not be read were sorted out before.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

#define VERSION_GROUP_ID_NOT_FOUND 9

/* Java's length of the text: UTF-16 units. */
static size_t utf16_units(struct slice text)
{
    size_t units = 0;

    for (size_t i = 0; i < text.size_bytes; i++)
        units += ((text.data[i] & 0xc0) != 0x80) + (size_t)(text.data[i] >= 0xf0);
    return units;
}

/* The error of the whole request, or OK. */
static enum err check(struct group_call *call, const struct offset_commit_request *request,
                      enum err *told)
{
    struct group *group = group_find(call->coordinator, request->group_id);
    struct group_commit_identity identity = {
        .api_version = call->request->api_version,
        .member_id = request->member_id,
        .instance_id = request->group_instance_id,
        .generation = request->generation_id_or_member_epoch,
    };
    enum err err;

    *told = OK;
    if (!group) {
        if (identity.generation >= 0)
            *told = identity.api_version >= VERSION_GROUP_ID_NOT_FOUND ? ERR_GROUP_ID_NOT_FOUND
                                                                       : ERR_ILLEGAL_GENERATION;
        return OK; /* the replay of the offset makes a simple group */
    }
    err = group->kind == GROUP_CLASSIC
              ? classic_check_commit(call, group_classic(group), &identity)
              : consumer_group_check_commit(call, group_consumer(group), &identity, request);
    if (err == ERR_NO_MEMORY)
        return err;
    *told = err;
    return OK;
}

static struct uuid
topic_id_of(const struct group_call *call,
            const struct offset_commit_request_offset_commit_request_topic *topic)
{
    const struct metadata_topic *known;

    if (!uuid_is_zero(topic->topic_id) || !call->moment->image)
        return topic->topic_id;
    known = metadata_image_topic(call->moment->image, topic->name);
    return known ? known->id : UUID_ZERO;
}

static enum err
partition_commit(struct group_call *call, const struct offset_commit_request *request,
                 const struct offset_key *key, struct uuid topic_id,
                 const struct offset_commit_request_offset_commit_request_partition *partition,
                 int16_t *error_out)
{
    int64_t wall_ms = call->coordinator->wall_ms;
    struct offset_content content = {
        .offset = partition->committed_offset,
        .commit_ms = wall_ms,
        .expire_ms = -1,
        .leader_epoch = partition->committed_leader_epoch,
        .metadata = partition->committed_metadata,
        .topic_id = topic_id,
    };

    if (utf16_units(content.metadata) >
        (size_t)call->coordinator->options.offset_metadata_bytes_max) {
        *error_out = err_wire_code(ERR_OFFSET_METADATA_TOO_LARGE);
        return OK;
    }
    if (request->retention_time_ms != -1)
        content.expire_ms = request->retention_time_ms > INT64_MAX - wall_ms
                                ? INT64_MAX
                                : MAX(wall_ms + request->retention_time_ms, 0);
    return offset_record(call, key, &content);
}

static enum err topic_commit(struct group_call *call, const struct offset_commit_request *request,
                             const struct offset_commit_request_offset_commit_request_topic *topic,
                             enum err told,
                             struct offset_commit_response_offset_commit_response_topic *out)
{
    struct uuid topic_id = topic_id_of(call, topic);
    int32_t count = MAX(topic->partitions_count, 0);

    out->name = topic->name;
    out->topic_id = topic->topic_id;
    out->partitions =
        offset_commit_response_offset_commit_response_partition_array(call->arena, (size_t)count);
    if (!out->partitions)
        return ERR_NO_MEMORY;
    out->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct offset_key key = {request->group_id, topic->name,
                                 topic->partitions[i].partition_index};

        out->partitions[i].partition_index = key.partition;
        out->partitions[i].error_code = err_wire_code(told);
        if (told == OK)
            TRY(partition_commit(call, request, &key, topic_id, &topic->partitions[i],
                                 &out->partitions[i].error_code));
    }
    return OK;
}

enum err offset_handle_commit(struct group_call *call, const struct offset_commit_request *request)
{
    struct offset_commit_response *response = offset_commit_response_array(call->arena, 1);
    int32_t count = MAX(request->topics_count, 0);
    enum err told;

    if (!response)
        return ERR_NO_MEMORY;
    TRY(check(call, request, &told));
    response->topics =
        offset_commit_response_offset_commit_response_topic_array(call->arena, (size_t)count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = count;
    call->effects->divisible = true;
    for (int32_t i = 0; i < count; i++)
        TRY(topic_commit(call, request, &request->topics[i], told, &response->topics[i]));
    return group_reply(call, response, call->effects->record_count > 0);
}
