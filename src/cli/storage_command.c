/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/storage_command.c: `barnabas storage`: what kafka-storage does, with its options and words:
 * formatting directories, looking at them, ids, and what the levels of features mean. Single thread.
 */
#include "base/fmt.h"
#include "base/parse.h"
#include "cli/command.h"
#include "config/config.h"
#include "os/os.h"
#include "server/format.h"
#include "storage/storage.h"

#include <stdio.h>
#include <stdlib.h>

#define CONFIG_BYTES_MAX (16 * MIB)
#define REPEATED_MAX 64
#define KRAFT_VERSION_DEFAULT_FROM 21 /* metadata.version at which a new quorum is dynamic */

static const char usage[] =
    "usage: barnabas storage format -t CLUSTER_ID -c FILE [OPTION…]\n"
    "       barnabas storage info -c FILE\n"
    "       barnabas storage random-uuid\n"
    "       barnabas storage version-mapping [-r RELEASE]\n"
    "       barnabas storage feature-dependencies -f FEATURE=LEVEL…\n"
    "\n"
    "format prepares the log directories of a node; info tells whether they are prepared.\n"
    "\n"
    "  -c, --config FILE              the node's server.properties\n"
    "  -t, --cluster-id ID            the cluster that the node belongs to (see random-uuid)\n"
    "  -g, --ignore-formatted         leave formatted directories as they are\n"
    "  -r, --release-version RELEASE  feature levels of this release, 3.3-IV3 to 4.4-IV2 (the "
    "default)\n"
    "  -f, --feature NAME=LEVEL       level of one feature; may be repeated\n"
    "  -S, --add-scram TEXT           a SCRAM credential, may be repeated:\n"
    "                                 'SCRAM-SHA-256=[name=alice,password=secret]'\n"
    "                                 'SCRAM-SHA-512=[name=alice,iterations=8192,salt=\"N3E=\",\n"
    "                                 saltedpassword=\"YCE=\"]'\n"
    "one of, for a controller without controller.quorum.voters:\n"
    "  -s, --standalone               the only voter of a dynamic quorum\n"
    "  -I, --initial-controllers LIST first voters of a dynamic quorum: id@host:port:directory,…\n"
    "  -N, --no-initial-controllers   no voter: the node joins a quorum that exists\n";

struct arguments {
    const char *config, *cluster_id, *release, *initial_controllers;
    struct slice features[REPEATED_MAX];
    size_t feature_count;
    struct slice scram[REPEATED_MAX];
    size_t scram_count;
    bool ignore_formatted, standalone, no_initial_controllers;
};

struct task {
    struct arguments arguments;
    struct arena arena;
    struct os *os;
    struct why why;
    struct node_config node;
    const struct config *config;
};

static int refuse(const char *format, ...) PRINTF_LIKE(1, 2);

static int refuse(const char *format, ...)
{
    char text[2048];
    va_list list;

    va_start(list, format);
    fmt_list(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "%s\n", text);
    return CLI_FAILED;
}

static int usage_error(const char *what, const char *word)
{
    fprintf(stderr, "barnabas storage: %s%s%s\n%s", what, word ? " " : "", word ? word : "", usage);
    return CLI_USAGE;
}

/* ---- options ---- */

enum option_kind { OPTION_TEXT, OPTION_FLAG, OPTION_LIST };
struct option {
    const char *name, *letter;
    enum option_kind kind;
    size_t value, count; /* where in struct arguments */
};
#define TEXT_OPTION(name, letter, member)                                \
    {                                                                    \
        name, letter, OPTION_TEXT, offsetof(struct arguments, member), 0 \
    }
#define FLAG_OPTION(name, letter, member)                                \
    {                                                                    \
        name, letter, OPTION_FLAG, offsetof(struct arguments, member), 0 \
    }
#define LIST_OPTION(name, letter, member, counter)                     \
    {                                                                  \
        name, letter, OPTION_LIST, offsetof(struct arguments, member), \
            offsetof(struct arguments, counter)                        \
    }

