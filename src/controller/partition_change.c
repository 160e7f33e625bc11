/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/partition_change.c: from what somebody wants of a partition (another ISR, other replicas,
 * an election) to the one record that says all that follows: a reassignment that is now complete,
 * eligible leader replicas (KIP-966), the leader, epochs, directories. The steps run in Kafka's order.
 * Invariants  1. without ELR the ISR is never written empty: the last member stays, leaderless.
 *             2. an unclean leader is alone in the ISR and RECOVERING.
 *             3. no record when nothing changes.
 */
#include "controller/controller_internal.h"

struct outcome {
    struct partition_change *change;
    struct call *call;
    struct partition_change_record record;
    struct ids elr;
};

enum err partition_change_init(struct partition_change *change, struct call *call,
                               const struct metadata_topic *topic,
                               const struct metadata_partition *partition,
                               const struct topic_rules *rules)
{
    *change = (struct partition_change){
        .topic = topic,
        .partition = partition,
        .rules = *rules,
        .election = ELECTION_ONLINE,
        .leaving = NO_BROKER,
        .arriving = NO_BROKER,
        .unclean_shutdown = NO_BROKER,
        .recovering = partition->recovering,
        .directory_broker = NO_BROKER,
    };
    TRY(ids_copy(call->arena, partition->isr, partition->isr_count, &change->isr));
    TRY(ids_copy(call->arena, partition->replicas, partition->replica_count, &change->replicas));
    TRY(ids_copy(call->arena, partition->removing, partition->removing_count, &change->removing));
    return ids_copy(call->arena, partition->adding, partition->adding_count, &change->adding);
}

/* ---- who may lead ---- */

/* Active (or about to be), and its replica's directory is online. */
static bool leader_acceptable(const struct outcome *outcome, int32_t id)
{
    const struct partition_change *change = outcome->change;
    const struct metadata_partition *partition = change->partition;
    const struct metadata_broker *broker = metadata_image_broker(outcome->call->image, id);

    if (!broker || id == change->leaving || id == change->unclean_shutdown)
        return false;
    /* One that was told to shut down leads nothing again, even if it is unfenced once more. */
    if (broker->in_controlled_shutdown || (broker->fenced && id != change->arriving))
        return false;
    for (size_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i] == id)
            return metadata_broker_directory_online(broker, partition->directories[i]);
    }
    return false;
}

static bool leader_valid(const struct outcome *outcome, int32_t id)
{
    const struct partition_change *change = outcome->change;
    bool eligible =
        ids_have(change->isr.items, change->isr.count, id) ||
        (change->isr.count == 0 && ids_have(outcome->elr.items, outcome->elr.count, id));

    return eligible && leader_acceptable(outcome, id);
}

/* The last leader of a partition that has lost ISR and ELR. */
static bool leader_last_known(const struct outcome *outcome, int32_t *leader_out)
{
    const struct metadata_partition *partition = outcome->change->partition;

    if (!outcome->call->elr || outcome->elr.count > 0 || outcome->change->isr.count > 0 ||
        partition->last_known_elr_count != 1 ||
        !leader_acceptable(outcome, partition->last_known_elr[0]))
        return false;
    *leader_out = partition->last_known_elr[0];
    return true;
}

static int32_t leader_elect(const struct outcome *outcome, bool *unclean_out)
{
    const struct partition_change *change = outcome->change;
    const struct ids *replicas = &change->replicas;
    int32_t leader;

    *unclean_out = false;
    if (change->election == ELECTION_PREFERRED && replicas->count > 0 &&
        leader_valid(outcome, replicas->items[0]))
        return replicas->items[0];
    if (leader_valid(outcome, change->partition->leader))
        return change->partition->leader;
    for (size_t i = 0; i < replicas->count; i++) {
        if (leader_valid(outcome, replicas->items[i]))
            return replicas->items[i];
    }
    *unclean_out = true;
    if (leader_last_known(outcome, &leader))
        return leader;
    for (size_t i = 0; change->election == ELECTION_UNCLEAN && i < replicas->count; i++) {
        if (leader_acceptable(outcome, replicas->items[i]))
            return replicas->items[i];
    }
    *unclean_out = false;
    return NO_BROKER;
}

/* ---- the steps ---- */

static enum err reassignment_complete(struct outcome *outcome)
{
    struct partition_change *change = outcome->change;
    struct arena *arena = outcome->call->arena;
    struct ids isr, replicas;

