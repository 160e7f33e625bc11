/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/metrics_page.c: a sample as Prometheus text. Pure.
 */
#include "server/metrics_page.h"

#include "base/fmt.h"
#include "protocol/message.h"
#include "server/metrics_text.h"

static void line(struct writer *out, const char *format, ...) PRINTF_LIKE(2, 3);

static void line(struct writer *out, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    size_t size_bytes;

    va_start(arguments, format);
    size_bytes = fmt_list(text, sizeof text, format, arguments);
    va_end(arguments);
    writer_bytes(out, text, MIN(size_bytes, sizeof text - 1));
    writer_u8(out, '\n');
}

static void one(struct writer *out, const char *name, const char *kind, const char *help,
                int64_t value)
{
    metrics_head(out, name, kind, help);
    line(out, "%s %lld", name, (long long)value);
}

/* ---- sums over shards ---- */

#define SUM(sample, member)                                   \
    __extension__({                                           \
        int64_t sum_ = 0;                                     \
        for (size_t i_ = 0; i_ < (sample)->shard_count; i_++) \
            sum_ += (int64_t)(sample)->shards[i_].member;     \
        sum_;                                                 \
    })

static void topics_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_server_brokertopicmetrics_messagesin_total", "counter", "Records appended.",
        SUM(sample, metrics.messages_in));
    one(out, "kafka_server_brokertopicmetrics_bytesin_total", "counter", "Bytes appended.",
        SUM(sample, metrics.bytes_in));
    one(out, "kafka_server_brokertopicmetrics_bytesout_total", "counter", "Bytes fetched.",
        SUM(sample, metrics.bytes_out));
    one(out, "kafka_server_brokertopicmetrics_bytesrejected_total", "counter",
        "Bytes of batches above the size limit.", SUM(sample, metrics.bytes_rejected));
    one(out, "kafka_server_brokertopicmetrics_failedproducerequests_total", "counter",
        "Batches that failed, but for leadership, size, checksum or storage.",
        SUM(sample, metrics.produce_requests_failed));
    one(out, "kafka_server_brokertopicmetrics_failedfetchrequests_total", "counter",
        "Partitions whose fetch failed, but for leadership, offset or storage.",
        SUM(sample, metrics.fetch_requests_failed));
    one(out, "kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total", "counter",
        "Batches with a wrong checksum.", SUM(sample, metrics.invalid_records_crc));
    one(out, "kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords_total", "counter",
        "Batches whose header tells of impossible offsets, counts or sequences.",
        SUM(sample, metrics.invalid_records_sequence));
    one(out, "kafka_server_brokertopicmetrics_nokeycompactedtopicrecords_total", "counter",
        "Records without a key for a compacted topic.",
        SUM(sample, metrics.no_key_compacted_topic));
}

/* ---- requests ---- */

static void api_sum(const struct node_sample *sample, size_t key, struct api_metrics *out)
{
    *out = (struct api_metrics){0};
    for (size_t i = 0; i < sample->shard_count; i++) {
        const struct api_metrics *from = sample->shards[i].metrics.apis[key];

        if (!from)
            continue;
        out->requests += from->requests;
        out->total.count += from->total.count;
        out->total.sum_us += from->total.sum_us;
        for (int bucket = 0; bucket < METRICS_LATENCY_BUCKETS; bucket++)
            out->total.buckets[bucket] += from->total.buckets[bucket];
    }
}

static void latency_write(const char *api, const struct latency_histogram *histogram,
                          struct writer *out)
{
    uint64_t below = 0;

