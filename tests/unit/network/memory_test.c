/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "network/network_internal.h"
#include "test.h"

static const struct network_options small = {100000, 100000, -1, 1 << 20};
static uint8_t bytes[200000];

static void over_the_budget_sockets_wait_and_go_on_in_order_when_frames_are_released(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[5];

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    for (int i = 0; i < 5; i++) {
        sockets[i] = bench_connect(&bench);
        bench_write_frame(sockets[i], bytes, i == 0 ? 10 : 60000);
        bench_run(&bench);
    }
    assert_int_equal(bench.frame_count, 2); /* the first one is held all the time */
    assert_int_equal(bench_counts(&bench)->frame_bytes, 60000 + sizeof(struct intake));
    assert_int_equal(bench_counts(&bench)->muted_for_memory, 3);
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(bench_connection(&bench, i)->frames, 0);
        bench.is_in_call = true;
        frame_release(&bench.frames[--bench.frame_count]);
        bench.is_in_call = false;
        bench_run(&bench);
        assert_int_equal(bench_connection(&bench, i)->frames, 1);
        assert_int_equal(bench.frame_count, 2);
        assert_int_equal(bench_counts(&bench)->frame_bytes, 60000 + sizeof(struct intake));
    }
    bench_end(&bench);
}

static void a_small_frame_waits_behind_those_that_waited_before_it(void **state)
{
    struct bench bench;
    struct fake_socket *first, *second, *third;

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    first = bench_connect(&bench);
    second = bench_connect(&bench);
    third = bench_connect(&bench);
    bench_write_frame(first, bytes, 60000);
    bench_run(&bench);
    bench_write_frame(second, bytes, 60000);
    bench_run(&bench);
    bench_write_frame(third, bytes, 10);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 2)->frames, 0);
    bench_release_frames(&bench);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 1)->frames, 1);
    assert_int_equal(bench_connection(&bench, 2)->frames, 1);
    bench_end(&bench);
}

/* Nothing of a peer's is awaited more than once, however small it is. */
static void empty_frames_wait_and_are_given_in_their_turn(void **state)
{
    static const size_t sizes[] = {60000, 60000, 0, 0, 60000};
    struct bench bench;
    struct fake_socket *sockets[5];

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    for (int i = 0; i < 5; i++) {
        sockets[i] = bench_connect(&bench);
        bench_write_frame(sockets[i], bytes, sizes[i]);
        bench_run(&bench);
        assert_int_equal(bench.frame_count, 1);
    }
    assert_int_equal(bench_counts(&bench)->muted_for_memory, 4);
    bench_release_frames(&bench);
    bench_run(&bench);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(bench_connection(&bench, i)->frames, 1);
    assert_int_equal(bench_connection(&bench, 4)->frames, 0);
    assert_int_equal(bench_counts(&bench)->muted_for_memory, 4); /* nobody queued once more */
    bench_release_frames(&bench);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 4)->frames, 1);
    bench_end(&bench);
}

static void an_empty_frame_holds_as_much_as_its_memory(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    size_t given = (size_t)small.frame_bytes_max / sizeof(struct intake);

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    socket = bench_connect(&bench);
    for (size_t i = 0; i <= given; i++)
        bench_write_frame(socket, bytes, 0);
    bench_run(&bench);
    assert_int_equal(bench.frame_count, given);
    assert_int_equal(bench_counts(&bench)->frame_bytes, given * sizeof(struct intake));
    bench_release_frames(&bench);
    bench_run(&bench);
    assert_int_equal(bench.frame_count, 1);
    bench_end(&bench);
}

static void a_frame_larger_than_the_budget_passes_when_nothing_is_held(void **state)
{
    struct network_options options = {200000, 1000, -1, 1 << 20};
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, &options);
    socket = bench_connect(&bench);
    for (int i = 0; i < 3; i++)
        bench_write_frame(socket, bytes, 200000);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 0)->frames, 3);
    bench_end(&bench);
}

