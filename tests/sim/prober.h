/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/prober.h: one client that knows exactly what a node must answer, because it does one thing at a time: the
 * value of a record is its offset, timestamps follow the values, and every refusal is foreseen. Where worlds
 * (world.h) find what many clients and faults do to each other, the prober finds what is rare there: producers at
 * the end of their sequences, refused appends that must change nothing, duplicates after restarts, offsets beyond
 * 2^31, indexes that rotted.
 */
#ifndef TESTS_SIM_PROBER_H
#define TESTS_SIM_PROBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Runs the whole life of one seed. False: `failure` says what is wrong. */
bool prober_run(uint64_t seed, char *failure, size_t failure_bytes);
/* The same for a log of more than 2^31 offsets (prober_span.c). */
bool prober_span_run(uint64_t seed, char *failure, size_t failure_bytes);

#endif
