/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/snapshot.c: an image as records, in Kafka's order: features (metadata.version first),
 * brokers, controllers, topics each with its partitions, configs, quotas, producer ids, ACLs, SCRAM
 * credentials, tokens. What the finalized metadata.version cannot say is left out.
 * Crash  none: the snapshot holds an image and can be made again.
 */
#include "metadata/metadata_internal.h"

#include "protocol/generated/messages.h"

enum snapshot_stage {
    STAGE_VERSION,
    STAGE_FEATURES,
    STAGE_BROKERS,
    STAGE_CONTROLLERS,
    STAGE_TOPICS,
    STAGE_CONFIGS,
    STAGE_QUOTAS,
    STAGE_PRODUCER_IDS,
    STAGE_ACLS,
    STAGE_SCRAMS,
    STAGE_TOKENS,
    STAGE_END,
};

/* Where the walk through an image stands. */
struct snapshot_walk {
    const struct metadata_image *image;
    int16_t metadata_version;
    bool elr;
    enum snapshot_stage stage;
    bool started; /* the stage's walk */
    struct metadata_walk walk;
    const struct metadata_topic *topic; /* whose partitions are next */
    const void *object;                 /* whose entries are next */
    size_t at;
    struct arena *arena;
    struct metadata_record_list *list;
};

static enum err add(struct snapshot_walk *walk, int16_t key, int16_t version, void **message_out)
{
    return metadata_record_add(walk->list, walk->arena, key, version, message_out);
}

/* Message fields are not const because decoders fill them; encoders do not write. */
#define FIELD(pointer) ((void *)(uintptr_t)(pointer))

static enum err feature_add(struct snapshot_walk *walk, const struct metadata_feature *feature)
{
    struct feature_level_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_FEATURE_LEVEL, 0, &message));
    record = message;
    record->name = feature->name;
    record->feature_level = feature->level;
    return OK;
}

static enum err broker_add(struct snapshot_walk *walk, const struct metadata_broker *broker)
{
    int16_t version = register_broker_record_version(walk->metadata_version);
    struct register_broker_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_REGISTER_BROKER, version, &message));
    record = message;
    record->broker_id = broker->id;
    record->broker_epoch = broker->epoch;
    record->incarnation_id = broker->incarnation_id;
    record->rack = broker->rack;
    record->fenced = broker->fenced;
    record->in_controlled_shutdown = broker->in_controlled_shutdown;
    record->is_migrating_zk_broker = broker->is_migrating_zk && version >= 2;
    record->end_points =
        register_broker_record_broker_endpoint_array(walk->arena, broker->endpoint_count);
    record->features =
        register_broker_record_broker_feature_array(walk->arena, broker->feature_count);
    if (!record->end_points || !record->features)
        return ERR_NO_MEMORY;
    record->end_points_count = (int32_t)broker->endpoint_count;
    record->features_count = (int32_t)broker->feature_count;
    for (size_t i = 0; i < broker->endpoint_count; i++) {
        record->end_points[i].name = broker->endpoints[i].name;
        record->end_points[i].host = broker->endpoints[i].host;
        record->end_points[i].port = broker->endpoints[i].port;
        record->end_points[i].security_protocol = broker->endpoints[i].security_protocol;
    }
    for (size_t i = 0; i < broker->feature_count; i++) {
        record->features[i].name = broker->features[i].name;
        record->features[i].min_supported_version = broker->features[i].level_min;
        record->features[i].max_supported_version = broker->features[i].level_max;
    }
    if (version >= 3) {
        record->log_dirs = FIELD(broker->directories);
        record->log_dirs_count = (int32_t)broker->directory_count;
    }
    if (version >= 4 && broker->cordoned_known) {
        record->cordoned_log_dirs = FIELD(broker->cordoned);
        record->cordoned_log_dirs_count = (int32_t)broker->cordoned_count;
    }
    return OK;
}

