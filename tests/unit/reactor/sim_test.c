/* SPDX-License-Identifier: Apache-2.0 */
/* The same reactor on the simulated machine, which calls the turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "os/sim.h"
#include "reactor/reactor.h"

#define MS ((int64_t)1000000)

struct shard {
    struct reactor *reactor;
    struct shard *peer;
    struct timer timer;
    struct mail mail;
    struct os_op job;
    int round_count;
    int job_count;
    int64_t fired_ms[16];
};

static void shard_mail(struct mail *mail, struct reactor *to)
{
    struct shard *from = CONTAINER_OF(mail, struct shard, mail);

    assert_ptr_equal(to, from->peer->reactor);
    from->peer->round_count++;
}

static void job_run(struct os_op *op)
{
    op->result = 7;
}

static void job_done(struct os_op *op)
{
    struct shard *shard = CONTAINER_OF(op, struct shard, job);

    assert_int_equal(op->result, 7);
    shard->job_count++;
}

static void shard_fire(struct timer *timer)
{
    struct shard *shard = CONTAINER_OF(timer, struct shard, timer);
    int round = shard->job_count;

    shard->fired_ms[round] = reactor_now_ms(shard->reactor);
    assert_true(shard->fired_ms[round] >= timer->deadline_ms);
    assert_true(shard->fired_ms[round] <= timer->deadline_ms + 5);
    shard->mail = (struct mail){.deliver = shard_mail};
    reactor_send(shard->reactor, shard->peer->reactor, &shard->mail);
    shard->job = (struct os_op){.kind = OS_OP_JOB, .run = job_run, .done = job_done};
    reactor_submit(shard->reactor, &shard->job);
    if (round < 9)
        timer_set(shard->reactor, timer, timer->deadline_ms + 1000);
}

static bool is_over(void *context)
{
    struct shard *shards = context;

    return shards[0].job_count == 10 && shards[1].job_count == 10 && shards[0].round_count == 10 &&
           shards[1].round_count == 10;
}

static uint64_t run_one(uint64_t seed)
{
    struct sim *sim;
    struct os *os;
    struct shard shards[2] = {0};
    struct sim_counts counts;
    uint64_t hash;

    assert_int_equal(sim_create(seed, NULL, &sim), OK);
    assert_int_equal(sim_machine_create(sim, "a", &os), OK);
    for (int i = 0; i < 2; i++) {
        shards[i].peer = &shards[1 - i];
        assert_int_equal(reactor_create(os, i, seed, NULL, &shards[i].reactor), OK);
        timer_init(&shards[i].timer, shard_fire);
        timer_set(shards[i].reactor, &shards[i].timer, reactor_now_ms(shards[i].reactor) + 100 + i);
    }
    assert_true(sim_run_until(sim, 60000 * MS, is_over, shards));
    /* Nothing is left to do, so nothing happens: no turn, no tick. */
    sim_run_until(sim, sim_now_ns(sim) + 100 * MS, NULL, NULL);
    sim_counts(sim, &counts);
    hash = counts.events;
    sim_run_until(sim, sim_now_ns(sim) + 3600000 * MS, NULL, NULL);
    sim_counts(sim, &counts);
    assert_int_equal(counts.events, hash);
    hash = sim_hash(sim);
    for (int i = 0; i < 2; i++)
        reactor_release(&shards[i].reactor);
    sim_release(&sim);
    return hash;
}

static void timers_mail_and_jobs_run_on_the_simulated_machine(void **state)
{
    UNUSED(state);
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_true(run_one(seed) == run_one(seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_mail_and_jobs_run_on_the_simulated_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
