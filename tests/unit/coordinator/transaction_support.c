/* SPDX-License-Identifier: Apache-2.0 */
#include "transaction_support.h"

#define SHELL_CORE(name) transaction_coordinator_##name
#define SHELL_AFTER_CALL(fixture) fixture_tick(fixture)
#include "shell_frame.h"

static enum err producer_id_take(void *context, int64_t *out)
{
    struct fixture *fixture = context;

    if (fixture->producer_id_err == OK)
        *out = fixture->next_producer_id++;
    return fixture->producer_id_err;
}

/* ---- metadata ---- */

static void image_refresh(struct fixture *fixture)
{
    struct metadata_image *before = fixture->image;

    assert_int_equal(metadata_state_publish(fixture->metadata, &fixture->image), OK);
    fixture->moment.image = fixture->image;
    metadata_image_release(&before);
}

void fixture_level(struct fixture *fixture, int16_t level)
{
    struct feature_level_record record = {.name = text(FEATURE_TRANSACTION_VERSION),
                                          .feature_level = level};

    metadata_apply(fixture, &feature_level_record_type, &record);
    image_refresh(fixture);
}

void fixture_topic_create(struct fixture *fixture, const char *name, uint8_t number,
                          int32_t partitions)
{
    struct topic_record topic = {.name = text(name), .topic_id = topic_id(number)};
    int32_t replica = 1;

    metadata_apply(fixture, &topic_record_type, &topic);
    for (int32_t i = 0; i < partitions; i++) {
        struct partition_record record;

        message_init(&partition_record_type, &record);
        record.partition_id = i;
        record.topic_id = topic_id(number);
        record.replicas = record.isr = &replica;
        record.replicas_count = record.isr_count = 1;
        record.leader = 1;
        record.leader_epoch = record.partition_epoch = 0;
        metadata_apply(fixture, &partition_record_type, &record);
    }
    image_refresh(fixture);
}

void fixture_topic_delete(struct fixture *fixture, uint8_t number)
{
    struct remove_topic_record record = {.topic_id = topic_id(number)};

    metadata_apply(fixture, &remove_topic_record_type, &record);
    image_refresh(fixture);
}

/* ---- life ---- */

void fixture_start(struct fixture *fixture)
{
    struct feature_level_record metadata = {.name = text("metadata.version"), .feature_level = 29};

    *fixture = (struct fixture){.allocator = &heap_allocator, .next_producer_id = 1000};
    fixture->logger = (struct logger){.write = log_write, .level = LOG_LEVEL_INFO};
    transaction_options_init(&fixture->options);
    random_init(&fixture->random, 42);
    arena_init(&fixture->arena, &heap_allocator, SIZE_MAX);
    fixture->effects_arena = &fixture->arena;
    assert_int_equal(metadata_state_create(&heap_allocator, NULL, &fixture->metadata), OK);
    fixture->moment = (struct coordinator_moment){
        .now_ms = 1000,
        .wall_ms = INT64_C(1700000000000),
        .random = &fixture->random,
        .producer_id_take = producer_id_take,
        .producer_id_context = fixture,
    };
    metadata_apply(fixture, &feature_level_record_type, &metadata);
    fixture_level(fixture, 2);
    fixture_topic_create(fixture, "t", 1, 4);
    fixture_topic_create(fixture, "u", 2, 2);
    fixture_load(fixture);
}

enum err fixture_replay(struct fixture *fixture, struct transaction_coordinator *coordinator)
{
    struct why why = {0};

    for (size_t i = 0; i < fixture->log_count; i++)
        TRY(transaction_coordinator_replay(coordinator, &fixture->log[i], (int64_t)i, &why));
    return OK;
}

void fixture_load(struct fixture *fixture)
{
    struct coordinator_effects effects;

    transaction_coordinator_release(&fixture->coordinator);
    fixture->parked_count = 0;
    fixture->given_count = 0;
    fixture->failure = transaction_coordinator_create(fixture->allocator, &fixture->options,
                                                      ++fixture->coordinator_epoch,
                                                      &fixture->logger, &fixture->coordinator);
    if (fixture->failure == OK)
        fixture->failure = fixture_replay(fixture, fixture->coordinator);
    if (fixture->failure != OK)
        return;
    if (!fixture->hold_commits)
        fixture->committed_end = (int64_t)fixture->log_count;
    transaction_coordinator_committed(fixture->coordinator, fixture->committed_end);
    coordinator_effects_init(&effects, fixture->effects_arena);
    fixture->failure =
        transaction_coordinator_loaded(fixture->coordinator, &fixture->moment, &effects);
    settle(fixture, &effects);
    fixture_tick(fixture);
}

