/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/child_end.h: how a process that a test forked ends: without the parent's exit handlers and buffers, but in a
 * coverage build (BARNABAS_COVERAGE, set by meson.build for -Db_coverage=true) with its counters written to the
 * same files; the parent and all its children add to them under a lock.
 */
#ifndef SIM_CHILD_END_H
#define SIM_CHILD_END_H

#include "base/macros.h"

#include <unistd.h>

#ifdef BARNABAS_COVERAGE
void __gcov_dump(void); /* NOLINT(bugprone-reserved-identifier): GCC's */
#endif

NO_RETURN static inline void child_end(int status)
{
#ifdef BARNABAS_COVERAGE
    __gcov_dump();
#endif
    _exit(status);
}

#endif
