/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/each_partition.h: requests that ask one thing of many partitions: all operations
 * in one allocation, one answer when the last is home.
 */
#ifndef SERVER_HANDLERS_EACH_PARTITION_H
#define SERVER_HANDLERS_EACH_PARTITION_H

#include "server/partition_internal.h"
#include "server/request.h"

#include <stdatomic.h>

struct each_state;
struct each_part {
    struct partition_op op;
    struct each_state *state;
    const void *asked; /* the element of the request */
    void *answer;      /* the element of the response; the home's alone */
    bool is_sent;
    enum err err;
    int64_t offset, timestamp; /* what was found out; the handler's */
    int32_t epoch;
    struct log_lookup lookup;
    struct log_start_op raise;
    void *result; /* from the heap of the owner */
    size_t result_bytes, result_count;
};

struct each_state {
    struct request *request;
    void *response;
    struct each_part *parts;
    size_t count; /* filled so far */
    size_t capacity;
    size_t left;
    bool is_submitting;
    bool is_short; /* no memory for some of the answer: the request fails whole, nothing is done */
    atomic_size_t results_bytes; /* of all parts; the handler's */
    /* On the owner; ends with partition_op_finish. */
    void (*run)(struct each_part *part, struct partition *partition);
    /* At home, once: fills the answers and calls request_answer. */
    void (*finish)(struct each_state *state);
    void *context;
};

/* Room for `capacity` partitions; NULL: closed for lack of memory. */
struct each_state *each_create(struct request *request, size_t capacity);
/* The next part. topic NULL or err: not sent, `err` is its outcome. */
struct each_part *each_add(struct each_state *state, const struct metadata_topic *topic,
                           int32_t index, const void *asked, void *answer, enum err err);
void each_submit(struct each_state *state);
/* ERR_UNKNOWN_TOPIC_OR_PARTITION when metadata does not have it. */
enum err each_known(const struct metadata_topic *topic, int32_t index);
const struct metadata_topic *each_topic(const struct request *request, struct slice name);

#endif
