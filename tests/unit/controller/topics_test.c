/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CreateTopics, DeleteTopics, CreatePartitions: every refusal, placement, and what is written.
 */
#include "support.h"

#include "base/fmt.h"
#include "config/config.h"

static void a_topic_is_written_as_topic_and_partitions(void **state)
{
    struct fixture fixture;
    const struct create_topics_response_creatable_topic_result *result;
    const struct metadata_partition *partition;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    result = fixture_create(&fixture, "orders", 4, 3);
    assert_int_equal(result->error_code, 0);
    assert_int_equal(result->num_partitions, 4);
    assert_int_equal(result->replication_factor, 3);
    assert_true(result->configs_count > 20);
    assert_int_equal(fixture.records_written, 5);
    assert_true(fixture.result.atomic);
    assert_true(uuid_equal(result->topic_id, fixture_topic(&fixture, "orders")->id));
    for (int32_t i = 0; i < 4; i++) {
        partition = fixture_partition(&fixture, "orders", i);
        assert_int_equal(partition->replica_count, 3);
        assert_int_equal(partition->isr_count, 3);
        assert_int_equal(partition->leader, partition->replicas[0]);
        assert_int_equal(partition->leader_epoch, 0);
        assert_int_equal(partition->partition_epoch, 0);
        for (size_t r = 0; r < 3; r++)
            assert_true(uuid_equal(partition->directories[r],
                                   fixture_directory(partition->replicas[r], 0)));
    }
    fixture_end(&fixture);
}

struct refusal {
    const char *name;
    int32_t partitions;
    int16_t factor;
    int16_t code;
    const char *text;
};

static void a_name_or_number_that_cannot_be_is_refused_with_kafkas_words(void **state)
{
    static char long_name[251];
    const struct refusal cases[] = {
        {"", 1, 1, 17, "Topic name is invalid: the empty string is not allowed"},
        {".", 1, 1, 17, "Topic name is invalid: '.' is not allowed"},
        {"..", 1, 1, 17, "Topic name is invalid: '..' is not allowed"},
        {"a b", 1, 1, 17,
         "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
         "alphanumerics, '.', '_' and '-'"},
        {long_name, 1, 1, 17, NULL},
        {"there.is_one", 1, 1, 36, "Topic 'there.is_one' already exists."},
        {"there_is.one", 1, 1, 17,
         "Topic 'there_is.one' collides with existing topic: there.is_one"},
        {"there_is_one", 1, 1, 17,
         "Topic 'there_is_one' collides with existing topic: there.is_one"},
        {"a", 1, 0, 38,
         "Replication factor must be larger than 0, or -1 to use the default value."},
        {"a", 1, -2, 38,
         "Replication factor must be larger than 0, or -1 to use the default value."},
        {"a", 0, 1, 37, "Number of partitions was set to an invalid non-positive value."},
        {"a", -2, 1, 37, "Number of partitions was set to an invalid non-positive value."},
        {"a", 1, 4, 38,
         "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot "
         "be reached because only 3 broker(s) are registered or some brokers have all their log "
         "directories cordoned."},
        {"__cluster_metadata", 1, 1, 42,
         "Creation of internal topic __cluster_metadata is prohibited."},
    };
    struct fixture fixture;

    (void)state;
    memset(long_name, 'x', 250);
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 3);
    assert_int_equal(fixture_create(&fixture, "there.is_one", 1, 1)->error_code, 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct create_topics_response_creatable_topic_result *result =
            fixture_create(&fixture, cases[i].name, cases[i].partitions, cases[i].factor);

        if (result->error_code != cases[i].code ||
            (cases[i].text && !slice_equal_text(result->error_message, cases[i].text)))
            fail_msg("'%s': %d %.*s", cases[i].name, result->error_code,
                     SLICE_ARGS(result->error_message));
        assert_int_equal(fixture.records_written, 0);
    }
    fixture_end(&fixture);
}

static void minus_one_means_the_controllers_defaults(void **state)
{
    struct controller_options options = fixture_options();
    struct fixture fixture;

    (void)state;
    options.partitions_default = 5;
    options.replication_factor_default = 2;
    fixture_start_with(&fixture, METADATA_VERSION_LATEST, &options);
    fixture_brokers(&fixture, 3);
    assert_int_equal(fixture_create(&fixture, "a", -1, -1)->error_code, 0);
    assert_int_equal(fixture_topic(&fixture, "a")->partition_count, 5);
    assert_int_equal(fixture_partition(&fixture, "a", 4)->replica_count, 2);
    fixture_end(&fixture);
}

