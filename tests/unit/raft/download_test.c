/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that are told of, fetched and installed; what the log's own news do to what is known of it. */
#include "bench.h"

#include <string.h>

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

/* A follower of 2 in epoch 3 with ten records of epoch 1, of which `committed` are known to be so. */
static void follow_with_log(struct bench *bench, int64_t committed)
{
    struct raft_batch batch = {0, 9, 1, -1, NULL};
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);

    bench_start_dynamic(bench, 3);
    bench_follow(bench, 2, 3);
    reply.fetch.batches = &batch;
    reply.fetch.batch_count = 1;
    reply.fetch.high_watermark = committed;
    bench_reply(bench, reply);
}

static const char *snapshot_told(struct bench *bench, int64_t offset, int32_t epoch)
{
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 2, 3);

    reply.fetch.snapshot_id = (struct raft_offset_epoch){offset, epoch};
    return bench_reply(bench, reply);
}

static struct raft_reply chunk(int64_t offset, int32_t epoch, int64_t size, int64_t position,
                               int32_t bytes)
{
    struct raft_reply reply = bench_ok(RAFT_API_FETCH_SNAPSHOT, 2, 3);

    reply.fetch_snapshot =
        (struct raft_fetch_snapshot_answer){{offset, epoch}, size, position, bytes};
    return reply;
}

static const char *chunk_stored(struct bench *bench, int64_t offset, int32_t epoch, int64_t end)
{
    return bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_CHUNK_STORED,
                                                 .chunk_stored = {{offset, epoch}, end}});
}

static const char *installed(struct bench *bench, int64_t offset, int32_t epoch)
{
    return bench_feed(bench,
                      (struct raft_event){.kind = RAFT_EVENT_INSTALLED,
                                          .installed = {1, {{offset, epoch}, 100}, 1, NULL}});
}

/* From the fetch that names it to the effect that installs it. */
static void install_begin(struct bench *bench, int64_t offset, int32_t epoch)
{
    snapshot_told(bench, offset, epoch);
    bench_reply(bench, chunk(offset, epoch, 100, 0, 100));
    chunk_stored(bench, offset, epoch, 100);
}

/* ---- what a leader may name ---- */

static void snapshot_that_the_leader_cannot_have_is_not_fetched(void **state)
{
    static const struct {
        int64_t offset;
        int32_t epoch;
        const char *lines;
    } rows[] = {
        /* of an epoch after the leader's own: a log that begins there could never go on */
        {40, 4, ""},
        {40, INT32_MAX, ""},
        /* without records that are committed */
        {4, 3, ""},
        /* no id at all: a fetch without anything */
        {-1, 3, "send 2 Fetch epoch=3 at=10/1 hw=5\n"},
        {40, 3, "send 2 FetchSnapshot epoch=3 id=40/3 from=0\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench;

        bench_init(&bench, 1);
        follow_with_log(&bench, 5);
        assert_string_equal(snapshot_told(&bench, rows[i].offset, rows[i].epoch), rows[i].lines);
        bench_release(&bench);
    }
}

static void snapshot_at_hand_is_not_fetched_again(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, 5);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE,
                                          .snapshot_made = {{5, 1}, 100}});
    assert_string_equal(snapshot_told(bench, 5, 1), "send 2 Fetch epoch=3 at=10/1 hw=5\n");
}

/* ---- chunks ---- */

static void chunk_that_does_not_continue_the_file_is_not_stored(void **state)
{
    static const struct {
        int64_t offset;
        int32_t epoch;
        int64_t size, position;
        int32_t bytes;
    } rows[] = {
        {41, 2, 150, 0, 100}, {40, 1, 150, 0, 100}, {40, 2, 150, 50, 100},
        {40, 2, 150, 0, -1},  {40, 2, 99, 0, 100},  {40, 2, 150, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i <= ARRAY_COUNT(rows); i++) {
        struct bench bench;
        struct raft_reply reply = chunk(40, 2, 150, 0, 100);

        bench_init(&bench, 1);
        follow_with_log(&bench, 5);
        snapshot_told(&bench, 40, 2);
        if (i < ARRAY_COUNT(rows))
            reply =
                chunk(rows[i].offset, rows[i].epoch, rows[i].size, rows[i].position, rows[i].bytes);
        else
            reply.error = ERR_POSITION_OUT_OF_RANGE;
        assert_null(strstr(bench_reply(&bench, reply), "chunk"));
        /* The same piece is asked for again, after the back-off. */
        bench_pass(&bench, 20);
        bench_send_failed(&bench, false);
        bench_pass(&bench, 40);
        assert_non_null(strstr(bench.buffer, "send 2 FetchSnapshot epoch=3 id=40/2 from=0\n"));
        bench_release(&bench);
    }
}

static void snapshot_of_no_bytes_is_whole_at_once(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, 5);
    snapshot_told(bench, 40, 2);
    assert_string_equal(bench_reply(bench, chunk(40, 2, 0, 0, 0)), "chunk id=40/2 at=0 bytes=0\n");
    assert_string_equal(chunk_stored(bench, 40, 2, 0), "install id=40/2\n");
}

