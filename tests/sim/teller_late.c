/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/teller_late.c: batches that arrive when their sender has given them up: it sent them on a connection that is slow,
 * has heard nothing, and has aborted the transaction or ended meanwhile. In the history they end as unknown; what
 * becomes of them may only be the fate of their transaction.
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"

#include <stdlib.h>

#define DELAY_MS_MAX 400

static struct world *world_of(const struct teller *teller)
{
    return teller->actor->world;
}

bool teller_late_draw(struct teller *teller)
{
    return teller->has_late && teller->late_count < TELLER_LATE_MAX &&
           random_chance(&teller->late_random, 1, 12);
}

void teller_late_add(const struct send *send)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct teller *teller = send->instance->teller;
    struct world *world = world_of(teller);
    struct late_batch *late;
    struct slice built;

    if (!teller->has_late || teller->late_count == TELLER_LATE_MAX || send->op < 0)
        return;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    built = send_build(
        send, send->instance,
        history_topic_key(world->history, world->transactions->topics[send->topic].topic), &arena);
    late = &teller->late[teller->late_count++];
    *late = (struct late_batch){
        .at_ns =
            sim_now_ns(world->sim) + random_between(&teller->late_random, 1, DELAY_MS_MAX) * MS,
        .topic = send->topic,
        .partition = send->partition,
        .bytes = malloc(built.size_bytes),
        .size_bytes = built.size_bytes,
    };
    ASSERT(late->bytes != NULL);
    memcpy(late->bytes, built.data, built.size_bytes);
}

/* Nobody is there who would hear it. */
static void answered(void *context, struct peer_request *request, const void *response)
{
    UNUSED(request);
    UNUSED(response);
    ((struct teller *)context)->late_is_busy = false;
}

static void late_send(struct teller *teller, const struct late_batch *late)
{
    CLEANUP(arena_release) struct arena arena = {0};
    const struct bank_topic *topic = &world_of(teller)->transactions->topics[late->topic];
    struct produce_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    produce_request_init(&body);
    body.transactional_id = slice_from_text(teller->id);
    body.acks = -1;
    body.timeout_ms = TELLER_TIMEOUT_MS / 2;
    body.topic_data = produce_request_topic_produce_data_array(&arena, 1);
    body.topic_data_count = 1;
    body.topic_data->name = slice_from_text(topic->name);
    body.topic_data->topic_id = topic->id;
    body.topic_data->partition_data = produce_request_partition_produce_data_array(&arena, 1);
    body.topic_data->partition_data_count = 1;
    body.topic_data->partition_data->index = late->partition;
    body.topic_data->partition_data->records = slice_of(late->bytes, late->size_bytes);
    teller->late_request.answered = answered;
    teller->late_request.context = teller;
    teller->late_is_busy = peer_send(teller->late_peer, API_PRODUCE, teller->produce_version, &body,
                                     TELLER_TIMEOUT_MS, &teller->late_request);
    world_say(world_of(teller), "%s: a batch for %s-%d comes late", teller->id, topic->name,
              late->partition);
}

void teller_late_tick(struct teller *teller)
{
    if (teller->late_count == 0)
        return;
    peer_tick(teller->late_peer);
    while (world_of(teller)->phase != WORLD_FAULTS && teller->late_count > 0)
        free(teller->late[--teller->late_count].bytes); /* the network has forgotten them */
    for (int i = 0; i < teller->late_count; i++) {
        struct late_batch late = teller->late[i];

        if (late.at_ns > sim_now_ns(world_of(teller)->sim) || teller->late_is_busy ||
            !peer_is_ready(teller->late_peer))
            continue;
        teller->late[i] = teller->late[--teller->late_count];
        late_send(teller, &late);
        free(late.bytes);
        return;
    }
}
