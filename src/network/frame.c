/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/frame.c: from received bytes to frames.
 *
 * Bytes come into the connection's small buffer. A frame that is whole in it is copied out into
 * memory of its exact size. A larger one gets memory of its own only when the buffer is full of
 * it, and more only when that is full: the memory follows the bytes, never the claim.
 *
 *   buffer [length|bytes… ]  ──full──►  frame 64 KiB … doubling … length, received into directly
 *
 * Peers' bytes decide lengths; a length is checked before it is used for anything.
 */
#include "network/network_internal.h"

#include "base/memory_reserve.h"

#define LENGTH_BYTES 4

/* ---- memory of one frame: header and bytes in one block ---- */

/* Small frames have blocks of one size, which are used again: a request is a few hundred bytes, and a heap takes
 * its time for more than a thousand. */
#define SMALL_BLOCK_BYTES (sizeof(struct frame) + CONNECTION_BUFFER_BYTES)
#if defined(__SANITIZE_ADDRESS__)
#define SPARE_FRAMES_MAX 0 /* so that a use after the release is seen */
#else
#define SPARE_FRAMES_MAX 32
#endif

static size_t block_bytes(size_t capacity_bytes)
{
    return MAX(sizeof(struct frame) + capacity_bytes, SMALL_BLOCK_BYTES);
}

static struct frame *block_take(struct network *network, size_t capacity_bytes)
{
    struct frame *spare = network->spare_frames;

    if (capacity_bytes > CONNECTION_BUFFER_BYTES || !spare)
        return heap_allocator.allocate(&heap_allocator, block_bytes(capacity_bytes));
    network->spare_frames = (struct frame *)(void *)spare->data;
    network->spare_frame_count--;
    return spare;
}

static void block_give_back(struct network *network, struct frame *frame, size_t capacity_bytes)
{
    if (capacity_bytes > CONNECTION_BUFFER_BYTES ||
        network->spare_frame_count >= SPARE_FRAMES_MAX) {
        heap_allocator.release(&heap_allocator, frame, block_bytes(capacity_bytes));
        return;
    }
    frame->data = (uint8_t *)(void *)network->spare_frames; /* the next one */
    network->spare_frames = frame;
    network->spare_frame_count++;
}

void spare_frames_free(struct network *network)
{
    while (network->spare_frames) {
        struct frame *frame = block_take(network, 0);

        heap_allocator.release(&heap_allocator, frame, SMALL_BLOCK_BYTES);
    }
}

static struct frame *frame_allocate(struct connection *connection, size_t capacity_bytes)
{
    struct frame *frame;

    if (!memory_take(connection, capacity_bytes))
        return NULL;
    /* A broken reserve is not for peers: it would not last. */
    frame = memory_reserve_is_whole() ? block_take(connection->network, capacity_bytes) : NULL;
    if (!frame) {
        memory_give_back(connection->network, capacity_bytes);
        connection_close(connection, NETWORK_REASON_ERROR, false, "no memory for a frame");
        return NULL;
    }
    *frame = (struct frame){.data = (uint8_t *)(frame + 1),
                            .network = connection->network,
                            .capacity_bytes = capacity_bytes};
    return frame;
}

static void frame_free(struct frame *frame)
{
    struct network *network = frame->network;
    size_t capacity_bytes = frame->capacity_bytes;

    block_give_back(network, frame, capacity_bytes);
    memory_give_back(network, capacity_bytes);
}

static void frame_grow(struct connection *connection)
{
    struct frame *frame = connection->frame;
    size_t old_bytes = frame->capacity_bytes;
    size_t new_bytes = MIN(connection->frame_length, 2 * old_bytes);

    ASSERT(!connection->is_receiving);
    ASSERT(new_bytes > old_bytes);
    if (!memory_take(connection, new_bytes - old_bytes))
        return;
    frame = memory_reserve_is_whole()
                ? heap_allocator.resize(&heap_allocator, frame, block_bytes(old_bytes),
                                        block_bytes(new_bytes))
                : NULL;
    if (!frame) {
        memory_give_back(connection->network, new_bytes - old_bytes);
        connection_close(connection, NETWORK_REASON_ERROR, false, "no memory for a frame");
        return;
    }
    frame->data = (uint8_t *)(frame + 1);
    frame->capacity_bytes = new_bytes;
    connection->frame = frame;
}

void frame_release(struct frame **frame)
{
    struct frame *gone = *frame;

    *frame = NULL;
    if (!gone)
        return;
    ASSERT(gone->network->frames_whole > 0);
    gone->network->frames_whole--;
    frame_free(gone);
}

