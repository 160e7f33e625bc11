/* SPDX-License-Identifier: Apache-2.0 */
#include "real_pair.h"

void listen_any(struct bench *bench, struct pair *pair, const char *address)
{
    struct os_address local;

    assert_int_equal(os_listen(bench->port, address, 0, 16, &pair->listener), OK);
    os_socket_local_address(pair->listener, &local);
    pair->port_number = local.port_number;
    assert_true(pair->port_number > 0);
}

void pair_open(struct bench *bench, struct pair *pair)
{
    struct probe accept = {.op = {.kind = OS_OP_ACCEPT}};
    struct probe connect = {.op = {.kind = OS_OP_CONNECT, .address = "127.0.0.1"}};

    listen_any(bench, pair, "127.0.0.1");
    accept.op.socket = pair->listener;
    connect.op.port_number = pair->port_number;
    probe_submit(bench->port, &accept);
    assert_int_equal(probe_run(bench->port, &connect), OK);
    probe_wait(bench->port, &accept);
    assert_int_equal(accept.op.err, OK);
    pair->client = connect.op.accepted;
    pair->server = accept.op.accepted;
}

void pair_close(struct pair *pair)
{
    os_socket_close(&pair->client, false);
    os_socket_close(&pair->server, false);
    os_socket_close(&pair->listener, false);
}

struct os_op receive_op(struct os_socket *socket, void *buffer, size_t size_bytes)
{
    return (struct os_op){
        .kind = OS_OP_RECEIVE, .socket = socket, .buffer = buffer, .size_bytes = size_bytes};
}

struct os_op send_op(struct os_socket *socket, const struct slice *slices, size_t count)
{
    return (struct os_op){
        .kind = OS_OP_SEND, .socket = socket, .slices = slices, .slice_count = count};
}
