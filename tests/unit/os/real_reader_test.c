/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_socket_await: a reader has no operation before there is something to receive.
 */
#include "real_pair.h"

#include <string.h>

struct lazy {
    struct os_reader reader;
    struct probe probe;
    struct os_socket *socket;
    char buffer[16];
    int begun, undone, arrived;
    bool has_none;
};

static void lazy_done(struct os_op *op)
{
    CONTAINER_OF(op, struct lazy, probe.op)->arrived++;
}

static struct os_op *lazy_begin(struct os_reader *reader)
{
    struct lazy *lazy = CONTAINER_OF(reader, struct lazy, reader);

    lazy->begun++;
    if (lazy->has_none)
        return NULL;
    lazy->probe.op = receive_op(lazy->socket, lazy->buffer, sizeof(lazy->buffer));
    lazy->probe.op.done = lazy_done;
    return &lazy->probe.op;
}

static void lazy_undo(struct os_reader *reader, struct os_op *op)
{
    struct lazy *lazy = CONTAINER_OF(reader, struct lazy, reader);

    assert_ptr_equal(op, &lazy->probe.op);
    lazy->undone++;
}

static const struct os_reader_calls lazy_calls = {lazy_begin, lazy_undo};

static void a_reader_holds_an_operation_only_while_there_is_something_to_receive(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct slice text = SLICE("ping");
    struct lazy lazy = {.reader = {&lazy_calls}};
    struct probe send;

    pair_open(bench, &pair);
    lazy.socket = pair.server;
    os_socket_await(pair.server, &lazy.reader);
    assert_int_equal(lazy.begun, lazy.undone); /* a new socket is looked at */
    assert_int_equal(os_port_poll(bench->port, 0), 0);
    assert_int_equal(lazy.begun, lazy.undone);
    for (int i = 1; i <= 3; i++) {
        int begun = lazy.begun;

        send.op = send_op(pair.client, &text, 1);
        assert_int_equal(probe_run(bench->port, &send), OK);
        while (lazy.arrived < i)
            os_port_poll(bench->port, INT64_MAX);
        assert_int_equal(lazy.begun, begun + 1);
        assert_int_equal(lazy.probe.op.result, 4);
        assert_memory_equal(lazy.buffer, "ping", 4);
        os_socket_await(pair.server, &lazy.reader); /* a short receive has emptied the queue */
        assert_int_equal(lazy.begun, begun + 1);
    }
    os_socket_close(&pair.client, false); /* the end is something too */
    while (lazy.arrived < 4)
        os_port_poll(bench->port, INT64_MAX);
    assert_int_equal(lazy.probe.op.err, OK);
    assert_int_equal(lazy.probe.op.result, 0);
    pair_close(&pair);
}

