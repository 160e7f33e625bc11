/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/idle.c: the open connections in order of their last activity on the socket, and those that drain in order
 * of their deadlines. Of each, one timer per shard stands at or before the time of the first.
 */
#include "network/network_internal.h"

static struct connection *longest_idle(struct network *network)
{
    struct list_node *node = list_first(&network->idle);

    return node ? LIST_ITEM(node, struct connection, idle_node) : NULL;
}

void idle_timer_set(struct network *network)
{
    struct connection *first = longest_idle(network);

    if (network->options.idle_ms_max < 0 || !first) {
        timer_cancel(network->reactor, &network->idle_timer);
        return;
    }
    timer_set(network->reactor, &network->idle_timer,
              first->active_ms + network->options.idle_ms_max);
}

void idle_timer_fire(struct timer *timer)
{
    struct network *network = CONTAINER_OF(timer, struct network, idle_timer);
    int64_t idle_ms_max = network->options.idle_ms_max;
    int64_t now_ms = reactor_now_ms(network->reactor);
    struct connection *first;

    while (idle_ms_max >= 0 && (first = longest_idle(network)) != NULL &&
           first->active_ms + idle_ms_max <= now_ms)
        connection_close(first, NETWORK_REASON_IDLE, false, NULL);
    idle_timer_set(network);
}

/* ---- those that drain: all for the same time ---- */

static void drain_timer_set(struct network *network)
{
    struct list_node *node = list_first(&network->draining);

    if (node)
        timer_set(network->reactor, &network->drain_timer,
                  LIST_ITEM(node, struct connection, idle_node)->active_ms);
}

void drain_begin(struct connection *connection)
{
    struct network *network = connection->network;

    connection->active_ms = reactor_now_ms(network->reactor) + DRAIN_MS_MAX;
    list_remove(&connection->idle_node);
    list_push_back(&network->draining, &connection->idle_node);
    if (!timer_is_set(&network->drain_timer))
        drain_timer_set(network);
}

void drain_timer_fire(struct timer *timer)
{
    struct network *network = CONTAINER_OF(timer, struct network, drain_timer);
    int64_t now_ms = reactor_now_ms(network->reactor);
    struct list_node *node;

    while ((node = list_first(&network->draining)) != NULL &&
           LIST_ITEM(node, struct connection, idle_node)->active_ms <= now_ms)
        connection_shut(LIST_ITEM(node, struct connection, idle_node));
    drain_timer_set(network);
}

void connection_touch(struct connection *connection)
{
    struct network *network = connection->network;

    if (connection->state != CONNECTION_OPEN)
        return;
    connection->active_ms = reactor_now_ms(network->reactor);
    list_remove(&connection->idle_node);
    list_push_back(&network->idle, &connection->idle_node);
    if (!timer_is_set(&network->idle_timer))
        idle_timer_set(network);
}

bool network_evict(struct network *network)
{
    LIST_EACH (node, &network->idle) {
        struct connection *connection = LIST_ITEM(node, struct connection, idle_node);

        if (!connection->is_evictable)
            continue;
        connection->is_evicted = true;
        connection_close(connection, NETWORK_REASON_LIMIT, false, "max.connections");
        return true;
    }
    return false;
}
