/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables against what Apache Kafka 4.4.0's own definitions say.
 */
#include "config_fixture.h"

/* Where we differ from Apache on purpose: scope, key, reason. Empty so far. */
static const struct {
    const char *file;
    const char *name;
    const char *reason;
} deviations[] = {
    {NULL, NULL, NULL},
};

static bool deviates(const char *file, const char *name)
{
    for (size_t i = 0; deviations[i].file; i++)
        if (strcmp(deviations[i].file, file) == 0 && strcmp(deviations[i].name, name) == 0)
            return true;
    return false;
}

static const char *const type_names[] = {"unknown", "boolean", "string", "int",   "short",
                                         "long",    "double",  "list",   "class", "password"};
static const char *const importance_names[] = {"low", "medium", "high"};

static void key_compare(const struct config_key *key, char **row, const char *file)
{
    const char *standard = key->required        ? "<required>"
                           : !key->default_text ? "<null>"
                                                : key->default_text;

    if (deviates(file, row[0]))
        return;
    assert_string_equal(key->name, row[0]);
    assert_string_equal(type_names[key->type], row[1]);
    assert_string_equal(standard, row[2]);
    assert_string_equal(key->valid_text, row[3]);
    assert_string_equal(importance_names[key->importance], row[4]);
    assert_int_equal(key->internal, strcmp(row[5], "internal") == 0);
}

static void table_compare(enum config_resource resource, const char *file, size_t public_count)
{
    const struct config_table *table = config_table_of(resource);
    char *at = fixture_read(file);
    char *row[6];
    size_t shown = 0;
    size_t rows = 0;
    size_t ours = 0;

    while (fixture_row(&at, row, 6) > 0) {
        int key = config_table_find(table, text(row[0]));

        rows++;
        if (key < 0)
            fail_msg("%s: no key %s", file, row[0]);
        key_compare(&table->keys[key], row, file);
        shown += !table->keys[key].internal;
    }
    for (size_t i = 0; i < table->count; i++)
        ours += !table->keys[i].own && !table->keys[i].dynamic_only;
    assert_int_equal(ours, rows);
    assert_int_equal(shown, public_count);
}

static void the_350_broker_keys_are_those_of_apache(void **state)
{
    UNUSED(state);
    table_compare(CONFIG_RESOURCE_BROKER, "broker.txt", 350);
}

static void the_37_topic_keys_are_those_of_apache(void **state)
{
    UNUSED(state);
    table_compare(CONFIG_RESOURCE_TOPIC, "topic.txt", 37);
}

static void the_21_group_keys_are_those_of_apache(void **state)
{
    UNUSED(state);
    table_compare(CONFIG_RESOURCE_GROUP, "group.txt", 21);
}

static void the_3_client_metrics_keys_are_those_of_apache(void **state)
{
    UNUSED(state);
    table_compare(CONFIG_RESOURCE_CLIENT_METRICS, "client_metrics.txt", 3);
}

static void the_dynamic_modes_are_those_of_apache(void **state)
{
    char *at = fixture_read("dynamic.txt");
    char *row[2];
    size_t rows = 0;
    size_t ours = 0;

    UNUSED(state);
    while (fixture_row(&at, row, 2) == 2) {
        bool prefixed;
        int key = config_broker_find(text(row[0]), &prefixed);

        assert_true(key >= 0);
        assert_int_equal(config_broker_keys[key].dynamic, strcmp(row[1], "per-broker") == 0
                                                              ? CONFIG_PER_BROKER
                                                              : CONFIG_CLUSTER_WIDE);
        rows++;
    }
    for (int i = 0; i < BROKER_KEY_COUNT; i++)
        ours += config_broker_keys[i].dynamic != CONFIG_READ_ONLY;
    assert_int_equal(ours, rows);
}

/* "a(2)|b(120000)" of a key. */
static char *synonyms_print(const struct config_key *key)
{
    char *out = arena_format(&arena, "%s", "");

    for (int i = 0; i < key->synonym_count; i++)
        out = arena_format(&arena, "%s%s%s(%d)", out, i > 0 ? "|" : "",
                           config_broker_keys[key->synonyms[i].key].name,
                           2 * key->synonyms[i].factor);
    return out;
}

static void topic_defaults_come_from_the_broker_keys_that_apache_names(void **state)
{
    char *at = fixture_read("topic_synonyms.txt");
    char *row[2];
    size_t rows = 0;

    UNUSED(state);
    while (fixture_row(&at, row, 2) == 2) {
        int key = config_table_find(config_table_of(CONFIG_RESOURCE_TOPIC), text(row[0]));

        assert_true(key >= 0);
        assert_string_equal(synonyms_print(&config_topic_keys[key]), row[1]);
        rows++;
    }
    assert_int_equal(rows, 31);
}

