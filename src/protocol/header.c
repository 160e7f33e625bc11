/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/header.c: request and response headers. Flexible versions of a message have headers with a
 * tagged section; an ApiVersions response never has one, because a client must be able to read it
 * before it knows what the broker speaks. Pure; no state.
 */
#include "protocol/message.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/request_header_data.h"
#include "protocol/generated/response_header_data.h"

#define REQUEST_HEADER_PLAIN 1
#define REQUEST_HEADER_FLEXIBLE 2
#define RESPONSE_HEADER_PLAIN 0
#define RESPONSE_HEADER_FLEXIBLE 1

static int16_t request_header_version(const struct api *api, int16_t api_version)
{
    return api_version >= api->request->flexible_min ? REQUEST_HEADER_FLEXIBLE
                                                     : REQUEST_HEADER_PLAIN;
}

static int16_t response_header_version(const struct api *api, int16_t api_version)
{
    if (api->key == API_API_VERSIONS || api_version < api->response->flexible_min)
        return RESPONSE_HEADER_PLAIN;
    return RESPONSE_HEADER_FLEXIBLE;
}

enum err request_header_decode(struct cursor *cursor, struct request_header *out)
{
    struct cursor peek = *cursor;
    struct request_header_data header;
    const struct api *api;
    int16_t key, version;

    TRY(cursor_i16(&peek, &key));
    TRY(cursor_i16(&peek, &version));
    api = api_find(key);
    if (!api)
        return ERR_UNKNOWN_API;
    peek = *cursor;
    /* No field of the header takes memory beside the bytes themselves: no arena is needed. */
    TRY(message_decode(&request_header_data_type, request_header_version(api, version), &peek, NULL,
                       &header));
    *out = (struct request_header){
        .api_key = header.request_api_key,
        .api_version = header.request_api_version,
        .correlation_id = header.correlation_id,
        .client_id = header.client_id,
    };
    *cursor = peek;
    return OK;
}

void request_header_encode(const struct request_header *header, struct writer *writer)
{
    const struct api *api = api_find(header->api_key);
    struct request_header_data data = {
        .request_api_key = header->api_key,
        .request_api_version = header->api_version,
        .correlation_id = header->correlation_id,
        .client_id = header->client_id,
    };
    enum err err;

    ASSERT(api != NULL); /* our own request */
    err = message_encode(&request_header_data_type,
                         request_header_version(api, header->api_version), &data, writer);
    /* Only a client id of more than 32767 bytes or a full writer can fail; both stick to the writer. */
    if (err != OK && writer->err == OK)
        writer->err = err;
}

void response_header_encode(int16_t api_key, int16_t api_version, int32_t correlation_id,
                            struct writer *writer)
{
    const struct api *api = api_find(api_key);

    ASSERT(api != NULL); /* an unknown key never gets as far as a response */
    writer_i32(writer, correlation_id);
    if (response_header_version(api, api_version) == RESPONSE_HEADER_FLEXIBLE)
        writer_uvarint(writer, 0);
}

enum err response_header_decode(int16_t api_key, int16_t api_version, struct cursor *cursor,
                                int32_t *correlation_id_out)
{
    const struct api *api = api_find(api_key);
    struct response_header_data header;
    struct cursor peek = *cursor;

    if (!api)
        return ERR_UNKNOWN_API;
    TRY(message_decode(&response_header_data_type, response_header_version(api, api_version), &peek,
                       NULL, &header));
    *correlation_id_out = header.correlation_id;
    *cursor = peek;
    return OK;
}
