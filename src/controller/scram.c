/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/scram.c: AlterUserScramCredentials. The client sends salt and salted password; stored key
 * and server key are worked out here, so that the log never holds what a client proves itself with.
 * Invariant  a user is changed at most once in a request; asking twice refuses both. What is wrong with
 *            the first is told before that.
 */
#include "controller/controller_internal.h"

#include "security/scram_keys.h"

/* A deletion or an upsertion. */
struct credential {
    struct slice user;
    int8_t mechanism;
    const struct alter_user_scram_credentials_request_scram_credential_upsertion *upsertion;
    enum err err;
    const char *text;
};

static enum err credential_refuse(struct credential *credential, enum err err, const char *text)
{
    credential->text = text;
    return err;
}

static enum err credential_check(const struct call *call, struct credential *credential)
{
    if (call->metadata_version < METADATA_VERSION_SCRAM)
        return credential_refuse(credential, ERR_UNSUPPORTED_VERSION,
                                 "The current metadata.version does not support SCRAM");
    if (credential->user.size_bytes == 0)
        return credential_refuse(credential, ERR_UNACCEPTABLE_CREDENTIAL,
                                 "Username must not be empty");
    if (credential->mechanism != SCRAM_SHA_256 && credential->mechanism != SCRAM_SHA_512)
        return credential_refuse(credential, ERR_UNSUPPORTED_SASL_MECHANISM,
                                 "Unknown SCRAM mechanism");
    if (!credential->upsertion) {
        if (!metadata_image_scram(call->image, credential->user, credential->mechanism))
            return credential_refuse(credential, ERR_RESOURCE_NOT_FOUND,
                                     "Attempt to delete a user credential that does not exist");
        return OK;
    }
    if (credential->upsertion->iterations < SCRAM_ITERATIONS_MIN)
        return credential_refuse(credential, ERR_UNACCEPTABLE_CREDENTIAL, "Too few iterations");
    if (credential->upsertion->iterations > SCRAM_ITERATIONS_MAX)
        return credential_refuse(credential, ERR_UNACCEPTABLE_CREDENTIAL, "Too many iterations");
    return OK;
}

static enum err deletion_record(struct call *call, const struct credential *credential)
{
    struct remove_user_scram_credential_record *record;

    TRY(record_add(call, METADATA_RECORD_REMOVE_USER_SCRAM_CREDENTIAL, 0, &record));
    record->name = credential->user;
    record->mechanism = credential->mechanism;
    return OK;
}

static enum err upsertion_record(struct call *call, const struct credential *credential)
{
    struct user_scram_credential_record *record;
    enum scram_mechanism mechanism = (enum scram_mechanism)credential->mechanism;
    struct slice salted = credential->upsertion->salted_password;
    size_t size_bytes = scram_key_bytes(mechanism);
    uint8_t *stored_key = arena_allocate(call->arena, size_bytes);
    uint8_t *server_key = arena_allocate(call->arena, size_bytes);

    if (!stored_key || !server_key)
        return ERR_NO_MEMORY;
    scram_stored_key(mechanism, salted, stored_key);
    scram_server_key(mechanism, salted, server_key);
    TRY(record_add(call, METADATA_RECORD_USER_SCRAM_CREDENTIAL, 0, &record));
    record->name = credential->user;
    record->mechanism = credential->mechanism;
    record->salt = credential->upsertion->salt;
    record->iterations = credential->upsertion->iterations;
    record->stored_key = slice_of(stored_key, size_bytes);
    record->server_key = slice_of(server_key, size_bytes);
    return OK;
}

static enum err credentials_collect(struct call *call,
                                    const struct alter_user_scram_credentials_request *request,
                                    struct credential **out, size_t *count_out)
{
    size_t deletions = (size_t)MAX(request->deletions_count, 0);
    size_t upsertions = (size_t)MAX(request->upsertions_count, 0);
    struct credential *credentials =
        ARENA_ARRAY(call->arena, struct credential, deletions + upsertions);
    struct slice *users = ARENA_ARRAY(call->arena, struct slice, deletions + upsertions);
    enum name_repeat *repeats;
    size_t kept = 0;

    if (!credentials || !users)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < deletions; i++)
        credentials[i] = (struct credential){.user = request->deletions[i].name,
                                             .mechanism = request->deletions[i].mechanism};
    for (size_t i = 0; i < upsertions; i++)
        credentials[deletions + i] =
            (struct credential){.user = request->upsertions[i].name,
                                .mechanism = request->upsertions[i].mechanism,
                                .upsertion = &request->upsertions[i]};
    for (size_t i = 0; i < deletions + upsertions; i++)
        users[i] = credentials[i].user;
    TRY(names_repeated(call->arena, users, deletions + upsertions, &repeats));
    for (size_t i = 0; i < deletions + upsertions; i++) {
        struct credential credential = credentials[i];

        if (repeats[i] == NAME_AGAIN)
            continue;
        credential.err = credential_check(call, &credential);
        if (credential.err == OK && repeats[i] != NAME_ONCE)
            credential.err =
                credential_refuse(&credential, ERR_DUPLICATE_RESOURCE,
                                  "A user credential cannot be altered twice in the same request");
        credentials[kept++] = credential;
    }
    *out = credentials;
    *count_out = kept;
    return OK;
}

/* What was done comes first, deletions before upsertions, then the refusals. */
enum err decide_alter_scram(struct call *call, const void *body, void *answer)
{
    struct alter_user_scram_credentials_response *response = answer;
    struct credential *credentials;
    size_t count;

    if (!call_allowed(call, OPERATION_ALTER, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    TRY(credentials_collect(call, body, &credentials, &count));
    response->results =
        alter_user_scram_credentials_response_alter_user_scram_credentials_result_array(call->arena,
                                                                                        count);
    if (!response->results)
        return ERR_NO_MEMORY;
    for (int refused = 0; refused < 2; refused++) {
        for (size_t i = 0; i < count; i++) {
            const struct credential *credential = &credentials[i];
            struct alter_user_scram_credentials_response_alter_user_scram_credentials_result
                *result = &response->results[response->results_count];

            if ((credential->err != OK) != (refused == 1))
                continue;
            response->results_count++;
            result->user = credential->user;
            result->error_code = item_code(credential->err);
            result->error_message = slice_from_text(credential->text);
            if (credential->err == OK)
                TRY(credential->upsertion ? upsertion_record(call, credential)
                                          : deletion_record(call, credential));
        }
    }
    return call_records_check(call);
}
