/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metadata records as a peer or a disk may hold them: a two-byte length before each. What decodes is
 * replayed; the state must stay whole whatever comes, and equal to one made from its snapshot.
 */
#include "base/assert.h"
#include "metadata/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void snapshot_agrees(const struct metadata_state *state, struct arena *arena)
{
    const struct metadata_image *image = metadata_state_view(state);
    struct metadata_record_list list;
    struct metadata_state *copy;

    /* Without a level the snapshot cannot say everything. */
    if (metadata_image_version(image) < METADATA_VERSION_LATEST ||
        metadata_image_level(image, FEATURE_ELR_VERSION) == 0)
        return;
    ASSERT(metadata_image_to_records(image, arena, &list) == OK);
    ASSERT(metadata_state_create(&heap_allocator, NULL, &copy) == OK);
    for (size_t i = 0; i < list.count; i++)
        ASSERT(metadata_state_replay(copy, &list.items[i], 0, NULL) == OK);
    ASSERT(metadata_image_hash(metadata_state_view(copy)) == metadata_image_hash(image));
    metadata_state_release(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metadata_image *image = NULL;
    struct metadata_state *state;
    struct arena arena;
    size_t at = 0;

    arena_init(&arena, &heap_allocator, 64 * MIB);
    ASSERT(metadata_state_create(&heap_allocator, NULL, &state) == OK);
    for (int64_t offset = 0; size - at > 2; offset++) {
        size_t length = (size_t)data[at] << 8 | data[at + 1];
        struct metadata_record record;
        struct why why;

        at += 2;
        length = MIN(length, size - at);
        if (metadata_record_decode(slice_of(data + at, length), &arena, &record, &why) == OK)
            (void)!metadata_state_replay(state, &record, offset, &why);
        at += length;
        if (offset % 4 == 0) {
            metadata_image_release(&image);
            ASSERT(metadata_state_publish(state, &image) == OK);
        }
    }
    snapshot_agrees(state, &arena);
    metadata_image_release(&image);
    metadata_state_release(&state);
    arena_release(&arena);
    return 0;
}
