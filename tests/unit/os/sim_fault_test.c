/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of file calls, space, bit rot, exchanged disks, locks. */
#include "sim_bench.h"

static void a_fault_strikes_the_call_after_those_it_skips(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    int fault = sim_fault_add(os, &(struct sim_fault){.calls = 1u << SIM_CALL_MAKE_DIRECTORY,
                                                      .path_part = "data",
                                                      .skip_count = 1,
                                                      .effect = SIM_EFFECT_ERROR,
                                                      .err = ERR_PERMISSION});

    OKAY(os_make_directory(os, "/data1"));
    OKAY(os_make_directory(os, "/other"));
    assert_int_equal(os_make_directory(os, "/data2"), ERR_PERMISSION);
    OKAY(os_make_directory(os, "/data2")); /* used up */
    assert_int_equal(sim_fault_hits(os, fault), 1);
    sim_release(&sim);
}

static void a_sticky_fault_strikes_until_it_is_removed(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    int fault = sim_fault_add(os, &(struct sim_fault){.calls = SIM_CALLS_ALL,
                                                      .path_part = "/bad/",
                                                      .is_sticky = true,
                                                      .effect = SIM_EFFECT_ERROR,
                                                      .err = ERR_IO});
    struct os_file *file;

    OKAY(os_make_directory(os, "/bad"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(os_file_open(os, "/bad/f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file), ERR_IO);
    sim_machine_crash(os, NULL);
    os = bench_restart(os);
    assert_int_equal(os_unlink(os, "/bad/f"), ERR_IO); /* faults outlive restarts */
    sim_fault_remove(os, fault);
    assert_int_equal(os_unlink(os, "/bad/f"), ERR_NOT_FOUND);
    sim_release(&sim);
}

static void a_failed_write_has_written_some_prefix(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    struct slice text = SLICE("0123456789");
    struct os_file *file;
    char read[16];

    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    sim_fault_add(os, &(struct sim_fault){.calls = 1u << SIM_CALL_WRITE,
                                          .err = ERR_IO,
                                          .effect = SIM_EFFECT_ERROR});
    assert_int_equal(os_file_write(file, &text, 1, 0), ERR_IO);
    bench_read(os, "/f", read, sizeof(read));
    assert_memory_equal(read, text.data, strlen(read));
    sim_release(&sim);
}

static void a_lost_write_says_ok(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    char read[16];

    bench_write(os, "/f", "old", 0);
    sim_fault_add(os,
                  &(struct sim_fault){.calls = 1u << SIM_CALL_WRITE, .effect = SIM_EFFECT_LOSE});
    bench_write(os, "/f", "new", 0);
    assert_string_equal(bench_read(os, "/f", read, sizeof(read)), "old");
    sim_release(&sim);
}

static void a_misdirected_write_lands_in_another_sector_of_the_file(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    static char bytes[8 * 512 + 1];
    int found = -1;

    memset(bytes, 'o', 8 * 512);
    bench_write(os, "/f", bytes, 0);
    sim_fault_add(
        os, &(struct sim_fault){.calls = 1u << SIM_CALL_WRITE, .effect = SIM_EFFECT_MISDIRECT});
    bench_write(os, "/f", "new", 3 * 512);
    bench_read(os, "/f", bytes, sizeof(bytes));
    for (int i = 0; i < 8; i++) {
        if (memcmp(bytes + i * 512, "new", 3) == 0)
            found = i;
    }
    assert_true(found >= 0 && found != 3);
    sim_release(&sim);
}

static void a_flipped_read_differs_once_and_rot_differs_for_ever(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    char read[16];

    bench_write(os, "/f", "content", 0);
    bench_sync(os, "/f");
    OKAY(os_sync_directory(os, "/"));
    sim_fault_add(os, &(struct sim_fault){.calls = 1u << SIM_CALL_READ, .effect = SIM_EFFECT_FLIP});
    assert_memory_not_equal(bench_read(os, "/f", read, sizeof(read)), "content", 7);
    assert_string_equal(bench_read(os, "/f", read, sizeof(read)), "content");
    OKAY(sim_disk_flip(os, "/f", 2, 0x20));
    assert_string_equal(bench_read(os, "/f", read, sizeof(read)), "coNtent");
    sim_machine_crash(os, NULL);
    os = bench_restart(os);
    assert_string_equal(bench_read(os, "/f", read, sizeof(read)), "coNtent");
    assert_int_equal(sim_disk_flip(os, "/f", 7, 1), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_flip(os, "/none", 0, 1), ERR_NOT_FOUND);
    sim_release(&sim);
}

static void a_full_disk_refuses_growth_and_takes_overwrites(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    static uint8_t bytes[64 * 1024];
    struct slice slice = slice_of(bytes, sizeof(bytes));
    struct os_file *file;
    int64_t free_bytes, total_bytes, size_bytes;

    sim_disk_set_capacity(os, 40 * 1024);
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    assert_int_equal(os_file_write(file, &slice, 1, 0), ERR_DISK_FULL);
    OKAY(os_file_size(file, &size_bytes));
    assert_int_equal(size_bytes, 40 * 1024);
    OKAY(os_disk_space(os, "/", &free_bytes, &total_bytes));
    assert_int_equal(free_bytes, 0);
    assert_int_equal(total_bytes, 40 * 1024);
    slice.size_bytes = 4096;
    OKAY(os_file_write(file, &slice, 1, 8192));
    OKAY(os_file_truncate(file, 4096));
    OKAY(os_disk_space(os, "/", &free_bytes, &total_bytes));
    assert_int_equal(free_bytes, 36 * 1024);
    OKAY(os_file_reserve(file, 0, 40 * 1024));
    OKAY(os_file_size(file, &size_bytes));
    assert_int_equal(size_bytes, 4096); /* reserved, not longer */
    OKAY(os_disk_space(os, "/", &free_bytes, &total_bytes));
    assert_int_equal(free_bytes, 0);
    OKAY(os_unlink(os, "/f"));
    OKAY(os_disk_space(os, "/", &free_bytes, &total_bytes));
    assert_int_equal(free_bytes, 0); /* open files keep their blocks */
    os_file_close(&file);
    OKAY(os_disk_space(os, "/", &free_bytes, &total_bytes));
    assert_int_equal(free_bytes, 40 * 1024);
    sim_release(&sim);
}

static void a_lock_is_held_until_its_file_is_closed_or_its_process_dies(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    struct os_file *one, *two;

    OKAY(os_file_open(os, "/lock", OS_OPEN_WRITE | OS_OPEN_CREATE, &one));
    OKAY(os_file_open(os, "/lock", OS_OPEN_WRITE, &two));
    OKAY(os_file_lock(one));
    assert_int_equal(os_file_lock(two), ERR_LOCKED);
    os_file_close(&one);
    OKAY(os_file_lock(two));
    sim_machine_kill(os);
    os = bench_restart(os);
    OKAY(os_file_open(os, "/lock", OS_OPEN_WRITE, &one));
    OKAY(os_file_lock(one));
    sim_release(&sim);
}

static void directories_behave_as_those_of_a_kernel(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    struct arena arena;
    struct os_names names;
    struct os_stat stat;
    struct os_file *file;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(os_make_directory(os, "/d"));
    assert_int_equal(os_make_directory(os, "/d"), ERR_EXISTS);
    assert_int_equal(os_make_directory(os, "/none/d"), ERR_NOT_FOUND);
    bench_write(os, "/d/b", "b", 0);
    bench_write(os, "/d/a", "a", 0);
    OKAY(os_make_directory(os, "/d/c"));
    OKAY(os_list(os, "/d/", &arena, &names));
    assert_int_equal(names.count, 3);
    assert_string_equal(names.names[0], "a");
    assert_string_equal(names.names[1], "b");
    assert_string_equal(names.names[2], "c");
    OKAY(os_stat(os, "/d/./c/../b", &stat));
    assert_true(stat.exists && !stat.is_directory && stat.size_bytes == 1);
    assert_true(stat.modified_ms >= INT64_C(1767225600000));
    assert_int_equal(os_remove_directory(os, "/d"), ERR_EXISTS);
    assert_int_equal(
        os_file_open(os, "/d/a", OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_EXCLUSIVE, &file),
        ERR_EXISTS);
    OKAY(os_rename(os, "/d/c", "/c"));
    assert_int_equal(os_rename(os, "/none", "/x"), ERR_NOT_FOUND);
    OKAY(os_rename(os, "/d", "/c/d"));
    assert_true(os_rename(os, "/c", "/c/d/e") != OK); /* into itself */
    OKAY(sim_disk_walk(os, &arena, &names));
    assert_int_equal(names.count, 4);
    assert_string_equal(names.names[0], "/c/");
    assert_string_equal(names.names[1], "/c/d/");
    assert_string_equal(names.names[2], "/c/d/a");
    arena_release(&arena);
    sim_release(&sim);
}

static void disks_can_be_exchanged_and_emptied_while_the_machines_are_down(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *a = bench_machine(sim, "a"), *b = bench_machine(sim, "b");
    char read[16];

    bench_write(a, "/f", "of a", 0);
    bench_write(b, "/f", "of b", 0);
    sim_machine_kill(a);
    sim_machine_kill(b);
    sim_disk_swap(a, b);
    a = bench_restart(a);
    assert_string_equal(bench_read(a, "/f", read, sizeof(read)), "of b");
    sim_disk_wipe(b);
    b = bench_restart(b);
    assert_null(bench_read(b, "/f", read, sizeof(read)));
    sim_release(&sim);
}

static void a_checker_looks_without_being_counted(void **state)
{
    struct sim *sim = bench_sim(5);
    struct os *os = bench_machine(sim, "a");
    struct arena arena;
    struct slice content;
    int64_t calls;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    bench_write(os, "/f", "seen", 0);
    calls = sim_machine_io_calls(os);
    assert_int_equal(calls, 2);
    sim_machine_kill(os);
    OKAY(sim_disk_peek(os, "/f", &arena, &content));
    assert_true(slice_equal_text(content, "seen"));
    assert_int_equal(sim_machine_io_calls(os), calls);
    arena_release(&arena);
    sim_release(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_strikes_the_call_after_those_it_skips),
        cmocka_unit_test(a_sticky_fault_strikes_until_it_is_removed),
        cmocka_unit_test(a_failed_write_has_written_some_prefix),
        cmocka_unit_test(a_lost_write_says_ok),
        cmocka_unit_test(a_misdirected_write_lands_in_another_sector_of_the_file),
        cmocka_unit_test(a_flipped_read_differs_once_and_rot_differs_for_ever),
        cmocka_unit_test(a_full_disk_refuses_growth_and_takes_overwrites),
        cmocka_unit_test(a_lock_is_held_until_its_file_is_closed_or_its_process_dies),
        cmocka_unit_test(directories_behave_as_those_of_a_kernel),
        cmocka_unit_test(disks_can_be_exchanged_and_emptied_while_the_machines_are_down),
        cmocka_unit_test(a_checker_looks_without_being_counted),
    };

    return cmocka_run_group_tests_name("os/sim_fault", tests, NULL, NULL);
}
