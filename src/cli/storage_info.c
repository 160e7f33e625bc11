/* SPDX-License-Identifier: Apache-2.0 */
/* cli/storage_info.c: `barnabas storage info`: whether the log directories of a node are prepared, and what is wrong with them. */
#include "cli/storage_tool.h"

#include <stdio.h>

static const struct storage_option info_options[] = {TEXT_OPTION("--config", "-c", config)};

struct info {
    char found[64 * 1024], problems[64 * 1024];
    struct text found_text, problem_text;
    size_t found_count, problem_count;
    struct meta_properties first;
    bool has_first;
};

static void problem(struct info *info, const char *format, ...) PRINTF_LIKE(2, 3);

static void problem(struct info *info, const char *format, ...)
{
    char text[2048];
    va_list list;

    va_start(list, format);
    fmt_list(text, sizeof text, format, list);
    va_end(list);
    text_add(&info->problem_text, "  %s\n", text);
    info->problem_count++;
}

static void info_directory(struct storage_task *task, struct info *info, const char *path)
{
    struct meta_properties found;
    struct os_stat stat;

    if (os_stat(task->os, path, &stat) != OK || !stat.exists) {
        problem(info, "%s does not exist", path);
        return;
    }
    if (!stat.is_directory) {
        problem(info, "%s is not a directory", path);
        return;
    }
    text_add(&info->found_text, "  %s\n", path);
    info->found_count++;
    if (meta_properties_read(task->os, path, &task->arena, &found, &task->why) != OK)
        problem(info, "Error loading %s/meta.properties: %s", path, task->why.text);
    else if (found.version < 0)
        problem(info, "%s is not formatted.", path);
    else if (!info->has_first)
        info->first = found;
    else if (!slice_equal(info->first.cluster_id, found.cluster_id))
        problem(info, "Mismatched cluster IDs between storage directories.");
    else if (info->first.node_id != found.node_id)
        problem(info, "Mismatched node IDs between storage directories.");
    info->has_first = info->has_first || found.version >= 0;
}

static void info_print_metadata(const struct meta_properties *found)
{
    char directory[UUID_TEXT_BYTES];

    uuid_to_text(found->directory_id, directory);
    printf("Found metadata: {cluster.id=%.*s", SLICE_ARGS(found->cluster_id));
    if (found->has_directory_id)
        printf(", directory.id=%s", directory);
    printf(", node.id=%d, version=%d}\n\n", found->node_id, found->version);
}

static int info_print(const struct info *info)
{
    if (info->found_count > 0)
        printf("Found log director%s:\n%s\n", info->found_count == 1 ? "y" : "ies",
               info->found_text.data);
    if (info->has_first)
        info_print_metadata(&info->first);
    if (info->problem_count == 0)
        return CLI_OK;
    printf("Found problem%s:\n%s\n", info->problem_count == 1 ? "" : "s", info->problem_text.data);
    return CLI_FAILED;
}

int storage_info_command(struct storage_task *task, int argc, char **argv)
{
    static struct info info; /* large; one run per process */
    int status = storage_options_parse(info_options, ARRAY_COUNT(info_options), argc, argv,
                                       &task->arguments);
    const char **paths;
    size_t count;

    if (status != CLI_OK)
        return status;
    if (!task->arguments.config)
        return storage_usage_error("argument --config/-c is required", NULL);
    if ((status = storage_config_load(task)) != CLI_OK)
        return status;
    text_init(&info.found_text, info.found, sizeof info.found);
    text_init(&info.problem_text, info.problems, sizeof info.problems);
    paths = storage_directories(task, &count);
    if (!paths)
        return storage_refuse("%s", err_text(ERR_NO_MEMORY));
    for (size_t i = 0; i < count; i++)
        info_directory(task, &info, paths[i]);
    if (info.has_first && info.first.version == 0)
        problem(&info,
                "The kafka configuration file appears to be for a cluster in KRaft mode, but "
                "the directories are formatted for legacy mode.");
    return info_print(&info);
}
