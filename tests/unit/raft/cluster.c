/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster.c: see cluster.h. Checked after every step:
 *   M1  one leader per epoch.                 log matching: an (offset, epoch) has one content and one
 *   predecessor.                              M2 what is below a high watermark is never another thing
 *   elsewhere, and every new leader has it.   M4 a vote that is told is durable.
 *   Commit mode: what is committed is on stable storage of a majority of the voters.
 *   High watermarks never fall within a process's life. In the end everything heals and goes on.
 */
#include "cluster.h"

#include "bench.h"

#include "base/hash_map.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

#define NODES_MAX 9
#define SNAPSHOTS_MAX 64
#define SNAPSHOT_BYTES 250
#define ADMIN 0

struct entry { /* one batch */
    int64_t base, last;
    int32_t epoch;
    uint64_t data;
    int16_t kraft_version; /* -1: none */
    const struct raft_voters *voters;
};

struct disk_log {
    struct entry *items;
    size_t count, capacity;
    int64_t start;
};

struct kept_snapshot {
    struct raft_snapshot snapshot;
    int16_t kraft_version;
    const struct raft_voters *voters;
};

struct node {
    int id;
    bool up, can_vote;
    int incarnation;
    struct raft *raft;
    struct raft_quorum_state durable_state;
    bool has_state;
    struct disk_log current, durable;
    int log_generation; /* flushes of an earlier one mean nothing */
    int64_t flush_free_ms;
    struct kept_snapshot snapshots[SNAPSHOTS_MAX];
    size_t snapshot_count;
    int64_t high_watermark;
    int32_t leads_epoch; /* as told by the role effect; -1: does not lead */
    uint64_t handed_number;
    const struct entry *handed;
};

enum task_kind { TASK_PERSIST, TASK_WRITTEN, TASK_FLUSH, TASK_CHUNK, TASK_INSTALL, TASK_MESSAGE };
struct task {
    int64_t at_ms;
    uint64_t order;
    enum task_kind kind;
    int node; /* whose disk, or who receives */
    int incarnation;
    uint64_t generation, era;
    int64_t end_offset;
    int log_generation;
    struct disk_log copy;
    struct raft_quorum_state state;
    struct raft_offset_epoch id;
    /* messages */
    int from, from_incarnation;
    bool is_reply;
    uint64_t number;
    struct raft_request request;
    struct raft_reply reply;
    const struct entry *entries;
};

struct asked {
    int from, incarnation;
    uint64_t number;
};

struct known_batch {
    int64_t base;
    int32_t epoch;
    uint64_t data;
    int64_t previous_last;
    int32_t previous_epoch;
};

struct cluster {
    const struct cluster_options *options;
    struct random random;
    struct arena arena;
    int64_t now_ms;
    struct node nodes[NODES_MAX + 1];
    int node_count;
    struct task *tasks;
    size_t task_count, task_capacity;
    uint64_t next_order, next_data;
    struct asked *asked;
    size_t asked_count, asked_capacity;
    int leaders[4096]; /* by epoch */
    struct known_batch *known;
    size_t known_count, known_capacity;
    struct entry *truth; /* everything that was ever committed, in order */
    size_t truth_count, truth_capacity;
    struct kept_snapshot registry[4 * SNAPSHOTS_MAX];
    size_t registry_count;
    bool cut[NODES_MAX + 1][NODES_MAX + 1];
    bool chaos;
    int64_t next_nemesis_ms, next_submit_ms;
    struct raft_voter voters[NODES_MAX];
    struct raft_endpoint endpoints[NODES_MAX + 1];
    struct cluster_result result;
};

#define CHECK(cluster, condition, ...)                                \
    do {                                                              \
        if (!(condition)) {                                           \
            print_error("seed %llu at %lld ms: " #condition ": ",     \
                        (unsigned long long)(cluster)->options->seed, \
                        (long long)(cluster)->now_ms);                \
            print_error(__VA_ARGS__);                                 \
            fail();                                                   \
        }                                                             \
    } while (0)

