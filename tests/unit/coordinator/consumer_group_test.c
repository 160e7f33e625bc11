/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups by their heartbeats; groups.md §5 and §8 of the reference. */
#include "consumer_support.h"

#include "protocol/generated/messages.h"

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    consumer_start(fixture);
    *state = fixture;
    return 0;
}

/* Every test ends with: what the log says is what we have. */
static int teardown(void **state)
{
    struct fixture *fixture = *state;

    consumer_check(fixture);
    fixture_end(fixture);
    free(fixture);
    return 0;
}

#define BEAT(expected, ...) \
    assert_string_equal(told(f, beat(f, (struct beat){__VA_ARGS__})), expected)

/* ---- what may be asked ---- */

static void requests_that_make_no_sense_are_refused_with_kafkas_words(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct beat beat;
        const char *message;
    } rows[] = {
        {{.member = "", .topics = "t1"}, "MemberId can't be empty."},
        {{.member = " ", .topics = "t1"}, "MemberId can't be empty."},
        {{.member = "", .epoch = 1, .version = -1}, "MemberId can't be empty."},
        {{.member = "", .epoch = -1, .version = -1}, "MemberId can't be empty."},
        {{.member = "a", .group = " ", .topics = "t1"}, "GroupId can't be empty."},
        {{.member = "a", .instance = "", .topics = "t1"}, "InstanceId can't be empty."},
        {{.member = "a", .rack = "", .topics = "t1"}, "RackId can't be empty."},
        {{.member = "a", .topics = "t1", .rebalance_ms = -1},
         "RebalanceTimeoutMs must be provided in first request."},
        {{.member = "a", .topics = "t1", .owned = "1:0"},
         "TopicPartitions must be empty when (re-)joining."},
        {{.member = "a"},
         "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."},
        {{.member = "a", .epoch = -2}, "InstanceId can't be null."},
        {{.member = "a", .epoch = -3}, "MemberEpoch is invalid."},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct consumer_group_heartbeat_response *response = beat(f, rows[i].beat);

        assert_code(response->error_code, ERR_INVALID_REQUEST);
        assert_true(slice_equal_text(response->error_message, rows[i].message));
        assert_int_equal(f->records_of_call, 0);
    }
    BEAT("UNSUPPORTED_ASSIGNOR", .member = "a", .topics = "t1", .assignor = "best");
    assert_string_equal(group_text(f, "g"), "none");
}

static void without_the_feature_or_the_protocol_the_api_is_unsupported(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_on = false;
    fixture_load(f);
    BEAT("UNSUPPORTED_VERSION", .member = "a", .topics = "t1");
    f->options.consumer_on = true;
    fixture_load(f);
    group_version(f, 0);
    BEAT("UNSUPPORTED_VERSION", .member = "a", .topics = "t1");
    group_version(f, 1);
    BEAT("2 1:0", .member = "a", .topics = "t1");
}

static void version_0_lets_the_coordinator_make_the_member_id(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_heartbeat_response *response =
        beat(f, (struct beat){.member = "", .topics = "t1", .version = -1});

    assert_int_equal(response->error_code, 0);
    assert_int_equal(response->member_id.size_bytes, 22);
}

static void a_group_is_made_by_a_join_only(void **state)
{
    struct fixture *f = *state;

    BEAT("GROUP_ID_NOT_FOUND", .member = "a", .epoch = 1);
    BEAT("GROUP_ID_NOT_FOUND", .member = "a", .epoch = -1);
    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("UNKNOWN_MEMBER_ID", .member = "b", .epoch = 1);
    BEAT("UNKNOWN_MEMBER_ID", .member = "b", .epoch = -1);
}

static void the_first_join_writes_the_records_in_kafkas_order(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0;2:0,1", .member = "a", .topics = "t2,t1");
    assert_string_equal(records_text(f), "5 3 7 6 8");
    assert_string_equal(group_text(f, "g"), "Stable 2/2\n"
                                            "a 2/0 STABLE 1:0;2:0,1 |  | 1:0;2:0,1\n");
}

