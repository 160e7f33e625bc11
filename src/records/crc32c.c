/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/crc32c.c: ISA-L behind our own header. Its function takes an int for the length and
 * leaves the inversions to the caller.
 */
#include "records/crc32c.h"

#include <isa-l/crc.h>

#define STEP_BYTES ((size_t)1 << 30)

uint32_t crc32c_extend(uint32_t crc, struct slice in)
{
    uint32_t state = ~crc;

    for (size_t from = 0; from < in.size_bytes; from += STEP_BYTES) {
        /* The library's prototype lacks const; it does not write. */
        uint8_t *at = (uint8_t *)(uintptr_t)(in.data + from);

        state = crc32_iscsi(at, (int)MIN(STEP_BYTES, in.size_bytes - from), state);
    }
    return ~state;
}

uint32_t crc32c(struct slice in)
{
    return crc32c_extend(0, in);
}
