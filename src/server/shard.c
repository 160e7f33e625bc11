/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/shard.c: what every shard has, the order in which its parts hear of news, and rounds: one piece of
 * work done by every shard, with a word to shard 0 when the last has done it.
 */
#include "server/shard.h"

#include "base/assert.h"
#include "base/hash_map.h"
#include "base/memory_reserve.h"
#include "base/uuid.h"
#include "server/coordinator.h"
#include "server/fetch.h"
#include "server/late_transactions.h"
#include "server/node_internal.h"
#include "server/partition.h"
#include "server/publication.h"
#include "server/quota.h"

int shard_of_partition(const struct node *node, struct uuid topic_id, int32_t partition)
{
    uint64_t hash;

    if (node->shard_count == 1)
        return 0;
    hash = hash_bytes(topic_id.bytes, sizeof topic_id.bytes) ^ hash_u64((uint64_t)partition);
    return (int)(hash_u64(hash) % node->shard_count);
}

void *server_allocate(size_t size_bytes)
{
    void *memory;

    /* Without it the control plane cannot go on; the report says where. */
    MEMORY_MUST(memory, allocator_zeroed(&heap_allocator, size_bytes));
    return memory;
}

void server_free(void *pointer, size_t size_bytes)
{
    heap_allocator.release(&heap_allocator, pointer, size_bytes);
}

void shard_apply(struct shard *shard, const struct publication *before,
                 const struct publication *after)
{
    if (!before || before->config != after->config) {
        struct network_options options;

        node_network_options(shard->node, after->config, &options);
        network_set_options(shard->network, &options);
    }
    quota_service_apply(shard->quotas, before, after);
    partition_table_apply(shard->partitions, before, after);
    coordinator_service_apply(shard->coordinators, before, after);
    coordinator_service_apply(shard->transactions, before, after);
    late_transactions_apply(shard->late);
    fetch_service_apply(shard->fetches, after);
    if (shard->index == 0)
        node_apply(shard->node, before, after);
}

/* ---- rounds ---- */

struct round_part {
    struct mail mail;
    struct shard_round *round;
    struct shard *shard;
    bool coming_home;
};

static void part_home(struct shard_round *round)
{
    ASSERT(round->left > 0);
    if (--round->left > 0)
        return;
    server_free(round->parts, round->node->shard_count * sizeof *round->parts);
    round->parts = NULL;
    round->done(round);
}

static void part_deliver(struct mail *mail, struct reactor *to)
{
    struct round_part *part = CONTAINER_OF(mail, struct round_part, mail);

    UNUSED(to);
    if (part->coming_home)
        part_home(part->round);
    else
        part->round->run(part->round, part->shard);
}

void shard_round_start(struct shard_round *round, struct node *node)
{
    round->node = node;
    round->left = node->shard_count;
    round->parts = server_allocate(node->shard_count * sizeof *round->parts);
    for (size_t i = 0; i < node->shard_count; i++) {
        struct round_part *part = &round->parts[i];

        part->round = round;
        part->shard = &node->shards[i];
        part->mail.deliver = part_deliver;
        part->mail.control = true;
        reactor_send(node->shards[0].reactor, node->shards[i].reactor, &part->mail);
    }
}

void shard_round_done(struct shard_round *round, struct shard *shard)
{
    struct round_part *part = &round->parts[shard->index];

    part->coming_home = true;
    reactor_send(shard->reactor, round->node->shards[0].reactor, &part->mail);
}
