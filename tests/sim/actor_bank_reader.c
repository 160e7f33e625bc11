/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_bank_reader.c: reads topics of transactions from their beginning, under read_committed or read_uncommitted. The
 * final reader is the same, woken by the phase FINAL: under read_committed, until it has all below the high
 * watermark: the last stable offset has to come up to it.
 */
#include "transaction.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

#define TIMEOUT_MS 3000

struct bank_reading {
    int64_t position, op;
    int64_t high_watermark, last_stable;
    bool is_through;
};

struct bank_reader {
    struct actor *actor;
    struct peer_request request;
    bool is_busy, is_final, is_committed;
    int16_t version;
    int32_t max_bytes;
    int topic;
    struct bank_reading readings[BANK_PARTITIONS_MAX];
    char text[160];
};

static void begin(struct actor *actor, int number)
{
    static const int16_t versions[] = {4, 7, 11, 12, 13, 16, 17};
    struct bank_reader *own = actor->own;
    struct random *random = &actor->random;

    UNUSED(number);
    own->actor = actor;
    own->topic = (int)random_below(random, (uint64_t)actor->world->transactions->topic_count);
    own->is_committed = random_chance(random, 3, 4);
    own->version = versions[random_below(random, ARRAY_COUNT(versions))];
    own->max_bytes = (int32_t)(random_chance(random, 1, 2) ? 64 * (int64_t)KIB
                                                           : random_between(random, 1, 2000));
    actor->tick_ms = random_between(random, 2, 40);
}

static void begin_final(struct actor *actor, int number)
{
    struct bank_reader *own = actor->own;

    begin(actor, number);
    own->is_final = own->is_committed = true;
    own->topic = number;
    own->version = 12;
    own->max_bytes = 256 * KIB;
    actor->tick_ms = 5;
}

static void reading_end(struct bank_reader *own, int partition, enum history_phase phase,
                        const struct fetch_response_partition_data *data,
                        const struct history_batch *batches, size_t batch_count)
{
    struct world *world = own->actor->world;
    struct history_event event;

    history_event_init(&event, HISTORY_FETCH, phase);
    event.op = own->readings[partition].op;
    event.process = own->actor->process;
    event.topic = world->transactions->topics[own->topic].topic;
    event.partition = partition;
    event.isolation = own->is_committed;
    if (phase == HISTORY_OK) {
        event.high_watermark = data->high_watermark;
        event.last_stable = data->last_stable_offset;
        event.log_start = data->log_start_offset;
        event.batches = batches;
        event.batch_count = batch_count;
    } else if (data) {
        event.error = err_name(err_from_wire(data->error_code));
    }
    world_event(world, &event);
    own->readings[partition].op = -1;
}

static void partition_answered(struct bank_reader *own,
                               const struct fetch_response_partition_data *data)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct world *world = own->actor->world;
    struct bank_reading *reading = &own->readings[data->partition_index];
    const struct bank_topic *topic = &world->transactions->topics[own->topic];
    enum err err = err_from_wire(data->error_code);
    struct history_batch *batches;
    size_t count;

    if (err != OK) {
        reading_end(own, data->partition_index, HISTORY_FAIL, data, NULL, 0);
        if (!err_is_retriable(err) && err != ERR_UNKNOWN_TOPIC_ID)
            world_fail(world, "process %d: Fetch of %s-%d from %lld: %s", own->actor->process,
                       topic->name, data->partition_index, (long long)reading->position,
                       err_name(err));
        return;
    }
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    bank_batches_read(data, history_topic_key(world->history, topic->topic), data->partition_index,
                      own->is_committed, &arena, &batches, &count);
    reading_end(own, data->partition_index, HISTORY_OK, data, batches, count);
    if (count > 0)
        reading->position = MAX(reading->position, batches[count - 1].last_offset + 1);
    reading->high_watermark = data->high_watermark;
    reading->last_stable = data->last_stable_offset;
    reading->is_through = reading->position >= data->high_watermark &&
                          data->last_stable_offset == data->high_watermark;
}

static void fetched(void *context, struct peer_request *request, const void *response)
{
    struct bank_reader *own = context;
    struct world *world = own->actor->world;
    const struct fetch_response *answer = response;
    enum err err = answer ? err_from_wire(answer->error_code) : OK;

    UNUSED(request);
    own->is_busy = false;
    if (err != OK && err != ERR_UNKNOWN_TOPIC_ID && !err_is_retriable(err))
        world_fail(world, "process %d: Fetch: %s", own->actor->process, err_name(err));
    for (int i = 0; answer && i < answer->responses_count; i++) {
        for (int k = 0; k < answer->responses[i].partitions_count; k++) {
            const struct fetch_response_partition_data *data = &answer->responses[i].partitions[k];

            if (data->partition_index < 0 || data->partition_index >= BANK_PARTITIONS_MAX ||
                own->readings[data->partition_index].op < 0) {
                world_fail(world, "process %d: Fetch answered a partition not asked for",
                           own->actor->process);
                return;
            }
            partition_answered(own, data);
        }
    }
    for (int i = 0; i < BANK_PARTITIONS_MAX; i++)
        if (own->readings[i].op >= 0)
            reading_end(own, i, HISTORY_FAIL, NULL, NULL, 0);
}

