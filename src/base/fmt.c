/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/fmt.c: the formatter behind every text of the pure modules.
 * A conversion that is not supported is an error of ours and ends in an ASSERT; the compiler checks
 * formats against their arguments already (PRINTF_LIKE).
 */
#include "base/fmt.h"

#include "base/assert.h"
#include "base/base_internal.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

struct output {
    char *data;
    size_t capacity_bytes;
    size_t size_bytes; /* of the whole text, beyond the capacity too */
    bool is_fields;    /* of a log line: texts are escaped */
    bool is_quoted;    /* fields: the format has opened a quote */
};

enum length {
    LENGTH_INT,
    LENGTH_CHAR,
    LENGTH_SHORT,
    LENGTH_LONG,
    LENGTH_LONG_LONG,
    LENGTH_SIZE,
    LENGTH_POINTER,
    LENGTH_MAX
};

struct conversion {
    bool left;
    bool zero;
    bool plus;
    bool space;
    bool alternative;
    bool is_value; /* fields: nothing else stands between its = and the next field */
    size_t width;
    bool has_precision;
    size_t precision;
    enum length length;
};

static void put(struct output *out, const char *data, size_t size_bytes)
{
    if (out->size_bytes < out->capacity_bytes)
        memcpy(out->data + out->size_bytes, data,
               MIN(size_bytes, out->capacity_bytes - out->size_bytes));
    out->size_bytes += size_bytes;
}

static void put_repeated(struct output *out, char character, size_t count)
{
    if (out->size_bytes < out->capacity_bytes)
        memset(out->data + out->size_bytes, character,
               MIN(count, out->capacity_bytes - out->size_bytes));
    out->size_bytes += count;
}

/* Out of line: ordinary texts are in the way of requests, and do without it. */
static __attribute__((noinline)) void put_escaped(struct output *out, const struct conversion *c,
                                                  const char *text, size_t size_bytes)
{
    bool wraps = c->is_value && !out->is_quoted && memchr(text, ' ', size_bytes);
    size_t step;

    put(out, "\"", wraps);
    for (size_t i = 0; i < size_bytes && out->size_bytes < out->capacity_bytes; i += step) {
        const char *at = text + i;
        size_t bytes = utf8_character_bytes((const uint8_t *)at, size_bytes - i);
        uint8_t byte = (uint8_t)*at;

        step = MAX(bytes, (size_t)1);
        if (byte == '\n') {
            put(out, "\\n", 2);
        } else if (bytes == 0 || byte < ' ' || byte == 0x7f ||
                   (byte == ' ' && !wraps && !out->is_quoted)) {
            put(out, "\\x", 2);
            put(out, &"0123456789abcdef"[byte >> 4], 1);
            put(out, &"0123456789abcdef"[byte & 15], 1);
        } else {
            put(out, "\\", byte == '"' || byte == '\\');
            put(out, at, step);
        }
    }
    put(out, "\"", wraps);
}

static void put_text(struct output *out, const struct conversion *c, const char *text,
                     size_t size_bytes)
{
    size_t padding = c->width > size_bytes ? c->width - size_bytes : 0;

    if (!c->left)
        put_repeated(out, ' ', padding);
    put(out, text, size_bytes);
    if (c->left)
        put_repeated(out, ' ', padding);
}

/* sign or "0x", zeros, digits, padded to the width. `zero_fill`: with zeros behind the prefix. */
static void put_number(struct output *out, const struct conversion *c, const char *prefix,
                       size_t zeros, const char *digits, size_t digit_count, bool zero_fill)
{
    size_t prefix_count = strlen(prefix);
    size_t size_bytes = prefix_count + zeros + digit_count;
    size_t padding = c->width > size_bytes ? c->width - size_bytes : 0;

    if (!c->left && !zero_fill)
        put_repeated(out, ' ', padding);
    put(out, prefix, prefix_count);
    put_repeated(out, '0', zeros + (!c->left && zero_fill ? padding : 0));
    put(out, digits, digit_count);
    if (c->left)
        put_repeated(out, ' ', padding);
}

static const char *sign_of(const struct conversion *c, bool negative)
{
    return negative ? "-" : c->plus ? "+" : c->space ? " " : "";
}

static void put_unsigned(struct output *out, const struct conversion *c, const char *prefix,
                         uint64_t value, unsigned base, bool upper)
{
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char digits[24]; /* 22 octal digits of 64 bits */
    size_t at = sizeof digits, zeros = 0, count;

    for (; value > 0; value /= base)
        digits[--at] = alphabet[value % base];
    count = sizeof digits - at;
    if (!c->has_precision)
        zeros = count == 0; /* 0 prints one digit, unless a precision of 0 asks for none */
    else if (c->precision > count)
        zeros = c->precision - count;
    if (base == 8 && c->alternative && zeros == 0)
        zeros = 1;
    put_number(out, c, prefix, zeros, digits + at, count, c->zero && !c->has_precision);
}

