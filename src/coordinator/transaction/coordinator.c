/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/coordinator.c: the transaction coordinator of one partition: its life, the way
 * of a request to its handler, what goes on when something was committed, ticks, and views.
 * Threads     one.
 */
#include "coordinator/transaction_internal.h"

/* Ids that one call goes on with, as long as they yield markers only. */
#define STEP_DUE 64

void transaction_options_init(struct transaction_options *options)
{
    *options = (struct transaction_options){
        .timeout_max_ms = 900000,
        .id_expiration_ms = 604800000,
        .abort_scan_interval_ms = 10000,
        .expire_scan_interval_ms = 3600000,
    };
}

/* ---- life ---- */

static bool transaction_matches(const struct hash_map_node *node, const void *key)
{
    return slice_equal(transaction_id(CONTAINER_OF(node, const struct transaction, node)),
                       *(const struct slice *)key);
}

static bool parked_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, const struct transaction_parked, by_token)->request.token ==
           *(const uint64_t *)key;
}

enum err transaction_coordinator_create(struct allocator *allocator,
                                        const struct transaction_options *options,
                                        int32_t coordinator_epoch, struct logger *logger,
                                        struct transaction_coordinator **out)
{
    struct transaction_coordinator *coordinator =
        ALLOCATOR_NEW(allocator, struct transaction_coordinator);

    *out = coordinator;
    if (!coordinator)
        return ERR_NO_MEMORY;
    coordinator->allocator = allocator;
    coordinator->logger = logger;
    coordinator->options = *options;
    coordinator->coordinator_epoch = coordinator_epoch;
    hash_map_init(&coordinator->transactions, allocator, transaction_matches);
    hash_map_init(&coordinator->parked, allocator, parked_matches);
    transaction_tickets_init(coordinator);
    heap_init(&coordinator->uncommitted, allocator);
    heap_init(&coordinator->park_deadlines, allocator);
    list_init(&coordinator->drafts);
    list_init(&coordinator->due);
    list_init(&coordinator->ongoing);
    list_init(&coordinator->orphans);
    return OK;
}

void transaction_coordinator_release(struct transaction_coordinator **coordinator)
{
    struct transaction_coordinator *old = TAKE(*coordinator);

    if (!old)
        return;
    LIST_EACH_SAFE (node, &old->orphans) {
        struct transaction_parked *parked = LIST_ITEM(node, struct transaction_parked, node);

        transaction_parked_release(old, &parked);
    }
    HASH_MAP_EACH_SAFE (node, &old->transactions)
        transaction_remove(old, HASH_MAP_ITEM(node, struct transaction, node));
    ASSERT(old->parked.count == 0 && old->tickets.count == 0 && old->uncommitted.count == 0);
    hash_map_release(&old->transactions);
    hash_map_release(&old->parked);
    hash_map_release(&old->tickets);
    heap_release(&old->uncommitted);
    heap_release(&old->park_deadlines);
    ALLOCATOR_DELETE(old->allocator, old);
}

void transaction_coordinator_set_options(struct transaction_coordinator *coordinator,
                                         const struct transaction_options *options)
{
    int64_t now_ms = coordinator->now_ms;

    coordinator->options = *options;
    coordinator->overdue_at_ms =
        MIN(coordinator->overdue_at_ms, now_ms + options->abort_scan_interval_ms);
    coordinator->expire_at_ms =
        MIN(coordinator->expire_at_ms, now_ms + options->expire_scan_interval_ms);
}

struct transaction_call transaction_call_of(struct transaction_coordinator *coordinator,
                                            const struct coordinator_request *request,
                                            const struct coordinator_moment *moment,
                                            struct coordinator_effects *effects)
{
    ASSERT(coordinator->loaded);
    ASSERT(effects->write == 0);                 /* one write of one call */
    ASSERT(list_is_empty(&coordinator->drafts)); /* the last one was replayed or refused */
    coordinator->now_ms = moment->now_ms;
    coordinator->wall_ms = moment->wall_ms;
    return (struct transaction_call){
        .coordinator = coordinator,
        .request = request,
        .moment = moment,
        .effects = effects,
        .arena = effects->arena,
    };
}

