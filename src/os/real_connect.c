/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_connect.c: outgoing connections: resolve where the address is a name, then try one
 * address after the other.
 *
 *   numeric ───────────────────────────┐
 *   name ──► name pool ──► addresses ──┴─► connect ──► connected: done
 *                │             ▲             │
 *                └► none: done └── refused ◄─┘  none left: done with the last error
 *
 * The lookup owns itself: getaddrinfo cannot be interrupted, so a port that goes down lets it run
 * and only forgets it. `op` and `has_arrived` of a lookup are guarded by the name pool's mutex.
 */
#include "os/real_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* 1 + 2 + 4 + 8 + 16 s of waiting for an answer; the owner's own timeouts are shorter. */
#define SYN_RETRIES 4

struct lookup {
    struct pool_task task;
    struct pool *pool;
    struct os_op *op; /* NULL: nobody waits any more */
    bool has_arrived;
    uint16_t port_number;
    size_t count;
    struct address addresses[ADDRESSES_MAX];
    size_t size_bytes; /* of this allocation */
    char name[];
};

struct real_connect {
    struct list_node node; /* in port->connects */
    struct real_port *port;
    struct os_op *op;
    struct lookup *lookup;      /* while one is under way */
    struct real_socket *socket; /* while one is being connected */
    bool is_cancelled;
    size_t index;
    size_t count;
    struct address addresses[ADDRESSES_MAX];
};

struct connect_private {
    struct real_connect *connect;
};

static struct connect_private *private_of(struct os_op *op)
{
    return (struct connect_private *)(void *)op->private_words;
}

static void finish(struct real_connect *connect, enum err err)
{
    struct os_op *op = connect->op;

    if (connect->socket) {
        connect->socket->connect = NULL;
        connect->socket->is_connecting = false;
        if (err == OK)
            op->accepted = &connect->socket->base;
        else
            socket_free(connect->socket);
    }
    list_remove(&connect->node);
    port_complete(connect->port, op, err);
    ALLOCATOR_DELETE(&heap_allocator, connect);
}

/* ---- one address ---- */

/* A port of the ephemeral range without a listener can be connected to itself by chance: the
 * kernel's simultaneous open. Nobody wants that. */
static bool is_self_connected(int fd)
{
    struct address local = {.size_bytes = sizeof(local.storage)};
    struct address peer = {.size_bytes = sizeof(peer.storage)};

    return getsockname(fd, (struct sockaddr *)&local.storage, &local.size_bytes) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer.storage, &peer.size_bytes) == 0 &&
           address_equal(&local, &peer);
}

/* 0, EINPROGRESS or an error number. */
static int connect_native(int fd, const struct address *address)
{
    if (connect(fd, (const struct sockaddr *)&address->storage, address->size_bytes) == 0)
        return 0;
    return errno == EINTR ? EINPROGRESS : errno; /* interrupted: it goes on all the same */
}

/* OK: connected or under way; connect->socket tells. */
static enum err start_one(struct real_connect *connect, bool *is_connected_out)
{
    const struct address *address = &connect->addresses[connect->index];
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int retries = SYN_RETRIES;
    int result;
    enum err err;

    if (fd < 0)
        return real_err(errno);
    TRY(socket_new(fd, connect->port, false, &connect->socket));
    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries));
    result = connect_native(fd, address);
    *is_connected_out = result == 0;
    if (result != 0 && result != EINPROGRESS)
        err = real_err(result);
    else if (result == 0 && is_self_connected(fd))
        err = ERR_CONNECTION;
    else /* not before connect: an unconnected socket counts as hung up */
        err = socket_register(connect->socket, connect->port);
    if (err != OK) {
        socket_free(connect->socket);
        connect->socket = NULL;
        return err;
    }
    connect->socket->connect = connect;
    connect->socket->is_connecting = true;
    return OK;
}

/* From connect->index on. */
static void try_addresses(struct real_connect *connect)
{
    enum err err = ERR_ADDRESS;

    for (; connect->index < connect->count; connect->index++) {
        bool is_connected = false;

        err = start_one(connect, &is_connected);
        if (err != OK)
            continue;
        if (is_connected)
            finish(connect, OK);
        return;
    }
    finish(connect, err);
}

