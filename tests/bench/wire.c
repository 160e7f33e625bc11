/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { API_PRODUCE = 0, API_VERSIONS = 18, PRODUCE_VERSION = 3, ACK_TIMEOUT_MS = 30000 };

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
    int one = 1;
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
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* ---- writing ---- */

static uint8_t *put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    return at + bytes;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_string(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    return put_bytes(put(at, size, 2), text, size);
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

static uint8_t *put_header(uint8_t *frame, uint16_t api, uint16_t version, int32_t correlation)
{
    uint8_t *at = frame + 4;

    at = put(at, api, 2);
    at = put(at, version, 2);
    at = put(at, (uint32_t)correlation, 4);
    return put_string(at, "bench");
}

static size_t finish(uint8_t *frame, const uint8_t *end)
{
    put(frame, (uint64_t)(end - frame) - 4, 4);
    return (size_t)(end - frame);
}

size_t wire_api_versions(uint8_t *frame, int32_t correlation)
{
    return finish(frame, put_header(frame, API_VERSIONS, 0, correlation));
}

/* One batch of format 2 with one record that has no key and no header. */
static uint8_t *put_batch(uint8_t *batch, const uint8_t *value, size_t value_size)
{
    struct timespec now;
    uint64_t now_ms;
    uint8_t *at = batch + 21; /* attributes follow base offset, length, epoch, magic and checksum */
    uint8_t *checked = at;
    uint8_t record[32];
    uint8_t *head = record;

    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    at = put(at, 0, 2); /* attributes */
    at = put(at, 0, 4); /* last offset delta */
    at = put(at, now_ms, 8);
    at = put(at, now_ms, 8);
    at = put(at, UINT64_MAX, 8); /* producer id */
    at = put(at, UINT16_MAX, 2); /* producer epoch */
    at = put(at, UINT32_MAX, 4); /* base sequence */
    at = put(at, 1, 4);          /* records */
    *head++ = 0;                 /* attributes */
    head = put_varint(head, 0);  /* timestamp delta */
    head = put_varint(head, 0);  /* offset delta */
    head = put_varint(head, -1); /* key */
    head = put_varint(head, (int64_t)value_size);
    at = put_varint(at, (int64_t)((size_t)(head - record) + value_size + 1));
    at = put_bytes(at, record, (size_t)(head - record));
    at = put_bytes(at, value, value_size);
    at = put_varint(at, 0); /* headers */

    put(batch, 0, 8);                               /* base offset */
    put(batch + 8, (uint64_t)(at - batch) - 12, 4); /* length of what follows */
    put(batch + 12, UINT32_MAX, 4);                 /* partition leader epoch */
    batch[16] = 2;                                  /* magic */
    put(batch + 17, crc32c(checked, (size_t)(at - checked)), 4);
    return at;
}

size_t wire_produce(uint8_t *frame, int32_t correlation, const char *topic, int32_t partition,
                    int16_t acks, const uint8_t *value, size_t value_size)
{
    uint8_t *at = put_header(frame, API_PRODUCE, PRODUCE_VERSION, correlation);
    uint8_t *records;

    at = put(at, UINT16_MAX, 2); /* transactional id */
    at = put(at, (uint16_t)acks, 2);
    at = put(at, ACK_TIMEOUT_MS, 4);
    at = put(at, 1, 4);
    at = put_string(at, topic);
    at = put(at, 1, 4);
    at = put(at, (uint32_t)partition, 4);
    records = at + 4;
    at = put_batch(records, value, value_size);
    put(records - 4, (uint64_t)(at - records), 4);
    return finish(frame, at);
}

/* ---- reading ---- */

static uint64_t get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

bool wire_produce_answer(const uint8_t *body, size_t size, struct wire_answer *out)
{
    size_t name;

    if (size < 10 || get(body + 4, 4) != 1)
        return false;
    name = get(body + 8, 2);
    if (size < 10 + name + 4 + 4 + 2 + 8 + 8 + 4)
        return false;
    body += 10 + name; /* count of partitions, index, error, base offset */
    out->error = (int16_t)get(body + 8, 2);
    out->base_offset = (int64_t)get(body + 10, 8);
    out->correlation = (int32_t)get(body - 10 - name, 4);
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
    *size_out = get(length, 4);
    return *size_out <= room && receive_all(fd, body, *size_out);
}
