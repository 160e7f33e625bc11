/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_work.c: what a member does with what it has: looks where the group stands, reads on from there, calls that
 * processed, and commits.
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/offset_fetch_request.h"
#include "protocol/generated/offset_fetch_response.h"
#include "records/batch.h"

#include <stdlib.h>

#define BYTES_MAX (64 * 1024)
#define EMPTY_ANSWERS_MAX 30

static struct owned *owned_find(struct member *member, struct uuid topic_id, int32_t partition)
{
    for (int i = 0; i < member->owned_count; i++)
        if (member->owned[i].partition == partition &&
            memcmp(&member->owned[i].topic_id, &topic_id, sizeof topic_id) == 0)
            return &member->owned[i];
    return NULL;
}

static void place_event(const struct member *member, struct history_event *event,
                        enum history_kind kind, enum history_phase phase, int32_t topic,
                        int32_t partition)
{
    member_event_init(member, event, kind, phase);
    event->topic = topic;
    event->partition = partition;
}

/* ---- where does the group stand? ---- */

struct look { /* what was asked for; the member may have lost it meanwhile */
    struct peer_request request;
    struct member *member;
    struct uuid topic_id;
    int32_t topic, partition;
    int64_t op;
};

static void looked(void *context, struct peer_request *request, const void *response)
{
    struct look *look = context;
    struct member *member = look->member;
    const struct offset_fetch_response *answer = response;
    const struct offset_fetch_response_offset_fetch_response_partitions *part = NULL;
    struct owned *owned = owned_find(member, look->topic_id, look->partition);
    struct history_event event;
    enum err err = ERR_NETWORK_EXCEPTION;

    UNUSED(request);
    member->is_looking = false;
    if (answer && answer->groups_count == 1) {
        err = err_from_wire(answer->groups[0].error_code);
        if (err == OK && answer->groups[0].topics_count == 1 &&
            answer->groups[0].topics[0].partitions_count == 1) {
            part = &answer->groups[0].topics[0].partitions[0];
            err = err_from_wire(part->error_code);
        }
        group_answer_is_known(member, "OffsetFetch", err == OK ? ERR_STALE_MEMBER_EPOCH : err);
    }
    place_event(member, &event, HISTORY_GROUP_OFFSET, part && err == OK ? HISTORY_OK : HISTORY_FAIL,
                look->topic, look->partition);
    event.op = look->op;
    event.offset = part && err == OK ? part->committed_offset : -1;
    event.error = err == OK ? NULL : err_name(err);
    world_event(member->actor->world, &event);
    if (part && err == OK && owned && !owned->is_known) {
        owned->is_known = true;
        owned->committed = part->committed_offset;
        owned->position = MAX(part->committed_offset, 0);
        owned->needs_start = false;
    }
    free(look);
}

static void look(struct member *member, const struct owned *owned)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = member->actor->world;
    struct look *look = calloc(1, sizeof *look);
    struct offset_fetch_request body;
    struct offset_fetch_request_offset_fetch_request_group *group;
    struct history_event event;
    int32_t partition = owned->partition;

    ASSERT(look != NULL);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_fetch_request_init(&body);
    group = offset_fetch_request_offset_fetch_request_group_array(&arena, 1);
    group->group_id = slice_from_text(member->group->name);
    group->member_id = slice_from_text(member->id);
    group->member_epoch = member->generation;
    group->topics = offset_fetch_request_offset_fetch_request_topics_array(&arena, 1);
    group->topics_count = 1;
    group->topics->topic_id = owned->topic_id;
    group->topics->partition_indexes = &partition;
    group->topics->partition_indexes_count = 1;
    body.groups = group;
    body.groups_count = 1;
    body.require_stable = true;
    *look = (struct look){.member = member,
                          .topic_id = owned->topic_id,
                          .topic = owned->topic,
                          .partition = partition};
    look->request.answered = looked;
    look->request.context = look;
    if (!peer_send(member->work, API_OFFSET_FETCH, 10, &body, GROUP_TIMEOUT_MS, &look->request)) {
        free(look);
        return;
    }
    member->is_looking = true;
    place_event(member, &event, HISTORY_GROUP_OFFSET, HISTORY_INVOKE, look->topic, partition);
    look->op = world_event(world, &event);
}

/* ---- the first offset, after retention or DeleteRecords ---- */