static enum err controller_add(struct snapshot_walk *walk,
                               const struct metadata_controller *controller)
{
    struct register_controller_record *record;
    void *message;

    if (walk->metadata_version < METADATA_VERSION_CONTROLLER_REGISTRATION)
        return OK;
    TRY(add(walk, METADATA_RECORD_REGISTER_CONTROLLER, 0, &message));
    record = message;
    record->controller_id = controller->id;
    record->incarnation_id = controller->incarnation_id;
    record->zk_migration_ready = controller->zk_migration_ready;
    record->end_points = register_controller_record_controller_endpoint_array(
        walk->arena, controller->endpoint_count);
    record->features =
        register_controller_record_controller_feature_array(walk->arena, controller->feature_count);
    if (!record->end_points || !record->features)
        return ERR_NO_MEMORY;
    record->end_points_count = (int32_t)controller->endpoint_count;
    record->features_count = (int32_t)controller->feature_count;
    for (size_t i = 0; i < controller->endpoint_count; i++) {
        record->end_points[i].name = controller->endpoints[i].name;
        record->end_points[i].host = controller->endpoints[i].host;
        record->end_points[i].port = controller->endpoints[i].port;
        record->end_points[i].security_protocol = controller->endpoints[i].security_protocol;
    }
    for (size_t i = 0; i < controller->feature_count; i++) {
        record->features[i].name = controller->features[i].name;
        record->features[i].min_supported_version = controller->features[i].level_min;
        record->features[i].max_supported_version = controller->features[i].level_max;
    }
    return OK;
}

static enum err topic_add(struct snapshot_walk *walk, const struct metadata_topic *topic)
{
    struct topic_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_TOPIC, 0, &message));
    record = message;
    record->name = topic->name;
    record->topic_id = topic->id;
    return OK;
}

static enum err partition_add(struct snapshot_walk *walk, const struct metadata_topic *topic,
                              const struct metadata_partition *partition)
{
    int16_t version = partition_record_version(walk->metadata_version);
    struct partition_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_PARTITION, version, &message));
    record = message;
    record->partition_id = partition->index;
    record->topic_id = topic->id;
    record->replicas = FIELD(partition->replicas);
    record->replicas_count = (int32_t)partition->replica_count;
    record->isr = FIELD(partition->isr);
    record->isr_count = (int32_t)partition->isr_count;
    record->removing_replicas = FIELD(partition->removing);
    record->removing_replicas_count = (int32_t)partition->removing_count;
    record->adding_replicas = FIELD(partition->adding);
    record->adding_replicas_count = (int32_t)partition->adding_count;
    record->leader = partition->leader;
    record->leader_recovery_state = partition->recovering ? 1 : 0;
    record->leader_epoch = partition->leader_epoch;
    record->partition_epoch = partition->partition_epoch;
    if (version >= 1) {
        record->directories = FIELD(partition->directories);
        record->directories_count = (int32_t)partition->replica_count;
    }
    if (walk->elr && version >= 2 && partition->elr_count > 0) {
        record->eligible_leader_replicas = FIELD(partition->elr);
        record->eligible_leader_replicas_count = (int32_t)partition->elr_count;
    }
    if (walk->elr && version >= 2 && partition->last_known_elr_count > 0) {
        record->last_known_elr = FIELD(partition->last_known_elr);
        record->last_known_elr_count = (int32_t)partition->last_known_elr_count;
    }
    return OK;
}

static enum err config_add(struct snapshot_walk *walk, const struct metadata_configs *configs,
                           const struct metadata_config_entry *entry)
{
    struct config_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_CONFIG, 0, &message));
    record = message;
    record->resource_type = configs->resource_type;
    record->resource_name = configs->resource_name;
    record->name = entry->key;
    record->value = entry->value;
    return OK;
}

static enum err quota_add(struct snapshot_walk *walk, const struct metadata_quota *quota,
                          const struct metadata_quota_value *value)
{
    struct client_quota_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_CLIENT_QUOTA, 0, &message));
    record = message;
    record->entity = client_quota_record_entity_data_array(walk->arena, quota->part_count);
    if (!record->entity)
        return ERR_NO_MEMORY;
    record->entity_count = (int32_t)quota->part_count;
    for (size_t i = 0; i < quota->part_count; i++) {
        record->entity[i].entity_type = quota->parts[i].type;
        record->entity[i].entity_name = quota->parts[i].name;
    }
    record->key = value->key;
    record->value = value->value;
    return OK;
}

