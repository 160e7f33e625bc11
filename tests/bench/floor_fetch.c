/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker cannot do without when it answers fetches from the page cache, alone.
 *
 *   floor_fetch FOLDER check|unseen READERS FILES RANGE VOLUME COUNT
 *       FILES files of together VOLUME bytes are written. Each of READERS clients (threads of one other process) asks,
 *       one request after the other, COUNT times for the next RANGE bytes of every file, from the first on again
 *       after the last, receives the answer and runs a CRC pass over it, as a consumer does.
 *       check: the server, one thread, reads the ranges, runs one CRC pass, sends them. What several readers ask for
 *       within 32 MiB of ranges is read and looked at once. unseen: sendfile, and no look at the bytes.
 *       Prints one line of JSON: the server's processor time, in all and by request, and the wall time.
 *
 * Like floor.c it knows no protocol and keeps no promise. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <isa-l.h>

#include "wire.h"

/* REQUEST, HEAD: bytes of a request, and of an answer before its records. */
enum { REQUEST = 96, HEAD = 96, READERS_MAX = 64, FILES_MAX = 64, EVENTS = 64 };
enum { STALL_MS = 30000, SHARED_BYTES = 32 << 20, WRITE_BYTES = 1 << 20 };

struct plan {
    const char *folder;
    bool is_unseen;
    uint32_t readers, files;
    size_t range;
    uint64_t volume, count, sets; /* sets: of ranges, one of each file */
};

struct block { /* a set of ranges that was read and looked at */
    uint64_t set, used;
    uint32_t senders;
    uint8_t *bytes;
};

struct end { /* of a connection */
    int fd;
    size_t asked; /* bytes of the next request */
    uint64_t set; /* asked for next */
    size_t left;  /* bytes of the answer that were not sent */
    uint64_t sending;
    struct block *block;
};

struct server {
    const struct plan *plan;
    int listener, epoll, fds[FILES_MAX];
    uint32_t blocks_count, crc;
    uint64_t uses;
    struct block *blocks;
    struct end ends[READERS_MAX];
};

static const uint8_t head[HEAD];

static size_t answer_bytes(const struct plan *plan)
{
    return HEAD + plan->files * plan->range;
}

/* ---- the server ---- */

static struct block *block_read(struct server *server, uint64_t set)
{
    const struct plan *plan = server->plan;
    struct block *oldest = NULL;

    for (uint32_t i = 0; i < server->blocks_count; i++) {
        struct block *block = &server->blocks[i];

        if (block->bytes != NULL && block->set == set && plan->readers > 1)
            return block;
        if (block->senders == 0 && (oldest == NULL || block->used < oldest->used))
            oldest = block;
    }
    if (oldest->bytes == NULL)
        oldest->bytes = wire_reserve(plan->files, plan->range);
    oldest->set = set;
    for (uint32_t i = 0; i < plan->files; i++) {
        uint8_t *bytes = oldest->bytes + i * plan->range;

        if (pread(server->fds[i], bytes, plan->range, (off_t)(set * plan->range)) !=
            (ssize_t)plan->range)
            wire_die_errno("read");
        server->crc = crc32_iscsi(bytes, (int)plan->range, server->crc);
    }
    return oldest;
}

static ssize_t send_seen(struct server *server, struct end *end)
{
    size_t records = server->plan->files * server->plan->range;
    struct iovec vectors[2] = {{.iov_base = (void *)(uintptr_t)head, .iov_len = HEAD},
                               {.iov_base = end->block->bytes, .iov_len = records}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};

    if (end->left <= records) {
        vectors[1].iov_base = end->block->bytes + (records - end->left);
        vectors[1].iov_len = end->left;
        message = (struct msghdr){.msg_iov = &vectors[1], .msg_iovlen = 1};
    } else {
        vectors[0].iov_len = end->left - records;
    }
    return sendmsg(end->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_unseen(struct server *server, struct end *end)
{
    size_t range = server->plan->range, records = server->plan->files * range;
    size_t at = records - end->left;
    off_t from = (off_t)(end->sending * range + at % range);

    if (end->left > records)
        return send(end->fd, head, end->left - records, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
    return sendfile(end->fd, server->fds[at / range], &from, range - at % range);
}

static void answer_go_on(struct server *server, struct end *end)
{
    while (end->left > 0) {
        ssize_t sent = server->plan->is_unseen ? send_unseen(server, end) : send_seen(server, end);

        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent <= 0)
            wire_die_errno("send");
        end->left -= (size_t)sent;
    }
    if (end->block != NULL)
        end->block->senders--;
    end->block = NULL;
}

/* False: the client has gone. */
static bool end_serve(struct server *server, struct end *end)
{
    uint8_t request[REQUEST];

    while (end->left == 0) {
        ssize_t got = recv(end->fd, request, REQUEST - end->asked, MSG_DONTWAIT);

        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            return false;
        end->asked += (size_t)got;
        if (end->asked < REQUEST)
            continue;
        end->asked = 0;
        end->sending = end->set;
        end->set = (end->set + 1) % server->plan->sets;
        end->left = answer_bytes(server->plan);
        if (!server->plan->is_unseen) {
            end->block = block_read(server, end->sending);
            end->block->used = ++server->uses;
            end->block->senders++;
        }
        answer_go_on(server, end);
        if ((size_t)got < REQUEST || end->left == 0)
            return true; /* what comes later is another event */
    }
    answer_go_on(server, end);
    return true;
}

static void serve(struct server *server)
{
    uint32_t open = server->plan->readers;

    for (uint32_t i = 0; i < server->plan->readers; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data.ptr = &server->ends[i]};

        server->ends[i].fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (server->ends[i].fd < 0 ||
            epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->ends[i].fd, &event) != 0)
            wire_die_errno("accept");
        wire_no_delay(server->ends[i].fd);
    }
    while (open > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(server->epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            wire_die_errno("no request for 30 seconds");
        for (int i = 0; i < ready; i++) {
            struct end *end = events[i].data.ptr;

            if (!end_serve(server, end)) {
                (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, end->fd, NULL);
                open--;
            }
        }
    }
}

static void file_write(struct server *server, uint32_t index, uint64_t size)
{
    uint8_t *bytes = wire_reserve(1, WRITE_BYTES);
    char path[4096];
    int fd;

    for (size_t i = 0; i < WRITE_BYTES; i++)
        bytes[i] = (uint8_t)(i * 37 >> 3);
    snprintf(path, sizeof(path), "%s/floor-fetch-%u", server->plan->folder, index);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        wire_die_errno(path);
    unlink(path);
    while (size > 0) {
        ssize_t put = write(fd, bytes, size < WRITE_BYTES ? (size_t)size : WRITE_BYTES);

        if (put <= 0)
            wire_die_errno("write");
        size -= (uint64_t)put;
    }
    free(bytes);
    server->fds[index] = fd;
}

static void server_init(struct server *server, const struct plan *plan)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    server->plan = plan;
    server->blocks_count = plan->readers;
    if (plan->readers > 1)
        server->blocks_count += (uint32_t)(SHARED_BYTES / (plan->files * plan->range));
    server->blocks = wire_reserve(server->blocks_count, sizeof(*server->blocks));
    for (uint32_t i = 0; i < plan->files; i++)
        file_write(server, i, plan->sets * plan->range);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->epoll < 0 || server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, READERS_MAX) != 0)
        wire_die_errno("listen");
}

