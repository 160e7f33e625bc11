/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_name.c: a directory's name is handed from a replica that goes to the one of the topic that was
 * made again under its name. docs/design/partitions.md §9.
 *
 * Before a new replica touches the disk it asks every shard, itself too, whether an older replica of its name
 * is there: the topic id decides which shard owns a replica, so the old one may be anywhere. A shard answers once it
 * has applied the publication that made the new one and every old one, and all that lay there of a topic of that name
 * when the process started, has another name or is closed. Waits go from newer to older replicas only, so they never
 * form a circle.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

struct name_ask {
    struct mail mail;
    struct list_node node; /* of an older replica's heirs, or of table->early_asks */
    struct shard *from, *at;
    struct uuid topic_id;
    int32_t index;
    uint64_t number; /* of the publication that made the replica */
    size_t name_bytes;
    uint8_t name[];
};

static void ask_free(struct name_ask *ask)
{
    server_free(ask, sizeof *ask + ask->name_bytes);
}

static void answer_deliver(struct mail *mail, struct reactor *to)
{
    struct name_ask *ask = CONTAINER_OF(mail, struct name_ask, mail);
    struct hosted *hosted = table_find(ask->from->partitions, ask->topic_id, ask->index);

    UNUSED(to);
    ask_free(ask);
    if (!hosted || hosted->names_left == 0)
        return;
    hosted->names_left--;
    name_is_free(hosted);
}

void name_is_free(struct hosted *hosted)
{
    if (hosted->names_left > 0 || hosted->strays_left > 0)
        return;
    hosted->waits_for_name = false;
    if (hosted->end != HOSTED_STAYS)
        hosted_leave_step(hosted);
    else
        hosted_queue(hosted, true);
}

static void answer(struct name_ask *ask)
{
    ask->mail = (struct mail){.deliver = answer_deliver};
    if (ask->from == ask->at)
        answer_deliver(&ask->mail, ask->from->reactor);
    else
        reactor_send(ask->at->reactor, ask->from->reactor, &ask->mail);
}

static struct hosted *older_find(struct partition_table *table, const struct name_ask *ask)
{
    HASH_MAP_EACH (topic_node, &table->topics) {
        struct hosted_topic *topic = HASH_MAP_ITEM(topic_node, struct hosted_topic, node);

        if (!slice_equal(topic->name, slice_of(ask->name, ask->name_bytes)) ||
            uuid_equal(topic->id, ask->topic_id))
            continue;
        LIST_EACH (node, &topic->partitions) {
            struct hosted *hosted = LIST_ITEM(node, struct hosted, topic_node);

            if (hosted->partition.index == ask->index && hosted->since < ask->number)
                return hosted;
        }
    }
    return NULL;
}

static void ask_consider(struct partition_table *table, struct name_ask *ask)
{
    struct list_node *heirs;
    struct hosted *older;

    if (!table->is_stopped && (!table->after || table->after->number < ask->number)) {
        list_push_back(&table->early_asks, &ask->node);
        return;
    }
    older = older_find(table, ask);
    heirs = older ? &older->heirs
                  : stray_heirs(table, slice_of(ask->name, ask->name_bytes), ask->index);
    if (heirs && !table->is_stopped)
        list_push_back(heirs, &ask->node);
    else
        answer(ask);
}

static void ask_deliver(struct mail *mail, struct reactor *to)
{
    struct name_ask *ask = CONTAINER_OF(mail, struct name_ask, mail);

    UNUSED(to);
    ask_consider(ask->at->partitions, ask);
}

void names_ask(struct hosted *hosted)
{
    struct shard *from = hosted->table->shard;
    struct slice name = hosted->partition.topic;

    hosted->waits_for_name = true;
    hosted->names_left = from->node->shard_count;
    for (size_t i = 0; i < from->node->shard_count; i++) {
        struct name_ask *ask = server_allocate(sizeof *ask + name.size_bytes);

        *ask = (struct name_ask){.mail = {.deliver = ask_deliver},
                                 .from = from,
                                 .at = &from->node->shards[i],
                                 .topic_id = hosted->partition.topic_id,
                                 .index = hosted->partition.index,
                                 .number = hosted->since,
                                 .name_bytes = name.size_bytes};
        list_init(&ask->node);
        memcpy(ask->name, name.data, name.size_bytes);
        if (ask->at == from)
            ask_deliver(&ask->mail, from->reactor);
        else
            reactor_send(from->reactor, ask->at->reactor, &ask->mail);
    }
}

void names_recheck(struct partition_table *table)
{
    struct list_node asks;

    list_init(&asks);
    while (!list_is_empty(&table->early_asks))
        list_push_back(&asks, list_pop_front(&table->early_asks));
    while (!list_is_empty(&asks))
        ask_consider(table, LIST_ITEM(list_pop_front(&asks), struct name_ask, node));
}

void names_release(struct partition_table *table, struct list_node *asks)
{
    while (!list_is_empty(asks)) {
        struct name_ask *ask = LIST_ITEM(list_pop_front(asks), struct name_ask, node);

        if (table->is_stopped)
            ask_free(ask);
        else
            ask_consider(table, ask); /* remains of it may lie in several directories */
    }
}