static void group_defaults_come_from_the_broker_keys_that_apache_names(void **state)
{
    char *at = fixture_read("group_synonyms.txt");
    char *row[2];

    UNUSED(state);
    while (fixture_row(&at, row, 2) == 2) {
        int key = config_table_find(config_table_of(CONFIG_RESOURCE_GROUP), text(row[0]));
        const struct config_key *group;

        assert_true(key >= 0);
        group = &config_group_keys[key];
        assert_int_equal(group->synonym_count, row[1][0] != 0);
        if (row[1][0])
            assert_string_equal(config_broker_keys[group->synonyms[0].key].name, row[1]);
    }
}

static void every_table_ascends_by_name(void **state)
{
    const enum config_resource resources[] = {CONFIG_RESOURCE_BROKER, CONFIG_RESOURCE_TOPIC,
                                              CONFIG_RESOURCE_GROUP,
                                              CONFIG_RESOURCE_CLIENT_METRICS};

    UNUSED(state);
    for (size_t r = 0; r < ARRAY_COUNT(resources); r++) {
        const struct config_table *table = config_table_of(resources[r]);

        for (size_t i = 1; i < table->count; i++)
            assert_true(strcmp(table->keys[i - 1].name, table->keys[i].name) < 0);
    }
}

static void every_default_passes_the_check_of_its_own_key(void **state)
{
    const enum config_resource resources[] = {CONFIG_RESOURCE_BROKER, CONFIG_RESOURCE_TOPIC,
                                              CONFIG_RESOURCE_GROUP,
                                              CONFIG_RESOURCE_CLIENT_METRICS};

    UNUSED(state);
    for (size_t r = 0; r < ARRAY_COUNT(resources); r++) {
        const struct config_table *table = config_table_of(resources[r]);

        for (size_t i = 0; i < table->count; i++) {
            const struct config_key *key = &table->keys[i];
            struct config_value value;
            struct why why = {0};
            enum err err = config_value_parse(&arena, key, text(key->default_text), &value, &why);

            if (err != OK)
                fail_msg("%s: %s", key->name, why.text);
            if (key->default_text)
                assert_slice(config_value_text(&arena, key, &value), key->default_text);
        }
    }
}

static void no_security_or_durability_key_is_without_effect(void **state)
{
    static const char *const prefixes[] = {"ssl.",   "sasl.",    "security.",    "authorizer.",
                                           "min.",   "max.",     "log.flush",    "delegation.",
                                           "quota.", "unclean.", "transaction.", "barnabas."};

    UNUSED(state);
    for (int i = 0; i < BROKER_KEY_COUNT; i++)
        for (size_t p = 0; p < ARRAY_COUNT(prefixes); p++)
            if (slice_starts_with(text(config_broker_keys[i].name), text(prefixes[p])))
                assert_int_not_equal(config_broker_keys[i].status, CONFIG_NO_EFFECT);
}

static void a_misspelt_key_finds_its_nearest_neighbour(void **state)
{
    static const struct {
        const char *name;
        const char *nearest;
    } rows[] = {
        {"num.partition", "num.partitions"},
        {"log.retention.hour", "log.retention.hours"},
        {"advertized.listeners", "advertised.listeners"},
        {"listneers", "listeners"},
        {"node,id", "node.id"},
        {"log.segemnt.bytes", "log.segment.bytes"},
        {"barnabas.shard", "barnabas.shards"},
        {"my.plugin.setting", NULL},
        {"x", NULL},
        {"", NULL},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *nearest =
            config_nearest(config_table_of(CONFIG_RESOURCE_BROKER), text(rows[i].name));

        if (rows[i].nearest)
            assert_string_equal(nearest ? nearest : "none", rows[i].nearest);
        else
            assert_null(nearest);
    }
}

static void a_listener_prefix_leads_to_the_plain_key(void **state)
{
    bool prefixed;

    UNUSED(state);
    assert_int_equal(config_broker_find(text("listener.name.ext.max.connections"), &prefixed),
                     BROKER_MAX_CONNECTIONS);
    assert_true(prefixed);
    assert_int_equal(
        config_broker_find(text("listener.name.ext.scram-sha-256.sasl.jaas.config"), &prefixed),
        BROKER_SASL_JAAS_CONFIG);
    assert_int_equal(config_broker_find(text("max.connections"), &prefixed),
                     BROKER_MAX_CONNECTIONS);
    assert_false(prefixed);
    assert_int_equal(config_broker_find(text("listener.name.ext"), &prefixed), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_350_broker_keys_are_those_of_apache),
        TEST(the_37_topic_keys_are_those_of_apache),
        TEST(the_21_group_keys_are_those_of_apache),
        TEST(the_3_client_metrics_keys_are_those_of_apache),
        TEST(the_dynamic_modes_are_those_of_apache),
        TEST(topic_defaults_come_from_the_broker_keys_that_apache_names),
        TEST(group_defaults_come_from_the_broker_keys_that_apache_names),
        TEST(every_table_ascends_by_name),
        TEST(every_default_passes_the_check_of_its_own_key),
        TEST(no_security_or_durability_key_is_without_effect),
        TEST(a_misspelt_key_finds_its_nearest_neighbour),
        TEST(a_listener_prefix_leads_to_the_plain_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
