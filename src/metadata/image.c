/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/image.c: immutable images (lookups, order of the maps) and the mutable state that makes
 * them. Publishing counts the roots up and copies nothing; the next change then copies its way.
 * Invariants  1. an image's trees, objects and blocks never change once it is published.
 *             2. hash = sum of the hashes of all objects and partitions: order does not matter.
 *             3. METADATA_TOPICS and METADATA_TOPIC_IDS hold the same topics.
 * Threads     the owner's; see metadata.h.
 */
#include "metadata/metadata_internal.h"

#include "protocol/generated/api_keys.h"

bool directory_is_reserved(struct uuid id)
{
    for (size_t i = 0; i < 15; i++) {
        if (id.bytes[i] != 0)
            return false;
    }
    return id.bytes[15] < 100;
}

/* ---- order ---- */

static int order_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int order_quotas(const struct metadata_quota *a, const struct metadata_quota *b)
{
    for (size_t i = 0; i < a->part_count && i < b->part_count; i++) {
        int order = slice_compare(a->parts[i].type, b->parts[i].type);

        if (order != 0)
            return order;
        if (slice_is_null(a->parts[i].name) != slice_is_null(b->parts[i].name))
            return slice_is_null(a->parts[i].name) ? -1 : 1;
        order = slice_compare(a->parts[i].name, b->parts[i].name);
        if (order != 0)
            return order;
    }
    return order_i64((int64_t)a->part_count, (int64_t)b->part_count);
}

int metadata_order(enum metadata_map map, const void *a, const void *b)
{
    switch (map) {
    case METADATA_TOPICS:
        return slice_compare(((const struct metadata_topic *)a)->name,
                             ((const struct metadata_topic *)b)->name);
    case METADATA_TOPIC_IDS:
        return uuid_compare(((const struct metadata_topic *)a)->id,
                            ((const struct metadata_topic *)b)->id);
    case METADATA_BROKERS:
        return order_i64(((const struct metadata_broker *)a)->id,
                         ((const struct metadata_broker *)b)->id);
    case METADATA_CONTROLLERS:
        return order_i64(((const struct metadata_controller *)a)->id,
                         ((const struct metadata_controller *)b)->id);
    case METADATA_CONFIGS: {
        const struct metadata_configs *x = a;
        const struct metadata_configs *y = b;
        int order = order_i64(x->resource_type, y->resource_type);

        return order != 0 ? order : slice_compare(x->resource_name, y->resource_name);
    }
    case METADATA_FEATURES:
        return slice_compare(((const struct metadata_feature *)a)->name,
                             ((const struct metadata_feature *)b)->name);
    case METADATA_QUOTAS:
        return order_quotas(a, b);
    case METADATA_SCRAMS: {
        const struct metadata_scram *x = a;
        const struct metadata_scram *y = b;
        int order = order_i64(x->mechanism, y->mechanism);

        return order != 0 ? order : slice_compare(x->user, y->user);
    }
    case METADATA_ACLS:
        return uuid_compare(((const struct metadata_acl *)a)->id,
                            ((const struct metadata_acl *)b)->id);
    case METADATA_TOKENS:
        return slice_compare(((const struct metadata_token *)a)->id,
                             ((const struct metadata_token *)b)->id);
    case METADATA_MAP_COUNT:
        break;
    }
    ASSERT(map < METADATA_MAP_COUNT);
    return 0;
}

/* ---- images ---- */

void image_share(struct metadata_image *to, const struct metadata_image *from)
{
    *to = *from;
    for (size_t i = 0; i < METADATA_MAP_COUNT; i++) {
        if (to->maps[i])
            to->maps[i]->reference_count++;
    }
}

void image_drop(struct metadata_image *image)
{
    for (size_t i = 0; i < METADATA_MAP_COUNT; i++) {
        tree_release(image->allocator, image->maps[i], (enum metadata_map)i);
        image->maps[i] = NULL;
    }
}

