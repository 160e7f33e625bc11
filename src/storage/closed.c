/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/closed.c: what a store remembers of logs that were closed in order in this run, for the case
 * that they are opened again: by then the checkpoint files as read at the start are out of date.
 * Invariants  1. one entry per directory and name at most; opening takes it out.
 * Crash       nothing here outlives the process; the checkpoint files do.
 * Threads     the store's.
 */
#include "storage/directories.h"
#include "storage/shard.h"

struct closed_log {
    struct list_node node;
    struct log_directory *directory;
    int64_t recovery_point;
    int64_t start_offset;
    int64_t high_watermark;
    int64_t clean_offset;
    int32_t partition;
    size_t topic_bytes;
    char topic[]; /* not terminated */
};

static void closed_free(struct closed_log *closed)
{
    storage_free(closed, sizeof *closed + closed->topic_bytes);
}

static struct closed_log *closed_find(struct log_store *store, struct log_directory *directory,
                                      struct slice topic, int32_t partition)
{
    LIST_EACH (node, &store->closed) {
        struct closed_log *closed = LIST_ITEM(node, struct closed_log, node);

        if (closed->directory == directory && closed->partition == partition &&
            slice_equal(slice_of(closed->topic, closed->topic_bytes), topic))
            return closed;
    }
    return NULL;
}

void store_closed_note(struct log_store *store, const struct log *log)
{
    struct slice topic = log_topic(log);
    struct closed_log *closed;

    if (store->close_op)
        return; /* nothing will be opened any more */
    closed = closed_find(store, log->directory, topic, log->partition);
    if (!closed) {
        closed = storage_allocate(sizeof *closed + topic.size_bytes);
        closed->directory = log->directory;
        closed->partition = log->partition;
        closed->topic_bytes = topic.size_bytes;
        memcpy(closed->topic, topic.data, topic.size_bytes);
        list_push_back(&store->closed, &closed->node);
    }
    closed->recovery_point = log->recovery_point;
    closed->start_offset = log->start_offset;
    closed->high_watermark = log->high_watermark;
    closed->clean_offset = log->clean_offset;
}

bool store_closed_take(struct log_store *store, const struct log_open *open,
                       struct load_request *request)
{
    struct closed_log *closed;

    if (open->future)
        return false; /* a copy begins anew, in a directory of its own */
    closed = closed_find(store, open->directory, open->topic, open->partition);
    if (!closed)
        return false;
    request->clean = !open->recover_all;
    request->recovery_point = closed->recovery_point;
    request->start_offset = closed->start_offset;
    request->high_watermark = closed->high_watermark;
    request->clean_offset = closed->clean_offset;
    list_remove(&closed->node);
    closed_free(closed);
    return true;
}

void store_closed_release(struct log_store *store)
{
    while (!list_is_empty(&store->closed))
        closed_free(LIST_ITEM(list_pop_front(&store->closed), struct closed_log, node));
}
