/* SPDX-License-Identifier: Apache-2.0 */
/* What connections hold while nothing happens on them, counted at the heap. */
#include "bench.h"

#include "base/allocator.h"
#include "base/fmt.h"
#include "test.h"

#include <stdlib.h>

#define CONNECTIONS 100
#define HELD_BYTES           \
    (CONNECTION_IDLE_BYTES + \
     (int64_t)sizeof(void *)) /* the handle and what the bench has of each */

/* The heap of this program is asked by one thread. */
static struct {
    struct allocator below;
    int64_t bytes;
    bool is_empty; /* what is asked for is refused */
} counted;

static void *count_allocate(struct allocator *self, size_t size_bytes)
{
    void *block = counted.is_empty ? NULL : counted.below.allocate(self, size_bytes);

    if (block)
        counted.bytes += (int64_t)size_bytes;
    return block;
}

static void *count_resize(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    void *block =
        counted.is_empty ? NULL : counted.below.resize(self, pointer, old_bytes, new_bytes);

    if (block)
        counted.bytes += (int64_t)new_bytes - (int64_t)(pointer ? old_bytes : 0);
    return block;
}

static void count_release(struct allocator *self, void *pointer, size_t size_bytes)
{
    if (pointer)
        counted.bytes -= (int64_t)size_bytes;
    counted.below.release(self, pointer, size_bytes);
}

static int count_begin(void **state)
{
    counted.below = heap_allocator;
    counted.bytes = 0;
    counted.is_empty = false;
    heap_allocator = (struct allocator){count_allocate, count_resize, count_release};
    return 0;
}

static int count_end(void **state)
{
    heap_allocator = counted.below;
    return counted.bytes != 0; /* nothing is left */
}

static void answer(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    bench_send_bytes(bench, from->connection, frame->data, frame->size_bytes);
}

/* A request and its answer on each. */
static void talk(struct bench *bench, struct fake_socket **sockets, size_t count, size_t size_bytes)
{
    uint8_t *bytes = calloc(1, size_bytes);

    for (size_t i = 0; i < count; i++) {
        size_t sent = sockets[i]->out_size;

        bench_write_frame(sockets[i], bytes, size_bytes);
        bench_run(bench);
        assert_int_equal(sockets[i]->out_size - sent, size_bytes);
    }
    free(bytes);
}

static void an_idle_connection_holds_its_handle_and_no_buffer(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[CONNECTIONS], *first;
    int64_t before, idle;

    bench_start(&bench, 1, NULL);
    bench.on_frame = answer;
    first = bench_connect(&bench);
    bench_run(&bench);
    talk(&bench, &first, 1, 300); /* what the network keeps for all */
    before = counted.bytes;
    for (size_t i = 0; i < CONNECTIONS; i++)
        sockets[i] = bench_connect(&bench);
    bench_run(&bench);
    assert_true(counted.bytes - before <= CONNECTIONS * HELD_BYTES);
    talk(&bench, sockets, CONNECTIONS, 300);
    idle = counted.bytes;
    assert_true(idle - before <= CONNECTIONS * HELD_BYTES);
    talk(&bench, sockets, CONNECTIONS, 100000);
    assert_int_equal(counted.bytes, idle);
    bench_end(&bench);
}

static void a_paused_connection_of_which_nothing_came_holds_no_buffer(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    int64_t before;

    bench_start(&bench, 1, NULL);
    bench.on_frame = answer;
    socket = bench_connect(&bench);
    bench_run(&bench);
    talk(&bench, &socket, 1, 300);
    before = counted.bytes;
    connection_pause(bench_connection(&bench, 0)->connection);
    bench_run(&bench);
    assert_int_equal(counted.bytes, before);
    fake_end(socket, OK); /* its end is noticed all the same */
    bench_run(&bench);
    assert_int_equal(bench.closed, 1);
    bench_end(&bench);
}

