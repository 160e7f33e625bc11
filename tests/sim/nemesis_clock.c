/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_clock.c: the wall clock jumps or stands still, or both clocks run fast or slow.
 */
#include "world.h"

/* Producers are forgotten after a day (producer.id.expiration.ms): with margin for both directions. */
#define FORGET_MS (11 * 3600000LL)
/* Committed offsets after seven days (offsets.retention.minutes). */
#define EXPIRE_MS (3 * 86400000LL)

static void begin(struct world *world, struct fault *fault)
{
    static const int64_t scales_ms[] = {1000, 60000, 6 * 3600000LL, 365 * 86400000LL};
    struct os *machine = fault->node->node.machine;
    struct history_event event;
    int64_t scale_ms, delta_ms;

    if (!sim_machine_is_up(machine))
        return;
    switch (random_below(&fault->random, 4)) {
    case 0:
        sim_wall_stall(machine, true);
        break;
    case 1:
        sim_clock_drift(machine, (int32_t)random_between(&fault->random, -200000, 200000));
        break;
    default:
        scale_ms = scales_ms[random_below(&fault->random, ARRAY_COUNT(scales_ms))];
        delta_ms = random_between(&fault->random, -scale_ms, scale_ms);
        sim_wall_jump(machine, delta_ms);
        world->jumped_ms += delta_ms < 0 ? -delta_ms : delta_ms;
        world_say(world, "clock jumps by %lld ms", (long long)delta_ms);
    }
    if (world->jumped_ms > EXPIRE_MS && !world->may_expire) {
        world->may_expire = true;
        world_mark(world, HISTORY_MARK_EXPIRE);
    }
    if (world->jumped_ms > FORGET_MS && !world->may_forget) {
        world->may_forget = true;
        history_event_init(&event, HISTORY_MARK, HISTORY_OK);
        event.mark = HISTORY_MARK_FORGET;
        world_event(world, &event);
    }
}

static void end(struct world *world, struct fault *fault)
{
    UNUSED(world);
    if (!sim_machine_is_up(fault->node->node.machine))
        return;
    sim_wall_stall(fault->node->node.machine, false);
    sim_clock_drift(fault->node->node.machine, 0);
}

const struct nemesis nemesis_clock = {.name = "clock", .begin = begin, .end = end};
