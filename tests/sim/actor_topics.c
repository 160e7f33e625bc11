/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_topics.c: the administrator: makes the topics, deletes and makes anew those that churn, adds
 * partitions, alters configs. One request at a time; whatever it was answered, Metadata tells what is there.
 *
 *   ABSENT -> create -> LOOK -> LIVE -> delete -> LOOK -> ABSENT …
 */
#include "peer.h"
#include "world.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_partitions_request.h"
#include "protocol/generated/create_partitions_response.h"
#include "protocol/generated/create_topics_request.h"
#include "protocol/generated/create_topics_response.h"
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "protocol/generated/incremental_alter_configs_request.h"
#include "protocol/generated/incremental_alter_configs_response.h"
#include "protocol/generated/metadata_request.h"
#include "protocol/generated/metadata_response.h"

#define TIMEOUT_MS 3000

enum stage { ABSENT, LOOK, LIVE };
struct topics {
    struct actor *actor;
    struct peer_request request;
    bool is_busy;
    int slot; /* of the request under way */
    enum stage stages[WORLD_SLOTS_MAX];
    int32_t churn_one_in; /* ticks */
};

static void begin(struct actor *actor, int number)
{
    struct topics *own = actor->own;

    UNUSED(number);
    own->actor = actor;
    own->churn_one_in = (int32_t)random_between(&actor->random, 10, 200);
    actor->tick_ms = random_between(&actor->random, 3, 30);
}

static bool ask(struct topics *own, int slot, int16_t api_key, int16_t version, const void *body,
                peer_answered *answered)
{
    own->slot = slot;
    own->request.answered = answered;
    own->request.context = own;
    own->is_busy = peer_send(own->actor->peer, api_key, version, body, TIMEOUT_MS, &own->request);
    return own->is_busy;
}

static void config_event(struct topics *own, const struct slot *slot, enum history_kind kind,
                         enum history_phase phase, int64_t retention_ms, int64_t retention_bytes)
{
    struct history_event event;

    history_event_init(&event, kind, phase);
    event.process = own->actor->process;
    event.topic = slot->topic;
    event.retention_ms = retention_ms;
    event.retention_bytes = retention_bytes;
    world_event(own->actor->world, &event);
}

/* Whatever the answer is: Metadata tells. */
static void changed(void *context, struct peer_request *request, const void *response)
{
    struct topics *own = context;

    UNUSED(request);
    UNUSED(response);
    own->is_busy = false;
    own->stages[own->slot] = LOOK;
}

static void configured(void *context, struct peer_request *request, const void *response)
{
    UNUSED(request);
    UNUSED(response);
    ((struct topics *)context)->is_busy = false;
}

/* ---- what is there? ---- */

static void topic_found(struct topics *own, struct slot *slot,
                        const struct metadata_response_metadata_response_topic *found)
{
    struct world *world = own->actor->world;
    char key[80];

    if (slot->generation == 0 || memcmp(&slot->id, &found->topic_id, sizeof slot->id) != 0) {
        char id[UUID_TEXT_BYTES];

        uuid_to_text(found->topic_id, id);
        snprintf(key, sizeof key, "%s#%s", slot->name, id);
        slot->id = found->topic_id;
        slot->topic = history_topic(world->history, key);
        slot->generation++;
        memset(slot->high_watermarks, 0, sizeof slot->high_watermarks);
        config_event(own, slot, HISTORY_CREATE_TOPIC, HISTORY_OK,
                     slot->is_churn ? -1 : world->knobs.retention_ms,
                     slot->is_churn ? -1 : world->knobs.retention_bytes);
        world_say(world, "topic %s", key);
    }
    slot->partitions = MIN(found->partitions_count, WORLD_PARTITIONS_MAX);
    slot->is_live = true;
    own->stages[own->slot] = LIVE;
}

static void looked(void *context, struct peer_request *request, const void *response)
{
    struct topics *own = context;
    struct slot *slot = &own->actor->world->slots[own->slot];
    const struct metadata_response *answer = response;

    UNUSED(request);
    own->is_busy = false;
    if (!answer || answer->topics_count != 1)
        return;
    if (answer->topics[0].error_code == OK && answer->topics[0].partitions_count > 0) {
        topic_found(own, slot, &answer->topics[0]);
    } else if (err_from_wire(answer->topics[0].error_code) == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        slot->is_live = false;
        own->stages[own->slot] = ABSENT;
    }
}

static void look(struct topics *own, int index)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct metadata_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    metadata_request_init(&body);
    body.topics = metadata_request_metadata_request_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics[0].name = slice_from_text(own->actor->world->slots[index].name);
    body.allow_auto_topic_creation = false;
    ask(own, index, API_METADATA, 12, &body, looked);
}

/* ---- changes ---- */

