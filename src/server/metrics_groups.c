/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_groups.c: groups on /metrics: how many in which state, and how far each is behind.
 * docs/design/coordinator_runner.md §7.
 *
 * Taken on the shard of the coordinator (group_sample_take), matched with partitions and written on the
 * HTTP thread. Lag is the partition's high watermark less the committed offset, and the age of the record
 * at that offset (lag_times.c), also of groups without members; partitions whose log was not opened yet
 * have none to show. The number of series of each is bounded by barnabas.metrics.group.series.max.
 */
#include "server/metrics_page.h"

#include "base/assert.h"
#include "base/fmt.h"
#include "base/hash_map.h"
#include "config/config.h"
#include "server/coordinator.h"
#include "server/metrics_text.h"
#include "server/publication.h"

/* ---- on the shard ---- */

struct taking {
    struct arena *arena;
    struct shard_sample *sample;
    size_t offsets_max, room;
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

/* Room for one more, up to the limit. */
static bool offsets_grow(struct taking *taking)
{
    struct shard_sample *sample = taking->sample;
    size_t room = MIN(MAX(taking->room * 2, (size_t)64), taking->offsets_max);
    struct group_offset_sample *grown;

    if (sample->group_offset_count < taking->room)
        return true;
    grown =
        room > taking->room ? ARENA_ARRAY(taking->arena, struct group_offset_sample, room) : NULL;
    if (!grown)
        return false;
    if (taking->room > 0)
        memcpy(grown, sample->group_offsets, taking->room * sizeof *grown);
    sample->group_offsets = grown;
    taking->room = room;
    return true;
}

static void offset_taken(void *context, const struct group_offset_view *offset)
{
    struct taking *taking = context;
    struct shard_sample *sample = taking->sample;

    if (!offsets_grow(taking)) {
        sample->group_offsets_left_out++;
        return;
    }
    sample->group_offsets[sample->group_offset_count++] = (struct group_offset_sample){
        .group_id = arena_copy(taking->arena, offset->group_id),
        .topic = arena_copy(taking->arena, offset->topic),
        .partition = offset->partition,
        .offset = offset->offset,
        .oldest_ms = -1,
    };
}

void group_sample_take(const struct shard *shard, struct arena *arena, struct shard_sample *sample)
{
    struct taking taking = {.arena = arena, .sample = sample};
    struct coordinator_watcher watcher = {&taking, group_seen, offset_taken};

    if (!shard->coordinators || !shard->publication)
        return;
    sample->group_series_max =
        config_int(shard->publication->config, BARNABAS_METRICS_GROUP_SERIES_MAX);
    taking.offsets_max = (size_t)MAX(sample->group_series_max, 0);
    coordinator_service_each(shard->coordinators, &watcher);
}

/* ---- on the page ---- */

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
        metrics_text(out, name);
        metrics_text(out, "{type=\"");
        metrics_text(out, sums[k].type);
        metrics_text(out, "\",state=\"");
        metrics_text(out, sums[k].state);
        metrics_number(out, "\"} ", members ? sums[k].members : sums[k].groups, "\n");
    }
}

/* ---- which partition an offset is of ---- */

