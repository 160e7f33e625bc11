/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random members against the coordinator: they join, change their minds, lose replies, restart, go silent; topics grow;
 * writes are refused; the coordinator is loaded again. Always: no partition is in two clients' hands, the log says
 * what the coordinator has, the indexes agree. And when nothing more happens, everybody gets what the group shall have.
 */
#include "consumer_support.h"

#define CLIENTS 8
#define PARTITIONS_MAX 64 /* places: topic * 8 + partition */

struct client {
    char id[8], instance[8];
    bool running, is_static;
    bool owns[PARTITIONS_MAX];
    const char *topics, *regex;
    int32_t epoch;
    bool must_join;
    int64_t beat_ms;    /* of the last heartbeat: a living client does not miss its session */
    bool must_tell_all; /* a reply was lost: the next request is a full one */
};

struct model {
    struct fixture f;
    struct random random;
    struct client clients[CLIENTS];
    uint32_t next_id;
};

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)random_below(&model->random, bound);
}

static void client_fresh(struct model *model, struct client *client)
{
    static const char *const topics[] = {"t1,t2", "t2", "t3,t4,t5", "t1,t2,t3,t4,t5,t6", "", "t6"};
    bool is_static = client->is_static;

    memset(client->owns, 0, sizeof client->owns);
    (void)snprintf(client->id, sizeof client->id, "m%u", model->next_id++ % 100000);
    client->epoch = 0;
    client->must_join = true;
    client->topics = topics[below(model, ARRAY_COUNT(topics))];
    client->regex = below(model, 5) == 0 ? (below(model, 2) ? "foo.*" : "t[1-3]") : NULL;
    client->is_static = is_static;
}

static void client_take(struct client *client,
                        const struct consumer_group_heartbeat_response *response)
{
    if (!response->assignment)
        return;
    memset(client->owns, 0, sizeof client->owns);
    for (int32_t i = 0; i < response->assignment->topic_partitions_count; i++) {
        const struct consumer_group_heartbeat_response_topic_partitions *topic =
            &response->assignment->topic_partitions[i];

        for (int32_t j = 0; j < topic->partitions_count; j++)
            client->owns[(topic->topic_id.bytes[15] - 1) * 8 + topic->partitions[j]] = true;
    }
}

/* Clients that still run in an epoch that holds. */
static void owners_check(struct model *model)
{
    int owner[PARTITIONS_MAX];

    memset(owner, -1, sizeof owner);
    for (int i = 0; i < CLIENTS; i++) {
        const struct client *client = &model->clients[i];

        for (int j = 0; j < PARTITIONS_MAX; j++) {
            if (!client->owns[j])
                continue;
            if (owner[j] >= 0)
                fail_msg("partition %d:%d belongs to %s and %s", j / 8 + 1, j % 8,
                         model->clients[owner[j]].id, client->id);
            owner[j] = i;
        }
    }
}

static void client_beat(struct model *model, struct client *client)
{
    struct fixture *f = &model->f;
    struct beat beat = {.member = client->id,
                        .instance = client->is_static ? client->instance : NULL,
                        .epoch = client->must_join ? 0 : client->epoch};
    bool is_full = client->must_join || client->must_tell_all || below(model, 4) == 0;
    struct consumer_group_heartbeat_response *response;
    uint64_t token;

    if (is_full) {
        beat.rebalance_ms = 60000;
        beat.topics = client->topics;
        beat.regex = client->regex ? client->regex : "";
    }
    client->beat_ms = f->moment.now_ms;
    beat.owned = client->must_join ? "" : owned_text(&model->f, client->owns, PARTITIONS_MAX / 8);
    if (below(model, 20) == 0)
        f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = beat_send(f, beat);
    f->refuse = OK;
    response = fixture_reply(f, token);
    client->must_tell_all = !response || below(model, 10) == 0; /* refused, or the reply was lost */
    if (client->must_tell_all)
        return;
    if (response->error_code == 0) {
        client->epoch = response->member_epoch;
        client->must_join = false;
        client_take(client, response);
        return;
    }
    switch (err_from_wire(response->error_code)) {
    case ERR_FENCED_MEMBER_EPOCH:
    case ERR_UNKNOWN_MEMBER_ID:
    case ERR_GROUP_ID_NOT_FOUND:
        memset(client->owns, 0, sizeof client->owns);
        client->must_join = true;
        break;
    case ERR_UNRELEASED_INSTANCE_ID:
    case ERR_FENCED_INSTANCE_ID:
        memset(client->owns, 0, sizeof client->owns);
        client->running = false;
        break;
    default:
        fail_msg("%s", err_name(err_from_wire(response->error_code)));
    }
}

