/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/format.h: making directories into those of a node: `barnabas storage format`, and the first
 * start without a file. What is written is what Kafka's kafka-storage writes: the bootstrap snapshot
 * with feature levels, voters and SCRAM credentials, then meta.properties.
 *
 * Crash: meta.properties is written last and makes a directory formatted; what a crash left before it
 * is written again.
 */
#ifndef SERVER_FORMAT_H
#define SERVER_FORMAT_H

#include "base/arena.h"
#include "base/random.h"
#include "base/uuid.h"
#include "base/writer.h"
#include "metadata/feature.h"
#include "metadata/record.h"

struct os;

struct format_voter {
    int32_t id;
    struct slice host; /* without brackets */
    uint16_t port;
    struct uuid directory_id;
};
struct format_voters {
    const struct format_voter *items; /* ascending ids */
    size_t count;
};
/* "id@host:port:directory,…", IPv6 hosts in brackets. ERR_USAGE with Kafka's text. */
MUST_USE enum err format_voters_parse(struct slice text, struct arena *arena,
                                      struct format_voters *out, struct why *why);

/* A host as Kafka writes it into the log: IPv6 addresses with all eight groups, without leading zeros;
 * anything else as it is. Null when out of memory. */
struct slice format_host_text(struct slice host, struct arena *arena);

/* "name=level". ERR_USAGE with Kafka's text. */
MUST_USE enum err format_level_parse(struct slice text, struct feature_level *out, struct why *why);

/* "SCRAM-SHA-256=[name=alice,password=…]" becomes a record at the list's end; a salt that is not given
 * is drawn. ERR_USAGE with Kafka's text, which never holds the password. */
MUST_USE enum err format_scram_parse(struct slice text, struct random *random, struct arena *arena,
                                     struct metadata_record_list *list, struct why *why);

struct format_options {
    struct slice cluster_id;
    int32_t node_id;
    const char *const *directories; /* each once */
    size_t directory_count;
    const char *metadata_directory; /* one of them */
    bool is_controller;             /* gets the bootstrap snapshot */
    bool ignore_formatted;
    struct slice controller_listener;   /* first of controller.listener.names */
    bool is_dynamic;                    /* controller.quorum.voters is empty */
    struct format_voters voters;        /* empty: none are named */
    int16_t release;                    /* metadata.version that sets the defaults; 0: not given */
    const struct feature_level *levels; /* of --feature; a later one of a name wins */
    size_t level_count;
    const struct slice *scram; /* texts of --add-scram */
    size_t scram_count;
};

/* What the options come to. */
struct format_plan {
    int16_t metadata_version;
    int16_t kraft_version;
    struct metadata_record_list records;
};
/* ERR_USAGE with Kafka's text when they contradict each other. */
MUST_USE enum err format_plan_make(const struct format_options *options, struct random *random,
                                   struct arena *arena, struct format_plan *out, struct why *why);

/* Times of the three batches: a test sets them apart. */
struct format_times {
    int64_t contained_ms, header_ms, data_ms, footer_ms;
};
/* The bytes of the bootstrap snapshot. */
MUST_USE enum err format_snapshot_write(const struct format_options *options,
                                        const struct format_plan *plan,
                                        const struct format_times *times, struct arena *arena,
                                        struct writer *out);

/* Formats every directory that is not; one that cannot be read for its disk is passed over, and said. Lines for
 * people go to `report`. Blocking. ERR_USAGE: options;
 * ERR_EXISTS: a directory is formatted and ignore_formatted is not set; ERR_INCONSISTENT_CLUSTER_ID,
 * ERR_CONFIG: formatted for another cluster or node; ERR_IO and its kin. `why` says it in Kafka's
 * words. */
MUST_USE enum err storage_format(struct os *os, const struct format_options *options,
                                 struct writer *report, struct why *why);

#endif
