/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_service.c: a shard's fetch sessions and parked fetches from start to stop.
 * docs/design/fetch.md.
 */
#include "server/fetch_internal.h"

#include "base/assert.h"

static size_t slots_of(const struct fetch_service *service, const struct publication *publication)
{
    size_t shards = service->shard->node->shard_count;
    int32_t slots = publication ? config_int(publication->config,
                                             BROKER_MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS)
                                : 1000;

    return ((size_t)MAX(slots, 0) + shards - 1) / shards;
}

enum err fetch_service_create(struct shard *shard, struct fetch_service **out)
{
    struct fetch_service *service = SERVER_NEW(struct fetch_service);

    service->shard = shard;
    list_init(&service->parked);
    list_init(&service->memory_waiting);
    fetch_memory_init(service);
    fetch_share_init(service);
    fetch_sessions_init(&service->sessions, shard->index, (int)shard->node->shard_count,
                        slots_of(service, NULL));
    *out = service;
    return OK;
}

void fetch_service_apply(struct fetch_service *service, const struct publication *after)
{
    service->sessions.slots = slots_of(service, after);
}

void fetch_service_stop(struct fetch_service *service)
{
    service->is_stopped = true;
    fetch_share_stop(service);
    fetch_memory_stop(service);
    LIST_EACH (node, &service->parked) {
        struct fetch_state *state = LIST_ITEM(node, struct fetch_state, node);

        timer_cancel(service->shard->reactor, &state->timer);
        state->is_woken = true;
        reactor_defer(service->shard->reactor, &state->wake);
    }
}

void fetch_service_release(struct fetch_service **service)
{
    if (!*service)
        return;
    fetch_sessions_release(&(*service)->sessions);
    fetch_cache_fini(&(*service)->cache);
    fetch_memory_fini(*service);
    SERVER_DELETE(*service);
    *service = NULL;
}
