/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/describe.c: DescribeConfigs: effective values, where they come from and what else would give
 * them, in Kafka's order of precedence.
 */
#include "config/config_internal.h"

#include "base/name_order.h"

#define SYNONYMS_MAX (1 + 4 * CONFIG_NAMES_MAX)

struct describer {
    struct arena *arena;
    const struct config *config;
    const struct config_describe_options *options;
    uint32_t *wanted; /* the order of the names of options */
    struct config_orders layers;
    struct config_described *entries;
    size_t count;
    size_t capacity;
};

struct synonyms {
    struct config_described_synonym items[SYNONYMS_MAX];
    size_t count;
};

static bool is_wanted(const struct describer *describer, struct slice name)
{
    const struct config_describe_options *options = describer->options;
    uint32_t at;

    return options->name_count == 0 ||
           name_find(options->names, describer->wanted, options->name_count, name, &at);
}

/* ---- Synonyms ---------------------------------------------------------------------------------- */

static void synonym_add(struct synonyms *synonyms, struct slice name, struct slice value,
                        enum config_source source, bool sensitive)
{
    ASSERT(synonyms->count < SYNONYMS_MAX);
    synonyms->items[synonyms->count++] =
        (struct config_described_synonym){name, sensitive ? SLICE_NULL : value, source};
}

/* A broker's layers are shown whole, and each key is looked for in all of them. One topic asks for few:
 * no order is made for it alone. */
static struct slice layer_value(const struct config_keys *layer, struct slice name)
{
    return layer->order ? config_keys_value(layer, name) : config_set_get(layer->set, name);
}

static void layer_add(struct synonyms *synonyms, const struct config_keys *layer,
                      const struct slice *names, size_t count, enum config_source source,
                      bool sensitive)
{
    for (size_t i = 0; i < count; i++) {
        struct slice value = layer_value(layer, names[i]);

        if (!slice_is_null(value))
            synonym_add(synonyms, names[i], value, source, sensitive);
    }
}

/* A default as Kafka prints it: doubles and lists are normal already in the table. */
static void defaults_add(struct synonyms *synonyms, const struct slice *names, size_t count,
                         bool sensitive)
{
    const struct config_table *table = config_table_of(CONFIG_RESOURCE_BROKER);

    for (size_t i = 0; i < count; i++) {
        int key = config_table_find(table, names[i]);

        /* Dynamic-only keys are not in the table of the file: they have no default there. */
        if (key >= 0 && table->keys[key].default_text && !table->keys[key].dynamic_only)
            synonym_add(synonyms, names[i], slice_from_text(table->keys[key].default_text),
                        CONFIG_SOURCE_DEFAULT, sensitive);
    }
}

/* Everything that gives the broker config `name` a value; what stands before its own first
 * appearance is dropped, except from the answer of CreateTopics. */
static void broker_synonyms(const struct describer *describer, struct slice name, bool sensitive,
                            struct synonyms *out)
{
    struct synonyms all = {.count = 0};
    struct slice names[CONFIG_NAMES_MAX];
    size_t count = config_broker_names(name, names);
    size_t from = 0;

    layer_add(&all, &describer->layers.node, names, count, CONFIG_SOURCE_DYNAMIC_BROKER, sensitive);
    layer_add(&all, &describer->layers.cluster, names, count, CONFIG_SOURCE_DYNAMIC_DEFAULT,
              sensitive);
    layer_add(&all, &describer->layers.file, names, count, CONFIG_SOURCE_STATIC, sensitive);
    defaults_add(&all, names, count, sensitive);
    while (!describer->options->as_written && from < all.count &&
           !slice_equal(all.items[from].name, name))
        from++;
    for (; from < all.count; from++)
        out->items[out->count++] = all.items[from];
}

/* ---- Entries ----------------------------------------------------------------------------------- */

static enum err entry_add(struct describer *describer, struct config_described entry,
                          const struct synonyms *synonyms)
{
    struct config_described *slot;

    ASSERT(describer->count < describer->capacity);
    entry.source = synonyms->count > 0 ? synonyms->items[0].source : CONFIG_SOURCE_DEFAULT;
    if (describer->options->synonyms && synonyms->count > 0) {
        struct config_described_synonym *copy =
            ARENA_ARRAY(describer->arena, struct config_described_synonym, synonyms->count);

        if (!copy)
            return ERR_NO_MEMORY;
        memcpy(copy, synonyms->items, synonyms->count * sizeof *copy);
        entry.synonyms = copy;
        entry.synonym_count = synonyms->count;
    }
    if (entry.sensitive)
        entry.value = SLICE_NULL;
    slot = &describer->entries[describer->count++];
    *slot = entry;
    return OK;
}

static struct slice text_of(const struct describer *describer, const struct config_key *key)
{
    return describer->options->text ? slice_from_text(key->text) : SLICE_NULL;
}

static struct config_described entry_of(const struct describer *describer,
                                        const struct config_key *key, struct slice value)
{
    return (struct config_described){
        .name = slice_from_text(key->name),
        .value = value,
        .text = text_of(describer, key),
        .type = key->type,
        .sensitive = key->type == CONFIG_TYPE_PASSWORD,
    };
}

