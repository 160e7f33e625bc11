/* SPDX-License-Identifier: Apache-2.0 */
/* Voters that come, go and change, snapshots served and installed, kraft.version 0 → 1, the quorum told. */
#include "bench.h"

#include "base/random.h"

static int setup(void **state)
{
    static struct bench bench;

    bench_init(&bench, 1);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    bench_release(*state);
    return 0;
}

static struct raft_request add_voter(struct bench *bench, int id)
{
    struct raft_endpoint *endpoint = ARENA_NEW(&bench->arena, struct raft_endpoint);

    *endpoint = (struct raft_endpoint){SLICE("CONTROLLER"), SLICE("new"), 7000};
    return (struct raft_request){.api = RAFT_API_ADD_VOTER,
                                 .add_voter = {bench_key(id), {endpoint, 1}, true}};
}

static struct raft_request remove_voter(int id)
{
    return (struct raft_request){.api = RAFT_API_REMOVE_VOTER, .remove_voter = {bench_key(id)}};
}

static struct raft_reply versions(int16_t min, int16_t max)
{
    struct raft_reply reply = {.api = RAFT_API_API_VERSIONS};

    reply.versions = (struct raft_versions_answer){true, min, max};
    return reply;
}

static void change_is_refused_in_kafka_s_order(void **state)
{
    struct bench *bench = *state;
    struct raft_request request = add_voter(bench, 4);

    bench_start_dynamic(bench, 3);
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_NOT_LEADER_OR_FOLLOWER);
    bench_lead(bench);
    request.add_voter.voter.directory_id = UUID_ZERO;
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    request = add_voter(bench, 4);
    request.add_voter.endpoints.count = 0;
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    bench_request(bench, add_voter(bench, 4));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    assert_string_equal(bench->last_reply.error_text,
                        "Request timed out waiting for leader to establish HWM and fence previous "
                        "voter changes");
    bench_request(bench, bench_fetch(2, 1, 3, 1)); /* commits the start of the epoch */
    bench_request(bench, add_voter(bench, 3));
    assert_int_equal(bench->last_reply.error, ERR_DUPLICATE_VOTER);
    bench_request(bench, remove_voter(4));
    assert_int_equal(bench->last_reply.error, ERR_VOTER_NOT_FOUND);
    assert_string_equal(bench_request(bench, add_voter(bench, 4)), "send 4 ApiVersions\n");
    bench_request(bench, remove_voter(3));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    assert_string_equal(
        bench->last_reply.error_text,
        "Request timed out waiting for leader to handle previous voter change request");
}

static void configured_quorum_changes_no_voters(void **state)
{
    struct bench *bench = *state;

    bench_start_static(bench, 1);
    bench_request(bench, add_voter(bench, 4));
    assert_int_equal(bench->last_reply.error, ERR_UNSUPPORTED_VERSION);
    assert_string_equal(bench->last_reply.error_text,
                        "Cluster doesn't support adding voter because the kraft.version feature is "
                        "0");
}

static void node_that_has_caught_up_becomes_a_voter(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 1);
    bench_request(bench, bench_fetch(4, 1, 3, 1));
    assert_string_equal(bench_request(bench, add_voter(bench, 4)), "send 4 ApiVersions\n");
    assert_string_equal(bench_reply(bench, versions(0, 1)),
                        "control at=3 epoch=1 set=1,4\n"
                        "voters kraft=1 1,4\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n");
    /* Two voters now: both must have it. */
    assert_string_equal(bench_request(bench, bench_fetch(4, 1, 4, 1)),
                        "hw 4\n"
                        "reply AddRaftVoter NONE leader=1 epoch=1\n");
}

static void node_that_lags_or_lacks_the_version_stays_outside(void **state)
{
    struct bench *bench = *state;
    struct raft_reply none = versions(0, 1);

    bench_start_dynamic(bench, 1);
    bench_request(bench, add_voter(bench, 4));
    bench_reply(bench, versions(0, 1));
    assert_int_equal(bench->last_reply.error, ERR_REQUEST_TIMED_OUT);
    bench_request(bench, add_voter(bench, 4));
    bench_reply(bench, versions(0, 0));
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    none.versions.has_kraft_version = false;
    bench_request(bench, add_voter(bench, 4));
    bench_reply(bench, none);
    assert_int_equal(bench->last_reply.error, ERR_INVALID_REQUEST);
    bench_request(bench, add_voter(bench, 4));
    assert_string_equal(bench_pass(bench, 2000),
                        "reply AddRaftVoter REQUEST_TIMED_OUT leader=1 epoch=1\n");
}

