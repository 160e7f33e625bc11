/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/metrics_load.h: what clients do to a node in metrics_test.c, and what of it its counters must show.
 */
#ifndef TESTS_SIM_METRICS_LOAD_H
#define TESTS_SIM_METRICS_LOAD_H

#include "config_lab.h"

#define LOAD_APIS 96
#define LOAD_PARTITIONS 4

struct load {
    struct lab lab;
    int64_t sent[LOAD_APIS]; /* requests that were answered, or with acks=0 served */
    int64_t messages, bytes; /* of batches that were taken */
    int64_t bytes_out;       /* of records in answers */
    int64_t connects;
    int64_t ends[LOAD_PARTITIONS]; /* of topic "t" */
    /* its own */
    struct uuid topic_id;
    struct slice again;
    char member[64];
    int32_t generation;
    int64_t producer_id;
    int16_t producer_epoch;
};

void load_open(struct load *load, const char *properties);
void load_close(struct load *load);
/* A request of the first client and its answer. */
void *load_ask(struct load *load, int16_t key, int16_t version, const void *body);
/* One client, and topic "t". */
void load_connect(struct load *load);
void load_topic(struct load *load, const char *name, int32_t partitions, const char *configs);

/* Many clients at once: some write with acks=all or 1, some with acks=0, some read from the beginning. */
void load_storm(struct load *load);

struct load_batch {
    const char *topic; /* NULL: "t" */
    int32_t partition;
    int32_t records, value_bytes; /* 0: 20 bytes each */
    int32_t keyless;              /* the first ones have no key */
    int16_t acks;                 /* 0: all */
    int64_t producer_id;          /* 0: none */
    int32_t sequence;
    int32_t count_delta; /* the header tells of so many records more */
    bool is_corrupt, is_transactional, is_out_of_time;
    int64_t age_ms;
};
/* One batch, with this outcome. Its size. */
int64_t load_produce(struct load *load, const struct load_batch *batch, enum err expected);
/* The last idempotent one that was taken, once more: told as taken. */
void load_produce_again(struct load *load);
/* acks=0 to a partition that is not there: the connection is closed. */
void load_produce_unanswered_failure(struct load *load);
/* A version that nobody knows: the connection is closed. */
void load_unknown_version(struct load *load);

struct load_read {
    int64_t offset;
    int32_t leader_epoch; /* 0: none is told */
    int32_t min_bytes;
    bool is_unknown; /* another topic's id */
};
void load_fetch(struct load *load, const struct load_read *read, enum err expected);
/* Another client's, from the end of partition 0 on: it waits for data; then the client goes away. */
void load_fetch_parked(struct load *load);
void load_parked_leave(struct load *load);
/* A session of all partitions, which stays. */
void load_session(struct load *load);

/* Group "g" of one member. */
void load_group_join(struct load *load);
void load_group_commit(struct load *load, int64_t offset); /* of partition 0 */
void load_group_leave(struct load *load);
/* Transaction of "x" with so many records in partition 0. */
void load_transaction_begin(struct load *load, int32_t records);
void load_transaction_end(struct load *load);

#endif
