/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records/validate_internal.h: what the files of the leader's checks share. Private to records.
 */
#ifndef RECORDS_VALIDATE_INTERNAL_H
#define RECORDS_VALIDATE_INTERNAL_H

#include "records/validate.h"

/* One validation on its way. */
struct validation {
    const struct validate_config *config;
    enum append_origin origin;
    int64_t now_ms;
    struct batch_header header;
    struct slice batch;
    struct compress_context *context;
    struct arena *arena;
    struct writer *out;
    struct append_info *info;
    struct why *why;
    /* gathered over the records */
    int64_t max_timestamp;
    bool offsets_are_dense; /* every offset delta equals its index */
    int32_t index;
    int64_t error_total;
    int32_t error_capacity;
    bool has_timestamp_error;
};

/* Every record of a plain section; of the batch as it is kept, compressed. Errors as append_validate tells them,
 * with the records that are to blame in v->info. */
MUST_USE enum err validation_check_plain(struct validation *v, struct slice records,
                                         int32_t body_bytes_max);
MUST_USE enum err validation_check_stream(struct validation *v);
/* A batch that cannot be read is refused as a whole: no record is blamed. */
MUST_USE enum err validation_fault(struct validation *v, enum err err);

#endif