static void client_leave(struct model *model, struct client *client)
{
    int32_t epoch = client->is_static && below(model, 2) ? -2 : -1;

    memset(client->owns, 0, sizeof client->owns); /* a client stops before it says so */
    client->running = false;
    if (client->must_join)
        return;
    (void)beat_send(&model->f,
                    (struct beat){.member = client->id,
                                  .instance = client->is_static ? client->instance : NULL,
                                  .epoch = epoch});
}

static void client_step(struct model *model, struct client *client)
{
    if (!client->running) {
        if (below(model, 3) == 0) {
            client->running = true;
            client_fresh(model, client);
        }
        return;
    }
    switch (below(model, 40)) {
    case 0:
        client_leave(model, client);
        break;
    case 1: /* dies: what it had is free when its session is over */
        client->running = false;
        memset(client->owns, 0, sizeof client->owns);
        break;
    case 2: {
        struct client fresh = *client;

        client_fresh(model, &fresh); /* another subscription, told with the next full request */
        client->topics = fresh.topics;
        client->regex = fresh.regex;
        break;
    }
    case 3: /* loses its head */
        memset(client->owns, 0, sizeof client->owns);
        client->must_join = true;
        break;
    default:
        client_beat(model, client);
        break;
    }
}

static void world_step(struct model *model)
{
    struct fixture *f = &model->f;

    if (below(model, 3) == 0)
        fixture_tasks_run(f);
    if (below(model, 60) == 0)
        fixture_load(f);
    if (below(model, 2) == 0) /* clients heartbeat far more often than this lets sessions end */
        fixture_advance(f, (int64_t)below(model, 1500));
}

/* Nobody comes or goes: soon all have what they shall have, and all partitions subscribed to are had. */
static void settle_down(struct model *model)
{
    struct consumer_group *group;

    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < CLIENTS; i++)
            if (model->clients[i].running)
                client_beat(model, &model->clients[i]);
        fixture_tasks_run(&model->f);
        fixture_advance(&model->f, 3000);
        owners_check(model);
    }
    group = the_group(&model->f, "g");
    if (!group || group->member_count == 0)
        return;
    assert_string_equal(consumer_group_state(group), "Stable");
    CONSUMER_MEMBERS_EACH(member, group)
    assert_true(assignment_equal(&member->assigned.is, &member->target.is));
}

static void run(uint64_t seed)
{
    struct model *model = calloc(1, sizeof *model);

    consumer_start(&model->f);
    model->f.options.consumer_assignment_interval_ms = seed % 3 == 0 ? 1000 : 0;
    fixture_load(&model->f);
    random_init(&model->random, seed);
    for (int i = 0; i < CLIENTS; i++) {
        (void)snprintf(model->clients[i].instance, sizeof model->clients[i].instance, "i%d", i);
        model->clients[i].is_static = i % 3 == 0;
    }
    for (int step = 0; step < 300; step++) {
        client_step(model, &model->clients[below(model, CLIENTS)]);
        for (int i = 0; i < CLIENTS; i++)
            if (model->clients[i].running &&
                model->f.moment.now_ms - model->clients[i].beat_ms > 15000)
                client_beat(model, &model->clients[i]);
        assert_int_equal(model->f.failure, OK);
        world_step(model);
        owners_check(model);
        if (step % 20 == 0)
            consumer_check(&model->f);
    }
    settle_down(model);
    consumer_check(&model->f);
    fixture_end(&model->f);
    free(model);
}

static void no_partition_has_two_owners_and_all_settles_down(void **state)
{
    const char *given_seed = getenv("CONSUMER_SEED");
    uint64_t first = given_seed ? strtoull(given_seed, NULL, 10) : 1;
    const char *given_count = getenv("CONSUMER_COUNT");
    uint64_t count = given_count ? strtoull(given_count, NULL, 10) : given_seed ? 1 : 60;

    (void)state;
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("CONSUMER_SEED=%llu\n", (unsigned long long)seed);
        run(seed);
    }
}

