/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/gate_internal.h: the structs of the gate. All of it belongs to the thread of shard 0.
 */
#ifndef NETWORK_GATE_INTERNAL_H
#define NETWORK_GATE_INTERNAL_H

#include "network/network_internal.h"

#define GATE_RATE_SECONDS 11      /* Kafka's quota.window.num of one second each */
#define GATE_RETRY_MS 100         /* after an accept that failed */
#define GATE_LOCALS_LOOKED_AT 64  /* before an address has one more entry */
#define GATE_HELD_MAX 1024        /* sockets of throttled addresses */
#define GATE_THROTTLE_MS_MAX 1000 /* one window */

/* Events of the last eleven seconds. */
struct gate_rate {
    int64_t second; /* that counts[second % GATE_RATE_SECONDS] is of */
    int32_t counts[GATE_RATE_SECONDS];
};
/* Counts one event and tells how long it must wait to stay within limit per second (INFINITY: 0).
 * */
int64_t gate_rate_record(struct gate_rate *rate, int64_t now_ms, double limit);
/* Takes the last event back. */
void gate_rate_forget(struct gate_rate *rate);

struct gate_listener {
    struct list_node node;
    struct network_gate *gate;
    struct network_listen options;
    struct os_socket *socket;
    struct os_op accept;
    bool is_open;
    bool is_accepting;
    struct timer timer; /* throttled, or an accept failed */
    /* Accepted and not yet let in: waits for a slot or for its time. */
    struct os_socket *parked;
    bool parked_is_recorded;
    int64_t connections;
    struct gate_rate rate;
    struct list_node locals; /* of struct gate_local, those of connections; the last used first */
};

struct gate_network {
    struct network *network;
    int64_t connections;
    int64_t evictable; /* of connections */
    int64_t asked;     /* evictions under way */
};

struct gate_ip {
    struct hash_map_node node;
    struct list_node idle_node; /* gate->idle_ips while connections == 0 */
    char address[OS_ADDRESS_TEXT_BYTES];
    int64_t connections;
    int64_t used_ms;
    struct gate_rate rate;
};

struct gate_ip_number {
    char address[OS_ADDRESS_TEXT_BYTES];
    int32_t connections_max;
};

struct gate_ip_rate {
    struct hash_map_node node;
    char address[OS_ADDRESS_TEXT_BYTES];
    double rate;
};

/* A socket of an address above its rate: kept unread for the throttle time, then closed. */
struct gate_held {
    struct list_node node;
    struct network_gate *gate;
    struct timer timer;
    struct os_socket *socket;
};

struct network_gate {
    struct reactor *reactor;
    struct logger *logger;
    struct gate_network *networks;
    size_t network_count;
    size_t user_bytes;   /* of each connection */
    size_t network_next; /* where the search for the least loaded begins */
    struct list_node listeners;
    size_t listener_count;
    int32_t per_ip_max, total_max, rate_max;
    struct gate_ip_number *per_ip;
    size_t per_ip_count;
    struct hash_map ips;
    struct list_node idle_ips;
    struct hash_map ip_rates;
    double ip_rate_default;
    struct list_node held;
    size_t held_count;
    struct gate_rate rate;
    int64_t connections;
    int64_t refused; /* since the last log line about it */
    int64_t refused_logged_ms;
    bool is_stopping, is_stopped, is_released;
    struct deferred work;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* ---- accept.c ---- */
void listener_init(struct gate_listener *listener);
void listener_release(struct gate_listener *listener);
/* One connection fewer came to this address; frees it after the last one. */
void local_put(struct gate_local *local);
/* Goes on accepting if nothing stands against it. */
void listener_go(struct gate_listener *listener);
/* Something of the limits changed. */
void gate_go(struct network_gate *gate);
void gate_check_stopped(struct network_gate *gate);

/* ---- gate.c ---- */
/* Frees it when it was released and nothing refers to it any more. */
void gate_free_unused(struct network_gate *gate);

/* ---- limits.c ---- */
/* May one more connection of this listener come in now? */
bool gate_has_slot(const struct gate_listener *listener);
/* Does the listener stand above max.connections? */
bool listener_is_protected(const struct gate_listener *listener);
int32_t gate_ip_limit(const struct network_gate *gate, const char *address);
double gate_ip_rate_limit(const struct network_gate *gate, const char *address);
/* NULL: no memory. */
struct gate_ip *gate_ip_get(struct network_gate *gate, const char *address);
void gate_ip_unused(struct network_gate *gate, struct gate_ip *ip);
void gate_ips_init(struct network_gate *gate);
void gate_ips_release(struct network_gate *gate);
/* Copies a numeric address; IPv4 inside IPv6 becomes IPv4. */
void gate_address(const char *text, size_t size_bytes, char out[OS_ADDRESS_TEXT_BYTES]);

/* ---- held.c ---- */
void gate_hold(struct network_gate *gate, struct os_socket *socket, int64_t wait_ms);
void gate_held_release(struct network_gate *gate);

/* ---- hand_over.c ---- */
void gate_hand_over(struct gate_listener *listener, struct connection *connection);
/* Closes the longest idle connections while max.connections is exceeded. */
void gate_evict(struct network_gate *gate);

#endif
