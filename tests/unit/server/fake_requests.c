/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_requests.c: what the handlers call of dispatch, as fakes that record.
 */
#include "data_support.h"

#include "base/assert.h"
#include "server/handlers/group_request.h"

static struct rig_request *of(struct request *request)
{
    return CONTAINER_OF(request, struct rig_request, request);
}

/* ---- requests ---- */

void *request_response(struct request *request)
{
    void *response = arena_zeroed(&request->arena, 1, message_struct_bytes(request->api->response));

    message_init(request->api->response, response);
    return response;
}

static void ended(struct request *request)
{
    assert_false(of(request)->is_answered);
    of(request)->is_answered = true;
}

void rig_loan_end(struct request *request)
{
    struct request_loan *loan = TAKE(request->loan);

    if (loan)
        loan->release(loan);
}

void request_lend(struct request *request, struct request_loan *loan, size_t slices_max)
{
    UNUSED(slices_max);
    assert_null(request->loan);
    request->loan = loan;
}

void request_answer(struct request *request, void *response)
{
    CLEANUP(writer_release) struct writer writer;
    struct slice bytes;
    struct cursor cursor;

    ended(request);
    /* As the peer sees it: what was lent for the answer may go now. */
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    OKAY(message_encode(request->api->response, request->header.api_version, response, &writer));
    bytes = arena_copy(&of(request)->rig->arena, writer_slice(&writer));
    cursor = cursor_of(bytes);
    of(request)->response =
        arena_zeroed(&of(request)->rig->arena, 1, message_struct_bytes(request->api->response));
    OKAY(message_decode(request->api->response, request->header.api_version, &cursor,
                        &of(request)->rig->arena, of(request)->response));
    if (!of(request)->rig->loans_stay)
        rig_loan_end(request);
}

void request_answer_failed(struct request *request, enum err err, const char *message)
{
    UNUSED(message);
    assert_int_equal(of(request)->rests, 0); /* the answer is made of the body */
    ended(request);
    of(request)->is_failed = true;
    of(request)->failed_err = err;
}

void request_answer_nothing(struct request *request)
{
    ended(request);
    of(request)->is_nothing = true;
}

void request_close(struct request *request, const char *why)
{
    UNUSED(why);
    ended(request);
    of(request)->is_closed = true;
}

void request_rest(struct request *request)
{
    assert_true(of(request)->holds > 0);
    assert_false(of(request)->is_answered);
    of(request)->rests++;
}

void request_hold(struct request *request)
{
    of(request)->holds++;
}

void request_release_hold(struct request *request)
{
    assert_true(of(request)->holds > 0);
    of(request)->holds--;
}

void request_pass(struct request *request)
{
    assert_false(of(request)->is_answered);
    of(request)->has_passed = true;
}

void request_throttle(struct request *request, int32_t throttle_ms)
{
    of(request)->throttle_ms = MAX(of(request)->throttle_ms, throttle_ms);
}

bool request_broker_endpoint(const struct request *request, int32_t broker_id,
                             struct slice *host_out, int32_t *port_out)
{
    UNUSED(request);
    *host_out = SLICE("rig");
    *port_out = 9000 + broker_id;
    return true;
}

/* ---- transaction coordinators ---- */

void coordinator_request_call(struct request *request, const struct coordinator_kind *kind,
                              struct slice key, const void *body,
                              void (*done)(struct coordinator_call *call), void *context)
{
    struct coordinator_call call = {.request = request,
                                    .kind = kind,
                                    .body = body,
                                    .context = context,
                                    .err = ERR_COORDINATOR_NOT_AVAILABLE};

    UNUSED(key);
    done(&call);
}
