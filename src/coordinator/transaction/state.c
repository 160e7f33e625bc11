/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/state.c: states, the moves between them, and the value that each move gives.
 * transactions.md §4 of the reference; KIP-98, KIP-360, KIP-890.
 *
 *            InitProducerId            partitions
 *    (new) ----------------> Empty ----------------> Ongoing <--+ partitions
 *                            ^   | abort (2)          |    |    |
 *            InitProducerId  |   +-----------+ commit |    | abort, time out, fence
 *    CompleteCommit ---------+               v        v    v
 *    CompleteAbort ----------+         PrepareAbort  PrepareCommit
 *        ^   ^                               |          |
 *        |   +-- all markers --- ------------+          |
 *        +------ all markers ---------------------------+ (CompleteCommit)
 *    Empty, Complete* -- expiration --> Dead (tombstone on its way) --> gone
 *
 * (2) protocol 2 only; from Complete* too.
 */
#include "coordinator/transaction_internal.h"

#include "base/bug.h"

#define TO(state) (1u << (state))
#define AT_REST_TO                                                                     \
    (TO(TRANSACTION_EMPTY) | TO(TRANSACTION_ONGOING) | TO(TRANSACTION_PREPARE_ABORT) | \
     TO(TRANSACTION_DEAD))

static const struct state_row {
    const char *name;
    unsigned moves;
} transaction_states[TRANSACTION_STATE_COUNT] = {
    [TRANSACTION_EMPTY] = {"Empty", AT_REST_TO},
    [TRANSACTION_ONGOING] = {"Ongoing", TO(TRANSACTION_ONGOING) | TO(TRANSACTION_PREPARE_COMMIT) |
                                            TO(TRANSACTION_PREPARE_ABORT)},
    [TRANSACTION_PREPARE_COMMIT] = {"PrepareCommit", TO(TRANSACTION_COMPLETE_COMMIT)},
    [TRANSACTION_PREPARE_ABORT] = {"PrepareAbort", TO(TRANSACTION_COMPLETE_ABORT)},
    [TRANSACTION_COMPLETE_COMMIT] = {"CompleteCommit", AT_REST_TO},
    [TRANSACTION_COMPLETE_ABORT] = {"CompleteAbort", AT_REST_TO},
    [TRANSACTION_DEAD] = {"Dead", 0},
};

const char *transaction_state_name(enum transaction_state state)
{
    ASSERT(state >= 0 && state < TRANSACTION_STATE_COUNT);
    return transaction_states[state].name;
}

bool transaction_may_move(enum transaction_state from, enum transaction_state to)
{
    ASSERT(from >= 0 && from < TRANSACTION_STATE_COUNT);
    return (transaction_states[from].moves & TO(to)) != 0;
}

/* Everything as it is, but for what every move changes. */
static void value_move(const struct transaction_call *call, const struct transaction *t,
                       enum transaction_state state, struct transaction_value *out)
{
    *out = *transaction_latest(t);
    out->epoch = transaction_epoch(t, out);
    out->previous_producer_id = out->producer_id;
    out->update_wall_ms = call->moment->wall_ms;
    out->state = (int8_t)state;
}

static void value_emptied(const struct transaction_call *call, const struct transaction *t,
                          const struct transaction_init *init, struct transaction_value *out)
{
    value_move(call, t, TRANSACTION_EMPTY, out);
    out->timeout_ms = init->timeout_ms;
    out->partitions = NULL;
    out->start_wall_ms = -1;
}

void transaction_value_initialized(const struct transaction_call *call, const struct transaction *t,
                                   const struct transaction_init *init, enum err *told,
                                   struct transaction_value *out)
{
    int16_t epoch, last_epoch;

    *told = OK;
    value_emptied(call, t, init, out);
    epoch = out->epoch;
    last_epoch = out->last_epoch;
    if (transaction_epoch_exhausted(epoch)) {
        /* An epoch was expected that is not the stored one: the reference fails inside. */
        *told = ERR_UNKNOWN_SERVER_ERROR;
    } else if (!init->expects) {
        out->epoch = (int16_t)(epoch + !(BUG_IS(successor_epoch_kept) && epoch >= 0));
        out->last_epoch = -1; /* whoever had the epoch before is fenced */
    } else if (epoch == -1 || init->expected_epoch == epoch) {
        out->epoch = (int16_t)(epoch + 1); /* the same producer goes on after an error (KIP-360) */
        out->last_epoch = epoch;
    } else if (init->expected_epoch != last_epoch) {
        *told = ERR_PRODUCER_FENCED;
    } /* else: it has not got the answer, and asks again */
}

void transaction_value_rotated(const struct transaction_call *call, const struct transaction *t,
                               const struct transaction_init *init, int64_t producer_id,
                               struct transaction_value *out)
{
    value_emptied(call, t, init, out);
    out->last_epoch = init->expects ? out->epoch : -1;
    out->producer_id = producer_id;
    out->epoch = 0;
}

void transaction_value_added(const struct transaction_call *call, const struct transaction *t,
                             int8_t client_version, struct transaction_value *out)
{
    bool begins = transaction_is_at_rest((enum transaction_state)transaction_latest(t)->state);

    value_move(call, t, TRANSACTION_ONGOING, out);
    if (begins)
        out->start_wall_ms = out->update_wall_ms;
    out->client_version = client_version;
}

void transaction_value_ended(const struct transaction_call *call, const struct transaction *t,
                             bool is_commit, int8_t client_version, int64_t next_producer_id,
                             struct transaction_value *out)
{
    bool is_empty = transaction_is_at_rest((enum transaction_state)transaction_latest(t)->state);

    value_move(call, t, is_commit ? TRANSACTION_PREPARE_COMMIT : TRANSACTION_PREPARE_ABORT, out);
    if (is_empty)
        out->start_wall_ms = out->update_wall_ms; /* some time is needed */
    out->client_version = client_version;
    out->next_producer_id = next_producer_id;
    if (client_version < 2)
        return;
    out->last_epoch = out->epoch;
    if (out->epoch == INT16_MAX) {
        ASSERT(!is_commit); /* refused before */
        LOG_ERROR(call->coordinator->logger, TRANSACTION_LOG, "transaction_epoch_at_end",
                  "transactional_id=%.*s producer_id=%lld", SLICE_ARGS(transaction_id(t)),
                  (long long)out->producer_id);
    } else {
        out->epoch++;
    }
}

void transaction_value_outcome(const struct transaction_value *prepare, int64_t *producer_id_out,
                               int16_t *epoch_out)
{
    bool rotates = prepare->client_version >= 2 && prepare->next_producer_id != -1;

    *producer_id_out = rotates ? prepare->next_producer_id : prepare->producer_id;
    *epoch_out = rotates ? 0 : prepare->epoch;
}

void transaction_value_completed(const struct transaction_call *call, const struct transaction *t,
                                 struct transaction_value *out)
{
    const struct transaction_value *prepare = transaction_latest(t);

    value_move(call, t,
               prepare->state == TRANSACTION_PREPARE_COMMIT ? TRANSACTION_COMPLETE_COMMIT
                                                            : TRANSACTION_COMPLETE_ABORT,
               out);
    transaction_value_outcome(prepare, &out->producer_id, &out->epoch);
    out->next_producer_id = -1;
    out->partitions = NULL;
}

void transaction_value_dead(const struct transaction_call *call, const struct transaction *t,
                            struct transaction_value *out)
{
    value_move(call, t, TRANSACTION_DEAD, out);
    out->partitions = NULL;
}
