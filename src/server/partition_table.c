/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/partition_table.c: from one metadata image to the next: which replicas this shard hosts.
 * docs/design/partitions.md §2.
 */
#include "server/partition_internal.h"

#include "base/assert.h"
#include "base/memory_reserve.h"

/* ---- finding ---- */

struct partition_key {
    struct uuid topic_id;
    int32_t index;
};

static uint64_t partition_hash(struct uuid topic_id, int32_t index)
{
    /* Partitions of a topic are looked for one after the other: so do their buckets lie. */
    return hash_u64(hash_uuid(topic_id)) + (uint64_t)(uint32_t)index;
}

static bool partition_matches(const struct hash_map_node *node, const void *key)
{
    const struct partition_key *wanted = key;
    const struct partition *partition = CONTAINER_OF(node, const struct partition, node);

    return partition->index == wanted->index && uuid_equal(partition->topic_id, wanted->topic_id);
}

static bool topic_matches(const struct hash_map_node *node, const void *key)
{
    return uuid_equal(CONTAINER_OF(node, const struct hosted_topic, node)->id,
                      *(const struct uuid *)key);
}

struct hosted *table_find(struct partition_table *table, struct uuid topic_id, int32_t index)
{
    struct partition_key key = {topic_id, index};
    struct hash_map_node *node =
        hash_map_find(&table->partitions, partition_hash(topic_id, index), &key);

    return node ? CONTAINER_OF(node, struct hosted, partition.node) : NULL;
}

struct partition *partition_find(struct partition_table *table, struct uuid topic_id, int32_t index)
{
    struct hosted *hosted = table_find(table, topic_id, index);

    return hosted && hosted->partition.stage != PARTITION_LEAVING ? &hosted->partition : NULL;
}

static struct hosted_topic *topic_find(struct partition_table *table, struct uuid id)
{
    struct hash_map_node *node = hash_map_find(&table->topics, hash_uuid(id), &id);

    return node ? CONTAINER_OF(node, struct hosted_topic, node) : NULL;
}

void partition_table_each(struct partition_table *table,
                          void (*each)(void *context, struct partition *partition), void *context)
{
    HASH_MAP_EACH_SAFE (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        if (hosted->partition.stage != PARTITION_LEAVING)
            each(context, &hosted->partition);
    }
}

const struct metadata_partition *hosted_metadata(const struct hosted *hosted)
{
    /* A log may end its opening behind the stop of the quorum, which takes its publications along. */
    const struct publication *now = hosted->table->is_stopped ? NULL : hosted->table->after;
    const struct metadata_topic *topic =
        now ? metadata_image_topic_by_id(now->image, hosted->partition.topic_id) : NULL;

    return topic ? metadata_topic_partition(topic, hosted->partition.index) : NULL;
}

bool metadata_directory_of(const struct metadata_partition *partition, int32_t broker_id,
                           struct uuid *out)
{
    for (size_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i] == broker_id) {
            *out = partition->directories[i];
            return true;
        }
    }
    return false;
}

/* ---- creation and end ---- */

static struct hosted_topic *topic_get(struct partition_table *table,
                                      const struct metadata_topic *metadata)
{
    struct hosted_topic *topic = topic_find(table, metadata->id);
    uint8_t *name;

    if (topic)
        return topic;
    topic = SERVER_NEW(struct hosted_topic);
    topic->id = metadata->id;
    name = server_allocate(metadata->name.size_bytes + 1);
    memcpy(name, metadata->name.data, metadata->name.size_bytes);
    topic->name = slice_of(name, metadata->name.size_bytes);
    topic->settings = topic_settings_resolve(table, table->after, topic->name);
    list_init(&topic->partitions);
    ASSERT(hash_map_insert(&table->topics, hash_uuid(topic->id), &topic->node) == OK);
    return topic;
}

static void topic_unuse(struct partition_table *table, struct hosted_topic *topic)
{
    ASSERT(topic->count > 0);
    if (--topic->count > 0)
        return;
    hash_map_remove(&table->topics, &topic->node);
    topic_settings_release(&topic->settings);
    server_free((void *)(uintptr_t)topic->name.data, topic->name.size_bytes + 1);
    SERVER_DELETE(topic);
}

