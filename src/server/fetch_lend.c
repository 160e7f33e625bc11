/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_lend.c: the session of a fetch, wherever it lives. A session that another shard
 * holds is lent for one fetch: the fetch goes there by mail, is checked, and comes home with it.
 * docs/design/fetch.md §2.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"

static void params_read(const struct request *request,
                        const struct fetch_request_fetch_topic *topic,
                        const struct fetch_request_fetch_partition *partition,
                        struct fetch_params *out)
{
    bool uses_ids = request->header.api_version >= 13;

    *out = (struct fetch_params){
        .topic_id = uses_ids ? topic->topic_id : UUID_ZERO,
        .topic = uses_ids ? SLICE_NULL : topic->topic,
        .index = partition->partition,
        .current_leader_epoch = partition->current_leader_epoch,
        .offset = partition->fetch_offset,
        .last_fetched_epoch = partition->last_fetched_epoch,
        .log_start_offset = partition->log_start_offset,
        .bytes_max = partition->partition_max_bytes,
    };
}

static enum err session_update(struct fetch_sessions *sessions, struct fetch_session *session,
                               const struct request *request)
{
    const struct fetch_request *body = request->body;
    bool uses_ids = request->header.api_version >= 13;

    for (int32_t i = 0; i < body->topics_count; i++) {
        for (int32_t j = 0; j < body->topics[i].partitions_count; j++) {
            struct fetch_params params;

            params_read(request, &body->topics[i], &body->topics[i].partitions[j], &params);
            TRY(fetch_session_put(sessions, session, &params));
        }
    }
    for (int32_t i = 0; i < body->forgotten_topics_data_count; i++) {
        const struct fetch_request_forgotten_topic *topic = &body->forgotten_topics_data[i];

        for (int32_t j = 0; j < topic->partitions_count; j++)
            fetch_session_forget(sessions, session, uses_ids ? topic->topic_id : UUID_ZERO,
                                 uses_ids ? SLICE_NULL : topic->topic, topic->partitions[j]);
    }
    return OK;
}

/* On the session's shard. */
static void session_step(struct fetch_state *state, struct shard *shard)
{
    const struct fetch_request *body = state->request->body;
    struct fetch_sessions *sessions = &shard->fetches->sessions;
    struct fetch_session *session;
    bool is_remote = shard != state->request->shard;
    bool uses_ids = state->request->header.api_version >= 13;

    session = fetch_sessions_find(sessions, body->session_id);
    if (session && !session->is_lent && FAULT_POINT(fetch_session_evicted)) {
        fetch_sessions_remove(sessions, session);
        session = NULL;
    }
    if (body->session_epoch <= FETCH_EPOCH_INITIAL) {
        if (session)
            fetch_sessions_remove(sessions, session);
        return;
    }
    if (session && (session->is_lent || (is_remote && session->uses > 0))) {
        state->session_err = ERR_INVALID_FETCH_SESSION_EPOCH;
        return;
    }
    state->session_err = fetch_sessions_accept(sessions, body->session_id, body->session_epoch,
                                               uses_ids, reactor_now_ms(shard->reactor), &session);
    if (state->session_err != OK)
        return;
    state->session_err = session_update(sessions, session, state->request);
    if (state->session_err != OK) {
        fetch_sessions_remove(sessions, session);
        return;
    }
    if (fetch_session_size(session) == 0) {
        fetch_sessions_remove(sessions, session); /* nothing left: goes on without */
        state->is_full = true;
        return;
    }
    fetch_session_use(session);
    session->is_lent = is_remote;
    state->session = session;
    state->session_id = session->id;
    state->session_epoch_next = session->epoch;
}

static void session_known(struct fetch_state *state)
{
    if (state->session_err != OK)
        fetch_answer_session_error(state);
    else
        fetch_begin(state);
}

static void session_deliver(struct mail *mail, struct reactor *to)
{
    struct fetch_state *state = CONTAINER_OF(mail, struct fetch_state, session_mail);
    struct shard *home = state->request->shard;
    struct shard *there = &home->node->shards[state->session_shard];

    UNUSED(to);
    if (state->session_home) {
        state->mails--;
        session_known(state);
        return;
    }
    session_step(state, there);
    state->session_home = true;
    reactor_send(there->reactor, home->reactor, &state->session_mail);
}

void fetch_session_begin(struct fetch_state *state)
{
    const struct fetch_request *body = state->request->body;
    struct shard *home = state->request->shard;

    state->session_shard = home->index;
    state->is_full = true;
    if (state->request->header.api_version < 7) {
        session_known(state);
        return;
    }
    state->wants_session = body->session_epoch == FETCH_EPOCH_INITIAL;
    state->is_full = body->session_epoch <= FETCH_EPOCH_INITIAL;
    if (body->session_id == FETCH_SESSION_ID_NONE) {
        if (!state->is_full)
            state->session_err = ERR_FETCH_SESSION_ID_NOT_FOUND;
        session_known(state);
        return;
    }
    state->session_shard = fetch_session_shard(body->session_id, (int)home->node->shard_count);
    if (state->session_shard == home->index) {
        session_step(state, home);
        session_known(state);
        return;
    }
    state->mails++;
    state->session_home = false;
    state->session_mail = (struct mail){.deliver = session_deliver};
    reactor_send(home->reactor, home->node->shards[state->session_shard].reactor,
                 &state->session_mail);
}

/* ---- giving it back ---- */

static void back_deliver(struct mail *mail, struct reactor *to)
{
    struct fetch_state *state = CONTAINER_OF(mail, struct fetch_state, session_mail);
    struct shard *home = state->request->shard;

    UNUSED(to);
    if (state->session_home) {
        state->mails--;
        fetch_end(state);
        return;
    }
    state->session->is_lent = false;
    fetch_session_unuse(state->session);
    state->session_home = true;
    reactor_send(home->node->shards[state->session_shard].reactor, home->reactor,
                 &state->session_mail);
}

void fetch_session_give_back(struct fetch_state *state)
{
    struct shard *home = state->request->shard;

    if (!state->session || state->session_released)
        return;
    state->session_released = true;
    if (state->session_shard == home->index) {
        fetch_session_unuse(state->session);
        return;
    }
    state->mails++;
    state->session_home = false;
    state->session_mail = (struct mail){.deliver = back_deliver};
    reactor_send(home->reactor, home->node->shards[state->session_shard].reactor,
                 &state->session_mail);
}
