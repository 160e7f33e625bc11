/* SPDX-License-Identifier: Apache-2.0 */
#include "real_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct os_file *open_new(struct bench *bench, const char *name)
{
    struct os_file *file;

    assert_int_equal(os_file_open(bench->os, bench_path(bench, name),
                                  OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE, &file),
                     OK);
    return file;
}

static void fill(uint8_t *data, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
}

static void what_is_written_is_read_and_reading_ends_at_the_end(void **state)
{
    struct bench *bench = *state;
    CLEANUP(os_file_close) struct os_file *file = open_new(bench, "f");
    struct slice slices[] = {SLICE("abc"), SLICE_EMPTY, SLICE("defgh")};
    char buffer[32] = {0};
    size_t read_bytes;
    int64_t size_bytes;

    assert_int_equal(os_file_write(file, slices, 3, 2), OK);
    assert_int_equal(os_file_size(file, &size_bytes), OK);
    assert_int_equal(size_bytes, 10);
    assert_int_equal(os_file_read(file, buffer, sizeof(buffer), 3, &read_bytes), OK);
    assert_int_equal(read_bytes, 7);
    assert_memory_equal(buffer, "bcdefgh", 7);
    assert_int_equal(os_file_read(file, buffer, 4, 10, &read_bytes), OK);
    assert_int_equal(read_bytes, 0);
    assert_int_equal(os_file_sync(file), OK);
    assert_int_equal(os_file_truncate(file, 4), OK);
    assert_int_equal(os_file_size(file, &size_bytes), OK);
    assert_int_equal(size_bytes, 4);
}

static void a_write_takes_more_slices_than_one_call_of_the_kernel(void **state)
{
    enum { COUNT = 5000 };
    struct bench *bench = *state;
    CLEANUP(os_file_close) struct os_file *file = open_new(bench, "f");
    static uint8_t data[COUNT];
    static uint8_t back[COUNT];
    static struct slice slices[COUNT];
    size_t read_bytes;

    fill(data, COUNT);
    for (size_t i = 0; i < COUNT; i++) /* every other one is empty, the rest has two bytes */
        slices[i] = slice_of(data + i / 2 * 2, i % 2 * 2);
    assert_int_equal(os_file_write(file, slices, COUNT, 0), OK);
    assert_int_equal(os_file_read(file, back, COUNT, 0, &read_bytes), OK);
    assert_int_equal(read_bytes, COUNT);
    assert_memory_equal(data, back, COUNT);
}

static void reserved_space_does_not_change_the_size(void **state)
{
    struct bench *bench = *state;
    CLEANUP(os_file_close) struct os_file *file = open_new(bench, "f");
    enum err err = os_file_reserve(file, 0, 1 << 20);
    int64_t size_bytes;

    assert_true(err == OK || err == ERR_UNSUPPORTED);
    assert_int_equal(os_file_size(file, &size_bytes), OK);
    assert_int_equal(size_bytes, 0);
}

static void opening_tells_what_is_wrong(void **state)
{
    struct bench *bench = *state;
    struct os_file *file;

    assert_int_equal(os_file_open(bench->os, bench_path(bench, "none"), OS_OPEN_READ, &file),
                     ERR_NOT_FOUND);
    file = open_new(bench, "f");
    os_file_close(&file);
    assert_null(file);
    assert_int_equal(os_file_open(bench->os, bench_path(bench, "f"),
                                  OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file),
                     ERR_EXISTS);
    assert_int_equal(
        os_file_open(bench->os, bench_path(bench, "f/g"), OS_OPEN_WRITE | OS_OPEN_CREATE, &file),
        ERR_NOT_FOUND);
    assert_int_equal(os_file_open(bench->os, bench_path(bench, "d"),
                                  OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_DIRECT,
                                  &file),
                     OK); /* wherever the directory lies */
    assert_int_equal(os_file_write(file, &SLICE("odd size"), 1, 3), OK);
    os_file_close(&file);
}

