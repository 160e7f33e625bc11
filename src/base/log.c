/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/log.c: formats the fields of one event and hands them to the sink.
 */
#include "base/log.h"

#include "base/base_internal.h"

#define FIELDS_BYTES (2 * KIB) /* with NUL */

void log_event(struct logger *logger, enum log_level level, const char *module, const char *event,
               const char *format, ...)
{
    char fields[FIELDS_BYTES];
    va_list arguments;

    if (!logger || level < logger->level)
        return;
    va_start(arguments, format);
    fields_list(fields, sizeof fields, format, arguments);
    va_end(arguments);
    logger->write(logger, level, module, event, fields);
}
