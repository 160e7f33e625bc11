/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configs, features, producer ids, quotas, SCRAM credentials, controllers.
 */
#include "support.h"

#include "base/fmt.h"

/* ---- configs ---- */

struct config_case {
    int8_t type;
    const char *name;
    int8_t operation;
    const char *key;
    const char *value;
    int16_t code;
    const char *text;
};

static const struct incremental_alter_configs_response_alter_configs_resource_response *
config_run(struct fixture *fixture, const struct config_case *row, bool validate_only)
{
    struct incremental_alter_configs_request_alterable_config config = {
        .name = slice_from_text(row->key),
        .config_operation = row->operation,
        .value = slice_from_text(row->value)};
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = row->type,
        .resource_name = slice_from_text(row->name),
        .configs = &config,
        .configs_count = 1};
    struct incremental_alter_configs_request request = {
        .resources = &resource, .resources_count = 1, .validate_only = validate_only};
    const struct incremental_alter_configs_response *response =
        fixture_call(fixture, API_INCREMENTAL_ALTER_CONFIGS, &request);

    assert_non_null(response);
    return &response->responses[0];
}

static void config_changes_are_checked_one_resource_at_a_time(void **state)
{
    static const struct config_case cases[] = {
        {2, "a", 0, "retention.ms", "1000", 0, NULL},
        {2, "none", 0, "retention.ms", "1000", 3, "The topic 'none' does not exist."},
        {2, "", 0, "retention.ms", "1000", 42, "Default topic resources are not allowed."},
        {2, "a b", 0, "retention.ms", "1000", 17,
         "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
         "alphanumerics, '.', '_' and '-'"},
        {2, "..", 0, "no.such.key", "1000", 17, "Topic name is invalid: '..' is not allowed"},
        {2, "..", 2, "retention.ms", "1000", 40,
         "Can't APPEND to key retention.ms because its type is not LIST."},
        {2, "a", 0, "no.such.key", "1", 40, NULL},
        {2, "a", 0, "retention.ms", "x", 40, NULL},
        {2, "a", 2, "cleanup.policy", "compact", 0, NULL},
        {2, "a", 3, "cleanup.policy", "delete", 0, NULL},
        {2, "a", 2, "retention.ms", "1", 40,
         "Can't APPEND to key retention.ms because its type is not LIST."},
        {2, "a", 1, "retention.ms", NULL, 0, NULL},
        {4, "", 0, "min.insync.replicas", "1", 0, NULL},
        {4, "", 1, "min.insync.replicas", NULL, 40,
         "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."},
        {4, "0", 0, "min.insync.replicas", "1", 40,
         "Broker-level min.insync.replicas cannot be altered while ELR is enabled."},
        {4, "7", 0, "log.cleaner.threads", "2", 102, "No node with id 7 found."},
        {4, "0", 0, "log.cleaner.threads", "2", 0, NULL},
        {4, "x", 0, "log.cleaner.threads", "2", 42, NULL},
        {8, "0", 0, "root", "INFO", 42, NULL},
        {3, "0", 0, "root", "INFO", 35, "Unknown resource type 3."},
        {32, "g", 0, "consumer.session.timeout.ms", "50000", 0, NULL},
        {32, "g", 2, "streams.rack.aware.assignment.tags", "x", 40,
         "Can't APPEND to key streams.rack.aware.assignment.tags because its type is not LIST."},
        {16, "m", 3, "metrics", "a", 40,
         "Can't SUBTRACT to key metrics because its type is not LIST."},
        {16, "m", 0, "interval.ms", "50", 42, NULL},
        {16, "m", 0, "interval.ms", "500", 0, NULL},
    };
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    assert_int_equal(fixture_create(&fixture, "a", 1, 1)->error_code, 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct incremental_alter_configs_response_alter_configs_resource_response *result =
            config_run(&fixture, &cases[i], false);

        if (result->error_code != cases[i].code ||
            (cases[i].text && !slice_equal_text(result->error_message, cases[i].text)))
            fail_msg("row %zu: %d %.*s", i, result->error_code, SLICE_ARGS(result->error_message));
        if (cases[i].code == 0)
            assert_true(slice_is_null(result->error_message));
        else
            assert_int_equal(fixture.records_written, 0);
    }
    assert_true(slice_equal_text(metadata_image_config(controller_view(fixture.controller),
                                                       METADATA_RESOURCE_TOPIC, SLICE("a"),
                                                       SLICE("cleanup.policy")),
                                 "compact"));
    assert_true(slice_is_null(metadata_image_config(controller_view(fixture.controller),
                                                    METADATA_RESOURCE_TOPIC, SLICE("a"),
                                                    SLICE("retention.ms"))));
    fixture_end(&fixture);
}

