/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/admin_support.h: a hand-built node whose handlers answer from an image made of
 * records. The handlers, forward.c, the quorum bridge and the error responses are real; requests,
 * controller, quorum and quotas are fakes that record (admin_support.c). Answers are encoded in the
 * version asked for and decoded again, as the peer sees them.
 */
#ifndef TESTS_SERVER_ADMIN_SUPPORT_H
#define TESTS_SERVER_ADMIN_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/controller.h"
#include "metadata/metadata.h"
#include "network/network.h"
#include "os/sim.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "reactor/reactor.h"
#include "server/controller_gate.h"
#include "server/handlers/handlers.h"
#include "server/node.h"
#include "server/publication.h"
#include "server/quorum.h"

#define OKAY(expression) assert_int_equal((expression), OK)
#define DESK_NODE 1
#define DESK_SHARDS 2

struct desk {
    struct sim *sim;
    struct os *os;
    struct logger logger;
    struct arena arena;
    struct node node;
    struct shard shards[DESK_SHARDS];
    struct session_kind kinds[2];
    struct session session;    /* of shard `home` on listener PLAINTEXT */
    struct session controller; /* of the same shard on listener CONTROLLER */
    const struct config *config;
    struct metadata_state *state;
    struct metadata_record_list records;
    int64_t offset;
    struct publication publication;
    struct os_address local;
    /* the controller's fake: calls wait here until desk_controller_answer */
    struct controller_call *call;
    int calls;
    /* the quorum's fake: questions wait here until desk_quorum_answer */
    struct quorum_request *question;
    int questions, taken_back;
    /* the quota's fake */
    int32_t quota_throttle_ms;
    double quota_permits;
    bool quota_strict;
    /* the node's */
    struct config_logger_levels levels;
    int levels_set;
};

struct desk_request {
    struct request request;
    struct desk *desk;
    void *response; /* NULL: not answered, or closed */
    bool is_answered, is_closed;
    enum err failed_err; /* of request_answer_failed; OK: it was an answer */
    int32_t throttle_ms;
};

/* properties are added to those of a combined node; NULL: none. */
void desk_open(struct desk *desk, const char *properties, int home);
void desk_close(struct desk *desk);

/* ---- metadata; desk_publish makes it seen ---- */
struct uuid desk_id(uint32_t number);
void *desk_record(struct desk *desk, int16_t key, int16_t version);
void desk_replay(struct desk *desk);
/* listener NULL: none. directory: the one it has. */
void desk_broker(struct desk *desk, int32_t id, bool fenced, const char *listener,
                 const char *rack);
void desk_topic(struct desk *desk, const char *name, uint32_t id);
/* replicas: "1,2"; isr the same unless given. */
struct partition_record *desk_partition(struct desk *desk, uint32_t topic, int32_t index,
                                        const char *replicas, const char *isr, int32_t leader);
void desk_config(struct desk *desk, int8_t type, const char *resource, const char *key,
                 const char *value);
void desk_publish(struct desk *desk);

/* ---- requests ---- */
/* The body as it is on the wire. A request that is not answered at once is looked at later. */
void desk_ask(struct desk *desk, struct desk_request *out, int16_t api_key, int16_t version,
              const void *body, request_handler handler);
void desk_ask_on(struct desk *desk, struct session *session, struct desk_request *out,
                 int16_t api_key, int16_t version, const void *body, request_handler handler);
/* The connection goes. */
void desk_hang_up(struct desk_request *request);
void desk_request_end(struct desk_request *request);
/* Until mails and timers of so long are done. */
void desk_pass(struct desk *desk, int64_t time_ms);

/* Ends the call that waits: err OK with a response (NULL: the API's empty one), or the API's error
 * form. */
void desk_controller_answer(struct desk *desk, void *response, enum err err);
void desk_quorum_answer(struct desk *desk, const struct raft_reply *reply, struct slice records);

#define assert_slice(got, text) assert_slice_is((got), (text), __FILE__, __LINE__)
static inline void assert_slice_is(struct slice got, const char *text, const char *file, int line)
{
    if (!slice_equal_text(got, text)) {
        print_error("\"%.*s\" is not \"%s\"\n", SLICE_ARGS(got), text);
        _fail(file, line);
    }
}

#endif
