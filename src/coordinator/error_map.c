/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/error_map.c: what clients of a coordinator are told of an error of the write path:
 * not of the internal topic's troubles but of the coordinator's. groups.md §1.7 of the reference.
 */
#include "coordinator/coordinator.h"

enum err coordinator_error(enum err err)
{
    enum err told = err == OK ? OK : err_from_wire(err_wire_code(err));

    switch (told) {
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_REQUEST_TIMED_OUT:
        return ERR_COORDINATOR_NOT_AVAILABLE;
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_KAFKA_STORAGE_ERROR:
        return ERR_NOT_COORDINATOR;
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_INVALID_FETCH_SIZE:
        return ERR_UNKNOWN_SERVER_ERROR;
    case ERR_NETWORK_EXCEPTION:
        return ERR_COORDINATOR_LOAD_IN_PROGRESS;
    default:
        return told;
    }
}
