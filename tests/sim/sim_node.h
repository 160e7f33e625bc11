/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/sim_node.h: the unmodified node on a simulated machine.
 */
#ifndef TESTS_SIM_SIM_NODE_H
#define TESTS_SIM_SIM_NODE_H

#include "os/sim.h"
#include "server/node.h"

struct sim_node {
    struct sim *sim;
    struct os *machine;
    struct node *node; /* NULL while down; of a crashed machine: abandoned */
    struct arena arena;
    struct config_file file;
    uint64_t seed;
    struct logger *logger; /* set after init; NULL: none but SIM_LOG */
    bool is_serving, is_stopped;
    enum err stop_err;
    char stop_why[512];
};

/* Makes a machine called `name`. `properties`: lines added to a single node's configuration (one shard,
 * listeners on 9092 and 9093, data in /data); NULL: none. */
void sim_node_init(struct sim_node *own, struct sim *sim, const char *name, const char *properties);
/* Starts and waits until clients are served. The error, with why in stop_why, if it does not come to it;
 * ERR_CRASHED when the machine went down on the way. */
MUST_USE enum err sim_node_start(struct sim_node *own, int64_t timeout_ms);
/* The same as often as crashes on the way ask for it, 50 times at most. False: `failure` tells why. */
bool sim_node_raise(struct sim_node *own, char *failure, size_t failure_bytes);
/* The first half of sim_node_start: is_serving, is_stopped or the machine's death tell how it went on. */
MUST_USE enum err sim_node_begin(struct sim_node *own);
/* Orderly; waits. True: the node stopped by itself in time. */
bool sim_node_stop(struct sim_node *own, int64_t timeout_ms);
/* Power cut, or kill -9; then a fresh machine on the same disk. Memory of the dead node is abandoned: only
 * an orderly stop takes it apart. */
void sim_node_crash(struct sim_node *own, const struct sim_crash_options *options);
void sim_node_kill(struct sim_node *own);
/* After sim_machine_crash_at has struck. */
void sim_node_restart_machine(struct sim_node *own);
/* A node that still runs is killed. */
void sim_node_release(struct sim_node *own);

#endif
