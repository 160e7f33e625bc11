/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_wait.c: who waits for a partition: commits by offset, and watches. Told once at
 * the end of a turn, however much happened in it. docs/design/partitions.md §8.
 */
#include "server/partition_internal.h"

#include "base/assert.h"

void partition_commit_wait(struct partition *partition, struct commit_wait *wait)
{
    struct hosted *hosted = hosted_of(partition);
    struct list_node *behind = partition->commits.previous;

    while (behind != &partition->commits &&
           LIST_ITEM(behind, struct commit_wait, node)->offset > wait->offset)
        behind = behind->previous;
    list_insert_between(&wait->node, behind, behind->next);
    /* Committed already, or never to be: told with the news of this turn. */
    if (partition->stage != PARTITION_OPEN || partition->replica.role != REPLICA_LEADER ||
        partition->replica.high_watermark >= wait->offset)
        hosted_news(hosted, PARTITION_NEWS_COMMITTED);
}

void commit_wait_cancel(struct commit_wait *wait)
{
    list_remove(&wait->node);
}

void partition_watch_add(struct partition *partition, struct partition_watch *watch)
{
    watch->roles_seen = hosted_of(partition)->roles;
    list_push_back(&partition->watches, &watch->node);
}

void partition_watch_cancel(struct partition_watch *watch)
{
    if (watch->node.next)
        list_remove(&watch->node);
}

void hosted_commits_fail(struct hosted *hosted, enum err err)
{
    struct list_node failed;

    list_init(&failed);
    list_splice_back(&failed, &hosted->partition.commits);
    while (!list_is_empty(&failed)) {
        struct commit_wait *wait = LIST_ITEM(list_pop_front(&failed), struct commit_wait, node);

        wait->done(wait, err);
    }
}

static void commits_settle(struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;

    while (!list_is_empty(&partition->commits)) {
        struct commit_wait *wait =
            LIST_ITEM(list_first(&partition->commits), struct commit_wait, node);
        enum err err = OK;

        if (partition->stage == PARTITION_OFFLINE)
            err = ERR_KAFKA_STORAGE_ERROR;
        else if (partition->stage != PARTITION_OPEN || partition->replica.role != REPLICA_LEADER)
            err = ERR_NOT_LEADER_OR_FOLLOWER;
        else if (partition->replica.high_watermark < wait->offset)
            return;
        else
            err = replica_check_committed(&partition->replica,
                                          partition->settings->topic.min_insync_replicas);
        list_remove(&wait->node);
        wait->done(wait, err);
    }
}

static void watches_notify(struct hosted *hosted, unsigned news)
{
    struct list_node asked;

    list_init(&asked);
    list_splice_back(&asked, &hosted->partition.watches);
    while (!list_is_empty(&asked)) {
        struct partition_watch *watch =
            LIST_ITEM(list_pop_front(&asked), struct partition_watch, node);

        unsigned told = news;

        list_push_back(&hosted->partition.watches, &watch->node);
        /* A role that the watch was added under is no news: a fetch that a new log held up would
         * end with nothing. Marks of the same turn are told once too often rather than never. */
        if (watch->roles_seen == hosted->roles)
            told &= ~(unsigned)PARTITION_NEWS_ROLE;
        if (watch->news & told)
            watch->notify(watch, &hosted->partition, told);
    }
}

static void news_turn(struct deferred *deferred)
{
    struct partition_table *table = CONTAINER_OF(deferred, struct partition_table, news_turn);
    struct list_node round;

    list_init(&round);
    list_splice_back(&round, &table->news);
    while (!list_is_empty(&round)) {
        struct hosted *hosted = LIST_ITEM(list_pop_front(&round), struct hosted, news_node);
        unsigned news = hosted->news;

        hosted->news = 0;
        hosted->uses++; /* whoever is told may end what keeps it */
        commits_settle(hosted);
        watches_notify(hosted, news);
        partition_unuse(&hosted->partition);
    }
}

void hosted_news(struct hosted *hosted, unsigned news)
{
    struct partition_table *table = hosted->table;

    if (hosted->news == 0) {
        list_remove(&hosted->news_node);
        list_push_back(&table->news, &hosted->news_node);
        reactor_defer(table->shard->reactor, &table->news_turn);
    }
    hosted->news |= news;
    if (news & PARTITION_NEWS_ROLE)
        hosted->roles++;
}

void table_news_init(struct partition_table *table)
{
    list_init(&table->news);
    deferred_init(&table->news_turn, news_turn);
}
