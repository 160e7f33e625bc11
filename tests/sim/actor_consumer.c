/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_consumer.c: reads assigned partitions of one topic, all in one request, with a fetch session or
 * without. The final reader is the same, woken by the phase FINAL: it reads its topic whole, once.
 */
#include "batches.h"
#include "peer.h"
#include "world.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"

#define TIMEOUT_MS 3000
#define EMPTY_ANSWERS_MAX 8 /* in a row; each has room for the first batch of every partition */

struct reading { /* one partition */
    int64_t position;
    int64_t sent_position; /* what the session knows; -1: nothing */
    int64_t op;            /* under way; -1: none */
    int64_t high_watermark;
    bool needs_start; /* the position is outside the log: the start is to be asked for */
    bool is_through;  /* final reader: the end was reached */
    int64_t skip;     /* by how much the last broken batch was stepped over */
    int empty_answers;
};

struct consumer {
    struct actor *actor;
    struct peer_request request;
    bool is_busy, is_final, is_reading;
    int16_t version;
    bool with_session;
    int32_t session_id, session_epoch;
    int32_t max_wait_ms, max_bytes;
    int slot;
    int32_t topic, partitions; /* of the incarnation that is read */
    struct uuid topic_id;
    uint32_t generation;
    int32_t start_partition; /* whose start is asked for */
    struct reading readings[WORLD_PARTITIONS_MAX];
};

static void begin(struct actor *actor, int number)
{
    static const int16_t versions[] = {4, 7, 11, 12, 13, 16, 17};
    struct consumer *own = actor->own;
    struct random *random = &actor->random;

    UNUSED(number);
    own->actor = actor;
    own->slot = (int)random_below(random, (uint64_t)actor->world->slot_count);
    own->version = versions[random_below(random, ARRAY_COUNT(versions))];
    if (actor->world->slots[own->slot].is_churn)
        own->version = (int16_t)random_between(random, 13, 17);
    own->with_session = own->version >= 7 && random_chance(random, 1, 2);
    own->session_epoch = own->with_session ? 0 : -1;
    own->max_wait_ms = (int32_t)random_between(random, 0, 500);
    own->max_bytes = (int32_t)(random_chance(random, 1, 2) ? 64 * (int64_t)KIB
                                                           : random_between(random, 1, 3000));
    actor->tick_ms = random_between(random, 2, 50);
}

static void begin_final(struct actor *actor, int number)
{
    struct consumer *own = actor->own;

    begin(actor, number);
    own->is_final = true;
    own->slot = number;
    own->version = (int16_t)(actor->world->slots[number].is_churn ? 16 : 12);
    own->with_session = false;
    own->session_epoch = -1;
    own->max_wait_ms = 0;
    own->max_bytes = 256 * KIB;
    actor->tick_ms = 5;
}

static void read_anew(struct consumer *own)
{
    const struct slot *slot = &own->actor->world->slots[own->slot];

    own->topic = slot->topic;
    own->topic_id = slot->id;
    own->generation = slot->generation;
    own->partitions = slot->partitions;
    memset(own->readings, 0, sizeof own->readings);
    for (int i = 0; i < WORLD_PARTITIONS_MAX; i++)
        own->readings[i] = (struct reading){.sent_position = -1, .op = -1};
    own->session_id = 0;
    own->session_epoch = own->with_session ? 0 : -1;
}

/* ---- answers ---- */

static void reading_end(struct consumer *own, int partition, enum history_phase phase,
                        const struct fetch_response_partition_data *data,
                        const struct history_batch *batches, size_t batch_count)
{
    struct history_event event;

    history_event_init(&event, HISTORY_FETCH, phase);
    event.op = own->readings[partition].op;
    event.process = own->actor->process;
    event.topic = own->topic;
    event.partition = partition;
    if (phase == HISTORY_OK) {
        event.high_watermark = data->high_watermark;
        event.last_stable = data->last_stable_offset;
        event.log_start = data->log_start_offset;
        event.batches = batches;
        event.batch_count = batch_count;
    } else if (data) {
        event.error = err_name(err_from_wire(data->error_code));
    }
    world_event(own->actor->world, &event);
    own->readings[partition].op = -1;
}

