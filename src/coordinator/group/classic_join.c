/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/classic_join.c: JoinGroup of classic groups, v0–9. groups.md §3.2 of the
 * reference; the numbers of its checks stand at the branches. Static members that come back:
 * classic_static.c.
 */
#include "coordinator/group/classic_internal.h"

#include "base/fmt.h"
#include "base/random.h"

#define VERSION_REBALANCE_TIMEOUT 1
#define VERSION_KNOWN_MEMBER_ID 4 /* KIP-394 */
#define VERSION_NULL_PROTOCOL 7
/* None, whether refused or not selected: null once it may be, "" before. */
#define NO_PROTOCOL(version) ((version) < VERSION_NULL_PROTOCOL ? SLICE_EMPTY : SLICE_NULL)
#define UUID_TEXT 36
#define STRING_BYTES_MAX 0x7fff

/* ---- answers ---- */

static enum err members_list(struct group_call *call, const struct classic_group *group,
                             struct join_group_response *response)
{
    int32_t count = 0;

    response->members =
        join_group_response_join_group_response_member_array(call->arena, group->members.count);
    if (!response->members)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (node, &group->members) {
        const struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);
        struct join_group_response_join_group_response_member *item = &response->members[count++];
        struct slice metadata = classic_member_metadata(member, group->protocol);

        /* Copies: the answer outlives the members, though not by much. */
        item->member_id = arena_copy(call->arena, member->id);
        item->group_instance_id = arena_copy(call->arena, member->instance_id);
        item->metadata = arena_copy(call->arena, metadata);
        if (slice_is_null(item->member_id) || slice_is_null(item->metadata) ||
            slice_is_null(item->group_instance_id) != slice_is_null(member->instance_id))
            return ERR_NO_MEMORY;
    }
    response->members_count = count;
    return OK;
}

static enum err copied(struct arena *arena, struct slice from, struct slice *out)
{
    *out = arena_copy(arena, from);
    return slice_is_null(*out) && !slice_is_null(from) ? ERR_NO_MEMORY : OK;
}

enum err classic_join_response(struct group_call *call, const struct classic_group *group,
                               const struct classic_join_answer *answer,
                               struct join_group_response **out)
{
    struct join_group_response *response = join_group_response_array(call->arena, 1);

    if (!response)
        return ERR_NO_MEMORY;
    *out = response;
    response->error_code = err_wire_code(answer->err);
    TRY(copied(call->arena, answer->member_id, &response->member_id));
    response->protocol_name = NO_PROTOCOL(answer->api_version);
    if (answer->err != OK)
        return OK;
    response->generation_id = group->generation;
    TRY(copied(call->arena, group->protocol_type, &response->protocol_type));
    if (group->protocol.size_bytes > 0)
        TRY(copied(call->arena, group->protocol, &response->protocol_name));
    TRY(copied(call->arena, slice_is_null(answer->leader) ? SLICE_EMPTY : answer->leader,
               &response->leader));
    response->skip_assignment = answer->skip_assignment;
    return answer->with_members ? members_list(call, group, response) : OK;
}

enum err classic_answer_join(struct group_call *call, struct classic_member *member,
                             const struct classic_join_answer *answer)
{
    struct classic_join_answer of_version = *answer;
    struct join_group_response *response;

    if (!member->join)
        return OK;
    of_version.api_version = member->join->api_version;
    member->group->awaiting_join--;
    TRY(classic_join_response(call, member->group, &of_version, &response));
    return group_waiter_answer(call, &member->join, response);
}

enum err classic_join_refuse(struct group_call *call, enum err err, struct slice member_id)
{
    struct join_group_response *response;

    TRY(classic_join_response(
        call, NULL,
        &(struct classic_join_answer){
            .err = err, .member_id = member_id, .api_version = call->request->api_version},
        &response));
    return group_reply(call, response, false);
}

/* ---- parking ---- */

enum err classic_park_join(struct group_call *call, struct classic_member *member)
{
    /* The same member asks again, on another connection: what it asked before is void. */
    TRY(classic_answer_join(
        call, member,
        &(struct classic_join_answer){.err = ERR_REBALANCE_IN_PROGRESS, .member_id = member->id}));
    TRY(group_waiter_create(call, &member->join));
    bytes_release(call->coordinator->allocator, &member->held);
    member->has_told = true;
    member->group->awaiting_join++;
    return OK;
}

/* ---- parts of a request ---- */

