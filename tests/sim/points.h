/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/points.h: which fault points of base/fault_point.h a seed has, and how often each strikes. One seed in four has
 * none; in the others one point in four is on, with odds of its own. Each point draws from a stream of its own, so that
 * leaving one out leaves the others alone. Without -Dfault_points=true all of this does nothing.
 */
#ifndef TESTS_SIM_POINTS_H
#define TESTS_SIM_POINTS_H

#include "base/fault_point.h"
#include "os/sim.h"

#include <stdint.h>
#include <stdio.h>

_Static_assert(FAULT_POINT_COUNT <= 64, "sets of them are words");

/* Draws and installs; counts begin at zero. `without`: set of points that stay off. */
void points_begin(struct sim *sim, uint64_t without);
/* None from here on. */
void points_end(void);
/* Set of those that are on for this seed. */
uint64_t points_on(void);
/* How often it struck since points_begin. */
uint64_t points_struck(int point);
const char *points_name(int point);
const char *points_area(int point);
/* "name,name" or "all". False: *set_out lacks a name that there is not. */
bool points_parse(const char *names, uint64_t *set_out);
/* "  fault points: timer_late 1 in 5 (struck 12), …", or nothing when none is on. */
void points_describe(FILE *out);

#endif
