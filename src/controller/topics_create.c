/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/topics_create.c: CreateTopics. Each topic is accepted or refused by itself; what is
 * accepted goes into one atomic batch: topic, its configs, its partitions. The checks come in Kafka's
 * order, and the first that fails is told.
 */
#include "base/fmt.h"
#include "controller/controller_internal.h"
#include "metadata/topic_name.h"

#define METADATA_TOPIC_NAME "__cluster_metadata"

typedef const struct create_topics_request_creatable_topic *creatable;

/* ---- names ---- */

static enum err name_is_free(struct call *call, struct topic_collisions *collisions,
                             struct slice name, struct why *why)
{
    const struct metadata_topic *other;

    TRY(topic_name_check(name, why));
    if (metadata_image_topic(call->image, name))
        return why_set(why, ERR_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.",
                       SLICE_ARGS(name));
    TRY(topic_collision(call, collisions, name, &other));
    if (other)
        return why_set(why, ERR_INVALID_TOPIC_EXCEPTION,
                       "Topic '%.*s' collides with existing topic: %.*s", SLICE_ARGS(name),
                       SLICE_ARGS(other->name));
    return OK;
}

/* ---- configs ---- */

/* Names as many as the text of an error has room for. */
static enum err configs_null_check(creatable topic, struct why *why)
{
    struct why names = {0};
    size_t length = 0;
    bool found = false;

    for (int32_t i = 0; i < topic->configs_count && length < sizeof names.text; i++) {
        if (!slice_is_null(topic->configs[i].value))
            continue;
        length += fmt(names.text + length, sizeof names.text - length, "%s%.*s", found ? "," : "",
                      SLICE_ARGS(topic->configs[i].name));
        found = true;
    }
    if (!found)
        return OK;
    return why_set(why, ERR_INVALID_CONFIG, "Null value not supported for topic configs: %s",
                   names.text);
}

/* A key that is named again has the value that was named last. */
static enum err operations_settle(struct call *call, creatable topic, struct config_operation **out,
                                  size_t *count_out)
{
    size_t count = (size_t)topic->configs_count;
    struct config_operation *operations = ARENA_ARRAY(call->arena, struct config_operation, count);
    struct slice *keys = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    *out = operations;
    *count_out = 0;
    if (!operations || !keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = topic->configs[count - 1 - i].name;
    TRY(names_repeated(call->arena, keys, count, &repeats));
    for (size_t i = 0; i < count; i++)
        if (repeats[count - 1 - i] != NAME_AGAIN)
            operations[(*count_out)++] = (struct config_operation){
                CONFIG_SET, topic->configs[i].name, topic->configs[i].value};
    return OK;
}

static enum err configs_check(struct call *call, creatable topic, struct config_set *out,
                              struct why *why)
{
    struct config_set nothing = CONFIG_SET_EMPTY;
    struct config_rules rules = {.elr = call->elr,
                                 .cordoned_allowed =
                                     call->metadata_version >= METADATA_VERSION_CORDONED,
                                 .new_resource = true};
    struct config_operation *operations;
    struct config_alteration alteration;
    size_t count;

    *out = nothing;
    TRY(configs_null_check(topic, why));
    if (topic->configs_count <= 0)
        return OK;
    TRY(operations_settle(call, topic, &operations, &count));
    TRY(config_alter(call->arena, call->controller->options.config, &rules, CONFIG_RESOURCE_TOPIC,
                     topic->name, &nothing, operations, count, &alteration, why));
    *out = alteration.changes;
    return OK;
}

/* ---- assignments ---- */

struct new_topic {
    creatable topic;
    struct config_set configs;
    int32_t partition_count;
    const int32_t **replicas; /* of each partition */
    int32_t *replica_counts;
};

static enum err new_topic_room(struct call *call, struct new_topic *new, int32_t count)
{
    new->partition_count = count;
    new->replicas = ARENA_ARRAY(call->arena, const int32_t *, (size_t)count);
    new->replica_counts = ARENA_ARRAY(call->arena, int32_t, (size_t)count);
    return new->replicas &&new->replica_counts ? OK : ERR_NO_MEMORY;
}

static enum err assign_by_hand(struct call *call, struct new_topic *new, struct why *why)
{
    creatable topic = new->topic;
    int32_t factor = -1;
    bool consecutive = true;

    if (topic->replication_factor != -1)
        return why_set(
            why, ERR_INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not "
            "set to -1.");
    if (topic->num_partitions != -1)
        return why_set(why, ERR_INVALID_REQUEST,
                       "A manual partition assignment was specified, but numPartitions was not set "
                       "to -1.");
    TRY(new_topic_room(call, new, topic->assignments_count));
    for (int32_t i = 0; i < topic->assignments_count; i++) {
        int32_t index = topic->assignments[i].partition_index;
        const int32_t *replicas = topic->assignments[i].broker_ids;
        int32_t count = topic->assignments[i].broker_ids_count;
        struct ids active;

        if (index >= 0 && index < topic->assignments_count && new->replicas[index])
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "Found multiple manual partition assignments for partition %d", index);
        TRY(assignment_check(call, replicas, count, factor, why));
        factor = count;
        TRY(active_replicas(call, replicas, (size_t)count, &active));
        if (active.count == 0)
            return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                           "All brokers specified in the manual partition assignment for partition "
                           "%d are fenced or in controlled shutdown.",
                           index);
        if (index < 0 || index >= topic->assignments_count) {
            consecutive = false;
            continue;
        }
        new->replicas[index] = replicas;
        new->replica_counts[index] = count;
    }
    if (!consecutive)
        return why_set(why, ERR_INVALID_REPLICA_ASSIGNMENT,
                       "partitions should be a consecutive 0-based integer sequence");
    return OK;
}

