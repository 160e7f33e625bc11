/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "records/record.h"
#include "storage/directories.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- reading ---- */

static void read_done(struct log_read *op)
{
    CONTAINER_OF(op, struct bench_read, op)->is_done = true;
}

enum err bench_read(struct bench *bench, struct log *log, struct bench_read *read)
{
    read->op.done = read_done;
    read->bytes = NULL;
    read->is_done = false;
    if (!log_read_plan(log, &read->op))
        bench_run_until(bench, &read->is_done);
    if (read->op.err != OK || read->op.size_bytes == 0)
        return read->op.err;
    read->bytes = malloc(read->op.size_bytes);
    assert_non_null(read->bytes);
    read->is_done = false;
    log_read_bytes(&read->op, read->bytes);
    bench_run_until(bench, &read->is_done);
    return read->op.err;
}

void bench_read_release(struct bench_read *read)
{
    log_read_release(&read->op);
    free(read->bytes);
    read->bytes = NULL;
}

void bench_index_use(struct bench *bench, struct log *log, int64_t offset)
{
    struct bench_read read = {
        .op = {.offset = offset + 3, .bound_offset = offset + 8, .bytes_max = 1000}};

    OKAY(bench_read(bench, log, &read));
    bench_read_release(&read);
}

static int64_t batch_verify(struct compress_context *context, struct slice batch, int64_t next)
{
    struct batch_header header;
    struct record_walk walk;
    struct record record;
    struct writer value, plain;
    bool more;

    assert_true(batch_is_valid(batch));
    OKAY(batch_header_read(batch, &header));
    assert_int_equal(header.base_offset, next);
    if (batch_is_control(&header))
        return batch_next_offset(&header);
    writer_init(&value, &heap_allocator, SIZE_MAX);
    writer_init(&plain, &heap_allocator, SIZE_MAX);
    OKAY(record_inflate(context, batch, 1 << 24, &plain));
    OKAY(record_walk_begin(&walk, &header, writer_slice(&plain)));
    for (OKAY(record_walk_next(&walk, &record, &more)); more;
         OKAY(record_walk_next(&walk, &record, &more))) {
        writer_reset(&value);
        bench_record_value(next, record.value.size_bytes, &value);
        assert_true(slice_equal(record.value, writer_slice(&value)));
        assert_int_equal(record.offset, next);
        next++;
    }
    writer_release(&plain);
    writer_release(&value);
    assert_int_equal(next, batch_next_offset(&header));
    return next;
}

int64_t bench_verify_bytes(struct slice bytes, int64_t next)
{
    struct compress_context *context;
    struct slice batch;

    OKAY(compress_context_open(&context, &heap_allocator));
    for (OKAY(batch_next(&bytes, &batch)); batch.size_bytes > 0; OKAY(batch_next(&bytes, &batch)))
        next = batch_verify(context, batch, next);
    compress_context_release(&context);
    return next;
}

/* The batches of one read are whole but for the last one: bytes_max may cut it. */
int64_t bench_verify_from(struct bench *bench, struct log *log, int64_t offset)
{
    int64_t next = offset;

    while (next < log_end_written(log)) {
        struct bench_read read = {.op = {.offset = next,
                                         .bound_offset = log_end_written(log),
                                         .bytes_max = 64 * 1024,
                                         .at_least_one = true}};
        int64_t before = next;

        OKAY(bench_read(bench, log, &read));
        assert_true(read.op.size_bytes > 0);
        assert_int_equal(read.op.read_bytes, read.op.size_bytes);
        next = bench_verify_bytes(slice_of(read.bytes, read.op.read_bytes), next);
        assert_true(next > before);
        bench_read_release(&read);
    }
    return next;
}

int64_t bench_verify(struct bench *bench, struct log *log)
{
    return bench_verify_from(bench, log, log_start_offset(log));
}

struct waiting_lookup {
    struct log_lookup op;
    bool is_done;
};

