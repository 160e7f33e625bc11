/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/directories.c: the set of log.dirs of a process while it runs: their space, what is known of them, a
 * directory's end as offline; and their closing.
 * Invariants  1. offline is for good.
 * Threads     closing: one, after the shards. Offline, space: any.
 */
#include "storage/directories.h"

#include "storage/shard.h"

void log_directories_set_producer_expiration(struct log_directories *directories,
                                             int64_t expiration_ms)
{
    atomic_store(&directories->producer_expiration_ms, expiration_ms);
}

void log_directories_hurry(struct log_directories *directories)
{
    atomic_store(&directories->is_closing, true);
}

/* ---- space ---- */

bool log_directory_use_reserve(struct log_directory *directory)
{
    char path[PATH_BYTES];

    if (!atomic_exchange(&directory->has_reserve, false))
        return false;
    path_join(directory->path, RESERVE_NAME, path);
    LOG_WARN(directory->set->logger, "storage", "reserve_used", "directory=%s", directory->path);
    return os_unlink(directory->set->os, path) == OK;
}

static void reserve_make(struct log_directory *directory)
{
    CLEANUP(os_file_close) struct os_file *file = NULL;
    char path[PATH_BYTES];

    path_join(directory->path, RESERVE_NAME, path);
    if (os_file_open(directory->set->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file) != OK)
        return;
    if (os_file_reserve(file, 0, directory->set->options.reserve_bytes) == OK)
        atomic_store(&directory->has_reserve, true);
    else
        (void)!os_unlink(directory->set->os, path);
}

void log_directory_measure(struct log_directory *directory)
{
    const struct storage_options *options = &directory->set->options;
    int64_t free_bytes;
    int64_t total_bytes;
    bool low;

    if (os_disk_space(directory->set->os, directory->path, &free_bytes, &total_bytes) != OK)
        return;
    atomic_store(&directory->free_bytes, free_bytes);
    atomic_store(&directory->total_bytes, total_bytes);
    low = options->low_space_bytes > 0 && free_bytes < options->low_space_bytes;
    if (atomic_exchange(&directory->low, low) != low)
        LOG_WARN(directory->set->logger, "storage", low ? "space_low" : "space_enough",
                 "directory=%s free=%lld threshold=%lld", directory->path, (long long)free_bytes,
                 (long long)options->low_space_bytes);
    if (!low && options->reserve_bytes > 0 && !atomic_load(&directory->has_reserve) &&
        free_bytes - options->reserve_bytes > options->low_space_bytes)
        reserve_make(directory);
}

/* ---- closing ---- */

/* Clean: every log that was opened closed well (one that does not takes the directory offline), and none was left
 * unseen after an unclean stop. */
static bool directory_is_clean(const struct log_directory *directory)
{
    ASSERT(atomic_load(&directory->log_count) == 0);
    if (log_directory_is_offline(directory))
        return false;
    for (size_t i = 0; !directory->was_clean && i < directory->found_count; i++) {
        const struct found_log *found = &directory->found[i];

        if ((found->name.kind == LOG_NAME_CURRENT || found->name.kind == LOG_NAME_FUTURE) &&
            !atomic_load(&found->opened))
            return false;
    }
    return true;
}

static void directory_close(struct log_directory *directory)
{
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++)
        offset_map_release(&directory->at_open[kind]);
    if (directory->lock) {
        char path[PATH_BYTES];

        path_join(directory->path, LOCK_NAME, path);
        (void)!os_unlink(directory->set->os, path);
        os_file_close(&directory->lock);
    }
    storage_free(directory->found, directory->found_capacity * sizeof *directory->found);
    arena_release(&directory->arena);
    storage_free(directory->path, directory->path_bytes);
}

void log_directories_close(struct log_directories **held, bool clean, int64_t broker_epoch)
{
    struct log_directories *directories = TAKE(*held);

    if (!directories)
        return;
    keeper_release(directories);
    for (size_t i = 0; i < directories->count; i++) {
        struct log_directory *directory = &directories->items[i];
        enum err err;

        if (!clean || !directory_is_clean(directory))
            continue;
        err = clean_marker_write(directories->os, directory->path, broker_epoch);
        if (err != OK)
            LOG_ERROR(directories->logger, "storage", "clean_marker_failed",
                      "directory=%s error=%s", directory->path, err_name(err));
    }
    for (size_t i = 0; i < directories->count; i++)
        directory_close(&directories->items[i]);
    storage_free(directories->items,
                 MAX(directories->count, (size_t)1) * sizeof *directories->items);
    STORAGE_DELETE(directories);
}

