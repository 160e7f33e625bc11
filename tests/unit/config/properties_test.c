/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.properties as java.util.Properties reads it.
 */
#include "config_fixture.h"

#include "base/random.h"

/* "key=value;" of all pairs, with visible control characters. */
static char *file_print(const struct config_file *file)
{
    char *out = arena_format(&arena, "%s", "");

    for (size_t i = 0; i < file->set.count; i++)
        out = arena_format(&arena, "%s%.*s=%.*s;", out, SLICE_ARGS(file->set.pairs[i].key),
                           SLICE_ARGS(file->set.pairs[i].value));
    return out;
}

static void properties_are_read_as_java_reads_them(void **state)
{
    static const struct {
        const char *source;
        const char *pairs;
    } rows[] = {
        {"", ""},
        {"a=1", "a=1;"},
        {"a = 1\nb : 2\nc 3\nd\t4\n", "a=1;b=2;c=3;d=4;"},
        {"a==1\nb=:2\nc : = 3", "a==1;b=:2;c== 3;"},
        {"# x\n! y\n  # z\n\n \t\na=1", "a=1;"},
        {"a=1 # no comment", "a=1 # no comment;"},
        {"a=1  ", "a=1  ;"},
        {"a\nb=\n", "a=;b=;"},
        {"=1", "=1;"},
        {"a\\ b=1\nc\\=d=2\ne\\:f=3\n\\#g=4", "a b=1;c=d=2;e:f=3;#g=4;"},
        {"a=x\\\n   y\\\n  z\nb=2", "a=xyz;b=2;"},
        {"a=x\\\r\n  y\r\nb=2\rc=3", "a=xy;b=2;c=3;"},
        {"a=x\\\\\nb=2", "a=x\\;b=2;"},
        {"a=x\\\n\nb=2", "a=x;b=2;"},
        {"# c\\\na=1", "a=1;"},
        {"a=x\\\n#y", "a=x#y;"},
        {"a=1\\", "a=1;"},
        {"a=\\t\\n\\r\\f\\q\\\"", "a=\t\n\r\fq\";"},
        {"a=\\u0041\\u00e9\\u20ac", "a=A\xc3\xa9\xe2\x82\xac;"},
        {"a=\\ud83d\\ude00", "a=\xf0\x9f\x98\x80;"},
        {"a=\xc3\xa9", "a=\xc3\xa9;"},
        {"a=1\nb=2\na=3", "a=3;b=2;"},
        {"a\f=\f1", "a=1;"},
        {"\\\na=1", "a=1;"},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct config_file file = fixture_file(rows[i].source);

        if (strcmp(file_print(&file), rows[i].pairs) != 0)
            fail_msg("row %zu: got %s, expected %s", i, file_print(&file), rows[i].pairs);
    }
}

static void a_broken_escape_names_its_line(void **state)
{
    static const char *const broken[] = {"a=1\nb=\\u12", "a=1\nb=\\u12g4", "a=1\nb=\\uzzzz",
                                         "a=1\nb=\\u0000"};

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct config_file file;
        struct why why = {0};

        assert_int_equal(config_file_parse(&arena, text("f"), text(broken[i]), &file, &why),
                         ERR_CONFIG);
        assert_string_equal(why.text, "f:2: zero byte or malformed \\uxxxx encoding");
    }
}

static void lines_are_those_where_a_pair_begins(void **state)
{
    struct config_file file = fixture_file("# one\na=1\\\n  2\n\nb=3\na=4\n");

    UNUSED(state);
    assert_int_equal(file.set.count, 2);
    assert_int_equal(file.lines[0], 6); /* the last a counts */
    assert_int_equal(file.lines[1], 5);
}

static void an_override_replaces_the_file(void **state)
{
    struct config_file file = fixture_file("a=1\nb=2\n");
    struct why why = {0};

    UNUSED(state);
    assert_int_equal(config_file_override(&arena, &file, text("a=x=y"), &why), OK);
    assert_int_equal(config_file_override(&arena, &file, text("c="), &why), OK);
    assert_string_equal(file_print(&file), "a=x=y;b=2;c=;");
    assert_int_equal(file.lines[0], 0);
    assert_int_equal(config_file_override(&arena, &file, text("novalue"), &why), ERR_USAGE);
    assert_int_equal(config_file_override(&arena, &file, text("=1"), &why), ERR_USAGE);
}

static void running_out_of_memory_is_an_error_at_every_allocation(void **state)
{
    UNUSED(state);
    for (int64_t at = 0; at < 64; at++) {
        struct allocator_failing failing;
        struct arena small;
        struct config_file file;
        enum err err;

        allocator_failing_init(&failing, &heap_allocator, at, true);
        arena_init(&small, &failing.base, SIZE_MAX);
        err = config_file_parse(&small, text("f"), text("a=1\nb=2\n"), &file, NULL);
        assert_true(err == OK || err == ERR_NO_MEMORY);
        arena_release(&small);
        assert_int_equal(failing.bytes_in_use, 0);
        if (err == OK)
            return;
    }
    fail();
}

/* Bytes that mean something to the format come often. */
static void any_bytes_are_read_or_refused_and_never_worse(void **state)
{
    static const char alphabet[] = "ab=: \\\n\r\t\f#!u0d8\xc3\xa9\xff";
    struct random random;

    UNUSED(state);
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        char source[48];
        struct config_file file;
        size_t size;

        random_init(&random, seed);
        size = random_below(&random, sizeof source + 1);
        for (size_t i = 0; i < size; i++)
            source[i] = alphabet[random_below(&random, sizeof alphabet)]; /* its NUL, too */
        if (config_file_parse(&arena, text("f"), slice_of(source, size), &file, NULL) != OK)
            continue;
        for (size_t i = 0; i < file.set.count; i++)
            if (file.lines[i] < 1 || slice_is_null(file.set.pairs[i].value) ||
                file.set.pairs[i].value.size_bytes > size)
                fail_msg("seed %llu", (unsigned long long)seed);
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(properties_are_read_as_java_reads_them),
        TEST(a_broken_escape_names_its_line),
        TEST(lines_are_those_where_a_pair_begins),
        TEST(an_override_replaces_the_file),
        TEST(any_bytes_are_read_or_refused_and_never_worse),
        TEST(running_out_of_memory_is_an_error_at_every_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
