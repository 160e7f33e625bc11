/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker cannot do without, alone: receive frames, one CRC pass over them, append, a short answer.
 *
 *   floor FOLDER CONNECTIONS IN_FLIGHT FRAME FILES PARTS COUNT THREADS
 *       A client (a process of its own) keeps IN_FLIGHT frames of FRAME bytes under way on each connection until COUNT
 *       are answered. The server appends each in PARTS equal pieces, a write each, to as many of its FILES
 *       in turn, and answers 64 bytes. With THREADS each has its share of connections and files.
 *       Prints one line of JSON: the server's processor time, in all and by frame, and the wall time.
 *
 * It knows no protocol and keeps no promise, and so is what remains when everything is taken away that makes a
 * broker: the distance to it is what there is to win. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <isa-l.h>

#include "wire.h"

enum { ANSWER = 64, CONNECTIONS_MAX = 1024, FILES_MAX = 20000, THREADS_MAX = 8, EVENTS = 64 };
enum { STALL_MS = 30000 };

struct floor {
    const char *folder;
    uint32_t connections, in_flight, files, parts, threads;
    size_t frame;
    uint64_t count;
};

struct end { /* of a connection */
    int fd;
    size_t used;
    uint64_t sent; /* of the client: frames */
    size_t left;   /* of the client: bytes of frames that were not taken yet */
    uint8_t *bytes;
};

struct server {
    const struct floor *floor;
    int listener, epoll;
    uint32_t connections, files, next_file, crc;
    int *fds;
    int64_t *sizes;
    struct end *ends;
    pthread_t thread;
};

static void die(const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", why, strerror(errno));
    exit(1);
}

static void *reserve(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        die("no memory");
    return memory;
}

static void no_delay(int fd)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* ---- the server ---- */

static void frame_take(struct server *server, const uint8_t *frame)
{
    const struct floor *floor = server->floor;
    size_t part = floor->frame / floor->parts;

    server->crc = crc32_iscsi((unsigned char *)(uintptr_t)frame, (int)floor->frame, server->crc);
    for (uint32_t i = 0; i < floor->parts; i++) {
        uint32_t file = server->next_file++ % server->files;

        if (pwrite(server->fds[file], frame + i * part, part, server->sizes[file]) != (ssize_t)part)
            die("append");
        server->sizes[file] += (int64_t)part;
    }
}

static bool end_serve(struct server *server, struct end *end)
{
    static const uint8_t answers[ANSWER * 64];
    size_t size = server->floor->frame, at = 0, answered = 0;
    ssize_t got = recv(end->fd, end->bytes + end->used, 2 * size + 65536 - end->used, 0);

    if (got <= 0)
        return false;
    end->used += (size_t)got;
    for (; end->used - at >= size && answered < 64; at += size, answered++)
        frame_take(server, end->bytes + at);
    memmove(end->bytes, end->bytes + at, end->used - at);
    end->used -= at;
    return answered == 0 || send(end->fd, answers, answered * ANSWER, MSG_NOSIGNAL) > 0;
}

static void *serve(void *context)
{
    struct server *server = context;
    uint32_t open = server->connections;

    for (uint32_t i = 0; i < server->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &server->ends[i]};

        server->ends[i].bytes = reserve(1, 2 * server->floor->frame + 65536);
        server->ends[i].fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (server->ends[i].fd < 0 ||
            epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->ends[i].fd, &event) != 0)
            die("accept");
        no_delay(server->ends[i].fd);
    }
    while (open > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(server->epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            die("no frame for 30 seconds");
        for (int i = 0; i < ready; i++) {
            struct end *end = events[i].data.ptr;

            if (!end_serve(server, end)) {
                (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, end->fd, NULL);
                open--;
            }
        }
    }
    return NULL;
}

static void server_init(struct server *server, const struct floor *floor, uint32_t index)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    server->floor = floor;
    server->connections = floor->connections / floor->threads;
    server->files = floor->files / floor->threads;
    server->fds = reserve(server->files, sizeof(*server->fds));
    server->sizes = reserve(server->files, sizeof(*server->sizes));
    server->ends = reserve(server->connections, sizeof(*server->ends));
    for (uint32_t i = 0; i < server->files; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/floor-%u-%u", floor->folder, index, i);
        server->fds[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (server->fds[i] < 0)
            die(path);
        unlink(path);
    }
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->epoll < 0 || server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, CONNECTIONS_MAX) != 0)
        die("listen");
}

/* ---- the client ---- */

struct client {
    const struct floor *floor;
    uint64_t left, answered;
    uint8_t *frame;
};