static enum err assign_by_placement(struct call *call, struct new_topic *new, struct why *why)
{
    const struct controller_options *options = &call->controller->options;
    creatable topic = new->topic;
    struct placement placement;
    struct why detail = {0};
    int32_t *replicas;
    enum err err;

    if (topic->replication_factor < -1 || topic->replication_factor == 0)
        return why_set(why, ERR_INVALID_REPLICATION_FACTOR,
                       "Replication factor must be larger than 0, or -1 to use the default value.");
    if (topic->num_partitions < -1 || topic->num_partitions == 0)
        return why_set(why, ERR_INVALID_PARTITIONS,
                       "Number of partitions was set to an invalid non-positive value.");
    placement.partitions =
        topic->num_partitions == -1 ? options->partitions_default : topic->num_partitions;
    placement.replicas = topic->replication_factor == -1 ? options->replication_factor_default
                                                         : topic->replication_factor;
    err = placement_run(call, &placement, &replicas, &detail);
    if (err == ERR_INVALID_REPLICATION_FACTOR)
        return why_set(why, err, "Unable to replicate the partition %d time(s): %s",
                       placement.replicas, detail.text);
    TRY(err);
    TRY(new_topic_room(call, new, placement.partitions));
    for (int32_t i = 0; i < placement.partitions; i++) {
        struct ids active;

        new->replicas[i] = replicas + (size_t)i *(size_t)placement.replicas;
        new->replica_counts[i] = placement.replicas;
        TRY(active_replicas(call, new->replicas[i], (size_t)placement.replicas, &active));
        if (active.count == 0)
            return why_set(
                why, ERR_INVALID_REPLICATION_FACTOR,
                "Unable to replicate the partition %d time(s): All brokers are currently "
                "fenced or in controlled shutdown.",
                placement.replicas);
    }
    return OK;
}

/* ---- one topic ---- */

static enum err config_records_add(struct call *call, const struct new_topic *new)
{
    for (size_t i = 0; i < new->configs.count; i++) {
        struct config_record *record;

        TRY(record_add(call, METADATA_RECORD_CONFIG, 0, &record));
        record->resource_type = METADATA_RESOURCE_TOPIC;
        record->resource_name = new->topic->name;
        record->name = new->configs.pairs[i].key;
        record->value = new->configs.pairs[i].value;
    }
    return OK;
}

