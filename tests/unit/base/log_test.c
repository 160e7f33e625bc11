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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_reaches_the_sink_with_its_fields),
        cmocka_unit_test(below_the_level_nothing_is_formatted),
        cmocka_unit_test(without_a_logger_events_are_dropped),
        cmocka_unit_test(fields_are_cut_at_two_kib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
