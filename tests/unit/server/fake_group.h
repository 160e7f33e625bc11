/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_group.h: a coordinator that does what it is told: the body of a call is a
 * struct fake_call.
 */
#ifndef TESTS_SERVER_FAKE_GROUP_H
#define TESTS_SERVER_FAKE_GROUP_H

#include "coordinator/group.h"

#define FAKE_PARKED_MAX 16
#define FAKE_LOG_MAX 4096
#define FAKE_ASSIGNED_MAX 64

struct fake_call {
    int records;
    size_t value_bytes;
    bool parks;          /* no reply now */
    bool wakes;          /* replies to all that are parked, after the commit of its records */
    bool early;          /* its own reply does not wait */
    bool with_task;      /* the reply comes with the task's end */
    bool stable;         /* the reply waits for what was written before */
    bool divisible;      /* the write may be cut */
    bool fails;          /* ERR_NO_MEMORY */
    int64_t producer_id; /* of its transaction; 0: none */
    int16_t producer_epoch;
};
struct fake_response {
    int64_t replayed; /* at the time of the call */
};

struct group_coordinator {
    struct group_coordinator *next; /* of those that live */
    int64_t replayed, markers;
    int64_t first_offset, last_offset;
    int64_t loaded_replayed; /* records at the time of `loaded`; -1: not loaded */
    int64_t committed;
    int64_t committed_first; /* what was committed when the first record was replayed */
    int64_t last_producer_id;
    int16_t last_producer_epoch;
    int ended_ok, ended_bad, ticks, images, forgotten;
    enum err last_bad;
    uint64_t parked[FAKE_PARKED_MAX];
    size_t parked_count;
    uint64_t next_write;
    int64_t deadline_ms;
    int32_t session_max_ms;
    bool refuses_replay;
};

extern struct group_coordinator *fake_first; /* the newest */
extern int fake_live;
extern struct group_assigned_view fake_assigned[FAKE_ASSIGNED_MAX]; /* of the newest's groups */
extern size_t fake_assigned_count;
extern const struct fake_call *fake_told; /* in place of every body, unless it is NULL */
extern enum err fake_load_err;            /* of every replay, while it is not OK */

#endif
