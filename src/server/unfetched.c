/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/unfetched.c: tells the log of partitions that a member of a group has and that no consumer fetches:
 * one that hangs in its own code, is paused, or was given what it does not know of. docs/design/metrics.md.
 *
 * A fetch leaves its time and offset in the partition (two stores) and sends nothing. Each
 * barnabas.group.unfetched.log.ms, as long as groups are there, a shard collects what the members of its
 * groups have, asks the owners of those partitions, and logs what neither was fetched nor given in that
 * time. An idle node sleeps: a call of a group's coordinator starts the clock, a look that finds no
 * member lets it stand. Who fetched is not known: a second group that reads the same partition hides
 * the first one's silence. Partitions that another node leads are not judged.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "server/publication.h"

#define ITEMS_MAX 20000 /* partitions that one look takes */
#define LINES_MAX 20    /* of one look */

struct unfetched_item {
    struct unfetched_item *next; /* of the same owner */
    struct slice group, member, topic;
    struct uuid topic_id;
    int32_t index;
    int64_t silent_ms; /* since it was given; then also since it was fetched. -1: not judged */
    int64_t position;  /* -1: never fetched since it is led here */
    int64_t high_watermark;
};

struct unfetched_part {
    struct mail mail;
    struct unfetched_pass *pass;
    struct shard *owner;
    struct unfetched_item *first;
    bool is_home;
};

struct unfetched_pass {
    struct coordinator_service *service;
    struct arena arena;
    int32_t limit_ms;
    size_t items, left_out;
    size_t left; /* parts under way */
    size_t part_count;
    struct unfetched_part parts[];
};

static int32_t limit_ms(const struct coordinator_service *service)
{
    const struct publication *publication = service->shard->publication;

    return publication ? config_int(publication->config, BARNABAS_GROUP_UNFETCHED_LOG_MS) : 0;
}

/* ---- on the owner ---- */

static void item_look(struct shard *owner, struct unfetched_item *item)
{
    const struct partition *partition =
        partition_find(owner->partitions, item->topic_id, item->index);
    int64_t silent_ms;

    if (!partition || !partition->log || partition->replica.role != REPLICA_LEADER) {
        item->silent_ms = -1;
        return;
    }
    item->high_watermark = partition->replica.high_watermark;
    if (partition->fetched_ms == 0)
        return;
    silent_ms = reactor_now_ms(owner->reactor) - partition->fetched_ms;
    item->silent_ms = MIN(item->silent_ms, silent_ms);
    item->position = partition->fetched_offset;
}

static void part_look(struct unfetched_part *part)
{
    for (struct unfetched_item *item = part->first; item; item = item->next)
        item_look(part->owner, item);
}

/* ---- at home ---- */

static void pass_tell(const struct unfetched_pass *pass)
{
    struct logger *logger = pass->service->shard->node->logger;
    size_t found = 0;

    for (size_t i = 0; i < pass->part_count; i++) {
        for (const struct unfetched_item *item = pass->parts[i].first; item; item = item->next) {
            if (item->silent_ms < pass->limit_ms || ++found > LINES_MAX)
                continue;
            LOG_WARN(logger, "coordinator", "unfetched",
                     "group=\"%.*s\" member=\"%.*s\" topic=%.*s partition=%d silent_ms=%lld "
                     "position=%lld high_watermark=%lld",
                     SLICE_ARGS(item->group), SLICE_ARGS(item->member), SLICE_ARGS(item->topic),
                     item->index, (long long)item->silent_ms, (long long)item->position,
                     (long long)item->high_watermark);
        }
    }
    if (found > LINES_MAX || pass->left_out > 0)
        LOG_WARN(logger, "coordinator", "unfetched_more", "not_told=%zu not_looked_at=%zu",
                 found > LINES_MAX ? found - LINES_MAX : 0, pass->left_out);
}

static void pass_end(struct unfetched_pass *pass)
{
    struct coordinator_service *service = pass->service;

    if (!service->is_stopped)
        pass_tell(pass);
    service->unfetched = NULL;
    arena_release(&pass->arena);
    server_free(pass, sizeof *pass + pass->part_count * sizeof pass->parts[0]);
    if (!service->is_stopped)
        service_unfetched_wish(service);
    service_visit_end(service);
}

