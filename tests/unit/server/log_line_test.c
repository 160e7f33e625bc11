/* SPDX-License-Identifier: Apache-2.0 */
#include "server/log_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

static void a_line_break_in_a_value_makes_no_second_line(void **state)
{
    (void)state;
    text("client_id=\"a\nb\"", "2025-11-27T13:12:11.123Z WARN  server refused client_id=\"a b\"");
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
        cmocka_unit_test(a_line_break_in_a_value_makes_no_second_line),
        cmocka_unit_test(a_json_line_has_one_member_for_each_field),
        cmocka_unit_test(what_json_cannot_hold_is_escaped),
        cmocka_unit_test(a_cut_json_line_still_ends),
    };

    return cmocka_run_group_tests_name("server/log_line", tests, NULL, NULL);
}
