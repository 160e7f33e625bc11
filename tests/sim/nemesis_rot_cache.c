/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_rot_cache.c: bits flip in files that can be made anew: indexes, producer snapshots, two checkpoints.
 */
#include "disk_paths.h"
#include "world.h"

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), end_length = strlen(end);

    return length >= end_length && strcmp(path + length - end_length, end) == 0;
}

static bool can_be_made_anew(const char *path)
{
    static const char *const ends[] = {".index",    ".timeindex",
                                       ".txnindex", "/barnabas-aborted-transactions",
                                       ".snapshot", "/recovery-point-offset-checkpoint"};

    if (strstr(path, "__cluster_metadata"))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        if (ends_in(path, ends[i]))
            return true;
    return false;
}

static void begin(struct world *world, struct fault *fault)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct os *machine = fault->node->node.machine;
    struct os_names names;
    struct slice content;
    struct history_event event;
    const char *path = NULL;
    size_t seen = 0;
    int slot;
    int32_t partition;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    if (sim_disk_walk(machine, &arena, &names) != OK)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (can_be_made_anew(names.names[i]) && random_below(&fault->random, ++seen) == 0)
            path = names.names[i];
    if (!path || sim_disk_peek(machine, path, &arena, &content) != OK || content.size_bytes == 0)
        return;
    world->has_rotted_points |= ends_in(path, "-checkpoint");
    if (disk_path_parse(world, path, ".snapshot", &slot, &partition)) {
        history_event_init(&event, HISTORY_MARK, HISTORY_OK);
        event.mark = HISTORY_MARK_SNAPSHOT_ROT;
        event.topic = world->slots[slot].topic;
        event.partition = partition;
        world_event(world, &event);
    }
    for (int64_t i = random_between(&fault->random, 1, 3); i > 0; i--) {
        int64_t position = (int64_t)random_below(&fault->random, content.size_bytes);
        enum err err =
            sim_disk_flip(machine, path, position, (uint8_t)random_between(&fault->random, 1, 255));

        world_say(world, "rot in %s at %lld: %s", path, (long long)position, err_name(err));
    }
}

const struct nemesis nemesis_rot_cache = {.name = "rot_cache", .is_instant = true, .begin = begin};
