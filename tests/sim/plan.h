/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/plan.h: which faults strike a world, when and for how long: drawn whole before the run, so that leaving one
 * out leaves the others where they were.
 */
#ifndef TESTS_SIM_PLAN_H
#define TESTS_SIM_PLAN_H

#include "world.h"

void plan_make(struct world *world);
/* When something is due; end_ns at the latest. */
int64_t plan_next(const struct world *world, int64_t end_ns);
void plan_act(struct world *world); /* what is due now */
/* Ends every fault, wakes whoever sleeps, restarts whoever has lost a directory. */
void plan_heal(struct world *world);
/* Did a fault of that kind strike? */
bool plan_has_struck(const struct world *world, const char *name);
bool plan_is_left_out(const struct world *world, const struct fault *fault);

#endif
