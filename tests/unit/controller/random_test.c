/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations, time and failovers. After every step the controller, a loader that reads its
 * records as bytes and a state made from a snapshot agree (support.c); here, what must hold of every
 * partition at any time.
 */
#include "support.h"

#include "base/fmt.h"

#define BROKERS 6
#define TOPICS 12

struct world {
    struct fixture fixture;
    struct random random;
};

static uint64_t test_seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261124;

    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static int32_t below(struct world *world, int32_t bound)
{
    return (int32_t)random_below(&world->random, (uint64_t)bound);
}

static bool has(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static void partition_check(const struct metadata_image *image,
                            const struct metadata_partition *partition)
{
    const struct metadata_broker *leader = metadata_image_broker(image, partition->leader);

    assert_true(partition->replica_count > 0);
    for (size_t i = 0; i < partition->replica_count; i++)
        assert_false(has(partition->replicas, i, partition->replicas[i]));
    for (size_t i = 0; i < partition->isr_count; i++) {
        assert_true(has(partition->replicas, partition->replica_count, partition->isr[i]));
        assert_false(has(partition->isr, i, partition->isr[i]));
    }
    for (size_t i = 0; i < partition->elr_count; i++) {
        assert_true(has(partition->replicas, partition->replica_count, partition->elr[i]));
        assert_false(has(partition->isr, partition->isr_count, partition->elr[i]));
    }
    if (partition->leader == -1)
        return;
    assert_true(has(partition->isr, partition->isr_count, partition->leader));
    assert_non_null(leader);
    assert_false(leader->fenced);
    assert_false(leader->in_controlled_shutdown);
    if (partition->recovering)
        assert_int_equal(partition->isr_count, 1);
}

static void world_check(struct world *world)
{
    const struct metadata_image *image = controller_view(world->fixture.controller);
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    metadata_walk_start(&walk, image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk))) {
        for (int32_t i = 0; i < topic->partition_count; i++)
            partition_check(image, metadata_topic_partition(topic, i));
    }
}

static const char *topic_name(struct world *world)
{
    char *name = arena_allocate(&world->fixture.arena, 8);

    fmt(name, 8, "t%d", below(world, TOPICS));
    return name;
}

/* A list of distinct brokers, some of which may not exist. */
static int32_t brokers_pick(struct world *world, int32_t *out, int32_t most)
{
    int32_t count = 0;

    for (int32_t i = 0; i < most; i++) {
        int32_t id = below(world, BROKERS + 1);

        if (!has(out, (size_t)count, id))
            out[count++] = id;
    }
    return count;
}

static void do_broker(struct world *world)
{
    int32_t id = below(world, BROKERS);

    switch (below(world, 8)) {
    case 0:
        world->fixture.from_this_process = true;
        fixture_register(&world->fixture, id, id % 2 ? "x" : "y", 1 + id % 2);
        world->fixture.from_this_process = false;
        break;
    case 1:
        fixture_heartbeat(&world->fixture, id, true, false);
        break;
    case 2:
        fixture_heartbeat(&world->fixture, id, false, true);
        break;
    default:
        fixture_heartbeat(&world->fixture, id, false, false);
        break;
    }
}

static void do_create(struct world *world)
{
    fixture_create(&world->fixture, topic_name(world), 1 + below(world, 4),
                   (int16_t)(1 + below(world, 4)));
}

static void do_delete(struct world *world)
{
    struct delete_topics_request_delete_topic_state topic = {
        .name = slice_from_text(topic_name(world))};
    struct delete_topics_request request = {.topics = &topic, .topics_count = 1};

    fixture_call(&world->fixture, API_DELETE_TOPICS, &request);
}

static void do_grow(struct world *world)
{
    struct create_partitions_request_create_partitions_topic topic = {
        .name = slice_from_text(topic_name(world)),
        .count = 1 + below(world, 6),
        .assignments_count = -1};
    struct create_partitions_request request = {.topics = &topic, .topics_count = 1};

    fixture_call(&world->fixture, API_CREATE_PARTITIONS, &request);
}

/* Mostly what a leader would ask for, at times nonsense. */
static void do_alter(struct world *world)
{
    const struct metadata_topic *topic = fixture_topic(&world->fixture, topic_name(world));
    const struct metadata_partition *partition;
    struct alter_partition_request_broker_state members[8];
    struct alter_partition_request_partition_data data = {.new_isr_with_epochs = members};
    struct alter_partition_request_topic_data asked = {.partitions = &data, .partitions_count = 1};
    struct alter_partition_request request = {.topics = &asked, .topics_count = 1};
    int32_t index = topic ? below(world, topic->partition_count) : 0;

    partition = topic ? metadata_topic_partition(topic, index) : NULL;
    if (!partition || partition->leader < 0)
        return;
    asked.topic_id = topic->id;
    data.partition_index = index;
    data.leader_epoch = partition->leader_epoch - (below(world, 20) == 0);
    data.partition_epoch = partition->partition_epoch - (below(world, 20) == 0);
    request.broker_id = partition->leader;
    request.broker_epoch = world->fixture.epochs[partition->leader];
    for (size_t i = 0; i < partition->replica_count; i++) {
        int32_t id = partition->replicas[i];

        if (id == partition->leader || below(world, 4) > 0) {
            members[data.new_isr_with_epochs_count].broker_id = id;
            members[data.new_isr_with_epochs_count++].broker_epoch = world->fixture.epochs[id];
        }
    }
    fixture_call(&world->fixture, API_ALTER_PARTITION, &request);
}

