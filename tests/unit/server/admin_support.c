/* SPDX-License-Identifier: Apache-2.0 */
#include "admin_support.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/parse.h"
#include "server/quorum_bridge.h"
#include "server/quota.h"
#include "server/request_internal.h"
#include "server/topic_name.h"

static struct desk_request *of(struct request *request)
{
    return CONTAINER_OF(request, struct desk_request, request);
}

static struct desk *desk_of(const struct node *node)
{
    return CONTAINER_OF(node, struct desk, node);
}

static void log_write(struct logger *self, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    UNUSED(self);
    UNUSED(level);
    UNUSED(module);
    UNUSED(event);
    UNUSED(fields);
}

/* ---- fakes ---- */

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

bool topic_name_is_internal(struct slice name)
{
    return slice_starts_with(name, SLICE("__")) && !slice_equal_text(name, "__mine");
}

void *request_response(struct request *request)
{
    void *response = arena_zeroed(&request->arena, 1, message_struct_bytes(request->api->response));

    message_init(request->api->response, response);
    return response;
}

void request_answer(struct request *request, void *response)
{
    CLEANUP(writer_release) struct writer writer;
    struct desk_request *mine = of(request);
    const struct message_type *type = request->api->response;
    struct cursor cursor;
    enum err err;

    assert_false(mine->is_answered);
    mine->is_answered = true;
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    if (!request->session)
        return;
    err = message_encode(type, request->header.api_version, response, &writer);
    if (err != OK)
        fail_msg("%s v%d: %s", request->api->name, request->header.api_version, err_name(err));
    cursor = cursor_of(arena_copy(&mine->desk->arena, writer_slice(&writer)));
    mine->response = arena_zeroed(&mine->desk->arena, 1, message_struct_bytes(type));
    OKAY(message_decode(type, request->header.api_version, &cursor, &mine->desk->arena,
                        mine->response));
    assert_true(cursor.at == cursor.end);
}

void request_answer_failed(struct request *request, enum err err, const char *message)
{
    void *response = error_response_make(request, err, message);

    of(request)->failed_err = err;
    if (response)
        request_answer(request, response);
    else
        request_close(request, "");
}

void request_answer_nothing(struct request *request)
{
    assert_false(of(request)->is_answered);
    of(request)->is_answered = true;
}

void request_close(struct request *request, const char *why)
{
    UNUSED(why);
    assert_false(of(request)->is_answered);
    of(request)->is_answered = true;
    of(request)->is_closed = true;
}

void request_throttle(struct request *request, int32_t throttle_ms)
{
    of(request)->throttle_ms = MAX(of(request)->throttle_ms, throttle_ms);
}

const struct os_address *connection_local_address(const struct connection *connection)
{
    const struct session *session =
        (const void *)((const uint8_t *)connection + CONNECTION_IDLE_BYTES);

    return &desk_of(session->kind->shard->node)->local;
}

int32_t quota_controller_check(struct quota_service *service, struct slice user,
                               struct slice client_id, double permits, bool strict)
{
    struct desk *desk = (struct desk *)(void *)service;

    assert_slice(user, "ANONYMOUS");
    assert_slice(client_id, "tester");
    desk->quota_permits += permits;
    desk->quota_strict = strict;
    return desk->quota_throttle_ms;
}

void node_set_log_levels(struct node *node, const struct config_logger_levels *levels)
{
    desk_of(node)->levels = *levels;
    desk_of(node)->levels_set++;
}

void node_log_levels(const struct node *node, struct config_logger_levels *out)
{
    *out = desk_of(node)->levels;
}

void controller_call_submit(struct shard *home, struct controller_call *call)
{
    struct desk *desk = desk_of(home->node);

    assert_null(desk->call);
    call->home = home;
    call->err = OK;
    call->response = NULL;
    desk->call = call;
    desk->calls++;
}

void quorum_request(struct quorum *quorum, struct quorum_request *request)
{
    struct desk *desk = (struct desk *)(void *)quorum;

    assert_null(desk->question);
    desk->question = request;
    desk->questions++;
}

void quorum_request_cancel(struct quorum_request *request)
{
    struct desk *desk =
        desk_of(CONTAINER_OF(request, struct quorum_bridge, question)->request->shard->node);

    assert_ptr_equal(desk->question, request);
    desk->question = NULL;
    desk->taken_back++;
}

void desk_controller_answer(struct desk *desk, void *response, enum err err)
{
    struct controller_call *call = desk->call;

    assert_non_null(call);
    desk->call = NULL;
    call->err = err;
    call->response = response;
    if (err != OK) {
        OKAY(controller_error_response(&call->request, err, NULL, call->arena, &call->response));
    } else if (!response) {
        const struct message_type *type = api_find(call->request.api_key)->response;

        call->response = arena_zeroed(call->arena, 1, message_struct_bytes(type));
        message_init(type, call->response);
    }
    call->done(call);
}

void desk_quorum_answer(struct desk *desk, const struct raft_reply *reply, struct slice records)
{
    struct quorum_request *question = desk->question;

    assert_non_null(question);
    desk->question = NULL;
    question->done(question, reply, records);
}

