/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_answer.c: the reply: which partitions it holds, in which order, with what.
 * docs/design/fetch.md §7; requests.md §3.2 of the reference.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "server/quota.h"

static int16_t error_code_of(const struct fetch_state *state, const struct fetch_part *part)
{
    if (part->err == ERR_KAFKA_STORAGE_ERROR && state->request->header.api_version <= 5)
        return err_wire_code(ERR_NOT_LEADER_OR_FOLLOWER);
    return err_wire_code(part->err);
}

static void aborted_answer(const struct fetch_state *state, const struct fetch_part *part,
                           struct fetch_response_partition_data *out)
{
    out->aborted_transactions = NULL;
    /* Null for readers of everything and for reads that failed; a list, possibly empty, for what
     * was refused before the read and for readers of what is committed. */
    out->aborted_transactions_count = -1;
    if (!part->is_readable)
        out->aborted_transactions_count = 0;
    if (!state->is_committed || state->replica_id >= 0 || part->err != OK || !part->is_readable)
        return;
    out->aborted_transactions_count = 0;
    if (part->read_bytes == 0 || part->read.aborted_count == 0)
        return;
    out->aborted_transactions =
        fetch_response_aborted_transaction_array(&state->request->arena, part->read.aborted_count);
    if (!out->aborted_transactions) {
        /* Nobody may read them without the list: the client comes again. */
        out->records = SLICE_EMPTY;
        return;
    }
    for (size_t i = 0; i < part->read.aborted_count; i++) {
        out->aborted_transactions[i].producer_id = part->read.aborted[i].producer_id;
        out->aborted_transactions[i].first_offset = part->read.aborted[i].first_offset;
    }
    out->aborted_transactions_count = (int32_t)part->read.aborted_count;
}

static void leader_answer(const struct fetch_state *state, const struct fetch_part *part,
                          struct fetch_response_partition_data *out)
{
    const struct metadata_topic *topic;
    const struct metadata_partition *metadata;

    if (state->request->header.api_version < 16 ||
        (part->err != ERR_NOT_LEADER_OR_FOLLOWER && part->err != ERR_FENCED_LEADER_EPOCH))
        return;
    out->current_leader.leader_id = part->leader_id;
    out->current_leader.leader_epoch = part->leader_epoch;
    if (part->leader_epoch >= 0)
        return;
    topic = metadata_image_topic_by_id(state->request->shard->publication->image,
                                       part->params.topic_id);
    metadata = topic ? metadata_topic_partition(topic, part->params.index) : NULL;
    if (metadata) {
        out->current_leader.leader_id = metadata->leader;
        out->current_leader.leader_epoch = metadata->leader_epoch;
    }
}

static void part_answer(const struct fetch_state *state, const struct fetch_part *part,
                        struct fetch_response_partition_data *out)
{
    bool is_read = part->err == OK;

    out->partition_index = part->params.index;
    out->error_code = error_code_of(state, part);
    out->high_watermark = is_read ? part->high_watermark : -1;
    out->last_stable_offset = is_read ? part->last_stable : -1;
    out->log_start_offset = is_read ? part->log_start : -1;
    out->records =
        is_read && part->read_bytes > 0 ? slice_of(part->bytes, part->read_bytes) : SLICE_EMPTY;
    if (part->is_diverging) {
        out->diverging_epoch.epoch = part->diverging_epoch;
        out->diverging_epoch.end_offset = part->diverging_end;
    }
    aborted_answer(state, part, out);
    leader_answer(state, part, out);
}

/* ---- the session ---- */

static bool part_is_answered(struct fetch_state *state, struct fetch_part *part,
                             const struct fetch_response_partition_data *data, bool is_sent)
{
    struct fetch_reply_facts facts = {
        .error_code = data->error_code,
        .high_watermark = data->high_watermark,
        .log_start_offset = data->log_start_offset,
        .has_records = data->records.size_bytes > 0,
        .has_diverging = part->is_diverging,
    };
    struct slice name = state->request->header.api_version >= 13 ? SLICE_NULL : part->params.topic;
    struct fetch_session_partition *cached;

    if (!state->session)
        return true;
    cached = fetch_session_find(state->session, part->params.topic_id, name, part->params.index);
    if (!cached || !is_sent)
        return !cached || state->is_full || fetch_session_wants(cached, &facts);
    return fetch_session_answers(state->session, cached, &facts, state->is_full);
}

