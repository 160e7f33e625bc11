/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/json.c: events as JSON lines. A field at its default is left out; names are those of the struct.
 */
#include "history_internal.h"

#include "base/assert.h"

#include <jansson.h>
#include <stdlib.h>

struct field {
    const char *name;
    size_t position;
    enum { WIDE, NARROW } width;
};
#define FIELD(name, width)                                 \
    {                                                      \
#name, offsetof(struct history_event, name), width \
    }
static const struct field fields[] = {
    FIELD(op, WIDE),
    FIELD(time_ns, WIDE),
    FIELD(wall_ms, WIDE),
    FIELD(process, NARROW),
    FIELD(partition, NARROW),
    FIELD(acks, NARROW),
    FIELD(link, NARROW),
    FIELD(producer_id, WIDE),
    FIELD(producer_epoch, NARROW),
    FIELD(base_sequence, NARROW),
    FIELD(first_value, WIDE),
    FIELD(count, NARROW),
    FIELD(size_bytes, NARROW),
    FIELD(timestamp_ms, WIDE),
    FIELD(offset, WIDE),
    FIELD(high_watermark, WIDE),
    FIELD(last_stable, WIDE),
    FIELD(log_start, WIDE),
    FIELD(retention_ms, WIDE),
    FIELD(retention_bytes, WIDE),
    FIELD(generation, NARROW),
    FIELD(since_ns, WIDE),
    FIELD(lease_ms, WIDE),
    FIELD(transaction, WIDE),
    FIELD(is_commit, NARROW),
    FIELD(isolation, NARROW),
    FIELD(key, NARROW),
    FIELD(is_compacted, NARROW),
    FIELD(amount, WIDE),
};
static const struct field names[] = {
    FIELD(group, NARROW),
    FIELD(member, NARROW),
    FIELD(instance, NARROW),
};

static int64_t field_get(const struct history_event *event, const struct field *field)
{
    const char *at = (const char *)event + field->position;
    int64_t wide;
    int32_t narrow;

    if (field->width == WIDE) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static void field_set(struct history_event *event, const struct field *field, int64_t value)
{
    char *at = (char *)event + field->position;
    int32_t narrow = (int32_t)value;

    if (field->width == WIDE)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &narrow, sizeof narrow);
}

static json_t *batch_to_json(const struct history_batch *batch)
{
    json_t *line = json_pack(
        "{sI sI sI sI si si sI sb si sI}", "base_offset", (json_int_t)batch->base_offset,
        "last_offset", (json_int_t)batch->last_offset, "first_value",
        (json_int_t)batch->first_value, "producer_id", (json_int_t)batch->producer_id,
        "base_sequence", (int)batch->base_sequence, "producer_epoch", (int)batch->producer_epoch,
        "crc", (json_int_t)batch->crc, "is_valid", (int)batch->is_valid, "size_bytes",
        (int)batch->size_bytes, "timestamp_ms", (json_int_t)batch->timestamp_ms);

    ASSERT(line != NULL);
    if (batch->is_transactional)
        json_object_set_new(line, "is_transactional", json_true());
    if (batch->is_aborted)
        json_object_set_new(line, "is_aborted", json_true());
    if (batch->is_empty)
        json_object_set_new(line, "is_empty", json_true());
    if (batch->is_control) {
        json_object_set_new(line, "is_control", json_true());
        json_object_set_new(line, "marker", json_integer(batch->marker));
    }
    if (batch->amount != 0)
        json_object_set_new(line, "amount", json_integer(batch->amount));
    return line;
}

void history_write(const struct history *history, FILE *out)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct history_event *event = &history->events[i];
        json_t *line = json_object();
        struct history_event plain;

        ASSERT(line != NULL);
        history_event_init(&plain, event->kind, event->phase);
        json_object_set_new(line, "kind", json_string(history_kind_names[event->kind]));
        if (event->kind == HISTORY_MARK)
            json_object_set_new(line, "mark", json_string(history_mark_names[event->mark]));
        else
            json_object_set_new(line, "phase", json_string(history_phase_names[event->phase]));
        if (event->topic >= 0)
            json_object_set_new(line, "topic", json_string(history->topics[event->topic]));
        for (size_t k = 0; k < ARRAY_COUNT(fields); k++)
            if (field_get(event, &fields[k]) != field_get(&plain, &fields[k]))
                json_object_set_new(line, fields[k].name,
                                    json_integer(field_get(event, &fields[k])));
        for (size_t k = 0; k < ARRAY_COUNT(names); k++)
            if (field_get(event, &names[k]) >= 0)
                json_object_set_new(
                    line, names[k].name,
                    json_string(history_name_text(history, (int32_t)field_get(event, &names[k]))));
        if (event->error)
            json_object_set_new(line, "error", json_string(event->error));
        if (event->batch_count > 0) {
            json_t *batches = json_array();

            for (size_t k = 0; k < event->batch_count; k++)
                json_array_append_new(batches, batch_to_json(&event->batches[k]));
            json_object_set_new(line, "batches", batches);
        }
        json_dumpf(line, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(line);
    }
}

