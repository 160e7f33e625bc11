/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever peers and owner do in any order, nothing is lost, given twice or left behind. */
#include "bench.h"

#include "test.h"

#include "base/random.h"
#include "network/network_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define PEERS 24
#define STEPS 3000

struct peer {
    struct fake_socket *socket;
    uint32_t written; /* frames; each begins with its number */
};

static struct random rng;
static uint8_t filler[5000];

static bool chance(uint32_t one_in)
{
    return random_chance(&rng, 1, one_in);
}

static void check_and_act(struct bench *bench, struct bench_connection *from, struct frame *frame)
{
    uint32_t number;

    assert_true(frame->size_bytes >= 4);
    memcpy(&number, frame->data, 4);
    assert_int_equal(number, from->frames - 1);
    for (size_t i = 4; i < frame->size_bytes; i++)
        assert_int_equal(frame->data[i], (uint8_t)(i * 3));
    if (chance(3))
        bench_send_bytes(bench, from->connection, filler, random_below(&rng, 3000));
    if (chance(4)) {
        connection_pause(from->connection);
        from->pauses++;
    }
    if (chance(150))
        connection_close(from->connection, NETWORK_REASON_REQUEST, chance(2), "by chance");
}

static void write_some(struct peer *peer)
{
    size_t size = chance(4) ? (size_t)random_between(&rng, 2000, 200000)
                            : (size_t)random_between(&rng, 4, 100);
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 4; i < size; i++)
        bytes[i] = (uint8_t)(i * 3);
    memcpy(bytes, &peer->written, 4);
    peer->written++;
    bench_write_frame(peer->socket, bytes, size);
    free(bytes);
}

static void act_peer(struct bench *bench, struct peer *peer)
{
    struct fake_socket *socket = peer->socket;

    if (!socket || socket->is_closed || socket->peer_ended) {
        peer->socket = fake_connect(&bench->os, BENCH_PORT, "10.0.0.9");
        peer->written = 0;
        return;
    }
    switch (random_below(&rng, 12)) {
    case 0:
        socket->out_room = random_below(&rng, 5000);
        break;
    case 1:
    case 2:
        fake_take(socket, random_below(&rng, 20000));
        break;
    case 3:
        if (chance(12))
            fake_end(socket, chance(2) ? OK : ERR_CONNECTION);
        break;
    case 4:
        if (chance(12))
            fake_break(socket);
        break;
    case 5: /* a length that claims more than will come */
        if (chance(20)) {
            fake_write(socket, (uint8_t[]){0, 0, 200, 0, 1, 2}, 6);
            fake_end(socket, OK);
        }
        break;
    default:
        write_some(peer);
    }
}

static void act_owner(struct bench *bench)
{
    struct bench_connection *own;

    if (bench->opened == 0)
        return;
    own = bench_connection(bench, random_below(&rng, bench->opened));
    bench->is_in_call = true;
    switch (random_below(&rng, 6)) {
    case 0:
    case 1:
    case 2:
        if (own->connection && own->pauses > 0) {
            own->pauses--;
            connection_resume(own->connection);
        }
        break;
    case 3:
        if (bench->frame_count > 0) {
            size_t at = random_below(&rng, bench->frame_count);

            frame_release(&bench->frames[at]);
            bench->frames[at] = bench->frames[--bench->frame_count];
        }
        break;
    case 4:
        if (own->connection && chance(10))
            connection_close(own->connection, NETWORK_REASON_REQUEST, chance(2), NULL);
        break;
    default:
        if (chance(10))
            bench_limits(bench, (struct network_limits){
                                    .total_max = (int32_t)random_between(&rng, 4, PEERS)});
    }
    bench->is_in_call = false;
}

/* Over all seeds, so that the test cannot pass by never getting there. */
static int64_t seen_muted, seen_reasons[8];

static void note(struct bench *bench)
{
    for (size_t i = 0; i < bench->shard_count; i++) {
        const struct network_counts *counts = network_counts(bench->shards[i].network);

        seen_muted += counts->muted_for_memory;
        for (size_t reason = 0; reason < ARRAY_COUNT(seen_reasons); reason++)
            seen_reasons[reason] += counts->closed_by_reason[reason];
    }
}

static void check(struct bench *bench)
{
    for (size_t i = 0; i < bench->shard_count; i++) {
        const struct network_counts *counts = network_counts(bench->shards[i].network);

        assert_true(counts->frame_bytes >= 0);
        assert_true(counts->frame_bytes <=
                    bench->options.frame_bytes_max +
                        MAX(bench->options.frame_bytes_each_max, (int64_t)sizeof(struct intake)));
        assert_int_equal(counts->connections,
                         counts->connections_opened - counts->connections_closed);
    }
}

static void run_seed(uint64_t seed)
{
    struct network_options options = {220000, 300000, 2000, 4000};
    struct peer peers[PEERS] = {{0}};
    struct bench bench;

    random_init(&rng, seed);
    bench_start(&bench, 1 + seed % 2, &options);
    bench.os.looks_in_vain = seed % 4 >= 2;
    bench.on_frame = check_and_act;
    bench.keeps_frames = true;
    for (int step = 0; step < STEPS; step++) {
        if (chance(2))
            bench.os.receive_bytes_max = (size_t)random_between(&rng, 1, chance(2) ? 50 : 100000);
        if (chance(3))
            act_owner(&bench);
        else
            act_peer(&bench, &peers[random_below(&rng, PEERS)]);
        if (bench.frame_count > 50)
            bench_release_frames(&bench);
        for (uint64_t turns = random_below(&rng, 4); turns > 0; turns--)
            reactor_turn(bench.shards[random_below(&rng, bench.shard_count)].reactor);
        if (chance(100))
            bench_advance(&bench, random_between(&rng, 1, 3000));
        check(&bench);
    }
    note(&bench);
    bench_end(&bench);
}

static void any_order_of_events_keeps_the_invariants(void **state)
{
    for (uint64_t seed = 1; seed <= 16; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
    assert_true(seen_muted > 0);
    assert_true(seen_reasons[NETWORK_REASON_PEER] > 0);
    assert_true(seen_reasons[NETWORK_REASON_IDLE] > 0);
    assert_true(seen_reasons[NETWORK_REASON_REQUEST] > 0);
    assert_true(seen_reasons[NETWORK_REASON_LIMIT] > 0);
}

/* When peers read and the owner releases and resumes, every whole frame is given in the end. */
static void run_liveness(uint64_t seed)
{
    struct network_options options = {220000, 300000, -1, 4000};
    struct peer peers[PEERS] = {{0}};
    struct bench bench;

    random_init(&rng, seed);
    bench_start(&bench, 1 + seed % 2, &options);
    bench.os.looks_in_vain = seed % 4 >= 2;
    bench.keeps_frames = true;
    for (int i = 0; i < PEERS; i++)
        peers[i].socket = bench_connect(&bench);
    for (int step = 0; step < 400; step++) {
        write_some(&peers[random_below(&rng, PEERS)]);
        if (chance(3))
            reactor_turn(bench.shards[0].reactor);
    }
    do {
        bench_release_frames(&bench);
        bench_run(&bench);
    } while (bench.frame_count > 0);
    for (size_t i = 0; i < PEERS; i++)
        assert_int_equal(bench_connection(&bench, i)->frames, peers[i].written);
    bench_end(&bench);
}

static void with_memory_coming_back_every_frame_is_given(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_liveness(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_events_keeps_the_invariants),
        cmocka_unit_test(with_memory_coming_back_every_frame_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
