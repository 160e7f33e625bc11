/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated machines: a broker of two shards that gives back what it gets, and clients whose links lose,
 * delay, cut and block. All time is virtual. */
#include "network/network.h"
#include "reactor/reactor.h"

#include "test.h"

#include "base/assert.h"
#include "os/sim.h"

#include <stdlib.h>

#define SHARDS 2
#define CLIENTS 6
#define ROUNDS 15
#define FRAME_MAX 90000
#define SECOND ((int64_t)1000000000)

struct shard {
    struct network_handler handler;
    struct reactor *reactor;
    struct network *network;
    size_t closed[8]; /* by reason */
};

struct client {
    struct bench *bench;
    struct reactor *reactor;
    struct os_op op;
    struct os_socket *socket;
    struct timer retry;
    struct slice slice;
    size_t number, round, got, failures;
    uint8_t out[4 + FRAME_MAX], in[4 + FRAME_MAX];
};

struct bench {
    struct sim *sim;
    struct os *broker, *away;
    struct shard shards[SHARDS];
    struct network_gate *gate;
    struct reactor *clients_reactor;
    struct client *clients;
    size_t client_count;
};

/* ---- the broker ---- */

struct echo {
    struct output_piece head, body;
    struct frame *frame;
    uint8_t length[4];
};

static void echo_release(struct output_piece *piece)
{
    struct echo *echo = CONTAINER_OF(piece, struct echo, body);

    frame_release(&echo->frame);
    free(echo);
}

static void on_opened(struct network_handler *handler, struct connection *connection)
{
}

static void on_frame(struct network_handler *handler, struct connection *connection,
                     struct frame *frame)
{
    struct echo *echo = calloc(1, sizeof(*echo));

    ASSERT(echo);
    echo->frame = frame;
    for (int i = 0; i < 4; i++)
        echo->length[i] = (uint8_t)(frame->size_bytes >> (24 - 8 * i));
    echo->head.bytes = slice_of(echo->length, 4);
    echo->body.bytes = slice_of(frame->data, frame->size_bytes);
    echo->body.release = echo_release;
    connection_send(connection, &echo->head);
    connection_send(connection, &echo->body);
}

static void on_closed(struct network_handler *handler, struct connection *connection)
{
    CONTAINER_OF(handler, struct shard, handler)->closed[connection_reason(connection)]++;
}

static size_t closed_for(const struct bench *bench, enum network_reason reason)
{
    return bench->shards[0].closed[reason] + bench->shards[1].closed[reason];
}

static void broker_start(struct bench *bench, const struct network_options *options)
{
    struct network_listen listen = {.port = 9092, .backlog = 50};
    struct network *networks[SHARDS];
    struct why why;
    uint16_t port;

    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &bench->shards[i];

        shard->handler = (struct network_handler){on_opened, on_frame, on_closed, 0};
        assert_int_equal(reactor_create(bench->broker, i, 1, NULL, &shard->reactor), OK);
        assert_int_equal(
            network_create(shard->reactor, NULL, options, &shard->handler, &shard->network), OK);
        networks[i] = shard->network;
    }
    assert_int_equal(
        network_gate_create(bench->shards[0].reactor, NULL, networks, SHARDS, &bench->gate), OK);
    listen.connections_max = listen.rate_max = INT32_MAX;
    assert_int_equal(network_gate_listen(bench->gate, &listen, &port, &why), OK);
    network_gate_open(bench->gate);
}

/* ---- a client: one frame after the other, anew from the present one when the connection fails ---- */

static void client_connect(struct client *client);
static void client_send(struct client *client);

static void client_failed(struct client *client)
{
    client->failures++;
    os_socket_close(&client->socket, false);
    timer_set(client->reactor, &client->retry, reactor_now_ms(client->reactor) + 50);
}

static void client_retry(struct timer *timer)
{
    client_connect(CONTAINER_OF(timer, struct client, retry));
}

static void received(struct os_op *op);

static void client_receive(struct client *client)
{
    client->op = (struct os_op){.kind = OS_OP_RECEIVE,
                                .done = received,
                                .socket = client->socket,
                                .buffer = client->in + client->got,
                                .size_bytes = client->slice.size_bytes - client->got};
    reactor_submit(client->reactor, &client->op);
}

static void received(struct os_op *op)
{
    struct client *client = CONTAINER_OF(op, struct client, op);

    if (op->err != OK || op->result == 0) {
        client_failed(client);
        return;
    }
    client->got += (size_t)op->result;
    if (client->got < client->slice.size_bytes) {
        client_receive(client);
        return;
    }
    assert_memory_equal(client->in, client->out, client->got);
    if (++client->round < ROUNDS)
        client_send(client);
}

static void sent(struct os_op *op)
{
    struct client *client = CONTAINER_OF(op, struct client, op);

    if (op->err != OK) {
        client_failed(client);
        return;
    }
    client->got = 0;
    client_receive(client);
}

static void client_send(struct client *client)
{
    static const size_t sizes[] = {5, 2044, FRAME_MAX, 0, 70001, 300};
    size_t size = sizes[(client->round + client->number) % ARRAY_COUNT(sizes)];

    for (int i = 0; i < 4; i++)
        client->out[i] = (uint8_t)(size >> (24 - 8 * i));
    for (size_t i = 0; i < size; i++)
        client->out[4 + i] = (uint8_t)(i * 3 + client->round + client->number * 17);
    client->slice = slice_of(client->out, 4 + size);
    client->op = (struct os_op){.kind = OS_OP_SEND,
                                .done = sent,
                                .socket = client->socket,
                                .slices = &client->slice,
                                .slice_count = 1};
    reactor_submit(client->reactor, &client->op);
}

