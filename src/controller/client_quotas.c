/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/client_quotas.c: AlterClientQuotas: limits of users, clients and addresses. An entity is
 * changed whole or not at all.
 */
#include "controller/controller_internal.h"

#include "base/name_order.h"
#include "base/parse.h"

#include <arpa/inet.h>

typedef const struct alter_client_quotas_request_entry_data *entry;

struct entity {
    struct metadata_quota_entity key;
    /* As the record wants it. */
    const struct alter_client_quotas_request_entity_data *parts;
    int32_t part_count;
};

static enum err entity_read(entry asked, struct entity *out, struct why *why)
{
    *out = (struct entity){.parts = asked->entity, .part_count = MAX(asked->entity_count, 0)};
    if (out->part_count == 0)
        return why_set(why, ERR_INVALID_REQUEST, "Invalid empty client quota entity");
    for (int32_t i = 0; i < out->part_count; i++) {
        struct slice type = asked->entity[i].entity_type;
        struct slice name = asked->entity[i].entity_name;
        struct slice *slot;
        bool *has;

        if (slice_equal_text(type, "user")) {
            has = &out->key.has_user;
            slot = &out->key.user;
        } else if (slice_equal_text(type, "client-id")) {
            has = &out->key.has_client_id;
            slot = &out->key.client_id;
        } else if (slice_equal_text(type, "ip")) {
            has = &out->key.has_ip;
            slot = &out->key.ip;
        } else {
            return why_set(why, ERR_INVALID_REQUEST, "Unhandled client quota entity type: %.*s",
                           SLICE_ARGS(type));
        }
        if (*has)
            return why_set(why, ERR_INVALID_REQUEST,
                           "Invalid client quota entity, duplicate entity entry %.*s",
                           SLICE_ARGS(type));
        if (!slice_is_null(name) && name.size_bytes == 0)
            return why_set(why, ERR_INVALID_REQUEST, "Empty %.*s not supported", SLICE_ARGS(type));
        *has = true;
        *slot = name;
    }
    return OK;
}

/* Host names would need a resolver: the quota counts addresses, so an address is what it takes. */
static bool ip_is_address(struct slice ip)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address; /* has room for either */

    if (ip.size_bytes >= sizeof text || memchr(ip.data, 0, ip.size_bytes))
        return false;
    memcpy(text, ip.data, ip.size_bytes);
    text[ip.size_bytes] = 0;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static enum err entity_check(const struct entity *entity, struct why *why)
{
    const struct metadata_quota_entity *key = &entity->key;

    if (key->has_ip && (key->has_user || key->has_client_id))
        return why_set(
            why, ERR_INVALID_REQUEST,
            "Invalid quota entity combination, IP entity shouldnot be combined with User "
            "or ClientId");
    if (key->has_ip && !slice_is_null(key->ip) && !ip_is_address(key->ip))
        return why_set(why, ERR_INVALID_REQUEST, "%.*s is not a valid IP or resolvable host.",
                       SLICE_ARGS(key->ip));
    return OK;
}

/* Values are numbers of these types behind the double of the wire. */
static const struct {
    const char *key;
    bool ip;
    bool whole;
    double maximum;
} quota_keys[] = {
    {"producer_byte_rate", false, true, 9223372036854775807.0},
    {"consumer_byte_rate", false, true, 9223372036854775807.0},
    {"request_percentage", false, false, 0},
    {"controller_mutation_rate", false, false, 0},
    {"connection_creation_rate", true, true, 2147483647.0},
};

