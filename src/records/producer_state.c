/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/producer_state.c: the producers of a partition, their transactions and what moves the
 * last stable offset. The rules of an append are in producer_update.c.
 * Invariants  1. `ongoing` holds exactly the open transactions of `producers`; both lists ascend by
 *                first offset.
 *             2. a transaction leaves `unreplicated` when its marker is below the high watermark.
 */
#include "records/producer_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "records/records_internal.h"

#define LATE_TRANSACTION_SLACK_MS (5 * 60 * 1000)

struct id_key {
    int64_t producer_id;
};

static bool producer_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, struct producer_entry, node)->producer_id ==
           ((const struct id_key *)key)->producer_id;
}

static bool verification_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, struct verification, node)->producer_id ==
           ((const struct id_key *)key)->producer_id;
}

void producer_state_init(struct producer_state *state, struct allocator *allocator)
{
    *state = (struct producer_state){
        .allocator = allocator,
        .unreplicated_marker_min = INT64_MAX,
    };
    hash_map_init(&state->producers, allocator, producer_matches);
    hash_map_init(&state->verifications, allocator, verification_matches);
}

/* ---- entries ---- */

int32_t producer_entry_last_sequence(const struct producer_entry *entry)
{
    return entry->batch_count == 0 ? SEQUENCE_NONE
                                   : entry->batches[entry->batch_count - 1].last_sequence;
}

struct producer_entry *producer_entry_find(const struct producer_state *state, int64_t producer_id)
{
    struct id_key key = {producer_id};
    struct hash_map_node *node =
        hash_map_find(&state->producers, hash_u64((uint64_t)producer_id), &key);

    return node ? CONTAINER_OF(node, struct producer_entry, node) : NULL;
}

struct producer_entry *producer_entry_add(struct producer_state *state, int64_t producer_id)
{
    struct producer_entry *entry = ALLOCATOR_NEW(state->allocator, struct producer_entry);

    if (!entry)
        return NULL;
    entry->producer_id = producer_id;
    entry->last_timestamp = TIMESTAMP_NONE;
    entry->transaction_first_offset = -1;
    entry->coordinator_epoch = -1;
    entry->epoch = PRODUCER_EPOCH_NONE;
    entry->is_pending = true;
    if (hash_map_insert(&state->producers, hash_u64((uint64_t)producer_id), &entry->node) != OK) {
        ALLOCATOR_DELETE(state->allocator, entry);
        return NULL;
    }
    state->pending_count++;
    return entry;
}

void producer_entry_remove(struct producer_state *state, struct producer_entry *entry)
{
    hash_map_remove(&state->producers, &entry->node);
    if (entry->is_pending)
        state->pending_count--;
    state->allocator->release(state->allocator, entry->batches,
                              entry->batch_capacity * sizeof *entry->batches);
    ALLOCATOR_DELETE(state->allocator, entry);
}

enum err producer_entry_reserve(struct producer_state *state, struct producer_entry *entry,
                                size_t count)
{
    struct producer_batch *batches;

    count = MIN(count, PRODUCER_BATCHES_KEPT);
    if (count <= entry->batch_capacity)
        return OK;
    if (count > 1) /* who sent two sends more */
        count = PRODUCER_BATCHES_KEPT;
    batches =
        state->allocator->resize(state->allocator, entry->batches,
                                 entry->batch_capacity * sizeof *batches, count * sizeof *batches);
    if (!batches)
        return ERR_NO_MEMORY;
    entry->batches = batches;
    entry->batch_capacity = (uint8_t)count;
    return OK;
}

void producer_entry_push(struct producer_entry *entry, const struct producer_batch *batch)
{
    if (entry->batch_count == PRODUCER_BATCHES_KEPT) {
        memmove(entry->batches, entry->batches + 1,
                (PRODUCER_BATCHES_KEPT - 1) * sizeof *entry->batches);
        entry->batch_count--;
    }
    ASSERT(entry->batch_count < entry->batch_capacity);
    entry->batches[entry->batch_count++] = *batch;
}

static void producers_clear(struct producer_state *state)
{
    HASH_MAP_EACH_SAFE (node, &state->producers)
        producer_entry_remove(state, HASH_MAP_ITEM(node, struct producer_entry, node));
}