static void *grow(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity * 2 + 16;
    items = realloc(items, *capacity * item_bytes);
    assert_non_null(items);
    return items;
}
#define GROW(items, capacity, count) \
    ((items) = grow((items), &(capacity), (count), sizeof *(items)))

static void note(struct cluster *cluster, uint64_t value)
{
    cluster->result.hash = hash_u64(cluster->result.hash ^ value);
}

static bool chance(struct cluster *cluster, int percent)
{
    return random_chance(&cluster->random, (uint32_t)percent, 100);
}

/* ---- deep copies into the arena ---- */

static struct slice copy_text(struct cluster *cluster, struct slice from)
{
    return arena_copy(&cluster->arena, from);
}

static struct raft_endpoints copy_endpoints(struct cluster *cluster, struct raft_endpoints from)
{
    struct raft_endpoint *items = ARENA_ARRAY(&cluster->arena, struct raft_endpoint, from.count);

    for (size_t i = 0; i < from.count; i++)
        items[i] =
            (struct raft_endpoint){copy_text(cluster, from.items[i].listener),
                                   copy_text(cluster, from.items[i].host), from.items[i].port};
    return (struct raft_endpoints){items, from.count};
}

static const struct raft_voters *copy_voters(struct cluster *cluster, struct raft_voters from)
{
    struct raft_voters *copy = ARENA_NEW(&cluster->arena, struct raft_voters);
    struct raft_voter *items = ARENA_ARRAY(&cluster->arena, struct raft_voter, from.count);

    for (size_t i = 0; i < from.count; i++) {
        items[i] = from.items[i];
        items[i].endpoints = copy_endpoints(cluster, from.items[i].endpoints);
    }
    *copy = (struct raft_voters){items, from.count};
    return copy;
}

static struct raft_request copy_request(struct cluster *cluster, const struct raft_request *from)
{
    struct raft_request to = *from;

    to.cluster_id = copy_text(cluster, from->cluster_id);
    if (from->api == RAFT_API_BEGIN_QUORUM_EPOCH)
        to.begin.leader_endpoints = copy_endpoints(cluster, from->begin.leader_endpoints);
    if (from->api == RAFT_API_ADD_VOTER)
        to.add_voter.endpoints = copy_endpoints(cluster, from->add_voter.endpoints);
    if (from->api == RAFT_API_UPDATE_VOTER)
        to.update_voter.endpoints = copy_endpoints(cluster, from->update_voter.endpoints);
    if (from->api == RAFT_API_END_QUORUM_EPOCH && from->end.preferred_count > 0) {
        struct raft_replica_key *keys =
            ARENA_ARRAY(&cluster->arena, struct raft_replica_key, from->end.preferred_count);

        memcpy(keys, from->end.preferred, from->end.preferred_count * sizeof *keys);
        to.end.preferred = keys;
    }
    return to;
}

/* ---- logs on disk ---- */

static int64_t log_end(const struct disk_log *log)
{
    return log->count > 0 ? log->items[log->count - 1].last + 1 : log->start;
}

static void log_push(struct disk_log *log, const struct entry *entry)
{
    GROW(log->items, log->capacity, log->count);
    log->items[log->count++] = *entry;
}

static void log_copy(struct disk_log *to, const struct disk_log *from)
{
    to->count = 0;
    to->start = from->start;
    for (size_t i = 0; i < from->count; i++)
        log_push(to, &from->items[i]);
}

static void log_cut(struct disk_log *log, int64_t end_offset)
{
    while (log->count > 0 && log->items[log->count - 1].base >= end_offset)
        log->count--;
}

static void log_trim(struct disk_log *log, int64_t start_offset)
{
    size_t gone = 0;

    while (gone < log->count && log->items[gone].base < start_offset)
        gone++;
    if (gone > 0)
        memmove(log->items, log->items + gone, (log->count - gone) * sizeof *log->items);
    log->count -= gone;
    log->start = MAX(log->start, start_offset);
}

