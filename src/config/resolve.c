/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/resolve.c: layers of texts become one checked, typed, immutable struct config.
 * Invariants  1. the file's bad values are errors (the node does not start); the dynamic layers' bad
 *                values are reported and left out, as a broker must not stop for them.
 *             2. node.id and broker.id are two names of one key.
 */
#include "config/config_internal.h"

struct resolver {
    struct arena *arena;
    struct config *config;
    struct config_report *report;
};

/* ---- The file --------------------------------------------------------------------------------- */

static void unknown_report(struct resolver *resolver, struct slice name, const char *where)
{
    const struct config_table *table = config_table_of(CONFIG_RESOURCE_BROKER);
    const char *nearest = config_nearest(table, name);
    bool own = slice_starts_with(name, SLICE("barnabas."));

    for (const struct config_removed *gone = config_removed_keys; gone->name; gone++) {
        if (!slice_equal_text(name, gone->name))
            continue;
        config_report_add(resolver->report, CONFIG_FINDING_WARNING, name, where,
                          "%s is no key of Kafka 4.4 and is ignored: %s", gone->name, gone->text);
        return;
    }
    config_report_add(resolver->report, own ? CONFIG_FINDING_ERROR : CONFIG_FINDING_WARNING, name,
                      where, "unknown key %.*s%s%s%s%s", SLICE_ARGS(name), own ? "" : " is ignored",
                      nearest ? ": did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static void status_report(struct resolver *resolver, const struct config_key *key, bool prefixed,
                          struct slice name, struct slice value, const char *where)
{
    switch (key->status) {
    case CONFIG_NO_EFFECT:
        config_report_add(resolver->report, CONFIG_FINDING_NO_EFFECT, name, where,
                          "%.*s is set but without effect: %s", SLICE_ARGS(name), key->status_text);
        break;
    case CONFIG_LATER:
        config_report_add(resolver->report, CONFIG_FINDING_LATER, name, where,
                          "%.*s is set but has no effect before its part is built: %s",
                          SLICE_ARGS(name), key->status_text);
        break;
    case CONFIG_REFUSED:
        if (!config_value_is_default(resolver->arena, key, value))
            config_report_add(resolver->report, CONFIG_FINDING_ERROR, name, where,
                              "%.*s cannot be set: %s", SLICE_ARGS(name), key->status_text);
        break;
    case CONFIG_IMPLEMENTED:
        if (prefixed && !config_key_of_listener(key))
            config_report_add(resolver->report, CONFIG_FINDING_NO_EFFECT, name, where,
                              "%.*s is set but without effect: %s is the same for every listener",
                              SLICE_ARGS(name), key->name);
        break;
    }
}

static const char *type_text(enum config_type type)
{
    static const char *const names[] = {"any",  "boolean", "string", "int",   "short",
                                        "long", "double",  "list",   "class", "password"};

    return names[type];
}

static enum err pair_check(struct resolver *resolver, struct config_pair *pair, const char *where)
{
    bool prefixed;
    int at = config_broker_find(pair->key, &prefixed);
    const struct config_key *key = at < 0 ? NULL : &config_broker_keys[at];
    struct config_value value;
    struct why why = {0};
    enum err err;

    if (!key) {
        unknown_report(resolver, pair->key, where);
        return OK;
    }
    if (key->dynamic_only) {
        config_report_add(resolver->report, CONFIG_FINDING_WARNING, pair->key, where,
                          "%s is ignored in a file: it is set with kafka-configs", key->name);
        return OK;
    }
    (void)config_value_suffix(resolver->arena, key, pair->value, &pair->value);
    err = config_value_parse(resolver->arena, key, pair->value, &value, &why);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != OK) {
        config_report_add(resolver->report, CONFIG_FINDING_ERROR, pair->key, where,
                          "%s (allowed: %s%s%s)", why.text, type_text(key->type),
                          key->valid_text[0] ? " " : "", key->valid_text);
        return OK;
    }
    status_report(resolver, key, prefixed, pair->key, pair->value, where);
    return OK;
}

