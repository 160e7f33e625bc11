/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/compress_internal.h: what the codec files share. Each codec has a compress function, and
 * a begin/next pair for inflating; the context holds their working memory.
 */
#ifndef COMPRESS_COMPRESS_INTERNAL_H
#define COMPRESS_COMPRESS_INTERNAL_H

#include "base/cursor.h"
#include "base/sanitizer.h"
#include "compress/compress.h"

/* MemorySanitizer sees what our code writes; what libraries write it must be told. */
#if HAS_MEMORY_SANITIZER
#include <sanitizer/msan_interface.h>
#define WRITTEN_ELSEWHERE(at, size_bytes) __msan_unpoison((at), (size_bytes))
#else
#define WRITTEN_ELSEWHERE(at, size_bytes) ((void)(at), (void)(size_bytes))
#endif

/* Size of a piece where the codec does not dictate one. */
#define PIECE_BYTES (64 * KIB)

/* Memory that grows and is kept for the next use. */
struct scratch {
    uint8_t *data;
    size_t size_bytes;
};

struct gzip_state; /* gzip.c */
struct zstd_state; /* zstd.c */

struct lz4_read {
    size_t block_bytes_max;
    bool has_block_checksum;
};

struct compress_context {
    struct allocator *allocator;
    struct scratch piece; /* what decompress_next hands out */
    struct scratch spill; /* output whose worst case does not fit the writer */
    struct scratch lz4_fast;
    struct scratch lz4_high;
    struct gzip_state *gzip;
    struct zstd_state *zstd;

    /* the stream under way */
    enum compression kind;
    struct cursor in;
    size_t limit_bytes;
    size_t produced_bytes;
    enum err err;
    bool at_end;
    bool snappy_is_framed;
    struct lz4_read lz4;
};

/* At least size_bytes in `scratch`, content lost; NULL when out of memory. */
uint8_t *scratch_need(struct compress_context *context, struct scratch *scratch, size_t size_bytes);

/* Room for bound_bytes of output: in the writer when its limit allows, else in the spill buffer;
 * NULL: out of memory. output_end keeps the first used_bytes of it. */
uint8_t *output_begin(struct compress_context *context, struct writer *out, size_t bound_bytes);
MUST_USE enum err output_end(struct compress_context *context, struct writer *out, uint8_t *room,
                             size_t bound_bytes, size_t used_bytes);

/* For codec libraries that take an allocator: blocks remember their size. */
void *codec_allocate(void *allocator, size_t size_bytes);
void codec_release(void *allocator, void *pointer);

/* *_next: produce a piece into context->piece and view it; an empty piece and OK: the end. */
enum err gzip_compress(struct compress_context *context, int level, struct slice in,
                       struct writer *out);
enum err gzip_begin(struct compress_context *context);
enum err gzip_next(struct compress_context *context, struct slice *piece_out);
/* All at once, when the trailer tells a plausible size; false: use begin/next. */
bool gzip_decompress_whole(struct compress_context *context, struct slice in, size_t limit_bytes,
                           struct writer *out, enum err *err_out);
void gzip_release(struct compress_context *context);

enum err snappy_compress_framed(struct compress_context *context, struct slice in,
                                struct writer *out);
enum err snappy_begin(struct compress_context *context);
enum err snappy_next(struct compress_context *context, struct slice *piece_out);

enum err lz4_compress(struct compress_context *context, int level, struct slice in,
                      struct writer *out);
enum err lz4_begin(struct compress_context *context);
enum err lz4_next(struct compress_context *context, struct slice *piece_out);

enum err zstd_compress(struct compress_context *context, int level, struct slice in,
                       struct writer *out);
enum err zstd_begin(struct compress_context *context);
enum err zstd_next(struct compress_context *context, struct slice *piece_out);
void zstd_release(struct compress_context *context);

/* xxHash, 32 bits, as the LZ4 frame format uses it. */
uint32_t xxh32(struct slice in, uint32_t seed);

#endif
