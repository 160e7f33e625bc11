/* SPDX-License-Identifier: Apache-2.0 */
#include "real_bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The test's own standard output is kept meanwhile. */
static struct os_output output_on(int fd, int *kept)
{
    struct os_output output;

    fflush(stdout);
    *kept = dup(1);
    assert_int_equal(dup2(fd, 1), 1);
    output = os_output_open();
    return output;
}

static void output_off(struct os_output *output, int kept)
{
    os_output_close(output);
    dup2(kept, 1);
    close(kept);
}

/* Until nothing more is taken; every put but the last of a pipe is whole. */
static size_t fill(const struct os_output *output, size_t size_bytes, size_t *last)
{
    static const char line[4096];
    size_t total = 0;

    while ((*last = os_output_put(output, line, size_bytes)) > 0)
        total += *last;
    return total;
}

static void a_terminal_that_nobody_reads_takes_what_it_has_room_for_and_nobody_waits(void **state)
{
    struct os_output output;
    size_t total, last;
    bool has_room;
    int master, slave, kept;

    UNUSED(state);
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        skip();
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    output = output_on(slave, &kept);
    total = fill(&output, 3000, &last);
    has_room = os_output_wait(&output, 0);
    output_off(&output, kept);
    assert_int_not_equal(total % 3000, 0); /* a part of the last one */
    assert_false(has_room);
    assert_false(fcntl(slave, F_GETFL) & O_NONBLOCK); /* others' */
    close(slave);
    close(master);
}

static void a_pipe_takes_a_line_whole_or_not_at_all(void **state)
{
    struct os_output output;
    size_t total, last;
    bool is_own, had_room, has_room;
    int ends[2], kept;
    char buffer[4096];

    UNUSED(state);
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) >= 4096);
    output = output_on(ends[1], &kept);
    is_own = output.fd != 1;
    had_room = os_output_wait(&output, 0);
    total = fill(&output, 4000, &last);
    has_room = os_output_wait(&output, 0);
    (void)!read(ends[0], buffer, sizeof buffer);
    has_room = has_room || !os_output_wait(&output, 0);
    output_off(&output, kept);
    assert_true(is_own && had_room && !has_room);
    assert_int_equal(total % 4000, 0);
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
}

static void a_file_keeps_the_position_that_others_write_at_too(void **state)
{
    struct bench *bench = *state;
    struct os_output output;
    struct slice content;
    bool is_shared;
    size_t put;
    int fd = open(bench_path(bench, "f"), O_WRONLY | O_CREAT, 0600), kept;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "one ", 4), 4);
    output = output_on(fd, &kept);
    is_shared = output.fd == 1 && os_output_wait(&output, 0);
    put = os_output_put(&output, "two ", 4);
    output_off(&output, kept);
    assert_true(is_shared);
    assert_int_equal(put, 4);
    assert_int_equal(write(fd, "three", 5), 5);
    close(fd);
    assert_int_equal(os_read_whole(bench->os, bench_path(bench, "f"), &bench->arena, 100, &content),
                     OK);
    assert_true(slice_equal(content, SLICE("one two three")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_terminal_that_nobody_reads_takes_what_it_has_room_for_and_nobody_waits),
        TEST(a_pipe_takes_a_line_whole_or_not_at_all),
        TEST(a_file_keeps_the_position_that_others_write_at_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
