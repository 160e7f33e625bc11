/* SPDX-License-Identifier: Apache-2.0 */
#include "compaction_support.h"

#include "records/control_record.h"

#include <stdio.h>
#include <stdlib.h>

static struct slice number_text(char out[32], char prefix, int number)
{
    int size = snprintf(out, 32, "%c%d", prefix, number);

    return slice_of(out, (size_t)size);
}

static int number_of_text(struct slice text)
{
    char copy[32] = {0};

    if (slice_is_null(text))
        return -1;
    assert_true(text.size_bytes < sizeof copy);
    memcpy(copy, text.data, text.size_bytes);
    return atoi(copy + 1);
}

enum err keyed_append(struct bench *bench, struct log *log, struct history *history,
                      const struct keyed *keyed)
{
    struct compress_context *context;
    struct batch_options options;
    struct batch_builder builder;
    struct writer scratch, bytes;
    int64_t offset = log_end_queued(log);
    int64_t now = os_wall_ms(bench->os);
    enum err err;

    batch_options_init(&options);
    options.base_offset = offset;
    options.codec = keyed->codec;
    options.level = compression_level_default(keyed->codec);
    options.leader_epoch = 0;
    options.log_append_time = keyed->log_append_time;
    options.log_append_time_ms = now + 7;
    if (keyed->producer_id != 0) {
        options.producer_id = keyed->producer_id;
        options.producer_epoch = keyed->epoch;
        options.base_sequence = keyed->sequence;
        options.transactional = keyed->transactional;
    }
    OKAY(compress_context_open(&context, &bench_heap));
    writer_init(&scratch, &bench_heap, SIZE_MAX);
    writer_init(&bytes, &bench_heap, SIZE_MAX);
    batch_builder_begin(&builder, &options, context, &scratch, &bytes);
    for (int i = 0; i < keyed->count; i++) {
        char key[32], value[32];
        struct batch_record record = {.timestamp = now + i, .key = SLICE_NULL, .value = SLICE_NULL};

        if (keyed->pairs[i][0] >= 0)
            record.key = number_text(key, 'k', keyed->pairs[i][0]);
        if (keyed->pairs[i][1] >= 0)
            record.value = number_text(value, 'v', keyed->pairs[i][1]);
        OKAY(batch_builder_append(&builder, &record));
    }
    OKAY(batch_builder_finish(&builder, NULL));
    err = bench_append_bytes(bench, log, bytes.data, bytes.size_bytes, keyed->origin);
    for (int i = 0; err == OK && history && i < keyed->count; i++) {
        assert_true(history->count < HISTORY_MAX);
        history->records[history->count++] = (struct written){
            .offset = offset + i,
            .key = keyed->pairs[i][0],
            .value = keyed->pairs[i][1],
            .timestamp = keyed->log_append_time ? now + 7 : now + i,
            .producer_id = keyed->transactional ? keyed->producer_id : 0,
            .decided = !keyed->transactional,
        };
    }
    writer_release(&scratch);
    writer_release(&bytes);
    compress_context_release(&context);
    return err;
}

enum err put(struct bench *bench, struct log *log, struct history *history, int key, int value)
{
    const int pair[1][2] = {{key, value}};

    return keyed_append(bench, log, history, &(struct keyed){.pairs = pair, .count = 1});
}

enum err mark(struct bench *bench, struct log *log, struct history *history, int64_t producer_id,
              bool is_abort)
{
    struct bench_batch marker = {
        .is_control = true, .is_abort = is_abort, .producer_id = producer_id};
    enum err err = bench_append_batch(bench, log, 0, &marker);

    for (int i = 0; err == OK && history && i < history->count; i++) {
        struct written *record = &history->records[i];

        if (record->producer_id != producer_id || record->decided)
            continue;
        record->decided = true;
        record->aborted = is_abort;
    }
    return err;
}

void history_cut(struct history *history, int64_t end)
{
    while (history->count > 0 && history->records[history->count - 1].offset >= end)
        history->count--;
}

void compaction_open(struct bench *bench, uint64_t seed)
{
    bench_prepare(bench, seed, 1);
    bench->options.cleaner.backoff_ms = 1000;
    bench->config.min_cleanable_dirty_ratio = 0;
    bench->config.cleanup_compact = true;
    bench->config.cleanup_delete = false;
    bench_start(bench);
}

void compaction_wait(struct bench *bench, struct log *log)
{
    UNUSED(log);
    bench_pass(bench, 10000);
}

void compaction_run(struct bench *bench, struct log *log)
{
    log_roll(log);
    bench_pass(bench, 100);
    log_set_high_watermark(log, log_end_written(log));
    compaction_wait(bench, log);
}

/* ---- reading ---- */

struct open_aborts {
    int64_t producers[KEYS_MAX];
    int count;
};

static bool aborts_has(const struct open_aborts *aborts, int64_t producer_id)
{
    for (int i = 0; i < aborts->count; i++)
        if (aborts->producers[i] == producer_id)
            return true;
    return false;
}

static void aborts_remove(struct open_aborts *aborts, int64_t producer_id)
{
    for (int i = 0; i < aborts->count; i++)
        if (aborts->producers[i] == producer_id)
            aborts->producers[i--] = aborts->producers[--aborts->count];
}