static void put_signed(struct output *out, const struct conversion *c, int64_t value)
{
    put_unsigned(out, c, sign_of(c, value < 0), value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
                 10, false);
}

static void put_double(struct output *out, const struct conversion *c, double value, bool upper)
{
    char digits[DECIMAL_TEXT_BYTES + 1];
    size_t precision = c->has_precision ? c->precision : 6;
    size_t kept = MIN(precision, (size_t)DECIMAL_FRACTION_MAX), whole, size_bytes, padding;
    const char *sign = sign_of(c, __builtin_signbit(value));
    bool point = precision > 0 || c->alternative;

    if (__builtin_isnan(value) || __builtin_isinf(value)) {
        const char *name = __builtin_isnan(value) ? upper ? "NAN" : "nan" : upper ? "INF" : "inf";

        put_number(out, c, sign, 0, name, 3, false);
        return;
    }
    whole = decimal_of_double(value, kept, digits);
    size_bytes = strlen(sign) + whole + point + precision;
    padding = c->width > size_bytes ? c->width - size_bytes : 0;
    if (!c->left && !c->zero)
        put_repeated(out, ' ', padding);
    put(out, sign, strlen(sign));
    if (!c->left && c->zero)
        put_repeated(out, '0', padding);
    put(out, digits, whole);
    if (point)
        put(out, ".", 1);
    put(out, digits + whole, kept);
    put_repeated(out, '0', precision - kept); /* every double ends before */
    if (c->left)
        put_repeated(out, ' ', padding);
}

static size_t read_size(const char **at)
{
    size_t value = 0;

    for (; **at >= '0' && **at <= '9'; ++*at) {
        ASSERT(value <= INT32_MAX / 10);
        value = value * 10 + (size_t)(**at - '0');
    }
    return value;
}

static enum length read_length(const char **at)
{
    switch (**at) {
    case 'h':
        ++*at;
        if (**at != 'h')
            return LENGTH_SHORT;
        ++*at;
        return LENGTH_CHAR;
    case 'l':
        ++*at;
        if (**at != 'l')
            return LENGTH_LONG;
        ++*at;
        return LENGTH_LONG_LONG;
    case 'z':
        ++*at;
        return LENGTH_SIZE;
    case 't':
        ++*at;
        return LENGTH_POINTER;
    case 'j':
        ++*at;
        return LENGTH_MAX;
    default:
        return LENGTH_INT;
    }
}

static void read_flags(struct conversion *c, const char **at)
{
    for (;; ++*at)
        switch (**at) {
        case '-':
            c->left = true;
            break;
        case '0':
            c->zero = true;
            break;
        case '+':
            c->plus = true;
            break;
        case ' ':
            c->space = true;
            break;
        case '#':
            c->alternative = true;
            break;
        default:
            return;
        }
}

/* va_list may be an array type, so that a function needs it inside a struct to move it on. */
struct arguments {
    va_list list;
};

static int64_t next_signed(struct arguments *arguments, enum length length)
{
    switch (length) {
    case LENGTH_CHAR:
        return (signed char)va_arg(arguments->list, int);
    case LENGTH_SHORT:
        return (short)va_arg(arguments->list, int);
    case LENGTH_LONG:
        return va_arg(arguments->list, long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, long long);
    case LENGTH_SIZE:
    case LENGTH_POINTER:
        return va_arg(arguments->list, ptrdiff_t);
    case LENGTH_MAX:
        return va_arg(arguments->list, intmax_t);
    case LENGTH_INT:
        break;
    }
    return va_arg(arguments->list, int);
}

static uint64_t next_unsigned(struct arguments *arguments, enum length length)
{
    switch (length) {
    case LENGTH_CHAR:
        return (unsigned char)va_arg(arguments->list, unsigned);
    case LENGTH_SHORT:
        return (unsigned short)va_arg(arguments->list, unsigned);
    case LENGTH_LONG:
        return va_arg(arguments->list, unsigned long);
    case LENGTH_LONG_LONG:
        return va_arg(arguments->list, unsigned long long);
    case LENGTH_SIZE:
    case LENGTH_POINTER:
        return va_arg(arguments->list, size_t);
    case LENGTH_MAX:
        return va_arg(arguments->list, uintmax_t);
    case LENGTH_INT:
        break;
    }
    return va_arg(arguments->list, unsigned);
}

/* Flags, width, precision and length; `*at` ends at the letter of the conversion. */
static struct conversion read_conversion(const char **at, struct arguments *arguments)
{
    struct conversion c = {0};

    read_flags(&c, at);
    if (**at == '*') {
        int width = va_arg(arguments->list, int);

        ++*at;
        if (width < 0)
            c.left = true;
        c.width = width < 0 ? 0 - (size_t)width : (size_t)width;
    } else {
        c.width = read_size(at);
    }
    if (**at == '.') {
        ++*at;
        c.has_precision = true;
        if (**at == '*') {
            int precision = va_arg(arguments->list, int);

            ++*at;
            c.has_precision = precision >= 0;
            c.precision = precision >= 0 ? (size_t)precision : 0;
        } else {
            c.precision = read_size(at);
        }
    }
    c.length = read_length(at);
    return c;
}

