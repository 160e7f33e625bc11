/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/produce_turns_test.c: where the turns of a Produce request begin and end (PRODUCE_PARTS_A_TURN partitions each),
 * and what may happen between two of them.
 */
#include "data_support.h"

#include <stdio.h>

#include "protocol/generated/api_keys.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "server/handlers/produce_internal.h"

typedef struct produce_response_partition_produce_response answer;
typedef struct produce_request_topic_produce_data asked_topic;

enum { A_TURN = PRODUCE_PARTS_A_TURN, MANY = 3 * PRODUCE_PARTS_A_TURN + 8, AGAIN = 3 };

/* ---- requests ---- */

static int records_of(int32_t index)
{
    return 1 + index % 3;
}

static struct produce_request *body_make(struct rig *rig, int16_t acks, int32_t topics)
{
    struct produce_request *body = rig_produce_body(rig, 0, SLICE_NULL);

    body->acks = acks;
    body->topic_data = produce_request_topic_produce_data_array(&rig->arena, (size_t)topics);
    body->topic_data_count = topics;
    return body;
}

static asked_topic *topic_fill(struct rig *rig, struct produce_request *body, int32_t at,
                               const char *name, uint32_t id)
{
    asked_topic *topic = &body->topic_data[at];

    topic->name = arena_copy(&rig->arena, slice_from_text(name));
    topic->topic_id = rig_id(id);
    return topic;
}

/* Room for so many partitions; the first ones, in order, with records_of records each. */
static void partitions_fill(struct rig *rig, asked_topic *topic, int32_t count, int32_t room)
{
    topic->partition_data =
        produce_request_partition_produce_data_array(&rig->arena, (size_t)MAX(room, 1));
    topic->partition_data_count = room;
    for (int32_t i = 0; i < count; i++) {
        topic->partition_data[i].index = i;
        topic->partition_data[i].records =
            rig_batch(rig, &(struct rig_batch){.count = records_of(i), .value_bytes = 10});
    }
}

static void partition_put(struct rig *rig, asked_topic *topic, int32_t at, int32_t index, int count)
{
    topic->partition_data[at].index = index;
    topic->partition_data[at].records =
        rig_batch(rig, &(struct rig_batch){.count = count, .value_bytes = 10});
}

static struct rig_request *begin(struct rig *rig, int16_t version, struct produce_request *body)
{
    return rig_begin(rig, 0, API_PRODUCE, version, body, handle_produce);
}

static struct rig_request *wide_begin(struct rig *rig, int16_t acks, int32_t count)
{
    struct produce_request *body = body_make(rig, acks, 1);

    partitions_fill(rig, topic_fill(rig, body, 0, "wide", 1), count, count);
    return begin(rig, 9, body);
}

/* Topic "wide" with every partition open and empty. */
static void start(struct rig *rig, size_t shards, int32_t count)
{
    rig_open(rig, shards, NULL);
    rig_topic(rig, "wide", 1, count);
    rig_publish(rig);
    for (int32_t i = 0; i < count; i++)
        (void)rig_partition_open(rig, 1, i);
}

static int64_t end_of(struct rig *rig, int32_t index)
{
    return log_end_queued(rig_partition_open(rig, 1, index)->log);
}

/* ---- edges ---- */

static void topic_check(const struct produce_response_topic_produce_response *topic, int32_t count,
                        enum err err, int round)
{
    assert_int_equal(topic->partition_responses_count, count);
    for (int32_t i = 0; i < count; i++) {
        const answer *got = &topic->partition_responses[i];

        assert_int_equal(got->index, i);
        assert_int_equal(got->error_code, err_wire_code(err));
        assert_int_equal(got->base_offset, err == OK ? round * records_of(i) : -1);
    }
}

