/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replication/replication.h"

#define SELF 1

static struct replica_state unborn(void)
{
    return (struct replica_state){.self_id = SELF,
                                  .leader_id = -1,
                                  .leader_epoch = -1,
                                  .partition_epoch = -1,
                                  .epoch_start_offset = -1};
}

static const int32_t three[] = {1, 2, 3};
static const int32_t others[] = {4, 2, 3};

static struct metadata_partition partition(int32_t leader, int32_t leader_epoch,
                                           int32_t partition_epoch, size_t isr_count)
{
    return (struct metadata_partition){.replicas = three,
                                       .replica_count = 3,
                                       .isr = three,
                                       .isr_count = isr_count,
                                       .leader = leader,
                                       .leader_epoch = leader_epoch,
                                       .partition_epoch = partition_epoch};
}

static void metadata_decides_the_role_and_older_metadata_changes_nothing(void **state)
{
    static const struct {
        int32_t leader, leader_epoch, partition_epoch;
        enum replica_change change;
        enum replica_role role;
        int64_t epoch_start;
    } steps[] = {
        {2, 0, 0, REPLICA_BECOMES_FOLLOWER, REPLICA_FOLLOWER, -1},
        {2, 0, 0, REPLICA_UNCHANGED, REPLICA_FOLLOWER, -1},
        {2, 0, 1, REPLICA_UPDATED, REPLICA_FOLLOWER, -1},
        {1, 1, 2, REPLICA_BECOMES_LEADER, REPLICA_LEADER, 102},
        {2, 0, 1, REPLICA_UNCHANGED, REPLICA_LEADER, 102}, /* late news of the old leader */
        {1, 1, 1, REPLICA_UNCHANGED, REPLICA_LEADER, 102},
        {1, 1, 5, REPLICA_UPDATED, REPLICA_LEADER, 102},
        {1, 2, 6, REPLICA_BECOMES_LEADER, REPLICA_LEADER, 102}, /* elected again */
        {-1, 3, 7, REPLICA_BECOMES_FOLLOWER, REPLICA_FOLLOWER, -1},
        {1, 4, 8, REPLICA_BECOMES_LEADER, REPLICA_LEADER, 102},
        {3, 9, 9, REPLICA_BECOMES_FOLLOWER, REPLICA_FOLLOWER, -1},
        {1, 9, 10, REPLICA_BECOMES_LEADER, REPLICA_LEADER, 102}, /* no controller does this */
    };
    struct replica_state replica = unborn();
    struct replica_progress peers[ARRAY_COUNT(steps)][3];

    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct metadata_partition now =
            partition(steps[i].leader, steps[i].leader_epoch, steps[i].partition_epoch, 3);

        assert_int_equal(replica_apply(&replica, &now, 102, 50, peers[i]), steps[i].change);
        assert_int_equal(replica.role, steps[i].role);
        assert_int_equal(replica.epoch_start_offset, steps[i].epoch_start);
        if (steps[i].change != REPLICA_UNCHANGED) {
            assert_int_equal(replica.leader_id, steps[i].leader);
            assert_int_equal(replica.leader_epoch, steps[i].leader_epoch);
            assert_int_equal(replica.partition_epoch, steps[i].partition_epoch);
            assert_ptr_equal(replica.peers, peers[i]);
            assert_int_equal(replica.peer_count, 2);
        }
    }
}

static void who_is_no_replica_any_more_has_no_role(void **state)
{
    struct replica_state replica = unborn();
    struct replica_progress peers[2][3];
    struct metadata_partition now = partition(1, 3, 3, 3);

    assert_int_equal(replica_apply(&replica, &now, 0, 0, peers[0]), REPLICA_BECOMES_LEADER);
    now = partition(2, 4, 4, 2);
    now.replicas = others;
    now.isr = others + 1;
    assert_int_equal(replica_apply(&replica, &now, 0, 0, peers[1]), REPLICA_BECOMES_FOLLOWER);
    assert_int_equal(replica.role, REPLICA_NONE);
    assert_int_equal(replica.peer_count, 3);
    assert_false(replica.self_in_isr);
    assert_int_equal(replica_check_epoch(&replica, -1, false), ERR_NOT_LEADER_OR_FOLLOWER);
}

