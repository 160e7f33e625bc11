/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/actor_member.c: the life of a member of a group: joins, works, leaves in good order, dies (its connections are lost),
 * falls silent for longer than its session and comes back believing what it believed, changes its protocol.
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/find_coordinator_request.h"
#include "protocol/generated/find_coordinator_response.h"

static void begin(struct actor *actor, int number)
{
    UNUSED(number);
    actor->tick_ms = random_between(&actor->random, 5, 30);
}

static void out_for(struct member *member, int64_t ms)
{
    member->out_until_ns = sim_now_ns(member->actor->world->sim) + ms * MS;
}

/* A new process: of either protocol that the group allows. */
static void born_again(struct member *member)
{
    struct actor *actor = member->actor;
    const struct world_group *group = member->group;

    if (actor->world->options.group_script == SCRIPT_MIGRATION)
        member->is_classic = !member->is_classic;
    else
        member->is_classic = group->has_classic && group->has_modern
                                 ? random_chance(&actor->random, 1, 2)
                                 : group->has_classic;
    if (actor->world->phase != WORLD_FAULTS)
        member->is_classic = group->ends_classic;
    member->uses_regex = random_chance(&actor->random, 1, 3);
    member->id[0] = '\0';
    member->generation = member->is_classic ? -1 : 0;
    member->is_told_all = false;
    member->has_coordinator = false;
}

static void die(struct member *member)
{
    member_lost(member, "dead");
    peer_drop(member->actor->peer);
    peer_drop(member->work);
    born_again(member);
}

static void leave(struct member *member)
{
    if (member->is_classic)
        member_classic_leave(member);
    else
        member_modern_leave(member);
    born_again(member);
}

/* Something that happens to members now and then. True: it is out or silent now. */
static bool fate(struct member *member)
{
    struct random *random = &member->actor->random;
    int64_t now_ns = sim_now_ns(member->actor->world->sim);

    switch (random_below(random, 400)) {
    case 0:
    case 1:
        die(member);
        out_for(member, random_between(random, 1, 3000));
        return true;
    case 2:
    case 3:
        if (member->is_busy)
            return false;
        leave(member);
        out_for(member, random_between(random, 1, 1500));
        return true;
    case 4:
    case 5: /* a long collection of garbage */
        member->silent_until_ns = now_ns + random_between(random, 50, 5000) * MS;
        return true;
    case 6: /* only the connection */
        peer_drop(member->actor->peer);
        return false;
    default:
        return false;
    }
}

/* What the script has for it at this time. True: it is out now. */
static bool script(struct member *member)
{
    static const struct {
        int place;
        int64_t at_ms, out_ms;
        bool dies;
    } steps[] = {{1, 350, 80, false}, {0, 300, 50, false}, {2, 500, 60, true}, {1, 560, 20, false}};
    int64_t now_ns = sim_now_ns(member->actor->world->sim);

    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        if (steps[i].place != member->place || (member->script_done >> i & 1) ||
            now_ns < steps[i].at_ms * MS || (!steps[i].dies && member->is_busy))
            continue;
        member->script_done |= 1u << i;
        if (steps[i].dies)
            die(member);
        else
            leave(member);
        out_for(member, steps[i].out_ms);
        return true;
    }
    return false;
}

static void coordinator_found(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;
    const struct find_coordinator_response *answer = response;

    UNUSED(request);
    member->is_busy = false;
    member->has_coordinator =
        answer && answer->coordinators_count == 1 && answer->coordinators[0].error_code == OK;
}

static void coordinator_find(struct member *member)
{
    struct find_coordinator_request body;
    struct slice key = slice_from_text(member->group->name);

    if (member->is_busy || !peer_is_ready(member->actor->peer))
        return;
    find_coordinator_request_init(&body);
    body.coordinator_keys = &key;
    body.coordinator_keys_count = 1;
    member->request.answered = coordinator_found;
    member->request.context = member;
    member->is_busy = peer_send(member->actor->peer, API_FIND_COORDINATOR, 4, &body,
                                GROUP_TIMEOUT_MS, &member->request);
}

static void tick(struct actor *actor)
{
    struct member *member = *(struct member **)actor->own;
    struct world *world = actor->world;
    int64_t now_ns = sim_now_ns(world->sim);

    peer_tick(member->work);
    if (world->phase != WORLD_FAULTS) {
        member->out_until_ns = MIN(member->out_until_ns, now_ns + 200 * MS);
        member->silent_until_ns = 0;
        if (member->is_classic != member->group->ends_classic && !member->is_busy)
            leave(member);
    } else {
        if (now_ns < member->silent_until_ns)
            return;
        if (member->silent_until_ns > 0) { /* back: what it has done it commits first */
            member->silent_until_ns = 0;
            member_commit_all(member);
        }
        if (now_ns < member->group->exodus_until_ns && member->state != MEMBER_OUT &&
            !member->is_busy) {
            leave(member);
            member->out_until_ns = MAX(member->out_until_ns, member->group->exodus_until_ns);
        }
    }
    member_ghost_act(member);
    if (now_ns < member->out_until_ns)
        return;
    if (world->phase == WORLD_FAULTS && member->state == MEMBER_IN &&
        (world->options.group_script != SCRIPT_NONE ? script(member) : fate(member)))
        return;
    member_resolve(member);
    if (!member->has_coordinator)
        coordinator_find(member);
    else if (member->is_classic)
        member_classic_step(member);
    else
        member_modern_step(member);
    member_work(member);
}

static bool is_drained(const struct actor *actor)
{
    const struct member *member = *(struct member *const *)actor->own;

    /* Whether its group is whole the administrator says. */
    return !member->is_busy || member->state == MEMBER_IN;
}

const struct actor_type actor_member = {.name = "member",
                                        .own_bytes = sizeof(struct member *),
                                        .begin = begin,
                                        .tick = tick,
                                        .is_drained = is_drained};
