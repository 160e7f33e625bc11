/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/replay_cluster.c: records about brokers and controllers.
 */
#include "metadata/metadata_internal.h"

#include "protocol/generated/messages.h"

/* Ascending, so that equal sets are equal arrays. */
static void uuids_sort(struct uuid *ids, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct uuid id = ids[i];
        size_t at = i;

        for (; at > 0 && uuid_compare(ids[at - 1], id) > 0; at--)
            ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

static enum err uuids_copy(struct arena *arena, const struct uuid *from, int32_t count,
                           const struct uuid **out, size_t *count_out)
{
    struct uuid *ids;

    *out = NULL;
    *count_out = 0;
    if (count <= 0)
        return OK;
    ids = ARENA_ARRAY(arena, struct uuid, (size_t)count);
    if (!ids)
        return ERR_NO_MEMORY;
    memcpy(ids, from, (size_t)count * sizeof *ids);
    uuids_sort(ids, (size_t)count);
    *out = ids;
    *count_out = (size_t)count;
    return OK;
}

static enum err register_broker(struct replay *replay, const struct register_broker_record *record)
{
    struct arena *arena = &replay->state->scratch;
    size_t endpoint_count = (size_t)MAX(record->end_points_count, 0);
    size_t feature_count = (size_t)MAX(record->features_count, 0);
    struct metadata_endpoint *endpoints =
        ARENA_ARRAY(arena, struct metadata_endpoint, endpoint_count);
    struct metadata_feature_range *features =
        ARENA_ARRAY(arena, struct metadata_feature_range, feature_count);
    struct metadata_broker draft = {
        .id = record->broker_id,
        .epoch = record->broker_epoch,
        .incarnation_id = record->incarnation_id,
        .rack = record->rack,
        .fenced = record->fenced,
        .in_controlled_shutdown = record->in_controlled_shutdown,
        .is_migrating_zk = record->is_migrating_zk_broker,
        .endpoints = endpoints,
        .endpoint_count = endpoint_count,
        .features = features,
        .feature_count = feature_count,
        .cordoned_known = record->cordoned_log_dirs_count >= 0,
        .registration_offset = replay->offset,
    };

    if (!endpoints || !features)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < endpoint_count; i++)
        endpoints[i] = (struct metadata_endpoint){
            record->end_points[i].name, record->end_points[i].host, record->end_points[i].port,
            record->end_points[i].security_protocol};
    for (size_t i = 0; i < feature_count; i++)
        features[i] = (struct metadata_feature_range){record->features[i].name,
                                                      record->features[i].min_supported_version,
                                                      record->features[i].max_supported_version};
    TRY(uuids_copy(arena, record->log_dirs, record->log_dirs_count, &draft.directories,
                   &draft.directory_count));
    TRY(uuids_copy(arena, record->cordoned_log_dirs, record->cordoned_log_dirs_count,
                   &draft.cordoned, &draft.cordoned_count));
    return state_put(replay->state, METADATA_BROKERS,
                     object_broker(replay->state->allocator, &draft));
}

static enum err broker_of_epoch(struct replay *replay, int32_t id, int64_t epoch,
                                const struct metadata_broker **out)
{
    *out = metadata_image_broker(&replay->state->current, id);
    if (!*out)
        return why_set(replay->why, ERR_STATE, "broker %d is not registered", id);
    if ((*out)->epoch != epoch)
        return why_set(replay->why, ERR_STATE, "broker %d has epoch %lld, the record %lld", id,
                       (long long)(*out)->epoch, (long long)epoch);
    return OK;
}

static enum err unregister_broker(struct replay *replay,
                                  const struct unregister_broker_record *record)
{
    const struct metadata_broker *broker;

    TRY(broker_of_epoch(replay, record->broker_id, record->broker_epoch, &broker));
    return state_remove(replay->state, METADATA_BROKERS, broker);
}

static enum err broker_fence(struct replay *replay, int32_t id, int64_t epoch, bool fenced)
{
    const struct metadata_broker *broker;
    struct metadata_broker draft;

    TRY(broker_of_epoch(replay, id, epoch, &broker));
    draft = *broker;
    draft.fenced = fenced;
    return state_put(replay->state, METADATA_BROKERS,
                     object_broker(replay->state->allocator, &draft));
}

