/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codecs: what goes in comes out, limits hold, broken input is an error and never more than that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "compress/compress.h"
#include "compress/compress_internal.h"

#define SEED_DEFAULT 20261124u

struct fixture {
    struct compress_context *context;
    struct writer packed;
    struct writer plain;
    struct random random;
    uint64_t seed;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *text = getenv("BARNABAS_SEED");

    fixture->seed = text ? strtoull(text, NULL, 0) : SEED_DEFAULT;
    random_init(&fixture->random, fixture->seed);
    assert_int_equal(compress_context_open(&fixture->context, &heap_allocator), OK);
    writer_init(&fixture->packed, &heap_allocator, SIZE_MAX);
    writer_init(&fixture->plain, &heap_allocator, SIZE_MAX);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    writer_release(&fixture->packed);
    writer_release(&fixture->plain);
    compress_context_release(&fixture->context);
    free(fixture);
    return 0;
}

/* Bytes with some repetition: runs copied from before. */
static void fill(struct fixture *fixture, uint8_t *out, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t run = (size_t)random_below(&fixture->random, 60) + 1;

        run = MIN(run, size - at);
        if (at > 100 && random_chance(&fixture->random, 2, 3)) {
            size_t back = (size_t)random_below(&fixture->random, at - 60) + 60;

            for (size_t i = 0; i < run; i++)
                out[at + i] = out[at + i - back];
        } else {
            random_fill(&fixture->random, out + at, run);
        }
        at += run;
    }
}

static void pack(struct fixture *fixture, enum compression kind, int level, struct slice in)
{
    writer_reset(&fixture->packed);
    assert_int_equal(compress_bytes(fixture->context, kind, level, in, &fixture->packed), OK);
}

static void assert_unpacks(struct fixture *fixture, enum compression kind, struct slice packed,
                           struct slice expected)
{
    struct slice got;

    writer_reset(&fixture->plain);
    assert_int_equal(
        decompress_bytes(fixture->context, kind, packed, expected.size_bytes, &fixture->plain), OK);
    got = writer_slice(&fixture->plain);
    assert_int_equal(got.size_bytes, expected.size_bytes);
    if (got.size_bytes > 0)
        assert_memory_equal(got.data, expected.data, expected.size_bytes);
}

/* The streamed way, with the limit exactly at the size. */
static void assert_streams(struct fixture *fixture, enum compression kind, struct slice packed,
                           struct slice expected)
{
    struct slice piece;
    size_t at = 0;

    assert_int_equal(decompress_begin(fixture->context, kind, packed, expected.size_bytes), OK);
    do {
        assert_int_equal(decompress_next(fixture->context, &piece), OK);
        assert_true(piece.size_bytes <= expected.size_bytes - at);
        if (piece.size_bytes > 0)
            assert_memory_equal(piece.data, expected.data + at, piece.size_bytes);
        at += piece.size_bytes;
    } while (piece.size_bytes > 0);
    assert_int_equal(at, expected.size_bytes);
    assert_int_equal(decompress_next(fixture->context, &piece), OK);
    assert_int_equal(piece.size_bytes, 0);
}

static void every_codec_gives_back_what_went_in(void **state)
{
    static const size_t sizes[] = {0,     1,     2,         100,       4095,      32767,
                                   32768, 32769, 64 * 1024, 65 * 1024, 300 * 1024};
    struct fixture *fixture = *state;
    uint8_t *in = malloc(300 * 1024);

    for (enum compression kind = 0; kind < COMPRESSION_COUNT; kind++)
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            struct slice plain = slice_of(in, sizes[i]);

            fill(fixture, in, sizes[i]);
            pack(fixture, kind, compression_level_default(kind), plain);
            assert_unpacks(fixture, kind, writer_slice(&fixture->packed), plain);
            assert_streams(fixture, kind, writer_slice(&fixture->packed), plain);
        }
    free(in);
}

