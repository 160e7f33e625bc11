/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any peer against one core. The input is read as numbers: which event, and every field of the message
 * in it. The disk obeys, at once or later. No message may trip an assert of the core, take its epoch or
 * high watermark back, or move the high watermark past the log's end.
 */
#include "base/assert.h"
#include "raft/raft.h"

#include <stdlib.h>

#define EVENTS_MAX 400
#define BATCHES_MAX 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t take(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

/* Mostly small, now and then extreme. */
static int64_t number(struct input *input)
{
    uint8_t value = take(input);

    switch (value) {
    case 255:
        return INT64_MAX;
    case 254:
        return INT64_MIN;
    case 253:
        return INT32_MAX;
    case 252:
        return -1;
    default:
        return value & 15;
    }
}

static int32_t small(struct input *input)
{
    int64_t value = number(input);

    return value > INT32_MAX || value < INT32_MIN ? -2 : (int32_t)value;
}

static struct raft_replica_key key(struct input *input)
{
    struct raft_replica_key out = {small(input), UUID_ZERO};

    if (take(input) & 1)
        memset(out.directory_id.bytes, out.id, sizeof out.directory_id.bytes);
    return out;
}

static const struct raft_endpoint endpoints[] = {
    {{(const uint8_t *)"CONTROLLER", 10}, {(const uint8_t *)"h", 1}, 9093},
    {{(const uint8_t *)"OTHER", 5}, {(const uint8_t *)"h", 1}, 9094},
};

static struct raft_endpoints some_endpoints(struct input *input)
{
    return (struct raft_endpoints){endpoints, take(input) % 3u};
}

struct bench {
    struct raft *raft;
    struct input input;
    int64_t now_ms;
    uint64_t token, generation, era, install_era, last_number;
    uint8_t sent[256]; /* the API of each request, by number */
    bool persisting;
    bool installing;
    struct raft_snapshot incoming;
    int64_t high_watermark;
    int32_t epoch;
    struct raft_voter voters[3];
    struct raft_batch batches[BATCHES_MAX];
    struct raft_voters batch_voters;
};

static void voters_fill(struct bench *bench, bool fixed)
{
    for (int i = 0; i < 3; i++) {
        bench->voters[i] = (struct raft_voter){
            .key = {i + 1, UUID_ZERO}, .endpoints = {endpoints, 1}, .kraft_version_max = !fixed};
        if (!fixed)
            memset(bench->voters[i].key.directory_id.bytes, i + 1, 16);
    }
}

static void step(struct bench *bench, struct raft_event event)
{
    struct raft_effects effects;
    struct raft_status status;

    event.now_ms = bench->now_ms;
    event.random = 7;
    if (raft_step(bench->raft, &event, &effects) == ERR_NO_MEMORY)
        abort();
    for (size_t i = 0; i < effects.count; i++) {
        const struct raft_effect *effect = &effects.items[i];

        if (effect->kind == RAFT_EFFECT_PERSIST) {
            bench->generation = effect->persist.generation;
            bench->persisting = true;
        } else if (effect->kind == RAFT_EFFECT_APPEND || effect->kind == RAFT_EFFECT_TRUNCATE ||
                   effect->kind == RAFT_EFFECT_APPEND_CONTROL ||
                   effect->kind == RAFT_EFFECT_APPEND_FETCHED) {
            bench->era = effect->append.era;
        } else if (effect->kind == RAFT_EFFECT_SNAPSHOT_INSTALL) {
            bench->era = bench->install_era = effect->install.era;
            bench->installing = true;
            bench->incoming = (struct raft_snapshot){effect->install.id, 100};
        } else if (effect->kind == RAFT_EFFECT_SEND) {
            bench->last_number = effect->send.number;
            bench->sent[effect->send.number % 256] = (uint8_t)effect->send.request.api;
        }
    }
    raft_status(bench->raft, &status);
    ASSERT(status.epoch >= bench->epoch);
    ASSERT(status.high_watermark >= bench->high_watermark);
    ASSERT(status.high_watermark <= status.log_end_offset);
    ASSERT(raft_deadline_ms(bench->raft) >= bench->now_ms);
    bench->epoch = status.epoch;
    bench->high_watermark = status.high_watermark;
}

static struct raft_request request(struct input *input)
{
    struct raft_request out = {.api = take(input) % RAFT_API_API_VERSIONS};

    out.one_partition = out.metadata_partition = take(input) != 0;
    switch (out.api) {
    case RAFT_API_VOTE:
        out.vote = (struct raft_vote_request){
            key(input), key(input), small(input), {number(input), small(input)}, take(input) & 1};
        break;
    case RAFT_API_BEGIN_QUORUM_EPOCH:
        out.begin = (struct raft_begin_request){key(input), small(input), small(input),
                                                some_endpoints(input)};
        break;
    case RAFT_API_END_QUORUM_EPOCH:
        out.end.leader_id = small(input);
        out.end.leader_epoch = small(input);
        break;
    case RAFT_API_FETCH:
        out.fetch =
            (struct raft_fetch_request){key(input),    small(input), small(input), number(input),
                                        number(input), small(input), small(input)};
        break;
    case RAFT_API_FETCH_SNAPSHOT:
        out.fetch_snapshot = (struct raft_fetch_snapshot_request){
            key(input), small(input), {number(input), small(input)}, number(input), small(input)};
        break;
    case RAFT_API_ADD_VOTER:
        out.add_voter = (struct raft_add_voter_request){key(input), some_endpoints(input), true};
        break;
    case RAFT_API_REMOVE_VOTER:
        out.remove_voter.voter = key(input);
        break;
    case RAFT_API_UPDATE_VOTER:
        out.update_voter = (struct raft_update_voter_request){
            key(input), small(input), some_endpoints(input), (int16_t)take(input), 1};
        break;
    case RAFT_API_DESCRIBE_QUORUM:
    case RAFT_API_API_VERSIONS:
        break;
    }
    return out;
}

