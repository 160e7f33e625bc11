/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/produce_append.c: one batch on the shard that owns its partition: checked,
 * stamped, queued, committed. docs/design/produce.md §3; storage.md §2 of the reference.
 *
 * Order       Batches of one partition reach its log in the order in which they came, also when
 *             one of them is checked by a job: those behind it queue.
 */
#include "server/handlers/produce_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "base/fault_point.h"

struct produce_job {
    struct os_op op;
    struct produce_part *part;
    struct compress_context *context;
    struct topic_settings *settings;
    int64_t now_ms;
    struct append_info info;
    enum err err;
    struct slice rebuilt;
};

struct produce_failure *produce_failure_of(struct produce_part *part)
{
    if (!part->failure) {
        part->failure = SERVER_NEW(struct produce_failure);
        arena_init(&part->failure->arena, &heap_allocator, 1 * MIB);
    }
    return part->failure;
}

/* ---- the end ---- */

static void part_settle(struct produce_part *part)
{
    ASSERT(part->pending_count > 0);
    if (--part->pending_count > 0)
        return;
    if (part->has_rebuilt) {
        writer_release(&part->rebuilt);
        part->has_rebuilt = false;
    }
    part->is_finished = true;
    partition_op_finish(&part->op);
}

static void part_fail(struct produce_part *part, enum err err)
{
    struct shard *shard = part->partition->shard;

    part->err = err;
    part->base_offset = -1;
    part->log_append_time_ms = -1;
    /* These are known before the log was looked at, in Kafka; others tell the log's start, and count as failures. */
    switch (err) {
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_CORRUPT_MESSAGE:
    case ERR_KAFKA_STORAGE_ERROR:
        part->log_start_offset = -1;
        break;
    default:
        part->log_start_offset = part->partition->log ? log_start_offset(part->partition->log) : -1;
        shard->metrics.produce_requests_failed++;
    }
    if (err == ERR_CORRUPT_MESSAGE)
        shard->metrics.invalid_records_crc++;
    if (err == ERR_MESSAGE_TOO_LARGE)
        shard->metrics.bytes_rejected += part->size_bytes;
    part->pending_count = 1;
    part_settle(part);
}

void produce_part_refuse(struct produce_part *part, enum err err)
{
    part->err = err;
    part->base_offset = part->log_append_time_ms = part->log_start_offset = -1;
    part->pending_count = 1;
    part_settle(part);
}

static void committed(struct commit_wait *wait, enum err err)
{
    struct produce_part *part = CONTAINER_OF(wait, struct produce_part, wait);

    part->is_waiting = false;
    if (err != OK && part->err == OK) {
        part->err = err;
        part->leader_id = part->partition->replica.leader_id;
        part->leader_epoch = part->partition->replica.leader_epoch;
    }
    part_settle(part);
}

void produce_expire(struct produce_part *part)
{
    part->told_offset = part->base_offset;
    if (part->is_finished)
        return; /* on its way home */
    part->is_expired = true;
    if (!part->is_waiting)
        return;
    part->is_waiting = false;
    commit_wait_cancel(&part->wait);
    part->err = ERR_REQUEST_TIMED_OUT;
    part_settle(part);
}

static void appended(struct log_append *append)
{
    struct produce_part *part = CONTAINER_OF(append, struct produce_part, append);

    if (append->err != OK) {
        part->err = append->err;
        part->base_offset = -1;
        part->log_append_time_ms = -1;
        part->log_start_offset = -1;
        if (part->is_waiting) {
            part->is_waiting = false;
            commit_wait_cancel(&part->wait);
            part->pending_count--;
        }
    }
    part_settle(part);
}

/* ---- the append ---- */

static void count_in(struct produce_part *part, const struct append_info *info)
{
    struct shard_metrics *metrics = &part->partition->shard->metrics;

    metrics->bytes_in += part->append.size_bytes;
    if (info->record_count > 0)
        metrics->messages_in += (uint64_t)info->record_count;
}

static void part_append(struct produce_part *part, const struct append_info *info,
                        struct slice bytes)
{
    struct partition *partition = part->partition;
    struct why why;
    enum err err;

