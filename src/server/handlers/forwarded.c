/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/forwarded.c: what a broker hands to the controller as it came: ElectLeaders,
 * reassignments, AlterClientQuotas, AlterUserScramCredentials, UpdateFeatures, UnregisterBroker,
 * UnregisterController.
 */
#include "server/forward.h"
#include "server/handlers/handlers.h"

void handle_forwarded(struct request *request)
{
    struct forward *forward = forward_create(request);

    if (forward)
        forward_send(forward);
}
