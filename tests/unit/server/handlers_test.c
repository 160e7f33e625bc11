/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is advertised (schema/served) against what there are handlers for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/served_apis.h"
#include "server/handlers/handlers.h"

/* Each API: advertised if and only if there is a handler. */
static void hold(const struct served_api *served, request_handler (*handler_of)(int16_t api_key),
                 const char *listener)
{
    const struct api *api;

    for (size_t i = 0; (api = api_at(i)); i++) {
        const struct served_api *row = served;
        bool is_served;

        while (row->api_key >= 0 && row->api_key != api->key)
            row++;
        is_served = row->api_key >= 0;
        if ((handler_of(api->key) != NULL) != is_served)
            fail_msg("%s on the %s listener: %s", api->name, listener,
                     is_served ? "advertised without a handler"
                               : "a handler that is not advertised");
    }
}

static void what_is_advertised_has_a_handler_and_the_reverse(void **state)
{
    UNUSED(state);
    hold(served_broker_apis, handler_of_broker_api, "broker");
    hold(served_controller_apis, handler_of_controller_api, "controller");
}

static void keys_outside_the_table_have_no_handler(void **state)
{
    static const int16_t keys[] = {-1, INT16_MIN, INT16_MAX, 1000, 95, 200, 32000};

    UNUSED(state);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_null(handler_of_broker_api(keys[i]));
        assert_null(handler_of_controller_api(keys[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_advertised_has_a_handler_and_the_reverse),
        cmocka_unit_test(keys_outside_the_table_have_no_handler),
    };

    return cmocka_run_group_tests_name("server/handlers", tests, NULL, NULL);
}
