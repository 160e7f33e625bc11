/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_load.c: a coordinator's state out of its log: chunks of
 * the load buffer's size, walked some hundred records a turn. docs/design/coordinator_runner.md §5;
 * groups.md §1.3 of the reference.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"
#include "records/control_record.h"
#include "server/publication.h"

#define INFLATED_BYTES_MAX (256 * MIB)

static struct coordinator_runner *runner_of_load(struct runner_load *load)
{
    return CONTAINER_OF(load, struct coordinator_runner, load);
}

/* ---- whose turn it is ---- */

void service_load_next(struct coordinator_service *service)
{
    while (service->loading < COORDINATOR_LOADS_MAX && !list_is_empty(&service->loads)) {
        struct runner_load *load =
            LIST_ITEM(list_pop_front(&service->loads), struct runner_load, node);

        load->is_queued = false;
        load->is_counted = true;
        service->loading++;
        runner_load_resume(runner_of_load(load));
    }
}

static void load_leave(struct coordinator_runner *runner)
{
    struct runner_load *load = &runner->load;

    if (load->is_queued)
        list_remove(&load->node);
    load->is_queued = false;
    if (!load->is_counted)
        return;
    load->is_counted = false;
    runner->service->loading--;
    if (!runner->service->is_stopped)
        service_load_next(runner->service);
}

static void chunk_release(struct coordinator_runner *runner)
{
    struct runner_load *load = &runner->load;

    if (load->buffer)
        heap_allocator.release(&heap_allocator, load->buffer, load->buffer_bytes);
    load->buffer = NULL;
    load->rest = SLICE_EMPTY;
    load->in_batch = false;
    if (load->is_planned) {
        log_read_release(&load->read);
        load->is_planned = false;
        partition_unuse(runner->partition);
    }
}

/* A read or a step that is under way comes back to a closed runner and ends it. */
void runner_load_cancel(struct coordinator_runner *runner)
{
    load_leave(runner);
}

static void load_fail(struct coordinator_runner *runner, enum err err, const char *why)
{
    chunk_release(runner);
    runner_fail(runner, err, why, false);
}

/* ---- the end ---- */

static void load_done(struct coordinator_runner *runner)
{
    struct runner_load *load = &runner->load;
    struct effects_block *block;
    struct coordinator_moment moment = runner_moment(runner);
    enum err err;

    chunk_release(runner);
    writer_release(&load->inflated);
    writer_init(&load->inflated, &heap_allocator, SIZE_MAX);
    runner_kind(runner)->committed(runner->core, runner->partition->replica.high_watermark);
    block = block_new(runner->service, NULL);
    err = runner_kind(runner)->loaded(runner->core, &moment, &block->effects);
    if (err != OK) {
        block_unref(runner->shard, block);
        runner_fail(runner, err, "the loaded state cannot be used", false);
        return;
    }
    runner->state = RUNNER_ACTIVE;
    LOG_INFO(runner_logger(runner), "coordinator", "loaded",
             "topic=%.*s partition=%d epoch=%d records=%lld chunks=%d offsets=%lld-%lld ms=%lld",
             SLICE_ARGS(runner_kind(runner)->topic), runner->index, runner->leader_epoch,
             (long long)load->records, load->chunks, (long long)load->start_offset,
             (long long)load->next_offset,
             (long long)(reactor_now_ms(runner->shard->reactor) - load->started_ms));
    runner_begin_work(runner);
    load_leave(runner);
    runner_take(runner, block);
    if (runner->state == RUNNER_ACTIVE)
        runner_arm(runner);
    runner_end_work(runner);
}

/* ---- records ---- */

static enum err control_take(struct coordinator_runner *runner, const struct record *record)
{
    const struct batch_header *header = &runner->load.header;
    enum control_type type;

    TRY(control_key_read(record->key, &type));
    if ((type != CONTROL_COMMIT && type != CONTROL_ABORT) || !runner_kind(runner)->replay_marker)
        return OK;
    return runner_kind(runner)->replay_marker(runner->core, header->producer_id,
                                              header->producer_epoch, type == CONTROL_COMMIT,
                                              record->offset);
}

