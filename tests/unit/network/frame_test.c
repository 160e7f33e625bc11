/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include "test.h"

#include <stdlib.h>

/* Frames of these sizes, each filled with bytes that tell number and place. */
static const size_t sizes[] = {0,     1,     5, 300,    2043, 2044,   2045,   2048, 2049, 7,
                               65536, 65537, 3, 200000, 1,    150000, 250000, 9,    0,    4};

static uint8_t pattern(size_t frame, size_t at)
{
    return (uint8_t)(frame * 31 + at * 7 + (at >> 8));
}

static uint8_t *stream_of_frames(size_t *size_bytes_out)
{
    size_t size_bytes = 0, at = 0;
    uint8_t *stream;

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        size_bytes += 4 + sizes[i];
    stream = malloc(size_bytes);
    assert_non_null(stream);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (size_t shift = 0; shift < 4; shift++)
            stream[at++] = (uint8_t)(sizes[i] >> (24 - 8 * shift));
        for (size_t byte = 0; byte < sizes[i]; byte++)
            stream[at++] = pattern(i, byte);
    }
    *size_bytes_out = size_bytes;
    return stream;
}

static void check_frame(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    size_t index = from->frames - 1;

    assert_true(index < ARRAY_COUNT(sizes));
    assert_int_equal(frame->size_bytes, sizes[index]);
    assert_int_equal(frame->capacity_bytes, sizes[index]);
    for (size_t i = 0; i < frame->size_bytes; i++) {
        if (frame->data[i] != pattern(index, i))
            fail_msg("frame %zu differs at %zu", index, i);
    }
}

static void frames_arrive_whole_and_in_order_however_the_stream_is_cut(void **state)
{
    static const size_t cuts[] = {1, 2, 3, 4, 5, 7, 100, 1447, 2047, 2048, 2049, 65536, SIZE_MAX};
    size_t size_bytes;
    uint8_t *stream = stream_of_frames(&size_bytes);

    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
        struct bench bench;
        struct fake_socket *socket;

        bench_start(&bench, 1, NULL);
        bench.on_frame = check_frame;
        bench.os.receive_bytes_max = cuts[i];
        socket = bench_connect(&bench);
        fake_write(socket, stream, size_bytes);
        bench_run(&bench);
        assert_int_equal(bench_connection(&bench, 0)->frames, ARRAY_COUNT(sizes));
        assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
        assert_int_equal(bench_counts(&bench)->bytes_received, size_bytes);
        assert_int_equal(bench_counts(&bench)->frames_received, ARRAY_COUNT(sizes));
        bench_end(&bench);
    }
    free(stream);
}

static void megabytes_come_in_few_large_receives(void **state)
{
    size_t size_bytes = 3 << 20;
    uint8_t *bytes = malloc(size_bytes);
    struct bench bench;
    struct fake_socket *socket;

    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (uint8_t)(i * 5 + (i >> 10));
    bench_start(&bench, 1, NULL);
    bench.keeps_frames = true;
    socket = bench_connect(&bench);
    for (int i = 0; i < 3; i++)
        bench_write_frame(socket, bytes, size_bytes);
    bench_run(&bench);
    assert_int_equal(bench.frame_count, 3);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(bench.frames[i]->data, bytes, size_bytes);
    assert_true(socket->receives <= 9 + 4 + 4 + 1);
    bench_end(&bench);
    free(bytes);
}

static void a_frame_that_is_cut_at_any_byte_is_given_when_its_last_byte_came(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 6, 'f', 'r', 'a', 'm', 'e', 's'};

    for (size_t cut = 1; cut < sizeof(bytes); cut++) {
        struct bench bench;
        struct fake_socket *socket;

        bench_start(&bench, 1, NULL);
        bench.keeps_frames = true;
        socket = bench_connect(&bench);
        fake_write(socket, bytes, cut);
        bench_run(&bench);
        assert_int_equal(bench.frame_count, 0);
        fake_write(socket, bytes + cut, sizeof(bytes) - cut);
        bench_run(&bench);
        assert_int_equal(bench.frame_count, 1);
        assert_memory_equal(bench.frames[0]->data, "frames", 6);
        bench_end(&bench);
    }
}

