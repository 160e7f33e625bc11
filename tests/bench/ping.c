/* SPDX-License-Identifier: Apache-2.0 */
/* One-record produce requests, a closed loop in one thread.
 *
 *   ping run ADDRESS TOPIC ACKS CONNECTIONS IN_FLIGHT WARM_UP COUNT FIRST_SEQUENCE [PARTITIONS]
 *       every connection keeps IN_FLIGHT requests under way to one of the PARTITIONS (1), in turn;
 *       their number is that of connections or divides it. WARM_UP answers are not
 *       measured. Between the two it prints "measure" and waits for a line on standard input, so
 *       that who measures the broker can look at its clock; at the end it prints one line of JSON.
 *   ping hold ADDRESS CONNECTIONS
 *       opens connections, says hello on each, and keeps them until standard input ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "payload.h"
#include "wire.h"

enum {
    VALUE_SIZE = 100,
    CONNECTIONS_MAX = 1024,
    IN_FLIGHT_MAX = 64,
    PARTITIONS_MAX = 1024,
    ROOM = 16384,
    STALL_MS = 30000
};

struct connection {
    int fd;
    size_t used;
    uint8_t bytes[ROOM];
    int64_t sent_ns[IN_FLIGHT_MAX]; /* a ring: answers come in order */
    uint32_t head, tail;
    uint32_t partition;
};

struct offsets {
    int64_t least, most;
};

struct ping {
    const char *topic;
    int16_t acks;
    uint32_t connection_count, in_flight;
    uint64_t sequence; /* of the next record */
    uint64_t left;     /* requests still to send */
    uint64_t answered;
    int64_t *taken_ns; /* NULL while warming up */
    uint32_t partition_count;
    struct offsets offsets[PARTITIONS_MAX];
    int epoll;
    struct payload payload;
    struct connection *connections;
};

static void ping_send(struct ping *ping, struct connection *connection)
{
    uint8_t value[VALUE_SIZE];
    uint8_t frame[1024];
    size_t size;

    if (ping->left == 0)
        return;
    ping->left--;
    payload_fill(&ping->payload, ping->sequence++, value, sizeof(value));
    size = wire_produce(frame, (int32_t)connection->head, ping->topic,
                        (int32_t)connection->partition, ping->acks, value, sizeof(value));
    connection->sent_ns[connection->head++ % IN_FLIGHT_MAX] = wire_now_ns();
    if (!wire_send(connection->fd, frame, size))
        wire_die("connection lost");
}

static void ping_answer(struct ping *ping, struct connection *connection, const uint8_t *body,
                        size_t size)
{
    struct offsets *offsets = &ping->offsets[connection->partition];
    struct wire_answer answer;
    int64_t now_ns = wire_now_ns();

    if (!wire_produce_answer(body, size, &answer) || answer.error != 0) {
        fprintf(stderr, "ping: answer with error %d\n", answer.error);
        exit(1);
    }
    if (answer.correlation != (int32_t)connection->tail)
        wire_die("answers out of order");
    if (answer.base_offset < offsets->least)
        offsets->least = answer.base_offset;
    if (answer.base_offset > offsets->most)
        offsets->most = answer.base_offset;
    if (ping->taken_ns != NULL)
        ping->taken_ns[ping->answered] =
            now_ns - connection->sent_ns[connection->tail % IN_FLIGHT_MAX];
    connection->tail++;
    ping->answered++;
    ping_send(ping, connection);
}

static void ping_read(struct ping *ping, struct connection *connection)
{
    ssize_t got =
        recv(connection->fd, connection->bytes + connection->used, ROOM - connection->used, 0);
    size_t at = 0;

    if (got <= 0)
        wire_die("connection lost");
    connection->used += (size_t)got;
    while (connection->used - at >= 4) {
        const uint8_t *head = connection->bytes + at;
        size_t size =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

        if (size > ROOM - 4)
            wire_die("an answer that is too long");
        if (connection->used - at < 4 + size)
            break;
        ping_answer(ping, connection, head + 4, size);
        at += 4 + size;
    }
    memmove(connection->bytes, connection->bytes + at, connection->used - at);
    connection->used -= at;
}

