/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/assignment.c: replicas of new partitions: checks of assignments that people give, the
 * first ISR and leader, and the quota on partition changes.
 */
#include "controller/controller_internal.h"

enum err active_replicas(struct call *call, const int32_t *replicas, size_t count, struct ids *out)
{
    out->count = 0;
    out->items = ARENA_ARRAY(call->arena, int32_t, count);
    if (!out->items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (broker_is_active(call->image, replicas[i]))
            out->items[out->count++] = replicas[i];
    }
    return OK;
}

enum err partition_record_add(struct call *call, struct uuid topic_id, int32_t index,
                              const int32_t *replicas, size_t replica_count)
{
    struct partition_record *record;
    struct ids copy, isr;

    TRY(ids_copy(call->arena, replicas, replica_count, &copy));
    TRY(active_replicas(call, replicas, replica_count, &isr));
    ASSERT(isr.count > 0); /* checked by the caller */
    TRY(record_add(call, METADATA_RECORD_PARTITION,
                   partition_record_version(call->metadata_version), &record));
    record->partition_id = index;
    record->topic_id = topic_id;
    record->replicas = copy.items;
    record->replicas_count = (int32_t)copy.count;
    record->isr = isr.items;
    record->isr_count = (int32_t)isr.count;
    record->leader = isr.items[0];
    record->leader_epoch = 0;
    record->partition_epoch = 0;
    if (call->metadata_version < METADATA_VERSION_DIRECTORIES)
        return OK;
    record->directories = ARENA_ARRAY(call->arena, struct uuid, replica_count);
    if (!record->directories)
        return ERR_NO_MEMORY;
    record->directories_count = (int32_t)replica_count;
    for (size_t i = 0; i < replica_count; i++)
        record->directories[i] = broker_default_directory(call->image, replicas[i]);
    return OK;
}

enum err assignment_check(struct call *call, const int32_t *replicas, int32_t count, int32_t factor,
                          struct why *why)
{
    struct ids sorted;

    if (count <= 0)
        return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                       "The manual partition assignment includes an empty replica list.");
    TRY(ids_copy(call->arena, replicas, (size_t)count, &sorted));
    ids_sort(&sorted);
    for (size_t i = 0; i < sorted.count; i++) {
        int32_t id = sorted.items[i];
        const struct metadata_broker *broker = metadata_image_broker(call->image, id);

        if (!broker)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "The manual partition assignment includes broker %d, but no such broker "
                           "is registered.",
                           id);
        if (!broker_has_uncordoned(broker))
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "The manual partition assignment includes broker %d, but all its log "
                           "directories are cordoned.",
                           id);
        if (i > 0 && sorted.items[i - 1] == id)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "The manual partition assignment includes the broker %d more than once.",
                           id);
    }
    if (factor >= 0 && count != factor)
        return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                       "The manual partition assignment includes a partition with %d replica(s), "
                       "but this is not consistent with previous partitions, which have %d "
                       "replica(s).",
                       count, factor);
    return OK;
}

enum err quota_take(struct call *call, int32_t partitions)
{
    struct controller_quota *quota = call->request->quota;

    return quota ? quota->record(quota, partitions) : OK;
}