static enum err record_take(struct coordinator_runner *runner, const struct record *record,
                            struct why *why)
{
    struct runner_load *load = &runner->load;
    struct coordinator_record own = {record->key, record->value};
    bool is_transactional = batch_is_transactional(&load->header);

    if (record->offset < load->next_offset)
        return OK; /* a batch that begins before the log's start */
    load->records++;
    if (batch_is_control(&load->header))
        return control_take(runner, record);
    if (slice_is_null(record->key))
        return why_set(why, ERR_CORRUPT, "a record without key");
    return runner_kind(runner)->replay(
        runner->core, &own, record->offset,
        is_transactional ? load->header.producer_id : PRODUCER_ID_NONE,
        is_transactional ? load->header.producer_epoch : PRODUCER_EPOCH_NONE, why);
}

static enum err batch_begin(struct coordinator_runner *runner, struct slice batch, struct why *why)
{
    struct runner_load *load = &runner->load;
    struct slice records;

    if (!batch_is_valid(batch))
        return why_set(why, ERR_CORRUPT, "a batch whose check is wrong");
    TRY(batch_header_read(batch, &load->header));
    if (load->header.magic != BATCH_MAGIC)
        return why_set(why, ERR_UNSUPPORTED_VERSION, "a batch of magic %d", load->header.magic);
    records = batch_records(batch);
    if (batch_codec(&load->header) != COMPRESSION_NONE) {
        writer_reset(&load->inflated);
        TRY(record_inflate(runner->shard->compress, batch, INFLATED_BYTES_MAX, &load->inflated));
        records = writer_slice(&load->inflated);
    }
    TRY(record_walk_begin(&load->walk, &load->header, records));
    load->in_batch = true;
    return OK;
}

/* Some records of the chunk at hand; *done_out: it holds no more. */
static enum err records_walk(struct coordinator_runner *runner, bool *done_out, struct why *why)
{
    struct runner_load *load = &runner->load;
    struct record record;
    struct slice batch;
    bool more;

    *done_out = false;
    for (int i = 0; i < COORDINATOR_LOAD_RECORDS_STEP; i++) {
        if (!load->in_batch) {
            TRY(batch_next(&load->rest, &batch));
            if (batch.size_bytes == 0) {
                *done_out = true;
                return OK;
            }
            TRY(batch_begin(runner, batch, why));
        }
        TRY(record_walk_next(&load->walk, &record, &more));
        if (more) {
            TRY(record_take(runner, &record, why));
        } else {
            load->in_batch = false;
            load->next_offset = MAX(load->next_offset, batch_next_offset(&load->header));
        }
        if (FAULT_POINT(coordinator_load_one))
            break;
    }
    return OK;
}

static void chunk_read(struct coordinator_runner *runner);

static void step_deliver(struct mail *mail, struct reactor *to)
{
    struct coordinator_runner *runner = CONTAINER_OF(mail, struct coordinator_runner, load.step);
    int64_t before = runner->load.next_offset;
    struct why why = {""};
    bool is_done = false;
    enum err err = OK;

    UNUSED(to);
    if (runner->state != RUNNER_LOADING) {
        chunk_release(runner);
        runner_end_work(runner);
        return;
    }
    err = records_walk(runner, &is_done, &why);
    if (err == OK && is_done && runner->load.next_offset <= runner->load.read.offset)
        err = why_set(&why, ERR_CORRUPT, "nothing whole at %lld", (long long)before);
    if (err != OK) {
        LOG_ERROR(runner_logger(runner), "coordinator", "unreadable",
                  "topic=%.*s partition=%d offset=%lld error=%s reason=\"%s\"",
                  SLICE_ARGS(runner_kind(runner)->topic), runner->index,
                  (long long)runner->load.next_offset, err_name(err), why.text);
        load_fail(runner, err, "its log cannot be read");
    } else if (is_done) {
        chunk_release(runner);
        chunk_read(runner);
    } else {
        runner_begin_work(runner);
        reactor_send(runner->shard->reactor, runner->shard->reactor, &runner->load.step);
    }
    runner_end_work(runner);
}

