/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_producers.c: DescribeProducers (61): any replica answers. requests.md
 * §3.13 of the reference.
 */
#include "server/handlers/each_partition.h"

#include "protocol/generated/describe_producers_request.h"
#include "protocol/generated/describe_producers_response.h"
#include "server/handlers/handlers.h"
#include "server/topic_name.h"

/* Of one request, which may name a partition as often as it likes. */
#define ROWS_BYTES_MAX (64 * MIB)

struct producer_row {
    int64_t id, timestamp, transaction_start;
    int32_t last_sequence, coordinator_epoch;
    int16_t epoch;
};

/* The first is never too large. Who is refused takes nothing from those behind. */
static bool room_take(struct each_state *state, size_t size_bytes)
{
    size_t taken = atomic_load(&state->results_bytes);

    do {
        if (taken > 0 && taken + size_bytes > ROWS_BYTES_MAX)
            return false;
    } while (!atomic_compare_exchange_weak(&state->results_bytes, &taken, taken + size_bytes));
    return true;
}

static void describe_run(struct each_part *part, struct partition *partition)
{
    struct producer_state *producers = log_producers(partition->log);
    size_t count = producer_state_count(producers);
    size_t size_bytes = MAX(count, 1) * sizeof(struct producer_row);
    struct producer_row *rows = NULL;

    if (room_take(part->state, size_bytes)) {
        rows = allocator_zeroed(&heap_allocator, size_bytes);
        if (!rows)
            atomic_fetch_sub(&part->state->results_bytes, size_bytes);
    }
    if (!rows) {
        part->err = ERR_NO_MEMORY;
        partition_op_finish(&part->op);
        return;
    }
    part->result_bytes = size_bytes;
    for (const struct producer_entry *entry = producer_state_next(producers, NULL);
         entry && part->result_count < count; entry = producer_state_next(producers, entry))
        rows[part->result_count++] = (struct producer_row){
            .id = entry->producer_id,
            .timestamp = entry->last_timestamp,
            .transaction_start = entry->transaction_first_offset,
            .last_sequence = producer_entry_last_sequence(entry),
            .coordinator_epoch = entry->coordinator_epoch,
            .epoch = entry->epoch,
        };
    part->result = rows;
    partition_op_finish(&part->op);
}

static void part_answer(struct each_part *part)
{
    struct describe_producers_response_partition_response *answer = part->answer;
    const struct producer_row *rows = part->result;
    struct describe_producers_response_producer_state *producers;

    answer->error_code = err_wire_code(part->err);
    if (!rows)
        return;
    producers = describe_producers_response_producer_state_array(&part->state->request->arena,
                                                                 part->result_count);
    for (size_t i = 0; producers && i < part->result_count; i++) {
        producers[i].producer_id = rows[i].id;
        producers[i].producer_epoch = rows[i].epoch;
        producers[i].last_sequence = rows[i].last_sequence;
        producers[i].last_timestamp = rows[i].timestamp;
        producers[i].coordinator_epoch = rows[i].coordinator_epoch;
        producers[i].current_txn_start_offset = rows[i].transaction_start;
    }
    if (!producers && part->result_count > 0)
        answer->error_code = err_wire_code(ERR_NO_MEMORY);
    answer->active_producers = producers;
    answer->active_producers_count = producers ? (int32_t)part->result_count : 0;
    server_free(part->result, part->result_bytes);
    part->result = NULL;
}

static void describe_finish(struct each_state *state)
{
    for (size_t i = 0; i < state->count; i++)
        part_answer(&state->parts[i]);
    request_answer(state->request, state->response);
}

/* Only what is wrong with the topic as a whole has a text. */
static enum err topic_check(struct request *request, const struct metadata_topic *topic,
                            struct slice name, struct slice *text_out)
{
    struct why why = {0};
    enum err err = topic_name_check(name, &why);

    if (err == OK && !topic)
        err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (err != OK)
        *text_out = why.text[0] != '\0' ? arena_copy(&request->arena, slice_from_text(why.text))
                                        : slice_from_text(err_text(err));
    return err;
}

void handle_describe_producers(struct request *request)
{
    const struct describe_producers_request *body = request->body;
    struct describe_producers_response *response;
    struct each_state *state;
    size_t count = 0;

    for (int32_t i = 0; i < body->topics_count; i++)
        count += (size_t)body->topics[i].partition_indexes_count;
    state = each_create(request, count);
    if (!state)
        return;
    response = request_response(request);
    response->topics = describe_producers_response_topic_response_array(&request->arena,
                                                                        (size_t)body->topics_count);
    state->response = response;
    state->is_short = !response->topics;
    state->run = describe_run;
    state->finish = describe_finish;
    for (int32_t i = 0; response->topics && i < body->topics_count; i++) {
        const struct describe_producers_request_topic_request *asked = &body->topics[i];
        struct describe_producers_response_topic_response *topic = &response->topics[i];
        const struct metadata_topic *metadata = each_topic(request, asked->name);
        struct slice text = SLICE_NULL;
        enum err topic_err = topic_check(request, metadata, asked->name, &text);

        topic->name = asked->name;
        topic->partitions = describe_producers_response_partition_response_array(
            &request->arena, (size_t)asked->partition_indexes_count);
        if (!topic->partitions) {
            state->is_short = true;
            break;
        }
        topic->partitions_count = asked->partition_indexes_count;
        response->topics_count = i + 1;
        for (int32_t j = 0; j < asked->partition_indexes_count; j++) {
            enum err err =
                topic_err == OK ? each_known(metadata, asked->partition_indexes[j]) : topic_err;

            topic->partitions[j].partition_index = asked->partition_indexes[j];
            topic->partitions[j].error_message = text;
            (void)each_add(state, metadata, asked->partition_indexes[j], NULL,
                           &topic->partitions[j], err);
        }
    }
    each_submit(state);
}
