/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client quotas of two shards, and peers that call themselves what they like: what a node knows of them stays
 * small, comes from no memory that must be had, and nobody escapes by a new name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/fmt.h"
#include "base/memory_reserve.h"
#include "metadata/record.h"
#include "os/sim.h"
#include "protocol/generated/api_keys.h"
#include "protocol/generated/client_quota_record.h"
#include "server/node.h"
#include "server/publication.h"
#include "server/quota_internal.h"

#define OKAY(call) assert_int_equal((call), OK)
#define SHARDS 2
#define MANY 25000

struct fixture {
    struct arena arena;
    struct sim *sim;
    struct os *os;
    struct node node;
    struct shard shards[SHARDS];
    struct publication publication;
    struct metadata_state *state;
    struct metadata_record_list records;
};
static struct fixture fixture;
static struct allocator heap;
static int64_t heap_bytes;

static void *heap_counted(struct allocator *self, size_t size_bytes)
{
    void *pointer = heap.allocate(self, size_bytes);

    heap_bytes += pointer ? (int64_t)size_bytes : 0;
    return pointer;
}

static void *heap_resized(struct allocator *self, void *pointer, size_t old_bytes, size_t new_bytes)
{
    heap_bytes += (int64_t)new_bytes - (pointer ? (int64_t)old_bytes : 0);
    return heap.resize(self, pointer, old_bytes, new_bytes);
}

static void heap_returned(struct allocator *self, void *pointer, size_t size_bytes)
{
    heap_bytes -= pointer ? (int64_t)size_bytes : 0;
    heap.release(self, pointer, size_bytes);
}

static void *heap_empty(struct allocator *self, size_t size_bytes)
{
    UNUSED(self);
    UNUSED(size_bytes);
    return NULL;
}

static void quota_put(const char *client_id, double value)
{
    struct client_quota_record *record;
    void *message;
    struct why why = {""};

    OKAY(metadata_record_add(&fixture.records, &fixture.arena, METADATA_RECORD_CLIENT_QUOTA, 0,
                             &message));
    record = message;
    record->entity = client_quota_record_entity_data_array(&fixture.arena, 1);
    record->entity_count = 1;
    record->entity->entity_type = SLICE("client-id");
    record->entity->entity_name = slice_from_text(client_id);
    record->key = SLICE("producer_byte_rate");
    record->value = value;
    OKAY(metadata_state_replay(fixture.state, &fixture.records.items[fixture.records.count - 1], 0,
                               &why));
}

static void config_make(void)
{
    struct config_report report;
    struct config_layers layers = {0};
    struct config_file *file = ARENA_NEW(&fixture.arena, struct config_file);
    const struct config *config;
    struct why why = {""};

    config_report_init(&report, &fixture.arena);
    OKAY(config_file_parse(&fixture.arena, SLICE("test"),
                           SLICE("node.id=1\nprocess.roles=broker,controller\n"
                                 "controller.quorum.voters=1@localhost:9093\n"
                                 "listeners=PLAINTEXT://own:9092,CONTROLLER://own:9093\n"
                                 "controller.listener.names=CONTROLLER\n"),
                           file, &why));
    layers.file = file;
    OKAY(config_resolve(&fixture.arena, &layers, &report, &config));
    fixture.publication.config = config;
}

/* 1,000 bytes a second for whoever is not named, 2,000 for "named". */
static int setup(void **state)
{
    UNUSED(state);
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_create(42, NULL, &fixture.sim));
    OKAY(sim_machine_create(fixture.sim, "node", &fixture.os));
    OKAY(metadata_state_create(&heap_allocator, NULL, &fixture.state));
    config_make();
    quota_put(NULL, 1000);
    quota_put("named", 2000);
    OKAY(metadata_state_publish(fixture.state, &fixture.publication.image));
    fixture.node.shards = fixture.shards;
    fixture.node.shard_count = SHARDS;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &fixture.shards[i];

        *shard =
            (struct shard){.node = &fixture.node, .index = i, .publication = &fixture.publication};
        OKAY(reactor_create(fixture.os, i, 42, NULL, &shard->reactor));
        OKAY(quota_service_create(shard, &shard->quotas));
        quota_service_apply(shard->quotas, NULL, &fixture.publication);
    }
    heap = heap_allocator;
    heap_bytes = 0;
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    heap_allocator = heap;
    for (int i = 0; i < SHARDS; i++)
        quota_service_release(&fixture.shards[i].quotas);
    metadata_image_release(&fixture.publication.image);
    metadata_state_release(&fixture.state);
    for (int i = 0; i < SHARDS; i++)
        reactor_release(&fixture.shards[i].reactor);
    sim_release(&fixture.sim);
    arena_release(&fixture.arena);
    return 0;
}

