/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/zstd.c: Zstandard frames without content size and checksum, as Kafka writes them.
 * Reading takes windows up to 128 MiB (what Kafka's reader takes); a decoder that grew for one is
 * given back when its stream ends, so that a peer cannot pin the memory.
 */
#include "compress/compress_internal.h"

#include "base/assert.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG_MAX 27
#define DECODER_BYTES_KEPT (4 * MIB)
#define ENCODER_BYTES_KEPT (16 * MIB)

struct zstd_state {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    size_t last; /* result of the last step: 0 between frames */
};

static struct zstd_state *zstd_state(struct compress_context *context)
{
    if (!context->zstd)
        context->zstd = ALLOCATOR_NEW(context->allocator, struct zstd_state);
    return context->zstd;
}

static ZSTD_customMem zstd_memory(struct compress_context *context)
{
    return (ZSTD_customMem){codec_allocate, codec_release, context->allocator};
}

void zstd_release(struct compress_context *context)
{
    if (!context->zstd)
        return;
    ZSTD_freeCCtx(context->zstd->compressor);
    ZSTD_freeDCtx(context->zstd->decompressor);
    ALLOCATOR_DELETE(context->allocator, context->zstd);
    context->zstd = NULL;
}

static enum err zstd_err(size_t result)
{
    return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? ERR_NO_MEMORY
                                                                     : ERR_DECOMPRESS;
}

enum err zstd_compress(struct compress_context *context, int level, struct slice in,
                       struct writer *out)
{
    struct zstd_state *zstd = zstd_state(context);
    size_t bound = ZSTD_compressBound(in.size_bytes), used;
    uint8_t *room;

    if (!zstd)
        return ERR_NO_MEMORY;
    if (!zstd->compressor)
        zstd->compressor = ZSTD_createCCtx_advanced(zstd_memory(context));
    if (!zstd->compressor ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd->compressor, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(zstd->compressor, ZSTD_c_contentSizeFlag, 0)))
        return ERR_NO_MEMORY;
    room = output_begin(context, out, bound);
    if (!room)
        return ERR_NO_MEMORY;
    used = ZSTD_compress2(zstd->compressor, room, bound, in.data, in.size_bytes);
    if (ZSTD_isError(used)) {
        /* The bound is the library's promise: only its memory can have failed. */
        enum err err = output_end(context, out, room, bound, 0);

        return err != OK ? err : ERR_NO_MEMORY;
    }
    if (ZSTD_sizeof_CCtx(zstd->compressor) > ENCODER_BYTES_KEPT) {
        ZSTD_freeCCtx(zstd->compressor);
        zstd->compressor = NULL;
    }
    return output_end(context, out, room, bound, used);
}

/* Memory that a wide window took is not kept. */
static void decoder_trim(struct zstd_state *zstd)
{
    if (zstd->decompressor && ZSTD_sizeof_DCtx(zstd->decompressor) > DECODER_BYTES_KEPT) {
        ZSTD_freeDCtx(zstd->decompressor);
        zstd->decompressor = NULL;
    }
}

enum err zstd_begin(struct compress_context *context)
{
    struct zstd_state *zstd = zstd_state(context);

    if (!zstd || !scratch_need(context, &context->piece, PIECE_BYTES))
        return ERR_NO_MEMORY;
    if (cursor_left(&context->in) == 0)
        return ERR_DECOMPRESS;
    decoder_trim(zstd); /* of a stream that was not read to its end */
    if (!zstd->decompressor) {
        zstd->decompressor = ZSTD_createDCtx_advanced(zstd_memory(context));
        if (!zstd->decompressor)
            return ERR_NO_MEMORY;
    }
    ZSTD_DCtx_reset(zstd->decompressor, ZSTD_reset_session_only);
    if (ZSTD_isError(
            ZSTD_DCtx_setParameter(zstd->decompressor, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return ERR_UNSUPPORTED;
    zstd->last = 1;
    return OK;
}

enum err zstd_next(struct compress_context *context, struct slice *piece_out)
{
    struct zstd_state *zstd = context->zstd;
    ZSTD_outBuffer output = {context->piece.data, PIECE_BYTES, 0};
    ZSTD_inBuffer input = {context->in.at, cursor_left(&context->in), 0};
    enum err err = OK;

    while (output.pos == 0 && zstd->decompressor) {
        size_t from = input.pos;

        if (zstd->last == 0 && input.pos == input.size)
            break; /* whole frames and nothing behind them */
        zstd->last = ZSTD_decompressStream(zstd->decompressor, &output, &input);
        if (ZSTD_isError(zstd->last))
            err = zstd_err(zstd->last);
        else if (output.pos == 0 && input.pos == from)
            err = ERR_DECOMPRESS; /* the input ends inside a frame */
        if (err != OK)
            break;
    }
    context->in.at += input.pos;
    if (err != OK || output.pos == 0)
        decoder_trim(zstd);
    *piece_out = slice_of(context->piece.data, output.pos);
    return err;
}
