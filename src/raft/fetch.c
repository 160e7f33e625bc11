/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/fetch.c: the leader's side of replication: where a replica's log ends, whether it agrees with
 * ours, and what it may read (KIP-595). A fetch with nothing to read waits here.
 * Invariants  1. an offset is believed only when the epoch of the record before it is ours.
 *             2. a parked fetch is answered exactly once: by data, by a new high watermark, at its
 *             deadline, or with the end of the leadership.
 */
#include "raft/raft_internal.h"

enum finding { FINDING_VALID, FINDING_DIVERGING, FINDING_SNAPSHOT };

static const struct raft_offset_epoch none = {-1, -1};
static const struct raft_offset_epoch bootstrap_id = {0, 0};

/* A start that a snapshot takes the place of, a log that split from ours, or a valid end. */
static enum finding log_compare(const struct raft *raft, const struct raft_fetch_request *fetch,
                                struct raft_offset_epoch *where_out)
{
    const struct raft_snapshot *latest = raft_snapshot_latest(raft);
    const struct raft_snapshot *earliest = raft_snapshot_earliest(raft);
    int64_t start = raft->log.start_offset;
    int64_t offset = fetch->fetch_offset;
    int32_t epoch = fetch->last_fetched_epoch;

    *where_out = latest ? latest->id : none;
    if (offset == 0 && latest && raft_offset_epoch_compare(latest->id, bootstrap_id) != 0)
        return FINDING_SNAPSHOT;
    if (start == 0 && offset == 0)
        return FINDING_VALID;
    if (earliest && (offset < start || (offset == start && epoch != earliest->id.epoch) ||
                     epoch < earliest->id.epoch))
        return FINDING_SNAPSHOT;
    *where_out = raft_log_epoch_end(raft, epoch);
    if (where_out->epoch != epoch || where_out->offset < offset)
        return FINDING_DIVERGING;
    return FINDING_VALID;
}

static enum err request_check(const struct raft *raft, const struct raft_fetch_request *fetch)
{
    if (fetch->wait_ms_max < 0 || fetch->fetch_offset < 0 || fetch->last_fetched_epoch < 0 ||
        fetch->last_fetched_epoch > fetch->current_leader_epoch)
        return ERR_INVALID_REQUEST;
    TRY(raft_check_leader_request(raft, fetch->current_leader_epoch));
    if (fetch->replica.id == raft->options.self.id)
        return ERR_UNKNOWN_SERVER_ERROR; /* our own id on another machine */
    return OK;
}

/* Notes the replica's progress and fills the answer. */
static void answer_fill(struct raft *raft, const struct raft_fetch_request *fetch,
                        struct raft_fetch_answer *answer)
{
    struct raft_offset_epoch where;
    enum finding finding = log_compare(raft, fetch, &where);

    *answer = (struct raft_fetch_answer){
        .log_start_offset = raft->log.start_offset,
        .diverging = finding == FINDING_DIVERGING ? where : none,
        .snapshot_id = finding == FINDING_SNAPSHOT ? where : none,
        .read_offset = fetch->fetch_offset,
    };
    if (finding == FINDING_VALID) {
        raft_progress_fetched(raft, fetch->replica, fetch->fetch_offset);
        if (fetch->fetch_offset < raft->log.written_offset)
            answer->read_bytes_max = MIN(MAX(fetch->bytes_max, 1), (int32_t)RAFT_BATCH_BYTES_MAX);
    }
    answer->high_watermark = raft->leadership.high_watermark;
}

static bool answer_has_news(const struct raft_fetch_request *fetch,
                            const struct raft_fetch_answer *answer)
{
    return answer->read_bytes_max > 0 || answer->diverging.epoch >= 0 ||
           answer->snapshot_id.epoch >= 0 || fetch->high_watermark < answer->high_watermark;
}

static void park(struct raft *raft, uint64_t token, struct slice listener,
                 const struct raft_fetch_request *fetch)
{
    struct raft_leadership *leadership = &raft->leadership;
    struct raft_endpoint name = {.listener = listener, .host = SLICE_EMPTY};
    struct raft_block *block = raft_block_endpoints(raft, (struct raft_endpoints){&name, 1});

    if (!block || !RAFT_RESERVE(raft, leadership->parked, leadership->parked_capacity,
                                leadership->parked_count)) {
        raft_block_free(raft, &block);
        return;
    }
    leadership->parked[leadership->parked_count++] =
        (struct raft_parked){token, *fetch, block, raft_after(raft, fetch->wait_ms_max)};
}

void raft_fetch_request(struct raft *raft, uint64_t token, struct slice listener,
                        const struct raft_request *request)
{
    const struct raft_fetch_request *fetch = &request->fetch;
    struct raft_fetch_answer answer = {
        .high_watermark = -1, .diverging = none, .snapshot_id = none};
    enum err err = request_check(raft, fetch);

    if (err == OK)
        answer_fill(raft, fetch, &answer);
    if (err == OK && fetch->wait_ms_max > 0 && !answer_has_news(fetch, &answer)) {
        park(raft, token, listener, fetch);
        return;
    }
    raft_emit_reply(raft, token, RAFT_API_FETCH, err, listener)->fetch = answer;
}

static void unpark(struct raft *raft, size_t index)
{
    struct raft_leadership *leadership = &raft->leadership;

    raft_block_free(raft, &leadership->parked[index].listener);
    leadership->parked_count--;
    memmove(leadership->parked + index, leadership->parked + index + 1,
            (leadership->parked_count - index) * sizeof *leadership->parked);
}

static void parked_answer(struct raft *raft, size_t index, enum err err)
{
    const struct raft_parked *parked = &raft->leadership.parked[index];
    struct raft_fetch_answer answer = {
        .high_watermark = -1, .diverging = none, .snapshot_id = none};

    if (err == OK)
        answer_fill(raft, &parked->request, &answer);
    raft_emit_reply(raft, parked->token, RAFT_API_FETCH, err,
                    parked->listener->endpoints.items[0].listener)
        ->fetch = answer;
    unpark(raft, index);
}

void raft_fetches_wake(struct raft *raft)
{
    struct raft_leadership *leadership = &raft->leadership;
    size_t i = 0;

    /* An answer notes progress, which may move the high watermark and wake those left again. */
    while (leadership->wake_fetches) {
        leadership->wake_fetches = false;
        for (i = 0; i < leadership->parked_count;) {
            const struct raft_fetch_request *fetch = &leadership->parked[i].request;

            if (fetch->fetch_offset < raft->log.written_offset ||
                fetch->high_watermark < leadership->high_watermark)
                parked_answer(raft, i, OK);
            else
                i++;
        }
    }
    for (i = 0; i < leadership->parked_count;) {
        if (raft_due(raft, leadership->parked[i].deadline_ms))
            parked_answer(raft, i, OK);
        else
            raft_wake_at(raft, leadership->parked[i++].deadline_ms);
    }
}

void raft_fetches_refuse(struct raft *raft, enum err error)
{
    while (raft->leadership.parked_count > 0)
        parked_answer(raft, 0, error);
}

void raft_fetch_gone(struct raft *raft, uint64_t token)
{
    for (size_t i = 0; i < raft->leadership.parked_count; i++)
        if (raft->leadership.parked[i].token == token) {
            unpark(raft, i);
            return;
        }
}
