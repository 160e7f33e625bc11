/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/synonym.c: names that stand for the same broker config: hours, minutes and milliseconds of
 * one thing, and keys with a listener's prefix.
 */
#include "config/config_internal.h"

static const char *const families[][CONFIG_NAMES_MAX] = {
    {"log.roll.ms", "log.roll.hours", NULL},
    {"log.roll.jitter.ms", "log.roll.jitter.hours", NULL},
    {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
};

/* Keys that may also stand behind a mechanism: listener.name.x.scram-sha-256.sasl.jaas.config. */
static const char *const mechanism_keys[] = {
    "sasl.jaas.config",          "sasl.login.callback.handler.class",
    "sasl.login.class",          "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
};

static bool ends_with(struct slice text, const char *end)
{
    size_t size = strlen(end);

    return text.size_bytes >= size && memcmp(text.data + text.size_bytes - size, end, size) == 0;
}

/* listener.name.<no dot>.<rest> */
static bool listener_prefix(struct slice name, struct slice *rest_out)
{
    struct slice prefix = SLICE("listener.name.");
    struct slice rest = slice_sub(name, prefix.size_bytes, SIZE_MAX);
    const uint8_t *dot;

    if (!slice_starts_with(name, prefix))
        return false;
    dot = memchr(rest.data, '.', rest.size_bytes);
    if (!dot)
        return false;
    *rest_out = slice_sub(rest, (size_t)(dot - rest.data) + 1, SIZE_MAX);
    return true;
}

static struct slice mechanism_key(struct slice rest)
{
    for (size_t i = 0; i < ARRAY_COUNT(mechanism_keys); i++)
        if (ends_with(rest, mechanism_keys[i]))
            return slice_from_text(mechanism_keys[i]);
    return rest;
}

size_t config_broker_names(struct slice name, struct slice names_out[CONFIG_NAMES_MAX])
{
    struct slice rest;

    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        bool member = false;
        size_t count = 0;

        for (; count < CONFIG_NAMES_MAX && families[i][count]; count++) {
            names_out[count] = slice_from_text(families[i][count]);
            member = member || slice_equal(name, names_out[count]);
        }
        if (member)
            return count;
    }
    names_out[0] = name;
    if (slice_equal(name, SLICE("log.flush.interval.ms"))) {
        names_out[1] = SLICE("log.flush.scheduler.interval.ms");
        return 2;
    }
    if (!listener_prefix(name, &rest))
        return 1;
    names_out[1] = mechanism_key(rest);
    return 2;
}

int config_broker_find(struct slice name, bool *prefixed_out)
{
    const struct config_table *table = config_table_of(CONFIG_RESOURCE_BROKER);
    int key = config_table_find(table, name);
    struct slice rest;

    *prefixed_out = false;
    if (key < 0 && listener_prefix(name, &rest)) {
        key = config_table_find(table, mechanism_key(rest));
        *prefixed_out = key >= 0;
    }
    return key;
}
