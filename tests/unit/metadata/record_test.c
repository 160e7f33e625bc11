/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of records, feature levels, records of formatting (against bytes of Kafka 4.4).
 */
#include "support.h"

static void a_record_survives_the_way_through_bytes(void **state)
{
    struct metadata_record record;
    struct writer writer;
    struct bench bench;
    const struct topic_record *topic;

    (void)state;
    bench_start(&bench);
    bench_topic(&bench, "orders", 7);
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    assert_int_equal(metadata_record_encode(&bench.records.items[0], &writer), OK);
    assert_int_equal(
        metadata_record_decode(writer_slice(&writer), &bench.arena, &record, &bench.why), OK);
    assert_int_equal(record.type->key, METADATA_RECORD_TOPIC);
    topic = record.message;
    assert_true(slice_equal_text(topic->name, "orders"));
    assert_true(uuid_equal(topic->topic_id, id_of(7)));
    writer_release(&writer);
    bench_end(&bench);
}

static void a_record_that_is_not_known_in_full_is_refused(void **state)
{
    static const struct {
        struct slice bytes;
        const char *why;
    } cases[] = {
        {SLICE("\x00\x14\x00\x00"), "frame version 0"},
        {SLICE("\x02\x14\x00\x00"), "frame version 2"},
        {SLICE("\x01\x06\x00\x00"), "type 6 is not known"},
        {SLICE("\x01\x7f\x00\x00"), "type 127 is not known"},
        {SLICE("\x01\x14\x01\x00"), "version 1 of NoOpRecord"},
        {SLICE("\x01\x14\x00\x00\x00"), "1 bytes behind"},
        {SLICE("\x01\x14\x00"), "NoOpRecord version 0"},
        {SLICE("\x01\x14"), "frame"},
        {SLICE(""), "frame"},
        {SLICE("\x01\x80\x80\x02\x00"), "frame"}, /* above 32767 */
        {SLICE("\x01\xff\xff\xff\xff\xff\x01"), "frame"},
        {SLICE("\x01\x02\x00\xff\xff\xff\xff\x0f"), "TopicRecord"},
    };
    struct metadata_record record;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(metadata_record_decode(cases[i].bytes, &bench.arena, &record, &bench.why),
                         ERR_CORRUPT);
        assert_non_null(strstr(bench.why.text, cases[i].why));
    }
    assert_int_equal(
        metadata_record_decode(SLICE("\x01\x14\x00\x00"), &bench.arena, &record, &bench.why), OK);
    bench_end(&bench);
}

/* Values of the records that Kafka 4.4.0 wrote when it formatted a node. */
static void formatting_gives_kafkas_bytes(void **state)
{
    static const struct slice golden[] = {
        SLICE("\x01\x0c\x00\x11metadata.version\x00\x21\x00"),
        SLICE("\x01\x0c\x00\x21"
              "eligible.leader.replicas.version\x00\x01\x00"),
        SLICE("\x01\x0c\x00\x0egroup.version\x00\x01\x00"),
        SLICE("\x01\x0c\x00\x0eshare.version\x00\x02\x00"),
        SLICE("\x01\x0c\x00\x10streams.version\x00\x01\x00"),
        SLICE("\x01\x0c\x00\x14transaction.version\x00\x02\x00"),
    };
    struct metadata_record_list list;
    struct writer writer;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    assert_int_equal(metadata_bootstrap_records(METADATA_VERSION_LATEST, NULL, 0, &bench.arena,
                                                &list, &bench.why),
                     OK);
    assert_int_equal(list.count, ARRAY_COUNT(golden));
    writer_init(&writer, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < list.count; i++) {
        writer_reset(&writer);
        assert_int_equal(metadata_record_encode(&list.items[i], &writer), OK);
        assert_true(slice_equal(writer_slice(&writer), golden[i]));
    }
    writer_release(&writer);
    bench_end(&bench);
}

