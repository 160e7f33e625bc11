/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AlterPartition, elections, eligible leader replicas, reassignments, directories of replicas.
 */
#include "support.h"

/* ---- AlterPartition ---- */

struct isr_change {
    int32_t broker; /* who asks */
    int32_t leader_epoch, partition_epoch;
    int32_t isr[4]; /* -1 ends */
    int8_t recovery;
    int64_t wrong_epoch_of; /* broker whose epoch is given wrongly; -1: none */
};

static int16_t alter(struct fixture *fixture, const char *name, int32_t index,
                     const struct isr_change *change)
{
    struct alter_partition_request_broker_state members[4];
    struct alter_partition_request_partition_data partition = {
        .partition_index = index,
        .leader_epoch = change->leader_epoch,
        .partition_epoch = change->partition_epoch,
        .leader_recovery_state = change->recovery,
        .new_isr_with_epochs = members};
    struct alter_partition_request_topic_data topic = {.partitions = &partition,
                                                       .partitions_count = 1};
    struct alter_partition_request request = {.broker_id = change->broker,
                                              .broker_epoch = fixture->epochs[change->broker],
                                              .topics = &topic,
                                              .topics_count = 1};
    const struct alter_partition_response *response;

    if (fixture_topic(fixture, name))
        topic.topic_id = fixture_topic(fixture, name)->id;
    for (int32_t i = 0; i < 4 && change->isr[i] >= 0; i++) {
        members[i].broker_id = change->isr[i];
        members[i].broker_epoch =
            change->isr[i] < BROKERS_MAX ? fixture->epochs[change->isr[i]] : -1;
        if (change->isr[i] == change->wrong_epoch_of)
            members[i].broker_epoch++;
        partition.new_isr_with_epochs_count++;
    }
    response = fixture_call(fixture, API_ALTER_PARTITION, &request);
    assert_non_null(response);
    return response->topics[0].partitions[0].error_code;
}

/* By the leader, with the epochs of now. */
static int16_t alter_now(struct fixture *fixture, const char *name, const int32_t *isr,
                         int32_t count)
{
    const struct metadata_partition *partition = fixture_partition(fixture, name, 0);
    struct isr_change change = {.broker = partition->leader,
                                .leader_epoch = partition->leader_epoch,
                                .partition_epoch = partition->partition_epoch,
                                .isr = {-1, -1, -1, -1},
                                .wrong_epoch_of = -1};

    memcpy(change.isr, isr, (size_t)count * sizeof *isr);
    return alter(fixture, name, 0, &change);
}

static void an_isr_change_is_checked_in_kafkas_order(void **state)
{
    static const struct {
        const char *topic;
        int32_t index;
        struct isr_change change;
        int16_t code;
    } cases[] = {
        {"none", 0, {0, 1, 2, {0, -1}, 0, -1}, 100},
        {"a", 7, {0, 1, 2, {0, -1}, 0, -1}, 3},
        {"a", 0, {0, 2, 2, {0, -1}, 0, -1}, 41}, /* knows more than we do */
        {"a", 0, {0, 1, 3, {0, -1}, 0, -1}, 41},
        {"a", 0, {0, 0, 2, {0, -1}, 0, -1}, 74},
        {"a", 0, {1, 1, 2, {0, 1, -1}, 0, -1}, 42}, /* not the leader */
        {"a", 0, {0, 1, 1, {0, -1}, 0, -1}, 95},
        {"a", 0, {0, 1, 2, {-1}, 0, -1}, 42},
        {"a", 0, {0, 1, 2, {0, 0, -1}, 0, -1}, 42},
        {"a", 0, {0, 1, 2, {0, 3, -1}, 0, -1}, 42},  /* no replica */
        {"a", 0, {0, 1, 2, {1, -1}, 0, -1}, 42},     /* without the leader */
        {"a", 0, {0, 1, 2, {0, 1, -1}, 1, -1}, 42},  /* recovering alone */
        {"a", 0, {0, 1, 2, {0, -1}, 1, -1}, 42},     /* recovered stays */
        {"a", 0, {0, 1, 2, {0, 2, -1}, 0, -1}, 107}, /* fenced */
        {"a", 0, {0, 1, 2, {0, 1, -1}, 0, 1}, 107},  /* another incarnation */
        {"a", 0, {0, 1, 2, {0, -1}, 0, -1}, 0},
    };
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 4);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    fixture_heartbeat(&fixture, 2, true, false); /* fenced: partition epoch 1 */
    fixture_heartbeat(&fixture, 0, true, false); /* leader 1, epoch 1, partition epoch 2 */
    fixture_unfence(&fixture, 0);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){1, 0}, 2), 0);
    {
        struct elect_leaders_request_topic_partitions topic = {
            .topic = SLICE("a"), .partitions = (int32_t[]){0}, .partitions_count = 1};
        struct elect_leaders_request request = {.topic_partitions = &topic,
                                                .topic_partitions_count = 1};

        assert_non_null(fixture_call(&fixture, API_ELECT_LEADERS, &request));
    }
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 1,0");
    assert_int_equal(fixture_partition(&fixture, "a", 0)->partition_epoch, 4);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct isr_change change = cases[i].change;
        int16_t code;

        change.leader_epoch += 1; /* the table counts from 1 and 2, the partition is at 2 and 4 */
        change.partition_epoch += 2;
        code = alter(&fixture, cases[i].topic, cases[i].index, &change);
        if (code != cases[i].code)
            fail_msg("case %zu: %d instead of %d", i, code, cases[i].code);
    }
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 0");
    fixture_end(&fixture);
}

