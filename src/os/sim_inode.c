/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/sim_inode.c: the content of one simulated file in two views: live (page cache) and stable
 * (what a power cut leaves for certain). Pages are shared between the views and copied before a
 * write.
 * Invariants  1. A page with one reference that stands in the live view is dirty.
 *             2. What a snapshot holds was written before the sync began; a write during the sync
 *                is not covered by it.
 */
#include "os/sim_internal.h"

/* ---- pages ---- */

struct sim_page *sim_page_new(const struct sim_page *from)
{
    struct sim_page *page = SIM_NEW(struct sim_page);

    if (from)
        memcpy(page->data, from->data, sizeof(page->data));
    page->refs = 1;
    return page;
}

struct sim_page *sim_page_ref(struct sim_page *page)
{
    if (page)
        page->refs++;
    return page;
}

void sim_page_set(struct sim_page **slot, struct sim_page *page)
{
    struct sim_page *old = *slot;

    *slot = page;
    if (old && --old->refs == 0)
        sim_free(old);
}

static void pages_need(struct sim_inode *inode, size_t count)
{
    size_t wanted = MAX(inode->page_count, (size_t)4);
    size_t old_bytes = inode->page_count * sizeof(struct sim_page *);

    if (count <= inode->page_count)
        return;
    while (wanted < count)
        wanted *= 2;
    inode->live = sim_resize(inode->live, old_bytes, wanted * sizeof(struct sim_page *));
    inode->stable = sim_resize(inode->stable, old_bytes, wanted * sizeof(struct sim_page *));
    inode->lost = sim_resize(inode->lost, old_bytes, wanted * sizeof(struct sim_page *));
    inode->page_count = wanted;
}

static bool page_is_dirty(const struct sim_inode *inode, size_t i)
{
    return inode->live[i] && inode->live[i] != inode->stable[i] && inode->live[i] != inode->lost[i];
}

static void dirty_add(struct sim_inode *inode, size_t i)
{
    inode->dirty_pages++;
    inode->disk->dirty_pages++;
    inode->dirty_low = MIN(inode->dirty_low, i);
    inode->dirty_high = MAX(inode->dirty_high, i + 1);
    if (list_is_empty(&inode->dirty))
        list_push_back(&inode->disk->dirty, &inode->dirty);
}

static void dirty_subtract(struct sim_inode *inode)
{
    ASSERT(inode->dirty_pages > 0 && inode->disk->dirty_pages > 0);
    inode->dirty_pages--;
    inode->disk->dirty_pages--;
    if (inode->dirty_pages == 0) {
        inode->dirty_low = SIZE_MAX;
        inode->dirty_high = 0;
        list_remove(&inode->dirty);
    }
}

void sim_inode_clean(struct sim_inode *inode)
{
    while (inode->dirty_pages > 0)
        dirty_subtract(inode);
}

/* ---- life ---- */

struct sim_inode *sim_inode_ref(struct sim_inode *inode)
{
    if (inode)
        inode->refs++;
    return inode;
}

void sim_inode_recount(struct sim_inode *inode)
{
    bool counts = inode->links > 0 || inode->handles > 0;

    if (counts == inode->is_counted)
        return;
    inode->is_counted = counts;
    if (counts)
        inode->disk->used_pages += inode->live_pages;
    else
        inode->disk->used_pages -= inode->live_pages;
}

static void live_pages_change(struct sim_inode *inode, bool more)
{
    inode->live_pages += more ? 1 : (size_t)-1;
    if (inode->is_counted)
        inode->disk->used_pages += more ? 1 : (size_t)-1;
}

void sim_inode_unref(struct sim_inode *inode)
{
    if (!inode || --inode->refs > 0)
        return;
    inode->links = 0;
    inode->handles = 0;
    sim_inode_recount(inode);
    sim_inode_clean(inode);
    for (size_t i = 0; i < inode->page_count; i++) {
        sim_page_set(&inode->live[i], NULL);
        sim_page_set(&inode->stable[i], NULL);
        sim_page_set(&inode->lost[i], NULL);
    }
    list_remove(&inode->node);
    if (inode->is_directory)
        sim_entries_release(inode);
    sim_free(inode->live);
    sim_free(inode->stable);
    sim_free(inode->lost);
    sim_free(inode->truncations);
    sim_free(inode);
}

/* ---- live view ---- */