static enum err broker_change(struct replay *replay,
                              const struct broker_registration_change_record *record)
{
    struct arena *arena = &replay->state->scratch;
    const struct metadata_broker *broker;
    struct metadata_broker draft;

    TRY(broker_of_epoch(replay, record->broker_id, record->broker_epoch, &broker));
    if (record->fenced < -1 || record->fenced > 1)
        return why_set(replay->why, ERR_STATE, "fenced %d is none of -1, 0, 1", record->fenced);
    if (record->in_controlled_shutdown < 0 || record->in_controlled_shutdown > 1)
        return why_set(replay->why, ERR_STATE, "inControlledShutdown %d is none of 0, 1",
                       record->in_controlled_shutdown);
    draft = *broker;
    if (record->fenced != 0)
        draft.fenced = record->fenced == 1;
    if (record->in_controlled_shutdown == 1)
        draft.in_controlled_shutdown = true;
    if (record->log_dirs_count > 0)
        TRY(uuids_copy(arena, record->log_dirs, record->log_dirs_count, &draft.directories,
                       &draft.directory_count));
    if (record->cordoned_log_dirs_count >= 0) {
        TRY(uuids_copy(arena, record->cordoned_log_dirs, record->cordoned_log_dirs_count,
                       &draft.cordoned, &draft.cordoned_count));
        draft.cordoned_known = true;
    }
    return state_put(replay->state, METADATA_BROKERS,
                     object_broker(replay->state->allocator, &draft));
}

static enum err register_controller(struct replay *replay,
                                    const struct register_controller_record *record)
{
    struct arena *arena = &replay->state->scratch;
    size_t endpoint_count = (size_t)MAX(record->end_points_count, 0);
    size_t feature_count = (size_t)MAX(record->features_count, 0);
    struct metadata_endpoint *endpoints =
        ARENA_ARRAY(arena, struct metadata_endpoint, endpoint_count);
    struct metadata_feature_range *features =
        ARENA_ARRAY(arena, struct metadata_feature_range, feature_count);
    struct metadata_controller draft = {
        .id = record->controller_id,
        .incarnation_id = record->incarnation_id,
        .zk_migration_ready = record->zk_migration_ready,
        .endpoints = endpoints,
        .endpoint_count = endpoint_count,
        .features = features,
        .feature_count = feature_count,
    };

    if (!endpoints || !features)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < endpoint_count; i++)
        endpoints[i] = (struct metadata_endpoint){
            record->end_points[i].name, record->end_points[i].host, record->end_points[i].port,
            record->end_points[i].security_protocol};
    for (size_t i = 0; i < feature_count; i++)
        features[i] = (struct metadata_feature_range){record->features[i].name,
                                                      record->features[i].min_supported_version,
                                                      record->features[i].max_supported_version};
    return state_put(replay->state, METADATA_CONTROLLERS,
                     object_controller(replay->state->allocator, &draft));
}

static enum err unregister_controller(struct replay *replay,
                                      const struct unregister_controller_record *record)
{
    const struct metadata_controller *controller =
        metadata_image_controller(&replay->state->current, record->controller_id);

    if (!controller)
        return why_set(replay->why, ERR_STATE, "controller %d is not registered",
                       record->controller_id);
    return state_remove(replay->state, METADATA_CONTROLLERS, controller);
}

enum err replay_cluster(struct replay *replay, const struct metadata_record *record)
{
    const struct fence_broker_record *fence = record->message;
    const struct unfence_broker_record *unfence = record->message;

    switch (record->type->key) {
    case METADATA_RECORD_REGISTER_BROKER:
        return register_broker(replay, record->message);
    case METADATA_RECORD_UNREGISTER_BROKER:
        return unregister_broker(replay, record->message);
    case METADATA_RECORD_FENCE_BROKER:
        return broker_fence(replay, fence->id, fence->epoch, true);
    case METADATA_RECORD_UNFENCE_BROKER:
        return broker_fence(replay, unfence->id, unfence->epoch, false);
    case METADATA_RECORD_BROKER_REGISTRATION_CHANGE:
        return broker_change(replay, record->message);
    case METADATA_RECORD_REGISTER_CONTROLLER:
        return register_controller(replay, record->message);
    default:
        return unregister_controller(replay, record->message);
    }
}
