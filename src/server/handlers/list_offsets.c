/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/list_offsets.c: ListOffsets (2). requests.md §3.3, storage.md §5.12 of the
 * reference.
 */
#include "server/handlers/each_partition.h"

#include "protocol/generated/list_offsets_request.h"
#include "protocol/generated/list_offsets_response.h"
#include "server/handlers/handlers.h"

#define LEADER_EPOCH_VERSION_MIN 4 /* older answers have no place for it */
#define REPLICA_CONSUMER (-1)
#define REPLICA_DEBUGGER (-2)

/* Versions that know each special timestamp, by its negative. */
static bool timestamp_is_known(int64_t timestamp, int16_t version)
{
    static const int16_t version_min[] = {1, 1, 7, 8, 9, 11};

    return timestamp >= 0 || (timestamp >= -(int64_t)ARRAY_COUNT(version_min) &&
                              version >= version_min[-timestamp - 1]);
}

static enum err offsets_unknown(const struct each_part *part)
{
    return part->state->request->header.api_version >= 5 ? ERR_OFFSET_NOT_AVAILABLE
                                                         : ERR_LEADER_NOT_AVAILABLE;
}

/* What this reader may see: INT64_MAX for replicas and debuggers. */
static int64_t visible_end(const struct list_offsets_request *body, struct partition *partition)
{
    if (body->replica_id != REPLICA_CONSUMER)
        return INT64_MAX;
    return body->isolation_level == 1 ? log_last_stable_offset(partition->log)
                                      : partition->replica.high_watermark;
}

static void lookup_done(struct log_lookup *lookup)
{
    struct each_part *part = CONTAINER_OF(lookup, struct each_part, lookup);
    const struct list_offsets_request *body = part->state->request->body;
    struct partition *partition = part->op.partition;
    int64_t end;

    part->err = lookup->err;
    if (part->err == OK && lookup->offset >= 0) {
        end = visible_end(body, partition);
        if (lookup->timestamp >= 0 || lookup->timestamp == LOG_TIMESTAMP_MAX) {
            if (lookup->offset >= end) {
                /* Not committed yet: nothing to show; just after an election that may change. */
                if (body->replica_id == REPLICA_CONSUMER &&
                    !replica_offsets_known(&partition->replica))
                    part->err = offsets_unknown(part);
                partition_op_finish(&part->op);
                return;
            }
        }
        part->offset = lookup->offset;
        part->timestamp = lookup->found_timestamp;
        part->epoch = lookup->leader_epoch;
    } else if (part->err == OK &&
               (lookup->timestamp >= 0 || lookup->timestamp == LOG_TIMESTAMP_MAX) &&
               body->replica_id == REPLICA_CONSUMER &&
               !replica_offsets_known(&partition->replica)) {
        part->err = offsets_unknown(part);
    }
    partition_op_finish(&part->op);
}

static void list_run(struct each_part *part, struct partition *partition)
{
    const struct list_offsets_request *body = part->state->request->body;
    const struct list_offsets_request_list_offsets_partition *asked = part->asked;
    int64_t end;

    part->err = replica_check_epoch(&partition->replica, asked->current_leader_epoch,
                                    body->replica_id != REPLICA_DEBUGGER);
    if (part->err != OK) {
        partition_op_finish(&part->op);
        return;
    }
    end = visible_end(body, partition);
    if (asked->timestamp == LOG_TIMESTAMP_LATEST) {
        if (body->replica_id == REPLICA_CONSUMER && !replica_offsets_known(&partition->replica)) {
            part->err = offsets_unknown(part);
        } else {
            part->offset = MIN(end, log_end_written(partition->log));
            part->epoch = partition->replica.leader_epoch;
        }
        partition_op_finish(&part->op);
        return;
    }
    part->lookup = (struct log_lookup){
        .timestamp = asked->timestamp,
        .latest_offset = MIN(end, log_end_written(partition->log)),
        .bytes_max = partition->settings->validate.inflated_batch_bytes_max,
        .done = lookup_done,
    };
    log_lookup_offset(partition->log, &part->lookup);
}

