/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/lz4.c: the LZ4 frame as Kafka writes and reads it. The frame is made here, the blocks by
 * liblz4: Kafka's checks differ from those of the library's frame reader (independent blocks only,
 * content checksum read but not compared, bytes behind the end mark ignored).
 *   04 22 4d 18 | FLG | BD | [content size u64] | HC | { size u32 LE, bit 31: stored | data |
 *   [xxh32 u32] }* | 00000000 | [xxh32 u32]
 */
#include "compress/compress_internal.h"

#include "base/assert.h"

#include <lz4.h>
#include <lz4hc.h>

#define FRAME_MAGIC 0x184d2204u
#define FRAME_HEADER_BYTES 7 /* without content size */
#define BLOCK_BYTES (64 * KIB)
#define BLOCK_STORED 0x80000000u
#define FLAG_VERSION 0x40
#define FLAG_VERSION_MASK 0xc0
#define FLAG_INDEPENDENT 0x20
#define FLAG_BLOCK_CHECKSUM 0x10
#define FLAG_CONTENT_SIZE 0x08
#define FLAG_CONTENT_CHECKSUM 0x04
#define FLAG_RESERVED 0x03
#define BLOCK_CODE_64K 4
/* Kafka's default level means the fast compressor; the others go to the high-compression one. */
#define LEVEL_FAST 9

static void put_u32_le(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

static uint32_t get_u32_le(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static enum err u32_le_read(struct cursor *in, uint32_t *out)
{
    struct slice bytes;

    TRY(cursor_bytes(in, 4, &bytes));
    *out = get_u32_le(bytes.data);
    return OK;
}

static uint8_t header_checksum(struct slice descriptor)
{
    return (uint8_t)(xxh32(descriptor, 0) >> 8);
}

/* Compressed size, or 0 when the block does not shrink. */
static size_t block_compress(void *state, int level, const uint8_t *in, size_t size_bytes,
                             uint8_t *out, size_t out_bytes)
{
    int used;

    if (level == LEVEL_FAST)
        used = LZ4_compress_fast_extState(state, (const char *)in, (char *)out, (int)size_bytes,
                                          (int)out_bytes, 1);
    else
        used = LZ4_compress_HC_extStateHC(state, (const char *)in, (char *)out, (int)size_bytes,
                                          (int)out_bytes, level);
    ASSERT(used > 0); /* out_bytes is the library's bound */
    return (size_t)used < size_bytes ? (size_t)used : 0;
}

enum err lz4_compress(struct compress_context *context, int level, struct slice in,
                      struct writer *out)
{
    size_t blocks = in.size_bytes / BLOCK_BYTES + (in.size_bytes % BLOCK_BYTES != 0);
    size_t block_bound = (size_t)LZ4_compressBound((int)BLOCK_BYTES);
    size_t bound = FRAME_HEADER_BYTES + blocks * (4 + block_bound) + 4;
    void *state = level == LEVEL_FAST
                      ? scratch_need(context, &context->lz4_fast, (size_t)LZ4_sizeofState())
                      : scratch_need(context, &context->lz4_high, (size_t)LZ4_sizeofStateHC());
    uint8_t *room, *at;

    if (!state)
        return ERR_NO_MEMORY;
    room = at = output_begin(context, out, bound);
    if (!room)
        return ERR_NO_MEMORY;
    put_u32_le(at, FRAME_MAGIC);
    at[4] = FLAG_VERSION | FLAG_INDEPENDENT;
    at[5] = BLOCK_CODE_64K << 4;
    at[6] = header_checksum(slice_of(at + 4, 2));
    at += FRAME_HEADER_BYTES;
    for (size_t from = 0; from < in.size_bytes; from += BLOCK_BYTES) {
        size_t size = MIN(BLOCK_BYTES, in.size_bytes - from);
        size_t used = block_compress(state, level, in.data + from, size, at + 4, block_bound);

        if (used == 0) {
            memcpy(at + 4, in.data + from, size);
            put_u32_le(at, (uint32_t)size | BLOCK_STORED);
            used = size;
        } else {
            put_u32_le(at, (uint32_t)used);
        }
        at += 4 + used;
    }
    put_u32_le(at, 0);
    at += 4;
    return output_end(context, out, room, bound, (size_t)(at - room));
}

static enum err frame_header_read(struct compress_context *context)
{
    struct cursor *in = &context->in;
    const uint8_t *descriptor;
    uint32_t magic;
    uint8_t flags, block, computed, checksum;

    TRY(u32_le_read(in, &magic));
    descriptor = in->at;
    TRY(cursor_u8(in, &flags));
    TRY(cursor_u8(in, &block));
    if (magic != FRAME_MAGIC || (flags & FLAG_VERSION_MASK) != FLAG_VERSION ||
        (flags & FLAG_RESERVED) != 0 || !(flags & FLAG_INDEPENDENT) || (block & 0x8f) != 0 ||
        block >> 4 < BLOCK_CODE_64K)
        return ERR_DECOMPRESS;
    if (flags & FLAG_CONTENT_SIZE)
        TRY(cursor_skip(in, 8));
    computed = header_checksum(slice_of(descriptor, (size_t)(in->at - descriptor)));
    TRY(cursor_u8(in, &checksum));
    if (checksum != computed)
        return ERR_DECOMPRESS;
    context->lz4.block_bytes_max = (size_t)1 << (2 * (block >> 4) + 8);
    context->lz4.has_block_checksum = (flags & FLAG_BLOCK_CHECKSUM) != 0;
    return OK;
}

enum err lz4_begin(struct compress_context *context)
{
    return frame_header_read(context) == OK ? OK : ERR_DECOMPRESS;
}

enum err lz4_next(struct compress_context *context, struct slice *piece_out)
{
    struct cursor *in = &context->in;
    uint32_t size, checksum;
    struct slice block;
    uint8_t *piece;
    int used;

    do {
        if (u32_le_read(in, &size) != OK)
            return ERR_DECOMPRESS;
        if ((size & ~BLOCK_STORED) == 0)
            return OK; /* the end mark; what follows is not looked at */
        if ((size & ~BLOCK_STORED) > context->lz4.block_bytes_max ||
            cursor_bytes(in, size & ~BLOCK_STORED, &block) != OK)
            return ERR_DECOMPRESS;
        if (context->lz4.has_block_checksum &&
            (u32_le_read(in, &checksum) != OK || checksum != xxh32(block, 0)))
            return ERR_DECOMPRESS;
        if (size & BLOCK_STORED) {
            *piece_out = block;
            return OK;
        }
        piece =
            scratch_need(context, &context->piece, MAX(context->lz4.block_bytes_max, PIECE_BYTES));
        if (!piece)
            return ERR_NO_MEMORY;
        used = LZ4_decompress_safe((const char *)block.data, (char *)piece, (int)block.size_bytes,
                                   (int)context->lz4.block_bytes_max);
        if (used < 0)
            return ERR_DECOMPRESS;
        *piece_out = slice_of(piece, (size_t)used);
    } while (piece_out->size_bytes == 0);
    return OK;
}
