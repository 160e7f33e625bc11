/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/config/alter_test.c: the keys of one resource: once in a request, in any order, and the outcome in the
 * order in which they first appeared.
 */
#include "config_fixture.h"

static const struct config_rules rules;

static enum err alter(const struct config_set *current, const struct config_operation *operations,
                      size_t count, struct config_alteration *out, struct why *why)
{
    why_clear(why);
    return config_alter(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"), current, operations,
                        count, out, why);
}

/* "a=1 b=- " */
static const char *shown(const struct config_set *set)
{
    char *all = arena_format(&arena, "%s", "");

    for (size_t i = 0; i < set->count; i++)
        all = arena_format(
            &arena, "%s%.*s=%.*s ", all, SLICE_ARGS(set->pairs[i].key),
            SLICE_ARGS(slice_is_null(set->pairs[i].value) ? text("-") : set->pairs[i].value));
    return all;
}

static struct config_pair before[] = {{SLICE("segment.ms"), SLICE("6")},
                                      {SLICE("cleanup.policy"), SLICE("delete")},
                                      {SLICE("flush.ms"), SLICE("7")},
                                      {SLICE("retention.ms"), SLICE("5")}};
static const struct config_set current = {before, 4};

static void a_key_twice_is_refused_wherever_its_operations_stand(void **state)
{
    static const enum config_operation_kind kinds[] = {CONFIG_SET, CONFIG_DELETE, CONFIG_APPEND,
                                                       CONFIG_SUBTRACT};
    struct config_alteration out;
    const struct config *config;
    struct why why;

    UNUSED(state);
    assert_int_equal(config_defaults(&arena, &config), OK);
    for (size_t first = 0; first < 4; first++)
        for (size_t second = first + 1; second < 5; second++) {
            struct config_operation operations[5] = {
                {CONFIG_SET, text("retention.ms"), text("1")},
                {CONFIG_SET, text("file.delete.delay.ms"), text("1")},
                {CONFIG_SET, text("segment.ms"), text("1")},
                {CONFIG_SET, text("flush.ms"), text("1")},
                {CONFIG_SET, text("flush.messages"), text("1")}};

            assert_int_equal(alter(&current, operations, 5, &out, &why), OK);
            operations[first] =
                (struct config_operation){kinds[first], text("cleanup.policy"), text("compact")};
            operations[second] = (struct config_operation){kinds[second - 1],
                                                           text("cleanup.policy"), text("delete")};
            assert_int_equal(alter(&current, operations, 5, &out, &why), ERR_INVALID_REQUEST);
            assert_string_equal(why.text, "Error due to duplicate config keys");
            assert_int_equal(config_broker_alter_check(&arena, config, true, operations, 5, &why),
                             ERR_INVALID_REQUEST);
            assert_string_equal(why.text, "Error due to duplicate config keys");
        }
}

static void each_operation_finds_the_value_of_its_own_key(void **state)
{
    struct config_operation operations[] = {
        {CONFIG_DELETE, text("segment.ms"), SLICE_NULL},
        {CONFIG_SET, text("retention.ms"), text("8")},
        {CONFIG_APPEND, text("cleanup.policy"), text("compact")},
        {CONFIG_DELETE, text("flush.messages"), SLICE_NULL},
        {CONFIG_SET, text("file.delete.delay.ms"), text("9")},
        {CONFIG_SET, text("flush.ms"), text("7")}};
    struct config_alteration out;
    struct why why;

    UNUSED(state);
    assert_int_equal(alter(&current, operations, 6, &out, &why), OK);
    /* In the order of the request, without what is so already. */
    assert_string_equal(shown(&out.changes),
                        "segment.ms=- retention.ms=8 cleanup.policy=delete,compact "
                        "file.delete.delay.ms=9 ");
    /* What was there keeps its place, what is new stands behind. */
    assert_string_equal(shown(&out.outcome), "cleanup.policy=delete,compact flush.ms=7 "
                                             "retention.ms=8 file.delete.delay.ms=9 ");
}

static void the_outcome_does_not_depend_on_the_order_of_the_request(void **state)
{
    struct config_operation operations[] = {
        {CONFIG_SUBTRACT, text("cleanup.policy"), text("delete")},
        {CONFIG_DELETE, text("flush.ms"), SLICE_NULL},
        {CONFIG_SET, text("retention.ms"), text("8")},
        {CONFIG_SET, text("segment.ms"), text("9")}};
    struct config_alteration out;
    struct why why;

    UNUSED(state);
    for (int turn = 0; turn < 4; turn++) {
        struct config_operation first = operations[0];

        assert_int_equal(alter(&current, operations, 4, &out, &why), OK);
        assert_string_equal(shown(&out.outcome), "segment.ms=9 cleanup.policy= retention.ms=8 ");
        memmove(operations, operations + 1, 3 * sizeof *operations);
        operations[3] = first;
    }
}

static void a_replacement_keeps_places_and_removes_what_is_not_named(void **state)
{
    struct config_pair pairs[] = {{text("flush.messages"), text("3")},
                                  {text("retention.ms"), text("5")},
                                  {text("segment.ms"), text("1")}};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_replace(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"),
                                    &current, &(struct config_set){pairs, 3}, &out, &why),
                     OK);
    assert_string_equal(shown(&out.changes),
                        "flush.messages=3 segment.ms=1 cleanup.policy=- flush.ms=- ");
    assert_string_equal(shown(&out.outcome), "segment.ms=1 retention.ms=5 flush.messages=3 ");
}

