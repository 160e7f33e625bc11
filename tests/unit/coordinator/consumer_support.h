/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups over the fixture of support.h: topics with partitions, heartbeats, state as text. */
#ifndef TESTS_COORDINATOR_CONSUMER_SUPPORT_H
#define TESTS_COORDINATOR_CONSUMER_SUPPORT_H

#include "coordinator/group/consumer_internal.h"
#include "support.h"

/* The fixture with group.version 1, no assignment interval unless asked for, and topics: "t1" of one partition, "t2"
 * of two, … "t6" of six, ids topic_id_of(1) …; "foo-a" (7) and "foo-b" (8) of one. */
void consumer_start(struct fixture *fixture);
/* For cmocka: `*state` is the fixture. Every test ends with: what the log says is what we have. */
int consumer_setup(void **state);
int consumer_teardown(void **state);
void topic_make(struct fixture *fixture, const char *name, uint8_t number, int32_t partitions);
void topic_grow(struct fixture *fixture, uint8_t number, int32_t from, int32_t to);
void group_config(struct fixture *fixture, const char *group, const char *key, const char *value);
void group_version(struct fixture *fixture, int16_t level);
/* The image that the state of now gives, told to the coordinator. */
void image_publish(struct fixture *fixture);

struct beat {
    const char *group; /* NULL: "g" */
    const char *member, *instance, *rack, *regex, *assignor;
    const char *topics;          /* "a,b"; NULL: unchanged; "": none */
    const char *owned;           /* "2:0,1;3:0" topics by number; NULL: unchanged; "": none */
    int32_t epoch, rebalance_ms; /* 0: unchanged, but 60000 for epoch 0; -1: absent even then */
    int16_t version;             /* 0: 1; -1: 0 */
};
struct consumer_group_heartbeat_response *beat(struct fixture *fixture, struct beat beat);
/* The reply is still on its way. */
uint64_t beat_send(struct fixture *fixture, struct beat beat);
/* "2:0,1;3:0"; "-": none given. */
const char *given(struct fixture *fixture,
                  const struct consumer_group_heartbeat_response *response);
/* Error name, or "member epoch assignment" without the member: "2 t2:0,1" as "2 2:0,1". */
const char *told(struct fixture *fixture, const struct consumer_group_heartbeat_response *response);
#define assert_told(fixture, the_beat, expected) \
    assert_string_equal(told((fixture), beat((fixture), (struct beat)the_beat)), (expected))

#define BEAT(expected, ...) \
    assert_string_equal(told(f, beat(f, (struct beat){__VA_ARGS__})), expected)

/* What a member owns as beat.owned takes it: eight partitions a topic, topics from 1 on. */
const char *owned_text(struct fixture *fixture, const bool *owns, int topics);

struct consumer_group *the_group(struct fixture *fixture, const char *group);
/* "Stable 3/3" and a line for each member in order of ids: id epoch/previous state assigned | revoking | target. */
const char *group_text(struct fixture *fixture, const char *group);
/* All consumer groups, for comparison. */
char *consumer_dump(struct fixture *fixture, const struct group_coordinator *coordinator);
/* Replays the log into a second coordinator and compares; then no partition has two holders. */
void consumer_check(struct fixture *fixture);
/* Types of the records of the last call: "8 7 5 3". A tombstone has a minus. */
const char *records_text(struct fixture *fixture);

#endif