static const struct entry *log_find(const struct disk_log *log, int64_t base)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->items[i].base == base)
            return &log->items[i];
    return NULL;
}

/* ---- promises ---- */

/* An (offset, epoch) names one batch with one predecessor, wherever it is seen. */
static void check_batch(struct cluster *cluster, const struct disk_log *log, size_t index)
{
    const struct entry *entry = &log->items[index];
    const struct entry *previous = index > 0 ? &log->items[index - 1] : NULL;
    struct known_batch *known = NULL;

    for (size_t i = cluster->known_count; i-- > 0;)
        if (cluster->known[i].base == entry->base && cluster->known[i].epoch == entry->epoch) {
            known = &cluster->known[i];
            break;
        }
    if (!known) {
        GROW(cluster->known, cluster->known_capacity, cluster->known_count);
        known = &cluster->known[cluster->known_count++];
        *known = (struct known_batch){entry->base, entry->epoch, entry->data, -1, -1};
    }
    CHECK(cluster, known->data == entry->data, "offset %lld epoch %d\n", (long long)entry->base,
          entry->epoch);
    if (!previous)
        return;
    if (known->previous_epoch < 0) {
        known->previous_last = previous->last;
        known->previous_epoch = previous->epoch;
    }
    CHECK(cluster,
          known->previous_last == previous->last && known->previous_epoch == previous->epoch,
          "predecessor of offset %lld epoch %d\n", (long long)entry->base, entry->epoch);
}

static void check_durable(struct cluster *cluster, const struct node *leader,
                          const struct entry *entry)
{
    struct raft_status status;
    size_t holders = 0;

    raft_status(leader->raft, &status);
    for (size_t i = 0; i < status.voters.count; i++) {
        const struct node *voter = &cluster->nodes[status.voters.items[i].key.id];
        const struct entry *held = log_find(&voter->durable, entry->base);

        holders += voter->durable.start > entry->base || (held && held->data == entry->data);
    }
    CHECK(cluster, holders >= status.voters.count / 2 + 1,
          "offset %lld is committed but on %zu of %zu disks\n", (long long)entry->base, holders,
          status.voters.count);
}

static void check_committed(struct cluster *cluster, struct node *node, int64_t high_watermark)
{
    const struct disk_log *log = &node->current;

    CHECK(cluster, high_watermark > node->high_watermark, "node %d\n", node->id);
    node->high_watermark = high_watermark;
    for (size_t i = 0; i < log->count && log->items[i].base < high_watermark; i++) {
        const struct entry *entry = &log->items[i];
        size_t at = 0;

        while (at < cluster->truth_count && cluster->truth[at].base < entry->base)
            at++;
        if (at == cluster->truth_count) {
            GROW(cluster->truth, cluster->truth_capacity, cluster->truth_count);
            cluster->truth[cluster->truth_count++] = *entry;
            if (node->leads_epoch >= 0)
                check_durable(cluster, node, entry);
        }
        CHECK(cluster,
              cluster->truth[at].data == entry->data && cluster->truth[at].base == entry->base,
              "node %d has another batch at %lld than was committed\n", node->id,
              (long long)entry->base);
    }
    cluster->result.committed = MAX(cluster->result.committed, high_watermark);
}

