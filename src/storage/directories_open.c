/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/directories_open.c: the start of the set of log.dirs: locks, identity, clean markers, what an earlier run
 * left.
 * Invariants  1. the clean marker is gone, durably, before a log is opened.
 * Crash       a start that dies between is an unclean one.
 * Threads     one, before the shards.
 */
#include "storage/directories.h"

#include "base/fault_point.h"

#define INDEX_CACHE_NAME "remote-log-index-cache"

static enum err directory_lock(struct log_directory *directory)
{
    char path[PATH_BYTES];

    path_join(directory->path, LOCK_NAME, path);
    TRY(os_file_open(directory->set->os, path, OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE,
                     &directory->lock));
    return os_file_lock(directory->lock);
}

static enum err checkpoints_read(struct log_directory *directory)
{
    for (int kind = 0; kind < CHECKPOINT_KINDS; kind++) {
        char path[PATH_BYTES];
        enum err err;

        offset_map_release(&directory->at_open[kind]);
        offset_map_init(&directory->at_open[kind]);
        path_join(directory->path, checkpoint_file_name((enum checkpoint_kind)kind), path);
        err = offset_checkpoint_read(directory->set->os, path, &directory->at_open[kind]);
        if (err == OK)
            continue;
        LOG_WARN(directory->set->logger, "storage", "checkpoint_unreadable", "file=%s error=%s",
                 path, err_name(err));
        /* Recovery point, log start and first dirty offset are forgiven, as if the file were empty; without the
         * high watermarks the directory is offline, which does not stop the start. So it is when the starts
         * cannot be read: they may be there, and what a reader saw deleted must not come back. */
        if (kind == CHECKPOINT_HIGH_WATERMARK)
            return err == ERR_FORMAT ? ERR_CORRUPT : err;
        if (kind == CHECKPOINT_START && err != ERR_FORMAT)
            return err;
        offset_map_release(&directory->at_open[kind]);
        offset_map_init(&directory->at_open[kind]);
    }
    return OK;
}

static enum err partitions_list(struct log_directory *directory, struct why *why)
{
    struct os *os = directory->set->os;
    struct os_names names;

    TRY(os_list(os, directory->path, &directory->arena, &names));
    directory->found = storage_allocate(MAX(names.count, (size_t)1) * sizeof *directory->found);
    for (size_t i = 0; i < names.count; i++) {
        struct found_log *found = &directory->found[directory->found_count];
        char path[PATH_BYTES];
        struct os_stat stat;

        path_join(directory->path, names.names[i], path);
        TRY(os_stat(os, path, &stat));
        if (!stat.is_directory || strcmp(names.names[i], INDEX_CACHE_NAME) == 0)
            continue;
        if (log_name_parse(slice_from_text(names.names[i]), &found->name) != OK)
            return why_set(why, ERR_FORMAT,
                           "%s is not a partition's directory; remove it from the log directory",
                           path);
        found->text = names.names[i];
        directory->found_count++;
    }
    directory->found_capacity = MAX(names.count, (size_t)1);
    return OK;
}

/* As in Kafka a file that is no such file is of its disk: it takes its directory offline, and no other one. */
static enum err properties_read(struct log_directory *directory)
{
    struct log_directories *set = directory->set;
    struct why why = {""};
    enum err err = meta_properties_read(set->os, directory->path, &directory->arena,
                                        &directory->properties, &why);

    if (err == OK || err_is_shortage(err))
        return err;
    directory->properties = (struct meta_properties){.version = -1, .node_id = -1};
    LOG_ERROR(set->logger, "storage", "meta_properties_unreadable",
              "directory=%s error=%s why=\"%s\"", directory->path, err_name(err), why.text);
    return err == ERR_FORMAT ? ERR_CORRUPT : err;
}

/* ERR_LOCKED and ERR_FORMAT stop the start, and so does a shortage, which says nothing of a disk; other errors take
 * the directory offline. */
static enum err directory_open(struct log_directory *directory, struct why *why)
{
    struct os *os = directory->set->os;
    struct os_stat stat;
    enum err err;

    TRY(os_stat(os, directory->path, &stat));
    if (!stat.exists)
        TRY(os_make_directory(os, directory->path));
    else if (!stat.is_directory)
        return why_set(why, ERR_FORMAT, "%s is not a directory", directory->path);
    err = directory_lock(directory);
    if (err == ERR_LOCKED)
        return why_set(why, err, "%s is in use by another process", directory->path);
    TRY(err);
    TRY(properties_read(directory));
    TRY(clean_marker_read(os, directory->path, &directory->was_clean, &directory->marker_epoch));
    if (directory->was_clean && FAULT_POINT(clean_marker_ignored))
        directory->was_clean = false;
    TRY(partitions_list(directory, why));
    TRY(checkpoints_read(directory));
    {
        char path[PATH_BYTES];

        path_join(directory->path, RESERVE_NAME, path);
        TRY(os_stat(os, path, &stat));
        atomic_store(&directory->has_reserve, stat.exists);
    }
    log_directory_measure(directory);
    /* Starting, recovery and deletion need room: that is what the reserve is for. */
    if (atomic_load(&directory->low) &&
        atomic_load(&directory->free_bytes) < directory->set->options.reserve_bytes &&
        log_directory_use_reserve(directory))
        log_directory_measure(directory);
    return OK;
}

