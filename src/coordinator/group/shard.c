/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/shard.c: the group coordinator of one partition: its life, the way of a request
 * to the kind of group that it concerns, ticks, ends of writes, and what people may look at.
 * Invariants  1. between two calls every armed timer, parked request and watched write belongs to
 *                something that lives.
 *             2. records of a call are replayed before the next call, or the call is taken back.
 * Threads     one.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

#define VERSION_LEAVE_MANY 3
/* Timers that are only moved by one tick; heartbeats have put them off. */
#define MOVED_TIMERS_MAX 256

/* ---- options ---- */

static const struct slice assignors_default[] = {
    {(const uint8_t *)"uniform", 7},
    {(const uint8_t *)"range", 5},
};

void group_options_init(struct group_options *options)
{
    *options = (struct group_options){
        .group_session_timeout_min_ms = 6000,
        .group_session_timeout_max_ms = 1800000,
        .group_initial_rebalance_delay_ms = 3000,
        .group_max_size = INT32_MAX,
        .offset_metadata_bytes_max = 4096,
        .offsets_retention_ms = INT64_C(10080) * 60 * 1000,
        .offsets_retention_check_interval_ms = 600000,
        .classic_on = true,
        .consumer_on = true,
        .streams_on = true,
        .consumer_session_timeout_ms = 45000,
        .consumer_session_timeout_min_ms = 45000,
        .consumer_session_timeout_max_ms = 60000,
        .consumer_heartbeat_interval_ms = 5000,
        .consumer_heartbeat_interval_min_ms = 5000,
        .consumer_heartbeat_interval_max_ms = 15000,
        .consumer_max_size = INT32_MAX,
        .consumer_assignors = assignors_default,
        .consumer_assignor_count = ARRAY_COUNT(assignors_default),
        .consumer_migration = GROUP_MIGRATION_BIDIRECTIONAL,
        .consumer_regex_refresh_interval_ms = 600000,
        .consumer_assignment_interval_ms = 1000,
        .consumer_assignment_interval_max_ms = 15000,
    };
}

enum err group_coordinator_set_options(struct group_coordinator *coordinator,
                                       const struct group_options *options)
{
    struct group_options copy = *options;
    struct slice *assignors;
    struct arena arena;

    arena_init(&arena, coordinator->allocator, SIZE_MAX);
    assignors = ARENA_ARRAY(&arena, struct slice, options->consumer_assignor_count);
    for (size_t i = 0; assignors && i < options->consumer_assignor_count; i++) {
        assignors[i] = arena_copy(&arena, options->consumer_assignors[i]);
        if (slice_is_null(assignors[i]))
            assignors = NULL;
    }
    if (!assignors) {
        arena_release(&arena);
        return ERR_NO_MEMORY;
    }
    copy.consumer_assignors = assignors;
    arena_release(&coordinator->options_arena);
    coordinator->options_arena = arena;
    coordinator->options = copy;
    return OK;
}

/* ---- life ---- */

enum err group_coordinator_create(struct allocator *allocator, const struct group_options *options,
                                  struct logger *logger, struct group_coordinator **out)
{
    struct group_coordinator *coordinator = ALLOCATOR_NEW(allocator, struct group_coordinator);
    enum err err;

    *out = NULL;
    if (!coordinator)
        return ERR_NO_MEMORY;
    coordinator->allocator = allocator;
    coordinator->logger = logger;
    arena_init(&coordinator->options_arena, allocator, SIZE_MAX);
    group_table_init(coordinator);
    offset_expiry_init(coordinator);
    err = group_coordinator_set_options(coordinator, options);
    if (err == OK)
        err = offsets_create(coordinator, &coordinator->offsets);
    if (err == OK)
        err = consumer_shared_create(coordinator, &coordinator->consumer);
    if (err != OK)
        group_coordinator_release(&coordinator);
    *out = coordinator;
    return err;
}

