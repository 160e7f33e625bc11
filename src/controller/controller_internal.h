/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/controller_internal.h: what the files of this module share: the controller's own state,
 * one call, and the building blocks of answers.
 */
#ifndef CONTROLLER_CONTROLLER_INTERNAL_H
#define CONTROLLER_CONTROLLER_INTERNAL_H

#include "base/assert.h"
#include "config/config.h"
#include "controller/controller.h"
#include "protocol/generated/messages.h"

/* ---- state ---- */

/* What heartbeats say about a broker. Soft: not in the log, rebuilt at claim. */
struct heartbeat {
    int32_t id;
    int64_t epoch;
    int64_t contact_ms;      /* of the last heartbeat; -1: no session */
    bool has_ended;          /* since that contact */
    int64_t metadata_offset; /* as the broker last reported; -1: not yet */
    int64_t
        shutdown_offset; /* records of its controlled shutdown end here; -1: not shutting down */
};

enum controller_task {
    TASK_FENCE,
    TASK_NO_OP,
    TASK_PREFERRED,
    TASK_UNCLEAN,
    TASK_COUNT,
};

struct controller {
    struct allocator *allocator;
    struct controller_options options;
    struct arena options_arena; /* bootstrap records, cluster id */
    struct logger *logger;

    struct metadata_state *state; /* NULL: not active */
    int32_t epoch;
    int64_t end_offset;
    int16_t kraft_version;
    int32_t *voters;
    size_t voter_count;
    bool remote_fetchers;
    bool written_since_no_op; /* records other than NoOp */

    struct heartbeat *heartbeats; /* ascending ids */
    size_t heartbeat_count;
    size_t heartbeat_capacity;
    int64_t task_deadline_ms[TASK_COUNT];
    int64_t sessions_expired;
    int64_t elections_unclean;
};

/* NULL when the broker has none. */
struct heartbeat *heartbeat_find(struct controller *controller, int32_t id);
/* Makes one, or starts the present one anew for another epoch. */
MUST_USE enum err heartbeat_register(struct controller *controller, int32_t id, int64_t epoch);
void heartbeat_remove(struct controller *controller, int32_t id);
void heartbeats_clear(struct controller *controller);
struct call;
/* The broker of this epoch has sent a heartbeat less than a session ago. */
bool heartbeat_session_is_live(const struct call *call, int32_t id, int64_t epoch);
/* After a RegisterBroker, UnregisterBroker or fencing record was replayed. */
MUST_USE enum err heartbeat_replayed(struct controller *controller,
                                     const struct metadata_record *record);

/* ---- one call ---- */

struct call {
    struct controller *controller;
    const struct metadata_image *image;       /* with uncommitted changes */
    const struct controller_request *request; /* NULL in ticks */
    const struct controller_moment *moment;
    struct arena *arena;
    struct metadata_record_list *records;
    struct controller_result *result;
    int16_t metadata_version;
    bool elr;
    struct why *why;                /* of the whole call */
    struct metadata_state *scratch; /* NULL until call_apply; behind `image` afterwards */
    size_t applied;                 /* records that `image` shows */
};
/* What a handler works with; *out is made empty. */
struct call call_of(struct controller *controller, const struct controller_moment *moment,
                    struct arena *arena, struct controller_result *out);
/* Lets `image` show the records of this call so far, for operations that may touch an object again
 * (one partition twice in a request). Objects that were looked up before stay as they were. */
MUST_USE enum err call_apply(struct call *call);

typedef enum err (*call_function)(struct call *call, const void *request, void *response);

/* An answer's error for one item: the code, and the text of `why` or of the code. */
int16_t item_code(enum err err);
struct slice item_text(struct call *call, enum err err, const struct why *why);
/* Where Kafka tells only what goes beyond the code: null without a text of its own. */
struct slice item_detail(struct call *call, const struct why *why);
bool call_allowed(const struct call *call, int8_t operation, int8_t resource_type,
                  struct slice resource_name);
/* Room in the records of a user's operation; ERR_POLICY_VIOLATION with Kafka's text. */
MUST_USE enum err call_records_check(struct call *call);
/* The same for changes that are asked for, before they are looked at: what they cost may grow with the
 * square of their number. */
MUST_USE enum err call_changes_check(struct call *call, int64_t count);
/* `message_out` is the address of a pointer to the record's struct. */
MUST_USE enum err record_add(struct call *call, int16_t key, int16_t version, void *message_out);