static void directories_are_made_listed_in_order_and_removed_empty(void **state)
{
    static const char *const names[] = {"b", "a", "B", "a.log"};
    struct bench *bench = *state;
    char path[160];
    struct os_names listed;
    struct os_stat stat;

    assert_int_equal(os_make_directory(bench->os, bench_path(bench, "d")), OK);
    assert_int_equal(os_make_directory(bench->os, bench_path(bench, "d")), ERR_EXISTS);
    assert_int_equal(os_list(bench->os, bench_path(bench, "d"), &bench->arena, &listed), OK);
    assert_int_equal(listed.count, 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct os_file *file;

        fmt(path, sizeof(path), "d/%s", names[i]);
        file = open_new(bench, path);
        os_file_close(&file);
    }
    assert_int_equal(os_list(bench->os, bench_path(bench, "d"), &bench->arena, &listed), OK);
    assert_int_equal(listed.count, 4);
    assert_string_equal(listed.names[0], "B");
    assert_string_equal(listed.names[1], "a");
    assert_string_equal(listed.names[2], "a.log");
    assert_string_equal(listed.names[3], "b");
    assert_int_equal(os_remove_directory(bench->os, bench_path(bench, "d")), ERR_EXISTS);
    fmt(path, sizeof(path), "%s", bench_path(bench, "d/a"));
    assert_int_equal(os_rename(bench->os, path, bench_path(bench, "d/b")), OK);
    assert_int_equal(os_stat(bench->os, path, &stat), OK);
    assert_false(stat.exists);
    assert_int_equal(os_unlink(bench->os, path), ERR_NOT_FOUND);
    assert_int_equal(os_sync_directory(bench->os, bench_path(bench, "d")), OK);
    assert_int_equal(os_stat(bench->os, bench_path(bench, "d"), &stat), OK);
    assert_true(stat.exists && stat.is_directory);
    assert_in_range(stat.modified_ms, os_wall_ms(bench->os) - 60000, os_wall_ms(bench->os) + 1000);
    assert_int_equal(os_list(bench->os, bench_path(bench, "x"), &bench->arena, &listed),
                     ERR_NOT_FOUND);
}

static void a_second_opener_does_not_get_the_lock(void **state)
{
    struct bench *bench = *state;
    struct os_file *first = open_new(bench, ".lock");
    struct os_file *second = open_new(bench, ".lock");

    assert_int_equal(os_file_lock(first), OK);
    assert_int_equal(os_file_lock(second), ERR_LOCKED);
    os_file_close(&first);
    assert_int_equal(os_file_lock(second), OK);
    os_file_close(&second);
}

/* What another implementation, in its own process, does with the same file. */
static int record_lock_in_child(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pid_t child = fork();
    int status;

    if (child == 0) {
        int fd = open(path, O_RDWR);

        if (fd < 0)
            _exit(2);
        _exit(fcntl(fd, F_SETLK, &lock) == 0 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_lock_keeps_a_record_lock_of_another_process_out(void **state)
{
    struct bench *bench = *state;
    struct os_file *file = open_new(bench, ".lock");

    assert_int_equal(record_lock_in_child(bench_path(bench, ".lock")), 0);
    assert_int_equal(os_file_lock(file), OK);
    assert_int_equal(record_lock_in_child(bench_path(bench, ".lock")), 1);
    os_file_close(&file);
    assert_int_equal(record_lock_in_child(bench_path(bench, ".lock")), 0);
}

static void a_record_lock_of_another_process_keeps_us_out(void **state)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct bench *bench = *state;
    struct os_file *file = open_new(bench, ".lock");
    int ready[2];
    int end[2];
    char byte = 0;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    child = fork();
    if (child == 0) {
        int fd = open(bench_path(bench, ".lock"), O_RDWR);

        close(end[1]);
        if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(end[0], &byte, 1) == 0 ? 0 : 2);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(os_file_lock(file), ERR_LOCKED);
    close(end[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(os_file_lock(file), OK);
    close(end[0]);
    close(ready[0]);
    close(ready[1]);
    os_file_close(&file);
}

static void a_replaced_file_is_whole_and_leaves_nothing_beside(void **state)
{
    struct bench *bench = *state;
    struct slice old[] = {SLICE("old"), SLICE(" content, and longer")};
    struct os_names names;
    struct slice content;

    assert_int_equal(os_durable_replace(bench->os, bench_path(bench, "state"), old, 2), OK);
    assert_int_equal(os_durable_replace(bench->os, bench_path(bench, "state"), &SLICE("new"), 1),
                     OK);
    assert_int_equal(
        os_read_whole(bench->os, bench_path(bench, "state"), &bench->arena, 3, &content), OK);
    assert_true(slice_equal_text(content, "new"));
    assert_int_equal(
        os_read_whole(bench->os, bench_path(bench, "state"), &bench->arena, 2, &content),
        ERR_TOO_LARGE);
    assert_int_equal(os_list(bench->os, bench->directory, &bench->arena, &names), OK);
    assert_int_equal(names.count, 1);
    assert_int_equal(os_durable_replace(bench->os, bench_path(bench, "no/state"), old, 2),
                     ERR_NOT_FOUND);
}

static void an_empty_file_is_read_as_empty_not_as_null(void **state)
{
    struct bench *bench = *state;
    struct os_file *file = open_new(bench, "f");
    struct slice content;

    os_file_close(&file);
    assert_int_equal(os_read_whole(bench->os, bench_path(bench, "f"), &bench->arena, 0, &content),
                     OK);
    assert_false(slice_is_null(content));
    assert_int_equal(content.size_bytes, 0);
}

static void what_people_name_is_read_to_its_end_a_pipe_too(void **state)
{
    enum { COUNT = 40000 };
    struct bench *bench = *state;
    struct os_file *file = open_new(bench, "f");
    static uint8_t data[COUNT];
    struct slice content;
    char path[64];
    int ends[2];

    fill(data, COUNT);
    assert_int_equal(os_file_write(file, &(struct slice){data, COUNT}, 1, 0), OK);
    os_file_close(&file);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], data, COUNT), COUNT);
    close(ends[1]);
    fmt(path, sizeof(path), "/dev/fd/%d", ends[0]);
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        assert_int_equal(os_read_stream(bench->os, is_pipe ? path : bench_path(bench, "f"),
                                        &bench->arena, COUNT, &content),
                         OK);
        assert_int_equal(content.size_bytes, COUNT);
        assert_memory_equal(content.data, data, COUNT);
    }
    assert_int_equal(os_read_stream(bench->os, path, &bench->arena, 0, &content), OK);
    assert_false(slice_is_null(content)); /* nothing is left */
    assert_int_equal(content.size_bytes, 0);
    close(ends[0]);
    assert_int_equal(
        os_read_stream(bench->os, bench_path(bench, "f"), &bench->arena, COUNT - 1, &content),
        ERR_TOO_LARGE);
    assert_int_equal(
        os_read_stream(bench->os, bench_path(bench, "none"), &bench->arena, COUNT, &content),
        ERR_NOT_FOUND);
}

