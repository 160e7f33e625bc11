/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.h: the interface through which every module logs: one event name per site and key=value
 * fields. The sink (text, JSON, test buffer) is given by the process. No secret in any field.
 *
 *   LOG_INFO(logger, "storage", "segment_rolled", "topic=%.*s offset=%lld", …);
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/macros.h"

#include <stdarg.h>

enum log_level {
    LOG_LEVEL_TRACE,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR
};

struct logger {
    /* Writes one line. `fields` is a formatted "key=value key=value" text; values with spaces are in
     * double quotes. `"` and `\` inside a value have a backslash before them, a line break is \n, another control
     * byte and one that is no UTF-8 \xNN, a space in a part of a value \x20. Called from any thread. */
    void (*write)(struct logger *self, enum log_level level, const char *module, const char *event,
                  const char *fields);
    enum log_level level; /* below it nothing is formatted */
};

/* NULL logger: dropped. Truncated at 2 KiB. Whatever %s, %.*s and %c put in (what a peer calls itself) stays inside its
 * value, with quotes around it in the format or without; so a format holds the keys, and no %s a whole field. */
void log_event(struct logger *logger, enum log_level level, const char *module, const char *event,
               const char *format, ...) PRINTF_LIKE(5, 6);

#define LOG_AT(sink, lvl, module, event, ...)                          \
    do {                                                               \
        struct logger *logger_ = (sink);                               \
        if (logger_ && (lvl) >= logger_->level)                        \
            log_event(logger_, (lvl), (module), (event), __VA_ARGS__); \
    } while (0)
#define LOG_TRACE(sink, module, event, ...) \
    LOG_AT(sink, LOG_LEVEL_TRACE, module, event, __VA_ARGS__)
#define LOG_DEBUG(sink, module, event, ...) \
    LOG_AT(sink, LOG_LEVEL_DEBUG, module, event, __VA_ARGS__)
#define LOG_INFO(sink, module, event, ...) LOG_AT(sink, LOG_LEVEL_INFO, module, event, __VA_ARGS__)
#define LOG_WARN(sink, module, event, ...) LOG_AT(sink, LOG_LEVEL_WARN, module, event, __VA_ARGS__)
#define LOG_ERROR(sink, module, event, ...) \
    LOG_AT(sink, LOG_LEVEL_ERROR, module, event, __VA_ARGS__)

#endif