/* Kafka's numbers of operations and resource types. */
enum {
    OPERATION_CREATE = 5,
    OPERATION_DELETE = 6,
    OPERATION_ALTER = 7,
    OPERATION_DESCRIBE = 8,
    OPERATION_CLUSTER_ACTION = 9,
    OPERATION_DESCRIBE_CONFIGS = 10,
    OPERATION_ALTER_CONFIGS = 11
};
enum { RESOURCE_TOPIC = 2, RESOURCE_GROUP = 3, RESOURCE_CLUSTER = 4 };
#define CLUSTER_RESOURCE SLICE("kafka-cluster")

/* ---- ids.c: short lists of broker ids ---- */

struct ids {
    int32_t *items;
    size_t count;
};
bool ids_have(const int32_t *ids, size_t count, int32_t id);
bool ids_equal(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count);
/* Every one of `part` is in `whole`. */
bool ids_contain(const int32_t *whole, size_t whole_count, const int32_t *part, size_t part_count);
MUST_USE enum err ids_copy(struct arena *arena, const int32_t *from, size_t count, struct ids *out);
/* `from` without the members of `without`, in order. */
MUST_USE enum err ids_difference(struct arena *arena, const int32_t *from, size_t count,
                                 const int32_t *without, size_t without_count, struct ids *out);
void ids_sort(struct ids *ids);

/* ---- names.c ---- */

enum name_repeat { NAME_ONCE, NAME_FIRST_OF_MANY, NAME_AGAIN };
/* For each name, whether it occurs once; null counts as empty. */
MUST_USE enum err names_repeated(struct arena *arena, const struct slice *names, size_t count,
                                 enum name_repeat **out);

/* ---- brokers ---- */

/* More than any machine has; they are compared each with each. */
#define BROKER_DIRECTORIES_MAX 1000
/* Registered, neither fenced nor shutting down. */
bool broker_is_active(const struct metadata_image *image, int32_t id);
bool broker_has_uncordoned(const struct metadata_broker *broker);
/* Where a new replica goes: the only directory, UNASSIGNED of several, MIGRATING when none is known. */
struct uuid broker_default_directory(const struct metadata_image *image, int32_t id);
/* ERR_STALE_BROKER_EPOCH unless the broker is registered with this epoch. */
MUST_USE enum err broker_epoch_check(struct call *call, int32_t id, int64_t epoch);

/* ---- topic_config.c: what partitions need of the configs ---- */

struct topic_rules {
    int32_t min_isr; /* at most the replication factor */
    bool unclean;
};
MUST_USE enum err topic_rules_of(struct call *call, const struct metadata_topic *topic,
                                 struct topic_rules *out);
/* A resource's configs as the config module takes them; in the arena. */
MUST_USE enum err configs_as_set(struct arena *arena, const struct metadata_configs *configs,
                                 struct config_set *out);
/* Layers of broker configs as this controller sees them. */
struct broker_layers {
    struct config_set cluster;
    struct config_set node;
    struct config_layers layers;
};
MUST_USE enum err broker_layers_of(struct call *call, struct broker_layers *out);

/* ---- partition_change.c ---- */

enum election { ELECTION_ONLINE, ELECTION_PREFERRED, ELECTION_UNCLEAN };

#define NO_BROKER (-1)
struct partition_change {
    const struct metadata_topic *topic;
    const struct metadata_partition *partition;
    struct topic_rules rules;
    enum election election;
    /* Brokers that the records written so far do not show yet. NO_BROKER: none. */
    int32_t leaving;          /* never a leader */
    int32_t arriving;         /* active though it is still fenced */
    int32_t unclean_shutdown; /* never a leader, leaves ISR and ELR */
    struct ids isr, replicas, removing, adding;
    bool recovering;
    int32_t directory_broker; /* NO_BROKER: none */
    struct uuid directory;    /* of directory_broker */
};
/* Everything as it is now. */
MUST_USE enum err partition_change_init(struct partition_change *change, struct call *call,
                                        const struct metadata_topic *topic,
                                        const struct metadata_partition *partition,
                                        const struct topic_rules *rules);
/* Works out what follows and adds a record when something does; *record_out is NULL otherwise. */
MUST_USE enum err partition_change_build(struct partition_change *change, struct call *call,
                                         struct partition_change_record **record_out);
/* What answers tell of the partition after a record: ISR, leader, epochs, recovery state. */
struct metadata_partition partition_after(const struct metadata_partition *partition,
                                          const struct partition_change_record *record);

