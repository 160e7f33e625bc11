/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_internal.h: the structs behind os/sim.h. docs/design/simulation.md.
 *
 *   sim ─┬─ events (one heap)                machine ─┬─ disk ── inodes, names
 *        ├─ machines ──────────────────────▶          ├─ processes (each one `struct os`)
 *        └─ connections                               └─ listeners
 *   process ── ports ── works (one for each operation under way)
 *
 * Invariants  1. An operation's memory is touched only in submit, in its event while the process
 *                lives, in the cut of a crash, and in poll: all lists run through memory of ours.
 *             2. Nothing depends on an address in memory.
 */
#ifndef OS_SIM_INTERNAL_H
#define OS_SIM_INTERNAL_H

#include "base/hash_map.h"
#include "base/heap.h"
#include "os/os_internal.h"
#include "os/sim.h"

#define SIM_PAGE_BYTES ((size_t)4096)
#define SIM_SECTOR_BYTES ((size_t)512)
#define SIM_NAME_BYTES 256
#define SIM_DEPTH 64
#define SIM_RETRANSMIT_NS INT64_C(200000000) /* the first retransmission; doubles */

/* ---- sim_core.c: memory, events, trace ---- */
void *sim_allocate(size_t size_bytes);                               /* zeroed; never NULL */
void *sim_resize(void *pointer, size_t old_bytes, size_t new_bytes); /* what is new is zeroed */
void sim_free(void *pointer);
char *sim_copy_text(const char *text);
/* Room for one more item in a growing array. */
#define SIM_GROW(items, count, capacity)                                                        \
    do {                                                                                        \
        if ((count) == (capacity)) {                                                            \
            size_t wanted_ = (capacity) ? 2 * (capacity) : 8;                                   \
            (items) =                                                                           \
                sim_resize((items), (capacity) * sizeof(*(items)), wanted_ * sizeof(*(items))); \
            (capacity) = wanted_;                                                               \
        }                                                                                       \
    } while (0)
#define SIM_NEW(type) ((type *)sim_allocate(sizeof(type)))

struct sim_machine;
struct sim_process;
struct sim_event {
    struct heap_node node; /* position HEAP_NOWHERE: not scheduled */
    struct list_node held; /* of a paused process */
    void (*run)(struct sim *sim, struct sim_event *event);
    const char *kind;
    struct sim_machine *machine; /* NULL: of the simulation itself */
};
void sim_event_init(struct sim_event *event, const char *kind, struct sim_machine *machine,
                    void (*run)(struct sim *sim, struct sim_event *event));
/* Sets or moves. */
void sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_ns);
void sim_unschedule(struct sim *sim, struct sim_event *event);
bool sim_is_scheduled(const struct sim_event *event);
/* Into hash and trace. */
void sim_note(struct sim *sim, const struct sim_machine *machine, const char *kind, int64_t outcome,
              const char *detail);
int64_t sim_draw(struct random *random, const struct sim_latency *latency);
/* a + b without overflow; both ≥ 0 */
int64_t sim_later(int64_t a, int64_t b);

#define SIM_DETAIL_BYTES 64
struct sim_note {
    int64_t at_ns;
    const char *machine;
    const char *kind;
    int64_t outcome;
    char detail[SIM_DETAIL_BYTES];
};

struct sim_link_state {
    struct sim_link link;
    int64_t busy_until_ns;
};

struct sim {
    uint64_t seed;
    struct sim_options options;
    struct heap events;
    int64_t now_ns;
    uint64_t hash;
    struct sim_counts counts;
    struct sim_machine **machines;
    size_t machine_count, machine_capacity;
    struct list_node connections;
    struct random network;
    struct random schedule;
    struct sim_note *notes; /* a ring of options.trace_count */
    uint64_t note_count;
    struct sim_process *in_turn; /* whose shard is running; NULL: none */
    struct sim_port *turn_port;
    bool is_stepping;
};