static void a_heartbeat_without_news_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_heartbeat_response *response;

    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("2 -", .member = "a", .epoch = 2); /* the first after the load looks at topics again */
    response = beat(f, (struct beat){.member = "a", .epoch = 2});
    assert_int_equal(f->records_of_call, 0);
    assert_int_equal(response->heartbeat_interval_ms, 5000);
}

static void a_full_request_is_answered_with_the_whole_assignment(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("2 1:0", .member = "a", .epoch = 2, .topics = "t1", .owned = "1:0", .rebalance_ms = 60000);
    assert_int_equal(f->records_of_call, 0);
    BEAT("2 -", .member = "a", .epoch = 2, .topics = "t1", .owned = "1:0");
}

static void the_group_size_is_limited_but_not_for_who_is_in(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_max_size = 2;
    fixture_load(f);
    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("GROUP_MAX_SIZE_REACHED", .member = "c", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    BEAT("3 2:0", .member = "a2", .instance = "i", .topics = "t2");
}

/* ---- reconciliation ---- */

static void a_partition_moves_only_after_its_owner_gave_it_up(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    assert_string_equal(group_text(f, "g"), "Reconciling 3/3\n"
                                            "a 2/0 STABLE 2:0,1 |  | 2:0\n"
                                            "b 3/0 UNRELEASED  |  | 2:1\n");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    assert_string_equal(group_text(f, "g"), "Reconciling 3/3\n"
                                            "a 2/2 UNREVOKED 2:0 | 2:1 | 2:0\n"
                                            "b 3/0 UNRELEASED  |  | 2:1\n");
    BEAT("3 -", .member = "b", .epoch = 3); /* still held */
    BEAT("2 -", .member = "a", .epoch = 2); /* owned partitions unknown: nothing happens */
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
    assert_string_equal(group_text(f, "g"), "Stable 3/3\n"
                                            "a 3/2 STABLE 2:0 |  | 2:0\n"
                                            "b 3/3 STABLE 2:1 |  | 2:1\n");
}

static void a_member_that_gives_up_at_once_goes_on_in_one_step(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
}

static void a_member_that_still_revokes_follows_a_newer_target_afterwards(void **state)
{
    struct fixture *f = *state;

    BEAT("2 4:0,1,2,3", .member = "a", .topics = "t4");
    BEAT("3 ", .member = "b", .topics = "t4");
    BEAT("2 4:0,1", .member = "a", .epoch = 2, .owned = "4:0,1,2,3");
    BEAT("4 ", .member = "c", .topics = "t4");
    /* All it was asked for is gone; the newer target asks for more. */
    BEAT("4 -", .member = "a", .epoch = 2, .owned = "4:0,1");
    BEAT("4 4:2", .member = "b", .epoch = 3, .owned = "");
    BEAT("4 4:3", .member = "c", .epoch = 4, .owned = "");
    assert_string_equal(group_text(f, "g"), "Stable 4/4\n"
                                            "a 4/2 STABLE 4:0,1 |  | 4:0,1\n"
                                            "b 4/3 STABLE 4:2 |  | 4:2\n"
                                            "c 4/4 STABLE 4:3 |  | 4:3\n");
}

static void topics_dropped_from_a_subscription_are_given_up(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0;2:0,1", .member = "a", .topics = "t1,t2");
    BEAT("2 2:0,1", .member = "a", .epoch = 2, .topics = "t2", .owned = "1:0;2:0,1");
    assert_string_equal(group_text(f, "g"), "Reconciling 3/3\n"
                                            "a 2/2 UNREVOKED 2:0,1 | 1:0 | 2:0,1\n");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0,1");
}

static void
within_the_assignment_interval_the_old_target_stays_but_unsubscribed_topics_go(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_assignment_interval_ms = 1000;
    fixture_load(f);
    BEAT("2 1:0;2:0,1", .member = "a", .topics = "t1,t2");
    BEAT("2 2:0,1", .member = "a", .epoch = 2, .topics = "t2", .owned = "1:0;2:0,1");
    assert_string_equal(group_text(f, "g"), "Assigning 3/2\n"
                                            "a 2/2 UNREVOKED 2:0,1 | 1:0 | 1:0;2:0,1\n");
    BEAT("2 ", .member = "b", .topics = "t2");
    assert_string_equal(consumer_group_state(the_group(f, "g")), "Assigning");
    fixture_advance(f, 1000);
    BEAT("4 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("4 2:1", .member = "b", .epoch = 2, .owned = "");
}

static void the_last_epoch_is_accepted_again_when_the_reply_was_lost(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "");
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 2, .owned = "2:0,1");
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 2);
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 1, .owned = "");
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 4, .owned = "");
    assert_int_equal(f->records_of_call, 0);
}