    for (int bucket = 0; bucket < METRICS_LATENCY_BUCKETS - 1; bucket++) {
        below += histogram->buckets[bucket];
        line(out, "barnabas_request_seconds_bucket{request=\"%s\",le=\"%.6f\"} %llu", api,
             (double)((int64_t)1 << bucket) / 1e6, (unsigned long long)below);
    }
    line(out, "barnabas_request_seconds_bucket{request=\"%s\",le=\"+Inf\"} %llu", api,
         (unsigned long long)histogram->count);
    line(out, "barnabas_request_seconds_sum{request=\"%s\"} %.6f", api,
         (double)histogram->sum_us / 1e6);
    line(out, "barnabas_request_seconds_count{request=\"%s\"} %llu", api,
         (unsigned long long)histogram->count);
}

static void requests_write(const struct node_sample *sample, struct writer *out)
{
    struct api_metrics sum;

    metrics_head(out, "kafka_network_requestmetrics_requests_total", "counter",
                 "Requests answered.");
    for (size_t key = 0; key < METRICS_API_KEYS; key++) {
        api_sum(sample, key, &sum);
        if (sum.requests > 0)
            line(out, "kafka_network_requestmetrics_requests_total{request=\"%s\"} %llu",
                 api_key_name((int16_t)key), (unsigned long long)sum.requests);
    }
    metrics_head(out, "barnabas_request_seconds", "histogram",
                 "From the whole request to its answer given to the connection.");
    for (size_t key = 0; key < METRICS_API_KEYS; key++) {
        api_sum(sample, key, &sum);
        if (sum.requests > 0)
            latency_write(api_key_name((int16_t)key), &sum.total, out);
    }
    one(out, "barnabas_requests_refused_total", "counter",
        "Requests that were not served: the connection was closed.",
        SUM(sample, metrics.requests_unknown));
    one(out, "kafka_server_delayedoperationpurgatory_purgatorysize_produce", "gauge",
        "Produce requests that wait for their commit.", SUM(sample, metrics.produce_delayed));
    one(out, "kafka_server_delayedoperationpurgatory_purgatorysize_fetch", "gauge",
        "Fetch requests that wait for data.", SUM(sample, metrics.fetch_delayed));
    one(out, "barnabas_produce_expired_total", "counter",
        "Produce requests whose time was out before their commit.",
        SUM(sample, metrics.produce_expired));
    one(out, "barnabas_fetch_expired_total", "counter",
        "Fetch requests whose time was out before enough data came.",
        SUM(sample, metrics.fetch_expired));
    one(out, "barnabas_produce_throttled_ms_total", "counter",
        "Milliseconds that producers were told to wait by their quota.",
        SUM(sample, metrics.throttled_ms_produce));
    one(out, "barnabas_fetch_throttled_ms_total", "counter",
        "Milliseconds that consumers were told to wait by their quota.",
        SUM(sample, metrics.throttled_ms_fetch));
    one(out, "kafka_server_fetchsessioncache_numincrementalfetchsessions", "gauge",
        "Fetch sessions kept.", SUM(sample, metrics.fetch_sessions));
    one(out, "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "gauge",
        "Partitions in fetch sessions.", SUM(sample, metrics.fetch_session_partitions));
    one(out, "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", "counter",
        "Fetch sessions that made room.", SUM(sample, metrics.fetch_sessions_evicted));
}

/* ---- connections ---- */

static void network_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_server_socket_server_metrics_connection_count", "gauge", "Open connections.",
        SUM(sample, network.connections));
    one(out, "kafka_server_socket_server_metrics_connection_creation_total", "counter",
        "Connections accepted.", SUM(sample, network.connections_opened));
    one(out, "kafka_server_socket_server_metrics_connection_close_total", "counter",
        "Connections closed.", SUM(sample, network.connections_closed));
    metrics_head(out, "barnabas_connections_closed_total", "counter",
                 "Connections closed, by reason.");
    for (int reason = NETWORK_REASON_PEER; reason <= NETWORK_REASON_ERROR; reason++)
        line(out, "barnabas_connections_closed_total{reason=\"%s\"} %lld",
             network_reason_text((enum network_reason)reason),
             (long long)SUM(sample, network.closed_by_reason[reason]));
    one(out, "barnabas_network_bytes_received_total", "counter", "Bytes read from sockets.",
        SUM(sample, network.bytes_received));
    one(out, "barnabas_network_bytes_sent_total", "counter", "Bytes written to sockets.",
        SUM(sample, network.bytes_sent));
    one(out, "barnabas_network_frame_bytes", "gauge", "Memory held by requests.",
        SUM(sample, network.frame_bytes));
    one(out, "barnabas_network_muted_for_memory_total", "counter",
        "Times that a socket was not read because requests held their share of memory.",
        SUM(sample, network.muted_for_memory));
}