/* Sends `count` requests and waits for all the answers; the time it took. */
static int64_t ping_round(struct ping *ping, uint64_t count)
{
    int64_t start_ns = wire_now_ns();

    ping->left = count;
    ping->answered = 0;
    for (uint32_t each = 0; each < ping->in_flight; each++)
        for (uint32_t i = 0; i < ping->connection_count; i++)
            ping_send(ping, &ping->connections[i]);
    while (ping->answered < count) {
        struct epoll_event events[64];
        int ready = epoll_wait(ping->epoll, events, 64, STALL_MS);

        if (ready == 0)
            wire_die("no answer for 30 seconds");
        for (int i = 0; i < ready; i++)
            ping_read(ping, events[i].data.ptr);
    }
    return wire_now_ns() - start_ns;
}

static int hello(int fd)
{
    uint8_t bytes[ROOM];
    size_t size = wire_api_versions(bytes, 0);

    return wire_send(fd, bytes, size) && wire_receive(fd, bytes, sizeof(bytes), &size);
}

/* How many offsets were given, if each once and none left out. */
static int64_t offsets_count(const struct ping *ping)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < ping->partition_count; i++)
        if (ping->offsets[i].most >= 0)
            sum += ping->offsets[i].most - ping->offsets[i].least + 1;
    return sum;
}

static int run(char **arguments)
{
    struct ping ping = {.topic = arguments[1],
                        .acks = (int16_t)strtol(arguments[2], NULL, 10),
                        .connection_count = (uint32_t)strtoul(arguments[3], NULL, 10),
                        .in_flight = (uint32_t)strtoul(arguments[4], NULL, 10),
                        .sequence = strtoull(arguments[7], NULL, 10),
                        .partition_count =
                            arguments[8] ? (uint32_t)strtoul(arguments[8], NULL, 10) : 1};
    uint64_t warm_up = strtoull(arguments[5], NULL, 10);
    uint64_t count = strtoull(arguments[6], NULL, 10);
    int64_t *taken_ns = calloc(count, sizeof(*taken_ns));
    int64_t spent_ns;
    double cpu;
    char line[16];

    if (ping.connection_count - 1 >= CONNECTIONS_MAX || ping.in_flight - 1 >= IN_FLIGHT_MAX ||
        ping.partition_count - 1 >= PARTITIONS_MAX || count == 0 || taken_ns == NULL)
        wire_die("arguments out of range");
    payload_init(&ping.payload);
    for (uint32_t i = 0; i < ping.partition_count; i++)
        ping.offsets[i] = (struct offsets){INT64_MAX, -1};
    ping.connections = calloc(ping.connection_count, sizeof(*ping.connections));
    ping.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (ping.connections == NULL || ping.epoll < 0)
        wire_die("no memory");
    for (uint32_t i = 0; i < ping.connection_count; i++) {
        struct connection *connection = &ping.connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

        connection->partition = i % ping.partition_count;
        connection->fd = wire_connect(arguments[0]);
        if (connection->fd < 0 || !hello(connection->fd) ||
            epoll_ctl(ping.epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            wire_die("cannot connect");
    }
    ping_round(&ping, warm_up);
    puts("measure");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    ping.taken_ns = taken_ns;
    cpu = wire_cpu_seconds();
    spent_ns = ping_round(&ping, count);
    cpu = wire_cpu_seconds() - cpu;
    wire_sort_ns(taken_ns, count);
    printf("{\"count\": %llu, \"seconds\": %.6f, \"client_cpu\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"next_sequence\": %llu, "
           "\"offsets\": %lld}\n",
           (unsigned long long)count, (double)spent_ns / 1e9, cpu,
           wire_percentile_us(taken_ns, count, 0.5), wire_percentile_us(taken_ns, count, 0.99),
           wire_percentile_us(taken_ns, count, 0.999), wire_percentile_us(taken_ns, count, 1),
           (unsigned long long)ping.sequence, (long long)offsets_count(&ping));
    return 0;
}

static int hold(const char *address, uint32_t count)
{
    char line[16];

    for (uint32_t i = 0; i < count; i++) {
        int fd = wire_connect(address);

        if (fd < 0 || !hello(fd)) {
            fprintf(stderr, "ping: connection %u of %u: %s\n", i, count, strerror(errno));
            return 1;
        }
    }
    puts("holding");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 10 || argc == 11) && strcmp(argv[1], "run") == 0)
        return run(argv + 2);
    if (argc == 4 && strcmp(argv[1], "hold") == 0)
        return hold(argv[2], (uint32_t)strtoul(argv[3], NULL, 10));
    fprintf(stderr, "usage: ping run ADDRESS TOPIC ACKS CONNECTIONS IN_FLIGHT WARM_UP COUNT"
                    " FIRST_SEQUENCE [PARTITIONS] | hold ADDRESS CONNECTIONS\n");
    return 2;
}
