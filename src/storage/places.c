/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/places.c: where batches lie that were seen on the way to others: a reader's next request begins behind what it
 * got, and is found without the index and without a look into the file. docs/design/storage.md, Places.
 * Invariants  1. a place is one of a segment's incarnation: what was written there stands (segment.c). 2. it is worth
 *             what the header in the file is worth: whoever reads there checks the batch as after a scan, and what is none there is
 *             forgotten: a header may have been read amiss once.
 */
#include "storage/storage_internal.h"

/* Places that one look notes: a step of the index in small batches holds some more, a reader of them comes again. */
#define PLACES_AT_ONCE 16

static struct batch_place *place_of(struct log_store *store, uint64_t incarnation, int64_t offset)
{
    uint64_t hash = ((uint64_t)offset ^ incarnation << 40) * 0x9E3779B97F4A7C15u;

    return store->places ? &store->places[hash >> (64 - STORE_PLACES_SHIFT)] : NULL;
}

const struct batch_place *place_find(struct log_store *store, uint64_t incarnation, int64_t offset)
{
    const struct batch_place *place = place_of(store, incarnation, offset);

    return place && place->incarnation == incarnation && place->offset == offset ? place : NULL;
}

void places_free(struct log_store *store)
{
    storage_free(store->places, STORE_PLACES * sizeof *store->places);
    store->places = NULL;
}

void place_forget(struct log_store *store, uint64_t incarnation, int64_t offset)
{
    struct batch_place *place = place_of(store, incarnation, offset);

    if (place && place->incarnation == incarnation && place->offset == offset)
        *place = (struct batch_place){0};
}

void places_note(struct log_store *store, uint64_t incarnation, struct slice bytes,
                 int64_t position_bytes, int64_t offset)
{
    struct batch_header header;
    size_t size_bytes;

    if (bytes.size_bytes < BATCH_HEADER_BYTES)
        return;
    if (!store->places)
        store->places = allocator_zeroed(&heap_allocator, STORE_PLACES * sizeof *store->places);
    if (!store->places)
        return; /* no memory: reads look again */
    for (int i = 0; i < PLACES_AT_ONCE; i++) {
        if (bytes.size_bytes < BATCH_HEADER_BYTES ||
            batch_peek(bytes, &size_bytes) == BATCH_FRAME_CORRUPT ||
            batch_header_read_prefix(slice_sub(bytes, 0, BATCH_HEADER_BYTES), &header) != OK ||
            batch_last_offset(&header) < offset)
            return;
        *place_of(store, incarnation, offset) =
            (struct batch_place){incarnation, offset, position_bytes, size_bytes};
        if (size_bytes >= bytes.size_bytes)
            return;
        bytes = slice_sub(bytes, size_bytes, SIZE_MAX);
        position_bytes += (int64_t)size_bytes;
        offset = batch_next_offset(&header);
    }
}
