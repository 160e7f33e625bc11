/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/frame.c: from received bytes to frames.
 *
 * Bytes come into the buffer of an intake, which a connection has as long as something is in it. A frame
 * that came alone is given to the handler in it, without a copy; others that are whole in it are copied
 * out. A larger one gets memory of its own only when the buffer is full of it, and more only when
 * that is full: the memory follows the bytes, never the claim.
 *
 *   intake [length|bytes… ]  ──full──►  frame 64 KiB … doubling … length, received into directly
 *
 * Peers' bytes decide lengths; a length is checked before it is used for anything.
 */
#include "network/network_internal.h"

#include "base/memory_reserve.h"
#include "base/sanitizer.h"

/* ---- intakes, which are used again: a heap takes its time for more than a thousand bytes ---- */

#if HAS_ADDRESS_SANITIZER
#define SPARE_INTAKES_MAX 0 /* so that a use after the release is seen */
#else
#define SPARE_INTAKES_MAX 96 /* what one poll may bring, and the frames of some */
#endif

struct intake *intake_take(struct network *network)
{
    struct intake *intake = network->spare_intakes;

    if (intake) {
        network->spare_intakes = intake->next;
        network->spare_intake_count--;
        return intake;
    }
    /* A broken reserve is not for peers: it would not last. */
    intake = memory_reserve_is_whole()
                 ? heap_allocator.allocate(&heap_allocator, sizeof(struct intake))
                 : NULL;
    if (!intake)
        return NULL;
    memset(intake, 0, offsetof(struct intake, buffer));
    intake->receive.kind = OS_OP_RECEIVE;
    intake->receive.done = connection_received;
    list_init(&intake->waiting_node);
    return intake;
}

void intake_give_back(struct network *network, struct intake *intake)
{
    ASSERT(list_is_empty(&intake->waiting_node) && intake->granted_bytes == 0 && !intake->large);
    if (network->spare_intake_count >= SPARE_INTAKES_MAX) {
        ALLOCATOR_DELETE(&heap_allocator, intake);
        return;
    }
    intake->begin = intake->end = 0;
    intake->next = network->spare_intakes;
    network->spare_intakes = intake;
    network->spare_intake_count++;
}

void spare_intakes_free(struct network *network)
{
    while (network->spare_intakes)
        ALLOCATOR_DELETE(&heap_allocator, intake_take(network));
}

/* ---- memory of frames ---- */

/* What counts for a frame: a small one holds its intake, be it empty. */
static size_t charged_bytes(size_t capacity_bytes)
{
    return capacity_bytes <= SMALL_FRAME_BYTES ? sizeof(struct intake) : capacity_bytes;
}

static void no_memory(struct connection *connection, size_t taken_bytes)
{
    memory_give_back(connection->network, taken_bytes);
    connection_close(connection, NETWORK_REASON_ERROR, false, "no memory for a frame");
}

/* Header and bytes of a large one in one block. */
static struct frame *large_allocate(struct connection *connection, size_t capacity_bytes)
{
    struct frame *frame;

