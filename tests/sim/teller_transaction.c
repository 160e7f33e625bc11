/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/teller_transaction.c: an instance in its transaction: adds (first protocol), produces, moves offsets, ends. It asks
 * again as clients do; sometimes it gives a batch up and aborts, as clients do when the delivery timeout is over.
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/add_offsets_to_txn_request.h"
#include "protocol/generated/add_offsets_to_txn_response.h"
#include "protocol/generated/add_partitions_to_txn_request.h"
#include "protocol/generated/add_partitions_to_txn_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/end_txn_request.h"
#include "protocol/generated/end_txn_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "protocol/generated/txn_offset_commit_request.h"
#include "protocol/generated/txn_offset_commit_response.h"
#include "records/batch.h"

#include <stdlib.h>

static struct world *world_of(const struct instance *instance)
{
    return instance->teller->actor->world;
}

static bool gives_up(const struct instance *instance)
{
    return world_of(instance)->options.transaction_script == 0 &&
           random_chance(&instance->teller->actor->random, 1, 8);
}

/* ---- AddPartitionsToTxn, AddOffsetsToTxn ---- */

static void added(struct instance *instance, const char *what, enum err err, enum step next)
{
    if (!instance->is_alive)
        return;
    instance->is_joined = true;
    if (err == OK)
        instance->step = next;
    else
        instance_is_put_off(instance, what, err);
}

static void partitions_added(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct add_partitions_to_txn_response *answer = response;
    enum err err = answer ? OK : ERR_NETWORK_EXCEPTION;

    UNUSED(request);
    instance->is_busy = false;
    for (int32_t i = 0; answer && i < answer->results_by_topic_v3_and_below_count; i++)
        for (int32_t k = 0; k < answer->results_by_topic_v3_and_below[i].results_by_partition_count;
             k++) {
            enum err told = err_from_wire(answer->results_by_topic_v3_and_below[i]
                                              .results_by_partition[k]
                                              .partition_error_code);

            if (told != OK && (err == OK || err == ERR_OPERATION_NOT_ATTEMPTED))
                err = told;
        }
    added(instance, "AddPartitionsToTxn", err, instance->has_move ? STEP_ADD_GROUP : STEP_SEND);
}

static void partitions_add(struct instance *instance)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world_transactions *all = world_of(instance)->transactions;
    struct add_partitions_to_txn_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    add_partitions_to_txn_request_init(&body);
    body.v3_and_below_transactional_id = slice_from_text(instance->teller->id);
    body.v3_and_below_producer_id = instance->producer_id;
    body.v3_and_below_producer_epoch = instance->epoch;
    body.v3_and_below_topics =
        add_partitions_to_txn_request_add_partitions_to_txn_topic_array(&arena, BANK_TOPICS);
    for (int topic = 0; topic < all->topic_count; topic++) {
        struct add_partitions_to_txn_request_add_partitions_to_txn_topic *own =
            &body.v3_and_below_topics[body.v3_and_below_topics_count];
        uint32_t seen = 0;

        own->name = slice_from_text(all->topics[topic].name);
        own->partitions = ARENA_ARRAY(&arena, int32_t, TELLER_SENDS_MAX);
        for (int i = 0; i < instance->send_count; i++) {
            const struct send *send = &instance->sends[i];

            if (send->topic != topic || (seen >> send->partition & 1))
                continue;
            seen |= 1u << send->partition;
            own->partitions[own->partitions_count++] = send->partition;
        }
        body.v3_and_below_topics_count += own->partitions_count > 0;
    }
    instance_ask(instance, instance->coordinator, API_ADD_PARTITIONS_TO_TXN, 3, &body,
                 partitions_added);
}

static void group_added(void *context, struct peer_request *request, const void *response)
{
    const struct add_offsets_to_txn_response *answer = response;

    UNUSED(request);
    ((struct instance *)context)->is_busy = false;
    added(context, "AddOffsetsToTxn",
          answer ? err_from_wire(answer->error_code) : ERR_NETWORK_EXCEPTION, STEP_SEND);
}

