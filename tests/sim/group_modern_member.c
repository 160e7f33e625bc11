/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_modern_member.c: a member by ConsumerGroupHeartbeat (KIP-848): by names or by a regular expression, static or not,
 * with either assignor of the server. What the server takes away is given up at once and told with the next heartbeat.
 */
#include "group.h"

#include "base/assert.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/consumer_group_heartbeat_request.h"
#include "protocol/generated/consumer_group_heartbeat_response.h"

#define BEAT_MS 100

static void owned_list(const struct member *member, struct arena *arena,
                       struct consumer_group_heartbeat_request *body)
{
    body->topic_partitions = consumer_group_heartbeat_request_topic_partitions_array(
        arena, (size_t)MAX(member->owned_count, 1));
    body->topic_partitions_count = 0;
    for (int i = 0; i < member->owned_count; i++) {
        struct consumer_group_heartbeat_request_topic_partitions *topic = NULL;

        for (int32_t k = 0; k < body->topic_partitions_count && !topic; k++)
            if (memcmp(&body->topic_partitions[k].topic_id, &member->owned[i].topic_id,
                       sizeof member->owned[i].topic_id) == 0)
                topic = &body->topic_partitions[k];
        if (!topic) {
            topic = &body->topic_partitions[body->topic_partitions_count++];
            topic->topic_id = member->owned[i].topic_id;
            topic->partitions = ARENA_ARRAY(arena, int32_t, OWNED_MAX);
            topic->partitions_count = 0;
        }
        topic->partitions[topic->partitions_count++] = member->owned[i].partition;
    }
}

void member_modern_request(const struct member *member, int32_t epoch, struct arena *arena,
                           struct consumer_group_heartbeat_request *body)
{
    const struct world *world = member->actor->world;

    consumer_group_heartbeat_request_init(body);
    body->group_id = slice_from_text(member->group->name);
    body->member_id = slice_from_text(member->id);
    body->member_epoch = epoch;
    body->instance_id = member->is_static ? slice_from_text(member->instance) : SLICE_NULL;
    if (epoch < 0)
        return;
    if (epoch == 0 || !member->is_told_all) {
        body->rebalance_timeout_ms = GROUP_REBALANCE_MS;
        body->server_assignor = member->incarnation % 3 == 0 ? SLICE("range") : SLICE("uniform");
        if (member->uses_regex) {
            body->subscribed_topic_regex = SLICE("t[0-9]+");
        } else {
            body->subscribed_topic_names =
                ARENA_ARRAY(arena, struct slice, (size_t)world->slot_count);
            body->subscribed_topic_names_count = world->slot_count;
            for (int i = 0; i < world->slot_count; i++)
                body->subscribed_topic_names[i] = slice_from_text(world->slots[i].name);
        }
    }
    owned_list(member, arena, body);
}

static void refused(struct member *member, enum err err)
{
    int64_t now_ns = sim_now_ns(member->actor->world->sim);

    if (!group_answer_is_known(member, "ConsumerGroupHeartbeat", err) || group_is_on_the_move(err))
        return;
    if (err == ERR_UNRELEASED_INSTANCE_ID) { /* until the session of the former one is over */
        member->next_beat_ns = now_ns + 100 * MS;
        return;
    }
    member_lost(member, err_name(err));
    member->generation = 0;
    if (err == ERR_FENCED_INSTANCE_ID)
        member->id[0] = '\0';
    if (err == ERR_GROUP_ID_NOT_FOUND) /* the group is of the other kind at present */
        member->out_until_ns = now_ns + 200 * MS;
}

void member_modern_answered(struct member *member,
                            const struct consumer_group_heartbeat_response *answer)
{
    bool is_joining = member->state == MEMBER_JOINING;
    struct assigned list[OWNED_MAX];
    int count = 0;
    enum err err;

    member->is_busy = false;
    if (!answer) {
        member_doubts(member);
        member->is_told_all = false;
        if (member->join_op >= 0)
            member_join_ends(member, HISTORY_UNKNOWN);
        member->join_op = -1;
        return;
    }
    err = err_from_wire(answer->error_code);
    if (err == OK && answer->member_epoch < member->generation)
        world_fail(member->actor->world, "the epoch of %s went from %d to %d", member->id,
                   member->generation, answer->member_epoch);
    if (err == OK)
        member->generation = answer->member_epoch;
    if (member->join_op >= 0)
        member_join_ends(member, err == OK ? HISTORY_OK : HISTORY_FAIL);
    member->join_op = -1;
    if (err != OK) { /* it may have taken effect: as clients do, it tells and asks for all again */
        member->is_told_all = false;
        if (member->state != MEMBER_OUT)
            refused(member, err);
        return;
    }
    if (member->state == MEMBER_OUT)
        return;
    member->is_told_all = true;
    member->state = MEMBER_IN;
    member_beat(member, member->sent_ns);
    if (!answer->assignment) {
        if (is_joining)
            world_fail(member->actor->world, "a joining member was told no assignment");
        return;
    }
    for (int32_t i = 0; i < answer->assignment->topic_partitions_count; i++)
        for (int32_t k = 0; k < answer->assignment->topic_partitions[i].partitions_count; k++)
            if (count < OWNED_MAX)
                list[count++] =
                    (struct assigned){answer->assignment->topic_partitions[i].topic_id,
                                      answer->assignment->topic_partitions[i].partitions[k]};
    if (member_assign(member, list, count))
        member->next_beat_ns = 0; /* told at once */
}

static void answered(void *context, struct peer_request *request, const void *response)
{
    UNUSED(request);
    member_modern_answered(context, response);
}

static bool send(struct member *member, int32_t epoch)
{
    CLEANUP(arena_release) struct arena arena = {0};
    struct consumer_group_heartbeat_request body;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    member_modern_request(member, epoch, &arena, &body);
    member->request.answered = answered;
    member->request.context = member;
    member->sent_ns = sim_now_ns(member->actor->world->sim);
    member->is_busy = peer_send(member->actor->peer, API_CONSUMER_GROUP_HEARTBEAT, 1, &body,
                                GROUP_TIMEOUT_MS, &member->request);
    return member->is_busy;
}

void member_modern_step(struct member *member)
{
    int64_t now_ns = sim_now_ns(member->actor->world->sim);

    if (member->is_busy || now_ns < member->next_beat_ns || !peer_is_ready(member->actor->peer))
        return;
    if (member->id[0] == '\0')
        snprintf(member->id, sizeof member->id, "%s-%d-%d", member->group->name, member->place,
                 ++member->incarnation);
    member->next_beat_ns = now_ns + BEAT_MS * MS;
    if (member->state == MEMBER_OUT)
        member->state = MEMBER_JOINING;
    if (member->state == MEMBER_JOINING) {
        member->generation = 0;
        if (send(member, 0))
            member_joins(member);
        return;
    }
    send(member, member->generation);
}

static void left(void *context, struct peer_request *request, const void *response)
{
    struct member *member = context;

    UNUSED(request);
    UNUSED(response);
    member->is_busy = false;
}

void member_modern_leave(struct member *member)
{
    bool returns = member->is_static && random_chance(&member->actor->random, 1, 2);

    if (member->id[0] && member->state == MEMBER_IN && send(member, returns ? -2 : -1))
        member->request.answered = left;
    member_lost(member, "left");
    member->id[0] = '\0';
    member->generation = 0;
    member->is_told_all = false;
}