static void a_wrong_broker_epoch_refuses_the_whole_alter_request(void **state)
{
    struct alter_partition_request request = {.broker_id = 0};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    request.broker_epoch = fixture.epochs[0] + 1;
    assert_null(fixture_call(&fixture, API_ALTER_PARTITION, &request));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    fixture_end(&fixture);
}

static void version_two_sends_ids_without_epochs(void **state)
{
    int32_t isr[] = {0};
    struct alter_partition_request_partition_data partition = {.new_isr = isr, .new_isr_count = 1};
    struct alter_partition_request_topic_data topic = {.partitions = &partition,
                                                       .partitions_count = 1};
    struct alter_partition_request request = {.topics = &topic, .topics_count = 1};
    const struct alter_partition_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    request.broker_epoch = fixture.epochs[0];
    topic.topic_id = fixture_topic(&fixture, "a")->id;
    fixture.api_version = 2;
    response = fixture_call(&fixture, API_ALTER_PARTITION, &request);
    assert_int_equal(response->topics[0].partitions[0].error_code, 0);
    assert_int_equal(response->topics[0].partitions[0].partition_epoch, 1);
    assert_int_equal(response->topics[0].partitions[0].isr_count, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0");
    fixture_end(&fixture);
}

static void below_3_6_a_shrinking_isr_moves_the_leader_epoch(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_SCRAM);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){0}, 1), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/1 isr 0");
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){0, 1}, 2), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/1 isr 0,1");
    fixture_end(&fixture);
}

/* ---- ISR and ELR as brokers go and come ---- */

