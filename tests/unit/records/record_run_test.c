/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records are checked many at a time, and nobody can tell: outcome, record blamed, reason and largest timestamp
 * are those of a reader that goes byte after byte (record_oracle.h), for whole, odd and damaged batches.
 */
#include "record_oracle.h"
#include "records/record_run.h"
#include "validate_support.h"

/* What the records of one batch are like. */
struct style {
    int32_t count;
    uint64_t key_max, value_max, header_max, delta_max;
    bool is_sparse;   /* offset deltas with gaps */
    bool is_overlong; /* numbers with bytes they do not need */
    bool is_lying;    /* lengths that are not those of the fields */
    bool is_nameless; /* some headers have no key */
};

static void number_write(struct random *random, const struct style *style, struct writer *out,
                         int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    bool is_longer = style->is_overlong && random_chance(random, 1, 20);

    for (; zigzag >= 0x80; zigzag >>= 7)
        writer_u8(out, (uint8_t)(zigzag | 0x80));
    writer_u8(out, (uint8_t)(zigzag | (is_longer ? 0x80 : 0)));
    if (is_longer)
        writer_u8(out, 0);
}

static void field_write(struct random *random, const struct style *style, struct writer *out,
                        uint64_t size_max, bool may_be_null)
{
    uint64_t size = random_below(random, size_max + 1);

    if (may_be_null && random_chance(random, 1, 4)) {
        number_write(random, style, out, random_chance(random, 1, 8) ? -7 : -1);
        return;
    }
    number_write(random, style, out, (int64_t)size);
    for (uint64_t i = 0; i < size; i++)
        writer_u8(out, (uint8_t)random_u64(random));
}

static void record_write(struct random *random, const struct style *style, struct writer *body,
                         struct writer *out, int64_t offset_delta)
{
    uint64_t headers = style->header_max == 0 ? 0 : random_below(random, style->header_max + 1);
    int64_t size;

    writer_reset(body);
    writer_u8(body, 0);
    number_write(random, style, body,
                 random_between(random, -(int64_t)style->delta_max / 4, (int64_t)style->delta_max));
    number_write(random, style, body, offset_delta);
    field_write(random, style, body, style->key_max, true);
    field_write(random, style, body, style->value_max, true);
    number_write(random, style, body, (int64_t)headers);
    for (uint64_t i = 0; i < headers; i++) {
        field_write(random, style, body, 5, style->is_nameless && random_chance(random, 1, 100));
        field_write(random, style, body, 200, true);
    }
    size = (int64_t)body->size_bytes;
    if (style->is_lying && random_chance(random, 1, 30))
        size += random_between(random, -1, 1);
    number_write(random, style, out, size);
    writer_bytes(out, body->data, body->size_bytes);
}

static const uint64_t sizes[] = {0, 3, 70, 100, 300, 9000};
static const uint64_t deltas[] = {0, 100, 10000, 2000000, 1ull << 40};

static void style_draw(struct random *random, struct style *style)
{
    static const int32_t counts[] = {1, 2, 5, 70, 400, 9000};

    *style = (struct style){
        .count = counts[random_below(random, ARRAY_COUNT(counts))],
        .key_max = sizes[random_below(random, 4)],
        .value_max = sizes[random_below(random, ARRAY_COUNT(sizes))],
        .header_max = random_chance(random, 1, 3) ? random_below(random, 4) : 0,
        .delta_max = deltas[random_below(random, ARRAY_COUNT(deltas))],
        .is_sparse = random_chance(random, 1, 10),
        .is_overlong = random_chance(random, 1, 6),
        .is_lying = random_chance(random, 1, 8),
        .is_nameless = random_chance(random, 1, 4),
    };
    if (style->count > 400)
        style->value_max = style->key_max = 3;
}

static void section_make(struct random *random, const struct style *style, struct writer *out)
{
    struct writer body;
    int64_t offset = 0;

    writer_init(&body, &heap_allocator, SIZE_MAX);
    writer_reset(out);
    for (int32_t i = 0; i < style->count; i++) {
        record_write(random, style, &body, out, offset);
        offset += 1 + (style->is_sparse && random_chance(random, 1, 50));
    }
    writer_release(&body);
}