/* ---- the clients ---- */

struct client {
    const struct plan *plan;
    struct sockaddr_in address;
    pthread_t thread;
    uint32_t crc;
};

static void *client_run(void *context)
{
    static const uint8_t request[REQUEST];
    struct client *client = context;
    size_t size = answer_bytes(client->plan);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint8_t *answer = wire_reserve(1, size);

    if (connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) != 0)
        wire_die_errno("connect");
    wire_no_delay(fd);
    for (uint64_t i = 0; i < client->plan->count; i++) {
        size_t used = 0;

        if (send(fd, request, REQUEST, MSG_NOSIGNAL) != REQUEST)
            wire_die_errno("request");
        while (used < size) {
            ssize_t got = recv(fd, answer + used, size - used, 0);

            if (got <= 0)
                wire_die_errno("the server has gone");
            used += (size_t)got;
        }
        client->crc = crc32_iscsi(answer, (int)size, client->crc);
    }
    free(answer);
    close(fd);
    return NULL;
}

static void clients_run(const struct plan *plan, const struct sockaddr_in *address)
{
    static struct client clients[READERS_MAX];

    for (uint32_t i = 0; i < plan->readers; i++) {
        clients[i] = (struct client){.plan = plan, .address = *address};
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0)
            wire_die_errno("thread");
    }
    for (uint32_t i = 0; i < plan->readers; i++)
        pthread_join(clients[i].thread, NULL);
    _exit(0);
}

static int run(const struct plan *plan)
{
    static struct server server;
    struct sockaddr_in address;
    socklen_t address_size = sizeof(address);
    uint64_t requests = plan->count * plan->readers;
    int64_t start_ns;
    double cpu;
    pid_t clients;
    int status = 0;

    server_init(&server, plan);
    getsockname(server.listener, (struct sockaddr *)&address, &address_size);
    clients = fork();
    if (clients == 0)
        clients_run(plan, &address);
    start_ns = wire_now_ns();
    cpu = wire_cpu_seconds();
    serve(&server);
    cpu = wire_cpu_seconds() - cpu;
    if (clients < 0 || waitpid(clients, &status, 0) != clients || status != 0)
        wire_die_errno("the clients failed");
    printf("{\"count\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, "
           "\"cpu_us\": %.3f}\n",
           (unsigned long long)requests, (unsigned long long)(requests * plan->files * plan->range),
           (double)(wire_now_ns() - start_ns) / 1e9, cpu, cpu * 1e6 / (double)requests);
    return 0;
}

int main(int argc, char **argv)
{
    struct plan plan;

    if (argc != 8 || (strcmp(argv[2], "check") != 0 && strcmp(argv[2], "unseen") != 0)) {
        fprintf(stderr,
                "usage: floor_fetch FOLDER check|unseen READERS FILES RANGE VOLUME COUNT\n");
        return 2;
    }
    plan = (struct plan){.folder = argv[1],
                         .is_unseen = strcmp(argv[2], "unseen") == 0,
                         .readers = (uint32_t)strtoul(argv[3], NULL, 10),
                         .files = (uint32_t)strtoul(argv[4], NULL, 10),
                         .range = strtoul(argv[5], NULL, 10),
                         .volume = strtoull(argv[6], NULL, 10),
                         .count = strtoull(argv[7], NULL, 10)};
    if (plan.readers - 1 >= READERS_MAX || plan.files - 1 >= FILES_MAX ||
        plan.range - 1 >= 1 << 24 || plan.volume < plan.files * plan.range || plan.count == 0) {
        fprintf(stderr, "floor_fetch: arguments out of range\n");
        return 2;
    }
    plan.sets = plan.volume / (plan.files * plan.range);
    return run(&plan);
}
