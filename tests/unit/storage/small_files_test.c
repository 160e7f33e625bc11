/* SPDX-License-Identifier: Apache-2.0 */
/* The small files beside the logs, byte by byte: forms that Java writes or tolerates, and forms that nobody wrote. */
#include "support.h"

#include "storage/cleaner.h"
#include "storage/storage_internal.h"

#include <stdio.h>
#include <string.h>

#define META "/data/meta.properties"

/* ---- meta.properties ---- */

static void properties_keep_what_java_escapes(void **state)
{
    const struct meta_properties written = {
        .version = 1, .cluster_id = SLICE(" a\\b=c:d#e!f g"), .node_id = 1};
    struct meta_properties read;
    struct arena arena;
    struct bench bench;
    struct why why;
    char text[400];

    bench_prepare(&bench, 1, 1);
    OKAY(meta_properties_write(bench.os, "/data", &written));
    bench_file_get(&bench, META, text, sizeof text);
    assert_non_null(strstr(text, "cluster.id=\\ a\\\\b\\=c\\:d\\#e\\!f g\n"));
    assert_null(strstr(text, "directory.id"));
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(meta_properties_read(bench.os, "/data", &arena, &read, &why));
    assert_true(slice_equal(read.cluster_id, written.cluster_id));
    arena_release(&arena);
    bench_close(&bench);
}

static void properties_without_a_cluster_or_a_node_are_written_without_them(void **state)
{
    struct meta_properties properties = {
        .version = 0, .cluster_id = SLICE_NULL, .node_id = 3, .has_directory_id = true};
    struct bench bench;
    char text[400];

    bench_prepare(&bench, 2, 1);
    OKAY(meta_properties_write(bench.os, "/data", &properties));
    bench_file_get(&bench, META, text, sizeof text);
    assert_null(strstr(text, "cluster.id"));
    assert_non_null(strstr(text, "broker.id=3\n"));
    properties.node_id = -1;
    OKAY(meta_properties_write(bench.os, "/data", &properties));
    bench_file_get(&bench, META, text, sizeof text);
    assert_null(strstr(text, "broker.id"));
    bench_close(&bench);
}

static void unusual_lines_of_properties_are_read_as_java_reads_them(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        const char *cluster_id;
    } cases[] = {
        {"\r\r\nnode.id=3\rversion=1\r\ncluster.id=abc", OK, "abc"},
        {"node.id=3\nversion=1\ncluster.id=a\\\r\n  b\\\rc\\\n\td", OK, "abcd"},
        {"node.id=3\nversion=1\ncluster.id=a\\\r", OK, "a"},
        {"node.id=3\nversion=1\n\fcluster.id\f=\tabc", OK, "abc"},
        {"node.id=3\nversion=1\ncluster.id=\\t\\n\\r\\f\\x", OK, "\t\n\r\fx"},
        {"node.id=3\nversion=1\ncluster.id=abc\\", OK, "abc\\"},
        {"node.id=3\nversion=1\ncluster.id:=abc", OK, "=abc"},
        {"node.id=3\nversion=1\ncluster.id=abc\n# ends with \\", OK, "abc"},
        {"node.id=3\nversion=1\ncluster.id=abc\nkey\\", OK, "abc"},
        {"node.id=3\nversion=1\ncluster.id=abc\nempty", OK, "abc"},
        {"node.id=3\nbroker.id=x\nversion=1\ncluster.id=abc", OK, "abc"},
        {"node.id=3\nversion=1\ncluster.id=\\u00e", ERR_FORMAT, NULL},
        {"node.id=3\nversion=-1\ncluster.id=abc", ERR_FORMAT, NULL},
        {"node.id=3\nversion=one\ncluster.id=abc", ERR_FORMAT, NULL},
        {"node.id=-2\nversion=1\ncluster.id=abc", ERR_FORMAT, NULL},
        {"node.id=3\nversion=1\ncluster.id=abc\n\\u=1", ERR_FORMAT, NULL},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct meta_properties properties;
        struct arena arena;
        struct why why = {""};
        struct bench bench;
        enum err err;

        bench_prepare(&bench, 3, 1);
        bench_file_put(&bench, META, slice_from_text(cases[i].text));
        arena_init(&arena, &heap_allocator, SIZE_MAX);
        err = meta_properties_read(bench.os, "/data", &arena, &properties, &why);
        if (err != cases[i].err)
            fail_msg("case %zu: %s", i, err_name(err));
        if (err == OK && !slice_equal_text(properties.cluster_id, cases[i].cluster_id))
            fail_msg("case %zu: %.*s", i, (int)properties.cluster_id.size_bytes,
                     (const char *)properties.cluster_id.data);
        arena_release(&arena);
        bench_close(&bench);
    }
}

