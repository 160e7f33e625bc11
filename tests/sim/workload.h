/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/workload.h: one idempotent producer with acks=all and one consumer of a topic, and what they know: values
 * count up in each partition, so whatever is lost, doubled, reordered or taken back shows.
 */
#ifndef TESTS_SIM_WORKLOAD_H
#define TESTS_SIM_WORKLOAD_H

#include "sim_client.h"

#define WORKLOAD_PARTITIONS 3
#define WORKLOAD_VALUES_MAX 100000

struct workload_partition {
    int64_t next_value; /* first of the batch under way, or of the next one */
    int32_t pending; /* records of the batch under way; 0: none. Sent again until it is answered */
    int32_t next_sequence;
    int64_t timestamp_ms;   /* of the batch under way */
    int64_t acked;          /* values below it are acknowledged */
    int64_t seen;           /* the consumer has seen values below it, at offsets equal to them */
    int64_t high_watermark; /* largest one heard */
};

struct workload {
    struct sim *sim;
    struct os *machine;
    struct sim_client *client;
    struct random random;
    const char *host;
    const char *topic;
    int64_t producer_id;
    int16_t producer_epoch;
    bool is_topic_made;
    bool with_compression;
    struct workload_partition partitions[WORKLOAD_PARTITIONS];
    char failure[512];   /* what was found; empty: nothing */
    enum err last_error; /* that a retry was asked for with */
    int64_t acked_batches;
};

void workload_init(struct workload *work, struct sim *sim, struct os *client_machine,
                   const char *host, uint64_t stream);
void workload_release(struct workload *work);
/* One step: connects when it must, makes the topic and the producer id when they are not there, then produces to
 * or fetches from a random partition. Errors of the connection are part of the game; anything that
 * contradicts what was promised goes to `failure`. False: the time was out or the connection broke. */
bool workload_step(struct workload *work, int64_t deadline_ns);
/* With a node that serves: what is pending is finished and everything is read from offset 0 and held
 * against what was acknowledged and seen. False: see failure. */
bool workload_check(struct workload *work, int64_t deadline_ns);

#endif
