/* SPDX-License-Identifier: Apache-2.0 */
/* Log directories that Apache Kafka 4.4 left (tests/golden/storage), opened after clean and unclean stop. */
#include "support.h"

#include "records/record.h"
#include "storage/storage_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER "/data/golden-0"
#define BASE_MS INT64_C(1700000000000)
#define RECORDS 48
#define GOLDEN_BYTES_MAX 8192

static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", "none"};

static size_t golden_read(const char *kind, const char *name, uint8_t *out)
{
    char path[1024];
    FILE *file;
    size_t size_bytes;

    snprintf(path, sizeof(path), "%s/%s/%s", getenv("BARNABAS_GOLDEN"), kind, name);
    file = fopen(path, "rb");
    if (!file)
        return SIZE_MAX;
    size_bytes = fread(out, 1, GOLDEN_BYTES_MAX, file);
    fclose(file);
    assert_true(size_bytes < GOLDEN_BYTES_MAX);
    return size_bytes;
}

/* Calls `each` for every file of the partition. */
static void golden_each(struct bench *bench, const char *kind,
                        void (*each)(struct bench *bench, const char *kind, const char *name))
{
    char path[1024];
    struct dirent *entry;
    DIR *folder;
    int count = 0;

    snprintf(path, sizeof(path), "%s/%s/golden-0", getenv("BARNABAS_GOLDEN"), kind);
    folder = opendir(path);
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "golden-0/%s", entry->d_name);
        each(bench, kind, path);
        count++;
    }
    closedir(folder);
    assert_true(count > 20);
}

static void file_copy(struct bench *bench, const char *kind, const char *name)
{
    uint8_t content[GOLDEN_BYTES_MAX];
    size_t size_bytes = golden_read(kind, name, content);
    char path[1024];

    if (size_bytes == SIZE_MAX)
        return;
    snprintf(path, sizeof(path), "/data/%s", name);
    bench_file_put(bench, path, slice_of(content, size_bytes));
}

static void file_compare(struct bench *bench, const char *kind, const char *name)
{
    uint8_t expected[GOLDEN_BYTES_MAX], found[GOLDEN_BYTES_MAX];
    size_t size_bytes = golden_read(kind, name, expected);
    char path[1024];

    snprintf(path, sizeof(path), "/data/%s", name);
    if (bench_file_size(bench, path) != (int64_t)size_bytes)
        fail_msg("%s has %d bytes, not %d", path, (int)bench_file_size(bench, path),
                 (int)size_bytes);
    bench_file_get(bench, path, found, sizeof(found));
    if (memcmp(found, expected, size_bytes) != 0)
        fail_msg("%s has changed", path);
}

static void log_file_compare(struct bench *bench, const char *kind, const char *name)
{
    if (strstr(name, ".log"))
        file_compare(bench, kind, name);
}

static void index_file_compare(struct bench *bench, const char *kind, const char *name)
{
    if (strstr(name, ".log") || strstr(name, "index"))
        file_compare(bench, kind, name);
}

/* An epoch that begins at the end of the log goes when the log is opened, as with Apache. */
static void all_but_epochs_compare(struct bench *bench, const char *kind, const char *name)
{
    if (!strstr(name, EPOCH_FILE))
        file_compare(bench, kind, name);
}

static void golden_place(struct bench *bench, const char *kind)
{
    static const char *const tops[] = {".kafka_cleanshutdown", "recovery-point-offset-checkpoint",
                                       "log-start-offset-checkpoint",
                                       "replication-offset-checkpoint"};
    struct sim_options options;

    sim_options_default(&options);
    options.start_wall_ms = BASE_MS + 1000000; /* before the producers expire */
    bench_prepare_sim(bench, 1, &options, 1);
    OKAY(os_make_directory(bench->os, FOLDER));
    OKAY(os_sync_directory(bench->os, "/data"));
    golden_each(bench, kind, file_copy);
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++)
        file_copy(bench, kind, tops[i]);
    bench->config.retention_ms = -1;
}