static void a_fenced_member_comes_back_with_epoch_0_and_keeps_its_place(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_int_equal(f->records_of_call, 0);
}

/* ---- leaving, sessions, rebalance timeouts ---- */

static void a_member_that_leaves_frees_its_partitions(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("-1 -", .member = "a", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -7 -5 3");
    BEAT("4 2:0,1", .member = "b", .epoch = 3, .owned = "");
}

static void an_empty_group_assigns_the_next_member_at_once(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_assignment_interval_ms = 1000;
    fixture_load(f);
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("-1 -", .member = "a", .epoch = -1);
    assert_string_equal(records_text(f), "-8 -7 -5 3 6");
    assert_string_equal(group_text(f, "g"), "Empty 3/3\n");
    BEAT("4 2:0,1", .member = "b", .topics = "t2");
}

static void a_silent_member_is_removed_after_its_session(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    fixture_advance(f, 30000);
    BEAT("3 ", .member = "b", .topics = "t2");
    fixture_advance(f, 14999);
    assert_non_null(consumer_member_find(the_group(f, "g"), text("a")));
    fixture_advance(f, 1);
    assert_null(consumer_member_find(the_group(f, "g"), text("a")));
    BEAT("4 2:0,1", .member = "b", .epoch = 3, .owned = "");
    BEAT("UNKNOWN_MEMBER_ID", .member = "a", .epoch = 2);
}

static void a_member_that_does_not_revoke_is_removed_after_its_rebalance_timeout(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2", .rebalance_ms = 20000);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    fixture_advance(f, 19999);
    BEAT("2 -", .member = "a", .epoch = 2);
    fixture_advance(f, 1);
    assert_null(consumer_member_find(the_group(f, "g"), text("a")));
}

static void a_member_that_revoked_in_time_stays(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2", .rebalance_ms = 20000);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0");
    fixture_advance(f, 30000);
    assert_non_null(consumer_member_find(the_group(f, "g"), text("a")));
}

static void timers_start_again_when_the_log_was_loaded(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2", .rebalance_ms = 20000);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    fixture_advance(f, 15000);
    fixture_load(f);
    fixture_advance(f, 19999);
    assert_int_equal(the_group(f, "g")->member_count, 2);
    fixture_advance(f, 1);
    assert_int_equal(the_group(f, "g")->member_count, 1);
    fixture_advance(f, 45000);
    assert_string_equal(group_text(f, "g"), "Empty 5/5\n");
}

static void a_refused_expiry_is_tried_again(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    fixture_advance(f, 45000);
    assert_int_equal(the_group(f, "g")->member_count, 1);
    fixture_advance(f, 500);
    assert_int_equal(the_group(f, "g")->member_count, 0);
}

