/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/feature.h: the levels of metadata.version and of the other features of Kafka 4.4: names,
 * ranges, defaults, dependencies, what each level switches on, and the records of formatting.
 */
#ifndef METADATA_FEATURE_H
#define METADATA_FEATURE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

#define METADATA_VERSION_MIN 7
#define METADATA_VERSION_MAX 33

/* Levels by what they brought. */
enum metadata_version {
    METADATA_VERSION_3_3_IV3 = 7,
    METADATA_VERSION_SCRAM = 11,
    METADATA_VERSION_NO_EPOCH_BUMP_ON_SHRINK = 12,
    METADATA_VERSION_TRANSACTIONS = 13,
    METADATA_VERSION_DELEGATION_TOKENS = 14,
    METADATA_VERSION_CONTROLLER_REGISTRATION = 15,
    METADATA_VERSION_DIRECTORIES = 17,
    METADATA_VERSION_ELR = 23,
    METADATA_VERSION_CORDONED = 30,
    METADATA_VERSION_CIDR_ACLS = 32,
    METADATA_VERSION_UNREGISTER_CONTROLLER = 33,
    METADATA_VERSION_LATEST = 33,
};

#define FEATURE_METADATA_VERSION "metadata.version"
#define FEATURE_KRAFT_VERSION "kraft.version"
#define FEATURE_TRANSACTION_VERSION "transaction.version"
#define FEATURE_GROUP_VERSION "group.version"
#define FEATURE_ELR_VERSION "eligible.leader.replicas.version"
#define FEATURE_SHARE_VERSION "share.version"
#define FEATURE_STREAMS_VERSION "streams.version"

struct feature_support {
    const char *name;
    int16_t level_min, level_max;
};
/* Ranges of Kafka 4.4, metadata.version first, then by name; NULL past the end. */
const struct feature_support *feature_at(size_t index);
const struct feature_support *feature_find(struct slice name);
/* The level that a cluster formatted at this metadata.version gets; 0: none. kraft.version depends on
 * the quorum and is 0 here. */
int16_t feature_default_level(const char *name, int16_t metadata_version);
/* The metadata.version that a level of a feature needs at least. */
int16_t feature_metadata_version_min(const char *name, int16_t level);

/* "4.4-IV2", "3.3-IV3"; NULL for a level that does not exist. */
const char *metadata_version_name(int16_t level);
/* From "4.4-IV2", "4.4" (its newest level), "4.4.1"; -1: unknown. */
int16_t metadata_version_from_name(struct slice name);
/* A level changed the format of records, so going down across it loses data. */
bool metadata_version_changes_records(int16_t level);

/* Record versions written at a level. */
int16_t register_broker_record_version(int16_t metadata_version);
int16_t partition_record_version(int16_t metadata_version);
int16_t partition_change_record_version(int16_t metadata_version);
int16_t broker_registration_change_record_version(int16_t metadata_version);

/* Versions of requests between brokers that a level fixes. */
int16_t metadata_version_fetch_version(int16_t metadata_version);
int16_t metadata_version_list_offsets_version(int16_t metadata_version);

struct metadata_record_list;
struct feature_level {
    struct slice name;
    int16_t level;
};
/* Records that format a cluster at `metadata_version` (LATEST for a new 4.4 cluster): metadata.version
 * first, then every feature with a level > 0 by name; an entry of `levels` overrides the default. */
MUST_USE enum err metadata_bootstrap_records(int16_t metadata_version,
                                             const struct feature_level *levels, size_t level_count,
                                             struct arena *arena,
                                             struct metadata_record_list *list_out,
                                             struct why *why);

#endif