static void hosted_create(struct partition_table *table, const struct metadata_topic *topic,
                          const struct metadata_partition *metadata, struct uuid assigned)
{
    struct hosted *hosted = SERVER_NEW(struct hosted);
    struct partition *partition = &hosted->partition;

    hosted->table = table;
    hosted->topic = topic_get(table, topic);
    hosted->topic->count++;
    list_push_back(&hosted->topic->partitions, &hosted->topic_node);
    list_init(&hosted->queue_node);
    list_init(&hosted->news_node);
    list_init(&hosted->report_node);
    list_init(&hosted->produce_queue);
    list_init(&hosted->verifying);
    hosted->since = table->after->number;
    list_init(&hosted->heirs);
    hosted->assigned = assigned;
    partition->shard = table->shard;
    partition->topic_id = topic->id;
    partition->topic = hosted->topic->name;
    partition->index = metadata->index;
    partition->stage = PARTITION_CLOSED;
    partition->settings = topic_settings_ref(hosted->topic->settings);
    partition->replica.self_id = table_self(table);
    partition->replica.leader_id = metadata->leader;
    partition->replica.leader_epoch = -1;
    partition->replica.partition_epoch = -1;
    partition->replica.epoch_start_offset = -1;
    list_init(&partition->waiting);
    list_init(&partition->commits);
    list_init(&partition->watches);
    ASSERT(hash_map_insert(&table->partitions, partition_hash(topic->id, metadata->index),
                           &partition->node) == OK);
    hosted->is_older = table->is_loading;
    if (table->is_loading)
        return; /* the directories are looked at first */
    names_ask(hosted);
}

void hosted_free(struct hosted *hosted)
{
    struct partition_table *table = hosted->table;
    struct partition *partition = &hosted->partition;

    ASSERT(hosted->uses == 0);
    ASSERT(list_is_empty(&partition->waiting) && list_is_empty(&partition->commits));
    ASSERT(list_is_empty(&hosted->produce_queue) && list_is_empty(&hosted->verifying));
    hosted_ready(hosted);
    directory_report_cancel(hosted);
    list_remove(&hosted->queue_node);
    list_remove(&hosted->news_node);
    list_remove(&hosted->topic_node);
    while (!list_is_empty(&partition->watches))
        list_pop_front(&partition->watches);
    hash_map_remove(&table->partitions, &partition->node);
    topic_settings_release(&partition->settings);
    server_free(partition->replica.peers,
                partition->replica.peer_count * sizeof *partition->replica.peers);
    names_release(table, &hosted->heirs);
    topic_unuse(table, hosted->topic);
    SERVER_DELETE(hosted);
}

/* ---- from image to image ---- */

static void on_partition(void *context, const struct metadata_topic *topic,
                         const struct metadata_partition *before,
                         const struct metadata_partition *after)
{
    struct partition_table *table = context;
    struct hosted *hosted;
    struct uuid assigned;
    bool is_here;

    UNUSED(before);
    if (shard_of_partition(table->shard->node, topic->id, after->index) != table->shard->index)
        return;
    is_here = metadata_directory_of(after, table_self(table), &assigned);
    hosted = table_find(table, topic->id, after->index);
    if (!is_here) {
        if (hosted && hosted->end == HOSTED_STAYS)
            hosted_leave(hosted, HOSTED_DELETED);
        return;
    }
    if (!hosted) {
        hosted_create(table, topic, after, assigned);
        return;
    }
    hosted->assigned = assigned;
    if (hosted->end != HOSTED_STAYS)
        return; /* came back while it goes: hosted_leave_step makes it anew */
    if (hosted->partition.stage == PARTITION_OPEN)
        hosted_role_apply(hosted, after);
    else
        hosted->partition.replica.leader_id = after->leader;
}

static void on_topic_deleted(void *context, const struct metadata_topic *gone)
{
    struct partition_table *table = context;
    struct hosted_topic *topic = topic_find(table, gone->id);
    const struct metadata_topic *next;

    if (!topic)
        return;
    next = metadata_image_topic(table->after->image, gone->name);
    topic->count++; /* it must outlive the walk */
    LIST_EACH_SAFE (node, &topic->partitions) {
        struct hosted *hosted = LIST_ITEM(node, struct hosted, topic_node);
        const struct metadata_partition *heir =
            next ? metadata_topic_partition(next, hosted->partition.index) : NULL;
        struct uuid unused;

        if (heir && metadata_directory_of(heir, table_self(table), &unused))
            hosted->successor_id = next->id;
        hosted_leave(hosted, HOSTED_DELETED);
    }
    topic_unuse(table, topic);
}

static void on_object(void *context, enum metadata_map map, const void *before, const void *after)
{
    struct partition_table *table = context;
    const struct metadata_configs *configs = after ? after : before;
    const struct metadata_topic *metadata;
    struct hosted_topic *topic;

    if (map != METADATA_CONFIGS || configs->resource_type != METADATA_RESOURCE_TOPIC)
        return;
    metadata = metadata_image_topic(table->after->image, configs->resource_name);
    topic = metadata ? topic_find(table, metadata->id) : NULL;
    if (topic)
        topic_settings_changed(table, topic);
}

static void settings_all_changed(struct partition_table *table)
{
    HASH_MAP_EACH (node, &table->topics)
        topic_settings_changed(table, HASH_MAP_ITEM(node, struct hosted_topic, node));
}

/* Whatever the image has become in ways that no partition record shows (ELR switched on). */
static void high_watermarks_update(struct partition_table *table)
{
    HASH_MAP_EACH (node, &table->partitions)
        hosted_high_watermark_update(HASH_MAP_ITEM(node, struct hosted, partition.node));
}

