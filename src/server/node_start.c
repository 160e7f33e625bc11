/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_start.c: from shards that exist to a node that serves.
 *
 *   listen (bind) → quorum reads its log → leads, controller claims → broker registers → first image:
 *   partitions are made and opened → unfenced → the gate opens
 *
 * Threads  node_listen, node_start, node_run: the starting thread; the rest shard 0.
 */
#include "server/node_internal.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "server/partition.h"

/* ---- listeners ---- */

/* 0: the system's. A size that is set ends its adapting: with Kafka's default of 100 KB a sender of full batches
 * waits within each of them, and both sides are woken for every piece (docs/adr/0005-socket-buffers.md). */
static int listener_buffer(const struct node *node, struct slice listener, enum broker_key key)
{
    int64_t bytes = config_listener_long(node->boot_config, listener, key);
    bool is_adapted =
        slice_equal(config_string(node->boot_config, BARNABAS_SOCKET_BUFFERS), SLICE("system")) &&
        !config_listener_is_set(node->boot_config, listener, key);

    return bytes < 0 || is_adapted ? 0 : (int)bytes;
}

static enum err listener_bind(struct node *node, size_t index, struct why *why)
{
    const struct listener_config *listener = &node->config.listeners[index];
    struct network_listen listen = {
        .listener = (int)index,
        .address = slice_is_null(listener->host)
                       ? ""
                       : arena_format(&node->arena, "%.*s", SLICE_ARGS(listener->host)),
        .port = (uint16_t)listener->port,
        .backlog = (int)config_listener_long(node->boot_config, listener->name,
                                             BROKER_SOCKET_LISTEN_BACKLOG_SIZE),
        .send_bytes = listener_buffer(node, listener->name, BROKER_SOCKET_SEND_BUFFER_BYTES),
        .receive_bytes = listener_buffer(node, listener->name, BROKER_SOCKET_RECEIVE_BUFFER_BYTES),
        .connections_max = INT32_MAX,
        .rate_max = INT32_MAX,
        .is_protected = slice_equal(listener->name, node->config.inter_broker_listener),
    };

    return network_gate_listen(node->gate, &listen, &node->bound_ports[index], why);
}

enum err node_listen(struct node *node, struct why *why)
{
    node->bound_ports = ARENA_ARRAY(&node->arena, uint16_t, node->config.listener_count);
    for (size_t i = 0; i < node->config.listener_count; i++)
        TRY(listener_bind(node, i, why));
    return OK;
}

/* ---- start ---- */

static void node_serves(void *context)
{
    struct node *node = context;
    struct node_private *own = node_private(node);

    if (own->phase != NODE_STARTING)
        return;
    own->phase = NODE_RUNNING;
    timer_cancel(node->shards[0].reactor, &own->start_timer);
    network_gate_open(node->gate);
    for (size_t i = 0; i < node->config.listener_count; i++)
        LOG_INFO(node->logger, "server", "listening", "listener=%.*s host=\"%.*s\" port=%d",
                 SLICE_ARGS(node->config.listeners[i].name),
                 SLICE_ARGS(node->config.listeners[i].host), node->bound_ports[i]);
    if (node->options.started)
        node->options.started(node->options.context);
}

static void partitions_ready(struct shard_round *round)
{
    struct node *node = round->node;

    if (node_private(node)->phase == NODE_STARTING)
        quorum_broker_may_unfence(node->quorum);
}

static void shard_is_ready(void *context)
{
    struct shard *shard = context;

    /* Not the shard's present round: a stop may have begun another one meanwhile. */
    shard_round_done(&node_private(shard->node)->ready_round, shard);
}

static void shard_ready_run(struct shard_round *round, struct shard *shard)
{
    UNUSED(round);
    partition_table_ready(shard->partitions, shard_is_ready, shard);
}

void node_image_arrived(struct node *node, struct metadata_image *image)
{
    struct node_private *own = node_private(node);

    publisher_publish(node, image);
    if (own->is_ready_asked || own->phase != NODE_STARTING)
        return;
    own->is_ready_asked = true;
    own->ready_round.run = shard_ready_run;
    own->ready_round.done = partitions_ready;
    shard_round_start(&own->ready_round, node);
}

static void quorum_image(struct quorum_listener *listener, struct metadata_image *image)
{
    struct node_private *own = CONTAINER_OF(listener, struct node_private, quorum_listener);

    node_image_arrived(own->node, image);
}

static void quorum_failed(struct quorum_listener *listener, enum err err, const char *why)
{
    struct node_private *own = CONTAINER_OF(listener, struct node_private, quorum_listener);

    node_stop_begin(own->node, err, why);
}

static void quorum_started(void *context, enum err err, const struct why *why)
{
    struct node *node = context;

    if (err != OK) {
        node_stop_begin(node, err, why->text[0] ? why->text : "the metadata log cannot be used");
        return;
    }
    if (node_private(node)->phase == NODE_STARTING)
        quorum_broker_start(node->quorum, node->previous_broker_epoch, node_serves, node);
}

static void start_late(struct timer *timer)
{
    struct node_private *own = CONTAINER_OF(timer, struct node_private, start_timer);

    if (own->phase == NODE_STARTING)
        node_stop_begin(own->node, ERR_REQUEST_TIMED_OUT,
                        "the start took longer than server.max.startup.time.ms");
}

/* Without a limit no timer. */
static void start_limit(struct node *node, struct reactor *reactor)
{
    int64_t limit_ms = config_long(node->boot_config, BROKER_SERVER_MAX_STARTUP_TIME_MS);
    int64_t now_ms = reactor_now_ms(reactor);

    timer_init(&node_private(node)->start_timer, start_late);
    if (limit_ms < INT64_MAX - now_ms)
        timer_set(reactor, &node_private(node)->start_timer, now_ms + limit_ms);
}

static void start_deliver(struct mail *mail, struct reactor *to)
{
    struct node_private *own = CONTAINER_OF(mail, struct node_private, start_mail);

    if (own->phase != NODE_CREATED)
        return;
    own->phase = NODE_STARTING;
    start_limit(own->node, to);
    quorum_start(own->node->quorum, quorum_started, own->node);
}

enum err node_start(struct node *node, struct why *why)
{
    struct node_private *own = node_private(node);
    enum err err;

    own->quorum_listener.image = quorum_image;
    own->quorum_listener.failed = quorum_failed;
    err = quorum_create(node, &own->quorum_listener, &node->quorum);
    if (err != OK)
        return why_set(why, err, "the quorum could not be made");
    own->start_mail.deliver = start_deliver;
    own->start_mail.control = true;
    reactor_send(NULL, node->shards[0].reactor, &own->start_mail);
    return OK;
}

/* ---- threads ---- */

static void shard_thread(void *context)
{
    reactor_run(context);
}

void node_run(struct node *node)
{
    struct node_private *own = node_private(node);

    for (size_t i = 1; i < node->shard_count; i++) {
        char name[16];
        enum err err;

        fmt(name, sizeof name, "shard-%zu", i);
        err = os_thread_start(node->os, name, shard_thread, node->shards[i].reactor,
                              &own->shards[i].thread);
        ASSERT(err == OK); /* a node without all its shards cannot serve */
    }
    reactor_run(node->shards[0].reactor);
    for (size_t i = 1; i < node->shard_count; i++)
        os_thread_join(&own->shards[i].thread);
}
