/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alter and describe against what an Apache Kafka 4.4.0 node with the same file answered to the same
 * sequence of operations (tests/golden/config: server.properties, alter.txt, describe_*.txt).
 */
#include "config_fixture.h"

/* Answers that differ on purpose. */
static const struct {
    const char *key;
    const char *value;
    const char *reason;
} deviations[] = {
    {"max.connections.per.ip.overrides", "bad", "Apache shows the text of a Java index exception"},
};

static struct fixture_set sets[5]; /* node, cluster, topic, group, client metrics */
enum { NODE, CLUSTER, TOPIC, GROUP, METRICS };

static const struct config *resolve(void)
{
    struct config_file file = fixture_file(fixture_read("server.properties"));
    struct config_layers layers = {&file, &sets[CLUSTER].set, &sets[NODE].set};
    struct config_report report;
    const struct config *config;
    enum err err;

    config_report_init(&report, &arena);
    err = config_resolve(&arena, &layers, &report, &config);
    assert_true(err == OK || err == ERR_CONFIG); /* ssl.keystore.password is refused in a file */
    assert_non_null(config);
    return config;
}

static enum config_operation_kind kind_of(const char *name)
{
    return name[0] == 'D'   ? CONFIG_DELETE
           : name[0] == 'A' ? CONFIG_APPEND
           : name[1] == 'U' ? CONFIG_SUBTRACT
                            : CONFIG_SET;
}

static const char *outcome_of(enum err err)
{
    switch (err) {
    case OK:
        return "OK";
    case ERR_INVALID_REQUEST:
        return "InvalidRequestException";
    case ERR_INVALID_CONFIG:
        return "InvalidConfigurationException";
    default:
        return err_name(err);
    }
}

static enum err alter(char **row, struct why *why)
{
    struct config_rules rules = {.cordoned_allowed = true, .forwarded = true};
    struct config_operation operation = {kind_of(row[2]), text(row[3]), text(row[4])};
    bool broker = strcmp(row[0], "BROKER") == 0;
    int which = broker                         ? (row[1][0] ? NODE : CLUSTER)
                : strcmp(row[0], "TOPIC") == 0 ? TOPIC
                : strcmp(row[0], "GROUP") == 0 ? GROUP
                                               : METRICS;
    static const enum config_resource resources[] = {CONFIG_RESOURCE_BROKER, CONFIG_RESOURCE_BROKER,
                                                     CONFIG_RESOURCE_TOPIC, CONFIG_RESOURCE_GROUP,
                                                     CONFIG_RESOURCE_CLIENT_METRICS};
    const struct config *config = resolve();
    struct config_alteration alteration;

    if (broker) {
        struct config *plain = (struct config *)config;
        struct config_file *file = (struct config_file *)config->file;

        for (size_t i = 0; i < file->set.count; i++)
            if (slice_equal_text(file->set.pairs[i].key, "ssl.keystore.password"))
                ((struct config_pair *)file->set.pairs)[i].key = text("ssl.gone");
        TRY(config_broker_alter_check(&arena, plain, which == NODE, &operation, 1, why));
    }
    TRY(config_alter(&arena, config, &rules, resources[which], text(row[1]), &sets[which].set,
                     &operation, 1, &alteration, why));
    for (size_t i = 0; i < alteration.changes.count; i++)
        fixture_set_put(&sets[which], alteration.changes.pairs[i].key,
                        alteration.changes.pairs[i].value);
    return OK;
}

static bool deviates(const char *key, const char *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(deviations); i++)
        if (strcmp(deviations[i].key, key) == 0 && strcmp(deviations[i].value, value) == 0)
            return true;
    return false;
}

