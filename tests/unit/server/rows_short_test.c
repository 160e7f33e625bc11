/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with a row for each partition, while memory lacks for some of the answer's rows. */
#include "data_support.h"

#include "protocol/generated/alter_replica_log_dirs_request.h"
#include "protocol/generated/alter_replica_log_dirs_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "protocol/generated/describe_producers_request.h"
#include "protocol/generated/describe_producers_response.h"
#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "protocol/generated/offset_for_leader_epoch_request.h"
#include "protocol/generated/offset_for_leader_epoch_response.h"

/* ---- without memory for the rows: no answer that looks whole ---- */

#define ROWS 4000

struct short_ask {
    int16_t key, version;
    void *body;
    request_handler handler;
};

/* With every size of memory up to one that holds all: either the rows are there or it failed. */
static void expect_all_or_failed(struct rig *rig, struct short_ask ask,
                                 int32_t (*rows_of)(const void *response))
{
    int answered = 0, failed = 0;

    for (size_t bytes = 4 * KIB; bytes <= 4 * MIB && answered == 0; bytes += bytes / 16) {
        struct rig_request *request;

        rig->request_bytes_max = bytes;
        request = rig_begin(rig, 0, ask.key, ask.version, ask.body, ask.handler);
        (void)rig_wait(request);
        if (request->response)
            assert_int_equal(rows_of(request->response), 2 * ROWS);
        else
            assert_true(request->is_failed || request->is_closed);
        answered += request->response != NULL;
        failed += request->is_failed;
        rig_request_free(request);
    }
    rig->request_bytes_max = 0;
    assert_int_equal(answered, 1);
    assert_true(failed > 0);
}

#define ROWS_OF(name, type, rows)                        \
    static int32_t name(const void *response)            \
    {                                                    \
        const struct type *told = response;              \
        int32_t count = 0;                               \
                                                         \
        for (int32_t i = 0; i < told->rows##_count; i++) \
            count += told->rows[i].partitions_count;     \
        return count;                                    \
    }
ROWS_OF(producers_rows, describe_producers_response, topics)
ROWS_OF(delete_rows, delete_records_response, topics)
ROWS_OF(epoch_rows, offset_for_leader_epoch_response, topics)
ROWS_OF(offsets_rows, list_offsets_response, topics)
ROWS_OF(moves_rows, alter_replica_log_dirs_response, results)

/* Rows of partitions that nobody has: the first topic's rows come through, then memory ends. */
static void an_answer_has_all_its_rows_or_fails(void **state)
{
    struct rig rig;

    UNUSED(state);
    rig_open(&rig, 1, NULL);
    rig_topic(&rig, "t", 1, 2);
    rig_publish(&rig);
    {
        struct describe_producers_request *body = describe_producers_request_array(&rig.arena, 1);

        body->topics = describe_producers_request_topic_request_array(&rig.arena, 2);
        body->topics_count = 2;
        for (int i = 0; i < 2; i++) {
            body->topics[i].name = SLICE("unknown");
            body->topics[i].partition_indexes = ARENA_ARRAY(&rig.arena, int32_t, ROWS);
            body->topics[i].partition_indexes_count = ROWS;
        }
        expect_all_or_failed(
            &rig, (struct short_ask){API_DESCRIBE_PRODUCERS, 0, body, handle_describe_producers},
            producers_rows);
    }
    {
        struct delete_records_request *body = delete_records_request_array(&rig.arena, 1);

        body->topics = delete_records_request_delete_records_topic_array(&rig.arena, 2);
        body->topics_count = 2;
        for (int i = 0; i < 2; i++) {
            body->topics[i].name = SLICE("unknown");
            body->topics[i].partitions =
                delete_records_request_delete_records_partition_array(&rig.arena, ROWS);
            body->topics[i].partitions_count = ROWS;
        }
        expect_all_or_failed(&rig,
                             (struct short_ask){API_DELETE_RECORDS, 2, body, handle_delete_records},
                             delete_rows);
    }
    {
        struct offset_for_leader_epoch_request *body =
            offset_for_leader_epoch_request_array(&rig.arena, 1);

        body->topics = offset_for_leader_epoch_request_offset_for_leader_topic_array(&rig.arena, 2);
        body->topics_count = 2;
        for (int i = 0; i < 2; i++) {
            body->topics[i].topic = SLICE("unknown");
            body->topics[i].partitions =
                offset_for_leader_epoch_request_offset_for_leader_partition_array(&rig.arena, ROWS);
            body->topics[i].partitions_count = ROWS;
        }
        expect_all_or_failed(&rig,
                             (struct short_ask){API_OFFSET_FOR_LEADER_EPOCH, 4, body,
                                                handle_offset_for_leader_epoch},
                             epoch_rows);
    }
    {
        struct list_offsets_request *body = list_offsets_request_array(&rig.arena, 1);

        body->topics = list_offsets_request_list_offsets_topic_array(&rig.arena, 2);
        body->topics_count = 2;
        for (int i = 0; i < 2; i++) {
            body->topics[i].name = i == 0 ? SLICE("unknown") : SLICE("no");
            body->topics[i].partitions =
                list_offsets_request_list_offsets_partition_array(&rig.arena, ROWS);
            body->topics[i].partitions_count = ROWS;
            for (int32_t k = 0; k < ROWS; k++)
                body->topics[i].partitions[k].partition_index = k;
        }
        expect_all_or_failed(
            &rig, (struct short_ask){API_LIST_OFFSETS, 7, body, handle_list_offsets}, offsets_rows);
    }
    {
        struct alter_replica_log_dirs_request *body =
            alter_replica_log_dirs_request_array(&rig.arena, 1);
        struct alter_replica_log_dirs_request_alter_replica_log_dir *dir;

        body->dirs = dir =
            alter_replica_log_dirs_request_alter_replica_log_dir_array(&rig.arena, 1);
        body->dirs_count = 1;
        dir->path = SLICE("/nowhere");
        dir->topics =
            alter_replica_log_dirs_request_alter_replica_log_dir_topic_array(&rig.arena, 2);
        dir->topics_count = 2;
        for (int i = 0; i < 2; i++) {
            dir->topics[i].name = SLICE("unknown");
            dir->topics[i].partitions = ARENA_ARRAY(&rig.arena, int32_t, ROWS);
            dir->topics[i].partitions_count = ROWS;
        }
        expect_all_or_failed(
            &rig,
            (struct short_ask){API_ALTER_REPLICA_LOG_DIRS, 2, body, handle_alter_replica_log_dirs},
            moves_rows);
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_all_its_rows_or_fails),
    };

    return cmocka_run_group_tests_name("server/rows_short", tests, NULL, NULL);
}
