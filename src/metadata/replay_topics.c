/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata/replay_topics.c: records about topics and partitions. A change to one partition costs one
 * new partition object, and a copy of its block and of the topic only when an image shares them.
 */
#include "metadata/metadata_internal.h"

#include "protocol/generated/messages.h"

/* More than any topic has; bounds the array of blocks against a wild index. */
#define PARTITION_INDEX_MAX 10000000

static enum err topic_of(struct replay *replay, struct uuid id, const struct metadata_topic **out)
{
    char text[UUID_TEXT_BYTES];

    *out = metadata_image_topic_by_id(&replay->state->current, id);
    if (*out)
        return OK;
    uuid_to_text(id, text);
    return why_set(replay->why, ERR_STATE, "there is no topic with id %s", text);
}

/* ---- storing a partition ---- */

/* Nobody but this state's two trees holds the topic. */
static bool topic_is_own(const struct metadata_image *image, const struct metadata_topic *topic)
{
    return topic->object.reference_count == 2 &&
           tree_path_is_own(image->maps[METADATA_TOPICS], METADATA_TOPICS, topic) &&
           tree_path_is_own(image->maps[METADATA_TOPIC_IDS], METADATA_TOPIC_IDS, topic);
}

/* Gives a topic that may be changed in place and has room for `block_count` blocks. */
static enum err topic_own(struct metadata_state *state, const struct metadata_topic *topic,
                          uint32_t block_count, struct metadata_topic **out)
{
    struct metadata_image *image = &state->current;
    size_t count = tree_count(image->maps[METADATA_TOPICS]);
    struct metadata_topic *copy;

    block_count = MAX(block_count, topic->block_count);
    if (block_count == topic->block_count && topic_is_own(image, topic)) {
        /* The count says that the object is this state's own. */
        *out = (struct metadata_topic *)(uintptr_t)topic;
        return OK;
    }
    TRY(tree_pool_reserve(&state->pool, count, 2));
    copy = object_topic_copy(state->allocator, topic, block_count);
    if (!copy)
        return ERR_NO_MEMORY;
    copy->object.reference_count = 2;
    tree_put(&image->maps[METADATA_TOPICS], METADATA_TOPICS, &state->pool, copy);
    tree_put(&image->maps[METADATA_TOPIC_IDS], METADATA_TOPIC_IDS, &state->pool, copy);
    *out = copy;
    return OK;
}

/* The block may be changed in place afterwards. */
static enum err block_own(struct metadata_state *state, struct metadata_block **slot)
{
    struct metadata_block *block = *slot;

    if (block && block->reference_count == 1)
        return OK;
    block = ALLOCATOR_NEW(state->allocator, struct metadata_block);
    if (!block)
        return ERR_NO_MEMORY;
    block->reference_count = 1;
    if (*slot) {
        for (size_t i = 0; i < METADATA_BLOCK_PARTITIONS; i++) {
            block->partitions[i] = (*slot)->partitions[i];
            if (block->partitions[i])
                block->partitions[i]->object.reference_count++;
        }
        block_release(state->allocator, *slot);
    }
    *slot = block;
    return OK;
}

/* Takes over the reference to `partition`, also on failure. */
static enum err partition_put(struct metadata_state *state, const struct metadata_topic *topic,
                              struct metadata_partition *partition)
{
    uint32_t block = (uint32_t)partition->index / METADATA_BLOCK_PARTITIONS;
    struct metadata_partition **slot;
    struct metadata_topic *own;
    enum err err = topic_own(state, topic, block + 1, &own);

    if (err == OK)
        err = block_own(state, &own->blocks[block]);
    if (err != OK) {
        partition_release(state->allocator, partition);
        return err;
    }
    slot = &own->blocks[block]->partitions[(uint32_t)partition->index % METADATA_BLOCK_PARTITIONS];
    if (*slot) {
        state->current.hash -= (*slot)->object.hash;
        partition_release(state->allocator, *slot);
    } else {
        own->partition_count++;
        state->current.partition_count++;
    }
    *slot = partition;
    state->current.hash += partition->object.hash;
    return OK;
}

static enum err partition_store(struct replay *replay, const struct metadata_topic *topic,
                                const struct metadata_partition *draft)
{
    struct metadata_partition *partition =
        object_partition(replay->state->allocator, topic->id, draft);

    if (!partition)
        return ERR_NO_MEMORY;
    return partition_put(replay->state, topic, partition);
}

/* ---- records ---- */

static enum err topic_add(struct replay *replay, const struct topic_record *record)
{
    struct metadata_state *state = replay->state;
    struct metadata_image *image = &state->current;
    struct metadata_topic draft = {.name = record->name, .id = record->topic_id};
    struct metadata_topic *topic;

