/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/replay_access.c: records about SCRAM credentials, ACLs and delegation tokens.
 */
#include "metadata/metadata_internal.h"

#include "protocol/generated/messages.h"

static enum err scram_set(struct replay *replay, const struct user_scram_credential_record *record)
{
    struct metadata_scram draft = {
        .user = record->name,
        .mechanism = record->mechanism,
        .salt = record->salt,
        .stored_key = record->stored_key,
        .server_key = record->server_key,
        .iterations = record->iterations,
    };

    return state_put(replay->state, METADATA_SCRAMS,
                     object_scram(replay->state->allocator, &draft));
}

static enum err scram_remove(struct replay *replay,
                             const struct remove_user_scram_credential_record *record)
{
    const struct metadata_scram *scram =
        metadata_image_scram(&replay->state->current, record->name, record->mechanism);

    if (!scram)
        return why_set(replay->why, ERR_STATE, "user %.*s has no credential of mechanism %d",
                       SLICE_ARGS(record->name), record->mechanism);
    return state_remove(replay->state, METADATA_SCRAMS, scram);
}

static enum err acl_set(struct replay *replay, const struct access_control_entry_record *record)
{
    struct metadata_acl draft = {
        .id = record->id,
        .resource_type = record->resource_type,
        .resource_name = record->resource_name,
        .pattern_type = record->pattern_type,
        .principal = record->principal,
        .host = record->host,
        .operation = record->operation,
        .permission = record->permission_type,
    };

    return state_put(replay->state, METADATA_ACLS, object_acl(replay->state->allocator, &draft));
}

static enum err acl_remove(struct replay *replay,
                           const struct remove_access_control_entry_record *record)
{
    const struct metadata_acl *acl = metadata_image_acl(&replay->state->current, record->id);
    char text[UUID_TEXT_BYTES];

    if (!acl) {
        uuid_to_text(record->id, text);
        return why_set(replay->why, ERR_STATE, "there is no access control entry %s", text);
    }
    return state_remove(replay->state, METADATA_ACLS, acl);
}

static enum err token_set(struct replay *replay, const struct delegation_token_record *record)
{
    struct metadata_token draft = {
        .owner = record->owner,
        .requester = record->requester,
        .renewers = record->renewers,
        .renewer_count = (size_t)MAX(record->renewers_count, 0),
        .issue_ms = record->issue_timestamp,
        .max_ms = record->max_timestamp,
        .expiry_ms = record->expiration_timestamp,
        .id = record->token_id,
    };

    return state_put(replay->state, METADATA_TOKENS,
                     object_token(replay->state->allocator, &draft));
}

static enum err token_remove(struct replay *replay,
                             const struct remove_delegation_token_record *record)
{
    const struct metadata_token *token =
        metadata_image_token(&replay->state->current, record->token_id);

    return token ? state_remove(replay->state, METADATA_TOKENS, token) : OK;
}

enum err replay_access(struct replay *replay, const struct metadata_record *record)
{
    switch (record->type->key) {
    case METADATA_RECORD_USER_SCRAM_CREDENTIAL:
        return scram_set(replay, record->message);
    case METADATA_RECORD_REMOVE_USER_SCRAM_CREDENTIAL:
        return scram_remove(replay, record->message);
    case METADATA_RECORD_ACCESS_CONTROL_ENTRY:
        return acl_set(replay, record->message);
    case METADATA_RECORD_REMOVE_ACCESS_CONTROL_ENTRY:
        return acl_remove(replay, record->message);
    case METADATA_RECORD_DELEGATION_TOKEN:
        return token_set(replay, record->message);
    default:
        return token_remove(replay, record->message);
    }
}