static void standard_descriptors_that_are_closed_are_given_to_no_file(void **state)
{
    struct bench *bench = *state;
    pid_t child;
    int status;

#ifdef __SANITIZE_THREAD__
    skip(); /* no threads are started in a child of a process that has some */
#endif
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct os_real_options options = {.pool_threads = 1};
        struct os *os;
        struct os_file *file;
        struct os_output output;
        struct slice content;

        for (int fd = 0; fd <= 2; fd++)
            close(fd);
        if (os_real_create(&options, &os) != OK ||
            os_file_open(os, bench_path(bench, "f"), OS_OPEN_WRITE | OS_OPEN_CREATE, &file) != OK)
            _exit(2);
        for (int fd = 0; fd <= 2; fd++)
            if (write(fd, "log", 3) >= 0)
                _exit(3);
        output = os_output_open();
        if (output.fd != 1 || os_output_put(&output, "log", 3) != 0 ||
            os_read_whole(os, bench_path(bench, "f"), &bench->arena, 100, &content) != OK ||
            content.size_bytes != 0)
            _exit(4);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void every_file_operation_works_through_a_port(void **state)
{
    struct bench *bench = *state;
    struct probe probe = {.op = {.kind = OS_OP_OPEN,
                                 .path = bench_path(bench, "f"),
                                 .flags = OS_OPEN_READ | OS_OPEN_WRITE | OS_OPEN_CREATE}};
    struct slice slices[] = {SLICE("hello "), SLICE("world")};
    char buffer[16];
    char path_to[160];
    struct os_file *file;

    assert_int_equal(probe_run(bench->port, &probe), OK);
    file = probe.op.file;
    probe.op =
        (struct os_op){.kind = OS_OP_WRITE, .file = file, .slices = slices, .slice_count = 2};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.result, 11);
    probe.op = (struct os_op){.kind = OS_OP_SYNC, .file = file};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_READ,
                              .file = file,
                              .buffer = buffer,
                              .size_bytes = sizeof(buffer),
                              .position_bytes = 6};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.result, 5);
    assert_memory_equal(buffer, "world", 5);
    probe.op = (struct os_op){.kind = OS_OP_TRUNCATE, .file = file, .size_bytes = 3};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_CLOSE, .file = file};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_null(probe.op.file);
    fmt(path_to, sizeof(path_to), "%s", bench_path(bench, "g"));
    probe.op =
        (struct os_op){.kind = OS_OP_RENAME, .path = bench_path(bench, "f"), .path_to = path_to};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_STAT, .path = path_to};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_true(probe.op.stat.exists);
    assert_int_equal(probe.op.stat.size_bytes, 3);
    probe.op = (struct os_op){.kind = OS_OP_MAKE_DIRECTORY, .path = bench_path(bench, "d")};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_LIST, .path = bench->directory, .arena = &bench->arena};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.names.count, 2);
    probe.op = (struct os_op){.kind = OS_OP_SYNC_DIRECTORY, .path = bench->directory};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_REMOVE_DIRECTORY, .path = bench_path(bench, "d")};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    probe.op = (struct os_op){.kind = OS_OP_UNLINK, .path = path_to};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe_run(bench->port, &probe), ERR_NOT_FOUND);
}