    if (metadata_image_topic(image, record->name))
        return why_set(replay->why, ERR_STATE, "topic %.*s is there already",
                       SLICE_ARGS(record->name));
    if (metadata_image_topic_by_id(image, record->topic_id))
        return why_set(replay->why, ERR_STATE, "the id of topic %.*s is taken",
                       SLICE_ARGS(record->name));
    TRY(tree_pool_reserve(&state->pool, tree_count(image->maps[METADATA_TOPICS]), 2));
    topic = object_topic(state->allocator, &draft);
    if (!topic)
        return ERR_NO_MEMORY;
    topic->object.reference_count = 2;
    tree_put(&image->maps[METADATA_TOPICS], METADATA_TOPICS, &state->pool, topic);
    tree_put(&image->maps[METADATA_TOPIC_IDS], METADATA_TOPIC_IDS, &state->pool, topic);
    image->hash += topic->object.hash;
    return OK;
}

/* None, or none but MIGRATING: all of them are. Otherwise one for each replica. */
static enum err directories_of(struct replay *replay, const struct uuid *given, size_t given_count,
                               size_t replica_count, const struct uuid **out)
{
    bool migrating = true;

    for (size_t i = 0; i < given_count; i++)
        migrating = migrating && uuid_equal(given[i], DIRECTORY_MIGRATING);
    if (migrating) {
        *out = ARENA_ARRAY(&replay->state->scratch, struct uuid, replica_count);
        return *out ? OK : ERR_NO_MEMORY;
    }
    if (given_count != replica_count)
        return why_set(replay->why, ERR_STATE, "%zu directories for %zu replicas", given_count,
                       replica_count);
    *out = given;
    return OK;
}

#define COUNT_OF(record, field) ((size_t)MAX((record)->field##_count, 0))

static enum err partition_add(struct replay *replay, const struct partition_record *record)
{
    const struct metadata_topic *topic;
    struct metadata_partition draft = {
        .index = record->partition_id,
        .replicas = record->replicas,
        .replica_count = COUNT_OF(record, replicas),
        .isr = record->isr,
        .isr_count = COUNT_OF(record, isr),
        .elr = record->eligible_leader_replicas,
        .elr_count = COUNT_OF(record, eligible_leader_replicas),
        .last_known_elr = record->last_known_elr,
        .last_known_elr_count = COUNT_OF(record, last_known_elr),
        .removing = record->removing_replicas,
        .removing_count = COUNT_OF(record, removing_replicas),
        .adding = record->adding_replicas,
        .adding_count = COUNT_OF(record, adding_replicas),
        .leader = record->leader,
        .leader_epoch = record->leader_epoch,
        .partition_epoch = record->partition_epoch,
        .recovering = record->leader_recovery_state == 1,
    };

    TRY(topic_of(replay, record->topic_id, &topic));
    if (record->partition_id < 0 || record->partition_id > PARTITION_INDEX_MAX)
        return why_set(replay->why, ERR_STATE, "partition index %d", record->partition_id);
    TRY(directories_of(replay, record->directories, COUNT_OF(record, directories),
                       draft.replica_count, &draft.directories));
    return partition_store(replay, topic, &draft);
}

static void ids_change(const int32_t **ids, size_t *count, const int32_t *new, int32_t new_count)
{
    if (new_count < 0)
        return;
    *ids = new;
    *count = (size_t)new_count;
}

static enum err partition_change(struct replay *replay,
                                 const struct partition_change_record *record)
{
    const struct metadata_topic *topic;
    const struct metadata_partition *partition;
    struct metadata_partition draft;
    const struct uuid *directories;
    size_t directory_count;

    TRY(topic_of(replay, record->topic_id, &topic));
    partition = metadata_topic_partition(topic, record->partition_id);
    if (!partition)
        return why_set(replay->why, ERR_STATE, "topic %.*s has no partition %d",
                       SLICE_ARGS(topic->name), record->partition_id);
    draft = *partition;
    directories = partition->directories;
    directory_count = partition->replica_count;
    if (record->directories_count >= 0) {
        directories = record->directories;
        directory_count = (size_t)record->directories_count;
    }
    ids_change(&draft.replicas, &draft.replica_count, record->replicas, record->replicas_count);
    ids_change(&draft.isr, &draft.isr_count, record->isr, record->isr_count);
    ids_change(&draft.removing, &draft.removing_count, record->removing_replicas,
               record->removing_replicas_count);
    ids_change(&draft.adding, &draft.adding_count, record->adding_replicas,
               record->adding_replicas_count);
    ids_change(&draft.elr, &draft.elr_count, record->eligible_leader_replicas,
               record->eligible_leader_replicas_count);
    ids_change(&draft.last_known_elr, &draft.last_known_elr_count, record->last_known_elr,
               record->last_known_elr_count);
    TRY(directories_of(replay, directories, directory_count, draft.replica_count,
                       &draft.directories));
    if (record->leader != -2) {
        draft.leader = record->leader;
        draft.leader_epoch++;
    }
    if (record->leader_recovery_state != -1)
        draft.recovering = record->leader_recovery_state == 1;
    draft.partition_epoch++;
    return partition_store(replay, topic, &draft);
}

