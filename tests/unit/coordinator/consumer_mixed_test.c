/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random members of both protocols in one group, which goes from classic to consumer and back as they come and go. Classic
 * clients are eager: told to rejoin, they give up everything first; or cooperative: they keep what they have, say so, give up
 * what they are not given again, and join once more. Writes are late and refused, and the coordinator is loaded anew.
 * Always: no partition is in two clients' hands, and the log says what the coordinator has.
 */
#include "consumer_support.h"

#include "protocol/generated/messages.h"

#define CLIENTS 6
#define PLACES 64

enum phase { AWAY, JOINING, WAITING, SYNCING, REVOKING, MEMBER };

struct client {
    bool is_classic;
    enum phase phase;
    char id[64];
    int32_t epoch;
    bool tell_all;
    bool owns[PLACES];
    bool given[PLACES]; /* cooperative: what it keeps of what it has, and gets */
    uint64_t token;
    struct join_group_response *joined;
    int64_t beat_ms;
};

struct model {
    struct fixture f;
    struct random random;
    struct client clients[CLIENTS];
    bool is_cooperative; /* classic clients */
    bool modern_come;    /* else they go */
    uint32_t next_id;
    int upgrades, downgrades;
    bool was_consumer;
};

static const char *const subscribed[] = {"t2", "t4", NULL};

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)random_below(&model->random, bound);
}

static void drop(struct client *client)
{
    memset(client->owns, 0, sizeof client->owns);
}

static int place_of(struct slice topic, int32_t partition)
{
    return (topic.data[1] - '1') * 8 + partition;
}

static bool place_exists(int place)
{
    return (place / 8 == 1 && place % 8 < 2) || (place / 8 == 3 && place % 8 < 4);
}

static void owners_check(struct model *model)
{
    for (int j = 0; j < PLACES; j++) {
        const struct client *owner = NULL;

        for (int i = 0; i < CLIENTS; i++) {
            if (!model->clients[i].owns[j])
                continue;
            if (owner)
                fail_msg("partition %d:%d belongs to %s and %s", j / 8 + 1, j % 8, owner->id,
                         model->clients[i].id);
            owner = &model->clients[i];
        }
    }
}

/* ---- consumer protocol ---- */

static void consumer_step(struct model *model, struct client *client)
{
    struct fixture *f = &model->f;
    bool joins = client->phase == JOINING;
    struct consumer_group_heartbeat_response *response;
    struct beat beat = {.member = client->id, .epoch = joins ? 0 : client->epoch};

    if (joins || client->tell_all) {
        beat.topics = "t2,t4";
        beat.rebalance_ms = 60000;
    }
    beat.owned = joins ? "" : owned_text(&model->f, client->owns, PLACES / 8);
    response = fixture_reply(f, beat_send(f, beat));
    client->tell_all = !response || below(model, 12) == 0;
    if (client->tell_all)
        return;
    if (response->error_code != 0) {
        drop(client);
        client->phase = JOINING;
        return;
    }
    client->phase = MEMBER;
    client->epoch = response->member_epoch;
    if (!response->assignment)
        return;
    drop(client);
    for (int32_t i = 0; i < response->assignment->topic_partitions_count; i++)
        for (int32_t j = 0; j < response->assignment->topic_partitions[i].partitions_count; j++)
            client->owns[(response->assignment->topic_partitions[i].topic_id.bytes[15] - 1) * 8 +
                         response->assignment->topic_partitions[i].partitions[j]] = true;
}

/* ---- classic protocol ---- */

/* Cooperative clients lose what they have only with their membership. */
static void classic_failed(struct model *model, struct client *client, enum err err)
{
    if (!model->is_cooperative || err != ERR_REBALANCE_IN_PROGRESS)
        drop(client);
    client->phase = JOINING;
    if (err != ERR_REBALANCE_IN_PROGRESS)
        client->id[0] = '\0';
}

static void classic_answered(struct model *model, struct client *client)
{
    struct join_group_response *response = fixture_reply(&model->f, client->token);

    if (!response) {
        if (fixture_failure(&model->f, client->token) != OK)
            client->phase = JOINING;
        return;
    }
    client->phase = JOINING;
    if (response->error_code == err_wire_code(ERR_MEMBER_ID_REQUIRED) || response->error_code == 0)
        (void)snprintf(client->id, sizeof client->id, "%.*s", SLICE_ARGS(response->member_id));
    else if (response->error_code != err_wire_code(ERR_REBALANCE_IN_PROGRESS))
        client->id[0] = '\0';
    if (response->error_code == 0) {
        client->joined = response;
        client->epoch = response->generation_id;
        client->phase = SYNCING;
    }
}

