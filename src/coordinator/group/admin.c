/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/admin.c: ListGroups, DescribeGroups, DeleteGroups. groups.md §3.7 of the
 * reference. What they tell is sent when it is committed.
 */
#include "coordinator/group/classic_internal.h"
#include "coordinator/group/offset_internal.h"

#define VERSION_DESCRIBE_NOT_FOUND 6

/* ---- ListGroups ---- */

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

static bool is_space(uint8_t byte)
{
    return byte <= ' ';
}

/* Without regard to case and to blanks around. */
static bool filter_is(struct slice filter, const char *text)
{
    size_t length = strlen(text);

    while (filter.size_bytes > 0 && is_space(filter.data[0]))
        filter = slice_sub(filter, 1, filter.size_bytes - 1);
    while (filter.size_bytes > 0 && is_space(filter.data[filter.size_bytes - 1]))
        filter.size_bytes--;
    if (filter.size_bytes != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (lower(filter.data[i]) != lower((uint8_t)text[i]))
            return false;
    return true;
}

/* Of a filter that may have a million names: what it said of each text, of which there are few. */
#define FILTER_TEXTS_MAX 16
struct filter {
    const struct slice *names;
    int32_t count;
    struct {
        const char *text; /* static: told apart by its address */
        bool passes;
    } seen[FILTER_TEXTS_MAX];
    size_t seen_count;
};

static bool filter_has(const struct filter *filter, const char *text)
{
    for (int32_t i = 0; i < filter->count; i++)
        if (filter_is(filter->names[i], text))
            return true;
    return filter->count <= 0;
}

static bool passes(struct filter *filter, const char *text)
{
    bool result;

    for (size_t i = 0; i < filter->seen_count; i++)
        if (filter->seen[i].text == text)
            return filter->seen[i].passes;
    result = filter_has(filter, text);
    if (filter->seen_count < FILTER_TEXTS_MAX) {
        filter->seen[filter->seen_count].text = text;
        filter->seen[filter->seen_count++].passes = result;
    }
    return result;
}

static const char *kind_name(const struct group *group)
{
    return group->kind == GROUP_CLASSIC ? "classic" : "consumer";
}

static const char *state_of(struct group *group)
{
    return group->kind == GROUP_CLASSIC ? classic_state_name(group_classic(group)->state)
                                        : consumer_group_state(group_consumer(group));
}

static enum err list_fill(struct group_call *call, struct group *group,
                          struct list_groups_response_listed_group *out)
{
    struct slice type =
        group->kind == GROUP_CLASSIC ? group_classic(group)->protocol_type : SLICE("consumer");

    out->group_id = arena_copy(call->arena, group->id);
    out->protocol_type = arena_copy(call->arena, slice_is_null(type) ? SLICE_EMPTY : type);
    out->group_state = slice_from_text(state_of(group));
    out->group_type = slice_from_text(kind_name(group));
    return slice_is_null(out->group_id) || slice_is_null(out->protocol_type) ? ERR_NO_MEMORY : OK;
}

static enum err handle_list(struct group_call *call, const struct list_groups_request *request)
{
    struct list_groups_response *response = list_groups_response_array(call->arena, 1);
    struct filter types = {.names = request->types_filter, .count = request->types_filter_count};
    struct filter states = {.names = request->states_filter, .count = request->states_filter_count};

    if (!response)
        return ERR_NO_MEMORY;
    response->groups =
        list_groups_response_listed_group_array(call->arena, call->coordinator->groups.count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (node, &call->coordinator->groups) {
        struct group *group = HASH_MAP_ITEM(node, struct group, node);

        if (!passes(&types, kind_name(group)) || !passes(&states, state_of(group)))
            continue;
        TRY(list_fill(call, group, &response->groups[response->groups_count++]));
    }
    return group_reply(call, response, true);
}

/* ---- DescribeGroups ---- */

static enum err copy_into(struct group_call *call, struct slice from, struct slice *out)
{
    *out = arena_copy(call->arena, from);
    return slice_is_null(*out) != slice_is_null(from) ? ERR_NO_MEMORY : OK;
}

static enum err member_describe(struct group_call *call, const struct classic_group *group,
                                const struct classic_member *member,
                                struct describe_groups_response_described_group_member *out)
{
    TRY(copy_into(call, member->id, &out->member_id));
    TRY(copy_into(call, member->instance_id, &out->group_instance_id));
    TRY(copy_into(call, member->client_id, &out->client_id));
    TRY(copy_into(call, member->client_host, &out->client_host));
    if (group->state == CLASSIC_STABLE)
        TRY(copy_into(call, classic_member_metadata(member, group->protocol),
                      &out->member_metadata));
    /* Of the last generation while the next one is made. */
    return slice_is_null(member->assignment)
               ? OK
               : copy_into(call, member->assignment, &out->member_assignment);
}

static enum err group_describe(struct group_call *call, const struct classic_group *group,
                               struct describe_groups_response_described_group *out)
{
    out->group_state = slice_from_text(classic_state_name(group->state));
    if (!slice_is_null(group->protocol_type))
        TRY(copy_into(call, group->protocol_type, &out->protocol_type));
    if (group->state == CLASSIC_STABLE && !slice_is_null(group->protocol))
        TRY(copy_into(call, group->protocol, &out->protocol_data));
    out->members =
        describe_groups_response_described_group_member_array(call->arena, group->members.count);
    if (!out->members)
        return ERR_NO_MEMORY;
    HASH_MAP_EACH (node, &group->members)
        TRY(member_describe(call, group, HASH_MAP_ITEM(node, struct classic_member, node),
                            &out->members[out->members_count++]));
    return OK;
}

static enum err describe_one(struct group_call *call, struct slice id,
                             struct describe_groups_response_described_group *out)
{
    struct group *group = group_find(call->coordinator, id);

    out->group_id = id;
    if (group && group->kind == GROUP_CLASSIC)
        return group_describe(call, group_classic(group), out);
    /* Kinds that this API does not know count as missing. */
    out->group_state = SLICE("Dead");
    if (call->request->api_version < VERSION_DESCRIBE_NOT_FOUND)
        return OK;
    out->error_code = err_wire_code(ERR_GROUP_ID_NOT_FOUND);
    out->error_message =
        group
            ? arena_format_slice(call->arena, "Group %.*s is not a classic group.", SLICE_ARGS(id))
            : arena_format_slice(call->arena, "Group %.*s not found.", SLICE_ARGS(id));
    return slice_is_null(out->error_message) ? ERR_NO_MEMORY : OK;
}

static enum err handle_describe(struct group_call *call,
                                const struct describe_groups_request *request)
{
    struct describe_groups_response *response = describe_groups_response_array(call->arena, 1);
    int32_t count = MAX(request->groups_count, 0);

    if (!response)
        return ERR_NO_MEMORY;
    response->groups = describe_groups_response_described_group_array(call->arena, (size_t)count);
    if (!response->groups)
        return ERR_NO_MEMORY;
    response->groups_count = count;
    for (int32_t i = 0; i < count; i++)
        TRY(describe_one(call, request->groups[i], &response->groups[i]));
    return group_reply(call, response, true);
}

enum err group_handle_listing(struct group_call *call)
{
    return call->request->api_key == API_LIST_GROUPS ? handle_list(call, call->request->body)
                                                     : handle_describe(call, call->request->body);
}