static void frames_of_one_segment_are_all_given_in_one_turn(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    uint8_t bytes[200 * 5];

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    for (size_t i = 0; i < 200; i++)
        memcpy(bytes + 5 * i, (uint8_t[]){0, 0, 0, 1, (uint8_t)i}, 5);
    fake_write(socket, bytes, sizeof(bytes));
    reactor_turn(bench.shards[0].reactor);
    assert_int_equal(bench_connection(&bench, 0)->frames, 200);
    bench_end(&bench);
}

static void a_negative_or_too_large_length_closes_that_connection_alone(void **state)
{
    static const uint8_t lengths[][4] = {
        {0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff}, {0, 0, 4, 1}};
    struct network_options options = {1024, 1 << 20, -1, 1 << 20};

    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct bench bench;
        struct fake_socket *bad, *good;
        uint8_t largest[1024] = {0};

        bench_start(&bench, 1, &options);
        bad = bench_connect(&bench);
        good = bench_connect(&bench);
        fake_write(bad, lengths[i], 4);
        bench_write_frame(good, largest, sizeof(largest)); /* the limit itself passes */
        bench_run(&bench);
        assert_true(bad->is_closed);
        assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_LENGTH);
        assert_int_equal(bench_counts(&bench)->closed_by_reason[NETWORK_REASON_LENGTH], 1);
        assert_false(good->is_closed);
        assert_int_equal(bench_connection(&bench, 1)->frames, 1);
        bench_end(&bench);
    }
}

static void memory_follows_the_bytes_that_came_and_not_the_length_claimed(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    uint8_t *bytes = calloc(1, 1 << 20);

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    fake_write(socket, (uint8_t[]){0x06, 0x40, 0, 0}, 4); /* 100 MiB */
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    fake_write(socket, bytes, 2043);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    for (size_t came = 2043; came < (1 << 20); came += 10000) {
        fake_write(socket, bytes, 10000);
        bench_run(&bench);
        assert_true(bench_counts(&bench)->frame_bytes <= (int64_t)MAX(2 * (came + 10000), 65536));
    }
    fake_end(socket, OK);
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_PEER);
    bench_end(&bench);
    free(bytes);
}

static void a_reset_in_mid_frame_closes_and_frees(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    uint8_t bytes[50000] = {0};

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    fake_write(socket, (uint8_t[]){0, 1, 0, 0}, 4);
    fake_write(socket, bytes, sizeof(bytes));
    bench_run(&bench);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 65536);
    fake_break(socket);
    bench_run(&bench);
    assert_true(socket->is_closed);
    assert_int_equal(bench.closed, 1);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    assert_int_equal(bench_connection(&bench, 0)->frames, 0);
    bench_end(&bench);
}

static void pause_here(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    connection_pause(from->connection);
}

static void a_paused_connection_gets_its_next_frame_at_the_last_resume(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;

    bench_start(&bench, 1, NULL);
    bench.on_frame = pause_here;
    bench.keeps_frames = true;
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    for (int i = 0; i < 3; i++)
        bench_write_frame(socket, (const char *[]){"one", "two", "six"}[i], 3);
    bench_run(&bench);
    assert_int_equal(own->frames, 1);
    connection_pause(own->connection);
    connection_resume(own->connection);
    bench_run(&bench);
    assert_int_equal(own->frames, 1); /* one pause is left */
    for (size_t frames = 2; frames <= 3; frames++) {
        bench.is_in_call = true;
        connection_resume(own->connection);
        bench.is_in_call = false;
        bench_run(&bench);
        assert_int_equal(own->frames, frames);
    }
    assert_memory_equal(bench.frames[0]->data, "one", 3);
    assert_memory_equal(bench.frames[1]->data, "two", 3);
    assert_memory_equal(bench.frames[2]->data, "six", 3);
    bench_end(&bench);
}

