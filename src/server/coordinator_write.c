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
#include "protocol/generated/api_keys.h"
#include "server/publication.h"

static const struct config *config_now(const struct coordinator_runner *runner)
{
    return runner->shard->publication->config;
}

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

static enum err may_write(const struct coordinator_runner *runner)
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

static void batch_open(struct coordinator_runner *runner)
{
    struct batch_options options;
    int32_t codec = config_int(config_now(runner), BROKER_OFFSETS_TOPIC_COMPRESSION_CODEC);

    batch_options_init(&options);
    options.codec =
        codec >= 0 && codec < COMPRESSION_COUNT ? (enum compression)codec : COMPRESSION_NONE;
    options.level = compression_level_default(options.codec);
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

/* The use of the partition goes over to the append. */
static enum err batch_append(struct coordinator_runner *runner, struct slice batch,
                             bool *is_appended_out, struct why *why)
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
    return OK;
}

/* False: the runner was closed. */
static bool batch_close(struct coordinator_runner *runner)
{
    struct why why = {""};
    struct slice batch;
    bool is_appended = false;
    enum err err;

    if (!runner->has_batch)
        return true;
    timer_cancel(runner->shard->reactor, &runner->linger);
    err = may_write(runner);
    runner->has_batch = false;
    if (err == ERR_NOT_ENOUGH_REPLICAS)
        err = OK; /* it was admitted: now it waits for them */
    if (err == OK)
        err = batch_builder_finish(&runner->builder, &batch);
    if (err == OK)
        err = batch_append(runner, batch, &is_appended, &why);
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

    if (runner->state == RUNNER_ACTIVE)
        (void)batch_close(runner);
}

void runner_linger_over(struct timer *timer)
{
    struct coordinator_runner *runner = CONTAINER_OF(timer, struct coordinator_runner, linger);

    if (runner->state == RUNNER_ACTIVE)
        (void)batch_close(runner);
}

/* ---- one write ---- */

static void commit_timer_arm(struct coordinator_runner *runner)
{
    LIST_EACH (node, &runner->writes) {
        const struct runner_write *write = LIST_ITEM(node, struct runner_write, node);

        if (!write->block)
            continue;
        if (!timer_is_set(&runner->commit_timer))
            timer_set(runner->shard->reactor, &runner->commit_timer, write->deadline_ms);
        return;
    }
    timer_cancel(runner->shard->reactor, &runner->commit_timer);
}

static void write_note(struct coordinator_runner *runner, struct effects_block *block,
                       int64_t end_offset)
{
    struct runner_write *write = SERVER_NEW(struct runner_write);

    write->number = block->effects.write;
    write->end_offset = end_offset;
    write->deadline_ms = reactor_now_ms(runner->shard->reactor) +
                         config_int(config_now(runner), BROKER_OFFSETS_COMMIT_TIMEOUT_MS);
    write->block = block_ref(block);
    list_push_back(&runner->writes, &write->node);
    commit_timer_arm(runner);
}

bool runner_wait(struct coordinator_runner *runner, struct effects_block *block)
{
    bool wants = false;

    for (size_t i = 0; i < block->effects.reply_count; i++)
        wants |= block->effects.replies[i].after_commit;
    if (!wants || list_is_empty(&runner->writes))
        return false;
    write_note(runner, block,
               LIST_ITEM(runner->writes.previous, struct runner_write, node)->end_offset);
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
        TRY(group_coordinator_replay(runner->coordinator, &effects->records[i], runner->batch_end++,
                                     PRODUCER_ID_NONE, PRODUCER_EPOCH_NONE, why));
    return OK;
}

static void flush_ask(struct coordinator_runner *runner, bool is_new)
{
    int32_t linger_ms = config_int(config_now(runner), BROKER_GROUP_COORDINATOR_APPEND_LINGER_MS);

    if (linger_ms < 0)
        reactor_defer(runner->shard->reactor, &runner->flush);
    else if (linger_ms > 0 && is_new)
        timer_set(runner->shard->reactor, &runner->linger,
                  reactor_now_ms(runner->shard->reactor) + linger_ms);
}

static bool lingers_not(const struct coordinator_runner *runner)
{
    return config_int(config_now(runner), BROKER_GROUP_COORDINATOR_APPEND_LINGER_MS) == 0;
}