static void replay(bool check)
{
    char *at = fixture_read("alter.txt");
    char *row[7];
    size_t rows = 0;

    memset(sets, 0, sizeof sets);
    /* A cluster formatted with eligible.leader.replicas.version 1 begins with this. */
    fixture_set_put(&sets[CLUSTER], text("min.insync.replicas"), text("1"));
    fixture_set_put(&sets[TOPIC], text("cleanup.policy"), text("compact, delete"));
    fixture_set_put(&sets[TOPIC], text("retention.ms"), text("123"));
    fixture_set_put(&sets[TOPIC], text("min.cleanable.dirty.ratio"), text("0.250"));
    fixture_set_put(&sets[TOPIC], text("flush.messages"), text(" 10 "));
    while (fixture_row(&at, row, 7) == 7) {
        struct why why = {0};
        enum err err;

        if (strcmp(row[1], "missing") == 0)
            continue; /* whether a topic exists is the controller's knowledge */
        err = alter(row, &why);
        rows++;
        if (!check)
            continue;
        if (strcmp(outcome_of(err), row[5]) != 0)
            fail_msg("%s %s %s=%s: %s (%s), Apache: %s (%s)", row[0], row[2], row[3], row[4],
                     outcome_of(err), why.text, row[5], row[6]);
        if (err != OK && !deviates(row[3], row[4]) && strcmp(why.text, row[6]) != 0)
            fail_msg("%s=%s: \"%s\", Apache: \"%s\"", row[3], row[4], why.text, row[6]);
    }
    assert_true(rows > 60);
}

static void every_alter_operation_ends_as_it_does_at_apache(void **state)
{
    UNUSED(state);
    replay(true);
}

static const char *source_name(enum config_source source)
{
    static const char *const names[] = {
        "UNKNOWN",
        "DYNAMIC_TOPIC_CONFIG",
        "DYNAMIC_BROKER_CONFIG",
        "DYNAMIC_DEFAULT_BROKER_CONFIG",
        "STATIC_BROKER_CONFIG",
        "DEFAULT_CONFIG",
        "DYNAMIC_BROKER_LOGGER_CONFIG",
        "DYNAMIC_CLIENT_METRICS_CONFIG",
        "DYNAMIC_GROUP_CONFIG",
    };

    return names[source];
}

