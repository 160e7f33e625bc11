/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing, header fields, in-place changes, CRC.
 */
#include "support.h"

#include "records/crc32c.h"

static void crc32c_has_its_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32c(SLICE("123456789")), 0xe3069283);
    assert_int_equal(crc32c(SLICE_EMPTY), 0);
}

static void crc32c_agrees_with_the_table_at_every_length_and_alignment(void **state)
{
    struct random random;
    uint8_t bytes[2100];

    (void)state;
    random_init(&random, test_seed());
    random_fill(&random, bytes, sizeof bytes);
    for (size_t size = 0; size < 300; size++)
        for (size_t from = 0; from < 9; from++)
            assert_int_equal(crc32c(slice_of(bytes + from, size)),
                             crc32c_by_table(slice_of(bytes + from, size)));
    for (int i = 0; i < 200; i++) {
        size_t cut = (size_t)random_below(&random, sizeof bytes + 1);

        assert_int_equal(
            crc32c_extend(crc32c(slice_of(bytes, cut)), slice_of(bytes + cut, sizeof bytes - cut)),
            crc32c_by_table(slice_of(bytes, sizeof bytes)));
    }
}

struct sequence_case {
    int32_t from, step, sum;
};

static void sequences_wrap_to_zero(void **state)
{
    static const struct sequence_case cases[] = {
        {0, 0, 0},
        {0, 1, 1},
        {INT32_MAX, 0, INT32_MAX},
        {INT32_MAX, 1, 0},
        {INT32_MAX, 10, 9},
        {INT32_MAX - 5, 5, INT32_MAX},
        {INT32_MAX - 5, 6, 0},
        {INT32_MAX, INT32_MAX, INT32_MAX - 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(sequence_add(cases[i].from, cases[i].step), cases[i].sum);
        assert_int_equal(sequence_subtract(cases[i].sum, cases[i].step), cases[i].from);
    }
}

struct frame_case {
    const char *name;
    size_t at_hand; /* bytes shown; 0: all */
    int32_t length; /* put into batchLength; 0: as is */
    int magic;      /* -1: as is */
    enum batch_frame frame;
    bool knows_size;
};

static void framing_is_that_of_kafkas_memory_reader(void **state)
{
    static const struct frame_case cases[] = {
        {"whole", 0, 0, -1, BATCH_FRAME_WHOLE, true},
        {"eleven bytes", 11, 0, -1, BATCH_FRAME_PARTIAL, false},
        {"twelve bytes", 12, 0, -1, BATCH_FRAME_PARTIAL, true},
        {"sixteen bytes", 16, 0, -1, BATCH_FRAME_PARTIAL, true},
        {"sixteen bytes, impossible length", 16, 5, -1, BATCH_FRAME_PARTIAL, false},
        {"seventeen bytes", 17, 0, -1, BATCH_FRAME_PARTIAL, true},
        {"length 13", 0, 13, -1, BATCH_FRAME_CORRUPT, false},
        {"length 14", 0, 14, -1, BATCH_FRAME_WHOLE, true},
        {"length -1", 0, -1, -1, BATCH_FRAME_CORRUPT, false},
        {"length most negative", 0, INT32_MIN, -1, BATCH_FRAME_CORRUPT, false},
        {"length largest", 0, INT32_MAX, -1, BATCH_FRAME_PARTIAL, true},
        {"magic 0", 0, 0, 0, BATCH_FRAME_WHOLE, true},
        {"magic 1", 0, 0, 1, BATCH_FRAME_WHOLE, true},
        {"magic 3", 0, 0, 3, BATCH_FRAME_CORRUPT, false},
        {"magic -1", 0, 0, 255, BATCH_FRAME_CORRUPT, false},
    };
    struct bench *bench = *state;
    struct spec spec;

    spec_init(&spec);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct frame_case *c = &cases[i];
        size_t size, told;
        uint8_t *batch = bench_batch(bench, &spec, &size);

        if (c->length != 0)
            batch_put(batch, 8, 4, c->length);
        if (c->magic >= 0)
            batch[16] = (uint8_t)c->magic;
        if (batch_peek(slice_of(batch, c->at_hand ? c->at_hand : size), &told) != c->frame ||
            (told != 0) != c->knows_size)
            fail_msg("%s", c->name);
        free(batch);
    }
}

