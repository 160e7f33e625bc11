/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/produce_many_test.c: Produce for more partitions than are begun in one turn; and for many while one changes,
 * and behind a stop.
 */
#include "data_support.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "server/handlers/produce_internal.h"

typedef struct produce_response_partition_produce_response answer;

enum { MANY = 200, WIDE = 40, CHANGED = 3 };

static void start(struct rig *rig, size_t shards, int32_t count)
{
    struct rig_request *request;

    rig_open(rig, shards, NULL);
    rig_topic(rig, "wide", 1, count);
    rig_publish(rig);
    request = rig_produce_wide(rig, count);
    assert_non_null(rig_wait(request));
    rig_request_free(request);
}

static struct sim_fault slow_sync(void)
{
    return (struct sim_fault){.calls = 1u << SIM_CALL_SYNC,
                              .is_sticky = true,
                              .effect = SIM_EFFECT_DELAY,
                              .delay_ns = 5000000000};
}

static void next_request_may_begin_once_all_of_many_partitions_are_queued(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;
        struct produce_response *response;

        start(&rig, shards, MANY);
        request = rig_produce_wide(&rig, MANY);
        assert_false(request->has_passed);
        response = rig_wait(request);
        assert_true(request->has_passed);
        for (int32_t i = 0; i < MANY; i++)
            assert_int_equal(response->responses[0].partition_responses[i].base_offset, 1);
        rig_request_free(request);
        rig_close(&rig);
    }
}

static void all_of_many_partitions_time_out_with_their_offsets(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct sim_fault slow = slow_sync();
        struct rig_request *request;
        struct produce_response *response;

        start(&rig, shards, MANY);
        (void)sim_fault_add(rig.os, &slow);
        request = rig_produce_wide(&rig, MANY + 1); /* and one that is not there */
        ((struct produce_request *)request->request.body)->timeout_ms = 100;
        response = rig_wait(request);
        for (int32_t i = 0; i < MANY; i++) {
            const answer *got = &response->responses[0].partition_responses[i];

            assert_int_equal(got->index, i);
            assert_int_equal(got->error_code, err_wire_code(ERR_REQUEST_TIMED_OUT));
            assert_int_equal(got->base_offset, 1);
        }
        assert_int_equal(response->responses[0].partition_responses[MANY].error_code,
                         err_wire_code(ERR_UNKNOWN_TOPIC_OR_PARTITION));
        rig_request_free(request);
        rig_close(&rig);
    }
}

static void
request_without_memory_for_all_partitions_is_closed_once_the_begun_ones_are_home(void **state)
{
    struct rig rig;
    struct sim_fault slow = slow_sync();
    struct rig_request *request;

    UNUSED(state);
    start(&rig, 1, MANY);
    (void)sim_fault_add(rig.os, &slow); /* no partition gives its memory to another one */
    rig.request_bytes_max = MANY * (sizeof(answer) + sizeof(struct produce_part) / 2);
    request = rig_produce_wide(&rig, MANY);
    assert_null(rig_wait(request));
    assert_true(request->is_closed);
    assert_false(request->has_passed); /* the next one would overtake what was not begun */
    rig_request_free(request);
    assert_int_equal(log_end_queued(rig_partition_open(&rig, 1, 0)->log), 2);
    assert_int_equal(log_end_queued(rig_partition_open(&rig, 1, MANY - 1)->log), 1);
    rig_close(&rig);
}

static void change_over(struct log_change_op *op)
{
    *(bool *)op->context = true;
}

/* The change waits for a flush that takes seconds: it is under way when the request comes, whoever owns the log. */
static void a_partition_amid_a_change_is_refused_among_many(void **state)
{
    struct sim_fault slow = slow_sync();

    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        bool is_over = false;
        struct log_change_op truncation = {.done = change_over, .context = &is_over};
        struct rig rig;
        struct rig_request *first, *second;
        struct produce_response *response;

        start(&rig, shards, WIDE);
        (void)sim_fault_add(rig.os, &slow);
        first = rig_produce_wide(&rig, WIDE);
        rig_pass(&rig, 100); /* its flush runs */
        log_truncate_fully(rig_partition_open(&rig, 1, CHANGED)->log, 0, &truncation);
        second = rig_produce_wide(&rig, WIDE + 1); /* and one that is not there */
        rig_pass(&rig, 100);
        assert_false(is_over);
        response = rig_wait(second);
        for (int32_t i = 0; i <= WIDE; i++) {
            const answer *got = &response->responses[0].partition_responses[i];

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
    start(&rig, 1, WIDE);
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
        cmocka_unit_test(next_request_may_begin_once_all_of_many_partitions_are_queued),
        cmocka_unit_test(all_of_many_partitions_time_out_with_their_offsets),
        cmocka_unit_test(
            request_without_memory_for_all_partitions_is_closed_once_the_begun_ones_are_home),
        cmocka_unit_test(a_partition_amid_a_change_is_refused_among_many),
        cmocka_unit_test(partitions_are_refused_once_the_table_has_stopped),
    };

    return cmocka_run_group_tests_name("server/produce_many", tests, NULL, NULL);
}
