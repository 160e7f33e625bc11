/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_group_admin.c: the administrator of groups: reads committed offsets, sets them back, deletes offsets and
 * groups, sends all members of a group away. In the end it sees to it that each group is whole and drained.
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/delete_groups_request.h"
#include "protocol/generated/delete_groups_response.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/offset_delete_request.h"
#include "protocol/generated/offset_delete_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"

struct admin {
    struct actor *actor;
    struct peer_request request;
    bool is_busy;
    int group;
    int slot;
    int32_t topic, partition, partitions; /* as they were asked for */
    int64_t ops[WORLD_PARTITIONS_MAX];
    int64_t value;
    enum history_kind kind;
    /* Committed offsets that were read: setting back to one of them skips nothing. */
    int64_t known[GROUPS_MAX][WORLD_SLOTS_MAX][WORLD_PARTITIONS_MAX];
    int32_t known_topic[GROUPS_MAX][WORLD_SLOTS_MAX];
    char text[600];
};

static void begin(struct actor *actor, int number)
{
    struct admin *own = actor->own;

    UNUSED(number);
    own->actor = actor;
    memset(own->known_topic, -1, sizeof own->known_topic);
    actor->tick_ms = random_between(&actor->random, 10, 60);
}

static const struct world_group *group_of(const struct admin *own)
{
    return &own->actor->world->groups->items[own->group];
}

static void tell(struct admin *own, int32_t partition, enum history_phase phase, int64_t value,
                 enum err err)
{
    struct history_event event;
    int64_t *op = &own->ops[MAX(partition, 0)];

    history_event_init(&event, own->kind, phase);
    event.process = own->actor->process;
    event.group = group_of(own)->number;
    if (own->kind != HISTORY_GROUP_DELETE) {
        event.topic = own->topic;
        event.partition = partition;
    }
    event.op = phase == HISTORY_INVOKE ? -1 : *op;
    event.offset = value;
    event.error = err == OK ? NULL : err_name(err);
    *op = world_event(own->actor->world, &event);
}

static bool ask(struct admin *own, int16_t api_key, int16_t version, const void *body,
                peer_answered *answered)
{
    own->request.answered = answered;
    own->request.context = own;
    own->is_busy =
        peer_send(own->actor->peer, api_key, version, body, GROUP_TIMEOUT_MS, &own->request);
    return own->is_busy;
}

static enum history_phase phase_of(enum err err)
{
    if (err == OK)
        return HISTORY_OK;
    return group_is_on_the_move(err) || err == ERR_NETWORK_EXCEPTION ||
                   err == ERR_REQUEST_TIMED_OUT || err == ERR_UNKNOWN_SERVER_ERROR
               ? HISTORY_UNKNOWN
               : HISTORY_FAIL;
}

/* ---- reading ---- */

static void offsets_read(void *context, struct peer_request *request, const void *response)
{
    struct admin *own = context;
    const struct offset_fetch_response *answer = response;
    const struct offset_fetch_response_offset_fetch_response_topics *topic = NULL;

    UNUSED(request);
    own->is_busy = false;
    if (answer && answer->groups_count == 1 && answer->groups[0].error_code == OK &&
        answer->groups[0].topics_count == 1)
        topic = &answer->groups[0].topics[0];
    if (topic && topic->partitions_count != own->partitions)
        world_fail(own->actor->world, "OffsetFetch of %d partitions answered %d", own->partitions,
                   topic->partitions_count);
    for (int32_t i = 0; i < own->partitions; i++) {
        bool is_told =
            topic && i < topic->partitions_count && topic->partitions[i].error_code == OK;
        int32_t partition = is_told ? topic->partitions[i].partition_index : i;
        int64_t value = is_told ? topic->partitions[i].committed_offset : -1;

        if (partition < 0 || partition >= own->partitions)
            continue;
        tell(own, partition, is_told ? HISTORY_OK : HISTORY_FAIL, value, OK);
        if (is_told)
            own->known[own->group][own->slot][partition] = value;
    }
    if (topic)
        own->known_topic[own->group][own->slot] = own->topic;
}

