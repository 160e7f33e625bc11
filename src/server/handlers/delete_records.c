/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/delete_records.c: DeleteRecords (21). requests.md §3.11, §4.3 of the reference.
 * The low watermark is this log's start: the one of a single replica. With followers it is the
 * least of theirs, which replication will have to tell.
 */
#include "server/handlers/each_partition.h"

#include "protocol/generated/delete_records_request.h"
#include "protocol/generated/delete_records_response.h"
#include "server/handlers/handlers.h"

#define OFFSET_HIGH_WATERMARK (-1)

/* The answer is given when the start is durable: what was deleted for good does not come back. */
static void start_raised(struct log_start_op *op)
{
    struct each_part *part = CONTAINER_OF(op, struct each_part, raise);

    part->err = op->err;
    part->offset = log_start_offset(op->log);
    partition_op_finish(&part->op);
}

static void delete_run(struct each_part *part, struct partition *partition)
{
    const struct delete_records_request_delete_records_partition *asked = part->asked;
    int64_t offset = asked->offset;

    if (partition->replica.role != REPLICA_LEADER) {
        part->err = ERR_NOT_LEADER_OR_FOLLOWER;
    } else if (partition->settings->topic.compact && !partition->settings->topic.delete_segments) {
        part->err = ERR_POLICY_VIOLATION; /* compaction alone decides what goes */
    } else {
        if (offset == OFFSET_HIGH_WATERMARK)
            offset = partition->replica.high_watermark;
        if (offset < 0 || offset > partition->replica.high_watermark)
            part->err = ERR_OFFSET_OUT_OF_RANGE;
    }
    if (part->err == OK) {
        part->raise.done = start_raised;
        log_raise_start(partition->log, offset, &part->raise);
        return;
    }
    partition_op_finish(&part->op);
}

static void delete_finish(struct each_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct each_part *part = &state->parts[i];
        struct delete_records_response_delete_records_partition_result *answer = part->answer;

        answer->error_code = err_wire_code(part->err);
        answer->low_watermark = part->err == OK ? part->offset : -1;
    }
    request_answer(state->request, state->response);
}

void handle_delete_records(struct request *request)
{
    const struct delete_records_request *body = request->body;
    struct delete_records_response *response;
    struct each_state *state;
    size_t count = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        count += (size_t)body->topics[i].partitions_count;
    state = each_create(request, count);
    if (!state)
        return;
    response = request_response(request);
    response->topics = delete_records_response_delete_records_topic_result_array(
        &request->arena, (size_t)body->topics_count);
    state->response = response;
    state->is_short = !response->topics;
    state->run = delete_run;
    state->finish = delete_finish;
    for (int32_t i = 0; response->topics && i < body->topics_count; i++) {
        const struct delete_records_request_delete_records_topic *asked = &body->topics[i];
        struct delete_records_response_delete_records_topic_result *topic = &response->topics[i];
        const struct metadata_topic *metadata = each_topic(request, asked->name);

        topic->name = asked->name;
        topic->partitions = delete_records_response_delete_records_partition_result_array(
            &request->arena, (size_t)asked->partitions_count);
        if (!topic->partitions) {
            state->is_short = true;
            break;
        }
        topic->partitions_count = asked->partitions_count;
        response->topics_count = i + 1;
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            enum err err = each_known(metadata, asked->partitions[j].partition_index);

            if (err == OK && topic_name_is_internal(asked->name))
                err = ERR_INVALID_TOPIC_EXCEPTION;
            topic->partitions[j].partition_index = asked->partitions[j].partition_index;
            (void)each_add(state, metadata, asked->partitions[j].partition_index,
                           &asked->partitions[j], &topic->partitions[j], err);
        }
    }
    each_submit(state);
}
