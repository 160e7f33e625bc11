/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of __transaction_state, read and written: rules of transactions.md §3 of the reference.
 */
#include "transaction_support.h"

static int16_t version_of_last(const struct fixture *fixture)
{
    const uint8_t *value = fixture->log[fixture->log_count - 1].value.data;

    return (int16_t)(value[0] << 8 | value[1]);
}

static void the_version_of_values_is_that_of_the_cluster(void **state)
{
    static const struct {
        int16_t level, version;
    } rows[] = {{0, 0}, {1, 1}, {2, 1}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        fixture_level(fixture, rows[i].level);
        init_ok(fixture, NULL);
        assert_int_equal(version_of_last(fixture), rows[i].version);
    }
}

static void an_id_is_written_as_kafka_writes_it(void **state)
{
    static const uint8_t key[] = {0, 0, 0, 1, 'x'};
    static const uint8_t value[] = {
        0,    1,                                                   /* version */
        0,    0,    0,    0,    0,    0,    3,    232,             /* producer id 1000 */
        0,    0,                                                   /* epoch */
        0,    0,    0xea, 0x60,                                    /* timeout */
        0,                                                         /* Empty */
        0,                                                         /* partitions: null */
        0,    0,    1,    0x8b, 0xcf, 0xe5, 0x68, 0,               /* updated */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,            /* not started */
        1,    0,    8,    0,    0,    0,    0,    0,    0, 3, 232, /* previous producer id, tag 0 */
    };
    struct fixture *fixture = *state;

    init_ok(fixture, NULL);
    assert_true(slice_equal(fixture->log[0].key, slice_of(key, sizeof key)));
    assert_true(slice_equal(fixture->log[0].value, slice_of(value, sizeof value)));
}

static void a_transaction_goes_on_in_old_value_format(void **state)
{
    struct fixture *fixture = *state;
    struct identity me;

    fixture_level(fixture, 0);
    me = init_ok(fixture, NULL);
    assert_code(add(fixture, (struct add){.producer = me}), OK);
    fixture_load(fixture);
    assert_code(end_transaction(fixture, (struct end){.producer = me, .commit = true}, NULL), OK);
    assert_string_equal(describe(fixture, NULL), "CompleteCommit 1000/0");
    fixture_check_replay(fixture, false);
    fixture->log_count = 0; /* teardown compares what these values do not have */
    fixture_load(fixture);
}

static void a_tombstone_removes_the_id(void **state)
{
    struct transaction_log_value value = log_value(3);

    fixture_log(*state, "x", 1, &value);
    assert_string_equal(describe(*state, NULL), "Empty 7/3");
    fixture_log(*state, "x", 1, NULL);
    assert_string_equal(describe(*state, NULL), "TRANSACTIONAL_ID_NOT_FOUND");
    fixture_log(*state, "never", 1, NULL);
}

static enum err replay_bytes(struct fixture *fixture, struct slice key, struct slice value)
{
    struct coordinator_record record = {key, value};
    struct why why = {""};
    enum err err;

    transaction_coordinator_release(&fixture->coordinator);
    assert_int_equal(transaction_coordinator_create(fixture->allocator, &fixture->options, 0,
                                                    &fixture->logger, &fixture->coordinator),
                     OK);
    err = transaction_coordinator_replay(fixture->coordinator, &record, 0, &why);
    assert_true(err == OK || why.text[0] != 0);
    return err;
}

static void what_is_not_known_is_passed_over_with_a_warning(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t other_key[] = {0, 1, 9}, key[] = {0, 0, 0, 1, 'x'}, value[] = {0, 2, 1};

    assert_int_equal(replay_bytes(fixture, slice_of(other_key, 3), SLICE_NULL), OK);
    assert_non_null(strstr(fixture->log_text, "transaction_record_passed_over key_type=1"));
    assert_int_equal(replay_bytes(fixture, slice_of(key, 5), slice_of(value, 3)), OK);
    assert_non_null(strstr(fixture->log_text, "value_version=2"));
    assert_int_equal(fixture->coordinator->transactions.count, 0);
}