/* ---- machines: sim_machine.c ---- */
struct sim_fault_state {
    struct sim_fault fault;
    char *path_part;
    int64_t matched;
    int64_t hits;
    int64_t job_delay_ns; /* by which it has delayed the job that runs */
    bool is_active;
};

struct sim_machine {
    struct sim *sim;
    size_t index;
    char *name;
    char address[16];
    char **aliases;
    size_t alias_count, alias_capacity;
    struct sim_disk *disk;
    struct sim_process *process; /* NULL: down */
    struct list_node processes;  /* all that ever were */
    bool is_powered;             /* the kernel lives: false between crash and restart */
    struct sim_latency disk_latency;
    struct sim_latency sync_latency;
    struct random disk_random;
    struct random crash_random;
    struct random entropy_random;
    struct random fault_random;
    struct random turn_random;
    /* clocks: machine time = clock_base_ns + (now − clock_at_ns) · (1 + ppm/10⁶) */
    int64_t clock_at_ns;
    int64_t clock_base_ns;
    int32_t ppm;
    int64_t wall_offset_ns; /* wall − machine time */
    int64_t wall_stalled_ns;
    bool wall_is_stalled;
    struct sim_fault_state *faults;
    size_t fault_count, fault_capacity;
    struct list_node listeners;
    struct sim_link_state *links; /* to each machine by index */
    size_t link_count;
    uint16_t next_port;
};

struct sim_process {
    struct os os;
    struct list_node node;
    struct sim_machine *machine;
    bool is_alive;
    bool is_paused;
    bool is_released;
    int64_t clock_offset_ns; /* monotone − machine time */
    int64_t io_calls;
    int64_t stop_at; /* io_calls at which it ends; -1: never */
    bool stop_kills;
    bool stop_has_options;
    struct sim_crash_options stop_options;
    struct list_node ports;
    struct list_node files;
    struct list_node sockets;
    struct list_node held; /* events that wait for the resume */
    int64_t blocking_ns;   /* what blocking calls of the running job would have taken */
    int64_t blocking_calls, blocking_syncs; /* how many, of both kinds of latency */
    void (*notify)(void *context, int signal);
    void *notify_context;
};
static inline struct sim_process *sim_process_of(const struct os *os)
{
    return CONTAINER_OF(os, struct sim_process, os);
}
static inline struct sim *sim_of(const struct sim_process *process)
{
    return process->machine->sim;
}
extern const struct os_table sim_table; /* sim_table.c */
struct sim_process *sim_process_start(struct sim_machine *machine);
void sim_machine_release(struct sim_machine *machine);
/* Ends the process for `is_crash`: a power cut, else a kill. */
void sim_process_end(struct sim_process *process, bool is_crash,
                     const struct sim_crash_options *options);
void sim_process_release(struct os *os);
/* True: the process is paused and the event was put by. */
bool sim_hold(struct sim_process *process, struct sim_event *event);
int64_t sim_process_now_ns(const struct sim_process *process);
int64_t sim_machine_wall_ms(const struct sim_machine *machine);
/* The first virtual time at which the process's monotone clock shows `at_ns`. */
int64_t sim_process_when(const struct sim_process *process, int64_t at_ns);

/* ---- content of files: sim_inode.c ---- */
struct sim_page {
    uint32_t refs;
    uint8_t data[SIM_PAGE_BYTES];
};

struct sim_truncation {
    uint64_t sequence;
    int64_t size_bytes;
};

/* Pages are shared between the views and copied before a write: a page is dirty when the live view
 * has another one than the stable view has. */
