/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce_answer.c: what became of each partition, as the Produce response says it.
 * docs/design/produce.md §5.
 */
#include "server/handlers/produce_internal.h"

#include "base/assert.h"
#include "network/network.h"
#include "server/quota.h"

/* The parts that were not begun must find their memory: part of a request is no answer. */
static bool is_room_for(const struct produce_state *state, size_t size_bytes)
{
    const struct arena *arena = &state->request->arena;

    return arena->limit_bytes - arena->used_bytes >
           size_bytes + (state->count - state->begun) * sizeof(struct produce_part);
}

static void record_errors_answer(struct produce_part *part, struct arena *arena)
{
    struct produce_response_partition_produce_response *answer = part->answer;
    const struct produce_failure *failure = part->failure;
    struct produce_response_batch_index_and_error_message *errors;

    if (failure->record_error_count == 0 ||
        !is_room_for(part->state, (size_t)failure->record_error_count * sizeof(*errors) +
                                      failure->arena.used_bytes))
        return;
    errors = produce_response_batch_index_and_error_message_array(
        arena, (size_t)failure->record_error_count);
    if (!errors)
        return;
    for (int32_t i = 0; i < failure->record_error_count; i++) {
        errors[i].batch_index = failure->record_errors[i].batch_index;
        errors[i].batch_index_error_message = arena_copy(arena, failure->record_errors[i].message);
    }
    answer->record_errors = errors;
    answer->record_errors_count = failure->record_error_count;
}

void produce_failure_free(struct produce_part *part)
{
    struct produce_failure *failure = TAKE(part->failure);

    if (!failure)
        return;
    arena_release(&failure->arena);
    SERVER_DELETE(failure);
}

/* Local state first, then metadata, as far as either knows. */
static void current_leader_answer(struct produce_part *part)
{
    const struct request *request = part->state->request;
    const struct metadata_topic *topic =
        metadata_image_topic_by_id(request->shard->publication->image, part->op.topic_id);
    const struct metadata_partition *metadata =
        topic ? metadata_topic_partition(topic, part->op.index) : NULL;

    if (part->leader_epoch < 0 && metadata) {
        part->leader_id = metadata->leader;
        part->leader_epoch = metadata->leader_epoch;
    }
    part->answer->current_leader.leader_id = part->leader_id;
    part->answer->current_leader.leader_epoch = part->leader_epoch;
}

void produce_part_answer(struct produce_part *part)
{
    struct produce_response_partition_produce_response *answer = part->answer;
    struct arena *arena = &part->state->request->arena;
    /* Not home yet: the time is out. Only what was fixed before is read, the rest is the
     * owner's. */
    bool undecided = part->is_sent && !part->is_done;
    enum err err = undecided ? ERR_REQUEST_TIMED_OUT : part->err;

    answer->error_code = err_wire_code(err);
    part->state->failed += err != OK;
    answer->base_offset = undecided ? part->told_offset : part->base_offset;
    answer->log_append_time_ms = -1;
    answer->log_start_offset = -1;
    if (undecided)
        return;
    answer->log_append_time_ms = part->log_append_time_ms;
    answer->log_start_offset = part->log_start_offset;
    if (err == OK) {
        produce_failure_free(part); /* a job had one at hand */
        return;
    }
    if (part->failure) {
        answer->error_message = arena_copy(arena, part->failure->message);
        record_errors_answer(part, arena);
        produce_failure_free(part);
    }
    if (err == ERR_NOT_LEADER_OR_FOLLOWER && part->state->request->header.api_version >= 10)
        current_leader_answer(part);
}

static void endpoints_answer(struct produce_state *state)
{
    struct produce_response *response = state->response;
    struct request *request = state->request;
    struct produce_response_node_endpoint *endpoints;
    /* one array, whatever the topics */
    const struct produce_response_partition_produce_response *answers =
        response->responses[0].partition_responses;
    size_t wanted = 0;
    int32_t count = 0;

    for (size_t i = 0; i < state->count; i++)
        wanted += answers[i].current_leader.leader_id >= 0;
    wanted = MIN(wanted, metadata_image_broker_count(request->shard->publication->image));
    if (wanted == 0)
        return;
    endpoints = produce_response_node_endpoint_array(&request->arena, wanted);
    for (size_t i = 0; endpoints && i < state->count && (size_t)count < wanted; i++) {
        int32_t id = answers[i].current_leader.leader_id;
        struct produce_response_node_endpoint *endpoint = &endpoints[count];
        const struct metadata_broker *broker;
        bool is_there = false;

        for (int32_t j = 0; j < count; j++)
            is_there = is_there || endpoints[j].node_id == id;
        if (id < 0 || is_there ||
            !request_broker_endpoint(request, id, &endpoint->host, &endpoint->port))
            continue;
        broker = metadata_image_broker(request->shard->publication->image, id);
        endpoint->node_id = id;
        endpoint->rack = broker ? broker->rack : SLICE_NULL;
        count++;
    }
    response->node_endpoints = endpoints;
    response->node_endpoints_count = count;
}

static struct slice user_of(const struct request *request)
{
    struct slice principal = request->session ? request->session->kind->principal : SLICE_EMPTY;

    return slice_starts_with(principal, SLICE("User:")) ? slice_sub(principal, 5, SIZE_MAX)
                                                        : principal;
}

static void quota_apply(struct produce_state *state)
{
    struct request *request = state->request;
    int32_t throttle_ms;

    if (!request->session)
        return;
    throttle_ms = quota_record(request->shard->quotas, QUOTA_PRODUCE, user_of(request),
                               request->header.client_id, (double)request->frame->size_bytes);
    if (throttle_ms > 0) {
        request->shard->metrics.throttled_ms_produce += (uint64_t)throttle_ms;
        request_throttle(request, throttle_ms);
    }
}

void produce_answer(struct produce_state *state)
{
    struct request *request = state->request;

    ASSERT(!state->is_answered && (state->begun == state->count || state->is_short));
    state->is_answered = true;
    timer_cancel(request->shard->reactor, &state->timer);
    if (state->is_counted_delayed)
        request->shard->metrics.produce_delayed--;
    /* Those that are home have their answers; the time of the others is out. */
    LIST_EACH (node, &state->sent)
        produce_part_answer(LIST_ITEM(node, struct produce_part, node));
    quota_apply(state);
    if (state->is_short) {
        request_close(request, "no memory for a Produce request");
    } else if (state->acks == 0 && state->failed > 0) {
        request_close(request, "Produce without acknowledgement failed");
    } else if (state->acks == 0) {
        request_answer_nothing(request);
    } else {
        if (state->failed > 0)
            endpoints_answer(state);
        request_answer(request, state->response);
    }
}
