/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/storage_command.c: `barnabas storage`: what kafka-storage does, with its options and words:
 * formatting directories, looking at them, ids, and what the levels of features mean. Single thread.
 */
#include "base/parse.h"
#include "cli/storage_tool.h"

#include <stdio.h>
#include <stdlib.h>

#define CONFIG_BYTES_MAX (16 * MIB)
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

int storage_refuse(const char *format, ...)
{
    char text[2048];
    va_list list;

    va_start(list, format);
    fmt_list(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "%s\n", text);
    return CLI_FAILED;
}

int storage_usage_error(const char *what, const char *word)
{
    fprintf(stderr, "barnabas storage: %s%s%s\n%s", what, word ? " " : "", word ? word : "", usage);
    return CLI_USAGE;
}

/* ---- options ---- */

static const struct storage_option mapping_options[] = {
    TEXT_OPTION("--release-version", "-r", release)};
static const struct storage_option dependency_options[] = {
    LIST_OPTION("--feature", "-f", features, feature_count)};

static bool option_store(const struct storage_option *option, struct storage_arguments *arguments,
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
static const struct storage_option *option_find(const struct storage_option *options, size_t count,
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

int storage_options_parse(const struct storage_option *options, size_t count, int argc, char **argv,
                          struct storage_arguments *arguments)
{
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct storage_option *option = option_find(options, count, argv[i], &value);

        if (!option)
            return storage_usage_error("unrecognized argument", argv[i]);
        if (option->kind == OPTION_FLAG) {
            if (value)
                return storage_usage_error("no value is taken by", option->name);
        } else if (!value) {
            if (i + 1 == argc)
                return storage_usage_error("a value is expected behind", option->name);
            value = argv[++i];
        }
        if (!option_store(option, arguments, value))
            return storage_usage_error("too often:", option->name);
    }
    return CLI_OK;
}

/* ---- configuration ---- */

int storage_config_load(struct storage_task *task)
{
    const char *path = task->arguments.config;
    struct config_file file;
    struct config_layers layers = {.file = &file};
    struct config_report report;
    struct slice text;
    enum err err = os_read_stream(task->os, path, &task->arena, CONFIG_BYTES_MAX, &text);

    if (err != OK)
        return storage_refuse("%s: %s", path, err_text(err));
    if (config_file_parse(&task->arena, slice_from_text(path), text, &file, &task->why) != OK)
        return storage_refuse("%s", task->why.text);
    config_report_init(&report, &task->arena);
    err = config_resolve(&task->arena, &layers, &report, &task->config);
    if (err == OK)
        err = config_node(task->config, &report, &task->node);
    for (const struct config_finding *finding = report.first; finding; finding = finding->next)
        if (finding->kind == CONFIG_FINDING_ERROR)
            storage_refuse("%s", finding->text);
    return err == OK ? CLI_OK : CLI_FAILED;
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Log directories and the metadata directory, in order, each once. */
const char **storage_directories(struct storage_task *task, size_t *count_out)
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

/* ---- ids and levels ---- */

int storage_unknown_release(const char *release)
{
    char text[1024];
    struct text list;

    text_init(&list, text, sizeof text);
    for (int16_t level = METADATA_VERSION_MIN; level <= METADATA_VERSION_MAX; level++)
        text_add(&list, "%s%s", level > METADATA_VERSION_MIN ? ", " : "",
                 metadata_version_name(level));
    return storage_refuse("Unknown metadata.version '%s'. Supported metadata.version are: %s",
                          release, text);
}

static int random_uuid_command(struct storage_task *task, int argc, char **argv)
{
    char text[UUID_TEXT_BYTES];
    struct random random;

    if (argc > 0)
        return storage_usage_error("unrecognized argument", argv[0]);
    os_entropy(task->os, random.state, sizeof random.state);
    uuid_to_text(uuid_random(&random), text);
    puts(text);
    return CLI_OK;
}

static int version_mapping_command(struct storage_task *task, int argc, char **argv)
{
    static const char *const names[] = {FEATURE_TRANSACTION_VERSION, FEATURE_GROUP_VERSION,
                                        FEATURE_ELR_VERSION, FEATURE_SHARE_VERSION,
                                        FEATURE_STREAMS_VERSION};
    int status = storage_options_parse(mapping_options, ARRAY_COUNT(mapping_options), argc, argv,
                                       &task->arguments);
    const char *release = task->arguments.release;
    int16_t level;

    if (status != CLI_OK)
        return status;
    if (!release)
        release = metadata_version_name(METADATA_VERSION_LATEST);
    level = metadata_version_from_name(slice_from_text(release));
    if (level < 0)
        return storage_unknown_release(release);
    printf("metadata.version=%d (%s)\n", level, release);
    printf("kraft.version=%d\n", level >= KRAFT_VERSION_DEFAULT_FROM);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        printf("%s=%d\n", names[i], feature_default_level(names[i], level));
    return CLI_OK;
}

/* Behind the equals sign, without blanks around it. */
static struct slice version_text(struct slice text)
{
    const uint8_t *equals = memchr(text.data, '=', text.size_bytes);

    text = slice_sub(text, (size_t)(equals - text.data) + 1, text.size_bytes);
    while (text.size_bytes > 0 && text.data[0] <= ' ')
        text = slice_sub(text, 1, text.size_bytes);
    while (text.size_bytes > 0 && text.data[text.size_bytes - 1] <= ' ')
        text.size_bytes--;
    return text;
}

static int dependency_print(struct slice text)
{
    struct feature_level level;
    const struct feature_support *feature;
    int16_t needed;
    struct why why;

    if (!memchr(text.data, '=', text.size_bytes))
        return storage_refuse(
            "Invalid feature format: %.*s. Expected format: 'feature=version' (e.g. "
            "'group.version=1')",
            SLICE_ARGS(text));
    if (format_level_parse(text, &level, &why) != OK)
        return storage_refuse("Invalid version format: %.*s for feature %.*s",
                              SLICE_ARGS(version_text(text)), SLICE_ARGS(level.name));
    feature = feature_find(level.name);
    if (!feature)
        return storage_refuse("Unknown feature: %.*s", SLICE_ARGS(level.name));
    if (level.level < feature->level_min || level.level > feature->level_max)
        return slice_equal_text(level.name, FEATURE_METADATA_VERSION)
                   ? storage_refuse("Unknown metadata.version %d", level.level)
                   : storage_refuse("Feature level %d is not supported for feature %s", level.level,
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

static int feature_dependencies_command(struct storage_task *task, int argc, char **argv)
{
    int status = storage_options_parse(dependency_options, ARRAY_COUNT(dependency_options), argc,
                                       argv, &task->arguments);

    if (status == CLI_OK && task->arguments.feature_count == 0)
        return storage_usage_error("argument --feature/-f is required", NULL);
    for (size_t i = 0; status == CLI_OK && i < task->arguments.feature_count; i++)
        status = dependency_print(task->arguments.features[i]);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(struct storage_task *task, int argc, char **argv);
    bool is_printed; /* what it tells is all that it does */
} subcommands[] = {
    {"format", storage_format_command, false},
    {"info", storage_info_command, true},
    {"version-mapping", version_mapping_command, true},
    {"feature-dependencies", feature_dependencies_command, true},
    {"random-uuid", random_uuid_command, true},
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
    static struct storage_task task; /* large; one run per process */
    struct os_real_options options = {0};
    int status = CLI_USAGE;

    if (asks_help(argc, argv)) {
        fputs(usage, stdout);
        return command_printed(CLI_OK);
    }
    if (argc < 2)
        return storage_usage_error("a subcommand is expected", NULL);
    if (os_real_create(&options, &task.os) != OK)
        return storage_refuse("cannot reach the operating system");
    arena_init(&task.arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i <= ARRAY_COUNT(subcommands); i++) {
        if (i == ARRAY_COUNT(subcommands))
            status = storage_usage_error("no subcommand", argv[1]);
        else if (strcmp(argv[1], subcommands[i].name) == 0) {
            status = subcommands[i].run(&task, argc - 2, argv + 2);
            if (subcommands[i].is_printed)
                status = command_printed(status);
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