/* ---- partitions ---- */

static int64_t partitions_count(const struct node_sample *sample,
                                bool (*matches)(const struct partition_sample *))
{
    int64_t count = 0;

    for (size_t i = 0; i < sample->shard_count; i++)
        for (size_t j = 0; j < sample->shards[i].partition_count; j++)
            count += matches(&sample->shards[i].partitions[j]);
    return count;
}

static bool is_any(const struct partition_sample *partition)
{
    UNUSED(partition);
    return true;
}
static bool is_leader(const struct partition_sample *partition)
{
    return partition->is_leader;
}
static bool is_offline(const struct partition_sample *partition)
{
    return partition->is_offline;
}
static bool is_under_replicated(const struct partition_sample *partition)
{
    return partition->is_leader && partition->isr < partition->replicas;
}
static bool is_under_min_isr(const struct partition_sample *partition)
{
    return partition->is_leader && partition->isr < MIN(partition->min_isr, partition->replicas);
}
static bool is_at_min_isr(const struct partition_sample *partition)
{
    return partition->is_leader && partition->isr == MIN(partition->min_isr, partition->replicas);
}

static int64_t log_end(const struct partition_sample *p)
{
    return p->end_offset;
}
static int64_t log_start(const struct partition_sample *p)
{
    return p->start_offset;
}
static int64_t log_high(const struct partition_sample *p)
{
    return p->high_watermark;
}
static int64_t log_size(const struct partition_sample *p)
{
    return p->size_bytes;
}
static int64_t log_segments(const struct partition_sample *p)
{
    return p->segments;
}

static const struct {
    const char *name;
    const char *help;
    int64_t (*value)(const struct partition_sample *partition);
} log_rows[] = {
    {"kafka_log_log_logendoffset", "Offset behind the last record.", log_end},
    {"kafka_log_log_logstartoffset", "Offset of the first record.", log_start},
    {"kafka_cluster_partition_highwatermark", "Offset behind the last committed record.", log_high},
    {"kafka_log_log_size", "Bytes of the log.", log_size},
    {"kafka_log_log_numlogsegments", "Segments of the log.", log_segments},
};

static void logs_write(const struct node_sample *sample, struct writer *out)
{
    for (size_t row = 0; row < ARRAY_COUNT(log_rows); row++) {
        metrics_head(out, log_rows[row].name, "gauge", log_rows[row].help);
        for (size_t i = 0; i < sample->shard_count; i++)
            for (size_t j = 0; j < sample->shards[i].partition_count; j++) {
                const struct partition_sample *partition = &sample->shards[i].partitions[j];

                if (partition->is_open)
                    line(out, "%s{topic=\"%.*s\",partition=\"%d\"} %lld", log_rows[row].name,
                         SLICE_ARGS(partition->topic), partition->partition,
                         (long long)log_rows[row].value(partition));
            }
    }
}

