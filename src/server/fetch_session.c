/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/fetch_session.c: fetch sessions and the budget of one reply, as pure rules.
 * docs/design/fetch.md §2.
 */
#include "server/fetch_session.h"

#include "base/assert.h"

struct partition_key {
    struct uuid topic_id;
    struct slice topic;
    int32_t index;
};

static uint64_t key_hash(const struct partition_key *key)
{
    uint64_t hash = slice_is_null(key->topic) ? hash_uuid(key->topic_id) : hash_slice(key->topic);

    return hash_u64(hash + (uint64_t)(uint32_t)key->index);
}

static bool key_matches(const struct hash_map_node *node, const void *wanted)
{
    const struct partition_key *key = wanted;
    const struct fetch_params *params =
        &CONTAINER_OF(node, const struct fetch_session_partition, node)->params;

    return params->index == key->index && slice_equal(params->topic, key->topic) &&
           (!slice_is_null(key->topic) || uuid_equal(params->topic_id, key->topic_id));
}

static bool session_matches(const struct hash_map_node *node, const void *id)
{
    return CONTAINER_OF(node, const struct fetch_session, node)->id == *(const int32_t *)id;
}

/* ---- ids ---- */

static int32_t range_of(int shards)
{
    return INT32_MAX / shards;
}

int fetch_session_shard(int32_t id, int shards)
{
    return id <= 0 ? 0 : MIN((id - 1) / range_of(shards), shards - 1);
}

