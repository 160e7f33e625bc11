/* SPDX-License-Identifier: Apache-2.0 */
#include "floor_protocol.h"

#include <stdlib.h>
#include <string.h>

enum { PRODUCE_PLAIN = 3, PRODUCE_FLEXIBLE = 12, UNSUPPORTED_VERSION = 35, NODE = 1 };
enum { VERSIONS_JAVA = 4, SECOND_PROTOCOL = 5, PRODUCER_ID_AT = 43, BATCH_HEAD = 61 };
enum { PARTITION_ROOM = 40, PARTITIONS_SHOWN_MAX = 200 };
static const char host[] = "127.0.0.1";

/* Of what a flexible version has: tagged fields behind the header's text. */
static bool is_flexible(const struct floor_request *request)
{
    return (request->api == FLOOR_PRODUCE && request->version == PRODUCE_FLEXIBLE) ||
           (request->api != FLOOR_API_VERSIONS && request->version == SECOND_PROTOCOL);
}

static bool is_known(const struct floor_request *request)
{
    switch (request->api) {
    case FLOOR_PRODUCE:
        return request->version == PRODUCE_PLAIN || request->version == PRODUCE_FLEXIBLE;
    case FLOOR_METADATA:
    case FLOOR_FIND_COORDINATOR:
        return request->version == 1;
    case FLOOR_API_VERSIONS:
        return true;
    case FLOOR_INIT_PRODUCER_ID:
    case FLOOR_END_TXN:
        return request->version == 0 || request->version == SECOND_PROTOCOL;
    case FLOOR_ADD_PARTITIONS:
        return request->version == 0;
    default:
        return false;
    }
}

/* A text of two bytes' length; 0xffff: there is none. */
static void pass_string(struct wire_reader *reader)
{
    uint64_t size = wire_take(reader, 2);

    wire_pass(reader, size == UINT16_MAX ? 0 : size);
}

void floor_request_read(struct floor_request *request, const uint8_t *body, size_t size)
{
    request->rest = (struct wire_reader){body, body + size, false};
    request->api = (uint16_t)wire_take(&request->rest, 2);
    request->version = (uint16_t)wire_take(&request->rest, 2);
    request->correlation = (uint32_t)wire_take(&request->rest, 4);
    pass_string(&request->rest);
    if (is_flexible(request))
        wire_pass_tags(&request->rest);
    if (!is_known(request) || request->rest.is_short)
        wire_die("a request that it does not know");
}

static uint8_t *answer_begin(const struct floor_request *request, uint8_t *frame)
{
    uint8_t *at = wire_put(frame + 4, request->correlation, 4);

    return is_flexible(request) ? wire_put_uvarint(at, 0) : at;
}

/* ---- Produce ---- */

static uint64_t take_count(struct wire_reader *reader, bool is_compact)
{
    return is_compact ? wire_take_uvarint(reader) - 1 : wire_take(reader, 4);
}

static void part_read(struct wire_reader *reader, bool is_compact, struct floor_part *part)
{
    part->partition = (uint32_t)wire_take(reader, 4);
    part->size = take_count(reader, is_compact);
    part->bytes = reader->at;
    wire_pass(reader, part->size);
    if (is_compact)
        wire_pass_tags(reader);
}

static void parts_reserve(struct floor_parts *parts, uint64_t count,
                          const struct wire_reader *reader)
{
    if (reader->is_short || count > (uint64_t)(reader->end - reader->at))
        wire_die("partitions that are not there");
    if (count > parts->room) {
        free(parts->all);
        parts->all = wire_reserve(count, sizeof(*parts->all));
        parts->room = (uint32_t)count;
    }
    parts->count = (uint32_t)count;
}

/* Its batches have it. */
static uint64_t producer_of(const struct floor_parts *parts)
{
    if (parts->count == 0 || parts->all[0].size < BATCH_HEAD)
        wire_die("a transaction's Produce without a batch");
    return wire_get(parts->all[0].bytes + PRODUCER_ID_AT, 8);
}

