/* SPDX-License-Identifier: Apache-2.0 */
/* The codec over every message and version, with random contents. */
#include "message_random.h"
#include "protocol/message_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUNDS 3
static const uint64_t seed =
    20261124; /* reproduces a failure; the message names type and version */

struct sample {
    const struct message_type *type;
    int16_t version;
    struct arena *arena;
    struct random *random;
    void *message;
    struct slice
        bytes; /* encoded; in memory of its very size, so that a sanitizer sees overreads */
};

/* Calls the rule with a random message of each type in each version. */
static void each_sample(int rounds, void (*rule)(const struct sample *sample))
{
    struct random random;
    struct sample sample = {.random = &random};

    random_init(&random, seed);
    for (size_t i = 0; (sample.type = message_type_at(i)) != NULL; i++)
        for (sample.version = sample.type->version_min; sample.version <= sample.type->version_max;
             sample.version++)
            for (int round = 0; round < rounds; round++) {
                CLEANUP(arena_release) struct arena arena;
                CLEANUP(writer_release) struct writer writer;
                void *exact;

                arena_init(&arena, &heap_allocator, SIZE_MAX);
                writer_init(&writer, &heap_allocator, SIZE_MAX);
                sample.arena = &arena;
                sample.message = arena_zeroed(&arena, 1, message_struct_bytes(sample.type));
                message_random(sample.type, sample.version, &random, &arena, sample.message);
                if (message_encode(sample.type, sample.version, sample.message, &writer) != OK)
                    fail_msg("%s v%d seed %llu", sample.type->name, sample.version,
                             (unsigned long long)seed);
                exact = malloc(MAX(writer.size_bytes, (size_t)1));
                assert_non_null(exact);
                if (writer.size_bytes > 0)
                    memcpy(exact, writer.data, writer.size_bytes);
                sample.bytes = slice_of(exact, writer.size_bytes);
                rule(&sample);
                free(exact);
            }
}

static void expect_encoding(const struct sample *sample, const void *message)
{
    CLEANUP(writer_release) struct writer writer;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    if (message_encode(sample->type, sample->version, message, &writer) != OK ||
        !slice_equal(slice_of(writer.data ? writer.data : (const uint8_t *)"", writer.size_bytes),
                     sample->bytes))
        fail_msg("%s v%d: other bytes, seed %llu", sample->type->name, sample->version,
                 (unsigned long long)seed);
}

static enum err decode(const struct sample *sample, struct slice bytes, void **message_out,
                       size_t *left_out)
{
    struct cursor cursor = cursor_of(bytes);
    enum err err;

    *message_out = arena_zeroed(sample->arena, 1, message_struct_bytes(sample->type));
    err = message_decode(sample->type, sample->version, &cursor, sample->arena, *message_out);
    *left_out = cursor_left(&cursor);
    return err;
}

static void round_trip(const struct sample *sample)
{
    size_t left, size_bytes;
    void *message;

    assert_int_equal(decode(sample, sample->bytes, &message, &left), OK);
    assert_int_equal(left, 0);
    expect_encoding(sample, message);
    assert_int_equal(message_size(sample->type, sample->version, message, &size_bytes), OK);
    assert_int_equal(size_bytes, sample->bytes.size_bytes);
}

static void every_message_decodes_to_what_was_encoded(void **state)
{
    each_sample(ROUNDS, round_trip);
}

static void json_round_trip(const struct sample *sample)
{
    CLEANUP(writer_release) struct writer json;
    struct why why = {{0}};
    void *message = arena_zeroed(sample->arena, 1, message_struct_bytes(sample->type));

    writer_init(&json, &heap_allocator, SIZE_MAX);
    assert_int_equal(message_to_json(sample->type, sample->version, sample->message, &json), OK);
    if (message_from_json(sample->type, sample->version, writer_slice(&json), sample->arena,
                          message, &why) != OK)
        fail_msg("%s v%d: %s", sample->type->name, sample->version, why.text);
    expect_encoding(sample, message);
}

static void every_message_survives_json(void **state)
{
    each_sample(ROUNDS, json_round_trip);
}

static void every_prefix(const struct sample *sample)
{
    for (size_t size = 0; size < sample->bytes.size_bytes; size++) {
        uint8_t *exact = malloc(MAX(size, (size_t)1));
        size_t left;
        void *message;

        assert_non_null(exact);
        memcpy(exact, sample->bytes.data, size);
        if (decode(sample, slice_of(exact, size), &message, &left) == OK)
            fail_msg("%s v%d decodes from %zu of %zu bytes", sample->type->name, sample->version,
                     size, sample->bytes.size_bytes);
        free(exact);
    }
}

static void every_truncated_message_is_refused(void **state)
{
    each_sample(1, every_prefix);
}

static void damaged(const struct sample *sample)
{
    for (int i = 0; i < 20 && sample->bytes.size_bytes > 0; i++) {
        size_t at = (size_t)random_below(sample->random, sample->bytes.size_bytes);
        uint8_t *byte = (uint8_t *)(uintptr_t)sample->bytes.data + at;
        uint8_t before = *byte;
        size_t left, size_bytes;
        void *message;

        *byte = (uint8_t)random_u64(sample->random);
        if (decode(sample, sample->bytes, &message, &left) == OK)
            assert_int_equal(message_size(sample->type, sample->version, message, &size_bytes), OK);
        *byte = before;
    }
}

static void what_decodes_from_damaged_bytes_can_be_encoded(void **state)
{
    each_sample(ROUNDS, damaged);
}