static void without_elr_the_last_member_stays_in_the_isr(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_TRANSACTIONS);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_heartbeat(&fixture, 1, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0");
    fixture_heartbeat(&fixture, 0, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr 0");
    fixture_unfence(&fixture, 1); /* not in the ISR: cannot lead */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr 0");
    fixture_unfence(&fixture, 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 0");
    fixture_end(&fixture);
}

static void with_elr_members_below_the_minimum_stay_eligible(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    fixture_set_config(&fixture, METADATA_RESOURCE_TOPIC, "a", "min.insync.replicas", "2");
    fixture_heartbeat(&fixture, 2, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0,1");
    fixture_heartbeat(&fixture, 1, true, false); /* below two: 1 stays eligible */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0 elr 1");
    fixture_heartbeat(&fixture, 0, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - elr 0,1 known 0");
    fixture_unfence(&fixture, 2); /* had left before: not eligible */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - elr 0,1 known 0");
    fixture_unfence(&fixture, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/2 isr 1 elr 0");
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){1, 2}, 2), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/2 isr 1,2");
    fixture_end(&fixture);
}

static void an_unclean_restart_loses_eligibility(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_set_config(&fixture, METADATA_RESOURCE_TOPIC, "a", "min.insync.replicas", "2");
    fixture_heartbeat(&fixture, 1, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0 elr 1");
    fixture.from_this_process = true;
    fixture_register(&fixture, 1, NULL, 1); /* says nothing of a clean stop */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0");
    /* The leader itself comes back unclean: it is no safe leader, but the last one known. */
    fixture_register(&fixture, 0, NULL, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - known 0");
    fixture_unfence(&fixture, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - known 0");
    fixture_unfence(&fixture, 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 0 recovering");
    fixture_end(&fixture);
}

static void a_clean_restart_keeps_eligibility(void **state)
{
    struct broker_registration_request_feature features[7];
    struct uuid directory = fixture_directory(0, 0);
    struct broker_registration_request request = {.broker_id = 0,
                                                  .cluster_id = SLICE("the-cluster"),
                                                  .incarnation_id = {{9}},
                                                  .features = features,
                                                  .features_count = 7,
                                                  .log_dirs = &directory,
                                                  .log_dirs_count = 1};
    const struct broker_registration_response *response;
    struct fixture fixture;

    (void)state;
    for (size_t i = 0; i < 7; i++)
        features[i] = (struct broker_registration_request_feature){
            slice_from_text(feature_at(i)->name), feature_at(i)->level_min,
            feature_at(i)->level_max};
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture_create_on(&fixture, "a", (int32_t[]){0}, 1);
    fixture_heartbeat(&fixture, 0, false, true);
    fixture_heartbeat(&fixture, 0, false, true);
    request.previous_broker_epoch = fixture.epochs[0];
    fixture.from_this_process = true;
    response = fixture_call(&fixture, API_BROKER_REGISTRATION, &request);
    fixture.epochs[0] = response->broker_epoch;
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr - elr 0 known 0");
    fixture_unfence(&fixture, 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 0");
    fixture_end(&fixture);
}

static void another_minimum_clears_the_eligible_replicas(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_set_config(&fixture, METADATA_RESOURCE_BROKER, "", "min.insync.replicas", "2");
    fixture_heartbeat(&fixture, 1, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0 elr 1");
    fixture_set_config(&fixture, METADATA_RESOURCE_TOPIC, "a", "min.insync.replicas", "1");
    assert_int_equal(fixture.records_written, 2);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0");
    fixture_end(&fixture);
}

/* ---- elections ---- */

static int16_t elect(struct fixture *fixture, int8_t type, const char *name, int32_t index)
{
    int32_t indexes[] = {index};
    struct elect_leaders_request_topic_partitions topic = {
        .topic = slice_from_text(name), .partitions = indexes, .partitions_count = 1};
    struct elect_leaders_request request = {
        .election_type = type, .topic_partitions = &topic, .topic_partitions_count = 1};
    const struct elect_leaders_response *response =
        fixture_call(fixture, API_ELECT_LEADERS, &request);

    assert_non_null(response);
    return response->replica_election_results[0].partition_result[0].error_code;
}

static void elections_are_held_only_where_they_change_something(void **state)
{
    struct elect_leaders_request all = {.topic_partitions_count = -1};
    const struct elect_leaders_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_TRANSACTIONS); /* no ELR */
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_int_equal(elect(&fixture, 0, "none", 0), 3);
    assert_int_equal(elect(&fixture, 0, "a", 1), 3);
    assert_int_equal(elect(&fixture, 0, "a", 0), 84);
    assert_int_equal(elect(&fixture, 1, "a", 0), 84);
    fixture_heartbeat(&fixture, 0, true, false);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1");
    assert_int_equal(elect(&fixture, 0, "a", 0), 80);
    fixture_unfence(&fixture, 0);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){1, 0}, 2), 0);
    response = fixture_call(&fixture, API_ELECT_LEADERS, &all);
    assert_int_equal(response->replica_election_results[0].partition_result_count, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 1,0");
    response = fixture_call(&fixture, API_ELECT_LEADERS, &all);
    assert_int_equal(response->replica_election_results_count, 1);
    assert_int_equal(response->replica_election_results[0].partition_result_count, 0);
    fixture_heartbeat(&fixture, 0, true, false);
    fixture_heartbeat(&fixture, 1, true, false);
    assert_int_equal(elect(&fixture, 1, "a", 0), 83);
    fixture_unfence(&fixture, 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/4 isr 1");
    assert_int_equal(elect(&fixture, 1, "a", 0), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/5 isr 0 recovering");
    all.election_type = 2;
    assert_null(fixture_call(&fixture, API_ELECT_LEADERS, &all));
    assert_int_equal(fixture.err, ERR_INVALID_REQUEST);
    fixture_end(&fixture);
}

/* effect: unclean.leader.election.enable, of the topic or of all brokers */
static void elects_uncleanly(int8_t resource, const char *name)
{
    struct controller_stats stats;
    struct fixture fixture;

    fixture_start(&fixture, METADATA_VERSION_TRANSACTIONS);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_heartbeat(&fixture, 1, true, false);
    fixture_heartbeat(&fixture, 0, true, false);
    fixture_unfence(&fixture, 1);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader -1/1 isr 0");
    fixture_set_config(&fixture, resource, name, "unclean.leader.election.enable", "true");
    for (int i = 0; i < 61; i++) {
        fixture_wait(&fixture, 5000);
        fixture_heartbeat(&fixture, 1, false, false);
    }
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/2 isr 1 recovering");
    controller_stats(fixture.controller, &stats);
    assert_int_equal(stats.elections_unclean, 1);
    fixture_end(&fixture);
}

static void a_topic_that_allows_it_elects_uncleanly_by_itself(void **state)
{
    (void)state;
    elects_uncleanly(METADATA_RESOURCE_TOPIC, "a");
    elects_uncleanly(METADATA_RESOURCE_BROKER, "");
}

static void leaders_return_to_the_preferred_replica_in_time(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_heartbeat(&fixture, 0, true, false);
    fixture_unfence(&fixture, 0);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){1, 0}, 2), 0);
    for (int i = 0; i < 61; i++) {
        fixture_wait(&fixture, 5000);
        fixture_heartbeat(&fixture, 0, false, false);
        fixture_heartbeat(&fixture, 1, false, false);
    }
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/2 isr 1,0");
    fixture_end(&fixture);
}

/* ---- reassignment ---- */

static int16_t reassign(struct fixture *fixture, const char *name, const int32_t *replicas,
                        int32_t count, bool factor_change)
{
    int32_t copy[8];
    struct alter_partition_reassignments_request_reassignable_partition partition = {
        .replicas = copy, .replicas_count = count};
    struct alter_partition_reassignments_request_reassignable_topic topic = {
        .name = slice_from_text(name), .partitions = &partition, .partitions_count = 1};
    struct alter_partition_reassignments_request request = {
        .allow_replication_factor_change = factor_change, .topics = &topic, .topics_count = 1};
    const struct alter_partition_reassignments_response *response;

    if (count > 0)
        memcpy(copy, replicas, (size_t)count * sizeof *replicas);
    response = fixture_call(fixture, API_ALTER_PARTITION_REASSIGNMENTS, &request);
    assert_non_null(response);
    /* Success, and what the code says by itself, have no text. */
    assert_int_equal(slice_is_null(response->responses[0].partitions[0].error_message),
                     response->responses[0].partitions[0].error_code == 0 ||
                         response->responses[0].partitions[0].error_code == 85);
    return response->responses[0].partitions[0].error_code;
}

static void a_reassignment_goes_through_its_stages(void **state)
{
    struct list_partition_reassignments_request list = {.topics_count = -1};
    const struct list_partition_reassignments_response *listed;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 4);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    fixture_create_on(&fixture, "idle", (int32_t[]){0, 1}, 2);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){2, 3}, 2, true), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0),
                        "leader 0/0 isr 0,1 adding 2,3 removing 0,1");
    assert_true(ARRAY_COUNT(((int32_t[]){2, 3, 0, 1})) ==
                fixture_partition(&fixture, "a", 0)->replica_count);
    listed = fixture_call(&fixture, API_LIST_PARTITION_REASSIGNMENTS, &list);
    assert_int_equal(listed->topics_count, 1);
    assert_true(slice_equal_text(listed->topics[0].name, "a"));
    assert_int_equal(listed->topics[0].partitions[0].replicas_count, 4);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){0, 1, 2}, 3), 0);
    /* Complete: the leader goes, and is told so although the record is written. */
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){0, 1, 2, 3}, 4), 108);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 2/1 isr 2,3");
    assert_int_equal(fixture_partition(&fixture, "a", 0)->replica_count, 2);
    assert_true(
        uuid_equal(fixture_partition(&fixture, "a", 0)->directories[0], fixture_directory(2, 0)));
    listed = fixture_call(&fixture, API_LIST_PARTITION_REASSIGNMENTS, &list);
    assert_int_equal(listed->topics_count, 0);
    fixture_end(&fixture);
}

