/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c: the one binary; everything it can do is a subcommand (cli/command.h).
 */
#include "base/bug.h"
#include "cli/cli.h"

#ifdef BARNABAS_BUGS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Builds with -Dbugs=true only: BARNABAS_BUG brings one of base/bug.h to life, for `./dev chaos --bugs`. */
static void bug_choose(const char *wanted)
{
    static const char *const names[BUG_COUNT] = {"none",
#define X(name, origin, text) #name,
                                                 BUG_LIST(X)
#undef X
    };

    for (int bug = 0; bug < BUG_COUNT; bug++)
        if (strcmp(names[bug], wanted) == 0) {
            bug_set((enum bug)bug);
            return;
        }
    fprintf(stderr, "barnabas: no bug '%s'\n", wanted);
    exit(EXIT_FAILURE);
}
#endif

int main(int argc, char **argv)
{
#ifdef BARNABAS_BUGS
    if (getenv("BARNABAS_BUG"))
        bug_choose(getenv("BARNABAS_BUG"));
#endif
    return cli_main(argc, argv);
}
