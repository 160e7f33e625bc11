/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim.h: the simulated table behind os.h. Any number of machines, their disks, clocks and network
 * run in one thread, in virtual time, from one seed. docs/design/simulation.md.
 *
 * Invariants  1. The same seed, options and calls give the same events and the same sim_hash.
 *             2. Bytes that a sync covered survive every crash. What was written and not synced
 *                survives by 512-byte sector: kept, dropped or torn, in any subset.
 *             3. A change of names survives for certain once its directory was synced; before that a
 *                crash keeps or undoes it, later changes of the same name never without earlier ones.
 *             4. Virtual time moves only in sim_step and what is built on it.
 * Errors      Lack of memory for the simulator's own events is an assertion: it is a test tool.
 * Threads     One simulation belongs to one thread; simulations of several threads share nothing.
 *
 * Life of a machine: sim_machine_create powers it on; sim_machine_crash (power cut) or
 * sim_machine_kill (the process dies, the kernel lives) ends the `struct os`; sim_machine_restart
 * gives a fresh one on the surviving disk. Every sim_* call on a machine takes any `struct os` that
 * the machine had and that was not released.
 *
 * A dead `struct os`: blocking calls and submitted operations answer ERR_CRASHED, `turn` is not called
 * any more and operations under way are forgotten. Whoever wants to take a dead node apart may still
 * call os_port_poll(port, 0), which completes them with ERR_CRASHED, and close and release everything;
 * whoever does not may free the operations at once: the simulator does not touch them again.
 */
#ifndef OS_SIM_H
#define OS_SIM_H

#include "base/random.h"
#include "os/os.h"

struct sim;

/* Uniform in [min, max]; once in `slow_one_in` draws (0: never) uniform in [max, slow]. */
struct sim_latency {
    int64_t min_ns;
    int64_t max_ns;
    int64_t slow_ns;
    uint32_t slow_one_in;
};

/* One direction between two machines, or a machine's way to itself. */
struct sim_link {
    bool is_blocked; /* packets vanish; senders try again until the connection times out */
    struct sim_latency latency;
    int64_t bandwidth_bytes_s; /* 0: unbounded */
    int segment_bytes_max;     /* streams arrive in random pieces of 1…this */
    uint32_t loss_one_in;      /* segments that need a retransmission; 0: none */
    uint32_t cut_one_in;       /* segments in whose midst the connection is reset; 0: none */
};

struct sim_options {
    int64_t start_wall_ms;
    /* Of the machines created from now on; sim_machine_set_disk and sim_link_set change them. */
    struct sim_latency disk_latency; /* read, write and calls on names */
    struct sim_latency sync_latency;
    struct sim_latency job_latency;
    struct sim_latency turn_latency; /* from a completion, wake or deadline to the turn; min ≥ 1 */
    struct sim_link link;            /* between machines */
    struct sim_link loopback;        /* from a machine to itself */
    int64_t disk_bytes;              /* capacity */
    int64_t writeback_bytes;         /* older unsynced writes become durable beyond this */
    int64_t retransmit_ns_max;
    int64_t connect_timeout_ns;
    int64_t connection_timeout_ns; /* how long unacknowledged bytes are sent again */
    int socket_send_bytes;         /* default of os_socket_set_buffers */
    int socket_receive_bytes;
    int core_count;
    int64_t descriptors_max; /* what the process is told; opening more is no fault */
    size_t trace_count;      /* events kept for sim_trace; 0: none */
};

void sim_options_default(struct sim_options *options);
/* options NULL: the default. */
MUST_USE enum err sim_create(uint64_t seed, const struct sim_options *options, struct sim **out);
/* Frees every machine and whatever their processes left behind. No `struct os` is valid after. */
void sim_release(struct sim **sim);

/* ---- running ---- */
int64_t sim_now_ns(const struct sim *sim); /* virtual, from 0 */
/* Runs the next event; false when there is none. */
bool sim_step(struct sim *sim);
/* Steps until done(context) holds (asked before the first and after each event), the next event lies
 * behind deadline_ns (virtual time is then deadline_ns) or nothing is left to happen. `done` may be
 * NULL. True when it was `done` that ended it. */
