/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the one binary; everything it can do is a subcommand (cli/command.h).
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
