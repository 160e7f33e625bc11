/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli.h: from the command line to a subcommand.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/* `barnabas COMMAND …`, `help [COMMAND]`, `--help`, `--version`. Returns the exit status. */
int cli_main(int argc, char **argv);

/* The name of the command that was probably meant; NULL when none is near. */
const char *cli_suggest(const char *word);

#endif
