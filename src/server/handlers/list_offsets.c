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
#define ISOLATION_COMMITTED 1

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
    return body->isolation_level == ISOLATION_COMMITTED ? log_last_stable_offset(partition->log)
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

/* ---- partitions asked twice: answered once, with an error ---- */

struct asked_partition {
    struct hash_map_node node;
    struct slice topic;
    int32_t index;
    bool is_first;    /* in the order of the request */
    bool is_repeated; /* of the first */
};

static bool asked_matches(const struct hash_map_node *node, const void *key)
{
    const struct asked_partition *asked = CONTAINER_OF(node, const struct asked_partition, node);
    const struct asked_partition *wanted = key;

    return asked->index == wanted->index && slice_equal(asked->topic, wanted->topic);
}

static void asked_note(struct hash_map *map, struct asked_partition *asked)
{
    uint64_t hash = hash_u64(hash_slice(asked->topic) + (uint64_t)(uint32_t)asked->index);
    struct hash_map_node *found = hash_map_find(map, hash, asked);

    asked->is_first = !found;
    if (found)
        CONTAINER_OF(found, struct asked_partition, node)->is_repeated = true;
    else if (hash_map_insert(map, hash, &asked->node) != OK)
        asked->is_first = true; /* no memory to find it again: taken for single */
}

/* One of each partition of the request; NULL: no memory. */
static struct asked_partition *asked_list(struct request *request,
                                          const struct list_offsets_request *body, size_t count)
{
    struct asked_partition *all = ARENA_ARRAY(&request->arena, struct asked_partition, count);
    struct asked_partition *next = all;
    struct hash_map map;

    hash_map_init(&map, &heap_allocator, asked_matches);
    for (int32_t i = 0; all && i < body->topics_count; i++) {
        for (int32_t j = 0; j < body->topics[i].partitions_count; j++, next++) {
            next->topic = body->topics[i].name;
            next->index = body->topics[i].partitions[j].partition_index;
            next->is_repeated = false;
            asked_note(&map, next);
        }
    }
    hash_map_release(&map);
    return all;
}

static enum err partition_check(const struct asked_partition *asked,
                                const struct list_offsets_request_list_offsets_partition *wanted,
                                const struct metadata_topic *topic, const struct request *request)
{
    const struct list_offsets_request *body = request->body;

    if (body->isolation_level != 0 && body->isolation_level != ISOLATION_COMMITTED)
        return ERR_UNKNOWN_SERVER_ERROR; /* what Kafka makes of it */
    if (asked->is_repeated)
        return ERR_INVALID_REQUEST;
    if (!timestamp_is_known(wanted->timestamp, request->header.api_version))
        return ERR_UNSUPPORTED_VERSION;
    return each_known(topic, wanted->partition_index);
}

static size_t partitions_count(const struct list_offsets_request *body)
{
    size_t count = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        count += (size_t)body->topics[i].partitions_count;
    return count;
}

/* A topic of which nothing is left to answer is not added. */
static bool topic_add(struct each_state *state,
                      const struct list_offsets_request_list_offsets_topic *wanted,
                      const struct asked_partition *asked)
{
    struct request *request = state->request;
    struct list_offsets_response *response = state->response;
    struct list_offsets_response_list_offsets_topic_response *topic =
        &response->topics[response->topics_count];
    const struct metadata_topic *metadata = each_topic(request, wanted->name);

    topic->name = wanted->name;
    topic->partitions = list_offsets_response_list_offsets_partition_response_array(
        &request->arena, (size_t)wanted->partitions_count);
    if (!topic->partitions)
        return false;
    for (int32_t i = 0; i < wanted->partitions_count; i++) {
        const struct list_offsets_request_list_offsets_partition *partition =
            &wanted->partitions[i];
        struct list_offsets_response_list_offsets_partition_response *answer;

        if (!asked[i].is_first)
            continue;
        answer = &topic->partitions[topic->partitions_count++];
        answer->partition_index = partition->partition_index;
        (void)each_add(state, metadata, partition->partition_index, partition, answer,
                       partition_check(&asked[i], partition, metadata, request));
    }
    response->topics_count += topic->partitions_count > 0 || wanted->partitions_count == 0;
    return true;
}

void handle_list_offsets(struct request *request)
{
    const struct list_offsets_request *body = request->body;
    size_t count = partitions_count(body);
    struct each_state *state = each_create(request, count);
    struct list_offsets_response *response;
    const struct asked_partition *asked;

    if (!state)
        return;
    asked = asked_list(request, body, count);
    response = request_response(request);
    response->topics = list_offsets_response_list_offsets_topic_response_array(
        &request->arena, (size_t)body->topics_count);
    state->response = response;
    state->is_short = !asked || !response->topics;
    state->run = list_run;
    state->finish = list_finish;
    for (int32_t i = 0; asked && response->topics && i < body->topics_count; i++) {
        if (!topic_add(state, &body->topics[i], asked)) {
            state->is_short = true;
            break;
        }
        asked += body->topics[i].partitions_count;
    }
    each_submit(state);
}
