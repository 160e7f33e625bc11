/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/validate_records.c: the leader's look at every record of a batch: many at a time while nothing is wrong
 * with them, one by one where something is. docs/design/records.md §1.
 */
#include "records/validate_internal.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "records/record_run.h"
#include "records/record_stream.h"
#include "records/records_internal.h"

#define RECORD_ERRORS_FIRST_CAPACITY 8
#define RECORD_ERRORS_SHOWN 3
#define RUN_RECORDS_MIN 4

/* ---- record errors ---- */

/* A list that cannot grow any more ends early; the total goes on counting. */
static void record_error_add(struct validation *v, struct slice message)
{
    struct append_info *info = v->info;

    v->error_total++;
    if (slice_is_null(message))
        return;
    if (info->record_error_count == v->error_capacity) {
        int32_t capacity =
            v->error_capacity == 0 ? RECORD_ERRORS_FIRST_CAPACITY : 2 * v->error_capacity;
        struct record_error *errors = ARENA_ARRAY(v->arena, struct record_error, (size_t)capacity);

        if (!errors)
            return;
        if (info->record_error_count > 0)
            memcpy(errors, info->record_errors, (size_t)info->record_error_count * sizeof *errors);
        info->record_errors = errors;
        v->error_capacity = capacity;
    }
    info->record_errors[info->record_error_count++] = (struct record_error){v->index, message};
}

static bool timestamp_is_out_of_range(const struct validation *v, int64_t timestamp)
{
    int64_t age = wrap_subtract(v->now_ms, timestamp);

    return age > v->config->timestamp_before_max_ms ||
           wrap_subtract(0, age) > v->config->timestamp_after_max_ms;
}

static struct slice key_error_text(const struct validation *v)
{
    return arena_format_slice(
        v->arena, "Compacted topic cannot accept message without key in topic partition %.*s-%d",
        SLICE_ARGS(v->info->topic), v->info->partition);
}

static struct slice time_error_text(const struct validation *v, int64_t timestamp,
                                    int32_t offset_delta)
{
    return arena_format_slice(
        v->arena,
        "Timestamp %lld of message with offset %lld is out of range. The timestamp should be "
        "within [%lld, %lld]",
        (long long)timestamp, (long long)wrap_add(v->header.base_offset, offset_delta),
        (long long)wrap_subtract(v->now_ms, v->config->timestamp_before_max_ms),
        (long long)wrap_add(v->now_ms, v->config->timestamp_after_max_ms));
}

static void record_check(struct validation *v, int64_t timestamp, int32_t offset_delta,
                         bool has_key)
{
    const struct validate_config *config = v->config;

    if (config->compacted && !has_key) {
        v->info->keyless_count++;
        record_error_add(v, key_error_text(v));
    } else if (!config->log_append_time && timestamp != TIMESTAMP_NONE) {
        if (timestamp_is_out_of_range(v, timestamp)) {
            v->has_timestamp_error = true;
            record_error_add(v, time_error_text(v, timestamp, offset_delta));
        }
    } else if (batch_is_log_append_time(&v->header)) {
        v->has_timestamp_error = true;
        record_error_add(v, arena_format_slice(v->arena,
                                               "Invalid timestamp type in message %d. Producer "
                                               "should not set timestamp type to LogAppendTime.",
                                               v->index));
    }
    v->max_timestamp = MAX(v->max_timestamp, timestamp);
    if (offset_delta != v->index)
        v->offsets_are_dense = false;
    v->index++;
}

/* Like the texts of the records it is what clients show their users: worded as Kafka words it. */
static struct slice errors_text(const struct validation *v)
{
    const struct record_error *errors = v->info->record_errors;
    struct slice shown[RECORD_ERRORS_SHOWN] = {SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};

    for (int32_t i = 0; i < MIN(v->info->record_error_count, RECORD_ERRORS_SHOWN); i++)
        shown[i] = arena_format_slice(v->arena, "%sRecordError(batchIndex=%d, message='%.*s')",
                                      i == 0 ? "" : ", ", errors[i].batch_index,
                                      SLICE_ARGS(errors[i].message));
    return arena_format_slice(v->arena,
                              "One or more records have been rejected due to %lld record errors in "
                              "total, and only showing the first three errors at most: "
                              "[%.*s%.*s%.*s]",
                              (long long)v->error_total, SLICE_ARGS(shown[0]), SLICE_ARGS(shown[1]),
                              SLICE_ARGS(shown[2]));
}

static enum err record_errors_tell(struct validation *v)
{
    if (v->error_total == 0)
        return OK;
    v->info->message =
        v->has_timestamp_error
            ? SLICE("One or more records have been rejected due to invalid timestamp")
            : errors_text(v);
    if (slice_is_null(v->info->message)) /* the arena is full of record errors */
        v->info->message = SLICE("One or more records have been rejected");
    return why_set(v->why, v->has_timestamp_error ? ERR_INVALID_TIMESTAMP : ERR_INVALID_RECORD,
                   "%.*s", SLICE_ARGS(v->info->message));
}

