/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/quorum_state.c: the JSON object of the file `quorum-state`, written as Kafka writes it and read
 * in any spelling that JSON allows.
 * Invariants  1. what does not parse, lacks a field or is out of range is refused, never guessed: a
 *             forgotten vote would be a second vote.   2. nesting of skipped fields is bounded.
 */
#include "raft/quorum_state.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/parse.h"

#define DEPTH_MAX 16

struct raft_quorum_state raft_quorum_state_none(void)
{
    return (struct raft_quorum_state){.leader_id = -1, .voted_id = -1};
}

static void text_write(struct writer *out, const char *text)
{
    writer_bytes(out, text, strlen(text));
}

static void field_write(struct writer *out, const char *name, int32_t value)
{
    char text[64];

    fmt(text, sizeof text, "\"%s\":%d,", name, value);
    text_write(out, text);
}

static void encode_version_0(const struct raft_quorum_state *state, struct writer *out)
{
    char text[48];

    text_write(out, "{\"clusterId\":\"\",");
    field_write(out, "leaderId", state->leader_id);
    field_write(out, "leaderEpoch", state->leader_epoch);
    field_write(out, "votedId", state->voted_id);
    text_write(out, "\"appliedOffset\":0,\"currentVoters\":[");
    for (size_t i = 0; i < state->voter_id_count; i++) {
        fmt(text, sizeof text, "%s{\"voterId\":%d}", i > 0 ? "," : "", state->voter_ids[i]);
        text_write(out, text);
    }
    text_write(out, "],\"data_version\":0}");
}

static void encode_version_1(const struct raft_quorum_state *state, struct writer *out)
{
    char directory[UUID_TEXT_BYTES];

    uuid_to_text(state->voted_directory_id, directory);
    text_write(out, "{");
    field_write(out, "leaderId", state->leader_id);
    field_write(out, "leaderEpoch", state->leader_epoch);
    field_write(out, "votedId", state->voted_id);
    text_write(out, "\"votedDirectoryId\":\"");
    text_write(out, directory);
    text_write(out, "\",\"data_version\":1}");
}

enum err raft_quorum_state_encode(const struct raft_quorum_state *state, struct writer *out)
{
    if (state->data_version == 0)
        encode_version_0(state, out);
    else
        encode_version_1(state, out);
    return writer_error(out);
}

/* ---- reading: a small JSON reader for one flat object ---- */

struct json {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
    struct why *why;
};

static enum err broken(struct json *json, const char *what)
{
    return why_set(json->why, ERR_FORMAT, "quorum-state: %s", what);
}

