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

static_assert(sizeof(struct real_socket) <= 104, "what each idle connection holds");

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

enum err socket_new(int fd, struct real_port *port, struct real_socket **out)
{
    struct real_socket *socket = ALLOCATOR_NEW(&heap_allocator, struct real_socket);

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
    socket->low_water_bytes = 1;
    list_init(&socket->reads);
    list_init(&socket->writes);
    list_init(&socket->again_node);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    *out = socket;
    return OK;
}

void socket_free(struct real_socket *socket)
{
    ASSERT(list_is_empty(&socket->reads) && list_is_empty(&socket->writes));
    list_remove(&socket->again_node);
    close(socket->fd); /* leaves the epoll set with its only descriptor */
    ALLOCATOR_DELETE(&heap_allocator, socket);
}

void socket_again(struct real_socket *socket, int64_t again_ns)
{
    list_remove(&socket->again_node);
    socket->again_ns = again_ns;
    list_push_back(&socket->port->again, &socket->again_node);
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
    TRY(socket_new(fd, port, &created));
    created->is_listening = true;
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

static void cancel_list(struct real_port *port, struct list_node *list)
{
    struct list_node *node;

    while ((node = list_pop_front(list)) != NULL)
        port_complete(port, LIST_ITEM(node, struct os_op, node), ERR_CANCELLED);
}

void real_socket_close(struct os_socket *base, bool abort)
{
    struct real_socket *socket = real_of(base);

    if (socket->port) {
        socket->reader = NULL;
        cancel_list(socket->port, &socket->reads);
        cancel_list(socket->port, &socket->writes);
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
    ASSERT(!socket->reader && list_is_empty(&socket->reads) && list_is_empty(&socket->writes));
    list_remove(&socket->again_node);
    socket->again_ns = 0;
    if (socket->broken == OK)
        epoll_ctl(socket->port->epoll_fd, EPOLL_CTL_DEL, socket->fd, NULL);
    socket->port = NULL;
}

void real_socket_attach(struct os_socket *base, struct os_port *port)
{
    struct real_socket *socket = real_of(base);

    ASSERT(socket->port == NULL);
    socket->port = CONTAINER_OF(port, struct real_port, base);
    socket->may_read = true;
    socket->may_write = true;
    socket->broken = socket_register(socket, socket->port);
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
