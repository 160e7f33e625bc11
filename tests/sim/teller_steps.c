/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/teller_steps.c: an instance between its transactions: finds its coordinator, fences its predecessors, looks where its
 * group stands, reads on from there, and begins.
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"
#include "records/batch.h"

#include <stdlib.h>

static struct world *world_of(const struct instance *instance)
{
    return instance->teller->actor->world;
}

/* ---- FindCoordinator ---- */

static void found(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct find_coordinator_response *answer = response;

    UNUSED(request);
    instance->is_busy = false;
    if (answer && answer->coordinators_count == 1 && answer->coordinators[0].error_code == OK) {
        instance->teller->has_looked |= instance->step == STEP_FIND_GROUP;
        instance->step =
            instance->step == STEP_FIND && instance->teller->is_chain ? STEP_FIND_GROUP : STEP_INIT;
    } else {
        instance_later(instance, 20);
    }
}

static void find(struct instance *instance)
{
    struct find_coordinator_request body;
    bool is_group = instance->step == STEP_FIND_GROUP;
    struct slice key = slice_from_text(is_group ? instance->teller->group : instance->teller->id);

    find_coordinator_request_init(&body);
    body.key_type = is_group ? 0 : 1;
    body.coordinator_keys = &key;
    body.coordinator_keys_count = 1;
    instance_ask(instance, instance->coordinator, API_FIND_COORDINATOR, 4, &body, found);
}

/* ---- InitProducerId ---- */

static void initialized(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct init_producer_id_response *answer = response;
    enum err err = answer ? err_from_wire(answer->error_code) : ERR_NETWORK_EXCEPTION;
    struct history_event event;

    UNUSED(request);
    instance->is_busy = false;
    if (instance->init_op < 0)
        return;
    if (err == OK) {
        instance->producer_id = answer->producer_id;
        instance->epoch = answer->producer_epoch;
        memset(instance->sequences, 0, sizeof instance->sequences);
        instance->needs_raise = false;
    }
    /* A refusal may come behind the abort of what was open: its fence stays. */
    instance_event(instance, &event, HISTORY_TXN_INIT, err == OK ? HISTORY_OK : HISTORY_UNKNOWN);
    event.op = instance->init_op;
    event.error = err == OK ? NULL : err_name(err);
    world_event(world_of(instance), &event);
    instance->init_op = -1;
    if (!instance->is_alive)
        return;
    if (err == OK)
        instance->step = instance->teller->is_chain ? STEP_OFFSETS : STEP_BEGIN;
    else
        instance_is_put_off(instance, "InitProducerId", err);
}

static void initialize(struct instance *instance)
{
    struct init_producer_id_request body;
    struct history_event event;

    init_producer_id_request_init(&body);
    body.transactional_id = slice_from_text(instance->teller->id);
    body.transaction_timeout_ms = instance->teller->timeout_ms;
    body.producer_id = instance->producer_id;
    body.producer_epoch = instance->epoch;
    if (!instance_ask(instance, instance->coordinator, API_INIT_PRODUCER_ID,
                      instance->teller->is_v2 ? 5 : 4, &body, initialized))
        return;
    instance_event(instance, &event, HISTORY_TXN_INIT, HISTORY_INVOKE);
    instance->init_op = world_event(world_of(instance), &event);
}

/* ---- OffsetFetch ---- */

static void offsets_looked(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    struct teller *teller = instance->teller;
    const struct offset_fetch_response *answer = response;
    enum err err = ERR_NETWORK_EXCEPTION;
    int64_t committed = -1;
    struct history_event event;

    UNUSED(request);
    instance->is_busy = false;
    if (instance->look_op < 0)
        return;
    if (answer && answer->groups_count == 1) {
        err = err_from_wire(answer->groups[0].error_code);
        if (err == OK && answer->groups[0].topics_count == 1 &&
            answer->groups[0].topics[0].partitions_count == 1) {
            err = err_from_wire(answer->groups[0].topics[0].partitions[0].error_code);
            committed = answer->groups[0].topics[0].partitions[0].committed_offset;
        }
    }
    instance_event(instance, &event, HISTORY_TXN_OFFSET, err == OK ? HISTORY_OK : HISTORY_FAIL);
    event.op = instance->look_op;
    event.transaction = -1;
    event.offset = err == OK ? committed : -1;
    world_event(world_of(instance), &event);
    instance->look_op = -1;
    if (!instance->is_alive)
        return;
    if (err != OK) {
        instance_is_put_off(instance, "OffsetFetch", err);
        return;
    }
    instance->position = MAX(committed, 0);
    instance->step = STEP_READ;
    UNUSED(teller);
}

static void offsets_look(struct instance *instance)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct teller *teller = instance->teller;
    const struct bank_topic *topic = &world_of(instance)->transactions->topics[0];
    struct offset_fetch_request body;
    struct offset_fetch_request_offset_fetch_request_group *group;
    struct history_event event;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_fetch_request_init(&body);
    group = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    group->group_id = slice_from_text(teller->group);
    group->topics = offset_fetch_request_offset_fetch_request_topics_array(&arena, 1);
    group->topics_count = 1;
    group->topics->name = slice_from_text(topic->name);
    group->topics->partition_indexes = &teller->input_partition;
    group->topics->partition_indexes_count = 1;
    body.groups = group;
    body.groups_count = 1;
    body.require_stable = true;
    if (!instance_ask(instance, instance->coordinator, API_OFFSET_FETCH, 9, &body, offsets_looked))
        return;
    instance_event(instance, &event, HISTORY_TXN_OFFSET, HISTORY_INVOKE);
    event.transaction = -1;
    event.group = teller->history_group;
    event.topic = topic->topic;
    event.partition = teller->input_partition;
    instance->look_op = world_event(world_of(instance), &event);
}

