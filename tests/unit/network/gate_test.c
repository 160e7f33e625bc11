/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "test.h"

#include <math.h>

static void listen_inner(struct bench *bench, int32_t connections_max, bool is_protected)
{
    struct network_listen listen = {.listener = 8,
                                    .port = BENCH_PORT_INNER,
                                    .backlog = 50,
                                    .connections_max = connections_max,
                                    .rate_max = INT32_MAX,
                                    .is_protected = is_protected};
    struct why why;
    uint16_t port;

    assert_int_equal(network_gate_listen(bench->gate, &listen, &port, &why), OK);
    network_gate_open(bench->gate);
    bench_run(bench);
}

static void a_connection_tells_where_it_came_from(void **state)
{
    struct bench bench;
    struct connection *connection;

    bench_start(&bench, 1, NULL);
    bench_connect(&bench);
    connection = bench_connection(&bench, 0)->connection;
    assert_int_equal(connection_listener(connection), 7);
    assert_string_equal(connection_id(connection), "10.0.0.1:9092-10.0.0.9:9000-0-0");
    assert_string_equal(connection_peer_address(connection)->text, "10.0.0.9");
    assert_int_equal(connection_local_address(connection)->port_number, BENCH_PORT);
    bench_connect(&bench);
    assert_string_equal(connection_id(bench_connection(&bench, 1)->connection),
                        "10.0.0.1:9092-10.0.0.9:9001-0-1");
    bench_end(&bench);
}

static void a_taken_port_is_told_with_its_address(void **state)
{
    struct network_listen listen = {.port = BENCH_PORT, .address = "10.0.0.1"};
    struct bench bench;
    struct why why = {""};
    uint16_t port;

    bench_start(&bench, 1, NULL);
    assert_int_equal(network_gate_listen(bench.gate, &listen, &port, &why), ERR_ADDRESS_IN_USE);
    assert_non_null(strstr(why.text, "10.0.0.1:9092"));
    bench_end(&bench);
}

static void the_network_with_the_fewest_connections_gets_the_next_one(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[6];

    bench_start(&bench, 2, NULL);
    for (int i = 0; i < 6; i++)
        sockets[i] = bench_connect(&bench);
    assert_int_equal(network_counts(bench.shards[0].network)->connections, 3);
    assert_int_equal(network_counts(bench.shards[1].network)->connections, 3);
    for (size_t i = 0; i < 6; i++) {
        if (bench_connection(&bench, i)->network != 1)
            continue;
        fake_end(sockets[i], OK);
    }
    bench_run(&bench);
    assert_int_equal(network_counts(bench.shards[1].network)->connections, 0);
    assert_int_equal(network_gate_connections(bench.gate), 3);
    for (int i = 0; i < 3; i++) {
        struct fake_socket *socket = bench_connect(&bench);

        assert_int_equal(bench_connection(&bench, (size_t)(6 + i))->network, 1);
        bench_write_frame(socket, "works there", 11);
        bench_run(&bench);
        assert_int_equal(bench_connection(&bench, (size_t)(6 + i))->frames, 1);
    }
    bench_end(&bench);
}

static void an_address_above_its_limit_is_closed_and_others_are_not(void **state)
{
    struct network_ip_limit overrides[] = {{SLICE("10.0.0.5"), 3}, {SLICE("10.0.0.6"), 0}};
    struct bench bench;
    struct fake_socket *first, *mapped;

    bench_start(&bench, 1, NULL);
    bench_limits(&bench,
                 (struct network_limits){.per_ip_max = 1, .per_ip = overrides, .per_ip_count = 2});
    first = bench_connect(&bench);
    assert_false(first->is_closed);
    assert_true(bench_connect(&bench)->is_closed);
    mapped = fake_connect(&bench.os, BENCH_PORT, "::ffff:10.0.0.9");
    bench_run(&bench);
    assert_true(mapped->is_closed); /* the same address */
    for (int i = 0; i < 4; i++) {
        struct fake_socket *socket = fake_connect(&bench.os, BENCH_PORT, "10.0.0.5");

        bench_run(&bench);
        assert_int_equal(socket->is_closed, i == 3);
    }
    mapped = fake_connect(&bench.os, BENCH_PORT, "10.0.0.6");
    bench_run(&bench);
    assert_true(mapped->is_closed);
    fake_end(first, OK);
    bench_run(&bench);
    assert_false(bench_connect(&bench)->is_closed);
    assert_int_equal(bench.opened, 5);
    bench_end(&bench);
}

