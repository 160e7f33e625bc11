/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_topic_partitions.c: topics by name, a page at a time
 * (DescribeTopicPartitions, KIP-966; requests.md §3.4 of the reference). A page ends after `limit`
 * partitions; the cursor says where the next one starts.
 */
#include "base/name_order.h"
#include "protocol/generated/describe_topic_partitions_request.h"
#include "protocol/generated/describe_topic_partitions_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/topic_name.h"

typedef struct describe_topic_partitions_response_describe_topic_partitions_response_topic
    answer_topic;
typedef struct describe_topic_partitions_response_describe_topic_partitions_response_partition
    answer_partition;

struct work {
    struct arena *arena;
    const struct describe_topic_partitions_request *asked;
    struct describe_topic_partitions_response *response;
    struct image_view view;
    size_t topics_capacity;
    int32_t left;        /* partitions that this page may still take */
    struct slice *names; /* of an explicit list: ascending, from the cursor on */
    size_t name_count;
    bool all;
};

static enum err partition_fill(struct work *work, const struct metadata_partition *partition,
                               answer_partition *out)
{
    out->partition_index = partition->index;
    out->leader_id = image_view_broker(&work->view, partition->leader) ? partition->leader : -1;
    out->leader_epoch = partition->leader_epoch;
    out->replica_nodes = image_view_ids(partition->replicas);
    out->replica_nodes_count = (int32_t)partition->replica_count;
    out->isr_nodes = image_view_ids(partition->isr);
    out->isr_nodes_count = (int32_t)partition->isr_count;
    out->eligible_leader_replicas = image_view_ids(partition->elr);
    out->eligible_leader_replicas_count = (int32_t)partition->elr_count;
    out->last_known_elr = image_view_ids(partition->last_known_elr);
    out->last_known_elr_count = (int32_t)partition->last_known_elr_count;
    return image_view_offline(&work->view, partition, work->arena, &out->offline_replicas,
                              &out->offline_replicas_count);
}

static enum err cursor_set(struct work *work, struct slice topic, int32_t partition)
{
    struct describe_topic_partitions_response_cursor *cursor =
        describe_topic_partitions_response_cursor_array(work->arena, 1);

    if (!cursor)
        return ERR_NO_MEMORY;
    cursor->topic_name = topic;
    cursor->partition_index = partition;
    work->response->next_cursor = cursor;
    return OK;
}

/* How many topics there are is not known before; a page holds at most as many as partitions. */
static enum err topic_next(struct work *work, answer_topic **out)
{
    size_t count = (size_t)work->response->topics_count;

    if (count == work->topics_capacity) {
        size_t capacity = MAX(work->topics_capacity * 2, (size_t)16);
        answer_topic *grown =
            describe_topic_partitions_response_describe_topic_partitions_response_topic_array(
                work->arena, capacity);

        if (!grown)
            return ERR_NO_MEMORY;
        if (count > 0)
            memcpy(grown, work->response->topics, count * sizeof *grown);
        work->response->topics = grown;
        work->topics_capacity = capacity;
    }
    *out = &work->response->topics[work->response->topics_count++];
    (*out)->topic_authorized_operations = OPERATIONS_TOPIC;
    return OK;
}

static int32_t start_of(const struct work *work, struct slice name)
{
    const struct describe_topic_partitions_request_cursor *cursor = work->asked->cursor;

    return cursor && slice_equal(cursor->topic_name, name) ? cursor->partition_index : 0;
}

/* False in *more_out: the page ends here. */
static enum err topic_fill(struct work *work, const struct metadata_topic *topic, bool *more_out)
{
    int32_t start = start_of(work, topic->name);
    int32_t take = MIN(MAX(topic->partition_count - start, 0), work->left);
    answer_topic *out;

