/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer state: scripts of appends, each with the answer that a Kafka broker gives.
 */
#include "support.h"

#include "records/control_record.h"
#include "records/producer_state.h"

enum step_kind { DATA, COMMIT, ABORT, VERIFY, EXPIRE, HIGH_WATERMARK, END };

struct step {
    enum step_kind kind;
    int64_t producer_id;
    int16_t epoch;
    int32_t first_sequence;
    int32_t count;
    bool transactional;
    enum append_origin origin;
    int16_t transaction_version;
    int32_t coordinator_epoch;
    enum err expected;
    bool duplicate;
    bool needs_guard; /* verification is on; the guard of the last VERIFY is held */
    int64_t time;
};

struct script {
    const char *name;
    struct step steps[14];
};

struct player {
    struct producer_state state;
    int64_t next_offset;
    uint64_t guard;
};

static void player_init(struct player *player)
{
    memset(player, 0, sizeof *player);
    producer_state_init(&player->state, &heap_allocator);
}

static enum err append_play(struct player *player, const struct step *step, bool *duplicate_out)
{
    bool control = step->kind != DATA;
    int32_t count = control ? 1 : MAX(step->count, 1);
    struct producer_append append = {
        .producer_id = step->producer_id,
        .epoch = step->epoch,
        .first_sequence = control ? -1 : step->first_sequence,
        .last_sequence = control || step->first_sequence < 0
                             ? -1
                             : sequence_add(step->first_sequence, count - 1),
        .first_offset = player->next_offset,
        .last_offset = player->next_offset + count - 1,
        .timestamp = step->time ? step->time : T0,
        .transactional = step->transactional || control,
        .control = control,
        .has_marker = control,
        .is_abort = step->kind == ABORT,
        .coordinator_epoch = step->coordinator_epoch,
    };
    struct producer_update update;
    enum err err;

    producer_update_begin(&update, &player->state, step->origin);
    update.transaction_version = step->transaction_version;
    update.verification_required = step->needs_guard;
    update.guard = player->guard;
    err = producer_update_add(&update, &append, NULL);
    *duplicate_out = err == OK && update.is_duplicate;
    if (err == OK && !update.is_duplicate) {
        producer_update_apply(&update);
        player->next_offset = append.last_offset + 1;
        producer_state_set_end_offset(&player->state, player->next_offset);
    }
    producer_update_discard(&update);
    return err;
}

static void step_play(struct player *player, const struct script *script, size_t at)
{
    const struct step *step = &script->steps[at];
    bool duplicate = false;
    enum err err = OK;

    switch (step->kind) {
    case VERIFY:
        err = producer_verification_begin(&player->state, step->producer_id, step->epoch,
                                          step->first_sequence, step->transaction_version >= 2, T0,
                                          &player->guard);
        break;
    case EXPIRE:
        producer_state_expire(&player->state, step->time, 1000);
        break;
    case HIGH_WATERMARK:
        producer_state_set_high_watermark(&player->state, step->time);
        break;
    default:
        err = append_play(player, step, &duplicate);
    }
    if (err != step->expected || duplicate != step->duplicate)
        fail_msg("%s, step %zu: %s%s", script->name, at, err_name(err),
                 duplicate ? ", duplicate" : "");
}

#define DATA_OK(pid, epoch, seq, n)              \
    {                                            \
        DATA, pid, epoch, seq, n, .expected = OK \
    }
#define DATA_DUPLICATE(pid, epoch, seq, n)                          \
    {                                                               \
        DATA, pid, epoch, seq, n, .expected = OK, .duplicate = true \
    }
#define DATA_ERR(pid, epoch, seq, n, error)         \
    {                                               \
        DATA, pid, epoch, seq, n, .expected = error \
    }
#define TXN(pid, epoch, seq, n, error)                                     \
    {                                                                      \
        DATA, pid, epoch, seq, n, .transactional = true, .expected = error \
    }
#define MARKER(kind, pid, epoch, tv, coordinator, error)                                  \
    {                                                                                     \
        kind, pid, epoch, .origin = APPEND_ORIGIN_COORDINATOR, .transaction_version = tv, \
                          .coordinator_epoch = coordinator, .expected = error             \
    }
#define STOP \
    {        \
        END  \
    }
#define SEQUENCE_ERR ERR_OUT_OF_ORDER_SEQUENCE_NUMBER
#define EPOCH_ERR ERR_INVALID_PRODUCER_EPOCH

