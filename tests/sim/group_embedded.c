/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_embedded.c: what classic consumers say to each other through the coordinator: subscriptions (v2) and
 * assignments (v0), and how a leader divides the topics: ranges, or cooperatively: what somebody has is given
 * to somebody else only in the round after he gave it up.
 */
#include "group.h"

#include "base/assert.h"

/* ---- bytes ---- */

static void text_write(struct writer *writer, const char *text)
{
    struct slice slice = slice_from_text(text);

    writer_u16(writer, (uint16_t)slice.size_bytes);
    writer_bytes(writer, slice.data, slice.size_bytes);
}

/* By name, each topic once. */
static void list_write(struct writer *writer, const struct world *world,
                       const struct assigned *list, int count)
{
    uint32_t topics = 0;
    size_t at = writer->size_bytes;

    writer_u32(writer, 0);
    for (int slot = 0; slot < world->slot_count; slot++) {
        uint32_t partitions = 0;
        size_t count_at;

        for (int i = 0; i < count; i++)
            partitions +=
                memcmp(&list[i].topic_id, &world->slots[slot].id, sizeof list[i].topic_id) == 0;
        if (partitions == 0)
            continue;
        topics++;
        text_write(writer, world->slots[slot].name);
        count_at = writer->size_bytes;
        writer_u32(writer, 0);
        for (int i = 0; i < count; i++)
            if (memcmp(&list[i].topic_id, &world->slots[slot].id, sizeof list[i].topic_id) == 0)
                writer_u32(writer, (uint32_t)list[i].partition);
        writer_patch_u32(writer, count_at, partitions);
    }
    writer_patch_u32(writer, at, topics);
}

static int list_read(const struct world *world, struct cursor *cursor, struct assigned *list,
                     uint32_t *unknown_out)
{
    uint32_t topics, partitions, partition;
    uint16_t length;
    struct slice name;
    int count = 0;

    *unknown_out = 0;
    if (cursor_u32(cursor, &topics) != OK)
        return -1;
    for (uint32_t i = 0; i < topics; i++) {
        const struct slot *slot = NULL;

        if (cursor_u16(cursor, &length) != OK || cursor_bytes(cursor, length, &name) != OK ||
            cursor_u32(cursor, &partitions) != OK)
            return -1;
        for (int k = 0; k < world->slot_count; k++)
            if (slice_equal(name, slice_from_text(world->slots[k].name)))
                slot = &world->slots[k];
        if (slot && !slot->is_live)
            *unknown_out |= 1u << (slot - world->slots);
        for (uint32_t k = 0; k < partitions; k++) {
            if (cursor_u32(cursor, &partition) != OK)
                return -1;
            if (slot && slot->is_live && count < OWNED_MAX)
                list[count++] = (struct assigned){slot->id, (int32_t)partition};
        }
    }
    return count;
}

struct slice embedded_subscription(const struct member *member, struct arena *arena)
{
    const struct world *world = member->actor->world;
    struct assigned owned[OWNED_MAX];
    struct writer writer;
    struct slice bytes;
    int count = member->group->is_cooperative ? member->owned_count : 0;

    for (int i = 0; i < count; i++)
        owned[i] = (struct assigned){member->owned[i].topic_id, member->owned[i].partition};
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    writer_u16(&writer, 2);
    writer_u32(&writer, (uint32_t)world->slot_count);
    for (int i = 0; i < world->slot_count; i++)
        text_write(&writer, world->slots[i].name);
    writer_u32(&writer, UINT32_MAX); /* no user data */
    list_write(&writer, world, owned, count);
    writer_u32(&writer, (uint32_t)member->generation);
    bytes = arena_copy(arena, writer_slice(&writer));
    writer_release(&writer);
    return bytes;
}

void embedded_subscription_read(const struct world *world, struct slice bytes,
                                struct embedded_member *out)
{
    struct cursor cursor = cursor_of(bytes);
    uint32_t topics, data, generation, unknown;
    uint16_t version, length;
    struct slice name;

    if (cursor_u16(&cursor, &version) != OK || cursor_u32(&cursor, &topics) != OK)
        return;
    for (uint32_t i = 0; i < topics; i++)
        if (cursor_u16(&cursor, &length) != OK || cursor_bytes(&cursor, length, &name) != OK)
            return;
    if (cursor_u32(&cursor, &data) != OK)
        return;
    out->owned_count = list_read(world, &cursor, out->owned, &unknown);
    out->owned_count = MAX(out->owned_count, 0);
    if (cursor_u32(&cursor, &generation) == OK)
        out->generation = (int32_t)generation;
}

struct slice embedded_assignment(const struct world *world, const struct assigned *list, int count,
                                 struct arena *arena)
{
    struct writer writer;
    struct slice bytes;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    writer_u16(&writer, 0);
    list_write(&writer, world, list, count);
    writer_u32(&writer, UINT32_MAX);
    bytes = arena_copy(arena, writer_slice(&writer));
    writer_release(&writer);
    return bytes;
}

bool embedded_assignment_read(const struct world *world, struct slice bytes, struct assigned *list,
                              int *count_out, uint32_t *unknown_out)
{
    struct cursor cursor = cursor_of(bytes);
    uint16_t version;

    *count_out = 0;
    *unknown_out = 0;
    if (bytes.size_bytes == 0)
        return true;
    if (cursor_u16(&cursor, &version) != OK)
        return false;
    *count_out = list_read(world, &cursor, list, unknown_out);
    return *count_out >= 0;
}

/* ---- assignors ---- */

static void give(struct embedded_member *member, const struct slot *slot, int32_t partition)
{
    if (member->given_count < OWNED_MAX)
        member->given[member->given_count++] = (struct assigned){slot->id, partition};
}

void assign_eager(const struct world *world, struct embedded_member *members, int count)
{
    for (int i = 0; i < world->slot_count; i++) {
        const struct slot *slot = &world->slots[i];
        int each = slot->partitions / count, more = slot->partitions % count;
        int32_t partition = 0;

        for (int k = 0; slot->is_live && k < count; k++)
            for (int n = each + (k < more); n > 0; n--)
                give(&members[k], slot, partition++);
    }
}

static bool has(const struct embedded_member *member, const struct slot *slot, int32_t partition)
{
    for (int i = 0; i < member->owned_count; i++)
        if (member->owned[i].partition == partition &&
            memcmp(&member->owned[i].topic_id, &slot->id, sizeof slot->id) == 0)
            return true;
    return false;
}

void assign_cooperative(const struct world *world, struct embedded_member *members, int count)
{
    int total = 0, most;

    for (int i = 0; i < world->slot_count; i++)
        total += world->slots[i].is_live ? world->slots[i].partitions : 0;
    most = (total + count - 1) / count;
    /* First who has something keeps it, up to his share; whoever has heard of the newest generation is right. */
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < world->slot_count; i++) {
            const struct slot *slot = &world->slots[i];

            for (int32_t partition = 0; slot->is_live && partition < slot->partitions;
                 partition++) {
                struct embedded_member *holder = NULL, *least = &members[0];

                for (int k = 0; k < count; k++) {
                    if (has(&members[k], slot, partition) &&
                        (!holder || members[k].generation > holder->generation))
                        holder = &members[k];
                    if (members[k].given_count < least->given_count)
                        least = &members[k];
                }
                if (pass == 0 && holder && holder->given_count < most)
                    give(holder, slot, partition);
                else if (pass == 1 && !holder)
                    give(least, slot, partition);
            }
        }
    }
}
