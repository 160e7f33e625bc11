/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_fetch.c: OffsetFetch v1–10, one group at a time. What is not required to
 * be stable is answered at once from what is committed; what is, from the newest state, when that
 * is committed. groups.md §4.2 of the reference.
 */
#include "coordinator/group/offset_internal.h"

#define VERSION_TOPIC_ID 10
#define NO_OFFSET (-1)

typedef struct offset_fetch_response_offset_fetch_response_partitions fetched_partition;
typedef struct offset_fetch_response_offset_fetch_response_topics fetched_topic;

static bool is_other_topic(struct uuid stored, struct uuid asked)
{
    return !uuid_is_zero(stored) && !uuid_is_zero(asked) && !uuid_equal(stored, asked);
}

static enum err partition_fill(struct group_call *call, const struct group_offset_fetch *request,
                               const struct offset_slot *slot, struct uuid topic_id,
                               fetched_partition *out)
{
    const struct offset_value *value = NULL;

    out->committed_offset = NO_OFFSET;
    out->committed_leader_epoch = -1;
    out->metadata = SLICE_EMPTY;
    if (!slot)
        return OK;
    if (request->require_stable && !list_is_empty(&slot->pending)) {
        out->error_code = err_wire_code(ERR_UNSTABLE_OFFSET_COMMIT);
        return OK;
    }
    value =
        request->require_stable ? offset_latest(slot) : offset_committed(call->coordinator, slot);
    if (!value || is_other_topic(value->topic_id, topic_id))
        return OK;
    out->committed_offset = value->offset;
    out->committed_leader_epoch = value->leader_epoch;
    if (value->metadata_bytes > 0)
        out->metadata = arena_copy(call->arena, slice_of(value->metadata, value->metadata_bytes));
    return slice_is_null(out->metadata) ? ERR_NO_MEMORY : OK;
}

static enum err partitions_make(struct group_call *call, size_t count, fetched_topic *topic)
{
    topic->partitions =
        offset_fetch_response_offset_fetch_response_partitions_array(call->arena, count);
    return topic->partitions ? OK : ERR_NO_MEMORY;
}

static enum err named_fill(struct group_call *call, const struct group_offset_fetch *request,
                           const struct offset_group *group,
                           struct offset_fetch_response_offset_fetch_response_group *response)
{
    for (int32_t i = 0; i < request->topic_count; i++) {
        const struct offset_fetch_request_offset_fetch_request_topics *asked = &request->topics[i];
        const struct offset_topic *topic = group ? offsets_topic(group, asked->name) : NULL;
        fetched_topic *out = &response->topics[i];
        int32_t count = MAX(asked->partition_indexes_count, 0);

        out->name = asked->name;
        out->topic_id = asked->topic_id;
        TRY(partitions_make(call, (size_t)count, out));
        out->partitions_count = count;
        for (int32_t at = 0; at < count; at++) {
            int32_t index = asked->partition_indexes[at];

            out->partitions[at].partition_index = index;
            TRY(partition_fill(call, request, topic ? offsets_slot(topic, index) : NULL,
                               asked->topic_id, &out->partitions[at]));
        }
    }
    response->topics_count = MAX(request->topic_count, 0);
    return OK;
}

static bool slot_is_there(const struct group_call *call, const struct group_offset_fetch *request,
                          const struct offset_slot *slot)
{
    return request->require_stable ? offset_latest(slot) != NULL
                                   : offset_committed(call->coordinator, slot) != NULL;
}

static enum err topic_fill(struct group_call *call, const struct group_offset_fetch *request,
                           const struct offset_topic *topic, fetched_topic *out)
{
    TRY(partitions_make(call, topic->slot_count, out));
    for (uint32_t i = 0; i < topic->slot_count; i++) {
        fetched_partition *partition = &out->partitions[out->partitions_count];

        if (!slot_is_there(call, request, topic->slots[i]))
            continue;
        partition->partition_index = topic->slots[i]->partition;
        TRY(partition_fill(call, request, topic->slots[i], UUID_ZERO, partition));
        out->partitions_count++;
    }
    return OK;
}

static enum err all_fill(struct group_call *call, const struct group_offset_fetch *request,
                         const struct offset_group *group,
                         struct offset_fetch_response_offset_fetch_response_group *response)
{
    HASH_MAP_EACH (node, &group->topics) {
        const struct offset_topic *topic = HASH_MAP_ITEM(node, struct offset_topic, node);
        fetched_topic *out = &response->topics[response->topics_count];
        const struct metadata_topic *known =
            call->moment->image ? metadata_image_topic(call->moment->image, topic->name->name)
                                : NULL;

        /* An id is all that such clients know topics by. */
        if (!known && call->request->api_version >= VERSION_TOPIC_ID)
            continue;
        out->topic_id = known ? known->id : UUID_ZERO;
        out->name = arena_copy(call->arena, topic->name->name);
        if (slice_is_null(out->name))
            return ERR_NO_MEMORY;
        TRY(topic_fill(call, request, topic, out));
        response->topics_count += out->partitions_count > 0;
        if (out->partitions_count == 0)
            offset_fetch_response_offset_fetch_response_topics_init(out);
    }
    return OK;
}

enum err offset_handle_fetch(struct group_call *call, const struct group_offset_fetch *request)
{
    struct offset_fetch_response_offset_fetch_response_group *response =
        offset_fetch_response_offset_fetch_response_group_array(call->arena, 1);
    struct group *group = group_find(call->coordinator, request->group_id);
    const struct offset_group *offsets =
        offsets_group(call->coordinator->offsets, request->group_id);
    enum err err = OK;
    size_t count;

    if (!response)
        return ERR_NO_MEMORY;
    response->group_id = request->group_id;
    if (group && group->kind == GROUP_CONSUMER)
        err = consumer_group_check_fetch(call, group_consumer(group), request->member_id,
                                         request->member_epoch);
    if (err == ERR_NO_MEMORY)
        return err;
    response->error_code = err_wire_code(err);
    if (err != OK)
        return group_reply(call, response, false);
    count = request->all_topics ? (offsets ? offsets->topics.count : 0)
                                : (size_t)MAX(request->topic_count, 0);
    response->topics = offset_fetch_response_offset_fetch_response_topics_array(call->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    if (!request->all_topics)
        TRY(named_fill(call, request, offsets, response));
    else if (offsets)
        TRY(all_fill(call, request, offsets, response));
    return group_reply(call, response, request->require_stable);
}
