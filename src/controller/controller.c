/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/controller.c: the active controller's life (claim.c has its beginning), the way of a
 * request to its handler, and replay, the only function that changes the replicated state.
 * Invariants  1. a call that fails leaves no record behind and changes nothing of the replicated state.
 *             2. the state is the image of the claim plus every record replayed since, in order.
 * Crash       nothing to save: all of it is in the log.
 * Threads     one.
 */
#include "controller/controller_internal.h"

struct controller_options controller_options_default(void)
{
    return (struct controller_options){
        .session_timeout_ms = 9000,
        .heartbeat_interval_ms = 2000,
        .idle_interval_ms_max = 500,
        .leader_rebalance = true,
        .leader_rebalance_interval_ms = 300000,
        .unclean_election_interval_ms = 300000,
        .partitions_default = 1,
        .replication_factor_default = 1,
        .topic_deletion = true,
    };
}

/* The records of the file may be gone when they are needed. */
static enum err bootstrap_copy(struct controller *controller,
                               const struct metadata_record_list *from)
{
    struct metadata_record *items =
        ARENA_ARRAY(&controller->options_arena, struct metadata_record, from->count);

    if (!items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < from->count; i++) {
        const struct message_type *type = from->items[i].type;
        void *message = arena_zeroed(&controller->options_arena, 1, message_struct_bytes(type));

        if (!message)
            return ERR_NO_MEMORY;
        TRY(message_copy(type, from->items[i].message, &controller->options_arena, message));
        items[i] = (struct metadata_record){type, from->items[i].version, message};
    }
    controller->options.bootstrap = (struct metadata_record_list){items, from->count, from->count};
    return OK;
}

enum err controller_create(struct allocator *allocator, const struct controller_options *options,
                           struct logger *logger, struct controller **out)
{
    struct controller *controller = ALLOCATOR_NEW(allocator, struct controller);
    enum err err;

    *out = NULL;
    if (!controller)
        return ERR_NO_MEMORY;
    controller->allocator = allocator;
    controller->options = *options;
    controller->logger = logger;
    arena_init(&controller->options_arena, allocator, SIZE_MAX);
    controller->options.cluster_id = arena_copy(&controller->options_arena, options->cluster_id);
    err = bootstrap_copy(controller, &options->bootstrap);
    if (err == OK && slice_is_null(controller->options.cluster_id) &&
        !slice_is_null(options->cluster_id))
        err = ERR_NO_MEMORY;
    *out = controller;
    if (err != OK)
        controller_release(out);
    return err;
}

void controller_release(struct controller **controller)
{
    struct controller *old = TAKE(*controller);

    if (!old)
        return;
    controller_renounce(old);
    arena_release(&old->options_arena);
    ALLOCATOR_DELETE(old->allocator, old);
}

static void voters_clear(struct controller *controller)
{
    if (controller->voters)
        controller->allocator->release(controller->allocator, controller->voters,
                                       controller->voter_count * sizeof *controller->voters);
    controller->voters = NULL;
    controller->voter_count = 0;
}

void controller_renounce(struct controller *controller)
{
    metadata_state_release(&controller->state);
    heartbeats_clear(controller);
    voters_clear(controller);
}

bool controller_is_active(const struct controller *controller)
{
    return controller->state != NULL;
}

const struct metadata_image *controller_view(const struct controller *controller)
{
    return controller->state ? metadata_state_view(controller->state) : NULL;
}

int64_t controller_end_offset(const struct controller *controller)
{
    return controller->end_offset;
}

void controller_config_changed(struct controller *controller, const struct config *config)
{
    controller->options.config = config;
}

void controller_fetchers_changed(struct controller *controller, bool remote_fetchers)
{
    controller->remote_fetchers = remote_fetchers;
}

enum err controller_quorum_changed(struct controller *controller, int16_t kraft_version,
                                   const int32_t *voters, size_t voter_count)
{
    int32_t *copy = NULL;

    if (voter_count > 0) {
        copy = controller->allocator->allocate(controller->allocator, voter_count * sizeof *copy);
        if (!copy)
            return ERR_NO_MEMORY;
        memcpy(copy, voters, voter_count * sizeof *copy);
    }
    voters_clear(controller);
    controller->kraft_version = kraft_version;
    controller->voters = copy;
    controller->voter_count = voter_count;
    return OK;
}

/* ---- calls ---- */

