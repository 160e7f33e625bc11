/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/storage/failing_calls.h: the scenes of failing_calls_test.c: what is there before the fault, what is
 * done while calls or allocations fail, and what must be there afterwards. Nothing in `act` may ask for success.
 */
#ifndef TESTS_STORAGE_FAILING_CALLS_H
#define TESTS_STORAGE_FAILING_CALLS_H

#include "support.h"

#define PLAY_LOGS 6

struct play_log {
    const char *topic;
    size_t directory;
    int64_t kept; /* what is below it may not be lost */
    bool is_gone; /* was to be deleted or renamed: need not be there */
    bool is_damaged;
    bool recovers_all;
};

struct play {
    struct bench bench;
    int fault;
    struct log *logs[PLAY_LOGS]; /* as opened; NULL: not open */
    struct play_log expected[PLAY_LOGS];
    size_t log_count;
};

struct scene {
    const char *name;
    void (*prepare)(struct play *play);
    void (*act)(struct play *play);
};
extern const struct scene scenes[]; /* the last without a name */

/* A start in which everything must succeed. */
void play_restart(struct play *play);
/* Opens every log and reads all of it. */
void play_verify(struct play *play);

#endif
