/* SPDX-License-Identifier: Apache-2.0 */
/* What steady.c meets when the broker does nothing: its records are received, one CRC pass runs over them, they are
 * appended, acknowledged, and handed to the reader that waits.
 *
 *   floor-relay FOLDER page-cache|durable
 *       Prints its address, serves one client (the connections of steady.c) and ends with the last of them. It
 *       knows as much of Produce v3 and Fetch v4 as that client sends: one partition, one batch a request, all of
 *       one size. With durable it syncs what came in one turn by one call before it answers: on the spot, since a
 *       second thread would have to be woken for it, and what comes meanwhile waits in the sockets for the next.
 *
 * Records are kept in memory for the reader, and read from the file when it is far behind. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <isa-l.h>

#include "wire.h"

enum { API_PRODUCE = 0, API_FETCH = 1 };
enum { ENDS_MAX = 1100, ROOM = 1 << 20, EVENTS = 64, STALL_MS = 30000, ANSWER_MAX = 512 };
enum { KEPT = 8 << 20, FETCH_MAX = 1 << 20, TOPIC_MAX = 255, PENDING_MAX = 512 };

struct end { /* of a connection */
    int fd;
    size_t used, answers_used;
    uint8_t *bytes, *answers;
};

struct relay {
    int listener, epoll, file;
    bool is_durable;
    uint32_t open, crc;
    char topic[TOPIC_MAX + 1];
    size_t batch; /* bytes of each; 0: none came yet */
    int64_t next_offset,
        appended;  /* received; in the file, and on the disk where that was asked for */
    uint8_t *kept; /* the newest records, record i at i % kept_count */
    int64_t kept_count;
    struct end *answering[EVENTS]; /* of this turn */
    size_t answering_count;
    struct end *reader; /* that waits; NULL: none does */
    int32_t reader_correlation;
    int64_t reader_offset;
};

static uint8_t *record_of(struct relay *relay, int64_t offset)
{
    return relay->kept + (size_t)(offset % relay->kept_count) * relay->batch;
}

/* ---- requests ---- */

/* Of all answers: the topic between its own count and that of its one partition. */
static uint8_t *topic_put(const struct relay *relay, uint8_t *at)
{
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, relay->topic);
    at = wire_put(at, 1, 4);
    return wire_put(at, 0, 4); /* partition */
}

static const uint8_t *topic_take(struct relay *relay, const uint8_t *at)
{
    size_t size = wire_get(at + 4, 2);

    if (wire_get(at, 4) != 1 || size > TOPIC_MAX)
        wire_die("more than one topic");
    memcpy(relay->topic, at + 6, size);
    relay->topic[size] = 0;
    at += 6 + size;
    if (wire_get(at, 4) != 1 || wire_get(at + 4, 4) != 0)
        wire_die("more than one partition");
    return at + 8;
}

static void answer_put(struct relay *relay, struct end *end, const uint8_t *answer, size_t size)
{
    if (end->answers_used == 0)
        relay->answering[relay->answering_count++] = end;
    if (end->answers_used + size > ROOM)
        wire_die("too many answers at once");
    memcpy(end->answers + end->answers_used, answer, size);
    end->answers_used += size;
}

static void append(struct relay *relay)
{
    struct iovec pieces[PENDING_MAX];
    int count = 0;
    int64_t from = relay->appended;
    size_t wanted = (size_t)(relay->next_offset - from) * relay->batch;

    if (relay->next_offset == from)
        return;
    for (int64_t i = from; i < relay->next_offset; i++)
        pieces[count++] = (struct iovec){record_of(relay, i), relay->batch};
    if (pwritev(relay->file, pieces, count, from * (int64_t)relay->batch) != (ssize_t)wanted)
        wire_die_errno("append");
    if (relay->is_durable && fdatasync(relay->file) != 0)
        wire_die_errno("sync");
    relay->appended = relay->next_offset;
}

