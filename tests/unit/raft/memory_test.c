/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No memory, at every place where the core asks for some: whole scenes are played again and again, each
 * time with another allocation, or another piece of one step's scratch memory, that is not to be had. The
 * core either does without (texts) or says so and refuses every later event; nothing leaks.
 */
#include "bench.h"

#include <string.h>

#define STEPS_MAX 400
#define SCRATCH_STEP_BYTES 16

/* ---- scenes ---- */

static struct raft_endpoints endpoint_new(void)
{
    static const struct raft_endpoint endpoint = {
        {(const uint8_t *)"CONTROLLER", 10}, {(const uint8_t *)"new", 3}, 7000};

    return (struct raft_endpoints){&endpoint, 1};
}

static struct raft_request add_voter(int id)
{
    return (struct raft_request){.api = RAFT_API_ADD_VOTER,
                                 .add_voter = {bench_key(id), endpoint_new(), true}};
}

static struct raft_request remove_voter(int id)
{
    return (struct raft_request){.api = RAFT_API_REMOVE_VOTER, .remove_voter = {bench_key(id)}};
}

static void leader_with_many_parked_fetches(struct bench *bench)
{
    bench_start_static(bench, 3);
    bench_lead(bench);
    for (int id = 2; id < 20; id++) /* two voters, then observers */
        bench_request(bench, bench_fetch(id, 1, 1, 1));
    bench_request(bench, (struct raft_request){.api = RAFT_API_DESCRIBE_QUORUM});
    bench_submit(bench, 1);
}

static void leader_changes_its_voters(struct bench *bench)
{
    struct raft_reply versions = {.api = RAFT_API_API_VERSIONS, .versions = {true, 0, 1}};
    struct raft_request update = {.api = RAFT_API_UPDATE_VOTER};

    bench_start_dynamic(bench, 3);
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 3, 1));
    bench_request(bench, add_voter(3)); /* a text that names them all */
    bench_request(bench, remove_voter(9));
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    bench_request(bench, add_voter(4));
    bench_reply(bench, versions);
    bench_request(bench, bench_fetch(2, 1, 4, 1));
    bench_request(bench, bench_fetch(3, 1, 4, 1));
    bench_request(bench, bench_fetch(4, 1, 4, 1));
    update.update_voter = (struct raft_update_voter_request){bench_key(4), 1, endpoint_new(), 0, 1};
    bench_request(bench, update);
    for (int id = 2; id <= 4; id++)
        bench_request(bench, bench_fetch(id, 1, 5, 1));
    bench_request(bench, remove_voter(4));
    for (int id = 2; id <= 3; id++)
        bench_request(bench, bench_fetch(id, 1, 6, 1));
}

static void change_fails_with_a_text(struct bench *bench)
{
    struct raft_reply versions = {.api = RAFT_API_API_VERSIONS, .versions = {true, 2, 3}};
    struct raft_request foreign = add_voter(5);

    bench_start_dynamic(bench, 1);
    bench_request(bench, add_voter(4));
    bench_reply(bench, versions);
    versions.versions.kraft_version_min = 0;
    bench_request(bench, add_voter(5));
    bench_reply(bench, versions);
    bench_request(bench, add_voter(6));
    bench_send_failed(bench, false);
    bench_request(bench, remove_voter(1));
    foreign.cluster_id = SLICE("another");
    foreign.one_partition = foreign.metadata_partition = true;
    bench_request_raw(bench, foreign);
}

static void configured_quorum_is_upgraded(struct bench *bench)
{
    struct raft_request update = {.api = RAFT_API_UPDATE_VOTER};
    struct raft_event upgrade = {.kind = RAFT_EVENT_KRAFT_UPGRADE};

    bench_start_static(bench, 2);
    bench_lead(bench);
    bench_request(bench, add_voter(4)); /* not yet: the version is 0 */
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    bench_request(bench, add_voter(4));
    update.update_voter = (struct raft_update_voter_request){bench_key(2), 1, endpoint_new(), 0, 1};
    bench_request(bench, update);
    upgrade.kraft_upgrade.epoch = 1;
    upgrade.kraft_upgrade.kraft_version = 1;
    bench_feed(bench, upgrade);
    upgrade.kraft_upgrade.kraft_version = 0;
    bench_feed(bench, upgrade);
}