size_t sim_inode_read(const struct sim_inode *inode, void *buffer, size_t size_bytes,
                      int64_t position_bytes)
{
    size_t at = (size_t)position_bytes;
    size_t size = (size_t)inode->size_bytes;
    size_t left = at >= size ? 0 : MIN(size_bytes, size - at);
    size_t result = left;
    uint8_t *out = buffer;

    while (left > 0) {
        size_t i = at / SIM_PAGE_BYTES;
        size_t from = at % SIM_PAGE_BYTES;
        size_t part = MIN(left, SIM_PAGE_BYTES - from);

        if (i < inode->page_count && inode->live[i])
            memcpy(out, inode->live[i]->data + from, part);
        else
            memset(out, 0, part);
        out += part;
        at += part;
        left -= part;
    }
    return result;
}

/* The live page for writing; NULL when the disk is full. */
static struct sim_page *page_for_write(struct sim_inode *inode, size_t i)
{
    bool was_dirty;

    pages_need(inode, i + 1);
    was_dirty = page_is_dirty(inode, i);
    if (!inode->live[i]) {
        if (!sim_disk_has_page(inode->disk))
            return NULL;
        inode->live[i] = sim_page_new(NULL);
        live_pages_change(inode, true);
    } else if (inode->live[i]->refs > 1) {
        sim_page_set(&inode->live[i], sim_page_new(inode->live[i]));
    }
    if (!was_dirty)
        dirty_add(inode, i);
    return inode->live[i];
}

enum err sim_inode_write(struct sim_inode *inode, const uint8_t *data, size_t size_bytes,
                         int64_t position_bytes)
{
    size_t at = (size_t)position_bytes;

    inode->sequence++;
    while (size_bytes > 0) {
        size_t from = at % SIM_PAGE_BYTES;
        size_t part = MIN(size_bytes, SIM_PAGE_BYTES - from);
        struct sim_page *page = page_for_write(inode, at / SIM_PAGE_BYTES);

        if (!page)
            return ERR_DISK_FULL;
        memcpy(page->data + from, data, part);
        data += part;
        at += part;
        size_bytes -= part;
        inode->size_bytes = MAX(inode->size_bytes, (int64_t)at);
    }
    return OK;
}

enum err sim_inode_truncate(struct sim_inode *inode, int64_t size_bytes)
{
    size_t first = ((size_t)size_bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    size_t tail = (size_t)size_bytes % SIM_PAGE_BYTES;
    bool shrinks = size_bytes < inode->size_bytes;
    bool gives_back = false;

    inode->sequence++;
    if (size_bytes > inode->size_bytes) {
        inode->size_bytes = size_bytes;
        return OK;
    }
    if (shrinks && tail > 0 && first <= inode->page_count && inode->live[first - 1]) {
        struct sim_page *page = page_for_write(inode, first - 1);

        ASSERT(page != NULL); /* it was there */
        memset(page->data + tail, 0, SIM_PAGE_BYTES - tail);
    }
    for (size_t i = first; i < inode->page_count; i++) {
        if (!inode->live[i])
            continue;
        if (page_is_dirty(inode, i))
            dirty_subtract(inode);
        sim_page_set(&inode->live[i], NULL);
        live_pages_change(inode, false);
        gives_back = true;
    }
    inode->size_bytes = size_bytes;
    if (!shrinks && !gives_back)
        return OK;
    SIM_GROW(inode->truncations, inode->truncation_count, inode->truncation_capacity);
    inode->truncations[inode->truncation_count++] =
        (struct sim_truncation){inode->sequence, size_bytes};
    return OK;
}

enum err sim_inode_reserve(struct sim_inode *inode, int64_t position_bytes, int64_t size_bytes)
{
    size_t from = (size_t)position_bytes / SIM_PAGE_BYTES;
    size_t to = ((size_t)(position_bytes + size_bytes) + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;

    pages_need(inode, to);
    for (size_t i = from; i < to; i++) {
        if (inode->live[i])
            continue;
        if (!sim_disk_has_page(inode->disk))
            return ERR_DISK_FULL;
        inode->live[i] = sim_page_ref(inode->disk->reserved);
        live_pages_change(inode, true);
        if (inode->stable[i])
            dirty_add(inode, i); /* zeros over what a truncation has not yet taken away */
        else
            inode->stable[i] = sim_page_ref(inode->disk->reserved);
    }
    return OK;
}

enum err sim_inode_flip(struct sim_inode *inode, int64_t position_bytes, uint8_t mask)
{
    size_t i = (size_t)position_bytes / SIM_PAGE_BYTES;
    size_t at = (size_t)position_bytes % SIM_PAGE_BYTES;
    struct sim_page *live;
    struct sim_page *stable;