struct sim_inode {
    struct sim_disk *disk;
    struct list_node node;  /* disk->inodes */
    struct list_node dirty; /* disk->dirty, oldest first */
    bool is_directory;
    bool is_counted; /* its pages are in disk->used_pages */
    uint32_t refs;
    uint32_t links; /* live names */
    uint32_t handles;
    struct sim_page **live;
    struct sim_page **stable;
    struct sim_page **lost; /* a failed sync gave the page up: clean for the kernel, not on disk */
    size_t page_count;      /* of the three */
    size_t live_pages;
    size_t dirty_pages;
    size_t dirty_low, dirty_high; /* no dirty page outside */
    int64_t size_bytes;
    int64_t stable_bytes;
    int64_t modified_ms;
    uint64_t sequence;                  /* of the last change */
    uint64_t applied;                   /* the newest snapshot that became stable */
    struct sim_truncation *truncations; /* not yet stable */
    size_t truncation_count, truncation_capacity;
    struct hash_map entries; /* of a directory */
    struct sim_file *locked_by;
};

struct sim_inode *sim_inode_new(struct sim_disk *disk, bool is_directory);
struct sim_inode *sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_inode *inode); /* NULL-safe */
void sim_inode_recount(struct sim_inode *inode);
size_t sim_inode_read(const struct sim_inode *inode, void *buffer, size_t size_bytes,
                      int64_t position_bytes);
/* ERR_DISK_FULL with a prefix written. */
enum err sim_inode_write(struct sim_inode *inode, const uint8_t *data, size_t size_bytes,
                         int64_t position_bytes);
enum err sim_inode_truncate(struct sim_inode *inode, int64_t size_bytes);
enum err sim_inode_reserve(struct sim_inode *inode, int64_t position_bytes, int64_t size_bytes);
enum err sim_inode_flip(struct sim_inode *inode, int64_t position_bytes, uint8_t mask);

/* What a sync covers: taken when it begins, stable when it ends. */
struct sim_snapshot {
    struct sim_inode *inode;
    uint64_t sequence;
    int64_t size_bytes;
    size_t low;
    size_t count;
    struct sim_page **pages; /* NULL: was clean */
};
struct sim_snapshot *sim_snapshot_take(struct sim_inode *inode);
void sim_snapshot_apply(struct sim_snapshot *snapshot);
void sim_snapshot_lose(struct sim_snapshot *snapshot); /* the sync failed */
void sim_snapshot_release(struct sim_snapshot **snapshot);

struct sim_weights {
    uint32_t keep, drop, tear;
};
void sim_inode_crash(struct sim_inode *inode, const struct sim_weights *weights,
                     struct random *random, struct sim_counts *counts); /* sim_inode_crash.c */
/* For the two files of inodes. */
struct sim_page *sim_page_new(const struct sim_page *from);
void sim_page_set(struct sim_page **slot, struct sim_page *page); /* page: ref is given */
struct sim_page *sim_page_ref(struct sim_page *page);             /* NULL-safe */
void sim_inode_stable_truncate(struct sim_inode *inode, int64_t size_bytes);
void sim_inode_clean(struct sim_inode *inode); /* nothing is dirty any more */

/* ---- disks and names: sim_disk.c, sim_names.c ---- */
struct sim_disk {
    struct sim *sim;
    struct list_node inodes;
    struct list_node dirty;
    struct sim_inode *root;
    struct list_node changes; /* of names, not yet stable, oldest first */
    size_t change_count;
    uint64_t change_sequence;
    uint64_t mark;
    int64_t size_bytes;
    size_t used_pages;
    size_t dirty_pages;
    struct sim_page *reserved; /* stands for blocks that were reserved */
};

struct sim_entry {
    struct hash_map_node node;
    struct sim_inode *directory;
    char *name;
    struct sim_inode *live;
    struct sim_inode *stable;
    uint32_t changes;
    uint64_t mark; /* equals disk->mark: marked by the pass under way */
};

struct sim_change {
    struct list_node node;
    uint64_t sequence;
    bool is_wanted; /* by the sync under way */
    int count;
    struct sim_entry *entries[2];
    struct sim_inode *inodes[2]; /* what the entry names from then on; NULL: nothing */
};