static void replicas_that_are_only_reordered_change_at_once(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1, 2}, 3);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){1, 0, 2}, 3, true), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0,1,2");
    assert_int_equal(fixture_partition(&fixture, "a", 0)->replicas[0], 1);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){1, 0}, 2, true), 0); /* fewer: at once */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/1 isr 0,1");
    fixture_end(&fixture);
}

static void a_reassignment_can_be_refused_and_cancelled(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 4);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_int_equal(reassign(&fixture, "none", (int32_t[]){0}, 1, true), 3);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){0, 9}, 2, true), 39);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){0, 0}, 2, true), 39);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){0, 1, 2}, 3, false), 38);
    assert_int_equal(reassign(&fixture, "a", NULL, -1, true), 85);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){2, 3}, 2, false), 0);
    assert_int_equal(alter_now(&fixture, "a", (int32_t[]){0, 1, 2}, 3), 0);
    assert_int_equal(reassign(&fixture, "a", NULL, -1, true), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/1 isr 0,1");
    fixture_end(&fixture);
}

static void a_new_target_replaces_a_running_one(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 4);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){0, 2}, 2, true), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0),
                        "leader 0/0 isr 0,1 adding 2 removing 1");
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){0, 3}, 2, true), 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0),
                        "leader 0/0 isr 0,1 adding 3 removing 1,2");
    fixture_end(&fixture);
}

