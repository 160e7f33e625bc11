/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/record.c: GroupMetadata records of classic groups, and what conversions between
 * the two protocols use of classic groups. Members are stored with the metadata of the selected
 * protocol only.
 */
#include "coordinator/group/classic_internal.h"

#include "base/fmt.h"

#define VALUE_VERSION 3

static void member_fill(const struct classic_group *group, const struct classic_member *member,
                        struct group_metadata_value_member_metadata *out)
{
    out->member_id = member->id;
    out->group_instance_id = member->instance_id;
    out->client_id = slice_is_null(member->client_id) ? SLICE_EMPTY : member->client_id;
    out->client_host = slice_is_null(member->client_host) ? SLICE_EMPTY : member->client_host;
    out->rebalance_timeout = member->rebalance_timeout_ms;
    out->session_timeout = member->session_timeout_ms;
    out->subscription = classic_member_metadata(member, group->protocol);
    out->assignment = slice_is_null(member->assignment) ? SLICE_EMPTY : member->assignment;
}

enum err classic_group_record(struct group_call *call, const struct classic_group *group)
{
    struct group_metadata_value value;
    struct group_metadata_key key;

    group_metadata_key_init(&key);
    key.group = group->head.id;
    group_metadata_value_init(&value);
    value.protocol_type = slice_is_null(group->protocol_type) ? SLICE_EMPTY : group->protocol_type;
    value.generation = group->generation;
    value.protocol = group->protocol;
    /* Without a leader: not divided yet. Its members, which ask for nothing by themselves, must be told to
     * come again also by a coordinator that is loaded meanwhile (classic_loaded). */
    value.leader = group->rebalance_when_replayed ? SLICE_NULL : group->leader;
    value.current_state_timestamp = group->state_since_wall_ms;
    value.members = group_metadata_value_member_metadata_array(call->arena, group->members.count);
    if (!value.members)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (node, &group->members)
        member_fill(group, HASH_MAP_ITEM(node, struct classic_member, node),
                    &value.members[value.members_count++]);
    return group_record(call, &group_metadata_key_type, &key, &group_metadata_value_type,
                        VALUE_VERSION, &value);
}

enum err classic_group_tombstone(struct group_call *call, struct slice group_id)
{
    struct group_metadata_key key;

    group_metadata_key_init(&key);
    key.group = group_id;
    return group_record(call, &group_metadata_key_type, &key, &group_metadata_value_type, 0, NULL);
}

/* ---- conversions ---- */

enum err classic_group_hand_over(struct group_call *call, struct classic_group *group)
{
    HASH_MAP_EACH (node, &group->members) {
        struct classic_member *member = HASH_MAP_ITEM(node, struct classic_member, node);
        struct sync_group_response *response;

        TRY(classic_answer_join(call, member,
                                &(struct classic_join_answer){.err = ERR_REBALANCE_IN_PROGRESS,
                                                              .member_id = member->id}));
        if (!member->sync)
            continue;
        TRY(classic_sync_response(call, group, ERR_REBALANCE_IN_PROGRESS, SLICE_NULL, &response));
        TRY(group_waiter_answer(call, &member->sync, response));
    }
    return OK;
}

void classic_group_stage(struct group_call *call, struct classic_group **group, const char *reason)
{
    struct group_coordinator *coordinator = call->coordinator;

    /* One write is on its way between handler and replay. */
    ASSERT(coordinator->staged == NULL);
    if (reason)
        fmt((*group)->reason, sizeof(*group)->reason, "%s", reason);
    coordinator->staged_write = call->effects->write;
    coordinator->staged = TAKE(*group);
}