static void a_refused_write_changes_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t token;

    f->refuse = ERR_NOT_ENOUGH_REPLICAS;
    token = beat_send(f, (struct beat){.member = "a", .topics = "t2"});
    assert_null(fixture_reply(f, token));
    assert_int_equal(fixture_failure(f, token), ERR_NOT_ENOUGH_REPLICAS);
    assert_string_equal(group_text(f, "g"), "none");
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
}

static void nothing_is_told_before_it_is_committed(void **state)
{
    struct fixture *f = *state;
    uint64_t first, again;

    f->hold_commits = true;
    first = beat_send(f, (struct beat){.member = "a", .topics = "t2"});
    again = beat_send(f, (struct beat){.member = "a", .topics = "t2"});
    assert_null(fixture_reply(f, first));
    assert_null(fixture_reply(f, again));
    fixture_commit(f);
    assert_string_equal(told(f, fixture_reply(f, first)), "2 2:0,1");
    assert_string_equal(told(f, fixture_reply(f, again)), "2 2:0,1");
}

/* ---- static members ---- */

static void a_static_member_that_leaves_for_a_while_comes_back_to_its_partitions(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .instance = "i", .epoch = 2, .owned = "2:0");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    assert_string_equal(records_text(f), "8");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
    BEAT("3 2:0", .member = "a2", .instance = "i", .topics = "t2");
    assert_string_equal(records_text(f), "-8 -7 -5 5 7 8 8");
    assert_int_equal(the_group(f, "g")->epoch, 3); /* nobody else noticed */
    BEAT("FENCED_INSTANCE_ID", .member = "a", .instance = "i", .epoch = 3);
    BEAT("FENCED_INSTANCE_ID", .member = "a", .instance = "i", .epoch = -1);
    BEAT("UNKNOWN_MEMBER_ID", .member = "a", .instance = "j", .epoch = 3);
    BEAT("UNKNOWN_MEMBER_ID", .member = "a", .instance = "j", .epoch = -1);
}

static void an_instance_id_in_use_is_not_given_to_a_second_process(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("UNRELEASED_INSTANCE_ID", .member = "b", .instance = "i", .topics = "t2");
    BEAT("-1 -", .member = "a", .instance = "i", .epoch = -1);
    BEAT("4 2:0,1", .member = "b", .instance = "i", .topics = "t2");
}

static void an_absent_static_member_is_removed_after_its_session(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    assert_int_equal(the_group(f, "g")->epoch, 2);
    fixture_advance(f, 45000);
    assert_string_equal(group_text(f, "g"), "Empty 3/3\n");
}

static void a_static_member_that_comes_back_with_another_subscription_moves_the_group(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    BEAT("3 3:0,1,2", .member = "a2", .instance = "i", .topics = "t3");
    assert_string_equal(records_text(f), "-8 -7 -5 5 7 8 5 3 7 6 8");
}

/* ---- topics come and go ---- */

static void a_topic_that_comes_later_is_assigned_after_the_next_heartbeat(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0", .member = "a", .topics = "t1,later");
    BEAT("2 -", .member = "a", .epoch = 2);
    topic_make(f, "later", 20, 2);
    BEAT("3 1:0;20:0,1", .member = "a", .epoch = 2, .owned = "1:0");
    assert_string_equal(records_text(f), "3 7 6 8");
    topic_grow(f, 20, 2, 3);
    BEAT("4 1:0;20:0,1,2", .member = "a", .epoch = 3, .owned = "1:0;20:0,1");
    fixture_topic_delete(f, 20);
    BEAT("4 1:0", .member = "a", .epoch = 4, .owned = "1:0;20:0,1,2");
    BEAT("5 -", .member = "a", .epoch = 4, .owned = "1:0");
}

static void a_topic_nobody_subscribes_to_disturbs_nobody(void **state)
{
    struct fixture *f = *state;

    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("2 -", .member = "a", .epoch = 2);
    topic_make(f, "other", 21, 2);
    BEAT("2 -", .member = "a", .epoch = 2);
    assert_int_equal(f->records_of_call, 0);
}