static const struct option format_options[] = {
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
static const struct option info_options[] = {TEXT_OPTION("--config", "-c", config)};
static const struct option mapping_options[] = {TEXT_OPTION("--release-version", "-r", release)};
static const struct option dependency_options[] = {
    LIST_OPTION("--feature", "-f", features, feature_count)};

static bool option_store(const struct option *option, struct arguments *arguments,
                         const char *value)
{
    char *base = (char *)arguments;
    size_t *count;

    switch (option->kind) {
    case OPTION_TEXT:
        *(const char **)(void *)(base + option->value) = value;
        return true;
    case OPTION_FLAG:
        *(bool *)(void *)(base + option->value) = true;
        return true;
    case OPTION_LIST:
        count = (size_t *)(void *)(base + option->count);
        if (*count == REPEATED_MAX)
            return false;
        ((struct slice *)(void *)(base + option->value))[(*count)++] = slice_from_text(value);
        return true;
    }
    return false;
}

/* The option of "--name", "-n", "--name=value" or "-nvalue"; *value_out: the joined value. */
static const struct option *option_find(const struct option *options, size_t count,
                                        const char *word, const char **value_out)
{
    *value_out = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_bytes = strlen(options[i].name);

        if (strcmp(word, options[i].name) == 0 || strcmp(word, options[i].letter) == 0)
            return &options[i];
        if (strncmp(word, options[i].name, name_bytes) == 0 && word[name_bytes] == '=') {
            *value_out = word + name_bytes + 1;
            return &options[i];
        }
        if (strncmp(word, options[i].letter, 2) == 0 && word[1] != '-') {
            *value_out = word + 2;
            return &options[i];
        }
    }
    return NULL;
}

static int options_parse(const struct option *options, size_t count, int argc, char **argv,
                         struct arguments *arguments)
{
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct option *option = option_find(options, count, argv[i], &value);

        if (!option)
            return usage_error("unrecognized argument", argv[i]);
        if (option->kind == OPTION_FLAG) {
            if (value)
                return usage_error("no value is taken by", option->name);
        } else if (!value) {
            if (i + 1 == argc)
                return usage_error("a value is expected behind", option->name);
            value = argv[++i];
        }
        if (!option_store(option, arguments, value))
            return usage_error("too often:", option->name);
    }
    return CLI_OK;
}

/* ---- configuration ---- */

