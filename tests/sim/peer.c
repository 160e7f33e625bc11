/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/peer.c: see peer.h. Operations of the port outlive their connection: each is freed by its own completion.
 * Peers live as long as the simulation: their memory goes with the process.
 */
#include "peer.h"

#include "base/assert.h"

#include <stdlib.h>

#define RECEIVE_BYTES (64 * KIB)
#define CONNECT_TIMEOUT_NS (1000 * (int64_t)1000000)

struct peer_op {
    struct os_op op;
    struct peer *peer;
    uint64_t life; /* of the connection it was made for */
    struct slice slice;
    uint8_t memory[];
};

struct peer {
    struct sim *sim;
    struct os_port *port;
    const char *host;
    uint16_t port_number;
    struct os_socket *socket;
    uint64_t life;
    int64_t connecting_until_ns; /* 0: not connecting */
    bool is_broken;
    int32_t link;
    uint8_t *in;
    size_t in_bytes, in_capacity;
    int32_t next_correlation, next_answer;
    struct peer_request *first, *last; /* under way, oldest first */
    size_t under_way;
    struct arena arena; /* of the answer at hand */
    /* Frames wait for the one before: operations of a port end in any order. */
    struct peer_op *sending;
    struct writer unsent;
};

static void answers_read(struct peer *peer);

static void turn(void *context)
{
    struct peer *peer = context;

    os_port_poll(peer->port, 0);
    answers_read(peer);
    if (peer->is_broken)
        peer_drop(peer);
}

struct peer *peer_new(struct sim *sim, struct os *machine, const char *host, uint16_t port_number)
{
    struct peer *peer = calloc(1, sizeof *peer);
    enum err err;

    ASSERT(peer != NULL);
    *peer = (struct peer){.sim = sim, .host = host, .port_number = port_number};
    arena_init(&peer->arena, &heap_allocator, SIZE_MAX);
    writer_init(&peer->unsent, &heap_allocator, SIZE_MAX);
    err = os_port_create(machine, &peer->port);
    ASSERT(err == OK);
    os_port_on_ready(peer->port, turn, peer);
    return peer;
}

static struct peer_op *op_new(struct peer *peer, enum os_op_kind kind, size_t memory_bytes,
                              void (*done)(struct os_op *op))
{
    struct peer_op *own = calloc(1, sizeof *own + memory_bytes);

    ASSERT(own != NULL);
    own->peer = peer;
    own->life = peer->life;
    own->op.kind = kind;
    own->op.done = done;
    own->op.socket = peer->socket;
    return own;
}

static bool is_mine(const struct peer_op *own)
{
    return own->peer->life == own->life && own->peer->socket != NULL;
}

static void receive_start(struct peer *peer);

static void received(struct os_op *op)
{
    struct peer_op *own = CONTAINER_OF(op, struct peer_op, op);
    struct peer *peer = own->peer;

    if (is_mine(own) && (op->err != OK || op->result == 0)) {
        peer->is_broken = true;
    } else if (is_mine(own)) {
        size_t size_bytes = (size_t)op->result;

        if (peer->in_bytes + size_bytes > peer->in_capacity) {
            peer->in_capacity = MAX(peer->in_capacity * 2, peer->in_bytes + size_bytes);
            peer->in = realloc(peer->in, peer->in_capacity);
            ASSERT(peer->in != NULL);
        }
        memcpy(peer->in + peer->in_bytes, own->memory, size_bytes);
        peer->in_bytes += size_bytes;
        receive_start(peer);
    }
    free(own);
}

static void receive_start(struct peer *peer)
{
    struct peer_op *own = op_new(peer, OS_OP_RECEIVE, RECEIVE_BYTES, received);

    own->op.buffer = own->memory;
    own->op.size_bytes = RECEIVE_BYTES;
    os_port_submit(peer->port, &own->op);
}

static void connected(struct os_op *op)
{
    struct peer_op *own = CONTAINER_OF(op, struct peer_op, op);
    struct peer *peer = own->peer;

    if (peer->life != own->life) {
        if (op->err == OK)
            os_socket_close(&op->accepted, true);
    } else {
        peer->connecting_until_ns = 0;
        if (op->err == OK) {
            peer->socket = op->accepted;
            peer->link++;
            receive_start(peer);
        }
    }
    free(own);
}

bool peer_is_ready(struct peer *peer)
{
    struct peer_op *own;

    if (peer->socket)
        return !peer->is_broken;
    if (peer->connecting_until_ns > sim_now_ns(peer->sim))
        return false;
    peer->life++; /* an attempt that takes too long is given up */
    own = op_new(peer, OS_OP_CONNECT, 0, connected);
    own->op.address = peer->host;
    own->op.port_number = peer->port_number;
    peer->connecting_until_ns = sim_now_ns(peer->sim) + CONNECT_TIMEOUT_NS;
    os_port_submit(peer->port, &own->op);
    return false;
}

