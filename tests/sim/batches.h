/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/batches.h: batches of numbered records, and what a reader makes of what he got. A record says its number,
 * its topic's key and its partition, so that bytes that went astray show although their CRC is right.
 */
#ifndef TESTS_SIM_BATCHES_H
#define TESTS_SIM_BATCHES_H

#include "history.h"
#include "records/batch_builder.h"

struct numbered_batch {
    const char *topic_key;
    int32_t partition;
    int64_t first_value;
    int32_t count;
    int32_t pad_bytes; /* of each record */
    int64_t timestamp_ms;
    int64_t producer_id; /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    enum compression codec;
};
struct slice numbered_batch_build(const struct numbered_batch *batch, struct arena *arena);

/* Whole batches of a Fetch answer as the history wants them. */
void numbered_batches_read(struct slice records, const char *topic_key, int32_t partition,
                           struct arena *arena, struct history_batch **out, size_t *count_out);

#endif
