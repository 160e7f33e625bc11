/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/raft/cluster_check.c: the promises, checked after every step:
 *   M1  one leader per epoch. Log matching: an (offset, epoch) has one content and one predecessor.
 *   M2  what is below a high watermark is never another thing elsewhere, and every new leader has it.
 *   M4  a vote that is told is durable (cluster_effect.c).
 *   Commit mode: what is committed is on stable storage of a majority of the voters.
 *   High watermarks never fall within a process's life. In the end everything heals and goes on.
 */
#include "cluster_internal.h"

/* ---- promises ---- */

/* An (offset, epoch) names one batch with one predecessor, wherever it is seen. */
void check_batch(struct cluster *cluster, const struct disk_log *log, size_t index)
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

void check_committed(struct cluster *cluster, struct node *node, int64_t high_watermark)
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

void check_leader(struct cluster *cluster, const struct node *node)
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
