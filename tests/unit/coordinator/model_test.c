/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that join, die, pause, come back, commit and leave, in random order, over a coordinator
 * whose writes are committed late, time out or are refused, and that fails over with the
 * uncommitted end of its log lost. Watched:
 *   G1  a partition has one owner in a generation;
 *   G2  a commit that was answered is never gone or behind;
 *   G3  only a member of the generation that runs commits;
 *   and the log, replayed, gives the state of who wrote it.
 */
#include "support.h"

#define CLIENTS 6
#define PARTITIONS 8
#define STEPS 500
#define GENERATIONS 512

enum waiting { NOTHING, JOIN, SYNC, COMMIT };

struct client {
    char instance[8]; /* "": dynamic */
    char member[80];  /* "": none */
    int32_t generation;
    bool alive, paused, leads;
    enum waiting waiting;
    uint64_t token;
    char members[CLIENTS * 2][80]; /* of the generation that it leads */
    size_t member_count;
    int64_t commits; /* offset that it waits for */
};

struct model {
    struct fixture *fixture;
    struct random random;
    struct client clients[CLIENTS];
    char owners[GENERATIONS][PARTITIONS][80];
    int64_t acked, sent; /* of the one partition that is committed */
    int64_t assignments, failovers;
    bool refuses;
    uint64_t seed;
};

static void assignment_parse(struct model *model, struct client *client, struct slice assignment)
{
    /* A static member keeps what is its own when its id changes. */
    const char *name = *client->instance ? client->instance : client->member;

    assert_in_range(client->generation, 0, GENERATIONS - 1);
    model->assignments++;
    for (size_t i = 0; i < assignment.size_bytes; i++) {
        char *owner = model->owners[client->generation][assignment.data[i] - '0'];

        if (*owner && strcmp(owner, name) != 0)
            fail_msg("seed %llu: generation %d: partition %c of %s is given to %s",
                     (unsigned long long)model->seed, client->generation, assignment.data[i], owner,
                     name);
        snprintf(owner, 80, "%s", name);
    }
}

static void sync_send(struct model *model, struct client *client)
{
    struct fixture *fixture = model->fixture;
    char assignments[CLIENTS * 2][PARTITIONS + 1] = {{0}};
    struct sync sync = {.member = client->member,
                        .instance = *client->instance ? client->instance : NULL,
                        .generation = client->generation};

    if (client->leads) {
        for (int i = 0; i < PARTITIONS && client->member_count > 0; i++) {
            size_t to = random_below(&model->random, client->member_count);

            assignments[to][strlen(assignments[to])] = (char)('0' + i);
        }
        sync.count = MIN(client->member_count, ARRAY_COUNT(sync.members));
        for (size_t i = 0; i < sync.count; i++) {
            sync.members[i] = client->members[i];
            sync.assignments[i] = arena_format(&fixture->arena, "%s", assignments[i]);
        }
    }
    client->waiting = SYNC;
    client->token = send_sync(fixture, sync);
}

static void join_send(struct model *model, struct client *client)
{
    client->waiting = JOIN;
    client->token = send_join(
        model->fixture,
        (struct join){.member = client->member,
                      .instance = *client->instance ? client->instance : NULL,
                      .metadata = random_chance(&model->random, 1, 8) ? "other" : "metadata",
                      .session_ms = 6000,
                      .rebalance_ms = 8000});
}

static void join_answered(struct model *model, struct client *client,
                          const struct join_group_response *response)
{
    if (response->error_code == ERR_MEMBER_ID_REQUIRED || response->error_code == 0)
        snprintf(client->member, sizeof client->member, "%.*s", SLICE_ARGS(response->member_id));
    else if (response->error_code == ERR_UNKNOWN_MEMBER_ID ||
             response->error_code == ERR_FENCED_INSTANCE_ID)
        client->member[0] = 0;
    if (response->error_code != 0)
        return;
    client->generation = response->generation_id;
    client->leads = slice_equal_text(response->leader, client->member);
    client->member_count = (size_t)response->members_count;
    assert_true(client->member_count <= ARRAY_COUNT(client->members));
    for (size_t i = 0; i < client->member_count; i++)
        snprintf(client->members[i], 80, "%.*s", SLICE_ARGS(response->members[i].member_id));
    sync_send(model, client);
}

