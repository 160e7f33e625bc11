/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that Apache Kafka 4.4.0 wrote (tests/golden/records): read here, and written again by us.
 * Argument: the file.
 */
#include "support.h"

#include "base/arena.h"
#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/leader_change_message.h"
#include "protocol/generated/snapshot_footer_record.h"
#include "protocol/generated/snapshot_header_record.h"
#include "protocol/generated/voters_record.h"
#include "records/control_record.h"
#include "records/producer_state.h"

static const char *golden_path;

static uint8_t *golden(const char *name, size_t *size_out)
{
    static char line[8192];
    FILE *file = fopen(golden_path, "r");
    size_t length = strlen(name);

    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            fclose(file);
            return test_hex(line + length + 1, size_out);
        }
    fclose(file);
    fail_msg("%s is not in %s", name, golden_path);
    return NULL;
}

static void assert_golden(const char *name, struct slice got)
{
    size_t size;
    uint8_t *expected = golden(name, &size);

    if (got.size_bytes != size || memcmp(got.data, expected, size) != 0)
        fail_msg("%s: other bytes than Kafka's", name);
    free(expected);
}

/* The two records that every codec's batch holds. */
static void two_append(struct batch_builder *builder)
{
    struct record_header header = {SLICE("h"), SLICE("x")};
    struct batch_record first = {.timestamp = T0,
                                 .key = SLICE("k1"),
                                 .value = SLICE("v1"),
                                 .headers = &header,
                                 .header_count = 1};
    struct batch_record second = {.timestamp = T0 + 5, .key = SLICE_NULL, .value = SLICE("v2")};

    assert_int_equal(batch_builder_append(builder, &first), OK);
    assert_int_equal(batch_builder_append(builder, &second), OK);
}

struct codec_case {
    const char *name;
    enum compression codec;
    int level;
    bool same_bytes; /* tiny input leaves the library no choice */
};

static void every_codecs_batch_is_read_and_the_simple_ones_are_written_alike(void **state)
{
    static const struct codec_case cases[] = {
        {"none", COMPRESSION_NONE, 0, true},     {"gzip", COMPRESSION_GZIP, -1, false},
        {"snappy", COMPRESSION_SNAPPY, 0, true}, {"lz4", COMPRESSION_LZ4, 9, true},
        {"lz4-high", COMPRESSION_LZ4, 1, true},  {"zstd", COMPRESSION_ZSTD, 3, false},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct batch_builder builder;
        struct batch_options options;
        struct batch_header header;
        struct writer plain;
        struct slice batch;
        size_t size, plain_size;
        uint8_t *bytes = golden(cases[i].name, &size);
        uint8_t *records = golden("none", &plain_size);

        assert_true(batch_is_valid(slice_of(bytes, size)));
        assert_int_equal(batch_header_read(slice_of(bytes, size), &header), OK);
        assert_int_equal(batch_codec(&header), cases[i].codec);
        writer_init(&plain, &heap_allocator, SIZE_MAX);
        assert_int_equal(record_inflate(bench->context, slice_of(bytes, size), 1000, &plain), OK);
        assert_true(
            slice_equal(writer_slice(&plain), batch_records(slice_of(records, plain_size))));
        batch_options_init(&options);
        options.codec = cases[i].codec;
        options.level = cases[i].level;
        writer_reset(&bench->out);
        batch_builder_begin(&builder, &options, bench->context, &bench->scratch, &bench->out);
        two_append(&builder);
        assert_int_equal(batch_builder_finish(&builder, &batch), OK);
        if (cases[i].same_bytes)
            assert_golden(cases[i].name, batch);
        writer_release(&plain);
        free(bytes);
        free(records);
    }
}

static void a_transactional_log_append_time_batch_is_written_alike(void **state)
{
    struct bench *bench = *state;
    struct batch_record first = {.timestamp = T0, .key = SLICE("a"), .value = SLICE_NULL};
    struct batch_record second = {.timestamp = -1, .key = SLICE_EMPTY, .value = SLICE_EMPTY};
    struct batch_builder builder;
    struct batch_options options;
    struct slice batch;

    batch_options_init(&options);
    options.base_offset = 42;
    options.leader_epoch = 7;
    options.producer_id = 1000;
    options.producer_epoch = 2;
    options.base_sequence = INT32_MAX;
    options.transactional = true;
    options.log_append_time = true;
    options.log_append_time_ms = T0 + 9;
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    assert_int_equal(batch_builder_append(&builder, &first), OK);
    assert_int_equal(batch_builder_append(&builder, &second), OK);
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    assert_golden("transactional", batch);
}

