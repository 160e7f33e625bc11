/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/format_plan.c: from the options of formatting to levels, records and the bytes of the bootstrap
 * snapshot. Effects: none.
 */
#include "server/format.h"

#include "base/fmt.h"
#include "protocol/generated/voters_record.h"
#include "records/snapshot_stream.h"

#define KRAFT_VERSION_LATEST 1

/* The level that --feature gives a name; -1: it does not. */
static int32_t level_given(const struct format_options *options, const char *name)
{
    int32_t level = -1;

    for (size_t i = 0; i < options->level_count; i++)
        if (slice_equal_text(options->levels[i].name, name))
            level = options->levels[i].level;
    return level;
}

static bool is_given(const struct format_options *options, const char *name)
{
    for (size_t i = 0; i < options->level_count; i++)
        if (slice_equal_text(options->levels[i].name, name))
            return true;
    return false;
}

static enum err metadata_version_choose(const struct format_options *options, int16_t *out,
                                        struct why *why)
{
    int32_t given = level_given(options, FEATURE_METADATA_VERSION);

    *out = METADATA_VERSION_LATEST;
    if (is_given(options, FEATURE_METADATA_VERSION)) {
        if (options->release != 0)
            return why_set(why, ERR_USAGE,
                           "Use --release-version instead of --feature metadata.version=X to avoid "
                           "ambiguity.");
        if (given < METADATA_VERSION_MIN || given > METADATA_VERSION_MAX)
            return why_set(why, ERR_USAGE,
                           "No MetadataVersion with feature level %d. Valid feature levels are "
                           "from %d to %d.",
                           given, METADATA_VERSION_MIN, METADATA_VERSION_MAX);
        *out = (int16_t)given;
    } else if (options->release != 0) {
        *out = options->release;
    }
    return OK;
}

static enum err kraft_version_choose(const struct format_options *options, int16_t *out,
                                     struct why *why)
{
    int32_t given = level_given(options, FEATURE_KRAFT_VERSION);

    *out = options->is_dynamic ? KRAFT_VERSION_LATEST : 0;
    if (!is_given(options, FEATURE_KRAFT_VERSION))
        return OK;
    if (given == 0 && options->is_dynamic)
        return why_set(why, ERR_USAGE,
                       "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one "
                       "of the flags --standalone, --initial-controllers, or "
                       "--no-initial-controllers is used. For dynamic controllers support, try "
                       "removing the --feature flag for kraft.version.");
    if (given != 0 && !options->is_dynamic)
        return why_set(
            why, ERR_USAGE,
            "Cannot set kraft.version to %d unless controller.quorum.voters is empty and "
            "one of the flags --standalone, --initial-controllers, or "
            "--no-initial-controllers is used. For dynamic controllers support, try "
            "using one of --standalone, --initial-controllers, or "
            "--no-initial-controllers and removing controller.quorum.voters.",
            given);
    if (given < 0 || given > KRAFT_VERSION_LATEST)
        return why_set(why, ERR_USAGE, "No feature:kraft.version with feature level %d", given);
    *out = (int16_t)given;
    return OK;
}

/* Every level asked for must exist; the records check what it depends on. */
static enum err levels_check(const struct format_options *options, struct why *why)
{
    for (size_t i = 0; i < options->level_count; i++) {
        const struct feature_level *level = &options->levels[i];
        const struct feature_support *feature = feature_find(level->name);

        if (slice_equal_text(level->name, FEATURE_METADATA_VERSION))
            continue;
        if (!feature)
            return why_set(why, ERR_USAGE,
                           "Unsupported feature: %.*s. Supported features are: "
                           "eligible.leader.replicas.version, group.version, kraft.version, "
                           "share.version, streams.version, transaction.version",
                           SLICE_ARGS(level->name));
        if (level->level < feature->level_min || level->level > feature->level_max)
            return why_set(why, ERR_USAGE, "No feature:%s with feature level %d", feature->name,
                           level->level);
    }
    return OK;
}

enum err format_plan_make(const struct format_options *options, struct random *random,
                          struct arena *arena, struct format_plan *out, struct why *why)
{
    TRY(metadata_version_choose(options, &out->metadata_version, why));
    TRY(levels_check(options, why));
    TRY(kraft_version_choose(options, &out->kraft_version, why));
    TRY(metadata_bootstrap_records(out->metadata_version, options->levels, options->level_count,
                                   arena, &out->records, why));
    if (options->scram_count > 0 && out->metadata_version < METADATA_VERSION_SCRAM)
        return why_set(why, ERR_USAGE,
                       "SCRAM is only supported in metadata.version 3.5-IV2 or later.");
    for (size_t i = 0; i < options->scram_count; i++)
        TRY(format_scram_parse(options->scram[i], random, arena, &out->records, why));
    return OK;
}

/* ---- bytes ---- */

/* Kafka normalises the listener's name to upper case. */
static struct slice upper_case(struct slice from, struct arena *arena)
{
    uint8_t *bytes = arena_allocate(arena, from.size_bytes);

    for (size_t i = 0; bytes && i < from.size_bytes; i++)
        bytes[i] = from.data[i] >= 'a' && from.data[i] <= 'z' ? (uint8_t)(from.data[i] - 32)
                                                              : from.data[i];
    return bytes ? slice_of(bytes, from.size_bytes) : SLICE_NULL;
}

static enum err voters_record_make(const struct format_options *options, struct arena *arena,
                                   struct voters_record *record)
{
    struct format_voters voters = options->voters;
    struct slice listener = upper_case(options->controller_listener, arena);
    struct voters_record_voter *items =
        ARENA_ARRAY(arena, struct voters_record_voter, voters.count);
    struct voters_record_endpoint *endpoints =
        ARENA_ARRAY(arena, struct voters_record_endpoint, voters.count);

    if (!items || !endpoints || slice_is_null(listener))
        return ERR_NO_MEMORY;
    voters_record_init(record);
    for (size_t i = 0; i < voters.count; i++) {
        voters_record_endpoint_init(&endpoints[i]);
        endpoints[i].name = listener;
        endpoints[i].host = format_host_text(voters.items[i].host, arena);
        if (slice_is_null(endpoints[i].host))
            return ERR_NO_MEMORY;
        endpoints[i].port = voters.items[i].port;
        voters_record_voter_init(&items[i]);
        items[i].voter_id = voters.items[i].id;
        items[i].voter_directory_id = voters.items[i].directory_id;
        items[i].endpoints = &endpoints[i];
        items[i].endpoints_count = 1;
        items[i].kraft_version_feature.max_supported_version = KRAFT_VERSION_LATEST;
    }
    record->voters = items;
    record->voters_count = (int32_t)voters.count;
    return OK;
}

enum err format_snapshot_write(const struct format_options *options, const struct format_plan *plan,
                               const struct format_times *times, struct arena *arena,
                               struct writer *out)
{
    struct snapshot_writer writer;
    struct voters_record voters;

    snapshot_writer_begin(&writer, 0, out, arena);
    if (options->voters.count > 0)
        TRY(voters_record_make(options, arena, &voters));
    snapshot_writer_header(&writer, times->header_ms, times->contained_ms, plan->kraft_version,
                           options->voters.count > 0 ? &voters : NULL);
    for (size_t i = 0; i < plan->records.count; i++) {
        CLEANUP(writer_release) struct writer value;

        writer_init(&value, arena->allocator, SIZE_MAX);
        TRY(metadata_record_encode(&plan->records.items[i], &value));
        snapshot_writer_record(&writer, times->data_ms, writer_slice(&value));
    }
    return snapshot_writer_finish(&writer, times->footer_ms);
}