static void damage(struct random *random, uint8_t *bytes, size_t size)
{
    uint64_t hits = random_between(random, 1, 3) > 1 ? 1 : random_below(random, 20);

    for (uint64_t i = 0; i < hits && size > 0; i++)
        bytes[random_below(random, size)] ^= (uint8_t)(1u << random_below(random, 8));
}

static void config_draw(struct random *random, struct validate_config *config)
{
    validate_config_init(config);
    config->compacted = random_chance(random, 1, 4);
    config->log_append_time = random_chance(random, 1, 8);
    if (random_chance(random, 1, 3))
        config->timestamp_before_max_ms = random_between(random, 0, 20000);
    if (random_chance(random, 1, 3))
        config->timestamp_after_max_ms = random_between(random, 0, 20000);
    if (random_chance(random, 1, 6))
        config->timestamp_after_max_ms = INT64_MAX; /* then times may wrap */
    config->message_bytes_max = INT32_MAX;
    if (random_chance(random, 1, 6))
        config->inflated_bytes_max = (int32_t)random_between(random, 0, 500);
    if (random_chance(random, 1, 6))
        config->inflated_batch_bytes_max = random_between(random, 1, 100000);
}

/* A batch of the section, whole and with a true CRC; attributes may lie about the codec. */
static uint8_t *batch_make(struct random *random, struct bench *bench, enum compression codec,
                           int32_t count, struct slice section, size_t *size_out)
{
    static const int64_t bases[] = {T0, T0, T0, T0, 0, -1, 3000000, INT64_MAX, INT64_MIN};
    struct writer *out = &bench->out;
    uint8_t *batch;
    enum err err;

    writer_reset(out);
    for (size_t i = 0; i < BATCH_HEADER_BYTES; i++)
        writer_u8(out, 0);
    err = compress_bytes(bench->context, codec, compression_level_default(codec), section, out);
    if (err != OK)
        fail_msg("%s of %zu bytes: %s", compression_name(codec), section.size_bytes, err_name(err));
    *size_out = out->size_bytes;
    batch = malloc(out->size_bytes);
    memcpy(batch, out->data, out->size_bytes);
    if (random_chance(random, 1, 4))
        damage(random, batch + BATCH_HEADER_BYTES, *size_out - BATCH_HEADER_BYTES);
    batch_put(batch, 8, 4, (int64_t)*size_out - BATCH_PREFIX_BYTES);
    batch_put(batch, 12, 4, -1);
    batch_put(batch, 16, 1, BATCH_MAGIC);
    batch_put(batch, 21, 2, (int)codec | (random_chance(random, 1, 20) ? 8 : 0));
    batch_put(batch, 23, 4, count - 1);
    batch_put(batch, 27, 8, bases[random_below(random, ARRAY_COUNT(bases))]);
    batch_put(batch, 35, 8, T0 + random_between(random, -20000, 20000));
    batch_put(batch, 43, 8, -1);
    batch_put(batch, 51, 2, -1);
    batch_put(batch, 53, 4, -1);
    batch_put(batch, 57, 4, count);
    batch_fix_crc(batch, *size_out);
    return batch;
}

/* What can be inflated, as the pieces come, and why there is no more. */
static enum err inflate(struct bench *bench, enum compression codec, struct slice in, size_t limit,
                        struct writer *out)
{
    struct slice piece;

    writer_reset(out);
    TRY(decompress_begin(bench->context, codec, in, limit));
    do {
        TRY(decompress_next(bench->context, &piece));
        writer_bytes(out, piece.data, piece.size_bytes);
    } while (piece.size_bytes > 0);
    return OK;
}

static void compare(struct bench *bench, struct attempt *attempt, struct writer *plain,
                    uint8_t *batch, size_t size, enum compression codec, uint64_t round)
{
    struct oracle *oracle = malloc(sizeof *oracle);
    struct batch_header header;
    struct slice records = slice_of(batch + BATCH_HEADER_BYTES, size - BATCH_HEADER_BYTES);
    const char *objection;
    enum err tail = OK;

    assert_int_equal(batch_header_read(slice_of(batch, size), &header), OK);
    if (codec != COMPRESSION_NONE) {
        tail =
            inflate(bench, codec, records, (size_t)attempt->config.inflated_batch_bytes_max, plain);
        records = writer_slice(plain);
    }
    oracle_walk(oracle, &attempt->config, NOW, &header, records, tail, codec != COMPRESSION_NONE);
    attempt_run(bench, attempt, APPEND_ORIGIN_CLIENT, batch, size);
    objection = oracle_objection(oracle, &attempt->config, NOW, attempt->err, &attempt->info,
                                 &attempt->why, codec != COMPRESSION_NONE);
    if (objection)
        fail_msg("round %llu, %s, record %d: %s: %s instead of %s (%s)", (unsigned long long)round,
                 compression_name(codec), oracle->index, objection, err_name(attempt->err),
                 err_name(oracle->err), attempt->why.text);
    if (attempt->err == OK)
        assert_int_equal(slice_is_null(attempt->rebuilt),
                         codec == COMPRESSION_NONE || oracle->is_dense);
    free(oracle);
}

