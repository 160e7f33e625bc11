/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "test.h"

#include <stdlib.h>

static struct bench_shard *shard_of(struct network_handler *handler)
{
    return CONTAINER_OF(handler, struct bench_shard, handler);
}

static void on_opened(struct network_handler *handler, struct connection *connection)
{
    struct bench_shard *shard = shard_of(handler);
    struct bench_connection *own = calloc(1, sizeof(*own));

    assert_non_null(own);
    assert_false(shard->bench->is_in_call);
    assert_ptr_equal(connection_network(connection), shard->network);
    own->connection = connection;
    own->network = shard->index;
    list_push_back(&shard->bench->connections, &own->node);
    shard->bench->opened++;
    *(struct bench_connection **)connection_user(connection) = own;
}

static void on_frame(struct network_handler *handler, struct connection *connection,
                     struct frame *frame)
{
    struct bench *bench = shard_of(handler)->bench;
    struct bench_connection *own = *(struct bench_connection **)connection_user(connection);

    assert_false(bench->is_in_call);
    assert_ptr_equal(own->connection, connection);
    own->frames++;
    if (bench->on_frame)
        bench->on_frame(bench, own, frame);
    if (!bench->keeps_frames) {
        frame_release(&frame);
        assert_null(frame);
        return;
    }
    assert_true(bench->frame_count < BENCH_FRAMES);
    bench->frames[bench->frame_count++] = frame;
}

static void on_closed(struct network_handler *handler, struct connection *connection)
{
    struct bench *bench = shard_of(handler)->bench;
    struct bench_connection *own = *(struct bench_connection **)connection_user(connection);

    assert_false(bench->is_in_call);
    assert_ptr_equal(own->connection, connection); /* once */
    own->reason = connection_reason(connection);
    own->connection = NULL;
    bench->closed++;
}

static const struct network_options default_options = {
    .frame_bytes_each_max = 100 << 20,
    .frame_bytes_max = 256 << 20,
    .idle_ms_max = 600000,
    .output_bytes_max = 1 << 20,
};

static void bench_gate(struct bench *bench)
{
    struct network *networks[BENCH_NETWORKS];
    struct network_listen listen = {.listener = 7, .port = BENCH_PORT, .backlog = 50};
    struct why why;
    uint16_t port;

    for (size_t i = 0; i < bench->shard_count; i++)
        networks[i] = bench->shards[i].network;
    assert_int_equal(network_gate_create(bench->shards[0].reactor, NULL, networks,
                                         bench->shard_count, &bench->gate),
                     OK);
    listen.connections_max = listen.rate_max = INT32_MAX;
    assert_int_equal(network_gate_listen(bench->gate, &listen, &port, &why), OK);
    assert_int_equal(port, BENCH_PORT);
    network_gate_open(bench->gate);
}

void bench_start(struct bench *bench, size_t shard_count, const struct network_options *options)
{
    memset(bench, 0, sizeof(*bench));
    fake_os_init(&bench->os);
    list_init(&bench->connections);
    bench->shard_count = shard_count;
    bench->options = options ? *options : default_options;
    for (size_t i = 0; i < shard_count; i++) {
        struct bench_shard *shard = &bench->shards[i];

        shard->handler = (struct network_handler){on_opened, on_frame, on_closed, sizeof(void *)};
        shard->bench = bench;
        shard->index = (int)i;
        assert_int_equal(reactor_create(&bench->os.base, (int)i, 1, NULL, &shard->reactor), OK);
        assert_int_equal(
            network_create(shard->reactor, NULL, &bench->options, &shard->handler, &shard->network),
            OK);
    }
    bench_gate(bench);
    bench_run(bench);
}

static void note_stopped(void *context)
{
    ++*(size_t *)context;
}

void bench_stop_network(struct bench *bench, size_t index)
{
    struct bench_shard *shard = &bench->shards[index];
    size_t before = bench->networks_stopped;

    if (shard->is_stopped)
        return;
    shard->is_stopped = true;
    bench->is_in_call = true;
    network_stop(shard->network, note_stopped, &bench->networks_stopped);
    bench->is_in_call = false;
    assert_int_equal(bench->networks_stopped, before); /* later, not from inside */
}

