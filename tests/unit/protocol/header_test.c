/* SPDX-License-Identifier: Apache-2.0 */
/* Request and response headers, and the tables of APIs and records. */
#include "protocol/generated/messages.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void request_headers_follow_the_flexible_versions_of_the_api(void **state)
{
    static const struct {
        int16_t key, version;
        size_t size_bytes; /* with the client id "me" */
    } cases[] = {
        {API_METADATA, 8, 12},       {API_METADATA, 9, 13},      {API_API_VERSIONS, 2, 12},
        {API_API_VERSIONS, 3, 13},   {API_API_VERSIONS, 99, 13}, /* a later version than we know is taken to be flexible */
        {API_SASL_HANDSHAKE, 1, 12}, {API_OFFSET_DELETE, 0, 12}, {API_VOTE, 0, 13},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t buffer[64];
        struct writer writer;
        struct request_header header = {cases[i].key, cases[i].version, 77, SLICE("me")}, again;
        struct cursor cursor;

        writer_init_fixed(&writer, buffer, sizeof buffer);
        request_header_encode(&header, &writer);
        assert_int_equal(writer_error(&writer), OK);
        assert_int_equal(writer.size_bytes, cases[i].size_bytes);
        cursor = cursor_of(writer_slice(&writer));
        assert_int_equal(request_header_decode(&cursor, &again), OK);
        assert_int_equal(cursor_left(&cursor), 0);
        assert_int_equal(again.api_key, cases[i].key);
        assert_int_equal(again.api_version, cases[i].version);
        assert_int_equal(again.correlation_id, 77);
        assert_true(slice_equal_text(again.client_id, "me"));
    }
}

static void a_client_id_may_be_null_and_tags_of_a_header_are_skipped(void **state)
{
    static const uint8_t bytes[] = {0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 1, 9, 2, 'x', 'y', 'z'};
    struct cursor cursor = {bytes, bytes + sizeof bytes};
    struct request_header header;

    assert_int_equal(request_header_decode(&cursor, &header), OK);
    assert_true(slice_is_null(header.client_id));
    assert_int_equal(cursor_left(&cursor), 1);
}

static void a_client_id_that_no_header_holds_is_an_error_of_the_writer(void **state)
{
    static const uint8_t letters[40000];
    uint8_t buffer[64];
    struct request_header header = {API_METADATA, 9, 1, {letters, sizeof letters}};
    CLEANUP(writer_release) struct writer writer;
    struct writer full;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    request_header_encode(&header, &writer);
    assert_int_not_equal(writer_error(&writer), OK);
    header.client_id = SLICE("me");
    writer_init_fixed(&full, buffer, 5);
    request_header_encode(&header, &full);
    assert_int_not_equal(writer_error(&full), OK);
}

static void a_response_header_that_ends_early_is_refused(void **state)
{
    static const uint8_t bytes[5] = {0, 0, 0, 7, 0};

    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct cursor cursor = {bytes, bytes + size};
        int32_t correlation_id = 0;

        assert_int_equal(response_header_decode(API_METADATA, 9, &cursor, &correlation_id),
                         size < sizeof bytes ? ERR_SHORT : OK);
        assert_int_equal(correlation_id, size < sizeof bytes ? 0 : 7);
    }
}

static void an_api_that_nobody_knows_has_a_name_all_the_same(void **state)
{
    assert_string_equal(api_key_name(API_METADATA), "Metadata");
    assert_string_equal(api_key_name(INT16_MAX), "UNKNOWN");
}

static void a_header_of_an_unknown_api_is_refused(void **state)
{
    static const int16_t keys[] = {-1, 4, 5, 6, 7, API_KEY_MAX + 1, INT16_MAX, INT16_MIN};

    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        uint8_t bytes[12] = {(uint8_t)((uint16_t)keys[i] >> 8), (uint8_t)keys[i]};
        struct cursor cursor = {bytes, bytes + sizeof bytes};
        struct request_header header;
        int32_t correlation_id;

        assert_int_equal(request_header_decode(&cursor, &header), ERR_UNKNOWN_API);
        assert_int_equal(cursor_left(&cursor), sizeof bytes);
        assert_int_equal(response_header_decode(keys[i], 0, &cursor, &correlation_id),
                         ERR_UNKNOWN_API);
        assert_string_equal(api_key_name(keys[i]), "UNKNOWN");
    }
}