static void answered(struct model *model, struct client *client, const struct outcome *outcome)
{
    enum waiting was = client->waiting;

    client->waiting = NOTHING;
    if (was == COMMIT) {
        const struct offset_commit_response *response = outcome->response;

        if (response && response->topics[0].partitions[0].error_code == 0)
            model->acked = MAX(model->acked, client->commits);
        return;
    }
    if (!outcome->response || !client->alive)
        return;
    if (was == JOIN)
        join_answered(model, client, outcome->response);
    else if (((const struct sync_group_response *)outcome->response)->error_code == 0)
        assignment_parse(model, client,
                         ((const struct sync_group_response *)outcome->response)->assignment);
    else
        client->generation = -1;
}

/* Answers may bring requests, whose answers come behind them. */
static void answers_take(struct model *model)
{
    struct fixture *fixture = model->fixture;

    for (size_t i = 0; i < fixture->outcome_count; i++) {
        struct outcome outcome = fixture->outcomes[i];

        for (size_t c = 0; c < CLIENTS; c++)
            if (model->clients[c].waiting != NOTHING && model->clients[c].token == outcome.token)
                answered(model, &model->clients[c], &outcome);
    }
    fixture->outcome_count = 0;
}

static void client_step(struct model *model, struct client *client)
{
    struct fixture *fixture = model->fixture;
    struct classic_group *group = group_classic(group_find(fixture->coordinator, SLICE("g")));
    const char *instance = *client->instance ? client->instance : NULL;
    int16_t code;

    if (!client->alive) {
        if (random_chance(&model->random, 1, 3)) {
            client->alive = true;
            client->member[0] = 0;
            client->generation = -1;
            join_send(model, client);
        }
        return;
    }
    if (client->paused || random_chance(&model->random, 1, 12)) {
        client->paused = !random_chance(&model->random, 1, 5);
        return;
    }
    if (random_chance(&model->random, 1, 20)) { /* dies; who waits for an answer has hung up */
        if (client->waiting != NOTHING && client->waiting != COMMIT)
            group_coordinator_forget(fixture->coordinator, client->token);
        client->alive = false;
        return;
    }
    if (client->waiting != NOTHING)
        return;
    if (!client->member[0] || client->generation < 0) {
        join_send(model, client);
        return;
    }
    if (random_chance(&model->random, 1, 25)) {
        struct leave_group_request_member_identity identity = {.member_id = text(client->member),
                                                               .group_instance_id = text(instance)};
        struct leave_group_request request = {
            .group_id = SLICE("g"), .members = &identity, .members_count = 1};

        fixture_send(fixture, API_LEAVE_GROUP, 5, &request);
        client->member[0] = 0;
        return;
    }
    if (random_chance(&model->random, 1, 3)) {
        bool is_member = group && group->generation == client->generation &&
                         classic_member_find(group, text(client->member));
        size_t before = fixture->log_count;

        client->commits = ++model->sent;
        client->waiting = COMMIT;
        client->token = send_commit(fixture, (struct commit){.member = client->member,
                                                             .instance = instance,
                                                             .generation = client->generation,
                                                             .offset = client->commits});
        if (!is_member && fixture->log_count != before)
            fail_msg("seed %llu: a stale member has committed", (unsigned long long)model->seed);
        return;
    }
    code = heartbeat_static(fixture, "g", client->member, instance, client->generation);
    if (code == ERR_UNKNOWN_MEMBER_ID || code == ERR_FENCED_INSTANCE_ID)
        client->member[0] = 0;
    if (code != 0)
        client->generation = -1;
}

static void fail_over(struct model *model)
{
    struct fixture *fixture = model->fixture;
    size_t lost = 0;

    model->failovers++;
    /* Of what is not committed an end of any length is lost. */
    if (fixture->log_count > (size_t)fixture->coordinator->committed_end)
        lost = random_below(&model->random,
                            fixture->log_count + 1 - (size_t)fixture->coordinator->committed_end);
    fixture->log_count -= lost;
    fixture_load(fixture);
    for (size_t i = 0; i < CLIENTS; i++) {
        /* Requests on the way fail; their clients go on as they were. */
        if (model->clients[i].waiting == JOIN || model->clients[i].waiting == SYNC)
            model->clients[i].generation = -1;
        model->clients[i].waiting = NOTHING;
    }
}