static enum err topic_records_add(struct call *call, const struct new_topic *new, struct uuid id)
{
    struct topic_record *record;

    TRY(record_add(call, METADATA_RECORD_TOPIC, 0, &record));
    record->name = new->topic->name;
    record->topic_id = id;
    TRY(config_records_add(call, new));
    for (int32_t i = 0; i < new->partition_count; i++)
        TRY(partition_record_add(call, id, i, new->replicas[i], (size_t) new->replica_counts[i]));
    return OK;
}

/* What the configs of new topics are described from. */
struct standard {
    const struct config *config;
    struct config_describe_options options;
};

static enum err standard_get(struct call *call, size_t topic_count, struct standard *out)
{
    *out =
        (struct standard){.config = call->controller->options.config, .options.as_written = true};
    if (!out->config)
        TRY(config_defaults(call->arena, &out->config));
    if (topic_count > 1)
        TRY(config_orders_make(call->arena, out->config, &out->options.orders));
    return OK;
}

static enum err result_describe(struct call *call, const struct standard *standard,
                                const struct new_topic *new,
                                struct create_topics_response_creatable_topic_result *result)
{
    struct config_description description;

    TRY(config_describe(call->arena, standard->config, CONFIG_RESOURCE_TOPIC, &new->configs,
                        &standard->options, &description));
    result->configs =
        create_topics_response_creatable_topic_configs_array(call->arena, description.count);
    if (!result->configs)
        return ERR_NO_MEMORY;
    result->configs_count = (int32_t)description.count;
    for (size_t i = 0; i < description.count; i++) {
        const struct config_described *entry = &description.entries[i];
        struct slice value = entry->sensitive ? SLICE_NULL : entry->value;

        /* The node's configuration may be another one when the answer is sent. */
        result->configs[i].value = arena_copy(call->arena, value);
        if (slice_is_null(result->configs[i].value) != slice_is_null(value))
            return ERR_NO_MEMORY;
        result->configs[i].name = entry->name;
        result->configs[i].read_only = entry->read_only;
        result->configs[i].config_source = (int8_t)entry->source;
        result->configs[i].is_sensitive = entry->sensitive;
    }
    result->num_partitions = new->partition_count;
    result->replication_factor = (int16_t) new->replica_counts[0];
    return OK;
}

static enum err topic_create(struct call *call, const struct standard *standard,
                             struct topic_collisions *collisions, creatable topic,
                             struct create_topics_response_creatable_topic_result *result,
                             struct why *why)
{
    struct new_topic new = {.topic = topic};
    struct uuid id;

    TRY(name_is_free(call, collisions, topic->name, why));
    TRY(configs_check(call, topic, &new.configs, why));
    if (topic->assignments_count > 0)
        TRY(assign_by_hand(call, &new, why));
    else
        TRY(assign_by_placement(call, &new, why));
    TRY(quota_take(call, new.partition_count));
    id = uuid_random(call->moment->random);
    result->topic_id = id;
    result->error_message = SLICE_NULL;
    if (call_allowed(call, OPERATION_DESCRIBE_CONFIGS, RESOURCE_TOPIC, topic->name))
        TRY(result_describe(call, standard, &new, result));
    else
        result->topic_config_error_code = err_wire_code(ERR_TOPIC_AUTHORIZATION_FAILED);
    return topic_records_add(call, &new, id);
}

/* ---- the request ---- */

enum topic_fate { FATE_PROCESS, FATE_DUPLICATE, FATE_DUPLICATE_TOLD, FATE_METADATA, FATE_DENIED };