static void every_level_is_readable(void **state)
{
    static const int zstd_levels[] = {-131072, -1000, -1, 0, 1, 3, 9, 19, 22};
    struct fixture *fixture = *state;
    uint8_t *in = malloc(100000);
    struct slice plain = slice_of(in, 100000);

    fill(fixture, in, 100000);
    for (int level = -1; level <= 9; level++) {
        pack(fixture, COMPRESSION_GZIP, level, plain);
        assert_unpacks(fixture, COMPRESSION_GZIP, writer_slice(&fixture->packed), plain);
    }
    for (int level = 1; level <= 17; level++) {
        pack(fixture, COMPRESSION_LZ4, level, plain);
        assert_unpacks(fixture, COMPRESSION_LZ4, writer_slice(&fixture->packed), plain);
    }
    for (size_t i = 0; i < ARRAY_COUNT(zstd_levels); i++) {
        pack(fixture, COMPRESSION_ZSTD, zstd_levels[i], plain);
        assert_unpacks(fixture, COMPRESSION_ZSTD, writer_slice(&fixture->packed), plain);
    }
    free(in);
}

static void levels_are_those_of_kafka(void **state)
{
    (void)state;
    assert_int_equal(compression_level_min(COMPRESSION_GZIP), -1);
    assert_int_equal(compression_level_max(COMPRESSION_GZIP), 9);
    assert_int_equal(compression_level_default(COMPRESSION_GZIP), -1);
    assert_int_equal(compression_level_min(COMPRESSION_LZ4), 1);
    assert_int_equal(compression_level_max(COMPRESSION_LZ4), 17);
    assert_int_equal(compression_level_default(COMPRESSION_LZ4), 9);
    assert_int_equal(compression_level_min(COMPRESSION_ZSTD), -131072);
    assert_int_equal(compression_level_max(COMPRESSION_ZSTD), 22);
    assert_int_equal(compression_level_default(COMPRESSION_ZSTD), 3);
    assert_string_equal(compression_name(COMPRESSION_SNAPPY), "snappy");
}

