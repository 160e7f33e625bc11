/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_client.h"

#include "base/assert.h"

#include <stdlib.h>

#define RECEIVE_BYTES (64 * KIB)
#define RETRY_NS (5 * (int64_t)1000000)

/* An operation outlives its connection: it is freed by its own completion. */
struct client_op {
    struct os_op op;
    struct sim_client *client; /* NULL: nobody waits for it any more */
    uint64_t life;             /* of the connection it was made for */
    uint8_t *memory;
    struct slice slice;
};

struct sim_client {
    struct sim *sim;
    struct os *machine;
    struct os_port *port;
    struct os_socket *socket;
    uint64_t life;
    bool is_broken;
    bool is_connecting;
    bool is_sending;
    uint8_t *in;
    size_t in_bytes, in_capacity;
    int32_t next_correlation, next_answer;
};

static void turn(void *context)
{
    struct sim_client *client = context;

    os_port_poll(client->port, 0);
}

struct sim_client *sim_client_new(struct sim *sim, struct os *machine)
{
    struct sim_client *client = calloc(1, sizeof *client);
    enum err err;

    ASSERT(client != NULL);
    client->sim = sim;
    client->machine = machine;
    err = os_port_create(machine, &client->port);
    ASSERT(err == OK);
    os_port_on_ready(client->port, turn, client);
    return client;
}

static bool is_mine(const struct client_op *own)
{
    return own->client->life == own->life && own->client->socket != NULL;
}

static void op_free(struct client_op *own)
{
    free(own->memory);
    free(own);
}

static struct client_op *op_new(struct sim_client *client, enum os_op_kind kind,
                                void (*done)(struct os_op *op))
{
    struct client_op *own = calloc(1, sizeof *own);

    ASSERT(own != NULL);
    own->client = client;
    own->life = client->life;
    own->op.kind = kind;
    own->op.done = done;
    own->op.socket = client->socket;
    return own;
}

static void receive_start(struct sim_client *client);

static void received(struct os_op *op)
{
    struct client_op *own = CONTAINER_OF(op, struct client_op, op);
    struct sim_client *client = own->client;

    if (!is_mine(own)) {
        op_free(own);
        return;
    }
    if (op->err != OK || op->result == 0) {
        client->is_broken = true;
        op_free(own);
        return;
    }
    if (client->in_bytes + (size_t)op->result > client->in_capacity) {
        client->in_capacity = MAX(client->in_capacity * 2, client->in_bytes + (size_t)op->result);
        client->in = realloc(client->in, client->in_capacity);
        ASSERT(client->in != NULL);
    }
    memcpy(client->in + client->in_bytes, own->memory, (size_t)op->result);
    client->in_bytes += (size_t)op->result;
    op_free(own);
    receive_start(client);
}

static void receive_start(struct sim_client *client)
{
    struct client_op *own = op_new(client, OS_OP_RECEIVE, received);

    own->memory = malloc(RECEIVE_BYTES);
    ASSERT(own->memory != NULL);
    own->op.buffer = own->memory;
    own->op.size_bytes = RECEIVE_BYTES;
    os_port_submit(client->port, &own->op);
}

static void connected(struct os_op *op)
{
    struct client_op *own = CONTAINER_OF(op, struct client_op, op);
    struct sim_client *client = own->client;

    if (client->life != own->life) {
        if (op->err == OK)
            os_socket_close(&op->accepted, true);
    } else {
        client->is_connecting = false;
        if (op->err == OK) {
            client->socket = op->accepted;
            receive_start(client);
        }
    }
    op_free(own);
}

void sim_client_close(struct sim_client *client)
{
    client->life++;
    if (client->socket)
        os_socket_close(&client->socket, true);
    client->is_broken = false;
    client->is_connecting = false;
    client->is_sending = false;
    client->in_bytes = 0;
    client->next_answer = client->next_correlation;
}

bool sim_client_is_connected(const struct sim_client *client)
{
    return client->socket != NULL && !client->is_broken;
}

static bool connect_is_over(void *context)
{
    return !((struct sim_client *)context)->is_connecting;
}

enum err sim_client_connect(struct sim_client *client, const char *host, uint16_t port,
                            int64_t deadline_ns)
{
    sim_client_close(client);
    while (!client->socket) {
        struct client_op *own = op_new(client, OS_OP_CONNECT, connected);

        own->op.address = host;
        own->op.port_number = port;
        client->is_connecting = true;
        os_port_submit(client->port, &own->op);
        if (!sim_run_until(client->sim, deadline_ns, connect_is_over, client)) {
            client->life++;
            client->is_connecting = false;
            return ERR_REQUEST_TIMED_OUT;
        }
        if (!client->socket) {
            sim_run_until(client->sim, MIN(sim_now_ns(client->sim) + RETRY_NS, deadline_ns), NULL,
                          NULL);
            if (sim_now_ns(client->sim) >= deadline_ns)
                return ERR_REQUEST_TIMED_OUT;
        }
    }
    return OK;
}

