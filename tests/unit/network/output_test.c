/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "test.h"

#include <stdlib.h>

static void pieces_of_one_turn_leave_in_order_in_one_send(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct connection *connection;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    connection = bench_connection(&bench, 0)->connection;
    for (int i = 0; i < 100; i++) {
        char text[2] = {(char)('0' + i % 10), 0};

        bench_send(&bench, connection, i % 7 == 3 ? "" : text);
    }
    assert_int_equal(bench.pieces_released, 0);
    assert_true(connection_output_bytes(connection) > 80);
    bench_run(&bench);
    assert_int_equal(socket->sends, 1);
    assert_int_equal(bench.pieces_released, 100);
    assert_int_equal(connection_output_bytes(connection), 0);
    for (int i = 0, at = 0; i < 100; i++) {
        if (i % 7 != 3)
            assert_int_equal(socket->out[at++], '0' + i % 10);
    }
    assert_int_equal(bench_counts(&bench)->bytes_sent, socket->out_size);
    bench_end(&bench);
}

static void pieces_without_bytes_are_released_without_a_send(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    bench_send(&bench, bench_connection(&bench, 0)->connection, "");
    bench_run(&bench);
    assert_int_equal(socket->sends, 0);
    assert_int_equal(bench.pieces_released, 1);
    bench_end(&bench);
}

static void what_comes_while_a_send_is_under_way_leaves_after_it_together(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct connection *connection;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    connection = bench_connection(&bench, 0)->connection;
    socket->out_room = 2;
    bench_send(&bench, connection, "first");
    bench_run(&bench);
    bench_send(&bench, connection, "second");
    bench_run(&bench);
    bench_send(&bench, connection, "third");
    bench_run(&bench);
    assert_int_equal(socket->sends, 1);
    assert_int_equal(bench.pieces_released, 0);
    fake_take(socket, 1000);
    bench_run(&bench);
    assert_int_equal(socket->sends, 2);
    assert_int_equal(bench.pieces_released, 3);
    assert_int_equal(socket->out_size, 16);
    assert_memory_equal(socket->out, "firstsecondthird", 16);
    bench_end(&bench);
}

static void a_large_output_leaves_in_parts_and_none_is_lost(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    size_t size_bytes = 5 << 20;
    uint8_t *bytes = malloc(size_bytes);

    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)(i * 13 + (i >> 9));
    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    for (size_t at = 0; at < size_bytes; at += 700001)
        bench_send_bytes(&bench, bench_connection(&bench, 0)->connection, bytes + at,
                         MIN((size_t)700001, size_bytes - at));
    bench_run(&bench);
    assert_int_equal(socket->sends, 5);
    assert_int_equal(socket->out_size, size_bytes);
    assert_memory_equal(socket->out, bytes, size_bytes);
    bench_end(&bench);
    free(bytes);
}

static void answer_here(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    bench_send(bench, from->connection, "an answer of some bytes");
}

static void a_slow_reader_is_not_read_until_its_output_drained(void **state)
{
    struct network_options options = {1000, 1 << 20, -1, 100};
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;

    bench_start(&bench, 1, &options);
    bench.on_frame = answer_here;
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    socket->out_room = 0;
    for (int i = 0; i < 1000; i++)
        bench_write_frame(socket, "12345678", 8);
    bench_run(&bench);
    assert_int_equal(own->frames, 5); /* 5 answers are more than 100 bytes */
    assert_true(connection_output_bytes(own->connection) < 100 + 23 + 1);
    assert_true(socket->in_read <= 2 * 2048);
    for (size_t round = 0; own->frames < 1000; round++) {
        size_t before = own->frames;

        fake_take(socket, 200);
        bench_run(&bench);
        assert_true(own->frames > before);
        assert_true(connection_output_bytes(own->connection) <= 100 + 23);
    }
    fake_take(socket, 1000000);
    bench_run(&bench);
    assert_int_equal(socket->out_size, 23000);
    bench_end(&bench);
}

static void a_close_with_drain_sends_what_was_queued_and_nothing_later(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    socket->out_room = 3;
    bench_send(&bench, own->connection, "farewell");
    connection_close(own->connection, NETWORK_REASON_REQUEST, true, NULL);
    bench_send(&bench, own->connection, "too late");
    assert_int_equal(bench.pieces_released, 1); /* at once */
    bench_write_frame(socket, "x", 1);
    bench_run(&bench);
    assert_false(socket->is_closed);
    assert_int_equal(own->frames, 0);
    fake_take(socket, 100);
    bench_run(&bench);
    assert_true(socket->is_closed);
    assert_int_equal(socket->out_size, 8);
    assert_int_equal(bench.closed, 1);
    assert_int_equal(own->reason, NETWORK_REASON_REQUEST);
    bench_end(&bench);
}

