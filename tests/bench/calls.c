/* SPDX-License-Identifier: Apache-2.0 */
/* One request after another on one connection.
 *
 *   calls wide  ADDRESS TOPIC ACKS PARTITIONS WARM_UP COUNT [SHARE]
 *       Produce with one record for each of the partitions, or for SHARE of them in turn (a divisor of their
 *       number); offsets must rise by one each time. Before what is measured a partition that is not led yet is asked
 *       again, as any client does; a refusal afterwards ends the program.
 *   calls fetch ADDRESS TOPIC FIRST_OFFSET COUNT
 *       Fetch of one batch of partition 0 after another; every record is looked at.
 * Both print "measure" and wait for a line before what is measured, then print one line of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "payload.h"
#include "wire.h"

enum { API_PRODUCE = 0, PRODUCE_VERSION = 3, VALUE_SIZE = 100, PARTITION_BYTES = 256 };
enum { UNKNOWN_TOPIC = 3, LEADER_NOT_AVAILABLE = 5, NOT_LEADER = 6, NOT_ENOUGH_REPLICAS = 19 };
enum { AGAIN_NS = 50 * 1000 * 1000, AGAIN_MAX = 600 };
enum { PARTITIONS_MAX = 20000, ANSWER_BYTES = 64, ANSWER_PART = 22, FETCH_ROOM = 4 << 20 };

static void measure_wait(void)
{
    char line[16];

    puts("measure");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        exit(1);
}

static int connect_to(const char *address)
{
    int fd = wire_connect(address);

    if (fd < 0)
        wire_die("cannot connect");
    return fd;
}

/* ---- wide ---- */

struct wide {
    int fd;
    const char *topic;
    int16_t acks;
    uint32_t partitions;
    uint32_t share, first; /* the partitions of one request */
    uint64_t sequence;
    int32_t correlation;
    int64_t round;
    uint8_t *frame, *answer;
    struct payload payload;
};

static size_t wide_frame(struct wide *wide)
{
    uint8_t *at = wire_put_header(wide->frame, API_PRODUCE, PRODUCE_VERSION, wide->correlation);
    uint8_t value[VALUE_SIZE];

    at = wire_put(at, UINT16_MAX, 2);
    at = wire_put(at, (uint16_t)wide->acks, 2);
    at = wire_put(at, 60000, 4);
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, wide->topic);
    at = wire_put(at, wide->share, 4);
    for (uint32_t i = 0; i < wide->share; i++) {
        uint8_t *records = wire_put(at, wide->first + i, 4) + 4;

        payload_fill(&wide->payload, wide->sequence++, value, sizeof(value));
        at = wire_put_batch(records, value, sizeof(value));
        wire_put(records - 4, (uint64_t)(at - records), 4);
    }
    return wire_finish(wide->frame, at);
}

/* Of what has just been made: its broker has not heard of it yet. Nothing was appended. */
static bool is_passing(uint64_t error)
{
    return error == UNKNOWN_TOPIC || error == LEADER_NOT_AVAILABLE || error == NOT_LEADER ||
           error == NOT_ENOUGH_REPLICAS;
}

static _Noreturn void refused(uint64_t partition, uint64_t error)
{
    fprintf(stderr, "bench-calls: a record for partition %llu was refused with error %d\n",
            (unsigned long long)partition, (int)(int16_t)error);
    exit(1);
}

/* One request and its answer; the place of the first partition in it. */
static const uint8_t *wide_ask(struct wide *wide)
{
    size_t size = wide_frame(wide);

    if (!wire_send(wide->fd, wide->frame, size) ||
        !wire_receive(wide->fd, wide->answer, (size_t)wide->partitions * ANSWER_BYTES + 1024,
                      &size))
        wire_die("connection lost");
    if ((int32_t)wire_get(wide->answer, 4) != wide->correlation++ ||
        size < (size_t)wide->share * ANSWER_PART)
        wire_die("not the answer");
    return wide->answer + 4 + 4 + 2 + strlen(wide->topic) + 4;
}

static void wide_call(struct wide *wide)
{
    const uint8_t *at = wide_ask(wide);

    for (uint32_t i = 0; i < wide->share; i++, at += ANSWER_PART) {
        if (wire_get(at + 4, 2) != 0)
            refused(wire_get(at, 4), wire_get(at + 4, 2));
        if ((int64_t)wire_get(at + 6, 8) != wide->round)
            wire_die("an offset that is not the next one");
    }
    wide->first += wide->share;
    if (wide->first == wide->partitions) {
        wide->first = 0;
        wide->round++;
    }
}

/* Sends the partition's first record until it is taken; it is the same value, so that a reader misses none. */
static void partition_insist(struct wide *wide, uint32_t partition)
{
    const struct timespec pause = {.tv_nsec = AGAIN_NS};
    uint64_t error = 0;

    wide->first = partition;
    wide->share = 1;
    for (int i = 0; i < AGAIN_MAX; i++) {
        const uint8_t *at;

        wide->sequence = partition;
        at = wide_ask(wide);
        error = wire_get(at + 4, 2);
        if (error == 0 && wire_get(at + 6, 8) != 0)
            wire_die("an offset that is not the first one");
        if (error == 0 || !is_passing(error))
            break;
        nanosleep(&pause, NULL);
    }
    if (error != 0)
        refused(partition, error);
}