static void create(struct topics *own, int index)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = own->actor->world;
    struct slot *slot = &world->slots[index];
    struct create_topics_request body;
    struct create_topics_request_creatable_topic *topic;
    const char *names[] = {"internal.segment.bytes", "index.interval.bytes", "segment.ms",
                           "flush.messages",         "retention.ms",         "retention.bytes"};
    char numbers[2][24];
    const char *values[] = {world->knobs.segment_bytes,
                            world->knobs.index_interval,
                            world->knobs.segment_ms,
                            world->knobs.flush_messages,
                            numbers[0],
                            numbers[1]};

    snprintf(numbers[0], sizeof numbers[0], "%lld",
             (long long)(slot->is_churn ? -1 : world->knobs.retention_ms));
    snprintf(numbers[1], sizeof numbers[1], "%lld",
             (long long)(slot->is_churn ? -1 : world->knobs.retention_bytes));
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    create_topics_request_init(&body);
    topic = create_topics_request_creatable_topic_array(&arena, 1);
    topic->name = slice_from_text(slot->name);
    topic->num_partitions = slot->partitions;
    topic->replication_factor = -1;
    topic->configs =
        create_topics_request_creatable_topic_config_array(&arena, (int32_t)ARRAY_COUNT(names));
    topic->configs_count = (int32_t)ARRAY_COUNT(names);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        topic->configs[i].name = slice_from_text(names[i]);
        topic->configs[i].value = slice_from_text(values[i]);
    }
    body.topics = topic;
    body.topics_count = 1;
    ask(own, index, API_CREATE_TOPICS, 7, &body, changed);
}

static void delete (struct topics *own, int index)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct slot *slot = &own->actor->world->slots[index];
    struct delete_topics_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    delete_topics_request_init(&body);
    body.topics = delete_topics_request_delete_topic_state_array(&arena, 1);
    body.topics_count = 1;
    body.topics[0].name = SLICE_NULL;
    body.topics[0].topic_id = slot->id;
    body.timeout_ms = TIMEOUT_MS;
    config_event(own, slot, HISTORY_DELETE_TOPIC, HISTORY_INVOKE, -1, -1);
    if (ask(own, index, API_DELETE_TOPICS, 6, &body, changed))
        slot->is_live = false;
}

static void partitions_add(struct topics *own, int index)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct slot *slot = &own->actor->world->slots[index];
    struct create_partitions_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    create_partitions_request_init(&body);
    body.topics = create_partitions_request_create_partitions_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics[0].name = slice_from_text(slot->name);
    body.topics[0].count = MIN(slot->partitions + 1, WORLD_PARTITIONS_MAX);
    body.timeout_ms = TIMEOUT_MS;
    ask(own, index, API_CREATE_PARTITIONS, 3, &body, changed);
}

static void configure(struct topics *own, int index)
{
    static const int64_t spans_ms[] = {-1, 100, 2000, 604800000}, sizes[] = {-1, 1000, 30000};
    CLEANUP(arena_release) struct arena arena = {0};
    struct random *random = &own->actor->random;
    struct slot *slot = &own->actor->world->slots[index];
    struct incremental_alter_configs_request body;
    struct incremental_alter_configs_request_alter_configs_resource *resource;
    int64_t span_ms = spans_ms[random_below(random, ARRAY_COUNT(spans_ms))];
    int64_t size_bytes = sizes[random_below(random, ARRAY_COUNT(sizes))];

    if (slot->is_churn)
        return;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    incremental_alter_configs_request_init(&body);
    resource = incremental_alter_configs_request_alter_configs_resource_array(&arena, 1);
    body.resources = resource;
    body.resources_count = 1;
    resource->resource_type = 2;
    resource->resource_name = slice_from_text(slot->name);
    resource->configs = incremental_alter_configs_request_alterable_config_array(&arena, 2);
    resource->configs_count = 2;
    resource->configs[0].name = SLICE("retention.ms");
    resource->configs[0].value = arena_format_slice(&arena, "%lld", (long long)span_ms);
    resource->configs[1].name = SLICE("retention.bytes");
    resource->configs[1].value = arena_format_slice(&arena, "%lld", (long long)size_bytes);
    config_event(own, slot, HISTORY_CONFIGURE_TOPIC, HISTORY_INVOKE, span_ms, size_bytes);
    ask(own, index, API_INCREMENTAL_ALTER_CONFIGS, 1, &body, configured);
}

static void tick(struct actor *actor)
{
    struct topics *own = actor->own;
    struct world *world = actor->world;
    int index = (int)random_below(&actor->random, (uint64_t)world->slot_count);

    if (own->is_busy || !peer_is_ready(actor->peer))
        return;
    for (int i = 0; i < world->slot_count; i++)
        if (own->stages[i] != LIVE)
            index = i;
    if (own->stages[index] == ABSENT)
        create(own, index);
    else if (own->stages[index] == LOOK || world->phase != WORLD_FAULTS)
        look(own, index); /* a deletion whose answer was lost may come late */
    else if (world->phase == WORLD_FAULTS &&
             random_chance(&actor->random, 1, (uint32_t)own->churn_one_in)) {
        if (world->slots[index].is_churn && random_chance(&actor->random, 1, 2))
            delete (own, index);
        else if (random_chance(&actor->random, 1, 2))
            configure(own, index);
        else
            partitions_add(own, index);
    }
}

static bool is_drained(const struct actor *actor)
{
    const struct topics *own = actor->own;

    for (int i = 0; i < actor->world->slot_count; i++)
        if (own->stages[i] != LIVE)
            return false;
    return true;
}

const struct actor_type actor_topics = {.name = "topics",
                                        .own_bytes = sizeof(struct topics),
                                        .begin = begin,
                                        .tick = tick,
                                        .is_drained = is_drained};
