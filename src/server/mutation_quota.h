/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/mutation_quota.h: the controller mutation quota of one requester (KIP-599), as the
 * controller asks for it. `record` runs on shard 0, where the buckets are; what it found is read at
 * home once the call is over.
 */
#ifndef SERVER_MUTATION_QUOTA_H
#define SERVER_MUTATION_QUOTA_H

#include "controller/controller.h"
#include "server/shard.h"

struct mutation_quota {
    struct controller_quota quota;
    struct node *node;
    struct slice principal;
    struct slice client_id;
    bool strict;         /* over it: refused; else only throttled */
    int32_t throttle_ms; /* the largest that was found */
};

/* The slices are kept. */
void mutation_quota_init(struct mutation_quota *quota, struct node *node, struct slice principal,
                         struct slice client_id, bool strict);
/* "User:alice" → "alice". */
struct slice principal_name(struct slice principal);

#endif
