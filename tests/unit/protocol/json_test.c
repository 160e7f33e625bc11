/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON spelling of values, and what the reader refuses. */
#include "base/parse.h"
#include "base/random.h"
#include "protocol/generated/messages.h"
#include "protocol/json_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void doubles_have_the_form_of_java(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {100.0, "100.0"},
        {0.1, "0.1"},
        {0.001, "0.001"},
        {0.012, "0.012"},
        {0.00099, "9.9E-4"},
        {9999999.0, "9999999.0"},
        {1e7, "1.0E7"},
        {12345678.5, "1.23456785E7"},
        {1e21, "1.0E21"},
        {1e23, "1.0E23"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.7976931348623157e308, "1.7976931348623157E308"},
        {2.2250738585072014e-308, "2.2250738585072014E-308"},
        {4.9e-324, "4.9E-324"},
        {9007199254740993.0, "9.007199254740992E15"},
        {INFINITY, "\"Infinity\""},
        {-INFINITY, "\"-Infinity\""},
        {NAN, "\"NaN\""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[64] = {0};
        struct writer writer;

        writer_init_fixed(&writer, text, sizeof text - 1);
        json_put_double(&writer, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
}

static void every_double_reads_back_as_itself(void **state)
{
    struct random random;

    random_init(&random, 17);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_u64(&random);
        double value, again;
        char text[64] = {0};
        struct writer writer;

        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        writer_init_fixed(&writer, text, sizeof text - 1);
        json_put_double(&writer, value);
        assert_true(writer.size_bytes <= 24);
        assert_int_equal(parse_f64(slice_from_text(text), &again), OK);
        assert_memory_equal(&again, &value, sizeof value);
    }
}

static void strings_are_escaped_and_always_utf8(void **state)
{
    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        {{(const uint8_t *)"", 0}, "\"\""},
        {{(const uint8_t *)"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
        {{(const uint8_t *)"\b\t\n\f\r", 5}, "\"\\b\\t\\n\\f\\r\""},
        {{(const uint8_t *)"\0\x1f\x7f", 3}, "\"\\u0000\\u001F\x7f\""},
        {{(const uint8_t *)"\xc3\xa9\xf0\x9f\x8e\x8d", 6}, "\"\xc3\xa9\xf0\x9f\x8e\x8d\""},
        {{(const uint8_t *)"\xff", 1}, "\"\xef\xbf\xbd\""},
        {{(const uint8_t *)"\xc0\x80", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{(const uint8_t *)"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{(const uint8_t *)"x\xf0\x9f\x8e", 4}, "\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        /* the first and the last of each length, and what lies beside them */
        {{(const uint8_t *)"\xe0\xa0\x80\xe0\x9f\x80", 6},
         "\"\xe0\xa0\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{(const uint8_t *)"\xed\x9f\xbf\xef\xbf\xbf", 6}, "\"\xed\x9f\xbf\xef\xbf\xbf\""},
        {{(const uint8_t *)"\xf0\x90\x80\x80\xf0\x8f\x80\x80", 8},
         "\"\xf0\x90\x80\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{(const uint8_t *)"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80", 8},
         "\"\xf4\x8f\xbf\xbf\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{(const uint8_t *)"\xe1\x80\x41", 3},
         "\"\xef\xbf\xbd\xef\xbf\xbd"
         "A\""},
        {{(const uint8_t *)"\xe1\x41\x80", 3},
         "\"\xef\xbf\xbd"
         "A\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[64] = {0};
        struct writer writer;

        writer_init_fixed(&writer, text, sizeof text - 1);
        json_put_string(&writer, cases[i].text);
        assert_string_equal(text, cases[i].json);
    }
}

static void base64_is_padded_when_written_and_may_lack_it_when_read(void **state)
{
    static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zg", "f"},
        {"Zm8=", "fo"},
        {"Zm8", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Z", NULL},
        {"Zg=", NULL},
        {"Zm9v=", NULL},
        {"Zm-v", NULL},
        {"Zm 9v", NULL},
        {"====", NULL},
        {"+/+/", "\xfb\xff\xbf"},
    };
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct slice out;
        enum err err = json_base64_decode(slice_from_text(cases[i].text), &arena, &out);

        assert_int_equal(err, cases[i].bytes ? OK : ERR_FORMAT);
        assert_true(err != OK || slice_equal_text(out, cases[i].bytes));
    }
}

static void json_that_is_not_the_message_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *json;
        enum err result;
        const char *why;
    } cases[] = {
        {"{\"type\":\"User\",\"name\":\"a\",\"tokenAuthenticated\":true}", OK, ""},
        {"{\"type\":\"User\",\"name\":\"a\",\"tokenAuthenticated\":true,\"more\":1}", OK, ""},
        {"{\"type\":\"User\",\"name\":\"a\"}", ERR_FORMAT,
         "DefaultPrincipalData: version 0 needs the field tokenAuthenticated"},
        {"{\"type\":1,\"name\":\"a\",\"tokenAuthenticated\":true}", ERR_FORMAT,
         "DefaultPrincipalData.type: a string is expected"},
        {"{\"type\":null,\"name\":\"a\",\"tokenAuthenticated\":true}", ERR_NULL_FIELD,
         "DefaultPrincipalData.type: null is not allowed"},
        {"{\"type\":\"User\",\"name\":\"a\",\"tokenAuthenticated\":1}", ERR_FORMAT,
         "DefaultPrincipalData.tokenAuthenticated: true or false is expected"},
        {"{\"type\":\"User\",\"name\":\"a\",\"tokenAuthenticated\":\"\"}", ERR_FORMAT,
         "DefaultPrincipalData.tokenAuthenticated: true or false is expected"},
        {"[]", ERR_FORMAT, "DefaultPrincipalData: an object is expected"},
    };
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct default_principal_data out;
        struct why why = {{0}};

        assert_int_equal(message_from_json(&default_principal_data_type, 0,
                                           slice_from_text(cases[i].json), &arena, &out, &why),
                         cases[i].result);
        assert_string_equal(why.text, cases[i].why);
    }
}

static void broken_json_and_numbers_out_of_range_are_refused(void **state)
{
    static const struct {
        const char *json;
        enum err result;
    } cases[] = {
        {"", ERR_FORMAT},
        {"{", ERR_FORMAT},
        {"{\"version\":0,\"kRaftVersion\":1}", OK},
        {"{\"version\":0,\"kRaftVersion\":32767}", OK},
        {"{\"version\":0,\"kRaftVersion\":32768}", ERR_FORMAT},
        {"{\"version\":-32768,\"kRaftVersion\":1}", OK},
        {"{\"version\":-32769,\"kRaftVersion\":1}", ERR_FORMAT},
        {"{\"version\":99999999999999999999,\"kRaftVersion\":1}", ERR_FORMAT},
        {"{\"version\":1.0,\"kRaftVersion\":1}", ERR_FORMAT},
    };
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct kraft_version_record out;

        assert_int_equal(message_from_json(&kraft_version_record_type, 0,
                                           slice_from_text(cases[i].json), &arena, &out, NULL),
                         cases[i].result);
    }
}

