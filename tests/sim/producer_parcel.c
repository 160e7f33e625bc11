/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/producer_parcel.c: a Produce request made of batches, and its answer taken apart: each partition that was named is
 * answered in its place, and those that are not there are refused.
 */
#include "producer.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"

#include <stdlib.h>

#define ABSENT_MIN 40 /* of a topic */
#define ABSENT_MAX 150
#define ABSENT_FIRST 1000 /* number of the first partition that is not there */

struct parcel_entry {
    struct sending *sending; /* NULL: not there */
    int32_t index;
};
struct parcel_topic {
    int32_t slot;
    struct uuid id;
    int count;
    struct parcel_entry entries[PARCEL_SENDINGS_MAX + ABSENT_MAX];
};
struct parcel {
    struct peer_request request;
    struct actor *actor;
    int topic_count;
    struct parcel_topic topics[PARCEL_SENDINGS_MAX];
};

/* ---- the request ---- */

static struct parcel_topic *topic_of(struct parcel *parcel, const struct sending *sending)
{
    struct parcel_topic *topic = parcel->topics;

    while (topic < parcel->topics + parcel->topic_count &&
           (topic->slot != sending->slot || !uuid_equal(topic->id, sending->topic_id)))
        topic++;
    if (topic == parcel->topics + parcel->topic_count) {
        ASSERT(parcel->topic_count < PARCEL_SENDINGS_MAX);
        topic->slot = sending->slot;
        topic->id = sending->topic_id;
        topic->count = 0;
        parcel->topic_count++;
    }
    return topic;
}

/* Batches keep their order; every place is as likely as any other. */
static void topic_widen(struct parcel_topic *topic, int32_t *absent, struct random *random)
{
    struct parcel_entry batches[PARCEL_SENDINGS_MAX];
    int left = topic->count;
    int total = left + (int)random_between(random, ABSENT_MIN, ABSENT_MAX);

    memcpy(batches, topic->entries, (size_t)left * sizeof *batches);
    for (int i = 0; i < total; i++) {
        if (random_below(random, (uint64_t)(total - i)) < (uint64_t)left)
            topic->entries[i] = batches[topic->count - left--];
        else
            topic->entries[i] = (struct parcel_entry){NULL, ABSENT_FIRST + (*absent)++};
    }
    topic->count = total;
}

static void body_fill(const struct parcel *parcel, struct arena *arena,
                      struct produce_request *body)
{
    struct produce_request_topic_produce_data *topics =
        produce_request_topic_produce_data_array(arena, (size_t)parcel->topic_count);

    for (int i = 0; i < parcel->topic_count; i++) {
        const struct parcel_topic *topic = &parcel->topics[i];
        struct produce_request_partition_produce_data *data =
            produce_request_partition_produce_data_array(arena, (size_t)topic->count);

        topics[i].name = slice_from_text(parcel->actor->world->slots[topic->slot].name);
        topics[i].topic_id = topic->id;
        topics[i].partition_data = data;
        topics[i].partition_data_count = topic->count;
        for (int k = 0; k < topic->count; k++) {
            data[k].index = topic->entries[k].index;
            data[k].records =
                topic->entries[k].sending ? topic->entries[k].sending->batch : SLICE_NULL;
        }
    }
    body->topic_data = topics;
    body->topic_data_count = parcel->topic_count;
}

/* ---- the answer ---- */

static bool is_answer_to(const struct parcel *parcel, const struct produce_response *answer)
{
    if (answer->responses_count != parcel->topic_count)
        return false;
    for (int i = 0; i < parcel->topic_count; i++) {
        const struct parcel_topic *topic = &parcel->topics[i];

        if (answer->responses[i].partition_responses_count != topic->count)
            return false;
        for (int k = 0; k < topic->count; k++)
            if (answer->responses[i].partition_responses[k].index != topic->entries[k].index)
                return false;
    }
    return true;
}

static void absent_check(struct world *world,
                         const struct produce_response_partition_produce_response *part)
{
    enum err err = err_from_wire(part->error_code);

    if (err != ERR_UNKNOWN_TOPIC_OR_PARTITION && err != ERR_UNKNOWN_TOPIC_ID)
        world_fail(world, "Produce to partition %d, which is not there: %s", part->index,
                   err_name(err));
}

static void parcel_answered(void *context, struct peer_request *request, const void *response)
{
    struct parcel *parcel = context;
    struct world *world = parcel->actor->world;
    const struct produce_response *answer = response;

    UNUSED(request);
    if (answer && !is_answer_to(parcel, answer)) {
        world_fail(world, "Produce answered other partitions");
        free(parcel);
        return;
    }
    for (int i = 0; i < parcel->topic_count; i++) {
        for (int k = 0; k < parcel->topics[i].count; k++) {
            const struct produce_response_partition_produce_response *part =
                answer ? &answer->responses[i].partition_responses[k] : NULL;

            if (parcel->topics[i].entries[k].sending)
                sending_answered(parcel->topics[i].entries[k].sending, part);
            else if (part)
                absent_check(world, part);
        }
    }
    free(parcel);
}

bool parcel_send(struct actor *actor, struct sending *const *sendings, int count, int16_t acks,
                 int16_t version, int32_t timeout_ms, struct random *wide)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct parcel *parcel = malloc(sizeof *parcel);
    struct produce_request body;
    int32_t absent = 0;
    bool is_sent;

    ASSERT(parcel != NULL && count <= PARCEL_SENDINGS_MAX && (!wide || acks != 0));
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    parcel->request = (struct peer_request){.answered = parcel_answered, .context = parcel};
    parcel->actor = actor;
    parcel->topic_count = 0;
    for (int i = 0; i < count; i++) {
        struct parcel_topic *topic = topic_of(parcel, sendings[i]);

        topic->entries[topic->count++] = (struct parcel_entry){sendings[i], sendings[i]->partition};
    }
    for (int i = 0; i < parcel->topic_count && wide; i++)
        topic_widen(&parcel->topics[i], &absent, wide);
    produce_request_init(&body);
    body.acks = acks;
    body.timeout_ms = timeout_ms / 2;
    body_fill(parcel, &arena, &body);
    is_sent = peer_send(actor->peer, API_PRODUCE, version, &body, timeout_ms,
                        acks == 0 ? NULL : &parcel->request);
    if (!is_sent || acks == 0)
        free(parcel);
    return is_sent;
}
