/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/bench.h: one core on a bench: events go in by hand, effects come out as lines of
 * text, and the disk obeys at once unless a test holds it.
 */
#ifndef TESTS_RAFT_BENCH_H
#define TESTS_RAFT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/fmt.h"
#include "raft/raft.h"

#define BENCH_VOTERS_MAX 8

struct bench {
    struct raft *raft;
    struct raft_options options;
    struct arena arena;
    int64_t now_ms;
    uint64_t random;
    bool hold_persist, hold_flush; /* the test gives the completions itself */
    struct text text;
    char buffer[32768];
    enum err err;
    int64_t submit_base_offset;
    uint64_t last_number; /* of the last SEND */
    uint64_t last_token;
    struct raft_reply last_reply; /* valid until the next event */
    uint64_t era;
    struct raft_voter voters[BENCH_VOTERS_MAX];
    struct raft_endpoint endpoints[BENCH_VOTERS_MAX];
    struct allocator *allocator; /* the heap, unless changed before bench_start */
    jmp_buf *no_memory;          /* where ERR_NO_MEMORY leads; NULL: the test looks at err */
    int64_t steps;               /* so far */
    int64_t squeezed_step;       /* this step finds only so much scratch memory; -1: none */
    size_t squeezed_bytes;
    size_t *scratch_log; /* the scratch memory in use at the end of each step; NULL: not noted */
    size_t scratch_log_capacity;
};

/* The directory id of a node in all tests: 16 bytes of its number. */
struct uuid bench_directory(int id);
struct raft_replica_key bench_key(int id);
/* Voters with these ids (ends with 0); directories unknown when `fixed` (static voters). */
struct raft_voters bench_voters(struct bench *bench, int fixed, ...);
/* Node `self`; the options may be edited before bench_start. */
void bench_init(struct bench *bench, int self);
/* Creates the core and feeds START. */
void bench_start(struct bench *bench, const struct raft_start *start);
/* START of a formatted, empty node of a static quorum 1..voter_count. */
void bench_start_static(struct bench *bench, int voter_count);
/* START of a node with the bootstrap snapshot of a dynamic quorum 1..voter_count. */
void bench_start_dynamic(struct bench *bench, int voter_count);
void bench_release(struct bench *bench);

/* Feeds the event, then whatever completions it asks for; returns the lines since the last call. */
const char *bench_feed(struct bench *bench, struct raft_event event);
const char *bench_pass(struct bench *bench, int64_t ms); /* time, then TIMEOUT if due */
/* Goes from deadline to deadline until the role is this; returns the lines of the last step. */
const char *bench_wait(struct bench *bench, const char *role);
const char *bench_request(struct bench *bench, struct raft_request request);
/* As it is, with the partition fields and the cluster id that it has. */
const char *bench_request_raw(struct bench *bench, struct raft_request request);
const char *bench_reply(struct bench *bench, struct raft_reply reply); /* to the last SEND */
const char *bench_reply_to(struct bench *bench, uint64_t number, struct raft_reply reply);
const char *bench_send_failed(struct bench *bench, bool unsupported_version); /* the last SEND */
const char *bench_submit(struct bench *bench, int32_t record_count);
/* Takes the node from START to leader of a quorum whose other voters all say yes. */
void bench_lead(struct bench *bench);
/* Makes the node a follower of `leader` in `epoch`. */
void bench_follow(struct bench *bench, int leader, int32_t epoch);

struct raft_request bench_vote(int from, int32_t epoch, int64_t end, int32_t end_epoch, bool pre);
struct raft_request bench_fetch(int from, int32_t epoch, int64_t offset, int32_t last_epoch);
struct raft_reply bench_ok(enum raft_api api, int leader, int32_t epoch);

/* The role in words: "Leader 3" (role and epoch). */
const char *bench_role(struct bench *bench);

/* What is logged changes nothing: every test runs with all lines, with none, and without a logger. */
enum bench_logging { BENCH_LOGS_ALL, BENCH_LOGS_NONE, BENCH_NO_LOGGER, BENCH_LOGGING_COUNT };
extern enum bench_logging bench_logging;
#define BENCH_RUN(tests)                                                               \
    int failed = 0;                                                                    \
    for (int i = 0; i < BENCH_LOGGING_COUNT; i++) {                                    \
        bench_logging = (enum bench_logging)i;                                         \
        failed += cmocka_run_group_tests_name("logging " #tests, (tests), NULL, NULL); \
    }                                                                                  \
    return failed

#endif
