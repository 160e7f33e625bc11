/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/node_stop.c: from a node that serves to files that are closed, whatever made it stop.
 *
 *   controlled shutdown → no new connections → coordinators end → every parked request ends, connections
 *   close → the quorum resigns and stops → logs are closed → the reactors stop
 *
 * A step that cannot be done is logged and passed over: what matters is that logs end closed.
 * Threads  node_stop: any. The rest shard 0.
 */
#include "server/node_internal.h"

#include "base/assert.h"
#include "server/coordinator.h"
#include "server/fetch.h"
#include "server/late_transactions.h"
#include "server/partition.h"

static void stopped(struct shard_round *round)
{
    struct node *node = round->node;
    struct node_private *own = node_private(node);

    own->closed_well = own->stop_err == OK;
    for (size_t i = 0; i < node->shard_count; i++)
        own->closed_well &= !own->shards[i].was_failed;
    own->broker_epoch_at_stop = quorum_broker_epoch(node->quorum);
    own->phase = NODE_STOPPED;
    LOG_INFO(node->logger, "server", "stopped", "clean=%s", own->closed_well ? "true" : "false");
    if (node->options.stopped)
        node->options.stopped(node->options.context, own->stop_err, own->stop_why.text);
    for (size_t i = node->shard_count; i-- > 0;)
        reactor_stop(node->shards[i].reactor);
}

static void store_closed(struct log_store_close *close)
{
    struct node_shard *own = CONTAINER_OF(close, struct node_shard, close);

    own->was_failed = close->err != OK;
    shard_round_done(own->round, own->shard);
}

static void store_close_run(struct shard_round *round, struct shard *shard)
{
    struct node_shard *own = &node_private(shard->node)->shards[shard->index];

    own->round = round;
    own->close.done = store_closed;
    log_store_close_all(shard->store, &own->close);
}

static void quorum_stopped(void *context)
{
    struct node *node = context;
    struct node_private *own = node_private(node);

    own->round.run = store_close_run;
    own->round.done = stopped;
    shard_round_start(&own->round, node);
}

static void networks_stopped(struct shard_round *round)
{
    quorum_stop(round->node->quorum, quorum_stopped, round->node);
}

static void network_stopped(void *context)
{
    struct node_shard *own = context;

    shard_round_done(own->round, own->shard);
}

static void network_stop_run(struct shard_round *round, struct shard *shard)
{
    struct node_shard *own = &node_private(shard->node)->shards[shard->index];

    own->round = round;
    fetch_service_stop(shard->fetches);
    partition_table_stop(shard->partitions);
    network_stop(shard->network, network_stopped, own);
}

static void coordinators_stopped(struct shard_round *round)
{
    struct node *node = round->node;
    struct node_private *own = node_private(node);

    own->round.run = network_stop_run;
    own->round.done = networks_stopped;
    shard_round_start(&own->round, node);
}

static void coordinator_stopped(void *context)
{
    struct node_shard *own = context;

    shard_round_done(own->round, own->shard);
}

static void transactions_stopped(void *context)
{
    struct node_shard *own = context;

    coordinator_service_stop(own->shard->coordinators, coordinator_stopped, own);
}

static void coordinator_stop_run(struct shard_round *round, struct shard *shard)
{
    struct node_shard *own = &node_private(shard->node)->shards[shard->index];

    own->round = round;
    late_transactions_stop(shard->late);
    coordinator_service_stop(shard->transactions, transactions_stopped, own);
}

static void gate_stopped(void *context)
{
    struct node *node = context;
    struct node_private *own = node_private(node);

    own->round.run = coordinator_stop_run;
    own->round.done = coordinators_stopped;
    shard_round_start(&own->round, node);
}

static void broker_stopped(void *context)
{
    struct node *node = context;

    network_gate_stop(node->gate, gate_stopped, node);
}

void node_stop_begin(struct node *node, enum err err, const char *why)
{
    struct node_private *own = node_private(node);

    if (own->phase == NODE_STOPPING || own->phase == NODE_STOPPED)
        return;
    own->stop_err = err;
    if (err != OK) {
        why_set(&own->stop_why, err, "%s", why);
        LOG_ERROR(node->logger, "server", "stopping", "error=%s reason=\"%s\"", err_name(err), why);
    } else {
        LOG_INFO(node->logger, "server", "stopping", "reason=\"%s\"", why);
    }
    if (own->phase == NODE_STARTING)
        timer_cancel(node->shards[0].reactor, &own->start_timer);
    own->phase = NODE_STOPPING;
    log_directories_hurry(node->directories);
    quorum_broker_stop(node->quorum, broker_stopped, node);
}

static void stop_deliver(struct mail *mail, struct reactor *to)
{
    struct node_private *own = CONTAINER_OF(mail, struct node_private, stop_mail);

    UNUSED(to);
    node_stop_begin(own->node, OK, "asked to");
}

void node_stop(struct node *node)
{
    struct node_private *own = node_private(node);

    if (atomic_exchange(&own->stop_asked, true))
        return;
    own->stop_mail.deliver = stop_deliver;
    own->stop_mail.control = true;
    reactor_send(NULL, node->shards[0].reactor, &own->stop_mail);
}
