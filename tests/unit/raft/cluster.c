/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster.c: see cluster.h: users, misfortune, and the loop that runs what is due.
 */
#include "cluster_internal.h"

/* ---- users and misfortune ---- */

static struct node *any_node(struct cluster *cluster)
{
    return &cluster->nodes[random_between(&cluster->random, 1, cluster->node_count)];
}

static struct node *a_leader(struct cluster *cluster)
{
    struct node *found = NULL;

    for (int id = 1; id <= cluster->node_count; id++)
        if (cluster->nodes[id].up && cluster->nodes[id].leads_epoch >= 0 &&
            (!found || cluster->nodes[id].leads_epoch > found->leads_epoch))
            found = &cluster->nodes[id];
    return found;
}

static void submit(struct cluster *cluster)
{
    for (int id = 1; id <= cluster->node_count; id++) {
        struct node *node = &cluster->nodes[id];
        struct raft_event event = {.kind = RAFT_EVENT_SUBMIT};

        if (!node->up || node->leads_epoch < 0)
            continue;
        event.submit.epoch = node->leads_epoch;
        event.submit.record_count = (int32_t)random_between(&cluster->random, 1, 3);
        event.submit.token = (uint64_t)event.submit.record_count;
        feed(cluster, node, event);
    }
}

static void make_snapshot(struct cluster *cluster, struct node *node)
{
    struct kept_snapshot *kept = &node->snapshots[node->snapshot_count];
    struct raft_event event = {.kind = RAFT_EVENT_SNAPSHOT_MADE};
    const struct entry *last = NULL;
    const struct kept_snapshot *before;

    if (!node->up || node->snapshot_count == SNAPSHOTS_MAX ||
        cluster->registry_count == ARRAY_COUNT(cluster->registry))
        return;
    before = node->snapshot_count > 0 ? &node->snapshots[node->snapshot_count - 1] : NULL;
    *kept = before ? *before : (struct kept_snapshot){0};
    for (size_t i = 0; i < node->durable.count; i++) {
        const struct entry *entry = &node->durable.items[i];

        if (entry->last >= node->high_watermark)
            break;
        last = entry;
        if (entry->voters)
            kept->voters = entry->voters;
        if (entry->kraft_version >= 0)
            kept->kraft_version = entry->kraft_version;
    }
    if (!last || (before && before->snapshot.id.offset >= last->last + 1))
        return;
    kept->snapshot = (struct raft_snapshot){{last->last + 1, last->epoch}, SNAPSHOT_BYTES};
    node->snapshot_count++;
    if (!snapshot_of(cluster->registry, cluster->registry_count, kept->snapshot.id))
        cluster->registry[cluster->registry_count++] = *kept;
    event.snapshot_made = kept->snapshot;
    feed(cluster, node, event);
    if (chance(cluster, 60)) {
        int64_t start = kept->snapshot.id.offset;
        struct kept_snapshot newest = *kept;

        log_trim(&node->current, start);
        log_trim(&node->durable, start);
        node->snapshots[0] = newest;
        node->snapshot_count = 1;
        event.kind = RAFT_EVENT_LOG_CLEANED;
        event.log_cleaned.log_start_offset = start;
        feed(cluster, node, event);
    }
}

static void change_voters(struct cluster *cluster)
{
    struct node *leader = a_leader(cluster);
    struct node *subject = any_node(cluster);
    struct task task = {.from = ADMIN};
    struct raft_status status;

    if (!leader || !subject->can_vote)
        return;
    raft_status(leader->raft, &status);
    /* A leader of two that removes itself and dies before the other has the record leaves nobody who
     * could win: docs/design/raft.md, "What does not heal". */
    if (status.voters.count == 2 && subject == leader)
        return;
    task.node = leader->id;
    task.request.one_partition = task.request.metadata_partition = true;
    task.request.cluster_id = SLICE_NULL;
    if (raft_voters_find(status.voters, subject->id)) {
        task.request.api = RAFT_API_REMOVE_VOTER;
        task.request.remove_voter.voter = bench_key(subject->id);
    } else {
        task.request.api = RAFT_API_ADD_VOTER;
        task.request.add_voter.voter = bench_key(subject->id);
        task.request.add_voter.endpoints =
            (struct raft_endpoints){&cluster->endpoints[subject->id], 1};
        task.request.add_voter.ack_when_committed = chance(cluster, 50);
    }
    message_add(cluster, &task);
}

static void heal(struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
    for (int id = 1; id <= cluster->node_count; id++)
        if (!cluster->nodes[id].up)
            node_start(cluster, &cluster->nodes[id]);
}

static void nemesis(struct cluster *cluster)
{
    struct node *node = any_node(cluster);
    struct node *other = any_node(cluster);
    int64_t what = random_between(&cluster->random, 0, 99);

    if (what < 20 && node->up)
        node_crash(cluster, node);
    else if (what < 50 && !node->up)
        node_start(cluster, node);
    else if (what < 62)
        cluster->cut[node->id][other->id] = !cluster->cut[node->id][other->id];
    else if (what < 68)
        for (int id = 1; id <= cluster->node_count; id++)
            cluster->cut[node->id][id] = cluster->cut[id][node->id] = true;
    else if (what < 76)
        memset(cluster->cut, 0, sizeof cluster->cut);
    else if (what < 86)
        make_snapshot(cluster, node);
    else if (what < 90 && node->up && node->leads_epoch >= 0)
        feed(cluster, node,
             (struct raft_event){.kind = RAFT_EVENT_RESIGN, .resign.epoch = node->leads_epoch});
    else if (cluster->options->changes)
        change_voters(cluster);
}

