/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both shells of coordinators have alike. For the one support file of a test, behind its header and
 *   #define SHELL_CORE(name)          the core's function of that name
 *   #define SHELL_AFTER_CALL(fixture) what follows a request
 */
#ifndef TESTS_COORDINATOR_SHELL_FRAME_H
#define TESTS_COORDINATOR_SHELL_FRAME_H

#include "base/fmt.h"

static void log_write(struct logger *self, enum log_level level, const char *module,
                      const char *event, const char *fields)
{
    struct fixture *fixture = CONTAINER_OF(self, struct fixture, logger);
    size_t room = sizeof fixture->log_text - fixture->log_bytes;

    UNUSED(level);
    UNUSED(module);
    fixture->log_bytes +=
        MIN(fmt(fixture->log_text + fixture->log_bytes, room, "%s %s\n", event, fields), room - 1);
}

static void *more(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity > 0 ? *capacity * 2 : 64;
    return realloc(items, *capacity * item_bytes);
}

/* ---- metadata ---- */

static struct uuid topic_id(uint8_t number)
{
    return (struct uuid){{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, number}};
}

static void metadata_apply(struct fixture *fixture, const struct message_type *type,
                           const void *message)
{
    struct metadata_record record = {.type = metadata_record_type(type->key),
                                     .version = 0,
                                     .message = (void *)(uintptr_t)message};
    struct why why = {0};

    assert_int_equal(metadata_state_replay(fixture->metadata, &record, 1, &why), OK);
}

/* ---- answers ---- */

static struct outcome *outcome_find(struct fixture *fixture, uint64_t token)
{
    for (size_t i = fixture->outcome_count; i-- > 0;)
        if (fixture->outcomes[i].token == token)
            return &fixture->outcomes[i];
    return NULL;
}

static struct outcome *outcome_put(struct fixture *fixture, uint64_t token, void *response,
                                   enum err err)
{
    fixture->outcomes = more(fixture->outcomes, fixture->outcome_count, &fixture->outcome_capacity,
                             sizeof *fixture->outcomes);
    assert_null(outcome_find(fixture, token)); /* one answer */
    fixture->outcomes[fixture->outcome_count] = (struct outcome){token, response, err};
    return &fixture->outcomes[fixture->outcome_count++];
}

void *fixture_reply(struct fixture *fixture, uint64_t token)
{
    struct outcome *outcome = outcome_find(fixture, token);

    return outcome ? outcome->response : NULL;
}

enum err fixture_failure(struct fixture *fixture, uint64_t token)
{
    struct outcome *outcome = outcome_find(fixture, token);

    return outcome ? outcome->err : OK;
}

/* ---- calls ---- */

/* What the core said is done. */
static void settle(struct fixture *fixture, struct coordinator_effects *effects);

uint64_t fixture_send(struct fixture *fixture, int16_t api_key, int16_t version, const void *body)
{
    struct coordinator_effects effects;
    struct coordinator_request request = {
        .api_key = api_key,
        .api_version = version,
        .body = body,
        .token = ++fixture->token,
        .client_id = SLICE("client"),
        .client_host = SLICE("/127.0.0.1"),
    };

    if (fixture->failure != OK)
        return request.token;
    coordinator_effects_init(&effects, fixture->effects_arena);
    fixture->failure =
        SHELL_CORE(handle)(fixture->coordinator, &request, &fixture->moment, &effects);
    settle(fixture, &effects);
    SHELL_AFTER_CALL(fixture);
    return request.token;
}

void fixture_tick(struct fixture *fixture)
{
    size_t rounds = 0;

    while (!fixture->hold_ticks && fixture->failure == OK &&
           SHELL_CORE(deadline_ms)(fixture->coordinator) <= fixture->moment.now_ms) {
        struct coordinator_effects effects;

        assert_true(rounds++ < 100000); /* time goes on */
        coordinator_effects_init(&effects, fixture->effects_arena);
        fixture->failure = SHELL_CORE(tick)(fixture->coordinator, &fixture->moment, &effects);
        settle(fixture, &effects);
    }
}

void fixture_advance(struct fixture *fixture, int64_t ms)
{
    int64_t end_ms = fixture->moment.now_ms + ms;

    while (fixture->failure == OK) {
        int64_t next = SHELL_CORE(deadline_ms)(fixture->coordinator);

        next = MAX(MIN(next, end_ms), fixture->moment.now_ms);
        fixture->moment.wall_ms += next - fixture->moment.now_ms;
        fixture->moment.now_ms = next;
        fixture_tick(fixture);
        if (next == end_ms)
            return;
    }
}

#endif
