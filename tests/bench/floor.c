/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker cannot do without, alone: receive frames, one CRC pass over them, append, a short answer.
 *
 *   floor FOLDER CONNECTIONS IN_FLIGHT FRAME FILES PARTS COUNT THREADS [CODEC VALUE]
 *       A client (a process of its own) keeps IN_FLIGHT frames of FRAME bytes under way on each connection until COUNT
 *       are answered. The server appends each in PARTS equal pieces, a write each, to as many of its FILES
 *       in turn, and answers 64 bytes. With THREADS each has its share of connections and files.
 *       With CODEC (none, lz4, zstd) a frame is a batch of records with values of VALUE bytes, FRAME bytes before
 *       they are compressed (then PARTS is 1); the server inflates each too, and stores it as it came.
 *       Prints one line of JSON: the server's processor time, in all and by frame, the wall time, that from the
 *       first frame to the last answer, and the bytes of all frames (with CODEC: of all values).
 *
 * It knows no protocol and keeps no promise, and so is what remains when everything is taken away that makes a
 * broker: the distance to it is what there is to win. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <isa-l.h>

#include "floor_frames.h"
#include "wire.h"

enum { ANSWER = 64, CONNECTIONS_MAX = 1024, FILES_MAX = 20000, THREADS_MAX = 8, EVENTS = 64 };
enum { STALL_MS = 30000 };

/* Between the server's process and the client's. */
struct shared {
    atomic_uint accepted;
    double answered_seconds;
};

struct floor {
    const char *folder;
    struct shared *shared;
    uint32_t connections, in_flight, files, parts, threads;
    size_t frame;
    uint64_t count;
    size_t plain; /* of a batch before compression; 0: frames are no batches */
    struct floor_frames frames;
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
    struct floor_inflate *inflate; /* NULL: there is nothing to inflate */
    pthread_t thread;
};

/* ---- the server ---- */

static void frame_take(struct server *server, const uint8_t *frame)
{
    const struct floor *floor = server->floor;
    size_t size = floor->frame, part;

    if (floor->plain > 0)
        frame = floor_frame_stored(&floor->frames, frame, &size);
    part = size / floor->parts;
    server->crc = crc32_iscsi((unsigned char *)(uintptr_t)frame, (int)size, server->crc);
    if (server->inflate != NULL)
        floor_inflate(server->inflate, frame, size);
    for (uint32_t i = 0; i < floor->parts; i++) {
        uint32_t file = server->next_file++ % server->files;

        if (pwrite(server->fds[file], frame + i * part, part, server->sizes[file]) != (ssize_t)part)
            wire_die_errno("append");
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

        server->ends[i].bytes = wire_reserve(1, 2 * server->floor->frame + 65536);
        server->ends[i].fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (server->ends[i].fd < 0 ||
            epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->ends[i].fd, &event) != 0)
            wire_die_errno("accept");
        wire_no_delay(server->ends[i].fd);
        atomic_fetch_add(&server->floor->shared->accepted, 1);
    }
    while (open > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(server->epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            wire_die_errno("no frame for 30 seconds");
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
    server->fds = wire_reserve(server->files, sizeof(*server->fds));
    server->sizes = wire_reserve(server->files, sizeof(*server->sizes));
    server->ends = wire_reserve(server->connections, sizeof(*server->ends));
    for (uint32_t i = 0; i < server->files; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/floor-%u-%u", floor->folder, index, i);
        server->fds[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (server->fds[i] < 0)
            wire_die_errno(path);
        unlink(path);
    }
    if (floor->plain > 0 && floor->frames.codec != FLOOR_NONE)
        server->inflate = floor_inflate_new(&floor->frames, floor->plain);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->epoll < 0 || server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, CONNECTIONS_MAX) != 0)
        wire_die_errno("listen");
}

/* ---- the client ---- */

struct client {
    const struct floor *floor;
    uint64_t left, answered;
    const uint8_t *frames; /* sent in turn */
    uint32_t frame_count;
};