struct sim_disk *sim_disk_new(struct sim *sim, int64_t size_bytes);
void sim_disk_release(struct sim_disk *disk);
bool sim_disk_has_page(const struct sim_disk *disk); /* one more fits */
void sim_disk_writeback(struct sim_disk *disk);
void sim_disk_crash(struct sim_disk *disk, const struct sim_weights *weights,
                    struct random *random);
void sim_entries_release(struct sim_inode *directory);

/* ERR_NOT_FOUND, ERR_TOO_LARGE (a name), ERR_IO (too deep). */
enum err sim_find(struct sim_disk *disk, const char *path, struct sim_inode **out);
enum err sim_name_open(struct sim_disk *disk, const char *path, unsigned flags,
                       struct sim_inode **out);
enum err sim_name_make_directory(struct sim_disk *disk, const char *path);
enum err sim_name_unlink(struct sim_disk *disk, const char *path);
enum err sim_name_remove_directory(struct sim_disk *disk, const char *path);
enum err sim_name_rename(struct sim_disk *disk, const char *from, const char *to);
enum err sim_name_list(struct sim_disk *disk, const char *path, struct arena *arena,
                       struct os_names *out);
/* Makes the changes in `directory` up to `sequence` stable, and what they need. */
void sim_names_sync(struct sim_inode *directory, uint64_t sequence);
void sim_names_crash(struct sim_disk *disk, const struct sim_weights *weights,
                     struct random *random);
/* Makes the oldest changes stable when there are very many. */
void sim_names_bound(struct sim_disk *disk);
/* Sorted live entries of a directory; the array is the caller's. */
struct sim_entry **sim_entries_sorted(const struct sim_inode *directory, size_t *count_out);

/* ---- file calls: sim_call.c, sim_fault.c ---- */
struct sim_file {
    struct os_file file;
    struct list_node node;
    struct sim_process *process;
    struct sim_inode *inode; /* NULL once the process is dead */
    char *path;
};

struct sim_io {
    enum sim_call call;
    /* in */
    struct sim_file *file;
    const char *path;
    const char *path_to;
    unsigned flags;
    void *buffer;
    const struct slice *slices;
    size_t slice_count;
    int64_t position_bytes;
    int64_t size_bytes;
    struct arena *arena;
    /* decided by sim_io_begin */
    bool has_fault;
    enum sim_effect effect;
    enum err fault_err;
    int64_t delay_ns;
    struct sim_snapshot *snapshot;
    struct sim_inode *directory;
    uint64_t change_sequence;
    /* out */
    struct os_file *opened;
    int64_t result;
    struct os_stat stat;
    struct os_names names;
};
/* Counts the call, decides its fault; at the armed call ends the process: ERR_CRASHED. */
enum err sim_io_begin(struct sim_process *process, struct sim_io *io);
/* Does what the call does; forgets what begin took. */
enum err sim_io_finish(struct sim_process *process, struct sim_io *io);
/* In part, wholly or not at all; forgets what begin took. */
void sim_io_cut(struct sim_process *process, struct sim_io *io);
void sim_io_forget(struct sim_io *io);
/* Both, as a blocking call. */
enum err sim_io_blocking(struct sim_process *process, struct sim_io *io);
int64_t sim_io_latency(struct sim_process *process, const struct sim_io *io);
void sim_file_release(struct sim_file *file);
void sim_file_orphan(struct sim_file *file);
void sim_fault_decide(struct sim_machine *machine, struct sim_io *io);

/* ---- ports: sim_port.c ---- */
struct sim_connect;
struct sim_work {
    struct list_node node;        /* port->under_way or port->ready */
    struct list_node socket_node; /* of the socket's queue */
    struct sim_event event;
    struct os_op *op;
    struct sim_port *port;
    struct sim_io io;
    struct sim_connect *connect;
    size_t slice_index; /* how far a send is */
    size_t slice_bytes;
    bool is_run; /* the job did its work; from run_ns to due_ns its calls pass */
    int64_t run_ns, due_ns;
    int64_t job_calls, job_syncs;
    int64_t *job_delays_ns; /* of run_ns to due_ns, by the number of the fault; NULL: none */
    size_t job_delay_count;
    bool is_file_call;
};

