/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/effects.c: lists of records, replies and tasks that a call yields. They grow in the
 * arena; old blocks stay there until the arena goes.
 */
#include "base/assert.h"
#include "coordinator/coordinator.h"

#define CAPACITY_MIN ((size_t)8)

void coordinator_effects_init(struct coordinator_effects *effects, struct arena *arena)
{
    *effects = (struct coordinator_effects){
        .arena = arena,
        .producer_id = -1,
        .producer_epoch = -1,
    };
}

/* Room for one item more; the new block, or the old one. */
static void *grown(struct arena *arena, void *items, size_t count, size_t *capacity,
                   size_t item_bytes)
{
    size_t wanted = *capacity > 0 ? *capacity * 2 : CAPACITY_MIN;
    void *block;

    if (count < *capacity)
        return items;
    block = arena_zeroed(arena, wanted, item_bytes);
    if (!block)
        return NULL;
    if (count > 0)
        memcpy(block, items, count * item_bytes);
    *capacity = wanted;
    return block;
}

enum err coordinator_effects_record(struct coordinator_effects *effects, struct slice key,
                                    struct slice value)
{
    struct coordinator_record *records =
        grown(effects->arena, effects->records, effects->record_count, &effects->record_capacity,
              sizeof *records);

    ASSERT(!slice_is_null(key));
    if (!records)
        return ERR_NO_MEMORY;
    effects->records = records;
    records[effects->record_count++] = (struct coordinator_record){key, value};
    return OK;
}

enum err coordinator_effects_reply(struct coordinator_effects *effects, uint64_t token,
                                   void *response, bool after_commit)
{
    struct coordinator_reply *replies =
        grown(effects->arena, effects->replies, effects->reply_count, &effects->reply_capacity,
              sizeof *replies);

    ASSERT(token != 0);
    if (!replies)
        return ERR_NO_MEMORY;
    effects->replies = replies;
    replies[effects->reply_count++] = (struct coordinator_reply){token, response, after_commit};
    return OK;
}

enum err coordinator_effects_task(struct coordinator_effects *effects,
                                  struct coordinator_task *task)
{
    struct coordinator_task **tasks = grown(effects->arena, effects->tasks, effects->task_count,
                                            &effects->task_capacity, sizeof *tasks);

    if (!tasks)
        return ERR_NO_MEMORY;
    effects->tasks = tasks;
    tasks[effects->task_count++] = task;
    return OK;
}

enum err coordinator_effects_markers(struct coordinator_effects *effects,
                                     const struct coordinator_markers *markers)
{
    struct coordinator_markers *all = grown(effects->arena, effects->markers, effects->marker_count,
                                            &effects->marker_capacity, sizeof *all);

    ASSERT(markers->ticket != 0 && markers->partition_count > 0);
    if (!all)
        return ERR_NO_MEMORY;
    effects->markers = all;
    all[effects->marker_count++] = *markers;
    return OK;
}