static void offsets_ask(struct admin *own, const struct slot *slot)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct offset_fetch_request body;
    struct offset_fetch_request_offset_fetch_request_group *group;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_fetch_request_init(&body);
    group = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    group->group_id = slice_from_text(group_of(own)->name);
    group->topics = offset_fetch_request_offset_fetch_request_topics_array(&arena, 1);
    group->topics_count = 1;
    group->topics->topic_id = slot->id;
    group->topics->partition_indexes = ARENA_ARRAY(&arena, int32_t, WORLD_PARTITIONS_MAX);
    group->topics->partition_indexes_count = slot->partitions;
    for (int32_t i = 0; i < slot->partitions; i++)
        group->topics->partition_indexes[i] = i;
    body.groups = group;
    body.groups_count = 1;
    body.require_stable = random_chance(&own->actor->random, 1, 2);
    own->kind = HISTORY_GROUP_OFFSET;
    if (!ask(own, API_OFFSET_FETCH, 10, &body, offsets_read))
        return;
    for (int32_t i = 0; i < own->partitions; i++)
        tell(own, i, HISTORY_INVOKE, -1, OK);
}

/* ---- changing ---- */

static void changed(void *context, struct peer_request *request, const void *response)
{
    struct admin *own = context;
    enum err err = ERR_NETWORK_EXCEPTION;

    own->is_busy = false;
    if (response && request->api_key == API_OFFSET_COMMIT) {
        const struct offset_commit_response *answer = response;

        if (answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
            err = err_from_wire(answer->topics[0].partitions[0].error_code);
    } else if (response && request->api_key == API_OFFSET_DELETE) {
        const struct offset_delete_response *answer = response;

        err = err_from_wire(answer->error_code);
        if (err == OK && answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
            err = err_from_wire(answer->topics[0].partitions[0].error_code);
    } else if (response) {
        const struct delete_groups_response *answer = response;

        if (answer->results_count == 1)
            err = err_from_wire(answer->results[0].error_code);
    }
    tell(own, own->partition, phase_of(err), own->value, err);
}

static void offset_set_back(struct admin *own, const struct slot *slot)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct offset_commit_request body;
    int64_t known = own->known[own->group][own->slot][own->partition];

    if (known < 0 || own->known_topic[own->group][own->slot] != slot->topic)
        return;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_commit_request_init(&body);
    own->value = random_between(&own->actor->random, 0, known);
    body.group_id = slice_from_text(group_of(own)->name);
    body.member_id = SLICE_EMPTY;
    body.topics = offset_commit_request_offset_commit_request_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics->topic_id = slot->id;
    body.topics->partitions =
        offset_commit_request_offset_commit_request_partition_array(&arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->partition_index = own->partition;
    body.topics->partitions->committed_offset = own->value;
    own->kind = HISTORY_GROUP_COMMIT;
    if (ask(own, API_OFFSET_COMMIT, 10, &body, changed))
        tell(own, own->partition, HISTORY_INVOKE, own->value, OK);
}

static void offset_delete(struct admin *own, const struct slot *slot)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct offset_delete_request body;

    if (slot->is_churn)
        return; /* by name: it may hit another topic than the one meant */
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_delete_request_init(&body);
    body.group_id = slice_from_text(group_of(own)->name);
    body.topics = offset_delete_request_offset_delete_request_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics->name = slice_from_text(slot->name);
    body.topics->partitions =
        offset_delete_request_offset_delete_request_partition_array(&arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->partition_index = own->partition;
    own->value = -1;
    own->kind = HISTORY_GROUP_DELETE_OFFSET;
    if (ask(own, API_OFFSET_DELETE, 0, &body, changed))
        tell(own, own->partition, HISTORY_INVOKE, -1, OK);
}

static void group_delete(struct admin *own)
{
    struct delete_groups_request body;
    struct slice name = slice_from_text(group_of(own)->name);

    delete_groups_request_init(&body);
    body.groups_names = &name;
    body.groups_names_count = 1;
    own->partition = -1;
    own->value = -1;
    own->kind = HISTORY_GROUP_DELETE;
    if (ask(own, API_DELETE_GROUPS, 2, &body, changed))
        tell(own, -1, HISTORY_INVOKE, -1, OK);
}

/* ---- the end ---- */

static bool is_through(const struct world *world, const struct world_group *group)
{
    for (int i = 0; i < world->slot_count; i++) {
        for (int32_t p = 0; p < world->slots[i].partitions; p++) {
            const struct owned *owned = group_owner(group, &world->slots[i], p);

            if (!owned || !owned->is_known || !owned->is_through ||
                owned->position != owned->committed)
                return false;
        }
    }
    return true;
}

static void drained_tell(struct admin *own, struct world_group *group)
{
    const struct world *world = own->actor->world;
    struct history_event event;

    group->is_told = true;
    for (int i = 0; i < world->slot_count; i++) {
        for (int32_t p = 0; p < world->slots[i].partitions; p++) {
            const struct owned *owned = group_owner(group, &world->slots[i], p);

            history_event_init(&event, HISTORY_GROUP_DRAINED, HISTORY_OK);
            event.group = group->number;
            event.topic = world->slots[i].topic;
            event.partition = p;
            event.offset = owned->position;
            event.log_start = owned->log_start;
            world_event(own->actor->world, &event);
        }
    }
}

/* ---- the whole ---- */

static void tick(struct actor *actor)
{
    struct admin *own = actor->own;
    struct world *world = actor->world;
    struct world_groups *groups = world->groups;
    const struct slot *slot;
    uint64_t what;

    for (int i = 0; i < groups->count && world->phase == WORLD_FINAL; i++)
        if (!groups->items[i].is_told && group_is_whole(world, &groups->items[i]) &&
            is_through(world, &groups->items[i]))
            drained_tell(own, &groups->items[i]);
    if (own->is_busy || !peer_is_ready(actor->peer))
        return;
    own->group = (int)random_below(&actor->random, (uint64_t)groups->count);
    own->slot = (int)random_below(&actor->random, (uint64_t)world->slot_count);
    slot = &world->slots[own->slot];
    if (!slot->is_live)
        return;
    own->topic = slot->topic;
    own->partitions = slot->partitions;
    own->partition = (int32_t)random_below(&actor->random, (uint64_t)slot->partitions);
    what = world->phase == WORLD_FAULTS ? random_below(&actor->random, 100) : 0;
    if (what < 50)
        offsets_ask(own, slot);
    else if (what < 60)
        offset_set_back(own, slot);
    else if (what < 64)
        offset_delete(own, slot);
    else if (what < 67)
        group_delete(own);
    else if (what < 68)
        groups->items[own->group].exodus_until_ns =
            sim_now_ns(world->sim) + random_between(&actor->random, 300, 1500) * MS;
}

static bool is_drained(const struct actor *actor)
{
    const struct world *world = actor->world;

    for (int i = 0; i < world->groups->count; i++) {
        const struct world_group *group = &world->groups->items[i];

        if (world->phase == WORLD_FINAL ? !group->is_told : !group_is_whole(world, group))
            return false;
    }
    return true;
}

static const char *describe(const struct actor *actor)
{
    const struct world *world = actor->world;
    struct admin *own = actor->own;
    size_t length = 0;

    own->text[0] = '\0';
    for (int i = 0; i < world->groups->count && length < sizeof own->text; i++) {
        const struct world_group *group = &world->groups->items[i];

        if (world->phase == WORLD_FINAL ? group->is_told : group_is_whole(world, group))
            continue;
        group_describe(world, group, own->text + length, sizeof own->text - length);
        length = strlen(own->text);
    }
    return own->text;
}

const struct actor_type actor_group_admin = {.name = "group_admin",
                                             .own_bytes = sizeof(struct admin),
                                             .begin = begin,
                                             .tick = tick,
                                             .is_drained = is_drained,
                                             .describe = describe};