    if (change->removing.count == 0 && change->adding.count == 0)
        return OK;
    TRY(ids_difference(arena, change->isr.items, change->isr.count, change->removing.items,
                       change->removing.count, &isr));
    TRY(ids_difference(arena, change->replicas.items, change->replicas.count,
                       change->removing.items, change->removing.count, &replicas));
    if (change->removing.count > 0 && (isr.count == 0 || replicas.count == 0))
        return OK;
    if (!ids_contain(isr.items, isr.count, change->adding.items, change->adding.count))
        return OK;
    /* With fewer replicas than before, wait for all of them: else the ISR could shrink to a few. */
    if (change->adding.count < change->removing.count &&
        !ids_contain(isr.items, isr.count, replicas.items, replicas.count))
        return OK;
    change->isr = isr;
    change->replicas = replicas;
    change->removing.count = 0;
    change->adding.count = 0;
    return OK;
}

static enum err elr_target(struct outcome *outcome)
{
    struct partition_change *change = outcome->change;
    const struct metadata_partition *partition = change->partition;
    struct ids candidates;
    size_t kept = 0;

    if (!outcome->call->elr || change->isr.count >= (size_t)change->rules.min_isr) {
        /* Without the feature the old list stays the target; the record clears it below. */
        if (outcome->call->elr)
            outcome->elr.count = 0;
        return OK;
    }
    candidates.items =
        ARENA_ARRAY(outcome->call->arena, int32_t, partition->isr_count + partition->elr_count);
    candidates.count = 0;
    if (!candidates.items)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < partition->elr_count; i++)
        candidates.items[candidates.count++] = partition->elr[i];
    for (size_t i = 0; i < partition->isr_count; i++) {
        if (!ids_have(candidates.items, candidates.count, partition->isr[i]))
            candidates.items[candidates.count++] = partition->isr[i];
    }
    for (size_t i = 0; i < candidates.count; i++) {
        int32_t id = candidates.items[i];

        /* A replica that a reassignment has removed is nobody's leader any more. */
        if (!ids_have(change->isr.items, change->isr.count, id) &&
            ids_have(change->replicas.items, change->replicas.count, id) &&
            id != change->unclean_shutdown)
            candidates.items[kept++] = id;
    }
    candidates.count = kept;
    ids_sort(&candidates);
    outcome->elr = candidates;
    return OK;
}

static enum err single(struct call *call, int32_t id, struct ids *out)
{
    return ids_copy(call->arena, &id, 1, out);
}

static void record_isr(struct outcome *outcome, const struct ids *isr)
{
    outcome->record.isr = isr->items;
    outcome->record.isr_count = (int32_t)isr->count;
}

static enum err election_apply(struct outcome *outcome)
{
    struct partition_change *change = outcome->change;
    struct call *call = outcome->call;
    bool unclean;
    int32_t leader = leader_elect(outcome, &unclean);
    struct ids alone;

    if (leader == change->partition->leader)
        return OK;
    TRY(single(call, leader, &alone));
    if (ids_have(outcome->elr.items, outcome->elr.count, leader)) {
        change->isr = alone;
        TRY(ids_difference(call->arena, outcome->elr.items, outcome->elr.count, &leader, 1,
                           &outcome->elr));
    }
    outcome->record.leader = leader;
    if (unclean) {
        record_isr(outcome, &alone);
        if (!change->partition->recovering)
            outcome->record.leader_recovery_state = 1;
    }
    return OK;
}

/* Where the ISR was set already, an unclean election has set it. */
static void elr_apply(struct outcome *outcome)
{
    const struct metadata_partition *partition = outcome->change->partition;

    if (outcome->record.isr_count >= 0 || !outcome->call->elr)
        outcome->elr.count = 0;
    if (!ids_equal(outcome->elr.items, outcome->elr.count, partition->elr, partition->elr_count)) {
        outcome->record.eligible_leader_replicas = outcome->elr.items;
        outcome->record.eligible_leader_replicas_count = (int32_t)outcome->elr.count;
    }
}

static void epochs_apply(struct outcome *outcome)
{
    const struct metadata_partition *partition = outcome->change->partition;
    const struct partition_change *change = outcome->change;

    if (outcome->record.leader == -2 && !ids_contain(change->replicas.items, change->replicas.count,
                                                     partition->replicas, partition->replica_count))
        outcome->record.leader = partition->leader;
}

static void isr_apply(struct outcome *outcome)
{
    const struct metadata_partition *partition = outcome->change->partition;
    struct partition_change *change = outcome->change;

    if (outcome->record.isr_count < 0 && (change->isr.count > 0 || outcome->call->elr) &&
        !ids_equal(change->isr.items, change->isr.count, partition->isr, partition->isr_count))
        record_isr(outcome, &change->isr);
    /* Brokers of before 3.6 refetch after a shrink only when the leader epoch moves (KAFKA-15021). */
    if (outcome->call->metadata_version < METADATA_VERSION_NO_EPOCH_BUMP_ON_SHRINK &&
        outcome->record.leader == -2 && outcome->record.isr_count >= 0 &&
        !ids_contain(outcome->record.isr, (size_t)outcome->record.isr_count, partition->isr,
                     partition->isr_count))
        outcome->record.leader = partition->leader;
}