    if (position_bytes < 0 || position_bytes >= inode->size_bytes)
        return ERR_NOT_FOUND;
    pages_need(inode, i + 1);
    if (!inode->live[i] || inode->live[i] == inode->disk->reserved) {
        /* A hole has no block that could rot: it gets one. */
        bool had = inode->live[i] != NULL;

        sim_page_set(&inode->live[i], sim_page_new(NULL));
        if (!had)
            live_pages_change(inode, true);
        sim_page_set(&inode->stable[i], sim_page_ref(inode->live[i]));
    }
    live = inode->live[i];
    stable = inode->stable[i];
    live->data[at] ^= mask;
    if (stable && stable != live && stable != inode->disk->reserved)
        stable->data[at] ^= mask;
    return OK;
}

/* ---- stable view ---- */

struct sim_snapshot *sim_snapshot_take(struct sim_inode *inode)
{
    struct sim_snapshot *snapshot = SIM_NEW(struct sim_snapshot);

    snapshot->inode = sim_inode_ref(inode);
    snapshot->sequence = inode->sequence;
    snapshot->size_bytes = inode->size_bytes;
    if (inode->dirty_pages == 0)
        return snapshot;
    snapshot->low = inode->dirty_low;
    snapshot->count = inode->dirty_high - inode->dirty_low;
    snapshot->pages = sim_allocate(snapshot->count * sizeof(struct sim_page *));
    for (size_t i = 0; i < snapshot->count; i++) {
        if (page_is_dirty(inode, snapshot->low + i))
            snapshot->pages[i] = sim_page_ref(inode->live[snapshot->low + i]);
    }
    return snapshot;
}

void sim_snapshot_release(struct sim_snapshot **snapshot_in)
{
    struct sim_snapshot *snapshot = TAKE(*snapshot_in);

    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->count; i++)
        sim_page_set(&snapshot->pages[i], NULL);
    sim_inode_unref(snapshot->inode);
    sim_free(snapshot->pages);
    sim_free(snapshot);
}

void sim_inode_stable_truncate(struct sim_inode *inode, int64_t size_bytes)
{
    size_t first = ((size_t)size_bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    size_t tail = (size_t)size_bytes % SIM_PAGE_BYTES;
    bool shrinks = size_bytes < inode->stable_bytes;

    if (shrinks && tail > 0 && first <= inode->page_count && inode->stable[first - 1]) {
        struct sim_page *page = sim_page_new(inode->stable[first - 1]);

        memset(page->data + tail, 0, SIM_PAGE_BYTES - tail);
        /* A clean live page cannot be here: the truncation wrote to it. */
        sim_page_set(&inode->stable[first - 1], page);
    }
    for (size_t i = first; i < inode->page_count; i++) {
        bool is_reserved = inode->stable[i] == inode->disk->reserved;

        if (is_reserved ? inode->live[i] != inode->stable[i] : shrinks)
            sim_page_set(&inode->stable[i], NULL);
        /* Else: written behind the truncation, then lost. */
        if (shrinks && inode->lost[i] != inode->live[i])
            sim_page_set(&inode->lost[i], NULL);
    }
    inode->stable_bytes = MIN(inode->stable_bytes, size_bytes);
}

void sim_snapshot_apply(struct sim_snapshot *snapshot)
{
    struct sim_inode *inode = snapshot->inode;
    size_t kept = 0;
    int64_t truncated = INT64_MAX;

    if (snapshot->sequence < inode->applied)
        return; /* a later sync was faster and covered all of this */
    inode->applied = snapshot->sequence;
    for (size_t i = 0; i < inode->truncation_count; i++) {
        if (inode->truncations[i].sequence <= snapshot->sequence)
            truncated = MIN(truncated, inode->truncations[i].size_bytes);
        else
            inode->truncations[kept++] = inode->truncations[i];
    }
    inode->truncation_count = kept;
    sim_inode_stable_truncate(inode, truncated);
    for (size_t i = 0; i < snapshot->count; i++) {
        size_t at = snapshot->low + i;

        if (!snapshot->pages[i])
            continue;
        if (inode->live[at] == snapshot->pages[i] && page_is_dirty(inode, at))
            dirty_subtract(inode);
        sim_page_set(&inode->stable[at], sim_page_ref(snapshot->pages[i]));
        sim_page_set(&inode->lost[at], NULL);
    }
    inode->stable_bytes = snapshot->size_bytes;
}

void sim_snapshot_lose(struct sim_snapshot *snapshot)
{
    struct sim_inode *inode = snapshot->inode;

    for (size_t i = 0; i < snapshot->count; i++) {
        size_t at = snapshot->low + i;

        if (!snapshot->pages[i] || inode->live[at] != snapshot->pages[i] ||
            !page_is_dirty(inode, at))
            continue;
        dirty_subtract(inode);
        sim_page_set(&inode->lost[at], sim_page_ref(snapshot->pages[i]));
    }
}