static void lookup_done(struct log_lookup *op)
{
    CONTAINER_OF(op, struct waiting_lookup, op)->is_done = true;
}

enum err bench_lookup(struct bench *bench, struct log *log, int64_t timestamp,
                      struct log_lookup *lookup)
{
    struct waiting_lookup waiting = {.op = {.timestamp = timestamp,
                                            .latest_offset = log_end_written(log),
                                            .bytes_max = 1 << 20,
                                            .done = lookup_done}};

    log_lookup_offset(log, &waiting.op);
    bench_run_until(bench, &waiting.is_done);
    *lookup = waiting.op;
    return waiting.op.err;
}

/* ---- files ---- */

void bench_directory_fail(struct bench *bench)
{
    log_directory_fail(log_directories_at(bench->directories, 0), bench->store, ERR_IO, "a test");
}

int64_t bench_file_size(struct bench *bench, const char *path)
{
    struct arena arena;
    struct slice content;
    enum err err;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    err = sim_disk_peek(bench->os, path, &arena, &content);
    arena_release(&arena);
    return err == OK ? (int64_t)content.size_bytes : -1;
}

void bench_file_put(struct bench *bench, const char *path, struct slice content)
{
    struct os_file *file;
    char folder[256];

    OKAY(os_file_open(bench->os, path, OS_OPEN_WRITE | OS_OPEN_CREATE | OS_OPEN_TRUNCATE, &file));
    if (content.size_bytes > 0)
        OKAY(os_file_write(file, &content, 1, 0));
    OKAY(os_file_sync(file));
    os_file_close(&file);
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    OKAY(os_sync_directory(bench->os, folder));
}

size_t bench_file_get(struct bench *bench, const char *path, void *out, size_t capacity)
{
    struct arena arena;
    struct slice content;
    size_t size_bytes;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_disk_peek(bench->os, path, &arena, &content));
    assert_true(content.size_bytes < capacity);
    size_bytes = content.size_bytes;
    if (size_bytes > 0)
        memcpy(out, content.data, size_bytes);
    ((char *)out)[size_bytes] = '\0';
    arena_release(&arena);
    return size_bytes;
}

int bench_files_count(struct bench *bench, const char *folder, const char *suffix)
{
    struct os_names names;
    struct arena arena;
    int count = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_disk_walk(bench->os, &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]);

        if (strncmp(names.names[i], folder, strlen(folder)) == 0 && size >= strlen(suffix) &&
            strcmp(names.names[i] + size - strlen(suffix), suffix) == 0)
            count++;
    }
    arena_release(&arena);
    return count;
}

int bench_calls_count(struct bench *bench, unsigned calls, const char *part)
{
    return sim_fault_add(bench->os, &(struct sim_fault){.calls = calls,
                                                        .path_part = part,
                                                        .is_sticky = true,
                                                        .effect = SIM_EFFECT_DELAY});
}

int bench_calls_delay(struct bench *bench, unsigned calls, const char *part, int64_t delay_ms)
{
    return sim_fault_add(bench->os, &(struct sim_fault){.calls = calls,
                                                        .path_part = part,
                                                        .is_sticky = true,
                                                        .effect = SIM_EFFECT_DELAY,
                                                        .delay_ns = delay_ms * 1000000});
}

int bench_call_short(struct bench *bench, unsigned calls, const char *part)
{
    return sim_fault_add(bench->os, &(struct sim_fault){.calls = calls,
                                                        .path_part = part,
                                                        .effect = SIM_EFFECT_ERROR,
                                                        .err = ERR_TOO_MANY_FILES});
}

int bench_calls_fail(struct bench *bench, unsigned calls, const char *part, enum err err)
{
    return sim_fault_add(bench->os, &(struct sim_fault){.calls = calls,
                                                        .path_part = part,
                                                        .is_sticky = true,
                                                        .effect = SIM_EFFECT_ERROR,
                                                        .err = err});
}