static void nothing_due(struct timer *timer)
{
    UNUSED(timer);
}

/* A reactor knows the time of its last turn. */
static void pass(int64_t time_ms)
{
    struct timer timers[SHARDS];

    for (int i = 0; i < SHARDS; i++) {
        timer_init(&timers[i], nothing_due);
        timer_set(fixture.shards[i].reactor, &timers[i],
                  reactor_now_ms(fixture.shards[i].reactor) + time_ms - 1);
    }
    sim_run_until(fixture.sim, sim_now_ns(fixture.sim) + time_ms * 1000000, NULL, NULL);
    for (int i = 0; i < SHARDS; i++)
        timer_cancel(fixture.shards[i].reactor, &timers[i]);
}

static int32_t produced(int shard, const char *client_id, double bytes)
{
    return quota_record(fixture.shards[shard].quotas, QUOTA_PRODUCE, SLICE("ANONYMOUS"),
                        slice_from_text(client_id), bytes);
}

static void invented_produce(int from, int to, double bytes)
{
    char name[32];

    for (int i = from; i < to; i++) {
        fmt(name, sizeof name, "invented-%d", i);
        produced(0, name, bytes);
    }
}

static size_t usages(int shard)
{
    return fixture.shards[shard].quotas->usages.count;
}

static void each_client_has_its_own_usage_and_every_shard_hears_of_it(void **state)
{
    UNUSED(state);
    assert_int_equal(produced(0, "a", 10000), 0);
    assert_int_equal(produced(0, "b", 9000), 0);
    assert_true(produced(0, "a", 10000) > 0);
    pass(500);
    assert_int_equal(usages(1), 2);
    assert_true(produced(1, "a", 1) > 0);
    assert_int_equal(produced(1, "b", 1), 0);
}

static void invented_clients_take_no_more_memory_than_the_cap_on_any_shard(void **state)
{
    UNUSED(state);
    heap_allocator.allocate = heap_counted;
    heap_allocator.resize = heap_resized;
    heap_allocator.release = heap_returned;
    invented_produce(0, MANY, 1);
    assert_int_equal(usages(0), QUOTA_USAGES_MAX);
    pass(500);
    assert_int_equal(usages(1), QUOTA_USAGES_MAX);
    assert_true(heap_bytes < INT64_C(2) * QUOTA_USAGES_MAX * 2048);
}

static void whoever_invents_a_name_when_there_is_no_room_shares_one_usage(void **state)
{
    int32_t throttle_ms;

    UNUSED(state);
    assert_int_equal(produced(0, "early", 10000), 0);
    invented_produce(0, QUOTA_USAGES_MAX, 1);
    invented_produce(MANY, MANY + 100, 1000);
    throttle_ms = produced(0, "new again", 1);
    assert_true(throttle_ms > 10000); /* 100,000 bytes: as if one client had produced them */
    pass(500);
    assert_true(produced(1, "still another", 1) > 10000);
    /* Who came before, and whom the operator names, are measured by what they did. */
    assert_true(produced(0, "early", 10000) > 0);
    assert_int_equal(produced(0, "named", 19000), 0);
    assert_true(produced(0, "named", 19000) > 0);
}

static void usages_that_measure_nothing_any_more_make_room(void **state)
{
    UNUSED(state);
    invented_produce(0, QUOTA_USAGES_MAX, 1);
    pass(15000);
    assert_int_equal(produced(0, "late", 10000), 0);
    assert_true(usages(0) < QUOTA_USAGES_MAX);
    assert_true(produced(0, "late", 10000) > 0);
}

static void names_that_find_no_memory_share_one_usage_and_leave_the_reserve_whole(void **state)
{
    UNUSED(state);
    OKAY(memory_reserve_fill(1 << 20));
    heap_allocator.allocate = heap_empty;
    invented_produce(0, 100, 1000);
    assert_true(produced(0, "another", 1) > 0);
    pass(500);
    heap_allocator = heap;
    assert_true(memory_reserve_break()); /* it was whole */
    assert_int_equal(usages(0), 0);
    assert_int_equal(usages(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(each_client_has_its_own_usage_and_every_shard_hears_of_it),
        TEST(invented_clients_take_no_more_memory_than_the_cap_on_any_shard),
        TEST(whoever_invents_a_name_when_there_is_no_room_shares_one_usage),
        TEST(usages_that_measure_nothing_any_more_make_room),
        TEST(names_that_find_no_memory_share_one_usage_and_leave_the_reserve_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