static void start_answered(void *context, struct peer_request *request, const void *response)
{
    struct look *look = context;
    struct member *member = look->member;
    const struct list_offsets_response *answer = response;
    struct owned *owned = owned_find(member, look->topic_id, look->partition);

    UNUSED(request);
    member->is_looking = false;
    if (owned && answer && answer->topics_count == 1 && answer->topics[0].partitions_count == 1 &&
        answer->topics[0].partitions[0].error_code == OK) {
        owned->position = answer->topics[0].partitions[0].offset;
        owned->needs_start = false;
    }
    free(look);
}

static void start_ask(struct member *member, const struct owned *owned)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct list_offsets_request body;
    struct list_offsets_request_list_offsets_topic *topic;
    struct look *look = calloc(1, sizeof *look);

    ASSERT(look != NULL);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    list_offsets_request_init(&body);
    body.replica_id = -1;
    topic = list_offsets_request_list_offsets_topic_array(&arena, 1);
    topic->name = slice_from_text(member->actor->world->slots[owned->slot].name);
    topic->partitions = list_offsets_request_list_offsets_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions->partition_index = owned->partition;
    topic->partitions->timestamp = -2;
    body.topics = topic;
    body.topics_count = 1;
    *look =
        (struct look){.member = member, .topic_id = owned->topic_id, .partition = owned->partition};
    look->request.answered = start_answered;
    look->request.context = look;
    member->is_looking =
        peer_send(member->work, API_LIST_OFFSETS, 7, &body, GROUP_TIMEOUT_MS, &look->request);
    if (!member->is_looking)
        free(look);
}

/* ---- reading ---- */

/* Behind the last whole batch; -1: there is none. */
static int64_t next_offset(struct slice records)
{
    struct slice batch, rest = records;
    int64_t next = -1;

    while (batch_next(&rest, &batch) == OK && batch.size_bytes > 0) {
        struct batch_header header;

        if (batch_header_read(batch, &header) != OK)
            break;
        next = header.base_offset + header.last_offset_delta + 1;
    }
    return next;
}

static void partition_read(struct member *member, struct owned *owned,
                           const struct fetch_response_partition_data *data)
{
    struct world *world = member->actor->world;
    enum err err = err_from_wire(data->error_code);
    struct history_event event;
    int64_t next;

    if (owned->fetching_from != owned->position)
        return;
    if (err == ERR_OFFSET_OUT_OF_RANGE)
        owned->needs_start = true;
    else if (err == ERR_CORRUPT_MESSAGE && world->is_damaged)
        owned->position++;
    if (err != OK)
        return;
    next = next_offset(data->records);
    owned->log_start = data->log_start_offset;
    if (next > owned->position) {
        place_event(member, &event, HISTORY_GROUP_PROCESS, HISTORY_OK, owned->topic,
                    owned->partition);
        event.offset = owned->position;
        event.count = (int32_t)(next - owned->position);
        event.log_start = data->log_start_offset;
        world_event(world, &event);
        owned->position = next;
    }
    /* A hole that a power cut left at the end, in flush mode os, as in actor_consumer.c. */
    owned->empty_answers = world->phase == WORLD_FINAL && next < 0 ? owned->empty_answers + 1 : 0;
    owned->is_through = world->phase == WORLD_FINAL && (owned->position >= data->high_watermark ||
                                                        owned->empty_answers >= EMPTY_ANSWERS_MAX);
}

static void fetch(struct member *member);

static void fetched(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;
    const struct fetch_response *answer = response;
    bool goes_on = false;

    UNUSED(request);
    member->is_fetching = false;
    for (int32_t i = 0; answer && i < answer->responses_count; i++) {
        for (int32_t k = 0; k < answer->responses[i].partitions_count; k++) {
            const struct fetch_response_partition_data *data = &answer->responses[i].partitions[k];
            struct owned *owned =
                owned_find(member, answer->responses[i].topic_id, data->partition_index);

            if (owned && owned->fetching_from >= 0)
                partition_read(member, owned, data);
            goes_on |= err_from_wire(data->error_code) == ERR_CORRUPT_MESSAGE;
        }
    }
    for (int i = 0; i < member->owned_count; i++)
        member->owned[i].fetching_from = -1;
    /* A batch that rotted is passed offset by offset, and may have hundreds: a tick each would take too long. */
    if (goes_on && peer_is_ready(member->work) && member->owned_count > 0)
        fetch(member);
}