static enum err describer_reserve(struct describer *describer, size_t capacity)
{
    describer->entries = ARENA_ARRAY(describer->arena, struct config_described, capacity + 1);
    describer->capacity = capacity;
    return describer->entries ? OK : ERR_NO_MEMORY;
}

/* ---- Topics, groups, client metrics ------------------------------------------------------------ */

static enum err topic_add(struct describer *describer, const struct config_set *set, int index)
{
    const struct config_key *key = &config_topic_keys[index];
    struct slice own = config_set_get(set, slice_from_text(key->name));
    struct synonyms synonyms = {.count = 0};
    struct config_value value;
    struct slice text;
    enum err err = config_topic_value(describer->arena, describer->config, set,
                                      (enum topic_key)index, &value, NULL);

    if (err != OK && err != ERR_CONFIG)
        return err;
    text = config_value_text(describer->arena, key, &value);
    if (!slice_is_null(own) && describer->options->as_written)
        text = own;
    if (!slice_is_null(own))
        synonym_add(&synonyms, slice_from_text(key->name), text, CONFIG_SOURCE_TOPIC, false);
    if (key->synonym_count > 0)
        broker_synonyms(describer, slice_from_text(config_broker_keys[key->synonyms[0].key].name),
                        false, &synonyms);
    return entry_add(describer, entry_of(describer, key, text), &synonyms);
}

/* The broker's value of a group key; the one streams assignor is the first of the broker's list. */
static struct slice group_standard(struct describer *describer, const struct config_key *key)
{
    enum broker_key broker;

    if (key->synonym_count == 0)
        return slice_from_text(key->default_text);
    broker = (enum broker_key)key->synonyms[0].key;
    if (config_broker_keys[broker].type == CONFIG_TYPE_LIST && key->type != CONFIG_TYPE_LIST) {
        struct config_list list = config_list(describer->config, broker);

        return list.count > 0 ? list.items[0] : SLICE_NULL;
    }
    return config_value_text(describer->arena, &config_broker_keys[broker],
                             &describer->config->slots[broker].value);
}

static enum err group_add(struct describer *describer, const struct config_set *set, int index)
{
    const struct config_key *key = &config_group_keys[index];
    struct slice own = config_set_get(set, slice_from_text(key->name));
    struct synonyms synonyms = {.count = 0};
    struct slice text = group_standard(describer, key);
    struct config_value value;

    if (!slice_is_null(own) && config_value_parse(describer->arena, key, own, &value, NULL) == OK)
        text = config_value_text(describer->arena, key, &value);
    if (!slice_is_null(own))
        synonym_add(&synonyms, slice_from_text(key->name), text, CONFIG_SOURCE_GROUP, false);
    if (key->synonym_count > 0)
        broker_synonyms(describer, slice_from_text(config_broker_keys[key->synonyms[0].key].name),
                        false, &synonyms);
    else if (key->default_text)
        synonym_add(&synonyms, slice_from_text(key->name), slice_from_text(key->default_text),
                    CONFIG_SOURCE_DEFAULT, false);
    return entry_add(describer, entry_of(describer, key, text), &synonyms);
}

static enum err metrics_add(struct describer *describer, const struct config_set *set, int index)
{
    const struct config_key *key = &config_client_metrics_keys[index];
    struct slice own = config_set_get(set, slice_from_text(key->name));
    struct slice text = slice_from_text(key->default_text);
    struct synonyms synonyms = {.count = 0};
    struct config_value value;

    if (!slice_is_null(own)) {
        if (config_value_parse(describer->arena, key, own, &value, NULL) == OK)
            text = config_value_text(describer->arena, key, &value);
        synonym_add(&synonyms, slice_from_text(key->name), text, CONFIG_SOURCE_CLIENT_METRICS,
                    false);
    }
    return entry_add(describer, entry_of(describer, key, text), &synonyms);
}

/* Hidden keys show when the set or, for groups, the broker's file names them. */
static bool is_hidden(const struct config *config, const struct config_key *key,
                      const struct config_set *set)
{
    if (!key->internal || !slice_is_null(config_set_get(set, slice_from_text(key->name))))
        return false;
    return key->synonym_count == 0 || !config_is_set(config, (enum broker_key)key->synonyms[0].key);
}

/* ---- Brokers ----------------------------------------------------------------------------------- */

static enum err broker_add(struct describer *describer, struct slice name, struct slice value,
                           bool cluster)
{
    bool prefixed;
    int index = config_broker_find(name, &prefixed);
    const struct config_key *key = index < 0 ? NULL : &config_broker_keys[index];
    struct config_described entry = {
        .name = name,
        .value = value,
        .type = key ? key->type : CONFIG_TYPE_UNKNOWN,
        .sensitive = !key || key->type == CONFIG_TYPE_PASSWORD,
        /* Kafka looks for the whole name among the dynamic keys. */
        .read_only = !key || prefixed || key->dynamic == CONFIG_READ_ONLY,
    };
    struct synonyms all = {.count = 0};
    struct synonyms shown = {.count = 0};

    if (!is_wanted(describer, name))
        return OK;
    if (key && !prefixed)
        entry.text = text_of(describer, key);
    broker_synonyms(describer, name, entry.sensitive, &all);
    for (size_t i = 0; i < all.count; i++)
        if (!cluster || all.items[i].source == CONFIG_SOURCE_DYNAMIC_DEFAULT)
            shown.items[shown.count++] = all.items[i];
    return entry_add(describer, entry, &shown);
}