static void the_longest_name_is_accepted(void **state)
{
    struct fixture fixture;
    char name[250] = {0};

    (void)state;
    memset(name, 'x', 249);
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    assert_int_equal(fixture_create(&fixture, name, 1, 1)->error_code, 0);
    fixture_end(&fixture);
}

/* ---- assignments ---- */

struct manual {
    const char *what;
    int32_t indexes[3];
    int32_t replicas[3][3]; /* -1 ends */
    int32_t count;
    int32_t partitions;
    int16_t factor;
    int16_t code;
    const char *text;
};

static const struct manual manuals[] = {
    {"good", {1, 0}, {{1, 0, -1}, {0, 1, -1}}, 2, -1, -1, 0, NULL},
    {"factor",
     {0},
     {{0, -1}},
     1,
     -1,
     1,
     42,
     "A manual partition assignment was specified, but replication factor was not set to -1."},
    {"partitions",
     {0},
     {{0, -1}},
     1,
     1,
     -1,
     42,
     "A manual partition assignment was specified, but numPartitions was not set to -1."},
    {"twice",
     {0, 0},
     {{0, -1}, {1, -1}},
     2,
     -1,
     -1,
     39,
     "Found multiple manual partition assignments for partition 0"},
    {"empty",
     {0},
     {{-1}},
     1,
     -1,
     -1,
     39,
     "The manual partition assignment includes an empty replica list."},
    {"unknown",
     {0},
     {{7, -1}},
     1,
     -1,
     -1,
     39,
     "The manual partition assignment includes broker 7, but no such broker is registered."},
    {"repeated",
     {0},
     {{1, 1, -1}},
     1,
     -1,
     -1,
     39,
     "The manual partition assignment includes the broker 1 more than once."},
    {"sizes",
     {0, 1},
     {{0, 1, -1}, {1, -1}},
     2,
     -1,
     -1,
     39,
     "The manual partition assignment includes a partition with 1 replica(s), but this is not "
     "consistent with previous partitions, which have 2 replica(s)."},
    {"hole",
     {0, 2},
     {{0, -1}, {1, -1}},
     2,
     -1,
     -1,
     39,
     "partitions should be a consecutive 0-based integer sequence"},
    {"negative",
     {0, -1},
     {{0, -1}, {1, -1}},
     2,
     -1,
     -1,
     39,
     "partitions should be a consecutive 0-based integer sequence"},
    {"fenced",
     {0},
     {{2, -1}},
     1,
     -1,
     -1,
     39,
     "All brokers specified in the manual partition assignment for partition 0 are fenced or in "
     "controlled shutdown."},
};

static void an_assignment_by_hand_is_checked(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_register(&fixture, 2, NULL, 1); /* stays fenced */
    for (size_t i = 0; i < ARRAY_COUNT(manuals); i++) {
        struct create_topics_request_creatable_replica_assignment assignments[3];
        struct create_topics_request_creatable_topic topic = {
            .name = slice_from_text(manuals[i].what),
            .num_partitions = manuals[i].partitions,
            .replication_factor = manuals[i].factor,
            .assignments = assignments,
            .assignments_count = manuals[i].count};
        struct create_topics_request request = {.topics = &topic, .topics_count = 1};
        const struct create_topics_response *response;
        int32_t replicas[3][3];

        memcpy(replicas, manuals[i].replicas, sizeof replicas);
        for (int32_t j = 0; j < manuals[i].count; j++) {
            int32_t count = 0;

            while (count < 3 && replicas[j][count] >= 0)
                count++;
            assignments[j] = (struct create_topics_request_creatable_replica_assignment){
                manuals[i].indexes[j], replicas[j], count};
        }
        response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
        assert_non_null(response);
        if (response->topics[0].error_code != manuals[i].code ||
            (manuals[i].text &&
             !slice_equal_text(response->topics[0].error_message, manuals[i].text)))
            fail_msg("%s: %d %.*s", manuals[i].what, response->topics[0].error_code,
                     SLICE_ARGS(response->topics[0].error_message));
    }
    assert_int_equal(fixture_partition(&fixture, "good", 1)->leader, 1);
    assert_int_equal(fixture_partition(&fixture, "good", 0)->leader, 0);
    fixture_end(&fixture);
}

/* ---- the whole request ---- */

