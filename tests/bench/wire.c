/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    API_PRODUCE = 0,
    API_FETCH = 1,
    API_VERSIONS = 18,
    PRODUCE_VERSION = 3,
    FETCH_VERSION = 4,
    ACK_TIMEOUT_MS = 30000
};

_Noreturn void wire_die(const char *why)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
    exit(1);
}

_Noreturn void wire_die_errno(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

void *wire_reserve(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        wire_die("no memory");
    return memory;
}

void wire_no_delay(int fd)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

void wire_exact_timers(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

double wire_cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int ns_compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

void wire_sort_ns(int64_t *ns, size_t count)
{
    if (count > 0)
        qsort(ns, count, sizeof(*ns), ns_compare);
}

double wire_percentile_us(const int64_t *sorted_ns, size_t count, double share)
{
    size_t at = (size_t)((double)count * share);

    if (count == 0)
        return 0;
    return (double)sorted_ns[at < count ? at : count - 1] / 1e3;
}

int64_t wire_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int wire_connect(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    char host[64];
    int fd;

    if (colon == NULL || (size_t)(colon - address) >= sizeof(host))
        return -1;
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = 0;
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return -1;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    wire_no_delay(fd);
    return fd;
}

/* ---- writing ---- */

uint8_t *wire_put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    return at + bytes;
}

uint8_t *wire_put_bytes(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

uint8_t *wire_put_string(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    return wire_put_bytes(wire_put(at, size, 2), text, size);
}

static uint8_t *put_varint(uint8_t *at, int64_t value)
{
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

    for (; rest >= 128; rest >>= 7)
        *at++ = (uint8_t)(rest | 128U);
    *at++ = (uint8_t)rest;
    return at;
}

static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
    static uint32_t table[256];
    uint32_t crc = ~0U;

    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;

            for (int bit = 0; bit < 8; bit++)
                value = (value >> 1) ^ (0x82f63b78U & (0U - (value & 1U)));
            table[i] = value;
        }
    for (size_t i = 0; i < size; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 255U];
    return ~crc;
}

uint8_t *wire_put_header(uint8_t *frame, uint16_t api, uint16_t version, int32_t correlation)
{
    uint8_t *at = frame + 4;

    at = wire_put(at, api, 2);
    at = wire_put(at, version, 2);
    at = wire_put(at, (uint32_t)correlation, 4);
    return wire_put_string(at, "bench");
}

size_t wire_finish(uint8_t *frame, const uint8_t *end)
{
    wire_put(frame, (uint64_t)(end - frame) - 4, 4);
    return (size_t)(end - frame);
}

size_t wire_api_versions(uint8_t *frame, int32_t correlation)
{
    return wire_finish(frame, wire_put_header(frame, API_VERSIONS, 0, correlation));
}

uint8_t *wire_put_batch(uint8_t *batch, const uint8_t *value, size_t value_size)
{
    struct timespec now;
    uint64_t now_ms;
    uint8_t *at = batch + 21; /* attributes follow base offset, length, epoch, magic and checksum */
    uint8_t *checked = at;
    uint8_t record[32];
    uint8_t *head = record;

    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    at = wire_put(at, 0, 2); /* attributes */
    at = wire_put(at, 0, 4); /* last offset delta */
    at = wire_put(at, now_ms, 8);
    at = wire_put(at, now_ms, 8);
    at = wire_put(at, UINT64_MAX, 8); /* producer id */
    at = wire_put(at, UINT16_MAX, 2); /* producer epoch */
    at = wire_put(at, UINT32_MAX, 4); /* base sequence */
    at = wire_put(at, 1, 4);          /* records */
    *head++ = 0;                      /* attributes */
    head = put_varint(head, 0);       /* timestamp delta */
    head = put_varint(head, 0);       /* offset delta */
    head = put_varint(head, -1);      /* key */
    head = put_varint(head, (int64_t)value_size);
    at = put_varint(at, (int64_t)((size_t)(head - record) + value_size + 1));
    at = wire_put_bytes(at, record, (size_t)(head - record));
    at = wire_put_bytes(at, value, value_size);
    at = put_varint(at, 0); /* headers */

    wire_put(batch, 0, 8);                               /* base offset */
    wire_put(batch + 8, (uint64_t)(at - batch) - 12, 4); /* length of what follows */
    wire_put(batch + 12, UINT32_MAX, 4);                 /* partition leader epoch */
    batch[16] = 2;                                       /* magic */
    wire_put(batch + 17, crc32c(checked, (size_t)(at - checked)), 4);
    return at;
}

void wire_batch_of_producer(uint8_t *batch, const uint8_t *end, int64_t producer_id,
                            int16_t producer_epoch, int32_t base_sequence)
{
    wire_put(batch + 21, 16, 2); /* attributes: transactional */
    wire_put(batch + 43, (uint64_t)producer_id, 8);
    wire_put(batch + 51, (uint16_t)producer_epoch, 2);
    wire_put(batch + 53, (uint32_t)base_sequence, 4);
    wire_put(batch + 17, crc32c(batch + 21, (size_t)(end - batch) - 21), 4);
}

size_t wire_produce(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                    int16_t acks, const uint8_t *value, size_t value_size)
{
    uint8_t *at = wire_put_header(frame, API_PRODUCE, PRODUCE_VERSION, correlation);
    uint8_t *records;

    at = wire_put(at, UINT16_MAX, 2); /* transactional id */
    at = wire_put(at, (uint16_t)acks, 2);
    at = wire_put(at, ACK_TIMEOUT_MS, 4);
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, topic);
    at = wire_put(at, 1, 4);
    at = wire_put(at, (uint32_t)partition, 4);
    records = at + 4;
    at = wire_put_batch(records, value, value_size);
    wire_put(records - 4, (uint64_t)(at - records), 4);
    return wire_finish(frame, at);
}

