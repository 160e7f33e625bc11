/* SPDX-License-Identifier: Apache-2.0 */
/* Log directories that a start meets once in a long time: paths that are none, copies in two places, no room. */
#include "support.h"

#include "storage/storage_internal.h"

#include <stdio.h>
#include <string.h>

#define ID_A "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ"
#define ID_B "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABw"
#define LOG_FILE "00000000000000000000.log"

static enum err open_at(struct bench *bench, const char *const *at, size_t count,
                        struct log_directories **out, struct why *why)
{
    why->text[0] = '\0';
    *out = NULL;
    return log_directories_open(bench->os, &bench->logger, &bench->options, at, count, out, why);
}

static void a_path_that_is_a_file_or_too_long_stops_the_start(void **state)
{
    static char large[3700];
    const char *file = "/data/notes";
    const char *long_path = large;
    struct log_directories *directories;
    struct bench bench;
    struct why why;

    memset(large, 'x', sizeof large - 1);
    large[0] = '/';
    bench_prepare(&bench, 1, 1);
    bench_file_put(&bench, file, SLICE("mine"));
    if (open_at(&bench, &file, 1, &directories, &why) != ERR_FORMAT)
        fail_msg("%s", why.text);
    assert_non_null(strstr(why.text, "is not a directory"));
    assert_int_equal(open_at(&bench, &long_path, 1, &directories, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "too long"));
    bench_close(&bench);
}

/* What lies in one directory of a partition; NULL: not there. */
struct copy {
    const char *id;
    const char *data;
};

static void copy_make(struct bench *bench, const char *folder, const struct copy *copy)
{
    char path[100];

    OKAY(os_make_directory(bench->os, folder));
    if (copy->id) {
        snprintf(path, sizeof path, "%s/partition.metadata", folder);
        bench_file_put(bench, path, slice_from_text(copy->id));
    }
    if (copy->data) {
        snprintf(path, sizeof path, "%s/" LOG_FILE, folder);
        bench_file_put(bench, path, slice_from_text(copy->data));
    }
}

static void of_two_copies_the_start_takes_what_topic_ids_tell_apart(void **state)
{
    static const char *const at[] = {"/data", "/data1"};
    static const struct {
        struct copy first, second;
        enum err err;
    } cases[] = {
        {{ID_A, "data"}, {ID_B, "data"}, OK},
        {{ID_A, "data"}, {ID_A, "data"}, ERR_FORMAT},
        {{ID_A, "data"}, {NULL, "data"}, ERR_FORMAT},
        {{NULL, "data"}, {ID_A, "data"}, ERR_FORMAT},
        {{"broken", "data"}, {ID_A, "data"}, ERR_FORMAT},
        {{ID_A, "data"}, {"broken", "data"}, ERR_FORMAT},
        {{NULL, NULL}, {ID_A, "data"}, OK},
        {{ID_A, "data"}, {NULL, ""}, OK},
        {{NULL, ""}, {NULL, NULL}, OK},
        {{ID_A, ""}, {ID_A, "data"}, ERR_FORMAT},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct log_directories *directories;
        struct bench bench;
        struct why why;

        bench_prepare(&bench, 2, 2);
        copy_make(&bench, "/data/topic-0", &cases[i].first);
        copy_make(&bench, "/data1/topic-0", &cases[i].second);
        if (open_at(&bench, at, 2, &directories, &why) != cases[i].err)
            fail_msg("case %zu: %s", i, why.text);
        if (directories)
            log_directories_close(&directories, false, -1);
        bench_close(&bench);
    }
}

/* One call of the comparison fails: the start is refused, or goes on as if the copy had no id. */
static void copies_that_cannot_be_read_are_not_taken_for_unborn_ones(void **state)
{
    static const char *const at[] = {"/data", "/data1"};

    for (int64_t skip = 0; skip < 12; skip++)
        for (enum sim_call call = 0; call < SIM_CALL_COUNT; call++) {
            const struct copy unborn = {NULL, NULL}, whole = {ID_A, "data"};
            struct log_directories *directories;
            struct bench bench;
            struct why why;
            enum err err;

            bench_prepare(&bench, 3, 2);
            copy_make(&bench, "/data/topic-0", &whole);
            copy_make(&bench, "/data1/topic-0", &unborn);
            bench_file_put(&bench, "/data1/topic-0/a", SLICE(""));
            sim_fault_add(bench.os, &(struct sim_fault){.calls = 1u << call,
                                                        .path_part = "/topic-0",
                                                        .skip_count = skip,
                                                        .effect = SIM_EFFECT_ERROR,
                                                        .err = ERR_IO});
            err = open_at(&bench, at, 2, &directories, &why);
            if (err == OK)
                log_directories_close(&directories, false, -1);
            else
                assert_int_equal(err, ERR_FORMAT);
            bench_close(&bench);
        }
}