static void answers_come_in_request_order_with_repeated_names_last(void **state)
{
    struct fixture fixture;
    struct create_topics_request request;
    const struct create_topics_response *response;
    const char *names[] = {"b", "x", "a", "x", "__cluster_metadata"};

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 5);
    request.topics_count = 5;
    for (size_t i = 0; i < 5; i++) {
        request.topics[i].name = slice_from_text(names[i]);
        request.topics[i].num_partitions = 1;
        request.topics[i].replication_factor = 1;
    }
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics_count, 4);
    assert_true(slice_equal_text(response->topics[0].name, "b"));
    assert_true(slice_equal_text(response->topics[1].name, "a"));
    assert_true(slice_equal_text(response->topics[2].name, "x"));
    assert_int_equal(response->topics[2].error_code, 42);
    assert_true(slice_equal_text(response->topics[2].error_message, "Duplicate topic name."));
    assert_int_equal(response->topics[3].error_code, 42);
    assert_null(fixture_topic(&fixture, "x"));
    fixture_end(&fixture);
}

static void a_refused_topic_leaves_the_others_alone(void **state)
{
    struct fixture fixture;
    struct create_topics_request_creatable_topic_config config = {SLICE("retention.ms"),
                                                                  SLICE("soon")};
    struct create_topics_request request;
    const struct create_topics_response *response;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 2);
    request.topics_count = 2;
    for (size_t i = 0; i < 2; i++) {
        request.topics[i].num_partitions = 1;
        request.topics[i].replication_factor = 1;
    }
    request.topics[0].name = SLICE("bad");
    request.topics[0].configs = &config;
    request.topics[0].configs_count = 1;
    request.topics[1].name = SLICE("good");
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics[0].error_code, 40);
    assert_int_equal(response->topics[1].error_code, 0);
    assert_int_equal(fixture.records_written, 2);
    config.value = SLICE_NULL;
    request.topics_count = 1;
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_true(slice_equal_text(response->topics[0].error_message,
                                 "Null value not supported for topic configs: retention.ms"));
    config.value = SLICE("60000");
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics[0].error_code, 0);
    assert_true(slice_equal_text(metadata_image_config(controller_view(fixture.controller),
                                                       METADATA_RESOURCE_TOPIC, SLICE("bad"),
                                                       SLICE("retention.ms")),
                                 "60000"));
    fixture_end(&fixture);
}

static void validate_only_writes_nothing_but_answers_in_full(void **state)
{
    struct fixture fixture;
    struct create_topics_request request;
    const struct create_topics_response *response;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    create_topics_request_init(&request);
    request.validate_only = true;
    request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 1);
    request.topics_count = 1;
    request.topics[0].name = SLICE("a");
    request.topics[0].num_partitions = 3;
    request.topics[0].replication_factor = 1;
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics[0].error_code, 0);
    assert_int_equal(response->topics[0].num_partitions, 3);
    assert_int_equal(fixture.records_written, 0);
    assert_null(fixture_topic(&fixture, "a"));
    fixture_end(&fixture);
}

/* ---- collisions ---- */

enum { SEPARATORS = 200, ALIKE = 2000, TRIED = 250 * 1000 };

/* Separators of chance, or all of them '_', and a number. */
static struct slice separated(struct fixture *fixture, const char *letter, size_t number)
{
    uint8_t *name = arena_allocate(&fixture->arena, SEPARATORS + 16);

    for (size_t i = 0; i < SEPARATORS; i++)
        name[i] = letter[0] == 'x' && random_below(&fixture->random, 2) == 0 ? '.' : '_';
    return slice_of(name, SEPARATORS + fmt((char *)name + SEPARATORS, 16, "%s%zu", letter, number));
}

static void separated_request(struct fixture *fixture, struct create_topics_request *request,
                              const char *letter, size_t count, int32_t partitions)
{
    create_topics_request_init(request);
    request->topics = create_topics_request_creatable_topic_array(&fixture->arena, count);
    request->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        request->topics[i].name = separated(fixture, letter, i);
        request->topics[i].num_partitions = partitions;
        request->topics[i].replication_factor = 1;
    }
}

static void separated_answer_is(struct fixture *fixture, struct create_topics_request *request,
                                int16_t code)
{
    const struct create_topics_response *response =
        fixture_call(fixture, API_CREATE_TOPICS, request);

    for (int32_t i = 0; i < request->topics_count; i++)
        assert_int_equal(response->topics[i].error_code, code);
}

/* Half a million beginnings of names that a new one could go on from, and each new one goes all those ways. Those of
 * no partition are many in a request. */
