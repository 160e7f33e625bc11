/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/os.h: the only door to the machine: files, sockets, threads, clocks, entropy. Two tables stand
 * behind it: the real one (os_real_create) and the simulated one (os/sim.h), where a whole cluster
 * runs in one thread from one seed. docs/design/os.md.
 *
 * Invariants  1. Everything that differs between two runs enters here.
 *             2. An operation is the caller's until its `done` is called, exactly once, on the thread
 *                that polls the port it was submitted to; then the caller may reuse or free it.
 *             3. `done` is never called from inside os_port_submit.
 * Errors      ERR_IO and its kin of err.h; `why` texts name call, path and errno.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

#include <pthread.h>
#include <stdbool.h>

struct os;      /* one machine: this process, or one simulated node */
struct os_port; /* one shard's gate: submit and poll; owned by one thread */
struct
    os_file; /* an open file; usable from any thread of its machine, one operation at a time per range */
struct os_socket; /* a connected or listening stream socket; belongs to one port at a time */

/* ---- clocks and entropy (any thread) ---- */
int64_t os_now_ns(struct os *os);  /* monotone; starts anywhere; never goes back */
int64_t os_wall_ms(struct os *os); /* Unix time; may jump */
void os_entropy(struct os *os, void *out, size_t size_bytes);

/* ---- files, blocking: for jobs, start-up and tools; never on a running shard ---- */
enum os_open_flags {
    OS_OPEN_READ = 1,
    OS_OPEN_WRITE = 2,
    OS_OPEN_CREATE = 4,    /* mode 0640; with OS_OPEN_WRITE */
    OS_OPEN_EXCLUSIVE = 8, /* fail with ERR_EXISTS when it is there */
    OS_OPEN_TRUNCATE = 16,
    OS_OPEN_DIRECT = 32, /* a hint; ignored where the file system cannot */
};
struct os_stat {
    bool exists;
    bool is_directory;
    int64_t size_bytes;
    int64_t
        held_bytes; /* of the disk: fewer where there are holes, more where blocks were reserved */
    int64_t modified_ms; /* wall clock */
};
struct os_names {
    char **names; /* without "." and ".."; sorted bytewise */
    size_t count;
};

/* ERR_NOT_FOUND, ERR_EXISTS, ERR_IO, ERR_DISK_FULL, ERR_TOO_MANY_FILES, ERR_PERMISSION. */
MUST_USE enum err os_file_open(struct os *os, const char *path, unsigned flags,
                               struct os_file **out);
void os_file_close(struct os_file **file); /* NULL-safe */
/* Reads until size_bytes or the end of file; *read_bytes_out tells which. */
MUST_USE enum err os_file_read(struct os_file *file, void *buffer, size_t size_bytes,
                               int64_t position_bytes, size_t *read_bytes_out);
/* All or an error; on an error any prefix may have been written. */
MUST_USE enum err os_file_write(struct os_file *file, const struct slice *slices, size_t count,
                                int64_t position_bytes);
/* fdatasync: data and what is needed to reach it. Not the directory entry. */
MUST_USE enum err os_file_sync(struct os_file *file);
MUST_USE enum err os_file_truncate(struct os_file *file, int64_t size_bytes);
/* Reserves blocks without changing the size; ERR_UNSUPPORTED where the file system cannot. */
MUST_USE enum err os_file_reserve(struct os_file *file, int64_t position_bytes, int64_t size_bytes);
MUST_USE enum err os_file_size(struct os_file *file, int64_t *size_bytes_out);
/* Exclusive advisory lock held until the file is closed; ERR_LOCKED when another process has it. */
MUST_USE enum err os_file_lock(struct os_file *file);
/* A path that is not there is OK with exists = false. */
MUST_USE enum err os_stat(struct os *os, const char *path, struct os_stat *out);
MUST_USE enum err os_list(struct os *os, const char *path, struct arena *arena,
                          struct os_names *out);
MUST_USE enum err os_make_directory(struct os *os, const char *path); /* ERR_EXISTS if there */
/* fsync of a directory: makes creations, renames and unlinks in it durable. */
MUST_USE enum err os_sync_directory(struct os *os, const char *path);
MUST_USE enum err os_rename(struct os *os, const char *from, const char *to);
MUST_USE enum err os_unlink(struct os *os, const char *path);
MUST_USE enum err os_remove_directory(struct os *os, const char *path); /* must be empty */
MUST_USE enum err os_disk_space(struct os *os, const char *path, int64_t *free_bytes_out,
                                int64_t *total_bytes_out);