static const struct script scripts[] = {
    {"sequences must follow",
     {DATA_OK(1, 0, 0, 1), DATA_OK(1, 0, 1, 3), DATA_ERR(1, 0, 5, 1, SEQUENCE_ERR),
      DATA_ERR(1, 0, 3, 2, SEQUENCE_ERR), DATA_OK(1, 0, 4, 1), STOP}},
    {"an unknown producer may start anywhere", {DATA_OK(1, 5, 77, 1), DATA_OK(1, 5, 78, 1), STOP}},
    {"sequence 0 follows the largest",
     {DATA_OK(1, 0, INT32_MAX, 1), DATA_OK(1, 0, 0, 1), DATA_ERR(1, 0, 2, 1, SEQUENCE_ERR), STOP}},
    {"a batch may wrap inside",
     {DATA_OK(1, 0, INT32_MAX - 1, 4), DATA_DUPLICATE(1, 0, INT32_MAX - 1, 4), DATA_OK(1, 0, 2, 1),
      STOP}},
    {"the last five batches are known again, the sixth is not",
     {DATA_OK(1, 0, 0, 1), DATA_OK(1, 0, 1, 1), DATA_OK(1, 0, 2, 1), DATA_OK(1, 0, 3, 1),
      DATA_OK(1, 0, 4, 1), DATA_DUPLICATE(1, 0, 0, 1), DATA_OK(1, 0, 5, 1),
      DATA_ERR(1, 0, 0, 1, SEQUENCE_ERR), DATA_DUPLICATE(1, 0, 1, 1), DATA_DUPLICATE(1, 0, 5, 1),
      STOP}},
    {"a duplicate has the exact range",
     {DATA_OK(1, 0, 0, 4), DATA_ERR(1, 0, 0, 3, SEQUENCE_ERR), DATA_ERR(1, 0, 0, 5, SEQUENCE_ERR),
      DATA_ERR(1, 0, 1, 3, SEQUENCE_ERR), DATA_DUPLICATE(1, 0, 0, 4), STOP}},
    {"a new epoch starts at 0 and forgets the batches",
     {DATA_OK(1, 0, 0, 1), DATA_ERR(1, 1, 1, 1, SEQUENCE_ERR), DATA_OK(1, 1, 0, 1),
      DATA_ERR(1, 0, 1, 1, EPOCH_ERR), DATA_ERR(1, 0, 0, 1, EPOCH_ERR), DATA_DUPLICATE(1, 1, 0, 1),
      STOP}},
    {"replicas take whatever the leader took",
     {DATA_OK(1, 3, 0, 1),
      {DATA, 1, 3, 9, 1, .origin = APPEND_ORIGIN_REPLICATION},
      {DATA, 1, 2, 5, 1, .origin = APPEND_ORIGIN_REPLICATION},
      {DATA, 1, 2, 5, 1, .origin = APPEND_ORIGIN_REPLICATION},
      DATA_OK(1, 2, 6, 1),
      STOP}},
    {"coordinators write without sequences",
     {{DATA, 1, 0, -1, 2, .origin = APPEND_ORIGIN_COORDINATOR, .transactional = true},
      {DATA, 1, 0, -1, 2, .origin = APPEND_ORIGIN_COORDINATOR, .transactional = true},
      MARKER(COMMIT, 1, 0, 0, 0, OK),
      STOP}},
    {"a plain batch has no place in a transaction",
     {TXN(1, 0, 0, 1, OK), DATA_ERR(1, 0, 1, 1, ERR_INVALID_TXN_STATE), TXN(1, 0, 1, 1, OK),
      MARKER(COMMIT, 1, 0, 0, 0, OK), DATA_OK(1, 0, 2, 1), STOP}},
    {"a marker of an older epoch is refused",
     {TXN(1, 5, 0, 1, OK), MARKER(ABORT, 1, 4, 0, 0, EPOCH_ERR), MARKER(ABORT, 1, 5, 1, 0, OK),
      STOP}},
    {"a marker with a new epoch lets the next sequence be 0",
     {TXN(1, 5, 0, 3, OK), MARKER(ABORT, 1, 6, 0, 0, OK), TXN(1, 6, 3, 1, SEQUENCE_ERR),
      TXN(1, 6, 0, 1, OK), STOP}},
    {"a marker with the same epoch keeps the sequence going",
     {TXN(1, 5, 0, 3, OK), MARKER(COMMIT, 1, 5, 0, 0, OK), TXN(1, 5, 0, 1, SEQUENCE_ERR),
      TXN(1, 5, 3, 1, OK), STOP}},
    {"coordinators fence each other by epoch",
     {MARKER(COMMIT, 1, 0, 0, 5, OK),
      MARKER(COMMIT, 1, 0, 0, 4, ERR_TRANSACTION_COORDINATOR_FENCED),
      MARKER(COMMIT, 1, 0, 0, 5, OK), MARKER(COMMIT, 1, 0, 0, 6, OK), STOP}},
    {"a replica takes an old coordinator's marker",
     {MARKER(COMMIT, 1, 0, 0, 5, OK),
      {COMMIT, 1, 0, .origin = APPEND_ORIGIN_REPLICATION, .coordinator_epoch = 4},
      STOP}},
    {"version 2 wants a bumped epoch",
     {TXN(1, 5, 0, 1, OK), MARKER(COMMIT, 1, 5, 2, 0, EPOCH_ERR),
      MARKER(COMMIT, 1, 4, 2, 0, EPOCH_ERR), MARKER(COMMIT, 1, 6, 2, 0, OK), STOP}},
    {"version 2 takes the same marker again when nothing is open",
     {TXN(1, 5, 0, 1, OK), MARKER(COMMIT, 1, 6, 2, 0, OK), MARKER(COMMIT, 1, 6, 2, 0, OK),
      MARKER(COMMIT, 1, 5, 2, 0, EPOCH_ERR), STOP}},
    {"version 2 takes the same marker again at the last epoch",
     {TXN(1, INT16_MAX, 0, 1, OK), MARKER(ABORT, 1, INT16_MAX, 2, 0, OK), STOP}},
    {"replicas use the old rule for markers",
     {TXN(1, 5, 0, 1, OK),
      {COMMIT, 1, 5, .origin = APPEND_ORIGIN_REPLICATION, .transaction_version = 2},
      STOP}},
    {"a transactional batch needs the guard",
     {{DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true,
       .expected = ERR_INVALID_TXN_STATE},
      {VERIFY, 1, 0, 0},
      {DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true},
      {DATA, 1, 0, 1, 1, .transactional = true, .needs_guard = true}, /* open: no more guard */
      MARKER(COMMIT, 1, 0, 0, 0, OK),
      {DATA, 1, 0, 2, 1, .transactional = true, .needs_guard = true,
       .expected = ERR_INVALID_TXN_STATE},
      STOP}},
    {"an old guard does not pass",
     {{VERIFY, 1, 0, 0},
      MARKER(ABORT, 1, 0, 0, 0, OK), /* takes the verification away */
      {DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true,
       .expected = ERR_INVALID_TXN_STATE},
      {VERIFY, 1, 0, 0},
      {DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true},
      STOP}},
    {"the epoch is told before the guard",
     {DATA_OK(1, 3, 0, 1),
      {DATA, 1, 2, 0, 1, .transactional = true, .needs_guard = true, .expected = EPOCH_ERR},
      {VERIFY, 1, 2, 0, .expected = EPOCH_ERR},
      STOP}},
    {"a version 2 producer without history starts at 0",
     {{VERIFY, 1, 0, 5, .transaction_version = 2},
      {DATA, 1, 0, 5, 1, .transactional = true, .needs_guard = true, .expected = SEQUENCE_ERR},
      {VERIFY, 1, 0, 0, .transaction_version = 2},
      {DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true},
      STOP}},
    {"no batch overtakes the lowest one that asked",
     {DATA_OK(1, 0, 0, 3),
      {VERIFY, 1, 0, 3},
      {VERIFY, 1, 0, 6},
      {DATA, 1, 0, 6, 1, .transactional = true, .needs_guard = true, .expected = SEQUENCE_ERR},
      {DATA, 1, 0, 3, 3, .transactional = true, .needs_guard = true},
      STOP}},
    {"a verification of the next epoch outlives the marker of version 2",
     {TXN(1, 0, 0, 1, OK),
      {VERIFY, 1, 1, 0, .transaction_version = 2},
      MARKER(COMMIT, 1, 1, 2, 0, OK),
      {DATA, 1, 1, 0, 1, .transactional = true, .needs_guard = true},
      STOP}},
    {"an expired producer may start anywhere again",
     {{DATA, 1, 0, 0, 1, .time = T0},
      {EXPIRE, .time = T0 + 999},
      DATA_ERR(1, 0, 7, 1, SEQUENCE_ERR),
      {EXPIRE, .time = T0 + 1000},
      DATA_OK(1, 0, 7, 1),
      STOP}},
    {"an open transaction keeps its producer",
     {TXN(1, 0, 0, 1, OK), {EXPIRE, .time = T0 + 100000}, TXN(1, 0, 7, 1, SEQUENCE_ERR), STOP}},
    {"producers do not know each other",
     {DATA_OK(1, 0, 0, 1), DATA_OK(2, 0, 50, 1), DATA_OK(1, 0, 1, 1), DATA_OK(2, 0, 51, 1),
      DATA_ERR(2, 0, 2, 1, SEQUENCE_ERR), STOP}},
    {"a guard of another verification does not pass",
     {{VERIFY, 2, 0, 0},
      {VERIFY, 1, 0, 0},
      {DATA, 2, 0, 0, 1, .transactional = true, .needs_guard = true,
       .expected = ERR_INVALID_TXN_STATE},
      {DATA, 1, 0, 0, 1, .transactional = true, .needs_guard = true},
      STOP}},
    {"a marker needs no guard",
     {{COMMIT, 1, 0, .origin = APPEND_ORIGIN_COORDINATOR, .needs_guard = true}, STOP}},
    {"nothing is to be verified in an open transaction",
     {TXN(1, 0, 0, 1, OK), {VERIFY, 1, 0, 1}, {VERIFY, 1, 1, 0}, {VERIFY, 1, 0, 1}, STOP}},
    {"an earlier epoch leaves the verification as it is",
     {{VERIFY, 1, 3, 5}, {VERIFY, 1, 2, 1}, STOP}},
    {"a replica takes an old marker",
     {TXN(1, 5, 0, 1, OK),
      {ABORT, 1, 4, .origin = APPEND_ORIGIN_REPLICATION},
      {ABORT, 1, 3, .origin = APPEND_ORIGIN_REPLICATION, .transaction_version = 2},
      STOP}},
    {"version 2 takes the same marker again at the last epoch, and no older one",
     {TXN(1, INT16_MAX, 0, 1, OK), MARKER(ABORT, 1, INT16_MAX, 2, 0, OK),
      MARKER(ABORT, 1, INT16_MAX - 1, 2, 0, EPOCH_ERR), STOP}},
    {"a producer with batches need not begin at 0 when it is verified",
     {TXN(1, 0, 0, 1, OK),
      MARKER(COMMIT, 1, 0, 0, 0, OK),
      {VERIFY, 1, 0, 1, .transaction_version = 2},
      {DATA, 1, 0, 1, 1, .transactional = true, .needs_guard = true},
      STOP}},
    {"a marker of another epoch than the verification's takes it away",
     {TXN(1, 0, 0, 1, OK),
      {VERIFY, 1, 1, 0, .transaction_version = 2},
      MARKER(COMMIT, 1, 0, 0, 0, OK),
      {DATA, 1, 1, 0, 1, .transactional = true, .needs_guard = true,
       .expected = ERR_INVALID_TXN_STATE},
      STOP}},
    {"no producer, no rule", {{DATA, -1, -1, -1, 5}, {DATA, -1, -1, -1, 5}, STOP}},
};

