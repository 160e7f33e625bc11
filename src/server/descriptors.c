/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/descriptors.c: one budget of open files for all shards, divided once, at the start.
 *
 *   the limit = half for sockets and what a process has anyway | half, at most 2,048, for files (os keeps
 *   it free of clients, os/real_transfer.c) = a quarter for jobs (indexes, checkpoints, snapshots) | the rest
 *   for segments that stay open, the same for each shard
 *
 * Where the limit is higher, two thirds of what is left go to segments as well: an append to a partition whose segment
 * was closed costs ten of an append to one that is open. Clients may take them first; a store then meets the
 * limit, closes what rests and tries again.
 *
 * Threads     any; pure.
 */
#include "server/descriptors.h"

#include "base/macros.h"

#define FILES_MAX 2048
#define SPARE_MAX 32768
/* Below them every second request would have to open a file, and jobs would get none. */
#define BASE_MIN 64
#define PER_SHARD_MIN 32

enum err descriptors_share(int64_t limit, size_t shards, int *per_store_out, struct why *why)
{
    int64_t wanted = BASE_MIN + PER_SHARD_MIN * (int64_t)shards;
    int64_t files = MIN(limit / 2, (int64_t)FILES_MAX);
    int64_t spare = MIN((limit - MIN(limit, (int64_t)2 * FILES_MAX)) / 3 * 2, (int64_t)SPARE_MAX);

    if (limit < wanted)
        return why_set(why, ERR_CONFIG,
                       "The process may have %lld open files (ulimit -n); a node of %zu shards "
                       "needs %lld at the least, and some more for each client",
                       (long long)limit, shards, (long long)wanted);
    *per_store_out = (int)((files - files / 4 + spare) / (int64_t)shards);
    return OK;
}
