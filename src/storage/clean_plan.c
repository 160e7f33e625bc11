/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_plan.c: which part of a log is dirty, which may be cleaned, and whether that is due (§6.1 of the
 * reference).
 *
 *   start … first dirty … first uncleanable … active
 *     clean        cleanable
 *
 * Invariants  1. first uncleanable ≤ last stable offset ≤ high watermark, and it is the base of a segment: every
 *                transaction below it is decided.
 *             2. a segment below it is sealed and durable.
 * Threads     the store's.
 */
#include "storage/cleaner.h"

static int64_t segment_age_of(const struct segment *segment, int64_t now_ms)
{
    int64_t largest = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->modified_ms;

    return now_ms - largest;
}

/* No flush will touch it any more, and a crash leaves it as it is. Its index files may be behind: the cleaned
 * segment gets its own. */
static bool segment_is_settled(const struct log *log, const struct segment *segment,
                               int64_t next_base)
{
    return segment->full_synced || (next_base <= log->recovery_point && segment->entry_synced &&
                                    segment->flushed_bytes == segment->size_bytes);
}

/* Index of the first segment that may not be cleaned. */
static size_t uncleanable_at(struct log *log, size_t dirty_at, int64_t now_ms)
{
    int64_t stable = log_last_stable_offset(log);
    int64_t lag_ms = log->config.min_compaction_lag_ms;
    size_t last = log->segment_count - 1;

    for (size_t i = 0; i < last; i++) {
        const struct segment *segment = log->segments[i];
        int64_t next_base = log->segments[i + 1]->base_offset;

        if (next_base > stable)
            return i;
        if (i >= dirty_at && lag_ms > 0 && segment_age_of(segment, now_ms) < lag_ms)
            return i;
        if (!segment_is_settled(log, segment, next_base)) {
            if (log->full_flush_to < next_base)
                log_flush_full(log, next_base); /* at a later look it is ready */
            return i;
        }
    }
    return last;
}

static int64_t delay_of(const struct log *log, size_t dirty_at, int64_t now_ms)
{
    int64_t earliest = INT64_MAX;
    int64_t until;

    for (size_t i = dirty_at; i + 1 < log->segment_count; i++)
        if (log->segments[i]->first_timestamp > 0)
            earliest = MIN(earliest, log->segments[i]->first_timestamp);
    if (__builtin_sub_overflow(now_ms, log->config.max_compaction_lag_ms, &until))
        return 0;
    return earliest < until ? until - earliest : 0;
}

static bool facts_are_known(const struct log *log, size_t dirty_at)
{
    if (log->config.min_compaction_lag_ms > 0 && !log_timestamps_known(log))
        return false;
    for (size_t i = dirty_at;
         log->config.max_compaction_lag_ms != INT64_MAX && i + 1 < log->segment_count; i++)
        if (!log->segments[i]->first_timestamp_known && log->segments[i]->size_bytes > 0)
            return false;
    return true;
}

void clean_facts_of(struct log *log, struct clean_facts *out)
{
    int64_t now_ms = reactor_wall_ms(log->store->reactor);
    size_t dirty_at;
    size_t end_at;

    *out = (struct clean_facts){.first_dirty = log->clean_offset};
    ASSERT(log->clean_offset <= log->end_queued); /* truncations lower it first */
    if (log->clean_offset < log->start_offset)
        out->first_dirty = log->start_offset;
    dirty_at = log_segment_floor(log, out->first_dirty);
    ASSERT(dirty_at != SIZE_MAX); /* the start is never below the first segment */
    if (!facts_are_known(log, dirty_at)) {
        out->needs_facts = log->segment_count > 1;
        return;
    }
    end_at = uncleanable_at(log, dirty_at, now_ms);
    out->end_offset = log->segments[end_at]->base_offset;
    for (size_t i = 0; i < end_at; i++) {
        if (log->segments[i]->base_offset < out->first_dirty)
            out->clean_bytes += log->segments[i]->size_bytes;
        if (i >= dirty_at)
            out->cleanable_bytes += log->segments[i]->size_bytes;
    }
    if (out->cleanable_bytes == 0)
        return;
    out->ratio = (double)out->cleanable_bytes / (double)(out->clean_bytes + out->cleanable_bytes);
    if (log->config.max_compaction_lag_ms != INT64_MAX)
        out->delay_ms = delay_of(log, dirty_at, now_ms);
    out->is_due = out->ratio > log->config.min_cleanable_dirty_ratio || out->delay_ms > 0;
}

/* No more entries than this; the files are not asked. */
static int64_t index_entries_of(const struct clean_item *item, const struct log_config *config)
{
    return item->size_bytes / MAX(config->index_interval_bytes, BATCH_HEADER_BYTES) + 1;
}

size_t clean_group_end(const struct clean_pass *pass, const struct log_config *config, size_t from)
{
    int64_t entries_max = config->segment_index_bytes / TIME_INDEX_ENTRY_BYTES;
    int64_t bytes = pass->items[from].size_bytes;
    int64_t entries = index_entries_of(&pass->items[from], config);
    size_t to = from + 1;

    for (; to < pass->item_count && pass->items[to].base_offset < pass->end_offset; to++) {
        const struct clean_item *item = &pass->items[to];

        bytes += item->size_bytes;
        entries += index_entries_of(item, config);
        if (bytes > config->segment_bytes || entries > entries_max ||
            item->next_base - 1 - pass->items[from].base_offset > RELATIVE_OFFSET_MAX)
            break;
    }
    return to;
}