int32_t fetch_epoch_next(int32_t epoch)
{
    if (epoch < 0)
        return FETCH_EPOCH_FINAL;
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

void fetch_sessions_init(struct fetch_sessions *sessions, int shard, int shards, size_t slots)
{
    *sessions = (struct fetch_sessions){.slots = slots};
    sessions->id_min = shard * range_of(shards) + 1;
    sessions->id_max = (shard + 1) * range_of(shards);
    hash_map_init(&sessions->sessions, &heap_allocator, session_matches);
    list_init(&sessions->used);
}

/* ---- partitions ---- */

static void partition_free(struct fetch_session *session, struct fetch_session_partition *partition)
{
    struct slice name = partition->params.topic;

    hash_map_remove(&session->partitions, &partition->node);
    list_remove(&partition->order);
    if (!slice_is_null(name))
        heap_allocator.release(&heap_allocator, (void *)(uintptr_t)name.data, name.size_bytes + 1);
    ALLOCATOR_DELETE(&heap_allocator, partition);
}

struct fetch_session_partition *fetch_session_find(struct fetch_session *session,
                                                   struct uuid topic_id, struct slice topic,
                                                   int32_t index)
{
    struct partition_key key = {topic_id, topic, index};
    struct hash_map_node *node = hash_map_find(&session->partitions, key_hash(&key), &key);

    return node ? CONTAINER_OF(node, struct fetch_session_partition, node) : NULL;
}

size_t fetch_session_size(const struct fetch_session *session)
{
    return session->partitions.count;
}

enum err fetch_session_put(struct fetch_sessions *sessions, struct fetch_session *session,
                           const struct fetch_params *params)
{
    struct partition_key key = {params->topic_id, params->topic, params->index};
    struct fetch_session_partition *partition =
        fetch_session_find(session, params->topic_id, params->topic, params->index);
    struct slice name = SLICE_NULL;
    uint8_t *copy;

    if (partition) {
        name = partition->params.topic;
        partition->params = *params;
        partition->params.topic = name;
        return OK;
    }
    partition = ALLOCATOR_NEW(&heap_allocator, struct fetch_session_partition);
    if (!partition)
        return ERR_NO_MEMORY;
    partition->params = *params;
    if (!slice_is_null(params->topic)) {
        copy = heap_allocator.allocate(&heap_allocator, params->topic.size_bytes + 1);
        if (!copy) {
            ALLOCATOR_DELETE(&heap_allocator, partition);
            return ERR_NO_MEMORY;
        }
        memcpy(copy, params->topic.data, params->topic.size_bytes);
        partition->params.topic = slice_of(copy, params->topic.size_bytes);
        key.topic = partition->params.topic;
    }
    partition->high_watermark = -1;
    partition->log_start_sent = -1;
    list_push_back(&session->order, &partition->order);
    if (hash_map_insert(&session->partitions, key_hash(&key), &partition->node) != OK) {
        list_remove(&partition->order);
        if (!slice_is_null(key.topic))
            heap_allocator.release(&heap_allocator, (void *)(uintptr_t)key.topic.data,
                                   key.topic.size_bytes + 1);
        ALLOCATOR_DELETE(&heap_allocator, partition);
        return ERR_NO_MEMORY;
    }
    if (!session->has_left)
        sessions->partition_count++;
    return OK;
}

void fetch_session_forget(struct fetch_sessions *sessions, struct fetch_session *session,
                          struct uuid topic_id, struct slice topic, int32_t index)
{
    struct fetch_session_partition *partition = fetch_session_find(session, topic_id, topic, index);

    if (!partition)
        return;
    partition_free(session, partition);
    if (!session->has_left)
        sessions->partition_count--;
}

/* ---- sessions ---- */

static void session_free(struct fetch_session *session)
{
    while (!list_is_empty(&session->order))
        partition_free(
            session, LIST_ITEM(list_first(&session->order), struct fetch_session_partition, order));
    hash_map_release(&session->partitions);
    ALLOCATOR_DELETE(&heap_allocator, session);
}

void fetch_session_use(struct fetch_session *session)
{
    session->uses++;
}

void fetch_session_unuse(struct fetch_session *session)
{
    ASSERT(session->uses > 0);
    if (--session->uses == 0 && session->has_left)
        session_free(session);
}

void fetch_sessions_remove(struct fetch_sessions *sessions, struct fetch_session *session)
{
    if (session->has_left)
        return;
    hash_map_remove(&sessions->sessions, &session->node);
    list_remove(&session->used);
    sessions->partition_count -= session->partitions.count;
    session->has_left = true;
    if (session->uses == 0)
        session_free(session);
}

void fetch_sessions_release(struct fetch_sessions *sessions)
{
    while (!list_is_empty(&sessions->used))
        fetch_sessions_remove(sessions,
                              LIST_ITEM(list_first(&sessions->used), struct fetch_session, used));
    hash_map_release(&sessions->sessions);
}

struct fetch_session *fetch_sessions_find(struct fetch_sessions *sessions, int32_t id)
{
    struct hash_map_node *node =
        hash_map_find(&sessions->sessions, hash_u64((uint64_t)(uint32_t)id), &id);

    return node ? CONTAINER_OF(node, struct fetch_session, node) : NULL;
}

/* Kafka's order of sessions that may give way: followers count more than consumers, then size. */
static int worth_compare(bool privileged_a, size_t size_a, bool privileged_b, size_t size_b)
{
    if (privileged_a != privileged_b)
        return privileged_a ? 1 : -1;
    return (size_a > size_b) - (size_a < size_b);
}

static bool session_is_evictable(const struct fetch_session *session, bool for_privileged,
                                 int64_t now_ms)
{
    return now_ms - session->created_ms > FETCH_SESSION_EVICTION_MS ||
           (for_privileged && !session->is_privileged);
}

static bool room_make(struct fetch_sessions *sessions, bool privileged, size_t size, int64_t now_ms)
{
    struct fetch_session *worst = NULL;
    struct fetch_session *oldest;

    if (sessions->sessions.count < sessions->slots)
        return true;
    if (sessions->slots == 0)
        return false;
    oldest = LIST_ITEM(list_first(&sessions->used), struct fetch_session, used);
    if (now_ms - oldest->used_ms > FETCH_SESSION_EVICTION_MS) {
        fetch_sessions_remove(sessions, oldest);
        sessions->evictions++;
        return true;
    }
    LIST_EACH (node, &sessions->used) {
        struct fetch_session *each = LIST_ITEM(node, struct fetch_session, used);

        if (session_is_evictable(each, privileged, now_ms) &&
            (!worst || worth_compare(each->is_privileged, fetch_session_size(each),
                                     worst->is_privileged, fetch_session_size(worst)) < 0))
            worst = each;
    }
    if (!worst ||
        worth_compare(privileged, size, worst->is_privileged, fetch_session_size(worst)) <= 0)
        return false;
    fetch_sessions_remove(sessions, worst);
    sessions->evictions++;
    return true;
}

struct fetch_session *fetch_sessions_create(struct fetch_sessions *sessions, bool privileged,
                                            bool uses_ids, size_t partition_count, int64_t now_ms,
                                            struct random *random)
{
    struct fetch_session *session;

    if (!room_make(sessions, privileged, partition_count, now_ms))
        return NULL;
    session = ALLOCATOR_NEW(&heap_allocator, struct fetch_session);
    if (!session)
        return NULL;
    do
        session->id = (int32_t)random_between(random, sessions->id_min, sessions->id_max);
    while (fetch_sessions_find(sessions, session->id));
    session->epoch = 1;
    session->is_privileged = privileged;
    session->uses_ids = uses_ids;
    session->created_ms = now_ms;
    session->used_ms = now_ms;
    hash_map_init(&session->partitions, &heap_allocator, key_matches);
    list_init(&session->order);
    if (hash_map_insert(&sessions->sessions, hash_u64((uint64_t)(uint32_t)session->id),
                        &session->node) != OK) {
        ALLOCATOR_DELETE(&heap_allocator, session);
        return NULL;
    }
    list_push_back(&sessions->used, &session->used);
    return session;
}

enum err fetch_sessions_accept(struct fetch_sessions *sessions, int32_t id, int32_t epoch,
                               bool uses_ids, int64_t now_ms, struct fetch_session **out)
{
    struct fetch_session *session = fetch_sessions_find(sessions, id);

    if (!session)
        return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != epoch)
        return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (session->uses_ids != uses_ids)
        return ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    session->epoch = fetch_epoch_next(epoch);
    session->used_ms = now_ms;
    list_remove(&session->used);
    list_push_back(&sessions->used, &session->used);
    *out = session;
    return OK;
}