static void every_kind_of_a_value_is_held_against_its_field(void **state)
{
    static const struct {
        const struct message_type *type;
        int16_t version;
        const char *json;
        enum err result;
        const char *why;
    } cases[] = {
        {&sasl_authenticate_request_type, 0, "{\"authBytes\":\"Zg\"}", OK, ""},
        {&sasl_authenticate_request_type, 0, "{\"authBytes\":\"Z!\"}", ERR_FORMAT,
         "SaslAuthenticateRequest.authBytes: base64 is expected"},
        {&sasl_authenticate_request_type, 0, "{\"authBytes\":7}", ERR_FORMAT,
         "SaslAuthenticateRequest.authBytes: a string is expected"},
        {&alter_client_quotas_request_type, 0,
         "{\"entries\":[{\"entity\":[],\"ops\":[{\"key\":\"k\",\"value\":1,\"remove\":false}]}],"
         "\"validateOnly\":false}",
         OK, ""},
        {&alter_client_quotas_request_type, 0,
         "{\"entries\":[{\"entity\":[],\"ops\":[{\"key\":\"k\",\"value\":\"1\",\"remove\":false}]}]"
         ","
         "\"validateOnly\":false}",
         ERR_FORMAT, "OpData.value: a number is expected"},
        {&alter_client_quotas_request_type, 0, "{\"entries\":{},\"validateOnly\":false}",
         ERR_FORMAT, "AlterClientQuotasRequest.entries: an array is expected"},
        {&alter_client_quotas_request_type, 0, "{\"entries\":[7],\"validateOnly\":false}",
         ERR_FORMAT, "EntryData: an object is expected"},
        {&voters_record_type, 0,
         "{\"version\":0,\"voters\":[{\"voterId\":1,\"voterDirectoryId\":\"short\"}]}", ERR_FORMAT,
         "Voter.voterDirectoryId: an id of 22 characters is expected"},
        {&voters_record_type, 0,
         "{\"version\":0,\"voters\":[{\"voterId\":1,\"voterDirectoryId\":1}]}", ERR_FORMAT,
         "Voter.voterDirectoryId: an id of 22 characters is expected"},
        {&describe_acls_request_type, 1,
         "{\"resourceTypeFilter\":true,\"resourceNameFilter\":null}", ERR_FORMAT,
         "DescribeAclsRequest.resourceTypeFilter: an integer is expected"},
        {&describe_acls_request_type, 99, "{}", ERR_UNSUPPORTED_VERSION, NULL},
    };
    CLEANUP(arena_release) struct arena arena;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        void *out = arena_zeroed(&arena, 1, message_struct_bytes(cases[i].type));
        struct why why = {{0}};

        assert_int_equal(message_from_json(cases[i].type, cases[i].version,
                                           slice_from_text(cases[i].json), &arena, out, &why),
                         cases[i].result);
        if (cases[i].why)
            assert_string_equal(why.text, cases[i].why);
    }
}