static void produce(struct relay *relay, struct end *end, int32_t correlation, const uint8_t *at)
{
    uint8_t answer[ANSWER_MAX], *to;
    size_t size;

    at = topic_take(relay, at + 2 + 2 + 4); /* transactional id, acks, time limit */
    size = wire_get(at, 4);
    if (relay->batch == 0) {
        relay->batch = size;
        relay->kept_count = KEPT / (int64_t)size;
    }
    if (size != relay->batch)
        wire_die("batches of several sizes");
    if (relay->next_offset - relay->appended == PENDING_MAX)
        append(relay);
    to = record_of(relay, relay->next_offset);
    memcpy(to, at + 4, size);
    relay->crc = crc32_iscsi(to + 21, (int)size - 21, ~0U) ^ ~0U;
    if (relay->crc != (uint32_t)wire_get(to + 17, 4))
        wire_die("a batch came changed");
    wire_put(to, (uint64_t)relay->next_offset, 8);

    to = wire_put(answer + 4, (uint32_t)correlation, 4);
    to = topic_put(relay, to);
    to = wire_put(to, 0, 2); /* error */
    to = wire_put(to, (uint64_t)relay->next_offset++, 8);
    to = wire_put(to, UINT64_MAX, 8); /* time of append */
    to = wire_put(to, 0, 4);          /* throttle */
    answer_put(relay, end, answer, wire_finish(answer, to));
}

static void fetch(struct relay *relay, struct end *end, int32_t correlation, const uint8_t *at)
{
    if (relay->reader != NULL)
        wire_die("more than one reader");
    at = topic_take(relay, at + 4 + 4 + 4 + 4 + 1); /* replica, wait, least, most, isolation */
    relay->reader = end;
    relay->reader_correlation = correlation;
    relay->reader_offset = (int64_t)wire_get(at, 8);
}

static void frame_take(struct relay *relay, struct end *end, const uint8_t *frame, size_t size)
{
    uint64_t api = wire_get(frame, 2);
    int32_t correlation = (int32_t)wire_get(frame + 4, 4);
    const uint8_t *at = frame + 10 + wire_get(frame + 8, 2); /* behind the client's name */
    uint8_t answer[16];

    if (size < 24 && api <= API_FETCH)
        wire_die("a frame that is too short");
    if (api == API_PRODUCE) {
        produce(relay, end, correlation, at);
    } else if (api == API_FETCH) {
        fetch(relay, end, correlation, at);
    } else { /* versions: no error, none of them; its client does not look */
        uint8_t *to = wire_put(answer + 4, (uint32_t)correlation, 4);

        to = wire_put(wire_put(to, 0, 2), 0, 4);
        answer_put(relay, end, answer, wire_finish(answer, to));
    }
}

/* ---- a turn ---- */

static void send_all(struct end *end, const uint8_t *bytes, size_t size)
{
    if (!wire_send(end->fd, bytes, size))
        wire_die("a client that is gone");
}

static void hand_over(struct relay *relay)
{
    static uint8_t answer[ANSWER_MAX + FETCH_MAX];
    int64_t from = relay->reader_offset, count = relay->appended - from;
    int64_t count_max = relay->batch > 0 ? FETCH_MAX / (int64_t)relay->batch : 0;
    bool is_kept = relay->next_offset - from <= relay->kept_count;
    struct end *reader = relay->reader;
    uint8_t *to = answer + 4;

    if (reader == NULL || count <= 0)
        return;
    count = count < count_max ? count : count_max;
    to = wire_put(to, (uint32_t)relay->reader_correlation, 4);
    to = wire_put(to, 0, 4); /* throttle */
    to = topic_put(relay, to);
    to = wire_put(to, 0, 2); /* error */
    to = wire_put(to, (uint64_t)relay->appended, 8);
    to = wire_put(to, (uint64_t)relay->appended, 8);
    to = wire_put(to, UINT32_MAX, 4); /* aborted transactions */
    to = wire_put(to, (uint64_t)count * relay->batch, 4);
    for (int64_t i = 0; is_kept && i < count; i++)
        to = wire_put_bytes(to, record_of(relay, from + i), relay->batch);
    if (!is_kept) {
        size_t size = (size_t)count * relay->batch;

        if (pread(relay->file, to, size, from * (int64_t)relay->batch) != (ssize_t)size)
            wire_die_errno("read");
        to += size;
    }
    relay->reader = NULL;
    send_all(reader, answer, wire_finish(answer, to));
}

