/* SPDX-License-Identifier: Apache-2.0 */
#include "record_oracle.h"

#include <stdio.h>

struct reading {
    struct slice bytes;
    size_t at;
    size_t end; /* of what may be read: the section's, or in a plain batch the record's */
    enum err tail;
    bool is_streamed;
};

/* The end of the bytes is a fault of the record, unless they could not be inflated any further. */
static enum err byte_read(struct reading *reading, uint8_t *out)
{
    if (reading->at == reading->end) {
        if (reading->is_streamed && reading->tail != OK)
            return reading->tail;
        return ERR_INVALID_RECORD;
    }
    *out = reading->bytes.data[reading->at++];
    return OK;
}

/* ERR_VARINT: too long. */
static enum err number_read(struct reading *reading, int bytes_max, int64_t *out)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes_max; i++) {
        uint8_t byte = 0;

        TRY(byte_read(reading, &byte));
        value += (uint64_t)(byte % 128) << (7 * i);
        if (byte < 128) {
            if (bytes_max == 5)
                value %= (uint64_t)1 << 32;
            *out = value % 2 == 0 ? (int64_t)(value / 2) : -(int64_t)(value / 2) - 1;
            return OK;
        }
    }
    return ERR_VARINT;
}

static enum err bytes_pass(struct reading *reading, int64_t size)
{
    uint8_t byte;

    for (int64_t i = 0; i < size; i++)
        TRY(byte_read(reading, &byte));
    return OK;
}

static enum err headers_pass(struct reading *reading)
{
    int64_t count = 0, size = 0;

    TRY(number_read(reading, 5, &count));
    if (count < 0)
        return ERR_INVALID_RECORD;
    if (!reading->is_streamed && count > (int64_t)(reading->end - reading->at))
        return ERR_INVALID_RECORD;
    for (int64_t i = 0; i < count; i++) {
        TRY(number_read(reading, 5, &size));
        if (size < 0)
            return ERR_INVALID_RECORD;
        TRY(bytes_pass(reading, size));
        TRY(number_read(reading, 5, &size));
        TRY(bytes_pass(reading, size));
    }
    return OK;
}

struct fields {
    int64_t timestamp_delta, offset_delta, key_size;
};

static enum err fields_read(struct reading *reading, struct fields *out)
{
    uint8_t attributes;
    int64_t size = 0;

    TRY(byte_read(reading, &attributes));
    TRY(number_read(reading, 10, &out->timestamp_delta));
    TRY(number_read(reading, 5, &out->offset_delta));
    TRY(number_read(reading, 5, &out->key_size));
    TRY(bytes_pass(reading, out->key_size));
    TRY(number_read(reading, 5, &size));
    TRY(bytes_pass(reading, size));
    return headers_pass(reading);
}

/* A number that is too long is a malformed record, except for the length in a plain batch. */
static enum err record_read(struct reading *reading, int32_t body_bytes_max, struct fields *out)
{
    size_t section = reading->end;
    int64_t size = 0;
    enum err err = number_read(reading, 5, &size);

    if (err == ERR_VARINT)
        return reading->is_streamed ? ERR_INVALID_RECORD : ERR_UNKNOWN_SERVER_ERROR;
    TRY(err);
    if (size < 0 || (reading->is_streamed && size > body_bytes_max))
        return ERR_INVALID_RECORD;
    if (!reading->is_streamed) {
        if ((size_t)size > section - reading->at)
            return ERR_INVALID_RECORD;
        reading->end = reading->at + (size_t)size;
    }
    err = fields_read(reading, out);
    if (err == ERR_VARINT)
        return ERR_INVALID_RECORD;
    TRY(err);
    if (!reading->is_streamed && reading->at != reading->end)
        return ERR_INVALID_RECORD;
    reading->end = section;
    return OK;
}

