/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_internal.h: the real machine: Linux, epoll, a few pool threads. docs/design/os.md.
 *
 * Threads  A port, its sockets and all lists in them belong to the thread that polls the port. Two
 *          things are shared: `arrived` (operations that the pools finished; a lock-free stack) and
 *          `state` (is the owner asleep?). A pool has one mutex for its queue.
 */
#ifndef OS_REAL_INTERNAL_H
#define OS_REAL_INTERNAL_H

#include "os/os_internal.h"

#include "base/allocator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* ---- threads that block ---- */
struct pool_task {
    struct list_node node;
    void (*run)(struct pool_task *task);
};

struct pool_thread;

struct pool {
    pthread_mutex_t mutex;
    struct list_node queue; /* tasks for which no thread was idle */
    struct list_node idle;  /* threads, in front the one that worked last: its caches are warm */
    struct pool_thread *threads;
    int thread_count; /* started; they live as long as the pool */
    int thread_count_max;
    bool is_stopping;
    const char *name;
};

/* Starts no thread: pool_submit does, when no thread is idle. */
MUST_USE enum err pool_init(struct pool *pool, const char *name, int thread_count_max);
/* Runs what is queued, then ends the threads. */
void pool_fini(struct pool *pool);
/* Makes sure that there is a thread at all. */
MUST_USE enum err pool_start(struct pool *pool);
/* A pool without a thread that cannot start one gives an error; else the task will run. */
MUST_USE enum err pool_submit(struct pool *pool, struct pool_task *task);

/* Starts a thread with a small stack that takes no signals. */
MUST_USE enum err thread_create(const char *name, void *(*run)(void *context), void *context,
                                pthread_t *out);

/* ---- the machine ---- */
struct signals {
    pthread_t thread;
    bool is_running;
    int signal_fd;
    int stop_fd;
    sigset_t mask_before;
    void (*notify)(void *context, int signal);
    void *context;
};

struct real_os {
    struct os base;
    struct pool file_pool; /* calls that wait for a disk */
    struct pool job_pool; /* OS_OP_JOB: may compute for long, so that syncs must not queue behind */
    struct pool name_pool; /* getaddrinfo: may wait for many seconds */
    struct signals signals;
};

extern const struct os_table real_table;

int64_t real_now_ns(struct os *os);
enum err real_err(int error_number);
/* Of a sync: it may have dropped pages, whatever it failed for, so nothing says that it may be tried again. */
enum err real_sync_err(int error_number);

/* ---- files ---- */
struct real_file {
    struct os_file base;
    int fd;
    atomic_bool is_direct;
    atomic_bool has_no_nowait;        /* RWF_NOWAIT is refused by this file system */
    _Atomic int64_t slow_until_ns;    /* writes go through the pool until then */
    _Atomic int64_t watched_until_ns; /* the sleeps of writes are counted until then */
};

enum err real_file_open(struct os *os, const char *path, unsigned flags, struct os_file **out);
void real_file_close(struct os_file *file);
enum err real_file_read(struct os_file *file, void *buffer, size_t size_bytes,
                        int64_t position_bytes, size_t *read_bytes_out);
enum err real_file_write(struct os_file *file, const struct slice *slices, size_t count,
                         int64_t position_bytes);
enum err real_file_sync(struct os_file *file);
enum err real_file_truncate(struct os_file *file, int64_t size_bytes);
enum err real_file_reserve(struct os_file *file, int64_t position_bytes, int64_t size_bytes);
enum err real_file_size(struct os_file *file, int64_t *size_bytes_out);
enum err real_file_lock(struct os_file *file);
/* Does a read or write here and now when that cannot take long; false: ask the pool. */
bool real_file_try_now(struct os *os, struct os_op *op);

enum err real_stat(struct os *os, const char *path, struct os_stat *out);
enum err real_list(struct os *os, const char *path, struct arena *arena, struct os_names *out);
enum err real_make_directory(struct os *os, const char *path);
enum err real_sync_directory(struct os *os, const char *path);
enum err real_rename(struct os *os, const char *from, const char *to);
enum err real_unlink(struct os *os, const char *path);
enum err real_remove_directory(struct os *os, const char *path);
enum err real_disk_space(struct os *os, const char *path, int64_t *free_bytes_out,
                         int64_t *total_bytes_out);

