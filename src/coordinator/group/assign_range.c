/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/assign_range.c: each topic is cut into consecutive ranges, one per subscriber, the
 * first ones longer by one. Members stand in the order of their instance ids, then of their member ids,
 * so that topics of equal size and equal subscribers are cut alike. Not sticky by design.
 */
#include "coordinator/group/assign.h"

#include "base/assert.h"

static bool member_before(const struct assign_member *a, const struct assign_member *b)
{
    bool a_static = !slice_is_null(a->instance_id), b_static = !slice_is_null(b->instance_id);

    if (a_static != b_static)
        return a_static;
    return a_static ? assign_compare_text(a->instance_id, b->instance_id) < 0
                    : assign_compare_text(a->member_id, b->member_id) < 0;
}

/* Merge sort: stable, n log n whatever the order of the input. */
static void members_sort(const struct assign_member *members, int32_t *order, int32_t *scratch,
                         int32_t count)
{
    for (int32_t width = 1; width < count; width *= 2) {
        for (int32_t from = 0; from < count; from += 2 * width) {
            int32_t middle = MIN(from + width, count), end = MIN(from + 2 * width, count);
            int32_t left = from, right = middle;

            for (int32_t at = from; at < end; at++) {
                bool take_right =
                    left >= middle ||
                    (right < end && member_before(&members[order[right]], &members[order[left]]));
                scratch[at] = take_right ? order[right++] : order[left++];
            }
        }
        memcpy(order, scratch, (size_t)count * sizeof *order);
        if (width > count / 2)
            break;
    }
}

enum err assign_range(const struct assign_input *input, struct arena *arena,
                      struct assignment **targets_out)
{
    struct assign_owners owners;
    int32_t *order = ARENA_ARRAY(arena, int32_t, (size_t)input->member_count);
    int32_t *scratch = ARENA_ARRAY(arena, int32_t, (size_t)input->member_count);
    struct cut {
        int32_t subscribers, extra, next;
    } *cuts = ARENA_ARRAY(arena, struct cut, (size_t)input->topic_count);

    if (!order || !scratch || !cuts)
        return ERR_NO_MEMORY;
    TRY(assign_owners_create(input, arena, &owners));
    for (int32_t i = 0; i < input->member_count; i++) {
        order[i] = i;
        for (int32_t j = 0; j < input->members[i].topic_count; j++)
            cuts[input->members[i].topics[j]].subscribers++;
    }
    for (int32_t i = 0; i < input->topic_count; i++)
        if (cuts[i].subscribers > 0)
            cuts[i].extra = input->topics[i].partition_count % cuts[i].subscribers;
    members_sort(input->members, order, scratch, input->member_count);
    for (int32_t i = 0; i < input->member_count; i++) {
        const struct assign_member *member = &input->members[order[i]];

        for (int32_t j = 0; j < member->topic_count; j++) {
            int32_t topic = member->topics[j];
            struct cut *cut = &cuts[topic];
            int32_t quota = input->topics[topic].partition_count / cut->subscribers;

            if (cut->extra > 0) {
                cut->extra--;
                quota++;
            }
            for (int32_t end = cut->next + quota; cut->next < end; cut->next++)
                *assign_owner(&owners, topic, cut->next) = order[i];
        }
    }
    return assign_owners_targets(&owners, arena, targets_out);
}
