/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_transactions.c: transactions on /metrics: how many in which state, and which of them
 * hold back readers of committed records, longest first, METRICS_HELD_MAX of them at most.
 * docs/design/transactions.md §8.
 *
 * Taken on the shard (transaction_sample_take), written on the HTTP thread. A partition knows only the
 * producer id; the transactional id and the start come from the coordinators of this node.
 */
#include "server/metrics_page.h"

#include "base/fmt.h"
#include "server/coordinator.h"
#include "server/late_transactions.h"
#include "server/metrics_text.h"
#include "server/partition.h"

/* ---- on the shard ---- */

struct taking {
    struct arena *arena;
    struct shard_sample *sample;
};

static bool is_open_state(const char *state)
{
    return strcmp(state, "Ongoing") == 0 || strncmp(state, "Prepare", 7) == 0;
}

static void transaction_seen(void *context, const struct transaction_view *view)
{
    struct taking *taking = context;
    struct shard_sample *sample = taking->sample;
    size_t i = 0;

    while (i < sample->transaction_state_count &&
           strcmp(sample->transaction_states[i].state, view->state) != 0)
        i++;
    if (i < METRICS_TRANSACTION_STATES) {
        if (i == sample->transaction_state_count)
            sample->transaction_states[sample->transaction_state_count++].state = view->state;
        sample->transaction_states[i].count++;
    }
    if (!sample->open_transactions || !is_open_state(view->state) ||
        sample->open_transaction_count == METRICS_OPEN_TRANSACTIONS_MAX)
        return;
    sample->open_transactions[sample->open_transaction_count++] = (struct open_transaction_sample){
        .transactional_id = arena_copy(taking->arena, view->transactional_id),
        .producer_id = view->producer_id,
        .start_wall_ms = view->start_wall_ms,
    };
}

/* Kept in order of the last write, oldest first. */
static void partition_seen(void *context, struct partition *partition)
{
    struct taking *taking = context;
    struct shard_sample *sample = taking->sample;
    struct held_back held;
    size_t at;

    if (!partition_held_back(partition, &held))
        return;
    if (sample->held_count == METRICS_HELD_MAX) {
        sample->held_left_out++;
        if (held.last_write_wall_ms >= sample->held[METRICS_HELD_MAX - 1].last_write_wall_ms)
            return;
        sample->held_count--;
    }
    at = sample->held_count++;
    for (; at > 0 && sample->held[at - 1].last_write_wall_ms > held.last_write_wall_ms; at--)
        sample->held[at] = sample->held[at - 1];
    sample->held[at] = (struct held_sample){
        .topic = partition->topic,
        .partition = partition->index,
        .producer_id = held.producer_id,
        .last_write_wall_ms = held.last_write_wall_ms,
    };
}

void transaction_sample_take(const struct shard *shard, struct arena *arena,
                             struct shard_sample *sample)
{
    struct taking taking = {.arena = arena, .sample = sample};
    struct coordinator_watcher watcher = {.context = &taking, .transaction = transaction_seen};

    sample->wall_ms = reactor_wall_ms(shard->reactor);
    if (shard->transactions) {
        sample->open_transactions =
            ARENA_ARRAY(arena, struct open_transaction_sample, METRICS_OPEN_TRANSACTIONS_MAX);
        coordinator_service_each(shard->transactions, &watcher);
    }
    sample->held = ARENA_ARRAY(arena, struct held_sample, METRICS_HELD_MAX);
    if (!sample->held)
        return;
    partition_table_each(shard->partitions, partition_seen, &taking);
    for (size_t i = 0; i < sample->held_count; i++)
        sample->held[i].topic = arena_copy(arena, sample->held[i].topic);
}

/* ---- on the page ---- */

/* The same state on several shards is one line. */
static void states_write(const struct node_sample *sample, struct writer *out)
{
    struct transaction_state_sample sums[METRICS_TRANSACTION_STATES];
    size_t count = 0;

    for (size_t i = 0; i < sample->shard_count; i++) {
        for (size_t j = 0; j < sample->shards[i].transaction_state_count; j++) {
            const struct transaction_state_sample *from = &sample->shards[i].transaction_states[j];
            size_t k = 0;

            while (k < count && strcmp(sums[k].state, from->state) != 0)
                k++;
            if (k == METRICS_TRANSACTION_STATES)
                continue;
            if (k == count)
                sums[count++] = (struct transaction_state_sample){from->state, 0};
            sums[k].count += from->count;
        }
    }
    metrics_head(out, "barnabas_transactions", "gauge",
                 "Transactional ids that this node coordinates.");
    for (size_t k = 0; k < count; k++) {
        metrics_text(out, "barnabas_transactions{state=\"");
        metrics_text(out, sums[k].state);
        metrics_number(out, "\"} ", sums[k].count, "\n");
    }
}

static const struct open_transaction_sample *transaction_find(const struct node_sample *sample,
                                                              int64_t producer_id)
{
    for (size_t i = 0; i < sample->shard_count; i++)
        for (size_t j = 0; j < sample->shards[i].open_transaction_count; j++)
            if (sample->shards[i].open_transactions[j].producer_id == producer_id)
                return &sample->shards[i].open_transactions[j];
    return NULL;
}

static void held_write(const struct node_sample *sample, const struct held_sample *held,
                       int64_t wall_ms, struct writer *out)
{
    const struct open_transaction_sample *known = transaction_find(sample, held->producer_id);
    int64_t since_ms =
        known && known->start_wall_ms >= 0 ? known->start_wall_ms : held->last_write_wall_ms;
    int64_t age_ms = MAX(wall_ms - since_ms, 0);
    char value[32];

    metrics_text(out, "barnabas_transaction_holds_back_seconds{topic=\"");
    metrics_label(out, held->topic);
    metrics_number(out, "\",partition=\"", held->partition, "\",");
    metrics_number(out, "producer_id=\"", held->producer_id, "\",transactional_id=\"");
    metrics_label(out, known ? known->transactional_id : SLICE_EMPTY);
    (void)fmt(value, sizeof value, "\"} %lld.%03d\n", (long long)(age_ms / 1000),
              (int)(age_ms % 1000));
    metrics_text(out, value);
}

void metrics_transactions_write(const struct node_sample *sample, struct writer *out)
{
    int64_t left_out = 0;
    size_t written = 0;

    states_write(sample, out);
    metrics_head(
        out, "barnabas_transaction_holds_back_seconds", "gauge",
        "Age of the oldest open transaction of a partition: readers of committed records wait for "
        "it. From its begin, where this node coordinates it, else from its last write here.");
    for (size_t i = 0; i < sample->shard_count; i++) {
        const struct shard_sample *shard = &sample->shards[i];

        left_out += shard->held_left_out;
        for (size_t j = 0; j < shard->held_count; j++) {
            if (written++ < METRICS_HELD_MAX)
                held_write(sample, &shard->held[j], shard->wall_ms, out);
            else
                left_out++;
        }
    }
    metrics_head(out, "barnabas_transaction_holds_back_left_out", "gauge",
                 "Partitions of that kind not shown.");
    metrics_number(out, "barnabas_transaction_holds_back_left_out ", left_out, "\n");
}