static void list_finish(struct each_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct each_part *part = &state->parts[i];
        struct list_offsets_response_list_offsets_partition_response *answer = part->answer;

        answer->error_code = err_wire_code(part->err);
        if (part->err != OK)
            continue;
        answer->offset = part->offset;
        answer->timestamp = part->timestamp;
        if (state->request->header.api_version >= LEADER_EPOCH_VERSION_MIN)
            answer->leader_epoch = part->epoch;
    }
    request_answer(state->request, state->response);
}

/* The same partition anywhere else in the request. */
static bool is_repeated(const struct list_offsets_request *body, struct slice name, int32_t index)
{
    int seen = 0;

    for (int32_t i = 0; i < body->topics_count; i++) {
        if (!slice_equal(body->topics[i].name, name))
            continue;
        for (int32_t j = 0; j < body->topics[i].partitions_count; j++)
            seen += body->topics[i].partitions[j].partition_index == index;
    }
    return seen > 1;
}

struct seen_topic {
    struct hash_map_node node;
    struct slice name;
    int32_t topic;
    int32_t index;
};

static bool seen_matches(const struct hash_map_node *node, const void *key)
{
    const struct seen_topic *seen = CONTAINER_OF(node, const struct seen_topic, node);
    const struct seen_topic *wanted = key;

    return seen->index == wanted->index && slice_equal(seen->name, wanted->name);
}

/* Is anything asked twice? Linear in the request, so that the quadratic look is for those alone. */
static bool any_repeated(struct request *request, const struct list_offsets_request *body,
                         size_t count)
{
    struct seen_topic *all = ARENA_ARRAY(&request->arena, struct seen_topic, count);
    struct hash_map map;
    bool repeated = false;
    size_t at = 0;

    hash_map_init(&map, &heap_allocator, seen_matches);
    for (int32_t i = 0; all && i < body->topics_count && !repeated; i++) {
        for (int32_t j = 0; j < body->topics[i].partitions_count && !repeated; j++) {
            struct seen_topic *seen = &all[at++];
            uint64_t hash;

            seen->name = body->topics[i].name;
            seen->index = body->topics[i].partitions[j].partition_index;
            hash = hash_u64(hash_slice(seen->name) + (uint64_t)(uint32_t)seen->index);
            repeated = hash_map_find(&map, hash, seen) != NULL ||
                       hash_map_insert(&map, hash, &seen->node) != OK;
        }
    }
    hash_map_release(&map);
    return repeated;
}

static size_t partitions_count(const struct list_offsets_request *body)
{
    size_t count = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        count += (size_t)body->topics[i].partitions_count;
    return count;
}

void handle_list_offsets(struct request *request)
{
    const struct list_offsets_request *body = request->body;
    size_t count = partitions_count(body);
    struct each_state *state = each_create(request, count);
    struct list_offsets_response *response;
    bool repeated;

    if (!state)
        return;
    repeated = any_repeated(request, body, count);
    response = request_response(request);
    response->topics = list_offsets_response_list_offsets_topic_response_array(
        &request->arena, (size_t)body->topics_count);
    state->response = response;
    state->run = list_run;
    state->finish = list_finish;
    for (int32_t i = 0; response->topics && i < body->topics_count; i++) {
        const struct list_offsets_request_list_offsets_topic *asked = &body->topics[i];
        struct list_offsets_response_list_offsets_topic_response *topic = &response->topics[i];
        const struct metadata_topic *metadata = each_topic(request, asked->name);

        topic->name = asked->name;
        topic->partitions = list_offsets_response_list_offsets_partition_response_array(
            &request->arena, (size_t)asked->partitions_count);
        if (!topic->partitions)
            break;
        topic->partitions_count = asked->partitions_count;
        response->topics_count = i + 1;
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            const struct list_offsets_request_list_offsets_partition *partition =
                &asked->partitions[j];
            enum err err = OK;

            topic->partitions[j].partition_index = partition->partition_index;
            if (repeated && is_repeated(body, asked->name, partition->partition_index))
                err = ERR_INVALID_REQUEST;
            else if (!timestamp_is_known(partition->timestamp, request->header.api_version))
                err = ERR_UNSUPPORTED_VERSION;
            else
                err = each_known(metadata, partition->partition_index);
            (void)each_add(state, metadata, partition->partition_index, partition,
                           &topic->partitions[j], err);
        }
    }
    each_submit(state);
}
