/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignors by lines of text, for tests and for tests/interop/test_assignors.py.
 *
 *   uniform|range homogeneous|mixed TOPICS MEMBERS
 *     TOPICS   id=partitions,…           32 hexadecimal digits; "-": none
 *     MEMBERS  member=instance=topics=old …   "-" instance: dynamic; topics: places in TOPICS "0.1", "-" none;
 *              old: "place:p.p/place:p", "-": none
 *   answer: "place:p.p/place:p" of each member in order, "-" for none; or an error's name
 */
#ifndef TESTS_COORDINATOR_ASSIGN_TEXT_H
#define TESTS_COORDINATOR_ASSIGN_TEXT_H

#include "coordinator/group/assign.h"

/* The answer, in the arena. */
const char *assign_answer(struct arena *arena, const char *question);

#endif
