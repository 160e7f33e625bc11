/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our side of tests/interop/test_records.py; the questions are described in
 * tests/interop/java/records/RecordsPeer.java.
 *   records_peer answer           one answer line per question line of stdin
 *   records_peer write SEED COUNT "dump HEX" questions about random batches of ours
 *   records_peer validate SEED COUNT, producers SEED COUNT   random questions
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "records/control_record.h"
#include "records/record.h"
#include "records/validate.h"

#define T0 1700000000000LL
#define WORDS_MAX 12

struct peer {
    struct compress_context *context;
    struct writer out; /* answers */
    struct writer batch;
    struct writer scratch;
    struct producer_state producers;
    int64_t next_offset;
};

static void die(const char *what)
{
    fprintf(stderr, "records_peer: %s\n", what);
    exit(2);
}

static void check(enum err err)
{
    if (err != OK)
        die(err_name(err));
}

static void say(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct peer *peer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    writer_bytes(&peer->out, text, (size_t)size);
}

static void say_hex(struct peer *peer, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";

    if (slice_is_null(bytes)) {
        say(peer, "null");
        return;
    }
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        writer_u8(&peer->out, (uint8_t)digits[bytes.data[i] >> 4]);
        writer_u8(&peer->out, (uint8_t)digits[bytes.data[i] & 15]);
    }
}

static uint8_t *unhex(const char *text, size_t *size_out)
{
    size_t size = strlen(text) / 2;
    uint8_t *out = malloc(size + 1);

    for (size_t i = 0; i < size; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], 0};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    *size_out = size;
    return out;
}

/* ---- answers ---- */

/* Java holds header keys as text and loses bytes that are none; we keep them. */
static void say_header_key(struct peer *peer, struct slice key)
{
    for (size_t i = 0; i < key.size_bytes; i++)
        if (key.data[i] >= 0x80) {
            say(peer, "no-ascii");
            return;
        }
    say_hex(peer, key);
}

static enum err say_records(struct peer *peer, const struct batch_header *header,
                            struct slice batch)
{
    struct writer plain;
    struct record_walk walk;
    struct record record;
    bool more = true;
    enum err err;

    writer_init(&plain, &heap_allocator, SIZE_MAX);
    err = record_inflate(peer->context, batch, 1 << 28, &plain);
    if (err == OK)
        err = record_walk_begin(&walk, header, writer_slice(&plain));
    while (err == OK && (err = record_walk_next(&walk, &record, &more)) == OK && more) {
        say(peer, " [%" PRId64 " %" PRId64 " %d ", record.offset, record.timestamp,
            record.sequence);
        say_hex(peer, record.key);
        say(peer, " ");
        say_hex(peer, record.value);
        for (struct slice rest = record.headers; rest.size_bytes > 0;) {
            struct record_header pair = record_header_next(&rest);

            say(peer, " ");
            say_header_key(peer, pair.key);
            say(peer, "=");
            say_hex(peer, pair.value);
        }
        say(peer, "]");
    }
    writer_release(&plain);
    return err;
}

static void dump(struct peer *peer, struct slice batch)
{
    size_t start = peer->out.size_bytes;
    struct batch_header h;
    enum err err = batch_header_read(batch, &h);

    if (err == OK) {
        say(peer,
            "base=%" PRId64 " last=%" PRId64 " epoch=%d codec=%d time=%d max=%" PRId64
            " pid=%" PRId64 "/%d/%d/%d txn=%s control=%s horizon=%" PRId64,
            h.base_offset, batch_last_offset(&h), h.leader_epoch, batch_codec(&h),
            batch_is_log_append_time(&h), h.max_timestamp, h.producer_id, h.producer_epoch,
            h.base_sequence, batch_last_sequence(&h), batch_is_transactional(&h) ? "true" : "false",
            batch_is_control(&h) ? "true" : "false",
            batch_has_delete_horizon(&h) ? h.base_timestamp : -1);
        err = say_records(peer, &h, batch);
    }
    if (err != OK) {
        peer->out.size_bytes = start;
        say(peer, "error %d", err == ERR_DECOMPRESS ? -1 : err_wire_code(err));
    }
}

