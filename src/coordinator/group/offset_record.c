/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/group/offset_record.c: OffsetCommit records: version 4, or version 1 where an old
 * client has named its own retention, which no later version can say.
 */
#include "coordinator/group/offset_internal.h"

#define VERSION_WITH_EXPIRY 1
#define VERSION_WITH_TOPIC_ID 4

enum err offset_record(struct group_call *call, const struct offset_key *key,
                       const struct offset_content *content)
{
    struct offset_commit_key record_key;
    struct offset_commit_value value;

    offset_commit_key_init(&record_key);
    record_key.group = key->group_id;
    record_key.topic = key->topic;
    record_key.partition = key->partition;
    offset_commit_value_init(&value);
    value.offset = content->offset;
    value.leader_epoch = content->leader_epoch;
    value.metadata = slice_is_null(content->metadata) ? SLICE_EMPTY : content->metadata;
    value.commit_timestamp = content->commit_ms;
    value.expire_timestamp = content->expire_ms;
    value.topic_id = content->topic_id;
    return group_record(call, &offset_commit_key_type, &record_key, &offset_commit_value_type,
                        content->expire_ms >= 0 ? VERSION_WITH_EXPIRY : VERSION_WITH_TOPIC_ID,
                        &value);
}

enum err offset_tombstone(struct group_call *call, const struct offset_slot *slot)
{
    struct offset_commit_key key;

    offset_commit_key_init(&key);
    key.group = slot->topic->group->id;
    key.topic = slot->topic->name->name;
    key.partition = slot->partition;
    call->effects->divisible = true;
    return group_record(call, &offset_commit_key_type, &key, &offset_commit_value_type, 0, NULL);
}

bool group_step_is_full(const struct group_call *call)
{
    const struct coordinator_effects *effects = call->effects;

    /* Keys have bounded names; the last one tells the size of those like it. */
    return effects->record_count > 0 &&
           (effects->record_count >= GROUP_STEP_ITEMS ||
            effects->record_count * effects->records[effects->record_count - 1].key.size_bytes >=
                GROUP_STEP_BYTES);
}
