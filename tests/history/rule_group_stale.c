/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_group_stale.c: G3: a stale member commits nothing: neither what another member has in a later generation,
 * nor under an instance id that another member has joined with.
 */
#include "history_internal.h"

/* The member that joined last under an instance id; -1: two asked at once. */
struct seat {
    int32_t group, instance, member;
    size_t joined; /* event of the answer */
};
struct stale {
    struct model *model;
    struct claims claims;
    struct seat *seats;
    size_t seat_count, seat_capacity;
    size_t *invoked; /* by end: the event of the invocation; NO_EVENT: no end of a join or commit */
};

static struct seat *seat_of(struct stale *stale, const struct history_event *event)
{
    for (size_t i = 0; i < stale->seat_count; i++)
        if (stale->seats[i].group == event->group && stale->seats[i].instance == event->instance)
            return &stale->seats[i];
    return NULL;
}

static void joined(struct stale *stale, const struct history_event *event, size_t number)
{
    struct seat *seat = seat_of(stale, event);

    if (!seat) {
        seat = PUSH(&stale->model->arena, stale->seats, stale->seat_count, stale->seat_capacity);
        *seat = (struct seat){event->group, event->instance, event->member, number};
        return;
    }
    if (seat->member != event->member)
        seat->member = stale->invoked[number] > seat->joined ? event->member : -1;
    seat->joined = number;
}

static void committed(struct stale *stale, const struct history_event *event, size_t number)
{
    struct model *model = stale->model;
    size_t invoked = stale->invoked[number];
    const struct history_event *sent = event_of(model, invoked);
    const struct seat *seat = sent->instance >= 0 ? seat_of(stale, sent) : NULL;
    struct place_text place = model_place(model, sent->group, sent->topic, sent->partition);

    for (size_t i = 0; i < stale->claims.count; i++) {
        const struct claim *claim = &stale->claims.items[i];

        if (claim_is_of_other(claim, sent) && claim->since < invoked && claim->has_lease &&
            claim_is_live(claim, event->time_ns) && claim->generation > sent->generation)
            violation(model, "G3", number,
                      "%s: %s of generation %d committed %lld; %s has it in generation %d",
                      place.text, name_of(model, sent->member), sent->generation,
                      (long long)sent->offset, name_of(model, claim->member), claim->generation);
    }
    if (seat && seat->member >= 0 && seat->member != sent->member && seat->joined < invoked)
        violation(model, "G3", number, "%s: %s committed %lld; %s has taken its place as %s",
                  place.text, name_of(model, sent->member), (long long)sent->offset,
                  name_of(model, seat->member), name_of(model, seat->instance));
}

static void ends_note(struct stale *stale, enum history_kind kind)
{
    size_t count;
    struct operation **list = model_operations(stale->model, kind, &count);

    for (size_t i = 0; i < count; i++)
        if (ended_as(stale->model, list[i], HISTORY_OK))
            stale->invoked[list[i]->ended] = list[i]->invoked;
}

void rule_group_stale(struct model *model)
{
    struct stale stale = {.model = model};

    stale.invoked = ARENA_ARRAY(&model->arena, size_t, model->history->count + 1);
    for (size_t i = 0; i < model->history->count; i++)
        stale.invoked[i] = NO_EVENT;
    ends_note(&stale, HISTORY_GROUP_JOIN);
    ends_note(&stale, HISTORY_GROUP_COMMIT);
    for (size_t number = 0; number < model->history->count; number++) {
        const struct history_event *event = event_of(model, number);

        if (stale.invoked[number] != NO_EVENT) {
            if (event->kind == HISTORY_GROUP_JOIN && event->instance >= 0)
                joined(&stale, event, number);
            else if (event->kind == HISTORY_GROUP_COMMIT &&
                     event_of(model, stale.invoked[number])->member >= 0)
                committed(&stale, event, number);
        }
        if (event->kind == HISTORY_MARK && event->mark == HISTORY_MARK_POWER_CUT_VOLATILE)
            stale.seat_count = 0;
        claims_follow(&stale.claims, model, event, number);
    }
}
