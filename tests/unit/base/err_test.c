/* SPDX-License-Identifier: Apache-2.0 */
/* The table of errors. */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct row {
    enum err err;
    const char *name;
    int wire;
    int retriable;
    const char *text;
};

#define ROW(symbol, name, wire, retriable, text) {symbol, name, wire, retriable, text},
static const struct row table[] = {ERR_TABLE(ROW)};

static void every_error_has_its_row(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        assert_string_equal(err_name(table[i].err), table[i].name);
        assert_string_equal(err_text(table[i].err), table[i].text);
        assert_int_equal(err_wire_code(table[i].err), table[i].wire);
        assert_int_equal(err_is_retriable(table[i].err), table[i].retriable);
    }
}

static void kafkas_codes_are_their_own_wire_codes(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (table[i].err < 1000) {
            assert_int_equal(err_wire_code(table[i].err), table[i].err);
            assert_int_equal(err_from_wire((int16_t)table[i].err), table[i].err);
        } else {
            assert_in_range(err_wire_code(table[i].err) + 1, 0, 1000);
        }
}

static void known_names_and_classes(void **state)
{
    assert_string_equal(err_name(OK), "NONE");
    assert_string_equal(err_name(ERR_NOT_LEADER_OR_FOLLOWER), "NOT_LEADER_OR_FOLLOWER");
    assert_string_equal(err_name(ERR_SHORT), "SHORT");
    assert_int_equal(err_wire_code(ERR_SHORT), 42);
    assert_int_equal(err_wire_code(ERR_NO_MEMORY), ERR_KAFKA_STORAGE_ERROR); /* clients ask again */
    assert_true(err_is_retriable(ERR_NOT_LEADER_OR_FOLLOWER));
    assert_false(err_is_retriable(ERR_INVALID_REQUEST));
}

static void a_code_that_kafka_does_not_have_is_an_unknown_server_error(void **state)
{
    static const int16_t codes[] = {INT16_MIN, -2, 137, 999, ERR_SHORT, 1029, INT16_MAX};

    for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
        assert_int_equal(err_from_wire(codes[i]), ERR_UNKNOWN_SERVER_ERROR);
}

static void a_value_outside_the_table_is_harmless(void **state)
{
    assert_string_equal(err_name((enum err)30000), "UNKNOWN");
    assert_true(strlen(err_text((enum err)30000)) > 0);
    assert_int_equal(err_wire_code((enum err)30000), -1);
    assert_false(err_is_retriable((enum err)30000));
}

static void why_holds_the_detail_and_hands_the_error_back(void **state)
{
    struct why why;

    assert_int_equal(why_set(&why, ERR_FENCED_LEADER_EPOCH, "epoch %d < %d", 4, 5),
                     ERR_FENCED_LEADER_EPOCH);
    assert_string_equal(why.text, "epoch 4 < 5");
    assert_int_equal(why_set(NULL, ERR_SHORT, "nobody asks"), ERR_SHORT);
    assert_int_equal(why_set(&why, ERR_FORMAT, "%0600d", 1), ERR_FORMAT);
    assert_int_equal(strlen(why.text), WHY_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_row),
        cmocka_unit_test(kafkas_codes_are_their_own_wire_codes),
        cmocka_unit_test(known_names_and_classes),
        cmocka_unit_test(a_code_that_kafka_does_not_have_is_an_unknown_server_error),
        cmocka_unit_test(a_value_outside_the_table_is_harmless),
        cmocka_unit_test(why_holds_the_detail_and_hands_the_error_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
