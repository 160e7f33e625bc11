/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_rot_log.c: a bit flips in a log, the only copy: what it hit may be lost, but is not served as if it were whole.
 */
#include "disk_paths.h"
#include "world.h"

#include "records/batch.h"

/* Base offset of the batch in which the byte lies; -1: in none. */
static int64_t offset_at(struct slice content, int64_t position)
{
    struct slice batch, rest = content;

    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;

        if (batch_header_read(batch, &header) != OK)
            return -1;
        if (batch.data + batch.size_bytes > content.data + position)
            return header.base_offset;
    }
    return -1;
}

static void begin(struct world *world, struct fault *fault)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct os *machine = fault->node->node.machine;
    struct history_event event;
    struct os_names names;
    struct slice content;
    const char *path = NULL;
    int slot = 0;
    int32_t partition = 0;
    size_t seen = 0;
    int64_t position;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    if (sim_disk_walk(machine, &arena, &names) != OK)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (disk_path_parse(world, names.names[i], ".log", &slot, &partition) &&
            random_below(&fault->random, ++seen) == 0)
            path = names.names[i];
    if (!path || !disk_path_parse(world, path, ".log", &slot, &partition) ||
        sim_disk_peek(machine, path, &arena, &content) != OK || content.size_bytes == 0 ||
        !world->slots[slot].is_live)
        return;
    position = (int64_t)random_below(&fault->random, content.size_bytes);
    history_event_init(&event, HISTORY_MARK, HISTORY_OK);
    event.mark = HISTORY_MARK_DAMAGE;
    event.topic = world->slots[slot].topic;
    event.partition = partition;
    event.offset = MAX(offset_at(content, position), 0);
    world_event(world, &event);
    world->is_damaged = true;
    err = sim_disk_flip(machine, path, position, (uint8_t)(1u << random_below(&fault->random, 8)));
    world_say(world, "rot in %s at %lld, offset %lld: %s", path, (long long)position,
              (long long)event.offset, err_name(err));
}

const struct nemesis nemesis_rot_log = {.name = "rot_log", .is_instant = true, .begin = begin};
