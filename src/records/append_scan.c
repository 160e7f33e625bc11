/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/append_scan.c: what every append is checked for by headers alone, and the request-level
 * look at a Produce partition. The order of the checks is Kafka's: it decides which error is told.
 */
#include "records/validate.h"

#include "base/assert.h"
#include "records/records_internal.h"

#define PRODUCE_VERSION_ZSTD 7

enum err produce_precheck(struct slice records, int16_t api_version,
                          struct batch_header *header_out, struct why *why)
{
    struct slice rest = records, batch, second;

    if (batch_next(&rest, &batch) != OK)
        return why_set(why, ERR_CORRUPT_MESSAGE, "the first batch has an impossible size or magic");
    if (batch.size_bytes == 0)
        return why_set(why, ERR_INVALID_RECORD, "no whole record batch for the partition");
    if (batch.data[16] != BATCH_MAGIC)
        return why_set(why, ERR_INVALID_RECORD, "magic %d instead of %d", (int8_t)batch.data[16],
                       BATCH_MAGIC);
    if (batch_header_read(batch, header_out) != OK)
        return why_set(why, ERR_CORRUPT_MESSAGE, "a batch of %zu bytes has no whole header",
                       batch.size_bytes);
    if (api_version < PRODUCE_VERSION_ZSTD && batch_codec(header_out) == COMPRESSION_ZSTD)
        return why_set(why, ERR_UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce %d, not %d",
                       PRODUCE_VERSION_ZSTD, api_version);
    if (batch_next(&rest, &second) != OK)
        return why_set(why, ERR_CORRUPT_MESSAGE, "bytes behind the batch have an impossible size");
    if (second.size_bytes != 0)
        return why_set(why, ERR_INVALID_RECORD, "more than one record batch for the partition");
    return OK;
}

/* Before the header as a whole is known to be there: offset and epoch lie in the first 17 bytes. */
static enum err prefix_check(struct slice batch, enum append_origin origin, int32_t leader_epoch,
                             struct append_info *info, struct why *why)
{
    int8_t magic = (int8_t)batch.data[16];
    int64_t base_offset = (int64_t)get_u64(batch.data);
    int32_t epoch = magic == BATCH_MAGIC ? (int32_t)get_u32(batch.data + 12) : LEADER_EPOCH_NONE;

    if (origin == APPEND_ORIGIN_RAFT_LEADER && epoch != leader_epoch)
        return why_set(why, ERR_INVALID_RECORD, "batch of epoch %d appended in epoch %d", epoch,
                       leader_epoch);
    if (origin == APPEND_ORIGIN_CLIENT && magic == BATCH_MAGIC && base_offset != 0)
        return why_set(why, ERR_INVALID_RECORD, "base offset %lld of a new batch is not 0",
                       (long long)base_offset);
    if (origin == APPEND_ORIGIN_REPLICATION && epoch != LEADER_EPOCH_NONE && epoch > leader_epoch)
        info->skipped_newer_epoch = true;
    return OK;
}

static void info_note(struct append_info *info, const struct batch_header *header)
{
    int64_t last = batch_last_offset(header);

    if (info->batch_count == 0) {
        info->first = *header;
        info->first_offset = header->magic == BATCH_MAGIC ? header->base_offset : -1;
        info->last_offset_of_first_batch = last;
    }
    info->batch_count++;
    info->last_offset = last;
    info->last_leader_epoch = header->leader_epoch;
    info->max_timestamp = MAX(info->max_timestamp, header->max_timestamp);
    info->valid_bytes += batch_size_bytes(header);
    info->record_count += MAX(header->record_count, 0);
    if (batch_codec(header) != COMPRESSION_NONE)
        info->source_codec = batch_codec(header);
}

static enum err batch_scan(struct slice batch, enum append_origin origin, int32_t message_bytes_max,
                           struct append_info *info, struct why *why)
{
    bool offsets_are_given =
        origin == APPEND_ORIGIN_REPLICATION || origin == APPEND_ORIGIN_RAFT_LEADER;
    struct batch_header header;
    int64_t previous = info->last_offset;
    enum err err;

    if (origin != APPEND_ORIGIN_REPLICATION && batch.size_bytes > (size_t)message_bytes_max)
        return why_set(why, ERR_MESSAGE_TOO_LARGE, "batch of %zu bytes, max.message.bytes is %d",
                       batch.size_bytes, message_bytes_max);
    if (!batch_is_valid(batch))
        return why_set(why, ERR_CORRUPT_MESSAGE, "a batch of %zu bytes fails its CRC or is cut",
                       batch.size_bytes);
    err = batch_header_read(batch, &header);
    ASSERT(err == OK); /* it was read to be found valid */
    if (batch_codec(&header) >= COMPRESSION_COUNT)
        return why_set(why, ERR_UNKNOWN_SERVER_ERROR, "no codec has the number %d",
                       batch_codec(&header));
    info_note(info, &header);
    if (offsets_are_given && info->last_offset <= previous)
        return why_set(why, ERR_STATE, "last offset %lld does not rise above %lld",
                       (long long)info->last_offset, (long long)previous);
    return OK;
}

enum err append_scan(struct slice bytes, enum append_origin origin, int32_t leader_epoch,
                     int32_t message_bytes_max, struct append_info *info, struct why *why)
{
    struct slice rest = bytes, batch;

    ASSERT(message_bytes_max >= 0);
    *info = (struct append_info){
        .first_offset = -1,
        .last_offset = -1,
        .last_offset_of_first_batch = -1,
        .last_leader_epoch = LEADER_EPOCH_NONE,
        .max_timestamp = TIMESTAMP_NONE,
        .log_append_time = TIMESTAMP_NONE,
        .source_codec = COMPRESSION_NONE,
    };
    for (;;) {
        if (batch_next(&rest, &batch) != OK)
            return why_set(why, ERR_CORRUPT_MESSAGE, "a batch has an impossible size or magic");
        if (batch.size_bytes == 0)
            return OK;
        TRY(prefix_check(batch, origin, leader_epoch, info, why));
        if (!info->skipped_newer_epoch)
            TRY(batch_scan(batch, origin, message_bytes_max, info, why));
    }
}
