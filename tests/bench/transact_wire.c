/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions of the second protocol (KIP-890) by wire code alone, each producer a connection, all in one thread.
 *
 *   transact_wire ADDRESS TOPIC PARTITIONS PRODUCERS WARM_UP_SECONDS SECONDS RECORDS [RATE]
 *       every producer commits transactions one after another: one Produce v12 with a record for each of
 *       RECORDS partitions, which adds them too, and EndTxn v5, whose answer has the next epoch.
 *       With RATE so many are meant to begin in a second, whatever the answers do: the producer that has been idle
 *       for longest takes the next one, which waits if there is none, and its whole time counts from when it was meant
 *       to begin. The time of its commit counts from when EndTxn is sent.
 * Prints "measure" and waits for a line when all are warm and none has a transaction; then one line of JSON.
 * Values are numbered from 0 without a gap, so that a reader can count them: "records" of them are
 * committed in all.
 *
 * CONCURRENT_TRANSACTIONS is asked again after 20 ms, what Kafka's Java producer waits at the least (for a
 * first AddPartitionsToTxn; a Produce waits for retry.backoff.ms there), and counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "payload.h"
#include "transact_open.h"
#include "wire.h"

enum {
    PRODUCERS_MAX = 64,
    RECORDS_MAX = 16,
    VALUE_SIZE = 100,
    ROOM = 16384,
    STALL_MS = 30000,

    API_PRODUCE = 0,
    API_END_TXN = 26,
};

enum step { IDLE, PRODUCE, END };

struct producer {
    int fd;
    struct transact_identity identity;
    enum step step;
    int32_t correlation;
    uint64_t sequence;         /* of the transaction's first value */
    bool is_open[RECORDS_MAX]; /* not acknowledged yet */
    int64_t begun_ns, ending_ns;
    int64_t again_ns; /* when the step is asked again; 0: an answer is awaited */
    size_t used;
    uint8_t bytes[ROOM];
};

struct times {
    int64_t *ns;
    size_t count, room;
};

struct run {
    const char *topic;
    uint64_t partitions, producer_count, records;
    uint64_t sequence; /* of the next value */
    int64_t end_ns;    /* no transaction is begun later */
    uint64_t rate;     /* meant to begin in a second; 0: one after another */
    int64_t start_ns;
    uint64_t begun;                       /* of those that are meant to begin */
    struct producer *idle[PRODUCERS_MAX]; /* a ring */
    uint64_t idle_head, idle_tail;
    uint64_t under_way, done, retries;
    struct times whole, commits;
    struct payload payload;
    int epoll;
    struct producer *producers;
};

static void times_add(struct times *times, int64_t ns)
{
    if (times->count == times->room) {
        times->room = times->room ? times->room * 2 : 4096;
        times->ns = realloc(times->ns, times->room * sizeof(*times->ns));
        if (!times->ns)
            wire_die("no memory");
    }
    times->ns[times->count++] = ns;
}

/* ---- requests ---- */

static void send_frame(const struct producer *producer, uint8_t *frame, const uint8_t *end)
{
    if (!wire_send(producer->fd, frame, wire_finish(frame, end)))
        wire_die("connection lost");
}

static uint8_t *put_partition(const struct run *run, const struct producer *producer, uint64_t i,
                              uint8_t *at)
{
    uint8_t batch[512], value[VALUE_SIZE];
    uint64_t sequence = producer->sequence + i;
    const uint8_t *end;

    payload_fill(&run->payload, sequence, value, sizeof(value));
    end = wire_put_batch(batch, value, sizeof(value));
    /* One batch of each partition in a transaction: with its epoch sequence numbers begin at 0. */
    wire_batch_of_producer(batch, end, producer->identity.producer_id, producer->identity.epoch, 0);
    at = wire_put(at, sequence % run->partitions, 4);
    at = wire_put_uvarint(at, (uint64_t)(end - batch) + 1);
    at = wire_put_bytes(at, batch, (size_t)(end - batch));
    return wire_put_uvarint(at, 0);
}

