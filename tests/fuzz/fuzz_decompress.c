/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes through every decoder of compress, whole and in pieces: they agree and keep the limit.
 * Input: one byte that names the codec, then the compressed bytes.
 */
#include "base/assert.h"
#include "compress/compress.h"

#define LIMIT_BYTES 200000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the pieces add up to; -1 on an error. */
static int64_t pieces_size(struct compress_context *context, enum compression kind, struct slice in)
{
    struct slice piece;
    int64_t size = 0;

    if (decompress_begin(context, kind, in, LIMIT_BYTES) != OK)
        return -1;
    do {
        if (decompress_next(context, &piece) != OK)
            return -1;
        size += (int64_t)piece.size_bytes;
        ASSERT(size <= LIMIT_BYTES);
    } while (piece.size_bytes > 0);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compress_context *context;
    struct writer out;
    enum compression kind;
    struct slice in;
    int64_t pieces;
    enum err err;

    if (size == 0 || compress_context_open(&context, &heap_allocator) != OK)
        return 0;
    kind = (enum compression)(data[0] % COMPRESSION_COUNT);
    in = slice_of(data + 1, size - 1);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    err = decompress_bytes(context, kind, in, LIMIT_BYTES, &out);
    ASSERT(out.size_bytes <= LIMIT_BYTES);
    pieces = pieces_size(context, kind, in);
    ASSERT((err == OK) == (pieces >= 0));
    ASSERT(err != OK || pieces == (int64_t)out.size_bytes);
    writer_release(&out);
    compress_context_release(&context);
    return 0;
}
