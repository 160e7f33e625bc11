/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage/shortage.c: a process without descriptors or memory has healthy disks: what ended for want of them
 * is done again in a moment, and what nobody uses is closed first.
 * docs/design/storage.md, "Descriptors".
 * Invariants  1. an operation is in short_ops or submitted, never both: its own node serves both.
 * Threads     the store's.
 */
#include "storage/shard.h"

#define SHORT_PAUSE_MS 50
/* A shortage that lasts so long will not go by itself: then it is what failed the operation. */
#define SHORT_MS_MAX 10000
#define SHORT_GAP_MS 1000 /* without one for so long: the next is a new one */
#define SHORT_TOLD_EACH_MS 10000

bool err_is_shortage(enum err err)
{
    return err == ERR_TOO_MANY_FILES || err == ERR_NO_MEMORY;
}

static void short_due(struct timer *timer)
{
    struct log_store *store = CONTAINER_OF(timer, struct log_store, short_timer);
    struct list_node ops;

    list_init(&ops);
    list_splice_back(&ops, &store->short_ops);
    while (!list_is_empty(&ops)) {
        struct os_op *op = LIST_ITEM(list_pop_front(&ops), struct os_op, node);

        op->err = OK;
        reactor_submit(store->reactor, op);
    }
}

void store_shortage_init(struct log_store *store)
{
    list_init(&store->short_ops);
    timer_init(&store->short_timer, short_due);
    store->short_told_ms = INT64_MIN;
    store->short_seen_ms = store->short_since_ms = INT64_MIN / 2;
}

void store_shortage_release(struct log_store *store)
{
    ASSERT(list_is_empty(&store->short_ops));
    timer_cancel(store->reactor, &store->short_timer);
}

static void shortage_seen(struct log_store *store)
{
    int64_t now_ms = reactor_now_ms(store->reactor);

    if (now_ms - store->short_seen_ms > SHORT_GAP_MS)
        store->short_since_ms = now_ms;
    store->short_seen_ms = now_ms;
}

bool store_shortage_may_end(struct log_store *store, enum err err)
{
    if (!err_is_shortage(err))
        return false;
    shortage_seen(store);
    return store->short_seen_ms - store->short_since_ms < SHORT_MS_MAX;
}

bool store_shortage_waits(struct log_store *store, struct os_op *op)
{
    int64_t now_ms = reactor_now_ms(store->reactor);

    if (!store_shortage_may_end(store, op->err))
        return false;
    if (store->short_told_ms == INT64_MIN || now_ms - store->short_told_ms >= SHORT_TOLD_EACH_MS) {
        store->short_told_ms = now_ms;
        LOG_WARN(store->directories->logger, "storage", "shortage", "error=%s open_files=%d",
                 err_name(op->err), store->open_files);
    }
    store_idle_files_close(store);
    list_push_back(&store->short_ops, &op->node);
    if (!timer_is_set(&store->short_timer))
        timer_set(store->reactor, &store->short_timer, now_ms + SHORT_PAUSE_MS);
    return true;
}