static void at_max_connections_new_ones_wait_for_a_slot(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[5];

    bench_start(&bench, 2, NULL);
    bench_limits(&bench, (struct network_limits){.total_max = 2});
    for (int i = 0; i < 5; i++)
        sockets[i] = bench_connect(&bench);
    assert_int_equal(bench.opened, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_false(sockets[2 + i]->is_closed);
        fake_end(sockets[i], OK);
        bench_run(&bench);
        assert_int_equal(bench.opened, 3 + i);
    }
    bench_limits(&bench, (struct network_limits){.total_max = 10});
    bench_run(&bench);
    bench_connect(&bench);
    assert_int_equal(bench.opened, 6);
    bench_end(&bench);
}

static void a_listener_at_its_own_limit_waits_and_others_go_on(void **state)
{
    struct bench bench;
    struct fake_socket *first;

    bench_start(&bench, 1, NULL);
    listen_inner(&bench, 1, false);
    first = fake_connect(&bench.os, BENCH_PORT_INNER, "10.0.0.9");
    bench_run(&bench);
    fake_connect(&bench.os, BENCH_PORT_INNER, "10.0.0.9");
    bench_run(&bench);
    assert_int_equal(bench.opened, 1);
    bench_connect(&bench);
    assert_int_equal(bench.opened, 2);
    fake_end(first, OK);
    bench_run(&bench);
    assert_int_equal(bench.opened, 3);
    bench_end(&bench);
}

static void a_protected_listener_takes_the_place_of_the_longest_idle(void **state)
{
    for (size_t shards = 1; shards <= 2; shards++) {
        struct bench bench;
        struct fake_socket *clients[2], *inner[3];

        bench_start(&bench, shards, NULL);
        listen_inner(&bench, INT32_MAX, true);
        bench_limits(&bench, (struct network_limits){.total_max = 2});
        for (int i = 0; i < 2; i++) {
            clients[i] = bench_connect(&bench);
            bench_advance(&bench, 10);
        }
        bench_write_frame(clients[0], "x", 1); /* active */
        bench_run(&bench);
        for (int i = 0; i < 3; i++) {
            inner[i] = fake_connect(&bench.os, BENCH_PORT_INNER, "10.0.0.2");
            bench_run(&bench);
            if (i == 0 && shards == 1) {
                assert_true(clients[1]->is_closed);
                assert_false(clients[0]->is_closed);
            }
        }
        assert_true(clients[0]->is_closed && clients[1]->is_closed);
        for (int i = 0; i < 3; i++) /* they are never closed for each other */
            assert_false(inner[i]->is_closed);
        assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_LIMIT);
        assert_int_equal(network_gate_connections(bench.gate), 3);
        bench_end(&bench);
    }
}

static void a_lowered_limit_closes_the_longest_idle(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[6];

    bench_start(&bench, 1, NULL);
    for (int i = 0; i < 6; i++) {
        sockets[i] = bench_connect(&bench);
        bench_advance(&bench, 10);
    }
    bench_limits(&bench, (struct network_limits){.total_max = 4});
    bench_run(&bench);
    for (int i = 0; i < 6; i++)
        assert_int_equal(sockets[i]->is_closed, i < 2);
    bench_end(&bench);
}

static void connections_above_the_rate_are_delayed_and_none_is_refused(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[30];

    bench_start(&bench, 1, NULL);
    bench_limits(&bench, (struct network_limits){.rate_max = 1});
    for (int i = 0; i < 30; i++)
        sockets[i] = bench_connect(&bench);
    assert_int_equal(bench.opened, 10); /* Kafka's burst: ten windows of a second */
    for (size_t second = 1; second <= 20; second++) {
        size_t before = bench.opened;

        bench_advance(&bench, 1000);
        assert_true(bench.opened - before <= 2);
    }
    bench_advance(&bench, 5000);
    assert_int_equal(bench.opened, 30);
    for (int i = 0; i < 30; i++)
        assert_false(sockets[i]->is_closed);
    bench_end(&bench);
}

static void an_address_above_its_rate_is_held_unread_and_then_closed(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[12], *other;

    bench_start(&bench, 1, NULL);
    network_gate_set_ip_rate(bench.gate, SLICE("10.0.0.9"), 1);
    for (int i = 0; i < 12; i++)
        sockets[i] = bench_connect(&bench);
    assert_int_equal(bench.opened, 10);
    bench_write_frame(sockets[11], "not read", 8);
    bench_run(&bench);
    assert_false(sockets[11]->is_closed);
    assert_int_equal(sockets[11]->in_read, 0);
    other = fake_connect(&bench.os, BENCH_PORT, "10.0.0.8");
    bench_run(&bench);
    assert_int_equal(bench.opened, 11);
    bench_advance(&bench, 1001);
    assert_true(sockets[10]->is_closed && sockets[11]->is_closed);
    assert_false(other->is_closed);
    network_gate_set_ip_rate(bench.gate, SLICE("10.0.0.9"), INFINITY);
    bench_connect(&bench);
    assert_int_equal(bench.opened, 12);
    network_gate_set_ip_rate(bench.gate, SLICE_NULL, 0);
    bench_connect(&bench);
    assert_int_equal(bench.opened, 12);
    bench_end(&bench); /* with one held */
}

