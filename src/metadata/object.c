/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/object.c: the objects of an image. Each is one block of memory with everything that it
 * points at behind it, made from a draft: a first pass measures, a second one copies. So an object is
 * whole or not there, and giving it back is one call. Topics alone point at counted blocks.
 * The hash of an object is made of its content only; parts whose order means nothing (endpoints,
 * features, directories) are summed.
 */
#include "metadata/object_pack.h"

#include "base/hash_map.h"

void *pack_bytes(struct pack *pack, const void *from, size_t size_bytes)
{
    uint8_t *to = pack->base ? pack->base + pack->size_bytes : NULL;

    pack->size_bytes += (size_bytes + 7) & ~(size_t)7;
    if (to && size_bytes > 0)
        memcpy(to, from, size_bytes);
    return to;
}

struct slice pack_slice(struct pack *pack, struct slice from)
{
    if (slice_is_null(from))
        return SLICE_NULL;
    if (from.size_bytes == 0)
        return SLICE_EMPTY;
    return slice_of(pack_bytes(pack, from.data, from.size_bytes), from.size_bytes);
}

void *pack_array(struct pack *pack, const void *from, size_t count, size_t size_bytes)
{
    return count == 0 ? NULL : pack_bytes(pack, from, count * size_bytes);
}

#define OBJECT_STRUCT_BYTES 256
void *object_make(struct allocator *allocator, const void *draft, size_t size_bytes,
                  pack_function pack_parts)
{
    _Alignas(16) uint8_t measured[OBJECT_STRUCT_BYTES];
    struct pack pack = {.base = NULL, .size_bytes = (size_bytes + 7) & ~(size_t)7};
    struct metadata_object *object;

    ASSERT(size_bytes <= sizeof measured);
    pack_parts(&pack, draft, measured);
    if (pack.size_bytes > UINT32_MAX)
        return NULL;
    object = allocator->allocate(allocator, pack.size_bytes);
    if (!object)
        return NULL;
    memcpy(object, draft, size_bytes);
    *object =
        (struct metadata_object){.reference_count = 1, .size_bytes = (uint32_t)pack.size_bytes};
    pack.base = (uint8_t *)object;
    pack.size_bytes = (size_bytes + 7) & ~(size_t)7;
    pack_parts(&pack, draft, object);
    return object;
}

/* ---- hashes ---- */

uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    return hash_u64(hash * UINT64_C(0x9e3779b97f4a7c15) + value);
}

uint64_t hash_mix_slice(uint64_t hash, struct slice s)
{
    hash = hash_mix(hash, slice_is_null(s) ? UINT64_MAX : s.size_bytes);
    return hash_mix(hash, slice_is_null(s) ? 0 : hash_slice(s));
}

uint64_t hash_mix_uuid(uint64_t hash, struct uuid id)
{
    return hash_mix(hash, hash_bytes(id.bytes, sizeof id.bytes));
}

static uint64_t hash_mix_ids(uint64_t hash, const int32_t *ids, size_t count)
{
    hash = hash_mix(hash, count);
    for (size_t i = 0; i < count; i++)
        hash = hash_mix(hash, (uint32_t)ids[i]);
    return hash;
}

static uint64_t hash_uuid_set(const struct uuid *ids, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++)
        sum += hash_mix_uuid(1, ids[i]);
    return sum;
}

static uint64_t hash_endpoints(const struct metadata_endpoint *endpoints, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++) {
        uint64_t hash = hash_mix_slice(1, endpoints[i].name);

        hash = hash_mix_slice(hash, endpoints[i].host);
        hash = hash_mix(hash, endpoints[i].port);
        sum += hash_mix(hash, (uint64_t)endpoints[i].security_protocol);
    }
    return sum;
}

static uint64_t hash_features(const struct metadata_feature_range *features, size_t count)
{
    uint64_t sum = count;

    for (size_t i = 0; i < count; i++) {
        uint64_t hash = hash_mix_slice(1, features[i].name);

        hash = hash_mix(hash, (uint64_t)features[i].level_min);
        sum += hash_mix(hash, (uint64_t)features[i].level_max);
    }
    return sum;
}

/* ---- brokers and controllers ---- */

