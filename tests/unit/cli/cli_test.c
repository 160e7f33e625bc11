/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_slip_of_the_finger_finds_the_command(void **state)
{
    static const struct {
        const char *word;
        const char *meant;
    } cases[] = {
        {"protocol", "protocol"},
        {"protocl", "protocol"},
        {"portocol", "protocol"},
        {"pr", "protocol"},
        {"protocols", "protocol"},
        {"p", NULL},
        {"", NULL},
        {"frobnicate-the-whole-cluster-and-more", NULL},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *found = cli_suggest(cases[i].word);

        assert_true(cases[i].meant ? found && strcmp(found, cases[i].meant) == 0 : found == NULL);
    }
}

static void every_command_explains_itself(void **state)
{
    for (size_t i = 0; i < commands_count; i++) {
        char name[32], help[] = "--help";
        char *arguments[] = {name, help, NULL};

        snprintf(name, sizeof name, "%s", commands[i]->name);
        assert_string_equal(name, commands[i]->name);
        assert_true(commands[i]->summary[0] != '\0');
        assert_int_equal(commands[i]->run(2, arguments), CLI_OK);
    }
}

static void what_is_no_command_is_a_usage_error(void **state)
{
    char program[] = "barnabas", word[] = "frobnicate", help[] = "help";
    char *unknown[] = {program, word, NULL};
    char *unknown_help[] = {program, help, word, NULL};
    char *plain_help[] = {program, help, NULL};
    char *nothing[] = {program, NULL};

    assert_int_equal(cli_main(2, unknown), CLI_USAGE);
    assert_int_equal(cli_main(3, unknown_help), CLI_USAGE);
    assert_int_equal(cli_main(2, plain_help), CLI_OK);
    assert_int_equal(cli_main(1, nothing), CLI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_of_the_finger_finds_the_command),
        cmocka_unit_test(every_command_explains_itself),
        cmocka_unit_test(what_is_no_command_is_a_usage_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