static void the_edges_of_turns_may_lie_anywhere_in_a_list_of_topics(void **state)
{
    static const int16_t versions[] = {9, 13};

    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;

        rig_open(&rig, shards, NULL);
        rig_topic(&rig, "wide", 1, A_TURN - 4);
        rig_topic(&rig, "empty", 2, 1);
        rig_topic(&rig, "other", 3, 2 * A_TURN);
        rig_publish(&rig);
        for (int round = 0; round < 2; round++) {
            struct produce_request *body = body_make(&rig, -1, 5);
            struct rig_request *request;
            struct produce_response *response;

            partitions_fill(&rig, topic_fill(&rig, body, 0, "wide", 1), A_TURN - 4, A_TURN - 4);
            partitions_fill(&rig, topic_fill(&rig, body, 1, "none", 9), 2, 2);
            partitions_fill(&rig, topic_fill(&rig, body, 2, "empty", 2), 0, 0);
            partitions_fill(&rig, topic_fill(&rig, body, 3, "other", 3), 2 * A_TURN, 2 * A_TURN);
            partitions_fill(&rig, topic_fill(&rig, body, 4, "none at all", 8), 2, 2);
            request = begin(&rig, versions[round], body);
            assert_int_equal(((struct produce_state *)request->request.state)->topic_at, 3);
            assert_int_equal(((struct produce_state *)request->request.state)->partition_at, 2);
            response = rig_wait(request);
            assert_non_null(response);
            assert_int_equal(response->responses_count, 5);
            for (int i = 0; i < 5; i++) {
                if (versions[round] < 13)
                    assert_true(slice_equal(response->responses[i].name, body->topic_data[i].name));
                else
                    assert_true(
                        uuid_equal(response->responses[i].topic_id, body->topic_data[i].topic_id));
            }
            topic_check(&response->responses[0], A_TURN - 4, OK, round);
            topic_check(&response->responses[1], 2,
                        round ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION, round);
            topic_check(&response->responses[2], 0, OK, round);
            topic_check(&response->responses[3], 2 * A_TURN, OK, round);
            topic_check(&response->responses[4], 2,
                        round ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION, round);
            rig_request_free(request);
        }
        rig_close(&rig);
    }
}

static void a_request_of_whole_turns_has_no_turn_without_partitions(void **state)
{
    UNUSED(state);
    for (int32_t count = A_TURN - 1; count <= 2 * A_TURN + 1; count++) {
        struct rig rig;
        struct rig_request *request;
        struct produce_response *response;

        if (count > A_TURN + 1 && count < 2 * A_TURN - 1)
            continue;
        start(&rig, 1, count);
        request = wide_begin(&rig, 1, count);
        assert_int_equal(request->has_passed, count <= A_TURN); /* else behind the last turn */
        response = rig_wait(request);
        assert_true(request->has_passed);
        topic_check(&response->responses[0], count, OK, 0);
        rig_request_free(request);
        rig_close(&rig);
    }
}

/* ---- a partition that is named twice ---- */

static void repeats_check(struct rig *rig, struct rig_request *request, const int32_t *topics,
                          int32_t topic_count)
{
    struct produce_response *response = rig_wait(request);

    assert_non_null(response);
    assert_int_equal(response->responses_count, topic_count);
    for (int32_t i = 0; i < topic_count; i++) {
        assert_int_equal(response->responses[i].partition_responses_count, topics[i]);
        for (int32_t j = 0; j < topics[i]; j++) {
            const answer *got = &response->responses[i].partition_responses[j];
            bool is_last = i == topic_count - 1 && j == topics[i] - 1;

            assert_int_equal(got->error_code, 0);
            assert_int_equal(got->base_offset, 0);
            assert_int_equal(got->index == AGAIN, is_last);
        }
    }
    rig_request_free(request);
    assert_int_equal(end_of(rig, AGAIN), 7); /* the last naming's records alone */
    rig_close(rig);
}

static void of_a_partition_named_again_in_a_later_turn_the_last_naming_counts(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct produce_request *body;
        asked_topic *topic;

        start(&rig, shards, MANY);
        body = body_make(&rig, -1, 1);
        topic = topic_fill(&rig, body, 0, "wide", 1);
        partitions_fill(&rig, topic, MANY, MANY + 1);
        partition_put(&rig, topic, MANY, AGAIN, 7);
        repeats_check(&rig, begin(&rig, 9, body), (int32_t[]){MANY}, 1);
    }
}

