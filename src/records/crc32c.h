/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/crc32c.h: CRC-32C (Castagnoli) at the speed of the processor; ISA-L chooses the method at
 * run time.
 */
#ifndef RECORDS_CRC32C_H
#define RECORDS_CRC32C_H

#include "base/slice.h"

uint32_t crc32c(struct slice in);
/* Goes on from the crc32c of the bytes before (0: none). */
uint32_t crc32c_extend(uint32_t crc, struct slice in);

#endif
