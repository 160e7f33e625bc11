/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_topics.c: see the header. groups.md §4.1, transactions.md §8 of the reference.
 */
#include "server/handlers/offset_topics.h"

#include "base/name_order.h"

/* ---- topics by name ---- */

enum err told_topics_open(struct told_topics *told, struct arena *arena, size_t count)
{
    *told = (struct told_topics){.arena = arena, .count = count};
    if (count == 0)
        return OK; /* as nearly always */
    told->names = ARENA_ARRAY(arena, struct slice, count);
    told->room = ARENA_ARRAY(arena, size_t, count);
    return told->names && told->room ? OK : ERR_NO_MEMORY;
}

enum err told_topics_order(struct told_topics *told)
{
    return told->count > 0 ? name_order(told->arena, told->names, told->count, &told->order) : OK;
}

bool told_topics_find(const struct told_topics *told, struct slice name, uint32_t *index_out)
{
    return name_find(told->names, told->order, told->count, name, index_out);
}

void *told_topics_append(struct told_topics *told, uint32_t index, void *partitions, size_t old,
                         const void *more, size_t added, size_t partition_bytes)
{
    size_t room = told->room[index];
    uint8_t *all = partitions;

    if (old + added > room) {
        room = MAX(2 * room, old + added);
        all = arena_zeroed(told->arena, room, partition_bytes);
        if (!all)
            return NULL;
        if (old > 0)
            memcpy(all, partitions, old * partition_bytes);
        told->room[index] = room;
    }
    if (added > 0)
        memcpy(all + old * partition_bytes, more, added * partition_bytes);
    return all;
}

/* ---- what is answered here ---- */

static offsets_told_topic *topic_answered(struct offset_topics *topics,
                                          const offsets_asked_topic *asked)
{
    offsets_told_topic *topic = &topics->told[topics->told_count];

    topic->name = asked->name;
    topic->topic_id = asked->topic_id;
    topic->partitions = offset_commit_response_offset_commit_response_partition_array(
        topics->arena, (size_t)MAX(asked->partitions_count, 0));
    if (!topic->partitions)
        return NULL;
    topics->told_count++;
    return topic;
}

static enum err topic_refuse(struct offset_topics *topics, const offsets_asked_topic *asked,
                             enum err err)
{
    offsets_told_topic *topic = topic_answered(topics, asked);

    if (!topic)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        offsets_told_partition *partition = &topic->partitions[topic->partitions_count++];

        partition->partition_index = asked->partitions[i].partition_index;
        partition->error_code = err_wire_code(err);
    }
    return OK;
}

/* The partitions that are there go to the coordinator, the others are answered. */
static enum err topic_split(struct offset_topics *topics, const offsets_asked_topic *asked,
                            const struct metadata_topic *metadata)
{
    offsets_asked_topic *kept = &topics->kept[topics->kept_count];
    offsets_told_topic *told = NULL;

    *kept = *asked;
    kept->name = metadata->name;
    kept->topic_id = metadata->id;
    kept->partitions_count = 0;
    kept->partitions = offset_commit_request_offset_commit_request_partition_array(
        topics->arena, (size_t)MAX(asked->partitions_count, 0));
    if (!kept->partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < asked->partitions_count; i++) {
        int32_t index = asked->partitions[i].partition_index;

        if (metadata_topic_partition(metadata, index)) {
            kept->partitions[kept->partitions_count++] = asked->partitions[i];
            continue;
        }
        if (!told)
            told = topic_answered(topics, asked);
        if (!told)
            return ERR_NO_MEMORY;
        told->partitions[told->partitions_count].partition_index = index;
        told->partitions[told->partitions_count++].error_code =
            err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    topics->kept_count += kept->partitions_count > 0;
    return OK;
}

static struct slice topic_key(const struct offset_topics *topics, const offsets_told_topic *topic)
{
    return topics->by_id ? slice_of(topic->topic_id.bytes, sizeof topic->topic_id.bytes)
                         : topic->name;
}

static enum err topics_order(struct offset_topics *topics)
{
    TRY(told_topics_open(&topics->own, topics->arena, (size_t)topics->own_count));
    for (int32_t i = 0; i < topics->own_count; i++) {
        topics->own.names[i] = topic_key(topics, &topics->told[i]);
        topics->own.room[i] = (size_t)topics->told[i].partitions_count;
    }
    return told_topics_order(&topics->own);
}

enum err offset_topics_split(struct offset_topics *topics, const struct metadata_image *image,
                             const offsets_asked_topic *asked, int32_t count)
{
    size_t room = (size_t)MAX(count, 0);

    topics->kept = offset_commit_request_offset_commit_request_topic_array(topics->arena, room);
    /* Twice: what the coordinator tells of comes behind. */
    topics->told =
        offset_commit_response_offset_commit_response_topic_array(topics->arena, 2 * room);
    if (!topics->kept || !topics->told)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_topic *metadata =
            topics->by_id ? metadata_image_topic_by_id(image, asked[i].topic_id)
                          : metadata_image_topic(image, asked[i].name);

        if (metadata)
            TRY(topic_split(topics, &asked[i], metadata));
        else
            TRY(topic_refuse(topics, &asked[i],
                             topics->by_id ? ERR_UNKNOWN_TOPIC_ID
                                           : ERR_UNKNOWN_TOPIC_OR_PARTITION));
    }
    topics->own_count = topics->told_count;
    for (int32_t i = 0; i < topics->kept_count; i++) {
        topics->kept[i].name = arena_copy(topics->arena, topics->kept[i].name);
        if (slice_is_null(topics->kept[i].name))
            return ERR_NO_MEMORY;
    }
    return topics_order(topics);
}

/* ---- the coordinator's part ---- */

/* Behind what was answered for the same topic here, else as a topic of its own. */
static enum err topic_merge(struct offset_topics *topics, const offsets_told_topic *from)
{
    size_t added = (size_t)MAX(from->partitions_count, 0);
    offsets_told_partition *partitions;
    offsets_told_topic *to;
    uint32_t index;

    if (!told_topics_find(&topics->own, topic_key(topics, from), &index)) {
        topics->told[topics->told_count++] = *from;
        return OK;
    }
    to = &topics->told[index];
    partitions =
        told_topics_append(&topics->own, index, to->partitions, (size_t)to->partitions_count,
                           from->partitions, added, sizeof *partitions);
    if (!partitions)
        return ERR_NO_MEMORY;
    to->partitions = partitions;
    to->partitions_count += (int32_t)added;
    return OK;
}

enum err offset_topics_merge(struct offset_topics *topics, const offsets_told_topic *told,
                             int32_t count)
{
    for (int32_t i = 0; i < count && i < topics->kept_count; i++)
        TRY(topic_merge(topics, &told[i]));
    return OK;
}

enum err offset_topics_fail(struct offset_topics *topics, enum err err)
{
    for (int32_t i = 0; i < topics->kept_count; i++) {
        const offsets_asked_topic *asked = &topics->kept[i];
        offsets_told_topic told = {.name = asked->name, .topic_id = asked->topic_id};

        told.partitions = offset_commit_response_offset_commit_response_partition_array(
            topics->arena, (size_t)asked->partitions_count);
        if (!told.partitions)
            return ERR_NO_MEMORY;
        for (int32_t k = 0; k < asked->partitions_count; k++) {
            told.partitions[told.partitions_count].partition_index =
                asked->partitions[k].partition_index;
            told.partitions[told.partitions_count++].error_code = err_wire_code(err);
        }
        TRY(topic_merge(topics, &told));
    }
    return OK;
}