/* Fills at most `capacity` vectors from slices[*index], of which *offset bytes are done; returns
 * the number of vectors. Empty slices are left out. */
size_t vectors_fill(struct iovec *vectors, size_t capacity, const struct slice *slices,
                    size_t count, size_t index, size_t offset);
/* Moves (*index, *offset) on by size_bytes and past empty slices. */
void vectors_advance(const struct slice *slices, size_t count, size_t *index, size_t *offset,
                     size_t size_bytes);
#define VECTORS_MAX 128 /* below IOV_MAX, and small enough for a pool thread's stack */

/* ---- ports ---- */
enum port_state { PORT_AWAKE, PORT_ASLEEP, PORT_NOTIFIED };

struct real_port {
    struct os_port base;
    int epoll_fd;
    int event_fd;
    bool has_no_pwait2;
    atomic_int state;
    _Atomic(struct list_node *) arrived; /* os_op.node, linked by `next`, newest first */
    atomic_int deliverers;               /* pool threads inside port_arrive */
    struct list_node completed;          /* os_op.node; `done` is called in the next poll */
    struct list_node again;    /* send_progress.again_node: to be tried without an event */
    struct list_node paused;   /* real_listener.paused_node */
    struct list_node connects; /* real_connect.node */
    size_t ops_under_way;
    unsigned unlooked; /* polls in a row that did not ask the kernel */
    int accept_below_fd; /* descriptors below this one may be accepted; 0: look first how many are left */
};

enum err real_port_create(struct os *os, struct os_port **out);
void real_port_release(struct os_port *port);
void real_port_submit(struct os_port *port, struct os_op *op);
size_t real_port_poll(struct os_port *port, int64_t deadline_ns);
void real_port_wake(struct os_port *port);
void real_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context);
void real_port_set_deadline(struct os_port *port, int64_t deadline_ns);

/* Owner thread: `done` is due in the next poll. */
void port_complete(struct real_port *port, struct os_op *op, enum err err);
/* Any thread: the same. */
void port_arrive(struct real_port *port, struct os_op *op);

static inline struct real_os *port_real_os(struct real_port *port)
{
    return CONTAINER_OF(port->base.os, struct real_os, base);
}

/* ---- sockets ---- */
struct real_connect;
/* Its bytes are counted: every idle connection holds one. */
struct real_socket {
    struct os_socket base;
    struct real_port *port; /* NULL: detached */
    int fd;
    union {
        uint16_t low_water_less_one; /* SO_RCVLOWAT, less 1: an event is worth as many bytes */
        int16_t broken;              /* is_broken: the enum err that every operation gets */
    };
    bool is_listening : 1;
    bool may_read : 1;      /* no EAGAIN since the last event */
    bool may_write : 1;     /* likewise */
    bool has_hang_up : 1;   /* the end of the stream or an error waits to be read */
    bool is_broken : 1;     /* could not be registered */
    bool is_awaited : 1;    /* by `reader`; there are no reads meanwhile */
    bool is_connecting : 1; /* by `connect` */
    bool is_paused : 1;     /* a listener: in port->paused */
    union {
        struct list_node *reads; /* a ring of os_op.node: accepts or receives, the first one */
        struct os_reader *reader;
        struct real_connect *connect;
    };
    struct list_node *writes; /* likewise: sends */
};

struct real_listener {
    struct real_socket socket;
    struct list_node paused_node; /* in port->paused */
    int64_t until_ns;             /* when it accepts again */
};

/* How far an OS_OP_SEND has come. */
struct send_progress {
    size_t index;                /* of the slice */
    size_t offset;               /* in it */
    struct list_node again_node; /* in port->again */
};
static inline struct send_progress *progress_of(struct os_op *op)
{
    return (struct send_progress *)(void *)op->private_words;
}
static inline struct os_op *progress_op(struct list_node *again_node)
{
    return (struct os_op *)(void *)((char *)again_node -
                                    offsetof(struct send_progress, again_node) -
                                    offsetof(struct os_op, private_words));
}

