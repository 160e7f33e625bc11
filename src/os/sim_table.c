/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_table.c: the table of the simulated machine: blocking file calls, clocks, entropy, and
 * what a simulated process knows of itself.
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

static struct sim_file *file_of(struct os_file *file)
{
    return CONTAINER_OF(file, struct sim_file, file);
}

/* ---- clocks and entropy ---- */

static int64_t table_now_ns(struct os *os)
{
    return sim_process_now_ns(sim_process_of(os));
}

static int64_t table_wall_ms(struct os *os)
{
    return sim_machine_wall_ms(sim_process_of(os)->machine);
}

static void table_entropy(struct os *os, void *out, size_t size_bytes)
{
    random_fill(&sim_process_of(os)->machine->entropy_random, out, size_bytes);
}

/* ---- files ---- */

static enum err table_file_open(struct os *os, const char *path, unsigned flags,
                                struct os_file **out)
{
    struct sim_io io = {.call = SIM_CALL_OPEN, .path = path, .flags = flags};
    enum err err = sim_io_blocking(sim_process_of(os), &io);

    *out = io.opened;
    return err;
}

static void table_file_close(struct os_file *file)
{
    sim_file_release(file_of(file));
}

static enum err table_file_read(struct os_file *file, void *buffer, size_t size_bytes,
                                int64_t position_bytes, size_t *read_bytes_out)
{
    struct sim_io io = {.call = SIM_CALL_READ,
                        .file = file_of(file),
                        .buffer = buffer,
                        .size_bytes = (int64_t)size_bytes,
                        .position_bytes = position_bytes};
    enum err err = sim_io_blocking(io.file->process, &io);

    *read_bytes_out = err == OK ? (size_t)io.result : 0;
    return err;
}

static enum err table_file_write(struct os_file *file, const struct slice *slices, size_t count,
                                 int64_t position_bytes)
{
    struct sim_io io = {.call = SIM_CALL_WRITE,
                        .file = file_of(file),
                        .slices = slices,
                        .slice_count = count,
                        .position_bytes = position_bytes};

    return sim_io_blocking(io.file->process, &io);
}

static enum err table_file_sync(struct os_file *file)
{
    struct sim_io io = {.call = SIM_CALL_SYNC, .file = file_of(file)};

    return sim_io_blocking(io.file->process, &io);
}

static enum err table_file_truncate(struct os_file *file, int64_t size_bytes)
{
    struct sim_io io = {.call = SIM_CALL_TRUNCATE, .file = file_of(file), .size_bytes = size_bytes};

    return sim_io_blocking(io.file->process, &io);
}

static enum err table_file_reserve(struct os_file *file, int64_t position_bytes, int64_t size_bytes)
{
    struct sim_io io = {.call = SIM_CALL_RESERVE,
                        .file = file_of(file),
                        .position_bytes = position_bytes,
                        .size_bytes = size_bytes};

    return sim_io_blocking(io.file->process, &io);
}

static enum err table_file_size(struct os_file *file, int64_t *size_bytes_out)
{
    if (!file_of(file)->process->is_alive)
        return ERR_CRASHED;
    *size_bytes_out = file_of(file)->inode->size_bytes;
    return OK;
}

static enum err table_file_lock(struct os_file *file)
{
    struct sim_io io = {.call = SIM_CALL_LOCK, .file = file_of(file)};

    return sim_io_blocking(io.file->process, &io);
}

static enum err table_stat(struct os *os, const char *path, struct os_stat *out)
{
    struct sim_io io = {.call = SIM_CALL_STAT, .path = path};
    enum err err = sim_io_blocking(sim_process_of(os), &io);

    *out = io.stat;
    return err;
}

static enum err table_list(struct os *os, const char *path, struct arena *arena,
                           struct os_names *out)
{
    struct sim_io io = {.call = SIM_CALL_LIST, .path = path, .arena = arena};
    enum err err = sim_io_blocking(sim_process_of(os), &io);

    *out = io.names;
    return err;
}

static enum err path_call(struct os *os, enum sim_call call, const char *path, const char *path_to)
{
    struct sim_io io = {.call = call, .path = path, .path_to = path_to};

    return sim_io_blocking(sim_process_of(os), &io);
}

static enum err table_make_directory(struct os *os, const char *path)
{
    return path_call(os, SIM_CALL_MAKE_DIRECTORY, path, NULL);
}

static enum err table_sync_directory(struct os *os, const char *path)
{
    return path_call(os, SIM_CALL_SYNC_DIRECTORY, path, NULL);
}

