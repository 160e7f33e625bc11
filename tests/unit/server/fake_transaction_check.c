/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fake_transaction_check.c: questions to transaction coordinators, answered by the
 * test.
 */
#include "data_support.h"

#include "server/transaction_check.h"

static void check_back(struct mail *mail, struct reactor *to)
{
    struct transaction_check *check = CONTAINER_OF(mail, struct transaction_check, call.mail);

    UNUSED(to);
    check->done(check);
}

void rig_check_answer(struct rig *rig, size_t index, enum err err)
{
    struct transaction_check *check = rig->checks[index];

    assert_non_null(check);
    rig->checks[index] = NULL;
    check->err = err;
    check->call.mail = (struct mail){.deliver = check_back};
    reactor_send(check->home->reactor, check->home->reactor, &check->call.mail);
}

void transaction_check_submit(struct shard *home, struct transaction_check *check)
{
    struct rig *rig = CONTAINER_OF(home->node, struct rig, node);

    assert_true(rig->check_count < RIG_CHECKS_MAX);
    check->home = home;
    rig->checks[rig->check_count++] = check;
    if (!rig->checks_held)
        rig_check_answer(rig, rig->check_count - 1, rig->check_err);
}
