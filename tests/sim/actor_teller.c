/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_teller.c: the life of a teller's instances: born, paused, succeeded, crashed.
 */
#include "transaction.h"

#include "base/assert.h"

static void begin(struct actor *actor, int number)
{
    UNUSED(number);
    actor->tick_ms =
        actor->world->options.transaction_script ? 2 : random_between(&actor->random, 2, 12);
}

void instance_event(const struct instance *instance, struct history_event *event,
                    enum history_kind kind, enum history_phase phase)
{
    history_event_init(event, kind, phase);
    event->process = instance->teller->actor->process;
    event->member = instance->teller->history_id;
    event->transaction = instance->number;
    event->producer_id = instance->producer_id;
    event->producer_epoch = instance->epoch;
}

void instance_later(struct instance *instance, int64_t ms)
{
    struct actor *actor = instance->teller->actor;

    instance->next_ns =
        sim_now_ns(actor->world->sim) + random_between(&actor->random, 1, MAX(2 * ms, 1)) * MS;
}

bool instance_ask(struct instance *instance, struct peer *peer, int16_t api_key, int16_t version,
                  const void *body, peer_answered *answered)
{
    instance->request.answered = answered;
    instance->request.context = instance;
    instance->is_busy =
        peer_send(peer, api_key, version, body, TELLER_TIMEOUT_MS, &instance->request);
    return instance->is_busy;
}

bool instance_is_put_off(struct instance *instance, const char *what, enum err err)
{
    struct world *world = instance->teller->actor->world;

    switch (err) {
    case ERR_NETWORK_EXCEPTION: /* no answer */
    case ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case ERR_COORDINATOR_NOT_AVAILABLE:
    case ERR_NOT_COORDINATOR:
    case ERR_CONCURRENT_TRANSACTIONS:
    case ERR_REQUEST_TIMED_OUT:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_UNKNOWN_TOPIC_ID:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_UNSTABLE_OFFSET_COMMIT:
    case ERR_OPERATION_NOT_ATTEMPTED:
        instance_later(instance, 20);
        return true;
    case ERR_PRODUCER_FENCED:
    case ERR_INVALID_PRODUCER_EPOCH:
    case ERR_INVALID_TXN_STATE: /* its time was out */
    case ERR_INVALID_PRODUCER_ID_MAPPING:
    case ERR_TRANSACTION_ABORTABLE:
        instance_die(instance, err_name(err));
        return true;
    default:
        world_fail(world, "process %d: %s: %s", instance->teller->actor->process, what,
                   err_name(err));
        instance_later(instance, 100);
        return true;
    }
}

/* ---- birth and death ---- */

static void open_end(const struct instance *instance, enum history_kind kind, int64_t *op)
{
    struct history_event event;

    if (*op < 0)
        return;
    instance_event(instance, &event, kind, HISTORY_UNKNOWN);
    event.op = *op;
    world_event(instance->teller->actor->world, &event);
    *op = -1;
}

void instance_die(struct instance *instance, const char *why)
{
    struct teller *teller = instance->teller;
    struct world *world = teller->actor->world;
    struct history_event event;

    if (!instance->is_alive)
        return;
    world_say(world, "%s epoch %d transaction %lld: %s", teller->id, instance->epoch,
              (long long)instance->number, why ? why : "crashes");
    if (why) {
        instance_event(instance, &event, HISTORY_TXN_FENCED, HISTORY_OK);
        event.error = why;
        world_event(world, &event);
    }
    instance->is_alive = false;
    peer_drop(instance->coordinator);
    peer_drop(instance->data);
    for (int i = 0; i < instance->send_count; i++)
        if (instance->sends[i].state != SEND_DONE && instance->sends[i].state != SEND_GIVEN_UP) {
            if (!why)
                teller_late_add(&instance->sends[i]);
            open_end(instance, HISTORY_PRODUCE, &instance->sends[i].op);
        }
    if (!instance->move_is_done)
        open_end(instance, HISTORY_TXN_OFFSETS, &instance->move_op);
    open_end(instance, HISTORY_TXN_END, &instance->end_op);
    open_end(instance, HISTORY_TXN_INIT, &instance->init_op);
    open_end(instance, HISTORY_TXN_OFFSET, &instance->look_op);
    if (!instance->is_zombie && teller->born_at_ns == 0)
        teller->born_at_ns = sim_now_ns(world->sim) +
                             random_between(&teller->actor->random, 1,
                                            world->options.transaction_script || why ? 100 : 4000) *
                                 MS;
}