static enum err value_check(const struct entity *entity, struct slice key, double value,
                            struct why *why)
{
    for (size_t i = 0; i < ARRAY_COUNT(quota_keys); i++) {
        if (!slice_equal_text(key, quota_keys[i].key) || quota_keys[i].ip != entity->key.has_ip)
            continue;
        if (!(value > 0.0)) /* not a number fails too */
            return why_set(why, ERR_INVALID_REQUEST, "Quota %.*s must be greater than 0",
                           SLICE_ARGS(key));
        if (!quota_keys[i].whole)
            return OK;
        if (value > quota_keys[i].maximum)
            return why_set(why, ERR_INVALID_REQUEST, "Proposed value for %.*s is too large for %s.",
                           SLICE_ARGS(key), quota_keys[i].ip ? "an INT" : "a LONG");
        /* Beyond 2^53 every double is whole. */
        if (value < 9007199254740992.0 && value - (double)(int64_t)value > 1e-6)
            return why_set(why, ERR_INVALID_REQUEST, "%.*s cannot be a fractional value.",
                           SLICE_ARGS(key));
        return OK;
    }
    return why_set(why, ERR_INVALID_REQUEST, "Invalid configuration key %.*s", SLICE_ARGS(key));
}

static const struct metadata_quota_value *value_now(const struct metadata_quota *quota,
                                                    struct slice key)
{
    for (size_t i = 0; quota && i < quota->value_count; i++) {
        if (slice_equal(quota->values[i].key, key))
            return &quota->values[i];
    }
    return NULL;
}

static enum err quota_record(struct call *call, const struct entity *entity, struct slice key,
                             double value, bool remove)
{
    struct client_quota_record *record;

    TRY(record_add(call, METADATA_RECORD_CLIENT_QUOTA, 0, &record));
    record->entity = client_quota_record_entity_data_array(call->arena, (size_t)entity->part_count);
    if (!record->entity)
        return ERR_NO_MEMORY;
    record->entity_count = entity->part_count;
    for (int32_t i = 0; i < entity->part_count; i++) {
        record->entity[i].entity_type = entity->parts[i].entity_type;
        record->entity[i].entity_name = entity->parts[i].entity_name;
    }
    record->key = key;
    record->value = value;
    record->remove = remove;
    return OK;
}

static enum err entry_alter(struct call *call, entry asked, struct why *why)
{
    const struct metadata_quota *quota;
    struct entity entity;

    TRY(entity_read(asked, &entity, why));
    TRY(entity_check(&entity, why));
    quota = metadata_image_quota(call->image, &entity.key);
    for (int32_t i = 0; i < asked->ops_count; i++) {
        struct slice key = asked->ops[i].key;
        const struct metadata_quota_value *now = value_now(quota, key);

        for (int32_t j = 0; j < i; j++) {
            if (slice_equal(asked->ops[j].key, key))
                return why_set(why, ERR_INVALID_REQUEST,
                               "Duplicate quota key %.*s not updating quota for this entity",
                               SLICE_ARGS(key));
        }
        if (asked->ops[i].remove) {
            if (now)
                TRY(quota_record(call, &entity, key, 0, true));
            continue;
        }
        TRY(value_check(&entity, key, asked->ops[i].value, why));
        if (!now || now->value < asked->ops[i].value || now->value > asked->ops[i].value)
            TRY(quota_record(call, &entity, key, asked->ops[i].value, false));
    }
    return OK;
}

/* A part as bytes that no other part has. */
static struct slice part_text(struct arena *arena,
                              const struct alter_client_quotas_request_entity_data *part)
{
    struct slice type = part->entity_type, name = part->entity_name;
    uint64_t sizes[] = {type.size_bytes, slice_is_null(name) ? UINT64_MAX : name.size_bytes};
    size_t size_bytes = sizeof sizes + type.size_bytes + name.size_bytes;
    uint8_t *bytes = arena_allocate(arena, size_bytes);

    if (!bytes)
        return SLICE_NULL;
    memcpy(bytes, sizes, sizeof sizes);
    if (type.size_bytes > 0)
        memcpy(bytes + sizeof sizes, type.data, type.size_bytes);
    if (name.size_bytes > 0)
        memcpy(bytes + sizeof sizes + type.size_bytes, name.data, name.size_bytes);
    return slice_of(bytes, size_bytes);
}