bool sim_run_until(struct sim *sim, int64_t deadline_ns, bool (*done)(void *context),
                   void *context);
/* For an assertion hook that goes on from within an event, as a supervisor would: the event is over, its stack
 * is never returned to, and the machine that it ran on is killed next. */
void sim_step_abandon(struct sim *sim);
/* Calls `call` as an event of its own: faults, workloads. */
void sim_call_at(struct sim *sim, int64_t at_ns, void (*call)(void *context), void *context);
/* Over all events so far: kind, time, machine and outcome of each. */
uint64_t sim_hash(const struct sim *sim);
uint64_t sim_seed(const struct sim *sim);
/* Starts the stream called `name` of the simulation's seed, for schedules and workloads. */
void sim_random_init(const struct sim *sim, struct random *random, const char *name);

struct sim_counts {
    uint64_t events;
    uint64_t io_calls;         /* file calls of all machines, blocking or submitted */
    uint64_t blocking_in_turn; /* blocking file calls made by a running shard, which os.h forbids */
    uint64_t sectors_dropped;  /* by power cuts */
    uint64_t sectors_torn;
    uint64_t names_undone;
};
void sim_counts(const struct sim *sim, struct sim_counts *out);

/* The last options.trace_count events, oldest first, one line each without newline. */
void sim_trace(const struct sim *sim, void (*line)(void *context, const char *text), void *context);

/* ---- machines ---- */
/* `name` is unique; others reach the machine by it, by "10.0.x.y" as os_socket_local_address tells,
 * and by further names (sim_machine_add_address). "localhost", "127.…" and "::1" are the machine
 * itself unless another machine was given that very address. */
MUST_USE enum err sim_machine_create(struct sim *sim, const char *name, struct os **out);
void sim_machine_add_address(struct os *os, const char *address);
bool sim_machine_is_up(const struct os *os); /* is this `struct os` alive? */
const char *sim_machine_name(const struct os *os);

struct sim_crash_options {
    /* What becomes of each unsynced sector, as weights; all 0: chosen anew by each crash, so that
     * crashes that keep all, drop all and mix are all seen. */
    uint32_t keep_weight, drop_weight, tear_weight;
};
/* Power cut: see invariants 2 and 3. Connections of the machine end without a word to the peers.
 * options NULL: weights chosen by the seed. */
void sim_machine_crash(struct os *os, const struct sim_crash_options *options);
/* The process dies: everything written is kept (and still not synced), sockets are closed. */
void sim_machine_kill(struct os *os);
/* The machine must be down. *out may be the old `struct os`'s variable; release that one first or
 * leave it to sim_release. */
MUST_USE enum err sim_machine_restart(struct os *os, struct os **out);
/* The n-th file call from now (0-based; blocking calls and submitted operations alike) is cut short
 * by a power cut: it fails with ERR_CRASHED and has taken effect in part, wholly or not at all, and so
 * does every later one. -1 disarms. */
void sim_machine_crash_at(struct os *os, int64_t n, const struct sim_crash_options *options);
/* The same with sim_machine_kill. */
void sim_machine_kill_at(struct os *os, int64_t n);
/* File calls that this `struct os` has made. */
int64_t sim_machine_io_calls(const struct os *os);
/* SIGSTOP and SIGCONT: no turn and no job runs; clocks, disk and kernel sockets go on. */
void sim_machine_pause(struct os *os);
void sim_machine_resume(struct os *os);
/* Calls what os_on_signal was given, as an event. */
void sim_machine_signal(struct os *os, int signal);

/* ---- clocks ---- */
void sim_wall_jump(struct os *os, int64_t delta_ms);
void sim_wall_stall(struct os *os, bool is_stalled);
/* Both clocks of the machine run fast (or slow) by parts per million, |ppm| < 500,000. */
void sim_clock_drift(struct os *os, int32_t ppm);