struct metadata_image *metadata_image_ref(struct metadata_image *image)
{
    if (image)
        image->reference_count++;
    return image;
}

void metadata_image_release(struct metadata_image **image)
{
    struct metadata_image *old = TAKE(*image);

    if (!old || --old->reference_count > 0)
        return;
    image_drop(old);
    ALLOCATOR_DELETE(old->allocator, old);
}

struct metadata_provenance metadata_image_provenance(const struct metadata_image *image)
{
    return image->provenance;
}

uint64_t metadata_image_hash(const struct metadata_image *image)
{
    return hash_mix(image->hash, (uint64_t)image->next_producer_id);
}

const struct metadata_topic *metadata_image_topic(const struct metadata_image *image,
                                                  struct slice name)
{
    struct metadata_topic key = {.name = name};

    return tree_find(image->maps[METADATA_TOPICS], METADATA_TOPICS, &key);
}

const struct metadata_topic *metadata_image_topic_by_id(const struct metadata_image *image,
                                                        struct uuid id)
{
    struct metadata_topic key = {.id = id};

    return tree_find(image->maps[METADATA_TOPIC_IDS], METADATA_TOPIC_IDS, &key);
}

const struct metadata_broker *metadata_image_broker(const struct metadata_image *image, int32_t id)
{
    struct metadata_broker key = {.id = id};

    return tree_find(image->maps[METADATA_BROKERS], METADATA_BROKERS, &key);
}

const struct metadata_controller *metadata_image_controller(const struct metadata_image *image,
                                                            int32_t id)
{
    struct metadata_controller key = {.id = id};

    return tree_find(image->maps[METADATA_CONTROLLERS], METADATA_CONTROLLERS, &key);
}

const struct metadata_configs *metadata_image_configs(const struct metadata_image *image,
                                                      enum metadata_resource type,
                                                      struct slice name)
{
    struct metadata_configs key = {.resource_type = (int8_t)type, .resource_name = name};

    return tree_find(image->maps[METADATA_CONFIGS], METADATA_CONFIGS, &key);
}

struct slice metadata_image_config(const struct metadata_image *image, enum metadata_resource type,
                                   struct slice name, struct slice key)
{
    const struct metadata_configs *configs = metadata_image_configs(image, type, name);
    size_t low = 0;
    size_t high = configs ? configs->entry_count : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(key, configs->entries[middle].key);

        if (order == 0)
            return configs->entries[middle].value;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SLICE_NULL;
}

const struct metadata_feature *metadata_image_feature(const struct metadata_image *image,
                                                      struct slice name)
{
    struct metadata_feature key = {.name = name};

    return tree_find(image->maps[METADATA_FEATURES], METADATA_FEATURES, &key);
}

int16_t metadata_image_level(const struct metadata_image *image, const char *name)
{
    const struct metadata_feature *feature = metadata_image_feature(image, slice_from_text(name));

    return feature ? feature->level : 0;
}

int16_t metadata_image_version(const struct metadata_image *image)
{
    return metadata_image_level(image, FEATURE_METADATA_VERSION);
}

const struct metadata_quota *metadata_image_quota(const struct metadata_image *image,
                                                  const struct metadata_quota_entity *entity)
{
    struct metadata_quota_part parts[3];
    struct metadata_quota key = {.parts = parts};

    if (entity->has_client_id)
        parts[key.part_count++] =
            (struct metadata_quota_part){SLICE("client-id"), entity->client_id};
    if (entity->has_ip)
        parts[key.part_count++] = (struct metadata_quota_part){SLICE("ip"), entity->ip};
    if (entity->has_user)
        parts[key.part_count++] = (struct metadata_quota_part){SLICE("user"), entity->user};
    return tree_find(image->maps[METADATA_QUOTAS], METADATA_QUOTAS, &key);
}

const struct metadata_scram *metadata_image_scram(const struct metadata_image *image,
                                                  struct slice user, int8_t mechanism)
{
    struct metadata_scram key = {.user = user, .mechanism = mechanism};