static void a_reader_without_memory_is_asked_once_and_a_closed_one_never(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct slice text = SLICE("ping");
    struct lazy lazy = {.reader = {&lazy_calls}};
    struct probe send;
    int begun;

    pair_open(bench, &pair);
    lazy.socket = pair.server;
    os_socket_await(pair.server, &lazy.reader);
    begun = lazy.begun;
    lazy.has_none = true;
    send.op = send_op(pair.client, &text, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    while (lazy.begun == begun)
        os_port_poll(bench->port, os_now_ns(bench->os) + 1000000);
    assert_int_equal(lazy.begun, begun + 1);
    send.op = send_op(pair.client, &text, 1);
    assert_int_equal(probe_run(bench->port, &send), OK);
    os_port_poll(bench->port, 0);
    assert_int_equal(lazy.begun, begun + 1);
    lazy.has_none = false;
    os_socket_close(&pair.server, false);
    lazy.socket = pair.client;
    os_socket_await(pair.client, &lazy.reader);
    begun = lazy.begun;
    os_socket_close(&pair.client, false);
    os_port_poll(bench->port, 0);
    assert_int_equal(lazy.begun, begun);
    pair_close(&pair);
}

static void lazy_open(struct bench *bench, struct pair *pair, struct lazy *lazy)
{
    pair_open(bench, pair);
    *lazy = (struct lazy){.reader = {&lazy_calls}, .socket = pair->server};
}

/* The bytes are queued at the peer; what the kernel says of them was heard. */
static void send_now(struct bench *bench, struct os_socket *socket, const char *text)
{
    struct slice bytes = slice_of(text, strlen(text));
    struct probe send = {.op = send_op(socket, &bytes, 1)};

    assert_int_equal(probe_run(bench->port, &send), OK);
    os_port_poll(bench->port, 0);
}

static void lazy_wait(struct os_port *port, struct lazy *lazy, int arrived)
{
    while (lazy->arrived < arrived)
        os_port_poll(port, INT64_MAX);
    assert_int_equal(lazy->arrived, arrived);
    assert_int_equal(lazy->begun, lazy->undone + arrived);
    assert_int_equal(lazy->probe.op.err, OK);
}

static void a_fresh_socket_is_looked_at_in_vain_and_its_reader_waits_on(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct lazy lazy;

    lazy_open(bench, &pair, &lazy);
    os_socket_await(pair.server, &lazy.reader);
    assert_int_equal(lazy.begun, 1);
    assert_int_equal(lazy.undone, 1);
    send_now(bench, pair.client, "ping");
    lazy_wait(bench->port, &lazy, 1);
    assert_int_equal(lazy.begun, 2);
    assert_int_equal(lazy.probe.op.result, 4);
    pair_close(&pair);
}

static void a_reader_that_was_filled_exactly_looks_once_more_and_waits_on(void **state)
{
    struct bench *bench = *state;
    struct pair pair;
    struct lazy lazy;

    lazy_open(bench, &pair, &lazy);
    os_socket_await(pair.server, &lazy.reader);
    send_now(bench, pair.client, "sixteen bytes ..");
    lazy_wait(bench->port, &lazy, 1);
    assert_int_equal(lazy.probe.op.result, sizeof(lazy.buffer));
    os_socket_await(pair.server, &lazy.reader);
    assert_int_equal(lazy.begun, 3);
    assert_int_equal(lazy.undone, 2);
    assert_int_equal(os_port_poll(bench->port, 0), 0);
    send_now(bench, pair.client, "more");
    lazy_wait(bench->port, &lazy, 2);
    assert_int_equal(lazy.begun, 4);
    assert_memory_equal(lazy.buffer, "more", 4);
    pair_close(&pair);
}

static void what_comes_before_a_reader_waits_again_is_not_missed(void **state)
{
    struct bench *bench = *state;
    struct slice text = SLICE("unheard");
    struct probe send;
    struct pair pair;
    struct lazy lazy;

    lazy_open(bench, &pair, &lazy);
    os_socket_await(pair.server, &lazy.reader);
    send_now(bench, pair.client, "first");
    lazy_wait(bench->port, &lazy, 1);
    send_now(bench, pair.client, "heard"); /* the event finds nobody */
    assert_int_equal(lazy.arrived, 1);
    os_socket_await(pair.server, &lazy.reader);
    lazy_wait(bench->port, &lazy, 2);
    assert_memory_equal(lazy.buffer, "heard", 5);
    send.op = send_op(pair.client, &text, 1);
    probe_submit(bench->port, &send); /* the event is still to come */
    os_socket_await(pair.server, &lazy.reader);
    lazy_wait(bench->port, &lazy, 3);
    assert_memory_equal(lazy.buffer, "unheard", 7);
    probe_wait(bench->port, &send);
    pair_close(&pair);
}

static void an_end_before_a_reader_waits_again_is_not_missed(void **state)
{
    struct bench *bench = *state;

    for (int is_heard = 0; is_heard < 2; is_heard++) {
        struct pair pair;
        struct lazy lazy;

        lazy_open(bench, &pair, &lazy);
        os_socket_await(pair.server, &lazy.reader);
        send_now(bench, pair.client, "last");
        lazy_wait(bench->port, &lazy, 1);
        os_socket_close(&pair.client, false);
        if (is_heard)
            os_port_poll(bench->port, 0);
        os_socket_await(pair.server, &lazy.reader);
        lazy_wait(bench->port, &lazy, 2);
        assert_int_equal(lazy.probe.op.result, 0);
        pair_close(&pair);
    }
}

static void a_reader_behind_the_rest_of_a_large_frame_hears_of_one_byte(void **state)
{
    enum { FRAME = 70000 };
    static uint8_t sent[FRAME], received[FRAME];
    struct bench *bench = *state;
    struct slice frame = {sent, FRAME};
    struct probe receive, send;
    struct pair pair;
    struct lazy lazy;
    size_t came = 0;

    lazy_open(bench, &pair, &lazy);
    send.op = send_op(pair.client, &frame, 1);
    while (came < FRAME) {
        receive.op = receive_op(pair.server, received + came, FRAME - came);
        receive.op.useful_bytes = FRAME - came;
        probe_submit(bench->port, &receive);
        if (came == 0)
            probe_submit(bench->port, &send);
        probe_wait(bench->port, &receive);
        came += (size_t)receive.op.result;
    }
    os_socket_await(pair.server, &lazy.reader);
    assert_int_equal(lazy.begun, lazy.undone);
    send_now(bench, pair.client, "!");
    lazy_wait(bench->port, &lazy, 1);
    assert_int_equal(lazy.probe.op.result, 1);
    assert_int_equal(send.done_count, 1);
    pair_close(&pair);
}

static void a_reader_of_a_socket_that_moved_finds_the_bytes_that_wait(void **state)
{
    struct bench *bench = *state;
    struct os_port *second;
    struct pair pair;
    struct lazy lazy;

    assert_int_equal(os_port_create(bench->os, &second), OK);
    lazy_open(bench, &pair, &lazy);
    os_socket_await(pair.server, &lazy.reader);
    send_now(bench, pair.client, "here");
    lazy_wait(bench->port, &lazy, 1);
    send_now(bench, pair.client, "there");
    os_socket_detach(pair.server);
    os_socket_attach(pair.server, second);
    os_socket_await(pair.server, &lazy.reader);
    lazy_wait(second, &lazy, 2);
    assert_memory_equal(lazy.buffer, "there", 5);
    os_socket_await(pair.server, &lazy.reader);
    send_now(bench, pair.client, "again");
    lazy_wait(second, &lazy, 3);
    assert_memory_equal(lazy.buffer, "again", 5);
    pair_close(&pair);
    os_port_release(&second);
}

static void a_socket_closed_while_its_reader_waits_asks_for_nothing(void **state)
{
    struct bench *bench = *state;
    struct slice text = SLICE("late");
    struct probe send;
    struct pair pair;
    struct lazy lazy;
    int begun;

    lazy_open(bench, &pair, &lazy);
    os_socket_await(pair.server, &lazy.reader);
    begun = lazy.begun;
    send.op = send_op(pair.client, &text, 1);
    probe_submit(bench->port, &send); /* its event is in the kernel */
    os_socket_close(&pair.server, false);
    probe_wait(bench->port, &send);
    os_port_poll(bench->port, 0);
    assert_int_equal(lazy.begun, begun);
    assert_int_equal(lazy.arrived, 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_holds_an_operation_only_while_there_is_something_to_receive),
        TEST(a_reader_without_memory_is_asked_once_and_a_closed_one_never),
        TEST(a_fresh_socket_is_looked_at_in_vain_and_its_reader_waits_on),
        TEST(a_reader_that_was_filled_exactly_looks_once_more_and_waits_on),
        TEST(what_comes_before_a_reader_waits_again_is_not_missed),
        TEST(an_end_before_a_reader_waits_again_is_not_missed),
        TEST(a_reader_behind_the_rest_of_a_large_frame_hears_of_one_byte),
        TEST(a_reader_of_a_socket_that_moved_finds_the_bytes_that_wait),
        TEST(a_socket_closed_while_its_reader_waits_asks_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