/* A set key that the table part of the answer does not show. */
static bool is_extra(struct slice name)
{
    int index = config_table_find(config_table_of(CONFIG_RESOURCE_BROKER), name);

    return index < 0 || config_broker_keys[index].internal ||
           config_broker_keys[index].dynamic_only;
}

static enum err extras_add(struct describer *describer, const struct config_keys *layer,
                           const struct config_keys *higher, const struct config_keys *highest)
{
    for (size_t i = 0; i < layer->count; i++) {
        struct slice name = layer->keys[i];

        if (is_extra(name) && slice_is_null(config_keys_value(higher, name)) &&
            slice_is_null(config_keys_value(highest, name)))
            TRY(broker_add(describer, name, layer->set->pairs[i].value, false));
    }
    return OK;
}

static enum err layers_order(struct arena *arena, const struct config *config,
                             struct config_orders *out)
{
    TRY(config_keys_order(arena, &config->node, &out->node));
    TRY(config_keys_order(arena, &config->cluster, &out->cluster));
    return config_keys_order(arena, &config->file->set, &out->file);
}

static enum err broker_describe(struct describer *describer)
{
    static const struct config_keys none = {.count = 0};
    const struct config *config = describer->config;

    TRY(describer_reserve(describer, BROKER_KEY_COUNT + config->file->set.count +
                                         config->cluster.count + config->node.count));
    for (int i = 0; i < BROKER_KEY_COUNT; i++) {
        const struct config_key *key = &config_broker_keys[i];

        if (!key->internal && !key->dynamic_only)
            TRY(broker_add(describer, slice_from_text(key->name),
                           config_value_text(describer->arena, key, &config->slots[i].value),
                           false));
    }
    TRY(extras_add(describer, &describer->layers.file, &describer->layers.cluster,
                   &describer->layers.node));
    TRY(extras_add(describer, &describer->layers.cluster, &describer->layers.node, &none));
    return extras_add(describer, &describer->layers.node, &none, &none);
}

/* ---- Entry points ------------------------------------------------------------------------------ */

static enum err describer_open(struct arena *arena, const struct config *config,
                               const struct config_describe_options *options, bool in_order,
                               struct describer *out)
{
    *out = (struct describer){.arena = arena, .config = config, .options = options};
    if (options->orders)
        out->layers = *options->orders;
    else if (in_order)
        TRY(layers_order(arena, config, &out->layers));
    else
        out->layers = (struct config_orders){.node.set = &config->node,
                                             .cluster.set = &config->cluster,
                                             .file.set = &config->file->set};
    return name_order(arena, options->names, options->name_count, &out->wanted);
}

enum err config_orders_make(struct arena *arena, const struct config *config,
                            const struct config_orders **out)
{
    struct config_orders *orders = ARENA_NEW(arena, struct config_orders);

    *out = orders;
    return orders ? layers_order(arena, config, orders) : ERR_NO_MEMORY;
}

enum err config_describe(struct arena *arena, const struct config *config,
                         enum config_resource resource, const struct config_set *set,
                         const struct config_describe_options *options,
                         struct config_description *out)
{
    struct describer describer;
    const struct config_table *table = config_table_of(resource);

    ASSERT(table);
    TRY(describer_open(arena, config, options, resource == CONFIG_RESOURCE_BROKER, &describer));
    if (resource == CONFIG_RESOURCE_BROKER) {
        TRY(broker_describe(&describer));
        *out = (struct config_description){describer.entries, describer.count};
        return OK;
    }
    TRY(describer_reserve(&describer, table->count));
    for (size_t i = 0; i < table->count; i++) {
        if (!is_wanted(&describer, slice_from_text(table->keys[i].name)) ||
            is_hidden(config, &table->keys[i], set))
            continue;
        if (resource == CONFIG_RESOURCE_TOPIC)
            TRY(topic_add(&describer, set, (int)i));
        else if (resource == CONFIG_RESOURCE_GROUP)
            TRY(group_add(&describer, set, (int)i));
        else
            TRY(metrics_add(&describer, set, (int)i));
    }
    *out = (struct config_description){describer.entries, describer.count};
    return OK;
}

enum err config_describe_cluster(struct arena *arena, const struct config *config,
                                 const struct config_describe_options *options,
                                 struct config_description *out)
{
    struct describer describer;

    TRY(describer_open(arena, config, options, true, &describer));
    TRY(describer_reserve(&describer, config->cluster.count));
    for (size_t i = 0; i < config->cluster.count; i++)
        TRY(broker_add(&describer, config->cluster.pairs[i].key, config->cluster.pairs[i].value,
                       true));
    *out = (struct config_description){describer.entries, describer.count};
    return OK;
}
