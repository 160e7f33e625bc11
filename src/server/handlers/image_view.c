/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/image_view.c: brokers and replicas as clients of one listener see them.
 */
#include "server/handlers/image_view.h"

const struct publication *image_view_publication(struct request *request)
{
    if (!request->shard->publication)
        request_answer_failed(request, ERR_BROKER_NOT_AVAILABLE, NULL);
    return request->shard->publication;
}

static bool has_listener(const struct metadata_broker *broker, struct slice listener)
{
    for (size_t i = 0; i < broker->endpoint_count; i++)
        if (slice_equal(broker->endpoints[i].name, listener))
            return true;
    return false;
}

const struct metadata_broker *image_view_broker(const struct image_view *view, int32_t id)
{
    const struct metadata_broker *broker = metadata_image_broker(view->image, id);

    return broker && has_listener(broker, view->listener) ? broker : NULL;
}

bool image_view_alive(const struct image_view *view, int32_t id)
{
    const struct metadata_broker *broker = image_view_broker(view, id);

    return broker && !broker->fenced;
}

int32_t image_view_any_alive(const struct image_view *view, struct random *random)
{
    struct metadata_walk walk;
    const struct metadata_broker *broker;
    int32_t chosen = -1;
    uint64_t seen = 0;

    /* Each with the same chance, in one pass. */
    metadata_walk_start(&walk, view->image, METADATA_BROKERS);
    while ((broker = metadata_walk_next(&walk)))
        if (!broker->fenced && random_below(random, ++seen) == 0)
            chosen = broker->id;
    return chosen;
}

static bool is_offline(const struct image_view *view, const struct metadata_partition *partition,
                       size_t replica)
{
    const struct metadata_broker *broker = image_view_broker(view, partition->replicas[replica]);

    return !broker || broker->fenced ||
           !metadata_broker_directory_online(broker, partition->directories[replica]);
}

enum err image_view_offline(const struct image_view *view,
                            const struct metadata_partition *partition, struct arena *arena,
                            int32_t **ids_out, int32_t *count_out)
{
    *ids_out = NULL;
    *count_out = 0;
    for (size_t i = 0; i < partition->replica_count; i++) {
        if (!is_offline(view, partition, i))
            continue;
        if (!*ids_out)
            *ids_out = ARENA_ARRAY(arena, int32_t, partition->replica_count);
        if (!*ids_out)
            return ERR_NO_MEMORY;
        (*ids_out)[(*count_out)++] = partition->replicas[i];
    }
    return OK;
}

int32_t *image_view_ids(const int32_t *ids)
{
    return (int32_t *)(uintptr_t)ids;
}