/* ---- rings of operations ---- */
static inline struct os_op *ring_first(struct list_node *ring)
{
    return ring ? LIST_ITEM(ring, struct os_op, node) : NULL;
}
static inline void ring_push(struct list_node **ring, struct os_op *op)
{
    list_init(&op->node);
    if (*ring)
        list_push_back(*ring, &op->node);
    else
        *ring = &op->node;
}
static inline void ring_pop(struct list_node **ring)
{
    struct list_node *first = *ring;

    *ring = list_first(first); /* NULL: it was the only one */
    list_remove(first);
}

/* Takes over fd, also on failure. `port` may be NULL. */
MUST_USE enum err socket_new(int fd, struct real_port *port, bool is_listening,
                             struct real_socket **out);
/* Registers for events of both directions. */
MUST_USE enum err socket_register(struct real_socket *socket, struct real_port *port);
/* Closes and frees; no operation is in its lists. */
void socket_free(struct real_socket *socket);
/* Of a listener: it accepts nothing until then. */
void socket_pause(struct real_socket *socket, int64_t until_ns);
/* Go on with the first operations of the lists as far as the kernel lets them. */
void socket_drive_reads(struct real_socket *socket);
void socket_drive_writes(struct real_socket *socket);
void socket_submit(struct real_port *port, struct os_op *op);
/* An epoll event. */
void socket_on_events(struct real_socket *socket, uint32_t events);

enum err real_listen(struct os_port *port, const char *address, uint16_t port_number, int backlog,
                     struct os_socket **out);
void real_socket_close(struct os_socket *socket, bool abort);
void real_socket_local_address(struct os_socket *socket, struct os_address *out);
void real_socket_peer_address(struct os_socket *socket, struct os_address *out);
void real_socket_set_buffers(struct os_socket *socket, int send_bytes, int receive_bytes);
void real_socket_detach(struct os_socket *socket);
void real_socket_attach(struct os_socket *socket, struct os_port *port);
void real_socket_await(struct os_socket *socket, struct os_reader *reader);
bool real_socket_is_readable(struct os_socket *socket);

/* ---- connecting ---- */
void connect_submit(struct real_port *port, struct os_op *op);
/* An event of a socket that is not connected yet. May free the socket. */
void connect_on_event(struct real_socket *socket);
/* The answer of the name pool is there. */
bool connect_is_resolving(const struct os_op *op);
void connect_on_resolved(struct os_op *op);
/* Completes with ERR_CANCELLED what is under way. */
void connect_cancel_all(struct real_port *port);

/* ---- addresses ---- */
#define ADDRESSES_MAX 8
struct address {
    struct sockaddr_storage storage;
    socklen_t size_bytes;
};
/* False when the text is not a plain numeric address. */
bool address_parse(const char *text, uint16_t port_number, struct address *out);
void address_any(int family, uint16_t port_number, struct address *out);
void address_format(const struct address *address, struct os_address *out);
/* getaddrinfo; blocks. Returns the number of addresses, 0 when the name is not known. */
size_t address_resolve(const char *name, uint16_t port_number, struct address *out,
                       size_t capacity);
bool address_equal(const struct address *a, const struct address *b);

/* ---- threads and process ---- */
enum err real_thread_start(struct os *os, const char *name, void (*run)(void *context),
                           void *context, struct os_thread **out);
void real_thread_join(struct os_thread *thread);
int real_core_count(struct os *os);
int64_t real_descriptors_max(struct os *os);
enum err real_host_name(struct os *os, char *out, size_t capacity_bytes);
void real_usage(struct os *os, struct os_usage *out);
void real_memory_trim(struct os *os);
enum err real_on_signal(struct os *os, void (*notify)(void *context, int signal), void *context);
void signals_fini(struct signals *signals);

#endif