static void leader_resigns_to_successors(struct bench *bench)
{
    bench_start_static(bench, 3);
    bench_lead(bench);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = 1});
    for (uint64_t i = 0; i < 2; i++)
        bench_reply_to(bench, bench->last_number - i, bench_ok(RAFT_API_END_QUORUM_EPOCH, 1, 1));
}

/* Ten batches of epochs that rise, each with a voter set and a kraft.version. */
static void follower_appends_voter_sets_and_epochs(struct bench *bench)
{
    struct raft_batch batches[10];
    struct raft_voters set;
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 20);

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 20);
    set = (struct raft_voters){bench->voters, 3};
    for (int i = 0; i < 10; i++)
        batches[i] = (struct raft_batch){i, i, i + 1, 1, &set};
    reply.fetch.batches = batches;
    reply.fetch.batch_count = ARRAY_COUNT(batches);
    bench_reply(bench, reply);
    bench_pass(bench, 2000); /* prospective, and back to the leader that it knew */
    bench_send_failed(bench, false);
    bench_pass(bench, 4000);
    bench_follow(bench, 3, 21);
    reply = bench_ok(RAFT_API_FETCH, 3, 21);
    reply.fetch.diverging = (struct raft_offset_epoch){5, 5};
    bench_reply(bench, reply);
}

static void follower_downloads_snapshots(struct bench *bench)
{
    struct raft_event stored = {.kind = RAFT_EVENT_CHUNK_STORED, .chunk_stored = {{40, 2}, 100}};
    struct raft_event installed = {.kind = RAFT_EVENT_INSTALLED};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_voters set;

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.snapshot_id = (struct raft_offset_epoch){40, 2};
    bench_reply(bench, reply);
    reply = bench_ok(RAFT_API_FETCH_SNAPSHOT, 2, 3);
    reply.fetch_snapshot = (struct raft_fetch_snapshot_answer){{40, 2}, 100, 0, 100};
    bench_reply(bench, reply);
    bench_feed(bench, stored);
    set = (struct raft_voters){bench->voters, 3};
    installed.installed.era = 1;
    installed.installed.snapshot = (struct raft_snapshot){{40, 2}, 100};
    installed.installed.kraft_version = 1;
    installed.installed.voters = &set;
    bench_feed(bench, installed);
    for (int i = 0; i < 10; i++)
        bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE,
                                              .snapshot_made = {{i + 1, 1}, 10}});
}

static void observer_joins_and_tells(struct bench *bench)
{
    bench->options.self = bench_key(4);
    bench->options.auto_join = true;
    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    bench_reply(bench, bench_ok(RAFT_API_FETCH, 2, 3));
    bench_pass(bench, 2000);
    bench_reply(bench, bench_ok(RAFT_API_ADD_VOTER, 2, 3));
}

static void voter_tells_its_entry(struct bench *bench)
{
    bench_start_static(bench, 3);
    bench_follow(bench, 2, 3);
    for (int i = 0; i < 3; i++) {
        bench_pass(bench, 1000);
        bench_reply(bench, bench_ok(RAFT_API_FETCH, 2, 3));
    }
}

/* More of everything than the first room of each array, from the disk. */
static void start_finds_a_long_history(struct bench *bench)
{
    struct raft_offset_epoch epochs[10];
    struct raft_snapshot snapshots[10];
    struct raft_voters_at sets[10];
    struct raft_kraft_version_at versions[10];
    struct raft_voters set = bench_voters(bench, 0, 1, 2, 3, 0);

    for (int i = 0; i < 10; i++) {
        epochs[i] = (struct raft_offset_epoch){i, i + 1};
        snapshots[i] = (struct raft_snapshot){{i, i + 1}, 10};
        sets[i] = (struct raft_voters_at){i, set};
        versions[i] = (struct raft_kraft_version_at){i, 1};
    }
    bench_start(bench, &(struct raft_start){.log_end_offset = 12,
                                            .epochs = epochs,
                                            .epoch_count = 10,
                                            .snapshots = snapshots,
                                            .snapshot_count = 10,
                                            .voters = sets,
                                            .voters_count = 10,
                                            .kraft_versions = versions,
                                            .kraft_version_count = 10});
}