/* As an operator would: over it, with longer steps. */
static void broken_skip(struct reading *reading)
{
    reading->skip = MAX(1, 2 * reading->skip);
    reading->position =
        MAX(reading->position + 1, MIN(reading->position + reading->skip, reading->high_watermark));
    reading->is_through = reading->position == reading->high_watermark;
}

static void partition_answered(struct consumer *own,
                               const struct fetch_response_partition_data *data)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = own->actor->world;
    struct slot *slot = &world->slots[own->slot];
    struct reading *reading = &own->readings[data->partition_index];
    struct history_batch *batches;
    enum err err = err_from_wire(data->error_code);
    size_t count;

    if (err != OK) {
        reading_end(own, data->partition_index, HISTORY_FAIL, data, NULL, 0);
        reading->sent_position = -1;
        if (err == ERR_OFFSET_OUT_OF_RANGE)
            reading->needs_start = true;
        else if (err == ERR_CORRUPT_MESSAGE && world->is_damaged)
            broken_skip(reading);
        else if (!err_is_retriable(err) && err != ERR_UNKNOWN_TOPIC_ID)
            world_fail(world, "process %d: Fetch of partition %d from %lld: %s",
                       own->actor->process, data->partition_index, (long long)reading->position,
                       err_name(err));
        return;
    }
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    numbered_batches_read(data->records, history_topic_key(world->history, own->topic),
                          data->partition_index, &arena, &batches, &count);
    reading_end(own, data->partition_index, HISTORY_OK, data, batches, count);
    reading->skip = 0;
    reading->empty_answers = count == 0 ? reading->empty_answers + 1 : 0;
    if (count > 0 && batches[count - 1].is_valid)
        reading->position = MAX(reading->position, batches[count - 1].last_offset + 1);
    else if (count > 0)
        reading->position++;
    reading->high_watermark = data->high_watermark;
    if (slot->generation == own->generation)
        slot->high_watermarks[data->partition_index] =
            MAX(slot->high_watermarks[data->partition_index], data->high_watermark);
    /* A hole that a power cut left at the end, in flush mode os: whether it may be there, D4 says. */
    reading->is_through = reading->position >= data->high_watermark ||
                          (own->is_final && reading->empty_answers >= EMPTY_ANSWERS_MAX);
}

static void session_check(struct consumer *own, const struct fetch_response *answer)
{
    if (answer && answer->error_code == OK) {
        own->session_id = answer->session_id;
        own->session_epoch = answer->session_id == 0 ? 0 : own->session_epoch + 1;
        return;
    }
    own->session_id = own->session_epoch = 0;
    for (int i = 0; i < WORLD_PARTITIONS_MAX; i++)
        own->readings[i].sent_position = -1;
}

static void fetch_answered(void *context, struct peer_request *request, const void *response)
{
    struct consumer *own = context;
    struct world *world = own->actor->world;
    const struct fetch_response *answer = response;
    enum err err = answer ? err_from_wire(answer->error_code) : OK;

    UNUSED(request);
    own->is_busy = false;
    if (own->with_session)
        session_check(own, answer);
    if (err != OK && err != ERR_FETCH_SESSION_ID_NOT_FOUND &&
        err != ERR_INVALID_FETCH_SESSION_EPOCH && err != ERR_FETCH_SESSION_TOPIC_ID_ERROR &&
        err != ERR_UNKNOWN_TOPIC_ID && !err_is_retriable(err))
        world_fail(world, "process %d: Fetch: %s", own->actor->process, err_name(err));
    for (int i = 0; answer && i < answer->responses_count; i++) {
        for (int k = 0; k < answer->responses[i].partitions_count; k++) {
            const struct fetch_response_partition_data *data = &answer->responses[i].partitions[k];

            if (data->partition_index < 0 || data->partition_index >= own->partitions ||
                own->readings[data->partition_index].op < 0) {
                world_fail(world,
                           "process %d: Fetch answered partition %d, which was not asked for",
                           own->actor->process, data->partition_index);
                return;
            }
            if (slice_is_null(data->records))
                world_fail(world, "Fetch answered null records");
            partition_answered(own, data);
        }
    }
    for (int i = 0; i < WORLD_PARTITIONS_MAX; i++)
        if (own->readings[i].op >= 0) /* a session says nothing of what has not changed */
            reading_end(own, i, HISTORY_FAIL, NULL, NULL, 0);
}

