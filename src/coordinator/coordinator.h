/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/coordinator.h: what all coordinators (groups now; transactions, share and streams
 * groups later) have in common: calls go in, records and replies come out. Pure: time, randomness
 * and the metadata image come in with each call. docs/design/coordinator.md; groups.md §1 of the
 * reference.
 *
 * How the shell uses a coordinator (one per partition of its topic, on that partition's shard)
 *   1. Elected: create; replay every record of the log in order; `loaded` once everything is in.
 *   2. A call (request, timer, image change, finished task) yields coordinator_effects. Soft state
 *      (who waits, who is joining) may change at once; what records carry changes only by replay.
 *   3. Effects with records: the shell decides admission first (size, space, min ISR). Admitted: it
 *      appends them as one write (atomic unless divisible) and calls replay for each, at the offset
 *      it got, before the next call. Refused: `write_ended` with the error; the coordinator takes
 *      back what it did for that write, and the shell fails the replies of these effects that have
 *      after_commit with the mapped error.
 *   4. When the high watermark covers the write: `committed`, `write_ended` with OK, then the
 *      replies that were given with after_commit are sent. No progress for
 *      offsets.commit.timeout.ms: `write_ended` with ERR_REQUEST_TIMED_OUT, and those replies fail
 *      with it mapped (§1.7); state and records stay. Each write is ended exactly once.
 *   5. Replies without after_commit are sent at once, whatever becomes of the write. after_commit
 *      in effects without records waits until all that was written before is committed (at once
 *      when it is). Reads of offsets answer from committed values: the shell tells the committed
 *      end by `committed`.
 *   6. Deposed: release. Nothing is undone; parked requests fail with NOT_COORDINATOR by the shell.
 *   7. ERR_NO_MEMORY of any function: release and load again; its effects are dropped.
 */
#ifndef COORDINATOR_COORDINATOR_H
#define COORDINATOR_COORDINATOR_H

#include "base/arena.h"
#include "base/err.h"
#include "base/random.h"
#include "metadata/metadata.h"

struct coordinator_moment {
    int64_t now_ms;                     /* monotone */
    int64_t wall_ms;                    /* since 1970 */
    struct random *random;              /* of this coordinator */
    const struct metadata_image *image; /* present; valid during the call */
    /* A new producer id from the shell's block; ERR_COORDINATOR_LOAD_IN_PROGRESS: none at hand (more
     * are on their way). NULL where the coordinator takes none. */
    enum err (*producer_id_take)(void *context, int64_t *out);
    void *producer_id_context;
};

/* A request as it comes in. */
struct coordinator_request {
    int16_t api_key;
    int16_t api_version;
    /* Decoded; which form each API has: group.h, transaction.h. Lives as long as effects->arena; what
     * must last is copied. */
    const void *body;
    uint64_t token;           /* never 0, never twice */
    struct slice client_id;   /* never null */
    struct slice client_host; /* "/127.0.0.1" as Java prints it */
};

struct coordinator_record {
    struct slice key;
    struct slice value; /* null: tombstone */
};

/* A request that waits for an answer. */
struct coordinator_reply {
    uint64_t token;    /* of the call that brought the request */
    void *response;    /* the API's response struct, in the effects' arena */
    bool after_commit; /* of everything written up to and including these effects */
};

/* Work that costs CPU for long (resolving regular expressions over all topics): run by the shell as
 * a job on copies; the outcome comes back as a call of its own. */
struct coordinator_task;

/* End markers of one transaction, for the leaders of its partitions: sent at once, as the coordinator
 * gives them out only when their Prepare is committed. Each partition's outcome comes back as a call of
 * its own. */
struct coordinator_partition {
    struct slice topic;
    int32_t index;
};
struct coordinator_markers {
    uint64_t ticket; /* given back with each outcome; never 0 */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    int8_t transaction_version; /* of the client: 0 or 2 */
    bool is_commit;
    const struct coordinator_partition *partitions; /* in the effects' arena, as the names are */
    size_t partition_count;
};

struct coordinator_effects {
    struct arena *arena; /* the shell's: lives until the replies and markers are sent */
    uint64_t write;      /* number of the write, rising; 0: no records */
    bool divisible; /* the write may be cut into several batches where one would be too large */
    /* Of the transaction that the records belong to: they are a batch of their own, written at once,
     * and replayed with both. -1: none. Not divisible then. */
    int64_t producer_id;
    int16_t producer_epoch;
    struct coordinator_record *records;
    size_t record_count;
    size_t record_capacity;
    struct coordinator_reply *replies;
    size_t reply_count;
    size_t reply_capacity;
    struct coordinator_task **tasks;
    size_t task_count;
    size_t task_capacity;
    struct coordinator_markers *markers;
    size_t marker_count;
    size_t marker_capacity;
};
/* Cleared, with an empty list of each kind. */
void coordinator_effects_init(struct coordinator_effects *effects, struct arena *arena);
MUST_USE enum err coordinator_effects_record(struct coordinator_effects *effects, struct slice key,
                                             struct slice value);
MUST_USE enum err coordinator_effects_reply(struct coordinator_effects *effects, uint64_t token,
                                            void *response, bool after_commit);
MUST_USE enum err coordinator_effects_task(struct coordinator_effects *effects,
                                           struct coordinator_task *task);
MUST_USE enum err coordinator_effects_markers(struct coordinator_effects *effects,
                                              const struct coordinator_markers *markers);

/* The partition of an internal topic that a key belongs to: |Java's String.hashCode| % count. `key`
 * is UTF-8; hashed as UTF-16 units; broken UTF-8 as Java decodes it (U+FFFD). */
int32_t coordinator_partition_of(struct slice key, int32_t partition_count);
/* What a client is told of an error of the write path (§1.7). */
enum err coordinator_error(enum err err);

#endif
