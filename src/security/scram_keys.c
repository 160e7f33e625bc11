/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security/scram_keys.c: see scram_keys.h.
 */
#include "security/scram_keys.h"

#include "base/assert.h"
#include "security/sha2.h"

#define BLOCK_BYTES_MAX 128

const char *scram_mechanism_name(enum scram_mechanism mechanism)
{
    switch (mechanism) {
    case SCRAM_SHA_256:
        return "SCRAM-SHA-256";
    case SCRAM_SHA_512:
        return "SCRAM-SHA-512";
    case SCRAM_UNKNOWN:
        break;
    }
    return "UNKNOWN";
}

enum scram_mechanism scram_mechanism_from_name(struct slice name)
{
    if (slice_equal_text(name, "SCRAM-SHA-256"))
        return SCRAM_SHA_256;
    return slice_equal_text(name, "SCRAM-SHA-512") ? SCRAM_SHA_512 : SCRAM_UNKNOWN;
}

size_t scram_key_bytes(enum scram_mechanism mechanism)
{
    ASSERT(mechanism == SCRAM_SHA_256 || mechanism == SCRAM_SHA_512);
    return mechanism == SCRAM_SHA_256 ? SHA256_BYTES : SHA512_BYTES;
}

/* Hash of the parts, one behind the other. */
static void hash(enum scram_mechanism mechanism, const struct slice *parts, size_t count,
                 uint8_t *out)
{
    struct sha256 small;
    struct sha512 large;

    if (mechanism == SCRAM_SHA_256) {
        sha256_init(&small);
        for (size_t i = 0; i < count; i++)
            sha256_add(&small, parts[i]);
        sha256_finish(&small, out);
    } else {
        sha512_init(&large);
        for (size_t i = 0; i < count; i++)
            sha512_add(&large, parts[i]);
        sha512_finish(&large, out);
    }
}

/* HMAC of a text in two parts. */
static void hmac(enum scram_mechanism mechanism, struct slice key, struct slice first,
                 struct slice second, uint8_t *out)
{
    size_t key_bytes = scram_key_bytes(mechanism);
    size_t block_bytes = 2 * key_bytes;
    uint8_t block[BLOCK_BYTES_MAX] = {0};
    uint8_t inner[SCRAM_KEY_BYTES_MAX];

    if (key.size_bytes > block_bytes)
        hash(mechanism, &key, 1, block);
    else if (key.size_bytes > 0)
        memcpy(block, key.data, key.size_bytes);
    for (size_t i = 0; i < block_bytes; i++)
        block[i] ^= 0x36;
    hash(mechanism, (struct slice[]){slice_of(block, block_bytes), first, second}, 3, inner);
    for (size_t i = 0; i < block_bytes; i++)
        block[i] ^= 0x36 ^ 0x5c;
    hash(mechanism, (struct slice[]){slice_of(block, block_bytes), slice_of(inner, key_bytes)}, 2,
         out);
}

void scram_hmac(enum scram_mechanism mechanism, struct slice key, struct slice text, uint8_t *out)
{
    hmac(mechanism, key, text, SLICE_EMPTY, out);
}

void scram_salted_password(enum scram_mechanism mechanism, struct slice password, struct slice salt,
                           int32_t iterations, uint8_t *out)
{
    size_t key_bytes = scram_key_bytes(mechanism);
    static const uint8_t block_number[4] = {0, 0, 0, 1};
    uint8_t round[SCRAM_KEY_BYTES_MAX];

    ASSERT(iterations > 0);
    hmac(mechanism, password, salt, slice_of(block_number, sizeof block_number), round);
    memcpy(out, round, key_bytes);
    for (int32_t i = 1; i < iterations; i++) {
        scram_hmac(mechanism, password, slice_of(round, key_bytes), round);
        for (size_t k = 0; k < key_bytes; k++)
            out[k] ^= round[k];
    }
}

void scram_stored_key(enum scram_mechanism mechanism, struct slice salted_password, uint8_t *out)
{
    uint8_t client_key[SCRAM_KEY_BYTES_MAX];

    scram_hmac(mechanism, salted_password, SLICE("Client Key"), client_key);
    hash(mechanism, &(struct slice){client_key, scram_key_bytes(mechanism)}, 1, out);
}

void scram_server_key(enum scram_mechanism mechanism, struct slice salted_password, uint8_t *out)
{
    scram_hmac(mechanism, salted_password, SLICE("Server Key"), out);
}