static enum err table_rename(struct os *os, const char *from, const char *to)
{
    return path_call(os, SIM_CALL_RENAME, from, to);
}

static enum err table_unlink(struct os *os, const char *path)
{
    return path_call(os, SIM_CALL_UNLINK, path, NULL);
}

static enum err table_remove_directory(struct os *os, const char *path)
{
    return path_call(os, SIM_CALL_REMOVE_DIRECTORY, path, NULL);
}

static enum err table_disk_space(struct os *os, const char *path, int64_t *free_bytes_out,
                                 int64_t *total_bytes_out)
{
    struct sim_process *process = sim_process_of(os);
    const struct sim_disk *disk = process->machine->disk;
    struct sim_inode *inode;

    if (!process->is_alive)
        return ERR_CRASHED;
    TRY(sim_find(process->machine->disk, path, &inode));
    *total_bytes_out = disk->size_bytes;
    *free_bytes_out = MAX(disk->size_bytes - (int64_t)(disk->used_pages * SIM_PAGE_BYTES), 0);
    return OK;
}

/* ---- threads and process ---- */

static enum err table_thread_start(struct os *os, const char *name, void (*run)(void *context),
                                   void *context, struct os_thread **out)
{
    return ERR_UNSUPPORTED;
}

static void table_thread_join(struct os_thread *thread)
{
    ASSERT(thread == NULL); /* there are none */
}

static int table_core_count(struct os *os)
{
    return sim_of(sim_process_of(os))->options.core_count;
}

static int64_t table_descriptors_max(struct os *os)
{
    return sim_of(sim_process_of(os))->options.descriptors_max;
}

static enum err table_host_name(struct os *os, char *out, size_t capacity_bytes)
{
    const struct sim_machine *machine = sim_process_of(os)->machine;

    return fmt(out, capacity_bytes, "%s", machine->name) < capacity_bytes ? OK : ERR_TOO_LARGE;
}

/* The process is the test's. */
static void table_memory_trim(struct os *os)
{
    UNUSED(os);
}

static void table_usage(struct os *os, struct os_usage *out)
{
    const struct sim_process *process = sim_process_of(os);

    LIST_EACH (node, &process->files)
        out->open_files++;
    LIST_EACH (node, &process->sockets)
        out->open_files++;
    /* Made up, but alive: virtual time and what is open. */
    out->user_cpu_us = process->machine->sim->now_ns / 10000;
    out->system_cpu_us = process->machine->sim->now_ns / 40000;
    out->resident_bytes = (int64_t)(64 * MIB) + out->open_files * (int64_t)(4 * KIB);
}

static enum err table_on_signal(struct os *os, void (*notify)(void *context, int signal),
                                void *context)
{
    sim_process_of(os)->notify = notify;
    sim_process_of(os)->notify_context = context;
    return OK;
}

const struct os_table sim_table = {
    .now_ns = table_now_ns,
    .wall_ms = table_wall_ms,
    .entropy = table_entropy,
    .file_open = table_file_open,
    .file_close = table_file_close,
    .file_read = table_file_read,
    .file_write = table_file_write,
    .file_sync = table_file_sync,
    .file_truncate = table_file_truncate,
    .file_reserve = table_file_reserve,
    .file_size = table_file_size,
    .file_lock = table_file_lock,
    .stat = table_stat,
    .list = table_list,
    .make_directory = table_make_directory,
    .sync_directory = table_sync_directory,
    .rename = table_rename,
    .unlink = table_unlink,
    .remove_directory = table_remove_directory,
    .disk_space = table_disk_space,
    .port_create = sim_port_create,
    .port_release = sim_port_release,
    .port_submit = sim_port_submit,
    .port_poll = sim_port_poll,
    .port_wake = sim_port_wake,
    .port_on_ready = sim_port_on_ready,
    .port_set_deadline = sim_port_set_deadline,
    .listen = sim_listen,
    .socket_close = sim_socket_close,
    .socket_local_address = sim_socket_local_address,
    .socket_peer_address = sim_socket_peer_address,
    .socket_set_buffers = sim_socket_set_buffers,
    .socket_detach = sim_socket_detach,
    .socket_attach = sim_socket_attach,
    .socket_await = sim_socket_await,
    .socket_is_readable = sim_socket_is_readable,
    .thread_start = table_thread_start,
    .thread_join = table_thread_join,
    .core_count = table_core_count,
    .descriptors_max = table_descriptors_max,
    .host_name = table_host_name,
    .usage = table_usage,
    .memory_trim = table_memory_trim,
    .on_signal = table_on_signal,
    .release = sim_process_release,
};
