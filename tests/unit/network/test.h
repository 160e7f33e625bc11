/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NETWORK_TEST_H
#define TESTS_NETWORK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