static void an_unchanged_topic_value_is_not_written_but_a_brokers_is(void **state)
{
    const struct config_case topic = {2, "a", 0, "retention.ms", "1000", 0, NULL};
    const struct config_case broker = {4, "0", 0, "log.cleaner.threads", "2", 0, NULL};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    assert_int_equal(fixture_create(&fixture, "a", 1, 1)->error_code, 0);
    config_run(&fixture, &topic, true);
    assert_int_equal(fixture.records_written, 0);
    config_run(&fixture, &topic, false);
    assert_int_equal(fixture.records_written, 1);
    config_run(&fixture, &topic, false);
    assert_int_equal(fixture.records_written, 0);
    config_run(&fixture, &broker, false);
    assert_int_equal(fixture.records_written, 1);
    config_run(&fixture, &broker, false);
    assert_int_equal(fixture.records_written, 1);
    fixture_end(&fixture);
}

/* A broker takes keys that nobody knows, and every node holds them in memory that it must have. */
static void configs_of_one_resource_are_a_mebibyte_at_most_and_may_always_shrink(void **state)
{
    static char value[32001];
    struct config_case row = {4, "0", 0, NULL, value, 0, NULL};
    char key[32];
    int count = 0;
    struct fixture fixture;

    (void)state;
    memset(value, 'v', sizeof value - 1);
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    row.key = key;
    for (int16_t code = 0; code == 0 && count < 100; count += code == 0) {
        fmt(key, sizeof key, "unknown.%d", count);
        code = config_run(&fixture, &row, false)->error_code;
    }
    assert_int_equal(count, 32);
    assert_int_equal(fixture.records_written, 0);
    row.operation = 1;
    fmt(key, sizeof key, "unknown.0");
    assert_int_equal(config_run(&fixture, &row, false)->error_code, 0);
    row.operation = 0;
    fmt(key, sizeof key, "unknown.32");
    assert_int_equal(config_run(&fixture, &row, false)->error_code, 0);
    fixture_end(&fixture);
}

static void alter_configs_replaces_the_whole_set(void **state)
{
    struct alter_configs_request_alterable_config config = {SLICE("segment.ms"), SLICE("5000")};
    struct alter_configs_request_alter_configs_resource resources[2] = {
        {.resource_type = 2, .resource_name = SLICE("a"), .configs = &config, .configs_count = 1}};
    struct alter_configs_request request = {.resources = resources, .resources_count = 1};
    const struct alter_configs_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    assert_int_equal(fixture_create(&fixture, "a", 1, 1)->error_code, 0);
    fixture_set_config(&fixture, 2, "a", "retention.ms", "1000");
    response = fixture_call(&fixture, API_ALTER_CONFIGS, &request);
    assert_int_equal(response->responses[0].error_code, 0);
    assert_int_equal(metadata_image_configs(controller_view(fixture.controller),
                                            METADATA_RESOURCE_TOPIC, SLICE("a"))
                         ->entry_count,
                     1);
    resources[1] = resources[0];
    request.resources_count = 2;
    response = fixture_call(&fixture, API_ALTER_CONFIGS, &request);
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].error_code, 42);
    assert_true(slice_equal_text(response->responses[0].error_message, "Duplicate resource."));
    fixture_end(&fixture);
}

/* ---- features ---- */

static const struct update_features_response *update(struct fixture *fixture, const char *name,
                                                     int16_t level, int8_t type)
{
    struct update_features_request_feature_update_key key = {
        .feature = slice_from_text(name), .max_version_level = level, .upgrade_type = type};
    struct update_features_request request = {.feature_updates = &key, .feature_updates_count = 1};
    const struct update_features_response *response =
        fixture_call(fixture, API_UPDATE_FEATURES, &request);

    assert_non_null(response);
    return response;
}

