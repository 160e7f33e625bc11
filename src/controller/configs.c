/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/configs.c: IncrementalAlterConfigs and AlterConfigs. A resource is changed whole or not at
 * all; the config module says what a change amounts to and whether the outcome is valid, this file
 * whether the resource exists and may be changed, and what goes into the log.
 */
#include "controller/controller_internal.h"

#include "base/parse.h"
#include "metadata/topic_name.h"

/* One resource of either request. */
struct resource_change {
    int8_t type;
    struct slice name;
    bool replace; /* AlterConfigs */
    const struct config_operation *operations;
    struct config_set wanted; /* replace */
    size_t count;
};

static bool type_is_known(int8_t type)
{
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_BROKER_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

static enum err change_allowed(struct call *call, const struct resource_change *change,
                               struct why *why)
{
    switch (change->type) {
    case CONFIG_RESOURCE_BROKER:
    case CONFIG_RESOURCE_CLIENT_METRICS:
        return call_allowed(call, OPERATION_ALTER_CONFIGS, RESOURCE_CLUSTER, CLUSTER_RESOURCE)
                   ? OK
                   : ERR_CLUSTER_AUTHORIZATION_FAILED;
    case CONFIG_RESOURCE_TOPIC:
        return call_allowed(call, OPERATION_ALTER_CONFIGS, RESOURCE_TOPIC, change->name)
                   ? OK
                   : ERR_TOPIC_AUTHORIZATION_FAILED;
    case CONFIG_RESOURCE_GROUP:
        return call_allowed(call, OPERATION_ALTER_CONFIGS, RESOURCE_GROUP, change->name)
                   ? OK
                   : ERR_GROUP_AUTHORIZATION_FAILED;
    default:
        /* Log levels are each node's own and never in the metadata log. */
        return why_set(why, ERR_INVALID_REQUEST, "Unexpected resource type BROKER_LOGGER.");
    }
}

static bool node_is_registered(const struct call *call, int32_t id)
{
    const struct controller *controller = call->controller;

    return metadata_image_broker(call->image, id) || metadata_image_controller(call->image, id) ||
           ids_have(controller->voters, controller->voter_count, id);
}

static enum err resource_exists(struct call *call, const struct resource_change *change,
                                struct why *why)
{
    int32_t id;

    if (change->type == CONFIG_RESOURCE_TOPIC && !metadata_image_topic(call->image, change->name))
        return why_set(why, ERR_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.",
                       SLICE_ARGS(change->name));
    if (change->type != CONFIG_RESOURCE_BROKER || change->name.size_bytes == 0)
        return OK;
    if (parse_i32(change->name, &id) != OK)
        return why_set(why, ERR_INVALID_REQUEST, "Invalid broker name %.*s",
                       SLICE_ARGS(change->name));
    if (!node_is_registered(call, id))
        return why_set(why, ERR_BROKER_ID_NOT_REGISTERED, "No node with id %d found.", id);
    return OK;
}

static enum err changes_record(struct call *call, const struct resource_change *change,
                               const struct config_set *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct config_record *record;

        TRY(record_add(call, METADATA_RECORD_CONFIG, 0, &record));
        record->resource_type = change->type;
        record->resource_name = change->name;
        /* The replaced object, whose key this may be, is gone before the last record is replayed. */
        record->name = arena_copy(call->arena, changes->pairs[i].key);
        record->value = arena_copy(call->arena, changes->pairs[i].value);
        if (slice_is_null(record->name) ||
            slice_is_null(record->value) != slice_is_null(changes->pairs[i].value))
            return ERR_NO_MEMORY;
    }
    return OK;
}

/* Another minimum makes the recorded eligible leaders meaningless. */
static enum err clear_elr_records(struct call *call, size_t from)
{
    size_t end = call->records->count;

    for (size_t i = from; call->elr && i < end; i++) {
        const struct config_record *config = call->records->items[i].message;
        struct clear_elr_record *record;

        if (call->records->items[i].type->key != METADATA_RECORD_CONFIG ||
            !slice_equal_text(config->name, "min.insync.replicas"))
            continue;
        TRY(record_add(call, METADATA_RECORD_CLEAR_ELR, 0, &record));
        if (config->resource_type == METADATA_RESOURCE_TOPIC)
            record->topic_name = config->resource_name;
    }
    return OK;
}

static enum err resource_alter(struct call *call, const struct resource_change *change,
                               struct why *why)
{
    struct why name_why = {0};
    struct config_rules rules = {.elr = call->elr,
                                 .cordoned_allowed =
                                     call->metadata_version >= METADATA_VERSION_CORDONED,
                                 .forwarded = call->request->forwarded,
                                 .name_why = &name_why};
    const struct config *config = call->controller->options.config;
    struct config_alteration alteration;
    struct config_set current;

    TRY(change_allowed(call, change, why));
    if (change->type == CONFIG_RESOURCE_TOPIC && change->name.size_bytes > 0)
        rules.name_err = topic_name_check(change->name, &name_why);
    TRY(configs_as_set(
        call->arena,
        metadata_image_configs(call->image, (enum metadata_resource)change->type, change->name),
        &current));
    if (change->replace)
        TRY(config_replace(call->arena, config, &rules, (enum config_resource)change->type,
                           change->name, &current, &change->wanted, &alteration, why));
    else
        TRY(config_alter(call->arena, config, &rules, (enum config_resource)change->type,
                         change->name, &current, change->operations, change->count, &alteration,
                         why));
    TRY(resource_exists(call, change, why));
    return changes_record(call, change, &alteration.changes);
}

