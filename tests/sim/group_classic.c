/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/group_classic.c: a classic group by hand: all that speak join at once, the leader assigns each member
 * a text of its own, and everybody must be given the text that its leader meant for it.
 */
#include "group_actors.h"

#include "protocol/generated/api_keys.h"
#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"
#include "protocol/generated/join_group_request.h"
#include "protocol/generated/join_group_response.h"
#include "protocol/generated/sync_group_request.h"
#include "protocol/generated/sync_group_response.h"

#include <stdio.h>

#define MS ((int64_t)1000000)
#define JOIN_VERSION 9
#define SYNC_VERSION 5

struct round {
    struct group_lab *lab;
    struct arena arena;
    int64_t deadline_ns;
    struct group_member *members[GROUP_MEMBERS];
    size_t count;
    const struct join_group_response *joined[GROUP_MEMBERS];
    int32_t generation;
};

static bool join_send(struct round *round, struct group_member *member)
{
    struct join_group_request body;
    struct join_group_request_join_group_request_protocol *protocol =
        join_group_request_join_group_request_protocol_array(&round->arena, 1);

    join_group_request_init(&body);
    body.group_id = slice_from_text(round->lab->classic.group);
    body.session_timeout_ms = 10000;
    body.rebalance_timeout_ms = 10000;
    body.member_id = slice_from_text(member->id);
    body.protocol_type = SLICE("consumer");
    protocol->name = SLICE("range");
    protocol->metadata = SLICE("not looked at");
    body.protocols = protocol;
    body.protocols_count = 1;
    return group_connected(round->lab, member->client, round->deadline_ns) &&
           sim_client_send(member->client, API_JOIN_GROUP, JOIN_VERSION, &body,
                           round->deadline_ns) == OK;
}

/* True: joined, or told an id to join with (is_again). */
static bool join_read(struct round *round, size_t at, bool *is_again)
{
    struct group_member *member = round->members[at];
    void *response;
    enum err err;

    *is_again = false;
    if (sim_client_read(member->client, API_JOIN_GROUP, JOIN_VERSION, &round->arena,
                        round->deadline_ns, &response) != OK)
        return false;
    round->joined[at] = response;
    err = err_from_wire(round->joined[at]->error_code);
    if (err == ERR_MEMBER_ID_REQUIRED) {
        snprintf(member->id, sizeof member->id, "%.*s", SLICE_ARGS(round->joined[at]->member_id));
        *is_again = true;
        return true;
    }
    if (err == ERR_UNKNOWN_MEMBER_ID)
        member->id[0] = '\0';
    else if (err != OK && err != ERR_REBALANCE_IN_PROGRESS && !group_moves(err))
        group_lab_fail(round->lab, "JoinGroup: %s", err_name(err));
    return err == OK;
}

static bool all_join(struct round *round)
{
    bool again[GROUP_MEMBERS];
    bool good = true;

    for (size_t i = 0; i < round->count; i++)
        again[i] = true;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; good && i < round->count; i++)
            good = !again[i] || join_send(round, round->members[i]);
        for (size_t i = 0; good && i < round->count; i++)
            if (again[i])
                good = join_read(round, i, &again[i]);
    }
    for (size_t i = 0; good && i < round->count; i++)
        good = !again[i];
    return good;
}

/* All have one generation, one leader, and the leader sees each of them. */
static bool round_agrees(struct round *round)
{
    const struct join_group_response *leader = NULL;

    round->generation = round->joined[0]->generation_id;
    for (size_t i = 0; i < round->count; i++) {
        const struct join_group_response *joined = round->joined[i];

        if (joined->generation_id != round->generation)
            return false; /* somebody came late: the next round settles it */
        if (slice_equal(joined->leader, joined->member_id))
            leader = joined;
        if (!slice_equal(joined->leader, round->joined[0]->leader))
            group_lab_fail(round->lab, "G1: generation %d has two leaders", round->generation);
    }
    if (leader && leader->members_count < (int32_t)round->count)
        group_lab_fail(round->lab, "the leader of generation %d sees %d of %zu members",
                       round->generation, leader->members_count, round->count);
    return leader != NULL;
}