/* ---- disks ---- */
void sim_machine_set_disk(struct os *os, const struct sim_latency *disk_latency,
                          const struct sim_latency *sync_latency);
/* May be below what is used: then nothing grows until enough was freed. */
void sim_disk_set_capacity(struct os *os, int64_t size_bytes);
/* Bit rot: inverts the bits of `mask` in the stored byte, for all future readers. ERR_NOT_FOUND when
 * the file is not there or shorter. */
MUST_USE enum err sim_disk_flip(struct os *os, const char *path, int64_t position_bytes,
                                uint8_t mask);
/* Whole content of a file as the running process would see it, for checkers: no call is counted and
 * no fault strikes; works while the machine is down. */
MUST_USE enum err sim_disk_peek(struct os *os, const char *path, struct arena *arena,
                                struct slice *out);
/* Every file, with its whole path, in bytewise order of paths; directories end in "/". */
MUST_USE enum err sim_disk_walk(struct os *os, struct arena *arena, struct os_names *out);
/* Exchanges the disks of two machines that are down; both need their own reboot after. */
void sim_disk_swap(struct os *a, struct os *b);
/* Empties the disk of a machine that is down: replaced by a new one. */
void sim_disk_wipe(struct os *os);

enum sim_call {
    SIM_CALL_OPEN,
    SIM_CALL_READ,
    SIM_CALL_WRITE,
    SIM_CALL_SYNC,
    SIM_CALL_TRUNCATE,
    SIM_CALL_RESERVE,
    SIM_CALL_STAT,
    SIM_CALL_LIST,
    SIM_CALL_MAKE_DIRECTORY,
    SIM_CALL_SYNC_DIRECTORY,
    SIM_CALL_RENAME,
    SIM_CALL_UNLINK,
    SIM_CALL_REMOVE_DIRECTORY,
    SIM_CALL_LOCK,
    SIM_CALL_COUNT
};
#define SIM_CALLS_ALL ((1u << SIM_CALL_COUNT) - 1)

enum sim_effect {
    SIM_EFFECT_ERROR,     /* `err`; a write may have written any prefix, a sync loses its data */
    SIM_EFFECT_LOSE,      /* writes: says OK and writes nothing */
    SIM_EFFECT_MISDIRECT, /* writes: says OK and writes at another sector of the same file */
    SIM_EFFECT_FLIP,      /* reads: one bit of the answer is inverted, not of what is stored */
    SIM_EFFECT_DELAY,     /* submitted operations take `delay_ns` longer */
};

struct sim_fault {
    unsigned calls;        /* set of 1u << SIM_CALL_… */
    const char *path_part; /* copied; only paths that contain it; NULL: all */
    int64_t skip_count;    /* matching calls that pass before the fault may strike */
    uint32_t one_in;       /* then by chance; 0 and 1: each */
    bool is_sticky; /* having struck once it strikes each matching call; else it is used up */
    enum sim_effect effect;
    enum err err;
    int64_t delay_ns;
};
/* The number of the fault, for sim_fault_remove and sim_fault_hits. Faults outlive restarts. */
int sim_fault_add(struct os *os, const struct sim_fault *fault);
void sim_fault_remove(struct os *os, int number);
void sim_faults_clear(struct os *os);
int64_t sim_fault_hits(const struct os *os, int number);

/* ---- network ---- */
void sim_link_get(struct os *from, struct os *to, struct sim_link *out);
void sim_link_set(struct os *from, struct os *to, const struct sim_link *link);
/* Both directions. */
void sim_partition(struct os *a, struct os *b, bool is_blocked);
/* Resets every connection between the two machines (of one machine with itself: a == b) now. */
void sim_connections_reset(struct os *a, struct os *b);
/* Resets the connection of a connected socket when `after_bytes` more bytes of what this end sends
 * have reached the peer; not one byte more arrives. */
void sim_socket_cut(struct os_socket *socket, int64_t after_bytes);
/* Open connections of the machine's present process, listening sockets not counted. */
size_t sim_machine_connections(const struct os *os);

#endif