static void fetch(struct member *member)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = member->actor->world;
    struct fetch_request body;
    struct fetch_request_fetch_topic *topics;
    int first;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    topics = fetch_request_fetch_topic_array(&arena, (size_t)member->owned_count);
    fetch_request_init(&body);
    body.max_wait_ms = world->phase == WORLD_FAULTS ? 100 : 0;
    body.min_bytes = 1;
    body.max_bytes = BYTES_MAX;
    body.rack_id = SLICE_EMPTY;
    first = (int)random_below(&member->actor->random, (uint64_t)member->owned_count);
    for (int n = 0; n < member->owned_count; n++) {
        struct owned *owned = &member->owned[(first + n) % member->owned_count];
        struct fetch_request_fetch_topic *topic = &topics[body.topics_count];

        if (!owned->is_known || owned->needs_start || owned->slot < 0)
            continue;
        topic->topic_id = owned->topic_id;
        topic->partitions = fetch_request_fetch_partition_array(&arena, 1);
        topic->partitions_count = 1;
        topic->partitions->partition = owned->partition;
        topic->partitions->fetch_offset = owned->position;
        topic->partitions->partition_max_bytes = BYTES_MAX;
        owned->fetching_from = owned->position;
        body.topics_count++;
    }
    if (body.topics_count == 0)
        return;
    body.topics = topics;
    member->work_request.answered = fetched;
    member->work_request.context = member;
    member->is_fetching =
        peer_send(member->work, API_FETCH, 16, &body, GROUP_TIMEOUT_MS, &member->work_request);
}

/* ---- committing ---- */

struct commit {
    struct peer_request request;
    struct member *member; /* as it was then: */
    char id[64];
    int32_t generation;
    bool is_ghost;
    int count;
    struct {
        struct uuid topic_id;
        int32_t topic, partition;
        int64_t value, op;
    } items[OWNED_MAX];
};

/* Errors by which it is certain that nothing was or will be committed. */
static bool is_refusal(enum err err)
{
    return err != ERR_NOT_COORDINATOR && err != ERR_COORDINATOR_NOT_AVAILABLE &&
           err != ERR_COORDINATOR_LOAD_IN_PROGRESS && err != ERR_REQUEST_TIMED_OUT &&
           err != ERR_UNKNOWN_SERVER_ERROR && err != ERR_NETWORK_EXCEPTION;
}

static void commit_event(struct commit *commit, int i, enum history_phase phase, enum err err)
{
    struct member *member = commit->member;
    struct history *history = member->actor->world->history;
    struct history_event event;

    history_event_init(&event, HISTORY_GROUP_COMMIT, phase);
    event.op = commit->items[i].op;
    event.process = member->actor->process;
    event.group = member->group->number;
    event.member = history_name(history, commit->id);
    event.instance = member->is_static ? history_name(history, member->instance) : -1;
    event.generation = commit->generation;
    event.topic = commit->items[i].topic;
    event.partition = commit->items[i].partition;
    event.offset = commit->items[i].value;
    event.error = err == OK ? NULL : err_name(err);
    commit->items[i].op = world_event(member->actor->world, &event);
}

static void committed(void *context, struct peer_request *request, const void *response)
{
    struct commit *commit = context;
    struct member *member = commit->member;
    const struct offset_commit_response *answer = response;

    UNUSED(request);
    if (commit->is_ghost)
        member->ghost.is_busy = false;
    else
        member->is_committing = false;
    for (int i = 0; i < commit->count; i++) {
        struct owned *owned =
            owned_find(member, commit->items[i].topic_id, commit->items[i].partition);
        enum err err = ERR_NETWORK_EXCEPTION;

        /* In any order: refused ones come first. */
        for (int32_t k = 0; answer && k < answer->topics_count; k++)
            for (int32_t n = 0; n < answer->topics[k].partitions_count; n++)
                if (answer->topics[k].partitions[n].partition_index == commit->items[i].partition &&
                    memcmp(&answer->topics[k].topic_id, &commit->items[i].topic_id,
                           sizeof commit->items[i].topic_id) == 0)
                    err = err_from_wire(answer->topics[k].partitions[n].error_code);
        if (answer && err == ERR_NETWORK_EXCEPTION)
            world_fail(member->actor->world, "OffsetCommit left out a partition");
        else if (answer && err != OK)
            group_answer_is_known(member, "OffsetCommit", err);
        commit_event(commit, i,
                     err == OK         ? HISTORY_OK
                     : is_refusal(err) ? HISTORY_FAIL
                                       : HISTORY_UNKNOWN,
                     err);
        if (err == OK && owned && !commit->is_ghost)
            owned->committed = commit->items[i].value;
    }
    free(commit);
}