static bool sync_send(struct round *round, size_t at)
{
    const struct join_group_response *joined = round->joined[at];
    struct sync_group_request body;

    sync_group_request_init(&body);
    body.group_id = slice_from_text(round->lab->classic.group);
    body.generation_id = round->generation;
    body.member_id = joined->member_id;
    body.protocol_type = SLICE("consumer");
    body.protocol_name = SLICE("range");
    if (slice_equal(joined->leader, joined->member_id)) {
        body.assignments = sync_group_request_sync_group_request_assignment_array(
            &round->arena, (size_t)joined->members_count);
        body.assignments_count = joined->members_count;
        for (int32_t i = 0; i < joined->members_count; i++) {
            body.assignments[i].member_id = joined->members[i].member_id;
            body.assignments[i].assignment =
                arena_format_slice(&round->arena, "%d:%.*s", round->generation,
                                   SLICE_ARGS(joined->members[i].member_id));
        }
    }
    return sim_client_send(round->members[at]->client, API_SYNC_GROUP, SYNC_VERSION, &body,
                           round->deadline_ns) == OK;
}

static bool sync_read(struct round *round, size_t at)
{
    const struct sync_group_response *answer;
    struct slice meant;
    void *response;
    enum err err;

    if (sim_client_read(round->members[at]->client, API_SYNC_GROUP, SYNC_VERSION, &round->arena,
                        round->deadline_ns, &response) != OK)
        return false;
    answer = response;
    err = err_from_wire(answer->error_code);
    if (err != OK) {
        if (err != ERR_REBALANCE_IN_PROGRESS && err != ERR_ILLEGAL_GENERATION &&
            err != ERR_UNKNOWN_MEMBER_ID && !group_moves(err))
            group_lab_fail(round->lab, "SyncGroup: %s", err_name(err));
        return false;
    }
    meant = arena_format_slice(&round->arena, "%d:%.*s", round->generation,
                               SLICE_ARGS(round->joined[at]->member_id));
    if (!slice_equal(answer->assignment, meant))
        group_lab_fail(round->lab, "G1: %.*s was given \"%.*s\"",
                       SLICE_ARGS(round->joined[at]->member_id), SLICE_ARGS(answer->assignment));
    return true;
}

static bool all_sync(struct round *round)
{
    bool good = true;

    for (size_t i = 0; good && i < round->count; i++)
        good = sync_send(round, i);
    for (size_t i = 0; good && i < round->count; i++)
        good = sync_read(round, i);
    return good;
}

static void all_work(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        struct group_member *member = round->members[i];
        struct heartbeat_request body;
        void *response;

        member->epoch = round->generation;
        heartbeat_request_init(&body);
        body.group_id = slice_from_text(round->lab->classic.group);
        body.generation_id = round->generation;
        body.member_id = slice_from_text(member->id);
        if (!group_connected(round->lab, member->client, round->deadline_ns) ||
            sim_client_call(member->client, API_HEARTBEAT, 4, &body, &round->arena,
                            round->deadline_ns, &response) != OK)
            return;
        (void)group_commit(round->lab, member->client, &round->lab->classic,
                           (int32_t)random_below(&round->lab->random, GROUP_PARTITIONS), member->id,
                           round->generation, round->deadline_ns);
    }
}

/* One of an older generation that the group has left behind. */
static void stale_try(struct round *round)
{
    struct group_member *member =
        &round->lab->classics[random_below(&round->lab->random, GROUP_MEMBERS)];

    if (member->id[0] == '\0' || member->epoch == 0 || member->epoch >= round->generation)
        return;
    if (group_commit(round->lab, member->client, &round->lab->classic, 0, member->id, member->epoch,
                     round->deadline_ns) == COMMIT_DONE)
        group_lab_fail(round->lab, "G3: %s of generation %d committed in generation %d", member->id,
                       member->epoch, round->generation);
}

void group_classic_round(struct group_lab *lab, int64_t deadline_ns)
{
    struct round round = {.lab = lab, .deadline_ns = deadline_ns};

    arena_init(&round.arena, &heap_allocator, SIZE_MAX);
    for (int i = 0; i < GROUP_MEMBERS; i++)
        if (round.count == 0 || random_chance(&lab->random, 3, 4))
            round.members[round.count++] = &lab->classics[i];
    if (all_join(&round) && round_agrees(&round) && all_sync(&round)) {
        all_work(&round);
        stale_try(&round);
        lab->rounds++;
    } else {
        for (size_t i = 0; i < round.count; i++)
            sim_client_close(round.members[i]->client); /* answers that are still to come */
    }
    arena_release(&round.arena);
}
