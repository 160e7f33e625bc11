/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/envelope.c: Envelope: a broker's client asks through it (KIP-590; kraft.md §4.7
 * and requests.md §3.19 of the reference). What is inside is taken out, asked as the client's, and
 * its answer, header and all, goes back inside. The broker does the waiting: NOT_CONTROLLER is the
 * envelope's own error.
 */
#include "protocol/generated/api_keys.h"
#include "protocol/generated/default_principal_data.h"
#include "protocol/generated/envelope_request.h"
#include "protocol/generated/envelope_response.h"
#include "server/error_response.h"
#include "server/forward.h"
#include "server/handlers/handlers.h"

#define PRINCIPAL_VERSION 0
#define RESPONSE_HEADER_BYTES_MAX 16

struct envelope {
    struct request_header header; /* of what is inside */
    const struct api *api;
    void *body;
    struct slice principal; /* "User:alice" */
};

static const int16_t forwardable[] = {
    API_CREATE_TOPICS,
    API_DELETE_TOPICS,
    API_CREATE_ACLS,
    API_DELETE_ACLS,
    API_ALTER_CONFIGS,
    API_CREATE_PARTITIONS,
    API_CREATE_DELEGATION_TOKEN,
    API_RENEW_DELEGATION_TOKEN,
    API_EXPIRE_DELEGATION_TOKEN,
    API_ELECT_LEADERS,
    API_INCREMENTAL_ALTER_CONFIGS,
    API_ALTER_PARTITION_REASSIGNMENTS,
    API_LIST_PARTITION_REASSIGNMENTS,
    API_ALTER_CLIENT_QUOTAS,
    API_ALTER_USER_SCRAM_CREDENTIALS,
    API_DESCRIBE_QUORUM,
    API_UPDATE_FEATURES,
    API_UNREGISTER_BROKER,
    API_ALLOCATE_PRODUCER_IDS,
    API_ADD_RAFT_VOTER,
    API_REMOVE_RAFT_VOTER,
    API_UNREGISTER_CONTROLLER,
};

static bool is_forwardable(int16_t api_key)
{
    for (size_t i = 0; i < ARRAY_COUNT(forwardable); i++)
        if (forwardable[i] == api_key)
            return true;
    return false;
}

/* ---- out of the envelope ---- */

static enum err principal_read(struct request *request, struct slice bytes, struct slice *out)
{
    struct cursor cursor = cursor_of(bytes);
    struct default_principal_data data;
    int16_t version;

    if (slice_is_null(bytes) || cursor_i16(&cursor, &version) != OK ||
        version != PRINCIPAL_VERSION ||
        message_decode(&default_principal_data_type, version, &cursor, &request->arena, &data) !=
            OK)
        return ERR_PRINCIPAL_DESERIALIZATION_FAILURE;
    *out = arena_format_slice(&request->arena, "%.*s:%.*s", SLICE_ARGS(data.type),
                              SLICE_ARGS(data.name));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

static enum err body_read(struct request *request, struct cursor *cursor, struct envelope *out)
{
    int16_t version = out->header.api_version;
    enum err err;

    if (version < out->api->request->version_min || version > out->api->request->version_max)
        return ERR_UNSUPPORTED_VERSION;
    out->body = arena_allocate(&request->arena, message_struct_bytes(out->api->request));
    if (!out->body)
        return ERR_NO_MEMORY;
    err = message_decode(out->api->request, version, cursor, &request->arena, out->body);
    return err == OK || err == ERR_NO_MEMORY ? err : ERR_UNSUPPORTED_VERSION;
}

/* In Kafka's order: principal, address, header, may it be forwarded, body. */
static enum err envelope_open(struct request *request, struct envelope *out)
{
    const struct envelope_request *body = request->body;
    struct cursor cursor = cursor_of(body->request_data);

