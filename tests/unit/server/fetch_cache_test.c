/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/server/fetch_cache_test.c: ranges that were read and looked at, and the cache of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/allocator.h"
#include "base/assert.h"
#include "base/random.h"
#include "records/batch.h"
#include "server/fetch_cache.h"

/* A segment's file: batches of one record each. */
struct file {
    uint8_t *bytes;
    size_t size_bytes, capacity_bytes;
    int64_t next_offset;
    size_t starts[8192];
    size_t count;
};

static void file_add(struct file *file, size_t batch_bytes, int64_t base_offset, int32_t records)
{
    struct batch_header header = {.base_offset = base_offset,
                                  .batch_length = (int32_t)(batch_bytes - BATCH_PREFIX_BYTES),
                                  .magic = BATCH_MAGIC,
                                  .last_offset_delta = records - 1,
                                  .producer_id = PRODUCER_ID_NONE,
                                  .record_count = records};

    assert_true(file->size_bytes + batch_bytes <= file->capacity_bytes);
    assert_true(file->count < ARRAY_COUNT(file->starts));
    memset(file->bytes + file->size_bytes, (int)(base_offset & 0xff), batch_bytes);
    batch_header_write(&header, file->bytes + file->size_bytes, batch_bytes);
    file->starts[file->count++] = file->size_bytes;
    file->size_bytes += batch_bytes;
    file->next_offset = base_offset + records;
}

/* `count` batches of two records, of `least` to `most` bytes. */
static struct file *file_make(int count, size_t least, size_t most, uint64_t seed)
{
    struct file *file = test_calloc(1, sizeof *file);
    struct random random;

    random_init(&random, seed);
    file->capacity_bytes = (size_t)count * most;
    file->bytes = test_malloc(file->capacity_bytes);
    for (int i = 0; i < count; i++)
        file_add(file, (size_t)random_between(&random, (int64_t)least, (int64_t)most),
                 file->next_offset, 2);
    return file;
}

static void file_free(struct file *file)
{
    test_free(file->bytes);
    test_free(file);
}

/* What a reader that wants `size_bytes` from batch `first` on reads and knows. */
static void range_read(const struct file *file, size_t first, size_t size_bytes,
                       struct fetch_range *out)
{
    size_t at = file->starts[first];
    size_t left = MIN(size_bytes, file->size_bytes - at);

    *out = (struct fetch_range){.incarnation = 7, .position_bytes = (int64_t)at};
    assert_int_equal(
        fetch_range_verify(slice_of(file->bytes + at, left), 0, 0, INT64_MAX, out, NULL), left);
}

static struct fetch_want want_of(const struct file *file, size_t first, size_t size_bytes)
{
    return (struct fetch_want){.incarnation = 7,
                               .position_bytes = (int64_t)file->starts[first],
                               .size_bytes = size_bytes,
                               .offset = (int64_t)first * 2,
                               .bound_offset = INT64_MAX};
}

/* ---- ranges ---- */

static void a_range_is_as_long_as_its_whole_batches(void **state)
{
    struct file *file = file_make(10, 100, 100, 1);
    struct fetch_range range;

    UNUSED(state);
    range_read(file, 0, 550, &range);
    assert_int_equal(range.size_bytes, 500);
    assert_int_equal(range.next_offset, 10);
    range_read(file, 0, 99, &range); /* not one */
    assert_int_equal(range.size_bytes, 0);
    file_free(file);
}

/* As Apache: cut in the midst of a batch, where the reader's limit is. */
static void what_follows_the_last_whole_batch_is_sent_too(void **state)
{
    static const size_t sizes[] = {550, 505, 500, 99};
    static const struct fetch_whole found[] = {{500, 10}, {500, 10}, {500, 10}, {0, -1}};
    struct file *file = file_make(10, 100, 100, 1);

    UNUSED(state);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct fetch_whole whole = {0, -1};

        assert_int_equal(
            fetch_range_verify(slice_of(file->bytes, sizes[i]), 0, 0, INT64_MAX, NULL, &whole),
            sizes[i]);
        assert_int_equal(whole.size_bytes, found[i].size_bytes);
        assert_int_equal(whole.next_offset, found[i].next_offset);
    }
    file_free(file);
}