/* ---- the node ---- */

static void config_make(struct desk *desk, const char *properties)
{
    struct config_report report;
    struct config_layers layers = {0};
    static const char base[] =
        "node.id=1\nprocess.roles=broker,controller\n"
        "controller.quorum.voters=1@localhost:9093\n"
        "listeners=PLAINTEXT://own.example:9092,CONTROLLER://own.example:9093\n"
        "controller.listener.names=CONTROLLER\n";
    char *text = arena_format(&desk->arena, "%s%s", base, properties ? properties : "");
    struct config_file *file = ARENA_NEW(&desk->arena, struct config_file);
    struct why why = {""};
    enum err err;

    config_report_init(&report, &desk->arena);
    OKAY(config_file_parse(&desk->arena, SLICE("desk"), slice_from_text(text), file, &why));
    layers.file = file;
    err = config_resolve(&desk->arena, &layers, &report, &desk->config);
    if (err == OK)
        err = config_node(desk->config, &report, &desk->node.config);
    if (err != OK)
        fail_msg("configuration: %s", report.first ? report.first->text : err_name(err));
}

static struct session session_of(struct desk *desk, int home, const char *name,
                                 struct session_kind *kind)
{
    *kind =
        (struct session_kind){.shard = &desk->shards[home], .principal = SLICE("User:ANONYMOUS")};

    for (size_t i = 0; i < desk->node.config.listener_count; i++)
        if (slice_equal_text(desk->node.config.listeners[i].name, name))
            kind->listener = &desk->node.config.listeners[i];
    assert_non_null(kind->listener);
    kind->is_controller_listener = kind->listener->controller;
    return (struct session){.kind = kind};
}

void desk_open(struct desk *desk, const char *properties, int home)
{
    struct feature_level_record *feature;

    memset(desk, 0, sizeof *desk);
    desk->logger = (struct logger){.write = log_write, .level = LOG_LEVEL_ERROR};
    arena_init(&desk->arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_create(42, NULL, &desk->sim));
    OKAY(sim_machine_create(desk->sim, "node", &desk->os));
    config_make(desk, properties);
    desk->node.os = desk->os;
    desk->node.logger = &desk->logger;
    desk->node.boot_config = desk->config;
    desk->node.cluster_id = SLICE("desk-cluster-id-00001x");
    desk->node.shards = desk->shards;
    desk->node.shard_count = DESK_SHARDS;
    desk->node.quorum = (struct quorum *)(void *)desk;
    memcpy(desk->local.text, "127.0.0.7", sizeof "127.0.0.7");
    desk->local.port_number = 9092;
    for (int i = 0; i < DESK_SHARDS; i++) {
        desk->shards[i] = (struct shard){
            .node = &desk->node, .index = i, .quotas = (struct quota_service *)(void *)desk};
        OKAY(reactor_create(desk->os, i, 42, &desk->logger, &desk->shards[i].reactor));
    }
    desk->session = session_of(desk, home, "PLAINTEXT", &desk->kinds[0]);
    desk->controller = session_of(desk, home, "CONTROLLER", &desk->kinds[1]);
    memset(desk->levels.level, -1, sizeof desk->levels.level);
    desk->levels.level[CONFIG_LOGGER_ROOT] = LOG_LEVEL_INFO;
    OKAY(metadata_state_create(&heap_allocator, NULL, &desk->state));
    feature = desk_record(desk, METADATA_RECORD_FEATURE_LEVEL, 0);
    feature->name = SLICE("metadata.version");
    feature->feature_level = METADATA_VERSION_LATEST;
    desk_replay(desk);
}

void desk_close(struct desk *desk)
{
    assert_null(desk->call);
    assert_null(desk->question);
    for (int i = 0; i < DESK_SHARDS; i++)
        assert_null(desk->shards[i].auto_creates);
    metadata_image_release(&desk->publication.image);
    metadata_state_release(&desk->state);
    for (int i = 0; i < DESK_SHARDS; i++)
        reactor_release(&desk->shards[i].reactor);
    sim_release(&desk->sim);
    arena_release(&desk->arena);
}

/* ---- metadata ---- */

struct uuid desk_id(uint32_t number)
{
    struct uuid id = {{0x10}};

    id.bytes[15] = (uint8_t)number;
    return id;
}

void *desk_record(struct desk *desk, int16_t key, int16_t version)
{
    void *message;

    OKAY(metadata_record_add(&desk->records, &desk->arena, key, version, &message));
    return message;
}

void desk_replay(struct desk *desk)
{
    struct why why = {""};
    enum err err = metadata_state_replay(desk->state, &desk->records.items[desk->records.count - 1],
                                         desk->offset++, &why);

    if (err != OK)
        fail_msg("replay: %s %s", err_name(err), why.text);
}

