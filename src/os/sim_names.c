/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_names.c: directories. Each name has a live and a stable meaning; between them stands the
 * list of changes that no directory sync has covered.
 * Invariants  1. A change becomes stable after every earlier change of the same names.
 *             2. A rename is one change of two names: a crash keeps or undoes both.
 */
#include "os/sim_internal.h"

#include <stdlib.h>

#define CHANGES_MAX 8192

/* ---- entries ---- */

static bool entry_matches(const struct hash_map_node *node, const void *key)
{
    return strcmp(CONTAINER_OF(node, struct sim_entry, node)->name, key) == 0;
}

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_directory)
{
    struct sim_inode *inode = SIM_NEW(struct sim_inode);

    inode->disk = disk;
    inode->is_directory = is_directory;
    inode->refs = 1;
    inode->dirty_low = SIZE_MAX;
    list_init(&inode->dirty);
    list_push_back(&disk->inodes, &inode->node);
    hash_map_init(&inode->entries, &heap_allocator, entry_matches);
    return inode;
}

static struct sim_entry *entry_find(struct sim_inode *directory, const char *name)
{
    struct hash_map_node *node =
        hash_map_find(&directory->entries, hash_bytes(name, strlen(name)), name);

    return node ? CONTAINER_OF(node, struct sim_entry, node) : NULL;
}

static struct sim_entry *entry_need(struct sim_inode *directory, const char *name)
{
    struct sim_entry *entry = entry_find(directory, name);
    enum err err;

    if (entry)
        return entry;
    entry = SIM_NEW(struct sim_entry);
    entry->directory = directory;
    entry->name = sim_copy_text(name);
    err = hash_map_insert(&directory->entries, hash_bytes(name, strlen(name)), &entry->node);
    ASSERT(err == OK);
    return entry;
}

static void entry_set_live(struct sim_entry *entry, struct sim_inode *inode)
{
    struct sim_inode *old = entry->live;

    entry->live = sim_inode_ref(inode);
    if (inode) {
        inode->links++;
        sim_inode_recount(inode);
    }
    if (old) {
        old->links--;
        sim_inode_recount(old);
        sim_inode_unref(old);
    }
}

static void entry_set_stable(struct sim_entry *entry, struct sim_inode *inode)
{
    struct sim_inode *old = entry->stable;

    entry->stable = sim_inode_ref(inode);
    sim_inode_unref(old);
}

static void entry_free(struct sim_entry *entry)
{
    entry_set_live(entry, NULL);
    entry_set_stable(entry, NULL);
    hash_map_remove(&entry->directory->entries, &entry->node);
    sim_free(entry->name);
    sim_free(entry);
}

static void entry_settle(struct sim_entry *entry)
{
    if (!entry->live && !entry->stable && entry->changes == 0)
        entry_free(entry);
}

void sim_entries_release(struct sim_inode *directory)
{
    HASH_MAP_EACH_SAFE (node, &directory->entries)
        entry_free(HASH_MAP_ITEM(node, struct sim_entry, node));
    hash_map_release(&directory->entries);
}

static int entry_order(const void *a, const void *b)
{
    return strcmp((*(struct sim_entry *const *)a)->name, (*(struct sim_entry *const *)b)->name);
}

struct sim_entry **sim_entries_sorted(const struct sim_inode *directory, size_t *count_out)
{
    struct sim_entry **entries =
        sim_allocate(directory->entries.count * sizeof(struct sim_entry *));
    size_t count = 0;

    HASH_MAP_EACH (node, &directory->entries) {
        struct sim_entry *entry = HASH_MAP_ITEM(node, struct sim_entry, node);

        if (entry->live)
            entries[count++] = entry;
    }
    qsort(entries, count, sizeof(struct sim_entry *), entry_order);
    *count_out = count;
    return entries;
}

/* ---- changes ---- */

static struct sim_change *change_new(struct sim_disk *disk)
{
    struct sim_change *change = SIM_NEW(struct sim_change);