static void a_paused_connection_reads_no_more_than_its_buffer(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;
    uint8_t *bytes = calloc(1, 300000);

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    connection_pause(own->connection);
    bench_write_frame(socket, bytes, 300000);
    bench_run(&bench);
    assert_int_equal(socket->in_read, 2048);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 0);
    connection_resume(own->connection);
    bench_run(&bench);
    assert_int_equal(own->frames, 1);
    bench_end(&bench);
    free(bytes);
}

static void a_large_frame_that_was_begun_before_the_pause_waits_whole(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;
    uint8_t *bytes = calloc(1, 300000);

    bench_start(&bench, 1, NULL);
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    fake_write(socket, (uint8_t[]){0, 4, 0x93, 0xe0}, 4);
    fake_write(socket, bytes, 100000);
    bench_run(&bench);
    connection_pause(own->connection);
    fake_write(socket, bytes, 200000);
    bench_write_frame(socket, "next", 4);
    bench_run(&bench);
    assert_int_equal(own->frames, 0);
    assert_int_equal(bench_counts(&bench)->frame_bytes, 300000);
    fake_end(socket, OK); /* what came before the end is still given */
    bench_run(&bench);
    assert_false(socket->is_closed);
    connection_resume(own->connection);
    bench_run(&bench);
    assert_int_equal(own->frames, 2);
    assert_true(socket->is_closed);
    bench_end(&bench);
    free(bytes);
}

static void frames_that_came_before_the_peers_end_are_given_one_pause_after_the_other(void **state)
{
    struct bench bench;
    struct fake_socket *socket;
    struct bench_connection *own;

    bench_start(&bench, 1, NULL);
    bench.on_frame = pause_here;
    socket = bench_connect(&bench);
    own = bench_connection(&bench, 0);
    bench_write_frame(socket, "a", 1);
    bench_write_frame(socket, "b", 1);
    fake_end(socket, OK);
    bench_run(&bench);
    assert_int_equal(own->frames, 1);
    assert_false(socket->is_closed);
    connection_resume(own->connection);
    bench_run(&bench);
    assert_int_equal(own->frames, 2);
    assert_true(socket->is_closed); /* nothing is left that was not given */
    assert_int_equal(own->reason, NETWORK_REASON_PEER);
    bench_end(&bench);
}

static void close_here(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    connection_close(from->connection, NETWORK_REASON_REQUEST, false, "no request");
}

static void after_a_close_in_the_handler_no_frame_comes(void **state)
{
    struct bench bench;
    struct fake_socket *socket;

    bench_start(&bench, 1, NULL);
    bench.on_frame = close_here;
    socket = bench_connect(&bench);
    bench_write_frame(socket, "a", 1);
    bench_write_frame(socket, "b", 1);
    bench_run(&bench);
    assert_int_equal(bench_connection(&bench, 0)->frames, 1);
    assert_int_equal(bench_connection(&bench, 0)->reason, NETWORK_REASON_REQUEST);
    assert_true(socket->is_closed);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_whole_and_in_order_however_the_stream_is_cut),
        cmocka_unit_test(megabytes_come_in_few_large_receives),
        cmocka_unit_test(a_frame_that_is_cut_at_any_byte_is_given_when_its_last_byte_came),
        cmocka_unit_test(frames_of_one_segment_are_all_given_in_one_turn),
        cmocka_unit_test(a_negative_or_too_large_length_closes_that_connection_alone),
        cmocka_unit_test(memory_follows_the_bytes_that_came_and_not_the_length_claimed),
        cmocka_unit_test(a_reset_in_mid_frame_closes_and_frees),
        cmocka_unit_test(a_paused_connection_gets_its_next_frame_at_the_last_resume),
        cmocka_unit_test(a_paused_connection_reads_no_more_than_its_buffer),
        cmocka_unit_test(a_large_frame_that_was_begun_before_the_pause_waits_whole),
        cmocka_unit_test(frames_that_came_before_the_peers_end_are_given_one_pause_after_the_other),
        cmocka_unit_test(after_a_close_in_the_handler_no_frame_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