static int codec_of(const char *name)
{
    for (int kind = 0; kind < COMPRESSION_COUNT; kind++)
        if (strcmp(name, compression_name((enum compression)kind)) == 0)
            return kind;
    return VALIDATE_COMPRESSION_PRODUCER;
}

static void say_verdict(struct peer *peer, enum err err, const struct append_info *info,
                        struct slice batch, struct slice rebuilt)
{
    if (err != OK) {
        say(peer, "error %d", err_wire_code(err));
        for (int32_t i = 0; i < info->record_error_count; i++)
            say(peer, "%s%d", i == 0 ? " records " : ",", info->record_errors[i].batch_index);
    } else if (slice_is_null(rebuilt)) {
        say(peer, "kept max %" PRId64 " ", info->max_timestamp);
        say_hex(peer, batch);
    } else {
        say(peer, "rebuilt max %" PRId64 " ", info->max_timestamp);
        dump(peer, rebuilt);
    }
}

static void validate(struct peer *peer, char **words)
{
    struct validate_config config;
    struct append_info info;
    struct arena arena;
    struct slice rebuilt = SLICE_NULL;
    size_t size;
    uint8_t *batch = unhex(words[8], &size);
    enum err err;

    validate_config_init(&config);
    config.compression_type = codec_of(words[1]);
    config.compacted = words[2][0] == '1';
    config.log_append_time = words[3][0] == '1';
    config.timestamp_before_max_ms = strtoll(words[4], NULL, 10);
    config.timestamp_after_max_ms = strtoll(words[5], NULL, 10);
    config.inflated_bytes_max = (int32_t)strtol(words[6], NULL, 10);
    config.message_bytes_max = INT32_MAX;
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    writer_reset(&peer->batch);
    err = append_scan(slice_of(batch, size), APPEND_ORIGIN_COORDINATOR, -1, INT32_MAX, &info, NULL);
    if (err == OK)
        err = append_validate(&config, APPEND_ORIGIN_CLIENT, strtoll(words[7], NULL, 10), batch,
                              peer->context, &arena, &peer->batch, &info, &rebuilt, NULL);
    if (err == OK && slice_is_null(rebuilt))
        batches_stamp(batch, size, 0, LEADER_EPOCH_NONE);
    say_verdict(peer, err, &info, slice_of(batch, size), rebuilt);
    arena_release(&arena);
    free(batch);
}

static void append(struct peer *peer, char **words)
{
    static const char *const names[] = {"CLIENT", "COORDINATOR", "RAFT_LEADER", "REPLICATION"};
    enum append_origin origin = APPEND_ORIGIN_CLIENT;
    struct producer_update update;
    struct producer_append facts;
    size_t size;
    uint8_t *batch = unhex(words[3], &size);
    enum err err;

    while (strcmp(names[origin], words[1]) != 0)
        origin++;
    batches_stamp(batch, size, peer->next_offset, 0);
    check(producer_append_read(slice_of(batch, size), &facts));
    producer_update_begin(&update, &peer->producers, origin);
    update.transaction_version = (int16_t)strtol(words[2], NULL, 10);
    err = producer_update_add(&update, &facts, NULL);
    if (err != OK) {
        say(peer, "error %d", err_wire_code(err));
    } else if (update.is_duplicate) {
        say(peer, "duplicate %" PRId64 " %" PRId64 " %" PRId64, update.duplicate_first_offset,
            update.duplicate.last_offset, update.duplicate.timestamp);
    } else {
        producer_update_apply(&update);
        peer->next_offset = facts.last_offset + 1;
        say(peer, "appended");
        for (size_t i = 0; i < update.completed_count; i++)
            say(peer, " %" PRId64 " %" PRId64 " %s %" PRId64, update.completed[i].first_offset,
                update.completed[i].last_offset, update.completed[i].aborted ? "true" : "false",
                update.completed[i].last_stable_offset);
        say(peer, " unstable %" PRId64, producer_state_first_unstable_offset(&peer->producers));
    }
    producer_update_discard(&update);
    free(batch);
}

