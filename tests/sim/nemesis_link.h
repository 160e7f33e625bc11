/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/nemesis_link.h: what faults of the network share: who is at the other end, and how it heals.
 */
#ifndef TESTS_SIM_NEMESIS_LINK_H
#define TESTS_SIM_NEMESIS_LINK_H

#include "world.h"

/* A client, another node or the node itself; the same one each time it is asked for one fault. */
struct os *nemesis_other(struct world *world, struct fault *fault);
void nemesis_link_heal(struct world *world, struct fault *fault);

#endif
