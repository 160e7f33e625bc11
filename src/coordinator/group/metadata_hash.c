/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/metadata_hash.c: the hash of what assignors depend on: topics, their partitions and the racks
 * of those. Stored with a group's epoch; a different value means that an assignment is due. Bytes as Kafka
 * feeds them to its XXH3-64: numbers little-endian, a text as its UTF-16 units and then their number.
 */
#include "coordinator/group/consumer_internal.h"

/* Compiled in: no library is linked (docs/adr/0004-re2.md). */
#define XXH_INLINE_ALL
#include <xxhash.h>

static void put_u32(struct writer *writer, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        writer_u8(writer, (uint8_t)(value >> 8 * i));
}

static void put_half(struct writer *writer, const uint8_t bytes[8])
{
    for (unsigned i = 8; i-- > 0;)
        writer_u8(writer, bytes[i]);
}

/* Number of UTF-16 units; written unless writer is NULL. Names and racks passed checks as UTF-8. */
static uint32_t put_units(struct writer *writer, struct slice text)
{
    uint32_t units = 0;

    for (size_t at = 0; at < text.size_bytes;) {
        uint32_t c;

        at += assign_text_next(text, at, &c);
        if (c >= 0x10000) {
            uint32_t high = 0xd800 + ((c - 0x10000) >> 10);

            if (writer) {
                writer_u8(writer, (uint8_t)high);
                writer_u8(writer, (uint8_t)(high >> 8));
            }
            units++;
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        if (writer) {
            writer_u8(writer, (uint8_t)c);
            writer_u8(writer, (uint8_t)(c >> 8));
        }
        units++;
    }
    return units;
}

static void put_text(struct writer *writer, struct slice text)
{
    put_u32(writer, put_units(writer, text));
}

/* Every replica counts: two in one rack give the rack twice. */
static enum err put_racks(struct writer *writer, const struct metadata_image *image,
                          const struct metadata_partition *partition, struct slice *racks)
{
    int32_t count = 0;

    for (size_t i = 0; partition && i < partition->replica_count; i++) {
        const struct metadata_broker *broker = metadata_image_broker(image, partition->replicas[i]);
        struct slice rack = broker ? broker->rack : SLICE_NULL;
        int32_t at = count;

        if (slice_is_null(rack))
            continue;
        for (; at > 0 && assign_compare_text(racks[at - 1], rack) > 0; at--)
            racks[at] = racks[at - 1];
        racks[at] = rack;
        count++;
    }
    for (int32_t i = 0; i < count; i++) {
        put_u32(writer, put_units(NULL, racks[i]));
        put_text(writer, racks[i]);
    }
    return OK;
}

enum err consumer_topic_hash(const struct metadata_image *image, struct slice name,
                             struct allocator *allocator, uint64_t *out)
{
    const struct metadata_topic *topic = metadata_image_topic(image, name);
    CLEANUP(writer_release) struct writer writer;
    CLEANUP(arena_release) struct arena scratch;
    size_t replicas_max = 0;
    struct slice *racks;

    writer_init(&writer, allocator, SIZE_MAX);
    arena_init(&scratch, allocator, SIZE_MAX);
    *out = 0;
    if (!topic)
        return OK;
    writer_u8(&writer, 0);
    put_half(&writer, topic->id.bytes);
    put_half(&writer, topic->id.bytes + 8);
    put_text(&writer, topic->name);
    put_u32(&writer, (uint32_t)topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        replicas_max = MAX(replicas_max, partition ? partition->replica_count : 0);
    }
    racks = ARENA_ARRAY(&scratch, struct slice, replicas_max);
    if (!racks)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        put_u32(&writer, (uint32_t)i);
        TRY(put_racks(&writer, image, metadata_topic_partition(topic, i), racks));
    }
    TRY(writer_error(&writer));
    *out = XXH3_64bits(writer.data, writer.size_bytes);
    return OK;
}

uint64_t consumer_group_hash(uint64_t *topic_hashes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t hash = topic_hashes[i];
        uint8_t *bytes = (uint8_t *)(void *)&topic_hashes[i];

        for (unsigned j = 0; j < 8; j++)
            bytes[j] = (uint8_t)(hash >> 8 * j);
    }
    return count == 0 ? CONSUMER_HASH_OF_NOTHING
                      : XXH3_64bits(topic_hashes, count * sizeof *topic_hashes);
}