static void each_script_is_answered_as_kafka_answers_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
        struct player player;

        player_init(&player);
        for (size_t at = 0; scripts[i].steps[at].kind != END; at++)
            step_play(&player, &scripts[i], at);
        producer_state_release(&player.state);
    }
}

static void play(struct player *player, struct step step)
{
    struct script script = {"play", {step}};

    step_play(player, &script, 0);
}

static void a_duplicate_tells_the_offsets_and_time_of_the_original(void **state)
{
    struct player player;
    struct producer_update update;
    struct producer_append append = {.producer_id = 1,
                                     .first_sequence = 0,
                                     .last_sequence = 4,
                                     .first_offset = 100,
                                     .last_offset = 104,
                                     .timestamp = T0 + 5};

    (void)state;
    player_init(&player);
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_CLIENT);
    assert_int_equal(producer_update_add(&update, &append, NULL), OK);
    producer_update_apply(&update);
    producer_update_discard(&update);
    append.first_offset = 900;
    append.last_offset = 904;
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_CLIENT);
    assert_int_equal(producer_update_add(&update, &append, NULL), OK);
    assert_true(update.is_duplicate);
    assert_true(update.duplicate_first_offset == 100 && update.duplicate.last_offset == 104 &&
                update.duplicate.timestamp == T0 + 5);
    producer_update_discard(&update);
    producer_state_release(&player.state);
}