static void batches_are_cut_off_one_by_one_and_a_torn_tail_is_left(void **state)
{
    struct bench *bench = *state;
    struct spec spec;
    size_t size;
    uint8_t *one, *two;
    struct slice rest, batch;

    spec_init(&spec);
    one = bench_batch(bench, &spec, &size);
    two = malloc(3 * size);
    for (int i = 0; i < 3; i++)
        memcpy(two + (size_t)i * size, one, size);
    rest = slice_of(two, 3 * size - 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(batch_next(&rest, &batch), OK);
        assert_int_equal(batch.size_bytes, size);
        assert_true(batch_is_valid(batch));
    }
    assert_int_equal(batch_next(&rest, &batch), OK);
    assert_int_equal(batch.size_bytes, 0);
    assert_int_equal(rest.size_bytes, size - 1);
    free(one);
    free(two);
}

static void every_header_field_is_read_back(void **state)
{
    struct bench *bench = *state;
    struct batch_header header;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    spec.options.base_offset = 0x0102030405060708LL;
    spec.options.leader_epoch = 0x11121314;
    spec.options.producer_id = 0x2122232425262728LL;
    spec.options.producer_epoch = 0x3132;
    spec.options.base_sequence = INT32_MAX;
    spec.options.transactional = true;
    batch = bench_batch(bench, &spec, &size);
    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    assert_true(header.base_offset == 0x0102030405060708LL);
    assert_int_equal(batch_size_bytes(&header), size);
    assert_int_equal(header.leader_epoch, 0x11121314);
    assert_int_equal(header.magic, 2);
    assert_true(batch_last_offset(&header) == 0x010203040506070aLL);
    assert_true(batch_next_offset(&header) == 0x010203040506070bLL);
    assert_true(header.base_timestamp == T0 && header.max_timestamp == T0 + 20);
    assert_true(header.producer_id == 0x2122232425262728LL);
    assert_int_equal(header.producer_epoch, 0x3132);
    assert_int_equal(header.base_sequence, INT32_MAX);
    assert_int_equal(batch_last_sequence(&header), 1);
    assert_int_equal(header.record_count, 3);
    assert_true(batch_is_transactional(&header) && !batch_is_control(&header));
    free(batch);
}

static void stamping_leaves_the_crc_alone(void **state)
{
    struct bench *bench = *state;
    struct batch_header header;
    struct spec spec;
    size_t size;
    uint8_t *batch, *before;

    spec_init(&spec);
    batch = bench_batch(bench, &spec, &size);
    before = malloc(size);
    memcpy(before, batch, size);
    assert_true(batches_stamp(batch, size, 1000, 7) == 1003);
    assert_true(batch_is_valid(slice_of(batch, size)));
    assert_memory_equal(batch + 16, before + 16, size - 16);
    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    assert_true(header.base_offset == 1000 && header.leader_epoch == 7);
    free(batch);
    free(before);
}

struct timestamp_case {
    uint8_t attributes;
    bool append_time;
    int64_t max_timestamp; /* relative to what is there */
    bool changes;
    uint8_t attributes_after;
};

static void max_timestamp_and_type_are_rewritten_with_the_crc_only_when_they_change(void **state)
{
    static const struct timestamp_case cases[] = {
        {0x00, false, 0, false, 0x00}, {0x00, false, 1, true, 0x00}, {0x00, true, 0, true, 0x08},
        {0x08, true, 0, false, 0x08},  {0x08, false, 0, true, 0x00}, {0x18, false, 0, true, 0x10},
        {0x80, false, 0, false, 0x80}, {0x80, false, 1, true, 0x00}, {0x48, true, 5, true, 0x48},
    };
    struct bench *bench = *state;
    struct spec spec;

    spec_init(&spec);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct timestamp_case *c = &cases[i];
        int64_t target = T0 + 20 + c->max_timestamp;
        struct batch_header header;
        size_t size;
        uint8_t *batch = bench_batch(bench, &spec, &size);

        batch_put(batch, 21, 2, c->attributes);
        batch_fix_crc(batch, size);
        assert_int_equal(batch_set_max_timestamp(batch, size, c->append_time, target), c->changes);
        assert_true(batch_is_valid(slice_of(batch, size)));
        assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
        assert_int_equal(header.attributes, c->attributes_after);
        assert_true(header.max_timestamp == target);
        free(batch);
    }
}

