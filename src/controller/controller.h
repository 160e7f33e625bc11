/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/controller.h: the rules of the active controller: a request becomes metadata records and
 * a response. Pure: time, random numbers and offsets come in with each call. docs/design/controller.md.
 *
 * How the shell uses it
 *   1. This node leads, and everything up to its LeaderChange record is committed and loaded:
 *      controller_claim with the loaded image. Its records (bootstrap) are handled as below.
 *   2. controller_handle / controller_tick: compute records from a state that includes uncommitted
 *      changes. Nothing changes yet.
 *   3. The shell encodes the records into one batch and submits it to raft. If raft takes it at offset
 *      B: controller_replay(records, B), at once, before the next controller_handle. If raft refuses:
 *      drop the result (answer NOT_CONTROLLER); nothing happened.
 *   4. The response is sent when everything up to controller_end_offset (taken after step 3) is
 *      committed. A result without records waits for the same mark.
 *   5. Leadership lost: controller_renounce; parked responses fail with NOT_CONTROLLER. The state is
 *      dropped; the next claim starts from a committed image.
 *
 * Threads    one, the owner of the images it is given.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "base/allocator.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/random.h"
#include "metadata/metadata.h"

#define CONTROLLER_RECORDS_MAX 10000    /* of one user operation */
#define CONTROLLER_PARTITIONS_MAX 10000 /* of one CreateTopics request */
#define CONTROLLER_PRODUCER_ID_BLOCK 1000

struct controller;
struct config;
struct config_file;

struct controller_options {
    int32_t node_id;
    struct slice cluster_id;
    int64_t session_timeout_ms;    /* broker.session.timeout.ms */
    int64_t heartbeat_interval_ms; /* broker.heartbeat.interval.ms */
    int64_t idle_interval_ms_max;  /* metadata.max.idle.interval.ms; 0: no NoOp records */
    /* A quorum of one without remote fetchers: a NoOp record follows only other records. */
    bool idle_alone;
    bool leader_rebalance; /* auto.leader.rebalance.enable */
    int64_t leader_rebalance_interval_ms;
    int64_t unclean_election_interval_ms; /* unclean.leader.election.interval.ms */
    int32_t partitions_default;           /* num.partitions */
    int16_t replication_factor_default;   /* default.replication.factor */
    bool topic_deletion;                  /* delete.topic.enable */
    /* This node's configuration, for checks and for defaults of topics; NULL: Kafka's defaults. Both
     * must live as long as the controller, or until controller_config_changed. */
    const struct config *config;
    const struct config_file *config_file;
    /* Records of the bootstrap snapshot; count 0: those of a new cluster at the latest level. Copied. */
    struct metadata_record_list bootstrap;
};
struct controller_options controller_options_default(void);

MUST_USE enum err controller_create(struct allocator *allocator,
                                    const struct controller_options *options, struct logger *logger,
                                    struct controller **out);
void controller_release(struct controller **controller); /* NULL-safe */

/* What comes in with every call. */
struct controller_moment {
    int64_t now_ms;        /* monotone */
    int64_t wall_ms;       /* since 1970 */
    int64_t next_offset;   /* where raft would append the next record */
    struct random *random; /* of the controller */
};

struct controller_claim {
    const struct metadata_image *image; /* everything up to and with the LeaderChange record */
    int32_t epoch;
    int16_t kraft_version;
    bool transaction_open; /* metadata_state_in_transaction of the loader */
    const int32_t *voters; /* ids of the current voter set */
    size_t voter_count;
};

/* What a call gives. Everything in it lives in the call's arena. */
struct controller_result {
    struct metadata_record_list records; /* count 0: nothing to write */
    /* One batch or nothing. Otherwise the shell may cut the list, in order, into several batches. */
    bool atomic;
    /* The response struct of the request's API; NULL for claim and tick. */
    void *response;
    /* kraft.version to upgrade to through raft after the records; -1: none. On failure there the
     * response is replaced by the failure. */
    int16_t kraft_version_upgrade;
    struct why why; /* detail of a failed call */
};

