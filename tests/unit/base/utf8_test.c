/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What the bits say, one character at a time: the function must agree on every sequence of up to four bytes that
 * begin as one of these do. */
static size_t by_value(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t mask, mark;
        uint32_t least;
    } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t i = 0; i < 4; i++) {
        uint32_t value = at[0] & 0xffu & ~(uint32_t)forms[i].mask;

        if ((at[0] & forms[i].mask) != forms[i].mark)
            continue;
        if (left < i + 1)
            return 0;
        for (size_t j = 1; j <= i; j++) {
            if ((at[j] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (at[j] & 0x3fu);
        }
        return value < forms[i].least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)
                   ? 0
                   : i + 1;
    }
    return 0;
}

static void a_character_is_what_its_value_says(void **state)
{
    static const uint8_t seconds[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { COUNT = sizeof seconds };

    (void)state;
    for (int first = 0; first < 256; first++)
        for (size_t i = 0; i < COUNT * COUNT * COUNT; i++) {
            uint8_t text[4] = {(uint8_t)first, seconds[i % COUNT], seconds[i / COUNT % COUNT],
                               seconds[i / COUNT / COUNT]};

            for (size_t left = 1; left <= 4; left++)
                if (utf8_character_bytes(text, left) != by_value(text, left))
                    fail_msg("%02x %02x %02x %02x, %zu of them", text[0], text[1], text[2], text[3],
                             left);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_character_is_what_its_value_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