static void snapshot_that_the_leader_names_no_more_is_dropped(void **state)
{
    static const struct raft_offset_epoch gone[] = {{-1, 2}, {40, -1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(gone); i++) {
        struct bench bench;

        bench_init(&bench, 1);
        follow_with_log(&bench, 5);
        snapshot_told(&bench, 40, 2);
        assert_string_equal(bench_reply(&bench, chunk(gone[i].offset, gone[i].epoch, 0, 0, 0)),
                            "drop id=40/2\n"
                            "send 2 Fetch epoch=3 at=10/1 hw=5\n");
        bench_release(&bench);
    }
}

static void fetch_of_a_snapshot_that_fails_whole_is_tried_again(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, 5);
    snapshot_told(bench, 40, 2);
    bench_send_failed(bench, false);
    bench_send_failed(bench, false); /* the other node's fetch meanwhile */
    assert_non_null(strstr(bench_pass(bench, 40), "send 2 FetchSnapshot epoch=3 id=40/2 from=0\n"));
}

static void news_of_a_chunk_of_another_download_is_passed_over(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, 5);
    assert_string_equal(chunk_stored(bench, 40, 2, 100), ""); /* there is none */
    snapshot_told(bench, 40, 2);
    bench_reply(bench, chunk(40, 2, 100, 0, 100));
    assert_string_equal(chunk_stored(bench, 41, 2, 100), "");
    assert_string_equal(chunk_stored(bench, 40, 2, 99), "");
    assert_string_equal(chunk_stored(bench, 40, 2, 100), "install id=40/2\n");
}

static void snapshot_that_lies_behind_the_log_is_not_installed(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, -1);
    snapshot_told(bench, 8, 1);
    bench_reply(bench, chunk(8, 1, 100, 0, 100));
    assert_string_equal(chunk_stored(bench, 8, 1, 100), "drop id=8/1\n"
                                                        "send 2 Fetch epoch=3 at=10/1 hw=-1\n");
}

/* ---- while it is being installed ---- */

static void voter_that_installs_does_not_ask_to_be_removed(void **state)
{
    struct bench *bench = *state;

    bench->options.auto_join = true;
    follow_with_log(bench, 5);
    install_begin(bench, 40, 2);
    assert_null(strstr(bench_pass(bench, 10000), "RemoveRaftVoter"));
    installed(bench, 40, 2);
    assert_string_equal(bench_role(bench), "Follower 3");
}

static void fetch_that_is_answered_while_a_snapshot_is_installed_changes_no_log(void **state)
{
    struct bench *bench = *state;
    struct raft_endpoint server = {SLICE("ANY"), SLICE("server"), 1};
    struct raft_reply reply = bench_ok(RAFT_API_UPDATE_VOTER, 2, 3);
    struct raft_status status;

    bench->options.bootstrap_servers = (struct raft_endpoints){&server, 1};
    bench->options.kraft_version_max = 2; /* the entry of this voter is outdated: it tells */
    follow_with_log(bench, 5);
    install_begin(bench, 40, 2);
    assert_non_null(strstr(bench_pass(bench, 2000), "send 2 UpdateRaftVoter 1 epoch=3\n"));
    reply.error = ERR_UNKNOWN_SERVER_ERROR; /* the leader is left alone, another is asked */
    assert_non_null(strstr(bench_reply(bench, reply), "Fetch epoch=3 at=10/1 hw=5\n"));
    reply = bench_ok(RAFT_API_FETCH, 2, 3);
    reply.fetch.diverging = (struct raft_offset_epoch){7, 1};
    assert_null(strstr(bench_reply(bench, reply), "truncate"));
    installed(bench, 40, 2);
    raft_status(bench->raft, &status);
    assert_int_equal(status.log_end_offset, 40);
}

