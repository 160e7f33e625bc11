/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/descriptors.h: what of the process's open files may go to segments. docs/design/storage.md,
 * "Descriptors".
 */
#ifndef SERVER_DESCRIPTORS_H
#define SERVER_DESCRIPTORS_H

#include "base/err.h"

/* How many segment files each of `shards` stores may keep open when the process may have `limit`
 * descriptors. ERR_CONFIG: too few to run on; `why` says how many it takes. */
MUST_USE enum err descriptors_share(int64_t limit, size_t shards, int *per_store_out,
                                    struct why *why);

#endif
