/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/format_crash_test.c: formatting that ends between any two calls to the disk: by the tool (server/format.h), which
 * is then run again, and by the first start of a node without a file.
 */
#include "sim_node.h"

#include "base/assert.h"
#include "base/writer.h"
#include "server/format.h"
#include "storage/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the three above */
#include <cmocka.h>

#define DIRECTORIES 2
#define METADATA "/srv/b/data1"
#define SNAPSHOT METADATA "/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint"
#define CALLS_MAX 2000

static const char *const directories[DIRECTORIES] = {"/srv/a/data0", METADATA};
static const struct sim_crash_options nothing_unsynced_stays = {.drop_weight = 1};

static enum err format(struct os *os)
{
    CLEANUP(writer_release) struct writer report;
    struct format_options options = {
        .cluster_id = SLICE("MkU3OEVBNTcwNTJENDM2Qg"),
        .node_id = 1,
        .directories = directories,
        .directory_count = DIRECTORIES,
        .metadata_directory = METADATA,
        .is_controller = true,
        .ignore_formatted = true,
        .controller_listener = SLICE("CONTROLLER"),
        .is_dynamic = true,
    };
    struct why why = {""};

    writer_init(&report, &heap_allocator, SIZE_MAX);
    return storage_format(os, &options, &report, &why);
}

static void restart(struct os **os)
{
    assert_int_equal(sim_machine_restart(*os, os), OK);
}

static void all_is_there(struct os *os, int64_t call)
{
    struct arena arena;
    struct slice snapshot;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < DIRECTORIES; i++) {
        struct meta_properties properties;
        struct why why = {""};

        if (meta_properties_read(os, directories[i], &arena, &properties, &why) != OK ||
            properties.version != 1)
            fail_msg("killed at call %lld: %s is not formatted any more", (long long)call,
                     directories[i]);
    }
    if (sim_disk_peek(os, SNAPSHOT, &arena, &snapshot) != OK || snapshot.size_bytes == 0)
        fail_msg("killed at call %lld: the snapshot has gone", (long long)call);
    arena_release(&arena);
}

static void what_format_made_outlives_a_power_cut_also_behind_a_run_that_was_killed(void **state)
{
    bool is_killed = true;
    int64_t call = 0;

    UNUSED(state);
    for (; is_killed; call++) {
        struct sim *sim;
        struct os *os;

        assert_int_equal(sim_create(1, NULL, &sim), OK);
        assert_int_equal(sim_machine_create(sim, "node", &os), OK);
        sim_machine_kill_at(os, call);
        is_killed = format(os) != OK;
        assert_int_equal(is_killed, !sim_machine_is_up(os));
        if (is_killed) {
            restart(&os);
            assert_int_equal(format(os), OK);
        }
        sim_machine_crash(os, &nothing_unsynced_stays);
        restart(&os);
        all_is_there(os, call);
        sim_release(&sim);
        assert_true(call < CALLS_MAX);
    }
    assert_true(call > 20);
}

/* True: it came to its end without. */
static bool first_start_crashes_at(int64_t call)
{
    struct sim_node node;
    struct sim *sim;
    enum err err;
    bool is_over;

    assert_int_equal(sim_create((uint64_t)call + 1, NULL, &sim), OK);
    sim_node_init(&node, sim, "node", "log.dirs=/data0,/data1,/data2\nmetadata.log.dir=/data2\n");
    sim_machine_crash_at(node.machine, call, NULL);
    err = sim_node_start(&node, 60000);
    is_over = err == OK;
    if (!is_over) {
        assert_int_equal(err, ERR_CRASHED);
        sim_node_restart_machine(&node);
        err = sim_node_start(&node, 60000);
        if (err != OK)
            fail_msg("the first start was cut at call %lld, the second one ends: %s: %s",
                     (long long)call, err_name(err), node.stop_why);
    }
    sim_machine_crash_at(node.machine, -1, NULL);
    assert_true(sim_node_stop(&node, 60000));
    sim_node_release(&node);
    sim_release(&sim);
    return is_over;
}

static void a_first_start_that_is_cut_at_any_call_leaves_a_node_that_starts(void **state)
{
    int64_t call = 0;

    UNUSED(state);
    while (!first_start_crashes_at(call)) {
        call++;
        assert_true(call < CALLS_MAX);
    }
    assert_true(call > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_format_made_outlives_a_power_cut_also_behind_a_run_that_was_killed),
        cmocka_unit_test(a_first_start_that_is_cut_at_any_call_leaves_a_node_that_starts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