uint8_t *wire_put_uvarint(uint8_t *at, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *at++ = (uint8_t)(value | 128U);
    *at++ = (uint8_t)value;
    return at;
}

uint8_t *wire_put_compact(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    return wire_put_bytes(wire_put_uvarint(at, size + 1), text, size);
}

size_t wire_fetch(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                  int64_t offset, int32_t max_wait_ms, int32_t bytes_max)
{
    uint8_t *at = wire_put_header(frame, API_FETCH, FETCH_VERSION, correlation);

    at = wire_put(at, UINT32_MAX, 4); /* replica: a consumer */
    at = wire_put(at, (uint32_t)max_wait_ms, 4);
    at = wire_put(at, 1, 4); /* min bytes */
    at = wire_put(at, (uint32_t)bytes_max, 4);
    at = wire_put(at, 0, 1); /* read uncommitted */
    at = wire_put(at, 1, 4);
    at = wire_put_string(at, topic);
    at = wire_put(at, 1, 4);
    at = wire_put(at, (uint32_t)partition, 4);
    at = wire_put(at, (uint64_t)offset, 8);
    at = wire_put(at, (uint32_t)bytes_max, 4);
    return wire_finish(frame, at);
}

/* ---- reading ---- */

uint64_t wire_get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

uint64_t wire_take(struct wire_reader *reader, size_t bytes)
{
    const uint8_t *at = reader->at;

    wire_pass(reader, bytes);
    return reader->is_short ? 0 : wire_get(at, bytes);
}

uint64_t wire_take_uvarint(struct wire_reader *reader)
{
    uint64_t value = 0;

    for (int shift = 0; shift < 35; shift += 7) {
        uint64_t byte = wire_take(reader, 1);

        value |= (byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

void wire_pass(struct wire_reader *reader, uint64_t size)
{
    reader->is_short |= (uint64_t)(reader->end - reader->at) < size;
    if (!reader->is_short)
        reader->at += size;
}

void wire_pass_compact(struct wire_reader *reader)
{
    uint64_t size = wire_take_uvarint(reader);

    wire_pass(reader, size ? size - 1 : 0);
}

void wire_pass_tags(struct wire_reader *reader)
{
    for (uint64_t count = wire_take_uvarint(reader); count > 0 && !reader->is_short; count--) {
        (void)wire_take_uvarint(reader);
        wire_pass(reader, wire_take_uvarint(reader));
    }
}

bool wire_produce_answer(const uint8_t *body, size_t size, struct wire_answer *out)
{
    size_t name;

    if (size < 10 || wire_get(body + 4, 4) != 1)
        return false;
    name = wire_get(body + 8, 2);
    if (size < 10 + name + 4 + 4 + 2 + 8 + 8 + 4)
        return false;
    body += 10 + name; /* count of partitions, index, error, base offset */
    out->error = (int16_t)wire_get(body + 8, 2);
    out->base_offset = (int64_t)wire_get(body + 10, 8);
    out->correlation = (int32_t)wire_get(body - 10 - name, 4);
    return true;
}

bool wire_send(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, bytes, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        bytes += got;
        size -= (size_t)got;
    }
    return true;
}

bool wire_receive(int fd, uint8_t *body, size_t room, size_t *size_out)
{
    uint8_t length[4];

    if (!receive_all(fd, length, sizeof(length)))
        return false;
    *size_out = wire_get(length, 4);
    return *size_out <= room && receive_all(fd, body, *size_out);
}

bool wire_fetch_answer(const uint8_t *body, size_t size, const uint8_t **records_out,
                       size_t *records_size_out)
{
    size_t name, aborted;
    const uint8_t *at = body + 4 + 4; /* correlation, throttle */

    if (size < 14 || wire_get(at, 4) != 1)
        return false;
    name = wire_get(at + 4, 2);
    at += 4 + 2 + name + 4;
    if (size < (size_t)(at - body) + 30 || wire_get(at + 4, 2) != 0)
        return false;
    at += 4 + 2 + 8 + 8; /* index, error, high watermark, last stable offset */
    aborted = wire_get(at, 4) == UINT32_MAX ? 0 : wire_get(at, 4);
    at += 4 + aborted * 16;
    *records_size_out = wire_get(at, 4) == UINT32_MAX ? 0 : wire_get(at, 4);
    *records_out = at + 4;
    return (size_t)(at + 4 - body) + *records_size_out <= size;
}

static int64_t get_varint(const uint8_t **at)
{
    uint64_t value = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

bool wire_records(const uint8_t *records, size_t size, wire_record_fn each, void *context,
                  int64_t *next_offset)
{
    while (size >= 61) {
        size_t length = wire_get(records + 8, 4) + 12;
        int64_t base = (int64_t)wire_get(records, 8);
        uint32_t count = (uint32_t)wire_get(records + 57, 4);
        const uint8_t *at = records + 61;

        if (length > size)
            break; /* cut: it comes whole with the next fetch */
        if (records[16] != 2 || wire_get(records + 17, 4) != crc32c(records + 21, length - 21))
            return false;
        for (uint32_t i = 0; i < count; i++) {
            int64_t left = get_varint(&at);
            const uint8_t *end = at + left;
            int64_t offset, key;

            at++; /* attributes */
            get_varint(&at);
            offset = base + get_varint(&at);
            key = get_varint(&at);
            at += key > 0 ? key : 0;
            left = get_varint(&at);
            if (offset >= *next_offset) { /* a fetch may begin in the midst of a batch */
                if (offset != *next_offset)
                    return false;
                each(context, offset, at, (size_t)left);
                *next_offset = offset + 1;
            }
            at = end;
        }
        records += length;
        size -= length;
    }
    return true;
}