static int config_load(struct task *task)
{
    const char *path = task->arguments.config;
    struct config_file file;
    struct config_layers layers = {.file = &file};
    struct config_report report;
    struct slice text;
    enum err err = os_read_whole(task->os, path, &task->arena, CONFIG_BYTES_MAX, &text);

    if (err != OK)
        return refuse("%s: %s", path, err_text(err));
    if (config_file_parse(&task->arena, slice_from_text(path), text, &file, &task->why) != OK)
        return refuse("%s", task->why.text);
    config_report_init(&report, &task->arena);
    err = config_resolve(&task->arena, &layers, &report, &task->config);
    if (err == OK)
        err = config_node(task->config, &report, &task->node);
    for (const struct config_finding *finding = report.first; finding; finding = finding->next)
        if (finding->kind == CONFIG_FINDING_ERROR)
            refuse("%s", finding->text);
    return err == OK ? CLI_OK : CLI_FAILED;
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Log directories and the metadata directory, in order, each once. */
static const char **directories_of(struct task *task, size_t *count_out)
{
    const struct config_list *dirs = &task->node.log_dirs;
    const char **paths = ARENA_ARRAY(&task->arena, const char *, dirs->count + 1);
    size_t kept = 0;

    if (!paths)
        return NULL;
    for (size_t i = 0; i <= dirs->count; i++) {
        struct slice path = i < dirs->count ? dirs->items[i] : task->node.metadata_log_dir;

        paths[i] = arena_format(&task->arena, "%.*s", SLICE_ARGS(path));
        if (!paths[i])
            return NULL;
    }
    qsort(paths, dirs->count + 1, sizeof *paths, text_compare);
    for (size_t i = 0; i <= dirs->count; i++)
        if (kept == 0 || strcmp(paths[kept - 1], paths[i]) != 0)
            paths[kept++] = paths[i];
    *count_out = kept;
    return paths;
}

/* ---- format ---- */

static int standalone_voter(struct task *task, struct format_options *options)
{
    struct format_voter *voter = ARENA_NEW(&task->arena, struct format_voter);
    const struct listener_config *listener = task->node.advertised_controllers;
    struct random random;

    if (!voter)
        return refuse("%s", err_text(ERR_NO_MEMORY));
    if (!task->node.controller)
        return refuse("You can only use --standalone on a controller.");
    if (task->node.advertised_controller_count == 0)
        return refuse("No controller listeners found.");
    os_entropy(task->os, random.state, sizeof random.state);
    voter->id = task->node.node_id;
    voter->host = slice_is_null(listener->host) ? SLICE("localhost") : listener->host;
    voter->port = (uint16_t)listener->port;
    voter->directory_id = uuid_random(&random);
    options->voters = (struct format_voters){voter, 1};
    return CLI_OK;
}

static int unknown_release(const char *release)
{
    char text[1024];
    struct text list;

    text_init(&list, text, sizeof text);
    for (int16_t level = METADATA_VERSION_MIN; level <= METADATA_VERSION_MAX; level++)
        text_add(&list, "%s%s", level > METADATA_VERSION_MIN ? ", " : "",
                 metadata_version_name(level));
    return refuse("Unknown metadata.version '%s'. Supported metadata.version are: %s", release,
                  text);
}

static int levels_take(struct task *task, struct format_options *options)
{
    const struct arguments *arguments = &task->arguments;
    struct feature_level *levels =
        ARENA_ARRAY(&task->arena, struct feature_level, arguments->feature_count);

    if (arguments->release) {
        options->release = metadata_version_from_name(slice_from_text(arguments->release));
        if (options->release < 0)
            return unknown_release(arguments->release);
    }
    if (!levels)
        return refuse("%s", err_text(ERR_NO_MEMORY));
    for (size_t i = 0; i < arguments->feature_count; i++)
        if (format_level_parse(arguments->features[i], &levels[i], &task->why) != OK)
            return refuse("%s", task->why.text);
    options->levels = levels;
    options->level_count = arguments->feature_count;
    return CLI_OK;
}

static int voters_take(struct task *task, struct format_options *options)
{
    const struct arguments *arguments = &task->arguments;

    options->is_dynamic = task->node.voter_count == 0;
    if (!options->is_dynamic && (arguments->initial_controllers || arguments->standalone))
        return refuse("You cannot specify controller.quorum.voters and format the node with "
                      "--initial-controllers or --standalone. If you want to use dynamic quorum, "
                      "please remove controller.quorum.voters and specify "
                      "controller.quorum.bootstrap.servers instead.");
    if (arguments->initial_controllers &&
        format_voters_parse(slice_from_text(arguments->initial_controllers), &task->arena,
                            &options->voters, &task->why) != OK)
        return refuse("%s", task->why.text);
    if (arguments->standalone) {
        int status = standalone_voter(task, options);

        if (status != CLI_OK)
            return status;
    }
    if (!arguments->no_initial_controllers && task->node.controller && options->is_dynamic &&
        options->voters.count == 0)
        return refuse("Because controller.quorum.voters is not set on this controller, you must "
                      "specify one of the following: --standalone, --initial-controllers, or "
                      "--no-initial-controllers.");
    return CLI_OK;
}

static int format_run(struct task *task)
{
    const struct arguments *arguments = &task->arguments;
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
    options.directories = directories_of(task, &options.directory_count);
    options.metadata_directory =
        arena_format(&task->arena, "%.*s", SLICE_ARGS(task->node.metadata_log_dir));
    if (!options.directories || !options.metadata_directory)
        return refuse("%s", err_text(ERR_NO_MEMORY));
    err = storage_format(task->os, &options, &report, &task->why);
    fwrite(report.data, 1, report.size_bytes, stdout);
    if (err != OK)
        return refuse("%s", task->why.text[0] ? task->why.text : err_text(err));
    return CLI_OK;
}

static int format_command(struct task *task, int argc, char **argv)
{
    struct arguments *arguments = &task->arguments;
    int status = options_parse(format_options, ARRAY_COUNT(format_options), argc, argv, arguments);
    int modes = arguments->standalone + arguments->no_initial_controllers +
                (arguments->initial_controllers != NULL);

    if (status != CLI_OK)
        return status;
    if (!arguments->config)
        return usage_error("argument --config/-c is required", NULL);
    if (!arguments->cluster_id)
        return usage_error("argument --cluster-id/-t is required", NULL);
    if (modes > 1)
        return usage_error("only one of --standalone, --no-initial-controllers and "
                           "--initial-controllers may be given",
                           NULL);
    status = config_load(task);
    return status == CLI_OK ? format_run(task) : status;
}

/* ---- info ---- */

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

static void info_directory(struct task *task, struct info *info, const char *path)
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

static int info_command(struct task *task, int argc, char **argv)
{
    static struct info info; /* large; one run per process */
    int status =
        options_parse(info_options, ARRAY_COUNT(info_options), argc, argv, &task->arguments);
    const char **paths;
    size_t count;

    if (status != CLI_OK)
        return status;
    if (!task->arguments.config)
        return usage_error("argument --config/-c is required", NULL);
    if ((status = config_load(task)) != CLI_OK)
        return status;
    text_init(&info.found_text, info.found, sizeof info.found);
    text_init(&info.problem_text, info.problems, sizeof info.problems);
    paths = directories_of(task, &count);
    if (!paths)
        return refuse("%s", err_text(ERR_NO_MEMORY));
    for (size_t i = 0; i < count; i++)
        info_directory(task, &info, paths[i]);
    if (info.has_first && info.first.version == 0)
        problem(&info,
                "The kafka configuration file appears to be for a cluster in KRaft mode, but "
                "the directories are formatted for legacy mode.");
    return info_print(&info);
}

/* ---- ids and levels ---- */

static int random_uuid_command(struct task *task, int argc, char **argv)
{
    char text[UUID_TEXT_BYTES];
    struct random random;

    if (argc > 0)
        return usage_error("unrecognized argument", argv[0]);
    os_entropy(task->os, random.state, sizeof random.state);
    uuid_to_text(uuid_random(&random), text);
    puts(text);
    return CLI_OK;
}

static int version_mapping_command(struct task *task, int argc, char **argv)
{
    static const char *const names[] = {FEATURE_TRANSACTION_VERSION, FEATURE_GROUP_VERSION,
                                        FEATURE_ELR_VERSION, FEATURE_SHARE_VERSION,
                                        FEATURE_STREAMS_VERSION};
    int status =
        options_parse(mapping_options, ARRAY_COUNT(mapping_options), argc, argv, &task->arguments);
    const char *release = task->arguments.release;
    int16_t level;

    if (status != CLI_OK)
        return status;
    if (!release)
        release = metadata_version_name(METADATA_VERSION_LATEST);
    level = metadata_version_from_name(slice_from_text(release));
    if (level < 0)
        return unknown_release(release);
    printf("metadata.version=%d (%s)\n", level, release);
    printf("kraft.version=%d\n", level >= KRAFT_VERSION_DEFAULT_FROM);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        printf("%s=%d\n", names[i], feature_default_level(names[i], level));
    return CLI_OK;
}

static int dependency_print(struct slice text)
{
    struct feature_level level;
    const struct feature_support *feature;
    int16_t needed;
    struct why why;

    if (!memchr(text.data, '=', text.size_bytes))
        return refuse("Invalid feature format: %.*s. Expected format: 'feature=version' (e.g. "
                      "'group.version=1')",
                      SLICE_ARGS(text));
    if (format_level_parse(text, &level, &why) != OK)
        return refuse("Invalid version format: %.*s for feature %.*s",
                      (int)(text.size_bytes - level.name.size_bytes - 1),
                      (const char *)text.data + level.name.size_bytes + 1, SLICE_ARGS(level.name));
    feature = feature_find(level.name);
    if (!feature)
        return refuse("Unknown feature: %.*s", SLICE_ARGS(level.name));
    if (level.level < feature->level_min || level.level > feature->level_max)
        return slice_equal_text(level.name, FEATURE_METADATA_VERSION)
                   ? refuse("Unknown metadata.version %d", level.level)
                   : refuse("Feature level %d is not supported for feature %s", level.level,
                            feature->name);
    needed = feature_metadata_version_min(feature->name, level.level);
    if (slice_equal_text(level.name, FEATURE_METADATA_VERSION))
        printf("%s=%d (%s) has no dependencies.\n", feature->name, level.level,
               metadata_version_name(level.level));
    else if (needed <= METADATA_VERSION_MIN)
        printf("%s=%d has no dependencies.\n", feature->name, level.level);
    else
        printf("%s=%d requires:\n    metadata.version=%d (%s)\n", feature->name, level.level,
               needed, metadata_version_name(needed));
    return CLI_OK;
}

static int feature_dependencies_command(struct task *task, int argc, char **argv)
{
    int status = options_parse(dependency_options, ARRAY_COUNT(dependency_options), argc, argv,
                               &task->arguments);

    if (status == CLI_OK && task->arguments.feature_count == 0)
        return usage_error("argument --feature/-f is required", NULL);
    for (size_t i = 0; status == CLI_OK && i < task->arguments.feature_count; i++)
        status = dependency_print(task->arguments.features[i]);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(struct task *task, int argc, char **argv);
} subcommands[] = {
    {"format", format_command},
    {"info", info_command},
    {"version-mapping", version_mapping_command},
    {"feature-dependencies", feature_dependencies_command},
    {"random-uuid", random_uuid_command},
};

static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int storage_run(int argc, char **argv)
{
    static struct task task; /* large; one run per process */
    struct os_real_options options = {0};
    int status = CLI_USAGE;

    if (asks_help(argc, argv)) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    if (argc < 2)
        return usage_error("a subcommand is expected", NULL);
    if (os_real_create(&options, &task.os) != OK)
        return refuse("cannot reach the operating system");
    arena_init(&task.arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i <= ARRAY_COUNT(subcommands); i++) {
        if (i == ARRAY_COUNT(subcommands))
            status = usage_error("no subcommand", argv[1]);
        else if (strcmp(argv[1], subcommands[i].name) == 0) {
            status = subcommands[i].run(&task, argc - 2, argv + 2);
            break;
        }
    }
    arena_release(&task.arena);
    os_release(&task.os);
    return status;
}

const struct command storage_command = {
    .name = "storage",
    .summary = "formats log directories and tells what they hold",
    .run = storage_run,
};
