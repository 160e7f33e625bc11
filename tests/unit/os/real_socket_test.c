/* SPDX-License-Identifier: Apache-2.0 */
#include "real_pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void both_sides_know_each_other_and_exchange_bytes(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct os_address address;
    struct os_address other;
    struct slice slices[] = {SLICE("ping"), SLICE_EMPTY, SLICE("!")};
    char buffer[16];
    struct probe receive;
    struct probe send;

    pair_open(bench, &pair);
    os_socket_peer_address(pair.client, &address);
    assert_string_equal(address.text, "127.0.0.1");
    assert_int_equal(address.port_number, pair.port_number);
    os_socket_local_address(pair.client, &address);
    os_socket_peer_address(pair.server, &other);
    assert_string_equal(other.text, "127.0.0.1");
    assert_int_equal(address.port_number, other.port_number);
    receive.op = receive_op(pair.server, buffer, sizeof(buffer));
    probe_submit(bench->port, &receive);
    send.op = send_op(pair.client, slices, 3);
    assert_int_equal(probe_run(bench->port, &send), OK);
    assert_int_equal(send.op.result, 5);
    probe_wait(bench->port, &receive);
    assert_int_equal(receive.op.err, OK);
    assert_int_equal(receive.op.result, 5);
    assert_memory_equal(buffer, "ping!", 5);
    assert_false(os_socket_is_readable(pair.server));
    send.op = send_op(pair.client, slices, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    assert_true(os_socket_is_readable(pair.server));
    receive.op = receive_op(pair.server, buffer, 3); /* bytes that wait are taken piece by piece */
    assert_int_equal(probe_run(bench->port, &receive), OK);
    assert_int_equal(receive.op.result, 3);
    receive.op = receive_op(pair.server, buffer, 3);
    assert_int_equal(probe_run(bench->port, &receive), OK);
    assert_int_equal(receive.op.result, 1);
    send.op = send_op(pair.client, slices + 1, 1); /* nothing to send is sent at once */
    assert_int_equal(probe_run(bench->port, &send), OK);
    pair_close(&pair);
}

static void a_listener_on_every_address_hears_both_families(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "::1", "localhost"};
    struct bench *bench = *state;
    struct pair pair = {0};

    listen_any(bench, &pair, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        struct probe accept = {.op = {.kind = OS_OP_ACCEPT, .socket = pair.listener}};
        struct probe connect = {.op = {.kind = OS_OP_CONNECT,
                                       .address = addresses[i],
                                       .port_number = pair.port_number}};
        struct os_address peer;

        if (probe_run(bench->port, &connect) == ERR_ADDRESS && i == 1)
            continue; /* a machine without IPv6 */
        assert_int_equal(connect.op.err, OK);
        assert_int_equal(probe_run(bench->port, &accept), OK);
        os_socket_peer_address(accept.op.accepted, &peer);
        if (i < 2)
            assert_string_equal(peer.text, addresses[i]); /* not in the mapped form */
        os_socket_close(&connect.op.accepted, false);
        os_socket_close(&accept.op.accepted, false);
    }
    pair_close(&pair);
}