static void install_outlives_its_epoch(void **state)
{
    struct bench *bench = *state;
    struct raft_status status;

    follow_with_log(bench, 5);
    install_begin(bench, 40, 2);
    bench_request(bench, bench_vote(3, 9, 50, 3, false));
    assert_string_equal(bench_role(bench), "Unattached 9");
    bench_pass(bench, 5000); /* it does not stand: nobody knows the end of its log */
    assert_string_equal(bench_role(bench), "Unattached 9");
    installed(bench, 40, 2);
    raft_status(bench->raft, &status);
    assert_int_equal(status.log_end_offset, 40);
    assert_int_equal(status.high_watermark, 40);
}

static void install_that_failed_is_begun_anew(void **state)
{
    struct bench *bench = *state;

    follow_with_log(bench, 5);
    install_begin(bench, 40, 2);
    assert_string_equal(bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_INSTALL_FAILED}),
                        "send 2 Fetch epoch=3 at=10/1 hw=5\n");
}

/* ---- serving ---- */

static void requests_for_snapshots_are_checked_like_fetches(void **state)
{
    struct bench *bench = *state;
    struct raft_snapshot made = {{0, 5}, 100}; /* of an offset where the bootstrap snapshot lies */
    struct raft_request request = {.api = RAFT_API_FETCH_SNAPSHOT,
                                   .one_partition = true,
                                   .fetch_snapshot = {bench_key(5), 1, {0, 5}, 0, 1000}};

    bench_start_dynamic(bench, 1);
    bench_request_raw(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_SNAPSHOT_NOT_FOUND);
    bench_feed(bench, (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE, .snapshot_made = made});
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, OK);
    request.fetch_snapshot.replica.id = 1; /* our own id on another machine */
    bench_request(bench, request);
    assert_int_equal(bench->last_reply.error, ERR_UNKNOWN_SERVER_ERROR);
}

static void snapshots_are_kept_in_order_whatever_the_order_they_came_in(void **state)
{
    static const struct raft_snapshot made[] = {{{2, 1}, 20}, {{1, 1}, 10}, {{2, 1}, 20}};
    struct bench *bench = *state;
    struct raft_status status;

    bench_start_dynamic(bench, 1);
    for (size_t i = 0; i < ARRAY_COUNT(made); i++)
        bench_feed(bench,
                   (struct raft_event){.kind = RAFT_EVENT_SNAPSHOT_MADE, .snapshot_made = made[i]});
    raft_status(bench->raft, &status);
    assert_int_equal(status.latest_snapshot.id.offset, 2);
}

static void replica_of_an_epoch_before_the_earliest_snapshot_is_sent_to_the_latest(void **state)
{
    struct bench *bench = *state;
    struct raft_snapshot snapshot = {{10, 3}, 100};
    struct raft_offset_epoch epochs = {10, 3};
    struct raft_quorum_state stored = {.leader_id = -1, .leader_epoch = 3, .voted_id = -1};

    bench->options.static_voters = bench_voters(bench, 1, 1, 0);
    bench_start(bench, &(struct raft_start){.quorum_state = &stored,
                                            .log_start_offset = 10,
                                            .log_end_offset = 20,
                                            .epochs = &epochs,
                                            .epoch_count = 1,
                                            .snapshots = &snapshot,
                                            .snapshot_count = 1});
    assert_non_null(strstr(bench_request(bench, bench_fetch(5, 4, 12, 2)), "snapshot=10/3\n"));
    assert_non_null(strstr(bench_request(bench, bench_fetch(5, 4, 12, 3)), "read=12\n"));
    assert_non_null(strstr(bench_request(bench, bench_fetch(5, 4, 10, 2)), "snapshot=10/3\n"));
    assert_non_null(strstr(bench_request(bench, bench_fetch(5, 4, 10, 3)), "read=10\n"));
    assert_non_null(strstr(bench_request(bench, bench_fetch(5, 4, 9, 3)), "snapshot=10/3\n"));
}

/* ---- news of the own log ---- */