static struct log *golden_open(struct bench *bench)
{
    struct log_open request = {.topic = SLICE("golden")};
    struct log *log;

    OKAY(bench_log_open(bench, &request, &log));
    return log;
}

static void record_check(const struct record *record)
{
    const char *codec = codecs[record->offset / 8];
    char text[256] = "", part[64];
    struct slice headers = record->headers;

    snprintf(part, sizeof(part), "value %d of %s ", (int)record->offset, codec);
    for (int i = 0; i < 6; i++)
        strncat(text, part, sizeof(text) - strlen(text) - 1);
    assert_true(slice_equal_text(record->value, text));
    snprintf(text, sizeof(text), "key %d", (int)record->offset);
    assert_true(slice_equal_text(record->key, text));
    assert_int_equal(record->timestamp, BASE_MS + 100000 * (record->offset / 8) + record->offset);
    assert_true(headers.size_bytes > 0);
}

static void records_check(struct bench *bench, struct log *log)
{
    struct compress_context *context;
    int64_t next = 0;

    OKAY(compress_context_open(&context, &heap_allocator));
    while (next < RECORDS) {
        struct bench_read read = {
            .op = {.offset = next, .bound_offset = RECORDS, .bytes_max = 1 << 20}};
        struct slice rest, batch;

        OKAY(bench_read(bench, log, &read));
        assert_true(read.op.size_bytes > 0);
        rest = slice_of(read.bytes, read.op.read_bytes);
        for (OKAY(batch_next(&rest, &batch)); batch.size_bytes > 0;
             OKAY(batch_next(&rest, &batch))) {
            struct batch_header header;
            struct record_walk walk;
            struct record record;
            struct writer plain;
            bool more;

            assert_true(batch_is_valid(batch));
            OKAY(batch_header_read(batch, &header));
            assert_string_equal(compression_name((enum compression)batch_codec(&header)),
                                codecs[next / 8]);
            writer_init(&plain, &heap_allocator, SIZE_MAX);
            OKAY(record_inflate(context, batch, 1 << 20, &plain));
            OKAY(record_walk_begin(&walk, &header, writer_slice(&plain)));
            for (OKAY(record_walk_next(&walk, &record, &more)); more;
                 OKAY(record_walk_next(&walk, &record, &more))) {
                assert_int_equal(record.offset, next++);
                record_check(&record);
            }
            writer_release(&plain);
        }
        bench_read_release(&read);
    }
    compress_context_release(&context);
}

static void lookups_check(struct bench *bench, struct log *log)
{
    struct log_lookup lookup;

    for (int64_t offset = 0; offset < RECORDS; offset += 5) {
        OKAY(bench_lookup(bench, log, BASE_MS + 100000 * (offset / 8) + offset, &lookup));
        assert_int_equal(lookup.offset, offset);
    }
    OKAY(bench_lookup(bench, log, LOG_TIMESTAMP_MAX, &lookup));
    assert_int_equal(lookup.offset, RECORDS - 1);
}

static void log_check(struct bench *bench, struct log *log)
{
    assert_int_equal(log_start_offset(log), 0);
    assert_int_equal(log_end_written(log), RECORDS);
    assert_int_equal(log_segment_count(log), 6);
    assert_true(log_epoch_latest(log) >= 0);
    assert_false(uuid_is_zero(log_topic_id(log)));
    records_check(bench, log);
    lookups_check(bench, log);
}