/* A log of which one record was changed at random: replay says what is wrong, or goes on; it never breaks. */
static void broken_records_are_errors_and_nothing_worse(void **state)
{
    struct model *model = calloc(1, sizeof *model);
    struct fixture *f = &model->f;

    (void)state;
    consumer_start(f);
    random_init(&model->random, 7);
    for (int i = 0; i < CLIENTS; i++) {
        (void)snprintf(model->clients[i].instance, sizeof model->clients[i].instance, "i%d", i);
        model->clients[i].is_static = i % 2 == 0;
    }
    for (int step = 0; step < 60; step++) {
        client_step(model, &model->clients[below(model, CLIENTS)]);
        world_step(model);
    }
    for (int round = 0; round < 4000; round++) {
        struct group_coordinator *loaded = NULL;
        size_t broken = below(model, (uint32_t)f->log_count);

        assert_int_equal(group_coordinator_create(&heap_allocator, &f->options, NULL, &loaded), OK);
        for (size_t i = 0; i < f->log_count; i++) {
            struct coordinator_record record = f->log[i].record;
            struct why why = {{0}};
            uint8_t bytes[1024];

            if (i == broken && record.value.size_bytes > 0 && record.value.size_bytes <= 1024) {
                memcpy(bytes, record.value.data, record.value.size_bytes);
                bytes[below(model, (uint32_t)record.value.size_bytes)] ^=
                    (uint8_t)(1u << below(model, 8));
                record.value = slice_of(bytes, record.value.size_bytes - below(model, 2));
            }
            if (group_coordinator_replay(loaded, &record, (int64_t)i, -1, 0, &why) != OK)
                break;
        }
        group_coordinator_release(&loaded);
    }
    fixture_end(f);
    free(model);
}

/* Memory runs out at each allocation in turn: the call fails with that, and nothing leaks or breaks. */
static void out_of_memory_is_an_error_at_every_allocation(void **state)
{
    static const char *const topics[] = {"t2", NULL};
    bool done = false;

    (void)state;
    for (int64_t fail_at = 0; !done; fail_at++) {
        struct allocator_failing failing;
        struct fixture *f = calloc(1, sizeof *f);

        consumer_start(f);
        group_coordinator_release(&f->coordinator);
        allocator_failing_init(&failing, &heap_allocator, fail_at, true);
        f->allocator = &failing.base;
        fixture_load(f);
        if (f->failure == OK) {
            (void)beat_send(f, (struct beat){.member = "a", .instance = "i", .topics = "t1,t2"});
            (void)beat_send(f, (struct beat){.member = "b", .topics = "t2", .regex = "foo.*"});
            (void)beat_send(
                f, (struct beat){.member = "a", .instance = "i", .epoch = 2, .owned = "2:0"});
            (void)beat_send(f, (struct beat){.member = "a", .instance = "i", .epoch = -2});
            (void)beat_send(f, (struct beat){.member = "c", .instance = "i", .topics = "t3"});
            if (f->failure == OK)
                fixture_tasks_run(f);
            (void)beat_send(f, (struct beat){.member = "b", .epoch = -1});
            /* A classic member joins and is left alone: the group becomes a classic one, and back. */
            (void)send_join(f, (struct join){.member = "d", .topics = topics});
            (void)send_join(f, (struct join){.instance = "i", .topics = topics});
            (void)send_sync(f, (struct sync){.member = "d", .generation = 7});
            if (f->failure == OK)
                (void)beat_send(f, (struct beat){.member = "e", .topics = "t2"});
        }
        done = f->failure == OK;
        if (!done)
            assert_int_equal(f->failure, ERR_NO_MEMORY);
        failing.fail_at = -1;
        failing.fail_for_ever = false;
        fixture_end(f);
        assert_int_equal(failing.bytes_in_use, 0);
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_partition_has_two_owners_and_all_settles_down),
        cmocka_unit_test(broken_records_are_errors_and_nothing_worse),
        cmocka_unit_test(out_of_memory_is_an_error_at_every_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
