/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/transactions.c: which transactions a world has. Everything is drawn from streams of its own: the rest of the
 * world stays as it is without them.
 */
#include "transaction.h"

#include "base/assert.h"

#include <stdlib.h>

static const struct transactions_knobs {
    int64_t state_partitions[3], segments[2], retries_ms[3];
} choices = {{1, 2, 3}, {104857600, 1048576}, {20, 1, 50}};

static bool has_transactions(const struct world *world, struct random *random)
{
    bool is_drawn = random_chance(random, 3, 10);

    if (world->options.transaction_script > 0)
        return true;
    if (world->options.with_transactions != 0)
        return world->options.with_transactions > 0;
    /* In flush mode os a power cut may take half of anything. */
    return is_drawn && !world->knobs.is_flush_os && world->options.group_script == 0;
}

void transactions_draw(struct world *world)
{
    struct random random;
    struct knobs *knobs = &world->knobs;
    size_t length = strlen(knobs->properties);

    sim_random_init(world->sim, &random, "transactions");
    if (!has_transactions(world, &random))
        return;
    world->transactions = calloc(1, sizeof *world->transactions);
    ASSERT(world->transactions != NULL);
    world->transactions->next_number = 1;
    knobs->is_flush_os = false;
    length += (size_t)snprintf(knobs->properties + length, sizeof knobs->properties - length,
                               "barnabas.flush.mode=commit\n"
                               "transaction.state.log.num.partitions=%lld\n"
                               "transaction.state.log.segment.bytes=%lld\n"
                               "transaction.abort.timed.out.transaction.cleanup.interval.ms=100\n"
                               "transaction.remove.expired.transaction.cleanup.interval.ms=500\n"
                               "add.partitions.to.txn.retry.backoff.ms=%lld\n"
                               "log.cleaner.backoff.ms=50\n"
                               "log.cleaner.min.cleanable.ratio=0.01\n",
                               (long long)choices.state_partitions[random_below(&random, 3)],
                               (long long)choices.segments[random_below(&random, 2)],
                               (long long)choices.retries_ms[random_below(&random, 3)]);
    ASSERT(length < sizeof knobs->properties);
    world->transactions->topic_count = (int)random_between(&random, 1, BANK_TOPICS);
    for (int i = 0; i < world->transactions->topic_count; i++) {
        struct bank_topic *topic = &world->transactions->topics[i];

        snprintf(topic->name, sizeof topic->name, "bank%d", i);
        topic->partitions = (int32_t)random_between(&random, i == 0 ? 2 : 1, BANK_PARTITIONS_MAX);
        topic->is_compacted = i > 0 && random_chance(&random, 1, 2);
    }
}

static void teller_add(struct world *world, struct random *random, int number)
{
    struct world_transactions *all = world->transactions;
    struct teller *teller = calloc(1, sizeof *teller);
    struct actor *actor = world_actor_add(world, &actor_teller, number);
    int script = world->options.transaction_script;
    static const int32_t timeouts_ms[] = {400, 1500, 4000};
    static const int16_t versions[2][2] = {{9, 11}, {12, 13}};
    char stream[64];

    ASSERT(teller != NULL);
    *(struct teller **)actor->own = teller;
    all->tellers[all->teller_count++] = teller;
    teller->actor = actor;
    teller->number = number;
    snprintf(teller->id, sizeof teller->id, "teller%d", number);
    snprintf(teller->group, sizeof teller->group, "chain%d", number);
    teller->history_id = history_name(world->history, teller->id);
    teller->history_group = history_name(world->history, teller->group);
    teller->is_v2 = random_chance(random, 1, 2);
    teller->is_chain = random_chance(random, 1, 2);
    if (script != TRANSACTION_NONE) {
        teller->is_v2 = script == TRANSACTION_V2 || script == TRANSACTION_V2_CHAIN ||
                        (script == TRANSACTION_FENCED && number == 1);
        teller->is_chain = script == TRANSACTION_V1_CHAIN || script == TRANSACTION_V2_CHAIN;
    }
    teller->produce_version = versions[teller->is_v2][random_below(random, 2)];
    teller->timeout_ms = timeouts_ms[random_below(random, script ? 1 : 3)];
    if (script != TRANSACTION_NONE)
        teller->timeout_ms = 1500;
    teller->input_partition = (int32_t)random_below(random, (uint64_t)all->topics[0].partitions);
    teller->transactions_left = script ? 6 : (int)random_between(random, 5, 120);
    teller->born_at_ns = 1;
    snprintf(stream, sizeof stream, "late batches of %s", teller->id);
    sim_random_init(world->sim, &teller->late_random, stream);
    teller->has_late = script == TRANSACTION_NONE && random_chance(&teller->late_random, 1, 2);
    teller->late_peer = peer_new(world->sim, actor->machine, world->nodes[0].name, 9092);
    for (int i = 0; i < 2; i++) {
        struct instance *instance = &teller->instances[i];

        instance->teller = teller;
        instance->coordinator = peer_new(world->sim, actor->machine, world->nodes[0].name, 9092);
        instance->data = peer_new(world->sim, actor->machine, world->nodes[0].name, 9092);
        instance->number = -1;
    }
}

void transactions_add(struct world *world)
{
    struct random random;
    int script = world->options.transaction_script, tellers, readers;

    sim_random_init(world->sim, &random, "tellers");
    tellers = script == TRANSACTION_FENCED ? 2
              : script                     ? 1
                                           : (int)random_between(&random, 1, TELLERS_MAX);
    readers = script ? 1 : (int)random_between(&random, 1, 3);
    world_actor_add(world, &actor_bank, 0);
    for (int i = 0; i < tellers; i++)
        teller_add(world, &random, i);
    for (int i = 0; i < readers; i++)
        world_actor_add(world, &actor_bank_reader, i);
    for (int i = 0; i < world->transactions->topic_count; i++)
        world_actor_add(world, &actor_bank_final_reader, i);
}