struct call call_of(struct controller *controller, const struct controller_moment *moment,
                    struct arena *arena, struct controller_result *out)
{
    const struct metadata_image *image = metadata_state_view(controller->state);

    *out = (struct controller_result){.kraft_version_upgrade = -1, .atomic = true};
    return (struct call){
        .controller = controller,
        .image = image,
        .moment = moment,
        .arena = arena,
        .records = &out->records,
        .result = out,
        .metadata_version = metadata_image_version(image),
        .elr = metadata_image_level(image, FEATURE_ELR_VERSION) > 0,
        .why = &out->why,
    };
}

enum err call_apply(struct call *call)
{
    if (call->applied == call->records->count)
        return OK;
    if (!call->scratch)
        TRY(metadata_state_create(call->controller->allocator, call->image, &call->scratch));
    call->image = metadata_state_view(call->scratch);
    for (; call->applied < call->records->count; call->applied++)
        TRY(metadata_state_replay(call->scratch, &call->records->items[call->applied],
                                  call->moment->next_offset + (int64_t)call->applied, call->why));
    return OK;
}

enum err record_add(struct call *call, int16_t key, int16_t version, void *message_out)
{
    void *message;

    TRY(metadata_record_add(call->records, call->arena, key, version, &message));
    memcpy(message_out, &message, sizeof message);
    return OK;
}

enum err call_changes_check(struct call *call, int64_t count)
{
    if (count <= CONTROLLER_RECORDS_MAX)
        return OK;
    return why_set(call->why, ERR_POLICY_VIOLATION,
                   "Unable to perform excessively large batch operation.");
}

enum err call_records_check(struct call *call)
{
    return call_changes_check(call, (int64_t)call->records->count);
}

bool call_allowed(const struct call *call, int8_t operation, int8_t resource_type,
                  struct slice resource_name)
{
    struct controller_access *access = call->request->access;

    return !access || access->allowed(access, operation, resource_type, resource_name);
}

int16_t item_code(enum err err)
{
    return err_wire_code(err);
}

struct slice item_text(struct call *call, enum err err, const struct why *why)
{
    if (why->text[0] != '\0')
        return arena_copy(call->arena, slice_from_text(why->text));
    return slice_from_text(err_text(err));
}

struct slice item_detail(struct call *call, const struct why *why)
{
    return why->text[0] != '\0' ? arena_copy(call->arena, slice_from_text(why->text)) : SLICE_NULL;
}

int16_t finalized_level(const struct call *call, struct slice name)
{
    const struct metadata_feature *feature;

    if (slice_equal_text(name, FEATURE_KRAFT_VERSION))
        return call->controller->kraft_version;
    feature = metadata_image_feature(call->image, name);
    return feature ? feature->level : 0;
}

/* ---- requests ---- */

static const struct {
    int16_t api_key;
    call_function handle;
    bool atomic;
    /* CLUSTER_ACTION is asked for: only brokers and controllers send these. */
    bool cluster_action;
} handlers[] = {
    {API_CREATE_TOPICS, decide_create_topics, true, false},
    {API_DELETE_TOPICS, decide_delete_topics, true, false},
    {API_ALTER_CONFIGS, decide_alter_configs, true, false},
    {API_CREATE_PARTITIONS, decide_create_partitions, true, false},
    {API_ELECT_LEADERS, decide_elect_leaders, false, false},
    {API_INCREMENTAL_ALTER_CONFIGS, decide_incremental_alter_configs, true, false},
    {API_ALTER_PARTITION_REASSIGNMENTS, decide_alter_reassignments, true, false},
    {API_LIST_PARTITION_REASSIGNMENTS, decide_list_reassignments, true, false},
    {API_ALTER_CLIENT_QUOTAS, decide_alter_client_quotas, true, false},
    {API_ALTER_USER_SCRAM_CREDENTIALS, decide_alter_scram, true, false},
    {API_ALTER_PARTITION, decide_alter_partition, false, true},
    {API_UPDATE_FEATURES, decide_update_features, true, false},
    {API_BROKER_REGISTRATION, decide_broker_registration, false, true},
    {API_BROKER_HEARTBEAT, decide_broker_heartbeat, false, true},
    {API_UNREGISTER_BROKER, decide_unregister_broker, false, false},
    {API_ALLOCATE_PRODUCER_IDS, decide_allocate_producer_ids, true, true},
    {API_CONTROLLER_REGISTRATION, decide_controller_registration, true, true},
    {API_ASSIGN_REPLICAS_TO_DIRS, decide_assign_replicas_to_dirs, false, true},
    {API_UNREGISTER_CONTROLLER, decide_unregister_controller, true, false},
};