    why_clear(&why);
    part->append = (struct log_append){
        .data = (uint8_t *)(uintptr_t)bytes.data,
        .size_bytes = bytes.size_bytes,
        .origin = APPEND_ORIGIN_CLIENT,
        .leader_epoch = partition->replica.leader_epoch,
        .verification_guard = part->guard,
        .verification_required = part->guard_required,
        .done = appended,
    };
    err = log_append(partition->log, &part->append, &why);
    if (err != OK) {
        part_fail(part, err == ERR_STATE ? ERR_NOT_LEADER_OR_FOLLOWER : err);
        return;
    }
    part->base_offset = part->append.first_offset;
    part->log_append_time_ms =
        part->append.duplicate ? part->append.duplicate_timestamp : info->log_append_time;
    part->log_start_offset = log_start_offset(partition->log);
    part->pending_count = 1;
    if (!part->append.duplicate)
        count_in(part, info);
    if (part->state->acks == -1 && !part->is_expired && !BUG_IS(ack_before_commit) &&
        !(BUG_IS(duplicate_before_commit) && part->append.duplicate)) {
        part->pending_count++;
        part->is_waiting = true;
        part->wait =
            (struct commit_wait){.offset = part->append.last_offset + 1, .done = committed};
        partition_commit_wait(partition, &part->wait);
    }
}

static void validated(struct produce_part *part, const struct append_info *info, enum err err,
                      struct slice rebuilt, const struct why *why)
{
    enum err leader;

