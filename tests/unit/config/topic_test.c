/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic values over the broker's, validation and alteration at the controller, printing of values.
 */
#include "config_fixture.h"

#include "base/random.h"

static void a_topic_without_own_values_has_the_brokers(void **state)
{
    struct topic_config topic;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(
        topic_config_resolve(&arena,
                             fixture_broker("log.retention.minutes=2\nlog.roll.hours=3\n"
                                            "log.flush.scheduler.interval.ms=5\n"
                                            "message.max.bytes=77\ncompression.type=zstd\n"
                                            "compression.zstd.level=7\nlog.cleanup.policy="
                                            "compact,delete\nlog.message.timestamp.type="
                                            "LogAppendTime\nmin.insync.replicas=2\n"),
                             NULL, &topic, &why),
        OK);
    assert_int_equal(topic.retention_ms, 120000);
    assert_int_equal(topic.segment_ms, 10800000);
    assert_int_equal(topic.flush_ms, 5);
    assert_int_equal(topic.max_message_bytes, 77);
    assert_int_equal(topic.compression, TOPIC_COMPRESSION_CODEC_ZSTD);
    assert_int_equal(topic.compression_level, 7);
    assert_true(topic.compact);
    assert_true(topic.delete_segments);
    assert_true(topic.message_timestamp_log_append);
    assert_int_equal(topic.min_insync_replicas, 2);
    assert_int_equal(topic.segment_bytes, 1 << 30);
    assert_int_equal(topic.local_retention_ms, 120000); /* -2: as retention */
    assert_int_equal(topic.local_retention_bytes, -1);
    assert_int_equal(topic.remote_copy_lag_bytes, -1);
    assert_int_equal(topic.flush_messages, INT64_MAX);
    assert_slice(topic.leader_throttled_replicas, "");
}

static void own_values_win_and_bad_ones_are_skipped(void **state)
{
    struct config_pair pairs[] = {
        {text("retention.ms"), text(" 5 ")},
        {text("segment.bytes"), text("nonsense")},
        {text("no.such"), text("1")},
        {text("internal.segment.bytes"), text("1000")},
        {text("cleanup.policy"), text("")},
        {text("compression.type"), text("gzip")},
        {text("follower.replication.throttled.replicas"), text("0:1, 2:3")},
    };
    struct config_set set = {pairs, ARRAY_COUNT(pairs)};
    struct topic_config topic;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(topic_config_resolve(&arena, fixture_broker(""), &set, &topic, &why),
                     ERR_CONFIG);
    assert_string_equal(why.text, "Unknown topic config name: no.such");
    assert_int_equal(topic.retention_ms, 5);
    assert_int_equal(topic.segment_bytes, 1000);
    assert_false(topic.compact);
    assert_false(topic.delete_segments);
    assert_int_equal(topic.compression, TOPIC_COMPRESSION_CODEC_GZIP);
    assert_int_equal(topic.compression_level, -1);
    assert_true(topic_config_throttles(topic.follower_throttled_replicas, 2, 3));
    assert_false(topic_config_throttles(topic.follower_throttled_replicas, 2, 1));
    assert_true(topic_config_throttles(text("*"), 9, 9));
    assert_false(topic_config_throttles(text(""), 0, 0));
}

static void the_effective_value_names_its_layer(void **state)
{
    struct config_file file = fixture_file("log.retention.hours=2\n");
    struct config_pair own[] = {{text("retention.ms"), text("1")}};
    struct config_pair dynamic[] = {{text("log.retention.ms"), text("3")}};
    struct config_set topic = {own, 1};
    struct config_set layer = {dynamic, 1};
    struct config_layers layers = {.file = &file};
    enum config_source source;

    UNUSED(state);
    assert_slice(config_topic_effective(&arena, &layers, NULL, TOPIC_RETENTION_MS, &source),
                 "7200000");
    assert_int_equal(source, CONFIG_SOURCE_STATIC);
    layers.cluster = &layer;
    assert_slice(config_topic_effective(&arena, &layers, NULL, TOPIC_RETENTION_MS, &source), "3");
    assert_int_equal(source, CONFIG_SOURCE_DYNAMIC_DEFAULT);
    layers.node = &layer;
    (void)config_topic_effective(&arena, &layers, NULL, TOPIC_RETENTION_MS, &source);
    assert_int_equal(source, CONFIG_SOURCE_DYNAMIC_BROKER);
    assert_slice(config_topic_effective(&arena, &layers, &topic, TOPIC_RETENTION_MS, &source), "1");
    assert_int_equal(source, CONFIG_SOURCE_TOPIC);
    assert_slice(config_topic_effective(&arena, &layers, NULL, TOPIC_SEGMENT_BYTES, &source),
                 "1073741824");
    assert_int_equal(source, CONFIG_SOURCE_DEFAULT);
}