/* "t2:0,1;t4:3" */
static const char *owned_names(struct model *model, const bool *owns)
{
    char *buffer = arena_allocate(&model->f.arena, 128);
    int last = -1;
    struct text out;

    text_init(&out, buffer, 128);
    for (int i = 0; i < PLACES; i++) {
        if (!owns[i])
            continue;
        if (i / 8 != last)
            text_add(&out, "%st%d:", last >= 0 ? ";" : "", i / 8 + 1);
        text_add(&out, "%s%d", i / 8 != last ? "" : ",", i % 8);
        last = i / 8;
    }
    return buffer;
}

static void classic_join(struct model *model, struct client *client)
{
    struct join join = {.member = client->id, .topics = subscribed, .session_ms = 45000};

    if (model->is_cooperative) {
        join.owned = owned_names(model, client->owns);
        join.owned_generation = client->epoch;
    }
    client->token = send_join(&model->f, join);
    client->phase = WAITING;
    classic_answered(model, client);
}

/* ---- what a leader does ---- */

struct follower {
    bool owns[PLACES], given[PLACES];
    int32_t generation, count;
};

static void give(struct follower *follower, int place)
{
    follower->given[place] = true;
    follower->count++;
}

static void divide_eagerly(struct follower *followers, int32_t count)
{
    for (int place = 0; place < PLACES; place++)
        if (place_exists(place))
            give(&followers[place % 8 % count], place);
}

/* First who has something keeps it, up to his share; then what nobody has. */
static void divide_cooperatively(struct follower *followers, int32_t count)
{
    int32_t most = (6 + count - 1) / count;

    for (int pass = 0; pass < 2; pass++)
        for (int place = 0; place < PLACES; place++) {
            struct follower *holder = NULL, *least = followers;

            for (int32_t i = 0; i < count; i++) {
                if (followers[i].owns[place] &&
                    (!holder || followers[i].generation > holder->generation))
                    holder = &followers[i];
                if (followers[i].count < least->count)
                    least = &followers[i];
            }
            if (place_exists(place) && pass == 0 && holder && holder->count < most)
                give(holder, place);
            else if (place_exists(place) && pass == 1 && !holder)
                give(least, place);
        }
}

static void follower_read(struct fixture *f, struct slice metadata, struct follower *out)
{
    struct consumer_protocol_subscription subscription;

    assert_int_equal(consumer_subscription_decode(metadata, &f->arena, &subscription), OK);
    out->generation = subscription.generation_id;
    for (int32_t i = 0; i < subscription.owned_partitions_count; i++)
        for (int32_t j = 0; j < subscription.owned_partitions[i].partitions_count; j++)
            out->owns[place_of(subscription.owned_partitions[i].topic,
                               subscription.owned_partitions[i].partitions[j])] = true;
}

static void assignments_make(struct model *model, const struct join_group_response *joined,
                             struct sync_group_request *request)
{
    struct fixture *f = &model->f;
    int32_t count = joined->members_count;
    struct follower followers[CLIENTS * 4] = {0};

    assert_in_range(count, 1, (int32_t)ARRAY_COUNT(followers));
    request->assignments =
        sync_group_request_sync_group_request_assignment_array(&f->arena, (size_t)count);
    request->assignments_count = count;
    for (int32_t i = 0; i < count; i++)
        follower_read(f, joined->members[i].metadata, &followers[i]);
    if (model->is_cooperative)
        divide_cooperatively(followers, count);
    else
        divide_eagerly(followers, count);
    for (int32_t i = 0; i < count; i++) {
        request->assignments[i].member_id = joined->members[i].member_id;
        request->assignments[i].assignment =
            assignment_of(f, owned_names(model, followers[i].given));
    }
}

/* ---- what members do with it ---- */