/* ---- last stable offset ---- */

static void the_stable_offset_waits_for_marker_and_high_watermark(void **state)
{
    struct player player;
    struct producer_state *s = &player.state;

    (void)state;
    player_init(&player);
    play(&player, (struct step){DATA, -1, -1, -1, 10}); /* 0–9 */
    play(&player, (struct step)TXN(1, 0, 0, 5, OK));    /* 10–14 */
    play(&player, (struct step)TXN(2, 0, 0, 5, OK));    /* 15–19 */
    assert_true(producer_state_first_unstable_offset(s) == 10);
    assert_true(producer_state_last_stable_offset(s, 20, 0) == 10);
    assert_true(producer_state_last_stable_offset(s, 7, 0) == 7);
    assert_true(producer_state_last_stable_offset(s, 20, 12) == 12);
    play(&player, (struct step)MARKER(COMMIT, 1, 0, 0, 0, OK)); /* 20 */
    assert_true(producer_state_first_undecided_offset(s) == 15);
    assert_true(producer_state_last_stable_offset(s, 20, 0) == 10); /* decided, not replicated */
    producer_state_set_high_watermark(s, 20);
    assert_true(producer_state_last_stable_offset(s, 20, 0) == 10);
    producer_state_set_high_watermark(s, 21);
    assert_true(producer_state_last_stable_offset(s, 21, 0) == 15);
    play(&player, (struct step)MARKER(ABORT, 2, 0, 0, 0, OK)); /* 21 */
    producer_state_set_high_watermark(s, 22);
    assert_true(producer_state_first_unstable_offset(s) == -1);
    assert_true(producer_state_last_stable_offset(s, 22, 0) == 22);
    producer_state_release(s);
}

