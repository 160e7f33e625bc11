/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/hand_over.c: what passes between the gate and the networks of the shards, by mail or, on
 * the gate's own shard, directly:
 *
 *   gate ── connection, its socket detached ──► network     the least loaded one
 *   gate ── evict one ──► network ── none there ──► gate
 *   network ── connection, ended ──► gate                   which uncounts and frees it
 *
 * The connection is its own mail; counts change on the gate's thread alone.
 */
#include "network/gate_internal.h"

/* ---- a connection ended ---- */

static void gate_forget(struct connection *connection)
{
    struct gate_listener *listener = connection->local->listener;
    struct network_gate *gate = listener->gate;
    struct gate_network *place = &gate->networks[connection->network_index];

    gate->connections--;
    place->connections--;
    listener->connections--;
    connection->gate_ip->connections--;
    if (connection->is_evictable)
        place->evictable--;
    if (connection->is_evicted)
        place->asked--;
    ASSERT(gate->connections >= 0 && place->connections >= 0 && place->evictable >= 0 &&
           place->asked >= 0 && listener->connections >= 0 &&
           connection->gate_ip->connections >= 0);
    if (!gate->is_stopping) {
        gate_ip_unused(gate, connection->gate_ip);
        reactor_defer(gate->reactor, &gate->work);
    }
    local_put(connection->local);
    heap_allocator.release(&heap_allocator, connection, sizeof(*connection) + gate->user_bytes);
    gate_free_unused(gate);
}

static void forget_deliver(struct mail *mail, struct reactor *to)
{
    gate_forget(CONTAINER_OF(mail, struct connection, mail));
}

static void forget_drop(struct mail *mail)
{
    gate_forget(CONTAINER_OF(mail, struct connection, mail));
}

void connection_report(struct connection *connection)
{
    struct network *network = connection->network;
    struct network_gate *gate = connection->local->listener->gate;

    if (gate->reactor == network->reactor) {
        gate_forget(connection);
        return;
    }
    connection->mail =
        (struct mail){.deliver = forget_deliver, .drop = forget_drop, .control = true};
    reactor_send(network->reactor, gate->reactor, &connection->mail);
}

/* ---- a connection begins ---- */

static void adopt_deliver(struct mail *mail, struct reactor *to)
{
    struct connection *connection = CONTAINER_OF(mail, struct connection, mail);

    os_socket_attach(connection->socket, reactor_port(to));
    network_adopt(connection->network, connection);
}

/* The shard went down with the mail in its box; no thread runs any more. */
static void adopt_drop(struct mail *mail)
{
    struct connection *connection = CONTAINER_OF(mail, struct connection, mail);

    os_socket_close(&connection->socket, false);
    gate_forget(connection);
}

static size_t least_loaded(struct network_gate *gate)
{
    size_t best = gate->network_next % gate->network_count;

    for (size_t i = 1; i < gate->network_count; i++) {
        size_t index = (gate->network_next + i) % gate->network_count;

        if (gate->networks[index].connections < gate->networks[best].connections)
            best = index;
    }
    gate->network_next = best + 1;
    return best;
}

void gate_hand_over(struct gate_listener *listener, struct connection *connection)
{
    struct network_gate *gate = listener->gate;
    size_t index = least_loaded(gate);
    struct gate_network *place = &gate->networks[index];

    connection->network = place->network;
    connection->network_index = (uint16_t)index;
    connection->is_evictable = !listener_is_protected(listener);
    listener->connections++;
    gate->connections++;
    place->connections++;
    if (connection->is_evictable)
        place->evictable++;
    if (place->network->reactor == gate->reactor) {
        network_adopt(place->network, connection);
    } else {
        os_socket_detach(connection->socket);
        connection->mail =
            (struct mail){.deliver = adopt_deliver, .drop = adopt_drop, .control = true};
        reactor_send(gate->reactor, place->network->reactor, &connection->mail);
    }
    gate_evict(gate);
}

/* ---- room is needed ---- */

struct evict_mail {
    struct mail mail;
    struct network_gate *gate;
    size_t network_index;
};

/* Also as the `drop` of the mail, when no thread runs any more. */
static void evict_end(struct mail *mail)
{
    struct evict_mail *evict = CONTAINER_OF(mail, struct evict_mail, mail);
    struct network_gate *gate = evict->gate;

    gate->networks[evict->network_index].asked--;
    ALLOCATOR_DELETE(&heap_allocator, evict);
    gate_free_unused(gate);
}

static void evict_answer(struct mail *mail, struct reactor *to)
{
    evict_end(mail);
}

static void evict_deliver(struct mail *mail, struct reactor *to)
{
    struct evict_mail *evict = CONTAINER_OF(mail, struct evict_mail, mail);

    if (network_evict(evict->gate->networks[evict->network_index].network)) {
        ALLOCATOR_DELETE(&heap_allocator, evict); /* the connection's own report answers */
        return;
    }
    evict->mail = (struct mail){.deliver = evict_answer, .drop = evict_end, .control = true};
    reactor_send(to, evict->gate->reactor, &evict->mail);
}

/* False: nothing can be asked for there. */
static bool evict_ask(struct network_gate *gate, size_t index)
{
    struct gate_network *place = &gate->networks[index];
    struct evict_mail *evict;

    if (place->network->reactor == gate->reactor) {
        if (!network_evict(place->network))
            return false;
        place->asked++;
        return true;
    }
    evict = ALLOCATOR_NEW(&heap_allocator, struct evict_mail);
    if (!evict)
        return false;
    evict->gate = gate;
    evict->network_index = index;
    evict->mail = (struct mail){.deliver = evict_deliver, .drop = evict_end, .control = true};
    place->asked++;
    reactor_send(gate->reactor, place->network->reactor, &evict->mail);
    return true;
}

void gate_evict(struct network_gate *gate)
{
    int64_t asked = 0;

    for (size_t i = 0; i < gate->network_count; i++)
        asked += gate->networks[i].asked;
    while (gate->connections - asked > gate->total_max) {
        size_t most = 0;

        for (size_t i = 1; i < gate->network_count; i++) {
            if (gate->networks[i].evictable - gate->networks[i].asked >
                gate->networks[most].evictable - gate->networks[most].asked)
                most = i;
        }
        if (gate->networks[most].evictable <= gate->networks[most].asked || !evict_ask(gate, most))
            return;
        asked++;
    }
}