/* ---- what has come ---- */

static bool frame_is_whole(const struct connection *connection)
{
    return connection->frame && connection->frame_filled == connection->frame_length;
}

void frame_progress(struct connection *connection)
{
    struct frame *frame = connection->frame;

    if (connection->frame_filled < frame->capacity_bytes)
        return;
    if (connection->frame_filled < connection->frame_length) {
        frame_grow(connection);
        return;
    }
    frame->size_bytes = connection->frame_length;
    connection->frame_length_last = connection->frame_length;
    memory_frame_whole(connection);
}

void frame_drop(struct connection *connection)
{
    ASSERT(!connection->is_receiving);
    connection->buffer_begin = connection->buffer_end = 0;
    if (!connection->frame)
        return;
    if (frame_is_whole(connection)) {
        frame_release(&connection->frame);
        return;
    }
    if (connection->network->over == connection)
        connection->network->over = NULL;
    frame_free(TAKE(connection->frame));
}

static int64_t length_read(const struct connection *connection)
{
    const uint8_t *at = connection->buffer + connection->buffer_begin;

    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

static size_t buffer_available(const struct connection *connection)
{
    return (size_t)connection->buffer_end - connection->buffer_begin;
}

bool frame_is_waiting(const struct connection *connection)
{
    size_t available = buffer_available(connection);
    int64_t length;

    if (connection->frame)
        return frame_is_whole(connection);
    if (available < LENGTH_BYTES)
        return false;
    length = length_read(connection);
    return length >= 0 && (uint64_t)length <= available - LENGTH_BYTES;
}

/* ---- giving ---- */

static void frame_give(struct connection *connection, struct frame *frame)
{
    struct network *network = connection->network;

    network->counts.frames_received++;
    network->handler->frame(network->handler, connection, frame);
}

/* The buffer is full of the beginning of one frame. */
static void frame_begin(struct connection *connection, size_t length)
{
    size_t start =
        MIN(MAX(connection->frame_length_last, FRAME_START_BYTES), FRAME_START_BYTES_MAX);
    size_t have = buffer_available(connection) - LENGTH_BYTES;
    struct frame *frame = frame_allocate(connection, MIN(length, start));

    if (!frame)
        return;
    ASSERT(!connection->is_receiving); /* there is no room to receive into */
    ASSERT(have < frame->capacity_bytes);
    memcpy(frame->data, connection->buffer + LENGTH_BYTES, have);
    connection->buffer_begin = connection->buffer_end = 0;
    connection->frame = frame;
    connection->frame_filled = have;
    connection->frame_length = length;
}

static bool frame_from_buffer(struct connection *connection, size_t length)
{
    struct frame *frame = frame_allocate(connection, length);

    if (!frame)
        return false;
    if (length > 0)
        memcpy(frame->data, connection->buffer + connection->buffer_begin + LENGTH_BYTES, length);
    connection->buffer_begin = (uint16_t)(connection->buffer_begin + LENGTH_BYTES + length);
    frame->size_bytes = length;
    memory_frame_whole(connection);
    frame_give(connection, frame);
    return true;
}

/* True: one was given. */
static bool frame_step(struct connection *connection)
{
    size_t available = buffer_available(connection);
    int64_t length;

    if (connection->frame) {
        if (!frame_is_whole(connection))
            return false;
        frame_give(connection, TAKE(connection->frame));
        return true;
    }
    if (available < LENGTH_BYTES)
        return false;
    length = length_read(connection);
    if (length < 0 || length > connection->network->options.frame_bytes_each_max) {
        char why[64];

        fmt(why, sizeof(why), "length %lld of a frame", (long long)length);
        connection_close(connection, NETWORK_REASON_LENGTH, false, why);
        return false;
    }
    if ((uint64_t)length <= available - LENGTH_BYTES)
        return frame_from_buffer(connection, (size_t)length);
    if (available == CONNECTION_BUFFER_BYTES)
        frame_begin(connection, (size_t)length);
    return false;
}

void frame_pump(struct connection *connection)
{
    while (connection->state == CONNECTION_OPEN && connection->pauses == 0 &&
           !connection_waits(connection) && !connection_output_is_over(connection)) {
        if (!frame_step(connection))
            break;
    }
    if (connection->is_receiving || connection->buffer_begin == 0)
        return;
    memmove(connection->buffer, connection->buffer + connection->buffer_begin,
            buffer_available(connection));
    connection->buffer_end = (uint16_t)buffer_available(connection);
    connection->buffer_begin = 0;
}
