/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_searcher.c: ListOffsets: the first offset, the last, and the first since a point in time. The trimmer
 * is its neighbour: DeleteRecords up to some offset. Both name topics and so keep to those that do not churn.
 */
#include "peer.h"
#include "world.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"

#define TIMEOUT_MS 3000

struct asker { /* one request at a time */
    struct actor *actor;
    struct peer_request request;
    bool is_busy;
    int64_t op;
    int32_t topic, partition;
};

static void begin(struct actor *actor, int number)
{
    struct asker *own = actor->own;

    UNUSED(number);
    own->actor = actor;
    actor->tick_ms = random_between(&actor->random, 10, 200);
}

static void begin_trimmer(struct actor *actor, int number)
{
    begin(actor, number);
    actor->tick_ms = random_between(&actor->random, 50, 1000);
}

static struct slot *slot_pick(struct asker *own)
{
    struct actor *actor = own->actor;
    struct slot *slot = NULL;

    if (!own->is_busy && actor->world->phase == WORLD_FAULTS && peer_is_ready(actor->peer))
        slot = world_slot(actor->world, &actor->random, false);
    if (slot) {
        own->topic = slot->topic;
        own->partition = (int32_t)random_below(&actor->random, (uint64_t)slot->partitions);
    }
    return slot;
}

static void event_of(const struct asker *own, struct history_event *event, enum history_kind kind,
                     enum history_phase phase)
{
    history_event_init(event, kind, phase);
    event->process = own->actor->process;
    event->topic = own->topic;
    event->partition = own->partition;
    event->op = phase == HISTORY_INVOKE ? -1 : own->op;
}

/* ---- ListOffsets ---- */

static void searched(void *context, struct peer_request *request, const void *response)
{
    struct asker *own = context;
    const struct list_offsets_response *answer = response;
    struct history_event event;
    const struct list_offsets_response_list_offsets_partition_response *part = NULL;
    bool is_ok;

    UNUSED(request);
    own->is_busy = false;
    if (answer && answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
        part = &answer->topics[0].partitions[0];
    is_ok = part && part->error_code == OK;
    event_of(own, &event, HISTORY_LIST_OFFSETS, is_ok ? HISTORY_OK : HISTORY_FAIL);
    if (is_ok)
        event.offset = part->offset;
    else if (part)
        event.error = err_name(err_from_wire(part->error_code));
    world_event(own->actor->world, &event);
}

static void tick(struct actor *actor)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct asker *own = actor->own;
    struct slot *slot = slot_pick(own);
    struct list_offsets_request body;
    struct list_offsets_request_list_offsets_topic *topic;
    struct history_event event;
    int64_t time_ms = -random_between(&actor->random, 1, 2);

    if (!slot)
        return;
    if (random_chance(&actor->random, 1, 2))
        time_ms = MAX(os_wall_ms(actor->world->nodes[0].node.machine) -
                          random_between(&actor->random, 0, 3000),
                      0);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    list_offsets_request_init(&body);
    body.replica_id = -1;
    topic = list_offsets_request_list_offsets_topic_array(&arena, 1);
    topic->name = slice_from_text(slot->name);
    topic->partitions = list_offsets_request_list_offsets_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions[0].partition_index = own->partition;
    topic->partitions[0].timestamp = time_ms;
    body.topics = topic;
    body.topics_count = 1;
    own->request.answered = searched;
    own->request.context = own;
    own->is_busy = peer_send(actor->peer, API_LIST_OFFSETS, 5, &body, TIMEOUT_MS, &own->request);
    if (!own->is_busy)
        return;
    event_of(own, &event, HISTORY_LIST_OFFSETS, HISTORY_INVOKE);
    event.timestamp_ms = time_ms;
    own->op = world_event(actor->world, &event);
}

/* ---- DeleteRecords ---- */

static void trimmed(void *context, struct peer_request *request, const void *response)
{
    struct asker *own = context;
    const struct delete_records_response *answer = response;
    const struct delete_records_response_delete_records_partition_result *part = NULL;
    struct history_event event;

    UNUSED(request);
    own->is_busy = false;
    if (answer && answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
        part = &answer->topics[0].partitions[0];
    event_of(own, &event, HISTORY_DELETE_RECORDS,
             !part                    ? HISTORY_UNKNOWN
             : part->error_code == OK ? HISTORY_OK
                                      : HISTORY_UNKNOWN);
    if (part && part->error_code == OK)
        event.log_start = part->low_watermark;
    else if (part)
        event.error = err_name(err_from_wire(part->error_code));
    world_event(own->actor->world, &event);
}

static void tick_trimmer(struct actor *actor)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct asker *own = actor->own;
    struct slot *slot = slot_pick(own);
    struct delete_records_request body;
    struct delete_records_request_delete_records_topic *topic;
    struct history_event event;
    int64_t offset;

    if (!slot)
        return;
    offset = random_between(&actor->random, 0, slot->high_watermarks[own->partition]);
    if (random_chance(&actor->random, 1, 10))
        offset = -1;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    delete_records_request_init(&body);
    topic = delete_records_request_delete_records_topic_array(&arena, 1);
    topic->name = slice_from_text(slot->name);
    topic->partitions = delete_records_request_delete_records_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions[0].partition_index = own->partition;
    topic->partitions[0].offset = offset;
    body.topics = topic;
    body.topics_count = 1;
    body.timeout_ms = TIMEOUT_MS;
    own->request.answered = trimmed;
    own->request.context = own;
    own->is_busy = peer_send(actor->peer, API_DELETE_RECORDS, 2, &body, TIMEOUT_MS, &own->request);
    if (!own->is_busy)
        return;
    event_of(own, &event, HISTORY_DELETE_RECORDS, HISTORY_INVOKE);
    event.offset = offset;
    own->op = world_event(actor->world, &event);
}

static bool is_drained(const struct actor *actor)
{
    return !((const struct asker *)actor->own)->is_busy;
}

const struct actor_type actor_searcher = {.name = "searcher",
                                          .own_bytes = sizeof(struct asker),
                                          .begin = begin,
                                          .tick = tick,
                                          .is_drained = is_drained};
const struct actor_type actor_trimmer = {.name = "trimmer",
                                         .own_bytes = sizeof(struct asker),
                                         .begin = begin_trimmer,
                                         .tick = tick_trimmer,
                                         .is_drained = is_drained};
