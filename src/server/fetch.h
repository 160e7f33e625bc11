/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch.h: the fetch sessions of a home shard (KIP-227) and the fetches that wait.
 * docs/design/fetch.md; requests.md §3.2, §4.2 of the reference. A session's id names its shard, so that any
 * connection can go on with it.
 */
#ifndef SERVER_FETCH_H
#define SERVER_FETCH_H

#include "base/err.h"

struct shard;
struct publication;
struct fetch_service;

MUST_USE enum err fetch_service_create(struct shard *shard, struct fetch_service **out);
void fetch_service_apply(struct fetch_service *service, const struct publication *after);
void fetch_service_stop(struct fetch_service *service); /* answers every parked fetch */
void fetch_service_release(struct fetch_service **service);

#endif