/* No topic id and no data: what a crash or a full disk leaves of a replica that was being made. */
static bool is_unborn(struct log_directory *directory, const struct found_log *found)
{
    char path[PATH_BYTES], file[PATH_BYTES];
    struct os_names names;

    if (!uuid_is_zero(found->topic_id))
        return false;
    path_join(directory->path, found->text, path);
    if (os_list(directory->set->os, path, &directory->arena, &names) != OK)
        return false;
    for (size_t i = 0; i < names.count; i++) {
        struct os_stat stat;

        path_join(path, names.names[i], file);
        if (os_stat(directory->set->os, file, &stat) != OK ||
            (stat.size_bytes > 0 && text_ends_with(names.names[i], ".log")))
            return false;
    }
    return true;
}

/* The ids of two directories of one partition. Different ones: one of them is of a topic that is gone, and
 * metadata will tell which. The same, or none: nobody can tell which one is right. */
static enum err duplicate_check(struct log_directory *a, struct found_log *one,
                                struct log_directory *b, struct found_log *other, struct why *why)
{
    static const struct uuid nobody = {.bytes = {0xff}}; /* the id of no topic */
    char path[PATH_BYTES];

    path_join(a->path, one->text, path);
    if (partition_metadata_read(a->set->os, path, &one->topic_id) != OK)
        one->topic_id = UUID_ZERO;
    path_join(b->path, other->text, path);
    if (partition_metadata_read(b->set->os, path, &other->topic_id) != OK)
        other->topic_id = UUID_ZERO;
    if (is_unborn(a, one))
        one->topic_id = nobody;
    else if (is_unborn(b, other))
        other->topic_id = nobody;
    if (uuid_equal(one->topic_id, nobody) || uuid_equal(other->topic_id, nobody))
        return OK;
    if (uuid_is_zero(one->topic_id) || uuid_is_zero(other->topic_id) ||
        uuid_equal(one->topic_id, other->topic_id))
        return why_set(why, ERR_FORMAT, "partition %s is in %s and in %s", one->text, b->path,
                       a->path);
    return OK;
}

static enum err duplicates_check(struct log_directories *directories, struct why *why)
{
    struct offset_map seen; /* directory and index of what was found, in one number */
    enum err err = OK;

    offset_map_init(&seen);
    for (size_t i = 0; i < directories->count && err == OK; i++) {
        struct log_directory *directory = &directories->items[i];

        for (size_t j = 0; j < directory->found_count && err == OK; j++) {
            struct found_log *found = &directory->found[j];
            int64_t at;

            if (found->name.kind != LOG_NAME_CURRENT)
                continue;
            if (offset_map_get(&seen, found->name.topic, found->name.partition, &at)) {
                struct log_directory *other = &directories->items[(size_t)at >> 32];

                err = duplicate_check(directory, found, other,
                                      &other->found[(size_t)at & UINT32_MAX], why);
            } else {
                err = offset_map_put(&seen, found->name.topic, found->name.partition,
                                     (int64_t)(i << 32 | j));
            }
        }
    }
    offset_map_release(&seen);
    return err;
}

