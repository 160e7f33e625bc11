/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/claims.c: who has which partition of a group, by what members were told and said. A claim ends with its
 * lease, when it is given up, with its member, and when another member joins under the same instance id. A power
 * cut in flush mode os may take the group's own log: nobody can count on anything then.
 */
#include "history_internal.h"

#include "base/assert.h"

bool claim_is_of_other(const struct claim *claim, const struct history_event *event)
{
    return claim->group == event->group && claim->topic == event->topic &&
           claim->partition == event->partition && claim->member != event->member &&
           (claim->instance < 0 || claim->instance != event->instance);
}

bool claim_is_live(const struct claim *claim, int64_t now_ns)
{
    return !claim->has_lease || claim->until_ns > now_ns;
}

static void claim_drop(struct claims *claims, size_t *index)
{
    claims->items[(*index)--] = claims->items[--claims->count];
}

static void claim_make(struct claims *claims, struct model *model,
                       const struct history_event *event, size_t number)
{
    int64_t until_ns = event->since_ns + event->lease_ms * 1000000;
    struct claim *claim = NULL;

    for (size_t i = 0; i < claims->count && !claim; i++)
        if (claims->items[i].group == event->group && claims->items[i].topic == event->topic &&
            claims->items[i].partition == event->partition &&
            claims->items[i].member == event->member)
            claim = &claims->items[i];
    if (!claim) {
        if (event->lease_ms >= 0 && until_ns <= event->time_ns)
            return; /* the answer came too late */
        claim = PUSH(&model->arena, claims->items, claims->count, claims->capacity);
        *claim = (struct claim){.group = event->group,
                                .member = event->member,
                                .topic = event->topic,
                                .partition = event->partition,
                                .until_ns = until_ns,
                                .since = number};
    }
    claim->instance = event->instance;
    claim->generation = event->generation;
    claim->has_lease = event->lease_ms >= 0;
    claim->until_ns = MAX(claim->until_ns, until_ns);
}

/* Does this event end the claim? */
static bool is_ended(const struct claim *claim, const struct history_event *event)
{
    bool is_own = claim->group == event->group && claim->member == event->member;

    switch (event->kind) {
    case HISTORY_MARK:
        return event->mark == HISTORY_MARK_POWER_CUT_VOLATILE;
    case HISTORY_GROUP_GIVE_UP:
        return is_own && (event->topic < 0 ||
                          (claim->topic == event->topic && claim->partition == event->partition));
    case HISTORY_GROUP_END:
        return is_own;
    case HISTORY_GROUP_JOIN: /* from its sending on the instance may be the other's */
        return claim->group == event->group && !is_own && claim->instance >= 0 &&
               claim->instance == event->instance && event->phase == HISTORY_INVOKE;
    case HISTORY_GROUP_DELETE: /* generations begin anew */
        return claim->group == event->group && !claim->has_lease;
    default:
        return false;
    }
}

void claims_follow(struct claims *claims, struct model *model, const struct history_event *event,
                   size_t number)
{
    if (event->kind == HISTORY_GROUP_OWN) {
        claim_make(claims, model, event, number);
        return;
    }
    for (size_t i = 0; i < claims->count; i++) {
        struct claim *claim = &claims->items[i];

        if (is_ended(claim, event))
            claim_drop(claims, &i);
        else if (event->kind == HISTORY_GROUP_BEAT && claim->group == event->group &&
                 claim->member == event->member && claim->has_lease &&
                 event->since_ns <= claim->until_ns)
            /* One that was sent later may have been answered by a coordinator that is loading, which
             * says "fine" to everybody. */
            claim->until_ns = MAX(claim->until_ns, event->since_ns + event->lease_ms * 1000000);
    }
}