/* ---- isr.c: what a broker's coming and going does to partitions ---- */

struct isr_update {
    int32_t leaving, arriving, unclean_shutdown; /* NO_BROKER: none */
    bool in_isr;                                 /* partitions that have the broker in their ISR */
    bool in_elr;                                 /* … in their ELR */
    bool leaderless;                             /* … that have no leader */
    const struct uuid *directory;                /* … whose replica of the broker lies there */
};
MUST_USE enum err isr_update_run(struct call *call, const struct isr_update *update);
bool broker_leads(const struct metadata_image *image, int32_t id);
MUST_USE enum err broker_fence_records(struct call *call, const struct metadata_broker *broker);
MUST_USE enum err broker_unfence_records(struct call *call, const struct metadata_broker *broker);
MUST_USE enum err broker_controlled_shutdown_records(struct call *call,
                                                     const struct metadata_broker *broker);
MUST_USE enum err broker_shutdown_records(struct call *call, int32_t id, bool clean);
MUST_USE enum err broker_unregister_records(struct call *call,
                                            const struct metadata_broker *broker);
MUST_USE enum err broker_offline_records(struct call *call, const struct metadata_broker *broker,
                                         const struct uuid *offline, size_t offline_count);
MUST_USE enum err broker_cordon_records(struct call *call, const struct metadata_broker *broker,
                                        const struct uuid *cordoned, size_t cordoned_count);

/* ---- placement.c ---- */

struct placement {
    int32_t partitions;
    int16_t replicas;
};
/* Replicas of each partition, `replicas` each. ERR_INVALID_REPLICATION_FACTOR with Kafka's text. */
MUST_USE enum err placement_run(struct call *call, const struct placement *placement,
                                int32_t **replicas_out, struct why *why);

/* ---- topics ---- */

/* A new partition: ISR and leader are its active replicas, of which there is at least one. */
MUST_USE enum err partition_record_add(struct call *call, struct uuid topic_id, int32_t index,
                                       const int32_t *replicas, size_t replica_count);
MUST_USE enum err active_replicas(struct call *call, const int32_t *replicas, size_t count,
                                  struct ids *out);
/* factor < 0: any. */
MUST_USE enum err assignment_check(struct call *call, const int32_t *replicas, int32_t count,
                                   int32_t factor, struct why *why);
/* What the names of one request were compared with so far; zeroed at first. */
struct topic_collisions {
    size_t steps;
    bool is_ordered;
    size_t count; /* of these, in `order` of their names */
    const struct metadata_topic **topics;
    struct slice *names;
    uint32_t *order;
};
/* The first topic whose name differs from a valid one, which no topic has, in '.' and '_' alone; NULL: none. Only
 * ERR_NO_MEMORY. */
MUST_USE enum err topic_collision(struct call *call, struct topic_collisions *collisions,
                                  struct slice name, const struct metadata_topic **out);
/* ERR_THROTTLING_QUOTA_EXCEEDED is told by its code alone. */
MUST_USE enum err quota_take(struct call *call, int32_t partitions);

/* One election as asked by an administrator or by a periodic task. */
MUST_USE enum err election_run(struct call *call, const struct metadata_topic *topic,
                               int32_t partition_index, bool unclean, struct why *why);

/* Levels that are finalized, with kraft.version. */
int16_t finalized_level(const struct call *call, struct slice name);

/* ---- periodic.c ---- */
MUST_USE enum err tick_run(struct call *call);

/* ---- handlers, one per API ---- */
#define HANDLER(name) MUST_USE enum err name(struct call *call, const void *request, void *response)
HANDLER(decide_create_topics);
HANDLER(decide_delete_topics);
HANDLER(decide_create_partitions);
HANDLER(decide_alter_partition);
HANDLER(decide_elect_leaders);
HANDLER(decide_alter_reassignments);
HANDLER(decide_list_reassignments);
HANDLER(decide_assign_replicas_to_dirs);
HANDLER(decide_broker_registration);
HANDLER(decide_broker_heartbeat);
HANDLER(decide_unregister_broker);
HANDLER(decide_controller_registration);
HANDLER(decide_unregister_controller);
HANDLER(decide_incremental_alter_configs);
HANDLER(decide_alter_configs);
HANDLER(decide_update_features);
HANDLER(decide_allocate_producer_ids);
HANDLER(decide_alter_client_quotas);
HANDLER(decide_alter_scram);

#endif
