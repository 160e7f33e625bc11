/* SPDX-License-Identifier: Apache-2.0 */
/* The way of an event to its sink. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct memory_logger {
    struct logger base;
    int count;
    enum log_level level;
    const char *module;
    const char *event;
    char fields[4096];
};

static void keep(struct logger *self, enum log_level level, const char *module, const char *event,
                 const char *fields)
{
    struct memory_logger *logger = CONTAINER_OF(self, struct memory_logger, base);

    logger->count++;
    logger->level = level;
    logger->module = module;
    logger->event = event;
    assert_true(strlen(fields) < sizeof logger->fields);
    memcpy(logger->fields, fields, strlen(fields) + 1);
}

static void an_event_reaches_the_sink_with_its_fields(void **state)
{
    struct memory_logger logger = {.base = {keep, LOG_LEVEL_DEBUG}};

    LOG_WARN(&logger.base, "storage", "segment_rolled", "topic=%s offset=%d", "orders", 42);
    assert_int_equal(logger.count, 1);
    assert_int_equal(logger.level, LOG_LEVEL_WARN);
    assert_string_equal(logger.module, "storage");
    assert_string_equal(logger.event, "segment_rolled");
    assert_string_equal(logger.fields, "topic=orders offset=42");
}

static void below_the_level_nothing_is_formatted(void **state)
{
    struct memory_logger logger = {.base = {keep, LOG_LEVEL_WARN}};
    int evaluated = 0;

    LOG_INFO(&logger.base, "raft", "vote", "n=%d", ++evaluated);
    log_event(&logger.base, LOG_LEVEL_INFO, "raft", "vote", "n=%d", 1);
    assert_int_equal(evaluated, 0);
    assert_int_equal(logger.count, 0);
    LOG_ERROR(&logger.base, "raft", "vote", "n=%d", ++evaluated);
    assert_int_equal(logger.count, 1);
}

static void without_a_logger_events_are_dropped(void **state)
{
    struct logger *none = NULL;

    LOG_ERROR(none, "raft", "vote", "n=%d", 1);
    log_event(NULL, LOG_LEVEL_ERROR, "raft", "vote", "n=%d", 1);
}

static void fields_are_cut_at_two_kib(void **state)
{
    struct memory_logger logger = {.base = {keep, LOG_LEVEL_TRACE}};

    LOG_TRACE(&logger.base, "raft", "vote", "%03000d", 1);
    assert_int_equal(strlen(logger.fields), 2047);
}

static void what_a_peer_calls_itself_stays_inside_its_value(void **state)
{
    static const struct {
        const char *format, *given, *expected;
    } rows[] = {
        {"id=\"%s\" x=1", "x\" level=\"ERROR", "id=\"x\\\" level=\\\"ERROR\" x=1"},
        {"id=\"%s\" x=1", "a\\", "id=\"a\\\\\" x=1"},
        {"id=\"%s\" x=1", "a\nb\r\x1b[31m\x7f", "id=\"a\\nb\\x0d\\x1b[31m\\x7f\" x=1"},
        {"id=\"%s\" x=1", "\xff\xc3\xbc\xc3", "id=\"\\xff\xc3\xbc\\xc3\" x=1"},
        {"id=\"%s\" x=1", "two words", "id=\"two words\" x=1"},
        {"id=\"(%s) \" x=1", "a=b c", "id=\"(a=b c) \" x=1"},
        /* Without quotes of its own a value with spaces gets some. */
        {"id=%s x=1", "a level=ERROR", "id=\"a level=ERROR\" x=1"},
        {"x=1 id=%s", "a \"b\"", "x=1 id=\"a \\\"b\\\"\""},
        {"id=%s x=1", "\"a\"", "id=\\\"a\\\" x=1"},
        {"id=%s x=1", "", "id= x=1"},
        /* A part of a value cannot. */
        {"id=%s-0 x=1", "a level=ERROR", "id=a\\x20level=ERROR-0 x=1"},
        {"a=\"b\" id=%s-0", "c d", "a=\"b\" id=c\\x20d-0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct memory_logger logger = {.base = {keep, LOG_LEVEL_TRACE}};

        log_event(&logger.base, LOG_LEVEL_WARN, "server", "refused", rows[i].format, rows[i].given);
        assert_string_equal(logger.fields, rows[i].expected);
    }
}

static void no_byte_past_a_precision_is_read_and_the_rest_of_the_fields_follows(void **state)
{
    struct memory_logger logger = {.base = {keep, LOG_LEVEL_TRACE}};

    (void)state;
    LOG_INFO(&logger.base, "groups", "left", "group=%.*s why=\"%.*s\" mark=%c n=%d", 3, "a bcd", 2,
             "\"\"\"", '\n', 7);
    assert_string_equal(logger.fields, "group=\"a b\" why=\"\\\"\\\"\" mark=\\n n=7");
}

static void escapes_are_cut_at_two_kib_too(void **state)
{
    struct memory_logger logger = {.base = {keep, LOG_LEVEL_TRACE}};
    char name[4000];

    (void)state;
    memset(name, 1, sizeof name);
    LOG_TRACE(&logger.base, "raft", "vote", "id=\"%.*s\" n=%d", (int)sizeof name, name, 1);
    assert_int_equal(strlen(logger.fields), 2047);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_reaches_the_sink_with_its_fields),
        cmocka_unit_test(below_the_level_nothing_is_formatted),
        cmocka_unit_test(without_a_logger_events_are_dropped),
        cmocka_unit_test(fields_are_cut_at_two_kib),
        cmocka_unit_test(what_a_peer_calls_itself_stays_inside_its_value),
        cmocka_unit_test(no_byte_past_a_precision_is_read_and_the_rest_of_the_fields_follows),
        cmocka_unit_test(escapes_are_cut_at_two_kib_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