static const struct metadata_endpoint *
pack_endpoints(struct pack *pack, const struct metadata_endpoint *from, size_t count)
{
    struct metadata_endpoint *to = pack_array(pack, from, count, sizeof *from);

    for (size_t i = 0; i < count; i++) {
        struct slice name = pack_slice(pack, from[i].name);
        struct slice host = pack_slice(pack, from[i].host);

        if (to) {
            to[i].name = name;
            to[i].host = host;
        }
    }
    return to;
}

static const struct metadata_feature_range *
pack_features(struct pack *pack, const struct metadata_feature_range *from, size_t count)
{
    struct metadata_feature_range *to = pack_array(pack, from, count, sizeof *from);

    for (size_t i = 0; i < count; i++) {
        struct slice name = pack_slice(pack, from[i].name);

        if (to)
            to[i].name = name;
    }
    return to;
}

static void broker_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_broker *from = draft;
    struct metadata_broker *to = object;

    to->rack = pack_slice(pack, from->rack);
    to->endpoints = pack_endpoints(pack, from->endpoints, from->endpoint_count);
    to->features = pack_features(pack, from->features, from->feature_count);
    to->directories =
        pack_array(pack, from->directories, from->directory_count, sizeof *from->directories);
    to->cordoned = pack_array(pack, from->cordoned, from->cordoned_count, sizeof *from->cordoned);
}

struct metadata_broker *object_broker(struct allocator *allocator,
                                      const struct metadata_broker *draft)
{
    struct metadata_broker *broker = object_make(allocator, draft, sizeof *draft, broker_pack);
    uint64_t hash;

    if (!broker)
        return NULL;
    hash = hash_mix(METADATA_BROKERS + 1, (uint32_t)broker->id);
    hash = hash_mix(hash, (uint64_t)broker->epoch);
    hash = hash_mix_uuid(hash, broker->incarnation_id);
    hash = hash_mix_slice(hash, broker->rack);
    hash = hash_mix(hash, (uint64_t)broker->fenced | (uint64_t)broker->in_controlled_shutdown << 1 |
                              (uint64_t)broker->is_migrating_zk << 2 |
                              (uint64_t)broker->cordoned_known << 3);
    hash = hash_mix(hash, hash_endpoints(broker->endpoints, broker->endpoint_count));
    hash = hash_mix(hash, hash_features(broker->features, broker->feature_count));
    hash = hash_mix(hash, hash_uuid_set(broker->directories, broker->directory_count));
    broker->object.hash = hash_mix(hash, hash_uuid_set(broker->cordoned, broker->cordoned_count));
    return broker;
}

static void controller_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_controller *from = draft;
    struct metadata_controller *to = object;

    to->endpoints = pack_endpoints(pack, from->endpoints, from->endpoint_count);
    to->features = pack_features(pack, from->features, from->feature_count);
}

struct metadata_controller *object_controller(struct allocator *allocator,
                                              const struct metadata_controller *draft)
{
    struct metadata_controller *controller =
        object_make(allocator, draft, sizeof *draft, controller_pack);
    uint64_t hash;

    if (!controller)
        return NULL;
    hash = hash_mix(METADATA_CONTROLLERS + 1, (uint32_t)controller->id);
    hash = hash_mix_uuid(hash, controller->incarnation_id);
    hash = hash_mix(hash, controller->zk_migration_ready);
    hash = hash_mix(hash, hash_endpoints(controller->endpoints, controller->endpoint_count));
    controller->object.hash =
        hash_mix(hash, hash_features(controller->features, controller->feature_count));
    return controller;
}

/* ---- topics ---- */

static void partition_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_partition *from = draft;
    struct metadata_partition *to = object;

    to->directories =
        pack_array(pack, from->directories, from->replica_count, sizeof *from->directories);
    to->replicas = pack_array(pack, from->replicas, from->replica_count, sizeof(int32_t));
    to->isr = pack_array(pack, from->isr, from->isr_count, sizeof(int32_t));
    to->elr = pack_array(pack, from->elr, from->elr_count, sizeof(int32_t));
    to->last_known_elr =
        pack_array(pack, from->last_known_elr, from->last_known_elr_count, sizeof(int32_t));
    to->removing = pack_array(pack, from->removing, from->removing_count, sizeof(int32_t));
    to->adding = pack_array(pack, from->adding, from->adding_count, sizeof(int32_t));
}