void fixture_end(struct fixture *fixture)
{
    transaction_coordinator_release(&fixture->coordinator);
    metadata_image_release(&fixture->image);
    metadata_state_release(&fixture->metadata);
    arena_release(&fixture->arena);
    free(fixture->log);
    free(fixture->outcomes);
    free(fixture->parked);
    free(fixture->given);
}

/* ---- the shell ---- */

static void outcome_add(struct fixture *fixture, uint64_t token, void *response, enum err err)
{
    struct outcome *outcome = outcome_put(fixture, token, response, err);

    if (fixture->on_answer)
        fixture->on_answer(fixture, outcome);
}

void fixture_append(struct fixture *fixture, struct slice key, struct slice value)
{
    struct why why = {0};

    fixture->log =
        more(fixture->log, fixture->log_count, &fixture->log_capacity, sizeof *fixture->log);
    fixture->log[fixture->log_count++] = (struct coordinator_record){
        arena_copy(&fixture->arena, key), arena_copy(&fixture->arena, value)};
    if (fixture->failure == OK && fixture->coordinator)
        fixture->failure = transaction_coordinator_replay(fixture->coordinator,
                                                          &fixture->log[fixture->log_count - 1],
                                                          (int64_t)fixture->log_count - 1, &why);
}

static void replies_give(struct fixture *fixture, const struct parked *parked, enum err err)
{
    for (size_t i = 0; i < parked->reply_count; i++)
        outcome_add(fixture, parked->replies[i].token,
                    err == OK ? parked->replies[i].response : NULL,
                    err == OK ? OK : coordinator_error(err));
}

/* The core is told, then those who wait, and then what the core said is done. */
static void write_end(struct fixture *fixture, const struct parked *parked, enum err err)
{
    struct coordinator_effects effects;

    if (fixture->failure != OK)
        return;
    coordinator_effects_init(&effects, fixture->effects_arena);
    if (parked->write != 0)
        fixture->failure = transaction_coordinator_write_ended(fixture->coordinator, parked->write,
                                                               err, &fixture->moment, &effects);
    replies_give(fixture, parked, err);
    settle(fixture, &effects);
}

static void end_advance(struct fixture *fixture, int64_t offset)
{
    if (offset <= fixture->committed_end)
        return;
    if (fixture->on_commit)
        for (int64_t i = fixture->committed_end; i < offset; i++)
            fixture->on_commit(fixture, i);
    fixture->committed_end = offset;
    if (fixture->failure == OK)
        transaction_coordinator_committed(fixture->coordinator, offset);
}

void fixture_commit_one(struct fixture *fixture)
{
    struct parked first;

    if (fixture->parked_count == 0) {
        end_advance(fixture, (int64_t)fixture->log_count);
        fixture_tick(fixture);
        return;
    }
    first = fixture->parked[0];
    memmove(&fixture->parked[0], &fixture->parked[1],
            (fixture->parked_count - 1) * sizeof *fixture->parked);
    fixture->parked_count--;
    end_advance(fixture, first.end_offset);
    if (first.is_over)
        return;
    write_end(fixture, &first, OK);
}

void fixture_commit(struct fixture *fixture)
{
    bool held = fixture->hold_commits;

    fixture->hold_commits = false;
    while (fixture->failure == OK &&
           (fixture->parked_count > 0 || fixture->committed_end < (int64_t)fixture->log_count))
        fixture_commit_one(fixture);
    fixture_tick(fixture);
    fixture->hold_commits = held;
}

void fixture_time_out(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->parked_count; i++) {
        struct parked over = fixture->parked[i];

        if (over.is_over)
            continue;
        fixture->parked[i].is_over = true;
        write_end(fixture, &over, ERR_REQUEST_TIMED_OUT);
        return;
    }
}

static void markers_take(struct fixture *fixture, const struct coordinator_effects *effects)
{
    for (size_t i = 0; i < effects->marker_count; i++) {
        const struct coordinator_markers *markers = &effects->markers[i];

        if (fixture->on_markers)
            fixture->on_markers(fixture, markers);
        for (size_t k = 0; k < markers->partition_count; k++) {
            fixture->given = more(fixture->given, fixture->given_count, &fixture->given_capacity,
                                  sizeof *fixture->given);
            fixture->given[fixture->given_count++] = (struct given){*markers, k, false};
        }
    }
}

