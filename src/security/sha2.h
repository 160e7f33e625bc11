/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security/sha2.h: SHA-256 and SHA-512 (FIPS 180-4), in pieces.
 */
#ifndef SECURITY_SHA2_H
#define SECURITY_SHA2_H

#include "base/slice.h"

#define SHA256_BYTES 32
#define SHA512_BYTES 64

struct sha256 {
    uint32_t state[8];
    uint64_t size_bytes;
    uint8_t block[64];
};
void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, struct slice bytes);
void sha256_finish(struct sha256 *hash, uint8_t out[SHA256_BYTES]);

struct sha512 {
    uint64_t state[8];
    uint64_t size_bytes; /* below 2^61 */
    uint8_t block[128];
};
void sha512_init(struct sha512 *hash);
void sha512_add(struct sha512 *hash, struct slice bytes);
void sha512_finish(struct sha512 *hash, uint8_t out[SHA512_BYTES]);

#endif