    change->sequence = ++disk->change_sequence;
    list_push_back(&disk->changes, &change->node);
    disk->change_count++;
    return change;
}

/* From now on `entry` names `inode`. */
static void change_add(struct sim_change *change, struct sim_entry *entry, struct sim_inode *inode)
{
    ASSERT(change->count < 2);
    change->entries[change->count] = entry;
    change->inodes[change->count] = sim_inode_ref(inode);
    change->count++;
    entry->changes++;
    sim_inode_ref(entry->directory); /* the entry lives as long as the change */
    entry_set_live(entry, inode);
}

static void change_free(struct sim_disk *disk, struct sim_change *change, bool is_kept)
{
    for (int i = 0; i < change->count; i++) {
        struct sim_entry *entry = change->entries[i];
        struct sim_inode *directory = entry->directory;

        if (is_kept)
            entry_set_stable(entry, change->inodes[i]);
        sim_inode_unref(change->inodes[i]);
        entry->changes--;
        entry_settle(entry);
        sim_inode_unref(directory);
    }
    list_remove(&change->node);
    disk->change_count--;
    sim_free(change);
}

/* Marks are numbers of passes, so that none has to be taken off. */
static bool change_is_marked(const struct sim_disk *disk, const struct sim_change *change)
{
    for (int i = 0; i < change->count; i++) {
        if (change->entries[i]->mark == disk->mark)
            return true;
    }
    return false;
}

static void change_mark(const struct sim_disk *disk, struct sim_change *change)
{
    for (int i = 0; i < change->count; i++)
        change->entries[i]->mark = disk->mark;
}

static bool change_is_in(const struct sim_change *change, const struct sim_inode *directory)
{
    for (int i = 0; i < change->count; i++) {
        if (change->entries[i]->directory == directory)
            return true;
    }
    return false;
}

void sim_names_sync(struct sim_inode *directory, uint64_t sequence)
{
    struct sim_disk *disk = directory->disk;

    disk->mark++;
    sim_inode_ref(directory);
    /* Backwards: what a wanted change needs stands before it. */
    for (struct list_node *node = disk->changes.previous; node != &disk->changes;
         node = node->previous) {
        struct sim_change *change = LIST_ITEM(node, struct sim_change, node);

        change->is_wanted = change->sequence <= sequence &&
                            (change_is_in(change, directory) || change_is_marked(disk, change));
        if (change->is_wanted)
            change_mark(disk, change);
    }
    LIST_EACH_SAFE (node, &disk->changes) {
        struct sim_change *change = LIST_ITEM(node, struct sim_change, node);

        if (change->is_wanted)
            change_free(disk, change, true);
    }
    sim_inode_unref(directory);
}

void sim_names_bound(struct sim_disk *disk)
{
    if (disk->change_count < CHANGES_MAX)
        return;
    while (disk->change_count > CHANGES_MAX / 2)
        change_free(disk, LIST_ITEM(list_first(&disk->changes), struct sim_change, node), true);
}

void sim_names_crash(struct sim_disk *disk, const struct sim_weights *weights,
                     struct random *random)
{
    uint64_t total = 2 * ((uint64_t)weights->keep + weights->drop + weights->tear);
    uint64_t keep = 2 * (uint64_t)weights->keep + weights->tear; /* a name cannot be torn */

    disk->mark++;
    LIST_EACH_SAFE (node, &disk->changes) {
        struct sim_change *change = LIST_ITEM(node, struct sim_change, node);
        bool is_kept = random_below(random, total) < keep && !change_is_marked(disk, change);

        if (!is_kept) {
            change_mark(disk, change);
            disk->sim->counts.names_undone++;
        }
        change_free(disk, change, is_kept);
    }
    LIST_EACH (node, &disk->inodes)
        sim_inode_ref(LIST_ITEM(node, struct sim_inode, node)); /* none goes while we walk */
    LIST_EACH (node, &disk->inodes) {
        struct sim_inode *inode = LIST_ITEM(node, struct sim_inode, node);

        if (!inode->is_directory)
            continue;
        HASH_MAP_EACH_SAFE (order, &inode->entries) {
            struct sim_entry *entry = HASH_MAP_ITEM(order, struct sim_entry, node);

            entry_set_live(entry, entry->stable);
            entry_settle(entry);
        }
    }
    /* A freed directory frees what it alone names: those are still held by the loop's reference. */
    LIST_EACH_SAFE (node, &disk->inodes)
        sim_inode_unref(LIST_ITEM(node, struct sim_inode, node));
}

