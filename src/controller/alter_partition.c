/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/alter_partition.c: AlterPartition: a leader asks for another ISR. Epochs decide who is
 * behind: a leader that knows more than this controller talks to a deposed one (NOT_CONTROLLER).
 */
#include "controller/controller_internal.h"

typedef const struct alter_partition_request_partition_data *partition_request;
typedef struct alter_partition_response_partition_data partition_result;

/* The wanted ISR with epochs, from either form of the request; -1: not given. */
struct wanted {
    struct ids isr;
    int64_t *epochs;
};

static enum err wanted_read(struct call *call, partition_request request, struct wanted *out)
{
    bool with_epochs = call->request->api_version >= 3;
    size_t count =
        (size_t)MAX(with_epochs ? request->new_isr_with_epochs_count : request->new_isr_count, 0);

    out->isr.items = ARENA_ARRAY(call->arena, int32_t, count);
    out->isr.count = count;
    out->epochs = ARENA_ARRAY(call->arena, int64_t, count);
    if (!out->isr.items || !out->epochs)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        out->isr.items[i] =
            with_epochs ? request->new_isr_with_epochs[i].broker_id : request->new_isr[i];
        out->epochs[i] = with_epochs ? request->new_isr_with_epochs[i].broker_epoch : -1;
    }
    return OK;
}

static bool isr_is_possible(const struct metadata_partition *partition, const struct ids *isr)
{
    if (isr->count == 0)
        return false;
    for (size_t i = 0; i < isr->count; i++) {
        if (isr->items[i] < 0 || ids_have(isr->items, i, isr->items[i]) ||
            !ids_have(partition->replicas, partition->replica_count, isr->items[i]))
            return false;
    }
    return true;
}

static bool member_is_eligible(const struct call *call, int32_t id, int64_t epoch)
{
    const struct metadata_broker *broker = metadata_image_broker(call->image, id);

    return broker && !broker->in_controlled_shutdown && !broker->fenced &&
           (epoch == -1 || broker->epoch == epoch);
}

static enum err wanted_check(struct call *call, int32_t broker_id,
                             const struct metadata_partition *partition, partition_request request,
                             const struct wanted *wanted)
{
    bool recovering = request->leader_recovery_state == 1;

    if (request->leader_epoch > partition->leader_epoch ||
        request->partition_epoch > partition->partition_epoch)
        return ERR_NOT_CONTROLLER;
    if (request->leader_epoch < partition->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (broker_id != partition->leader)
        return ERR_INVALID_REQUEST;
    if (request->partition_epoch < partition->partition_epoch)
        return ERR_INVALID_UPDATE_VERSION;
    if (!isr_is_possible(partition, &wanted->isr) ||
        !ids_have(wanted->isr.items, wanted->isr.count, partition->leader))
        return ERR_INVALID_REQUEST;
    if (recovering && (wanted->isr.count > 1 || !partition->recovering))
        return ERR_INVALID_REQUEST;
    for (size_t i = 0; i < wanted->isr.count; i++) {
        if (!member_is_eligible(call, wanted->isr.items[i], wanted->epochs[i]))
            return ERR_INELIGIBLE_REPLICA;
    }
    return OK;
}

static enum err result_set(struct call *call, const struct metadata_partition *partition,
                           partition_result *result)
{
    struct ids isr;

    TRY(ids_copy(call->arena, partition->isr, partition->isr_count, &isr));
    result->leader_id = partition->leader;
    result->leader_epoch = partition->leader_epoch;
    result->isr = isr.items;
    result->isr_count = (int32_t)isr.count;
    result->leader_recovery_state = partition->recovering ? 1 : 0;
    result->partition_epoch = partition->partition_epoch;
    return OK;
}

static enum err partition_alter(struct call *call, const struct metadata_topic *topic,
                                partition_request request, partition_result *result)
{
    int32_t broker_id = ((const struct alter_partition_request *)call->request->body)->broker_id;
    const struct metadata_partition *partition =
        metadata_topic_partition(topic, request->partition_index);
    struct partition_change_record *record;
    struct partition_change change;
    struct metadata_partition after;
    struct topic_rules rules;
    struct wanted wanted;

    if (!partition)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    TRY(wanted_read(call, request, &wanted));
    TRY(wanted_check(call, broker_id, partition, request, &wanted));
    TRY(topic_rules_of(call, topic, &rules));
    TRY(partition_change_init(&change, call, topic, partition, &rules));
    if (rules.unclean)
        change.election = ELECTION_UNCLEAN;
    change.isr = wanted.isr;
    change.recovering = request->leader_recovery_state == 1;
    TRY(partition_change_build(&change, call, &record));
    if (!record)
        return result_set(call, partition, result);
    /* It completed a reassignment that takes the leadership away: written, and told so. */
    if (record->leader != -2 && record->leader != broker_id)
        return ERR_NEW_LEADER_ELECTED;
    after = partition_after(partition, record);
    return result_set(call, &after, result);
}

enum err decide_alter_partition(struct call *call, const void *body, void *answer)
{
    const struct alter_partition_request *request = body;
    struct alter_partition_response *response = answer;
    size_t count = (size_t)MAX(request->topics_count, 0);

    TRY(broker_epoch_check(call, request->broker_id, request->broker_epoch));
    response->topics = alter_partition_response_topic_data_array(call->arena, count);
    if (!response->topics)
        return ERR_NO_MEMORY;
    response->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct alter_partition_request_topic_data *asked = &request->topics[i];
        size_t partitions = (size_t)MAX(asked->partitions_count, 0);

        response->topics[i].topic_id = asked->topic_id;
        response->topics[i].partitions =
            alter_partition_response_partition_data_array(call->arena, partitions);
        if (!response->topics[i].partitions)
            return ERR_NO_MEMORY;
        response->topics[i].partitions_count = (int32_t)partitions;
        for (size_t j = 0; j < partitions; j++) {
            const struct metadata_topic *topic =
                metadata_image_topic_by_id(call->image, asked->topic_id);
            partition_result *result = &response->topics[i].partitions[j];
            enum err err = topic ? partition_alter(call, topic, &asked->partitions[j], result)
                                 : ERR_UNKNOWN_TOPIC_ID;

            if (err == ERR_NO_MEMORY)
                return err;
            result->partition_index = asked->partitions[j].partition_index;
            result->error_code = item_code(err);
            TRY(call_apply(call));
        }
    }
    return OK;
}
