/* SPDX-License-Identifier: Apache-2.0 */
#include "data_support.h"

#include "server/coordinator_internal.h"

void rig_coordinators_create(struct rig *rig, const struct coordinator_kind *kind)
{
    for (size_t i = 0; i < rig->shard_count; i++)
        OKAY(coordinator_service_create(&rig->shards[i], kind, &rig->shards[i].coordinators));
}

void rig_coordinators_publish(struct rig *rig)
{
    const struct publication *before = rig->shards[0].publication;

    rig_publish(rig);
    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_apply(rig->shards[i].coordinators, before, rig->shards[i].publication);
}

static void stopped(void *context)
{
    ++*(size_t *)context;
}

void rig_coordinators_stop(struct rig *rig)
{
    size_t count = 0;

    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_stop(rig->shards[i].coordinators, stopped, &count);
    rig_pass(rig, 200);
    assert_int_equal(count, rig->shard_count);
}

void rig_coordinators_release(struct rig *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++)
        coordinator_service_release(&rig->shards[i].coordinators);
}
