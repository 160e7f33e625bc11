/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a run of batches before any record is looked at. */
#include "validate_support.h"

/* ---- scanning ---- */

static void trailing_bytes_are_cut_off_and_garbage_of_a_header_is_corrupt(void **state)
{
    struct bench *bench = *state;
    struct append_info info;
    struct spec spec;
    size_t size;
    uint8_t *batch, *bytes;

    spec_init(&spec);
    batch = bench_batch(bench, &spec, &size);
    bytes = calloc(1, size + 20);
    memcpy(bytes, batch, size);
    assert_int_equal(
        append_scan(slice_of(bytes, size + 16), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL), OK);
    assert_int_equal(info.valid_bytes, size);
    assert_int_equal(
        append_scan(slice_of(bytes, size + 17), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL),
        ERR_CORRUPT_MESSAGE);
    assert_int_equal(
        append_scan(slice_of(bytes, 10), APPEND_ORIGIN_CLIENT, 0, 1 << 20, &info, NULL), OK);
    assert_int_equal(info.valid_bytes, 0);
    free(batch);
    free(bytes);
}

/* Two batches, offsets first..+2 and second..+2, epochs as told. */
static uint8_t *pair(struct bench *bench, int64_t first, int32_t first_epoch, int64_t second,
                     int32_t second_epoch, size_t *size_out)
{
    struct spec spec;
    size_t size;
    uint8_t *a, *b;

    spec_init(&spec);
    a = bench_batch(bench, &spec, &size);
    b = malloc(2 * size);
    batch_stamp(a, first, first_epoch);
    memcpy(b, a, size);
    batch_stamp(a, second, second_epoch);
    memcpy(b + size, a, size);
    free(a);
    *size_out = 2 * size;
    return b;
}

struct given_case {
    enum append_origin origin;
    int64_t first, second;
    int32_t first_epoch, second_epoch;
    enum err expected;
    uint32_t batches;
    bool skipped;
};

static void given_offsets_must_rise_and_epochs_must_fit(void **state)
{
    static const struct given_case cases[] = {
        {APPEND_ORIGIN_REPLICATION, 10, 13, 7, 7, OK, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 20, 5, 7, OK, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 11, 7, 7, OK, 2, false}, /* last offsets rise: enough */
        {APPEND_ORIGIN_REPLICATION, 10, 10, 7, 7, ERR_STATE, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 5, 7, 7, ERR_STATE, 2, false},
        {APPEND_ORIGIN_REPLICATION, 10, 13, 7, 8, OK, 1, true},
        {APPEND_ORIGIN_REPLICATION, 10, 13, 8, 7, OK, 0, true}, /* all that follow are dropped */
        {APPEND_ORIGIN_REPLICATION, 10, 13, -1, 7, OK, 2, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 7, 7, OK, 2, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 7, 6, ERR_INVALID_RECORD, 1, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 13, 8, 8, ERR_INVALID_RECORD, 0, false},
        {APPEND_ORIGIN_RAFT_LEADER, 10, 9, 7, 7, ERR_STATE, 2, false},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct given_case *c = &cases[i];
        struct append_info info;
        size_t size;
        uint8_t *bytes = pair(bench, c->first, c->first_epoch, c->second, c->second_epoch, &size);
        enum err err = append_scan(slice_of(bytes, size), c->origin, 7, 1 << 20, &info, NULL);

        if (err != c->expected || info.batch_count != c->batches ||
            info.skipped_newer_epoch != c->skipped)
            fail_msg("row %zu: %s, %u batches", i, err_name(err), info.batch_count);
        if (err == OK && c->batches == 2) {
            assert_true(info.first_offset == c->first && info.last_offset == c->second + 2 &&
                        info.last_offset_of_first_batch == c->first + 2);
            assert_int_equal(info.last_leader_epoch, c->second_epoch);
            assert_int_equal(info.record_count, 6);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trailing_bytes_are_cut_off_and_garbage_of_a_header_is_corrupt),
        cmocka_unit_test(given_offsets_must_rise_and_epochs_must_fit),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