static void nothing_is_left_of_a_frame_that_came_during_a_pause(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[CONNECTIONS];
    int64_t idle = 0;

    bench_start(&bench, 1, NULL);
    bench.on_frame = answer;
    for (size_t i = 0; i < CONNECTIONS; i++)
        sockets[i] = bench_connect(&bench);
    bench_run(&bench);
    talk(&bench, sockets, CONNECTIONS, 300);
    idle = counted.bytes;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct bench_connection *own = bench_connection(&bench, i);

        connection_pause(own->connection);
        bench_write_frame(sockets[i], "request", 7);
        bench_run(&bench);
        assert_int_equal(own->frames, 1);
        connection_resume(own->connection);
        bench_run(&bench);
        assert_int_equal(own->frames, 2);
        assert_int_equal(counted.bytes, idle);
    }
    talk(&bench, sockets, CONNECTIONS, 300); /* they read on */
    bench_end(&bench);
}

static void answer_later(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    connection_pause(from->connection);
}

static void nothing_is_left_of_requests_that_came_while_the_answer_was_awaited(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[CONNECTIONS];
    int64_t idle = 0;

    bench_start(&bench, 1, NULL);
    bench.on_frame = answer_later;
    for (size_t i = 0; i < CONNECTIONS; i++)
        sockets[i] = bench_connect(&bench);
    bench_run(&bench);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct bench_connection *own = bench_connection(&bench, i);

        for (int come = 0; come < 3; come++) {
            bench_write_frame(sockets[i], "request", 7);
            bench_run(&bench);
        }
        for (size_t given = 1; given <= 3; given++) {
            assert_int_equal(own->frames, given);
            bench_send(&bench, own->connection, "answer");
            connection_resume(own->connection);
            bench_run(&bench);
        }
        assert_int_equal(own->frames, 3);
        if (i == 0)
            idle = counted.bytes; /* with what the network keeps for all */
        assert_int_equal(counted.bytes, idle);
    }
    bench_end(&bench);
}

static struct fake_socket *connect_to(struct bench *bench, int number)
{
    struct fake_socket *socket = fake_connect(&bench->os, BENCH_PORT, "10.0.0.9");

    fmt(socket->local.text, sizeof(socket->local.text), "127.0.%d.%d", number / 250, number % 250);
    bench_run(bench);
    return socket;
}

static void of_the_local_address_of_a_connection_that_ended_nothing_is_left(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    int64_t before;

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    fake_end(socket, OK);
    bench_run(&bench);
    before = counted.bytes;
    for (int i = 0; i < 1000; i++) {
        socket = connect_to(&bench, i);
        fake_end(socket, OK);
        bench_run(&bench);
    }
    assert_int_equal(bench.closed, 1001);
    assert_int_equal(counted.bytes, before);
    bench_end(&bench);
}

static void one_local_address_is_shared_however_many_others_there_are(void **state)
{
    enum { OTHERS = 300 };
    struct bench bench;
    struct bench_connection *own;
    int64_t before;

    bench_start(&bench, 1, NULL);
    connect_to(&bench, 1000);
    for (int i = 0; i < OTHERS; i++)
        connect_to(&bench, i);
    connect_to(&bench, 1000); /* its entry is behind those that are looked at: one more */
    before = counted.bytes;
    for (size_t i = 0; i < CONNECTIONS; i++)
        connect_to(&bench, 1000);
    assert_true(counted.bytes - before <= CONNECTIONS * HELD_BYTES);
    own = bench_connection(&bench, OTHERS + CONNECTIONS);
    assert_string_equal(connection_local_address(own->connection)->text, "127.0.4.0");
    own = bench_connection(&bench, 17);
    assert_string_equal(connection_local_address(own->connection)->text, "127.0.0.16");
    bench_end(&bench);
}