void floor_produce_read(const struct floor_request *request, struct floor_parts *parts)
{
    struct wire_reader reader = request->rest;
    bool is_compact = request->version == PRODUCE_FLEXIBLE, is_transactional;
    uint64_t count;

    if (is_compact) {
        uint64_t id = wire_take_uvarint(&reader);

        wire_pass(&reader, id > 0 ? id - 1 : 0);
        is_transactional = id > 0;
    } else {
        is_transactional = !reader.is_short && wire_get(reader.at, 2) != UINT16_MAX;
        pass_string(&reader);
    }
    wire_pass(&reader, 2 + 4); /* acks, timeout */
    if (take_count(&reader, is_compact) != 1)
        wire_die("a Produce of several topics");
    parts->topic_size = is_compact ? wire_take_uvarint(&reader) - 1 : wire_take(&reader, 2);
    parts->topic = reader.at;
    wire_pass(&reader, parts->topic_size);
    count = take_count(&reader, is_compact);
    parts_reserve(parts, count, &reader);
    for (uint64_t i = 0; i < count; i++)
        part_read(&reader, is_compact, &parts->all[i]);
    if (reader.is_short)
        wire_die("a Produce that is too short");
    parts->producer_id = is_transactional ? producer_of(parts) : 0;
}

size_t floor_produce_room(const struct floor_parts *parts)
{
    return 64 + parts->topic_size + (size_t)parts->count * PARTITION_ROOM;
}

static uint8_t *flexible_parts(const struct floor_parts *parts, uint8_t *at)
{
    at = wire_put_uvarint(at, 1 + 1);
    at = wire_put_bytes(wire_put_uvarint(at, parts->topic_size + 1), parts->topic,
                        parts->topic_size);
    at = wire_put_uvarint(at, parts->count + 1);
    for (uint32_t i = 0; i < parts->count; i++) {
        at = wire_put(at, parts->all[i].partition, 4);
        at = wire_put(at, 0, 2);
        at = wire_put(at, (uint64_t)parts->all[i].offset, 8);
        at = wire_put(at, UINT64_MAX, 8);
        at = wire_put(at, 0, 8);
        at = wire_put_uvarint(at, 1); /* no record is refused */
        at = wire_put_uvarint(at, 0); /* no message */
        at = wire_put_uvarint(at, 0);
    }
    at = wire_put_uvarint(at, 0); /* of the topic */
    at = wire_put(at, 0, 4);      /* throttle */
    return wire_put_uvarint(at, 0);
}

static uint8_t *plain_parts(const struct floor_parts *parts, uint8_t *at)
{
    at = wire_put(at, 1, 4);
    at = wire_put_bytes(wire_put(at, parts->topic_size, 2), parts->topic, parts->topic_size);
    at = wire_put(at, parts->count, 4);
    for (uint32_t i = 0; i < parts->count; i++) {
        at = wire_put(at, parts->all[i].partition, 4);
        at = wire_put(at, 0, 2);
        at = wire_put(at, (uint64_t)parts->all[i].offset, 8);
        at = wire_put(at, UINT64_MAX, 8);
    }
    return wire_put(at, 0, 4); /* throttle */
}

size_t floor_produce_answer(const struct floor_request *request, const struct floor_parts *parts,
                            uint8_t *frame)
{
    uint8_t *at = answer_begin(request, frame);

    if (request->version == PRODUCE_FLEXIBLE)
        return wire_finish(frame, flexible_parts(parts, at));
    return wire_finish(frame, plain_parts(parts, at));
}

/* ---- transactions ---- */