static void assignment_read(struct fixture *f, struct slice bytes, bool *given)
{
    struct consumer_protocol_assignment assignment;
    struct cursor cursor = cursor_of(bytes);
    int16_t version;

    memset(given, 0, PLACES);
    if (bytes.size_bytes == 0)
        return;
    assert_int_equal(cursor_i16(&cursor, &version), OK);
    message_init(&consumer_protocol_assignment_type, &assignment);
    assert_int_equal(message_decode(&consumer_protocol_assignment_type, version, &cursor, &f->arena,
                                    &assignment),
                     OK);
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++)
        for (int32_t j = 0; j < assignment.assigned_partitions[i].partitions_count; j++)
            given[place_of(assignment.assigned_partitions[i].topic,
                           assignment.assigned_partitions[i].partitions[j])] = true;
}

/* What it has to give up it has until its next turn. */
static void assignment_take(struct client *client)
{
    client->phase = MEMBER;
    for (int i = 0; i < PLACES; i++) {
        if (client->owns[i] && !client->given[i])
            client->phase = REVOKING;
        client->owns[i] = client->owns[i] || client->given[i];
    }
}

static void classic_synced(struct model *model, struct client *client)
{
    struct sync_group_response *response = fixture_reply(&model->f, client->token);

    if (!response) {
        if (fixture_failure(&model->f, client->token) != OK)
            classic_failed(model, client, ERR_REBALANCE_IN_PROGRESS);
        return;
    }
    if (response->error_code != 0) {
        classic_failed(model, client, err_from_wire(response->error_code));
        return;
    }
    assignment_read(&model->f, response->assignment, client->given);
    assignment_take(client);
}

static void classic_sync(struct model *model, struct client *client)
{
    struct fixture *f = &model->f;
    struct sync_group_request *request = sync_group_request_array(&f->arena, 1);

    request->group_id = text("g");
    request->generation_id = client->epoch;
    request->member_id = text(client->id);
    if (client->joined && client->joined->members_count > 0)
        assignments_make(model, client->joined, request);
    client->joined = NULL;
    client->token = fixture_send(f, API_SYNC_GROUP, 5, request);
    classic_synced(model, client);
}

static void classic_beat(struct model *model, struct client *client)
{
    struct heartbeat_request request;
    struct heartbeat_response *response;

    heartbeat_request_init(&request);
    request.group_id = text("g");
    request.member_id = text(client->id);
    request.generation_id = client->epoch;
    response = fixture_reply(&model->f, fixture_send(&model->f, API_HEARTBEAT, 4, &request));
    if (response && response->error_code != 0)
        classic_failed(model, client, err_from_wire(response->error_code));
}

static void classic_step(struct model *model, struct client *client)
{
    switch (client->phase) {
    case JOINING:
        classic_join(model, client);
        break;
    case WAITING:
        classic_answered(model, client);
        break;
    case SYNCING:
        if (client->joined)
            classic_sync(model, client);
        else
            classic_synced(model, client);
        break;
    case REVOKING:
        memcpy(client->owns, client->given, sizeof client->owns);
        client->phase = JOINING;
        break;
    case MEMBER:
        classic_beat(model, client);
        break;
    case AWAY:
        break;
    }
}

/* ---- the world ---- */

static void client_step(struct model *model, struct client *client)
{
    client->beat_ms = model->f.moment.now_ms;
    if (client->is_classic)
        classic_step(model, client);
    else
        consumer_step(model, client);
}

/* Some classic client is on its way to another generation. */
static bool rebalances(const struct model *model)
{
    for (int i = 0; i < CLIENTS; i++)
        if (model->clients[i].is_classic &&
            (model->clients[i].phase == SYNCING || model->clients[i].phase == REVOKING))
            return true;
    return false;
}

static void client_turn(struct model *model, struct client *client, bool may_change)
{
    if (client->phase == AWAY) {
        if (!may_change || below(model, rebalances(model) ? 2 : 4) != 0)
            return;
        client->is_classic = !model->modern_come || below(model, 2) == 0;
        client->phase = JOINING;
        client->joined = NULL;
        client->epoch = -1;
        client->tell_all = false;
        (void)snprintf(client->id, sizeof client->id, "m%u", model->next_id++);
        if (client->is_classic)
            client->id[0] = '\0';
    } else if (may_change && below(model, client->is_classic || model->modern_come ? 30 : 3) == 0) {
        drop(client);
        if (client->phase == MEMBER && below(model, 3) != 0 && !model->f.hold_commits) {
            model->f.refuse = OK;
            if (client->is_classic)
                (void)leave(&model->f, "g", client->id, NULL);
            else
                (void)beat_send(&model->f, (struct beat){.member = client->id, .epoch = -1});
        }
        client->phase = AWAY;
        return;
    }
    client_step(model, client);
}

