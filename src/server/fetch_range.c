/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_range.c: every batch is looked at once, where it was read; later askers get whole batches of what passed.
 * docs/design/fetch.md §4, §5.
 */
#include "server/fetch_range.h"

#include "base/assert.h"
#include "records/batch.h"

static void mark(struct fetch_range *range, size_t at)
{
    while (range->mark_count < FETCH_RANGE_MARKS &&
           (size_t)range->mark_count * range->mark_step_bytes <= at)
        range->marks[range->mark_count++] = (uint32_t)at;
}

size_t fetch_range_verify(struct slice bytes, int64_t floor, int64_t offset, int64_t limit,
                          struct fetch_range *range, struct fetch_whole *whole_out)
{
    struct slice rest = bytes, batch;
    int64_t next = offset;

    if (range) {
        range->bytes = bytes.data;
        range->size_bytes = 0;
        range->mark_count = 0;
        range->mark_step_bytes = (uint32_t)(bytes.size_bytes / FETCH_RANGE_MARKS + 1);
    }
    while (rest.size_bytes > 0) {
        size_t at = bytes.size_bytes - rest.size_bytes;
        struct batch_header header;

        if (batch_next(&rest, &batch) != OK)
            return at;
        if (batch.size_bytes == 0)
            break;
        if (!batch_is_valid(batch) || batch_header_read(batch, &header) != OK ||
            batch_last_offset(&header) < next || batch_last_offset(&header) >= limit ||
            (header.magic >= BATCH_MAGIC && header.base_offset < (at > 0 ? next : floor)))
            return at;
        next = batch_last_offset(&header) + 1;
        if (whole_out)
            *whole_out = (struct fetch_whole){at + batch.size_bytes, next};
        if (range) {
            mark(range, at);
            range->size_bytes = at + batch.size_bytes;
            range->next_offset = next;
        }
    }
    return bytes.size_bytes;
}

/* Size of the batch that begins at `at`, which is the place of one; 0: at the end. */
static size_t batch_size_at(const struct fetch_range *range, size_t at)
{
    size_t size_bytes = 0;

    if (at < range->size_bytes)
        (void)batch_peek(slice_of(range->bytes + at, range->size_bytes - at), &size_bytes);
    return MIN(size_bytes, range->size_bytes - at);
}

/* The last batch that begins at or before `at`; size_bytes: none. */
static size_t floor_of(const struct fetch_range *range, size_t at)
{
    size_t i = MIN(at / range->mark_step_bytes, (size_t)range->mark_count - 1);
    size_t from, size_bytes;

    while (range->marks[i] > at)
        i--; /* the first one is 0 */
    from = range->marks[i];
    while ((size_bytes = batch_size_at(range, from)) > 0 && from + size_bytes <= at)
        from += size_bytes;
    return from;
}

/* Where the first batch begins that reaches the bound. */
static size_t bound_of(const struct fetch_range *range, size_t from, size_t to, int64_t bound)
{
    size_t size_bytes;

    for (; from < to && (size_bytes = batch_size_at(range, from)) > 0; from += size_bytes) {
        struct batch_header header;

        if (batch_header_read(slice_of(range->bytes + from, size_bytes), &header) != OK ||
            batch_last_offset(&header) >= bound)
            break;
    }
    return MIN(from, to);
}

struct slice fetch_range_cut(const struct fetch_range *range, const struct fetch_want *want)
{
    size_t from = (size_t)(want->position_bytes - range->position_bytes);
    struct batch_header header;
    size_t to;

    if (range->incarnation != want->incarnation || want->position_bytes < range->position_bytes ||
        from >= range->size_bytes || floor_of(range, from) != from)
        return SLICE_EMPTY;
    if (batch_header_read(slice_of(range->bytes + from, batch_size_at(range, from)), &header) !=
            OK ||
        batch_last_offset(&header) < want->offset ||
        (header.magic >= BATCH_MAGIC && header.base_offset < want->floor_offset))
        return SLICE_EMPTY;
    to = want->size_bytes < range->size_bytes - from ? floor_of(range, from + want->size_bytes)
                                                     : range->size_bytes;
    if (range->next_offset > want->bound_offset)
        to = bound_of(range, from, to, want->bound_offset);
    return slice_of(range->bytes + from, to - from);
}
