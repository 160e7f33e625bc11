/* SPDX-License-Identifier: Apache-2.0 */
/* The answers are those of Apache Kafka 4.4.0's classes (tests/interop/test_assignors.py asks them more). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assign_text.h"

#define A "00000000000000000000000000000001"
#define B "00000000000000000000000000000002"
#define C "a0000000000000000000000000000003"

static void expect(const char *question, const char *answer)
{
    struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_string_equal(assign_answer(&arena, question), answer);
    arena_release(&arena);
}

static void partitions_of_all_topics_are_counted_together(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=4," B "=3 "
           "a=-=0.1=- b=-=0.1=-",
           "0:0.1.2 0:3/1:0.1.2");
}

static void what_is_over_the_share_goes_to_the_newcomer(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=4 "
           "a=-=0=0:0.1.2.3 b=-=0=-",
           "0:0.1 0:2.3");
}

static void a_member_that_cannot_fill_its_extra_gives_it_on(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=5 "
           "a=-=0=0:0.1.2 b=-=0=0:3.4 c=-=0=-",
           "0:0.1 0:3.4 0:2");
}

static void what_a_member_that_left_had_goes_to_those_below_their_share(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=6 "
           "a=-=0=0:0.1 c=-=0=0:4.5",
           "0:0.1.2 0:3.4.5");
}

static void members_beyond_the_number_of_partitions_get_nothing(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=2 "
           "a=-=0=- b=-=0=- c=-=0=-",
           "- 0:0 0:1");
}

static void what_is_kept_of_too_much_follows_kafkas_order(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=20 "
           "a=-=0=0:17.1.18.2.19.3 b=-=0=- c=-=0=- d=-=0=-",
           "0:1.2.17.18.19 0:0.4.5.6.7 0:8.9.10.11.12 0:3.13.14.15.16");
}

static void topics_no_longer_subscribed_are_dropped(void **state)
{
    (void)state;
    expect("uniform homogeneous " A "=2," B "=4," C "=3 "
           "a=-=0.2=1:0.1/2:0 b=-=0.2=2:1.2",
           "0:0/2:0 0:1/2:1.2");
}

static void without_topics_all_are_empty(void **state)
{
    (void)state;
    expect("uniform homogeneous "
           "- "
           "a=-=-=- b=-=-=-",
           "- -");
}

static void the_least_loaded_subscriber_gets_the_next_partition(void **state)
{
    (void)state;
    expect("uniform mixed " A "=3," B "=3 "
           "a=-=0=- b=-=0.1=-",
           "0:0.1.2 1:0.1.2");
}

static void topics_with_more_partitions_for_each_subscriber_come_first(void **state)
{
    (void)state;
    expect("uniform mixed " A "=4," B "=2," C "=6 "
           "a=-=0.1=- b=-=1.2=- c=-=0.2=-",
           "0:0.1.2.3 1:0.1/2:0.2 2:1.3.4.5");
}

static void load_moves_to_subscribers_of_the_busy_topic(void **state)
{
    (void)state;
    expect("uniform mixed " A "=5," B "=5 "
           "a=-=0.1=0:0.1.2.3.4/1:0.1.2.3.4 b=-=1=- c=-=1=-",
           "0:0.1.2.3.4 1:0.2.4 1:1.3");
}

static void what_fits_the_balance_stays_where_it_is(void **state)
{
    (void)state;
    expect("uniform mixed " A "=3," B "=3 "
           "a=-=0=0:0/1:0.1 b=-=1=-",
           "0:0.1.2 1:0.1.2");
}

static void members_without_topics_are_left_out(void **state)
{
    (void)state;
    expect("uniform mixed " A "=8," B "=2 "
           "a=-=0=0:0.1.2.3.4.5.6.7 b=-=0.1=1:0.1 c=-=0=- d=-=-=-",
           "0:0.1.2.3 0:4/1:0.1 0:5.6.7 -");
}

static void an_old_target_that_names_a_partition_twice_is_an_error_or_ignored(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    (void)assign_answer(&arena, "uniform homogeneous " A "=2 a=-=0=0:0.1 b=-=0=0:0.1 c=-=0=0:0.1");
    (void)assign_answer(&arena, "uniform homogeneous " A "=2 a=-=0=0:0.0.0.0.1 b=-=0=0:7.8.9");
    (void)assign_answer(&arena, "uniform mixed " A "=2 a=-=0=0:0.1 b=-=0=0:0.1.9");
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_of_all_topics_are_counted_together),
        cmocka_unit_test(what_is_over_the_share_goes_to_the_newcomer),
        cmocka_unit_test(a_member_that_cannot_fill_its_extra_gives_it_on),
        cmocka_unit_test(what_a_member_that_left_had_goes_to_those_below_their_share),
        cmocka_unit_test(members_beyond_the_number_of_partitions_get_nothing),
        cmocka_unit_test(what_is_kept_of_too_much_follows_kafkas_order),
        cmocka_unit_test(topics_no_longer_subscribed_are_dropped),
        cmocka_unit_test(without_topics_all_are_empty),
        cmocka_unit_test(the_least_loaded_subscriber_gets_the_next_partition),
        cmocka_unit_test(topics_with_more_partitions_for_each_subscriber_come_first),
        cmocka_unit_test(load_moves_to_subscribers_of_the_busy_topic),
        cmocka_unit_test(what_fits_the_balance_stays_where_it_is),
        cmocka_unit_test(members_without_topics_are_left_out),
        cmocka_unit_test(an_old_target_that_names_a_partition_twice_is_an_error_or_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
