/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller with its brokers, driven without a quorum: what it writes is encoded, decoded again and
 * replayed by the controller and by a loader beside it; after every step both must have the same hash,
 * and so must a state made from a snapshot of it.
 */
#ifndef TESTS_UNIT_CONTROLLER_SUPPORT_H
#define TESTS_UNIT_CONTROLLER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "controller/controller.h"
#include "protocol/generated/messages.h"

#define BROKERS_MAX 16

struct fixture {
    struct arena arena;
    struct random random;
    struct controller *controller;
    struct metadata_state *loader; /* replays what the log holds */
    struct controller_moment moment;
    int64_t epochs[BROKERS_MAX];
    struct controller_result result; /* of the last call */
    enum err err;                    /* of the last call */
    int16_t api_version;             /* 0: the latest */
    bool from_this_process;
    struct controller_quota *quota;
    size_t records_written;
    bool check_snapshots;
    bool refuses_writes; /* what is decided never comes into the log */
};

/* A claimed controller of a cluster at the given level without brokers. */
void fixture_start(struct fixture *fixture, int16_t metadata_version);
void fixture_start_with(struct fixture *fixture, int16_t metadata_version,
                        const struct controller_options *options);
void fixture_end(struct fixture *fixture);
/* Options that fixture_start uses. */
struct controller_options fixture_options(void);

/* Runs a request and, when it succeeds, writes its records. Gives the response, NULL on failure. */
const void *fixture_call(struct fixture *fixture, int16_t api_key, const void *body);
void fixture_tick(struct fixture *fixture);
/* Ticks until the clock has moved on by so much. */
void fixture_wait(struct fixture *fixture, int64_t ms);
/* A new controller takes over from what is in the log. */
void fixture_fail_over(struct fixture *fixture);

/* Registers (a new incarnation), and unfences with a heartbeat. */
void fixture_register(struct fixture *fixture, int32_t id, const char *rack, int directories);
void fixture_unfence(struct fixture *fixture, int32_t id);
void fixture_brokers(struct fixture *fixture, int32_t count);
const struct broker_heartbeat_response *fixture_heartbeat(struct fixture *fixture, int32_t id,
                                                          bool want_fence, bool want_shut_down);
struct uuid fixture_directory(int32_t broker, int32_t index);

/* One topic; gives its result. replicas NULL: placed. */
const struct create_topics_response_creatable_topic_result *
fixture_create(struct fixture *fixture, const char *name, int32_t partitions, int16_t factor);
/* A topic of one partition on these replicas, ISR all active ones. */
void fixture_create_on(struct fixture *fixture, const char *name, const int32_t *replicas,
                       int32_t count);
const struct metadata_topic *fixture_topic(struct fixture *fixture, const char *name);
const struct metadata_partition *fixture_partition(struct fixture *fixture, const char *name,
                                                   int32_t index);
void fixture_set_config(struct fixture *fixture, int8_t type, const char *name, const char *key,
                        const char *value);
/* "leader 1 epoch 2 isr 1,2 elr 3 known 1 recovering" for comparisons. */
const char *fixture_describe(struct fixture *fixture, const char *name, int32_t index);

#endif
