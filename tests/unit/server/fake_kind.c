/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_kind.c: the kind of coordinators that most tests only name.
 */
#include "server/coordinator_internal.h"

const struct coordinator_kind coordinator_kind_transaction = {
    .topic = {(const uint8_t *)"__transaction_state", 19},
};