static enum err producer_ids_add(struct snapshot_walk *walk)
{
    struct producer_ids_record *record;
    void *message;

    if (walk->image->next_producer_id <= 0)
        return OK;
    TRY(add(walk, METADATA_RECORD_PRODUCER_IDS, 0, &message));
    record = message;
    record->broker_id = -1;
    record->broker_epoch = -1;
    record->next_producer_id = walk->image->next_producer_id;
    return OK;
}

static enum err acl_add(struct snapshot_walk *walk, const struct metadata_acl *acl)
{
    struct access_control_entry_record *record;
    void *message;

    TRY(add(walk, METADATA_RECORD_ACCESS_CONTROL_ENTRY, 0, &message));
    record = message;
    record->id = acl->id;
    record->resource_type = acl->resource_type;
    record->resource_name = acl->resource_name;
    record->pattern_type = acl->pattern_type;
    record->principal = acl->principal;
    record->host = acl->host;
    record->operation = acl->operation;
    record->permission_type = acl->permission;
    return OK;
}

static enum err scram_add(struct snapshot_walk *walk, const struct metadata_scram *scram)
{
    struct user_scram_credential_record *record;
    void *message;

    if (walk->metadata_version < METADATA_VERSION_SCRAM)
        return OK;
    TRY(add(walk, METADATA_RECORD_USER_SCRAM_CREDENTIAL, 0, &message));
    record = message;
    record->name = scram->user;
    record->mechanism = scram->mechanism;
    record->salt = scram->salt;
    record->stored_key = scram->stored_key;
    record->server_key = scram->server_key;
    record->iterations = scram->iterations;
    return OK;
}

static enum err token_add(struct snapshot_walk *walk, const struct metadata_token *token)
{
    struct delegation_token_record *record;
    void *message;

    if (walk->metadata_version < METADATA_VERSION_DELEGATION_TOKENS)
        return OK;
    TRY(add(walk, METADATA_RECORD_DELEGATION_TOKEN, 0, &message));
    record = message;
    record->owner = token->owner;
    record->requester = token->requester;
    record->renewers = FIELD(token->renewers);
    record->renewers_count = (int32_t)token->renewer_count;
    record->issue_timestamp = token->issue_ms;
    record->max_timestamp = token->max_ms;
    record->expiration_timestamp = token->expiry_ms;
    record->token_id = token->id;
    return OK;
}

/* ---- the walk ---- */

static enum metadata_map stage_map(enum snapshot_stage stage)
{
    static const enum metadata_map maps[STAGE_END] = {
        [STAGE_FEATURES] = METADATA_FEATURES,
        [STAGE_BROKERS] = METADATA_BROKERS,
        [STAGE_CONTROLLERS] = METADATA_CONTROLLERS,
        [STAGE_TOPICS] = METADATA_TOPICS,
        [STAGE_CONFIGS] = METADATA_CONFIGS,
        [STAGE_QUOTAS] = METADATA_QUOTAS,
        [STAGE_ACLS] = METADATA_ACLS,
        [STAGE_SCRAMS] = METADATA_SCRAMS,
        [STAGE_TOKENS] = METADATA_TOKENS,
    };

    return maps[stage];
}

static enum err object_add(struct snapshot_walk *walk, const void *object)
{
    const struct metadata_feature *feature = object;

    switch (walk->stage) {
    case STAGE_FEATURES:
        if (slice_equal_text(feature->name, FEATURE_METADATA_VERSION))
            return OK; /* has come first */
        return feature_add(walk, feature);
    case STAGE_BROKERS:
        return broker_add(walk, object);
    case STAGE_CONTROLLERS:
        return controller_add(walk, object);
    case STAGE_TOPICS:
        walk->topic = object;
        walk->at = 0;
        return topic_add(walk, object);
    case STAGE_CONFIGS:
    case STAGE_QUOTAS:
        walk->object = object;
        walk->at = 0;
        return OK;
    case STAGE_ACLS:
        return acl_add(walk, object);
    case STAGE_SCRAMS:
        return scram_add(walk, object);
    default:
        return token_add(walk, object);
    }
}