static bool commit_send(struct commit *commit)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct member *member = commit->member;
    struct offset_commit_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    offset_commit_request_init(&body);
    body.group_id = slice_from_text(member->group->name);
    body.member_id = slice_from_text(commit->id);
    body.generation_id_or_member_epoch = commit->generation;
    body.group_instance_id = member->is_static ? slice_from_text(member->instance) : SLICE_NULL;
    body.topics =
        offset_commit_request_offset_commit_request_topic_array(&arena, (size_t)commit->count);
    body.topics_count = commit->count;
    for (int i = 0; i < commit->count; i++) {
        struct offset_commit_request_offset_commit_request_partition *partition =
            offset_commit_request_offset_commit_request_partition_array(&arena, 1);

        body.topics[i].topic_id = commit->items[i].topic_id;
        body.topics[i].partitions = partition;
        body.topics[i].partitions_count = 1;
        partition->partition_index = commit->items[i].partition;
        partition->committed_offset = commit->items[i].value;
        partition->committed_metadata = SLICE("m");
    }
    commit->request.answered = committed;
    commit->request.context = commit;
    if (!peer_send(member->work, API_OFFSET_COMMIT, 10, &body, GROUP_TIMEOUT_MS,
                   &commit->request)) {
        free(commit);
        return false;
    }
    for (int i = 0; i < commit->count; i++) {
        commit->items[i].op = -1;
        commit_event(commit, i, HISTORY_INVOKE, OK);
    }
    return true;
}

static struct commit *commit_new(struct member *member, const char *id, int32_t generation)
{
    struct commit *commit = calloc(1, sizeof *commit);

    ASSERT(commit != NULL);
    commit->member = member;
    commit->generation = generation;
    snprintf(commit->id, sizeof commit->id, "%s", id);
    return commit;
}

void member_commit_all(struct member *member)
{
    struct commit *commit;

    if (member->is_committing || !peer_is_ready(member->work) || member->id[0] == '\0')
        return;
    commit = commit_new(member, member->id, member->generation);
    for (int i = 0; i < member->owned_count; i++) {
        const struct owned *owned = &member->owned[i];

        if (!owned->is_known || owned->needs_start || owned->slot < 0 ||
            owned->position == owned->committed)
            continue;
        commit->items[commit->count].topic_id = owned->topic_id;
        commit->items[commit->count].topic = owned->topic;
        commit->items[commit->count].partition = owned->partition;
        commit->items[commit->count++].value = owned->position;
    }
    if (commit->count == 0)
        free(commit);
    else
        member->is_committing = commit_send(commit);
}

void member_ghost_act(struct member *member)
{
    struct ghost *ghost = &member->ghost;
    struct world *world = member->actor->world;
    struct commit *commit;

    if (ghost->due_ns == 0 || ghost->is_busy || ghost->due_ns > sim_now_ns(world->sim))
        return;
    if (!peer_is_ready(member->work))
        return;
    ghost->due_ns = 0;
    if (world->phase != WORLD_FAULTS)
        return;
    commit = commit_new(member, ghost->id, ghost->generation);
    commit->is_ghost = true;
    commit->count = 1;
    commit->items[0].topic_id = ghost->topic_id;
    commit->items[0].topic = ghost->topic;
    commit->items[0].partition = ghost->partition;
    commit->items[0].value = ghost->position;
    ghost->is_busy = commit_send(commit);
}

/* ---- all of it ---- */

void member_work(struct member *member)
{
    int64_t now_ns = sim_now_ns(member->actor->world->sim);

    if (!peer_is_ready(member->work) || member->owned_count == 0)
        return;
    for (int i = 0; i < member->owned_count && !member->is_looking; i++) {
        if (member->owned[i].slot < 0)
            continue;
        if (!member->owned[i].is_known)
            look(member, &member->owned[i]);
        else if (member->owned[i].needs_start)
            start_ask(member, &member->owned[i]);
    }
    if (!member->is_fetching)
        fetch(member);
    if (now_ns >= member->next_commit_ns) {
        member->next_commit_ns = now_ns + random_between(&member->actor->random, 10, 300) * MS;
        member_commit_all(member);
    }
}
