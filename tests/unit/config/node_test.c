/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting with a file: what is refused, what is warned about, and the typed view of what remains.
 */
#include "config_fixture.h"

#define BASE                                                                                 \
    "process.roles=broker,controller\nnode.id=1\n"                                           \
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n" \
    "controller.quorum.bootstrap.servers=localhost:9093\n"

static struct config_report report;
static const struct config *config;
static struct node_config node;

static enum err start(const char *properties)
{
    struct config_file file = fixture_file(properties);
    enum err err;
    enum err node_err;

    config_report_init(&report, &arena);
    err = config_resolve(&arena, &(struct config_layers){.file = &file}, &report, &config);
    node_err = config_node(config, &report, &node);
    return err != OK ? err : node_err;
}

/* The texts of all findings of a kind, one per line. */
static char *findings(enum config_finding_kind kind)
{
    char *out = arena_format(&arena, "%s", "");

    for (const struct config_finding *f = report.first; f; f = f->next)
        if (f->kind == kind)
            out = arena_format(&arena, "%s%s\n", out, f->text);
    return out;
}

static void a_plain_combined_node_starts(void **state)
{
    UNUSED(state);
    if (start(BASE) != OK)
        fail_msg("%s", findings(CONFIG_FINDING_ERROR));
    assert_int_equal(report.count[CONFIG_FINDING_WARNING], 0);
    assert_true(node.broker);
    assert_true(node.controller);
    assert_int_equal(node.node_id, 1);
    assert_int_equal(node.listener_count, 2);
    assert_slice(node.listeners[0].name, "PLAINTEXT");
    assert_true(slice_is_null(node.listeners[0].host));
    assert_int_equal(node.listeners[0].port, 9092);
    assert_false(node.listeners[0].controller);
    assert_true(node.listeners[1].controller);
    assert_int_equal(node.advertised_count, 1);
    assert_false(node.advertised_set);
    assert_int_equal(node.advertised_controller_count, 1);
    assert_slice(node.inter_broker_listener, "PLAINTEXT");
    assert_int_equal(node.bootstrap_count, 1);
    assert_slice(node.bootstrap[0].host, "localhost");
    assert_slice(node.metadata_log_dir, "/tmp/kafka-logs");
    assert_int_equal(node.flush_mode, CONFIG_FLUSH_COMMIT);
    assert_false(node.http_on);
}

static void the_node_without_a_file_starts_without_complaint(void **state)
{
    UNUSED(state);
    if (start(config_properties_without_file) != OK)
        fail_msg("%s", findings(CONFIG_FINDING_ERROR));
    assert_int_equal(report.count[CONFIG_FINDING_WARNING], 0);
    assert_slice(node.listeners[0].host, "127.0.0.1");
    assert_slice(node.log_dirs.items[0], "./barnabas-data");
    assert_int_equal(config_int(config, BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR), 1);
}

