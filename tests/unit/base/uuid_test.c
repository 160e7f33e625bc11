/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and their text form. */
#include "base/random.h"
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void texts_are_base64url_without_padding(void **state)
{
    char text[UUID_TEXT_BYTES];
    struct uuid id;

    uuid_to_text(UUID_ZERO, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAA");
    uuid_to_text(UUID_METADATA, text);
    assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAQ");
    memset(id.bytes, 0xff, sizeof id.bytes);
    uuid_to_text(id, text);
    assert_string_equal(text, "_____________________w");
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)(0xf8 + i * 0x11);
    uuid_to_text(id, text);
    assert_string_equal(text, "-AkaKzxNXm-AkaKzxNXm9w");
}

static void what_is_written_reads_back(void **state)
{
    struct random random;

    random_init(&random, 1);
    for (int i = 0; i < 1000; i++) {
        char text[UUID_TEXT_BYTES];
        struct uuid id, again;

        random_fill(&random, id.bytes, sizeof id.bytes);
        uuid_to_text(id, text);
        assert_int_equal(uuid_from_text(slice_from_text(text), &again), OK);
        assert_true(uuid_equal(id, again));
    }
}

static void javas_padding_and_idle_bits_are_taken(void **state)
{
    struct uuid id;

    assert_int_equal(uuid_from_text(SLICE("AAAAAAAAAAAAAAAAAAAAAQ=="), &id), OK);
    assert_true(uuid_equal(id, UUID_METADATA));
    assert_int_equal(uuid_from_text(SLICE("AAAAAAAAAAAAAAAAAAAAAf"), &id), OK);
    assert_true(uuid_equal(id, UUID_METADATA));
}

static void other_texts_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "A",
                                        "AAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAAA=",
                                        "AAAAAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAA===",
                                        "AAAAAAAAAAAAAAAAAAAAAA===",
                                        "AAAAAAAAAAAAAAAAAAAA+A",
                                        "AAAAAAAAAAAAAAAAAAAA/A",
                                        " AAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAA=",
                                        "AAAAAAAAAAAAAAAAAAAAA\xc3"};
    static const uint8_t with_nul[22] = "AAAAAAAAAA";
    struct uuid id;

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        assert_int_equal(uuid_from_text(slice_from_text(texts[i]), &id), ERR_INVALID_UUID);
    assert_int_equal(uuid_from_text(SLICE_NULL, &id), ERR_INVALID_UUID);
    assert_int_equal(uuid_from_text(slice_of(with_nul, sizeof with_nul), &id), ERR_INVALID_UUID);
}

static void random_ids_are_version_4_and_hold_no_dash(void **state)
{
    struct random random;

    random_init(&random, 2);
    for (int i = 0; i < 2000; i++) {
        struct uuid id = uuid_random(&random);
        char text[UUID_TEXT_BYTES];

        assert_int_equal(id.bytes[6] >> 4, 4);
        assert_int_equal(id.bytes[8] >> 6, 2);
        uuid_to_text(id, text);
        assert_null(strchr(text, '-'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_base64url_without_padding),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(javas_padding_and_idle_bits_are_taken),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(random_ids_are_version_4_and_hold_no_dash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
