/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/compress.c: chooses the codec, keeps its memory, holds every output to its limit.
 * Invariants  1. no more than limit_bytes of inflated data ever leave decompress_next.
 *             2. an error or the end of a stream repeats until the next begin.
 * Threads     one at a time per context.
 */
#include "compress/compress_internal.h"

#include "base/assert.h"

struct codec {
    const char *name;
    int level_min, level_max, level_default;
};

static const struct codec codecs[COMPRESSION_COUNT] = {
    [COMPRESSION_NONE] = {"none", 0, 0, 0},
    [COMPRESSION_GZIP] = {"gzip", -1, 9, -1}, /* 0 (store) is not a level of Kafka's */
    [COMPRESSION_SNAPPY] = {"snappy", 0, 0, 0},
    [COMPRESSION_LZ4] = {"lz4", 1, 17, 9},
    [COMPRESSION_ZSTD] = {"zstd", -131072, 22, 3},
};

static bool kind_is_known(enum compression kind)
{
    return (unsigned)kind < COMPRESSION_COUNT;
}

const char *compression_name(enum compression kind)
{
    return kind_is_known(kind) ? codecs[kind].name : "unknown";
}

int compression_level_min(enum compression kind)
{
    return kind_is_known(kind) ? codecs[kind].level_min : 0;
}

int compression_level_max(enum compression kind)
{
    return kind_is_known(kind) ? codecs[kind].level_max : 0;
}

int compression_level_default(enum compression kind)
{
    return kind_is_known(kind) ? codecs[kind].level_default : 0;
}

enum err compress_context_open(struct compress_context **out, struct allocator *allocator)
{
    struct compress_context *context = ALLOCATOR_NEW(allocator, struct compress_context);

    *out = context;
    if (!context)
        return ERR_NO_MEMORY;
    context->allocator = allocator;
    context->err = ERR_STATE; /* no stream has begun */
    return OK;
}

static void scratch_release(struct compress_context *context, struct scratch *scratch)
{
    context->allocator->release(context->allocator, scratch->data, scratch->size_bytes);
    *scratch = (struct scratch){NULL, 0};
}

void compress_context_release(struct compress_context **context_in)
{
    struct compress_context *context = *context_in;

    if (!context)
        return;
    gzip_release(context);
    zstd_release(context);
    scratch_release(context, &context->piece);
    scratch_release(context, &context->spill);
    scratch_release(context, &context->lz4_fast);
    scratch_release(context, &context->lz4_high);
    ALLOCATOR_DELETE(context->allocator, context);
    *context_in = NULL;
}

uint8_t *scratch_need(struct compress_context *context, struct scratch *scratch, size_t size_bytes)
{
    if (scratch->size_bytes >= size_bytes)
        return scratch->data;
    scratch_release(context, scratch);
    scratch->data = context->allocator->allocate(context->allocator, size_bytes);
    if (scratch->data)
        scratch->size_bytes = size_bytes;
    return scratch->data;
}

uint8_t *output_begin(struct compress_context *context, struct writer *out, size_t bound_bytes)
{
    if (out->limit_bytes - MIN(out->size_bytes, out->limit_bytes) >= bound_bytes &&
        (out->allocator || out->capacity_bytes - out->size_bytes >= bound_bytes))
        return writer_reserve(out, bound_bytes);
    return scratch_need(context, &context->spill, bound_bytes);
}

enum err output_end(struct compress_context *context, struct writer *out, uint8_t *room,
                    size_t bound_bytes, size_t used_bytes)
{
    ASSERT(used_bytes <= bound_bytes);
    WRITTEN_ELSEWHERE(room, used_bytes);
    if (room == context->spill.data)
        writer_bytes(out, room, used_bytes);
    else
        out->size_bytes -= bound_bytes - used_bytes;
    return writer_error(out);
}

/* The size in front of a block, as wide as the strictest alignment. */
#define CODEC_BLOCK_PREFIX 16

