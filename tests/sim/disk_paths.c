/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/disk_paths.c: see the header.
 */
#include "disk_paths.h"

#include <stdlib.h>

bool disk_path_parse(const struct world *world, const char *path, const char *end, int *slot,
                     int32_t *partition)
{
    size_t length = strlen(path), end_length = strlen(end);
    const char *name = strstr(path, "/t");
    char *rest;
    long number;

    if (!name || length < end_length || strcmp(path + length - end_length, end) != 0)
        return false;
    number = strtol(name + 2, &rest, 10);
    if (*rest != '-' || number < 0 || number >= world->slot_count)
        return false;
    *slot = (int)number;
    *partition = (int32_t)strtol(rest + 1, &rest, 10);
    return *rest == '/';
}

static void line_mark(struct world *world, const char *line)
{
    struct history_event event;
    long long offset;
    int slot, partition;

    if (sscanf(line, "t%d %d %lld", &slot, &partition, &offset) != 3 || slot < 0 ||
        slot >= world->slot_count || world->slots[slot].is_churn ||
        world->slots[slot].generation == 0)
        return;
    history_event_init(&event, HISTORY_MARK, HISTORY_OK);
    event.mark = HISTORY_MARK_SYNCED;
    event.topic = world->slots[slot].topic;
    event.partition = partition;
    event.offset = offset;
    world_event(world, &event);
}

void disk_mark_synced(struct world *world, struct world_node *node)
{
    if (world->has_rotted_points)
        return; /* nothing vouches for what they say */
    for (int i = 0; i < world->knobs.directories; i++) {
        CLEANUP(arena_release) struct arena arena = {0};
        struct slice content;
        char directory[32], path[96];
        char *text, *line, *rest = NULL;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        world_directory(i, directory, sizeof directory);
        snprintf(path, sizeof path, "%srecovery-point-offset-checkpoint", directory);
        if (sim_disk_peek(node->node.machine, path, &arena, &content) != OK)
            continue;
        text = arena_format(&arena, "%.*s", (int)content.size_bytes, (const char *)content.data);
        for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            line_mark(world, line);
    }
}