static void of_a_topic_named_again_the_last_naming_of_a_partition_counts(void **state)
{
    static const int16_t versions[] = {9, 13};

    UNUSED(state);
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        struct produce_request *body;

        start(&rig, 1, MANY);
        rig_topic(&rig, "other", 2, 1);
        rig_publish(&rig);
        body = body_make(&rig, -1, 3);
        partitions_fill(&rig, topic_fill(&rig, body, 0, "wide", 1), MANY, MANY);
        partitions_fill(&rig, topic_fill(&rig, body, 1, "other", 2), 1, 1);
        partitions_fill(&rig, topic_fill(&rig, body, 2, "wide", 1), 0, 1);
        partition_put(&rig, &body->topic_data[2], 0, AGAIN, 7);
        repeats_check(&rig, begin(&rig, versions[i], body), (int32_t[]){MANY - 1, 1, 1}, 3);
    }
}

static void a_topic_whose_partitions_are_all_named_again_later_is_answered_once(void **state)
{
    struct rig rig;
    struct produce_request *body;

    UNUSED(state);
    start(&rig, 1, MANY);
    body = body_make(&rig, -1, 20);
    for (int32_t i = 0; i < 20; i++) {
        partitions_fill(&rig, topic_fill(&rig, body, i, "wide", 1), 0, 2);
        partition_put(&rig, &body->topic_data[i], 0, AGAIN, 1);
        partition_put(&rig, &body->topic_data[i], 1, AGAIN, i == 19 ? 7 : 2);
    }
    repeats_check(&rig, begin(&rig, 9, body), (int32_t[]){1}, 1);
}

/* Kafka's own producer sends partitions as a hash table gives them. */
static void whether_partitions_repeat_costs_no_memory_in_whatever_order_they_are(void **state)
{
    enum { COUNT = 1000 };
    static const int32_t steps[] = {1, 7, COUNT - 1}; /* up, scattered, down */
    struct produce_request_partition_produce_data partitions[COUNT] = {0};
    struct produce_request_topic_produce_data topic = {
        .name = SLICE("t"), .partition_data = partitions, .partition_data_count = COUNT};
    struct produce_request body = {.topic_data = &topic, .topic_data_count = 1};
    struct arena arena;

    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t step = 0; step < ARRAY_COUNT(steps); step++) {
        for (int32_t i = 0; i < COUNT; i++)
            partitions[i].index = i * steps[step] % COUNT;
        assert_true(produce_repeats_drop(&body, COUNT, &arena));
        assert_int_equal(topic.partition_data_count, COUNT);
    }
    assert_int_equal(arena.used_bytes, 0);
    partitions[COUNT - 1].index = partitions[0].index;
    assert_true(produce_repeats_drop(&body, COUNT, &arena));
    assert_int_equal(topic.partition_data_count, COUNT - 1);
    arena_release(&arena);
}

static void partitions_in_any_order_and_many_topics_are_no_repeats(void **state)
{
    struct rig rig;
    struct produce_request *body;
    struct rig_request *request;
    struct produce_response *response;

    UNUSED(state);
    start(&rig, 1, MANY);
    body = body_make(&rig, -1, 30);
    for (int32_t i = 0; i < 30; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "none%d", 29 - i);
        partitions_fill(&rig, topic_fill(&rig, body, i, i == 11 ? "wide" : name, 100), 4, 4);
    }
    partitions_fill(&rig, &body->topic_data[11], 0, MANY);
    for (int32_t i = 0; i < MANY; i++)
        partition_put(&rig, &body->topic_data[11], i, i * 7 % MANY, 1); /* 7 does not divide it */
    request = begin(&rig, 9, body);
    response = rig_wait(request);
    assert_int_equal(response->responses_count, 30);
    for (int32_t i = 0; i < 30; i++)
        assert_int_equal(response->responses[i].partition_responses_count, i == 11 ? MANY : 4);
    for (int32_t i = 0; i < MANY; i++) {
        assert_int_equal(response->responses[11].partition_responses[i].index, i * 7 % MANY);
        assert_int_equal(response->responses[11].partition_responses[i].error_code, 0);
    }
    rig_request_free(request);
    rig_close(&rig);
}

/* ---- between two turns ---- */