static enum err last_known_apply(struct outcome *outcome)
{
    const struct metadata_partition *partition = outcome->change->partition;
    struct ids last;

    if (!outcome->call->elr)
        return OK;
    if (outcome->record.leader == NO_BROKER && partition->last_known_elr_count == 0) {
        TRY(single(outcome->call, partition->leader, &last));
        outcome->record.last_known_elr = last.items;
        outcome->record.last_known_elr_count = 1;
    } else if (outcome->record.leader >= 0 && partition->last_known_elr_count > 0) {
        outcome->record.last_known_elr_count = 0;
    }
    return OK;
}

static struct uuid replica_directory(const struct outcome *outcome, int32_t id)
{
    const struct partition_change *change = outcome->change;

    if (id == change->directory_broker)
        return change->directory;
    for (size_t i = 0; i < change->partition->replica_count; i++) {
        if (change->partition->replicas[i] == id)
            return change->partition->directories[i];
    }
    return broker_default_directory(outcome->call->image, id);
}

static enum err directories_apply(struct outcome *outcome)
{
    const struct partition_change *change = outcome->change;
    const struct metadata_partition *partition = change->partition;
    struct uuid *directories;
    bool same = change->replicas.count == partition->replica_count;

    if (outcome->call->metadata_version < METADATA_VERSION_DIRECTORIES ||
        change->replicas.count == 0)
        return OK;
    directories = ARENA_ARRAY(outcome->call->arena, struct uuid, change->replicas.count);
    if (!directories)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < change->replicas.count; i++) {
        directories[i] = replica_directory(outcome, change->replicas.items[i]);
        same = same && uuid_equal(directories[i], partition->directories[i]);
    }
    if (same)
        return OK;
    outcome->record.directories = directories;
    outcome->record.directories_count = (int32_t)change->replicas.count;
    return OK;
}

static void assignment_apply(struct outcome *outcome)
{
    const struct partition_change *change = outcome->change;
    const struct metadata_partition *partition = change->partition;

    if (change->replicas.count > 0 && !ids_equal(change->replicas.items, change->replicas.count,
                                                 partition->replicas, partition->replica_count)) {
        outcome->record.replicas = change->replicas.items;
        outcome->record.replicas_count = (int32_t)change->replicas.count;
    }
    if (!ids_equal(change->removing.items, change->removing.count, partition->removing,
                   partition->removing_count)) {
        outcome->record.removing_replicas = change->removing.items;
        outcome->record.removing_replicas_count = (int32_t)change->removing.count;
    }
    if (!ids_equal(change->adding.items, change->adding.count, partition->adding,
                   partition->adding_count)) {
        outcome->record.adding_replicas = change->adding.items;
        outcome->record.adding_replicas_count = (int32_t)change->adding.count;
    }
    if (change->recovering != partition->recovering)
        outcome->record.leader_recovery_state = change->recovering ? 1 : 0;
}

static bool record_is_empty(const struct partition_change_record *record)
{
    return record->isr_count < 0 && record->leader == -2 && record->replicas_count < 0 &&
           record->removing_replicas_count < 0 && record->adding_replicas_count < 0 &&
           record->leader_recovery_state == -1 && record->directories_count < 0 &&
           record->eligible_leader_replicas_count < 0 && record->last_known_elr_count < 0;
}

enum err partition_change_build(struct partition_change *change, struct call *call,
                                struct partition_change_record **record_out)
{
    struct outcome outcome = {.change = change, .call = call};

    *record_out = NULL;
    partition_change_record_init(&outcome.record);
    outcome.record.topic_id = change->topic->id;
    outcome.record.partition_id = change->partition->index;
    TRY(ids_copy(call->arena, change->partition->elr, change->partition->elr_count, &outcome.elr));
    TRY(reassignment_complete(&outcome));
    TRY(elr_target(&outcome));
    TRY(election_apply(&outcome));
    epochs_apply(&outcome);
    elr_apply(&outcome);
    isr_apply(&outcome);
    TRY(last_known_apply(&outcome));
    TRY(directories_apply(&outcome));
    assignment_apply(&outcome);
    if (record_is_empty(&outcome.record))
        return OK;
    TRY(record_add(call, METADATA_RECORD_PARTITION_CHANGE,
                   partition_change_record_version(call->metadata_version), record_out));
    **record_out = outcome.record;
    return OK;
}

struct metadata_partition partition_after(const struct metadata_partition *partition,
                                          const struct partition_change_record *record)
{
    struct metadata_partition after = *partition;

    if (record->isr_count >= 0) {
        after.isr = record->isr;
        after.isr_count = (size_t)record->isr_count;
    }
    if (record->leader != -2) {
        after.leader = record->leader;
        after.leader_epoch++;
    }
    if (record->leader_recovery_state != -1)
        after.recovering = record->leader_recovery_state == 1;
    after.partition_epoch++;
    return after;
}
