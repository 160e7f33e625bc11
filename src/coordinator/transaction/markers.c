/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/markers.c: the second stage of an end, markers for all partitions, and the
 * third, the Complete record. transactions.md §10 of the reference.
 * Invariants  1. markers carry the id, epoch and decision of the committed Prepare value.
 *             2. a partition is given out until its leader has the marker, or metadata does not have it.
 *             3. Complete is written when no partition is left.
 * Failures    a leader that cannot be reached is asked for ever; a coordinator of which another is known
 *             stops, and the other one finishes.
 */
#include "coordinator/transaction_internal.h"

#include "base/bug.h"

#define SLOW_MS 60000 /* people are told after this, and every time it passes again */
#define ANSWERED UINT32_MAX

enum marker_state { MARKER_AGAIN, MARKER_OUT, MARKER_DONE };

struct transaction_marking {
    struct transaction *transaction;
    struct list_node retry; /* in coordinator->retries */
    int64_t retry_ms;
    struct list_node tickets; /* on their way */
    int64_t since_ms, told_ms;
    enum err last_err; /* of a marker that has to be given out again */
    size_t left;       /* partitions that are not done */
    uint32_t count;
    uint8_t states[]; /* by position in the Prepare value's set */
};

struct transaction_ticket {
    struct hash_map_node node; /* in coordinator->tickets */
    struct list_node order;    /* in marking->tickets */
    struct transaction_marking *marking;
    uint64_t number;
    uint32_t count, left;
    uint32_t positions[]; /* of each partition given out; ANSWERED */
};

static size_t ticket_bytes(uint32_t count)
{
    return sizeof(struct transaction_ticket) + count * sizeof(uint32_t);
}

static void ticket_release(struct transaction_coordinator *coordinator,
                           struct transaction_ticket *ticket)
{
    hash_map_remove(&coordinator->tickets, &ticket->node);
    list_remove(&ticket->order);
    coordinator->allocator->release(coordinator->allocator, ticket, ticket_bytes(ticket->count));
}

/* Nothing is given out any more, and no outcome is waited for. */
static void marking_stop(struct transaction_coordinator *coordinator,
                         struct transaction_marking *marking)
{
    list_remove(&marking->retry);
    LIST_EACH_SAFE (node, &marking->tickets)
        ticket_release(coordinator, LIST_ITEM(node, struct transaction_ticket, order));
}

void transaction_marking_release(struct transaction_coordinator *coordinator,
                                 struct transaction_marking **marking)
{
    struct transaction_marking *old = TAKE(*marking);

    if (!old)
        return;
    marking_stop(coordinator, old);
    coordinator->allocator->release(coordinator->allocator, old, sizeof *old + old->count);
}

static void marking_retry(struct transaction_coordinator *coordinator,
                          struct transaction_marking *marking)
{
    if (!list_is_empty(&marking->retry))
        return;
    marking->retry_ms = coordinator->now_ms + TRANSACTION_MARKER_RETRY_MS;
    list_push_back(&coordinator->retries, &marking->retry);
}

/* ---- the third stage ---- */

static enum err complete(struct transaction_call *call, struct transaction_marking *marking)
{
    struct transaction *t = marking->transaction;
    struct transaction_value to;

    ASSERT(marking->left == 0 && transaction_is_written(t));
    ASSERT(list_is_empty(&marking->retry)); /* it waits for partitions, or for this */
    transaction_value_completed(call, t, &to);
    return transaction_write(call, t, &to, false);
}

void transaction_markers_complete_again(struct transaction_coordinator *coordinator,
                                        struct transaction *t)
{
    marking_retry(coordinator, t->active->marking);
}

/* ---- the second stage ---- */

/* Done are those that metadata does not have any more; how many are to be given out. */
static uint32_t gone_drop(struct transaction_call *call, struct transaction_marking *marking)
{
    const struct transaction_partitions *set = marking->transaction->value.partitions;
    const struct metadata_topic *topic = NULL;
    uint32_t count = 0;

    for (uint32_t i = 0; i < marking->count; i++) {
        const struct coordinator_partition *partition = &set->items[i];

        if (marking->states[i] != MARKER_AGAIN)
            continue;
        topic = metadata_image_topic(call->moment->image, partition->topic);
        if (topic && metadata_topic_partition(topic, partition->index)) {
            count++;
            continue;
        }
        LOG_INFO(call->coordinator->logger, TRANSACTION_LOG, "transaction_partition_gone",
                 "transactional_id=%.*s topic=%.*s partition=%d",
                 SLICE_ARGS(transaction_id(marking->transaction)), SLICE_ARGS(partition->topic),
                 partition->index);
        marking->states[i] = MARKER_DONE;
        marking->left--;
    }
    return count;
}

