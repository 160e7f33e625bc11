/* SPDX-License-Identifier: Apache-2.0 */
/* coordinator/group/consumer_metadata.c: a member's settings as values: copies, comparisons, names. */
#include "coordinator/group/consumer_internal.h"

const struct consumer_metadata consumer_metadata_none = {
    .client_id = {(const uint8_t *)"", 0},
    .client_host = {(const uint8_t *)"", 0},
    .regex = {(const uint8_t *)"", 0},
    .instance_id = {NULL, 0},
    .rebalance_timeout_ms = -1,
};

/* ---- sorting ---- */

static void names_sift(struct slice *names, int32_t root, int32_t end)
{
    for (int32_t child; (child = 2 * root + 1) < end; root = child) {
        struct slice held = names[root];

        if (child + 1 < end && assign_compare_text(names[child], names[child + 1]) < 0)
            child++;
        if (assign_compare_text(held, names[child]) >= 0)
            return;
        names[root] = names[child];
        names[child] = held;
    }
}

int32_t consumer_names_sort(struct slice *names, int32_t count)
{
    int32_t kept = 0;

    for (int32_t root = count / 2; root-- > 0;)
        names_sift(names, root, count);
    for (int32_t end = count; end-- > 1;) {
        struct slice top = names[0];

        names[0] = names[end];
        names[end] = top;
        names_sift(names, 0, end);
    }
    for (int32_t i = 0; i < count; i++)
        if (kept == 0 || !slice_equal(names[kept - 1], names[i]))
            names[kept++] = names[i];
    return kept;
}

bool consumer_names_contain(const struct slice *names, int32_t count, struct slice name)
{
    int32_t low = 0, high = count;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = assign_compare_text(names[middle], name);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void i32_sift(int32_t *values, int32_t root, int32_t end)
{
    for (int32_t child; (child = 2 * root + 1) < end; root = child) {
        int32_t held = values[root];

        if (child + 1 < end && values[child] < values[child + 1])
            child++;
        if (held >= values[child])
            return;
        values[root] = values[child];
        values[child] = held;
    }
}

void consumer_sort_i32(int32_t *values, int32_t count)
{
    bool sorted = true;

    for (int32_t i = 1; i < count && sorted; i++)
        sorted = values[i - 1] <= values[i];
    if (sorted)
        return;
    for (int32_t root = count / 2; root-- > 0;)
        i32_sift(values, root, count);
    for (int32_t end = count; end-- > 1;) {
        int32_t top = values[0];

        values[0] = values[end];
        values[end] = top;
        i32_sift(values, 0, end);
    }
}

/* ---- metadata ---- */

static struct slice block_copy(uint8_t **at, struct slice from)
{
    struct slice copy = {*at, from.size_bytes};

    if (slice_is_null(from))
        return SLICE_NULL;
    if (from.size_bytes > 0)
        memcpy(*at, from.data, from.size_bytes);
    *at += from.size_bytes;
    return copy;
}

static size_t metadata_block_bytes(const struct consumer_metadata *metadata)
{
    size_t bytes = sizeof *metadata + (size_t)metadata->topic_count * sizeof(struct slice) +
                   (size_t)metadata->protocol_count * sizeof(struct classic_protocol) +
                   metadata->instance_id.size_bytes + metadata->rack_id.size_bytes +
                   metadata->client_id.size_bytes + metadata->client_host.size_bytes +
                   metadata->regex.size_bytes + metadata->assignor.size_bytes;

    for (int32_t i = 0; i < metadata->topic_count; i++)
        bytes += metadata->topics[i].size_bytes;
    for (int32_t i = 0; i < metadata->protocol_count; i++)
        bytes +=
            metadata->protocols[i].name.size_bytes + metadata->protocols[i].metadata.size_bytes;
    return bytes + 1; /* an empty slice at the end still points inside */
}

enum err consumer_metadata_copy(struct allocator *allocator, const struct consumer_metadata *from,
                                struct consumer_metadata **out)
{
    size_t bytes = metadata_block_bytes(from);
    struct consumer_metadata *copy = allocator->allocate(allocator, bytes);

    if (!copy)
        return ERR_NO_MEMORY;
    struct slice *topics = (struct slice *)(void *)(copy + 1);
    struct classic_protocol *protocols =
        (struct classic_protocol *)(void *)(topics + from->topic_count);
    uint8_t *at = (uint8_t *)(void *)(protocols + from->protocol_count);

    *copy = *from;
    copy->block_bytes = bytes;
    copy->instance_id = block_copy(&at, from->instance_id);
    copy->rack_id = block_copy(&at, from->rack_id);
    copy->client_id = block_copy(&at, from->client_id);
    copy->client_host = block_copy(&at, from->client_host);
    copy->regex = block_copy(&at, from->regex);
    copy->assignor = block_copy(&at, from->assignor);
    copy->topics = topics;
    copy->protocols = protocols;
    for (int32_t i = 0; i < from->topic_count; i++)
        topics[i] = block_copy(&at, from->topics[i]);
    for (int32_t i = 0; i < from->protocol_count; i++) {
        protocols[i].name = block_copy(&at, from->protocols[i].name);
        protocols[i].metadata = block_copy(&at, from->protocols[i].metadata);
    }
    *out = copy;
    return OK;
}

bool consumer_metadata_same_topics(const struct consumer_metadata *a,
                                   const struct consumer_metadata *b)
{
    if (a->topic_count != b->topic_count)
        return false;
    for (int32_t i = 0; i < a->topic_count; i++)
        if (!slice_equal(a->topics[i], b->topics[i]))
            return false;
    return true;
}

static bool same_protocols(const struct consumer_metadata *a, const struct consumer_metadata *b)
{
    if (a->is_classic != b->is_classic)
        return false;
    if (!a->is_classic)
        return true;
    if (a->classic_session_timeout_ms != b->classic_session_timeout_ms ||
        a->protocol_count != b->protocol_count)
        return false;
    for (int32_t i = 0; i < a->protocol_count; i++)
        if (!slice_equal(a->protocols[i].name, b->protocols[i].name) ||
            !slice_equal(a->protocols[i].metadata, b->protocols[i].metadata))
            return false;
    return true;
}

bool consumer_metadata_equal(const struct consumer_metadata *a, const struct consumer_metadata *b)
{
    return slice_equal(a->instance_id, b->instance_id) && slice_equal(a->rack_id, b->rack_id) &&
           slice_equal(a->client_id, b->client_id) && slice_equal(a->client_host, b->client_host) &&
           slice_equal(a->regex, b->regex) && slice_equal(a->assignor, b->assignor) &&
           a->rebalance_timeout_ms == b->rebalance_timeout_ms &&
           consumer_metadata_same_topics(a, b) && same_protocols(a, b);
}

/* ---- assignments ---- */

bool assignment_equal(const struct assignment *a, const struct assignment *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++) {
        const struct topic_partitions *x = &a->topics[i], *y = &b->topics[i];
        size_t bytes = (size_t)x->count * sizeof(int32_t);

        if (x->count != y->count || !uuid_equal(x->topic_id, y->topic_id) ||
            memcmp(x->partitions, y->partitions, bytes) != 0)
            return false;
        if (x->epochs && y->epochs && memcmp(x->epochs, y->epochs, bytes) != 0)
            return false;
    }
    return true;
}

