/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/log_sink.h: where log lines go: text or JSON, one line each, to standard output, with levels by
 * module. docs/design/logging.md. Threads: lines and levels from any; made and released by one.
 */
#ifndef SERVER_LOG_SINK_H
#define SERVER_LOG_SINK_H

#include "base/log.h"
#include "config/config.h"

struct os;
struct log_sink;

MUST_USE enum err log_sink_create(struct os *os, bool json, enum log_level level,
                                  struct log_sink **out);
void log_sink_release(struct log_sink **sink);
struct logger *log_sink_logger(struct log_sink *sink);
void log_sink_set_levels(struct log_sink *sink, const struct config_logger_levels *levels);

/* One line without newline into `out` (pure; for tests): wall_ms since 1970, `fields` as struct logger has
 * them. Returns its length. */
size_t log_line_text(char *out, size_t capacity_bytes, int64_t wall_ms, enum log_level level,
                     const char *module, const char *event, const char *fields);
size_t log_line_json(char *out, size_t capacity_bytes, int64_t wall_ms, enum log_level level,
                     const char *module, const char *event, const char *fields);

#endif