static int word_find(const char *const *words, int count, const json_t *value)
{
    for (int i = 0; value && json_is_string(value) && i < count; i++)
        if (strcmp(words[i], json_string_value(value)) == 0)
            return i;
    return -1;
}

static bool batch_from_json(json_t *item, struct history_batch *batch)
{
    json_int_t base, last, value, producer = -1, crc, timestamp = -1, amount = 0;
    int sequence = -1, epoch = -1, valid = 1, size = 0, marker = -1;
    int transactional = 0, control = 0, aborted = 0, empty = 0;

    if (json_unpack(item, "{sI sI sI s?I s?i s?i sI s?b s?i s?I s?b s?b s?b s?b s?i s?I}",
                    "base_offset", &base, "last_offset", &last, "first_value", &value,
                    "producer_id", &producer, "base_sequence", &sequence, "producer_epoch", &epoch,
                    "crc", &crc, "is_valid", &valid, "size_bytes", &size, "timestamp_ms",
                    &timestamp, "is_transactional", &transactional, "is_control", &control,
                    "is_aborted", &aborted, "is_empty", &empty, "marker", &marker, "amount",
                    &amount) != 0)
        return false;
    *batch = (struct history_batch){.base_offset = base,
                                    .last_offset = last,
                                    .first_value = value,
                                    .producer_id = producer,
                                    .base_sequence = sequence,
                                    .producer_epoch = (int16_t)epoch,
                                    .crc = (uint32_t)crc,
                                    .is_valid = valid != 0,
                                    .size_bytes = size,
                                    .timestamp_ms = timestamp,
                                    .is_transactional = transactional != 0,
                                    .is_control = control != 0,
                                    .is_aborted = aborted != 0,
                                    .is_empty = empty != 0,
                                    .marker = (int8_t)marker,
                                    .amount = amount};
    return base >= 0 && last >= base;
}

static const char *event_from_json(struct history *history, json_t *line)
{
    struct history_batch *batches = NULL;
    struct history_event event;
    int kind = word_find(history_kind_names, HISTORY_KIND_COUNT, json_object_get(line, "kind"));
    int phase = word_find(history_phase_names, HISTORY_PHASE_COUNT, json_object_get(line, "phase"));
    int mark = word_find(history_mark_names, HISTORY_MARK_COUNT, json_object_get(line, "mark"));
    json_t *topic = json_object_get(line, "topic"), *list = json_object_get(line, "batches");
    json_t *error = json_object_get(line, "error");

    if (kind < 0)
        return "no such kind";
    if (kind == HISTORY_MARK ? mark < 0 : phase < 0)
        return kind == HISTORY_MARK ? "no such mark" : "no such phase";
    history_event_init(&event, (enum history_kind)kind,
                       phase < 0 ? HISTORY_INVOKE : (enum history_phase)phase);
    event.mark = mark < 0 ? HISTORY_MARK_START : (enum history_mark)mark;
    if (json_is_string(topic))
        event.topic = history_topic(history, json_string_value(topic));
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        json_t *value = json_object_get(line, fields[i].name);

        if (value && !json_is_integer(value))
            return fields[i].name;
        if (value)
            field_set(&event, &fields[i], json_integer_value(value));
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        json_t *value = json_object_get(line, names[i].name);

        if (value && !json_is_string(value))
            return names[i].name;
        if (value)
            field_set(&event, &names[i], history_name(history, json_string_value(value)));
    }
    if (json_is_string(error))
        event.error = json_string_value(error);
    event.batch_count = json_array_size(list);
    if (event.batch_count > 0) {
        batches = calloc(event.batch_count, sizeof *batches);
        ASSERT(batches != NULL);
        for (size_t i = 0; i < event.batch_count; i++)
            if (!batch_from_json(json_array_get(list, i), &batches[i])) {
                free(batches);
                return "a batch lacks a field";
            }
        event.batches = batches;
    }
    history_add(history, &event);
    free(batches);
    return NULL;
}

bool history_read(struct history *history, FILE *in, char *why, size_t why_bytes)
{
    char *text = NULL;
    size_t capacity = 0, number = 0;
    const char *wrong = NULL;
    ssize_t length;

    while (!wrong && (length = getline(&text, &capacity, in)) >= 0) {
        json_error_t error;
        json_t *line;

        number++;
        if (length <= 1 || text[0] == '#')
            continue;
        line = json_loads(text, 0, &error);
        wrong = line ? event_from_json(history, line) : "not JSON";
        if (wrong)
            snprintf(why, why_bytes, "line %zu: %s", number, wrong);
        json_decref(line);
    }
    free(text);
    return !wrong;
}
