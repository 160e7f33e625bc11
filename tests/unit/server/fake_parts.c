/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_parts.c: what the handlers call of shard, quotas and controller, as fakes that record.
 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/allocate_producer_ids_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"
#include "server/controller_gate.h"
#include "server/quota.h"

static struct rig *rig_of(const struct shard *shard)
{
    return CONTAINER_OF(shard->node, struct rig, node);
}

/* ---- shard ---- */

int shard_of_partition(const struct node *node, struct uuid topic_id, int32_t partition)
{
    /* Plain, so that tests know who owns what. */
    return (int)((topic_id.bytes[15] + (uint32_t)partition) % node->shard_count);
}

void *server_allocate(size_t size_bytes)
{
    void *memory = allocator_zeroed(&heap_allocator, size_bytes);

    ASSERT(memory != NULL);
    return memory;
}

void server_free(void *pointer, size_t size_bytes)
{
    heap_allocator.release(&heap_allocator, pointer, size_bytes);
}

struct config_set publication_topic_configs(const struct publication *publication,
                                            struct slice topic, struct arena *arena)
{
    const struct metadata_configs *configs =
        metadata_image_configs(publication->image, METADATA_RESOURCE_TOPIC, topic);
    struct config_pair *pairs;

    if (!configs)
        return CONFIG_SET_EMPTY;
    pairs = ARENA_ARRAY(arena, struct config_pair, configs->entry_count);
    for (size_t i = 0; i < configs->entry_count; i++)
        pairs[i] = (struct config_pair){arena_copy(arena, configs->entries[i].key),
                                        arena_copy(arena, configs->entries[i].value)};
    return (struct config_set){pairs, configs->entry_count};
}

/* ---- quotas ---- */

int32_t quota_record(struct quota_service *service, enum quota_kind kind, struct slice user,
                     struct slice client_id, double amount)
{
    UNUSED(kind);
    UNUSED(user);
    UNUSED(client_id);
    UNUSED(amount);
    return ((struct rig *)(void *)service)->quota_throttle_ms;
}

void quota_unrecord(struct quota_service *service, enum quota_kind kind, struct slice user,
                    struct slice client_id, double amount)
{
    UNUSED(service);
    UNUSED(kind);
    UNUSED(user);
    UNUSED(client_id);
    UNUSED(amount);
}

int64_t quota_fetch_bytes_max(struct quota_service *service, struct slice user,
                              struct slice client_id)
{
    UNUSED(user);
    UNUSED(client_id);
    return ((struct rig *)(void *)service)->quota_fetch_max;
}

/* ---- the controller ---- */

static void assignment_answer(struct rig *rig, struct controller_call *call)
{
    const struct assign_replicas_to_dirs_request *body = call->request.body;
    struct assign_replicas_to_dirs_response *response =
        assign_replicas_to_dirs_response_array(call->arena, 1);

    response->directories = assign_replicas_to_dirs_response_directory_data_array(
        call->arena, (size_t)body->directories_count);
    response->directories_count = body->directories_count;
    for (int32_t i = 0; i < body->directories_count; i++) {
        rig->assignments++;
        rig->assigned = body->directories[i].id;
        response->directories[i].id = body->directories[i].id;
        response->directories[i].topics_count = 1;
        response->directories[i].topics =
            assign_replicas_to_dirs_response_topic_data_array(call->arena, 1);
        response->directories[i].topics->topic_id = body->directories[i].topics->topic_id;
        response->directories[i].topics->partitions_count = 1;
        response->directories[i].topics->partitions =
            assign_replicas_to_dirs_response_partition_data_array(call->arena, 1);
        response->directories[i].topics->partitions->partition_index =
            body->directories[i].topics->partitions->partition_index;
    }
    call->response = response;
}

static void controller_back(struct mail *mail, struct reactor *to)
{
    struct controller_call *call = CONTAINER_OF(mail, struct controller_call, mail);

    UNUSED(to);
    call->done(call);
}

void controller_call_submit(struct shard *home, struct controller_call *call)
{
    struct rig *rig = rig_of(home);

    call->home = home;
    call->err = OK;
    if (call->request.api_key == API_ASSIGN_REPLICAS_TO_DIRS) {
        assignment_answer(rig, call);
    } else {
        struct allocate_producer_ids_response *response =
            allocate_producer_ids_response_array(call->arena, 1);

        response->producer_id_start = rig->id_blocks++ * 1000;
        response->producer_id_len = 1000;
        call->response = response;
    }
    call->mail = (struct mail){.deliver = controller_back};
    reactor_send(home->reactor, home->reactor, &call->mail);
}
