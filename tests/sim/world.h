/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/world.h: one seed's world: nodes, client machines, topics, the actors that use them, the faults that strike
 * them, and the history of what clients saw. docs/design/simulation.md.
 *
 * Phases  FAULTS: actors work, faults come and go. DRAIN: all faults are off, nothing new is begun, what is under
 *         way must end within 10 s of virtual time (L1). FINAL: every partition is read whole, within 10 s.
 *         DONE: the nodes stop in good order. Then the history is judged.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "history.h"
#include "sim_node.h"

#include <stdio.h>

#define WORLD_NODES_MAX 5
#define WORLD_CLIENTS 2
#define WORLD_SLOTS_MAX 4
#define WORLD_PARTITIONS_MAX 6
#define WORLD_ACTORS_MAX 40
#define WORLD_FAULTS_MAX 24
#define WORLD_DIRECTORIES_MAX 3
#define MS ((int64_t)1000000)

struct world;
struct world_groups;
struct world_transactions;
struct fault;
struct peer;

enum world_phase { WORLD_FAULTS, WORLD_DRAIN, WORLD_FINAL, WORLD_DONE };

/* ---- knobs.c: what is drawn per seed ---- */
struct knobs {
    int32_t shards;
    int32_t directories;
    bool is_flush_os;
    bool has_groups;
    int64_t run_ms;
    char properties[4096];
    /* of topics */
    char segment_bytes[16], index_interval[16], segment_ms[24], flush_messages[24];
    int64_t retention_ms, retention_bytes; /* -1: for ever */
};
void knobs_draw(struct random *random, int node_count, struct knobs *out);
/* Without what loses or removes records; the same for the same number. */
void knobs_fix(uint64_t number, struct knobs *out);

/* ---- topics: what actors know of them ---- */
struct slot {
    char name[16];
    struct uuid id;
    int32_t topic; /* of the history; changes with each incarnation */
    int32_t partitions;
    uint32_t generation; /* counts incarnations; 0: never made */
    bool is_live;
    bool is_churn; /* deleted and made anew */
    int64_t
        high_watermarks[WORLD_PARTITIONS_MAX]; /* highest heard, for those who look for a place */
};

/* ---- nodes ---- */
enum node_state { NODE_DOWN, NODE_STARTING, NODE_UP, NODE_STOPPING };
struct world_node {
    struct sim_node node;
    char name[16];
    enum node_state state;
    int64_t due_ns;          /* down: when it starts; stopping: when it is killed */
    enum history_mark armed; /* how a crash at the n-th call is to be marked */
    bool is_paused;
    bool needs_restart; /* a directory may be offline */
    int64_t last_wall_ms;
    int starts, start_failures;
};

/* ---- actors: workloads ---- */
struct actor {
    const struct actor_type *type;
    struct world *world;
    struct os *machine;
    struct peer *peer;
    struct random random;
    int32_t process;
    int64_t tick_ms; /* mean distance of ticks */
    void *own;       /* own_bytes, zeroed */
};
struct actor_type {
    const char *name;
    size_t own_bytes;
    void (*begin)(struct actor *actor, int number);
    void (*tick)(struct actor *actor);                  /* with or without a connection */
    bool (*is_drained)(const struct actor *actor);      /* of the phase at hand */
    const char *(*describe)(const struct actor *actor); /* why it is not drained; may be NULL */
};
extern const struct actor_type actor_producer, actor_consumer, actor_final_reader, actor_topics,
    actor_trimmer, actor_searcher;

/* ---- faults: a file nemesis_*.c each ---- */
struct nemesis {
    const char *name;
    bool is_instant; /* `end` is not called */
    void (*begin)(struct world *world, struct fault *fault);
    void (*end)(struct world *world,
                struct fault *fault); /* also when the node was restarted meanwhile */
};
struct fault {
    const struct nemesis *kind;
    int number;
    int64_t at_ns, until_ns;
    struct world_node *node;
    struct random random; /* its own: leaving one out changes nothing in the others */
    bool is_on, is_past;
    int32_t words[16]; /* of the kind */
};
extern const struct nemesis nemesis_power, nemesis_kill, nemesis_crash_at, nemesis_stop,
    nemesis_pause, nemesis_clock, nemesis_cut, nemesis_slow_link, nemesis_reset, nemesis_slow_disk,
    nemesis_slow_log, nemesis_full_disk, nemesis_disk_error, nemesis_rot_cache, nemesis_rot_log;
