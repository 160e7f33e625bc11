/* SPDX-License-Identifier: Apache-2.0 */
/* The real machine: two shards on threads of their own, clients over loopback. */
#include "network/network.h"
#include "reactor/reactor.h"

#include "test.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SHARDS 2
#define CLIENTS 12
#define ROUNDS 12

struct shard {
    struct network_handler handler;
    struct reactor *reactor;
    struct network *network;
    struct os_thread *thread;
    struct mail stop;
    int64_t opened; /* read when the thread has ended */
};

struct bench {
    struct os *os;
    struct shard shards[SHARDS];
    struct network_gate *gate;
    struct mail gate_stop;
    uint16_t port;
};

/* Gives each frame back: its length, then its own memory. */
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
    CONTAINER_OF(handler, struct shard, handler)->opened++;
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
}

static void shard_run(void *context)
{
    reactor_run(((struct shard *)context)->reactor);
}

static void network_stopped(void *context)
{
    reactor_stop(((struct shard *)context)->reactor);
}

static void stop_deliver(struct mail *mail, struct reactor *to)
{
    struct shard *shard = CONTAINER_OF(mail, struct shard, stop);

    network_stop(shard->network, network_stopped, shard);
}

static void gate_stopped(void *context)
{
    struct bench *bench = context;

    for (size_t i = SHARDS; i-- > 0;) {
        bench->shards[i].stop = (struct mail){.deliver = stop_deliver};
        reactor_send(bench->shards[0].reactor, bench->shards[i].reactor, &bench->shards[i].stop);
    }
}

static void gate_stop_deliver(struct mail *mail, struct reactor *to)
{
    struct bench *bench = CONTAINER_OF(mail, struct bench, gate_stop);

    network_gate_stop(bench->gate, gate_stopped, bench);
}

static void start(struct bench *bench)
{
    struct network_options options = {64 << 20, 8 << 20, 60000, 1 << 20};
    struct network_listen listen = {.address = "127.0.0.1", .backlog = 50};
    struct network *networks[SHARDS];
    struct why why;

    memset(bench, 0, sizeof(*bench));
    assert_int_equal(os_real_create(&(struct os_real_options){.pool_threads = 1}, &bench->os), OK);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &bench->shards[i];

        shard->handler = (struct network_handler){on_opened, on_frame, on_closed, 0};
        assert_int_equal(reactor_create(bench->os, i, 1, NULL, &shard->reactor), OK);
        assert_int_equal(
            network_create(shard->reactor, NULL, &options, &shard->handler, &shard->network), OK);
        networks[i] = shard->network;
    }
    assert_int_equal(
        network_gate_create(bench->shards[0].reactor, NULL, networks, SHARDS, &bench->gate), OK);
    listen.connections_max = listen.rate_max = INT32_MAX;
    assert_int_equal(network_gate_listen(bench->gate, &listen, &bench->port, &why), OK);
    network_gate_open(bench->gate);
    for (int i = 0; i < SHARDS; i++)
        assert_int_equal(os_thread_start(bench->os, "shard", shard_run, &bench->shards[i],
                                         &bench->shards[i].thread),
                         OK);
}

static void end(struct bench *bench)
{
    bench->gate_stop = (struct mail){.deliver = gate_stop_deliver};
    reactor_send(NULL, bench->shards[0].reactor, &bench->gate_stop);
    for (int i = 0; i < SHARDS; i++)
        os_thread_join(&bench->shards[i].thread);
    /* Shard 0 may have ended before the other's last reports: they are in its box. */
    while (reactor_turn(bench->shards[0].reactor))
        ;
    assert_int_equal(network_gate_connections(bench->gate), 0);
    network_gate_release(&bench->gate);
    for (int i = 0; i < SHARDS; i++) {
        network_release(&bench->shards[i].network);
        reactor_release(&bench->shards[i].reactor);
    }
    os_release(&bench->os);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 30};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void read_exactly(int fd, uint8_t *out, size_t size_bytes)
{
    while (size_bytes > 0) {
        ssize_t got = recv(fd, out, size_bytes, 0);

        assert_true(got > 0);
        out += got;
        size_bytes -= (size_t)got;
    }
}

static void every_frame_comes_back_from_either_shard(void **state)
{
    static const size_t sizes[] = {1, 60, 2044, 2045, 70000, 0, 500, 150000, 3};
    static uint8_t bytes[4 + 150000], back[sizeof(bytes)];
    struct bench bench;
    int fds[CLIENTS];

    start(&bench);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = connect_to(bench.port);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 11 + (i >> 7));
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t size = sizes[round % ARRAY_COUNT(sizes)];

        for (int i = 0; i < 4; i++)
            bytes[i] = (uint8_t)(size >> (24 - 8 * i));
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(send(fds[i], bytes, 4 + size, MSG_NOSIGNAL), 4 + size);
        for (int i = 0; i < CLIENTS; i++) {
            read_exactly(fds[i], back, 4 + size);
            assert_memory_equal(back, bytes, 4 + size);
        }
    }
    for (int i = 0; i < CLIENTS; i += 2) /* half of them: the stop closes the others */
        close(fds[i]);
    end(&bench);
    for (int i = 1; i < CLIENTS; i += 2) {
        assert_int_equal(recv(fds[i], back, 1, 0), 0);
        close(fds[i]);
    }
    assert_int_equal(bench.shards[0].opened + bench.shards[1].opened, CLIENTS);
    assert_true(bench.shards[0].opened >= CLIENTS / 3 && bench.shards[1].opened >= CLIENTS / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_comes_back_from_either_shard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
