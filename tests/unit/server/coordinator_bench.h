/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/coordinator_bench.h: the shell of the coordinators with a core that does what a test tells it
 * (fake_group.h), and calls from the owner's shard and from another.
 */
#ifndef TESTS_SERVER_COORDINATOR_BENCH_H
#define TESTS_SERVER_COORDINATOR_BENCH_H

#include "data_support.h"

#include "fake_group.h"
#include "server/coordinator.h"
#include "server/coordinator_internal.h"

#define TOPIC_ID 8
#define PARTITIONS 2

struct asked {
    struct rig_request request;
    struct coordinator_call call;
    struct fake_call body;
    bool is_answered;
    int releases;
    int64_t replayed;
};

struct fixture {
    struct rig rig;
    struct asked asked[64];
    size_t asked_count;
    bool is_stopped;
};

extern struct fixture fixture;

/* Services without their topic. */
void open_with(size_t shards, const char *properties, const struct coordinator_kind *kind);
/* Both partitions are led here, and loaded. */
void open_led(size_t shards, const char *properties);
void open_led_by(size_t shards, const char *properties, const struct coordinator_kind *kind);
void publish(void);
void stop(void);
int teardown(void **state); /* every call was answered */

void answered(struct coordinator_call *call); /* .done of a call in an `asked` */
struct asked *ask_as(int home, int32_t index, struct fake_call body, bool rests);
struct asked *ask(int home, int32_t index, struct fake_call body);
struct asked *ask_and_wait(int home, int32_t index, struct fake_call body);
#define ASK(...) ask_and_wait(0, 0, (struct fake_call){__VA_ARGS__})
void expect(const struct asked *asked, enum err err);

/* The coordinator of partition 0: the one that has replayed something, or the first made. */
struct group_coordinator *core(void);

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

#endif
