/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_call.c: a call's way to the owner of its group and home again, and the memory
 * that its answer lives in. docs/design/coordinator_runner.md §3.
 *
 * A call is used (uses > 0, and its request held) by its handler until coordinator_call_end, by the
 * owner while effects may point into its body, and by a word on its way to make it forgotten.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"

/* ---- uses, on the home shard ---- */

static void call_unuse(struct coordinator_call *call)
{
    struct request *request = call->request;

    ASSERT(call->uses > 0);
    if (--call->uses > 0)
        return;
    if (call->released)
        call->released(call); /* and is gone */
    if (request)
        request_release_hold(request);
}

/* Whoever is answered at once keeps it: it is about to go anyway. */
static void body_end(struct coordinator_call *call)
{
    if (call->rests && !call->is_done) {
        call->body = NULL;
        call->client_id = call->client_host = SLICE_NULL;
        request_rest(call->request);
    }
    call_unuse(call);
}

static void body_home(struct mail *mail, struct reactor *to)
{
    UNUSED(to);
    body_end(CONTAINER_OF(mail, struct coordinator_call, body_mail));
}

static void body_give_back(struct shard *on, struct coordinator_call *call)
{
    if (on == call->home) {
        body_end(call);
        return;
    }
    call->body_mail = (struct mail){.deliver = body_home};
    reactor_send(on->reactor, call->home->reactor, &call->body_mail);
}

/* ---- blocks ---- */

struct effects_block *block_new(struct coordinator_service *service, struct coordinator_call *body)
{
    struct list_node *spare = list_pop_front(&service->spare);
    struct effects_block *block;

    if (spare) {
        block = LIST_ITEM(spare, struct effects_block, node);
        service->spare_count--;
    } else {
        block = SERVER_NEW(struct effects_block);
        block->service = service;
        arena_init(&block->arena, &heap_allocator, SIZE_MAX);
    }
    atomic_store_explicit(&block->references, 1, memory_order_relaxed);
    block->body_of = body;
    coordinator_effects_init(&block->effects, &block->arena);
    return block;
}

struct effects_block *block_ref(struct effects_block *block)
{
    atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    return block;
}

void block_unref(struct shard *on, struct effects_block *block)
{
    struct coordinator_service *service = block->service;

    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) > 1)
        return;
    if (block->body_of)
        body_give_back(on, TAKE(block->body_of));
    if (service->shard == on && service->spare_count < COORDINATOR_BLOCKS_SPARE &&
        block->arena.used_bytes <= COORDINATOR_BLOCK_SPARE_BYTES) {
        arena_reset(&block->arena);
        list_push_front(&service->spare, &block->node);
        service->spare_count++;
        return;
    }
    arena_release(&block->arena);
    SERVER_DELETE(block);
}

/* ---- answers ---- */

static void answer_home(struct mail *mail, struct reactor *to)
{
    struct coordinator_call *call = CONTAINER_OF(mail, struct coordinator_call, mail);

    UNUSED(to);
    call->is_done = true;
    call->done(call);
}

void service_answers_turn(struct deferred *deferred)
{
    struct coordinator_service *service =
        CONTAINER_OF(deferred, struct coordinator_service, ended_turn);
    struct list_node round;

    list_init(&round);
    list_splice_back(&round, &service->ended);
    while (!list_is_empty(&round)) {
        struct coordinator_call *call =
            LIST_ITEM(list_pop_front(&round), struct coordinator_call, ended);

        call->mail = (struct mail){.deliver = answer_home};
        if (call->home == service->shard)
            answer_home(&call->mail, service->shard->reactor);
        else
            reactor_send(service->shard->reactor, call->home->reactor, &call->mail);
    }
}

static void call_finish(struct coordinator_service *service, struct coordinator_call *call,
                        enum err err, void *response, struct effects_block *block)
{
    call->err = err;
    call->response = response;
    call->block = block;
    list_push_back(&service->ended, &call->ended);
    reactor_defer(service->shard->reactor, &service->ended_turn);
}

void call_answer(struct coordinator_runner *runner, struct coordinator_call *call, enum err err,
                 void *response, struct effects_block *block)
{
    hash_map_remove(&runner->calls, &call->node);
    call_finish(runner->service, call, err, err == OK ? response : NULL,
                block ? block_ref(block) : NULL);
}

bool call_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, const struct coordinator_call, node)->token == *(const uint64_t *)key;
}

struct coordinator_call *runner_call_find(struct coordinator_runner *runner, uint64_t token)
{
    struct hash_map_node *node = hash_map_find(&runner->calls, hash_u64(token), &token);

    return node ? CONTAINER_OF(node, struct coordinator_call, node) : NULL;
}

void runner_calls_fail(struct coordinator_runner *runner, enum err err)
{
    HASH_MAP_EACH_SAFE (node, &runner->calls)
        call_answer(runner, HASH_MAP_ITEM(node, struct coordinator_call, node), err, NULL, NULL);
}

/* ---- arriving at the owner ---- */

static void call_refuse(struct coordinator_service *service, struct coordinator_call *call,
                        enum err err)
{
    body_give_back(service->shard, call);
    call_finish(service, call, err, NULL, NULL);
}

