/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in few words, and a state to replay them into.
 */
#ifndef TESTS_UNIT_METADATA_SUPPORT_H
#define TESTS_UNIT_METADATA_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fmt.h"
#include "base/random.h"
#include "metadata/metadata.h"
#include "protocol/generated/messages.h"

struct bench {
    struct arena arena;
    struct metadata_state *state;
    struct metadata_record_list records; /* all that were replayed with success */
    int64_t offset;
    enum err err;
    struct why why;
};

static inline void bench_start(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    arena_init(&bench->arena, &heap_allocator, SIZE_MAX);
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &bench->state), OK);
}

static inline void bench_end(struct bench *bench)
{
    metadata_state_release(&bench->state);
    arena_release(&bench->arena);
}

static inline void *bench_record(struct bench *bench, int16_t key, int16_t version)
{
    void *message;

    assert_int_equal(metadata_record_add(&bench->records, &bench->arena, key, version, &message),
                     OK);
    return message;
}

/* Replays the record that was made last, and forgets it when that fails. */
static inline enum err bench_replay(struct bench *bench)
{
    uint64_t before = metadata_image_hash(metadata_state_view(bench->state));

    memset(&bench->why, 0, sizeof bench->why);
    bench->err =
        metadata_state_replay(bench->state, &bench->records.items[bench->records.count - 1],
                              bench->offset++, &bench->why);
    if (bench->err != OK) {
        assert_true(before == metadata_image_hash(metadata_state_view(bench->state)));
        bench->records.count--;
    }
    return bench->err;
}

static inline const struct metadata_image *bench_view(struct bench *bench)
{
    return metadata_state_view(bench->state);
}

static inline struct uuid id_of(uint32_t number)
{
    struct uuid id = {{0x10}};

    id.bytes[12] = (uint8_t)(number >> 24);
    id.bytes[13] = (uint8_t)(number >> 16);
    id.bytes[14] = (uint8_t)(number >> 8);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static inline enum err bench_topic(struct bench *bench, const char *name, uint32_t id)
{
    struct topic_record *record = bench_record(bench, METADATA_RECORD_TOPIC, 0);

    record->name = arena_copy(&bench->arena, slice_from_text(name));
    record->topic_id = id_of(id);
    return bench_replay(bench);
}

static inline enum err bench_partition(struct bench *bench, uint32_t id, int32_t index,
                                       int32_t leader)
{
    struct partition_record *record = bench_record(bench, METADATA_RECORD_PARTITION, 2);

    record->topic_id = id_of(id);
    record->partition_id = index;
    record->replicas = ARENA_ARRAY(&bench->arena, int32_t, 2);
    record->replicas[0] = leader;
    record->replicas[1] = leader + 1;
    record->replicas_count = 2;
    record->isr = record->replicas;
    record->isr_count = 2;
    record->leader = leader;
    record->leader_epoch = 0;
    record->partition_epoch = 0;
    return bench_replay(bench);
}

static inline enum err bench_leader(struct bench *bench, uint32_t id, int32_t index, int32_t leader)
{
    struct partition_change_record *record =
        bench_record(bench, METADATA_RECORD_PARTITION_CHANGE, 2);

    record->topic_id = id_of(id);
    record->partition_id = index;
    record->leader = leader;
    return bench_replay(bench);
}

static inline enum err bench_remove(struct bench *bench, uint32_t id)
{
    struct remove_topic_record *record = bench_record(bench, METADATA_RECORD_REMOVE_TOPIC, 0);

    record->topic_id = id_of(id);
    return bench_replay(bench);
}

static inline enum err bench_config(struct bench *bench, int8_t type, const char *name,
                                    const char *key, const char *value)
{
    struct config_record *record = bench_record(bench, METADATA_RECORD_CONFIG, 0);

    record->resource_type = type;
    record->resource_name = arena_copy(&bench->arena, slice_from_text(name));
    record->name = arena_copy(&bench->arena, slice_from_text(key));
    record->value = arena_copy(&bench->arena, slice_from_text(value));
    return bench_replay(bench);
}

static inline enum err bench_broker(struct bench *bench, int32_t id, int64_t epoch)
{
    struct register_broker_record *record = bench_record(bench, METADATA_RECORD_REGISTER_BROKER, 4);

    record->broker_id = id;
    record->broker_epoch = epoch;
    record->incarnation_id = id_of((uint32_t)epoch);
    record->end_points = register_broker_record_broker_endpoint_array(&bench->arena, 1);
    record->end_points_count = 1;
    record->end_points[0].name = SLICE("PLAINTEXT");
    record->end_points[0].host = SLICE("host");
    record->end_points[0].port = 9092;
    record->fenced = true;
    return bench_replay(bench);
}

static inline enum err bench_level(struct bench *bench, const char *name, int16_t level)
{
    struct feature_level_record *record = bench_record(bench, METADATA_RECORD_FEATURE_LEVEL, 0);

    record->name = slice_from_text(name);
    record->feature_level = level;
    return bench_replay(bench);
}

static inline enum err bench_quota(struct bench *bench, const char *user, const char *client,
                                   const char *key, double value, bool remove)
{
    struct client_quota_record *record = bench_record(bench, METADATA_RECORD_CLIENT_QUOTA, 0);

    record->entity = client_quota_record_entity_data_array(&bench->arena, 2);
    if (user) {
        record->entity[record->entity_count].entity_type = SLICE("user");
        record->entity[record->entity_count++].entity_name =

            *user ? arena_copy(&bench->arena, slice_from_text(user)) : SLICE_NULL;
    }
    if (client) {
        record->entity[record->entity_count].entity_type = SLICE("client-id");
        record->entity[record->entity_count++].entity_name =

            *client ? arena_copy(&bench->arena, slice_from_text(client)) : SLICE_NULL;
    }
    record->key = slice_from_text(key);
    record->value = value;
    record->remove = remove;
    return bench_replay(bench);
}

static inline uint64_t test_seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261124;

    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

#endif