static void group_add(struct instance *instance)
{
    struct add_offsets_to_txn_request body;

    add_offsets_to_txn_request_init(&body);
    body.transactional_id = slice_from_text(instance->teller->id);
    body.producer_id = instance->producer_id;
    body.producer_epoch = instance->epoch;
    body.group_id = slice_from_text(instance->teller->group);
    instance_ask(instance, instance->coordinator, API_ADD_OFFSETS_TO_TXN, 3, &body, group_added);
}

/* ---- Produce ---- */

static void send_event(struct send *send, enum history_phase phase, int64_t offset)
{
    struct instance *instance = send->instance;
    struct world *world = world_of(instance);
    struct history_event event;

    instance_event(instance, &event, HISTORY_PRODUCE, phase);
    event.op = send->op;
    event.topic = world->transactions->topics[send->topic].topic;
    event.partition = send->partition;
    event.offset = offset;
    if (phase == HISTORY_INVOKE) {
        event.acks = -1;
        event.base_sequence = send->base_sequence;
        event.first_value = send->first_value;
        event.count = send->count;
        event.key = send->key;
        event.timestamp_ms = send->timestamp_ms;
        for (int32_t i = 0; i < send->count; i++)
            event.amount += send->amounts[i];
    }
    send->op = world_event(world, &event);
}

static void abort_instead(struct instance *instance)
{
    instance->is_commit = false;
    instance->needs_raise = !instance->teller->is_v2;
}

static void send_give_up(struct send *send)
{
    send->state = SEND_GIVEN_UP;
    teller_late_add(send);
    send_event(send, HISTORY_UNKNOWN, -1);
    abort_instead(send->instance);
}

static void send_refused(struct send *send, enum err err)
{
    struct instance *instance = send->instance;
    struct world *world = world_of(instance);

    send->state = SEND_NEW;
    if (err == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER || err == ERR_UNKNOWN_PRODUCER_ID) {
        if (!world->may_forget)
            world_fail(world, "process %d: Produce of op %lld: %s",
                       instance->teller->actor->process, (long long)send->op, err_name(err));
        instance_die(instance, err_name(err));
        return;
    }
    instance_is_put_off(instance, "Produce", err);
    if (instance->is_alive && gives_up(instance))
        send_give_up(send);
}

static void produced(void *context, struct peer_request *request, const void *response)
{
    struct send *send = context;
    struct instance *instance = send->instance;
    const struct produce_response *answer = response;
    enum err err = ERR_NETWORK_EXCEPTION;
    int64_t offset = -1;

    UNUSED(request);
    if (answer &&
        (answer->responses_count != 1 || answer->responses[0].partition_responses_count != 1 ||
         answer->responses[0].partition_responses[0].index != send->partition)) {
        world_fail(world_of(instance), "Produce answered another partition");
        return;
    }
    if (answer) {
        err = err_from_wire(answer->responses[0].partition_responses[0].error_code);
        offset = answer->responses[0].partition_responses[0].base_offset;
    }
    if (err == ERR_DUPLICATE_SEQUENCE_NUMBER) {
        err = OK;
        offset = -1;
    }
    if (err == OK) {
        send->state = SEND_DONE;
        send_event(send, HISTORY_OK, offset);
    } else if (instance->is_alive) {
        send_refused(send, err);
    }
}

static void send_send(struct send *send)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct instance *instance = send->instance;
    struct world *world = world_of(instance);
    const struct bank_topic *topic = &world->transactions->topics[send->topic];
    int32_t *sequence = &instance->sequences[send->topic][send->partition];
    struct produce_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    if (send->op < 0) {
        send->base_sequence = *sequence;
        *sequence = sequence_add(*sequence, send->count);
    }
    produce_request_init(&body);
    body.transactional_id = slice_from_text(instance->teller->id);
    body.acks = -1;
    body.timeout_ms = TELLER_TIMEOUT_MS / 2;
    body.topic_data = produce_request_topic_produce_data_array(&arena, 1);
    body.topic_data_count = 1;
    body.topic_data->name = slice_from_text(topic->name);
    body.topic_data->topic_id = topic->id;
    body.topic_data->partition_data = produce_request_partition_produce_data_array(&arena, 1);
    body.topic_data->partition_data_count = 1;
    body.topic_data->partition_data->index = send->partition;
    body.topic_data->partition_data->records =
        send_build(send, instance, history_topic_key(world->history, topic->topic), &arena);
    if (send->op < 0)
        send_event(send, HISTORY_INVOKE, -1);
    instance->is_joined = true;
    if (teller_late_draw(instance->teller)) {
        send_give_up(send); /* nothing was heard of it in time */
        return;
    }
    send->request.answered = produced;
    send->request.context = send;
    if (peer_send(instance->data, API_PRODUCE, instance->teller->produce_version, &body,
                  TELLER_TIMEOUT_MS, &send->request))
        send->state = SEND_IN_FLIGHT;
}

