/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that no run of ours leaves: each field of each batch, each word of each index and snapshot takes values that
 * another program, an old version or a bug might have written, with a CRC that fits and with one that does not. What
 * must hold: nothing of it is taken for an own bug, nothing hangs, and other logs are none the worse.
 */
#include "failing_calls.h"

#include "records/crc32c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX 8192
#define BATCHES_MAX 64

struct field {
    const char *name;
    size_t at;
    size_t size;
    int64_t values[5];
    int count;
};

static const struct field fields[] = {
    {"base offset", 0, 8, {0, 1, INT64_C(1) << 33, INT64_MAX, -1}, 5},
    {"length", 8, 4, {0, 20, 49, 1 << 20, -1}, 5},
    {"magic", 16, 1, {0, 1, 3, 0, 0}, 3},
    {"attributes", 21, 2, {3, 7, 0x10, 0x30, 0x50}, 5},
    {"last offset delta", 23, 4, {0, 3, INT32_MAX, -1, 0}, 4},
    {"base timestamp", 27, 8, {-1, INT64_MAX, 0, 0, 0}, 3},
    {"largest timestamp", 35, 8, {-1, INT64_MAX, 0, 0, 0}, 3},
    {"producer id", 43, 8, {-1, 7, 8, 9, 0}, 4},
    {"producer epoch", 51, 2, {-1, 5, 0, 0, 0}, 2},
    {"base sequence", 53, 4, {-1, 77, INT32_MAX, 0, 0}, 3},
    {"record count", 57, 4, {0, 2, INT32_MAX, -1, 0}, 4},
    {"length of a record", 61, 1, {0, 0xff, 0x03, 0x7e, 0}, 4},
    {"offset of a record", 64, 1, {0xff, 0x7e, 0x01, 0, 0}, 3},
    {"leader epoch", 12, 4, {-1, 0, 99, 0, 0}, 3},
};

static void value_put(uint8_t *at, size_t size, int64_t value)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)((uint64_t)value >> 8 * (size - 1 - i));
}

static uint32_t load_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Where the batches of a file begin. */
static size_t batches_find(const uint8_t *file, size_t size, size_t *starts)
{
    size_t count = 0;

    for (size_t at = 0; at + 61 <= size && count < BATCHES_MAX; at += 12 + load_be32(file + at + 8))
        starts[count++] = at;
    return count;
}

static const struct scene *scene_named(const char *name)
{
    const struct scene *scene = scenes;

    while (strcmp(scene->name, name) != 0)
        scene++;
    return scene;
}

static void play_begin(struct play *play, const struct scene *scene)
{
    *play = (struct play){0};
    bench_prepare(&play->bench, 1, 2);
    scene->prepare(play);
    if (play->bench.store)
        bench_halt(&play->bench);
}

/* Two lives with what was changed, the second one to see what the first has left. */
static void play_out(struct play *play, const struct scene *scene)
{
    scene->act(play);
    if (play->bench.store)
        bench_halt(&play->bench);
    play_restart(play);
    for (size_t i = 0; i < play->log_count; i++)
        play->expected[i].is_gone = play->expected[i].is_damaged = i == 0;
    play_verify(play);
    bench_close(&play->bench);
}

static size_t file_take(struct play *play, const char *path, uint8_t *file)
{
    if (bench_file_size(&play->bench, path) <= 0)
        return 0;
    return bench_file_get(&play->bench, path, file, FILE_BYTES_MAX);
}

/* ---- batches ---- */

/* False: there is no such batch. */
static bool batch_changed_play(const struct scene *scene, const char *path, size_t number,
                               const struct field *field, int64_t value, bool crc_fits)
{
    static uint8_t file[FILE_BYTES_MAX];
    size_t starts[BATCHES_MAX];
    struct play play;
    size_t size, count;
    uint8_t *batch;

    play_begin(&play, scene);
    size = file_take(&play, path, file);
    count = batches_find(file, size, starts);
    if (number >= count) {
        bench_close(&play.bench);
        return false;
    }
    batch = file + starts[number];
    if (starts[number] + field->at + field->size < size)
        value_put(batch + field->at, field->size, value);
    if (crc_fits) {
        size_t end = number + 1 < count ? starts[number + 1] : size;

        value_put(batch + 17, 4, crc32c(slice_of(batch + 21, end - starts[number] - 21)));
    }
    bench_file_put(&play.bench, path, slice_of(file, size));
    if (getenv("BARNABAS_VERBOSE"))
        print_message("%s %s batch %zu: %s = %lld crc %d\n", scene->name, path, number, field->name,
                      (long long)value, crc_fits);
    play_out(&play, scene);
    return true;
}

static void batches_changed(const char *name, const char *path)
{
    const struct scene *scene = scene_named(name);

    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        for (int value = 0; value < fields[i].count; value++)
            for (size_t number = 0; number < BATCHES_MAX; number++)
                if (!batch_changed_play(scene, path, number, &fields[i], fields[i].values[value],
                                        i != 1))
                    break;
}

