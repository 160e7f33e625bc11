/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/commands.c: the list of subcommands.
 */
#include "base/macros.h"
#include "cli/command.h"

const struct command *const commands[] = {
    &protocol_command,
#ifdef BARNABAS_NODE
    &storage_command,
#endif
};
const size_t commands_count = ARRAY_COUNT(commands);