/* Fate of a write; OK: it is appended. */
static enum err admission(struct fixture *fixture)
{
    enum err refuse = fixture->refuse;

    fixture->refuse = OK;
    if (refuse == OK && random_below(&fixture->random, 100) < fixture->refuse_percent)
        refuse = ERR_NOT_ENOUGH_REPLICAS;
    return refuse;
}

static void settle(struct fixture *fixture, struct coordinator_effects *effects)
{
    struct parked parked = {.write = effects->write};
    enum err refuse;

    if (fixture->failure != OK)
        return;
    assert_int_equal(effects->write != 0, effects->record_count > 0);
    refuse = effects->write != 0 ? admission(fixture) : OK;
    for (size_t i = 0; i < effects->record_count && refuse == OK && fixture->failure == OK; i++)
        fixture_append(fixture, effects->records[i].key, effects->records[i].value);
    parked.end_offset = (int64_t)fixture->log_count;
    markers_take(fixture, effects);
    for (size_t i = 0; i < effects->reply_count; i++) {
        const struct coordinator_reply *reply = &effects->replies[i];

        assert_non_null(reply->response);
        if (!reply->after_commit)
            outcome_add(fixture, reply->token, reply->response, OK);
        else
            parked.replies[parked.reply_count++] = *reply;
    }
    if (refuse != OK)
        write_end(fixture, &parked, refuse);
    if (refuse == OK && (parked.write != 0 || parked.reply_count > 0)) {
        fixture->parked = more(fixture->parked, fixture->parked_count, &fixture->parked_capacity,
                               sizeof *fixture->parked);
        fixture->parked[fixture->parked_count++] = parked;
        if (!fixture->hold_commits)
            fixture_commit_one(fixture);
    }
    if (fixture->mark_at_once)
        fixture_mark_all(fixture, OK);
}

bool fixture_is_answered(struct fixture *fixture, uint64_t token)
{
    return outcome_find(fixture, token) != NULL;
}

/* ---- markers ---- */

size_t fixture_markers(struct fixture *fixture)
{
    size_t count = 0;

    for (size_t i = 0; i < fixture->given_count; i++)
        count += !fixture->given[i].is_answered;
    return count;
}

void fixture_mark_given(struct fixture *fixture, struct given *given, enum err err)
{
    struct coordinator_effects effects;

    assert_false(given->is_answered);
    given->is_answered = true;
    if (fixture->failure != OK)
        return;
    coordinator_effects_init(&effects, fixture->effects_arena);
    fixture->failure = transaction_coordinator_marked(
        fixture->coordinator, given->markers.ticket, given->index, err, &fixture->moment, &effects);
    settle(fixture, &effects);
    fixture_tick(fixture);
}

void fixture_mark(struct fixture *fixture, const char *topic, int32_t index, enum err err)
{
    for (size_t i = 0; i < fixture->given_count; i++) {
        struct given *given = &fixture->given[i];
        const struct coordinator_partition *partition = &given->markers.partitions[given->index];

        if (given->is_answered || partition->index != index ||
            !slice_equal_text(partition->topic, topic))
            continue;
        fixture_mark_given(fixture, given, err);
        return;
    }
    fail_msg("no marker was given out for %s-%d", topic, index);
}

void fixture_mark_all(struct fixture *fixture, enum err err)
{
    for (size_t i = 0; i < fixture->given_count; i++)
        if (!fixture->given[i].is_answered)
            fixture_mark_given(fixture, &fixture->given[i], err);
}

const char *fixture_markers_text(struct fixture *fixture)
{
    static char out[2048];
    const struct coordinator_markers *markers;
    struct text line;

    text_init(&line, out, sizeof out);
    if (fixture->given_count == 0)
        return "";
    markers = &fixture->given[fixture->given_count - 1].markers;
    text_add(&line, "%s pid=%lld epoch=%d coordinator=%d version=%d",
             markers->is_commit ? "commit" : "abort", (long long)markers->producer_id,
             markers->producer_epoch, markers->coordinator_epoch, markers->transaction_version);
    for (size_t i = 0; i < markers->partition_count; i++)
        text_add(&line, " %.*s-%d", SLICE_ARGS(markers->partitions[i].topic),
                 markers->partitions[i].index);
    return out;
}
