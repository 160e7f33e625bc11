/* SPDX-License-Identifier: Apache-2.0 */
#include "validate_support.h"

void attempt_init(struct attempt *attempt)
{
    memset(attempt, 0, sizeof *attempt);
    validate_config_init(&attempt->config);
    arena_init(&attempt->arena, &heap_allocator, 1 * MIB);
    writer_init(&attempt->out, &heap_allocator, SIZE_MAX);
}

void attempt_release(struct attempt *attempt)
{
    arena_release(&attempt->arena);
    writer_release(&attempt->out);
}

enum err attempt_run(struct bench *bench, struct attempt *attempt, enum append_origin origin,
                     uint8_t *batch, size_t size)
{
    attempt->err = append_scan(slice_of(batch, size), origin, 7, attempt->config.message_bytes_max,
                               &attempt->info, &attempt->why);
    if (attempt->err == OK && attempt->info.valid_bytes > 0)
        attempt->err =
            append_validate(&attempt->config, origin, NOW, batch, bench->context, &attempt->arena,
                            &attempt->out, &attempt->info, &attempt->rebuilt, &attempt->why);
    return attempt->err;
}

void trial_begin(struct trial *trial)
{
    *trial = (struct trial){0};
    spec_init(&trial->spec);
    attempt_init(&trial->attempt);
}

void trial_build(struct bench *bench, struct trial *trial)
{
    trial->batch = bench_batch(bench, &trial->spec, &trial->size);
}

enum err trial_run(struct bench *bench, struct trial *trial, enum append_origin origin)
{
    return attempt_run(bench, &trial->attempt, origin, trial->batch, trial->size);
}

void trial_end(struct trial *trial)
{
    attempt_release(&trial->attempt);
    free(trial->batch);
}