static void say_producers(struct peer *peer)
{
    say(peer, "producers");
    for (int64_t id = 0; id < 100; id++) { /* questions use small ids; by id as in Java's map */
        const struct producer_entry *entry = producer_state_find(&peer->producers, id);

        if (!entry)
            continue;
        say(peer, " [%" PRId64 " %d %d %" PRId64 " %" PRId64, entry->producer_id, entry->epoch,
            entry->coordinator_epoch, entry->last_timestamp, entry->transaction_first_offset);
        for (int i = 0; i < entry->batch_count; i++) {
            const struct producer_batch *batch = &entry->batches[i];

            say(peer, " %d/%d/%" PRId64 "/%" PRId64,
                sequence_subtract(batch->last_sequence, batch->offset_delta), batch->last_sequence,
                batch->last_offset - batch->offset_delta, batch->last_offset);
        }
        say(peer, "]");
    }
}

static void verify(struct peer *peer, char **words)
{
    uint64_t guard;

    (void)!producer_verification_begin(
        &peer->producers, strtoll(words[1], NULL, 10), (int16_t)strtol(words[2], NULL, 10),
        (int32_t)strtol(words[3], NULL, 10), words[4][0] == '1', T0, &guard);
    say(peer, "verify");
}

static void answer_line(struct peer *peer, char *line)
{
    char *words[WORDS_MAX] = {0};
    size_t count = 0;

    for (char *word = strtok(line, " \n"); word && count < WORDS_MAX; word = strtok(NULL, " \n"))
        words[count++] = word;
    if (strcmp(words[0], "dump") == 0) {
        size_t size;
        uint8_t *bytes = unhex(words[1], &size);

        dump(peer, slice_of(bytes, size));
        free(bytes);
    } else if (strcmp(words[0], "validate") == 0) {
        validate(peer, words);
    } else if (strcmp(words[0], "append") == 0) {
        append(peer, words);
    } else if (strcmp(words[0], "verify") == 0) {
        verify(peer, words);
    } else if (strcmp(words[0], "reset") == 0) {
        producer_state_release(&peer->producers);
        producer_state_init(&peer->producers, &heap_allocator);
        peer->next_offset = 0;
        say(peer, "reset");
    } else {
        say_producers(peer);
    }
    say(peer, "\n");
}

static void answer(struct peer *peer)
{
    char *line = NULL;
    size_t capacity = 0;

    while (getline(&line, &capacity, stdin) > 0)
        answer_line(peer, line);
    free(line);
}

/* ---- questions ---- */

static struct slice random_field(struct random *random, uint8_t *pool, bool nullable)
{
    size_t size = (size_t)random_below(random, random_chance(random, 1, 20) ? 100000 : 30);

    if (nullable && random_chance(random, 1, 5))
        return SLICE_NULL;
    return slice_of(pool + random_below(random, 1000), size);
}

static void random_options(struct random *random, struct batch_options *options)
{
    batch_options_init(options);
    options->codec = (enum compression)random_below(random, COMPRESSION_COUNT);
    options->level = compression_level_default(options->codec);
    if (random_chance(random, 1, 2)) {
        options->producer_id = random_between(random, 0, 1000);
        options->producer_epoch = (int16_t)random_below(random, 32768);
        options->base_sequence = (int32_t)(random_u64(random) >> 33);
        options->transactional = random_chance(random, 1, 2);
    }
}

