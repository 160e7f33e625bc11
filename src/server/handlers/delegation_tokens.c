/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/delegation_tokens.c: the four delegation token APIs (requests.md §3.17 of the
 * reference; KIP-48). Tokens are for authenticated clients only: on a connection without
 * authentication each is refused before anything else is looked at, as with Kafka; on others
 * because there is no secret key.
 */
#include "protocol/generated/api_keys.h"
#include "protocol/generated/create_delegation_token_request.h"
#include "protocol/generated/create_delegation_token_response.h"
#include "protocol/generated/describe_delegation_token_response.h"
#include "protocol/generated/expire_delegation_token_response.h"
#include "protocol/generated/renew_delegation_token_response.h"
#include "server/handlers/handlers.h"

#define TIMESTAMP_ERROR (-1)
#define REQUESTER_VERSION 3 /* first one that tells owner and requester apart */

static enum err refusal(const struct request *request)
{
    return slice_equal_text(request->session->kind->principal, "User:ANONYMOUS")
               ? ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
               : ERR_DELEGATION_TOKEN_AUTH_DISABLED;
}

static void principal_split(struct slice principal, struct slice *type_out, struct slice *name_out)
{
    const uint8_t *colon = memchr(principal.data, ':', principal.size_bytes);
    size_t at = colon ? (size_t)(colon - principal.data) : principal.size_bytes;

    *type_out = slice_sub(principal, 0, at);
    *name_out = colon ? slice_sub(principal, at + 1, SIZE_MAX) : SLICE_EMPTY;
}

/* The owner asked for, or the requester itself. */
static void create_refuse(struct request *request, enum err err)
{
    const struct create_delegation_token_request *asked = request->body;
    struct create_delegation_token_response *response = request_response(request);

    response->error_code = err_wire_code(err);
    principal_split(request->session->kind->principal, &response->principal_type,
                    &response->principal_name);
    if (request->header.api_version >= REQUESTER_VERSION) {
        response->token_requester_principal_type = response->principal_type;
        response->token_requester_principal_name = response->principal_name;
    }
    if (asked->owner_principal_name.size_bytes > 0 && !slice_is_null(asked->owner_principal_type)) {
        response->principal_type = asked->owner_principal_type;
        response->principal_name = asked->owner_principal_name;
    }
    response->issue_timestamp_ms = TIMESTAMP_ERROR;
    response->expiry_timestamp_ms = TIMESTAMP_ERROR;
    response->max_timestamp_ms = TIMESTAMP_ERROR;
    request_answer(request, response);
}

void handle_delegation_tokens(struct request *request)
{
    enum err err = refusal(request);

    switch (request->api->key) {
    case API_CREATE_DELEGATION_TOKEN:
        create_refuse(request, err);
        return;
    case API_RENEW_DELEGATION_TOKEN: {
        struct renew_delegation_token_response *response = request_response(request);

        response->error_code = err_wire_code(err);
        response->expiry_timestamp_ms = TIMESTAMP_ERROR;
        request_answer(request, response);
        return;
    }
    case API_EXPIRE_DELEGATION_TOKEN: {
        struct expire_delegation_token_response *response = request_response(request);

        response->error_code = err_wire_code(err);
        response->expiry_timestamp_ms = TIMESTAMP_ERROR;
        request_answer(request, response);
        return;
    }
    default: {
        struct describe_delegation_token_response *response = request_response(request);

        response->error_code = err_wire_code(err);
        request_answer(request, response);
        return;
    }
    }
}