static void a_peer_that_closes_its_side_can_still_be_answered(void **state)
{
    struct bench *bench = *state;
    struct pair pair = {0};
    struct probe accept = {.op = {.kind = OS_OP_ACCEPT}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char buffer[16];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct probe probe;

    listen_any(bench, &pair, "127.0.0.1");
    address.sin_port = htons(pair.port_number);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    accept.op.socket = pair.listener;
    assert_int_equal(probe_run(bench->port, &accept), OK);
    pair.server = accept.op.accepted;
    probe.op = receive_op(pair.server, buffer, sizeof(buffer));
    probe_submit(bench->port, &probe);
    assert_int_equal(os_port_poll(bench->port, 0), 0);
    assert_int_equal(write(fd, "last", 4), 4);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    probe_wait(bench->port, &probe);
    assert_int_equal(probe.op.result, 4);
    for (int i = 0; i < 2; i++) { /* the end stays the end */
        probe.op = receive_op(pair.server, buffer, sizeof(buffer));
        assert_int_equal(probe_run(bench->port, &probe), OK);
        assert_int_equal(probe.op.result, 0);
    }
    probe.op = send_op(pair.server, &SLICE("answer"), 1);
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(read(fd, buffer, sizeof(buffer)), 6);
    close(fd);
    pair_close(&pair);
}

static uint8_t pattern_at(size_t position)
{
    return (uint8_t)(position * 7 + position / 253);
}

static void large_transfers_arrive_whole_and_in_order_in_both_directions(void **state)
{
    size_t size_bytes = 24 * MIB + 5;
    struct bench *bench = *state;
    struct pair pair;
    uint8_t *data = malloc(size_bytes);
    static uint8_t buffers[2][300 * 1024];
    size_t received[2] = {0, 0};
    struct probe receives[2];
    struct probe sends[4];
    struct slice slices[4];
    size_t half_bytes = size_bytes / 2;

    assert_non_null(data);
    for (size_t i = 0; i < size_bytes; i++)
        data[i] = pattern_at(i);
    pair_open(bench, &pair);
    os_socket_set_buffers(pair.client, 20000, 0);
    os_socket_set_buffers(pair.server, 0, 20000);
    for (size_t i = 0; i < 4; i++) { /* two sends at once each way, which keep their order */
        size_t from = i % 2 * half_bytes;

        slices[i] = slice_of(data + from, i % 2 == 0 ? half_bytes : size_bytes - half_bytes);
        sends[i].op = send_op(i < 2 ? pair.client : pair.server, &slices[i], 1);
        probe_submit(bench->port, &sends[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        receives[i].op =
            receive_op(i == 0 ? pair.server : pair.client, buffers[i], sizeof(buffers[i]));
        probe_submit(bench->port, &receives[i]);
    }
    while (received[0] < size_bytes || received[1] < size_bytes) {
        os_port_poll(bench->port, INT64_MAX);
        for (size_t i = 0; i < 2; i++) {
            struct os_op *op = &receives[i].op;

            if (receives[i].done_count == 0 || received[i] == size_bytes)
                continue;
            assert_int_equal(op->err, OK);
            assert_true(op->result > 0);
            assert_memory_equal(buffers[i], data + received[i], (size_t)op->result);
            received[i] += (size_t)op->result;
            if (received[i] < size_bytes) {
                *op = receive_op(op->socket, buffers[i], sizeof(buffers[i]));
                probe_submit(bench->port, &receives[i]);
            }
        }
    }
    for (size_t i = 0; i < 4; i++) {
        probe_wait(bench->port, &sends[i]);
        assert_int_equal(sends[i].op.err, OK);
        assert_int_equal(sends[i].op.result, slices[i].size_bytes);
    }
    pair_close(&pair);
    free(data);
}

static void closing_cancels_what_is_under_way_at_the_next_poll(void **state)
{
    struct bench *bench = *state;
    size_t size_bytes = 32 * MIB;
    struct pair pair;
    uint8_t *data = calloc(1, size_bytes);
    struct slice slice = slice_of(data, size_bytes);
    char buffer[16];
    struct probe probes[3];

    assert_non_null(data);
    pair_open(bench, &pair);
    probes[0].op = receive_op(pair.server, buffer, sizeof(buffer));
    probes[1].op = send_op(pair.server, &slice, 1); /* nobody reads */
    probes[2].op = (struct os_op){.kind = OS_OP_ACCEPT, .socket = pair.listener};
    for (size_t i = 0; i < 3; i++)
        probe_submit(bench->port, &probes[i]);
    while (os_port_poll(bench->port, os_now_ns(bench->os) + 1000000) > 0)
        ;
    os_socket_close(&pair.server, false);
    os_socket_close(&pair.listener, false);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(probes[i].done_count, 0);
    assert_int_equal(os_port_poll(bench->port, INT64_MAX), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(probes[i].done_count, 1);
        assert_int_equal(probes[i].op.err, ERR_CANCELLED);
    }
    pair_close(&pair);
    free(data);
}

struct closer {
    struct os_op op;
    struct os_socket **other;
    int done_count;
};

static void closer_done(struct os_op *op)
{
    struct closer *closer = CONTAINER_OF(op, struct closer, op);

    closer->done_count++;
    os_socket_close(closer->other, false);
}

static void a_callback_may_close_a_socket_whose_event_came_in_the_same_batch(void **state)
{
    struct bench *bench = *state;
    struct pair pairs[2];
    char buffers[2][8];
    struct closer closers[2] = {{.other = &pairs[1].server}, {.other = &pairs[0].server}};
    struct probe send;

    for (size_t i = 0; i < 2; i++) {
        pair_open(bench, &pairs[i]);
        closers[i].op = receive_op(pairs[i].server, buffers[i], sizeof(buffers[i]));
        closers[i].op.done = closer_done;
        os_port_submit(bench->port, &closers[i].op);
    }
    for (size_t i = 0; i < 2; i++) {
        send.op = send_op(pairs[i].client, &SLICE("x"), 1);
        probe_submit(bench->port, &send);
        while (send.done_count == 0)
            os_port_poll(bench->port, INT64_MAX);
    }
    while (closers[0].done_count + closers[1].done_count < 2)
        os_port_poll(bench->port, INT64_MAX);
    assert_null(pairs[0].server);
    assert_null(pairs[1].server);
    pair_close(&pairs[0]);
    pair_close(&pairs[1]);
}

static void an_aborted_connection_is_an_error_at_the_peer(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    char buffer[16];
    struct probe receive;
    struct probe send;

    pair_open(bench, &pair);
    receive.op = receive_op(pair.client, buffer, sizeof(buffer));
    probe_submit(bench->port, &receive);
    os_socket_close(&pair.server, true);
    probe_wait(bench->port, &receive);
    assert_int_equal(receive.op.err, ERR_CONNECTION);
    send.op = send_op(pair.client, &SLICE("x"), 1); /* and no SIGPIPE */
    assert_int_equal(probe_run(bench->port, &send), ERR_CONNECTION);
    pair_close(&pair);
}

static void refused_and_unknown_addresses_are_told(void **state)
{
    struct bench *bench = *state;
    struct pair pair = {0};
    struct os_socket *other;
    static char long_name[400];
    struct probe connect = {.op = {.kind = OS_OP_CONNECT, .address = "127.0.0.1"}};

    listen_any(bench, &pair, "127.0.0.1");
    assert_int_equal(os_listen(bench->port, "127.0.0.1", pair.port_number, 1, &other),
                     ERR_ADDRESS_IN_USE);
    assert_int_equal(os_listen(bench->port, "192.0.2.77", 0, 1, &other), ERR_ADDRESS);
    os_socket_close(&pair.listener, false);
    connect.op.port_number = pair.port_number;
    assert_int_equal(probe_run(bench->port, &connect), ERR_CONNECTION);
    assert_null(connect.op.accepted);
    memset(long_name, 'a', sizeof(long_name) - 1); /* no resolver needs to be asked */
    connect.op.address = long_name;
    assert_int_equal(probe_run(bench->port, &connect), ERR_ADDRESS);
}

static void a_socket_moves_between_ports_with_the_bytes_that_wait(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct os_port *second;
    char buffer[16];
    struct probe probe;

    assert_int_equal(os_port_create(bench->os, &second), OK);
    pair_open(bench, &pair);
    probe.op = send_op(pair.client, &SLICE("early"), 1);
    assert_int_equal(probe_run(bench->port, &probe), OK);
    os_socket_detach(pair.server);
    os_socket_attach(pair.server, second);
    probe.op = receive_op(pair.server, buffer, sizeof(buffer));
    assert_int_equal(probe_run(second, &probe), OK);
    assert_int_equal(probe.op.result, 5);
    probe.op = receive_op(pair.server, buffer, sizeof(buffer));
    probe_submit(second, &probe);
    assert_int_equal(os_port_poll(second, 0), 0);
    {
        struct probe send = {.op = send_op(pair.client, &SLICE("late"), 1)};

        assert_int_equal(probe_run(bench->port, &send), OK);
    }
    probe_wait(second, &probe);
    assert_int_equal(probe.op.result, 4);
    pair_close(&pair);
    os_port_release(&second);
}

static void a_port_that_goes_down_cancels_its_connects(void **state)
{
    enum { COUNT = 4 };
    struct bench *bench = *state;
    struct pair pair = {0};
    struct os_port *second;
    struct probe connects[COUNT] = {0};
    int cancelled = 0;

    assert_int_equal(os_listen(bench->port, "127.0.0.1", 0, 0, &pair.listener), OK);
    {
        struct os_address local;

        os_socket_local_address(pair.listener, &local);
        pair.port_number = local.port_number;
    }
    assert_int_equal(os_port_create(bench->os, &second), OK);
    for (size_t i = 0; i < COUNT; i++) { /* the queue holds one, the others get no answer */
        connects[i].op = (struct os_op){.kind = OS_OP_CONNECT,
                                        .address = i == COUNT - 1 ? "localhost" : "127.0.0.1",
                                        .port_number = pair.port_number};
        probe_submit(second, &connects[i]);
    }
    os_port_release(&second);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(connects[i].done_count, 1);
        if (connects[i].op.err == OK)
            os_socket_close(&connects[i].op.accepted, false);
        else
            cancelled += connects[i].op.err == ERR_CANCELLED;
    }
    assert_true(cancelled >= 2);
    pair_close(&pair);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct bench *bench = *state;
    struct pair pair = {0};
    struct probe accept = {.op = {.kind = OS_OP_ACCEPT}};
    struct probe connect = {.op = {.kind = OS_OP_CONNECT, .address = "127.0.0.1"}};
    struct rlimit before;
    struct rlimit tight;
    int fd;
    int64_t start_ns;

    listen_any(bench, &pair, "127.0.0.1");
    connect.op.port_number = pair.port_number;
    assert_int_equal(probe_run(bench->port, &connect), OK);
    fd = dup(0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fd;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    accept.op.socket = pair.listener;
    assert_int_equal(probe_run(bench->port, &accept), ERR_TOO_MANY_FILES);
    start_ns = os_now_ns(bench->os);
    probe_submit(bench->port, &accept);
    for (int i = 0; i < 100 && os_now_ns(bench->os) - start_ns < 20000000; i++)
        assert_int_equal(os_port_poll(bench->port, 0), 0); /* does not fail again and again */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    probe_wait(bench->port, &accept);
    assert_int_equal(accept.op.err, OK);
    close(fd);
    os_socket_close(&accept.op.accepted, false);
    os_socket_close(&connect.op.accepted, false);
    pair_close(&pair);
}

static void accepting_leaves_descriptors_to_files(void **state)
{
    struct bench *bench = *state;
    struct pair pair = {0};
    struct probe accept = {.op = {.kind = OS_OP_ACCEPT}};
    struct os_socket *held[64] = {0}, *connected[64] = {0};
    struct rlimit before, tight;
    int fd = dup(0), lowest;
    size_t count = 0;
    enum err err = OK;

    listen_any(bench, &pair, "127.0.0.1");
    accept.op.socket = pair.listener;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fd + 32; /* half of it is for files: more than what is left */
    for (; count < ARRAY_COUNT(held); count++) {
        struct probe connect = {.op = {.kind = OS_OP_CONNECT, .address = "127.0.0.1"}};

        connect.op.port_number = pair.port_number;
        assert_int_equal(probe_run(bench->port, &connect), OK);
        connected[count] = connect.op.accepted;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        err = probe_run(bench->port, &accept);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (err != OK)
            break;
        held[count] = accept.op.accepted;
        accept.op.accepted = NULL;
    }
    assert_int_equal(err, ERR_TOO_MANY_FILES);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    lowest = dup(0);
    assert_true(lowest >= 0); /* a file could be opened */
    close(lowest);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(probe_run(bench->port, &accept), OK); /* who waited is served */
    held[count] = accept.op.accepted;
    for (size_t i = 0; i <= count; i++) {
        os_socket_close(&held[i], false);
        os_socket_close(&connected[i], false);
    }
    close(fd);
    pair_close(&pair);
}

/* More than one packet may bring; what is sent is in the peer's buffer when the send has completed. */
static void the_rest_of_a_frame_wakes_its_owner_once(void **state)
{
    enum { FRAME = 40000, BEGINNING = 100 };
    static uint8_t sent[FRAME], received[FRAME];
    struct bench *bench = *state;
    struct slice first = {sent, BEGINNING}, rest = {sent + BEGINNING, FRAME - BEGINNING};
    struct pair pair;
    struct probe receive;
    struct probe send;

    memset(sent, 7, sizeof(sent));
    pair_open(bench, &pair);
    receive.op = receive_op(pair.server, received, FRAME);
    receive.op.useful_bytes = FRAME;
    probe_submit(bench->port, &receive);
    send.op = send_op(pair.client, &first, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    assert_true(os_socket_is_readable(pair.server));
    os_port_poll(bench->port, 0);
    assert_int_equal(receive.done_count, 0);
    send.op = send_op(pair.client, &rest, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    probe_wait(bench->port, &receive);
    assert_int_equal(receive.op.result, FRAME);
    assert_memory_equal(received, sent, FRAME);
    receive.op = receive_op(pair.server, received, FRAME); /* the next frame may be a small one */
    receive.op.useful_bytes = 1;
    probe_submit(bench->port, &receive);
    send.op = send_op(pair.client, &first, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    probe_wait(bench->port, &receive);
    assert_int_equal(receive.op.result, BEGINNING);
    receive.op =
        receive_op(pair.server, received, FRAME); /* the end of the peer does not wait for it */
    receive.op.useful_bytes = FRAME;
    probe_submit(bench->port, &receive);
    send.op = send_op(pair.client, &first, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    os_socket_close(&pair.client, false);
    probe_wait(bench->port, &receive);
    assert_int_equal(receive.op.result, BEGINNING);
    pair_close(&pair);
}

struct chain { /* operations that complete at once, one after the other */
    struct os_op op;
    struct os_port *port;
    struct slice nothing;
    bool is_over;
};

static void chain_next(struct os_op *op)
{
    struct chain *chain = CONTAINER_OF(op, struct chain, op);
    struct os_socket *socket = op->socket;

    if (chain->is_over)
        return;
    chain->op = send_op(socket, &chain->nothing, 1);
    chain->op.done = chain_next;
    os_port_submit(chain->port, &chain->op);
}

static void
a_chain_of_operations_that_complete_at_once_does_not_keep_others_from_their_events(void **state)
{
    struct bench *bench = *state;
    struct chain chain = {.port = bench->port, .nothing = SLICE_EMPTY};
    struct slice word = SLICE("word");
    struct pair pair;
    struct probe receive, send;
    char buffer[16];

    pair_open(bench, &pair);
    receive.op = receive_op(pair.server, buffer, sizeof(buffer));
    probe_submit(bench->port, &receive);
    send.op = send_op(pair.client, &word, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    probe_wait(bench->port, &receive);
    chain.op.socket = pair.client;
    chain_next(&chain.op);
    for (int round = 0; round < 5; round++) {
        receive.op = receive_op(pair.server, buffer, sizeof(buffer));
        probe_submit(bench->port, &receive);
        send.op = send_op(pair.client, &word, 1);
        probe_submit(bench->port, &send);
        for (int polls = 0; polls < 8; polls++)
            os_port_poll(bench->port, 0);
        assert_int_equal(send.done_count, 1);
        assert_int_equal(receive.done_count, 1);
        assert_int_equal(receive.op.result, 4);
    }
    chain.is_over = true;
    os_port_poll(bench->port, 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_of_operations_that_complete_at_once_does_not_keep_others_from_their_events),
        TEST(both_sides_know_each_other_and_exchange_bytes),
        TEST(a_listener_on_every_address_hears_both_families),
        TEST(a_peer_that_closes_its_side_can_still_be_answered),
        TEST(large_transfers_arrive_whole_and_in_order_in_both_directions),
        TEST(the_rest_of_a_frame_wakes_its_owner_once),
        TEST(closing_cancels_what_is_under_way_at_the_next_poll),
        TEST(a_callback_may_close_a_socket_whose_event_came_in_the_same_batch),
        TEST(an_aborted_connection_is_an_error_at_the_peer),
        TEST(refused_and_unknown_addresses_are_told),
        TEST(a_socket_moves_between_ports_with_the_bytes_that_wait),
        TEST(a_port_that_goes_down_cancels_its_connects),
        TEST(without_descriptors_accepting_pauses_and_goes_on),
        TEST(accepting_leaves_descriptors_to_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
