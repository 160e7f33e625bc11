/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_role.c: what a replica is (leader, follower) and how far it is committed: the
 * shell of replication/replication.h. docs/design/partitions.md §7.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "base/bug.h"

/* ---- the high watermark ---- */

static void stable_news(struct hosted *hosted)
{
    int64_t stable = log_last_stable_offset(hosted->partition.log);

    if (stable == hosted->stable_told)
        return;
    hosted->stable_told = stable;
    hosted_news(hosted, PARTITION_NEWS_STABLE);
}

void hosted_high_watermark_update(struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;
    struct replica_state *replica = &partition->replica;
    int64_t offset;

    if (partition->stage != PARTITION_OPEN || replica->role != REPLICA_LEADER)
        return;
    offset = replica_high_watermark(replica,
                                    BUG_IS(watermark_of_written) ? log_end_written(partition->log)
                                                                 : log_end_flushed(partition->log),
                                    partition->settings->topic.min_insync_replicas);
    ASSERT(offset >= replica->high_watermark);
    /* Nothing above the written end can be read. */
    ASSERT(offset <= log_end_written(partition->log));
    if (offset > replica->high_watermark) {
        replica->high_watermark = offset;
        log_set_high_watermark(partition->log, offset);
        hosted_news(hosted, PARTITION_NEWS_COMMITTED);
    }
    stable_news(hosted);
}

void partition_follower_fetched(struct partition *partition, int32_t broker_id, int64_t end_offset)
{
    for (size_t i = 0; i < partition->replica.peer_count; i++) {
        struct replica_progress *peer = &partition->replica.peers[i];

        if (peer->broker_id == broker_id && end_offset > peer->end_offset) {
            peer->end_offset = end_offset;
            hosted_high_watermark_update(hosted_of(partition));
        }
    }
}

/* ---- the log tells ---- */

static void log_changed(struct log_listener *listener, struct log *log, unsigned changes)
{
    struct hosted *hosted = CONTAINER_OF(listener, struct hosted, partition.log_listener);

    if (hosted->partition.log != log)
        return;
    if (changes & LOG_CHANGE_FAILED) {
        hosted_offline(hosted, ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    if (changes & LOG_CHANGE_START)
        hosted_news(hosted, PARTITION_NEWS_START);
    if (changes & LOG_CHANGE_WRITTEN)
        hosted_news(hosted, PARTITION_NEWS_END);
    if (changes & (LOG_CHANGE_FLUSHED | LOG_CHANGE_WRITTEN))
        hosted_high_watermark_update(hosted);
    if (hosted->move && (changes & LOG_CHANGE_WRITTEN))
        partition_move_step(hosted);
}

void hosted_log_listen(struct hosted *hosted)
{
    struct log *log = hosted->partition.log;
    struct replica_state *replica = &hosted->partition.replica;

    hosted->partition.log_listener.changed = log_changed;
    log_set_listener(log, &hosted->partition.log_listener);
    hosted->stable_told = log_last_stable_offset(log);
    /* After a move between directories the log is another one, the replica is not. */
    if (replica->high_watermark > log_high_watermark(log))
        log_set_high_watermark(log, MIN(replica->high_watermark, log_end_written(log)));
    replica->high_watermark = log_high_watermark(log);
}

/* ---- the role ---- */

static void leader_begin(struct hosted *hosted)
{
    struct partition *partition = &hosted->partition;
    struct replica_state *replica = &partition->replica;

    partition->fetched_ms = reactor_now_ms(partition->shard->reactor); /* silence begins here */
    partition->fetched_offset = -1;
    /* A restart goes on in the epoch that the log knows already. */
    if (replica->leader_epoch > log_epoch_latest(partition->log) &&
        log_epoch_assign(partition->log, replica->leader_epoch, log_end_queued(partition->log)) !=
            OK)
        LOG_ERROR(table_logger(hosted->table), "server", "leader_epoch_not_kept",
                  "topic=%.*s partition=%d epoch=%d", SLICE_ARGS(partition->topic),
                  partition->index, replica->leader_epoch);
    LOG_INFO(table_logger(hosted->table), "server", "leader",
             "topic=%.*s partition=%d epoch=%d start=%lld high_watermark=%lld",
             SLICE_ARGS(partition->topic), partition->index, replica->leader_epoch,
             (long long)replica->epoch_start_offset, (long long)replica->high_watermark);
}

void hosted_role_apply(struct hosted *hosted, const struct metadata_partition *metadata)
{
    struct partition *partition = &hosted->partition;
    struct replica_state *replica = &partition->replica;
    struct replica_progress *old = replica->peers;
    size_t old_count = replica->peer_count;
    size_t room = metadata->replica_count;
    struct replica_progress *peers = server_allocate((room + 1) * sizeof *peers);
    enum replica_change change;

    change = replica_apply(replica, metadata, log_end_queued(partition->log),
                           log_high_watermark(partition->log), peers);
    if (replica->peers == peers) {
        /* Kept at exactly its size, so that the count alone tells how it is freed. */
        struct replica_progress *kept =
            replica->peer_count > 0 ? server_allocate(replica->peer_count * sizeof *kept) : NULL;

        if (kept)
            memcpy(kept, peers, replica->peer_count * sizeof *kept);
        replica->peers = kept;
        if (old)
            server_free(old, old_count * sizeof *old);
    }
    server_free(peers, (room + 1) * sizeof *peers);
    switch (change) {
    case REPLICA_UNCHANGED:
        return;
    case REPLICA_BECOMES_LEADER:
        leader_begin(hosted);
        break;
    case REPLICA_BECOMES_FOLLOWER:
        hosted_commits_fail(hosted, ERR_NOT_LEADER_OR_FOLLOWER);
        break;
    case REPLICA_UPDATED:
        break;
    }
    hosted_news(hosted, PARTITION_NEWS_ROLE);
    hosted_high_watermark_update(hosted);
}
