/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/write_txn_markers.c: WriteTxnMarkers (27): the end of transactions on partitions
 * that this node leads, from a coordinator elsewhere or from an operator who aborts what nobody will
 * end. transactions.md §10, §13 of the reference.
 */
#include <stdlib.h>

#include "protocol/generated/write_txn_markers_request.h"
#include "protocol/generated/write_txn_markers_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/marker_append.h"

typedef struct write_txn_markers_request_writable_txn_marker asked_marker;
typedef struct write_txn_markers_response_writable_txn_marker_result told_marker;
typedef struct write_txn_markers_response_writable_txn_marker_topic_result told_topic;
typedef struct write_txn_markers_response_writable_txn_marker_partition_result told_partition;

struct marker_work {
    struct marker_append append;
    struct markers_work *work;
    struct slice topic;
    int32_t index;
};
struct markers_work {
    struct request *request;
    struct write_txn_markers_response *response;
    struct marker_work *markers; /* one for each partition of each marker, in the order asked */
    struct marker_work **sorted;
    told_topic *topics; /* room for all that may be told */
    told_partition *partitions;
    size_t count;
    size_t left;
    bool is_submitting;
};

static int marker_order(const void *a, const void *b)
{
    const struct marker_work *one = *(struct marker_work *const *)a;
    const struct marker_work *two = *(struct marker_work *const *)b;
    int order;

    if (one->append.producer_id != two->append.producer_id)
        return one->append.producer_id < two->append.producer_id ? -1 : 1;
    order = slice_compare(one->topic, two->topic);
    if (order != 0)
        return order;
    if (one->index != two->index)
        return one->index < two->index ? -1 : 1;
    return one < two ? -1 : 1;
}

/* As Kafka: one entry for each producer with partitions, of a partition asked for twice the last outcome. */
static void markers_tell(struct markers_work *work)
{
    const struct marker_work *before = NULL;
    told_marker *marker = NULL;
    told_topic *topic = NULL, *next_topic = work->topics;
    told_partition *partition = NULL, *next_partition = work->partitions;

    qsort(work->sorted, work->count, sizeof(struct marker_work *), marker_order);
    for (size_t i = 0; i < work->count; before = work->sorted[i++]) {
        const struct marker_work *now = work->sorted[i];
        bool is_other = !before || before->append.producer_id != now->append.producer_id;
        bool is_topic = is_other || !slice_equal(before->topic, now->topic);

        if (is_other) {
            marker = &work->response->markers[work->response->markers_count++];
            marker->producer_id = now->append.producer_id;
            marker->topics = next_topic;
            marker->topics_count = 0;
        }
        if (is_topic) {
            topic = next_topic++;
            topic->name = now->topic;
            topic->partitions = next_partition;
            topic->partitions_count = 0;
            marker->topics_count++;
        }
        if (is_topic || before->index != now->index) {
            partition = next_partition++;
            partition->partition_index = now->index;
            topic->partitions_count++;
        }
        partition->error_code = err_wire_code(now->append.err);
    }
    request_answer(work->request, work->response);
}

/* Holds: an append leans on its part of the arena until it is home; the answer comes after all. */
static void marker_done(struct marker_append *append)
{
    struct markers_work *work = CONTAINER_OF(append, struct marker_work, append)->work;

    if (--work->left == 0 && !work->is_submitting)
        markers_tell(work);
}

static void marker_fill(struct markers_work *work, const asked_marker *asked, struct slice topic,
                        int32_t index)
{
    struct marker_work *marker = &work->markers[work->count];

    work->sorted[work->count++] = marker;
    marker->work = work;
    marker->topic = topic;
    marker->index = index;
    marker->append = (struct marker_append){
        .producer_id = asked->producer_id,
        .producer_epoch = asked->producer_epoch,
        .coordinator_epoch = asked->coordinator_epoch,
        .transaction_version = asked->transaction_version,
        .is_commit = asked->transaction_result,
        .done = marker_done,
    };
}

static void markers_fill(struct markers_work *work, const struct write_txn_markers_request *body)
{
    for (int32_t i = 0; i < body->markers_count; i++) {
        const asked_marker *asked = &body->markers[i];

        for (int32_t k = 0; k < asked->topics_count; k++)
            for (int32_t p = 0; p < asked->topics[k].partition_indexes_count; p++)
                marker_fill(work, asked, asked->topics[k].name,
                            asked->topics[k].partition_indexes[p]);
    }
}

static size_t partitions_count(const struct write_txn_markers_request *body)
{
    size_t count = 0;

    for (int32_t i = 0; i < body->markers_count; i++)
        for (int32_t k = 0; k < body->markers[i].topics_count; k++)
            count += (size_t)MAX(body->markers[i].topics[k].partition_indexes_count, 0);
    return count;
}

/* NULL: no memory. */
static struct markers_work *work_create(struct request *request,
                                        const struct write_txn_markers_request *body)
{
    size_t count = partitions_count(body);
    struct markers_work *work = ARENA_NEW(&request->arena, struct markers_work);

    if (!work)
        return NULL;
    work->request = request;
    work->response = request_response(request);
    work->response->markers =
        write_txn_markers_response_writable_txn_marker_result_array(&request->arena, count);
    work->topics =
        write_txn_markers_response_writable_txn_marker_topic_result_array(&request->arena, count);
    work->partitions = write_txn_markers_response_writable_txn_marker_partition_result_array(
        &request->arena, count);
    work->markers = ARENA_ARRAY(&request->arena, struct marker_work, count);
    work->sorted = ARENA_ARRAY(&request->arena, struct marker_work *, count);
    if (!work->response->markers || !work->topics || !work->partitions || !work->markers ||
        !work->sorted)
        return NULL;
    markers_fill(work, body);
    return work;
}

void handle_write_txn_markers(struct request *request)
{
    struct markers_work *work;

    if (!image_view_publication(request))
        return;
    work = work_create(request, request->body);
    if (!work) {
        request_close(request, "no memory for WriteTxnMarkers");
        return;
    }
    work->left = work->count;
    work->is_submitting = true;
    for (size_t i = 0; i < work->count; i++)
        marker_append_submit(request->shard, &work->markers[i].append, work->markers[i].topic,
                             work->markers[i].index);
    work->is_submitting = false;
    if (work->left == 0)
        markers_tell(work);
}
