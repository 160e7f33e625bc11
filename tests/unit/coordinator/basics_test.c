/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all coordinators have in common: partitions of keys, errors, effects. groups.md §1 of the
 * reference.
 */
#include "support.h"

static void keys_are_hashed_as_java_hashes_strings(void **state)
{
    static const struct {
        const char *key;
        int32_t partition;
    } rows[] = {
        {"", 0},
        {"abc", 4},
        {"my-group", 12},
        {"polygenelubricants", 0}, /* the hash that has no absolute value */
        {"console-consumer-12345", 6},
        {"gr\xc3\xb6\xc3\x9f"
         "e",
         7},
        {"\xf0\x9f\x98\x80", 49}, /* a pair of surrogates */
        {"a\xff"
         "b",
         38},                 /* broken: one U+FFFD */
        {"\xe2\x82", 33},     /* cut off: one for what is there */
        {"\xed\xa0\x80", 33}, /* half of a pair: one for all of it */
        {"\xc0\x80", 6},      /* overlong: one for each byte */
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (coordinator_partition_of(text(rows[i].key), 50) != rows[i].partition)
            fail_msg("row %zu: %d", i, coordinator_partition_of(text(rows[i].key), 50));
    for (int32_t count = 1; count < 100; count++)
        assert_in_range(coordinator_partition_of(SLICE("group"), count), 0, count - 1);
}

static void errors_of_the_write_path_become_those_of_a_coordinator(void **state)
{
    static const struct {
        enum err from, to;
    } rows[] = {
        {OK, OK},
        {ERR_UNKNOWN_TOPIC_OR_PARTITION, ERR_COORDINATOR_NOT_AVAILABLE},
        {ERR_NOT_ENOUGH_REPLICAS, ERR_COORDINATOR_NOT_AVAILABLE},
        {ERR_REQUEST_TIMED_OUT, ERR_COORDINATOR_NOT_AVAILABLE},
        {ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_COORDINATOR},
        {ERR_KAFKA_STORAGE_ERROR, ERR_NOT_COORDINATOR},
        {ERR_IO, ERR_NOT_COORDINATOR},
        {ERR_DISK_FULL, ERR_NOT_COORDINATOR},
        {ERR_MESSAGE_TOO_LARGE, ERR_UNKNOWN_SERVER_ERROR},
        {ERR_RECORD_LIST_TOO_LARGE, ERR_UNKNOWN_SERVER_ERROR},
        {ERR_INVALID_FETCH_SIZE, ERR_UNKNOWN_SERVER_ERROR},
        {ERR_TOO_LARGE, ERR_UNKNOWN_SERVER_ERROR},
        {ERR_NETWORK_EXCEPTION, ERR_COORDINATOR_LOAD_IN_PROGRESS},
        {ERR_NOT_COORDINATOR, ERR_NOT_COORDINATOR},
        {ERR_INVALID_REQUEST, ERR_INVALID_REQUEST},
    };

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(coordinator_error(rows[i].from), rows[i].to);
}

static void effects_keep_their_order_while_they_grow(void **state)
{
    struct coordinator_effects effects;
    struct arena arena;

    UNUSED(state);
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    coordinator_effects_init(&effects, &arena);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(coordinator_effects_record(&effects, SLICE("k"), slice_of("v", i % 2)),
                         OK);
        assert_int_equal(coordinator_effects_reply(&effects, i, &effects, i % 3 == 0), OK);
    }
    assert_int_equal(effects.record_count, 100);
    assert_int_equal(effects.reply_count, 100);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(effects.replies[i - 1].token, i);
        assert_int_equal(effects.records[i - 1].value.size_bytes, i % 2);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_hashed_as_java_hashes_strings),
        cmocka_unit_test(errors_of_the_write_path_become_those_of_a_coordinator),
        cmocka_unit_test(effects_keep_their_order_while_they_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