/* ---- Fetch ---- */

static int64_t records_end(struct slice records, int64_t from)
{
    struct slice batch, rest = records;

    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;

        if (batch_header_read(batch, &header) != OK)
            break;
        from = MAX(from, batch_next_offset(&header));
    }
    return from;
}

static void input_read(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct fetch_response *answer = response;
    const struct fetch_response_partition_data *data = NULL;

    UNUSED(request);
    instance->is_busy = false;
    if (!instance->is_alive)
        return;
    instance->read_to = instance->position;
    if (answer && answer->responses_count == 1 && answer->responses[0].partitions_count == 1)
        data = &answer->responses[0].partitions[0];
    if (data && err_from_wire(data->error_code) == ERR_OFFSET_OUT_OF_RANGE)
        world_fail(world_of(instance), "process %d: a committed offset, %lld, is out of range",
                   instance->teller->actor->process, (long long)instance->position);
    if (data && data->error_code == OK)
        instance->read_to = records_end(data->records, instance->position);
    instance->step = STEP_BEGIN;
}

static void input_ask(struct instance *instance)
{
    CLEANUP(arena_release) struct arena arena = {0};
    const struct bank_topic *topic = &world_of(instance)->transactions->topics[0];
    struct fetch_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    fetch_request_init(&body);
    body.max_wait_ms = 20;
    body.min_bytes = 1;
    body.max_bytes = 700; /* a few batches */
    body.isolation_level = 1;
    body.rack_id = SLICE_EMPTY;
    body.topics = fetch_request_fetch_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics->topic = slice_from_text(topic->name);
    body.topics->partitions = fetch_request_fetch_partition_array(&arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->partition = instance->teller->input_partition;
    body.topics->partitions->fetch_offset = instance->position;
    body.topics->partitions->partition_max_bytes = 700;
    instance_ask(instance, instance->data, API_FETCH, 12, &body, input_read);
}

/* ---- the plan of a transaction ---- */

static void sends_plan(struct instance *instance)
{
    struct world *world = world_of(instance);
    struct world_transactions *all = world->transactions;
    struct random *random = &instance->teller->actor->random;
    struct send *last = NULL;
    int64_t sum = 0;

    instance->send_count = (int)random_between(random, 1, TELLER_SENDS_MAX);
    for (int i = 0; i < instance->send_count; i++) {
        struct send *send = &instance->sends[i];
        int topic = (int)random_below(random, (uint64_t)all->topic_count);

        if (i == 0)
            topic = 0;
        *send = (struct send){
            .instance = instance,
            .topic = topic,
            .partition = (int32_t)random_below(random, (uint64_t)all->topics[topic].partitions),
            .key = -1,
            .op = -1,
            .first_value = world->next_value,
            .timestamp_ms = os_wall_ms(world->nodes[0].node.machine)};
        send->count = all->topics[topic].is_compacted ? 1 : (int32_t)random_between(random, 1, 3);
        if (all->topics[topic].is_compacted)
            send->key = (int32_t)random_below(random, TELLER_KEYS);
        for (int32_t k = 0; k < send->count && send->key < 0; k++) {
            send->amounts[k] = random_between(random, -50, 50);
            sum += send->amounts[k];
            last = send;
        }
        world->next_value += send->count;
    }
    last->amounts[last->count - 1] -= sum; /* nothing is lost or made */
}

void instance_begin(struct instance *instance)
{
    struct world *world = world_of(instance);
    struct random *random = &instance->teller->actor->random;
    struct history_event event;

    instance->number = world->transactions->next_number++;
    instance->is_commit = random_chance(random, 4, 5);
    if (world->options.transaction_script)
        instance->is_commit = instance->number % 2 == 1;
    instance->is_joined = false;
    instance->end_op = instance->move_op = -1;
    instance->end_is_maybe = instance->move_is_done = instance->move_is_maybe = false;
    sends_plan(instance);
    instance->has_move = instance->teller->is_chain && instance->read_to > instance->position;
    instance->moved_to = instance->position;
    if (instance->has_move) /* not all that was read, sometimes */
        instance->moved_to += random_between(random, 1, instance->read_to - instance->position);
    instance_event(instance, &event, HISTORY_TXN_BEGIN, HISTORY_OK);
    world_event(world, &event);
    instance->step = instance->teller->is_v2 ? STEP_SEND : STEP_ADD;
}

void instance_step(struct instance *instance)
{
    struct teller *teller = instance->teller;
    struct world *world = world_of(instance);

    if (!peer_is_ready(instance->coordinator) || !peer_is_ready(instance->data) ||
        instance->is_busy)
        return;
    switch (instance->step) {
    case STEP_FIND:
        for (int i = 0; i < world->transactions->topic_count; i++)
            if (!world->transactions->topics[i].is_live)
                return;
        find(instance);
        return;
    case STEP_FIND_GROUP:
        find(instance);
        return;
    case STEP_INIT:
        initialize(instance);
        return;
    case STEP_OFFSETS:
    case STEP_READ:
    case STEP_BEGIN:
        if (world->phase != WORLD_FAULTS || teller->transactions_left <= 0)
            return; /* nothing new */
        if (instance->step == STEP_OFFSETS) {
            offsets_look(instance);
        } else if (instance->step == STEP_READ) {
            input_ask(instance);
        } else {
            teller->transactions_left--;
            instance_begin(instance);
        }
        return;
    default:
        instance_step_in_transaction(instance);
    }
}
