/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole quorums under faults. RAFT_SEED=n runs the one seed n of every shape; RAFT_SEEDS=n runs that
 * many instead of the quick number.
 */
#include "cluster.h"

#include "bench.h"

#include <stdlib.h>

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_shape(struct cluster_options options)
{
    uint64_t one = number_of("RAFT_SEED", 0);
    uint64_t count = number_of("RAFT_SEEDS", 60);
    struct cluster_result sum = {0};

    for (uint64_t seed = 1; seed <= count; seed++) {
        struct cluster_result result;

        options.seed = one ? one : seed;
        options.loss_percent = (int)(options.seed % 4) * 4;
        options.duplicate_percent = (int)(options.seed % 3) * 3;
        result = cluster_run(&options);
        sum.committed += result.committed;
        sum.elections += result.elections;
        sum.crashes += result.crashes;
        sum.truncations += result.truncations;
        sum.installs += result.installs;
        sum.voter_changes += result.voter_changes;
        sum.resignations += result.resignations;
        if (one)
            break;
    }
    print_message("committed %lld elections %d crashes %d truncations %d installs %d changes %d "
                  "resignations %d\n",
                  (long long)sum.committed, sum.elections, sum.crashes, sum.truncations,
                  sum.installs, sum.voter_changes, sum.resignations);
    if (one)
        return;
    /* A harness that meets no fault proves nothing. */
    assert_true(sum.elections > (int)count && sum.crashes > (int)count);
    assert_true(options.voters == 1 || sum.truncations > 0);
    assert_true(options.voters + options.standbys + options.brokers == 1 || sum.installs > 0);
    assert_true(!options.changes || sum.voter_changes > (int)count);
}

static void one_voter_keeps_its_promises_under_crashes(void **state)
{
    (void)state;
    run_shape((struct cluster_options){.voters = 1, .dynamic = true, .chaos_ms = 20000});
}

static void three_configured_voters_keep_their_promises(void **state)
{
    (void)state;
    run_shape((struct cluster_options){.voters = 3, .brokers = 1, .chaos_ms = 20000});
}

static void five_configured_voters_keep_their_promises(void **state)
{
    (void)state;
    run_shape((struct cluster_options){.voters = 5, .chaos_ms = 20000});
}

static void three_voters_of_the_log_keep_their_promises(void **state)
{
    (void)state;
    run_shape((struct cluster_options){
        .voters = 3, .standbys = 1, .brokers = 1, .dynamic = true, .chaos_ms = 20000});
}

static void voters_that_come_and_go_keep_their_promises(void **state)
{
    (void)state;
    run_shape((struct cluster_options){
        .voters = 3, .standbys = 2, .dynamic = true, .changes = true, .chaos_ms = 30000});
}

static void voters_that_join_by_themselves_keep_their_promises(void **state)
{
    (void)state;
    run_shape((struct cluster_options){.voters = 2,
                                       .standbys = 2,
                                       .dynamic = true,
                                       .changes = true,
                                       .auto_join = true,
                                       .chaos_ms = 30000});
}

static void same_seed_gives_the_same_run(void **state)
{
    struct cluster_options options = {.seed = 7,
                                      .voters = 3,
                                      .standbys = 1,
                                      .dynamic = true,
                                      .changes = true,
                                      .loss_percent = 5,
                                      .duplicate_percent = 5,
                                      .chaos_ms = 20000};
    uint64_t first = cluster_run(&options).hash;

    (void)state;
    assert_true(first == cluster_run(&options).hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_voter_keeps_its_promises_under_crashes),
        cmocka_unit_test(three_configured_voters_keep_their_promises),
        cmocka_unit_test(five_configured_voters_keep_their_promises),
        cmocka_unit_test(three_voters_of_the_log_keep_their_promises),
        cmocka_unit_test(voters_that_come_and_go_keep_their_promises),
        cmocka_unit_test(voters_that_join_by_themselves_keep_their_promises),
        cmocka_unit_test(same_seed_gives_the_same_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
