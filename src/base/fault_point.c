/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/fault_point.c: who decides; nothing at all but in builds with -Dfault_points=true.
 */
#include "base/fault_point.h"

#ifdef BARNABAS_FAULT_POINTS
static bool (*decide_now)(void *context, enum fault_point point);
static void *decide_context;

bool fault_point_strikes(enum fault_point point)
{
    return decide_now && decide_now(decide_context, point);
}

void fault_points_install(bool (*decide)(void *context, enum fault_point point), void *context)
{
    decide_now = decide;
    decide_context = context;
}
#endif
