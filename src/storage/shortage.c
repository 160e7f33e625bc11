/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/shortage.c: a process without descriptors or memory has healthy disks: what ended for want of them
 * is done again in a moment, as often as it takes, and what nobody uses is closed first. While the process
 * stops a shortage that lasts is the end: a stop must end too, and the next start recovers.
 * docs/design/storage.md, "Descriptors".
 * Invariants  1. an operation is in `ops` or submitted, never both: its own node serves both.
 * Threads     the reactor's.
 */
#include "storage/directories.h"
#include "storage/shard.h"

#define SHORT_PAUSE_MS 50
#define SHORT_CLOSING_MS_MAX 10000
#define SHORT_GAP_MS 1000 /* without one for so long: the next is a new one */
#define SHORT_TOLD_EACH_MS 10000

bool err_is_shortage(enum err err)
{
    return err == ERR_TOO_MANY_FILES || err == ERR_NO_MEMORY;
}

static void short_due(struct timer *timer)
{
    struct shortage *shortage = CONTAINER_OF(timer, struct shortage, timer);
    struct list_node ops;

    list_init(&ops);
    list_splice_back(&ops, &shortage->ops);
    while (!list_is_empty(&ops)) {
        struct os_op *op = LIST_ITEM(list_pop_front(&ops), struct os_op, node);

        op->err = OK;
        reactor_submit(shortage->reactor, op);
    }
}

void shortage_init(struct shortage *shortage, struct log_directories *directories,
                   struct reactor *reactor)
{
    shortage->directories = directories;
    shortage->reactor = reactor;
    list_init(&shortage->ops);
    timer_init(&shortage->timer, short_due);
    shortage->told_ms = INT64_MIN;
    shortage->closing_ms = INT64_MIN;
    shortage->seen_ms = shortage->since_ms = INT64_MIN / 2;
}

void shortage_release(struct shortage *shortage)
{
    ASSERT(list_is_empty(&shortage->ops));
    timer_cancel(shortage->reactor, &shortage->timer);
}

static void shortage_seen(struct shortage *shortage)
{
    int64_t now_ms = reactor_now_ms(shortage->reactor);

    if (now_ms - shortage->seen_ms > SHORT_GAP_MS)
        shortage->since_ms = now_ms;
    shortage->seen_ms = now_ms;
    if (shortage->closing_ms == INT64_MIN && atomic_load(&shortage->directories->is_closing))
        shortage->closing_ms = now_ms;
}

bool shortage_may_end(struct shortage *shortage, enum err err)
{
    if (!err_is_shortage(err))
        return false;
    shortage_seen(shortage);
    return shortage->closing_ms == INT64_MIN ||
           shortage->seen_ms - MAX(shortage->since_ms, shortage->closing_ms) < SHORT_CLOSING_MS_MAX;
}

bool shortage_waits(struct shortage *shortage, struct os_op *op)
{
    int64_t now_ms = reactor_now_ms(shortage->reactor);

    if (!shortage_may_end(shortage, op->err))
        return false;
    if (shortage->told_ms == INT64_MIN || now_ms - shortage->told_ms >= SHORT_TOLD_EACH_MS) {
        shortage->told_ms = now_ms;
        LOG_WARN(shortage->directories->logger, "storage", "shortage", "error=%s lasts_ms=%lld",
                 err_name(op->err), (long long)(now_ms - shortage->since_ms));
    }
    list_push_back(&shortage->ops, &op->node);
    if (!timer_is_set(&shortage->timer))
        timer_set(shortage->reactor, &shortage->timer, now_ms + SHORT_PAUSE_MS);
    return true;
}

bool store_shortage_may_end(struct log_store *store, enum err err)
{
    return shortage_may_end(&store->shortage, err);
}

bool store_shortage_waits(struct log_store *store, struct os_op *op)
{
    if (!shortage_waits(&store->shortage, op))
        return false;
    store_idle_files_close(store);
    return true;
}
