/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/raft.c: Vote, BeginQuorumEpoch, EndQuorumEpoch, FetchSnapshot and changes of the
 * voter set (kraft.md §2 of the reference; KIP-595, 630, 853, 996): each is a question to the raft
 * core on shard 0. On a broker listener the changes go the way of forwarded requests.
 */
#include "server/forward.h"
#include "server/handlers/handlers.h"

static void answered(struct quorum_bridge *bridge)
{
    struct request *request = bridge->request;

    if (bridge->response && bridge->err == OK)
        request_answer(request, bridge->response);
    else
        request_answer_failed(request, bridge->err, NULL);
}

void handle_raft(struct request *request)
{
    struct quorum_bridge *bridge;
    enum err err;

    if (!request->session->kind->is_controller_listener) {
        handle_forwarded(request);
        return;
    }
    bridge = quorum_bridge_create(request);
    err = bridge ? quorum_bridge_read(bridge) : ERR_NO_MEMORY;
    if (err != OK) {
        request_answer_failed(request, err, NULL);
        return;
    }
    bridge->done = answered;
    quorum_bridge_send(bridge);
}
