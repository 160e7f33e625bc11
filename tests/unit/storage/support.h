/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/storage/support.h: a storage engine on a simulated machine: reactor, log directories, one
 * store; the asynchronous calls as waiting ones; a power cut in one line.
 */
#ifndef TESTS_STORAGE_SUPPORT_H
#define TESTS_STORAGE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/sim.h"
#include "reactor/reactor.h"
#include "records/batch_builder.h"
#include "storage/storage.h"

#define OKAY(expression) assert_int_equal((expression), OK)
#define BENCH_DIRECTORY "/data"
#define BENCH_DIRECTORIES_MAX 3
#define BENCH_CLUSTER "bench-cluster-id-00001"

/* The heap as it is, for what a test needs while the one that storage uses is short. */
extern struct allocator bench_heap;

struct bench {
    struct sim *sim;
    struct os *os;
    struct logger logger;
    struct reactor *reactor;
    struct log_directories *directories;
    struct log_store *store;
    struct storage_options options;
    struct log_config config;
    struct storage_listener listener;
    int directories_failed; /* as the listener was told */
    size_t directory_count; /* /data, /data1, /data2 */
    bool is_silent;         /* no logger at all */
    bool verbose;           /* prints what is logged; by BARNABAS_VERBOSE in the environment */
    const bool *waits_for;
};

/* A machine with a formatted directory and a store that runs. */
void bench_open(struct bench *bench, uint64_t seed);
/* The same with several directories; nothing is started yet. */
void bench_prepare(struct bench *bench, uint64_t seed, size_t directory_count);
void bench_prepare_sim(struct bench *bench, uint64_t seed, const struct sim_options *sim_options,
                       size_t directory_count);
/* One whose jobs begin `job_ms` after they were asked for: what comes first is up to the test. */
void bench_prepare_late(struct bench *bench, uint64_t seed, int64_t job_ms);
/* Starts storage on the present machine: directories, reactor, store. */
void bench_start(struct bench *bench);
/* Takes storage apart; on a dead machine too. */
void bench_stop(struct bench *bench, bool clean);
void bench_close(struct bench *bench);
/* Power cut, taking apart, restart of the machine. options NULL: by the seed. */
void bench_cut(struct bench *bench, const struct sim_crash_options *options);
/* An orderly stop and a restart of the machine. */
void bench_halt(struct bench *bench);
/* bench_cut or bench_halt, and bench_start. */
void bench_crash(struct bench *bench, const struct sim_crash_options *options);
void bench_restart(struct bench *bench);
/* Runs until `*flag`; fails the test when that does not come within a simulated hour. When the machine
 * dies its operations end with ERR_CRASHED, so that every wait ends. */
void bench_run_until(struct bench *bench, const bool *flag);
/* Lets virtual time pass. */
void bench_pass(struct bench *bench, int64_t time_ms);

/* ---- logs ---- */

/* The log of `topic`-`partition`, made when it is not there. */
enum err bench_log_try(struct bench *bench, const char *topic, int32_t partition, struct log **out);
struct log *bench_log(struct bench *bench, const char *topic, int32_t partition);
/* With what `request` says; its callback and its settings are filled in. */
enum err bench_log_open(struct bench *bench, struct log_open *request, struct log **out);

struct bench_batch {
    int count; /* of records "v<offset>"; 0: one */
    size_t value_bytes;
    int64_t timestamp;   /* of the first record, the next a millisecond later each; 0: now */
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t sequence;
    bool transactional;
    enum compression codec;
    bool is_control; /* a marker of producer_id */
    bool is_abort;
    int32_t coordinator_epoch;
};
/* The value of the record at `offset`. */
void bench_record_value(int64_t offset, size_t value_bytes, struct writer *out);
/* Bytes whose values are right for a batch that begins at `offset`. */
void bench_batch_build(struct bench *bench, int64_t offset, int32_t leader_epoch,
                       const struct bench_batch *batch, struct writer *out);
