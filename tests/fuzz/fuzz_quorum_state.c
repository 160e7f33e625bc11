/* SPDX-License-Identifier: Apache-2.0 */
/* The file quorum-state. What is read and written again reads the same. */
#include "base/assert.h"
#include "raft/quorum_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_quorum_state state, again;
    struct writer out;
    struct arena arena;
    struct why why;

    arena_init(&arena, &heap_allocator, 16 * MIB);
    writer_init(&out, &heap_allocator, SIZE_MAX);
    if (raft_quorum_state_decode(slice_of(data, size), &arena, &state, &why) == OK) {
        ASSERT(raft_quorum_state_encode(&state, &out) == OK);
        ASSERT(raft_quorum_state_decode(writer_slice(&out), &arena, &again, &why) == OK);
        ASSERT(again.leader_id == state.leader_id);
        ASSERT(again.leader_epoch == state.leader_epoch);
        ASSERT(again.voted_id == state.voted_id);
        ASSERT(again.data_version == state.data_version);
    }
    writer_release(&out);
    arena_release(&arena);
    return 0;
}
