/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster_internal.h: what the files of the cluster share.
 */
#ifndef TESTS_RAFT_CLUSTER_INTERNAL_H
#define TESTS_RAFT_CLUSTER_INTERNAL_H

#include "bench.h"
#include "cluster.h"

#include "base/hash_map.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define NODES_MAX 9
#define SNAPSHOTS_MAX 64
#define SNAPSHOT_BYTES 250
#define ADMIN 0

struct entry { /* one batch */
    int64_t base, last;
    int32_t epoch;
    uint64_t data;
    int16_t kraft_version; /* -1: none */
    const struct raft_voters *voters;
};

struct disk_log {
    struct entry *items;
    size_t count, capacity;
    int64_t start;
};

struct kept_snapshot {
    struct raft_snapshot snapshot;
    int16_t kraft_version;
    const struct raft_voters *voters;
};

struct node {
    int id;
    bool up, can_vote;
    int incarnation;
    struct raft *raft;
    struct raft_quorum_state durable_state;
    bool has_state;
    struct disk_log current, durable;
    int log_generation; /* flushes of an earlier one mean nothing */
    int64_t flush_free_ms;
    struct kept_snapshot snapshots[SNAPSHOTS_MAX];
    size_t snapshot_count;
    int64_t high_watermark;
    int32_t leads_epoch; /* as told by the role effect; -1: does not lead */
    uint64_t handed_number;
    const struct entry *handed;
};

enum task_kind { TASK_PERSIST, TASK_WRITTEN, TASK_FLUSH, TASK_CHUNK, TASK_INSTALL, TASK_MESSAGE };
struct task {
    int64_t at_ms;
    uint64_t order;
    enum task_kind kind;
    int node; /* whose disk, or who receives */
    int incarnation;
    uint64_t generation, era;
    int64_t end_offset;
    int log_generation;
    struct disk_log copy;
    struct raft_quorum_state state;
    struct raft_offset_epoch id;
    /* messages */
    int from, from_incarnation;
    bool is_reply;
    uint64_t number;
    struct raft_request request;
    struct raft_reply reply;
    const struct entry *entries;
};

struct asked {
    int from, incarnation;
    uint64_t number;
};

struct known_batch {
    int64_t base;
    int32_t epoch;
    uint64_t data;
    int64_t previous_last;
    int32_t previous_epoch;
};

struct cluster {
    const struct cluster_options *options;
    struct random random;
    struct arena arena;
    int64_t now_ms;
    struct node nodes[NODES_MAX + 1];
    int node_count;
    struct task *tasks;
    size_t task_count, task_capacity;
    uint64_t next_order, next_data;
    struct asked *asked;
    size_t asked_count, asked_capacity;
    int leaders[4096]; /* by epoch */
    struct known_batch *known;
    size_t known_count, known_capacity;
    struct entry *truth; /* everything that was ever committed, in order */
    size_t truth_count, truth_capacity;
    struct kept_snapshot registry[4 * SNAPSHOTS_MAX];
    size_t registry_count;
    bool cut[NODES_MAX + 1][NODES_MAX + 1];
    bool chaos;
    int64_t next_nemesis_ms, next_submit_ms;
    struct raft_voter voters[NODES_MAX];
    struct raft_endpoint endpoints[NODES_MAX + 1];
    struct cluster_result result;
};

#define CHECK(cluster, condition, ...)                                \
    do {                                                              \
        if (!(condition)) {                                           \
            print_error("seed %llu at %lld ms: " #condition ": ",     \
                        (unsigned long long)(cluster)->options->seed, \
                        (long long)(cluster)->now_ms);                \
            print_error(__VA_ARGS__);                                 \
            fail();                                                   \
        }                                                             \
    } while (0)

/* ---- cluster_disk.c ---- */

void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes);
#define GROW(items, capacity, count) \
    ((items) = grow((items), &(capacity), (count), sizeof *(items)))

void note(struct cluster *cluster, uint64_t value);
bool chance(struct cluster *cluster, int percent);
struct raft_endpoints copy_endpoints(struct cluster *cluster, struct raft_endpoints from);
const struct raft_voters *copy_voters(struct cluster *cluster, struct raft_voters from);
struct raft_request copy_request(struct cluster *cluster, const struct raft_request *from);
int64_t log_end(const struct disk_log *log);
void log_push(struct disk_log *log, const struct entry *entry);
void log_copy(struct disk_log *to, const struct disk_log *from);
void log_cut(struct disk_log *log, int64_t end_offset);
void log_trim(struct disk_log *log, int64_t start_offset);
const struct entry *log_find(const struct disk_log *log, int64_t base);
struct kept_snapshot *snapshot_of(struct kept_snapshot *list, size_t count,
                                  struct raft_offset_epoch id);

/* ---- cluster_check.c ---- */

void check_batch(struct cluster *cluster, const struct disk_log *log, size_t index);
void check_committed(struct cluster *cluster, struct node *node, int64_t high_watermark);
void check_leader(struct cluster *cluster, const struct node *node);

/* ---- cluster_effect.c ---- */

void message_add(struct cluster *cluster, const struct task *from);
enum err feed(struct cluster *cluster, struct node *node, struct raft_event event);

/* ---- cluster_node.c ---- */

void node_start(struct cluster *cluster, struct node *node);
void node_crash(struct cluster *cluster, struct node *node);
void nodes_make(struct cluster *cluster);
void run_task(struct cluster *cluster, struct task *task);

#endif