static void check_leader(struct cluster *cluster, const struct node *node)
{
    struct raft_status status;
    int32_t newest = 0;

    raft_status(node->raft, &status);
    if (status.role != RAFT_LEADER)
        return;
    CHECK(cluster, status.epoch < (int32_t)ARRAY_COUNT(cluster->leaders), "epoch %d\n",
          status.epoch);
    if (cluster->leaders[status.epoch] == 0) {
        cluster->leaders[status.epoch] = node->id;
        cluster->result.elections++;
    }
    CHECK(cluster, cluster->leaders[status.epoch] == node->id, "epoch %d: %d and %d\n",
          status.epoch, cluster->leaders[status.epoch], node->id);
    for (int32_t epoch = status.epoch; epoch < (int32_t)ARRAY_COUNT(cluster->leaders); epoch++)
        if (cluster->leaders[epoch] != 0)
            newest = epoch;
    if (newest != status.epoch)
        return; /* deposed and does not know it yet */
    for (size_t i = 0; i < cluster->truth_count; i++) {
        const struct entry *committed = &cluster->truth[i];
        const struct entry *own = log_find(&node->current, committed->base);

        if (committed->base < node->current.start)
            continue;
        CHECK(cluster, own && own->data == committed->data,
              "leader %d of epoch %d lacks the committed batch at %lld\n", node->id, status.epoch,
              (long long)committed->base);
    }
}

/* ---- tasks ---- */

static struct task *task_add(struct cluster *cluster, enum task_kind kind, int node,
                             int64_t delay_ms)
{
    struct task *task;

    GROW(cluster->tasks, cluster->task_capacity, cluster->task_count);
    task = &cluster->tasks[cluster->task_count++];
    *task = (struct task){.kind = kind,
                          .node = node,
                          .incarnation = cluster->nodes[node].incarnation,
                          .at_ms = cluster->now_ms + delay_ms,
                          .order = cluster->next_order++};
    return task;
}

static int64_t delay(struct cluster *cluster)
{
    return chance(cluster, 3) ? random_between(&cluster->random, 1, 800)
                              : random_between(&cluster->random, 0, 8);
}

static void flush_add(struct cluster *cluster, struct node *node, uint64_t era)
{
    struct task *task = task_add(cluster, TASK_WRITTEN, node->id, 0);
    int64_t done_ms = cluster->now_ms + delay(cluster);

    task->era = era;
    task->end_offset = log_end(&node->current);
    node->flush_free_ms = MAX(node->flush_free_ms, done_ms);
    task = task_add(cluster, TASK_FLUSH, node->id, node->flush_free_ms - cluster->now_ms);
    task->era = era;
    task->end_offset = log_end(&node->current);
    task->log_generation = node->log_generation;
    log_copy(&task->copy, &node->current);
}

static void message_add(struct cluster *cluster, const struct task *from)
{
    struct task *task;
    int64_t delay_ms = delay(cluster);

    if (cluster->chaos && chance(cluster, cluster->options->loss_percent))
        return;
    if (from->from != ADMIN && from->node != ADMIN && cluster->cut[from->from][from->node])
        return;
    task = task_add(cluster, TASK_MESSAGE, from->node, delay_ms);
    {
        struct task timing = *task;

        *task = *from;
        task->kind = TASK_MESSAGE;
        task->at_ms = timing.at_ms;
        task->order = timing.order;
        task->incarnation = from->is_reply ? from->incarnation : timing.incarnation;
    }
    if (cluster->chaos && chance(cluster, cluster->options->duplicate_percent)) {
        struct task copy = *task;

        GROW(cluster->tasks, cluster->task_capacity, cluster->task_count);
        copy.at_ms += delay(cluster) * 3;
        copy.order = cluster->next_order++;
        cluster->tasks[cluster->task_count++] = copy;
    }
}

/* ---- effects ---- */

static struct kept_snapshot *snapshot_of(struct kept_snapshot *list, size_t count,
                                         struct raft_offset_epoch id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].snapshot.id.offset == id.offset && list[i].snapshot.id.epoch == id.epoch)
            return &list[i];
    return NULL;
}

static void do_append(struct cluster *cluster, struct node *node, struct entry entry, uint64_t era)
{
    CHECK(cluster, entry.base == log_end(&node->current), "node %d appends at %lld, not %lld\n",
          node->id, (long long)entry.base, (long long)log_end(&node->current));
    log_push(&node->current, &entry);
    check_batch(cluster, &node->current, node->current.count - 1);
    flush_add(cluster, node, era);
}

