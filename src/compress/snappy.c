/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/snappy.c: snappy in the framing of snappy-java, as Kafka writes it:
 *   82 "SNAPPY" 00 | version i32 = 1 | compatible i32 = 1 | { length i32 | raw snappy block }*
 * and, for reading, one raw block without any frame, as other clients send it.
 */
#include "compress/compress_internal.h"

#include "base/assert.h"

#include <snappy-c.h>

#define BLOCK_BYTES (32 * KIB)
#define FRAME_HEADER_BYTES 16
#define FRAME_MAGIC_HEAD 0x82534e41u
/* The densest element of the format makes 64 bytes of 3, and a length costs at least one byte. */
#define SNAPPY_RATIO_MAX 24

static const uint8_t frame_header[FRAME_HEADER_BYTES] = {
    0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
};

static void put_u32(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

enum err snappy_compress_framed(struct compress_context *context, struct slice in,
                                struct writer *out)
{
    size_t blocks = in.size_bytes / BLOCK_BYTES + (in.size_bytes % BLOCK_BYTES != 0);
    size_t bound = FRAME_HEADER_BYTES + blocks * (4 + snappy_max_compressed_length(BLOCK_BYTES));
    uint8_t *room = output_begin(context, out, bound);
    uint8_t *at = room;

    if (!room)
        return ERR_NO_MEMORY;
    memcpy(at, frame_header, FRAME_HEADER_BYTES);
    at += FRAME_HEADER_BYTES;
    for (size_t from = 0; from < in.size_bytes; from += BLOCK_BYTES) {
        size_t size = MIN(BLOCK_BYTES, in.size_bytes - from);
        size_t used = snappy_max_compressed_length(BLOCK_BYTES);
        snappy_status status =
            snappy_compress((const char *)in.data + from, size, (char *)at + 4, &used);

        ASSERT(status == SNAPPY_OK); /* it fails on too small a buffer only */
        put_u32(at, used);
        at += 4 + used;
    }
    return output_end(context, out, room, bound, (size_t)(at - room));
}

enum err snappy_begin(struct compress_context *context)
{
    if (cursor_left(&context->in) == 0)
        return ERR_DECOMPRESS;
    context->snappy_is_framed = cursor_left(&context->in) >= FRAME_HEADER_BYTES &&
                                memcmp(context->in.at, frame_header, 8) == 0;
    if (context->snappy_is_framed)
        return cursor_skip(&context->in, FRAME_HEADER_BYTES);
    return OK;
}

static enum err block_inflate(struct compress_context *context, struct slice block,
                              struct slice *piece_out)
{
    size_t size = 0;
    uint8_t *piece;

    if (snappy_uncompressed_length((const char *)block.data, block.size_bytes, &size) !=
            SNAPPY_OK ||
        size / SNAPPY_RATIO_MAX > block.size_bytes)
        return ERR_DECOMPRESS;
    if (size > context->limit_bytes - context->produced_bytes)
        return ERR_TOO_LARGE;
    piece = scratch_need(context, &context->piece, MAX(size, PIECE_BYTES));
    if (!piece)
        return ERR_NO_MEMORY;
    if (snappy_uncompress((const char *)block.data, block.size_bytes, (char *)piece, &size) !=
        SNAPPY_OK)
        return ERR_DECOMPRESS;
    *piece_out = slice_of(piece, size);
    return OK;
}

enum err snappy_next(struct compress_context *context, struct slice *piece_out)
{
    struct slice block;
    uint32_t size;

    if (!context->snappy_is_framed) {
        if (cursor_left(&context->in) == 0)
            return OK;
        TRY(cursor_bytes(&context->in, cursor_left(&context->in), &block));
        return block_inflate(context, block, piece_out);
    }
    do {
        if (cursor_u32(&context->in, &size) != OK)
            return OK;                  /* fewer than four bytes: the end, as snappy-java has it */
        if (size == FRAME_MAGIC_HEAD) { /* frames one after the other */
            if (cursor_skip(&context->in, FRAME_HEADER_BYTES - 4) != OK)
                return ERR_DECOMPRESS;
            continue;
        }
        if (cursor_bytes(&context->in, size, &block) != OK)
            return ERR_DECOMPRESS;
        TRY(block_inflate(context, block, piece_out));
    } while (piece_out->size_bytes == 0);
    return OK;
}