    *more_out = true;
    if (work->left == 0) {
        *more_out = false;
        return cursor_set(work, topic->name, 0);
    }
    TRY(topic_next(work, &out));
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = topic_name_is_internal(topic->name);
    out->partitions =
        describe_topic_partitions_response_describe_topic_partitions_response_partition_array(
            work->arena, (size_t)take);
    if (!out->partitions)
        return ERR_NO_MEMORY;
    for (int32_t i = start; i < start + take; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        if (partition)
            TRY(partition_fill(work, partition, &out->partitions[out->partitions_count++]));
    }
    work->left -= take;
    if (start + take < topic->partition_count) {
        *more_out = false;
        return cursor_set(work, topic->name, start + take);
    }
    return OK;
}

static enum err topic_missing(struct work *work, struct slice name, bool *more_out)
{
    answer_topic *out;

    *more_out = work->left > 0;
    if (!*more_out)
        return cursor_set(work, name, 0);
    TRY(topic_next(work, &out));
    out->name = name;
    out->is_internal = topic_name_is_internal(name);
    out->error_code =
        err_wire_code(topic_name_check(name, NULL) == OK ? ERR_UNKNOWN_TOPIC_OR_PARTITION
                                                         : ERR_INVALID_TOPIC_EXCEPTION);
    return OK;
}

static enum err all_fill(struct work *work)
{
    struct metadata_walk walk;
    const struct metadata_topic *topic;
    struct slice from = work->asked->cursor ? work->asked->cursor->topic_name : SLICE_EMPTY;
    bool more = true;

    metadata_walk_topics_from(&walk, work->view.image, from, false);
    while (more && (topic = metadata_walk_next(&walk)))
        TRY(topic_fill(work, topic, &more));
    return OK;
}

static enum err some_fill(struct work *work)
{
    bool more = true;

    for (size_t i = 0; more && i < work->name_count; i++) {
        const struct metadata_topic *topic = metadata_image_topic(work->view.image, work->names[i]);

        if (topic)
            TRY(topic_fill(work, topic, &more));
        else
            TRY(topic_missing(work, work->names[i], &more));
    }
    return OK;
}

/* The names of the list that are not before the cursor. */
static enum err names_collect(struct work *work, struct why *why)
{
    const struct describe_topic_partitions_request_cursor *cursor = work->asked->cursor;
    struct slice from = cursor ? cursor->topic_name : SLICE_EMPTY;

    work->names = ARENA_ARRAY(work->arena, struct slice, (size_t)work->asked->topics_count);
    if (!work->names)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < work->asked->topics_count; i++)
        if (slice_compare(work->asked->topics[i].name, from) >= 0)
            work->names[work->name_count++] = work->asked->topics[i].name;
    TRY(name_set(work->arena, work->names, &work->name_count));
    /* The first one is the cursor's, if the list has it. */
    if (cursor && (work->name_count == 0 || !slice_equal(work->names[0], from)))
        return why_set(why, ERR_INVALID_REQUEST,
                       "DescribeTopicPartitionsRequest topic list should contain the cursor topic: "
                       "%.*s",
                       SLICE_ARGS(from));
    return OK;
}

static enum err answer_fill(struct work *work, struct why *why)
{
    const struct describe_topic_partitions_request_cursor *cursor = work->asked->cursor;

    work->all = work->asked->topics_count <= 0;
    if (!work->all)
        TRY(names_collect(work, why));
    if (cursor && cursor->partition_index < 0)
        return why_set(why, ERR_INVALID_REQUEST,
                       "DescribeTopicPartitionsRequest cursor partition must be valid: %d",
                       cursor->partition_index);
    return work->all ? all_fill(work) : some_fill(work);
}

void handle_describe_topic_partitions(struct request *request)
{
    const struct publication *publication = image_view_publication(request);
    struct why why = {0};
    enum err err;
    struct work work = {
        .arena = &request->arena, .asked = request->body, .response = request_response(request)};
    int32_t limit;

    if (!publication)
        return;
    limit = config_int(publication->config, BROKER_MAX_REQUEST_PARTITION_SIZE_LIMIT);
    work.left = MAX(MIN(limit, work.asked->response_partition_limit), 1);
    work.view = (struct image_view){publication->image, request->session->kind->listener->name};
    err = answer_fill(&work, &why);
    if (err != OK)
        request_answer_failed(request, err, why.text[0] ? why.text : NULL);
    else
        request_answer(request, work.response);
}
