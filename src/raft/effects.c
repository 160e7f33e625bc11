/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/effects.c: the queue of effects, and the one rule about durability: whatever is emitted after a
 * change of epoch, vote or leader comes out only when that change is on stable storage (M4).
 *
 *      emit ──► queue, each item with the generation of the state it was decided in
 *                 │ generation ≤ durable
 *                 ▼
 *               out of the step
 *
 * Invariants  1. order is kept.   2. generations in the queue do not fall.   3. at most one PERSIST is
 *             under way; changes made meanwhile share the next one.
 * Crash       queued effects vanish with the process: nobody outside has seen them.
 */
#include "raft/raft_internal.h"

struct raft_effect *raft_emit(struct raft *raft, enum raft_effect_kind kind)
{
    struct raft_queue *queue = &raft->queue;
    struct raft_effect *effect = &queue->lost;

    if (RAFT_RESERVE(raft, queue->items, queue->capacity, queue->count)) {
        struct raft_queued *item = &queue->items[queue->count++];

        item->generation = queue->wanted;
        effect = &item->effect;
    }
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

void raft_persist(struct raft *raft)
{
    raft->queue.wanted++;
}

void raft_persisted(struct raft *raft, uint64_t generation)
{
    ASSERT(generation == raft->queue.writing);
    raft->queue.durable = generation;
    raft->queue.writing = 0;
}

bool raft_is_holding(const struct raft *raft)
{
    return raft->queue.durable < raft->queue.wanted;
}

void raft_queue_begin(struct raft *raft)
{
    struct raft_queue *queue = &raft->queue;
    size_t gone = 0;

    while (gone < queue->count && queue->items[gone].generation <= queue->durable)
        gone++;
    if (gone > 0)
        memmove(queue->items, queue->items + gone, (queue->count - gone) * sizeof *queue->items);
    queue->count -= gone;
    if (queue->count == 0)
        arena_reset(&queue->arena);
}

static struct raft_quorum_state state_in_memory(struct raft *raft)
{
    struct raft_voters voters = raft_voters_now(raft);
    bool leads = raft->role == RAFT_LEADER || raft->role == RAFT_RESIGNED;

    return (struct raft_quorum_state){
        .leader_id = leads ? raft->options.self.id : raft->leader_id,
        .leader_epoch = raft->epoch,
        .voted_id = leads ? -1 : raft->voted.id,
        .voted_directory_id = leads ? UUID_ZERO : raft->voted.directory_id,
        .data_version = raft_kraft_version_now(raft) > 0,
        .voter_ids = raft_scratch_ids(raft, voters),
        .voter_id_count = voters.count,
    };
}

void raft_queue_finish(struct raft *raft, struct raft_effects *out)
{
    struct raft_queue *queue = &raft->queue;
    size_t count = 0;

    if (queue->out_capacity < queue->count + 1) {
        size_t capacity = MAX(queue->count + 1, queue->out_capacity * 2);
        struct raft_effect *larger = raft->allocator->resize(raft->allocator, queue->out,
                                                             queue->out_capacity * sizeof *larger,
                                                             capacity * sizeof *larger);

        if (!larger) {
            raft_fail(raft);
            return;
        }
        queue->out = larger;
        queue->out_capacity = capacity;
    }
    if (queue->wanted > queue->durable && queue->writing == 0) {
        queue->writing = queue->wanted;
        queue->out[count] = (struct raft_effect){.kind = RAFT_EFFECT_PERSIST};
        queue->out[count].persist.generation = queue->wanted;
        queue->out[count++].persist.state = state_in_memory(raft);
    }
    for (size_t i = 0; i < queue->count && queue->items[i].generation <= queue->durable; i++)
        queue->out[count++] = queue->items[i].effect;
    out->items = queue->out;
    out->count = count;
}

void raft_queue_release(struct raft *raft)
{
    struct raft_queue *queue = &raft->queue;

    RAFT_FREE_ARRAY(raft, queue->items, queue->capacity);
    RAFT_FREE_ARRAY(raft, queue->out, queue->out_capacity);
    arena_release(&queue->arena);
}

void *raft_scratch(struct raft *raft, size_t size_bytes)
{
    void *memory = arena_zeroed(&raft->queue.arena, 1, size_bytes);

    if (!memory)
        raft_fail(raft);
    return memory;
}

struct raft_endpoints raft_scratch_endpoints(struct raft *raft, struct raft_endpoints from)
{
    void *memory = raft_scratch(raft, raft_endpoints_bytes(from));

    return memory ? raft_endpoints_place(memory, from) : (struct raft_endpoints){NULL, 0};
}

struct raft_voters raft_scratch_voters(struct raft *raft, struct raft_voters from)
{
    void *memory = raft_scratch(raft, raft_voters_bytes(from));

    return memory ? raft_voters_place(memory, from) : (struct raft_voters){NULL, 0};
}

int32_t *raft_scratch_ids(struct raft *raft, struct raft_voters from)
{
    int32_t *ids = raft_scratch(raft, from.count * sizeof *ids);

    for (size_t i = 0; ids && i < from.count; i++)
        ids[i] = from.items[i].key.id;
    return ids;
}

static struct raft_reply *emit_reply(struct raft *raft, uint64_t token, enum raft_api api)
{
    struct raft_effect *effect = raft_emit(raft, RAFT_EFFECT_REPLY);

    effect->reply.token = token;
    effect->reply.reply.api = api;
    effect->reply.reply.leader_id = -1;
    return &effect->reply.reply;
}

struct raft_reply *raft_emit_reply(struct raft *raft, uint64_t token, enum raft_api api,
                                   enum err error, struct slice listener)
{
    struct raft_reply *reply = emit_reply(raft, token, api);
    struct raft_endpoint endpoint;

    reply->error = error;
    reply->leader_id = raft->leader_id;
    reply->leader_epoch = raft->epoch;
    if (raft_leader_endpoint(raft, listener, &endpoint))
        reply->leader_endpoints =
            raft_scratch_endpoints(raft, (struct raft_endpoints){&endpoint, 1});
    return reply;
}

struct raft_reply *raft_emit_reply_top(struct raft *raft, uint64_t token, enum raft_api api,
                                       enum err error_top)
{
    struct raft_reply *reply = emit_reply(raft, token, api);

    reply->error_top = error_top;
    return reply;
}

void raft_emit_high_watermark(struct raft *raft, int64_t offset)
{
    if (offset <= raft->high_watermark)
        return;
    raft->high_watermark = offset;
    raft_emit(raft, RAFT_EFFECT_HIGH_WATERMARK)->high_watermark.offset = offset;
}

void raft_emit_voters(struct raft *raft)
{
    struct raft_voters voters = raft_scratch_voters(raft, raft_voters_now(raft));
    struct raft_effect *effect = raft_emit(raft, RAFT_EFFECT_VOTERS);

    effect->voters.offset = raft_voters_offset(raft);
    effect->voters.kraft_version = raft_kraft_version_now(raft);
    effect->voters.voters = voters;
}
