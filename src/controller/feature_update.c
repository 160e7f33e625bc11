/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/feature_update.c: UpdateFeatures. All features of a request change or none does. A level
 * must be within the range of every node that is known, fenced ones included: a node that could not read
 * the records of a level would end when it meets them.
 */
#include "controller/controller_internal.h"

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

struct update {
    struct call *call;
    const struct update_features_request *request;
    struct slice name;
    int16_t level;
    int8_t type; /* enum upgrade_type */
    struct why *why;
};

static enum err refuse(const struct update *update, const char *reason)
{
    return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                   "Invalid update version %d for feature %.*s. %s", update->level,
                   SLICE_ARGS(update->name), reason);
}

/* ---- who supports it ---- */

static enum err range_check(const struct update *update, const char *node, int32_t id, int16_t low,
                            int16_t high)
{
    if (update->level >= low && update->level <= high)
        return OK;
    if (high == 0)
        return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                       "Invalid update version %d for feature %.*s. %s %d does not support this "
                       "feature.",
                       update->level, SLICE_ARGS(update->name), node, id);
    return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                   "Invalid update version %d for feature %.*s. %s %d only supports versions %d-%d",
                   update->level, SLICE_ARGS(update->name), node, id, low, high);
}

static enum err node_check(const struct update *update, const char *node, int32_t id,
                           const struct metadata_feature_range *features, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(features[i].name, update->name))
            return range_check(update, node, id, features[i].level_min, features[i].level_max);
    }
    return range_check(update, node, id, 0, 0);
}

static enum err controllers_check(const struct update *update)
{
    const struct controller *own = update->call->controller;
    const struct metadata_controller *controller;
    struct metadata_walk walk;

    if (update->call->metadata_version < METADATA_VERSION_CONTROLLER_REGISTRATION)
        return OK;
    metadata_walk_start(&walk, update->call->image, METADATA_CONTROLLERS);
    while ((controller = metadata_walk_next(&walk))) {
        if (controller->id != own->options.node_id)
            TRY(node_check(update, "Controller", controller->id, controller->features,
                           controller->feature_count));
    }
    /* With kraft.version 0 the voters are a list in everybody's file. */
    for (size_t i = 0; own->kraft_version == 0 && i < own->voter_count; i++) {
        int32_t id = own->voters[i];

        if (id != own->options.node_id && !metadata_image_controller(update->call->image, id))
            return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                           "Invalid update version %d for feature %.*s. controller %d has not "
                           "registered, and may not support this feature",
                           update->level, SLICE_ARGS(update->name), id);
    }
    return OK;
}

static enum err support_check(const struct update *update)
{
    const struct feature_support *support = feature_find(update->name);
    const struct metadata_broker *broker;
    struct metadata_walk walk;

    TRY(range_check(update, "Local controller", update->call->controller->options.node_id,
                    support ? support->level_min : 0, support ? support->level_max : 0));
    metadata_walk_start(&walk, update->call->image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk)))
        TRY(node_check(update, "Broker", broker->id, broker->features, broker->feature_count));
    return controllers_check(update);
}

/* ---- one feature ---- */

static enum err level_record(const struct update *update)
{
    struct feature_level_record *record;

    TRY(record_add(update->call, METADATA_RECORD_FEATURE_LEVEL, 0, &record));
    record->name = update->name;
    record->feature_level = update->level;
    return OK;
}

static enum err metadata_version_update(const struct update *update)
{
    int16_t now = update->call->metadata_version;

    if (!metadata_version_name(update->level))
        return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                       "Invalid metadata.version %d. Valid versions are from %d to %d.",
                       update->level, METADATA_VERSION_MIN, METADATA_VERSION_MAX);
    for (int16_t level = now; level > update->level; level--) {
        if (metadata_version_changes_records(level))
            return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                           "Unsupported metadata.version downgrade from %d to %d. %s", now,
                           update->level,
                           update->type == UNSAFE_DOWNGRADE
                               ? "Unsafe metadata downgrade is not supported in this version."
                               : "Refusing to perform the requested downgrade because it might "
                                 "delete metadata information.");
    }
    return level_record(update);
}

