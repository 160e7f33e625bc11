/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define MORNING_MS 1764249131123 /* 2025-11-27T13:12:11.123Z */

static void text(const char *fields, const char *expected)
{
    char line[512];

    log_line_text(line, sizeof line, MORNING_MS, LOG_LEVEL_WARN, "server", "refused", fields);
    assert_string_equal(line, expected);
}

static void json(const char *fields, const char *expected)
{
    char line[512];

    log_line_json(line, sizeof line, MORNING_MS, LOG_LEVEL_INFO, "storage", "rolled", fields);
    assert_string_equal(line, expected);
}

static void a_text_line_has_time_level_module_event_and_fields(void **state)
{
    (void)state;
    text("", "2025-11-27T13:12:11.123Z WARN  server refused");
    text("api=Produce version=3",
         "2025-11-27T13:12:11.123Z WARN  server refused api=Produce version=3");
}

#define HEAD                                                                            \
    "{\"time\":\"2025-11-27T13:12:11.123Z\",\"level\":\"INFO\",\"module\":\"storage\"," \
    "\"event\":\"rolled\""

static void a_json_line_has_one_member_for_each_field(void **state)
{
    (void)state;
    json("", HEAD "}");
    json("topic=a offset=7", HEAD ",\"topic\":\"a\",\"offset\":\"7\"}");
    json("reason=\"two words\" offset=7", HEAD ",\"reason\":\"two words\",\"offset\":\"7\"}");
    json("reason=\"\" x=1", HEAD ",\"reason\":\"\",\"x\":\"1\"}");
}

static void what_json_cannot_hold_is_escaped(void **state)
{
    (void)state;
    json("client=\"a\\b\tc\"", HEAD ",\"client\":\"a\\\\b\\u0009c\"}");
    json("client=\"say \"hi\" now\" x=1", HEAD ",\"client\":\"say \\\"hi\",\"x\":\"1\"}");
}