static void put_string(struct output *out, const struct conversion *c, const char *text)
{
    size_t size_bytes;

    if (!text)
        text = "(null)";
    if (c->has_precision) { /* need not end in a NUL: no byte past the precision is read */
        const char *end = memchr(text, 0, c->precision);

        size_bytes = end ? (size_t)(end - text) : c->precision;
    } else {
        size_bytes = strlen(text);
    }
    if (out->is_fields)
        put_escaped(out, c, text, size_bytes);
    else
        put_text(out, c, text, size_bytes);
}

static void put_conversion(struct output *out, const struct conversion *c, char letter,
                           struct arguments *arguments)
{
    uint64_t value;
    char character;

    switch (letter) {
    case '%':
        put(out, "%", 1);
        return;
    case 's':
        ASSERT(c->length == LENGTH_INT); /* no wide characters */
        put_string(out, c, va_arg(arguments->list, const char *));
        return;
    case 'c':
        ASSERT(c->length == LENGTH_INT);
        character = (char)va_arg(arguments->list, int);
        if (out->is_fields)
            put_escaped(out, c, &character, 1);
        else
            put_text(out, c, &character, 1);
        return;
    case 'd':
    case 'i':
        put_signed(out, c, next_signed(arguments, c->length));
        return;
    case 'u':
        put_unsigned(out, c, "", next_unsigned(arguments, c->length), 10, false);
        return;
    case 'o':
        put_unsigned(out, c, "", next_unsigned(arguments, c->length), 8, false);
        return;
    case 'x':
    case 'X':
        value = next_unsigned(arguments, c->length);
        put_unsigned(out, c,
                     !c->alternative || value == 0 ? ""
                     : letter == 'x'               ? "0x"
                                                   : "0X",
                     value, 16, letter == 'X');
        return;
    case 'p':
        put_unsigned(out, c, "0x", (uintptr_t)va_arg(arguments->list, void *), 16, false);
        return;
    case 'f':
    case 'F':
        put_double(out, c, va_arg(arguments->list, double), letter == 'F');
        return;
    default:
        ASSERT(false && "a conversion that base/fmt.h does not offer");
    }
}

/* Whether the text of the format so far ends inside quotes. */
static void quotes_pass(struct output *out, const char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        out->is_quoted ^= text[i] == '"';
}

static size_t put_all(char *out, size_t capacity_bytes, const char *format, va_list list,
                      bool is_fields)
{
    struct output output = {.data = out,
                            .capacity_bytes = capacity_bytes > 0 ? capacity_bytes - 1 : 0,
                            .is_fields = is_fields};
    struct arguments arguments;

    va_copy(arguments.list, list);
    while (*format) {
        const char *begin = format;
        size_t plain = strcspn(format, "%");
        struct conversion conversion;

        put(&output, format, plain);
        format += plain;
        if (*format == 0)
            break;
        format++;
        conversion = read_conversion(&format, &arguments);
        if (is_fields) {
            quotes_pass(&output, begin, plain);
            conversion.is_value =
                plain > 0 && begin[plain - 1] == '=' && (format[1] == ' ' || format[1] == 0);
        }
        put_conversion(&output, &conversion, *format, &arguments);
        format++;
    }
    va_end(arguments.list);
    if (capacity_bytes > 0)
        out[MIN(output.size_bytes, capacity_bytes - 1)] = 0;
    return output.size_bytes;
}

size_t fmt_list(char *out, size_t capacity_bytes, const char *format, va_list list)
{
    return put_all(out, capacity_bytes, format, list, false);
}

void fields_list(char *out, size_t capacity_bytes, const char *format, va_list list)
{
    put_all(out, capacity_bytes, format, list, true);
}

size_t fmt(char *out, size_t capacity_bytes, const char *format, ...)
{
    size_t size_bytes;
    va_list arguments;

    va_start(arguments, format);
    size_bytes = fmt_list(out, capacity_bytes, format, arguments);
    va_end(arguments);
    return size_bytes;
}

void text_init(struct text *text, char *buffer, size_t capacity_bytes)
{
    ASSERT(capacity_bytes > 0);
    *text = (struct text){.data = buffer, .capacity_bytes = capacity_bytes};
    buffer[0] = 0;
}

void text_add(struct text *text, const char *format, ...)
{
    size_t room_bytes = text->capacity_bytes - text->size_bytes; /* at least the NUL */
    size_t size_bytes;
    va_list arguments;

    if (text->truncated)
        return; /* nothing follows a gap */
    va_start(arguments, format);
    size_bytes = fmt_list(text->data + text->size_bytes, room_bytes, format, arguments);
    va_end(arguments);
    if (size_bytes >= room_bytes) {
        text->truncated = 1;
        size_bytes = room_bytes - 1;
    }
    text->size_bytes += size_bytes;
}