bool consumer_current_equal(const struct consumer_current *a, const struct consumer_current *b)
{
    return a->epoch == b->epoch && a->previous_epoch == b->previous_epoch && a->state == b->state &&
           assignment_equal(&a->assigned, &b->assigned) &&
           assignment_equal(&a->revoking, &b->revoking);
}

enum err consumer_owned_copy(struct allocator *allocator, const struct assignment *from,
                             struct consumer_owned *out)
{
    size_t bytes = (size_t)from->count * sizeof(struct topic_partitions);
    struct topic_partitions *topics;
    int32_t *at;

    *out = (struct consumer_owned){0};
    if (from->count == 0)
        return OK;
    for (int32_t i = 0; i < from->count; i++)
        bytes += (size_t)from->topics[i].count * (from->topics[i].epochs ? 2 : 1) * sizeof(int32_t);
    topics = allocator->allocate(allocator, bytes);
    if (!topics)
        return ERR_NO_MEMORY;
    at = (int32_t *)(void *)(topics + from->count);
    for (int32_t i = 0; i < from->count; i++) {
        size_t count = (size_t)from->topics[i].count;

        topics[i] = from->topics[i];
        topics[i].partitions = at;
        memcpy(at, from->topics[i].partitions, count * sizeof *at);
        at += count;
        if (from->topics[i].epochs) {
            topics[i].epochs = at;
            memcpy(at, from->topics[i].epochs, count * sizeof *at);
            at += count;
        }
    }
    *out = (struct consumer_owned){{topics, from->count}, topics, bytes};
    return OK;
}

void consumer_owned_release(struct allocator *allocator, struct consumer_owned *owned)
{
    if (owned->block)
        allocator->release(allocator, owned->block, owned->block_bytes);
    *owned = (struct consumer_owned){0};
}