    return tree_find(image->maps[METADATA_SCRAMS], METADATA_SCRAMS, &key);
}

const struct metadata_acl *metadata_image_acl(const struct metadata_image *image, struct uuid id)
{
    struct metadata_acl key = {.id = id};

    return tree_find(image->maps[METADATA_ACLS], METADATA_ACLS, &key);
}

const struct metadata_token *metadata_image_token(const struct metadata_image *image,
                                                  struct slice id)
{
    struct metadata_token key = {.id = id};

    return tree_find(image->maps[METADATA_TOKENS], METADATA_TOKENS, &key);
}

int64_t metadata_image_next_producer_id(const struct metadata_image *image)
{
    return image->next_producer_id;
}

size_t metadata_image_topic_count(const struct metadata_image *image)
{
    return tree_count(image->maps[METADATA_TOPICS]);
}

size_t metadata_image_partition_count(const struct metadata_image *image)
{
    return image->partition_count;
}

size_t metadata_image_broker_count(const struct metadata_image *image)
{
    return tree_count(image->maps[METADATA_BROKERS]);
}

size_t metadata_image_quota_count(const struct metadata_image *image)
{
    return tree_count(image->maps[METADATA_QUOTAS]);
}

bool metadata_broker_alive(const struct metadata_broker *broker, struct slice listener,
                           struct metadata_endpoint *endpoint_out)
{
    if (!broker || broker->fenced)
        return false;
    if (!endpoint_out)
        return true;
    for (size_t i = 0; i < broker->endpoint_count; i++) {
        if (slice_equal(broker->endpoints[i].name, listener)) {
            *endpoint_out = broker->endpoints[i];
            return true;
        }
    }
    return false;
}

bool metadata_broker_directory_online(const struct metadata_broker *broker, struct uuid directory)
{
    if (uuid_equal(directory, DIRECTORY_UNASSIGNED) || uuid_equal(directory, DIRECTORY_MIGRATING))
        return true;
    if (uuid_equal(directory, DIRECTORY_LOST))
        return false;
    /* Registered at a level without directories: nothing is known against any of them. */
    if (broker->directory_count == 0)
        return true;
    for (size_t i = 0; i < broker->directory_count; i++) {
        if (uuid_equal(broker->directories[i], directory))
            return true;
    }
    return false;
}

/* ---- states ---- */

#define SCRATCH_BYTES_MAX (256 * MIB)

enum err metadata_state_create(struct allocator *allocator, const struct metadata_image *from,
                               struct metadata_state **out)
{
    struct metadata_state *state = ALLOCATOR_NEW(allocator, struct metadata_state);

    *out = NULL;
    if (!state)
        return ERR_NO_MEMORY;
    state->allocator = allocator;
    state->pool.allocator = allocator;
    arena_init(&state->scratch, allocator, SCRATCH_BYTES_MAX);
    if (from) {
        ASSERT(from->allocator == allocator);
        image_share(&state->current, from);
    } else {
        state->current.provenance.offset = -1;
    }
    state->current.allocator = allocator;
    *out = state;
    return OK;
}

void metadata_state_release(struct metadata_state **state)
{
    struct metadata_state *old = TAKE(*state);

    if (!old)
        return;
    image_drop(&old->current);
    if (old->in_transaction)
        image_drop(&old->before);
    tree_pool_release(&old->pool);
    arena_release(&old->scratch);
    ALLOCATOR_DELETE(old->allocator, old);
}

void metadata_state_advance(struct metadata_state *state, struct metadata_provenance provenance)
{
    state->current.provenance = provenance;
}

bool metadata_state_in_transaction(const struct metadata_state *state)
{
    return state->in_transaction;
}

const struct metadata_image *metadata_state_view(const struct metadata_state *state)
{
    return &state->current;
}

enum err metadata_state_publish(struct metadata_state *state, struct metadata_image **image_out)
{
    struct metadata_image *image = ALLOCATOR_NEW(state->allocator, struct metadata_image);