static void a_run_says_what_a_reader_of_single_bytes_says(void **state)
{
    struct bench *bench = *state;
    uint64_t rounds = 3000;
    struct writer section, plain;
    struct random random;

    random_init(&random, test_seed());
    writer_init(&section, &heap_allocator, SIZE_MAX);
    writer_init(&plain, &heap_allocator, SIZE_MAX);
    for (uint64_t round = 0; round < rounds; round++) {
        enum compression codec = random_chance(&random, 1, 2)
                                     ? COMPRESSION_NONE
                                     : (enum compression)random_below(&random, COMPRESSION_COUNT);
        struct attempt attempt;
        struct style style;
        uint8_t *batch;
        size_t size;

        style_draw(&random, &style);
        section_make(&random, &style, &section);
        if (random_chance(&random, 1, 3))
            damage(&random, section.data, section.size_bytes);
        if (random_chance(&random, 1, 20))
            section.size_bytes = random_below(&random, section.size_bytes + 1);
        if (random_chance(&random, 1, 20))
            style.count += random_chance(&random, 1, 2) || style.count == 1 ? 1 : -1;
        attempt_init(&attempt);
        config_draw(&random, &attempt.config);
        batch = batch_make(&random, bench, codec, style.count, writer_slice(&section), &size);
        compare(bench, &attempt, &plain, batch, size, codec, round);
        attempt_release(&attempt);
        free(batch);
    }
    writer_release(&section);
    writer_release(&plain);
}

/* Without this the comparison above would hold for a run that never takes anything. */
static void a_run_takes_the_usual_records_and_those_with_headers(void **state)
{
    static const struct style usual[] = {
        {.count = 500, .value_max = 100, .delta_max = 1000},
        {.count = 500, .key_max = 20, .value_max = 300, .delta_max = 1000000},
        {.count = 500, .key_max = 20, .value_max = 9000, .delta_max = 100, .header_max = 3},
        {.count = 9000, .value_max = 3},
    };
    struct random random;
    struct writer section;

    (void)state;
    random_init(&random, test_seed());
    writer_init(&section, &heap_allocator, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(usual); i++) {
        struct record_run run;
        const uint8_t *at;

        section_make(&random, &usual[i], &section);
        at = record_run_take(section.data, section.data + section.size_bytes, usual[i].count, 0,
                             INT32_MAX, &run);
        assert_true(run.count >= usual[i].count - 3); /* the last ones may lie too near the end */
        assert_true(run.is_dense);
        assert_true(at > section.data && at <= section.data + section.size_bytes);
        assert_true(run.timestamp_delta_max <= (int32_t)usual[i].delta_max);
    }
    writer_release(&section);
}

/* Bytes end at the end of their allocation, so that AddressSanitizer sees one more. */
static void a_run_reads_nothing_behind_its_end(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)random_below(&random, 60);
        uint8_t *bytes = malloc(size + 1) /* never of size zero */, *exact = malloc(size);
        struct record_run run;
        const uint8_t *at;

        random_fill(&random, bytes, size);
        for (size_t i = 0; i < size; i++)
            bytes[i] = random_chance(&random, 2, 3) ? bytes[i] % 24 : bytes[i];
        if (size > 0)
            memcpy(exact, bytes, size);
        at = record_run_take(exact, exact + size, 10, 0, INT32_MAX, &run);
        assert_true(at >= exact && at <= exact + size);
        assert_true((run.count > 0) == (at > exact));
        free(bytes);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_says_what_a_reader_of_single_bytes_says, bench_setup,
                                        bench_teardown),
        cmocka_unit_test(a_run_takes_the_usual_records_and_those_with_headers),
        cmocka_unit_test(a_run_reads_nothing_behind_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
