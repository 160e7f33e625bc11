/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_txn.c: TxnOffsetCommit v0–6: offsets that a transaction commits. They
 * are written under the producer's id and wait for its marker (offset_value.c). transactions.md §8 of
 * the reference; topics that do not exist or may not be read were sorted out before.
 */
#include "coordinator/group/offset_internal.h"

#define VERSION_NEW_ERRORS 6 /* KIP-1319: GROUP_ID_NOT_FOUND, STALE_MEMBER_EPOCH */

/* The error of the whole request, or OK. */
static enum err check(struct group_call *call, const struct txn_offset_commit_request *request,
                      enum err *told)
{
    struct group_commit_identity identity = {
        .is_transactional = true,
        .api_version = call->request->api_version,
        .member_id = request->member_id,
        .instance_id = request->group_instance_id,
        .generation = request->generation_id_or_member_epoch,
    };
    struct group_commit_limit limit;

    *told = ERR_INVALID_GROUP_ID;
    if (request->group_id.size_bytes == 0)
        return OK;
    TRY(offset_commit_check(call, request->group_id, &identity, &limit, told));
    offset_topics_check(call, &limit, txn_offsets_asked(request->topics), request->topics_count,
                        told);
    if (identity.api_version < VERSION_NEW_ERRORS &&
        (*told == ERR_GROUP_ID_NOT_FOUND || *told == ERR_STALE_MEMBER_EPOCH))
        *told = ERR_ILLEGAL_GENERATION;
    return OK;
}

enum err offset_handle_txn_commit(struct group_call *call,
                                  const struct txn_offset_commit_request *request)
{
    struct txn_offset_commit_response *response = txn_offset_commit_response_array(call->arena, 1);
    struct offset_commit_of of = {.group_id = request->group_id, .retention_ms = -1};
    offsets_told_topic *topics;

    if (!response)
        return ERR_NO_MEMORY;
    TRY(check(call, request, &of.told));
    call->effects->producer_id = request->producer_id;
    call->effects->producer_epoch = request->producer_epoch;
    TRY(offset_topics_commit(call, &of, txn_offsets_asked(request->topics), request->topics_count,
                             &topics));
    response->topics = txn_offsets_told_back(topics);
    response->topics_count = MAX(request->topics_count, 0);
    return group_reply(call, response, call->effects->record_count > 0);
}
