/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_rows.h: which key is set to what, and what then differs.
 */
#ifndef TESTS_SIM_CONFIG_ROWS_H
#define TESTS_SIM_CONFIG_ROWS_H

#include "config_observe.h"

#define DIFFERS INT64_MIN

struct row {
    const char *keys;       /* "effect: key …": those of `set` or `topic` */
    const char *with;       /* properties of both nodes */
    const char *set;        /* what the second has besides */
    const char *topic_with; /* "key=value;…" of the topic in both */
    const char *topic;      /* and in the second alone */
    observer *observe;
    const char *argument;
    int64_t before, after;     /* DIFFERS: whatever it is, it changes */
    const char *event, *field; /* for events_logged */
    const char *without;       /* a property that both nodes do not have */
    bool at_start;             /* not set at run time, though it may be */
};

extern const struct row config_rows[];
extern const size_t config_row_count;

#endif
