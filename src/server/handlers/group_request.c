/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/group_request.c: see the header.
 */
#include "server/handlers/group_request.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "network/network.h"
#include "protocol/generated/api_keys.h"

/* ---- the client's address, as Java prints an InetAddress: "/127.0.0.1", "/0:0:0:0:0:0:0:1" ---- */

static bool is_mapped(struct slice text, struct slice *v4_out)
{
    static const char prefix[] = "::ffff:";

    if (!slice_starts_with(text, slice_from_text(prefix)) ||
        !memchr(text.data, '.', text.size_bytes))
        return false;
    *v4_out = slice_sub(text, sizeof prefix - 1, SIZE_MAX);
    return true;
}

/* The numeric text has at most one "::", which stands for as many zero groups as are missing. */
static struct slice ipv6_spelt_out(struct arena *arena, struct slice text)
{
    size_t colons = 0, gap = SIZE_MAX;
    char out[OS_ADDRESS_TEXT_BYTES] = "/";
    size_t at = 1;

    for (size_t i = 0; i < text.size_bytes; i++) {
        colons += text.data[i] == ':';
        if (gap == SIZE_MAX && i + 1 < text.size_bytes && text.data[i] == ':' &&
            text.data[i + 1] == ':')
            gap = i;
    }
    for (size_t i = 0; i < text.size_bytes && at + 18 < sizeof out; i++) {
        if (i != gap) {
            out[at++] = (char)text.data[i];
            continue;
        }
        size_t groups = 8 - MIN(colons, (size_t)8) + 1; /* between the two colons */

        if (gap == 0)
            groups++;
        if (gap + 2 == text.size_bytes)
            groups++;
        groups = MIN(groups, (size_t)8);
        for (size_t k = 0; k < groups; k++) {
            if (k > 0 || gap > 0)
                out[at++] = ':';
            out[at++] = '0';
        }
        if (gap + 2 == text.size_bytes)
            break;
    }
    return arena_copy(arena, slice_of(out, at));
}

static struct slice client_host(const struct request *request)
{
    const struct os_address *address =
        connection_peer_address(connection_of_user(request->session));
    struct arena *arena = (struct arena *)(uintptr_t)&request->arena;
    struct slice text = slice_from_text(address->text);
    struct slice v4;

    if (is_mapped(text, &v4))
        text = v4;
    if (memchr(text.data, ':', text.size_bytes))
        return ipv6_spelt_out(arena, text);
    return arena_format_slice(arena, "/%.*s", SLICE_ARGS(text));
}

static void call_fill(struct coordinator_call *call, struct request *request, int32_t index,
                      const void *body, void (*done)(struct coordinator_call *call))
{
    *call = (struct coordinator_call){
        .kind = &coordinator_kind_group,
        .request = request,
        .index = index,
        .api_key = request->header.api_key,
        .api_version = request->header.api_version,
        .body = body,
        .client_id = request->header.client_id,
        .done = done,
    };
}

/* ---- one group ---- */

struct group_forward {
    struct coordinator_call call;
    void (*done)(struct coordinator_call *call);
    /* Of one that may wait: a block of its own, and what it keeps of the request stands behind it. */
    size_t block_bytes;
    struct slice kept;
};

static void forward_cancelled(struct request *request)
{
    coordinator_call_cancel(&((struct group_forward *)request->state)->call);
}

static void forward_done(struct coordinator_call *call)
{
    struct group_forward *forward = CONTAINER_OF(call, struct group_forward, call);
    struct request *request = call->request;

    request->cancelled = NULL;
    if (forward->done)
        forward->done(call);
    else if (call->err == OK)
        request_answer(request, call->response);
    else
        request_answer_failed(request, call->err, NULL);
    coordinator_call_end(call);
}

