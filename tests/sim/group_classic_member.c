/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_classic_member.c: a member by JoinGroup, SyncGroup and Heartbeat, as a consumer is: eager (gives all up before
 * it joins) or cooperative (gives up what it is told to, then joins again). The leader divides the topics that
 * it knows and joins again when they change.
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/leave_group_request.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"

#define JOIN_TIMEOUT_MS 4000
#define BEAT_MS 100

static const char *protocol_name(const struct member *member)
{
    return member->group->is_cooperative ? "cooperative-sticky" : "range";
}

static struct slice instance_of(const struct member *member)
{
    return member->is_static ? slice_from_text(member->instance) : SLICE_NULL;
}

/* What every answer of the coordinator may say. True: it was an error, and what follows from it is done. */
static bool is_refused(struct member *member, const char *what, enum err err)
{
    if (err == OK)
        return false;
    if (!group_answer_is_known(member, what, err))
        return true;
    if (err == ERR_UNKNOWN_MEMBER_ID || err == ERR_FENCED_INSTANCE_ID) {
        if (err == ERR_UNKNOWN_MEMBER_ID)
            member_claims_forget(member);
        member_lost(member, err_name(err));
        member->id[0] = '\0';
        member->generation = -1;
    } else if (err == ERR_ILLEGAL_GENERATION) {
        member_lost(member, err_name(err));
        member->generation = -1;
    } else if (err == ERR_INCONSISTENT_GROUP_PROTOCOL || err == ERR_GROUP_ID_NOT_FOUND) {
        member_lost(member, err_name(err)); /* the group is of the other kind at present */
        member->id[0] = '\0';
        member->out_until_ns = sim_now_ns(member->actor->world->sim) + 200 * MS;
    } else if (err == ERR_REBALANCE_IN_PROGRESS) {
        member->must_rejoin = true;
    }
    return true;
}

static bool send(struct member *member, int16_t api_key, int16_t version, const void *body,
                 int64_t timeout_ms, peer_answered *answered)
{
    member->request.answered = answered;
    member->request.context = member;
    member->sent_ns = sim_now_ns(member->actor->world->sim);
    member->is_busy =
        peer_send(member->actor->peer, api_key, version, body, timeout_ms, &member->request);
    return member->is_busy;
}

/* ---- heartbeat ---- */

static void beaten(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;
    const struct heartbeat_response *answer = response;

    UNUSED(request);
    member->is_busy = false;
    if (!answer)
        member_doubts(member);
    else if (!is_refused(member, "Heartbeat", err_from_wire(answer->error_code)) &&
             member->state == MEMBER_IN &&
             group_loads_are_done(&member->actor->world->groups->loads, member->sent_ns))
        member_beat(member, member->sent_ns);
}

static void beat(struct member *member)
{
    struct heartbeat_request body;

    heartbeat_request_init(&body);
    body.group_id = slice_from_text(member->group->name);
    body.generation_id = member->generation;
    body.member_id = slice_from_text(member->id);
    body.group_instance_id = instance_of(member);
    send(member, API_HEARTBEAT, 4, &body, GROUP_TIMEOUT_MS, beaten);
}

/* ---- sync ---- */

static void synced(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;
    const struct sync_group_response *answer = response;
    struct assigned list[OWNED_MAX];
    bool has_given_up;
    int count;
    enum err err;

    UNUSED(request);
    member->is_busy = false;
    if (!answer)
        member_doubts(member);
    err = answer ? err_from_wire(answer->error_code) : ERR_NETWORK_EXCEPTION;
    if (err != OK) {
        if (answer)
            is_refused(member, "SyncGroup", err);
        member->state = member->state == MEMBER_SYNCING ? MEMBER_JOINING : member->state;
        return;
    }
    if (member->state != MEMBER_SYNCING)
        return;
    if (!embedded_assignment_read(member->actor->world, answer->assignment, list, &count,
                                  &member->waits_for)) {
        world_fail(member->actor->world, "SyncGroup answered bytes that are no assignment");
        return;
    }
    member->state = MEMBER_IN;
    member_beat(member, member->sent_ns);
    has_given_up = member_assign(member, list, count);
    /* What its leader believed it to have stands ready for others with the next generation only. */
    member->must_rejoin |= (has_given_up || member->has_dropped) && member->group->is_cooperative;
    member->must_rejoin |= member_claims_are_denied(member, list, count);
}

