/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_producer.c: produces numbered batches: acks 0, 1 or all, idempotent or not, several in flight. An
 * idempotent one sends again, in order, until it has an answer, as Kafka's client does; the others never send
 * again, so that nothing of theirs may be there twice. A wide one sends batches of several partitions in one request of
 * some hundred (producer_parcel.c), again as well as for the first time.
 */
#include "batches.h"
#include "producer.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"

#include <stdlib.h>

#define IN_FLIGHT_MAX 5 /* per partition, what an idempotent producer may have */
#define TIMEOUT_MS 3000
#define LANES (WORLD_SLOTS_MAX * WORLD_PARTITIONS_MAX)
#define WIDE_ONE_IN 6
#define WIDE_TRIES 12 /* to find partitions that take a batch */

struct lane { /* one partition of one slot */
    struct sending *first, *last;
    int count, in_flight;
    bool must_rewind; /* nothing new until all in flight is answered, then again from the first */
    int32_t next_sequence;
    uint32_t generation;
};

struct producer {
    int16_t acks, version;
    bool is_idempotent, is_compressing, is_wide;
    struct random wide; /* of its own: that others are wide changes nothing in those that are not */
    int in_flight_max, batches_max;
    int64_t producer_id;
    int16_t epoch;
    bool is_asking;   /* for an id */
    bool is_starting; /* over: with a new id, when nothing is in flight any more */
    struct peer_request id_request;
    struct lane lanes[WORLD_SLOTS_MAX][WORLD_PARTITIONS_MAX];
};

static void begin(struct actor *actor, int number)
{
    static const int16_t versions[] = {3, 7, 9, 11, 12, 13};
    struct producer *own = actor->own;
    struct random *random = &actor->random;
    char stream[32];

    own->acks = (int16_t)(random_chance(random, 2, 3) ? -1 : random_between(random, 0, 1));
    own->is_idempotent = own->acks != 0 && random_chance(random, own->acks == 1 ? 1 : 2, 3);
    own->version = versions[random_below(random, ARRAY_COUNT(versions))];
    own->is_compressing = random_chance(random, 1, 3);
    own->in_flight_max = (int)random_between(random, 1, IN_FLIGHT_MAX);
    own->batches_max = (int)random_between(random, 20, 300);
    own->producer_id = -1;
    actor->tick_ms = random_between(random, 2, 30);
    snprintf(stream, sizeof stream, "wide producer %d", number);
    sim_random_init(actor->world->sim, &own->wide, stream);
    own->is_wide = own->acks != 0 && random_chance(&own->wide, 1, WIDE_ONE_IN);
    if (own->is_wide)
        own->batches_max /= 2; /* several at a time */
}

static bool is_nothing_in_flight(const struct producer *own)
{
    for (int slot = 0; slot < WORLD_SLOTS_MAX; slot++)
        for (int partition = 0; partition < WORLD_PARTITIONS_MAX; partition++)
            if (own->lanes[slot][partition].in_flight > 0)
                return false;
    return true;
}

/* ---- ends ---- */

static struct lane *lane_of(struct sending *sending)
{
    return &((struct producer *)sending->actor->own)->lanes[sending->slot][sending->partition];
}

static void sending_end(struct sending *sending, enum history_phase phase, int64_t offset,
                        enum err err)
{
    struct lane *lane = lane_of(sending);
    struct sending **link = &lane->first;
    struct history_event event;

    history_event_init(&event, HISTORY_PRODUCE, phase);
    event.op = sending->op;
    event.process = sending->actor->process;
    event.topic = sending->topic;
    event.partition = sending->partition;
    event.offset = offset;
    event.error = err == OK ? NULL : err_name(err);
    world_event(sending->actor->world, &event);
    while (*link != sending)
        link = &(*link)->next;
    *link = sending->next;
    lane->last = NULL;
    for (struct sending *at = lane->first; at; at = at->next)
        lane->last = at;
    lane->count--;
    free((void *)(uintptr_t)sending->batch.data);
    free(sending);
}

/* Not known any more whether it took effect, or certain that it did not. */
static void sending_give_up(struct sending *sending, enum err err)
{
    sending_end(sending, sending->is_maybe ? HISTORY_UNKNOWN : HISTORY_FAIL, -1, err);
}

/* Errors after which the batch may nevertheless be in the log. */
static bool is_open(enum err err)
{
    return err == ERR_REQUEST_TIMED_OUT || err == ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND ||
           err == ERR_KAFKA_STORAGE_ERROR || err == ERR_UNKNOWN_SERVER_ERROR ||
           err == ERR_NOT_LEADER_OR_FOLLOWER;
}