bool controller_handles(int16_t api_key)
{
    for (size_t i = 0; i < ARRAY_COUNT(handlers); i++) {
        if (handlers[i].api_key == api_key)
            return true;
    }
    return false;
}

static enum err handler_run(struct call *call, size_t at)
{
    const struct controller_request *request = call->request;
    const struct message_type *type = api_find(request->api_key)->response;
    void *response = arena_zeroed(call->arena, 1, message_struct_bytes(type));

    if (!response)
        return ERR_NO_MEMORY;
    if (handlers[at].cluster_action &&
        !call_allowed(call, OPERATION_CLUSTER_ACTION, RESOURCE_CLUSTER, CLUSTER_RESOURCE))
        return ERR_CLUSTER_AUTHORIZATION_FAILED;
    message_init(type, response);
    call->result->atomic = handlers[at].atomic;
    TRY(handlers[at].handle(call, request->body, response));
    call->result->response = response;
    return OK;
}

enum err controller_handle(struct controller *controller, const struct controller_request *request,
                           const struct controller_moment *moment, struct arena *arena,
                           struct controller_result *out)
{
    struct call call;
    enum err err;

    for (size_t i = 0; i < ARRAY_COUNT(handlers); i++) {
        if (handlers[i].api_key != request->api_key)
            continue;
        if (!controller->state) {
            *out = (struct controller_result){.kraft_version_upgrade = -1};
            return why_set(&out->why, ERR_NOT_CONTROLLER,
                           "This node is not the active controller.");
        }
        call = call_of(controller, moment, arena, out);
        call.request = request;
        /* A late heartbeat still keeps its session, so it looks at the deadline itself. */
        if (moment->now_ms > request->deadline_ms && request->api_key != API_BROKER_HEARTBEAT)
            return why_set(&out->why, ERR_REQUEST_TIMED_OUT, "The request timed out.");
        err = handler_run(&call, i);
        metadata_state_release(&call.scratch);
        if (err != OK)
            out->records.count = 0;
        return err;
    }
    *out = (struct controller_result){.kraft_version_upgrade = -1};
    return ERR_UNKNOWN_API;
}

enum err controller_tick(struct controller *controller, const struct controller_moment *moment,
                         struct arena *arena, struct controller_result *out)
{
    struct call call;
    enum err err;

    if (!controller->state) {
        *out = (struct controller_result){.kraft_version_upgrade = -1};
        return OK;
    }
    call = call_of(controller, moment, arena, out);
    out->atomic = false;
    err = tick_run(&call);
    if (err != OK)
        out->records.count = 0;
    return err;
}

/* ---- replay ---- */

static enum err record_replay(struct controller *controller, const struct metadata_record *record,
                              int64_t offset, struct why *why)
{
    const struct partition_change_record *change = record->message;

    /* The open transaction lies behind the image that this state began with. */
    if (record->type->key == METADATA_RECORD_ABORT_TRANSACTION &&
        !metadata_state_in_transaction(controller->state))
        return OK;
    TRY(metadata_state_replay(controller->state, record, offset, why));
    TRY(heartbeat_replayed(controller, record));
    if (record->type->key == METADATA_RECORD_PARTITION_CHANGE && change->leader_recovery_state == 1)
        controller->elections_unclean++;
    if (record->type->key != METADATA_RECORD_NO_OP)
        controller->written_since_no_op = true;
    return OK;
}

enum err controller_replay(struct controller *controller,
                           const struct metadata_record_list *records, int64_t base_offset,
                           int64_t timestamp_ms, struct why *why)
{
    struct metadata_provenance provenance = {.epoch = controller->epoch,
                                             .timestamp_ms = timestamp_ms};

    ASSERT(controller->state);
    for (size_t i = 0; i < records->count; i++)
        TRY(record_replay(controller, &records->items[i], base_offset + (int64_t)i, why));
    controller->end_offset = base_offset + (int64_t)records->count;
    provenance.offset = controller->end_offset - 1;
    metadata_state_advance(controller->state, provenance);
    return OK;
}
