/* SPDX-License-Identifier: Apache-2.0 */
/* sim/prober_internal.h: what the files of the prober share. */
#ifndef TESTS_SIM_PROBER_INTERNAL_H
#define TESTS_SIM_PROBER_INTERNAL_H

#include "prober.h"
#include "sim_client.h"
#include "sim_node.h"

#define PROBE_TOPIC "t"
#define PROBE_PARTITIONS 2
#define PROBE_BATCHES 5 /* that a node remembers of a producer */
#define MS ((int64_t)1000000)

struct probe_batch {
    int64_t value; /* = base offset */
    int32_t count, pad_bytes, sequence;
    int16_t epoch;
    int64_t producer_id;
};

struct probe_partition {
    int64_t next;      /* value and offset of the next batch */
    int64_t committed; /* acknowledged with acks=all up to here */
    int32_t next_sequence;
    int16_t epoch;
    int64_t producer_id; /* -1: none yet */
    bool is_pending;     /* `last` is under way: sent again until it is answered */
    struct probe_batch last;
    struct probe_batch
        known[PROBE_BATCHES]; /* acknowledged in this life of the node, newest first */
    int known_count;
    int64_t log_start;  /* up to where records were deleted, perhaps */
    int64_t told_start; /* no log start below it may be told: records below it were deleted … */
    int64_t durable_start;  /* … and then the node was stopped in good order */
    int64_t high_watermark; /* largest one told */
};

struct probe {
    struct sim *sim;
    struct allocator heap; /* of the clients, who are never short of it */
    bool is_short_of_memory;
    struct sim_node node;
    struct os *machine; /* of the clients */
    struct sim_client *client, *other;
    struct random random;
    bool is_topic_made, is_wrapping;
    bool has_unsynced; /* something was acknowledged with acks=1 in this life */
    int32_t segment_bytes, index_interval;
    int64_t base_ms;           /* timestamp of value 0 */
    int64_t producer_ids[256]; /* that were given out */
    size_t producer_id_count;
    struct probe_partition partitions[PROBE_PARTITIONS];
    int64_t acknowledged;
    char *failure;
    size_t failure_bytes;
};

void probe_fail(struct probe *probe, const char *format, ...) PRINTF_LIKE(2, 3);
/* With PROBER_LOG set. */
void probe_say(const struct probe *probe, const char *format, ...) PRINTF_LIKE(2, 3);
bool probe_has_failed(const struct probe *probe);
/* An error that says: come again. */
bool probe_may_err(const struct probe *probe, enum err err);

/* ---- prober.c ---- */
/* The next batch of the partition, unless one is under way. */
void probe_pending_make(struct probe *probe, int32_t index);
/* False: no answer. Whether it is still under way is told by is_pending. */
bool probe_pending_send(struct probe *probe, int32_t index, int16_t acks);
/* Starts the node twice; everything acknowledged must be there. */
void probe_final_check(struct probe *probe);

/* ---- prober_requests.c ---- */
/* Connected, with topic and producer ids. */
bool probe_ready(struct probe *probe, int64_t deadline_ns);
struct slice probe_batch_build(struct probe *probe, const struct probe_batch *batch,
                               struct arena *arena);
/* OK: *error_out and *offset_out are the answer's. */
MUST_USE enum err probe_produce(struct probe *probe, int32_t index, const struct probe_batch *batch,
                                int16_t acks, int64_t deadline_ns, enum err *error_out,
                                int64_t *offset_out);
MUST_USE enum err probe_send(struct probe *probe, int32_t index, const struct probe_batch *batch,
                             int64_t deadline_ns);
MUST_USE enum err probe_receive(struct probe *probe, int32_t index, int64_t deadline_ns,
                                enum err *error_out, int64_t *offset_out);
/* -1: no answer; else where the next fetch begins. */
int64_t probe_fetch(struct probe *probe, struct sim_client *client, int32_t index, int64_t offset,
                    int64_t deadline_ns);
bool probe_search(struct probe *probe, int32_t index, int64_t value, int64_t deadline_ns);
bool probe_delete(struct probe *probe, int32_t index, int64_t offset, int64_t deadline_ns);
/* A new id, which nobody had. */
bool probe_producer_new(struct probe *probe, int64_t deadline_ns, int64_t *out);

#endif