/* A copy of the file with suffixes resolved and node.id under both its names. */
static enum err file_complete(struct resolver *resolver, const struct config_file *file)
{
    size_t count = file ? file->set.count : 0;
    struct config_pair *pairs = ARENA_ARRAY(resolver->arena, struct config_pair, count + 1);
    int32_t *lines = ARENA_ARRAY(resolver->arena, int32_t, count + 1);
    struct config_file *copy = ARENA_NEW(resolver->arena, struct config_file);
    struct slice node_id = file ? config_set_get(&file->set, SLICE("node.id")) : SLICE_NULL;
    struct slice broker_id = file ? config_set_get(&file->set, SLICE("broker.id")) : SLICE_NULL;

    if (!pairs || !lines || !copy)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        pairs[i] = file->set.pairs[i];
        lines[i] = file->lines[i];
        TRY(pair_check(resolver, &pairs[i],
                       config_file_where(resolver->arena, file, pairs[i].key)));
    }
    if (slice_is_null(broker_id) && !slice_is_null(node_id))
        pairs[count++] = (struct config_pair){SLICE("broker.id"), node_id};
    else if (slice_is_null(node_id) && !slice_is_null(broker_id))
        pairs[count++] = (struct config_pair){SLICE("node.id"), broker_id};
    *copy = (struct config_file){{pairs, count}, lines, file ? file->name : SLICE_EMPTY};
    resolver->config->file = copy;
    return OK;
}

/* ---- The dynamic layers ------------------------------------------------------------------------ */

/* Why a dynamic pair is left out, NULL when it counts. */
static const char *dynamic_problem(struct resolver *resolver, const struct config_pair *pair,
                                   bool per_broker, struct why *why)
{
    bool prefixed;
    int at = config_broker_find(pair->key, &prefixed);
    const struct config_key *key = at < 0 ? NULL : &config_broker_keys[at];
    struct config_value value;

    if (!key)
        return NULL; /* a plugin's: kept and shown, as Kafka does */
    if (key->dynamic == CONFIG_READ_ONLY && !prefixed)
        return "it cannot be changed at run time";
    if (config_key_needs_listener(key) && !prefixed)
        return "it can only be changed per listener";
    if (!per_broker && !config_key_cluster_wide(key, prefixed))
        return "it can only be changed per broker";
    if (config_value_parse(resolver->arena, key, pair->value, &value, why) != OK)
        return why->text;
    if (key->status == CONFIG_REFUSED &&
        !config_value_is_default(resolver->arena, key, pair->value))
        return key->status_text;
    return NULL;
}

static enum err dynamic_filter(struct resolver *resolver, const struct config_set *set,
                               bool per_broker, struct config_set *out)
{
    struct config_pair *pairs =
        ARENA_ARRAY(resolver->arena, struct config_pair, set ? set->count + 1 : 1);
    size_t count = 0;

    if (!pairs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; set && i < set->count; i++) {
        struct why why = {0};
        const char *problem = dynamic_problem(resolver, &set->pairs[i], per_broker, &why);

        if (!problem)
            pairs[count++] = set->pairs[i];
        else
            config_report_add(resolver->report, CONFIG_FINDING_IGNORED, set->pairs[i].key,
                              per_broker ? "dynamic broker config: " : "dynamic default config: ",
                              "%.*s is ignored: %s", SLICE_ARGS(set->pairs[i].key), problem);
    }
    *out = (struct config_set){pairs, count};
    return OK;
}

/* ---- Slots ------------------------------------------------------------------------------------- */

/* A value set in a higher layer under any name of the family replaces the whole family below: a dynamic
 * log.retention.ms makes the file's log.retention.hours void. */
static bool is_replaced(const struct config *config, struct slice name, enum config_source source)
{
    struct slice names[CONFIG_NAMES_MAX];
    size_t count = config_broker_names(name, names);

    if (slice_starts_with(name, SLICE("listener.name.")))
        return false; /* the plain key serves other listeners */
    if (slice_equal(name, SLICE("log.flush.scheduler.interval.ms")))
        names[0] = SLICE("log.flush.interval.ms");
    for (size_t i = 0; i < count; i++)
        if (!slice_is_null(config_set_get(&config->node, names[i])) ||
            (source == CONFIG_SOURCE_STATIC &&
             !slice_is_null(config_set_get(&config->cluster, names[i]))))
            return true;
    return false;
}

struct slice config_layer_get(const struct config *config, struct slice name,
                              enum config_source *source_out)
{
    struct slice text = config_set_get(&config->node, name);