static void assignments_make(struct member *member, const struct join_group_response *joined,
                             struct arena *arena, struct sync_group_request *body)
{
    const struct world *world = member->actor->world;
    struct embedded_member *members =
        ARENA_ARRAY(arena, struct embedded_member, (size_t)joined->members_count);

    for (int32_t i = 0; i < joined->members_count; i++) {
        members[i] = (struct embedded_member){.id = joined->members[i].member_id, .generation = -1};
        embedded_subscription_read(world, joined->members[i].metadata, &members[i]);
    }
    if (member->group->is_cooperative)
        assign_cooperative(world, members, joined->members_count);
    else
        assign_eager(world, members, joined->members_count);
    body->assignments = sync_group_request_sync_group_request_assignment_array(
        arena, (size_t)joined->members_count);
    body->assignments_count = joined->members_count;
    for (int32_t i = 0; i < joined->members_count; i++) {
        body->assignments[i].member_id = members[i].id;
        body->assignments[i].assignment =
            embedded_assignment(world, members[i].given, members[i].given_count, arena);
    }
}

static void topics_note(struct member *member)
{
    const struct world *world = member->actor->world;

    for (int i = 0; i < world->slot_count; i++) {
        member->seen_generations[i] = world->slots[i].is_live ? world->slots[i].generation : 0;
        member->seen_partitions[i] = world->slots[i].partitions;
    }
}

static bool topics_have_changed(const struct member *member)
{
    const struct world *world = member->actor->world;

    for (int i = 0; i < world->slot_count; i++)
        if (member->seen_generations[i] !=
                (world->slots[i].is_live ? world->slots[i].generation : 0) ||
            member->seen_partitions[i] != world->slots[i].partitions)
            return true;
    return false;
}

/* A topic that it was given partitions of is there now. */
static bool waited_for_is_there(const struct member *member)
{
    const struct world *world = member->actor->world;

    for (int i = 0; i < world->slot_count; i++)
        if ((member->waits_for >> i & 1) && world->slots[i].is_live)
            return true;
    return false;
}

static void sync_send(struct member *member, const struct join_group_response *joined)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct sync_group_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    sync_group_request_init(&body);
    body.group_id = slice_from_text(member->group->name);
    body.generation_id = member->generation;
    body.member_id = slice_from_text(member->id);
    body.group_instance_id = instance_of(member);
    body.protocol_type = SLICE("consumer");
    body.protocol_name = slice_from_text(protocol_name(member));
    if (joined->members_count > 0 && !joined->skip_assignment)
        assignments_make(member, joined, &arena, &body);
    member->state = MEMBER_SYNCING;
    if (!send(member, API_SYNC_GROUP, 5, &body, JOIN_TIMEOUT_MS, synced))
        member->state = MEMBER_JOINING;
}

/* ---- join ---- */

/* In a group of the other protocol that may not become a classic one, nobody leads. The coordinator looks at the topics when
 * somebody joins, and so whoever subscribes by a pattern joins when it has other topics than before. */
static bool is_led_by_coordinator(const struct member *member)
{
    return member->leader[0] == '\0';
}

static void joined(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;
    const struct join_group_response *answer = response;
    enum err err;

    UNUSED(request);
    member->is_busy = false;
    if (!answer) {
        member_doubts(member);
        member_join_ends(member, HISTORY_UNKNOWN);
        return;
    }
    err = err_from_wire(answer->error_code);
    if (err == ERR_MEMBER_ID_REQUIRED || err == OK)
        snprintf(member->id, sizeof member->id, "%.*s", SLICE_ARGS(answer->member_id));
    if (err != OK) {
        member_join_ends(member, HISTORY_FAIL);
        if (err != ERR_MEMBER_ID_REQUIRED)
            is_refused(member, "JoinGroup", err);
        return;
    }
    member->generation = answer->generation_id;
    member_claims_heard(member);
    member_join_ends(member, HISTORY_OK);
    if (member->state != MEMBER_JOINING)
        return;
    snprintf(member->leader, sizeof member->leader, "%.*s", SLICE_ARGS(answer->leader));
    if (answer->skip_assignment) /* what the topics were when it was made, nobody knows */
        memset(member->seen_partitions, -1, sizeof member->seen_partitions);
    else if (answer->members_count > 0 || is_led_by_coordinator(member))
        topics_note(member);
    sync_send(member, answer);
}

