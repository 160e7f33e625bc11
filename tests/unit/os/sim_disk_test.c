/* SPDX-License-Identifier: Apache-2.0 */
/* The durability model: what a power cut leaves of contents and names. */
#include "sim_bench.h"

#define SECTOR 512
#define SECTORS 64

static const struct sim_crash_options keep_all = {1, 0, 0};
static const struct sim_crash_options drop_all = {0, 1, 0};
static const struct sim_crash_options tear_all = {0, 0, 1};

static void fill(struct os *os, const char *path, uint8_t value, size_t size_bytes)
{
    static uint8_t bytes[SECTOR * SECTORS];
    struct slice slice = slice_of(bytes, size_bytes);
    struct os_file *file;

    memset(bytes, value, size_bytes);
    OKAY(os_file_open(os, path, OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    OKAY(os_file_write(file, &slice, 1, 0));
    os_file_close(&file);
}

static void synced_bytes_survive_every_crash(void **state)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        char text[64];

        bench_write(os, "/f", "durable", 0);
        bench_sync(os, "/f");
        OKAY(os_sync_directory(os, "/"));
        bench_write(os, "/f", "-tail", 7);
        sim_machine_crash(os, NULL);
        os = bench_restart(os);
        assert_non_null(bench_read(os, "/f", text, sizeof(text)));
        assert_memory_equal(text, "durable", 7);
        sim_release(&sim);
    }
}

static void unsynced_sectors_are_kept_or_dropped_one_by_one(void **state)
{
    int mixed = 0;

    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        char bytes[SECTOR * SECTORS + 1];
        int fresh = 0;

        fill(os, "/f", 'o', SECTOR * SECTORS);
        bench_sync(os, "/f");
        OKAY(os_sync_directory(os, "/"));
        fill(os, "/f", 'n', SECTOR * SECTORS);
        sim_machine_crash(os, &(struct sim_crash_options){1, 1, 0});
        os = bench_restart(os);
        bench_read(os, "/f", bytes, sizeof(bytes));
        for (int i = 0; i < SECTORS; i++) {
            const char *sector = bytes + i * SECTOR;

            assert_true(*sector == 'o' || *sector == 'n');
            assert_memory_equal(sector, sector + 1, SECTOR - 1); /* never torn: weight 0 */
            fresh += *sector == 'n';
        }
        mixed += fresh > 0 && fresh < SECTORS;
        sim_release(&sim);
    }
    assert_true(mixed > 35);
}

static void a_torn_sector_holds_old_and_new_bytes(void **state)
{
    struct sim *sim = bench_sim(7);
    struct os *os = bench_machine(sim, "a");
    struct sim_counts counts;
    char bytes[SECTOR * SECTORS + 1];

    fill(os, "/f", 'o', SECTOR * SECTORS);
    bench_sync(os, "/f");
    OKAY(os_sync_directory(os, "/"));
    fill(os, "/f", 'n', SECTOR * SECTORS);
    sim_machine_crash(os, &tear_all);
    os = bench_restart(os);
    if (!bench_read(os, "/f", bytes, sizeof(bytes)))
        fail();
    for (int i = 0; i < SECTORS; i++) {
        assert_non_null(memchr(bytes + i * SECTOR, 'o', SECTOR));
        assert_non_null(memchr(bytes + i * SECTOR, 'n', SECTOR));
    }
    sim_counts(sim, &counts);
    assert_int_equal(counts.sectors_torn, SECTORS);
    sim_release(&sim);
}

static void crashes_without_weights_keep_all_drop_all_and_mix(void **state)
{
    int all = 0, none = 0, some = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        char bytes[SECTOR * SECTORS + 1];
        int fresh = 0;

        fill(os, "/f", 'o', SECTOR * SECTORS);
        bench_sync(os, "/f");
        OKAY(os_sync_directory(os, "/"));
        fill(os, "/f", 'n', SECTOR * SECTORS);
        sim_machine_crash(os, NULL);
        os = bench_restart(os);
        bench_read(os, "/f", bytes, sizeof(bytes));
        for (int i = 0; i < SECTOR * SECTORS; i++)
            fresh += bytes[i] == 'n';
        all += fresh == SECTOR * SECTORS;
        none += fresh == 0;
        some += fresh > 0 && fresh < SECTOR * SECTORS;
        sim_release(&sim);
    }
    assert_true(all > 3 && none > 3 && some > 3);
}

