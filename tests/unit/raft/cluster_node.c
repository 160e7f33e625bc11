/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster_node.c: nodes start and crash, and run the tasks that are due.
 */
#include "cluster_internal.h"

/* ---- starting and crashing ---- */

void node_start(struct cluster *cluster, struct node *node)
{
    const struct cluster_options *options = cluster->options;
    struct raft_options raft_options = raft_options_default();
    struct raft_offset_epoch epochs[256];
    struct raft_snapshot snapshots[SNAPSHOTS_MAX];
    struct raft_voters_at voters[256];
    struct raft_kraft_version_at versions[256];
    struct raft_event event = {.kind = RAFT_EVENT_START};
    struct raft_start *start = &event.start;
    int64_t from = INT64_MIN;

    raft_options.self = bench_key(node->id);
    raft_options.cluster_id = SLICE("cluster");
    raft_options.can_vote = node->can_vote;
    raft_options.endpoints = (struct raft_endpoints){&cluster->endpoints[node->id], 1};
    raft_options.default_listener = SLICE("CONTROLLER");
    raft_options.auto_join = options->auto_join;
    raft_options.fetch_snapshot_bytes_max = 100;
    if (!options->dynamic)
        raft_options.static_voters = (struct raft_voters){cluster->voters, (size_t)options->voters};
    else
        raft_options.bootstrap_servers =
            (struct raft_endpoints){&cluster->endpoints[1], (size_t)options->voters};
    start->quorum_state = node->has_state ? &node->durable_state : NULL;
    start->log_start_offset = node->current.start;
    start->log_end_offset = log_end(&node->current);
    start->epochs = epochs;
    start->snapshots = snapshots;
    start->voters = voters;
    start->kraft_versions = versions;
    for (size_t i = 0; i < node->snapshot_count; i++) {
        const struct kept_snapshot *kept = &node->snapshots[i];

        snapshots[start->snapshot_count++] = kept->snapshot;
        start->voters_count = start->kraft_version_count = 0;
        from = kept->snapshot.id.offset;
        if (kept->voters)
            voters[start->voters_count++] = (struct raft_voters_at){from - 1, *kept->voters};
        if (kept->kraft_version > 0)
            versions[start->kraft_version_count++] =
                (struct raft_kraft_version_at){from - 1, kept->kraft_version};
    }
    for (size_t i = 0; i < node->current.count; i++) {
        const struct entry *entry = &node->current.items[i];

        if (start->epoch_count == 0 || epochs[start->epoch_count - 1].epoch < entry->epoch)
            epochs[start->epoch_count++] = (struct raft_offset_epoch){entry->base, entry->epoch};
        if (entry->base >= from && entry->voters)
            voters[start->voters_count++] = (struct raft_voters_at){entry->last, *entry->voters};
        if (entry->base >= from && entry->kraft_version >= 0)
            versions[start->kraft_version_count++] =
                (struct raft_kraft_version_at){entry->last, entry->kraft_version};
    }
    assert_true(start->epoch_count < 250 && start->voters_count < 250);
    node->up = true;
    node->high_watermark = -1;
    node->leads_epoch = -1;
    assert_int_equal(raft_create(&heap_allocator, &raft_options, NULL, &node->raft), OK);
    feed(cluster, node, event);
}

/* What the disk shows after a power cut: what was flushed, and perhaps more of what was written. */
void node_crash(struct cluster *cluster, struct node *node)
{
    size_t same = 0;

    raft_release(&node->raft);
    node->up = false;
    node->incarnation++;
    node->log_generation++;
    node->flush_free_ms = 0;
    cluster->result.crashes++;
    while (same < node->durable.count && same < node->current.count &&
           node->durable.items[same].data == node->current.items[same].data)
        same++;
    if (node->durable.start == node->current.start && chance(cluster, 50))
        node->current.count =
            (size_t)random_between(&cluster->random, (int64_t)same, (int64_t)node->current.count);
    else
        log_copy(&node->current, &node->durable);
    log_copy(&node->durable, &node->current); /* what recovery finds it syncs */
    for (size_t i = 0; i < cluster->task_count; i++) {
        struct task *task = &cluster->tasks[i];

        if (task->kind == TASK_PERSIST && task->node == node->id &&
            task->incarnation == node->incarnation - 1 && chance(cluster, 50)) {
            node->durable_state = task->state; /* written, but nobody was told */
            node->has_state = true;
        }
    }
}

