/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/listener.c: listeners, their protocols and the addresses that are announced.
 * Only PLAINTEXT exists so far: every other protocol is refused by name.
 */
#include "config/config_internal.h"

#include "base/parse.h"

/* NAME://host:port; the name in upper case. */
static bool listener_parse(struct arena *arena, struct slice text, struct listener_config *out)
{
    size_t name_end = SIZE_MAX;
    size_t colon = SIZE_MAX;
    struct slice host;

    for (size_t i = 0; i < text.size_bytes; i++) {
        if (i + 2 < text.size_bytes && memcmp(text.data + i, "://", 3) == 0)
            name_end = i;
        if (text.data[i] == ':')
            colon = i;
    }
    if (name_end == SIZE_MAX || name_end == 0 || colon < name_end + 3)
        return false;
    host = slice_sub(text, name_end + 3, colon - name_end - 3);
    if (host.size_bytes > 0 && host.data[0] == '[')
        host = slice_sub(host, 1, SIZE_MAX);
    if (host.size_bytes > 0 && host.data[host.size_bytes - 1] == ']')
        host.size_bytes--;
    out->name = config_upper(arena, slice_sub(text, 0, name_end));
    out->host = host.size_bytes == 0 ? SLICE_NULL : host;
    return config_host_valid(host) &&
           parse_i32(slice_sub(text, colon + 1, SIZE_MAX), &out->port) == OK;
}

/* ---- Protocols --------------------------------------------------------------------------------- */

static bool is_secure(struct slice name)
{
    return slice_equal(name, SLICE("SSL")) || slice_equal(name, SLICE("SASL_PLAINTEXT")) ||
           slice_equal(name, SLICE("SASL_SSL"));
}

static bool is_protocol(struct slice name)
{
    return is_secure(name) || slice_equal(name, SLICE("PLAINTEXT"));
}

/* The protocol of a listener name; null when the map has none. */
static struct slice protocol_of(struct node_builder *builder, struct slice name)
{
    for (size_t i = 0; i < builder->protocol_count; i++)
        if (slice_equal(builder->protocols[i].key, name))
            return builder->protocols[i].value;
    return SLICE_NULL;
}

/* Without a map of its own, a cluster without TLS and SASL speaks PLAINTEXT on controller listeners. */
static bool controllers_are_plain(struct node_builder *builder)
{
    struct config_list listeners = config_list(builder->config, BROKER_LISTENERS);

    if (config_is_set(builder->config, BROKER_LISTENER_SECURITY_PROTOCOL_MAP))
        return false;
    for (size_t i = 0; i < builder->node->controller_listener_names.count; i++)
        if (is_secure(builder->node->controller_listener_names.items[i]))
            return false;
    for (size_t i = 0; i < listeners.count; i++) {
        struct listener_config listener;

        if (listener_parse(builder->arena, listeners.items[i], &listener) &&
            is_secure(listener.name))
            return false;
    }
    return true;
}

enum err node_protocols(struct node_builder *builder)
{
    struct slice map = config_string(builder->config, BROKER_LISTENER_SECURITY_PROTOCOL_MAP);
    struct config_list names = builder->node->controller_listener_names;
    struct config_list items;
    struct config_pair *pairs;
    size_t count = 0;

