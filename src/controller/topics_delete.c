/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/topics_delete.c: DeleteTopics, by name or by id. Who may not describe a topic must not
 * learn from the answer whether it is there, so the results are shuffled.
 */
#include "base/name_order.h"
#include "controller/controller_internal.h"

typedef struct delete_topics_response_deletable_topic_result topic_result;

struct deletion {
    struct call *call;
    struct delete_topics_response *response;
    bool cluster_allowed;
    bool no_memory;
    /* What was asked for, each once. */
    struct slice *names;
    uint32_t *name_order;
    enum name_repeat *name_repeats;
    size_t name_count;
    struct slice *ids; /* 16 bytes each */
    uint32_t *id_order;
    enum name_repeat *id_repeats;
    size_t id_count;
};

static void result_add(struct deletion *deletion, struct slice name, struct uuid id, enum err err,
                       const char *text)
{
    topic_result *result = &deletion->response->responses[deletion->response->responses_count++];

    /* The topic and its name are gone when the answer is sent. */
    result->name = arena_copy(deletion->call->arena, name);
    deletion->no_memory |= slice_is_null(result->name) && !slice_is_null(name);
    result->topic_id = id;
    result->error_code = item_code(err);
    if (err != OK && err != ERR_THROTTLING_QUOTA_EXCEEDED) /* told by its code alone */
        result->error_message = slice_from_text(text ? text : err_text(err));
}

static struct uuid id_of(struct slice bytes)
{
    struct uuid id;

    memcpy(id.bytes, bytes.data, sizeof id.bytes);
    return id;
}

static enum err targets_collect(struct deletion *deletion,
                                const struct delete_topics_request *request)
{
    size_t count =
        (size_t)MAX(request->topics_count, 0) + (size_t)MAX(request->topic_names_count, 0);

    deletion->names = ARENA_ARRAY(deletion->call->arena, struct slice, count);
    deletion->ids = ARENA_ARRAY(deletion->call->arena, struct slice, count);
    deletion->response->responses =
        delete_topics_response_deletable_topic_result_array(deletion->call->arena, count);
    if (!deletion->names || !deletion->ids || !deletion->response->responses)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < request->topic_names_count; i++)
        deletion->names[deletion->name_count++] = request->topic_names[i];
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct delete_topics_request_delete_topic_state *topic = &request->topics[i];
        bool has_id = !uuid_is_zero(topic->topic_id);

        if (slice_is_null(topic->name) && !has_id)
            result_add(deletion, SLICE_NULL, UUID_ZERO, ERR_INVALID_REQUEST,
                       "Neither topic name nor id were specified.");
        else if (!slice_is_null(topic->name) && has_id)
            result_add(deletion, topic->name, topic->topic_id, ERR_INVALID_REQUEST,
                       "You may not specify both topic name and topic id.");
        else if (has_id)
            deletion->ids[deletion->id_count++] =
                slice_of(topic->topic_id.bytes, sizeof topic->topic_id.bytes);
        else
            deletion->names[deletion->name_count++] = topic->name;
    }
    return OK;
}

static enum err targets_sort(struct deletion *deletion)
{
    struct arena *arena = deletion->call->arena;

    TRY(name_order(arena, deletion->names, deletion->name_count, &deletion->name_order));
    TRY(names_repeated(arena, deletion->names, deletion->name_count, &deletion->name_repeats));
    TRY(name_order(arena, deletion->ids, deletion->id_count, &deletion->id_order));
    return names_repeated(arena, deletion->ids, deletion->id_count, &deletion->id_repeats);
}

static bool topic_allowed(const struct deletion *deletion, int8_t operation, struct slice name)
{
    return deletion->cluster_allowed ||
           call_allowed(deletion->call, operation, RESOURCE_TOPIC, name);
}

static enum err topic_delete(struct deletion *deletion, const struct metadata_topic *topic)
{
    enum err err = quota_take(deletion->call, topic->partition_count);
    struct remove_topic_record *record;

    if (err != OK) {
        result_add(deletion, topic->name, topic->id, err, NULL);
        return OK;
    }
    TRY(record_add(deletion->call, METADATA_RECORD_REMOVE_TOPIC, 0, &record));
    record->topic_id = topic->id;
    result_add(deletion, topic->name, topic->id, OK, NULL);
    return OK;
}