static void a_truncated_header_is_refused_at_every_byte(void **state)
{
    static const uint8_t bytes[] = {0, 18, 0, 3, 0, 0, 0, 1, 0, 1, 'a', 0};

    for (size_t size = 0; size < sizeof bytes; size++) {
        struct cursor cursor = {bytes, bytes + size};
        struct request_header header;

        assert_int_equal(request_header_decode(&cursor, &header), ERR_SHORT);
        assert_int_equal(cursor_left(&cursor), size);
    }
}

static void response_headers_have_tags_but_for_api_versions(void **state)
{
    static const struct {
        int16_t key, version;
        size_t size_bytes;
    } cases[] = {
        {API_METADATA, 8, 4},          {API_METADATA, 9, 5},     {API_API_VERSIONS, 2, 4},
        {API_API_VERSIONS, 3, 4},      {API_API_VERSIONS, 5, 4}, {API_SASL_HANDSHAKE, 1, 4},
        {API_SASL_AUTHENTICATE, 2, 5},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t buffer[16];
        struct writer writer;
        struct cursor cursor;
        int32_t correlation_id;

        writer_init_fixed(&writer, buffer, sizeof buffer);
        response_header_encode(cases[i].key, cases[i].version, -5, &writer);
        assert_int_equal(writer.size_bytes, cases[i].size_bytes);
        cursor = cursor_of(writer_slice(&writer));
        assert_int_equal(
            response_header_decode(cases[i].key, cases[i].version, &cursor, &correlation_id), OK);
        assert_int_equal(correlation_id, -5);
        assert_int_equal(cursor_left(&cursor), 0);
    }
}

static void kafka_4_4_has_91_apis_in_309_versions(void **state)
{
    const struct api *api;
    int count = 0, pairs = 0, broker = 0, controller = 0;
    int16_t key = -1;

    for (; (api = api_at((size_t)count)) != NULL; count++) {
        assert_true(api->key > key);
        key = api->key;
        pairs += api->request->version_max - api->request->version_min + 1;
        broker += (api->listeners & API_LISTENER_BROKER) != 0;
        controller += (api->listeners & API_LISTENER_CONTROLLER) != 0;
        assert_ptr_equal(api_find(key), api);
        assert_ptr_equal(api_find_name(slice_from_text(api->name)), api);
        assert_int_equal(api->request->key, key);
        assert_int_equal(api->response->key, key);
        assert_int_equal(api->latest_version_unstable, key == API_INIT_PRODUCER_ID);
    }
    assert_int_equal(count, 91);
    assert_int_equal(pairs, 309);
    assert_int_equal(broker, 79);
    assert_int_equal(controller, 42);
    assert_null(api_find_name(SLICE("StopReplica")));
}

static void metadata_records_are_found_by_number(void **state)
{
    int count = 0;

    for (int16_t key = -2; key < 200; key++) {
        const struct message_type *type = metadata_record_type(key);

        count += type != NULL;
        assert_true(!type || type->key == key);
    }
    assert_int_equal(count, 27);
    assert_ptr_equal(metadata_record_type(METADATA_RECORD_REGISTER_BROKER),
                     &register_broker_record_type);
    assert_null(metadata_record_type(METADATA_RECORD_PARTITION + 3)); /* 6 was never used */
}

static void every_message_is_found_by_its_name(void **state)
{
    const struct message_type *type;
    size_t count = 0;

    for (; (type = message_type_at(count)) != NULL; count++)
        assert_ptr_equal(message_type_find(slice_from_text(type->name)), type);
    assert_int_equal(count, 278);
    assert_null(message_type_find(SLICE("")));
    assert_null(message_type_find(SLICE("Vote")));
    assert_null(message_type_find(SLICE("ZzzRequest")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_headers_follow_the_flexible_versions_of_the_api),
        cmocka_unit_test(a_client_id_may_be_null_and_tags_of_a_header_are_skipped),
        cmocka_unit_test(a_client_id_that_no_header_holds_is_an_error_of_the_writer),
        cmocka_unit_test(a_response_header_that_ends_early_is_refused),
        cmocka_unit_test(an_api_that_nobody_knows_has_a_name_all_the_same),
        cmocka_unit_test(a_header_of_an_unknown_api_is_refused),
        cmocka_unit_test(a_truncated_header_is_refused_at_every_byte),
        cmocka_unit_test(response_headers_have_tags_but_for_api_versions),
        cmocka_unit_test(kafka_4_4_has_91_apis_in_309_versions),
        cmocka_unit_test(metadata_records_are_found_by_number),
        cmocka_unit_test(every_message_is_found_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