static struct slice random_batch(struct peer *peer, struct random *random,
                                 const struct batch_options *options, bool sparse)
{
    static uint8_t pool[102000];
    struct batch_builder builder;
    struct slice batch;
    int64_t offset = options->base_offset;

    for (size_t i = 0; i < sizeof pool; i += 97)
        pool[i] = (uint8_t)random_u64(random);
    writer_reset(&peer->batch);
    batch_builder_begin(&builder, options, peer->context, &peer->scratch, &peer->batch);
    for (int64_t count = random_between(random, 1, 12); count > 0; count--) {
        struct record_header headers[2];
        struct batch_record record = {
            .timestamp = random_chance(random, 1, 10) ? -1 : T0 + random_between(random, -50, 50),
            .key = random_field(random, pool, true),
            .value = random_field(random, pool, true),
            .headers = headers,
            .header_count = (int32_t)random_below(random, 3),
        };

        for (int h = 0; h < 2; h++)
            headers[h] = (struct record_header){SLICE("key"), random_field(random, pool, true)};
        check(batch_builder_append_at(&builder, offset, &record));
        offset += sparse && random_chance(random, 1, 3) ? 2 : 1;
    }
    check(batch_builder_finish(&builder, &batch));
    return batch;
}

static void ask_dump(struct peer *peer, struct random *random)
{
    struct batch_options options;

    random_options(random, &options);
    options.base_offset = (int64_t)(random_u64(random) >> random_between(random, 2, 60));
    options.leader_epoch = (int32_t)(random_u64(random) >> 33);
    options.log_append_time = random_chance(random, 1, 4);
    options.log_append_time_ms = T0 + 5;
    options.has_delete_horizon = random_chance(random, 1, 6);
    options.delete_horizon_ms = T0 + 86400000;
    say(peer, "dump ");
    say_hex(peer, random_batch(peer, random, &options, true));
    say(peer, "\n");
}

/* Mostly sound batches with a fault here and there; their CRC stays true only as far as headers go,
 * because Kafka's validator comes after the CRC check. */
static void ask_validate(struct peer *peer, struct random *random)
{
    static const char *const targets[] = {"producer", "none", "gzip", "snappy", "lz4", "zstd"};
    struct batch_options options;
    struct batch_header header;
    const char *target = targets[random_below(random, ARRAY_COUNT(targets))];
    struct slice batch;
    uint8_t *bytes;
    bool kept;

    random_options(random, &options);
    /* Sparse inner offsets of a batch that keeps its codec are rewritten by us as Kafka means to;
     * 4.4.0 itself trips over them (docs/design/records.md). */
    kept =
        options.codec != COMPRESSION_NONE && (codec_of(target) == VALIDATE_COMPRESSION_PRODUCER ||
                                              codec_of(target) == (int)options.codec);
    batch = random_batch(peer, random, &options, !kept && random_chance(random, 1, 5));
    bytes = peer->batch.data;
    check(batch_header_read(batch, &header));
    header.last_offset_delta = header.record_count - 1; /* inner deltas may be wider */
    if (random_chance(random, 1, 6))
        header.attributes |= BATCH_ATTRIBUTE_LOG_APPEND_TIME;
    if (random_chance(random, 1, 6))
        header.max_timestamp = random_chance(random, 1, 2) ? -1 : T0 + 30;
    if (random_chance(random, 1, 12))
        header.record_count += (int32_t)random_between(random, -1, 1);
    if (random_chance(random, 1, 12))
        header.last_offset_delta += (int32_t)random_between(random, -1, 1);
    if (random_chance(random, 1, 20))
        header.base_sequence = -1;
    if (options.codec == COMPRESSION_NONE && random_chance(random, 1, 3))
        bytes[random_between(random, BATCH_HEADER_BYTES, (int64_t)batch.size_bytes - 1)] ^=
            (uint8_t)(1u << random_below(random, 8));
    batch_header_write(&header, bytes, batch.size_bytes);
    say(peer, "validate %s %d %d %d %d %d %lld ", target, random_chance(random, 1, 3),
        random_chance(random, 1, 3),
        (int)(random_chance(random, 1, 2) ? 1000 : random_below(random, 50)),
        (int)(random_chance(random, 1, 2) ? 1000 : random_below(random, 50)),
        random_chance(random, 1, 8) ? 1000 : INT32_MAX - 8, T0);
    say_hex(peer, slice_of(bytes, batch.size_bytes));
    say(peer, "\n");
}