static void markers_are_written_alike(void **state)
{
    struct bench *bench = *state;

    for (int abort = 0; abort <= 1; abort++) {
        struct end_transaction_marker marker = {.is_abort = abort, .coordinator_epoch = 9};

        writer_reset(&bench->out);
        assert_int_equal(end_transaction_batch_write(&marker, 7, 3, 1000, 2, T0, &bench->out), OK);
        assert_golden(abort ? "abort" : "commit", writer_slice(&bench->out));
    }
}

static void control_begin(struct bench *bench, struct batch_builder *builder, int64_t offset)
{
    struct batch_options options;

    batch_options_init(&options);
    options.base_offset = offset;
    options.leader_epoch = 4;
    options.control = true;
    writer_reset(&bench->out);
    batch_builder_begin(builder, &options, NULL, NULL, &bench->out);
}

static void control_end(struct batch_builder *builder, const char *name)
{
    struct slice batch;

    assert_int_equal(batch_builder_finish(builder, &batch), OK);
    assert_golden(name, batch);
}

static void control_records_of_the_quorum_are_written_alike(void **state)
{
    struct leader_change_message_voter voters[2], granting[1];
    struct leader_change_message change;
    struct snapshot_header_record header;
    struct snapshot_footer_record footer;
    struct kraft_version_record version;
    struct batch_builder builder;
    struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    leader_change_message_init(&change);
    for (int i = 0; i < 2; i++) {
        leader_change_message_voter_init(&voters[i]);
        voters[i].voter_id = i + 1;
    }
    granting[0] = voters[1];
    change.leader_id = 1;
    change.voters = voters;
    change.voters_count = 2;
    change.granting_voters = granting;
    change.granting_voters_count = 1;
    control_begin(*state, &builder, 10);
    assert_int_equal(control_append_leader_change(&builder, T0, &change, &arena), OK);
    control_end(&builder, "leader-change");

    snapshot_header_record_init(&header);
    header.last_contained_log_timestamp = T0 - 1;
    control_begin(*state, &builder, 0);
    assert_int_equal(control_append_snapshot_header(&builder, T0, &header, &arena), OK);
    control_end(&builder, "snapshot-header");

    snapshot_footer_record_init(&footer);
    control_begin(*state, &builder, 5);
    assert_int_equal(control_append_snapshot_footer(&builder, T0, &footer, &arena), OK);
    control_end(&builder, "snapshot-footer");

    kraft_version_record_init(&version);
    version.kraft_version = 1;
    control_begin(*state, &builder, 6);
    assert_int_equal(control_append_kraft_version(&builder, T0, &version, &arena), OK);
    control_end(&builder, "kraft-version");
    arena_release(&arena);
}

static void voters_are_read_and_written_alike(void **state)
{
    struct batch_builder builder;
    struct batch_header header;
    struct voters_record voters;
    struct record_walk walk;
    struct record record;
    enum control_type type;
    struct arena arena;
    size_t size;
    uint8_t *bytes = golden("voters", &size);
    bool more;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(batch_header_read(slice_of(bytes, size), &header), OK);
    assert_int_equal(record_walk_begin(&walk, &header, batch_records(slice_of(bytes, size))), OK);
    assert_int_equal(record_walk_next(&walk, &record, &more), OK);
    assert_int_equal(control_key_read(record.key, &type), OK);
    assert_int_equal(type, CONTROL_KRAFT_VOTERS);
    assert_int_equal(control_read_voters(record.value, &arena, &voters), OK);
    assert_int_equal(voters.voters_count, 1);
    assert_int_equal(voters.voters[0].voter_id, 3);
    assert_true(slice_equal_text(voters.voters[0].endpoints[0].host, "localhost"));
    assert_int_equal(voters.voters[0].endpoints[0].port, 9093);
    control_begin(*state, &builder, 7);
    assert_int_equal(control_append_voters(&builder, T0, &voters, &arena), OK);
    control_end(&builder, "voters");
    assert_int_equal(control_read_voters(slice_sub(record.value, 0, 1), &arena, &voters),
                     ERR_INVALID_RECORD);
    assert_int_equal(control_read_voters(slice_sub(record.value, 0, 9), &arena, &voters),
                     ERR_INVALID_RECORD);
    free(bytes);
    arena_release(&arena);
}

struct key_case {
    uint8_t bytes[4];
    size_t size;
    enum err expected;
    enum control_type type;
};

