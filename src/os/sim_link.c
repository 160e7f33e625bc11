/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_link.c: the ways between machines, and who has which address.
 */
#include "os/sim_internal.h"

#include "base/fmt.h"

/* ---- links ---- */

struct sim_link_state *sim_link_between(struct sim_machine *from, struct sim_machine *to)
{
    struct sim *sim = from->sim;

    if (to->index >= from->link_count) {
        from->links = sim_resize(from->links, from->link_count * sizeof(struct sim_link_state),
                                 sim->machine_count * sizeof(struct sim_link_state));
        for (size_t i = from->link_count; i < sim->machine_count; i++)
            from->links[i].link = i == from->index ? sim->options.loopback : sim->options.link;
        from->link_count = sim->machine_count;
    }
    return &from->links[to->index];
}

bool sim_is_blocked(struct sim_machine *from, struct sim_machine *to)
{
    return sim_link_between(from, to)->link.is_blocked;
}

int64_t sim_link_arrival(struct sim_machine *from, struct sim_machine *to, size_t size)
{
    struct sim *sim = from->sim;
    struct sim_link_state *state = sim_link_between(from, to);
    int64_t at_ns = sim->now_ns;

    if (state->link.bandwidth_bytes_s > 0) {
        __int128 takes = (__int128)size * 1000000000 / state->link.bandwidth_bytes_s;

        at_ns = MAX(at_ns, state->busy_until_ns) + (int64_t)takes;
        state->busy_until_ns = at_ns;
    }
    at_ns = sim_later(at_ns, sim_draw(&sim->network, &state->link.latency));
    if (state->link.loss_one_in > 0) {
        int64_t retry_ns = MIN(SIM_RETRANSMIT_NS, sim->options.retransmit_ns_max);

        while (random_chance(&sim->network, 1, MAX(state->link.loss_one_in, 2u))) {
            at_ns = sim_later(at_ns, retry_ns);
            retry_ns = MIN(2 * retry_ns, sim->options.retransmit_ns_max);
        }
    }
    return at_ns;
}

void sim_link_get(struct os *from, struct os *to, struct sim_link *out)
{
    *out = sim_link_between(sim_process_of(from)->machine, sim_process_of(to)->machine)->link;
}

void sim_link_set(struct os *from, struct os *to, const struct sim_link *link)
{
    struct sim_machine *machine = sim_process_of(from)->machine;

    sim_link_between(machine, sim_process_of(to)->machine)->link = *link;
    sim_note(machine->sim, machine, "link", link->is_blocked, sim_machine_name(to));
}

void sim_partition(struct os *a, struct os *b, bool is_blocked)
{
    struct sim_machine *one = sim_process_of(a)->machine;
    struct sim_machine *two = sim_process_of(b)->machine;

    sim_link_between(one, two)->link.is_blocked = is_blocked;
    sim_link_between(two, one)->link.is_blocked = is_blocked;
    sim_note(one->sim, one, "partition", is_blocked, two->name);
}

/* ---- addresses ---- */

static bool is_numeric(const char *address)
{
    return strchr(address, ':') != NULL || strspn(address, "0123456789.") == strlen(address);
}

static bool has_address(const struct sim_machine *machine, const char *address)
{
    if (strcmp(address, machine->name) == 0 || strcmp(address, machine->address) == 0)
        return true;
    for (size_t i = 0; i < machine->alias_count; i++) {
        if (strcmp(address, machine->aliases[i]) == 0)
            return true;
    }
    return false;
}

static bool is_loopback(const char *address)
{
    return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "127.", 4) == 0;
}

struct sim_machine *sim_resolve(struct sim_machine *from, const char *address, char *canonical_out)
{
    struct sim *sim = from->sim;

    for (size_t i = 0; i < sim->machine_count; i++) {
        struct sim_machine *machine = sim->machines[i];

        if (!has_address(machine, address))
            continue;
        fmt(canonical_out, OS_ADDRESS_TEXT_BYTES, "%s",
            is_numeric(address) ? address : machine->address);
        return machine;
    }
    if (!is_loopback(address))
        return NULL;
    fmt(canonical_out, OS_ADDRESS_TEXT_BYTES, "%s", is_numeric(address) ? address : "127.0.0.1");
    return from;
}

static bool is_port_used(const struct sim_machine *machine, uint16_t port_number)
{
    LIST_EACH (node, &machine->listeners) {
        if (LIST_ITEM(node, struct sim_socket, listener_node)->port_number == port_number)
            return true;
    }
    LIST_EACH (node, &machine->sim->connections) {
        const struct sim_connection *connection = LIST_ITEM(node, struct sim_connection, node);

        if (connection->ends[0].machine == machine &&
            connection->ends[0].port_number == port_number)
            return true;
    }
    return false;
}

uint16_t sim_free_port(struct sim_machine *machine)
{
    for (int i = 0; i < 32768; i++) {
        uint16_t port_number = machine->next_port;

        machine->next_port = port_number == UINT16_MAX ? 32768 : (uint16_t)(port_number + 1);
        if (!is_port_used(machine, port_number))
            return port_number;
    }
    ASSERT(machine->next_port == 0); /* never: no port is free */
    return 0;
}

struct sim_socket *sim_listener_find(struct sim_machine *machine, const char *address,
                                     uint16_t port_number)
{
    LIST_EACH (node, &machine->listeners) {
        struct sim_socket *socket = LIST_ITEM(node, struct sim_socket, listener_node);

        if (socket->port_number == port_number &&
            (socket->is_any_address || strcmp(socket->address, address) == 0))
            return socket;
    }
    return NULL;
}