static void do_append_control(struct cluster *cluster, struct node *node,
                              const struct raft_effect *effect)
{
    const struct raft_control *control = &effect->append_control.control;
    int64_t base = effect->append_control.base_offset;

    if (control->voters)
        cluster->result.voter_changes++;
    do_append(cluster, node,
              (struct entry){base, base + control->record_count - 1, effect->append_control.epoch,
                             ++cluster->next_data, control->kraft_version,
                             control->voters ? copy_voters(cluster, *control->voters) : NULL},
              effect->append_control.era);
}

static void do_append_fetched(struct cluster *cluster, struct node *node,
                              const struct raft_effect *effect)
{
    CHECK(cluster, effect->append_fetched.number == node->handed_number, "node %d\n", node->id);
    for (size_t i = 0; i < effect->append_fetched.batch_count; i++) {
        log_push(&node->current, &node->handed[i]);
        check_batch(cluster, &node->current, node->current.count - 1);
    }
    CHECK(cluster, log_end(&node->current) == effect->append_fetched.end_offset, "node %d\n",
          node->id);
    flush_add(cluster, node, effect->append_fetched.era);
}

static void do_send(struct cluster *cluster, struct node *node, const struct raft_effect *effect)
{
    struct task task = {.from = node->id,
                        .from_incarnation = node->incarnation,
                        .node = effect->send.endpoint.port - 9090,
                        .number = effect->send.number};

    CHECK(cluster, task.node >= 1 && task.node <= cluster->node_count, "port %d\n",
          effect->send.endpoint.port);
    if (effect->send.request.api == RAFT_API_VOTE && !effect->send.request.vote.pre_vote)
        CHECK(cluster,
              node->durable_state.leader_epoch >= effect->send.request.vote.candidate_epoch,
              "node %d stands in an epoch that is not durable\n", node->id);
    task.request = copy_request(cluster, &effect->send.request);
    message_add(cluster, &task);
}

static void reply_entries(struct cluster *cluster, struct node *node, struct task *task)
{
    const struct raft_fetch_answer *fetch = &task->reply.fetch;
    struct entry *entries = ARENA_ARRAY(&cluster->arena, struct entry, 4);
    struct raft_batch *batches = ARENA_ARRAY(&cluster->arena, struct raft_batch, 4);
    size_t count = 0;

    for (size_t i = 0; i < node->current.count && count < 4; i++) {
        const struct entry *entry = &node->current.items[i];

        if (entry->base < fetch->read_offset)
            continue;
        entries[count] = *entry;
        batches[count++] = (struct raft_batch){entry->base, entry->last, entry->epoch,
                                               entry->kraft_version, entry->voters};
    }
    CHECK(cluster, count > 0, "nothing to read at %lld\n", (long long)fetch->read_offset);
    task->entries = entries;
    task->reply.fetch.batches = batches;
    task->reply.fetch.batch_count = count;
}

static void do_reply(struct cluster *cluster, struct node *node, const struct raft_effect *effect)
{
    const struct asked *asked = &cluster->asked[effect->reply.token - 1];
    struct task task = {.from = node->id,
                        .node = asked->from,
                        .incarnation = asked->incarnation,
                        .number = asked->number,
                        .is_reply = true,
                        .reply = effect->reply.reply};

    if (asked->from == ADMIN)
        return;
    if (task.reply.api == RAFT_API_VOTE && task.reply.vote_granted)
        note(cluster, (uint64_t)node->id);
    task.reply.leader_endpoints = copy_endpoints(cluster, effect->reply.reply.leader_endpoints);
    task.reply.error_text = NULL;
    if (task.reply.api == RAFT_API_FETCH && task.reply.error == OK &&
        task.reply.fetch.read_bytes_max > 0)
        reply_entries(cluster, node, &task);
    message_add(cluster, &task);
}