static void frames_begin_as_kafka_writes_them(void **state)
{
    static const uint8_t gzip[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    static const uint8_t snappy[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    static const uint8_t lz4[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
    struct fixture *fixture = *state;
    struct slice plain = SLICE("some bytes, some bytes, some bytes");
    struct slice packed;

    pack(fixture, COMPRESSION_GZIP, -1, plain);
    assert_memory_equal(fixture->packed.data, gzip, sizeof gzip);
    pack(fixture, COMPRESSION_SNAPPY, 0, plain);
    assert_memory_equal(fixture->packed.data, snappy, sizeof snappy);
    pack(fixture, COMPRESSION_LZ4, 9, plain);
    packed = writer_slice(&fixture->packed);
    assert_memory_equal(packed.data, lz4, sizeof lz4);
    assert_memory_equal(packed.data + packed.size_bytes - 4, "\0\0\0\0", 4);
    pack(fixture, COMPRESSION_ZSTD, 3, plain);
    assert_memory_equal(fixture->packed.data, "\x28\xb5\x2f\xfd", 4);
    assert_int_equal(fixture->packed.data[4] & 0xe4, 0); /* no content size, no checksum */
}

static void a_bomb_stops_at_the_limit_in_every_codec(void **state)
{
    const size_t size = 64 * MIB, limit = 100000;
    struct fixture *fixture = *state;
    uint8_t *zeros = calloc(1, size);

    for (enum compression kind = COMPRESSION_GZIP; kind < COMPRESSION_COUNT; kind++) {
        struct slice piece;
        size_t seen = 0;
        enum err err;

        pack(fixture, kind, compression_level_default(kind), slice_of(zeros, size));
        writer_reset(&fixture->plain);
        assert_int_equal(decompress_bytes(fixture->context, kind, writer_slice(&fixture->packed),
                                          limit, &fixture->plain),
                         ERR_TOO_LARGE);
        assert_true(fixture->plain.size_bytes <= limit);
        assert_int_equal(
            decompress_begin(fixture->context, kind, writer_slice(&fixture->packed), limit), OK);
        while ((err = decompress_next(fixture->context, &piece)) == OK)
            seen += piece.size_bytes;
        assert_int_equal(err, ERR_TOO_LARGE);
        assert_true(seen <= limit);
        assert_int_equal(decompress_next(fixture->context, &piece), ERR_TOO_LARGE);
    }
    free(zeros);
}

static void truncated_input_is_an_error_at_every_length(void **state)
{
    struct fixture *fixture = *state;
    uint8_t in[3000];

    fill(fixture, in, sizeof in);
    for (enum compression kind = COMPRESSION_GZIP; kind < COMPRESSION_COUNT; kind++) {
        struct slice whole;

        pack(fixture, kind, compression_level_default(kind), slice_of(in, sizeof in));
        whole = writer_slice(&fixture->packed);
        for (size_t size = 0; size < whole.size_bytes; size++) {
            uint8_t *copy = malloc(size + 1); /* exact, so that ASan sees a step too far */
            enum err err;

            memcpy(copy, whole.data, size);
            writer_reset(&fixture->plain);
            err = decompress_bytes(fixture->context, kind, slice_of(copy, size), sizeof in,
                                   &fixture->plain);
            /* snappy-java's frame has no end: cut at the header it reads as nothing. */
            if (kind == COMPRESSION_SNAPPY && size >= 16 && size < 20)
                assert_int_equal(fixture->plain.size_bytes, 0);
            else
                assert_int_equal(err, ERR_DECOMPRESS);
            free(copy);
        }
    }
}

static void flipped_bits_never_do_harm(void **state)
{
    struct fixture *fixture = *state;
    uint8_t in[2000];

    print_message("seed %llu\n", (unsigned long long)fixture->seed);
    fill(fixture, in, sizeof in);
    for (enum compression kind = COMPRESSION_GZIP; kind < COMPRESSION_COUNT; kind++)
        for (int round = 0; round < 2000; round++) {
            size_t size;
            uint8_t *copy;

            pack(fixture, kind, compression_level_default(kind), slice_of(in, sizeof in));
            size = fixture->packed.size_bytes;
            copy = malloc(size);
            memcpy(copy, fixture->packed.data, size);
            for (uint64_t flips = random_below(&fixture->random, 4) + 1; flips > 0; flips--)
                copy[random_below(&fixture->random, size)] ^=
                    (uint8_t)(1u << random_below(&fixture->random, 8));
            writer_reset(&fixture->plain);
            (void)!decompress_bytes(fixture->context, kind, slice_of(copy, size), 100000,
                                    &fixture->plain);
            assert_true(fixture->plain.size_bytes <= 100000);
            free(copy);
        }
    /* The context is still good. */
    pack(fixture, COMPRESSION_ZSTD, 3, slice_of(in, sizeof in));
    assert_unpacks(fixture, COMPRESSION_ZSTD, writer_slice(&fixture->packed),
                   slice_of(in, sizeof in));
}

static void gzip_members_may_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct slice both = SLICE("first part, second part");

    writer_reset(&fixture->packed);
    assert_int_equal(compress_bytes(fixture->context, COMPRESSION_GZIP, 1, SLICE("first part, "),
                                    &fixture->packed),
                     OK);
    assert_int_equal(compress_bytes(fixture->context, COMPRESSION_GZIP, 9, SLICE("second part"),
                                    &fixture->packed),
                     OK);
    assert_unpacks(fixture, COMPRESSION_GZIP, writer_slice(&fixture->packed), both);
    writer_bytes(&fixture->packed, "trailing", 8);
    assert_unpacks(fixture, COMPRESSION_GZIP, writer_slice(&fixture->packed), both);
}

static void snappy_without_a_frame_is_read(void **state)
{
    static const uint8_t raw[] = {5, 4 << 2, 'h', 'e', 'l', 'l', 'o'};
    struct fixture *fixture = *state;

    assert_unpacks(fixture, COMPRESSION_SNAPPY, slice_of(raw, sizeof raw), SLICE("hello"));
}

static void a_snappy_length_that_cannot_be_true_allocates_nothing(void **state)
{
    static const uint8_t raw[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'};
    struct fixture *fixture = *state;

    writer_reset(&fixture->plain);
    assert_int_equal(decompress_bytes(fixture->context, COMPRESSION_SNAPPY,
                                      slice_of(raw, sizeof raw), SIZE_MAX, &fixture->plain),
                     ERR_DECOMPRESS);
}

struct lz4_case {
    const char *name;
    uint8_t flags, block;
    bool fix_checksum;
    enum err expected;
};

static void lz4_frames_are_checked_as_kafka_checks_them(void **state)
{
    static const struct lz4_case cases[] = {
        {"as written", 0x60, 0x40, true, OK},
        {"larger block size code", 0x60, 0x70, true, OK},
        {"content checksum announced, not compared", 0x64, 0x40, true, OK},
        {"dependent blocks", 0x40, 0x40, true, ERR_DECOMPRESS},
        {"version 2", 0xa0, 0x40, true, ERR_DECOMPRESS},
        {"reserved flag", 0x61, 0x40, true, ERR_DECOMPRESS},
        {"reserved block bit", 0x60, 0x41, true, ERR_DECOMPRESS},
        {"high block bit", 0x60, 0xc0, true, ERR_DECOMPRESS},
        {"block size code 3", 0x60, 0x30, true, ERR_DECOMPRESS},
        {"wrong header checksum", 0x64, 0x40, false, ERR_DECOMPRESS},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t frame[64];
        size_t size;
        enum err err;

        pack(fixture, COMPRESSION_LZ4, 9, SLICE("abcabcabcabcabcabcabc"));
        size = fixture->packed.size_bytes;
        memcpy(frame, fixture->packed.data, size);
        frame[4] = cases[i].flags;
        frame[5] = cases[i].block;
        if (cases[i].fix_checksum)
            frame[6] = (uint8_t)(xxh32(slice_of(frame + 4, 2), 0) >> 8);
        writer_reset(&fixture->plain);
        err = decompress_bytes(fixture->context, COMPRESSION_LZ4, slice_of(frame, size), 1000,
                               &fixture->plain);
        if (err != cases[i].expected)
            fail_msg("%s: %s", cases[i].name, err_name(err));
    }
}

static void lz4_block_checksums_are_compared(void **state)
{
    struct fixture *fixture = *state;
    uint8_t frame[64] = {0x04, 0x22, 0x4d, 0x18, 0x70, 0x40, 0, 3, 0, 0, 0x80, 'a', 'b', 'c'};
    uint32_t checksum = xxh32(SLICE("abc"), 0);

    frame[6] = (uint8_t)(xxh32(slice_of(frame + 4, 2), 0) >> 8);
    for (int i = 0; i < 4; i++)
        frame[14 + i] = (uint8_t)(checksum >> (8 * i));
    assert_unpacks(fixture, COMPRESSION_LZ4, slice_of(frame, 22), SLICE("abc"));
    frame[15] ^= 1;
    writer_reset(&fixture->plain);
    assert_int_equal(decompress_bytes(fixture->context, COMPRESSION_LZ4, slice_of(frame, 22), 100,
                                      &fixture->plain),
                     ERR_DECOMPRESS);
}

static void a_frame_header_cut_behind_its_content_size_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t frame[] = {0x04, 0x22, 0x4d, 0x18, 0x68, 0x40, 1, 0, 0, 0, 0, 0, 0, 0};

    for (size_t size = 0; size <= sizeof frame; size++) {
        uint8_t *copy = malloc(size + (size == 0));

        memcpy(copy, frame, size);
        assert_int_equal(
            decompress_begin(fixture->context, COMPRESSION_LZ4, slice_of(copy, size), 100),
            ERR_DECOMPRESS);
        free(copy);
    }
}

static void lz4_ignores_what_follows_the_end_mark(void **state)
{
    struct fixture *fixture = *state;

    pack(fixture, COMPRESSION_LZ4, 9, SLICE("abc"));
    writer_bytes(&fixture->packed, "xyz", 3);
    assert_unpacks(fixture, COMPRESSION_LZ4, writer_slice(&fixture->packed), SLICE("abc"));
}

static void xxh32_has_its_published_values(void **state)
{
    (void)state;
    assert_int_equal(xxh32(SLICE_EMPTY, 0), 0x02cc5d05);
    assert_int_equal(xxh32(SLICE("a"), 0), 0x550d7456);
    assert_int_equal(xxh32(SLICE("abc"), 0), 0x32d153ff);
    assert_int_equal(xxh32(SLICE("Nobody inspects the spammish repetition"), 0), 0xe2293b2f);
}

static void crc32_has_its_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32_ieee(SLICE("123456789")), 0xcbf43926);
}