static void a_completed_transaction_knows_its_index_entry(void **state)
{
    struct player player;
    struct producer_update update;
    struct producer_append marker = {.producer_id = 1,
                                     .first_offset = 10,
                                     .last_offset = 10,
                                     .transactional = true,
                                     .control = true,
                                     .has_marker = true,
                                     .is_abort = true,
                                     .timestamp = T0};

    (void)state;
    player_init(&player);
    play(&player, (struct step)TXN(1, 0, 0, 5, OK)); /* 0–4 */
    play(&player, (struct step)TXN(2, 0, 0, 5, OK)); /* 5–9 */
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_COORDINATOR);
    assert_int_equal(producer_update_add(&update, &marker, NULL), OK);
    producer_update_apply(&update);
    assert_int_equal(update.completed_count, 1);
    assert_true(update.completed[0].first_offset == 0 && update.completed[0].last_offset == 10 &&
                update.completed[0].aborted && update.completed[0].last_stable_offset == 5);
    producer_update_discard(&update);
    marker.producer_id = 2;
    marker.first_offset = marker.last_offset = 11;
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_COORDINATOR);
    assert_int_equal(producer_update_add(&update, &marker, NULL), OK);
    producer_update_apply(&update);
    assert_true(update.completed[0].last_stable_offset == 12); /* none open: behind the marker */
    producer_update_discard(&update);
    /* A marker without a transaction has no entry. */
    marker.first_offset = marker.last_offset = 12;
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_COORDINATOR);
    assert_int_equal(producer_update_add(&update, &marker, NULL), OK);
    producer_update_apply(&update);
    assert_int_equal(update.completed_count, 0);
    producer_update_discard(&update);
    producer_state_release(&player.state);
}

static void several_batches_of_one_append_count_together(void **state)
{
    struct player player;
    struct producer_update update;
    int64_t offset = 0;

    (void)state;
    player_init(&player);
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_REPLICATION);
    for (int round = 0; round < 3; round++) {
        struct producer_append data = {.producer_id = 1,
                                       .epoch = (int16_t)round,
                                       .first_sequence = 0,
                                       .last_sequence = 1,
                                       .first_offset = offset,
                                       .last_offset = offset + 1,
                                       .timestamp = T0,
                                       .transactional = true};
        struct producer_append marker = {.producer_id = 1,
                                         .epoch = (int16_t)round,
                                         .first_sequence = -1,
                                         .last_sequence = -1,
                                         .first_offset = offset + 2,
                                         .last_offset = offset + 2,
                                         .timestamp = T0,
                                         .transactional = true,
                                         .control = true,
                                         .has_marker = true,
                                         .is_abort = round == 1};

        assert_int_equal(producer_update_add(&update, &data, NULL), OK);
        assert_int_equal(producer_update_add(&update, &marker, NULL), OK);
        offset += 3;
    }
    assert_null(producer_state_find(&player.state, 1)); /* nothing to see before apply */
    assert_int_equal(producer_state_count(&player.state), 0);
    producer_update_apply(&update);
    assert_int_equal(update.completed_count, 3);
    assert_true(update.completed[1].aborted && update.completed[1].first_offset == 3 &&
                update.completed[1].last_offset == 5);
    producer_update_discard(&update);
    assert_int_equal(producer_state_count(&player.state), 1);
    assert_int_equal(producer_state_find(&player.state, 1)->epoch, 2);
    assert_int_equal(producer_state_find(&player.state, 1)->batch_count, 1);
    assert_true(producer_state_first_unstable_offset(&player.state) == 0);
    producer_state_set_high_watermark(&player.state, 9);
    assert_true(producer_state_first_unstable_offset(&player.state) == -1);
    producer_state_release(&player.state);
}

static void late_transactions_are_told(void **state)
{
    struct player player;

    (void)state;
    player_init(&player);
    assert_false(producer_state_has_late_transaction(&player.state, T0 + 999999999, 1000));
    play(&player, (struct step)TXN(1, 0, 0, 1, OK));
    assert_false(producer_state_has_late_transaction(&player.state, T0 + 301000, 1000));
    assert_true(producer_state_has_late_transaction(&player.state, T0 + 301001, 1000));
    producer_state_release(&player.state);
}