static void batches_of_others_are_no_bugs_of_ours_when_a_crashed_log_opens(void **state)
{
    batches_changed("a start after a crash", "/data/topic-0/00000000000000000000.log");
    batches_changed("a start after a crash behind the point",
                    "/data/topic-0/00000000000000000000.log");
}

static void batches_of_others_are_no_bugs_of_ours_when_indexes_are_made_anew(void **state)
{
    batches_changed("a start after a crash without indexes",
                    "/data/topic-0/00000000000000000000.log");
}

static void batches_of_others_are_no_bugs_of_ours_when_a_stopped_log_is_read(void **state)
{
    batches_changed("a start with other bytes in the indexes",
                    "/data/topic-0/00000000000000000000.log");
    batches_changed("a start after a stop", "/data/topic-0/00000000000000000000.log");
}

static void batches_of_others_are_no_bugs_of_ours_when_they_are_compacted(void **state)
{
    batches_changed("compaction after a start", "/data/topic-0/00000000000000000000.log");
}

/* ---- the last segment, whose name depends on what was written ---- */

static bool segment_last(struct play *play, const char *suffix, char out[100])
{
    for (int offset = 60; offset >= 0; offset--) {
        snprintf(out, 100, "/data/topic-0/%020d%s", offset, suffix);
        if (bench_file_size(&play->bench, out) > 0)
            return true;
    }
    return false;
}

static void the_last_batches_of_a_log_may_be_of_others_too(void **state)
{
    static const char *const names[] = {"a start after a crash", "a start after a stop",
                                        "a start after a crash behind the point"};
    char path[100];
    struct play play;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        play_begin(&play, scene_named(names[i]));
        assert_true(segment_last(&play, ".log", path));
        bench_close(&play.bench);
        batches_changed(names[i], path);
    }
}

/* ---- indexes and snapshots ---- */

static void words_changed(const char *name, const char *suffix, bool last)
{
    static const uint32_t values[] = {0, 1, 0x7fffffff, 0xffffffff};
    static uint8_t file[FILE_BYTES_MAX];
    const struct scene *scene = scene_named(name);

    for (size_t at = 0; at < 200; at += 4) {
        for (size_t value = 0; value < ARRAY_COUNT(values); value++) {
            struct play play;
            char path[100];
            size_t size;

            play_begin(&play, scene);
            snprintf(path, sizeof path, "/data/topic-0/%020d%s", 0, suffix);
            if (last && !segment_last(&play, suffix, path))
                path[0] = '\0';
            size = file_take(&play, path, file);
            if (at + 4 > size) {
                bench_close(&play.bench);
                return;
            }
            value_put(file + at, 4, values[value]);
            if (getenv("BARNABAS_VERBOSE"))
                print_message("%s %s at %zu: %x\n", scene->name, path, at, values[value]);
            bench_file_put(&play.bench, path, slice_of(file, size));
            play_out(&play, scene);
        }
    }
}

static void indexes_of_others_are_made_anew_or_refused(void **state)
{
    static const char *const suffixes[] = {".index", ".timeindex", ".txnindex", ".snapshot"};

    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++)
        for (int last = 0; last < 2; last++) {
            words_changed("a start after a crash", suffixes[i], last);
            words_changed("a start after a stop", suffixes[i], last);
            words_changed("a start after a crash behind the point", suffixes[i], last);
        }
    words_changed("compaction after a start", ".txnindex", false);
}

static void files_that_end_early_are_made_anew_or_cut(void **state)
{
    static const char *const names[] = {"a start after a crash", "a start after a stop",
                                        "a start after a crash behind the point",
                                        "compaction after a start"};
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex",
                                           ".snapshot"};
    static uint8_t file[FILE_BYTES_MAX + 16];

    for (size_t name = 0; name < ARRAY_COUNT(names); name++)
        for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++)
            for (int kind = 0; kind < 7; kind++) {
                struct play play;
                char path[100];
                size_t size;

                play_begin(&play, scene_named(names[name]));
                snprintf(path, sizeof path, "/data/topic-0/%020d%s", 0, suffixes[i]);
                if (kind >= 4 && !segment_last(&play, suffixes[i], path)) {
                    bench_close(&play.bench);
                    continue;
                }
                memset(file, 0, sizeof file);
                size = file_take(&play, path, file);
                if (size > 0) {
                    const size_t sizes[] = {0, size - 1, size / 2, size + 12,
                                            0, size - 1, size + 12};

                    bench_file_put(&play.bench, path, slice_of(file, sizes[kind]));
                }
                play_out(&play, scene_named(names[name]));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_others_are_no_bugs_of_ours_when_a_crashed_log_opens),
        cmocka_unit_test(batches_of_others_are_no_bugs_of_ours_when_indexes_are_made_anew),
        cmocka_unit_test(batches_of_others_are_no_bugs_of_ours_when_a_stopped_log_is_read),
        cmocka_unit_test(batches_of_others_are_no_bugs_of_ours_when_they_are_compacted),
        cmocka_unit_test(the_last_batches_of_a_log_may_be_of_others_too),
        cmocka_unit_test(indexes_of_others_are_made_anew_or_refused),
        cmocka_unit_test(files_that_end_early_are_made_anew_or_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
