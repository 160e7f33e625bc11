/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/os.c: from the functions of os.h to the table behind the handle. What both tables would have to
 * check alike is checked here: handles, directions, cleared out fields.
 */
#include "os/os_internal.h"

/* ---- clocks and entropy ---- */

int64_t os_now_ns(struct os *os)
{
    return os->table->now_ns(os);
}

int64_t os_wall_ms(struct os *os)
{
    return os->table->wall_ms(os);
}

void os_entropy(struct os *os, void *out, size_t size_bytes)
{
    os->table->entropy(os, out, size_bytes);
}

/* ---- files, blocking ---- */

enum err os_file_open(struct os *os, const char *path, unsigned flags, struct os_file **out)
{
    ASSERT((flags & (OS_OPEN_READ | OS_OPEN_WRITE)) != 0);
    ASSERT((flags & (OS_OPEN_CREATE | OS_OPEN_TRUNCATE)) == 0 || (flags & OS_OPEN_WRITE) != 0);
    ASSERT((flags & OS_OPEN_EXCLUSIVE) == 0 || (flags & OS_OPEN_CREATE) != 0);
    *out = NULL;
    return os->table->file_open(os, path, flags, out);
}

void os_file_close(struct os_file **file)
{
    if (*file)
        (*file)->table->file_close(*file);
    *file = NULL;
}

enum err os_file_read(struct os_file *file, void *buffer, size_t size_bytes, int64_t position_bytes,
                      size_t *read_bytes_out)
{
    ASSERT(position_bytes >= 0);
    *read_bytes_out = 0;
    return file->table->file_read(file, buffer, size_bytes, position_bytes, read_bytes_out);
}

enum err os_file_write(struct os_file *file, const struct slice *slices, size_t count,
                       int64_t position_bytes)
{
    ASSERT(position_bytes >= 0);
    return file->table->file_write(file, slices, count, position_bytes);
}

enum err os_file_sync(struct os_file *file)
{
    return file->table->file_sync(file);
}

enum err os_file_truncate(struct os_file *file, int64_t size_bytes)
{
    ASSERT(size_bytes >= 0);
    return file->table->file_truncate(file, size_bytes);
}

enum err os_file_reserve(struct os_file *file, int64_t position_bytes, int64_t size_bytes)
{
    ASSERT(position_bytes >= 0 && size_bytes >= 0);
    return file->table->file_reserve(file, position_bytes, size_bytes);
}

enum err os_file_size(struct os_file *file, int64_t *size_bytes_out)
{
    *size_bytes_out = 0;
    return file->table->file_size(file, size_bytes_out);
}

enum err os_file_lock(struct os_file *file)
{
    return file->table->file_lock(file);
}

enum err os_stat(struct os *os, const char *path, struct os_stat *out)
{
    *out = (struct os_stat){0};
    return os->table->stat(os, path, out);
}

enum err os_list(struct os *os, const char *path, struct arena *arena, struct os_names *out)
{
    *out = (struct os_names){0};
    return os->table->list(os, path, arena, out);
}

enum err os_make_directory(struct os *os, const char *path)
{
    return os->table->make_directory(os, path);
}

enum err os_sync_directory(struct os *os, const char *path)
{
    return os->table->sync_directory(os, path);
}

enum err os_rename(struct os *os, const char *from, const char *to)
{
    return os->table->rename(os, from, to);
}

enum err os_unlink(struct os *os, const char *path)
{
    return os->table->unlink(os, path);
}

enum err os_remove_directory(struct os *os, const char *path)
{
    return os->table->remove_directory(os, path);
}

enum err os_disk_space(struct os *os, const char *path, int64_t *free_bytes_out,
                       int64_t *total_bytes_out)
{
    *free_bytes_out = 0;
    *total_bytes_out = 0;
    return os->table->disk_space(os, path, free_bytes_out, total_bytes_out);
}

/* ---- operations ---- */

static void run_write(struct os_op *op)
{
    op->err = os_file_write(op->file, op->slices, op->slice_count, op->position_bytes);
    if (op->err != OK)
        return;
    for (size_t i = 0; i < op->slice_count; i++)
        op->result += (int64_t)op->slices[i].size_bytes;
}

static void run_read(struct os_op *op)
{
    size_t read_bytes = 0;

    op->err = os_file_read(op->file, op->buffer, op->size_bytes, op->position_bytes, &read_bytes);
    op->result = (int64_t)read_bytes;
}

