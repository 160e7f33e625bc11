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

static void the_first_members_by_id_get_the_longer_ranges(void **state)
{
    (void)state;
    expect("range homogeneous " A "=7 "
           "b=-=0=- a=-=0=- c=-=0=-",
           "0:3.4 0:0.1.2 0:5.6");
}

static void more_members_than_partitions_leave_the_last_ones_empty(void **state)
{
    (void)state;
    expect("range homogeneous " A "=2 "
           "a=-=0=- b=-=0=- c=-=0=-",
           "0:0 0:1 -");
}

static void topics_of_equal_size_are_cut_alike(void **state)
{
    (void)state;
    expect("range homogeneous " A "=3," B "=3 "
           "a=-=0.1=- b=-=0.1=-",
           "0:0.1/1:0.1 0:2/1:2");
}

static void static_members_come_first_by_their_instance_ids(void **state)
{
    (void)state;
    expect("range homogeneous " A "=4 "
           "a=-=0=- z=i1=0=- y=i0=0=-",
           "0:3 0:2 0:0.1");
}

static void each_topic_is_cut_among_its_own_subscribers(void **state)
{
    (void)state;
    expect("range mixed " A "=4," B "=3 "
           "a=-=0=- b=-=0.1=- c=-=1=-",
           "0:0.1 0:2.3/1:0.1 1:2");
}

static void what_members_had_does_not_count(void **state)
{
    (void)state;
    expect("range homogeneous " A "=4 "
           "a=-=0=0:2.3 b=-=0=0:0.1",
           "0:0.1 0:2.3");
}

static void a_topic_without_partitions_is_nobodys(void **state)
{
    (void)state;
    expect("range mixed " A "=0," B "=1 "
           "a=-=0=- b=-=0.1=-",
           "- 1:0");
}

static void without_topics_there_is_nothing_to_give(void **state)
{
    (void)state;
    expect("range homogeneous "
           "- "
           "a=-=-=-",
           "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_members_by_id_get_the_longer_ranges),
        cmocka_unit_test(more_members_than_partitions_leave_the_last_ones_empty),
        cmocka_unit_test(topics_of_equal_size_are_cut_alike),
        cmocka_unit_test(static_members_come_first_by_their_instance_ids),
        cmocka_unit_test(each_topic_is_cut_among_its_own_subscribers),
        cmocka_unit_test(what_members_had_does_not_count),
        cmocka_unit_test(a_topic_without_partitions_is_nobodys),
        cmocka_unit_test(without_topics_there_is_nothing_to_give),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
