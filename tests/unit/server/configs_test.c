/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DescribeConfigs, IncrementalAlterConfigs, AlterConfigs and ListConfigResources at the broker.
 */
#include "admin_support.h"

static struct desk desk;
static struct desk_request asked;

static int setup(void **state)
{
    UNUSED(state);
    desk_open(&desk, "log.retention.ms=1000\n", 0);
    desk_broker(&desk, 1, false, "PLAINTEXT", NULL);
    desk_broker(&desk, 2, true, "PLAINTEXT", NULL);
    desk_broker(&desk, 3, false, "OTHER", NULL);
    desk_topic(&desk, "topic", 1);
    desk_partition(&desk, 1, 0, "1", NULL, 1);
    desk_config(&desk, CONFIG_RESOURCE_TOPIC, "topic", "retention.ms", "5000");
    desk_config(&desk, CONFIG_RESOURCE_GROUP, "team", "consumer.session.timeout.ms", "50000");
    desk_config(&desk, CONFIG_RESOURCE_CLIENT_METRICS, "watch", "interval.ms", "100");
    desk_publish(&desk);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

/* ---- DescribeConfigs ---- */

typedef struct describe_configs_response_describe_configs_result described;
typedef struct describe_configs_response_describe_configs_resource_result described_config;

static const described *describe_in(int16_t version, int8_t type, const char *name, const char *key)
{
    struct describe_configs_request body;
    struct slice keys[1] = {slice_from_text(key)};
    const struct describe_configs_response *response;

    describe_configs_request_init(&body);
    body.resources = describe_configs_request_describe_configs_resource_array(&desk.arena, 1);
    body.resources_count = 1;
    body.resources->resource_type = type;
    body.resources->resource_name = slice_from_text(name);
    body.resources->configuration_keys = keys;
    body.resources->configuration_keys_count = key ? 1 : -1;
    body.include_synonyms = true;
    body.include_documentation = version == 3;
    desk_ask(&desk, &asked, API_DESCRIBE_CONFIGS, version, &body, handle_describe_configs);
    desk_request_end(&asked);
    response = asked.response;
    assert_int_equal(response->results_count, 1);
    return &response->results[0];
}

static const described *describe(int8_t type, const char *name, const char *key)
{
    return describe_in(4, type, name, key);
}

static void every_version_describes_what_it_can_carry(void **state)
{
    UNUSED(state);
    for (int16_t version = 1; version <= 4; version++) {
        const described *result =
            describe_in(version, CONFIG_RESOURCE_TOPIC, "topic", "retention.ms");

        assert_slice(result->configs[0].value, "5000");
        assert_int_equal(result->configs[0].config_type, version >= 3 ? CONFIG_TYPE_LONG : 0);
        assert_int_equal(result->configs[0].documentation.size_bytes > 0, version == 3);
    }
}

static void a_topics_value_comes_before_the_brokers(void **state)
{
    const described *result = describe(CONFIG_RESOURCE_TOPIC, "topic", "retention.ms");

    UNUSED(state);
    assert_int_equal(result->error_code, 0);
    assert_int_equal(result->configs_count, 1);
    assert_slice(result->configs[0].value, "5000");
    assert_int_equal(result->configs[0].config_source, CONFIG_SOURCE_TOPIC);
    assert_int_equal(result->configs[0].synonyms[0].source, CONFIG_SOURCE_TOPIC);
    assert_slice(result->configs[0].synonyms[1].name, "log.retention.ms");
    assert_slice(result->configs[0].synonyms[1].value, "1000");
    assert_true(slice_is_null(result->configs[0].documentation));
    assert_true(describe(CONFIG_RESOURCE_TOPIC, "topic", NULL)->configs_count > 20);
}

static void what_cannot_be_described_says_why(void **state)
{
    static const struct {
        int8_t type;
        const char *name;
        enum err err;
        const char *text;
    } rows[] = {
        {CONFIG_RESOURCE_TOPIC, "nowhere", ERR_UNKNOWN_TOPIC_OR_PARTITION, ""},
        {CONFIG_RESOURCE_TOPIC, "..", ERR_INVALID_TOPIC_EXCEPTION,
         "Topic name is invalid: '..' is not allowed"},
        {CONFIG_RESOURCE_BROKER, "2", ERR_INVALID_REQUEST,
         "Unexpected broker id, expected 1 or empty string, but received 2"},
        {CONFIG_RESOURCE_BROKER, "x", ERR_INVALID_REQUEST,
         "Broker id must be an integer, but it is: x"},
        {CONFIG_RESOURCE_BROKER_LOGGER, "", ERR_INVALID_REQUEST, "Broker id must not be empty"},
        {CONFIG_RESOURCE_BROKER_LOGGER, "2", ERR_INVALID_REQUEST,
         "Unexpected broker id, expected 1 but received 2"},
        {CONFIG_RESOURCE_CLIENT_METRICS, "", ERR_INVALID_REQUEST,
         "Client metrics subscription name must not be empty"},
        {CONFIG_RESOURCE_GROUP, "", ERR_INVALID_REQUEST, "Group name must not be empty"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const described *result = describe(rows[i].type, rows[i].name, NULL);

        assert_int_equal(result->error_code, rows[i].err);
        assert_slice(result->error_message, rows[i].text);
        assert_int_equal(result->configs_count, 0);
        assert_slice(result->resource_name, rows[i].name);
    }
}

static void every_kind_of_resource_is_described(void **state)
{
    const described *result = describe(CONFIG_RESOURCE_BROKER, "1", "log.retention.ms");

    UNUSED(state);
    assert_slice(result->configs[0].value, "1000");
    assert_int_equal(result->configs[0].config_source, CONFIG_SOURCE_STATIC);
    assert_false(result->configs[0].read_only);
    assert_true(describe(CONFIG_RESOURCE_BROKER, "1", "node.id")->configs[0].read_only);
    assert_int_equal(describe(CONFIG_RESOURCE_BROKER, "", NULL)->configs_count, 0);
    result = describe(CONFIG_RESOURCE_GROUP, "team", "consumer.session.timeout.ms");
    assert_int_equal(result->configs[0].config_source, CONFIG_SOURCE_GROUP);
    result = describe(CONFIG_RESOURCE_CLIENT_METRICS, "watch", "interval.ms");
    assert_int_equal(result->configs[0].config_source, CONFIG_SOURCE_CLIENT_METRICS);
    result = describe(CONFIG_RESOURCE_BROKER_LOGGER, "1", "root");
    assert_slice(result->configs[0].value, "INFO");
    assert_int_equal(result->configs[0].config_source, CONFIG_SOURCE_LOGGER);
}

/* One request for several looks up their defaults in another way than one for one. */
static void several_resources_are_described_each_as_alone(void **state)
{
    static const struct {
        int8_t type;
        const char *name;
    } rows[] = {{CONFIG_RESOURCE_TOPIC, "topic"}, {CONFIG_RESOURCE_TOPIC, "nowhere"},
                {CONFIG_RESOURCE_BROKER, "1"},    {CONFIG_RESOURCE_BROKER, ""},
                {CONFIG_RESOURCE_GROUP, "team"},  {CONFIG_RESOURCE_TOPIC, "topic"}};
    struct describe_configs_request body;
    const struct describe_configs_response *response;
    struct desk_request several;

    UNUSED(state);
    describe_configs_request_init(&body);
    body.resources_count = (int32_t)ARRAY_COUNT(rows);
    body.resources =
        describe_configs_request_describe_configs_resource_array(&desk.arena, ARRAY_COUNT(rows));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        body.resources[i].resource_type = rows[i].type;
        body.resources[i].resource_name = slice_from_text(rows[i].name);
        body.resources[i].configuration_keys_count = -1;
    }
    body.include_synonyms = true;
    desk_ask(&desk, &several, API_DESCRIBE_CONFIGS, 4, &body, handle_describe_configs);
    response = several.response;
    assert_int_equal(response->results_count, ARRAY_COUNT(rows));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const described *alone = describe(rows[i].type, rows[i].name, NULL);
        const described *result = &response->results[i];

        assert_int_equal(result->error_code, alone->error_code);
        assert_int_equal(result->configs_count, alone->configs_count);
        for (int32_t k = 0; k < alone->configs_count; k++) {
            assert_true(slice_equal(result->configs[k].name, alone->configs[k].name));
            assert_true(slice_equal(result->configs[k].value, alone->configs[k].value));
            assert_int_equal(result->configs[k].config_source, alone->configs[k].config_source);
            assert_int_equal(result->configs[k].synonyms_count, alone->configs[k].synonyms_count);
        }
    }
    desk_request_end(&several);
}

