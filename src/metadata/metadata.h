/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/metadata.h: what the metadata log says. Records are replayed into a mutable state; a state
 * is published as an immutable image that shares every unchanged part with the images before it; two
 * images are compared in time proportional to what differs. Also: framing of metadata records, the
 * levels of metadata.version and the other features, and the records of snapshots and of formatting.
 * docs/design/metadata.md, KIP-500, 584, 595.
 *
 * Objects    Everything an image points at is immutable and lives as long as some image (or state)
 *            that holds it. Slices and arrays inside an object are part of the object.
 * Threads    Reference counts are plain numbers: metadata_image_ref/release and every function that
 *            takes a state are called by the thread that owns the state, and by no other. Other
 *            threads may read an image while the owner keeps a reference for them, which they give
 *            back by message.
 * Failures   A function that fails with ERR_NO_MEMORY leaves the state as it was before the call, and
 *            records that cannot be replayed (ERR_STATE with a reason) change nothing.
 */
#ifndef METADATA_METADATA_H
#define METADATA_METADATA_H

#include "base/allocator.h"
#include "base/arena.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "metadata/feature.h"
#include "metadata/record.h"

/* ---- objects ---- */

/* First member of every object of an image. */
struct metadata_object {
    uint32_t reference_count;
    uint32_t size_bytes;
    uint64_t hash; /* of the content, independent of the order of replay */
};

/* Reserved directory ids; none is a directory that exists. */
#define DIRECTORY_MIGRATING UUID_ZERO
#define DIRECTORY_UNASSIGNED ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})
#define DIRECTORY_LOST ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}})
/* The high half zero and the low half below 100. */
bool directory_is_reserved(struct uuid id);

struct metadata_endpoint {
    struct slice name;
    struct slice host;
    uint16_t port;
    int16_t security_protocol;
};

struct metadata_feature_range {
    struct slice name;
    int16_t level_min, level_max;
};

struct metadata_broker {
    struct metadata_object object;
    int32_t id;
    int64_t epoch;
    struct uuid incarnation_id;
    struct slice rack; /* null: none */
    bool fenced;
    bool in_controlled_shutdown;
    bool is_migrating_zk;
    const struct metadata_endpoint *endpoints; /* in order of the record */
    size_t endpoint_count;
    const struct metadata_feature_range *features;
    size_t feature_count;
    const struct uuid *directories; /* online log directories, ascending bytes */
    size_t directory_count;
    const struct uuid *cordoned; /* cordoned log directories */
    size_t cordoned_count;
    bool cordoned_known; /* false: the record had none (null) */
    /* Offset of the last RegisterBroker record (of a snapshot: its last offset). Not in the hash. */
    int64_t registration_offset;
};

struct metadata_controller {
    struct metadata_object object;
    int32_t id;
    struct uuid incarnation_id;
    bool zk_migration_ready;
    const struct metadata_endpoint *endpoints;
    size_t endpoint_count;
    const struct metadata_feature_range *features;
    size_t feature_count;
};

struct metadata_partition {
    struct metadata_object object;
    int32_t index;
    const int32_t *replicas;
    const struct uuid *directories; /* one per replica */
    size_t replica_count;
    const int32_t *isr;
    size_t isr_count;
    const int32_t *elr;
    size_t elr_count;
    const int32_t *last_known_elr;
    size_t last_known_elr_count;
    const int32_t *removing;
    size_t removing_count;
    const int32_t *adding;
    size_t adding_count;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int32_t partition_epoch;
    bool recovering; /* leader recovery state */
};

#define METADATA_BLOCK_PARTITIONS 64
struct metadata_block {
    uint32_t reference_count;
    struct metadata_partition *partitions[METADATA_BLOCK_PARTITIONS]; /* NULL: not there */
};