struct sim_port {
    struct os_port port;
    struct list_node node;
    struct sim_process *process;
    struct list_node under_way;
    struct list_node ready;
    void (*turn)(void *context);
    void *context;
    int64_t deadline_ns;
    struct sim_event ready_event;
    struct sim_event deadline_event;
};
static inline struct sim_port *sim_port_of(struct os_port *port)
{
    return CONTAINER_OF(port, struct sim_port, port);
}
enum err sim_port_create(struct os *os, struct os_port **out);
void sim_port_release(struct os_port *port);
void sim_port_submit(struct os_port *port, struct os_op *op);
size_t sim_port_poll(struct os_port *port, int64_t deadline_ns);
void sim_port_wake(struct os_port *port);
void sim_port_on_ready(struct os_port *port, void (*turn)(void *context), void *context);
void sim_port_set_deadline(struct os_port *port, int64_t deadline_ns);
/* The clock runs at another speed now. */
void sim_port_clock_changed(struct sim_port *port);
/* The outcome of the work is known: its operation is done at the next poll. */
void sim_work_complete(struct sim_work *work, enum err err, int64_t result);
/* The process is about to be ended: operations under way may take effect in part. */
void sim_port_cut(struct sim_port *port);
/* The process is dead: nothing of the port happens any more. */
void sim_port_end(struct sim_port *port);

/* ---- jobs: sim_job.c ---- */
void sim_job_run(struct sim *sim, struct sim_work *work);
/* The latencies of the machine's disk have changed: calls that jobs have yet to make take the new ones. */
void sim_jobs_redraw(struct sim_process *process);
/* The fault has ended: calls that jobs have yet to make are not delayed by it. */
void sim_jobs_hasten(struct sim_process *process, size_t fault);

/* ---- network: sim_link.c, sim_connection.c, sim_socket.c, sim_connect.c ---- */
struct sim_queue {
    uint8_t *bytes;
    size_t from;
    size_t size;
    size_t capacity;
};
void sim_queue_put(struct sim_queue *queue, const uint8_t *bytes, size_t size);
size_t sim_queue_take(struct sim_queue *queue, uint8_t *out, size_t size_max); /* out NULL: drops */
void sim_queue_clear(struct sim_queue *queue);

enum sim_segment_kind { SIM_SEGMENT_DATA, SIM_SEGMENT_FIN, SIM_SEGMENT_RESET };
struct sim_segment {
    struct list_node node;
    enum sim_segment_kind kind;
    size_t size;
    int64_t at_ns;
};

struct sim_connection;
/* One direction of a connection. */
struct sim_flow {
    struct sim_connection *connection;
    int from;
    struct sim_queue bytes; /* in the sender's kernel; the first in_flight of it are on the way */
    size_t in_flight;
    size_t unacknowledged;     /* arrived, but the acknowledgement cannot come back */
    struct list_node segments; /* on the way, in order */
    struct sim_queue received; /* in the receiver's kernel */
    bool fin_wanted;
    bool fin_sent;
    bool fin_received;
    int64_t last_at_ns;
    int64_t stalled_since_ns; /* -1: it flows */
    int64_t retry_ns;
    int64_t cut_bytes; /* may still arrive before the cut; -1: no cut */
    struct sim_event event;
    struct sim_event acknowledge;
};

struct sim_end {
    struct sim_machine *machine;
    struct sim_socket *socket; /* NULL: closed, or its process is gone */
    enum err err;              /* it was reset or timed out */
    bool is_gone;              /* this kernel knows nothing of the connection */
    char address[OS_ADDRESS_TEXT_BYTES];
    uint16_t port_number;
    size_t send_bytes;
    size_t receive_bytes;
};