/* Every copy of the options needs a block of its own. */
static void options_are_large(struct bench *bench)
{
    static uint8_t letters[300000];
    static struct raft_endpoint large[1];

    memset(letters, 'x', sizeof letters);
    large[0] = (struct raft_endpoint){SLICE("CONTROLLER"), slice_of(letters, sizeof letters), 1};
    bench->options.cluster_id = slice_of(letters, sizeof letters);
    bench->options.default_listener = slice_of(letters, sizeof letters);
    bench->options.endpoints = (struct raft_endpoints){large, 1};
    bench->options.bootstrap_servers = (struct raft_endpoints){large, 1};
    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 0);
    bench->endpoints[1].host = slice_of(letters, sizeof letters);
    bench_start(bench, &(struct raft_start){0});
}

typedef void (*scene_play)(struct bench *bench);
static const scene_play scenes[] = {
    leader_with_many_parked_fetches,
    leader_changes_its_voters,
    change_fails_with_a_text,
    configured_quorum_is_upgraded,
    leader_resigns_to_successors,
    follower_appends_voter_sets_and_epochs,
    follower_downloads_snapshots,
    observer_joins_and_tells,
    voter_tells_its_entry,
    start_finds_a_long_history,
    options_are_large, /* last: its scratch memory would take too long to go through */
};

/* ---- playing them ---- */

struct lack {
    int64_t allocation;    /* this one fails; -1: none */
    int64_t squeezed_step; /* this step has only so much scratch memory; -1: none */
    size_t squeezed_bytes;
};

struct performance {
    int64_t allocations;
    int64_t steps;
    size_t scratch_bytes[STEPS_MAX]; /* in use at the end of each step */
};

static struct performance perform(scene_play play, struct lack lack)
{
    static struct bench bench; /* these live across the jump */
    static struct allocator_failing failing;
    static struct performance done;
    static jmp_buf no_memory;

    done = (struct performance){0};
    allocator_failing_init(&failing, &heap_allocator, lack.allocation, false);
    bench_init(&bench, 1);
    bench.allocator = &failing.base;
    bench.no_memory = &no_memory;
    bench.squeezed_step = lack.squeezed_step;
    bench.squeezed_bytes = lack.squeezed_bytes;
    bench.scratch_log = done.scratch_bytes;
    bench.scratch_log_capacity = STEPS_MAX;
    if (setjmp(no_memory) == 0) {
        play(&bench);
    } else if (bench.raft) {
        struct raft_event timeout = {.kind = RAFT_EVENT_TIMEOUT, .now_ms = bench.now_ms};
        struct raft_effects effects;

        assert_int_equal(raft_step(bench.raft, &timeout, &effects), ERR_NO_MEMORY);
        assert_int_equal(effects.count, 0);
    }
    done.allocations = failing.calls;
    done.steps = bench.steps;
    bench_release(&bench);
    assert_int_equal(failing.bytes_in_use, 0);
    return done;
}

static void every_allocation_may_fail_and_the_core_says_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        int64_t at = 0;

        while (perform(scenes[i], (struct lack){at, -1, 0}).allocations > at)
            at++;
        assert_true(at > 0);
    }
}

static void every_piece_of_scratch_memory_may_lack_and_nothing_breaks(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < ARRAY_COUNT(scenes); i++) {
        struct performance whole = perform(scenes[i], (struct lack){-1, -1, 0});

        assert_in_range(whole.steps, 1, STEPS_MAX);
        for (int64_t step = 0; step < whole.steps; step++)
            for (size_t bytes = 0; bytes < whole.scratch_bytes[step]; bytes += SCRATCH_STEP_BYTES)
                perform(scenes[i], (struct lack){-1, step, bytes});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_and_the_core_says_so),
        cmocka_unit_test(every_piece_of_scratch_memory_may_lack_and_nothing_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