static void space_skip(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

static bool symbol_take(struct json *json, char symbol)
{
    space_skip(json);
    if (json->at == json->end || *json->at != (uint8_t)symbol)
        return false;
    json->at++;
    return true;
}

/* Names and values here are plain; an escape is valid JSON only in what is skipped. */
static enum err text_take(struct json *json, struct slice *out, bool *escaped_out)
{
    const uint8_t *start;

    *escaped_out = false;
    if (!symbol_take(json, '"'))
        return broken(json, "a string is expected");
    start = json->at;
    for (; json->at < json->end && *json->at != '"'; json->at++) {
        if (*json->at < 0x20)
            return broken(json, "control character in a string");
        if (*json->at != '\\')
            continue;
        *escaped_out = true;
        if (json->end - json->at < 2)
            return broken(json, "a string does not end");
        json->at++;
    }
    if (json->at == json->end)
        return broken(json, "a string does not end");
    *out = slice_of(start, (size_t)(json->at - start));
    json->at++;
    return OK;
}

static enum err number_take(struct json *json, int64_t *out)
{
    const uint8_t *start;

    space_skip(json);
    start = json->at;
    if (json->at < json->end && *json->at == '-')
        json->at++;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    if (json->at < json->end && (*json->at == '.' || *json->at == 'e' || *json->at == 'E'))
        return broken(json, "a whole number is expected");
    if (parse_i64(slice_of(start, (size_t)(json->at - start)), out) != OK)
        return broken(json, "a number is expected");
    return OK;
}

static enum err value_skip(struct json *json, int depth);

static enum err members_skip(struct json *json, char close, int depth)
{
    struct slice name;
    bool escaped;

    if (symbol_take(json, close))
        return OK;
    do {
        if (close == '}') {
            TRY(text_take(json, &name, &escaped));
            if (!symbol_take(json, ':'))
                return broken(json, "a colon is expected");
        }
        TRY(value_skip(json, depth + 1));
    } while (symbol_take(json, ','));
    return symbol_take(json, close) ? OK : broken(json, "a bracket is not closed");
}

static enum err value_skip(struct json *json, int depth)
{
    struct slice text;
    bool escaped;
    const uint8_t *start;

    if (depth > DEPTH_MAX)
        return broken(json, "nested too deep");
    if (symbol_take(json, '{'))
        return members_skip(json, '}', depth);
    if (symbol_take(json, '['))
        return members_skip(json, ']', depth);
    if (json->at < json->end && *json->at == '"')
        return text_take(json, &text, &escaped);
    start = json->at; /* a number, true, false or null */
    while (json->at < json->end &&
           ((*json->at >= '0' && *json->at <= '9') || (*json->at >= 'a' && *json->at <= 'z') ||
            *json->at == '-' || *json->at == '+' || *json->at == '.' || *json->at == 'E'))
        json->at++;
    return json->at > start ? OK : broken(json, "a value is expected");
}

enum field {
    FIELD_LEADER_ID = 1,
    FIELD_LEADER_EPOCH = 2,
    FIELD_VOTED_ID = 4,
    FIELD_DATA_VERSION = 8,
    FIELD_VOTED_DIRECTORY = 16,
};

static enum err i32_take(struct json *json, int32_t *out)
{
    int64_t value;

    TRY(number_take(json, &value));
    if (value < INT32_MIN || value > INT32_MAX)
        return broken(json, "a number is out of range");
    *out = (int32_t)value;
    return OK;
}

static enum err version_take(struct json *json, int16_t *out)
{
    int64_t value;

    TRY(number_take(json, &value));
    if (value != 0 && value != 1)
        return why_set(json->why, ERR_UNSUPPORTED_VERSION,
                       "quorum-state: data_version %lld is not known, only 0 and 1",
                       (long long)value);
    *out = (int16_t)value;
    return OK;
}

static enum err directory_take(struct json *json, struct uuid *out)
{
    struct slice text;
    bool escaped;

    TRY(text_take(json, &text, &escaped));
    if (escaped || uuid_from_text(text, out) != OK)
        return broken(json, "votedDirectoryId is not an id");
    return OK;
}

/* [{"voterId":1},…]: counted first, so that the array comes in one piece. */
static enum err voters_take(struct json *json, struct raft_quorum_state *state)
{
    size_t capacity = (size_t)(json->end - json->at) / sizeof "{\"voterId\":" + 1;
    int32_t *ids = ARENA_ARRAY(json->arena, int32_t, capacity);
    struct slice name;
    bool escaped;

    if (!ids)
        return ERR_NO_MEMORY;
    if (!symbol_take(json, '['))
        return broken(json, "currentVoters is not a list");
    state->voter_ids = ids;
    state->voter_id_count = 0;
    if (symbol_take(json, ']'))
        return OK;
    do {
        if (!symbol_take(json, '{'))
            return broken(json, "currentVoters holds something else than voters");
        TRY(text_take(json, &name, &escaped));
        if (!slice_equal_text(name, "voterId") || !symbol_take(json, ':'))
            return broken(json, "currentVoters holds something else than voters");
        ASSERT(state->voter_id_count <
               capacity); /* one takes more bytes than were counted for it */
        TRY(i32_take(json, &ids[state->voter_id_count++]));
        if (!symbol_take(json, '}'))
            return broken(json, "currentVoters holds something else than voters");
    } while (symbol_take(json, ','));
    return symbol_take(json, ']') ? OK : broken(json, "a bracket is not closed");
}

static enum err field_take(struct json *json, struct raft_quorum_state *state, unsigned *seen)
{
    struct slice name;
    bool escaped;

    TRY(text_take(json, &name, &escaped));
    if (!symbol_take(json, ':'))
        return broken(json, "a colon is expected");
    if (slice_equal_text(name, "leaderId")) {
        *seen |= FIELD_LEADER_ID;
        return i32_take(json, &state->leader_id);
    }
    if (slice_equal_text(name, "leaderEpoch")) {
        *seen |= FIELD_LEADER_EPOCH;
        return i32_take(json, &state->leader_epoch);
    }
    if (slice_equal_text(name, "votedId")) {
        *seen |= FIELD_VOTED_ID;
        return i32_take(json, &state->voted_id);
    }
    if (slice_equal_text(name, "votedDirectoryId")) {
        *seen |= FIELD_VOTED_DIRECTORY;
        return directory_take(json, &state->voted_directory_id);
    }
    if (slice_equal_text(name, "data_version")) {
        *seen |= FIELD_DATA_VERSION;
        return version_take(json, &state->data_version);
    }
    if (slice_equal_text(name, "currentVoters"))
        return voters_take(json, state);
    return value_skip(json, 0);
}

static enum err state_check(struct json *json, const struct raft_quorum_state *state, unsigned seen)
{
    unsigned needed = FIELD_LEADER_ID | FIELD_LEADER_EPOCH | FIELD_VOTED_ID | FIELD_DATA_VERSION;

    if (!(seen & FIELD_DATA_VERSION))
        return broken(json, "data_version is missing");
    if (state->data_version == 1)
        needed |= FIELD_VOTED_DIRECTORY;
    if ((seen & needed) != needed)
        return broken(json, "a field is missing");
    if (state->leader_epoch < 0 || state->leader_id < -1 || state->voted_id < -1)
        return broken(json, "a number is out of range");
    return OK;
}

enum err raft_quorum_state_decode(struct slice text, struct arena *arena,
                                  struct raft_quorum_state *state_out, struct why *why)
{
    struct json json = {text.data, text.data + text.size_bytes, arena, why};
    struct raft_quorum_state state = raft_quorum_state_none();
    unsigned seen = 0;

    if (!symbol_take(&json, '{'))
        return broken(&json, "a JSON object is expected");
    if (!symbol_take(&json, '}')) {
        do {
            TRY(field_take(&json, &state, &seen));
        } while (symbol_take(&json, ','));
        if (!symbol_take(&json, '}'))
            return broken(&json, "the object is not closed");
    }
    space_skip(&json);
    if (json.at != json.end)
        return broken(&json, "something follows the object");
    TRY(state_check(&json, &state, seen));
    *state_out = state;
    return OK;
}