uint64_t floor_transaction_read(const struct floor_request *request, struct floor_parts *parts)
{
    struct wire_reader reader = request->rest;
    uint64_t producer_id, count;

    if (is_flexible(request))
        wire_pass_compact(&reader);
    else
        pass_string(&reader);
    producer_id = wire_take(&reader, 8);
    if (request->api == FLOOR_ADD_PARTITIONS) {
        wire_pass(&reader, 2); /* epoch */
        if (wire_take(&reader, 4) != 1)
            wire_die("partitions of several topics");
        parts->topic_size = wire_take(&reader, 2);
        parts->topic = reader.at;
        wire_pass(&reader, parts->topic_size);
        count = wire_take(&reader, 4);
        parts_reserve(parts, count, &reader);
        for (uint64_t i = 0; i < count; i++)
            parts->all[i] = (struct floor_part){.partition = (uint32_t)wire_take(&reader, 4)};
    }
    if (reader.is_short)
        wire_die("a transaction's request that is too short");
    return producer_id;
}

size_t floor_added_answer(const struct floor_request *request, const struct floor_parts *parts,
                          uint8_t *frame)
{
    uint8_t *at = wire_put(answer_begin(request, frame), 0, 4); /* throttle */

    at = wire_put(at, 1, 4);
    at = wire_put_bytes(wire_put(at, parts->topic_size, 2), parts->topic, parts->topic_size);
    at = wire_put(at, parts->count, 4);
    for (uint32_t i = 0; i < parts->count; i++)
        at = wire_put(wire_put(at, parts->all[i].partition, 4), 0, 2);
    return wire_finish(frame, at);
}

size_t floor_producer_answer(const struct floor_request *request,
                             const struct floor_producer *producer, uint8_t *frame)
{
    uint8_t *at = wire_put(answer_begin(request, frame), 0, 4 + 2); /* throttle, error */

    if (request->api == FLOOR_INIT_PRODUCER_ID || is_flexible(request))
        at = wire_put(wire_put(at, producer->id, 8), producer->epoch, 2);
    return wire_finish(frame, is_flexible(request) ? wire_put_uvarint(at, 0) : at);
}

/* ---- all others ---- */

enum { RANGE_WORDS = 3 };

static uint8_t *ranges_put(const uint16_t (*ranges)[RANGE_WORDS], uint32_t count, bool is_compact,
                           uint8_t *at)
{
    at = is_compact ? wire_put_uvarint(at, count + 1) : wire_put(at, count, 4);
    for (uint32_t i = 0; i < count; i++) {
        for (int word = 0; word < RANGE_WORDS; word++)
            at = wire_put(at, ranges[i][word], 2);
        if (is_compact)
            at = wire_put_uvarint(at, 0);
    }
    return at;
}

/* Only what librdkafka shall use; as it asks by version 3, it is told so, and asks by the first. */
static uint8_t *versions_plain(const struct floor_request *request, uint8_t *at)
{
    static const uint16_t ranges[][RANGE_WORDS] = {
        {FLOOR_PRODUCE, 3, 3},
        {1, 4, 4}, /* Fetch: without it batches of format 2 are not sent */
        {FLOOR_METADATA, 1, 1},
        {FLOOR_FIND_COORDINATOR, 1, 1},
        {FLOOR_API_VERSIONS, 0, 0},
        {FLOOR_INIT_PRODUCER_ID, 0, 0},
        {FLOOR_ADD_PARTITIONS, 0, 0},
        {FLOOR_END_TXN, 0, 0}};

    at = wire_put(at, request->version > 0 ? UNSUPPORTED_VERSION : 0, 2);
    return ranges_put(ranges, sizeof(ranges) / sizeof(ranges[0]), false, at);
}