/* One attempt; the batch may be sent again. */
static void refusal_tell(struct sending *sending, enum err err)
{
    struct history_event event;

    history_event_init(&event, HISTORY_PRODUCE, HISTORY_UNKNOWN);
    event.op = sending->op;
    event.process = sending->actor->process;
    event.topic = sending->topic;
    event.partition = sending->partition;
    event.error = err_name(err);
    world_event(sending->actor->world, &event);
}

static void idempotent_refused(struct sending *sending, enum err err)
{
    struct producer *own = sending->actor->own;
    struct world *world = sending->actor->world;
    struct lane *lane = lane_of(sending);
    const struct slot *slot = &world->slots[sending->slot];

    sending->is_maybe |= is_open(err);
    if (err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER || lane->first == sending)
        refusal_tell(sending, err);
    if (err == ERR_UNKNOWN_TOPIC_ID || err == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        if (slot->is_churn)
            own->is_starting = true; /* its batches end when nothing is in flight */
        else
            lane->must_rewind = true;
        return;
    }
    lane->must_rewind = true;
    if (err_is_retriable(err) && err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER &&
        err != ERR_UNKNOWN_PRODUCER_ID)
        return;
    if (err == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && lane->first != sending)
        return; /* because of the one before it */
    /* Whether it may be out of order is judged by the history (rule_forgotten.c). */
    if (err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && err != ERR_UNKNOWN_PRODUCER_ID &&
        err != ERR_INVALID_PRODUCER_EPOCH)
        world_fail(world, "process %d: Produce of op %lld: %s", sending->actor->process,
                   (long long)sending->op, err_name(err));
    own->is_starting = true;
}

static void plain_refused(struct sending *sending, enum err err)
{
    sending->is_maybe |= is_open(err);
    if (!err_is_retriable(err) && err != ERR_KAFKA_STORAGE_ERROR)
        world_fail(sending->actor->world, "process %d: Produce of op %lld: %s",
                   sending->actor->process, (long long)sending->op, err_name(err));
    sending_give_up(sending, err);
}

void sending_answered(struct sending *sending,
                      const struct produce_response_partition_produce_response *answer)
{
    struct producer *own = sending->actor->own;
    struct lane *lane = lane_of(sending);
    enum err err;

    sending->is_in_flight = false;
    lane->in_flight--;
    if (!answer) {
        sending->is_maybe = true;
        if (own->is_idempotent)
            lane->must_rewind = true;
        else
            sending_give_up(sending, ERR_NETWORK_EXCEPTION);
        return;
    }
    err = err_from_wire(answer->error_code);
    if (err == OK || (err == ERR_DUPLICATE_SEQUENCE_NUMBER && own->is_idempotent))
        sending_end(sending, HISTORY_OK, err == OK ? answer->base_offset : -1, OK);
    else if (own->is_idempotent)
        idempotent_refused(sending, err);
    else
        plain_refused(sending, err);
}

/* ---- sending ---- */

/* In one request, one of a lane at most. False: there is no connection. */
static bool sendings_send(struct actor *actor, struct sending *const *sendings, int count)
{
    struct producer *own = actor->own;
    int16_t version = own->version;
    bool is_sent;

    for (int i = 0; i < count; i++)
        if (actor->world->slots[sendings[i]->slot].is_churn)
            version = 13;
    is_sent = parcel_send(actor, sendings, count, own->acks, version, TIMEOUT_MS,
                          own->is_wide ? &own->wide : NULL);
    for (int i = 0; i < count; i++) {
        struct sending *sending = sendings[i];
        struct lane *lane = lane_of(sending);

        if (!is_sent && own->is_idempotent) {
            lane->must_rewind = true;
        } else if (!is_sent) {
            sending_give_up(sending, ERR_NETWORK_EXCEPTION);
        } else if (own->acks == 0) {
            sending->is_maybe = true;
            sending_give_up(sending, OK);
        } else {
            sending->is_in_flight = true;
            lane->in_flight++;
        }
    }
    return is_sent;
}