    ASSERT(capacity_bytes > SMALL_FRAME_BYTES);
    if (!memory_take(connection, capacity_bytes))
        return NULL;
    frame = memory_reserve_is_whole()
                ? heap_allocator.allocate(&heap_allocator, sizeof(struct frame) + capacity_bytes)
                : NULL;
    if (!frame) {
        no_memory(connection, capacity_bytes);
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

    if (capacity_bytes <= SMALL_FRAME_BYTES)
        intake_give_back(network, CONTAINER_OF(frame, struct intake, frame));
    else
        heap_allocator.release(&heap_allocator, frame, sizeof(struct frame) + capacity_bytes);
    memory_give_back(network, charged_bytes(capacity_bytes));
}

static void large_grow(struct connection *connection)
{
    struct intake *intake = connection->intake;
    struct frame *frame = intake->large;
    size_t old_bytes = frame->capacity_bytes;
    size_t new_bytes = MIN(intake->large_length, 2 * old_bytes);

    ASSERT(!connection->is_receiving);
    ASSERT(new_bytes > old_bytes);
    if (!memory_take(connection, new_bytes - old_bytes))
        return;
    frame = memory_reserve_is_whole()
                ? heap_allocator.resize(&heap_allocator, frame, sizeof(struct frame) + old_bytes,
                                        sizeof(struct frame) + new_bytes)
                : NULL;
    if (!frame) {
        no_memory(connection, new_bytes - old_bytes);
        return;
    }
    frame->data = (uint8_t *)(frame + 1);
    frame->capacity_bytes = new_bytes;
    intake->large = frame;
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

static bool large_is_whole(const struct intake *intake)
{
    return intake->large && intake->large_filled == intake->large_length;
}

void frame_progress(struct connection *connection)
{
    struct intake *intake = connection->intake;
    struct frame *frame = intake->large;

    if (intake->large_filled < frame->capacity_bytes)
        return;
    if (intake->large_filled < intake->large_length) {
        large_grow(connection);
        return;
    }
    frame->size_bytes = intake->large_length;
    connection->large_kib_last =
        (uint16_t)(MIN(intake->large_length + KIB - 1, (size_t)FRAME_START_BYTES_MAX) / KIB);
    memory_frame_whole(connection);
}

void frame_drop(struct connection *connection)
{
    struct intake *intake = TAKE(connection->intake);

    ASSERT(!connection->is_receiving);
    if (!intake)
        return;
    if (large_is_whole(intake)) {
        frame_release(&intake->large);
    } else if (intake->large) {
        if (connection->network->over == connection)
            connection->network->over = NULL;
        frame_free(TAKE(intake->large));
    }
    intake_give_back(connection->network, intake);
}

static int64_t length_read(const struct intake *intake)
{
    const uint8_t *at = intake->buffer + intake->begin;

    return (int32_t)((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

static size_t buffer_available(const struct intake *intake)
{
    return (size_t)intake->end - intake->begin;
}

bool frame_is_waiting(const struct connection *connection)
{
    const struct intake *intake = connection->intake;
    size_t available;
    int64_t length;

    if (!intake)
        return false;
    if (intake->large)
        return large_is_whole(intake);
    available = buffer_available(intake);
    if (available < FRAME_LENGTH_BYTES)
        return false;
    length = length_read(intake);
    return length >= 0 && (uint64_t)length <= available - FRAME_LENGTH_BYTES;
}

/* ---- giving ---- */

static void frame_give(struct connection *connection, struct frame *frame)
{
    struct network *network = connection->network;

    network->counts.frames_received++;
    network->handler->frame(network->handler, connection, frame);
}

/* The buffer is full of the beginning of one frame. */
static void large_begin(struct connection *connection, size_t length)
{
    struct intake *intake = connection->intake;
    size_t start = MAX((size_t)connection->large_kib_last * KIB, (size_t)FRAME_START_BYTES);
    size_t have = buffer_available(intake) - FRAME_LENGTH_BYTES;
    struct frame *frame = large_allocate(connection, MIN(length, start));

    if (!frame)
        return;
    ASSERT(!connection->is_receiving &&
           !connection->is_awaiting); /* there was no room to receive into */
    ASSERT(have < frame->capacity_bytes);
    memcpy(frame->data, intake->buffer + FRAME_LENGTH_BYTES, have);
    intake->begin = intake->end = 0;
    intake->large = frame;
    intake->large_filled = have;
    intake->large_length = length;
}

/* The intake whose frame is the one at the beginning of the connection's: a new one, or that one if there is nothing
 * else in it. NULL: no memory. */
static struct intake *small_take(struct connection *connection, size_t length)
{
    struct intake *intake = connection->intake, *copy;
    size_t whole_bytes = FRAME_LENGTH_BYTES + length;

    if (!memory_reserve_is_whole())
        return NULL;
    if (intake->begin == 0 && intake->end == whole_bytes && !connection->is_receiving)
        return TAKE(connection->intake);
    copy = intake_take(connection->network);
    if (!copy)
        return NULL;
    memcpy(copy->buffer, intake->buffer + intake->begin, whole_bytes);
    intake->begin = (uint16_t)(intake->begin + whole_bytes);
    return copy;
}

static bool small_give(struct connection *connection, size_t length)
{
    struct intake *intake;

    if (!memory_take(connection, charged_bytes(length)))
        return false;
    intake = small_take(connection, length);
    if (!intake) {
        no_memory(connection, charged_bytes(length));
        return false;
    }
    intake->frame = (struct frame){.data = intake->buffer + FRAME_LENGTH_BYTES,
                                   .size_bytes = length,
                                   .network = connection->network,
                                   .capacity_bytes = length};
    memory_frame_whole(connection);
    frame_give(connection, &intake->frame);
    return true;
}

/* True: one was given. */
static bool frame_step(struct connection *connection)
{
    struct intake *intake = connection->intake;
    size_t available;
    int64_t length;

    if (intake->large) {
        if (!large_is_whole(intake))
            return false;
        frame_give(connection, TAKE(intake->large));
        return true;
    }
    available = buffer_available(intake);
    if (available < FRAME_LENGTH_BYTES)
        return false;
    length = length_read(intake);
    if (length < 0 || length > connection->network->options.frame_bytes_each_max) {
        char why[64];

        fmt(why, sizeof(why), "length %lld of a frame", (long long)length);
        connection_close(connection, NETWORK_REASON_LENGTH, false, why);
        return false;
    }
    if ((uint64_t)length <= available - FRAME_LENGTH_BYTES)
        return small_give(connection, (size_t)length);
    if (available == INTAKE_BUFFER_BYTES)
        large_begin(connection, (size_t)length);
    return false;
}

void frame_pump(struct connection *connection)
{
    struct intake *intake;

    while (connection->intake && connection->state == CONNECTION_OPEN && connection->pauses == 0 &&
           !connection_waits(connection) && !connection_output_is_over(connection)) {
        if (!frame_step(connection))
            break;
    }
    intake = connection->intake;
    if (!intake || connection->is_receiving)
        return;
    if (intake->begin == intake->end && !intake->large) {
        intake_give_back(connection->network, TAKE(connection->intake));
        return;
    }
    if (intake->begin == 0)
        return;
    memmove(intake->buffer, intake->buffer + intake->begin, buffer_available(intake));
    intake->end = (uint16_t)buffer_available(intake);
    intake->begin = 0;
}