static void born(struct teller *teller)
{
    struct instance *instance = NULL;

    for (int i = 0; i < 2; i++)
        if (!teller->instances[i].is_alive)
            instance = &teller->instances[i];
    if (!instance)
        return;
    teller->born_at_ns = 0;
    *instance = (struct instance){.teller = teller,
                                  .coordinator = instance->coordinator,
                                  .data = instance->data,
                                  .is_alive = true,
                                  .step = STEP_FIND,
                                  .producer_id = -1,
                                  .epoch = -1,
                                  .number = -1,
                                  .init_op = -1,
                                  .end_op = -1,
                                  .move_op = -1,
                                  .look_op = -1};
}

/* Now and then: the process stops for a while, and another one takes its place. */
static void may_be_succeeded(struct teller *teller, struct instance *instance)
{
    struct world *world = teller->actor->world;
    struct random *random = &teller->actor->random;
    bool is_script = world->options.transaction_script == TRANSACTION_FENCED;
    const struct instance *other = &teller->instances[instance == &teller->instances[0]];

    if (other->is_alive || instance->step == STEP_FIND ||
        !random_chance(random, 1, is_script ? 15 : 250))
        return;
    instance->is_zombie = true;
    instance->paused_until_ns =
        sim_now_ns(world->sim) + random_between(random, 1, is_script ? 60 : 3000) * MS;
    teller->born_at_ns =
        sim_now_ns(world->sim) + random_between(random, 1, is_script ? 10 : 300) * MS;
    world_say(world, "%s epoch %d is paused in transaction %lld", teller->id, instance->epoch,
              (long long)instance->number);
}

static void tick(struct actor *actor)
{
    struct teller *teller = *(struct teller **)actor->own;
    struct world *world = actor->world;
    int64_t now_ns = sim_now_ns(world->sim);

    if (world->phase > WORLD_DRAIN)
        return;
    teller_late_tick(teller);
    if (world->phase != WORLD_FAULTS && teller->number % 2 == 1)
        teller->born_at_ns = 0; /* it never comes back: time aborts what it has left open */
    if (teller->born_at_ns != 0 && now_ns >= teller->born_at_ns)
        born(teller);
    for (int i = 0; i < 2; i++) {
        struct instance *instance = &teller->instances[i];

        if (!instance->is_alive)
            continue;
        peer_tick(instance->coordinator);
        peer_tick(instance->data);
        if (world->phase != WORLD_FAULTS)
            instance->paused_until_ns = 0;
        if (!instance->is_alive || now_ns < instance->paused_until_ns)
            continue;
        if (world->phase == WORLD_FAULTS && !instance->is_zombie && teller->transactions_left > 0) {
            if (!world->options.transaction_script && random_chance(&actor->random, 1, 400)) {
                instance_die(instance, NULL);
                continue;
            }
            may_be_succeeded(teller, instance);
            if (now_ns < instance->paused_until_ns)
                continue;
        }
        if (now_ns >= instance->next_ns)
            instance_step(instance);
    }
}

static bool is_drained(const struct actor *actor)
{
    const struct teller *teller = *(struct teller *const *)actor->own;

    if (actor->world->phase != WORLD_DRAIN)
        return true;
    for (int i = 0; i < 2; i++) {
        const struct instance *instance = &teller->instances[i];

        if (instance->is_alive &&
            (instance->is_busy || instance->number >= 0 || instance->step < STEP_OFFSETS))
            return false;
    }
    return teller->born_at_ns == 0;
}

static const char *describe(const struct actor *actor)
{
    static const char *const names[STEP_COUNT] = {
        "FindCoordinator",    "FindCoordinator", "InitProducerId",
        "OffsetFetch",        "Fetch",           "nothing",
        "AddPartitionsToTxn", "AddOffsetsToTxn", "Produce",
        "TxnOffsetCommit",    "EndTxn"};
    const struct teller *teller = *(struct teller *const *)actor->own;

    for (int i = 0; i < 2; i++)
        if (teller->instances[i].is_alive && teller->instances[i].step != STEP_BEGIN)
            return names[teller->instances[i].step];
    return "an instance is to come";
}

const struct actor_type actor_teller = {.name = "teller",
                                        .own_bytes = sizeof(struct teller *),
                                        .begin = begin,
                                        .tick = tick,
                                        .is_drained = is_drained,
                                        .describe = describe};
