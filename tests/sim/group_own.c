/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_own.c: what a member has, and what the history is told of it.
 */
#include "group.h"

#include "base/assert.h"

bool group_is_on_the_move(enum err err)
{
    return err == ERR_NOT_COORDINATOR || err == ERR_COORDINATOR_NOT_AVAILABLE ||
           err == ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

void member_event_init(const struct member *member, struct history_event *event,
                       enum history_kind kind, enum history_phase phase)
{
    struct history *history = member->actor->world->history;

    history_event_init(event, kind, phase);
    event->process = member->actor->process;
    event->group = member->group->number;
    event->member = member->id[0] ? history_name(history, member->id) : -1;
    event->instance = member->is_static ? history_name(history, member->instance) : -1;
    event->generation = member->generation;
}

/* Nothing is certain while an older request may still come to the coordinator; a new process of the node has none. */
static int64_t lease_ms(const struct member *member)
{
    const struct world *world = member->actor->world;

    return member->doubt_until_ns > sim_now_ns(world->sim) &&
                   member->doubt_starts == world->nodes[0].starts
               ? 0
               : GROUP_LEASE_MS;
}

void member_doubts(struct member *member)
{
    struct world *world = member->actor->world;

    member->doubt_until_ns = sim_now_ns(world->sim) + GROUP_DOUBT_MS * MS;
    member->doubt_starts = world->nodes[0].starts;
}

static void owned_tell(struct member *member, const struct owned *owned, enum history_kind kind)
{
    struct history_event event;

    if (owned->topic < 0)
        return;
    member_event_init(member, &event, kind, HISTORY_OK);
    event.topic = owned->topic;
    event.partition = owned->partition;
    if (kind == HISTORY_GROUP_OWN) {
        event.since_ns = member->good_beat_ns;
        event.lease_ms = lease_ms(member);
    }
    world_event(member->actor->world, &event);
}

static void owned_resolve(struct member *member, struct owned *owned)
{
    const struct world *world = member->actor->world;

    for (int i = 0; i < world->slot_count && owned->slot < 0; i++) {
        if (world->slots[i].generation == 0 ||
            memcmp(&world->slots[i].id, &owned->topic_id, sizeof owned->topic_id) != 0)
            continue;
        owned->slot = i;
        owned->topic = world->slots[i].topic;
        owned_tell(member, owned, HISTORY_GROUP_OWN);
    }
}

void member_resolve(struct member *member)
{
    for (int i = 0; i < member->owned_count; i++) {
        struct owned *owned = &member->owned[i];
        const struct slot *slots = member->actor->world->slots;

        owned_resolve(member, owned);
        if (!member->is_classic || owned->slot < 0 ||
            memcmp(&slots[owned->slot].id, &owned->topic_id, sizeof owned->topic_id) == 0)
            continue;
        /* A classic assignment is by name; of another topic with this name nobody has said anything. */
        owned_tell(member, owned, HISTORY_GROUP_GIVE_UP);
        member->owned[i--] = member->owned[--member->owned_count];
        member->has_dropped = true;
        member->dropped_ns = sim_now_ns(member->actor->world->sim);
    }
}

bool member_assign(struct member *member, const struct assigned *list, int count)
{
    bool has_given_up = false;

    for (int i = 0; i < member->owned_count; i++) {
        int k = 0;

        while (k < count && (list[k].partition != member->owned[i].partition ||
                             memcmp(&list[k].topic_id, &member->owned[i].topic_id,
                                    sizeof list[k].topic_id) != 0))
            k++;
        if (k < count) {
            owned_tell(member, &member->owned[i], HISTORY_GROUP_OWN);
            continue;
        }
        has_given_up = true;
        owned_tell(member, &member->owned[i], HISTORY_GROUP_GIVE_UP);
        member->owned[i--] = member->owned[--member->owned_count];
    }
    for (int k = 0; k < count; k++) {
        struct owned *owned = &member->owned[member->owned_count];
        int i = 0;

        while (i < member->owned_count && (list[k].partition != member->owned[i].partition ||
                                           memcmp(&list[k].topic_id, &member->owned[i].topic_id,
                                                  sizeof list[k].topic_id) != 0))
            i++;
        if (i < member->owned_count || member->owned_count == OWNED_MAX)
            continue;
        *owned = (struct owned){.topic_id = list[k].topic_id,
                                .partition = list[k].partition,
                                .slot = -1,
                                .topic = -1,
                                .committed = -1,
                                .fetching_from = -1,
                                .commit_op = -1,
                                .look_op = -1,
                                .log_start = -1};
        member->owned_count++;
        owned_resolve(member, owned);
    }
    return has_given_up;
}

void member_give_up_all(struct member *member)
{
    struct history_event event;

    if (member->owned_count == 0)
        return;
    member_event_init(member, &event, HISTORY_GROUP_GIVE_UP, HISTORY_OK);
    world_event(member->actor->world, &event);
    member->owned_count = 0;
}

void member_beat(struct member *member, int64_t sent_ns)
{
    struct history_event event;

    member->good_beat_ns = sent_ns;
    member_event_init(member, &event, HISTORY_GROUP_BEAT, HISTORY_OK);
    event.since_ns = sent_ns;
    event.lease_ms = lease_ms(member);
    world_event(member->actor->world, &event);
}

static void ghost_leave(struct member *member)
{
    struct actor *actor = member->actor;
    struct ghost *ghost = &member->ghost;
    const struct owned *owned;

    if (ghost->is_busy || ghost->due_ns > 0 || member->owned_count == 0 ||
        actor->world->phase != WORLD_FAULTS)
        return;
    owned = &member->owned[random_below(&actor->random, (uint64_t)member->owned_count)];
    if (owned->slot < 0 || !owned->is_known)
        return;
    snprintf(ghost->id, sizeof ghost->id, "%s", member->id);
    ghost->generation = member->generation;
    ghost->topic = owned->topic;
    ghost->topic_id = owned->topic_id;
    ghost->partition = owned->partition;
    ghost->position = owned->position;
    ghost->due_ns = sim_now_ns(actor->world->sim) + random_between(&actor->random, 1, 4000) * MS;
}

void member_lost(struct member *member, const char *why)
{
    struct history_event event;

    ghost_leave(member);
    member->owned_count = 0;
    if (member->id[0]) {
        member_event_init(member, &event, HISTORY_GROUP_END, HISTORY_OK);
        event.error = why;
        world_event(member->actor->world, &event);
    }
    member->state = MEMBER_OUT;
    member->must_rejoin = false;
    member->waits_for = 0;
}

void member_joins(struct member *member)
{
    struct history_event event;

    member_event_init(member, &event, HISTORY_GROUP_JOIN, HISTORY_INVOKE);
    member->join_op = world_event(member->actor->world, &event);
}

void member_join_ends(struct member *member, enum history_phase phase)
{
    struct history_event event;

    member_event_init(member, &event, HISTORY_GROUP_JOIN, phase);
    event.op = member->join_op;
    world_event(member->actor->world, &event);
}

/* False, and a failure of the world: nobody may be answered so. */
bool group_answer_is_known(struct member *member, const char *what, enum err err)
{
    static const enum err known[] = {
        ERR_UNKNOWN_MEMBER_ID,     ERR_ILLEGAL_GENERATION,  ERR_REBALANCE_IN_PROGRESS,
        ERR_FENCED_INSTANCE_ID,    ERR_FENCED_MEMBER_EPOCH, ERR_UNRELEASED_INSTANCE_ID,
        ERR_STALE_MEMBER_EPOCH,    ERR_GROUP_ID_NOT_FOUND,  ERR_INCONSISTENT_GROUP_PROTOCOL,
        ERR_MEMBER_ID_REQUIRED,    ERR_UNKNOWN_TOPIC_ID,    ERR_UNKNOWN_TOPIC_OR_PARTITION,
        ERR_UNSTABLE_OFFSET_COMMIT};

    if (group_is_on_the_move(err))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (known[i] == err)
            return true;
    world_fail(member->actor->world, "%s of group %s, member %s, generation %d: %s", what,
               member->group->name, member->id, member->generation, err_name(err));
    return false;
}