static void the_beginning_of_a_frame_holds_a_buffer_until_the_frame_was_given(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[2];
    int64_t idle;

    bench_start(&bench, 1, NULL);
    for (size_t i = 0; i < 2; i++)
        sockets[i] = bench_connect(&bench);
    bench_run(&bench);
    for (size_t i = 0; i < 2; i++)
        fake_write(sockets[i], "\0\0\0\4fr", 6);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frames_received, 0);
    for (size_t i = 0; i < 2; i++)
        fake_write(sockets[i], "om", 2);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frames_received, 2);
    idle = counted.bytes;
    for (size_t i = 0; i < 2; i++)
        fake_write(sockets[i], "\0\0\0\4from", 8);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frames_received, 4);
    assert_int_equal(counted.bytes, idle);
    bench_end(&bench);
}

static void a_frame_that_came_alone_is_aligned_and_its_holder_may_keep_it(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    bench.keeps_frames = true;
    socket = bench_connect(&bench);
    for (char i = 0; i < 3; i++) {
        char text[2] = {(char)('a' + i), 0};

        bench_write_frame(socket, text, 1);
        bench_run(&bench);
    }
    assert_int_equal(bench.frame_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(bench.frames[i]->data[0], 'a' + i);
        assert_int_equal((uintptr_t)bench.frames[i]->data % 16, 0);
    }
    bench_end(&bench);
}

static void without_memory_for_a_buffer_the_connection_ends_and_others_stay(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[2];

    bench_start(&bench, 1, NULL);
    for (size_t i = 0; i < 2; i++)
        sockets[i] = bench_connect(&bench);
    bench_run(&bench);
    counted.is_empty = true;
    fake_write(sockets[0], "\0\0\0\4", 4);
    bench_run(&bench);
    counted.is_empty = false;
    assert_int_equal(bench.closed, 1);
    assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_ERROR);
    bench_write_frame(sockets[1], "still here", 10);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 1)->frames, 1);
    bench_end(&bench);
}

static void without_memory_for_a_send_the_connection_ends_and_nothing_of_it_is_left(void **state)
{
    struct bench bench;
    struct fake_socket *sockets[2];
    int64_t before;

    bench_start(&bench, 1, NULL);
    bench_connect(&bench);
    fake_end(bench_connect(&bench), OK); /* what the gate keeps of a listener and of an address */
    bench_run(&bench);
    before = counted.bytes;
    for (size_t i = 0; i < 2; i++)
        sockets[i] = bench_connect(&bench);
    counted.is_empty = true;
    bench_send(&bench, bench_connection(&bench, 2)->connection, "never sent");
    bench_send(&bench, bench_connection(&bench, 2)->connection, "nor this");
    assert_int_equal(bench.pieces_released, 2);
    bench_run(&bench);
    counted.is_empty = false;
    assert_int_equal(bench.closed, 2);
    assert_int_equal(bench_connection(&bench, 2)->reason, NETWORK_REASON_ERROR);
    assert_int_equal(bench_counts(&bench)->closed_by_reason[NETWORK_REASON_ERROR], 1);
    assert_int_equal(sockets[0]->out_size, 0);
    assert_true(sockets[0]->is_closed);
    assert_int_equal(counted.bytes - before, HELD_BYTES); /* the other one */
    bench_send(&bench, bench_connection(&bench, 3)->connection, "here");
    bench_run(&bench);
    assert_int_equal(sockets[1]->out_size, 4);
    bench_end(&bench);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_begin, count_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_holds_its_handle_and_no_buffer),
        TEST(a_paused_connection_of_which_nothing_came_holds_no_buffer),
        TEST(nothing_is_left_of_a_frame_that_came_during_a_pause),
        TEST(nothing_is_left_of_requests_that_came_while_the_answer_was_awaited),
        TEST(of_the_local_address_of_a_connection_that_ended_nothing_is_left),
        TEST(one_local_address_is_shared_however_many_others_there_are),
        TEST(the_beginning_of_a_frame_holds_a_buffer_until_the_frame_was_given),
        TEST(a_frame_that_came_alone_is_aligned_and_its_holder_may_keep_it),
        TEST(without_memory_for_a_buffer_the_connection_ends_and_others_stay),
        TEST(without_memory_for_a_send_the_connection_ends_and_nothing_of_it_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
