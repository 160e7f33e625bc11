/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/producer_update.c: the rules that an append must pass (KIP-98, KIP-890), and making it
 * part of the state.
 *
 * Each producer that the append touches gets a working copy without batches; rules read the copy
 * together with the state as it was at begin. Memory that apply will need is taken while checking:
 * entries of unknown producers stand in the map as pending, and nobody but the update sees them.
 */
#include "records/producer_internal.h"

#include "base/assert.h"
#include "base/bug.h"
#include "records/control_record.h"
#include "records/record.h"
#include "records/records_internal.h"

#define TRANSACTION_VERSION_BUMPS 2 /* every transaction ends in a new epoch (KIP-890) */

struct producer_update_entry {
    struct producer_entry *current; /* as before the append; pending: not known before */
    int64_t last_timestamp;
    int64_t transaction_first_offset;
    int32_t coordinator_epoch;
    int16_t epoch;
    uint8_t batch_count;
    bool drops_verification;
    struct producer_batch batches[PRODUCER_BATCHES_KEPT]; /* those of this append */
};

enum err producer_append_read(struct slice batch, struct producer_append *out)
{
    struct batch_header header;
    struct end_transaction_marker marker;
    struct record_walk walk;
    struct record record;
    bool more;

    TRY(batch_header_read(batch, &header));
    *out = (struct producer_append){
        .producer_id = header.producer_id,
        .epoch = header.producer_epoch,
        .first_sequence = header.base_sequence,
        .last_sequence = batch_last_sequence(&header),
        .first_offset = header.base_offset,
        .last_offset = batch_last_offset(&header),
        .timestamp = header.max_timestamp,
        .transactional = batch_is_transactional(&header),
        .control = batch_is_control(&header),
        .coordinator_epoch = -1,
    };
    if (!out->control || !batch_has_producer(&header))
        return OK;
    if (batch_codec(&header) != COMPRESSION_NONE)
        return ERR_INVALID_RECORD; /* nobody writes compressed markers */
    TRY(record_walk_begin(&walk, &header, batch_records(batch)));
    TRY(record_walk_next(&walk, &record, &more));
    if (!more)
        return OK; /* compaction took the marker away */
    TRY(end_transaction_marker_read(record.key, record.value, &marker));
    out->has_marker = true;
    out->is_abort = marker.is_abort;
    out->coordinator_epoch = marker.coordinator_epoch;
    out->timestamp = record.timestamp;
    return OK;
}

void producer_update_begin(struct producer_update *update, struct producer_state *state,
                           enum append_origin origin)
{
    ASSERT(state->pending_count == 0); /* one update at a time */
    *update = (struct producer_update){
        .state = state,
        .origin = origin,
        .change_count = state->change_count,
    };
}

/* ---- memory ---- */

/* One more item in a growing array of the update. */
static enum err array_reserve(struct allocator *allocator, void **items, size_t *capacity,
                              size_t count, size_t item_bytes)
{
    size_t wanted = *capacity == 0 ? 2 : 2 * *capacity;
    void *grown;

    if (count < *capacity)
        return OK;
    grown = allocator->resize(allocator, *items, *capacity * item_bytes, wanted * item_bytes);
    if (!grown)
        return ERR_NO_MEMORY;
    *items = grown;
    *capacity = wanted;
    return OK;
}

static enum err entry_open(struct producer_update *update, int64_t producer_id,
                           struct producer_update_entry **out)
{
    struct producer_state *state = update->state;
    struct producer_entry *current = producer_entry_find(state, producer_id);
    void *entries = update->entries;
    enum err err;

    if (current && current->update_index < update->entry_count &&
        update->entries[current->update_index].current == current) {
        *out = &update->entries[current->update_index];
        return OK;
    }
    err = array_reserve(state->allocator, &entries, &update->entry_capacity, update->entry_count,
                        sizeof *update->entries);
    update->entries = entries;
    TRY(err);
    if (!current)
        current = producer_entry_add(state, producer_id);
    if (!current)
        return ERR_NO_MEMORY;
    current->update_index = (uint32_t)update->entry_count;
    *out = &update->entries[update->entry_count++];
    **out = (struct producer_update_entry){
        .current = current,
        .last_timestamp = current->last_timestamp,
        .transaction_first_offset = current->transaction_first_offset,
        .coordinator_epoch = current->coordinator_epoch,
        .epoch = current->epoch,
    };
    return OK;
}

/* ---- rules ---- */

static bool find_duplicate(const struct producer_entry *entry, const struct producer_append *append,
                           struct producer_batch *out)
{
    if (entry->epoch != append->epoch)
        return false;
    for (uint8_t i = 0; i < entry->batch_count; i++) {
        const struct producer_batch *batch = &entry->batches[i];

        if (BUG_IS(one_batch_remembered) && i + 1 < entry->batch_count)
            continue;
        if (batch->last_sequence == append->last_sequence &&
            sequence_subtract(batch->last_sequence, batch->offset_delta) ==
                append->first_sequence) {
            *out = *batch;
            return true;
        }
    }
    return false;
}