void producer_state_clear(struct producer_state *state, int64_t end_offset)
{
    producers_clear(state);
    state->ongoing.count = 0;
    state->unreplicated.count = 0;
    state->unreplicated_marker_min = INT64_MAX;
    state->end_offset = end_offset;
    state->change_count++;
}

static void transactions_release(struct producer_state *state, struct producer_transactions *list)
{
    state->allocator->release(state->allocator, list->items, list->capacity * sizeof *list->items);
    *list = (struct producer_transactions){NULL, 0, 0};
}

void producer_state_release(struct producer_state *state)
{
    producer_state_clear(state, 0);
    HASH_MAP_EACH_SAFE (node, &state->verifications)
        verification_remove(state, HASH_MAP_ITEM(node, struct verification, node));
    hash_map_release(&state->producers);
    hash_map_release(&state->verifications);
    transactions_release(state, &state->ongoing);
    transactions_release(state, &state->unreplicated);
}

/* ---- transactions ---- */

enum err transactions_reserve(struct allocator *allocator, struct producer_transactions *list,
                              size_t more)
{
    size_t capacity = MAX(list->capacity, 4);
    struct producer_transaction *items;

    while (capacity < list->count + more)
        capacity *= 2;
    if (capacity == list->capacity)
        return OK;
    items = allocator->resize(allocator, list->items, list->capacity * sizeof *items,
                              capacity * sizeof *items);
    if (!items)
        return ERR_NO_MEMORY;
    list->items = items;
    list->capacity = capacity;
    return OK;
}

void transactions_insert(struct producer_transactions *list, struct producer_transaction item)
{
    size_t at = list->count;

    ASSERT(list->count < list->capacity);
    while (at > 0 && list->items[at - 1].first_offset > item.first_offset)
        at--;
    memmove(list->items + at + 1, list->items + at, (list->count - at) * sizeof *list->items);
    list->items[at] = item;
    list->count++;
}

int64_t producer_state_first_undecided_offset(const struct producer_state *state)
{
    return state->ongoing.count == 0 ? -1 : state->ongoing.items[0].first_offset;
}

int64_t producer_state_first_unstable_offset(const struct producer_state *state)
{
    int64_t undecided = producer_state_first_undecided_offset(state);
    int64_t unreplicated = state->unreplicated.count == 0 || BUG_IS(stable_before_marker_commits)
                               ? -1
                               : state->unreplicated.items[0].first_offset;

    if (undecided == -1 || unreplicated == -1)
        return MAX(undecided, unreplicated);
    return MIN(undecided, unreplicated);
}

int64_t producer_state_last_stable_offset(const struct producer_state *state,
                                          int64_t high_watermark, int64_t log_start_offset)
{
    int64_t unstable = producer_state_first_unstable_offset(state);

    if (unstable == -1)
        return high_watermark;
    return MIN(MAX(unstable, log_start_offset), high_watermark);
}

/* Drops completed transactions whose marker is below the offset. */
static void unreplicated_trim(struct producer_state *state, int64_t offset)
{
    struct producer_transactions *list = &state->unreplicated;
    int64_t marker_min = INT64_MAX;
    size_t kept = 0;

    if (offset <= state->unreplicated_marker_min)
        return;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].last_offset < offset)
            continue;
        marker_min = MIN(marker_min, list->items[i].last_offset);
        list->items[kept++] = list->items[i];
    }
    list->count = kept;
    state->unreplicated_marker_min = marker_min;
    state->change_count++;
}

void producer_state_set_high_watermark(struct producer_state *state, int64_t high_watermark)
{
    unreplicated_trim(state, high_watermark);
}

void producer_state_set_log_start(struct producer_state *state, int64_t log_start_offset)
{
    unreplicated_trim(state, log_start_offset);
    state->end_offset = MAX(state->end_offset, log_start_offset);
}

void producer_state_set_end_offset(struct producer_state *state, int64_t end_offset)
{
    state->end_offset = end_offset;
}

bool producer_state_has_late_transaction(const struct producer_state *state, int64_t now_ms,
                                         int64_t transaction_timeout_max_ms)
{
    const struct producer_entry *entry;

    if (state->ongoing.count == 0)
        return false;
    entry = producer_state_find(state, state->ongoing.items[0].producer_id);
    ASSERT(entry); /* invariant 1 */
    return entry->last_timestamp > 0 &&
           now_ms - entry->last_timestamp > transaction_timeout_max_ms + LATE_TRANSACTION_SLACK_MS;
}

/* ---- reading ---- */