static void large_reads_and_writes_go_through_the_pool(void **state)
{
    size_t size_bytes = 5 * MIB + 17;
    struct bench *bench = *state;
    CLEANUP(os_file_close) struct os_file *file = open_new(bench, "f");
    uint8_t *data = malloc(size_bytes);
    uint8_t *back = malloc(size_bytes);
    struct slice slice = slice_of(data, size_bytes);
    struct probe probe = {
        .op = {.kind = OS_OP_WRITE, .file = file, .slices = &slice, .slice_count = 1}};

    assert_true(data && back);
    fill(data, size_bytes);
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.result, size_bytes);
    probe.op =
        (struct os_op){.kind = OS_OP_READ, .file = file, .buffer = back, .size_bytes = size_bytes};
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.result, size_bytes);
    assert_memory_equal(data, back, size_bytes);
    free(data);
    free(back);
}

static void a_read_that_is_not_in_memory_is_done_by_the_pool(void **state)
{
    struct bench *bench = *state;
    CLEANUP(os_file_close) struct os_file *file = open_new(bench, "f");
    static uint8_t data[256 * 1024];
    static uint8_t back[sizeof(data) + 100];
    struct slice slice = slice_of(data, sizeof(data));
    struct probe probe = {
        .op = {.kind = OS_OP_READ, .file = file, .buffer = back, .size_bytes = sizeof(back)}};
    int fd;

    fill(data, sizeof(data));
    assert_int_equal(os_file_write(file, &slice, 1, 0), OK);
    assert_int_equal(os_file_sync(file), OK);
    fd = open(bench_path(bench, "f"), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 64 * 1024, 128 * 1024, POSIX_FADV_DONTNEED), 0);
    close(fd);
    assert_int_equal(probe_run(bench->port, &probe), OK);
    assert_int_equal(probe.op.result, sizeof(data));
    assert_memory_equal(back, data, sizeof(data));
}

static void a_write_to_a_read_only_file_fails_through_done(void **state)
{
    struct bench *bench = *state;
    struct os_file *file = open_new(bench, "f");
    struct probe probe = {.op = {.kind = OS_OP_WRITE, .slices = &SLICE("x"), .slice_count = 1}};

    os_file_close(&file);
    assert_int_equal(os_file_open(bench->os, bench_path(bench, "f"), OS_OPEN_READ, &file), OK);
    probe.op.file = file;
    assert_int_equal(probe_run(bench->port, &probe), ERR_IO);
    os_file_close(&file);
}

static void the_disk_has_space_and_says_how_much(void **state)
{
    struct bench *bench = *state;
    int64_t free_bytes;
    int64_t total_bytes;

    assert_int_equal(os_disk_space(bench->os, bench->directory, &free_bytes, &total_bytes), OK);
    assert_true(free_bytes > 0 && total_bytes >= free_bytes);
    assert_int_equal(os_disk_space(bench->os, bench_path(bench, "none"), &free_bytes, &total_bytes),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_and_reading_ends_at_the_end),
        TEST(a_write_takes_more_slices_than_one_call_of_the_kernel),
        TEST(reserved_space_does_not_change_the_size),
        TEST(opening_tells_what_is_wrong),
        TEST(directories_are_made_listed_in_order_and_removed_empty),
        TEST(a_second_opener_does_not_get_the_lock),
        TEST(the_lock_keeps_a_record_lock_of_another_process_out),
        TEST(a_record_lock_of_another_process_keeps_us_out),
        TEST(a_replaced_file_is_whole_and_leaves_nothing_beside),
        TEST(an_empty_file_is_read_as_empty_not_as_null),
        TEST(what_people_name_is_read_to_its_end_a_pipe_too),
        TEST(standard_descriptors_that_are_closed_are_given_to_no_file),
        TEST(every_file_operation_works_through_a_port),
        TEST(large_reads_and_writes_go_through_the_pool),
        TEST(a_read_that_is_not_in_memory_is_done_by_the_pool),
        TEST(a_write_to_a_read_only_file_fails_through_done),
        TEST(the_disk_has_space_and_says_how_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
