/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_disk.c: one disk: space, write-back, power cuts, and what checkers and schedules do to it.
 */
#include "os/sim_internal.h"

#include <stdlib.h>

struct sim_disk *sim_disk_new(struct sim *sim, int64_t size_bytes)
{
    struct sim_disk *disk = SIM_NEW(struct sim_disk);

    disk->sim = sim;
    disk->size_bytes = size_bytes;
    list_init(&disk->inodes);
    list_init(&disk->dirty);
    list_init(&disk->changes);
    disk->reserved = sim_page_new(NULL);
    disk->root = sim_inode_new(disk, true);
    return disk;
}

void sim_disk_release(struct sim_disk *disk)
{
    static const struct sim_weights keep = {1, 0, 0};
    struct random random;

    random_init(&random, 0);
    sim_names_crash(disk, &keep, &random); /* no change is left to hold anything */
    sim_inode_unref(disk->root);
    ASSERT(list_is_empty(&disk->inodes));
    sim_page_set(&disk->reserved, NULL);
    sim_free(disk);
}

bool sim_disk_has_page(const struct sim_disk *disk)
{
    return (int64_t)((disk->used_pages + 1) * SIM_PAGE_BYTES) <= disk->size_bytes;
}

void sim_disk_writeback(struct sim_disk *disk)
{
    while ((int64_t)(disk->dirty_pages * SIM_PAGE_BYTES) > disk->sim->options.writeback_bytes) {
        struct sim_inode *inode = LIST_ITEM(list_first(&disk->dirty), struct sim_inode, dirty);
        struct sim_snapshot *snapshot = sim_snapshot_take(inode);

        sim_snapshot_apply(snapshot);
        sim_snapshot_release(&snapshot);
    }
}

void sim_disk_crash(struct sim_disk *disk, const struct sim_weights *weights, struct random *random)
{
    sim_names_crash(disk, weights, random);
    LIST_EACH (node, &disk->inodes)
        sim_inode_crash(LIST_ITEM(node, struct sim_inode, node), weights, random,
                        &disk->sim->counts);
}

/* ---- schedules and checkers ---- */

void sim_machine_set_disk(struct os *os, const struct sim_latency *disk_latency,
                          const struct sim_latency *sync_latency)
{
    struct sim_machine *machine = sim_process_of(os)->machine;

    machine->disk_latency = *disk_latency;
    machine->sync_latency = *sync_latency;
    sim_jobs_redraw(sim_process_of(os));
}

void sim_disk_set_capacity(struct os *os, int64_t size_bytes)
{
    sim_process_of(os)->machine->disk->size_bytes = size_bytes;
}

enum err sim_disk_flip(struct os *os, const char *path, int64_t position_bytes, uint8_t mask)
{
    struct sim_machine *machine = sim_process_of(os)->machine;
    struct sim_inode *inode;
    enum err err = sim_find(machine->disk, path, &inode);

    if (err != OK || inode->is_directory)
        return ERR_NOT_FOUND;
    TRY(sim_inode_flip(inode, position_bytes, mask));
    sim_note(machine->sim, machine, "flip", position_bytes, path);
    return OK;
}

enum err sim_disk_peek(struct os *os, const char *path, struct arena *arena, struct slice *out)
{
    struct sim_inode *inode;
    uint8_t *data;

    *out = SLICE_NULL;
    TRY(sim_find(sim_process_of(os)->machine->disk, path, &inode));
    if (inode->is_directory)
        return ERR_IO;
    data = arena_allocate(arena, (size_t)inode->size_bytes);
    if (!data)
        return ERR_NO_MEMORY;
    *out = slice_of(data, sim_inode_read(inode, data, (size_t)inode->size_bytes, 0));
    return OK;
}

struct walk {
    struct arena *arena;
    char **names;
    size_t count, capacity;
};

static enum err walk_add(struct walk *walk, const struct sim_inode *directory, const char *prefix)
{
    size_t count;
    struct sim_entry **entries = sim_entries_sorted(directory, &count);
    enum err err = OK;

    for (size_t i = 0; i < count && err == OK; i++) {
        const struct sim_inode *inode = entries[i]->live;
        char *path = arena_format(walk->arena, "%s%s%s", prefix, entries[i]->name,
                                  inode->is_directory ? "/" : "");

        if (!path) {
            err = ERR_NO_MEMORY;
            break;
        }
        SIM_GROW(walk->names, walk->count, walk->capacity);
        walk->names[walk->count++] = path;
        if (inode->is_directory)
            err = walk_add(walk, inode, path);
    }
    sim_free(entries);
    return err;
}

static int path_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum err sim_disk_walk(struct os *os, struct arena *arena, struct os_names *out)
{
    struct walk walk = {.arena = arena};
    enum err err = walk_add(&walk, sim_process_of(os)->machine->disk->root, "/");

    *out = (struct os_names){0};
    if (err == OK)
        out->names = ARENA_ARRAY(arena, char *, walk.count);
    if (out->names) {
        if (walk.count > 0)
            memcpy(out->names, walk.names, walk.count * sizeof(char *));
        out->count = walk.count;
        qsort(out->names, out->count, sizeof(char *), path_order);
    } else if (err == OK) {
        err = ERR_NO_MEMORY;
    }
    sim_free(walk.names);
    return err;
}

void sim_disk_swap(struct os *a, struct os *b)
{
    struct sim_machine *one = sim_process_of(a)->machine;
    struct sim_machine *two = sim_process_of(b)->machine;
    struct sim_disk *disk = one->disk;

    ASSERT(!one->process && !two->process);
    one->disk = two->disk;
    two->disk = disk;
    sim_note(one->sim, one, "disk-swap", (int64_t)two->index, two->name);
}

void sim_disk_wipe(struct os *os)
{
    struct sim_machine *machine = sim_process_of(os)->machine;
    int64_t size_bytes = machine->disk->size_bytes;

    ASSERT(!machine->process);
    sim_disk_release(machine->disk);
    machine->disk = sim_disk_new(machine->sim, size_bytes);
    sim_note(machine->sim, machine, "disk-wipe", 0, "");
}
