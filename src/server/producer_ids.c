/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/producer_ids.c: producer ids of a shard, from blocks that the controller allots
 * (AllocateProducerIds). Each shard has blocks of its own; the next one is asked for when a tenth
 * of the present one is left. docs/design/partitions.md §11.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "base/fault_point.h"
#include "protocol/generated/allocate_producer_ids_request.h"
#include "protocol/generated/allocate_producer_ids_response.h"
#include "protocol/generated/api_keys.h"

#define RETRY_MS 100

static void ids_ask(struct partition_table *table);

static bool ids_take(struct producer_ids *ids, int64_t *out)
{
    if (ids->next == ids->end && ids->spare_next < ids->spare_end) {
        ids->next = ids->spare_next;
        ids->end = ids->spare_end;
        ids->spare_next = ids->spare_end;
    }
    if (ids->next == ids->end)
        return false;
    *out = ids->next++;
    return true;
}

static void waiting_serve(struct partition_table *table, enum err err)
{
    struct producer_ids *ids = &table->producer_ids;

    while (!list_is_empty(&ids->waiting)) {
        struct producer_id_wait *wait =
            LIST_ITEM(list_first(&ids->waiting), struct producer_id_wait, node);
        int64_t id = -1;

        if (err == OK && !ids_take(ids, &id)) {
            ids_ask(table);
            return;
        }
        list_remove(&wait->node);
        wait->done(wait, err, id);
    }
}

/* Whoever waits is told to come again, as Kafka does while it has no block. */
static void ids_put_off(struct partition_table *table)
{
    waiting_serve(table, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    timer_set(table->shard->reactor, &table->producer_ids.retry,
              reactor_now_ms(table->shard->reactor) + RETRY_MS);
}

static void ids_back(struct controller_call *call)
{
    struct partition_table *table = CONTAINER_OF(call, struct partition_table, producer_ids.call);
    struct producer_ids *ids = &table->producer_ids;
    const struct allocate_producer_ids_response *response = call->response;
    enum err err = call->err;

    if (err == OK && response)
        err = err_from_wire(response->error_code);
    ids->is_asking = false;
    if (err == OK && response && response->producer_id_len > 0) {
        ids->spare_next = response->producer_id_start;
        ids->spare_end = response->producer_id_start + response->producer_id_len;
    }
    arena_reset(&ids->arena);
    if (table->is_stopped)
        return;
    if (err != OK) {
        ids_put_off(table);
        return;
    }
    waiting_serve(table, OK);
}

static void ids_ask(struct partition_table *table)
{
    struct producer_ids *ids = &table->producer_ids;
    struct allocate_producer_ids_request *request;
    const struct metadata_broker *self;

    if (ids->is_asking || table->is_stopped)
        return;
    request = allocate_producer_ids_request_array(&ids->arena, 1);
    if (!request) {
        ids_put_off(table);
        return;
    }
    self = table->after ? metadata_image_broker(table->after->image, table_self(table)) : NULL;
    request->broker_id = table_self(table);
    request->broker_epoch = self ? self->epoch : -1;
    ids->is_asking = true;
    timer_cancel(table->shard->reactor, &ids->retry);
    ids->call = (struct controller_call){
        .request =
            {
                .api_key = API_ALLOCATE_PRODUCER_IDS,
                .api_version = 0,
                .body = request,
                .principal = SLICE("User:ANONYMOUS"),
                .deadline_ms = INT64_MAX,
                .from_this_process = true,
            },
        .arena = &ids->arena,
        .done = ids_back,
    };
    controller_call_submit(table->shard, &ids->call);
}

static void retry_due(struct timer *timer)
{
    struct partition_table *table = CONTAINER_OF(timer, struct partition_table, producer_ids.retry);
    struct producer_ids *ids = &table->producer_ids;

    if (!list_is_empty(&ids->waiting) || ids->end - ids->next < CONTROLLER_PRODUCER_ID_BLOCK / 10)
        ids_ask(table);
}

static void ids_keep_ahead(struct partition_table *table)
{
    struct producer_ids *ids = &table->producer_ids;

    if (ids->end - ids->next < CONTROLLER_PRODUCER_ID_BLOCK / 10 &&
        ids->spare_next == ids->spare_end)
        ids_ask(table);
}

void producer_ids_prefetch(struct partition_table *table)
{
    ids_keep_ahead(table);
}

enum err producer_id_take(struct partition_table *table, int64_t *out)
{
    struct producer_ids *ids = &table->producer_ids;

    if (FAULT_POINT(producer_ids_wasted))
        ids->next = ids->end;
    if (table->is_stopped)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    if (!ids_take(ids, out)) {
        ids_ask(table);
        return ERR_COORDINATOR_LOAD_IN_PROGRESS;
    }
    ids_keep_ahead(table);
    return OK;
}

void producer_id_next(struct partition_table *table, struct producer_id_wait *wait)
{
    struct producer_ids *ids = &table->producer_ids;
    int64_t id;

    if (FAULT_POINT(producer_ids_wasted))
        ids->next = ids->end;
    if (!table->is_stopped && ids_take(ids, &id)) {
        ids_keep_ahead(table);
        wait->done(wait, OK, id);
        return;
    }
    if (table->is_stopped) {
        wait->done(wait, ERR_COORDINATOR_NOT_AVAILABLE, -1);
        return;
    }
    list_push_back(&ids->waiting, &wait->node);
    ids_ask(table);
}

void producer_ids_init(struct partition_table *table)
{
    struct producer_ids *ids = &table->producer_ids;

    list_init(&ids->waiting);
    timer_init(&ids->retry, retry_due);
    arena_init(&ids->arena, &heap_allocator, SIZE_MAX);
}

void producer_ids_stop(struct partition_table *table)
{
    waiting_serve(table, ERR_COORDINATOR_NOT_AVAILABLE);
    timer_cancel(table->shard->reactor, &table->producer_ids.retry);
    if (!table->producer_ids.is_asking)
        arena_release(&table->producer_ids.arena);
}
