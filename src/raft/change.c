/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/change.c: what adding, removing and updating voters have in common (KIP-853).
 *
 *        ┌──────┐ add   ┌────────┐ ApiVersions, caught up ┌────────┐
 *        │ none ├──────►│ asking ├───────────────────────►│ adding ├──┐
 *        └──┬───┘       └────────┘                        └────────┘  │ committed, late,
 *           │ remove                          ┌──────────┐            │ or leadership lost
 *           └────────────────────────────────►│ removing ├────────────┴──► none
 *                                             └──────────┘
 * Invariants  1. one change at a time, and none before the previous Voters record is committed: any two
 *             sets that are in force one after the other share a majority.   2. a change is answered once.
 */
#include "raft/raft_internal.h"

static const char *const waiting_for_previous =
    "Request timed out waiting for leader to handle previous voter change request";
static const char *const waiting_for_high_watermark =
    "Request timed out waiting for leader to establish HWM and fence previous voter changes";

void raft_change_reply(struct raft *raft, uint64_t token, enum raft_api api, enum err error,
                       const char *text)
{
    struct raft_reply *reply = raft_emit_reply(raft, token, api, error, SLICE_NULL);

    reply->error_text = text;
}

bool raft_change_pending(const struct raft *raft)
{
    return raft->leadership.change.kind != RAFT_CHANGE_NONE;
}

void raft_change_finish(struct raft *raft, enum err error, const char *text)
{
    struct raft_change *change = &raft->leadership.change;

    if (change->kind != RAFT_CHANGE_NONE && change->token != 0)
        raft_change_reply(raft, change->token,
                          change->kind == RAFT_CHANGE_REMOVE ? RAFT_API_REMOVE_VOTER
                                                             : RAFT_API_ADD_VOTER,
                          error, text);
    raft_block_free(raft, &change->voter);
    *change = (struct raft_change){.deadline_ms = INT64_MAX};
}

void raft_change_committed(struct raft *raft)
{
    const struct raft_change *change = &raft->leadership.change;
    int64_t committed = raft->leadership.high_watermark;

    if ((change->kind == RAFT_CHANGE_ADD || change->kind == RAFT_CHANGE_REMOVE) &&
        committed > change->offset)
        raft_change_finish(raft, OK, NULL);
    /* Also when the request that removed us was given up before. */
    if (!raft_is_voter(raft) && committed > raft_voters_offset(raft)) {
        LOG_INFO(raft->logger, "raft", "leader_removed", "node=%d epoch=%d", raft->options.self.id,
                 raft->epoch);
        raft->leadership.resign_asked = true;
    }
}

/* What stands in the request itself. */
static enum err request_check(const struct raft *raft, const struct raft_request *request,
                              struct raft_replica_key voter, const char **text_out)
{
    bool update = request->api == RAFT_API_UPDATE_VOTER;
    struct raft_endpoints endpoints =
        update ? request->update_voter.endpoints : request->add_voter.endpoints;

    TRY(raft_check_leader_request(raft, update ? request->update_voter.current_leader_epoch
                                               : raft->epoch));
    if (voter.id < 0 || uuid_is_zero(voter.directory_id)) {
        *text_out = request->api == RAFT_API_ADD_VOTER
                        ? "Add voter request didn't include a valid voter"
                        : "Remove voter request didn't include a valid voter";
        return ERR_INVALID_REQUEST;
    }
    if (request->api != RAFT_API_REMOVE_VOTER &&
        !raft_endpoints_find(endpoints, raft->options.default_listener)) {
        *text_out = "Add voter request didn't include the endpoint for the default listener";
        return ERR_INVALID_REQUEST;
    }
    return OK;
}

/* What stands in the way at the moment, whatever the request says. */
static enum err moment_check(const struct raft *raft, const char **text_out)
{
    if (raft_change_pending(raft)) {
        *text_out = waiting_for_previous;
        return ERR_REQUEST_TIMED_OUT;
    }
    if (raft->leadership.high_watermark < 0) {
        *text_out = waiting_for_high_watermark;
        return ERR_REQUEST_TIMED_OUT;
    }
    return OK;
}

bool raft_change_admitted(struct raft *raft, uint64_t token, const struct raft_request *request,
                          struct raft_replica_key voter, struct slice listener)
{
    bool update = request->api == RAFT_API_UPDATE_VOTER;
    const char *text = NULL;
    enum err err = request_check(raft, request, voter, &text);

    if (err == OK && update &&
        (request->update_voter.kraft_version_min < 0 ||
         request->update_voter.kraft_version_max < request->update_voter.kraft_version_min))
        err = ERR_INVALID_REQUEST;
    if (err == OK)
        err = moment_check(raft, &text);
    if (err == OK)
        return true;
    if (update) /* its answer has no text, but names the leader */
        raft_emit_reply(raft, token, RAFT_API_UPDATE_VOTER, err, listener);
    else
        raft_change_reply(raft, token, request->api, err, text);
    return false;
}

bool raft_change_ready(struct raft *raft, uint64_t token, enum raft_api api, const char *verb)
{
    int16_t kraft_version = raft_kraft_version_now(raft);
    int64_t offset = raft_voters_offset(raft);

    if (kraft_version == 0) {
        raft_change_reply(
            raft, token, api, ERR_UNSUPPORTED_VERSION,
            arena_format(&raft->queue.arena,
                         "Cluster doesn't support %s voter because the kraft.version feature is %d",
                         verb, kraft_version));
        return false;
    }
    ASSERT(offset !=
           INT64_MIN); /* the first batch of the epoch brought a set where there was none */
    if (offset >= raft->leadership.high_watermark) {
        raft_change_reply(raft, token, api, ERR_REQUEST_TIMED_OUT,
                          arena_format(&raft->queue.arena,
                                       "Request timed out waiting for voters to commit the latest "
                                       "voter change at Optional[%lld] with HWM %lld",
                                       (long long)offset,
                                       (long long)raft->leadership.high_watermark));
        return false;
    }
    return true;
}

const char *raft_key_text(struct raft *raft, struct raft_replica_key key)
{
    char directory[UUID_TEXT_BYTES];
    const char *text;

    uuid_to_text(key.directory_id, directory);
    text = arena_format(&raft->queue.arena, "ReplicaKey(id=%d, directoryId=%s)", key.id,
                        uuid_is_zero(key.directory_id) ? "<undefined>" : directory);
    return text ? text : "";
}

const char *raft_voters_text(struct raft *raft, struct raft_voters voters)
{
    const char *text = "[";

    for (size_t i = 0; text && i < voters.count; i++)
        text = arena_format(&raft->queue.arena, "%s%s%s", text, i > 0 ? ", " : "",
                            raft_key_text(raft, voters.items[i].key));
    text = text ? arena_format(&raft->queue.arena, "%s]", text) : NULL;
    return text ? text : "";
}
