/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk may hold: records of a real log with bytes changed, cut off, put in another order. A
 * load may fail; it does nothing worse, and what was loaded can be worked with.
 */
#include "support.h"

#define ROUNDS 4000

static void log_make(struct fixture *fixture)
{
    const char *member = stable_one(fixture, "g");
    uint64_t join = send_join(fixture, (struct join){.group = "s", .instance = "i"});
    struct join_group_response *response;
    const char *other;

    commit(fixture, (struct commit){.member = member, .generation = 1, .metadata = "note"});
    fixture_advance(fixture, 3000);
    response = joined(fixture, join);
    other = arena_format(&fixture->arena, "%.*s", SLICE_ARGS(response->member_id));
    send_sync(fixture, (struct sync){.group = "s",
                                     .member = other,
                                     .generation = 1,
                                     .count = 1,
                                     .members = {other},
                                     .assignments = {"all"}});
    commit(fixture, (struct commit){.group = "h", .offset = 5, .version = 4, .retention_ms = 7});
    commit(fixture, (struct commit){.group = "h", .offset = 6, .partition = 1});
    leave(fixture, "g", member, NULL);
    delete_group(fixture, "h");
    delete_group(fixture, "g");
}

static struct slice damaged(struct fixture *fixture, struct random *random, struct slice from)
{
    uint8_t *copy;
    size_t size_bytes = from.size_bytes;

    if (slice_is_null(from))
        return from;
    copy = arena_allocate(&fixture->arena, size_bytes + 8);
    memcpy(copy, from.data, size_bytes);
    for (uint64_t left = random_below(random, 4); left > 0 && size_bytes > 0; left--)
        copy[random_below(random, size_bytes)] = (uint8_t)random_u64(random);
    if (random_chance(random, 1, 4))
        size_bytes = random_below(random, size_bytes + 1);
    return slice_of(copy, size_bytes);
}

static void damaged_records_do_no_more_than_fail_the_load(void **state)
{
    struct fixture fixture;
    struct random random;
    struct logged *log;
    size_t log_count, failed = 0, loaded = 0;

    UNUSED(state);
    fixture_start(&fixture);
    fixture.logger.level = LOG_LEVEL_ERROR;
    log_make(&fixture);
    assert_true(fixture.log_count > 10);
    log_count = fixture.log_count;
    log = malloc(log_count * sizeof *log);
    memcpy(log, fixture.log, log_count * sizeof *log);
    random_init(&random, 7);
    for (int round = 0; round < ROUNDS; round++) {
        fixture.log_count = random_below(&random, log_count) + 1;
        for (size_t i = 0; i < fixture.log_count; i++) {
            fixture.log[i] =
                log[random_chance(&random, 1, 4) ? random_below(&random, log_count) : i];
            if (random_chance(&random, 1, 5)) {
                fixture.log[i].record.key = damaged(&fixture, &random, fixture.log[i].record.key);
                fixture.log[i].record.value =
                    damaged(&fixture, &random, fixture.log[i].record.value);
            }
            if (random_chance(&random, 1, 10))
                fixture.log[i].producer_id = (int64_t)random_below(&random, 3);
        }
        fixture.token += 1000;
        fixture.outcome_count = 0;
        fixture_load(&fixture);
        if (fixture.failure != OK) {
            failed++;
            fixture.failure = OK;
            continue;
        }
        loaded++;
        fixture_marker(&fixture, (int64_t)random_below(&random, 3), random_chance(&random, 1, 2));
        commit(&fixture, (struct commit){.group = "h"});
        send_join(&fixture, (struct join){.group = "g", .version = 3});
        send_join(&fixture, (struct join){.group = "s", .instance = "i"});
        fixture_advance(&fixture, 700000);
        assert_int_equal(fixture.failure, OK);
    }
    assert_true(failed > ROUNDS / 10);
    assert_true(loaded > ROUNDS / 10);
    free(log);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_records_do_no_more_than_fail_the_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