static void a_clean_directory_of_apache_is_read_and_left_byte_for_byte(void **state)
{
    struct bench bench;
    struct log *log;
    int writes;

    golden_place(&bench, "clean");
    bench_start(&bench);
    assert_true(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    writes = bench_calls_count(&bench, 1u << SIM_CALL_WRITE, FOLDER "/0");
    log = golden_open(&bench);
    assert_int_equal(log_high_watermark(log), RECORDS);
    assert_int_equal(log_recovery_point(log), RECORDS);
    log_check(&bench, log);
    bench_halt(&bench);
    assert_int_equal(sim_fault_hits(bench.os, writes), 0);
    golden_each(&bench, "clean", all_but_epochs_compare);
    bench_close(&bench);
}

static void an_unclean_directory_of_apache_is_recovered_without_a_change_to_its_logs(void **state)
{
    struct bench bench;
    struct log *log;

    golden_place(&bench, "unclean");
    bench_start(&bench);
    assert_false(log_directory_was_clean(log_directories_at(bench.directories, 0)));
    log = golden_open(&bench);
    assert_int_equal(log_high_watermark(log), 0);
    log_check(&bench, log);
    assert_int_equal(producer_state_count(log_producers(log)), 6);
    bench_halt(&bench);
    golden_each(&bench, "unclean", log_file_compare);
    /* The indexes that we make of it are those that Apache made when it stopped in order. */
    golden_each(&bench, "clean", index_file_compare);
    bench_close(&bench);
}

static void apaches_producers_are_known_again(void **state)
{
    struct bench bench;
    struct log *log;
    struct bench_read read = {.op = {.offset = 40, .bound_offset = RECORDS, .bytes_max = 1 << 20}};
    struct batch_header header;

    golden_place(&bench, "clean");
    bench_start(&bench);
    log = golden_open(&bench);
    OKAY(bench_read(&bench, log, &read));
    OKAY(batch_header_read(slice_of(read.bytes, read.op.size_bytes), &header));
    assert_non_null(producer_state_find(log_producers(log), header.producer_id));
    assert_int_equal(
        producer_entry_last_sequence(producer_state_find(log_producers(log), header.producer_id)),
        7);
    bench_read_release(&read);
    bench_close(&bench);
}

static void a_log_of_apache_is_appended_to_and_survives_a_power_cut(void **state)
{
    for (int unclean = 0; unclean < 2; unclean++) {
        struct bench bench;
        struct log *log;

        golden_place(&bench, unclean ? "unclean" : "clean");
        bench_start(&bench);
        log = golden_open(&bench);
        for (int i = 0; i < 10; i++)
            OKAY(bench_append(&bench, log, 1000, 3, 1000));
        OKAY(bench_flush(&bench, log, RECORDS + 30));
        bench_crash(&bench, &(struct sim_crash_options){.drop_weight = 1});
        log = golden_open(&bench);
        assert_int_equal(log_end_written(log), RECORDS + 30);
        records_check(&bench, log);
        assert_int_equal(bench_verify_from(&bench, log, RECORDS), RECORDS + 30);
        bench_close(&bench);
    }
}

static void apaches_meta_properties_are_read(void **state)
{
    struct meta_properties properties;
    struct arena arena;
    struct why why = {""};
    struct bench bench;

    golden_place(&bench, "clean");
    file_copy(&bench, "clean", "meta.properties");
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(meta_properties_read(bench.os, "/data", &arena, &properties, &why));
    assert_int_equal(properties.version, 1);
    assert_int_equal(properties.node_id, 1);
    assert_true(properties.has_directory_id);
    assert_true(slice_equal_text(properties.cluster_id, "aW50ZXJvcC10ZXN0LTAwMQ"));
    arena_release(&arena);
    bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_directory_of_apache_is_read_and_left_byte_for_byte),
        cmocka_unit_test(an_unclean_directory_of_apache_is_recovered_without_a_change_to_its_logs),
        cmocka_unit_test(apaches_producers_are_known_again),
        cmocka_unit_test(a_log_of_apache_is_appended_to_and_survives_a_power_cut),
        cmocka_unit_test(apaches_meta_properties_are_read),
    };

    return cmocka_run_group_tests_name("storage/golden", tests, NULL, NULL);
}
