/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce.c: Produce (0), the home's side: checks that need no log, one operation
 * per partition, the timeout. docs/design/produce.md; requests.md §3.1, §4.1 of the reference.
 */
#include "server/handlers/produce_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "server/handlers/handlers.h"

/* ---- request-level checks ---- */

struct produce_look {
    bool transactional;
    bool has_producer; /* of a transactional batch */
    bool mixed;        /* more than one of them */
    int64_t producer_id;
    int16_t producer_epoch;
};

static void look_at(struct slice records, struct produce_look *look)
{
    struct batch_header header;
    struct slice rest = records;
    struct slice batch;

    /* What cannot be read is refused below, partition by partition. */
    if (slice_is_null(records) || batch_next(&rest, &batch) != OK || batch.size_bytes == 0 ||
        batch_header_read(batch, &header) != OK || header.magic < BATCH_MAGIC ||
        !batch_is_transactional(&header))
        return;
    look->transactional = true; /* with or without a producer */
    if (!batch_has_producer(&header))
        return;
    look->mixed =
        look->mixed || (look->has_producer && (look->producer_id != header.producer_id ||
                                               look->producer_epoch != header.producer_epoch));
    look->has_producer = true;
    look->producer_id = header.producer_id;
    look->producer_epoch = header.producer_epoch;
}

static struct produce_failure *part_failure(struct produce_part *part)
{
    if (!part->failure) {
        part->failure = SERVER_NEW(struct produce_failure);
        arena_init(&part->failure->arena, &heap_allocator, 64 * KIB);
    }
    return part->failure;
}

static const struct metadata_topic *topic_of(const struct request *request,
                                             const struct produce_request_topic_produce_data *topic)
{
    const struct metadata_image *image = request->shard->publication->image;

    return request->header.api_version >= 13 ? metadata_image_topic_by_id(image, topic->topic_id)
                                             : metadata_image_topic(image, topic->name);
}

/* Everything before the append path; OK: the partition goes there. */
static enum err part_check(struct produce_part *part, const struct request *request,
                           const struct metadata_topic *topic, int32_t index, struct slice records)
{
    struct batch_header header;
    struct why why;
    enum err err;

    why_clear(&why);
    if (!topic)
        return request->header.api_version >= 13 ? ERR_UNKNOWN_TOPIC_ID
                                                 : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!metadata_topic_partition(topic, index))
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    err = produce_precheck(records, request->header.api_version, &header, &why);
    if (err != OK && why.text[0] != '\0')
        part_failure(part)->why = why;
    return err;
}

/* ---- timeout ---- */

static void state_end(struct produce_state *state)
{
    if (!state->is_answered || state->left > 0 || state->expires > 0 || state->is_submitting)
        return;
    request_release_hold(state->request);
}

static void expire_deliver(struct mail *mail, struct reactor *to)
{
    struct produce_part *part = CONTAINER_OF(mail, struct produce_part, expire);

    UNUSED(to);
    if (!part->expire_home) {
        produce_expire(part);
        part->expire_home = true;
        part->expire.deliver = expire_deliver;
        reactor_send(part->op.owner->reactor, part->op.home->reactor, &part->expire);
        return;
    }
    if (--part->state->expires == 0 && !part->state->is_answered)
        produce_answer(part->state);
    state_end(part->state);
}

static void produce_timeout(struct timer *timer)
{
    struct produce_state *state = CONTAINER_OF(timer, struct produce_state, timer);
    struct shard *home = state->request->shard;
    struct list_node round;

    if (state->is_answered)
        return;
    home->metrics.produce_expired++;
    state->is_submitting = true; /* ends of operations below do not end the state */
    list_init(&round);
    list_splice_back(&round, &state->sent);
    while (!list_is_empty(&round)) {
        struct produce_part *part = LIST_ITEM(list_pop_front(&round), struct produce_part, node);

        list_push_back(&state->sent, &part->node);
        if (part->op.owner == home) {
            produce_expire(part);
            continue;
        }
        part->expire = (struct mail){.deliver = expire_deliver};
        part->expire_home = false;
        state->expires++;
        reactor_send(home->reactor, part->op.owner->reactor, &part->expire);
    }
    state->is_submitting = false;
    if (!state->is_answered && (state->expires == 0 || state->left == 0))
        produce_answer(state);
    state_end(state);
}