static void produce_send(const struct run *run, struct producer *producer)
{
    uint8_t frame[ROOM];
    uint8_t *at = transact_put_header(frame, API_PRODUCE, 12, ++producer->correlation);
    uint64_t open = 0;

    for (uint64_t i = 0; i < run->records; i++)
        open += producer->is_open[i];
    at = wire_put_compact(at, producer->identity.id);
    at = wire_put(at, UINT16_MAX, 2); /* acks: all */
    at = wire_put(at, STALL_MS, 4);
    at = wire_put_uvarint(at, 1 + 1);
    at = wire_put_compact(at, run->topic);
    at = wire_put_uvarint(at, open + 1);
    for (uint64_t i = 0; i < run->records; i++)
        if (producer->is_open[i])
            at = put_partition(run, producer, i, at);
    at = wire_put_uvarint(at, 0); /* of the topic */
    send_frame(producer, frame, wire_put_uvarint(at, 0));
}

static void end_send(struct producer *producer)
{
    uint8_t frame[256];
    uint8_t *at = transact_put_header(frame, API_END_TXN, 5, ++producer->correlation);

    at = wire_put_compact(at, producer->identity.id);
    at = wire_put(at, (uint64_t)producer->identity.producer_id, 8);
    at = wire_put(at, (uint16_t)producer->identity.epoch, 2);
    at = wire_put(at, 1, 1); /* commit */
    send_frame(producer, frame, wire_put_uvarint(at, 0));
}

static void step_send(const struct run *run, struct producer *producer)
{
    producer->again_ns = 0;
    if (producer->step == PRODUCE)
        produce_send(run, producer);
    else
        end_send(producer);
}

static void transaction_begin(struct run *run, struct producer *producer, int64_t begun_ns)
{
    producer->step = PRODUCE;
    producer->begun_ns = begun_ns;
    producer->sequence = run->sequence;
    run->sequence += run->records;
    for (uint64_t i = 0; i < run->records; i++)
        producer->is_open[i] = true;
    step_send(run, producer);
}

static int64_t meant_ns(const struct run *run)
{
    return run->start_ns + (int64_t)(run->begun * 1000000000 / run->rate);
}

/* A producer has none: it begins the next at once, or is among the idle. */
static void producer_free(struct run *run, struct producer *producer)
{
    int64_t now_ns = wire_now_ns();

    producer->step = IDLE;
    if (run->rate > 0) {
        run->idle[run->idle_head++ % PRODUCERS_MAX] = producer;
        run->under_way--;
    } else if (now_ns >= run->end_ns) {
        run->under_way--;
    } else {
        transaction_begin(run, producer, now_ns);
    }
}

/* With a rate: begins what is due while a producer is idle. */
static void due_begin(struct run *run, int64_t now_ns)
{
    while (run->rate > 0 && run->idle_tail != run->idle_head && meant_ns(run) < run->end_ns &&
           meant_ns(run) <= now_ns) {
        run->under_way++;
        transaction_begin(run, run->idle[run->idle_tail++ % PRODUCERS_MAX], meant_ns(run));
        run->begun++;
    }
}

/* ---- answers ---- */

static void whole(const struct wire_reader *reader)
{
    if (reader->is_short)
        wire_die("an answer that is too short");
}

/* Whether the step is over; it is asked again otherwise. */
static bool is_over(struct run *run, struct producer *producer, uint64_t error)
{
    if (error == 0)
        return true;
    if (!transact_is_passing(error)) {
        fprintf(stderr, "transact_wire: %s was answered with error %d\n",
                producer->step == PRODUCE ? "Produce" : "EndTxn", (int)(int16_t)error);
        exit(1);
    }
    if (producer->again_ns == 0)
        run->retries++;
    producer->again_ns = wire_now_ns() + TRANSACT_AGAIN_NS;
    return false;
}