static void record_judge(struct oracle *oracle, const struct validate_config *config,
                         int64_t now_ms, const struct batch_header *header,
                         const struct fields *fields)
{
    bool is_append_time = (header->attributes & 8) != 0;
    int64_t timestamp =
        is_append_time
            ? header->max_timestamp
            : (int64_t)((uint64_t)header->base_timestamp + (uint64_t)fields->timestamp_delta);
    bool is_bad = false;

    if (config->compacted && fields->key_size < 0) {
        is_bad = true;
    } else if (!config->log_append_time && timestamp != -1) {
        int64_t age = (int64_t)((uint64_t)now_ms - (uint64_t)timestamp);
        int64_t ahead = (int64_t)(0 - (uint64_t)age);

        if (age > config->timestamp_before_max_ms || ahead > config->timestamp_after_max_ms)
            is_bad = oracle->has_timestamp_error = true;
    } else if (is_append_time) {
        is_bad = oracle->has_timestamp_error = true;
    }
    if (is_bad) {
        if (oracle->error_total < ORACLE_ERRORS_MAX)
            oracle->error_indexes[oracle->error_total] = oracle->index;
        oracle->error_total++;
    }
    if (timestamp > oracle->max_timestamp)
        oracle->max_timestamp = timestamp;
    if (fields->offset_delta != oracle->index)
        oracle->is_dense = false;
}

static void faulty(struct oracle *oracle, enum err err)
{
    oracle->err = err == ERR_TOO_LARGE ? ERR_INVALID_RECORD : err;
    oracle->fault = FAULT_MALFORMED;
    if (err == ERR_TOO_LARGE)
        oracle->fault = FAULT_TOO_LARGE;
    if (err == ERR_DECOMPRESS || err == ERR_UNKNOWN_SERVER_ERROR) {
        oracle->err = ERR_UNKNOWN_SERVER_ERROR;
        oracle->fault = FAULT_UNREADABLE;
    }
}

void oracle_walk(struct oracle *oracle, const struct validate_config *config, int64_t now_ms,
                 const struct batch_header *header, struct slice records, enum err tail,
                 bool is_streamed)
{
    struct reading reading = {records, 0, records.size_bytes, tail, is_streamed};

    memset(oracle, 0, sizeof *oracle);
    oracle->max_timestamp = -1;
    oracle->is_dense = true;
    while (oracle->index < header->record_count) {
        struct fields fields = {0, 0, 0};
        enum err err = record_read(&reading, config->inflated_bytes_max, &fields);

        if (err == OK && oracle->index == header->record_count - 1) {
            if (reading.at != reading.end)
                err = ERR_INVALID_RECORD; /* something behind the last record */
            else if (is_streamed)
                err = tail;
        }
        if (err != OK) {
            faulty(oracle, err);
            return;
        }
        record_judge(oracle, config, now_ms, header, &fields);
        oracle->index++;
    }
    if (oracle->error_total > 0)
        oracle->err = oracle->has_timestamp_error ? ERR_INVALID_TIMESTAMP : ERR_INVALID_RECORD;
}

static const char *errors_objection(const struct oracle *oracle, const struct append_info *info)
{
    if (info->record_error_count > oracle->error_total)
        return "more record errors";
    for (int32_t i = 0; i < info->record_error_count && i < ORACLE_ERRORS_MAX; i++)
        if (info->record_errors[i].batch_index != oracle->error_indexes[i])
            return "another record is blamed";
    if (info->record_error_count < oracle->error_total && info->record_error_count < 16)
        return "fewer record errors"; /* the list may end early when memory does */
    return NULL;
}

static const char *fault_objection(const struct oracle *oracle, const struct append_info *info,
                                   const struct why *why)
{
    char expected[64] = "";

    if (info->record_error_count != 0)
        return "records are blamed for a batch that cannot be read";
    if (oracle->fault == FAULT_MALFORMED)
        snprintf(expected, sizeof expected, "record %d is malformed", oracle->index);
    if (oracle->fault == FAULT_UNREADABLE)
        snprintf(expected, sizeof expected, "record %d cannot be read", oracle->index);
    if (expected[0] != '\0' && strcmp(expected, why->text) != 0)
        return "another reason";
    return NULL;
}

const char *oracle_objection(const struct oracle *oracle, const struct validate_config *config,
                             int64_t now_ms, enum err err, const struct append_info *info,
                             const struct why *why, bool is_streamed)
{
    if (oracle->err == OK && is_streamed && !oracle->is_dense)
        /* Built anew, which is stricter. */
        return err == OK || err == ERR_UNKNOWN_SERVER_ERROR || err == ERR_MESSAGE_TOO_LARGE
                   ? NULL
                   : "a refusal without a fault";
    if (err != oracle->err)
        return "another outcome";
    if (oracle->fault != FAULT_NONE)
        return fault_objection(oracle, info, why);
    if (oracle->err != OK)
        return errors_objection(oracle, info);
    if (info->max_timestamp != (config->log_append_time ? now_ms : oracle->max_timestamp))
        return "another largest timestamp";
    return NULL;
}