static void an_id_of_version_0_is_kept_when_the_file_is_written_anew(void **state)
{
    static const char *const at[] = {"/data"};
    struct log_directories *directories;
    struct random random;
    struct bench bench;
    struct why why;
    struct uuid id;

    bench_prepare(&bench, 4, 1);
    bench_file_put(&bench, "/data/meta.properties",
                   SLICE("version=0\nbroker.id=1\ndirectory.id=BwcHBwcHBwcHBwcHBwcHBw\n"));
    sim_random_init(bench.sim, &random, "ids");
    OKAY(open_at(&bench, at, 1, &directories, &why));
    OKAY(log_directories_check(directories, SLICE(BENCH_CLUSTER), 1, &random, &why));
    id = log_directory_id(log_directories_at(directories, 0));
    assert_int_equal(id.bytes[0], 7);
    assert_int_equal(log_directory_properties(log_directories_at(directories, 0))->version, 1);
    assert_null(log_directories_find(directories, (struct uuid){{9}}));
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void an_id_below_a_hundred_is_reserved_and_others_that_begin_with_zeros_are_not(void **state)
{
    static const char *const at[] = {"/data"};
    static const struct {
        uint8_t before, last;
        enum err err;
    } cases[] = {{0, 1, ERR_CONFIG}, {0, 99, ERR_CONFIG}, {0, 100, OK}, {1, 1, OK}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct meta_properties properties = {.version = 1,
                                             .cluster_id = SLICE(BENCH_CLUSTER),
                                             .node_id = 1,
                                             .has_directory_id = true};
        struct log_directories *directories;
        struct random random;
        struct bench bench;
        struct why why;

        bench_prepare(&bench, 5, 1);
        properties.directory_id.bytes[14] = cases[i].before;
        properties.directory_id.bytes[15] = cases[i].last;
        OKAY(meta_properties_write(bench.os, "/data", &properties));
        sim_random_init(bench.sim, &random, "ids");
        OKAY(open_at(&bench, at, 1, &directories, &why));
        assert_int_equal(log_directories_check(directories, SLICE(BENCH_CLUSTER), 1, &random, &why),
                         cases[i].err);
        log_directories_close(&directories, false, -1);
        bench_close(&bench);
    }
}

static void a_directory_that_is_not_formatted_is_found_by_no_id(void **state)
{
    static const char *const at[] = {"/data", "/data1"};
    struct log_directories *directories;
    struct bench bench;
    struct why why;

    bench_prepare(&bench, 6, 1);
    OKAY(open_at(&bench, at, 2, &directories, &why));
    assert_null(log_directories_find(directories, UUID_ZERO));
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void a_start_without_room_takes_the_reserve(void **state)
{
    for (int has_reserve = 0; has_reserve < 2; has_reserve++) {
        static const char *const at[] = {"/data"};
        struct log_directories *directories;
        int64_t free_bytes, total_bytes;
        struct bench bench;
        struct why why;

        bench_prepare(&bench, 7, 1);
        bench.options.low_space_bytes = 10000;
        bench.options.reserve_bytes = has_reserve ? 50000 : 0;
        OKAY(open_at(&bench, at, 1, &directories, &why));
        log_directories_close(&directories, false, -1);
        bench.options.reserve_bytes = 50000;
        OKAY(os_disk_space(bench.os, "/data", &free_bytes, &total_bytes));
        sim_disk_set_capacity(bench.os, total_bytes - free_bytes + 5000);
        OKAY(open_at(&bench, at, 1, &directories, &why));
        assert_int_equal(log_directory_is_low_on_space(log_directories_at(directories, 0)),
                         !has_reserve);
        assert_true(log_directory_total_bytes(log_directories_at(directories, 0)) > 0);
        assert_int_equal(bench_files_count(&bench, "/data/.barnabas_reserve", ""), 0);
        log_directories_close(&directories, false, -1);
        bench_close(&bench);
    }
}

static void a_directory_that_is_low_but_has_more_than_the_reserve_keeps_it(void **state)
{
    static const char *const at[] = {"/data"};
    struct log_directories *directories;
    int64_t free_bytes, total_bytes;
    struct bench bench;
    struct why why;

    bench_prepare(&bench, 8, 1);
    bench.options.low_space_bytes = 100000;
    bench.options.reserve_bytes = 5000;
    OKAY(open_at(&bench, at, 1, &directories, &why));
    log_directories_close(&directories, false, -1);
    OKAY(os_disk_space(bench.os, "/data", &free_bytes, &total_bytes));
    sim_disk_set_capacity(bench.os, total_bytes - free_bytes + 50000);
    OKAY(open_at(&bench, at, 1, &directories, &why));
    assert_true(log_directory_is_low_on_space(log_directories_at(directories, 0)));
    assert_int_equal(bench_files_count(&bench, "/data/.barnabas_reserve", ""), 1);
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void a_start_whose_every_directory_fails_at_its_marker_is_refused(void **state)
{
    static const char *const at[] = {"/data", "/data1"};
    struct log_directories *directories;
    struct bench bench;
    struct why why;
    int64_t epoch;

    bench_prepare(&bench, 9, 2);
    OKAY(open_at(&bench, at, 2, &directories, &why));
    log_directories_close(&directories, true, 3);
    OKAY(open_at(&bench, at, 2, &directories, &why));
    bench_calls_fail(&bench, 1u << SIM_CALL_UNLINK, "/data/.kafka_cleanshutdown", ERR_IO);
    OKAY(log_directories_begin(directories, &epoch));
    assert_true(log_directory_is_offline(log_directories_at(directories, 0)));
    assert_null(log_directories_find_path(directories, SLICE("/")));
    log_directories_close(&directories, true, 3);
    sim_faults_clear(bench.os);
    OKAY(open_at(&bench, at, 2, &directories, &why));
    bench_calls_fail(&bench, 1u << SIM_CALL_UNLINK, "/.kafka_cleanshutdown", ERR_IO);
    assert_int_equal(log_directories_begin(directories, &epoch), ERR_KAFKA_STORAGE_ERROR);
    log_directories_close(&directories, true, 3);
    sim_faults_clear(bench.os);
    bench_close(&bench);
}

static void a_directory_that_is_offline_is_neither_checked_nor_compared(void **state)
{
    static const char *const at[] = {"/data", "/data1"};
    struct log_directories *directories;
    struct random random;
    struct bench bench;
    struct why why;
    int64_t epoch;

    for (int which = 0; which < 2; which++) {
        bench_prepare(&bench, 10, 2);
        sim_random_init(bench.sim, &random, "ids");
        bench_calls_fail(&bench, 1u << SIM_CALL_LIST, at[which], ERR_IO);
        if (which == 0) /* its name is part of the other's */
            bench_calls_fail(&bench, 0, at[1], ERR_IO);
        if (open_at(&bench, at, 2, &directories, &why) == OK) {
            assert_true(log_directory_is_offline(log_directories_at(directories, (size_t)which)));
            OKAY(log_directories_check(directories, SLICE(BENCH_CLUSTER), 1, &random, &why));
            OKAY(log_directories_begin(directories, &epoch));
            assert_ptr_equal(log_directories_emptiest(directories),
                             log_directories_at(directories, (size_t)!which));
            log_directories_close(&directories, true, 3);
        } else {
            assert_non_null(strstr(why.text, "no log directory can be used"));
        }
        bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_is_a_file_or_too_long_stops_the_start),
        cmocka_unit_test(of_two_copies_the_start_takes_what_topic_ids_tell_apart),
        cmocka_unit_test(copies_that_cannot_be_read_are_not_taken_for_unborn_ones),
        cmocka_unit_test(an_id_of_version_0_is_kept_when_the_file_is_written_anew),
        cmocka_unit_test(
            an_id_below_a_hundred_is_reserved_and_others_that_begin_with_zeros_are_not),
        cmocka_unit_test(a_directory_that_is_not_formatted_is_found_by_no_id),
        cmocka_unit_test(a_start_without_room_takes_the_reserve),
        cmocka_unit_test(a_directory_that_is_low_but_has_more_than_the_reserve_keeps_it),
        cmocka_unit_test(a_start_whose_every_directory_fails_at_its_marker_is_refused),
        cmocka_unit_test(a_directory_that_is_offline_is_neither_checked_nor_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
