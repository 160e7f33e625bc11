/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/table.c: the ids of the partition, their versions on the way through the
 * log, and what is due.
 * Invariants  1. an id without active part has a committed value (or none yet) and nothing soft.
 *             2. versions of an id are in log order; the last one alone may be a draft.
 */
#include "coordinator/transaction_internal.h"

static size_t transaction_bytes(size_t id_bytes)
{
    return MAX(offsetof(struct transaction, id) + id_bytes, sizeof(struct transaction));
}

struct transaction *transaction_find(const struct transaction_coordinator *coordinator,
                                     struct slice id)
{
    struct hash_map_node *node = hash_map_find(&coordinator->transactions, hash_slice(id), &id);

    return node ? CONTAINER_OF(node, struct transaction, node) : NULL;
}

enum err transaction_create(struct transaction_coordinator *coordinator, struct slice id,
                            struct transaction **out)
{
    struct allocator *allocator = coordinator->allocator;
    struct transaction *t;
    enum err err;

    *out = NULL;
    ASSERT(id.size_bytes <= INT16_MAX);
    t = allocator_zeroed(allocator, transaction_bytes(id.size_bytes));
    if (!t)
        return ERR_NO_MEMORY;
    t->value = (struct transaction_value){
        .producer_id = -1,
        .previous_producer_id = -1,
        .next_producer_id = -1,
        .start_wall_ms = -1,
        .epoch = -1,
        .last_epoch = -1,
        .state = TRANSACTION_EMPTY,
    };
    t->last_offset = -1;
    t->id_bytes = (uint16_t)id.size_bytes;
    if (id.size_bytes > 0)
        memcpy(t->id, id.data, id.size_bytes);
    err = hash_map_insert(&coordinator->transactions, hash_slice(id), &t->node);
    if (err != OK)
        allocator->release(allocator, t, transaction_bytes(id.size_bytes));
    else
        *out = t;
    return err;
}

static void version_release(struct transaction_coordinator *coordinator,
                            struct transaction_version *version)
{
    list_remove(&version->node);
    list_remove(&version->draft);
    if (version->log.position != HEAP_NOWHERE)
        heap_remove(&coordinator->uncommitted, &version->log);
    transaction_partitions_release(coordinator->allocator, &version->value.partitions);
    ALLOCATOR_DELETE(coordinator->allocator, version);
}

static void active_release(struct transaction_coordinator *coordinator, struct transaction *t)
{
    struct transaction_active *active = TAKE(t->active);

    if (!active)
        return;
    LIST_EACH_SAFE (node, &active->versions)
        version_release(coordinator, LIST_ITEM(node, struct transaction_version, node));
    LIST_EACH_SAFE (node, &active->parked) {
        struct transaction_parked *parked = LIST_ITEM(node, struct transaction_parked, node);

        transaction_parked_release(coordinator, &parked);
    }
    transaction_marking_release(coordinator, &active->marking);
    list_remove(&active->due);
    list_remove(&active->ongoing);
    ALLOCATOR_DELETE(coordinator->allocator, active);
}

void transaction_remove(struct transaction_coordinator *coordinator, struct transaction *t)
{
    if (coordinator->expire_next == t)
        coordinator->expire_next = transaction_after(coordinator, t);
    hash_map_remove(&coordinator->transactions, &t->node);
    active_release(coordinator, t);
    transaction_partitions_release(coordinator->allocator, &t->value.partitions);
    coordinator->allocator->release(coordinator->allocator, t, transaction_bytes(t->id_bytes));
}

struct transaction *transaction_after(const struct transaction_coordinator *coordinator,
                                      const struct transaction *t)
{
    const struct list_node *next = t ? t->node.order.next : coordinator->transactions.order.next;

    if (next == &coordinator->transactions.order)
        return NULL;
    return HASH_MAP_ITEM((struct list_node *)(uintptr_t)next, struct transaction, node);
}

/* ---- looking at one ---- */

static struct transaction_version *last_version(const struct transaction *t)
{
    if (!t->active || list_is_empty(&t->active->versions))
        return NULL;
    return LIST_ITEM(t->active->versions.previous, struct transaction_version, node);
}

const struct transaction_value *transaction_latest(const struct transaction *t)
{
    const struct transaction_version *last = last_version(t);

    return last ? &last->value : &t->value;
}

int16_t transaction_epoch(const struct transaction *t, const struct transaction_value *value)
{
    return t->active ? MAX(value->epoch, t->active->fence_epoch) : value->epoch;
}

bool transaction_is_written(const struct transaction *t)
{
    return last_version(t) == NULL;
}

bool transaction_has_draft(const struct transaction *t)
{
    const struct transaction_version *last = last_version(t);

    return last && last->offset < 0;
}

bool transaction_is_free(const struct transaction *t)
{
    return transaction_is_written(t) &&
           !transaction_is_ending((enum transaction_state)t->value.state);
}

/* ---- the active part ---- */

enum err transaction_activate(struct transaction_coordinator *coordinator, struct transaction *t)
{
    struct transaction_active *active;

    if (t->active)
        return OK;
    active = ALLOCATOR_NEW(coordinator->allocator, struct transaction_active);
    if (!active)
        return ERR_NO_MEMORY;
    active->transaction = t;
    active->fence_epoch = -1;
    active->open_since_ms = -1;
    list_init(&active->due);
    list_init(&active->ongoing);
    list_init(&active->versions);
    list_init(&active->parked);
    t->active = active;
    return OK;
}