    if (err != OK) {
        struct produce_failure *failure = produce_failure_of(part);

        failure->why = *why;
        failure->message = info->message;
        failure->record_errors = info->record_errors;
        failure->record_error_count = info->record_error_count;
        part->partition->shard->metrics.invalid_records_sequence += info->has_invalid_numbers;
        part->partition->shard->metrics.no_key_compacted_topic += (uint64_t)info->keyless_count;
        part_fail(part, err);
        return;
    }
    /* A job took its time: the leadership may be gone. */
    leader = part->partition->stage == PARTITION_OPEN
                 ? replica_check_produce(&part->partition->replica, part->state->acks,
                                         part->partition->settings->topic.min_insync_replicas)
                 : ERR_NOT_LEADER_OR_FOLLOWER;
    if (leader != OK || part->partition->replica.role != REPLICA_LEADER) {
        part_fail(part, leader != OK ? leader : ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    part_append(part, info,
                slice_is_null(rebuilt) ? slice_of(part->data, info->valid_bytes) : rebuilt);
}

/* ---- checks by a job ---- */

static void job_run(struct os_op *op)
{
    struct produce_job *job = CONTAINER_OF(op, struct produce_job, op);
    struct produce_part *part = job->part;
    struct produce_failure *failure = part->failure;

    job->err = append_validate(&job->settings->validate, APPEND_ORIGIN_CLIENT, job->now_ms,
                               part->data, job->context, &failure->arena, &part->rebuilt,
                               &job->info, &job->rebuilt, &failure->why);
}

static void job_done(struct os_op *op)
{
    struct produce_job *job = CONTAINER_OF(op, struct produce_job, op);
    struct produce_part *part = job->part;
    struct hosted *hosted = hosted_of(part->partition);
    struct why why = part->failure->why;
    enum err err = op->err != OK && job->err == OK ? ERR_KAFKA_STORAGE_ERROR : job->err;
    struct slice rebuilt = job->rebuilt;

    compress_context_release(&job->context);
    topic_settings_release(&job->settings);
    part->job = NULL;
    partition_use(&hosted->partition);
    validated(part, &job->info, err, rebuilt, &why);
    SERVER_DELETE(job);
    hosted->produce_busy = false;
    produce_queue_run(hosted);
    partition_unuse(&hosted->partition);
}

static bool job_start(struct produce_part *part, const struct append_info *info)
{
    struct partition *partition = part->partition;
    struct produce_job *job = SERVER_NEW(struct produce_job);

    if (compress_context_open(&job->context, &heap_allocator) != OK) {
        SERVER_DELETE(job);
        return false;
    }
    (void)produce_failure_of(part);
    job->part = part;
    job->info = *info;
    job->settings = topic_settings_ref(partition->settings);
    job->now_ms = reactor_wall_ms(partition->shard->reactor);
    job->op = (struct os_op){.kind = OS_OP_JOB, .run = job_run, .done = job_done};
    part->job = job;
    hosted_of(partition)->produce_busy = true;
    reactor_submit(partition->shard->reactor, &job->op);
    return true;
}

/* ---- on arrival ---- */

static void validate_inline(struct produce_part *part, struct append_info *info)
{
    struct partition *partition = part->partition;
    struct arena arena;
    struct why why;
    struct slice rebuilt = SLICE_NULL;
    enum err err;

    why_clear(&why);
    arena_init(&arena, &heap_allocator, 1 * MIB);
    err = append_validate(&partition->settings->validate, APPEND_ORIGIN_CLIENT,
                          reactor_wall_ms(partition->shard->reactor), part->data,
                          partition->shard->compress, &arena, &part->rebuilt, info, &rebuilt, &why);
    if (err != OK)
        produce_failure_of(part)->arena = arena; /* the record errors live in it */
    else
        arena_release(&arena);
    validated(part, info, err, rebuilt, &why);
}

static bool space_is_low(const struct partition *partition)
{
    return !partition->settings->is_internal && log_directory_is_low_on_space(partition->directory);
}

static void part_start(struct produce_part *part)
{
    struct partition *partition = part->partition;
    const struct replica_state *replica = &partition->replica;
    struct append_info info;
    struct why why;
    enum err err;

    why_clear(&why);
    if (partition->stage != PARTITION_OPEN || replica->role != REPLICA_LEADER ||
        hosted_of(partition)->table->is_stopped || FAULT_POINT(produce_refused)) {
        part->leader_id = replica->leader_id;
        part->leader_epoch = replica->leader_epoch;
        part_fail(part, partition->stage == PARTITION_OFFLINE ? ERR_KAFKA_STORAGE_ERROR
                                                              : ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    err = replica_check_produce(replica, part->state->acks,
                                partition->settings->topic.min_insync_replicas);
    if (err == OK && space_is_low(partition)) {
        struct produce_failure *failure = produce_failure_of(part);

        (void)why_set(&failure->why, ERR_KAFKA_STORAGE_ERROR,
                      "The disk of %s is nearly full: writes to user topics are refused until "
                      "space is freed",
                      log_directory_path(partition->directory));
        failure->message = slice_from_text(failure->why.text);
        err = ERR_KAFKA_STORAGE_ERROR;
    }
    if (err == OK)
        err = append_scan(slice_of(part->data, part->size_bytes), APPEND_ORIGIN_CLIENT,
                          replica->leader_epoch, partition->settings->log.max_message_bytes, &info,
                          &why);
    if (err != OK) {
        if (why.text[0] != '\0')
            produce_failure_of(part)->why = why;
        part_fail(part, err);
        return;
    }
    if (!part->is_verified && produce_verify(part, &info.first))
        return;
    info.topic = partition->topic;
    info.partition = partition->index;
    writer_init(&part->rebuilt, &heap_allocator, SIZE_MAX);
    part->has_rebuilt = true;
    if (append_needs_inflating(&info) && info.valid_bytes > PRODUCE_INLINE_BYTES_MAX &&
        job_start(part, &info))
        return;
    validate_inline(part, &info);
}

void produce_queue_run(struct hosted *hosted)
{
    while (!hosted->produce_busy && !list_is_empty(&hosted->produce_queue))
        part_start(
            LIST_ITEM(list_pop_front(&hosted->produce_queue), struct produce_part, queue_node));
}

void produce_run(struct partition_op *op, struct partition *partition)
{
    struct produce_part *part = CONTAINER_OF(op, struct produce_part, op);
    struct hosted *hosted = hosted_of(partition);

    part->partition = partition;
    if (hosted->produce_busy || !list_is_empty(&hosted->produce_queue))
        list_push_back(&hosted->produce_queue, &part->queue_node);
    else
        part_start(part);
}