static void a_range_ends_before_the_first_broken_batch(void **state)
{
    struct file *file = file_make(10, 100, 100, 1);
    struct fetch_range range = {.incarnation = 7};

    UNUSED(state);
    file->bytes[350] ^= 1;
    assert_int_equal(fetch_range_verify(slice_of(file->bytes, 1000), 0, 0, INT64_MAX, &range, NULL),
                     300);
    assert_int_equal(range.size_bytes, 300);
    assert_int_equal(range.next_offset, 6);
    file_free(file);
}

/* Any place, any size, beside a walk from the first byte. */
static void a_cut_is_the_whole_batches_from_that_place_on(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct file *file = file_make(400, 61, seed % 2 ? 100 : 5000, seed);
        struct fetch_range range;
        struct random random;

        random_init(&random, seed);
        range_read(file, 5, 1 + random_below(&random, file->size_bytes), &range);
        for (int i = 0; i < 200; i++) {
            size_t first = random_below(&random, file->count);
            struct fetch_want want =
                want_of(file, first, 1 + random_below(&random, file->size_bytes));
            size_t expected = 0;
            struct slice cut;

            want.bound_offset =
                random_chance(&random, 1, 2) ? INT64_MAX : (int64_t)random_below(&random, 800);
            for (size_t at = first; first >= 5 && at < file->count; at++) {
                size_t end = at + 1 < file->count ? file->starts[at + 1] : file->size_bytes;

                if (end - file->starts[first] > want.size_bytes ||
                    end > (size_t)range.position_bytes + range.size_bytes ||
                    (int64_t)at * 2 + 1 >= want.bound_offset)
                    break;
                expected = end - file->starts[first];
            }
            cut = fetch_range_cut(&range, &want);
            assert_int_equal(cut.size_bytes, expected);
            if (expected > 0)
                assert_ptr_equal(cut.data, file->bytes + file->starts[first]);
        }
        file_free(file);
    }
}

static void nothing_is_cut_where_no_batch_begins(void **state)
{
    struct file *file = file_make(100, 61, 300, 3);
    struct fetch_range range;
    size_t start = 0;

    UNUSED(state);
    range_read(file, 0, file->size_bytes, &range);
    for (size_t at = 0; at < file->size_bytes; at++) {
        struct fetch_want want = {.incarnation = 7,
                                  .position_bytes = (int64_t)at,
                                  .size_bytes = SIZE_MAX / 2,
                                  .bound_offset = INT64_MAX};
        bool is_start = start < file->count && file->starts[start] == at;

        start += is_start;
        assert_int_equal(fetch_range_cut(&range, &want).size_bytes > 0, is_start);
    }
    file_free(file);
}

static void a_cut_begins_with_the_batch_that_was_asked_for(void **state)
{
    struct file *file = file_make(10, 100, 100, 1);
    struct fetch_range range;
    struct fetch_want want = want_of(file, 3, 1000);

    UNUSED(state);
    range_read(file, 0, 1000, &range);
    want.offset = 7; /* the last one of the batch */
    assert_int_equal(fetch_range_cut(&range, &want).size_bytes, 700);
    want.offset = 8;
    assert_int_equal(fetch_range_cut(&range, &want).size_bytes, 0);
    want.offset = 7;
    want.floor_offset = 7; /* it cannot begin there */
    assert_int_equal(fetch_range_cut(&range, &want).size_bytes, 0);
    want.floor_offset = 6;
    want.incarnation = 8;
    assert_int_equal(fetch_range_cut(&range, &want).size_bytes, 0);
    file_free(file);
}

/* ---- the cache ---- */

static int let_go_count;

static void let_go(struct fetch_range *range)
{
    UNUSED(range);
    let_go_count++;
}

static void cache_make(struct fetch_cache *cache, size_t bytes_max)
{
    let_go_count = 0;
    fetch_cache_init(cache, bytes_max, let_go);
}

