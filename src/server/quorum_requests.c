/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_requests.c: requests of replicas and tools, from arrival to the answer. A fetch's
 * records and a snapshot's bytes are read here between raft's answer and `done`.
 * Invariants  1. `done` is called once, or never after quorum_request_cancel.
 *             2. no record above the written end leaves; a reader that lost its range gets an empty
 *                one and asks again.
 */
#include "server/quorum_internal.h"

/* Raft's answer outlives the step here: it is copied with what it points at. */
struct request_read {
    struct quorum *quorum;
    struct quorum_request *request; /* NULL: cancelled meanwhile */
    struct raft_reply reply;
    struct arena arena;
    struct log_read log;
    bool has_planned;
    struct os_op job;
    struct os *os;
    char path[QUORUM_PATH_BYTES];
    uint8_t *buffer;
    size_t buffer_bytes;
    size_t got_bytes;
};

void quorum_requests_init(struct quorum *quorum)
{
    list_init(&quorum->requests);
}

static void finish(struct quorum_request *request, const struct raft_reply *reply,
                   struct slice records)
{
    list_remove(&request->node);
    request->token = 0;
    request->done(request, reply, records);
}

static enum err reply_copy(struct request_read *read, const struct raft_reply *reply)
{
    struct raft_endpoint *endpoints;

    read->reply = *reply;
    read->reply.error_text = NULL; /* neither of the two has one */
    endpoints = ARENA_ARRAY(&read->arena, struct raft_endpoint, reply->leader_endpoints.count);
    if (!endpoints)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < reply->leader_endpoints.count; i++) {
        const struct raft_endpoint *from = &reply->leader_endpoints.items[i];

        endpoints[i].listener = arena_copy(&read->arena, from->listener);
        endpoints[i].host = arena_copy(&read->arena, from->host);
        endpoints[i].port = from->port;
    }
    read->reply.leader_endpoints.items = endpoints;
    return OK;
}

static void read_end(struct request_read *read, struct slice bytes)
{
    struct quorum *quorum = read->quorum;

    if (read->request) {
        read->request->read = NULL;
        finish(read->request, &read->reply, bytes);
    }
    server_free(read->buffer, read->buffer_bytes);
    arena_release(&read->arena);
    SERVER_DELETE(read);
    quorum_end(quorum);
}

/* As much as the peer has asked for. */
static bool buffer_take(struct request_read *read, size_t size_bytes)
{
    read->buffer = heap_allocator.allocate(&heap_allocator, size_bytes);
    read->buffer_bytes = read->buffer ? size_bytes : 0;
    return read->buffer != NULL;
}

/* For lack of memory: it comes again. */
static void read_refuse(struct request_read *read)
{
    read->reply.error = ERR_UNKNOWN_SERVER_ERROR;
    if (read->reply.api == RAFT_API_FETCH_SNAPSHOT)
        read->reply.fetch_snapshot.chunk_bytes = 0;
    read_end(read, SLICE_EMPTY);
}

/* ---- records ---- */

static void records_go_on(struct request_read *read)
{
    struct log_read *log = &read->log;

    if (log->err == OK && !read->has_planned && log->size_bytes > 0) {
        read->has_planned = true;
        if (buffer_take(read, log->size_bytes)) {
            log_read_bytes(log, read->buffer);
            return;
        }
        log_read_release(log);
        read_refuse(read);
        return;
    }
    log_read_release(log);
    if (log->err != OK)
        read->reply.error = ERR_KAFKA_STORAGE_ERROR;
    read_end(read, log->err == OK && read->has_planned ? slice_of(read->buffer, log->read_bytes)
                                                       : SLICE_EMPTY);
}

static void records_done(struct log_read *log)
{
    records_go_on(CONTAINER_OF(log, struct request_read, log));
}

static void records_read(struct request_read *read)
{
    const struct raft_fetch_answer *fetch = &read->reply.fetch;

    read->log = (struct log_read){
        .offset = fetch->read_offset,
        .bound_offset = log_end_written(read->quorum->log),
        .bytes_max = (size_t)fetch->read_bytes_max,
        .at_least_one = true,
        .done = records_done,
    };
    if (log_read_plan(read->quorum->log, &read->log))
        records_go_on(read);
}

/* ---- a piece of a snapshot ---- */

static void chunk_run(struct os_op *job)
{
    struct request_read *read = CONTAINER_OF(job, struct request_read, job);
    CLEANUP(os_file_close) struct os_file *file = NULL;

    job->err = os_file_open(read->os, read->path, OS_OPEN_READ, &file);
    if (job->err == OK)
        job->err = os_file_read(file, read->buffer, read->buffer_bytes,
                                read->reply.fetch_snapshot.position, &read->got_bytes);
}

