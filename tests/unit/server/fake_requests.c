/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_requests.c: what the handlers call of dispatch, quotas, shard and
 * controller, as fakes that record.
 */
#include "data_support.h"

#include "base/assert.h"
#include "protocol/generated/allocate_producer_ids_response.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"
#include "server/controller_gate.h"
#include "server/handlers/group_request.h"
#include "server/quota.h"

static struct rig_request *of(struct request *request)
{
    return CONTAINER_OF(request, struct rig_request, request);
}

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

/* ---- requests ---- */

void *request_response(struct request *request)
{
    void *response = arena_zeroed(&request->arena, 1, message_struct_bytes(request->api->response));

    message_init(request->api->response, response);
    return response;
}

static void ended(struct request *request)
{
    assert_false(of(request)->is_answered);
    of(request)->is_answered = true;
}

void rig_loan_end(struct request *request)
{
    struct request_loan *loan = TAKE(request->loan);

    if (loan)
        loan->release(loan);
}

void request_lend(struct request *request, struct request_loan *loan, size_t slices_max)
{
    UNUSED(slices_max);
    assert_null(request->loan);
    request->loan = loan;
}

void request_answer(struct request *request, void *response)
{
    CLEANUP(writer_release) struct writer writer;
    struct slice bytes;
    struct cursor cursor;

    ended(request);
    /* As the peer sees it: what was lent for the answer may go now. */
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    OKAY(message_encode(request->api->response, request->header.api_version, response, &writer));
    bytes = arena_copy(&of(request)->rig->arena, writer_slice(&writer));
    cursor = cursor_of(bytes);
    of(request)->response =
        arena_zeroed(&of(request)->rig->arena, 1, message_struct_bytes(request->api->response));
    OKAY(message_decode(request->api->response, request->header.api_version, &cursor,
                        &of(request)->rig->arena, of(request)->response));
    if (!of(request)->rig->loans_stay)
        rig_loan_end(request);
}

void request_answer_failed(struct request *request, enum err err, const char *message)
{
    UNUSED(message);
    ended(request);
    of(request)->is_failed = true;
    of(request)->failed_err = err;
}

void request_answer_nothing(struct request *request)
{
    ended(request);
    of(request)->is_nothing = true;
}

void request_close(struct request *request, const char *why)
{
    UNUSED(why);
    ended(request);
    of(request)->is_closed = true;
}

void request_rest(struct request *request)
{
    assert_true(of(request)->holds > 0);
    assert_false(of(request)->is_answered);
    of(request)->rests++;
}

void request_hold(struct request *request)
{
    of(request)->holds++;
}

void request_release_hold(struct request *request)
{
    assert_true(of(request)->holds > 0);
    of(request)->holds--;
}

void request_pass(struct request *request)
{
    assert_false(of(request)->is_answered);
    of(request)->has_passed = true;
}

void request_throttle(struct request *request, int32_t throttle_ms)
{
    of(request)->throttle_ms = MAX(of(request)->throttle_ms, throttle_ms);
}

bool request_broker_endpoint(const struct request *request, int32_t broker_id,
                             struct slice *host_out, int32_t *port_out)
{
    UNUSED(request);
    *host_out = SLICE("rig");
    *port_out = 9000 + broker_id;
    return true;
}

/* ---- transaction coordinators ---- */

void coordinator_request_call(struct request *request, const struct coordinator_kind *kind,
                              struct slice key, const void *body,
                              void (*done)(struct coordinator_call *call), void *context)
{
    struct coordinator_call call = {.request = request,
                                    .kind = kind,
                                    .body = body,
                                    .context = context,
                                    .err = ERR_COORDINATOR_NOT_AVAILABLE};

    UNUSED(key);
    done(&call);
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