/* ---- assignors ---- */

static void the_assignor_most_members_ask_for_is_taken(void **state)
{
    struct fixture *f = *state;

    BEAT("2 4:0,1,2,3", .member = "a", .topics = "t4");
    BEAT("3 ", .member = "b", .topics = "t4", .assignor = "range");
    assert_true(slice_equal_text(consumer_preferred(the_group(f, "g"), NULL, NULL), "range"));
    /* The preference moves back: that alone is a reason for a new epoch. */
    BEAT("3 4:0,1", .member = "a", .epoch = 2, .owned = "4:0,1");
    BEAT("3 4:2,3", .member = "b", .epoch = 3, .owned = "");
    BEAT("4 -", .member = "b", .epoch = 3, .assignor = "uniform");
    assert_int_equal(the_group(f, "g")->epoch, 4);
    BEAT("4 -", .member = "b", .epoch = 4, .assignor = "uniform");
    assert_int_equal(the_group(f, "g")->epoch, 4);
}

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

/* ---- settings of a group ---- */

/* effect: consumer.heartbeat.interval.ms consumer.session.timeout.ms consumer.assignment.interval.ms */
static void group_settings_override_the_nodes_within_its_limits(void **state)
{
    struct fixture *f = *state;

    group_config(f, "g", "consumer.heartbeat.interval.ms", "7000");
    group_config(f, "g", "consumer.session.timeout.ms", "50000");
    assert_int_equal(beat(f, (struct beat){.member = "a", .topics = "t1"})->heartbeat_interval_ms,
                     7000);
    fixture_advance(f, 49999);
    assert_int_equal(the_group(f, "g")->member_count, 1);
    fixture_advance(f, 1);
    assert_int_equal(the_group(f, "g")->member_count, 0);
    group_config(f, "g", "consumer.assignment.interval.ms", "2000");
    BEAT("4 2:0,1", .member = "b", .topics = "t2");
    BEAT("4 ", .member = "c", .topics = "t2"); /* too soon for another assignment */
    fixture_advance(f, 2000);
    BEAT("5 2:0", .member = "b", .epoch = 4, .owned = "2:0");
    BEAT("-1 -", .member = "b", .epoch = -1);
    BEAT("-1 -", .member = "c", .epoch = -1);
    group_config(f, "g", "consumer.heartbeat.interval.ms", "1000000");
    assert_int_equal(beat(f, (struct beat){.member = "a", .topics = "t1"})->heartbeat_interval_ms,
                     15000);
}

/* ---- describe ---- */

static struct consumer_group_describe_response *describe(struct fixture *f, const char *group)
{
    struct consumer_group_describe_request request = {0};
    struct slice id = text(group);

    request.group_ids = &id;
    request.group_ids_count = 1;
    return fixture_reply(f, fixture_send(f, API_CONSUMER_GROUP_DESCRIBE, 1, &request));
}

static void describe_tells_members_with_what_they_have_and_shall_have(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_describe_response_described_group *group;
    struct consumer_group_describe_response_member *member;

    BEAT("2 2:0,1", .member = "a", .topics = "t2", .rack = "r1", .instance = "i");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .instance = "i", .epoch = 2, .owned = "2:0,1");
    group = describe(f, "g")->groups;
    assert_int_equal(group->error_code, 0);
    assert_true(slice_equal_text(group->group_state, "Reconciling"));
    assert_true(slice_equal_text(group->assignor_name, "uniform"));
    assert_int_equal(group->group_epoch, 3);
    assert_int_equal(group->assignment_epoch, 3);
    assert_int_equal(group->members_count, 2);
    member = &group->members[0];
    assert_true(slice_equal_text(member->member_id, "a"));
    assert_true(slice_equal_text(member->rack_id, "r1"));
    assert_true(slice_equal_text(member->instance_id, "i"));
    assert_true(slice_equal_text(member->client_host, "/127.0.0.1"));
    assert_true(slice_equal_text(member->subscribed_topic_names[0], "t2"));
    assert_int_equal(member->member_type, 1);
    assert_int_equal(member->assignment.topic_partitions[0].partitions_count, 2);
    assert_true(slice_equal_text(member->assignment.topic_partitions[0].topic_name, "t2"));
    assert_int_equal(member->target_assignment.topic_partitions[0].partitions_count, 1);
    fixture_topic_delete(f, 2);
    group = describe(f, "g")->groups;
    assert_int_equal(group->members[0].assignment.topic_partitions_count, 0);
}

