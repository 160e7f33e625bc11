/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network/memory.c: the budget of frames, and the connections that wait for it.
 *
 * What is charged is what is allocated, so never nothing: a frame of no bytes has its intake. Who
 * finds no room waits in one queue, first come first served, and its socket is not read. As long as
 * handlers hold a frame, its release is what the queue waits for. When they hold none (all memory is
 * in frames that are still coming) nobody would ever give memory back, so then the head of the
 * queue may exceed the budget until its frame is whole; only one connection at a time may. So
 * frame_bytes <= frame_bytes_max + one frame, and a frame larger than the whole budget passes too.
 */
#include "network/network_internal.h"

#include "base/fault_point.h"

static bool memory_fits(struct network *network, struct connection *connection, size_t size_bytes)
{
    if (network->frames_whole > 0 && network->over != connection &&
        FAULT_POINT(frame_waits_for_memory))
        return false; /* whose release lets it in */
    if (network->counts.frame_bytes + (int64_t)size_bytes <= network->options.frame_bytes_max ||
        network->over == connection)
        return true;
    if (network->over || network->frames_whole > 0)
        return false;
    network->over = connection;
    return true;
}

bool memory_take(struct connection *connection, size_t size_bytes)
{
    struct network *network = connection->network;
    struct intake *intake = connection->intake;

    ASSERT(size_bytes > 0); /* a grant of nothing would be none */
    if (intake->granted_bytes > 0) {
        ASSERT(intake->granted_bytes == size_bytes); /* it asks again for what it waited for */
        intake->granted_bytes = 0;
        return true;
    }
    if ((list_is_empty(&network->waiting) || network->over == connection) &&
        memory_fits(network, connection, size_bytes)) {
        network->counts.frame_bytes += (int64_t)size_bytes;
        return true;
    }
    ASSERT(!connection_waits(connection));
    intake->wanted_bytes = size_bytes;
    list_push_back(&network->waiting, &intake->waiting_node);
    network->counts.muted_for_memory++;
    return false;
}

void memory_give_back(struct network *network, size_t size_bytes)
{
    network->counts.frame_bytes -= (int64_t)size_bytes;
    ASSERT(network->counts.frame_bytes >= 0);
    if (!list_is_empty(&network->waiting) || network->is_stopping)
        network_defer(network);
}

void memory_frame_whole(struct connection *connection)
{
    connection->network->frames_whole++;
    if (connection->network->over == connection)
        connection->network->over = NULL;
}

static void grant_return(struct connection *connection)
{
    struct intake *intake = connection->intake;

    if (intake && intake->granted_bytes > 0) {
        memory_give_back(connection->network, intake->granted_bytes);
        intake->granted_bytes = 0;
    }
    if (connection->network->over == connection && !(intake && intake->large))
        connection->network->over = NULL;
}

void memory_leave(struct connection *connection)
{
    if (connection->intake)
        list_remove(&connection->intake->waiting_node);
    grant_return(connection);
}

void memory_admit(struct network *network)
{
    struct list_node *node;

    while ((node = list_first(&network->waiting)) != NULL) {
        struct intake *intake = LIST_ITEM(node, struct intake, waiting_node);
        struct connection *connection = intake->connection;

        if (!memory_fits(network, connection, intake->wanted_bytes))
            return;
        list_remove(node);
        network->counts.frame_bytes += (int64_t)intake->wanted_bytes;
        intake->granted_bytes = intake->wanted_bytes;
        connection_proceed(connection);
        grant_return(connection); /* paused meanwhile: it will ask again */
    }
}