static enum err kraft_version_update(const struct update *update, int16_t now)
{
    struct no_op_record *record;

    if (update->type != UPGRADE)
        return update->level == now
                   ? OK
                   : refuse(update, "Can't downgrade the version of this feature.");
    if (update->level == now)
        return OK;
    /* The quorum does it; the record gives the answer an offset to wait for. */
    update->call->result->kraft_version_upgrade = update->level;
    return record_add(update->call, METADATA_RECORD_NO_OP, 0, &record);
}

/* metadata.version as it will be when the whole request is done. */
static int16_t metadata_version_proposed(const struct update *update)
{
    int16_t level = update->call->metadata_version;

    for (int32_t i = 0; i < update->request->feature_updates_count; i++) {
        if (slice_equal_text(update->request->feature_updates[i].feature, FEATURE_METADATA_VERSION))
            level = update->request->feature_updates[i].max_version_level;
    }
    return level;
}

static enum err dependencies_check(const struct update *update)
{
    const struct feature_support *support = feature_find(update->name);
    int16_t needed;

    /* At level 0 every name is supported so far. */
    if (!support)
        return why_set(update->why, ERR_INVALID_UPDATE_VERSION,
                       "Invalid update version %d for feature %.*s. Feature %.*s not found.",
                       update->level, SLICE_ARGS(update->name), SLICE_ARGS(update->name));
    needed = feature_metadata_version_min(support->name, update->level);
    if (update->level == 0 || metadata_version_proposed(update) >= needed)
        return OK;
    return why_set(
        update->why, ERR_INVALID_UPDATE_VERSION,
        "Invalid update version %d for feature %.*s. %.*s could not be set to %d because "
        "it depends on metadata.version level %d",
        update->level, SLICE_ARGS(update->name), SLICE_ARGS(update->name), update->level, needed);
}

static enum err feature_update(const struct update *update)
{
    int16_t now = finalized_level(update->call, update->name);

    if (update->type < UPGRADE || update->type > UNSAFE_DOWNGRADE)
        return refuse(update, "The controller does not support the given upgrade type.");
    if (update->level < 0)
        return refuse(update, "A feature version cannot be less than 0.");
    TRY(support_check(update));
    if (update->level < now && update->type == UPGRADE)
        return refuse(update, "Can't downgrade the version of this feature without setting the "
                              "upgrade type to either safe or unsafe downgrade.");
    if (update->level > now && update->type != UPGRADE)
        return refuse(update, "Can't downgrade to a newer version.");
    if (slice_equal_text(update->name, FEATURE_METADATA_VERSION))
        return metadata_version_update(update);
    if (slice_equal_text(update->name, FEATURE_KRAFT_VERSION))
        return kraft_version_update(update, now);
    TRY(dependencies_check(update));
    return level_record(update);
}

/* ---- eligible leader replicas ---- */

/* With ELR the minimum must be one number for the whole cluster: a cluster-level value is written when
 * there is none, and values of single brokers go. */
static enum err elr_configs(struct call *call)
{
    struct slice key = SLICE("min.insync.replicas");
    const struct metadata_configs *configs;
    struct config_set nothing = CONFIG_SET_EMPTY;
    struct broker_layers layers;
    enum config_source source;
    struct config_record *record;
    struct metadata_walk walk;

