/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/produce_change_test.c: Produce for many partitions while one changes, and behind a stop.
 */
#include "data_support.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "server/handlers/produce_internal.h"

enum { WIDE = 40, CHANGED = 3 };

static void start(struct rig *rig, size_t shards)
{
    struct rig_request *request;

    rig_open(rig, shards, NULL);
    rig_topic(rig, "wide", 1, WIDE);
    rig_publish(rig);
    request = rig_produce_wide(rig, WIDE);
    assert_non_null(rig_wait(request));
    rig_request_free(request);
}

static void change_over(struct log_change_op *op)
{
    *(bool *)op->context = true;
}

/* The change waits for a flush that takes seconds: it is under way when the request comes, whoever owns the log. */
static void a_partition_amid_a_change_is_refused_among_many(void **state)
{
    struct sim_fault slow = {.calls = 1u << SIM_CALL_SYNC,
                             .is_sticky = true,
                             .effect = SIM_EFFECT_DELAY,
                             .delay_ns = 5000000000};

    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        bool is_over = false;
        struct log_change_op truncation = {.done = change_over, .context = &is_over};
        struct rig rig;
        struct rig_request *first, *second;
        struct produce_response *response;

        start(&rig, shards);
        (void)sim_fault_add(rig.os, &slow);
        first = rig_produce_wide(&rig, WIDE);
        rig_pass(&rig, 100); /* its flush runs */
        log_truncate_fully(rig_partition_open(&rig, 1, CHANGED)->log, 0, &truncation);
        second = rig_produce_wide(&rig, WIDE + 1); /* and one that is not there */
        rig_pass(&rig, 100);
        assert_false(is_over);
        response = rig_wait(second);
        for (int32_t i = 0; i <= WIDE; i++) {
            const struct produce_response_partition_produce_response *got =
                &response->responses[0].partition_responses[i];

            if (i == WIDE)
                assert_int_equal(got->error_code, err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
            else if (i == CHANGED)
                assert_int_equal(got->error_code, err_wire_code(ERR_NOT_LEADER_OR_FOLLOWER));
            else
                assert_int_equal(got->base_offset, 2);
        }
        (void)rig_wait(first);
        rig_pass(&rig, 20000);
        assert_true(is_over);
        assert_int_equal(log_end_queued(rig_partition_open(&rig, 1, CHANGED)->log), 0);
        rig_request_free(first);
        rig_request_free(second);
        rig_close(&rig);
    }
}

/* What comes behind the stop, and what had come before and still stands in a partition's queue. */
static void partitions_are_refused_once_the_table_has_stopped(void **state)
{
    struct rig rig;
    struct rig_request *request;
    struct produce_response *response;
    struct hosted *busy;

    UNUSED(state);
    start(&rig, 1);
    busy = hosted_of(rig_partition_open(&rig, 1, CHANGED));
    busy->produce_busy = true; /* as while a job checks a batch */
    request = rig_produce_wide(&rig, WIDE);
    rig_pass(&rig, 100);
    assert_false(list_is_empty(&busy->produce_queue));
    partition_table_stop(rig.shards[0].partitions);
    busy->produce_busy = false;
    produce_queue_run(busy);
    response = rig_wait(request);
    for (int32_t i = 0; i < WIDE; i++)
        assert_int_equal(response->responses[0].partition_responses[i].error_code,
                         i == CHANGED ? err_wire_code(ERR_NOT_LEADER_OR_FOLLOWER) : 0);
    rig_request_free(request);
    request = rig_produce_wide(&rig, WIDE);
    response = rig_wait(request);
    for (int32_t i = 0; i < WIDE; i++)
        assert_int_equal(response->responses[0].partition_responses[i].error_code,
                         err_wire_code(ERR_NOT_LEADER_OR_FOLLOWER));
    rig_request_free(request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partition_amid_a_change_is_refused_among_many),
        cmocka_unit_test(partitions_are_refused_once_the_table_has_stopped),
    };

    return cmocka_run_group_tests_name("server/produce_change", tests, NULL, NULL);
}