static void a_killed_process_loses_nothing_that_it_wrote(void **state)
{
    struct sim *sim = bench_sim(1);
    struct os *os = bench_machine(sim, "a");
    char text[64];

    bench_write(os, "/f", "in the page cache", 0);
    sim_machine_kill(os);
    assert_false(sim_machine_is_up(os));
    os = bench_restart(os);
    assert_string_equal(bench_read(os, "/f", text, sizeof(text)), "in the page cache");
    /* And still not on the disk. */
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_null(bench_read(os, "/f", text, sizeof(text)));
    sim_release(&sim);
}

static void a_write_during_a_sync_is_not_covered_by_it(void **state)
{
    struct sim *sim = bench_sim(3);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op sync = {0};
    struct os_file *file;
    struct slice late = SLICE("late");
    char text[64];

    bench_port_open(&port, os);
    bench_write(os, "/f", "soon", 0);
    OKAY(os_sync_directory(os, "/"));
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE, &file));
    sync.op.file = file;
    bench_submit(port.port, &sync, OS_OP_SYNC);
    OKAY(os_file_write(file, &late, 1, 0));
    OKAY(bench_wait(sim, &sync));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_string_equal(bench_read(os, "/f", text, sizeof(text)), "soon");
    sim_release(&sim);
}

static void a_failed_sync_loses_its_data_and_the_next_one_does_not_notice(void **state)
{
    struct sim *sim = bench_sim(3);
    struct os *os = bench_machine(sim, "a");
    struct os_file *file;
    char text[64];
    int fault = sim_fault_add(os, &(struct sim_fault){.calls = 1u << SIM_CALL_SYNC,
                                                      .effect = SIM_EFFECT_ERROR,
                                                      .err = ERR_IO});

    bench_write(os, "/f", "gone", 0);
    OKAY(os_sync_directory(os, "/"));
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE, &file));
    assert_int_equal(os_file_sync(file), ERR_IO);
    OKAY(os_file_sync(file));
    assert_int_equal(sim_fault_hits(os, fault), 1);
    assert_string_equal(bench_read(os, "/f", text, sizeof(text)), "gone"); /* the cache has it */
    sim_machine_crash(os, &keep_all);
    os = bench_restart(os);
    assert_memory_equal(bench_read(os, "/f", text, sizeof(text)), "\0\0\0\0", 4);
    sim_release(&sim);
}

static void a_truncation_without_sync_is_undone_whole_or_kept(void **state)
{
    int undone = 0, kept = 0;

    for (uint64_t seed = 0; seed < 60; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        struct os_file *file;
        struct slice word = SLICE("new");
        char text[64];

        bench_write(os, "/f", "old content", 0);
        bench_sync(os, "/f");
        OKAY(os_sync_directory(os, "/"));
        OKAY(os_file_open(os, "/f", OS_OPEN_WRITE, &file));
        OKAY(os_file_truncate(file, 0));
        OKAY(os_file_write(file, &word, 1, 0));
        sim_machine_crash(os, &(struct sim_crash_options){1, 1, 0});
        os = bench_restart(os);
        memset(text, 0, sizeof(text));
        if (!bench_read(os, "/f", text, sizeof(text)))
            fail();
        if (strcmp(text, "old content") == 0) {
            undone++;
        } else {
            assert_true(strlen(text) <= 3);
            assert_memory_equal(text, "new", strlen(text));
            kept++;
        }
        sim_release(&sim);
    }
    assert_true(undone > 5 && kept > 5);
}

static void a_synced_truncation_stays(void **state)
{
    struct sim *sim = bench_sim(3);
    struct os *os = bench_machine(sim, "a");
    struct os_file *file;
    char text[64];

    bench_write(os, "/f", "old content", 0);
    bench_sync(os, "/f");
    OKAY(os_sync_directory(os, "/"));
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE, &file));
    OKAY(os_file_truncate(file, 3));
    OKAY(os_file_sync(file));
    OKAY(os_file_truncate(file, 8)); /* zeros, not what stood there */
    OKAY(os_file_sync(file));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    if (!bench_read(os, "/f", text, sizeof(text)))
        fail();
    assert_memory_equal(text, "old\0\0\0\0\0", 9);
    sim_release(&sim);
}

/* ---- names ---- */

