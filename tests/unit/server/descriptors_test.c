/* SPDX-License-Identifier: Apache-2.0 */
#include "server/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void shards_share_what_is_for_files(void **state)
{
    struct why why = {0};
    int each;

    (void)state;
    assert_int_equal(descriptors_share(200, 1, &each, &why), OK);
    assert_int_equal(each, 75); /* half of the limit, less a quarter for jobs */
    assert_int_equal(descriptors_share(200, 3, &each, &why), OK);
    assert_int_equal(each, 25);
    assert_int_equal(descriptors_share(INT64_C(1) << 20, 4, &each, &why), OK);
    assert_int_equal(each, (1536 + 32768) / 4);
    assert_int_equal(descriptors_share(INT64_MAX, 1, &each, &why), OK);
    assert_int_equal(each, 1536 + 32768);
    assert_int_equal(descriptors_share(4096, 1, &each, &why), OK);
    assert_int_equal(each, 1536);
    assert_int_equal(descriptors_share(19096, 1, &each, &why), OK);
    assert_int_equal(each, 1536 + 10000); /* and two thirds of the 15,000 above */
}

static void a_limit_that_cannot_carry_the_node_is_refused_with_what_it_takes(void **state)
{
    struct why why = {0};
    int each;

    (void)state;
    assert_int_equal(descriptors_share(95, 1, &each, &why), ERR_CONFIG);
    assert_non_null(strstr(why.text, "ulimit -n"));
    assert_non_null(strstr(why.text, "96"));
    assert_int_equal(descriptors_share(96, 1, &each, &why), OK);
    assert_true(each >= 16);
    assert_int_equal(descriptors_share(320, 8, &each, &why), OK);
    assert_true(each >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_share_what_is_for_files),
        cmocka_unit_test(a_limit_that_cannot_carry_the_node_is_refused_with_what_it_takes),
    };

    return cmocka_run_group_tests_name("server/descriptors", tests, NULL, NULL);
}
