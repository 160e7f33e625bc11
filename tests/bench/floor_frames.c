/* SPDX-License-Identifier: Apache-2.0 */
#include "floor_frames.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "payload.h"
#include "wire.h"

enum { FRAMES = 16, PREFIX = 4, LZ4_BLOCK = 65536, ZSTD_LEVEL = 3, NUMBERS_MAX = 24 };

struct floor_inflate {
    enum floor_codec codec;
    ZSTD_DCtx *zstd;
    size_t capacity;
    uint8_t *plain;
};

static void u32_put(uint8_t *at, size_t value)
{
    uint32_t number = (uint32_t)value;

    memcpy(at, &number, sizeof(number));
}

static uint32_t u32_get(const uint8_t *at)
{
    uint32_t number;

    memcpy(&number, at, sizeof(number));
    return number;
}

/* ---- records ---- */

static uint8_t *number_put(uint8_t *at, uint64_t value)
{
    for (value <<= 1; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

/* One record of format 2, without key and headers. */
static uint8_t *record_put(uint8_t *at, const struct payload *payload, uint64_t sequence,
                           uint32_t index, size_t value_bytes)
{
    uint8_t fields[NUMBERS_MAX];
    uint8_t *field = fields;

    *field++ = 0;                          /* attributes */
    field = number_put(field, index / 64); /* milliseconds since the first one */
    field = number_put(field, index);
    *field++ = 1; /* no key */
    field = number_put(field, value_bytes);
    at = number_put(at, (size_t)(field - fields) + value_bytes + 1);
    memcpy(at, fields, (size_t)(field - fields));
    at += field - fields;
    payload_fill(payload, sequence, at, value_bytes);
    at += value_bytes;
    *at++ = 0; /* headers */
    return at;
}

/* ---- frames ---- */

static size_t lz4_put(uint8_t *out, const uint8_t *plain, size_t plain_bytes)
{
    size_t at = 0;

    for (size_t from = 0; from < plain_bytes; from += LZ4_BLOCK) {
        int size = (int)(plain_bytes - from < LZ4_BLOCK ? plain_bytes - from : LZ4_BLOCK);
        int used = LZ4_compress_default((const char *)plain + from, (char *)out + at + PREFIX, size,
                                        LZ4_compressBound(size));

        u32_put(out + at, (size_t)used);
        at += PREFIX + (size_t)used;
    }
    return at;
}

static size_t compressed_put(enum floor_codec codec, uint8_t *out, size_t capacity,
                             const uint8_t *plain, size_t plain_bytes)
{
    size_t used = 0;

    if (codec == FLOOR_LZ4)
        used = lz4_put(out + PREFIX, plain, plain_bytes);
    else
        used = ZSTD_compress(out + PREFIX, capacity - PREFIX, plain, plain_bytes, ZSTD_LEVEL);
    if (codec == FLOOR_ZSTD && ZSTD_isError(used))
        wire_die("cannot compress");
    u32_put(out, used);
    return PREFIX + used;
}

static enum floor_codec codec_of(const char *name)
{
    static const char *const names[] = {"none", "lz4", "zstd"};

    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum floor_codec)i;
    wire_die("the codec is none, lz4 or zstd");
    return FLOOR_NONE;
}

void floor_frames_make(struct floor_frames *frames, const char *codec, size_t plain_bytes,
                       size_t value_bytes)
{
    size_t capacity = plain_bytes + plain_bytes / 16 + 4096, values = 0;
    uint8_t *plain = wire_reserve(1, plain_bytes + value_bytes + NUMBERS_MAX);
    uint8_t *all = wire_reserve(FRAMES, capacity);
    size_t sizes[FRAMES];
    struct payload payload;
    uint64_t sequence = 0;

    if (value_bytes < PAYLOAD_SIZE_MIN || value_bytes > PAYLOAD_SIZE_MAX ||
        value_bytes + 2 * NUMBERS_MAX > plain_bytes)
        wire_die("no such values");
    payload_init(&payload);
    *frames = (struct floor_frames){.codec = codec_of(codec), .count = FRAMES};
    if (frames->codec == FLOOR_NONE)
        frames->count = 1; /* out of the sender's cache: the lowest floor */
    for (uint32_t i = 0; i < frames->count; i++) {
        uint8_t *at = plain;

        for (uint32_t index = 0; plain + plain_bytes - at >= (ptrdiff_t)value_bytes + NUMBERS_MAX;
             index++, values += value_bytes)
            at = record_put(at, &payload, sequence++, index, value_bytes);
        sizes[i] = (size_t)(at - plain);
        if (frames->codec == FLOOR_NONE)
            memcpy(all + i * capacity, plain, sizes[i]);
        else
            sizes[i] = compressed_put(frames->codec, all + i * capacity, capacity, plain, sizes[i]);
        frames->size = sizes[i] > frames->size ? sizes[i] : frames->size;
    }
    frames->value_bytes = values / frames->count;
    frames->bytes = wire_reserve(frames->count, frames->size);
    for (uint32_t i = 0; i < frames->count; i++)
        memcpy(frames->bytes + i * frames->size, all + i * capacity, sizes[i]);
    payload_deinit(&payload);
    free(all);
    free(plain);
}

const uint8_t *floor_frame_stored(const struct floor_frames *frames, const uint8_t *frame,
                                  size_t *size_out)
{
    if (frames->codec == FLOOR_NONE) {
        *size_out = frames->size;
        return frame;
    }
    *size_out = u32_get(frame);
    if (*size_out > frames->size - PREFIX)
        wire_die("a frame lies about its size");
    return frame + PREFIX;
}

/* ---- inflating ---- */

struct floor_inflate *floor_inflate_new(const struct floor_frames *frames, size_t plain_bytes)
{
    struct floor_inflate *inflate = wire_reserve(1, sizeof(*inflate));

    *inflate = (struct floor_inflate){.codec = frames->codec, .capacity = plain_bytes};
    inflate->plain = wire_reserve(1, plain_bytes);
    if (frames->codec == FLOOR_ZSTD)
        inflate->zstd = ZSTD_createDCtx();
    return inflate;
}

static size_t lz4_inflate(struct floor_inflate *inflate, const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    size_t made = 0;

    while (end - at > PREFIX && u32_get(at) <= (size_t)(end - at) - PREFIX) {
        int used = LZ4_decompress_safe((const char *)at + PREFIX, (char *)inflate->plain + made,
                                       (int)u32_get(at), (int)(inflate->capacity - made));

        if (used <= 0)
            return 0;
        made += (size_t)used;
        at += PREFIX + u32_get(at);
    }
    return at == end ? made : 0;
}

void floor_inflate(struct floor_inflate *inflate, const uint8_t *stored, size_t size)
{
    size_t made;

    if (inflate->codec == FLOOR_LZ4)
        made = lz4_inflate(inflate, stored, size);
    else
        made = ZSTD_decompressDCtx(inflate->zstd, inflate->plain, inflate->capacity, stored, size);
    if (made == 0 || made > inflate->capacity)
        wire_die("a frame cannot be inflated");
}