/* ---- paths ---- */

/* The directory of `path` and its last name; name "" when path is the root. */
static enum err resolve(struct sim_disk *disk, const char *path, struct sim_inode **directory_out,
                        char *name_out)
{
    struct sim_inode *stack[SIM_DEPTH] = {disk->root};
    char name[SIM_NAME_BYTES] = "";
    size_t depth = 0;

    for (;;) {
        size_t size;

        while (*path == '/')
            path++;
        size = strcspn(path, "/");
        if (size == 0)
            break;
        if (size >= SIM_NAME_BYTES)
            return ERR_TOO_LARGE;
        if (size == 1 && path[0] == '.') {
            path += size;
            continue;
        }
        if (name[0] != '\0') {
            struct sim_entry *entry = entry_find(stack[depth], name);

            if (!entry || !entry->live)
                return ERR_NOT_FOUND;
            if (!entry->live->is_directory)
                return ERR_NOT_FOUND; /* nothing can be below a file */
            if (depth + 1 == SIM_DEPTH)
                return ERR_IO;
            stack[++depth] = entry->live;
            name[0] = '\0';
        }
        if (size == 2 && path[0] == '.' && path[1] == '.') {
            depth -= depth > 0;
        } else {
            memcpy(name, path, size);
            name[size] = '\0';
        }
        path += size;
    }
    *directory_out = stack[depth];
    memcpy(name_out, name, SIM_NAME_BYTES);
    return OK;
}

enum err sim_find(struct sim_disk *disk, const char *path, struct sim_inode **out)
{
    char name[SIM_NAME_BYTES];
    struct sim_inode *directory;
    struct sim_entry *entry;

    TRY(resolve(disk, path, &directory, name));
    if (name[0] == '\0') {
        *out = directory;
        return OK;
    }
    entry = entry_find(directory, name);
    if (!entry || !entry->live)
        return ERR_NOT_FOUND;
    *out = entry->live;
    return OK;
}

enum err sim_name_open(struct sim_disk *disk, const char *path, unsigned flags,
                       struct sim_inode **out)
{
    char name[SIM_NAME_BYTES];
    struct sim_inode *directory;
    struct sim_entry *entry;
    struct sim_inode *inode;

    TRY(resolve(disk, path, &directory, name));
    if (name[0] == '\0')
        return ERR_IO;
    entry = entry_find(directory, name);
    if (entry && entry->live) {
        if (flags & OS_OPEN_EXCLUSIVE)
            return ERR_EXISTS;
        if (entry->live->is_directory)
            return ERR_IO;
        *out = entry->live;
        return OK;
    }
    if (!(flags & OS_OPEN_CREATE))
        return ERR_NOT_FOUND;
    inode = sim_inode_new(disk, false);
    change_add(change_new(disk), entry_need(directory, name), inode);
    sim_inode_unref(inode); /* the name holds it */
    sim_names_bound(disk);
    *out = inode;
    return OK;
}

enum err sim_name_make_directory(struct sim_disk *disk, const char *path)
{
    char name[SIM_NAME_BYTES];
    struct sim_inode *directory;
    struct sim_entry *entry;
    struct sim_inode *inode;

    TRY(resolve(disk, path, &directory, name));
    if (name[0] == '\0')
        return ERR_EXISTS;
    entry = entry_find(directory, name);
    if (entry && entry->live)
        return ERR_EXISTS;
    inode = sim_inode_new(disk, true);
    change_add(change_new(disk), entry_need(directory, name), inode);
    sim_inode_unref(inode);
    sim_names_bound(disk);
    return OK;
}

