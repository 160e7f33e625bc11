/* SPDX-License-Identifier: Apache-2.0 */
/* As much of Kafka's protocol as floor_broker.c answers: ApiVersions, Metadata v1, Produce v3 and v12,
 * FindCoordinator v1, and of transactions what librdkafka sends (InitProducerId, AddPartitionsToTxn and EndTxn v0: the
 * first protocol) and Kafka's own producer (InitProducerId and EndTxn v5: the second). Anything else ends the program. */
#ifndef BENCH_FLOOR_PROTOCOL_H
#define BENCH_FLOOR_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

enum floor_api {
    FLOOR_PRODUCE = 0,
    FLOOR_METADATA = 3,
    FLOOR_FIND_COORDINATOR = 10,
    FLOOR_API_VERSIONS = 18,
    FLOOR_INIT_PRODUCER_ID = 22,
    FLOOR_ADD_PARTITIONS = 24,
    FLOOR_END_TXN = 26
};
enum { FLOOR_ANSWER_ROOM = 8192 }; /* of answers whose size the request does not tell */

struct floor_request {
    uint16_t api, version;
    uint32_t correlation;
    struct wire_reader rest; /* behind the header */
};

struct floor_part {
    uint32_t partition;
    const uint8_t *bytes;
    size_t size;
    int64_t offset; /* for the answer */
};

struct floor_parts { /* of one Produce or AddPartitionsToTxn; of one topic */
    const uint8_t *topic;
    size_t topic_size;
    uint64_t producer_id; /* of a transaction; 0: it is none's */
    struct floor_part *all;
    uint32_t count, room;
};

struct floor_producer { /* for an answer */
    uint64_t id;
    uint16_t epoch;
};

/* A body without its length. */
void floor_request_read(struct floor_request *request, const uint8_t *body, size_t size);

/* Whose transaction AddPartitionsToTxn or EndTxn is about. AddPartitionsToTxn gives its partitions too, without batches. */
uint64_t floor_transaction_read(const struct floor_request *request, struct floor_parts *parts);

/* `parts` is used again; bytes of batches lie in the request. */
void floor_produce_read(const struct floor_request *request, struct floor_parts *parts);
size_t floor_produce_room(const struct floor_parts *parts);
/* Whole frames; their sizes. */
size_t floor_produce_answer(const struct floor_request *request, const struct floor_parts *parts,
                            uint8_t *frame);
/* AddPartitionsToTxn, of one topic: the partitions that were read are added. */
size_t floor_added_answer(const struct floor_request *request, const struct floor_parts *parts,
                          uint8_t *frame);
/* InitProducerId and EndTxn. */
size_t floor_producer_answer(const struct floor_request *request,
                             const struct floor_producer *producer, uint8_t *frame);
/* All others. */
size_t floor_answer(const struct floor_request *request, uint16_t port, uint32_t partitions,
                    uint8_t *frame);

#endif