/* A leader writes transactional records only when the coordinator knows the transaction. */
static enum err membership_check(const struct producer_update *update,
                                 const struct producer_append *append, struct why *why)
{
    const struct producer_state *state = update->state;
    const struct producer_entry *entry = producer_state_find(state, append->producer_id);
    uint64_t guard;

    if (!append->transactional ||
        producer_state_has_open_transaction(state, append->producer_id, append->epoch))
        return OK;
    if (entry && append->epoch < entry->epoch)
        return why_set(why, ERR_INVALID_PRODUCER_EPOCH, "epoch %d of producer %lld, seen %d",
                       append->epoch, (long long)append->producer_id, entry->epoch);
    if (!update->verification_required || append->control)
        return OK;
    guard = producer_verification_guard(state, append->producer_id);
    if (guard == 0 || guard != update->guard)
        return why_set(why, ERR_INVALID_TXN_STATE,
                       "producer %lld has no verified transaction on the partition",
                       (long long)append->producer_id);
    return OK;
}

/* Replicas and recovery take what a leader once took. */
static bool origin_is_strict(enum append_origin origin)
{
    return origin != APPEND_ORIGIN_REPLICATION;
}

static enum err data_epoch_check(const struct producer_update *update,
                                 const struct producer_update_entry *entry,
                                 const struct producer_append *append, struct why *why)
{
    if (append->epoch >= entry->epoch || !origin_is_strict(update->origin) ||
        BUG_IS(producer_epoch_not_fenced))
        return OK;
    return why_set(why, ERR_INVALID_PRODUCER_EPOCH, "epoch %d of producer %lld, seen %d",
                   append->epoch, (long long)append->producer_id, entry->epoch);
}

static enum err marker_epoch_check(const struct producer_update *update,
                                   const struct producer_update_entry *entry,
                                   const struct producer_append *append, struct why *why)
{
    bool bumps = update->transaction_version >= TRANSACTION_VERSION_BUMPS &&
                 origin_is_strict(update->origin);
    bool is_old = bumps ? append->epoch <= entry->epoch : append->epoch < entry->epoch;

    if (!is_old || !origin_is_strict(update->origin))
        return OK;
    /* The same marker again, after its answer was lost: the transaction is closed already. At the
     * highest epoch there is no next one to bump to. */
    if (bumps && append->epoch == entry->epoch &&
        (entry->transaction_first_offset == -1 || append->epoch == INT16_MAX))
        return OK;
    return why_set(why, ERR_INVALID_PRODUCER_EPOCH, "marker epoch %d of producer %lld, seen %d",
                   append->epoch, (long long)append->producer_id, entry->epoch);
}

static bool sequence_follows(int32_t last, int32_t next)
{
    return (int64_t)next == (int64_t)last + 1 ||
           (next == 0 && last == INT32_MAX && !BUG_IS(sequence_does_not_wrap));
}

static enum err sequence_err(const struct producer_append *append, int32_t expected_after,
                             struct why *why)
{
    return why_set(why, ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                   "sequence %d of producer %lld in epoch %d, the last one is %d",
                   append->first_sequence, (long long)append->producer_id, append->epoch,
                   expected_after);
}

static enum err sequence_check(const struct producer_update *update,
                               const struct producer_update_entry *entry,
                               const struct producer_append *append, struct why *why)
{
    const struct producer_entry *current = entry->current;
    const struct verification *verification = verification_find(update->state, append->producer_id);
    int32_t last = SEQUENCE_NONE;

    /* KIP-890: with nothing known here a new-style producer starts at 0, and a batch that came late
     * may not overtake the first one that asked. */
    if (verification && verification->supports_epoch_bump && append->first_sequence != 0 &&
        current->batch_count == 0)
        return sequence_err(append, SEQUENCE_NONE, why);
    if (verification && append->first_sequence > verification->lowest_sequence)
        return sequence_err(append, verification->lowest_sequence - 1, why);
    if (append->epoch != entry->epoch) {
        if (BUG_IS(epoch_kept_of_refused) && append->epoch > entry->epoch)
            entry->current->epoch = append->epoch;
        if (append->first_sequence != 0 && entry->epoch != PRODUCER_EPOCH_NONE)
            return sequence_err(append, SEQUENCE_NONE, why);
        return OK;
    }
    if (entry->batch_count > 0)
        last = entry->batches[entry->batch_count - 1].last_sequence;
    else if (append->epoch == current->epoch)
        last = producer_entry_last_sequence(current);
    if (current->epoch != PRODUCER_EPOCH_NONE && !sequence_follows(last, append->first_sequence))
        return sequence_err(append, last, why);
    return OK;
}

