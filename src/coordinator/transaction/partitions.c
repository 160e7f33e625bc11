/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator/transaction/partitions.c: sets of partitions of transactions. A set is one block, counted
 * by reference and never changed: the committed value and the versions behind it share it.
 */
#include "coordinator/transaction_internal.h"

static int partition_order(const struct coordinator_partition *a,
                           const struct coordinator_partition *b)
{
    /* Neighbours in a set share the bytes of a name. */
    int order = a->topic.data == b->topic.data && a->topic.size_bytes == b->topic.size_bytes
                    ? 0
                    : slice_compare(a->topic, b->topic);

    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static void sift_down(struct coordinator_partition *items, size_t from, size_t count)
{
    for (size_t child; (child = 2 * from + 1) < count; from = child) {
        struct coordinator_partition swap = items[from];

        if (child + 1 < count && partition_order(&items[child], &items[child + 1]) < 0)
            child++;
        if (partition_order(&swap, &items[child]) >= 0)
            return;
        items[from] = items[child];
        items[child] = swap;
    }
}

/* Heap sort: a peer chooses what is sorted. */
static void partitions_sort(struct coordinator_partition *items, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(items, i, count);
    for (size_t end = count; end-- > 1;) {
        struct coordinator_partition last = items[end];

        items[end] = items[0];
        items[0] = last;
        sift_down(items, 0, end);
    }
}

static enum err set_build(struct allocator *allocator, const struct coordinator_partition *items,
                          size_t count, struct transaction_partitions **out)
{
    size_t size_bytes = sizeof(struct transaction_partitions) + count * sizeof *items;
    struct transaction_partitions *set;
    struct slice name = SLICE_NULL;
    uint8_t *at;

    for (size_t i = 0; i < count; i++)
        if (i == 0 || !slice_equal(items[i].topic, items[i - 1].topic))
            size_bytes += items[i].topic.size_bytes;
    set = allocator->allocate(allocator, size_bytes);
    if (!set)
        return ERR_NO_MEMORY;
    set->references = 1;
    set->count = (uint32_t)count;
    set->size_bytes = size_bytes;
    at = (uint8_t *)&set->items[count];
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !slice_equal(items[i].topic, name)) {
            if (items[i].topic.size_bytes > 0)
                memcpy(at, items[i].topic.data, items[i].topic.size_bytes);
            name = slice_of(at, items[i].topic.size_bytes);
            at += name.size_bytes;
        }
        set->items[i] = (struct coordinator_partition){name, items[i].index};
    }
    *out = set;
    return OK;
}

enum err transaction_partitions_union(struct allocator *allocator, struct arena *scratch,
                                      const struct transaction_partitions *base,
                                      const struct coordinator_partition *added, size_t added_count,
                                      struct transaction_partitions **out)
{
    size_t base_count = transaction_partitions_count(base), count = 0;
    struct coordinator_partition *sorted, *merged;

    *out = NULL;
    if (base_count + added_count == 0)
        return OK;
    sorted = ARENA_ARRAY(scratch, struct coordinator_partition, added_count);
    merged = ARENA_ARRAY(scratch, struct coordinator_partition, base_count + added_count);
    if (!sorted || !merged)
        return ERR_NO_MEMORY;
    if (added_count > 0)
        memcpy(sorted, added, added_count * sizeof *sorted);
    partitions_sort(sorted, added_count);
    for (size_t b = 0, a = 0; b < base_count || a < added_count;) {
        const struct coordinator_partition *next;

        if (a == added_count)
            next = &base->items[b++];
        else if (b == base_count)
            next = &sorted[a++];
        else
            next = partition_order(&base->items[b], &sorted[a]) <= 0 ? &base->items[b++]
                                                                     : &sorted[a++];
        if (count == 0 || partition_order(&merged[count - 1], next) != 0)
            merged[count++] = *next;
    }
    return set_build(allocator, merged, count, out);
}

struct transaction_partitions *transaction_partitions_ref(struct transaction_partitions *set)
{
    if (set)
        set->references++;
    return set;
}

void transaction_partitions_release(struct allocator *allocator,
                                    struct transaction_partitions **set)
{
    struct transaction_partitions *old = TAKE(*set);

    if (!old)
        return;
    ASSERT(old->references > 0);
    if (--old->references == 0)
        allocator->release(allocator, old, old->size_bytes);
}

bool transaction_partitions_have(const struct transaction_partitions *set,
                                 const struct coordinator_partition *partition)
{
    size_t low = 0, high = transaction_partitions_count(set);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = partition_order(&set->items[middle], partition);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