/* ---- partition.metadata ---- */

static void a_topic_id_is_read_from_one_form_alone(void **state)
{
    static char large[5000];
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", OK},
        {"version:\t 0\ntopic_id:\tAAAAAAAAAAAAAAAAAAAABQ\r\n", OK},
        {"", ERR_FORMAT},
        {"version: 0", ERR_FORMAT},
        {"versio\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version:\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version =0\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version:0\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version: x\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version: -1\ntopic_id: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version: 0\nid: AAAAAAAAAAAAAAAAAAAABQ", ERR_FORMAT},
        {"version: 0\ntopic_id: ", ERR_FORMAT},
        {"version: 0\ntopic_id: AAAA", ERR_FORMAT},
        {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", ERR_FORMAT},
        {large, ERR_FORMAT},
    };
    struct bench bench;
    struct uuid id;

    memset(large, 'x', sizeof large - 1);
    bench_prepare(&bench, 4, 1);
    OKAY(partition_metadata_read(bench.os, "/data", &id));
    assert_true(uuid_is_zero(id));
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        bench_file_put(&bench, "/data/partition.metadata", slice_from_text(cases[i].text));
        if (partition_metadata_read(bench.os, "/data", &id) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
        if (cases[i].err == OK)
            assert_int_equal(id.bytes[15], 5);
    }
    bench_close(&bench);
}

/* ---- the clean marker ---- */

static void a_marker_tells_its_epoch_or_none(void **state)
{
    static char large[5000];
    static const struct {
        const char *text;
        int64_t epoch;
    } cases[] = {
        {"{\"version\":0,\"brokerEpoch\":7}", 7},
        {"{ \"version\" : 0, \"brokerEpoch\" : -3 }", -3},
        {"\"brokerEpoch\":7,\"version\":0", 7},
        {"", -1},
        {"{\"version\":0}", -1},
        {"{\"version\":1,\"brokerEpoch\":7}", -1},
        {"{\"version\":x,\"brokerEpoch\":7}", -1},
        {"{\"version\":0,\"brokerEpoch\":", -1},
        {"{\"version\":0,\"brokerEpoch\"::: ", -1},
        {"{\"versionX:0,\"brokerEpoch\":7}", -1},
        {"{\"version\":0,\"brokerEpoch\":1/", 1},
        {large, -1},
    };
    struct bench bench;
    int64_t epoch;
    bool present;

    memset(large, 'x', sizeof large - 1);
    bench_prepare(&bench, 5, 1);
    OKAY(clean_marker_read(bench.os, "/data", &present, &epoch));
    assert_false(present);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        bench_file_put(&bench, "/data/.kafka_cleanshutdown", slice_from_text(cases[i].text));
        OKAY(clean_marker_read(bench.os, "/data", &present, &epoch));
        assert_true(present);
        if (epoch != cases[i].epoch)
            fail_msg("case %zu: %lld", i, (long long)epoch);
    }
    bench_close(&bench);
}

/* ---- checkpoints ---- */

