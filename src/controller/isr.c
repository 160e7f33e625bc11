/* SPDX-License-Identifier: Apache-2.0 */
/*
 * controller/isr.c: what the coming and going of a broker or a directory does to ISRs and leaders. All
 * partitions are looked at, topics by id: a fencing is rare, and a walk over 100,000 partitions takes
 * milliseconds (docs/design/controller.md has the figures), while an index by broker would cost every
 * partition change.
 */
#include "controller/controller_internal.h"

bool broker_is_active(const struct metadata_image *image, int32_t id)
{
    const struct metadata_broker *broker = metadata_image_broker(image, id);

    return broker && !broker->fenced && !broker->in_controlled_shutdown;
}

static int32_t update_broker(const struct isr_update *update)
{
    if (update->leaving != NO_BROKER)
        return update->leaving;
    return update->unclean_shutdown != NO_BROKER ? update->unclean_shutdown : update->arriving;
}

static bool update_concerns(const struct isr_update *update,
                            const struct metadata_partition *partition)
{
    int32_t broker = update_broker(update);

    if (update->leaderless)
        return partition->leader == NO_BROKER;
    if (update->directory) {
        for (size_t i = 0; i < partition->replica_count; i++) {
            if (partition->replicas[i] == broker)
                return uuid_equal(partition->directories[i], *update->directory);
        }
        return false;
    }
    return (update->in_isr && ids_have(partition->isr, partition->isr_count, broker)) ||
           (update->in_elr && ids_have(partition->elr, partition->elr_count, broker));
}

static enum err partition_update(struct call *call, const struct isr_update *update,
                                 const struct metadata_topic *topic,
                                 const struct metadata_partition *partition,
                                 const struct topic_rules *rules)
{
    int32_t gone[2] = {update->leaving, update->unclean_shutdown};
    struct partition_change_record *record;
    struct partition_change change;

    TRY(partition_change_init(&change, call, topic, partition, rules));
    if (rules->unclean)
        change.election = ELECTION_UNCLEAN;
    change.leaving = update->leaving;
    change.arriving = update->arriving;
    change.unclean_shutdown = update->unclean_shutdown;
    TRY(ids_difference(call->arena, partition->isr, partition->isr_count, gone, 2, &change.isr));
    return partition_change_build(&change, call, &record);
}

static enum err topic_update(struct call *call, const struct isr_update *update,
                             const struct metadata_topic *topic)
{
    struct topic_rules rules;
    bool known = false;

    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, i);

        if (!partition || !update_concerns(update, partition))
            continue;
        if (!known)
            TRY(topic_rules_of(call, topic, &rules));
        known = true;
        TRY(partition_update(call, update, topic, partition, &rules));
    }
    return OK;
}

enum err isr_update_run(struct call *call, const struct isr_update *update)
{
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    metadata_walk_start(&walk, call->image, METADATA_TOPIC_IDS);
    while ((topic = metadata_walk_next(&walk)))
        TRY(topic_update(call, update, topic));
    return OK;
}

bool broker_leads(const struct metadata_image *image, int32_t id)
{
    const struct metadata_topic *topic;
    struct metadata_walk walk;

    metadata_walk_start(&walk, image, METADATA_TOPIC_IDS);
    while ((topic = metadata_walk_next(&walk))) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct metadata_partition *partition = metadata_topic_partition(topic, i);

            if (partition && partition->leader == id)
                return true;
        }
    }
    return false;
}

/* `version`: the first that has the field to be set, as Kafka writes it. */
static enum err registration_change_add(struct call *call, const struct metadata_broker *broker,
                                        int16_t version,
                                        struct broker_registration_change_record **out)
{
    TRY(record_add(call, METADATA_RECORD_BROKER_REGISTRATION_CHANGE, version, out));
    (*out)->broker_id = broker->id;
    (*out)->broker_epoch = broker->epoch;
    return OK;
}

enum err broker_fence_records(struct call *call, const struct metadata_broker *broker)
{
    struct isr_update update = {.leaving = broker->id,
                                .arriving = NO_BROKER,
                                .unclean_shutdown = NO_BROKER,
                                .in_isr = true};
    struct broker_registration_change_record *record;

    TRY(isr_update_run(call, &update));
    TRY(registration_change_add(call, broker, 0, &record));
    record->fenced = 1;
    return OK;
}

enum err broker_unfence_records(struct call *call, const struct metadata_broker *broker)
{
    struct isr_update update = {.leaving = NO_BROKER,
                                .arriving = broker->id,
                                .unclean_shutdown = NO_BROKER,
                                .leaderless = true};
    struct broker_registration_change_record *record;

