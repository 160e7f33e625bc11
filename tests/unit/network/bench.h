/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and a gate on a fake machine, and a handler that notes all it is told.
 */
#ifndef TESTS_NETWORK_BENCH_H
#define TESTS_NETWORK_BENCH_H

#include "fake_os.h"

#include "network/network.h"
#include "reactor/reactor.h"

#define BENCH_FRAMES 4096
#define BENCH_NETWORKS 2
#define BENCH_PORT 9092
#define BENCH_PORT_INNER 9093

struct bench;

/* What a connection's user pointer is. */
struct bench_connection {
    struct connection *connection; /* NULL once closed */
    int network;
    enum network_reason reason;
    size_t frames;
    int pauses; /* of the test's own */
    struct list_node node;
};

struct bench_shard {
    struct network_handler handler; /* first */
    struct bench *bench;
    int index;
    struct reactor *reactor;
    struct network *network;
    bool is_stopped;
};

struct bench {
    struct fake_os os;
    size_t shard_count;
    struct bench_shard shards[BENCH_NETWORKS];
    struct network_gate *gate;
    struct network_options options;
    bool is_in_call; /* the test is inside a call of network.h: no handler may run */
    bool keeps_frames;
    struct frame *frames[BENCH_FRAMES];
    size_t frame_count;
    struct list_node connections; /* of struct bench_connection, in order of opening */
    size_t opened, closed;
    size_t networks_stopped;
    /* Called for each frame before it is kept or released. */
    void (*on_frame)(struct bench *bench, struct bench_connection *from, struct frame *frame);
    size_t pieces_released;
};

void bench_start(struct bench *bench, size_t shard_count, const struct network_options *options);
/* Ahead of bench_end. */
void bench_stop_network(struct bench *bench, size_t index);
/* Stops all, checks that nothing is left. */
void bench_end(struct bench *bench);
/* Turns every reactor until nothing happens any more. */
void bench_run(struct bench *bench);
void bench_advance(struct bench *bench, int64_t ms);
/* A peer that is connected and, unless a limit stands against it, accepted. */
struct fake_socket *bench_connect(struct bench *bench);
/* The n-th connection that was opened. */
struct bench_connection *bench_connection(struct bench *bench, size_t index);
void bench_write_frame(struct fake_socket *socket, const void *data, size_t size_bytes);
void bench_release_frames(struct bench *bench);
void bench_limits(struct bench *bench, struct network_limits limits);
/* Queues a copy of `text`. */
void bench_send(struct bench *bench, struct connection *connection, const char *text);
void bench_send_bytes(struct bench *bench, struct connection *connection, const void *data,
                      size_t size_bytes);
const struct network_counts *bench_counts(struct bench *bench);

#endif