void connect_on_event(struct real_socket *socket)
{
    struct real_connect *connect = socket->connect;
    struct address peer = {.size_bytes = sizeof(peer.storage)};
    int error_number = 0;
    socklen_t size_bytes = sizeof(error_number);

    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error_number, &size_bytes) < 0)
        error_number = errno;
    if (error_number == 0) {
        if (getpeername(socket->fd, (struct sockaddr *)&peer.storage, &peer.size_bytes) < 0)
            return; /* not yet */
        if (!is_self_connected(socket->fd)) {
            finish(connect, OK);
            return;
        }
        error_number = ECONNREFUSED;
    }
    connect->socket = NULL;
    socket->connect = NULL;
    socket->is_connecting = false;
    socket_free(socket);
    connect->index++;
    if (connect->index < connect->count)
        try_addresses(connect);
    else
        finish(connect, real_err(error_number));
}

/* ---- names ---- */

static void lookup_run(struct pool_task *task)
{
    struct lookup *lookup = CONTAINER_OF(task, struct lookup, task);
    struct pool *pool = lookup->pool;

    lookup->count =
        address_resolve(lookup->name, lookup->port_number, lookup->addresses, ADDRESSES_MAX);
    pthread_mutex_lock(&pool->mutex);
    if (lookup->op) {
        struct real_port *port = CONTAINER_OF(lookup->op->port, struct real_port, base);

        lookup->has_arrived = true; /* and from now on it is the owner's */
        port_arrive(port, lookup->op);
    } else {
        heap_allocator.release(&heap_allocator, lookup, lookup->size_bytes);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static enum err lookup_start(struct real_connect *connect, const char *name, uint16_t port_number)
{
    struct pool *pool = &port_real_os(connect->port)->name_pool;
    size_t name_bytes = strlen(name) + 1;
    size_t size_bytes = sizeof(struct lookup) + name_bytes;
    struct lookup *lookup = allocator_zeroed(&heap_allocator, size_bytes);
    enum err err;

    if (!lookup)
        return ERR_NO_MEMORY;
    lookup->task.run = lookup_run;
    lookup->pool = pool;
    lookup->op = connect->op;
    lookup->port_number = port_number;
    lookup->size_bytes = size_bytes;
    memcpy(lookup->name, name, name_bytes);
    connect->lookup = lookup;
    err = pool_submit(pool, &lookup->task);
    if (err != OK) {
        connect->lookup = NULL;
        heap_allocator.release(&heap_allocator, lookup, size_bytes);
    }
    return err;
}

bool connect_is_resolving(const struct os_op *op)
{
    return op->kind == OS_OP_CONNECT;
}

void connect_on_resolved(struct os_op *op)
{
    struct real_connect *connect = private_of(op)->connect;
    struct lookup *lookup = TAKE(connect->lookup);

    connect->count = lookup->count;
    memcpy(connect->addresses, lookup->addresses, sizeof(connect->addresses));
    heap_allocator.release(&heap_allocator, lookup, lookup->size_bytes);
    if (connect->is_cancelled)
        finish(connect, ERR_CANCELLED);
    else
        try_addresses(connect);
}

/* ---- in and out ---- */

void connect_submit(struct real_port *port, struct os_op *op)
{
    struct real_connect *connect = ALLOCATOR_NEW(&heap_allocator, struct real_connect);
    enum err err;

    if (!connect) {
        port_complete(port, op, ERR_NO_MEMORY);
        return;
    }
    connect->port = port;
    connect->op = op;
    private_of(op)->connect = connect;
    list_push_back(&port->connects, &connect->node);
    if (address_parse(op->address, op->port_number, &connect->addresses[0])) {
        connect->count = 1;
        try_addresses(connect);
        return;
    }
    err = lookup_start(connect, op->address, op->port_number);
    if (err != OK)
        finish(connect, err);
}

/* False: too late, the operation is among the port's arrived ones. */
static bool forget_lookup(struct lookup *lookup)
{
    struct pool *pool = lookup->pool;
    bool has_arrived;

    pthread_mutex_lock(&pool->mutex);
    has_arrived = lookup->has_arrived;
    lookup->op = NULL;
    pthread_mutex_unlock(&pool->mutex);
    return !has_arrived;
}

void connect_cancel_all(struct real_port *port)
{
    LIST_EACH_SAFE (node, &port->connects) {
        struct real_connect *connect = LIST_ITEM(node, struct real_connect, node);

        if (connect->lookup && !forget_lookup(connect->lookup)) {
            connect->is_cancelled = true;
            continue;
        }
        connect->lookup = NULL;
        finish(connect, ERR_CANCELLED);
    }
}