static void what_peers_told_lasts_for_the_leader_epoch(void **state)
{
    struct replica_state replica = unborn();
    struct replica_progress peers[3][3];
    struct metadata_partition now = partition(1, 1, 1, 3);

    (void)!replica_apply(&replica, &now, 100, 0, peers[0]);
    assert_int_equal(replica.peers[0].end_offset, -1);
    replica.peers[0].end_offset = 70;
    replica.peers[1].end_offset = 80;
    replica.high_watermark = 70;
    now = partition(1, 1, 2, 2);
    (void)!replica_apply(&replica, &now, 100, 60, peers[1]);
    assert_int_equal(replica.peers[0].end_offset, 70);
    assert_int_equal(replica.peers[1].end_offset, 80);
    assert_true(replica.peers[0].in_isr);
    assert_false(replica.peers[1].in_isr);
    assert_int_equal(replica.isr_count, 2);
    assert_int_equal(replica.high_watermark, 70); /* not back to what was told */
    now = partition(1, 2, 3, 2);
    (void)!replica_apply(&replica, &now, 100, 60, peers[2]);
    assert_int_equal(replica.peers[0].end_offset, -1);
    assert_int_equal(replica.high_watermark, 60); /* a new epoch starts with the log's own */
}

static void of_a_replica_that_joins_within_the_leader_epoch_nothing_is_known(void **state)
{
    static const int32_t four[] = {1, 2, 3, 4};
    struct replica_state replica = unborn();
    struct metadata_partition now = partition(SELF, 1, 1, 3);
    struct replica_progress before[3], after[4];

    UNUSED(state);
    replica_apply(&replica, &now, 10, 0, before);
    before[0].end_offset = 7;
    now.replicas = four;
    now.replica_count = 4;
    now.partition_epoch = 2;
    assert_int_equal(replica_apply(&replica, &now, 10, 0, after), REPLICA_UPDATED);
    assert_int_equal(replica.peer_count, 3);
    assert_int_equal(after[0].end_offset, 7);
    assert_int_equal(after[2].broker_id, 4);
    assert_int_equal(after[2].end_offset, -1);
    assert_false(after[2].in_isr);
}

static void the_high_watermark_is_the_least_flushed_end_of_the_isr(void **state)
{
    static const struct {
        int64_t flushed, peer_2, peer_3;
        bool in_isr_2, in_isr_3;
        size_t isr_count;
        int32_t min_isr;
        int64_t expected;
    } cases[] = {
        {100, 100, 100, true, true, 3, 1, 100},
        {90, 100, 100, true, true, 3, 1, 90}, /* our own flush is behind */
        {100, 80, 95, true, true, 3, 1, 80},  /* the slowest of the ISR */
        {100, 60, 95, false, true, 2, 1, 95}, /* outside the ISR nobody is waited for */
        {100, -1, 100, true, true, 3, 1, 50}, /* has not fetched yet */
        {100, -1, 100, false, true, 2, 1, 100},
        {100, 20, 100, true, true, 3, 1, 50}, /* never back */
        {40, 100, 100, true, true, 3, 1, 50},
        {100, 100, 100, false, false, 1, 1, 100},
        {100, 100, 100, false, false, 1, 2, 50}, /* frozen: ISR too small */
        {100, 90, 100, true, false, 2, 2, 90},
        {100, 90, 80, true, true, 3, 7, 80}, /* all three are what 7 can mean */
        {100, 90, 80, true, false, 2, 7, 50},
        {100, 90, 80, true, true, 3, 0, 80},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct replica_progress peers[] = {{2, cases[i].peer_2, cases[i].in_isr_2},
                                           {3, cases[i].peer_3, cases[i].in_isr_3}};
        struct replica_state replica = {.role = REPLICA_LEADER,
                                        .self_id = SELF,
                                        .high_watermark = 50,
                                        .peers = peers,
                                        .peer_count = 2,
                                        .replica_count = 3,
                                        .isr_count = cases[i].isr_count,
                                        .self_in_isr = true};

        if (replica_high_watermark(&replica, cases[i].flushed, cases[i].min_isr) !=
            cases[i].expected)
            fail_msg("case %zu", i);
        replica.role = REPLICA_FOLLOWER; /* its mark comes from the leader */
        assert_int_equal(replica_high_watermark(&replica, 1000, 1), 50);
    }
}

