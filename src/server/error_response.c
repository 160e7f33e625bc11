/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response.c: the answer to a request that failed as a whole, in the form that each
 * API has for it: one code at the top, or the same code for everything that was asked for
 * (error_response_forms.c). The controller's own APIs have theirs in controller/error_response.c.
 */
#include "server/error_response.h"

#include "base/assert.h"
#include "controller/controller.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/messages.h"
#include "server/error_response_forms.h"
#include "server/request_internal.h"

struct failure {
    const struct api *api;
    int16_t version;
    const void *body;
    struct arena *arena;
    enum err err;
    struct slice text; /* null: none */
};

static void *controller_response(const struct failure *failure)
{
    struct controller_request asked = {
        .api_key = failure->api->key, .api_version = failure->version, .body = failure->body};
    struct why why = {0};
    void *response;

    if (!slice_is_null(failure->text))
        why_set(&why, failure->err, "%.*s", SLICE_ARGS(failure->text));
    return controller_error_response(&asked, failure->err, &why, failure->arena, &response) == OK
               ? response
               : NULL;
}

static struct slice text_of(const struct failure *failure, enum error_text text)
{
    switch (text) {
    case ERROR_TEXT_SAID:
        return failure->text;
    case ERROR_TEXT_OF_CODE:
        return slice_from_text(err_text(failure->err));
    case ERROR_TEXT_NONE:
        break;
    }
    return SLICE_NULL;
}

static enum err form_fill(const struct failure *failure, const struct error_form *form,
                          void *response)
{
    struct mirror_verdict verdict = {.code = err_wire_code(failure->err),
                                     .text = text_of(failure, form->text)};

    TRY(mirror_answer(&form->mirror, failure->api, failure->version, failure->body, verdict,
                      failure->arena, response));
    if (form->add)
        form->add(failure->version, failure->body, response);
    return OK;
}

static void *broker_response(const struct failure *failure)
{
    static const struct error_form at_the_top = {0};
    const struct message_type *type = failure->api->response;
    void *response = arena_zeroed(failure->arena, 1, message_struct_bytes(type));
    const struct error_form *form = error_form_find(failure->api->key, failure->version);

    if (!response)
        return NULL;
    if (!form && !message_field(type, "errorCode", response))
        return NULL;
    message_init(type, response);
    return form_fill(failure, form ? form : &at_the_top, response) == OK ? response : NULL;
}

void *error_response_build(const struct api *api, int16_t version, const void *body,
                           struct arena *arena, enum err err, const char *message)
{
    struct failure failure = {.api = api,
                              .version = version,
                              .body = body,
                              .arena = arena,
                              .err = err,
                              .text = arena_copy(arena, slice_from_text(message))};

    return controller_handles(api->key) ? controller_response(&failure) : broker_response(&failure);
}

/* A failure for lack of memory still needs room for its answer. */
#define ROOM_BYTES (256 * KIB)

void *error_response_make(struct request *request, enum err err, const char *message)
{
    ASSERT(request->body || request->frame); /* who let it rest makes the answer */
    if (!request->body)
        return NULL;
    if (request->api->key == API_PRODUCE &&
        ((const struct produce_request *)request->body)->acks == 0)
        return NULL;
    if (request->arena.limit_bytes < SIZE_MAX - ROOM_BYTES)
        request->arena.limit_bytes += ROOM_BYTES;
    return error_response_build(request->api, request->header.api_version, request->body,
                                &request->arena, err, message);
}