    TRY(principal_read(request, body->request_principal, &out->principal));
    if (body->client_host_address.size_bytes != 4 && body->client_host_address.size_bytes != 16)
        return ERR_INVALID_REQUEST;
    if (request_header_decode(&cursor, &out->header) != OK)
        return ERR_UNSUPPORTED_VERSION;
    out->api = api_find(out->header.api_key);
    if (!out->api)
        return ERR_UNSUPPORTED_VERSION;
    if (!is_forwardable(out->header.api_key))
        return ERR_INVALID_REQUEST;
    if (slice_is_null(out->header.client_id))
        out->header.client_id = SLICE_EMPTY;
    return body_read(request, &cursor, out);
}

/* ---- and back into it ---- */

static enum err answer_encode(struct request *request, const struct envelope *envelope,
                              const void *inner, struct slice *out)
{
    int16_t version = envelope->header.api_version;
    struct writer writer;
    size_t size_bytes;
    uint8_t *bytes;

    TRY(message_size(envelope->api->response, version, inner, &size_bytes));
    size_bytes += RESPONSE_HEADER_BYTES_MAX;
    if (request->arena.limit_bytes < SIZE_MAX - size_bytes)
        request->arena.limit_bytes += size_bytes; /* the answer was let in: so is its copy */
    bytes = arena_allocate(&request->arena, size_bytes);
    if (!bytes)
        return ERR_NO_MEMORY;
    writer_init_fixed(&writer, bytes, size_bytes);
    response_header_encode(envelope->api->key, version, envelope->header.correlation_id, &writer);
    TRY(message_encode(envelope->api->response, version, inner, &writer));
    *out = writer_slice(&writer);
    return OK;
}

static void envelope_answer(struct request *request, const struct envelope *envelope,
                            const void *inner)
{
    struct envelope_response *response = request_response(request);
    enum err err = inner ? answer_encode(request, envelope, inner, &response->response_data)
                         : ERR_UNKNOWN_SERVER_ERROR;

    response->error_code = err_wire_code(err);
    request_answer(request, response);
}

static bool is_not_controller(const struct forward *forward, enum err err)
{
    return err == ERR_NOT_CONTROLLER ||
           (forward->api->key == API_DESCRIBE_QUORUM && forward->bridge &&
            forward->bridge->raft_err == ERR_NOT_LEADER_OR_FOLLOWER);
}

static void answered(struct forward *forward, void *inner, enum err err)
{
    struct request *request = forward->request;
    int32_t *throttle_ms;

    if (is_not_controller(forward, err)) {
        request_answer_failed(request, ERR_NOT_CONTROLLER, NULL);
        return;
    }
    throttle_ms = inner ? message_field(forward->api->response, "throttleTimeMs", inner) : NULL;
    if (throttle_ms)
        *throttle_ms = forward->quota.throttle_ms;
    envelope_answer(request, forward->context, inner);
}

/* What nobody needs to be asked about. */
static const void *refused_inside(struct request *request, const struct envelope *envelope)
{
    bool is_token = envelope->api->key == API_CREATE_DELEGATION_TOKEN ||
                    envelope->api->key == API_RENEW_DELEGATION_TOKEN ||
                    envelope->api->key == API_EXPIRE_DELEGATION_TOKEN;

    return error_response_build(
        envelope->api, envelope->header.api_version, envelope->body, &request->arena,
        is_token ? ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED : ERR_SECURITY_DISABLED,
        is_token ? NULL : "No Authorizer is configured.");
}

static void envelope_send(struct request *request, struct envelope *envelope)
{
    struct forward *forward = forward_create(request);

    if (!forward)
        return;
    forward->api = envelope->api;
    forward->api_version = envelope->header.api_version;
    forward->body = envelope->body;
    forward->principal = envelope->principal;
    forward->client_id = envelope->header.client_id;
    forward->waits = false;
    forward->forwarded = true;
    forward->throttles = false;
    forward->finish = answered;
    forward->context = envelope;
    forward_send(forward);
}

void handle_envelope(struct request *request)
{
    struct envelope *envelope = ARENA_NEW(&request->arena, struct envelope);
    enum err err = envelope ? envelope_open(request, envelope) : ERR_NO_MEMORY;

    if (err != OK)
        request_answer_failed(request, err, NULL);
    else if (forward_handles(envelope->api->key))
        envelope_send(request, envelope);
    else
        envelope_answer(request, envelope, refused_inside(request, envelope));
}
