/* SPDX-License-Identifier: Apache-2.0 */
/* Records at a steady rate, whatever the answers do: the time of each is counted from when it was meant to be
 * sent, so that a broker that halts is charged for every record that it kept waiting.
 *
 *   steady ADDRESS TOPIC ACKS CONNECTIONS RATE SIZE WARM_UP_SECONDS SECONDS [HISTOGRAM]
 *       one-record requests to partition 0, spread over the connections in turn; another connection fetches what
 *       was written and looks at every byte. Between warm-up and measuring it prints "measure" and waits for a
 *       line; then one line of JSON: percentiles of the acknowledgement and from end to end, in microseconds. In
 *       HISTOGRAM: both distributions as "microseconds produced consumed" per thousandth. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "payload.h"
#include "wire.h"

enum { CONNECTIONS_MAX = 1024, IN_FLIGHT_MAX = 1 << 16, SIZE_MAX_BYTES = 64 * 1024, ROOM = 4096 };
enum { FETCH_BYTES = 1 << 20, STALL_MS = 30000 };

struct connection {
    int fd;
    size_t used;
    uint8_t bytes[ROOM];
    uint64_t *sent; /* a ring of record numbers */
    uint32_t head, tail;
};

struct steady {
    const char *topic;
    int16_t acks;
    uint32_t connection_count;
    size_t size;
    int64_t start_ns, interval_ns; /* record i is meant for start + i × interval */
    uint64_t sent, acked, consumed, count, warm_up;
    int64_t *ack_ns, *end_ns;
    int64_t pause_ns; /* while who measures looked at its clock */
    struct payload payload;
    struct connection *connections;
    struct connection fetch;
    uint8_t *fetched;
    int64_t next_offset;
    int epoll;
};

static void die(const char *why)
{
    fprintf(stderr, "steady: %s\n", why);
    exit(1);
}

static int64_t meant_ns(const struct steady *steady, uint64_t record)
{
    return steady->start_ns + (int64_t)record * steady->interval_ns +
           (record >= steady->warm_up ? steady->pause_ns : 0);
}

static void record_send(struct steady *steady)
{
    static uint8_t frame[SIZE_MAX_BYTES + 1024], value[SIZE_MAX_BYTES];
    struct connection *connection = &steady->connections[steady->sent % steady->connection_count];
    size_t size;

    if (connection->head - connection->tail == IN_FLIGHT_MAX)
        die("the broker does not keep up");
    payload_fill(&steady->payload, steady->sent, value, steady->size);
    size = wire_produce(frame, (int32_t)connection->head, steady->topic, 0, steady->acks, value,
                        steady->size);
    connection->sent[connection->head++ % IN_FLIGHT_MAX] = steady->sent++;
    if (!wire_send(connection->fd, frame, size))
        die("connection lost");
}

static void ack(struct steady *steady, struct connection *connection, const uint8_t *body,
                size_t size)
{
    struct wire_answer answer;
    uint64_t record = connection->sent[connection->tail % IN_FLIGHT_MAX];

    if (!wire_produce_answer(body, size, &answer) || answer.error != 0)
        die("a record was refused");
    if (answer.correlation != (int32_t)connection->tail)
        die("answers out of order");
    connection->tail++;
    steady->ack_ns[record] = wire_now_ns() - meant_ns(steady, record);
    steady->acked++;
}

static void acks_read(struct steady *steady, struct connection *connection)
{
    ssize_t got =
        recv(connection->fd, connection->bytes + connection->used, ROOM - connection->used, 0);
    size_t at = 0;

    if (got <= 0)
        die("connection lost");
    connection->used += (size_t)got;
    while (connection->used - at >= 4) {
        size_t size = wire_get(connection->bytes + at, 4);

        if (size > ROOM - 4)
            die("an answer that is too long");
        if (connection->used - at < 4 + size)
            break;
        ack(steady, connection, connection->bytes + at + 4, size);
        at += 4 + size;
    }
    memmove(connection->bytes, connection->bytes + at, connection->used - at);
    connection->used -= at;
}

/* ---- the other end ---- */

static void consume(void *context, int64_t offset, const uint8_t *value, size_t size)
{
    struct steady *steady = context;
    uint64_t sequence = 0;

    (void)offset;
    if (size != steady->size || !payload_check(&steady->payload, value, size, &sequence) ||
        sequence >= steady->count || steady->end_ns[sequence] != 0)
        die("a record came changed, or twice");
    steady->end_ns[sequence] = wire_now_ns() - meant_ns(steady, sequence);
    steady->consumed++;
}

static void fetch_send(struct steady *steady)
{
    uint8_t frame[512];
    size_t size = wire_fetch(frame, 0, steady->topic, 0, steady->next_offset, 500, FETCH_BYTES);

    if (!wire_send(steady->fetch.fd, frame, size))
        die("connection lost");
}

static void fetch_read(struct steady *steady)
{
    const uint8_t *records;
    size_t size, records_size;
    ssize_t got = recv(steady->fetch.fd, steady->fetched + steady->fetch.used,
                       2 * FETCH_BYTES - steady->fetch.used, 0);

    if (got <= 0)
        die("connection lost");
    steady->fetch.used += (size_t)got;
    if (steady->fetch.used < 4)
        return;
    size = wire_get(steady->fetched, 4);
    if (size > 2 * FETCH_BYTES - 4)
        die("an answer that is too long");
    if (steady->fetch.used < 4 + size)
        return;
    if (!wire_fetch_answer(steady->fetched + 4, size, &records, &records_size) ||
        !wire_records(records, records_size, consume, steady, &steady->next_offset))
        die("a fetch failed, or was broken");
    steady->fetch.used = 0;
    fetch_send(steady);
}

