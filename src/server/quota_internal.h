/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quota_internal.h: the structs of quota.c and quota_exchange.c.
 */
#ifndef SERVER_QUOTA_INTERNAL_H
#define SERVER_QUOTA_INTERNAL_H

#include "base/hash_map.h"
#include "server/quota.h"
#include "server/quota_rate.h"

/* Of clients that only a default names, and who may call themselves what they like; a usage is about 1.7 KiB. */
#define QUOTA_USAGES_MAX 10000

/* Whose usage: what the winning level names of the client; null: not part of it. */
struct quota_usage_key {
    enum quota_kind kind;
    struct slice user;
    struct slice client_id;
    bool
        is_open; /* only a default limits it: peers make as many of them as they like. Not compared */
};

struct quota_usage {
    struct hash_map_node node;
    struct list_node recent; /* least recently used first */
    struct quota_usage_key key;
    size_t block_bytes; /* the texts lie behind the struct */
    int64_t used_ms;
    struct quota_rate rate;
    struct quota_bucket bucket;
    double recorded; /* since the last exchange with the other shards */
};

struct quota_service {
    struct shard *shard;
    struct hash_map usages;
    struct list_node recent;
    struct quota_usage shared[QUOTA_KINDS]; /* of all that found no room for one of their own */
    bool has_kind[QUOTA_KINDS];
    struct quota_windows windows;
    struct quota_windows controller_windows;
    struct timer exchange; /* of several shards */
};

/* Its own, or the shared one of its kind: never NULL. */
struct quota_usage *quota_usage_get(struct quota_service *service,
                                    const struct quota_usage_key *key, int64_t now_ms);

/* quota_exchange.c */
void quota_exchange_init(struct quota_service *service);
void quota_exchange_wake(struct quota_service *service); /* something was recorded */
void quota_exchange_stop(struct quota_service *service);

#endif