static void fetch(struct bank_reader *own, const struct bank_topic *topic)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct actor *actor = own->actor;
    struct fetch_request body;
    struct history_event event;
    int first = (int)random_below(&actor->random, (uint64_t)topic->partitions);

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    fetch_request_init(&body);
    body.max_wait_ms = own->is_final ? 0 : 50;
    body.min_bytes = 1;
    body.max_bytes = own->max_bytes;
    body.isolation_level = own->is_committed;
    body.rack_id = SLICE_EMPTY;
    body.topics = fetch_request_fetch_topic_array(&arena, 1);
    body.topics_count = 1;
    body.topics->topic = slice_from_text(topic->name);
    body.topics->topic_id = topic->id;
    body.topics->partitions =
        fetch_request_fetch_partition_array(&arena, (size_t)topic->partitions);
    body.topics->partitions_count = topic->partitions;
    for (int i = 0; i < topic->partitions; i++) {
        struct fetch_request_fetch_partition *part = &body.topics->partitions[i];

        part->partition = (first + i) % topic->partitions;
        part->fetch_offset = own->readings[part->partition].position;
        part->partition_max_bytes = own->max_bytes;
    }
    own->request.answered = fetched;
    own->request.context = own;
    if (!peer_send(actor->peer, API_FETCH, own->version, &body, TIMEOUT_MS, &own->request))
        return;
    own->is_busy = true;
    for (int i = 0; i < BANK_PARTITIONS_MAX; i++) {
        own->readings[i].op = -1;
        if (i >= topic->partitions)
            continue;
        history_event_init(&event, HISTORY_FETCH, HISTORY_INVOKE);
        event.process = actor->process;
        event.topic = topic->topic;
        event.partition = i;
        event.isolation = own->is_committed;
        event.offset = own->readings[i].position;
        own->readings[i].op = world_event(actor->world, &event);
    }
}

static bool is_through(const struct bank_reader *own)
{
    for (int i = 0; i < own->actor->world->transactions->topics[own->topic].partitions; i++)
        if (!own->readings[i].is_through)
            return false;
    return true;
}

static void tick(struct actor *actor)
{
    struct bank_reader *own = actor->own;
    const struct bank_topic *topic = &actor->world->transactions->topics[own->topic];

    if (actor->world->phase != (own->is_final ? WORLD_FINAL : WORLD_FAULTS) || own->is_busy ||
        !topic->is_live || !peer_is_ready(actor->peer) || (own->is_final && is_through(own)))
        return;
    if (!own->is_final && random_chance(&actor->random, 1, 60)) /* another one, from the start */
        for (int i = 0; i < BANK_PARTITIONS_MAX; i++)
            own->readings[i].position = 0;
    fetch(own, topic);
}

static bool is_drained(const struct actor *actor)
{
    const struct bank_reader *own = actor->own;

    return !own->is_busy &&
           (!own->is_final || actor->world->phase != WORLD_FINAL || is_through(own));
}

static const char *describe(const struct actor *actor)
{
    struct bank_reader *own = actor->own;
    const struct bank_topic *topic = &actor->world->transactions->topics[own->topic];

    for (int i = 0; i < topic->partitions; i++)
        if (!own->readings[i].is_through)
            snprintf(own->text, sizeof own->text,
                     "%s-%d is read up to %lld, last stable %lld, high watermark %lld", topic->name,
                     i, (long long)own->readings[i].position,
                     (long long)own->readings[i].last_stable,
                     (long long)own->readings[i].high_watermark);
    return own->text;
}

const struct actor_type actor_bank_reader = {.name = "bank reader",
                                             .own_bytes = sizeof(struct bank_reader),
                                             .begin = begin,
                                             .tick = tick,
                                             .is_drained = is_drained,
                                             .describe = describe};
const struct actor_type actor_bank_final_reader = {.name = "bank final reader",
                                                   .own_bytes = sizeof(struct bank_reader),
                                                   .begin = begin_final,
                                                   .tick = tick,
                                                   .is_drained = is_drained,
                                                   .describe = describe};
