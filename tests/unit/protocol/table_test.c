/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the field tables may say beyond the messages of today: a table made by hand has a tagged field of each
 * form, nullable or not, and the rules about defaults, null and size are held against it.
 */
#include "protocol/message_internal.h"

#include "protocol/generated/messages.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct inner {
    int32_t number;
};

struct outer {
    struct inner *plain; /* tag 0, never null */
    struct inner *maybe; /* tag 1, null in versions from 1 on */
    struct slice text;   /* tag 2, nullable, its default is empty */
    struct slice strict; /* tag 3, never null */
    int32_t *list;       /* tag 4, nullable, its default is empty */
    int32_t list_count;
    int32_t *strict_list; /* tag 5, never null */
    int32_t strict_list_count;
    double share; /* tag 6, 0.5 by default */
};

static const struct message_field inner_fields[] = {
    {.name = "number", .kind = MESSAGE_I32, .tag = -1, .versions = {0, 127}, .nullable = {1, 0}},
};
static const struct inner inner_default = {0};
static const struct message_struct inner_table = {
    .name = "Inner",
    .fields = inner_fields,
    .defaults = &inner_default,
    .size_bytes = sizeof(struct inner),
    .field_count = 1,
};

#define FIELD(member, ...)                                                               \
    {                                                                                    \
        .name = #member, .offset = offsetof(struct outer, member), .versions = {0, 127}, \
        __VA_ARGS__                                                                      \
    }
static const struct message_field outer_fields[] = {
    FIELD(plain, .kind = MESSAGE_STRUCT, .flags = MESSAGE_POINTER, .tag = 0, .nullable = {1, 0},
          .element = &inner_table),
    FIELD(maybe, .kind = MESSAGE_STRUCT, .flags = MESSAGE_POINTER | MESSAGE_NULL_DEFAULT, .tag = 1,
          .nullable = {1, 127}, .element = &inner_table),
    FIELD(text, .kind = MESSAGE_STRING, .tag = 2, .nullable = {0, 127}),
    FIELD(strict, .kind = MESSAGE_STRING, .tag = 3, .nullable = {1, 0}),
    FIELD(list, .kind = MESSAGE_I32, .flags = MESSAGE_ARRAY, .tag = 4, .nullable = {0, 127},
          .count_offset = offsetof(struct outer, list_count)),
    FIELD(strict_list, .kind = MESSAGE_I32, .flags = MESSAGE_ARRAY, .tag = 5, .nullable = {1, 0},
          .count_offset = offsetof(struct outer, strict_list_count)),
    FIELD(share, .kind = MESSAGE_F64, .tag = 6, .nullable = {1, 0}),
};
static const uint8_t outer_tagged[] = {0, 1, 2, 3, 4, 5, 6};
static struct inner inner_empty = {0};
static const struct outer outer_default = {
    .plain = &inner_empty,
    .text = {(const uint8_t *)"", 0},
    .strict = {(const uint8_t *)"", 0},
    .share = 0.5,
};
static const struct message_struct outer_table = {
    .name = "Outer",
    .fields = outer_fields,
    .tagged = outer_tagged,
    .defaults = &outer_default,
    .size_bytes = sizeof(struct outer),
    .field_count = ARRAY_COUNT(outer_fields),
    .tagged_count = ARRAY_COUNT(outer_tagged),
};
static const struct message_type outer_type = {
    .name = "Outer",
    .key = -1,
    .version_min = 0,
    .version_max = 1,
    .flexible_min = 0,
    .root = &outer_table,
};

/* How many tagged fields are written: the first byte. */
static int fields_written(const struct outer *outer, int16_t version)
{
    uint8_t buffer[256];
    struct writer writer;

    writer_init_fixed(&writer, buffer, sizeof buffer);
    if (message_encode(&outer_type, version, outer, &writer) != OK)
        return -1;
    return buffer[0];
}