static void any_changed_byte_behind_the_crc_field_is_noticed(void **state)
{
    struct bench *bench = *state;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    batch = bench_batch(bench, &spec, &size);
    for (size_t at = 17; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            batch[at] ^= (uint8_t)(1 << bit);
            assert_false(batch_is_valid(slice_of(batch, size)));
            batch[at] ^= (uint8_t)(1 << bit);
        }
    assert_true(batch_is_valid(slice_of(batch, size)));
    free(batch);
}

static void a_batch_shorter_than_its_header_is_corrupt(void **state)
{
    struct bench *bench = *state;
    struct batch_header header;
    struct spec spec;
    size_t size;
    uint8_t *batch;

    spec_init(&spec);
    batch = bench_batch(bench, &spec, &size);
    for (size_t cut = 0; cut < BATCH_HEADER_BYTES; cut++) {
        if (cut >= BATCH_PREFIX_BYTES)
            batch_put(batch, 8, 4, (int64_t)cut - BATCH_PREFIX_BYTES);
        assert_int_equal(batch_header_read(slice_of(batch, cut), &header), ERR_CORRUPT_MESSAGE);
        assert_int_equal(batch_header_read_prefix(slice_of(batch, cut), &header),
                         ERR_CORRUPT_MESSAGE);
        assert_false(batch_is_valid(slice_of(batch, cut)));
    }
    free(batch);
}

static void old_formats_are_framed_and_checked(void **state)
{
    /* Magic 1: offset 9, timestamp T0, key "k", value "v"; its CRC-32 made by zlib. */
    struct batch_header header;
    uint8_t bytes[36] = {0};

    (void)state;
    batch_put(bytes, 0, 8, 9);
    batch_put(bytes, 8, 4, 24);
    bytes[16] = 1;
    batch_put(bytes, 18, 8, T0);
    batch_put(bytes, 26, 4, 1);
    bytes[30] = 'k';
    batch_put(bytes, 31, 4, 1);
    bytes[35] = 'v';
    batch_put(bytes, 12, 4, crc32_ieee(slice_of(bytes + 16, sizeof bytes - 16)));
    assert_true(batch_is_valid(slice_of(bytes, sizeof bytes)));
    assert_int_equal(batch_header_read(slice_of(bytes, sizeof bytes), &header), OK);
    assert_true(header.magic == 1 && header.max_timestamp == T0 && batch_last_offset(&header) == 9);
    assert_int_equal(header.leader_epoch, LEADER_EPOCH_NONE);
    assert_int_equal(header.record_count, BATCH_COUNT_UNKNOWN);
    assert_false(batch_has_producer(&header));
    bytes[35] = 'w';
    assert_false(batch_is_valid(slice_of(bytes, sizeof bytes)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_its_check_value),
        cmocka_unit_test(crc32c_agrees_with_the_table_at_every_length_and_alignment),
        cmocka_unit_test(sequences_wrap_to_zero),
        cmocka_unit_test(framing_is_that_of_kafkas_memory_reader),
        cmocka_unit_test(batches_are_cut_off_one_by_one_and_a_torn_tail_is_left),
        cmocka_unit_test(every_header_field_is_read_back),
        cmocka_unit_test(stamping_leaves_the_crc_alone),
        cmocka_unit_test(max_timestamp_and_type_are_rewritten_with_the_crc_only_when_they_change),
        cmocka_unit_test(any_changed_byte_behind_the_crc_field_is_noticed),
        cmocka_unit_test(a_batch_shorter_than_its_header_is_corrupt),
        cmocka_unit_test(old_formats_are_framed_and_checked),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
