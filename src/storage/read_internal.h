/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/read_internal.h: a read's steps, and how one waits (read.c); the search of a batch in a segment's file
 * (read_scan.c).
 */
#ifndef STORAGE_READ_INTERNAL_H
#define STORAGE_READ_INTERNAL_H

#include "storage/shard.h"

enum step { STEP_GO_ON, STEP_WAIT, STEP_END };

struct read_wait {
    struct log_read *read;
    struct file_waiter file;
    struct index_waiter index;
    struct parked parked;
};

struct read_wait *read_wait_of(struct log_read *read);
/* Before whatever calls back: the log must stay. */
enum step read_waits(struct log_read *read);
/* From where it waited; the log may go. */
void read_goes_on(struct log_read *read);

static inline enum step read_fails(struct log_read *read, enum err err)
{
    read->err = err;
    read->size_bytes = 0;
    return STEP_END;
}

/* ---- read_scan.c ---- */

struct scan_hit {
    bool found;
    bool more;   /* the scratch is used up: read on at scan_bytes */
    bool broken; /* what the index promised is not there */
    int64_t position_bytes;
    size_t size_bytes;
    size_t wanted_bytes; /* with more: how much must be at hand */
    struct slice behind; /* found: what is at hand behind it, until the next step */
    int64_t next_offset; /* that begins there */
};

/* Drives a scan for `target` to its end. STEP_GO_ON: *hit_out is the answer (found or not). */
enum step scan_step(struct log_read *read, int64_t target, struct scan_hit *hit_out);
/* The segment's index comes into memory; the read's stage is called again then. */
enum step read_index_load(struct log_read *read);
/* Gives the memory of a scan back; there need be none. */
void scratch_drop(struct log_read *read);

#endif