/* As a tool does that had no answer. */
static void a_reassignment_asked_for_again_goes_on_as_it_was(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 4);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){2, 3}, 2, true), 0);
    assert_int_equal(reassign(&fixture, "a", (int32_t[]){2, 3}, 2, true), 0);
    assert_int_equal(fixture.records_written, 0);
    assert_string_equal(fixture_describe(&fixture, "a", 0),
                        "leader 0/0 isr 0,1 adding 2,3 removing 0,1");
    assert_int_equal(reassign(&fixture, "a", NULL, -1, true), 0);
    assert_int_equal(fixture_partition(&fixture, "a", 0)->replica_count, 2);
    fixture_create_on(&fixture, "b", (int32_t[]){0, 1}, 2);
    assert_int_equal(reassign(&fixture, "b", (int32_t[]){0, 1, 2}, 3, true), 0);
    assert_int_equal(reassign(&fixture, "b", (int32_t[]){0, 1, 2}, 3, true), 0);
    assert_string_equal(fixture_describe(&fixture, "b", 0), "leader 0/0 isr 0,1 adding 2");
    /* Another newcomer besides: both are waited for, and neither stays when it is called off. */
    assert_int_equal(reassign(&fixture, "b", (int32_t[]){0, 2, 3}, 3, true), 0);
    assert_string_equal(fixture_describe(&fixture, "b", 0),
                        "leader 0/0 isr 0,1 adding 2,3 removing 1");
    assert_int_equal(reassign(&fixture, "b", NULL, -1, true), 0);
    assert_int_equal(fixture_partition(&fixture, "b", 0)->replica_count, 2);
    fixture_end(&fixture);
}

static void a_partition_named_twice_is_changed_one_step_after_the_other(void **state)
{
    int32_t first[] = {0, 2}, second[] = {0, 1};
    struct alter_partition_reassignments_request_reassignable_partition partitions[2] = {
        {.replicas = first, .replicas_count = 2}, {.replicas = second, .replicas_count = 2}};
    struct alter_partition_reassignments_request_reassignable_topic topic = {
        .name = SLICE("a"), .partitions = partitions, .partitions_count = 2};
    struct alter_partition_reassignments_request request = {
        .allow_replication_factor_change = true, .topics = &topic, .topics_count = 1};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    assert_non_null(fixture_call(&fixture, API_ALTER_PARTITION_REASSIGNMENTS, &request));
    assert_int_equal(fixture.records_written, 2);
    assert_int_equal(fixture_partition(&fixture, "a", 0)->partition_epoch, 2);
    /* The second asks for what the first took away: its newcomer is not waited for. */
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/1 isr 0,1");
    fixture_end(&fixture);
}