struct metadata_topic {
    struct metadata_object object; /* hash of name and id only */
    struct slice name;
    struct uuid id;
    int32_t partition_count; /* partitions present; indexes are 0 … count-1 */
    uint32_t block_count;
    struct metadata_block **blocks;
};
/* NULL when the topic has no such partition. */
static inline const struct metadata_partition *
metadata_topic_partition(const struct metadata_topic *topic, int32_t index)
{
    uint32_t block = (uint32_t)index / METADATA_BLOCK_PARTITIONS;

    if (index < 0 || block >= topic->block_count || !topic->blocks[block])
        return NULL;
    return topic->blocks[block]->partitions[(uint32_t)index % METADATA_BLOCK_PARTITIONS];
}

enum metadata_resource {
    METADATA_RESOURCE_TOPIC = 2,
    METADATA_RESOURCE_BROKER = 4,
    METADATA_RESOURCE_CLIENT_METRICS = 16,
    METADATA_RESOURCE_GROUP = 32,
};
struct metadata_config_entry {
    struct slice key;
    struct slice value;
};
/* All configs of one resource; never empty. */
struct metadata_configs {
    struct metadata_object object;
    int8_t resource_type; /* enum metadata_resource */
    struct slice resource_name;
    const struct metadata_config_entry *entries; /* ascending keys */
    size_t entry_count;
};

struct metadata_feature {
    struct metadata_object object;
    struct slice name;
    int16_t level; /* > 0 */
};

struct metadata_quota_part {
    struct slice type; /* "user", "client-id", "ip" */
    struct slice name; /* null: the default entity */
};
struct metadata_quota_value {
    struct slice key;
    double value;
};
/* All quotas of one entity; never empty. */
struct metadata_quota {
    struct metadata_object object;
    const struct metadata_quota_part *parts; /* ascending types */
    size_t part_count;
    const struct metadata_quota_value *values; /* ascending keys */
    size_t value_count;
};

struct metadata_scram {
    struct metadata_object object;
    struct slice user;
    int8_t mechanism; /* 1 SCRAM-SHA-256, 2 SCRAM-SHA-512 */
    struct slice salt;
    struct slice stored_key;
    struct slice server_key;
    int32_t iterations;
};

struct metadata_acl {
    struct metadata_object object;
    struct uuid id;
    int8_t resource_type;
    struct slice resource_name;
    int8_t pattern_type;
    struct slice principal;
    struct slice host;
    int8_t operation;
    int8_t permission;
};

struct metadata_token {
    struct metadata_object object;
    struct slice owner;
    struct slice requester;
    const struct slice *renewers;
    size_t renewer_count;
    int64_t issue_ms;
    int64_t max_ms;
    int64_t expiry_ms;
    struct slice id;
};

/* ---- images ---- */

struct metadata_image;

/* Up to which record an image speaks. */
struct metadata_provenance {
    int64_t offset; /* of the last record; -1: none */
    int32_t epoch;
    int64_t timestamp_ms; /* of that record's batch */
};

/* NULL-safe; gives its argument back. */
struct metadata_image *metadata_image_ref(struct metadata_image *image);
/* NULL-safe; sets *image to NULL. CLEANUP-compatible. */
void metadata_image_release(struct metadata_image **image);

struct metadata_provenance metadata_image_provenance(const struct metadata_image *image);
/* Equal for equal content, whatever the order of the records that led there. */
uint64_t metadata_image_hash(const struct metadata_image *image);

/* Exact lookups, O(log n); NULL when absent. */
const struct metadata_topic *metadata_image_topic(const struct metadata_image *image,
                                                  struct slice name);
const struct metadata_topic *metadata_image_topic_by_id(const struct metadata_image *image,
                                                        struct uuid id);
const struct metadata_broker *metadata_image_broker(const struct metadata_image *image, int32_t id);
const struct metadata_controller *metadata_image_controller(const struct metadata_image *image,
                                                            int32_t id);
const struct metadata_configs *metadata_image_configs(const struct metadata_image *image,
                                                      enum metadata_resource type,
                                                      struct slice name);
/* A value of a resource; the null slice when it is not set there. */
struct slice metadata_image_config(const struct metadata_image *image, enum metadata_resource type,
                                   struct slice name, struct slice key);