static void join(struct member *member)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct join_group_request_join_group_request_protocol *protocol;
    struct join_group_request body;

    if (!peer_is_ready(member->actor->peer))
        return;
    if (!member->group->is_cooperative)
        member_give_up_all(member);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    protocol = join_group_request_join_group_request_protocol_array(&arena, 1);
    join_group_request_init(&body);
    body.group_id = slice_from_text(member->group->name);
    body.session_timeout_ms = GROUP_SESSION_MS;
    body.rebalance_timeout_ms = GROUP_REBALANCE_MS;
    body.member_id = slice_from_text(member->id);
    body.group_instance_id = instance_of(member);
    body.protocol_type = SLICE("consumer");
    protocol->name = slice_from_text(protocol_name(member));
    protocol->metadata = embedded_subscription(member, &arena);
    member_claims_tell(member);
    body.protocols = protocol;
    body.protocols_count = 1;
    member->state = MEMBER_JOINING;
    member->must_rejoin = false;
    member->has_dropped = false;
    member->waits_for = 0;
    if (send(member, API_JOIN_GROUP, 9, &body, JOIN_TIMEOUT_MS, joined))
        member_joins(member);
}

/* ---- the whole ---- */

/*
 * An upgrade takes the names of the last classic assignment for the topics of its own time, and calls nobody who was given one of them
 * (Kafka's ConsumerGroup.fromClassicGroup does the same, and counts those topics as seen). If a topic was made anew between the
 * assignment and the upgrade, a client never notices: it goes on by name. This one has let go of the name with the
 * old topic (member_resolve), knows of another leader, and asks what it has once whoever might call it has had time to.
 */
bool member_classic_asks_again(const struct member *member)
{
    const struct world_group *group = member->group;
    int64_t patience_ns = (GROUP_SESSION_MS + GROUP_REBALANCE_MS) * MS;

    if (member->state != MEMBER_IN || !member->has_dropped || is_led_by_coordinator(member) ||
        sim_now_ns(member->actor->world->sim) < member->dropped_ns + patience_ns)
        return false;
    for (int i = 0; i < group->member_count; i++) {
        const struct member *other = group->members[i];

        if (other != member && other->state == MEMBER_IN &&
            (!other->is_classic || is_led_by_coordinator(other)))
            return true;
    }
    return false;
}

void member_classic_step(struct member *member)
{
    struct world *world = member->actor->world;
    int64_t now_ns = sim_now_ns(world->sim);

    if (member->is_busy || !peer_is_ready(member->actor->peer))
        return;
    if (member->state == MEMBER_IN &&
        (strcmp(member->leader, member->id) == 0 || is_led_by_coordinator(member)) &&
        topics_have_changed(member))
        member->must_rejoin = true;
    if (member->state == MEMBER_IN && waited_for_is_there(member))
        member->must_rejoin = true;
    if (member_classic_asks_again(member))
        member->must_rejoin = true;
    if (member->state != MEMBER_IN || member->must_rejoin) {
        /* What was processed is committed before others go on there, if it can be. */
        if (member->state == MEMBER_IN && random_chance(&member->actor->random, 3, 4))
            member_commit_all(member);
        join(member);
    } else if (now_ns >= member->next_beat_ns) {
        member->next_beat_ns = now_ns + BEAT_MS * MS;
        beat(member);
    }
}

static void left(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;

    UNUSED(request);
    UNUSED(response);
    member->is_busy = false;
}

void member_classic_leave(struct member *member)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct leave_group_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    leave_group_request_init(&body);
    body.group_id = slice_from_text(member->group->name);
    body.members = leave_group_request_member_identity_array(&arena, 1);
    body.members_count = 1;
    body.members->member_id = slice_from_text(member->id);
    body.members->group_instance_id = instance_of(member);
    if (member->id[0])
        send(member, API_LEAVE_GROUP, 5, &body, GROUP_TIMEOUT_MS, left);
    member_claims_forget(member);
    member_lost(member, "left");
    member->id[0] = '\0';
    member->generation = -1;
}