void os_op_run_blocking(struct os *os, struct os_op *op)
{
    switch (op->kind) {
    case OS_OP_READ:
        run_read(op);
        return;
    case OS_OP_WRITE:
        run_write(op);
        return;
    case OS_OP_SYNC:
        op->err = os_file_sync(op->file);
        return;
    case OS_OP_TRUNCATE:
        op->err = os_file_truncate(op->file, (int64_t)op->size_bytes);
        return;
    case OS_OP_OPEN:
        op->err = os_file_open(os, op->path, op->flags, &op->file);
        return;
    case OS_OP_CLOSE:
        os_file_close(&op->file);
        return;
    case OS_OP_STAT:
        op->err = os_stat(os, op->path, &op->stat);
        return;
    case OS_OP_LIST:
        op->err = os_list(os, op->path, op->arena, &op->names);
        return;
    case OS_OP_MAKE_DIRECTORY:
        op->err = os_make_directory(os, op->path);
        return;
    case OS_OP_SYNC_DIRECTORY:
        op->err = os_sync_directory(os, op->path);
        return;
    case OS_OP_UNLINK:
        op->err = os_unlink(os, op->path);
        return;
    case OS_OP_REMOVE_DIRECTORY:
        op->err = os_remove_directory(os, op->path);
        return;
    case OS_OP_RENAME:
        op->err = os_rename(os, op->path, op->path_to);
        return;
    case OS_OP_JOB:
        op->run(op);
        return;
    case OS_OP_ACCEPT:
    case OS_OP_CONNECT:
    case OS_OP_RECEIVE:
    case OS_OP_SEND:
        break;
    }
    ASSERT(op->kind == OS_OP_JOB); /* a socket operation came here */
}

/* ---- ports ---- */

enum err os_port_create(struct os *os, struct os_port **out)
{
    *out = NULL;
    TRY(os->table->port_create(os, out));
    (*out)->table = os->table;
    (*out)->os = os;
    return OK;
}

void os_port_release(struct os_port **port)
{
    if (*port)
        (*port)->table->port_release(*port);
    *port = NULL;
}

void os_port_submit(struct os_port *port, struct os_op *op)
{
    ASSERT(op->kind != OS_OP_JOB || op->run != NULL);
    os_op_prepare(op, port);
    port->table->port_submit(port, op);
}

size_t os_port_poll(struct os_port *port, int64_t deadline_ns)
{
    return port->table->port_poll(port, deadline_ns);
}

void os_port_wake(struct os_port *port)
{
    port->table->port_wake(port);
}

void os_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context)
{
    port->table->port_on_ready(port, turn, context);
}

void os_port_set_deadline(struct os_port *port, int64_t deadline_ns)
{
    port->table->port_set_deadline(port, deadline_ns);
}

struct os *os_port_os(struct os_port *port)
{
    return port->os;
}

/* ---- sockets ---- */

enum err os_listen(struct os_port *port, const char *address, uint16_t port_number, int backlog,
                   struct os_socket **out)
{
    *out = NULL;
    return port->table->listen(port, address ? address : "", port_number, backlog, out);
}

void os_socket_close(struct os_socket **socket, bool abort)
{
    if (*socket)
        (*socket)->table->socket_close(*socket, abort);
    *socket = NULL;
}

void os_socket_local_address(struct os_socket *socket, struct os_address *out)
{
    *out = (struct os_address){0};
    socket->table->socket_local_address(socket, out);
}

void os_socket_peer_address(struct os_socket *socket, struct os_address *out)
{
    *out = (struct os_address){0};
    socket->table->socket_peer_address(socket, out);
}

void os_socket_set_buffers(struct os_socket *socket, int send_bytes, int receive_bytes)
{
    socket->table->socket_set_buffers(socket, send_bytes, receive_bytes);
}

void os_socket_detach(struct os_socket *socket)
{
    socket->table->socket_detach(socket);
}

void os_socket_attach(struct os_socket *socket, struct os_port *port)
{
    ASSERT(socket->table == port->table);
    socket->table->socket_attach(socket, port);
}

void os_socket_await(struct os_socket *socket, struct os_reader *reader)
{
    socket->table->socket_await(socket, reader);
}

bool os_socket_is_readable(struct os_socket *socket)
{
    return socket->table->socket_is_readable(socket);
}

/* ---- threads and process ---- */

enum err os_thread_start(struct os *os, const char *name, void (*run)(void *context), void *context,
                         struct os_thread **out)
{
    *out = NULL;
    return os->table->thread_start(os, name, run, context, out);
}

void os_thread_join(struct os_thread **thread)
{
    if (*thread)
        (*thread)->table->thread_join(*thread);
    *thread = NULL;
}

int os_core_count(struct os *os)
{
    return os->table->core_count(os);
}

int64_t os_descriptors_max(struct os *os)
{
    return os->table->descriptors_max(os);
}

enum err os_host_name(struct os *os, char *out, size_t capacity_bytes)
{
    ASSERT(capacity_bytes > 0);
    out[0] = '\0';
    return os->table->host_name(os, out, capacity_bytes);
}

void os_usage(struct os *os, struct os_usage *out)
{
    *out = (struct os_usage){0};
    os->table->usage(os, out);
}

void os_memory_trim(struct os *os)
{
    os->table->memory_trim(os);
}

enum err os_on_signal(struct os *os, void (*notify)(void *context, int signal), void *context)
{
    return os->table->on_signal(os, notify, context);
}

void os_release(struct os **os)
{
    if (*os)
        (*os)->table->release(*os);
    *os = NULL;
}
