/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/coordinator_write.c: records of a coordinator into its log. Writes of one turn (or of
 * group.coordinator.append.linger.ms) leave as one batch; each is replayed at the offset that it
 * will have. docs/design/coordinator_runner.md §4; KIP-848, groups.md §1.4, §1.5 of the reference.
 *
 * Admission comes first: leadership, replicas in sync, size. What is admitted fails only with the
 * log itself, and then the state goes with it and is loaded anew.
 */
#include "server/coordinator_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"
#include "protocol/generated/api_keys.h"
#include "server/publication.h"

/* ---- admission ---- */

static struct batch_record record_of(const struct coordinator_record *record, int64_t now_ms)
{
    return (struct batch_record){.timestamp = now_ms, .key = record->key, .value = record->value};
}

static size_t write_size_bytes(const struct coordinator_effects *effects, int64_t now_ms)
{
    size_t size_bytes = 0;

    for (size_t i = 0; i < effects->record_count; i++) {
        struct batch_record record = record_of(&effects->records[i], now_ms);

        /* Deltas of 32 bits: never less than what it will be. */
        size_bytes += batch_record_size_bytes(INT32_MAX, INT32_MAX, &record);
    }
    return size_bytes;
}

static size_t size_bytes_max(const struct coordinator_runner *runner)
{
    const struct log_config *log = &runner->partition->settings->log;

    return (size_t)MAX(MIN(log->max_message_bytes, log->segment_bytes), 0);
}

enum err runner_may_write(const struct coordinator_runner *runner)
{
    const struct partition *partition = runner->partition;

    if (partition->stage == PARTITION_OFFLINE ||
        (partition->stage == PARTITION_OPEN && log_is_failed(partition->log)))
        return ERR_KAFKA_STORAGE_ERROR;
    if (partition->stage != PARTITION_OPEN || partition->replica.role != REPLICA_LEADER)
        return ERR_NOT_LEADER_OR_FOLLOWER;
    /* About to change its directory; a batch that is open holds it off. */
    if (hosted_of(runner->partition)->is_held && !runner->has_batch)
        return ERR_REQUEST_TIMED_OUT;
    return replica_check_produce(&partition->replica, -1,
                                 partition->settings->topic.min_insync_replicas);
}

/* ---- the open batch ---- */

static void batch_open(struct coordinator_runner *runner, int64_t producer_id,
                       int16_t producer_epoch)
{
    struct batch_options options;

    batch_options_init(&options);
    options.codec = runner_kind(runner)->codec(runner_config(runner));
    options.level = compression_level_default(options.codec);
    if (producer_id >= 0) {
        options.producer_id = producer_id;
        options.producer_epoch = producer_epoch;
        options.base_sequence = 0; /* not judged, and what Kafka's coordinator writes */
        options.transactional = true;
    }
    writer_reset(&runner->bytes);
    batch_builder_begin(&runner->builder, &options, runner->shard->compress, &runner->scratch,
                        &runner->bytes);
    runner->batch_base = runner->batch_end = log_end_queued(runner->partition->log);
    runner->has_batch = true;
    partition_use(runner->partition);
}

static void append_done(struct log_append *append)
{
    struct runner_append *own = CONTAINER_OF(append, struct runner_append, append);
    struct coordinator_runner *runner = own->runner;
    struct partition *partition = append->context;
    enum err err = append->err;

    writer_release(&own->bytes);
    SERVER_DELETE(own);
    partition_unuse(partition);
    if (err != OK && runner->state == RUNNER_ACTIVE) {
        runner_begin_work(runner);
        runner_fail(runner, err, "an append failed", true);
        runner_end_work(runner);
    }
    runner_end_work(runner);
}

enum err runner_batch_append(struct coordinator_runner *runner, struct slice batch,
                             const struct append_facts *facts, bool *is_appended_out,
                             struct why *why)
{
    struct runner_append *own = SERVER_NEW(struct runner_append);
    struct partition *partition = runner->partition;
    enum err err;

    own->runner = runner;
    own->bytes = runner->bytes;
    own->append = (struct log_append){
        .data = (uint8_t *)(uintptr_t)batch.data,
        .size_bytes = batch.size_bytes,
        .origin = APPEND_ORIGIN_COORDINATOR,
        .leader_epoch = partition->replica.leader_epoch,
        .verification_guard = facts->verification_guard,
        .verification_required = facts->verification_required,
        .transaction_version = facts->transaction_version,
        .done = append_done,
        .context = partition,
    };
    err = log_append(partition->log, &own->append, why);
    if (err != OK) {
        SERVER_DELETE(own);
        return err;
    }
    *is_appended_out = true;
    writer_init(&runner->bytes, &heap_allocator, SIZE_MAX);
    runner_begin_work(runner);
    if (own->append.first_offset != runner->batch_base)
        return why_set(why, ERR_STATE, "appended at %lld, not at %lld",
                       (long long)own->append.first_offset, (long long)runner->batch_base);
    runner->shard->metrics.bytes_in += batch.size_bytes;
    runner->shard->metrics.messages_in +=
        (uint64_t)(own->append.last_offset - own->append.first_offset + 1);
    return OK;
}