enum err transaction_coordinator_loaded(struct transaction_coordinator *coordinator,
                                        const struct coordinator_moment *moment,
                                        struct coordinator_effects *effects)
{
    struct transaction_call call;
    size_t ending = 0, ongoing = 0;

    ASSERT(!coordinator->loaded);
    coordinator->loaded = true;
    call = transaction_call_of(coordinator, NULL, moment, effects);
    HASH_MAP_EACH (node, &coordinator->transactions) {
        struct transaction *t = HASH_MAP_ITEM(node, struct transaction, node);

        if (t->last_offset >= coordinator->committed_end)
            TRY(transaction_version_loaded(coordinator, t));
        ongoing += t->value.state == TRANSACTION_ONGOING;
        ending += transaction_is_ending((enum transaction_state)t->value.state);
        TRY(transaction_index(coordinator, t));
    }
    transaction_scans_start(call.coordinator);
    LOG_INFO(coordinator->logger, TRANSACTION_LOG, "transaction_coordinator_loaded",
             "coordinator_epoch=%d transactional_ids=%zu ongoing=%zu ending=%zu uncommitted=%zu",
             coordinator->coordinator_epoch, coordinator->transactions.count, ongoing, ending,
             coordinator->uncommitted.count);
    return OK;
}

void transaction_coordinator_committed(struct transaction_coordinator *coordinator, int64_t offset)
{
    if (offset <= coordinator->committed_end)
        return;
    coordinator->committed_end = offset;
    transaction_versions_commit(coordinator);
}

/* ---- what is due ---- */

/* The id was taken off the list. */
static enum err go_on(struct transaction_call *call, struct transaction *t)
{
    struct transaction_coordinator *coordinator = call->coordinator;

    if (t->value.state == TRANSACTION_DEAD) {
        transaction_orphan(coordinator, t);
        transaction_remove(coordinator, t);
        return OK;
    }
    if (transaction_is_written(t) && transaction_is_ending((enum transaction_state)t->value.state))
        return transaction_markers_begin(call, t);
    return transaction_resume(call, t);
}

/* A write must be replayed before anything else happens; an answer that waits for the log must not wait
 * for the next one's write. */
static bool is_full(const struct transaction_call *call)
{
    return call->effects->write != 0 || call->effects->reply_count > 0;
}

static enum err due_run(struct transaction_call *call)
{
    struct transaction_coordinator *coordinator = call->coordinator;

    for (size_t i = 0; i < STEP_DUE && !is_full(call); i++) {
        struct list_node *first;

        if (!list_is_empty(&coordinator->orphans)) {
            TRY(transaction_resume_orphan(call));
            continue;
        }
        first = list_pop_front(&coordinator->due);
        if (!first)
            break;
        TRY(go_on(call, LIST_ITEM(first, struct transaction_active, due)->transaction));
    }
    return OK;
}

enum err transaction_coordinator_write_ended(struct transaction_coordinator *coordinator,
                                             uint64_t write, enum err err,
                                             const struct coordinator_moment *moment,
                                             struct coordinator_effects *effects)
{
    struct transaction_call call;

    if (err == OK) {
        /* A commit that comes in while the newest write is being appended: the tick goes on. */
        if (!list_is_empty(&coordinator->drafts))
            return OK;
        call = transaction_call_of(coordinator, NULL, moment, effects);
        return due_run(&call);
    }
    /* Only what was refused is a draft still; what was not committed in time stays. */
    call = (struct transaction_call){
        .coordinator = coordinator,
        .moment = moment,
        .effects = effects,
        .arena = effects->arena,
    };
    coordinator->now_ms = moment->now_ms;
    coordinator->wall_ms = moment->wall_ms;
    return transaction_drafts_drop(&call, write, err);
}

/* ---- requests ---- */