static void a_stop_between_turns_refuses_what_is_left(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;
        struct produce_response *response;

        start(&rig, shards, MANY);
        request = wide_begin(&rig, 1, MANY);
        assert_int_equal(((struct produce_state *)request->request.state)->begun, A_TURN);
        for (size_t i = 0; i < shards; i++)
            partition_table_stop(rig.shards[i].partitions);
        response = rig_wait(request);
        for (int32_t i = 0; i < MANY; i++) {
            const answer *got = &response->responses[0].partition_responses[i];

            assert_int_equal(got->index, i);
            if (i >= A_TURN)
                assert_int_equal(got->error_code, err_wire_code(ERR_NOT_LEADER_OR_FOLLOWER));
            else if (shards == 1) /* it was queued in its log before */
                assert_int_equal(got->error_code, 0);
        }
        rig_request_free(request);
        rig_close(&rig);
    }
}

static void a_request_whose_connection_ends_between_turns_is_written_whole(void **state)
{
    UNUSED(state);
    for (int16_t acks = -1; acks <= 1; acks++) {
        struct rig rig;
        struct rig_request *request;

        start(&rig, 1, MANY);
        request = wide_begin(&rig, acks, MANY);
        assert_int_equal(((struct produce_state *)request->request.state)->begun, A_TURN);
        rig_hang_up(request);
        (void)rig_wait(request);
        rig_request_free(request);
        for (int32_t i = 0; i < MANY; i++)
            assert_int_equal(end_of(&rig, i), records_of(i));
        rig_close(&rig);
    }
}

static void leaders_or_topics_that_go_between_turns_refuse_the_rest_only(void **state)
{
    UNUSED(state);
    for (int removed = 0; removed <= 1; removed++) {
        enum err expected = removed ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_NOT_LEADER_OR_FOLLOWER;
        struct rig rig;
        struct rig_request *request;
        struct produce_response *response;

        start(&rig, 1, MANY);
        request = wide_begin(&rig, 1, MANY);
        for (int32_t i = 0; i < MANY && !removed; i++)
            rig_leader(&rig, 1, i, 2);
        if (removed)
            rig_topic_remove(&rig, 1);
        rig_publish(&rig);
        response = rig_wait(request);
        for (int32_t i = removed ? A_TURN : 0; i < MANY; i++)
            assert_int_equal(response->responses[0].partition_responses[i].error_code,
                             i < A_TURN ? 0 : err_wire_code(expected));
        rig_request_free(request);
        rig_close(&rig);
    }
}

/* ---- acks=0 ---- */

static void
many_partitions_without_acknowledgement_are_written_and_nothing_is_answered(void **state)
{
    UNUSED(state);
    for (size_t shards = 1; shards <= 2; shards++) {
        struct rig rig;
        struct rig_request *request;

        start(&rig, shards, MANY);
        request = wide_begin(&rig, 0, MANY);
        assert_null(rig_wait(request));
        assert_true(request->is_nothing);
        assert_true(request->has_passed);
        rig_request_free(request);
        for (int32_t i = 0; i < MANY; i++)
            assert_int_equal(end_of(&rig, i), records_of(i));
        rig_close(&rig);
    }
}

/* In whichever turn it is: the connection is closed at the end, and all others are written. */
static void one_failure_among_many_without_acknowledgement_closes_behind_the_last(void **state)
{
    static const int32_t failing[] = {0, A_TURN - 1, A_TURN, MANY - 1};

    UNUSED(state);
    for (size_t k = 0; k < ARRAY_COUNT(failing); k++) {
        struct rig rig;
        struct produce_request *body;
        struct rig_request *request;

        start(&rig, 1, MANY);
        body = body_make(&rig, 0, 1);
        partitions_fill(&rig, topic_fill(&rig, body, 0, "wide", 1), MANY, MANY);
        body->topic_data[0].partition_data[failing[k]].index = MANY + 5;
        request = begin(&rig, 9, body);
        assert_false(request->is_closed);
        assert_null(rig_wait(request));
        assert_true(request->is_closed);
        rig_request_free(request);
        for (int32_t i = 0; i < MANY; i++)
            assert_int_equal(end_of(&rig, i), i == failing[k] ? 0 : records_of(i));
        rig_close(&rig);
    }
}

/* ---- memory ---- */