static void look(struct model *model)
{
    bool is_consumer = the_group(&model->f, "g") != NULL;
    struct group *group = group_find(model->f.coordinator, text("g"));

    owners_check(model);
    assert_int_equal(model->f.failure, OK);
    if (!group)
        return;
    model->upgrades += is_consumer && !model->was_consumer;
    model->downgrades += !is_consumer && model->was_consumer;
    model->was_consumer = is_consumer;
}

/* Who waits asks again; a cooperative client keeps what it has. */
static void fail_over(struct model *model)
{
    fixture_load(&model->f);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &model->clients[i];

        if (client->is_classic && (client->phase == WAITING || client->phase == SYNCING))
            client->phase = JOINING;
    }
}

static void disturb(struct model *model)
{
    struct fixture *f = &model->f;

    if (f->hold_commits ? below(model, 3) == 0 : below(model, 20) == 0) {
        f->hold_commits = !f->hold_commits;
        if (!f->hold_commits)
            fixture_commit(f);
    }
    if (below(model, 50) == 0)
        f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    if (below(model, 150) == 0 && !f->hold_commits)
        fail_over(model);
}

static void settle_down(struct model *model)
{
    int running = 0;

    model->f.refuse = OK;
    model->f.hold_commits = false;
    fixture_commit(&model->f);

    for (int round = 0; round < 120; round++) {
        for (int i = 0; i < CLIENTS; i++)
            client_turn(model, &model->clients[i], false);
        fixture_advance(&model->f, 1500);
        look(model);
    }
    for (int i = 0; i < CLIENTS; i++) {
        running += model->clients[i].phase != AWAY;
        if (model->clients[i].phase != AWAY)
            assert_int_equal(model->clients[i].phase, MEMBER);
    }
    for (int j = 0; running > 0 && j < PLACES; j++) {
        bool owned = false;

        for (int i = 0; i < CLIENTS; i++)
            owned = owned || model->clients[i].owns[j];
        if (owned != place_exists(j))
            fail_msg("partition %d:%d owned %d", j / 8 + 1, j % 8, owned);
    }
}

static void run(uint64_t seed, int *upgrades, int *downgrades)
{
    struct model *model = calloc(1, sizeof *model);

    consumer_start(&model->f);
    random_init(&model->random, seed);
    model->is_cooperative = seed % 2 == 0;
    for (int step = 0; step < 600; step++) {
        if (below(model, model->modern_come || rebalances(model) ? 40 : 120) == 0)
            model->modern_come = !model->modern_come;
        disturb(model);
        client_turn(model, &model->clients[below(model, CLIENTS)], true);
        for (int i = 0; i < CLIENTS; i++)
            if (model->clients[i].phase != AWAY &&
                model->f.moment.now_ms - model->clients[i].beat_ms > 10000)
                client_step(model, &model->clients[i]);
        if (below(model, 2) == 0)
            fixture_advance(&model->f, (int64_t)below(model, 1500));
        look(model);
        if (step % 20 == 0)
            consumer_check(&model->f);
    }
    settle_down(model);
    consumer_check(&model->f);
    *upgrades += model->upgrades;
    *downgrades += model->downgrades;
    fixture_end(&model->f);
    free(model);
}

static void members_of_both_protocols_share_a_group_and_never_a_partition(void **state)
{
    const char *given_seed = getenv("CONSUMER_SEED"), *given_count = getenv("CONSUMER_COUNT");
    uint64_t first = given_seed ? strtoull(given_seed, NULL, 10) : 1;
    uint64_t count = given_count ? strtoull(given_count, NULL, 10) : given_seed ? 1 : 150;
    int upgrades = 0, downgrades = 0;

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("CONSUMER_SEED=%llu\n", (unsigned long long)seed);
        run(seed, &upgrades, &downgrades);
    }
    print_message("%d upgrades, %d downgrades\n", upgrades, downgrades);
    assert_true(given_seed || (upgrades > 0 && downgrades > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_both_protocols_share_a_group_and_never_a_partition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