static void a_checkpoint_has_as_many_lines_as_it_says(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        size_t count;
    } cases[] = {
        {"", OK, 0},
        {"0", OK, 0},
        {"0\n0\n", OK, 0},
        {"0\n2\na 0 5\nb 1 6\n", OK, 2},
        {"0\r\n2\r\na\t0  5 \r\nb 1 6", OK, 2},
        {"0\r2\ra 0 5\rb 1 6\r", OK, 2},
        {"1\n0\n", ERR_FORMAT, 0},
        {"x\n0\n", ERR_FORMAT, 0},
        {"0\nx\n", ERR_FORMAT, 0},
        {"0\n-1\n", ERR_FORMAT, 0},
        {"0\n1\n", ERR_FORMAT, 0},
        {"0\n1\na 0\n", ERR_FORMAT, 0},
        {"0\n1\na 0 5 6\n", ERR_FORMAT, 0},
        {"0\n1\na x 5\n", ERR_FORMAT, 0},
        {"0\n1\na -1 5\n", ERR_FORMAT, 0},
        {"0\n1\na 0 x\n", ERR_FORMAT, 0},
        {"0\n1\na 0 -5\n", ERR_FORMAT, 0},
    };
    struct bench bench;

    bench_prepare(&bench, 6, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct offset_map map;
        int64_t offset;

        offset_map_init(&map);
        bench_file_put(&bench, "/data/checkpoint", slice_from_text(cases[i].text));
        if (offset_checkpoint_read(bench.os, "/data/checkpoint", &map) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
        if (cases[i].count == 2) {
            assert_true(offset_map_get(&map, SLICE("a"), 0, &offset));
            assert_int_equal(offset, 5);
            assert_true(offset_map_get(&map, SLICE("b"), 1, &offset));
            assert_int_equal(offset, 6);
            assert_false(offset_map_get(&map, SLICE("a"), 1, &offset));
            assert_false(offset_map_get(&map, SLICE("c"), 1, &offset));
        }
        offset_map_release(&map);
    }
    bench_close(&bench);
}

static void partitions_of_one_topic_and_topics_of_one_number_are_kept_apart(void **state)
{
    struct offset_map map;
    int64_t offset;
    char topic[16];

    offset_map_init(&map);
    for (int i = 0; i < 40; i++)
        for (int32_t partition = 0; partition < 40; partition++)
            OKAY(offset_map_put(&map, slice_of(topic, fmt(topic, sizeof topic, "t%d", i)),
                                partition, i * 100 + partition));
    for (int i = 0; i < 40; i++)
        for (int32_t partition = 0; partition < 40; partition++) {
            assert_true(offset_map_get(&map, slice_of(topic, fmt(topic, sizeof topic, "t%d", i)),
                                       partition, &offset));
            assert_int_equal(offset, i * 100 + partition);
        }
    offset_map_release(&map);
    UNUSED(state);
}

static void an_epoch_file_of_another_form_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        size_t count;
    } cases[] = {
        {"0\n2\n0 0\n3 7\n", OK, 2},      {"0\n2\n3 7\n0 9\n", OK, 1},
        {"0\n1\nx 0\n", ERR_FORMAT, 0},   {"0\n1\n0 x\n", ERR_FORMAT, 0},
        {"0\n1\n-1 0\n", ERR_FORMAT, 0},  {"0\n1\n0 -1\n", ERR_FORMAT, 0},
        {"0\n1\n0 0 0\n", ERR_FORMAT, 0}, {"0\n2\n3 9\n3 7\n", OK, 1},
    };
    struct bench bench;

    bench_prepare(&bench, 7, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct epoch_cache cache = {0};

        bench_file_put(&bench, "/data/epochs", slice_from_text(cases[i].text));
        if (epoch_cache_read(&cache, bench.os, "/data/epochs") != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
        if (cases[i].err == OK)
            assert_int_equal(cache.count, cases[i].count);
        epoch_cache_release(&cache);
    }
    bench_close(&bench);
}

