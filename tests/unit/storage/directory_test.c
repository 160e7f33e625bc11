/* SPDX-License-Identifier: Apache-2.0 */
/* The set of log directories: identity, locks, the clean marker, what lies there. */
#include "support.h"

#include "storage/storage_internal.h"

#define MARKER "/data/.kafka_cleanshutdown"
#define META "/data/meta.properties"

static const char *const paths[] = {"/data", "/data1", "/data2"};

static enum err directories_open(struct bench *bench, size_t count, struct log_directories **out,
                                 struct why *why)
{
    why->text[0] = '\0';
    *out = NULL;
    return log_directories_open(bench->os, &bench->logger, &bench->options, paths, count, out, why);
}

static enum err directories_check(struct bench *bench, struct log_directories *directories,
                                  const char *cluster, int32_t node_id, struct why *why)
{
    struct random random;

    sim_random_init(bench->sim, &random, "ids");
    return log_directories_check(directories, slice_from_text(cluster), node_id, &random, why);
}

static void a_foreign_directory_stops_the_start_and_is_named(void **state)
{
    static const char *const names[] = {"/data/photos",  "/data/topic", "/data/topic-",
                                        "/data/topic-x", "/data/-1",    "/data/topic-99999999999"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct log_directories *directories;
        struct why why;
        struct bench bench;

        bench_prepare(&bench, 1, 1);
        OKAY(os_make_directory(bench.os, names[i]));
        assert_int_equal(directories_open(&bench, 1, &directories, &why), ERR_FORMAT);
        assert_non_null(strstr(why.text, names[i]));
        bench_close(&bench);
    }
}

static void files_and_the_index_cache_of_remote_logs_are_left_alone(void **state)
{
    struct log_directories *directories;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 2, 1);
    bench_file_put(&bench, "/data/notes", SLICE("mine"));
    bench_file_put(&bench, "/data/bootstrap.checkpoint", SLICE(""));
    OKAY(os_make_directory(bench.os, "/data/remote-log-index-cache"));
    OKAY(directories_open(&bench, 1, &directories, &why));
    assert_int_equal(log_directory_found_count(log_directories_at(directories, 0)), 0);
    log_directories_close(&directories, false, -1);
    assert_int_equal(bench_file_size(&bench, "/data/notes"), 4);
    bench_close(&bench);
}