/* ---- operations: submit and completion ---- */
enum os_op_kind {
    /* files: the same meaning as the blocking calls above */
    OS_OP_READ,     /* file, buffer, size_bytes, position_bytes → result = bytes read */
    OS_OP_WRITE,    /* file, slices, slice_count, position_bytes */
    OS_OP_SYNC,     /* file */
    OS_OP_TRUNCATE, /* file, size_bytes */
    OS_OP_OPEN,     /* path, flags → file */
    OS_OP_CLOSE,    /* file */
    OS_OP_STAT,     /* path → stat */
    OS_OP_LIST,     /* path, arena → names */
    OS_OP_MAKE_DIRECTORY,
    OS_OP_SYNC_DIRECTORY,
    OS_OP_UNLINK,
    OS_OP_REMOVE_DIRECTORY, /* path */
    OS_OP_RENAME,           /* path, path_to */
    /* run(op) on a pool thread, where blocking calls are allowed; in the simulator one event */
    OS_OP_JOB,
    /* sockets */
    OS_OP_ACCEPT,  /* socket (listening) → accepted, attached to this port */
    OS_OP_CONNECT, /* address, port_number → accepted */
    OS_OP_RECEIVE, /* socket, buffer, size_bytes → result ≥ 1 bytes, 0 = peer closed its side */
    OS_OP_SEND, /* socket, slices, slice_count: completes when all bytes are handed to the kernel */
};

/* What an append to a page cache touches stands in front, in one line of the processor's cache. */
struct os_op {
    enum os_op_kind kind;
    enum err err; /* out: ERR_CANCELLED when the socket was closed or the port is going down */
    void (*done)(struct os_op *op); /* OS_OP_*: result in err, result, and the out fields */
    struct os_file *file;           /* in; out for OS_OP_OPEN */
    int64_t position_bytes;
    const struct slice *slices; /* must stay valid until done, as must the bytes */
    size_t slice_count;
    struct list_node node; /* the table's own */
    /* in */
    void (*run)(struct os_op *op); /* OS_OP_JOB only; may set err and result */
    struct os_socket *socket;
    void *buffer;
    size_t size_bytes;
    size_t
        useful_bytes; /* OS_OP_RECEIVE, a hint: the owner can do nothing with fewer; they may come all the same */
    const char *path;
    const char *path_to;
    unsigned flags;
    struct arena *arena;
    const char *address; /* numeric IPv4 or IPv6 text, or a name that the machine resolves */
    uint16_t port_number;
    /* out */
    int64_t result;
    struct os_socket *accepted;
    struct os_stat stat;
    struct os_names names;
    /* the table's own */
    struct os_port *port;
    uint64_t private_words[6];
};

/* ---- ports ---- */
MUST_USE enum err os_port_create(struct os *os, struct os_port **out);
/* No operation may be under way save OS_OP_CONNECT, which has no handle to close: such a one completes
 * here with ERR_CANCELLED. Sockets are closed or detached first. */
void os_port_release(struct os_port **port);
/* Hands the operation over; a failure to start it comes through `done` like any other. Operations of
 * one port on one file complete in any order; whoever needs an order submits the next from `done`. */
void os_port_submit(struct os_port *port, struct os_op *op);
/* Calls `done` of whatever is complete; when nothing is, sleeps until something is, os_port_wake is
 * called or `deadline_ns` (monotone; INT64_MAX: no deadline) has come. deadline 0: does not sleep.
 * Returns the number of completions. Real table only: the simulator calls `turn` instead. */
size_t os_port_poll(struct os_port *port, int64_t deadline_ns);
/* From any thread: makes the current or next sleeping poll return. Cheap when already pending. */
void os_port_wake(struct os_port *port);
/* How the simulator runs a shard: `turn(context)` is called when completions are ready, after a wake,
 * or at the deadline told by the last os_port_set_deadline. It calls os_port_poll(port, 0) itself. The
 * real table ignores both. */
void os_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context);
void os_port_set_deadline(struct os_port *port, int64_t deadline_ns);
struct os *os_port_os(struct os_port *port);

/* ---- sockets (owner thread of the port) ---- */
#define OS_ADDRESS_TEXT_BYTES 64
struct os_address {
    char text[OS_ADDRESS_TEXT_BYTES]; /* numeric, IPv6 without brackets and scope */
    uint16_t port_number;
};
/* Binds and listens. address "" or NULL: every address, IPv6 dual-stack where there is IPv6. port 0:
 * any; see os_socket_local_address. ERR_ADDRESS_IN_USE, ERR_ADDRESS. */
MUST_USE enum err os_listen(struct os_port *port, const char *address, uint16_t port_number,
                            int backlog, struct os_socket **out);
/* Operations under way complete with ERR_CANCELLED at the next poll. `abort`: RST instead of FIN. */
void os_socket_close(struct os_socket **socket, bool abort);
void os_socket_local_address(struct os_socket *socket, struct os_address *out);
void os_socket_peer_address(struct os_socket *socket, struct os_address *out);
/* 0 keeps the system's own. TCP_NODELAY and keep-alive are always on. */
void os_socket_set_buffers(struct os_socket *socket, int send_bytes, int receive_bytes);
/* Moves an idle socket (no operation under way) to another port of the same machine: detach on the
 * old owner's thread, attach on the new one's. */