static void world_step(struct model *model)
{
    struct fixture *fixture = model->fixture;

    if (random_chance(&model->random, 1, 10))
        fixture->hold_commits = !fixture->hold_commits;
    if (!fixture->hold_commits || random_chance(&model->random, 1, 4))
        fixture_commit(fixture);
    if (fixture->parked_count > 0 && random_chance(&model->random, 1, 30))
        fixture_time_out(fixture);
    fixture->refuse =
        model->refuses && random_chance(&model->random, 1, 20) ? ERR_NOT_ENOUGH_REPLICAS : OK;
    if (random_chance(&model->random, 1, 60))
        fail_over(model);
    fixture_advance(fixture, random_between(&model->random, 0, 1500));
    answers_take(model);
}

static void expect(struct model *model)
{
    struct fixture *fixture = model->fixture;
    int64_t now;
    struct classic_group *group = group_classic(group_find(fixture->coordinator, SLICE("g")));

    assert_int_equal(fixture->failure, OK);
    now = fetch(fixture, "g", "t", 0);
    if (now < model->acked)
        fail_msg("seed %llu: %lld was committed, %lld is read", (unsigned long long)model->seed,
                 (long long)model->acked, (long long)now);
    if (!group) /* an empty one without offsets has gone: the next begins to count anew */
        memset(model->owners, 0, sizeof model->owners);
    if (group) {
        uint32_t awaiting = 0;

        HASH_MAP_EACH (node, &group->members)
            awaiting += HASH_MAP_ITEM(node, struct classic_member, node)->join != NULL;
        assert_int_equal(group->awaiting_join, awaiting);
        assert_true((group->state == CLASSIC_EMPTY) <= (group->members.count == 0));
    }
    if (!model->refuses && random_chance(&model->random, 1, 10))
        fixture_check_replay(fixture);
}

struct seen {
    int64_t assignments, failovers, acked;
};

static void run(uint64_t seed, bool refuses, struct seen *seen)
{
    struct model *model = calloc(1, sizeof *model);
    struct fixture *fixture = malloc(sizeof *fixture);

    fixture_start(fixture);
    fixture->logger.level = LOG_LEVEL_ERROR;
    fixture->options.offsets_retention_check_interval_ms = 30000;
    model->fixture = fixture;
    model->refuses = refuses;
    model->seed = seed;
    model->acked = -1;
    random_init(&model->random, seed);
    for (size_t i = 0; i < 2; i++)
        snprintf(model->clients[i].instance, sizeof model->clients[i].instance, "i%zu", i);
    for (size_t step = 0; step < STEPS; step++) {
        client_step(model, &model->clients[random_below(&model->random, CLIENTS)]);
        answers_take(model);
        if (random_chance(&model->random, 1, 2))
            world_step(model);
        expect(model);
        fixture->outcome_count = 0;
    }
    seen->assignments += model->assignments;
    seen->failovers += model->failovers;
    seen->acked += MAX(model->acked, 0);
    fixture_end(fixture);
    free(fixture);
    free(model);
}

/* The walk has gone where the rules matter. */
static void expect_seen(const struct seen *seen, int64_t runs)
{
    assert_true(seen->assignments > 10 * runs);
    assert_true(seen->failovers > 2 * runs);
    assert_true(seen->acked > 10 * runs);
}

static void members_that_come_and_go_share_and_lose_nothing(void **state)
{
    struct seen seen = {0};

    UNUSED(state);
    for (uint64_t seed = 1; seed <= 300; seed++)
        run(seed, false, &seen);
    expect_seen(&seen, 300);
}

static void refused_writes_do_not_confuse_them(void **state)
{
    struct seen seen = {0};

    UNUSED(state);
    for (uint64_t seed = 1001; seed <= 1300; seed++)
        run(seed, true, &seen);
    expect_seen(&seen, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_that_come_and_go_share_and_lose_nothing),
        cmocka_unit_test(refused_writes_do_not_confuse_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