static void replicas_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_server_replicamanager_partitioncount", "gauge", "Replicas on this node.",
        partitions_count(sample, is_any));
    one(out, "kafka_server_replicamanager_leadercount", "gauge", "Partitions led by this node.",
        partitions_count(sample, is_leader));
    one(out, "kafka_server_replicamanager_offlinereplicacount", "gauge",
        "Replicas whose directory has failed.", partitions_count(sample, is_offline));
    one(out, "kafka_server_replicamanager_underreplicatedpartitions", "gauge",
        "Partitions with replicas out of sync.", partitions_count(sample, is_under_replicated));
    one(out, "kafka_server_replicamanager_underminisrpartitioncount", "gauge",
        "Partitions below min.insync.replicas.", partitions_count(sample, is_under_min_isr));
    one(out, "kafka_server_replicamanager_atminisrpartitioncount", "gauge",
        "Partitions at min.insync.replicas.", partitions_count(sample, is_at_min_isr));
    logs_write(sample, out);
}

/* ---- the node ---- */

static void controller_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_controller_kafkacontroller_activecontrollercount", "gauge",
        "1 where the active controller is.", sample->is_active_controller);
    if (!sample->is_active_controller)
        return;
    one(out, "kafka_controller_kafkacontroller_activebrokercount", "gauge", "Unfenced brokers.",
        sample->controller.brokers_active);
    one(out, "kafka_controller_kafkacontroller_fencedbrokercount", "gauge", "Fenced brokers.",
        sample->controller.brokers_fenced);
    one(out, "kafka_controller_kafkacontroller_globaltopiccount", "gauge", "Topics.",
        sample->controller.topics);
    one(out, "kafka_controller_kafkacontroller_globalpartitioncount", "gauge", "Partitions.",
        sample->controller.partitions);
    one(out, "kafka_controller_kafkacontroller_offlinepartitionscount", "gauge",
        "Partitions without a leader.", sample->controller.partitions_offline);
    one(out, "kafka_controller_kafkacontroller_preferredreplicaimbalancecount", "gauge",
        "Partitions not led by their first replica.", sample->controller.preferred_imbalance);
    one(out, "kafka_controller_controllerstats_uncleanleaderelections_total", "counter",
        "Leaders elected out of sync.", sample->controller.elections_unclean);
}

static int64_t directories_offline(const struct node_sample *sample)
{
    int64_t count = 0;

    for (size_t i = 0; i < sample->directory_count; i++)
        count += sample->directories[i].is_offline;
    return count;
}

static void directories_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_log_logmanager_offlinelogdirectorycount", "gauge",
        "Log directories that have failed.", directories_offline(sample));
    metrics_head(out, "barnabas_log_directory_free_bytes", "gauge",
                 "Space left, as of the last look.");
    for (size_t i = 0; i < sample->directory_count; i++)
        line(out, "barnabas_log_directory_free_bytes{directory=\"%s\"} %lld",
             sample->directories[i].path, (long long)sample->directories[i].free_bytes);
    metrics_head(out, "barnabas_log_directory_low", "gauge",
                 "1 where produce to user topics is refused for lack of space.");
    for (size_t i = 0; i < sample->directory_count; i++)
        line(out, "barnabas_log_directory_low{directory=\"%s\"} %d", sample->directories[i].path,
             sample->directories[i].is_low);
}

/* ---- compaction ---- */

static int64_t cleaner_largest(const struct node_sample *sample,
                               int64_t (*value)(const struct cleaner_stats *))
{
    int64_t largest = 0;

    for (size_t i = 0; i < sample->shard_count; i++)
        largest = MAX(largest, value(&sample->shards[i].cleaner));
    return largest;
}

static int64_t cleaner_map_percent(const struct cleaner_stats *stats)
{
    return stats->last_map_percent;
}
static int64_t cleaner_pass_s(const struct cleaner_stats *stats)
{
    return stats->last_pass_ms / 1000;
}
static int64_t cleaner_delay_s(const struct cleaner_stats *stats)
{
    return stats->max_delay_ms / 1000;
}
static int64_t cleaner_recopy_percent(const struct cleaner_stats *stats)
{
    return stats->last_recopy_percent;
}
static int64_t cleaner_dirty_percent(const struct cleaner_stats *stats)
{
    return stats->max_dirty_percent;
}
static int64_t cleaner_look_ms(const struct cleaner_stats *stats)
{
    return stats->since_last_look_ms;
}

