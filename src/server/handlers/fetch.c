/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/fetch.c: Fetch (1) on the broker listener: limits, session, the list of
 * partitions. The rest is server/fetch_*.c. docs/design/fetch.md; requests.md §3.2 of the
 * reference.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "server/handlers/handlers.h"
#include "server/quota.h"

/* *topic_before: of the part before, which mostly is this one's too. */
static void part_resolve(struct fetch_state *state, struct fetch_part *part,
                         const struct metadata_topic **topic_before)
{
    const struct metadata_image *image = state->request->shard->publication->image;
    bool uses_ids = state->request->header.api_version >= 13;
    const struct metadata_topic *topic = *topic_before;

    if (!topic || !(uses_ids ? uuid_equal(topic->id, part->params.topic_id)
                             : slice_equal(topic->name, part->params.topic)))
        topic = uses_ids ? metadata_image_topic_by_id(image, part->params.topic_id)
                         : metadata_image_topic(image, part->params.topic);
    *topic_before = topic;

    part->high_watermark = -1;
    part->last_stable = -1;
    part->log_start = -1;
    part->leader_id = -1;
    part->leader_epoch = -1;
    if (!topic)
        part->err = uses_ids ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!metadata_topic_partition(topic, part->params.index))
        part->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic)
        part->params.topic_id = topic->id;
    part->is_readable = part->err == OK;
    state->readable += part->is_readable;
}

/* A part is large, and half of it the planned read, which is set when it is planned. */
static bool parts_allocate(struct fetch_state *state)
{
    if (state->count > SIZE_MAX / sizeof *state->parts)
        return false;
    state->parts = arena_allocate(&state->request->arena, state->count * sizeof *state->parts);
    for (size_t i = 0; state->parts && i < state->count; i++) {
        memset(&state->parts[i], 0, offsetof(struct fetch_part, read));
        state->parts[i].state = state;
    }
    return state->parts != NULL;
}

static bool parts_of_request(struct fetch_state *state)
{
    const struct fetch_request *body = state->request->body;
    bool uses_ids = state->request->header.api_version >= 13;
    size_t at = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        state->count += (size_t)body->topics[i].partitions_count;
    if (!parts_allocate(state))
        return false;
    for (int32_t i = 0; i < body->topics_count; i++) {
        for (int32_t j = 0; j < body->topics[i].partitions_count; j++) {
            const struct fetch_request_fetch_partition *from = &body->topics[i].partitions[j];

            state->parts[at++].params = (struct fetch_params){
                .topic_id = uses_ids ? body->topics[i].topic_id : UUID_ZERO,
                .topic = uses_ids ? SLICE_NULL : body->topics[i].topic,
                .index = from->partition,
                .current_leader_epoch = from->current_leader_epoch,
                .offset = from->fetch_offset,
                .last_fetched_epoch = from->last_fetched_epoch,
                .log_start_offset = from->log_start_offset,
                .bytes_max = from->partition_max_bytes,
            };
        }
    }
    return true;
}

static bool parts_of_session(struct fetch_state *state)
{
    size_t at = 0;

    state->count = fetch_session_size(state->session);
    if (!parts_allocate(state))
        return false;
    LIST_EACH (node, &state->session->order) {
        struct fetch_session_partition *cached =
            LIST_ITEM(node, struct fetch_session_partition, order);
        struct fetch_part *part = &state->parts[at++];

        part->params = cached->params;
        /* The session may lose the partition while we wait. */
        part->params.topic = arena_copy(&state->request->arena, cached->params.topic);
        if (slice_is_null(part->params.topic) && !slice_is_null(cached->params.topic))
            return false;
    }
    return true;
}

void fetch_begin(struct fetch_state *state)
{
    bool is_built = state->session ? parts_of_session(state) : parts_of_request(state);
    const struct metadata_topic *topic = NULL;

    if (!is_built) {
        state->is_gone = true; /* the arena is at its limit */
        state->count = 0;
        request_close(state->request, "no memory for a Fetch request");
        state->stage = FETCH_ANSWERED;
        fetch_session_give_back(state);
        fetch_end(state);
        return;
    }
    for (size_t i = 0; i < state->count; i++) {
        part_resolve(state, &state->parts[i], &topic);
    }
    fetch_plan(state);
}

static void fetch_cancelled(struct request *request)
{
    struct fetch_state *state = request->state;

    state->is_gone = true;
    if (state->stage == FETCH_PARKED && state->left == 0)
        reactor_defer(request->shard->reactor, &state->wake);
}

static struct slice user_of(const struct request *request)
{
    struct slice principal = request->session->kind->principal;

    return slice_starts_with(principal, SLICE("User:")) ? slice_sub(principal, 5, SIZE_MAX)
                                                        : principal;
}

void handle_fetch(struct request *request)
{
    const struct fetch_request *body = request->body;
    struct shard *shard = request->shard;
    struct fetch_state *state;

    if (body->isolation_level != 0 && body->isolation_level != 1) {
        request_answer_failed(request, ERR_UNKNOWN_SERVER_ERROR, NULL);
        return;
    }
    state = ARENA_NEW(&request->arena, struct fetch_state);
    if (!state) {
        request_close(request, "no memory for a Fetch request");
        return;
    }
    state->request = request;
    state->service = shard->fetches;
    list_init(&state->node);
    state->replica_id =
        request->header.api_version >= 15 ? body->replica_state.replica_id : body->replica_id;
    state->replica_epoch = body->replica_state.replica_epoch;
    state->is_committed = body->isolation_level == 1;
    state->max_wait_ms = body->max_wait_ms;
    state->max_bytes = MIN((int64_t)body->max_bytes,
                           (int64_t)config_int(shard->publication->config, BROKER_FETCH_MAX_BYTES));
    if (state->replica_id < 0)
        state->max_bytes =
            MIN(state->max_bytes,
                quota_fetch_bytes_max(shard->quotas, user_of(request), request->header.client_id));
    state->max_bytes = MAX(state->max_bytes, 0);
    state->min_bytes = MIN((int64_t)body->min_bytes, state->max_bytes);
    request->state = state;
    request->cancelled = fetch_cancelled;
    request_hold(request);
    fetch_session_begin(state);
}
