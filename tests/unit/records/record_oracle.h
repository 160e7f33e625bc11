/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/records/record_oracle.h: what append_validate must say of the records of a batch, found the slow
 * way: byte after byte, field after field, one record after the other, each rule where Kafka has it. It shares
 * no line with src/records but the header's fields and the texts' arguments.
 */
#ifndef TESTS_RECORDS_RECORD_ORACLE_H
#define TESTS_RECORDS_RECORD_ORACLE_H

#include "records/validate.h"

#define ORACLE_ERRORS_MAX 4096

enum oracle_fault { FAULT_NONE, FAULT_MALFORMED, FAULT_UNREADABLE, FAULT_TOO_LARGE };

struct oracle {
    enum err err;
    enum oracle_fault fault; /* of the batch as a whole, at record `index` */
    int32_t index;           /* records that were read */
    int64_t max_timestamp;
    bool is_dense; /* offset deltas 0, 1, 2… */
    int64_t error_total;
    bool has_timestamp_error;
    int32_t error_indexes[ORACLE_ERRORS_MAX];
};

/* `records`: the plain section; of a compressed batch what could be inflated of it, and in `tail` why that ended
 * (OK: with its end). is_streamed: the rules of a compressed batch that keeps its codec. */
void oracle_walk(struct oracle *oracle, const struct validate_config *config, int64_t now_ms,
                 const struct batch_header *header, struct slice records, enum err tail,
                 bool is_streamed);

/* Holds an outcome of append_validate against it: NULL, or in what they differ. */
const char *oracle_objection(const struct oracle *oracle, const struct validate_config *config,
                             int64_t now_ms, enum err err, const struct append_info *info,
                             const struct why *why, bool is_streamed);

#endif