static void sent(struct os_op *op)
{
    struct client_op *own = CONTAINER_OF(op, struct client_op, op);

    if (is_mine(own)) {
        own->client->is_sending = false;
        own->client->is_broken |= op->err != OK;
    }
    op_free(own);
}

static bool send_is_over(void *context)
{
    const struct sim_client *client = context;

    return client->is_broken || !client->is_sending;
}

enum err sim_client_send_bytes(struct sim_client *client, struct slice bytes, int64_t deadline_ns)
{
    struct client_op *own;

    if (!sim_client_is_connected(client))
        return ERR_IO;
    own = op_new(client, OS_OP_SEND, sent);
    own->memory = malloc(MAX(bytes.size_bytes, (size_t)1));
    ASSERT(own->memory != NULL);
    memcpy(own->memory, bytes.data, bytes.size_bytes);
    own->slice = slice_of(own->memory, bytes.size_bytes);
    own->op.slices = &own->slice;
    own->op.slice_count = 1;
    client->is_sending = true;
    os_port_submit(client->port, &own->op);
    if (!sim_run_until(client->sim, deadline_ns, send_is_over, client)) {
        sim_client_close(client);
        return ERR_REQUEST_TIMED_OUT;
    }
    return client->is_broken ? ERR_IO : OK;
}

enum err sim_client_send(struct sim_client *client, int16_t api_key, int16_t version,
                         const void *body, int64_t deadline_ns)
{
    CLEANUP(writer_release) struct writer frame;
    struct request_header header = {
        .api_key = api_key,
        .api_version = version,
        .correlation_id = client->next_correlation++,
        .client_id = SLICE("sim"),
    };

    writer_init(&frame, &heap_allocator, SIZE_MAX);
    writer_u32(&frame, 0);
    request_header_encode(&header, &frame);
    TRY(message_encode(api_find(api_key)->request, version, body, &frame));
    writer_patch_u32(&frame, 0, (uint32_t)(frame.size_bytes - 4));
    TRY(writer_error(&frame));
    return sim_client_send_bytes(client, writer_slice(&frame), deadline_ns);
}

/* The whole frame at the head of what came in; 0: not yet. */
static size_t frame_bytes(const struct sim_client *client)
{
    struct cursor cursor = cursor_of(slice_of(client->in, client->in_bytes));
    uint32_t length;

    if (!client->in || cursor_u32(&cursor, &length) != OK || cursor_left(&cursor) < length)
        return 0;
    return length + 4;
}

static bool answer_is_there(void *context)
{
    const struct sim_client *client = context;

    return client->is_broken || frame_bytes(client) > 0;
}

enum err sim_client_read(struct sim_client *client, int16_t api_key, int16_t version,
                         struct arena *arena, int64_t deadline_ns, void **response_out)
{
    const struct message_type *type = api_find(api_key)->response;
    int32_t correlation_id;
    struct cursor cursor;
    struct slice frame;
    size_t size_bytes;

    if (!client->socket)
        return ERR_IO;
    if (!sim_run_until(client->sim, deadline_ns, answer_is_there, client)) {
        sim_client_close(client);
        return ERR_REQUEST_TIMED_OUT;
    }
    size_bytes = frame_bytes(client);
    if (size_bytes == 0)
        return ERR_IO;
    frame = arena_copy(arena, slice_of(client->in, size_bytes));
    client->in_bytes -= size_bytes;
    memmove(client->in, client->in + size_bytes, client->in_bytes);
    cursor = cursor_of(slice_sub(frame, 4, SIZE_MAX));
    TRY(response_header_decode(api_key, version, &cursor, &correlation_id));
    ASSERT(correlation_id == client->next_answer); /* answers leave in order */
    client->next_answer++;
    *response_out = arena_allocate(arena, message_struct_bytes(type));
    TRY(message_decode(type, version, &cursor, arena, *response_out));
    return cursor_left(&cursor) == 0 ? OK : ERR_FORMAT;
}

enum err sim_client_call(struct sim_client *client, int16_t api_key, int16_t version,
                         const void *body, struct arena *arena, int64_t deadline_ns,
                         void **response_out)
{
    TRY(sim_client_send(client, api_key, version, body, deadline_ns));
    return sim_client_read(client, api_key, version, arena, deadline_ns, response_out);
}

static bool is_closed(void *context)
{
    return ((const struct sim_client *)context)->is_broken;
}

bool sim_client_wait_closed(struct sim_client *client, int64_t deadline_ns)
{
    return sim_run_until(client->sim, deadline_ns, is_closed, client);
}

static bool never(void *context)
{
    UNUSED(context);
    return false;
}

void sim_client_free(struct sim_client **client)
{
    /* Completions of what was cancelled come with the next events of the machine. */
    sim_client_close(*client);
    sim_run_until((*client)->sim, sim_now_ns((*client)->sim) + 10 * RETRY_NS, never, NULL);
    os_port_poll((*client)->port, 0);
    os_port_release(&(*client)->port);
    free((*client)->in);
    free(*client);
    *client = NULL;
}