static void start_answered(void *context, struct peer_request *request, const void *response)
{
    struct consumer *own = context;
    const struct list_offsets_response *answer = response;
    struct reading *reading = &own->readings[own->start_partition];
    const struct list_offsets_response_list_offsets_partition_response *part = NULL;
    struct history_event event;
    bool is_answered;

    UNUSED(request);
    own->is_busy = false;
    if (answer && answer->topics_count == 1 && answer->topics[0].partitions_count == 1)
        part = &answer->topics[0].partitions[0];
    is_answered = part && part->error_code == OK;
    history_event_init(&event, HISTORY_LIST_OFFSETS, is_answered ? HISTORY_OK : HISTORY_FAIL);
    event.op = reading->op;
    event.process = own->actor->process;
    event.topic = own->topic;
    event.partition = own->start_partition;
    event.offset = is_answered ? part->offset : -1;
    if (part && !is_answered)
        event.error = err_name(err_from_wire(part->error_code));
    world_event(own->actor->world, &event);
    reading->op = -1;
    if (!is_answered)
        return;
    reading->needs_start = false;
    reading->position = part->offset;
}

/* ---- requests ---- */

static void start_ask(struct consumer *own, int partition)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct list_offsets_request body;
    struct list_offsets_request_list_offsets_topic *topic;
    struct history_event event;

    if (own->actor->world->slots[own->slot].is_churn) { /* nothing is removed from those */
        own->readings[partition].position = 0;
        own->readings[partition].needs_start = false;
        return;
    }
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    list_offsets_request_init(&body);
    body.replica_id = -1;
    topic = list_offsets_request_list_offsets_topic_array(&arena, 1);
    body.topics = topic;
    body.topics_count = 1;
    topic->name = slice_from_text(own->actor->world->slots[own->slot].name);
    topic->partitions = list_offsets_request_list_offsets_partition_array(&arena, 1);
    topic->partitions_count = 1;
    topic->partitions[0].partition_index = partition;
    topic->partitions[0].timestamp = -2;
    own->start_partition = partition;
    own->request.answered = start_answered;
    own->request.context = own;
    own->is_busy =
        peer_send(own->actor->peer, API_LIST_OFFSETS, 7, &body, TIMEOUT_MS, &own->request);
    if (!own->is_busy)
        return;
    history_event_init(&event, HISTORY_LIST_OFFSETS, HISTORY_INVOKE);
    event.process = own->actor->process;
    event.topic = own->topic;
    event.partition = partition;
    event.timestamp_ms = -2;
    own->readings[partition].op = world_event(own->actor->world, &event);
}