static enum err topic_remove(struct replay *replay, const struct remove_topic_record *record)
{
    struct metadata_state *state = replay->state;
    struct metadata_image *image = &state->current;
    const struct metadata_topic *topic;
    const struct metadata_configs *configs;

    TRY(topic_of(replay, record->topic_id, &topic));
    configs = metadata_image_configs(image, METADATA_RESOURCE_TOPIC, topic->name);
    TRY(tree_pool_reserve(
        &state->pool,
        MAX(tree_count(image->maps[METADATA_TOPICS]), tree_count(image->maps[METADATA_CONFIGS])),
        3));
    if (configs)
        TRY(state_remove(state, METADATA_CONFIGS, configs));
    TRY(tree_pool_reserve(&state->pool, tree_count(image->maps[METADATA_TOPICS]), 2));
    image->hash -= topic->object.hash;
    for (uint32_t i = 0; i < topic->block_count; i++) {
        for (size_t j = 0; topic->blocks[i] && j < METADATA_BLOCK_PARTITIONS; j++) {
            if (topic->blocks[i]->partitions[j])
                image->hash -= topic->blocks[i]->partitions[j]->object.hash;
        }
    }
    image->partition_count -= (size_t)topic->partition_count;
    /* The second removal gives the topic back, so its keys are still there for it. */
    tree_remove(&image->maps[METADATA_TOPICS], METADATA_TOPICS, &state->pool, topic);
    tree_remove(&image->maps[METADATA_TOPIC_IDS], METADATA_TOPIC_IDS, &state->pool, topic);
    return OK;
}

static enum err topic_clear_elr(struct replay *replay, struct uuid topic_id)
{
    const struct metadata_topic *topic;
    uint32_t block_count;

    TRY(topic_of(replay, topic_id, &topic));
    block_count = topic->block_count;
    for (uint32_t i = 0; i < block_count * METADATA_BLOCK_PARTITIONS; i++) {
        const struct metadata_partition *partition = metadata_topic_partition(topic, (int32_t)i);
        struct metadata_partition draft;

        if (!partition || (partition->elr_count == 0 && partition->last_known_elr_count == 0))
            continue;
        draft = *partition;
        draft.elr_count = 0;
        draft.last_known_elr_count = 0;
        draft.partition_epoch++;
        TRY(partition_store(replay, topic, &draft));
        TRY(topic_of(replay, topic_id, &topic)); /* storing may have replaced it */
    }
    return OK;
}

static enum err clear_elr(struct replay *replay, const struct clear_elr_record *record)
{
    struct metadata_image *image = &replay->state->current;
    const struct metadata_topic *topic;
    struct metadata_walk walk;
    size_t count = metadata_image_topic_count(image);
    struct uuid *ids;
    size_t at = 0;

    if (record->topic_name.size_bytes > 0) {
        topic = metadata_image_topic(image, record->topic_name);
        if (!topic)
            return why_set(replay->why, ERR_STATE, "there is no topic %.*s",
                           SLICE_ARGS(record->topic_name));
        return topic_clear_elr(replay, topic->id);
    }
    ids = ARENA_ARRAY(&replay->state->scratch, struct uuid, count);
    if (!ids)
        return ERR_NO_MEMORY;
    metadata_walk_start(&walk, image, METADATA_TOPICS);
    while ((topic = metadata_walk_next(&walk)))
        ids[at++] = topic->id;
    for (at = 0; at < count; at++)
        TRY(topic_clear_elr(replay, ids[at]));
    return OK;
}

/* ClearElr touches many partitions: on failure the state of before comes back whole. */
static enum err clear_elr_whole(struct replay *replay, const struct clear_elr_record *record)
{
    struct metadata_image before;
    enum err err;

    image_share(&before, &replay->state->current);
    err = clear_elr(replay, record);
    if (err == OK) {
        image_drop(&before);
        return OK;
    }
    image_drop(&replay->state->current);
    replay->state->current = before;
    return err;
}

enum err replay_topics(struct replay *replay, const struct metadata_record *record)
{
    switch (record->type->key) {
    case METADATA_RECORD_TOPIC:
        return topic_add(replay, record->message);
    case METADATA_RECORD_PARTITION:
        return partition_add(replay, record->message);
    case METADATA_RECORD_PARTITION_CHANGE:
        return partition_change(replay, record->message);
    case METADATA_RECORD_REMOVE_TOPIC:
        return topic_remove(replay, record->message);
    default:
        return clear_elr_whole(replay, record->message);
    }
}
