/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/limits.c: how many connections there may be, in all, per listener and per address.
 */
#include "network/gate_internal.h"

#include "base/memory_reserve.h"

#include <math.h>

bool listener_is_protected(const struct gate_listener *listener)
{
    return listener->options.is_protected && listener->gate->listener_count > 1;
}

bool gate_has_slot(const struct gate_listener *listener)
{
    const struct network_gate *gate = listener->gate;

    if (listener->connections >= listener->options.connections_max)
        return false;
    return gate->connections < gate->total_max || listener_is_protected(listener);
}

void network_gate_set_listener_limits(struct network_gate *gate, int number,
                                      int32_t connections_max, int32_t rate_max)
{
    LIST_EACH (node, &gate->listeners) {
        struct gate_listener *listener = LIST_ITEM(node, struct gate_listener, node);

        if (listener->options.listener != number)
            continue;
        listener->options.connections_max = connections_max;
        listener->options.rate_max = rate_max;
    }
    reactor_defer(gate->reactor, &gate->work);
}

/* ---- addresses ---- */

void gate_address(const char *text, size_t size_bytes, char out[OS_ADDRESS_TEXT_BYTES])
{
    static const char mapped[] = "::ffff:";
    struct slice address = slice_of(text, size_bytes);

    if (slice_starts_with(address, SLICE("::ffff:")) && memchr(text, '.', size_bytes))
        address = slice_sub(address, sizeof(mapped) - 1, SIZE_MAX);
    memset(out, 0, OS_ADDRESS_TEXT_BYTES);
    memcpy(out, address.data, MIN(address.size_bytes, (size_t)OS_ADDRESS_TEXT_BYTES - 1));
}

static uint64_t address_hash(const char *address)
{
    return hash_bytes(address, strlen(address));
}

static bool ip_matches(const struct hash_map_node *node, const void *key)
{
    return strcmp(CONTAINER_OF(node, struct gate_ip, node)->address, key) == 0;
}

static bool ip_rate_matches(const struct hash_map_node *node, const void *key)
{
    return strcmp(CONTAINER_OF(node, struct gate_ip_rate, node)->address, key) == 0;
}

int32_t gate_ip_limit(const struct network_gate *gate, const char *address)
{
    for (size_t i = 0; i < gate->per_ip_count; i++) {
        if (strcmp(gate->per_ip[i].address, address) == 0)
            return gate->per_ip[i].connections_max;
    }
    return gate->per_ip_max;
}

/* Entries without connections are kept as long as their rate remembers anything. */
static void ips_forget(struct network_gate *gate)
{
    int64_t until_ms = reactor_now_ms(gate->reactor) - GATE_RATE_SECONDS * 1000;
    struct list_node *node;

    while ((node = list_first(&gate->idle_ips)) != NULL) {
        struct gate_ip *ip = LIST_ITEM(node, struct gate_ip, idle_node);

        if (ip->used_ms > until_ms)
            return;
        list_remove(node);
        hash_map_remove(&gate->ips, &ip->node);
        ALLOCATOR_DELETE(&heap_allocator, ip);
    }
}

struct gate_ip *gate_ip_get(struct network_gate *gate, const char *address)
{
    uint64_t hash = address_hash(address);
    struct hash_map_node *node;
    struct gate_ip *ip;

    ips_forget(gate);
    node = hash_map_find(&gate->ips, hash, address);
    if (node)
        return CONTAINER_OF(node, struct gate_ip, node);
    ip = ALLOCATOR_NEW(&heap_allocator, struct gate_ip);
    if (!ip)
        return NULL;
    memcpy(ip->address, address, sizeof(ip->address));
    list_init(&ip->idle_node);
    if (hash_map_insert(&gate->ips, hash, &ip->node) == OK) {
        gate_ip_unused(gate, ip);
        return ip;
    }
    ALLOCATOR_DELETE(&heap_allocator, ip);
    return NULL;
}

