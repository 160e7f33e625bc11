/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_range.h: bytes that were read from a segment's file and looked at, batch by batch, and what may be sent
 * of them to whoever asks for a place in the midst of them. Pure. docs/design/fetch.md §4, §5.
 */
#ifndef SERVER_FETCH_RANGE_H
#define SERVER_FETCH_RANGE_H

#include "base/slice.h"

/* Places of batches that are remembered; between two of them headers are walked. */
#define FETCH_RANGE_MARKS 64

struct fetch_range {
    uint64_t incarnation; /* of the segment's bytes (storage.h, log_read) */
    int64_t position_bytes;
    const uint8_t *bytes;
    size_t size_bytes;   /* whole batches that passed */
    int64_t next_offset; /* behind the last of them */
    uint32_t mark_step_bytes;
    uint32_t mark_count;
    uint32_t marks[FETCH_RANGE_MARKS]; /* i: the first batch that begins at i steps or behind */
};

/* What a plan asks for (storage.h, log_read). */
struct fetch_want {
    uint64_t incarnation;
    int64_t position_bytes;
    size_t size_bytes;
    int64_t floor_offset; /* the first batch begins here or above */
    int64_t offset;       /* and reaches this one */
    int64_t bound_offset; /* exclusive */
};

/* What was found whole of some bytes. */
struct fetch_whole {
    size_t size_bytes;
    int64_t next_offset; /* behind it */
};

/* Bytes up to the first batch whose checksum, frame or place is wrong; what follows the last whole batch counts as
 * good: readers pass it over. A disk that rots must not reach a client or a replica as if it were data. The
 * checksum does not cover the base offset, so that must rise, from `floor` on, reach the offset that was asked for,
 * and stay below `limit`. range (may be NULL): what is known of the whole batches; its place is the caller's.
 * *whole_out (may be NULL) stays as it is where no batch is whole. */
size_t fetch_range_verify(struct slice bytes, int64_t floor, int64_t offset, int64_t limit,
                          struct fetch_range *range, struct fetch_whole *whole_out);
/* Whole batches from the wanted position on, as many as are there, wanted, and below the bound. Empty: none, or no batch
 * begins there. */
struct slice fetch_range_cut(const struct fetch_range *range, const struct fetch_want *want);

#endif