/* `forward` is zeroed. NULL: the request was closed. */
static struct group_forward *forward_fill(struct request *request, struct group_forward *forward,
                                          const struct coordinator_kind *kind, struct slice key,
                                          const void *body,
                                          void (*done)(struct coordinator_call *call),
                                          void *context)
{
    call_fill(&forward->call, request, coordinator_key_index(request->shard, kind, key), body,
              forward_done);
    forward->call.kind = kind;
    forward->call.client_host = client_host(request);
    forward->call.context = context;
    forward->done = done;
    if (slice_is_null(forward->call.client_host)) {
        request_close(request, "no memory for a request of a group");
        return NULL;
    }
    request->state = forward;
    request->cancelled = forward_cancelled;
    return forward;
}

/* In the request's arena. NULL: the request was closed. */
static struct group_forward *
forward_create(struct request *request, const struct coordinator_kind *kind, struct slice key,
               const void *body, void (*done)(struct coordinator_call *call), void *context)
{
    struct group_forward *forward = ARENA_NEW(&request->arena, struct group_forward);

    if (!forward) {
        request_close(request, "no memory for a request of a group");
        return NULL;
    }
    return forward_fill(request, forward, kind, key, body, done, context);
}

/* ---- one that may wait ---- */

static void forward_released(struct coordinator_call *call)
{
    struct group_forward *forward = CONTAINER_OF(call, struct group_forward, call);

    call->request->header.client_id = SLICE_EMPTY;
    heap_allocator.release(&heap_allocator, forward, forward->block_bytes);
}

static struct slice kept_put(uint8_t **at, struct slice from)
{
    uint8_t *copy = *at;

    if (from.size_bytes == 0)
        return from;
    memcpy(copy, from.data, from.size_bytes);
    *at += from.size_bytes;
    return slice_of(copy, from.size_bytes);
}

void group_request_wait(struct request *request, struct slice group_id, struct slice kept,
                        void (*done)(struct coordinator_call *call))
{
    size_t block_bytes =
        sizeof(struct group_forward) + request->header.client_id.size_bytes + kept.size_bytes;
    struct group_forward *forward = allocator_zeroed(&heap_allocator, block_bytes);
    uint8_t *at;

    ASSERT(done); /* the general form of an error is made of the body */
    if (!forward) {
        request_close(request, "no memory for a request of a group");
        return;
    }
    at = (uint8_t *)(forward + 1);
    forward->block_bytes = block_bytes;
    forward->kept = kept_put(&at, kept);
    request->header.client_id = kept_put(&at, request->header.client_id);
    if (!forward_fill(request, forward, &coordinator_kind_group, group_id, request->body, done,
                      NULL)) {
        heap_allocator.release(&heap_allocator, forward, block_bytes);
        return;
    }
    forward->call.released = forward_released;
    forward->call.rests = true;
    coordinator_call_submit(request->shard, &forward->call);
}

struct slice group_request_kept(const struct coordinator_call *call)
{
    return CONTAINER_OF(call, const struct group_forward, call)->kept;
}

void coordinator_request_call(struct request *request, const struct coordinator_kind *kind,
                              struct slice key, const void *body,
                              void (*done)(struct coordinator_call *call), void *context)
{
    struct group_forward *forward = forward_create(request, kind, key, body, done, context);

    if (forward)
        coordinator_call_submit(request->shard, &forward->call);
}

void transaction_request_add(struct request *request, const struct transaction_add *add,
                             void (*done)(struct coordinator_call *call), void *context)
{
    struct group_forward *forward = forward_create(request, &coordinator_kind_transaction,
                                                   add->transactional_id, add, done, context);

    if (!forward)
        return;
    forward->call.api_key = API_ADD_PARTITIONS_TO_TXN;
    coordinator_call_submit(request->shard, &forward->call);
}

void group_request_call_verified(struct request *request, struct slice group_id, const void *body,
                                 uint64_t guard, bool guard_required,
                                 void (*done)(struct coordinator_call *call), void *context)
{
    struct group_forward *forward =
        forward_create(request, &coordinator_kind_group, group_id, body, done, context);

    if (!forward)
        return;
    forward->call.verification_guard = guard;
    forward->call.verification_required = guard_required;
    coordinator_call_submit(request->shard, &forward->call);
}

void group_request_call(struct request *request, struct slice group_id, const void *body,
                        void (*done)(struct coordinator_call *call), void *context)
{
    coordinator_request_call(request, &coordinator_kind_group, group_id, body, done, context);
}

