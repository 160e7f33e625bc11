/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/producer.h: a batch of a simulated producer, and the requests that carry batches: actor_producer.c, producer_parcel.c.
 */
#ifndef TESTS_SIM_PRODUCER_H
#define TESTS_SIM_PRODUCER_H

#include "peer.h"
#include "world.h"

#include "protocol/generated/produce_response.h"

struct sending { /* one batch from its invention to its end */
    struct actor *actor;
    struct sending *next; /* of its lane, in order */
    struct slice batch;   /* malloc */
    int64_t op;
    int32_t slot, partition, topic; /* the incarnation it was made for */
    struct uuid topic_id;
    int32_t count, base_sequence;
    bool is_in_flight;
    bool is_maybe; /* an earlier attempt may have had its effect */
};

#define PARCEL_SENDINGS_MAX 8 /* of as many partitions */

/* All of them in one Produce request. `wide`: among partitions that are not there, so many of them that the node begins the
 * request in several turns (PRODUCE_PARTS_A_TURN), each of which may have any of the batches; NULL: alone. Not with acks=0,
 * where one that is not there ends the connection. False: there is no connection, and nothing was sent. */
bool parcel_send(struct actor *actor, struct sending *const *sendings, int count, int16_t acks,
                 int16_t version, int32_t timeout_ms, struct random *wide);
/* For each batch of a parcel, unless acks=0; NULL: no answer came. May free the sending. */
void sending_answered(struct sending *sending,
                      const struct produce_response_partition_produce_response *answer);

#endif