enum err transaction_producer_id(struct transaction_call *call, int64_t *out, enum err *told)
{
    const struct coordinator_moment *moment = call->moment;

    ASSERT(moment->producer_id_take != NULL);
    *told = moment->producer_id_take(moment->producer_id_context, out);
    ASSERT(*told != OK || *out >= 0);
    return *told == ERR_NO_MEMORY ? ERR_NO_MEMORY : OK;
}

enum err transaction_dispatch(struct transaction_call *call)
{
    const struct coordinator_request *request = call->request;

    switch (request->api_key) {
    case API_INIT_PRODUCER_ID:
        return transaction_handle_init(call, request->body);
    case API_ADD_PARTITIONS_TO_TXN:
        return transaction_handle_add(call, request->body);
    case API_END_TXN:
        return transaction_handle_end(call, request->body);
    case API_DESCRIBE_TRANSACTIONS:
        return transaction_handle_describe(call, *(const struct slice *)request->body);
    default:
        ASSERT(request->api_key == API_LIST_TRANSACTIONS);
        return transaction_handle_list(call, request->body);
    }
}

enum err transaction_coordinator_handle(struct transaction_coordinator *coordinator,
                                        const struct coordinator_request *request,
                                        const struct coordinator_moment *moment,
                                        struct coordinator_effects *effects)
{
    struct transaction_call call = transaction_call_of(coordinator, request, moment, effects);

    return transaction_dispatch(&call);
}

/* ---- time ---- */

static int64_t park_deadline_ms(const struct transaction_coordinator *coordinator)
{
    const struct heap_node *first = heap_peek(&coordinator->park_deadlines);

    return first ? first->key : INT64_MAX;
}

int64_t transaction_coordinator_deadline_ms(const struct transaction_coordinator *coordinator)
{
    int64_t deadline_ms;

    if (!coordinator->loaded)
        return INT64_MAX;
    if (coordinator->due.next != &coordinator->due ||
        coordinator->orphans.next != &coordinator->orphans)
        return coordinator->now_ms;
    deadline_ms = MIN(transaction_markers_deadline_ms(coordinator), park_deadline_ms(coordinator));
    return MIN(deadline_ms, transaction_scans_deadline_ms(coordinator));
}

enum err transaction_coordinator_tick(struct transaction_coordinator *coordinator,
                                      const struct coordinator_moment *moment,
                                      struct coordinator_effects *effects)
{
    struct transaction_call call = transaction_call_of(coordinator, NULL, moment, effects);

    TRY(due_run(&call));
    for (size_t i = 0; i < STEP_DUE && !is_full(&call) &&
                       transaction_markers_deadline_ms(coordinator) <= moment->now_ms;
         i++)
        TRY(transaction_markers_retry(&call));
    for (size_t i = 0; i < STEP_DUE && call.effects->write == 0 &&
                       park_deadline_ms(coordinator) <= moment->now_ms;
         i++)
        TRY(transaction_park_time_out(&call));
    if (!is_full(&call))
        TRY(transaction_scan_overdue(&call));
    if (!is_full(&call))
        TRY(transaction_scan_expired(&call));
    return OK;
}

/* ---- views ---- */

void transaction_coordinator_each(const struct transaction_coordinator *coordinator,
                                  void (*each)(void *context, const struct transaction_view *view),
                                  void *context)
{
    HASH_MAP_EACH (node, &coordinator->transactions) {
        const struct transaction *t = HASH_MAP_ITEM(node, struct transaction, node);
        struct transaction_view view = {
            .transactional_id = transaction_id(t),
            .state = transaction_state_name((enum transaction_state)t->value.state),
            .producer_id = t->value.producer_id,
            .producer_epoch = transaction_epoch(t, &t->value),
            .start_wall_ms = t->value.start_wall_ms,
            .timeout_ms = t->value.timeout_ms,
            .partition_count = transaction_partitions_count(t->value.partitions),
            .marker_count = transaction_marking_left(t),
        };

        each(context, &view);
    }
}