static void features_move_within_what_every_node_supports(void **state)
{
    static const struct {
        const char *name;
        int16_t level;
        int8_t type;
        int16_t code;
    } cases[] = {
        {"no.version", 1, 1, 95},
        {FEATURE_GROUP_VERSION, 1, 1, 0},
        {FEATURE_GROUP_VERSION, 2, 1, 95},
        {FEATURE_GROUP_VERSION, -1, 1, 95},
        {FEATURE_GROUP_VERSION, 0, 1, 95}, /* a downgrade must be called one */
        {FEATURE_GROUP_VERSION, 0, 2, 0},
        {FEATURE_GROUP_VERSION, 1, 2, 95},
        {FEATURE_GROUP_VERSION, 1, 0, 95},
        {FEATURE_ELR_VERSION, 1, 1, 95}, /* needs level 23 */
        {FEATURE_METADATA_VERSION, 22, 1, 0},
        {FEATURE_METADATA_VERSION, 20, 2, 0},
        {FEATURE_METADATA_VERSION, 16, 2, 95}, /* 17 changed records */
        {FEATURE_METADATA_VERSION, 16, 3, 95},
        {FEATURE_METADATA_VERSION, 34, 1, 95},
        {FEATURE_METADATA_VERSION, 6, 2, 95},
        {FEATURE_METADATA_VERSION, 33, 1, 0},
        {FEATURE_ELR_VERSION, 1, 1, 0},
        {FEATURE_KRAFT_VERSION, 1, 1, 0},
        {FEATURE_KRAFT_VERSION, 0, 2, 95},
    };
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 21);
    fixture_brokers(&fixture, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct update_features_response *response =
            update(&fixture, cases[i].name, cases[i].level, cases[i].type);

        if (response->error_code != cases[i].code)
            fail_msg("row %zu: %d %.*s", i, response->error_code,
                     SLICE_ARGS(response->error_message));
    }
    assert_int_equal(metadata_image_version(controller_view(fixture.controller)), 33);
    fixture_end(&fixture);
}

/* Kafka keeps them in a map: the last one counts. */
static void a_feature_named_more_than_once_is_changed_once(void **state)
{
    struct update_features_request_feature_update_key keys[3] = {
        {.feature = SLICE(FEATURE_ELR_VERSION), .max_version_level = 1, .upgrade_type = 1},
        {.feature = SLICE(FEATURE_GROUP_VERSION), .max_version_level = 1, .upgrade_type = 1},
        {.feature = SLICE(FEATURE_ELR_VERSION), .max_version_level = 0, .upgrade_type = 1}};
    struct update_features_request request = {.feature_updates = keys, .feature_updates_count = 3};
    const struct update_features_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 23); /* where ELR may be, and is not by default */
    fixture_brokers(&fixture, 1);
    fixture.api_version = 1;
    response = fixture_call(&fixture, API_UPDATE_FEATURES, &request);
    assert_non_null(response);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->results_count, 3);
    assert_int_equal(fixture.records_written, 2); /* no min.insync.replicas for ELR */
    assert_int_equal(metadata_image_level(controller_view(fixture.controller), FEATURE_ELR_VERSION),
                     0);
    fixture_end(&fixture);
}

static void an_old_broker_holds_the_features_of_all_back(void **state)
{
    struct broker_registration_request_feature features[2] = {
        {SLICE(FEATURE_METADATA_VERSION), 7, 30}, {SLICE(FEATURE_KRAFT_VERSION), 0, 1}};
    struct uuid directory = {{7}};
    struct broker_registration_request request = {.broker_id = 1,
                                                  .cluster_id = SLICE("the-cluster"),
                                                  .incarnation_id = {{9}},
                                                  .features = features,
                                                  .features_count = 2,
                                                  .log_dirs = &directory,
                                                  .log_dirs_count = 1};
    const struct update_features_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 21);
    assert_non_null(fixture_call(&fixture, API_BROKER_REGISTRATION, &request));
    response = update(&fixture, FEATURE_METADATA_VERSION, 31, 1);
    assert_int_equal(response->error_code, 95);
    assert_true(slice_equal_text(
        response->error_message,
        "The update failed for all features since the following feature had an error: Invalid "
        "update version 31 for feature metadata.version. Broker 1 only supports versions 7-30"));
    assert_int_equal(update(&fixture, FEATURE_METADATA_VERSION, 30, 1)->error_code, 0);
    assert_int_equal(update(&fixture, FEATURE_GROUP_VERSION, 1, 1)->error_code, 95);
    fixture_end(&fixture);
}

