/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker cannot do without, for clients that speak Kafka's protocol: whatever is measured of a broker is
 * measured of it by the same client, which is what floor.c cannot offer.
 *
 *   floor_broker FOLDER os|durable FILES THREADS
 *       listens, and prints its port. A Produce is looked through once for its batches; each is appended to the file of
 *       its partition with one CRC pass, and answered with the number of earlier ones. durable: only when what was written is
 *       on the disk, by THREADS (0: the loop itself), as floor_log.h says. The end of a transaction is one
 *       record more in a file apart, answered like a Produce; its markers are written after the answer,
 *       and so is what says that all of them are. Partitions that a Produce (or, in the first protocol, a request apart) adds to
 *       a transaction are a record there too.
 *       Ends when standard input does.
 *
 * Nothing is validated, indexed, replicated, kept in order or checked for leadership, and nothing can be read. It promises
 * less than any broker may. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor_log.h"
#include "floor_protocol.h"
#include "floor_transaction.h"
#include "wire.h"

enum { EVENTS = 64, CONNECTIONS_MAX = 4096, FILES_MAX = 20000, THREADS_MAX = 64 };
enum { ROOM = 4 << 20, READ_BYTES = 65536, ANSWERS_MAX = 4096, OUT_ROOM = 65536 };
enum {
    STATE_BYTES = 150,
    MARKER_BYTES = 78
}; /* a record about a transaction, and a marker, with their batches */

struct answer {
    struct floor_wait wait;
    uint8_t *bytes;
    size_t size, room;
};

struct end { /* of a connection */
    int fd;
    size_t used;
    uint8_t *bytes;
    struct answer *answers; /* a ring: they leave in order */
    uint32_t head, tail;
    bool is_waiting;                 /* in `waiting`, for it has answers that have not left */
    struct floor_parts parts;        /* of the last request that has some */
    struct floor_transaction *ended; /* whose markers are owed; the answer has to leave first */
};

struct broker {
    struct floor_log *log;
    uint32_t partitions; /* files but the last, which is the coordinator's */
    int listener, epoll;
    uint16_t port;
    struct end **waiting;
    uint32_t waiting_count;
};

static const uint8_t filler[STATE_BYTES];

static struct answer *answer_new(struct end *end, size_t room)
{
    struct answer *answer = &end->answers[end->head % ANSWERS_MAX];

    if (end->head - end->tail == ANSWERS_MAX)
        wire_die("too many requests on one connection");
    end->head++;
    if (answer->room < room) {
        free(answer->bytes);
        answer->bytes = wire_reserve(1, room);
        answer->room = room;
    }
    answer->wait.files = 0;
    return answer;
}

/* ---- requests ---- */

static void state_append(struct broker *broker, struct floor_wait *wait)
{
    floor_log_append(broker->log, broker->partitions, filler, STATE_BYTES, wait);
}

/* What says which partitions a transaction has, if some are new. */
static void parts_add(struct broker *broker, struct end *end, uint64_t producer_id,
                      struct floor_wait *wait)
{
    struct floor_transaction *transaction = floor_transaction_of(producer_id);
    bool is_new = false;

    for (uint32_t i = 0; i < end->parts.count; i++)
        is_new |= floor_transaction_add(transaction, end->parts.all[i].partition);
    if (is_new)
        state_append(broker, wait);
}

static void produce(struct broker *broker, struct end *end, const struct floor_request *request)
{
    struct answer *answer;
    struct floor_parts *parts = &end->parts;

    floor_produce_read(request, parts);
    answer = answer_new(end, floor_produce_room(parts));
    for (uint32_t i = 0; i < parts->count; i++) {
        struct floor_part *part = &parts->all[i];

        part->offset = floor_log_append(broker->log, part->partition % broker->partitions,
                                        part->bytes, part->size, &answer->wait);
    }
    if (parts->producer_id > 0)
        parts_add(broker, end, parts->producer_id, &answer->wait);
    answer->size = floor_produce_answer(request, parts, answer->bytes);
}

static void partitions_add(struct broker *broker, struct end *end,
                           const struct floor_request *request)
{
    uint64_t producer_id = floor_transaction_read(request, &end->parts);
    struct answer *answer = answer_new(end, floor_produce_room(&end->parts));

    parts_add(broker, end, producer_id, &answer->wait);
    answer->size = floor_added_answer(request, &end->parts, answer->bytes);
}

/* The end is followed by the next epoch, as the second protocol wants it. */
static void producer_answer(struct broker *broker, struct end *end,
                            const struct floor_request *request)
{
    bool is_end = request->api == FLOOR_END_TXN;
    struct answer *answer = answer_new(end, FLOOR_ANSWER_ROOM);
    struct floor_transaction *transaction =
        is_end ? floor_transaction_of(floor_transaction_read(request, &end->parts))
               : floor_transaction_new();

    if (is_end) {
        if (end->ended != NULL)
            wire_die("two ends at once on a connection");
        state_append(broker, &answer->wait);
        transaction->epoch = (uint16_t)((transaction->epoch + 1U) & INT16_MAX);
        end->ended = transaction;
    }
    answer->size = floor_producer_answer(
        request, &(struct floor_producer){transaction->producer_id, transaction->epoch},
        answer->bytes);
}

static void request_take(struct broker *broker, struct end *end, const uint8_t *body, size_t size)
{
    struct floor_request request;
    struct answer *answer;

    floor_request_read(&request, body, size);
    switch (request.api) {
    case FLOOR_PRODUCE:
        produce(broker, end, &request);
        break;
    case FLOOR_ADD_PARTITIONS:
        partitions_add(broker, end, &request);
        break;
    case FLOOR_INIT_PRODUCER_ID:
    case FLOOR_END_TXN:
        producer_answer(broker, end, &request);
        break;
    default:
        answer = answer_new(end, FLOOR_ANSWER_ROOM);
        answer->size = floor_answer(&request, broker->port, broker->partitions, answer->bytes);
    }
}