static void epochs_that_are_not_known_have_no_end(void **state)
{
    struct epoch_cache cache = {0};
    int32_t epoch;
    int64_t end_offset;

    epoch_cache_clear(&cache);
    assert_false(cache.dirty);
    epoch_cache_end(&cache, 3, 100, &epoch, &end_offset);
    assert_int_equal(epoch, -1);
    epoch_cache_assign(&cache, -1, 5); /* a batch without an epoch */
    assert_int_equal(cache.count, 0);
    epoch_cache_assign(&cache, 4, 10);
    epoch_cache_assign(&cache, 6, 20);
    assert_int_equal(epoch_cache_of(&cache, 9), -1);
    assert_int_equal(epoch_cache_of(&cache, 10), 4);
    epoch_cache_end(&cache, -1, 100, &epoch, &end_offset);
    assert_int_equal(end_offset, -1);
    epoch_cache_assign(&cache, 6, 15); /* it began earlier than was known */
    assert_int_equal(epoch_cache_of(&cache, 15), 6);
    epoch_cache_clear(&cache);
    assert_int_equal(cache.count, 0);
    epoch_cache_release(&cache);
    UNUSED(state);
}

/* ---- names ---- */

static void names_of_other_things_are_no_partitions(void **state)
{
    static const char *const names[] = {"t-0.0123456789abcdef0123456789abcde.-delete",
                                        "t-0.0123456789abcdef0123456789abcdeg-delete",
                                        "t-0.0123456789abcdef0123456789abcde:-delete",
                                        "t-0.0123456789abcdef0123456789abcde@-delete",
                                        "t-0.0123456789abcdef0123456789abcde/-delete",
                                        "t-0.0123456789abcdef0123456789abcde`-delete",
                                        ".0123456789abcdef0123456789abcdef-delete",
                                        "-delete",
                                        "t",
                                        "t-"};
    struct log_name name;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(log_name_parse(slice_from_text(names[i]), &name), ERR_FORMAT);
    OKAY(log_name_parse(SLICE("t-0.0123456789ABCDEF0123456789abcdef-stray"), &name));
    assert_int_equal(name.kind, LOG_NAME_STRAY);
    UNUSED(state);
}

static void a_file_name_is_an_offset_and_a_suffix(void **state)
{
    int64_t offset;
    const char *suffix;

    assert_true(file_name_parse("9223372036854775807.log", &offset, &suffix));
    assert_int_equal(offset, INT64_MAX);
    assert_string_equal(suffix, ".log");
    assert_false(file_name_parse("9223372036854775808.log", &offset, &suffix));
    assert_false(file_name_parse("99999999999999999999.log", &offset, &suffix));
    assert_false(file_name_parse(".log", &offset, &suffix));
    assert_false(file_name_parse("12log", &offset, &suffix));
    assert_false(file_name_parse("12/log", &offset, &suffix));
    UNUSED(state);
}

/* ---- indexes ---- */

static void an_offset_index_rises_or_is_none(void **state)
{
    struct offset_index index;
    static const uint8_t good[16] = {[3] = 1, [7] = 0, [11] = 5, [15] = 90};
    uint8_t bytes[16];

    assert_true(offset_index_decode(slice_of(good, 16), 91, &index));
    assert_int_equal(index.count, 2);
    offset_index_release(&index);
    assert_false(offset_index_decode(slice_of(good, 15), 91, &index));
    assert_false(offset_index_decode(slice_of(good, 16), 90, &index)); /* beyond the log */
    memcpy(bytes, good, 16);
    bytes[11] = 1;
    assert_false(offset_index_decode(slice_of(bytes, 16), 91, &index));
    memcpy(bytes, good, 16);
    bytes[15] = 0;
    assert_false(offset_index_decode(slice_of(bytes, 16), 91, &index));
    UNUSED(state);
}

