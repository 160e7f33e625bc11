/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_text.h: the pieces of a page of metrics in Prometheus' text form. Pure.
 */
#ifndef SERVER_METRICS_TEXT_H
#define SERVER_METRICS_TEXT_H

#include "base/writer.h"

/* As it is. */
void metrics_text(struct writer *out, const char *words);
/* The value of a label, without its quotes. A byte that is no text stands as \xNN: for one of them a reader refuses the
 * whole page. */
void metrics_label(struct writer *out, struct slice value);
void metrics_number(struct writer *out, const char *before, int64_t value, const char *after);
/* The lines that tell what a metric is: "gauge" or "counter", and help. */
void metrics_head(struct writer *out, const char *name, const char *kind, const char *help);

#endif