/* An append that the test does not wait for. */
struct bench_append {
    struct log_append op;
    bool is_done;
    struct writer bytes;
    struct why why;
};
enum err bench_append_begin(struct bench *bench, struct log *log, enum append_origin origin,
                            int32_t leader_epoch, int64_t offset, const struct bench_batch *batch,
                            struct bench_append *append);
/* Waits for it when it was taken, and frees the bytes. */
enum err bench_append_end(struct bench *bench, struct bench_append *append);
/* Bytes as they are. Waits until written. */
enum err bench_append_bytes(struct bench *bench, struct log *log, uint8_t *data, size_t size_bytes,
                            enum append_origin origin);
/* As a leader of epoch `epoch`: one batch of `count` records "v<offset>" with values of value_bytes
 * (0: as they are). Waits until written. */
enum err bench_append(struct bench *bench, struct log *log, int32_t epoch, int count,
                      size_t value_bytes);
enum err bench_append_batch(struct bench *bench, struct log *log, int32_t epoch,
                            const struct bench_batch *batch);
/* As a follower: the batch begins at `offset`. */
enum err bench_replicate(struct bench *bench, struct log *log, int32_t epoch, int64_t offset,
                         const struct bench_batch *batch);
enum err bench_flush(struct bench *bench, struct log *log, int64_t offset);

/* Plans, and reads what was planned into a buffer of its own. */
struct bench_read {
    struct log_read op;
    bool is_done;
    uint8_t *bytes;
};
enum err bench_read(struct bench *bench, struct log *log, struct bench_read *read);
void bench_read_release(struct bench_read *read);
/* A read in the segment that begins at `offset`, from some batches on: its index is looked into. */
void bench_index_use(struct bench *bench, struct log *log, int64_t offset);
/* Reads [start, end written), checks framing, CRC, order and the values of bench_append; returns the
 * offset behind the last record. */
int64_t bench_verify(struct bench *bench, struct log *log);
int64_t bench_verify_from(struct bench *bench, struct log *log, int64_t offset);
/* Checks the batches in `bytes`, of which the first begins at `next`; returns the offset behind. */
int64_t bench_verify_bytes(struct slice bytes, int64_t next);
enum err bench_lookup(struct bench *bench, struct log *log, int64_t timestamp,
                      struct log_lookup *lookup);

enum err bench_raise_start(struct bench *bench, struct log *log, int64_t offset);
enum err bench_truncate(struct bench *bench, struct log *log, int64_t offset);
enum err bench_truncate_fully(struct bench *bench, struct log *log, int64_t offset);
enum err bench_close_log(struct bench *bench, struct log **log);
enum err bench_delete(struct bench *bench, struct log **log);
enum err bench_make_stray(struct bench *bench, struct log **log);
/* Any of the changes: log_close, log_delete, … */
enum err bench_change(struct bench *bench, struct log *log,
                      void (*change)(struct log *log, struct log_change_op *op));

/* ---- files ---- */

/* -1: not there. */
int64_t bench_file_size(struct bench *bench, const char *path);
/* Replaces a file with these bytes, durably. For a machine whose store is stopped. */
void bench_file_put(struct bench *bench, const char *path, struct slice content);
/* The whole file into a buffer of `capacity`, as text with a zero behind it. */
size_t bench_file_get(struct bench *bench, const char *path, void *out, size_t capacity);
/* How many files below `folder` have a path that ends in `suffix`. */
int bench_files_count(struct bench *bench, const char *folder, const char *suffix);
/* Counts the calls (1u << SIM_CALL_…) on paths with `part`: sim_fault_hits tells how many. */
int bench_calls_count(struct bench *bench, unsigned calls, const char *part);
/* All such calls take `delay_ms` longer; a job that made one ends so much later. */
int bench_calls_delay(struct bench *bench, unsigned calls, const char *part, int64_t delay_ms);
/* The next such call finds no descriptor: what can wait is done again 50 ms later. */
int bench_call_short(struct bench *bench, unsigned calls, const char *part);
/* The directory goes offline for something that is none of the log's business. */
void bench_directory_fail(struct bench *bench);
/* The next such call fails, and all later ones. */
int bench_calls_fail(struct bench *bench, unsigned calls, const char *part, enum err err);

#endif