static void enabling_elr_fixes_the_minimum_for_the_cluster(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 25);
    fixture_brokers(&fixture, 1);
    fixture_set_config(&fixture, 4, "0", "min.insync.replicas", "3");
    assert_int_equal(update(&fixture, FEATURE_ELR_VERSION, 1, 1)->error_code, 0);
    assert_int_equal(fixture.records_written, 3);
    assert_true(slice_equal_text(metadata_image_config(controller_view(fixture.controller),
                                                       METADATA_RESOURCE_BROKER, SLICE_EMPTY,
                                                       SLICE("min.insync.replicas")),
                                 "1"));
    assert_true(slice_is_null(metadata_image_config(controller_view(fixture.controller),
                                                    METADATA_RESOURCE_BROKER, SLICE("0"),
                                                    SLICE("min.insync.replicas"))));
    fixture_end(&fixture);
}

/* Level 0 is within what everybody supports of any name; the name itself must be known all the same. */
static void a_feature_that_nobody_knows_is_refused_at_level_0(void **state)
{
    const struct update_features_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 22);
    response = update(&fixture, "nobody.version", 0, 1);
    assert_int_equal(response->error_code, err_wire_code(ERR_INVALID_UPDATE_VERSION));
    assert_true(slice_equal_text(
        response->error_message,
        "The update failed for all features since the following feature had an error: Invalid "
        "update version 0 for feature nobody.version. Feature nobody.version not found."));
    fixture_end(&fixture);
}

static void one_refused_feature_refuses_all(void **state)
{
    struct update_features_request_feature_update_key keys[2] = {
        {.feature = SLICE(FEATURE_GROUP_VERSION), .max_version_level = 1, .upgrade_type = 1},
        {.feature = SLICE(FEATURE_SHARE_VERSION), .max_version_level = 9, .upgrade_type = 1}};
    struct update_features_request request = {.feature_updates = keys, .feature_updates_count = 2};
    const struct update_features_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, 21);
    response = fixture_call(&fixture, API_UPDATE_FEATURES, &request);
    assert_int_equal(response->error_code, 95);
    assert_int_equal(fixture.records_written, 0);
    keys[1].max_version_level = 1;
    fixture.api_version = 1;
    response = fixture_call(&fixture, API_UPDATE_FEATURES, &request);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->results_count, 2);
    assert_true(slice_is_null(response->error_message));
    assert_true(slice_equal_text(response->results[1].error_message, "NONE")); /* as Kafka */
    assert_int_equal(fixture.records_written, 2);
    fixture_end(&fixture);
}

static void kraft_version_goes_through_the_quorum(void **state)
{
    const struct update_features_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    assert_int_equal(controller_quorum_changed(fixture.controller, 0, NULL, 0), OK);
    response = update(&fixture, FEATURE_KRAFT_VERSION, 1, 1);
    assert_int_equal(response->error_code, 0);
    assert_int_equal(fixture.result.kraft_version_upgrade, 1);
    assert_int_equal(fixture.result.records.items[0].type->key, METADATA_RECORD_NO_OP);
    fixture_end(&fixture);
}

/* ---- producer ids ---- */

static void producer_id_blocks_never_overlap(void **state)
{
    struct allocate_producer_ids_request request = {.broker_id = 0};
    const struct allocate_producer_ids_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    request.broker_epoch = fixture.epochs[0];
    for (int64_t block = 0; block < 5; block++) {
        if (block == 3)
            fixture_fail_over(&fixture);
        response = fixture_call(&fixture, API_ALLOCATE_PRODUCER_IDS, &request);
        assert_int_equal(response->producer_id_start, block * 1000);
        assert_int_equal(response->producer_id_len, 1000);
    }
    request.broker_epoch++;
    assert_null(fixture_call(&fixture, API_ALLOCATE_PRODUCER_IDS, &request));
    assert_int_equal(fixture.err, ERR_STALE_BROKER_EPOCH);
    fixture_end(&fixture);
}

/* ---- quotas ---- */

