/* SPDX-License-Identifier: Apache-2.0 */
/* The files of floor_broker.c, and who waits until what was written to them is on the disk.
 *
 * A turn writes what has arrived; at its end the files that somebody waits for are synced, each by a thread of its own
 * while there are threads, and what arrives meanwhile is synced together by the next sync of its file. Without threads, or
 * when a few wait for one file and nothing else is under way, the turn syncs itself. */
#ifndef BENCH_FLOOR_LOG_H
#define BENCH_FLOOR_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct floor_log;

/* Counted down for each file that is on the disk; at 0 whatever is the caller's may be answered. */
struct floor_wait {
    uint32_t files;
};

/* `file_count` files in `folder`, which are gone with the process. Durable: waits are for syncs. */
struct floor_log *floor_log_new(const char *folder, uint32_t file_count, bool is_durable,
                                uint32_t thread_count);
uint32_t floor_log_files(const struct floor_log *log);
/* Appends, with one CRC pass; the number of earlier appends to this file. `wait` may be NULL: nobody waits. */
int64_t floor_log_append(struct floor_log *log, uint32_t file, const uint8_t *bytes, size_t size,
                         struct floor_wait *wait);
/* What becomes readable when syncs have ended; -1 without threads. */
int floor_log_event(const struct floor_log *log);
/* At the end of a turn; waits that are over have been counted down. True: call it again, for it has synced itself. */
bool floor_log_turn(struct floor_log *log);

#endif