struct end_node {
    struct hash_map_node node;
    const struct partition_sample *partition;
    int32_t shard;
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

static void ends_collect(const struct shard_sample *shards, size_t shard_count, struct arena *arena,
                         struct hash_map *ends)
{
    for (size_t i = 0; i < shard_count; i++) {
        size_t count = shards[i].partition_count;
        struct end_node *nodes = ARENA_ARRAY(arena, struct end_node, count);

        for (size_t j = 0; nodes && j < count; j++) {
            nodes[j].partition = &shards[i].partitions[j];
            nodes[j].shard = (int32_t)i;
            if (nodes[j].partition->is_open &&
                hash_map_insert(ends,
                                end_hash(nodes[j].partition->topic, nodes[j].partition->partition),
                                &nodes[j].node) != OK)
                return;
        }
    }
}

int64_t group_offsets_match(struct shard_sample *shards, size_t shard_count)
{
    CLEANUP(arena_release) struct arena arena;
    struct hash_map ends;
    int64_t matched = 0, left_out = 0;

    arena_init(&arena, &heap_allocator, SIZE_MAX);
    hash_map_init(&ends, &heap_allocator, end_matches);
    ends_collect(shards, shard_count, &arena, &ends);
    for (size_t i = 0; i < shard_count; i++) {
        left_out += shards[i].group_offsets_left_out;
        for (size_t j = 0; j < shards[i].group_offset_count; j++) {
            struct group_offset_sample *offset = &shards[i].group_offsets[j];
            struct hash_map_node *found =
                hash_map_find(&ends, end_hash(offset->topic, offset->partition), offset);

            if (matched >= shards[i].group_series_max) {
                left_out++;
            } else if (found) {
                offset->log = CONTAINER_OF(found, struct end_node, node)->partition;
                offset->log_shard = CONTAINER_OF(found, struct end_node, node)->shard;
                matched++;
            }
        }
    }
    hash_map_release(&ends);
    return left_out;
}

/* ---- lag ---- */

static void series_head(struct writer *out, const char *name,
                        const struct group_offset_sample *offset)
{
    metrics_text(out, name);
    metrics_text(out, "{group=\"");
    metrics_label(out, offset->group_id);
    metrics_text(out, "\",topic=\"");
    metrics_label(out, offset->topic);
    metrics_number(out, "\",partition=\"", offset->partition, "\"} ");
}

static void records_write(const struct group_offset_sample *offset, struct writer *out)
{
    series_head(out, "barnabas_group_lag_records", offset);
    metrics_number(out, "", MAX(offset->log->high_watermark - offset->offset, 0), "\n");
}

static void seconds_write(const struct group_offset_sample *offset, int64_t wall_ms,
                          struct writer *out)
{
    bool is_behind = offset->offset < offset->log->high_watermark;
    int64_t age_ms = is_behind ? MAX(wall_ms - offset->oldest_ms, 0) : 0;
    char digits[32];

    if (is_behind && offset->oldest_ms < 0)
        return;
    series_head(out, "barnabas_group_lag_seconds", offset);
    (void)fmt(digits, sizeof digits, "%lld.%03d\n", (long long)(age_ms / 1000),
              (int)(age_ms % 1000));
    metrics_text(out, digits);
}

static void lags_write(const struct node_sample *sample, struct writer *out)
{
    for (int seconds = 0; seconds < 2; seconds++) {
        if (seconds)
            metrics_head(out, "barnabas_group_lag_seconds", "gauge",
                         "Age of the oldest record that the group has not committed.");
        else
            metrics_head(out, "barnabas_group_lag_records", "gauge",
                         "Committed records that the group has not committed.");
        for (size_t i = 0; i < sample->shard_count; i++) {
            const struct shard_sample *shard = &sample->shards[i];

            for (size_t j = 0; j < shard->group_offset_count; j++) {
                const struct group_offset_sample *offset = &shard->group_offsets[j];

                if (offset->log && seconds)
                    seconds_write(offset, sample->wall_ms, out);
                else if (offset->log)
                    records_write(offset, out);
            }
        }
    }
    metrics_head(out, "barnabas_group_series_left_out", "gauge",
                 "Lags not shown: barnabas.metrics.group.series.max.");
    metrics_number(out, "barnabas_group_series_left_out ", sample->group_series_left_out, "\n");
}

void metrics_groups_write(const struct node_sample *sample, struct writer *out)
{
    metrics_head(out, "barnabas_groups", "gauge", "Groups that this node coordinates.");
    states_write(sample, out, false, "barnabas_groups");
    metrics_head(out, "barnabas_group_members", "gauge", "Members of those groups.");
    states_write(sample, out, true, "barnabas_group_members");
    lags_write(sample, out);
}