static void removed_leader_leads_until_the_commit_and_resigns(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 3);
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 3, 1));
    assert_string_equal(bench_request(bench, remove_voter(1)),
                        "control at=3 epoch=1 set=2,3\n"
                        "voters kraft=1 2,3\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=3 read=3\n");
    bench_request(bench, bench_fetch(2, 1, 4, 1)); /* one of two: not enough */
    assert_string_equal(bench_role(bench), "Leader 1");
    bench_request(bench, bench_fetch(3, 1, 4, 1));
    assert_string_equal(bench_role(bench), "Resigned 1");
}

static void last_voter_cannot_be_removed(void **state)
{
    struct bench *bench = *state;

    bench_start_dynamic(bench, 1);
    bench_request(bench, remove_voter(1));
    assert_int_equal(bench->last_reply.error, ERR_VOTER_NOT_FOUND);
}

static void voter_with_another_directory_is_an_observer(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(2, 1, 3, 1);

    bench_start_dynamic(bench, 3);
    bench_lead(bench);
    fetch.fetch.replica.directory_id = bench_directory(99);
    bench_request(bench, fetch);
    bench_request(bench, (struct raft_request){.api = RAFT_API_DESCRIBE_QUORUM});
    assert_int_equal(bench->last_reply.describe.high_watermark, -1);
    assert_int_equal(bench->last_reply.describe.voter_count, 3);
    assert_int_equal(bench->last_reply.describe.observer_count, 1);
    bench_pass(bench, 299999);
}

static void cut_voters_record_brings_the_previous_set_back(void **state)
{
    struct bench *bench = *state;
    struct raft_voters set;
    struct raft_batch batches[] = {{0, 0, 3, -1, NULL}, {1, 1, 3, -1, &set}};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_status status;

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    set = (struct raft_voters){bench->voters + 1, 2}; /* 2 and 3 */
    reply.fetch.batches = batches;
    reply.fetch.batch_count = 2;
    bench_reply(bench, reply);
    raft_status(bench->raft, &status);
    assert_false(status.is_voter);
    bench_follow(bench, 3, 4);
    reply = bench_ok(RAFT_API_FETCH, 3, 4);
    reply.fetch.diverging = (struct raft_offset_epoch){1, 3};
    assert_string_equal(bench_reply(bench, reply), "truncate to=1\n"
                                                   "voters kraft=1 1,2,3\n"
                                                   "send 3 Fetch epoch=4 at=1/3 hw=-1\n");
    raft_status(bench->raft, &status);
    assert_true(status.is_voter);
}

static void observer_joins_by_itself_when_it_may(void **state)
{
    struct bench *bench = *state;

    bench->options.self = bench_key(4);
    bench->options.auto_join = true;
    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    bench_reply(bench, bench_ok(RAFT_API_FETCH, 2, 3));
    assert_string_equal(bench_pass(bench, 1999), "");
    assert_string_equal(bench_pass(bench, 1), "send 2 AddRaftVoter 4\n");
}

static void static_voters_become_dynamic_when_all_have_told(void **state)
{
    struct bench *bench = *state;
    struct raft_event upgrade = {.kind = RAFT_EVENT_KRAFT_UPGRADE};
    struct raft_request update = {.api = RAFT_API_UPDATE_VOTER};

    bench_start_static(bench, 2);
    bench_lead(bench);
    bench_request(bench, bench_fetch(2, 1, 1, 1));
    upgrade.kraft_upgrade.epoch = 1;
    upgrade.kraft_upgrade.kraft_version = 1;
    assert_string_equal(bench_feed(bench, upgrade), "upgraded INVALID_UPDATE_VERSION\n");
    update.update_voter =
        (struct raft_update_voter_request){bench_key(2), 1, {&bench->endpoints[1], 1}, 0, 1};
    bench_request(bench, update);
    assert_int_equal(bench->last_reply.error, OK);
    assert_string_equal(bench_feed(bench, upgrade),
                        "control at=1 epoch=1 kraft=1 set=1,2\n"
                        "voters kraft=1 1,2\n"
                        "upgraded NONE\n"
                        "reply Fetch NONE leader=1 epoch=1 hw=1 read=1\n");
    assert_string_equal(bench_feed(bench, upgrade), "upgraded NONE\n");
    upgrade.kraft_upgrade.kraft_version = 0;
    assert_string_equal(bench_feed(bench, upgrade), "upgraded INVALID_UPDATE_VERSION\n");
}

