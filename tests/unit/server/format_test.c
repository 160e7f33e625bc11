/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What formatting writes against what Kafka's own tool wrote (argv[1]: tests/golden/format), and the
 * texts of its refusals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/fmt.h"
#include "records/snapshot_stream.h"
#include "server/format.h"

static const char *golden_path;

static int hex_digit(int c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct slice golden(struct arena *arena, const char *name)
{
    char path[1024];
    uint8_t *bytes = arena_allocate(arena, 65536);
    size_t count = 0;
    FILE *file;
    int c;

    fmt(path, sizeof path, "%s/%s.hex", golden_path, name);
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = fgetc(file)) != EOF) {
        if (c == '\n')
            continue;
        bytes[count++] = (uint8_t)(hex_digit(c) << 4 | hex_digit(fgetc(file)));
    }
    fclose(file);
    return slice_of(bytes, count);
}

/* When Kafka's tool wrote the batches. */
static struct format_times times_of(struct slice bytes, struct arena *arena)
{
    struct format_times times = {0};
    struct snapshot_reader reader;
    struct snapshot_item item = {.kind = SNAPSHOT_ITEM_HEADER};

    snapshot_reader_begin(&reader, bytes, NULL, &heap_allocator, arena);
    while (item.kind != SNAPSHOT_ITEM_END) {
        assert_int_equal(snapshot_reader_next(&reader, &item, NULL), OK);
        if (item.kind == SNAPSHOT_ITEM_HEADER) {
            times.contained_ms = item.contained_ms;
            times.header_ms = reader.walk.header.base_timestamp;
        } else if (item.kind == SNAPSHOT_ITEM_RECORD) {
            times.data_ms = reader.walk.header.base_timestamp;
        } else if (item.kind == SNAPSHOT_ITEM_FOOTER) {
            times.footer_ms = reader.walk.header.base_timestamp;
        }
    }
    snapshot_reader_release(&reader);
    return times;
}

#define ONE "1@localhost:9093:JEXY6aqzQY-32P5TStzaFg"
#define THREE \
    "3@[::1]:9095:07R5amHmR32VDA6jHkGbTA," ONE ",2@example.com:9094:MvDxzVmcRsaTz33bUuRU6A"
#define ALICE                                                                  \
    "SCRAM-SHA-256=[name=alice,salt=\"MWx2NHBkbnc0ZndxN25vdGN4bTB5eTFrN3E=\"," \
    "saltedpassword=\"mT0yyUUxnlJaC99HXgRTSYlbuqa4FSGtJCJfTMvjYCE=\"]"
#define BOB "SCRAM-SHA-512=[name=bob,iterations=8192,salt=\"N3E=\",password=bob-secret]"

struct row {
    const char *name; /* golden case; NULL: refused */
    const char *voters;
    const char *release;
    const char *levels[3];
    const char *scram[3];
    bool is_static;
    const char *why;
};

static enum err row_run(const struct row *row, struct arena *arena,
                        const struct format_times *times, struct writer *out, struct why *why)
{
    struct feature_level levels[3];
    struct slice scram[3];
    struct format_options options = {
        .cluster_id = SLICE("MkU3OEVBNTcwNTJENDM2Qg"),
        .node_id = 1,
        .is_controller = true,
        .is_dynamic = !row->is_static,
        .controller_listener = SLICE("CONTROLLER"),
        .levels = levels,
        .scram = scram,
    };
    struct format_plan plan;
    struct random random;

    random_init(&random, 1);
    if (row->voters)
        TRY(format_voters_parse(slice_from_text(row->voters), arena, &options.voters, why));
    if (row->release)
        options.release = metadata_version_from_name(slice_from_text(row->release));
    for (size_t i = 0; i < 3 && row->levels[i]; i++)
        TRY(format_level_parse(slice_from_text(row->levels[i]), &levels[options.level_count++],
                               why));
    for (size_t i = 0; i < 3 && row->scram[i]; i++)
        scram[options.scram_count++] = slice_from_text(row->scram[i]);
    TRY(format_plan_make(&options, &random, arena, &plan, why));
    return format_snapshot_write(&options, &plan, times, arena, out);
}

static void snapshots_equal_those_of_kafka(void **state)
{
    static const struct row rows[] = {
        {.name = "one", .voters = ONE},
        {.name = "three", .voters = THREE},
        {.name = "none"},
        {.name = "static", .is_static = true},
        {.name = "old", .voters = ONE, .release = "3.3"},
        {.name = "features",
         .voters = ONE,
         .release = "4.0",
         .levels = {"group.version=0", "transaction.version=1"}},
        {.name = "scram", .scram = {ALICE, BOB}},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer out;
        struct format_times times;
        struct slice wanted;
        struct why why = {""};

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        wanted = golden(&arena, rows[i].name);
        times = times_of(wanted, &arena);
        assert_int_equal(row_run(&rows[i], &arena, &times, &out, &why), OK);
        assert_int_equal(out.size_bytes, wanted.size_bytes);
        assert_memory_equal(out.data, wanted.data, wanted.size_bytes);
    }
}