static void a_time_index_does_not_fall_or_is_none(void **state)
{
    struct time_index index;
    struct time_index_entry entry;
    static const uint8_t good[24] = {[7] = 10, [11] = 1, [19] = 20, [23] = 5};
    uint8_t bytes[24];

    assert_true(time_index_decode(slice_of(good, 24), &index));
    assert_int_equal(index.count, 2);
    assert_int_equal(time_index_find(&index, 9, &entry), INDEX_BEFORE);
    assert_int_equal(time_index_find(&index, 19, &entry), INDEX_FOUND);
    assert_int_equal(entry.timestamp, 10);
    index.first = 1; /* the first one is not in memory */
    index.items[0] = index.items[1];
    assert_int_equal(time_index_find(&index, 19, &entry), INDEX_NOT_LOADED);
    time_index_release(&index);
    assert_false(time_index_decode(slice_of(good, 23), &index));
    for (size_t at = 0; at < 3; at++) {
        static const struct {
            size_t at;
            uint8_t value;
        } changes[] = {{19, 9}, {23, 0}, {20, 0x80}};

        memcpy(bytes, good, 24);
        bytes[changes[at].at] = changes[at].value;
        assert_false(time_index_decode(slice_of(bytes, 24), &index));
    }
    UNUSED(state);
}

static void a_transaction_index_rises_or_is_corrupt(void **state)
{
    struct transaction_index index;
    struct bench bench;
    uint8_t bytes[68] = {0};

    bench_prepare(&bench, 8, 1);
    bench_file_put(&bench, "/data/x.txnindex", slice_of(bytes, 33));
    assert_int_equal(transaction_index_read(bench.os, "/data/x.txnindex", 0, 100, &index),
                     ERR_CORRUPT);
    transaction_index_release(&index);
    bench_close(&bench);
}

/* ---- the table of keys ---- */

static void a_table_of_keys_has_room_for_two_at_least(void **state)
{
    const struct key_map_options options = {
        .expected_keys = 1000, .limit_bytes = 1, .load_factor = 7.0};
    struct key_map map;
    int64_t taken = 0;

    OKAY(key_map_open(&map, &options));
    for (int64_t i = 0; i < 10; i++) {
        char key = (char)('a' + i);

        taken += key_map_put(&map, key_map_hash(&map, slice_of(&key, 1)), i);
    }
    assert_in_range(taken, 1, 2);
    key_map_release(&map);
    key_map_release(&map); /* fine when it is empty */
    UNUSED(state);
}

static void a_load_factor_below_nothing_counts_as_nothing(void **state)
{
    const struct key_map_options options = {
        .expected_keys = 1, .limit_bytes = 1000, .load_factor = -1.0};
    struct key_map map;

    OKAY(key_map_open(&map, &options));
    assert_true(key_map_utilization(&map) >= 0.0);
    key_map_release(&map);
    UNUSED(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_keep_what_java_escapes),
        cmocka_unit_test(properties_without_a_cluster_or_a_node_are_written_without_them),
        cmocka_unit_test(unusual_lines_of_properties_are_read_as_java_reads_them),
        cmocka_unit_test(a_topic_id_is_read_from_one_form_alone),
        cmocka_unit_test(a_marker_tells_its_epoch_or_none),
        cmocka_unit_test(a_checkpoint_has_as_many_lines_as_it_says),
        cmocka_unit_test(partitions_of_one_topic_and_topics_of_one_number_are_kept_apart),
        cmocka_unit_test(an_epoch_file_of_another_form_is_refused),
        cmocka_unit_test(epochs_that_are_not_known_have_no_end),
        cmocka_unit_test(names_of_other_things_are_no_partitions),
        cmocka_unit_test(a_file_name_is_an_offset_and_a_suffix),
        cmocka_unit_test(an_offset_index_rises_or_is_none),
        cmocka_unit_test(a_time_index_does_not_fall_or_is_none),
        cmocka_unit_test(a_transaction_index_rises_or_is_corrupt),
        cmocka_unit_test(a_table_of_keys_has_room_for_two_at_least),
        cmocka_unit_test(a_load_factor_below_nothing_counts_as_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