/* A replacement may name a key twice: the last one counts. */
static void of_a_key_named_twice_in_a_replacement_the_last_value_stays(void **state)
{
    struct config_pair pairs[] = {{text("flush.messages"), text("3")},
                                  {text("retention.ms"), text("1")},
                                  {text("flush.messages"), text("4")},
                                  {text("retention.ms"), text("2")}};
    struct config_alteration out;
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_replace(&arena, NULL, &rules, CONFIG_RESOURCE_TOPIC, text("t"),
                                    &current, &(struct config_set){pairs, 4}, &out, &why),
                     OK);
    assert_string_equal(shown(&out.outcome), "retention.ms=2 flush.messages=4 ");
}

/* A broker checks what would come out: a key of the request must hide what the layer has of it. */
static void a_broker_checks_the_layer_without_the_keys_that_are_asked_for(void **state)
{
    struct config_pair pairs[] = {{text("num.io.threads"), text("-1")},
                                  {text("log.retention.ms"), text("5")},
                                  {text("background.threads"), text("10")}};
    struct config_operation operations[] = {{CONFIG_SET, text("x"), text("1")},
                                            {CONFIG_DELETE, text("num.io.threads"), SLICE_NULL},
                                            {CONFIG_SET, text("background.threads"), text("12")}};
    const struct config *config;
    struct config with;
    struct why why = {0};

    UNUSED(state);
    config = fixture_broker("listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                            "controller.quorum.bootstrap.servers=localhost:9093\n"
                            "log.dirs=/a\n");
    with = *config;
    with.node = (struct config_set){pairs, 3};
    assert_int_equal(config_broker_alter_check(&arena, &with, true, operations, 3, &why), OK);
    operations[1].key = text("num.network.threads"); /* the bad one stays */
    assert_int_equal(config_broker_alter_check(&arena, &with, true, operations, 3, &why),
                     ERR_INVALID_REQUEST);
}

static enum err set_one(const char *properties, const char *key, const char *value, struct why *why)
{
    struct config_operation operation = {CONFIG_SET, text(key), text(value)};
    const struct config *config =
        fixture_broker(arena_format(&arena,
                                    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
                                    "controller.quorum.bootstrap.servers=localhost:9093\n"
                                    "log.dirs=/a\n%s\n",
                                    properties));

    *why = (struct why){0};
    return config_broker_alter_check(&arena, config, true, &operation, 1, why);
}

static void cleaner_threads_are_checked_when_they_change(void **state)
{
    struct why why;

    UNUSED(state);
    assert_int_equal(set_one("log.cleaner.threads=0", "background.threads", "12", &why), OK);
    assert_int_equal(set_one("log.cleaner.threads=1", "log.cleaner.threads", "0", &why),
                     ERR_INVALID_REQUEST);
}

/* What a listener has counts: the plain key is not refused when no listener follows it. */
static void a_listener_cannot_be_changed_to_take_no_connections(void **state)
{
    static const char *const keys[] = {"max.connections", "max.connection.creation.rate"};
    struct why why;

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        const char *prefixed = arena_format(&arena, "listener.name.plaintext.%s", keys[i]);
        const char *text_wanted = arena_format(&arena, "Invalid %s 0", keys[i]);

        assert_int_equal(set_one("", keys[i], "0", &why), ERR_INVALID_REQUEST);
        assert_non_null(strstr(why.text, text_wanted));
        assert_int_equal(set_one("", prefixed, "0", &why), ERR_INVALID_REQUEST);
        assert_non_null(strstr(why.text, text_wanted));
        assert_int_equal(set_one(arena_format(&arena, "%s=5", prefixed), keys[i], "0", &why), OK);
        assert_int_equal(
            set_one(arena_format(&arena, "%s=0", keys[i]), "background.threads", "12", &why), OK);
        assert_int_equal(set_one(arena_format(&arena, "%s=0", keys[i]), prefixed, "5", &why), OK);
    }
}

/* As long as nobody sets the new name. */
static void the_old_name_of_the_follower_pool_is_what_a_change_is_measured_by(void **state)
{
    static const char old[] = "remote.log.manager.thread.pool.size=10";
    static const char new[] = "remote.log.manager.follower.thread.pool.size";
    struct why why;

    UNUSED(state);
    assert_int_equal(set_one(old, new, "15", &why), OK);
    assert_int_equal(set_one(old, "background.threads", "12", &why), OK);
    assert_int_equal(set_one(old, new, "3", &why), ERR_INVALID_REQUEST);
    assert_non_null(strstr(why.text, "at least half the current value 10"));
    assert_int_equal(set_one(arena_format(&arena, "%s\n%s=4", old, new), new, "8", &why), OK);
    assert_int_equal(set_one(arena_format(&arena, "%s\n%s=4", old, new), new, "10", &why),
                     ERR_INVALID_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cleaner_threads_are_checked_when_they_change),
        TEST(a_listener_cannot_be_changed_to_take_no_connections),
        TEST(the_old_name_of_the_follower_pool_is_what_a_change_is_measured_by),
        TEST(a_key_twice_is_refused_wherever_its_operations_stand),
        TEST(each_operation_finds_the_value_of_its_own_key),
        TEST(the_outcome_does_not_depend_on_the_order_of_the_request),
        TEST(a_replacement_keeps_places_and_removes_what_is_not_named),
        TEST(of_a_key_named_twice_in_a_replacement_the_last_value_stays),
        TEST(a_broker_checks_the_layer_without_the_keys_that_are_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