void nodes_make(struct cluster *cluster)
{
    const struct cluster_options *options = cluster->options;

    cluster->node_count = options->voters + options->standbys + options->brokers;
    for (int id = 1; id <= cluster->node_count; id++) {
        struct node *node = &cluster->nodes[id];

        cluster->endpoints[id] = (struct raft_endpoint){
            SLICE("CONTROLLER"), arena_format_slice(&cluster->arena, "n%d", id),
            (uint16_t)(9090 + id)};
        node->id = id;
        node->can_vote = id <= options->voters + options->standbys;
        if (id > options->voters)
            continue;
        cluster->voters[id - 1] =
            (struct raft_voter){.key = {id, options->dynamic ? bench_directory(id) : UUID_ZERO},
                                .endpoints = {&cluster->endpoints[id], 1},
                                .kraft_version_max = options->dynamic};
    }
    for (int id = 1; id <= cluster->node_count; id++) {
        struct node *node = &cluster->nodes[id];

        if (options->dynamic && id <= options->voters) {
            struct raft_voters voters = {cluster->voters, (size_t)options->voters};

            node->snapshots[0] =
                (struct kept_snapshot){{{0, 0}, SNAPSHOT_BYTES}, 1, copy_voters(cluster, voters)};
            node->snapshot_count = 1;
        }
        node_start(cluster, node);
    }
}

/* ---- running tasks ---- */

static void run_flush(struct cluster *cluster, struct node *node, struct task *task)
{
    struct raft_event event = {.kind = RAFT_EVENT_FLUSHED,
                               .log_end = {task->era, task->end_offset}};

    if (task->log_generation != node->log_generation)
        return;
    log_copy(&node->durable, &task->copy);
    log_trim(&node->durable, node->current.start);
    feed(cluster, node, event);
}

static void run_install(struct cluster *cluster, struct node *node, const struct task *task)
{
    struct kept_snapshot *kept = snapshot_of(cluster->registry, cluster->registry_count, task->id);
    struct raft_event event = {.kind = RAFT_EVENT_INSTALLED};

    assert_non_null(kept);
    if (cluster->chaos && chance(cluster, 10)) {
        feed(cluster, node, (struct raft_event){.kind = RAFT_EVENT_INSTALL_FAILED});
        return;
    }
    cluster->result.installs++;
    node->log_generation++;
    node->current.count = 0;
    node->current.start = task->id.offset;
    log_copy(&node->durable, &node->current);
    node->snapshots[0] = *kept;
    node->snapshot_count = 1;
    event.installed.era = task->era;
    event.installed.snapshot = kept->snapshot;
    event.installed.kraft_version = kept->kraft_version;
    event.installed.voters = kept->voters;
    feed(cluster, node, event);
}

static void run_message(struct cluster *cluster, struct node *node, const struct task *task)
{
    struct raft_event event = {.kind = RAFT_EVENT_REQUEST};

    if (task->is_reply) {
        event.kind = RAFT_EVENT_REPLY;
        event.reply.number = task->number;
        event.reply.reply = &task->reply;
        node->handed_number = task->number;
        node->handed = task->entries;
    } else if (task->request.api == RAFT_API_API_VERSIONS) {
        struct task answer = {.from = node->id,
                              .node = task->from,
                              .incarnation = task->from_incarnation,
                              .number = task->number,
                              .is_reply = true};

        answer.reply.api = RAFT_API_API_VERSIONS;
        answer.reply.versions = (struct raft_versions_answer){true, 0, 1};
        message_add(cluster, &answer);
        return;
    } else {
        GROW(cluster->asked, cluster->asked_capacity, cluster->asked_count);
        cluster->asked[cluster->asked_count++] =
            (struct asked){task->from, task->from_incarnation, task->number};
        event.request.token = cluster->asked_count;
        event.request.listener = SLICE("CONTROLLER");
        event.request.request = &task->request;
    }
    feed(cluster, node, event);
}

void run_task(struct cluster *cluster, struct task *task)
{
    struct node *node = &cluster->nodes[task->node];
    struct raft_event event = {0};
    bool request = task->kind == TASK_MESSAGE && !task->is_reply;

    note(cluster, (uint64_t)cluster->now_ms * 7 + (uint64_t)task->kind);
    if (!node->up || (!request && task->incarnation != node->incarnation))
        return;
    switch (task->kind) {
    case TASK_PERSIST:
        node->durable_state = task->state;
        node->has_state = true;
        event.kind = RAFT_EVENT_PERSISTED;
        event.persisted.generation = task->generation;
        feed(cluster, node, event);
        break;
    case TASK_WRITTEN:
        event.kind = RAFT_EVENT_WRITTEN;
        event.log_end.era = task->era;
        event.log_end.end_offset = task->end_offset;
        feed(cluster, node, event);
        break;
    case TASK_FLUSH:
        run_flush(cluster, node, task);
        break;
    case TASK_CHUNK:
        event.kind = RAFT_EVENT_CHUNK_STORED;
        event.chunk_stored.id = task->id;
        event.chunk_stored.end_position = task->end_offset;
        feed(cluster, node, event);
        break;
    case TASK_INSTALL:
        run_install(cluster, node, task);
        break;
    case TASK_MESSAGE:
        run_message(cluster, node, task);
        break;
    }
}