static void small_numbers_may_be_spelt_without_a_sign_as_in_kafka(void **state)
{
    static const char json[] =
        "{\"resourceTypeFilter\":200,\"resourceNameFilter\":null,\"patternTypeFilter\":3,"
        "\"principalFilter\":null,\"hostFilter\":null,\"operation\":1,\"permissionType\":-128}";
    CLEANUP(arena_release) struct arena arena;
    struct describe_acls_request out;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(message_from_json(&describe_acls_request_type, 1, slice_from_text(json),
                                       &arena, &out, NULL),
                     OK);
    assert_int_equal(out.resource_type_filter, 72);
    assert_int_equal(out.permission_type, -128);
}

static void array_of_more_than_a_million_elements_is_refused(void **state)
{
    CLEANUP(writer_release) struct writer json;
    CLEANUP(arena_release) struct arena arena;
    struct list_transactions_request out;
    struct why why = {{0}};

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_init(&json, &heap_allocator, SIZE_MAX);
    json_put(&json, "{\"stateFilters\":[],\"producerIdFilters\":[0");
    for (int i = 0; i < PROTOCOL_ARRAY_COUNT_MAX; i++)
        json_put(&json, ",0");
    json_put(&json, "]}");
    assert_int_equal(message_from_json(&list_transactions_request_type, 0, writer_slice(&json),
                                       &arena, &out, &why),
                     ERR_FORMAT);
    assert_string_equal(why.text,
                        "ListTransactionsRequest.producerIdFilters: the array is too long");
}

static void json_that_has_no_room_or_no_place_for_a_value_is_not_written(void **state)
{
    struct list_transactions_request request;
    struct slice filters[] = {SLICE("a"), SLICE_NULL};
    uint8_t buffer[128];
    struct writer writer;

    list_transactions_request_init(&request);
    writer_init_fixed(&writer, buffer, 10);
    assert_int_not_equal(message_to_json(&list_transactions_request_type, 0, &request, &writer),
                         OK);
    assert_int_equal(writer.size_bytes, 0);
    /* Full already: it is not tried. */
    assert_int_not_equal(message_to_json(&list_transactions_request_type, 0, &request, &writer),
                         OK);
    writer_init_fixed(&writer, buffer, sizeof buffer);
    request.duration_filter = 7; /* of version 1 */
    assert_int_equal(message_to_json(&list_transactions_request_type, 0, &request, &writer),
                     ERR_UNSUPPORTED_VERSION);
    request.duration_filter = -1;
    request.state_filters = filters;
    request.state_filters_count = 2;
    assert_int_equal(message_to_json(&list_transactions_request_type, 0, &request, &writer),
                     ERR_NULL_FIELD);
    assert_int_equal(writer.size_bytes, 0);
}

static void a_null_that_the_version_lacks_is_not_written(void **state)
{
    struct default_principal_data data;
    uint8_t buffer[128];
    struct writer writer;

    default_principal_data_init(&data);
    data.name = SLICE_NULL;
    writer_init_fixed(&writer, buffer, sizeof buffer);
    assert_int_equal(message_to_json(&default_principal_data_type, 0, &data, &writer),
                     ERR_NULL_FIELD);
    assert_int_equal(writer.size_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_have_the_form_of_java),
        cmocka_unit_test(every_double_reads_back_as_itself),
        cmocka_unit_test(strings_are_escaped_and_always_utf8),
        cmocka_unit_test(base64_is_padded_when_written_and_may_lack_it_when_read),
        cmocka_unit_test(json_that_is_not_the_message_is_refused_with_a_reason),
        cmocka_unit_test(broken_json_and_numbers_out_of_range_are_refused),
        cmocka_unit_test(every_kind_of_a_value_is_held_against_its_field),
        cmocka_unit_test(small_numbers_may_be_spelt_without_a_sign_as_in_kafka),
        cmocka_unit_test(array_of_more_than_a_million_elements_is_refused),
        cmocka_unit_test(json_that_has_no_room_or_no_place_for_a_value_is_not_written),
        cmocka_unit_test(a_null_that_the_version_lacks_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
