/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bug.h: bugs that others had, each behind a switch at its place in the code, so that the simulation can
 * show that it would find them. Only builds with -Dbugs=true hold them; in every other build BUG_IS is the
 * constant false and nothing of it is left. tests/sim/BUGS.md.
 * One bug at a time is alive in a process, set by bug_set before the node starts.
 */
#ifndef BASE_BUG_H
#define BASE_BUG_H

#include <stdbool.h>

/* X(name, where others met it or the promise that it breaks, what is wrong) */
#define BUG_LIST(X)                                                                               \
    X(ack_before_commit, "Kafka's default", "acks=all is answered before the commit")             \
    X(watermark_of_written, "Kafka's default", "the high watermark follows the written end")      \
    X(data_not_synced, "NATS JetStream 2.12.1", "a flush syncs no data")                          \
    X(directory_not_synced, "KAFKA-3968", "new names are not synced in their directory")          \
    X(snapshot_not_synced, "KAFKA-9892", "producer snapshots are neither synced nor checked")     \
    X(epochs_not_synced, "KAFKA-16541", "leader-epoch-checkpoint is renamed before its sync")     \
    X(write_after_failure, "KAFKA-10778", "appends go on behind a failed write")                  \
    X(failed_write_acknowledged, "KAFKA-10778", "a failed write is told as written")              \
    X(sync_tried_again, "fsyncgate", "a failed sync is tried again")                              \
    X(clean_marker_kept, "KAFKA-15375", "the clean marker stays while the node runs")             \
    X(clean_marker_unlink_not_synced, "KAFKA-10471", "a power cut brings the clean marker back")  \
    X(torn_tail_kept, "D10", "recovery does not cut the broken end")                              \
    X(recovery_checks_no_crc, "D10", "recovery believes framing alone")                           \
    X(recovery_point_early, "D1", "the recovery point moves before the sync")                     \
    X(index_offset_overflow, "KAFKA-5413", "a segment may span more than 2^31 offsets")           \
    X(index_trusted, "KAFKA-7283", "an index is believed without a look at the log")              \
    X(index_end_missing, "KAFKA-13603", "a segment ends without its closing time entry")          \
    X(read_past_watermark, "KAFKA-9835", "a fetch sees what is not committed")                    \
    X(sequence_does_not_wrap, "KAFKA-7692", "no sequence follows 2^31 - 1")                       \
    X(producers_not_replayed, "KAFKA-5435", "recovery does not rebuild producers")                \
    X(one_batch_remembered, "KAFKA-5494", "only the last batch is known as a duplicate")          \
    X(epoch_kept_of_refused, "KAFKA-9666", "a refused append bumps the producer epoch")           \
    X(duplicate_before_commit, "D1", "a duplicate does not wait for its original's commit")       \
    X(answers_out_of_order, "protocol", "answers leave as they are ready")                        \
    X(turns_overtaken, "ours", "a Produce is overtaken by the next one between its turns")        \
    X(start_not_checkpointed, "D3", "DeleteRecords is forgotten at a restart")                    \
    X(tail_believed_after_failed_sync, "fsyncgate", "a restart believes what a failed sync left") \
    X(index_repaired_in_place, "ours", "a crash amid the repair of an index leaves half of it")   \
    X(metadata_before_sync, "M2", "metadata counts as committed before its sync")                 \
    X(vote_before_sync, "KAFKA-14273", "quorum-state is renamed before its sync")                 \
    X(producer_ids_twice, "D5", "a block of producer ids is given out twice")                     \
    X(producer_epoch_not_fenced, "D7", "an older producer epoch may write")                       \
    X(offsets_before_commit, "G2", "OffsetCommit is answered before the commit")                  \
    X(stale_generation_commits, "G3", "a commit of an older generation is taken")                 \
    X(static_member_not_fenced, "KAFKA-7437", "a static member that was replaced commits on")     \
    X(partition_given_early, "G1", "a partition is given before its owner has given it up")       \
    X(join_does_not_wait, "G1", "a join phase ends without the slow member")                      \
    X(sessions_not_resumed, "L1", "no session ends behind a load of the coordinator")             \
    X(markers_before_prepare, "D6", "markers are sent before their Prepare record is committed")  \
    X(complete_before_markers, "D6", "a transaction is complete before its markers are written")  \
    X(txn_offsets_before_marker, "D6", "a transaction's offsets count before its marker")         \
    X(transaction_not_verified, "KIP-890", "a late batch opens the next transaction")             \
    X(aborted_list_cut, "D6", "a fetch tells of one aborted transaction only")                    \
    X(successor_epoch_kept, "D7", "InitProducerId raises no epoch: nobody is fenced")             \
    X(stable_before_marker_commits, "D6", "the last stable offset passes uncommitted markers")    \
    X(snapshots_outlive_markers, "ours", "compaction takes a marker that a replay needs")         \
    X(overdue_by_wall_clock, "ours", "a clock that is set back keeps transactions open")          \
    X(shared_range_outlives_segment, "ours", "fetched bytes are known by their file's name")

enum bug {
    BUG_none,
#define X(name, origin, text) BUG_##name,
    BUG_LIST(X)
#undef X
        BUG_COUNT
};

#ifdef BARNABAS_BUGS
bool bug_is(enum bug bug);
/* Before threads exist. BUG_none: none. */
void bug_set(enum bug bug);
#define BUG_IS(name) __builtin_expect(bug_is(BUG_##name), 0)
#else
#define BUG_IS(name) ((void)BUG_##name, false)
#endif

#endif
