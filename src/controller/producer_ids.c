/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/producer_ids.c: AllocateProducerIds: blocks of producer ids, each handed out once: the
 * record of the next id is committed before the broker learns its block.
 */
#include "controller/controller_internal.h"

#include "base/bug.h"

enum err decide_allocate_producer_ids(struct call *call, const void *body, void *answer)
{
    const struct allocate_producer_ids_request *request = body;
    struct allocate_producer_ids_response *response = answer;
    int64_t first = metadata_image_next_producer_id(call->image);
    struct producer_ids_record *record;

    TRY(broker_epoch_check(call, request->broker_id, request->broker_epoch));
    if (first > INT64_MAX - CONTROLLER_PRODUCER_ID_BLOCK)
        return why_set(call->why, ERR_UNKNOWN_SERVER_ERROR,
                       "Exhausted all producerIds as the next block's end producerId has exceeded "
                       "the int64 type limit");
    TRY(record_add(call, METADATA_RECORD_PRODUCER_IDS, 0, &record));
    record->broker_id = request->broker_id;
    record->broker_epoch = request->broker_epoch;
    record->next_producer_id =
        first + (BUG_IS(producer_ids_twice) ? 0 : CONTROLLER_PRODUCER_ID_BLOCK);
    response->producer_id_start = first;
    response->producer_id_len = CONTROLLER_PRODUCER_ID_BLOCK;
    return OK;
}
