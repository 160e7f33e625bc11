/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/history.c: keeps events; runs the rules over the model of them.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <stdlib.h>

const char *const history_kind_names[HISTORY_KIND_COUNT] = {
    "produce",       "fetch",           "list_offsets",  "delete_records", "create_topic",
    "delete_topic",  "configure_topic", "group_join",    "group_own",      "group_beat",
    "group_give_up", "group_end",       "group_commit",  "group_offset",   "group_delete_offset",
    "group_delete",  "group_process",   "group_drained", "txn_init",       "txn_begin",
    "txn_add",       "txn_offsets",     "txn_end",       "txn_fenced",     "txn_offset",
    "mark"};
const char *const history_phase_names[HISTORY_PHASE_COUNT] = {"invoke", "ok", "fail", "unknown"};
const char *const history_mark_names[HISTORY_MARK_COUNT] = {
    "start",  "stop",   "kill",       "power_cut",    "power_cut_volatile",
    "damage", "forget", "disk_fault", "snapshot_rot", "synced",
    "expire", "final"};

void history_event_init(struct history_event *event, enum history_kind kind,
                        enum history_phase phase)
{
    *event = (struct history_event){
        .kind = kind,
        .phase = phase,
        .op = -1,
        .wall_ms = -1,
        .process = -1,
        .topic = -1,
        .partition = -1,
        .link = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .first_value = -1,
        .timestamp_ms = -1,
        .offset = -1,
        .high_watermark = -1,
        .last_stable = -1,
        .log_start = -1,
        .retention_ms = -1,
        .retention_bytes = -1,
        .group = -1,
        .member = -1,
        .instance = -1,
        .generation = -1,
        .since_ns = -1,
        .lease_ms = -1,
        .transaction = -1,
        .is_commit = -1,
        .isolation = -1,
        .key = -1,
    };
}

struct history *history_new(void)
{
    struct history *history = calloc(1, sizeof *history);

    ASSERT(history != NULL);
    arena_init(&history->arena, &heap_allocator, SIZE_MAX);
    return history;
}

void history_free(struct history **history)
{
    if (!*history)
        return;
    arena_release(&(*history)->arena);
    free((*history)->events);
    free((void *)(*history)->topics);
    free((void *)(*history)->names);
    free(*history);
    *history = NULL;
}

static int32_t text_number(struct history *history, char ***texts, size_t *count, size_t *capacity,
                           const char *text)
{
    for (size_t i = *count; i > 0; i--) /* the newest ones are asked for most */
        if (strcmp((*texts)[i - 1], text) == 0)
            return (int32_t)(i - 1);
    if (*count == *capacity) {
        *capacity = *capacity * 2 + 8;
        *texts = realloc((void *)*texts, *capacity * sizeof(char *));
        ASSERT(*texts != NULL);
    }
    (*texts)[*count] = arena_format(&history->arena, "%s", text);
    return (int32_t)(*count)++;
}

int32_t history_topic(struct history *history, const char *key)
{
    return text_number(history, &history->topics, &history->topic_count, &history->topic_capacity,
                       key);
}

int32_t history_name(struct history *history, const char *name)
{
    return text_number(history, &history->names, &history->name_count, &history->name_capacity,
                       name);
}

const char *history_name_text(const struct history *history, int32_t name)
{
    ASSERT(name < (int32_t)history->name_count);
    return name < 0 ? "nobody" : history->names[name];
}

const char *history_topic_key(const struct history *history, int32_t topic)
{
    ASSERT(topic >= 0 && (size_t)topic < history->topic_count);
    return history->topics[topic];
}

void history_add(struct history *history, const struct history_event *event)
{
    struct history_event *own;

    if (history->count == history->capacity) {
        history->capacity = history->capacity * 2 + 256;
        history->events = realloc(history->events, history->capacity * sizeof *history->events);
        ASSERT(history->events != NULL);
    }
    own = &history->events[history->count++];
    *own = *event;
    if (event->batch_count > 0)
        own->batches = (const struct history_batch *)arena_copy(
                           &history->arena,
                           slice_of(event->batches, event->batch_count * sizeof *event->batches))
                           .data;
    if (event->error)
        own->error = arena_format(&history->arena, "%s", event->error);
}

size_t history_count(const struct history *history)
{
    return history->count;
}

const struct history_event *history_at(const struct history *history, size_t index)
{
    ASSERT(index < history->count);
    return &history->events[index];
}

void history_check(const struct history *history, struct history_report *out)
{
    static void (*const rules[])(struct model *, struct partition *) = {
        rule_crc,       rule_visible, rule_single, rule_monotone, rule_sequence,
        rule_retention, rule_lost,    rule_times,  rule_refused,  rule_forgotten};
    static void (*const group_rules[])(struct model *) = {
        rule_group_owner,         rule_group_stale,           rule_group_offsets,
        rule_group_processed,     rule_transaction_isolation, rule_transaction_whole,
        rule_transaction_lost,    rule_transaction_answer,    rule_transaction_fenced,
        rule_transaction_offsets, rule_transaction_money,     rule_transaction_compacted};
    struct model model;

    *out = (struct history_report){0};
    model_build(&model, history, out);
    for (size_t i = 0; i < model.partition_count; i++)
        for (size_t rule = 0; rule < ARRAY_COUNT(rules); rule++)
            rules[rule](&model, &model.partitions[i]);
    for (size_t rule = 0; rule < ARRAY_COUNT(group_rules); rule++)
        group_rules[rule](&model);
    model_release(&model);
}