static void names_that_begin_alike_but_for_separators_are_not_all_followed(void **state)
{
    const struct create_topics_response *response;
    struct create_topics_request request;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture.check_snapshots = false;
    separated_request(&fixture, &request, "x", ALIKE, 1);
    request.topics[ALIKE - 1].name = SLICE("there.is_one");
    request.topics[ALIKE - 2].name = SLICE("none");
    separated_answer_is(&fixture, &request, 0);
    separated_request(&fixture, &request, "y", ALIKE, 1); /* else minutes */
    request.validate_only = true;
    separated_answer_is(&fixture, &request, 0);
    separated_request(&fixture, &request, "y", TRIED, 0); /* else a minute */
    separated_answer_is(&fixture, &request, 37);
    separated_request(&fixture, &request, "x", ALIKE, 0); /* found all the same */
    request.topics[ALIKE - 1].name = SLICE("there_is.one");
    request.topics[ALIKE - 2].name = SLICE("no.ne");
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    for (size_t i = 0; i < ALIKE; i++)
        assert_int_equal(response->topics[i].error_code, i == ALIKE - 2 ? 37 : 17);
    assert_true(
        slice_equal_text(response->topics[ALIKE - 1].error_message,
                         "Topic 'there_is.one' collides with existing topic: there.is_one"));
    fixture_end(&fixture);
}

/* ---- configs of the answer ---- */

static void answer_config_is(const struct create_topics_response_creatable_topic_result *result,
                             const char *name, const char *value, enum config_source source)
{
    for (int32_t i = 0; i < result->configs_count; i++) {
        if (!slice_equal_text(result->configs[i].name, name))
            continue;
        if (!slice_equal_text(result->configs[i].value, value) ||
            result->configs[i].config_source != (int8_t)source)
            fail_msg("%s: %.*s of source %d", name, SLICE_ARGS(result->configs[i].value),
                     result->configs[i].config_source);
        return;
    }
    fail_msg("no %s", name);
}

/* DescribeConfigs takes log.retention.hours for a default; the answer of CreateTopics for what the file says. */
static void the_answer_tells_where_a_config_comes_from_by_whatever_name(void **state)
{
    static const char properties[] =
        "node.id=0\nprocess.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n"
        "log.retention.hours=100\nlog.roll.ms=3600000\n";
    struct config_pair cluster_pairs[] = {{SLICE("message.max.bytes"), SLICE("2000000")}};
    struct config_pair node_pairs[] = {{SLICE("log.retention.ms"), SLICE("42000000")}};
    struct config_set cluster = {cluster_pairs, 1}, node = {node_pairs, 1};
    struct controller_options options = fixture_options();
    struct create_topics_request request;
    struct config_report report;
    struct config_file file;
    struct fixture fixture;
    struct arena arena;
    struct why why = {0};

    (void)state;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(config_file_parse(&arena, SLICE("server.properties"),
                                       slice_from_text(properties), &file, &why),
                     OK);
    for (int with_node = 0; with_node < 2; with_node++) {
        struct config_layers layers = {&file, &cluster, with_node ? &node : NULL};

        config_report_init(&report, &arena);
        assert_int_equal(config_resolve(&arena, &layers, &report, &options.config), OK);
        fixture_start_with(&fixture, METADATA_VERSION_LATEST, &options);
        fixture_brokers(&fixture, 1);
        create_topics_request_init(&request);
        request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 2);
        request.topics[0].name = SLICE("a");
        request.topics[1].name = SLICE("b");
        for (request.topics_count = 1; request.topics_count <= 2; request.topics_count++) {
            const struct create_topics_response *response;

            request.validate_only = true;
            request.topics[request.topics_count - 1].num_partitions = 1;
            request.topics[request.topics_count - 1].replication_factor = 1;
            response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
            for (int32_t i = 0; i < response->topics_count; i++) {
                const struct create_topics_response_creatable_topic_result *result =
                    &response->topics[i];

                answer_config_is(result, "retention.ms", with_node ? "42000000" : "360000000",
                                 with_node ? CONFIG_SOURCE_DYNAMIC_BROKER : CONFIG_SOURCE_STATIC);
                answer_config_is(result, "segment.ms", "3600000", CONFIG_SOURCE_STATIC);
                answer_config_is(result, "max.message.bytes", "2000000",
                                 CONFIG_SOURCE_DYNAMIC_DEFAULT);
                answer_config_is(result, "flush.ms", "9223372036854775807", CONFIG_SOURCE_DEFAULT);
            }
        }
        fixture_end(&fixture);
    }
    arena_release(&arena);
}

