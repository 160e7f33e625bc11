/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/auto_create.h: topics that come into being because somebody asked for them.
 */
#ifndef SERVER_AUTO_CREATE_H
#define SERVER_AUTO_CREATE_H

#include "server/shard.h"

/* Asks the controller to make those of the names that this shard has not asked for yet. The names
 * are valid and copied. Internal topics get the partitions, replicas and configs of their
 * coordinator. Nobody is told: whoever wanted the topic asks again. */
void auto_create_topics(struct shard *shard, const struct slice *names, size_t count,
                        struct slice principal, struct slice client_id);

#endif