static enum err ticket_create(struct transaction_coordinator *coordinator,
                              struct transaction_marking *marking, uint32_t count,
                              struct transaction_ticket **out)
{
    struct transaction_ticket *ticket =
        allocator_zeroed(coordinator->allocator, ticket_bytes(count));
    enum err err;

    *out = ticket;
    if (!ticket)
        return ERR_NO_MEMORY;
    ticket->marking = marking;
    ticket->number = ++coordinator->ticket_last;
    ticket->count = count;
    ticket->left = count;
    err = hash_map_insert(&coordinator->tickets, hash_u64(ticket->number), &ticket->node);
    if (err == OK)
        list_push_back(&marking->tickets, &ticket->order);
    else
        coordinator->allocator->release(coordinator->allocator, ticket, ticket_bytes(count));
    return err;
}

static enum err partitions_give(struct transaction_call *call, struct transaction_marking *marking,
                                uint32_t count)
{
    const struct transaction_value *value = &marking->transaction->value;
    struct coordinator_partition *out =
        ARENA_ARRAY(call->arena, struct coordinator_partition, count);
    struct coordinator_markers markers = {
        .producer_id = value->producer_id,
        .producer_epoch = value->epoch,
        .coordinator_epoch = call->coordinator->coordinator_epoch,
        .transaction_version = value->client_version >= 2 ? 2 : 0,
        .is_commit = value->state == TRANSACTION_PREPARE_COMMIT,
        .partitions = out,
    };
    struct transaction_ticket *ticket;
    struct slice name = SLICE_NULL;

    if (!out)
        return ERR_NO_MEMORY;
    TRY(ticket_create(call->coordinator, marking, count, &ticket));
    for (uint32_t i = 0; i < marking->count; i++) {
        const struct coordinator_partition *partition = &value->partitions->items[i];

        if (marking->states[i] != MARKER_AGAIN)
            continue;
        if (!slice_equal(name, partition->topic))
            name = arena_copy(call->arena, partition->topic);
        if (slice_is_null(name))
            return ERR_NO_MEMORY;
        marking->states[i] = MARKER_OUT;
        ticket->positions[markers.partition_count] = i;
        out[markers.partition_count++] = (struct coordinator_partition){name, partition->index};
    }
    ASSERT(markers.partition_count == count);
    markers.ticket = ticket->number;
    return coordinator_effects_markers(call->effects, &markers);
}

static enum err give_out(struct transaction_call *call, struct transaction_marking *marking)
{
    uint32_t count = gone_drop(call, marking);

    if (count > 0)
        TRY(partitions_give(call, marking, count));
    if (BUG_IS(complete_before_markers) && marking->left > 0) {
        marking_stop(call->coordinator, marking); /* whatever becomes of them */
        marking->left = 0;
    }
    return marking->left == 0 ? complete(call, marking) : OK;
}

enum err transaction_markers_begin(struct transaction_call *call, struct transaction *t)
{
    struct transaction_coordinator *coordinator = call->coordinator;
    uint32_t count = (uint32_t)transaction_partitions_count(t->value.partitions);
    struct transaction_marking *marking =
        allocator_zeroed(coordinator->allocator, sizeof *marking + count);

    ASSERT(!t->active->marking && transaction_is_ending((enum transaction_state)t->value.state));
    if (!marking)
        return ERR_NO_MEMORY;
    marking->transaction = t;
    marking->count = count;
    marking->left = count;
    marking->since_ms = call->moment->now_ms;
    marking->told_ms = call->moment->now_ms;
    list_init(&marking->retry);
    list_init(&marking->tickets);
    t->active->marking = marking;
    transaction_settle(coordinator, t); /* not due any more */
    return give_out(call, marking);
}

static void slow_tell(struct transaction_call *call, struct transaction_marking *marking)
{
    struct transaction *t = marking->transaction;
    int64_t now_ms = call->moment->now_ms;

    if (now_ms - marking->told_ms < SLOW_MS)
        return;
    marking->told_ms = now_ms;
    LOG_WARN(call->coordinator->logger, TRANSACTION_LOG, "transaction_markers_slow",
             "transactional_id=%.*s producer_id=%lld epoch=%d state=%s seconds=%lld left=%zu "
             "error=%s",
             SLICE_ARGS(transaction_id(t)), (long long)t->value.producer_id, t->value.epoch,
             transaction_state_name((enum transaction_state)t->value.state),
             (long long)((now_ms - marking->since_ms) / 1000), marking->left,
             err_name(marking->last_err));
}

enum err transaction_markers_retry(struct transaction_call *call)
{
    struct list_node *first = list_pop_front(&call->coordinator->retries);
    struct transaction_marking *marking = LIST_ITEM(first, struct transaction_marking, retry);

    slow_tell(call, marking);
    return give_out(call, marking);
}