static void send_start(struct peer *peer);

static void sent(struct os_op *op)
{
    struct peer_op *own = CONTAINER_OF(op, struct peer_op, op);
    struct peer *peer = own->peer;

    if (peer->sending == own)
        peer->sending = NULL;
    if (is_mine(own)) {
        peer->is_broken |= op->err != OK;
        if (!peer->is_broken)
            send_start(peer);
    }
    free(own);
}

static void send_start(struct peer *peer)
{
    struct slice bytes = writer_slice(&peer->unsent);
    struct peer_op *own;

    if (peer->sending || bytes.size_bytes == 0)
        return;
    own = op_new(peer, OS_OP_SEND, bytes.size_bytes, sent);
    memcpy(own->memory, bytes.data, bytes.size_bytes);
    own->slice = slice_of(own->memory, bytes.size_bytes);
    own->op.slices = &own->slice;
    own->op.slice_count = 1;
    writer_reset(&peer->unsent);
    peer->sending = own;
    os_port_submit(peer->port, &own->op);
}

bool peer_send(struct peer *peer, int16_t api_key, int16_t version, const void *body,
               int64_t timeout_ms, struct peer_request *request)
{
    struct request_header header = {.api_key = api_key,
                                    .api_version = version,
                                    .correlation_id = peer->next_correlation,
                                    .client_id = SLICE("sim")};
    size_t start = peer->unsent.size_bytes;
    enum err err;

    if (!peer_is_ready(peer))
        return false;
    writer_u32(&peer->unsent, 0);
    request_header_encode(&header, &peer->unsent);
    err = message_encode(api_find(api_key)->request, version, body, &peer->unsent);
    ASSERT(err == OK);
    writer_patch_u32(&peer->unsent, start, (uint32_t)(peer->unsent.size_bytes - start - 4));
    ASSERT(writer_error(&peer->unsent) == OK);
    if (request) {
        peer->next_correlation++;
        request->api_key = api_key;
        request->version = version;
        request->next = NULL;
        request->deadline_ns = sim_now_ns(peer->sim) + timeout_ms * 1000000;
        if (peer->last)
            peer->last->next = request;
        else
            peer->first = request;
        peer->last = request;
        peer->under_way++;
    }
    send_start(peer);
    return true;
}

static struct peer_request *request_take(struct peer *peer)
{
    struct peer_request *request = peer->first;

    if (request) {
        peer->first = request->next;
        if (!peer->first)
            peer->last = NULL;
        peer->under_way--;
    }
    return request;
}

void peer_drop(struct peer *peer)
{
    struct peer_request *request, *rest = peer->first;

    peer->life++;
    if (peer->socket)
        os_socket_close(&peer->socket, true);
    peer->is_broken = false;
    peer->connecting_until_ns = 0;
    peer->in_bytes = 0;
    peer->sending = NULL;
    writer_reset(&peer->unsent);
    peer->next_answer = peer->next_correlation;
    peer->first = peer->last = NULL;
    peer->under_way = 0;
    while ((request = rest) != NULL) {
        rest = request->next;
        request->answered(request->context, request, NULL);
    }
}

static void answers_read(struct peer *peer)
{
    uint64_t life = peer->life;

    while (peer->life == life && peer->socket && peer->first) {
        struct cursor cursor = cursor_of(slice_of(peer->in, peer->in_bytes));
        struct peer_request *request = peer->first;
        const struct message_type *type = api_find(request->api_key)->response;
        uint32_t length;
        int32_t correlation_id;
        struct slice frame;
        void *response;
        enum err err;

        if (!peer->in || cursor_u32(&cursor, &length) != OK || cursor_left(&cursor) < length)
            return;
        arena_reset(&peer->arena);
        frame = arena_copy(&peer->arena, slice_of(peer->in + 4, length));
        peer->in_bytes -= length + 4;
        memmove(peer->in, peer->in + length + 4, peer->in_bytes);
        cursor = cursor_of(frame);
        err = response_header_decode(request->api_key, request->version, &cursor, &correlation_id);
        ASSERT(err == OK);
        ASSERT(correlation_id == peer->next_answer); /* answers leave in order */
        peer->next_answer++;
        response = arena_allocate(&peer->arena, message_struct_bytes(type));
        err = message_decode(type, request->version, &cursor, &peer->arena, response);
        ASSERT(err == OK && cursor_left(&cursor) == 0);
        request_take(peer);
        request->answered(request->context, request, response);
    }
}

void peer_tick(struct peer *peer)
{
    if (peer->first && sim_now_ns(peer->sim) > peer->first->deadline_ns)
        peer_drop(peer);
}

int32_t peer_link(const struct peer *peer)
{
    return peer->link;
}

size_t peer_under_way(const struct peer *peer)
{
    return peer->under_way;
}