static void a_start_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *properties;
        const char *error; /* a part of the findings */
    } rows[] = {
        {"node.id=1\n", "Missing required configuration \"process.roles\" which has no default "
                        "value."},
        {BASE "num.partitions=0\n",
         "server.properties:6: Invalid value 0 for configuration num.partitions: Value must be at "
         "least 1 (allowed: int [1,...])"},
        {BASE "num.partitions=many\n",
         "Invalid value many for configuration num.partitions: Not a number of type INT (allowed: "
         "int [1,...])"},
        {BASE "compression.type=zip\n", "String must be one of: uncompressed, zstd, lz4, snappy, "
                                        "gzip, producer"},
        {BASE "process.roles=broker,king\n", "Invalid value king for configuration process.roles"},
        {BASE "barnabas.shard=1\n",
         "server.properties:6: unknown key barnabas.shard: did you mean barnabas.shards?"},
        {BASE "barnabas.flush.mode=never\n", "String must be one of: commit, os"},
        {BASE "broker.id=2\n", "`node.id` and `broker.id` must be set to the same value"},
        {BASE "authorizer.class.name=kafka.Acl\n",
         "server.properties:6: authorizer.class.name cannot be set: authorisation is not built "
         "yet"},
        {BASE "remote.log.storage.system.enable=true\n", "tiered storage is not built yet"},
        {BASE "listener.name.plaintext.ssl.keystore.location=/k\n",
         "listener.name.plaintext.ssl.keystore.location cannot be set: TLS is not built yet"},
        {BASE "listeners=SSL://:9092,CONTROLLER://:9093\n",
         "listener SSL asks for SSL: only PLAINTEXT listeners are built so far"},
        {BASE "listener.security.protocol.map=PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT\n",
         "listener PLAINTEXT asks for SASL_SSL: only PLAINTEXT listeners are built so far"},
        {BASE "listener.security.protocol.map=PLAINTEXT:TLS,CONTROLLER:PLAINTEXT\n",
         "Invalid security protocol `TLS` defined in listener.security.protocol.map"},
        {BASE "listener.security.protocol.map=PLAINTEXT:PLAINTEXT\n",
         "No security protocol defined for listener CONTROLLER"},
        {BASE "listeners=PLAINTEXT:9092,CONTROLLER://:9093\n",
         "Error creating broker listeners from '[PLAINTEXT:9092, CONTROLLER://:9093]': Unable to "
         "parse PLAINTEXT:9092 to a broker endpoint"},
        {BASE "listeners=PLAINTEXT://:9092,plaintext://:9094,CONTROLLER://:9093\n",
         "Each listener must have a different name"},
        {BASE "listeners=PLAINTEXT://:9093,CONTROLLER://:9093\n",
         "Each listener must have a different port unless"},
        {BASE "listeners=CONTROLLER://:9093\n", "There must be at least one broker advertised "
                                                "listener"},
        {BASE "listeners=PLAINTEXT://:9092\n",
         "controller.listener.names must contain at least one value appearing in the 'listeners' "
         "configuration"},
        {BASE "advertised.listeners=PLAINTEXT://0.0.0.0:9092\n",
         "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0"},
        {BASE "advertised.listeners=OTHER://h:9092\n", "No security protocol defined for listener "
                                                       "OTHER"},
        {BASE "inter.broker.listener.name=OTHER\n",
         "Listener with name OTHER defined in inter.broker.listener.name not found"},
        {BASE "controller.quorum.voters=2@localhost:9093\n",
         "the node id 1 must be included in the set of voters"},
        {BASE "controller.quorum.voters=1:localhost:9093\n",
         "Invalid configuration value for controller.quorum.voters"},
        {BASE "controller.quorum.voters=x@localhost:9093\n",
         "Failed to parse voter ID as an integer from x"},
        {BASE "controller.quorum.bootstrap.servers=\n", "If using process.roles, either "
                                                        "controller.quorum.bootstrap.servers"},
        {BASE "controller.quorum.bootstrap.servers=localhost\n",
         "Failed to parse host name from localhost"},
        {BASE "process.roles=broker\n", "controller.listener.names must not contain a value "
                                        "appearing in the 'listeners'"},
        {BASE "log.roll.ms=0\n", "log.roll.ms must be greater than or equal to 1"},
        {BASE "log.retention.ms=0\n", "log.retention.ms must be unlimited (-1) or"},
        {BASE "log.cleaner.dedupe.buffer.size=1048576\n", "at least 1MB per cleaner thread"},
        {BASE "log.cleaner.min.compaction.lag.ms=9\nlog.cleaner.max.compaction.lag.ms=5\n",
         "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (5)"},
        {BASE "replica.fetch.wait.max.ms=40000\n", "replica.socket.timeout.ms should always"},
        {BASE "queued.max.request.bytes=10\n", "queued.max.request.bytes must be larger or equal"},
        {BASE "max.connections.per.ip=0\n", "can be set to zero only if"},
        {BASE "max.connections.per.ip.overrides=host:3\n",
         "host is a name: give its address, names are not looked up for this"},
        {BASE "max.connections.per.ip.overrides=host\n", "host is not of the form host:count"},
        {BASE "group.consumer.session.timeout.ms=70000\n",
         "group.consumer.session.timeout.ms must be less than or equal to "
         "group.consumer.max.session.timeout.ms"},
        {BASE "cordoned.log.dirs=/x\n", "Missing entries : /x"},
        {BASE "early.start.listeners=X\n", "early.start.listeners contains listener X"},
        {BASE "barnabas.http.listener=8080\n", "Value must be host:port or empty"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(start(rows[i].properties), ERR_CONFIG);
        if (!strstr(findings(CONFIG_FINDING_ERROR), rows[i].error))
            fail_msg("row %zu: expected \"%s\" in:\n%s", i, rows[i].error,
                     findings(CONFIG_FINDING_ERROR));
    }
}