static struct raft_reply reply(struct bench *bench, uint64_t to)
{
    struct input *input = &bench->input;
    static const enum err errors[] = {
        OK,
        ERR_FENCED_LEADER_EPOCH,
        ERR_UNKNOWN_LEADER_EPOCH,
        ERR_NOT_LEADER_OR_FOLLOWER,
        ERR_BROKER_NOT_AVAILABLE,
        ERR_INVALID_REQUEST,
        ERR_INVALID_VOTER_KEY,
        ERR_SNAPSHOT_NOT_FOUND,
    };
    struct raft_reply out = {.error = errors[take(input) % ARRAY_COUNT(errors)],
                             .error_top = take(input) == 255 ? ERR_UNSUPPORTED_VERSION : OK,
                             .leader_id = small(input),
                             .leader_epoch = small(input),
                             .leader_endpoints = some_endpoints(input)};

    out.api = (enum raft_api)bench->sent[to % 256];
    switch (out.api) {
    case RAFT_API_VOTE:
        out.vote_granted = take(input) & 1;
        break;
    case RAFT_API_FETCH:
        out.fetch.high_watermark = number(input);
        out.fetch.diverging = (struct raft_offset_epoch){number(input), small(input)};
        out.fetch.snapshot_id = (struct raft_offset_epoch){number(input), small(input)};
        out.fetch.batches = bench->batches;
        out.fetch.batch_count = take(input) % (BATCHES_MAX + 1u);
        for (size_t i = 0; i < out.fetch.batch_count; i++)
            bench->batches[i] = (struct raft_batch){number(input), number(input), small(input),
                                                    (int16_t)(take(input) % 3 - 1),
                                                    take(input) & 1 ? &bench->batch_voters : NULL};
        break;
    case RAFT_API_FETCH_SNAPSHOT:
        out.fetch_snapshot = (struct raft_fetch_snapshot_answer){
            {number(input), small(input)}, number(input), number(input), small(input)};
        break;
    default:
        break;
    }
    return out;
}

static void disk(struct bench *bench)
{
    struct raft_event event = {0};
    struct raft_status status;

    raft_status(bench->raft, &status);
    if (bench->persisting) {
        bench->persisting = false;
        event.kind = RAFT_EVENT_PERSISTED;
        event.persisted.generation = bench->generation;
    } else if (bench->installing) {
        bench->installing = false;
        event.kind = RAFT_EVENT_INSTALLED;
        event.installed.era = bench->install_era;
        event.installed.snapshot = bench->incoming;
    } else {
        event.kind = take(&bench->input) & 1 ? RAFT_EVENT_FLUSHED : RAFT_EVENT_WRITTEN;
        event.log_end.era = bench->era;
        event.log_end.end_offset = status.log_end_offset;
    }
    step(bench, event);
}

static void one_event(struct bench *bench)
{
    struct input *input = &bench->input;
    struct raft_event event = {0};
    struct raft_request asked;
    struct raft_reply answer;

    switch (take(input) % 8) {
    case 0:
    case 1:
        asked = request(input);
        event.kind = RAFT_EVENT_REQUEST;
        event.request.token = ++bench->token;
        event.request.listener = endpoints[0].listener;
        event.request.request = &asked;
        break;
    case 2:
    case 3:
        event.kind = RAFT_EVENT_REPLY;
        event.reply.number = bench->last_number - take(input) % 3u;
        answer = reply(bench, event.reply.number);
        event.reply.reply = &answer;
        break;
    case 4:
        event.kind = RAFT_EVENT_SUBMIT;
        event.submit.epoch = bench->epoch;
        event.submit.record_count = 1 + take(input) % 3;
        break;
    case 5:
        bench->now_ms += 1 + 16 * take(input);
        event.kind = RAFT_EVENT_TIMEOUT;
        break;
    case 6:
        event.kind = RAFT_EVENT_CHUNK_STORED;
        event.chunk_stored.id = (struct raft_offset_epoch){number(input), small(input)};
        event.chunk_stored.end_position = number(input);
        break;
    default:
        disk(bench);
        return;
    }
    step(bench, event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench bench;
    struct raft_options options = raft_options_default();
    struct raft_event start = {.kind = RAFT_EVENT_START};
    struct raft_voters_at set;
    struct raft_kraft_version_at version = {-1, 1};
    bool fixed;

    bench = (struct bench){.input = {data, data + size}, .high_watermark = -1};
    fixed = take(&bench.input) & 1;
    voters_fill(&bench, fixed);
    bench.batch_voters = (struct raft_voters){bench.voters, 2};
    set = (struct raft_voters_at){-1, {bench.voters, 3}};
    options.self.id = 1;
    memset(options.self.directory_id.bytes, 1, 16);
    options.can_vote = true;
    options.endpoints = (struct raft_endpoints){endpoints, 1};
    options.default_listener = endpoints[0].listener;
    options.bootstrap_servers = options.endpoints;
    if (fixed) {
        options.static_voters = (struct raft_voters){bench.voters, 3};
    } else {
        start.start.voters = &set;
        start.start.kraft_versions = &version;
        start.start.voters_count = start.start.kraft_version_count = 1;
    }
    if (raft_create(&heap_allocator, &options, NULL, &bench.raft) != OK)
        return 0;
    step(&bench, start);
    for (int i = 0; i < EVENTS_MAX && bench.input.at < bench.input.end; i++)
        one_event(&bench);
    raft_release(&bench.raft);
    return 0;
}