static void broken_records_are_told(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t key[] = {0, 0, 0, 1, 'x'};
    uint8_t bytes[64];

    assert_int_equal(replay_bytes(fixture, SLICE_NULL, SLICE_NULL), ERR_CORRUPT);
    assert_int_equal(replay_bytes(fixture, slice_of(key, 1), SLICE_NULL), ERR_CORRUPT);
    assert_int_equal(replay_bytes(fixture, slice_of(key, 4), SLICE_NULL), ERR_CORRUPT);
    assert_int_equal(replay_bytes(fixture, slice_of(key, 5), SLICE_EMPTY), ERR_CORRUPT);
    for (int i = 0; i < 10; i++) {
        struct transaction_log_value value = log_value(3);
        struct writer writer;
        enum err told;

        if (i == 1)
            value.transaction_status = 6;
        else if (i == 2)
            value.transaction_status = -1;
        else if (i == 3)
            value.producer_id = -1;
        else if (i == 4)
            value.producer_epoch = -1;
        else if (i == 5)
            value.client_transaction_version = 3;
        else if (i == 6)
            value.transaction_status = TRANSACTION_ONGOING; /* without partitions */
        else if (i == 7)
            value.next_producer_id = -2;
        else if (i == 8)
            value.client_transaction_version = -1;
        writer_init_fixed(&writer, bytes, sizeof bytes);
        writer_i16(&writer, 1);
        assert_int_equal(message_encode(&transaction_log_value_type, 1, &value, &writer), OK);
        told = replay_bytes(fixture, slice_of(key, 5),
                            slice_sub(writer_slice(&writer), 0, i == 9 ? 20 : SIZE_MAX));
        if (told != (i == 0 ? OK : ERR_CORRUPT))
            fail_msg("row %d: %s", i, err_name(told));
    }
}

static void what_is_loaded_and_not_committed_waits(void **state)
{
    struct fixture *fixture = *state;
    uint64_t init, end;

    init_ok(fixture, NULL);
    fixture->hold_commits = true;
    fixture->committed_end = 0;
    fixture_load(fixture);
    assert_string_equal(describe(fixture, NULL), "Empty 1000/0");
    init = send_init(fixture, (struct init){0});
    end = send_end(fixture, (struct end){.producer = {1000, 0}, .version = 2});
    assert_int_equal(init_code(fixture, init, NULL), -2);
    fixture_commit(fixture);
    assert_code(init_code(fixture, init, NULL), OK);
    assert_code(end_code(fixture, end, NULL), ERR_PRODUCER_FENCED);
}

static void duplicate_partitions_of_a_record_count_once(void **state)
{
    struct fixture *fixture = *state;
    struct transaction_log_value_partitions_schema topics[2];
    struct transaction_log_value value = log_value(3);
    int32_t indexes[] = {2, 1, 2};

    for (int i = 0; i < 2; i++) {
        transaction_log_value_partitions_schema_init(&topics[i]);
        topics[i].topic = text("t");
        topics[i].partition_ids = indexes;
        topics[i].partition_ids_count = 3;
    }
    value.transaction_status = TRANSACTION_ONGOING;
    value.transaction_start_timestamp_ms = fixture->moment.wall_ms;
    value.transaction_partitions = topics;
    value.transaction_partitions_count = 2;
    fixture_log(fixture, "x", 1, &value);
    assert_string_equal(describe(fixture, NULL), "Ongoing 7/3 t-1 t-2");
}

static void times_out_of_range_in_the_log_do_no_harm(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t times[] = {INT64_MIN, -1, INT64_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        struct transaction_log_value value = log_value(3);

        value.transaction_status = TRANSACTION_ONGOING;
        value.transaction_partitions_count = 0;
        value.transaction_start_timestamp_ms = times[i];
        value.transaction_last_update_timestamp_ms = times[i];
        value.transaction_timeout_ms = INT32_MIN;
        fixture_log(fixture, "x", 1, &value);
        fixture_advance(fixture, 20000);
        assert_non_null(strstr(describe(fixture, NULL), "CompleteAbort"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(the_version_of_values_is_that_of_the_cluster),
        ROW(an_id_is_written_as_kafka_writes_it),
        ROW(a_transaction_goes_on_in_old_value_format),
        ROW(a_tombstone_removes_the_id),
        ROW(what_is_not_known_is_passed_over_with_a_warning),
        ROW(broken_records_are_told),
        ROW(what_is_loaded_and_not_committed_waits),
        ROW(duplicate_partitions_of_a_record_count_once),
        ROW(times_out_of_range_in_the_log_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