/* ---- asking ---- */

size_t log_directories_count(const struct log_directories *directories)
{
    return directories->count;
}

struct log_directory *log_directories_at(const struct log_directories *directories, size_t index)
{
    ASSERT(index < directories->count);
    return &directories->items[index];
}

struct log_directory *log_directories_find(const struct log_directories *directories,
                                           struct uuid id)
{
    for (size_t i = 0; i < directories->count; i++)
        if (directories->items[i].properties.has_directory_id &&
            uuid_equal(directories->items[i].properties.directory_id, id))
            return &directories->items[i];
    return NULL;
}

struct log_directory *log_directories_find_path(const struct log_directories *directories,
                                                struct slice path)
{
    for (size_t i = 0; i < directories->count; i++)
        if (slice_equal_text(path, directories->items[i].path))
            return &directories->items[i];
    return NULL;
}

struct log_directory *log_directories_emptiest(const struct log_directories *directories)
{
    struct log_directory *best = NULL;

    for (size_t i = 0; i < directories->count; i++) {
        struct log_directory *directory = &directories->items[i];

        if (!log_directory_is_offline(directory) &&
            (!best || atomic_load(&directory->log_count) < atomic_load(&best->log_count)))
            best = directory;
    }
    return best;
}

const char *log_directory_path(const struct log_directory *directory)
{
    return directory->path;
}

struct uuid log_directory_id(const struct log_directory *directory)
{
    return directory->properties.directory_id;
}

const struct meta_properties *log_directory_properties(const struct log_directory *directory)
{
    return &directory->properties;
}

bool log_directory_was_clean(const struct log_directory *directory)
{
    return directory->was_clean;
}

bool log_directory_is_offline(const struct log_directory *directory)
{
    return atomic_load(&directory->offline);
}

bool log_directory_is_low_on_space(const struct log_directory *directory)
{
    return atomic_load(&directory->low);
}

int64_t log_directory_free_bytes(const struct log_directory *directory)
{
    return atomic_load(&directory->free_bytes);
}

int64_t log_directory_total_bytes(const struct log_directory *directory)
{
    return atomic_load(&directory->total_bytes);
}

size_t log_directory_found_count(const struct log_directory *directory)
{
    return directory->found_count;
}

const char *log_directory_found(const struct log_directory *directory, size_t index,
                                struct log_name *name_out)
{
    ASSERT(index < directory->found_count);
    *name_out = directory->found[index].name;
    return directory->found[index].text;
}

/* ---- offline ---- */

struct offline_mail {
    struct mail mail;
    struct log_store *store;
    struct log_directory *directory;
};

static void offline_drop(struct mail *mail)
{
    struct offline_mail *offline = CONTAINER_OF(mail, struct offline_mail, mail);

    STORAGE_DELETE(offline);
}

static void offline_deliver(struct mail *mail, struct reactor *to)
{
    struct offline_mail *offline = CONTAINER_OF(mail, struct offline_mail, mail);
    struct log_store *store = offline->store;

    UNUSED(to);
    store_directory_failed(store, offline->directory);
    STORAGE_DELETE(offline);
}

void log_directory_fail(struct log_directory *directory, struct log_store *store, enum err err,
                        const char *what)
{
    struct log_directories *directories = directory->set;

    if (atomic_exchange(&directory->offline, true))
        return;
    LOG_ERROR(directories->logger, "storage", "directory_offline",
              "directory=%s what=\"%s\" error=%s", directory->path, what, err_name(err));
    for (size_t i = 0; i < directories->store_count; i++) {
        struct offline_mail *mail = STORAGE_NEW(struct offline_mail);

        mail->store = directories->stores[i];
        mail->directory = directory;
        mail->mail.deliver = offline_deliver;
        mail->mail.drop = offline_drop;
        mail->mail.control = true;
        reactor_send(store->reactor, directories->stores[i]->reactor, &mail->mail);
    }
}

struct uuid log_directory_found_topic_id(const struct log_directory *directory, size_t index)
{
    ASSERT(index < directory->found_count);
    return directory->found[index].topic_id;
}
