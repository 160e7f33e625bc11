/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/fault_point.h: places in the code where something legal but rare is made frequent, so that the simulation
 * sees it in minutes: a segment that ends early, mail that comes one by one, a wake-up that is late. Whatever a point
 * does must be correct behaviour at any time: it is no bug (base/bug.h) and no broken surrounding (tests/sim/nemesis_*).
 * Only builds with -Dfault_points=true hold them; in every other build FAULT_POINT is the constant false and nothing of
 * it is left (`./dev check` looks). docs/design/simulation.md, "Fault points".
 *
 *     if (segment_is_full(segment) || FAULT_POINT(segment_rolled_early))
 *         roll();
 */
#ifndef BASE_FAULT_POINT_H
#define BASE_FAULT_POINT_H

#include <stdbool.h>

/* X(area, name, what happens there when it strikes) */
#define FAULT_POINT_LIST(X)                                                                     \
    X(base, arena_block_exact, "an arena takes a block of just the size that is asked for")     \
    X(reactor, mail_one_by_one, "one piece of mail is delivered in a turn")                     \
    X(reactor, timer_late, "a timer fires some milliseconds late")                              \
    X(reactor, deferred_reversed, "the deferred work of a turn runs backwards")                 \
    X(reactor, deferred_one_round, "deferred work that defers goes on in the next turn")        \
    X(network, send_one_byte, "a send takes one byte")                                          \
    X(network, receive_one_byte, "a receive asks for one byte")                                 \
    X(network, frame_waits_for_memory, "a frame finds no memory while another one is held")     \
    X(storage, segment_rolled_early, "a segment ends before it is full")                        \
    X(storage, write_one_append, "a write takes one append")                                    \
    X(storage, flush_claims_less, "a flush answers for nothing new")                            \
    X(storage, flush_full_early, "the unsafe tail of a log is flushed whole before it is long") \
    X(storage, flush_by_job, "a flush takes the slow path")                                     \
    X(storage, file_closed_early, "a segment file nobody uses is closed at once")               \
    X(storage, recent_forgotten, "a read looks into the index though the batch is known")       \
    X(storage, scan_small, "a scan begins with the bytes of one header")                        \
    X(storage, read_cut_short, "a read plans one batch")                                        \
    X(storage, snapshot_skipped, "a producer snapshot is not written")                          \
    X(storage, checkpoint_postponed, "offsets are checkpointed later")                          \
    X(storage, retention_between, "retention runs between two steps of a log")                  \
    X(storage, retention_one_segment, "retention lets one segment go at a time")                \
    X(storage, clean_marker_ignored, "a directory that was stopped well is recovered")          \
    X(storage, recovery_point_ignored, "a log is recovered from its start")                     \
    X(storage, index_built_anew, "an index file that is good is built anew")                    \
    X(compaction, cleaner_slice_small, "a slice of the cleaner ends after one batch")           \
    X(compaction, cleaner_buffer_small, "the cleaner writes batch by batch")                    \
    X(server, fetch_woken_early, "a fetch is answered before it has enough")                    \
    X(server, fetch_woken_late, "a fetch that has enough waits for its deadline")               \
    X(server, fetch_session_evicted, "a fetch session is gone")                                 \
    X(server, produce_refused, "a partition takes no batch for now")                            \
    X(server, producer_ids_wasted, "a block of producer ids is given up before its end")        \
    X(server, heartbeat_lost, "the answer to a broker's heartbeat is lost")                     \
    X(quorum, snapshot_early, "a snapshot of the metadata is due at once")                      \
    X(quorum, loader_one_batch, "one batch of metadata is applied in a turn")                   \
    X(quorum, loader_reads_back, "metadata is read from the log though it is in memory")        \
    X(quorum, controller_one_call, "the controller handles one call in a turn")                 \
    X(quorum, controller_one_tick, "the controller does one thing by itself in a turn")         \
    X(coordinator, coordinator_batch_early, "a coordinator's batch leaves with what it has")    \
    X(coordinator, coordinator_load_one, "a coordinator loads one record in a step")            \
    X(coordinator, coordinator_write_refused, "a coordinator's write is not admitted")          \
    X(server, fetch_shares_small, "from now on fetches share ranges of any size")               \
    X(server, fetch_share_dropped, "a range that fetches share is dropped")                     \
    X(storage, blocks_taken_early, "a small or slow segment takes blocks ahead")

enum fault_point {
#define X(area, name, text) FAULT_POINT_##name,
    FAULT_POINT_LIST(X)
#undef X
        FAULT_POINT_COUNT
};

#ifdef BARNABAS_FAULT_POINTS
/* Strikes it? False when nobody decides. */
bool fault_point_strikes(enum fault_point point);
/* Who decides from now on; NULL: nobody. Before threads exist, or in a process of one thread. */
void fault_points_install(bool (*decide)(void *context, enum fault_point point), void *context);
#define FAULT_POINT(name) __builtin_expect(fault_point_strikes(FAULT_POINT_##name), 0)
#else
#define FAULT_POINT(name) ((void)FAULT_POINT_##name, false)
#endif

#endif