static const char *type_name(enum config_type type)
{
    static const char *const names[] = {"UNKNOWN", "BOOLEAN", "STRING", "INT",   "SHORT",
                                        "LONG",    "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};

    return names[type];
}

static const char *shown(struct slice value)
{
    return slice_is_null(value) ? "null" : arena_format(&arena, "%.*s", SLICE_ARGS(value));
}

/* As a golden line behind the name. */
static char *entry_print(const struct config_described *entry)
{
    char *out =
        arena_format(&arena, "%s|%s|%s|%s|%s", shown(entry->value), source_name(entry->source),
                     type_name(entry->type), entry->read_only ? "read-only" : "",
                     entry->sensitive ? "sensitive" : "");

    for (size_t i = 0; i < entry->synonym_count; i++)
        out = arena_format(&arena, "%s|%s:%s=%s", out, source_name(entry->synonyms[i].source),
                           shown(entry->synonyms[i].name), shown(entry->synonyms[i].value));
    return out;
}

static const struct config_described *entry_find(const struct config_description *description,
                                                 const char *name)
{
    for (size_t i = 0; i < description->count; i++)
        if (slice_equal_text(description->entries[i].name, name))
            return &description->entries[i];
    return NULL;
}

static void description_compare(const struct config_description *description, const char *file)
{
    char *at = fixture_read(file);
    char *row[2];
    size_t rows = 0;
    size_t own = 0;

    while (fixture_row(&at, row, 2) == 2) {
        const struct config_described *entry = entry_find(description, row[0]);

        rows++;
        if (!entry)
            fail_msg("%s: no entry %s", file, row[0]);
        else if (strcmp(entry_print(entry), row[1]) != 0)
            fail_msg("%s: %s: %s, Apache: %s", file, row[0], entry_print(entry), row[1]);
    }
    for (size_t i = 0; i < description->count; i++)
        own += slice_starts_with(description->entries[i].name, SLICE("barnabas."));
    assert_int_equal(description->count - own, rows);
}

static void describe_compare(enum config_resource resource, int which, const char *file)
{
    struct config_describe_options options = {.synonyms = true};
    struct config_description description;
    const struct config *config;

    replay(false);
    config = resolve();
    for (int in_order = 0; in_order < 2; in_order++) {
        if (in_order)
            assert_int_equal(config_orders_make(&arena, config, &options.orders), OK);
        assert_int_equal(config_describe(&arena, config, resource,
                                         which < 0 ? NULL : &sets[which].set, &options,
                                         &description),
                         OK);
        description_compare(&description, file);
    }
}

static void a_topic_is_described_as_by_apache(void **state)
{
    UNUSED(state);
    describe_compare(CONFIG_RESOURCE_TOPIC, TOPIC, "describe_topic.txt");
}

static void a_broker_is_described_as_by_apache(void **state)
{
    UNUSED(state);
    describe_compare(CONFIG_RESOURCE_BROKER, -1, "describe_broker.txt");
}

static void a_group_is_described_as_by_apache(void **state)
{
    UNUSED(state);
    describe_compare(CONFIG_RESOURCE_GROUP, GROUP, "describe_group.txt");
}

static void a_client_metrics_subscription_is_described_as_by_apache(void **state)
{
    UNUSED(state);
    describe_compare(CONFIG_RESOURCE_CLIENT_METRICS, METRICS, "describe_metrics.txt");
}

static void the_cluster_defaults_are_described_as_by_apache(void **state)
{
    struct config_describe_options options = {.synonyms = true};
    struct config_description description;

    UNUSED(state);
    replay(false);
    assert_int_equal(config_describe_cluster(&arena, resolve(), &options, &description), OK);
    description_compare(&description, "describe_cluster.txt");
}

static void only_wanted_names_are_described_and_unknown_ones_are_left_out(void **state)
{
    struct slice names[] = {text("retention.ms"), text("no.such"), text("segment.bytes")};
    struct config_describe_options options = {.names = names, .name_count = 3, .text = true};
    struct config_description description;
    const struct config *config;

    UNUSED(state);
    assert_int_equal(config_defaults(&arena, &config), OK);
    assert_int_equal(
        config_describe(&arena, config, CONFIG_RESOURCE_TOPIC, NULL, &options, &description), OK);
    assert_int_equal(description.count, 2);
    assert_slice(description.entries[0].name, "retention.ms");
    assert_slice(description.entries[0].value, "604800000");
    assert_false(slice_is_null(description.entries[0].text));
    assert_int_equal(description.entries[0].synonym_count, 0);
}

/* Keys that nobody knows: in the layer that gives the value, each with what the other layers say. */
static void a_broker_with_many_unknown_keys_is_described_without_a_square(void **state)
{
    enum { KEYS = 30000, TIMES = 20 }; /* each with each: minutes */
    struct config_pair *pairs = ARENA_ARRAY(&arena, struct config_pair, KEYS);
    struct slice *names = ARENA_ARRAY(&arena, struct slice, KEYS);
    struct config_set node = {pairs, KEYS}, cluster = {pairs, KEYS};
    struct config_describe_options all = {.synonyms = true};
    struct config_describe_options wanted = {.names = names, .name_count = KEYS};
    struct config_description description;
    struct config config;

    UNUSED(state);
    for (int i = 0; i < KEYS; i++) {
        const char *name = arena_format(&arena, "key.%d", (i * 7) % KEYS);

        pairs[i] = (struct config_pair){text(name), text("1")};
        names[i] = pairs[i].key;
    }
    config = *fixture_broker("");
    config.node = node;
    config.cluster = cluster;
    for (int i = 0; i < TIMES; i++) {
        struct arena own;

        arena_init(&own, &heap_allocator, SIZE_MAX);
        assert_int_equal(
            config_describe(&own, &config, CONFIG_RESOURCE_BROKER, NULL, &all, &description), OK);
        assert_true(description.count > KEYS);
        for (int k = 0; k < KEYS; k++) {
            const struct config_described *entry =
                &description.entries[description.count - KEYS + (size_t)k];

            assert_true(slice_equal(entry->name, names[k]));
            assert_int_equal(entry->source, CONFIG_SOURCE_DYNAMIC_BROKER);
            assert_int_equal(entry->synonym_count, 2);
        }
        assert_int_equal(
            config_describe(&own, &config, CONFIG_RESOURCE_BROKER, NULL, &wanted, &description),
            OK);
        assert_int_equal(description.count, KEYS);
        assert_int_equal(config_describe_cluster(&own, &config, &wanted, &description), OK);
        assert_int_equal(description.count, KEYS);
        arena_release(&own);
    }
}

/* What a request for many topics costs must not be their number times that of the layers' keys. */
static void many_topics_are_described_from_large_layers_in_order(void **state)
{
    enum { KEYS = 100000, TOPICS = 10000 }; /* each with each: minutes */
    struct config_pair *pairs = ARENA_ARRAY(&arena, struct config_pair, KEYS);
    struct config_describe_options options = {.synonyms = true};
    struct config_pair own_pair = {text("segment.ms"), text("5")};
    struct config_set own = {&own_pair, 1};
    struct config config = *fixture_broker("");
    struct arena scratch;

    UNUSED(state);
    for (int i = 0; i < KEYS; i++)
        pairs[i] =
            (struct config_pair){text(arena_format(&arena, "key.%d", (i * 7) % KEYS)), text("1")};
    pairs[KEYS / 2] = (struct config_pair){text("log.retention.ms"), text("77")};
    config.cluster = (struct config_set){pairs, KEYS};
    assert_int_equal(config_orders_make(&arena, &config, &options.orders), OK);
    arena_init(&scratch, &heap_allocator, SIZE_MAX);
    for (int i = 0; i < TOPICS; i++) {
        const struct config_described *entry;
        struct config_description description;

        assert_int_equal(
            config_describe(&scratch, &config, CONFIG_RESOURCE_TOPIC, &own, &options, &description),
            OK);
        entry = entry_find(&description, "retention.ms");
        assert_int_equal(entry->source, CONFIG_SOURCE_DYNAMIC_DEFAULT);
        assert_slice(entry->synonyms[0].value, "77");
        assert_int_equal(entry_find(&description, "segment.ms")->source, CONFIG_SOURCE_TOPIC);
        arena_reset(&scratch);
    }
    arena_release(&scratch);
}

static void logger_levels_change_one_by_one_or_not_at_all(void **state)
{
    struct config_logger_levels levels = {{0}};
    struct config_logger_levels out;
    struct config_describe_options options = {0};
    struct config_description description;
    struct why why = {0};
    struct config_operation set = {CONFIG_SET, text("raft"), text("DEBUG")};
    struct config_operation bad[] = {
        {CONFIG_SET, text("raft"), text("TRACE")},
        {CONFIG_SET, text("nope"), text("TRACE")},
    };
    struct config_operation level = {CONFIG_SET, text("raft"), text("LOUD")};
    struct config_operation root = {CONFIG_DELETE, text("root"), SLICE_NULL};
    struct config_operation append = {CONFIG_APPEND, text("raft"), text("DEBUG")};

    UNUSED(state);
    memset(levels.level, -1, sizeof levels.level);
    levels.level[CONFIG_LOGGER_ROOT] = 2;
    assert_int_equal(config_loggers_alter(&levels, &set, 1, &out, &why), OK);
    assert_int_equal(config_loggers_describe(&arena, &out, &options, &description), OK);
    assert_slice(entry_find(&description, "raft")->value, "DEBUG");
    assert_false(slice_is_null(entry_find(&description, "raft")->text)); /* as Apache has it */
    assert_slice(entry_find(&description, "storage")->value, "INFO");
    assert_int_equal(config_loggers_alter(&levels, bad, 2, &out, &why), ERR_INVALID_CONFIG);
    assert_string_equal(why.text, "Logger nope does not exist!");
    assert_memory_equal(&out, &levels, sizeof out);
    assert_int_equal(config_loggers_alter(&levels, &level, 1, &out, &why), ERR_INVALID_CONFIG);
    assert_int_equal(config_loggers_alter(&levels, &root, 1, &out, &why), ERR_INVALID_REQUEST);
    assert_int_equal(config_loggers_alter(&levels, &append, 1, &out, &why), ERR_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_alter_operation_ends_as_it_does_at_apache),
        TEST(a_topic_is_described_as_by_apache),
        TEST(a_broker_is_described_as_by_apache),
        TEST(a_group_is_described_as_by_apache),
        TEST(a_client_metrics_subscription_is_described_as_by_apache),
        TEST(the_cluster_defaults_are_described_as_by_apache),
        TEST(only_wanted_names_are_described_and_unknown_ones_are_left_out),
        TEST(a_broker_with_many_unknown_keys_is_described_without_a_square),
        TEST(many_topics_are_described_from_large_layers_in_order),
        TEST(logger_levels_change_one_by_one_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