static void formatting_takes_levels_that_fit_together(void **state)
{
    struct feature_level group = {SLICE(FEATURE_GROUP_VERSION), 0};
    struct feature_level elr = {SLICE(FEATURE_ELR_VERSION), 1};
    struct feature_level high = {SLICE(FEATURE_SHARE_VERSION), 3};
    struct feature_level foreign = {SLICE("foreign.version"), 1};
    struct metadata_record_list list;
    struct bench bench;

    (void)state;
    bench_start(&bench);
    assert_int_equal(metadata_bootstrap_records(33, &group, 1, &bench.arena, &list, &bench.why),
                     OK);
    assert_int_equal(list.count, 5);
    assert_int_equal(metadata_bootstrap_records(7, NULL, 0, &bench.arena, &list, &bench.why), OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(metadata_bootstrap_records(22, &elr, 1, &bench.arena, &list, &bench.why),
                     ERR_INVALID_UPDATE_VERSION);
    assert_int_equal(metadata_bootstrap_records(23, &elr, 1, &bench.arena, &list, &bench.why), OK);
    assert_int_equal(metadata_bootstrap_records(33, &high, 1, &bench.arena, &list, &bench.why),
                     ERR_INVALID_UPDATE_VERSION);
    assert_int_equal(metadata_bootstrap_records(33, &foreign, 1, &bench.arena, &list, &bench.why),
                     ERR_INVALID_UPDATE_VERSION);
    assert_int_equal(metadata_bootstrap_records(6, NULL, 0, &bench.arena, &list, &bench.why),
                     ERR_INVALID_UPDATE_VERSION);
    bench_end(&bench);
}

static void levels_are_known_by_their_names(void **state)
{
    static const struct {
        const char *name;
        int16_t level;
    } cases[] = {
        {"3.3-IV3", 7},  {"3.3", 7},  {"3.3.2", 7}, {"4.0", 25},     {"4.0.1", 25},
        {"4.4-IV2", 33}, {"4.4", 33}, {"3.7", 19},  {"3.7-IV4", 19}, {"4.4.0-SNAPSHOT", 33},
        {"4.4-IV3", -1}, {"4.5", -1}, {"3.2", -1},  {"", -1},        {"4", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(metadata_version_from_name(slice_from_text(cases[i].name)),
                         cases[i].level);
    for (int16_t level = METADATA_VERSION_MIN; level <= METADATA_VERSION_MAX; level++)
        assert_int_equal(metadata_version_from_name(slice_from_text(metadata_version_name(level))),
                         level);
    assert_null(metadata_version_name(6));
    assert_null(metadata_version_name(34));
}

static void versions_follow_the_level(void **state)
{
    static const struct {
        int16_t level, broker, partition, change, fetch, offsets;
    } cases[] = {
        {7, 1, 0, 1, 13, 7},   {8, 2, 0, 1, 13, 7},   {9, 2, 0, 1, 14, 8},   {10, 2, 0, 1, 15, 8},
        {16, 2, 0, 1, 15, 8},  {17, 3, 1, 2, 15, 8},  {19, 3, 1, 2, 16, 8},  {21, 3, 1, 2, 17, 9},
        {22, 3, 1, 2, 17, 9},  {23, 3, 2, 2, 17, 9},  {25, 3, 2, 2, 17, 10}, {27, 3, 2, 2, 18, 10},
        {29, 3, 2, 2, 18, 11}, {30, 4, 2, 3, 18, 11}, {33, 4, 2, 3, 18, 11},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int16_t level = cases[i].level;

        assert_int_equal(register_broker_record_version(level), cases[i].broker);
        assert_int_equal(partition_record_version(level), cases[i].partition);
        assert_int_equal(partition_change_record_version(level), cases[i].partition);
        assert_int_equal(broker_registration_change_record_version(level), cases[i].change);
        assert_int_equal(metadata_version_fetch_version(level), cases[i].fetch);
        assert_int_equal(metadata_version_list_offsets_version(level), cases[i].offsets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_survives_the_way_through_bytes),
        cmocka_unit_test(a_record_that_is_not_known_in_full_is_refused),
        cmocka_unit_test(formatting_gives_kafkas_bytes),
        cmocka_unit_test(formatting_takes_levels_that_fit_together),
        cmocka_unit_test(levels_are_known_by_their_names),
        cmocka_unit_test(versions_follow_the_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