static void epochs_tell_which_side_is_behind(void **state)
{
    static const struct {
        enum replica_role role;
        int32_t current;
        bool needs_leader;
        enum err expected;
    } cases[] = {
        {REPLICA_LEADER, -1, true, OK},
        {REPLICA_LEADER, 5, true, OK},
        {REPLICA_LEADER, 4, true, ERR_FENCED_LEADER_EPOCH},
        {REPLICA_LEADER, 0, true, ERR_FENCED_LEADER_EPOCH},
        {REPLICA_LEADER, -2, true, ERR_FENCED_LEADER_EPOCH},
        {REPLICA_LEADER, 6, true, ERR_UNKNOWN_LEADER_EPOCH},
        {REPLICA_LEADER, INT32_MAX, false, ERR_UNKNOWN_LEADER_EPOCH},
        {REPLICA_FOLLOWER, -1, true, ERR_NOT_LEADER_OR_FOLLOWER},
        {REPLICA_FOLLOWER, 5, true, ERR_NOT_LEADER_OR_FOLLOWER},
        {REPLICA_FOLLOWER, 4, true, ERR_FENCED_LEADER_EPOCH},
        {REPLICA_FOLLOWER, 6, true, ERR_UNKNOWN_LEADER_EPOCH},
        {REPLICA_FOLLOWER, -1, false, OK},
        {REPLICA_FOLLOWER, 5, false, OK},
        {REPLICA_FOLLOWER, 4, false, ERR_FENCED_LEADER_EPOCH},
        {REPLICA_NONE, -1, false, ERR_NOT_LEADER_OR_FOLLOWER},
        {REPLICA_NONE, 5, false, ERR_NOT_LEADER_OR_FOLLOWER},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct replica_state replica = {.role = cases[i].role, .leader_epoch = 5};

        if (replica_check_epoch(&replica, cases[i].current, cases[i].needs_leader) !=
            cases[i].expected)
            fail_msg("case %zu", i);
    }
}

static void produce_needs_the_leader_and_acks_all_needs_the_isr(void **state)
{
    static const struct {
        enum replica_role role;
        size_t replicas, isr;
        int32_t min_isr;
        int16_t acks;
        enum err before, after;
    } cases[] = {
        {REPLICA_LEADER, 3, 2, 2, -1, OK, OK},
        {REPLICA_LEADER, 3, 1, 2, -1, ERR_NOT_ENOUGH_REPLICAS,
         ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND},
        {REPLICA_LEADER, 3, 1, 2, 1, OK, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND},
        {REPLICA_LEADER, 3, 1, 2, 0, OK, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND},
        {REPLICA_LEADER, 1, 1, 2, -1, OK, OK}, /* one replica cannot be two */
        {REPLICA_LEADER, 3, 1, 1, -1, OK, OK},
        {REPLICA_LEADER, 3, 2, 3, -1, ERR_NOT_ENOUGH_REPLICAS,
         ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND},
        {REPLICA_FOLLOWER, 3, 3, 1, -1, ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_LEADER_OR_FOLLOWER},
        {REPLICA_FOLLOWER, 3, 3, 1, 0, ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_LEADER_OR_FOLLOWER},
        {REPLICA_NONE, 0, 0, 1, 1, ERR_NOT_LEADER_OR_FOLLOWER, ERR_NOT_LEADER_OR_FOLLOWER},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct replica_state replica = {
            .role = cases[i].role, .replica_count = cases[i].replicas, .isr_count = cases[i].isr};

        if (replica_check_produce(&replica, cases[i].acks, cases[i].min_isr) != cases[i].before ||
            replica_check_committed(&replica, cases[i].min_isr) != cases[i].after)
            fail_msg("case %zu", i);
    }
}

static void offsets_are_known_once_the_high_watermark_reached_the_epochs_start(void **state)
{
    static const struct {
        enum replica_role role;
        int64_t high_watermark, epoch_start;
        bool expected;
    } cases[] = {
        {REPLICA_LEADER, 99, 100, false}, {REPLICA_LEADER, 100, 100, true},
        {REPLICA_LEADER, 101, 100, true}, {REPLICA_LEADER, 0, 0, true},
        {REPLICA_FOLLOWER, 5, -1, true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct replica_state replica = {.role = cases[i].role,
                                        .high_watermark = cases[i].high_watermark,
                                        .epoch_start_offset = cases[i].epoch_start};

        assert_int_equal(replica_offsets_known(&replica), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_decides_the_role_and_older_metadata_changes_nothing),
        cmocka_unit_test(who_is_no_replica_any_more_has_no_role),
        cmocka_unit_test(what_peers_told_lasts_for_the_leader_epoch),
        cmocka_unit_test(of_a_replica_that_joins_within_the_leader_epoch_nothing_is_known),
        cmocka_unit_test(the_high_watermark_is_the_least_flushed_end_of_the_isr),
        cmocka_unit_test(epochs_tell_which_side_is_behind),
        cmocka_unit_test(produce_needs_the_leader_and_acks_all_needs_the_isr),
        cmocka_unit_test(offsets_are_known_once_the_high_watermark_reached_the_epochs_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
