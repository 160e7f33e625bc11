/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seat in the quorum: first start, restart, power cuts at every file call, snapshots, broken
 * files.
 */
#include "quorum_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fmt.h"
#include "controller/controller.h"

static void the_first_start_leads_registers_and_runs(void **state)
{
    struct seat seat;
    struct raft_status status;
    const struct metadata_broker *broker;
    const struct metadata_controller *controller;

    seat_open(&seat, 1, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    quorum_status(seat.node.quorum, &status);
    assert_int_equal(status.role, RAFT_LEADER);
    assert_int_equal(status.kraft_version, 1);
    assert_int_equal(metadata_image_version(seat.image), METADATA_VERSION_LATEST);
    broker = metadata_image_broker(seat.image, 1);
    assert_non_null(broker);
    assert_false(broker->fenced);
    assert_int_equal(broker->epoch, quorum_broker_epoch(seat.node.quorum));
    assert_int_equal(broker->endpoint_count, 1);
    assert_int_equal(broker->endpoints[0].port, 9092);
    assert_true(slice_equal_text(broker->rack, "r1"));
    seat_pass(&seat, 1000);
    controller = metadata_image_controller(seat.image, 1);
    assert_non_null(controller);
    assert_int_equal(controller->endpoints[0].port, 9093);
    assert_non_null(strstr(seat.states, "is now STARTING."));
    assert_non_null(
        strstr(seat.states, "The broker has caught up. Transitioning from STARTING to RECOVERY."));
    assert_non_null(
        strstr(seat.states, "has been unfenced. Transitioning from RECOVERY to RUNNING."));
    seat_close(&seat);
}

static void a_broker_stays_fenced_until_its_logs_are_ready(void **state)
{
    struct seat seat;

    seat_open(&seat, 2, NULL);
    seat.may_unfence = false;
    OKAY(seat_start(&seat));
    assert_false(seat_broker(&seat));
    assert_int_equal(quorum_broker_state(seat.node.quorum), BROKER_RECOVERY);
    assert_true(metadata_image_broker(seat.image, 1)->fenced);
    quorum_broker_may_unfence(seat.node.quorum);
    assert_true(seat_run_until(&seat, &seat.running));
    seat_close(&seat);
}

static void a_topic_is_published_before_it_is_answered_and_outlives_a_restart(void **state)
{
    struct seat seat;

    seat_open(&seat, 3, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    OKAY(seat_create_topic(&seat, "orders"));
    assert_true(seat_has_topic(&seat, "orders"));
    assert_int_equal(seat_create_topic(&seat, "orders"), ERR_TOPIC_ALREADY_EXISTS);
    seat_renew(&seat);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    assert_true(seat_has_topic(&seat, "orders"));
    assert_int_equal(metadata_image_partition_count(seat.image), 2);
    seat_close(&seat);
}

static void calls_wait_for_a_controller(void **state)
{
    struct seat seat;

    seat_open(&seat, 4, NULL);
    OKAY(seat_start(&seat));
    /* Nothing was claimed yet: the call waits for it, and no broker is there for the replica. */
    assert_int_equal(seat_create_topic(&seat, "early"), ERR_INVALID_REPLICATION_FACTOR);
    seat_close(&seat);
}

static int64_t syncs_of_a_start(struct seat *seat)
{
    const struct sim_fault counter = {.calls = 1u << SIM_CALL_SYNC | 1u << SIM_CALL_SYNC_DIRECTORY,
                                      .is_sticky = true,
                                      .effect = SIM_EFFECT_DELAY};
    int number = sim_fault_add(seat->os, &counter);
    int64_t hits;

    OKAY(seat_start(seat));
    assert_true(seat_broker(seat));
    hits = sim_fault_hits(seat->os, number);
    sim_fault_remove(seat->os, number);
    return hits;
}

static void a_start_costs_few_syncs(void **state)
{
    struct seat seat;
    int64_t first, again;

    seat_open(&seat, 5, NULL);
    first = syncs_of_a_start(&seat);
    seat_renew(&seat);
    again = syncs_of_a_start(&seat);
    print_message("syncs: first start %lld, restart %lld\n", (long long)first, (long long)again);
    assert_true(first <= 13);
    assert_true(again <= 9);
    seat_close(&seat);
}

static void flag_set(void *context)
{
    *(bool *)context = true;
}

static void a_stop_leaves_the_controlled_way(void **state)
{
    struct seat seat;
    bool done = false;

    seat_open(&seat, 6, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    OKAY(seat_create_topic(&seat, "orders"));
    quorum_broker_stop(seat.node.quorum, flag_set, &done);
    assert_true(seat_run_until(&seat, &done));
    assert_int_equal(quorum_broker_state(seat.node.quorum), BROKER_SHUTTING_DOWN);
    assert_non_null(
        strstr(seat.states, "Transitioning from PENDING_CONTROLLED_SHUTDOWN to SHUTTING_DOWN."));
    assert_true(metadata_image_broker(seat.image, 1)->fenced);
    seat_close(&seat);
}

/* ---- snapshots ---- */

static void snapshots_are_written_loaded_and_old_ones_go(void **state)
{
    struct seat seat;
    char name[16];
    int count;

    seat_open(&seat, 7,
              "metadata.log.max.record.bytes.between.snapshots=2000\n"
              "metadata.max.retention.bytes=3000\n");
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (int i = 0; i < 40; i++) {
        fmt(name, sizeof name, "topic-%d", i);
        OKAY(seat_create_topic(&seat, name));
    }
    seat_pass(&seat, 1000);
    count = seat_count_files(&seat, ".checkpoint");
    assert_true(count >= 3);
    seat_pass(&seat, 61000); /* cleaning */
    assert_true(seat_count_files(&seat, ".checkpoint") < count);
    assert_true(seat_count_files(&seat, ".checkpoint.deleted") > 0);
    seat_pass(&seat, 61000);
    assert_int_equal(seat_count_files(&seat, ".checkpoint.deleted"), 0);
    seat_renew(&seat);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    assert_int_equal(metadata_image_topic_count(seat.image), 40);
    assert_int_equal(seat_count_files(&seat, ".part"), 0);
    seat_reboot(&seat);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    assert_int_equal(metadata_image_topic_count(seat.image), 40);
    seat_close(&seat);
}

/* ---- broken files ---- */

static void path_find(struct seat *seat, const char *suffix, char out[256])
{
    CLEANUP(arena_release) struct arena arena;
    struct os_names names;

    out[0] = '\0';
    arena_init(&arena, &heap_allocator, SIZE_MAX);
    OKAY(sim_disk_walk(seat->os, &arena, &names));
    for (size_t i = 0; i < names.count; i++) {
        const char *at = strstr(names.names[i], suffix);

        if (at && at[strlen(suffix)] == '\0')
            fmt(out, 256, "%s", names.names[i]); /* the last one */
    }
    assert_true(out[0] != '\0');
}

static void refuses(const char *suffix, int64_t position, const char *properties, uint64_t seed)
{
    struct seat seat;
    char path[256], name[16];

    seat_open(&seat, seed, properties);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (int i = 0; i < 20; i++) {
        fmt(name, sizeof name, "topic-%d", i);
        OKAY(seat_create_topic(&seat, name));
    }
    seat_pass(&seat, 1000);
    seat_renew(&seat);
    path_find(&seat, suffix, path);
    OKAY(sim_disk_flip(seat.os, path, position, 0x10));
    assert_int_not_equal(seat_start(&seat), OK);
    assert_non_null(strstr(seat.start_why.text, path));
    seat_close(&seat);
}

static void a_broken_snapshot_is_named_and_refused(void **state)
{
    refuses(".checkpoint", 300, "metadata.log.max.record.bytes.between.snapshots=2000\n", 8);
}

static void a_broken_log_is_named_and_refused(void **state)
{
    refuses("__cluster_metadata-0/00000000000000000000.log", 700, NULL, 9);
}

static void a_broken_quorum_state_is_named_and_refused(void **state)
{
    refuses("/quorum-state", 2, NULL, 10);
}

static void a_hole_in_an_unclean_log_is_refused_when_a_later_epoch_stands_behind_it(void **state)
{
    struct seat seat;
    char path[256];

    seat_open(&seat, 12, NULL);
    for (int i = 0; i < 2; i++) {
        OKAY(seat_start(&seat));
        assert_true(seat_broker(&seat));
        assert_int_equal(seat_create_topic(&seat, "orders"),
                         i == 0 ? OK : ERR_TOPIC_ALREADY_EXISTS);
        seat_reboot(&seat);
    }
    path_find(&seat, "__cluster_metadata-0/00000000000000000000.log", path);
    OKAY(sim_disk_flip(seat.os, path, 700, 0x10));
    assert_int_equal(seat_start(&seat), ERR_CORRUPT);
    assert_non_null(strstr(seat.start_why.text, path));
    seat_close(&seat);
}

/* ---- replicas and tools ---- */

struct asking {
    struct quorum_request request;
    struct raft_request raft;
    bool is_done;
    enum err error;
    int64_t high_watermark;
    size_t records_bytes;
    struct raft_offset_epoch snapshot_id;
    size_t voters;
    int64_t size_bytes;
};

static void asking_done(struct quorum_request *request, const struct raft_reply *reply,
                        struct slice records)
{
    struct asking *asking = CONTAINER_OF(request, struct asking, request);

    assert_false(asking->is_done);
    asking->is_done = true;
    asking->error = reply->error_top != OK ? reply->error_top : reply->error;
    asking->records_bytes = records.size_bytes;
    if (reply->api == RAFT_API_FETCH) {
        asking->high_watermark = reply->fetch.high_watermark;
        asking->snapshot_id = reply->fetch.snapshot_id;
    } else if (reply->api == RAFT_API_DESCRIBE_QUORUM) {
        asking->voters = reply->describe.voter_count;
    } else if (reply->api == RAFT_API_FETCH_SNAPSHOT) {
        asking->size_bytes = reply->fetch_snapshot.size_bytes;
    }
}

static void ask(struct seat *seat, struct asking *asking, enum raft_api api)
{
    asking->is_done = false;
    asking->raft.api = api;
    asking->raft.cluster_id = SLICE(SEAT_CLUSTER);
    asking->raft.one_partition = asking->raft.metadata_partition = true;
    asking->request = (struct quorum_request){
        .request = &asking->raft, .listener = SLICE("CONTROLLER"), .done = asking_done};
    quorum_request(seat->node.quorum, &asking->request);
}

static void a_reader_is_given_records_then_waits_then_hears_of_news(void **state)
{
    struct seat seat;
    struct raft_status status;
    struct asking asking = {0};

    seat_open(&seat, 13, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    quorum_status(seat.node.quorum, &status);
    asking.raft.fetch = (struct raft_fetch_request){.replica = {.id = 2},
                                                    .current_leader_epoch = status.epoch,
                                                    .high_watermark = INT64_MAX,
                                                    .wait_ms_max = 500,
                                                    .bytes_max = 1 << 20};
    ask(&seat, &asking, RAFT_API_FETCH);
    assert_true(seat_run_until(&seat, &asking.is_done));
    OKAY(asking.error);
    assert_true(asking.records_bytes > 500);
    asking.raft.fetch.fetch_offset = status.log_end_offset;
    asking.raft.fetch.last_fetched_epoch = status.epoch;
    ask(&seat, &asking, RAFT_API_FETCH);
    assert_false(asking.is_done);
    OKAY(seat_create_topic(&seat, "orders"));
    assert_true(seat_run_until(&seat, &asking.is_done));
    assert_true(asking.records_bytes > 0);
    /* One that hangs up is not told any more. */
    quorum_status(seat.node.quorum, &status);
    asking.raft.fetch.fetch_offset = status.log_end_offset;
    ask(&seat, &asking, RAFT_API_FETCH);
    quorum_request_cancel(&asking.request);
    seat_pass(&seat, 1000);
    assert_false(asking.is_done);
    ask(&seat, &asking, RAFT_API_DESCRIBE_QUORUM);
    assert_true(asking.is_done);
    assert_int_equal(asking.voters, 1);
    /* One that waits while the quorum stops is answered. */
    quorum_status(seat.node.quorum, &status);
    asking.raft.fetch = (struct raft_fetch_request){.replica = {.id = 2},
                                                    .current_leader_epoch = status.epoch,
                                                    .last_fetched_epoch = status.epoch,
                                                    .fetch_offset = status.log_end_offset,
                                                    .high_watermark = INT64_MAX,
                                                    .wait_ms_max = 500,
                                                    .bytes_max = 1 << 20};
    ask(&seat, &asking, RAFT_API_FETCH);
    seat_stop(&seat, true);
    assert_true(asking.is_done);
    assert_int_equal(asking.error, ERR_NOT_LEADER_OR_FOLLOWER);
    seat_close(&seat);
}

static void a_snapshot_is_read_in_pieces(void **state)
{
    struct seat seat;
    struct raft_status status;
    struct asking asking = {0};
    char name[16];

    seat_open(&seat, 14, "metadata.log.max.record.bytes.between.snapshots=2000\n");
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (int i = 0; i < 30; i++) {
        fmt(name, sizeof name, "topic-%d", i);
        OKAY(seat_create_topic(&seat, name));
    }
    seat_pass(&seat, 1000);
    quorum_status(seat.node.quorum, &status);
    asking.raft.fetch = (struct raft_fetch_request){.replica = {.id = 2},
                                                    .current_leader_epoch = status.epoch,
                                                    .high_watermark = INT64_MAX,
                                                    .wait_ms_max = 500,
                                                    .bytes_max = 1 << 20};
    ask(&seat, &asking, RAFT_API_FETCH);
    assert_true(seat_run_until(&seat, &asking.is_done));
    assert_true(asking.snapshot_id.offset > 0);
    asking.raft.fetch_snapshot =
        (struct raft_fetch_snapshot_request){.replica = {.id = 2},
                                             .current_leader_epoch = status.epoch,
                                             .snapshot_id = asking.snapshot_id,
                                             .position = 100,
                                             .bytes_max = 300};
    ask(&seat, &asking, RAFT_API_FETCH_SNAPSHOT);
    assert_true(seat_run_until(&seat, &asking.is_done));
    OKAY(asking.error);
    assert_int_equal(asking.records_bytes, 300);
    assert_int_equal(asking.size_bytes, status.latest_snapshot.size_bytes);
    seat_close(&seat);
}

/* ---- other shards, static quorums ---- */

static void a_call_of_another_shard_comes_home_to_it(void **state)
{
    struct seat seat;
    struct shard other = {.index = 1};

    seat_open(&seat, 15, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    other.node = &seat.node;
    OKAY(reactor_create(seat.os, 1, 77, &seat.logger, &other.reactor));
    OKAY(seat_create_topic_from(&seat, &other, "orders"));
    assert_true(seat_has_topic(&seat, "orders"));
    seat_stop(&seat, true);
    while (reactor_turn(other.reactor))
        ;
    reactor_release(&other.reactor);
    seat_close(&seat);
}

static void a_static_quorum_of_one_leads_and_goes_over_to_kraft_version_1(void **state)
{
    struct seat seat;
    struct raft_status status;

    seat_open_static(&seat, 16, "controller.quorum.voters=1@localhost:9093\n");
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    quorum_status(seat.node.quorum, &status);
    assert_int_equal(status.kraft_version, 0);
    OKAY(seat_raise_feature(&seat, "kraft.version", 1));
    quorum_status(seat.node.quorum, &status);
    assert_int_equal(status.kraft_version, 1);
    seat_renew(&seat);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    quorum_status(seat.node.quorum, &status);
    assert_int_equal(status.kraft_version, 1);
    assert_int_equal(status.voters.count, 1);
    seat_close(&seat);
}

static void a_call_that_finds_no_memory_even_for_its_error_is_told_so(void **state)
{
    bool has_response = false;
    int bare = 0, in_form = 0;
    struct seat seat;
    enum err err = ERR_NO_MEMORY;

    seat_open(&seat, 18, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (size_t limit = 0; err != OK; limit += 32) {
        assert_false(seat_has_topic(&seat, "orders"));
        err = seat_create_topic_within(&seat, "orders", limit, &has_response);
        if (err == OK)
            break;
        assert_int_equal(err, ERR_NO_MEMORY);
        bare += !has_response;
        in_form += has_response;
    }
    assert_true(bare > 0 && in_form > 0);
    assert_true(has_response);
    assert_true(seat_has_topic(&seat, "orders"));
    OKAY(seat_create_topic(&seat, "invoices")); /* the controller goes on */
    seat_close(&seat);
    UNUSED(state);
}

static void segments_below_the_oldest_snapshot_go_and_a_restart_finds_all(void **state)
{
    struct seat seat;
    char name[16];
    int before;

    seat_open(&seat, 17,
              "internal.metadata.log.segment.bytes=4096\n"
              "metadata.log.max.record.bytes.between.snapshots=3000\n"
              "metadata.max.retention.bytes=8000\n");
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (int i = 0; i < 100; i++) {
        fmt(name, sizeof name, "topic-%d", i);
        OKAY(seat_create_topic(&seat, name));
    }
    before = seat_count_files(&seat, ".log");
    assert_true(before > 3);
    seat_pass(&seat, 180000);
    assert_true(seat_count_files(&seat, ".log") < before);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            seat_renew(&seat);
        else
            seat_reboot(&seat);
        OKAY(seat_start(&seat));
        assert_true(seat_broker(&seat));
        assert_int_equal(metadata_image_topic_count(seat.image), 100);
    }
    seat_close(&seat);
}

/* ---- power cuts ---- */

struct promises {
    bool orders, invoices;
};

/* Everything up to two topics, on a machine that may die at any point. */
static void life(struct seat *seat, struct promises *promises)
{
    if (seat_start(seat) != OK || !sim_machine_is_up(seat->os) || !seat_broker(seat) ||
        !sim_machine_is_up(seat->os))
        return;
    if (!seat_has_topic(seat, "orders"))
        promises->orders |= seat_create_topic(seat, "orders") == OK;
    if (sim_machine_is_up(seat->os))
        promises->invoices |= seat_create_topic(seat, "invoices") == OK;
}

/* QUORUM_SEED=n runs other crashes. */
static uint64_t seed_base(void)
{
    const char *text = getenv("QUORUM_SEED");

    return text ? strtoull(text, NULL, 10) : 1000;
}

/* True when the n-th call was never reached. */
static bool life_with_crash_at(int64_t n, const char *properties)
{
    struct seat seat;
    struct promises promises = {false, false};
    bool survived;

    seat_open(&seat, seed_base() + (uint64_t)n, properties);
    sim_machine_crash_at(seat.os, n, NULL);
    life(&seat, &promises);
    survived = sim_machine_is_up(seat.os);
    seat_reboot(&seat);
    if (seat_start(&seat) != OK)
        fail_msg("seed %llu, crash at call %lld: %s", (unsigned long long)seed_base(), (long long)n,
                 seat.start_why.text);
    assert_true(seat_broker(&seat));
    if (promises.orders)
        assert_true(seat_has_topic(&seat, "orders"));
    if (promises.invoices)
        assert_true(seat_has_topic(&seat, "invoices"));
    OKAY(seat_create_topic(&seat, "after"));
    assert_false(seat.failed);
    seat_close(&seat);
    return survived;
}

static void what_was_answered_outlives_a_power_cut_at_every_file_call(void **state)
{
    int64_t n = 0;

    while (!life_with_crash_at(n, NULL))
        n++;
    print_message("power cuts at %lld calls\n", (long long)n);
    assert_true(n > 20);
}

static void so_it_does_while_snapshots_are_written(void **state)
{
    int64_t n = 0;

    while (!life_with_crash_at(n, "metadata.log.max.record.bytes.between.snapshots=200\n"))
        n++;
    print_message("power cuts at %lld calls\n", (long long)n);
    assert_true(n > 20);
}

/* One disk, several lives, each ended by a power cut somewhere; small segments, snapshots and cleaning. */
static void lives_with_crashes(uint64_t seed)
{
    static const char properties[] = "internal.metadata.log.segment.bytes=8192\n"
                                     "metadata.log.max.record.bytes.between.snapshots=1500\n"
                                     "metadata.max.retention.bytes=4000\n";
    struct seat seat;
    struct random random;
    bool answered[64] = {false};
    char name[16];
    size_t topics = 0;

    seat_open(&seat, seed, properties);
    sim_random_init(seat.sim, &random, "lives");
    for (int life_number = 0; life_number < 6; life_number++) {
        sim_machine_crash_at(seat.os, (int64_t)random_below(&random, 250), NULL);
        if (seat_start(&seat) == OK && sim_machine_is_up(seat.os) && seat_broker(&seat)) {
            for (int i = 0; i < 10 && sim_machine_is_up(seat.os); i++) {
                fmt(name, sizeof name, "topic-%zu", topics);
                answered[topics++] = seat_create_topic(&seat, name) == OK;
                if (random_chance(&random, 1, 10))
                    seat_pass(&seat, 70000);
            }
        } else if (sim_machine_is_up(seat.os)) {
            fail_msg("seed %llu, life %d: %s", (unsigned long long)seed, life_number,
                     seat.start_why.text);
        }
        seat_reboot(&seat);
    }
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    for (size_t i = 0; i < topics; i++) {
        fmt(name, sizeof name, "topic-%zu", i);
        if (answered[i] && !seat_has_topic(&seat, name))
            fail_msg("seed %llu: %s was answered and is gone", (unsigned long long)seed, name);
    }
    assert_false(seat.failed);
    seat_close(&seat);
}

static void what_was_answered_outlives_many_lives(void **state)
{
    for (uint64_t i = 0; i < 20; i++)
        lives_with_crashes(seed_base() + i);
}

static void a_failed_write_stops_the_node_and_answers_nothing_as_done(void **state)
{
    struct seat seat;
    const struct sim_fault fault = {.calls = 1u << SIM_CALL_SYNC,
                                    .path_part = "__cluster_metadata-0/0000",
                                    .is_sticky = true,
                                    .effect = SIM_EFFECT_ERROR,
                                    .err = ERR_IO};

    seat_open(&seat, 11, NULL);
    OKAY(seat_start(&seat));
    assert_true(seat_broker(&seat));
    sim_fault_add(seat.os, &fault);
    assert_int_equal(seat_create_topic(&seat, "orders"), ERR_NOT_CONTROLLER);
    assert_true(seat.failed);
    assert_false(seat_has_topic(&seat, "orders"));
    assert_int_equal(seat.fail_err, ERR_KAFKA_STORAGE_ERROR);
    seat_close(&seat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_start_leads_registers_and_runs),
        cmocka_unit_test(a_broker_stays_fenced_until_its_logs_are_ready),
        cmocka_unit_test(a_topic_is_published_before_it_is_answered_and_outlives_a_restart),
        cmocka_unit_test(calls_wait_for_a_controller),
        cmocka_unit_test(a_start_costs_few_syncs),
        cmocka_unit_test(a_stop_leaves_the_controlled_way),
        cmocka_unit_test(snapshots_are_written_loaded_and_old_ones_go),
        cmocka_unit_test(a_broken_snapshot_is_named_and_refused),
        cmocka_unit_test(a_broken_log_is_named_and_refused),
        cmocka_unit_test(a_broken_quorum_state_is_named_and_refused),
        cmocka_unit_test(a_hole_in_an_unclean_log_is_refused_when_a_later_epoch_stands_behind_it),
        cmocka_unit_test(a_reader_is_given_records_then_waits_then_hears_of_news),
        cmocka_unit_test(a_snapshot_is_read_in_pieces),
        cmocka_unit_test(a_call_of_another_shard_comes_home_to_it),
        cmocka_unit_test(a_static_quorum_of_one_leads_and_goes_over_to_kraft_version_1),
        cmocka_unit_test(a_call_that_finds_no_memory_even_for_its_error_is_told_so),
        cmocka_unit_test(segments_below_the_oldest_snapshot_go_and_a_restart_finds_all),
        cmocka_unit_test(what_was_answered_outlives_a_power_cut_at_every_file_call),
        cmocka_unit_test(so_it_does_while_snapshots_are_written),
        cmocka_unit_test(what_was_answered_outlives_many_lives),
        cmocka_unit_test(a_failed_write_stops_the_node_and_answers_nothing_as_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