int64_t transaction_markers_deadline_ms(const struct transaction_coordinator *coordinator)
{
    const struct list_node *first = coordinator->retries.next;

    if (first == &coordinator->retries)
        return INT64_MAX;
    return LIST_ITEM((struct list_node *)(uintptr_t)first, struct transaction_marking, retry)
        ->retry_ms;
}

size_t transaction_marking_left(const struct transaction *t)
{
    if (!transaction_is_ending((enum transaction_state)t->value.state) ||
        !transaction_is_written(t))
        return 0;
    return t->active->marking ? t->active->marking->left
                              : transaction_partitions_count(t->value.partitions);
}

bool transaction_marking_waits(const struct transaction *t, size_t i)
{
    ASSERT(i < transaction_partitions_count(t->value.partitions));
    if (!transaction_is_written(t))
        return false; /* Complete is on its way */
    return !t->active->marking || t->active->marking->states[i] != MARKER_DONE;
}

/* ---- outcomes (§10.5) ---- */

static void fenced(struct transaction_coordinator *coordinator, struct transaction_marking *marking,
                   const struct coordinator_partition *partition, enum err err)
{
    struct transaction *t = marking->transaction;

    LOG_WARN(coordinator->logger, TRANSACTION_LOG,
             err == ERR_TRANSACTION_COORDINATOR_FENCED ? "transaction_coordinator_fenced"
                                                       : "transaction_marker_fenced",
             "transactional_id=%.*s producer_id=%lld epoch=%d coordinator_epoch=%d topic=%.*s "
             "partition=%d left=%zu",
             SLICE_ARGS(transaction_id(t)), (long long)t->value.producer_id, t->value.epoch,
             coordinator->coordinator_epoch, SLICE_ARGS(partition->topic), partition->index,
             marking->left);
    marking_stop(coordinator, marking);
}

/* May succeed later, all but the first few for reasons nobody expects: the reference's process ends
 * then, ours tells of it and asks again. */
static void failed(struct transaction_coordinator *coordinator, struct transaction_marking *marking,
                   uint32_t position, enum err err)
{
    const struct coordinator_partition *partition =
        &marking->transaction->value.partitions->items[position];

    switch (err) {
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case ERR_REQUEST_TIMED_OUT:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_NETWORK_EXCEPTION:
        break;
    default:
        if (marking->last_err != err)
            LOG_ERROR(coordinator->logger, TRANSACTION_LOG, "transaction_marker_failed",
                      "transactional_id=%.*s topic=%.*s partition=%d error=%s",
                      SLICE_ARGS(transaction_id(marking->transaction)),
                      SLICE_ARGS(partition->topic), partition->index, err_name(err));
        break;
    }
    marking->states[position] = MARKER_AGAIN;
    marking->last_err = err;
    marking_retry(coordinator, marking);
}

static enum err outcome(struct transaction_call *call, struct transaction_marking *marking,
                        uint32_t position, enum err err)
{
    switch (err) {
    case OK:
    case ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case ERR_UNSUPPORTED_VERSION: /* nothing can have been written there */
        marking->states[position] = MARKER_DONE;
        marking->left--;
        return marking->left == 0 ? complete(call, marking) : OK;
    case ERR_INVALID_PRODUCER_EPOCH:
    case ERR_TRANSACTION_COORDINATOR_FENCED:
        fenced(call->coordinator, marking, &marking->transaction->value.partitions->items[position],
               err);
        return OK;
    default:
        failed(call->coordinator, marking, position, err);
        return OK;
    }
}

enum err transaction_coordinator_marked(struct transaction_coordinator *coordinator,
                                        uint64_t ticket_number, size_t partition, enum err err,
                                        const struct coordinator_moment *moment,
                                        struct coordinator_effects *effects)
{
    struct hash_map_node *node =
        hash_map_find(&coordinator->tickets, hash_u64(ticket_number), &ticket_number);
    struct transaction_call call = transaction_call_of(coordinator, NULL, moment, effects);
    struct transaction_marking *marking;
    struct transaction_ticket *ticket;
    uint32_t position;

    if (!node)
        return OK;
    ticket = CONTAINER_OF(node, struct transaction_ticket, node);
    ASSERT(partition < ticket->count);
    position = ticket->positions[partition];
    if (position == ANSWERED)
        return OK;
    ticket->positions[partition] = ANSWERED;
    marking = ticket->marking;
    if (--ticket->left == 0)
        ticket_release(coordinator, ticket);
    return outcome(&call, marking, position, err);
}

static bool ticket_matches(const struct hash_map_node *node, const void *key)
{
    return CONTAINER_OF(node, const struct transaction_ticket, node)->number ==
           *(const uint64_t *)key;
}

void transaction_tickets_init(struct transaction_coordinator *coordinator)
{
    hash_map_init(&coordinator->tickets, coordinator->allocator, ticket_matches);
    list_init(&coordinator->retries);
}
