/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/offset_for_leader_epoch.c: OffsetForLeaderEpoch (23). requests.md §3.12 of the
 * reference.
 */
#include "server/handlers/each_partition.h"

#include "protocol/generated/offset_for_leader_epoch_request.h"
#include "protocol/generated/offset_for_leader_epoch_response.h"
#include "server/handlers/handlers.h"

static void epoch_run(struct each_part *part, struct partition *partition)
{
    const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked = part->asked;

    part->err = replica_check_epoch(&partition->replica, asked->current_leader_epoch, true);
    if (part->err == OK)
        log_epoch_end(partition->log, asked->leader_epoch, &part->epoch, &part->offset);
    partition_op_finish(&part->op);
}

static void epoch_finish(struct each_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct each_part *part = &state->parts[i];
        struct offset_for_leader_epoch_response_epoch_end_offset *answer = part->answer;

        answer->error_code = err_wire_code(part->err);
        answer->leader_epoch = part->err == OK ? part->epoch : -1;
        answer->end_offset = part->err == OK ? part->offset : -1;
    }
    request_answer(state->request, state->response);
}

void handle_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *body = request->body;
    struct offset_for_leader_epoch_response *response;
    struct each_state *state;
    size_t count = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        count += (size_t)body->topics[i].partitions_count;
    state = each_create(request, count);
    if (!state)
        return;
    response = request_response(request);
    response->topics = offset_for_leader_epoch_response_offset_for_leader_topic_result_array(
        &request->arena, (size_t)body->topics_count);
    state->response = response;
    state->is_short = !response->topics;
    state->run = epoch_run;
    state->finish = epoch_finish;
    for (int32_t i = 0; response->topics && i < body->topics_count; i++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *asked =
            &body->topics[i];
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *topic =
            &response->topics[i];
        const struct metadata_topic *metadata = each_topic(request, asked->topic);

        topic->topic = asked->topic;
        topic->partitions = offset_for_leader_epoch_response_epoch_end_offset_array(
            &request->arena, (size_t)asked->partitions_count);
        if (!topic->partitions) {
            state->is_short = true;
            break;
        }
        topic->partitions_count = asked->partitions_count;
        response->topics_count = i + 1;
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            topic->partitions[j].partition = asked->partitions[j].partition;
            (void)each_add(state, metadata, asked->partitions[j].partition, &asked->partitions[j],
                           &topic->partitions[j],
                           each_known(metadata, asked->partitions[j].partition));
        }
    }
    each_submit(state);
}