static struct sending *sending_new(struct actor *actor, int32_t slot_index, int32_t partition)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct producer *own = actor->own;
    struct world *world = actor->world;
    struct slot *slot = &world->slots[slot_index];
    struct lane *lane = &own->lanes[slot_index][partition];
    struct sending *sending = calloc(1, sizeof *sending);
    struct numbered_batch batch = {
        .topic_key = history_topic_key(world->history, slot->topic),
        .partition = partition,
        .first_value = world->next_value,
        .count = (int32_t)random_between(&actor->random, 1, 15),
        .pad_bytes = (int32_t)random_below(&actor->random, 8) * 20,
        .timestamp_ms = os_wall_ms(world->nodes[0].node.machine),
        .producer_id = own->is_idempotent ? own->producer_id : -1,
        .producer_epoch = own->is_idempotent ? own->epoch : -1,
        .base_sequence = own->is_idempotent ? lane->next_sequence : -1,
    };
    struct history_event event;
    struct slice built;
    uint8_t *kept;

    ASSERT(sending != NULL);
    /* A batch that no segment can hold is refused. */
    batch.count = (int32_t)MIN(batch.count, (strtol(world->knobs.segment_bytes, NULL, 10) - 100) /
                                                (70 + batch.pad_bytes));
    if (own->is_compressing)
        batch.codec = (enum compression)random_below(&actor->random, COMPRESSION_COUNT);
    if (batch.codec == COMPRESSION_ZSTD && own->version < 7)
        batch.codec = COMPRESSION_NONE;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    built = numbered_batch_build(&batch, &arena);
    kept = malloc(built.size_bytes);
    ASSERT(kept != NULL);
    memcpy(kept, built.data, built.size_bytes);
    *sending = (struct sending){.actor = actor,
                                .batch = slice_of(kept, built.size_bytes),
                                .slot = slot_index,
                                .partition = partition,
                                .topic = slot->topic,
                                .topic_id = slot->id,
                                .count = batch.count,
                                .base_sequence = batch.base_sequence};
    history_event_init(&event, HISTORY_PRODUCE, HISTORY_INVOKE);
    event.process = actor->process;
    event.topic = slot->topic;
    event.partition = partition;
    event.acks = own->acks;
    event.link = own->is_idempotent ? -1 : actor->process * 1000 + peer_link(actor->peer) % 1000;
    event.producer_id = batch.producer_id;
    event.producer_epoch = batch.producer_epoch;
    event.base_sequence = batch.base_sequence;
    event.first_value = batch.first_value;
    event.count = batch.count;
    event.size_bytes = (int32_t)built.size_bytes;
    event.timestamp_ms = batch.timestamp_ms;
    sending->op = world_event(world, &event);
    world->next_value += batch.count;
    lane->next_sequence = sequence_add(lane->next_sequence, batch.count);
    if (lane->last)
        lane->last->next = sending;
    else
        lane->first = sending;
    lane->last = sending;
    lane->count++;
    return sending;
}

static void id_answered(void *context, struct peer_request *request, const void *response)
{
    struct actor *actor = context;
    struct producer *own = actor->own;
    const struct init_producer_id_response *answer = response;

    UNUSED(request);
    own->is_asking = false;
    if (!answer || answer->error_code != OK)
        return;
    own->producer_id = answer->producer_id;
    own->epoch = answer->producer_epoch;
}

static void id_ask(struct actor *actor)
{
    struct producer *own = actor->own;
    struct init_producer_id_request body;

    init_producer_id_request_init(&body);
    body.transactional_id = SLICE_NULL;
    body.transaction_timeout_ms = 60000;
    own->id_request.answered = id_answered;
    own->id_request.context = actor;
    own->is_asking =
        peer_send(actor->peer, API_INIT_PRODUCER_ID, 4, &body, TIMEOUT_MS, &own->id_request);
}

static void start_over(struct producer *own)
{
    for (int slot = 0; slot < WORLD_SLOTS_MAX; slot++) {
        for (int partition = 0; partition < WORLD_PARTITIONS_MAX; partition++) {
            struct lane *lane = &own->lanes[slot][partition];

            while (lane->first)
                sending_give_up(lane->first, OK);
            lane->must_rewind = false;
            lane->next_sequence = 0;
        }
    }
    own->is_starting = false;
    own->producer_id = -1;
}

/* Each lane's first one, then each one's second, and so on: in order, and one of a lane at most in a request. */
static void rewind_wide(struct actor *actor, struct sending **next, int count)
{
    while (count > 0) {
        struct sending *rest[LANES];
        int together = MIN(count, PARCEL_SENDINGS_MAX), left = 0;

        for (int i = together; i < count; i++)
            rest[left++] = next[i];
        if (!sendings_send(actor, next, together)) {
            for (int i = 0; i < left; i++)
                lane_of(rest[i])->must_rewind = true;
            return;
        }
        for (int i = 0; i < together; i++)
            if (next[i]->next)
                rest[left++] = next[i]->next;
        memcpy(next, rest, (size_t)left * sizeof(*next));
        count = left;
    }
}