static void all_problems_of_a_file_are_named_at_once(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "num.partitions=0\nlog.roll.ms=0\nssl.client.auth=required\n"),
                     ERR_CONFIG);
    assert_int_equal(report.count[CONFIG_FINDING_ERROR], 3);
}

static void a_refused_key_at_its_default_is_no_problem(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "authorizer.class.name=\nssl.client.auth=none\n"
                                "remote.log.storage.system.enable=false\n"
                                "security.inter.broker.protocol=PLAINTEXT\n"),
                     OK);
}

static void unknown_keys_warn_with_the_nearest_match(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "num.partition=3\nmy.own=1\nzookeeper.connect=z:2181\n"
                                "leader.replication.throttled.rate=5\n"),
                     OK);
    assert_string_equal(
        findings(CONFIG_FINDING_WARNING),
        "server.properties:6: unknown key num.partition is ignored: did you mean "
        "num.partitions?\n"
        "server.properties:7: unknown key my.own is ignored\n"
        "server.properties:8: zookeeper.connect is no key of Kafka 4.4 and is ignored: there is no "
        "ZooKeeper since Kafka 4.0: set process.roles and the controller quorum\n"
        "server.properties:9: leader.replication.throttled.rate is ignored in a file: it is set "
        "with kafka-configs\n");
    assert_int_equal(config_int(config, BROKER_NUM_PARTITIONS), 1);
}

static void keys_without_effect_are_listed_once(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "num.io.threads=16\nremote.log.reader.threads=5\n"), OK);
    assert_string_equal(findings(CONFIG_FINDING_NO_EFFECT),
                        "server.properties:6: num.io.threads is set but without effect: requests "
                        "run on shards: see barnabas.shards\n");
    assert_string_equal(findings(CONFIG_FINDING_LATER),
                        "server.properties:7: remote.log.reader.threads is set but has no effect "
                        "before its part is built: tiered storage\n");
}

static void retention_and_roll_take_the_finest_unit_that_is_set(void **state)
{
    static const struct {
        const char *properties;
        int64_t retention_ms;
        int64_t roll_ms;
    } rows[] = {
        {BASE, 604800000, 604800000},
        {BASE "log.retention.hours=1\nlog.roll.hours=2\n", 3600000, 7200000},
        {BASE "log.retention.hours=1\nlog.retention.minutes=2\n", 120000, 604800000},
        {BASE "log.retention.minutes=2\nlog.retention.ms=3\nlog.roll.ms=4\n", 3, 4},
        {BASE "log.retention.hours=-1\n", -1, 604800000},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(start(rows[i].properties), OK);
        assert_int_equal(config_log_retention_ms(config), rows[i].retention_ms);
        assert_int_equal(config_log_roll_ms(config), rows[i].roll_ms);
    }
}