void group_request_forward(struct request *request, struct slice group_id)
{
    group_request_call(request, group_id, request->body, NULL, NULL);
}

/* ---- many ---- */

static void parts_end(struct group_parts *parts)
{
    size_t count = parts->count;
    struct request *request = parts->request;

    request->cancelled = NULL;
    request_hold(request); /* the parts are in its arena */
    parts->finish(parts);
    for (size_t i = 0; i < count; i++)
        coordinator_call_end(&parts->items[i].call);
    request_release_hold(request);
}

static void part_done(struct coordinator_call *call)
{
    struct group_parts *parts = CONTAINER_OF(call, struct group_part, call)->parts;

    ASSERT(parts->left > 0);
    if (--parts->left == 0 && !parts->is_submitting)
        parts_end(parts);
}

static void parts_cancelled(struct request *request)
{
    struct group_parts *parts = request->state;

    for (size_t i = 0; i < parts->count; i++)
        coordinator_call_cancel(&parts->items[i].call);
}

struct group_parts *group_parts_create(struct request *request, size_t capacity,
                                       void (*finish)(struct group_parts *parts))
{
    struct group_parts *parts = ARENA_NEW(&request->arena, struct group_parts);

    if (parts) {
        parts->request = request;
        parts->finish = finish;
        parts->items = ARENA_ARRAY(&request->arena, struct group_part, capacity);
    }
    if (!parts || !parts->items) {
        request_close(request, "no memory for a request of groups");
        return NULL;
    }
    request->state = parts;
    return parts;
}

struct group_part *group_parts_add(struct group_parts *parts, struct slice group_id, int32_t index,
                                   const void *body)
{
    struct request *request = parts->request;
    struct group_part *part = &parts->items[parts->count];

    call_fill(&part->call, request, index, body, part_done);
    part->call.client_host =
        parts->count > 0 ? parts->items[0].call.client_host : client_host(request);
    if (slice_is_null(part->call.client_host))
        part->call.client_host = SLICE_EMPTY;
    part->parts = parts;
    part->group_id = group_id;
    parts->count++;
    return part;
}

struct group_part *transaction_parts_add(struct group_parts *parts, struct slice transactional_id,
                                         int32_t index, const void *body)
{
    struct group_part *part = group_parts_add(parts, transactional_id, index, body);

    part->call.kind = &coordinator_kind_transaction;
    return part;
}

void group_parts_submit(struct group_parts *parts)
{
    parts->is_submitting = true;
    parts->left = parts->count;
    parts->request->cancelled = parts_cancelled;
    for (size_t i = 0; i < parts->count; i++)
        coordinator_call_submit(parts->request->shard, &parts->items[i].call);
    parts->is_submitting = false;
    if (parts->left == 0)
        parts_end(parts);
}

void group_parts_ask(struct request *request, struct group_list list, const struct slice *names,
                     size_t count, void (*finish)(struct group_parts *parts))
{
    uint8_t *bodies = arena_zeroed(&request->arena, count, list.body_bytes);
    struct group_parts *parts = group_parts_create(request, count, finish);

    if (!parts)
        return;
    if (!bodies) {
        request_close(request, "no memory for a request of groups");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *body = bodies + i * list.body_bytes;

        memcpy(body, request->body, list.body_bytes);
        *(const struct slice **)(void *)(body + list.names_at) = &names[i];
        *(int32_t *)(void *)(body + list.count_at) = 1;
        group_parts_add(parts, names[i], coordinator_index_of(request->shard, names[i]), body);
    }
    group_parts_submit(parts);
}

int16_t group_part_code(const struct group_part *part)
{
    return err_wire_code(part->call.err != OK ? part->call.err : ERR_UNKNOWN_SERVER_ERROR);
}

bool group_consumer_protocol_is_on(const struct publication *publication)
{
    struct config_list list =
        config_list(publication->config, BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS);

    if (metadata_image_level(publication->image, FEATURE_GROUP_VERSION) < 1)
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (slice_equal_text(list.items[i], "consumer"))
            return true;
    return false;
}
