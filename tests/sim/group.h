/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group.h: groups of a world: their members, one an actor, and an administrator. A member speaks the classic
 * protocol (group_classic_member.c) or KIP-848 (group_modern_member.c), works at what it has (group_work.c), and leaves, dies,
 * pauses and comes back (actor_member.c). What it is told and does stands in the history (history.h, "Groups").
 */
#ifndef TESTS_SIM_GROUP_H
#define TESTS_SIM_GROUP_H

#include "peer.h"
#include "world.h"

#define GROUPS_MAX 2
#define GROUP_MEMBERS_MAX 4
#define OWNED_MAX (WORLD_SLOTS_MAX * WORLD_PARTITIONS_MAX)
#define GROUP_SESSION_MS 2000
#define GROUP_REBALANCE_MS 1500
/* Clocks of nodes run up to a fifth fast. */
#define GROUP_LEASE_MS (GROUP_REBALANCE_MS * 3 / 4)
#define GROUP_TIMEOUT_MS 3000
/* How long a request of a connection that was cut may still be under way. */
#define GROUP_DOUBT_MS 8000

/* world_options.group_script: three members, of which two come, one follows, one leaves and comes again, one
 * dies; the last script begins with classic members and goes to the other protocol and back. */
enum group_script {
    SCRIPT_NONE,
    SCRIPT_EAGER,
    SCRIPT_COOPERATIVE,
    SCRIPT_MODERN,
    SCRIPT_MIGRATION,
    SCRIPT_COUNT
};

struct member;

struct world_group {
    char name[16];
    int32_t number;      /* of the history */
    bool is_cooperative; /* its classic members */
    bool has_classic, has_modern;
    bool ends_classic; /* what all members speak in the end */
    bool is_told;      /* that it is drained */
    int member_count;
    struct member *members[GROUP_MEMBERS_MAX];
    int64_t exodus_until_ns; /* all members leave */
};
/* Which partitions of __consumer_offsets have a coordinator that is loaded. */
struct group_loads {
    struct logger logger;
    struct sim *sim;
    const struct world_node *node;
    int starts; /* of the process that said so */
    uint32_t known, loaded;
    int64_t changed_ns;
};
struct world_groups {
    struct world_group items[GROUPS_MAX];
    int count;
    struct group_loads loads;
};

struct owned { /* a partition that the member has */
    struct uuid topic_id;
    int32_t partition;
    int slot;      /* -1: the world does not know the topic (yet) */
    int32_t topic; /* of the history; -1: as above */
    bool is_known; /* the committed offset was read */
    bool needs_start;
    int64_t position, committed; /* -1: none */
    int64_t fetching_from;       /* -1: not asked for */
    int64_t commit_op, commit_value, look_op;
    bool is_through; /* in the last phase */
    int empty_answers;
    int64_t log_start;
};

/* What a member that is none any more believes to be. */
struct ghost {
    char id[64];
    int32_t generation, topic, partition;
    struct uuid topic_id;
    int64_t position, due_ns; /* 0: none */
    int64_t op;
    bool is_busy;
    struct peer_request request;
};

enum membership { MEMBER_OUT, MEMBER_JOINING, MEMBER_SYNCING, MEMBER_IN };

struct member {
    struct actor *actor;
    struct world_group *group;
    struct peer *work; /* its second connection: reads and commits */
    int place;
    bool is_classic; /* at present */
    bool is_static;
    bool uses_regex;
    char instance[32];
    char id[64]; /* "": none was given yet */
    int32_t incarnation;
    enum membership state;
    int32_t generation; /* or member epoch */
    int64_t out_until_ns, silent_until_ns;
    int64_t next_beat_ns;
    int64_t sent_ns;        /* the request of the coordinator's connection that is under way */
    int64_t good_beat_ns;   /* when the last one that was answered well was sent */
    int64_t doubt_until_ns; /* an older request may still come to the coordinator */
    int doubt_starts;
    bool is_busy;         /* a request of membership is under way */
    bool has_coordinator; /* FindCoordinator named one; the first one asked for makes the topic */
    bool is_told_all;     /* modern: the coordinator knows the subscription */
    bool must_rejoin;
    bool has_dropped;     /* something since it asked to join: its leader was told that it has it */
    int64_t dropped_ns;   /* when it last did */
    uint32_t waits_for;   /* slots: it was given partitions of a topic that is not there (yet) */
    uint32_t script_done; /* steps */
    int64_t join_op;
    struct peer_request request;
    /* classic */
    char leader[64];
    uint32_t seen_generations[WORLD_SLOTS_MAX]; /* topics as the leader saw them */
    int32_t seen_partitions[WORLD_SLOTS_MAX];
    uint64_t claimed[WORLD_SLOTS_MAX]; /* group_claims.c */
    uint64_t telling[WORLD_SLOTS_MAX]; /* by the JoinGroup under way */
    bool is_back;                      /* that one is of a static member without an id */
    /* what it has */
    struct owned owned[OWNED_MAX];
    int owned_count;
    struct peer_request work_request, commit_request, look_request;
    bool is_fetching, is_committing, is_looking;
    int look_index;
    int64_t next_commit_ns;
    struct ghost ghost;
};

