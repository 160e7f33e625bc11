/* SPDX-License-Identifier: Apache-2.0 */
/* As much of Kafka's protocol as a bench needs: one Produce v3 request with one record, and its
 * answer. Written from the protocol's description, apart from the code that is measured. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_FRAME_MAX = 128 * 1024 };

struct wire_answer {
    int32_t correlation;
    int16_t error; /* Kafka's code, 0: none */
    int64_t base_offset;
};

int64_t wire_now_ns(void); /* CLOCK_MONOTONIC */

/* A connected TCP socket without delay, or -1. `address` is "IPV4:PORT". */
int wire_connect(const char *address);

/* Writes a whole frame (with its length) into `frame` and returns its size. */
size_t wire_api_versions(uint8_t *frame, int32_t correlation);
size_t wire_produce(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                    int16_t acks, const uint8_t *value, size_t value_size);

/* What is behind a produce answer's length; false if it is none. */
bool wire_produce_answer(const uint8_t *body, size_t size, struct wire_answer *out);

/* Blocking; false when the peer has gone. wire_receive gives the body without its length. */
bool wire_send(int fd, const uint8_t *bytes, size_t size);
bool wire_receive(int fd, uint8_t *body, size_t room, size_t *size_out);

#endif
