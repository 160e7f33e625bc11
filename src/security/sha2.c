/* SPDX-License-Identifier: Apache-2.0 */
/*
 * security/sha2.c: SHA-256 and SHA-512 as FIPS 180-4 gives them. The tables are the fractional parts of
 * the cube roots (rounds) and square roots (start) of the first primes.
 */
#include "security/sha2.h"

static const uint32_t rounds_256[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t start_256[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
static const uint64_t rounds_512[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};
static const uint64_t start_512[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static uint32_t rotate_32(uint32_t value, unsigned by)
{
    return value >> by | value << (32 - by);
}

static uint64_t rotate_64(uint64_t value, unsigned by)
{
    return value >> by | value << (64 - by);
}

static uint64_t load(const uint8_t *from, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | from[i];
    return value;
}

static void store(uint8_t *to, uint64_t value, size_t bytes)
{
    for (size_t i = bytes; i-- > 0; value >>= 8)
        to[i] = (uint8_t)value;
}

static void block_256(struct sha256 *hash, const uint8_t *block)
{
    uint32_t w[64], s[8];

    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)load(block + 4 * i, 4);
    for (size_t i = 16; i < 64; i++)
        w[i] = (rotate_32(w[i - 2], 17) ^ rotate_32(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
               (rotate_32(w[i - 15], 7) ^ rotate_32(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
    memcpy(s, hash->state, sizeof s);
    for (size_t i = 0; i < 64; i++) {
        uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t one = s[7] + (rotate_32(s[4], 6) ^ rotate_32(s[4], 11) ^ rotate_32(s[4], 25)) +
                       choose + rounds_256[i] + w[i];
        uint32_t two = (rotate_32(s[0], 2) ^ rotate_32(s[0], 13) ^ rotate_32(s[0], 22)) + majority;

        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (size_t i = 0; i < 8; i++)
        hash->state[i] += s[i];
}

static void block_512(struct sha512 *hash, const uint8_t *block)
{
    uint64_t w[80], s[8];

    for (size_t i = 0; i < 16; i++)
        w[i] = load(block + 8 * i, 8);
    for (size_t i = 16; i < 80; i++)
        w[i] = (rotate_64(w[i - 2], 19) ^ rotate_64(w[i - 2], 61) ^ w[i - 2] >> 6) + w[i - 7] +
               (rotate_64(w[i - 15], 1) ^ rotate_64(w[i - 15], 8) ^ w[i - 15] >> 7) + w[i - 16];
    memcpy(s, hash->state, sizeof s);
    for (size_t i = 0; i < 80; i++) {
        uint64_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint64_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint64_t one = s[7] + (rotate_64(s[4], 14) ^ rotate_64(s[4], 18) ^ rotate_64(s[4], 41)) +
                       choose + rounds_512[i] + w[i];
        uint64_t two = (rotate_64(s[0], 28) ^ rotate_64(s[0], 34) ^ rotate_64(s[0], 39)) + majority;

        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (size_t i = 0; i < 8; i++)
        hash->state[i] += s[i];
}

/* ---- what both have in common ---- */

/* Fills the block and digests it whenever it is full. `taken` counts all bytes. */
static void blocks_add(uint8_t *block, size_t block_bytes, uint64_t *taken, struct slice bytes,
                       void (*digest)(void *hash), void *hash)
{
    for (size_t i = 0; i < bytes.size_bytes;) {
        size_t used = (size_t)(*taken % block_bytes);
        size_t part = MIN(block_bytes - used, bytes.size_bytes - i);

        memcpy(block + used, bytes.data + i, part);
        *taken += part;
        i += part;
        if (used + part == block_bytes)
            digest(hash);
    }
}

#define TAIL_BYTES_MAX ((size_t)256)

/* What is added in the end: one bit, zeros up to a full block, and the length in bits, for which an
 * eighth of a block is kept. Returns the bytes. */
static size_t tail_make(uint64_t taken, size_t block_bytes, uint8_t tail[TAIL_BYTES_MAX])
{
    size_t used = (size_t)(taken % block_bytes);
    size_t size = (used < block_bytes - block_bytes / 8 ? 1 : 2) * block_bytes - used;

    memset(tail, 0, size);
    tail[0] = 0x80;
    store(tail + size - 8, taken * 8, 8);
    return size;
}

/* ---- SHA-256 ---- */

static void digest_256(void *hash)
{
    block_256(hash, ((struct sha256 *)hash)->block);
}

void sha256_init(struct sha256 *hash)
{
    memcpy(hash->state, start_256, sizeof start_256);
    hash->size_bytes = 0;
}

void sha256_add(struct sha256 *hash, struct slice bytes)
{
    blocks_add(hash->block, sizeof hash->block, &hash->size_bytes, bytes, digest_256, hash);
}

void sha256_finish(struct sha256 *hash, uint8_t out[SHA256_BYTES])
{
    uint8_t tail[TAIL_BYTES_MAX];

    sha256_add(hash, slice_of(tail, tail_make(hash->size_bytes, sizeof hash->block, tail)));
    for (size_t i = 0; i < 8; i++)
        store(out + 4 * i, hash->state[i], 4);
}

/* ---- SHA-512 ---- */

static void digest_512(void *hash)
{
    block_512(hash, ((struct sha512 *)hash)->block);
}

void sha512_init(struct sha512 *hash)
{
    memcpy(hash->state, start_512, sizeof start_512);
    hash->size_bytes = 0;
}

void sha512_add(struct sha512 *hash, struct slice bytes)
{
    blocks_add(hash->block, sizeof hash->block, &hash->size_bytes, bytes, digest_512, hash);
}

void sha512_finish(struct sha512 *hash, uint8_t out[SHA512_BYTES])
{
    uint8_t tail[TAIL_BYTES_MAX];

    sha512_add(hash, slice_of(tail, tail_make(hash->size_bytes, sizeof hash->block, tail)));
    for (size_t i = 0; i < 8; i++)
        store(out + 8 * i, hash->state[i], 8);
}
