/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_text.c: see the header.
 */
#include "server/metrics_text.h"

#include "base/fmt.h"
#include "base/utf8.h"

void metrics_text(struct writer *out, const char *words)
{
    writer_bytes(out, words, strlen(words));
}

void metrics_label(struct writer *out, struct slice value)
{
    size_t bytes;

    for (size_t i = 0; i < value.size_bytes; i += MAX(bytes, (size_t)1)) {
        uint8_t byte = value.data[i];
        char text[8];

        bytes = utf8_character_bytes(value.data + i, value.size_bytes - i);
        if (byte == '\n') {
            metrics_text(out, "\\n");
        } else if (bytes == 0 || byte < ' ') {
            (void)fmt(text, sizeof text, "\\\\x%02X", (unsigned)byte);
            metrics_text(out, text);
        } else {
            if (byte == '\\' || byte == '"')
                writer_u8(out, '\\');
            writer_bytes(out, value.data + i, bytes);
        }
    }
}

void metrics_number(struct writer *out, const char *before, int64_t value, const char *after)
{
    char digits[32];

    (void)fmt(digits, sizeof digits, "%lld", (long long)value);
    metrics_text(out, before);
    metrics_text(out, digits);
    metrics_text(out, after);
}

void metrics_head(struct writer *out, const char *name, const char *kind, const char *help)
{
    metrics_text(out, "# HELP ");
    metrics_text(out, name);
    metrics_text(out, " ");
    metrics_text(out, help);
    metrics_text(out, "\n# TYPE ");
    metrics_text(out, name);
    metrics_text(out, " ");
    metrics_text(out, kind);
    metrics_text(out, "\n");
}