void *codec_allocate(void *allocator_in, size_t size_bytes)
{
    struct allocator *allocator = allocator_in;
    uint8_t *block;

    if (size_bytes > SIZE_MAX - CODEC_BLOCK_PREFIX)
        return NULL;
    block = allocator->allocate(allocator, size_bytes + CODEC_BLOCK_PREFIX);
    if (!block)
        return NULL;
    memcpy(block, &size_bytes, sizeof size_bytes);
    return block + CODEC_BLOCK_PREFIX;
}

void codec_release(void *allocator_in, void *pointer)
{
    struct allocator *allocator = allocator_in;
    uint8_t *block;
    size_t size_bytes;

    if (!pointer)
        return;
    block = (uint8_t *)pointer - CODEC_BLOCK_PREFIX;
    memcpy(&size_bytes, block, sizeof size_bytes);
    allocator->release(allocator, block, size_bytes + CODEC_BLOCK_PREFIX);
}

enum err compress_bytes(struct compress_context *context, enum compression kind, int level,
                        struct slice in, struct writer *out)
{
    ASSERT(kind_is_known(kind));
    level = MAX(codecs[kind].level_min, MIN(level, codecs[kind].level_max));
    switch (kind) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_GZIP:
        return gzip_compress(context, level, in, out);
    case COMPRESSION_SNAPPY:
        return snappy_compress_framed(context, in, out);
    case COMPRESSION_LZ4:
        return lz4_compress(context, level, in, out);
    case COMPRESSION_ZSTD:
        return zstd_compress(context, level, in, out);
    }
    writer_bytes(out, in.data, in.size_bytes);
    return writer_error(out);
}

enum err decompress_begin(struct compress_context *context, enum compression kind, struct slice in,
                          size_t limit_bytes)
{
    ASSERT(kind_is_known(kind));
    context->kind = kind;
    context->in = cursor_of(in);
    context->limit_bytes = limit_bytes;
    context->produced_bytes = 0;
    context->at_end = false;
    context->err = OK;
    switch (kind) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_GZIP:
        context->err = gzip_begin(context);
        break;
    case COMPRESSION_SNAPPY:
        context->err = snappy_begin(context);
        break;
    case COMPRESSION_LZ4:
        context->err = lz4_begin(context);
        break;
    case COMPRESSION_ZSTD:
        context->err = zstd_begin(context);
        break;
    }
    return context->err;
}

static enum err plain_next(struct compress_context *context, struct slice *piece_out)
{
    return cursor_bytes(&context->in, cursor_left(&context->in), piece_out);
}

static enum err piece_make(struct compress_context *context, struct slice *piece_out)
{
    switch (context->kind) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_GZIP:
        return gzip_next(context, piece_out);
    case COMPRESSION_SNAPPY:
        return snappy_next(context, piece_out);
    case COMPRESSION_LZ4:
        return lz4_next(context, piece_out);
    case COMPRESSION_ZSTD:
        return zstd_next(context, piece_out);
    }
    return plain_next(context, piece_out);
}

enum err decompress_next(struct compress_context *context, struct slice *piece_out)
{
    struct slice piece = SLICE_EMPTY;

    *piece_out = SLICE_EMPTY;
    if (context->err != OK || context->at_end)
        return context->err;
    context->err = piece_make(context, &piece);
    if (context->err != OK)
        return context->err;
    if (piece.size_bytes == 0) {
        context->at_end = true;
        return OK;
    }
    WRITTEN_ELSEWHERE(piece.data, piece.size_bytes);
    if (piece.size_bytes > context->limit_bytes - context->produced_bytes) {
        context->err = ERR_TOO_LARGE;
        return context->err;
    }
    context->produced_bytes += piece.size_bytes;
    *piece_out = piece;
    return OK;
}

enum err decompress_bytes(struct compress_context *context, enum compression kind, struct slice in,
                          size_t limit_bytes, struct writer *out)
{
    struct slice piece;
    enum err err;

    if (kind == COMPRESSION_GZIP && gzip_decompress_whole(context, in, limit_bytes, out, &err))
        return err;
    TRY(decompress_begin(context, kind, in, limit_bytes));
    do {
        TRY(decompress_next(context, &piece));
        writer_bytes(out, piece.data, piece.size_bytes);
        TRY(writer_error(out));
    } while (piece.size_bytes > 0);
    return OK;
}
