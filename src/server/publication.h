/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/publication.h: what every shard goes by: one metadata image and the configuration that follows
 * from it. Made on shard 0 when committed metadata moved; immutable; one reference per shard, given back
 * by mail and freed by shard 0. docs/design/server.md §3.
 *
 * Order  A shard applies publications in order of their numbers, each once. A mail that shard 0 sends
 *        after a publication arrives after it: whoever was answered about a change finds it made.
 */
#ifndef SERVER_PUBLICATION_H
#define SERVER_PUBLICATION_H

#include "config/config.h"
#include "metadata/metadata.h"

struct node;
struct shard;
struct settings; /* a resolved configuration, shared by publications */

struct publication {
    uint64_t number;              /* 1, 2, … */
    struct metadata_image *image; /* never NULL */
    const struct config *config;  /* file, then cluster-wide and this node's dynamic configs */
    /* Levels in force at image: shorthands. */
    int16_t metadata_version;
    int16_t kraft_version; /* of the quorum; not part of the image */
    bool elr;
    /* shard 0's */
    struct settings *settings;
    int references;
};

/* Shard 0. Takes over one reference of `image`. Resolves the configuration anew when a broker config of
 * it changed (bad values are logged and ignored). Every shard then runs shard_apply. */
void publisher_publish(struct node *node, struct metadata_image *image);

/* What each part of a shard does with news; `before` NULL: the first. Called by shard_apply in the order
 * of its list, on the shard's thread; nothing may keep a pointer into `before`. */
void shard_apply(struct shard *shard, const struct publication *before,
                 const struct publication *after);

/* The topic's own configs of the image as a set, in `arena`, which is over must_allocator. Empty when it has none. */
struct config_set publication_topic_configs(const struct publication *publication,
                                            struct slice topic, struct arena *arena);

#endif
