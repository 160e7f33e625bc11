/* SPDX-License-Identifier: Apache-2.0 */
/* As much of Kafka's protocol as a bench needs: Produce v3 with one record for a partition, Fetch v4 of one
 * partition, and what other requests are put together from. Written from the protocol's description, apart from the code that is measured. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_FRAME_MAX = 128 * 1024 };

/* What every tool here needs. The first two end the program; wire_die_errno also says why the system refused. */
_Noreturn void wire_die(const char *why);
_Noreturn void wire_die_errno(const char *what);
void *wire_reserve(size_t count, size_t size); /* zeroes; the program ends if there is no memory */
void wire_no_delay(int fd);
void wire_exact_timers(void);                 /* of this thread: else a sleep may end 50 us late */
double wire_cpu_seconds(void);                /* of this process, all threads */
void wire_sort_ns(int64_t *ns, size_t count); /* ascending */
/* In microseconds; 0 of nothing. `share` is 0.5 for the median. */
double wire_percentile_us(const int64_t *sorted_ns, size_t count, double share);

struct wire_answer {
    int32_t correlation;
    int16_t error; /* Kafka's code, 0: none */
    int64_t base_offset;
};

int64_t wire_now_ns(void); /* CLOCK_MONOTONIC */

/* A connected TCP socket without delay, or -1. `address` is "IPV4:PORT". */
int wire_connect(const char *address);

/* Writes a whole frame (with its length) into `frame` and returns its size. */
size_t wire_api_versions(uint8_t *frame, int32_t correlation);
size_t wire_produce(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                    int16_t acks, const uint8_t *value, size_t value_size);

/* Fetch v4; min_bytes is 1. */
size_t wire_fetch(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                  int64_t offset, int32_t max_wait_ms, int32_t bytes_max);

/* For requests of one's own: each gives the place behind what it wrote, numbers highest byte first. */
uint8_t *wire_put_header(uint8_t *frame, uint16_t api, uint16_t version, int32_t correlation);
uint8_t *wire_put(uint8_t *at, uint64_t value, size_t bytes);
uint8_t *wire_put_bytes(uint8_t *at, const void *bytes, size_t size);
uint8_t *wire_put_string(uint8_t *at, const char *text);
uint8_t *wire_put_uvarint(uint8_t *at, uint64_t value);
uint8_t *wire_put_compact(uint8_t *at, const char *text);
/* One batch of format 2 with one record that has no key and no header. */
uint8_t *wire_put_batch(uint8_t *batch, const uint8_t *value, size_t value_size);
/* Makes it, up to `end`, a batch of a producer's transaction. */
void wire_batch_of_producer(uint8_t *batch, const uint8_t *end, int64_t producer_id,
                            int16_t producer_epoch, int32_t base_sequence);
size_t wire_finish(uint8_t *frame,
                   const uint8_t *end); /* sets the length and gives the whole size */
uint64_t wire_get(const uint8_t *at, size_t bytes);

/* Answers of flexible versions, piece by piece. What is not there is 0, and is_short from then on. */
struct wire_reader {
    const uint8_t *at, *end;
    bool is_short;
};
uint64_t wire_take(struct wire_reader *reader, size_t bytes);
uint64_t wire_take_uvarint(struct wire_reader *reader);
void wire_pass(struct wire_reader *reader, uint64_t size);
void wire_pass_compact(struct wire_reader *reader); /* a string */
void wire_pass_tags(struct wire_reader *reader);

/* What is behind a fetch answer's length; false if it is none or tells an error. */
bool wire_fetch_answer(const uint8_t *body, size_t size, const uint8_t **records_out,
                       size_t *records_size_out);
typedef void (*wire_record_fn)(void *context, int64_t offset, const uint8_t *value, size_t size);
/* Every record of whole, plain batches from *next_offset on, which moves; checks checksums, and that no offset
 * is missing. */
bool wire_records(const uint8_t *records, size_t size, wire_record_fn each, void *context,
                  int64_t *next_offset);

/* What is behind a produce answer's length; false if it is none. */
bool wire_produce_answer(const uint8_t *body, size_t size, struct wire_answer *out);

/* Blocking; false when the peer has gone. wire_receive gives the body without its length. */
bool wire_send(int fd, const uint8_t *bytes, size_t size);
bool wire_receive(int fd, uint8_t *body, size_t room, size_t *size_out);

#endif
