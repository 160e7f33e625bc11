/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota.h: client quotas: how long a client must wait because it used more than it may.
 * docs/design/quotas.md; requests.md §5 of the reference (KIP-13, 124, 219, 546, 599, 612).
 *
 * Several shards: each records into windows of its own and tells the others every 100 ms what it recorded,
 * so that each holds a limit against the sum (within 10 % of it with three shards). With one shard the
 * rules are Kafka's exactly.
 */
#ifndef SERVER_QUOTA_H
#define SERVER_QUOTA_H

#include "base/slice.h"
#include "server/shard.h"

struct publication;
enum quota_kind {
    QUOTA_PRODUCE,    /* producer_byte_rate */
    QUOTA_FETCH,      /* consumer_byte_rate */
    QUOTA_REQUEST,    /* request_percentage */
    QUOTA_CONTROLLER, /* controller_mutation_rate; token bucket */
    QUOTA_KINDS,
};

MUST_USE enum err quota_service_create(struct shard *shard, struct quota_service **out);
void quota_service_release(struct quota_service **service);
void quota_service_apply(struct quota_service *service, const struct publication *before,
                         const struct publication *after);

/* Records and tells how many ms to wait; 0: within the limit. `user`: the principal's name ("ANONYMOUS").
 * amount: bytes, or nanoseconds of thread time for QUOTA_REQUEST. */
int32_t quota_record(struct quota_service *service, enum quota_kind kind, struct slice user,
                     struct slice client_id, double amount);
/* Takes a record back (a fetch that is throttled by another quota is not counted). */
void quota_unrecord(struct quota_service *service, enum quota_kind kind, struct slice user,
                    struct slice client_id, double amount);
/* Bytes that a fetch of this client may return at most just now (§3.2 "Limits"); INT64_MAX: no limit. */
int64_t quota_fetch_bytes_max(struct quota_service *service, struct slice user,
                              struct slice client_id);
/* controller_mutation_rate: throttle in ms when `permits` more would be over; strict: nothing is recorded then
 * and ERR_THROTTLING_QUOTA_EXCEEDED is to be answered. Shard 0 holds the buckets. */
int32_t quota_controller_check(struct quota_service *service, struct slice user,
                               struct slice client_id, double permits, bool strict);

#endif
