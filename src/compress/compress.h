/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compress/compress.h: one interface over gzip, snappy, lz4 and zstd in the framings that Kafka's
 * record batches use. docs/design/compress.md, ADR 0003.
 *
 * Every output is bounded by the caller; every input is untrusted. A context holds the codecs'
 * working memory and is reused: one per shard or job, used by one thread at a time.
 */
#ifndef COMPRESS_COMPRESS_H
#define COMPRESS_COMPRESS_H

#include "base/allocator.h"
#include "base/slice.h"
#include "base/writer.h"

enum compression {
    COMPRESSION_NONE = 0,
    COMPRESSION_GZIP = 1,
    COMPRESSION_SNAPPY = 2,
    COMPRESSION_LZ4 = 3,
    COMPRESSION_ZSTD = 4,
};
#define COMPRESSION_COUNT 5

/* "none", "gzip", "snappy", "lz4", "zstd". */
const char *compression_name(enum compression kind);
/* Kafka's limits of <codec>.level; none and snappy have no level: all three are 0. */
int compression_level_min(enum compression kind);
int compression_level_max(enum compression kind);
int compression_level_default(enum compression kind);

struct compress_context;
/* Allocates a few hundred bytes; codec memory comes at first use. */
MUST_USE enum err compress_context_open(struct compress_context **out, struct allocator *allocator);
void compress_context_release(struct compress_context **context); /* NULL-safe; sets NULL */

/* Appends `in`, compressed. The level is clipped into the codec's range; for none the bytes are
 * copied. ERR_NO_MEMORY, or the writer's own limit. */
MUST_USE enum err compress_bytes(struct compress_context *context, enum compression kind, int level,
                                 struct slice in, struct writer *out);
/* Appends the inflated bytes, at most limit_bytes of them. ERR_DECOMPRESS: broken input;
 * ERR_TOO_LARGE: more than the limit; ERR_NO_MEMORY. After an error `out` holds what came before.
 */
MUST_USE enum err decompress_bytes(struct compress_context *context, enum compression kind,
                                   struct slice in, size_t limit_bytes, struct writer *out);

/* The same in pieces, so that a bomb costs no memory. One at a time per context; a new begin ends
 * the old one. `in` must stay as it is until the end. */
MUST_USE enum err decompress_begin(struct compress_context *context, enum compression kind,
                                   struct slice in, size_t limit_bytes);
/* The next piece, valid until the next call on the context; empty at the end. Errors as above;
 * the end and an error repeat. */
MUST_USE enum err decompress_next(struct compress_context *context, struct slice *piece_out);

/* CRC-32 (IEEE) as message formats 0 and 1 use it. */
uint32_t crc32_ieee(struct slice in);

#endif
