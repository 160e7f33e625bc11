/* SPDX-License-Identifier: Apache-2.0 */
/* cli/storage_format.c: `barnabas storage format`: prepares the log directories of a node. */
#include "cli/storage_tool.h"

#include <stdio.h>

static const struct storage_option format_options[] = {
    TEXT_OPTION("--config", "-c", config),
    TEXT_OPTION("--cluster-id", "-t", cluster_id),
    LIST_OPTION("--add-scram", "-S", scram, scram_count),
    FLAG_OPTION("--ignore-formatted", "-g", ignore_formatted),
    TEXT_OPTION("--release-version", "-r", release),
    LIST_OPTION("--feature", "-f", features, feature_count),
    FLAG_OPTION("--standalone", "-s", standalone),
    FLAG_OPTION("--no-initial-controllers", "-N", no_initial_controllers),
    TEXT_OPTION("--initial-controllers", "-I", initial_controllers),
};

static int standalone_voter(struct storage_task *task, struct format_options *options)
{
    struct format_voter *voter = ARENA_NEW(&task->arena, struct format_voter);
    const struct listener_config *listener = task->node.advertised_controllers;
    struct random random;

    if (!voter)
        return storage_refuse("%s", err_text(ERR_NO_MEMORY));
    if (!task->node.controller)
        return storage_refuse("You can only use --standalone on a controller.");
    if (task->node.advertised_controller_count == 0)
        return storage_refuse("No controller listeners found.");
    os_entropy(task->os, random.state, sizeof random.state);
    voter->id = task->node.node_id;
    voter->host = slice_is_null(listener->host) ? SLICE("localhost") : listener->host;
    voter->port = (uint16_t)listener->port;
    voter->directory_id = uuid_random(&random);
    options->voters = (struct format_voters){voter, 1};
    return CLI_OK;
}

static int levels_take(struct storage_task *task, struct format_options *options)
{
    const struct storage_arguments *arguments = &task->arguments;
    struct feature_level *levels =
        ARENA_ARRAY(&task->arena, struct feature_level, arguments->feature_count);

    if (arguments->release) {
        options->release = metadata_version_from_name(slice_from_text(arguments->release));
        if (options->release < 0)
            return storage_unknown_release(arguments->release);
    }
    if (!levels)
        return storage_refuse("%s", err_text(ERR_NO_MEMORY));
    for (size_t i = 0; i < arguments->feature_count; i++)
        if (format_level_parse(arguments->features[i], &levels[i], &task->why) != OK)
            return storage_refuse("%s", task->why.text);
    options->levels = levels;
    options->level_count = arguments->feature_count;
    return CLI_OK;
}

static int voters_take(struct storage_task *task, struct format_options *options)
{
    const struct storage_arguments *arguments = &task->arguments;

    options->is_dynamic = task->node.voter_count == 0;
    if (!options->is_dynamic && (arguments->initial_controllers || arguments->standalone))
        return storage_refuse(
            "You cannot specify controller.quorum.voters and format the node with "
            "--initial-controllers or --standalone. If you want to use dynamic quorum, "
            "please remove controller.quorum.voters and specify "
            "controller.quorum.bootstrap.servers instead.");
    if (arguments->initial_controllers &&
        format_voters_parse(slice_from_text(arguments->initial_controllers), &task->arena,
                            &options->voters, &task->why) != OK)
        return storage_refuse("%s", task->why.text);
    if (arguments->standalone) {
        int status = standalone_voter(task, options);

        if (status != CLI_OK)
            return status;
    }
    if (!arguments->no_initial_controllers && task->node.controller && options->is_dynamic &&
        options->voters.count == 0)
        return storage_refuse(
            "Because controller.quorum.voters is not set on this controller, you must "
            "specify one of the following: --standalone, --initial-controllers, or "
            "--no-initial-controllers.");
    return CLI_OK;
}

static int format_run(struct storage_task *task)
{
    const struct storage_arguments *arguments = &task->arguments;
    struct format_options options = {
        .cluster_id = slice_from_text(arguments->cluster_id),
        .node_id = task->node.node_id,
        .is_controller = task->node.controller,
        .ignore_formatted = arguments->ignore_formatted,
        .scram = arguments->scram,
        .scram_count = arguments->scram_count,
    };
    CLEANUP(writer_release) struct writer report;
    int status;
    enum err err;

    writer_init(&report, &heap_allocator, SIZE_MAX);
    if ((status = levels_take(task, &options)) != CLI_OK ||
        (status = voters_take(task, &options)) != CLI_OK)
        return status;
    if (task->node.controller_listener_names.count > 0)
        options.controller_listener = task->node.controller_listener_names.items[0];
    options.directories = storage_directories(task, &options.directory_count);
    options.metadata_directory =
        arena_format(&task->arena, "%.*s", SLICE_ARGS(task->node.metadata_log_dir));
    if (!options.directories || !options.metadata_directory)
        return storage_refuse("%s", err_text(ERR_NO_MEMORY));
    err = storage_format(task->os, &options, &report, &task->why);
    if (report.size_bytes > 0)
        fwrite(report.data, 1, report.size_bytes, stdout);
    if (err != OK)
        return storage_refuse("%s", task->why.text[0] ? task->why.text : err_text(err));
    return CLI_OK;
}

int storage_format_command(struct storage_task *task, int argc, char **argv)
{
    struct storage_arguments *arguments = &task->arguments;
    int status =
        storage_options_parse(format_options, ARRAY_COUNT(format_options), argc, argv, arguments);
    int modes = arguments->standalone + arguments->no_initial_controllers +
                (arguments->initial_controllers != NULL);

    if (status != CLI_OK)
        return status;
    if (!arguments->config)
        return storage_usage_error("argument --config/-c is required", NULL);
    if (!arguments->cluster_id)
        return storage_usage_error("argument --cluster-id/-t is required", NULL);
    if (modes > 1)
        return storage_usage_error("only one of --standalone, --no-initial-controllers and "
                                   "--initial-controllers may be given",
                                   NULL);
    status = storage_config_load(task);
    return status == CLI_OK ? format_run(task) : status;
}
