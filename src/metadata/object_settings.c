/* SPDX-License-Identifier: Apache-2.0 */
/* metadata/object_settings.c: settings, quotas, and who may do what, as objects of an image (object.c). */
#include "metadata/object_pack.h"

/* ---- settings ---- */

static void configs_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_configs *from = draft;
    struct metadata_configs *to = object;
    struct metadata_config_entry *entries =
        pack_array(pack, from->entries, from->entry_count, sizeof *entries);

    to->resource_name = pack_slice(pack, from->resource_name);
    for (size_t i = 0; i < from->entry_count; i++) {
        struct slice key = pack_slice(pack, from->entries[i].key);
        struct slice value = pack_slice(pack, from->entries[i].value);

        if (entries)
            entries[i] = (struct metadata_config_entry){key, value};
    }
    to->entries = entries;
}

struct metadata_configs *object_configs(struct allocator *allocator,
                                        const struct metadata_configs *draft)
{
    struct metadata_configs *configs = object_make(allocator, draft, sizeof *draft, configs_pack);
    uint64_t hash;

    if (!configs)
        return NULL;
    hash = hash_mix(METADATA_CONFIGS + 1, (uint64_t)configs->resource_type);
    hash = hash_mix_slice(hash, configs->resource_name);
    for (size_t i = 0; i < configs->entry_count; i++) {
        hash = hash_mix_slice(hash, configs->entries[i].key);
        hash = hash_mix_slice(hash, configs->entries[i].value);
    }
    configs->object.hash = hash;
    return configs;
}

static void feature_pack(struct pack *pack, const void *draft, void *object)
{
    ((struct metadata_feature *)object)->name =
        pack_slice(pack, ((const struct metadata_feature *)draft)->name);
}

struct metadata_feature *object_feature(struct allocator *allocator,
                                        const struct metadata_feature *draft)
{
    struct metadata_feature *feature = object_make(allocator, draft, sizeof *draft, feature_pack);

    if (feature)
        feature->object.hash = hash_mix(hash_mix_slice(METADATA_FEATURES + 1, feature->name),
                                        (uint64_t)feature->level);
    return feature;
}

static void quota_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_quota *from = draft;
    struct metadata_quota *to = object;
    struct metadata_quota_part *parts =
        pack_array(pack, from->parts, from->part_count, sizeof *parts);
    struct metadata_quota_value *values =
        pack_array(pack, from->values, from->value_count, sizeof *values);

    for (size_t i = 0; i < from->part_count; i++) {
        struct slice type = pack_slice(pack, from->parts[i].type);
        struct slice name = pack_slice(pack, from->parts[i].name);

        if (parts)
            parts[i] = (struct metadata_quota_part){type, name};
    }
    for (size_t i = 0; i < from->value_count; i++) {
        struct slice key = pack_slice(pack, from->values[i].key);

        if (values)
            values[i].key = key;
    }
    to->parts = parts;
    to->values = values;
}

struct metadata_quota *object_quota(struct allocator *allocator, const struct metadata_quota *draft)
{
    struct metadata_quota *quota = object_make(allocator, draft, sizeof *draft, quota_pack);
    uint64_t hash = METADATA_QUOTAS + 1;

    if (!quota)
        return NULL;
    for (size_t i = 0; i < quota->part_count; i++) {
        hash = hash_mix_slice(hash, quota->parts[i].type);
        hash = hash_mix_slice(hash, quota->parts[i].name);
    }
    for (size_t i = 0; i < quota->value_count; i++) {
        uint64_t bits;

        memcpy(&bits, &quota->values[i].value, sizeof bits);
        hash = hash_mix_slice(hash, quota->values[i].key);
        hash = hash_mix(hash, bits);
    }
    quota->object.hash = hash;
    return quota;
}

/* ---- access ---- */

static void scram_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_scram *from = draft;
    struct metadata_scram *to = object;

    to->user = pack_slice(pack, from->user);
    to->salt = pack_slice(pack, from->salt);
    to->stored_key = pack_slice(pack, from->stored_key);
    to->server_key = pack_slice(pack, from->server_key);
}

struct metadata_scram *object_scram(struct allocator *allocator, const struct metadata_scram *draft)
{
    struct metadata_scram *scram = object_make(allocator, draft, sizeof *draft, scram_pack);
    uint64_t hash;

    if (!scram)
        return NULL;
    hash = hash_mix_slice(METADATA_SCRAMS + 1, scram->user);
    hash = hash_mix(hash, (uint64_t)scram->mechanism);
    hash = hash_mix_slice(hash, scram->salt);
    hash = hash_mix_slice(hash, scram->stored_key);
    hash = hash_mix_slice(hash, scram->server_key);
    scram->object.hash = hash_mix(hash, (uint32_t)scram->iterations);
    return scram;
}

static void acl_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_acl *from = draft;
    struct metadata_acl *to = object;

    to->resource_name = pack_slice(pack, from->resource_name);
    to->principal = pack_slice(pack, from->principal);
    to->host = pack_slice(pack, from->host);
}

struct metadata_acl *object_acl(struct allocator *allocator, const struct metadata_acl *draft)
{
    struct metadata_acl *acl = object_make(allocator, draft, sizeof *draft, acl_pack);
    uint64_t hash;

    if (!acl)
        return NULL;
    hash = hash_mix_uuid(METADATA_ACLS + 1, acl->id);
    hash = hash_mix(hash, (uint64_t)acl->resource_type);
    hash = hash_mix_slice(hash, acl->resource_name);
    hash = hash_mix(hash, (uint64_t)acl->pattern_type);
    hash = hash_mix_slice(hash, acl->principal);
    hash = hash_mix_slice(hash, acl->host);
    hash = hash_mix(hash, (uint64_t)acl->operation);
    acl->object.hash = hash_mix(hash, (uint64_t)acl->permission);
    return acl;
}

static void token_pack(struct pack *pack, const void *draft, void *object)
{
    const struct metadata_token *from = draft;
    struct metadata_token *to = object;
    struct slice *renewers =
        pack_array(pack, from->renewers, from->renewer_count, sizeof *renewers);

    to->owner = pack_slice(pack, from->owner);
    to->requester = pack_slice(pack, from->requester);
    to->id = pack_slice(pack, from->id);
    for (size_t i = 0; i < from->renewer_count; i++) {
        struct slice renewer = pack_slice(pack, from->renewers[i]);

        if (renewers)
            renewers[i] = renewer;
    }
    to->renewers = renewers;
}

struct metadata_token *object_token(struct allocator *allocator, const struct metadata_token *draft)
{
    struct metadata_token *token = object_make(allocator, draft, sizeof *draft, token_pack);
    uint64_t hash;

    if (!token)
        return NULL;
    hash = hash_mix_slice(METADATA_TOKENS + 1, token->id);
    hash = hash_mix_slice(hash, token->owner);
    hash = hash_mix_slice(hash, token->requester);
    for (size_t i = 0; i < token->renewer_count; i++)
        hash = hash_mix_slice(hash, token->renewers[i]);
    hash = hash_mix(hash, (uint64_t)token->issue_ms);
    hash = hash_mix(hash, (uint64_t)token->max_ms);
    token->object.hash = hash_mix(hash, (uint64_t)token->expiry_ms);
    return token;
}