static void an_unknown_type_fails_the_whole_request(void **state)
{
    const described *result = describe(77, "x", NULL);

    UNUSED(state);
    assert_int_equal(asked.failed_err, ERR_INVALID_REQUEST);
    assert_int_equal(result->error_code, ERR_INVALID_REQUEST);
}

/* ---- IncrementalAlterConfigs ---- */

struct change {
    int8_t type;
    const char *name;
    const char *key;
    int8_t operation;
    const char *value;
};
typedef struct incremental_alter_configs_response altered;

static void alter_on(struct session *session, const struct change *changes, size_t count,
                     bool validate_only)
{
    struct incremental_alter_configs_request body;

    incremental_alter_configs_request_init(&body);
    body.validate_only = validate_only;
    body.resources =
        incremental_alter_configs_request_alter_configs_resource_array(&desk.arena, count);
    body.resources_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        body.resources[i].resource_type = changes[i].type;
        body.resources[i].resource_name = slice_from_text(changes[i].name);
        body.resources[i].configs =
            incremental_alter_configs_request_alterable_config_array(&desk.arena, 1);
        body.resources[i].configs_count = 1;
        body.resources[i].configs->name = slice_from_text(changes[i].key);
        body.resources[i].configs->config_operation = changes[i].operation;
        body.resources[i].configs->value = slice_from_text(changes[i].value);
    }
    desk_ask_on(&desk, session, &asked, API_INCREMENTAL_ALTER_CONFIGS, 1, &body,
                session->kind->is_controller_listener ? handle_controller_api
                                                      : handle_alter_configs);
}

