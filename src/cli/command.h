/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/command.h: one subcommand of `barnabas`. A command is a file src/cli/<name>_command.c that
 * defines `const struct command <name>_command`, declared here and listed in commands.c.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stddef.h>

#define CLI_OK 0
#define CLI_FAILED 1 /* the work could not be done */
#define CLI_USAGE 2  /* the command line was not understood */

struct command {
    const char *name;
    const char *summary; /* one line without full stop, for `barnabas help` */
    /* argv[0] is the command's name. Returns the exit status. `--help` prints the command's usage to
     * standard output and returns CLI_OK. */
    int (*run)(int argc, char **argv);
};

/* The end of a command whose result is what it printed: its status, CLI_FAILED where standard output did not take it. */
int command_printed(int status);

extern const struct command protocol_command;
extern const struct command start_command;
extern const struct command storage_command;

/* Every command, in the order of the help text. */
extern const struct command *const commands[];
extern const size_t commands_count;

#endif
