/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/each_partition.c: see the header. docs/design/partitions.md §8.
 */
#include "server/handlers/each_partition.h"

#include "base/assert.h"

const struct metadata_topic *each_topic(const struct request *request, struct slice name)
{
    return metadata_image_topic(request->shard->publication->image, name);
}

enum err each_known(const struct metadata_topic *topic, int32_t index)
{
    return topic && metadata_topic_partition(topic, index) ? OK : ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

struct each_state *each_create(struct request *request, size_t capacity)
{
    struct each_state *state = ARENA_NEW(&request->arena, struct each_state);

    if (state) {
        state->request = request;
        state->capacity = capacity;
        state->parts = ARENA_ARRAY(&request->arena, struct each_part, capacity);
    }
    if (!state || !state->parts) {
        request_close(request, "no memory for a request");
        return NULL;
    }
    request->state = state;
    return state;
}

static void part_run(struct partition_op *op, struct partition *partition)
{
    struct each_part *part = CONTAINER_OF(op, struct each_part, op);

    part->state->run(part, partition);
}

static void part_done(struct partition_op *op)
{
    struct each_part *part = CONTAINER_OF(op, struct each_part, op);
    struct each_state *state = part->state;

    if (op->err != OK)
        part->err = op->err;
    ASSERT(state->left > 0);
    if (--state->left == 0 && !state->is_submitting)
        state->finish(state);
}

struct each_part *each_add(struct each_state *state, const struct metadata_topic *topic,
                           int32_t index, const void *asked, void *answer, enum err err)
{
    struct each_part *part;

    ASSERT(state->count < state->capacity);
    part = &state->parts[state->count++];
    part->state = state;
    part->asked = asked;
    part->answer = answer;
    part->err = err;
    part->offset = -1;
    part->timestamp = -1;
    part->epoch = -1;
    part->is_sent = err == OK && topic;
    part->op = (struct partition_op){
        .topic_id = topic ? topic->id : UUID_ZERO,
        .index = index,
        .run = part_run,
        .done = part_done,
    };
    return part;
}

void each_submit(struct each_state *state)
{
    if (state->is_short) {
        request_answer_failed(state->request, ERR_NO_MEMORY, NULL);
        return;
    }
    state->is_submitting = true;
    for (size_t i = 0; i < state->count; i++)
        state->left += state->parts[i].is_sent;
    for (size_t i = 0; i < state->count; i++)
        if (state->parts[i].is_sent)
            partition_op_submit(state->request->shard, &state->parts[i].op);
    state->is_submitting = false;
    if (state->left == 0)
        state->finish(state);
}
