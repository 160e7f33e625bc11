/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol/json_text.c: strings, base64 and integers in JSON. Doubles: json_double.c. Pure; no state.
 */
#include "protocol/json_text.h"

#include "base/assert.h"
#include "base/fmt.h"

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void json_put(struct writer *out, const char *text)
{
    writer_bytes(out, text, strlen(text));
}

/* The bytes of the UTF-8 character at `at`, 0 when there is none (overlong and surrogates too). */
static size_t utf8_bytes(const uint8_t *at, size_t left)
{
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    size_t bytes = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (bytes == 1)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4 || left < bytes)
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

static void put_escape(struct writer *out, uint8_t byte)
{
    static const char names[] = {
        ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\t'] = 't',
        ['\n'] = 'n', ['\f'] = 'f',  ['\r'] = 'r',
    };
    char text[8];

    ASSERT(byte < sizeof names); /* control characters, quote and backslash, which is the last */
    if (names[byte])
        fmt(text, sizeof text, "\\%c", names[byte]);
    else
        fmt(text, sizeof text, "\\u%04X", (unsigned)byte);
    json_put(out, text);
}

void json_put_string(struct writer *out, struct slice text)
{
    size_t from = 0; /* start of the run not yet written */
    size_t at = 0;

    writer_u8(out, '"');
    while (at < text.size_bytes) {
        uint8_t byte = text.data[at];
        size_t bytes = utf8_bytes(text.data + at, text.size_bytes - at);

        if (bytes > 0 && byte >= 0x20 && byte != '"' && byte != '\\') {
            at += bytes;
            continue;
        }
        writer_bytes(out, text.data + from, at - from);
        if (bytes > 0)
            put_escape(out, byte);
        else
            json_put(out, "\xef\xbf\xbd");
        from = ++at;
    }
    if (at > from)
        writer_bytes(out, text.data + from, at - from);
    writer_u8(out, '"');
}

void json_put_base64(struct writer *out, struct slice bytes)
{
    writer_u8(out, '"');
    for (size_t at = 0; at < bytes.size_bytes; at += 3) {
        size_t left = MIN(bytes.size_bytes - at, (size_t)3);
        uint32_t group = (uint32_t)bytes.data[at] << 16;
        uint8_t text[4];

        if (left > 1)
            group |= (uint32_t)bytes.data[at + 1] << 8;
        if (left > 2)
            group |= bytes.data[at + 2];
        for (unsigned i = 0; i < 4; i++)
            text[i] = (uint8_t)(i <= left ? base64_alphabet[group >> (18 - 6 * i) & 63] : '=');
        writer_bytes(out, text, sizeof text);
    }
    writer_u8(out, '"');
}

void json_put_integer(struct writer *out, int64_t value)
{
    char text[24];

    fmt(text, sizeof text, "%lld", (long long)value);
    json_put(out, text);
}

static int base64_digit(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

enum err json_base64_decode(struct slice text, struct arena *arena, struct slice *out)
{
    size_t length = text.size_bytes;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t size_bytes = 0;
    uint8_t *data;

    for (int padding = 0; padding < 2 && length > 0 && text.data[length - 1] == '='; padding++)
        length--;
    if (length % 4 == 1 || (length != text.size_bytes && text.size_bytes % 4 != 0))
        return ERR_FORMAT;
    data = arena_allocate(arena, length / 4 * 3 + 3);
    if (!data)
        return ERR_NO_MEMORY;
    for (size_t at = 0; at < length; at++) {
        int digit = base64_digit(text.data[at]);

        if (digit < 0)
            return ERR_FORMAT;
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            data[size_bytes++] = (uint8_t)(bits >> bit_count);
        }
    }
    *out = slice_of(data, size_bytes);
    return OK;
}
