/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_socket.c: sockets as objects: listening, registering, closing, moving between ports.
 */
#include "os/real_internal.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static_assert(sizeof(struct real_socket) <= 40,
              "what each idle connection holds; with the heap's own 8 bytes it is a block of 48");

static struct real_socket *real_of(struct os_socket *socket)
{
    return CONTAINER_OF(socket, struct real_socket, base);
}

static void set_option(int fd, int level, int option, int value)
{
    /* None of the options set here is worth a connection. */
    int ignored = setsockopt(fd, level, option, &value, sizeof(value));

    UNUSED(ignored);
}

enum err socket_register(struct real_socket *socket, struct real_port *port)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = socket};

    if (epoll_ctl(port->epoll_fd, EPOLL_CTL_ADD, socket->fd, &event) < 0)
        return real_err(errno);
    return OK;
}

static size_t size_of(bool is_listening)
{
    return is_listening ? sizeof(struct real_listener) : sizeof(struct real_socket);
}

static struct real_listener *listener_of(struct real_socket *socket)
{
    ASSERT(socket->is_listening);
    return CONTAINER_OF(socket, struct real_listener, socket);
}

enum err socket_new(int fd, struct real_port *port, bool is_listening, struct real_socket **out)
{
    struct real_socket *socket = allocator_zeroed(&heap_allocator, size_of(is_listening));

    *out = NULL;
    if (!socket) {
        close(fd);
        return ERR_NO_MEMORY;
    }
    socket->base.table = &real_table;
    socket->fd = fd;
    socket->port = port;
    socket->may_read = true;
    socket->may_write = true;
    socket->is_listening = is_listening;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    *out = socket;
    return OK;
}

void socket_free(struct real_socket *socket)
{
    ASSERT(!socket->reads && !socket->writes);
    if (socket->is_paused)
        list_remove(&listener_of(socket)->paused_node);
    close(socket->fd); /* leaves the epoll set with its only descriptor */
    heap_allocator.release(&heap_allocator, socket, size_of(socket->is_listening));
}

void socket_pause(struct real_socket *socket, int64_t until_ns)
{
    struct real_listener *listener = listener_of(socket);

    ASSERT(!socket->is_paused);
    socket->is_paused = true;
    listener->until_ns = until_ns;
    list_push_back(&socket->port->paused, &listener->paused_node);
}

/* ---- listening ---- */

static enum err bind_and_listen(int fd, const struct address *address, int backlog)
{
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six =
            (const struct sockaddr_in6 *)(const void *)&address->storage;

        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) ? 0 : 1);
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size_bytes) < 0 ||
        listen(fd, backlog) < 0)
        return real_err(errno);
    return OK;
}

static enum err listen_on(struct real_port *port, const struct address *address, int backlog,
                          struct os_socket **out)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct real_socket *created;
    enum err err;

    if (fd < 0)
        return real_err(errno);
    err = bind_and_listen(fd, address, backlog);
    if (err != OK) {
        close(fd);
        return err;
    }
    TRY(socket_new(fd, port, true, &created));
    err = socket_register(created, port);
    if (err != OK) {
        socket_free(created);
        return err;
    }
    *out = &created->base;
    return OK;
}

/* A name may stand for several addresses; a listener gets one: IPv4 first, as a Java process would
 * choose, so that a configuration means the same here. */
static bool resolve_for_listen(const char *name, uint16_t port_number, struct address *out)
{
    struct address found[ADDRESSES_MAX];
    size_t count = address_resolve(name, port_number, found, ADDRESSES_MAX);

    for (size_t i = 0; i < count; i++) {
        if (found[i].storage.ss_family == AF_INET) {
            *out = found[i];
            return true;
        }
    }
    if (count > 0)
        *out = found[0];
    return count > 0;
}

enum err real_listen(struct os_port *base, const char *text, uint16_t port_number, int backlog,
                     struct os_socket **out)
{
    struct real_port *port = CONTAINER_OF(base, struct real_port, base);
    struct address address;
    enum err err;

    if (text[0] != '\0') {
        if (!address_parse(text, port_number, &address) &&
            !resolve_for_listen(text, port_number, &address))
            return ERR_ADDRESS;
        return listen_on(port, &address, backlog, out);
    }
    address_any(AF_INET6, port_number, &address);
    err = listen_on(port, &address, backlog, out);
    if (err != ERR_ADDRESS)
        return err;
    address_any(AF_INET, port_number, &address); /* a machine without IPv6 */
    return listen_on(port, &address, backlog, out);
}

/* ---- closing ---- */

static void cancel_all(struct real_port *port, struct list_node **ring)
{
    struct os_op *op;

    while ((op = ring_first(*ring)) != NULL) {
        ring_pop(ring);
        if (op->kind == OS_OP_SEND)
            list_remove(&progress_of(op)->again_node);
        port_complete(port, op, ERR_CANCELLED);
    }
}

static void socket_forget_reader(struct real_socket *socket)
{
    ASSERT(!socket->is_connecting);
    if (socket->is_awaited)
        socket->reads = NULL;
    socket->is_awaited = false;
}

void real_socket_close(struct os_socket *base, bool abort)
{
    struct real_socket *socket = real_of(base);

    if (socket->port) {
        socket_forget_reader(socket);
        cancel_all(socket->port, &socket->reads);
        cancel_all(socket->port, &socket->writes);
    }
    if (abort) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        int ignored = setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));

        UNUSED(ignored);
    }
    socket_free(socket);
}

/* ---- moving ---- */

void real_socket_detach(struct os_socket *base)
{
    struct real_socket *socket = real_of(base);

    ASSERT(socket->port != NULL);
    ASSERT(!socket->reads && !socket->writes && !socket->is_paused);
    if (!socket->is_broken)
        epoll_ctl(socket->port->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL);
    else
        socket->low_water_less_one = 0;
    socket->is_broken = false;
    socket->port = NULL;
}

void real_socket_attach(struct os_socket *base, struct os_port *port)
{
    struct real_socket *socket = real_of(base);
    enum err err;

    ASSERT(socket->port == NULL && !socket->is_broken);
    socket->port = CONTAINER_OF(port, struct real_port, base);
    socket->may_read = true;
    socket->may_write = true;
    err = socket_register(socket, socket->port);
    if (err == OK)
        return;
    set_option(socket->fd, SOL_SOCKET, SO_RCVLOWAT, 1); /* what was set is forgotten */
    socket->is_broken = true;
    socket->broken = (int16_t)err;
}

/* ---- questions ---- */

void real_socket_local_address(struct os_socket *base, struct os_address *out)
{
    struct address address = {.size_bytes = sizeof(address.storage)};

    if (getsockname(real_of(base)->fd, (struct sockaddr *)&address.storage, &address.size_bytes) ==
        0)
        address_format(&address, out);
}

void real_socket_peer_address(struct os_socket *base, struct os_address *out)
{
    struct address address = {.size_bytes = sizeof(address.storage)};

    if (getpeername(real_of(base)->fd, (struct sockaddr *)&address.storage, &address.size_bytes) ==
        0)
        address_format(&address, out);
}

void real_socket_set_buffers(struct os_socket *base, int send_bytes, int receive_bytes)
{
    if (send_bytes > 0)
        set_option(real_of(base)->fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
    if (receive_bytes > 0)
        set_option(real_of(base)->fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
}

bool real_socket_is_readable(struct os_socket *base)
{
    struct real_socket *socket = real_of(base);
    int queued_bytes = 0;

    if (socket->is_listening || ioctl(socket->fd, FIONREAD, &queued_bytes) < 0)
        return false;
    return queued_bytes > 0;
}