static void news_of_an_earlier_era_are_passed_over(void **state)
{
    struct bench *bench = *state;
    struct raft_reply reply = bench_ok(RAFT_API_FETCH, 3, 4);
    struct raft_event written = {.kind = RAFT_EVENT_WRITTEN, .log_end = {0, 10}};

    follow_with_log(bench, 3);
    bench_follow(bench, 3, 4);
    reply.fetch.diverging = (struct raft_offset_epoch){5, 1};
    assert_non_null(strstr(bench_reply(bench, reply), "truncate to=5\n"));
    assert_string_equal(bench_feed(bench, written), "");
}

static void cleaned_log_forgets_what_lies_before_its_start(void **state)
{
    struct bench *bench = *state;
    struct raft_offset_epoch epochs[] = {{0, 1}, {4, 2}};
    struct raft_snapshot snapshots[] = {{{2, 1}, 10}, {{6, 2}, 10}};
    struct raft_voters voters = bench_voters(bench, 0, 1, 2, 3, 0);
    struct raft_voters_at sets[] = {{1, voters}, {3, voters}, {7, voters}};
    struct raft_kraft_version_at versions[] = {{0, 1}, {2, 1}, {7, 1}};
    struct raft_event cleaned = {.kind = RAFT_EVENT_LOG_CLEANED};
    struct raft_status status;

    bench_start(bench, &(struct raft_start){.log_end_offset = 10,
                                            .epochs = epochs,
                                            .epoch_count = 2,
                                            .snapshots = snapshots,
                                            .snapshot_count = 2,
                                            .voters = sets,
                                            .voters_count = 3,
                                            .kraft_versions = versions,
                                            .kraft_version_count = 3});
    cleaned.log_cleaned.log_start_offset = 6;
    bench_feed(bench, cleaned);
    bench_feed(bench, cleaned); /* nothing new */
    raft_status(bench->raft, &status);
    assert_int_equal(status.log_start_offset, 6);
    assert_int_equal(status.voters.count, 3);
    cleaned.log_cleaned.log_start_offset = 10; /* behind every snapshot */
    bench_feed(bench, cleaned);
    raft_status(bench->raft, &status);
    assert_int_equal(status.latest_snapshot.id.offset, -1);
}

static void log_without_epochs_is_cleaned_too(void **state)
{
    struct bench *bench = *state;
    struct raft_snapshot snapshot = {{4, 2}, 10};
    struct raft_event cleaned = {.kind = RAFT_EVENT_LOG_CLEANED, .log_cleaned = {8}};
    struct raft_status status;

    bench->options.static_voters = bench_voters(bench, 1, 1, 2, 3, 0);
    bench_start(bench, &(struct raft_start){
                           .log_end_offset = 10, .snapshots = &snapshot, .snapshot_count = 1});
    assert_string_equal(bench_wait(bench, "Prospective 0"), "role Prospective epoch=0 leader=-1\n"
                                                            "send 2 Vote pre epoch=0 end=10/0\n"
                                                            "send 3 Vote pre epoch=0 end=10/0\n");
    bench_feed(bench, cleaned);
    raft_status(bench->raft, &status);
    assert_int_equal(status.log_start_offset, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(snapshot_that_the_leader_cannot_have_is_not_fetched),
        TEST(snapshot_at_hand_is_not_fetched_again),
        cmocka_unit_test(chunk_that_does_not_continue_the_file_is_not_stored),
        TEST(snapshot_of_no_bytes_is_whole_at_once),
        cmocka_unit_test(snapshot_that_the_leader_names_no_more_is_dropped),
        TEST(fetch_of_a_snapshot_that_fails_whole_is_tried_again),
        TEST(news_of_a_chunk_of_another_download_is_passed_over),
        TEST(snapshot_that_lies_behind_the_log_is_not_installed),
        TEST(voter_that_installs_does_not_ask_to_be_removed),
        TEST(fetch_that_is_answered_while_a_snapshot_is_installed_changes_no_log),
        TEST(install_outlives_its_epoch),
        TEST(install_that_failed_is_begun_anew),
        TEST(requests_for_snapshots_are_checked_like_fetches),
        TEST(snapshots_are_kept_in_order_whatever_the_order_they_came_in),
        TEST(replica_of_an_epoch_before_the_earliest_snapshot_is_sent_to_the_latest),
        TEST(news_of_an_earlier_era_are_passed_over),
        TEST(cleaned_log_forgets_what_lies_before_its_start),
        TEST(log_without_epochs_is_cleaned_too),
    };

    BENCH_RUN(tests);
}
