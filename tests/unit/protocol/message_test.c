/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the encoding one by one, on bytes written by hand. */
#include "base/fmt.h"
#include "protocol/generated/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct writer writer;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    if (!fixture)
        return -1;
    arena_init(&fixture->arena, &heap_allocator, SIZE_MAX);
    writer_init(&fixture->writer, &heap_allocator, SIZE_MAX);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    arena_release(&fixture->arena);
    writer_release(&fixture->writer);
    free(fixture);
    return 0;
}

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__})
#define CASE(result, ...)                                       \
    {                                                           \
        {BYTES(__VA_ARGS__), sizeof BYTES(__VA_ARGS__)}, result \
    }

struct decode_case {
    struct slice bytes;
    enum err result;
};

static enum err decode(struct fixture *fixture, const struct message_type *type, int16_t version,
                       struct slice bytes, void *out)
{
    struct cursor cursor = cursor_of(bytes);

    return message_decode(type, version, &cursor, &fixture->arena, out);
}

static void lengths_of_old_strings_are_held_against_bytes_and_limit(void **state)
{
    /* FindCoordinatorRequest v0: key, string */
    const struct decode_case cases[] = {
        CASE(OK, 0, 0),
        CASE(OK, 0, 2, 'a', 'b'),
        CASE(ERR_SHORT, 0, 3, 'a', 'b'),
        CASE(ERR_SHORT, 0x7f, 0xff, 'a'),
        CASE(ERR_NULL_FIELD, 0xff, 0xff),
        CASE(ERR_NULL_FIELD, 0x80, 0),
        CASE(ERR_SHORT, 0),
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct find_coordinator_request request;

        assert_int_equal(
            decode(*state, &find_coordinator_request_type, 0, cases[i].bytes, &request),
            cases[i].result);
    }
}

static void lengths_of_compact_strings_are_held_against_bytes_and_limit(void **state)
{
    /* DefaultPrincipalData v0: type, name, token authenticated, tags */
    const struct decode_case cases[] = {
        CASE(OK, 1, 1, 0, 0),
        CASE(OK, 2, 'a', 3, 'b', 'c', 1, 0),
        CASE(ERR_NULL_FIELD, 0, 1, 0, 0),
        CASE(ERR_SHORT, 2),
        CASE(ERR_SHORT, 0x80),
        CASE(ERR_COUNT, 0x81, 0x80, 0x02, 'a'),               /* 32768 bytes */
        CASE(ERR_SHORT, 0x80, 0x80, 0x02, 'a'),               /* 32767 bytes */
        CASE(ERR_NULL_FIELD, 0xff, 0xff, 0xff, 0xff, 0x0f),   /* a negative length is null */
        CASE(ERR_VARINT, 0xff, 0xff, 0xff, 0xff, 0x80, 0x00), /* a sixth byte */
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct default_principal_data data;

        assert_int_equal(decode(*state, &default_principal_data_type, 0, cases[i].bytes, &data),
                         cases[i].result);
    }
}

