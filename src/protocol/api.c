/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/api.c: finding APIs, records and message types in the generated tables. Pure; no state.
 */
#include "protocol/message.h"

#include "base/assert.h"
#include "protocol/message_internal.h"

const struct api *api_at(size_t index)
{
    return index < message_apis_count ? &message_apis[index] : NULL;
}

const struct api *api_find(int16_t key)
{
    int16_t at;

    if (key < 0 || (size_t)key >= message_apis_by_key_count)
        return NULL;
    at = message_apis_by_key[key];
    return at > 0 ? &message_apis[at - 1] : NULL;
}

const struct api *api_find_name(struct slice name)
{
    for (size_t i = 0; i < message_apis_count; i++)
        if (slice_equal_text(name, message_apis[i].name))
            return &message_apis[i];
    return NULL;
}

const char *api_key_name(int16_t key)
{
    const struct api *api = api_find(key);

    return api ? api->name : "UNKNOWN";
}

const struct message_type *metadata_record_type(int16_t key)
{
    if (key < 0 || (size_t)key >= message_metadata_records_count)
        return NULL;
    return message_metadata_records[key];
}

const struct message_type *message_type_at(size_t index)
{
    return index < message_types_count ? message_types[index] : NULL;
}

const struct message_type *message_type_find(struct slice name)
{
    size_t low = 0, high = message_types_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(slice_from_text(message_types[middle]->name), name);

        if (order == 0)
            return message_types[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