static void connected(struct os_op *op)
{
    struct client *client = CONTAINER_OF(op, struct client, op);

    client->socket = op->accepted;
    if (op->err != OK)
        client_failed(client);
    else
        client_send(client);
}

static void client_connect(struct client *client)
{
    client->op = (struct os_op){
        .kind = OS_OP_CONNECT, .done = connected, .address = "broker", .port_number = 9092};
    reactor_submit(client->reactor, &client->op);
}

static void bench_start(struct bench *bench, uint64_t seed, const struct network_options *options,
                        size_t client_count)
{
    memset(bench, 0, sizeof(*bench));
    assert_int_equal(sim_create(seed, NULL, &bench->sim), OK);
    assert_int_equal(sim_machine_create(bench->sim, "broker", &bench->broker), OK);
    assert_int_equal(sim_machine_create(bench->sim, "away", &bench->away), OK);
    broker_start(bench, options);
    assert_int_equal(reactor_create(bench->away, 0, 2, NULL, &bench->clients_reactor), OK);
    bench->clients = calloc(client_count, sizeof(*bench->clients));
    assert_non_null(bench->clients);
    bench->client_count = client_count;
    for (size_t i = 0; i < client_count; i++) {
        struct client *client = &bench->clients[i];

        client->bench = bench;
        client->reactor = bench->clients_reactor;
        client->number = i;
        timer_init(&client->retry, client_retry);
        client_connect(client);
    }
}

static bool all_done(void *context)
{
    struct bench *bench = context;

    for (size_t i = 0; i < bench->client_count; i++) {
        if (bench->clients[i].round < ROUNDS)
            return false;
    }
    return true;
}

static bool none_open(void *context)
{
    struct bench *bench = context;

    return network_counts(bench->shards[0].network)->connections +
               network_counts(bench->shards[1].network)->connections +
               network_gate_connections(bench->gate) ==
           0;
}

static void note(void *context)
{
    ++*(size_t *)context;
}

static bool three(void *context)
{
    return *(size_t *)context == 3;
}

static void bench_end(struct bench *bench)
{
    size_t stopped = 0;

    network_gate_stop(bench->gate, note, &stopped);
    for (int i = 0; i < SHARDS; i++)
        network_stop(bench->shards[i].network, note, &stopped);
    assert_true(sim_run_until(bench->sim, sim_now_ns(bench->sim) + 60 * SECOND, three, &stopped));
    assert_true(sim_run_until(bench->sim, sim_now_ns(bench->sim) + 60 * SECOND, none_open, bench));
    for (size_t i = 0; i < bench->client_count; i++) { /* their sockets have ended by now or soon */
        timer_cancel(bench->clients_reactor, &bench->clients[i].retry);
        os_socket_close(&bench->clients[i].socket, false);
    }
    (void)sim_run_until(bench->sim, sim_now_ns(bench->sim) + SECOND, NULL, NULL);
    for (size_t i = 0; i < bench->client_count; i++)
        timer_cancel(bench->clients_reactor, &bench->clients[i].retry);
    network_gate_release(&bench->gate);
    for (int i = 0; i < SHARDS; i++) {
        assert_int_equal(network_counts(bench->shards[i].network)->frame_bytes, 0);
        network_release(&bench->shards[i].network);
        reactor_release(&bench->shards[i].reactor);
    }
    reactor_release(&bench->clients_reactor);
    free(bench->clients);
    sim_release(&bench->sim);
}

static const struct network_options ordinary = {1 << 20, 8 << 20, 600000, 1 << 20};

static void every_frame_comes_back_in_pieces_of_any_size(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct bench bench;

        bench_start(&bench, seed, &ordinary, CLIENTS);
        assert_true(sim_run_until(bench.sim, 3600 * SECOND, all_done, &bench));
        for (size_t i = 0; i < CLIENTS; i++)
            assert_int_equal(bench.clients[i].failures, 0);
        bench_end(&bench);
    }
}

static void connections_that_are_cut_anywhere_leave_nothing_behind(void **state)
{
    size_t failures = 0;

    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct network_options tight = {1 << 20, 150000, 600000, 50000};
        struct sim_link link;
        struct bench bench;

        bench_start(&bench, seed, &tight, CLIENTS);
        sim_link_get(bench.broker, bench.away, &link);
        link.cut_one_in = 200;
        link.loss_one_in = 50;
        sim_link_set(bench.broker, bench.away, &link);
        sim_link_set(bench.away, bench.broker, &link);
        assert_true(sim_run_until(bench.sim, 36000 * SECOND, all_done, &bench));
        for (size_t i = 0; i < CLIENTS; i++)
            failures += bench.clients[i].failures;
        bench_end(&bench);
    }
    assert_true(failures > 0);
}

static void a_silent_peer_is_closed_when_its_idle_time_is_over(void **state)
{
    struct network_options options = {1 << 20, 8 << 20, 10000, 1 << 20};
    struct bench bench;
    int64_t silent_ns;

    bench_start(&bench, 7, &options, 1);
    assert_true(sim_run_until(bench.sim, 3600 * SECOND, all_done, &bench));
    silent_ns = sim_now_ns(bench.sim);
    assert_false(sim_run_until(bench.sim, silent_ns + 9 * SECOND, none_open, &bench));
    assert_true(sim_run_until(bench.sim, silent_ns + 11 * SECOND, none_open, &bench));
    assert_int_equal(closed_for(&bench, NETWORK_REASON_IDLE), 1);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_comes_back_in_pieces_of_any_size),
        cmocka_unit_test(connections_that_are_cut_anywhere_leave_nothing_behind),
        cmocka_unit_test(a_silent_peer_is_closed_when_its_idle_time_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