/* Goes on inside a topic, config or quota set; *done_out when there was nothing left in it. */
static enum err inner_step(struct snapshot_walk *walk, bool *done_out)
{
    *done_out = false;
    if (walk->topic) {
        const struct metadata_partition *partition =
            metadata_topic_partition(walk->topic, (int32_t)walk->at);

        if (walk->at < (size_t)walk->topic->block_count * METADATA_BLOCK_PARTITIONS) {
            walk->at++;
            return partition ? partition_add(walk, walk->topic, partition) : OK;
        }
    } else if (walk->object && walk->stage == STAGE_CONFIGS) {
        const struct metadata_configs *configs = walk->object;

        if (walk->at < configs->entry_count)
            return config_add(walk, configs, &configs->entries[walk->at++]);
    } else if (walk->object && walk->stage == STAGE_QUOTAS) {
        const struct metadata_quota *quota = walk->object;

        if (walk->at < quota->value_count)
            return quota_add(walk, quota, &quota->values[walk->at++]);
    }
    walk->topic = NULL;
    walk->object = NULL;
    *done_out = true;
    return OK;
}

/* Adds at most one record or moves on one place. */
static enum err walk_step(struct snapshot_walk *walk)
{
    const void *object;
    bool done;

    TRY(inner_step(walk, &done));
    if (!done)
        return OK;
    if (walk->stage == STAGE_VERSION) {
        const struct metadata_feature *version =
            metadata_image_feature(walk->image, SLICE(FEATURE_METADATA_VERSION));

        walk->stage = STAGE_FEATURES;
        return version ? feature_add(walk, version) : OK;
    }
    if (walk->stage == STAGE_PRODUCER_IDS) {
        walk->stage++;
        return producer_ids_add(walk);
    }
    if (!walk->started) {
        metadata_walk_start(&walk->walk, walk->image, stage_map(walk->stage));
        walk->started = true;
    }
    object = metadata_walk_next(&walk->walk);
    if (object)
        return object_add(walk, object);
    walk->stage++;
    walk->started = false;
    return OK;
}

static void walk_init(struct snapshot_walk *walk, const struct metadata_image *image)
{
    *walk = (struct snapshot_walk){
        .image = image,
        .metadata_version = metadata_image_version(image),
        .elr = metadata_image_level(image, FEATURE_ELR_VERSION) > 0,
    };
}

enum err metadata_image_to_records(const struct metadata_image *image, struct arena *arena,
                                   struct metadata_record_list *list_out)
{
    struct snapshot_walk walk;

    *list_out = (struct metadata_record_list){0};
    walk_init(&walk, image);
    walk.arena = arena;
    walk.list = list_out;
    while (walk.stage != STAGE_END)
        TRY(walk_step(&walk));
    return OK;
}

struct metadata_snapshot {
    struct allocator *allocator;
    struct metadata_image *image;
    struct arena arena; /* the list handed out last */
    struct snapshot_walk walk;
};

enum err metadata_snapshot_start(struct metadata_image *image, struct allocator *allocator,
                                 struct metadata_snapshot **out)
{
    struct metadata_snapshot *snapshot = ALLOCATOR_NEW(allocator, struct metadata_snapshot);

    *out = snapshot;
    if (!snapshot)
        return ERR_NO_MEMORY;
    snapshot->allocator = allocator;
    snapshot->image = metadata_image_ref(image);
    arena_init(&snapshot->arena, allocator, SIZE_MAX);
    walk_init(&snapshot->walk, image);
    return OK;
}

enum err metadata_snapshot_next(struct metadata_snapshot *snapshot,
                                struct metadata_record_list *list_out)
{
    *list_out = (struct metadata_record_list){0};
    arena_reset(&snapshot->arena);
    snapshot->walk.arena = &snapshot->arena;
    snapshot->walk.list = list_out;
    while (snapshot->walk.stage != STAGE_END && list_out->count < METADATA_SNAPSHOT_LIST)
        TRY(walk_step(&snapshot->walk));
    return OK;
}

void metadata_snapshot_release(struct metadata_snapshot **snapshot)
{
    struct metadata_snapshot *old = TAKE(*snapshot);

    if (!old)
        return;
    metadata_image_release(&old->image);
    arena_release(&old->arena);
    ALLOCATOR_DELETE(old->allocator, old);
}