static void part_put(struct produce_state *state, struct produce_part *part)
{
    list_remove(&part->node);
    list_push_front(&state->spare, &part->node);
}

static void produce_done(struct partition_op *op)
{
    struct produce_part *part = CONTAINER_OF(op, struct produce_part, op);
    struct produce_state *state = part->state;

    part->is_done = true;
    if (op->err != OK && part->err == OK)
        part->err = op->err;
    ASSERT(state->left > 0);
    state->left--;
    if (state->is_answered)
        produce_failure_free(part); /* too late to be told */
    else
        produce_part_answer(part);
    part_put(state, part);
    if (state->left == 0 && !state->is_submitting && !state->is_answered)
        produce_answer(state);
    state_end(state);
}

/* ---- the handler ---- */

static size_t partitions_count(const struct produce_request *body)
{
    size_t count = 0;

    for (int32_t i = 0; i < body->topic_data_count; i++)
        count += (size_t)body->topic_data[i].partition_data_count;
    return count;
}

static bool response_build(struct produce_state *state, const struct produce_request *body)
{
    struct request *request = state->request;
    struct produce_response *response = request_response(request);
    struct produce_response_partition_produce_response *answers =
        produce_response_partition_produce_response_array(&request->arena, state->count);

    state->response = response;
    response->responses = produce_response_topic_produce_response_array(
        &request->arena, (size_t)body->topic_data_count);
    if (!answers || !response->responses)
        return false;
    for (int32_t i = 0; i < body->topic_data_count; i++) {
        struct produce_response_topic_produce_response *topic = &response->responses[i];

        topic->name = body->topic_data[i].name;
        topic->topic_id = body->topic_data[i].topic_id;
        topic->partition_responses = answers;
        topic->partition_responses_count = body->topic_data[i].partition_data_count;
        answers += topic->partition_responses_count;
    }
    response->responses_count = body->topic_data_count;
    return true;
}

static void part_begin(struct produce_state *state, struct produce_part *part,
                       struct produce_response_partition_produce_response *answer,
                       const struct metadata_topic *topic, int32_t index, struct slice records)
{
    answer->index = index;
    *part = (struct produce_part){
        .state = state,
        .answer = answer,
        .base_offset = -1,
        .told_offset = -1,
        .log_append_time_ms = -1,
        .log_start_offset = -1,
        .leader_id = -1,
        .leader_epoch = -1,
        .data = (uint8_t *)(uintptr_t)records.data, /* the frame's bytes are ours to stamp */
        .size_bytes = records.size_bytes,
        .op = {.topic_id = topic ? topic->id : UUID_ZERO,
               .index = index,
               .run = produce_run,
               .done = produce_done},
    };
    part->err =
        state->err != OK ? state->err : part_check(part, state->request, topic, index, records);
    if (part->err == OK && state->acks != 0 && state->acks != 1 && state->acks != -1)
        part->err = ERR_INVALID_REQUIRED_ACKS;
    else if (part->err == OK && topic_name_is_internal(topic->name) && !state->is_admin_client)
        part->err = ERR_INVALID_TOPIC_EXCEPTION;
    part->is_sent = part->err == OK;
    list_push_back(&state->sent, &part->node);
}

static struct produce_part *part_take(struct produce_state *state)
{
    if (list_is_empty(&state->spare))
        return arena_allocate(&state->request->arena, sizeof(struct produce_part));
    return LIST_ITEM(list_pop_front(&state->spare), struct produce_part, node);
}

/* Begins the part and gives it to its owner, unless it is refused. */
static void part_submit(struct produce_state *state, struct produce_part *part)
{
    if (!part->is_sent) {
        produce_part_answer(part);
        part_put(state, part);
        return;
    }
    state->left++;
    partition_op_submit(state->request->shard, &part->op);
}