enum err log_directories_open(struct os *os, struct logger *logger,
                              const struct storage_options *options, const char *const *paths,
                              size_t count, struct log_directories **out, struct why *why)
{
    struct log_directories *directories = STORAGE_NEW(struct log_directories);
    size_t online = 0;
    enum err err = OK;

    directories->os = os;
    directories->logger = logger;
    directories->options = *options;
    atomic_store(&directories->producer_expiration_ms, options->producer_expiration_ms);
    log_directories_set_cleaner(directories, &options->cleaner);
    directories->count = count;
    directories->items = storage_allocate(MAX(count, (size_t)1) * sizeof *directories->items);
    for (size_t i = 0; i < count; i++) {
        struct log_directory *directory = &directories->items[i];

        directory->set = directories;
        directory->index = i;
        directory->path_bytes = strlen(paths[i]) + 1;
        directory->path = storage_allocate(directory->path_bytes);
        memcpy(directory->path, paths[i], directory->path_bytes);
        directory->properties = (struct meta_properties){.version = -1, .node_id = -1};
        directory->marker_epoch = -1;
        atomic_store(&directory->free_bytes, -1);
        atomic_store(&directory->total_bytes, -1);
        arena_init(&directory->arena, &heap_allocator, SIZE_MAX);
        for (int kind = 0; kind < CHECKPOINT_KINDS; kind++)
            offset_map_init(&directory->at_open[kind]);
    }
    for (size_t i = 0; i < count && err == OK; i++) {
        struct log_directory *directory = &directories->items[i];

        err = directory->path_bytes > DIRECTORY_PATH_BYTES_MAX
                  ? why_set(why, ERR_CONFIG, "the path %.100s… is too long", directory->path)
                  : directory_open(directory, why);
        if (err == OK) {
            online++;
        } else if (err_is_shortage(err)) {
            (void)!why_set(why, err, "%s: %s; the limits of the process are too low",
                           directory->path, err_name(err));
        } else if (err != ERR_LOCKED && err != ERR_FORMAT && err != ERR_CONFIG) {
            LOG_ERROR(logger, "storage", "directory_offline", "directory=%s error=%s",
                      directory->path, err_name(err));
            atomic_store(&directory->offline, true);
            err = OK;
        }
    }
    if (err == OK && online == 0)
        err = why_set(why, ERR_KAFKA_STORAGE_ERROR, "no log directory can be used");
    if (err == OK)
        err = duplicates_check(directories, why);
    if (err == OK)
        *out = directories;
    else
        log_directories_close(&directories, false, -1);
    return err;
}

static bool uuid_is_reserved(struct uuid id)
{
    for (int i = 0; i < 15; i++)
        if (id.bytes[i] != 0)
            return false;
    return id.bytes[15] < 100;
}

static enum err identity_check(struct log_directory *directory, struct slice cluster_id,
                               int32_t node_id, struct random *random, struct why *why)
{
    struct meta_properties *properties = &directory->properties;

    if (properties->version < 0)
        return why_set(why, ERR_NOT_FOUND, "%s is not formatted", directory->path);
    if (!slice_is_null(properties->cluster_id) && !slice_equal(properties->cluster_id, cluster_id))
        return why_set(why, ERR_INCONSISTENT_CLUSTER_ID, "%s belongs to cluster %.*s, not to %.*s",
                       directory->path, SLICE_ARGS(properties->cluster_id), SLICE_ARGS(cluster_id));
    if (properties->node_id >= 0 && properties->node_id != node_id)
        return why_set(why, ERR_CONFIG, "%s belongs to node %d, not to %d", directory->path,
                       (int)properties->node_id, (int)node_id);
    if (properties->has_directory_id && uuid_is_reserved(properties->directory_id))
        return why_set(why, ERR_CONFIG, "%s has a reserved directory.id", directory->path);
    if (properties->has_directory_id && properties->version == 1)
        return OK;
    if (!properties->has_directory_id)
        properties->directory_id = uuid_random(random);
    properties->has_directory_id = true;
    properties->version = 1;
    properties->node_id = node_id;
    properties->cluster_id = arena_copy(&directory->arena, cluster_id);
    return meta_properties_write(directory->set->os, directory->path, properties);
}

enum err log_directories_check(struct log_directories *directories, struct slice cluster_id,
                               int32_t node_id, struct random *random, struct why *why)
{
    for (size_t i = 0; i < directories->count; i++) {
        struct log_directory *directory = &directories->items[i];

        if (log_directory_is_offline(directory))
            continue;
        TRY(identity_check(directory, cluster_id, node_id, random, why));
        for (size_t j = 0; j < i; j++)
            if (!log_directory_is_offline(&directories->items[j]) &&
                uuid_equal(directories->items[j].properties.directory_id,
                           directory->properties.directory_id))
                return why_set(why, ERR_CONFIG, "%s and %s have the same directory.id",
                               directories->items[j].path, directory->path);
    }
    return OK;
}

enum err log_directories_begin(struct log_directories *directories,
                               int64_t *previous_broker_epoch_out)
{
    int64_t epoch = directories->items[0].marker_epoch; /* without one nothing was opened */
    size_t online = 0;

    for (size_t i = 0; i < directories->count; i++) {
        struct log_directory *directory = &directories->items[i];

        if (log_directory_is_offline(directory) || !directory->was_clean ||
            directory->marker_epoch != epoch)
            epoch = -1;
    }
    *previous_broker_epoch_out = epoch;
    for (size_t i = 0; i < directories->count; i++) {
        struct log_directory *directory = &directories->items[i];
        enum err err;

        if (log_directory_is_offline(directory))
            continue;
        err = clean_marker_remove(directories->os, directory->path);
        if (err == OK) {
            online++;
            continue;
        }
        if (err_is_shortage(err))
            return err;
        LOG_ERROR(directories->logger, "storage", "directory_offline", "directory=%s error=%s",
                  directory->path, err_name(err));
        atomic_store(&directory->offline, true);
    }
    return online > 0 ? OK : ERR_KAFKA_STORAGE_ERROR;
}
