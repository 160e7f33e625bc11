/* SPDX-License-Identifier: Apache-2.0 */
/* What a producer of transact_wire.c does once: connects, asks who its coordinator is, and gets its producer id. */
#ifndef BENCH_TRANSACT_OPEN_H
#define BENCH_TRANSACT_OPEN_H

#include <stdbool.h>
#include <stdint.h>

enum { TRANSACT_AGAIN_NS = 20 * 1000 * 1000 }; /* what passes is asked again then */

struct transact_identity {
    char id[64];
    int64_t producer_id;
    int16_t epoch;
};

/* A connection, and who it is on it; the program ends if it is put off for 20 seconds. */
int transact_open(struct transact_identity *identity, const char *address, uint64_t index);

/* Whether a producer that is told this error asks again. */
bool transact_is_passing(uint64_t error);
/* Of a flexible version: the header ends with tagged fields. */
uint8_t *transact_put_header(uint8_t *frame, uint16_t api, uint16_t version, int32_t correlation);

#endif