/* Each has a part of the budget and none can be whole within it. */
static void frames_that_block_each_other_become_whole_one_after_the_other(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[8];
    int64_t most = 0;

    bench_start(&bench, 1, &small);
    for (int i = 0; i < 8; i++) {
        sockets[i] = bench_connect(&bench);
        fake_write(sockets[i], (uint8_t[]){0, 1, 0x86, 0xa0}, 4); /* 100000 */
    }
    for (size_t came = 0; came < 100000; came += 2500) {
        for (int i = 0; i < 8; i++)
            fake_write(sockets[i], bytes, 2500);
        reactor_turn(bench.shards[0].reactor);
        most = MAX(most, bench_counts(&bench)->frame_bytes);
    }
    bench_run(&bench);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(bench_connection(&bench, i)->frames, 1);
    assert_true(most <= 2 * 100000);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    assert_true(bench_counts(&bench)->muted_for_memory > 0);
    bench_end(&bench);
}

static void the_one_that_exceeds_the_budget_makes_way_when_it_dies(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[3];

    bench_start(&bench, 1, &small);
    for (int i = 0; i < 3; i++) {
        sockets[i] = bench_connect(&bench);
        fake_write(sockets[i], (uint8_t[]){0, 1, 0x86, 0xa0}, 4); /* 100000 */
        fake_write(sockets[i], bytes, 50000);
        bench_run(&bench);
    }
    assert_int_equal(bench_counts(&bench)->frame_bytes, 2 * 65536); /* the second exceeds */
    assert_int_equal(bench_counts(&bench)->muted_for_memory, 1);
    fake_write(sockets[2], bytes, 50000);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 2)->frames, 0);
    fake_break(sockets[1]);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 2)->frames, 1);
    fake_write(sockets[0], bytes, 50000);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 0)->frames, 1);
    bench_end(&bench);
}

static void who_is_paused_while_it_waits_asks_again_at_the_resume(void **state)
{
    struct bench bench;
    struct fake_socket *first, *second, *third;
    struct bench_connection *own;

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    first = bench_connect(&bench);
    second = bench_connect(&bench);
    third = bench_connect(&bench);
    own = bench_connection(&bench, 1);
    bench_write_frame(first, bytes, 90000);
    bench_run(&bench);
    bench_write_frame(second, bytes, 20000);
    bench_write_frame(third, bytes, 20000);
    bench_run(&bench);
    connection_pause(own->connection);
    bench_release_frames(&bench);
    bench_run(&bench);
    assert_int_equal(own->frames, 0);
    assert_int_equal(bench_connection(&bench, 2)->frames, 1);
    connection_resume(own->connection);
    bench_run(&bench);
    assert_int_equal(own->frames, 1);
    bench_end(&bench);
}

static void who_waits_may_be_closed(void **state)
{
    struct bench bench;
    struct fake_socket *first, *second;

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    first = bench_connect(&bench);
    second = bench_connect(&bench);
    bench_write_frame(first, bytes, 90000);
    bench_run(&bench);
    bench_write_frame(second, bytes, 20000);
    bench_run(&bench);
    connection_close(bench_connection(&bench, 1)->connection, NETWORK_REASON_REQUEST, false, NULL);
    bench_run(&bench);
    assert_int_equal(bench.closed, 1);
    bench_release_frames(&bench);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    bench_end(&bench);
}

static void a_frame_outlives_its_connection_and_counts_until_released(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, &small);
    bench.keeps_frames = true;
    socket = bench_connect(&bench);
    bench_write_frame(socket, "bytes", 5);
    bench_run(&bench);
    fake_break(socket);
    bench_run(&bench);
    assert_int_equal(bench.closed, 1);
    assert_int_equal(bench_counts(&bench)->frame_bytes, sizeof(struct intake));
    bench.frames[0]->data[0] = 'B'; /* its holder may write */
    assert_memory_equal(bench.frames[0]->data, "Bytes", 5);
    bench_end(&bench); /* which sees that the stop waits for the release */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_the_budget_sockets_wait_and_go_on_in_order_when_frames_are_released),
        cmocka_unit_test(a_small_frame_waits_behind_those_that_waited_before_it),
        cmocka_unit_test(empty_frames_wait_and_are_given_in_their_turn),
        cmocka_unit_test(an_empty_frame_holds_as_much_as_its_memory),
        cmocka_unit_test(a_frame_larger_than_the_budget_passes_when_nothing_is_held),
        cmocka_unit_test(frames_that_block_each_other_become_whole_one_after_the_other),
        cmocka_unit_test(the_one_that_exceeds_the_budget_makes_way_when_it_dies),
        cmocka_unit_test(who_is_paused_while_it_waits_asks_again_at_the_resume),
        cmocka_unit_test(who_waits_may_be_closed),
        cmocka_unit_test(a_frame_outlives_its_connection_and_counts_until_released),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
