/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/history_internal.h: the model that the rules read, made once from the events (model.c).
 */
#ifndef TESTS_HISTORY_INTERNAL_H
#define TESTS_HISTORY_INTERNAL_H

#include "history.h"

#define NO_EVENT SIZE_MAX

struct history {
    struct arena arena;
    struct history_event *events;
    size_t count, capacity;
    char **topics;
    size_t topic_count, topic_capacity;
    char **names;
    size_t name_count, name_capacity;
};

/* A whole operation; the invocation is always there. */
struct operation {
    int64_t op;
    size_t invoked, ended; /* events; NO_EVENT: never ended */
    size_t first_end;      /* the first of its ends; model.next_end leads on; `ended` is the last */
    bool was_seen;         /* produce: a reader saw its values */
};

/* A batch that a fetch showed. Eras of a partition are divided by what may take seen records away: power cuts in
 * flush mode os and damage. Within one era nothing changes; across them rules say less. */
struct sight {
    const struct history_batch *batch;
    size_t invoked, ended; /* of the fetch */
    uint32_t era;
};

struct synced { /* what the power cut before it left for certain */
    size_t event;
    int64_t offset;
};

struct partition {
    int32_t topic, number;
    struct operation **produces; /* in order of invocation */
    size_t produce_count, produce_capacity;
    struct operation **asks; /* fetch, list offsets, delete records, in order of their ends */
    size_t ask_count, ask_capacity;
    struct sight *sights; /* by era, base offset, event */
    size_t sight_count, sight_capacity;
    size_t *cuts; /* events that begin an era */
    size_t cut_count, cut_capacity;
    int64_t damaged_from; /* INT64_MAX: sound */
    size_t damaged_at;    /* the first damage; NO_EVENT: none */
    size_t rotted_snapshot_at;
    struct synced *synced; /* in order of events */
    size_t synced_count, synced_capacity;
    bool may_be_gone; /* somebody asked to delete the topic */
    bool is_compacted;
};

/* ---- transactions (transactions.c) ---- */
enum fate { FATE_OPEN, FATE_COMMIT, FATE_ABORT }; /* open: either */
struct transaction {
    int64_t number;
    size_t begun; /* NO_EVENT: not told */
    int32_t id;   /* transactional id, a name */
    int64_t producer_id;
    int32_t epoch;
    struct operation **produces, **offsets;
    size_t produce_count, produce_capacity, offset_count, offset_capacity;
    struct operation *commit, *abort; /* asked for; NULL: not */
    enum fate fate;                   /* by what was asked and answered */
    size_t fenced_at;                 /* the answer of a newer InitProducerId */
    /* Events: a reader under read_committed passed one of its records on, or dropped it; a marker said so. */
    size_t seen_committed, seen_aborted;
};

struct model {
    const struct history *history;
    struct arena arena;
    struct operation *operations; /* by op */
    size_t operation_count;
    struct partition *partitions; /* by topic and number */
    size_t partition_count;
    struct operation **by_value; /* produces by first_value */
    size_t produce_count;
    size_t *power_cuts; /* events of any power cut */
    size_t power_cut_count;
    size_t final_mark;      /* NO_EVENT: none */
    size_t *next_end;       /* by event: the next end of the same operation; NO_EVENT: none */
    size_t disk_fault_mark; /* the first one; NO_EVENT: none */
    size_t
        forget_mark; /* the first event from which on producers may be forgotten; NO_EVENT: none */
    struct transaction *transactions; /* by number */
    size_t transaction_count;
    struct history_report *report;
};

void model_build(struct model *model, const struct history *history, struct history_report *report);
void model_release(struct model *model);
/* The produce that sent this value; NULL: nobody. */
struct operation *model_produce_of(const struct model *model, int64_t value);
uint32_t partition_era(const struct partition *partition, size_t event);
/* Is there a power cut between the two events? */
bool model_volatile_cut_before(const struct model *model, size_t event);
/* May a power cut in flush mode os between the two events have taken what ends at `end`? */
bool partition_volatile_takes(const struct model *model, const struct partition *partition,
                              size_t from, size_t to, int64_t end);
