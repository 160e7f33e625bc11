/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/config.h: Kafka's configuration: tables of every key, server.properties, layers of values,
 * checks, DescribeConfigs and the alter operations, all as pure functions.
 *
 * Words. A *set* is a list of (key, value) texts, as a file or the metadata log holds them. A *layer*
 * is a set with a source; later layers win: default, file, cluster-wide dynamic, per-broker dynamic,
 * then topic or group. `struct config` is the outcome of the broker layers: checked, typed, immutable,
 * so every shard may read it; it lives in the arena that it was made in.
 *
 * Invariants  1. a value in a struct config has passed the key's check.
 *             2. texts shown to clients are Kafka's; texts shown at start name key, line and range.
 *             3. no function here keeps a pointer to its inputs unless it says so.
 * Threads     none of its own; everything is a function of its arguments.
 * Notes       docs/design/config.md
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/slice.h"
#include "config/config_keys.h" /* generated: enum broker_key, topic_key, group_key, client_metrics_key */

/* ---- The tables ------------------------------------------------------------------------------ */

/* Values are those of DescribeConfigs (config_type). */
enum config_type {
    CONFIG_TYPE_UNKNOWN = 0,
    CONFIG_TYPE_BOOLEAN = 1,
    CONFIG_TYPE_STRING = 2,
    CONFIG_TYPE_INT = 3,
    CONFIG_TYPE_SHORT = 4,
    CONFIG_TYPE_LONG = 5,
    CONFIG_TYPE_DOUBLE = 6,
    CONFIG_TYPE_LIST = 7,
    CONFIG_TYPE_CLASS = 8,
    CONFIG_TYPE_PASSWORD = 9,
};

/* Values are those of DescribeConfigs (config_source). */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT = 3,
    CONFIG_SOURCE_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_LOGGER = 6,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};

/* Kafka's resource types. */
enum config_resource {
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4,
    CONFIG_RESOURCE_BROKER_LOGGER = 8,
    CONFIG_RESOURCE_CLIENT_METRICS = 16,
    CONFIG_RESOURCE_GROUP = 32,
};

/* Where a broker key may be changed at run time. */
enum config_dynamic { CONFIG_READ_ONLY, CONFIG_PER_BROKER, CONFIG_CLUSTER_WIDE };

enum config_status {
    CONFIG_IMPLEMENTED,
    CONFIG_NO_EFFECT, /* the thing does not exist here: status_text says why */
    CONFIG_LATER,     /* accepted and shown; the part named in status_text is not there yet */
    CONFIG_REFUSED,   /* any value but the default refuses the start or the change */
};

/* What a value is measured in; the file may then write 64MiB or 7d. */
enum config_unit {
    CONFIG_UNIT_NONE,
    CONFIG_UNIT_BYTES,
    CONFIG_UNIT_MS,
    CONFIG_UNIT_SECONDS,
    CONFIG_UNIT_MINUTES,
    CONFIG_UNIT_HOURS,
};

enum config_importance { CONFIG_LOW, CONFIG_MEDIUM, CONFIG_HIGH };

/* Checks beyond the type. Lists of words end with NULL. */
enum config_check_kind {
    CONFIG_CHECK_NONE,
    CONFIG_CHECK_RANGE,         /* minimum and maximum, each may be absent */
    CONFIG_CHECK_WORD,          /* one of `words` */
    CONFIG_CHECK_WORD_ANY_CASE, /* the same, case ignored */
    CONFIG_CHECK_LIST,          /* list without repeats and empty entries; `words` when not NULL */
    CONFIG_CHECK_GZIP_LEVEL,    /* 1 to 9 or -1 */
    CONFIG_CHECK_NOT_EMPTY,
    CONFIG_CHECK_NOT_NULL,
    CONFIG_CHECK_THROTTLED_REPLICAS,
    CONFIG_CHECK_VOTERS,
    CONFIG_CHECK_BOOTSTRAP_SERVERS,
    CONFIG_CHECK_SHARE_OFFSET_RESET,
    CONFIG_CHECK_HTTP_LISTENER,
};
struct config_check {
    enum config_check_kind kind;
    const char *minimum_text; /* NULL: no lower bound */
    const char *maximum_text;
    double minimum;
    double maximum;
    const char *const *words;
    bool empty_allowed; /* of lists */
    bool null_allowed;
};

/* A broker key that gives a topic or group key its default; the broker's number times `factor`. */
struct config_synonym {
    int16_t key; /* enum broker_key */
    int32_t factor;
};