static int32_t rebalance_timeout_of(const struct group_call *call,
                                    const struct join_group_request *request)
{
    return call->request->api_version < VERSION_REBALANCE_TIMEOUT ? request->session_timeout_ms
                                                                  : request->rebalance_timeout_ms;
}

/* Views into the request. */
static enum err protocols_of(struct group_call *call, const struct join_group_request *request,
                             struct classic_protocol **out)
{
    struct classic_protocol *items =
        ARENA_ARRAY(call->arena, struct classic_protocol, (size_t)MAX(request->protocols_count, 0));

    if (!items)
        return ERR_NO_MEMORY;
    for (int32_t i = 0; i < request->protocols_count; i++)
        items[i] =
            (struct classic_protocol){request->protocols[i].name, request->protocols[i].metadata};
    *out = items;
    return OK;
}

enum err classic_member_update(struct group_call *call, struct classic_member *member,
                               const struct join_group_request *request)
{
    struct classic_protocols protocols;
    struct classic_protocol *items;
    enum err err;

    TRY(protocols_of(call, request, &items));
    TRY(classic_protocols_copy(call->coordinator, items, (size_t)MAX(request->protocols_count, 0),
                               &protocols));
    err = classic_member_swap_protocols(call->coordinator, member, &protocols);
    classic_protocols_release(call->coordinator, &protocols);
    member->rebalance_timeout_ms = rebalance_timeout_of(call, request);
    member->session_timeout_ms = request->session_timeout_ms;
    return err;
}

/* <prefix>-<random UUID as Java writes it>. A prefix that would make the id too long for a string
 * is cut, at a character. */
static enum err member_id_make(struct group_call *call, struct slice prefix, struct slice *out)
{
    size_t bytes = MIN(prefix.size_bytes, (size_t)STRING_BYTES_MAX - UUID_TEXT - 1);
    struct random *random = call->moment->random;
    uint64_t high = random_u64(random), low = random_u64(random);

    while (bytes < prefix.size_bytes && bytes > 0 && (prefix.data[bytes] & 0xc0) == 0x80)
        bytes--;
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    *out = arena_format_slice(
        call->arena, "%.*s-%08x-%04x-%04x-%04x-%04x%08x", (int)bytes, (const char *)prefix.data,
        (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff),
        (unsigned)(low >> 48), (unsigned)(low >> 32 & 0xffff), (unsigned)(low & 0xffffffff));
    return slice_is_null(*out) ? ERR_NO_MEMORY : OK;
}

static const char *client_reason(struct group_call *call, const struct join_group_request *request)
{
    const char *text;

    if (slice_is_null(request->reason) || request->reason.size_bytes == 0)
        return "not provided";
    text = arena_format(call->arena, "%.*s", (int)MIN(request->reason.size_bytes, (size_t)64),
                        (const char *)request->reason.data);
    return text ? text : "not provided";
}

/* ---- 6: size ---- */

static bool is_accepted(const struct group_coordinator *coordinator,
                        const struct classic_group *group, const struct classic_member *member)
{
    size_t size_max = (size_t)coordinator->options.group_max_size;

    switch (group->state) {
    case CLASSIC_PREPARING_REBALANCE:
        /* Who waits already counts, not who is in the table: so an oversized group sheds the last
         * to rejoin. */
        return (member && member->join) || group->awaiting_join < size_max;
    case CLASSIC_COMPLETING_REBALANCE:
    case CLASSIC_STABLE:
        return member || group->members.count < size_max;
    default:
        return true;
    }
}

/* Whoever is refused is not waited for any more, be it a member or an id that was given out. */
static enum err refuse_oversize(struct group_call *call, struct classic_group *group,
                                struct classic_member *member, struct slice member_id)
{
    struct classic_pending *pending = classic_pending_find(group, member_id);

    if (member)
        TRY(classic_member_expel(call, member));
    if (pending)
        classic_pending_remove(call->coordinator, pending);
    TRY(classic_maybe_complete_join(call, group));
    return classic_join_refuse(call, ERR_GROUP_MAX_SIZE_REACHED, SLICE_EMPTY);
}

/* ---- who comes ---- */

