/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for floor.c that hold what producers send: records of a batch, as they are or compressed as librdkafka
 * compresses them. Of compressed ones there are several, so that no branch of a
 * decompressor is learned by heart. */
#ifndef BENCH_FLOOR_FRAMES_H
#define BENCH_FLOOR_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum floor_codec { FLOOR_NONE, FLOOR_LZ4, FLOOR_ZSTD };

struct floor_frames {
    enum floor_codec codec;
    uint32_t count;
    size_t size; /* of each; a compressed one begins with how much of it is used */
    uint8_t *bytes;
    size_t value_bytes; /* that the records of one frame hold; an average */
};

/* Frames whose records take `plain_bytes` before compression, each with a value of `value_bytes`. A codec that is
 * not known, or values larger than a frame, end the program. */
void floor_frames_make(struct floor_frames *frames, const char *codec, size_t plain_bytes,
                       size_t value_bytes);

/* What the records of a frame are kept in: their bytes as they were sent. */
const uint8_t *floor_frame_stored(const struct floor_frames *frames, const uint8_t *frame,
                                  size_t *size_out);

struct floor_inflate; /* a decompressor and room for one frame; one thread's */
struct floor_inflate *floor_inflate_new(const struct floor_frames *frames, size_t plain_bytes);
/* Inflates what a frame stores; the program ends if it is broken. */
void floor_inflate(struct floor_inflate *inflate, const uint8_t *stored, size_t size);

#endif