static void do_effect(struct cluster *cluster, struct node *node, const struct raft_effect *effect)
{
    struct task *task;

    note(cluster, (uint64_t)effect->kind * 31 + (uint64_t)node->id);
    switch (effect->kind) {
    case RAFT_EFFECT_PERSIST:
        task = task_add(cluster, TASK_PERSIST, node->id, delay(cluster));
        task->generation = effect->persist.generation;
        task->state = effect->persist.state;
        task->state.voter_ids = NULL;
        break;
    case RAFT_EFFECT_APPEND: {
        struct entry entry = {effect->append.base_offset,
                              effect->append.base_offset + (int64_t)effect->append.token - 1,
                              effect->append.epoch,
                              ++cluster->next_data,
                              -1,
                              NULL};

        do_append(cluster, node, entry, effect->append.era);
        break;
    }
    case RAFT_EFFECT_APPEND_CONTROL:
        do_append_control(cluster, node, effect);
        break;
    case RAFT_EFFECT_APPEND_FETCHED:
        do_append_fetched(cluster, node, effect);
        break;
    case RAFT_EFFECT_TRUNCATE:
        CHECK(cluster, effect->truncate.end_offset >= node->high_watermark, "node %d\n", node->id);
        log_cut(&node->current, effect->truncate.end_offset);
        CHECK(cluster, log_end(&node->current) == effect->truncate.end_offset,
              "node %d cuts a batch in two\n", node->id);
        cluster->result.truncations++;
        flush_add(cluster, node, effect->truncate.era);
        break;
    case RAFT_EFFECT_SEND:
        do_send(cluster, node, effect);
        break;
    case RAFT_EFFECT_REPLY:
        do_reply(cluster, node, effect);
        break;
    case RAFT_EFFECT_HIGH_WATERMARK:
        check_committed(cluster, node, effect->high_watermark.offset);
        break;
    case RAFT_EFFECT_ROLE:
        node->leads_epoch = effect->role.role == RAFT_LEADER ? effect->role.epoch : -1;
        cluster->result.resignations += effect->role.role == RAFT_RESIGNED;
        break;
    case RAFT_EFFECT_SNAPSHOT_CHUNK:
        task = task_add(cluster, TASK_CHUNK, node->id, delay(cluster));
        task->id = effect->chunk.id;
        task->end_offset = effect->chunk.position + effect->chunk.size_bytes;
        break;
    case RAFT_EFFECT_SNAPSHOT_INSTALL:
        task = task_add(cluster, TASK_INSTALL, node->id, delay(cluster));
        task->id = effect->install.id;
        task->era = effect->install.era;
        break;
    case RAFT_EFFECT_VOTERS:
    case RAFT_EFFECT_SNAPSHOT_DROP:
    case RAFT_EFFECT_KRAFT_UPGRADED:
    case RAFT_EFFECT_STOPPED:
        break;
    }
}

static enum err feed(struct cluster *cluster, struct node *node, struct raft_event event)
{
    struct raft_effects effects;
    enum err err;

    event.now_ms = cluster->now_ms;
    event.random = random_u64(&cluster->random);
    err = raft_step(node->raft, &event, &effects);
    CHECK(cluster, err == OK || event.kind == RAFT_EVENT_SUBMIT, "%s\n", err_name(err));
    for (size_t i = 0; i < effects.count; i++)
        do_effect(cluster, node, &effects.items[i]);
    check_leader(cluster, node);
    CHECK(cluster, raft_deadline_ms(node->raft) >= cluster->now_ms, "node %d\n", node->id);
    return err;
}

/* ---- starting and crashing ---- */

static void node_start(struct cluster *cluster, struct node *node)
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
static void node_crash(struct cluster *cluster, struct node *node)
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

static void nodes_make(struct cluster *cluster)
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

static void run_task(struct cluster *cluster, struct task *task)
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