static void ask_append(struct peer *peer, struct random *random)
{
    static const char *const origins[] = {"CLIENT", "CLIENT", "CLIENT", "COORDINATOR",
                                          "REPLICATION"};
    const char *origin = origins[random_below(random, ARRAY_COUNT(origins))];
    struct batch_options options;
    struct batch_builder builder;

    batch_options_init(&options);
    options.producer_id = random_between(random, 1, 4);
    options.producer_epoch = (int16_t)random_below(random, 3);
    if (random_chance(random, 1, 50))
        options.producer_epoch = INT16_MAX;
    options.transactional = random_chance(random, 1, 2);
    writer_reset(&peer->batch);
    if (random_chance(random, 1, 4)) {
        struct end_transaction_marker marker = {.is_abort = random_chance(random, 1, 2),
                                                .coordinator_epoch =
                                                    (int32_t)random_below(random, 3)};

        check(end_transaction_batch_write(&marker, 0, 0, options.producer_id,
                                          options.producer_epoch,
                                          T0 + (int64_t)random_below(random, 100), &peer->batch));
        origin = random_chance(random, 1, 4) ? "REPLICATION" : "COORDINATOR";
    } else {
        options.base_sequence = (int32_t)random_below(random, 8);
        if (random_chance(random, 1, 4))
            options.base_sequence = 0;
        if (random_chance(random, 1, 30))
            options.base_sequence = INT32_MAX - (int32_t)random_below(random, 3);
        batch_builder_begin(&builder, &options, NULL, NULL, &peer->batch);
        for (int64_t count = random_between(random, 1, 3); count > 0; count--) {
            struct batch_record record = {.timestamp = T0 + (int64_t)random_below(random, 100),
                                          .key = SLICE_NULL,
                                          .value = SLICE("v")};

            check(batch_builder_append(&builder, &record));
        }
        check(batch_builder_finish(&builder, NULL));
    }
    say(peer, "append %s %d ", origin, (int)random_below(random, 3));
    say_hex(peer, writer_slice(&peer->batch));
    say(peer, "\n");
}

static void ask_producers(struct peer *peer, struct random *random, int64_t index)
{
    if (index % 50 == 0)
        say(peer, "reset\n");
    else if (index % 50 == 49)
        say(peer, "producers\n");
    else if (random_chance(random, 1, 10))
        say(peer, "verify %d %d %d %d\n", (int)random_between(random, 1, 4),
            (int)random_below(random, 3), (int)random_below(random, 6),
            random_chance(random, 1, 2));
    else
        ask_append(peer, random);
}

int main(int argc, char **argv)
{
    struct peer peer = {0};
    struct random random;
    int64_t count;

    if (argc < 2)
        die("answer | write|validate|producers SEED COUNT");
    check(compress_context_open(&peer.context, &heap_allocator));
    writer_init(&peer.out, &heap_allocator, SIZE_MAX);
    writer_init(&peer.batch, &heap_allocator, SIZE_MAX);
    writer_init(&peer.scratch, &heap_allocator, SIZE_MAX);
    producer_state_init(&peer.producers, &heap_allocator);
    if (strcmp(argv[1], "answer") == 0) {
        answer(&peer);
    } else {
        if (argc < 4)
            die("needs SEED and COUNT");
        random_init(&random, strtoull(argv[2], NULL, 10));
        count = strtoll(argv[3], NULL, 10);
        for (int64_t i = 0; i < count; i++)
            if (strcmp(argv[1], "write") == 0)
                ask_dump(&peer, &random);
            else if (strcmp(argv[1], "validate") == 0)
                ask_validate(&peer, &random);
            else
                ask_producers(&peer, &random, i);
    }
    fwrite(peer.out.data, 1, peer.out.size_bytes, stdout);
    writer_release(&peer.out);
    writer_release(&peer.batch);
    writer_release(&peer.scratch);
    producer_state_release(&peer.producers);
    compress_context_release(&peer.context);
    return 0;
}