static void a_drain_ends_after_five_seconds(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    socket->out_room = 3;
    bench_send(&bench, bench_connection(&bench, 0)->connection, "farewell");
    connection_close(bench_connection(&bench, 0)->connection, NETWORK_REASON_REQUEST, true, NULL);
    bench_advance(&bench, 4999);
    assert_false(socket->is_closed);
    bench_advance(&bench, 2);
    assert_true(socket->is_closed);
    assert_int_equal(bench.pieces_released, 1);
    assert_int_equal(bench.closed, 1);
    bench_end(&bench);
}

static void a_close_releases_pieces_only_when_their_send_was_cancelled(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    socket->out_room = 0;
    bench_send(&bench, bench_connection(&bench, 0)->connection, "stuck");
    bench_run(&bench);
    bench.is_in_call = true;
    connection_close(bench_connection(&bench, 0)->connection, NETWORK_REASON_REQUEST, false, NULL);
    bench.is_in_call = false;
    assert_int_equal(bench.pieces_released, 0);
    bench_run(&bench);
    assert_int_equal(bench.pieces_released, 1);
    assert_int_equal(bench.closed, 1);
    bench_end(&bench);
}

static void a_failed_send_closes_the_connection(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    socket->out_room = 0;
    connection_pause(bench_connection(&bench, 0)->connection);
    bench_write_frame(socket, "held back", 9);
    bench_send(&bench, bench_connection(&bench, 0)->connection, "stuck");
    bench_run(&bench);
    fake_break(socket);
    bench_run(&bench);
    assert_true(socket->is_closed);
    assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_PEER);
    assert_int_equal(bench.pieces_released, 1);
    bench_end(&bench);
}

static void idle_connections_close_longest_idle_first_and_activity_counts(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[3];

    bench_start(&bench, 1, NULL);
    for (int i = 0; i < 3; i++) {
        sockets[i] = bench_connect(&bench);
        bench_advance(&bench, 1000);
    }
    connection_pause(bench_connection(&bench, 1)->connection); /* counts as idle too */
    bench_advance(&bench, 300000);
    bench_write_frame(sockets[0], "x", 1);
    bench_run(&bench);
    bench_advance(&bench, 600000 - 303000 + 1000 - 1);
    assert_int_equal(bench.closed, 0);
    bench_advance(&bench, 1);
    assert_true(sockets[1]->is_closed);
    assert_false(sockets[2]->is_closed);
    bench_advance(&bench, 1000);
    assert_true(sockets[2]->is_closed);
    assert_false(sockets[0]->is_closed);
    bench_send(&bench, bench_connection(&bench, 0)->connection, "bytes out count as well");
    bench_run(&bench);
    bench_advance(&bench, 599999);
    assert_false(sockets[0]->is_closed);
    bench_advance(&bench, 1);
    assert_true(sockets[0]->is_closed);
    assert_int_equal(bench_counts(&bench)->closed_by_reason[NETWORK_REASON_IDLE], 3);
    bench_end(&bench);
}

static void a_changed_idle_limit_holds_for_open_connections(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    bench.options.idle_ms_max = -1;
    network_set_options(bench.shards[0].network, &bench.options);
    bench_advance(&bench, 10000000);
    assert_false(socket->is_closed);
    bench.options.idle_ms_max = 1000;
    network_set_options(bench.shards[0].network, &bench.options);
    bench_advance(&bench, 1);
    assert_true(socket->is_closed);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_one_turn_leave_in_order_in_one_send),
        cmocka_unit_test(pieces_without_bytes_are_released_without_a_send),
        cmocka_unit_test(what_comes_while_a_send_is_under_way_leaves_after_it_together),
        cmocka_unit_test(a_large_output_leaves_in_parts_and_none_is_lost),
        cmocka_unit_test(a_slow_reader_is_not_read_until_its_output_drained),
        cmocka_unit_test(a_close_with_drain_sends_what_was_queued_and_nothing_later),
        cmocka_unit_test(a_drain_ends_after_five_seconds),
        cmocka_unit_test(a_close_releases_pieces_only_when_their_send_was_cancelled),
        cmocka_unit_test(a_failed_send_closes_the_connection),
        cmocka_unit_test(idle_connections_close_longest_idle_first_and_activity_counts),
        cmocka_unit_test(a_changed_idle_limit_holds_for_open_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
