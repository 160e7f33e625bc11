/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/controller_registration.c: tells the log of this controller: its endpoints and the
 * features that it supports (KIP-919). Sent when the log holds no registration of this id and
 * incarnation and its metadata.version knows them; tried again after 100 ms, doubling up to two
 * minutes.
 */
#include "base/memory_reserve.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/controller_registration_request.h"
#include "protocol/generated/controller_registration_response.h"
#include "server/quorum_internal.h"

#define BACKOFF_MS_MIN 100
#define BACKOFF_MS_MAX 120000

static enum err listeners_make(struct quorum *quorum,
                               struct controller_registration_request *request, struct arena *arena)
{
    const struct node_config *config = &quorum->node->config;

    request->listeners =
        controller_registration_request_listener_array(arena, config->advertised_controller_count);
    request->listeners_count = (int32_t)config->advertised_controller_count;
    if (!request->listeners)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < config->advertised_controller_count; i++) {
        struct controller_registration_request_listener *to = &request->listeners[i];

        to->name = config->advertised_controllers[i].name;
        quorum_advertised(quorum, &config->advertised_controllers[i], &to->host, &to->port);
    }
    return OK;
}

static enum err features_make(struct controller_registration_request *request, struct arena *arena)
{
    size_t count = 0;

    while (feature_at(count))
        count++;
    request->features = controller_registration_request_feature_array(arena, count);
    request->features_count = (int32_t)count;
    if (!request->features)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        request->features[i].name = slice_from_text(feature_at(i)->name);
        request->features[i].min_supported_version = feature_at(i)->level_min;
        request->features[i].max_supported_version = feature_at(i)->level_max;
    }
    return OK;
}

static void announce_done(struct controller_call *call)
{
    struct quorum *quorum = call->context;
    struct controller_announce *announce = &quorum->announce;
    const struct controller_registration_response *response = call->response;
    enum err err = call->err != OK ? call->err : err_from_wire(response->error_code);

    announce->in_flight = false;
    if (announce->is_stopped)
        return;
    if (err == OK) {
        announce->backoff_ms = BACKOFF_MS_MIN;
        LOG_INFO(quorum->logger, "server", "controller_registered", "node=%d",
                 quorum->node->config.node_id);
        return;
    }
    LOG_WARN(quorum->logger, "server", "controller_registration_failed", "error=%s retry_ms=%lld",
             err_name(err), (long long)announce->backoff_ms);
    timer_set(quorum->reactor, &announce->timer,
              reactor_now_ms(quorum->reactor) + announce->backoff_ms);
    announce->backoff_ms = MIN(announce->backoff_ms * 2, BACKOFF_MS_MAX);
}

/* The state that counts includes what is not committed yet, when this node leads. */
static bool is_due(struct quorum *quorum)
{
    const struct controller_announce *announce = &quorum->announce;
    const struct metadata_image *image;
    const struct metadata_controller *own;

    if (!quorum->node->config.controller || announce->in_flight || announce->is_stopped ||
        timer_is_set(&announce->timer))
        return false;
    image = quorum->run.is_active ? controller_view(quorum->run.controller) : NULL;
    if (!image || metadata_image_version(image) < METADATA_VERSION_CONTROLLER_REGISTRATION)
        return false;
    own = metadata_image_controller(image, quorum->node->config.node_id);
    return !own || !uuid_equal(own->incarnation_id, quorum->node->incarnation_id);
}

void controller_announce_work(struct quorum *quorum)
{
    struct controller_announce *announce = &quorum->announce;
    struct controller_registration_request *request;

    if (!is_due(quorum))
        return;
    arena_reset(&announce->arena);
    MEMORY_MUST(request, ARENA_NEW(&announce->arena, struct controller_registration_request));
    controller_registration_request_init(request);
    request->controller_id = quorum->node->config.node_id;
    request->incarnation_id = quorum->node->incarnation_id;
    if (listeners_make(quorum, request, &announce->arena) != OK ||
        features_make(request, &announce->arena) != OK) {
        quorum_fail(quorum, ERR_NO_MEMORY, "no memory for the controller's registration");
        return;
    }
    announce->call = (struct controller_call){
        .request = {.api_key = API_CONTROLLER_REGISTRATION,
                    .api_version = 0,
                    .body = request,
                    .principal = SLICE("User:ANONYMOUS"),
                    .deadline_ms = INT64_MAX,
                    .from_this_process = true},
        .arena = &announce->arena,
        .done = announce_done,
        .context = quorum,
    };
    announce->in_flight = true;
    controller_call_submit(quorum->shard, &announce->call);
}

static void announce_fire(struct timer *timer)
{
    quorum_wake(CONTAINER_OF(timer, struct quorum, announce.timer));
}

void controller_announce_init(struct quorum *quorum)
{
    struct controller_announce *announce = &quorum->announce;

    announce->backoff_ms = BACKOFF_MS_MIN;
    arena_init(&announce->arena, &heap_allocator, SIZE_MAX);
    timer_init(&announce->timer, announce_fire);
}

void controller_announce_stop(struct quorum *quorum)
{
    quorum->announce.is_stopped = true;
    timer_cancel(quorum->reactor, &quorum->announce.timer);
}

void controller_announce_release(struct quorum *quorum)
{
    arena_release(&quorum->announce.arena);
}
