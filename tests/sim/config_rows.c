/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim/config_rows.c: the rows of config_test.c.
 */
#include "config_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t produce_error(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return lab_produce(lab, &(struct lab_batch){.value_bytes = 5000, .is_random = true}, NULL);
}
static int64_t produce_error_inflated(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return lab_produce(lab, &(struct lab_batch){.value_bytes = 100000, .codec = COMPRESSION_GZIP},
                       NULL) != 0;
}
static int64_t produce_error_of_age(struct lab *lab, const char *argument)
{
    return lab_produce(lab, &(struct lab_batch){.age_ms = strtoll(argument, NULL, 10)}, NULL);
}
static int64_t produce_error_transactional(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return lab_produce(lab, &(struct lab_batch){.is_transactional = true, .producer_id = 5}, NULL);
}
static int64_t stored_codec(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    return lab_fetch(lab, 1 << 20).attributes & 7;
}
static int64_t stored_time_type(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &(struct lab_batch){0}, NULL), 0);
    return (lab_fetch(lab, 1 << 20).attributes & 8) != 0;
}
static int64_t stored_bytes(struct lab *lab, const char *argument)
{
    struct lab_batch batch = {.value_bytes = 3000, .records = 30, .is_text = true};

    UNUSED(argument);
    assert_int_equal(lab_produce(lab, &batch, NULL), 0);
    return lab_fetch(lab, 1 << 20).first_batch_bytes;
}
static int64_t partitions_made(struct lab *lab, const char *argument)
{
    return lab_partitions(lab, argument, true);
}
/* argument: "topic key" */
static int64_t config_made(struct lab *lab, const char *argument)
{
    size_t name = strcspn(argument, " ");
    const char *topic = arena_format(&lab->arena, "%.*s", (int)name, argument);

    if (lab_partitions(lab, topic, true) < 0)
        return -1;
    return lab_topic_number(lab, topic, argument + name + 1);
}
static int64_t create_error(struct lab *lab, const char *argument)
{
    UNUSED(argument);
    return lab_create_topic(lab, "t", -1, -1);
}

#define OS "barnabas.flush.mode=os\n"
#define TWO_DIRECTORIES "log.dirs=/data,/data2\nmetadata.log.dir=/data\n"
#define THREE_LISTENERS                                                                     \
    "listeners=PLAINTEXT://:9092,OTHER://:9192,CONTROLLER://:9093\n"                        \
    "advertised.listeners=PLAINTEXT://node:9092,OTHER://node:9192,CONTROLLER://node:9093\n" \
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
#define CLEANS "log.cleanup.policy=compact\nlog.roll.ms=1000\nlog.cleaner.backoff.ms=1000\n"
#define EAGER "log.initial.task.delay.ms=1000\nlog.retention.check.interval.ms=1000\n"

