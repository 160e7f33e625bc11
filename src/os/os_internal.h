/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/os_internal.h: what the two tables behind os.h share: each handle begins with a pointer to its
 * table, and os.c does nothing but call through it. The contract of each entry is that of the
 * function of the same name in os.h.
 */
#ifndef OS_OS_INTERNAL_H
#define OS_OS_INTERNAL_H

#include "base/assert.h"
#include "os/os.h"

/* A table's own handle types begin with these. */
struct os {
    const struct os_table *table;
};

struct os_port {
    const struct os_table *table;
    struct os *os;
};

struct os_file {
    const struct os_table *table;
};

struct os_socket {
    const struct os_table *table;
};

struct os_thread {
    const struct os_table *table;
};

/* Entries that release get the handle itself, never NULL; os.c sets the caller's pointer to NULL. */
struct os_table {
    /* clocks and entropy */
    int64_t (*now_ns)(struct os *os);
    int64_t (*wall_ms)(struct os *os);
    void (*entropy)(struct os *os, void *out, size_t size_bytes);

    /* files, blocking */
    enum err (*file_open)(struct os *os, const char *path, unsigned flags, struct os_file **out);
    void (*file_close)(struct os_file *file);
    enum err (*file_read)(struct os_file *file, void *buffer, size_t size_bytes,
                          int64_t position_bytes, size_t *read_bytes_out);
    enum err (*file_write)(struct os_file *file, const struct slice *slices, size_t count,
                           int64_t position_bytes);
    enum err (*file_sync)(struct os_file *file);
    enum err (*file_truncate)(struct os_file *file, int64_t size_bytes);
    enum err (*file_reserve)(struct os_file *file, int64_t position_bytes, int64_t size_bytes);
    enum err (*file_size)(struct os_file *file, int64_t *size_bytes_out);
    enum err (*file_lock)(struct os_file *file);
    enum err (*stat)(struct os *os, const char *path, struct os_stat *out); /* out is zeroed */
    enum err (*list)(struct os *os, const char *path, struct arena *arena, struct os_names *out);
    enum err (*make_directory)(struct os *os, const char *path);
    enum err (*sync_directory)(struct os *os, const char *path);
    enum err (*rename)(struct os *os, const char *from, const char *to);
    enum err (*unlink)(struct os *os, const char *path);
    enum err (*remove_directory)(struct os *os, const char *path);
    enum err (*disk_space)(struct os *os, const char *path, int64_t *free_bytes_out,
                           int64_t *total_bytes_out);

    /* ports */
    enum err (*port_create)(struct os *os, struct os_port **out); /* os.c sets table and os */
    void (*port_release)(struct os_port *port);
    /* op->port is set; the out fields are cleared. */
    void (*port_submit)(struct os_port *port, struct os_op *op);
    size_t (*port_poll)(struct os_port *port, int64_t deadline_ns);
    void (*port_wake)(struct os_port *port);
    void (*port_on_ready)(struct os_port *port, void (*turn)(void *context), void *context);
    void (*port_set_deadline)(struct os_port *port, int64_t deadline_ns);

    /* sockets */
    enum err (*listen)(struct os_port *port, const char *address, uint16_t port_number, int backlog,
                       struct os_socket **out);
    void (*socket_close)(struct os_socket *socket, bool abort);
    void (*socket_local_address)(struct os_socket *socket, struct os_address *out); /* zeroed */
    void (*socket_peer_address)(struct os_socket *socket, struct os_address *out);  /* zeroed */
    void (*socket_set_buffers)(struct os_socket *socket, int send_bytes, int receive_bytes);
    void (*socket_detach)(struct os_socket *socket);
    void (*socket_attach)(struct os_socket *socket, struct os_port *port);
    void (*socket_await)(struct os_socket *socket, struct os_reader *reader);
    bool (*socket_is_readable)(struct os_socket *socket);

    /* threads and process */
    enum err (*thread_start)(struct os *os, const char *name, void (*run)(void *context),
                             void *context, struct os_thread **out);
    void (*thread_join)(struct os_thread *thread);
    int (*core_count)(struct os *os);
    int64_t (*descriptors_max)(struct os *os);
    enum err (*host_name)(struct os *os, char *out, size_t capacity_bytes);
    void (*usage)(struct os *os, struct os_usage *out); /* out is zeroed */
    void (*memory_trim)(struct os *os);
    enum err (*on_signal)(struct os *os, void (*notify)(void *context, int signal), void *context);

    void (*release)(struct os *os);
};

/* Before a table is given an operation, or takes one from a reader. */
static inline void os_op_prepare(struct os_op *op, struct os_port *port)
{
    ASSERT(op->done != NULL);
    op->port = port;
    op->err = OK;
    op->result = 0;
    op->accepted = NULL;
}

/* The file calls of an operation, for the tables whose blocking calls do the work: runs the blocking
 * call that op->kind stands for, or op->run, and fills the out fields. Not for sockets. */
void os_op_run_blocking(struct os *os, struct os_op *op);

#endif