static void array_counts_are_held_against_the_bytes_left(void **state)
{
    /* ConsumerProtocolAssignment v0: []{topic string, []i32}, bytes?; an element has 6 bytes or more */
    const struct decode_case cases[] = {
        CASE(OK, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
        CASE(OK, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
        CASE(ERR_COUNT, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff),
        CASE(ERR_COUNT, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0),
        CASE(ERR_NULL_FIELD, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
        CASE(ERR_COUNT, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1), /* two numbers in four bytes */
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct consumer_protocol_assignment out;
        struct fixture *fixture = *state;
        size_t before = fixture->arena.used_bytes;

        assert_int_equal(
            decode(fixture, &consumer_protocol_assignment_type, 0, cases[i].bytes, &out),
            cases[i].result);
        assert_true(fixture->arena.used_bytes - before <= 256);
    }
}

static void a_million_elements_are_taken_and_one_more_is_not(void **state)
{
    struct fixture *fixture = *state;
    size_t size_bytes = 16 + 4 * (PROTOCOL_ARRAY_COUNT_MAX + 1);
    uint8_t *bytes = calloc(1, size_bytes);

    assert_non_null(bytes);
    for (uint32_t extra = 0; extra < 2; extra++) {
        struct writer writer;
        struct consumer_protocol_assignment out;

        writer_init_fixed(&writer, bytes, size_bytes);
        writer_i32(&writer, 1);
        writer_i16(&writer, 0);
        writer_u32(&writer, PROTOCOL_ARRAY_COUNT_MAX + extra);
        assert_int_equal(decode(fixture, &consumer_protocol_assignment_type, 0,
                                slice_of(bytes, size_bytes), &out),
                         extra ? ERR_COUNT : OK);
    }
    free(bytes);
}

static void too_many_tagged_fields_are_refused(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t extra = 0; extra < 2; extra++) {
        struct default_principal_data out;

        writer_reset(&fixture->writer);
        writer_bytes(&fixture->writer, "\x01\x01\x00", 3);
        writer_uvarint(&fixture->writer, PROTOCOL_TAGGED_COUNT_MAX + extra);
        for (uint32_t i = 0; i < PROTOCOL_TAGGED_COUNT_MAX + extra; i++) {
            writer_uvarint(&fixture->writer, i);
            writer_uvarint(&fixture->writer, 0);
        }
        assert_int_equal(
            decode(fixture, &default_principal_data_type, 0, writer_slice(&fixture->writer), &out),
            extra ? ERR_COUNT : OK);
    }
}

static void unknown_tags_are_skipped_and_broken_ones_refused(void **state)
{
    const struct decode_case cases[] = {
        CASE(OK, 1, 1, 0, 1, 5, 3, 'x', 'y', 'z'),
        CASE(OK, 1, 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0),
        CASE(ERR_SHORT, 1, 1, 0, 1, 5, 4, 'x', 'y', 'z'),
        CASE(ERR_SHORT, 1, 1, 0, 2, 5, 3, 'x', 'y', 'z'),
        CASE(ERR_SHORT, 1, 1, 0, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f),
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct default_principal_data out;

        assert_int_equal(decode(*state, &default_principal_data_type, 0, cases[i].bytes, &out),
                         cases[i].result);
    }
}

static void a_tag_of_later_versions_is_refused_in_earlier_ones(void **state)
{
    /* VoteResponse: node endpoints have tag 0 from v1 on */
    const struct slice bytes = {BYTES(0, 0, 1, 1, 0, 1, 1), 7};
    struct vote_response out;

    assert_int_equal(decode(*state, &vote_response_type, 1, bytes, &out), OK);
    assert_int_equal(out.node_endpoints_count, 0);
    assert_int_equal(decode(*state, &vote_response_type, 0, bytes, &out), ERR_UNSUPPORTED_VERSION);
}

static void tagged_fields_at_their_default_are_not_written(void **state)
{
    struct fixture *fixture = *state;
    struct vote_response response;

    vote_response_init(&response);
    assert_int_equal(message_encode(&vote_response_type, 1, &response, &fixture->writer), OK);
    assert_true(slice_equal(writer_slice(&fixture->writer), slice_of(BYTES(0, 0, 1, 0), 4)));
}

static void tagged_fields_are_written_by_ascending_tag(void **state)
{
    struct fixture *fixture = *state;
    struct transaction_log_value value;
    struct slice written;

    transaction_log_value_init(&value); /* its schema has the tags 0, 1, 3, 2 in this order */
    value.next_producer_epoch = 7;
    value.client_transaction_version = 2;
    value.next_producer_id = 9;
    assert_int_equal(message_encode(&transaction_log_value_type, 1, &value, &fixture->writer), OK);
    written = writer_slice(&fixture->writer);
    assert_true(written.size_bytes > 19);
    assert_memory_equal(written.data + written.size_bytes - 19,
                        BYTES(3, 1, 8, 0, 0, 0, 0, 0, 0, 0, 9, 2, 2, 0, 2, 3, 2, 0, 7), 19);
}

static void fields_that_the_bytes_lack_get_their_default(void **state)
{
    struct fetch_request out;
    struct writer *writer = &((struct fixture *)*state)->writer;

    fetch_request_init(&out);
    assert_int_equal(message_encode(&fetch_request_type, 4, &out, writer), OK);
    memset(&out, 0xdb, sizeof out);
    assert_int_equal(decode(*state, &fetch_request_type, 4, writer_slice(writer), &out), OK);
    assert_true(slice_is_null(out.cluster_id));
    assert_int_equal(out.session_epoch, -1);
    assert_int_equal(out.replica_state.replica_id, -1);
    assert_int_equal(out.replica_state.replica_epoch, -1);
    assert_false(slice_is_null(out.rack_id));
    assert_int_equal(out.forgotten_topics_data_count, 0);
}

static void a_value_without_a_place_is_refused_unless_ignorable(void **state)
{
    struct fixture *fixture = *state;
    struct vote_request vote;
    struct vote_request_topic_data *topics = vote_request_topic_data_array(&fixture->arena, 1);
    struct vote_request_partition_data *partitions =
        vote_request_partition_data_array(&fixture->arena, 1);

    vote_request_init(&vote);
    vote.voter_id = 3; /* ignorable */
    vote.topics = topics;
    vote.topics_count = 1;
    topics->partitions = partitions;
    topics->partitions_count = 1;
    assert_int_equal(message_encode(&vote_request_type, 0, &vote, &fixture->writer), OK);
    partitions->pre_vote = true; /* not ignorable, v2+ */
    assert_int_equal(message_encode(&vote_request_type, 0, &vote, &fixture->writer),
                     ERR_UNSUPPORTED_VERSION);
    assert_int_equal(message_encode(&vote_request_type, 2, &vote, &fixture->writer), OK);
}

static void a_null_is_refused_where_the_version_has_none(void **state)
{
    struct fixture *fixture = *state;
    struct offset_fetch_request request;
    size_t size_bytes;

    offset_fetch_request_init(&request);
    request.topics_count = -1; /* null: all topics, from v2 on */
    assert_int_equal(message_encode(&offset_fetch_request_type, 1, &request, &fixture->writer),
                     ERR_NULL_FIELD);
    assert_int_equal(message_size(&offset_fetch_request_type, 1, &request, &size_bytes),
                     ERR_NULL_FIELD);
    assert_int_equal(message_encode(&offset_fetch_request_type, 2, &request, &fixture->writer), OK);
    assert_int_equal(
        decode(fixture, &offset_fetch_request_type, 2, writer_slice(&fixture->writer), &request),
        OK);
    assert_int_equal(request.topics_count, -1);
}

static void null_structs_have_a_marker(void **state)
{
    struct fixture *fixture = *state;
    struct describe_topic_partitions_request request;
    struct describe_topic_partitions_request_cursor cursor;

    describe_topic_partitions_request_init(&request);
    describe_topic_partitions_request_cursor_init(&cursor);
    assert_int_equal(
        message_encode(&describe_topic_partitions_request_type, 0, &request, &fixture->writer), OK);
    assert_true(
        slice_equal(writer_slice(&fixture->writer), slice_of(BYTES(1, 0, 0, 7, 0xd0, 0xff, 0), 7)));
    request.cursor = &cursor;
    writer_reset(&fixture->writer);
    assert_int_equal(
        message_encode(&describe_topic_partitions_request_type, 0, &request, &fixture->writer), OK);
    assert_true(slice_equal(writer_slice(&fixture->writer),
                            slice_of(BYTES(1, 0, 0, 7, 0xd0, 1, 1, 0, 0, 0, 0, 0, 0), 13)));
}

static void a_tagged_null_struct_differs_from_the_empty_one(void **state)
{
    struct fixture *fixture = *state;
    struct consumer_group_member_metadata_value value;
    struct slice written;

    consumer_group_member_metadata_value_init(&value);
    assert_non_null(value.classic_member_metadata); /* the default is not null here */
    value.classic_member_metadata = NULL;
    assert_int_equal(
        message_encode(&consumer_group_member_metadata_value_type, 0, &value, &fixture->writer),
        OK);
    written = writer_slice(&fixture->writer);
    assert_memory_equal(written.data + written.size_bytes - 4, BYTES(1, 0, 1, 0), 4);
    assert_int_equal(
        decode(fixture, &consumer_group_member_metadata_value_type, 0, written, &value), OK);
    assert_null(value.classic_member_metadata);
}

static void bytes_behind_a_message_stay_in_the_cursor(void **state)
{
    struct fixture *fixture = *state;
    struct cursor cursor = cursor_of(SLICE("\x01\x01\x00\x00rest"));
    struct default_principal_data out;

    assert_int_equal(
        message_decode(&default_principal_data_type, 0, &cursor, &fixture->arena, &out), OK);
    assert_int_equal(cursor_left(&cursor), 4);
}

static void a_string_of_more_than_32767_bytes_cannot_be_written(void **state)
{
    struct fixture *fixture = *state;
    struct find_coordinator_request request;
    uint8_t *text = calloc(1, 0x8000);

    assert_non_null(text);
    find_coordinator_request_init(&request);
    request.key = slice_of(text, 0x7fff);
    assert_int_equal(message_encode(&find_coordinator_request_type, 0, &request, &fixture->writer),
                     OK);
    request.key = slice_of(text, 0x8000);
    assert_int_equal(message_encode(&find_coordinator_request_type, 0, &request, &fixture->writer),
                     ERR_TOO_LARGE);
    free(text);
}

/* Two partitions in each of two topics, with records of these sizes. */
static struct fetch_response *fetch_response_with(struct fixture *fixture, const uint8_t *bytes,
                                                  const size_t sizes[4])
{
    struct fetch_response *response = fetch_response_array(&fixture->arena, 1);

    response->responses = fetch_response_fetchable_topic_response_array(&fixture->arena, 2);
    response->responses_count = 2;
    for (int32_t i = 0; i < 4; i++) {
        struct fetch_response_fetchable_topic_response *topic = &response->responses[i / 2];

        if (i % 2 == 0)
            topic->partitions = fetch_response_partition_data_array(&fixture->arena, 2);
        topic->topic = SLICE("topic");
        topic->partitions_count = 2;
        topic->partitions[i % 2].partition_index = i;
        topic->partitions[i % 2].diverging_epoch.epoch = i; /* a tagged field behind the records */
        topic->partitions[i % 2].records = slice_of(bytes + i, sizes[i]);
    }
    return response;
}

static void large_records_may_stand_beside_the_bytes_that_are_encoded(void **state)
{
    static const size_t sizes[4] = {5000, 100, 0, 2000};
    struct fixture *fixture = *state;
    uint8_t *bytes = arena_allocate(&fixture->arena, 8192);
    struct fetch_response *response;

    for (size_t i = 0; i < 8192; i++)
        bytes[i] = (uint8_t)(i * 31);
    response = fetch_response_with(fixture, bytes, sizes);
    for (int16_t version = 12; version <= 18; version++) {
        CLEANUP(writer_release) struct writer apart, whole;
        struct message_piece items[4];
        size_t from = 0;

        for (size_t capacity = 0; capacity <= 4; capacity++) {
            struct message_pieces pieces = {
                .items = items, .capacity = capacity, .least_bytes = 2000};

            writer_init(&apart, &heap_allocator, SIZE_MAX);
            writer_init(&whole, &heap_allocator, SIZE_MAX);
            writer_reset(&fixture->writer);
            assert_int_equal(
                message_encode(&fetch_response_type, version, response, &fixture->writer), OK);
            assert_int_equal(
                message_encode_pieces(&fetch_response_type, version, response, &apart, &pieces),
                OK);
            assert_int_equal(pieces.count, MIN(capacity, (size_t)2));
            from = 0;
            for (size_t i = 0; i < pieces.count; i++) {
                assert_ptr_equal(pieces.items[i].bytes.data, bytes + (i == 0 ? 0 : 3));
                writer_bytes(&whole, apart.data + from, pieces.items[i].at_bytes - from);
                writer_bytes(&whole, pieces.items[i].bytes.data, pieces.items[i].bytes.size_bytes);
                from = pieces.items[i].at_bytes;
            }
            writer_bytes(&whole, apart.data + from, apart.size_bytes - from);
            assert_int_equal(apart.size_bytes + pieces.total_bytes, fixture->writer.size_bytes);
            assert_true(slice_equal(writer_slice(&whole), writer_slice(&fixture->writer)));
            writer_release(&apart);
            writer_release(&whole);
        }
    }
}

static void a_failed_encoding_leaves_no_pieces(void **state)
{
    static const size_t sizes[4] = {5000, 5000, 5000, 5000};
    struct fixture *fixture = *state;
    uint8_t *bytes = arena_zeroed(&fixture->arena, 1, 8192);
    struct fetch_response *response = fetch_response_with(fixture, bytes, sizes);
    struct message_piece items[4];
    struct message_pieces pieces = {.items = items, .capacity = 4, .least_bytes = 1};

    response->responses[1].topic = SLICE_NULL; /* which no version allows */
    assert_int_equal(
        message_encode_pieces(&fetch_response_type, 12, response, &fixture->writer, &pieces),
        ERR_NULL_FIELD);
    assert_int_equal(pieces.count, 0);
    assert_int_equal(pieces.total_bytes, 0);
    assert_int_equal(fixture->writer.size_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(lengths_of_old_strings_are_held_against_bytes_and_limit),
        TEST(lengths_of_compact_strings_are_held_against_bytes_and_limit),
        TEST(array_counts_are_held_against_the_bytes_left),
        TEST(a_million_elements_are_taken_and_one_more_is_not),
        TEST(too_many_tagged_fields_are_refused),
        TEST(unknown_tags_are_skipped_and_broken_ones_refused),
        TEST(a_tag_of_later_versions_is_refused_in_earlier_ones),
        TEST(tagged_fields_at_their_default_are_not_written),
        TEST(tagged_fields_are_written_by_ascending_tag),
        TEST(fields_that_the_bytes_lack_get_their_default),
        TEST(a_value_without_a_place_is_refused_unless_ignorable),
        TEST(a_null_is_refused_where_the_version_has_none),
        TEST(null_structs_have_a_marker),
        TEST(a_tagged_null_struct_differs_from_the_empty_one),
        TEST(bytes_behind_a_message_stay_in_the_cursor),
        TEST(large_records_may_stand_beside_the_bytes_that_are_encoded),
        TEST(a_failed_encoding_leaves_no_pieces),
        TEST(a_string_of_more_than_32767_bytes_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