struct config_key {
    const char *name;
    const char *default_text;              /* NULL: null, or required */
    const char *text;                      /* one line for people */
    const char *status_text;               /* NULL when implemented */
    const char *valid_text;                /* allowed values for people, "" when any */
    const struct config_synonym *synonyms; /* of topic and group keys, in order of precedence */
    int16_t synonym_count;
    enum config_type type;
    enum config_status status;
    enum config_dynamic dynamic;
    enum config_unit unit;
    enum config_importance importance;
    bool required;
    bool internal;     /* not shown unless set */
    bool dynamic_only; /* cannot stand in the file */
    bool own;          /* barnabas.* */
    struct config_check check;
};

/* Keys in ascending order of their names; the enums index them. */
struct config_table {
    enum config_resource resource;
    const struct config_key *keys;
    size_t count;
};

/* NULL for a resource without keys (broker loggers). */
const struct config_table *config_table_of(enum config_resource resource);
/* Index of the exact name, -1 when unknown. */
int config_table_find(const struct config_table *table, struct slice name);
const struct config_key *config_broker_key(enum broker_key key);
const struct config_key *config_topic_key(enum topic_key key);
/* The key behind a broker config name, listener.name.<listener>.[<mechanism>.]<key> included (then
 * *prefixed_out is true); -1 when unknown. */
int config_broker_find(struct slice name, bool *prefixed_out);
/* The known name nearest to a misspelt one, NULL when none is near. */
const char *config_nearest(const struct config_table *table, struct slice name);

/* ---- Sets ------------------------------------------------------------------------------------ */

struct config_pair {
    struct slice key;
    struct slice value; /* null only where a function says so */
};
struct config_set {
    const struct config_pair *pairs;
    size_t count;
};
#define CONFIG_SET_EMPTY ((struct config_set){NULL, 0})

/* The value, or the null slice when the key is not in the set. */
struct slice config_set_get(const struct config_set *set, struct slice key);

/* ---- server.properties ----------------------------------------------------------------------- */

struct config_file {
    struct config_set set;
    const int32_t *lines; /* of each pair; 0: from an override */
    struct slice name;    /* for messages */
};

/* Java's properties format: comments (# !), separators (= : blank), escapes, continued lines; a later
 * line of the same key replaces the earlier one. Bytes outside ASCII are taken as UTF-8. Everything
 * in *out lives in `arena`. ERR_CONFIG (bad \u escape, NUL) with the line in `why`. */
MUST_USE enum err config_file_parse(struct arena *arena, struct slice name, struct slice text,
                                    struct config_file *out, struct why *why);
/* Adds or replaces from "key=value" of the command line. */
MUST_USE enum err config_file_override(struct arena *arena, struct config_file *file,
                                       struct slice assignment, struct why *why);
/* What a node started without a file runs with: one combined node on loopback, data in
 * ./barnabas-data, internal topics with one replica. Text of a properties file. */
extern const char config_properties_without_file[];
/* The five lines that a cluster of one broker needs, since Kafka's defaults ask for three replicas. */
extern const char config_single_node_properties[];

/* ---- Findings -------------------------------------------------------------------------------- */

enum config_finding_kind {
    CONFIG_FINDING_ERROR,     /* the node does not start */
    CONFIG_FINDING_WARNING,   /* unknown key, odd combination */
    CONFIG_FINDING_NO_EFFECT, /* set, but the thing does not exist here */
    CONFIG_FINDING_LATER,     /* set, but its part is not built yet */
    CONFIG_FINDING_IGNORED,   /* of a dynamic layer: the value is left out */
};
struct config_finding {
    struct config_finding *next;
    enum config_finding_kind kind;
    struct slice key;
    const char *text;   /* whole line for people, e.g. "server.properties:7: Invalid value …" */
    bool requirement;   /* Kafka puts "requirement failed: " in front of it for clients */
    const char *detail; /* the part of it behind file and line: Kafka's text where there is one */
};
struct config_report {
    struct arena *arena; /* findings live here */
    struct config_finding *first;
    struct config_finding *last;
    size_t count[5]; /* by kind */
    bool no_memory;  /* some findings were lost */
};
void config_report_init(struct config_report *report, struct arena *arena);

/* ---- Broker configuration -------------------------------------------------------------------- */

struct config_layers {
    const struct config_file *file;   /* NULL: none */
    const struct config_set *cluster; /* dynamic, resource "" ; NULL: none */
    const struct config_set *node;    /* dynamic, this node's id; NULL: none */
};