/* ---- looking at the records ---- */

enum err validation_fault(struct validation *v, enum err err)
{
    v->info->record_errors = NULL;
    v->info->record_error_count = 0;
    switch (err) {
    case ERR_INVALID_RECORD:
        return why_set(v->why, err, "record %d is malformed", v->index);
    case ERR_TOO_LARGE:
        return why_set(v->why, ERR_INVALID_RECORD, "the batch inflates to more than %lld bytes",
                       (long long)v->config->inflated_batch_bytes_max);
    case ERR_DECOMPRESS:
    case ERR_UNKNOWN_SERVER_ERROR:
        return why_set(v->why, ERR_UNKNOWN_SERVER_ERROR, "record %d cannot be read", v->index);
    default:
        return err;
    }
}

/* Times between these add and subtract within 64 bits, and are never TIMESTAMP_NONE. */
#define TIME_SANE_MIN (2 * (int64_t)RECORD_RUN_DELTA_MAX)
#define TIME_SANE_MAX (INT64_MAX / 2)

/* True: record_check would find nothing wrong with any record of the run, which is then counted. */
static bool run_check(struct validation *v, const struct record_run *run)
{
    const struct validate_config *config = v->config;
    int64_t base = v->header.base_timestamp;
    int64_t least = wrap_add(base, run->timestamp_delta_min);
    int64_t most = wrap_add(base, run->timestamp_delta_max);

    if (run->count == 0)
        return true;
    if (batch_is_log_append_time(&v->header) || base < TIME_SANE_MIN || base > TIME_SANE_MAX ||
        v->now_ms < 0 || v->now_ms > TIME_SANE_MAX)
        return false;
    if (config->compacted && run->has_keyless)
        return false;
    if (!config->log_append_time &&
        (timestamp_is_out_of_range(v, least) || timestamp_is_out_of_range(v, most)))
        return false;
    v->max_timestamp = MAX(v->max_timestamp, most);
    v->offsets_are_dense = v->offsets_are_dense && run->is_dense;
    v->index += run->count;
    return true;
}

/* Records to look at one by one before a run is tried: all of a few. */
static int32_t records_alone_first(const struct validation *v)
{
    return v->header.record_count < RUN_RECORDS_MIN ? RUN_RECORDS_MIN : 0;
}

/* The next record, looked at alone. */
static enum err plain_next(struct validation *v, struct record_walk *walk, int32_t body_bytes_max,
                           bool *more_out)
{
    struct record record;

    TRY(record_walk_next(walk, &record, more_out));
    if (!*more_out)
        return OK;
    if (record.size_bytes > (size_t)body_bytes_max &&
        record.size_bytes - varint_size_bytes((int32_t)record.size_bytes) > (size_t)body_bytes_max)
        return ERR_INVALID_RECORD;
    record_check(v, record.timestamp, record.offset_delta, !slice_is_null(record.key));
    return OK;
}

enum err validation_check_plain(struct validation *v, struct slice records, int32_t body_bytes_max)
{
    struct record_walk walk;
    struct record_run run;
    int32_t alone = records_alone_first(v);
    bool more = true;
    enum err err = record_walk_begin(&walk, &v->header, records);

    ASSERT(err == OK); /* batch_check has seen the count */
    while (err == OK && more) {
        if (alone == 0) {
            record_walk_run(&walk, v->index, body_bytes_max, &run);
            alone = 1;
            if (!run_check(v, &run)) {
                record_walk_rewind(&walk, &run);
                alone = run.count;
            }
        }
        err = plain_next(v, &walk, body_bytes_max, &more);
        alone--;
    }
    return err == OK ? record_errors_tell(v) : validation_fault(v, err);
}

static enum err stream_next(struct validation *v, struct record_stream *stream, bool *more_out)
{
    struct record_facts facts;

    TRY(record_stream_next(stream, &facts, more_out));
    if (*more_out)
        record_check(v, facts.timestamp, facts.offset_delta, facts.has_key);
    return OK;
}

enum err validation_check_stream(struct validation *v)
{
    struct record_stream stream;
    struct record_run run;
    int32_t alone = records_alone_first(v);
    bool more = true;
    enum err err = record_stream_begin(&stream, v->context, &v->header, batch_records(v->batch),
                                       (size_t)v->config->inflated_batch_bytes_max,
                                       v->config->inflated_bytes_max);

    while (err == OK && more) {
        if (alone == 0) {
            record_stream_run(&stream, v->index, &run);
            alone = 1;
            if (!run_check(v, &run)) {
                record_stream_rewind(&stream, &run);
                alone = run.count;
            }
        }
        err = stream_next(v, &stream, &more);
        alone--;
    }
    return err == OK ? record_errors_tell(v) : validation_fault(v, err);
}