/* ---- the working copy ---- */

static void entry_set_epoch(struct producer_update_entry *entry, int16_t epoch)
{
    if (entry->epoch == epoch)
        return;
    entry->epoch = epoch;
    entry->batch_count = 0;
}

static void entry_push(struct producer_update_entry *entry, const struct producer_batch *batch)
{
    if (entry->batch_count == PRODUCER_BATCHES_KEPT) {
        memmove(entry->batches, entry->batches + 1,
                (PRODUCER_BATCHES_KEPT - 1) * sizeof *entry->batches);
        entry->batch_count--;
    }
    entry->batches[entry->batch_count++] = *batch;
}

static enum err started_add(struct producer_update *update, const struct producer_append *append)
{
    struct producer_state *state = update->state;
    void *started = update->started;
    enum err err = array_reserve(state->allocator, &started, &update->started_capacity,
                                 update->started_count, sizeof *update->started);

    update->started = started;
    TRY(err);
    TRY(transactions_reserve(state->allocator, &state->ongoing, update->started_count + 1));
    update->started[update->started_count++] = (struct producer_transaction){
        .first_offset = append->first_offset,
        .last_offset = -1,
        .producer_id = append->producer_id,
    };
    return OK;
}

static enum err data_add(struct producer_update *update, struct producer_update_entry *entry,
                         const struct producer_append *append, struct why *why)
{
    struct producer_batch batch = {
        .last_offset = append->last_offset,
        .timestamp = append->timestamp,
        .last_sequence = append->last_sequence,
        .offset_delta = (int32_t)wrap_subtract(append->last_offset, append->first_offset),
    };

    TRY(data_epoch_check(update, entry, append, why));
    if (update->origin == APPEND_ORIGIN_CLIENT)
        TRY(sequence_check(update, entry, append, why));
    if (entry->transaction_first_offset != -1 && !append->transactional)
        return why_set(why, ERR_INVALID_TXN_STATE,
                       "producer %lld has an open transaction: the batch must be part of it",
                       (long long)append->producer_id);
    entry_set_epoch(entry, append->epoch);
    entry_push(entry, &batch);
    entry->last_timestamp = append->timestamp;
    TRY(producer_entry_reserve(update->state, entry->current,
                               (size_t)entry->current->batch_count + entry->batch_count));
    if (append->transactional && entry->transaction_first_offset == -1) {
        TRY(started_add(update, append));
        entry->transaction_first_offset = append->first_offset;
    }
    return OK;
}

static enum err completed_add(struct producer_update *update,
                              const struct producer_update_entry *entry,
                              const struct producer_append *append)
{
    struct producer_state *state = update->state;
    void *completed = update->completed;
    enum err err = array_reserve(state->allocator, &completed, &update->completed_capacity,
                                 update->completed_count, sizeof *update->completed);

    update->completed = completed;
    TRY(err);
    TRY(transactions_reserve(state->allocator, &state->unreplicated, update->completed_count + 1));
    update->completed[update->completed_count++] = (struct producer_completed){
        .producer_id = append->producer_id,
        .first_offset = entry->transaction_first_offset,
        .last_offset = append->first_offset,
        .last_stable_offset = -1,
        .aborted = append->is_abort,
    };
    return OK;
}

static enum err marker_add(struct producer_update *update, struct producer_update_entry *entry,
                           const struct producer_append *append, struct why *why)
{
    TRY(marker_epoch_check(update, entry, append, why));
    if (append->coordinator_epoch < entry->coordinator_epoch && origin_is_strict(update->origin))
        return why_set(why, ERR_TRANSACTION_COORDINATOR_FENCED,
                       "coordinator epoch %d of producer %lld, seen %d", append->coordinator_epoch,
                       (long long)append->producer_id, entry->coordinator_epoch);
    if (entry->transaction_first_offset != -1)
        TRY(completed_add(update, entry, append));
    entry_set_epoch(entry, append->epoch);
    entry->coordinator_epoch = append->coordinator_epoch;
    entry->transaction_first_offset = -1;
    entry->last_timestamp = append->timestamp;
    return OK;
}

/* A verification has served once its transaction has begun or ended here, unless the marker ends
 * the transaction before the one that is being verified. */
static bool verification_has_served(const struct producer_state *state,
                                    const struct producer_append *append)
{
    const struct verification *verification = verification_find(state, append->producer_id);

    if (!append->transactional || !verification)
        return false;
    return !(verification->supports_epoch_bump && append->control &&
             append->epoch == verification->epoch);
}