extern const struct actor_type actor_member, actor_group_admin;

/* groups.c */
void groups_add(struct world *world);
/* Every partition of every live topic has one owner among the members, and nobody joins. */
bool group_is_whole(const struct world *world, const struct world_group *group);
/* Why it is not whole or not drained. */
void group_describe(const struct world *world, const struct world_group *group, char *out,
                    size_t capacity_bytes);
const struct owned *group_owner(const struct world_group *group, const struct slot *slot,
                                int32_t partition);

/* group_loads.c */
void group_loads_init(struct group_loads *loads, struct world *world);
/* All are loaded, and were at that time. */
bool group_loads_are_done(const struct group_loads *loads, int64_t since_ns);

/* group_work.c: reads, processes and commits what the member has. */
void member_work(struct member *member);
void member_commit_all(struct member *member);
void member_ghost_act(struct member *member);
/* Is this the answer that says "later" or "elsewhere"? */
bool group_is_on_the_move(enum err err);

/* group_own.c: what a member has, and what the history is told of it. */
void member_event_init(const struct member *member, struct history_event *event,
                       enum history_kind kind, enum history_phase phase);
/* Takes what is new, gives up what is not listed. True: something was given up. */
struct assigned {
    struct uuid topic_id;
    int32_t partition;
};
bool member_assign(struct member *member, const struct assigned *list, int count);
void member_give_up_all(struct member *member);
void member_beat(struct member *member, int64_t sent_ns); /* answered well */
/* It is no member any more. */
void member_lost(struct member *member, const char *why);
void member_resolve(struct member *member); /* topics that the world has come to know */
void member_joins(struct member *member);
void member_join_ends(struct member *member, enum history_phase phase);
/* The connection ended under a request. */
void member_doubts(struct member *member);
bool group_answer_is_known(struct member *member, const char *what, enum err err);

/* group_claims.c: what a leader may believe the member to have, and withhold from others for it. */
void member_claims_tell(struct member *member);   /* with a JoinGroup */
void member_claims_heard(struct member *member);  /* it was answered well */
void member_claims_forget(struct member *member); /* its group has */
bool member_claims_are_denied(const struct member *member, const struct assigned *list, int count);

/* The two protocols: one step each; leave in good order. */
void member_classic_step(struct member *member);
void member_classic_leave(struct member *member);
/* It has let go of a name that its group, which was upgraded meanwhile, takes for the topic of now. */
bool member_classic_asks_again(const struct member *member);
void member_modern_step(struct member *member);
void member_modern_leave(struct member *member);
/* The heartbeat that it would send; what it makes of an answer, NULL: none came. */
struct consumer_group_heartbeat_request;
struct consumer_group_heartbeat_response;
void member_modern_request(const struct member *member, int32_t epoch, struct arena *arena,
                           struct consumer_group_heartbeat_request *body);
void member_modern_answered(struct member *member,
                            const struct consumer_group_heartbeat_response *answer);

/* group_embedded.c: the bytes of the classic consumer protocol, and the assignors that a leader runs. */
struct embedded_member {
    struct slice id, instance;
    struct assigned owned[OWNED_MAX];
    int owned_count;
    int32_t generation;
    struct assigned given[OWNED_MAX];
    int given_count;
};
struct slice embedded_subscription(const struct member *member, struct arena *arena);
void embedded_subscription_read(const struct world *world, struct slice bytes,
                                struct embedded_member *out);
struct slice embedded_assignment(const struct world *world, const struct assigned *list, int count,
                                 struct arena *arena);
/* False: it cannot be read. unknown_out: slots that it names and that are not live. */
bool embedded_assignment_read(const struct world *world, struct slice bytes, struct assigned *list,
                              int *count_out, uint32_t *unknown_out);
void assign_eager(const struct world *world, struct embedded_member *members, int count);
void assign_cooperative(const struct world *world, struct embedded_member *members, int count);

#endif
