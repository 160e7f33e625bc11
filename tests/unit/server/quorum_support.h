/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/quorum_support.h: one node's seat in the quorum on a simulated machine: a
 * formatted directory, one shard, a minimal struct node; the asynchronous calls as waiting ones.
 */
#ifndef TESTS_SERVER_QUORUM_SUPPORT_H
#define TESTS_SERVER_QUORUM_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metadata/metadata.h"
#include "os/sim.h"
#include "reactor/reactor.h"
#include "server/controller_gate.h"
#include "server/node.h"
#include "server/quorum.h"
#include "storage/storage.h"

#define OKAY(expression) assert_int_equal((expression), OK)
#define SEAT_DIRECTORY "/data"
#define SEAT_LOG SEAT_DIRECTORY "/__cluster_metadata-0"
#define SEAT_CLUSTER "MkU3OEVBNTcwNTJENDM2Qg"

struct seat {
    struct sim *sim;
    struct os *os;
    struct logger logger;
    struct quorum_listener listener;
    struct node node;
    struct shard shard;
    struct config_file file;
    struct arena arena;           /* of the seat's life */
    const char *properties;       /* beside the usual ones; NULL: none */
    struct metadata_image *image; /* the last one published */
    int image_count;
    bool started, running, stopped, failed, called, closed;
    bool may_unfence; /* at the first image, by itself */
    bool is_static;
    enum err start_err, fail_err;
    struct why start_why;
    char fail_why[WHY_BYTES];
    char states[2048]; /* what was logged of the broker's states */
    uint64_t run;      /* number of the start: part of the incarnation id */
    const bool *waits_for;
    bool verbose; /* by BARNABAS_VERBOSE in the environment */
};

/* A machine with a directory formatted for a quorum of one. */
void seat_open(struct seat *seat, uint64_t seed, const char *properties);
/* The same with voters from the configuration alone. */
void seat_open_static(struct seat *seat, uint64_t seed, const char *properties);
void seat_format(struct seat *seat); /* seat_open does it too; errors are fine on a dying machine */
void seat_close(struct seat *seat);

/* Storage, shard and quorum on the present machine, until the quorum runs; its error. */
enum err seat_start(struct seat *seat);
/* Registers and waits until the broker runs; false: the machine died or the quorum failed. */
bool seat_broker(struct seat *seat);
/* Takes all apart; on a dead machine too. */
void seat_stop(struct seat *seat, bool clean);
/* Power cut (if it has not died already), taking apart, reboot. */
void seat_reboot(struct seat *seat);
/* An orderly stop and a new process. */
void seat_renew(struct seat *seat);

/* The error of the topic in the controller's answer, or of the whole call. */
enum err seat_create_topic(struct seat *seat, const char *name);
enum err seat_create_topic_from(struct seat *seat, struct shard *home, const char *name);
/* The same in so much memory; does it have an answer in the API's form? */
enum err seat_create_topic_within(struct seat *seat, const char *name, size_t limit_bytes,
                                  bool *has_response_out);
enum err seat_raise_feature(struct seat *seat, const char *name, int16_t level);
bool seat_has_topic(const struct seat *seat, const char *name);
/* Runs until *flag or the machine is dead; false: neither came within a simulated minute. */
bool seat_run_until(struct seat *seat, const bool *flag);
void seat_pass(struct seat *seat, int64_t time_ms);
/* Names in the metadata log's directory that end so. */
int seat_count_files(struct seat *seat, const char *suffix);

#endif