static void records_view(struct slice batch, const struct batch_header *header, int64_t from,
                         int64_t bound, struct view *view)
{
    struct compress_context *context;
    struct writer inflated;
    struct record_walk walk;
    struct record record;
    bool more = true;

    OKAY(compress_context_open(&context, &heap_allocator));
    writer_init(&inflated, &heap_allocator, SIZE_MAX);
    if (header->record_count > 0)
        OKAY(record_inflate(context, batch, 1 << 24, &inflated));
    OKAY(record_walk_begin(&walk, header, writer_slice(&inflated)));
    while (header->record_count > 0) {
        OKAY(record_walk_next(&walk, &record, &more));
        if (!more)
            break;
        if (record.offset < from || record.offset >= bound)
            continue;
        assert_true(view->count < HISTORY_MAX);
        view->records[view->count++] =
            (struct seen){record.offset, number_of_text(record.key), number_of_text(record.value),
                          record.timestamp};
    }
    writer_release(&inflated);
    compress_context_release(&context);
}

static bool marker_is_abort(struct slice batch, const struct batch_header *header)
{
    struct record_walk walk;
    struct record record;
    enum control_type type;
    bool more;

    if (header->record_count == 0)
        return true;
    OKAY(record_walk_begin(&walk, header, batch_records(batch)));
    OKAY(record_walk_next(&walk, &record, &more));
    OKAY(control_key_read(record.key, &type));
    return type == CONTROL_ABORT;
}

/* The batches of one fetched range, as a consumer goes through them; returns where to read on. */
static int64_t range_view(const struct bench_read *read, struct slice bytes, int64_t from,
                          int64_t bound, bool committed, struct view *view)
{
    struct open_aborts aborts = {0};
    bool met[256] = {0};
    int64_t next = from;

    assert_true(read->op.aborted_count < ARRAY_COUNT(met));
    while (bytes.size_bytes > 0) {
        struct batch_header header;
        struct slice batch;

        OKAY(batch_next(&bytes, &batch));
        if (batch.size_bytes == 0)
            break;
        assert_true(batch_is_valid(batch));
        OKAY(batch_header_read(batch, &header));
        assert_true(batch_last_offset(&header) >= next);
        for (size_t i = 0; i < read->op.aborted_count; i++) {
            if (met[i] || read->op.aborted[i].first_offset > batch_last_offset(&header))
                continue;
            met[i] = true;
            aborts.producers[aborts.count++] = read->op.aborted[i].producer_id;
        }
        next = batch_next_offset(&header);
        view->batches++;
        if (header.record_count == 0)
            view->empty_batches++;
        if (batch_has_delete_horizon(&header)) {
            view->horizons++;
            view->horizon = header.base_timestamp;
        }
        if (batch_is_control(&header)) {
            view->markers += header.record_count > 0;
            if (marker_is_abort(batch, &header))
                aborts_remove(&aborts, header.producer_id);
            continue;
        }
        view->codecs |= 1 << batch_codec(&header);
        view->last = header;
        if (committed && batch_is_transactional(&header) && aborts_has(&aborts, header.producer_id))
            continue;
        records_view(batch, &header, from, bound, view);
    }
    return next;
}

void view_read(struct bench *bench, struct log *log, int64_t bound, bool committed,
               struct view *view)
{
    int64_t next = log_start_offset(log);

    *view = (struct view){0};
    while (next < bound) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = bound,
                                         .bytes_max = 400,
                                         .at_least_one = true,
                                         .wants_aborted = committed}};

        OKAY(bench_read(bench, log, &read));
        if (read.op.size_bytes == 0) {
            bench_read_release(&read);
            break;
        }
        next = range_view(&read, slice_of(read.bytes, read.op.read_bytes), next, bound, committed,
                          view);
        bench_read_release(&read);
    }
}

bool view_has(const struct view *view, int64_t offset)
{
    for (int i = 0; i < view->count; i++)
        if (view->records[i].offset == offset)
            return true;
    return false;
}

static const struct written *written_at(const struct history *history, int64_t offset)
{
    for (int i = 0; i < history->count; i++)
        if (history->records[i].offset == offset)
            return &history->records[i];
    return NULL;
}

void view_check(const struct view *view, const struct history *history, int64_t bound)
{
    const struct written *newest[KEYS_MAX] = {0};
    const struct seen *last[KEYS_MAX] = {0};

    for (int i = 0; i < history->count; i++) {
        const struct written *record = &history->records[i];

        if (record->offset < bound && record->decided && !record->aborted && record->key >= 0)
            newest[record->key] = record;
    }
    for (int i = 0; i < view->count; i++) {
        const struct seen *seen = &view->records[i];
        const struct written *record = written_at(history, seen->offset);

        assert_non_null(record);
        assert_int_equal(seen->key, record->key);
        assert_int_equal(seen->value, record->value);
        assert_int_equal(seen->timestamp, record->timestamp);
        assert_true(record->decided && !record->aborted);
        if (seen->key >= 0)
            last[seen->key] = seen;
    }
    for (int key = 0; key < KEYS_MAX; key++) {
        if (!newest[key])
            assert_null(last[key]);
        else if (newest[key]->value >= 0 || last[key])
            assert_true(last[key] && last[key]->offset == newest[key]->offset);
    }
}

int compaction_check(struct bench *bench, struct log *log, const struct history *history)
{
    struct view *view = calloc(1, sizeof *view);
    int64_t bound = log_last_stable_offset(log);
    int count;

    view_read(bench, log, bound, true, view);
    view_check(view, history, bound);
    count = view->count;
    free(view);
    return count;
}

struct log *compaction_log(struct bench *bench, struct history *history, uint64_t seed)
{
    history->count = 0;
    compaction_open(bench, seed);
    return bench_log(bench, "topic", 0);
}

void compaction_fill(struct bench *bench, struct log *log, struct history *history, int keys,
                     int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int key = 0; key < keys; key++)
            OKAY(put(bench, log, history, key, 100 * round + key));
}
