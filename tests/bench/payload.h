/* SPDX-License-Identifier: Apache-2.0 */
/* Record values that tell whether they came back: a sequence number, then text that follows from it.
 * They compress like log lines (about three to one). */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAYLOAD_SIZE_MIN = 16, PAYLOAD_SIZE_MAX = 65536 };

struct payload {
    uint8_t *text;
};

/* Ends the program if there is no memory. */
void payload_init(struct payload *payload);
void payload_deinit(struct payload *payload);

/* Fills `value` with the record of this sequence number. */
void payload_fill(const struct payload *payload, uint64_t sequence, uint8_t *value, size_t size);

/* The sequence number of a value; false if any of its bytes is not what was sent. */
bool payload_check(const struct payload *payload, const uint8_t *value, size_t size,
                   uint64_t *sequence_out);

#endif
