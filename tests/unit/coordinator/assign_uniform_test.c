/* SPDX-License-Identifier: Apache-2.0 */
/* The answers are those of Apache Kafka 4.4.0's classes (tests/interop/test_assignors.py asks them more). */
#include "assign_rows.h"

static const struct assign_row rows[] = {
    {"partitions of all topics are counted together",
     "uniform homogeneous " A "=4," B "=3 "
     "a=-=0.1=- b=-=0.1=-",
     "0:0.1.2 0:3/1:0.1.2"},
    {"what is over the share goes to the newcomer",
     "uniform homogeneous " A "=4 "
     "a=-=0=0:0.1.2.3 b=-=0=-",
     "0:0.1 0:2.3"},
    {"a member that cannot fill its extra gives it on",
     "uniform homogeneous " A "=5 "
     "a=-=0=0:0.1.2 b=-=0=0:3.4 c=-=0=-",
     "0:0.1 0:3.4 0:2"},
    {"what a member that left had goes to those below their share",
     "uniform homogeneous " A "=6 "
     "a=-=0=0:0.1 c=-=0=0:4.5",
     "0:0.1.2 0:3.4.5"},
    {"members beyond the number of partitions get nothing",
     "uniform homogeneous " A "=2 "
     "a=-=0=- b=-=0=- c=-=0=-",
     "- 0:0 0:1"},
    {"what is kept of too much follows kafkas order",
     "uniform homogeneous " A "=20 "
     "a=-=0=0:17.1.18.2.19.3 b=-=0=- c=-=0=- d=-=0=-",
     "0:1.2.17.18.19 0:0.4.5.6.7 0:8.9.10.11.12 0:3.13.14.15.16"},
    {"topics no longer subscribed are dropped",
     "uniform homogeneous " A "=2," B "=4," C "=3 "
     "a=-=0.2=1:0.1/2:0 b=-=0.2=2:1.2",
     "0:0/2:0 0:1/2:1.2"},
    {"without topics all are empty",
     "uniform homogeneous "
     "- "
     "a=-=-=- b=-=-=-",
     "- -"},
    {"the least loaded subscriber gets the next partition",
     "uniform mixed " A "=3," B "=3 "
     "a=-=0=- b=-=0.1=-",
     "0:0.1.2 1:0.1.2"},
    {"topics with more partitions for each subscriber come first",
     "uniform mixed " A "=4," B "=2," C "=6 "
     "a=-=0.1=- b=-=1.2=- c=-=0.2=-",
     "0:0.1.2.3 1:0.1/2:0.2 2:1.3.4.5"},
    {"load moves to subscribers of the busy topic",
     "uniform mixed " A "=5," B "=5 "
     "a=-=0.1=0:0.1.2.3.4/1:0.1.2.3.4 b=-=1=- c=-=1=-",
     "0:0.1.2.3.4 1:0.2.4 1:1.3"},
    {"what fits the balance stays where it is",
     "uniform mixed " A "=3," B "=3 "
     "a=-=0=0:0/1:0.1 b=-=1=-",
     "0:0.1.2 1:0.1.2"},
    {"members without topics are left out",
     "uniform mixed " A "=8," B "=2 "
     "a=-=0=0:0.1.2.3.4.5.6.7 b=-=0.1=1:0.1 c=-=0=- d=-=-=-",
     "0:0.1.2.3 0:4/1:0.1 0:5.6.7 -"},
};

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
    const struct CMUnitTest more =
        cmocka_unit_test(an_old_target_that_names_a_partition_twice_is_an_error_or_ignored);

    return assign_rows_run("assign_uniform", rows, ARRAY_COUNT(rows), &more);
}