/* The outcome of one resource; its records are gone when it failed. */
static enum err resource_run(struct call *call, const struct resource_change *change,
                             enum name_repeat repeat, int16_t *code_out, struct slice *text_out)
{
    size_t before = call->records->count;
    struct why why = {0};
    enum err err;

    if (!type_is_known(change->type))
        err = why_set(&why, ERR_UNSUPPORTED_VERSION, "Unknown resource type %d.", change->type);
    else if (repeat != NAME_ONCE)
        err = why_set(&why, ERR_INVALID_REQUEST, "Duplicate resource.");
    else
        err = resource_alter(call, change, &why);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK)
        call->records->count = before;
    *code_out = item_code(err);
    *text_out = err == OK ? SLICE_NULL : item_text(call, err, &why);
    return call_records_check(call);
}

/* Type and name as one key, to find resources that occur twice. */
static enum err resource_key(struct call *call, int8_t type, struct slice name, struct slice *out)
{
    *out = arena_format_slice(call->arena, "%d:%.*s", type, SLICE_ARGS(name));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

/* Each resource is compared key by key with itself, so many keys are dear even when they change nothing. */
#define CHANGES_CHECK(call, request)                                    \
    do {                                                                \
        int64_t changes_ = 0;                                           \
                                                                        \
        for (int32_t i_ = 0; i_ < (request)->resources_count; i_++)     \
            changes_ += MAX((request)->resources[i_].configs_count, 0); \
        TRY(call_changes_check((call), changes_));                      \
    } while (0)

enum err decide_incremental_alter_configs(struct call *call, const void *body, void *answer)
{
    const struct incremental_alter_configs_request *request = body;
    struct incremental_alter_configs_response *response = answer;
    size_t count = (size_t)MAX(request->resources_count, 0);
    struct slice *keys = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    response->responses = incremental_alter_configs_response_alter_configs_resource_response_array(
        call->arena, count);
    if (!keys || !response->responses)
        return ERR_NO_MEMORY;
    CHANGES_CHECK(call, request);
    for (size_t i = 0; i < count; i++)
        TRY(resource_key(call, request->resources[i].resource_type,
                         request->resources[i].resource_name, &keys[i]));
    TRY(names_repeated(call->arena, keys, count, &repeats));
    for (size_t i = 0; i < count; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *asked =
            &request->resources[i];
        struct incremental_alter_configs_response_alter_configs_resource_response *result =
            &response->responses[response->responses_count];
        struct resource_change change = {.type = asked->resource_type,
                                         .name = asked->resource_name};
        struct config_operation *operations;

        if (repeats[i] == NAME_AGAIN)
            continue;
        change.count = (size_t)MAX(asked->configs_count, 0);
        operations = ARENA_ARRAY(call->arena, struct config_operation, change.count);
        if (!operations)
            return ERR_NO_MEMORY;
        for (size_t j = 0; j < change.count; j++)
            operations[j] = (struct config_operation){
                (enum config_operation_kind)asked->configs[j].config_operation,
                asked->configs[j].name, asked->configs[j].value};
        change.operations = operations;
        response->responses_count++;
        result->resource_type = asked->resource_type;
        result->resource_name = asked->resource_name;
        TRY(resource_run(call, &change, repeats[i], &result->error_code, &result->error_message));
    }
    TRY(clear_elr_records(call, 0));
    TRY(call_records_check(call));
    if (request->validate_only)
        call->records->count = 0;
    return OK;
}

enum err decide_alter_configs(struct call *call, const void *body, void *answer)
{
    const struct alter_configs_request *request = body;
    struct alter_configs_response *response = answer;
    size_t count = (size_t)MAX(request->resources_count, 0);
    struct slice *keys = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    response->responses =
        alter_configs_response_alter_configs_resource_response_array(call->arena, count);
    if (!keys || !response->responses)
        return ERR_NO_MEMORY;
    CHANGES_CHECK(call, request);
    for (size_t i = 0; i < count; i++)
        TRY(resource_key(call, request->resources[i].resource_type,
                         request->resources[i].resource_name, &keys[i]));
    TRY(names_repeated(call->arena, keys, count, &repeats));
    for (size_t i = 0; i < count; i++) {
        const struct alter_configs_request_alter_configs_resource *asked = &request->resources[i];
        struct alter_configs_response_alter_configs_resource_response *result =
            &response->responses[response->responses_count];
        struct resource_change change = {
            .type = asked->resource_type, .name = asked->resource_name, .replace = true};
        struct config_pair *pairs;

        if (repeats[i] == NAME_AGAIN)
            continue;
        change.count = (size_t)MAX(asked->configs_count, 0);
        pairs = ARENA_ARRAY(call->arena, struct config_pair, change.count);
        if (!pairs)
            return ERR_NO_MEMORY;
        for (size_t j = 0; j < change.count; j++)
            pairs[j] = (struct config_pair){asked->configs[j].name, asked->configs[j].value};
        change.wanted = (struct config_set){pairs, change.count};
        response->responses_count++;
        result->resource_type = asked->resource_type;
        result->resource_name = asked->resource_name;
        TRY(resource_run(call, &change, repeats[i], &result->error_code, &result->error_message));
    }
    TRY(clear_elr_records(call, 0));
    TRY(call_records_check(call));
    if (request->validate_only)
        call->records->count = 0;
    return OK;
}
