/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record_run.h: what a leader must know of many records at once. Private to records.
 *
 * A run says yes or nothing: it takes records whose every field it has seen and found as the walkers
 * (record.h, record_stream.h) want them, and stops in front of the first one that looks otherwise. What
 * is wrong with that one, and which error it is, they alone decide.
 */
#ifndef RECORDS_RECORD_RUN_H
#define RECORDS_RECORD_RUN_H

#include "records/record.h"

/* Beyond this no number of a record is read here: lengths of a megabyte, offset deltas of a million. */
#define RECORD_RUN_DELTA_MAX ((int32_t)1 << 20)

struct record_run {
    const uint8_t *from;         /* where it began */
    int32_t count;               /* records taken */
    int32_t timestamp_delta_min; /* of these; within ±RECORD_RUN_DELTA_MAX */
    int32_t timestamp_delta_max;
    bool is_dense;    /* offset deltas are first_index, first_index + 1… */
    bool has_keyless; /* one has no key */
};

/* Takes at most count_max (≥ 0) records from `at`, bodies of at most body_bytes_max (8 bytes fewer, to be
 * sure). Reads nothing from `end` on. Returns where the next record begins. */
const uint8_t *record_run_take(const uint8_t *at, const uint8_t *end, int32_t count_max,
                               int32_t first_index, int32_t body_bytes_max, struct record_run *out);

/* The same within a walk; never takes the last record, behind which record_walk_next looks for more bytes. The
 * other goes back to where the run began. */
void record_walk_run(struct record_walk *walk, int32_t first_index, int32_t body_bytes_max,
                     struct record_run *out);
void record_walk_rewind(struct record_walk *walk, const struct record_run *run);

#endif
