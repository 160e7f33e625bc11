/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/heartbeat.c: BrokerHeartbeat: sessions, and the state of a broker as it comes and goes.
 *
 *            want fence off and caught up                 want shutdown, leads partitions
 *   FENCED ------------------------------> UNFENCED ------------------------> CONTROLLED_SHUTDOWN
 *     ^  \--- want shutdown --> SHUTDOWN_NOW <--- want shutdown, leads none       |
 *     |                              ^------- leads none, others caught up -------'
 *     `---- session over, want fence
 *
 * Sessions and reported offsets are soft: a new controller starts them anew at its claim.
 */
#include "controller/controller_internal.h"

/* ---- the table ---- */

struct heartbeat *heartbeat_find(struct controller *controller, int32_t id)
{
    size_t low = 0;
    size_t high = controller->heartbeat_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (controller->heartbeats[middle].id == id)
            return &controller->heartbeats[middle];
        if (controller->heartbeats[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

enum err heartbeat_register(struct controller *controller, int32_t id, int64_t epoch)
{
    struct heartbeat *heartbeat = heartbeat_find(controller, id);
    size_t at = controller->heartbeat_count;

    if (!heartbeat) {
        if (controller->heartbeat_count == controller->heartbeat_capacity) {
            size_t capacity = MAX(controller->heartbeat_capacity * 2, (size_t)8);
            struct heartbeat *grown = controller->allocator->resize(
                controller->allocator, controller->heartbeats,
                controller->heartbeat_capacity * sizeof *grown, capacity * sizeof *grown);

            if (!grown)
                return ERR_NO_MEMORY;
            controller->heartbeats = grown;
            controller->heartbeat_capacity = capacity;
        }
        for (; at > 0 && controller->heartbeats[at - 1].id > id; at--)
            controller->heartbeats[at] = controller->heartbeats[at - 1];
        controller->heartbeat_count++;
        heartbeat = &controller->heartbeats[at];
    } else if (heartbeat->epoch == epoch) {
        return OK;
    }
    *heartbeat = (struct heartbeat){
        .id = id, .epoch = epoch, .contact_ms = -1, .metadata_offset = -1, .shutdown_offset = -1};
    return OK;
}

void heartbeat_remove(struct controller *controller, int32_t id)
{
    struct heartbeat *heartbeat = heartbeat_find(controller, id);
    size_t at;

    if (!heartbeat)
        return;
    at = (size_t)(heartbeat - controller->heartbeats);
    controller->heartbeat_count--;
    for (; at < controller->heartbeat_count; at++)
        controller->heartbeats[at] = controller->heartbeats[at + 1];
}

void heartbeats_clear(struct controller *controller)
{
    if (controller->heartbeats)
        controller->allocator->release(controller->allocator, controller->heartbeats,
                                       controller->heartbeat_capacity *
                                           sizeof *controller->heartbeats);
    controller->heartbeats = NULL;
    controller->heartbeat_count = 0;
    controller->heartbeat_capacity = 0;
}

enum err heartbeat_replayed(struct controller *controller, const struct metadata_record *record)
{
    const struct register_broker_record *registered = record->message;
    const struct unregister_broker_record *unregistered = record->message;
    const struct broker_registration_change_record *changed = record->message;
    struct heartbeat *heartbeat;

    switch (record->type->key) {
    case METADATA_RECORD_REGISTER_BROKER:
        return heartbeat_register(controller, registered->broker_id, registered->broker_epoch);
    case METADATA_RECORD_UNREGISTER_BROKER:
        heartbeat_remove(controller, unregistered->broker_id);
        return OK;
    case METADATA_RECORD_BROKER_REGISTRATION_CHANGE:
        heartbeat = heartbeat_find(controller, changed->broker_id);
        /* Fenced brokers leave the controlled shutdown: the next heartbeat ends it at once. */
        if (heartbeat && changed->fenced == 1)
            heartbeat->shutdown_offset = -1;
        return OK;
    default:
        return OK;
    }
}

bool heartbeat_session_is_live(const struct call *call, int32_t id, int64_t epoch)
{
    const struct heartbeat *heartbeat = heartbeat_find(call->controller, id);

    return heartbeat && heartbeat->epoch == epoch && heartbeat->contact_ms >= 0 &&
           call->moment->now_ms - heartbeat->contact_ms <
               call->controller->options.session_timeout_ms;
}

/* ---- the states ---- */

enum broker_state {
    BROKER_FENCED,
    BROKER_UNFENCED,
    BROKER_CONTROLLED_SHUTDOWN,
    BROKER_SHUTDOWN_NOW,
};

/* The lowest offset that an active broker reported; INT64_MAX without active brokers. */
static int64_t lowest_active_offset(const struct call *call)
{
    const struct controller *controller = call->controller;
    int64_t lowest = INT64_MAX;

    for (size_t i = 0; i < controller->heartbeat_count; i++) {
        const struct heartbeat *heartbeat = &controller->heartbeats[i];
        const struct metadata_broker *broker = metadata_image_broker(call->image, heartbeat->id);

        if (broker && !broker->fenced && heartbeat->shutdown_offset < 0)
            lowest = MIN(lowest, heartbeat->metadata_offset);
    }
    return lowest;
}

static enum broker_state state_now(const struct metadata_broker *broker,
                                   const struct heartbeat *heartbeat)
{
    if (heartbeat->shutdown_offset >= 0)
        return BROKER_CONTROLLED_SHUTDOWN;
    return broker->fenced ? BROKER_FENCED : BROKER_UNFENCED;
}

static enum broker_state state_next(const struct call *call, const struct metadata_broker *broker,
                                    const struct heartbeat *heartbeat,
                                    const struct broker_heartbeat_request *request)
{
    switch (state_now(broker, heartbeat)) {
    case BROKER_FENCED:
        if (request->want_shut_down)
            return BROKER_SHUTDOWN_NOW;
        if (!request->want_fence && request->current_metadata_offset >= broker->registration_offset)
            return BROKER_UNFENCED;
        return BROKER_FENCED;
    case BROKER_UNFENCED:
        if (request->want_fence)
            return request->want_shut_down ? BROKER_SHUTDOWN_NOW : BROKER_FENCED;
        if (!request->want_shut_down)
            return BROKER_UNFENCED;
        return broker_leads(call->image, broker->id) ? BROKER_CONTROLLED_SHUTDOWN
                                                     : BROKER_SHUTDOWN_NOW;
    case BROKER_CONTROLLED_SHUTDOWN:
        if (broker_leads(call->image, broker->id) ||
            heartbeat->shutdown_offset > lowest_active_offset(call))
            return BROKER_CONTROLLED_SHUTDOWN;
        return BROKER_SHUTDOWN_NOW;
    case BROKER_SHUTDOWN_NOW:
        break;
    }
    return BROKER_SHUTDOWN_NOW;
}

static enum err state_move(struct call *call, const struct metadata_broker *broker,
                           enum broker_state next)
{
    switch (next) {
    case BROKER_FENCED:
    case BROKER_SHUTDOWN_NOW:
        return broker_fence_records(call, broker);
    case BROKER_UNFENCED:
        return broker_unfence_records(call, broker);
    case BROKER_CONTROLLED_SHUTDOWN:
        break;
    }
    return broker_controlled_shutdown_records(call, broker);
}

enum err decide_broker_heartbeat(struct call *call, const void *body, void *answer)
{
    const struct broker_heartbeat_request *request = body;
    struct broker_heartbeat_response *response = answer;
    const struct metadata_broker *broker;
    struct heartbeat *heartbeat;
    enum broker_state now, next;
    const char *const names[] = {"FENCED", "UNFENCED", "CONTROLLED_SHUTDOWN", "SHUTDOWN_NOW"};

    TRY(broker_epoch_check(call, request->broker_id, request->broker_epoch));
    if (request->offline_log_dirs_count > BROKER_DIRECTORIES_MAX ||
        request->cordoned_log_dirs_count > BROKER_DIRECTORIES_MAX)
        return why_set(call->why, ERR_INVALID_REQUEST, "More than %d directories in request",
                       BROKER_DIRECTORIES_MAX);
    broker = metadata_image_broker(call->image, request->broker_id);
    heartbeat = heartbeat_find(call->controller, request->broker_id);
    ASSERT(broker && heartbeat); /* a registration makes both */
    heartbeat->contact_ms = call->moment->now_ms;
    heartbeat->has_ended = false;
    if (call->moment->now_ms > call->request->deadline_ms) {
        /* The session lives, but the broker is to ask again: it may have moved on since. */
        heartbeat->metadata_offset = request->current_metadata_offset;
        return why_set(call->why, ERR_REQUEST_TIMED_OUT, "the heartbeat waited too long");
    }
    now = state_now(broker, heartbeat);
    next = state_next(call, broker, heartbeat, request);
    /* Records that moved the leaders away may have been refused when they were to be appended: again,
     * or the broker would wait for ever. */
    if (next != now ||
        (next == BROKER_CONTROLLED_SHUTDOWN && broker_leads(call->image, broker->id)))
        TRY(state_move(call, broker, next));
    heartbeat->metadata_offset = request->current_metadata_offset;
    if (next == BROKER_CONTROLLED_SHUTDOWN &&
        (heartbeat->shutdown_offset < 0 || call->records->count > 0))
        heartbeat->shutdown_offset = call->moment->next_offset + (int64_t)call->records->count - 1;
    if (call->metadata_version >= METADATA_VERSION_DIRECTORIES &&
        request->offline_log_dirs_count > 0) {
        TRY(call_apply(call));
        TRY(broker_offline_records(call, broker, request->offline_log_dirs,
                                   (size_t)MAX(request->offline_log_dirs_count, 0)));
    }
    if (call->metadata_version >= METADATA_VERSION_CORDONED &&
        request->cordoned_log_dirs_count >= 0)
        TRY(broker_cordon_records(call, broker, request->cordoned_log_dirs,
                                  (size_t)request->cordoned_log_dirs_count));
    if (next != now)
        LOG_INFO(call->controller->logger, "controller", "broker_state",
                 "broker=%d epoch=%lld from=%s to=%s", broker->id, (long long)broker->epoch,
                 names[now], names[next]);
    response->is_caught_up = request->current_metadata_offset >= broker->registration_offset;
    response->is_fenced = next == BROKER_FENCED || next == BROKER_SHUTDOWN_NOW;
    response->should_shut_down = next == BROKER_SHUTDOWN_NOW;
    return OK;
}
