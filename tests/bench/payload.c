/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 4 * 1024 * 1024 };

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* Log lines: some words of a small stock, and numbers that repeat nowhere. */
void payload_init(struct payload *payload)
{
    static const char *const words[] = {
        "GET",     "POST",   "order",  "customer", "payment", "accepted", "shipped", "region=eu",
        "level=I", "status", "basket", "checkout", "retry",   "upstream", "latency", "trace=",
    };
    uint64_t state = 42;
    size_t used = 0;

    payload->text = malloc(TEXT_SIZE + PAYLOAD_SIZE_MAX + 64);
    if (payload->text == NULL) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    while (used < TEXT_SIZE + PAYLOAD_SIZE_MAX) {
        uint64_t draw = mix(++state);

        used += (size_t)snprintf((char *)payload->text + used, 64, "%s %s %08x ", words[draw & 15U],
                                 words[(draw >> 4) & 15U], (unsigned)(draw >> 32));
    }
}

void payload_deinit(struct payload *payload)
{
    free(payload->text);
    payload->text = NULL;
}

static const uint8_t *text_of(const struct payload *payload, uint64_t sequence)
{
    return payload->text + mix(sequence) % TEXT_SIZE;
}

void payload_fill(const struct payload *payload, uint64_t sequence, uint8_t *value, size_t size)
{
    memcpy(value, &sequence, sizeof(sequence));
    memcpy(value + sizeof(sequence), text_of(payload, sequence), size - sizeof(sequence));
}

bool payload_check(const struct payload *payload, const uint8_t *value, size_t size,
                   uint64_t *sequence_out)
{
    if (size < PAYLOAD_SIZE_MIN || size > PAYLOAD_SIZE_MAX)
        return false;
    memcpy(sequence_out, value, sizeof(*sequence_out));
    return memcmp(value + sizeof(*sequence_out), text_of(payload, *sequence_out),
                  size - sizeof(*sequence_out)) == 0;
}
