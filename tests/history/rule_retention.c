/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_retention.c: D9: the log start passes a record only when somebody asked to delete it, or it is
 * older than retention.ms by the node's clock, or what stays behind it is at least retention.bytes.
 */
#include "history_internal.h"

#define DEFAULT_RETENTION_MS (7 * 86400000LL)

struct rules {
    int64_t shortest_ms;    /* INT64_MAX: for ever */
    int64_t smallest_bytes; /* INT64_MAX: without bound */
    int64_t newest_wall_ms;
};

/* The most generous reading of what was in force up to `event`. */
static struct rules rules_until(const struct model *model, const struct partition *partition,
                                size_t event)
{
    struct rules rules = {INT64_MAX, INT64_MAX, -1};
    bool is_told = false;

    for (size_t i = 0; i <= event; i++) {
        const struct history_event *at = event_of(model, i);

        rules.newest_wall_ms = MAX(rules.newest_wall_ms, at->wall_ms);
        if (at->topic != partition->topic ||
            (at->kind != HISTORY_CREATE_TOPIC && at->kind != HISTORY_CONFIGURE_TOPIC))
            continue;
        is_told = true;
        if (at->retention_ms >= 0)
            rules.shortest_ms = MIN(rules.shortest_ms, at->retention_ms);
        if (at->retention_bytes >= 0)
            rules.smallest_bytes = MIN(rules.smallest_bytes, at->retention_bytes);
    }
    if (!is_told)
        rules.shortest_ms = DEFAULT_RETENTION_MS;
    return rules;
}

static int64_t asked_until(const struct model *model, const struct partition *partition,
                           size_t event)
{
    int64_t highest = -1;

    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct history_event *asked = event_of(model, partition->asks[i]->invoked);

        if (asked->kind != HISTORY_DELETE_RECORDS || partition->asks[i]->invoked > event ||
            ended_as(model, partition->asks[i], HISTORY_FAIL))
            continue;
        highest = MAX(highest, asked->offset < 0 ? INT64_MAX : asked->offset);
    }
    return highest;
}

/* Bytes that may stand at or behind `offset`: all that was sent and not told to stand before it. */
static int64_t bytes_behind(const struct model *model, const struct partition *partition,
                            int64_t offset, size_t event)
{
    int64_t sum = 0;

    for (size_t i = 0; i < partition->produce_count; i++) {
        const struct operation *produce = partition->produces[i];

        if (produce->invoked > event || ended_as(model, produce, HISTORY_FAIL))
            continue;
        if (ended_as(model, produce, HISTORY_OK) && event_of(model, produce->ended)->offset >= 0 &&
            event_of(model, produce->ended)->offset < offset)
            continue;
        sum += event_of(model, produce->invoked)->size_bytes;
    }
    return sum;
}

/* True: the move of the log start to `start` is explained. */
static bool is_allowed(struct model *model, struct partition *partition, int64_t start,
                       size_t event, char *why, size_t why_bytes)
{
    struct rules rules;
    int64_t asked = asked_until(model, partition, event);
    int64_t newest_ms = -1, newest_offset = -1;

    if (asked >= start)
        return true;
    rules = rules_until(model, partition, event);
    if (rules.smallest_bytes != INT64_MAX &&
        bytes_behind(model, partition, start, event) >= rules.smallest_bytes)
        return true;
    for (size_t i = 0; i < partition->produce_count; i++) { /* newest record that went by itself */
        const struct operation *produce = partition->produces[i];
        int64_t offset, end;

        if (!ended_as(model, produce, HISTORY_OK) || produce->ended > event)
            continue;
        offset = event_of(model, produce->ended)->offset;
        if (offset < 0 || offset >= start || offset < asked)
            continue;
        end = offset + event_of(model, produce->invoked)->count;
        if (end > partition->damaged_from ||
            partition_volatile_takes(model, partition, produce->invoked, event, end))
            continue; /* it may have gone another way */
        /* What made it too much may have gone since, for its own age. */
        if (event_of(model, produce->invoked)->timestamp_ms > newest_ms &&
            (rules.smallest_bytes == INT64_MAX ||
             bytes_behind(model, partition, offset + 1, event) < rules.smallest_bytes)) {
            newest_ms = event_of(model, produce->invoked)->timestamp_ms;
            newest_offset = offset;
        }
    }
    if (newest_offset < 0)
        return true; /* nothing known was removed */
    if (rules.shortest_ms != INT64_MAX && newest_ms + rules.shortest_ms <= rules.newest_wall_ms)
        return true;
    snprintf(why, why_bytes, "offset %lld of %lld ms, at most %lld ms later",
             (long long)newest_offset, (long long)newest_ms,
             (long long)(rules.newest_wall_ms - newest_ms));
    return false;
}

void rule_retention(struct model *model, struct partition *partition)
{
    int64_t known = 0;

    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *ask = partition->asks[i];
        int64_t start;
        char why[128];

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        start = event_of(model, ask->ended)->log_start;
        if (start < 0 && event_of(model, ask->invoked)->kind == HISTORY_LIST_OFFSETS &&
            event_of(model, ask->invoked)->timestamp_ms == -2)
            start = event_of(model, ask->ended)->offset;
        if (start <= known)
            continue;
        known = start;
        if (!is_allowed(model, partition, start, ask->ended, why, sizeof why))
            violation(model, "D9", ask->ended, "%s-%d: the log start moved to %lld: %s",
                      topic_of(model, partition), partition->number, (long long)start, why);
    }
}