static void partition_answered(struct run *run, struct producer *producer,
                               struct wire_reader *reader)
{
    uint64_t partition = wire_take(reader, 4);
    uint64_t error = wire_take(reader, 2);

    wire_pass(reader, 8 + 8 + 8); /* base offset, append time, log start */
    for (uint64_t count = wire_take_uvarint(reader); count > 1 && !reader->is_short; count--) {
        wire_pass(reader, 4);
        wire_pass_compact(reader);
        wire_pass_tags(reader);
    }
    wire_pass_compact(reader); /* message */
    wire_pass_tags(reader);
    whole(reader);
    for (uint64_t i = 0; i < run->records; i++)
        if ((producer->sequence + i) % run->partitions == partition && producer->is_open[i]) {
            producer->is_open[i] = !is_over(run, producer, error);
            return;
        }
    wire_die("an answer for a partition that was not asked for");
}

static void produce_answered(struct run *run, struct producer *producer, struct wire_reader *reader)
{
    if (wire_take_uvarint(reader) != 1 + 1)
        wire_die("not one topic in an answer");
    wire_pass_compact(reader);
    for (uint64_t count = wire_take_uvarint(reader); count > 1 && !reader->is_short; count--)
        partition_answered(run, producer, reader);
    if (producer->again_ns != 0)
        return;
    for (uint64_t i = 0; i < run->records; i++)
        if (producer->is_open[i])
            wire_die("a partition was not answered");
    producer->step = END;
    producer->ending_ns = wire_now_ns();
    step_send(run, producer);
}

static void end_answered(struct run *run, struct producer *producer, struct wire_reader *reader)
{
    uint64_t error;
    int64_t now_ns;

    wire_pass(reader, 4); /* throttle */
    error = wire_take(reader, 2);
    if (!is_over(run, producer, error))
        return;
    producer->identity.producer_id = (int64_t)wire_take(reader, 8);
    producer->identity.epoch = (int16_t)wire_take(reader, 2);
    whole(reader);
    now_ns = wire_now_ns();
    times_add(&run->whole, now_ns - producer->begun_ns);
    times_add(&run->commits, now_ns - producer->ending_ns);
    run->done++;
    producer_free(run, producer);
}

static void answered(struct run *run, struct producer *producer, const uint8_t *body, size_t size)
{
    struct wire_reader reader = {body, body + size, false};

    if ((int32_t)wire_take(&reader, 4) != producer->correlation)
        wire_die("an answer to nothing");
    wire_pass_tags(&reader);
    if (producer->step == PRODUCE)
        produce_answered(run, producer, &reader);
    else
        end_answered(run, producer, &reader);
}

static void producer_read(struct run *run, struct producer *producer)
{
    ssize_t got = recv(producer->fd, producer->bytes + producer->used, ROOM - producer->used, 0);
    size_t size;

    if (got <= 0)
        wire_die("connection lost");
    producer->used += (size_t)got;
    if (producer->used < 4)
        return;
    size = wire_get(producer->bytes, 4);
    if (size > ROOM - 4 || producer->used > 4 + size)
        wire_die("an answer that is too long");
    if (producer->used < 4 + size)
        return;
    producer->used = 0; /* one request is under way */
    answered(run, producer, producer->bytes + 4, size);
}

/* ---- the loop ---- */

/* Asks again what is due, and begins what is; when the next is. */
static int64_t due_run(struct run *run)
{
    int64_t now_ns = wire_now_ns();
    int64_t next_ns = now_ns + (int64_t)STALL_MS * 1000000;

    due_begin(run, now_ns);
    if (run->rate > 0 && run->idle_tail != run->idle_head && meant_ns(run) < run->end_ns)
        next_ns = meant_ns(run);
    for (uint64_t i = 0; i < run->producer_count; i++) {
        struct producer *producer = &run->producers[i];

        if (producer->again_ns != 0 && producer->again_ns <= now_ns)
            step_send(run, producer);
        else if (producer->again_ns != 0 && producer->again_ns < next_ns)
            next_ns = producer->again_ns;
    }
    return next_ns;
}

