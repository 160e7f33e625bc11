/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random members of both protocols in one group, which goes from classic to consumer and back as they come and go. Classic
 * clients are eager: told to rejoin, they give up everything first. Always: no partition is in two clients' hands, and
 * the log says what the coordinator has.
 */
#include "consumer_support.h"

#include "protocol/generated/messages.h"

#define CLIENTS 6
#define PLACES 64

enum phase { AWAY, JOINING, WAITING, SYNCING, MEMBER };

struct client {
    bool is_classic;
    enum phase phase;
    char id[64];
    int32_t epoch;
    bool tell_all;
    bool owns[PLACES];
    uint64_t token;
    struct join_group_response *joined;
    int64_t beat_ms;
};

struct model {
    struct fixture f;
    struct random random;
    struct client clients[CLIENTS];
    uint32_t next_id;
    int upgrades, downgrades;
    bool was_consumer;
};

static const char *const subscription[] = {"t2", "t4", NULL};

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)random_below(&model->random, bound);
}

static void drop(struct client *client)
{
    memset(client->owns, 0, sizeof client->owns);
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

static void classic_failed(struct client *client, int16_t code)
{
    drop(client);
    client->phase = JOINING;
    if (code != err_wire_code(ERR_REBALANCE_IN_PROGRESS))
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

static void classic_join(struct model *model, struct client *client)
{
    client->token =
        send_join(&model->f,
                  (struct join){.member = client->id, .topics = subscription, .session_ms = 45000});
    client->phase = WAITING;
    classic_answered(model, client);
}

/* Round robin, as the leader of a classic group would. */
static void assignments_make(struct model *model, const struct join_group_response *joined,
                             struct sync_group_request *request)
{
    struct fixture *f = &model->f;
    int32_t count = joined->members_count;

    request->assignments =
        sync_group_request_sync_group_request_assignment_array(&f->arena, (size_t)count);
    request->assignments_count = count;
    for (int32_t i = 0; i < count; i++) {
        uint8_t *buffer = arena_allocate(&f->arena, 256);
        struct writer writer;

        writer_init_fixed(&writer, buffer, 256);
        writer_i16(&writer, 1);
        writer_i32(&writer, 2);
        for (int32_t partitions = 2; partitions <= 4; partitions += 2) {
            char name[3] = {'t', (char)('0' + partitions), 0};
            int32_t mine = 0;

            for (int32_t p = 0; p < partitions; p++)
                mine += p % count == i;
            writer_i16(&writer, 2);
            writer_bytes(&writer, name, 2);
            writer_i32(&writer, mine);
            for (int32_t p = 0; p < partitions; p++)
                if (p % count == i)
                    writer_i32(&writer, p);
        }
        writer_i32(&writer, -1);
        request->assignments[i].member_id = joined->members[i].member_id;
        request->assignments[i].assignment = writer_slice(&writer);
    }
}

static void assignment_take(struct fixture *f, struct client *client, struct slice bytes)
{
    struct consumer_protocol_assignment assignment;
    struct cursor cursor = cursor_of(bytes);
    int16_t version;

    if (bytes.size_bytes == 0)
        return;
    assert_int_equal(cursor_i16(&cursor, &version), OK);
    message_init(&consumer_protocol_assignment_type, &assignment);
    assert_int_equal(message_decode(&consumer_protocol_assignment_type, version, &cursor, &f->arena,
                                    &assignment),
                     OK);
    for (int32_t i = 0; i < assignment.assigned_partitions_count; i++)
        for (int32_t j = 0; j < assignment.assigned_partitions[i].partitions_count; j++)
            client->owns[(assignment.assigned_partitions[i].topic.data[1] - '1') * 8 +
                         assignment.assigned_partitions[i].partitions[j]] = true;
}

static void classic_synced(struct model *model, struct client *client)
{
    struct sync_group_response *response = fixture_reply(&model->f, client->token);

    if (!response) {
        if (fixture_failure(&model->f, client->token) != OK)
            classic_failed(client, err_wire_code(ERR_REBALANCE_IN_PROGRESS));
        return;
    }
    if (response->error_code != 0) {
        classic_failed(client, response->error_code);
        return;
    }
    client->phase = MEMBER;
    assignment_take(&model->f, client, response->assignment);
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
    case MEMBER: {
        int16_t code = heartbeat(&model->f, "g", client->id, client->epoch);

        if (code != 0)
            classic_failed(client, code);
        break;
    }
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

static void client_turn(struct model *model, struct client *client, bool may_change)
{
    if (client->phase == AWAY) {
        if (!may_change || below(model, 4) != 0)
            return;
        client->is_classic = below(model, 2) == 0;
        client->phase = JOINING;
        client->joined = NULL;
        client->tell_all = false;
        (void)snprintf(client->id, sizeof client->id, "m%u", model->next_id++);
        if (client->is_classic)
            client->id[0] = '\0';
    } else if (may_change && below(model, 25) == 0) {
        drop(client);
        if (client->phase == MEMBER && below(model, 3) != 0) {
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

static void settle_down(struct model *model)
{
    int running = 0;

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
        bool exists = (j / 8 == 1 && j % 8 < 2) || (j / 8 == 3 && j % 8 < 4), owned = false;

        for (int i = 0; i < CLIENTS; i++)
            owned = owned || model->clients[i].owns[j];
        if (owned != exists)
            fail_msg("partition %d:%d owned %d", j / 8 + 1, j % 8, owned);
    }
}

static void run(uint64_t seed, int *upgrades, int *downgrades)
{
    struct model *model = calloc(1, sizeof *model);

    consumer_start(&model->f);
    random_init(&model->random, seed);
    for (int step = 0; step < 300; step++) {
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
    uint64_t count = given_count ? strtoull(given_count, NULL, 10) : given_seed ? 1 : 60;
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
