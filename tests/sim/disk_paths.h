/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/disk_paths.h: what a world reads from the files of a node.
 */
#ifndef TESTS_SIM_DISK_PATHS_H
#define TESTS_SIM_DISK_PATHS_H

#include "world.h"

/* "/data0/t1-2/00000000000000000000.log" → 1, 2. False: not a file of a slot's partition that ends so. */
bool disk_path_parse(const struct world *world, const char *path, const char *end, int *slot,
                     int32_t *partition);
/* Behind a power cut in flush mode os: a mark for each partition of which recovery points say that it was
 * synced. Topics that churn are left out: the file knows only names. */
void disk_mark_synced(struct world *world, struct world_node *node);

#endif