static void rewind_all(struct actor *actor)
{
    struct producer *own = actor->own;
    struct sending *firsts[LANES];
    int count = 0;

    for (int i = 0; i < WORLD_SLOTS_MAX; i++) {
        for (int k = 0; k < WORLD_PARTITIONS_MAX; k++) {
            struct lane *again = &own->lanes[i][k];

            if (!again->must_rewind || again->in_flight > 0)
                continue;
            again->must_rewind = false;
            if (own->is_wide && again->first)
                firsts[count++] = again->first;
            for (struct sending *at = again->first, *next;
                 at && !own->is_wide && !again->must_rewind; at = next) {
                next = at->next;
                again->must_rewind = !sendings_send(actor, &at, 1);
            }
        }
    }
    rewind_wide(actor, firsts, count);
}

/* A batch for each of some partitions, in one request. */
static void wide_send(struct actor *actor)
{
    struct producer *own = actor->own;
    struct world *world = actor->world;
    struct sending *made[PARCEL_SENDINGS_MAX];
    uint64_t taken = 0;
    int count = 0;

    if (world->phase != WORLD_FAULTS || own->is_starting || random_chance(&own->wide, 1, 4))
        return;
    for (int i = 0; i < WIDE_TRIES && count < PARCEL_SENDINGS_MAX && own->batches_max > 0; i++) {
        int32_t at = (int32_t)random_below(&own->wide, (uint64_t)world->slot_count);
        const struct slot *slot = &world->slots[at];
        int32_t partition = (int32_t)random_below(&own->wide, (uint64_t)slot->partitions);
        struct lane *lane = &own->lanes[at][partition];
        uint64_t bit = UINT64_C(1) << (at * WORLD_PARTITIONS_MAX + partition);

        if ((taken & bit) || !slot->is_live || lane->must_rewind ||
            lane->count >= own->in_flight_max ||
            (lane->generation != slot->generation && lane->first))
            continue;
        if (lane->generation != slot->generation) {
            lane->generation = slot->generation;
            lane->next_sequence = 0;
        }
        taken |= bit;
        own->batches_max--;
        made[count++] = sending_new(actor, at, partition);
    }
    if (count > 0)
        (void)sendings_send(actor, made, count);
}

static void tick(struct actor *actor)
{
    struct producer *own = actor->own;
    struct world *world = actor->world;
    int32_t slot = (int32_t)random_below(&actor->random, (uint64_t)world->slot_count);
    int32_t partition = (int32_t)random_below(&actor->random, WORLD_PARTITIONS_MAX);
    struct lane *lane = &own->lanes[slot][partition];
    struct sending *made;

    if (!peer_is_ready(actor->peer) || own->is_asking)
        return;
    if (own->is_starting) {
        if (!is_nothing_in_flight(own))
            return;
        start_over(own);
    }
    if (own->is_idempotent && own->producer_id < 0) {
        id_ask(actor);
        return;
    }
    rewind_all(actor);
    if (own->is_wide) {
        wide_send(actor);
        return;
    }
    if (world->phase != WORLD_FAULTS || own->batches_max == 0 || !world->slots[slot].is_live ||
        partition >= world->slots[slot].partitions || lane->must_rewind || own->is_starting ||
        lane->count >= own->in_flight_max || random_chance(&actor->random, 1, 4))
        return;
    if (lane->generation != world->slots[slot].generation) {
        if (lane->first)
            return; /* of the topic that was */
        lane->generation = world->slots[slot].generation;
        lane->next_sequence = 0;
    }
    own->batches_max--;
    made = sending_new(actor, slot, partition);
    (void)sendings_send(actor, &made, 1);
}

static bool is_drained(const struct actor *actor)
{
    const struct producer *own = actor->own;

    for (int slot = 0; slot < WORLD_SLOTS_MAX; slot++)
        for (int partition = 0; partition < WORLD_PARTITIONS_MAX; partition++)
            if (own->lanes[slot][partition].count > 0)
                return false;
    return true;
}

const struct actor_type actor_producer = {.name = "producer",
                                          .own_bytes = sizeof(struct producer),
                                          .begin = begin,
                                          .tick = tick,
                                          .is_drained = is_drained};