/* ---- snapshot ---- */

static void writer_of(const struct producer_state *state, struct writer *out)
{
    writer_init(out, &heap_allocator, SIZE_MAX);
    assert_int_equal(producer_snapshot_write(state, out), OK);
}

static void a_snapshot_brings_back_the_last_batch_and_the_open_transaction(void **state)
{
    struct player player, loaded;
    const struct producer_entry *entry;
    struct writer file, again;

    (void)state;
    player_init(&player);
    player_init(&loaded);
    play(&player, (struct step)DATA_OK(1, 4, 0, 3));
    play(&player, (struct step)DATA_OK(1, 4, 3, 2));
    play(&player, (struct step)TXN(2, 0, 0, 5, OK));
    play(&player, (struct step)MARKER(COMMIT, 3, 7, 0, 9, OK));
    writer_of(&player.state, &file);
    assert_int_equal(file.size_bytes,
                     PRODUCER_SNAPSHOT_HEADER_BYTES + 3 * PRODUCER_SNAPSHOT_ENTRY_BYTES);
    assert_int_equal(producer_snapshot_read(&loaded.state, writer_slice(&file), 11, T0, 1000, NULL),
                     OK);
    assert_true(loaded.state.end_offset == 11);
    entry = producer_state_find(&loaded.state, 1);
    assert_int_equal(entry->batch_count, 1);
    assert_int_equal(producer_entry_last_sequence(entry), 4);
    assert_int_equal(producer_state_find(&loaded.state, 3)->coordinator_epoch, 9);
    assert_int_equal(producer_state_find(&loaded.state, 3)->batch_count, 0);
    assert_true(producer_state_first_unstable_offset(&loaded.state) == 5);
    assert_true(producer_state_has_open_transaction(&loaded.state, 2, 0));
    writer_of(&loaded.state, &again);
    assert_true(slice_equal(writer_slice(&file), writer_slice(&again)));
    /* The window is one batch now. */
    loaded.next_offset = 11;
    play(&loaded, (struct step)DATA_DUPLICATE(1, 4, 3, 2));
    play(&loaded, (struct step)DATA_ERR(1, 4, 0, 3, SEQUENCE_ERR));
    writer_release(&file);
    writer_release(&again);
    producer_state_release(&player.state);
    producer_state_release(&loaded.state);
}

/* Foreign files alone hold it. */
static void a_producer_that_a_snapshot_names_twice_is_what_its_last_entry_says(void **state)
{
    struct player player, loaded;
    struct writer file, twice;
    struct slice header, entry;

    (void)state;
    player_init(&player);
    player_init(&loaded);
    play(&player, (struct step)TXN(2, 0, 0, 5, OK));
    writer_of(&player.state, &file);
    assert_int_equal(file.size_bytes,
                     PRODUCER_SNAPSHOT_HEADER_BYTES + PRODUCER_SNAPSHOT_ENTRY_BYTES);
    header = slice_sub(writer_slice(&file), 0, PRODUCER_SNAPSHOT_HEADER_BYTES);
    entry = slice_sub(writer_slice(&file), PRODUCER_SNAPSHOT_HEADER_BYTES, SIZE_MAX);
    writer_init(&twice, &heap_allocator, SIZE_MAX);
    writer_bytes(&twice, header.data, header.size_bytes);
    writer_bytes(&twice, entry.data, entry.size_bytes);
    writer_bytes(&twice, entry.data, entry.size_bytes);
    batch_put(twice.data, 6, 4, 2); /* entries */
    batch_put(twice.data, PRODUCER_SNAPSHOT_HEADER_BYTES + PRODUCER_SNAPSHOT_ENTRY_BYTES + 8, 2, 7);
    batch_put(twice.data, PRODUCER_SNAPSHOT_HEADER_BYTES + 2 * PRODUCER_SNAPSHOT_ENTRY_BYTES - 8, 8,
              -1); /* no open transaction */
    batch_put(twice.data, 2, 4, crc32c_by_table(slice_of(twice.data + 6, twice.size_bytes - 6)));
    assert_int_equal(producer_snapshot_read(&loaded.state, writer_slice(&twice), 9, T0, 1000, NULL),
                     OK);
    assert_int_equal(producer_state_count(&loaded.state), 1);
    assert_int_equal(producer_state_find(&loaded.state, 2)->epoch, 7);
    assert_true(producer_state_first_unstable_offset(&loaded.state) < 0);
    assert_false(producer_state_has_open_transaction(&loaded.state, 2, 0));
    writer_release(&file);
    writer_release(&twice);
    producer_state_release(&player.state);
    producer_state_release(&loaded.state);
}