static const struct {
    const char *name;
    const char *help;
    int64_t (*value)(const struct cleaner_stats *stats);
} cleaner_rows[] = {
    {"kafka_log_logcleaner_max_buffer_utilization_percent",
     "How full the map of keys of the last pass got.", cleaner_map_percent},
    {"kafka_log_logcleaner_cleaner_recopy_percent", "Share that the last pass wrote again.",
     cleaner_recopy_percent},
    {"kafka_log_logcleaner_max_clean_time_secs", "Time of the last pass.", cleaner_pass_s},
    {"kafka_log_logcleaner_max_compaction_delay_secs", "Time beyond max.compaction.lag.ms.",
     cleaner_delay_s},
    {"kafka_log_logcleanermanager_max_dirty_percent", "Dirty share of the log that is due.",
     cleaner_dirty_percent},
    {"kafka_log_logcleanermanager_time_since_last_run_ms", "Since the last look for a log.",
     cleaner_look_ms},
};

static void cleaner_write(const struct node_sample *sample, struct writer *out)
{
    for (size_t row = 0; row < ARRAY_COUNT(cleaner_rows); row++)
        one(out, cleaner_rows[row].name, "gauge", cleaner_rows[row].help,
            cleaner_largest(sample, cleaner_rows[row].value));
    one(out, "kafka_log_logcleanermanager_uncleanable_partitions_count", "gauge",
        "Partitions that a pass could not read.", SUM(sample, cleaner.uncleanable_partitions));
    one(out, "kafka_log_logcleanermanager_uncleanable_bytes", "gauge", "Bytes of these.",
        SUM(sample, cleaner.uncleanable_bytes));
    one(out, "barnabas_cleaner_passes_total", "counter", "Logs compacted.",
        SUM(sample, cleaner.passes));
    one(out, "barnabas_cleaner_bytes_read_total", "counter", "Bytes read by compaction.",
        SUM(sample, cleaner.bytes_read));
    one(out, "barnabas_cleaner_bytes_written_total", "counter", "Bytes written by compaction.",
        SUM(sample, cleaner.bytes_written));
}

static void process_write(const struct node_sample *sample, struct writer *out)
{
    metrics_head(out, "barnabas_build_info", "gauge", "The version.");
    line(out, "barnabas_build_info{version=\"%s\"} 1", sample->version);
    metrics_head(out, "process_cpu_seconds_total", "counter", "User and system time.");
    line(out, "process_cpu_seconds_total %.6f",
         (double)(sample->usage.user_cpu_us + sample->usage.system_cpu_us) / 1e6);
    one(out, "process_resident_memory_bytes", "gauge", "Memory in use.",
        sample->usage.resident_bytes);
    one(out, "process_open_fds", "gauge", "Open files and sockets.", sample->usage.open_files);
    metrics_head(out, "barnabas_uptime_seconds", "gauge", "Since the node was made.");
    line(out, "barnabas_uptime_seconds %.3f", (double)sample->uptime_ms / 1e3);
}

void metrics_page_write(const struct node_sample *sample, struct writer *out)
{
    one(out, "kafka_server_kafkaserver_brokerstate", "gauge",
        "0 not running, 1 starting, 2 recovery, 3 running, 6 and 7 shutting down.",
        sample->broker_state);
    one(out, "kafka_server_metadata_last_applied_record_offset", "gauge",
        "Offset of the last metadata record applied.", sample->metadata_offset);
    controller_write(sample, out);
    topics_write(sample, out);
    requests_write(sample, out);
    network_write(sample, out);
    replicas_write(sample, out);
    metrics_groups_write(sample, out);
    metrics_transactions_write(sample, out);
    directories_write(sample, out);
    cleaner_write(sample, out);
    process_write(sample, out);
}
