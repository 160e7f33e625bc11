/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_monotone.c: D3: what one client was told of high watermark, last stable offset and log start, no
 * client is told less of later. The first two within an era; the log start for ever, over crashes of every kind
 * and over damage: it is durable before anybody sees it.
 */
#include "history_internal.h"

#include "base/assert.h"

enum { HIGH_WATERMARK, LAST_STABLE, LOG_START, ENDS };

/* What the end of an operation says of the three; -1: nothing. */
static void ends_read(const struct history_event *invoked, const struct history_event *ended,
                      int64_t *ends)
{
    ends[HIGH_WATERMARK] = ends[LAST_STABLE] = ends[LOG_START] = -1;
    if (ended->kind == HISTORY_FETCH) {
        ends[HIGH_WATERMARK] = ended->high_watermark;
        ends[LAST_STABLE] = ended->last_stable;
        ends[LOG_START] = ended->log_start;
    } else if (ended->kind == HISTORY_LIST_OFFSETS && invoked->timestamp_ms == -1) {
        ends[HIGH_WATERMARK] = ended->offset;
    } else if (ended->kind == HISTORY_LIST_OFFSETS && invoked->timestamp_ms == -2) {
        ends[LOG_START] = ended->offset;
    } else if (ended->kind == HISTORY_DELETE_RECORDS) {
        ends[LOG_START] = ended->log_start;
    }
}

/* The most that was told by what had ended up to here; the first two in this era. */
struct told {
    size_t ended;
    uint32_t era;
    int64_t most[ENDS];
    size_t by[ENDS]; /* events */
};

static size_t tellings_gather(struct model *model, struct partition *partition,
                              struct told *tellings)
{
    struct told running = {.most = {-1, -1, -1}};
    size_t count = 0;

    for (size_t i = 0; i < partition->ask_count; i++) { /* in order of their ends */
        const struct operation *ask = partition->asks[i];
        int64_t ends[ENDS];
        bool is_of_one_era;

        if (!ended_as(model, ask, HISTORY_OK))
            continue;
        running.ended = ask->ended;
        if (partition_era(partition, ask->ended) != running.era)
            running.most[HIGH_WATERMARK] = running.most[LAST_STABLE] = -1;
        running.era = partition_era(partition, ask->ended);
        is_of_one_era = partition_era(partition, ask->invoked) == running.era;
        ends_read(event_of(model, ask->invoked), event_of(model, ask->ended), ends);
        for (int end = 0; end < ENDS; end++) {
            if (ends[end] <= running.most[end] || (end != LOG_START && !is_of_one_era))
                continue;
            running.most[end] = ends[end];
            running.by[end] = ask->ended;
        }
        tellings[count++] = running;
    }
    return count;
}

/* The last one that ended before the event. */
static const struct told *told_before(const struct told *tellings, size_t count, size_t event)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tellings[middle].ended < event)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &tellings[low - 1] : NULL;
}

void rule_monotone(struct model *model, struct partition *partition)
{
    static const char *const names[ENDS] = {"high watermark", "last stable offset", "log start"};
    struct told *tellings = arena_zeroed(&model->arena, partition->ask_count + 1, sizeof *tellings);
    size_t count;

    ASSERT(tellings != NULL);
    count = tellings_gather(model, partition, tellings);
    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *later = partition->asks[i];
        const struct told *earlier;
        int64_t told[ENDS];

        if (!ended_as(model, later, HISTORY_OK))
            continue;
        earlier = told_before(tellings, count, later->invoked);
        if (!earlier)
            continue;
        ends_read(event_of(model, later->invoked), event_of(model, later->ended), told);
        for (int end = 0; end < ENDS; end++) {
            if (told[end] < 0 || earlier->most[end] <= told[end] ||
                (end != LOG_START && earlier->era != partition_era(partition, later->ended)))
                continue;
            violation(model, "D3", later->ended,
                      "%s-%d: the %s went back from %lld (at %zu) to %lld",
                      topic_of(model, partition), partition->number, names[end],
                      (long long)earlier->most[end], earlier->by[end], (long long)told[end]);
        }
    }
}
