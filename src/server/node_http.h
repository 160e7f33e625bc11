/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_http.h: /metrics, /healthz and /readyz of a node. The pages are built on the HTTP thread from
 * copies that each shard makes when asked by mail. docs/design/metrics.md.
 */
#ifndef SERVER_NODE_HTTP_H
#define SERVER_NODE_HTTP_H

#include "base/err.h"

struct node;
struct node_http;

/* Between node_create and node_run; nothing when barnabas.http.listener is empty (*out is NULL). */
MUST_USE enum err node_http_start(struct node *node, struct node_http **out, struct why *why);
/* After node_run; NULL-safe. */
void node_http_stop(struct node_http **http);

#endif