/* Kafka's own clients ask by a later one: what they shall use, and that transactions are those of the second protocol. */
static uint8_t *versions_java(uint8_t *at)
{
    static const char feature[] = "transaction.version";
    static const uint16_t ranges[][RANGE_WORDS] = {
        {FLOOR_PRODUCE, PRODUCE_FLEXIBLE, PRODUCE_FLEXIBLE},
        {FLOOR_METADATA, 1, 1},
        {FLOOR_FIND_COORDINATOR, 1, 1},
        {FLOOR_API_VERSIONS, 0, VERSIONS_JAVA + 1},
        {FLOOR_INIT_PRODUCER_ID, SECOND_PROTOCOL, SECOND_PROTOCOL},
        {FLOOR_END_TXN, SECOND_PROTOCOL, SECOND_PROTOCOL}};

    at = ranges_put(ranges, sizeof(ranges) / sizeof(ranges[0]), true, wire_put(at, 0, 2));
    at = wire_put(at, 0, 4);      /* throttle */
    at = wire_put_uvarint(at, 2); /* tagged fields: the features' epoch, and what is in force */
    at = wire_put(wire_put_uvarint(wire_put_uvarint(at, 1), 8), 1, 8);
    at = wire_put_uvarint(wire_put_uvarint(at, 2), 1 + sizeof(feature) + 2 + 2 + 1);
    at = wire_put_compact(wire_put_uvarint(at, 1 + 1), feature);
    at = wire_put(wire_put(at, 2, 2), 2, 2); /* most, least */
    return wire_put_uvarint(at, 0);
}

static uint8_t *versions_put(const struct floor_request *request, uint8_t *at)
{
    return request->version < VERSIONS_JAVA ? versions_plain(request, at) : versions_java(at);
}

static uint8_t *metadata_partitions(uint32_t partitions, uint8_t *at)
{
    at = wire_put(at, partitions, 4);
    for (uint32_t i = 0; i < partitions; i++) {
        at = wire_put(wire_put(at, 0, 2), i, 4);
        at = wire_put(at, NODE, 4);
        at = wire_put(wire_put(at, 1, 4), NODE, 4); /* replicas */
        at = wire_put(wire_put(at, 1, 4), NODE, 4); /* in sync */
    }
    return at;
}

/* Every topic that is asked for has the same partitions. */
static uint8_t *metadata_put(const struct floor_request *request, uint16_t port,
                             uint32_t partitions, uint8_t *at)
{
    struct wire_reader reader = request->rest;
    uint64_t topics = wire_take(&reader, 4);

    topics = topics == UINT32_MAX ? 0 : topics; /* all: there is none */
    if (topics > 1 || partitions > PARTITIONS_SHOWN_MAX)
        wire_die("more Metadata than it tells");
    at = wire_put(wire_put(at, 1, 4), NODE, 4);
    at = wire_put(wire_put_string(at, host), port, 4);
    at = wire_put(at, UINT16_MAX, 2); /* rack */
    at = wire_put(at, NODE, 4);
    at = wire_put(at, topics, 4);
    if (topics == 1) {
        size_t size = wire_take(&reader, 2);
        const uint8_t *name = reader.at;

        wire_pass(&reader, size);
        if (reader.is_short || size > 249)
            wire_die("a Metadata that is too short");
        at = wire_put_bytes(wire_put(wire_put(at, 0, 2), size, 2), name, size);
        at = wire_put(at, 0, 1); /* not internal */
        at = metadata_partitions(partitions, at);
    }
    return at;
}

static uint8_t *coordinator_put(uint16_t port, uint8_t *at)
{
    at = wire_put(at, 0, 4 + 2); /* throttle, error */
    at = wire_put(at, UINT16_MAX, 2);
    at = wire_put(at, NODE, 4);
    return wire_put(wire_put_string(at, host), port, 4);
}

size_t floor_answer(const struct floor_request *request, uint16_t port, uint32_t partitions,
                    uint8_t *frame)
{
    uint8_t *at = answer_begin(request, frame);

    if (request->api == FLOOR_API_VERSIONS)
        at = versions_put(request, at);
    else if (request->api == FLOOR_METADATA)
        at = metadata_put(request, port, partitions, at);
    else
        at = coordinator_put(port, at);
    return wire_finish(frame, at);
}
