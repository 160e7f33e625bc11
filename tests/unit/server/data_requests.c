/* SPDX-License-Identifier: Apache-2.0 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

void rig_start(struct rig *rig, size_t shard_count, int32_t partitions)
{
    rig_open(rig, shard_count, NULL);
    rig_topic(rig, "t", 1, partitions);
    rig_publish(rig);
    for (int32_t i = 0; i < partitions; i++)
        (void)rig_partition_open(rig, 1, i);
}

struct produce_request *rig_produce_body(struct rig *rig, int32_t index, struct slice records)
{
    struct produce_request *body = produce_request_array(&rig->arena, 1);
    struct produce_request_topic_produce_data *topic =
        produce_request_topic_produce_data_array(&rig->arena, 1);

    body->acks = -1;
    body->timeout_ms = 30000;
    body->topic_data = topic;
    body->topic_data_count = 1;
    topic->name = SLICE("t");
    topic->topic_id = rig_id(1);
    topic->partition_data = produce_request_partition_produce_data_array(&rig->arena, 1);
    topic->partition_data_count = 1;
    topic->partition_data->index = index;
    topic->partition_data->records = records;
    return body;
}

struct rig_request *rig_produce_wide(struct rig *rig, int32_t count)
{
    struct produce_request *body = rig_produce_body(rig, 0, SLICE_NULL);
    struct produce_request_topic_produce_data *topic = body->topic_data;

    topic->name = SLICE("wide");
    topic->partition_data =
        produce_request_partition_produce_data_array(&rig->arena, (size_t)count);
    topic->partition_data_count = count;
    for (int32_t i = 0; i < count; i++) {
        topic->partition_data[i].index = i;
        topic->partition_data[i].records =
            rig_batch(rig, &(struct rig_batch){.count = 1, .value_bytes = 10});
    }
    return rig_begin(rig, 0, API_PRODUCE, 9, body, handle_produce);
}

void rig_produce(struct rig *rig, int32_t index, const struct rig_batch *batch)
{
    struct produce_request *body = rig_produce_body(rig, index, rig_batch(rig, batch));
    struct rig_request *request = rig_begin(rig, 0, API_PRODUCE, 9, body, handle_produce);
    struct produce_response *response = rig_wait(request);

    rig_request_free(request);
    assert_non_null(response);
    assert_int_equal(response->responses[0].partition_responses[0].error_code, 0);
}

struct fetch_request *rig_fetch_body(struct rig *rig, int32_t partitions)
{
    struct fetch_request *body = fetch_request_array(&rig->arena, 1);

    body->max_bytes = 1 << 20;
    body->min_bytes = 1;
    body->session_epoch = -1;
    body->topics = fetch_request_fetch_topic_array(&rig->arena, 1);
    body->topics_count = 1;
    body->topics->topic = SLICE("t");
    body->topics->topic_id = rig_id(1);
    body->topics->partitions = fetch_request_fetch_partition_array(&rig->arena, (size_t)partitions);
    body->topics->partitions_count = partitions;
    for (int32_t i = 0; i < partitions; i++) {
        body->topics->partitions[i].partition = i;
        body->topics->partitions[i].partition_max_bytes = 1 << 20;
    }
    return body;
}

const char *rig_log_path(struct rig *rig)
{
    static const char *const paths[RIG_DIRECTORIES] = {"/data/t-0/00000000000000000000.log",
                                                       "/data1/t-0/00000000000000000000.log"};
    struct slice content;

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        if (sim_disk_peek(rig->os, paths[i], &rig->arena, &content) == OK)
            return paths[i];
    fail();
    return NULL;
}
