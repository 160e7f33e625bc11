/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/data_support.h: a hand-built node on a simulated machine, with as many shards
 * as wanted and two directories: partitions, fetches and handlers are real; requests, quotas and
 * the controller are fakes that record (fake_requests.c, fake_parts.c).
 */
#ifndef TESTS_SERVER_DATA_SUPPORT_H
#define TESTS_SERVER_DATA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "compress/compress.h"
#include "metadata/metadata.h"
#include "network/network.h"
#include "os/sim.h"
#include "reactor/reactor.h"
#include "records/batch_builder.h"
#include "server/fetch.h"
#include "server/handlers/handlers.h"
#include "server/node.h"
#include "server/partition.h"
#include "server/publication.h"
#include "server/request.h"
#include "storage/storage.h"

#define OKAY(expression) assert_int_equal((expression), OK)
#define RIG_SHARDS_MAX 2
#define RIG_DIRECTORIES 2
#define RIG_NODE 1
#define RIG_CHECKS_MAX 16
#define RIG_CLUSTER "rig-cluster-id-000001x"

struct rig {
    struct sim *sim;
    struct os *os;
    struct logger logger;
    struct storage_listener listener;
    struct arena arena;
    const char *properties;
    size_t shard_count;
    struct node node;
    struct shard shards[RIG_SHARDS_MAX];
    struct session_kind kinds[RIG_SHARDS_MAX];
    struct session sessions[RIG_SHARDS_MAX];
    struct session others[RIG_SHARDS_MAX]; /* second clients, on the same terms */
    bool is_other;                         /* the next requests come from them */
    struct listener_config listener_config;
    const struct config *config;
    struct metadata_state *state;
    struct metadata_record_list records;
    int64_t offset;
    struct publication *publications[64];
    size_t publication_count;
    bool verbose;
    size_t request_bytes_max; /* the arena of the next requests; 0: no limit */
    bool (*until)(void *context);
    void *until_context;
    /* fakes */
    bool controller_holds; /* calls are kept until rig_controller_go */
    struct list_node controller_calls;
    int assignments, id_blocks;
    struct uuid assigned;      /* directory of the last assignment */
    int32_t quota_throttle_ms; /* of the next records */
    int64_t quota_fetch_max;
    bool
        loans_stay; /* peers do not read: what is lent for an answer stays until rig_request_free */
    /* questions to transaction coordinators; answered at once with check_err unless held */
    struct transaction_check *checks[RIG_CHECKS_MAX];
    size_t check_count;
    bool checks_held;
    enum err check_err;
};

/* The machine, its directories, reactors, tables; an empty image with this broker is published. */
void rig_open(struct rig *rig, size_t shard_count, const char *properties);
void rig_close(struct rig *rig);
/* Orderly stop and start of the process on the same disk; the metadata stays. clean: with
 * markers. */
void rig_restart(struct rig *rig, bool clean);
/* `between` works on the disk while no process runs. */
void rig_restart_with(struct rig *rig, bool clean, void (*between)(struct rig *rig));

/* ---- metadata: records, then one publication for all shards ---- */
struct uuid rig_id(uint32_t number);
void rig_topic(struct rig *rig, const char *name, uint32_t id, int32_t partitions);
void rig_topic_in(struct rig *rig, const char *name, uint32_t id, int32_t partitions,
                  struct uuid directory);
void rig_leader(struct rig *rig, uint32_t id, int32_t index, int32_t leader);
/* Beside this node `other` (≥ 0) has it and is in sync, or nobody has: what the high watermark waits for. */
void rig_replicas(struct rig *rig, uint32_t id, int32_t index, int32_t leader, int32_t other);
void rig_topic_remove(struct rig *rig, uint32_t id);
void rig_topic_config(struct rig *rig, const char *topic, const char *key, const char *value);
void rig_publish(struct rig *rig);

/* ---- coordinators, where the test links them (data_coordinators.c) ---- */
struct coordinator_kind;
void rig_coordinators_create(struct rig *rig, const struct coordinator_kind *kind);
void rig_coordinators_publish(struct rig *rig); /* rig_publish, and they hear of it */
void rig_coordinators_stop(struct rig *rig);
void rig_coordinators_release(struct rig *rig);

/* ---- running ---- */
void rig_pass(struct rig *rig, int64_t time_ms);
bool rig_run_until(struct rig *rig, bool (*until)(void *context), void *context);
struct partition *rig_partition(struct rig *rig, uint32_t id, int32_t index); /* on its owner */
struct partition *rig_partition_open(struct rig *rig, uint32_t id, int32_t index);
struct uuid rig_directory_id(int index);

/* ---- requests ---- */
struct rig_request {
    struct request request; /* first */
    struct rig *rig;
    bool is_answered, is_closed, is_nothing, has_passed, is_failed;
    enum err failed_err;
    void *response;
    int holds, rests;
    int32_t throttle_ms;
    struct frame frame;
    uint8_t frame_bytes[4];
};
/* `body`: an initialised request struct, in rig_arena. Begins on shard `home`. */
struct rig_request *rig_begin(struct rig *rig, int home, int16_t key, int16_t version, void *body,
                              request_handler handler);
void *rig_wait(struct rig_request *request); /* the response; NULL when closed or nothing */
void rig_hang_up(struct rig_request *request);
void rig_request_free(struct rig_request *request);
void rig_loan_end(struct request *request); /* its peer has read all */

/* ---- transactions ---- */
struct transaction_check;
void rig_check_answer(struct rig *rig, size_t check, enum err err);

/* ---- batches ---- */
struct rig_batch {
    int count;
    size_t value_bytes;
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t sequence;
    int64_t timestamp; /* 0: now */
    bool transactional;
    bool null_keys;
    enum compression codec;
};
struct slice rig_batch(struct rig *rig, const struct rig_batch *batch); /* in the arena */

/* ---- topic "t", whose id is 1, and requests to it (data_requests.c) ---- */
struct produce_request;
struct fetch_request;
/* A rig whose only topic it is; all partitions are open. */
void rig_start(struct rig *rig, size_t shard_count, int32_t partitions);
/* One batch to one partition, for acks=all. Topic name and id are both given. */
struct produce_request *rig_produce_body(struct rig *rig, int32_t index, struct slice records);
/* Begins a Produce of one record for each of `count` partitions of "wide". */
struct rig_request *rig_produce_wide(struct rig *rig, int32_t count);
void rig_produce(struct rig *rig, int32_t index, const struct rig_batch *batch); /* it succeeds */
/* Partitions 0 … partitions-1 from offset 0, at once. */
struct fetch_request *rig_fetch_body(struct rig *rig, int32_t partitions);
const char *rig_log_path(struct rig *rig); /* of partition 0, its first segment */

#endif
