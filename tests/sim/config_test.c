/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_test.c: every key that is said to be implemented is set, and something outside differs.
 *
 * A row runs a node without the key, then one with it: `before` and `after` are what is observed. A key that
 * may change at run time is then set on a running node, by IncrementalAlterConfigs, and must have the same
 * effect without a restart; a topic's config is likewise given to a topic that exists.
 * tools/check_config_use.py holds the words behind `effect:` against schema/config.
 *   config_test [KEY]    rows that name it; SIM_LOG=1 shows the nodes' log
 */
#include "config_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- running ---- */

static const char *lines(struct arena *arena, const char *first, const char *second)
{
    return arena_format(arena, "%s%s\n", first ? first : "", second ? second : "");
}

/* `how`: 0 without the key, 1 with it, 2 given to what runs. */
static int64_t row_run(const struct row *row, int how)
{
    struct lab lab = {.wanted_event = row->event, .wanted_field = row->field};
    struct arena arena;
    const char *configs = row->topic_with;
    int64_t seen;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    if (how == 1 && row->topic)
        configs = configs ? arena_format(&arena, "%s;%s", configs, row->topic) : row->topic;
    lab.without = row->without;
    lab_open(&lab, lines(&arena, row->with, how == 1 ? row->set : NULL), configs);
    if (how == 2 && row->topic)
        lab.topic_alteration = row->topic;
    if (how == 2 && row->set) {
        size_t name = strcspn(row->set, "=");
        bool is_prefixed;
        int at = config_broker_find(slice_of(row->set, name), &is_prefixed);
        bool is_cluster_wide =
            config_broker_key((enum broker_key)at)->dynamic == CONFIG_CLUSTER_WIDE;

        assert_int_equal(lab_alter(&lab, CONFIG_RESOURCE_BROKER, is_cluster_wide ? "" : "1",
                                   arena_format(&arena, "%.*s", (int)name, row->set),
                                   row->set + name + 1),
                         0);
        if (!row->event)
            sim_client_close(lab.client); /* limits on connections meet no old one */
        lab_pass(&lab, 100);
    }
    seen = row->observe(&lab, row->argument);
    lab_close(&lab);
    arena_release(&arena);
    return seen;
}

static bool may_change(const struct row *row)
{
    bool is_prefixed;
    int at;

    if (row->at_start)
        return false;
    if (row->topic)
        return true;
    at = config_broker_find(slice_of(row->set, strcspn(row->set, "=")), &is_prefixed);
    return config_broker_key((enum broker_key)at)->dynamic != CONFIG_READ_ONLY &&
           strncmp(row->set, "listeners=", 10) != 0;
}

static bool is_dynamic_only(const struct row *row)
{
    bool is_prefixed;

    return row->set &&
           config_broker_key((enum broker_key)config_broker_find(
                                 slice_of(row->set, strcspn(row->set, "=")), &is_prefixed))
               ->dynamic_only;
}

static void row_check(const struct row *row)
{
    const char *set = row->set ? row->set : row->topic;
    const char *name = row->keys[0] ? row->keys + strlen("effect: ") : "";
    int64_t before, after;

    if (strncmp(set, name, strlen(name)) != 0)
        fail_msg("the row of %s sets %s", name, set);
    before = row_run(row, 0);
    after = row_run(row, is_dynamic_only(row) ? 2 : 1);
    if (row->before == DIFFERS ? before == after : before != row->before || after != row->after)
        fail_msg("%s: %lld without, %lld with it", set, (long long)before, (long long)after);
    if (!may_change(row))
        return;
    before = row_run(row, 2);
    if (before != after && row->before != DIFFERS)
        fail_msg("%s: %lld when it is in the file, %lld when it is set at run time", set,
                 (long long)after, (long long)before);
    if (row->before == DIFFERS && before == row_run(row, 0))
        fail_msg("%s: no effect at run time", set);
}

static void row_test(void **state)
{
    row_check(*state);
}

/* Keys that Kafka changes at run time and this node does not: it says so. */
static void listeners_stay_as_they_are(void **state)
{
    struct lab lab = {0};

    UNUSED(state);
    lab_open(&lab, NULL, NULL);
    assert_int_equal(lab_alter(&lab, CONFIG_RESOURCE_BROKER, "1", "listeners",
                               "PLAINTEXT://:9192,CONTROLLER://:9093"),
                     err_wire_code(ERR_INVALID_REQUEST));
    lab_close(&lab);
}

int main(int argc, char **argv)
{
    struct CMUnitTest *tests = calloc(config_row_count + 1, sizeof *tests);
    size_t count = 0;
    int failed;

    if (!tests)
        return 1;
    if (argc == 1)
        tests[count++] = (struct CMUnitTest)cmocka_unit_test(listeners_stay_as_they_are);
    for (size_t i = 0; i < config_row_count; i++) {
        if (argc > 1 &&
            !strstr(config_rows[i].set ? config_rows[i].set : config_rows[i].topic, argv[1]))
            continue;
        tests[count++] = (struct CMUnitTest){
            .name = config_rows[i].set ? config_rows[i].set : config_rows[i].topic,
            .test_func = row_test,
            .initial_state = (void *)(uintptr_t)&config_rows[i],
        };
    }
    failed = _cmocka_run_group_tests("config", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
