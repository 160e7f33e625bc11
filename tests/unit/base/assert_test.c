/* SPDX-License-Identifier: Apache-2.0 */
/* A failed assertion tells the hook once and ends the process. */
#include "base/assert.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int report_to;

static void report(const char *condition, const char *file, int line, const char *function)
{
    const char *name = strrchr(file, '/');
    bool whole = strcmp(condition, "2 < 1") == 0 &&
                 strcmp(name ? name + 1 : file, "assert_test.c") == 0 && line > 0 &&
                 strcmp(function, "fail_in_child") == 0;

    if (write(report_to, whole ? "y" : "n", 1) != 1)
        _exit(9);
}

static void report_and_fail_again(const char *condition, const char *file, int line,
                                  const char *function)
{
    report(condition, file, line, function);
    ASSERT(line < 0);
}

/* The signal that ended the child, and what the hook wrote. */
static int fail_in_child(assert_hook hook, char *told, size_t capacity_bytes)
{
    int ends[2], status;
    ssize_t size_bytes;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGILL, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        report_to = ends[1];
        assert_hook_set(hook);
        ASSERT(2 < 1);
        _exit(0);
    }
    close(ends[1]);
    size_bytes = read(ends[0], told, capacity_bytes - 1);
    assert_true(size_bytes >= 0);
    told[size_bytes] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static bool is_trap(int number)
{
    return number == SIGILL || number == SIGTRAP || number == SIGABRT;
}

static void a_true_condition_does_nothing(void **state)
{
    int evaluated = 0;

    ASSERT(++evaluated == 1);
    assert_int_equal(evaluated, 1);
    MAYBE(++evaluated == 5);
    assert_int_equal(evaluated, 1);
}

static void a_false_condition_tells_the_hook_and_traps(void **state)
{
    char told[8];

    assert_true(is_trap(fail_in_child(report, told, sizeof told)));
    assert_string_equal(told, "y");
}

static void without_a_hook_it_traps_all_the_same(void **state)
{
    char told[8];

    assert_true(is_trap(fail_in_child(NULL, told, sizeof told)));
    assert_string_equal(told, "");
}

static void a_failure_inside_the_hook_does_not_call_it_again(void **state)
{
    char told[8];

    assert_true(is_trap(fail_in_child(report_and_fail_again, told, sizeof told)));
    assert_string_equal(told, "y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_true_condition_does_nothing),
        cmocka_unit_test(a_false_condition_tells_the_hook_and_traps),
        cmocka_unit_test(without_a_hook_it_traps_all_the_same),
        cmocka_unit_test(a_failure_inside_the_hook_does_not_call_it_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