/* A full fetch that asked for a session gets one with the partitions of its reply. */
static void session_make(struct fetch_state *state)
{
    struct shard *home = state->request->shard;
    struct fetch_sessions *sessions = &home->fetches->sessions;
    bool uses_ids = state->request->header.api_version >= 13;
    struct fetch_session *session;

    if (!state->wants_session || state->session || state->count == 0 || state->is_gone)
        return;
    session = fetch_sessions_create(sessions, state->replica_id >= 0, uses_ids, state->count,
                                    reactor_now_ms(home->reactor), reactor_random(home->reactor));
    if (!session)
        return;
    for (size_t i = 0; i < state->count; i++) {
        struct fetch_params params = state->parts[i].params;

        if (uses_ids)
            params.topic = SLICE_NULL;
        if (fetch_session_put(sessions, session, &params) != OK) {
            fetch_sessions_remove(sessions, session);
            return;
        }
    }
    fetch_session_use(session);
    state->session = session;
    state->session_shard = home->index;
    state->session_id = session->id;
    state->session_epoch_next = session->epoch;
    state->is_full = true;
}

/* ---- the body ---- */

static bool same_topic(const struct fetch_state *state,
                       const struct fetch_response_fetchable_topic_response *topic,
                       const struct fetch_part *part)
{
    return state->request->header.api_version >= 13
               ? uuid_equal(topic->topic_id, part->params.topic_id)
               : slice_equal(topic->topic, part->params.topic);
}

/* Which errors Kafka counts as a failed fetch: none of what happens to clients of a broker that is well. */
static bool is_failure(int16_t error_code)
{
    switch (err_from_wire(error_code)) {
    case ERR_OFFSET_OUT_OF_RANGE:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_UNKNOWN_TOPIC_ID:
    case ERR_INCONSISTENT_TOPIC_ID:
    case ERR_TOPIC_AUTHORIZATION_FAILED:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_REPLICA_NOT_AVAILABLE:
    case ERR_FENCED_LEADER_EPOCH:
    case ERR_UNKNOWN_LEADER_EPOCH:
    case ERR_KAFKA_STORAGE_ERROR:
        return false;
    default:
        return true;
    }
}

/* is_sent: the session remembers it; otherwise it is only looked at how large it would be. */
static int64_t topics_answer(struct fetch_state *state, struct fetch_response *response,
                             bool is_sent)
{
    struct arena *arena = &state->request->arena;
    struct fetch_response_partition_data *data =
        fetch_response_partition_data_array(arena, state->count);
    struct fetch_response_fetchable_topic_response *topics =
        fetch_response_fetchable_topic_response_array(arena, state->count);
    struct shard_metrics *metrics = &state->request->shard->metrics;
    int64_t bytes = 0;
    int32_t topic_count = 0;
    size_t at = 0;

    if (!data || !topics)
        return 0;
    /* What was refused before the read comes behind what was read. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < state->count; i++) {
            struct fetch_part *part = &state->parts[i];
            struct fetch_response_fetchable_topic_response *topic =
                topic_count > 0 ? &topics[topic_count - 1] : NULL;

            if (part->is_readable != (pass == 0))
                continue;
            part_answer(state, part, &data[at]);
            if (!part_is_answered(state, part, &data[at], is_sent)) {
                fetch_response_partition_data_init(&data[at]);
                continue;
            }
            if (!topic || !same_topic(state, topic, part)) {
                topic = &topics[topic_count++];
                /* The request's own: the image's may be gone by now. */
                topic->topic = slice_is_null(part->params.topic) ? SLICE_EMPTY : part->params.topic;
                topic->topic_id = part->params.topic_id;
                topic->partitions = &data[at];
            }
            metrics->fetch_requests_failed +=
                is_sent && data[at].error_code != 0 && is_failure(data[at].error_code);
            bytes += (int64_t)data[at].records.size_bytes;
            topic->partitions_count++;
            at++;
        }
    }
    response->responses = topics;
    response->responses_count = topic_count;
    return bytes;
}