/* Is the topic asked for by id too? */
static bool id_is_given(const struct deletion *deletion, struct uuid id)
{
    uint32_t at;

    return name_find(deletion->ids, deletion->id_order, deletion->id_count,
                     slice_of(id.bytes, sizeof id.bytes), &at);
}

static enum err names_delete(struct deletion *deletion)
{
    const enum name_repeat *repeats = deletion->name_repeats;

    for (size_t i = 0; i < deletion->name_count; i++) {
        struct slice name = deletion->names[i];
        const struct metadata_topic *topic = metadata_image_topic(deletion->call->image, name);

        if (repeats[i] == NAME_AGAIN)
            continue;
        if (repeats[i] == NAME_FIRST_OF_MANY)
            result_add(deletion, name, UUID_ZERO, ERR_INVALID_REQUEST, "Duplicate topic name.");
        else if (!topic_allowed(deletion, OPERATION_DESCRIBE, name))
            result_add(deletion, name, UUID_ZERO, ERR_TOPIC_AUTHORIZATION_FAILED, NULL);
        else if (!topic)
            result_add(deletion, name, UUID_ZERO, ERR_UNKNOWN_TOPIC_OR_PARTITION, NULL);
        else if (!topic_allowed(deletion, OPERATION_DELETE, name))
            result_add(deletion, name, UUID_ZERO, ERR_TOPIC_AUTHORIZATION_FAILED, NULL);
        else if (id_is_given(deletion, topic->id))
            result_add(deletion, name, topic->id, ERR_INVALID_REQUEST,
                       "The provided topic name maps to an ID that was already supplied.");
        else
            TRY(topic_delete(deletion, topic));
    }
    return OK;
}

/* A topic that is asked for by its name too is refused there, and not deleted. */
static bool name_is_given(const struct deletion *deletion, struct slice name)
{
    uint32_t at;

    return name_find(deletion->names, deletion->name_order, deletion->name_count, name, &at) &&
           deletion->name_repeats[at] == NAME_ONCE &&
           topic_allowed(deletion, OPERATION_DESCRIBE, name);
}

static enum err ids_delete(struct deletion *deletion)
{
    const enum name_repeat *repeats = deletion->id_repeats;

    for (size_t i = 0; i < deletion->id_count; i++) {
        struct uuid id = id_of(deletion->ids[i]);
        const struct metadata_topic *topic = metadata_image_topic_by_id(deletion->call->image, id);

        if (repeats[i] == NAME_AGAIN)
            continue;
        if (repeats[i] == NAME_FIRST_OF_MANY) {
            result_add(deletion, SLICE_NULL, id, ERR_INVALID_REQUEST, "Duplicate topic id.");
        } else if (!topic) {
            result_add(deletion, SLICE_NULL, id, ERR_UNKNOWN_TOPIC_ID, NULL);
        } else if (!topic_allowed(deletion, OPERATION_DELETE, topic->name)) {
            bool known = topic_allowed(deletion, OPERATION_DESCRIBE, topic->name);

            result_add(deletion, known ? topic->name : SLICE_NULL, id,
                       ERR_TOPIC_AUTHORIZATION_FAILED, NULL);
        } else if (!name_is_given(deletion, topic->name)) {
            TRY(topic_delete(deletion, topic));
        }
    }
    return OK;
}

static void responses_shuffle(struct deletion *deletion)
{
    topic_result *results = deletion->response->responses;

    for (int32_t i = deletion->response->responses_count; i > 1; i--) {
        uint64_t j = random_below(deletion->call->moment->random, (uint64_t)i);
        topic_result result = results[i - 1];

        results[i - 1] = results[j];
        results[j] = result;
    }
}

enum err decide_delete_topics(struct call *call, const void *body, void *answer)
{
    struct deletion deletion = {.call = call, .response = answer};

    if (!call->controller->options.topic_deletion)
        return call->request->api_version < 3
                   ? why_set(call->why, ERR_INVALID_REQUEST,
                             "This version does not support topic deletion.")
                   : why_set(call->why, ERR_TOPIC_DELETION_DISABLED, "Topic deletion is disabled.");
    deletion.cluster_allowed =
        call_allowed(call, OPERATION_DELETE, RESOURCE_CLUSTER, CLUSTER_RESOURCE);
    TRY(targets_collect(&deletion, body));
    TRY(targets_sort(&deletion));
    TRY(ids_delete(&deletion));
    TRY(names_delete(&deletion));
    TRY(call_records_check(call));
    responses_shuffle(&deletion);
    return deletion.no_memory ? ERR_NO_MEMORY : OK;
}