static bool directory_is_empty(const struct sim_inode *directory)
{
    HASH_MAP_EACH (node, &directory->entries) {
        if (HASH_MAP_ITEM(node, struct sim_entry, node)->live)
            return false;
    }
    return true;
}

static enum err name_remove(struct sim_disk *disk, const char *path, bool is_directory)
{
    char name[SIM_NAME_BYTES];
    struct sim_inode *directory;
    struct sim_entry *entry;

    TRY(resolve(disk, path, &directory, name));
    entry = name[0] == '\0' ? NULL : entry_find(directory, name);
    if (!entry || !entry->live)
        return name[0] == '\0' ? ERR_IO : ERR_NOT_FOUND;
    if (entry->live->is_directory != is_directory)
        return ERR_IO;
    if (is_directory && !directory_is_empty(entry->live))
        return ERR_EXISTS;
    change_add(change_new(disk), entry, NULL);
    sim_names_bound(disk);
    return OK;
}

enum err sim_name_unlink(struct sim_disk *disk, const char *path)
{
    return name_remove(disk, path, false);
}

enum err sim_name_remove_directory(struct sim_disk *disk, const char *path)
{
    return name_remove(disk, path, true);
}

static bool is_below(const struct sim_inode *directory, const struct sim_inode *wanted)
{
    HASH_MAP_EACH (node, &directory->entries) {
        const struct sim_inode *inode = HASH_MAP_ITEM(node, struct sim_entry, node)->live;

        if (inode && inode->is_directory && (inode == wanted || is_below(inode, wanted)))
            return true;
    }
    return false;
}

enum err sim_name_rename(struct sim_disk *disk, const char *from, const char *to)
{
    char name_from[SIM_NAME_BYTES];
    char name_to[SIM_NAME_BYTES];
    struct sim_inode *directory_from;
    struct sim_inode *directory_to;
    struct sim_entry *entry_from;
    struct sim_entry *entry_to;
    struct sim_inode *inode;
    struct sim_change *change;

    TRY(resolve(disk, from, &directory_from, name_from));
    TRY(resolve(disk, to, &directory_to, name_to));
    if (name_from[0] == '\0' || name_to[0] == '\0')
        return ERR_IO;
    entry_from = entry_find(directory_from, name_from);
    if (!entry_from || !entry_from->live)
        return ERR_NOT_FOUND;
    inode = entry_from->live;
    entry_to = entry_find(directory_to, name_to);
    if (entry_to == entry_from)
        return OK;
    if (entry_to && entry_to->live) {
        if (entry_to->live->is_directory != inode->is_directory)
            return ERR_IO;
        if (inode->is_directory && !directory_is_empty(entry_to->live))
            return ERR_EXISTS;
    }
    if (inode->is_directory && (directory_to == inode || is_below(inode, directory_to)))
        return ERR_IO;
    change = change_new(disk);
    sim_inode_ref(inode);
    change_add(change, entry_need(directory_to, name_to), inode);
    change_add(change, entry_from, NULL);
    sim_inode_unref(inode);
    sim_names_bound(disk);
    return OK;
}

enum err sim_name_list(struct sim_disk *disk, const char *path, struct arena *arena,
                       struct os_names *out)
{
    struct sim_inode *directory;
    struct sim_entry **entries;
    size_t count;
    enum err err = OK;

    TRY(sim_find(disk, path, &directory));
    if (!directory->is_directory)
        return ERR_IO;
    entries = sim_entries_sorted(directory, &count);
    out->names = ARENA_ARRAY(arena, char *, count);
    out->count = 0;
    for (size_t i = 0; i < count && out->names && err == OK; i++) {
        struct slice name = arena_copy(arena, slice_from_text(entries[i]->name));

        out->names[i] = (char *)(uintptr_t)name.data;
        err = slice_is_null(name) ? ERR_NO_MEMORY : OK;
        out->count += err == OK;
    }
    sim_free(entries);
    return out->names ? err : ERR_NO_MEMORY;
}
