/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/consumer_embedded.c: what classic consumers say to each other through the coordinator:
 * subscriptions, with the partitions that they have, and assignments. By names there, by ids here.
 */
#include "coordinator/group/consumer_internal.h"

#define EMBEDDED_VERSION_MAX 3

static enum err embedded_version(struct cursor *cursor, int16_t *out)
{
    if (cursor_i16(cursor, out) != OK || *out < 0)
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    *out = MIN(*out, (int16_t)EMBEDDED_VERSION_MAX); /* later ones only add at the end */
    return OK;
}

static enum err embedded_decode(const struct message_type *type, struct slice bytes,
                                struct arena *arena, void *out)
{
    struct cursor cursor = cursor_of(bytes);
    int16_t version;
    enum err err;

    TRY(embedded_version(&cursor, &version));
    message_init(type, out);
    err = message_decode(type, version, &cursor, arena, out);
    return err == OK || err == ERR_NO_MEMORY ? err : ERR_INCONSISTENT_GROUP_PROTOCOL;
}

enum err consumer_subscription_decode(struct slice bytes, struct arena *arena,
                                      struct consumer_protocol_subscription *out)
{
    return embedded_decode(&consumer_protocol_subscription_type, bytes, arena, out);
}

/* Topics that are not there are dropped. */
enum err consumer_subscription_owned(const struct consumer_protocol_subscription *subscription,
                                     const struct metadata_image *image, struct arena *arena,
                                     struct topic_partitions **out, int32_t *count_out)
{
    int32_t count = MAX(subscription->owned_partitions_count, 0), kept = 0;

    *out = ARENA_ARRAY(arena, struct topic_partitions, (size_t)count);
    if (!*out)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        const struct consumer_protocol_subscription_topic_partition *from =
            &subscription->owned_partitions[i];
        const struct metadata_topic *topic = metadata_image_topic(image, from->topic);

        if (topic)
            (*out)[kept++] = (struct topic_partitions){
                .topic_id = topic->id,
                .partitions = from->partitions,
                .count = MAX(from->partitions_count, 0),
            };
    }
    *count_out = kept;
    return OK;
}

enum err consumer_assignment_encode(const struct assignment *assignment,
                                    const struct metadata_image *image, struct slice subscription,
                                    struct arena *arena, struct slice *out)
{
    struct consumer_protocol_assignment message;
    struct cursor cursor = cursor_of(subscription);
    CLEANUP(writer_release) struct writer writer;
    int16_t version;

    writer_init(&writer, arena->allocator, SIZE_MAX);
    TRY(embedded_version(&cursor, &version));
    message_init(&consumer_protocol_assignment_type, &message);
    message.assigned_partitions =
        consumer_protocol_assignment_topic_partition_array(arena, (size_t)assignment->count);
    if (!message.assigned_partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < assignment->count; i++) {
        const struct topic_partitions *from = &assignment->topics[i];
        const struct metadata_topic *topic = metadata_image_topic_by_id(image, from->topic_id);
        struct consumer_protocol_assignment_topic_partition *to;

        if (!topic)
            continue; /* deleted meanwhile */
        to = &message.assigned_partitions[message.assigned_partitions_count++];
        to->topic = topic->name;
        to->partitions = ARENA_ARRAY(arena, int32_t, (size_t)from->count);
        if (!to->partitions)
            return ERR_NO_MEMORY;
        memcpy(to->partitions, from->partitions, (size_t)from->count * sizeof *to->partitions);
        to->partitions_count = from->count;
    }
    writer_i16(&writer, version);
    TRY(message_encode(&consumer_protocol_assignment_type, version, &message, &writer));
    TRY(writer_error(&writer));
    *out = arena_copy(arena, writer_slice(&writer));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

/* Ascending, each once. */
static enum err topic_sort(struct topic_partitions *topic, int32_t epoch, struct arena *arena)
{
    int32_t *partitions = ARENA_ARRAY(arena, int32_t, (size_t)topic->count * 2), *epochs;
    int32_t unique = 0;

    if (!partitions)
        return ERR_NO_MEMORY;
    epochs = partitions + topic->count;
    memcpy(partitions, topic->partitions, (size_t)topic->count * sizeof *partitions);
    consumer_sort_i32(partitions, topic->count);
    for (int32_t i = 0; i < topic->count; i++)
        if (unique == 0 || partitions[unique - 1] != partitions[i]) {
            epochs[unique] = epoch;
            partitions[unique++] = partitions[i];
        }
    topic->partitions = partitions;
    topic->epochs = epochs;
    topic->count = unique;
    return OK;
}

enum err consumer_assignment_make(const struct topic_partitions *list, int32_t count, int32_t epoch,
                                  struct arena *arena, struct assignment *out, bool *repeats_out)
{
    struct topic_partitions *topics = ARENA_ARRAY(arena, struct topic_partitions, (size_t)count);
    int32_t kept = 0;

    *repeats_out = false;
    if (!topics)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        struct topic_partitions topic = list[i];
        int32_t at = 0, end = kept;

        if (topic.count == 0)
            continue;
        while (at < end) {
            int32_t middle = at + (end - at) / 2;

            if (uuid_compare(topics[middle].topic_id, topic.topic_id) < 0)
                at = middle + 1;
            else
                end = middle;
        }
        if (at < kept && uuid_equal(topics[at].topic_id, topic.topic_id)) {
            *repeats_out = true;
            continue;
        }
        TRY(topic_sort(&topic, epoch, arena));
        memmove(topics + at + 1, topics + at, (size_t)(kept - at) * sizeof *topics);
        topics[at] = topic;
        kept++;
    }
    *out = (struct assignment){topics, kept};
    return OK;
}

enum err consumer_assignment_decode(struct slice bytes, const struct metadata_image *image,
                                    int32_t epoch, struct arena *arena, struct assignment *out,
                                    bool *has_user_data_out)
{
    struct consumer_protocol_assignment message;
    struct topic_partitions *list;
    int32_t count, kept = 0;
    bool repeats;

    *out = (struct assignment){0};
    *has_user_data_out = false;
    if (bytes.size_bytes == 0)
        return OK;
    TRY(embedded_decode(&consumer_protocol_assignment_type, bytes, arena, &message));
    *has_user_data_out = message.user_data.size_bytes > 0;
    count = MAX(message.assigned_partitions_count, 0);
    list = ARENA_ARRAY(arena, struct topic_partitions, (size_t)count);
    if (!list)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < count; i++) {
        const struct consumer_protocol_assignment_topic_partition *named =
            &message.assigned_partitions[i];
        const struct metadata_topic *topic = metadata_image_topic(image, named->topic);

        if (!topic)
            continue;
        list[kept++] = (struct topic_partitions){.topic_id = topic->id,
                                                 .partitions = named->partitions,
                                                 .count = MAX(named->partitions_count, 0)};
        for (int32_t j = 0; j < named->partitions_count; j++)
            if (named->partitions[j] < 0 || named->partitions[j] >= CONSUMER_PARTITIONS_MAX)
                return ERR_INCONSISTENT_GROUP_PROTOCOL;
    }
    TRY(consumer_assignment_make(list, kept, epoch, arena, out, &repeats));
    return repeats ? ERR_INCONSISTENT_GROUP_PROTOCOL : OK; /* the same topic twice */
}