static void sizes_and_times_may_carry_a_unit(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "log.segment.bytes=64MiB\nlog.retention.ms=7d\n"
                                "log.roll.hours=2d\nquota.window.size.seconds=2min\n"
                                "message.max.bytes=1 MiB\n"),
                     OK);
    assert_int_equal(config_long(config, BROKER_LOG_SEGMENT_BYTES), 64 << 20);
    assert_int_equal(config_log_retention_ms(config), 604800000);
    assert_int_equal(config_long(config, BROKER_LOG_ROLL_HOURS), 48);
    assert_int_equal(config_long(config, BROKER_QUOTA_WINDOW_SIZE_SECONDS), 120);
    assert_int_equal(config_long(config, BROKER_MESSAGE_MAX_BYTES), 1 << 20);
    assert_slice(config_static(config, text("log.segment.bytes")), "67108864");
    assert_int_equal(start(BASE "log.segment.bytes=64MB\n"), ERR_CONFIG); /* 1000 or 1024? */
    assert_int_equal(start(BASE "log.segment.bytes=7d\n"), ERR_CONFIG);   /* not a size */
    assert_int_equal(start(BASE "log.roll.hours=90min\n"), ERR_CONFIG);   /* not whole hours */
    assert_int_equal(start(BASE "num.partitions=3KiB\n"), ERR_CONFIG);    /* no unit */
    assert_int_equal(start(BASE "log.segment.bytes=9999999TiB\n"), ERR_CONFIG);
}

static void old_and_new_name_of_the_node_id_stand_for_each_other(void **state)
{
    UNUSED(state);
    assert_int_equal(start("broker.id=7\nprocess.roles=broker,controller\n"
                           "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                           "controller.listener.names=CONTROLLER\n"
                           "controller.quorum.bootstrap.servers=localhost:9093\n"),
                     OK);
    assert_int_equal(node.node_id, 7);
}

static void a_wildcard_bind_announces_the_address_of_the_connection(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "listeners=PLAINTEXT://0.0.0.0:9092,CONTROLLER://[::1]:9093\n"),
                     OK);
    assert_true(slice_is_null(node.advertised[0].host));
    assert_slice(node.listeners[0].host, "0.0.0.0");
    assert_slice(node.listeners[1].host, "::1");
    assert_int_equal(start(BASE "advertised.listeners=PLAINTEXT://kafka.example:19092\n"), OK);
    assert_true(node.advertised_set);
    assert_slice(node.advertised[0].host, "kafka.example");
    assert_int_equal(node.advertised[0].port, 19092);
}

static void a_static_quorum_announces_the_controller_as_its_voter_entry(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "controller.quorum.bootstrap.servers=\n"
                                "controller.quorum.voters=1@ctl.example:9193,2@b:9193\n"),
                     OK);
    assert_int_equal(node.voter_count, 2);
    assert_slice(node.advertised_controllers[0].host, "ctl.example");
    assert_int_equal(node.advertised_controllers[0].port, 9193);
}

static void one_port_may_serve_ipv4_and_ipv6(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "listeners=PLAINTEXT://127.0.0.1:9092,V6://[::1]:9092,"
                                "CONTROLLER://:9093\nlistener.security.protocol.map="
                                "PLAINTEXT:PLAINTEXT,V6:PLAINTEXT,CONTROLLER:PLAINTEXT\n"),
                     OK);
    assert_int_equal(node.listener_count, 3);
}

static void limits_can_be_set_per_listener_and_per_address(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "max.connections=100\nlistener.name.plaintext.max.connections=7\n"
                                "max.connections.per.ip.overrides=127.0.0.1:3,::2:4\n"),
                     OK);
    assert_int_equal(config_listener_long(config, text("PLAINTEXT"), BROKER_MAX_CONNECTIONS), 7);
    assert_int_equal(config_listener_long(config, text("OTHER"), BROKER_MAX_CONNECTIONS), 100);
    assert_int_equal(node.ip_limit_count, 2);
    assert_slice(node.ip_limits[1].host, "::2");
    assert_int_equal(node.ip_limits[1].connections_max, 4);
}

static void a_key_that_no_listener_has_for_itself_is_told(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "listener.name.plaintext.connections.max.idle.ms=5000\n"
                                "listener.name.plaintext.max.connections=5\n"),
                     OK);
    assert_int_equal(report.count[CONFIG_FINDING_NO_EFFECT], 1);
    assert_non_null(strstr(findings(CONFIG_FINDING_NO_EFFECT),
                           "listener.name.plaintext.connections.max.idle.ms is set but without "
                           "effect: connections.max.idle.ms is the same for every listener"));
}

