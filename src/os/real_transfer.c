/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_transfer.c: accepting, receiving and sending. Each direction of a socket has a queue; its
 * first operation is tried at once when the kernel has not said EAGAIN since the last event.
 */
#include "os/real_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* A peer that reads as fast as we send must not keep the shard from everybody else. */
#define SEND_BYTES_PER_TURN (1 * MIB)
/* Without free descriptors a listener would be ready for ever. */
#define ACCEPT_PAUSE_NS ((int64_t)100 * 1000000)
#define LOW_WATER_BYTES_MIN (16 * KIB)
#define LOW_WATER_BYTES_MAX (64 * KIB)
/* Descriptors that connections leave to files, but at most half of all: a segment that cannot be opened takes
 * its directory down, a client that waits in the backlog loses nothing. */
#define DESCRIPTORS_FOR_FILES 2048
/* The kernel gives out the lowest free descriptor, so the one of the last connection tells how many are left. Only
 * when they climb by so many is it asked. */
#define DESCRIPTORS_UNLOOKED 64

static void finish_read(struct real_socket *socket, struct os_op *op, enum err err)
{
    ring_pop(&socket->reads); /* it is the first */
    port_complete(socket->port, op, err);
}

/* ---- accept ---- */

static enum err accepted_new(struct real_port *port, int fd, struct os_op *op)
{
    struct real_socket *accepted;
    enum err err;

    TRY(socket_new(fd, port, false, &accepted));
    err = socket_register(accepted, port);
    if (err != OK) {
        socket_free(accepted);
        return err;
    }
    op->accepted = &accepted->base;
    return OK;
}

/* Errors of one connection that went away again, or of the network below it (accept(2)). */
static bool is_transient(int error_number)
{
    switch (error_number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: /* a firewall rule */
        return true;
    default:
        return false;
    }
}

/* Would the next descriptor be one of those that are for files? The limit may have been changed from outside. */
static bool descriptors_are_short(const struct real_socket *listener)
{
    struct rlimit limit;
    rlim_t for_files;
    int lowest_free;

    if (listener->port->accept_below_fd > 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return false;
    lowest_free = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    if (lowest_free < 0)
        return true;
    close(lowest_free);
    for_files = limit.rlim_cur - MIN(limit.rlim_cur / 2, (rlim_t)DESCRIPTORS_FOR_FILES);
    if ((rlim_t)lowest_free >= for_files)
        return true;
    listener->port->accept_below_fd =
        (int)MIN(for_files, (rlim_t)lowest_free + DESCRIPTORS_UNLOOKED);
    return false;
}

static bool is_anybody_waiting(int listener_fd)
{
    struct pollfd waiting = {.fd = listener_fd, .events = POLLIN};

    return poll(&waiting, 1, 0) > 0;
}

/* False: nothing more to do before the next event or the end of a pause. */
static bool try_accept(struct real_socket *socket, struct os_op *op)
{
    int fd = -1;
    enum err err;

    if (!descriptors_are_short(socket) || !is_anybody_waiting(socket->fd))
        fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    else
        errno = EMFILE;
    if (fd + 1 >= socket->port->accept_below_fd || (fd < 0 && errno != EAGAIN))
        socket->port->accept_below_fd = 0;
    if (fd >= 0) {
        finish_read(socket, op, accepted_new(socket->port, fd, op));
        return true;
    }
    if (is_transient(errno))
        return true;
    if (errno == EAGAIN) {
        socket->may_read = false;
        return false;
    }
    err = real_err(errno);
    finish_read(socket, op, err);
    /* The owner hears of it and asks again; we wait, for connections stay in the backlog. */
    socket_pause(socket, real_now_ns(socket->port->base.os) + ACCEPT_PAUSE_NS);
    return false;
}

/* ---- receive ---- */

static bool try_receive(struct real_socket *socket, struct os_op *op)
{
    ssize_t got = recv(socket->fd, op->buffer, op->size_bytes, MSG_DONTWAIT);

    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN) {
        socket->may_read = false;
        return false;
    }
    if (got < 0) {
        finish_read(socket, op, real_err(errno));
        return true;
    }
    /* A short answer has emptied the queue; what comes later is another event. */
    if (got > 0 && (size_t)got < op->size_bytes && !socket->has_hang_up)
        socket->may_read = false;
    op->result = got;
    finish_read(socket, op, OK);
    return true;
}

/* The rest of a large frame is received in few pieces: being woken costs more than copying some thousands of bytes,
 * and a sender that is faster than the link would wake us for each of its packets. The kernel wakes us earlier when
 * its buffer is full, the window closes or the peer has gone. */
