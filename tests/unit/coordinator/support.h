/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group coordinator with the smallest shell that keeps the contract of coordinator.h: a log in
 * memory, replay at the append, replies after the commit, time that the test moves.
 */
#ifndef TESTS_COORDINATOR_SUPPORT_H
#define TESTS_COORDINATOR_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "coordinator/group_internal.h"

struct logged {
    struct coordinator_record record;
    int64_t producer_id;
    bool is_marker, is_commit;
};

struct outcome {
    uint64_t token;
    void *response; /* NULL: failed with err */
    enum err err;
};

/* A write that is appended and not committed, or a read that waits. */
struct parked {
    uint64_t write; /* 0: a read */
    int64_t end_offset;
    struct coordinator_reply replies[64];
    size_t reply_count;
};

struct fixture {
    struct allocator *allocator;
    struct group_coordinator *coordinator;
    struct group_options options;
    struct logger logger;
    char log_text[16384]; /* events of level info and above */
    size_t log_bytes;
    struct random random;
    struct metadata_state *metadata;
    struct metadata_image *image;
    struct coordinator_moment moment;
    struct arena arena;          /* everything until the end of the test */
    struct arena *effects_arena; /* the same, unless the test sets another */
    struct logged *log;
    size_t log_count, log_capacity;
    struct outcome *outcomes;
    size_t outcome_count, outcome_capacity;
    struct parked *parked;
    size_t parked_count, parked_capacity;
    struct coordinator_task *tasks[16];
    size_t task_count;
    uint64_t token;
    bool hold_commits; /* nothing is committed until fixture_commit */
    bool hold_ticks;   /* what is due waits */
    enum err refuse;   /* of the next write */
    enum err failure;  /* of a call: out of memory */
    size_t records_of_call;
};

void fixture_start(struct fixture *fixture);
/* Options are those in fixture->options; a new one replays the log. */
void fixture_load(struct fixture *fixture);
void fixture_end(struct fixture *fixture);

uint64_t fixture_send(struct fixture *fixture, int16_t api_key, int16_t version, const void *body);
/* The reply, or NULL while there is none. */
void *fixture_reply(struct fixture *fixture, uint64_t token);
/* OK while there is a reply or none. */
enum err fixture_failure(struct fixture *fixture, uint64_t token);
void fixture_commit(struct fixture *fixture);
/* Runs what the coordinator handed out and gives it back. */
void fixture_tasks_run(struct fixture *fixture);
/* The oldest write ends with an error: refused is for `refuse`, this is for time out. */
void fixture_time_out(struct fixture *fixture);
void fixture_advance(struct fixture *fixture, int64_t ms);
/* All that is due now. */
void fixture_tick(struct fixture *fixture);
void fixture_append(struct fixture *fixture, struct slice key, struct slice value,
                    int64_t producer_id);
void fixture_marker(struct fixture *fixture, int64_t producer_id, bool is_commit);
/* Topics of the image; ids are made from the number. */
struct uuid topic_id_of(uint8_t number);
void fixture_topic_create(struct fixture *fixture, const char *name, uint8_t number);
void fixture_topic_delete(struct fixture *fixture, uint8_t number);

/* Replicated state as text; what is not Stable or Empty only by name. */
char *fixture_dump(struct fixture *fixture, const struct group_coordinator *coordinator);
/* Replays the log into another coordinator and compares. */
void fixture_check_replay(struct fixture *fixture);

/* ---- requests ---- */

struct join {
    const char *group, *member, *instance, *type, *protocol, *metadata, *reason, *client;
    int16_t version;
    int32_t session_ms, rebalance_ms;
    const char *second_protocol;
    const char *const *topics; /* of an embedded subscription, instead of metadata */
    const char *owned;         /* "t2:0,1;t4:3": what it says that it has; NULL: a client of old */
    int32_t owned_generation;  /* the last one that it heard of */
};
uint64_t send_join(struct fixture *fixture, struct join join);
struct join_group_response *joined(struct fixture *fixture, uint64_t token);
/* The member id that MEMBER_ID_REQUIRED gave. */
const char *ask_member_id(struct fixture *fixture, struct join join);
/* Takes an id and joins with it. The id lives in the fixture. */
uint64_t enter(struct fixture *fixture, struct join join, const char **member_id_out);

struct sync {
    const char *group, *member, *instance, *type, *protocol;
    int32_t generation;
    size_t count;
    const char *members[8];
    const char *assignments[8];
};
uint64_t send_sync(struct fixture *fixture, struct sync sync);
struct sync_group_response *synced(struct fixture *fixture, uint64_t token);
int16_t heartbeat(struct fixture *fixture, const char *group, const char *member,
                  int32_t generation);
int16_t heartbeat_static(struct fixture *fixture, const char *group, const char *member,
                         const char *instance, int32_t generation);
/* The code of the member. */
int16_t leave(struct fixture *fixture, const char *group, const char *member, const char *instance);

struct commit {
    const char *group, *member, *instance, *topic, *metadata;
    int16_t version;
    int32_t generation; /* 0 means -1 unless member is given */
    int32_t partition;
    int64_t offset, retention_ms;
    struct uuid topic_id;
};
uint64_t send_commit(struct fixture *fixture, struct commit commit);
/* Of the one partition; -2: no reply yet. */
int16_t commit_code(struct fixture *fixture, uint64_t token);
int16_t commit(struct fixture *fixture, struct commit commit);
/* -1: none; below: minus the error code, minus 1000. */
int64_t fetch(struct fixture *fixture, const char *group, const char *topic, int32_t partition);
int64_t fetch_stable(struct fixture *fixture, const char *group, const char *topic,
                     int32_t partition);
struct offset_fetch_response_offset_fetch_response_group *
fetch_group(struct fixture *fixture, const struct group_offset_fetch *request, int16_t version);
const char *state_of_group(struct fixture *fixture, const char *group);
int16_t delete_group(struct fixture *fixture, const char *group);
int16_t delete_offset(struct fixture *fixture, const char *group, const char *topic,
                      int32_t partition, int16_t *top_out);

struct slice text(const char *text);
/* An embedded subscription; of version 0 without `owned`. */
struct slice subscription_of(struct fixture *fixture, const struct join *join);
/* An embedded assignment: "t2:0,1;t4:3"; "": nothing. */
struct slice assignment_of(struct fixture *fixture, const char *partitions);
/* Stable group "g" of one member; gives its id. */
const char *stable_one(struct fixture *fixture, const char *group);

#define assert_code(code, expected) assert_int_equal((code), err_wire_code(expected))

#endif