static void a_config_that_is_named_again_has_the_value_named_last(void **state)
{
    struct create_topics_request_creatable_topic_config configs[] = {
        {.name = SLICE("retention.ms"), .value = SLICE("no number")},
        {.name = SLICE("segment.ms"), .value = SLICE("5")},
        {.name = SLICE("retention.ms"), .value = SLICE(" 7 ")}};
    struct fixture fixture;
    struct create_topics_request request;
    const struct create_topics_response *response;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 1);
    request.topics_count = 1;
    request.topics[0].name = SLICE("a");
    request.topics[0].num_partitions = 1;
    request.topics[0].replication_factor = 1;
    request.topics[0].configs = configs;
    request.topics[0].configs_count = 3;
    response = fixture_call(&fixture, API_CREATE_TOPICS, &request);
    assert_int_equal(response->topics[0].error_code, 0);
    answer_config_is(&response->topics[0], "retention.ms", " 7 ", CONFIG_SOURCE_TOPIC);
    answer_config_is(&response->topics[0], "segment.ms", "5", CONFIG_SOURCE_TOPIC);
    assert_true(slice_equal_text(metadata_image_config(controller_view(fixture.controller),
                                                       METADATA_RESOURCE_TOPIC, SLICE("a"),
                                                       SLICE("retention.ms")),
                                 " 7 "));
    fixture_end(&fixture);
}

static void ten_thousand_partitions_are_the_limit_of_a_request(void **state)
{
    struct fixture fixture;
    struct create_topics_request request;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture.check_snapshots = false;
    create_topics_request_init(&request);
    request.topics = create_topics_request_creatable_topic_array(&fixture.arena, 1);
    request.topics_count = 1;
    request.topics[0].name = SLICE("a");
    request.topics[0].num_partitions = 10001;
    request.topics[0].replication_factor = 1;
    assert_null(fixture_call(&fixture, API_CREATE_TOPICS, &request));
    assert_int_equal(fixture.err, ERR_POLICY_VIOLATION);
    assert_string_equal(fixture.result.why.text,
                        "Excessively large number of partitions per request.");
    request.topics[0].num_partitions = 10000; /* and the topic record: one record too many */
    assert_null(fixture_call(&fixture, API_CREATE_TOPICS, &request));
    assert_int_equal(fixture.err, ERR_POLICY_VIOLATION);
    request.topics[0].num_partitions = 9999;
    assert_non_null(fixture_call(&fixture, API_CREATE_TOPICS, &request));
    assert_int_equal(fixture_topic(&fixture, "a")->partition_count, 9999);
    fixture_end(&fixture);
}

static void a_request_that_fails_whole_is_answered_in_its_own_form(void **state)
{
    struct create_topics_request_creatable_topic topics[2] = {{.name = SLICE("a")},
                                                              {.name = SLICE("b")}};
    struct create_topics_request create = {.topics = topics, .topics_count = 2};
    struct controller_request request = {
        .api_key = API_CREATE_TOPICS, .api_version = 7, .body = &create};
    const struct create_topics_response *response;
    struct fixture fixture;
    void *answer;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    for (int16_t key = 0; key <= API_KEY_MAX; key++) {
        const struct api *api = api_find(key);
        struct writer writer;

        if (!api || !controller_handles(key))
            continue;
        request.api_key = key;
        request.body = arena_zeroed(&fixture.arena, 1, message_struct_bytes(api->request));
        for (int16_t version = api->request->version_min; version <= api->request->version_max;
             version++) {
            request.api_version = version;
            assert_int_equal(controller_error_response(&request, ERR_NOT_CONTROLLER, NULL,
                                                       &fixture.arena, &answer),
                             OK);
            writer_init(&writer, &heap_allocator, SIZE_MAX);
            assert_int_equal(message_encode(api->response, version, answer, &writer), OK);
            writer_release(&writer);
        }
    }
    request.api_key = API_CREATE_TOPICS;
    request.body = &create;
    assert_int_equal(
        controller_error_response(&request, ERR_NOT_CONTROLLER, NULL, &fixture.arena, &answer), OK);
    response = answer;
    assert_int_equal(response->topics_count, 2);
    assert_true(slice_equal_text(response->topics[1].name, "b"));
    assert_int_equal(response->topics[1].error_code, 41);
    request.api_key = API_PRODUCE;
    assert_int_equal(
        controller_error_response(&request, ERR_NOT_CONTROLLER, NULL, &fixture.arena, &answer),
        ERR_UNKNOWN_API);
    fixture_end(&fixture);
}

/* ---- placement ---- */

