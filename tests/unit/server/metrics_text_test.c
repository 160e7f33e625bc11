/* SPDX-License-Identifier: Apache-2.0 */
#include "server/metrics_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_label_is_text_whatever_a_peer_calls_its_group(void **state)
{
    const struct {
        struct slice name;
        const char *label;
    } rows[] = {
        {SLICE("orders"), "orders"},
        {SLICE("say \"hi\"\\\n"), "say \\\"hi\\\"\\\\\\n"},
        {SLICE("caf\xc3\xa9 \xf0\x9f\x98\x80"), "caf\xc3\xa9 \xf0\x9f\x98\x80"},
        {SLICE("caf\xe9"), "caf\\\\xE9"}, /* Latin-1 */
        {SLICE("\xed\xa0\x80\xff"), "\\\\xED\\\\xA0\\\\x80\\\\xFF"},
        {SLICE("a\0\tb"), "a\\\\x00\\\\x09b"},
        {SLICE("\xe2\x82"), "\\\\xE2\\\\x82"},
        {SLICE(""), ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CLEANUP(writer_release) struct writer out;

        writer_init(&out, &heap_allocator, SIZE_MAX);
        metrics_label(&out, rows[i].name);
        writer_u8(&out, 0);
        assert_string_equal((const char *)out.data, rows[i].label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_is_text_whatever_a_peer_calls_its_group),
    };

    return cmocka_run_group_tests_name("server/metrics_text", tests, NULL, NULL);
}