const struct metadata_feature *metadata_image_feature(const struct metadata_image *image,
                                                      struct slice name);
/* Level of a finalized feature; 0: not finalized. metadata.version: 0 before bootstrap. */
int16_t metadata_image_level(const struct metadata_image *image, const char *name);
int16_t metadata_image_version(const struct metadata_image *image);
/* Quotas of exactly this entity. A part that is not given is left out: has_x false. */
struct metadata_quota_entity {
    bool has_user, has_client_id, has_ip;
    struct slice user, client_id, ip; /* null with has_x: the default entity */
};
const struct metadata_quota *metadata_image_quota(const struct metadata_image *image,
                                                  const struct metadata_quota_entity *entity);
const struct metadata_scram *metadata_image_scram(const struct metadata_image *image,
                                                  struct slice user, int8_t mechanism);
const struct metadata_acl *metadata_image_acl(const struct metadata_image *image, struct uuid id);
const struct metadata_token *metadata_image_token(const struct metadata_image *image,
                                                  struct slice id);
/* The next producer id that no block contains; 0: no block was ever handed out. */
int64_t metadata_image_next_producer_id(const struct metadata_image *image);

size_t metadata_image_topic_count(const struct metadata_image *image);
size_t metadata_image_partition_count(const struct metadata_image *image);
size_t metadata_image_broker_count(const struct metadata_image *image);
size_t metadata_image_quota_count(const struct metadata_image *image);

/* True when the broker is there, unfenced, and offers the listener (NULL endpoint_out: any). */
bool metadata_broker_alive(const struct metadata_broker *broker, struct slice listener,
                           struct metadata_endpoint *endpoint_out);
/* A directory counts as online: it is one of the broker's, or UNASSIGNED or MIGRATING. */
bool metadata_broker_directory_online(const struct metadata_broker *broker, struct uuid directory);

/* ---- walking ---- */

/* The maps of an image in their fixed orders: topics by name (bytes), brokers and controllers by id,
 * configs by type and name, features and tokens by name, quotas by entity, scram by mechanism and
 * user, ACLs by id. */
enum metadata_map {
    METADATA_TOPICS,      /* struct metadata_topic, by name */
    METADATA_BROKERS,     /* struct metadata_broker */
    METADATA_CONTROLLERS, /* struct metadata_controller */
    METADATA_CONFIGS,     /* struct metadata_configs */
    METADATA_FEATURES,    /* struct metadata_feature */
    METADATA_QUOTAS,      /* struct metadata_quota */
    METADATA_SCRAMS,      /* struct metadata_scram */
    METADATA_ACLS,        /* struct metadata_acl */
    METADATA_TOKENS,      /* struct metadata_token */
    METADATA_TOPIC_IDS,   /* struct metadata_topic, by id */
    METADATA_MAP_COUNT,
};

/* struct metadata_walk walk;
 * const struct metadata_topic *topic;
 * for (metadata_walk_start(&walk, image, METADATA_TOPICS); (topic = metadata_walk_next(&walk));) … */
#define METADATA_TREE_DEPTH_MAX 96
struct metadata_node;
struct metadata_walk {
    const struct metadata_node *stack[METADATA_TREE_DEPTH_MAX];
    size_t depth;
};
void metadata_walk_start(struct metadata_walk *walk, const struct metadata_image *image,
                         enum metadata_map map);
/* From the first topic whose name is ≥ `name` on (> when `after`). */
void metadata_walk_topics_from(struct metadata_walk *walk, const struct metadata_image *image,
                               struct slice name, bool after);
const void *metadata_walk_next(struct metadata_walk *walk); /* NULL at the end */

/* ---- what changed ---- */

/* Called once per difference, maps in the order of the enum, keys ascending; NULL members are skipped.
 * A topic deleted and made again under its name is one deletion and one creation. */