void group_coordinator_release(struct group_coordinator **coordinator)
{
    struct group_coordinator *old = TAKE(*coordinator);

    if (!old)
        return;
    group_timer_stop(old, &old->scan_timer);
    old->scan = NULL;
    LIST_EACH_SAFE (node, &old->writes) {
        struct group_write *write = LIST_ITEM(node, struct group_write, node);

        list_remove(&write->node);
        write->release(old, write);
    }
    group_deletions_release(old);
    HASH_MAP_EACH_SAFE (node, &old->groups)
        group_remove(old, HASH_MAP_ITEM(node, struct group, node));
    classic_group_release(old, &old->staged);
    if (old->consumer)
        consumer_shared_release(old, &old->consumer);
    offsets_release(old, &old->offsets);
    hash_map_release(&old->groups);
    hash_map_release(&old->waiters);
    heap_release(&old->timers);
    arena_release(&old->options_arena);
    ALLOCATOR_DELETE(old->allocator, old);
}

static struct group_call call_of(struct group_coordinator *coordinator,
                                 const struct coordinator_request *request,
                                 const struct coordinator_moment *moment,
                                 struct coordinator_effects *effects)
{
    ASSERT(effects->write == 0); /* one write of one call */
    coordinator->now_ms = moment->now_ms;
    coordinator->wall_ms = moment->wall_ms;
    return (struct group_call){
        .coordinator = coordinator,
        .request = request,
        .moment = moment,
        .effects = effects,
        .arena = effects->arena,
    };
}

enum err group_coordinator_loaded(struct group_coordinator *coordinator,
                                  const struct coordinator_moment *moment,
                                  struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, NULL, moment, effects);

    ASSERT(!coordinator->loaded);
    coordinator->loaded = true;
    HASH_MAP_EACH (node, &coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(node, struct group, node);

        group->rested_ms = coordinator->now_ms;
        if (group->kind == GROUP_CLASSIC)
            TRY(classic_loaded(&call, group_classic(group)));
        else
            TRY(consumer_group_loaded(&call, group_consumer(group)));
    }
    LOG_INFO(coordinator->logger, GROUP_LOG, "group_coordinator_loaded",
             "groups=%zu offsets=%zu end_offset=%lld", coordinator->groups.count,
             coordinator->offsets->count, (long long)coordinator->end_offset);
    return offset_expiry_start(coordinator);
}

void group_coordinator_committed(struct group_coordinator *coordinator, int64_t offset)
{
    if (offset <= coordinator->committed_end)
        return;
    coordinator->committed_end = offset;
    offsets_settle(coordinator);
}

enum err group_coordinator_write_ended(struct group_coordinator *coordinator, uint64_t write,
                                       enum err err, const struct coordinator_moment *moment,
                                       struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, NULL, moment, effects);

    LIST_EACH_SAFE (node, &coordinator->writes) {
        struct group_write *watched = LIST_ITEM(node, struct group_write, node);
        enum err ended;

        if (watched->number > write)
            break; /* in order: writes that were watched later */
        if (watched->number < write)
            continue;
        list_remove(&watched->node);
        ended = watched->ended(&call, watched, err);
        watched->release(coordinator, watched);
        TRY(ended);
    }
    /* Refused before the replay that it stood ready for. */
    if (err != OK && coordinator->staged && coordinator->staged_write == write)
        classic_group_release(coordinator, &coordinator->staged);
    return OK;
}

/* ---- requests ---- */

static enum err handle_join(struct group_call *call, const struct join_group_request *request)
{
    const struct group_options *options = &call->coordinator->options;
    struct group *group;

    if (request->group_id.size_bytes == 0)
        return classic_join_refuse(call, ERR_INVALID_GROUP_ID, request->member_id);
    if (request->session_timeout_ms < options->group_session_timeout_min_ms ||
        request->session_timeout_ms > options->group_session_timeout_max_ms)
        return classic_join_refuse(call, ERR_INVALID_SESSION_TIMEOUT, request->member_id);
    group = group_find(call->coordinator, request->group_id);
    if (group && group->kind == GROUP_CONSUMER &&
        consumer_group_member_count(group_consumer(group)) > 0)
        return consumer_group_handle_join(call, group_consumer(group), request);
    return classic_handle_join(call, group, request);
}

static enum err sync_refuse(struct group_call *call, enum err err)
{
    struct sync_group_response *response;

    TRY(classic_sync_response(call, NULL, err, SLICE_NULL, &response));
    return group_reply(call, response, false);
}

static enum err handle_sync(struct group_call *call, const struct sync_group_request *request)
{
    struct group *group = group_find(call->coordinator, request->group_id);