static void a_name_needs_the_sync_of_its_directory(void **state)
{
    int undone = 0, kept = 0;

    for (uint64_t seed = 0; seed < 30; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");

        OKAY(os_make_directory(os, "/d"));
        OKAY(os_sync_directory(os, "/"));
        bench_write(os, "/d/f", "x", 0);
        bench_sync(os, "/d/f");
        bench_write(os, "/d/g", "y", 0);
        OKAY(os_sync_directory(os, "/d"));
        bench_write(os, "/d/h", "z", 0);
        bench_sync(os, "/d/h");
        sim_machine_crash(os, &(struct sim_crash_options){1, 1, 0});
        os = bench_restart(os);
        assert_true(bench_exists(os, "/d/f"));
        assert_true(bench_exists(os, "/d/g"));
        kept += bench_exists(os, "/d/h");
        undone += !bench_exists(os, "/d/h");
        sim_release(&sim);
    }
    assert_true(undone > 3 && kept > 3);
}

static void a_rename_without_directory_sync_is_undone_or_kept_but_never_half(void **state)
{
    int undone = 0, kept = 0;

    for (uint64_t seed = 0; seed < 30; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        char text[16];

        bench_write(os, "/f", "old", 0);
        bench_sync(os, "/f");
        bench_write(os, "/f.tmp", "new", 0);
        bench_sync(os, "/f.tmp");
        OKAY(os_sync_directory(os, "/"));
        OKAY(os_rename(os, "/f.tmp", "/f"));
        sim_machine_crash(os, &(struct sim_crash_options){1, 1, 1});
        os = bench_restart(os);
        assert_non_null(bench_read(os, "/f", text, sizeof(text)));
        if (strcmp(text, "old") == 0) {
            assert_true(bench_exists(os, "/f.tmp"));
            undone++;
        } else {
            assert_string_equal(text, "new");
            assert_false(bench_exists(os, "/f.tmp"));
            kept++;
        }
        sim_release(&sim);
    }
    assert_true(undone > 3 && kept > 3);
}

static void later_changes_of_a_name_never_survive_without_earlier_ones(void **state)
{
    int seen[4] = {0};

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim *sim = bench_sim(seed);
        struct os *os = bench_machine(sim, "a");
        char text[16] = "";
        int version;

        bench_write(os, "/f", "0", 0);
        bench_sync(os, "/f");
        OKAY(os_sync_directory(os, "/"));
        for (char digit = '1'; digit <= '3'; digit++) {
            char content[2] = {digit, '\0'};

            bench_write(os, "/t", content, 0);
            bench_sync(os, "/t");
            OKAY(os_rename(os, "/t", "/f"));
        }
        sim_machine_crash(os, &(struct sim_crash_options){2, 1, 0});
        os = bench_restart(os);
        if (!bench_read(os, "/f", text, sizeof(text)))
            fail();
        version = text[0] - '0';
        assert_in_range(version, 0, 3);
        seen[version]++;
        /* "/t" is what the next change would have renamed, or nothing. */
        if (bench_read(os, "/t", text, sizeof(text)))
            assert_int_equal(text[0] - '0', version + 1);
        sim_release(&sim);
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 0);
}

static void an_unlink_without_directory_sync_may_be_undone(void **state)
{
    struct sim *sim = bench_sim(3);
    struct os *os = bench_machine(sim, "a");
    char text[16];

    bench_write(os, "/f", "back", 0);
    bench_sync(os, "/f");
    OKAY(os_sync_directory(os, "/"));
    OKAY(os_unlink(os, "/f"));
    assert_false(bench_exists(os, "/f"));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_string_equal(bench_read(os, "/f", text, sizeof(text)), "back");
    OKAY(os_unlink(os, "/f"));
    OKAY(os_sync_directory(os, "/"));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_false(bench_exists(os, "/f"));
    sim_release(&sim);
}

static void a_directory_that_is_undone_takes_its_files_with_it(void **state)
{
    struct sim *sim = bench_sim(3);
    struct os *os = bench_machine(sim, "a");

    OKAY(os_make_directory(os, "/d"));
    bench_write(os, "/d/f", "x", 0);
    bench_sync(os, "/d/f");
    OKAY(os_sync_directory(os, "/d"));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_false(bench_exists(os, "/d"));
    sim_release(&sim);
}