void partition_table_apply(struct partition_table *table, const struct publication *before,
                           const struct publication *after)
{
    struct metadata_diff diff = {
        .context = table,
        .topic_deleted = on_topic_deleted,
        .partition_changed = on_partition,
        .object_changed = on_object,
    };

    if (table->is_stopped)
        return;
    if (!before || before->config != after->config)
        move_rate_apply(&table->moves, table->shard, after->config);
    table->before = before;
    table->after = after;
    table->is_loading = !table->is_first_applied;
    metadata_image_diff(before ? before->image : NULL, after->image, &diff);
    if (before && before->config != after->config)
        settings_all_changed(table);
    if (before && before->elr != after->elr)
        high_watermarks_update(table);
    if (table->is_loading) {
        table_found_apply(table);
        table->is_loading = false;
        table->is_first_applied = true;
        if (table->ready && table->ready_left == 0)
            reactor_defer(table->shard->reactor, &table->ready_turn);
    }
    table->before = NULL;
    names_recheck(table);
    table_open_next(table);
}

/* ---- readiness ---- */

static void ready_tell(struct deferred *deferred)
{
    struct partition_table *table = CONTAINER_OF(deferred, struct partition_table, ready_turn);
    void (*ready)(void *context) = table->ready;

    if (!ready || table->ready_left > 0 || !table->is_first_applied)
        return;
    table->ready = NULL;
    ready(table->ready_context);
}

void hosted_ready(struct hosted *hosted)
{
    struct partition_table *table = hosted->table;

    if (!hosted->must_be_ready)
        return;
    hosted->must_be_ready = false;
    ASSERT(table->ready_left > 0);
    if (--table->ready_left == 0 && table->ready)
        reactor_defer(table->shard->reactor, &table->ready_turn);
}

void partition_table_ready(struct partition_table *table, void (*done)(void *context),
                           void *context)
{
    ASSERT(table->ready == NULL);
    table->ready = done;
    table->ready_context = context;
    if (table->is_first_applied && table->ready_left == 0)
        reactor_defer(table->shard->reactor, &table->ready_turn);
}

/* ---- the table ---- */

enum err partition_table_create(struct shard *shard, struct partition_table **out)
{
    struct partition_table *table = SERVER_NEW(struct partition_table);

    table->shard = shard;
    hash_map_init(&table->partitions, &must_allocator, partition_matches);
    hash_map_init(&table->topics, &must_allocator, topic_matches);
    list_init(&table->queue);
    list_init(&table->early_asks);
    list_init(&table->preferences);
    list_init(&table->strays);
    deferred_init(&table->ready_turn, ready_tell);
    table_news_init(table);
    table_reports_init(table);
    producer_ids_init(table);
    move_rate_init(&table->moves);
    *out = table;
    return OK;
}

void partition_table_directory_failed(struct partition_table *table,
                                      struct log_directory *directory)
{
    HASH_MAP_EACH_SAFE (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        if (hosted->move && hosted->partition.directory != directory)
            partition_move_step(hosted); /* it looks whether its target still lives */
        if (hosted->partition.directory == directory)
            hosted_offline(hosted, ERR_KAFKA_STORAGE_ERROR);
    }
}

void partition_table_stop(struct partition_table *table)
{
    table->is_stopped = true;
    table_reports_stop(table);
    producer_ids_stop(table);
    timer_cancel(table->shard->reactor, &table->moves.timer);
    HASH_MAP_EACH_SAFE (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        partition_move_cancel(hosted, false);
        hosted_ops_fail(hosted, ERR_NOT_LEADER_OR_FOLLOWER);
        hosted_commits_fail(hosted, ERR_NOT_LEADER_OR_FOLLOWER);
        if (hosted->partition.log)
            log_set_listener(hosted->partition.log, NULL);
    }
}

void partition_table_release(struct partition_table **table_pointer)
{
    struct partition_table *table = TAKE(*table_pointer);

    if (!table)
        return;
    table->is_stopped = true;
    HASH_MAP_EACH_SAFE (node, &table->partitions) {
        struct hosted *hosted = HASH_MAP_ITEM(node, struct hosted, partition.node);

        names_release(table, &hosted->heirs);
        hosted->uses = 0; /* whatever ran on it went down with its reactor */
        list_init(&hosted->partition.waiting);
        list_init(&hosted->partition.commits);
        list_init(&hosted->produce_queue);
        list_init(&hosted->verifying);
        hosted_free(hosted);
    }
    names_release(table, &table->early_asks);
    while (!list_is_empty(&table->preferences)) {
        struct directory_preference *preference =
            LIST_ITEM(list_pop_front(&table->preferences), struct directory_preference, node);

        server_free((void *)(uintptr_t)preference->topic.data, preference->topic.size_bytes + 1);
        SERVER_DELETE(preference);
    }
    reactor_defer_cancel(table->shard->reactor, &table->news_turn);
    reactor_defer_cancel(table->shard->reactor, &table->ready_turn);
    hash_map_release(&table->partitions);
    hash_map_release(&table->topics);
    SERVER_DELETE(table);
}
