/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_bank.c: makes the topics of transactions, and looks at transactions now and then as an administrator does. In the
 * end it reads where each chain stands, and sees that no transaction is left that has not ended.
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/describe_transactions_request.h"
#include "protocol/generated/describe_transactions_response.h"
#include "protocol/generated/list_transactions_request.h"
#include "protocol/generated/list_transactions_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"

#define TIMEOUT_MS 3000

struct bank {
    struct actor *actor;
    struct peer_request request;
    bool is_busy, was_asked[BANK_TOPICS];
    int topic;  /* of the request under way */
    int teller; /* final phase: the next chain to be looked at */
    int64_t op;
    bool all_ended; /* ListTransactions in the final phase says so */
    char text[160];
};

static void begin(struct actor *actor, int number)
{
    struct bank *own = actor->own;

    UNUSED(number);
    own->actor = actor;
    actor->tick_ms = actor->world->options.transaction_script ? 3 : 20;
}

static bool ask(struct bank *own, int16_t api_key, int16_t version, const void *body,
                peer_answered *answered)
{
    own->request.answered = answered;
    own->request.context = own;
    own->is_busy = peer_send(own->actor->peer, api_key, version, body, TIMEOUT_MS, &own->request);
    return own->is_busy;
}

/* ---- the topics ---- */

static void made(void *context, struct peer_request *request, const void *response)
{
    UNUSED(request);
    UNUSED(response);
    ((struct bank *)context)->is_busy = false; /* Metadata tells */
}

static void make(struct bank *own, const struct bank_topic *topic)
{
    CLEANUP(arena_release) struct arena arena = {0};
    const struct knobs *knobs = &own->actor->world->knobs;
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *made_topic;
    const char *names[] = {"internal.segment.bytes", "index.interval.bytes", "segment.ms",
                           "retention.ms",           "retention.bytes",      "cleanup.policy",
                           "delete.retention.ms"};
    const char *values[] = {topic->is_compacted ? "1024" : knobs->segment_bytes,
                            knobs->index_interval,
                            topic->is_compacted ? "200" : knobs->segment_ms,
                            "-1",
                            "-1",
                            topic->is_compacted ? "compact" : "delete",
                            topic->is_compacted ? "100" : "86400000"};

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    create_topics_request_init(&body);
    made_topic = create_topics_request_creatable_topic_array(&arena, 1);
    made_topic->name = slice_from_text(topic->name);
    made_topic->num_partitions = topic->partitions;
    made_topic->replication_factor = -1;
    made_topic->configs =
        create_topics_request_creatable_topic_config_array(&arena, ARRAY_COUNT(names));
    made_topic->configs_count = (int32_t)ARRAY_COUNT(names);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        made_topic->configs[i].name = slice_from_text(names[i]);
        made_topic->configs[i].value = slice_from_text(values[i]);
    }
    body.topics = made_topic;
    body.topics_count = 1;
    ask(own, API_CREATE_TOPICS, 7, &body, made);
}

static void looked(void *context, struct peer_request *request, const void *response)
{
    struct bank *own = context;
    struct world *world = own->actor->world;
    struct bank_topic *topic = &world->transactions->topics[own->topic];
    const struct metadata_response *answer = response;
    char key[80], id[UUID_TEXT_BYTES];
    struct history_event event;

    UNUSED(request);
    own->is_busy = false;
    if (!answer || answer->topics_count != 1 || answer->topics[0].error_code != OK ||
        answer->topics[0].partitions_count != topic->partitions)
        return;
    topic->id = answer->topics[0].topic_id;
    uuid_to_text(topic->id, id);
    snprintf(key, sizeof key, "%s#%s", topic->name, id);
    topic->topic = history_topic(world->history, key);
    topic->is_live = true;
    history_event_init(&event, HISTORY_CREATE_TOPIC, HISTORY_OK);
    event.process = own->actor->process;
    event.topic = topic->topic;
    event.is_compacted = topic->is_compacted;
    world_event(world, &event);
}

static void topic_go_on(struct bank *own, int index)
{
    CLEANUP(arena_release) struct arena arena = {0};
    const struct bank_topic *topic = &own->actor->world->transactions->topics[index];
    struct metadata_request body;

    own->topic = index;
    own->was_asked[index] = !own->was_asked[index];
    if (own->was_asked[index]) {
        make(own, topic);
        return;
    }
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    metadata_request_init(&body);
    body.topics = metadata_request_metadata_request_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics[0].name = slice_from_text(topic->name);
    body.allow_auto_topic_creation = false;
    ask(own, API_METADATA, 12, &body, looked);
}

/* ---- DescribeTransactions, ListTransactions ---- */

static bool is_on_the_move(enum err err)
{
    return err == ERR_COORDINATOR_LOAD_IN_PROGRESS || err == ERR_NOT_COORDINATOR ||
           err == ERR_COORDINATOR_NOT_AVAILABLE || err == ERR_TRANSACTIONAL_ID_NOT_FOUND;
}

static void described(void *context, struct peer_request *request, const void *response)
{
    struct bank *own = context;
    const struct describe_transactions_response *answer = response;
    enum err err;

    UNUSED(request);
    own->is_busy = false;
    if (!answer)
        return;
    if (answer->transaction_states_count != 1) {
        world_fail(own->actor->world, "DescribeTransactions of one id answered %d",
                   answer->transaction_states_count);
        return;
    }
    err = err_from_wire(answer->transaction_states[0].error_code);
    if (err != OK && !is_on_the_move(err))
        world_fail(own->actor->world, "DescribeTransactions: %s", err_name(err));
}

