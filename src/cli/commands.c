/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/commands.c: the list of subcommands.
 */
#include "base/macros.h"
#include "cli/command.h"

const struct command *const commands[] = {
#ifdef BARNABAS_NODE
    &start_command,
    &storage_command,
#endif
    &protocol_command,
};
const size_t commands_count = ARRAY_COUNT(commands);