const struct producer_entry *producer_state_find(const struct producer_state *state,
                                                 int64_t producer_id)
{
    const struct producer_entry *entry = producer_entry_find(state, producer_id);

    return entry && !entry->is_pending ? entry : NULL;
}

size_t producer_state_count(const struct producer_state *state)
{
    return state->producers.count - state->pending_count;
}

const struct producer_entry *producer_state_next(const struct producer_state *state,
                                                 const struct producer_entry *previous)
{
    const struct list_node *at = previous ? &previous->node.order : &state->producers.order;

    for (at = at->next; at != &state->producers.order; at = at->next) {
        const struct hash_map_node *node = CONTAINER_OF(at, struct hash_map_node, order);
        const struct producer_entry *entry = CONTAINER_OF(node, struct producer_entry, node);

        if (!entry->is_pending)
            return entry;
    }
    return NULL;
}

bool producer_state_has_open_transaction(const struct producer_state *state, int64_t producer_id,
                                         int16_t epoch)
{
    const struct producer_entry *entry = producer_state_find(state, producer_id);

    return entry && entry->transaction_first_offset != -1 && entry->epoch == epoch;
}

/* ---- verification ---- */

struct verification *verification_find(const struct producer_state *state, int64_t producer_id)
{
    struct id_key key = {producer_id};
    struct hash_map_node *node =
        hash_map_find(&state->verifications, hash_u64((uint64_t)producer_id), &key);

    return node ? CONTAINER_OF(node, struct verification, node) : NULL;
}

void verification_remove(struct producer_state *state, struct verification *verification)
{
    hash_map_remove(&state->verifications, &verification->node);
    ALLOCATOR_DELETE(state->allocator, verification);
}

static struct verification *verification_add(struct producer_state *state, int64_t producer_id)
{
    struct verification *verification = ALLOCATOR_NEW(state->allocator, struct verification);

    if (!verification)
        return NULL;
    verification->producer_id = producer_id;
    verification->guard = ++state->last_guard;
    if (hash_map_insert(&state->verifications, hash_u64((uint64_t)producer_id),
                        &verification->node) != OK) {
        ALLOCATOR_DELETE(state->allocator, verification);
        return NULL;
    }
    return verification;
}

enum err producer_verification_begin(struct producer_state *state, int64_t producer_id,
                                     int16_t epoch, int32_t sequence, bool supports_epoch_bump,
                                     int64_t now_ms, uint64_t *guard_out)
{
    const struct producer_entry *entry = producer_state_find(state, producer_id);
    struct verification *verification;

    *guard_out = 0;
    if (entry && epoch < entry->epoch)
        return ERR_INVALID_PRODUCER_EPOCH;
    if (producer_state_has_open_transaction(state, producer_id, epoch))
        return OK;
    verification = verification_find(state, producer_id);
    if (!verification) {
        verification = verification_add(state, producer_id);
        if (!verification)
            return ERR_NO_MEMORY;
        verification->created_ms = now_ms;
        verification->lowest_sequence = sequence;
        verification->epoch = epoch;
        verification->supports_epoch_bump = supports_epoch_bump;
    } else if (epoch == verification->epoch) {
        verification->lowest_sequence = MIN(verification->lowest_sequence, sequence);
    } else if (epoch > verification->epoch) {
        verification->epoch = epoch;
        verification->lowest_sequence = sequence;
    }
    *guard_out = verification->guard;
    return OK;
}

uint64_t producer_verification_guard(const struct producer_state *state, int64_t producer_id)
{
    const struct verification *verification = verification_find(state, producer_id);

    return verification ? verification->guard : 0;
}

/* ---- expiry ---- */

void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms)
{
    HASH_MAP_EACH_SAFE (node, &state->producers) {
        struct producer_entry *entry = HASH_MAP_ITEM(node, struct producer_entry, node);

        ASSERT(!entry->is_pending); /* no update is under way */
        if (entry->transaction_first_offset == -1 &&
            wrap_subtract(now_ms, entry->last_timestamp) >= expiration_ms) {
            producer_entry_remove(state, entry);
            state->change_count++;
        }
    }
    HASH_MAP_EACH_SAFE (node, &state->verifications) {
        struct verification *verification = HASH_MAP_ITEM(node, struct verification, node);

        if (now_ms - verification->created_ms >= expiration_ms)
            verification_remove(state, verification);
    }
}
