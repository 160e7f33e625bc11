/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/quorum_clean.c: old snapshots go, and the log before the oldest that stays (kraft.md §2.12
 * of the reference): while there are two or more and the whole is over
 * metadata.max.retention.bytes, or the oldest is older than metadata.max.retention.ms.
 * Invariants  1. the newest snapshot always stays, and the log from it on.
 *             2. the log's start moves first: a snapshot below it is of no use to anybody.
 * Crash       a renamed file (.deleted) is removed at the next start; one that was not renamed yet
 *             lies below the start and goes at the next look.
 */
#include "server/quorum_internal.h"

#define CLEAN_INTERVAL_MS 60000

/* One snapshot on its way out: renamed now, unlinked when those who read it are done. */
struct snapshot_doomed {
    struct os_op op;
    struct quorum *quorum;
    struct snapshot_doomed *next;
    char from[QUORUM_PATH_BYTES];
    char to[QUORUM_PATH_BYTES];
    int64_t unlink_ms;
};

static void rename_done(struct os_op *op)
{
    struct snapshot_doomed *doomed = CONTAINER_OF(op, struct snapshot_doomed, op);
    struct quorum *quorum = doomed->quorum;
    struct quorum_snapshots *all = &quorum->snapshots;

    if (op->err != OK) {
        LOG_WARN(quorum->logger, "quorum", "snapshot_not_removed", "path=%s error=%s", doomed->from,
                 err_name(op->err));
        SERVER_DELETE(doomed);
    } else {
        struct snapshot_doomed **last = &all->doomed;

        while (*last)
            last = &(*last)->next;
        *last = doomed;
        if (!timer_is_set(&all->doomed_timer) && quorum->phase == QUORUM_RUNNING)
            timer_set(quorum->reactor, &all->doomed_timer, doomed->unlink_ms);
    }
    quorum_end(quorum);
}

static void unlink_done(struct os_op *op)
{
    struct snapshot_doomed *doomed = CONTAINER_OF(op, struct snapshot_doomed, op);
    struct quorum *quorum = doomed->quorum;

    SERVER_DELETE(doomed);
    quorum_end(quorum);
}

static void doomed_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, snapshots.doomed_timer);
    struct quorum_snapshots *all = &quorum->snapshots;

    while (all->doomed && all->doomed->unlink_ms <= reactor_now_ms(quorum->reactor)) {
        struct snapshot_doomed *doomed = all->doomed;

        all->doomed = doomed->next;
        doomed->op = (struct os_op){.kind = OS_OP_UNLINK, .path = doomed->to, .done = unlink_done};
        quorum_begin(quorum);
        reactor_submit(quorum->reactor, &doomed->op);
    }
    if (all->doomed)
        timer_set(quorum->reactor, timer, all->doomed->unlink_ms);
}

static void snapshot_doom(struct quorum *quorum, const struct quorum_snapshot *snapshot)
{
    struct snapshot_doomed *doomed = SERVER_NEW(struct snapshot_doomed);
    char name[SNAPSHOT_NAME_BYTES];

    doomed->quorum = quorum;
    doomed->unlink_ms =
        reactor_now_ms(quorum->reactor) +
        config_long(quorum->node->boot_config, BROKER_INTERNAL_METADATA_DELETE_DELAY_MILLIS);
    snapshot_name(snapshot->id, name);
    fmt(doomed->from, sizeof doomed->from, "%s/%s", quorum->path, name);
    snapshot_name_deleted(snapshot->id, name);
    fmt(doomed->to, sizeof doomed->to, "%s/%s", quorum->path, name);
    doomed->op = (struct os_op){
        .kind = OS_OP_RENAME, .path = doomed->from, .path_to = doomed->to, .done = rename_done};
    quorum_begin(quorum);
    reactor_submit(quorum->reactor, &doomed->op);
}

static bool is_over(const struct quorum *quorum)
{
    const struct quorum_snapshots *all = &quorum->snapshots;
    const struct config *config = quorum->node->boot_config;
    int64_t bytes_max = config_long(config, BROKER_METADATA_MAX_RETENTION_BYTES);
    int64_t age_max_ms = config_long(config, BROKER_METADATA_MAX_RETENTION_MS);
    int64_t bytes = log_size_bytes(quorum->log);

    if (all->items[0].id.end_offset < log_start_offset(quorum->log))
        return true;
    for (size_t i = 0; i < all->count; i++)
        bytes += all->items[i].size_bytes;
    if (bytes_max >= 0 && bytes > bytes_max)
        return true;
    return age_max_ms >= 0 && all->items[0].contained_ms >= 0 &&
           reactor_wall_ms(quorum->reactor) - all->items[0].contained_ms > age_max_ms;
}

/* Moves the log's start to the second snapshot and lets the first go. */
static bool clean_once(struct quorum *quorum)
{
    struct quorum_snapshots *all = &quorum->snapshots;
    struct raft_event event = {.kind = RAFT_EVENT_LOG_CLEANED};
    int64_t start_offset;

    if (all->count < 2 || !is_over(quorum))
        return false;
    start_offset = all->items[1].id.end_offset;
    log_set_high_watermark(quorum->log, MIN(quorum->high_watermark, log_end_written(quorum->log)));
    if (log_set_start_offset(quorum->log, start_offset) != OK)
        return false;
    log_retention_run(quorum->log);
    LOG_INFO(quorum->logger, "quorum", "log_cleaned", "start_offset=%lld snapshot=%lld",
             (long long)start_offset, (long long)all->items[0].id.end_offset);
    snapshot_doom(quorum, &all->items[0]);
    all->count--;
    memmove(all->items, all->items + 1, all->count * sizeof *all->items);
    event.log_cleaned.log_start_offset = start_offset;
    quorum_feed(quorum, event);
    return true;
}

static void clean_fire(struct timer *timer)
{
    struct quorum *quorum = CONTAINER_OF(timer, struct quorum, snapshots.clean_timer);

    while (quorum_is_running(quorum) && quorum->high_watermark >= 0 && clean_once(quorum))
        ;
    if (quorum_is_running(quorum))
        timer_set(quorum->reactor, timer, reactor_now_ms(quorum->reactor) + CLEAN_INTERVAL_MS);
}

void quorum_clean_init(struct quorum *quorum)
{
    timer_init(&quorum->snapshots.clean_timer, clean_fire);
    timer_init(&quorum->snapshots.doomed_timer, doomed_fire);
}

void quorum_snapshots_start(struct quorum *quorum)
{
    int64_t now_ms = reactor_now_ms(quorum->reactor);

    quorum->snapshots.last_ms = now_ms;
    timer_set(quorum->reactor, &quorum->snapshots.clean_timer, now_ms + CLEAN_INTERVAL_MS);
}

void quorum_clean_stop(struct quorum *quorum)
{
    struct quorum_snapshots *all = &quorum->snapshots;

    timer_cancel(quorum->reactor, &all->clean_timer);
    timer_cancel(quorum->reactor, &all->doomed_timer);
    while (all->doomed) {
        struct snapshot_doomed *doomed = all->doomed;

        all->doomed = doomed->next; /* the next start removes the file */
        SERVER_DELETE(doomed);
    }
}