/* Larger than a batch may be before it is compressed: it may still fit after that, alone. */
static enum err large_admit(struct coordinator_runner *runner,
                            const struct coordinator_effects *effects, size_t limit_bytes)
{
    struct batch_builder builder;
    CLEANUP(writer_release) struct writer out;
    struct batch_options options = {0};
    int64_t now_ms = reactor_wall_ms(runner->shard->reactor);
    int32_t codec = config_int(config_now(runner), BROKER_OFFSETS_TOPIC_COMPRESSION_CODEC);
    struct slice batch;

    writer_init(&out, &heap_allocator, SIZE_MAX);
    if (codec <= 0 || codec >= COMPRESSION_COUNT)
        return ERR_RECORD_LIST_TOO_LARGE;
    batch_options_init(&options);
    options.codec = (enum compression)codec;
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
    TRY(may_write(runner));
    if (is_large)
        TRY(effects->divisible ? parts_admit(effects, now_ms, limit_bytes)
                               : large_admit(runner, effects, limit_bytes));
    if (runner->has_batch &&
        batch_builder_size_bytes(&runner->builder) + size_bytes > limit_bytes &&
        !batch_close(runner)) {
        *failed_out = true;
        return OK;
    }
    for (;;) {
        is_new |= !runner->has_batch;
        if (!runner->has_batch)
            batch_open(runner);
        err = records_add(runner, effects, limit_bytes, &done, &why);
        if (err != OK) {
            write_failed(runner, err, &why, failed_out);
            return OK;
        }
        if (done == effects->record_count)
            break;
        if (!batch_close(runner)) {
            *failed_out = true;
            return OK;
        }
    }
    write_note(runner, block, runner->batch_end);
    if (is_large || lingers_not(runner))
        *failed_out = !batch_close(runner);
    else
        flush_ask(runner, is_new);
    return OK;
}

/* ---- committed, or not in time ---- */

/* A fetch of stable offsets is told of such troubles as Kafka tells it (§1.7). */
enum err call_error(const struct coordinator_call *call, enum err err)
{
    enum err told = coordinator_error(err);

    return call->api_key == API_OFFSET_FETCH && told == ERR_COORDINATOR_NOT_AVAILABLE
               ? ERR_NOT_COORDINATOR
               : told;
}

/* Tells the core and whoever waits. The block is given back. */
static void write_end(struct coordinator_runner *runner, struct runner_write *write, enum err err)
{
    struct effects_block *block = TAKE(write->block);
    struct effects_block *more = NULL;
    enum err ended = OK;

    if (write->number != 0) {
        struct coordinator_moment moment = runner_moment(runner);

        more = block_new(runner->service, NULL);
        ended = group_coordinator_write_ended(runner->coordinator, write->number, err, &moment,
                                              &more->effects);
    }
    for (size_t i = 0; i < block->effects.reply_count; i++) {
        const struct coordinator_reply *reply = &block->effects.replies[i];
        struct coordinator_call *call =
            reply->after_commit ? runner_call_find(runner, reply->token) : NULL;

        if (call)
            call_answer(runner, call, call_error(call, err), reply->response, block);
    }
    block_unref(runner->shard, block);
    if (more)
        runner_take_more(runner, more, ended);
}

void runner_committed(struct coordinator_runner *runner)
{
    int64_t offset = runner->partition->replica.high_watermark;

    runner_begin_work(runner);
    group_coordinator_committed(runner->coordinator, offset);
    while (runner->state == RUNNER_ACTIVE && !list_is_empty(&runner->writes)) {
        struct runner_write *write =
            LIST_ITEM(list_first(&runner->writes), struct runner_write, node);

        if (write->end_offset > offset)
            break;
        list_remove(&write->node);
        if (write->block)
            write_end(runner, write, OK);
        SERVER_DELETE(write);
    }
    if (runner->state == RUNNER_ACTIVE) {
        timer_cancel(runner->shard->reactor, &runner->commit_timer);
        commit_timer_arm(runner);
        runner_arm(runner);
    }
    runner_end_work(runner);
}

static struct runner_write *overdue(struct coordinator_runner *runner)
{
    int64_t now_ms = reactor_now_ms(runner->shard->reactor);

    LIST_EACH (node, &runner->writes) {
        struct runner_write *write = LIST_ITEM(node, struct runner_write, node);

        if (write->block)
            return write->deadline_ms <= now_ms ? write : NULL;
    }
    return NULL;
}

/* The write itself stays in the list: what comes later waits for it too. */
void runner_commit_timeout(struct timer *timer)
{
    struct coordinator_runner *runner =
        CONTAINER_OF(timer, struct coordinator_runner, commit_timer);
    struct runner_write *write;

    runner_begin_work(runner);
    while (runner->state == RUNNER_ACTIVE && (write = overdue(runner)))
        write_end(runner, write, ERR_REQUEST_TIMED_OUT);
    if (runner->state == RUNNER_ACTIVE) {
        commit_timer_arm(runner);
        runner_arm(runner);
    }
    runner_end_work(runner);
}

void runner_writes_drop(struct coordinator_runner *runner)
{
    if (runner->has_batch) {
        runner->has_batch = false;
        partition_unuse(runner->partition);
    }
    while (!list_is_empty(&runner->writes)) {
        struct runner_write *write =
            LIST_ITEM(list_pop_front(&runner->writes), struct runner_write, node);

        if (write->block)
            block_unref(runner->shard, write->block);
        SERVER_DELETE(write);
    }
}
