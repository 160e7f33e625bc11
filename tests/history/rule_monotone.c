/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_monotone.c: D3: what one client was told of high watermark, last stable offset and log start, no
 * client is told less of later. The log start alone may be as old as its checkpoint after a crash, as with Apache.
 */
#include "history_internal.h"

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

void rule_monotone(struct model *model, struct partition *partition)
{
    static const char *const names[ENDS] = {"high watermark", "last stable offset", "log start"};

    for (size_t i = 0; i < partition->ask_count; i++) {
        const struct operation *later = partition->asks[i];
        int64_t told[ENDS];

        if (!ended_as(model, later, HISTORY_OK))
            continue;
        ends_read(event_of(model, later->invoked), event_of(model, later->ended), told);
        /* Backwards from the last one that ended before this one began: asks stand by their ends. The nearest
         * one suffices: it was held against those before it. */
        for (size_t k = i, compared = 0; k > 0 && compared < 4; k--) {
            const struct operation *earlier = partition->asks[k - 1];
            int64_t before[ENDS];

            if (!ended_as(model, earlier, HISTORY_OK) || earlier->ended > later->invoked)
                continue;
            if (partition_era(partition, earlier->invoked) !=
                partition_era(partition, later->ended))
                break;
            compared++;
            ends_read(event_of(model, earlier->invoked), event_of(model, earlier->ended), before);
            for (int end = 0; end < ENDS; end++)
                if (told[end] >= 0 && before[end] > told[end] &&
                    (end != LOG_START ||
                     !model_crash_between(model, earlier->invoked, later->ended)))
                    violation(model, "D3", later->ended,
                              "%s-%d: the %s went back from %lld (at %zu) to %lld",
                              topic_of(model, partition), partition->number, names[end],
                              (long long)before[end], earlier->ended, (long long)told[end]);
        }
    }
}
