/* SPDX-License-Identifier: Apache-2.0 */
#include "server/quota_rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct quota_windows windows = {.count = 11, .size_ms = 1000};

static void measured(struct quota_rate *rate, int64_t now_ms, double sum, int64_t span_ms)
{
    double found_sum;
    int64_t found_span;

    quota_rate_measure(rate, &windows, now_ms, &found_sum, &found_span);
    assert_true(found_sum == sum);
    assert_int_equal(found_span, span_ms);
}

static void a_young_rate_is_measured_over_ten_windows(void **state)
{
    struct quota_rate rate = {0};

    (void)state;
    quota_rate_record(&rate, &windows, 5000, 100);
    measured(&rate, 5000, 100, 10000);
    measured(&rate, 5400, 100, 10400);
}

static void an_old_rate_is_measured_from_its_oldest_window(void **state)
{
    struct quota_rate rate = {0};

    (void)state;
    for (int64_t second = 0; second < 30; second++)
        quota_rate_record(&rate, &windows, second * 1000, 10);
    /* Windows 19 to 29 are left. */
    measured(&rate, 29000, 110, 10000);
    measured(&rate, 29999, 110, 10999);
}

static void a_window_without_news_for_eleven_seconds_is_forgotten(void **state)
{
    struct quota_rate rate = {0};

    (void)state;
    quota_rate_record(&rate, &windows, 0, 500);
    measured(&rate, 10999, 500, 10999);
    measured(&rate, 11000, 0, 10000);
}

static void the_throttle_brings_the_rate_down_to_the_limit(void **state)
{
    (void)state;
    assert_int_equal(quota_rate_throttle_ms(1000, 10000, 100), 0);
    /* 200 a second where 100 are allowed: as long again. */
    assert_int_equal(quota_rate_throttle_ms(2000, 10000, 100), 10000);
    assert_int_equal(quota_rate_throttle_ms(1001, 10000, 100), 10);
    assert_int_equal(quota_rate_throttle_ms(1, 10000, 0), INT32_MAX);
    assert_int_equal(quota_rate_throttle_ms(0, 10000, 0), 0);
}

static void a_bucket_starts_full_and_may_go_below_zero_once(void **state)
{
    struct quota_bucket bucket = {0};

    (void)state;
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 0, 2), 0); /* 22 tokens */
    quota_bucket_take(&bucket, 30);
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 0, 2), 4000); /* -8 */
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 3000, 2), 1000);
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 4000, 2), 0);
}

static void a_bucket_never_holds_more_than_its_burst(void **state)
{
    struct quota_bucket bucket = {0};

    (void)state;
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 0, 2), 0);
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 3600000, 2), 0);
    quota_bucket_take(&bucket, 23);
    assert_int_equal(quota_bucket_throttle_ms(&bucket, &windows, 3600000, 2), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_young_rate_is_measured_over_ten_windows),
        cmocka_unit_test(an_old_rate_is_measured_from_its_oldest_window),
        cmocka_unit_test(a_window_without_news_for_eleven_seconds_is_forgotten),
        cmocka_unit_test(the_throttle_brings_the_rate_down_to_the_limit),
        cmocka_unit_test(a_bucket_starts_full_and_may_go_below_zero_once),
        cmocka_unit_test(a_bucket_never_holds_more_than_its_burst),
    };

    return cmocka_run_group_tests_name("server/quota_rate", tests, NULL, NULL);
}
