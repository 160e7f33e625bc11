/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer groups by their heartbeats; groups.md §5 and §8 of the reference. */
#include "consumer_support.h"

#include "base/fmt.h"
#include "protocol/generated/messages.h"

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

/* Kafka's members do so behind an error: the heartbeat may have taken effect. */
static void an_assignment_whose_answer_was_lost_is_told_again_to_who_tells_all(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .epoch = 2, .owned = "2:0");
    (void)beat(f, (struct beat){.member = "b", .epoch = 3, .owned = ""}); /* not heard */
    BEAT("3 -", .member = "b", .epoch = 3);
    BEAT("3 2:1", .member = "b", .epoch = 3, .topics = "t2", .owned = "", .rebalance_ms = 60000);
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

static void a_clock_that_went_back_holds_no_assignment_up(void **state)
{
    struct fixture *f = *state;

    f->options.consumer_assignment_interval_ms = 1000;
    fixture_load(f);
    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    f->moment.wall_ms -= 86400000;
    BEAT("3 ", .member = "b", .topics = "t2");
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

static void a_static_member_may_come_back_under_the_id_that_it_had(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    assert_string_equal(records_text(f), "-8 -7 -5 5 7 8 8");
    fixture_advance(f, 40000);
    BEAT("2 -", .member = "a", .instance = "i", .epoch = 2, .owned = "2:0,1");
    fixture_advance(f, 40000);
    BEAT("2 -", .member = "a", .instance = "i", .epoch = 2);
    fixture_check_replay(f);
}

static void an_instance_id_in_use_is_not_given_to_a_second_process(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("UNRELEASED_INSTANCE_ID", .member = "b", .instance = "i", .topics = "t2");
    BEAT("-1 -", .member = "a", .instance = "i", .epoch = -1);
    BEAT("4 2:0,1", .member = "b", .instance = "i", .topics = "t2");
}

/* Else two members were one: the assignor had it twice, and what it owned nobody had. */
static void an_instance_id_is_not_taken_over_under_the_id_of_another_member(void **state)
{
    struct fixture *f = *state;
    struct consumer_group_heartbeat_response *response;

    BEAT("2 2:0,1", .member = "a", .instance = "i", .topics = "t2");
    BEAT("3 ", .member = "b", .topics = "t2");
    BEAT("3 2:0", .member = "a", .instance = "i", .epoch = 2, .owned = "2:0");
    BEAT("3 2:1", .member = "b", .epoch = 3, .owned = "");
    BEAT("4 ", .member = "c", .instance = "j", .topics = "t2");
    BEAT("4 -", .member = "a", .instance = "i", .epoch = 3, .owned = "2:0");
    BEAT("-2 -", .member = "a", .instance = "i", .epoch = -2);
    response = beat(f, (struct beat){.member = "b", .instance = "i", .topics = "t2,t3"});
    assert_code(response->error_code, ERR_INVALID_REQUEST);
    assert_true(slice_equal_text(response->error_message,
                                 "Member b cannot take over instance id i from member a: it is "
                                 "another member of the group already."));
    assert_int_equal(f->records_of_call, 0);
    /* Nor under that of a static member, be it away itself. */
    BEAT("INVALID_REQUEST", .member = "c", .instance = "i", .topics = "t2");
    BEAT("-2 -", .member = "c", .instance = "j", .epoch = -2);
    BEAT("INVALID_REQUEST", .member = "c", .instance = "i", .topics = "t2");
    assert_int_equal(f->records_of_call, 0);
    /* All of them go on. */
    BEAT("4 -", .member = "b", .epoch = 3, .owned = "2:1");
    BEAT("4 ", .member = "c", .instance = "j", .topics = "t2");
    BEAT("4 2:0", .member = "a", .instance = "i", .topics = "t2");
    BEAT("4 -", .member = "b", .epoch = 4, .owned = "2:1");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

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
        TEST(an_assignment_whose_answer_was_lost_is_told_again_to_who_tells_all),
        TEST(a_fenced_member_comes_back_with_epoch_0_and_keeps_its_place),
        TEST(a_member_that_leaves_frees_its_partitions),
        TEST(a_clock_that_went_back_holds_no_assignment_up),
        TEST(an_empty_group_assigns_the_next_member_at_once),
        TEST(a_silent_member_is_removed_after_its_session),
        TEST(a_member_that_does_not_revoke_is_removed_after_its_rebalance_timeout),
        TEST(a_member_that_revoked_in_time_stays),
        TEST(timers_start_again_when_the_log_was_loaded),
        TEST(a_refused_expiry_is_tried_again),
        TEST(a_refused_write_changes_nothing),
        TEST(nothing_is_told_before_it_is_committed),
        TEST(a_static_member_that_leaves_for_a_while_comes_back_to_its_partitions),
        TEST(a_static_member_may_come_back_under_the_id_that_it_had),
        TEST(an_instance_id_in_use_is_not_given_to_a_second_process),
        TEST(an_instance_id_is_not_taken_over_under_the_id_of_another_member),
        TEST(an_absent_static_member_is_removed_after_its_session),
        TEST(a_static_member_that_comes_back_with_another_subscription_moves_the_group),
        TEST(a_topic_that_comes_later_is_assigned_after_the_next_heartbeat),
        TEST(a_topic_nobody_subscribes_to_disturbs_nobody),
        TEST(the_assignor_most_members_ask_for_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