extern const struct nemesis *const nemeses[];
extern const size_t nemesis_count;

/* ---- the world ---- */
/* One crash at a chosen step instead of a plan: at the n-th call to the disk, or after n milliseconds; both count
 * from WORLD_STRIKE_FROM_MS on. */
#define WORLD_STRIKE_FROM_MS 50
enum world_strike {
    STRIKE_NONE,
    STRIKE_POWER_AT_CALL,
    STRIKE_KILL_AT_CALL,
    STRIKE_POWER_AT_TIME,
    STRIKE_KILL_AT_TIME,
    STRIKE_COUNT
};
struct world_options {
    uint64_t seed;
    int node_count;          /* 0: 1 */
    uint32_t kinds_without;  /* set of nemeses (by index) that do not strike */
    uint32_t faults_without; /* set of faults (by number) that do not strike */
    uint64_t points_without; /* set of fault points that stay off */
    int64_t run_ms;          /* 0: drawn */
    enum world_strike strike;
    int64_t strike_at;
    int group_script;       /* group.h: one group whose members do what is written; 0: none */
    int transaction_script; /* transaction.h: tellers do what is written; 0: none */
    int with_transactions;  /* -1: never; 0: drawn, three worlds in ten; 1: always */
    int with_groups;        /* -1: never; 0: drawn, two worlds in five; 1: always */
    size_t trace_count;     /* last events kept for the report */
    bool is_loud;           /* tells faults and phases on stderr */
};
struct world {
    struct world_options options;
    struct sim *sim;
    struct random random; /* of the plan */
    struct knobs knobs;
    enum world_phase phase;
    int64_t phase_began_ns;
    struct world_node nodes[WORLD_NODES_MAX];
    int node_count;
    struct os *clients[WORLD_CLIENTS];
    struct slot slots[WORLD_SLOTS_MAX];
    int slot_count;
    struct actor actors[WORLD_ACTORS_MAX];
    int actor_count;
    struct fault faults[WORLD_FAULTS_MAX];
    int fault_count;
    uint32_t kinds_struck; /* set of nemeses */
    struct history *history;
    struct history_report report;
    struct world_groups *groups;             /* group.h; NULL: none */
    struct world_transactions *transactions; /* transaction.h; NULL: none */
    int64_t next_op, next_value;
    int64_t jumped_ms; /* wall clocks, in all */
    bool is_damaged, may_forget, may_expire, had_power_cut, has_rotted_points;
    char failure[1024];
    uint64_t hash;
    int64_t simulated_ns;
    struct sim_counts counts;
};

/* Runs the whole life of a world. False: world->failure. world_release in any case. */
bool world_run(struct world *world, const struct world_options *options);
void world_release(struct world *world);
/* For reports: what was drawn and what struck. */
void world_describe(const struct world *world, FILE *out);

/* ---- for actors and nemeses ---- */
void world_fail(struct world *world, const char *format, ...)
    PRINTF_LIKE(2, 3); /* the first one counts */
void world_say(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3); /* when loud */
/* Time, wall clock and, for an invocation without one, a new op are filled in. Returns the op. */
int64_t world_event(struct world *world, struct history_event *event);
void world_mark(struct world *world, enum history_mark mark);
struct actor *world_actor_add(struct world *world, const struct actor_type *type, int number);
void world_power_cut(struct world *world, struct world_node *node);
void world_kill(struct world *world, struct world_node *node);
void world_stop(struct world *world, struct world_node *node); /* orderly */
/* Nodes that are down are started, those that came up or ended are seen. */
void world_supervise(struct world *world);
/* Lets time go on until then, with the supervisor. */
void world_advance(struct world *world, int64_t until_ns);
/* "/data0/" … */
void world_directory(int index, char *out, size_t capacity_bytes);
struct slot *world_slot(struct world *world, struct random *random,
                        bool with_churn); /* NULL: none is live */

#endif
