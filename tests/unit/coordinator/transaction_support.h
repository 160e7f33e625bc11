/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction coordinator with the smallest shell that keeps the contract of coordinator.h: a log in
 * memory, admission, replay at the append, commits that the test may hold back, markers whose outcomes
 * the test gives, time that the test moves.
 */
#ifndef TESTS_COORDINATOR_TRANSACTION_SUPPORT_H
#define TESTS_COORDINATOR_TRANSACTION_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "coordinator/transaction_internal.h"

struct outcome {
    uint64_t token;
    void *response; /* NULL: failed with err */
    enum err err;
};

/* A write that is appended and not committed, or an answer that waits for the log. */
struct parked {
    uint64_t write; /* 0: an answer only */
    int64_t end_offset;
    bool is_over; /* it has timed out; the records stay */
    struct coordinator_reply replies[8];
    size_t reply_count;
};

/* A marker that was given out; its outcome is to come. */
struct given {
    struct coordinator_markers markers;
    size_t index; /* of the partition */
    bool is_answered;
};

struct fixture {
    struct allocator *allocator;
    struct transaction_coordinator *coordinator;
    struct transaction_options options;
    int32_t coordinator_epoch;
    struct logger logger;
    char log_text[32768];
    size_t log_bytes;
    struct random random;
    struct metadata_state *metadata;
    struct metadata_image *image;
    struct coordinator_moment moment;
    struct arena arena; /* everything until the end of the test */
    struct arena *effects_arena;
    struct coordinator_record *log;
    size_t log_count, log_capacity;
    int64_t committed_end;
    struct outcome *outcomes;
    size_t outcome_count, outcome_capacity;
    struct parked *parked;
    size_t parked_count, parked_capacity;
    struct given *given;
    size_t given_count, given_capacity;
    uint64_t token;
    int64_t next_producer_id;
    enum err producer_id_err; /* OK: there are some */
    bool hold_commits;        /* nothing is committed until fixture_commit */
    bool hold_ticks;          /* what is due waits */
    bool mark_at_once;        /* every marker succeeds as soon as it is given out */
    enum err refuse;          /* of the next write */
    uint32_t refuse_percent;
    enum err failure; /* of a call: out of memory */
    void (*on_markers)(struct fixture *fixture, const struct coordinator_markers *markers);
    void (*on_answer)(struct fixture *fixture, const struct outcome *outcome);
    void (*on_commit)(struct fixture *fixture, int64_t offset);
    void *context;
};

/* transaction.version 2, topics "t" (4 partitions) and "u" (2), ids from 1000 on. */
void fixture_start(struct fixture *fixture);
/* A new coordinator, one epoch on, replays the log. */
void fixture_load(struct fixture *fixture);
void fixture_end(struct fixture *fixture);

uint64_t fixture_send(struct fixture *fixture, int16_t api_key, int16_t version, const void *body);
/* The reply, or NULL while there is none. */
void *fixture_reply(struct fixture *fixture, uint64_t token);
bool fixture_is_answered(struct fixture *fixture, uint64_t token);
/* Of a request whose write failed. */
enum err fixture_failure(struct fixture *fixture, uint64_t token);
void fixture_commit(struct fixture *fixture);     /* everything */
void fixture_commit_one(struct fixture *fixture); /* the oldest write */
void fixture_time_out(struct fixture *fixture);   /* the oldest write that has not */
void fixture_advance(struct fixture *fixture, int64_t ms);
void fixture_tick(struct fixture *fixture); /* all that is due now */
/* The whole log, into any coordinator. */
enum err fixture_replay(struct fixture *fixture, struct transaction_coordinator *coordinator);
void fixture_append(struct fixture *fixture, struct slice key, struct slice value);

/* How many markers wait for their outcome. */
size_t fixture_markers(struct fixture *fixture);
/* The oldest one for this partition. */
void fixture_mark(struct fixture *fixture, const char *topic, int32_t index, enum err err);
void fixture_mark_given(struct fixture *fixture, struct given *given, enum err err);
void fixture_mark_all(struct fixture *fixture, enum err err);
/* "commit pid=1000 epoch=1 coordinator=1 version=2 t-0 t-1", of the last markers given out. */
const char *fixture_markers_text(struct fixture *fixture);

void fixture_level(struct fixture *fixture, int16_t level);
void fixture_topic_create(struct fixture *fixture, const char *name, uint8_t number,
                          int32_t partitions);
void fixture_topic_delete(struct fixture *fixture, uint8_t number);

/* What was written last of each id, without what is soft, by id. has_all: values of version 1 only. */
char *fixture_dump(struct fixture *fixture, const struct transaction_coordinator *coordinator,
                   bool has_all);
/* Replays the log into another coordinator and compares. */
void fixture_check_replay(struct fixture *fixture, bool has_all);

/* ---- requests ---- */

struct identity {
    int64_t id;
    int16_t epoch;
};
struct init {
    const char *id; /* NULL: "x" */
    bool expects;
    struct identity expected;
    int32_t timeout_ms; /* 0: a minute; -1: 0 */
    bool two_phase, keeps;
};
uint64_t send_init(struct fixture *fixture, struct init init);
/* The error code; -2: no answer yet; -3: the write failed. */
int16_t init_code(struct fixture *fixture, uint64_t token, struct identity *out);
int16_t init(struct fixture *fixture, struct init init, struct identity *out);
/* Must succeed. */
struct identity init_ok(struct fixture *fixture, const char *id);

struct add {
    const char *id; /* NULL: "x" */
    struct identity producer;
    const char *topic; /* NULL: "t" */
    int32_t partition;
    int8_t version; /* of the protocol: 0 or 2 */
    bool verify;
};
uint64_t send_add(struct fixture *fixture, struct add add);
int16_t add_code(struct fixture *fixture, uint64_t token);
int16_t add(struct fixture *fixture, struct add add);

struct end {
    const char *id; /* NULL: "x" */
    struct identity producer;
    bool commit;
    int8_t version; /* of the protocol */
};
uint64_t send_end(struct fixture *fixture, struct end end);
int16_t end_code(struct fixture *fixture, uint64_t token, struct identity *out);
int16_t end_transaction(struct fixture *fixture, struct end end, struct identity *out);

/* "Ongoing 1000/0 t-0 t-1"; "TRANSACTIONAL_ID_NOT_FOUND". */
const char *describe(struct fixture *fixture, const char *id);
/* "a Ongoing 1000, b Empty 1001" by name. */
const char *list(struct fixture *fixture, const struct list_transactions_request *request,
                 bool (*matches)(void *context, struct slice id));

struct slice text(const char *text);

#define assert_code(code, expected) assert_int_equal((code), err_wire_code(expected))
static inline void assert_identity(struct identity got, int64_t id, int16_t epoch)
{
    assert_int_equal(got.id, id);
    assert_int_equal(got.epoch, epoch);
}
/* A log value of "x", behind which a new coordinator is loaded; what the test does not set is Empty. */
struct transaction_log_value log_value(int16_t epoch);
void fixture_log(struct fixture *fixture, const char *id, int16_t version,
                 const struct transaction_log_value *value);

/* Setup and teardown of a test; the log is replayed into another coordinator and compared. */
int fixture_setup(void **state); /* markers succeed at once */
int fixture_teardown(void **state);
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
