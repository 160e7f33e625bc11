/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <ctype.h>

uint64_t test_seed(void)
{
    const char *text = getenv("BARNABAS_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : SEED_DEFAULT;

    print_message("BARNABAS_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint8_t *test_hex(const char *text, size_t *size_bytes_out)
{
    uint8_t *out = malloc(strlen(text) / 2 + 1);
    size_t digits = 0;

    for (; *text; text++) {
        int c = tolower((unsigned char)*text);
        uint8_t digit;

        if (isspace(c))
            continue;
        assert_true(isxdigit(c));
        digit = (uint8_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
        out[digits / 2] = (uint8_t)(digits % 2 == 0 ? digit << 4 : (out[digits / 2] | digit));
        digits++;
    }
    assert_int_equal(digits % 2, 0);
    *size_bytes_out = digits / 2;
    return out;
}

uint32_t crc32c_by_table(struct slice in)
{
    uint32_t table[256], crc = 0xffffffffu;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;

        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0x82f63b78u : value >> 1;
        table[i] = value;
    }
    for (size_t i = 0; i < in.size_bytes; i++)
        crc = table[(crc ^ in.data[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    if (compress_context_open(&bench->context, &heap_allocator) != OK)
        return -1;
    writer_init(&bench->out, &heap_allocator, SIZE_MAX);
    writer_init(&bench->scratch, &heap_allocator, SIZE_MAX);
    *state = bench;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *bench = *state;

    writer_release(&bench->out);
    writer_release(&bench->scratch);
    compress_context_release(&bench->context);
    free(bench);
    return 0;
}

void spec_init(struct spec *spec)
{
    *spec = (struct spec){.count = 3, .timestamp = T0, .timestamp_step = 10};
    batch_options_init(&spec->options);
}

uint8_t *bench_batch(struct bench *bench, const struct spec *spec, size_t *size_bytes_out)
{
    struct batch_builder builder;
    struct slice batch;
    uint8_t *copy, *large = calloc(1, spec->value_bytes + 1);

    writer_reset(&bench->out);
    batch_builder_begin(&builder, &spec->options, bench->context, &bench->scratch, &bench->out);
    for (int32_t i = 0; i < spec->count; i++) {
        char key[16], value[16];
        struct batch_record record = {
            .timestamp = spec->timestamp + i * spec->timestamp_step,
            .key = spec->null_keys ? SLICE_NULL
                                   : slice_of(key, (size_t)snprintf(key, sizeof key, "k%d", i)),
            .value = slice_of(value, (size_t)snprintf(value, sizeof value, "v%d", i)),
        };

        if (spec->value_bytes > 0)
            record.value = slice_of(large, spec->value_bytes);
        assert_int_equal(batch_builder_append(&builder, &record), OK);
    }
    assert_int_equal(batch_builder_finish(&builder, &batch), OK);
    copy = malloc(batch.size_bytes);
    memcpy(copy, batch.data, batch.size_bytes);
    *size_bytes_out = batch.size_bytes;
    free(large);
    return copy;
}

void batch_put(uint8_t *batch, size_t at, size_t width, int64_t value)
{
    for (size_t i = 0; i < width; i++)
        batch[at + i] = (uint8_t)((uint64_t)value >> (8 * (width - 1 - i)));
}

void batch_fix_crc(uint8_t *batch, size_t size_bytes)
{
    batch_put(batch, 17, 4, crc32c_by_table(slice_of(batch + 21, size_bytes - 21)));
}