static void copied(const struct sample *sample)
{
    CLEANUP(arena_release) struct arena other;
    void *message, *copy;
    size_t left;
    uint8_t *input = (uint8_t *)(uintptr_t)sample->bytes.data;
    struct slice bytes = sample->bytes;
    struct sample expected = *sample;

    arena_init(&other, &heap_allocator, SIZE_MAX);
    expected.bytes = arena_copy(&other, bytes);
    assert_int_equal(decode(sample, bytes, &message, &left), OK);
    copy = arena_zeroed(&other, 1, message_struct_bytes(sample->type));
    assert_int_equal(message_copy(sample->type, message, &other, copy), OK);
    memset(input, 0xdb, bytes.size_bytes); /* slices of the decoded message look here */
    arena_release(sample->arena);
    expect_encoding(&expected, copy);
}

static void a_copy_outlives_input_and_arena_of_the_original(void **state)
{
    each_sample(1, copied);
}

static void starved(const struct sample *sample)
{
    CLEANUP(arena_release) struct arena whole;
    void *message = arena_zeroed(sample->arena, 1, message_struct_bytes(sample->type));
    struct cursor cursor = cursor_of(sample->bytes);
    size_t step;

    arena_init(&whole, &heap_allocator, SIZE_MAX);
    assert_int_equal(message_decode(sample->type, sample->version, &cursor, &whole, message), OK);
    step = whole.used_bytes / 8 + 1;
    for (size_t limit = 0; limit < whole.used_bytes; limit += step) {
        CLEANUP(arena_release) struct arena small;

        arena_init(&small, &heap_allocator, limit);
        cursor = cursor_of(sample->bytes);
        assert_int_equal(message_decode(sample->type, sample->version, &cursor, &small, message),
                         ERR_NO_MEMORY);
    }
}

static void an_exhausted_arena_is_an_error(void **state)
{
    each_sample(1, starved);
}

static void failing_writer(const struct sample *sample)
{
    uint8_t buffer[512];
    struct writer writer;

    if (sample->bytes.size_bytes == 0 || sample->bytes.size_bytes > sizeof buffer)
        return;
    writer_init_fixed(&writer, buffer, sample->bytes.size_bytes - 1);
    assert_int_equal(message_encode(sample->type, sample->version, sample->message, &writer),
                     ERR_NO_MEMORY);
    assert_int_equal(writer.size_bytes, 0);
}

static void a_message_that_does_not_fit_leaves_the_writer_as_it_was(void **state)
{
    each_sample(1, failing_writer);
}

static void versions_outside_the_range(const struct sample *sample)
{
    static const int16_t never[] = {-1, INT16_MIN, INT16_MAX};
    const struct message_type *type = sample->type;
    CLEANUP(writer_release) struct writer writer;
    size_t size_bytes;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(never) + 2; i++) {
        int16_t version = i < ARRAY_COUNT(never)    ? never[i]
                          : i == ARRAY_COUNT(never) ? (int16_t)(type->version_min - 1)
                                                    : (int16_t)(type->version_max + 1);
        struct cursor cursor = cursor_of(sample->bytes);
        void *message = arena_zeroed(sample->arena, 1, message_struct_bytes(type));

        assert_int_equal(message_decode(type, version, &cursor, sample->arena, message),
                         ERR_UNSUPPORTED_VERSION);
        assert_int_equal(message_encode(type, version, sample->message, &writer),
                         ERR_UNSUPPORTED_VERSION);
        assert_int_equal(message_size(type, version, sample->message, &size_bytes),
                         ERR_UNSUPPORTED_VERSION);
        assert_int_equal(message_to_json(type, version, sample->message, &writer),
                         ERR_UNSUPPORTED_VERSION);
        assert_int_equal(
            message_from_json(type, version, SLICE("{}"), sample->arena, message, NULL),
            ERR_UNSUPPORTED_VERSION);
    }
}

static void unknown_versions_are_refused(void **state)
{
    each_sample(1, versions_outside_the_range);
}

static void defaults_encode(const struct sample *sample)
{
    size_t left, size_bytes;
    void *message = arena_zeroed(sample->arena, 1, message_struct_bytes(sample->type));
    CLEANUP(writer_release) struct writer writer;

    writer_init(&writer, &heap_allocator, SIZE_MAX);
    message_init(sample->type, message);
    for (uint16_t i = 0; i < sample->type->root->field_count; i++)
        assert_true(
            message_field_is_default(sample->type->root, &sample->type->root->fields[i], message));
    if (message_encode(sample->type, sample->version, message, &writer) != OK)
        return; /* a null default where this version has no null */
    assert_int_equal(message_size(sample->type, sample->version, message, &size_bytes), OK);
    assert_int_equal(size_bytes, writer.size_bytes);
    assert_int_equal(decode(sample, writer_slice(&writer), &message, &left), OK);
    for (uint16_t i = 0; i < sample->type->root->field_count; i++)
        assert_true(
            message_field_is_default(sample->type->root, &sample->type->root->fields[i], message));
}

static void an_initialised_message_holds_the_defaults_and_keeps_them(void **state)
{
    each_sample(1, defaults_encode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_decodes_to_what_was_encoded),
        cmocka_unit_test(every_message_survives_json),
        cmocka_unit_test(every_truncated_message_is_refused),
        cmocka_unit_test(what_decodes_from_damaged_bytes_can_be_encoded),
        cmocka_unit_test(a_copy_outlives_input_and_arena_of_the_original),
        cmocka_unit_test(an_exhausted_arena_is_an_error),
        cmocka_unit_test(a_message_that_does_not_fit_leaves_the_writer_as_it_was),
        cmocka_unit_test(unknown_versions_are_refused),
        cmocka_unit_test(an_initialised_message_holds_the_defaults_and_keeps_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