enum err producer_update_add(struct producer_update *update, const struct producer_append *append,
                             struct why *why)
{
    const struct producer_entry *known;
    struct producer_update_entry *entry;

    ASSERT(!update->is_duplicate);
    if (append->producer_id == PRODUCER_ID_NONE || (append->control && !append->has_marker))
        return OK;
    known = producer_state_find(update->state, append->producer_id);
    if (update->origin == APPEND_ORIGIN_CLIENT && known &&
        find_duplicate(known, append, &update->duplicate)) {
        update->is_duplicate = true;
        update->duplicate_first_offset =
            wrap_subtract(update->duplicate.last_offset, update->duplicate.offset_delta);
        return OK;
    }
    if (update->origin == APPEND_ORIGIN_CLIENT || update->origin == APPEND_ORIGIN_COORDINATOR)
        TRY(membership_check(update, append, why));
    TRY(entry_open(update, append->producer_id, &entry));
    if (append->control)
        TRY(marker_add(update, entry, append, why));
    else
        TRY(data_add(update, entry, append, why));
    if (verification_has_served(update->state, append))
        entry->drops_verification = true;
    return OK;
}

/* ---- apply ---- */

static void entry_apply(struct producer_state *state, const struct producer_update_entry *entry)
{
    struct producer_entry *current = entry->current;

    if (current->epoch != entry->epoch) {
        current->epoch = entry->epoch;
        current->batch_count = 0;
    }
    for (uint8_t i = 0; i < entry->batch_count; i++)
        producer_entry_push(current, &entry->batches[i]);
    current->coordinator_epoch = entry->coordinator_epoch;
    current->transaction_first_offset = entry->transaction_first_offset;
    current->last_timestamp = entry->last_timestamp;
    if (current->is_pending) {
        current->is_pending = false;
        state->pending_count--;
    }
    if (entry->drops_verification) {
        struct verification *verification = verification_find(state, current->producer_id);

        if (verification)
            verification_remove(state, verification);
    }
}

/* What a reader must not pass once this transaction is decided: the oldest one still open. */
static int64_t completed_stable_offset(const struct producer_state *state,
                                       const struct producer_completed *completed)
{
    for (size_t i = 0; i < state->ongoing.count; i++)
        if (state->ongoing.items[i].producer_id != completed->producer_id)
            return state->ongoing.items[i].first_offset;
    return wrap_add(completed->last_offset, 1);
}

static void completed_apply(struct producer_state *state, struct producer_completed *completed)
{
    struct producer_transactions *ongoing = &state->ongoing;
    struct producer_transaction done;
    size_t at = 0;

    completed->last_stable_offset = completed_stable_offset(state, completed);
    ASSERT(ongoing->count > 0);
    while (ongoing->items[at].first_offset != completed->first_offset ||
           ongoing->items[at].producer_id != completed->producer_id) {
        at++;
        ASSERT(at < ongoing->count); /* invariant 1 of producer_state.c */
    }
    done = ongoing->items[at];
    done.last_offset = completed->last_offset;
    memmove(ongoing->items + at, ongoing->items + at + 1,
            (ongoing->count - at - 1) * sizeof *ongoing->items);
    ongoing->count--;
    transactions_insert(&state->unreplicated, done);
    state->unreplicated_marker_min = MIN(state->unreplicated_marker_min, done.last_offset);
}

void producer_update_apply(struct producer_update *update)
{
    struct producer_state *state = update->state;

    ASSERT(!update->is_duplicate);
    ASSERT(update->change_count == state->change_count);
    for (size_t i = 0; i < update->entry_count; i++)
        entry_apply(state, &update->entries[i]);
    for (size_t i = 0; i < update->started_count; i++)
        transactions_insert(&state->ongoing, update->started[i]);
    for (size_t i = 0; i < update->completed_count; i++)
        completed_apply(state, &update->completed[i]);
    update->entry_count = 0; /* nothing of it is pending any more */
    state->change_count++;
    ASSERT(state->pending_count == 0);
}

void producer_update_discard(struct producer_update *update)
{
    struct producer_state *state = update->state;
    struct allocator *allocator = state->allocator;

    for (size_t i = 0; i < update->entry_count && state->pending_count > 0; i++)
        if (update->entries[i].current->is_pending)
            producer_entry_remove(state, update->entries[i].current);
    allocator->release(allocator, update->entries,
                       update->entry_capacity * sizeof *update->entries);
    allocator->release(allocator, update->started,
                       update->started_capacity * sizeof *update->started);
    allocator->release(allocator, update->completed,
                       update->completed_capacity * sizeof *update->completed);
    update->entries = NULL;
    update->started = NULL;
    update->completed = NULL;
    update->entry_count = update->started_count = update->completed_count = 0;
    update->entry_capacity = update->started_capacity = update->completed_capacity = 0;
}
