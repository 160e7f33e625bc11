/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/cli.c: finds the subcommand, or says what there is. Single thread.
 */
#include "cli/cli.h"

#include "base/macros.h"
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#define WORD_BYTES_MAX 32
#define SUGGEST_DISTANCE_MAX 3

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < commands_count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Letters to insert, delete or replace between two words (Levenshtein). */
static size_t word_distance(const char *from, const char *to)
{
    size_t row[WORD_BYTES_MAX + 1];
    size_t width = strlen(to);

    if (width > WORD_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; from[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            size_t replaced = diagonal + (from[i] != to[j]);

            diagonal = row[j + 1];
            row[j + 1] = MIN(replaced, MIN(row[j], row[j + 1]) + 1);
        }
    }
    return row[width];
}

const char *cli_suggest(const char *word)
{
    const char *nearest = NULL;
    size_t nearest_distance = SUGGEST_DISTANCE_MAX;

    for (size_t i = 0; i < commands_count; i++) {
        const char *name = commands[i]->name;
        size_t distance = word_distance(word, name);

        /* A prefix of two letters is as good as a slip of one. */
        if (strlen(word) >= 2 && strncmp(name, word, strlen(word)) == 0)
            distance = MIN(distance, (size_t)1);
        if (distance < nearest_distance && distance < strlen(name)) {
            nearest_distance = distance;
            nearest = name;
        }
    }
    return nearest;
}

static void help_print(FILE *out)
{
    fprintf(out, "usage: barnabas COMMAND [ARGUMENT…]\n\n");
    for (size_t i = 0; i < commands_count; i++)
        fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
            "\n`barnabas help COMMAND` tells more; `barnabas --version` prints the version.\n");
}

int command_printed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fputs("barnabas: standard output takes no more\n", stderr);
    return status == CLI_OK ? CLI_FAILED : status;
}

static int unknown_command(const char *name)
{
    const char *near = cli_suggest(name);

    fprintf(stderr, "barnabas: no command '%s'", name);
    if (near)
        fprintf(stderr, "; did you mean '%s'?\n", near);
    else
        fprintf(stderr, "; `barnabas help` lists them\n");
    return CLI_USAGE;
}

static int command_help(const char *name)
{
    const struct command *command = command_find(name);
    char help[] = "--help";
    char own[WORD_BYTES_MAX];
    char *arguments[] = {own, help, NULL};

    if (!command)
        return unknown_command(name);
    snprintf(own, sizeof own, "%s", command->name);
    return command->run(2, arguments);
}

int cli_main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        help_print(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("barnabas %s\n", BARNABAS_VERSION);
        return command_printed(CLI_OK);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        if (argc > 2)
            return command_help(argv[2]);
        help_print(stdout);
        return command_printed(CLI_OK);
    }
    command = command_find(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    return command->run(argc - 1, argv + 1);
}