/* The same entity gives the same text, whatever the order of its parts; types that nobody knows count as well. */
static enum err entity_text(struct call *call, entry asked, struct slice *out)
{
    size_t count = (size_t)MAX(asked->entity_count, 0);
    struct slice *parts = ARENA_ARRAY(call->arena, struct slice, count);
    size_t size_bytes = 0;
    uint32_t *order;
    uint8_t *text;

    if (!parts)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        parts[i] = part_text(call->arena, &asked->entity[i]);
        if (slice_is_null(parts[i]))
            return ERR_NO_MEMORY;
        size_bytes += parts[i].size_bytes;
    }
    TRY(name_order(call->arena, parts, count, &order));
    text = arena_allocate(call->arena, size_bytes + 1);
    if (!text)
        return ERR_NO_MEMORY;
    *out = slice_of(text, size_bytes);
    for (size_t i = 0; i < count; i++) {
        memcpy(text, parts[order[i]].data, parts[order[i]].size_bytes);
        text += parts[order[i]].size_bytes;
    }
    return OK;
}

static enum err entry_answer(struct call *call, entry asked,
                             struct alter_client_quotas_response_entry_data *result)
{
    size_t count = (size_t)MAX(asked->entity_count, 0);

    result->error_message = SLICE_NULL;
    result->entity = alter_client_quotas_response_entity_data_array(call->arena, count);
    if (!result->entity)
        return ERR_NO_MEMORY;
    result->entity_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        result->entity[i].entity_type = asked->entity[i].entity_type;
        result->entity[i].entity_name = asked->entity[i].entity_name;
    }
    return OK;
}

#define OPS_MAX 100 /* five keys exist; bounds the search for repeated ones */

/* Of an entity that is named again the first change is made, and there is one answer, which is an error: the
 * others were not. */
static enum err entry_run(struct call *call, entry asked, enum name_repeat repeat,
                          struct alter_client_quotas_response_entry_data *result)
{
    size_t before = call->records->count;
    struct why why = {0};
    enum err err = asked->ops_count > OPS_MAX
                       ? why_set(&why, ERR_INVALID_REQUEST, "More quota keys than there are")
                       : entry_alter(call, asked, &why);

    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK)
        call->records->count = before;
    if (repeat == NAME_FIRST_OF_MANY)
        err = why_set(&why, ERR_INVALID_REQUEST, "Ignoring duplicate entity");
    if (err != OK) {
        result->error_code = item_code(err);
        result->error_message = item_text(call, err, &why);
    }
    return OK;
}

enum err decide_alter_client_quotas(struct call *call, const void *body, void *answer)
{
    const struct alter_client_quotas_request *request = body;
    struct alter_client_quotas_response *response = answer;
    size_t count = (size_t)MAX(request->entries_count, 0);
    struct slice *texts = ARENA_ARRAY(call->arena, struct slice, count);
    enum name_repeat *repeats;

    if (!call_allowed(call, OPERATION_ALTER_CONFIGS, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    response->entries = alter_client_quotas_response_entry_data_array(call->arena, count);
    if (!texts || !response->entries)
        return ERR_NO_MEMORY;
    response->entries_count = 0;
    for (size_t i = 0; i < count; i++)
        TRY(entity_text(call, &request->entries[i], &texts[i]));
    TRY(names_repeated(call->arena, texts, count, &repeats));
    for (size_t i = 0; i < count; i++) {
        struct alter_client_quotas_response_entry_data *result =
            &response->entries[response->entries_count];

        if (repeats[i] == NAME_AGAIN)
            continue;
        response->entries_count++;
        TRY(entry_answer(call, &request->entries[i], result));
        TRY(entry_run(call, &request->entries[i], repeats[i], result));
        TRY(call_records_check(call));
    }
    if (request->validate_only)
        call->records->count = 0;
    return OK;
}