static void bytes_that_are_no_utf_8_do_not_break_a_json_line(void **state)
{
    static const struct {
        const char *bytes, *expected;
    } rows[] = {
        {"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\x7f", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\x7f"},
        {"a\xff\x80z", "a\\ufffd\\ufffdz"},
        {"\xc0\xaf", "\\ufffd\\ufffd"},
        {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xf8\xf5", "\\ufffd\\ufffd"},
        {"\xc3", "\\ufffd"}, /* cut amid a character */
        {"\xe2\x82", "\\ufffd\\ufffd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[64], expected[256];

        snprintf(fields, sizeof fields, "client=\"%s\" x=1", rows[i].bytes);
        snprintf(expected, sizeof expected, HEAD ",\"client\":\"%s\",\"x\":\"1\"}",
                 rows[i].expected);
        json(fields, expected);
    }
}

static void escapes_of_a_value_are_read_and_told_as_json_has_them(void **state)
{
    (void)state;
    json("client=\"x\\\" level=\\\"ERROR\" x=1",
         HEAD ",\"client\":\"x\\\" level=\\\"ERROR\",\"x\":\"1\"}");
    json("client=\"a\\\\\" x=1", HEAD ",\"client\":\"a\\\\\",\"x\":\"1\"}");
    json("client=\"a\\\\\\\" b\" x=1", HEAD ",\"client\":\"a\\\\\\\" b\",\"x\":\"1\"}");
    json("client=a\\nb\\x1b\\x20c\\x7f\\xff x=1",
         HEAD ",\"client\":\"a\\u000ab\\u001b c\x7f\\ufffd\",\"x\":\"1\"}");
    json("client=\\\"a\\\" x=1", HEAD ",\"client\":\"\\\"a\\\"\",\"x\":\"1\"}");
    /* What a cut leaves of one is text. */
    json("client=\"a\\", HEAD ",\"client\":\"a\\\\\"}");
    json("client=\"a\\x", HEAD ",\"client\":\"a\\\\x\"}");
    json("client=\"a\\x1", HEAD ",\"client\":\"a\\\\x1\"}");
    json("client=\"a\\x1g\\q\"", HEAD ",\"client\":\"a\\\\x1g\\\\q\"}");
}

struct forms {
    struct logger logger;
    char text[4096], json[4096];
};

static void forms_write(struct logger *self, enum log_level level, const char *module,
                        const char *event, const char *fields)
{
    struct forms *forms = CONTAINER_OF(self, struct forms, logger);

    log_line_text(forms->text, sizeof forms->text, MORNING_MS, level, module, event, fields);
    log_line_json(forms->json, sizeof forms->json, MORNING_MS, level, module, event, fields);
}

/* From the call to both forms: the three kinds of a site, with quotes, without, and within a text of ours. */
static void the_text_of_a_peer_forges_no_field(void **state)
{
    struct forms forms = {.logger = {forms_write, LOG_LEVEL_INFO}};
    const char *name = "x\" level=\"ERROR";

    (void)state;
    LOG_INFO(&forms.logger, "storage", "rolled", "client_id=\"%s\" group=%s why=\"%s left\" n=%d",
             name, name, name, 1);
    assert_string_equal(forms.text,
                        "2025-11-27T13:12:11.123Z INFO  storage rolled "
                        "client_id=\"x\\\" level=\\\"ERROR\" group=\"x\\\" level=\\\"ERROR\" "
                        "why=\"x\\\" level=\\\"ERROR left\" n=1");
    assert_string_equal(
        forms.json,
        HEAD ",\"client_id\":\"x\\\" level=\\\"ERROR\",\"group\":\"x\\\" level=\\\"ERROR\","
             "\"why\":\"x\\\" level=\\\"ERROR left\",\"n\":\"1\"}");
}

/* Bytes that are no UTF-8 grow most: their line must not be cut amid \ufffd, which no reader takes. */
static void the_longest_line_of_bytes_that_are_no_text_is_json_to_its_end(void **state)
{
    struct forms forms = {.logger = {forms_write, LOG_LEVEL_INFO}};
    char name[3000];
    size_t escapes = 0;
    const char *at;

    (void)state;
    memset(name, 0xff, sizeof name);
    LOG_INFO(&forms.logger, "storage", "rolled", "group=%.*s", (int)sizeof name, name);
    assert_memory_equal(forms.json, HEAD ",\"group\":\"", sizeof HEAD ",\"group\":\"" - 1);
    for (at = forms.json + sizeof HEAD ",\"group\":\"" - 1; strncmp(at, "\\ufffd", 6) == 0; at += 6)
        escapes++;
    assert_int_equal(escapes, (2047 - 6) / 4);
    assert_string_equal(at, "\\\\\"}"); /* what the bound of the fields left of the last one */
}

static void a_cut_json_line_still_ends(void **state)
{
    char line[64];
    size_t size_bytes;

    (void)state;
    size_bytes = log_line_json(line, sizeof line, MORNING_MS, LOG_LEVEL_INFO, "storage",
                               "something_with_a_long_name", "key=value");
    assert_true(size_bytes < sizeof line);
    assert_string_equal(line + size_bytes - 2, "\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_module_event_and_fields),
        cmocka_unit_test(a_json_line_has_one_member_for_each_field),
        cmocka_unit_test(what_json_cannot_hold_is_escaped),
        cmocka_unit_test(bytes_that_are_no_utf_8_do_not_break_a_json_line),
        cmocka_unit_test(escapes_of_a_value_are_read_and_told_as_json_has_them),
        cmocka_unit_test(the_text_of_a_peer_forges_no_field),
        cmocka_unit_test(the_longest_line_of_bytes_that_are_no_text_is_json_to_its_end),
        cmocka_unit_test(a_cut_json_line_still_ends),
    };

    return cmocka_run_group_tests_name("server/log_line", tests, NULL, NULL);
}