bool fetch_session_wants(const struct fetch_session_partition *partition,
                         const struct fetch_reply_facts *facts)
{
    return facts->has_records || facts->has_preferred || facts->has_diverging ||
           facts->error_code != 0 || partition->high_watermark != facts->high_watermark ||
           partition->log_start_sent != facts->log_start_offset;
}

bool fetch_session_answers(struct fetch_session *session, struct fetch_session_partition *partition,
                           const struct fetch_reply_facts *facts, bool full)
{
    bool answers = full || fetch_session_wants(partition, facts);

    /* After an error the high watermark is sent again. */
    partition->high_watermark = facts->error_code != 0 ? -1 : facts->high_watermark;
    partition->log_start_sent = facts->log_start_offset;
    if (facts->has_records) {
        list_remove(&partition->order);
        list_push_back(&session->order, &partition->order);
    }
    return answers;
}

size_t fetch_budget_take(struct fetch_budget *budget, int32_t partition_bytes_max, size_t planned,
                         size_t first_batch)
{
    int64_t limit = MIN(budget->left, (int64_t)partition_bytes_max);
    size_t taken;

    limit = MAX(limit, 0);
    if (planned == 0)
        return 0;
    if ((int64_t)first_batch > limit) {
        if (budget->has_first)
            return 0; /* only the first non-empty partition may pass the limits */
        taken = MIN(first_batch, planned); /* a rotted size promises more than the file has */
    } else {
        taken = (size_t)MIN((int64_t)planned, limit);
    }
    budget->has_first = true;
    budget->left -= (int64_t)taken;
    return taken;
}