static void describe_ask(struct bank *own)
{
    struct world_transactions *all = own->actor->world->transactions;
    struct describe_transactions_request body;
    struct slice id = slice_from_text(
        all->tellers[random_below(&own->actor->random, (uint64_t)all->teller_count)]->id);

    describe_transactions_request_init(&body);
    body.transactional_ids = &id;
    body.transactional_ids_count = 1;
    ask(own, API_DESCRIBE_TRANSACTIONS, 0, &body, described);
}

static bool is_at_rest(struct slice state)
{
    return !slice_equal(state, SLICE("Ongoing")) && !slice_equal(state, SLICE("PrepareCommit")) &&
           !slice_equal(state, SLICE("PrepareAbort"));
}

static void listed(void *context, struct peer_request *request, const void *response)
{
    struct bank *own = context;
    const struct list_transactions_response *answer = response;
    enum err err;

    UNUSED(request);
    own->is_busy = false;
    if (!answer)
        return;
    err = err_from_wire(answer->error_code);
    if (err != OK) {
        if (!is_on_the_move(err))
            world_fail(own->actor->world, "ListTransactions: %s", err_name(err));
        return;
    }
    own->all_ended = own->actor->world->phase == WORLD_FINAL;
    for (int32_t i = 0; i < answer->transaction_states_count; i++) {
        struct slice id = answer->transaction_states[i].transactional_id;
        struct slice state = answer->transaction_states[i].transaction_state;

        if (is_at_rest(state))
            continue;
        own->all_ended = false;
        snprintf(own->text, sizeof own->text, "%.*s is %.*s", SLICE_ARGS(id), SLICE_ARGS(state));
    }
}

static void list_ask(struct bank *own)
{
    struct list_transactions_request body;

    list_transactions_request_init(&body);
    ask(own, API_LIST_TRANSACTIONS, 1, &body, listed);
}

/* ---- where do the chains stand? ---- */

static void offset_looked(void *context, struct peer_request *request, const void *response)
{
    struct bank *own = context;
    struct world *world = own->actor->world;
    const struct offset_fetch_response *answer = response;
    struct history_event event;
    bool is_told = answer && answer->groups_count == 1 && answer->groups[0].error_code == OK &&
                   answer->groups[0].topics_count == 1 &&
                   answer->groups[0].topics[0].partitions_count == 1 &&
                   answer->groups[0].topics[0].partitions[0].error_code == OK;

    UNUSED(request);
    own->is_busy = false;
    history_event_init(&event, HISTORY_TXN_OFFSET, is_told ? HISTORY_OK : HISTORY_FAIL);
    event.op = own->op;
    event.process = own->actor->process;
    if (is_told)
        event.offset = answer->groups[0].topics[0].partitions[0].committed_offset;
    world_event(world, &event);
    own->teller += is_told;
}

static void offset_look(struct bank *own, struct teller *teller)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = own->actor->world;
    struct offset_fetch_request body;
    struct offset_fetch_request_offset_fetch_request_group *group;
    struct history_event event;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_fetch_request_init(&body);
    group = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    group->group_id = slice_from_text(teller->group);
    group->topics = offset_fetch_request_offset_fetch_request_topics_array(&arena, 1);
    group->topics_count = 1;
    group->topics->name = slice_from_text(world->transactions->topics[0].name);
    group->topics->partition_indexes = &teller->input_partition;
    group->topics->partition_indexes_count = 1;
    body.groups = group;
    body.groups_count = 1;
    body.require_stable = true;
    if (!ask(own, API_OFFSET_FETCH, 9, &body, offset_looked))
        return;
    history_event_init(&event, HISTORY_TXN_OFFSET, HISTORY_INVOKE);
    event.process = own->actor->process;
    event.group = teller->history_group;
    event.topic = world->transactions->topics[0].topic;
    event.partition = teller->input_partition;
    own->op = world_event(world, &event);
}

static void tick(struct actor *actor)
{
    struct bank *own = actor->own;
    struct world *world = actor->world;
    struct world_transactions *all = world->transactions;

    if (own->is_busy || !peer_is_ready(actor->peer))
        return;
    for (int i = 0; i < all->topic_count; i++)
        if (!all->topics[i].is_live) {
            topic_go_on(own, i);
            return;
        }
    if (world->phase == WORLD_FINAL) {
        while (own->teller < all->teller_count && !all->tellers[own->teller]->has_looked)
            own->teller++;
        if (own->teller < all->teller_count)
            offset_look(own, all->tellers[own->teller]);
        else if (!own->all_ended)
            list_ask(own);
    } else if (world->phase == WORLD_FAULTS && random_chance(&actor->random, 1, 10)) {
        if (random_chance(&actor->random, 1, 2))
            describe_ask(own);
        else
            list_ask(own);
    }
}

static bool is_drained(const struct actor *actor)
{
    const struct bank *own = actor->own;
    const struct world_transactions *all = actor->world->transactions;

    for (int i = 0; i < all->topic_count; i++)
        if (!all->topics[i].is_live)
            return false;
    return actor->world->phase != WORLD_FINAL ||
           (own->all_ended && own->teller >= all->teller_count);
}

static const char *describe(const struct actor *actor)
{
    const struct bank *own = actor->own;
    const struct world_transactions *all = actor->world->transactions;

    for (int i = 0; i < all->topic_count; i++)
        if (!all->topics[i].is_live)
            return "a topic of transactions is not there";
    return own->teller < all->teller_count ? "the committed offset of a chain is not told"
                                           : own->text;
}

const struct actor_type actor_bank = {.name = "bank",
                                      .own_bytes = sizeof(struct bank),
                                      .begin = begin,
                                      .tick = tick,
                                      .is_drained = is_drained,
                                      .describe = describe};
