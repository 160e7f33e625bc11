/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink with an output of the test's own, and a clock that the waits alone move on.
 */
#include "base/fmt.h"
#include "os/os_internal.h"
#include "server/log_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct bench {
    struct os os;
    struct log_sink *sink;
    int64_t now_ns;
    size_t room_bytes; /* that the output has */
    int wait_count, look_count;
    int made_count; /* lines: each has the time */
    struct text taken;
    char taken_bytes[4096];
};

static struct bench bench; /* os_output_* have no context */

static int64_t bench_now_ns(struct os *os)
{
    UNUSED(os);
    return bench.now_ns;
}

static int64_t bench_wall_ms(struct os *os)
{
    UNUSED(os);
    bench.made_count++;
    return 1764249131123;
}

static const struct os_table bench_table = {.now_ns = bench_now_ns, .wall_ms = bench_wall_ms};

struct os_output os_output_open(void)
{
    return (struct os_output){.fd = -1};
}

void os_output_lock(struct os_output *output)
{
    UNUSED(output);
}

void os_output_unlock(struct os_output *output)
{
    UNUSED(output);
}

void os_output_close(struct os_output *output)
{
    UNUSED(output);
}

bool os_output_wait(const struct os_output *output, int wait_ms)
{
    UNUSED(output);
    bench.look_count++;
    if (bench.room_bytes == 0 && wait_ms > 0) {
        bench.wait_count++;
        bench.now_ns += wait_ms * 1000000ll;
    }
    return bench.room_bytes > 0;
}

size_t os_output_put(const struct os_output *output, const void *bytes, size_t size_bytes)
{
    size_t put = MIN(size_bytes, bench.room_bytes);

    UNUSED(output);
    text_add(&bench.taken, "%.*s", (int)put, (const char *)bytes);
    bench.room_bytes -= put;
    return put;
}

static int set_up(void **state)
{
    UNUSED(state);
    memset(&bench, 0, sizeof bench);
    bench.os.table = &bench_table;
    text_init(&bench.taken, bench.taken_bytes, sizeof bench.taken_bytes);
    return log_sink_create(&bench.os, false, LOG_LEVEL_INFO, &bench.sink) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    UNUSED(state);
    log_sink_release(&bench.sink);
    return 0;
}

static void say(const char *event)
{
    LOG_INFO(log_sink_logger(bench.sink), "server", event, "n=%d", 1);
}

#define LINE(event) "2025-11-27T13:12:11.123Z INFO  server " event " n=1\n"
#define DROPPED(count) "2025-11-27T13:12:11.123Z WARN  server log_lines_dropped lines=" count "\n"

static void taken(const char *expected)
{
    assert_string_equal(bench.taken_bytes, expected);
    text_init(&bench.taken, bench.taken_bytes, sizeof bench.taken_bytes);
}

static void lines_that_nobody_takes_are_counted_in_the_next_that_is(void **state)
{
    UNUSED(state);
    say("one");
    say("two");
    taken("");
    bench.room_bytes = 1000;
    say("three");
    say("four");
    taken(DROPPED("2") LINE("three") LINE("four"));
}

static void a_line_begins_anew_after_one_that_was_cut(void **state)
{
    UNUSED(state);
    bench.room_bytes = 30;
    say("one");
    taken("2025-11-27T13:12:11.123Z INFO ");
    bench.room_bytes = 1; /* for the end of that line alone */
    say("two");
    taken("\n");
    bench.room_bytes = 1000;
    say("three");
    taken(DROPPED("2") LINE("three"));
    bench.room_bytes = sizeof(LINE("four")) - 2; /* all but its end */
    say("four");
    bench.room_bytes = 1000;
    say("five");
    taken("2025-11-27T13:12:11.123Z INFO  server four n=1\n" DROPPED("1") LINE("five"));
}

static void a_slow_reader_is_waited_for_once_in_a_second(void **state)
{
    UNUSED(state);
    for (int i = 0; i < 100; i++) { /* reads a line, and one more is too many */
        bench.room_bytes = sizeof(DROPPED("1") LINE("one")) - 1;
        say("one");
        bench.room_bytes = 0;
        say("one");
    }
    assert_int_equal(bench.wait_count, 1);
    bench.now_ns += 1000000000;
    bench.room_bytes = 1000;
    say("one");
    bench.room_bytes = 0;
    say("one");
    say("one");
    assert_int_equal(bench.wait_count, 2);
}

static void nothing_is_made_to_tell_of_lines_while_there_is_no_room(void **state)
{
    UNUSED(state);
    say("one");
    bench.look_count = bench.made_count = 0;
    say("two");
    assert_int_equal(bench.look_count, 1); /* none for a line that follows */
    assert_int_equal(bench.made_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lines_that_nobody_takes_are_counted_in_the_next_that_is),
        TEST(a_line_begins_anew_after_one_that_was_cut),
        TEST(a_slow_reader_is_waited_for_once_in_a_second),
        TEST(nothing_is_made_to_tell_of_lines_while_there_is_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
