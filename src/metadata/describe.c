/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/describe.c: DescribeClientQuotas and DescribeUserScramCredentials, which every broker answers
 * from its image.
 */
#include "metadata/metadata.h"

#include "base/name_order.h"
#include "protocol/generated/messages.h"

/* ---- quotas ---- */

enum match { MATCH_EXACT = 0, MATCH_DEFAULT = 1, MATCH_SPECIFIED = 2 };

typedef const struct describe_client_quotas_request_component_data component;

static bool type_is(const component *asked, const char *type)
{
    return slice_equal_text(asked->entity_type, type);
}

static enum err component_check(const component *asked, struct why *why)
{
    if (asked->entity_type.size_bytes == 0)
        return why_set(why, ERR_INVALID_REQUEST, "Invalid empty entity type.");
    if (!type_is(asked, "user") && !type_is(asked, "client-id") && !type_is(asked, "ip"))
        return why_set(why, ERR_UNSUPPORTED_VERSION, "Unsupported entity type %.*s",
                       SLICE_ARGS(asked->entity_type));
    switch (asked->match_type) {
    case MATCH_EXACT:
        if (slice_is_null(asked->match))
            return why_set(why, ERR_INVALID_REQUEST,
                           "Request specified MATCH_TYPE_EXACT, but set match string to null.");
        return OK;
    case MATCH_DEFAULT:
    case MATCH_SPECIFIED:
        if (!slice_is_null(asked->match))
            return why_set(why, ERR_INVALID_REQUEST,
                           "Request specified MATCH_TYPE_%s, but also specified a match string.",
                           asked->match_type == MATCH_DEFAULT ? "DEFAULT" : "SPECIFIED");
        return OK;
    default:
        return why_set(why, ERR_INVALID_REQUEST, "Unknown match type %d", asked->match_type);
    }
}

static enum err components_check(const struct describe_client_quotas_request *request,
                                 struct why *why)
{
    bool ip = false, other = false;

    for (int32_t i = 0; i < request->components_count; i++) {
        const component *asked = &request->components[i];

        /* Only three types pass, so at most four components are compared. */
        for (int32_t j = 0; j < i; j++) {
            if (slice_equal(request->components[j].entity_type, asked->entity_type))
                return why_set(why, ERR_INVALID_REQUEST,
                               "Entity type %.*s cannot appear more than once in the filter.",
                               SLICE_ARGS(asked->entity_type));
        }
        TRY(component_check(asked, why));
        ip = ip || type_is(asked, "ip");
        other = other || !type_is(asked, "ip");
    }
    if (ip && other)
        return why_set(
            why, ERR_INVALID_REQUEST,
            "Invalid entity filter component combination. IP filter component should not "
            "be used with user or clientId filter component.");
    return OK;
}

static bool component_matches(const component *asked, const struct metadata_quota *quota)
{
    for (size_t i = 0; i < quota->part_count; i++) {
        if (!slice_equal(quota->parts[i].type, asked->entity_type))
            continue;
        if (asked->match_type == MATCH_SPECIFIED)
            return true;
        return slice_equal(quota->parts[i].name, asked->match); /* null: the default entity */
    }
    return false;
}

static bool quota_matches(const struct describe_client_quotas_request *request,
                          const struct metadata_quota *quota)
{
    if (request->strict &&
        (request->components_count <= 0 || quota->part_count != (size_t)request->components_count))
        return false;
    for (int32_t i = 0; i < request->components_count; i++) {
        if (!component_matches(&request->components[i], quota))
            return false;
    }
    return true;
}

static enum err quota_describe(const struct metadata_quota *quota, struct arena *arena,
                               struct describe_client_quotas_response_entry_data *entry)
{
    entry->entity = describe_client_quotas_response_entity_data_array(arena, quota->part_count);
    entry->values = describe_client_quotas_response_value_data_array(arena, quota->value_count);
    if (!entry->entity || !entry->values)
        return ERR_NO_MEMORY;
    entry->entity_count = (int32_t)quota->part_count;
    entry->values_count = (int32_t)quota->value_count;
    for (size_t i = 0; i < quota->part_count; i++) {
        entry->entity[i].entity_type = quota->parts[i].type;
        entry->entity[i].entity_name = quota->parts[i].name;
    }
    for (size_t i = 0; i < quota->value_count; i++) {
        entry->values[i].key = quota->values[i].key;
        entry->values[i].value = quota->values[i].value;
    }
    return OK;
}

enum err metadata_describe_quotas(const struct metadata_image *image,
                                  const struct describe_client_quotas_request *request,
                                  struct arena *arena,
                                  struct describe_client_quotas_response *response, struct why *why)
{
    const struct metadata_quota *quota;
    struct metadata_walk walk;
    size_t count = 0;