static void attempts_of_a_throttled_address_use_up_nobody_elses_rate(void **state)
{
    struct bench bench;

    bench_start(&bench, 1, NULL);
    bench_limits(&bench, (struct network_limits){.rate_max = 2}); /* 20 at once */
    network_gate_set_ip_rate(bench.gate, SLICE("10.0.0.9"), 1);
    for (int i = 0; i < 25; i++)
        bench_connect(&bench);
    assert_int_equal(bench.opened, 10);
    for (int i = 0; i < 11; i++) {
        fake_connect(&bench.os, BENCH_PORT, "10.0.0.8");
        bench_run(&bench);
    }
    assert_int_equal(bench.opened, 20);
    bench_advance(&bench, 1000);
    assert_int_equal(bench.opened, 21);
    bench_end(&bench);
}

static void without_descriptors_accepting_waits_and_goes_on(void **state)
{
    struct bench bench;
    struct fake_socket *listener, *socket;

    bench_start(&bench, 1, NULL);
    listener = fake_listener(&bench.os, BENCH_PORT);
    listener->accept_err = ERR_TOO_MANY_FILES;
    socket = bench_connect(&bench);
    for (int i = 0; i < 10; i++)
        bench_run(&bench);
    assert_int_equal(listener->accept_failures, 1); /* no spinning */
    bench_advance(&bench, 101);
    assert_int_equal(listener->accept_failures, 2);
    listener->accept_err = OK;
    bench_advance(&bench, 101);
    assert_int_equal(bench.opened, 1);
    assert_false(socket->is_closed);
    bench_end(&bench);
}

static void a_gate_may_be_released_before_its_connections_end(void **state)
{
    struct bench bench;
    struct network *networks[2];

    bench_start(&bench, 2, NULL);
    bench_connect(&bench);
    bench_connect(&bench);
    network_gate_stop(bench.gate, NULL, NULL);
    bench_run(&bench);
    network_gate_release(&bench.gate);
    for (int i = 0; i < 2; i++)
        networks[i] = bench.shards[i].network;
    assert_int_equal(network_gate_create(bench.shards[0].reactor, NULL, networks, 2, &bench.gate),
                     OK);
    bench_end(&bench); /* closes the connections of the first gate */
}

static void a_connection_that_comes_when_the_network_stops_is_closed(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[2];

    bench_start(&bench, 2, NULL);
    for (int i = 0; i < 2; i++)
        sockets[i] = fake_connect(&bench.os, BENCH_PORT, "10.0.0.9");
    for (int i = 0; i < 3; i++)
        reactor_turn(bench.shards[0].reactor); /* one is now in the mail to the other shard */
    assert_int_equal(bench.opened, 1);
    assert_int_equal(network_gate_connections(bench.gate), 2);
    bench_stop_network(&bench, 1);
    bench_run(&bench);
    assert_true(sockets[0]->is_closed != sockets[1]->is_closed);
    assert_int_equal(network_gate_connections(bench.gate), 1);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_tells_where_it_came_from),
        cmocka_unit_test(a_taken_port_is_told_with_its_address),
        cmocka_unit_test(the_network_with_the_fewest_connections_gets_the_next_one),
        cmocka_unit_test(an_address_above_its_limit_is_closed_and_others_are_not),
        cmocka_unit_test(at_max_connections_new_ones_wait_for_a_slot),
        cmocka_unit_test(a_listener_at_its_own_limit_waits_and_others_go_on),
        cmocka_unit_test(a_protected_listener_takes_the_place_of_the_longest_idle),
        cmocka_unit_test(a_lowered_limit_closes_the_longest_idle),
        cmocka_unit_test(connections_above_the_rate_are_delayed_and_none_is_refused),
        cmocka_unit_test(an_address_above_its_rate_is_held_unread_and_then_closed),
        cmocka_unit_test(attempts_of_a_throttled_address_use_up_nobody_elses_rate),
        cmocka_unit_test(without_descriptors_accepting_waits_and_goes_on),
        cmocka_unit_test(a_gate_may_be_released_before_its_connections_end),
        cmocka_unit_test(a_connection_that_comes_when_the_network_stops_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