    if (slice_is_null(
            metadata_image_config(call->image, METADATA_RESOURCE_BROKER, SLICE_EMPTY, key))) {
        TRY(broker_layers_of(call, &layers));
        layers.layers.node = &nothing;
        TRY(record_add(call, METADATA_RECORD_CONFIG, 0, &record));
        record->resource_type = METADATA_RESOURCE_BROKER;
        record->name = key;
        record->value = config_topic_effective(call->arena, &layers.layers, &nothing,
                                               TOPIC_MIN_INSYNC_REPLICAS, &source);
    }
    metadata_walk_start(&walk, call->image, METADATA_CONFIGS);
    while ((configs = metadata_walk_next(&walk))) {
        if (configs->resource_type != METADATA_RESOURCE_BROKER ||
            configs->resource_name.size_bytes == 0 ||
            slice_is_null(metadata_image_config(call->image, METADATA_RESOURCE_BROKER,
                                                configs->resource_name, key)))
            continue;
        TRY(record_add(call, METADATA_RECORD_CONFIG, 0, &record));
        record->resource_type = METADATA_RESOURCE_BROKER;
        record->resource_name = arena_copy(call->arena, configs->resource_name);
        if (slice_is_null(record->resource_name))
            return ERR_NO_MEMORY;
        record->name = key;
        record->value = SLICE_NULL;
    }
    return OK;
}

static bool elr_is_enabled_by(const struct call *call,
                              const struct update_features_request *request)
{
    for (int32_t i = 0; i < request->feature_updates_count; i++) {
        if (slice_equal_text(request->feature_updates[i].feature, FEATURE_ELR_VERSION))
            return !call->elr && request->feature_updates[i].max_version_level > 0;
    }
    return false;
}

/* ---- the request ---- */

static int8_t upgrade_type(const struct call *call,
                           const struct update_features_request_feature_update_key *asked)
{
    /* Version 0 has a flag that is not looked at. */
    return call->request->api_version == 0 ? (int8_t)UPGRADE : asked->upgrade_type;
}

/* A feature that is named again is changed as it was named last, and once. */
static enum err updates_settle(struct call *call, const struct update_features_request *request,
                               struct update_features_request *out)
{
    size_t count = (size_t)MAX(request->feature_updates_count, 0);
    struct slice *names = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    *out = *request;
    out->feature_updates = update_features_request_feature_update_key_array(call->arena, count);
    out->feature_updates_count = 0;
    if (!names || !out->feature_updates)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = request->feature_updates[count - 1 - i].feature;
    TRY(names_repeated(call->arena, names, count, &repeats));
    for (size_t i = 0; i < count; i++) {
        if (repeats[count - 1 - i] != NAME_AGAIN)
            out->feature_updates[out->feature_updates_count++] = request->feature_updates[i];
    }
    return OK;
}

static enum err updates_run(struct call *call, const struct update_features_request *request,
                            struct why *why)
{
    if (elr_is_enabled_by(call, request))
        TRY(elr_configs(call));
    for (int32_t i = 0; i < request->feature_updates_count; i++) {
        const struct update_features_request_feature_update_key *asked =
            &request->feature_updates[i];
        struct update update = {.call = call,
                                .request = request,
                                .name = asked->feature,
                                .level = asked->max_version_level,
                                .type = upgrade_type(call, asked),
                                .why = why};

        TRY(feature_update(&update));
    }
    return OK;
}

static enum err results_set(struct call *call, const struct update_features_request *request,
                            struct update_features_response *response)
{
    size_t count = (size_t)MAX(request->feature_updates_count, 0);

    response->error_message = SLICE_NULL;
    if (call->request->api_version > 1)
        return OK;
    response->results = update_features_response_updatable_feature_result_array(call->arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    response->results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        response->results[i].feature = request->feature_updates[i].feature;
        response->results[i].error_message = SLICE("NONE"); /* Kafka's word for success here */
    }
    return OK;
}

enum err decide_update_features(struct call *call, const void *body, void *answer)
{
    const struct update_features_request *request = body;
    struct update_features_response *response = answer;
    struct update_features_request settled;
    struct why why = {0};
    enum err err;

    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    TRY(updates_settle(call, request, &settled));
    err = updates_run(call, &settled, &why);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK || request->validate_only) {
        call->records->count = 0;
        call->result->kraft_version_upgrade = -1;
    }
    if (err == OK)
        return results_set(call, request, response);
    response->error_code = item_code(err);
    response->error_message =
        arena_format_slice(call->arena,
                           "The update failed for all features since the following feature had an "
                           "error: %s",
                           why.text);
    return slice_is_null(response->error_message) ? ERR_NO_MEMORY : OK;
}