/* What is written of a request that is not answered is what came first in it. */
static void whatever_memory_there_is_a_request_is_answered_whole_or_closed(void **state)
{
    enum { COUNT = A_TURN + 6, STEP = 512 };
    size_t least = COUNT * sizeof(answer) + sizeof(struct produce_state) + 1024;
    int64_t ends[COUNT] = {0};
    int closed = 0, answered = 0;
    struct rig rig;

    UNUSED(state);
    start(&rig, 1, COUNT);
    for (size_t bytes = least; answered < 2; bytes += STEP) {
        struct rig_request *request;
        size_t begun;
        bool is_closed;

        rig.request_bytes_max = bytes;
        request = wide_begin(&rig, closed % 2 ? -1 : 1, COUNT);
        (void)rig_wait(request);
        is_closed = request->is_closed;
        begun = ((struct produce_state *)request->request.state)->begun;
        assert_int_equal(request->has_passed, !is_closed);
        rig_request_free(request);
        assert_true(is_closed || begun == COUNT);
        for (int32_t i = 0; i < COUNT; i++) {
            ends[i] += (size_t)i < begun ? records_of(i) : 0;
            assert_int_equal(end_of(&rig, i), ends[i]);
        }
        closed += is_closed;
        answered += !is_closed;
    }
    assert_true(closed > 2);
    rig_close(&rig);
}

/* Those that were begun wait for a sync of seconds; what was not begun must not hold the connection open behind their time. */
static void the_rest_without_memory_is_given_up_when_the_time_of_the_others_is_out(void **state)
{
    struct sim_fault slow = {.calls = 1u << SIM_CALL_SYNC,
                             .is_sticky = true,
                             .effect = SIM_EFFECT_DELAY,
                             .delay_ns = 5000000000};
    struct rig rig;
    struct produce_request *body;
    struct rig_request *request;
    int64_t began_ns;

    UNUSED(state);
    start(&rig, 1, MANY);
    (void)sim_fault_add(rig.os, &slow); /* no partition gives its memory to another one */
    rig.request_bytes_max = MANY * (sizeof(answer) + sizeof(struct produce_part) / 2);
    body = body_make(&rig, -1, 1);
    body->timeout_ms = 100;
    partitions_fill(&rig, topic_fill(&rig, body, 0, "wide", 1), MANY, MANY);
    began_ns = sim_now_ns(rig.sim);
    request = begin(&rig, 9, body);
    assert_null(rig_wait(request));
    assert_true(request->is_closed);
    assert_in_range(((struct produce_state *)request->request.state)->begun, A_TURN + 1, MANY - 1);
    assert_true(sim_now_ns(rig.sim) - began_ns < 1000000000);
    rig_request_free(request);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_edges_of_turns_may_lie_anywhere_in_a_list_of_topics),
        cmocka_unit_test(a_request_of_whole_turns_has_no_turn_without_partitions),
        cmocka_unit_test(of_a_partition_named_again_in_a_later_turn_the_last_naming_counts),
        cmocka_unit_test(of_a_topic_named_again_the_last_naming_of_a_partition_counts),
        cmocka_unit_test(a_topic_whose_partitions_are_all_named_again_later_is_answered_once),
        cmocka_unit_test(whether_partitions_repeat_costs_no_memory_in_whatever_order_they_are),
        cmocka_unit_test(partitions_in_any_order_and_many_topics_are_no_repeats),
        cmocka_unit_test(a_stop_between_turns_refuses_what_is_left),
        cmocka_unit_test(a_request_whose_connection_ends_between_turns_is_written_whole),
        cmocka_unit_test(leaders_or_topics_that_go_between_turns_refuse_the_rest_only),
        cmocka_unit_test(
            many_partitions_without_acknowledgement_are_written_and_nothing_is_answered),
        cmocka_unit_test(one_failure_among_many_without_acknowledgement_closes_behind_the_last),
        cmocka_unit_test(whatever_memory_there_is_a_request_is_answered_whole_or_closed),
        cmocka_unit_test(the_rest_without_memory_is_given_up_when_the_time_of_the_others_is_out),
    };

    return cmocka_run_group_tests_name("server/produce_turns", tests, NULL, NULL);
}
