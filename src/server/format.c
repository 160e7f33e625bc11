/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/format.c: see format.h.
 * Crash       per directory: the directory, in the metadata directory the snapshot (part file, sync,
 *             rename, sync of the directory), then meta.properties. A directory without
 *             meta.properties is not formatted, whatever else is in it.
 * Threads     blocking calls only: for tools and before the shards run.
 */
#include "server/format.h"

#include "base/fmt.h"
#include "os/os.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "records/snapshot_stream.h"
#include "storage/storage.h"

#define PATH_BYTES 4096
#define VERSION_UNREADABLE (-2) /* in place of a version: the disk does not give it */
#define METADATA_LOG_NAME "__cluster_metadata-0"

struct formatting {
    struct os *os;
    const struct format_options *options;
    struct format_plan plan;
    struct meta_properties *found; /* one per directory */
    struct why *reasons;           /* the same: why it is passed over */
    size_t formatted_count, unreadable_count;
    struct random random;
    struct arena arena;
    struct writer *report;
    struct why *why;
};

static void say(struct formatting *formatting, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(struct formatting *formatting, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    size_t size;

    va_start(arguments, format);
    size = fmt_list(text, sizeof text, format, arguments);
    va_end(arguments);
    writer_bytes(formatting->report, text, MIN(size, sizeof text - 1));
}

static enum err directory_check(struct formatting *formatting, const char *path,
                                const struct meta_properties *found)
{
    const struct format_options *options = formatting->options;

    if (found->version < 0)
        return OK;
    formatting->formatted_count++;
    if (!slice_is_null(found->cluster_id) && !slice_equal(found->cluster_id, options->cluster_id))
        return why_set(formatting->why, ERR_INCONSISTENT_CLUSTER_ID,
                       "Invalid cluster.id in: %s/meta.properties. Expected %.*s, but read %.*s",
                       path, SLICE_ARGS(options->cluster_id), SLICE_ARGS(found->cluster_id));
    if (found->node_id >= 0 && found->node_id != options->node_id)
        return why_set(formatting->why, ERR_CONFIG,
                       "Stored node id %d doesn't match previous node id %d in "
                       "%s/meta.properties. If you moved your data, make sure your configured node "
                       "id matches. If you intend to create a new node, you should remove all data "
                       "in your data directories.",
                       found->node_id, options->node_id, path);
    return OK;
}

/* Whether the disk refused, or gave what is no such file: nothing of this process. */
static bool is_of_disk(enum err err)
{
    return err == ERR_IO || err == ERR_PERMISSION || err == ERR_FORMAT || err == ERR_TOO_LARGE;
}

/* One disk that failed must not keep a node of several from its start, before which many a script formats what is not:
 * as in Kafka it is passed over, and offline when the node starts. */
static enum err unreadable_tell(struct formatting *formatting)
{
    const struct format_options *options = formatting->options;

    for (size_t i = 0; i < options->directory_count; i++)
        if (formatting->found[i].version == VERSION_UNREADABLE)
            say(formatting, "I/O error trying to read log directory %s. Ignoring...\n  %s\n",
                options->directories[i], formatting->reasons[i].text);
    if (formatting->unreadable_count == options->directory_count)
        return why_set(formatting->why, ERR_IO, "No available log directories to format.");
    return OK;
}

/* Reads what is there; the first formatted directory is an error unless they are to be left alone. */
static enum err directories_look(struct formatting *formatting)
{
    const struct format_options *options = formatting->options;
    const char *first = NULL;

    for (size_t i = 0; i < options->directory_count; i++) {
        const char *path = options->directories[i];
        struct meta_properties *found = &formatting->found[i];
        struct why *why = &formatting->reasons[i];
        enum err err = meta_properties_read(formatting->os, path, &formatting->arena, found, why);

        if (is_of_disk(err)) {
            *found = (struct meta_properties){.version = VERSION_UNREADABLE, .node_id = -1};
            formatting->unreadable_count++;
            continue;
        }
        if (err != OK)
            return why_set(formatting->why, err, "%s", why->text);
        TRY(directory_check(formatting, path, found));
        if (found->version >= 0 && !first)
            first = path;
    }
    if (first && !options->ignore_formatted)
        return why_set(
            formatting->why, ERR_EXISTS,
            "Log directory %s is already formatted. Use --ignore-formatted to ignore this "
            "directory and format the others.",
            first);
    return unreadable_tell(formatting);
}

/* A new directory is there after a power cut only if the one that names it was synced. */
static enum err parent_sync(struct os *os, const char *path)
{
    char parent[PATH_BYTES];
    const char *slash = strrchr(path, '/');

    if (!slash)
        return os_sync_directory(os, ".");
    fmt(parent, sizeof parent, "%.*s", (int)MAX(slash - path, 1), path);
    return os_sync_directory(os, parent);
}

/* Every missing directory of the path, from the top, durably. One that is there may be so from a run that was
 * killed before it could sync. */
static enum err directories_make(struct os *os, const char *path, struct why *why)
{
    char part[PATH_BYTES];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof part)
        return why_set(why, ERR_CONFIG, "the path of a log directory is empty or too long");
    for (size_t i = 1; i <= size; i++) {
        struct os_stat stat;

        if (i < size && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        TRY(os_stat(os, part, &stat));
        if (stat.exists && !stat.is_directory)
            return why_set(why, ERR_CONFIG, "%s is not a directory", part);
        if (!stat.exists) {
            enum err err = os_make_directory(os, part);

            if (err != OK && err != ERR_EXISTS)
                return why_set(why, err, "cannot make the directory %s", part);
            TRY(parent_sync(os, part));
        } else if (parent_sync(os, part) != OK) {
            continue; /* made by others: one that may not be opened is theirs to keep */
        }
    }
    return OK;
}

static enum err file_write(struct os *os, const char *path, struct slice bytes)
{
    struct os_file *file;
    enum err err;

    TRY(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    err = os_file_write(file, &bytes, 1, 0);
    if (err == OK)
        err = os_file_sync(file);
    os_file_close(&file);
    return err;
}

static enum err snapshot_store(struct formatting *formatting, const char *directory,
                               struct slice bytes)
{
    struct snapshot_id id = {0, 0};
    char name[SNAPSHOT_NAME_BYTES];
    char log[PATH_BYTES], part[PATH_BYTES], whole[PATH_BYTES];

    fmt(log, sizeof log, "%s/" METADATA_LOG_NAME, directory);
    TRY(directories_make(formatting->os, log, formatting->why));
    snapshot_name_part(id, random_u64(&formatting->random), name);
    fmt(part, sizeof part, "%s/%s", log, name);
    snapshot_name(id, name);
    if (fmt(whole, sizeof whole, "%s/%s", log, name) >= sizeof whole)
        return why_set(formatting->why, ERR_CONFIG, "the path %s is too long", directory);
    TRY(file_write(formatting->os, part, bytes));
    TRY(os_rename(formatting->os, part, whole));
    TRY(os_sync_directory(formatting->os, log));
    return os_sync_directory(formatting->os, directory);
}

static enum err snapshot_make(struct formatting *formatting, const char *directory)
{
    CLEANUP(writer_release) struct writer bytes;
    int64_t now_ms = os_wall_ms(formatting->os);
    struct format_times times = {now_ms, now_ms, now_ms, now_ms};

    writer_init(&bytes, formatting->arena.allocator, SIZE_MAX);
    TRY(format_snapshot_write(formatting->options, &formatting->plan, &times, &formatting->arena,
                              &bytes));
    return snapshot_store(formatting, directory, writer_slice(&bytes));
}

static const struct format_voter *own_voter(const struct format_options *options)
{
    for (size_t i = 0; i < options->voters.count; i++)
        if (options->voters.items[i].id == options->node_id)
            return &options->voters.items[i];
    return NULL;
}

static const char *kind_of(const struct format_options *options, bool is_metadata)
{
    if (!is_metadata)
        return "data directory";
    if (options->voters.count == 0)
        return "metadata directory";
    return own_voter(options) ? "dynamic metadata voter directory" : "dynamic metadata directory";
}

static enum err directory_format(struct formatting *formatting, const char *path)
{
    const struct format_options *options = formatting->options;
    bool is_metadata = strcmp(path, options->metadata_directory) == 0;
    const struct format_voter *voter = is_metadata ? own_voter(options) : NULL;
    struct meta_properties properties = {
        .version = 1,
        .cluster_id = options->cluster_id,
        .node_id = options->node_id,
        .has_directory_id = true,
        .directory_id = voter ? voter->directory_id : uuid_random(&formatting->random),
    };

    say(formatting, "Formatting %s %s with metadata.version %s.\n", kind_of(options, is_metadata),
        path, metadata_version_name(formatting->plan.metadata_version));
    TRY(directories_make(formatting->os, path, formatting->why));
    if (options->is_controller && is_metadata)
        TRY(snapshot_make(formatting, path));
    return meta_properties_write(formatting->os, path, &properties);
}

/* It is formatted; the run that did it may have been killed before its names were durable. */
static enum err directory_settle(struct formatting *formatting, const char *path)
{
    enum err err;

    TRY(directories_make(formatting->os, path, formatting->why));
    err = os_sync_directory(formatting->os, path);
    return err == OK ? OK : why_set(formatting->why, err, "cannot sync the directory %s", path);
}

/* Secrets are left out of what Kafka's tool prints here. */
static void say_plan(struct formatting *formatting)
{
    const struct format_plan *plan = &formatting->plan;

    say(formatting, "Bootstrap metadata: BootstrapMetadata(records=[");
    for (size_t i = 0; i < plan->records.count; i++) {
        const struct metadata_record *record = &plan->records.items[i];

        if (i > 0)
            say(formatting, ", ");
        if (record->type == &feature_level_record_type) {
            const struct feature_level_record *level = record->message;

            say(formatting,
                "ApiMessageAndVersion(FeatureLevelRecord(name='%.*s', featureLevel=%d) at version "
                "0)",
                SLICE_ARGS(level->name), level->feature_level);
        } else if (record->type == &user_scram_credential_record_type) {
            const struct user_scram_credential_record *scram = record->message;

            say(formatting,
                "ApiMessageAndVersion(UserScramCredentialRecord(name='%.*s', mechanism=%d, "
                "iterations=%d) at version 0)",
                SLICE_ARGS(scram->name), scram->mechanism, scram->iterations);
        }
    }
    say(formatting, "], metadataVersionLevel=%d, source=format command)\n", plan->metadata_version);
}

static enum err run(struct formatting *formatting)
{
    const struct format_options *options = formatting->options;

    if (slice_is_null(options->cluster_id) || options->cluster_id.size_bytes == 0)
        return why_set(formatting->why, ERR_USAGE, "You must specify the cluster id.");
    if (options->directory_count == 0)
        return why_set(formatting->why, ERR_USAGE,
                       "You must specify at least one directory to format");
    /* Directory ids must differ between machines: the whole state is drawn. */
    os_entropy(formatting->os, formatting->random.state, sizeof formatting->random.state);
    formatting->found =
        ARENA_ARRAY(&formatting->arena, struct meta_properties, options->directory_count);
    formatting->reasons = ARENA_ARRAY(&formatting->arena, struct why, options->directory_count);
    if (!formatting->found || !formatting->reasons)
        return ERR_NO_MEMORY;
    TRY(format_plan_make(options, &formatting->random, &formatting->arena, &formatting->plan,
                         formatting->why));
    TRY(directories_look(formatting));
    for (size_t i = 0; i < options->directory_count; i++)
        if (formatting->found[i].version >= 0)
            TRY(directory_settle(formatting, options->directories[i]));
    if (formatting->formatted_count + formatting->unreadable_count == options->directory_count) {
        say(formatting, "All of the log directories are already formatted.\n");
        return OK;
    }
    say_plan(formatting);
    for (size_t i = 0; i < options->directory_count; i++)
        if (formatting->found[i].version == -1)
            TRY(directory_format(formatting, options->directories[i]));
    return OK;
}

enum err storage_format(struct os *os, const struct format_options *options, struct writer *report,
                        struct why *why)
{
    struct formatting formatting = {.os = os, .options = options, .report = report, .why = why};
    enum err err;

    arena_init(&formatting.arena, &heap_allocator, SIZE_MAX);
    err = run(&formatting);
    arena_release(&formatting.arena);
    return err;
}