    if (request->group_id.size_bytes == 0)
        return sync_refuse(call, ERR_INVALID_GROUP_ID);
    if (!group)
        return sync_refuse(call, ERR_UNKNOWN_MEMBER_ID);
    if (group->kind == GROUP_CLASSIC)
        return classic_handle_sync(call, group_classic(group), request);
    if (consumer_group_member_count(group_consumer(group)) == 0)
        return sync_refuse(call, ERR_UNKNOWN_MEMBER_ID);
    return consumer_group_handle_sync(call, group_consumer(group), request);
}

static enum err handle_heartbeat(struct group_call *call, const struct heartbeat_request *request)
{
    struct group *group = group_find(call->coordinator, request->group_id);
    struct heartbeat_response *response;

    if (group && request->group_id.size_bytes > 0)
        return group->kind == GROUP_CLASSIC
                   ? classic_handle_heartbeat(call, group_classic(group), request)
                   : consumer_group_handle_classic_heartbeat(call, group_consumer(group), request);
    response = heartbeat_response_array(call->arena, 1);
    if (!response)
        return ERR_NO_MEMORY;
    response->error_code = err_wire_code(request->group_id.size_bytes == 0 ? ERR_INVALID_GROUP_ID
                                                                           : ERR_UNKNOWN_MEMBER_ID);
    return group_reply(call, response, false);
}

static enum err leave_members(struct group_call *call, const struct leave_group_request *request,
                              struct leave_group_response *response)
{
    struct group *group = group_find(call->coordinator, request->group_id);
    struct leave_group_request_member_identity one, *members = request->members;
    int32_t count = MAX(request->members_count, 0);

    if (call->request->api_version < VERSION_LEAVE_MANY) {
        leave_group_request_member_identity_init(&one);
        one.member_id = request->member_id;
        members = &one;
        count = 1;
    }
    response->members = leave_group_response_member_response_array(call->arena, (size_t)count);
    if (!response->members)
        return ERR_NO_MEMORY;
    response->members_count = count;
    for (int32_t i = 0; i < count; i++) {
        response->members[i].member_id = members[i].member_id;
        response->members[i].group_instance_id = members[i].group_instance_id;
        response->members[i].error_code = err_wire_code(group ? OK : ERR_UNKNOWN_MEMBER_ID);
    }
    if (group && group->kind == GROUP_CLASSIC)
        return classic_handle_leave(call, group_classic(group), members, response->members, count);
    return group ? consumer_group_handle_leave(call, group_consumer(group), members,
                                               response->members, count)
                 : OK;
}

static enum err handle_leave(struct group_call *call, const struct leave_group_request *request)
{
    struct leave_group_response *response = leave_group_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    if (request->group_id.size_bytes == 0)
        response->error_code = err_wire_code(ERR_INVALID_GROUP_ID);
    else
        TRY(leave_members(call, request, response));
    if (call->request->api_version < VERSION_LEAVE_MANY && response->members_count > 0) {
        response->error_code = response->members[0].error_code;
        response->members_count = 0;
    }
    return group_reply(call, response, call->effects->record_count > 0);
}

enum err group_coordinator_handle(struct group_coordinator *coordinator,
                                  const struct coordinator_request *request,
                                  const struct coordinator_moment *moment,
                                  struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, request, moment, effects);

    ASSERT(coordinator->loaded);
    ASSERT(coordinator->staged == NULL); /* the last write was replayed or refused */
    switch (request->api_key) {
    case API_JOIN_GROUP:
        return handle_join(&call, request->body);
    case API_SYNC_GROUP:
        return handle_sync(&call, request->body);
    case API_HEARTBEAT:
        return handle_heartbeat(&call, request->body);
    case API_LEAVE_GROUP:
        return handle_leave(&call, request->body);
    case API_OFFSET_COMMIT:
        return offset_handle_commit(&call, request->body);
    case API_TXN_OFFSET_COMMIT:
        return offset_handle_txn_commit(&call, request->body);
    case API_OFFSET_FETCH:
        return offset_handle_fetch(&call, request->body);
    case API_OFFSET_DELETE:
        return offset_handle_delete(&call, request->body);
    case API_LIST_GROUPS:
    case API_DESCRIBE_GROUPS:
        return group_handle_listing(&call);
    case API_DELETE_GROUPS:
        return group_handle_delete(&call, request->body);
    case API_CONSUMER_GROUP_HEARTBEAT:
        return consumer_group_handle_heartbeat(&call, request->body);
    case API_CONSUMER_GROUP_DESCRIBE:
        return consumer_group_handle_describe(&call, request->body);
    default:
        ASSERT(!"an API of this coordinator");
    }
}