static void names_of_partition_directories_are_parsed(void **state)
{
#define HEX "0123456789abcdef0123456789ABCDEF"
    static const struct {
        const char *name;
        enum err err;
        const char *topic;
        int32_t partition;
        enum log_name_kind kind;
    } cases[] = {
        {"topic-0", OK, "topic", 0, LOG_NAME_CURRENT},
        {"a-b-12", OK, "a-b", 12, LOG_NAME_CURRENT},
        {"__cluster_metadata-0", OK, "__cluster_metadata", 0, LOG_NAME_CURRENT},
        {"topic-2147483647", OK, "topic", 2147483647, LOG_NAME_CURRENT},
        {"topic-1." HEX "-delete", OK, "topic", 1, LOG_NAME_DELETE},
        {"topic-1." HEX "-future", OK, "topic", 1, LOG_NAME_FUTURE},
        {"to.pic-1." HEX "-stray", OK, "to.pic", 1, LOG_NAME_STRAY},
        {"topic-1.0123-delete", ERR_FORMAT, NULL, 0, 0},
        {"topic-1-delete", ERR_FORMAT, NULL, 0, 0},
        {"topic-2147483648", ERR_FORMAT, NULL, 0, 0},
        {"topic--1", OK, "topic-", 1, LOG_NAME_CURRENT},
        {"", ERR_FORMAT, NULL, 0, 0},
        {"-", ERR_FORMAT, NULL, 0, 0},
        {"topic-+1", ERR_FORMAT, NULL, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct log_name name;

        assert_int_equal(log_name_parse(slice_from_text(cases[i].name), &name), cases[i].err);
        if (cases[i].err != OK)
            continue;
        assert_true(slice_equal_text(name.topic, cases[i].topic));
        assert_int_equal(name.partition, cases[i].partition);
        assert_int_equal(name.kind, cases[i].kind);
    }
}

static void a_long_topic_is_cut_in_the_names_of_doomed_directories(void **state)
{
    char topic[250];
    char name[LOG_NAME_BYTES];
    const uint8_t unique[16] = {0xab};
    struct log_name parsed;

    memset(topic, 't', sizeof(topic) - 1);
    topic[249] = '\0';
    log_name_make(slice_from_text(topic), 3, LOG_NAME_DELETE, unique, name);
    assert_int_equal(strlen(name), 255);
    OKAY(log_name_parse(slice_from_text(name), &parsed));
    assert_int_equal(parsed.kind, LOG_NAME_DELETE);
    assert_int_equal(parsed.partition, 3);
    log_name_make(slice_from_text(topic), 3, LOG_NAME_CURRENT, unique, name);
    assert_int_equal(strlen(name), 251);
}

static void a_missing_directory_is_made_but_not_formatted(void **state)
{
    struct log_directories *directories;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 3, 1);
    OKAY(directories_open(&bench, 2, &directories, &why));
    assert_int_equal(log_directory_properties(log_directories_at(directories, 1))->version, -1);
    assert_int_equal(directories_check(&bench, directories, BENCH_CLUSTER, 1, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/data1"));
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void a_directory_of_another_cluster_or_node_is_refused(void **state)
{
    struct log_directories *directories;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 4, 2);
    OKAY(directories_open(&bench, 2, &directories, &why));
    OKAY(directories_check(&bench, directories, BENCH_CLUSTER, 1, &why));
    assert_int_equal(directories_check(&bench, directories, "another-cluster-id-0001", 1, &why),
                     ERR_INCONSISTENT_CLUSTER_ID);
    assert_int_equal(directories_check(&bench, directories, BENCH_CLUSTER, 2, &why), ERR_CONFIG);
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void two_directories_with_one_id_and_reserved_ids_are_refused(void **state)
{
    struct meta_properties properties = {
        .version = 1, .cluster_id = SLICE(BENCH_CLUSTER), .node_id = 1, .has_directory_id = true};
    struct log_directories *directories;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 5, 2);
    memset(properties.directory_id.bytes, 7, 16);
    OKAY(meta_properties_write(bench.os, "/data1", &properties));
    OKAY(directories_open(&bench, 2, &directories, &why));
    assert_int_equal(directories_check(&bench, directories, BENCH_CLUSTER, 1, &why), ERR_CONFIG);
    log_directories_close(&directories, false, -1);
    properties.directory_id = (struct uuid){{[15] = 1}};
    OKAY(meta_properties_write(bench.os, "/data1", &properties));
    OKAY(directories_open(&bench, 2, &directories, &why));
    assert_int_equal(directories_check(&bench, directories, BENCH_CLUSTER, 1, &why), ERR_CONFIG);
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void a_missing_directory_id_is_drawn_and_written(void **state)
{
    struct log_directories *directories;
    struct meta_properties properties;
    struct arena arena;
    struct why why;
    struct bench bench;
    struct uuid id;

    bench_prepare(&bench, 6, 1);
    bench_file_put(&bench, META, SLICE("version=0\nbroker.id=1\n"));
    OKAY(directories_open(&bench, 1, &directories, &why));
    OKAY(directories_check(&bench, directories, BENCH_CLUSTER, 1, &why));
    id = log_directory_id(log_directories_at(directories, 0));
    assert_false(uuid_is_zero(id));
    assert_ptr_equal(log_directories_find(directories, id), log_directories_at(directories, 0));
    log_directories_close(&directories, false, -1);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(meta_properties_read(bench.os, "/data", &arena, &properties, &why));
    assert_int_equal(properties.version, 1);
    assert_int_equal(properties.node_id, 1);
    assert_true(slice_equal_text(properties.cluster_id, BENCH_CLUSTER));
    assert_true(uuid_equal(properties.directory_id, id));
    arena_release(&arena);
    bench_close(&bench);
}

static void meta_properties_are_read_as_java_reads_them(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        int version;
        int32_t node_id;
        const char *cluster_id;
    } cases[] = {
        {"#comment\n#date\nnode.id=3\nversion=1\ncluster.id=abc\n", OK, 1, 3, "abc"},
        {"! other comment\r\nnode.id : 3\r\nversion 1\r\n  cluster.id = abc", OK, 1, 3, "abc"},
        {"cluster.id=a\\\n   bc\nnode.id=3\nversion=1\n", OK, 1, 3, "abc"},
        {"cluster.id=a\\u0062c\nnode.id=3\nversion=1\n", OK, 1, 3, "abc"},
        {"cluster.id=\\u00E9\\u20ac\\u20AC\nnode.id=3\nversion=1\n", OK, 1, 3, "é€€"},
        {"cluster\\.id=abc\nnode.id=3\nversion=1\n", OK, 1, 3, "abc"},
        {"version=0\nbroker.id=3\n", OK, 0, 3, NULL},
        {"version=0\nbroker.id=3\ncluster.id=abc\n", OK, 0, 3, "abc"},
        {"node.id=3\nversion=1\ncluster.id=abc\nother=thing\n", OK, 1, 3, "abc"},
        {"node.id=3\nversion=1\n", ERR_FORMAT, 0, 0, NULL},
        {"version=1\ncluster.id=abc\n", ERR_FORMAT, 0, 0, NULL},
        {"node.id=x\nversion=1\ncluster.id=abc\n", ERR_FORMAT, 0, 0, NULL},
        {"node.id=3\nversion=1\ncluster.id=abc\ndirectory.id=!\n", ERR_FORMAT, 0, 0, NULL},
        {"version=2\nnode.id=3\ncluster.id=abc\n", ERR_FORMAT, 0, 0, NULL},
        {"cluster.id=\\u00x0\nversion=1\nnode.id=1\n", ERR_FORMAT, 0, 0, NULL},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct meta_properties properties;
        struct arena arena;
        struct why why = {""};
        struct bench bench;

        bench_prepare(&bench, 7, 1);
        bench_file_put(&bench, META, slice_from_text(cases[i].text));
        arena_init(&arena, &heap_allocator, SIZE_MAX);
        if (meta_properties_read(bench.os, "/data", &arena, &properties, &why) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
        if (cases[i].err == OK) {
            assert_int_equal(properties.version, cases[i].version);
            assert_int_equal(properties.node_id, cases[i].node_id);
            if (cases[i].cluster_id)
                assert_true(slice_equal_text(properties.cluster_id, cases[i].cluster_id));
            else
                assert_true(slice_is_null(properties.cluster_id));
        } else {
            assert_non_null(strstr(why.text, "meta.properties"));
        }
        arena_release(&arena);
        bench_close(&bench);
    }
}

static void meta_properties_are_written_as_apache_writes_them(void **state)
{
    char text[500];
    struct bench bench;
    const char *end;

    bench_prepare(&bench, 8, 1);
    bench_file_get(&bench, META, text, sizeof(text));
    assert_memory_equal(text, "#\n#", 3);
    end = strchr(text + 2, '\n');
    assert_non_null(end);
    assert_string_equal(end + 1, "cluster.id=" BENCH_CLUSTER
                                 "\ndirectory.id=BwcHBwcHBwcHBwcHBwcHBw\nnode.id=1\nversion=1\n");
    bench_close(&bench);
}

static void a_locked_directory_belongs_to_another_process(void **state)
{
    struct log_directories *first, *second;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 9, 2);
    OKAY(directories_open(&bench, 1, &first, &why));
    assert_int_equal(directories_open(&bench, 2, &second, &why), ERR_LOCKED);
    assert_non_null(strstr(why.text, "/data "));
    log_directories_close(&first, false, -1);
    OKAY(directories_open(&bench, 2, &second, &why));
    log_directories_close(&second, false, -1);
    bench_close(&bench);
}

static void one_partition_in_two_directories_stops_the_start(void **state)
{
    struct slice data = SLICE("data");
    struct log_directories *directories;
    struct why why;
    struct bench bench;

    bench_prepare(&bench, 10, 2);
    OKAY(os_make_directory(bench.os, "/data/topic-0"));
    OKAY(os_make_directory(bench.os, "/data1/topic-0"));
    OKAY(os_durable_replace(bench.os, "/data/topic-0/00000000000000000000.log", &data, 1));
    OKAY(os_durable_replace(bench.os, "/data1/topic-0/00000000000000000000.log", &data, 1));
    assert_int_equal(directories_open(&bench, 2, &directories, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "topic-0"));
    /* Without data and topic id it is only what a crash left of a replica that was being made. */
    OKAY(os_unlink(bench.os, "/data1/topic-0/00000000000000000000.log"));
    OKAY(directories_open(&bench, 2, &directories, &why));
    log_directories_close(&directories, false, -1);
    OKAY(os_remove_directory(bench.os, "/data1/topic-0"));
    OKAY(os_make_directory(bench.os, "/data1/topic-0." HEX "-future"));
    OKAY(directories_open(&bench, 2, &directories, &why));
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void the_clean_marker_tells_the_broker_epoch_and_is_gone_before_a_log_opens(void **state)
{
    char text[100];
    struct log_directories *directories;
    struct why why;
    struct bench bench;
    int64_t epoch;

    bench_prepare(&bench, 11, 2);
    OKAY(directories_open(&bench, 2, &directories, &why));
    log_directories_close(&directories, true, 42);
    bench_file_get(&bench, MARKER, text, sizeof(text));
    assert_string_equal(text, "{\"version\":0,\"brokerEpoch\":42}");
    OKAY(directories_open(&bench, 2, &directories, &why));
    assert_true(log_directory_was_clean(log_directories_at(directories, 1)));
    OKAY(log_directories_begin(directories, &epoch));
    assert_int_equal(epoch, 42);
    assert_int_equal(bench_file_size(&bench, MARKER), -1);
    log_directories_close(&directories, false, -1);
    /* Durably gone: a power cut does not bring it back. */
    sim_machine_crash(bench.os, &(struct sim_crash_options){.drop_weight = 1});
    {
        struct os *dead = bench.os;

        OKAY(sim_machine_restart(dead, &bench.os));
        os_release(&dead);
    }
    OKAY(directories_open(&bench, 2, &directories, &why));
    assert_false(log_directory_was_clean(log_directories_at(directories, 0)));
    OKAY(log_directories_begin(directories, &epoch));
    assert_int_equal(epoch, -1);
    log_directories_close(&directories, false, -1);
    bench_close(&bench);
}

static void broker_epochs_that_differ_or_cannot_be_read_are_not_told(void **state)
{
    static const struct {
        const char *first, *second;
        int64_t epoch;
    } cases[] = {
        {"{\"version\":0,\"brokerEpoch\":42}", "{\"version\":0,\"brokerEpoch\":42}", 42},
        {"{\"version\":0,\"brokerEpoch\":42}", "{ \"brokerEpoch\" : 42, \"version\" : 0 }", 42},
        {"{\"version\":0,\"brokerEpoch\":42}", "{\"version\":0,\"brokerEpoch\":43}", -1},
        {"{\"version\":0,\"brokerEpoch\":42}", "", -1},
        {"{\"version\":0,\"brokerEpoch\":42}", "{\"version\":9,\"brokerEpoch\":42}", -1},
        {"{\"version\":0,\"brokerEpoch\":42}", NULL, -1},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct log_directories *directories;
        struct why why;
        struct bench bench;
        int64_t epoch;

        bench_prepare(&bench, 12, 2);
        bench_file_put(&bench, MARKER, slice_from_text(cases[i].first));
        if (cases[i].second)
            bench_file_put(&bench, "/data1/.kafka_cleanshutdown", slice_from_text(cases[i].second));
        OKAY(directories_open(&bench, 2, &directories, &why));
        /* That it is there is what counts. */
        assert_int_equal(log_directory_was_clean(log_directories_at(directories, 1)),
                         cases[i].second != NULL);
        OKAY(log_directories_begin(directories, &epoch));
        assert_int_equal(epoch, cases[i].epoch);
        log_directories_close(&directories, false, -1);
        bench_close(&bench);
    }
}

static void
a_log_that_was_never_opened_after_an_unclean_stop_keeps_its_directory_unclean(void **state)
{
    struct bench bench;
    struct log *log;

    bench_open(&bench, 13);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    log = bench_log(&bench, "other", 0);
    OKAY(bench_append(&bench, log, 0, 1, 0));
    bench_crash(&bench, &(struct sim_crash_options){.keep_weight = 1});
    bench_log(&bench, "topic", 0);
    bench_restart(&bench);
    assert_false(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    bench_log(&bench, "topic", 0);
    bench_log(&bench, "other", 0);
    bench_restart(&bench);
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    bench_restart(&bench); /* clean, and nothing opened: still clean */
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    bench_close(&bench);
}

static void the_topic_id_of_a_partition_is_kept_and_compared(void **state)
{
    char text[100];
    struct bench bench;
    struct log_open request = {.topic = SLICE("topic"), .create = true, .topic_id = {{1, 2, 3}}};
    struct log *log;

    bench_open(&bench, 14);
    OKAY(bench_log_open(&bench, &request, &log));
    bench_file_get(&bench, "/data/topic-0/partition.metadata", text, sizeof(text));
    assert_string_equal(text, "version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA");
    OKAY(bench_close_log(&bench, &log));
    request.topic_id.bytes[0] = 9;
    assert_int_equal(bench_log_open(&bench, &request, &log), ERR_INCONSISTENT_TOPIC_ID);
    assert_null(log);
    assert_false(log_directory_is_offline(log_directories_at(bench.directories, 0)));
    request.topic_id = UUID_ZERO;
    OKAY(bench_log_open(&bench, &request, &log));
    assert_int_equal(log_topic_id(log).bytes[0], 1);
    request.topic = SLICE("nothing");
    request.create = false;
    assert_int_equal(bench_log_open(&bench, &request, &log), ERR_NOT_FOUND);
    bench_close(&bench);
}

static void opened(struct log_open *open)
{
    *(bool *)open->context = true;
}

static void a_log_that_still_opens_when_all_are_closed_is_closed_too(void **state)
{
    bool is_opened = false;
    struct bench bench;
    struct log *log;
    struct log_open open;

    UNUSED(state);
    bench_open(&bench, 1);
    log = bench_log(&bench, "topic", 0);
    OKAY(bench_append(&bench, log, 0, 5, 100));
    bench_restart(&bench);
    open = (struct log_open){.directory = log_directories_at(bench.directories, 0),
                             .topic = SLICE("topic"),
                             .config = &bench.config,
                             .create = true,
                             .done = opened,
                             .context = &is_opened};
    log_store_open(bench.store, &open);
    bench_stop(&bench, true); /* waits until every log is closed */
    assert_true(is_opened);
    OKAY(open.err);
    bench_start(&bench);
    log = bench_log(&bench, "topic", 0);
    assert_int_equal(bench_verify(&bench, log), 5);
    bench_close(&bench);
}

static void new_logs_go_to_the_directory_with_the_fewest(void **state)
{
    struct bench bench;
    struct log_open request = {.create = true};
    static const char *const topics[] = {"a", "b", "c", "d", "e", "f"};
    struct log *log;

    bench_prepare(&bench, 15, 3);
    bench_start(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(topics); i++) {
        request.topic = slice_from_text(topics[i]);
        request.directory = log_directories_emptiest(bench.directories);
        OKAY(bench_log_open(&bench, &request, &log));
        assert_ptr_equal(log_log_directory(log), log_directories_at(bench.directories, i % 3));
    }
    assert_ptr_equal(log_directories_find_path(bench.directories, SLICE("/data2")),
                     log_directories_at(bench.directories, 2));
    assert_null(log_directories_find_path(bench.directories, SLICE("/data3")));
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_foreign_directory_stops_the_start_and_is_named),
        cmocka_unit_test(files_and_the_index_cache_of_remote_logs_are_left_alone),
        cmocka_unit_test(names_of_partition_directories_are_parsed),
        cmocka_unit_test(a_long_topic_is_cut_in_the_names_of_doomed_directories),
        cmocka_unit_test(a_missing_directory_is_made_but_not_formatted),
        cmocka_unit_test(a_directory_of_another_cluster_or_node_is_refused),
        cmocka_unit_test(two_directories_with_one_id_and_reserved_ids_are_refused),
        cmocka_unit_test(a_missing_directory_id_is_drawn_and_written),
        cmocka_unit_test(meta_properties_are_read_as_java_reads_them),
        cmocka_unit_test(meta_properties_are_written_as_apache_writes_them),
        cmocka_unit_test(a_locked_directory_belongs_to_another_process),
        cmocka_unit_test(one_partition_in_two_directories_stops_the_start),
        cmocka_unit_test(the_clean_marker_tells_the_broker_epoch_and_is_gone_before_a_log_opens),
        cmocka_unit_test(broker_epochs_that_differ_or_cannot_be_read_are_not_told),
        cmocka_unit_test(
            a_log_that_was_never_opened_after_an_unclean_stop_keeps_its_directory_unclean),
        cmocka_unit_test(the_topic_id_of_a_partition_is_kept_and_compared),
        cmocka_unit_test(a_log_that_still_opens_when_all_are_closed_is_closed_too),
        cmocka_unit_test(new_logs_go_to_the_directory_with_the_fewest),
    };

    return cmocka_run_group_tests_name("storage/directory", tests, NULL, NULL);
}
