/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_actors.h: consumers of both protocols on a simulated machine, and what they know: who may own which
 * partition (G1), which offsets were promised (G2), that a stale member commits nothing (G3).
 */
#ifndef TESTS_SIM_GROUP_ACTORS_H
#define TESTS_SIM_GROUP_ACTORS_H

#include "history.h"
#include "sim_client.h"

#include "base/random.h"
#include "base/uuid.h"

#define GROUP_PARTITIONS 8
#define GROUP_MEMBERS 4
#define GROUP_SESSION_NS (45 * (int64_t)1000000000)

/* What is known of one group's offsets of the topic. */
struct offset_book {
    char group[24];
    int64_t sent[GROUP_PARTITIONS]; /* highest value that was ever sent */
};

struct group_member {
    struct sim_client *client;
    char id[64];
    int32_t epoch; /* member epoch, or generation; consumer groups: 0 is not joined */
    uint32_t owned;
    int64_t last_beat_ns;    /* when the last heartbeat that was answered was sent */
    int64_t paused_until_ns; /* silent until then */
    char assignment[32];     /* classic: of its generation */
};

struct group_lab {
    struct sim *sim;
    const char *host;
    struct random random;
    struct sim_client *client; /* for everybody's fetches and simple commits */
    struct uuid topic_id;
    bool is_ready; /* topic and coordinator were there */
    struct group_member consumers[GROUP_MEMBERS];
    struct group_member classics[GROUP_MEMBERS];
    int32_t ids;
    struct offset_book simple, consumer, classic;
    int64_t commits, beats, rounds, fetches; /* that were answered well */
    struct history *history;                 /* judged by group_lab_judge */
    int64_t ops;
    char failure[512];
};

void group_lab_init(struct group_lab *lab, struct sim *sim, struct os *machine, const char *host);
void group_lab_release(struct group_lab *lab);
/* One thing that some consumer does. Errors of connections and of coordinators on the move are part of the
 * game; what contradicts a promise goes to `failure`. */
void group_lab_step(struct group_lab *lab, int64_t deadline_ns);
/* With a node that serves: every book is held against what the coordinator has. */
void group_lab_check(struct group_lab *lab, int64_t deadline_ns);

/* The history by its rules (G1, G2, G3): what is wrong goes to `failure`. */
void group_lab_judge(struct group_lab *lab);
/* An event of the group of this book; partition -1: none. Returns its op. */
int64_t group_event(struct group_lab *lab, enum history_kind kind, enum history_phase phase,
                    const struct offset_book *book, int32_t partition, struct history_event more);

/* group_classic.c: all members join, sync, beat and commit once; some may be silent. */
void group_classic_round(struct group_lab *lab, int64_t deadline_ns);

/* What both share. */
void group_lab_fail(struct group_lab *lab, const char *format, ...) PRINTF_LIKE(2, 3);
bool group_connected(struct group_lab *lab, struct sim_client *client, int64_t deadline_ns);
enum group_commit_outcome { COMMIT_LOST, COMMIT_REFUSED, COMMIT_DONE };
/* The next value of the partition; generation -1 and id "": a simple commit. */
enum group_commit_outcome group_commit(struct group_lab *lab, struct sim_client *client,
                                       struct offset_book *book, int32_t partition, const char *id,
                                       int32_t generation, int64_t deadline_ns);
/* Errors that say "later" or "elsewhere". */
bool group_moves(enum err err);

#endif