static void control_keys_of_later_versions_and_unknown_types_are_passed_over(void **state)
{
    static const struct key_case cases[] = {
        {{0, 0, 0, 0}, 4, OK, CONTROL_ABORT},
        {{0, 0, 0, 6}, 4, OK, CONTROL_KRAFT_VOTERS},
        {{0, 9, 0, 1}, 4, OK, CONTROL_COMMIT},
        {{0, 0, 0, 7}, 4, OK, CONTROL_UNKNOWN},
        {{0, 0, 0xff, 0xff}, 4, OK, CONTROL_UNKNOWN},
        {{0xff, 0xff, 0, 1}, 4, ERR_INVALID_RECORD, CONTROL_UNKNOWN},
        {{0, 0, 0, 1}, 3, ERR_INVALID_RECORD, CONTROL_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        enum control_type type = CONTROL_UNKNOWN;

        assert_int_equal(control_key_read(slice_of(cases[i].bytes, cases[i].size), &type),
                         cases[i].expected);
        assert_int_equal(type, cases[i].type);
    }
}

struct marker_case {
    const char *value;
    enum err expected;
};

static void a_marker_value_is_read_as_far_as_it_is_known(void **state)
{
    static const struct marker_case cases[] = {
        {"0000 00000009", OK},
        {"0001 00000009 aabb", OK},
        {"ffff 00000009", ERR_INVALID_RECORD},
        {"0000 000000", ERR_INVALID_RECORD},
        {"", ERR_INVALID_RECORD},
    };
    static const uint8_t commit[] = {0, 0, 0, 1}, leader_change[] = {0, 0, 0, 2};
    struct end_transaction_marker marker;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t size;
        uint8_t *value = test_hex(cases[i].value, &size);

        assert_int_equal(
            end_transaction_marker_read(slice_of(commit, 4), slice_of(value, size), &marker),
            cases[i].expected);
        if (cases[i].expected == OK)
            assert_true(!marker.is_abort && marker.coordinator_epoch == 9);
        assert_int_equal(
            end_transaction_marker_read(slice_of(leader_change, 4), slice_of(value, size), &marker),
            ERR_INVALID_RECORD);
        free(value);
    }
}

static void producer_snapshots_are_read_and_written_alike(void **state)
{
    static const char *const names[] = {"producers-none", "producers-one", "producers-three"};
    static const size_t counts[] = {0, 1, 3};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct producer_state loaded;
        struct writer out;
        size_t size;
        uint8_t *bytes = golden(names[i], &size);

        producer_state_init(&loaded, &heap_allocator);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        assert_int_equal(
            producer_snapshot_read(&loaded, slice_of(bytes, size), 33, T0, 86400000, NULL), OK);
        assert_int_equal(producer_state_count(&loaded), counts[i]);
        assert_int_equal(producer_snapshot_write(&loaded, &out), OK);
        assert_golden(names[i], writer_slice(&out));
        writer_release(&out);
        producer_state_release(&loaded);
        free(bytes);
    }
}

static void transaction_index_entries_are_read_and_written_alike(void **state)
{
    struct transaction_index_entry entry;
    uint8_t again[TRANSACTION_INDEX_ENTRY_BYTES];
    size_t size;
    uint8_t *bytes = golden("txnindex", &size);

    (void)state;
    assert_int_equal(size, 2 * TRANSACTION_INDEX_ENTRY_BYTES);
    for (size_t at = 0; at < size; at += TRANSACTION_INDEX_ENTRY_BYTES) {
        assert_int_equal(transaction_index_entry_read(bytes + at, &entry), OK);
        transaction_index_entry_write(&entry, again);
        assert_memory_equal(bytes + at, again, sizeof again);
    }
    assert_true(entry.producer_id == 1001 && entry.first_offset == 90 && entry.last_offset == 120 &&
                entry.last_stable_offset == 95);
    free(bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_codecs_batch_is_read_and_the_simple_ones_are_written_alike),
        cmocka_unit_test(a_transactional_log_append_time_batch_is_written_alike),
        cmocka_unit_test(markers_are_written_alike),
        cmocka_unit_test(control_records_of_the_quorum_are_written_alike),
        cmocka_unit_test(voters_are_read_and_written_alike),
        cmocka_unit_test(control_keys_of_later_versions_and_unknown_types_are_passed_over),
        cmocka_unit_test(a_marker_value_is_read_as_far_as_it_is_known),
        cmocka_unit_test(producer_snapshots_are_read_and_written_alike),
        cmocka_unit_test(transaction_index_entries_are_read_and_written_alike),
    };

    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
