/* SPDX-License-Identifier: Apache-2.0 */
/*
 * raft/kraft_upgrade.c: kraft.version 0 → 1: the voters, as they told of themselves in this leader's
 * epoch, go into the log in one control batch, and the configured set loses its say.
 */
#include "raft/raft_internal.h"

static void outcome(struct raft *raft, const struct raft_event *event, enum err error,
                    const char *text)
{
    struct raft_effect *effect = raft_emit(raft, RAFT_EFFECT_KRAFT_UPGRADED);

    effect->kraft_upgraded.token = event->kraft_upgrade.token;
    effect->kraft_upgraded.error = error;
    effect->kraft_upgraded.error_text = text;
}

static enum err upgrade_check(struct raft *raft, int16_t level, const char **text_out)
{
    const struct raft_block *known = raft->leadership.known_voters;
    int16_t now = raft_kraft_version_now(raft);

    if (level < now) {
        *text_out = arena_format(&raft->queue.arena,
                                 "Invalid upgrade of kraft.version from version %d to %d because "
                                 "the new version is a downgrade",
                                 now, level);
        return ERR_INVALID_UPDATE_VERSION;
    }
    for (size_t i = 0; known && i < known->voters.count; i++) {
        const struct raft_voter *voter = &known->voters.items[i];

        if (voter->kraft_version_min > level || voter->kraft_version_max < level) {
            *text_out = arena_format(&raft->queue.arena,
                                     "Invalid upgrade of kraft.version to %d because not all of "
                                     "the voters support it",
                                     level);
            return ERR_INVALID_UPDATE_VERSION;
        }
        if (uuid_is_zero(voter->key.directory_id)) {
            *text_out = "Directory id must be known for all of the voters";
            return ERR_INVALID_UPDATE_VERSION;
        }
    }
    return known ? OK : ERR_INVALID_UPDATE_VERSION;
}

void raft_kraft_upgrade(struct raft *raft, const struct raft_event *event)
{
    int16_t level = event->kraft_upgrade.kraft_version;
    const char *text = NULL;
    struct raft_voters voters;
    enum err err;

    if (raft->role != RAFT_LEADER || event->kraft_upgrade.epoch != raft->epoch) {
        outcome(raft, event, ERR_NOT_CONTROLLER, NULL);
        return;
    }
    if (level == raft_kraft_version_now(raft)) {
        outcome(raft, event, OK, NULL);
        return;
    }
    err = upgrade_check(raft, level, &text);
    if (err == OK && !event->kraft_upgrade.validate_only) {
        voters = raft_scratch_voters(raft, raft->leadership.known_voters->voters);
        raft_block_free(raft, &raft->leadership.known_voters);
        raft_leader_append_voters(raft, level, &voters);
    }
    outcome(raft, event, err, text);
}