static void do_reassign(struct world *world)
{
    int32_t replicas[5];
    struct alter_partition_reassignments_request_reassignable_partition partition = {
        .partition_index = below(world, 3), .replicas = replicas};
    struct alter_partition_reassignments_request_reassignable_topic topic = {
        .name = slice_from_text(topic_name(world)),
        .partitions = &partition,
        .partitions_count = 1};
    struct alter_partition_reassignments_request request = {.allow_replication_factor_change =
                                                                below(world, 2) == 0,
                                                            .topics = &topic,
                                                            .topics_count = 1};

    partition.replicas_count = below(world, 5) == 0 ? -1 : brokers_pick(world, replicas, 5);
    fixture_call(&world->fixture, API_ALTER_PARTITION_REASSIGNMENTS, &request);
}

static void do_elect(struct world *world)
{
    struct elect_leaders_request request = {.election_type = (int8_t)below(world, 2),
                                            .topic_partitions_count = -1};

    fixture_call(&world->fixture, API_ELECT_LEADERS, &request);
}

static void do_config(struct world *world)
{
    static const char *const values[][2] = {{"min.insync.replicas", "2"},
                                            {"min.insync.replicas", "1"},
                                            {"unclean.leader.election.enable", "true"},
                                            {"unclean.leader.election.enable", "false"},
                                            {"retention.ms", "1000"},
                                            {"retention.ms", NULL}};
    int32_t at = below(world, (int32_t)ARRAY_COUNT(values));
    struct incremental_alter_configs_request_alterable_config config = {
        .name = slice_from_text(values[at][0]),
        .config_operation = values[at][1] ? 0 : 1,
        .value = slice_from_text(values[at][1])};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = 2,
        .resource_name = slice_from_text(topic_name(world)),
        .configs = &config,
        .configs_count = 1};
    struct incremental_alter_configs_request request = {.resources = &resource,
                                                        .resources_count = 1};

    fixture_call(&world->fixture, API_INCREMENTAL_ALTER_CONFIGS, &request);
}

static void do_directories(struct world *world)
{
    const struct metadata_topic *topic = fixture_topic(&world->fixture, topic_name(world));
    int32_t id = below(world, BROKERS);
    struct assign_replicas_to_dirs_request_partition_data partition = {0};
    struct assign_replicas_to_dirs_request_topic_data asked = {.partitions = &partition,
                                                               .partitions_count = 1};
    struct assign_replicas_to_dirs_request_directory_data directory = {
        .id = fixture_directory(id, below(world, 3)), .topics = &asked, .topics_count = 1};
    struct assign_replicas_to_dirs_request request = {.broker_id = id,
                                                      .broker_epoch = world->fixture.epochs[id],
                                                      .directories = &directory,
                                                      .directories_count = 1};

    if (!topic)
        return;
    asked.topic_id = topic->id;
    fixture_call(&world->fixture, API_ASSIGN_REPLICAS_TO_DIRS, &request);
}

static void do_unregister(struct world *world)
{
    struct unregister_broker_request request = {.broker_id = below(world, BROKERS)};

    if (below(world, 4) == 0)
        fixture_call(&world->fixture, API_UNREGISTER_BROKER, &request);
}

static void step(struct world *world)
{
    switch (below(world, 24)) {
    case 0:
    case 1:
        do_create(world);
        break;
    case 2:
        do_delete(world);
        break;
    case 3:
        do_grow(world);
        break;
    case 4:
    case 5:
        do_reassign(world);
        break;
    case 6:
        do_elect(world);
        break;
    case 7:
        do_config(world);
        break;
    case 8:
        do_directories(world);
        break;
    case 9:
        do_unregister(world);
        break;
    case 10:
        fixture_wait(&world->fixture, below(world, 4000));
        break;
    case 11:
        if (below(world, 8) == 0)
            fixture_fail_over(&world->fixture);
        break;
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
        do_alter(world);
        break;
    default:
        do_broker(world);
        break;
    }
}

static void run(int16_t metadata_version, uint64_t seed)
{
    struct world world;

    fixture_start(&world.fixture, metadata_version);
    random_init(&world.random, seed);
    for (int32_t id = 0; id < BROKERS; id++)
        fixture_register(&world.fixture, id, id % 2 ? "x" : "y", 1 + id % 2);
    for (int i = 0; i < 3000; i++) {
        step(&world);
        world_check(&world);
        if (world.fixture.arena.used_bytes > 64 * MIB)
            arena_reset(&world.fixture.arena);
    }
    fixture_end(&world.fixture);
}

static void partitions_keep_their_promises_with_elr(void **state)
{
    (void)state;
    run(METADATA_VERSION_LATEST, test_seed());
}

static void partitions_keep_their_promises_without_elr(void **state)
{
    (void)state;
    run(METADATA_VERSION_DIRECTORIES, test_seed() + 1);
}

static void partitions_keep_their_promises_at_the_lowest_level(void **state)
{
    (void)state;
    run(METADATA_VERSION_3_3_IV3, test_seed() + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_keep_their_promises_with_elr),
        cmocka_unit_test(partitions_keep_their_promises_without_elr),
        cmocka_unit_test(partitions_keep_their_promises_at_the_lowest_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