struct metadata_partition *object_partition(struct allocator *allocator, struct uuid topic_id,
                                            const struct metadata_partition *draft)
{
    struct metadata_partition *partition =
        object_make(allocator, draft, sizeof *draft, partition_pack);
    uint64_t hash;

    if (!partition)
        return NULL;
    hash = hash_mix_uuid(METADATA_MAP_COUNT + 1, topic_id);
    hash = hash_mix(hash, (uint32_t)partition->index);
    hash = hash_mix_ids(hash, partition->replicas, partition->replica_count);
    for (size_t i = 0; i < partition->replica_count; i++)
        hash = hash_mix_uuid(hash, partition->directories[i]);
    hash = hash_mix_ids(hash, partition->isr, partition->isr_count);
    hash = hash_mix_ids(hash, partition->elr, partition->elr_count);
    hash = hash_mix_ids(hash, partition->last_known_elr, partition->last_known_elr_count);
    hash = hash_mix_ids(hash, partition->removing, partition->removing_count);
    hash = hash_mix_ids(hash, partition->adding, partition->adding_count);
    hash = hash_mix(hash, (uint32_t)partition->leader);
    hash = hash_mix(hash, (uint32_t)partition->leader_epoch);
    hash = hash_mix(hash, (uint32_t)partition->partition_epoch);
    partition->object.hash = hash_mix(hash, partition->recovering);
    return partition;
}

static void topic_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_topic *from = draft;
    struct metadata_topic *to = object;

    to->name = pack_slice(pack, from->name);
    to->blocks = NULL;
    to->block_count = 0;
    to->partition_count = 0;
}

struct metadata_topic *object_topic(struct allocator *allocator, const struct metadata_topic *draft)
{
    struct metadata_topic *topic = object_make(allocator, draft, sizeof *draft, topic_pack);

    if (!topic)
        return NULL;
    topic->object.hash = hash_mix_uuid(hash_mix_slice(METADATA_TOPICS + 1, topic->name), topic->id);
    return topic;
}

struct metadata_topic *object_topic_copy(struct allocator *allocator,
                                         const struct metadata_topic *from, uint32_t block_count)
{
    struct metadata_topic *topic = object_topic(allocator, from);

    ASSERT(block_count >= from->block_count);
    if (!topic)
        return NULL;
    if (block_count > 0) {
        topic->blocks = allocator_zeroed(allocator, block_count * sizeof *topic->blocks);
        if (!topic->blocks) {
            object_release(allocator, METADATA_TOPICS, &topic->object);
            return NULL;
        }
    }
    topic->block_count = block_count;
    topic->partition_count = from->partition_count;
    for (uint32_t i = 0; i < from->block_count; i++) {
        topic->blocks[i] = from->blocks[i];
        if (topic->blocks[i])
            topic->blocks[i]->reference_count++;
    }
    return topic;
}

/* ---- giving back ---- */

void partition_release(struct allocator *allocator, struct metadata_partition *partition)
{
    if (partition && --partition->object.reference_count == 0)
        allocator->release(allocator, partition, partition->object.size_bytes);
}

void block_release(struct allocator *allocator, struct metadata_block *block)
{
    if (!block || --block->reference_count > 0)
        return;
    for (size_t i = 0; i < METADATA_BLOCK_PARTITIONS; i++)
        partition_release(allocator, block->partitions[i]);
    ALLOCATOR_DELETE(allocator, block);
}

void object_release(struct allocator *allocator, enum metadata_map map,
                    struct metadata_object *object)
{
    if (--object->reference_count > 0)
        return;
    if (map == METADATA_TOPICS || map == METADATA_TOPIC_IDS) {
        struct metadata_topic *topic = (struct metadata_topic *)(void *)object;

        for (uint32_t i = 0; i < topic->block_count; i++)
            block_release(allocator, topic->blocks[i]);
        if (topic->blocks)
            allocator->release(allocator, topic->blocks,
                               topic->block_count * sizeof *topic->blocks);
    }
    allocator->release(allocator, object, object->size_bytes);
}