static void leaders_and_replicas_are_spread_evenly(void **state)
{
    int leaders[6] = {0}, replicas[6] = {0};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 6);
    assert_int_equal(fixture_create(&fixture, "a", 60, 3)->error_code, 0);
    for (int32_t i = 0; i < 60; i++) {
        const struct metadata_partition *partition = fixture_partition(&fixture, "a", i);

        leaders[partition->replicas[0]]++;
        for (size_t r = 0; r < 3; r++) {
            replicas[partition->replicas[r]]++;
            for (size_t other = 0; other < r; other++)
                assert_int_not_equal(partition->replicas[r], partition->replicas[other]);
        }
    }
    for (int id = 0; id < 6; id++) {
        assert_int_equal(leaders[id], 10);
        assert_in_range(replicas[id], 24, 36);
    }
    fixture_end(&fixture);
}

static void replicas_of_a_partition_stand_in_different_racks(void **state)
{
    const char *racks[] = {"x", "y", "z"};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    for (int32_t id = 0; id < 9; id++) {
        fixture_register(&fixture, id, racks[id % 3], 1);
        fixture_unfence(&fixture, id);
    }
    assert_int_equal(fixture_create(&fixture, "a", 90, 3)->error_code, 0);
    for (int32_t i = 0; i < 90; i++) {
        const struct metadata_partition *partition = fixture_partition(&fixture, "a", i);

        assert_int_not_equal(partition->replicas[0] % 3, partition->replicas[1] % 3);
        assert_int_not_equal(partition->replicas[0] % 3, partition->replicas[2] % 3);
        assert_int_not_equal(partition->replicas[1] % 3, partition->replicas[2] % 3);
    }
    fixture_end(&fixture);
}

static void fenced_brokers_follow_but_never_lead(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    fixture_register(&fixture, 2, NULL, 1);
    assert_int_equal(fixture_create(&fixture, "a", 20, 2)->error_code, 0);
    assert_int_equal(fixture_create(&fixture, "b", 20, 3)->error_code, 0);
    for (int32_t i = 0; i < 20; i++) {
        const struct metadata_partition *pair = fixture_partition(&fixture, "a", i);
        const struct metadata_partition *triple = fixture_partition(&fixture, "b", i);

        assert_int_not_equal(pair->replicas[1], 2); /* the unfenced ones suffice */
        assert_int_equal(triple->replicas[2], 2);
        assert_int_equal(triple->isr_count, 2);
    }
    fixture_end(&fixture);
}

static void the_directory_of_a_new_replica_is_known_only_when_there_is_one(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_register(&fixture, 0, NULL, 2);
    fixture_unfence(&fixture, 0);
    assert_int_equal(fixture_create(&fixture, "a", 1, 1)->error_code, 0);
    assert_true(
        uuid_equal(fixture_partition(&fixture, "a", 0)->directories[0], DIRECTORY_UNASSIGNED));
    fixture_end(&fixture);
    fixture_start(&fixture, METADATA_VERSION_3_3_IV3); /* before directories */
    fixture_register(&fixture, 0, NULL, 2);
    fixture_unfence(&fixture, 0);
    assert_int_equal(fixture_create(&fixture, "a", 1, 1)->error_code, 0);
    assert_true(
        uuid_equal(fixture_partition(&fixture, "a", 0)->directories[0], DIRECTORY_MIGRATING));
    fixture_end(&fixture);
}

/* ---- quota ---- */

struct counting_quota {
    struct controller_quota base;
    double left;
};

static enum err counting_record(struct controller_quota *self, double permits)
{
    struct counting_quota *quota = (struct counting_quota *)self;

    if (quota->left < 0)
        return ERR_THROTTLING_QUOTA_EXCEEDED;
    quota->left -= permits;
    return OK;
}

static void a_strict_quota_refuses_what_comes_after_it_is_used_up(void **state)
{
    struct counting_quota quota = {.base.record = counting_record, .left = 3};
    const struct create_topics_response_creatable_topic_result *refused;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    fixture.quota = &quota.base;
    assert_int_equal(fixture_create(&fixture, "a", 5, 1)->error_code, 0);
    refused = fixture_create(&fixture, "b", 1, 1);
    assert_int_equal(refused->error_code, 89);
    assert_true(slice_is_null(refused->error_message)); /* the code says it all */
    assert_null(fixture_topic(&fixture, "b"));
    fixture_end(&fixture);
}

/* ---- deletion ---- */

