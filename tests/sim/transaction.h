/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/transaction.h: transactions of a world: tellers that move amounts between keys of several partitions (each
 * transaction sums to nothing), some of which consume a partition and commit its offsets in the same transaction; readers
 * under both isolation levels; a bank that makes the topics and looks at everything. What happens stands in the
 * history (history.h, "Transactions").
 *
 * A teller has a transactional id and up to two instances of its program: one that serves, and perhaps a zombie:
 * it was paused, another has taken its place, and it goes on where it was.
 */
#ifndef TESTS_SIM_TRANSACTION_H
#define TESTS_SIM_TRANSACTION_H

#include "peer.h"
#include "world.h"

#define BANK_TOPICS 2
#define BANK_PARTITIONS_MAX 4
#define TELLERS_MAX 5
#define TELLER_SENDS_MAX 5
#define TELLER_KEYS 4 /* of a compacted partition */
#define TELLER_TIMEOUT_MS 3000
#define TELLER_LATE_MAX 4

/* world_options.transaction_script: what one teller does; the run is short and the node ends once. */
enum transaction_script {
    TRANSACTION_NONE,
    TRANSACTION_V1,       /* commits and aborts of the first protocol */
    TRANSACTION_V2,       /* of the second */
    TRANSACTION_V1_CHAIN, /* with offsets */
    TRANSACTION_V2_CHAIN,
    TRANSACTION_FENCED, /* both protocols; each transaction is fenced by a successor */
    TRANSACTION_SCRIPT_COUNT
};

struct bank_topic {
    char name[24];
    struct uuid id;
    int32_t topic; /* of the history */
    int32_t partitions;
    bool is_compacted, is_live;
};

struct teller;
enum step { /* what an instance is to do next */
            STEP_FIND,
            STEP_FIND_GROUP,
            STEP_INIT,
            STEP_OFFSETS,
            STEP_READ,
            STEP_BEGIN,
            STEP_ADD,
            STEP_ADD_GROUP,
            STEP_SEND,
            STEP_MOVE,
            STEP_END,
            STEP_COUNT
};
enum send_state { SEND_NEW, SEND_IN_FLIGHT, SEND_DONE, SEND_GIVEN_UP };

struct send { /* one batch of the transaction */
    struct peer_request request;
    struct instance *instance;
    int topic;
    int32_t partition;
    int64_t first_value, amounts[3];
    int32_t count, key, base_sequence;
    int64_t timestamp_ms;
    int64_t op; /* -1: never sent */
    enum send_state state;
    bool is_maybe; /* an attempt without an answer, or with one that leaves it open */
};

struct instance {
    struct teller *teller;
    struct peer *coordinator, *data;
    struct peer_request request;
    bool is_alive, is_busy;
    bool is_zombie; /* its successor has begun */
    enum step step;
    int64_t paused_until_ns, next_ns;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequences[BANK_TOPICS][BANK_PARTITIONS_MAX];
    bool needs_raise; /* the first protocol: a batch was given up, another epoch is due */
    int64_t init_op;
    /* the transaction; number -1: none is open */
    int64_t number;
    bool is_commit; /* what is wanted */
    bool is_joined; /* something was added, or may have been */
    struct send sends[TELLER_SENDS_MAX];
    int send_count;
    int64_t end_op;
    bool end_is_maybe;
    /* what was consumed */
    int64_t position, read_to, moved_to, move_op, look_op;
    bool has_move, move_is_done, move_is_maybe;
};

struct late_batch { /* on its way although its sender has given it up */
    int64_t at_ns;
    int topic;
    int32_t partition;
    uint8_t *bytes;
    size_t size_bytes;
};

struct teller {
    struct actor *actor;
    int number;
    char id[24], group[24];
    int32_t history_id, history_group;
    bool is_v2, is_chain;
    int16_t produce_version;
    int32_t timeout_ms; /* of its transactions */
    int input_topic;
    int32_t input_partition;
    struct instance instances[2];
    int64_t born_at_ns; /* the next instance; 0: not planned */
    int transactions_left;
    bool has_looked; /* its group has a coordinator */
    bool has_late;   /* some of its batches come late */
    struct random late_random;
    struct late_batch late[TELLER_LATE_MAX];
    int late_count;
    struct peer *late_peer;
    struct peer_request late_request;
    bool late_is_busy;
};

struct world_transactions {
    struct bank_topic topics[BANK_TOPICS];
    int topic_count;
    int64_t next_number;
    int teller_count;
    struct teller *tellers[TELLERS_MAX];
};

extern const struct actor_type actor_bank, actor_teller, actor_bank_reader, actor_bank_final_reader;

/* transactions.c: decides whether the world has any, and adds properties; then the actors. */
void transactions_draw(struct world *world);
void transactions_add(struct world *world);
/* "L1": a transaction is open although all is quiet. NULL: none. */
struct bank_topic *bank_topic_of(struct world *world, int index);

/* teller_steps.c, teller_transaction.c: one step of an instance that may act now. */
void instance_step(struct instance *instance);
void instance_step_in_transaction(struct instance *instance);
void instance_begin(struct instance *instance);
/* It ends; what it had sent and not heard of stays open. `why` NULL: it crashes. */
void instance_die(struct instance *instance, const char *why);
void instance_after_end(struct instance *instance);
void instance_event(const struct instance *instance, struct history_event *event,
                    enum history_kind kind, enum history_phase phase);
bool instance_ask(struct instance *instance, struct peer *peer, int16_t api_key, int16_t version,
                  const void *body, peer_answered *answered);
void instance_later(struct instance *instance, int64_t ms);
/* What every answer of a coordinator may say. True: handled (ask again later, or the instance has died). */
bool instance_is_put_off(struct instance *instance, const char *what, enum err err);

/* teller_late.c: is the next batch to be one? Then what was given up comes some time later. */
bool teller_late_draw(struct teller *teller);
void teller_late_add(const struct send *send);
void teller_late_tick(struct teller *teller);

/* transaction_batches.c */
struct slice send_build(const struct send *send, const struct instance *instance,
                        const char *topic_key, struct arena *arena);
struct fetch_response_partition_data;
/* As a client under this isolation gets them; is_aborted by the aborted list. */
void bank_batches_read(const struct fetch_response_partition_data *data, const char *topic_key,
                       int32_t partition, bool is_committed, struct arena *arena,
                       struct history_batch **out, size_t *count_out);

#endif
