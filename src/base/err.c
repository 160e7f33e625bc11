/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/err.c: the lookups over the table of schema/errors.
 */
#include "base/err.h"

#include "base/fmt.h"

#define OURS_MIN 1000 /* the first code that is not Kafka's */

const char *err_name(enum err err)
{
    switch (err) {
#define NAME(symbol, name, wire, retriable, text) \
    case symbol:                                  \
        return name;
        ERR_TABLE(NAME)
#undef NAME
    }
    return "UNKNOWN";
}

const char *err_text(enum err err)
{
    switch (err) {
#define TEXT(symbol, name, wire, retriable, text) \
    case symbol:                                  \
        return text;
        ERR_TABLE(TEXT)
#undef TEXT
    }
    return "not an error of the table";
}

int16_t err_wire_code(enum err err)
{
    switch (err) {
#define WIRE(symbol, name, wire, retriable, text) \
    case symbol:                                  \
        return wire;
        ERR_TABLE(WIRE)
#undef WIRE
    }
    return ERR_UNKNOWN_SERVER_ERROR;
}

enum err err_from_wire(int16_t code)
{
    if (code >= OURS_MIN) /* ours never travel */
        return ERR_UNKNOWN_SERVER_ERROR;
    switch ((enum err)code) {
#define KNOWN(symbol, name, wire, retriable, text) case symbol:
        ERR_TABLE(KNOWN)
#undef KNOWN
        return (enum err)code;
    }
    return ERR_UNKNOWN_SERVER_ERROR;
}

bool err_is_retriable(enum err err)
{
    switch (err) {
#define RETRIABLE(symbol, name, wire, retriable, text) \
    case symbol:                                       \
        return retriable;
        ERR_TABLE(RETRIABLE)
#undef RETRIABLE
    }
    return false;
}

enum err why_set(struct why *why, enum err err, const char *format, ...)
{
    va_list arguments;

    if (!why)
        return err;
    va_start(arguments, format);
    fmt_list(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return err;
}
