/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/alter.c: AlterConfigs and IncrementalAlterConfigs of one resource, at the controller.
 * Invariant   all or nothing: an error leaves no change.
 */
#include "config/config_internal.h"

#include "base/name_order.h"

#define VALUE_BYTES_MAX 32767
/* Of all that one resource has. A broker takes keys that nobody knows, and every node holds them in memory that it must
 * have: without a bound one peer could make that as large as he likes. Kafka has none. */
#define RESOURCE_BYTES_MAX (1024 * 1024)

enum err config_keys_order(struct arena *arena, const struct config_set *set,
                           struct config_keys *out)
{
    *out = (struct config_keys){.set = set, .count = set ? set->count : 0};
    out->keys = ARENA_ARRAY(arena, struct slice, out->count);
    if (!out->keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < out->count; i++)
        out->keys[i] = set->pairs[i].key;
    return name_order(arena, out->keys, out->count, &out->order);
}

bool config_keys_find(const struct config_keys *keys, struct slice key, uint32_t *at_out)
{
    return name_find(keys->keys, keys->order, keys->count, key, at_out);
}

struct slice config_keys_value(const struct config_keys *keys, struct slice key)
{
    uint32_t at;

    return config_keys_find(keys, key, &at) ? keys->set->pairs[at].value : SLICE_NULL;
}

enum err config_operations_check(struct arena *arena, const struct config_operation *operations,
                                 size_t count, struct config_keys *out, struct why *why)
{
    *out = (struct config_keys){.keys = ARENA_ARRAY(arena, struct slice, count), .count = count};
    if (!out->keys)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        out->keys[i] = operations[i].key;
    TRY(name_order(arena, out->keys, count, &out->order));
    for (size_t i = 1; i < count; i++)
        if (slice_equal(out->keys[out->order[i - 1]], out->keys[out->order[i]]))
            return why_set(why, ERR_INVALID_REQUEST, "Error due to duplicate config keys");
    for (size_t i = 0; i < count; i++)
        if (operations[i].kind != CONFIG_DELETE && slice_is_null(operations[i].value))
            return why_set(why, ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
                           SLICE_ARGS(operations[i].key));
    for (size_t i = 0; i < count; i++)
        if ((int)operations[i].kind < CONFIG_SET || operations[i].kind > CONFIG_SUBTRACT)
            return why_set(why, ERR_INVALID_REQUEST, "Unknown operations type %d",
                           (int)operations[i].kind);
    return OK;
}

