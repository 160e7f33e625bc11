/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/random.h: seeded random streams (xoshiro256**). Named streams of one seed are independent, so
 * that adding a draw in one place does not shift the others. Not for secrets.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/slice.h"

struct random {
    uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);
/* The stream called `name` of `seed`. */
void random_init_named(struct random *random, uint64_t seed, const char *name);
uint64_t random_u64(struct random *random);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in [low, high], both included. */
int64_t random_between(struct random *random, int64_t low, int64_t high);
/* True with probability numerator/denominator. */
bool random_chance(struct random *random, uint32_t numerator, uint32_t denominator);
void random_fill(struct random *random, void *out, size_t size_bytes);

#endif
