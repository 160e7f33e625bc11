/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <offset>.snapshot: the state that a file gives can be asked, goes on, and is written so that it reads
 * the same. Input: one byte (1: the CRC is made true), then the file.
 */
#include "base/assert.h"
#include "records/crc32c.h"
#include "records/producer_state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define END 1000
#define NOW_MS 1700000000000
#define EXPIRATION_MS INT64_MAX

static void state_use(struct producer_state *state)
{
    struct producer_update update;
    const struct producer_append append = {.producer_id = 1,
                                           .first_sequence = 0,
                                           .last_sequence = 2,
                                           .first_offset = END,
                                           .last_offset = END + 2,
                                           .transactional = true};

    (void)producer_state_last_stable_offset(state, END, 0);
    (void)producer_state_has_late_transaction(state, NOW_MS, 1000);
    producer_update_begin(&update, state, APPEND_ORIGIN_REPLICATION);
    if (producer_update_add(&update, &append, NULL) == OK)
        producer_update_apply(&update);
    producer_update_discard(&update);
    producer_state_set_high_watermark(state, END + 3);
    producer_state_expire(state, NOW_MS, 1000);
}

static void snapshot_check(struct slice file)
{
    struct producer_state state, again;
    struct writer out;

    producer_state_init(&state, &heap_allocator);
    if (producer_snapshot_read(&state, file, END, NOW_MS, EXPIRATION_MS, NULL) == OK) {
        producer_state_init(&again, &heap_allocator);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        ASSERT(producer_snapshot_write(&state, &out) == OK);
        ASSERT(producer_snapshot_read(&again, writer_slice(&out), END, NOW_MS, EXPIRATION_MS,
                                      NULL) == OK);
        ASSERT(producer_state_count(&again) == producer_state_count(&state));
        ASSERT(producer_state_first_unstable_offset(&again) ==
               producer_state_first_unstable_offset(&state));
        writer_release(&out);
        producer_state_release(&again);
        state_use(&state);
    } else {
        ASSERT(producer_state_count(&state) == 0);
    }
    producer_state_release(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size < 1)
        return 0;
    copy = malloc(size);
    ASSERT(copy);
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 1 && size - 1 >= 6) {
        uint32_t crc = crc32c(slice_of(copy + 6, size - 7));

        for (int i = 0; i < 4; i++)
            copy[2 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    snapshot_check(slice_of(copy, size - 1));
    free(copy);
    return 0;
}