    TRY(registration_change_add(call, broker, 0, &record));
    record->fenced = -1;
    return isr_update_run(call, &update);
}

enum err broker_controlled_shutdown_records(struct call *call, const struct metadata_broker *broker)
{
    struct isr_update update = {.leaving = broker->id,
                                .arriving = NO_BROKER,
                                .unclean_shutdown = NO_BROKER,
                                .in_isr = true};
    struct broker_registration_change_record *record;

    if (!broker->in_controlled_shutdown) {
        TRY(registration_change_add(call, broker, 1, &record));
        record->in_controlled_shutdown = 1;
    }
    return isr_update_run(call, &update);
}

/* A new incarnation registers: what the old one leaves behind. After an unclean stop it may have lost
 * records, so with ELR it is no longer a safe leader (KIP-966). */
enum err broker_shutdown_records(struct call *call, int32_t id, bool clean)
{
    bool unclean = call->elr && !clean;
    struct isr_update update = {.leaving = unclean ? NO_BROKER : id,
                                .arriving = NO_BROKER,
                                .unclean_shutdown = unclean ? id : NO_BROKER,
                                .in_isr = true,
                                .in_elr = unclean};

    return isr_update_run(call, &update);
}

enum err broker_unregister_records(struct call *call, const struct metadata_broker *broker)
{
    struct isr_update update = {.leaving = broker->id,
                                .arriving = NO_BROKER,
                                .unclean_shutdown = NO_BROKER,
                                .in_isr = true,
                                .in_elr = true};
    struct unregister_broker_record *record;

    TRY(isr_update_run(call, &update));
    TRY(record_add(call, METADATA_RECORD_UNREGISTER_BROKER, 0, &record));
    record->broker_id = broker->id;
    record->broker_epoch = broker->epoch;
    return OK;
}

/* ---- directories ---- */

static bool uuids_have(const struct uuid *ids, size_t count, struct uuid id)
{
    for (size_t i = 0; i < count; i++) {
        if (uuid_equal(ids[i], id))
            return true;
    }
    return false;
}

bool broker_has_uncordoned(const struct metadata_broker *broker)
{
    if (broker->directory_count == 0 || !broker->cordoned_known)
        return true;
    for (size_t i = 0; i < broker->directory_count; i++) {
        if (!uuids_have(broker->cordoned, broker->cordoned_count, broker->directories[i]))
            return true;
    }
    return false;
}

struct uuid broker_default_directory(const struct metadata_image *image, int32_t id)
{
    const struct metadata_broker *broker = metadata_image_broker(image, id);

    if (!broker)
        return DIRECTORY_UNASSIGNED; /* somebody else refuses the unknown broker */
    if (broker->directory_count == 0)
        return DIRECTORY_MIGRATING;
    return broker->directory_count == 1 ? broker->directories[0] : DIRECTORY_UNASSIGNED;
}

enum err broker_offline_records(struct call *call, const struct metadata_broker *broker,
                                const struct uuid *offline, size_t offline_count)
{
    struct broker_registration_change_record *record;
    struct uuid *online = ARENA_ARRAY(call->arena, struct uuid, broker->directory_count);
    size_t online_count = 0;

    if (!online)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < broker->directory_count; i++) {
        struct isr_update update = {.leaving = broker->id,
                                    .arriving = NO_BROKER,
                                    .unclean_shutdown = NO_BROKER,
                                    .directory = &broker->directories[i]};

        if (uuids_have(offline, offline_count, broker->directories[i]))
            TRY(isr_update_run(call, &update));
        else
            online[online_count++] = broker->directories[i];
    }
    if (online_count == broker->directory_count)
        return OK;
    TRY(registration_change_add(call, broker, 2, &record));
    record->log_dirs = online;
    record->log_dirs_count = (int32_t)online_count;
    return OK;
}

enum err broker_cordon_records(struct call *call, const struct metadata_broker *broker,
                               const struct uuid *cordoned, size_t cordoned_count)
{
    struct broker_registration_change_record *record;
    bool same = broker->cordoned_known && broker->cordoned_count == cordoned_count;

    for (size_t i = 0; i < cordoned_count; i++)
        same = same && uuids_have(broker->cordoned, broker->cordoned_count, cordoned[i]);
    if (same)
        return OK;
    TRY(registration_change_add(call, broker, 3, &record));
    record->cordoned_log_dirs = (struct uuid *)(uintptr_t)cordoned;
    record->cordoned_log_dirs_count = (int32_t)cordoned_count;
    return OK;
}