struct sim_connection {
    struct list_node node;
    struct sim *sim;
    struct sim_end ends[2];   /* 0: who connected */
    struct sim_flow flows[2]; /* [i]: from ends[i] to ends[!i] */
};

struct sim_socket {
    struct os_socket socket;
    struct list_node node; /* process->sockets */
    struct sim_process *process;
    struct sim_port *port;             /* NULL: detached, or not yet accepted */
    struct sim_connection *connection; /* NULL: listening, or the process is dead */
    int end;
    struct list_node receives, sends, accepts; /* works in order */
    struct os_reader *reader;                  /* waits; no receive is there meanwhile */
    /* a listener */
    bool is_listener;
    bool is_any_address;
    char address[OS_ADDRESS_TEXT_BYTES];
    uint16_t port_number;
    size_t backlog_max, backlog_count;
    struct list_node backlog; /* sockets by backlog_node */
    struct list_node backlog_node;
    struct list_node listener_node; /* machine->listeners */
    size_t send_bytes, receive_bytes;
};
static inline struct sim_socket *sim_socket_of(struct os_socket *socket)
{
    return CONTAINER_OF(socket, struct sim_socket, socket);
}

struct sim_link_state *sim_link_between(struct sim_machine *from, struct sim_machine *to);
bool sim_is_blocked(struct sim_machine *from, struct sim_machine *to);
/* When `size` bytes that leave now arrive. */
int64_t sim_link_arrival(struct sim_machine *from, struct sim_machine *to, size_t size);
/* The machine and its own form of the address; NULL: no such machine. */
struct sim_machine *sim_resolve(struct sim_machine *from, const char *address, char *canonical_out);
uint16_t sim_free_port(struct sim_machine *machine);
struct sim_socket *sim_listener_find(struct sim_machine *machine, const char *address,
                                     uint16_t port_number);

struct sim_connection *sim_connection_new(struct sim *sim, struct sim_machine *from,
                                          struct sim_machine *to);
void sim_connection_release(struct sim_connection *connection);
/* Frees it when neither end holds it any more and nothing is on the way. */
void sim_connection_settle(struct sim_connection *connection);
void sim_flow_pump(struct sim_connection *connection, int from);
/* Both ends learn of it now. */
void sim_connection_reset(struct sim_connection *connection);
void sim_end_close(struct sim_connection *connection, int end, bool abort);
void sim_end_forget(struct sim_connection *connection, int end); /* power cut */
void sim_end_fail(struct sim_connection *connection, int end, enum err err);
size_t sim_end_space(const struct sim_connection *connection, int end);
void sim_segment_send(struct sim_connection *connection, int from, enum sim_segment_kind kind,
                      size_t size);

struct sim_socket *sim_socket_new(struct sim_process *process, struct sim_port *port);
void sim_socket_release(struct sim_socket *socket);
/* Completes what can be completed. */
void sim_socket_settle(struct sim_socket *socket);
void sim_socket_submit(struct sim_work *work);
/* The process dies. */
void sim_socket_end(struct sim_socket *socket, bool is_crash);
void sim_connect_submit(struct sim_work *work);
void sim_connect_cancel(struct sim_work *work);
void sim_connect_forget(struct sim_work *work);

enum err sim_listen(struct os_port *port, const char *address, uint16_t port_number, int backlog,
                    struct os_socket **out);
void sim_socket_close(struct os_socket *socket, bool abort);
void sim_socket_local_address(struct os_socket *socket, struct os_address *out);
void sim_socket_peer_address(struct os_socket *socket, struct os_address *out);
void sim_socket_set_buffers(struct os_socket *socket, int send_bytes, int receive_bytes);
void sim_socket_detach(struct os_socket *socket);
void sim_socket_attach(struct os_socket *socket, struct os_port *port);
void sim_socket_await(struct os_socket *socket, struct os_reader *reader);
bool sim_socket_is_readable(struct os_socket *socket);

#endif