static void field_is_written_when_it_differs_from_its_default(void **state)
{
    static int32_t numbers[] = {1};
    static struct inner seven = {7};
    struct outer outer = outer_default;

    assert_int_equal(fields_written(&outer, 1), 0);
    outer.plain = &seven;
    assert_int_equal(fields_written(&outer, 1), 1);
    outer.maybe = &seven;
    assert_int_equal(fields_written(&outer, 1), 2);
    outer.text = SLICE_NULL; /* null is not its default */
    assert_int_equal(fields_written(&outer, 1), 3);
    outer.list_count = -1;
    assert_int_equal(fields_written(&outer, 1), 4);
    outer.strict = SLICE("s");
    outer.strict_list = numbers;
    outer.strict_list_count = 1;
    assert_int_equal(fields_written(&outer, 1), 6);
    /* Where there is no null, it counts as empty. */
    outer.strict = SLICE_NULL;
    outer.strict_list_count = -1;
    assert_int_equal(fields_written(&outer, 1), 4);
}

static void double_is_at_its_default_only_when_it_equals_it(void **state)
{
    static const struct {
        double value;
        int written;
    } rows[] = {{0.5, 0}, {0.25, 1}, {0.75, 1}, {NAN, 1}, {-0.5, 1}};

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct outer outer = outer_default;

        outer.share = rows[i].value;
        assert_int_equal(fields_written(&outer, 0), rows[i].written);
    }
}

static void null_struct_is_refused_where_the_version_has_no_null(void **state)
{
    static struct inner seven = {7};
    struct outer outer = outer_default;

    outer.plain = NULL;
    assert_int_equal(fields_written(&outer, 1), -1);
    outer = outer_default;
    outer.maybe = &seven;
    assert_int_equal(fields_written(&outer, 0), 1); /* without a marker */
    assert_int_equal(fields_written(&outer, 1), 1);
}

static void tagged_structs_are_read_back_with_and_without_a_marker(void **state)
{
    for (int16_t version = 0; version <= 1; version++) {
        CLEANUP(arena_release) struct arena arena;
        struct inner seven = {7};
        struct outer outer = outer_default, again;
        uint8_t buffer[256];
        struct writer writer;
        struct cursor cursor;

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        outer.plain = outer.maybe = &seven;
        writer_init_fixed(&writer, buffer, sizeof buffer);
        assert_int_equal(message_encode(&outer_type, version, &outer, &writer), OK);
        cursor = cursor_of(writer_slice(&writer));
        assert_int_equal(message_decode(&outer_type, version, &cursor, &arena, &again), OK);
        assert_int_equal(again.plain->number, 7);
        assert_int_equal(again.maybe->number, 7);
    }
}

/* The size is counted, so that a slice may claim what no memory holds. */
static void what_lengths_of_32_bits_cannot_tell_is_too_large(void **state)
{
    struct outer outer = outer_default;
    struct sasl_authenticate_request request;
    size_t size_bytes;

    outer.list = (int32_t[]){0};
    outer.list_count = INT32_MAX / 2;
    assert_int_equal(message_size(&outer_type, 0, &outer, &size_bytes), ERR_TOO_LARGE);
    sasl_authenticate_request_init(&request);
    request.auth_bytes = slice_of("", INT32_MAX - 1); /* and four bytes before them */
    assert_int_equal(message_size(&sasl_authenticate_request_type, 0, &request, &size_bytes),
                     ERR_TOO_LARGE);
}

static void writer_that_has_failed_takes_no_message(void **state)
{
    struct outer outer = outer_default;
    uint8_t buffer[1];
    struct writer writer;

    writer_init_fixed(&writer, buffer, sizeof buffer);
    writer_i32(&writer, 0);
    assert_int_not_equal(writer_error(&writer), OK);
    assert_int_equal(message_encode(&outer_type, 0, &outer, &writer), writer_error(&writer));
}

static void field_is_found_by_its_name(void **state)
{
    struct outer outer = outer_default;

    assert_ptr_equal(message_field(&outer_type, "share", &outer), &outer.share);
    assert_null(message_field(&outer_type, "shares", &outer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_is_written_when_it_differs_from_its_default),
        cmocka_unit_test(double_is_at_its_default_only_when_it_equals_it),
        cmocka_unit_test(null_struct_is_refused_where_the_version_has_no_null),
        cmocka_unit_test(tagged_structs_are_read_back_with_and_without_a_marker),
        cmocka_unit_test(what_lengths_of_32_bits_cannot_tell_is_too_large),
        cmocka_unit_test(writer_that_has_failed_takes_no_message),
        cmocka_unit_test(field_is_found_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
