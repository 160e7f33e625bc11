/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/node_inter_broker.c: the listener that brokers use among themselves, and those that open early.
 */
#include "config/config_internal.h"

static enum err names_show(struct node_builder *builder, const struct listener_config *list,
                           size_t count, struct slice *out)
{
    struct slice *names = ARENA_ARRAY(builder->arena, struct slice, count + 1);

    if (!names)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names[i] = list[i].name;
    *out = config_join(builder->arena, (struct config_list){names, count});
    return OK;
}

static enum err inter_broker(struct node_builder *builder)
{
    const struct config *config = builder->config;
    struct node_config *node = builder->node;
    struct slice name = config_string(config, BROKER_INTER_BROKER_LISTENER_NAME);
    struct slice known;
    struct slice bound;

    if (slice_is_null(name)) {
        node->inter_broker_listener = config_string(config, BROKER_SECURITY_INTER_BROKER_PROTOCOL);
    } else {
        node->inter_broker_listener = config_upper(builder->arena, name);
        if (config_is_set(config, BROKER_SECURITY_INTER_BROKER_PROTOCOL))
            node_error(
                builder, BROKER_INTER_BROKER_LISTENER_NAME,
                "Only one of inter.broker.listener.name and security.inter.broker.protocol should "
                "be set.");
        if (!node_protocol_known(builder, node->inter_broker_listener))
            node_error(builder, BROKER_INTER_BROKER_LISTENER_NAME,
                       "Listener with name %.*s defined in inter.broker.listener.name not found in "
                       "listener.security.protocol.map.",
                       SLICE_ARGS(node->inter_broker_listener));
    }
    if (!node->broker)
        return OK;
    TRY(names_show(builder, node->advertised, node->advertised_count, &known));
    TRY(names_show(builder, node->listeners, node->listener_count, &bound));
    if (node->advertised_count == 0)
        node_require(builder, false, BROKER_LISTENERS,
                     "There must be at least one broker advertised listener. Perhaps all listeners "
                     "appear in controller.listener.names?");
    else if (!node_listener_find(node->advertised, node->advertised_count,
                                 node->inter_broker_listener))
        node_require(builder, false, BROKER_INTER_BROKER_LISTENER_NAME,
                     "inter.broker.listener.name must be a listener name defined in "
                     "advertised.listeners. The valid options based on currently configured "
                     "listeners are %.*s",
                     SLICE_ARGS(known));
    for (size_t i = 0; i < node->advertised_count; i++)
        if (!node_listener_find(node->listeners, node->listener_count, node->advertised[i].name)) {
            node_require(builder, false, BROKER_ADVERTISED_LISTENERS,
                         "advertised.listeners listener names must be equal to or a subset of the "
                         "ones defined in listeners. Found %.*s. The valid options based on the "
                         "current configuration are %.*s",
                         SLICE_ARGS(known), SLICE_ARGS(bound));
            break;
        }
    return OK;
}

static void early_start(struct node_builder *builder)
{
    struct config_list early = config_list(builder->config, BROKER_EARLY_START_LISTENERS);

    for (size_t i = 0; i < early.count; i++)
        if (!node_listener_find(builder->node->listeners, builder->node->listener_count,
                                early.items[i]))
            node_error(builder, BROKER_EARLY_START_LISTENERS,
                       "early.start.listeners contains listener %.*s, but this is not contained in "
                       "listeners or controller.listener.names",
                       SLICE_ARGS(early.items[i]));
}

enum err node_inter_broker(struct node_builder *builder)
{
    TRY(inter_broker(builder));
    early_start(builder);
    return OK;
}