bool runner_batch_close(struct coordinator_runner *runner)
{
    struct append_facts facts = {0};
    struct why why = {""};
    struct slice batch;
    bool is_appended = false;
    enum err err;

    if (!runner->has_batch)
        return true;
    timer_cancel(runner->shard->reactor, &runner->linger);
    err = runner_may_write(runner);
    runner->has_batch = false;
    if (err == ERR_NOT_ENOUGH_REPLICAS)
        err = OK; /* it was admitted: now it waits for them */
    if (err == OK)
        err = batch_builder_finish(&runner->builder, &batch);
    if (err == OK)
        err = runner_batch_append(runner, batch, &facts, &is_appended, &why);
    if (!is_appended)
        partition_unuse(runner->partition);
    if (err == OK)
        return true;
    runner_fail(runner, err, why.text[0] ? why.text : "a batch could not be appended", true);
    return false;
}

void runner_flush(struct deferred *deferred)
{
    struct coordinator_runner *runner = CONTAINER_OF(deferred, struct coordinator_runner, flush);

    /* What has become due by this turn's records goes with them: a batch less to wait for. */
    runner_begin_work(runner);
    if (runner->state == RUNNER_ACTIVE)
        runner_ticks(runner);
    if (runner->state == RUNNER_ACTIVE)
        (void)runner_batch_close(runner);
    runner_end_work(runner);
}

void runner_linger_over(struct timer *timer)
{
    struct coordinator_runner *runner = CONTAINER_OF(timer, struct coordinator_runner, linger);

    if (runner->state == RUNNER_ACTIVE)
        (void)runner_batch_close(runner);
}

/* ---- one write ---- */

static void write_note(struct coordinator_runner *runner, struct effects_block *block,
                       int64_t end_offset)
{
    struct runner_write *write = SERVER_NEW(struct runner_write);

    write->number = block->effects.write;
    write->block = block_ref(block);
    runner_write_add(runner, write, end_offset);
}

bool runner_wait(struct coordinator_runner *runner, struct effects_block *block)
{
    /* What was loaded may not be committed either. */
    int64_t end_offset = MAX(runner->load.next_offset, runner->newest_end);
    bool wants = false;

    for (size_t i = 0; i < block->effects.reply_count; i++)
        wants |= block->effects.replies[i].after_commit;
    if (!wants || end_offset <= runner->partition->replica.high_watermark)
        return false;
    write_note(runner, block, end_offset);
    return true;
}

/* From record `first` on, as many as fit when the write may be cut; else all. Into the open batch, and
 * replayed at the offsets that they will have. */
static enum err records_add(struct coordinator_runner *runner,
                            const struct coordinator_effects *effects, size_t limit_bytes,
                            size_t *first, struct why *why)
{
    int64_t now_ms = reactor_wall_ms(runner->shard->reactor);
    size_t from = *first;

    for (; *first < effects->record_count; ++*first) {
        struct batch_record record = record_of(&effects->records[*first], now_ms);

        if (effects->divisible && *first > from &&
            batch_builder_size_bytes(&runner->builder) +
                    batch_record_size_bytes(INT32_MAX, INT32_MAX, &record) >
                limit_bytes)
            break;
        TRY(batch_builder_append(&runner->builder, &record));
    }
    for (size_t i = from; i < *first; i++)
        TRY(runner_kind(runner)->replay(runner->core, &effects->records[i], runner->batch_end++,
                                        PRODUCER_ID_NONE, PRODUCER_EPOCH_NONE, why));
    return OK;
}

static void flush_ask(struct coordinator_runner *runner, bool is_new)
{
    int32_t linger_ms = runner_kind(runner)->linger_ms(runner_config(runner));

    if (linger_ms < 0)
        reactor_defer(runner->shard->reactor, &runner->flush);
    else if (linger_ms > 0 && is_new)
        timer_set(runner->shard->reactor, &runner->linger,
                  reactor_now_ms(runner->shard->reactor) + linger_ms);
}

static bool lingers_not(const struct coordinator_runner *runner)
{
    return runner_kind(runner)->linger_ms(runner_config(runner)) == 0;
}

/* Larger than a batch may be before it is compressed: it may still fit after that, alone. */
static enum err large_admit(struct coordinator_runner *runner,
                            const struct coordinator_effects *effects, size_t limit_bytes)
{
    struct batch_builder builder;
    CLEANUP(writer_release) struct writer out;
    struct batch_options options = {0};
    int64_t now_ms = reactor_wall_ms(runner->shard->reactor);
    enum compression codec = runner_kind(runner)->codec(runner_config(runner));
    struct slice batch;

    writer_init(&out, &heap_allocator, SIZE_MAX);
    if (codec == COMPRESSION_NONE)
        return ERR_RECORD_LIST_TOO_LARGE;
    batch_options_init(&options);
    options.codec = codec;
    options.level = compression_level_default(options.codec);
    batch_builder_begin(&builder, &options, runner->shard->compress, &runner->scratch, &out);
    for (size_t i = 0; i < effects->record_count; i++) {
        struct batch_record record = record_of(&effects->records[i], now_ms);

        TRY(batch_builder_append(&builder, &record));
    }
    TRY(batch_builder_finish(&builder, &batch));
    return batch.size_bytes <= limit_bytes ? OK : ERR_RECORD_LIST_TOO_LARGE;
}