/* ---- chunks ---- */

static void chunk_here(struct log_read *read)
{
    struct coordinator_runner *runner = CONTAINER_OF(read, struct coordinator_runner, load.read);
    struct runner_load *load = &runner->load;

    if (runner->state != RUNNER_LOADING) {
        chunk_release(runner);
    } else if (read->err != OK) {
        load_fail(runner, read->err, "its log cannot be read");
    } else {
        load->chunks++;
        /* What is committed already needs no history while the rest is read. */
        runner_kind(runner)->committed(runner->core, runner->partition->replica.high_watermark);
        load->rest = slice_of(load->buffer, MIN(read->read_bytes, load->buffer_bytes));
        load->step = (struct mail){.deliver = step_deliver};
        runner_begin_work(runner);
        reactor_send(runner->shard->reactor, runner->shard->reactor, &load->step);
    }
    runner_end_work(runner);
}

static void chunk_planned(struct log_read *read)
{
    struct coordinator_runner *runner = CONTAINER_OF(read, struct coordinator_runner, load.read);
    struct runner_load *load = &runner->load;

    if (runner->state != RUNNER_LOADING) {
        chunk_release(runner);
    } else if (read->err != OK) {
        load_fail(runner, read->err, "its log cannot be read");
    } else if (read->size_bytes == 0) {
        /* Compaction may have left nothing up to here. */
        load->next_offset = MAX(load->next_offset, read->bound_offset);
        chunk_release(runner);
        chunk_read(runner);
    } else {
        load->buffer_bytes = read->size_bytes;
        load->buffer = heap_allocator.allocate(&heap_allocator, load->buffer_bytes);
        if (load->buffer) {
            runner_begin_work(runner);
            read->done = chunk_here;
            log_read_bytes(read, load->buffer);
        } else {
            load_fail(runner, ERR_NO_MEMORY, "no memory for a chunk of its log");
        }
    }
    runner_end_work(runner);
}

static void chunk_read(struct coordinator_runner *runner)
{
    struct runner_load *load = &runner->load;
    struct log *log = runner->partition->log;
    int64_t written = log_end_written(log);

    if (load->next_offset >= log_end_queued(log)) {
        load_done(runner);
        return;
    }
    if (load->next_offset >= written) {
        load->is_waiting = true; /* PARTITION_NEWS_END goes on */
        return;
    }
    load->read = (struct log_read){
        .offset = load->next_offset,
        .bound_offset = written,
        .bytes_max =
            (size_t)config_int(runner_config(runner), runner_kind(runner)->load_buffer_size),
        .at_least_one = true,
        .done = chunk_planned,
    };
    partition_use(runner->partition);
    load->is_planned = true;
    runner_begin_work(runner);
    if (log_read_plan(log, &load->read))
        chunk_planned(&load->read);
}

void runner_load_resume(struct coordinator_runner *runner)
{
    struct runner_load *load = &runner->load;

    if (!load->is_counted || !load->is_waiting)
        return;
    load->is_waiting = false;
    runner_begin_work(runner);
    chunk_read(runner);
    runner_end_work(runner);
}

void runner_load_start(struct coordinator_runner *runner)
{
    struct coordinator_service *service = runner->service;
    struct runner_load *load = &runner->load;
    enum err err;

    ASSERT(runner->state == RUNNER_OPENING && !runner->core);
    err = runner_kind(runner)->create(runner, &runner->core);
    if (err != OK) {
        runner_fail(runner, err, "the coordinator cannot be made", false);
        return;
    }
    runner->state = RUNNER_LOADING;
    load->start_offset = load->next_offset = log_start_offset(runner->partition->log);
    runner->newest_end = 0;
    load->started_ms = reactor_now_ms(runner->shard->reactor);
    load->is_waiting = true; /* for its turn */
    load->is_queued = true;
    list_push_back(&service->loads, &load->node);
    service_load_next(service);
}