enum err config_list_change(struct arena *arena, struct slice before, struct slice change,
                            bool append, struct slice *out)
{
    struct config_list old;
    struct config_list delta;
    struct slice *items;
    uint32_t *firsts;
    size_t count = 0, kept = 0, total;

    if (slice_is_null(before))
        before = SLICE_EMPTY;
    TRY(config_split_plain(arena, before, &old));
    TRY(config_split_plain(arena, change, &delta));
    items = ARENA_ARRAY(arena, struct slice, old.count + delta.count + 1);
    if (!items)
        return ERR_NO_MEMORY;
    /* What the others are looked for in stands in front. */
    for (size_t i = 0; !append && i < delta.count; i++)
        items[count++] = delta.items[i];
    for (size_t i = 0; i < old.count; i++)
        if (old.items[i].size_bytes > 0)
            items[count++] = old.items[i];
    total = append ? count + delta.count : count;
    for (size_t i = 0; append && i < delta.count; i++)
        items[count + i] = delta.items[i];
    TRY(config_list_firsts(arena, (struct config_list){items, total}, &firsts));
    kept = append ? count : 0;
    for (size_t i = append ? count : delta.count; i < total; i++)
        if (append ? firsts[i] == i : firsts[i] >= delta.count)
            items[kept++] = items[i];
    count = kept;
    *out = config_join(arena, (struct config_list){items, count});
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

/* The value after one operation; null: removed. */
static enum err operation_apply(struct arena *arena, enum config_resource resource,
                                const struct config_keys *keys,
                                const struct config_operation *operation, struct slice *out,
                                struct why *why)
{
    const struct config_table *table = config_table_of(resource);
    bool append = operation->kind == CONFIG_APPEND;
    struct slice before;
    int key;

    *out = operation->kind == CONFIG_DELETE ? SLICE_NULL : operation->value;
    if (operation->kind == CONFIG_SET || operation->kind == CONFIG_DELETE)
        return OK;
    /* Kafka's controller knows the types of these two alone. */
    key = resource == CONFIG_RESOURCE_TOPIC || resource == CONFIG_RESOURCE_BROKER
              ? config_table_find(table, operation->key)
              : -1;
    if (key < 0 || table->keys[key].type != CONFIG_TYPE_LIST)
        return why_set(why, ERR_INVALID_CONFIG,
                       "Can't %s to key %.*s because its type is not LIST.",
                       append ? "APPEND" : "SUBTRACT", SLICE_ARGS(operation->key));
    before = config_keys_value(keys, operation->key);
    if (slice_is_null(before))
        before = slice_from_text(table->keys[key].default_text);
    return config_list_change(arena, before, operation->value, append, out);
}

static bool lists_within(struct arena *arena, struct slice small, struct slice large)
{
    struct config_list a;
    struct config_list b;
    uint32_t *order, at;

    if (config_split(arena, small, &a) != OK ||
        config_split(arena, slice_is_null(large) ? SLICE_EMPTY : large, &b) != OK ||
        name_order(arena, b.items, b.count, &order) != OK)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (!name_find(b.items, order, b.count, a.items[i], &at))
            return false;
    return true;
}

/* What a feature level forbids. */
static enum err rules_check(struct arena *arena, const struct config_rules *rules,
                            enum config_resource resource, struct slice resource_name,
                            const struct config_set *current, const struct config_pair *change,
                            struct why *why)
{
    bool removed = slice_is_null(change->value);

    if (!removed && change->value.size_bytes > VALUE_BYTES_MAX)
        return why_set(why, ERR_INVALID_CONFIG,
                       "The configuration value cannot be added because it exceeds the maximum "
                       "value size of 32767 bytes.");
    if (resource != CONFIG_RESOURCE_BROKER)
        return OK;
    if (slice_equal(change->key, SLICE("min.insync.replicas")) && rules->elr) {
        if (resource_name.size_bytes > 0)
            return why_set(why, ERR_INVALID_CONFIG,
                           "Broker-level min.insync.replicas cannot be altered while ELR is "
                           "enabled.");
        if (removed)
            return why_set(why, ERR_INVALID_CONFIG,
                           "Cluster-level min.insync.replicas cannot be removed while ELR is "
                           "enabled.");
    }
    if (!slice_equal(change->key, SLICE("cordoned.log.dirs")))
        return OK;
    if (!rules->cordoned_allowed)
        return why_set(why, ERR_INVALID_CONFIG,
                       "The cordoned.log.dirs configuration value cannot be set because it "
                       "requires metadata.version >= 4.3-IV0");
    if (!rules->forwarded && !removed &&
        !lists_within(arena, change->value, config_set_get(current, change->key)))
        return why_set(why, ERR_INVALID_CONFIG,
                       "When updating cordoned.log.dirs via controllers,  the new value must be a "
                       "subset of the current configuration value.");
    return OK;
}

static size_t set_bytes(const struct config_set *set)
{
    size_t size_bytes = 0;

    for (size_t i = 0; set && i < set->count; i++)
        size_bytes +=
            sizeof set->pairs[i] + set->pairs[i].key.size_bytes + set->pairs[i].value.size_bytes;
    return size_bytes;
}

/* What comes out: `current` with what was replaced, then what is new, without what was removed. */
struct outcome {
    struct config_pair *pairs;
    size_t count;
    uint32_t *places; /* of each key of `wanted`, by its first position: UINT32_MAX not yet */
};

static void outcome_put(struct outcome *outcome, const struct config_keys *current,
                        const struct config_keys *wanted, struct config_pair pair)
{
    uint32_t first, at;
    bool is_there = config_keys_find(wanted, pair.key, &first);

    ASSERT(is_there);
    if (outcome->places[first] == UINT32_MAX)
        outcome->places[first] =
            config_keys_find(current, pair.key, &at) ? at : (uint32_t)outcome->count++;
    outcome->pairs[outcome->places[first]] = pair;
}

static void outcome_close(struct outcome *outcome)
{
    size_t kept = 0;

    for (size_t i = 0; i < outcome->count; i++)
        if (!slice_is_null(outcome->pairs[i].value))
            outcome->pairs[kept++] = outcome->pairs[i];
    outcome->count = kept;
}

static enum err outcome_open(struct arena *arena, const struct config_set *current,
                             const struct config_set *wanted, struct outcome *out)
{
    size_t before = current ? current->count : 0;

    *out = (struct outcome){.pairs =
                                ARENA_ARRAY(arena, struct config_pair, before + wanted->count + 1),
                            .count = before,
                            .places = ARENA_ARRAY(arena, uint32_t, wanted->count + 1)};
    if (!out->pairs || !out->places)
        return ERR_NO_MEMORY;
    if (before > 0)
        memcpy(out->pairs, current->pairs, before * sizeof *out->pairs);
    for (size_t i = 0; i < wanted->count; i++)
        out->places[i] = UINT32_MAX;
    return OK;
}

/* Checks the changes of `wanted_keys` against rules and validation and gives the records to write. `keys`: of
 * current. */
static enum err alteration_finish(struct arena *arena, const struct config *config,
                                  const struct config_rules *rules, enum config_resource resource,
                                  struct slice resource_name, const struct config_set *current,
                                  const struct config_keys *keys,
                                  const struct config_keys *wanted_keys,
                                  struct config_alteration *out, struct why *why)
{
    const struct config_set *wanted = wanted_keys->set;
    struct config_pair *changes = ARENA_ARRAY(arena, struct config_pair, wanted->count + 1);
    size_t change_count = 0;
    struct outcome outcome;
    struct config_alteration alteration;

    if (!changes)
        return ERR_NO_MEMORY;
    TRY(outcome_open(arena, current, wanted, &outcome));
    for (size_t i = 0; i < wanted->count; i++) {
        struct config_pair pair = wanted->pairs[i];
        struct slice now = config_keys_value(keys, pair.key);

        /* A broker record is written even when nothing changes, so that brokers read files anew. */
        if (resource != CONFIG_RESOURCE_BROKER && slice_equal(now, pair.value))
            continue;
        TRY(rules_check(arena, rules, resource, resource_name, current, &pair, why));
        changes[change_count++] = pair;
        outcome_put(&outcome, keys, wanted_keys, pair);
    }
    outcome_close(&outcome);
    alteration =
        (struct config_alteration){{changes, change_count}, {outcome.pairs, outcome.count}};
    if (set_bytes(&alteration.outcome) > MAX(RESOURCE_BYTES_MAX, set_bytes(current)))
        return why_set(why, ERR_INVALID_CONFIG,
                       "The configuration cannot be altered because all its names and values "
                       "together exceed %d bytes.",
                       RESOURCE_BYTES_MAX);
    if (rules->name_err != OK)
        return why_set(why, rules->name_err, "%s", rules->name_why->text);
    TRY(config_validate(arena, config, resource, resource_name, current, &alteration.outcome, why));
    *out = alteration; /* last: `current` may be an earlier outcome in *out */
    return OK;
}

enum err config_alter(struct arena *arena, const struct config *config,
                      const struct config_rules *rules, enum config_resource resource,
                      struct slice resource_name, const struct config_set *current,
                      const struct config_operation *operations, size_t count,
                      struct config_alteration *out, struct why *why)
{
    struct config_pair *pairs = ARENA_ARRAY(arena, struct config_pair, count + 1);
    struct config_set wanted = {pairs, count};
    struct config_keys keys, wanted_keys;

    if (!pairs)
        return ERR_NO_MEMORY;
    TRY(config_operations_check(arena, operations, count, &wanted_keys, why));
    wanted_keys.set = &wanted;
    TRY(config_keys_order(arena, current, &keys));
    for (size_t i = 0; i < count; i++) {
        pairs[i].key = operations[i].key;
        TRY(operation_apply(arena, resource, &keys, &operations[i], &pairs[i].value, why));
    }
    return alteration_finish(arena, config, rules, resource, resource_name, current, &keys,
                             &wanted_keys, out, why);
}

enum err config_replace(struct arena *arena, const struct config *config,
                        const struct config_rules *rules, enum config_resource resource,
                        struct slice resource_name, const struct config_set *current,
                        const struct config_set *wanted, struct config_alteration *out,
                        struct why *why)
{
    size_t before = current ? current->count : 0;
    struct config_pair *pairs = ARENA_ARRAY(arena, struct config_pair, wanted->count + before + 1);
    size_t count = wanted->count;
    struct config_set all;
    struct config_keys keys, wanted_keys;

    if (!pairs)
        return ERR_NO_MEMORY;
    TRY(config_keys_order(arena, current, &keys));
    TRY(config_keys_order(arena, wanted, &wanted_keys));
    for (size_t i = 0; i < wanted->count; i++) {
        pairs[i] = wanted->pairs[i];
        if (slice_is_null(pairs[i].value))
            return why_set(why, ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
                           SLICE_ARGS(pairs[i].key));
    }
    for (size_t i = 0; i < before; i++) {
        uint32_t at;

        if (!config_keys_find(&wanted_keys, current->pairs[i].key, &at))
            pairs[count++] = (struct config_pair){current->pairs[i].key, SLICE_NULL};
    }
    all = (struct config_set){pairs, count};
    TRY(config_keys_order(arena, &all, &wanted_keys));
    return alteration_finish(arena, config, rules, resource, resource_name, current, &keys,
                             &wanted_keys, out, why);
}