static void refusals_have_kafka_s_texts(void **state)
{
    static const struct row rows[] = {
        {.levels = {"kraft.version=0"},
         .why =
             "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the "
             "flags --standalone, --initial-controllers, or --no-initial-controllers is used. For "
             "dynamic controllers support, try removing the --feature flag for kraft.version."},
        {.is_static = true,
         .levels = {"kraft.version=1"},
         .why =
             "Cannot set kraft.version to 1 unless controller.quorum.voters is empty and one of "
             "the flags --standalone, --initial-controllers, or --no-initial-controllers is used. "
             "For dynamic controllers support, try using one of --standalone, "
             "--initial-controllers, or --no-initial-controllers and removing "
             "controller.quorum.voters."},
        {.release = "4.0",
         .levels = {"metadata.version=20"},
         .why =
             "Use --release-version instead of --feature metadata.version=X to avoid ambiguity."},
        {.levels = {"foo=1"},
         .why = "Unsupported feature: foo. Supported features are: "
                "eligible.leader.replicas.version, group.version, kraft.version, share.version, "
                "streams.version, transaction.version"},
        {.levels = {"group.version=5"}, .why = "No feature:group.version with feature level 5"},
        {.levels = {"group.version=x"},
         .why = "Can't parse feature=level string group.version=x: unable to parse x as a short."},
        {.release = "3.9",
         .levels = {"eligible.leader.replicas.version=1"},
         .why = "eligible.leader.replicas.version could not be set to 1 because it depends on "
                "metadata.version level 23"},
        {.release = "3.4",
         .scram = {"SCRAM-SHA-256=[name=alice,password=x]"},
         .why = "SCRAM is only supported in metadata.version 3.5-IV2 or later."},
        {.scram = {"SCRAM-SHA-256=[name=alice]"},
         .why = "You must supply one of 'password' or 'saltedpassword' to add-scram"},
        {.scram = {"SCRAM-SHA-1=[name=alice,password=x]"},
         .why = "The add-scram mechanism SCRAM-SHA-1 is not supported."},
        {.scram = {"SCRAM-SHA-256=[name=alice,password=x,iterations=100]"},
         .why = "The 'iterations' value must be >= 4096 for add-scram using SCRAM_SHA_256"},
        {.scram = {"SCRAM-SHA-256=[name=alice,password=x,iterations=20000]"},
         .why = "The 'iterations' value must be <= 16384 for add-scram using SCRAM_SHA_256"},
        {.scram = {"SCRAM-SHA-256=[name=alice,saltedpassword=\"YCE=\"]"},
         .why = "You must supply 'salt' with 'saltedpassword' to add-scram"},
        {.scram = {"SCRAM-SHA-256=name=alice"},
         .why = "Expected configuration string to start with ["},
        {.voters = "1@localhost:JEXY6aqzQY-32P5TStzaFg",
         .why = "No colon following port could be found."},
        {.voters = ONE ",1@localhost:9094:MvDxzVmcRsaTz33bUuRU6A",
         .why = "Node id 1 was specified more than once."},
        {.voters = "", .why = "No voters given."},
        {.voters = "-1@localhost:1:JEXY6aqzQY-32P5TStzaFg",
         .why = "Invalid negative node id -1 in dynamic voter string."},
        {.voters = "1@localhost:70000:JEXY6aqzQY-32P5TStzaFg",
         .why = "Invalid port 70000 in dynamic voter string."},
        {.voters = "1@[::1:9093:JEXY6aqzQY-32P5TStzaFg",
         .why = "Hostname began with left bracket, but no right bracket was found."},
        {.voters = "1@localhost:9093:short",
         .why = "Failed to parse directory ID in dynamic voter string."},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_release) struct arena arena;
        CLEANUP(writer_release) struct writer out;
        struct format_times times = {0};
        struct why why = {""};

        arena_init(&arena, &heap_allocator, SIZE_MAX);
        writer_init(&out, &heap_allocator, SIZE_MAX);
        assert_int_not_equal(row_run(&rows[i], &arena, &times, &out, &why), OK);
        assert_string_equal(why.text, rows[i].why);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_equal_those_of_kafka),
        cmocka_unit_test(refusals_have_kafka_s_texts),
    };

    golden_path = argc > 1 ? argv[1] : "tests/golden/format";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