    TRY(components_check(request, why));
    metadata_walk_start(&walk, image, METADATA_QUOTAS);
    while ((quota = metadata_walk_next(&walk)))
        count += quota_matches(request, quota);
    response->error_message = SLICE_EMPTY; /* as Kafka has it: not null */
    response->entries = describe_client_quotas_response_entry_data_array(arena, count);
    if (!response->entries)
        return ERR_NO_MEMORY;
    response->entries_count = 0;
    metadata_walk_start(&walk, image, METADATA_QUOTAS);
    while ((quota = metadata_walk_next(&walk))) {
        if (quota_matches(request, quota))
            TRY(quota_describe(quota, arena, &response->entries[response->entries_count++]));
    }
    return OK;
}

/* ---- SCRAM ---- */

typedef struct describe_user_scram_credentials_response_describe_user_scram_credentials_result
    scram_result;

#define MECHANISMS 2

static enum err scram_describe(const struct metadata_image *image, struct slice user,
                               struct arena *arena, scram_result *result)
{
    result->user = user;
    result->error_message = SLICE_EMPTY;
    result->credential_infos =
        describe_user_scram_credentials_response_credential_info_array(arena, MECHANISMS);
    if (!result->credential_infos)
        return ERR_NO_MEMORY;
    result->credential_infos_count = 0;
    for (int8_t mechanism = 1; mechanism <= MECHANISMS; mechanism++) {
        const struct metadata_scram *scram = metadata_image_scram(image, user, mechanism);

        if (!scram)
            continue;
        result->credential_infos[result->credential_infos_count].mechanism = mechanism;
        result->credential_infos[result->credential_infos_count].iterations = scram->iterations;
        result->credential_infos_count++;
    }
    return OK;
}

static enum err scram_refuse(scram_result *result, struct arena *arena, enum err err,
                             const char *text)
{
    result->credential_infos_count = 0;
    result->error_code = err_wire_code(err);
    result->error_message = arena_format_slice(arena, "%s%.*s", text, SLICE_ARGS(result->user));
    return slice_is_null(result->error_message) ? ERR_NO_MEMORY : OK;
}

static enum err scram_describe_all(const struct metadata_image *image, struct arena *arena,
                                   struct describe_user_scram_credentials_response *response)
{
    const struct metadata_scram *scram;
    struct metadata_walk walk;
    size_t count = 0;

    metadata_walk_start(&walk, image, METADATA_SCRAMS);
    while (metadata_walk_next(&walk))
        count++;
    response->results =
        describe_user_scram_credentials_response_describe_user_scram_credentials_result_array(
            arena, count);
    if (!response->results)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, image, METADATA_SCRAMS);
    while ((scram = metadata_walk_next(&walk))) {
        /* Users of the second mechanism come after those of the first: tell nobody twice. */
        if (scram->mechanism > 1 && metadata_image_scram(image, scram->user, 1))
            continue;
        TRY(scram_describe(image, scram->user, arena,
                           &response->results[response->results_count++]));
    }
    return OK;
}

/* Once per name, at its first place; named again it is refused. In n log n: a request has as many as its
 * sender likes. */
static enum err scram_describe_some(const struct metadata_image *image,
                                    const struct describe_user_scram_credentials_request *request,
                                    struct arena *arena,
                                    struct describe_user_scram_credentials_response *response)
{
    size_t count = (size_t)request->users_count;
    struct slice *names = ARENA_ARRAY(arena, struct slice, count);
    bool *again = ARENA_ARRAY(arena, bool, count);
    bool *repeated = ARENA_ARRAY(arena, bool, count);
    uint32_t *order;

    if (!names || !again || !repeated)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = request->users[i].name;
    TRY(name_order(arena, names, count, &order));
    for (size_t i = 1; i < count; i++) {
        again[order[i]] = slice_compare(names[order[i]], names[order[i - 1]]) == 0;
        repeated[order[i - 1]] = again[order[i]];
    }
    for (size_t i = 0; i < count; i++) {
        scram_result *result = &response->results[response->results_count];

        if (again[i])
            continue;
        response->results_count++;
        TRY(scram_describe(image, names[i], arena, result));
        if (repeated[i])
            TRY(scram_refuse(
                result, arena, ERR_DUPLICATE_RESOURCE,
                "Cannot describe SCRAM credentials for the same user twice in a single "
                "request: "));
        else if (result->credential_infos_count == 0)
            TRY(scram_refuse(result, arena, ERR_RESOURCE_NOT_FOUND,
                             "Attempt to describe a user credential that does not exist: "));
    }
    return OK;
}

enum err metadata_describe_scram(const struct metadata_image *image,
                                 const struct describe_user_scram_credentials_request *request,
                                 struct arena *arena,
                                 struct describe_user_scram_credentials_response *response)
{
    response->error_message = SLICE_EMPTY; /* as Kafka has it: not null */
    response->results_count = 0;
    if (request->users_count <= 0)
        return scram_describe_all(image, arena, response);
    response->results =
        describe_user_scram_credentials_response_describe_user_scram_credentials_result_array(
            arena, (size_t)request->users_count);
    if (!response->results)
        return ERR_NO_MEMORY;
    return scram_describe_some(image, request, arena, response);
}
