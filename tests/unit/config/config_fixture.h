/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of this module share: an arena per test, sets and files from texts, golden files.
 */
#ifndef CONFIG_FIXTURE_H
#define CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_internal.h"

static struct arena arena;

static inline int fixture_setup(void **state)
{
    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    return 0;
}

static inline int fixture_teardown(void **state)
{
    UNUSED(state);
    arena_release(&arena);
    return 0;
}
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

static inline struct slice text(const char *value)
{
    return slice_from_text(value);
}

#define assert_slice(slice, expected)                                           \
    do {                                                                        \
        char *seen_ = arena_format(&arena, "%.*s", SLICE_ARGS(slice));          \
        assert_string_equal(slice_is_null(slice) ? "null" : seen_, (expected)); \
    } while (0)

/* A set with room to grow. */
struct fixture_set {
    struct config_pair pairs[64];
    struct config_set set;
};

static inline void fixture_set_put(struct fixture_set *set, struct slice key, struct slice value)
{
    size_t i = 0;

    set->set.pairs = set->pairs;
    while (i < set->set.count && !slice_equal(set->pairs[i].key, key))
        i++;
    if (slice_is_null(value)) {
        if (i < set->set.count)
            set->pairs[i] = set->pairs[--set->set.count];
        return;
    }
    assert_true(i < ARRAY_COUNT(set->pairs));
    set->pairs[i] = (struct config_pair){key, value};
    set->set.count += i == set->set.count;
}

static inline struct config_file fixture_file(const char *properties)
{
    struct config_file file;
    struct why why = {0};

    assert_int_equal(
        config_file_parse(&arena, text("server.properties"), text(properties), &file, &why), OK);
    return file;
}

/* A node with the least of a file and these properties. */
static inline const struct config *fixture_broker(const char *properties)
{
    static const char base[] = "process.roles=broker,controller\nnode.id=1\n"
                               "controller.listener.names=CONTROLLER\n";
    struct config_file file = fixture_file(arena_format(&arena, "%s%s", base, properties));
    struct config_report report;
    const struct config *config;

    config_report_init(&report, &arena);
    assert_int_equal(
        config_resolve(&arena, &(struct config_layers){.file = &file}, &report, &config), OK);
    return config;
}

/* A whole small file, NUL-terminated, in the arena. */
static inline char *fixture_read(const char *name)
{
    char path[512];
    FILE *file;
    char *data;
    long size;

    snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    data = arena_allocate(&arena, (size_t)size + 1);
    assert_int_equal(fread(data, 1, (size_t)size, file), (size_t)size);
    data[size] = 0;
    fclose(file);
    return data;
}

/* The next line that is no comment, cut at '|' into at most `max` fields; 0 at the end. */
static inline size_t fixture_row(char **at, char **fields, size_t max)
{
    while (**at) {
        char *line = *at;
        char *end = strchr(line, '\n');
        size_t count = 1;

        *at = end ? end + 1 : line + strlen(line);
        if (end)
            *end = 0;
        if (line[0] == '#' || line[0] == 0)
            continue;
        fields[0] = line;
        for (char *c = line; *c && count < max; c++)
            if (*c == '|') {
                *c = 0;
                fields[count++] = c + 1;
            }
        return count;
    }
    return 0;
}

#endif