static void one_reader_alone_keeps_nothing(void **state)
{
    struct fetch_cache cache;
    int me, other;

    UNUSED(state);
    cache_make(&cache, 16 * MIB);
    for (int64_t i = 0; i < 100; i++) {
        struct fetch_want want = {.incarnation = 1, .position_bytes = i * 1000000};

        assert_false(fetch_cache_reads(&cache, &want, &me, 1000 + i));
    }
    assert_true(fetch_cache_reads(
        &cache, &(struct fetch_want){.incarnation = 1, .position_bytes = 98000000}, &other, 1200));
    assert_true(fetch_cache_reads(
        &cache, &(struct fetch_want){.incarnation = 1, .position_bytes = 99500000}, &other,
        1300)); /* for some seconds */
    assert_false(fetch_cache_reads(
        &cache, &(struct fetch_want){.incarnation = 1, .position_bytes = 99600000}, &other, 7000));
    fetch_cache_fini(&cache);
}

static void readers_far_from_each_other_keep_nothing(void **state)
{
    struct fetch_cache cache;
    int readers[2];

    UNUSED(state);
    cache_make(&cache, 16 * MIB);
    for (int64_t i = 0; i < 100; i++) {
        struct fetch_want want = {.incarnation = 1,
                                  .position_bytes = i * 1000000 + (i % 2) * 50000000};

        assert_false(fetch_cache_reads(&cache, &want, &readers[i % 2], 1000 + i));
    }
    fetch_cache_fini(&cache);
}

static void the_least_recently_used_range_goes_first(void **state)
{
    struct fetch_cache cache;
    struct file *file = file_make(64, 16384, 16384, 1);
    struct fetch_range ranges[4], *found;
    struct fetch_want want;
    struct slice bytes;

    UNUSED(state);
    cache_make(&cache, 3 * 65536);
    for (size_t i = 0; i < 4; i++)
        range_read(file, i * 4, 65536, &ranges[i]);
    for (size_t i = 0; i < 3; i++)
        assert_true(fetch_cache_put(&cache, &ranges[i], 65536, 10));
    want = want_of(file, 0, 65536);
    assert_int_equal(fetch_cache_find(&cache, &want, 20, &found, &bytes), FETCH_FOUND);
    assert_ptr_equal(found, &ranges[0]);
    assert_int_equal(bytes.size_bytes, 65536);
    assert_true(fetch_cache_put(&cache, &ranges[3], 65536, 30));
    assert_int_equal(let_go_count, 1);
    assert_int_equal(cache.bytes, 3 * 65536);
    assert_int_equal(fetch_cache_find(&cache, &want, 40, &found, &bytes), FETCH_FOUND);
    want = want_of(file, 4, 65536);
    assert_int_equal(fetch_cache_find(&cache, &want, 40, &found, &bytes), FETCH_FOUND_NONE);
    fetch_cache_fini(&cache);
    assert_int_equal(let_go_count, 4);
    file_free(file);
}

static void what_nobody_uses_goes_after_some_seconds_and_all_memory_with_it(void **state)
{
    struct fetch_cache cache;
    struct file *file = file_make(8, 16384, 16384, 1);
    struct fetch_range ranges[2], *found;
    struct fetch_want want = want_of(file, 0, 65536);
    struct slice bytes;

    UNUSED(state);
    cache_make(&cache, MIB);
    range_read(file, 0, 65536, &ranges[0]);
    range_read(file, 4, 65536, &ranges[1]);
    assert_true(fetch_cache_put(&cache, &ranges[0], 65536, 1000));
    assert_true(fetch_cache_put(&cache, &ranges[1], 65536, 1000));
    assert_int_equal(fetch_cache_find(&cache, &want, 4000, &found, &bytes), FETCH_FOUND);
    assert_true(fetch_cache_expire(&cache, 6000));
    assert_int_equal(cache.count, 1);
    assert_int_equal(fetch_cache_find(&cache, &want, 6000, &found, &bytes), FETCH_FOUND);
    assert_false(fetch_cache_expire(&cache, 11000));
    assert_int_equal(cache.count, 0);
    assert_int_equal(let_go_count, 2);
    assert_null(cache.slots);
    fetch_cache_fini(&cache);
    file_free(file);
}