static void expired_producers_are_left_out_at_load(void **state)
{
    struct player player, loaded;
    struct writer file;

    (void)state;
    player_init(&player);
    player_init(&loaded);
    play(&player, (struct step)DATA_OK(1, 0, 0, 1));
    play(&player, (struct step)TXN(2, 0, 0, 1, OK));
    writer_of(&player.state, &file);
    assert_int_equal(
        producer_snapshot_read(&loaded.state, writer_slice(&file), 2, T0 + 1000, 1000, NULL), OK);
    assert_null(producer_state_find(&loaded.state, 1));
    assert_non_null(producer_state_find(&loaded.state, 2));
    writer_release(&file);
    producer_state_release(&player.state);
    producer_state_release(&loaded.state);
}

static void a_damaged_snapshot_is_refused_and_leaves_an_empty_state(void **state)
{
    struct player player, loaded;
    struct writer file;

    (void)state;
    player_init(&player);
    player_init(&loaded);
    play(&player, (struct step)DATA_OK(1, 0, 0, 1));
    play(&player, (struct step)DATA_OK(2, 0, 0, 1));
    writer_of(&player.state, &file);
    for (size_t size = 0; size < file.size_bytes; size++)
        assert_int_equal(
            producer_snapshot_read(&loaded.state, slice_of(file.data, size), 0, T0, 1000, NULL),
            ERR_CORRUPT);
    for (size_t at = 0; at < file.size_bytes; at++)
        for (int bit = 0; bit < 8; bit++) {
            file.data[at] ^= (uint8_t)(1 << bit);
            assert_int_equal(
                producer_snapshot_read(&loaded.state, writer_slice(&file), 0, T0, 1000, NULL),
                ERR_CORRUPT);
            file.data[at] ^= (uint8_t)(1 << bit);
        }
    assert_int_equal(producer_state_count(&loaded.state), 0);
    /* A count beyond the bytes, with a good CRC. */
    batch_put(file.data, 6, 4, 3);
    batch_put(file.data, 2, 4, crc32c_by_table(slice_of(file.data + 6, file.size_bytes - 6)));
    assert_int_equal(producer_snapshot_read(&loaded.state, writer_slice(&file), 0, T0, 1000, NULL),
                     ERR_CORRUPT);
    writer_release(&file);
    producer_state_release(&player.state);
    producer_state_release(&loaded.state);
}

/* ---- markers in batches ---- */

static void a_marker_batch_gives_the_facts_of_its_record(void **state)
{
    struct bench *bench = *state;
    struct end_transaction_marker marker = {.is_abort = true, .coordinator_epoch = 9};
    struct producer_append append;

    writer_reset(&bench->out);
    assert_int_equal(end_transaction_batch_write(&marker, 7, 3, 1000, 2, T0, &bench->out), OK);
    assert_int_equal(bench->out.size_bytes, END_TRANSACTION_BATCH_BYTES);
    assert_int_equal(producer_append_read(writer_slice(&bench->out), &append), OK);
    assert_true(append.producer_id == 1000 && append.epoch == 2 && append.first_offset == 7 &&
                append.timestamp == T0 && append.control && append.has_marker && append.is_abort &&
                append.coordinator_epoch == 9 && append.transactional);
    /* An unknown control type with a producer cannot be read. */
    bench->out.data[69] = 9;
    assert_int_equal(producer_append_read(writer_slice(&bench->out), &append), ERR_INVALID_RECORD);
}

static void a_control_batch_emptied_by_compaction_is_passed_over(void **state)
{
    struct bench *bench = *state;
    struct batch_builder builder;
    struct batch_options options;
    struct producer_append append;
    struct producer_update update;
    struct player player;
    struct slice batch;

    batch_options_init(&options);
    options.control = options.transactional = true;
    options.producer_id = 1;
    options.producer_epoch = 0;
    writer_reset(&bench->out);
    batch_builder_begin(&builder, &options, NULL, NULL, &bench->out);
    assert_int_equal(batch_builder_finish_at(&builder, 0, &batch), OK);
    assert_int_equal(producer_append_read(batch, &append), OK);
    assert_false(append.has_marker);
    player_init(&player);
    producer_update_begin(&update, &player.state, APPEND_ORIGIN_REPLICATION);
    assert_int_equal(producer_update_add(&update, &append, NULL), OK);
    producer_update_apply(&update);
    producer_update_discard(&update);
    assert_int_equal(producer_state_count(&player.state), 0);
    producer_state_release(&player.state);
}