static void what_the_broker_refuses_never_reaches_the_controller(void **state)
{
    static const struct {
        struct change change;
        enum err err;
        const char *text;
    } rows[] = {
        {{CONFIG_RESOURCE_BROKER, "2", "log.cleaner.threads", CONFIG_SET, "2"},
         ERR_INVALID_REQUEST,
         "Unexpected broker id, expected 1, but received 2"},
        {{CONFIG_RESOURCE_BROKER, "one", "log.cleaner.threads", CONFIG_SET, "2"},
         ERR_INVALID_REQUEST,
         "Node id must be an integer, but it is: one"},
        {{CONFIG_RESOURCE_BROKER, "1", "node.id", CONFIG_SET, "2"},
         ERR_INVALID_REQUEST,
         "Cannot update these configs dynamically: [node.id]"},
        {{CONFIG_RESOURCE_TOPIC, "topic", "retention.ms", CONFIG_SET, NULL},
         ERR_INVALID_REQUEST,
         "Null value not supported for : retention.ms"},
        {{99, "x", "retention.ms", CONFIG_SET, "1"},
         ERR_INVALID_REQUEST,
         "Unknown resource type 99"},
        {{CONFIG_RESOURCE_BROKER_LOGGER, "2", "root", CONFIG_SET, "DEBUG"},
         ERR_INVALID_REQUEST,
         "Unexpected node id. Expected 1, but received 2"},
        {{CONFIG_RESOURCE_BROKER_LOGGER, "1", "nobody", CONFIG_SET, "DEBUG"},
         ERR_INVALID_CONFIG,
         "Logger nobody does not exist!"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const altered *response;

        alter_on(&desk.session, &rows[i].change, 1, false);
        response = asked.response;
        assert_int_equal(response->responses_count, 1);
        assert_slice(response->responses[0].error_message, rows[i].text);
        assert_int_equal(response->responses[0].error_code, rows[i].err);
        desk_request_end(&asked);
    }
    assert_int_equal(desk.calls, 0);
    assert_int_equal(desk.levels_set, 0);
}

static void a_resource_named_twice_is_refused_twice(void **state)
{
    static const struct change changes[] = {
        {CONFIG_RESOURCE_TOPIC, "topic", "retention.ms", CONFIG_SET, "1"},
        {CONFIG_RESOURCE_TOPIC, "topic", "segment.ms", CONFIG_SET, "1"},
    };
    const altered *response;

    UNUSED(state);
    alter_on(&desk.session, changes, 2, false);
    response = asked.response;
    for (int i = 0; i < 2; i++)
        assert_slice(response->responses[i].error_message,
                     "Each resource must appear at most once.");
    assert_int_equal(desk.calls, 0);
    desk_request_end(&asked);
}

static void log_levels_are_changed_here_and_only_checked_when_asked_so(void **state)
{
    static const struct change change = {CONFIG_RESOURCE_BROKER_LOGGER, "1", "storage", CONFIG_SET,
                                         "DEBUG"};

    UNUSED(state);
    alter_on(&desk.session, &change, 1, true);
    assert_int_equal(((altered *)asked.response)->responses[0].error_code, 0);
    desk_request_end(&asked);
    assert_int_equal(desk.levels_set, 0);
    alter_on(&desk.session, &change, 1, false);
    desk_request_end(&asked);
    assert_int_equal(desk.levels_set, 1);
    assert_slice(describe(CONFIG_RESOURCE_BROKER_LOGGER, "1", "storage")->configs[0].value,
                 "DEBUG");
}

static void the_controllers_results_take_their_places_among_the_brokers(void **state)
{
    static const struct change changes[] = {
        {CONFIG_RESOURCE_TOPIC, "topic", "retention.ms", CONFIG_SET, "1"},
        {99, "x", "retention.ms", CONFIG_SET, "1"},
        {CONFIG_RESOURCE_TOPIC, "other", "retention.ms", CONFIG_SET, "1"},
        {CONFIG_RESOURCE_BROKER_LOGGER, "1", "root", CONFIG_SET, "WARN"},
    };
    const struct incremental_alter_configs_request *sent;
    altered *from = incremental_alter_configs_response_array(&desk.arena, 1);
    const altered *response;

    UNUSED(state);
    alter_on(&desk.session, changes, 4, false);
    assert_false(asked.is_answered);
    sent = desk.call->request.body;
    assert_true(desk.call->request.forwarded);
    assert_int_equal(sent->resources_count, 2);
    assert_slice(sent->resources[1].resource_name, "other");
    from->responses =
        incremental_alter_configs_response_alter_configs_resource_response_array(&desk.arena, 2);
    from->responses_count = 2;
    for (int i = 0; i < 2; i++) {
        from->responses[i].resource_type = CONFIG_RESOURCE_TOPIC;
        from->responses[i].resource_name = sent->resources[i].resource_name;
        from->responses[i].error_message = SLICE_NULL;
    }
    from->responses[1].error_code = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    from->responses[1].error_message = SLICE("The topic 'other' does not exist.");
    desk_controller_answer(&desk, from, OK);
    response = asked.response;
    assert_int_equal(response->responses_count, 4);
    assert_int_equal(response->responses[0].error_code, 0);
    assert_true(slice_is_null(response->responses[0].error_message));
    assert_int_equal(response->responses[1].error_code, ERR_INVALID_REQUEST);
    assert_int_equal(response->responses[2].error_code, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_slice(response->responses[2].resource_name, "other");
    assert_int_equal(response->responses[3].error_code, 0);
    desk_request_end(&asked);
}

static void a_failed_controller_fails_only_its_resources(void **state)
{
    static const struct change changes[] = {
        {CONFIG_RESOURCE_BROKER_LOGGER, "1", "root", CONFIG_SET, "WARN"},
        {CONFIG_RESOURCE_TOPIC, "topic", "retention.ms", CONFIG_SET, "1"},
    };
    const altered *response;

    UNUSED(state);
    alter_on(&desk.session, changes, 2, false);
    desk_controller_answer(&desk, NULL, ERR_REQUEST_TIMED_OUT);
    response = asked.response;
    assert_int_equal(response->responses[0].error_code, 0);
    assert_int_equal(response->responses[1].error_code, ERR_REQUEST_TIMED_OUT);
    desk_request_end(&asked);
}

static void on_the_controller_listener_only_log_levels_are_settled_first(void **state)
{
    static const struct change changes[] = {
        {CONFIG_RESOURCE_BROKER_LOGGER, "1", "root", CONFIG_SET, "WARN"},
        {CONFIG_RESOURCE_BROKER, "2", "log.cleaner.threads", CONFIG_SET, "2"},
    };
    const altered *response;

    UNUSED(state);
    alter_on(&desk.controller, changes, 2, false);
    assert_false(desk.call->request.forwarded);
    assert_int_equal(((const struct incremental_alter_configs_request *)desk.call->request.body)
                         ->resources_count,
                     1);
    desk_controller_answer(&desk, NULL, OK);
    response = asked.response;
    assert_int_equal(response->responses_count, 1);
    assert_int_equal(response->responses[0].resource_type, CONFIG_RESOURCE_BROKER_LOGGER);
    assert_int_equal(desk.levels_set, 1);
    desk_request_end(&asked);
}

/* ---- AlterConfigs ---- */

static void replacing_log_levels_is_refused_and_topics_are_handed_on(void **state)
{
    struct alter_configs_request body;
    const struct alter_configs_response *response;

    UNUSED(state);
    alter_configs_request_init(&body);
    body.resources = alter_configs_request_alter_configs_resource_array(&desk.arena, 2);
    body.resources_count = 2;
    body.resources[0].resource_type = CONFIG_RESOURCE_BROKER_LOGGER;
    body.resources[0].resource_name = SLICE("1");
    body.resources[1].resource_type = CONFIG_RESOURCE_TOPIC;
    body.resources[1].resource_name = SLICE("topic");
    desk_ask(&desk, &asked, API_ALTER_CONFIGS, 2, &body, handle_alter_configs);
    assert_int_equal(
        ((const struct alter_configs_request *)desk.call->request.body)->resources_count, 1);
    desk_controller_answer(&desk, NULL, ERR_NOT_CONTROLLER);
    assert_false(asked.is_answered); /* it waits for a controller */
    desk_pass(&desk, 150);
    assert_int_equal(desk.calls, 2);
    desk_controller_answer(&desk, NULL, ERR_POLICY_VIOLATION);
    response = asked.response;
    assert_slice(response->responses[0].error_message, "Unknown resource type 8");
    assert_int_equal(response->responses[1].error_code, ERR_POLICY_VIOLATION);
    desk_request_end(&asked);
}

/* ---- ListConfigResources ---- */

static struct list_config_resources_response *list(int16_t version, const int8_t *types,
                                                   size_t count)
{
    struct list_config_resources_request body;

    list_config_resources_request_init(&body);
    body.resource_types = ARENA_ARRAY(&desk.arena, int8_t, count);
    for (size_t i = 0; i < count; i++)
        body.resource_types[i] = types[i];
    body.resource_types_count = (int32_t)count;
    desk_ask(&desk, &asked, API_LIST_CONFIG_RESOURCES, version, &body,
             handle_list_config_resources);
    desk_request_end(&asked);
    return asked.response;
}

static void resources_are_listed_by_kind(void **state)
{
    static const int8_t kinds[] = {CONFIG_RESOURCE_GROUP,         CONFIG_RESOURCE_CLIENT_METRICS,
                                   CONFIG_RESOURCE_BROKER_LOGGER, CONFIG_RESOURCE_BROKER_LOGGER,
                                   CONFIG_RESOURCE_BROKER,        CONFIG_RESOURCE_BROKER,
                                   CONFIG_RESOURCE_TOPIC};
    static const int8_t odd[] = {3};
    static const int8_t topics[] = {CONFIG_RESOURCE_TOPIC};
    struct list_config_resources_response *response = list(1, NULL, 0);

    UNUSED(state);
    assert_int_equal(response->config_resources_count, ARRAY_COUNT(kinds));
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        assert_int_equal(response->config_resources[i].resource_type, kinds[i]);
    assert_slice(response->config_resources[0].resource_name, "team");
    assert_slice(response->config_resources[3].resource_name, "2"); /* fenced ones too */
    assert_int_equal(list(1, odd, 1)->error_code, ERR_UNSUPPORTED_VERSION);
    response = list(1, topics, 1);
    assert_int_equal(response->config_resources_count, 1);
    response = list(0, NULL, 0);
    assert_int_equal(response->config_resources_count, 1);
    assert_slice(response->config_resources[0].resource_name, "watch");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_topics_value_comes_before_the_brokers),
        T(every_version_describes_what_it_can_carry),
        T(what_cannot_be_described_says_why),
        T(every_kind_of_resource_is_described),
        T(several_resources_are_described_each_as_alone),
        T(an_unknown_type_fails_the_whole_request),
        T(what_the_broker_refuses_never_reaches_the_controller),
        T(a_resource_named_twice_is_refused_twice),
        T(log_levels_are_changed_here_and_only_checked_when_asked_so),
        T(the_controllers_results_take_their_places_among_the_brokers),
        T(a_failed_controller_fails_only_its_resources),
        T(on_the_controller_listener_only_log_levels_are_settled_first),
        T(replacing_log_levels_is_refused_and_topics_are_handed_on),
        T(resources_are_listed_by_kind),
    };

    return cmocka_run_group_tests_name("configs", tests, NULL, NULL);
}
