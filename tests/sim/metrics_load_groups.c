/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/metrics_load_groups.c: a group and a transaction, whose coordinators may have to be asked more than once.
 */
#include "metrics_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* after the three above */
#include <cmocka.h>

#include "protocol/generated/add_partitions_to_txn_request.h"
#include "protocol/generated/add_partitions_to_txn_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/end_txn_request.h"
#include "protocol/generated/end_txn_response.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/leave_group_request.h"
#include "protocol/generated/leave_group_response.h"
#include "protocol/generated/offset_commit_request.h"
#include "protocol/generated/offset_commit_response.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"

#define TRIES 200

/* A coordinator that is not there yet, or busy: once more. */
static bool is_to_be_asked_again(struct load *load, int16_t error_code)
{
    enum err err = err_from_wire(error_code);

    if (err == OK)
        return false;
    if (err != ERR_COORDINATOR_NOT_AVAILABLE && err != ERR_COORDINATOR_LOAD_IN_PROGRESS &&
        err != ERR_NOT_COORDINATOR && err != ERR_CONCURRENT_TRANSACTIONS)
        fail_msg("a coordinator answered %s", err_name(err));
    lab_pass(&load->lab, 50);
    return true;
}

/* ---- groups ---- */

static void coordinator_find(struct load *load, const char *key, int8_t type)
{
    struct find_coordinator_request body;
    const struct find_coordinator_response *answer;
    int tries = 0;

    find_coordinator_request_init(&body);
    body.key = slice_from_text(key);
    body.key_type = type;
    do {
        answer = load_ask(load, API_FIND_COORDINATOR, 3, &body);
        assert_true(++tries < TRIES);
    } while (is_to_be_asked_again(load, answer->error_code));
}

static void group_heartbeat(struct load *load)
{
    struct heartbeat_request body;
    const struct heartbeat_response *answer;

    heartbeat_request_init(&body);
    body.group_id = SLICE("g");
    body.generation_id = load->generation;
    body.member_id = slice_from_text(load->member);
    answer = load_ask(load, API_HEARTBEAT, 3, &body);
    assert_int_equal(answer->error_code, 0);
}

static void group_sync(struct load *load)
{
    struct sync_group_request body;
    const struct sync_group_response *answer;

    sync_group_request_init(&body);
    body.group_id = SLICE("g");
    body.generation_id = load->generation;
    body.member_id = slice_from_text(load->member);
    body.assignments = sync_group_request_sync_group_request_assignment_array(&load->lab.arena, 1);
    body.assignments_count = 1;
    body.assignments->member_id = body.member_id;
    body.assignments->assignment = SLICE("all");
    answer = load_ask(load, API_SYNC_GROUP, 3, &body);
    assert_int_equal(answer->error_code, 0);
}

void load_group_join(struct load *load)
{
    struct join_group_request body;
    const struct join_group_response *answer;
    int tries = 0;

    coordinator_find(load, "g", 0);
    join_group_request_init(&body);
    body.group_id = SLICE("g");
    body.session_timeout_ms = 30000;
    body.rebalance_timeout_ms = 30000;
    body.member_id = SLICE_EMPTY;
    body.protocol_type = SLICE("mine");
    body.protocols = join_group_request_join_group_request_protocol_array(&load->lab.arena, 1);
    body.protocols_count = 1;
    body.protocols->name = SLICE("one");
    body.protocols->metadata = SLICE("not looked at");
    do {
        answer = load_ask(load, API_JOIN_GROUP, 3, &body); /* needs no id first */
        assert_true(++tries < TRIES);
    } while (is_to_be_asked_again(load, answer->error_code));
    load->generation = answer->generation_id;
    snprintf(load->member, sizeof load->member, "%.*s", SLICE_ARGS(answer->member_id));
    group_sync(load);
    for (int i = 0; i < 5; i++)
        group_heartbeat(load);
}

void load_group_commit(struct load *load, int64_t offset)
{
    struct offset_commit_request body;
    const struct offset_commit_response *answer;

    offset_commit_request_init(&body);
    body.group_id = SLICE("g");
    body.member_id = slice_from_text(load->member);
    body.generation_id_or_member_epoch = load->generation;
    body.topics = offset_commit_request_offset_commit_request_topic_array(&load->lab.arena, 1);
    body.topics_count = 1;
    body.topics->name = SLICE("t");
    body.topics->partitions =
        offset_commit_request_offset_commit_request_partition_array(&load->lab.arena, 1);
    body.topics->partitions_count = 1;
    body.topics->partitions->committed_offset = offset;
    body.topics->partitions->committed_metadata = SLICE("m");
    answer = load_ask(load, API_OFFSET_COMMIT, 7, &body);
    assert_int_equal(answer->topics[0].partitions[0].error_code, 0);
}

void load_group_leave(struct load *load)
{
    struct leave_group_request body;
    const struct leave_group_response *answer;

    leave_group_request_init(&body);
    body.group_id = SLICE("g");
    body.member_id = slice_from_text(load->member);
    answer = load_ask(load, API_LEAVE_GROUP, 2, &body);
    assert_int_equal(answer->error_code, 0);
}

/* ---- transactions ---- */

static void producer_init(struct load *load)
{
    struct init_producer_id_request body;
    const struct init_producer_id_response *answer;
    int tries = 0;

    init_producer_id_request_init(&body);
    body.transactional_id = SLICE("x");
    body.transaction_timeout_ms = 60000;
    do {
        answer = load_ask(load, API_INIT_PRODUCER_ID, 4, &body);
        assert_true(++tries < TRIES);
    } while (is_to_be_asked_again(load, answer->error_code));
    load->producer_id = answer->producer_id;
    load->producer_epoch = answer->producer_epoch;
}

static void partition_add(struct load *load)
{
    int32_t index = 0;
    struct add_partitions_to_txn_request body;
    const struct add_partitions_to_txn_response *answer;
    int tries = 0;

    add_partitions_to_txn_request_init(&body);
    body.v3_and_below_transactional_id = SLICE("x");
    body.v3_and_below_producer_id = load->producer_id;
    body.v3_and_below_producer_epoch = load->producer_epoch;
    body.v3_and_below_topics =
        add_partitions_to_txn_request_add_partitions_to_txn_topic_array(&load->lab.arena, 1);
    body.v3_and_below_topics_count = 1;
    body.v3_and_below_topics->name = SLICE("t");
    body.v3_and_below_topics->partitions = &index;
    body.v3_and_below_topics->partitions_count = 1;
    do {
        answer = load_ask(load, API_ADD_PARTITIONS_TO_TXN, 3, &body);
        assert_true(++tries < TRIES);
    } while (is_to_be_asked_again(
        load,
        answer->results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code));
}

void load_transaction_begin(struct load *load, int32_t records)
{
    coordinator_find(load, "x", 1);
    producer_init(load);
    partition_add(load);
    load_produce(load,
                 &(struct load_batch){.records = records,
                                      .is_transactional = true,
                                      .producer_id = load->producer_id},
                 OK);
}

void load_transaction_end(struct load *load)
{
    struct end_txn_request body;
    const struct end_txn_response *answer;
    int tries = 0;

    end_txn_request_init(&body);
    body.transactional_id = SLICE("x");
    body.producer_id = load->producer_id;
    body.producer_epoch = load->producer_epoch;
    body.committed = true;
    do {
        answer = load_ask(load, API_END_TXN, 3, &body);
        assert_true(++tries < TRIES);
    } while (is_to_be_asked_again(load, answer->error_code));
}