static void answer_all(struct relay *relay)
{
    for (size_t i = 0; i < relay->answering_count; i++) {
        struct end *end = relay->answering[i];

        send_all(end, end->answers, end->answers_used);
        end->answers_used = 0;
    }
    relay->answering_count = 0;
}

static bool end_serve(struct relay *relay, struct end *end)
{
    size_t at = 0;
    ssize_t got = recv(end->fd, end->bytes + end->used, ROOM - end->used, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0)
        return false;
    end->used += (size_t)got;
    while (end->used - at >= 4 && end->used - at >= 4 + wire_get(end->bytes + at, 4)) {
        size_t size = wire_get(end->bytes + at, 4);

        frame_take(relay, end, end->bytes + at + 4, size);
        at += 4 + size;
    }
    memmove(end->bytes, end->bytes + at, end->used - at);
    end->used -= at;
    return true;
}

static void end_accept(struct relay *relay)
{
    struct end *end = wire_reserve(1, sizeof(*end));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};

    end->bytes = wire_reserve(1, ROOM);
    end->answers = wire_reserve(1, ROOM);
    end->fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
    if (end->fd < 0 || epoll_ctl(relay->epoll, EPOLL_CTL_ADD, end->fd, &event) != 0)
        wire_die_errno("accept");
    wire_no_delay(end->fd);
    relay->open++;
}

static void end_drop(struct relay *relay, struct end *end)
{
    close(end->fd);
    if (relay->reader == end)
        relay->reader = NULL;
    free(end->bytes);
    free(end->answers);
    free(end);
    relay->open--;
}

static void serve(struct relay *relay)
{
    bool was_open = false;

    while (!was_open || relay->open > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(relay->epoll, events, EVENTS, STALL_MS);

        if (ready <= 0 && errno != EINTR)
            wire_die("nothing came for 30 seconds");
        for (int i = 0; i < ready; i++) {
            struct end *end = events[i].data.ptr;

            if (end == NULL)
                end_accept(relay);
            else if (!end_serve(relay, end))
                end_drop(relay, end);
        }
        was_open |= relay->open > 0;
        append(relay);
        answer_all(relay);
        hand_over(relay);
    }
}

int main(int argc, char **argv)
{
    static struct relay relay;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN};
    socklen_t size = sizeof(address);
    char path[4096];

    if (argc != 3 || (strcmp(argv[2], "durable") != 0 && strcmp(argv[2], "page-cache") != 0)) {
        fprintf(stderr, "usage: floor-relay FOLDER page-cache|durable\n");
        return 2;
    }
    relay.is_durable = strcmp(argv[2], "durable") == 0;
    relay.kept = wire_reserve(1, KEPT);
    snprintf(path, sizeof(path), "%s/floor-relay", argv[1]);
    relay.file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (relay.file < 0)
        wire_die_errno(path);
    relay.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (relay.listener < 0 || relay.epoll < 0 ||
        bind(relay.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(relay.listener, ENDS_MAX) != 0 ||
        getsockname(relay.listener, (struct sockaddr *)&address, &size) != 0 ||
        epoll_ctl(relay.epoll, EPOLL_CTL_ADD, relay.listener, &event) != 0)
        wire_die_errno("listen");
    printf("127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(&relay);
    unlink(path);
    return 0;
}