void gate_ip_unused(struct network_gate *gate, struct gate_ip *ip)
{
    if (ip->connections > 0)
        return;
    ip->used_ms = reactor_now_ms(gate->reactor);
    list_remove(&ip->idle_node);
    list_push_back(&gate->idle_ips, &ip->idle_node);
}

/* ---- rates of addresses ---- */

double gate_ip_rate_limit(const struct network_gate *gate, const char *address)
{
    struct hash_map_node *node = NULL;

    if (gate->ip_rates.count > 0)
        node = hash_map_find(&gate->ip_rates, address_hash(address), address);
    return node ? CONTAINER_OF(node, struct gate_ip_rate, node)->rate : gate->ip_rate_default;
}

void network_gate_set_ip_rate(struct network_gate *gate, struct slice address, double rate)
{
    char text[OS_ADDRESS_TEXT_BYTES];
    struct hash_map_node *node;
    struct gate_ip_rate *entry;
    uint64_t hash;
    enum err err;

    if (slice_is_null(address)) {
        gate->ip_rate_default = rate;
        return;
    }
    gate_address((const char *)address.data, address.size_bytes, text);
    hash = address_hash(text);
    node = hash_map_find(&gate->ip_rates, hash, text);
    if (node) {
        entry = CONTAINER_OF(node, struct gate_ip_rate, node);
        entry->rate = rate;
        if (isinf(rate)) { /* the default holds again */
            hash_map_remove(&gate->ip_rates, node);
            ALLOCATOR_DELETE(&heap_allocator, entry);
        }
        return;
    }
    if (isinf(rate))
        return;
    entry = ALLOCATOR_NEW(&must_allocator, struct gate_ip_rate);
    memcpy(entry->address, text, sizeof(text));
    entry->rate = rate;
    err = hash_map_insert(&gate->ip_rates, hash, &entry->node);
    ASSERT(err == OK); /* its memory is must_allocator's */
}

void network_gate_set_limits(struct network_gate *gate, const struct network_limits *limits)
{
    struct gate_ip_number *per_ip = NULL;

    if (limits->per_ip_count > 0) {
        per_ip = must_allocator.allocate(&must_allocator, limits->per_ip_count * sizeof(*per_ip));
    }
    for (size_t i = 0; i < limits->per_ip_count; i++) {
        gate_address((const char *)limits->per_ip[i].address.data,
                     limits->per_ip[i].address.size_bytes, per_ip[i].address);
        per_ip[i].connections_max = limits->per_ip[i].connections_max;
    }
    heap_allocator.release(&heap_allocator, gate->per_ip,
                           gate->per_ip_count * sizeof(*gate->per_ip));
    gate->per_ip = per_ip;
    gate->per_ip_count = limits->per_ip_count;
    gate->per_ip_max = limits->per_ip_max;
    gate->total_max = limits->total_max;
    gate->rate_max = limits->rate_max;
    reactor_defer(gate->reactor, &gate->work);
}

void gate_ips_init(struct network_gate *gate)
{
    gate->per_ip_max = gate->total_max = gate->rate_max = INT32_MAX;
    gate->ip_rate_default = INFINITY;
    list_init(&gate->idle_ips);
    hash_map_init(&gate->ips, &heap_allocator, ip_matches);
    hash_map_init(&gate->ip_rates, &must_allocator, ip_rate_matches);
}

void gate_ips_release(struct network_gate *gate)
{
    HASH_MAP_EACH_SAFE (node, &gate->ips)
        ALLOCATOR_DELETE(&heap_allocator, HASH_MAP_ITEM(node, struct gate_ip, node));
    hash_map_release(&gate->ips);
    HASH_MAP_EACH_SAFE (node, &gate->ip_rates)
        ALLOCATOR_DELETE(&heap_allocator, HASH_MAP_ITEM(node, struct gate_ip_rate, node));
    hash_map_release(&gate->ip_rates);
    heap_allocator.release(&heap_allocator, gate->per_ip,
                           gate->per_ip_count * sizeof(*gate->per_ip));
}