static void a_password_never_reaches_a_message(void **state)
{
    UNUSED(state);
    assert_int_equal(start(BASE "ssl.keystore.password=hunter2\n"
                                "listener.name.x.sasl.jaas.config=hunter2\n"),
                     ERR_CONFIG);
    assert_null(strstr(findings(CONFIG_FINDING_ERROR), "hunter2"));
}

static void bad_dynamic_values_are_reported_and_ignored(void **state)
{
    struct config_file file = fixture_file(BASE "log.segment.bytes=2000000\n");
    struct config_pair cluster[] = {{text("log.segment.bytes"), text("x")},
                                    {text("num.partitions"), text("9")},
                                    {text("listeners"), text("PLAINTEXT://:1")},
                                    {text("message.max.bytes"), text("5")}};
    struct config_set set = {cluster, ARRAY_COUNT(cluster)};
    struct config_layers layers = {.file = &file, .cluster = &set};

    UNUSED(state);
    config_report_init(&report, &arena);
    assert_int_equal(config_resolve(&arena, &layers, &report, &config), OK);
    assert_int_equal(report.count[CONFIG_FINDING_IGNORED], 3);
    assert_int_equal(config_long(config, BROKER_LOG_SEGMENT_BYTES), 2000000);
    assert_int_equal(config_int(config, BROKER_NUM_PARTITIONS), 1);
    assert_int_equal(config_long(config, BROKER_MESSAGE_MAX_BYTES), 5);
}

static void patterns_match_whole_topic_names(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } rows[] = {
        {"logs", "logs", true},
        {"logs", "logs2", false},
        {"logs*", "logs2", true},
        {"*", "", true},
        {"*", "x", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"*-raw", "a-raw", true},
        {"*-raw", "a-raw2", false},
        {"a*b*c", "axxbyyc", true},
        {"a*b*c", "axxcyyb", false},
        {"", "", true},
        {"", "x", false},
        {"**a", "bba", true},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(config_pattern_matches(text(rows[i].pattern), text(rows[i].name)),
                         rows[i].matches);
}

static void memory_may_run_out_anywhere_in_a_start(void **state)
{
    struct config_file file = fixture_file(BASE "num.io.threads=3\nno.key=1\n");
    struct config_layers layers = {.file = &file};

    UNUSED(state);
    for (int64_t at = 0; at < 200; at++) {
        struct allocator_failing failing;
        struct arena small;
        struct config_report found;
        enum err err;

        allocator_failing_init(&failing, &heap_allocator, at, true);
        arena_init(&small, &failing.base, SIZE_MAX);
        config_report_init(&found, &small);
        err = config_resolve(&small, &layers, &found, &config);
        if (err == OK)
            err = config_node(config, &found, &node);
        arena_release(&small);
        assert_int_equal(failing.bytes_in_use, 0);
        if (err == OK)
            return;
        assert_int_equal(err, ERR_NO_MEMORY);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plain_combined_node_starts),
        TEST(the_node_without_a_file_starts_without_complaint),
        TEST(a_start_is_refused_with_a_reason),
        TEST(all_problems_of_a_file_are_named_at_once),
        TEST(a_refused_key_at_its_default_is_no_problem),
        TEST(unknown_keys_warn_with_the_nearest_match),
        TEST(keys_without_effect_are_listed_once),
        TEST(retention_and_roll_take_the_finest_unit_that_is_set),
        TEST(sizes_and_times_may_carry_a_unit),
        TEST(old_and_new_name_of_the_node_id_stand_for_each_other),
        TEST(a_wildcard_bind_announces_the_address_of_the_connection),
        TEST(a_static_quorum_announces_the_controller_as_its_voter_entry),
        TEST(one_port_may_serve_ipv4_and_ipv6),
        TEST(limits_can_be_set_per_listener_and_per_address),
        TEST(a_key_that_no_listener_has_for_itself_is_told),
        TEST(a_password_never_reaches_a_message),
        TEST(bad_dynamic_values_are_reported_and_ignored),
        TEST(patterns_match_whole_topic_names),
        TEST(memory_may_run_out_anywhere_in_a_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