/* The first round of all: each partition has its first record when it is over. */
static void wide_begin(struct wide *wide)
{
    uint32_t share = wide->share, again = 0;
    uint32_t *open = wire_reserve(wide->partitions, sizeof(*open));

    for (; wide->first < wide->partitions; wide->first += share) {
        const uint8_t *at = wide_ask(wide);

        for (uint32_t i = 0; i < share; i++, at += ANSWER_PART) {
            uint64_t error = wire_get(at + 4, 2);

            if (error == 0 && wire_get(at + 6, 8) != 0)
                wire_die("an offset that is not the first one");
            if (error != 0 && !is_passing(error))
                refused(wire_get(at, 4), error);
            if (error != 0)
                open[again++] =
                    (uint32_t)wire_get(at, 4); /* not always in the order of the request */
        }
    }
    for (uint32_t i = 0; i < again; i++)
        partition_insist(wide, open[i]);
    free(open);
    wide->sequence = wide->partitions;
    wide->first = 0;
    wide->share = share;
    wide->round = 1;
}

static int run_wide(char **arguments)
{
    struct wide wide = {.fd = connect_to(arguments[0]),
                        .topic = arguments[1],
                        .acks = (int16_t)strtol(arguments[2], NULL, 10),
                        .partitions = (uint32_t)strtoul(arguments[3], NULL, 10),
                        .share = (uint32_t)strtoul(arguments[arguments[6] ? 6 : 3], NULL, 10)};
    uint64_t warm_up = strtoull(arguments[4], NULL, 10), count = strtoull(arguments[5], NULL, 10);
    uint64_t first_round;
    int64_t start_ns;
    double cpu;

    if (wide.partitions - 1 >= PARTITIONS_MAX || wide.acks == 0 || wide.share == 0 ||
        wide.partitions % wide.share != 0)
        wire_die("arguments out of range");
    payload_init(&wide.payload);
    wide.frame = malloc((size_t)wide.partitions * PARTITION_BYTES + 1024);
    wide.answer = malloc((size_t)wide.partitions * ANSWER_BYTES + 1024);
    /* With a share a call is a part of a round, and so is what the first round takes of the warm-up. */
    first_round = wide.partitions / wide.share;
    if (warm_up < first_round)
        wire_die("a warm-up of less than a round");
    wide_begin(&wide);
    for (uint64_t i = first_round; i < warm_up; i++)
        wide_call(&wide);
    measure_wait();
    cpu = wire_cpu_seconds();
    start_ns = wire_now_ns();
    for (uint64_t i = 0; i < count; i++)
        wide_call(&wide);
    printf("{\"count\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f}\n",
           (unsigned long long)count, (double)(wire_now_ns() - start_ns) / 1e9,
           wire_cpu_seconds() - cpu);
    return 0;
}

/* ---- fetch ---- */

struct fetched {
    struct payload payload;
    uint64_t count;
};

static void record_check(void *context, int64_t offset, const uint8_t *value, size_t size)
{
    struct fetched *fetched = context;
    uint64_t sequence = 0;

    (void)offset;
    if (!payload_check(&fetched->payload, value, size, &sequence))
        wire_die("a record came changed");
    fetched->count++;
}

static int run_fetch(char **arguments)
{
    int fd = connect_to(arguments[0]);
    int64_t offset = strtoll(arguments[2], NULL, 10);
    uint64_t count = strtoull(arguments[3], NULL, 10);
    uint8_t *answer = malloc(FETCH_ROOM);
    struct fetched fetched = {0};
    uint8_t frame[512];
    int64_t start_ns;
    double cpu;

    payload_init(&fetched.payload);
    measure_wait();
    cpu = wire_cpu_seconds();
    start_ns = wire_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        size_t size = wire_fetch(frame, (int32_t)i, arguments[1], 0, offset, 1000, 1);
        const uint8_t *records;
        size_t records_size;
        int64_t before = offset;

        if (!wire_send(fd, frame, size) || !wire_receive(fd, answer, FETCH_ROOM, &size))
            wire_die("connection lost");
        if (!wire_fetch_answer(answer, size, &records, &records_size) ||
            !wire_records(records, records_size, record_check, &fetched, &offset) ||
            offset == before)
            wire_die("a fetch failed, or was broken");
    }
    printf("{\"count\": %llu, \"records\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f}\n",
           (unsigned long long)count, (unsigned long long)fetched.count,
           (double)(wire_now_ns() - start_ns) / 1e9, wire_cpu_seconds() - cpu);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 8 || argc == 9) && strcmp(argv[1], "wide") == 0)
        return run_wide(argv + 2);
    if (argc == 6 && strcmp(argv[1], "fetch") == 0)
        return run_fetch(argv + 2);
    fprintf(stderr, "usage: calls wide ADDRESS TOPIC ACKS PARTITIONS WARM_UP COUNT [SHARE]"
                    " | fetch ADDRESS TOPIC FIRST_OFFSET COUNT\n");
    return 2;
}