bool model_power_cut_between(const struct model *model, size_t from, size_t to);
void violation(struct model *model, const char *rule, size_t event, const char *format, ...)
    PRINTF_LIKE(4, 5);
static inline const struct history_event *event_of(const struct model *model, size_t event)
{
    return &model->history->events[event];
}
static inline bool ended_as(const struct model *model, const struct operation *operation,
                            enum history_phase phase)
{
    return operation->ended != NO_EVENT && event_of(model, operation->ended)->phase == phase;
}
static inline const char *topic_of(const struct model *model, const struct partition *partition)
{
    return model->history->topics[partition->topic];
}

/* Room for one more item in an arena-backed array. */
void *model_grown(struct arena *arena, void *items, size_t count, size_t *capacity,
                  size_t item_bytes);
#define PUSH(arena, list, count, capacity)                                        \
    ((list) = model_grown((arena), (list), (count), &(capacity), sizeof *(list)), \
     &(list)[(count)++])
/* "g t#…-3" */
struct place_text {
    char text[160];
};
struct place_text model_place(const struct model *model, int32_t group, int32_t topic,
                              int32_t partition);
static inline const char *name_of(const struct model *model, int32_t name)
{
    return history_name_text(model->history, name);
}
/* The whole operations of one kind, in order of their invocations. */
struct operation **model_operations(struct model *model, enum history_kind kind, size_t *count_out);

/* ---- who has what (claims.c) ---- */
struct claim {
    int32_t group, member, instance, topic, partition;
    int32_t generation;
    bool has_lease;
    int64_t until_ns; /* of the lease */
    size_t since;     /* event by which it was given; without an interruption since then */
};
struct claims {
    struct claim *items;
    size_t count, capacity;
};
/* What this event changes. To be called for each, in order, after the rule has looked at it. */
void claims_follow(struct claims *claims, struct model *model, const struct history_event *event,
                   size_t number);
/* Is it another's, at this time, for certain? */
bool claim_is_of_other(const struct claim *claim, const struct history_event *event);
bool claim_is_live(const struct claim *claim, int64_t now_ns);

/* ---- the rules, a file each ---- */
void rule_lost(struct model *model, struct partition *partition);
void rule_single(struct model *model, struct partition *partition);
void rule_monotone(struct model *model, struct partition *partition);
void rule_visible(struct model *model, struct partition *partition);
void rule_sequence(struct model *model, struct partition *partition);
void rule_retention(struct model *model, struct partition *partition);
void rule_crc(struct model *model, struct partition *partition);
void rule_times(struct model *model, struct partition *partition);
void rule_refused(struct model *model, struct partition *partition);
bool is_forgetful(const char *error); /* judged by rule_forgotten */
/* The node may have forgotten by then who wrote the batch: a snapshot rotted, and the log begins behind it. */
bool producer_went_with(const struct model *model, const struct partition *partition,
                        const struct history_batch *batch, size_t until);
void rule_forgotten(struct model *model, struct partition *partition);
void rule_group_owner(struct model *model);
void rule_group_stale(struct model *model);
void rule_group_offsets(struct model *model);
void rule_group_processed(struct model *model);
void rule_transaction_isolation(struct model *model);
void rule_transaction_whole(struct model *model);
void rule_transaction_lost(struct model *model);
void rule_transaction_answer(struct model *model);
void rule_transaction_fenced(struct model *model);
void rule_transaction_offsets(struct model *model);
void rule_transaction_money(struct model *model);
void rule_transaction_compacted(struct model *model);

/* transactions.c */
void transactions_build(struct model *model);
struct transaction *transaction_of(const struct model *model, int64_t number); /* NULL: none */
/* Of the record's produce; NULL: none. */
struct transaction *transaction_of_batch(const struct model *model,
                                         const struct history_batch *batch);
/* It was committed: answered, or seen. */
bool transaction_is_committed(const struct transaction *t);
/* Has the produce been passed on by a reader under read_committed that began after the final mark? */
bool transaction_produce_is_final(const struct model *model, const struct operation *produce);
/* Is all of the log whole, so that what is missing at the end is missing? */
bool transactions_are_judged_finally(const struct model *model);

#endif
