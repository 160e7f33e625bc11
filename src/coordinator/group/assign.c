/* SPDX-License-Identifier: Apache-2.0 */
/* coordinator/group/assign.c: what the assignors share: owners, orders, Java's hashes. */
#include "coordinator/group/assign.h"

#include "base/assert.h"

int32_t assign_topic_find(const struct assign_input *input, struct uuid id)
{
    int32_t low = 0, high = input->topic_count;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = uuid_compare(input->topics[middle].id, id);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

bool assign_member_subscribes(const struct assign_member *member, int32_t topic)
{
    int32_t low = 0, high = member->topic_count;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;

        if (member->topics[middle] == topic)
            return true;
        if (member->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const struct topic_partitions *assignment_topic(const struct assignment *assignment,
                                                struct uuid topic_id)
{
    int32_t low = 0, high = assignment->count;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = uuid_compare(assignment->topics[middle].topic_id, topic_id);

        if (order == 0)
            return &assignment->topics[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

int32_t topic_partitions_place(const struct topic_partitions *topic, int32_t partition)
{
    int32_t low = 0, high = topic ? topic->count : 0;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;

        if (topic->partitions[middle] == partition)
            return middle;
        if (topic->partitions[middle] < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

bool topic_partitions_have(const struct topic_partitions *topic, int32_t partition)
{
    return topic_partitions_place(topic, partition) >= 0;
}

enum err assign_owners_create(const struct assign_input *input, struct arena *arena,
                              struct assign_owners *out)
{
    size_t total = 0;

    out->input = input;
    out->first = ARENA_ARRAY(arena, size_t, (size_t)input->topic_count + 1);
    if (!out->first)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->topic_count; i++) {
        ASSERT(input->topics[i].partition_count >= 0);
        ASSERT(i == 0 || uuid_compare(input->topics[i - 1].id, input->topics[i].id) < 0);
        out->first[i] = total;
        total += (size_t)input->topics[i].partition_count;
    }
    out->first[input->topic_count] = total;
    out->owners = ARENA_ARRAY(arena, int32_t, total);
    if (!out->owners)
        return ERR_NO_MEMORY;
    if (total > 0)
        memset(out->owners, 0xff, total * sizeof *out->owners);
    return OK;
}

/* Two passes over the owners: how many of each member, then where they go. */
enum err assign_owners_targets(const struct assign_owners *owners, struct arena *arena,
                               struct assignment **targets_out)
{
    const struct assign_input *input = owners->input;
    size_t total = owners->first[input->topic_count];
    struct assignment *targets = ARENA_ARRAY(arena, struct assignment, (size_t)input->member_count);
    struct room {
        int32_t topic_count, last_topic;
        size_t partition_count;
        struct topic_partitions *topics;
        int32_t *partitions;
    } *rooms = ARENA_ARRAY(arena, struct room, (size_t)input->member_count);

    if (!targets || !rooms)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->member_count; i++)
        rooms[i].last_topic = -1;
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        for (size_t at = owners->first[topic]; at < owners->first[topic + 1]; at++) {
            int32_t owner = owners->owners[at];

            if (owner < 0)
                continue;
            rooms[owner].partition_count++;
            if (rooms[owner].last_topic != topic) {
                rooms[owner].last_topic = topic;
                rooms[owner].topic_count++;
            }
        }
    }
    struct topic_partitions *topics;
    int32_t *partitions = ARENA_ARRAY(arena, int32_t, total);
    size_t topic_total = 0;

    for (int32_t i = 0; i < input->member_count; i++)
        topic_total += (size_t)rooms[i].topic_count;
    topics = ARENA_ARRAY(arena, struct topic_partitions, topic_total);
    if (!topics || !partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < input->member_count; i++) {
        targets[i].topics = topics;
        rooms[i].topics = topics;
        rooms[i].partitions = partitions;
        rooms[i].last_topic = -1;
        topics += rooms[i].topic_count;
        partitions += rooms[i].partition_count;
    }
    for (int32_t topic = 0; topic < input->topic_count; topic++) {
        for (size_t at = owners->first[topic]; at < owners->first[topic + 1]; at++) {
            int32_t owner = owners->owners[at];
            struct room *room;

            if (owner < 0)
                continue;
            room = &rooms[owner];
            if (room->last_topic != topic) {
                room->last_topic = topic;
                room->topics[targets[owner].count++] = (struct topic_partitions){
                    .topic_id = input->topics[topic].id, .partitions = room->partitions};
            }
            *room->partitions++ = (int32_t)(at - owners->first[topic]);
            room->topics[targets[owner].count - 1].count++;
        }
    }
    *targets_out = targets;
    return OK;
}

size_t assign_text_next(struct slice text, size_t at, uint32_t *out)
{
    const uint8_t *s = text.data + at;
    size_t left = text.size_bytes - at;
    size_t need = s[0] < 0x80                   ? 1
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                  : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                : 0;
    uint32_t value = need == 1   ? s[0]
                     : need == 2 ? s[0] & 0x1fu
                     : need == 3 ? s[0] & 0x0fu
                                 : s[0] & 7u;

    *out = 0xfffd;
    if (need == 0 || need > left)
        return 1;
    for (size_t i = 1; i < need; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (s[i] & 0x3fu);
    }
    if ((need == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
        (need == 4 && (value < 0x10000 || value > 0x10ffff)))
        return 1;
    *out = value;
    return need;
}

uint32_t assign_hash_text(struct slice utf8)
{
    uint32_t hash = 0;

    for (size_t at = 0; at < utf8.size_bytes;) {
        uint32_t c;

        at += assign_text_next(utf8, at, &c);
        if (c >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + c;
    }
    return hash;
}

/* UTF-16 order differs from that of bytes only where surrogates meet U+E000 … U+FFFF. */
int assign_compare_text(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;

    while (i < a.size_bytes && j < b.size_bytes) {
        uint32_t c, d;

        i += assign_text_next(a, i, &c);
        j += assign_text_next(b, j, &d);
        if (c == d)
            continue;
        c = c >= 0x10000 ? 0xd800 + ((c - 0x10000) >> 10) : c;
        d = d >= 0x10000 ? 0xd800 + ((d - 0x10000) >> 10) : d;
        if (c != d)
            return c < d ? -1 : 1;
        return slice_compare(a, b) < 0 ? -1 : 1; /* same high surrogate: the low one decides */
    }
    return (i < a.size_bytes) - (j < b.size_bytes);
}

static uint64_t uuid_half(struct uuid id, size_t from)
{
    uint64_t value = 0;

    for (size_t i = from; i < from + 8; i++)
        value = value << 8 | id.bytes[i];
    return value;
}

uint32_t assign_hash_uuid(struct uuid id)
{
    uint64_t mixed = uuid_half(id, 0) ^ uuid_half(id, 8);

    return (uint32_t)(mixed >> 32) ^ (uint32_t)mixed;
}

int assign_compare_uuid(struct uuid a, struct uuid b)
{
    for (size_t from = 0; from < 16; from += 8) {
        int64_t left = (int64_t)uuid_half(a, from), right = (int64_t)uuid_half(b, from);

        if (left != right)
            return left < right ? -1 : 1;
    }
    return 0;
}

uint32_t assign_table_grown(size_t count)
{
    uint32_t size = 16;

    while (count > size / 4 * 3)
        size *= 2;
    return size;
}

uint32_t assign_table_sized(size_t count)
{
    uint32_t want = (uint32_t)((float)count / 0.75f) + 1, size = 16; /* Java reckons in float too */

    while (size < want)
        size *= 2;
    return size;
}

enum err assign_order(const uint32_t *hashes, int32_t count, uint32_t table_size,
                      struct arena *arena, int32_t *order_out)
{
    uint32_t *starts = ARENA_ARRAY(arena, uint32_t, (size_t)table_size + 1);

    if (!starts)
        return ERR_NO_MEMORY;
#define BUCKET(i) ((hashes[i] ^ hashes[i] >> 16) & (table_size - 1))
    for (int32_t i = 0; i < count; i++)
        starts[BUCKET(i) + 1]++;
    for (uint32_t i = 0; i < table_size; i++)
        starts[i + 1] += starts[i];
    for (int32_t i = 0; i < count; i++)
        order_out[starts[BUCKET(i)]++] = i;
#undef BUCKET
    return OK;
}