    TRY(config_split(builder->arena, map, &items));
    pairs = ARENA_ARRAY(builder->arena, struct config_pair, items.count + names.count + 1);
    if (!pairs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < items.count; i++) {
        const uint8_t *colon = memchr(items.items[i].data, ':', items.items[i].size_bytes);
        size_t at = colon ? (size_t)(colon - items.items[i].data) : 0;
        struct slice protocol = slice_sub(items.items[i], at + 1, SIZE_MAX);

        pairs[count].key =
            config_upper(builder->arena, config_trim(slice_sub(items.items[i], 0, at)));
        pairs[count].value = config_upper(builder->arena, config_trim(protocol));
        if (slice_is_null(pairs[count].key) || slice_is_null(pairs[count].value))
            return ERR_NO_MEMORY;
        if (at == 0)
            node_error(builder, BROKER_LISTENER_SECURITY_PROTOCOL_MAP,
                       "Error parsing configuration property 'listener.security.protocol.map': "
                       "%.*s is not of the form NAME:PROTOCOL",
                       SLICE_ARGS(items.items[i]));
        else if (!is_protocol(pairs[count].value))
            node_error(builder, BROKER_LISTENER_SECURITY_PROTOCOL_MAP,
                       "Invalid security protocol `%.*s` defined in "
                       "listener.security.protocol.map",
                       SLICE_ARGS(config_trim(protocol)));
        else
            count++;
    }
    for (size_t i = 0; i < names.count && controllers_are_plain(builder); i++)
        pairs[count++] = (struct config_pair){names.items[i], SLICE("PLAINTEXT")};
    builder->protocols = pairs;
    builder->protocol_count = count;
    return OK;
}

void node_protocol_check(struct node_builder *builder, enum broker_key key, struct slice listener)
{
    struct slice protocol = protocol_of(builder, listener);

    if (slice_is_null(protocol))
        node_error(builder, key, "No security protocol defined for listener %.*s",
                   SLICE_ARGS(listener));
    else if (is_secure(protocol))
        node_error(builder, key,
                   "listener %.*s asks for %.*s: only PLAINTEXT listeners are built so far; start "
                   "with PLAINTEXT, or wait for TLS and SASL",
                   SLICE_ARGS(listener), SLICE_ARGS(protocol));
}

bool node_protocol_known(struct node_builder *builder, struct slice listener)
{
    return !slice_is_null(protocol_of(builder, listener));
}

/* ---- Lists of listeners ------------------------------------------------------------------------ */

static bool is_ipv4(struct slice host)
{
    size_t parts = 0;
    size_t from = 0;

    for (size_t i = 0; i <= host.size_bytes; i++) {
        int32_t number;

        if (i < host.size_bytes && host.data[i] != '.')
            continue;
        if (i - from > 3 || parse_i32(slice_sub(host, from, i - from), &number) != OK ||
            number < 0 || number > 255)
            return false;
        parts++;
        from = i + 1;
    }
    return parts == 4;
}

static bool is_ipv6(struct slice host)
{
    return memchr(host.data ? host.data : (const uint8_t *)"", ':', host.size_bytes) != NULL;
}

static bool may_share_port(const struct listener_config *a, const struct listener_config *b)
{
    return (is_ipv4(a->host) && is_ipv6(b->host)) || (is_ipv6(a->host) && is_ipv4(b->host));
}

static void listener_pair_check(struct node_builder *builder, enum broker_key key,
                                const struct listener_config *a, const struct listener_config *b,
                                bool distinct_ports)
{
    struct slice shown = config_list_show(builder->arena, config_list(builder->config, key));

    if (slice_equal(a->name, b->name))
        node_error(builder, key, "Each listener must have a different name, listeners: %.*s",
                   SLICE_ARGS(shown));
    else if (distinct_ports && a->port != 0 && a->port == b->port && !may_share_port(a, b))
        node_error(builder, key,
                   "Each listener must have a different port unless exactly one listener has an "
                   "IPv4 address and the other IPv6 address, listeners: %.*s, port: %d",
                   SLICE_ARGS(shown), (int)a->port);
}

static bool is_controller_name(const struct node_builder *builder, struct slice name)
{
    struct config_list names = builder->node->controller_listener_names;

    for (size_t i = 0; i < names.count; i++)
        if (config_equal_any_case(names.items[i], name))
            return true;
    return false;
}

enum err node_listeners(struct node_builder *builder, enum broker_key key, bool distinct_ports,
                        struct listener_config **out, size_t *count_out)
{
    struct config_list texts = config_list(builder->config, key);
    struct listener_config *list =
        ARENA_ARRAY(builder->arena, struct listener_config, texts.count + 1);
    size_t count = 0;

