/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/clean_facts.c: timestamps of sealed segments that a lag of compaction asks for and that nobody knows
 * since the log was opened: the largest of each, and that of the first batch.
 * Threads     the store's; the job works on files and on its own memory.
 */
#include "storage/cleaner.h"

struct facts_job {
    struct os_op op;
    struct index_waiter waiter;
    struct log *log;
    struct os *os;
    struct clean_item *items;
    int64_t *timestamps;
    size_t count;
    char path[PATH_BYTES];
};

static void facts_run(struct os_op *op)
{
    struct facts_job *job = CONTAINER_OF(op, struct facts_job, op);

    for (size_t i = 0; i < job->count; i++) {
        CLEANUP(os_file_close) struct os_file *file = NULL;
        CLEANUP(batch_reader_release) struct batch_reader reader = {0};
        struct batch_header header;
        char path[PATH_BYTES];
        int64_t position;
        bool found;

        job->timestamps[i] = TIMESTAMP_NONE; /* what cannot be read does not hurry a pass */
        path_of_file(job->path, job->items[i].base_offset, ".log", path);
        if (os_file_open(job->os, path, OS_OPEN_READ, &file) != OK)
            continue;
        batch_reader_init(&reader, file, 0, job->items[i].size_bytes);
        if (batch_reader_next_header(&reader, &found, &header, &position) == OK && found)
            job->timestamps[i] = header.max_timestamp;
    }
}

static void facts_end(struct facts_job *job)
{
    struct log *log = job->log;

    for (size_t i = 0; i < job->count; i++)
        segment_release(&job->items[i].segment);
    storage_free(job->items, (job->count + 1) * sizeof *job->items);
    storage_free(job->timestamps, (job->count + 1) * sizeof *job->timestamps);
    STORAGE_DELETE(job);
    log->clean_facts_loading = false;
    store_cleaner_look(log->store, 0);
    log_busy_end(log);
}

static void facts_done(struct os_op *op)
{
    struct facts_job *job = CONTAINER_OF(op, struct facts_job, op);

    for (size_t i = 0; i < job->count; i++) {
        job->items[i].segment->first_timestamp = job->timestamps[i];
        job->items[i].segment->first_timestamp_known = true;
    }
    facts_end(job);
}

static void facts_first_load(struct facts_job *job)
{
    struct log *log = job->log;

    job->items = storage_allocate((log->segment_count + 1) * sizeof *job->items);
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        if (!segment->first_timestamp_known)
            job->items[job->count++] = (struct clean_item){
                segment_ref(segment), segment->base_offset, segment->size_bytes, 0, 0};
    }
    job->items = heap_allocator.resize(&heap_allocator, job->items,
                                       (log->segment_count + 1) * sizeof *job->items,
                                       (job->count + 1) * sizeof *job->items);
    ASSERT(job->items);
    job->timestamps = storage_allocate((job->count + 1) * sizeof *job->timestamps);
    job->op = (struct os_op){.kind = OS_OP_JOB, .run = facts_run, .done = facts_done};
    reactor_submit(log->store->reactor, &job->op);
}

static void facts_largest_ready(struct index_waiter *waiter)
{
    struct facts_job *job = CONTAINER_OF(waiter, struct facts_job, waiter);

    if (job->log->failed || waiter->failed || log_is_changing(job->log)) {
        job->log->uncleanable = job->log->uncleanable || waiter->failed;
        facts_end(job);
        return;
    }
    facts_first_load(job);
}

void clean_facts_load(struct log *log)
{
    struct facts_job *job = STORAGE_NEW(struct facts_job);

    job->log = log;
    job->os = log_os(log);
    path_copy(log->path, job->path);
    job->waiter.ready = facts_largest_ready;
    log->clean_facts_loading = true;
    log_busy_begin(log);
    if (log_timestamps_known(log))
        facts_first_load(job);
    else
        log_timestamps_load(log, &job->waiter);
}