static const struct delete_topics_response *
delete_run(struct fixture *fixture, const struct delete_topics_request_delete_topic_state *topics,
           int32_t count)
{
    struct delete_topics_request request;

    delete_topics_request_init(&request);
    request.topics = ARENA_ARRAY(&fixture->arena, struct delete_topics_request_delete_topic_state,
                                 (size_t)count);
    memcpy(request.topics, topics, (size_t)count * sizeof *topics);
    request.topics_count = count;
    return fixture_call(fixture, API_DELETE_TOPICS, &request);
}

static int16_t code_of_name(const struct delete_topics_response *response, const char *name)
{
    for (int32_t i = 0; i < response->responses_count; i++) {
        if (slice_equal_text(response->responses[i].name, name))
            return response->responses[i].error_code;
    }
    return -99;
}

static struct slice text_of_code(const struct delete_topics_response *response, int16_t code)
{
    for (int32_t i = 0; i < response->responses_count; i++) {
        if (response->responses[i].error_code == code)
            return response->responses[i].error_message;
    }
    return SLICE_NULL;
}

static int16_t code_of_id(const struct delete_topics_response *response, struct uuid id)
{
    for (int32_t i = 0; i < response->responses_count; i++) {
        if (uuid_equal(response->responses[i].topic_id, id))
            return response->responses[i].error_code;
    }
    return -99;
}

static void topics_are_deleted_by_name_and_by_id(void **state)
{
    struct delete_topics_request_delete_topic_state topics[9];
    const struct delete_topics_response *response;
    struct uuid nowhere = {{1}};
    struct uuid b, c, d;
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 1);
    for (const char *name = "abcd"; *name; name++)
        assert_int_equal(fixture_create(&fixture, (char[]){*name, 0}, 2, 1)->error_code, 0);
    fixture_set_config(&fixture, METADATA_RESOURCE_TOPIC, "a", "retention.ms", "1000");
    b = fixture_topic(&fixture, "b")->id;
    c = fixture_topic(&fixture, "c")->id;
    d = fixture_topic(&fixture, "d")->id;
    topics[0] = (struct delete_topics_request_delete_topic_state){.name = SLICE("a")};
    topics[1] = (struct delete_topics_request_delete_topic_state){.topic_id = b};
    topics[2] = (struct delete_topics_request_delete_topic_state){.name = SLICE("gone")};
    topics[3] = (struct delete_topics_request_delete_topic_state){.topic_id = nowhere};
    topics[4] = (struct delete_topics_request_delete_topic_state){.name = SLICE("c")};
    topics[5] = (struct delete_topics_request_delete_topic_state){.topic_id = c};
    topics[6] =
        (struct delete_topics_request_delete_topic_state){.name = SLICE("e"), .topic_id = d};
    topics[7] = (struct delete_topics_request_delete_topic_state){.name = SLICE("twice")};
    topics[8] = (struct delete_topics_request_delete_topic_state){.name = SLICE("twice")};
    response = delete_run(&fixture, topics, 9);
    assert_int_equal(response->responses_count, 7);
    assert_int_equal(code_of_name(response, "a"), 0);
    assert_int_equal(code_of_id(response, b), 0);
    assert_int_equal(code_of_name(response, "gone"), 3);
    assert_int_equal(code_of_id(response, nowhere), 100);
    assert_true(slice_equal_text(text_of_code(response, 3),
                                 "This server does not host this topic-partition."));
    assert_true(
        slice_equal_text(text_of_code(response, 100), "This server does not host this topic ID."));
    assert_int_equal(code_of_name(response, "c"), 42);
    assert_int_equal(code_of_name(response, "e"), 42);
    assert_int_equal(code_of_name(response, "twice"), 42);
    assert_null(fixture_topic(&fixture, "a"));
    assert_null(fixture_topic(&fixture, "b"));
    assert_non_null(fixture_topic(&fixture, "c"));
    assert_non_null(fixture_topic(&fixture, "d"));
    assert_null(metadata_image_configs(controller_view(fixture.controller), METADATA_RESOURCE_TOPIC,
                                       SLICE("a")));
    fixture_end(&fixture);
}

static void deletion_can_be_switched_off(void **state)
{
    struct delete_topics_request_delete_topic_state topic = {.name = SLICE("a")};
    struct controller_options options = fixture_options();
    struct fixture fixture;

    (void)state;
    options.topic_deletion = false;
    fixture_start_with(&fixture, METADATA_VERSION_LATEST, &options);
    assert_null(delete_run(&fixture, &topic, 1));
    assert_int_equal(fixture.err, ERR_TOPIC_DELETION_DISABLED);
    fixture.api_version = 2;
    assert_null(delete_run(&fixture, &topic, 1));
    assert_int_equal(fixture.err, ERR_INVALID_REQUEST);
    fixture_end(&fixture);
}