static void an_index_entry_of_another_version_is_refused(void **state)
{
    struct transaction_index_entry entry = {0, 1000, 100, 110, 111}, got;
    uint8_t bytes[TRANSACTION_INDEX_ENTRY_BYTES];

    (void)state;
    transaction_index_entry_write(&entry, bytes);
    assert_int_equal(transaction_index_entry_read(bytes, &got), OK);
    assert_true(got.version == 0 && got.producer_id == 1000 && got.first_offset == 100 &&
                got.last_offset == 110 && got.last_stable_offset == 111);
    bytes[1] = 1;
    assert_int_equal(transaction_index_entry_read(bytes, &got), ERR_CORRUPT);
}

/* ---- refused appends, lack of memory ---- */

/* Random appends; each is tried on a state whose allocations fail here and there. Whatever does not
 * succeed must leave the snapshot bytes and the transactions as they were. */
static void what_does_not_succeed_changes_nothing(void **state)
{
    struct random random;

    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 60; round++) {
        struct allocator_failing failing;
        struct player player;

        allocator_failing_init(&failing, &heap_allocator, -1, false);
        memset(&player, 0, sizeof player);
        producer_state_init(&player.state, &failing.base);
        for (int i = 0; i < 80; i++) {
            bool is_marker = random_chance(&random, 1, 4);
            struct step step = {
                .kind = is_marker ? (random_chance(&random, 1, 2) ? COMMIT : ABORT) : DATA,
                .producer_id = random_between(&random, 1, 6),
                .epoch = (int16_t)random_below(&random, 3),
                .first_sequence = (int32_t)random_below(&random, 6),
                .count = (int32_t)random_between(&random, 1, 3),
                .transactional = random_chance(&random, 1, 2),
                .origin =
                    (enum append_origin)(is_marker                      ? APPEND_ORIGIN_COORDINATOR
                                         : random_chance(&random, 1, 3) ? APPEND_ORIGIN_REPLICATION
                                                                        : APPEND_ORIGIN_CLIENT),
                .coordinator_epoch = (int32_t)random_below(&random, 3),
            };
            struct writer before, after;
            size_t ongoing = player.state.ongoing.count;
            size_t unreplicated = player.state.unreplicated.count;
            bool duplicate;
            enum err err;

            writer_of(&player.state, &before);
            failing.calls = 0;
            failing.fail_at = random_chance(&random, 1, 2) ? (int64_t)random_below(&random, 6) : -1;
            err = append_play(&player, &step, &duplicate);
            failing.fail_at = -1;
            writer_of(&player.state, &after);
            if (err != OK || duplicate) {
                assert_true(slice_equal(writer_slice(&before), writer_slice(&after)));
                assert_int_equal(player.state.ongoing.count, ongoing);
                assert_int_equal(player.state.unreplicated.count, unreplicated);
            }
            writer_release(&before);
            writer_release(&after);
        }
        producer_state_release(&player.state);
        assert_int_equal(failing.bytes_in_use, 0);
    }
}

static void an_idle_producer_costs_little(void **state)
{
    struct allocator_failing counting;
    struct player player;

    (void)state;
    allocator_failing_init(&counting, &heap_allocator, -1, false);
    memset(&player, 0, sizeof player);
    producer_state_init(&player.state, &counting.base);
    for (int64_t id = 0; id < 10000; id++)
        play(&player, (struct step){DATA, id, 0, 0, 1});
    assert_int_equal(producer_state_count(&player.state), 10000);
    assert_true(counting.bytes_in_use < 10000 * 150);
    producer_state_release(&player.state);
    assert_int_equal(counting.bytes_in_use, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_script_is_answered_as_kafka_answers_it),
        cmocka_unit_test(a_duplicate_tells_the_offsets_and_time_of_the_original),
        cmocka_unit_test(the_stable_offset_waits_for_marker_and_high_watermark),
        cmocka_unit_test(a_completed_transaction_knows_its_index_entry),
        cmocka_unit_test(several_batches_of_one_append_count_together),
        cmocka_unit_test(late_transactions_are_told),
        cmocka_unit_test(a_snapshot_brings_back_the_last_batch_and_the_open_transaction),
        cmocka_unit_test(a_producer_that_a_snapshot_names_twice_is_what_its_last_entry_says),
        cmocka_unit_test(expired_producers_are_left_out_at_load),
        cmocka_unit_test(a_damaged_snapshot_is_refused_and_leaves_an_empty_state),
        cmocka_unit_test(a_marker_batch_gives_the_facts_of_its_record),
        cmocka_unit_test(a_control_batch_emptied_by_compaction_is_passed_over),
        cmocka_unit_test(an_index_entry_of_another_version_is_refused),
        cmocka_unit_test(what_does_not_succeed_changes_nothing),
        cmocka_unit_test(an_idle_producer_costs_little),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
