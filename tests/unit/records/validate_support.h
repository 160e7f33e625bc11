/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to append a batch, as a log makes it: scan, then validation. */
#ifndef TESTS_RECORDS_VALIDATE_SUPPORT_H
#define TESTS_RECORDS_VALIDATE_SUPPORT_H

#include "records/validate.h"
#include "support.h"

#define NOW (T0 + 1000)

struct attempt {
    struct validate_config config;
    struct append_info info;
    struct arena arena;
    struct writer out;
    struct slice rebuilt;
    struct why why;
    enum err err;
};

void attempt_init(struct attempt *attempt);
void attempt_release(struct attempt *attempt);
enum err attempt_run(struct bench *bench, struct attempt *attempt, enum append_origin origin,
                     uint8_t *batch, size_t size);

#endif