void desk_broker(struct desk *desk, int32_t id, bool fenced, const char *listener, const char *rack)
{
    struct register_broker_record *broker = desk_record(desk, METADATA_RECORD_REGISTER_BROKER, 3);

    broker->broker_id = id;
    broker->broker_epoch = desk->offset;
    broker->fenced = fenced;
    broker->rack = slice_from_text(rack);
    broker->log_dirs = ARENA_ARRAY(&desk->arena, struct uuid, 1);
    broker->log_dirs[0] = desk_id(200);
    broker->log_dirs_count = 1;
    if (listener) {
        broker->end_points = register_broker_record_broker_endpoint_array(&desk->arena, 1);
        broker->end_points_count = 1;
        broker->end_points->name = slice_from_text(listener);
        broker->end_points->host = arena_format_slice(&desk->arena, "host%d", id);
        broker->end_points->port = (uint16_t)(9000 + id);
    }
    desk_replay(desk);
}

void desk_topic(struct desk *desk, const char *name, uint32_t id)
{
    struct topic_record *topic = desk_record(desk, METADATA_RECORD_TOPIC, 0);

    topic->name = slice_from_text(name);
    topic->topic_id = desk_id(id);
    desk_replay(desk);
}

static int32_t *ids_of(struct desk *desk, const char *text, int32_t *count_out)
{
    int32_t *ids = ARENA_ARRAY(&desk->arena, int32_t, 8);

    *count_out = 0;
    for (const char *at = text; *at; at++)
        if (*at >= '0' && *at <= '9')
            ids[(*count_out)++] = *at - '0';
    return ids;
}

struct partition_record *desk_partition(struct desk *desk, uint32_t topic, int32_t index,
                                        const char *replicas, const char *isr, int32_t leader)
{
    struct partition_record *partition = desk_record(desk, METADATA_RECORD_PARTITION, 2);

    partition->topic_id = desk_id(topic);
    partition->partition_id = index;
    partition->replicas = ids_of(desk, replicas, &partition->replicas_count);
    partition->isr = ids_of(desk, isr ? isr : replicas, &partition->isr_count);
    partition->directories_count = partition->replicas_count;
    partition->directories =
        ARENA_ARRAY(&desk->arena, struct uuid, (size_t)partition->replicas_count);
    for (int32_t i = 0; i < partition->replicas_count; i++)
        partition->directories[i] = desk_id(200);
    partition->leader = leader;
    partition->leader_epoch = 7;
    partition->partition_epoch = 0;
    desk_replay(desk);
    return partition;
}

void desk_config(struct desk *desk, int8_t type, const char *resource, const char *key,
                 const char *value)
{
    struct config_record *record = desk_record(desk, METADATA_RECORD_CONFIG, 0);

    record->resource_type = type;
    record->resource_name = slice_from_text(resource);
    record->name = slice_from_text(key);
    record->value = slice_from_text(value);
    desk_replay(desk);
}

void desk_publish(struct desk *desk)
{
    metadata_image_release(&desk->publication.image);
    OKAY(metadata_state_publish(desk->state, &desk->publication.image));
    desk->publication.number++;
    desk->publication.config = desk->config;
    desk->publication.metadata_version = metadata_image_version(desk->publication.image);
    for (int i = 0; i < DESK_SHARDS; i++)
        desk->shards[i].publication = &desk->publication;
}

/* ---- requests ---- */

void desk_ask_on(struct desk *desk, struct session *session, struct desk_request *out,
                 int16_t api_key, int16_t version, const void *body, request_handler handler)
{
    CLEANUP(writer_release) struct writer writer;
    struct request *request = &out->request;
    const struct api *api = api_find(api_key);
    struct cursor cursor;

    memset(out, 0, sizeof *out);
    out->desk = desk;
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    OKAY(message_encode(api->request, version, body, &writer));
    *request = (struct request){
        .shard = session->kind->shard,
        .session = session,
        .api = api,
        .header = {api_key, version, 77, SLICE("tester")},
        .received_ms = reactor_now_ms(session->kind->shard->reactor),
    };
    arena_init(&request->arena, &heap_allocator, SIZE_MAX);
    cursor = cursor_of(arena_copy(&request->arena, writer_slice(&writer)));
    request->body = arena_zeroed(&request->arena, 1, message_struct_bytes(api->request));
    OKAY(message_decode(api->request, version, &cursor, &request->arena, request->body));
    handler(request);
}

void desk_ask(struct desk *desk, struct desk_request *out, int16_t api_key, int16_t version,
              const void *body, request_handler handler)
{
    desk_ask_on(desk, &desk->session, out, api_key, version, body, handler);
}

void desk_hang_up(struct desk_request *request)
{
    void (*cancelled)(struct request *) = request->request.cancelled;

    request->request.session = NULL;
    request->request.cancelled = NULL;
    if (cancelled)
        cancelled(&request->request);
}

void desk_request_end(struct desk_request *request)
{
    assert_true(request->is_answered);
    assert_null(request->request.cancelled);
    arena_release(&request->request.arena);
}

void desk_pass(struct desk *desk, int64_t time_ms)
{
    sim_run_until(desk->sim, sim_now_ns(desk->sim) + time_ms * 1000000, NULL, NULL);
}