static enum err runner_refuses(const struct coordinator_service *service,
                               const struct coordinator_call *call)
{
    const struct coordinator_runner *runner;

    if (service->is_stopped)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    if (!uuid_equal(service->topic_id, call->topic_id) || call->index < 0 ||
        (size_t)call->index >= service->runner_count)
        return ERR_NOT_COORDINATOR;
    runner = service->runners[call->index];
    if (!runner)
        return ERR_NOT_COORDINATOR;
    switch (runner->state) {
    case RUNNER_OPENING:
    case RUNNER_LOADING:
        return ERR_COORDINATOR_LOAD_IN_PROGRESS;
    case RUNNER_ACTIVE:
        return OK;
    case RUNNER_FAILED:
    case RUNNER_CLOSED:
        break;
    }
    return ERR_NOT_COORDINATOR;
}

static void call_arrive(struct coordinator_call *call)
{
    struct coordinator_service *service = service_of(call->kind, call->owner);
    enum err err = runner_refuses(service, call);
    struct coordinator_runner *runner;

    if (err != OK) {
        call_refuse(service, call, err);
        return;
    }
    runner = service->runners[call->index];
    call->token = ++service->next_token;
    if (hash_map_insert(&runner->calls, hash_u64(call->token), &call->node) != OK) {
        call_refuse(service, call, ERR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    runner_handle(runner, call);
}

static void call_deliver(struct mail *mail, struct reactor *to)
{
    UNUSED(to);
    call_arrive(CONTAINER_OF(mail, struct coordinator_call, mail));
}

/* ---- the home's side ---- */

static const struct metadata_topic *topic_now(const struct shard *shard,
                                              const struct coordinator_kind *kind)
{
    return shard->publication ? metadata_image_topic(shard->publication->image, kind->topic) : NULL;
}

int32_t coordinator_index_of(const struct shard *shard, struct slice group_id)
{
    return coordinator_key_index(shard, &coordinator_kind_group, group_id);
}

int32_t coordinator_key_index(const struct shard *shard, const struct coordinator_kind *kind,
                              struct slice key)
{
    const struct metadata_topic *topic = topic_now(shard, kind);

    return topic && topic->partition_count > 0
               ? coordinator_partition_of(key, topic->partition_count)
               : -1;
}

void coordinator_call_submit(struct shard *home, struct coordinator_call *call)
{
    const struct metadata_topic *topic = topic_now(home, call->kind);

    ASSERT(call->request || call->released);
    ASSERT(!call->rests || (call->request && call->released));
    call->home = home;
    call->topic_id = topic ? topic->id : UUID_ZERO;
    call->owner = topic && call->index >= 0
                      ? &home->node->shards[shard_of_partition(home->node, topic->id, call->index)]
                      : home;
    call->err = OK;
    call->response = NULL;
    call->block = NULL;
    call->token = 0;
    call->is_done = call->is_forgotten = false;
    call->uses = 2; /* the handler's and the owner's */
    if (call->request)
        request_hold(call->request);
    if (call->owner == home) {
        call_arrive(call);
        return;
    }
    call->mail = (struct mail){.deliver = call_deliver};
    reactor_send(home->reactor, call->owner->reactor, &call->mail);
}

void coordinator_call_end(struct coordinator_call *call)
{
    struct effects_block *block = TAKE(call->block);

    ASSERT(call->is_done);
    if (block)
        block_unref(call->home, block);
    call_unuse(call);
}

/* ---- forgetting ---- */

static void forget_home(struct mail *mail, struct reactor *to)
{
    UNUSED(to);
    call_unuse(CONTAINER_OF(mail, struct coordinator_call, forget_mail));
}

/* On the owner. What was answered already is not in the map any more. */
static void call_forget(struct coordinator_call *call)
{
    struct coordinator_service *service = service_of(call->kind, call->owner);
    struct coordinator_runner *runner =
        call->index >= 0 && (size_t)call->index < service->runner_count
            ? service->runners[call->index]
            : NULL;

    if (!runner || call->token == 0 || runner_call_find(runner, call->token) != call)
        return;
    if (runner->core)
        runner_kind(runner)->forget(runner->core, call->token);
    call_answer(runner, call, ERR_COORDINATOR_NOT_AVAILABLE, NULL, NULL);
}

static void forget_deliver(struct mail *mail, struct reactor *to)
{
    struct coordinator_call *call = CONTAINER_OF(mail, struct coordinator_call, forget_mail);

    UNUSED(to);
    call_forget(call);
    call->forget_mail = (struct mail){.deliver = forget_home};
    reactor_send(call->owner->reactor, call->home->reactor, &call->forget_mail);
}

void coordinator_call_cancel(struct coordinator_call *call)
{
    if (call->is_done || call->is_forgotten)
        return;
    call->is_forgotten = true;
    if (call->owner == call->home) {
        call_forget(call);
        return;
    }
    call->uses++;
    call->forget_mail = (struct mail){.deliver = forget_deliver};
    reactor_send(call->home->reactor, call->owner->reactor, &call->forget_mail);
}