static void fetch_ask(struct consumer *own)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct actor *actor = own->actor;
    struct fetch_request body;
    struct fetch_request_fetch_topic *topic;
    struct fetch_request_fetch_partition *parts;
    struct history_event event;
    bool is_incremental = own->with_session && own->session_epoch > 0;
    int first = (int)random_below(&actor->random, (uint64_t)own->partitions);

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    topic = fetch_request_fetch_topic_array(&arena, 1);
    parts = fetch_request_fetch_partition_array(&arena, WORLD_PARTITIONS_MAX);
    fetch_request_init(&body);
    body.max_wait_ms = own->max_wait_ms;
    body.min_bytes = 1;
    body.max_bytes = own->max_bytes;
    body.isolation_level = (int8_t)random_below(&actor->random, 2);
    body.session_id = own->session_id;
    body.session_epoch = own->session_epoch;
    body.rack_id = SLICE_EMPTY;
    topic->topic = slice_from_text(actor->world->slots[own->slot].name);
    topic->topic_id = own->topic_id;
    topic->partitions = parts;
    /* Rotated, so that one partition (a large or a broken one) does not keep the others from being read. */
    for (int k = 0; k < own->partitions; k++) {
        int i = (first + k) % own->partitions;
        struct reading *reading = &own->readings[i];
        struct fetch_request_fetch_partition *part = &parts[topic->partitions_count];

        if (is_incremental && reading->sent_position == reading->position)
            continue;
        part->partition = i;
        part->fetch_offset = reading->position;
        part->partition_max_bytes = own->max_bytes;
        topic->partitions_count++;
    }
    body.topics = topic;
    body.topics_count = topic->partitions_count > 0;
    own->request.answered = fetch_answered;
    own->request.context = own;
    if (!peer_send(actor->peer, API_FETCH, own->version, &body, TIMEOUT_MS, &own->request))
        return;
    own->is_busy = true;
    for (int i = 0; i < own->partitions; i++) {
        history_event_init(&event, HISTORY_FETCH, HISTORY_INVOKE);
        event.process = actor->process;
        event.topic = own->topic;
        event.partition = i;
        event.offset = own->readings[i].position;
        own->readings[i].op = world_event(actor->world, &event);
        own->readings[i].sent_position = own->readings[i].position;
    }
}

static void tick(struct actor *actor)
{
    struct consumer *own = actor->own;
    const struct slot *slot = &actor->world->slots[own->slot];

    if (!own->is_final && actor->world->phase != WORLD_FAULTS)
        return; /* what lies there is the final reader's */
    if (own->is_busy || (own->is_final && actor->world->phase != WORLD_FINAL))
        return;
    if (!peer_is_ready(actor->peer))
        return;
    if (!slot->is_live)
        return;
    if (!own->is_reading || own->generation != slot->generation)
        read_anew(own);
    own->is_reading = true;
    if (own->partitions != slot->partitions) {
        own->partitions = slot->partitions;
        own->session_id = 0;
        own->session_epoch = own->with_session ? 0 : -1;
    }
    for (int i = 0; i < own->partitions; i++) {
        if (own->readings[i].needs_start) {
            start_ask(own, i);
            if (own->is_busy)
                return;
        }
    }
    if (actor->world->phase == WORLD_FAULTS && random_chance(&actor->random, 1, 40))
        own->readings[random_below(&actor->random, (uint64_t)own->partitions)].position =
            0; /* somebody reads from the start again */
    fetch_ask(own);
}

static bool is_drained(const struct actor *actor)
{
    UNUSED(actor);
    return true;
}

static bool is_drained_final(const struct actor *actor)
{
    const struct consumer *own = actor->own;
    const struct slot *slot = &actor->world->slots[own->slot];

    if (actor->world->phase != WORLD_FINAL || !slot->is_live)
        return true;
    if (!own->is_reading || own->partitions != slot->partitions)
        return false;
    for (int i = 0; i < own->partitions; i++)
        if (!own->readings[i].is_through)
            return false;
    return true;
}

const struct actor_type actor_consumer = {.name = "consumer",
                                          .own_bytes = sizeof(struct consumer),
                                          .begin = begin,
                                          .tick = tick,
                                          .is_drained = is_drained};
const struct actor_type actor_final_reader = {.name = "final reader",
                                              .own_bytes = sizeof(struct consumer),
                                              .begin = begin_final,
                                              .tick = tick,
                                              .is_drained = is_drained_final};