static enum err fates_find(struct call *call, const struct create_topics_request *request,
                           enum topic_fate *fates)
{
    bool cluster_allowed = call_allowed(call, OPERATION_CREATE, RESOURCE_CLUSTER, CLUSTER_RESOURCE);
    size_t count = (size_t)MAX(request->topics_count, 0);
    struct slice *names = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = request->topics[i].name;
    TRY(names_repeated(call->arena, names, count, &repeats));
    for (size_t i = 0; i < count; i++) {
        if (repeats[i] != NAME_ONCE)
            fates[i] = repeats[i] == NAME_AGAIN ? FATE_DUPLICATE_TOLD : FATE_DUPLICATE;
        else if (slice_equal_text(names[i], METADATA_TOPIC_NAME))
            fates[i] = FATE_METADATA;
        else if (!cluster_allowed &&
                 !call_allowed(call, OPERATION_CREATE, RESOURCE_TOPIC, names[i]))
            fates[i] = FATE_DENIED;
        else
            fates[i] = FATE_PROCESS;
    }
    return OK;
}

static enum err totals_check(struct call *call, const struct create_topics_request *request,
                             const enum topic_fate *fates)
{
    int64_t total = 0, configs = 0;

    for (int32_t i = 0; i < request->topics_count; i++) {
        creatable topic = &request->topics[i];

        if (fates[i] != FATE_PROCESS)
            continue;
        if (topic->assignments_count > 0)
            total += topic->assignments_count;
        else if (topic->num_partitions == -1)
            total += call->controller->options.partitions_default;
        else
            total += MAX(topic->num_partitions, 0);
        if (total > CONTROLLER_PARTITIONS_MAX)
            return why_set(call->why, ERR_POLICY_VIOLATION,
                           "Excessively large number of partitions per request.");
        configs += MAX(topic->configs_count, 0);
    }
    return call_changes_check(call, configs);
}

static void result_refuse(struct create_topics_response_creatable_topic_result *result,
                          enum err err, const char *text)
{
    result->error_code = err_wire_code(err);
    result->error_message = slice_from_text(text);
}

/* The refusals that name no more than the request did, after the topics that were looked at. */
static void refusals_add(const struct create_topics_request *request, const enum topic_fate *fates,
                         struct create_topics_response *response)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t i = 0; i < request->topics_count; i++) {
            struct create_topics_response_creatable_topic_result *result =
                &response->topics[response->topics_count];

            if (fates[i] == FATE_PROCESS || fates[i] == FATE_DUPLICATE_TOLD ||
                (fates[i] == FATE_DUPLICATE) != (pass == 0))
                continue;
            response->topics_count++;
            result->name = request->topics[i].name;
            if (fates[i] == FATE_DUPLICATE)
                result_refuse(result, ERR_INVALID_REQUEST, "Duplicate topic name.");
            else if (fates[i] == FATE_METADATA)
                result_refuse(result, ERR_INVALID_REQUEST,
                              "Creation of internal topic " METADATA_TOPIC_NAME " is prohibited.");
            else
                result_refuse(result, ERR_TOPIC_AUTHORIZATION_FAILED, "Authorization failed.");
        }
    }
}

enum err decide_create_topics(struct call *call, const void *body, void *answer)
{
    const struct create_topics_request *request = body;
    struct create_topics_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);
    enum topic_fate *fates = ARENA_ARRAY(call->arena, enum topic_fate, count);
    struct topic_collisions collisions = {0};
    struct standard standard;

    response->topics = create_topics_response_creatable_topic_result_array(call->arena, count);
    if (!fates || !response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = 0;
    TRY(fates_find(call, request, fates));
    TRY(totals_check(call, request, fates));
    TRY(standard_get(call, count, &standard));
    for (size_t i = 0; i < count; i++) {
        struct create_topics_response_creatable_topic_result *result =
            &response->topics[response->topics_count];
        size_t records_before = call->records->count;
        struct why why = {0};
        enum err err;

        if (fates[i] != FATE_PROCESS)
            continue;
        response->topics_count++;
        result->name = request->topics[i].name;
        err = topic_create(call, &standard, &collisions, &request->topics[i], result, &why);
        if (err == ERR_NO_MEMORY)
            return err;
        if (err != OK) {
            call->records->count = records_before;
            result->error_code = item_code(err);
            result->error_message = item_detail(call, &why);
        }
        TRY(call_records_check(call));
    }
    refusals_add(request, fates, response);
    if (request->validate_only)
        call->records->count = 0;
    return OK;
}
