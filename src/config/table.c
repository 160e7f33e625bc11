/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config/table.c: looking up keys by name, and the nearest known name of a misspelt one.
 * Invariant   a table ascends by name, so that its enum, the binary search and what is shown agree.
 */
#include "config/config_internal.h"

static const struct config_table tables[] = {
    {CONFIG_RESOURCE_BROKER, config_broker_keys, BROKER_KEY_COUNT},
    {CONFIG_RESOURCE_TOPIC, config_topic_keys, TOPIC_KEY_COUNT},
    {CONFIG_RESOURCE_GROUP, config_group_keys, GROUP_KEY_COUNT},
    {CONFIG_RESOURCE_CLIENT_METRICS, config_client_metrics_keys, CLIENT_METRICS_KEY_COUNT},
};

const struct config_table *config_table_of(enum config_resource resource)
{
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        if (tables[i].resource == resource)
            return &tables[i];
    return NULL;
}

int config_table_find(const struct config_table *table, struct slice name)
{
    size_t low = 0;
    size_t high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(name, slice_from_text(table->keys[middle].name));

        if (order == 0)
            return (int)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

const struct config_key *config_broker_key(enum broker_key key)
{
    ASSERT((unsigned)key < BROKER_KEY_COUNT);
    return &config_broker_keys[key];
}

const struct config_key *config_topic_key(enum topic_key key)
{
    ASSERT((unsigned)key < TOPIC_KEY_COUNT);
    return &config_topic_keys[key];
}

/* Edit distance with swaps of neighbours, given up above `limit`. */
#define NAME_BYTES_MAX 96
static unsigned distance(struct slice a, struct slice b, unsigned limit)
{
    unsigned row[3][NAME_BYTES_MAX + 1];
    unsigned *before = row[0];
    unsigned *last = row[1];
    unsigned *now = row[2];

    if (a.size_bytes > NAME_BYTES_MAX || b.size_bytes > NAME_BYTES_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b.size_bytes; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.size_bytes; i++) {
        unsigned best;
        unsigned *spare = before;

        now[0] = (unsigned)i;
        best = now[0];
        for (size_t j = 1; j <= b.size_bytes; j++) {
            unsigned differ = a.data[i - 1] != b.data[j - 1];
            unsigned cost = MIN(last[j - 1] + differ, MIN(last[j], now[j - 1]) + 1);

            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                cost = MIN(cost, before[j - 2] + 1);
            now[j] = cost;
            best = MIN(best, cost);
        }
        if (best > limit)
            return limit + 1;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.size_bytes];
}

const char *config_nearest(const struct config_table *table, struct slice name)
{
    /* A third of the name may be wrong, five letters at most: "segment.size" is no typing error. */
    unsigned limit = (unsigned)MIN(name.size_bytes / 3, (size_t)5);
    const char *nearest = NULL;

    for (size_t i = 0; i < table->count; i++) {
        unsigned far = distance(name, slice_from_text(table->keys[i].name), limit);

        if (far <= limit && (far < limit || !nearest)) {
            nearest = table->keys[i].name;
            limit = far;
        }
    }
    return nearest;
}
