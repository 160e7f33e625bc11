/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/gzip.c: RFC 1952 members. libdeflate where the whole buffer is at hand, zlib where
 * output must come in pieces. Members may follow each other, as Java's GZIPInputStream reads them;
 * bytes behind the last member that begin no member are not looked at.
 */
#include "compress/compress_internal.h"

#include "base/assert.h"

#include <libdeflate.h>
#include <zlib.h>

/* Deflate cannot do better than this; a trailer that claims more lies. */
#define DEFLATE_RATIO_MAX 1032
#define GZIP_MEMBER_BYTES_MIN 18
#define GZIP_LEVEL_DEFAULT 6
/* Up to here a stream is inflated at once by libdeflate, which takes half the time. */
#define WHOLE_BYTES_MAX MIB

struct gzip_state {
    struct libdeflate_compressor *compressor;
    int compressor_level;
    struct libdeflate_decompressor *decompressor;
    z_stream stream;
    bool stream_is_open;
    bool in_member;
    size_t whole_bytes; /* of a stream that lies inflated in context->piece; 0: none */
};

static struct gzip_state *gzip_state(struct compress_context *context)
{
    if (!context->gzip)
        context->gzip = ALLOCATOR_NEW(context->allocator, struct gzip_state);
    return context->gzip;
}

void gzip_release(struct compress_context *context)
{
    struct gzip_state *gzip = context->gzip;

    if (!gzip)
        return;
    if (gzip->compressor)
        libdeflate_free_compressor(gzip->compressor);
    if (gzip->decompressor)
        libdeflate_free_decompressor(gzip->decompressor);
    if (gzip->stream_is_open)
        inflateEnd(&gzip->stream);
    ALLOCATOR_DELETE(context->allocator, gzip);
    context->gzip = NULL;
}

enum err gzip_compress(struct compress_context *context, int level, struct slice in,
                       struct writer *out)
{
    struct gzip_state *gzip = gzip_state(context);
    size_t bound, used;
    uint8_t *room;

    if (!gzip)
        return ERR_NO_MEMORY;
    if (level <= 0)
        level = GZIP_LEVEL_DEFAULT;
    if (gzip->compressor && gzip->compressor_level != level) {
        libdeflate_free_compressor(gzip->compressor);
        gzip->compressor = NULL;
    }
    if (!gzip->compressor) {
        gzip->compressor = libdeflate_alloc_compressor(level);
        gzip->compressor_level = level;
    }
    if (!gzip->compressor)
        return ERR_NO_MEMORY;
    bound = libdeflate_gzip_compress_bound(gzip->compressor, in.size_bytes);
    room = output_begin(context, out, bound);
    if (!room)
        return ERR_NO_MEMORY;
    used = libdeflate_gzip_compress(gzip->compressor, in.data, in.size_bytes, room, bound);
    ASSERT(used > 0); /* the bound is the library's own promise */
    return output_end(context, out, room, bound, used);
}

