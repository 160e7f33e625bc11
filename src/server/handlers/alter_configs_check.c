/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/alter_configs_check.c: the broker's own stage of changed configs: repeated
 * resources and keys, nulls, log levels, and what this node could not run with. requests.md §3.9 of
 * the reference.
 */
#include "base/fmt.h"
#include "base/name_order.h"
#include "base/parse.h"
#include "server/handlers/alter_configs.h"
#include "server/node.h"

/* One resource has some 300 keys; the checks of the config module compare each with each. */
#define KEYS_MAX 10000

static enum err settle(struct alterations *alterations, struct alteration *item, enum err err,
                       const struct why *why)
{
    if (err == ERR_NO_MEMORY)
        return err;
    item->is_settled = true;
    item->err = err;
    item->text = SLICE_NULL;
    if (err != OK && why->text[0] != '\0') {
        item->text = arena_copy(&alterations->request->arena, slice_from_text(why->text));
        if (slice_is_null(item->text))
            return ERR_NO_MEMORY;
    }
    return OK;
}

/* ---- repeated resources ---- */

static enum err repeats_settle(struct alterations *alterations)
{
    struct arena *arena = &alterations->request->arena;
    struct slice *keys = ARENA_ARRAY(arena, struct slice, alterations->count);
    uint32_t *order;
    struct why why = {0};
    enum err err = why_set(&why, ERR_INVALID_REQUEST, "Each resource must appear at most once.");

    if (!keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < alterations->count; i++) {
        keys[i] = arena_format_slice(arena, "%d:%.*s", alterations->items[i].type,
                                     SLICE_ARGS(alterations->items[i].name));
        if (slice_is_null(keys[i]))
            return ERR_NO_MEMORY;
    }
    TRY(name_order(arena, keys, alterations->count, &order));
    for (size_t i = 1; i < alterations->count; i++) {
        if (!slice_equal(keys[order[i - 1]], keys[order[i]]))
            continue;
        TRY(settle(alterations, &alterations->items[order[i - 1]], err, &why));
        TRY(settle(alterations, &alterations->items[order[i]], err, &why));
    }
    return OK;
}

/* ---- keys and values ---- */

static enum err keys_check(struct arena *arena, const struct alteration *item, struct why *why)
{
    struct slice *keys;
    uint32_t *order;

    if (item->count > KEYS_MAX)
        return why_set(why, ERR_POLICY_VIOLATION,
                       "Unable to perform excessively large batch operation.");
    keys = ARENA_ARRAY(arena, struct slice, item->count);
    if (!keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < item->count; i++)
        keys[i] = item->operations[i].key;
    TRY(name_order(arena, keys, item->count, &order));
    for (size_t i = 1; i < item->count; i++)
        if (slice_equal(keys[order[i - 1]], keys[order[i]]))
            return why_set(why, ERR_INVALID_REQUEST, "Error due to duplicate config keys");
    return OK;
}

static enum err nulls_check(const struct alteration *item, struct why *why)
{
    struct why names = {0};
    size_t length = 0;

    for (size_t i = 0; i < item->count; i++) {
        const struct config_operation *operation = &item->operations[i];

        if (operation->kind == CONFIG_DELETE || !slice_is_null(operation->value))
            continue;
        if (length < sizeof names.text)
            length += fmt(names.text + length, sizeof names.text - length, "%s%.*s",
                          length > 0 ? ", " : "", SLICE_ARGS(operation->key));
    }
    return length == 0
               ? OK
               : why_set(why, ERR_INVALID_REQUEST, "Null value not supported for : %s", names.text);
}

/* ---- this node's own ---- */

static enum err own_id_check(const struct alterations *alterations, struct slice name,
                             bool is_broker, struct why *why)
{
    int32_t own = alterations->request->shard->node->config.node_id;
    int32_t id;

    if (parse_i32(name, &id) != OK)
        return why_set(why, ERR_INVALID_REQUEST, "Node id must be an integer, but it is: %.*s",
                       SLICE_ARGS(name));
    if (id == own)
        return OK;
    return is_broker ? why_set(why, ERR_INVALID_REQUEST,
                               "Unexpected broker id, expected %d, but received %.*s", own,
                               SLICE_ARGS(name))
                     : why_set(why, ERR_INVALID_REQUEST,
                               "Unexpected node id. Expected %d, but received %d", own, id);
}

static enum err loggers_alter(struct alterations *alterations, const struct alteration *item,
                              struct why *why)
{
    struct node *node = alterations->request->shard->node;
    struct config_logger_levels current, after;

    TRY(own_id_check(alterations, item->name, false, why));
    node_log_levels(node, &current);
    TRY(config_loggers_alter(&current, item->operations, item->count, &after, why));
    if (!alterations->validate_only)
        node_set_log_levels(node, &after);
    return OK;
}

static enum err broker_check(struct alterations *alterations, const struct alteration *item,
                             struct why *why)
{
    struct arena *arena = &alterations->request->arena;
    const struct config *config = alterations->publication->config;
    bool per_broker = item->name.size_bytes > 0;
    struct config_pair *pairs;

    if (per_broker)
        TRY(own_id_check(alterations, item->name, true, why));
    if (alterations->is_incremental)
        return config_broker_alter_check(arena, config, per_broker, item->operations, item->count,
                                         why);
    pairs = ARENA_ARRAY(arena, struct config_pair, item->count);
    if (!pairs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < item->count; i++)
        pairs[i] = (struct config_pair){item->operations[i].key, item->operations[i].value};
    return config_broker_replace_check(arena, config, per_broker,
                                       &(struct config_set){pairs, item->count}, why);
}

/* *settled_out: the controller has no part in it. */
static enum err item_check(struct alterations *alterations, struct alteration *item,
                           bool *settled_out, struct why *why)
{
    *settled_out = false;
    TRY(keys_check(&alterations->request->arena, item, why));
    TRY(nulls_check(item, why));
    switch (item->type) {
    case CONFIG_RESOURCE_TOPIC:
    case CONFIG_RESOURCE_CLIENT_METRICS:
    case CONFIG_RESOURCE_GROUP:
        return OK;
    case CONFIG_RESOURCE_BROKER:
        return broker_check(alterations, item, why);
    case CONFIG_RESOURCE_BROKER_LOGGER:
        if (alterations->is_incremental) {
            *settled_out = true;
            return loggers_alter(alterations, item, why);
        }
        break;
    default:
        break;
    }
    return why_set(why, ERR_INVALID_REQUEST, "Unknown resource type %d", item->type);
}

enum err alterations_check(struct alterations *alterations)
{
    TRY(repeats_settle(alterations));
    for (size_t i = 0; i < alterations->count; i++) {
        struct alteration *item = &alterations->items[i];
        struct why why = {0};
        bool settled;
        enum err err;

        if (item->is_settled)
            continue;
        err = item_check(alterations, item, &settled, &why);
        if (err != OK || settled)
            TRY(settle(alterations, item, err, &why));
    }
    return OK;
}

enum err alterations_check_loggers(struct alterations *alterations)
{
    for (size_t i = 0; i < alterations->count; i++) {
        struct alteration *item = &alterations->items[i];
        struct why why = {0};

        if (item->type == CONFIG_RESOURCE_BROKER_LOGGER)
            TRY(settle(alterations, item, loggers_alter(alterations, item, &why), &why));
    }
    return OK;
}
