/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/auto_create.c: automatic creation of topics: one CreateTopics per occasion, never two for
 * one name at a time from one shard. requests.md §3.4 of the reference.
 * Threads  the shard's; the quota is shard 0's and is asked there.
 */
#include "server/auto_create.h"

#include "base/assert.h"
#include "base/name_order.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "server/controller_gate.h"
#include "server/mutation_quota.h"
#include "server/node.h"
#include "server/publication.h"
#include "server/topic_name.h"

/* The newest version: its answers say the most. */
#define CREATE_TOPICS_VERSION 7

typedef struct create_topics_request_creatable_topic creatable;
typedef struct create_topics_request_creatable_topic_config creatable_config;

/* One request under way; the shard's list holds them all. */
struct auto_create {
    struct auto_create *next;
    struct shard *shard;
    struct arena arena;
    const struct slice *names; /* ascending */
    size_t count;
    struct create_topics_request body;
    struct controller_call call;
    struct mutation_quota quota;
};

static bool has_name(const struct auto_create *creation, struct slice name)
{
    size_t low = 0, high = creation->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(creation->names[middle], name);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool is_under_way(const struct shard *shard, struct slice name)
{
    for (const struct auto_create *creation = shard->auto_creates; creation;
         creation = creation->next)
        if (has_name(creation, name))
            return true;
    return false;
}

static void creation_free(struct auto_create *creation)
{
    arena_release(&creation->arena);
    SERVER_DELETE(creation);
}

/* ---- what a topic is made like ---- */

static void config_add(creatable *topic, const char *name, struct slice value)
{
    topic->configs[topic->configs_count].name = slice_from_text(name);
    topic->configs[topic->configs_count++].value = value;
}

static void config_add_number(struct arena *arena, creatable *topic, const char *name,
                              int64_t value)
{
    config_add(topic, name, arena_format_slice(arena, "%lld", (long long)value));
}

#define INTERNAL_CONFIGS_MAX 5

static enum err internal_fill(struct arena *arena, const struct config *config, creatable *topic)
{
    topic->configs =
        create_topics_request_creatable_topic_config_array(arena, INTERNAL_CONFIGS_MAX);
    if (!topic->configs)
        return ERR_NO_MEMORY;
    topic->configs_count = 0;
    if (slice_equal_text(topic->name, "__consumer_offsets")) {
        topic->num_partitions = config_int(config, BROKER_OFFSETS_TOPIC_NUM_PARTITIONS);
        topic->replication_factor =
            (int16_t)config_int(config, BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR);
        config_add(topic, "cleanup.policy", SLICE("compact"));
        config_add(topic, "compression.type", SLICE("producer"));
        config_add_number(arena, topic, "segment.bytes",
                          config_int(config, BROKER_OFFSETS_TOPIC_SEGMENT_BYTES));
    } else if (slice_equal_text(topic->name, "__transaction_state")) {
        topic->num_partitions = config_int(config, BROKER_TRANSACTION_STATE_LOG_NUM_PARTITIONS);
        topic->replication_factor =
            (int16_t)config_int(config, BROKER_TRANSACTION_STATE_LOG_REPLICATION_FACTOR);
        config_add(topic, "cleanup.policy", SLICE("compact"));
        config_add(topic, "compression.type", SLICE("uncompressed"));
        config_add(topic, "unclean.leader.election.enable", SLICE("false"));
        config_add_number(arena, topic, "min.insync.replicas",
                          config_int(config, BROKER_TRANSACTION_STATE_LOG_MIN_ISR));
        config_add_number(arena, topic, "segment.bytes",
                          config_int(config, BROKER_TRANSACTION_STATE_LOG_SEGMENT_BYTES));
    } else {
        topic->num_partitions =
            config_int(config, BROKER_SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS);
        topic->replication_factor =
            (int16_t)config_int(config, BROKER_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR);
        config_add(topic, "cleanup.policy", SLICE("delete"));
        config_add(topic, "compression.type", SLICE("producer"));
        config_add(topic, "retention.ms", SLICE("-1"));
        config_add_number(arena, topic, "min.insync.replicas",
                          config_int(config, BROKER_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR));
        config_add_number(arena, topic, "segment.bytes",
                          config_int(config, BROKER_SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES));
    }
    for (int32_t i = 0; i < topic->configs_count; i++)
        if (slice_is_null(topic->configs[i].value)) /* a number that found no memory */
            return ERR_NO_MEMORY;
    return OK;
}

/* -1: as the controller is configured; a value of this broker's file goes before it. */
static enum err topic_fill(struct arena *arena, const struct config *config, struct slice name,
                           creatable *topic)
{
    topic->name = name;
    topic->num_partitions = -1;
    topic->replication_factor = -1;
    if (topic_name_is_internal(name))
        return internal_fill(arena, config, topic);
    if (config_is_set(config, BROKER_NUM_PARTITIONS))
        topic->num_partitions = config_int(config, BROKER_NUM_PARTITIONS);
    if (config_is_set(config, BROKER_DEFAULT_REPLICATION_FACTOR))
        topic->replication_factor = (int16_t)config_int(config, BROKER_DEFAULT_REPLICATION_FACTOR);
    return OK;
}

/* ---- the call ---- */

static void outcome_log(const struct auto_create *creation)
{
    const struct create_topics_response *response = creation->call.response;

    if (!response)
        LOG_WARN(reactor_logger(creation->shard->reactor), "server", "auto_creation_failed",
                 "error=%s", err_name(creation->call.err));
    for (int32_t i = 0; response && i < response->topics_count; i++) {
        const struct create_topics_response_creatable_topic_result *result = &response->topics[i];

        if (result->error_code != 0)
            LOG_WARN(reactor_logger(creation->shard->reactor), "server", "auto_creation_failed",
                     "topic=\"%.*s\" error=%s text=\"%.*s\"", SLICE_ARGS(result->name),
                     err_name(err_from_wire(result->error_code)),
                     SLICE_ARGS(result->error_message));
    }
}

static void creation_done(struct controller_call *call)
{
    struct auto_create *creation = CONTAINER_OF(call, struct auto_create, call);
    struct auto_create **link = &creation->shard->auto_creates;

    while (*link != creation)
        link = &(*link)->next;
    *link = creation->next;
    outcome_log(creation);
    creation_free(creation);
}

/* The request; the quota's names are copies. */
static enum err creation_fill(struct auto_create *creation, struct slice principal,
                              struct slice client_id)
{
    struct shard *shard = creation->shard;
    const struct config *config = shard->publication->config;
    struct arena *arena = &creation->arena;
    struct slice user = arena_copy(arena, principal);
    struct slice client = arena_copy(arena, client_id);

    create_topics_request_init(&creation->body);
    creation->body.timeout_ms = config_int(config, BROKER_REQUEST_TIMEOUT_MS);
    creation->body.topics = create_topics_request_creatable_topic_array(arena, creation->count);
    if (!creation->body.topics || slice_is_null(user) != slice_is_null(principal) ||
        slice_is_null(client) != slice_is_null(client_id))
        return ERR_NO_MEMORY;
    creation->body.topics_count = (int32_t)creation->count;
    for (size_t i = 0; i < creation->count; i++)
        TRY(topic_fill(arena, config, creation->names[i], &creation->body.topics[i]));
    mutation_quota_init(&creation->quota, shard->node, user, client, false);
    return OK;
}

static void creation_send(struct auto_create *creation)
{
    struct shard *shard = creation->shard;

    creation->call.request = (struct controller_request){
        .api_key = API_CREATE_TOPICS,
        .api_version = CREATE_TOPICS_VERSION,
        .body = &creation->body,
        .principal = creation->quota.principal,
        .deadline_ms = reactor_now_ms(shard->reactor) + creation->body.timeout_ms,
        .forwarded = true,
        .quota = &creation->quota.quota,
    };
    creation->call.arena = &creation->arena;
    creation->call.done = creation_done;
    creation->next = shard->auto_creates;
    shard->auto_creates = creation;
    controller_call_submit(shard, &creation->call);
}

/* Those that are not under way, copied, ascending. */
static enum err names_take(struct auto_create *creation, const struct slice *names, size_t count)
{
    struct slice *own = ARENA_ARRAY(&creation->arena, struct slice, count);

    if (!own)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (is_under_way(creation->shard, names[i]))
            continue;
        own[creation->count] = arena_copy(&creation->arena, names[i]);
        if (slice_is_null(own[creation->count++]))
            return ERR_NO_MEMORY;
    }
    TRY(name_set(&creation->arena, own, &creation->count));
    creation->names = own;
    return OK;
}

void auto_create_topics(struct shard *shard, const struct slice *names, size_t count,
                        struct slice principal, struct slice client_id)
{
    struct auto_create *creation = SERVER_NEW(struct auto_create);
    struct logger *logger = reactor_logger(shard->reactor);
    enum err err;

    ASSERT(shard->publication != NULL);
    creation->shard = shard;
    arena_init(&creation->arena, &heap_allocator, SIZE_MAX);
    err = names_take(creation, names, count);
    if (err == OK && creation->count > 0)
        err = creation_fill(creation, principal, client_id);
    if (err != OK) /* whoever asked asks again, as for any topic that is not there yet */
        LOG_WARN(logger, "server", "auto_creation_failed", "topics=%zu error=%s", count,
                 err_name(err));
    if (err != OK || creation->count == 0) {
        creation_free(creation);
        return;
    }
    LOG_INFO(logger, "server", "auto_creation_asked", "topics=%zu first=\"%.*s\"", creation->count,
             SLICE_ARGS(creation->names[0]));
    creation_send(creation);
}
