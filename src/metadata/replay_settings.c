/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/replay_settings.c: records about configs, features, quotas, producer ids, and the marks of
 * metadata transactions.
 */
#include "metadata/metadata_internal.h"

#include "config/config.h"
#include "protocol/generated/messages.h"

/* ---- configs ---- */

/* Topic keys that no table knows were retired by a later version; their old records mean nothing. */
static bool config_is_known(int8_t resource_type, struct slice key)
{
    return resource_type != METADATA_RESOURCE_TOPIC ||
           config_table_find(config_table_of(CONFIG_RESOURCE_TOPIC), key) >= 0;
}

static enum err config_change(struct replay *replay, const struct config_record *record)
{
    struct metadata_state *state = replay->state;
    const struct metadata_configs *old = metadata_image_configs(
        &state->current, (enum metadata_resource)record->resource_type, record->resource_name);
    size_t old_count = old ? old->entry_count : 0;
    struct metadata_config_entry *entries =
        ARENA_ARRAY(&state->scratch, struct metadata_config_entry, old_count + 1);
    struct metadata_configs draft = {.resource_type = record->resource_type,
                                     .resource_name = record->resource_name,
                                     .entries = entries};
    bool placed = slice_is_null(record->value);

    if (!entries)
        return ERR_NO_MEMORY;
    if (!config_is_known(record->resource_type, record->name))
        return OK;
    for (size_t i = 0; i < old_count; i++) {
        int order = slice_compare(old->entries[i].key, record->name);

        if (order >= 0 && !placed) {
            entries[draft.entry_count++] =
                (struct metadata_config_entry){record->name, record->value};
            placed = true;
        }
        if (order != 0)
            entries[draft.entry_count++] = old->entries[i];
    }
    if (!placed)
        entries[draft.entry_count++] = (struct metadata_config_entry){record->name, record->value};
    if (draft.entry_count == 0)
        return old ? state_remove(state, METADATA_CONFIGS, old) : OK;
    return state_put(state, METADATA_CONFIGS, object_configs(state->allocator, &draft));
}

/* ---- features ---- */

static enum err feature_change(struct replay *replay, const struct feature_level_record *record)
{
    struct metadata_state *state = replay->state;
    struct metadata_feature draft = {.name = record->name, .level = record->feature_level};
    const struct feature_support *support = feature_find(record->name);
    const struct metadata_feature *old = metadata_image_feature(&state->current, record->name);

    if (slice_equal_text(record->name, FEATURE_KRAFT_VERSION))
        return OK; /* the quorum's own control records say it */
    if (record->feature_level != 0 && (!support || record->feature_level < support->level_min ||
                                       record->feature_level > support->level_max))
        return why_set(replay->why, ERR_STATE, "feature %.*s level %d is not supported here",
                       SLICE_ARGS(record->name), record->feature_level);
    if (record->feature_level == 0)
        return old ? state_remove(state, METADATA_FEATURES, old) : OK;
    return state_put(state, METADATA_FEATURES, object_feature(state->allocator, &draft));
}

/* ---- quotas ---- */

static enum err quota_parts(struct arena *arena, const struct client_quota_record *record,
                            const struct metadata_quota_part **out, size_t *count_out)
{
    size_t count = (size_t)MAX(record->entity_count, 0);
    struct metadata_quota_part *parts = ARENA_ARRAY(arena, struct metadata_quota_part, count);

    if (!parts)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct metadata_quota_part part = {record->entity[i].entity_type,
                                           record->entity[i].entity_name};
        size_t at = i;

        for (; at > 0 && slice_compare(parts[at - 1].type, part.type) > 0; at--)
            parts[at] = parts[at - 1];
        parts[at] = part;
    }
    *out = parts;
    *count_out = count;
    return OK;
}

static enum err quota_change(struct replay *replay, const struct client_quota_record *record)
{
    struct metadata_state *state = replay->state;
    struct metadata_quota draft = {0};
    const struct metadata_quota *old;
    struct metadata_quota_value *values;
    size_t old_count;
    bool placed = record->remove;

    TRY(quota_parts(&state->scratch, record, &draft.parts, &draft.part_count));
    old = tree_find(state->current.maps[METADATA_QUOTAS], METADATA_QUOTAS, &draft);
    old_count = old ? old->value_count : 0;
    values = ARENA_ARRAY(&state->scratch, struct metadata_quota_value, old_count + 1);
    if (!values)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < old_count; i++) {
        int order = slice_compare(old->values[i].key, record->key);

        if (order >= 0 && !placed) {
            values[draft.value_count++] = (struct metadata_quota_value){record->key, record->value};
            placed = true;
        }
        if (order != 0)
            values[draft.value_count++] = old->values[i];
    }
    if (!placed)
        values[draft.value_count++] = (struct metadata_quota_value){record->key, record->value};
    draft.values = values;
    if (draft.value_count == 0)
        return old ? state_remove(state, METADATA_QUOTAS, old) : OK;
    return state_put(state, METADATA_QUOTAS, object_quota(state->allocator, &draft));
}

/* ---- producer ids ---- */

static enum err producer_ids_change(struct replay *replay, const struct producer_ids_record *record)
{
    struct metadata_image *image = &replay->state->current;

    if (record->next_producer_id <= image->next_producer_id && image->next_producer_id > 0)
        return why_set(replay->why, ERR_STATE, "next producer id %lld does not grow from %lld",
                       (long long)record->next_producer_id, (long long)image->next_producer_id);
    image->next_producer_id = record->next_producer_id;
    return OK;
}

/* ---- transactions ---- */

static enum err transaction_begin(struct replay *replay)
{
    struct metadata_state *state = replay->state;

    if (state->in_transaction)
        return why_set(replay->why, ERR_STATE, "a metadata transaction inside another");
    image_share(&state->before, &state->current);
    state->in_transaction = true;
    return OK;
}

static enum err transaction_finish(struct replay *replay, bool keep)
{
    struct metadata_state *state = replay->state;
    struct metadata_provenance provenance = state->current.provenance;

    if (!state->in_transaction)
        return why_set(replay->why, ERR_STATE, "the end of a metadata transaction without begin");
    if (keep) {
        image_drop(&state->before);
    } else {
        image_drop(&state->current);
        state->current = state->before;
        state->current.provenance = provenance;
    }
    state->in_transaction = false;
    return OK;
}

enum err replay_settings(struct replay *replay, const struct metadata_record *record)
{
    switch (record->type->key) {
    case METADATA_RECORD_CONFIG:
        return config_change(replay, record->message);
    case METADATA_RECORD_FEATURE_LEVEL:
        return feature_change(replay, record->message);
    case METADATA_RECORD_CLIENT_QUOTA:
        return quota_change(replay, record->message);
    case METADATA_RECORD_PRODUCER_IDS:
        return producer_ids_change(replay, record->message);
    case METADATA_RECORD_BEGIN_TRANSACTION:
        return transaction_begin(replay);
    case METADATA_RECORD_END_TRANSACTION:
        return transaction_finish(replay, true);
    default:
        return transaction_finish(replay, false);
    }
}