/* One batch of a partition at a time. When one was given up, what was not sent yet needs not be. */
static void sends_go_on(struct instance *instance)
{
    uint64_t busy = 0;
    bool has_given_up = false;
    int done = 0;

    for (int i = 0; i < instance->send_count; i++)
        has_given_up |= instance->sends[i].state == SEND_GIVEN_UP;
    for (int i = 0; i < instance->send_count && instance->is_alive; i++) {
        struct send *send = &instance->sends[i];
        uint64_t place = 1ull << (send->topic * BANK_PARTITIONS_MAX + send->partition);

        if (has_given_up && send->state == SEND_NEW && send->op < 0)
            send->state = SEND_DONE;
        if (send->state == SEND_NEW && !(busy & place))
            send_send(send);
        has_given_up |= send->state == SEND_GIVEN_UP;
        busy |= send->state == SEND_NEW || send->state == SEND_IN_FLIGHT ? place : 0;
        done += send->state == SEND_DONE || send->state == SEND_GIVEN_UP;
    }
    if (done == instance->send_count)
        instance->step = instance->has_move && !has_given_up ? STEP_MOVE : STEP_END;
}

/* ---- TxnOffsetCommit ---- */

static void move_event(struct instance *instance, enum history_phase phase)
{
    struct world *world = world_of(instance);
    struct history_event event;

    instance_event(instance, &event, HISTORY_TXN_OFFSETS, phase);
    event.op = instance->move_op;
    event.group = instance->teller->history_group;
    event.topic = world->transactions->topics[0].topic;
    event.partition = instance->teller->input_partition;
    event.offset = instance->moved_to;
    event.count = (int32_t)(instance->moved_to - instance->position);
    instance->move_op = world_event(world, &event);
}