static enum err member_enter(struct group_call *call, struct classic_group *group,
                             const struct join_group_request *request, struct slice member_id)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct classic_member_init init = {
        .id = member_id,
        .instance_id = request->group_instance_id,
        .client_id = call->request->client_id,
        .client_host = call->request->client_host,
        .session_timeout_ms = request->session_timeout_ms,
        .rebalance_timeout_ms = rebalance_timeout_of(call, request),
        .protocol_count = (size_t)MAX(request->protocols_count, 0),
    };
    struct classic_protocol *protocols;
    struct classic_member *member;
    char reason[CLASSIC_REASON_BYTES];

    TRY(protocols_of(call, request, &protocols));
    init.protocols = protocols;
    if (group->state == CLASSIC_PREPARING_REBALANCE && group->previous_state == CLASSIC_EMPTY)
        group->member_added = true;
    if (group->members.count == 0) {
        struct slice type;

        TRY(bytes_copy(coordinator->allocator, request->protocol_type, &type));
        bytes_release(coordinator->allocator, &group->protocol_type);
        group->protocol_type = type;
    }
    TRY(classic_member_add(coordinator, group, &init, &member));
    member->is_new = true;
    TRY(classic_park_join(call, member));
    TRY(classic_session_restart(coordinator, member, CLASSIC_NEW_MEMBER_TIMEOUT_MS));
    fmt(reason, sizeof reason, "%.*s joined (client: %s)", SLICE_ARGS(member_id),
        client_reason(call, request));
    return classic_rebalance(call, group, reason);
}

static enum err id_give_out(struct group_call *call, struct classic_group *group,
                            const struct join_group_request *request, struct slice member_id,
                            bool is_new_group)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct classic_pending *pending = ALLOCATOR_NEW(coordinator->allocator, struct classic_pending);
    struct join_group_response *response;
    enum err err;

    if (!pending)
        return ERR_NO_MEMORY;
    pending->group = group;
    classic_pending_timer_init(pending);
    err = bytes_copy(coordinator->allocator, member_id, &pending->id);
    if (err == OK)
        err = hash_map_insert(&group->pending, hash_slice(pending->id), &pending->node);
    if (err != OK) {
        bytes_release(coordinator->allocator, &pending->id);
        ALLOCATOR_DELETE(coordinator->allocator, pending);
        return err;
    }
    TRY(group_timer_set(coordinator, &pending->session,
                        group_after_ms(coordinator, request->session_timeout_ms)));
    TRY(classic_join_response(
        call, group,
        &(struct classic_join_answer){.err = ERR_MEMBER_ID_REQUIRED,
                                      .member_id = member_id,
                                      .api_version = call->request->api_version},
        &response));
    return group_reply(call, response, is_new_group);
}

static enum err join_unknown(struct group_call *call, struct classic_group *group,
                             const struct join_group_request *request, bool is_new_group)
{
    struct slice instance_id = request->group_instance_id, member_id;
    struct classic_member *known;

    TRY(member_id_make(call, slice_is_null(instance_id) ? call->request->client_id : instance_id,
                       &member_id));
    if (slice_is_null(instance_id))
        return call->request->api_version >= VERSION_KNOWN_MEMBER_ID
                   ? id_give_out(call, group, request, member_id, is_new_group)
                   : member_enter(call, group, request, member_id);
    known = classic_static_find(group, instance_id);
    if (known)
        return classic_static_replace(call, known, member_id, request,
                                      client_reason(call, request));
    return member_enter(call, group, request, member_id);
}

static enum err answer_current(struct group_call *call, struct classic_group *group,
                               const struct classic_member *member, bool with_members)
{
    struct classic_join_answer answer = {
        .api_version = call->request->api_version,
        .member_id = member->id,
        .leader = group->leader,
        .with_members = with_members,
    };
    struct join_group_response *response;

    TRY(classic_join_response(call, group, &answer, &response));
    return group_reply(call, response, false);
}

static enum err member_rejoin(struct group_call *call, struct classic_member *member,
                              const struct join_group_request *request, const char *what)
{
    char reason[CLASSIC_REASON_BYTES];

    TRY(classic_member_update(call, member, request));
    TRY(classic_park_join(call, member));
    fmt(reason, sizeof reason, "%s %.*s (client: %s)", what, SLICE_ARGS(member->id),
        client_reason(call, request));
    return classic_rebalance(call, member->group, reason);
}