static void describe_knows_consumer_groups_only(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_describe_response_described_group *group;

    group = describe(f, "nobody")->groups;
    assert_code(group->error_code, ERR_GROUP_ID_NOT_FOUND);
    assert_true(slice_equal_text(group->error_message, "Group nobody not found."));
    assert_code(describe(f, "")->groups->error_code, ERR_INVALID_GROUP_ID);
    (void)commit(f, (struct commit){.group = "simple", .topic = "t1", .offset = 1});
    group = describe(f, "simple")->groups;
    assert_code(group->error_code, ERR_GROUP_ID_NOT_FOUND);
    assert_true(slice_equal_text(group->error_message, "Group simple is not a consumer group."));
}

/* ---- offsets ---- */

static void a_member_commits_in_its_epoch_and_what_it_had_before(void **state)
{
    struct fixture *f = *state;
    struct commit c = {.member = "a", .topic = "t2", .version = 9, .generation = 2, .offset = 5};

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_code(commit(f, c), OK);
    c.version = 8;
    assert_code(commit(f, c), ERR_UNSUPPORTED_VERSION);
    c.version = 9;
    c.generation = 3;
    assert_code(commit(f, c), ERR_STALE_MEMBER_EPOCH);
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    c.generation = 2; /* partition 0 was given in epoch 2 */
    assert_code(commit(f, c), OK);
    c.partition = 1;
    assert_code(commit(f, c), ERR_STALE_MEMBER_EPOCH);
    c.generation = 3;
    c.member = "nobody";
    assert_code(commit(f, c), ERR_UNKNOWN_MEMBER_ID);
    c.member = NULL;
    c.generation = 0;
    assert_code(commit(f, c), ERR_UNKNOWN_MEMBER_ID);
    BEAT("-1 -", .member = "a", .epoch = -1);
    BEAT("-1 -", .member = "b", .epoch = -1);
    assert_code(commit(f, c), OK); /* nobody is in */
}

static void what_a_member_is_giving_up_may_still_be_committed(void **state)
{
    struct fixture *f = *state;
    struct commit c = {
        .member = "a", .topic = "t2", .version = 9, .generation = 2, .partition = 1, .offset = 5};

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    assert_code(commit(f, c), OK);
}

static void a_simple_group_becomes_a_consumer_group_and_keeps_its_offsets(void **state)
{
    struct fixture *f = *state;

    assert_code(commit(f, (struct commit){.topic = "t1", .offset = 7}), OK);
    BEAT("2 1:0", .member = "a", .topics = "t1");
    assert_string_equal(records_text(f), "-2 5 3 7 6 8");
    assert_int_equal(fetch(f, "g", "t1", 0), 7);
}

/* ---- records of others ---- */

static void an_old_metadata_record_is_tombstoned_with_the_next_epoch(void **state)
{
    struct fixture *f = *state;
    static const uint8_t key[] = {0, 4, 0, 1, 'g'};
    static const uint8_t value[] = {0, 0, 1, 0}; /* version 0, no topics, no tags */

    BEAT("2 1:0", .member = "a", .topics = "t1");
    fixture_append(f, slice_of(key, sizeof key), slice_of(value, sizeof value), -1);
    assert_int_equal(f->failure, OK);
    BEAT("3 1:0;2:0,1", .member = "a", .epoch = 2, .topics = "t1,t2", .owned = "1:0");
    assert_string_equal(records_text(f), "5 3 -4 7 6 8");
    BEAT("3 -", .member = "a", .epoch = 3);
    assert_string_equal(records_text(f), "");
}