/* Sends what the kernel takes; the rest when it can take more. */
static void client_send(struct client *client, struct end *end)
{
    size_t size = client->floor->frame;

    while (end->left > 0) {
        size_t at = (size - end->left % size) % size;
        ssize_t sent = send(end->fd, client->frame + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            die("send");
        end->left -= (size_t)sent;
    }
}

static void client_more(struct client *client, struct end *end, uint64_t frames)
{
    frames = frames < client->left ? frames : client->left;
    client->left -= frames;
    end->left += (size_t)frames * client->floor->frame;
    client_send(client, end);
}

static void client_read(struct client *client, struct end *end)
{
    uint8_t bytes[ANSWER * 64];
    ssize_t got = recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    uint64_t answers;

    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("the server has gone");
    if (got < 0)
        return;
    end->used += (size_t)got;
    answers = end->used / ANSWER;
    end->used %= ANSWER;
    client->answered += answers;
    client_more(client, end, answers);
}

static void client_run(const struct floor *floor, const struct sockaddr_in *addresses)
{
    struct client client = {.floor = floor, .left = floor->count};
    struct end *ends = reserve(floor->connections, sizeof(*ends));
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    client.frame = reserve(1, floor->frame);
    for (size_t i = 0; i < floor->frame; i++)
        client.frame[i] = (uint8_t)(i * 37 >> 3);
    for (uint32_t i = 0; i < floor->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &ends[i]};

        ends[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(ends[i].fd, (const struct sockaddr *)&addresses[i % floor->threads],
                    sizeof(*addresses)) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, ends[i].fd, &event) != 0)
            die("connect");
        no_delay(ends[i].fd);
    }
    for (uint32_t i = 0; i < floor->connections; i++)
        client_more(&client, &ends[i], floor->in_flight);
    while (client.answered < floor->count) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            die("no answer for 30 seconds");
        for (int i = 0; i < ready; i++) {
            client_send(&client, events[i].data.ptr);
            client_read(&client, events[i].data.ptr);
        }
    }
    _exit(0);
}

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int run(const struct floor *floor)
{
    static struct server servers[THREADS_MAX];
    struct sockaddr_in addresses[THREADS_MAX];
    int64_t start_ns;
    double cpu;
    pid_t client;
    int status = 0;

    for (uint32_t i = 0; i < floor->threads; i++) {
        socklen_t size = sizeof(addresses[i]);

        server_init(&servers[i], floor, i);
        getsockname(servers[i].listener, (struct sockaddr *)&addresses[i], &size);
    }
    client = fork();
    if (client == 0)
        client_run(floor, addresses);
    start_ns = wire_now_ns();
    cpu = cpu_seconds();
    for (uint32_t i = 0; i < floor->threads; i++)
        if (pthread_create(&servers[i].thread, NULL, serve, &servers[i]) != 0)
            die("thread");
    for (uint32_t i = 0; i < floor->threads; i++)
        pthread_join(servers[i].thread, NULL);
    cpu = cpu_seconds() - cpu;
    if (client < 0 || waitpid(client, &status, 0) != client || status != 0)
        die("the client failed");
    printf("{\"count\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"cpu_us\": %.3f}\n",
           (unsigned long long)floor->count, (double)(wire_now_ns() - start_ns) / 1e9, cpu,
           cpu * 1e6 / (double)floor->count);
    return 0;
}

int main(int argc, char **argv)
{
    struct floor floor;

    if (argc != 9) {
        fprintf(stderr, "usage: floor FOLDER CONNECTIONS IN_FLIGHT FRAME FILES PARTS COUNT"
                        " THREADS\n");
        return 2;
    }
    floor = (struct floor){.folder = argv[1],
                           .connections = (uint32_t)strtoul(argv[2], NULL, 10),
                           .in_flight = (uint32_t)strtoul(argv[3], NULL, 10),
                           .frame = strtoul(argv[4], NULL, 10),
                           .files = (uint32_t)strtoul(argv[5], NULL, 10),
                           .parts = (uint32_t)strtoul(argv[6], NULL, 10),
                           .count = strtoull(argv[7], NULL, 10),
                           .threads = (uint32_t)strtoul(argv[8], NULL, 10)};
    if (floor.threads - 1 >= THREADS_MAX || floor.connections - 1 >= CONNECTIONS_MAX ||
        floor.files - 1 >= FILES_MAX || floor.parts - 1 >= FILES_MAX || floor.in_flight == 0 ||
        floor.connections % floor.threads != 0 || floor.files % floor.threads != 0 ||
        floor.frame < floor.parts || floor.count == 0) {
        fprintf(stderr, "floor: arguments out of range\n");
        return 2;
    }
    return run(&floor);
}
