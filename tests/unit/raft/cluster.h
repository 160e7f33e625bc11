/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster.h: a whole quorum in memory, driven by one seed: disks that lose what is not
 * flushed, a network that loses, doubles, delays and splits, crashes, voters that come and go. After
 * every step the promises of the core are checked; a broken one stops the test and names the seed.
 */
#ifndef TESTS_RAFT_CLUSTER_H
#define TESTS_RAFT_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_options {
    uint64_t seed;
    int voters;   /* 1…5: nodes 1, 2, … */
    int standbys; /* controllers outside the voter set */
    int brokers;  /* observers that cannot vote */
    bool dynamic; /* voters in the log (kraft.version 1) or configured */
    bool changes; /* AddVoter and RemoveVoter while it runs */
    bool auto_join;
    int loss_percent;
    int duplicate_percent;
    int64_t chaos_ms; /* faults end here; then everything must work again */
};

struct cluster_result {
    uint64_t hash; /* of everything that happened: equal for equal seeds */
    int64_t committed;
    int elections;
    int crashes;
    int truncations;
    int installs;
    int voter_changes;
    int resignations;
};

/* Fails the running test when a promise is broken. */
struct cluster_result cluster_run(const struct cluster_options *options);

#endif
