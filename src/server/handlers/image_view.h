/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/image_view.h: the image as clients of one listener see it; shared by the handlers
 * that describe topics and brokers. What points into the image is good until the answer is encoded,
 * which happens in the same call.
 */
#ifndef SERVER_HANDLERS_IMAGE_VIEW_H
#define SERVER_HANDLERS_IMAGE_VIEW_H

#include "base/random.h"
#include "metadata/metadata.h"
#include "server/publication.h"
#include "server/request.h"

/* Every operation is allowed where there is no authorizer: bit n is operation n. */
#define OPERATIONS_TOPIC 3576
#define OPERATIONS_CLUSTER 8096

/* What to answer from. NULL: the node has no metadata yet, and the request was failed. */
const struct publication *image_view_publication(struct request *request);

struct image_view {
    const struct metadata_image *image;
    struct slice listener;
};

/* The registered broker when it offers the listener, fenced or not; else NULL. */
const struct metadata_broker *image_view_broker(const struct image_view *view, int32_t id);
/* …and is unfenced. */
bool image_view_alive(const struct image_view *view, int32_t id);
/* Any unfenced broker, whatever its listeners: clients may send it what is the controller's; -1:
 * none. */
int32_t image_view_any_alive(const struct image_view *view, struct random *random);
/* Fenced, unknown, without the listener, or its directory is offline. */
MUST_USE enum err image_view_offline(const struct image_view *view,
                                     const struct metadata_partition *partition,
                                     struct arena *arena, int32_t **ids_out, int32_t *count_out);
/* Response structs take their ids without const; nobody writes through them. */
int32_t *image_view_ids(const int32_t *ids);

#endif