static bool end_read(struct broker *broker, struct end *end)
{
    size_t room = READ_BYTES, at = 0;
    ssize_t got;

    if (end->used >= 4 && wire_get(end->bytes, 4) + 4 - end->used > READ_BYTES)
        room =
            wire_get(end->bytes, 4) + 4 - end->used; /* no byte behind it, so that none is moved */
    if (room > ROOM - end->used)
        wire_die("a frame that is too long");
    got = recv(end->fd, end->bytes + end->used, room, 0);
    if (got <= 0)
        return false;
    end->used += (size_t)got;
    while (end->used - at >= 4 && end->used - at - 4 >= wire_get(end->bytes + at, 4)) {
        size_t size = wire_get(end->bytes + at, 4);

        request_take(broker, end, end->bytes + at + 4, size);
        at += 4 + size;
    }
    if (at > 0)
        memmove(end->bytes, end->bytes + at, end->used - at);
    end->used -= at;
    if (end->head != end->tail && !end->is_waiting) {
        end->is_waiting = true;
        broker->waiting[broker->waiting_count++] = end;
    }
    return true;
}

/* ---- answers ---- */

static void send_all(struct end *end, const uint8_t *bytes, size_t size)
{
    if (size > 0 && !wire_send(end->fd, bytes, size))
        wire_die_errno("send");
}

/* What nobody waits for: the next sync of each file takes it along. */
static void markers_append(struct broker *broker, struct end *end)
{
    for (uint32_t i = 0; i < end->ended->count; i++)
        floor_log_append(broker->log, end->ended->partitions[i] % broker->partitions, filler,
                         MARKER_BYTES, NULL);
    state_append(broker, NULL);
    end->ended->count = 0;
    end->ended = NULL;
}

/* False: some have to wait on. */
static bool answers_send(struct broker *broker, struct end *end)
{
    static uint8_t out[OUT_ROOM];
    size_t used = 0;

    for (; end->tail != end->head; end->tail++) {
        const struct answer *answer = &end->answers[end->tail % ANSWERS_MAX];

        if (answer->wait.files > 0)
            break;
        if (used + answer->size > OUT_ROOM) {
            send_all(end, out, used);
            used = 0;
        }
        if (answer->size > OUT_ROOM) {
            send_all(end, answer->bytes, answer->size);
            continue;
        }
        memcpy(out + used, answer->bytes, answer->size);
        used += answer->size;
    }
    send_all(end, out, used);
    if (end->tail != end->head)
        return false;
    if (end->ended != NULL)
        markers_append(broker, end);
    return true;
}

static void turn_end(struct broker *broker)
{
    bool again;

    do {
        uint32_t kept = 0;

        again = floor_log_turn(broker->log);
        for (uint32_t i = 0; i < broker->waiting_count; i++) {
            struct end *end = broker->waiting[i];

            end->is_waiting = end->fd >= 0 && !answers_send(broker, end);
            if (end->is_waiting)
                broker->waiting[kept++] = end;
        }
        broker->waiting_count = kept;
    } while (again);
}

/* ---- the loop ---- */

static void watch(struct broker *broker, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    if (epoll_ctl(broker->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        wire_die_errno("epoll");
}

static void end_open(struct broker *broker)
{
    struct end *end = wire_reserve(1, sizeof(*end));

    end->bytes = malloc(ROOM); /* pages that are never touched cost nothing */
    end->answers = wire_reserve(ANSWERS_MAX, sizeof(*end->answers));
    end->fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC);
    if (end->bytes == NULL || end->fd < 0)
        wire_die_errno("accept");
    wire_no_delay(end->fd);
    watch(broker, end->fd, end);
}

/* Syncs may still count for it, so that it stays. */
static void end_close(struct end *end)
{
    close(end->fd);
    end->fd = -1;
}

static void serve(struct broker *broker)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(broker->epoll, events, EVENTS, -1);

        for (int i = 0; i < ready; i++) {
            void *what = events[i].data.ptr;

            if (what == NULL)
                return; /* standard input has ended */
            if (what == &broker->listener)
                end_open(broker);
            else if (what != broker->log && !end_read(broker, what))
                end_close(what);
        }
        turn_end(broker);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_size = sizeof(address);
    uint32_t files = argc == 5 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    uint32_t threads = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    struct broker broker = {.partitions = files};

    if (files - 1 >= FILES_MAX || threads > THREADS_MAX) {
        fprintf(stderr, "usage: floor_broker FOLDER os|durable FILES THREADS\n");
        return 2;
    }
    broker.log = floor_log_new(argv[1], files + 1, strcmp(argv[2], "durable") == 0, threads);
    broker.waiting = wire_reserve(CONNECTIONS_MAX, sizeof(struct end *));
    broker.epoll = epoll_create1(EPOLL_CLOEXEC);
    broker.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (broker.epoll < 0 || broker.listener < 0 ||
        bind(broker.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(broker.listener, CONNECTIONS_MAX) != 0 ||
        getsockname(broker.listener, (struct sockaddr *)&address, &address_size) != 0)
        wire_die_errno("listen");
    broker.port = ntohs(address.sin_port);
    watch(&broker, broker.listener, &broker.listener);
    watch(&broker, STDIN_FILENO, NULL);
    if (floor_log_event(broker.log) >= 0)
        watch(&broker, floor_log_event(broker.log), broker.log);
    printf("%u\n", broker.port);
    fflush(stdout);
    serve(&broker);
    return 0;
}
