/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/records/support.h: what the record tests share.
 */
#ifndef TESTS_RECORDS_SUPPORT_H
#define TESTS_RECORDS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "records/batch_builder.h"
#include "records/record.h"

#define T0 1700000000000LL
#define SEED_DEFAULT 20261124u

/* Of BARNABAS_SEED, else the default; printed, so that a failure can be run again. */
uint64_t test_seed(void);
/* Hex with any spaces into malloc'd bytes. */
uint8_t *test_hex(const char *text, size_t *size_bytes_out);
/* CRC-32C the plain way: table driven, from the polynomial. */
uint32_t crc32c_by_table(struct slice in);

/* A context and writers that live for one test. */
struct bench {
    struct compress_context *context;
    struct writer out;
    struct writer scratch;
};
int bench_setup(void **state);
int bench_teardown(void **state);

struct spec {
    struct batch_options options;
    int32_t count;
    int64_t timestamp; /* of the first record */
    int64_t timestamp_step;
    bool null_keys;
    size_t value_bytes; /* 0: "v<index>" */
};
void spec_init(struct spec *spec);
/* A malloc'd batch. */
uint8_t *bench_batch(struct bench *bench, const struct spec *spec, size_t *size_bytes_out);
/* After tests changed fields: makes the CRC true again. */
void batch_fix_crc(uint8_t *batch, size_t size_bytes);
void batch_put(uint8_t *batch, size_t at, size_t width, int64_t value);

#endif
