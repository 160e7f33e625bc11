/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/feature.c: the levels of metadata.version and of the other features of Kafka 4.4.
 */
#include "metadata/feature.h"

#include "base/assert.h"
#include "metadata/record.h"
#include "protocol/generated/messages.h"

/* metadata.version stands first, as its record does; the others by name. */
static const struct feature_support features[] = {
    {FEATURE_METADATA_VERSION, METADATA_VERSION_MIN, METADATA_VERSION_MAX},
    {FEATURE_ELR_VERSION, 0, 1},
    {FEATURE_GROUP_VERSION, 0, 1},
    {FEATURE_KRAFT_VERSION, 0, 1},
    {FEATURE_SHARE_VERSION, 0, 2},
    {FEATURE_STREAMS_VERSION, 0, 1},
    {FEATURE_TRANSACTION_VERSION, 0, 2},
};

const struct feature_support *feature_at(size_t index)
{
    return index < ARRAY_COUNT(features) ? &features[index] : NULL;
}

const struct feature_support *feature_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        if (slice_equal_text(name, features[i].name))
            return &features[i];
    }
    return NULL;
}

/* From which metadata.version on a new cluster gets a level. */
static const struct {
    const char *name;
    int16_t level;
    int16_t metadata_version;
} defaults[] = {
    {FEATURE_ELR_VERSION, 1, 26},     {FEATURE_GROUP_VERSION, 1, 22},
    {FEATURE_SHARE_VERSION, 1, 28},   {FEATURE_SHARE_VERSION, 2, 31},
    {FEATURE_STREAMS_VERSION, 1, 29}, {FEATURE_TRANSACTION_VERSION, 2, 24},
};

int16_t feature_default_level(const char *name, int16_t metadata_version)
{
    struct slice wanted = slice_from_text(name);
    int16_t level = 0;

    if (slice_equal_text(wanted, FEATURE_METADATA_VERSION))
        return metadata_version;
    for (size_t i = 0; i < ARRAY_COUNT(defaults); i++) {
        if (slice_equal_text(wanted, defaults[i].name) &&
            metadata_version >= defaults[i].metadata_version)
            level = MAX(level, defaults[i].level);
    }
    return level;
}

int16_t feature_metadata_version_min(const char *name, int16_t level)
{
    if (level > 0 && slice_equal_text(slice_from_text(name), FEATURE_ELR_VERSION))
        return METADATA_VERSION_ELR;
    return METADATA_VERSION_MIN;
}

/* ---- metadata.version ---- */

static const struct {
    const char *name;
    bool changes_records;
} levels[] = {
    {"3.3-IV3", true},  {"3.4-IV0", true},  {"3.5-IV0", false}, {"3.5-IV1", false},
    {"3.5-IV2", true},  {"3.6-IV0", false}, {"3.6-IV1", true},  {"3.6-IV2", true},
    {"3.7-IV0", true},  {"3.7-IV1", false}, {"3.7-IV2", true},  {"3.7-IV3", false},
    {"3.7-IV4", false}, {"3.8-IV0", false}, {"3.9-IV0", false}, {"4.0-IV0", false},
    {"4.0-IV1", true},  {"4.0-IV2", false}, {"4.0-IV3", false}, {"4.1-IV0", false},
    {"4.1-IV1", false}, {"4.2-IV0", false}, {"4.2-IV1", false}, {"4.3-IV0", true},
    {"4.4-IV0", false}, {"4.4-IV1", true},  {"4.4-IV2", true},
};
_Static_assert(ARRAY_COUNT(levels) == METADATA_VERSION_MAX - METADATA_VERSION_MIN + 1,
               "one row per level");

const char *metadata_version_name(int16_t level)
{
    if (level < METADATA_VERSION_MIN || level > METADATA_VERSION_MAX)
        return NULL;
    return levels[level - METADATA_VERSION_MIN].name;
}

bool metadata_version_changes_records(int16_t level)
{
    ASSERT(metadata_version_name(level));
    return levels[level - METADATA_VERSION_MIN].changes_records;
}

/* "a.b.c" and "a.b.c-x" stand for "a.b": the position behind the second part. */
static struct slice release_of(struct slice name)
{
    size_t dots = 0;