/* The size that the trailer tells, when it can be true; else 0. */
static size_t told_size(struct slice in)
{
    const uint8_t *tail;
    size_t size = 0;

    if (in.size_bytes < GZIP_MEMBER_BYTES_MIN)
        return 0;
    tail = in.data + in.size_bytes - 4;
    size = (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    return size / DEFLATE_RATIO_MAX > in.size_bytes ? 0 : size;
}

/* Exactly one member of exactly this size; false: several members, trailing bytes or broken. */
static bool member_inflate(struct gzip_state *gzip, struct slice in, uint8_t *out, size_t size)
{
    size_t consumed = 0;

    if (!gzip->decompressor)
        gzip->decompressor = libdeflate_alloc_decompressor();
    if (!gzip->decompressor)
        return false;
    return libdeflate_gzip_decompress_ex(gzip->decompressor, in.data, in.size_bytes, out, size,
                                         &consumed, NULL) == LIBDEFLATE_SUCCESS &&
           consumed == in.size_bytes;
}

bool gzip_decompress_whole(struct compress_context *context, struct slice in, size_t limit_bytes,
                           struct writer *out, enum err *err_out)
{
    struct gzip_state *gzip = gzip_state(context);
    size_t size = told_size(in), before = out->size_bytes;
    uint8_t *room;

    if (!gzip || size == 0 || size > limit_bytes)
        return false;
    room = output_begin(context, out, size);
    if (!room)
        return false;
    if (!member_inflate(gzip, in, room, size)) {
        if (room != context->spill.data)
            out->size_bytes = before;
        return false;
    }
    *err_out = output_end(context, out, room, size, size);
    return true;
}

static voidpf gzip_allocate(voidpf allocator, uInt count, uInt size)
{
    return codec_allocate(allocator, (size_t)count * size);
}

static void gzip_free(voidpf allocator, voidpf pointer)
{
    codec_release(allocator, pointer);
}

static bool whole_begin(struct compress_context *context, struct gzip_state *gzip)
{
    struct slice in = slice_of(context->in.at, cursor_left(&context->in));
    size_t size = told_size(in);
    uint8_t *room;

    gzip->whole_bytes = 0;
    if (size == 0 || size > MIN(context->limit_bytes, WHOLE_BYTES_MAX))
        return false;
    room = scratch_need(context, &context->piece, MAX(size, PIECE_BYTES));
    if (!room || !member_inflate(gzip, in, room, size))
        return false;
    gzip->whole_bytes = size;
    gzip->in_member = false;
    return true;
}

enum err gzip_begin(struct compress_context *context)
{
    struct gzip_state *gzip = gzip_state(context);
    int result;

    if (!gzip)
        return ERR_NO_MEMORY;
    if (whole_begin(context, gzip))
        return OK;
    if (!scratch_need(context, &context->piece, PIECE_BYTES))
        return ERR_NO_MEMORY;
    if (gzip->stream_is_open) {
        result = inflateReset2(&gzip->stream, 15 + 16);
    } else {
        gzip->stream.zalloc = gzip_allocate;
        gzip->stream.zfree = gzip_free;
        gzip->stream.opaque = context->allocator;
        result = inflateInit2(&gzip->stream, 15 + 16); /* 16: a gzip header, not a zlib one */
        gzip->stream_is_open = result == Z_OK;
    }
    gzip->in_member = true;
    return result == Z_OK ? OK : ERR_NO_MEMORY;
}

/* Behind a member: does another one begin? */
static bool gzip_begins(const struct cursor *in)
{
    return cursor_left(in) >= GZIP_MEMBER_BYTES_MIN && in->at[0] == 0x1f && in->at[1] == 0x8b &&
           in->at[2] == 8;
}

static enum err gzip_step(struct compress_context *context, struct gzip_state *gzip)
{
    z_stream *stream = &gzip->stream;
    size_t given = MIN(cursor_left(&context->in), (size_t)1 << 30);
    int result;

    stream->next_in = (Bytef *)(uintptr_t)context->in.at; /* zlib does not write through it */
    stream->avail_in = (uInt)given;
    result = inflate(stream, Z_NO_FLUSH);
    context->in.at += given - stream->avail_in;
    if (result == Z_STREAM_END) {
        gzip->in_member = gzip_begins(&context->in);
        if (gzip->in_member && inflateReset(stream) != Z_OK)
            return ERR_DECOMPRESS;
        return OK;
    }
    if (result == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    if (result != Z_OK)
        return ERR_DECOMPRESS; /* Z_BUF_ERROR too: the input ended inside a member */
    return OK;
}

enum err gzip_next(struct compress_context *context, struct slice *piece_out)
{
    struct gzip_state *gzip = context->gzip;
    uint8_t *piece = context->piece.data;

    if (gzip->whole_bytes > 0) {
        *piece_out = slice_of(piece, gzip->whole_bytes);
        gzip->whole_bytes = 0;
        return OK;
    }
    if (!gzip->in_member)
        return OK;
    gzip->stream.next_out = piece;
    gzip->stream.avail_out = PIECE_BYTES;
    while (gzip->in_member && gzip->stream.avail_out == PIECE_BYTES)
        TRY(gzip_step(context, gzip));
    *piece_out = slice_of(piece, PIECE_BYTES - gzip->stream.avail_out);
    return OK;
}

uint32_t crc32_ieee(struct slice in)
{
    return libdeflate_crc32(0, in.data, in.size_bytes);
}
