/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bug.c: which bug is alive; nothing at all but in builds with -Dbugs=true.
 */
#include "base/bug.h"

#ifdef BARNABAS_BUGS
static enum bug bug_of_process;

bool bug_is(enum bug bug)
{
    return __atomic_load_n(&bug_of_process, __ATOMIC_RELAXED) == bug;
}

void bug_set(enum bug bug)
{
    __atomic_store_n(&bug_of_process, bug, __ATOMIC_RELAXED);
}
#endif
