/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/record_run.c: records of the usual shape, many at a time. docs/design/records.md §6.
 *
 * One look at the room in front of a record instead of one for each number. Where the next record begins is
 * known from this one's length, before its fields are: the processor reads both at a time. Numbers are read
 * by branches, not by tables: in a batch they are equally wide nearly always, so that the branches are
 * foretold and nothing waits for a width.
 */
#include "records/record_run.h"

#include "records/records_internal.h"

#define NUMBER_BYTES_MAX 3
/* Length, attributes, timestamp, offset, key's length; and behind the key the value's length. */
#define FRONT_BYTES_MAX (4 * NUMBER_BYTES_MAX + 1)
#define NUMBER_LIMIT ((uint32_t)1 << 7 * NUMBER_BYTES_MAX)
#define BODY_BYTES_SPARE 8

/* A number of up to three bytes; longer: NUMBER_LIMIT or more. Three bytes are there. */
static inline const uint8_t *number_near(const uint8_t *at, uint32_t *out)
{
    uint32_t value = at[0];

    if (value < 1u << 7) {
        *out = value;
        return at + 1;
    }
    value = (value & 0x7f) | (uint32_t)at[1] << 7;
    if (value < 1u << 14) {
        *out = value;
        return at + 2;
    }
    *out = (value & 0x3fff) | (uint32_t)at[2] << 14;
    return at + 3;
}

/* Of a key or a value: below zero is null. */
static inline size_t length_of(uint32_t number)
{
    return number & 1 ? 0 : number >> 1;
}

/* Passes over a length and its bytes; NULL: not in front of `end`. */
static const uint8_t *field_skip(const uint8_t *at, const uint8_t *end, bool may_be_null)
{
    struct cursor cursor = {at, end};
    int32_t size;

    if (varint_read(&cursor, &size) != OK || (size < 0 && !may_be_null))
        return NULL;
    if (size > 0 && cursor_left(&cursor) < (size_t)size)
        return NULL;
    return cursor.at + MAX(size, 0);
}

/* Are [at, end) a count and exactly so many headers? */
static bool headers_are_whole(const uint8_t *at, const uint8_t *end)
{
    struct cursor cursor = {at, end};
    int32_t count;

    if (varint_read(&cursor, &count) != OK || count < 0)
        return false;
    at = cursor.at;
    for (int32_t i = 0; i < count && at; i++) {
        at = field_skip(at, end, false);
        if (at)
            at = field_skip(at, end, true);
    }
    return at == end;
}

const uint8_t *record_run_take(const uint8_t *at, const uint8_t *end, int32_t count_max,
                               int32_t first_index, int32_t body_bytes_max, struct record_run *out)
{
    int64_t body_limit = (int64_t)body_bytes_max - BODY_BYTES_SPARE;
    uint32_t expected = 2 * (uint32_t)first_index; /* the next offset delta as it is written */
    uint32_t astray = 0, keyless = 0;
    const uint8_t *from = at;
    int32_t least = INT32_MAX, most = INT32_MIN, count = 0;

    for (; count < count_max && end - at >= FRONT_BYTES_MAX; count++, expected += 2) {
        uint32_t size, timestamp, offset, key, value;
        const uint8_t *field = number_near(at, &size);
        const uint8_t *next;
        ptrdiff_t rest;
        int32_t delta;

        if (size & 1 || (int64_t)(size >> 1) > body_limit || end - field < (ptrdiff_t)(size >> 1))
            break;
        next = field + (size >> 1);
        field = number_near(field + 1, &timestamp);
        field = number_near(field, &offset);
        field = number_near(field, &key);
        if (end - field < (ptrdiff_t)length_of(key) + NUMBER_BYTES_MAX)
            break;
        field = number_near(field + length_of(key), &value);
        if ((size | timestamp | offset | key | value) >= NUMBER_LIMIT)
            break;
        rest = next - field - (ptrdiff_t)length_of(value); /* what is left for the headers */
        if (rest != 1 || next[-1] != 0)
            if (rest < 1 || !headers_are_whole(next - rest, next))
                break;
        delta = zigzag_decode(timestamp);
        least = MIN(least, delta);
        most = MAX(most, delta);
        astray |= offset ^ expected;
        keyless |= key & 1;
        at = next;
    }
    *out = (struct record_run){
        .from = from,
        .count = count,
        .timestamp_delta_min = least,
        .timestamp_delta_max = most,
        .is_dense = astray == 0,
        .has_keyless = keyless != 0,
    };
    return at;
}

void record_walk_run(struct record_walk *walk, int32_t first_index, int32_t body_bytes_max,
                     struct record_run *out)
{
    walk->cursor.at = record_run_take(walk->cursor.at, walk->cursor.end, MAX(walk->left - 1, 0),
                                      first_index, body_bytes_max, out);
    walk->left -= out->count;
}

void record_walk_rewind(struct record_walk *walk, const struct record_run *run)
{
    walk->cursor.at = run->from;
    walk->left += run->count;
}