static void moved(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct txn_offset_commit_response *answer = response;
    enum err err = ERR_NETWORK_EXCEPTION;

    UNUSED(request);
    instance->is_busy = false;
    if (!instance->is_alive && !answer)
        return;
    if (answer && answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
        err = err_from_wire(answer->topics[0].partitions[0].error_code);
    if (err == OK) {
        instance->move_is_done = true;
        move_event(instance, HISTORY_OK);
        instance->step = STEP_END;
        return;
    }
    instance_is_put_off(instance, "TxnOffsetCommit", err);
    if (instance->is_alive && gives_up(instance)) {
        move_event(instance, HISTORY_UNKNOWN);
        instance->move_is_done = true;
        instance->is_commit = false;
        instance->needs_raise = !instance->teller->is_v2;
        instance->step = STEP_END;
    }
}

static void move(struct instance *instance)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct teller *teller = instance->teller;
    struct txn_offset_commit_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    txn_offset_commit_request_init(&body);
    body.transactional_id = slice_from_text(teller->id);
    body.group_id = slice_from_text(teller->group);
    body.producer_id = instance->producer_id;
    body.producer_epoch = instance->epoch;
    body.topics = txn_offset_commit_request_txn_offset_commit_request_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics->name = slice_from_text(world_of(instance)->transactions->topics[0].name);
    body.topics->partitions =
        txn_offset_commit_request_txn_offset_commit_request_partition_array(&arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->partition_index = teller->input_partition;
    body.topics->partitions->committed_offset = instance->moved_to;
    body.topics->partitions->committed_metadata = SLICE("t");
    if (!instance_ask(instance, instance->coordinator, API_TXN_OFFSET_COMMIT, teller->is_v2 ? 5 : 3,
                      &body, moved))
        return;
    instance->is_joined = true;
    if (instance->move_op < 0)
        move_event(instance, HISTORY_INVOKE);
}

/* ---- EndTxn ---- */

static void end_event(struct instance *instance, enum history_phase phase, enum err err)
{
    struct history_event event;

    instance_event(instance, &event, HISTORY_TXN_END, phase);
    event.op = instance->end_op;
    event.is_commit = instance->is_commit;
    event.error = err == OK ? NULL : err_name(err);
    instance->end_op = world_event(world_of(instance), &event);
}

void instance_after_end(struct instance *instance)
{
    bool is_moved = instance->has_move && instance->is_commit;

    if (is_moved)
        instance->position = instance->moved_to;
    instance->number = -1;
    instance->end_op = instance->move_op = -1;
    instance->send_count = 0;
    if (instance->needs_raise)
        instance->step = STEP_INIT;
    else
        instance->step = !instance->teller->is_chain ? STEP_BEGIN
                         : is_moved                  ? STEP_READ
                                                     : STEP_OFFSETS;
    instance_later(instance, world_of(instance)->options.transaction_script ? 1 : 15);
}

static bool is_certain_refusal(enum err err)
{
    return err == ERR_PRODUCER_FENCED || err == ERR_INVALID_PRODUCER_EPOCH ||
           err == ERR_INVALID_TXN_STATE || err == ERR_INVALID_PRODUCER_ID_MAPPING ||
           err == ERR_TRANSACTION_ABORTABLE;
}

static void ended(void *context, struct peer_request *request, const void *response)
{
    struct instance *instance = context;
    const struct end_txn_response *answer = response;
    enum err err = answer ? err_from_wire(answer->error_code) : ERR_NETWORK_EXCEPTION;

    UNUSED(request);
    instance->is_busy = false;
    if (instance->end_op < 0 || (!instance->is_alive && !answer))
        return;
    if (err == OK) {
        end_event(instance, HISTORY_OK, OK);
        if (instance->teller->is_v2) {
            if (answer->producer_id != instance->producer_id ||
                answer->producer_epoch != instance->epoch)
                memset(instance->sequences, 0, sizeof instance->sequences);
            else
                world_fail(world_of(instance), "EndTxn of protocol 2 raised no epoch");
            instance->producer_id = answer->producer_id;
            instance->epoch = answer->producer_epoch;
        }
        instance_after_end(instance);
        return;
    }
    if (is_certain_refusal(err)) {
        end_event(instance, instance->end_is_maybe ? HISTORY_UNKNOWN : HISTORY_FAIL, err);
        instance->end_op = -1;
    } else if (err != ERR_CONCURRENT_TRANSACTIONS && err != ERR_COORDINATOR_LOAD_IN_PROGRESS) {
        instance->end_is_maybe = true;
    }
    instance_is_put_off(instance, "EndTxn", err);
}

static void end(struct instance *instance)
{
    struct end_txn_request body;

    if (!instance->is_joined) { /* nothing was added: clients end it by themselves */
        instance->is_commit = false;
        instance_after_end(instance);
        return;
    }
    end_txn_request_init(&body);
    body.transactional_id = slice_from_text(instance->teller->id);
    body.producer_id = instance->producer_id;
    body.producer_epoch = instance->epoch;
    body.committed = instance->is_commit;
    if (instance_ask(instance, instance->coordinator, API_END_TXN, instance->teller->is_v2 ? 5 : 3,
                     &body, ended) &&
        instance->end_op < 0)
        end_event(instance, HISTORY_INVOKE, OK);
}

void instance_step_in_transaction(struct instance *instance)
{
    switch (instance->step) {
    case STEP_ADD:
        partitions_add(instance);
        break;
    case STEP_ADD_GROUP:
        group_add(instance);
        break;
    case STEP_SEND:
        sends_go_on(instance);
        break;
    case STEP_MOVE:
        move(instance);
        break;
    default:
        end(instance);
    }
}