static void low_water_set(struct real_socket *socket, size_t useful)
{
    int bytes = useful < LOW_WATER_BYTES_MIN ? 1 : (int)MIN(useful, LOW_WATER_BYTES_MAX);

    if (bytes - 1 == socket->low_water_less_one)
        return;
    socket->low_water_less_one = (uint16_t)(bytes - 1);
    (void)setsockopt(socket->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* NULL: its owner has no memory for one. */
static struct os_op *reader_begin(struct real_socket *socket)
{
    struct os_reader *reader = TAKE(socket->reader);
    struct os_op *op;

    socket->is_awaited = false;
    op = reader->calls->begin(reader);
    if (!op)
        return NULL;
    ASSERT(op->kind == OS_OP_RECEIVE && op->size_bytes > 0);
    os_op_prepare(op, &socket->port->base);
    socket->port->ops_under_way++;
    ring_push(&socket->reads, op);
    return op;
}

static void reader_wait_on(struct real_socket *socket, struct os_reader *reader, struct os_op *op)
{
    ring_pop(&socket->reads);
    socket->port->ops_under_way--;
    socket->reader = reader;
    socket->is_awaited = true;
    reader->calls->undo(reader, op);
}

static size_t useful_bytes(const struct os_op *op)
{
    return op->kind == OS_OP_RECEIVE ? op->useful_bytes : 1;
}

void socket_drive_reads(struct real_socket *socket)
{
    struct os_reader *reader = socket->is_awaited ? socket->reader : NULL;
    struct os_op *op;

    while (socket->may_read && !socket->is_paused &&
           (op = socket->is_awaited ? reader_begin(socket) : ring_first(socket->reads)) != NULL) {
        if (!(op->kind == OS_OP_ACCEPT ? try_accept(socket, op) : try_receive(socket, op)))
            break;
    }
    if (socket->may_read)
        return;
    op = socket->is_awaited ? NULL : ring_first(socket->reads);
    if (op && reader)
        reader_wait_on(socket, reader, TAKE(op));
    if (op || socket->is_awaited)
        low_water_set(socket, op ? useful_bytes(op) : 1);
}

void real_socket_await(struct os_socket *base, struct os_reader *reader)
{
    struct real_socket *socket = CONTAINER_OF(base, struct real_socket, base);

    ASSERT(socket->port && !socket->is_listening);
    ASSERT(!socket->reads);
    socket->reader = reader;
    socket->is_awaited = true;
    if (!socket->is_broken) {
        socket_drive_reads(socket);
    } else {
        struct os_op *op = reader_begin(socket);

        if (op)
            finish_read(socket, op, (enum err)socket->broken);
    }
}

/* ---- send ---- */

static_assert(sizeof(struct send_progress) <= sizeof(((struct os_op *)0)->private_words),
              "the progress fits into the operation");

static void finish_send(struct real_socket *socket, struct os_op *op, enum err err)
{
    ring_pop(&socket->writes); /* it is the first */
    list_remove(&progress_of(op)->again_node);
    port_complete(socket->port, op, err);
}

/* One sendmsg; *sent_bytes_out tells the fairness count. */
static bool try_send(struct real_socket *socket, struct os_op *op, size_t *sent_bytes_out)
{
    struct send_progress *progress = progress_of(op);
    struct iovec vectors[VECTORS_MAX];
    struct msghdr message = {.msg_iov = vectors};
    ssize_t put;

    *sent_bytes_out = 0;
    message.msg_iovlen = vectors_fill(vectors, VECTORS_MAX, op->slices, op->slice_count,
                                      progress->index, progress->offset);
    if (message.msg_iovlen == 0) {
        finish_send(socket, op, OK);
        return true;
    }
    put = sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR)
        return true;
    if (put < 0 && errno == EAGAIN) {
        socket->may_write = false;
        return false;
    }
    if (put < 0) {
        finish_send(socket, op, real_err(errno));
        return true;
    }
    *sent_bytes_out = (size_t)put;
    op->result += put;
    vectors_advance(op->slices, op->slice_count, &progress->index, &progress->offset, (size_t)put);
    if (progress->index == op->slice_count)
        finish_send(socket, op, OK);
    return true;
}

void socket_drive_writes(struct real_socket *socket)
{
    size_t sent_bytes = 0;
    struct os_op *op;

    while (socket->may_write && (op = ring_first(socket->writes)) != NULL) {
        size_t now_bytes;

        if (sent_bytes >= SEND_BYTES_PER_TURN) {
            if (list_is_empty(&progress_of(op)->again_node))
                list_push_back(&socket->port->again, &progress_of(op)->again_node);
            return;
        }
        if (!try_send(socket, op, &now_bytes))
            return;
        sent_bytes += now_bytes;
    }
}

/* ---- in ---- */

void socket_on_events(struct real_socket *socket, uint32_t events)
{
    if (socket->is_connecting) {
        connect_on_event(socket);
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        socket->has_hang_up = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        socket->may_read = true;
        socket_drive_reads(socket);
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        socket->may_write = true;
        socket_drive_writes(socket);
    }
}

void socket_submit(struct real_port *port, struct os_op *op)
{
    struct real_socket *socket = CONTAINER_OF(op->socket, struct real_socket, base);

    ASSERT(socket->port == port);
    ASSERT((op->kind == OS_OP_ACCEPT) == socket->is_listening);
    ASSERT(op->kind != OS_OP_RECEIVE || (op->size_bytes > 0 && !socket->is_awaited));
    if (socket->is_broken) {
        port_complete(port, op, (enum err)socket->broken);
        return;
    }
    if (op->kind == OS_OP_SEND) {
        *progress_of(op) = (struct send_progress){0};
        list_init(&progress_of(op)->again_node);
        ring_push(&socket->writes, op);
        if (ring_first(socket->writes) == op)
            socket_drive_writes(socket);
    } else {
        ring_push(&socket->reads, op);
        if (ring_first(socket->reads) == op)
            socket_drive_reads(socket);
    }
}