static bool is_at_work(const struct run *run)
{
    return run->under_way > 0 || (run->rate > 0 && meant_ns(run) < run->end_ns);
}

/* Transactions are begun for so long; all are over when it returns. The time it took. */
static int64_t run_for(struct run *run, double seconds)
{
    run->start_ns = wire_now_ns();
    run->end_ns = run->start_ns + (int64_t)(seconds * 1e9);
    run->done = run->retries = run->begun = run->whole.count = run->commits.count = 0;
    run->idle_head = run->idle_tail = 0;
    run->under_way = run->producer_count;
    for (uint64_t i = 0; i < run->producer_count; i++)
        producer_free(run, &run->producers[i]);
    while (is_at_work(run)) {
        struct epoll_event events[PRODUCERS_MAX];
        int64_t left_ns = due_run(run) - wire_now_ns();
        struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        int ready;

        if (left_ns < 0)
            left = (struct timespec){0, 0};
        ready = epoll_pwait2(run->epoll, events, PRODUCERS_MAX, &left, NULL);
        if (ready == 0 && left.tv_sec >= STALL_MS / 1000 - 1)
            wire_die("no answer for 30 seconds");
        for (int i = 0; i < ready; i++)
            producer_read(run, events[i].data.ptr);
    }
    return wire_now_ns() - run->start_ns;
}

static void producer_open(struct run *run, struct producer *producer, const char *address,
                          uint64_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = producer};

    producer->fd = transact_open(&producer->identity, address, index);
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, producer->fd, &event) != 0)
        wire_die("no epoll");
}

int main(int argc, char **argv)
{
    static struct run run;
    int64_t spent_ns;
    char line[16];
    double cpu;

    if (argc != 8 && argc != 9) {
        fprintf(stderr, "usage: transact_wire ADDRESS TOPIC PARTITIONS PRODUCERS WARM_UP_SECONDS"
                        " SECONDS RECORDS [RATE]\n");
        return 2;
    }
    run.topic = argv[2];
    run.partitions = strtoull(argv[3], NULL, 10);
    run.producer_count = strtoull(argv[4], NULL, 10);
    run.records = strtoull(argv[7], NULL, 10);
    run.rate = argc == 9 ? strtoull(argv[8], NULL, 10) : 0;
    wire_exact_timers();
    if (run.producer_count - 1 >= PRODUCERS_MAX || run.records - 1 >= RECORDS_MAX ||
        run.records > run.partitions)
        wire_die("arguments out of range");
    payload_init(&run.payload);
    run.producers = calloc(run.producer_count, sizeof(*run.producers));
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.producers || run.epoll < 0)
        wire_die("no memory");
    for (uint64_t i = 0; i < run.producer_count; i++)
        producer_open(&run, &run.producers[i], argv[1], i);
    run_for(&run, strtod(argv[5], NULL));
    puts("measure");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    cpu = wire_cpu_seconds();
    spent_ns = run_for(&run, strtod(argv[6], NULL));
    cpu = wire_cpu_seconds() - cpu;
    wire_sort_ns(run.whole.ns, run.whole.count);
    wire_sort_ns(run.commits.ns, run.commits.count);
    printf("{\"count\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"commit_p50_us\": %.1f, \"commit_p99_us\": %.1f, "
           "\"retries\": %llu, \"records\": %llu}\n",
           (unsigned long long)run.done, (double)spent_ns / 1e9, cpu,
           wire_percentile_us(run.whole.ns, run.whole.count, 0.5),
           wire_percentile_us(run.whole.ns, run.whole.count, 0.99),
           wire_percentile_us(run.commits.ns, run.commits.count, 0.5),
           wire_percentile_us(run.commits.ns, run.commits.count, 0.99),
           (unsigned long long)run.retries, (unsigned long long)run.sequence);
    return 0;
}
