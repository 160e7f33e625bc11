/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/assert.c: the end of a process whose own code is wrong.
 * The hook is the one mutable global of the pure modules: a failed assertion has no other way to
 * reach the process that it ends.
 */
#include "base/assert.h"

static assert_hook hook_of_process;

void assert_hook_set(assert_hook hook)
{
    __atomic_store_n(&hook_of_process, hook, __ATOMIC_RELEASE);
}

void assert_fail(const char *condition, const char *file, int line, const char *function)
{
    /* Taken out first: neither a second thread nor an assertion inside the hook calls it again. */
    assert_hook hook = __atomic_exchange_n(&hook_of_process, (assert_hook)NULL, __ATOMIC_ACQ_REL);

    if (hook)
        hook(condition, file, line, function);
    __builtin_trap();
}