static void snapshots_are_served_in_chunks_with_every_error(void **state)
{
    static const struct {
        int32_t epoch;
        int64_t offset;
        int32_t snapshot_epoch;
        int64_t position;
        enum err err;
        int32_t bytes;
    } rows[] = {
        {1, 1, 1, 0, OK, 100},
        {1, 1, 1, 200, OK, 50},
        {1, 1, 1, 250, ERR_POSITION_OUT_OF_RANGE, 0},
        {1, 1, 1, -1, ERR_POSITION_OUT_OF_RANGE, 0},
        {1, 2, 1, 0, ERR_SNAPSHOT_NOT_FOUND, 0},
        {1, 0, 0, 0, ERR_SNAPSHOT_NOT_FOUND, 0},
        {0, 1, 1, 0, ERR_FENCED_LEADER_EPOCH, 0},
        {2, 1, 1, 0, ERR_UNKNOWN_LEADER_EPOCH, 0},
    };
    struct bench *bench = *state;

    bench_start_dynamic(bench, 1);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE,
                                          .snapshot_made = {{1, 1}, 250}});
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bench_request(bench, (struct raft_request){
                                 .api = RAFT_API_FETCH_SNAPSHOT,
                                 .fetch_snapshot = {bench_key(5),
                                                    rows[i].epoch,
                                                    {rows[i].offset, rows[i].snapshot_epoch},
                                                    rows[i].position,
                                                    100}});
        assert_int_equal(bench->last_reply.error, rows[i].err);
        assert_int_equal(bench->last_reply.fetch_snapshot.chunk_bytes, rows[i].bytes);
    }
    assert_string_equal(bench_request(bench, bench_fetch(5, 1, 0, 0)),
                        "reply Fetch NONE leader=1 epoch=1 hw=3 snapshot=1/1\n");
}

/* The shell holds in memory what it reads: a peer may ask for two gigabytes at once. */
static void what_a_peer_may_take_at_once_is_bounded(void **state)
{
    struct bench *bench = *state;
    struct raft_request fetch = bench_fetch(5, 1, 2, 1);

    bench_start_dynamic(bench, 1);
    fetch.fetch.bytes_max = INT32_MAX;
    bench_request(bench, fetch);
    assert_int_equal(bench->last_reply.error, OK);
    assert_int_equal(bench->last_reply.fetch.read_bytes_max, RAFT_BATCH_BYTES_MAX);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE,
                                          .snapshot_made = {{1, 1}, INT64_C(3) << 30}});
    bench_request(bench,
                  (struct raft_request){.api = RAFT_API_FETCH_SNAPSHOT,
                                        .fetch_snapshot = {bench_key(5), 1, {1, 1}, 0, INT32_MAX}});
    assert_int_equal(bench->last_reply.error, OK);
    assert_int_equal(bench->last_reply.fetch_snapshot.chunk_bytes, RAFT_BATCH_BYTES_MAX);
}

