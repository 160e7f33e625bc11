/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_inode_crash.c: what a power cut leaves of one file. A truncation that was not synced
 * either happened or did not; what was written behind it needs it. Then each dirty sector is kept,
 * dropped or torn, and the size lies anywhere between the synced one and the last one.
 */
#include "os/sim_internal.h"

enum fate { KEEP, DROP, TEAR };

static enum fate fate_draw(const struct sim_weights *weights, struct random *random)
{
    uint64_t total = (uint64_t)weights->keep + weights->drop + weights->tear;
    uint64_t draw = random_below(random, total);

    if (draw < weights->keep)
        return KEEP;
    return draw < (uint64_t)weights->keep + weights->drop ? DROP : TEAR;
}

static int64_t truncation_point(const struct sim_inode *inode)
{
    int64_t point = INT64_MAX;

    for (size_t i = 0; i < inode->truncation_count; i++)
        point = MIN(point, inode->truncations[i].size_bytes);
    return point;
}

static void tear(uint8_t *to, const uint8_t *from, struct random *random)
{
    size_t cut = 1 + (size_t)random_below(random, SIM_SECTOR_BYTES - 1);

    if (random_chance(random, 3, 4))
        memcpy(to, from, cut);
    else
        memcpy(to + cut, from + cut, SIM_SECTOR_BYTES - cut);
}

/* Sectors below limit_bytes take part. */
static void page_crash(struct sim_inode *inode, size_t i, int64_t limit_bytes,
                       const struct sim_weights *weights, struct random *random,
                       struct sim_counts *counts)
{
    const struct sim_page *live = inode->live[i];
    struct sim_page *page = sim_page_new(inode->stable[i]);

    for (size_t at = 0; at < SIM_PAGE_BYTES; at += SIM_SECTOR_BYTES) {
        if ((int64_t)(i * SIM_PAGE_BYTES + at + SIM_SECTOR_BYTES) > limit_bytes)
            break;
        if (memcmp(page->data + at, live->data + at, SIM_SECTOR_BYTES) == 0)
            continue;
        switch (fate_draw(weights, random)) {
        case KEEP:
            memcpy(page->data + at, live->data + at, SIM_SECTOR_BYTES);
            break;
        case DROP:
            counts->sectors_dropped++;
            break;
        case TEAR:
            tear(page->data + at, live->data + at, random);
            counts->sectors_torn++;
            break;
        }
    }
    sim_page_set(&inode->stable[i], page);
}

static int64_t size_draw(const struct sim_inode *inode, const struct sim_weights *weights,
                         struct random *random)
{
    int64_t stable = inode->stable_bytes;
    int64_t live = inode->size_bytes;

    if (stable == live || (weights->drop == 0 && weights->tear == 0))
        return live;
    if (weights->keep == 0 && weights->tear == 0)
        return stable;
    switch (random_below(random, 3)) {
    case 0:
        return live;
    case 1:
        return stable;
    default:
        return random_between(random, MIN(stable, live), MAX(stable, live));
    }
}

/* The live view becomes the stable one. */
static void live_from_stable(struct sim_inode *inode, int64_t size_bytes)
{
    size_t pages = 0;
    size_t last = ((size_t)size_bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;

    /* Reserved blocks that were given back without a sync are there again. */
    for (size_t i = last; i < inode->page_count; i++) {
        if (inode->stable[i] == inode->disk->reserved)
            sim_page_set(&inode->live[i], sim_page_ref(inode->stable[i]));
    }
    inode->stable_bytes = INT64_MAX; /* cuts whatever lies behind */
    sim_inode_stable_truncate(inode, size_bytes);
    for (size_t i = 0; i < inode->page_count; i++) {
        if (i >= last && inode->stable[i] != inode->disk->reserved)
            sim_page_set(&inode->stable[i], NULL);
        sim_page_set(&inode->live[i], sim_page_ref(inode->stable[i]));
        sim_page_set(&inode->lost[i], NULL);
        pages += inode->live[i] != NULL;
    }
    if (inode->is_counted)
        inode->disk->used_pages += pages - inode->live_pages;
    inode->live_pages = pages;
    inode->size_bytes = size_bytes;
    inode->stable_bytes = size_bytes;
}

void sim_inode_crash(struct sim_inode *inode, const struct sim_weights *weights,
                     struct random *random, struct sim_counts *counts)
{
    int64_t point = truncation_point(inode);
    int64_t limit_bytes = INT64_MAX;
    int64_t size_bytes;

    if (inode->is_directory)
        return;
    if (point < inode->stable_bytes) {
        bool undone = weights->keep == 0 && weights->tear == 0;

        if (weights->drop > 0 && !undone)
            undone = fate_draw(weights, random) == DROP;
        if (undone)
            limit_bytes = point;
        else
            sim_inode_stable_truncate(inode, point);
    }
    for (size_t i = inode->dirty_low; i < inode->dirty_high; i++) {
        if (inode->live[i] && inode->live[i] != inode->stable[i] &&
            inode->live[i] != inode->lost[i])
            page_crash(inode, i, limit_bytes, weights, random, counts);
    }
    size_bytes = limit_bytes == INT64_MAX ? size_draw(inode, weights, random) : inode->stable_bytes;
    sim_inode_clean(inode);
    live_from_stable(inode, size_bytes);
    inode->truncation_count = 0;
    inode->applied = inode->sequence;
}