const struct row config_rows[] = {
    /* ---- topics ---- */
    {"effect: auto.create.topics.enable", .set = "auto.create.topics.enable=false",
     .observe = partitions_made, .argument = "new", .before = 1, .after = -1},
    {"effect: num.partitions", .set = "num.partitions=5", .observe = partitions_made,
     .argument = "new", .before = 1, .after = 5},
    {"effect: default.replication.factor", .set = "default.replication.factor=3",
     .observe = create_error, .before = 0, .after = 38},
    {"effect: request.timeout.ms", .set = "request.timeout.ms=-1", .observe = partitions_made,
     .argument = "new", .before = 1, .after = -1},
    {"effect: offsets.topic.num.partitions", .set = "offsets.topic.num.partitions=3",
     .observe = partitions_made, .argument = "__consumer_offsets", .before = 50, .after = 3},
    {"effect: offsets.topic.replication.factor", .set = "offsets.topic.replication.factor=3",
     .observe = partitions_made, .argument = "__consumer_offsets", .before = 50, .after = -1},
    {"effect: offsets.topic.segment.bytes", .set = "offsets.topic.segment.bytes=2097152",
     .observe = config_made, .argument = "__consumer_offsets segment.bytes", .before = 104857600,
     .after = 2097152},
    {"effect: transaction.state.log.num.partitions",
     .set = "transaction.state.log.num.partitions=3", .observe = partitions_made,
     .argument = "__transaction_state", .before = 50, .after = 3},
    {"effect: transaction.state.log.replication.factor",
     .set = "transaction.state.log.replication.factor=3", .observe = partitions_made,
     .argument = "__transaction_state", .before = 50, .after = -1},
    {"effect: transaction.state.log.segment.bytes",
     .set = "transaction.state.log.segment.bytes=2097152", .observe = config_made,
     .argument = "__transaction_state segment.bytes", .before = 104857600, .after = 2097152},
    {"effect: transaction.state.log.min.isr", .set = "transaction.state.log.min.isr=2",
     .observe = config_made, .argument = "__transaction_state min.insync.replicas", .before = 1,
     .after = 2},
    {"effect: share.coordinator.state.topic.num.partitions",
     .set = "share.coordinator.state.topic.num.partitions=3", .observe = partitions_made,
     .argument = "__share_group_state", .before = 50, .after = 3},
    {"effect: share.coordinator.state.topic.replication.factor",
     .set = "share.coordinator.state.topic.replication.factor=3", .observe = partitions_made,
     .argument = "__share_group_state", .before = 50, .after = -1},
    {"effect: share.coordinator.state.topic.segment.bytes",
     .set = "share.coordinator.state.topic.segment.bytes=2097152", .observe = config_made,
     .argument = "__share_group_state segment.bytes", .before = 104857600, .after = 2097152},
    {"effect: share.coordinator.state.topic.min.isr",
     .set = "share.coordinator.state.topic.min.isr=2", .observe = config_made,
     .argument = "__share_group_state min.insync.replicas", .before = 1, .after = 2},
    {"effect: delete.topic.enable", .set = "delete.topic.enable=false",
     .observe = deleted_files_after, .argument = "1000", .before = 1, .after = -73},

    /* ---- what a batch may be, and how it is stored ---- */
    {"effect: message.max.bytes", .set = "message.max.bytes=2000", .observe = produce_error,
     .before = 0, .after = 10},
    {"effect: max.message.bytes", .topic = "max.message.bytes=2000", .observe = produce_error,
     .before = 0, .after = 10},
    {"effect: max.decompressed.message.bytes", .set = "max.decompressed.message.bytes=2000",
     .observe = produce_error_inflated, .before = 0, .after = 1},
    {"effect: max.decompressed.message.bytes", .topic = "max.decompressed.message.bytes=2000",
     .observe = produce_error_inflated, .before = 0, .after = 1},
    {"effect: compression.type", .set = "compression.type=gzip", .observe = stored_codec,
     .before = 0, .after = 1},
    {"effect: compression.type", .topic = "compression.type=zstd", .observe = stored_codec,
     .before = 0, .after = 4},
    {"effect: compression.gzip.level", .with = "compression.type=gzip\ncompression.gzip.level=9\n",
     .set = "compression.gzip.level=1", .observe = stored_bytes, .before = DIFFERS},
    {"effect: compression.lz4.level", .with = "compression.type=lz4\ncompression.lz4.level=17\n",
     .set = "compression.lz4.level=1", .observe = stored_bytes, .before = DIFFERS},
    {"effect: compression.zstd.level", .with = "compression.type=zstd\ncompression.zstd.level=19\n",
     .set = "compression.zstd.level=-50", .observe = stored_bytes, .before = DIFFERS},
    {"effect: compression.gzip.level", .topic_with = "compression.type=gzip",
     .topic = "compression.gzip.level=1", .observe = stored_bytes, .before = DIFFERS},
    {"effect: compression.lz4.level", .topic_with = "compression.type=lz4",
     .topic = "compression.lz4.level=1", .observe = stored_bytes, .before = DIFFERS},
    {"effect: compression.zstd.level", .topic_with = "compression.type=zstd",
     .topic = "compression.zstd.level=-50", .observe = stored_bytes, .before = DIFFERS},
    {"effect: log.message.timestamp.type", .set = "log.message.timestamp.type=LogAppendTime",
     .observe = stored_time_type, .before = 0, .after = 1},
    {"effect: message.timestamp.type", .topic = "message.timestamp.type=LogAppendTime",
     .observe = stored_time_type, .before = 0, .after = 1},
    {"effect: log.message.timestamp.before.max.ms",
     .set = "log.message.timestamp.before.max.ms=1000", .observe = produce_error_of_age,
     .argument = "60000", .before = 0, .after = 32},
    {"effect: message.timestamp.before.max.ms", .topic = "message.timestamp.before.max.ms=1000",
     .observe = produce_error_of_age, .argument = "60000", .before = 0, .after = 32},
    {"effect: log.message.timestamp.after.max.ms", .set = "log.message.timestamp.after.max.ms=1000",
     .observe = produce_error_of_age, .argument = "-60000", .before = 0, .after = 32},
    {"effect: message.timestamp.after.max.ms", .topic = "message.timestamp.after.max.ms=1000",
     .observe = produce_error_of_age, .argument = "-60000", .before = 0, .after = 32},
    {"effect: transaction.partition.verification.enable",
     .set = "transaction.partition.verification.enable=false",
     .observe = produce_error_transactional, .before = 19, .after = 0},
    {"effect: barnabas.disk.low.bytes", .set = "barnabas.disk.low.bytes=1000000000000000",
     .observe = produce_error, .before = 0, .after = 56},

    /* ---- durability ---- */
    {"effect: barnabas.flush.mode", .set = "barnabas.flush.mode=os",
     .observe = kept_after_power_cut, .before = 5, .after = 0},
    {"effect: barnabas.flush.os.topics", .set = "barnabas.flush.os.topics=t*",
     .observe = kept_after_power_cut, .before = 5, .after = 0},
    {"effect: log.flush.interval.messages", .with = OS, .set = "log.flush.interval.messages=1",
     .observe = kept_after_power_cut, .before = 0, .after = 5},
    {"effect: flush.messages", .with = OS, .topic = "flush.messages=1",
     .observe = kept_after_power_cut, .before = 0, .after = 5},
    {"effect: log.flush.interval.ms",
     .with = OS "log.flush.scheduler.interval.ms=100\n"
                "log.flush.interval.ms=1000000\n",
     .set = "log.flush.interval.ms=100", .observe = kept_after_power_cut, .before = 0, .after = 5},
    {"effect: flush.ms",
     .with = OS "log.flush.scheduler.interval.ms=100\n"
                "log.flush.interval.ms=1000000\n",
     .topic = "flush.ms=100", .observe = kept_after_power_cut, .before = 0, .after = 5},
    {"effect: log.flush.scheduler.interval.ms", .with = OS,
     .set = "log.flush.scheduler.interval.ms=100", .observe = kept_after_power_cut, .before = 0,
     .after = 5},
    {"effect: log.flush.offset.checkpoint.interval.ms",
     .with = OS "log.flush.interval.messages=1\n"
                "log.flush.start.offset.checkpoint.interval.ms=1000000\n",
     .set = "log.flush.offset.checkpoint.interval.ms=1000", .observe = recovery_point_after,
     .argument = "10000", .before = 0, .after = 1},
    {"effect: log.flush.start.offset.checkpoint.interval.ms",
     .with = OS EAGER "log.flush.offset.checkpoint.interval.ms=1000000\n"
                      "log.retention.bytes=300000\n",
     .topic_with = "internal.segment.bytes=250000",
     .set = "log.flush.start.offset.checkpoint.interval.ms=1000", .observe = start_offset_after,
     .argument = "10000", .before = 1, .after = 0},
    {"effect: replica.high.watermark.checkpoint.interval.ms",
     .set = "replica.high.watermark.checkpoint.interval.ms=500", .observe = high_watermark_after,
     .argument = "2000", .before = 0, .after = 1},

    /* ---- segments and what goes ---- */
    {"effect: log.segment.bytes", .set = "log.segment.bytes=1048576", .observe = files_with_end,
     .argument = ".log", .before = 1, .after = 3},
    {"effect: segment.bytes", .topic = "segment.bytes=1048576", .observe = files_with_end,
     .argument = ".log", .before = 1, .after = 3},
    {"effect: internal.segment.bytes", .topic = "internal.segment.bytes=700000",
     .observe = files_with_end, .argument = ".log", .before = 1, .after = 3},
    {"effect: log.roll.ms", .set = "log.roll.ms=5000", .observe = files_after_pause,
     .argument = "10000", .before = 1, .after = 2},
    {"effect: segment.ms", .topic = "segment.ms=5000", .observe = files_after_pause,
     .argument = "10000", .before = 1, .after = 2},
    {"effect: log.roll.hours", .set = "log.roll.hours=1", .observe = files_after_pause,
     .argument = "4000000", .before = 1, .after = 2},
    {"effect: log.roll.jitter.ms", .with = "log.roll.ms=100000\n",
     .set = "log.roll.jitter.ms=100000", .observe = files_after_pause, .argument = "99000",
     .before = 1, .after = 2},
    {"effect: segment.jitter.ms", .topic_with = "segment.ms=100000",
     .topic = "segment.jitter.ms=100000", .observe = files_after_pause, .argument = "99000",
     .before = 1, .after = 2, .at_start = true}, /* drawn when a segment begins */
    {"effect: log.roll.jitter.hours", .with = "log.roll.hours=2\n",
     .set = "log.roll.jitter.hours=2", .observe = files_after_pause, .argument = "7100000",
     .before = 1, .after = 2},
    {"effect: log.index.interval.bytes", .set = "log.index.interval.bytes=100",
     .observe = bytes_with_end, .argument = ".index", .before = DIFFERS},
    {"effect: index.interval.bytes", .topic = "index.interval.bytes=100", .observe = bytes_with_end,
     .argument = ".index", .before = DIFFERS},
    {"effect: log.index.size.max.bytes", .set = "log.index.size.max.bytes=12",
     .observe = files_with_end, .argument = ".log", .before = 1, .after = 3},
    {"effect: segment.index.bytes", .topic = "segment.index.bytes=12", .observe = files_with_end,
     .argument = ".log", .before = 1, .after = 3},
    {"effect: log.preallocate", .with = "log.roll.ms=5000\nlog.segment.bytes=100000000\n",
     .set = "log.preallocate=true", .observe = disk_bytes_used, .before = DIFFERS},
    {"effect: preallocate", .with = "log.roll.ms=5000\nlog.segment.bytes=100000000\n",
     .topic = "preallocate=true", .observe = disk_bytes_used, .before = DIFFERS},
    {"effect: log.retention.bytes", .with = EAGER, .set = "log.retention.bytes=300000",
     .topic_with = "internal.segment.bytes=250000", .observe = earliest_after, .argument = "5000",
     .before = 0, .after = 1},
    {"effect: retention.bytes", .with = EAGER, .topic_with = "internal.segment.bytes=250000",
     .topic = "retention.bytes=300000", .observe = earliest_after, .argument = "5000", .before = 0,
     .after = 1},
    {"effect: log.retention.ms", .with = EAGER, .set = "log.retention.ms=3000",
     .observe = earliest_after, .argument = "10000", .before = 0, .after = 1},
    {"effect: retention.ms", .with = EAGER, .topic = "retention.ms=3000", .observe = earliest_after,
     .argument = "10000", .before = 0, .after = 1},
    {"effect: log.retention.minutes", .with = EAGER, .set = "log.retention.minutes=1",
     .observe = earliest_after, .argument = "90000", .before = 0, .after = 1},
    {"effect: log.retention.hours", .with = EAGER, .set = "log.retention.hours=1",
     .observe = earliest_after, .argument = "4000000", .before = 0, .after = 1},
    {"effect: log.retention.check.interval.ms", .with = "log.retention.ms=3000\n",
     .set = "log.retention.check.interval.ms=1000", .observe = earliest_late, .argument = "20000",
     .before = 0, .after = 1},
    {"effect: log.initial.task.delay.ms", .with = "log.retention.ms=3000\n",
     .set = "log.initial.task.delay.ms=5000", .observe = earliest_after, .argument = "10000",
     .before = 0, .after = 1},
    {"effect: log.cleanup.policy", .with = "log.roll.ms=1000\nlog.cleaner.backoff.ms=1000\n",
     .set = "log.cleanup.policy=compact", .observe = is_cleaned_after, .argument = "10000",
     .before = 0, .after = 1},
    {"effect: cleanup.policy", .with = "log.roll.ms=1000\nlog.cleaner.backoff.ms=1000\n",
     .topic = "cleanup.policy=compact", .observe = is_cleaned_after, .argument = "10000",
     .before = 0, .after = 1},
    {"effect: log.cleaner.enable", .with = CLEANS, .set = "log.cleaner.enable=false",
     .observe = is_cleaned_after, .argument = "10000", .before = 1, .after = 0},
    {"effect: log.cleaner.threads", .with = CLEANS, .set = "log.cleaner.threads=0",
     .observe = is_cleaned_after, .argument = "10000", .before = 1, .after = 0,
     .at_start = true}, /* at run time at least half of them must stay */
    {"effect: log.cleaner.backoff.ms", .with = CLEANS, .set = "log.cleaner.backoff.ms=100000",
     .observe = is_cleaned_after, .argument = "10000", .before = 1, .after = 0},
    {"effect: log.cleaner.io.max.bytes.per.second", .with = CLEANS,
     .set = "log.cleaner.io.max.bytes.per.second=10", .observe = is_cleaned_after,
     .argument = "10000", .before = 1, .after = 0},
    {"effect: log.cleaner.io.buffer.load.factor",
     .with = CLEANS "log.cleaner.dedupe.buffer.size=1500000\n",
     .set = "log.cleaner.io.buffer.load.factor=0.00001", .observe = is_cleaned_after,
     .argument = "10000", .before = 1, .after = 0}, /* one key fits: half is mapped */
    {"effect: log.cleaner.min.cleanable.ratio", .with = CLEANS,
     .set = "log.cleaner.min.cleanable.ratio=1", .observe = is_cleaned_after, .argument = "10000",
     .before = 1, .after = 0},
    {"effect: min.cleanable.dirty.ratio", .with = CLEANS, .topic = "min.cleanable.dirty.ratio=1",
     .observe = is_cleaned_after, .argument = "10000", .before = 1, .after = 0},
    {"effect: log.cleaner.min.compaction.lag.ms", .with = CLEANS,
     .set = "log.cleaner.min.compaction.lag.ms=1000000", .observe = is_cleaned_after,
     .argument = "10000", .before = 1, .after = 0},
    {"effect: min.compaction.lag.ms", .with = CLEANS, .topic = "min.compaction.lag.ms=1000000",
     .observe = is_cleaned_after, .argument = "10000", .before = 1, .after = 0},
    {"effect: log.cleaner.max.compaction.lag.ms",
     .with = CLEANS "log.cleaner.min.cleanable.ratio=1\n",
     .set = "log.cleaner.max.compaction.lag.ms=2000", .observe = is_cleaned_after,
     .argument = "10000", .before = 0, .after = 1},
    {"effect: max.compaction.lag.ms", .with = CLEANS "log.cleaner.min.cleanable.ratio=1\n",
     .topic = "max.compaction.lag.ms=2000", .observe = is_cleaned_after, .argument = "10000",
     .before = 0, .after = 1},
    {"effect: log.segment.delete.delay.ms", .set = "log.segment.delete.delay.ms=1000",
     .observe = deleted_files_after, .argument = "5000", .before = 1, .after = 0},
    {"effect: file.delete.delay.ms", .topic = "file.delete.delay.ms=1000",
     .observe = deleted_files_after, .argument = "5000", .before = 1, .after = 0},
    {"effect: producer.id.expiration.ms", .with = "producer.id.expiration.check.interval.ms=1000\n",
     .set = "producer.id.expiration.ms=3000", .observe = producers_after, .argument = "10000",
     .before = 1, .after = 0},
    {"effect: producer.id.expiration.check.interval.ms", .with = "producer.id.expiration.ms=3000\n",
     .set = "producer.id.expiration.check.interval.ms=1000", .observe = producers_after,
     .argument = "10000", .before = 1, .after = 0},

    /* ---- directories ---- */
    {"effect: log.dir", .without = "log.dirs", .set = "log.dir=/other", .observe = directory_exists,
     .argument = "/other/meta.properties", .before = 0, .after = 1},
    {"effect: log.dirs", .set = "log.dirs=/data,/other", .observe = directory_exists,
     .argument = "/other/meta.properties", .before = 0, .after = 1},
    {"effect: metadata.log.dir", .set = "metadata.log.dir=/other", .observe = directory_exists,
     .argument = "/other/__cluster_metadata-0", .before = 0, .after = 1},
    {"effect: cordoned.log.dirs", .with = TWO_DIRECTORIES, .set = "cordoned.log.dirs=/data2",
     .observe = cordoned_directories, .before = 0, .after = 1},
    {"effect: barnabas.disk.reserve.bytes", .set = "barnabas.disk.reserve.bytes=0",
     .observe = reserve_bytes, .before = 1, .after = 0},
    {"effect: log.dir.failure.timeout.ms", .with = TWO_DIRECTORIES,
     .set = "log.dir.failure.timeout.ms=1", .observe = directory_failure, .before = 0, .after = 1},
    {"effect: replica.alter.log.dirs.io.max.bytes.per.second", .with = TWO_DIRECTORIES,
     .observe = move_takes_ms, .argument = NULL, .before = DIFFERS,
     .set = "replica.alter.log.dirs.io.max.bytes.per.second=200000"},
    {"effect: alter.log.dirs.replication.quota.window.num", .with = TWO_DIRECTORIES,
     .set = "alter.log.dirs.replication.quota.window.num=2", .observe = move_takes_ms,
     .argument = "300000", .before = DIFFERS},
    {"effect: alter.log.dirs.replication.quota.window.size.seconds", .with = TWO_DIRECTORIES,
     .set = "alter.log.dirs.replication.quota.window.size.seconds=2", .observe = move_takes_ms,
     .argument = "300000", .before = DIFFERS},

    /* ---- connections and requests ---- */
    {"effect: connections.max.idle.ms", .set = "connections.max.idle.ms=1000",
     .observe = connection_lives, .before = 1, .after = 0},
    {"effect: max.connections", .set = "max.connections=3", .observe = answered, .argument = "9093",
     .before = 16, .after = 3},
    {"", .set = "listener.name.controller.max.connections=3", .observe = answered,
     .argument = "9093", .before = 16, .after = 3},
    {"", .set = "listener.name.controller.max.connections=3", .observe = answered,
     .argument = "9092", .before = 16, .after = 16},
    {"effect: max.connections.per.ip", .set = "max.connections.per.ip=2", .observe = answered,
     .argument = "9092", .before = 16, .after = 2},
    {"effect: max.connections.per.ip.overrides",
     .set = "max.connections.per.ip.overrides=10.0.0.2:4", .observe = answered, .argument = "9092",
     .before = 16, .after = 4},
    {"effect: max.connection.creation.rate", .set = "max.connection.creation.rate=1",
     .observe = answered, .argument = "9092", .before = DIFFERS},
    {"", .set = "listener.name.plaintext.max.connection.creation.rate=1", .observe = answered,
     .argument = "9092", .before = DIFFERS},
    {"effect: socket.listen.backlog.size", .with = "max.connections=1\n",
     .set = "socket.listen.backlog.size=2", .observe = connected, .argument = "9093", .before = 16,
     .after = 3},
    {"effect: socket.request.max.bytes", .set = "socket.request.max.bytes=2000",
     .observe = large_request_is_answered, .before = 1, .after = 0},
    {"effect: socket.receive.buffer.bytes", .set = "socket.receive.buffer.bytes=4096",
     .observe = upload_takes_us, .before = DIFFERS},
    {"effect: barnabas.socket.buffers", .set = "barnabas.socket.buffers=configured",
     .observe = upload_takes_us, .before = DIFFERS},
    {"effect: socket.send.buffer.bytes", .set = "socket.send.buffer.bytes=4096",
     .observe = download_takes_us, .before = DIFFERS},
    {"effect: queued.max.requests", .set = "queued.max.requests=1", .observe = frames_read,
     .before = 6, .after = 4},
    {"effect: queued.max.request.bytes", .with = "socket.request.max.bytes=100000\n",
     .set = "queued.max.request.bytes=100000", .observe = muted_for_memory, .before = 0,
     .after = 1},
    {"effect: fetch.max.bytes", .set = "fetch.max.bytes=1024", .observe = fetched_bytes,
     .before = 5, .after = 1},
    {"effect: max.incremental.fetch.session.cache.slots",
     .set = "max.incremental.fetch.session.cache.slots=0", .observe = fetch_session, .before = 1,
     .after = 0},
    {"effect: max.request.partition.size.limit", .set = "max.request.partition.size.limit=2",
     .observe = described_partitions, .before = 5, .after = 2},
    {"effect: quota.window.num", .set = "quota.window.num=3", .observe = produce_throttle_ms,
     .before = DIFFERS},
    {"effect: quota.window.size.seconds", .set = "quota.window.size.seconds=3",
     .observe = produce_throttle_ms, .before = DIFFERS},
    {"effect: controller.quota.window.num", .set = "controller.quota.window.num=3",
     .observe = mutation_throttle_ms, .before = DIFFERS},
    {"effect: controller.quota.window.size.seconds",
     .set = "controller.quota.window.size.seconds=3", .observe = mutation_throttle_ms,
     .before = DIFFERS},

    /* ---- the node ---- */
    {"effect: node.id", .set = "node.id=5", .observe = broker_id, .before = 1, .after = 5},
    {"effect: broker.id", .with = "node.id=1\n", .set = "broker.id=6", .observe = start_error,
     .before = DIFFERS},
    {"effect: process.roles", .set = "process.roles=broker", .observe = start_error, .before = OK,
     .after = ERR_CONFIG},
    {"effect: broker.rack", .set = "broker.rack=east", .observe = broker_rack_bytes, .before = 0,
     .after = 4},
    {"effect: listeners", .set = "listeners=PLAINTEXT://:9092,CONTROLLER://:9094",
     .with = "advertised.listeners=PLAINTEXT://node:9092\n", .observe = answered,
     .argument = "9094", .before = 0, .after = 16},
    {"effect: advertised.listeners", .set = "advertised.listeners=PLAINTEXT://node:1234",
     .observe = broker_port, .before = 9092, .after = 1234},
    {"effect: listener.security.protocol.map",
     .with = "listeners=CLIENT://:9092,CONTROLLER://:9093\n"
             "advertised.listeners=CLIENT://node:9092\ninter.broker.listener.name=CLIENT\n",
     .set = "listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
     .observe = start_error, .before = ERR_CONFIG, .after = OK, .at_start = true},
    {"effect: inter.broker.listener.name", .with = THREE_LISTENERS "max.connections=3\n",
     .set = "inter.broker.listener.name=OTHER", .observe = inter_broker_listener_evicts,
     .before = 0, .after = 3},
    {"effect: controller.listener.names",
     .with = "listeners=PLAINTEXT://:9092,OTHER://:9192,CONTROLLER://:9093\n"
             "advertised.listeners=PLAINTEXT://node:9092\n"
             "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT,CONTROLLER:"
             "PLAINTEXT\n",
     .set = "controller.listener.names=CONTROLLER,OTHER", .observe = controller_apis,
     .argument = "9192", .before = 0, .after = 1},
    {"effect: controller.quorum.voters", .set = "controller.quorum.voters=1@node:9093",
     .observe = quorum_is_static, .before = 0, .after = 1},
    {"effect: controller.quorum.bootstrap.servers",
     .with = "controller.quorum.bootstrap.servers=\n",
     .set = "controller.quorum.bootstrap.servers=node:9093", .observe = start_error,
     .before = ERR_CONFIG, .after = OK},
    {"effect: barnabas.shards", .set = "barnabas.shards=3", .observe = shards, .before = 1,
     .after = 3},
    {"effect: broker.heartbeat.interval.ms",
     .with = "controller.performance.always.log.threshold.ms=0\n",
     .set = "broker.heartbeat.interval.ms=200", .observe = events_logged, .argument = "10000",
     .before = DIFFERS, .event = "slow_event", .field = "BrokerHeartbeat"},
    {"effect: broker.session.timeout.ms", .with = "broker.heartbeat.interval.ms=3000\n",
     .set = "broker.session.timeout.ms=1000", .observe = fenced_after_ms, .argument = "10000",
     .before = 0, .after = 1},
    {"effect: controlled.shutdown.enable", .set = "controlled.shutdown.enable=false",
     .observe = events_logged_after_stop, .before = 1, .after = 0, .event = "broker_state",
     .field = "to PENDING_CONTROLLED_SHUTDOWN"},
    {"effect: initial.broker.registration.timeout.ms",
     .set = "initial.broker.registration.timeout.ms=1", .observe = start_error, .before = DIFFERS},
    {"effect: server.max.startup.time.ms", .set = "server.max.startup.time.ms=1",
     .observe = start_error, .before = OK, .after = ERR_REQUEST_TIMED_OUT},

    /* ---- controller and metadata log ---- */
    {"effect: controller.performance.always.log.threshold.ms",
     .set = "controller.performance.always.log.threshold.ms=0", .observe = events_logged,
     .argument = "100", .before = DIFFERS, .event = "slow_event"},
    {"effect: controller.performance.sample.period.ms",
     .set = "controller.performance.sample.period.ms=1000", .observe = events_logged,
     .argument = "10000", .before = DIFFERS, .event = "events"},
    {"effect: auto.leader.rebalance.enable",
     .with = "controller.performance.always.log.threshold.ms=0\n"
             "leader.imbalance.check.interval.seconds=1\n",
     .set = "auto.leader.rebalance.enable=false", .observe = events_logged, .argument = "20000",
     .before = DIFFERS, .event = "slow_event", .field = "tick"},
    {"effect: leader.imbalance.check.interval.seconds",
     .with = "controller.performance.always.log.threshold.ms=0\n",
     .set = "leader.imbalance.check.interval.seconds=1", .observe = events_logged,
     .argument = "20000", .before = DIFFERS, .event = "slow_event", .field = "tick"},
    {"effect: unclean.leader.election.interval.ms",
     .with = "controller.performance.always.log.threshold.ms=0\n",
     .set = "unclean.leader.election.interval.ms=1000", .observe = events_logged,
     .argument = "20000", .before = DIFFERS, .event = "slow_event", .field = "tick"},
    {"effect: metadata.max.idle.interval.ms", .set = "metadata.max.idle.interval.ms=0",
     .observe = no_op_records, .argument = "5000", .before = DIFFERS},
    {"effect: internal.metadata.log.segment.bytes",
     .set = "internal.metadata.log.segment.bytes=20000", .observe = metadata_files,
     .argument = ".log", .before = DIFFERS},
    {"effect: metadata.log.segment.bytes", .set = "metadata.log.segment.bytes=8388608",
     .observe = metadata_files_large, .argument = ".log", .before = DIFFERS},
    {"effect: metadata.log.segment.ms", .set = "metadata.log.segment.ms=600000",
     .observe = metadata_files_slow, .argument = ".log", .before = DIFFERS},
    {"effect: metadata.log.max.record.bytes.between.snapshots",
     .set = "metadata.log.max.record.bytes.between.snapshots=5000", .observe = metadata_files,
     .argument = ".checkpoint", .before = DIFFERS},
    {"effect: metadata.log.max.snapshot.interval.ms",
     .set = "metadata.log.max.snapshot.interval.ms=600000", .observe = metadata_files_slow,
     .argument = ".checkpoint", .before = DIFFERS},
    {"effect: metadata.max.retention.bytes",
     .with = "metadata.log.max.record.bytes.between.snapshots=5000\n",
     .set = "metadata.max.retention.bytes=1000", .observe = metadata_files_slow,
     .argument = ".checkpoint", .before = DIFFERS},
    {"effect: metadata.max.retention.ms",
     .with = "metadata.log.max.record.bytes.between.snapshots=5000\n",
     .set = "metadata.max.retention.ms=60000", .observe = metadata_files_slow,
     .argument = ".checkpoint", .before = DIFFERS},
    {"effect: internal.metadata.delete.delay.millis",
     .with = "metadata.log.max.record.bytes.between.snapshots=5000\n"
             "metadata.max.retention.ms=60000\n",
     .set = "internal.metadata.delete.delay.millis=100000000", .observe = metadata_files_slow,
     .argument = ".deleted", .before = DIFFERS},
    {"effect: internal.metadata.max.batch.size.in.bytes",
     .set = "internal.metadata.max.batch.size.in.bytes=2000", .observe = metadata_log_bytes,
     .before = DIFFERS},
};
const size_t config_row_count = ARRAY_COUNT(config_rows);