static void chunk_done(struct os_op *job)
{
    struct request_read *read = CONTAINER_OF(job, struct request_read, job);

    if (job->err == OK && read->got_bytes == read->buffer_bytes) {
        read_end(read, slice_of(read->buffer, read->got_bytes));
        return;
    }
    /* Cleaned away between raft's look and ours. */
    read->reply.error = ERR_SNAPSHOT_NOT_FOUND;
    read->reply.fetch_snapshot.chunk_bytes = 0;
    read_end(read, SLICE_EMPTY);
}

static void chunk_read(struct request_read *read)
{
    const struct raft_fetch_snapshot_answer *answer = &read->reply.fetch_snapshot;
    struct snapshot_id id = {answer->snapshot_id.offset, answer->snapshot_id.epoch};
    char name[SNAPSHOT_NAME_BYTES];

    snapshot_name(id, name);
    fmt(read->path, sizeof read->path, "%s/%s", read->quorum->path, name);
    read->os = read->quorum->node->os;
    if (!buffer_take(read, (size_t)answer->chunk_bytes)) {
        read_refuse(read);
        return;
    }
    read->job = (struct os_op){.kind = OS_OP_JOB, .run = chunk_run, .done = chunk_done};
    reactor_submit(read->quorum->reactor, &read->job);
}

/* ---- the answer ---- */

static bool wants_records(const struct raft_reply *reply)
{
    return reply->api == RAFT_API_FETCH && reply->error == OK && reply->error_top == OK &&
           reply->fetch.read_bytes_max > 0;
}

static bool wants_chunk(const struct raft_reply *reply)
{
    return reply->api == RAFT_API_FETCH_SNAPSHOT && reply->error == OK && reply->error_top == OK &&
           reply->fetch_snapshot.chunk_bytes > 0;
}

void quorum_reply(struct quorum *quorum, uint64_t token, const struct raft_reply *reply)
{
    struct quorum_request *request = NULL;
    struct request_read *read;

    LIST_EACH (node, &quorum->requests) {
        request = LIST_ITEM(node, struct quorum_request, node);
        if (request->token == token)
            break;
        request = NULL;
    }
    if (!request)
        return; /* it was cancelled */
    if (!wants_records(reply) && !wants_chunk(reply)) {
        finish(request, reply, SLICE_EMPTY);
        return;
    }
    read = SERVER_NEW(struct request_read);
    arena_init(&read->arena, &heap_allocator, SIZE_MAX);
    read->quorum = quorum;
    read->request = request;
    request->read = read;
    quorum_begin(quorum);
    if (reply_copy(read, reply) != OK) {
        read->reply.error = ERR_UNKNOWN_SERVER_ERROR;
        read->reply.leader_endpoints.count = 0;
        read_end(read, SLICE_EMPTY);
    } else if (wants_records(reply)) {
        records_read(read);
    } else {
        chunk_read(read);
    }
}

static void refuse(struct quorum_request *request)
{
    struct raft_reply reply = {
        .api = request->request->api,
        .error = ERR_NOT_LEADER_OR_FOLLOWER,
        .leader_id = -1,
    };

    if (reply.api == RAFT_API_FETCH) {
        reply.fetch.high_watermark = reply.fetch.log_start_offset = -1;
        reply.fetch.diverging.epoch = reply.fetch.snapshot_id.epoch = -1;
    }
    finish(request, &reply, SLICE_EMPTY);
}

void quorum_request(struct quorum *quorum, struct quorum_request *request)
{
    struct raft_event event = {.kind = RAFT_EVENT_REQUEST};

    list_push_back(&quorum->requests, &request->node);
    request->quorum = quorum;
    request->read = NULL;
    request->token = quorum_token(quorum);
    if (!quorum_is_running(quorum)) {
        refuse(request);
        return;
    }
    if (request->request->api == RAFT_API_FETCH &&
        request->request->fetch.replica.id != quorum->node->config.node_id)
        quorum->remote_fetch_ms = reactor_now_ms(quorum->reactor);
    event.request.token = request->token;
    event.request.listener = request->listener;
    event.request.request = request->request;
    quorum_feed(quorum, event);
}

void quorum_request_cancel(struct quorum_request *request)
{
    struct request_read *read = request->read;

    struct raft_event event = {.kind = RAFT_EVENT_REQUEST_GONE};

    if (request->token == 0)
        return;
    event.request_gone.token = request->token;
    list_remove(&request->node);
    request->token = 0;
    if (read)
        read->request = NULL;
    else
        quorum_feed(request->quorum, event);
}

void quorum_requests_stop(struct quorum *quorum)
{
    LIST_EACH_SAFE (node, &quorum->requests) {
        struct quorum_request *request = LIST_ITEM(node, struct quorum_request, node);

        if (!request->read)
            refuse(request);
    }
}
