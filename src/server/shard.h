/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/shard.h: one thread of the node and all that it owns. docs/design/server.md §2.
 */
#ifndef SERVER_SHARD_H
#define SERVER_SHARD_H

#include "base/uuid.h"
#include "reactor/reactor.h"
#include "server/metrics.h"

struct node;
struct publication;
struct partition_table;
struct request_service;
struct fetch_service;
struct quota_service;
struct log_store;
struct network;
struct compress_context;
struct auto_create;
struct coordinator_service;
struct late_transactions;

struct shard {
    struct node *node;
    int index;
    struct reactor *reactor;
    struct log_store *store;
    struct network *network;
    struct publication *publication;    /* NULL until the first */
    struct partition_table *partitions; /* partition.h */
    struct request_service *requests;   /* request.h */
    struct fetch_service *fetches;      /* fetch.h: sessions and parked fetches of this home */
    struct quota_service *quotas;       /* quota.h */
    struct compress_context *compress;  /* scratch of this thread */
    struct auto_create *auto_creates;   /* auto_create.c: topics asked for, not answered yet */
    struct coordinator_service *coordinators; /* coordinator.h: of groups */
    struct coordinator_service *transactions; /* and of transactional ids */
    struct late_transactions *late;           /* late_transactions.h */
    struct shard_metrics metrics;
};

/* Which shard owns a partition: fixed for the process's life. */
int shard_of_partition(const struct node *node, struct uuid topic_id, int32_t partition);

/* Small objects of the control plane: zeroed; the process stops with a report when memory is out. */
void *server_allocate(size_t size_bytes);
void server_free(void *pointer, size_t size_bytes);
#define SERVER_NEW(type) ((type *)server_allocate(sizeof(type)))
#define SERVER_DELETE(pointer) server_free((pointer), sizeof(*(pointer)))

#endif
