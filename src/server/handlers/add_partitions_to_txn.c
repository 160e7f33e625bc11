/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/add_partitions_to_txn.c: AddPartitionsToTxn (24): one transaction of a client (up
 * to version 3), or many transactions of another broker that adds or verifies. transactions.md §6 of
 * the reference.
 */
#include "protocol/generated/add_partitions_to_txn_request.h"
#include "protocol/generated/add_partitions_to_txn_response.h"
#include "server/handlers/group_request.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"
#include "server/partition_internal.h"

#define FENCED_VERSION_MIN 2 /* knows PRODUCER_FENCED */
#define BROKER_VERSION_MIN 4 /* many transactions; brokers send it */

typedef struct add_partitions_to_txn_request_add_partitions_to_txn_transaction asked_transaction;
typedef struct add_partitions_to_txn_request_add_partitions_to_txn_topic asked_topic;
typedef struct add_partitions_to_txn_response_add_partitions_to_txn_result told_transaction;
typedef struct add_partitions_to_txn_response_add_partitions_to_txn_topic_result told_topic;
typedef struct add_partitions_to_txn_response_add_partitions_to_txn_partition_result told_partition;

/* One transaction; its partitions in the order of the request. */
struct add_work {
    struct transaction_add add;
    told_transaction *told;
};

static enum err partition_error(const struct request *request, struct slice topic, int32_t index)
{
    const struct metadata_topic *metadata =
        metadata_image_topic(request->shard->publication->image, topic);

    if (request->header.api_version < BROKER_VERSION_MIN && topic_name_is_internal(topic))
        return ERR_TOPIC_AUTHORIZATION_FAILED;
    return metadata && metadata_topic_partition(metadata, index) ? OK
                                                                 : ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static void tell_all(told_transaction *told, enum err err)
{
    for (int32_t i = 0; i < told->topic_results_count; i++)
        for (int32_t k = 0; k < told->topic_results[i].results_by_partition_count; k++)
            told->topic_results[i].results_by_partition[k].partition_error_code =
                err_wire_code(err);
}

/* Answers that are known here; *all_good_out: none was wrong, the coordinator is to be asked. */
static enum err transaction_read(struct request *request, const asked_transaction *asked,
                                 struct add_work *work, bool *all_good_out)
{
    struct arena *arena = &request->arena;
    size_t topic_count = (size_t)MAX(asked->topics_count, 0), count = 0;
    struct coordinator_partition *partitions;
    told_transaction *told = work->told;

    for (size_t i = 0; i < topic_count; i++)
        count += (size_t)MAX(asked->topics[i].partitions_count, 0);
    partitions = ARENA_ARRAY(arena, struct coordinator_partition, count);
    told->transactional_id = asked->transactional_id;
    told->topic_results =
        add_partitions_to_txn_response_add_partitions_to_txn_topic_result_array(arena, topic_count);
    if (!partitions || !told->topic_results)
        return ERR_NO_MEMORY;
    *all_good_out = true;
    for (size_t i = 0; i < topic_count; i++) {
        const asked_topic *topic = &asked->topics[i];
        told_topic *to = &told->topic_results[i];

        to->name = topic->name;
        to->results_by_partition =
            add_partitions_to_txn_response_add_partitions_to_txn_partition_result_array(
                arena, (size_t)MAX(topic->partitions_count, 0));
        if (!to->results_by_partition)
            return ERR_NO_MEMORY;
        told->topic_results_count = (int32_t)i + 1;
        for (int32_t k = 0; k < topic->partitions_count; k++) {
            told_partition *partition = &to->results_by_partition[to->results_by_partition_count++];
            enum err err = partition_error(request, topic->name, topic->partitions[k]);

            partition->partition_index = topic->partitions[k];
            partition->partition_error_code =
                err_wire_code(err == OK ? ERR_OPERATION_NOT_ATTEMPTED : err);
            *all_good_out &= err == OK;
            partitions[work->add.partition_count++] =
                (struct coordinator_partition){topic->name, topic->partitions[k]};
        }
    }
    work->add.transactional_id = asked->transactional_id;
    work->add.producer_id = asked->producer_id;
    work->add.producer_epoch = asked->producer_epoch;
    work->add.verify_only = asked->verify_only;
    work->add.transaction_version = request->header.api_version < BROKER_VERSION_MIN ? 0 : 2;
    work->add.partitions = partitions;
    return OK;
}

/* ---- the answer ---- */

static void tell_each(told_transaction *told, const enum err *errs)
{
    size_t at = 0;

    for (int32_t i = 0; i < told->topic_results_count; i++)
        for (int32_t k = 0; k < told->topic_results[i].results_by_partition_count; k++)
            told->topic_results[i].results_by_partition[k].partition_error_code =
                err_wire_code(errs[at++]);
}

static void part_answer(const struct request *request, const struct group_part *part)
{
    const struct add_work *work = part->asked;
    const struct transaction_added *added = part->call.response;
    enum err err = part->call.err != OK ? part->call.err : added->err;

    if (request->header.api_version < FENCED_VERSION_MIN && err == ERR_PRODUCER_FENCED)
        err = ERR_INVALID_PRODUCER_EPOCH;
    if (err == OK && work->add.verify_only && added->partition_errs)
        tell_each(work->told, added->partition_errs);
    else
        tell_all(work->told, err);
}

static void finish(struct group_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        part_answer(parts->request, &parts->items[i]);
    request_answer(parts->request, parts->context);
}

/* ---- the handler ---- */

/* A client's request as a broker would send it. */
static asked_transaction client_form(const struct add_partitions_to_txn_request *body)
{
    return (asked_transaction){
        .transactional_id = body->v3_and_below_transactional_id,
        .producer_id = body->v3_and_below_producer_id,
        .producer_epoch = body->v3_and_below_producer_epoch,
        .topics = body->v3_and_below_topics,
        .topics_count = body->v3_and_below_topics_count,
    };
}

void handle_add_partitions_to_txn(struct request *request)
{
    const struct add_partitions_to_txn_request *body = request->body;
    bool is_client = request->header.api_version < BROKER_VERSION_MIN;
    asked_transaction only = client_form(body);
    const asked_transaction *asked = is_client ? &only : body->transactions;
    size_t count = is_client ? 1 : (size_t)MAX(body->transactions_count, 0);
    struct add_partitions_to_txn_response *response;
    struct add_work *works;
    struct group_parts *parts;
    told_transaction *told;

    if (!image_view_publication(request))
        return;
    parts = group_parts_create(request, count, finish);
    if (!parts)
        return;
    response = request_response(request);
    parts->context = response;
    told =
        add_partitions_to_txn_response_add_partitions_to_txn_result_array(&request->arena, count);
    works = ARENA_ARRAY(&request->arena, struct add_work, count);
    if (!told || !works) {
        request_close(request, "no memory for AddPartitionsToTxn");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool all_good = false;

        works[i].told = &told[i];
        if (transaction_read(request, &asked[i], &works[i], &all_good) != OK) {
            request_close(request, "no memory for AddPartitionsToTxn");
            return;
        }
        if (all_good)
            transaction_parts_add(parts, asked[i].transactional_id,
                                  coordinator_key_index(request->shard,
                                                        &coordinator_kind_transaction,
                                                        asked[i].transactional_id),
                                  &works[i].add)
                ->asked = &works[i];
    }
    if (is_client) {
        response->results_by_topic_v3_and_below = told->topic_results;
        response->results_by_topic_v3_and_below_count = told->topic_results_count;
    } else {
        response->results_by_transaction = told;
        response->results_by_transaction_count = (int32_t)count;
    }
    group_parts_submit(parts);
}
