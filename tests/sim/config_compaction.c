/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_compaction.c: what keys change of compaction.
 */
#include "config_observe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Three records of one key, the third in another segment. */
static void history_write(struct lab *lab)
{
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){.value_bytes = 3000}, NULL), 0);
    lab_pass(lab, 2000);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
}

int64_t is_cleaned_after(struct lab *lab, const char *argument)
{
    history_write(lab);
    lab_pass(lab, strtoll(argument, NULL, 10));
    return lab_file_has(lab, "/data/cleaner-offset-checkpoint", "t 0 2");
}
