/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history/rule_group_owner.c: G1: a partition has one owner at a time: nobody is given what another member of the
 * group still has for certain. Without leases: nobody else has it in the same generation.
 */
#include "history_internal.h"

void rule_group_owner(struct model *model)
{
    struct claims claims = {0};

    for (size_t number = 0; number < model->history->count; number++) {
        const struct history_event *event = event_of(model, number);

        if (event->kind == HISTORY_GROUP_OWN) {
            bool has_lease = event->lease_ms >= 0;
            bool is_late =
                has_lease && event->since_ns + event->lease_ms * 1000000 <= event->time_ns;

            model->report->group_owned++;
            for (size_t i = 0; i < claims.count && !is_late; i++) {
                const struct claim *claim = &claims.items[i];

                if (!claim_is_of_other(claim, event) || !claim_is_live(claim, event->time_ns) ||
                    ((!has_lease || !claim->has_lease) && claim->generation != event->generation))
                    continue;
                violation(model, "G1", number,
                          "%s: %s has it in generation %d, %s still has it in generation %d",
                          model_place(model, event->group, event->topic, event->partition).text,
                          name_of(model, event->member), event->generation,
                          name_of(model, claim->member), claim->generation);
            }
        }
        claims_follow(&claims, model, event, number);
    }
}
