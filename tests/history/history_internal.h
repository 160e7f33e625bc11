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
};

/* A whole operation; the invocation is always there. */
struct operation {
    int64_t op;
    size_t invoked, ended; /* events; NO_EVENT: never ended */
    bool was_seen;         /* produce: a reader saw its values */
};

/* A batch that a fetch showed. Eras of a partition are divided by what may take seen records away: power cuts in
 * flush mode os and damage. Within one era nothing changes; across them rules say less. */
struct sight {
    const struct history_batch *batch;
    size_t invoked, ended; /* of the fetch */
    uint32_t era;
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
    bool may_be_gone;     /* somebody asked to delete the topic */
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
    size_t final_mark; /* NO_EVENT: none */
    size_t
        forget_mark; /* the first event from which on producers may be forgotten; NO_EVENT: none */
    struct history_report *report;
};

void model_build(struct model *model, const struct history *history, struct history_report *report);
void model_release(struct model *model);
/* The produce that sent this value; NULL: nobody. */
struct operation *model_produce_of(const struct model *model, int64_t value);
uint32_t partition_era(const struct partition *partition, size_t event);
/* Is there a power cut between the two events? */
bool model_crash_between(const struct model *model, size_t from, size_t to); /* kills too */
bool model_volatile_cut_before(const struct model *model, size_t event);
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

/* ---- the rules, a file each ---- */
void rule_lost(struct model *model, struct partition *partition);
void rule_single(struct model *model, struct partition *partition);
void rule_monotone(struct model *model, struct partition *partition);
void rule_visible(struct model *model, struct partition *partition);
void rule_sequence(struct model *model, struct partition *partition);
void rule_retention(struct model *model, struct partition *partition);
void rule_crc(struct model *model, struct partition *partition);
void rule_times(struct model *model, struct partition *partition);

#endif