/* ---- time ---- */

int64_t group_coordinator_deadline_ms(const struct group_coordinator *coordinator)
{
    const struct heap_node *first = heap_peek(&coordinator->timers);

    return first ? first->key : INT64_MAX;
}

enum err group_coordinator_tick(struct group_coordinator *coordinator,
                                const struct coordinator_moment *moment,
                                struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, NULL, moment, effects);

    ASSERT(coordinator->staged == NULL);
    for (size_t moved = 0; moved < MOVED_TIMERS_MAX; moved++) {
        struct heap_node *first = heap_peek(&coordinator->timers);
        struct group_timer *timer;

        if (!first || first->key > moment->now_ms)
            return OK;
        timer = CONTAINER_OF(first, struct group_timer, node);
        heap_remove(&coordinator->timers, &timer->node);
        if (timer->deadline_ms <= moment->now_ms)
            return timer->fire(&call, timer);
        TRY(heap_push(&coordinator->timers, &timer->node, timer->deadline_ms));
    }
    return OK;
}

/* ---- the world outside ---- */

enum err group_coordinator_image_changed(struct group_coordinator *coordinator,
                                         const struct metadata_image *before,
                                         const struct coordinator_moment *moment,
                                         struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, NULL, moment, effects);

    TRY(offset_topics_deleted(&call, before));
    return consumer_shared_image_changed(&call, before);
}

enum err group_coordinator_task_done(struct group_coordinator *coordinator,
                                     struct coordinator_task **task,
                                     const struct coordinator_moment *moment,
                                     struct coordinator_effects *effects)
{
    struct group_call call = call_of(coordinator, NULL, moment, effects);

    return consumer_task_done(&call, task);
}

/* ---- looking in ---- */

/* Whom the phase waits for: the first member that has not done its part. */
static struct slice holds_up(const struct classic_group *group)
{
    bool joins = group->state == CLASSIC_PREPARING_REBALANCE;

    if (!joins && group->state != CLASSIC_COMPLETING_REBALANCE)
        return SLICE_NULL;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        if (joins ? !member->join : member->awaits_sync)
            return member->id;
    }
    HASH_MAP_EACH (node, &group->pending)
        return HASH_MAP_ITEM(node, struct classic_pending, node)->id;
    return SLICE_NULL;
}

static void classic_view(const struct classic_group *group, struct group_view *view)
{
    view->type = "classic";
    view->state = classic_state_name(group->state);
    view->members = (int32_t)group->members.count;
    view->waits_for_member = holds_up(group);
    view->waits_since_ms = group->rebalance_since_ms;
    view->last_rebalance_reason =
        group->rebalance_last_ms >= 0 ? slice_from_text(group->last_reason) : SLICE_NULL;
    view->last_rebalance_ms = group->rebalance_last_ms;
}

void group_coordinator_each(const struct group_coordinator *coordinator,
                            void (*each)(void *context, const struct group_view *group),
                            void *context)
{
    HASH_MAP_EACH (node, &coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(node, struct group, node);
        struct group_view view = {.group_id = group->id, .last_rebalance_ms = -1};

        if (group->kind == GROUP_CLASSIC)
            classic_view(group_classic(group), &view);
        else
            consumer_group_view(coordinator, group_consumer(group), &view);
        each(context, &view);
    }
}

void group_coordinator_each_offset(const struct group_coordinator *coordinator,
                                   void (*each)(void *context,
                                                const struct group_offset_view *offset),
                                   void *context)
{
    HASH_MAP_EACH (group_node, &coordinator->offsets->groups) {
        const struct offset_group *group = HASH_MAP_ITEM(group_node, struct offset_group, node);

        HASH_MAP_EACH (node, &group->topics) {
            const struct offset_topic *topic = HASH_MAP_ITEM(node, struct offset_topic, node);

            for (uint32_t i = 0; i < topic->slot_count; i++) {
                const struct offset_value *value = offset_committed(coordinator, topic->slots[i]);

                if (value)
                    each(context, &(struct group_offset_view){
                                      .group_id = group->id,
                                      .topic = topic->name->name,
                                      .partition = topic->slots[i]->partition,
                                      .offset = value->offset,
                                      .commit_ms = value->commit_ms,
                                  });
            }
        }
    }
}