void os_socket_detach(struct os_socket *socket);
void os_socket_attach(struct os_socket *socket, struct os_port *port);
/* A receive that has no operation, and so no buffer, before there is something to receive: who only waits holds nothing. */
struct os_reader {
    const struct os_reader_calls *calls;
};
struct os_reader_calls {
    /* Something may be there: bytes, the end or an error. An OS_OP_RECEIVE of the socket, filled in as for os_port_submit,
     * which is under way from here on; NULL: there is no memory for one, and nobody reads any more. It may wake
     * the port and set its deadline, but submit, await, poll, close or move nothing: an event is being looked at. */
    struct os_op *(*begin)(struct os_reader *reader);
    /* There was nothing after all: the operation is its owner's without a `done`, the reader waits on. */
    void (*undo)(struct os_reader *reader, struct os_op *op);
};
/* Has `begin` called once, from here or from a poll. No receive may be under way; closing the socket ends it. */
void os_socket_await(struct os_socket *socket, struct os_reader *reader);
/* Bytes queued in the kernel and not read, so that a handler may read on. */
bool os_socket_is_readable(struct os_socket *socket);

/* ---- threads and process (real table; the simulator answers ERR_UNSUPPORTED) ---- */
struct os_thread;
MUST_USE enum err os_thread_start(struct os *os, const char *name, void (*run)(void *context),
                                  void *context, struct os_thread **out);
void os_thread_join(struct os_thread **thread);
int os_core_count(struct os *os);
/* How many descriptors the process may have now. */
int64_t os_descriptors_max(struct os *os);
/* This machine's name as others may reach it (getaddrinfo canonical name, as Kafka's default). */
MUST_USE enum err os_host_name(struct os *os, char *out, size_t capacity_bytes);
struct os_usage {
    int64_t user_cpu_us, system_cpu_us;
    int64_t resident_bytes;
    int64_t open_files;
};
void os_usage(struct os *os, struct os_usage *out);
/* Pages of memory that the process has freed go back to the machine. It looks through the whole heap, some milliseconds
 * of a large one: for whoever has been idle. */
void os_memory_trim(struct os *os);
/* Calls `notify(context, signal)` on an unspecified thread for SIGTERM, SIGINT and SIGHUP, from now on
 * to the next os_on_signal; NULL: no more, and none is running after it. Those that the process was
 * started with as ignored (nohup, a script's background) stay so. What `notify` uses, a reactor
 * for one, is released after that. On one thread, before others were started by foreign means. */
MUST_USE enum err os_on_signal(struct os *os, void (*notify)(void *context, int signal),
                               void *context);
/* Standard output, always the real machine's: what is written to a pipe or a terminal that nobody reads does not wait.
 * (Where that cannot be had, of a socket or without /proc, it may for what os_output_wait had not said.) */
struct os_output {
    int fd;
    pthread_mutex_t lock;
};
struct os_output os_output_open(void); /* after os_real_create, which sees to a closed one */
void os_output_close(struct os_output *output);
/* For whoever has more than one write, or a state beside it, that no other thread may come between. */
void os_output_lock(struct os_output *output);
void os_output_unlock(struct os_output *output);
/* Whether there is room within wait_ms: in a pipe for 4 KiB, in a terminal for something; of what failed there is. */
bool os_output_wait(const struct os_output *output, int wait_ms);
/* How many bytes it took; 0: there is no room, or it failed. Up to 4 KiB go into a pipe whole. */
size_t os_output_put(const struct os_output *output, const void *bytes, size_t size_bytes);

/* ---- making a machine ---- */
struct os_real_options {
    int pool_threads; /* of each pool; 0: max(2, cores) for jobs, more for files */
};
MUST_USE enum err os_real_create(const struct os_real_options *options, struct os **out);
void os_release(struct os **os);

/* Writes `path` so that a crash leaves the old or the new content, both whole: path.tmp, sync, rename,
 * sync of the directory. Blocking. The one way in which checkpoints and state files are written. */
MUST_USE enum err os_durable_replace(struct os *os, const char *path, const struct slice *slices,
                                     size_t count);
/* The whole file in arena memory; ERR_TOO_LARGE above limit_bytes. Blocking. */
MUST_USE enum err os_read_whole(struct os *os, const char *path, struct arena *arena,
                                size_t limit_bytes, struct slice *out);
/* The same to its end, whatever it is: of a pipe or a device nobody knows the size before. For what people name. */
MUST_USE enum err os_read_stream(struct os *os, const char *path, struct arena *arena,
                                 size_t limit_bytes, struct slice *out);

#endif