static void a_tight_writer_takes_what_really_fits(void **state)
{
    struct fixture *fixture = *state;

    for (enum compression kind = 0; kind < COMPRESSION_COUNT; kind++) {
        struct writer tight;
        uint8_t buffer[200], zeros[5000] = {0};
        struct slice in = slice_of(zeros, kind == COMPRESSION_NONE ? 100 : sizeof zeros);
        size_t size = kind == COMPRESSION_SNAPPY ? 1000 : in.size_bytes;

        in.size_bytes = size;
        writer_init_fixed(&tight, buffer, sizeof buffer);
        assert_int_equal(
            compress_bytes(fixture->context, kind, compression_level_default(kind), in, &tight),
            OK);
        assert_unpacks(fixture, kind, writer_slice(&tight), in);
        writer_init_fixed(&tight, buffer, 10);
        assert_int_equal(
            compress_bytes(fixture->context, kind, compression_level_default(kind), in, &tight),
            ERR_NO_MEMORY);
    }
}

/* Every allocation fails once: an error, nothing leaks, and the next try works. */
static void running_out_of_memory_is_an_ordinary_error(void **state)
{
    struct fixture *fixture = *state;
    uint8_t in[70000];

    fill(fixture, in, sizeof in);
    for (enum compression kind = COMPRESSION_GZIP; kind < COMPRESSION_COUNT; kind++)
        for (int64_t fail_at = 0; fail_at < 12; fail_at++) {
            struct allocator_failing failing;
            struct compress_context *context;
            struct slice piece;

            allocator_failing_init(&failing, &heap_allocator, fail_at, false);
            pack(fixture, kind, compression_level_default(kind), slice_of(in, sizeof in));
            if (compress_context_open(&context, &failing.base) == OK) {
                struct writer out;
                enum err err;

                writer_init(&out, &failing.base, SIZE_MAX);
                err = compress_bytes(context, kind, compression_level_default(kind),
                                     slice_of(in, sizeof in), &out);
                assert_true(err == OK || err == ERR_NO_MEMORY);
                err = decompress_begin(context, kind, writer_slice(&fixture->packed), sizeof in);
                while (err == OK && (err = decompress_next(context, &piece)) == OK)
                    if (piece.size_bytes == 0)
                        break;
                assert_true(err == OK || err == ERR_NO_MEMORY);
                writer_release(&out);
                compress_context_release(&context);
            }
            assert_int_equal(failing.bytes_in_use, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_codec_gives_back_what_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(every_level_is_readable, setup, teardown),
        cmocka_unit_test(levels_are_those_of_kafka),
        cmocka_unit_test_setup_teardown(frames_begin_as_kafka_writes_them, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bomb_stops_at_the_limit_in_every_codec, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_input_is_an_error_at_every_length, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(flipped_bits_never_do_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(gzip_members_may_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(snappy_without_a_frame_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snappy_length_that_cannot_be_true_allocates_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lz4_frames_are_checked_as_kafka_checks_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lz4_block_checksums_are_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_header_cut_behind_its_content_size_is_an_error,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lz4_ignores_what_follows_the_end_mark, setup, teardown),
        cmocka_unit_test(xxh32_has_its_published_values),
        cmocka_unit_test(crc32_has_its_check_value),
        cmocka_unit_test_setup_teardown(a_tight_writer_takes_what_really_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(running_out_of_memory_is_an_ordinary_error, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