    *image_out = image;
    if (!image)
        return ERR_NO_MEMORY;
    image_share(image, state->in_transaction ? &state->before : &state->current);
    image->reference_count = 1;
    return OK;
}

void metadata_state_clear(struct metadata_state *state)
{
    struct metadata_image empty = {.allocator = state->allocator, .provenance.offset = -1};

    image_drop(&state->current);
    if (state->in_transaction)
        image_drop(&state->before);
    state->in_transaction = false;
    state->current = empty;
}

enum err state_put(struct metadata_state *state, enum metadata_map map, void *object)
{
    struct metadata_image *image = &state->current;
    const struct metadata_object *old;

    if (!object)
        return ERR_NO_MEMORY;
    if (tree_pool_reserve(&state->pool, tree_count(image->maps[map]), 1) != OK) {
        object_release(state->allocator, map, object);
        return ERR_NO_MEMORY;
    }
    old = tree_find(image->maps[map], map, object);
    if (old)
        image->hash -= old->hash;
    image->hash += ((struct metadata_object *)object)->hash;
    tree_put(&image->maps[map], map, &state->pool, object);
    return OK;
}

enum err state_remove(struct metadata_state *state, enum metadata_map map, const void *object)
{
    struct metadata_image *image = &state->current;

    TRY(tree_pool_reserve(&state->pool, tree_count(image->maps[map]), 1));
    image->hash -= ((const struct metadata_object *)object)->hash;
    tree_remove(&image->maps[map], map, &state->pool, object);
    return OK;
}

enum err metadata_state_replay(struct metadata_state *state, const struct metadata_record *record,
                               int64_t offset, struct why *why)
{
    struct replay replay = {.state = state, .offset = offset, .why = why};
    enum err err;

    switch (record->type->key) {
    case METADATA_RECORD_REGISTER_BROKER:
    case METADATA_RECORD_UNREGISTER_BROKER:
    case METADATA_RECORD_FENCE_BROKER:
    case METADATA_RECORD_UNFENCE_BROKER:
    case METADATA_RECORD_BROKER_REGISTRATION_CHANGE:
    case METADATA_RECORD_REGISTER_CONTROLLER:
    case METADATA_RECORD_UNREGISTER_CONTROLLER:
        err = replay_cluster(&replay, record);
        break;
    case METADATA_RECORD_TOPIC:
    case METADATA_RECORD_PARTITION:
    case METADATA_RECORD_PARTITION_CHANGE:
    case METADATA_RECORD_REMOVE_TOPIC:
    case METADATA_RECORD_CLEAR_ELR:
        err = replay_topics(&replay, record);
        break;
    case METADATA_RECORD_CONFIG:
    case METADATA_RECORD_FEATURE_LEVEL:
    case METADATA_RECORD_CLIENT_QUOTA:
    case METADATA_RECORD_PRODUCER_IDS:
    case METADATA_RECORD_BEGIN_TRANSACTION:
    case METADATA_RECORD_END_TRANSACTION:
    case METADATA_RECORD_ABORT_TRANSACTION:
        err = replay_settings(&replay, record);
        break;
    case METADATA_RECORD_DELEGATION_TOKEN:
    case METADATA_RECORD_REMOVE_DELEGATION_TOKEN:
    case METADATA_RECORD_USER_SCRAM_CREDENTIAL:
    case METADATA_RECORD_REMOVE_USER_SCRAM_CREDENTIAL:
    case METADATA_RECORD_ACCESS_CONTROL_ENTRY:
    case METADATA_RECORD_REMOVE_ACCESS_CONTROL_ENTRY:
        err = replay_access(&replay, record);
        break;
    case METADATA_RECORD_NO_OP:
    case METADATA_RECORD_ZK_MIGRATION_STATE:
        err = OK;
        break;
    default:
        err = why_set(why, ERR_STATE, "record type %d is not one of the metadata log",
                      record->type->key);
        break;
    }
    arena_reset(&state->scratch);
    return err;
}
