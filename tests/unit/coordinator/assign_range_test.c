/* SPDX-License-Identifier: Apache-2.0 */
/* The answers are those of Apache Kafka 4.4.0's classes (tests/interop/test_assignors.py asks them more). */
#include "assign_rows.h"

static const struct assign_row rows[] = {
    {"the first members by id get the longer ranges",
     "range homogeneous " A "=7 "
     "b=-=0=- a=-=0=- c=-=0=-",
     "0:3.4 0:0.1.2 0:5.6"},
    {"more members than partitions leave the last ones empty",
     "range homogeneous " A "=2 "
     "a=-=0=- b=-=0=- c=-=0=-",
     "0:0 0:1 -"},
    {"topics of equal size are cut alike",
     "range homogeneous " A "=3," B "=3 "
     "a=-=0.1=- b=-=0.1=-",
     "0:0.1/1:0.1 0:2/1:2"},
    {"static members come first by their instance ids",
     "range homogeneous " A "=4 "
     "a=-=0=- z=i1=0=- y=i0=0=-",
     "0:3 0:2 0:0.1"},
    {"each topic is cut among its own subscribers",
     "range mixed " A "=4," B "=3 "
     "a=-=0=- b=-=0.1=- c=-=1=-",
     "0:0.1 0:2.3/1:0.1 1:2"},
    {"what members had does not count",
     "range homogeneous " A "=4 "
     "a=-=0=0:2.3 b=-=0=0:0.1",
     "0:0.1 0:2.3"},
    {"a topic without partitions is nobodys",
     "range mixed " A "=0," B "=1 "
     "a=-=0=- b=-=0.1=-",
     "- 1:0"},
    {"without topics there is nothing to give",
     "range homogeneous "
     "- "
     "a=-=-=-",
     "-"},
};

int main(void)
{
    return assign_rows_run("assign_range", rows, ARRAY_COUNT(rows), NULL);
}
