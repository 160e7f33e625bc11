/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions by regular expression; groups.md §5 of the reference. */
#include "consumer_support.h"

#include "base/fmt.h"
#include "protocol/generated/messages.h"

/* ---- regular expressions ---- */

static void an_expression_is_resolved_after_the_join(void **state)
{
    struct fixture *f = *state;

    BEAT("1 ", .member = "a", .regex = "foo.*");
    assert_string_equal(records_text(f), "5 8");
    assert_int_equal(f->task_count, 1);
    BEAT("1 -", .member = "a", .epoch = 1);
    assert_int_equal(f->task_count, 1); /* one at a time */
    fixture_tasks_run(f);
    assert_string_equal(records_text(f), "16 3");
    BEAT("2 7:0;8:0", .member = "a", .epoch = 1, .owned = "");
    /* Known already: assigned at once. */
    BEAT("3 ", .member = "b", .regex = "foo.*");
    BEAT("3 7:0", .member = "a", .epoch = 2, .owned = "7:0");
    BEAT("3 8:0", .member = "b", .epoch = 3, .owned = "");
    assert_int_equal(f->task_count, 0);
}

static void names_and_expressions_add_up(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0;7:0", .member = "a", .topics = "t1,foo-a", .regex = "foo.*");
    fixture_tasks_run(f);
    BEAT("3 1:0;7:0;8:0", .member = "a", .epoch = 2, .owned = "1:0;7:0");
    assert_int_equal(consumer_topic_find(the_group(f, "g"), text("foo-a"))->names, 1);
    assert_int_equal(consumer_topic_find(the_group(f, "g"), text("foo-a"))->regexes, 1);
    BEAT("3 7:0;8:0", .member = "a", .epoch = 3, .topics = "", .owned = "1:0;7:0;8:0");
    BEAT("4 -", .member = "a", .epoch = 3, .owned = "7:0;8:0");
}

static void an_invalid_expression_is_refused_and_nothing_changes(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_heartbeat_response *response =
        beat(f, (struct beat){.member = "a", .regex = "foo("});

    assert_code(response->error_code, ERR_INVALID_REGULAR_EXPRESSION);
    assert_true(slice_starts_with(response->error_message,
                                  SLICE("SubscribedTopicRegex `foo(` is not a valid regular "
                                        "expression: ")));
    BEAT("INVALID_REGULAR_EXPRESSION", .member = "a", .regex = "((a{100}){100}){100}");
    assert_string_equal(group_text(f, "g"), "none");
    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("INVALID_REGULAR_EXPRESSION", .member = "a", .epoch = 2, .regex = "[");
    assert_int_equal(f->records_of_call, 0);
}

static void the_last_subscriber_takes_its_expression_along(void **state)
{
    struct fixture *f = *state;

    BEAT("1 ", .member = "a", .regex = "foo.*");
    fixture_tasks_run(f);
    BEAT("2 7:0;8:0", .member = "a", .epoch = 1, .owned = "");
    BEAT("2 ", .member = "a", .epoch = 2, .regex = "", .owned = "7:0;8:0");
    assert_string_equal(records_text(f), "5 -16 3 7 6 8");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "");
    BEAT("3 -", .member = "a", .epoch = 3, .regex = "foo-a");
    fixture_advance(f, 20000);
    BEAT("3 -", .member = "a", .epoch = 3);
    fixture_tasks_run(f);
    BEAT("4 7:0", .member = "a", .epoch = 3, .owned = "");
    BEAT("-1 -", .member = "a", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -7 -5 -16 3 6");
}

static void new_topics_are_matched_at_the_next_heartbeat_but_not_within_ten_seconds(void **state)
{
    struct fixture *f = *state;

    BEAT("1 ", .member = "a", .regex = "foo.*");
    fixture_tasks_run(f);
    BEAT("2 7:0;8:0", .member = "a", .epoch = 1, .owned = "");
    topic_make(f, "foo-c", 22, 1);
    BEAT("2 -", .member = "a", .epoch = 2);
    assert_int_equal(f->task_count, 0);
    fixture_advance(f, 10001);
    BEAT("2 -", .member = "a", .epoch = 2);
    assert_int_equal(f->task_count, 1);
    fixture_tasks_run(f);
    BEAT("3 7:0;8:0;22:0", .member = "a", .epoch = 2, .owned = "7:0;8:0");
}

static void topics_that_were_made_before_a_failover_are_matched_behind_it(void **state)
{
    struct fixture *f = *state;

    BEAT("1 ", .member = "a", .regex = "foo.*");
    fixture_tasks_run(f);
    BEAT("2 7:0;8:0", .member = "a", .epoch = 1, .owned = "");
    topic_make(f, "foo-c", 22, 1);
    fixture_load(f);
    fixture_advance(f, 10001);
    BEAT("2 -", .member = "a", .epoch = 2);
    assert_int_equal(f->task_count, 1);
    fixture_tasks_run(f);
    BEAT("3 7:0;8:0;22:0", .member = "a", .epoch = 2, .owned = "7:0;8:0");
}

static void the_outcome_for_a_group_that_is_gone_is_dropped(void **state)
{
    struct fixture *f = *state;

    f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    (void)beat_send(f, (struct beat){.member = "a", .regex = "foo.*"});
    assert_int_equal(f->task_count, 1);
    fixture_tasks_run(f);
    assert_int_equal(f->records_of_call, 0);
    BEAT("1 ", .member = "a", .regex = "foo.*");
    assert_int_equal(f->task_count, 1);
    BEAT("-1 -", .member = "a", .epoch = -1);
    fixture_tasks_run(f);
    assert_int_equal(f->records_of_call, 0);
}

#define MANY 48

/* Each pattern matches one topic of many: what it keeps is that one. */
static void many_expressions_take_memory_for_what_they_match_alone(void **state)
{
    struct fixture *f = *state;
    size_t list_bytes, before_bytes;
    struct coordinator_task *task;
    char name[MANY][16];

    for (uint8_t i = 0; i < MANY; i++) {
        snprintf(name[i], sizeof name[i], "many-%d", i);
        topic_make(f, name[i], (uint8_t)(100 + i), 1);
        (void)beat(f, (struct beat){.member = name[i], .regex = name[i]});
    }
    fixture_tasks_run(f); /* of the first member */
    fixture_advance(f, 10001);
    (void)beat(f, (struct beat){.member = name[0], .epoch = 1});
    assert_int_equal(f->task_count, 1);
    task = f->tasks[0];
    assert_int_equal(task->pattern_count, MANY);
    assert_true(task->topic_count >= MANY);
    list_bytes = task->topic_count * sizeof *task->topics;
    before_bytes = task->arena.used_bytes;
    coordinator_task_run(task);
    assert_int_equal(task->err, OK);
    assert_true(task->arena.used_bytes - before_bytes <= list_bytes + MANY * sizeof *task->topics);
    for (int32_t i = 0; i < task->pattern_count; i++) {
        assert_int_equal(task->patterns[i].matched_count, 1);
        assert_true(slice_equal(task->patterns[i].matched[0], task->patterns[i].pattern));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_expression_is_resolved_after_the_join),
        TEST(names_and_expressions_add_up),
        TEST(an_invalid_expression_is_refused_and_nothing_changes),
        TEST(the_last_subscriber_takes_its_expression_along),
        TEST(new_topics_are_matched_at_the_next_heartbeat_but_not_within_ten_seconds),
        TEST(topics_that_were_made_before_a_failover_are_matched_behind_it),
        TEST(the_outcome_for_a_group_that_is_gone_is_dropped),
        TEST(many_expressions_take_memory_for_what_they_match_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
