/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of the storage engine that few workloads take: a table of keys that grows, modes that change, waits. */
#include "support.h"

#include "storage/cleaner.h"

static void a_table_of_keys_grows_and_keeps_what_it_holds(void **state)
{
    struct key_map_options options = {
        .expected_keys = 1, .limit_bytes = 1 * MIB, .load_factor = 0.9, .secret = {1, 2}};
    struct key_map map;
    int64_t count = 0;
    char key[32];

    OKAY(key_map_open(&map, &options));
    for (; count < 1000000; count++) {
        size_t size = fmt(key, sizeof key, "a key of some length %lld", (long long)count);

        if (!key_map_put(&map, key_map_hash(&map, slice_of(key, size)), count))
            break;
    }
    /* The last table had to fit beside the one before it. */
    assert_in_range(count, (int64_t)(0.75 * (double)map.slots_max), (int64_t)map.slots_max - 1);
    for (int64_t i = 0; i < count; i++) {
        size_t size = fmt(key, sizeof key, "a key of some length %lld", (long long)i);

        assert_int_equal(key_map_get(&map, key_map_hash(&map, slice_of(key, size))), i);
    }
    assert_int_equal(key_map_get(&map, key_map_hash(&map, SLICE("another"))), -1);
    key_map_release(&map);
    UNUSED(state);
}

static void a_log_that_changes_to_commit_counts_what_is_synced_from_then_on(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 1);
    bench.config.flush_mode = FLUSH_MODE_OS;
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 5, 10));
    assert_int_equal(log_end_flushed(log), 5);
    bench.config.flush_mode = FLUSH_MODE_COMMIT;
    log_set_config(log, &bench.config);
    OKAY(bench_append(&bench, log, 0, 5, 10));
    bench_pass(&bench, 1000);
    assert_int_equal(log_end_flushed(log), 10);
    bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 10);
    bench.config.flush_mode = FLUSH_MODE_OS;
    log_set_config(log, &bench.config);
    OKAY(bench_append(&bench, log, 0, 1, 10));
    assert_int_equal(log_end_flushed(log), 11); /* written is enough again */
    bench_close(&bench);
    UNUSED(state);
}

static void flagged(struct log_change_op *op)
{
    *(bool *)op->context = true;
}

static void a_search_that_meets_a_truncation_waits_for_its_end(void **state)
{
    struct bench bench;
    struct log *log;
    struct log_lookup lookup;
    bool is_done = false;
    struct log_change_op change = {.done = flagged, .context = &is_done};

    bench_open(&bench, 2);
    log = bench_log(&bench, "topic", 0);
    for (int i = 0; i < 4; i++) {
        struct bench_batch batch = {.timestamp = 1000 + 10 * i};

        OKAY(bench_append_batch(&bench, log, 0, &batch));
    }
    log_truncate(log, 2, &change);
    OKAY(bench_lookup(&bench, log, 1020, &lookup));
    assert_true(is_done);
    assert_int_equal(lookup.offset, -1); /* it went */
    bench_close(&bench);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_keys_grows_and_keeps_what_it_holds),
        cmocka_unit_test(a_log_that_changes_to_commit_counts_what_is_synced_from_then_on),
        cmocka_unit_test(a_search_that_meets_a_truncation_waits_for_its_end),
    };

    return cmocka_run_group_tests_name("storage/paths", tests, NULL, NULL);
}
