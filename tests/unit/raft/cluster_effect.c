/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster_effect.c: what a node wants done becomes a task for later: writes, flushes, messages.
 */
#include "cluster_internal.h"

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

void message_add(struct cluster *cluster, const struct task *from)
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

enum err feed(struct cluster *cluster, struct node *node, struct raft_event event)
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