struct config_list {
    const struct slice *items;
    size_t count;
};

struct config; /* opaque */

/* Resolves the layers. Bad values of the file are errors in `report`, bad values of the dynamic layers
 * are reported and ignored. Keeps the layers' sets (they must outlive *out). Fails with ERR_CONFIG when
 * the report has an error from the file, ERR_NO_MEMORY. */
MUST_USE enum err config_resolve(struct arena *arena, const struct config_layers *layers,
                                 struct config_report *report, const struct config **out);
/* The defaults alone, with node.id 0 and both roles; for tests and tools. */
MUST_USE enum err config_defaults(struct arena *arena, const struct config **out);

/* Typed reads; a key of another type is a bug. Null numbers read as `config_is_null` tells, 0. */
bool config_is_null(const struct config *config, enum broker_key key);
/* True when some layer sets it. */
bool config_is_set(const struct config *config, enum broker_key key);
bool config_boolean(const struct config *config, enum broker_key key);
int32_t config_int(const struct config *config, enum broker_key key);  /* int and short */
int64_t config_long(const struct config *config, enum broker_key key); /* int, short and long */
double config_double(const struct config *config, enum broker_key key);
/* string, class, password; null slice for null. */
struct slice config_string(const struct config *config, enum broker_key key);
struct config_list config_list(const struct config *config, enum broker_key key);
/* The file's text of a broker config, null when the file does not set it. */
struct slice config_static(const struct config *config, struct slice name);
/* listener.name.<listener>.<key> when set, else <key>. Integer keys. */
int64_t config_listener_long(const struct config *config, struct slice listener,
                             enum broker_key key);
/* True when some layer sets one of the two. */
bool config_listener_is_set(const struct config *config, struct slice listener,
                            enum broker_key key);

/* Values made of several keys. */
int64_t config_log_retention_ms(const struct config *config);
int64_t config_log_roll_ms(const struct config *config);
int64_t config_log_roll_jitter_ms(const struct config *config);
int64_t config_log_flush_interval_ms(const struct config *config);
struct config_list config_log_dirs(const struct config *config);

/* ---- The node, typed ------------------------------------------------------------------------- */

enum config_flush_mode { CONFIG_FLUSH_COMMIT, CONFIG_FLUSH_OS };

struct listener_config {
    struct slice name; /* upper case */
    struct slice host; /* null: all interfaces */
    int32_t port;      /* 0: any free one */
    bool controller;   /* named by controller.listener.names */
};
struct voter_config {
    int32_t id;
    struct slice host;
    int32_t port;
};
struct endpoint_config {
    struct slice host;
    int32_t port;
};
struct ip_limit_config {
    struct slice host;
    int32_t connections_max;
};
struct node_config {
    int32_t node_id;
    bool broker;
    bool controller;
    const struct listener_config *listeners;
    size_t listener_count;
    /* Broker listeners to announce: advertised.listeners, else the bound ones; host null when the
     * address of the accepted connection is to be answered. */
    const struct listener_config *advertised;
    size_t advertised_count;
    bool advertised_set;
    /* Controller listeners to announce, first controller.listener.names first. */
    const struct listener_config *advertised_controllers;
    size_t advertised_controller_count;
    struct slice inter_broker_listener;
    struct config_list controller_listener_names;
    const struct voter_config *voters; /* controller.quorum.voters */
    size_t voter_count;
    const struct endpoint_config *bootstrap; /* controller.quorum.bootstrap.servers */
    size_t bootstrap_count;
    struct config_list log_dirs;
    struct slice metadata_log_dir;
    const struct ip_limit_config *ip_limits;
    size_t ip_limit_count;
    int32_t shards; /* 0: choose */
    enum config_flush_mode flush_mode;
    struct config_list flush_os_topics; /* patterns, see config_pattern_matches */
    bool http_on;
    struct endpoint_config http;
};
/* Checks keys against each other as Kafka does at start and fills *out (in the report's arena, views
 * into config). ERR_CONFIG when the report got an error. */
MUST_USE enum err config_node(const struct config *config, struct config_report *report,
                              struct node_config *out);
/* Glob with * and ? over the whole name. */
bool config_pattern_matches(struct slice pattern, struct slice name);
bool config_pattern_list_matches(struct config_list patterns, struct slice name);

/* ---- Topics ---------------------------------------------------------------------------------- */

