/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/uuid.c: the text form of ids, and new random ones.
 */
#include "base/uuid.h"

#include "base/random.h"

#include <string.h>

#define TEXT_CHARACTERS (UUID_TEXT_BYTES - 1)
#define RESERVED_LOW_MAX \
    100 /* ids 0…99 have meanings, such as 1 in uuid.h; see Kafka's DirectoryId */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_to_text(struct uuid id, char text_out[UUID_TEXT_BYTES])
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t at = 0;

    for (size_t i = 0; i < sizeof id.bytes; i++) {
        bits = bits << 8 | id.bytes[i];
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            text_out[at++] = alphabet[bits >> bit_count & 63];
        }
    }
    text_out[at++] = alphabet[bits << (6 - bit_count) & 63]; /* the last two bits */
    text_out[at] = 0;
}

/* The six bits of one character, or -1. */
static int bits_of(uint8_t character)
{
    const char *at = character ? strchr(alphabet, character) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

enum err uuid_from_text(struct slice text, struct uuid *out)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t at = 0;
    struct uuid id;

    /* 22 characters are 16 bytes and four bits that nobody looks at; Java also takes the padding. */
    if (text.size_bytes == TEXT_CHARACTERS + 2 && memcmp(text.data + TEXT_CHARACTERS, "==", 2) == 0)
        text.size_bytes = TEXT_CHARACTERS;
    if (text.size_bytes != TEXT_CHARACTERS)
        return ERR_INVALID_UUID;
    for (size_t i = 0; i < text.size_bytes; i++) {
        int six = bits_of(text.data[i]);

        if (six < 0)
            return ERR_INVALID_UUID;
        bits = bits << 6 | (uint32_t)six;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            id.bytes[at++] = (uint8_t)(bits >> bit_count);
        }
    }
    *out = id;
    return OK;
}

static bool is_reserved(struct uuid id)
{
    for (size_t i = 0; i < sizeof id.bytes - 1; i++)
        if (id.bytes[i] != 0)
            return false;
    return id.bytes[sizeof id.bytes - 1] < RESERVED_LOW_MAX;
}

struct uuid uuid_random(struct random *random)
{
    char text[UUID_TEXT_BYTES];
    struct uuid id;

    do {
        random_fill(random, id.bytes, sizeof id.bytes);
        id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40); /* version 4: random */
        id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
        uuid_to_text(id, text);
        /* A '-' could be taken for an option on a command line. */
    } while (strchr(text, '-') || is_reserved(id));
    return id;
}
