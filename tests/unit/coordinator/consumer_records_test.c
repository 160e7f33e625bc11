/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets of consumer groups, and records that others wrote. */
#include "consumer_support.h"

#include "base/fmt.h"
#include "protocol/generated/messages.h"

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

static int16_t fetch_code(struct fixture *f, struct slice member, int32_t epoch)
{
    struct group_offset_fetch request = {
        .group_id = text("g"), .member_id = member, .member_epoch = epoch, .all_topics = true};

    return fetch_group(f, &request, 9)->error_code;
}

static void a_fetch_names_a_member_and_its_epoch_or_neither(void **state)
{
    struct fixture *f = *state;

    BEAT("2 2:0,1", .member = "a", .topics = "t2");
    assert_code(fetch_code(f, text("a"), 2), OK);
    assert_code(fetch_code(f, SLICE_NULL, -1), OK);
    assert_code(fetch_code(f, text("a"), 1), ERR_STALE_MEMBER_EPOCH);
    assert_code(fetch_code(f, text("a"), -1), ERR_STALE_MEMBER_EPOCH);
    assert_code(fetch_code(f, text("b"), 2), ERR_UNKNOWN_MEMBER_ID);
    assert_code(fetch_code(f, SLICE_EMPTY, -1), ERR_UNKNOWN_MEMBER_ID);
    assert_code(fetch_code(f, SLICE_NULL, 2), ERR_UNKNOWN_SERVER_ERROR); /* as Apache's */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, consumer_setup, consumer_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_member_commits_in_its_epoch_and_what_it_had_before),
        TEST(a_fetch_names_a_member_and_its_epoch_or_neither),
        TEST(what_a_member_is_giving_up_may_still_be_committed),
        TEST(a_simple_group_becomes_a_consumer_group_and_keeps_its_offsets),
        TEST(an_old_metadata_record_is_tombstoned_with_the_next_epoch),
        TEST(tombstones_out_of_order_are_corruption),
        TEST(tombstones_of_what_is_not_there_are_passed_over),
        TEST(values_that_cannot_be_read_fail_the_load),
        TEST(a_member_in_an_unknown_state_must_come_back_empty_handed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
