/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/move_rate.h: the limit on moves between log directories. Threads: the shard's.
 */
#ifndef SERVER_MOVE_RATE_H
#define SERVER_MOVE_RATE_H

#include "config/config.h"
#include "reactor/reactor.h"
#include "server/quota_rate.h"
#include "server/shard.h"

struct move_rate {
    struct quota_rate used;
    struct quota_windows windows;
    int64_t limit; /* bytes per second of this shard; INT64_MAX: none */
    struct timer timer;
};
void move_rate_init(struct move_rate *rate);
void move_rate_apply(struct move_rate *rate, const struct shard *shard,
                     const struct config *config);
/* Must the next piece wait? Then every move of the shard is stepped again later. */
bool move_rate_waits(struct move_rate *rate, struct reactor *reactor);
/* A piece is no more than a second's worth. */
size_t move_rate_piece_bytes(const struct move_rate *rate);
void move_rate_record(struct move_rate *rate, struct reactor *reactor, size_t size_bytes);

#endif
