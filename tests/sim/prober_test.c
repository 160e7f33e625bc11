/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/prober_test.c: seeds of the prober (prober.h).
 *   prober_test [SEEDS [FIRST]]   or SIM_SEED=n for one; SIM_LOG=1 shows the node's log.
 */
#include "prober.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *one = getenv("SIM_SEED");
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 150;
    uint64_t failed = 0;

    if (one) {
        first = strtoull(one, NULL, 10);
        count = 1;
    }
    for (uint64_t seed = first; seed < first + count && failed < 5; seed++) {
        char failure[1024];

        if (prober_run(seed, failure, sizeof failure) &&
            (seed % 10 != 0 || prober_span_run(seed, failure, sizeof failure)))
            continue;
        fprintf(stderr, "seed %llu: %s\n  again: SIM_SEED=%llu %s\n", (unsigned long long)seed,
                failure, (unsigned long long)seed, argv[0]);
        failed++;
    }
    printf("%llu seeds, %llu failed\n", (unsigned long long)count, (unsigned long long)failed);
    return failed ? 1 : 0;
}