static void tombstones_out_of_order_are_corruption(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint8_t key[8];
        size_t size_bytes;
    } rows[] = {
        {{0, 3, 0, 1, 'g'}, 5},
        {{0, 5, 0, 1, 'g', 0, 1, 'a'}, 8},
        {{0, 6, 0, 1, 'g'}, 5},
    };

    BEAT("2 1:0", .member = "a", .topics = "t1");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct coordinator_record record = {.key = slice_of(rows[i].key, rows[i].size_bytes)};
        struct why why = {{0}};

        assert_int_equal(group_coordinator_replay(f->coordinator, &record, 100, -1, 0, &why),
                         ERR_CORRUPT);
        assert_true(why.text[0] != '\0');
    }
}

static void tombstones_of_what_is_not_there_are_passed_over(void **state)
{
    struct fixture *f = *state;

    for (uint8_t type = 3; type <= 16; type++) {
        uint8_t key[] = {0, type, 0, 1, 'x', 0, 1, 'a'};
        struct coordinator_record record = {
            .key = slice_of(key, type == 3 || type == 4 || type == 6 ? 5 : 8)};
        struct why why = {{0}};

        if (type >= 9 && type <= 15)
            continue;
        assert_int_equal(group_coordinator_replay(f->coordinator, &record, 100, -1, 0, &why), OK);
    }
    assert_string_equal(group_text(f, "x"), "none");
}

static void values_that_cannot_be_read_fail_the_load(void **state)
{
    struct fixture *f = *state;
    static const uint8_t key[] = {0, 8, 0, 1, 'g', 0, 1, 'a'};
    static const uint8_t broken[] = {0, 0, 0, 0, 0};
    static const uint8_t later[] = {0, 9, 0, 0, 0};
    struct coordinator_record record = {.key = slice_of(key, sizeof key),
                                        .value = slice_of(broken, sizeof broken)};
    struct why why = {{0}};

    assert_int_equal(group_coordinator_replay(f->coordinator, &record, 1, -1, 0, &why),
                     ERR_CORRUPT);
    record.value = slice_of(later, sizeof later);
    assert_int_equal(group_coordinator_replay(f->coordinator, &record, 1, -1, 0, &why),
                     ERR_UNSUPPORTED_VERSION);
}

static void a_member_in_an_unknown_state_must_come_back_empty_handed(void **state)
{
    struct fixture *f = *state;
    struct consumer_current current;
    struct consumer_member *member;

    BEAT("2 1:0", .member = "a", .topics = "t1");
    BEAT("3 ", .member = "b", .topics = "t1");
    member = consumer_member_find(the_group(f, "g"), text("a"));
    current = consumer_member_current(member);
    current.state = CONSUMER_UNKNOWN;
    assert_int_equal(consumer_member_set_current(member, &current), OK);
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 2, .owned = "1:0");
    BEAT("FENCED_MEMBER_EPOCH", .member = "a", .epoch = 2);
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "");
}

/* ---- people ---- */

static void view_keep(void *context, const struct group_view *view)
{
    *(struct group_view *)context = *view;
}