/* ---- the loop ---- */

static struct task *earliest_task(struct cluster *cluster)
{
    struct task *first = NULL;

    for (size_t i = 0; i < cluster->task_count; i++) {
        struct task *task = &cluster->tasks[i];

        if (!first || task->at_ms < first->at_ms ||
            (task->at_ms == first->at_ms && task->order < first->order))
            first = task;
    }
    return first;
}

static struct node *earliest_timer(struct cluster *cluster)
{
    struct node *first = NULL;

    for (int id = 1; id <= cluster->node_count; id++) {
        struct node *node = &cluster->nodes[id];

        if (node->up && raft_deadline_ms(node->raft) != INT64_MAX &&
            (!first || raft_deadline_ms(node->raft) < raft_deadline_ms(first->raft)))
            first = node;
    }
    return first;
}

static void run_until(struct cluster *cluster, int64_t end_ms)
{
    for (;;) {
        struct task *task = earliest_task(cluster);
        struct node *timer = earliest_timer(cluster);
        int64_t task_ms = task ? task->at_ms : INT64_MAX;
        int64_t timer_ms = timer ? raft_deadline_ms(timer->raft) : INT64_MAX;
        int64_t user_ms =
            MIN(cluster->next_submit_ms, cluster->chaos ? cluster->next_nemesis_ms : INT64_MAX);
        int64_t next_ms = MIN(MIN(task_ms, timer_ms), user_ms);

        if (next_ms > end_ms)
            break;
        cluster->now_ms = MAX(cluster->now_ms, next_ms);
        if (task_ms == next_ms) {
            struct task copy = *task;

            *task = cluster->tasks[--cluster->task_count];
            run_task(cluster, &copy);
            free(copy.copy.items);
        } else if (timer_ms == next_ms) {
            feed(cluster, timer, (struct raft_event){.kind = RAFT_EVENT_TIMEOUT});
        } else if (cluster->next_submit_ms == next_ms) {
            cluster->next_submit_ms += random_between(&cluster->random, 20, 200);
            submit(cluster);
        } else {
            cluster->next_nemesis_ms += random_between(&cluster->random, 20, 600);
            nemesis(cluster);
        }
    }
    cluster->now_ms = end_ms;
}

/* Everything is up and connected: there is a leader, and all hold the same and go on. */
static void check_alive(struct cluster *cluster)
{
    int64_t before = cluster->result.committed;
    struct node *leader;
    struct raft_status status;

    run_until(cluster, cluster->now_ms + 30000);
    cluster->next_submit_ms = INT64_MAX;
    run_until(cluster, cluster->now_ms + 5000);
    leader = a_leader(cluster);
    CHECK(cluster, leader != NULL, "no leader after the faults\n");
    CHECK(cluster, cluster->result.committed > before, "nothing was committed any more\n");
    raft_status(leader->raft, &status);
    for (int id = 1; id <= cluster->node_count; id++) {
        struct raft_status other;

        raft_status(cluster->nodes[id].raft, &other);
        CHECK(cluster,
              other.epoch == status.epoch && other.high_watermark == status.high_watermark &&
                  other.log_end_offset == status.log_end_offset,
              "node %d: epoch %d hw %lld end %lld, leader %d: epoch %d hw %lld end %lld\n", id,
              other.epoch, (long long)other.high_watermark, (long long)other.log_end_offset,
              leader->id, status.epoch, (long long)status.high_watermark,
              (long long)status.log_end_offset);
    }
}

static void cluster_free(struct cluster *cluster)
{
    for (int id = 1; id <= cluster->node_count; id++) {
        raft_release(&cluster->nodes[id].raft);
        free(cluster->nodes[id].current.items);
        free(cluster->nodes[id].durable.items);
    }
    for (size_t i = 0; i < cluster->task_count; i++)
        free(cluster->tasks[i].copy.items);
    free(cluster->tasks);
    free(cluster->asked);
    free(cluster->known);
    free(cluster->truth);
    arena_release(&cluster->arena);
    free(cluster);
}

struct cluster_result cluster_run(const struct cluster_options *options)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    struct cluster_result result;

    assert_non_null(cluster);
    assert_true(options->voters + options->standbys + options->brokers <= NODES_MAX);
    cluster->options = options;
    cluster->chaos = true;
    random_init(&cluster->random, options->seed);
    arena_init(&cluster->arena, &heap_allocator, SIZE_MAX);
    nodes_make(cluster);
    run_until(cluster, options->chaos_ms);
    cluster->chaos = false;
    heal(cluster);
    check_alive(cluster);
    result = cluster->result;
    cluster_free(cluster);
    return result;
}