enum topic_compression {
    TOPIC_COMPRESSION_UNCOMPRESSED = 0, /* to LZ4…ZSTD: the codec numbers of batches */
    TOPIC_COMPRESSION_CODEC_GZIP = 1,
    TOPIC_COMPRESSION_CODEC_SNAPPY = 2,
    TOPIC_COMPRESSION_CODEC_LZ4 = 3,
    TOPIC_COMPRESSION_CODEC_ZSTD = 4,
    TOPIC_COMPRESSION_PRODUCER = -1,
};

/* All topic configs as values. Plain data, except the two lists, which are views. */
struct topic_config {
    bool compact;
    bool delete_segments; /* cleanup.policy has delete */
    enum topic_compression compression;
    int32_t compression_level; /* of that codec; of gzip -1: the library's */
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    int64_t delete_retention_ms;
    bool errors_deadletterqueue_group_enable;
    int64_t file_delete_delay_ms;
    int64_t flush_messages;
    int64_t flush_ms;
    struct slice follower_throttled_replicas; /* "*" or "p:b,p:b"; view into `topic` */
    struct slice leader_throttled_replicas;
    int32_t index_interval_bytes;
    int64_t local_retention_bytes; /* -2 resolved to retention */
    int64_t local_retention_ms;
    int64_t max_compaction_lag_ms;
    int32_t max_decompressed_message_bytes;
    int32_t max_message_bytes;
    int64_t message_timestamp_after_max_ms;
    int64_t message_timestamp_before_max_ms;
    bool message_timestamp_log_append; /* message.timestamp.type=LogAppendTime */
    double min_cleanable_dirty_ratio;
    int64_t min_compaction_lag_ms;
    int32_t min_insync_replicas;
    bool preallocate;
    int64_t remote_copy_lag_bytes; /* -1 resolved to local retention */
    int64_t remote_copy_lag_ms;
    bool remote_log_copy_disable;
    bool remote_log_delete_on_disable;
    bool remote_storage_enable;
    int64_t retention_bytes;
    int64_t retention_ms;
    int32_t segment_bytes; /* internal.segment.bytes when that is set */
    int32_t segment_index_bytes;
    int64_t segment_jitter_ms;
    int64_t segment_ms;
    bool unclean_leader_election_enable;
};
/* The topic's set over this broker's values. Unknown keys and values that fail their check are skipped
 * (then ERR_CONFIG with the first in `why`; *out is complete all the same). `topic` may be NULL;
 * nothing in *out lives in `scratch`. */
enum err topic_config_resolve(struct arena *scratch, const struct config *config,
                              const struct config_set *topic, struct topic_config *out,
                              struct why *why);
/* Is the replica of `partition` on `broker` in a throttled list? */
bool topic_config_throttles(struct slice list, int32_t partition, int32_t broker);

/* The effective text of one topic config: topic set, then the broker layers, then the default.
 * Converted numbers are printed into `arena`. For the controller, whose layers change by record. */
struct slice config_topic_effective(struct arena *arena, const struct config_layers *layers,
                                    const struct config_set *topic, enum topic_key key,
                                    enum config_source *source_out);

/* ---- Alter ----------------------------------------------------------------------------------- */

enum config_operation_kind {
    CONFIG_SET = 0,
    CONFIG_DELETE = 1,
    CONFIG_APPEND = 2,
    CONFIG_SUBTRACT = 3,
};
struct config_operation {
    enum config_operation_kind kind; /* any int8 from the wire */
    struct slice key;
    struct slice value;
};

struct config_rules {
    bool elr;              /* eligible.leader.replicas.version > 0 */
    bool cordoned_allowed; /* metadata.version >= 4.3-IV0 */
    bool forwarded;        /* by a broker, which has checked BROKER changes */
    bool new_resource;     /* configs of CreateTopics */
    /* What the caller knows to be wrong with the resource's name, or OK: told before values are validated, but after
     * an operation that is not possible. */
    enum err name_err;
    const struct why *name_why;
};

/* One resource at the controller. `changes` are the records to write (value null: remove). */
struct config_alteration {
    struct config_set changes;
    struct config_set outcome; /* the whole set afterwards, in key order of first appearance */
};
/* IncrementalAlterConfigs: applies, then validates the outcome. Results live in `arena`. `config` (this
 * node's, NULL: defaults) gives the broker's values that topic and group checks compare with.
 * Errors are those that go to the client, text in `why`: INVALID_CONFIG, INVALID_REQUEST. */