static void durable_replace_leaves_the_old_or_the_new_file_at_every_call(void **state)
{
    for (int64_t n = 0;; n++) {
        struct sim *sim = bench_sim((uint64_t)n + 100);
        struct os *os = bench_machine(sim, "a");
        struct slice first = SLICE("first content"), second = SLICE("second, longer content");
        char text[64];
        enum err err;

        OKAY(os_make_directory(os, "/d"));
        OKAY(os_sync_directory(os, "/"));
        OKAY(os_durable_replace(os, "/d/f", &first, 1));
        sim_machine_crash_at(os, n, NULL);
        err = os_durable_replace(os, "/d/f", &second, 1);
        if (err == OK) {
            assert_true(n >= 5);
            sim_machine_crash_at(os, -1, NULL);
            sim_machine_crash(os, NULL);
        } else {
            assert_int_equal(err, ERR_CRASHED);
            assert_false(sim_machine_is_up(os));
        }
        os = bench_restart(os);
        assert_non_null(bench_read(os, "/d/f", text, sizeof(text)));
        if (err == OK)
            assert_string_equal(text, "second, longer content");
        else if (strcmp(text, "first content") != 0)
            assert_string_equal(text, "second, longer content");
        sim_release(&sim);
        if (err == OK)
            break;
    }
}

static void a_crash_at_a_submitted_operation_forgets_it(void **state)
{
    struct sim *sim = bench_sim(9);
    struct os *os = bench_machine(sim, "a");
    struct bench_port port;
    struct bench_op write = {0}, after = {0};
    struct slice word = SLICE("word");
    struct os_file *file;

    bench_port_open(&port, os);
    OKAY(os_file_open(os, "/f", OS_OPEN_WRITE | OS_OPEN_CREATE, &file));
    sim_machine_crash_at(os, 0, NULL);
    write.op.file = file;
    write.op.slices = &word;
    write.op.slice_count = 1;
    bench_submit(port.port, &write, OS_OP_WRITE);
    assert_false(sim_machine_is_up(os));
    assert_false(sim_run_until(sim, 10 * SECOND, NULL, NULL));
    assert_int_equal(write.done, 0);
    /* Whoever takes the dead node apart gets his answers. */
    after.op.path = "/g";
    bench_submit(port.port, &after, OS_OP_STAT);
    os_port_poll(port.port, 0);
    assert_int_equal(write.done, 1);
    assert_int_equal(write.op.err, ERR_CRASHED);
    assert_int_equal(after.op.err, ERR_CRASHED);
    os_file_close(&file);
    bench_port_close(&port);
    assert_int_equal(os_make_directory(os, "/d"), ERR_CRASHED);
    os_release(&os);
    sim_release(&sim);
}

static void old_writes_become_durable_by_write_back(void **state)
{
    struct sim_options options;
    struct sim *sim;
    struct os *os;
    char bytes[8];

    sim_options_default(&options);
    options.writeback_bytes = 64 * 1024;
    OKAY(sim_create(1, &options, &sim));
    os = bench_machine(sim, "a");
    bench_write(os, "/old", "old", 0);
    for (int i = 0; i < 40; i++) {
        char path[3] = {'/', (char)('A' + i), '\0'};

        fill(os, path, 'x', 4096);
    }
    OKAY(os_sync_directory(os, "/"));
    sim_machine_crash(os, &drop_all);
    os = bench_restart(os);
    assert_string_equal(bench_read(os, "/old", bytes, sizeof(bytes)), "old");
    sim_release(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_every_crash),
        cmocka_unit_test(unsynced_sectors_are_kept_or_dropped_one_by_one),
        cmocka_unit_test(a_torn_sector_holds_old_and_new_bytes),
        cmocka_unit_test(crashes_without_weights_keep_all_drop_all_and_mix),
        cmocka_unit_test(a_killed_process_loses_nothing_that_it_wrote),
        cmocka_unit_test(a_write_during_a_sync_is_not_covered_by_it),
        cmocka_unit_test(a_failed_sync_loses_its_data_and_the_next_one_does_not_notice),
        cmocka_unit_test(a_truncation_without_sync_is_undone_whole_or_kept),
        cmocka_unit_test(a_synced_truncation_stays),
        cmocka_unit_test(a_name_needs_the_sync_of_its_directory),
        cmocka_unit_test(a_rename_without_directory_sync_is_undone_or_kept_but_never_half),
        cmocka_unit_test(later_changes_of_a_name_never_survive_without_earlier_ones),
        cmocka_unit_test(an_unlink_without_directory_sync_may_be_undone),
        cmocka_unit_test(a_directory_that_is_undone_takes_its_files_with_it),
        cmocka_unit_test(durable_replace_leaves_the_old_or_the_new_file_at_every_call),
        cmocka_unit_test(a_crash_at_a_submitted_operation_forgets_it),
        cmocka_unit_test(old_writes_become_durable_by_write_back),
    };

    return cmocka_run_group_tests_name("os/sim_disk", tests, NULL, NULL);
}