static void part_done(struct unfetched_pass *pass)
{
    ASSERT(pass->left > 0);
    if (--pass->left == 0)
        pass_end(pass);
}

static void part_deliver(struct mail *mail, struct reactor *to)
{
    struct unfetched_part *part = CONTAINER_OF(mail, struct unfetched_part, mail);
    struct shard *home = part->pass->service->shard;

    UNUSED(to);
    if (part->is_home) {
        part_done(part->pass);
        return;
    }
    part_look(part);
    part->is_home = true;
    part->mail = (struct mail){.deliver = part_deliver};
    reactor_send(part->owner->reactor, home->reactor, &part->mail);
}

static bool assigned(void *context, const struct group_assigned_view *view)
{
    struct unfetched_pass *pass = context;
    struct shard *home = pass->service->shard;
    int64_t given_ms = reactor_now_ms(home->reactor) - view->since_ms;
    struct unfetched_part *part;
    struct unfetched_item *item;

    pass->items++;
    if (uuid_is_zero(view->topic_id) || slice_is_null(view->topic) || given_ms < pass->limit_ms)
        return true;
    if (pass->items > ITEMS_MAX) {
        pass->left_out++;
        return true;
    }
    item = ARENA_NEW(&pass->arena, struct unfetched_item);
    if (!item)
        return false;
    part = &pass->parts[shard_of_partition(home->node, view->topic_id, view->partition)];
    *item = (struct unfetched_item){
        .next = part->first,
        .group = arena_copy(&pass->arena, view->group_id),
        .member = arena_copy(&pass->arena, view->member_id),
        .topic = arena_copy(&pass->arena, view->topic),
        .topic_id = view->topic_id,
        .index = view->partition,
        .silent_ms = given_ms,
        .position = -1,
    };
    part->first = item;
    return true;
}

static void pass_ask(struct unfetched_pass *pass)
{
    struct shard *home = pass->service->shard;

    pass->left = 1; /* the end is below */
    for (size_t i = 0; i < pass->part_count; i++) {
        struct unfetched_part *part = &pass->parts[i];

        if (!part->first)
            continue;
        if (part->owner == home) {
            part_look(part);
            continue;
        }
        pass->left++;
        part->mail = (struct mail){.deliver = part_deliver};
        reactor_send(home->reactor, part->owner->reactor, &part->mail);
    }
    part_done(pass);
}

void service_unfetched_turn(struct timer *timer)
{
    struct coordinator_service *service =
        CONTAINER_OF(timer, struct coordinator_service, unfetched_timer);
    struct node *node = service->shard->node;
    size_t count = (size_t)node->shard_count;
    size_t size_bytes = sizeof(struct unfetched_pass) + count * sizeof(struct unfetched_part);
    struct unfetched_pass *pass;
    struct coordinator_watcher watcher = {.assigned = assigned};

    if (service->unfetched || limit_ms(service) == 0)
        return;
    pass = server_allocate(size_bytes);
    pass->service = service;
    pass->limit_ms = limit_ms(service);
    pass->part_count = count;
    arena_init(&pass->arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        pass->parts[i].pass = pass;
        pass->parts[i].owner = &node->shards[i];
    }
    watcher.context = pass;
    watcher.image = service->shard->publication->image;
    coordinator_service_each(service, &watcher);
    if (pass->items == 0) { /* nobody: the next call starts the clock again */
        arena_release(&pass->arena);
        server_free(pass, size_bytes);
        return;
    }
    service->unfetched = pass;
    service_visit_begin(service);
    pass_ask(pass);
}

void service_unfetched_wish(struct coordinator_service *service)
{
    int32_t delay_ms;

    if (service->kind != &coordinator_kind_group)
        return; /* members have partitions, transactions do not */
    delay_ms = limit_ms(service);
    if (delay_ms > 0 && !service->unfetched && !timer_is_set(&service->unfetched_timer))
        timer_set(service->shard->reactor, &service->unfetched_timer,
                  reactor_now_ms(service->shard->reactor) + delay_ms);
}