    *source_out = CONFIG_SOURCE_DYNAMIC_BROKER;
    if (!slice_is_null(text))
        return text;
    *source_out = CONFIG_SOURCE_DYNAMIC_DEFAULT;
    text = config_set_get(&config->cluster, name);
    if (!slice_is_null(text) && !is_replaced(config, name, *source_out))
        return text;
    *source_out = CONFIG_SOURCE_STATIC;
    text = config_set_get(&config->file->set, name);
    if (!slice_is_null(text) && !is_replaced(config, name, *source_out))
        return text;
    *source_out = CONFIG_SOURCE_DEFAULT;
    return SLICE_NULL;
}

static enum err slot_fill(struct resolver *resolver, const struct config_key *key,
                          struct config_slot *slot)
{
    struct slice standard = slice_from_text(key->default_text);
    enum err err;

    slot->raw = config_layer_get(resolver->config, slice_from_text(key->name), &slot->source);
    if (key->dynamic_only && slot->source == CONFIG_SOURCE_STATIC)
        slot->raw = SLICE_NULL;
    if (!slice_is_null(slot->raw)) {
        err = config_value_parse(resolver->arena, key, slot->raw, &slot->value, NULL);
        if (err == OK || err == ERR_NO_MEMORY)
            return err;
        /* Reported with the file; go on with the default to find more. */
    } else if (key->required) {
        config_report_add(resolver->report, CONFIG_FINDING_ERROR, slice_from_text(key->name), "",
                          "Missing required configuration \"%s\" which has no default value.",
                          key->name);
    }
    slot->raw = SLICE_NULL;
    slot->source = CONFIG_SOURCE_DEFAULT;
    err = config_value_parse(resolver->arena, key, standard, &slot->value, NULL);
    ASSERT(err == OK || err == ERR_NO_MEMORY); /* defaults pass their own check */
    return err;
}

const struct config_interval config_intervals[CONFIG_INTERVALS] = {
    {BROKER_GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS},
    {BROKER_GROUP_SHARE_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS},
    {BROKER_GROUP_STREAMS_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS}};

/* Dynamic assignment intervals stay inside the static bounds, as Kafka clamps them. */
static void clamp(struct config *config, const struct config_interval *interval)
{
    struct config_slot *slot = &config->slots[interval->key];

    if (slot->source != CONFIG_SOURCE_DYNAMIC_BROKER &&
        slot->source != CONFIG_SOURCE_DYNAMIC_DEFAULT)
        return;
    slot->value.as.integer = MIN(MAX(slot->value.as.integer, config_long(config, interval->low)),
                                 config_long(config, interval->high));
}

enum err config_resolve(struct arena *arena, const struct config_layers *layers,
                        struct config_report *report, const struct config **out)
{
    struct config *config = ARENA_NEW(arena, struct config);
    struct resolver resolver = {arena, config, report};

    *out = NULL;
    if (!config)
        return ERR_NO_MEMORY;
    TRY(file_complete(&resolver, layers->file));
    TRY(dynamic_filter(&resolver, layers->cluster, false, &config->cluster));
    TRY(dynamic_filter(&resolver, layers->node, true, &config->node));
    for (int i = 0; i < BROKER_KEY_COUNT; i++)
        TRY(slot_fill(&resolver, &config_broker_keys[i], &config->slots[i]));
    for (size_t i = 0; i < CONFIG_INTERVALS; i++)
        clamp(config, &config_intervals[i]);
    if (report->no_memory)
        return ERR_NO_MEMORY;
    *out = config;
    return report->count[CONFIG_FINDING_ERROR] > 0 ? ERR_CONFIG : OK;
}

enum err config_defaults(struct arena *arena, const struct config **out)
{
    static const struct config_pair pairs[] = {
        {{(const uint8_t *)"node.id", 7}, {(const uint8_t *)"0", 1}},
        {{(const uint8_t *)"process.roles", 13}, {(const uint8_t *)"broker,controller", 17}},
        {{(const uint8_t *)"controller.listener.names", 25}, {(const uint8_t *)"CONTROLLER", 10}},
    };
    static const int32_t lines[ARRAY_COUNT(pairs)] = {0};
    struct config_file file = {{pairs, ARRAY_COUNT(pairs)}, lines, SLICE_EMPTY};
    struct config_report report;

    config_report_init(&report, arena);
    return config_resolve(arena, &(struct config_layers){.file = &file}, &report, out);
}