MUST_USE enum err config_alter(struct arena *arena, const struct config *config,
                               const struct config_rules *rules, enum config_resource resource,
                               struct slice resource_name, const struct config_set *current,
                               const struct config_operation *operations, size_t count,
                               struct config_alteration *out, struct why *why);
/* AlterConfigs: `wanted` replaces the whole set. */
MUST_USE enum err config_replace(struct arena *arena, const struct config *config,
                                 const struct config_rules *rules, enum config_resource resource,
                                 struct slice resource_name, const struct config_set *current,
                                 const struct config_set *wanted, struct config_alteration *out,
                                 struct why *why);
/* The validation alone: names, values, keys against each other. `current` is what was before. */
MUST_USE enum err config_validate(struct arena *arena, const struct config *config,
                                  enum config_resource resource, struct slice resource_name,
                                  const struct config_set *current, const struct config_set *wanted,
                                  struct why *why);

/* The broker's own stage for BROKER resources, before it forwards. `per_broker`: the resource is this
 * node's id, else "". Nothing is changed: ERR_INVALID_REQUEST or ERR_INVALID_CONFIG with Kafka's text. */
MUST_USE enum err config_broker_alter_check(struct arena *arena, const struct config *config,
                                            bool per_broker,
                                            const struct config_operation *operations, size_t count,
                                            struct why *why);
/* The same for AlterConfigs. */
MUST_USE enum err config_broker_replace_check(struct arena *arena, const struct config *config,
                                              bool per_broker, const struct config_set *wanted,
                                              struct why *why);

/* ---- DescribeConfigs ------------------------------------------------------------------------- */

struct config_described_synonym {
    struct slice name;
    struct slice value; /* null when sensitive */
    enum config_source source;
};
struct config_described {
    struct slice name;
    struct slice value; /* null: none or sensitive */
    struct slice text;  /* documentation, null unless asked for */
    enum config_source source;
    enum config_type type;
    bool read_only;
    bool sensitive;
    const struct config_described_synonym *synonyms;
    size_t synonym_count;
};
struct config_orders; /* opaque */
struct config_describe_options {
    const struct slice *names; /* count 0: all */
    size_t name_count;
    bool synonyms;
    bool text;
    /* As the answer of CreateTopics has it: a topic's own values as they were given, and a source counts by
     * whatever name it gives the value; DescribeConfigs passes over those before the first one of the config's own
     * name. */
    bool as_written;
    const struct config_orders *orders; /* NULL: none */
};
struct config_description {
    const struct config_described *entries;
    size_t count;
};
/* `resource`: TOPIC, GROUP, CLIENT_METRICS with their own set; BROKER with NULL: this broker (all keys);
 * for the cluster-wide defaults use config_describe_cluster. In table order. Only ERR_NO_MEMORY. */
MUST_USE enum err config_describe(struct arena *arena, const struct config *config,
                                  enum config_resource resource, const struct config_set *set,
                                  const struct config_describe_options *options,
                                  struct config_description *out);
MUST_USE enum err config_describe_cluster(struct arena *arena, const struct config *config,
                                          const struct config_describe_options *options,
                                          struct config_description *out);
/* For who describes many resources of one config: what is looked for in its layers, which may have ten
 * thousand keys each, is found in log n. It lives in `arena`. */
MUST_USE enum err config_orders_make(struct arena *arena, const struct config *config,
                                     const struct config_orders **out);

/* ---- Broker loggers -------------------------------------------------------------------------- */

/* Log levels are kept per module; the names of BROKER_LOGGER resources are "root" and the modules. */
#define CONFIG_LOGGER_COUNT 14
#define CONFIG_LOGGER_ROOT 0
extern const char *const config_logger_names[CONFIG_LOGGER_COUNT];
/* Levels in Kafka's words: TRACE DEBUG INFO WARN ERROR FATAL (FATAL acts as ERROR). */
struct config_logger_levels {
    int8_t level[CONFIG_LOGGER_COUNT]; /* enum log_level; -1: as root */
};
/* Applies to a copy, so that a failure changes nothing. Errors as Kafka's. */
MUST_USE enum err config_loggers_alter(const struct config_logger_levels *current,
                                       const struct config_operation *operations, size_t count,
                                       struct config_logger_levels *out, struct why *why);
MUST_USE enum err config_loggers_describe(struct arena *arena,
                                          const struct config_logger_levels *levels,
                                          const struct config_describe_options *options,
                                          struct config_description *out);

#endif