static enum err parts_admit(const struct coordinator_effects *effects, int64_t now_ms,
                            size_t limit_bytes)
{
    for (size_t i = 0; i < effects->record_count; i++) {
        struct batch_record record = record_of(&effects->records[i], now_ms);

        if (batch_record_size_bytes(INT32_MAX, INT32_MAX, &record) + BATCH_HEADER_BYTES >
            limit_bytes)
            return ERR_RECORD_LIST_TOO_LARGE;
    }
    return OK;
}

/* Half of it is in the batch or in the state: neither can be used. */
static void write_failed(struct coordinator_runner *runner, enum err err, const struct why *why,
                         bool *failed_out)
{
    *failed_out = true;
    runner_fail(runner, err, why->text[0] ? why->text : "own records cannot be replayed", true);
}

/* Records of a transaction: a batch of their own, behind what was open. The log refuses what the
 * producer may not write (a newer epoch is there, nothing verified); only then are they replayed. */
static enum err transactional_write(struct coordinator_runner *runner, struct effects_block *block,
                                    bool *failed_out)
{
    const struct coordinator_effects *effects = &block->effects;
    const struct coordinator_call *call = block->body_of;
    struct append_facts facts = {.verification_guard = call ? call->verification_guard : 0,
                                 .verification_required = call && call->verification_required};
    int64_t now_ms = reactor_wall_ms(runner->shard->reactor);
    struct why why = {""};
    bool is_appended = false;
    struct slice batch;
    enum err err = OK;

    if (!runner_batch_close(runner)) {
        *failed_out = true;
        return OK;
    }
    batch_open(runner, effects->producer_id, effects->producer_epoch);
    runner->has_batch = false;
    for (size_t i = 0; err == OK && i < effects->record_count; i++) {
        struct batch_record record = record_of(&effects->records[i], now_ms);

        err = batch_builder_append(&runner->builder, &record);
    }
    if (err == OK)
        err = batch_builder_finish(&runner->builder, &batch);
    if (err == OK)
        err = runner_batch_append(runner, batch, &facts, &is_appended, &why);
    if (!is_appended) {
        partition_unuse(runner->partition);
        return err;
    }
    for (size_t i = 0; err == OK && i < effects->record_count; i++)
        err = runner_kind(runner)->replay(runner->core, &effects->records[i], runner->batch_end++,
                                          effects->producer_id, effects->producer_epoch, &why);
    if (err == OK)
        write_note(runner, block, runner->batch_end);
    else
        write_failed(runner, err, &why, failed_out);
    return OK;
}

enum err runner_write(struct coordinator_runner *runner, struct effects_block *block,
                      bool *failed_out)
{
    const struct coordinator_effects *effects = &block->effects;
    int64_t now_ms = reactor_wall_ms(runner->shard->reactor);
    size_t size_bytes = write_size_bytes(effects, now_ms);
    size_t limit_bytes = size_bytes_max(runner);
    bool is_large = size_bytes + BATCH_HEADER_BYTES > limit_bytes;
    struct why why = {""};
    bool is_new = false;
    size_t done = 0;
    enum err err;

    ASSERT(effects->write != 0);
    TRY(runner_may_write(runner));
    if (FAULT_POINT(coordinator_write_refused))
        return ERR_NOT_ENOUGH_REPLICAS;
    if (is_large)
        TRY(effects->divisible ? parts_admit(effects, now_ms, limit_bytes)
                               : large_admit(runner, effects, limit_bytes));
    if (effects->producer_id >= 0)
        return transactional_write(runner, block, failed_out);
    if (runner->has_batch &&
        batch_builder_size_bytes(&runner->builder) + size_bytes > limit_bytes &&
        !runner_batch_close(runner)) {
        *failed_out = true;
        return OK;
    }
    for (;;) {
        is_new |= !runner->has_batch;
        if (!runner->has_batch)
            batch_open(runner, PRODUCER_ID_NONE, PRODUCER_EPOCH_NONE);
        err = records_add(runner, effects, limit_bytes, &done, &why);
        if (err != OK) {
            write_failed(runner, err, &why, failed_out);
            return OK;
        }
        if (done == effects->record_count)
            break;
        if (!runner_batch_close(runner)) {
            *failed_out = true;
            return OK;
        }
    }
    write_note(runner, block, runner->batch_end);
    if (is_large || lingers_not(runner) || FAULT_POINT(coordinator_batch_early))
        *failed_out = !runner_batch_close(runner);
    else
        flush_ask(runner, is_new);
    return OK;
}