static void append_and_subtract_start_from_the_default(void **state)
{
    struct config_rules rules = {0};
    struct config_operation append = {CONFIG_APPEND, text("cleanup.policy"), text("compact")};
    struct config_operation subtract = {CONFIG_SUBTRACT, text("cleanup.policy"), text("delete")};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"), NULL,
                                  &append, 1, &out, &why),
                     OK);
    assert_int_equal(out.changes.count, 1);
    assert_slice(out.changes.pairs[0].value, "delete,compact");
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"),
                                  &out.outcome, &append, 1, &out, &why),
                     OK);
    assert_int_equal(out.changes.count, 0); /* there already: no record */
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"), NULL,
                                  &subtract, 1, &out, &why),
                     OK);
    assert_slice(out.changes.pairs[0].value, "");
}

static void one_bad_operation_changes_nothing(void **state)
{
    struct config_rules rules = {0};
    struct config_operation operations[] = {
        {CONFIG_SET, text("retention.ms"), text("5")},
        {CONFIG_SET, text("segment.ms"), text("0")},
    };
    struct config_operation twice[] = {operations[0], operations[0]};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"), NULL,
                                  operations, 2, &out, &why),
                     ERR_INVALID_CONFIG);
    assert_string_equal(why.text,
                        "Invalid value 0 for configuration segment.ms: Value must be at least 1");
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"), NULL,
                                  twice, 2, &out, &why),
                     ERR_INVALID_REQUEST);
    assert_string_equal(why.text, "Error due to duplicate config keys");
}

static void replacing_removes_what_is_not_listed(void **state)
{
    struct config_rules rules = {0};
    struct config_pair before[] = {{text("retention.ms"), text("5")},
                                   {text("segment.ms"), text("6")}};
    struct config_pair wanted[] = {{text("retention.ms"), text("5")},
                                   {text("flush.ms"), text("7")}};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_replace(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"),
                                    &(struct config_set){before, 2},
                                    &(struct config_set){wanted, 2}, &out, &why),
                     OK);
    assert_int_equal(out.changes.count, 2);
    assert_slice(out.changes.pairs[0].key, "flush.ms");
    assert_slice(out.changes.pairs[1].key, "segment.ms");
    assert_true(slice_is_null(out.changes.pairs[1].value));
    assert_int_equal(out.outcome.count, 2);
}

static void a_key_of_ours_never_becomes_a_record(void **state)
{
    struct config_rules rules = {.forwarded = true};
    struct config_operation operation = {CONFIG_SET, text("barnabas.shards"), text("2")};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &operation, 1, &out, &why),
                     ERR_INVALID_REQUEST);
    assert_int_equal(
        config_broker_alter_check(&arena, fixture_broker(""), true, &operation, 1, &why),
        ERR_INVALID_REQUEST);
    assert_string_equal(why.text, "Cannot update these configs dynamically: [barnabas.shards]");
}

static void feature_levels_forbid_some_broker_changes(void **state)
{
    struct config_rules rules = {.elr = true};
    struct config_operation isr = {CONFIG_SET, text("min.insync.replicas"), text("2")};
    struct config_operation isr_gone = {CONFIG_DELETE, text("min.insync.replicas"), SLICE_NULL};
    struct config_operation cordon = {CONFIG_SET, text("cordoned.log.dirs"), text("/a")};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &isr, 1, &out, &why),
                     ERR_INVALID_CONFIG);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text(""), NULL,
                                  &isr, 1, &out, &why),
                     OK);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text(""), NULL,
                                  &isr_gone, 1, &out, &why),
                     ERR_INVALID_CONFIG);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &cordon, 1, &out, &why),
                     ERR_INVALID_CONFIG);
    rules.cordoned_allowed = true; /* still not forwarded by the broker that knows its dirs */
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &cordon, 1, &out, &why),
                     ERR_INVALID_CONFIG);
    rules.forwarded = true;
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &cordon, 1, &out, &why),
                     OK);
}