/* The next ones, in the order of the request; true: those were the last. */
static bool parts_submit(struct produce_state *state)
{
    const struct produce_request *body = state->request->body;
    size_t end = MIN(state->begun + PRODUCE_PARTS_A_TURN, state->count);

    while (state->begun < end) {
        const struct produce_request_topic_produce_data *topic = &body->topic_data[state->topic_at];
        const struct metadata_topic *metadata = topic_of(state->request, topic);
        struct produce_response_topic_produce_response *answers =
            &state->response->responses[state->topic_at];

        while (state->begun < end && state->partition_at < topic->partition_data_count) {
            int32_t at = state->partition_at++;
            struct produce_part *part = part_take(state);

            if (!part) {
                state->is_short = true;
                return true;
            }
            state->begun++;
            part_begin(state, part, &answers->partition_responses[at], metadata,
                       topic->partition_data[at].index, topic->partition_data[at].records);
            part_submit(state, part);
        }
        if (state->partition_at == topic->partition_data_count) {
            state->topic_at++;
            state->partition_at = 0;
        }
    }
    return state->begun == state->count;
}

static void parts_wait_a_turn(struct deferred *deferred);

static void parts_begin(struct produce_state *state)
{
    struct request *request = state->request;
    const struct produce_request *body = request->body;
    struct reactor *reactor = request->shard->reactor;

    state->is_submitting = true;
    if (!parts_submit(state)) {
        deferred_init(&state->turn_end, parts_wait_a_turn);
        reactor_defer(reactor, &state->turn_end);
        if (BUG_IS(turns_overtaken))
            request_pass(request);
        return;
    }
    state->is_submitting = false;
    timer_init(&state->timer, produce_timeout);
    if (state->left == 0) {
        produce_answer(state);
        state_end(state);
        return;
    }
    if (!state->is_short) /* else the next one would overtake what was not begun */
        request_pass(request);
    if (state->acks == -1) {
        request->shard->metrics.produce_delayed++;
        state->is_counted_delayed = true;
        timer_set(reactor, &state->timer, reactor_now_ms(reactor) + MAX(body->timeout_ms, 0));
    }
}

static void parts_go_on(struct timer *timer)
{
    parts_begin(CONTAINER_OF(timer, struct produce_state, timer));
}

/* What has been submitted is written by the end of a turn, which is now. A timer that is due is the next turn's first
 * work; set earlier, it would be this one's. */
static void parts_wait_a_turn(struct deferred *deferred)
{
    struct produce_state *state = CONTAINER_OF(deferred, struct produce_state, turn_end);
    struct reactor *reactor = state->request->shard->reactor;

    timer_init(&state->timer, parts_go_on);
    timer_set(reactor, &state->timer, reactor_now_ms(reactor));
}

void handle_produce(struct request *request)
{
    struct produce_request *body = request->body;
    struct produce_look look = {0};
    struct produce_state *state;
    size_t count = partitions_count(body);
    enum err err = OK;

    for (int32_t i = 0; i < body->topic_data_count; i++)
        for (int32_t j = 0; j < body->topic_data[i].partition_data_count; j++)
            look_at(body->topic_data[i].partition_data[j].records, &look);
    if (look.transactional && slice_is_null(body->transactional_id))
        err = ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (err == OK && look.mixed) {
        if (body->acks == 0)
            request_close(request, "more than one producer id in a request");
        else
            request_answer_failed(request, ERR_INVALID_PRODUCER_ID_MAPPING,
                                  "Transactional records contained more than one producer ID");
        return;
    }
    if (count > 1 && !produce_repeats_drop(body, count, &request->arena)) {
        request_close(request, "no memory for a Produce request");
        return;
    }
    state = ARENA_NEW(&request->arena, struct produce_state);
    if (state) {
        state->request = request;
        state->acks = body->acks;
        state->count = count > 1 ? partitions_count(body) : count;
        state->is_admin_client = slice_equal_text(request->header.client_id, "__admin_client");
        state->err = err;
        list_init(&state->sent);
        list_init(&state->spare);
    }
    if (!state || !response_build(state, body)) {
        request_close(request, "no memory for a Produce request");
        return;
    }
    request->state = state;
    request_hold(request);
    parts_begin(state);
}
