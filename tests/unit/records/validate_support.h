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

/* A batch and the attempt to append it. Between begin and build the spec is changed, before the run batch and config. */
struct trial {
    struct spec spec;
    struct attempt attempt;
    uint8_t *batch;
    size_t size;
};
void trial_begin(struct trial *trial);
void trial_build(struct bench *bench, struct trial *trial);
enum err trial_run(struct bench *bench, struct trial *trial, enum append_origin origin);
void trial_end(struct trial *trial);

#endif