static void a_shorter_range_of_the_same_place_gives_way(void **state)
{
    struct fetch_cache cache;
    struct file *file = file_make(8, 16384, 16384, 1);
    struct fetch_range ranges[2], *found;
    struct fetch_want want = want_of(file, 0, 131072);
    struct slice bytes;

    UNUSED(state);
    cache_make(&cache, MIB);
    range_read(file, 0, 32768, &ranges[0]);
    range_read(file, 0, 131072, &ranges[1]);
    assert_true(fetch_cache_put(&cache, &ranges[0], 65536, 1000));
    assert_int_equal(fetch_cache_find(&cache, &want, 1000, &found, &bytes), FETCH_FOUND_NONE);
    assert_true(fetch_cache_put(&cache, &ranges[1], 131072, 1000));
    assert_int_equal(let_go_count, 1);
    assert_int_equal(fetch_cache_find(&cache, &want, 1000, &found, &bytes), FETCH_FOUND);
    assert_int_equal(bytes.size_bytes, 131072);
    assert_false(fetch_cache_put(&cache, &ranges[0], 65536, 1000));
    assert_int_equal(cache.count, 1);
    fetch_cache_fini(&cache);
    file_free(file);
}

/* Readers that begin some batches apart: how much is read, and how often, until all have read all. */
static void readers_whose_positions_differ_meet_again(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        static const size_t most[] = {2000, 20000, 130000};
        static struct fetch_range ranges[512];
        struct file *file = file_make(seed % 3 == 0 ? 8000 : 800, 61, most[seed % 3], seed);
        size_t next[6], count = 0, read_bytes = 0, requests = 0, least_requests;
        size_t size_bytes = file->size_bytes / 12;
        struct fetch_cache cache;
        struct random random;
        bool is_any = true;

        random_init(&random, seed);
        cache_make(&cache, SIZE_MAX);
        least_requests = 6 * (file->size_bytes / size_bytes + 1);
        for (int i = 0; i < 6; i++)
            next[i] = random_below(&random, 40);
        for (size_t turn = 0; is_any; turn++) {
            is_any = false;
            for (int i = 0; i < 6; i++) {
                struct fetch_range *found;
                struct fetch_want want;
                struct slice bytes;
                enum fetch_found how;
                size_t end;

                if (next[i] >= file->count)
                    continue;
                is_any = true;
                requests++;
                want = want_of(file, next[i],
                               MIN(size_bytes, file->size_bytes - file->starts[next[i]]));
                how = fetch_cache_find(&cache, &want, 1000, &found, &bytes);
                if (how == FETCH_FOUND_END)
                    want.size_bytes = MAX(want.size_bytes / 2, most[seed % 3]);
                if (how != FETCH_FOUND) {
                    assert_true(count < ARRAY_COUNT(ranges));
                    range_read(file, next[i], want.size_bytes, &ranges[count]);
                    bytes.size_bytes = ranges[count].size_bytes;
                    read_bytes += bytes.size_bytes;
                    if (how == FETCH_FOUND_NONE)
                        (void)fetch_cache_put(&cache, &ranges[count], 1, 1000);
                    count++;
                }
                assert_true(bytes.size_bytes > 0);
                end = file->starts[next[i]] + bytes.size_bytes;
                while (next[i] < file->count && file->starts[next[i]] < end)
                    next[i]++;
            }
        }
        assert_true(read_bytes < file->size_bytes + 6 * size_bytes);
        assert_true(requests < least_requests + 6 * 4 + least_requests / 4);
        fetch_cache_fini(&cache);
        file_free(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_as_long_as_its_whole_batches),
        cmocka_unit_test(what_follows_the_last_whole_batch_is_sent_too),
        cmocka_unit_test(a_range_ends_before_the_first_broken_batch),
        cmocka_unit_test(a_cut_is_the_whole_batches_from_that_place_on),
        cmocka_unit_test(nothing_is_cut_where_no_batch_begins),
        cmocka_unit_test(a_cut_begins_with_the_batch_that_was_asked_for),
        cmocka_unit_test(one_reader_alone_keeps_nothing),
        cmocka_unit_test(readers_far_from_each_other_keep_nothing),
        cmocka_unit_test(the_least_recently_used_range_goes_first),
        cmocka_unit_test(what_nobody_uses_goes_after_some_seconds_and_all_memory_with_it),
        cmocka_unit_test(a_shorter_range_of_the_same_place_gives_way),
        cmocka_unit_test(readers_whose_positions_differ_meet_again),
    };

    return cmocka_run_group_tests_name("server/fetch_cache", tests, NULL, NULL);
}
