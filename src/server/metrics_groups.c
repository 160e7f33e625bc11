/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_groups.c: groups on /metrics: how many in which state, and how far each is behind.
 * docs/design/coordinator_runner.md §7.
 *
 * Taken on the shard of the coordinator (group_sample_take), written on the HTTP thread. Lag is the
 * partition's high watermark less the committed offset, also of groups without members; partitions
 * whose log was not opened yet have none to show. The number of series is bounded by
 * barnabas.metrics.group.series.max.
 */
#include "server/metrics_page.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/hash_map.h"
#include "config/config.h"
#include "server/coordinator.h"
#include "server/publication.h"

/* ---- on the shard ---- */

struct taking {
    struct arena *arena;
    struct shard_sample *sample;
    size_t offsets_max;
    size_t offset_count;
};

static void state_count(struct shard_sample *sample, const struct group_view *group)
{
    size_t i = 0;

    while (i < sample->group_state_count &&
           (strcmp(sample->group_states[i].type, group->type) != 0 ||
            strcmp(sample->group_states[i].state, group->state) != 0))
        i++;
    if (i == METRICS_GROUP_STATES)
        return;
    if (i == sample->group_state_count)
        sample->group_states[sample->group_state_count++] =
            (struct group_state_sample){group->type, group->state, 0, 0};
    sample->group_states[i].groups++;
    sample->group_states[i].members += group->members;
}

static void group_seen(void *context, const struct group_view *group)
{
    struct taking *taking = context;

    state_count(taking->sample, group);
}

static void offset_counted(void *context, const struct group_offset_view *offset)
{
    UNUSED(offset);
    ((struct taking *)context)->offset_count++;
}

static void offset_taken(void *context, const struct group_offset_view *offset)
{
    struct taking *taking = context;
    struct shard_sample *sample = taking->sample;
    struct group_offset_sample *to;

    if (sample->group_offset_count >= taking->offsets_max)
        return;
    to = &sample->group_offsets[sample->group_offset_count++];
    *to = (struct group_offset_sample){
        .group_id = arena_copy(taking->arena, offset->group_id),
        .topic = arena_copy(taking->arena, offset->topic),
        .partition = offset->partition,
        .offset = offset->offset,
    };
}

void group_sample_take(const struct shard *shard, struct arena *arena, struct shard_sample *sample)
{
    struct taking taking = {.arena = arena, .sample = sample};
    struct coordinator_watcher watcher = {&taking, group_seen, offset_counted};

    if (!shard->coordinators || !shard->publication)
        return;
    sample->group_series_max =
        config_int(shard->publication->config, BARNABAS_METRICS_GROUP_SERIES_MAX);
    coordinator_service_each(shard->coordinators, &watcher);
    taking.offsets_max = MIN(taking.offset_count, (size_t)MAX(sample->group_series_max, 0));
    sample->group_offsets_left_out = (int64_t)(taking.offset_count - taking.offsets_max);
    sample->group_offsets = ARENA_ARRAY(arena, struct group_offset_sample, taking.offsets_max);
    if (!sample->group_offsets)
        return;
    watcher = (struct coordinator_watcher){&taking, NULL, offset_taken};
    coordinator_service_each(shard->coordinators, &watcher);
}

/* ---- on the page ---- */

static void text(struct writer *out, const char *words)
{
    writer_bytes(out, words, strlen(words));
}

static void label(struct writer *out, struct slice value)
{
    for (size_t i = 0; i < value.size_bytes; i++) {
        uint8_t byte = value.data[i];

        if (byte == '\\' || byte == '"')
            writer_u8(out, '\\');
        if (byte == '\n')
            text(out, "\\n");
        else
            writer_u8(out, byte);
    }
}

static void number(struct writer *out, const char *before, int64_t value, const char *after)
{
    char digits[32];

    (void)fmt(digits, sizeof digits, "%lld", (long long)value);
    text(out, before);
    text(out, digits);
    text(out, after);
}

static void head(struct writer *out, const char *name, const char *help)
{
    text(out, "# HELP ");
    text(out, name);
    text(out, " ");
    text(out, help);
    text(out, "\n# TYPE ");
    text(out, name);
    text(out, " gauge\n");
}