/* ---- more partitions ---- */

static const struct create_partitions_response_create_partitions_topic_result *
grow(struct fixture *fixture, const char *name, int32_t count,
     struct create_partitions_request_create_partitions_assignment *assignments,
     int32_t assignment_count)
{
    struct create_partitions_request_create_partitions_topic topic = {.name = slice_from_text(name),
                                                                      .count = count,
                                                                      .assignments = assignments,
                                                                      .assignments_count =
                                                                          assignment_count};
    struct create_partitions_request request = {.topics = &topic, .topics_count = 1};
    const struct create_partitions_response *response =
        fixture_call(fixture, API_CREATE_PARTITIONS, &request);

    assert_non_null(response);
    return &response->results[0];
}

static void a_topic_grows_and_never_shrinks(void **state)
{
    int32_t one[] = {0};
    int32_t pair[] = {1, 0};
    struct create_partitions_request_create_partitions_assignment assignment = {pair, 2};
    struct fixture fixture;

    (void)state;
    fixture_start(&fixture, METADATA_VERSION_LATEST);
    fixture_brokers(&fixture, 2);
    assert_int_equal(fixture_create(&fixture, "a", 3, 2)->error_code, 0);
    assert_int_equal(grow(&fixture, "b", 4, NULL, -1)->error_code, 3);
    assert_true(slice_is_null(grow(&fixture, "b", 4, NULL, -1)->error_message)); /* as Kafka */
    assert_true(slice_equal_text(grow(&fixture, "a", 3, NULL, -1)->error_message,
                                 "Topic already has 3 partition(s)."));
    assert_true(
        slice_equal_text(grow(&fixture, "a", 2, NULL, -1)->error_message,
                         "The topic a currently has 3 partition(s); 2 would not be an increase."));
    assert_int_equal(grow(&fixture, "a", 5, &assignment, 1)->error_code, 39);
    assert_int_equal(grow(&fixture, "a", INT32_MAX, NULL, -1)->error_code, 44);
    assert_int_equal(grow(&fixture, "a", 4, &assignment, 1)->error_code, 0);
    assert_int_equal(fixture_partition(&fixture, "a", 3)->leader, 1);
    assignment = (struct create_partitions_request_create_partitions_assignment){one, 1};
    assert_int_equal(grow(&fixture, "a", 5, &assignment, 1)->error_code, 39);
    assert_int_equal(grow(&fixture, "a", 70, NULL, -1)->error_code, 0);
    assert_int_equal(fixture_topic(&fixture, "a")->partition_count, 70);
    assert_int_equal(fixture_partition(&fixture, "a", 69)->replica_count, 2);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_written_as_topic_and_partitions),
        cmocka_unit_test(a_name_or_number_that_cannot_be_is_refused_with_kafkas_words),
        cmocka_unit_test(minus_one_means_the_controllers_defaults),
        cmocka_unit_test(the_longest_name_is_accepted),
        cmocka_unit_test(an_assignment_by_hand_is_checked),
        cmocka_unit_test(answers_come_in_request_order_with_repeated_names_last),
        cmocka_unit_test(a_refused_topic_leaves_the_others_alone),
        cmocka_unit_test(validate_only_writes_nothing_but_answers_in_full),
        cmocka_unit_test(names_that_begin_alike_but_for_separators_are_not_all_followed),
        cmocka_unit_test(the_answer_tells_where_a_config_comes_from_by_whatever_name),
        cmocka_unit_test(a_config_that_is_named_again_has_the_value_named_last),
        cmocka_unit_test(ten_thousand_partitions_are_the_limit_of_a_request),
        cmocka_unit_test(a_request_that_fails_whole_is_answered_in_its_own_form),
        cmocka_unit_test(leaders_and_replicas_are_spread_evenly),
        cmocka_unit_test(replicas_of_a_partition_stand_in_different_racks),
        cmocka_unit_test(fenced_brokers_follow_but_never_lead),
        cmocka_unit_test(the_directory_of_a_new_replica_is_known_only_when_there_is_one),
        cmocka_unit_test(a_strict_quota_refuses_what_comes_after_it_is_used_up),
        cmocka_unit_test(topics_are_deleted_by_name_and_by_id),
        cmocka_unit_test(deletion_can_be_switched_off),
        cmocka_unit_test(a_topic_grows_and_never_shrinks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
