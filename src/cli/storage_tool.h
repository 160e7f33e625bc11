/* SPDX-License-Identifier: Apache-2.0 */
/* cli/storage_tool.h: what the files of `barnabas storage` share: its options, the configuration, how it refuses. */
#ifndef CLI_STORAGE_TOOL_H
#define CLI_STORAGE_TOOL_H

#include "base/fmt.h"
#include "cli/command.h"
#include "config/config.h"
#include "os/os.h"
#include "server/format.h"
#include "storage/storage.h"

#define REPEATED_MAX 64

struct storage_arguments {
    const char *config, *cluster_id, *release, *initial_controllers;
    struct slice features[REPEATED_MAX];
    size_t feature_count;
    struct slice scram[REPEATED_MAX];
    size_t scram_count;
    bool ignore_formatted, standalone, no_initial_controllers;
};

struct storage_task {
    struct storage_arguments arguments;
    struct arena arena;
    struct os *os;
    struct why why;
    struct node_config node;
    const struct config *config;
};

/* One line to stderr; CLI_FAILED. */
int storage_refuse(const char *format, ...) PRINTF_LIKE(1, 2);
/* With the usage; CLI_USAGE. */
int storage_usage_error(const char *what, const char *word);
int storage_unknown_release(const char *release);

/* ---- options ---- */

enum storage_option_kind { OPTION_TEXT, OPTION_FLAG, OPTION_LIST };
struct storage_option {
    const char *name, *letter;
    enum storage_option_kind kind;
    size_t value, count; /* where in struct storage_arguments */
};
#define TEXT_OPTION(name, letter, member)                                        \
    {                                                                            \
        name, letter, OPTION_TEXT, offsetof(struct storage_arguments, member), 0 \
    }
#define FLAG_OPTION(name, letter, member)                                        \
    {                                                                            \
        name, letter, OPTION_FLAG, offsetof(struct storage_arguments, member), 0 \
    }
#define LIST_OPTION(name, letter, member, counter)                             \
    {                                                                          \
        name, letter, OPTION_LIST, offsetof(struct storage_arguments, member), \
            offsetof(struct storage_arguments, counter)                        \
    }

int storage_options_parse(const struct storage_option *options, size_t count, int argc, char **argv,
                          struct storage_arguments *arguments);

/* ---- configuration ---- */

/* Of --config; what is wrong with it is told. */
int storage_config_load(struct storage_task *task);
/* Log directories and the metadata directory, in order, each once; NULL: out of memory. */
const char **storage_directories(struct storage_task *task, size_t *count_out);

/* ---- the larger subcommands ---- */

int storage_format_command(struct storage_task *task, int argc, char **argv);
int storage_info_command(struct storage_task *task, int argc, char **argv);

#endif