static void follower_downloads_and_installs_a_snapshot(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);
    struct raft_event stored = {.kind = RAFT_EVENT_CHUNK_STORED};
    struct raft_event installed = {.kind = RAFT_EVENT_INSTALLED};
    struct raft_status status;

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.snapshot_id = (struct raft_offset_epoch){40, 2};
    assert_string_equal(bench_reply(bench, reply), "send 2 FetchSnapshot epoch=3 id=40/2 from=0\n");
    reply = bench_ok(RAFT_API_FETCH_SNAPSHOT, 2, 3);
    reply.fetch_snapshot = (struct raft_fetch_snapshot_answer){{40, 2}, 150, 0, 100};
    assert_string_equal(bench_reply(bench, reply), "chunk id=40/2 at=0 bytes=100\n");
    stored.chunk_stored.id = (struct raft_offset_epoch){40, 2};
    stored.chunk_stored.end_position = 100;
    assert_string_equal(bench_feed(bench, stored),
                        "send 2 FetchSnapshot epoch=3 id=40/2 from=100\n");
    reply.fetch_snapshot.position = 100;
    reply.fetch_snapshot.chunk_bytes = 50;
    bench_reply(bench, reply);
    stored.chunk_stored.end_position = 150;
    assert_string_equal(bench_feed(bench, stored), "install id=40/2\n");
    /* Until that is done nobody knows the end of its log: it does not stand for election. */
    bench_pass(bench, 5000);
    assert_string_equal(bench_role(bench), "Follower 3");
    installed.installed.era = 1;
    installed.installed.snapshot = (struct raft_snapshot){{40, 2}, 150};
    installed.installed.kraft_version = 1;
    bench_feed(bench, installed);
    raft_status(bench->raft, &status);
    assert_int_equal(status.log_start_offset, 40);
    assert_int_equal(status.log_end_offset, 40);
    assert_int_equal(status.high_watermark, 40);
}

static void snapshot_that_vanished_is_dropped_and_asked_anew(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.snapshot_id = (struct raft_offset_epoch){40, 2};
    bench_reply(bench, reply);
    reply = bench_ok(RAFT_API_FETCH_SNAPSHOT, 2, 3);
    reply.error = ERR_SNAPSHOT_NOT_FOUND;
    assert_string_equal(bench_reply(bench, reply), "drop id=40/2\n"
                                                   "send 2 Fetch epoch=3 at=0/0 hw=-1\n");
}

static void out_of_memory_is_told_and_final(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 200; at++) {
        struct allocator_failing failing;
        struct raft_options options = raft_options_default();
        struct raft_endpoint endpoint = {SLICE("CONTROLLER"), SLICE("h"), 1};
        struct raft_voter voter = {{1, UUID_ZERO}, {&endpoint, 1}, 0, 0};
        struct raft_event start = {.kind = RAFT_EVENT_START};
        struct raft_event again = {.kind = RAFT_EVENT_TIMEOUT};
        struct raft_effects effects;
        struct raft *raft = NULL;
        enum err err;

        allocator_failing_init(&failing, &heap_allocator, at, false);
        options.self = bench_key(1);
        options.can_vote = true;
        options.endpoints = (struct raft_endpoints){&endpoint, 1};
        options.default_listener = SLICE("CONTROLLER");
        options.static_voters = (struct raft_voters){&voter, 1};
        err = raft_create(&failing.base, &options, NULL, &raft);
        if (err == OK) {
            err = raft_step(raft, &start, &effects);
            if (err == ERR_NO_MEMORY)
                assert_int_equal(raft_step(raft, &again, &effects), ERR_NO_MEMORY);
            raft_release(&raft);
        }
        assert_int_equal(failing.bytes_in_use, 0);
        if (err == OK)
            return; /* more allocations than there are */
        assert_int_equal(err, ERR_NO_MEMORY);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(change_is_refused_in_kafka_s_order),
        TEST(configured_quorum_changes_no_voters),
        TEST(node_that_has_caught_up_becomes_a_voter),
        TEST(node_that_lags_or_lacks_the_version_stays_outside),
        TEST(removed_leader_leads_until_the_commit_and_resigns),
        TEST(last_voter_cannot_be_removed),
        TEST(voter_with_another_directory_is_an_observer),
        TEST(cut_voters_record_brings_the_previous_set_back),
        TEST(observer_joins_by_itself_when_it_may),
        TEST(static_voters_become_dynamic_when_all_have_told),
        TEST(snapshots_are_served_in_chunks_with_every_error),
        TEST(what_a_peer_may_take_at_once_is_bounded),
        TEST(follower_downloads_and_installs_a_snapshot),
        TEST(snapshot_that_vanished_is_dropped_and_asked_anew),
        cmocka_unit_test(out_of_memory_is_told_and_final),
    };

    BENCH_RUN(tests);
}
