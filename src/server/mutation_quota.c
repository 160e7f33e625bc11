/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/mutation_quota.c: the controller mutation quota of one requester.
 */
#include "server/mutation_quota.h"

#include "server/node.h"
#include "server/quota.h"

struct slice principal_name(struct slice principal)
{
    const uint8_t *colon = memchr(principal.data, ':', principal.size_bytes);

    return colon ? slice_sub(principal, (size_t)(colon + 1 - principal.data), SIZE_MAX) : principal;
}

static enum err quota_take(struct controller_quota *self, double permits)
{
    struct mutation_quota *quota = CONTAINER_OF(self, struct mutation_quota, quota);
    int32_t throttle_ms =
        quota_controller_check(quota->node->shards[0].quotas, principal_name(quota->principal),
                               quota->client_id, permits, quota->strict);

    quota->throttle_ms = MAX(quota->throttle_ms, throttle_ms);
    return throttle_ms > 0 && quota->strict ? ERR_THROTTLING_QUOTA_EXCEEDED : OK;
}

void mutation_quota_init(struct mutation_quota *quota, struct node *node, struct slice principal,
                         struct slice client_id, bool strict)
{
    *quota = (struct mutation_quota){
        .quota = {.record = quota_take},
        .node = node,
        .principal = principal,
        .client_id = client_id,
        .strict = strict,
    };
}