static const struct alter_client_quotas_response *quota(struct fixture *fixture,
                                                        const char *types[2], const char *names[2],
                                                        const char *key, double value, bool remove)
{
    struct alter_client_quotas_request_entity_data entity[2] = {
        {slice_from_text(types[0]), slice_from_text(names[0])},
        {slice_from_text(types[1]), slice_from_text(names[1])}};
    struct alter_client_quotas_request_op_data operation = {slice_from_text(key), value, remove};
    struct alter_client_quotas_request_entry_data entry = {.entity = entity,
                                                           .entity_count = !types[0]  ? 0
                                                                           : types[1] ? 2
                                                                                      : 1,
                                                           .ops = &operation,
                                                           .ops_count = 1};
    struct alter_client_quotas_request request = {.entries = &entry, .entries_count = 1};
    const struct alter_client_quotas_response *response =
        fixture_call(fixture, API_ALTER_CLIENT_QUOTAS, &request);

    assert_non_null(response);
    return response;
}

static void quotas_are_checked_and_written_when_they_change(void **state)
{
    static const struct {
        const char *types[2], *names[2], *key;
        double value;
        bool remove;
        int16_t code;
        size_t records;
    } cases[] = {
        {{"user", NULL}, {"alice", NULL}, "producer_byte_rate", 1000, false, 0, 1},
        {{"user", NULL}, {"alice", NULL}, "producer_byte_rate", 1000, false, 0, 0},
        {{"user", NULL}, {"alice", NULL}, "producer_byte_rate", 2000, false, 0, 1},
        {{"client-id", "user"}, {NULL, "alice"}, "consumer_byte_rate", 5, false, 0, 1},
        {{"user", NULL}, {"alice", NULL}, "consumer_byte_rate", 0, true, 0, 0},
        {{"user", NULL}, {"alice", NULL}, "producer_byte_rate", 0, true, 0, 1},
        {{"ip", NULL}, {"10.0.0.1", NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {"::1", NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {NULL, NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {"::ffff:1.2.3.4", NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {"1:2:3:4:5:6:7:8", NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {"0.0.0.0", NULL}, "connection_creation_rate", 5, false, 0, 1},
        {{"ip", NULL}, {"010.0.0.1", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1.0000000000.0.1", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"::1.2.3.04", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"300.1.1.1", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1.1.1.", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1.2..3", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {":::", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1::2::3", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1:2:3", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"12345::", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"1:2:3:4:5:6:7:", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{NULL, NULL}, {NULL, NULL}, "producer_byte_rate", 5, false, 42, 0},
        {{"group", NULL}, {"x", NULL}, "producer_byte_rate", 5, false, 42, 0},
        {{"user", "user"}, {"x", "y"}, "producer_byte_rate", 5, false, 42, 0},
        {{"user", NULL}, {"", NULL}, "producer_byte_rate", 5, false, 42, 0},
        {{"ip", "user"}, {"10.0.0.1", "x"}, "connection_creation_rate", 5, false, 42, 0},
        {{"ip", NULL}, {"not an address", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "no_such_key", 5, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "connection_creation_rate", 5, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "producer_byte_rate", 0, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "producer_byte_rate", -5, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "producer_byte_rate", 1.5, false, 42, 0},
        {{"user", NULL}, {"x", NULL}, "request_percentage", 1.5, false, 0, 1},
        {{"user", NULL}, {"x", NULL}, "producer_byte_rate", 1e19, false, 42, 0},
        {{"ip", NULL}, {"10.0.0.2", NULL}, "connection_creation_rate", 3e9, false, 42, 0},
    };
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *types[2] = {cases[i].types[0], cases[i].types[1]};
        const char *names[2] = {cases[i].names[0], cases[i].names[1]};
        const struct alter_client_quotas_response *response =
            quota(&fixture, types, names, cases[i].key, cases[i].value, cases[i].remove);

        if (response->entries[0].error_code != cases[i].code ||
            fixture.records_written != cases[i].records)
            fail_msg("row %zu: %d %.*s, %zu records", i, response->entries[0].error_code,
                     SLICE_ARGS(response->entries[0].error_message), fixture.records_written);
    }
    fixture_end(&fixture);
}

/* A client that waits for the answer to an entity gets the first of them; entities whose types nobody knows are told
 * apart like others. */
static void an_entity_that_is_named_again_is_answered_once_with_an_error(void **state)
{
    struct alter_client_quotas_request_entity_data alice[] = {{SLICE("user"), SLICE("alice")},
                                                              {SLICE("client-id"), SLICE_NULL}};
    struct alter_client_quotas_request_entity_data turned[] = {alice[1], alice[0]};
    struct alter_client_quotas_request_entity_data grouped[] = {
        alice[0], alice[1], {SLICE("group"), SLICE("x")}};
    struct alter_client_quotas_request_entity_data other = {SLICE("group"), SLICE("x")};
    struct alter_client_quotas_request_entity_data third = {SLICE("group"), SLICE("y")};
    struct alter_client_quotas_request_op_data operation = {SLICE("producer_byte_rate"), 5, false};
    struct alter_client_quotas_request_op_data second = {SLICE("producer_byte_rate"), 6, false};
    struct alter_client_quotas_request_entry_data entries[] = {
        {.entity = alice, .entity_count = 2, .ops = &operation, .ops_count = 1},
        {.entity = &other, .entity_count = 1, .ops = &operation, .ops_count = 1},
        {.entity = turned, .entity_count = 2, .ops = &second, .ops_count = 1},
        {.entity = &other, .entity_count = 1, .ops = &operation, .ops_count = 1},
        {.entity = &third, .entity_count = 1, .ops = &operation, .ops_count = 1}};
    struct alter_client_quotas_request_entry_data apart[] = {
        {.entity = alice, .entity_count = 2, .ops = &second, .ops_count = 1},
        {.entity = grouped, .entity_count = 3, .ops = &operation, .ops_count = 1}};
    struct alter_client_quotas_request request = {.entries = entries, .entries_count = 5};
    struct metadata_quota_entity key = {
        .has_user = true, .user = SLICE("alice"), .has_client_id = true, .client_id = SLICE_NULL};
    const struct alter_client_quotas_response *response;
    const struct metadata_quota *kept;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    response = fixture_call(&fixture, API_ALTER_CLIENT_QUOTAS, &request);
    assert_int_equal(response->entries_count, 3);
    assert_true(slice_equal_text(response->entries[0].entity[0].entity_name, "alice"));
    assert_true(slice_equal_text(response->entries[1].entity[0].entity_name, "x"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(response->entries[i].error_code, 42);
        assert_true(
            slice_equal_text(response->entries[i].error_message, "Ignoring duplicate entity"));
    }
    assert_true(slice_equal_text(response->entries[2].error_message,
                                 "Unhandled client quota entity type: group"));
    kept = metadata_image_quota(controller_view(fixture.controller), &key);
    assert_non_null(kept);
    assert_true(kept->values[0].value > 4.5 && kept->values[0].value < 5.5);

    request = (struct alter_client_quotas_request){.entries = apart, .entries_count = 2};
    response = fixture_call(&fixture, API_ALTER_CLIENT_QUOTAS, &request);
    assert_int_equal(response->entries_count, 2);
    assert_int_equal(response->entries[0].error_code, 0);
    assert_int_equal(response->entries[1].entity_count, 3);
    assert_true(slice_equal_text(response->entries[1].error_message,
                                 "Unhandled client quota entity type: group"));
    fixture_end(&fixture);
}

static int32_t described(struct fixture *fixture,
                         const struct describe_client_quotas_request_component_data *components,
                         int32_t count, bool strict, enum err *err_out)
{
    struct describe_client_quotas_request_component_data copy[3];
    struct describe_client_quotas_request request = {
        .components = copy, .components_count = count, .strict = strict};
    struct describe_client_quotas_response response;
    struct why why;

    if (count > 0)
        memcpy(copy, components, (size_t)count * sizeof *components);
    describe_client_quotas_response_init(&response);
    *err_out = metadata_describe_quotas(controller_view(fixture->controller), &request,
                                        &fixture->arena, &response, &why);
    return *err_out == OK ? response.entries_count : -1;
}

static void quotas_are_found_by_their_entities(void **state)
{
    struct describe_client_quotas_request_component_data user = {SLICE("user"), 0, SLICE("alice")};
    struct describe_client_quotas_request_component_data any = {SLICE("user"), 2, SLICE_NULL};
    struct describe_client_quotas_request_component_data none = {SLICE("client-id"), 1, SLICE_NULL};
    struct describe_client_quotas_request_component_data both[2] = {user, none};
    struct describe_client_quotas_request_component_data bad = {SLICE("user"), 0, SLICE_NULL};
    const char *user_type[2] = {"user", NULL}, *pair[2] = {"user", "client-id"};
    const char *alice[2] = {"alice", NULL}, *bob[2] = {"bob", NULL};
    struct fixture fixture;
    enum err err;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    quota(&fixture, user_type, alice, "producer_byte_rate", 1, false);
    quota(&fixture, user_type, bob, "producer_byte_rate", 1, false);
    quota(&fixture, pair, alice, "producer_byte_rate", 1, false); /* any client of alice */
    assert_int_equal(described(&fixture, NULL, 0, false, &err), 3);
    assert_int_equal(described(&fixture, NULL, 0, true, &err), 0);
    assert_int_equal(described(&fixture, &user, 1, false, &err), 2);
    assert_int_equal(described(&fixture, &user, 1, true, &err), 1);
    assert_int_equal(described(&fixture, &any, 1, false, &err), 3);
    assert_int_equal(described(&fixture, both, 2, true, &err), 1);
    described(&fixture, &bad, 1, false, &err);
    assert_int_equal(err, ERR_INVALID_REQUEST);
    bad.entity_type = SLICE("group");
    described(&fixture, &bad, 1, false, &err);
    assert_int_equal(err, ERR_UNSUPPORTED_VERSION);
    both[1] = both[0];
    described(&fixture, both, 2, false, &err);
    assert_int_equal(err, ERR_INVALID_REQUEST);
    fixture_end(&fixture);
}

/* ---- SCRAM ---- */

static void credentials_are_derived_checked_and_listed(void **state)
{
    struct alter_user_scram_credentials_request_scram_credential_upsertion upsertions[5] = {
        {SLICE("alice"), 1, 4096, SLICE("salt"), SLICE("0123456789abcdef0123456789abcdef")},
        {SLICE("bob"), 1, 4095, SLICE("salt"), SLICE("x")},
        {SLICE("carol"), 3, 4096, SLICE("salt"), SLICE("x")},
        {SLICE("dora"), 1, 4096, SLICE("salt"), SLICE("x")},
        {SLICE("dora"), 2, 4096, SLICE("salt"), SLICE("x")}};
    struct alter_user_scram_credentials_request_scram_credential_deletion deletion = {SLICE("eve"),
                                                                                      1};
    struct alter_user_scram_credentials_request request = {.deletions = &deletion,
                                                           .deletions_count = 1,
                                                           .upsertions = upsertions,
                                                           .upsertions_count = 5};
    static const struct {
        const char *user;
        int16_t code;
    } expected[] = {{"alice", 0}, {"eve", 91}, {"bob", 93}, {"carol", 33}, {"dora", 92}};
    struct describe_user_scram_credentials_request describe = {0};
    struct describe_user_scram_credentials_response listed;
    const struct alter_user_scram_credentials_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    response = fixture_call(&fixture, API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    assert_int_equal(response->results_count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_true(slice_equal_text(response->results[i].user, expected[i].user));
        assert_int_equal(response->results[i].error_code, expected[i].code);
    }
    assert_int_equal(fixture.records_written, 1);
    assert_int_equal(metadata_image_scram(controller_view(fixture.controller), SLICE("alice"), 1)
                         ->stored_key.size_bytes,
                     32);
    describe_user_scram_credentials_response_init(&listed);
    assert_int_equal(metadata_describe_scram(controller_view(fixture.controller), &describe,
                                             &fixture.arena, &listed),
                     OK);
    assert_int_equal(listed.results_count, 1);
    assert_int_equal(listed.results[0].credential_infos[0].iterations, 4096);
    {
        struct describe_user_scram_credentials_request_user_name users[3] = {
            {SLICE("alice")}, {SLICE("nobody")}, {SLICE("alice")}};

        describe.users = users;
        describe.users_count = 3;
        describe_user_scram_credentials_response_init(&listed);
        assert_int_equal(metadata_describe_scram(controller_view(fixture.controller), &describe,
                                                 &fixture.arena, &listed),
                         OK);
        assert_int_equal(listed.results_count, 2);
        assert_int_equal(listed.results[0].error_code, 92);
        assert_int_equal(listed.results[1].error_code, 91);
    }
    deletion.name = SLICE("alice");
    request.upsertions_count = 0;
    response = fixture_call(&fixture, API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    assert_int_equal(response->results[0].error_code, 0);
    assert_null(metadata_image_scram(controller_view(fixture.controller), SLICE("alice"), 1));
    fixture_end(&fixture);
    fixture_start(&fixture, 10); /* before SCRAM */
    request.upsertions_count = 1;
    request.deletions_count = 0;
    response = fixture_call(&fixture, API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    assert_int_equal(response->results[0].error_code, 35);
    fixture_end(&fixture);
}

static void
what_is_wrong_with_the_first_of_a_user_is_told_before_that_he_is_named_again(void **state)
{
    struct alter_user_scram_credentials_request_scram_credential_deletion deletions[] = {
        {SLICE("alice"), 1}, {SLICE("alice"), 2}, {SLICE("bob"), 1}, {SLICE("bob"), 2}};
    struct alter_user_scram_credentials_request_scram_credential_upsertion upsertions[] = {
        {SLICE("alice"), 2, 4096, SLICE("salt"), SLICE("x")},
        {SLICE("bob"), 1, 4096, SLICE("salt"), SLICE("x")}};
    struct alter_user_scram_credentials_request request = {.upsertions = upsertions,
                                                           .upsertions_count = 2};
    const struct alter_user_scram_credentials_response *response;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    response = fixture_call(&fixture, API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    assert_int_equal(response->results[0].error_code, 0);
    assert_int_equal(response->results[1].error_code, 0);
    request =
        (struct alter_user_scram_credentials_request){.deletions = deletions, .deletions_count = 4};
    response = fixture_call(&fixture, API_ALTER_USER_SCRAM_CREDENTIALS, &request);
    assert_int_equal(response->results_count, 2);
    assert_true(slice_equal_text(response->results[0].user, "alice"));
    assert_int_equal(response->results[0].error_code, 91); /* she has none of mechanism 1 */
    assert_true(slice_equal_text(response->results[1].user, "bob"));
    assert_int_equal(response->results[1].error_code, 92);
    assert_int_equal(fixture.records_written, 0);
    fixture_end(&fixture);
}

/* ---- controllers ---- */

static void controllers_register_and_may_be_forgotten(void **state)
{
    struct controller_registration_request request = {.controller_id = 3000,
                                                      .incarnation_id = {{5}}};
    struct unregister_controller_request unregister = {.controller_id = 3000};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    assert_non_null(fixture_call(&fixture, API_CONTROLLER_REGISTRATION, &request));
    assert_non_null(metadata_image_controller(controller_view(fixture.controller), 3000));
    assert_non_null(fixture_call(&fixture, API_UNREGISTER_CONTROLLER, &unregister));
    assert_null(metadata_image_controller(controller_view(fixture.controller), 3000));
    assert_null(fixture_call(&fixture, API_UNREGISTER_CONTROLLER, &unregister));
    assert_int_equal(fixture.err, ERR_CONTROLLER_ID_NOT_REGISTERED);
    unregister.controller_id = 100;
    assert_null(fixture_call(&fixture, API_UNREGISTER_CONTROLLER, &unregister));
    assert_int_equal(fixture.err, ERR_INVALID_REQUEST);
    fixture_end(&fixture);
    fixture_start(&fixture, 14);
    assert_null(fixture_call(&fixture, API_CONTROLLER_REGISTRATION, &request));
    assert_int_equal(fixture.err, ERR_UNSUPPORTED_VERSION);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_changes_are_checked_one_resource_at_a_time),
        cmocka_unit_test(an_unchanged_topic_value_is_not_written_but_a_brokers_is),
        cmocka_unit_test(configs_of_one_resource_are_a_mebibyte_at_most_and_may_always_shrink),
        cmocka_unit_test(alter_configs_replaces_the_whole_set),
        cmocka_unit_test(features_move_within_what_every_node_supports),
        cmocka_unit_test(a_feature_that_nobody_knows_is_refused_at_level_0),
        cmocka_unit_test(a_feature_named_more_than_once_is_changed_once),
        cmocka_unit_test(an_old_broker_holds_the_features_of_all_back),
        cmocka_unit_test(enabling_elr_fixes_the_minimum_for_the_cluster),
        cmocka_unit_test(one_refused_feature_refuses_all),
        cmocka_unit_test(kraft_version_goes_through_the_quorum),
        cmocka_unit_test(producer_id_blocks_never_overlap),
        cmocka_unit_test(quotas_are_checked_and_written_when_they_change),
        cmocka_unit_test(an_entity_that_is_named_again_is_answered_once_with_an_error),
        cmocka_unit_test(quotas_are_found_by_their_entities),
        cmocka_unit_test(credentials_are_derived_checked_and_listed),
        cmocka_unit_test(
            what_is_wrong_with_the_first_of_a_user_is_told_before_that_he_is_named_again),
        cmocka_unit_test(controllers_register_and_may_be_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
