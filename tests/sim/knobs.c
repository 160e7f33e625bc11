/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/knobs.c: small values, drawn per seed, so that edges which take hours elsewhere come within seconds.
 */
#include "world.h"

#include "base/assert.h"

static int64_t pick(struct random *random, const int64_t *values, size_t count)
{
    return values[random_below(random, count)];
}
#define PICK(random, ...)                          \
    pick((random), (const int64_t[]){__VA_ARGS__}, \
         sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void number(char *out, size_t capacity_bytes, int64_t value)
{
    snprintf(out, capacity_bytes, "%lld", (long long)value);
}

/* Sessions of seconds, few partitions of the offsets topic, all policies. The last ones, so that the others stay. */
static void groups_draw(struct random *random, struct knobs *out)
{
    static const char *const policies[] = {"bidirectional", "bidirectional", "upgrade", "downgrade",
                                           "disabled"};
    size_t length = strlen(out->properties);

    out->has_groups = random_chance(random, 2, 5);
    length += (size_t)snprintf(
        out->properties + length, sizeof out->properties - length,
        "offsets.topic.num.partitions=%lld\n"
        "group.initial.rebalance.delay.ms=%lld\n"
        "group.min.session.timeout.ms=100\n"
        "group.consumer.min.session.timeout.ms=100\n"
        "group.consumer.session.timeout.ms=2000\n"
        "group.consumer.min.heartbeat.interval.ms=10\n"
        "group.consumer.heartbeat.interval.ms=100\n"
        "group.consumer.assignment.interval.ms=%lld\n"
        "group.consumer.migration.policy=%s\n"
        "group.coordinator.append.linger.ms=%lld\n"
        "offsets.load.buffer.size=%lld\n"
        "offsets.topic.segment.bytes=%lld\n"
        "offsets.retention.check.interval.ms=%lld\n",
        (long long)PICK(random, 1, 2, 3), (long long)PICK(random, 0, 0, 50, 200),
        (long long)PICK(random, 0, 0, 100, 1000), policies[random_below(random, 5)],
        (long long)PICK(random, -1, -1, 0, 5), (long long)PICK(random, 5242880, 2000),
        (long long)PICK(random, 104857600, 1048576), (long long)PICK(random, 600000, 500));
    ASSERT(length < sizeof out->properties);
}

void knobs_draw(struct random *random, int node_count, struct knobs *out)
{
    char directories[64] = "";
    size_t length = 0;

    UNUSED(node_count);
    *out = (struct knobs){
        .shards = (int32_t)random_between(random, 1, 4),
        .directories = (int32_t)PICK(random, 1, 1, 2, 3),
        .is_flush_os = random_chance(random, 1, 4),
        .run_ms = random_between(random, 1000, 8000),
        .retention_ms = PICK(random, -1, -1, 604800000, 60000, 1000, 200),
        .retention_bytes = PICK(random, -1, -1, -1, 20000, 2000),
    };
    number(out->segment_bytes, sizeof out->segment_bytes,
           PICK(random, 1024, 1500, 4096, 16384, 1 << 20));
    number(out->index_interval, sizeof out->index_interval, PICK(random, 0, 1, 100, 1000, 4096));
    number(out->segment_ms, sizeof out->segment_ms, PICK(random, 604800000, 604800000, 1000, 100));
    number(out->flush_messages, sizeof out->flush_messages,
           PICK(random, INT64_MAX, INT64_MAX, 1, 50));
    for (int i = 0; i < out->directories; i++)
        length += (size_t)snprintf(directories + length, sizeof directories - length, "%s/data%d",
                                   i ? "," : "", i);
    snprintf(
        out->properties, sizeof out->properties,
        "log.dirs=%s\n"
        "barnabas.shards=%d\n"
        "barnabas.flush.mode=%s\n"
        "barnabas.disk.reserve.bytes=%lld\n"
        "log.retention.check.interval.ms=%lld\n"
        "log.segment.delete.delay.ms=%lld\n"
        "log.flush.offset.checkpoint.interval.ms=%lld\n"
        "log.flush.start.offset.checkpoint.interval.ms=%lld\n"
        "log.message.timestamp.after.max.ms=9223372036854775807\n"
        "replica.high.watermark.checkpoint.interval.ms=%lld\n"
        "metadata.log.max.record.bytes.between.snapshots=%lld\n",
        directories, out->shards, out->is_flush_os ? "os" : "commit",
        (long long)PICK(random, 0, 65536, 1 << 20), (long long)PICK(random, 20, 100, 1000, 300000),
        (long long)PICK(random, 0, 10, 500, 60000), (long long)PICK(random, 10, 200, 5000, 60000),
        (long long)PICK(random, 10, 200, 5000, 60000), (long long)PICK(random, 20, 500, 5000),
        (long long)PICK(random, 500, 5000, 20971520));
    groups_draw(random, out);
}

void knobs_fix(uint64_t number, struct knobs *out)
{
    struct random random;

    random_init(&random, number);
    do
        knobs_draw(&random, 1, out);
    while (out->is_flush_os || out->retention_ms >= 0 || out->retention_bytes >= 0);
    out->has_groups = true;
}
