/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fetch_held_test.c: what is lent for answers that their clients do not read is counted, and has a
 * limit (fetch_memory.c).
 */
#include "data_support.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "server/fetch_internal.h"

static struct rig_request *fetch(struct rig *rig, int32_t index)
{
    struct fetch_request *body = rig_fetch_body(rig, 1);
    struct rig_request *request;

    body->topics->partitions->partition = index;
    request = rig_begin(rig, 0, API_FETCH, 13, body, handle_fetch);
    assert_non_null(rig_wait(request));
    return request;
}

static const struct fetch_response_partition_data *answer_of(const struct rig_request *request)
{
    const struct fetch_response *response = request->response;

    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses->partitions_count, 1);
    assert_int_equal(response->responses->partitions->error_code, 0);
    assert_int_equal(response->responses->partitions->high_watermark, 3);
    return response->responses->partitions;
}

static void start(struct rig *rig)
{
    rig_start(rig, 1, 3);
    for (int32_t i = 0; i < 3; i++)
        rig_produce(rig, i, &(struct rig_batch){.count = 3, .value_bytes = 100});
}

static void what_clients_do_not_read_has_a_limit_behind_which_fetches_bring_no_records(void **state)
{
    struct rig rig;
    struct rig_request *unread, *second, *third;
    struct fetch_service *service;
    size_t held_bytes;

    UNUSED(state);
    start(&rig);
    service = rig.shards[0].fetches;
    rig.loans_stay = true;
    unread = fetch(&rig, 0);
    assert_true(answer_of(unread)->records.size_bytes > 300);
    held_bytes = service->held_bytes;
    assert_true(held_bytes >= answer_of(unread)->records.size_bytes);
    service->held_bytes = FETCH_HELD_BYTES_MAX; /* many such clients */
    second = fetch(&rig, 1);
    assert_int_equal(answer_of(second)->records.size_bytes, 0);
    assert_false(slice_is_null(answer_of(second)->records));
    assert_int_equal(service->held_bytes, FETCH_HELD_BYTES_MAX);
    rig_request_free(unread); /* its last byte is with the kernel */
    third = fetch(&rig, 1);
    assert_true(answer_of(third)->records.size_bytes > 300);
    rig_request_free(second);
    rig_request_free(third);
    service->held_bytes -= FETCH_HELD_BYTES_MAX - held_bytes;
    rig_close(&rig);
}

static void what_is_held_is_given_back_when_it_was_read(void **state)
{
    struct rig rig;
    struct rig_request *requests[3];
    struct fetch_service *service;
    size_t before;

    UNUSED(state);
    start(&rig);
    service = rig.shards[0].fetches;
    before = service->held_bytes;
    rig.loans_stay = true;
    for (int32_t i = 0; i < 3; i++) {
        size_t held_bytes = service->held_bytes;

        requests[i] = fetch(&rig, i);
        assert_true(service->held_bytes > held_bytes);
    }
    for (int i = 0; i < 3; i++) {
        size_t held_bytes = service->held_bytes;

        rig_request_free(requests[i]);
        assert_true(service->held_bytes < held_bytes);
    }
    assert_int_equal(service->held_bytes, before);
    rig_close(&rig);
}

static void a_fetch_is_admitted_when_nothing_is_held_however_large_it_is(void **state)
{
    struct rig rig;
    struct rig_request *request;

    UNUSED(state);
    start(&rig);
    assert_int_equal(rig.shards[0].fetches->held_bytes, 0);
    request = fetch(&rig, 2);
    assert_true(answer_of(request)->records.size_bytes > 300);
    rig_request_free(request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_clients_do_not_read_has_a_limit_behind_which_fetches_bring_no_records),
        cmocka_unit_test(what_is_held_is_given_back_when_it_was_read),
        cmocka_unit_test(a_fetch_is_admitted_when_nothing_is_held_however_large_it_is),
    };

    return cmocka_run_group_tests_name("server/fetch_held", tests, NULL, NULL);
}