struct metadata_diff {
    void *context;
    /* Before the partitions of a created topic; partition_changed follows for each of them. */
    void (*topic_created)(void *context, const struct metadata_topic *topic);
    /* No partition_changed follows. */
    void (*topic_deleted)(void *context, const struct metadata_topic *topic);
    /* before == NULL: new. Partitions of a living topic never go away. */
    void (*partition_changed)(void *context, const struct metadata_topic *topic,
                              const struct metadata_partition *before,
                              const struct metadata_partition *after);
    /* before NULL: new; after NULL: gone. The objects are of the map's type. */
    void (*object_changed)(void *context, enum metadata_map map, const void *before,
                           const void *after);
    void (*producer_ids_changed)(void *context, int64_t next_producer_id);
};
/* `before` NULL: the empty image. Costs what differs, and log n of each. */
void metadata_image_diff(const struct metadata_image *before, const struct metadata_image *after,
                         const struct metadata_diff *diff);

/* ---- mutable states ---- */

struct metadata_state;

/* An empty state, or one that starts as `from` (NULL: empty) at no cost. Allocates from `allocator`
 * for its life and that of its images; `from` must be of the same allocator and thread. */
MUST_USE enum err metadata_state_create(struct allocator *allocator,
                                        const struct metadata_image *from,
                                        struct metadata_state **out);
void metadata_state_release(struct metadata_state **state); /* NULL-safe */

/* Replays one data record at `offset`. Impossible records: ERR_STATE with a
 * reason, nothing changed. Transactions: BeginTransaction keeps the state of before, which
 * AbortTransaction brings back. */
MUST_USE enum err metadata_state_replay(struct metadata_state *state,
                                        const struct metadata_record *record, int64_t offset,
                                        struct why *why);
/* After the last record of each batch: where the state stands now. */
void metadata_state_advance(struct metadata_state *state, struct metadata_provenance provenance);
/* Begin was seen, End or Abort was not: nothing may be published. */
bool metadata_state_in_transaction(const struct metadata_state *state);
/* The state as an image, for reads until the next call that changes the state. Not counted. Inside a
 * transaction it shows the transaction's changes. */
const struct metadata_image *metadata_state_view(const struct metadata_state *state);
/* A counted image of the state of now (inside a transaction: of just before Begin). */
MUST_USE enum err metadata_state_publish(struct metadata_state *state,
                                         struct metadata_image **image_out);
/* Forgets everything: before the records of a snapshot, which then hold everything there is. */
void metadata_state_clear(struct metadata_state *state);

/* ---- snapshots ---- */

/* Hands the image out as records, in Kafka's order, one list of at most METADATA_SNAPSHOT_LIST records
 * at a time. The list and its records last until the next call. */
#define METADATA_SNAPSHOT_LIST 1024
struct metadata_snapshot;
MUST_USE enum err metadata_snapshot_start(struct metadata_image *image, struct allocator *allocator,
                                          struct metadata_snapshot **out);
/* count 0: that was all. */
MUST_USE enum err metadata_snapshot_next(struct metadata_snapshot *snapshot,
                                         struct metadata_record_list *list_out);
void metadata_snapshot_release(struct metadata_snapshot **snapshot);

/* The same at once, in an arena: tests, tools. */
MUST_USE enum err metadata_image_to_records(const struct metadata_image *image, struct arena *arena,
                                            struct metadata_record_list *list_out);

/* ---- answers that every broker gives from its image ---- */

struct describe_client_quotas_request;
struct describe_client_quotas_response;
struct describe_user_scram_credentials_request;
struct describe_user_scram_credentials_response;
/* Fill an initialised response, whose slices are the image's (keep it until the response is encoded).
 * Errors are those of the whole request, with Kafka's text. */
MUST_USE enum err metadata_describe_quotas(const struct metadata_image *image,
                                           const struct describe_client_quotas_request *request,
                                           struct arena *arena,
                                           struct describe_client_quotas_response *response,
                                           struct why *why);
MUST_USE enum err
metadata_describe_scram(const struct metadata_image *image,
                        const struct describe_user_scram_credentials_request *request,
                        struct arena *arena,
                        struct describe_user_scram_credentials_response *response);

#endif