void bench_end(struct bench *bench)
{
    size_t gates = 0;
    struct list_node *node;

    network_gate_stop(bench->gate, note_stopped, &gates);
    assert_int_equal(gates, 0);
    bench_run(bench);
    assert_int_equal(gates, 1);
    for (size_t i = 0; i < bench->shard_count; i++)
        bench_stop_network(bench, i);
    bench_run(bench);
    bench_release_frames(bench);
    bench_run(bench);
    assert_int_equal(bench->networks_stopped, bench->shard_count);
    assert_int_equal(network_gate_connections(bench->gate), 0);
    network_gate_release(&bench->gate);
    for (size_t i = 0; i < bench->shard_count; i++) {
        assert_int_equal(network_counts(bench->shards[i].network)->connections, 0);
        assert_int_equal(network_counts(bench->shards[i].network)->frame_bytes, 0);
        network_release(&bench->shards[i].network);
        reactor_release(&bench->shards[i].reactor);
    }
    assert_int_equal(bench->opened, bench->closed);
    while ((node = list_pop_front(&bench->connections)) != NULL)
        free(LIST_ITEM(node, struct bench_connection, node));
    assert_int_equal(fake_os_release(&bench->os), 0);
}

void bench_run(struct bench *bench)
{
    bool something = true;

    for (int rounds = 0; something; rounds++) {
        assert_true(rounds < 1000000); /* a loop without end */
        something = false;
        for (size_t i = 0; i < bench->shard_count; i++)
            something |= reactor_turn(bench->shards[i].reactor);
    }
}

void bench_advance(struct bench *bench, int64_t ms)
{
    bench->os.now_ns += ms * 1000000;
    bench_run(bench);
}

struct fake_socket *bench_connect(struct bench *bench)
{
    struct fake_socket *socket = fake_connect(&bench->os, BENCH_PORT, "10.0.0.9");

    bench_run(bench);
    return socket;
}

struct bench_connection *bench_connection(struct bench *bench, size_t index)
{
    LIST_EACH (node, &bench->connections) {
        if (index-- == 0)
            return LIST_ITEM(node, struct bench_connection, node);
    }
    fail_msg("no such connection was opened");
    return NULL;
}

void bench_write_frame(struct fake_socket *socket, const void *data, size_t size_bytes)
{
    uint8_t length[4] = {(uint8_t)(size_bytes >> 24), (uint8_t)(size_bytes >> 16),
                         (uint8_t)(size_bytes >> 8), (uint8_t)size_bytes};

    fake_write(socket, length, sizeof(length));
    fake_write(socket, data, size_bytes);
}

void bench_release_frames(struct bench *bench)
{
    for (size_t i = 0; i < bench->frame_count; i++)
        frame_release(&bench->frames[i]);
    bench->frame_count = 0;
}

void bench_limits(struct bench *bench, struct network_limits limits)
{
    if (limits.per_ip_max == 0)
        limits.per_ip_max = INT32_MAX;
    if (limits.total_max == 0)
        limits.total_max = INT32_MAX;
    if (limits.rate_max == 0)
        limits.rate_max = INT32_MAX;
    network_gate_set_limits(bench->gate, &limits);
}

struct bench_piece {
    struct output_piece piece;
    struct bench *bench;
    uint8_t data[];
};

static void piece_release(struct output_piece *piece)
{
    struct bench_piece *own = CONTAINER_OF(piece, struct bench_piece, piece);

    own->bench->pieces_released++;
    free(own);
}

void bench_send_bytes(struct bench *bench, struct connection *connection, const void *data,
                      size_t size_bytes)
{
    struct bench_piece *own = malloc(sizeof(*own) + size_bytes);

    assert_non_null(own);
    own->bench = bench;
    memcpy(own->data, data, size_bytes);
    own->piece.bytes = slice_of(own->data, size_bytes);
    own->piece.release = piece_release;
    connection_send(connection, &own->piece);
}

void bench_send(struct bench *bench, struct connection *connection, const char *text)
{
    bench_send_bytes(bench, connection, text, strlen(text));
}

const struct network_counts *bench_counts(struct bench *bench)
{
    return network_counts(bench->shards[0].network);
}