static void endpoints_answer(struct fetch_state *state, struct fetch_response *response)
{
    struct request *request = state->request;
    const struct metadata_image *image = request->shard->publication->image;
    struct fetch_response_node_endpoint *endpoints;
    size_t most = metadata_image_broker_count(image);
    int32_t count = 0;
    size_t wanted = 0;

    for (int32_t i = 0; i < response->responses_count; i++)
        for (int32_t j = 0; j < response->responses[i].partitions_count; j++)
            wanted += response->responses[i].partitions[j].current_leader.leader_id >= 0;
    most = MIN(most, wanted);
    endpoints = most > 0 ? fetch_response_node_endpoint_array(&request->arena, most) : NULL;
    for (int32_t i = 0; endpoints && i < response->responses_count; i++) {
        for (int32_t j = 0; j < response->responses[i].partitions_count; j++) {
            int32_t id = response->responses[i].partitions[j].current_leader.leader_id;
            const struct metadata_broker *broker;
            bool is_there = false;

            for (int32_t k = 0; k < count; k++)
                is_there = is_there || endpoints[k].node_id == id;
            if (id < 0 || is_there || (size_t)count == most ||
                !request_broker_endpoint(request, id, &endpoints[count].host,
                                         &endpoints[count].port))
                continue;
            broker = metadata_image_broker(image, id);
            endpoints[count].node_id = id;
            endpoints[count].rack = broker ? broker->rack : SLICE_NULL;
            count++;
        }
    }
    response->node_endpoints = endpoints;
    response->node_endpoints_count = count;
}

/* A consumer over its quota gets nothing now, and what it did not get is not counted; its session
 * learns of nothing either. */
static bool quota_throttles(struct fetch_state *state)
{
    struct request *request = state->request;
    struct quota_service *quotas = request->shard->quotas;
    struct fetch_response *wanted;
    struct slice user;
    size_t size_bytes;
    int32_t throttle_ms;

    if (state->replica_id >= 0 || !request->session)
        return false;
    user = request->session->kind->principal;
    if (slice_starts_with(user, SLICE("User:")))
        user = slice_sub(user, 5, SIZE_MAX);
    if (quota_fetch_bytes_max(quotas, user, request->header.client_id) == INT64_MAX)
        return false;
    wanted = fetch_response_array(&request->arena, 1);
    if (!wanted)
        return false;
    (void)topics_answer(state, wanted, false);
    if (message_size(&fetch_response_type, request->header.api_version, wanted, &size_bytes) != OK)
        return false;
    throttle_ms =
        quota_record(quotas, QUOTA_FETCH, user, request->header.client_id, (double)size_bytes);
    if (throttle_ms <= 0)
        return false;
    quota_unrecord(quotas, QUOTA_FETCH, user, request->header.client_id, (double)size_bytes);
    request->shard->metrics.throttled_ms_fetch += (uint64_t)throttle_ms;
    request_throttle(request, throttle_ms);
    return true;
}

static void session_metrics(struct fetch_state *state)
{
    const struct fetch_sessions *sessions = &state->service->sessions;
    struct shard_metrics *metrics = &state->request->shard->metrics;

    metrics->fetch_sessions = sessions->sessions.count;
    metrics->fetch_session_partitions = sessions->partition_count;
    metrics->fetch_sessions_evicted = sessions->evictions;
}

static void answer_send(struct fetch_state *state)
{
    struct request *request = state->request;
    struct fetch_response *response = request_response(request);
    int64_t bytes;

    /* Another request took the session on while this one was under way. */
    if (state->session && state->session->epoch != state->session_epoch_next) {
        response->error_code = err_wire_code(ERR_INVALID_FETCH_SESSION_EPOCH);
        response->session_id = state->session_id;
        request_answer(request, response);
        return;
    }
    if (!quota_throttles(state)) {
        session_make(state);
        fetch_memory_lend(state);
        bytes = topics_answer(state, response, true);
        if (state->replica_id < 0) /* a follower knows the brokers */
            endpoints_answer(state, response);
        request->shard->metrics.bytes_out += (uint64_t)bytes;
    }
    response->session_id = state->session_id;
    session_metrics(state);
    request_answer(request, response);
}

void fetch_end(struct fetch_state *state)
{
    if (state->stage != FETCH_ANSWERED || state->left > 0 || state->mails > 0)
        return;
    fetch_memory_free(state);
    request_release_hold(state->request);
}

void fetch_answer(struct fetch_state *state)
{
    ASSERT(state->stage == FETCH_READING);
    state->request->cancelled = NULL;
    if (state->is_gone)
        request_answer_nothing(state->request);
    else
        answer_send(state);
    state->stage = FETCH_ANSWERED;
    state->is_submitting = true;
    fetch_release_planned(state, true);
    state->is_submitting = false;
    fetch_session_give_back(state);
    fetch_end(state);
}

void fetch_answer_session_error(struct fetch_state *state)
{
    struct fetch_response *response = request_response(state->request);

    response->error_code = err_wire_code(state->session_err);
    state->request->cancelled = NULL;
    request_answer(state->request, response);
    state->stage = FETCH_ANSWERED;
    fetch_end(state);
}