/* The same state of groups on several shards is one line. */
static void states_write(const struct node_sample *sample, struct writer *out, bool members,
                         const char *name)
{
    struct group_state_sample sums[METRICS_GROUP_STATES];
    size_t count = 0;

    for (size_t i = 0; i < sample->shard_count; i++) {
        for (size_t j = 0; j < sample->shards[i].group_state_count; j++) {
            const struct group_state_sample *from = &sample->shards[i].group_states[j];
            size_t k = 0;

            while (k < count && (strcmp(sums[k].type, from->type) != 0 ||
                                 strcmp(sums[k].state, from->state) != 0))
                k++;
            if (k == METRICS_GROUP_STATES)
                continue;
            if (k == count)
                sums[count++] = (struct group_state_sample){from->type, from->state, 0, 0};
            sums[k].groups += from->groups;
            sums[k].members += from->members;
        }
    }
    for (size_t k = 0; k < count; k++) {
        text(out, name);
        text(out, "{type=\"");
        text(out, sums[k].type);
        text(out, "\",state=\"");
        text(out, sums[k].state);
        number(out, "\"} ", members ? sums[k].members : sums[k].groups, "\n");
    }
}

struct end_node {
    struct hash_map_node node;
    const struct partition_sample *partition;
};

static uint64_t end_hash(struct slice topic, int32_t partition)
{
    return hash_u64(hash_slice(topic) + (uint64_t)(uint32_t)partition);
}

static bool end_matches(const struct hash_map_node *node, const void *key)
{
    const struct partition_sample *own = CONTAINER_OF(node, const struct end_node, node)->partition;
    const struct group_offset_sample *wanted = key;

    return own->partition == wanted->partition && slice_equal(own->topic, wanted->topic);
}

static void ends_collect(const struct node_sample *sample, struct arena *arena,
                         struct hash_map *ends)
{
    for (size_t i = 0; i < sample->shard_count; i++) {
        size_t count = sample->shards[i].partition_count;
        struct end_node *nodes = ARENA_ARRAY(arena, struct end_node, count);

        for (size_t j = 0; nodes && j < count; j++) {
            nodes[j].partition = &sample->shards[i].partitions[j];
            if (nodes[j].partition->is_open &&
                hash_map_insert(ends,
                                end_hash(nodes[j].partition->topic, nodes[j].partition->partition),
                                &nodes[j].node) != OK)
                return;
        }
    }
}

static bool lag_write(const struct hash_map *ends, const struct group_offset_sample *offset,
                      struct writer *out)
{
    struct hash_map_node *found =
        hash_map_find(ends, end_hash(offset->topic, offset->partition), offset);

    if (!found)
        return false;
    text(out, "barnabas_group_lag_records{group=\"");
    label(out, offset->group_id);
    text(out, "\",topic=\"");
    label(out, offset->topic);
    number(out, "\",partition=\"", offset->partition, "\"} ");
    number(
        out, "",
        MAX(CONTAINER_OF(found, struct end_node, node)->partition->high_watermark - offset->offset,
            0),
        "\n");
    return true;
}

static void lags_write(const struct node_sample *sample, struct writer *out)
{
    CLEANUP(arena_release) struct arena arena;
    struct hash_map ends;
    int64_t written = 0, left_out = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    hash_map_init(&ends, &heap_allocator, end_matches);
    ends_collect(sample, &arena, &ends);
    head(out, "barnabas_group_lag_records", "Committed records that the group has not committed.");
    for (size_t i = 0; i < sample->shard_count; i++) {
        const struct shard_sample *shard = &sample->shards[i];

        left_out += shard->group_offsets_left_out;
        for (size_t j = 0; j < shard->group_offset_count; j++) {
            if (written >= shard->group_series_max)
                left_out++;
            else
                written += lag_write(&ends, &shard->group_offsets[j], out);
        }
    }
    hash_map_release(&ends);
    head(out, "barnabas_group_series_left_out",
         "Lags not shown: barnabas.metrics.group.series.max.");
    number(out, "barnabas_group_series_left_out ", left_out, "\n");
}

void metrics_groups_write(const struct node_sample *sample, struct writer *out)
{
    head(out, "barnabas_groups", "Groups that this node coordinates.");
    states_write(sample, out, false, "barnabas_groups");
    head(out, "barnabas_group_members", "Members of those groups.");
    states_write(sample, out, true, "barnabas_group_members");
    lags_write(sample, out);
}