static enum err join_known(struct group_call *call, struct classic_group *group,
                           const struct join_group_request *request)
{
    struct classic_protocol *protocols;
    struct classic_member *member;
    bool is_leader, is_same;
    enum err err;

    if (classic_pending_find(group, request->member_id)) {
        /* Ids that were given out are of dynamic members. */
        if (!slice_is_null(request->group_instance_id))
            return classic_join_refuse(call, ERR_UNKNOWN_SERVER_ERROR, request->member_id);
        return member_enter(call, group, request, request->member_id);
    }
    err = classic_member_validate(group, request->member_id, request->group_instance_id);
    if (err != OK)
        return classic_join_refuse(call, err, request->member_id);
    TRY(protocols_of(call, request, &protocols));
    member = classic_member_find(group, request->member_id);
    is_leader = slice_equal(group->leader, member->id);
    is_same = classic_member_matches(member, protocols, (size_t)MAX(request->protocols_count, 0));
    switch (group->state) {
    case CLASSIC_PREPARING_REBALANCE:
        return member_rejoin(call, member, request, "rejoin of");
    case CLASSIC_COMPLETING_REBALANCE:
        return is_same ? answer_current(call, group, member, is_leader)
                       : member_rejoin(call, member, request, "changed metadata of");
    case CLASSIC_STABLE:
        if (is_leader)
            return member_rejoin(call, member, request, "rejoin of leader");
        return is_same ? answer_current(call, group, member, false)
                       : member_rejoin(call, member, request, "changed metadata of");
    default:
        return classic_join_refuse(call, ERR_UNKNOWN_MEMBER_ID, request->member_id);
    }
}

/* ---- the group that comes into being with its first member ---- */

static void creation_release(struct group_coordinator *coordinator, struct group_write *write)
{
    ALLOCATOR_DELETE(coordinator->allocator, write);
}

/* Refused: the group never was, and whoever waits in it hears why. */
static enum err creation_ended(struct group_call *call, struct group_write *write, enum err err)
{
    struct classic_group *group = call->coordinator->staged;

    if (err == OK || !group || call->coordinator->staged_write != write->number)
        return OK;
    LOG_WARN(call->coordinator->logger, GROUP_LOG, "group_creation_refused", "group=%.*s error=%s",
             SLICE_ARGS(group->head.id), err_name(err));
    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);

        TRY(classic_answer_join(call, member,
                                &(struct classic_join_answer){.err = coordinator_error(err),
                                                              .member_id = SLICE_EMPTY}));
    }
    classic_group_release(call->coordinator, &call->coordinator->staged);
    return OK;
}

/* An empty record, before there are members: so that the group can be seen by whoever loads the
 * log. It takes its place in the table by the replay of that record, for which it stands ready with
 * its members. An Empty consumer group makes way. */
static enum err group_found(struct group_call *call, struct slice group_id,
                            struct consumer_group *instead_of, struct classic_group **out)
{
    struct group_coordinator *coordinator = call->coordinator;
    struct group_write *write;
    struct classic_group *group;

    if (instead_of)
        TRY(consumer_group_tombstones(call, instead_of));
    TRY(classic_group_create(coordinator, group_id, &group));
    *out = group;
    classic_group_stage(call, &group, NULL);
    TRY(classic_group_record(call, *out));
    coordinator->staged_write = call->effects->write;
    write = ALLOCATOR_NEW(coordinator->allocator, struct group_write);
    if (!write)
        return ERR_NO_MEMORY;
    write->ended = creation_ended;
    write->release = creation_release;
    group_write_watch(call, write);
    return OK;
}

/* ---- the request ---- */

enum err classic_handle_join(struct group_call *call, struct group *any,
                             const struct join_group_request *request)
{
    struct consumer_group *consumer = group_consumer(any); /* Empty */
    struct classic_group *group = group_classic(any);
    bool is_unknown = request->member_id.size_bytes == 0, is_new_group = !group;
    struct classic_protocol *protocols;
    struct classic_member *member;

    if (is_new_group && !is_unknown) /* 5 */
        return classic_join_refuse(call, ERR_UNKNOWN_MEMBER_ID, request->member_id);
    TRY(protocols_of(call, request, &protocols));
    /* 7, first for a group that is not there: what would not be taken does not make one. */
    if (is_new_group && (request->protocol_type.size_bytes == 0 || request->protocols_count <= 0))
        return classic_join_refuse(call, ERR_INCONSISTENT_GROUP_PROTOCOL, SLICE_EMPTY);
    if (is_new_group)
        TRY(group_found(call, request->group_id, consumer, &group));
    member = classic_member_find(group, request->member_id);
    if (!is_accepted(call->coordinator, group, member)) /* 6 */
        return refuse_oversize(call, group, member, request->member_id);
    if (!classic_group_supports(group, request->protocol_type, protocols,
                                (size_t)MAX(request->protocols_count, 0))) /* 7 */
        return classic_join_refuse(call, ERR_INCONSISTENT_GROUP_PROTOCOL,
                                   is_unknown ? SLICE_EMPTY : request->member_id);
    return is_unknown ? join_unknown(call, group, request, is_new_group)
                      : join_known(call, group, request);
}