static void the_view_names_who_holds_a_rebalance_up_and_why_it_began(void **state)
{
    struct fixture *f = *state;
    struct group_view view;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("2 2:0", .member = "a", .epoch = 2, .owned = "2:0,1");
    fixture_advance(f, 3000);
    group_coordinator_each(f->coordinator, view_keep, &view);
    assert_true(slice_equal_text(view.waits_for_member, "a"));
    assert_true(slice_equal_text(view.last_rebalance_reason, "member b joined"));
    assert_string_equal(view.state, "Reconciling");
    BEAT("3 -", .member = "a", .epoch = 2, .owned = "2:0");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
    group_coordinator_each(f->coordinator, view_keep, &view);
    assert_true(slice_is_null(view.waits_for_member));
    assert_int_equal(view.last_rebalance_ms, 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_that_make_no_sense_are_refused_with_kafkas_words),
        TEST(without_the_feature_or_the_protocol_the_api_is_unsupported),
        TEST(version_0_lets_the_coordinator_make_the_member_id),
        TEST(a_group_is_made_by_a_join_only),
        TEST(the_first_join_writes_the_records_in_kafkas_order),
        TEST(a_heartbeat_without_news_writes_nothing),
        TEST(a_full_request_is_answered_with_the_whole_assignment),
        TEST(the_group_size_is_limited_but_not_for_who_is_in),
        TEST(a_partition_moves_only_after_its_owner_gave_it_up),
        TEST(a_member_that_gives_up_at_once_goes_on_in_one_step),
        TEST(a_member_that_still_revokes_follows_a_newer_target_afterwards),
        TEST(topics_dropped_from_a_subscription_are_given_up),
        TEST(within_the_assignment_interval_the_old_target_stays_but_unsubscribed_topics_go),
        TEST(the_last_epoch_is_accepted_again_when_the_reply_was_lost),
        TEST(a_fenced_member_comes_back_with_epoch_0_and_keeps_its_place),
        TEST(a_member_that_leaves_frees_its_partitions),
        TEST(an_empty_group_assigns_the_next_member_at_once),
        TEST(a_silent_member_is_removed_after_its_session),
        TEST(a_member_that_does_not_revoke_is_removed_after_its_rebalance_timeout),
        TEST(a_member_that_revoked_in_time_stays),
        TEST(timers_start_again_when_the_log_was_loaded),
        TEST(a_refused_expiry_is_tried_again),
        TEST(a_refused_write_changes_nothing),
        TEST(nothing_is_told_before_it_is_committed),
        TEST(a_static_member_that_leaves_for_a_while_comes_back_to_its_partitions),
        TEST(an_instance_id_in_use_is_not_given_to_a_second_process),
        TEST(an_absent_static_member_is_removed_after_its_session),
        TEST(a_static_member_that_comes_back_with_another_subscription_moves_the_group),
        TEST(a_topic_that_comes_later_is_assigned_after_the_next_heartbeat),
        TEST(a_topic_nobody_subscribes_to_disturbs_nobody),
        TEST(the_assignor_most_members_ask_for_is_taken),
        TEST(an_expression_is_resolved_after_the_join),
        TEST(names_and_expressions_add_up),
        TEST(an_invalid_expression_is_refused_and_nothing_changes),
        TEST(the_last_subscriber_takes_its_expression_along),
        TEST(new_topics_are_matched_at_the_next_heartbeat_but_not_within_ten_seconds),
        TEST(the_outcome_for_a_group_that_is_gone_is_dropped),
        TEST(group_settings_override_the_nodes_within_its_limits),
        TEST(describe_tells_members_with_what_they_have_and_shall_have),
        TEST(describe_knows_consumer_groups_only),
        TEST(a_member_commits_in_its_epoch_and_what_it_had_before),
        TEST(what_a_member_is_giving_up_may_still_be_committed),
        TEST(a_simple_group_becomes_a_consumer_group_and_keeps_its_offsets),
        TEST(an_old_metadata_record_is_tombstoned_with_the_next_epoch),
        TEST(tombstones_out_of_order_are_corruption),
        TEST(tombstones_of_what_is_not_there_are_passed_over),
        TEST(values_that_cannot_be_read_fail_the_load),
        TEST(a_member_in_an_unknown_state_must_come_back_empty_handed),
        TEST(the_view_names_who_holds_a_rebalance_up_and_why_it_began),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
