/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_commit.c: OffsetCommit v2–10. groups.md §4.1 of the reference; topics
 * that do not exist or may not be read were sorted out before.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

#include "base/bug.h"

#define VERSION_GROUP_ID_NOT_FOUND 9

/* Java's length of the text: UTF-16 units. */
static size_t utf16_units(struct slice text)
{
    size_t units = 0;

    for (size_t i = 0; i < text.size_bytes; i++)
        units += ((text.data[i] & 0xc0) != 0x80) + (size_t)(text.data[i] >= 0xf0);
    return units;
}

static bool offset_metadata_fits(const struct group_call *call, struct slice metadata)
{
    return utf16_units(metadata) <= (size_t)call->coordinator->options.offset_metadata_bytes_max;
}

enum err offset_commit_check(struct group_call *call, struct slice group_id,
                             const struct group_commit_identity *identity,
                             struct group_commit_limit *limit_out, enum err *told_out)
{
    struct group *group = group_find(call->coordinator, group_id);
    enum err err = OK;

    *limit_out = (struct group_commit_limit){0};
    if (!group)
        /* Else the replay of the offset makes a simple group. */
        err = identity->generation >= 0 ? ERR_GROUP_ID_NOT_FOUND : OK;
    else if (group->kind == GROUP_CLASSIC)
        err = classic_check_commit(call, group_classic(group), identity);
    else
        err = consumer_group_check_commit(group_consumer(group), identity, limit_out);
    *told_out = err;
    return err == ERR_NO_MEMORY ? err : OK;
}

static struct uuid offset_topic_id(const struct group_call *call, struct slice name,
                                   struct uuid given)
{
    const struct metadata_topic *known;

    if (!uuid_is_zero(given) || !call->moment->image)
        return given;
    known = metadata_image_topic(call->moment->image, name);
    return known ? known->id : UUID_ZERO;
}

void offset_topics_check(const struct group_call *call, const struct group_commit_limit *limit,
                         const offsets_asked_topic *topics, int32_t count, enum err *told)
{
    for (int32_t i = 0; limit->member && i < count; i++) {
        struct uuid topic_id = offset_topic_id(call, topics[i].name, topics[i].topic_id);

        for (int32_t k = 0; *told == OK && k < topics[i].partitions_count; k++)
            if (offset_metadata_fits(call, topics[i].partitions[k].committed_metadata))
                *told = consumer_group_check_partition(limit, topic_id,
                                                       topics[i].partitions[k].partition_index);
    }
}

static enum err partition_commit(struct group_call *call, const struct offset_key *key,
                                 struct uuid topic_id, int64_t retention_ms,
                                 const offsets_asked_partition *partition, int16_t *error_out)
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

    if (!offset_metadata_fits(call, content.metadata)) {
        *error_out = err_wire_code(ERR_OFFSET_METADATA_TOO_LARGE);
        return OK;
    }
    if (retention_ms != -1)
        content.expire_ms =
            retention_ms > INT64_MAX - wall_ms ? INT64_MAX : MAX(wall_ms + retention_ms, 0);
    return offset_record(call, key, &content);
}

static enum err topic_commit(struct group_call *call, const struct offset_commit_of *of,
                             const offsets_asked_topic *topic, offsets_told_topic *out)
{
    struct uuid topic_id = offset_topic_id(call, topic->name, topic->topic_id);
    int32_t count = MAX(topic->partitions_count, 0);

    out->name = topic->name;
    out->topic_id = topic->topic_id;
    out->partitions =
        offset_commit_response_offset_commit_response_partition_array(call->arena, (size_t)count);
    if (!out->partitions)
        return ERR_NO_MEMORY;
    out->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct offset_key key = {of->group_id, topic->name, topic->partitions[i].partition_index};

        out->partitions[i].partition_index = key.partition;
        out->partitions[i].error_code = err_wire_code(of->told);
        if (of->told == OK)
            TRY(partition_commit(call, &key, topic_id, of->retention_ms, &topic->partitions[i],
                                 &out->partitions[i].error_code));
    }
    return OK;
}

enum err offset_topics_commit(struct group_call *call, const struct offset_commit_of *of,
                              const offsets_asked_topic *topics, int32_t count,
                              offsets_told_topic **out)
{
    *out = offset_commit_response_offset_commit_response_topic_array(call->arena,
                                                                     (size_t)MAX(count, 0));
    if (!*out)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++)
        TRY(topic_commit(call, of, &topics[i], &(*out)[i]));
    return OK;
}

/* ---- OffsetCommit ---- */

/* The error of the whole request, or OK. */
static enum err check(struct group_call *call, const struct offset_commit_request *request,
                      enum err *told)
{
    struct group_commit_identity identity = {
        .api_version = call->request->api_version,
        .member_id = request->member_id,
        .instance_id = request->group_instance_id,
        .generation = request->generation_id_or_member_epoch,
    };
    struct group_commit_limit limit;

    TRY(offset_commit_check(call, request->group_id, &identity, &limit, told));
    if (*told == ERR_GROUP_ID_NOT_FOUND && identity.api_version < VERSION_GROUP_ID_NOT_FOUND)
        *told = ERR_ILLEGAL_GENERATION;
    offset_topics_check(call, &limit, request->topics, request->topics_count, told);
    return OK;
}

enum err offset_handle_commit(struct group_call *call, const struct offset_commit_request *request)
{
    struct offset_commit_response *response = offset_commit_response_array(call->arena, 1);
    struct offset_commit_of of = {.group_id = request->group_id,
                                  .retention_ms = request->retention_time_ms};

    if (!response)
        return ERR_NO_MEMORY;
    TRY(check(call, request, &of.told));
    call->effects->divisible = true;
    response->topics_count = MAX(request->topics_count, 0);
    TRY(offset_topics_commit(call, &of, request->topics, request->topics_count, &response->topics));
    return group_reply(call, response,
                       call->effects->record_count > 0 && !BUG_IS(offsets_before_commit));
}