static void a_value_is_at_most_32767_bytes(void **state)
{
    struct config_rules rules = {0};
    char *large = arena_allocate(&arena, 32768);
    struct config_operation operation = {CONFIG_SET, text("x"), slice_of(large, 32768)};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    memset(large, 'a', 32768);
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &operation, 1, &out, &why),
                     ERR_INVALID_CONFIG);
    operation.value.size_bytes = 32767;
    assert_int_equal(config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_BROKER, text("1"), NULL,
                                  &operation, 1, &out, &why),
                     OK);
}

static void tiering_a_topic_can_not_be_undone_silently(void **state)
{
    struct config_pair before[] = {{text("remote.storage.enable"), text("true")}};
    struct config_pair after[] = {{text("remote.storage.enable"), text("false")},
                                  {text("remote.log.delete.on.disable"), text("true")}};
    struct config_set current = {before, 1};
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_validate(&arena, NULL, CONFIG_RESOURCE_TOPIC, text("t"), &current,
                                     &(struct config_set){after, 1}, &why),
                     ERR_INVALID_CONFIG);
    assert_int_equal(config_validate(&arena, NULL, CONFIG_RESOURCE_TOPIC, text("t"), &current,
                                     &(struct config_set){after, 2}, &why),
                     OK);
}

static void doubles_are_printed_as_java_prints_them(void **state)
{
    static const struct {
        const char *source;
        const char *printed;
    } rows[] = {
        {"0", "0.0"},
        {"-0", "-0.0"},
        {"0.5", "0.5"},
        {"0.250", "0.25"},
        {"1", "1.0"},
        {"10", "10.0"},
        {"007.50", "7.5"},
        {"1234567", "1234567.0"},
        {"9999999", "9999999.0"},
        {"10000000", "1.0E7"},
        {"12345678", "1.2345678E7"},
        {"0.001", "0.001"},
        {"0.00012", "1.2E-4"},
        {"1e3", "1000.0"},
        {"1.5e-7", "1.5E-7"},
        {"1.7976931348623157E308", "1.7976931348623157E308"},
        {"-2.50e1", "-25.0"},
        {"1e-400", "0.0"}, /* too small for any but zero */
        {"-0.01e-2147483648", "-0.0"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_slice(config_double_text(&arena, text(rows[i].source)), rows[i].printed);
}

/* The longest value that a request can hold, with as many different items as it has room for. */
static struct slice many_items(void)
{
    char *data = arena_allocate(&arena, 32768);
    size_t at = 0;

    assert_non_null(data);
    for (int i = 0; i < 8191; i++) {
        data[at++] = (char)('a' + i % 26);
        data[at++] = (char)('a' + i / 26 % 26);
        data[at++] = (char)('a' + i / 676);
        data[at++] = ',';
    }
    return slice_of(data, at - 1);
}

static void lists_of_many_items_are_not_compared_each_with_each(void **state)
{
    struct slice many = many_items();
    struct config_value value;
    struct slice out;

    UNUSED(state);
    for (int i = 0; i < 500; i++) { /* each with each: minutes */
        arena_reset(&arena);
        many = many_items();
        assert_int_equal(
            config_value_parse(&arena, config_topic_key(TOPIC_CLEANUP_POLICY), many, &value, NULL),
            ERR_CONFIG);
        assert_int_equal(config_list_change(&arena, many, many, true, &out), OK);
        assert_true(slice_equal(out, many));
        assert_int_equal(config_list_change(&arena, many, many, false, &out), OK);
        assert_int_equal(out.size_bytes, 0);
    }
}

static void a_changed_list_keeps_its_order_and_has_what_is_added_once(void **state)
{
    static const struct {
        const char *before, *change;
        bool append;
        const char *after;
    } rows[] = {
        {"a,b", "c,a,c", true, "a,b,c"},
        {"a,,b", "x,,y", true, "a,b,x,,y"},
        {"a,a", "a", true, "a,a"},
        {"", "a,a", true, "a"},
        {"a,b,a,c", "a,d", false, "b,c"},
        {"a,,b", ",", false, "a,b"},
        {"a", "a", false, ""},
        {"", "a", false, ""},
    };
    struct slice out;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(config_list_change(&arena, text(rows[i].before), text(rows[i].change),
                                            rows[i].append, &out),
                         OK);
        assert_slice(out, rows[i].after);
    }
}

static void values_are_parsed_as_kafka_parses_them(void **state)
{
    static const struct {
        const char *key;
        const char *source;
        const char *printed; /* NULL: refused */
    } rows[] = {
        {"num.partitions", " +5 ", "5"},
        {"num.partitions", "5.0", NULL},
        {"num.partitions", "", NULL},
        {"num.partitions", "2147483648", NULL},
        {"offsets.topic.replication.factor", "32768", NULL},
        {"log.retention.bytes", "9223372036854775807", "9223372036854775807"},
        {"log.retention.bytes", "9223372036854775808", NULL},
        {"auto.create.topics.enable", " TRUE ", "true"},
        {"auto.create.topics.enable", "1", NULL},
        {"log.dirs", " /a , /b,/a ", "/a,/b"},
        {"log.dirs", "", NULL},
        {"log.dirs", "/a,,/b", NULL},
        {"log.cleanup.policy", "", ""},
        {"log.cleanup.policy", "Compact", NULL},
        {"group.consumer.migration.policy", "upgrade", "upgrade"},
        {"log.cleaner.min.cleanable.ratio", "1.01", NULL},
        {"compression.gzip.level", "-1", "-1"},
        {"compression.gzip.level", "0", NULL},
        {"compression.gzip.level", "9", "9"},
        {"broker.rack", " a b ", "a b"},
        {"controller.quorum.voters", "1@[::1]:9093,2@h:1", "1@[::1]:9093,2@h:1"},
        {"controller.quorum.voters", "1@h:99999", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bool prefixed;
        const struct config_key *key =
            &config_broker_keys[config_broker_find(text(rows[i].key), &prefixed)];
        struct config_value value;
        enum err err = config_value_parse(&arena, key, text(rows[i].source), &value, NULL);

        if ((err == OK) != (rows[i].printed != NULL))
            fail_msg("%s=%s: %s", rows[i].key, rows[i].source, err_name(err));
        if (rows[i].printed)
            assert_slice(config_value_text(&arena, key, &value), rows[i].printed);
    }
}

/* Every key of every table against texts of all kinds: a value that is taken prints to a text that is
 * taken and prints the same. */
static void a_printed_value_parses_to_itself(void **state)
{
    static const char *const parts[] = {"0",  "-1", "9",    "1e9", ".5", ",",       " ",    "*",
                                        "a",  ":",  "true", "\t",  "@",  "gzip",    "host", "[::1]",
                                        "P1", "T",  "-",    "+",   "E3", "compact", "=",    "/"};
    const enum config_resource resources[] = {CONFIG_RESOURCE_BROKER, CONFIG_RESOURCE_TOPIC,
                                              CONFIG_RESOURCE_GROUP,
                                              CONFIG_RESOURCE_CLIENT_METRICS};
    struct random random;
    size_t taken = 0;

    UNUSED(state);
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        const struct config_table *table;
        const struct config_key *key;
        struct config_value value;
        struct slice printed;
        char *source = arena_format(&arena, "%s", "");

        random_init(&random, seed);
        table = config_table_of(resources[random_below(&random, ARRAY_COUNT(resources))]);
        key = &table->keys[random_below(&random, table->count)];
        for (uint64_t n = random_below(&random, 5); n > 0; n--)
            source = arena_format(&arena, "%s%s", source,
                                  parts[random_below(&random, ARRAY_COUNT(parts))]);
        if (config_value_parse(&arena, key, text(source), &value, NULL) != OK)
            continue;
        taken++;
        printed = config_value_text(&arena, key, &value);
        if (config_value_parse(&arena, key, printed, &value, NULL) != OK ||
            !slice_equal(config_value_text(&arena, key, &value), printed))
            fail_msg("seed %llu: %s=\"%s\"", (unsigned long long)seed, key->name, source);
        arena_reset(&arena);
    }
    assert_true(taken > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_topic_without_own_values_has_the_brokers),
        TEST(own_values_win_and_bad_ones_are_skipped),
        TEST(the_effective_value_names_its_layer),
        TEST(append_and_subtract_start_from_the_default),
        TEST(one_bad_operation_changes_nothing),
        TEST(replacing_removes_what_is_not_listed),
        TEST(a_key_of_ours_never_becomes_a_record),
        TEST(feature_levels_forbid_some_broker_changes),
        TEST(a_value_is_at_most_32767_bytes),
        TEST(tiering_a_topic_can_not_be_undone_silently),
        TEST(doubles_are_printed_as_java_prints_them),
        TEST(lists_of_many_items_are_not_compared_each_with_each),
        TEST(a_changed_list_keeps_its_order_and_has_what_is_added_once),
        TEST(a_printed_value_parses_to_itself),
        TEST(values_are_parsed_as_kafka_parses_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