/* ---- the loop ---- */

static void events_wait(struct steady *steady, int64_t until_ns)
{
    struct epoll_event events[64];
    int64_t left_ns = until_ns - wire_now_ns();
    struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
    int ready;

    if (left_ns < 0)
        left = (struct timespec){0, 0};
    ready = epoll_pwait2(steady->epoll, events, 64, &left, NULL);
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;

        if (connection == &steady->fetch)
            fetch_read(steady);
        else
            acks_read(steady, connection);
    }
}

static void run_to(struct steady *steady, uint64_t count)
{
    int64_t last_ns = wire_now_ns();
    uint64_t seen = steady->consumed;

    while (steady->acked < count || steady->consumed < count) {
        int64_t now_ns = wire_now_ns();

        while (steady->sent < count && meant_ns(steady, steady->sent) <= now_ns)
            record_send(steady);
        events_wait(steady,
                    steady->sent < count ? meant_ns(steady, steady->sent) : now_ns + 100000000);
        if (seen != steady->consumed) {
            seen = steady->consumed;
            last_ns = now_ns;
        }
        if (now_ns - last_ns > (int64_t)STALL_MS * 1000000)
            die("nothing came for 30 seconds");
    }
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static double percentile(const int64_t *sorted, uint64_t count, double share)
{
    uint64_t at = (uint64_t)((double)count * share);

    return (double)sorted[at < count ? at : count - 1] / 1e3;
}

static void histogram_write(const char *path, const int64_t *acks, const int64_t *ends,
                            uint64_t count)
{
    FILE *file = fopen(path, "w");

    if (!file)
        die("no histogram");
    for (int i = 0; i <= 1000; i++) {
        double share = i < 1000 ? i / 1000.0 : 0.9999;

        fprintf(file, "%.4f %.1f %.1f\n", share, percentile(acks, count, share),
                percentile(ends, count, share));
    }
    fclose(file);
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int connection_open(struct steady *steady, const char *address,
                           struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    uint8_t bytes[ROOM];
    size_t size;

    connection->fd = wire_connect(address);
    if (connection->fd < 0 || !wire_send(connection->fd, bytes, wire_api_versions(bytes, 0)) ||
        !wire_receive(connection->fd, bytes, sizeof(bytes), &size) ||
        epoll_ctl(steady->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        die("cannot connect");
    return connection->fd;
}

int main(int argc, char **argv)
{
    static struct steady steady;
    uint64_t rate, measured;
    double cpu;
    char line[16];

    if (argc != 9 && argc != 10) {
        fprintf(stderr, "usage: steady ADDRESS TOPIC ACKS CONNECTIONS RATE SIZE WARM_UP_SECONDS"
                        " SECONDS [HISTOGRAM]\n");
        return 2;
    }
    wire_exact_timers();
    rate = strtoull(argv[5], NULL, 10);
    steady.topic = argv[2];
    steady.acks = (int16_t)strtol(argv[3], NULL, 10);
    steady.connection_count = (uint32_t)strtoul(argv[4], NULL, 10);
    steady.size = strtoul(argv[6], NULL, 10);
    if (rate == 0 || steady.connection_count - 1 >= CONNECTIONS_MAX || steady.size < 16 ||
        steady.size > SIZE_MAX_BYTES || steady.acks == 0)
        die("arguments out of range");
    steady.interval_ns = 1000000000 / (int64_t)rate;
    steady.warm_up = rate * strtoull(argv[7], NULL, 10);
    measured = rate * strtoull(argv[8], NULL, 10);
    steady.count = steady.warm_up + measured;
    steady.ack_ns = calloc(steady.count, sizeof(int64_t));
    steady.end_ns = calloc(steady.count, sizeof(int64_t));
    steady.fetched = malloc(2 * FETCH_BYTES);
    steady.connections = calloc(steady.connection_count, sizeof(*steady.connections));
    steady.epoll = epoll_create1(EPOLL_CLOEXEC);
    payload_init(&steady.payload);
    for (uint32_t i = 0; i < steady.connection_count; i++) {
        steady.connections[i].sent = calloc(IN_FLIGHT_MAX, sizeof(uint64_t));
        connection_open(&steady, argv[1], &steady.connections[i]);
    }
    connection_open(&steady, argv[1], &steady.fetch);
    fetch_send(&steady);
    steady.start_ns = wire_now_ns() + 10000000;
    run_to(&steady, steady.warm_up);
    puts("measure");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    steady.pause_ns = wire_now_ns() + 1000000 - meant_ns(&steady, steady.warm_up);
    cpu = cpu_seconds();
    run_to(&steady, steady.count);
    cpu = cpu_seconds() - cpu;
    qsort(steady.ack_ns + steady.warm_up, measured, sizeof(int64_t), compare);
    qsort(steady.end_ns + steady.warm_up, measured, sizeof(int64_t), compare);
    printf("{\"count\": %llu, \"client_cpu\": %.6f", (unsigned long long)measured, cpu);
    for (int which = 0; which < 2; which++) {
        const int64_t *sorted = (which ? steady.end_ns : steady.ack_ns) + steady.warm_up;
        const char *name = which ? "end" : "ack";

        printf(", \"%s_p50_us\": %.1f, \"%s_p99_us\": %.1f, \"%s_p999_us\": %.1f, "
               "\"%s_max_us\": %.1f",
               name, percentile(sorted, measured, 0.5), name, percentile(sorted, measured, 0.99),
               name, percentile(sorted, measured, 0.999), name, percentile(sorted, measured, 1));
    }
    puts("}");
    if (argc == 10)
        histogram_write(argv[9], steady.ack_ns + steady.warm_up, steady.end_ns + steady.warm_up,
                        measured);
    return 0;
}