/* ---- directories ---- */

static void replicas_are_assigned_to_directories(void **state)
{
    struct assign_replicas_to_dirs_request_partition_data partitions[2] = {{0}, {5}};
    struct assign_replicas_to_dirs_request_topic_data topics[2] = {
        {.partitions = partitions, .partitions_count = 2},
        {.topic_id = {{1}}, .partitions = partitions, .partitions_count = 1}};
    struct assign_replicas_to_dirs_request_directory_data directory = {
        .id = fixture_directory(0, 1), .topics = topics, .topics_count = 2};
    struct assign_replicas_to_dirs_request request = {.directories = &directory,
                                                      .directories_count = 1};
    const struct assign_replicas_to_dirs_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_register(&fixture, 0, NULL, 2);
    fixture_unfence(&fixture, 0);
    fixture_register(&fixture, 1, NULL, 2);
    fixture_unfence(&fixture, 1);
    fixture_create_on(&fixture, "a", (int32_t[]){0, 1}, 2);
    topics[0].topic_id = fixture_topic(&fixture, "a")->id;
    request.broker_epoch = fixture.epochs[0] - 1;
    assert_null(fixture_call(&fixture, API_ASSIGN_REPLICAS_TO_DIRS, &request));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    request.broker_epoch++;
    response = fixture_call(&fixture, API_ASSIGN_REPLICAS_TO_DIRS, &request);
    assert_int_equal(response->directories[0].topics[0].partitions[0].error_code, 0);
    assert_int_equal(response->directories[0].topics[0].partitions[1].error_code, 3);
    assert_int_equal(response->directories[0].topics[1].partitions[0].error_code, 100);
    assert_true(
        uuid_equal(fixture_partition(&fixture, "a", 0)->directories[0], fixture_directory(0, 1)));
    assert_true(
        uuid_equal(fixture_partition(&fixture, "a", 0)->directories[1], DIRECTORY_UNASSIGNED));
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 0/0 isr 0,1");
    directory.id = DIRECTORY_LOST;
    topics[0].partitions_count = 1;
    directory.topics_count = 1;
    response = fixture_call(&fixture, API_ASSIGN_REPLICAS_TO_DIRS, &request);
    assert_string_equal(fixture_describe(&fixture, "a", 0), "leader 1/1 isr 1");
    fixture_create_on(&fixture, "b", (int32_t[]){1}, 1);
    topics[0].topic_id = fixture_topic(&fixture, "b")->id;
    response = fixture_call(&fixture, API_ASSIGN_REPLICAS_TO_DIRS, &request);
    assert_int_equal(response->directories[0].topics[0].partitions[0].error_code, 6);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_isr_change_is_checked_in_kafkas_order),
        cmocka_unit_test(a_wrong_broker_epoch_refuses_the_whole_alter_request),
        cmocka_unit_test(version_two_sends_ids_without_epochs),
        cmocka_unit_test(below_3_6_a_shrinking_isr_moves_the_leader_epoch),
        cmocka_unit_test(without_elr_the_last_member_stays_in_the_isr),
        cmocka_unit_test(with_elr_members_below_the_minimum_stay_eligible),
        cmocka_unit_test(an_unclean_restart_loses_eligibility),
        cmocka_unit_test(a_clean_restart_keeps_eligibility),
        cmocka_unit_test(another_minimum_clears_the_eligible_replicas),
        cmocka_unit_test(elections_are_held_only_where_they_change_something),
        cmocka_unit_test(a_topic_that_allows_it_elects_uncleanly_by_itself),
        cmocka_unit_test(leaders_return_to_the_preferred_replica_in_time),
        cmocka_unit_test(a_reassignment_goes_through_its_stages),
        cmocka_unit_test(replicas_that_are_only_reordered_change_at_once),
        cmocka_unit_test(a_reassignment_can_be_refused_and_cancelled),
        cmocka_unit_test(a_new_target_replaces_a_running_one),
        cmocka_unit_test(a_reassignment_asked_for_again_goes_on_as_it_was),
        cmocka_unit_test(a_partition_named_twice_is_changed_one_step_after_the_other),
        cmocka_unit_test(replicas_are_assigned_to_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