/* Fails with ERR_NO_MEMORY only, or ERR_STATE when the state cannot be continued. */
MUST_USE enum err controller_claim(struct controller *controller,
                                   const struct controller_claim *claim,
                                   const struct controller_moment *moment, struct arena *arena,
                                   struct controller_result *out);
void controller_renounce(struct controller *controller);
bool controller_is_active(const struct controller *controller);
/* The voter set or kraft.version changed while active. */
MUST_USE enum err controller_quorum_changed(struct controller *controller, int16_t kraft_version,
                                            const int32_t *voters, size_t voter_count);
/* The node's own configuration was resolved anew (a dynamic config changed). */
void controller_config_changed(struct controller *controller, const struct config *config);
/* Whether nodes besides this one fetch the metadata log; options.idle_alone looks at it. */
void controller_fetchers_changed(struct controller *controller, bool remote_fetchers);

/* Is a request allowed to do something? Operations and resource types are Kafka's numbers. NULL: all. */
struct controller_access {
    bool (*allowed)(struct controller_access *self, int8_t operation, int8_t resource_type,
                    struct slice resource_name);
};
/* The controller mutation quota of the requester. NULL: none. ERR_THROTTLING_QUOTA_EXCEEDED refuses
 * (only strict quotas refuse; others just count). */
struct controller_quota {
    enum err (*record)(struct controller_quota *self, double permits);
};

struct controller_request {
    int16_t api_key;
    int16_t api_version;
    const void *body;       /* the decoded request struct */
    struct slice principal; /* "User:alice" */
    int64_t deadline_ms;    /* monotone; past it: REQUEST_TIMED_OUT. INT64_MAX: none */
    /* The broker of this very process: it may take the place of its own earlier incarnation although
     * that one's session has not ended. */
    bool from_this_process;
    bool
        forwarded; /* came in an Envelope, or from the broker of this process, which has checked it */
    struct controller_access *access;
    struct controller_quota *quota;
};

/* OK: out->response (and records). Anything else is the error of the whole request, to be answered in
 * the API's own form: ERR_NOT_CONTROLLER, ERR_REQUEST_TIMED_OUT, ERR_UNSUPPORTED_VERSION,
 * ERR_CLUSTER_AUTHORIZATION_FAILED, …; out->why holds the message. ERR_UNKNOWN_API: not one of the
 * controller's. The request's memory must last as long as the arena. */
MUST_USE enum err controller_handle(struct controller *controller,
                                    const struct controller_request *request,
                                    const struct controller_moment *moment, struct arena *arena,
                                    struct controller_result *out);
/* The response to a request that failed as a whole, in the API's own form: what controller_handle gave,
 * or NOT_CONTROLLER when the records could not be committed. `why` may be NULL. */
MUST_USE enum err controller_error_response(const struct controller_request *request, enum err err,
                                            const struct why *why, struct arena *arena,
                                            void **response_out);
/* True for the APIs that controller_handle answers. */
bool controller_handles(int16_t api_key);

/* The records of the last result are in the log from base_offset on. ERR_STATE is a bug of
 * ours, or the claim's image was not complete: the node must stop. */
MUST_USE enum err controller_replay(struct controller *controller,
                                    const struct metadata_record_list *records, int64_t base_offset,
                                    int64_t timestamp_ms, struct why *why);
/* Offset behind the last record replayed. */
int64_t controller_end_offset(const struct controller *controller);

/* When controller_tick wants to be called; INT64_MAX: never. */
int64_t controller_deadline_ms(const struct controller *controller);
/* Does one piece of periodic work: fence a broker, elect leaders, NoOp. Call again while the deadline
 * is not after now. */
MUST_USE enum err controller_tick(struct controller *controller,
                                  const struct controller_moment *moment, struct arena *arena,
                                  struct controller_result *out);

/* Numbers of the moment. */
struct controller_stats {
    int32_t brokers_active, brokers_fenced, brokers_in_controlled_shutdown;
    int64_t topics, partitions, partitions_offline, preferred_imbalance;
    int64_t sessions_expired, elections_unclean;
};
void controller_stats(const struct controller *controller, struct controller_stats *out);
/* State including uncommitted changes, until the next replay. NULL when not active. */
const struct metadata_image *controller_view(const struct controller *controller);

#endif
