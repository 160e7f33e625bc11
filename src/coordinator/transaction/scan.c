/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/scan.c: transactions that are open for too long are aborted; ids that nobody
 * has used for long are forgotten. Both look around at intervals, in steps. transactions.md §11 of the
 * reference.
 *
 * The start that the log tells is wall time; a clock that was set back must not keep a transaction
 * open, so the scan counts by the monotone clock, too.
 */
#include "coordinator/transaction_internal.h"

#include "base/bug.h"

#define STEP_IDS 512 /* looked at in one step */

void transaction_scans_start(struct transaction_coordinator *coordinator)
{
    coordinator->overdue_at_ms = coordinator->now_ms + coordinator->options.abort_scan_interval_ms;
    coordinator->expire_at_ms = coordinator->now_ms + coordinator->options.expire_scan_interval_ms;
}

int64_t transaction_scans_deadline_ms(const struct transaction_coordinator *coordinator)
{
    if (coordinator->overdue_runs || coordinator->expire_runs)
        return coordinator->now_ms;
    return MIN(coordinator->overdue_at_ms, coordinator->expire_at_ms);
}

/* ---- overdue ---- */

static bool is_overdue(const struct transaction *t, const struct coordinator_moment *moment)
{
    struct transaction_active *active = t->active;

    if (active->open_since_ms < 0)
        active->open_since_ms = moment->now_ms;
    return transaction_is_free(t) && t->value.state == TRANSACTION_ONGOING &&
           t->value.timeout_ms != TRANSACTION_TIMEOUT_NONE &&
           (t->value.start_wall_ms < moment->wall_ms - t->value.timeout_ms ||
            (active->open_since_ms < moment->now_ms - t->value.timeout_ms &&
             !BUG_IS(overdue_by_wall_clock)));
}

static enum err overdue_abort(struct transaction_call *call, struct transaction *t)
{
    struct logger *logger = call->coordinator->logger;
    enum err told;

    TRY(transaction_fence(call, t, &told));
    if (told != OK)
        LOG_WARN(logger, TRANSACTION_LOG, "transaction_overdue_stays",
                 "transactional_id=%.*s error=%s", SLICE_ARGS(transaction_id(t)), err_name(told));
    else
        LOG_INFO(logger, TRANSACTION_LOG, "transaction_overdue",
                 "transactional_id=%.*s producer_id=%lld epoch=%d age_ms=%lld timeout_ms=%d "
                 "partitions=%zu",
                 SLICE_ARGS(transaction_id(t)), (long long)t->value.producer_id, t->value.epoch,
                 (long long)(call->moment->wall_ms - MAX(t->value.start_wall_ms, 0)),
                 t->value.timeout_ms, transaction_partitions_count(t->value.partitions));
    return OK;
}

enum err transaction_scan_overdue(struct transaction_call *call)
{
    struct transaction_coordinator *coordinator = call->coordinator;

    if (!coordinator->overdue_runs) {
        if (coordinator->overdue_at_ms > call->moment->now_ms)
            return OK;
        coordinator->overdue_runs = true;
        coordinator->overdue_pass++;
    }
    /* Round the list once: who has been looked at goes to its end. */
    for (size_t i = 0; i < STEP_IDS; i++) {
        struct list_node *first = list_first(&coordinator->ongoing);
        struct transaction_active *active =
            first ? LIST_ITEM(first, struct transaction_active, ongoing) : NULL;

        if (!active || active->overdue_pass == coordinator->overdue_pass) {
            coordinator->overdue_runs = false;
            coordinator->overdue_at_ms =
                call->moment->now_ms + coordinator->options.abort_scan_interval_ms;
            return OK;
        }
        active->overdue_pass = coordinator->overdue_pass;
        list_remove(first);
        list_push_back(&coordinator->ongoing, first);
        if (!is_overdue(active->transaction, call->moment))
            continue;
        TRY(overdue_abort(call, active->transaction));
        if (call->effects->write != 0)
            return OK; /* each is a write of its own */
    }
    return OK;
}

/* ---- expired ---- */

static bool is_expired(const struct transaction *t, int64_t wall_ms, int64_t expiration_ms)
{
    return !t->active && transaction_is_at_rest((enum transaction_state)t->value.state) &&
           t->value.update_wall_ms <= wall_ms - expiration_ms;
}

enum err transaction_scan_expired(struct transaction_call *call)
{
    struct transaction_coordinator *coordinator = call->coordinator;
    int64_t expiration_ms = coordinator->options.id_expiration_ms;

    if (!coordinator->expire_runs) {
        if (coordinator->expire_at_ms > call->moment->now_ms)
            return OK;
        coordinator->expire_runs = true;
        coordinator->expire_next = transaction_after(coordinator, NULL);
    }
    for (size_t i = 0; i < STEP_IDS && coordinator->expire_next; i++) {
        struct transaction *t = coordinator->expire_next;
        struct transaction_value to;

        coordinator->expire_next = transaction_after(coordinator, t);
        if (!is_expired(t, call->moment->wall_ms, expiration_ms))
            continue;
        LOG_DEBUG(coordinator->logger, TRANSACTION_LOG, "transaction_id_expired",
                  "transactional_id=%.*s", SLICE_ARGS(transaction_id(t)));
        transaction_value_dead(call, t, &to);
        TRY(transaction_write(call, t, &to, false));
        call->effects->divisible = true;
    }
    if (coordinator->expire_next)
        return OK;
    coordinator->expire_runs = false;
    coordinator->expire_at_ms = call->moment->now_ms + coordinator->options.expire_scan_interval_ms;
    return OK;
}