    if (!list)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < texts.count; i++) {
        struct listener_config listener = {0};

        if (!listener_parse(builder->arena, texts.items[i], &listener) || listener.port < 0 ||
            listener.port > 65535) {
            node_error(builder, key,
                       "Error creating broker listeners from '%.*s': Unable to parse %.*s to a "
                       "broker endpoint",
                       SLICE_ARGS(config_list_show(builder->arena, texts)),
                       SLICE_ARGS(texts.items[i]));
            continue;
        }
        if (slice_is_null(listener.name))
            return ERR_NO_MEMORY;
        listener.controller = is_controller_name(builder, listener.name);
        node_protocol_check(builder, key, listener.name);
        for (size_t j = 0; j < count; j++)
            listener_pair_check(builder, key, &list[j], &listener, distinct_ports);
        list[count++] = listener;
    }
    *out = list;
    *count_out = count;
    return OK;
}

const struct listener_config *node_listener_find(const struct listener_config *list, size_t count,
                                                 struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (config_equal_any_case(list[i].name, name))
            return &list[i];
    return NULL;
}

/* ---- Announced addresses ----------------------------------------------------------------------- */

static bool is_wildcard(struct slice host)
{
    return slice_is_null(host) || slice_equal(host, SLICE("0.0.0.0")) ||
           slice_equal(host, SLICE("::"));
}

/* A bound controller listener as it is announced: an address of controller.quorum.voters stands in for
 * a wildcard of the first one. */
static struct listener_config controller_announce(struct node_builder *builder,
                                                  struct listener_config listener, bool first)
{
    const struct node_config *node = builder->node;

    if (!is_wildcard(listener.host))
        return listener;
    listener.host = SLICE_NULL;
    for (size_t i = 0; first && i < node->voter_count; i++) {
        if (node->voters[i].id != node->node_id)
            continue;
        listener.host = node->voters[i].host;
        listener.port = node->voters[i].port;
    }
    return listener;
}

enum err node_advertise(struct node_builder *builder)
{
    struct node_config *node = builder->node;
    struct config_list names = node->controller_listener_names;
    struct listener_config *set = NULL;
    size_t set_count = 0;
    struct listener_config *brokers;
    struct listener_config *controllers;
    const struct listener_config *from;
    size_t from_count;

    node->advertised_set = !config_is_null(builder->config, BROKER_ADVERTISED_LISTENERS);
    if (node->advertised_set)
        TRY(node_listeners(builder, BROKER_ADVERTISED_LISTENERS, false, &set, &set_count));
    for (size_t i = 0; i < set_count; i++)
        if (slice_equal(set[i].host, SLICE("0.0.0.0")))
            node_require(
                builder, false, BROKER_ADVERTISED_LISTENERS,
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use "
                "a routable IP address.");
    from = node->advertised_set ? set : node->listeners;
    from_count = node->advertised_set ? set_count : node->listener_count;
    brokers = ARENA_ARRAY(builder->arena, struct listener_config, from_count + 1);
    controllers = ARENA_ARRAY(builder->arena, struct listener_config, names.count + 1);
    if (!brokers || !controllers)
        return ERR_NO_MEMORY;
    node->advertised = brokers;
    node->advertised_controllers = controllers;
    for (size_t i = 0; i < from_count; i++) {
        struct listener_config *copy = &brokers[node->advertised_count];

        if (from[i].controller)
            continue;
        *copy = from[i];
        if (is_wildcard(copy->host))
            copy->host = SLICE_NULL;
        node->advertised_count++;
    }
    for (size_t i = 0; i < names.count; i++) {
        const struct listener_config *told = node_listener_find(set, set_count, names.items[i]);
        const struct listener_config *bound =
            node_listener_find(node->listeners, node->listener_count, names.items[i]);

        if (told)
            controllers[node->advertised_controller_count++] = *told;
        else if (bound)
            controllers[node->advertised_controller_count++] =
                controller_announce(builder, *bound, i == 0);
    }
    return OK;
}