void transaction_settle(struct transaction_coordinator *coordinator, struct transaction *t)
{
    struct transaction_active *active = t->active;
    bool waits, is_ending, is_due;

    if (!active)
        return;
    waits = !list_is_empty(&active->parked);
    is_ending = transaction_is_ending((enum transaction_state)t->value.state);
    is_due = transaction_may_resume(t) ||
             (transaction_is_written(t) &&
              (t->value.state == TRANSACTION_DEAD || (is_ending && !active->marking)));
    list_remove(&active->due);
    if (is_due)
        list_push_back(&coordinator->due, &active->due);
    else if (transaction_is_written(t) && !waits && !active->marking &&
             transaction_is_at_rest((enum transaction_state)t->value.state))
        active_release(coordinator, t);
}

enum err transaction_index(struct transaction_coordinator *coordinator, struct transaction *t)
{
    enum transaction_state state = (enum transaction_state)transaction_latest(t)->state;

    if (state == TRANSACTION_ONGOING || transaction_is_ending(state))
        TRY(transaction_activate(coordinator, t));
    if (!t->active)
        return OK;
    list_remove(&t->active->ongoing);
    if (state == TRANSACTION_ONGOING)
        list_push_back(&coordinator->ongoing, &t->active->ongoing);
    else
        t->active->open_since_ms = -1;
    if (transaction_is_at_rest(state)) {
        /* Markers are written, and whatever the fence was about is over. */
        transaction_marking_release(coordinator, &t->active->marking);
        t->active->fence_epoch = -1;
        t->active->fence_failed = false;
    }
    transaction_settle(coordinator, t);
    return OK;
}

/* ---- versions ---- */

static enum err version_add(struct transaction_coordinator *coordinator, struct transaction *t,
                            const struct transaction_value *value, struct transaction_version **out)
{
    struct transaction_version *version;

    TRY(transaction_activate(coordinator, t));
    version = ALLOCATOR_NEW(coordinator->allocator, struct transaction_version);
    if (!version)
        return ERR_NO_MEMORY;
    version->transaction = t;
    version->value = *value;
    transaction_partitions_ref(version->value.partitions);
    version->offset = -1;
    version->log.position = HEAP_NOWHERE;
    list_init(&version->draft);
    list_push_back(&t->active->versions, &version->node);
    *out = version;
    return OK;
}

enum err transaction_write(struct transaction_call *call, struct transaction *t,
                           const struct transaction_value *to, bool fences)
{
    const struct transaction_value *from = transaction_latest(t);
    struct transaction_version *version;

    ASSERT(transaction_may_move((enum transaction_state)from->state,
                                (enum transaction_state)to->state));
    ASSERT(!transaction_has_draft(t));
    ASSERT(to->producer_id >= 0 && (to->epoch >= 0 || to->state == TRANSACTION_DEAD));
    LOG_TRACE(call->coordinator->logger, TRANSACTION_LOG, "transaction_moves",
              "transactional_id=%.*s from=%s to=%s producer_id=%lld epoch=%d",
              SLICE_ARGS(transaction_id(t)),
              transaction_state_name((enum transaction_state)from->state),
              transaction_state_name((enum transaction_state)to->state), (long long)to->producer_id,
              to->epoch);
    TRY(transaction_record(call, t, to));
    TRY(version_add(call->coordinator, t, to, &version));
    version->write = call->effects->write;
    version->fences = fences;
    list_push_back(&call->coordinator->drafts, &version->draft);
    transaction_settle(call->coordinator, t); /* not due any more */
    return OK;
}

enum err transaction_draft_replayed(struct transaction_coordinator *coordinator,
                                    struct transaction *t, int64_t offset)
{
    struct transaction_version *version = last_version(t);

    ASSERT(version && version->offset < 0);
    list_remove(&version->draft);
    version->offset = offset;
    t->last_offset = offset;
    TRY(heap_push(&coordinator->uncommitted, &version->log, offset));
    return transaction_index(coordinator, t);
}

enum err transaction_version_loaded(struct transaction_coordinator *coordinator,
                                    struct transaction *t)
{
    struct transaction_version *version;

    TRY(version_add(coordinator, t, &t->value, &version));
    version->offset = t->last_offset;
    return heap_push(&coordinator->uncommitted, &version->log, version->offset);
}

void transaction_versions_commit(struct transaction_coordinator *coordinator)
{
    struct heap_node *first;

    while ((first = heap_peek(&coordinator->uncommitted)) &&
           first->key < coordinator->committed_end) {
        struct transaction_version *version = CONTAINER_OF(first, struct transaction_version, log);
        struct transaction *t = version->transaction;
        struct transaction_value before = t->value;

        ASSERT(&version->node == t->active->versions.next);
        t->value = version->value;
        version->value.partitions = before.partitions;
        version_release(coordinator, version);
        transaction_settle(coordinator, t);
    }
}

enum err transaction_drafts_drop(struct transaction_call *call, uint64_t write, enum err err)
{
    struct transaction_coordinator *coordinator = call->coordinator;

    LIST_EACH_SAFE (node, &coordinator->drafts) {
        struct transaction_version *version = LIST_ITEM(node, struct transaction_version, draft);
        struct transaction *t = version->transaction;
        bool completes = t->active->marking != NULL; /* else Complete was replayed before it */

        if (version->write != write)
            continue;
        /* In force although it was not written: who had the old epoch stays fenced (§5). */
        if (version->fences && version->value.client_version < 2)
            t->active->fence_failed = true;
        version_release(coordinator, version);
        if (completes)
            transaction_markers_complete_again(coordinator, t);
        TRY(transaction_park_fail(call, t, write, err));
        transaction_settle(coordinator, t);
    }
    return OK;
}