/* Sends what the kernel takes; the rest when it can take more. */
static void client_send(struct client *client, struct end *end)
{
    size_t size = client->floor->frame;

    while (end->left > 0) {
        size_t at = (size - end->left % size) % size;
        const uint8_t *frame = client->frames + end->sent % client->frame_count * size;
        ssize_t sent = send(end->fd, frame + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            wire_die_errno("send");
        end->left -= (size_t)sent;
        end->sent += at + (size_t)sent == size;
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
        wire_die_errno("the server has gone");
    if (got < 0)
        return;
    end->used += (size_t)got;
    answers = end->used / ANSWER;
    end->used %= ANSWER;
    client->answered += answers;
    client_more(client, end, answers);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *frame = wire_reserve(1, size);

    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 37 >> 3);
    return frame;
}

static void client_run(const struct floor *floor, const struct sockaddr_in *addresses)
{
    struct client client = {.floor = floor, .left = floor->count};
    struct end *ends = wire_reserve(floor->connections, sizeof(*ends));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t start_ns;

    client.frames = floor->plain > 0 ? floor->frames.bytes : pattern(floor->frame);
    client.frame_count = floor->plain > 0 ? floor->frames.count : 1;
    for (uint32_t i = 0; i < floor->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &ends[i]};

        ends[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(ends[i].fd, (const struct sockaddr *)&addresses[i % floor->threads],
                    sizeof(*addresses)) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, ends[i].fd, &event) != 0)
            wire_die_errno("connect");
        wire_no_delay(ends[i].fd);
    }
    while (atomic_load(&floor->shared->accepted) < floor->connections)
        usleep(200);
    start_ns = wire_now_ns();
    for (uint32_t i = 0; i < floor->connections; i++)
        client_more(&client, &ends[i], floor->in_flight);
    while (client.answered < floor->count) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            wire_die_errno("no answer for 30 seconds");
        for (int i = 0; i < ready; i++) {
            client_send(&client, events[i].data.ptr);
            client_read(&client, events[i].data.ptr);
        }
    }
    floor->shared->answered_seconds = (double)(wire_now_ns() - start_ns) / 1e9;
    _exit(0);
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
    cpu = wire_cpu_seconds();
    for (uint32_t i = 0; i < floor->threads; i++)
        if (pthread_create(&servers[i].thread, NULL, serve, &servers[i]) != 0)
            wire_die_errno("thread");
    for (uint32_t i = 0; i < floor->threads; i++)
        pthread_join(servers[i].thread, NULL);
    cpu = wire_cpu_seconds() - cpu;
    if (client < 0 || waitpid(client, &status, 0) != client || status != 0)
        wire_die_errno("the client failed");
    printf("{\"count\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"cpu_us\": %.3f, "
           "\"answered_seconds\": %.6f, \"bytes\": %llu}\n",
           (unsigned long long)floor->count, (double)(wire_now_ns() - start_ns) / 1e9, cpu,
           cpu * 1e6 / (double)floor->count, floor->shared->answered_seconds,
           (unsigned long long)(floor->count *
                                (floor->plain > 0 ? floor->frames.value_bytes : floor->frame)));
    return 0;
}

int main(int argc, char **argv)
{
    struct floor floor;

    if (argc != 9 && argc != 11) {
        fprintf(stderr, "usage: floor FOLDER CONNECTIONS IN_FLIGHT FRAME FILES PARTS COUNT"
                        " THREADS [CODEC VALUE]\n");
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
    floor.shared = mmap(NULL, sizeof(*floor.shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (floor.shared == MAP_FAILED)
        wire_die_errno("no memory");
    if (argc == 11) {
        floor.plain = floor.frame;
        floor_frames_make(&floor.frames, argv[9], floor.plain, strtoul(argv[10], NULL, 10));
        floor.frame = floor.frames.size;
        floor.parts = 1;
    }
    return run(&floor);
}