    for (size_t i = 0; i < name.size_bytes; i++) {
        if (name.data[i] == '.' && ++dots == 2)
            return slice_sub(name, 0, i);
        if (name.data[i] == '-')
            return slice_sub(name, 0, i);
    }
    return name;
}

int16_t metadata_version_from_name(struct slice name)
{
    struct slice release = release_of(name);

    for (int16_t level = METADATA_VERSION_MAX; level >= METADATA_VERSION_MIN; level--) {
        if (slice_equal_text(name, metadata_version_name(level)))
            return level;
    }
    if (release.size_bytes < name.size_bytes && name.data[release.size_bytes] == '-')
        return -1; /* a level of its own that does not exist */
    for (int16_t level = METADATA_VERSION_MAX; level >= METADATA_VERSION_MIN; level--) {
        struct slice known = slice_from_text(metadata_version_name(level));

        if (slice_equal(release_of(known), release))
            return level;
    }
    return -1;
}

int16_t register_broker_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_CORDONED)
        return 4;
    if (metadata_version >= METADATA_VERSION_DIRECTORIES)
        return 3;
    return metadata_version >= 8 ? 2 : 1;
}

int16_t partition_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_ELR)
        return 2;
    return metadata_version >= METADATA_VERSION_DIRECTORIES ? 1 : 0;
}

int16_t partition_change_record_version(int16_t metadata_version)
{
    return partition_record_version(metadata_version);
}

int16_t broker_registration_change_record_version(int16_t metadata_version)
{
    if (metadata_version >= METADATA_VERSION_CORDONED)
        return 3;
    return metadata_version >= METADATA_VERSION_DIRECTORIES ? 2 : 1;
}

int16_t metadata_version_fetch_version(int16_t metadata_version)
{
    if (metadata_version >= 27)
        return 18;
    if (metadata_version >= 21)
        return 17;
    if (metadata_version >= 19)
        return 16;
    if (metadata_version >= 10)
        return 15;
    return metadata_version >= 9 ? 14 : 13;
}

int16_t metadata_version_list_offsets_version(int16_t metadata_version)
{
    if (metadata_version >= 29)
        return 11;
    if (metadata_version >= 25)
        return 10;
    if (metadata_version >= 21)
        return 9;
    return metadata_version >= 9 ? 8 : 7;
}

/* ---- formatting ---- */

static enum err feature_record_add(struct metadata_record_list *list, struct arena *arena,
                                   const char *name, int16_t level)
{
    void *message;

    TRY(metadata_record_add(list, arena, METADATA_RECORD_FEATURE_LEVEL, 0, &message));
    ((struct feature_level_record *)message)->name = slice_from_text(name);
    ((struct feature_level_record *)message)->feature_level = level;
    return OK;
}

enum err metadata_bootstrap_records(int16_t metadata_version, const struct feature_level *given,
                                    size_t given_count, struct arena *arena,
                                    struct metadata_record_list *list_out, struct why *why)
{
    *list_out = (struct metadata_record_list){0};
    if (!metadata_version_name(metadata_version))
        return why_set(why, ERR_INVALID_UPDATE_VERSION, "metadata.version %d does not exist",
                       metadata_version);
    for (size_t i = 0; i < given_count; i++) {
        if (!feature_find(given[i].name))
            return why_set(why, ERR_INVALID_UPDATE_VERSION, "Unsupported feature: %.*s",
                           SLICE_ARGS(given[i].name));
    }
    for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
        const struct feature_support *feature = &features[i];
        int16_t level = feature_default_level(feature->name, metadata_version);

        for (size_t j = 0; i > 0 && j < given_count; j++) {
            if (slice_equal_text(given[j].name, feature->name))
                level = given[j].level;
        }
        if (level < 0 || level > feature->level_max)
            return why_set(why, ERR_INVALID_UPDATE_VERSION, "%s has no level %d", feature->name,
                           level);
        if (metadata_version < feature_metadata_version_min(feature->name, level))
            return why_set(why, ERR_INVALID_UPDATE_VERSION,
                           "%s could not be set to %d because it depends on metadata.version "
                           "level %d",
                           feature->name, level,
                           feature_metadata_version_min(feature->name, level));
        if (level > 0 && !slice_equal_text(slice_from_text(feature->name), FEATURE_KRAFT_VERSION))
            TRY(feature_record_add(list_out, arena, feature->name, level));
    }
    return OK;
}
